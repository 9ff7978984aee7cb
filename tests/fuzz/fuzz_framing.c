/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a stream of messages.  The first byte picks the format, the
 * second how the rest is cut: the messages may not depend on that, and each
 * comes back when it is written and read again.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "framing/framing.h"

#define KINDS 7
#define MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static struct framing *
framing(const struct framing_conf *conf)
{
	struct framing *f;

	assert(framing_new(&f, conf) == OK);
	return f;
}

static void
check_same(const struct framing_msg *a, const struct framing_msg *b)
{
	assert(a->has_tag == b->has_tag && a->tag == b->tag);
	assert(view_equal(a->meta, b->meta));
	assert(view_equal(a->payload, b->payload));
	assert(a->has_gap == b->has_gap && a->gap.tag == b->gap.tag);
	assert(a->gap.messages == b->gap.messages);
	assert(a->gap.bytes == b->gap.bytes);
}

/* Write m in its own format, and read it back. */
static void
check_again(enum framing_kind kind, const struct framing_msg *m)
{
	const struct framing_conf conf = {kind, 0, MAX};
	struct framing *f = framing(&conf);
	struct framing_msg got;
	struct buf out = {0};
	struct view in;

	assert(framing_put(kind, m, &out) == OK);
	in = buf_view(&out);
	/* Nothing is what raw makes of an empty payload. */
	if (in.len > 0) {
		assert(framing_get(f, &in, true, &got) == OK);
		assert(in.len == 0);
		check_same(m, &got);
	}
	buf_fini(&out);
	framing_free(f);
}

/* A frame that is taken apart is the same once it is put together. */
static void
check_parts(const struct framing_msg *m)
{
	struct framing_msg parts = *m;

	parts.whole = (struct view){NULL, 0};
	if (m->has_tag || m->has_gap)
		check_again(FRAMING_FRAMES, &parts);
}

/* As JSON it is refused, or its payload comes back. */
static void
check_json(const struct framing_msg *m)
{
	const struct framing_conf conf = {FRAMING_JSON, 0, MAX};
	struct framing *f = framing(&conf);
	struct framing_msg got;
	struct buf out = {0};
	struct view in;
	int r;

	r = framing_put(FRAMING_JSON, m, &out);
	assert(r == OK || (r == ERR_BAD && out.len == 0));
	if (r == OK) {
		in = buf_view(&out);
		assert(framing_get(f, &in, false, &got) == OK && in.len == 0);
		assert(got.has_tag == m->has_tag && got.tag == m->tag);
		assert(view_equal(got.payload, m->payload));
		assert(got.has_gap == m->has_gap && got.gap.tag == m->gap.tag);
	}
	buf_fini(&out);
	framing_free(f);
}

static void
note(struct buf *log, const void *p, size_t len)
{
	assert(buf_put(log, (struct view){p, len}) == OK);
}

static void
note_view(struct buf *log, struct view v)
{
	note(log, &v.len, sizeof(v.len));
	note(log, v.p, v.len);
}

/* All messages of in, step bytes of it at a time; log tells what came out. */
static void
decode(const struct framing_conf *conf, struct view in, size_t step,
    struct buf *log)
{
	struct framing *f = framing(conf);
	size_t taken = 0, given = 0;
	struct framing_msg m;
	struct view now;
	uint64_t offset;
	int r;

	do {
		given = in.len - given < step ? in.len : given + step;
		now = (struct view){in.p + taken, given - taken};
		while ((r = framing_get(f, &now, given == in.len, &m)) == OK) {
			assert(m.payload.len <= MAX);
			assert(now.p + now.len == in.p + given);
			assert(now.len < given - taken);
			taken = given - now.len;
			note(log, &m.tag, sizeof(m.tag));
			note_view(log, m.meta);
			note_view(log, m.payload);
			note(log, &m.gap.messages, sizeof(m.gap.messages));
			note_view(log, m.whole);
			if (step < SIZE_MAX)
				continue; /* the same messages, once more */
			check_again(conf->kind, &m);
			check_parts(&m);
			check_json(&m);
		}
		assert(now.p == in.p + taken);
	} while (r == ERR_MORE && given < in.len);
	assert(r == ERR_MORE || r == ERR_BAD || r == ERR_LIMIT);
	assert(r != ERR_MORE || taken == in.len);
	assert(r == ERR_MORE || framing_why(f) != NULL);
	offset = framing_offset(f);
	assert(offset == taken);
	note(log, &offset, sizeof(offset));
	note(log, &r, sizeof(r));
	framing_free(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct framing_conf conf = {.max = MAX};
	struct buf whole = {0}, pieces = {0};
	struct view in;

	if (len < 2)
		return 0;
	conf.kind = (enum framing_kind)(p[0] % KINDS);
	conf.block = p[0] / KINDS;
	in = (struct view){p + 2, len - 2};
	decode(&conf, in, SIZE_MAX, &whole);
	decode(&conf, in, 1 + p[1], &pieces);
	/* What a message of raw is depends on nothing but the cuts. */
	if (conf.kind != FRAMING_RAW || conf.block > 0)
		assert(view_equal(buf_view(&whole), buf_view(&pieces)));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
