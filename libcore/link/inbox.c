/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "link/inbox.h"
#include "link/quiclink.h"

/* What may be held back of connections and lanes that were lost, in bytes. */
#define KEPT_MAX (2 * QUICLINK_WINDOW)
/* What a lane may give before the others have their turn. */
#define TURN (64u << 10)
/* Frames longer than this come on one lane at a time. */
#define GIANT (QUICLINK_WINDOW / 2)

static void
init_stream(struct inbox_stream *st, struct inbox *in, size_t max_message)
{
	*st = (struct inbox_stream){.box = in};
	intake_init(&st->in, max_message);
}

void
inbox_init(struct inbox *in, size_t max_message, bool pipe, bool says_taken,
    const struct inbox_ops *ops, void *arg)
{
	*in = (struct inbox){
	    .ops = ops,
	    .arg = arg,
	    .pipe = pipe,
	    .says_taken = says_taken,
	};
	init_stream(&in->control, in, max_message);
	intake_init(&in->kept, max_message);
	TAILQ_INIT(&in->lanes);
	TAILQ_INIT(&in->busy);
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

/* --- frames --- */

/* Messages, and gaps between them, wait for each other; on a pipe all do. */
static bool
may_wait(const struct inbox *in, const struct frame *f)
{
	return f->type == FRAME_DATA || f->type == FRAME_GAP || in->pipe;
}

/* What came before goes first. */
static bool
must_wait(
    const struct inbox *in, const struct intake *from, const struct frame *f)
{
	return may_wait(in, f) &&
	       (in->held || (from != &in->kept && in->kept.waiting > 0));
}

/* Say once why the peer's bytes are wrong. */
static bool
refuse(struct inbox *in, const char *why)
{
	in->why = why;
	return false;
}

static bool
is_of_lane(const struct inbox_stream *st, uint32_t tag)
{
	return st == NULL || st->lane == NULL || st->shared || st->tag == tag;
}

static bool
take_data(struct inbox *in, struct inbox_stream *st, const struct frame *f)
{
	struct data_frame d;

	if (data_frame_get(f->body, &d) != OK)
		return refuse(in, "not a Data frame");
	if (!is_of_lane(st, d.tag))
		return refuse(in, "a message on the lane of another tag");
	if (in->deaf)
		return true;
	if (!in->ops->data(in->arg, &d, f))
		return false;
	in->received++;
	return true;
}

static bool
take_gap(struct inbox *in, struct inbox_stream *st, const struct frame *f)
{
	struct gap_frame g;

	if (gap_frame_get(f->body, &g) != OK)
		return refuse(in, "not a Gap frame");
	if (!is_of_lane(st, g.tag))
		return refuse(in, "a gap on the lane of another tag");
	if (in->deaf)
		return true;
	if (!in->ops->gap(in->arg, &g, f))
		return false;
	in->missing += g.messages;
	return true;
}

static bool
take_header(struct inbox_stream *st, const struct frame *f)
{
	struct lane_frame h;

	if (f->type != FRAME_LANE || lane_frame_get(f->body, &h) != OK)
		return refuse(st->box, "a lane that does not begin as one");
	st->headed = true;
	st->shared = !h.has_tag;
	st->tag = h.tag;
	return true;
}

/* Take a frame of st, NULL: of one that was.  False: it was not taken. */
static bool
take_frame(struct inbox *in, struct inbox_stream *st, const struct frame *f)
{
	bool on_lane = st != NULL && st->lane != NULL;

	if (on_lane && !st->headed)
		return take_header(st, f);
	if (may_wait(in, f) && st == &in->control && !in->pipe &&
	    in->link->lanes)
		return refuse(in, "a message beside the lanes");
	if (f->type == FRAME_DATA)
		return take_data(in, st, f);
	if (f->type == FRAME_GAP &&
	    (in->pipe || st == NULL || st->lane != NULL))
		return take_gap(in, st, f);
	if (on_lane)
		return refuse(in, "a frame that is none of a lane's");
	return (in->pipe && in->deaf) || in->ops->other(in->arg, f);
}

/*
 * Take frames, about *budget bytes of them, as far as that goes.  Messages
 * wait while one is held back; other frames do not, or nobody could be greeted
 * while one is.
 *
 * OK        there are no more, or a message waits
 * ERR_MORE  there may be more
 * ERR_BAD, ERR_GONE
 */
static int
take_from(struct inbox *in, struct inbox_stream *st, struct intake *from,
    size_t *budget)
{
	uint32_t links = in->links;
	uint64_t received;
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
		received = in->received;
		in->giving = st;
		if (must_wait(in, from, &f) || !take_frame(in, st, &f))
			in->held = true;
		slab_unref(s);
		if (in->links != links)
			return ERR_GONE;
		if (st != NULL)
			st->given += in->received - received;
		if (in->why != NULL || (in->held && may_wait(in, &f))) {
			intake_back(from, at);
			return in->why == NULL ? OK : ERR_BAD;
		}
		if (f.whole.len >= *budget)
			return ERR_MORE;
		*budget -= f.whole.len;
	}
	if (r == ERR_MORE)
		return OK;
	in->why = r == ERR_LIMIT ? "the frame is too long" : "not a frame";
	return ERR_BAD;
}

/* --- credit --- */

/* Of what the peer has no credit for, all but what is kept. */
static size_t
spend(size_t *unused, size_t kept)
{
	size_t n = *unused > kept ? *unused - kept : 0;

	*unused -= n;
	return n;
}

/* Whether a long frame has begun on this lane while one comes on another. */
static bool
is_giant_too_many(struct inbox_stream *st)
{
	struct inbox *in = st->box;

	if (st->in.expected <= GIANT)
		return false;
	if (in->giant == NULL)
		in->giant = st;
	return in->giant != st;
}

/*
 * Give the peer credit for what was used: also while data() takes no more, so
 * that it sends on before all of its window lies here.  A part of a frame
 * counts as used, or one longer than the window would never come; but on one
 * lane only, as such parts have no other bound.
 */
static void
credit(struct inbox_stream *st)
{
	struct inbox *in = st->box;
	size_t kept = in->held ? st->in.waiting : 0;
	size_t n;

	if (st->lane == NULL) {
		if ((n = spend(&st->unused, kept)) > 0)
			link_consumed(in->link, n);
		return;
	}
	if ((n = spend(&st->unused_all, kept)) > 0)
		link_credit(in->link, n);
	if (is_giant_too_many(st))
		kept = st->in.waiting;
	if ((n = spend(&st->unused, kept)) > 0)
		lane_credit(st->lane, n);
}

/* If this was the lane of the long frame, let another one be. */
static void
pass_giant(struct inbox_stream *st)
{
	struct inbox *in = st->box;

	if (in->giant != st || st->in.expected > GIANT)
		return;
	in->giant = NULL;
	TAILQ_FOREACH(st, &in->lanes, all)
		credit(st);
}

/* --- turns --- */

static void
get_in_line(struct inbox_stream *st)
{
	if (st->busy)
		return;
	TAILQ_INSERT_TAIL(&st->box->busy, st, turn);
	st->busy = true;
	st->turn_left = TURN;
}

static void
leave_line(struct inbox_stream *st)
{
	if (st->busy)
		TAILQ_REMOVE(&st->box->busy, st, turn);
	st->busy = false;
}

/* The fin came, and everything before it was taken: the lane may be closed. */
static void
finish_lane(struct inbox_stream *st)
{
	if (st->fin && st->in.waiting == 0 && !st->lane->fin_wanted &&
	    (!st->box->says_taken || st->taken == st->given))
		lane_finish(st->lane);
}

/* The turn of one lane. */
static int
give_lane(struct inbox_stream *st)
{
	struct inbox *in = st->box;
	int r = take_from(in, st, &st->in, &st->turn_left);

	if (r != OK && r != ERR_MORE)
		return r;
	credit(st);
	pass_giant(st);
	if (in->held)
		return OK; /* the rest of its turn comes first, then */
	leave_line(st);
	if (r == ERR_MORE) {
		get_in_line(st);
		return OK;
	}
	if (st->fin && st->in.waiting > 0) {
		in->why = "a lane that ends within a frame";
		return ERR_BAD;
	}
	finish_lane(st);
	return OK;
}

int
inbox_give(struct inbox *in)
{
	size_t all = SIZE_MAX;
	struct inbox_stream *st;
	int r;

	if (in->why != NULL)
		return ERR_BAD;
	if (in->kept.waiting > 0 &&
	    (r = take_from(in, NULL, &in->kept, &all)) != OK)
		return r;
	intake_trim(&in->kept);
	if (in->link == NULL)
		return OK;
	r = take_from(in, &in->control, &in->control.in, &all);
	if (r != OK)
		return r;
	credit(&in->control);
	while (!in->held && (st = TAILQ_FIRST(&in->busy)) != NULL)
		if ((r = give_lane(st)) != OK)
			return r;
	return OK;
}

/* --- what is kept --- */

/* How many messages are missing without this frame. */
static uint64_t
worth(const struct frame *f)
{
	struct gap_frame g;

	if (f->type != FRAME_GAP)
		return 1;
	return gap_frame_get(f->body, &g) == OK ? g.messages : 0;
}

/* Messages of st that were not taken wait for what comes after it. */
static void
keep_stream(struct inbox_stream *st)
{
	struct inbox *in = st->box;
	struct frame f;
	uint64_t lost = 0;
	int r;

	while ((r = intake_next(&st->in, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(&st->in))) {
		if (r != OK || in->deaf ||
		    (f.type != FRAME_DATA && f.type != FRAME_GAP))
			continue;
		if (in->kept.waiting + f.whole.len > KEPT_MAX ||
		    intake_put(&in->kept, f.whole) != OK)
			lost += worth(&f);
	}
	in->untaken += lost;
	if (lost > 0)
		log_error("%llu messages from '%s' were not taken in time",
		    (unsigned long long)lost, in->link->name);
}

void
inbox_keep(struct inbox *in)
{
	struct inbox_stream *st;

	keep_stream(&in->control);
	TAILQ_FOREACH(st, &in->lanes, all)
		keep_stream(st);
}

bool
inbox_has_kept(const struct inbox *in)
{
	return in->kept.waiting > 0;
}

static void
free_stream(struct inbox_stream *st)
{
	leave_line(st);
	TAILQ_REMOVE(&st->box->lanes, st, all);
	intake_fini(&st->in);
	free(st);
}

void
inbox_detach(struct inbox *in)
{
	struct inbox_stream *st;
	size_t max = in->control.in.max;

	in->link = NULL;
	in->links++;
	while ((st = TAILQ_FIRST(&in->lanes)) != NULL)
		free_stream(st);
	intake_fini(&in->control.in);
	init_stream(&in->control, in, max);
	in->giant = NULL;
	in->held = in->held && in->kept.waiting > 0;
}

/* --- bytes --- */

static void
put(struct inbox_stream *st, struct view bytes)
{
	struct inbox *in = st->box;
	uint32_t links = in->links;

	if (!in->held && st->in.waiting > 0 &&
	    !intake_fits(&st->in, bytes.len)) {
		in->ops->work(in->arg); /* which may make room */
		if (in->links != links)
			return;
	}
	st->used = true;
	st->unused += bytes.len;
	if (st->lane == NULL) {
		in->bytes += bytes.len;
	} else {
		st->unused_all += bytes.len;
		get_in_line(st);
	}
	if (intake_put(&st->in, bytes) != OK)
		in->ops->failed(in->arg);
}

void
inbox_put(struct inbox *in, struct view bytes)
{
	put(&in->control, bytes);
}

void
inbox_end(struct inbox *in)
{
	in->control.fin = true;
}

static void
on_lane_bytes(void *arg, struct view bytes)
{
	put(arg, bytes);
}

static void
on_lane_fin(void *arg)
{
	struct inbox_stream *st = arg;

	st->fin = true;
	get_in_line(st);
}

/* What came of it stays good. */
static void
on_lane_broken(void *arg, uint64_t code)
{
	struct inbox_stream *st = arg;
	struct inbox *in = st->box;

	log_debug("'%s' broke off lane %llu: code 0x%llx", in->link->name,
	    (unsigned long long)st->lane->id, (unsigned long long)code);
	keep_stream(st);
	intake_fini(&st->in);
	if (st->unused_all > 0)
		link_credit(in->link, spend(&st->unused_all, 0));
	pass_giant(st);
	in->ops->work(in->arg);
}

static void
on_lane_closed(void *arg)
{
	free_stream(arg);
}

static const struct lane_ops lane_callbacks = {
    .bytes = on_lane_bytes,
    .fin = on_lane_fin,
    .broken = on_lane_broken,
    .closed = on_lane_closed,
};

bool
inbox_accept(struct inbox *in, struct lane *l)
{
	struct inbox_stream *st;

	if ((st = malloc(sizeof(*st))) == NULL) {
		in->ops->failed(in->arg);
		return false;
	}
	init_stream(st, in, in->control.in.max);
	st->lane = l;
	l->ops = &lane_callbacks;
	l->arg = st;
	TAILQ_INSERT_TAIL(&in->lanes, st, all);
	return true;
}

bool
inbox_is_over(const struct inbox *in)
{
	return in->control.fin && !in->held && TAILQ_EMPTY(&in->busy);
}

size_t
inbox_rest(const struct inbox *in)
{
	return in->control.in.waiting;
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

/* --- what was taken --- */

struct inbox_ticket
inbox_ticket(const struct inbox *in)
{
	const struct inbox_stream *st = in->giving;

	if (st == NULL || st->lane == NULL)
		return (struct inbox_ticket){0};
	return (struct inbox_ticket){.link = in->links, .lane = st->lane->id};
}

void
inbox_taken(struct inbox *in, struct inbox_ticket ticket)
{
	struct inbox_stream *st;

	if (ticket.link != in->links || in->link == NULL)
		return;
	TAILQ_FOREACH(st, &in->lanes, all)
		if (st->lane->id == ticket.lane)
			break;
	if (st == NULL)
		return; /* it was broken off */
	st->taken++;
	finish_lane(st);
}

bool
inbox_next_taken(struct inbox *in, struct taken_frame *t)
{
	struct inbox_stream *st;

	TAILQ_FOREACH(st, &in->lanes, all) {
		if (st->taken == st->told)
			continue;
		st->told = st->taken;
		*t = (struct taken_frame){
		    .lane = st->lane->id, .messages = st->taken};
		return true;
	}
	return false;
}

static bool
trim(struct inbox_stream *st)
{
	bool used = st->used;

	st->used = false;
	if (!used)
		intake_trim(&st->in);
	return used || st->in.waiting > 0;
}

bool
inbox_trim(struct inbox *in)
{
	struct inbox_stream *st;
	bool left = trim(&in->control);

	TAILQ_FOREACH(st, &in->lanes, all)
		if (trim(st))
			left = true;
	return left;
}
