/* SPDX-License-Identifier: ISC */
/*
 * What is left of a server's connection for a while after its end, so that
 * packets still under way are known for what they are: its ids, and the
 * CONNECTION_CLOSE to repeat if that was lost (RFC 9000, 10.2).
 */
#ifndef QUIC_GRAVE_H
#define QUIC_GRAVE_H

#include <sys/queue.h>

#include "quic/cid.h"

/* At most so many; the oldest then go early. */
#define QUIC_GRAVES_MAX 1024

struct quic_held;

struct quic_grave {
	TAILQ_ENTRY(quic_grave) link;
	struct quic_cid *cids;
	struct quic_held *words; /* NULL: the peer closed; nothing to say */
	uint64_t until;
	unsigned heard;
};

struct quic_graves {
	TAILQ_HEAD(quic_grave_list, quic_grave) list; /* the oldest first */
	size_t count;
	struct quic_cids *cids; /* the table that their ids are in */
};

void quic_grave_init(struct quic_graves *t, struct quic_cids *cids);
void quic_grave_fini(struct quic_graves *t);

/* Takes cids (a list) and words (may be NULL). */
void quic_grave_dig(struct quic_graves *t, struct quic_cid *cids,
    struct quic_held *words, uint64_t until);

/* A datagram of len bytes was for g: what to answer, or NULL.  Borrowed. */
const struct quic_held *quic_grave_heard(struct quic_grave *g, size_t len);

/* Close those whose time has come. */
void quic_grave_expire(struct quic_graves *t, uint64_t now);

#endif /* QUIC_GRAVE_H */
