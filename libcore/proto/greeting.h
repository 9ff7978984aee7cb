/* SPDX-License-Identifier: ISC */
/* The first frame of a client: who it is and what it wants.  Pure. */
#ifndef PROTO_GREETING_H
#define PROTO_GREETING_H

#include "auth/auth.h"
#include "base/outq.h"
#include "wire/frame.h"

struct greeting {
	const char *name;
	const char *id;	  /* AUTH_ID_SIZE characters */
	unsigned attempt; /* counted from 0, as Go does: "-N" after the id */
	enum client_type type;
	const uint32_t *tags;
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

#endif /* PROTO_GREETING_H */
