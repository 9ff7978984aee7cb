/* SPDX-License-Identifier: ISC */
/* How a program of ours begins, says that it is ready, and ends. */
#ifndef NET_PROCESS_H
#define NET_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Call first: opens /dev/null for each of descriptors 0, 1 and 2 that is
 * closed, the first two so that reading and writing fail, ignores SIGPIPE,
 * remembering whether it was ignored before, and takes NOTIFY_SOCKET out of
 * the environment.
 */
void process_begin(void);

/* Standard output was open for writing when the program began. */
bool process_has_output(void);

/*
 * What a filter catches, for loop_signals(): SIGTERM, SIGINT, SIGUSR1, and
 * SIGHUP unless it was ignored when the program began (nohup).
 */
const int *process_signals(void);

/*
 * Up and serving: tell the service manager, and write a newline to fd, which
 * is closed; -1: nobody waits there.
 */
void process_ready(int fd);

/* Tell the service manager, if there is one (net/notify.h). */
void process_reloading(void);
void process_reloaded(void);
void process_stopping(void);

/* Signals that ask a program to end: zero-initialised. */
struct process_wish {
	int signo; /* the latest; 0: none */
	uint64_t at;
};

enum process_haste {
	PROCESS_DRAIN,	  /* the first: finish what is under way */
	PROCESS_THE_SAME, /* the first once more: timeout(1) sends it twice */
	PROCESS_AT_ONCE,  /* another one */
};

enum process_haste process_wish(
    struct process_wish *w, int signo, uint64_t now_ns);

/* Standard output is closed: die by SIGPIPE, or exit 74 where it was ignored.
 */
_Noreturn void process_end_no_reader(void);

/* exit(), but for libuv's threads that wait for a name server: not for them. */
_Noreturn void process_exit(int status);

/* Die by signo, as if it had not been caught. */
_Noreturn void process_end_by(int signo);

#endif /* NET_PROCESS_H */
