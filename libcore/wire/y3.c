/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "base/err.h"
#include "wire/y3.h"

#define SIGN_BIT 0x40
#define MORE_BIT 0x80
#define GROUP_MASK 0x7f

/*
 * A length is two's complement in groups of seven bits, the highest first; bit
 * 7 says that another group follows.  The first group carries the sign: 63 is
 * one byte (3f), while 64 needs two (80 40), and 7f is -1.
 */
int
y3_get_header(struct view in, size_t max, size_t *head, size_t *len)
{
	uint64_t v;
	size_t i;

	if (in.len < 2)
		return ERR_MORE;
	if (in.p[1] & SIGN_BIT)
		return ERR_BAD;
	v = in.p[1] & GROUP_MASK;
	for (i = 1; in.p[i] & MORE_BIT; i++) {
		if (i == Y3_LEN_MAX)
			return ERR_BAD;
		if (i + 1 == in.len)
			return ERR_MORE;
		v = v << 7 | (in.p[i + 1] & GROUP_MASK);
	}
	if (v > INT32_MAX)
		return ERR_BAD;
	if (v > max)
		return ERR_LIMIT; /* before waiting for bytes we would refuse */
	*head = i + 1;
	*len = (size_t)v;
	return OK;
}

int
y3_peek(struct view in, size_t max, size_t *size)
{
	size_t head, len;
	int r;

	if ((r = y3_get_header(in, max, &head, &len)) != OK)
		return r;
	*size = head + len;
	return OK;
}

/* How many bits v has without its leading zeros; 1 for 0. */
static size_t
bits(uint32_t v)
{
	return 32 - (size_t)__builtin_clz(v | 1);
}

/* The bytes of the length alone, one bit being its sign. */
static size_t
len_size(size_t len)
{
	assert(len <= INT32_MAX);
	return bits((uint32_t)len) / 7 + 1;
}

size_t
y3_header_size(size_t len)
{
	return 1 + len_size(len);
}

size_t
y3_size(size_t len)
{
	return y3_header_size(len) + len;
}

uint8_t *
y3_put_header(uint8_t *p, uint8_t first, size_t len)
{
	size_t n;

	*p++ = first;
	for (n = len_size(len) - 1; n > 0; n--)
		*p++ = (uint8_t)(MORE_BIT | len >> 7 * n);
	*p++ = len & GROUP_MASK;
	return p;
}

uint8_t *
y3_put(uint8_t *p, uint8_t first, struct view value)
{
	p = y3_put_header(p, first, value.len);
	if (value.len > 0)
		memcpy(p, value.p, value.len);
	return p + value.len;
}

int
y3_get_u32(struct view v, uint32_t *out)
{
	uint32_t n;
	size_t i;

	if (v.len == 0)
		return ERR_BAD;
	n = v.p[0] & 0x80 ? UINT32_MAX : 0;
	/* Of more than four bytes Go keeps the low 32 bits. */
	for (i = v.len > 4 ? v.len - 4 : 0; i < v.len; i++)
		n = n << 8 | v.p[i];
	*out = n;
	return OK;
}

size_t
y3_u32_size(uint32_t v)
{
	/* Of a negative number the leading ones say nothing. */
	return bits(v & 0x80000000 ? ~v : v) / 8 + 1;
}

uint8_t *
y3_put_u32(uint8_t *p, uint32_t v)
{
	size_t n;

	for (n = y3_u32_size(v); n > 0; n--)
		*p++ = (uint8_t)(v >> 8 * (n - 1));
	return p;
}
