/* SPDX-License-Identifier: ISC */
/* How runs come into outlets, what becomes of those that do not, and waiting.
 */
#include <assert.h>

#include "base/err.h"
#include "base/log.h"
#include "route/inside.h"
#include "wire/frame.h"
#include "wire/lane.h"

#define NS_PER_S 1000000000u

static void
put_gap(uint8_t *p, uint32_t tag, struct outq_loss loss)
{
	const struct gap_frame f = {tag, loss.messages, loss.bytes};

	gap_frame_put(p, &f);
}

static void
add_to_gap(uint8_t *p, struct outq_loss loss)
{
	gap_frame_add(p, loss.messages, loss.bytes);
}

static struct outq_loss
get_gap(const uint8_t *p)
{
	struct gap_frame g = {0};
	struct view in = {p, GAP_FRAME_SIZE};
	struct frame f;
	int r;

	if ((r = frame_get(&in, GAP_FRAME_SIZE, &f)) == OK)
		r = gap_frame_get(f.body, &g);
	assert(r == OK);
	return (struct outq_loss){g.messages, g.bytes};
}

static const struct outq_gaps gaps = {
    .size = GAP_FRAME_SIZE,
    .put = put_gap,
    .add = add_to_gap,
    .get = get_gap,
};

/* What one gap takes of a queue. */
#define GAP_COST (GAP_FRAME_SIZE + sizeof(struct outq_entry))

bool
outlet_is_wanted(const struct observer *o, struct view target)
{
	return target.len == 0 || o->everything ||
	       (o->target != NULL && view_equal(view_of(o->target), target));
}

struct outlet *
outlet_of(struct sub *s, uint32_t tag, struct view session)
{
	struct observer *o = s->observer;

	if (session.len > 0 || s->topic == NULL)
		return o->outlet(o->arg, tag, session);
	if (s->outlet == NULL) {
		s->outlet = o->outlet(o->arg, tag, session);
		if (s->outlet != NULL && s->member != NULL)
			member_take_outlet(s);
	}
	return s->outlet;
}

void
outlet_evict(struct observer *o)
{
	if (o->evicted)
		return;
	o->evicted = true;
	o->router->counts.evicted++;
	o->evict(o->arg);
}

void
outlet_count_loss(struct observer *o, struct outq_loss loss, uint64_t now)
{
	struct router_counts *c = &o->router->counts;

	if (loss.messages == 0)
		return;
	o->lost.messages += loss.messages;
	o->lost.bytes += loss.bytes;
	c->lost.messages += loss.messages;
	c->lost.bytes += loss.bytes;
	if (now < o->loss_logged_at + NS_PER_S && o->loss_logged_at != 0)
		return;
	o->loss_logged_at = now;
	log_info("'%s' is too slow: %llu messages of %llu bytes dropped so far",
	    o->name, (unsigned long long)o->lost.messages,
	    (unsigned long long)o->lost.bytes);
}

/* --- telling --- */

/* Nobody is told of ever more tags who takes nothing. */
static void
limit_gaps(struct outlet *outlet)
{
	if (outlet->out->n_gaps * GAP_COST > outlet->out->limit)
		outlet_evict(outlet->observer);
}

/* Queue a gap for what s is owed; false: it cannot be. */
static bool
pay(struct sub *s, struct outlet *outlet)
{
	struct observer *o = s->observer;

	if (s->owed.messages == 0)
		return true;
	if (outlet == NULL || outq_gap(outlet->out, s->owed_tag, s->owed) != OK)
		return false;
	s->owed = (struct outq_loss){0};
	limit_gaps(outlet);
	o->wake(o->arg, outlet);
	return true;
}

/* Tell a loss now, or, without memory, with the next one. */
static void
tell(struct sub *s, struct outlet *outlet, uint32_t tag, struct outq_loss loss)
{
	struct observer *o = s->observer;

	if (!o->tells_gaps)
		return;
	/* Only who observes all tags can be owed for two: no way to say it. */
	if (s->owed.messages > 0 && s->owed_tag != tag && !pay(s, outlet)) {
		outlet_evict(o);
		return;
	}
	s->owed_tag = tag;
	s->owed.messages += loss.messages;
	s->owed.bytes += loss.bytes;
	if (!pay(s, outlet))
		o->owes = true;
}

void
outlet_lose(
    struct sub *s, struct outlet *outlet, const struct run *run, uint64_t now)
{
	const struct outq_loss all = {run->count, run->len};

	outlet_count_loss(s->observer, all, now);
	tell(s, outlet, run->tag, all);
}

bool
outlet_settle(struct sub *s)
{
	return s->owed.messages == 0 ||
	       pay(s, outlet_of(s, s->owed_tag, (struct view){0}));
}

/* --- queueing --- */

bool
outlet_push(struct outlet *outlet, enum policy policy, const struct run *run)
{
	const struct outq_range range = {.slab = run->slab,
	    .off = run->off,
	    .len = run->len,
	    .tag = run->tag,
	    .count = run->count,
	    .may_drop = policy == POLICY_DROP_OLD};
	struct observer *o = outlet->observer;

	if (outq_push(outlet->out, &range) != OK)
		return false;
	outlet->queued += run->count;
	o->delivered += run->count;
	o->router->counts.delivered += run->count;
	o->wake(o->arg, outlet);
	return true;
}

/* Make room with what is old; what was queued is not delivered after all. */
static bool
drop_old(struct outlet *outlet, const struct run *run, uint64_t now)
{
	struct observer *o = outlet->observer;
	struct outq_loss loss = {0};
	bool fits =
	    outq_drop_old(outlet->out, run->slab, run->len, run->tag, &loss);

	outlet->queued -= loss.messages;
	o->delivered -= loss.messages;
	o->router->counts.delivered -= loss.messages;
	outlet_count_loss(o, loss, now);
	limit_gaps(outlet);
	return fits;
}

static bool
make_room(struct outlet *outlet, enum policy policy, const struct run *run,
    uint64_t now)
{
	if (outq_fits(outlet->out, run->slab, run->len))
		return true;
	/* Taken counts what was queued: nothing queued goes. */
	if (policy == POLICY_DROP_OLD && !outlet->is_shared)
		return drop_old(outlet, run, now);
	if (policy == POLICY_DISCONNECT && outlet->observer != run->sender)
		outlet_evict(outlet->observer);
	return false;
}

void
outlet_deliver(
    struct sub *s, enum policy policy, const struct run *run, uint64_t now)
{
	struct outlet *outlet = outlet_of(s, run->tag, run->session);
	struct observer *o = s->observer;

	/* What is owed comes first, or the run is lost with it. */
	if (outlet == NULL || !make_room(outlet, policy, run, now) ||
	    !pay(s, outlet) || !outlet_push(outlet, policy, run))
		outlet_lose(s, outlet, run, now);
	if (run->session_ends && outlet != NULL && o->session_over != NULL)
		o->session_over(o->arg, outlet);
}

/* --- outlets --- */

void
router_open_outlet(struct outlet *outlet, struct observer *o, struct outq *out)
{
	*outlet = (struct outlet){.observer = o, .out = out};
	if (o->tells_gaps)
		out->gaps = &gaps;
	TAILQ_INIT(&outlet->waiters);
	TAILQ_INIT(&outlet->members);
	TAILQ_INSERT_TAIL(&o->outlets, outlet, link);
}

void
router_close_outlet(struct router *r, struct outlet *outlet)
{
	struct observer *o = outlet->observer;
	struct sub *s;

	if (o == NULL)
		return;
	outlet->observer = NULL;
	TAILQ_REMOVE(&o->outlets, outlet, link);
	TAILQ_FOREACH(s, &o->subs, in_observer)
		if (s->outlet == outlet)
			s->outlet = NULL;
	member_close_all(r, outlet);
	outlet_resume(outlet);
}

void
router_trim(struct outlet *outlet)
{
	member_trim_all(outlet);
	outq_trim(outlet->out);
}

/* --- waiting --- */

void
outlet_resume(struct outlet *outlet)
{
	uint32_t round = ++outlet->round;
	struct waiter *w;

	while (
	    (w = TAILQ_FIRST(&outlet->waiters)) != NULL && w->round != round) {
		router_unwait(w);
		w->resume(w->arg);
	}
}

void
router_wait(struct outlet *outlet, struct waiter *w)
{
	w->on = outlet;
	w->round = outlet->round;
	TAILQ_INSERT_TAIL(&outlet->waiters, w, link);
}

void
router_unwait(struct waiter *w)
{
	if (w->on == NULL)
		return;
	TAILQ_REMOVE(&w->on->waiters, w, link);
	w->on = NULL;
}

void
router_room(struct outlet *outlet)
{
	if (outlet->observer == NULL || !outq_has_slack(outlet->out))
		return;
	outlet_resume(outlet);
	member_wake_all(outlet);
}
