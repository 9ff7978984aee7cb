/* SPDX-License-Identifier: ISC */
/* Any bytes as the body of a Handshake, the first thing a stranger sends. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void
check_same(struct view a, struct view b, struct view body)
{
	assert(view_equal(a, b));
	if (a.len > 0)
		assert(a.p >= body.p && a.p + a.len <= body.p + body.len);
}

static void
check_tags(struct view tags)
{
	size_t i, n = handshake_tags(tags);
	uint8_t bytes[4];

	assert(n * 4 <= tags.len && tags.len < n * 4 + 4);
	for (i = 0; i < n; i++) {
		assert(handshake_put_tag(bytes, handshake_tag(tags, i)) ==
		       bytes + 4);
		assert(memcmp(bytes, tags.p + 4 * i, 4) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view body = {p, len}, in;
	struct handshake h, again;
	struct frame f;
	size_t size;
	uint8_t *q;

	if (handshake_get(body, &h) != OK)
		return 0;
	check_tags(h.tags);
	size = handshake_size(&h);
	assert((q = malloc(size)) != NULL);
	assert(handshake_put(q, &h) == q + size);
	in = (struct view){q, size};
	assert(frame_get(&in, SIZE_MAX, &f) == OK && in.len == 0);
	assert(f.type == FRAME_HANDSHAKE);
	assert(handshake_get(f.body, &again) == OK);
	assert(again.client_type == h.client_type);
	check_same(h.name, again.name, body);
	check_same(h.id, again.id, body);
	check_same(h.tags, again.tags, body);
	check_same(h.auth_name, again.auth_name, body);
	check_same(h.auth_payload, again.auth_payload, body);
	check_same(h.version, again.version, body);
	check_same(h.definition, again.definition, body);
	check_same(h.target, again.target, body);
	free(q);
	return 0;
}
