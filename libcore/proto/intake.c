/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "proto/intake.h"

#define CAP_MIN 2048u
#define CAP_USUAL (64u << 10)
/* Frames that come large earn slabs that hold several of them. */
#define CAP_EARNED (1u << 20)
#define FRAMES_A_SLAB 4

void
intake_init(struct intake *in, size_t max)
{
	*in = (struct intake){.max = max, .next_cap = CAP_MIN};
}

static void
drop_front(struct intake *in)
{
	struct slab *s = in->front;

	in->front = s->next;
	in->at = 0;
	s->next = NULL;
	slab_unref(s);
}

void
intake_fini(struct intake *in)
{
	while (in->front != NULL)
		drop_front(in);
	intake_init(in, in->max);
}

bool
intake_fits(const struct intake *in, size_t n)
{
	return in->back != NULL && in->back->cap - in->back->len >= n;
}

/*
 * How large the next slab should be to take need bytes, and more to come: of
 * the frame they begin with, of which size bytes are known to follow, or 0.
 */
static size_t
choose_cap(struct intake *in, size_t need, size_t size)
{
	size_t earned, cap = in->next_cap;

	if (in->next_cap < CAP_USUAL)
		in->next_cap *= 2;
	earned = in->recent * FRAMES_A_SLAB;
	if (earned > CAP_EARNED)
		earned = CAP_EARNED;
	if (cap == CAP_USUAL && cap < earned)
		cap = earned;
	/* Twice what is there: a long frame is copied at most twice in all. */
	if (cap < need * 2)
		cap = need * 2;
	/* Nor is a long frame given twice the memory that it will need. */
	if (cap > CAP_EARNED && size > 0 && cap > size)
		cap = size > need ? size : need;
	return cap;
}

/* Where the whole frames end that stand in s from offset on. */
static size_t
whole_end(const struct intake *in, const struct slab *s, size_t offset)
{
	size_t size;

	while (frame_peek((struct view){s->data + offset, s->len - offset},
		   in->max, &size) == OK &&
	       size <= s->len - offset)
		offset += size;
	return offset;
}

/* Let s take the place of the last slab, none of whose bytes are needed. */
static void
replace_back(struct intake *in, struct slab *s)
{
	struct slab **link = &in->front;

	while (*link != in->back)
		link = &(*link)->next;
	if (link == &in->front)
		in->at = 0;
	slab_unref(in->back);
	*link = s;
	in->back = s;
}

/* Make room for n bytes in a fresh slab, or in this one from its front. */
static int
roll(struct intake *in, size_t n)
{
	struct slab *s, *old = in->back;
	size_t from = old == in->front ? in->at : 0, end, cut, size = 0;

	if (old == NULL) {
		if ((s = slab_new(choose_cap(in, n, 0))) == NULL)
			return ERR_NOMEM;
		in->front = in->back = s;
		return OK;
	}
	if (in->waiting == 0 && old == in->front && old->refs == 1 &&
	    old->cap >= n && old->cap >= in->next_cap) {
		old->len = 0; /* nobody shares it */
		in->at = 0;
		return OK;
	}
	end = whole_end(in, old, from);
	cut = old->len - end;
	(void)frame_peek((struct view){old->data + end, cut}, in->max, &size);
	if ((s = slab_new(choose_cap(in, cut + n, size))) == NULL)
		return ERR_NOMEM;
	memcpy(s->data, old->data + end, cut);
	s->len = cut;
	if (end == from) {
		replace_back(in, s);
	} else {
		old->len = end;
		old->next = s;
		in->back = s;
	}
	return OK;
}

int
intake_put(struct intake *in, struct view bytes)
{
	int r;

	if (bytes.len == 0)
		return OK;
	if (!intake_fits(in, bytes.len) && (r = roll(in, bytes.len)) != OK)
		return r;
	memcpy(in->back->data + in->back->len, bytes.p, bytes.len);
	in->back->len += bytes.len;
	in->waiting += bytes.len;
	return OK;
}

int
intake_next(struct intake *in, struct frame *f)
{
	struct view v;
	size_t size;
	int r;

	if (in->waiting == 0 || in->waiting < in->expected)
		return ERR_MORE;
	v = (struct view){in->front->data + in->at, in->front->len - in->at};
	if (v.len == 0)
		return ERR_MORE;
	r = frame_get(&v, in->max, f);
	/* A long frame is not looked at again before all of it is there. */
	if (r == ERR_MORE && frame_peek(v, in->max, &size) == OK)
		in->expected = size;
	if (r != OK)
		return r;
	in->expected = 0;
	in->at += f->whole.len;
	in->waiting -= f->whole.len;
	if (f->whole.len > in->recent)
		in->recent = f->whole.len;
	return OK;
}

bool
intake_is_cut(const struct intake *in)
{
	const struct slab *s = in->front;
	struct view v;
	size_t size;
	int r;

	if (in->waiting == 0)
		return false;
	v = (struct view){s->data + in->at, s->len - in->at};
	if (v.len == 0)
		v = (struct view){s->next->data, s->next->len};
	r = frame_peek(v, in->max, &size);
	return r == ERR_MORE || (r == OK && size > v.len);
}

bool
intake_advance(struct intake *in)
{
	if (in->front == in->back || in->at < in->front->len)
		return false;
	drop_front(in);
	return true;
}

size_t
intake_offset(const struct intake *in, const struct frame *f)
{
	return (size_t)(f->whole.p - in->front->data);
}

void
intake_back(struct intake *in, size_t offset)
{
	assert(offset <= in->at);
	in->waiting += in->at - offset;
	in->at = offset;
	in->expected = 0;
}

void
intake_trim(struct intake *in)
{
	if (in->waiting == 0)
		intake_fini(in);
}
