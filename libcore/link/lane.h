/* SPDX-License-Identifier: ISC */
/*
 * A lane: a stream of one direction beside a link's own, with a window and an
 * end of its own.  Made and freed by its link; see link.h for opening them, and
 * for who calls back when.
 */
#ifndef LINK_LANE_H
#define LINK_LANE_H

#include <sys/queue.h>

#include "base/outq.h"
#include "base/view.h"

struct link;

/* What its owner is told.  What only concerns the other direction may be NULL.
 */
struct lane_ops {
	/* Of the peer's: bytes came, valid during the call; they hold up the
	 * lane and all lanes of the link until lane_consumed(). */
	void (*bytes)(void *arg, struct view bytes);
	/* Of the peer's: no bytes will follow.  It is kept until
	 * lane_finish() says that everything is taken. */
	void (*fin)(void *arg);
	/* The peer breaks it off: of its own no bytes will follow, of ours
	 * nothing more is sent.  closed() follows. */
	void (*broken)(void *arg, uint64_t code);
	/* Of ours: the queue got shorter, or the fin was acknowledged; once a
	 * turn. */
	void (*moved)(void *arg);
	/* It is over, and freed after this call: the fin was acknowledged or
	 * taken, or it was broken off.  What came and was not used yet holds
	 * up the link until link_credit(). */
	void (*closed)(void *arg);
};

struct lane {
	struct link *link;
	const struct lane_ops *ops;
	void *arg;
	struct outq *out; /* NULL: it is the peer's */
	uint64_t id;	 /* as QUIC numbers streams: 2, 6, 10.. or 3, 7, 11.. */
	bool fin_wanted; /* lane_finish() was called */
	bool fin_acked;	 /* ... and the peer has everything */
	/* For link/ only. */
	bool fin_came;
	bool due;    /* something is to be told at the end of the turn: */
	bool moved;  /* moved() */
	bool broken; /* broken() with code */
	bool over;   /* closed() */
	bool dead;   /* nothing but closed() */
	uint64_t code;
	TAILQ_ENTRY(lane) all;
	TAILQ_ENTRY(lane) link_due;
};

TAILQ_HEAD(lane_list, lane);

/* Something was queued: send it at the end of this turn. */
void lane_wake(struct lane *l);

/*
 * Ours: end it after what is queued.  The peer's: everything that came is
 * taken, and after its fin it may be closed.
 */
void lane_finish(struct lane *l);

/*
 * Break it off: ours, nothing more of the queue is sent and code tells the
 * peer why not (RESET_STREAM); the peer's, it is told that nobody wants it
 * (STOP_SENDING).  No callback but closed() comes.  code is not 0.
 */
void lane_break(struct lane *l, uint64_t code);

/* n bytes given to its bytes() have been used. */
void lane_consumed(struct lane *l, size_t n);

/* The same for its own window alone; the rest is link_credit(). */
void lane_credit(struct lane *l, size_t n);

/* For the kinds of links. */

void lane_init(struct lane *l, struct link *link, uint64_t id);
/* The peer sends, as one of ops; afterwards l may be dead. */
void lane_take(struct lane *l, struct view bytes, bool fin);
/* n bytes of ours have reached the peer; fin: and the end. */
void lane_acked(struct lane *l, size_t n, bool fin);
/* The peer breaks it off. */
void lane_broken(struct lane *l, uint64_t code);
/* Nothing more can happen to it: closed() comes. */
void lane_over(struct lane *l);

/* Tell the owner what is to be told; not after down(). */
void lane_tell_all(struct link *l);
/* Nobody is told. */
void lane_free(struct lane *l);
void lane_free_all(struct link *l);

#endif /* LINK_LANE_H */
