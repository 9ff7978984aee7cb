/* SPDX-License-Identifier: ISC */
/*
 * Child processes: posix_spawn in a process group of their own, with default
 * signals, an empty mask, and only descriptors 0, 1 and 2.
 */
#ifndef NET_CHILD_H
#define NET_CHILD_H

#include <sys/types.h>

#include "net/loop.h"

struct child_conf {
	char *const *argv; /* looked up in PATH */
	char *const *envp; /* whole environment */
	bool pipe_in;	   /* a pipe to its stdin; else /dev/null */
	bool pipe_out;	   /* a pipe from its stdout; else ours is inherited */
};

struct child;

/*
 * Start it.  *in and *out_fd are our ends of its pipes, close-on-exec, which
 * the caller owns (-1: none).  exited(arg, status) is called once, from the
 * loop, with status as a shell shows it: 0..255, 128 + n for signal n.
 *
 * ERR_NONE  there is no such command (said in the log)
 * ERR_SYS   it cannot be started (said in the log)
 * ERR_NOMEM
 */
int child_spawn(struct child **out, struct loop *l,
    const struct child_conf *conf, int *in, int *out_fd,
    void (*exited)(void *arg, int status), void *arg);

/* 0 once it has exited. */
pid_t child_pid(const struct child *c);

/* Send signo to the whole process group; nothing if it has exited. */
void child_kill(struct child *c, int signo);

/*
 * Forget it: no callback comes; a living one is killed with its group, and
 * waited for.  Also from within exited.  NULL is nothing.
 */
void child_free(struct child *c);

#endif /* NET_CHILD_H */
