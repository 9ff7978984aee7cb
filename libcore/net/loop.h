/* SPDX-License-Identifier: ISC */
/*
 * One loop, one thread: descriptors, timers with nanoseconds, signals, and
 * work put off to the end of the turn.
 *
 * A turn: every ready descriptor, expired timer and signal calls back; then
 * the tasks that were posted run, so that what many events caused is sent at
 * once; then the loop sleeps.  No callback comes after its object is closed.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

/* ERR_SYS, ERR_NOMEM. */
int loop_new(struct loop **out);
/* Every object of the loop must have been closed before.  NULL is nothing. */
void loop_free(struct loop *l);

/* Run until loop_stop(); returns what that was given.  May be called again. */
int loop_run(struct loop *l);
/* End loop_run() after this turn.  The first status counts. */
void loop_stop(struct loop *l, int status);
/* Run what was posted, now: the last words of a program that ends. */
void loop_flush(struct loop *l);
/* For net/: libuv's loop. */
struct uv_loop_s *loop_uv(struct loop *l);
bool loop_stopping(const struct loop *l);

/*
 * Monotonic nanoseconds: read once a turn, when it begins.  loop_clock() reads
 * the clock now.
 */
uint64_t loop_now(const struct loop *l);
uint64_t loop_clock(void);

/* Timers: embedded, zero-initialised, never under way twice. */
struct timer {
	void (*fn)(void *arg);
	void *arg;
	uint64_t at;  /* ns; when under way */
	size_t index; /* in the loop's heap, from 1; 0: not under way */
};

/*
 * (Re)arm: call fn(arg) once, in the first turn at or after at.  What a timer's
 * fn sets comes in a later turn.  ERR_NOMEM, only when t was not under way.
 */
int timer_set(struct loop *l, struct timer *t, uint64_t at);
void timer_stop(struct loop *l, struct timer *t);

/*
 * A task: run once at the end of this turn, however often it was posted.
 * Embedded, zero-initialised but for fn and arg.
 */
struct task {
	void (*fn)(void *arg);
	void *arg;
	bool posted;
	uint64_t ran; /* in which turn, last */
	TAILQ_ENTRY(task) link;
};

/*
 * A task posted by a task runs in the same turn's end, after those waiting; but
 * one that has run already waits for the next turn, which then begins without
 * sleeping.
 */
void task_post(struct loop *l, struct task *t);
void task_cancel(struct loop *l, struct task *t);

/* A descriptor that epoll takes. */
struct watch;

enum {
	WATCH_IN = 1,
	WATCH_OUT = 2,
	/* Reported only: hang-up or error, not a peer that ended its half. */
	WATCH_GONE = 4,
};

/*
 * Watch fd, which stays the caller's, for nothing yet.  It becomes O_NONBLOCK,
 * and may be watched only once.
 *
 * ERR_NONE  epoll does not take it: a regular file, /dev/null and the like
 * ERR_SYS, ERR_NOMEM
 */
int watch_open(struct watch **out, struct loop *l, int fd,
    void (*fn)(void *arg, int events), void *arg);

/* As watch_open(), but the flags of fd, which others share, stay as they are.
 */
int watch_open_shared(struct watch **out, struct loop *l, int fd,
    void (*fn)(void *arg, int events), void *arg);

/*
 * Ask for these events; 0: only WATCH_GONE, which always comes.  After it
 * nothing comes until this is called again.
 */
void watch_want(struct watch *w, int events);
/* No callback comes after it; fd may be closed at once.  NULL is nothing. */
void watch_close(struct watch *w);

/*
 * Call fn(arg, signo) for each signal of the list (0 ends it), until the loop
 * is freed.  ERR_SYS, ERR_NOMEM.
 */
int loop_signals(struct loop *l, const int *signals,
    void (*fn)(void *arg, int signo), void *arg);

/*
 * LOOP_SCRATCH bytes for input on its way to its taker, so that what is idle
 * holds no memory.  Lent to the net layer until the callback returns.
 */
#define LOOP_SCRATCH (512u << 10)
void *loop_scratch(struct loop *l);

#endif /* NET_LOOP_H */
