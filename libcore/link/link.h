/* SPDX-License-Identifier: ISC */
/*
 * A link: one ordered stream of bytes to a peer and one back, with
 * back-pressure both ways, whatever carries it: QUIC, a unix socket, pipes.
 * Beside it, where both ends know them, lanes: streams of one direction.
 *
 * What is to be sent stands in queues (base/outq.h) that outlive the link.
 * All callbacks come from the loop, none from within a call here; they may
 * call everything here, link_close() too.
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "base/outq.h"
#include "base/view.h"
#include "link/lane.h"
#include "net/loop.h"

enum link_end_kind {
	LINK_FINISHED,	 /* a pipe: all is written, as link_finish() asked */
	LINK_CLOSED,	 /* the peer closed it with code and reason */
	LINK_LOST,	 /* silence, a reset, a broken socket */
	LINK_ABSENT,	 /* never came up: nobody answers */
	LINK_UNTRUSTED,	 /* a certificate or its absence was refused */
	LINK_STRANGER,	 /* the peer speaks another protocol or version */
	LINK_NO_READER,	 /* a pipe: standard output is closed */
	LINK_UNWRITABLE, /* a pipe: it is not, but takes nothing; in the log */
	LINK_FAILED,	 /* our own trouble, said in the log */
};

#define LINK_REASON 256

struct link_end {
	enum link_end_kind kind;
	uint64_t code;
	char reason[LINK_REASON]; /* in words, maybe the peer's; maybe "" */
};

struct link_ops {
	/* Bytes may flow. */
	void (*up)(void *arg);
	/* Bytes came, valid during the call; they hold up the peer until
	 * link_consumed(). */
	void (*bytes)(void *arg, struct view bytes);
	/* No bytes will follow. */
	void (*fin)(void *arg);
	/* Bytes or a fin came in this turn, here or on a lane: time to work on
	 * them. */
	void (*pause)(void *arg);
	/* The queue got shorter, or the fin was acknowledged. */
	void (*moved)(void *arg);
	/* The peer opens a lane: set its ops and arg and return true; false,
	 * or NULL: it is told to stop, and the lane is forgotten. */
	bool (*lane)(void *arg, struct lane *l);
	/* After link_open_lane() said ERR_MORE: try again.  May be NULL. */
	void (*lanes)(void *arg);
	/* It is over: the last call.  Call link_close() to free the link. */
	void (*down)(void *arg, const struct link_end *end);
};

struct link {
	const struct link_kind *kind;
	const struct link_ops *ops; /* NULL: closed by its owner */
	void *arg;
	struct outq *out;
	bool fin_wanted; /* link_finish() was called */
	bool fin_acked;	 /* ... and the peer has everything */
	/* The peer answers a fin with its own once it has taken everything;
	 * known when it is up. */
	bool answers_fin;
	/* Both ends know lanes (and answer a fin): known when it is up, on a
	 * unix socket with link_use_lanes(). */
	bool lanes;
	char name[64]; /* the peer, for the log */
	/* For link/ only. */
	struct lane_list lanes_all;
	struct lane_list lanes_due; /* to be told something */
	bool lanes_wanted;	    /* link_open_lane() said ERR_MORE */
	bool lanes_came;	    /* ... and now there may be some */
};

/* Something was queued: send it at the end of this turn. */
void link_wake(struct link *l);

/* End our direction after what is queued. */
void link_finish(struct link *l);

/* n bytes given to bytes() have been used. */
void link_consumed(struct link *l, size_t n);

/* Let the peer send n bytes more ahead of link_consumed(), for good. */
void link_widen(struct link *l, size_t n);

/*
 * Tell the peer (if it still is there) code and reason, and free the link: no
 * callback comes any more, the queue is no longer touched.
 */
void link_close(struct link *l, uint64_t code, const char *reason);

/*
 * The greeting decides for lanes: both ends call it, the client before it hears
 * anything (it says nothing but its Handshake, and opens none, before that is
 * answered), the zipper before it answers.  Afterwards only frames may be
 * queued.  Where the transport has decided, or there never are lanes, it is
 * nothing.
 */
void link_use_lanes(struct link *l);

/* The peer may have n more lanes open at a time. */
void link_allow_lanes(struct link *l, size_t n);

/*
 * Open a lane of ours; what is queued in out, which is borrowed until closed()
 * or link_close(), goes on it after lane_wake().
 * ERR_MORE   none is allowed now: link_ops.lanes tells when; of a link without
 *            lanes it never does
 * ERR_NOMEM, ERR_GONE
 */
int link_open_lane(struct link *l, struct outq *out, const struct lane_ops *ops,
    void *arg, struct lane **lane);

/*
 * n bytes given to the bytes() of a lane have been used, but do not count for
 * its own window (lane_credit()): the peer may send as much on any other.
 */
void link_credit(struct link *l, size_t n);

/* What every kind of link can do.  For link/ only. */
struct link_kind {
	void (*wake)(struct link *l);
	void (*consumed)(struct link *l, size_t n);
	void (*widen)(struct link *l, size_t n);
	void (*close)(struct link *l, uint64_t code, const char *reason);
	/* For lanes: of a link that never has any they are NULL. */
	void (*use_lanes)(struct link *l); /* NULL: nothing is to be done */
	void (*allow_lanes)(struct link *l, size_t n);
	int (*open_lane)(struct link *l, struct lane **lane);
	void (*credit)(struct link *l, size_t n);
	void (*later)(struct link *l); /* lane_tell_all() in this turn */
	void (*lane_wake)(struct lane *l);
	void (*lane_break)(struct lane *l, uint64_t code);
	void (*lane_credit)(struct lane *l, size_t n);
	void (*lane_closed)(struct lane *l); /* before closed() */
	void (*lane_free)(struct lane *l);   /* after it, or nobody is told */
};

/* l is zeroed. */
void link_init(struct link *l, const struct link_kind *kind);

#endif /* LINK_LINK_H */
