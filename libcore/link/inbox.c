/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "link/inbox.h"
#include "link/quiclink.h"

/* What may be held back of connections that were lost, in bytes. */
#define KEPT_MAX (2 * QUICLINK_WINDOW)

void
inbox_init(struct inbox *in, size_t max_message, bool pipe,
    const struct inbox_ops *ops, void *arg)
{
	*in = (struct inbox){.ops = ops, .arg = arg, .pipe = pipe};
	intake_init(&in->in, max_message);
	intake_init(&in->kept, max_message);
}

void
inbox_fini(struct inbox *in)
{
	inbox_detach(in);
	intake_fini(&in->kept);
}

void
inbox_attach(struct inbox *in, struct link *l)
{
	in->link = l;
	in->links++;
}

uint64_t
inbox_keep(struct inbox *in)
{
	struct frame f;
	uint64_t lost = 0;
	int r;

	while ((r = intake_next(&in->in, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(&in->in))) {
		if (r != OK || f.type != FRAME_DATA || in->deaf)
			continue;
		if (in->kept.waiting + f.whole.len > KEPT_MAX ||
		    intake_put(&in->kept, f.whole) != OK)
			lost++;
	}
	in->untaken += lost;
	return lost;
}

bool
inbox_has_kept(const struct inbox *in)
{
	return in->kept.waiting > 0;
}

void
inbox_detach(struct inbox *in)
{
	in->link = NULL;
	in->links++;
	intake_fini(&in->in);
	in->unused = 0;
	in->fin = false;
	in->held = in->held && in->kept.waiting > 0;
}

int
inbox_put(struct inbox *in, struct view bytes)
{
	in->bytes += bytes.len;
	in->unused += bytes.len;
	return intake_put(&in->in, bytes);
}

bool
inbox_is_crowded(const struct inbox *in, size_t n)
{
	return !in->held && !intake_fits(&in->in, n);
}

void
inbox_end(struct inbox *in)
{
	in->fin = true;
}

static bool
may_wait(const struct inbox *in, const struct frame *f)
{
	return f->type == FRAME_DATA || in->pipe;
}

static bool
must_wait(
    const struct inbox *in, const struct intake *from, const struct frame *f)
{
	return may_wait(in, f) &&
	       (in->held || (from == &in->in && in->kept.waiting > 0));
}

/*
 * Give the peer credit for what was used: also while data() takes no more, so
 * that it sends on before all of its window lies here.  A part of a frame
 * counts as used, or one longer than the window would never come.
 */
static void
credit(struct inbox *in)
{
	size_t held = in->held ? in->in.waiting : 0;
	size_t n = in->unused > held ? in->unused - held : 0;

	if (n == 0)
		return;
	in->unused -= n;
	link_consumed(in->link, n);
}

/* False: the frame was not taken. */
static bool
take_frame(struct inbox *in, const struct frame *f)
{
	struct data_frame d;

	if (f->type != FRAME_DATA)
		return (in->pipe && in->deaf) || in->ops->other(in->arg, f);
	if (data_frame_get(f->body, &d) != OK) {
		in->why = "not a Data frame";
		return false;
	}
	if (in->deaf)
		return true;
	if (!in->ops->data(in->arg, &d, f))
		return false;
	in->received++;
	return true;
}

/*
 * Take the frames of from, as far as that goes.  Messages wait while one is
 * held back; other frames do not, or nobody could be greeted while one is.
 *
 * OK        there are no more, or a message waits
 * ERR_BAD, ERR_GONE
 */
static int
take_from(struct inbox *in, struct intake *from)
{
	unsigned links = in->links;
	struct slab *s;
	struct frame f;
	size_t at;
	int r;

	while ((r = intake_next(from, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(from))) {
		if (r != OK)
			continue;
		at = intake_offset(from, &f);
		s = slab_ref(from->front);
		if (must_wait(in, from, &f) || !take_frame(in, &f))
			in->held = true;
		slab_unref(s);
		if (in->links != links)
			return ERR_GONE;
		if (in->held && may_wait(in, &f)) {
			intake_back(from, at);
			return in->why == NULL ? OK : ERR_BAD;
		}
	}
	if (r == ERR_MORE)
		return OK;
	in->why = r == ERR_LIMIT ? "the frame is too long" : "not a frame";
	return ERR_BAD;
}

int
inbox_give(struct inbox *in)
{
	int r;

	if (in->why != NULL)
		return ERR_BAD;
	if (in->kept.waiting > 0 && (r = take_from(in, &in->kept)) != OK)
		return r;
	intake_trim(&in->kept);
	if (in->link == NULL)
		return OK;
	if ((r = take_from(in, &in->in)) != OK)
		return r;
	credit(in);
	return OK;
}

bool
inbox_is_over(const struct inbox *in)
{
	return in->fin && !in->held;
}

size_t
inbox_rest(const struct inbox *in)
{
	return in->in.waiting;
}

void
inbox_resume(struct inbox *in)
{
	in->held = false;
}

void
inbox_deafen(struct inbox *in)
{
	in->deaf = true;
}
