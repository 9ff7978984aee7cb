/* SPDX-License-Identifier: ISC */
/*
 * The children of a frame, one after the other, and the numbers that the frames
 * of ours have for children.  For the codecs in wire/ alone.
 */
#ifndef WIRE_FIELD_H
#define WIRE_FIELD_H

#include "base/err.h"
#include "wire/y3.h"

/* How deep nodes may stand in a frame.  No frame that we know holds any. */
#define FIELD_NEST_MAX 8

/*
 * OK if v is a run of whole packets, and so is each node in it, else ERR_BAD.
 *
 * Go decodes such nodes, if only to ignore them, and a length in one that
 * passes its end can panic it: a frame that we forward must not do that.
 */
int field_check_nodes(struct view v);

/*
 * Take the next child that is no node off the front of body.
 *
 * ERR_NONE  there are no more
 * ERR_BAD
 */
static inline int
field_next(struct view *body, struct y3_packet *out)
{
	while (body->len > 0) {
		if (y3_get(body, SIZE_MAX, out) != OK)
			return ERR_BAD;
		if (!out->is_node)
			return OK;
		if (field_check_nodes(out->value) != OK)
			return ERR_BAD;
	}
	return ERR_NONE;
}

/* The longest value that is a number. */
#define FIELD_NUMBER_MAX 8

/* Unsigned, big-endian; ERR_BAD: no bytes, or more than eight. */
int field_get_number(struct view value, uint64_t *out);

/* The size in all of the child that field_put_number() writes. */
size_t field_number_size(uint64_t v);

/* Write a number in its shortest form; return the byte after it. */
uint8_t *field_put_number(uint8_t *p, uint8_t id, uint64_t v);

/* The same in eight bytes, so that it can be changed in place. */
#define FIELD_FIXED_SIZE (2 + FIELD_NUMBER_MAX)
uint8_t *field_put_fixed(uint8_t *p, uint8_t id, uint64_t v);

#endif /* WIRE_FIELD_H */
