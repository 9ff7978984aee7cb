/* SPDX-License-Identifier: ISC */
/* Any bytes as frames: what can be decoded is the same once encoded again. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/frame.h"

#define MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void
check_within(struct view part, struct view whole)
{
	if (part.len == 0)
		return;
	assert(part.p >= whole.p);
	assert(part.p + part.len <= whole.p + whole.len);
}

/* The only frame that p holds. */
static struct frame
only(const uint8_t *p, size_t size, uint8_t type)
{
	struct view in = {p, size};
	struct frame f;

	assert(frame_get(&in, SIZE_MAX, &f) == OK && in.len == 0);
	assert(f.type == type);
	return f;
}

static void
check_data(struct view body)
{
	struct data_frame d, again;
	size_t size;
	uint8_t *p;
	struct frame f;

	if (data_frame_get(body, &d) != OK)
		return;
	check_within(d.meta, body);
	check_within(d.payload, body);
	size = data_frame_size(&d);
	assert((p = malloc(size)) != NULL);
	assert(data_frame_put(p, &d) == p + size);
	f = only(p, size, FRAME_DATA);
	assert(data_frame_get(f.body, &again) == OK);
	assert(again.tag == d.tag);
	assert(view_equal(again.meta, d.meta));
	assert(view_equal(again.payload, d.payload));
	free(p);
}

static void
check_text(struct view body)
{
	struct view text, again;
	size_t size;
	uint8_t *p;
	struct frame f;

	if (frame_text_get(body, &text) != OK)
		return;
	check_within(text, body);
	size = frame_text_size(text);
	assert((p = malloc(size)) != NULL);
	assert(frame_text_put(p, FRAME_GOAWAY, text) == p + size);
	f = only(p, size, FRAME_GOAWAY);
	assert(frame_text_get(f.body, &again) == OK);
	assert(view_equal(again, text));
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view in = {p, len};
	const uint8_t *at = p;
	struct frame f;
	size_t size;

	while (frame_get(&in, MAX, &f) == OK) {
		assert(f.whole.p == at && f.whole.len >= 2);
		at += f.whole.len;
		assert(in.p == at && in.len == (size_t)(p + len - at));
		assert(frame_peek(f.whole, MAX, &size) == OK);
		assert(size == f.whole.len && f.body.len <= MAX);
		assert(f.body.p + f.body.len == at);
		assert(frame_name(f.type) != NULL);
		/* Whatever the type: a body is only bytes. */
		check_data(f.body);
		check_text(f.body);
	}
	return 0;
}
