/* SPDX-License-Identifier: ISC */
/* Any bytes as the body of a Handshake, the first thing a stranger sends. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/hello.h"

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

#define TAGS_MAX 16

/* A zipper's answer is a sentence; who is let in has all that it needs. */
static void
check_answer(struct view body, bool guarded, bool old_versions)
{
	static struct tokens *open, *closed;
	char secret[] = "SECRET", text[HELLO_TEXT];
	struct hello_rules rules = {
	    .max_tags = TAGS_MAX, .old_versions = old_versions};
	struct frame f = {.type = FRAME_HANDSHAKE, .body = body};
	struct handshake h;
	int r;

	if (open == NULL)
		assert(auth_init() == OK && tokens_new(&open) == OK &&
		       tokens_new(&closed) == OK &&
		       tokens_add(closed, secret) == OK);
	rules.tokens = guarded ? closed : open;
	memset(text, 0xff, sizeof(text));
	r = hello_judge(&rules, &f, &h, text);
	if (r != OK) {
		assert(r == ERR_BAD || r == ERR_NONE || r == ERR_AUTH ||
		       r == ERR_LIMIT);
		assert(text[0] != '\0' && memchr(text, '\0', sizeof(text)));
		return;
	}
	assert(h.client_type != 0);
	assert(handshake_tags(h.tags) <= TAGS_MAX);
	assert(old_versions || view_equal(h.version, view_of(FRAME_SPEC)) ||
	       view_equal(h.version, view_of(FRAME_SPEC_OURS)));
	assert(rules.tokens == open ||
	       view_equal(h.auth_payload, view_of("SECRET")));
	assert(h.definition.len == 0 || view_equal(h.target, h.name));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view body = {p, len}, in;
	struct handshake h, again;
	struct frame f;
	size_t size;
	uint8_t *q;

	check_answer(body, false, false);
	check_answer(body, false, true);
	check_answer(body, true, true);
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
