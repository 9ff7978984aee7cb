/* SPDX-License-Identifier: ISC */
/* Ranges of tags as they stand in a frame: two little-endian u32 each. */
#ifndef WIRE_RANGES_H
#define WIRE_RANGES_H

#include "base/tag.h"
#include "base/view.h"

/* The size of one. */
#define RANGES_ONE 8

/* ERR_BAD: a cut one at the end, or one that ends before it begins. */
int ranges_check(struct view ranges);

/* How many there are, and the i-th. */
size_t ranges_count(struct view ranges);
struct tag_range ranges_at(struct view ranges, size_t i);

/* Write a range; return the byte after it. */
uint8_t *ranges_put(uint8_t *p, struct tag_range r);

#endif /* WIRE_RANGES_H */
