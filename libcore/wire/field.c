/* SPDX-License-Identifier: ISC */
#include "wire/field.h"

int
field_check_nodes(struct view v)
{
	struct view open[FIELD_NEST_MAX]; /* what is left of those we are in */
	struct y3_packet c;
	size_t n = 0;

	open[n++] = v;
	while (n > 0) {
		if (open[n - 1].len == 0) {
			n--;
			continue;
		}
		if (y3_get(&open[n - 1], SIZE_MAX, &c) != OK)
			return ERR_BAD;
		if (!c.is_node)
			continue;
		if (n == FIELD_NEST_MAX)
			return ERR_BAD;
		open[n++] = c.value;
	}
	return OK;
}

int
field_get_number(struct view value, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (value.len == 0 || value.len > FIELD_NUMBER_MAX)
		return ERR_BAD;
	for (i = 0; i < value.len; i++)
		v = v << 8 | value.p[i];
	*out = v;
	return OK;
}

/* The bytes of the value alone: at least one. */
static size_t
number_len(uint64_t v)
{
	return 8 - (size_t)__builtin_clzll(v | 1) / 8;
}

size_t
field_number_size(uint64_t v)
{
	return y3_size(number_len(v));
}

static uint8_t *
put_bytes(uint8_t *p, uint8_t id, uint64_t v, size_t n)
{
	p = y3_put_header(p, id, n);
	for (; n > 0; n--)
		*p++ = (uint8_t)(v >> 8 * (n - 1));
	return p;
}

uint8_t *
field_put_number(uint8_t *p, uint8_t id, uint64_t v)
{
	return put_bytes(p, id, v, number_len(v));
}

uint8_t *
field_put_fixed(uint8_t *p, uint8_t id, uint64_t v)
{
	return put_bytes(p, id, v, FIELD_NUMBER_MAX);
}
