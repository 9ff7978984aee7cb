/* SPDX-License-Identifier: ISC */
/*
 * Received bytes, gathered into slabs and cut into frames.
 *
 * Each byte is copied once, into the slab from which it will be forwarded;
 * only a frame that a slab's end cuts in two is moved.  Slabs grow with what
 * has come, never by a length that a peer announces; an empty intake that was
 * trimmed holds no memory.  Pure.
 */
#ifndef PROTO_INTAKE_H
#define PROTO_INTAKE_H

#include "base/slab.h"
#include "wire/frame.h"

struct intake {
	struct slab *front; /* where frames are taken from */
	struct slab *back;  /* where bytes are put: front, or after it */
	size_t at;	    /* of the first byte in front not yet taken */
	size_t waiting;	    /* bytes not yet taken, in all */
	size_t max;	    /* the longest frame accepted, in bytes */
	size_t recent;	    /* the size of the longest frame so far */
	size_t next_cap;    /* what the next slab will hold */
	size_t expected;    /* the size of the frame under way, once known */
};

void intake_init(struct intake *in, size_t max);
void intake_fini(struct intake *in);

/* Whether n bytes can be put without a slab more. */
bool intake_fits(const struct intake *in, size_t n);

/*
 * Copy bytes to the end.  Ranges handed out before stay valid as long as
 * their slab is referenced.  ERR_NOMEM.
 */
int intake_put(struct intake *in, struct view bytes);

/*
 * Take the next whole frame of in->front, which a later call to intake_put()
 * or intake_advance() may let go: reference it to keep the frame.
 *
 * ERR_MORE   none is whole yet, or the rest is in the next slab
 * ERR_BAD    no frame can begin so
 * ERR_LIMIT  it would be longer than max
 */
int intake_next(struct intake *in, struct frame *f);

/* What waits is the beginning of a single frame. */
bool intake_is_cut(const struct intake *in);

/* After ERR_MORE: go on to the next slab; false: there is none. */
bool intake_advance(struct intake *in);

/* The offset of a frame just taken in in->front. */
size_t intake_offset(const struct intake *in, const struct frame *f);

/* Put back the frames of in->front from offset on. */
void intake_back(struct intake *in, size_t offset);

/* If nothing waits, hold no memory: for when the peer falls idle. */
void intake_trim(struct intake *in);

#endif /* PROTO_INTAKE_H */
