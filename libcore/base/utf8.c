/* SPDX-License-Identifier: ISC */
#include "base/utf8.h"

size_t
utf8_size(struct view v)
{
	uint8_t first, low = 0x80,
		       high = 0xbf; /* of the byte after the first */
	size_t i, n;

	if (v.len == 0)
		return 0;
	first = v.p[0];
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (v.len < n)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (v.p[i] < low || v.p[i] > high)
			return 0;
	return n;
}
