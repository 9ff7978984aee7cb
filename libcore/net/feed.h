/* SPDX-License-Identifier: ISC */
/*
 * Input: a pipe, terminal, socket or file read as the taker can use it.
 *
 * Descriptors that were inherited are shared with other processes, so their
 * flags are never changed: pipes and terminals are opened again through
 * /proc/self/fd, sockets read with MSG_DONTWAIT, files and devices that epoll
 * refuses are read directly, FEED_TURN_MAX bytes a turn, and where opening
 * again is refused a thread reads for us.
 */
#ifndef NET_FEED_H
#define NET_FEED_H

#include "base/view.h"
#include "net/loop.h"

#define FEED_TURN_MAX (256u << 10)

enum feed_want {
	FEED_MORE, /* keep reading */
	FEED_WAIT, /* stop reading until feed_resume() */
};

struct feed_ops {
	/*
	 * Use bytes off the front of in, and move in past them; what is left
	 * comes again, with more behind it.  eof: nothing will follow; then
	 * called until it returns FEED_MORE.  The bytes are valid only during
	 * the call.
	 */
	enum feed_want (*take)(void *arg, struct view *in, bool eof);

	/*
	 * Called once, last: OK after the end of input, ERR_SYS when reading
	 * failed (said in the log), ERR_GONE when the peer of an owned socket
	 * has gone and left bytes unread, ERR_LIMIT when max bytes were left
	 * lying, ERR_NOMEM when there is no memory for what was left.
	 */
	void (*end)(void *arg, int r);
};

struct feed_conf {
	int fd;		  /* borrowed until feed_close() */
	bool owned;	  /* ours alone (O_NONBLOCK may be set, and is) */
	size_t read_max;  /* the most bytes a read takes; 0: FEED_TURN_MAX */
	size_t max;	  /* the most bytes held for the taker; 0: no limit */
	const char *name; /* in messages: "standard input" */
};

struct feed;

/* Begins to read from a task, not at once.  ERR_SYS, said in the log;
 * ERR_NOMEM.
 */
int feed_open(struct feed **out, struct loop *l, const struct feed_conf *conf,
    const struct feed_ops *ops, void *arg);

/* After FEED_WAIT: offer what is held, then read on.  In a task, not at once;
 * also from within take. */
void feed_resume(struct feed *f);

/*
 * Read no more: what is held is offered as it is, then end(OK) comes.  For a
 * program that has been told to finish.
 */
void feed_stop(struct feed *f);

/* Stop; no callback comes after it.  Also from within take and end.  NULL is
 * nothing. */
void feed_close(struct feed *f);

#endif /* NET_FEED_H */
