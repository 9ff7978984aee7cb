/* SPDX-License-Identifier: ISC */
/*
 * What a client has to send: messages that wait for a link, or for their
 * acknowledgement.  It outlives the links, and knows what is in doubt.
 */
#ifndef LINK_OUTBOX_H
#define LINK_OUTBOX_H

#include "base/outq.h"
#include "link/link.h"
#include "wire/frame.h"

struct outbox {
	struct outq control; /* of the link's own stream */
	struct link *link;   /* that messages may go by; NULL: none */
	size_t limit;
	uint64_t sent; /* messages queued */
	bool wants_room;
};

/* limit: bytes that may wait, about. */
void outbox_init(struct outbox *o, size_t limit);
void outbox_fini(struct outbox *o);

/* Queue a message, or a frame as it is.  ERR_NOMEM */
int outbox_send(struct outbox *o, const struct data_frame *d);
int outbox_forward(struct outbox *o, struct view frame);

/* More would go over the limit: outbox_has_room() is to be asked. */
bool outbox_is_full(struct outbox *o);
/* There is room again, for whom outbox_is_full() told to wait: once. */
bool outbox_has_room(struct outbox *o);

/* Nothing waits, neither to be sent nor to be acknowledged. */
bool outbox_is_empty(const struct outbox *o);
/* Bytes that do. */
size_t outbox_waiting(const struct outbox *o);

/* Greeted by l: what waits may go. */
void outbox_attach(struct outbox *o, struct link *l);

/* The link is broken: make ready for the next; as doubt_settle(). */
uint64_t outbox_settle(struct outbox *o);

/* The link is gone. */
void outbox_detach(struct outbox *o);

/* Forget what waits: everything has arrived, as far as one can know. */
void outbox_clear(struct outbox *o);

#endif /* LINK_OUTBOX_H */
