/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "link/outbox.h"
#include "proto/doubt.h"

/* The other tags' lanes; the last is for all that have none. */
#define OWN_LANES (OUTBOX_LANES - 1)

void
outbox_init(
    struct outbox *o, size_t limit, const struct outbox_ops *ops, void *arg)
{
	*o = (struct outbox){.ops = ops, .arg = arg, .limit = limit};
	o->control.box = o;
	outq_init(&o->control.out, limit);
}

/* --- how much waits --- */

/* From the limit on, until half of it has gone. */
static bool
is_crowded(bool was, size_t bytes, size_t limit)
{
	return bytes >= limit || (was && bytes > limit / 2);
}

/* The bytes of q have changed. */
static void
account(struct outbox_queue *q)
{
	struct outbox *o = q->box;
	/* Beside lanes, its frames are no messages. */
	size_t bytes = q == &o->control && o->lanes ? 0 : q->out.bytes;
	bool was = q->crowded, all_were = o->crowded;

	o->waiting = o->waiting - q->counted + bytes;
	q->counted = bytes;
	q->crowded = is_crowded(was, bytes, o->limit);
	o->n_crowded = o->n_crowded - was + q->crowded;
	o->crowded =
	    is_crowded(all_were, o->waiting, OUTBOX_QUEUES_FULL * o->limit);
	if ((was && !q->crowded) || (all_were && !o->crowded))
		o->eased = true;
}

/* The last thing to do with a queue, as anything may come of it. */
static void
tell_room(struct outbox *o)
{
	if (!o->wants_room || !o->eased)
		return;
	o->wants_room = false;
	o->ops->room(o->arg);
}

static bool
must_wait(struct outbox *o, bool full)
{
	if (full) {
		o->wants_room = true;
		o->eased = false;
	}
	return full;
}

/* --- queues --- */

static struct view
session_of(const struct outbox_queue *q)
{
	return (struct view){q->session, q->session_len};
}

/* Whether they are for the same lane. */
static bool
is_for(const struct outbox_queue *q, bool shared, uint32_t tag,
    struct view session)
{
	if (q->shared || shared)
		return q->shared == shared;
	return q->tag == tag && view_equal(session_of(q), session);
}

/* The queue that messages of tag and session are put to; NULL: none yet. */
static struct outbox_queue *
look_up(struct outbox *o, bool shared, uint32_t tag, struct view session)
{
	struct outbox_queue *q = o->recent;
	size_t i;

	if (q != NULL && !q->ended && is_for(q, shared, tag, session))
		return q;
	for (i = 0; i < o->n; i++) {
		q = o->queues[i];
		if (!q->ended && is_for(q, shared, tag, session))
			return q;
	}
	return NULL;
}

static struct outbox_queue *
add(struct outbox *o, bool shared, uint32_t tag, struct view session)
{
	struct outbox_queue *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->box = o;
	q->shared = shared;
	q->tag = tag;
	outq_init(&q->out, o->limit);
	if (!shared && session.len > 0) {
		if ((q->session = malloc(session.len)) == NULL) {
			free(q);
			return NULL;
		}
		memcpy(q->session, session.p, session.len);
		q->session_len = session.len;
	}
	o->queues[o->n++] = q;
	return q;
}

static void
drop_queue(struct outbox_queue *q)
{
	struct outbox *o = q->box;
	size_t i;

	outq_fini(&q->out);
	account(q);
	for (i = 0; o->queues[i] != q; i++)
		;
	o->n--;
	memmove(&o->queues[i], &o->queues[i + 1],
	    (o->n - i) * sizeof(*o->queues)); /* the order counts */
	if (o->recent == q)
		o->recent = NULL;
	free(q->session);
	free(q);
}

/*
 * Find or make the queue for a message.  Once there is the shared one, no more
 * tags get their own: earlier messages of theirs may wait in it.
 */
static struct outbox_queue *
queue_for(struct outbox *o, uint32_t tag, struct view session)
{
	struct outbox_queue *q;

	if (!o->lanes)
		return &o->control;
	if ((q = look_up(o, false, tag, session)) == NULL &&
	    (q = look_up(o, true, 0, session)) == NULL)
		q = add(o, o->n >= OWN_LANES, tag, session);
	o->recent = q;
	return q;
}

/* --- lanes --- */

static const struct lane_ops lane_callbacks;

/* Whether an earlier one for the same must be over first. */
static bool
has_elder(const struct outbox_queue *q)
{
	struct outbox_queue *const *elder = q->box->queues;

	for (; *elder != q; elder++)
		if (is_for(*elder, q->shared, q->tag, session_of(q)))
			return true;
	return false;
}

static int
put_header(struct outbox_queue *q)
{
	struct lane_frame f = {
	    .has_tag = !q->shared,
	    .tag = q->tag,
	    .session = session_of(q),
	};
	size_t n = lane_frame_size(&f);
	uint8_t *bytes;
	int r;

	if ((bytes = malloc(n)) == NULL)
		return ERR_NOMEM;
	lane_frame_put(bytes, &f);
	r = outq_put_first(&q->out, (struct view){bytes, n});
	free(bytes);
	return r;
}

/* No more messages for q. */
static void
end_queue(struct outbox_queue *q)
{
	q->ended = true;
	if (q->lane != NULL)
		lane_finish(q->lane);
	else if (q->out.n == 0)
		drop_queue(q);
}

/* Open the lane of q, if something waits for it and that may be now. */
static int
open_lane(struct outbox_queue *q)
{
	struct outbox *o = q->box;
	int r;

	if (o->link == NULL || q->lane != NULL || q->out.n == 0 || has_elder(q))
		return OK;
	if ((r = put_header(q)) != OK)
		return r;
	r = link_open_lane(o->link, &q->out, &lane_callbacks, q, &q->lane);
	if (r != OK) {
		outq_drop_first(&q->out);
		/* It will be allowed, or the link is about to be lost. */
		return r == ERR_NOMEM ? r : OK;
	}
	account(q);
	lane_wake(q->lane);
	if (q->ended || o->finishing)
		end_queue(q);
	return OK;
}

/* All lanes are over, and nothing waits for one. */
static void
finish_link(struct outbox *o)
{
	if (o->finishing && o->n == 0)
		link_finish(o->link);
}

static void
on_lane_moved(void *arg)
{
	struct outbox_queue *q = arg;

	account(q);
	tell_room(q->box);
}

/* Nobody wants it: what waits goes when the lane is closed. */
static void
on_lane_broken(void *arg, uint64_t code)
{
	struct outbox_queue *q = arg;

	log_debug("nobody wants the rest of lane %llu: code 0x%llx",
	    (unsigned long long)q->lane->id, (unsigned long long)code);
	q->ended = q->unwanted = true;
	q->box->unobserved += outq_left(&q->out).messages;
}

static void
on_lane_closed(void *arg)
{
	struct outbox_queue *q = arg;
	struct outbox *o = q->box;
	size_t i = o->n_past++ % OUTBOX_LANES;

	o->past[i].lane = q->lane->id;
	o->past[i].unobserved = q->unobserved;
	drop_queue(q);
	if (outbox_open_lanes(o) != OK) {
		o->ops->failed(o->arg);
		return;
	}
	finish_link(o);
	tell_room(o);
}

static const struct lane_ops lane_callbacks = {
    .moved = on_lane_moved,
    .broken = on_lane_broken,
    .closed = on_lane_closed,
};

int
outbox_open_lanes(struct outbox *o)
{
	size_t i;
	int r;

	for (i = 0; i < o->n; i++)
		if ((r = open_lane(o->queues[i])) != OK)
			return r;
	return OK;
}

/* --- messages --- */

/* n bytes were written at the end of q. */
static int
commit(struct outbox_queue *q, size_t n, uint32_t tag)
{
	struct outbox *o = q->box;
	int r;

	if ((r = outq_commit(&q->out, n, tag, 1)) != OK)
		return r;
	o->sent++;
	q->used = true;
	account(q);
	if (o->link == NULL)
		return OK;
	if (q->lane == NULL && q != &o->control)
		return open_lane(q);
	if (q->lane != NULL)
		lane_wake(q->lane);
	else
		link_wake(o->link);
	return OK;
}

int
outbox_send(struct outbox *o, struct view session, const struct data_frame *d)
{
	struct outbox_queue *q = queue_for(o, d->tag, session);
	size_t n = data_frame_size(d);
	uint8_t *p;
	int r;

	if (q == NULL)
		return ERR_NOMEM;
	if ((r = outq_reserve(&q->out, n, &p)) != OK)
		return r;
	data_frame_put(p, d);
	return commit(q, n, d->tag);
}

int
outbox_forward(struct outbox *o, uint32_t tag, struct view frame)
{
	struct outbox_queue *q = queue_for(o, tag, (struct view){0});
	uint8_t *p;
	int r;

	if (q == NULL)
		return ERR_NOMEM;
	if ((r = outq_reserve(&q->out, frame.len, &p)) != OK)
		return r;
	memcpy(p, frame.p, frame.len);
	return commit(q, frame.len, tag);
}

void
outbox_end_session(struct outbox *o, uint32_t tag, struct view session)
{
	struct outbox_queue *q = look_up(o, false, tag, session);

	if (q != NULL)
		end_queue(q);
}

bool
outbox_is_full(struct outbox *o)
{
	return must_wait(o, o->crowded || o->n_crowded > 0);
}

bool
outbox_is_full_for(struct outbox *o, uint32_t tag, struct view session)
{
	struct outbox_queue *q = &o->control;

	if (o->lanes && (q = look_up(o, false, tag, session)) == NULL)
		q = look_up(o, true, 0, session);
	return must_wait(o, o->crowded || (q != NULL && q->crowded));
}

bool
outbox_is_empty(const struct outbox *o)
{
	return o->waiting == 0;
}

/* --- from link to link --- */

/* Entries of from, none of which was sent, to the ends of others. */
static int
move(struct outbox *o, struct outq *from)
{
	const struct outq_entry *e;
	struct outbox_queue *to;
	int r;

	while (from->n > 0) {
		e = outq_at(from, 0);
		if ((to = queue_for(o, e->tag, (struct view){0})) == NULL)
			return ERR_NOMEM;
		r = outq_push(&to->out, &(struct outq_range){.slab = e->slab,
					    .off = e->off,
					    .len = e->len,
					    .tag = e->tag,
					    .count = e->count});
		if (r != OK)
			return r;
		outq_drop_first(from);
		account(to);
	}
	return OK;
}

int
outbox_use_lanes(struct outbox *o, bool lanes)
{
	bool eased = o->eased;
	int r = OK;

	if (lanes == o->lanes)
		return OK;
	o->lanes = lanes;
	if (lanes) {
		r = move(o, &o->control.out);
		account(&o->control);
	}
	while (r == OK && !lanes && o->n > 0) {
		r = move(o, &o->queues[0]->out);
		drop_queue(o->queues[0]);
	}
	/* Who waits may find room, if not all that is in use is full. */
	o->eased = eased || o->n_crowded < (lanes ? o->n : 1);
	return r;
}

int
outbox_attach(struct outbox *o, struct link *l)
{
	o->link = l;
	outq_set_gate(&o->control.out, SIZE_MAX);
	link_wake(l);
	return outbox_open_lanes(o);
}

void
outbox_moved(struct outbox *o)
{
	account(&o->control);
	tell_room(o);
}

void
outbox_note_taken(struct outbox *o, const struct taken_frame *t)
{
	uint64_t *known = NULL;
	size_t i;

	for (i = 0; i < o->n_past && i < OUTBOX_LANES; i++)
		if (o->past[i].lane == t->lane)
			known = &o->past[i].unobserved;
	for (i = 0; i < o->n; i++)
		if (o->queues[i]->lane != NULL &&
		    o->queues[i]->lane->id == t->lane)
			known = &o->queues[i]->unobserved;
	if (known == NULL || t->unobserved <= *known)
		return;
	o->unobserved += t->unobserved - *known;
	*known = t->unobserved;
}

int
outbox_tell_taken(struct outbox *o, const struct taken_frame *t)
{
	uint8_t *p;
	int r;

	if ((r = outq_reserve(&o->control.out, taken_frame_size(t), &p)) != OK)
		return r;
	taken_frame_put(p, t);
	r = outq_commit(&o->control.out, taken_frame_size(t), 0, 0);
	link_wake(o->link);
	return r;
}

void
outbox_finish(struct outbox *o)
{
	size_t i;

	o->finishing = true;
	for (i = o->n; i > 0; i--) /* as queues may go */
		end_queue(o->queues[i - 1]);
	finish_link(o);
}

uint64_t
outbox_settle(struct outbox *o)
{
	struct outbox_queue *q;
	uint64_t n = 0;
	size_t i;

	for (i = o->n; i > 0; i--) {
		q = o->queues[i - 1];
		if (!q->unwanted)
			n += doubt_settle(&q->out);
		account(q);
		if (q->unwanted || q->out.n == 0)
			drop_queue(q);
	}
	if (o->lanes)
		outq_fini(&o->control.out);
	else
		n += doubt_settle(&o->control.out);
	account(&o->control);
	return n;
}

void
outbox_detach(struct outbox *o)
{
	size_t i;

	o->link = NULL;
	o->finishing = false;
	o->n_past = 0;
	for (i = 0; i < o->n; i++)
		o->queues[i]->lane = NULL;
}

void
outbox_clear(struct outbox *o)
{
	while (o->n > 0)
		drop_queue(o->queues[o->n - 1]);
	outq_fini(&o->control.out);
	account(&o->control);
}

void
outbox_fini(struct outbox *o)
{
	outbox_clear(o);
}

static bool
trim(struct outbox_queue *q)
{
	bool used = q->used;

	q->used = false;
	if (!used)
		outq_trim(&q->out);
	return used || q->out.n > 0;
}

bool
outbox_trim(struct outbox *o)
{
	bool left = trim(&o->control);
	size_t i;

	for (i = 0; i < o->n; i++)
		if (trim(o->queues[i]))
			left = true;
	return left;
}
