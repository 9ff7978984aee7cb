/* SPDX-License-Identifier: ISC */
/*
 * A link: one ordered stream of bytes to a peer and one back, with
 * back-pressure both ways, whatever carries it: QUIC, a unix socket, pipes.
 *
 * What is to be sent stands in a queue (base/outq.h) that outlives the link.
 * All callbacks come from the loop, none from within a call here.
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "base/outq.h"
#include "base/view.h"
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
	/* Bytes or a fin came in this turn: time to work on them. */
	void (*pause)(void *arg);
	/* The queue got shorter, or the fin was acknowledged. */
	void (*moved)(void *arg);
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
	char name[64]; /* the peer, for the log */
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

/* What every kind of link can do.  For link/ only. */
struct link_kind {
	void (*wake)(struct link *l);
	void (*consumed)(struct link *l, size_t n);
	void (*widen)(struct link *l, size_t n);
	void (*close)(struct link *l, uint64_t code, const char *reason);
};

#endif /* LINK_LINK_H */
