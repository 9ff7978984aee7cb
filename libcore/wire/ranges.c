/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "wire/frame.h"
#include "wire/ranges.h"

size_t
ranges_count(struct view ranges)
{
	return ranges.len / RANGES_ONE;
}

struct tag_range
ranges_at(struct view ranges, size_t i)
{
	return (struct tag_range){
	    handshake_tag(ranges, 2 * i), handshake_tag(ranges, 2 * i + 1)};
}

uint8_t *
ranges_put(uint8_t *p, struct tag_range r)
{
	return handshake_put_tag(handshake_put_tag(p, r.first), r.last);
}

int
ranges_check(struct view ranges)
{
	struct tag_range r;
	size_t i;

	if (ranges.len % RANGES_ONE != 0)
		return ERR_BAD;
	for (i = 0; i < ranges_count(ranges); i++) {
		r = ranges_at(ranges, i);
		if (r.first > r.last)
			return ERR_BAD;
	}
	return OK;
}
