/* SPDX-License-Identifier: ISC */
/*
 * Y3 codec: tag, length, value.  yomo-protocol(7) has the grammar.
 *
 * Pure functions on byte ranges: no I/O, no allocation, no clock.
 */
#ifndef WIRE_Y3_H
#define WIRE_Y3_H

#include "base/view.h"

/* The longest encoding of a length accepted from a peer: Go takes padded ones.
 */
#define Y3_LEN_MAX 6

struct y3_packet {
	uint8_t id;   /* 0..63 */
	bool is_node; /* value is itself a run of packets */
	struct view value;
};

/*
 * Take one packet off the front of in.
 *
 * On OK, in moves past the packet, and out->value points into the bytes in
 * held: it lives as long as they do.  On any failure in and out are untouched.
 *
 * ERR_MORE   in holds only the start of a packet
 * ERR_BAD    the length is negative, or wider than 32 bits
 * ERR_LIMIT  the value is longer than max
 */
int y3_get(struct view *in, size_t max, struct y3_packet *out);

/*
 * Say how many bytes the packet at the front of in takes in all, which needs
 * only its first bytes to be there.  Failures as y3_get().
 */
int y3_peek(struct view in, size_t max, size_t *size);

/* How many bytes a header (first byte and length) for a value of len takes. */
size_t y3_header_size(size_t len);

/* Write a header at p, which has room; return the byte after it. */
uint8_t *y3_put_header(uint8_t *p, uint8_t first, size_t len);

/* Write a whole packet at p, which has room; return the byte after it. */
uint8_t *y3_put(uint8_t *p, uint8_t first, struct view value);

/* NVarUint32: big-endian two's complement, 1 to 4 bytes (ERR_BAD: empty). */
int y3_get_u32(struct view v, uint32_t *out);
size_t y3_u32_size(uint32_t v);
uint8_t *y3_put_u32(uint8_t *p, uint32_t v);

#endif /* WIRE_Y3_H */
