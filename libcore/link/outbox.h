/* SPDX-License-Identifier: ISC */
/*
 * What a client has to send: messages that wait for a link, or for their
 * acknowledgement.  It outlives the links, and knows what is in doubt.
 *
 * On a link with lanes each tag, and each session of a tag, has a queue and a
 * lane of its own, opened with its first message; OUTBOX_LANES in all, the last
 * of which is for all further ones.  Other links have the one stream.
 */
#ifndef LINK_OUTBOX_H
#define LINK_OUTBOX_H

#include "base/outq.h"
#include "link/link.h"
#include "wire/frame.h"
#include "wire/lane.h"

#define OUTBOX_LANES 64

struct outbox_ops {
	/* There is room, for who was told to wait. */
	void (*room)(void *arg);
	/* Out of memory for what is queued already: it would not go. */
	void (*failed)(void *arg);
};

/* Messages of one tag (and session), and the lane they go by. */
struct outbox_queue {
	struct outbox *box;
	struct outq out;
	struct lane *lane; /* NULL: not opened yet */
	bool shared;	   /* of any tag */
	uint32_t tag;
	uint8_t *session;
	size_t session_len;
	uint64_t unobserved; /* of its messages, as the zipper says */
	size_t counted;	     /* bytes of it that box->waiting has */
	bool crowded;	     /* it has been full, and is not half empty */
	bool ended;	     /* no more messages are put to it */
	bool unwanted;	     /* by the zipper: what is left is dropped */
	bool used;	     /* since outbox_trim() */
};

struct outbox {
	const struct outbox_ops *ops;
	void *arg;
	struct link *link; /* that messages may go by; NULL: none */
	size_t limit;
	bool lanes;
	struct outbox_queue control; /* of the link's own stream */
	/* Of lanes, the eldest first.  A shared one may follow one that ends.
	 */
	struct outbox_queue *queues[OUTBOX_LANES + 1];
	size_t n;
	struct outbox_queue *recent;
	/* Of lanes that are over, the latest: what was unobserved. */
	struct {
		uint64_t lane;
		uint64_t unobserved;
	} past[OUTBOX_LANES];
	size_t n_past;	/* ever */
	size_t waiting; /* bytes not acknowledged, of all messages */
	size_t n_crowded;
	bool crowded;	 /* all of them together */
	bool wants_room; /* outbox_is_full() was true */
	bool eased;	 /* something is crowded no more, since */
	bool finishing;
	uint64_t sent;	     /* messages queued */
	uint64_t unobserved; /* of them, as the zippers say */
};

/*
 * limit: bytes that may wait in one queue, about; in all of them it is
 * OUTBOX_QUEUES_FULL times as much.
 */
#define OUTBOX_QUEUES_FULL 8
void outbox_init(
    struct outbox *o, size_t limit, const struct outbox_ops *ops, void *arg);
void outbox_fini(struct outbox *o);

/*
 * Queue a message, of a session unless that is empty; or a frame as it is, of
 * tag.  ERR_NOMEM
 */
int outbox_send(
    struct outbox *o, struct view session, const struct data_frame *d);
int outbox_forward(struct outbox *o, uint32_t tag, struct view frame);

/* The session of this tag is over: its lane ends after what is queued. */
void outbox_end_session(struct outbox *o, uint32_t tag, struct view session);

/*
 * A queue is over its limit, or all together are: wait for room(), and ask
 * again.
 */
bool outbox_is_full(struct outbox *o);
/* The same, but of the queues only that of this tag counts. */
bool outbox_is_full_for(struct outbox *o, uint32_t tag, struct view session);

/* No message waits, neither to be sent nor to be acknowledged. */
bool outbox_is_empty(const struct outbox *o);

/*
 * The link that is up has lanes, or has none: let the messages that wait stand
 * where they are to go.  ERR_NOMEM
 */
int outbox_use_lanes(struct outbox *o, bool lanes);

/* Greeted by l: what waits may go.  ERR_NOMEM */
int outbox_attach(struct outbox *o, struct link *l);

/* Of the link's own stream, something was acknowledged. */
void outbox_moved(struct outbox *o);

/* The link allows more lanes.  ERR_NOMEM */
int outbox_open_lanes(struct outbox *o);

/* The zipper's Taken frame. */
void outbox_note_taken(struct outbox *o, const struct taken_frame *t);

/* Queue a Taken frame, of the peer's lane.  ERR_NOMEM */
int outbox_tell_taken(struct outbox *o, const struct taken_frame *t);

/*
 * End every lane after what is queued and, when that has been acknowledged, the
 * link's own stream.
 */
void outbox_finish(struct outbox *o);

/* The link is broken: make ready for the next; as doubt_settle(). */
uint64_t outbox_settle(struct outbox *o);

/* The link is gone. */
void outbox_detach(struct outbox *o);

/* Forget what waits: everything has arrived, as far as one can know. */
void outbox_clear(struct outbox *o);

/* Give back the memory of queues that are idle since the last call.
 * True: more may be so later. */
bool outbox_trim(struct outbox *o);

#endif /* LINK_OUTBOX_H */
