/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "proto/doubt.h"
#include "wire/frame.h"

/* Frames that end after from, and not after to, within one entry. */
struct count {
	size_t from;
	size_t to;
	uint64_t messages;
	size_t whole; /* where the last frame ends that does so before to */
};

static void
count_frames(struct view bytes, struct count *c)
{
	struct view left = bytes;
	struct frame f;
	size_t end;

	while (frame_get(&left, SIZE_MAX, &f) == OK) {
		end = bytes.len - left.len;
		if (end > c->to)
			return;
		c->whole = end;
		if (end > c->from && f.type == FRAME_DATA)
			c->messages++;
	}
}

static uint64_t
count_doubt(const struct outq *q)
{
	const struct outq_entry *e;
	struct count c = {0};
	size_t i;

	for (i = 0; i < q->n && i <= q->next; i++) {
		e = outq_at(q, i);
		if (e->len == 0)
			continue;
		c.from = i == 0 ? q->acked : 0;
		c.to = i < q->next ? e->len : q->sent;
		count_frames((struct view){e->slab->data + e->off, e->len}, &c);
	}
	return c.messages;
}

static size_t
whole_frames(struct view bytes, size_t sent)
{
	struct count c = {.to = sent};

	count_frames(bytes, &c);
	return c.whole;
}

uint64_t
doubt_settle(struct outq *q)
{
	uint64_t n = count_doubt(q);

	outq_restart(q, whole_frames);
	/* Only a greeting is no message. */
	if (q->n > 0 && outq_at(q, 0)->count == 0)
		outq_drop_first(q);
	outq_set_gate(q, SIZE_MAX);
	return n;
}
