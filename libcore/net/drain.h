/* SPDX-License-Identifier: ISC */
/*
 * Output: bytes to a pipe, terminal, socket or file, as fast as it takes them.
 *
 * What is put during a turn is written with one write(2) at its end.  Inherited
 * descriptors are treated as net/feed.h says.  The reader is watched, so that
 * its going away is noticed also while nothing is written.
 */
#ifndef NET_DRAIN_H
#define NET_DRAIN_H

#include <sys/uio.h>

#include "base/buf.h"
#include "net/loop.h"

struct drain_ops {
	/* After drain_full() said true, or drain_ask(): there is room. */
	void (*room)(void *arg);
	/* n bytes more have been written.  May be NULL. */
	void (*written)(void *arg, size_t n);
	/*
	 * Called once, last.  OK: drain_finish() is complete.  ERR_GONE: the
	 * reader is gone (EPIPE).  ERR_SYS: writing failed, said in the log.
	 */
	void (*end)(void *arg, int r);
};

struct drain_conf {
	int fd;
	bool owned;	  /* ours alone; closed by the drain */
	size_t full;	  /* drain_full() from this many bytes waiting; not 0 */
	const char *name; /* in messages: "standard output" */
};

struct drain;

/* ERR_SYS, said in the log; ERR_NOMEM.  Then even an owned fd is the caller's.
 */
int drain_open(struct drain **out, struct loop *l,
    const struct drain_conf *conf, const struct drain_ops *ops, void *arg);

/*
 * Where to append what is to be written.  It has no maximum: ask drain_full()
 * before each message.  Call drain_flush() after appending; after end() it
 * drops what was appended.
 */
struct buf *drain_buf(struct drain *d);
void drain_flush(struct drain *d);

/*
 * Write n vectors now, as far as that goes and if nothing waits: the number of
 * bytes is returned.  After 0, drain_ask().
 */
size_t drain_write(struct drain *d, const struct iovec *v, size_t n);

/* As many bytes wait as may; room() will be called when half are gone. */
bool drain_full(struct drain *d);
/* room() will be called when something has been written, and half is free. */
void drain_ask(struct drain *d);
/* Bytes that are not written yet; within end(), that never were. */
size_t drain_waiting(const struct drain *d);

/* Write what waits, then close (an owned fd) and call end(OK). */
void drain_finish(struct drain *d);

/* Drop what waits; no callback comes after it.  Also from within callbacks.
 * NULL is nothing. */
void drain_close(struct drain *d);

#endif /* NET_DRAIN_H */
