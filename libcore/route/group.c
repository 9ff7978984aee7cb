/* SPDX-License-Identifier: ISC */
/* Which member of a group gets a message, and what is left without one. */
#include <stdlib.h>

#include "base/err.h"
#include "route/inside.h"
#include "wire/frame.h"
#include "wire/meta.h"

/* --- stocks --- */

struct stock *
stock_new(size_t limit)
{
	struct stock *s = calloc(1, sizeof(*s));

	if (s != NULL)
		outq_init(&s->q, limit);
	return s;
}

void
stock_free(struct stock *s)
{
	if (s == NULL)
		return;
	outq_fini(&s->q);
	free(s);
}

/* The first message of a stock that is not empty. */
static struct run
first_of(const struct group *g, const struct stock *s)
{
	const struct outq_entry *e = outq_at(&s->q, 0);
	struct view in = {e->slab->data + e->off, e->len};
	struct run run = {.slab = e->slab,
	    .off = e->off,
	    .len = e->len,
	    .tag = g->topic->tag,
	    .count = e->count};
	struct data_frame d;
	struct frame f;

	if (frame_get(&in, in.len, &f) == OK &&
	    data_frame_get(f.body, &d) == OK && d.meta.len > 0)
		(void)meta_find(d.meta, META_TARGET, &run.target);
	return run;
}

/* --- who gets a message --- */

static bool
has_room(struct member *m, const struct run *run)
{
	const struct outlet *outlet =
	    outlet_of(m->sub, m->sub->tag, (struct view){0});

	return outlet != NULL && m->untaken < m->prefetch &&
	       (m->stock == NULL ||
		   outq_fits(&m->stock->q, run->slab, run->len)) &&
	       outq_fits(outlet->out, run->slab, run->len);
}

struct choice {
	struct member *m; /* who gets it, or loses it; NULL: nobody wants it */
	bool has_room;
	bool is_ours; /* the sender is one of those who want it */
};

/* Of those who have room the one with the fewest not taken, each in turn. */
static struct choice
choose(struct group *g, const struct run *run)
{
	struct choice c = {0};
	struct member *m;

	TAILQ_FOREACH(m, &g->members, in_group) {
		if (!outlet_is_wanted(m->sub->observer, run->target))
			continue;
		c.is_ours |= m->sub->observer == run->sender;
		if (c.m == NULL)
			c.m = m;
		if ((c.has_room && m->untaken >= c.m->untaken) ||
		    !has_room(m, run))
			continue;
		c.m = m;
		c.has_room = true;
	}
	return c;
}

/* What of those who want the run keeps most waiting; NULL: no outlets. */
static struct outlet *
find_door(struct group *g, const struct run *run)
{
	struct outlet *outlet, *door = NULL;
	struct member *m;

	TAILQ_FOREACH(m, &g->members, in_group) {
		outlet = m->sub->outlet;
		if (outlet == NULL ||
		    !outlet_is_wanted(m->sub->observer, run->target))
			continue;
		if (door == NULL || outlet->out->bytes > door->out->bytes)
			door = outlet;
	}
	return door;
}

struct outlet *
group_obstacle(struct group *g, const struct run *run)
{
	struct choice c = choose(g, run);

	g->choice = c.m;
	/* Nobody waits for itself. */
	if (c.m == NULL || c.is_ours || (c.has_room && TAILQ_EMPTY(&g->left)))
		return NULL;
	if (g->door == NULL)
		g->door = find_door(g, run);
	return g->door;
}

/* Queue the run for m, and keep it until it is taken; false: no memory. */
static bool
give(struct member *m, const struct run *run)
{
	struct outlet *outlet = m->sub->outlet;
	const struct outq_range range = {.slab = run->slab,
	    .off = run->off,
	    .len = run->len,
	    .tag = (uint32_t)(outlet->queued + run->count),
	    .count = run->count};

	if (m->stock == NULL &&
	    (m->stock = stock_new(outlet->out->limit)) == NULL)
		return false;
	if (outq_push(&m->stock->q, &range) != OK)
		return false;
	if (!outlet_push(outlet, POLICY_BLOCK, run)) {
		outq_drop_last(&m->stock->q);
		return false;
	}
	outlet->is_shared = true;
	m->untaken += run->count;
	TAILQ_REMOVE(&m->group->members, m, in_group);
	TAILQ_INSERT_TAIL(&m->group->members, m, in_group);
	return true;
}

static void
give_or_lose(struct member *m, const struct run *run, uint64_t now)
{
	if (!has_room(m, run) || !outlet_settle(m->sub) || !give(m, run))
		outlet_lose(m->sub, m->sub->outlet, run, now);
}

bool
group_deliver(struct group *g, const struct run *run, uint64_t now)
{
	if (g->choice == NULL)
		return false;
	give_or_lose(g->choice, run, now);
	return true;
}

/* --- what is left --- */

static void
pop_left(struct group *g)
{
	struct stock *s = TAILQ_FIRST(&g->left);

	g->topic->router->counts.left -= outq_at(&s->q, 0)->count;
	outq_drop_first(&s->q);
	if (s->q.n > 0)
		return;
	TAILQ_REMOVE(&g->left, s, link);
	stock_free(s);
}

/* Give what is left to those who have room, in order. */
void
group_give_left(struct group *g)
{
	struct choice c;
	struct stock *s;
	struct run run;

	while (
	    (s = TAILQ_FIRST(&g->left)) != NULL && !TAILQ_EMPTY(&g->members)) {
		run = first_of(g, s);
		c = choose(g, &run);
		if (c.m != NULL && !c.has_room)
			return;
		if (c.m != NULL)
			give_or_lose(c.m, &run, g->topic->router->now);
		else /* it was for one of those who went */
			outlet_lose(TAILQ_FIRST(&g->members)->sub, NULL, &run,
			    g->topic->router->now);
		pop_left(g);
	}
}

/* Nobody is there for it, o having gone. */
void
group_lose_left(struct group *g, struct observer *o)
{
	struct outq_loss loss = {0};
	const struct outq_entry *e;
	struct stock *s;

	while ((s = TAILQ_FIRST(&g->left)) != NULL) {
		e = outq_at(&s->q, 0);
		loss.messages += e->count;
		loss.bytes += e->len;
		pop_left(g);
	}
	outlet_count_loss(o, loss, g->topic->router->now);
}

/* --- what was held --- */

static int
add_to_left(struct group *g, struct outq_range *range)
{
	struct stock *s = TAILQ_LAST(&g->left, stocks);
	int r;

	if (s != NULL) {
		range->tag = outq_at(&s->q, s->q.n - 1)->tag + 1;
		return outq_push(&s->q, range);
	}
	if ((s = stock_new(SIZE_MAX)) == NULL)
		return ERR_NOMEM;
	if ((r = outq_push(&s->q, range)) != OK)
		stock_free(s);
	else
		TAILQ_INSERT_TAIL(&g->left, s, link);
	return r;
}

/* The size of the frame at the front of in, or of all that is there. */
static size_t
first_size(struct view in)
{
	size_t n;

	return frame_peek(in, in.len, &n) == OK && n <= in.len ? n : in.len;
}

void
group_inherit(struct sub *s, const struct run *run)
{
	struct group *g = s->member->group;
	struct run one = *run;
	struct outq_range range = {.slab = run->slab, .count = 1};
	size_t at;

	for (at = 0; at < run->len; at += range.len) {
		range.off = run->off + at;
		range.len = first_size(
		    (struct view){run->slab->data + range.off, run->len - at});
		if (add_to_left(g, &range) == OK) {
			g->topic->router->counts.left++;
			continue;
		}
		one.off = range.off;
		one.len = range.len;
		one.count = 1;
		outlet_lose(s, s->outlet, &one, g->topic->router->now);
	}
	group_give_left(g);
}

bool
router_is_shared(struct router *r, uint32_t tag)
{
	const struct topic *t = topic_find(r, tag);

	return t != NULL && !TAILQ_EMPTY(&t->groups);
}
