/* SPDX-License-Identifier: ISC */
/*
 * Y3 codec: tag, length, value.  yomo-protocol(7) has the grammar.
 *
 * Pure functions on byte ranges: no I/O, no allocation, no clock.
 */
#ifndef WIRE_Y3_H
#define WIRE_Y3_H

#include "base/err.h"
#include "base/view.h"

/* The longest encoding of a length accepted from a peer: Go takes padded ones.
 */
#define Y3_LEN_MAX 6

/* The first byte: a node's has this bit, and six bits are the id. */
#define Y3_NODE 0x80
#define Y3_ID_MASK 0x3f

struct y3_packet {
	uint8_t id;   /* 0..63 */
	bool is_node; /* value is itself a run of packets */
	struct view value;
};

/*
 * Read the header at the front of in: how many bytes it takes itself, and how
 * many the value after it, which need not be there yet.
 *
 * ERR_MORE   in holds only the start of a header
 * ERR_BAD    the length is negative, or wider than 32 bits
 * ERR_LIMIT  the value is longer than max
 */
int y3_get_header(struct view in, size_t max, size_t *head, size_t *len);

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
static inline int
y3_get(struct view *in, size_t max, struct y3_packet *out)
{
	const uint8_t *p = in->p;
	size_t head = 0, len = SIZE_MAX, h, l;
	int r;

	/*
	 * A zipper comes here four times for each message.  Nearly all lengths
	 * take one byte or two; in place they cost a quarter of a call.
	 */
	if (in->len > 2 && p[1] < 0x40) {
		head = 2;
		len = p[1];
	} else if (in->len > 2 && (p[1] & 0xc0) == 0x80 && p[2] < 0x80) {
		head = 3;
		len = (size_t)(p[1] & 0x3f) << 7 | p[2];
	}
	if (len > max || len > in->len - head) {
		if ((r = y3_get_header(*in, max, &h, &l)) != OK)
			return r;
		if (in->len - h < l)
			return ERR_MORE;
		head = h;
		len = l;
	}
	out->id = p[0] & Y3_ID_MASK;
	out->is_node = (p[0] & Y3_NODE) != 0;
	out->value = (struct view){p + head, len};
	view_skip(in, head + len);
	return OK;
}

/*
 * Say how many bytes the packet at the front of in takes in all, which needs
 * only its first bytes to be there.  Failures as y3_get().
 */
int y3_peek(struct view in, size_t max, size_t *size);

/* How many bytes a header (first byte and length) for a value of len takes. */
size_t y3_header_size(size_t len);

/* How many bytes a whole packet with a value of len takes. */
size_t y3_size(size_t len);

/* Write a header at p, which has room; return the byte after it. */
uint8_t *y3_put_header(uint8_t *p, uint8_t first, size_t len);

/* Write a whole packet at p, which has room; return the byte after it. */
uint8_t *y3_put(uint8_t *p, uint8_t first, struct view value);

/* NVarUint32: big-endian two's complement, 1 to 4 bytes (ERR_BAD: empty). */
int y3_get_u32(struct view v, uint32_t *out);
size_t y3_u32_size(uint32_t v);
uint8_t *y3_put_u32(uint8_t *p, uint32_t v);

#endif /* WIRE_Y3_H */
