/* SPDX-License-Identifier: ISC */
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

void
intake_fini(struct intake *in)
{
	slab_unref(in->slab);
	intake_init(in, in->max);
}

size_t
intake_waiting(const struct intake *in)
{
	return in->slab != NULL ? in->slab->len - in->at : 0;
}

bool
intake_fits(const struct intake *in, size_t n)
{
	return in->slab != NULL && in->slab->cap - in->slab->len >= n;
}

/* How large the next slab should be to take need bytes, and more to come. */
static size_t
choose_cap(struct intake *in, size_t need)
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
	return cap;
}

/* Go on in a fresh slab, or at the front of this one if nobody shares it. */
static int
roll(struct intake *in, size_t n)
{
	size_t waiting = intake_waiting(in);
	struct slab *s = in->slab;

	if (s != NULL && waiting == 0 && s->refs == 1 && s->cap >= n &&
	    s->cap >= in->next_cap) {
		s->len = 0;
		in->at = 0;
		return OK;
	}
	if ((s = slab_new(choose_cap(in, waiting + n))) == NULL)
		return ERR_NOMEM;
	if (waiting > 0)
		memcpy(s->data, in->slab->data + in->at, waiting);
	s->len = waiting;
	slab_unref(in->slab);
	in->slab = s;
	in->at = 0;
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
	memcpy(in->slab->data + in->slab->len, bytes.p, bytes.len);
	in->slab->len += bytes.len;
	return OK;
}

int
intake_next(struct intake *in, struct frame *f)
{
	struct view v;
	size_t size;
	int r;

	if (in->slab == NULL || intake_waiting(in) < in->expected)
		return ERR_MORE;
	v = (struct view){in->slab->data + in->at, intake_waiting(in)};
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
	if (f->whole.len > in->recent)
		in->recent = f->whole.len;
	return OK;
}

size_t
intake_offset(const struct intake *in, const struct frame *f)
{
	return (size_t)(f->whole.p - in->slab->data);
}

void
intake_back(struct intake *in, size_t offset)
{
	in->at = offset;
	in->expected = 0;
}

void
intake_trim(struct intake *in)
{
	if (intake_waiting(in) == 0)
		intake_fini(in);
}
