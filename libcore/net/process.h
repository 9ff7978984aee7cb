/* SPDX-License-Identifier: ISC */
/* How a program of ours begins, says that it is ready, and ends. */
#ifndef NET_PROCESS_H
#define NET_PROCESS_H

#include <stdbool.h>

/*
 * Call first: opens /dev/null for each of descriptors 0, 1 and 2 that is
 * closed, and ignores SIGPIPE, remembering whether it was ignored before.
 */
void process_begin(void);

/* SIGHUP was ignored when the program began (nohup): leave it so. */
bool process_hup_ignored(void);

/* Write a newline to fd and close it; -1: nobody waits. */
void process_ready(int fd);

/* Standard output is closed: die by SIGPIPE, or exit 74 where it was ignored.
 */
_Noreturn void process_end_no_reader(void);

/* Die by signo, as if it had not been caught. */
_Noreturn void process_end_by(int signo);

#endif /* NET_PROCESS_H */
