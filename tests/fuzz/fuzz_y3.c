/* SPDX-License-Identifier: ISC */
/* Walk any bytes as packets: forward, within bounds, and back to bytes. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/y3.h"

/* Small enough that inputs reach it. */
#define MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* A packet that was read from bytes. */
static void
check_packet(struct view bytes, const struct y3_packet *c)
{
	struct view again, cut = {bytes.p, bytes.len - 1};
	size_t size = y3_header_size(c->value.len) + c->value.len;
	struct y3_packet got;
	uint8_t *copy;

	assert(c->value.len <= MAX && size <= bytes.len);
	assert(c->value.p + c->value.len == bytes.p + bytes.len);
	assert(y3_get(&cut, MAX, &got) == ERR_MORE);
	assert(cut.p == bytes.p && cut.len == bytes.len - 1);

	assert((copy = malloc(size)) != NULL);
	assert(y3_put(copy, bytes.p[0], c->value) == copy + size);
	again = (struct view){copy, size};
	assert(y3_get(&again, MAX, &got) == OK && again.len == 0);
	assert(got.id == c->id && got.is_node == c->is_node);
	assert(view_equal(got.value, c->value));
	/* Bytes of that size were in the shortest form to begin with. */
	assert(size < bytes.len || memcmp(copy, bytes.p, size) == 0);
	free(copy);
}

static void
check_number(struct view v)
{
	uint8_t bytes[4];
	uint32_t n, again;
	size_t size;

	if (y3_get_u32(v, &n) != OK) {
		assert(v.len == 0);
		return;
	}
	size = y3_u32_size(n);
	assert(size <= sizeof(bytes) && size <= v.len);
	assert(y3_put_u32(bytes, n) == bytes + size);
	assert(y3_get_u32((struct view){bytes, size}, &again) == OK);
	assert(again == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view in = {p, len}, before;
	struct y3_packet c;
	size_t size = 0, head = 0, value = 0;
	int r, peek;

	for (;;) {
		before = in;
		peek = y3_peek(in, MAX, &size);
		assert(y3_get_header(in, MAX, &head, &value) == peek);
		r = y3_get(&in, MAX, &c);
		if (r != OK)
			break;
		assert(peek == OK && size == head + value);
		assert(in.p == before.p + size);
		assert(in.len == before.len - size);
		check_packet((struct view){before.p, size}, &c);
		check_number(c.value);
	}
	assert(in.p == before.p && in.len == before.len);
	if (peek == OK)
		assert(r == ERR_MORE && size > in.len);
	else
		assert(r == peek);
	return 0;
}
