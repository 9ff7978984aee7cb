/* SPDX-License-Identifier: ISC */
/*
 * Received bytes, gathered into slabs and cut into frames.
 *
 * Each byte is copied once, into the slab from which it will be forwarded.
 * Slabs grow with what has come, never by a length that a peer announces; an
 * empty intake holds no memory.  Pure.
 */
#ifndef PROTO_INTAKE_H
#define PROTO_INTAKE_H

#include "base/slab.h"
#include "wire/frame.h"

struct intake {
	struct slab *slab;
	size_t at;     /* of the first byte in slab not yet taken as a frame */
	size_t max;    /* the longest frame accepted, in bytes */
	size_t recent; /* the size of the longest frame so far */
	size_t next_cap; /* what the next slab will hold */
	size_t expected; /* the size of the frame under way, once known */
};

void intake_init(struct intake *in, size_t max);
void intake_fini(struct intake *in);

/* Bytes held that no frame was made of yet. */
size_t intake_waiting(const struct intake *in);

/* Whether n bytes can be put without moving those that wait. */
bool intake_fits(const struct intake *in, size_t n);

/*
 * Copy bytes to the end.  Views and ranges handed out before stay valid as
 * long as their slab is referenced.  ERR_NOMEM.
 */
int intake_put(struct intake *in, struct view bytes);

/*
 * Take the next whole frame.  It lies in in->slab, which a later intake_put()
 * may replace: take a reference to keep it.
 *
 * ERR_MORE   none is whole yet
 * ERR_BAD    no frame can begin so
 * ERR_LIMIT  it would be longer than max
 */
int intake_next(struct intake *in, struct frame *f);

/* The offset of a taken frame in in->slab. */
size_t intake_offset(const struct intake *in, const struct frame *f);

/* Put back the frames from offset on, all of which lie in in->slab. */
void intake_back(struct intake *in, size_t offset);

/* If nothing waits, hold no memory: for when the peer falls idle. */
void intake_trim(struct intake *in);

#endif /* PROTO_INTAKE_H */
