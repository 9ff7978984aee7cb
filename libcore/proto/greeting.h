/* SPDX-License-Identifier: ISC */
/*
 * What a client says first: who it is, and what it wants to hear.  Pure.
 */
#ifndef PROTO_GREETING_H
#define PROTO_GREETING_H

#include "auth/auth.h"
#include "base/outq.h"
#include "base/tag.h"
#include "wire/frame.h"
#include "wire/lane.h"

/* Tags that a Handshake may name, as each stands in it by itself. */
#define GREETING_TAGS_MAX 4096

struct greeting {
	const char *name;
	const char *id;	  /* AUTH_ID_SIZE characters */
	unsigned attempt; /* counted from 0, as Go does: "-N" after the id */
	enum client_type type;
	const char *version;
	const struct tag_range *tags; /* GREETING_TAGS_MAX tags in all */
	size_t n_tags;
	const char *target;		     /* or NULL */
	const struct credential *credential; /* or NULL */
};

/*
 * Queue the Handshake before everything else, and let nothing else go until
 * the gate of q is opened: what waits there is for a zipper that has said Ack.
 * ERR_NOMEM
 */
int greeting_queue(const struct greeting *g, struct outq *q);

/* Beyond what a Handshake can say, for a zipper that speaks yomo-x1. */
struct greeting_wish {
	const struct tag_range *tags; /* to observe */
	size_t n_tags;
	enum observe_policy policy;
	const char *group; /* or NULL */
	uint64_t prefetch;
};

/* Queue it as Observe frame; the ObserveAck names request.  ERR_NOMEM */
int greeting_observe(
    const struct greeting_wish *w, uint64_t request, struct outq *q);

/* Queue an Interest frame for these tags.  ERR_NOMEM */
int greeting_interest(
    const struct tag_range *tags, size_t n_tags, struct outq *q);

#endif /* PROTO_GREETING_H */
