/* SPDX-License-Identifier: ISC */
/*
 * Those who share the messages of a tag.
 *
 * A member keeps, in its stock, what it was given until it says that it has
 * taken it.  When it goes, its stock is what the group has left, which goes to
 * the other members before anything new does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "route/inside.h"
#include "wire/frame.h"
#include "wire/meta.h"

/* Messages, each an entry; its tag is its number in the outlet, cut off. */
struct stock {
	struct outq q;
	TAILQ_ENTRY(stock) link;
};

struct member {
	struct sub *sub;
	struct group *group;
	struct stock *stock; /* NULL, or what it has not taken */
	uint32_t untaken;    /* messages */
	unsigned prefetch;
	bool retired; /* gets nothing new */
	TAILQ_ENTRY(member) in_group;
	TAILQ_ENTRY(member) in_outlet; /* while sub has one */
};

static struct router *
router_of(const struct group *g)
{
	return g->topic->router;
}

/* --- stocks --- */

static struct stock *
stock_new(size_t limit)
{
	struct stock *s = calloc(1, sizeof(*s));

	if (s != NULL)
		outq_init(&s->q, limit);
	return s;
}

static void
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

	router_of(g)->counts.left -= outq_at(&s->q, 0)->count;
	outq_drop_first(&s->q);
	if (s->q.n > 0)
		return;
	TAILQ_REMOVE(&g->left, s, link);
	stock_free(s);
}

/* Give what is left to those who have room, in order. */
static void
give_left(struct group *g)
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
			give_or_lose(c.m, &run, router_of(g)->now);
		else /* it was for one of those who went */
			outlet_lose(TAILQ_FIRST(&g->members)->sub, NULL, &run,
			    router_of(g)->now);
		pop_left(g);
	}
}

/* Nobody is there for it, o having gone. */
static void
lose_left(struct group *g, struct observer *o)
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
	outlet_count_loss(o, loss, router_of(g)->now);
}

/* What m has not taken is for others now. */
static void
hand_over(struct member *m)
{
	struct observer *o = m->sub->observer;
	struct router *r = router_of(m->group);

	if (m->untaken == 0)
		return;
	o->delivered -= m->untaken;
	r->counts.delivered -= m->untaken;
	r->counts.left += m->untaken;
	TAILQ_INSERT_TAIL(&m->group->left, m->stock, link);
	m->stock = NULL;
	m->untaken = 0;
}

/* Half of what it may have is free. */
static bool
has_slack(const struct member *m)
{
	const struct outlet *outlet = m->sub->outlet;

	return m->untaken <= m->prefetch / 2 &&
	       (m->stock == NULL || outq_has_slack(&m->stock->q)) &&
	       (outlet == NULL || outq_has_slack(outlet->out));
}

static void
wake(struct member *m)
{
	struct group *g = m->group;
	struct outlet *door = g->door;

	if (m->retired)
		return;
	give_left(g);
	if (door == NULL || !TAILQ_EMPTY(&g->left) || !has_slack(m))
		return;
	g->door = NULL;
	outlet_resume(door);
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
			router_of(g)->counts.left++;
			continue;
		}
		one.off = range.off;
		one.len = range.len;
		one.count = 1;
		outlet_lose(s, s->outlet, &one, router_of(g)->now);
	}
	give_left(g);
}

/* --- who belongs to it --- */

static void
group_free(struct group *g)
{
	TAILQ_REMOVE(&g->topic->groups, g, link);
	free(g->name);
	free(g);
}

static struct group *
group_find(struct topic *t, const char *name)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static struct group *
group_make(struct topic *t, const char *name)
{
	struct group *g = group_find(t, name);

	if (g != NULL || (g = calloc(1, sizeof(*g))) == NULL)
		return g;
	if ((g->name = strdup(name)) == NULL) {
		free(g);
		return NULL;
	}
	g->topic = t;
	TAILQ_INIT(&g->members);
	TAILQ_INIT(&g->left);
	TAILQ_INSERT_TAIL(&t->groups, g, link);
	return g;
}

/* m gets messages from now on. */
static void
enlist(struct member *m)
{
	m->retired = false;
	TAILQ_INSERT_TAIL(&m->group->members, m, in_group);
	topic_count(m->group->topic, 1);
}

/* m gets no more; who waits at its outlet is to be resumed. */
static void
delist(struct member *m)
{
	struct group *g = m->group;

	if (m->retired)
		return;
	m->retired = true;
	TAILQ_REMOVE(&g->members, m, in_group);
	if (g->door == m->sub->outlet)
		g->door = NULL;
	topic_count(g->topic, -1);
}

bool
group_is(const struct sub *s, const char *name)
{
	return s->member != NULL && strcmp(s->member->group->name, name) == 0;
}

int
group_enter(struct sub *s, const char *name)
{
	struct member *m = calloc(1, sizeof(*m));
	struct group *g;

	if (m == NULL)
		return ERR_NOMEM;
	if ((g = group_make(s->topic, name)) == NULL) {
		free(m);
		return ERR_NOMEM;
	}
	if (s->member != NULL)
		group_quit(s);
	sub_delist(s);
	g->n++;
	m->sub = s;
	m->group = g;
	m->retired = true; /* until group_set() */
	s->member = m;
	if (s->outlet != NULL)
		group_take_outlet(s);
	return OK;
}

void
group_set(struct sub *s, unsigned prefetch)
{
	struct member *m = s->member;

	if (prefetch == 0)
		prefetch = 1;
	if (prefetch > ROUTER_PREFETCH_MAX)
		prefetch = ROUTER_PREFETCH_MAX;
	m->prefetch = prefetch;
	if (m->retired)
		enlist(m);
}

void
group_ready(struct sub *s)
{
	wake(s->member);
}

bool
group_retire(struct sub *s)
{
	struct member *m = s->member;

	if (m->untaken == 0)
		return false;
	delist(m);
	if (TAILQ_EMPTY(&m->group->members))
		lose_left(m->group, s->observer);
	return true;
}

void
group_quit(struct sub *s)
{
	struct member *m = s->member;
	struct group *g = m->group;

	hand_over(m);
	delist(m);
	if (s->outlet != NULL)
		TAILQ_REMOVE(&s->outlet->members, m, in_outlet);
	s->member = NULL;
	stock_free(m->stock);
	free(m);
	if (TAILQ_EMPTY(&g->members))
		lose_left(g, s->observer);
	else
		give_left(g);
	if (--g->n == 0)
		group_free(g);
}

/* --- their outlets --- */

void
group_take_outlet(struct sub *s)
{
	TAILQ_INSERT_TAIL(&s->outlet->members, s->member, in_outlet);
}

/*
 * The members are told first that it is gone, as one of them may be given what
 * it has just left.
 */
void
group_close(struct router *r, struct outlet *outlet)
{
	struct member *m;

	TAILQ_FOREACH(m, &outlet->members, in_outlet) {
		if (m->group->door == outlet)
			m->group->door = NULL;
		hand_over(m);
	}
	while ((m = TAILQ_FIRST(&outlet->members)) != NULL) {
		TAILQ_REMOVE(&outlet->members, m, in_outlet);
		if (m->retired)
			sub_free(r, m->sub);
		else
			give_left(m->group);
	}
}

void
group_wake(struct outlet *outlet)
{
	struct member *m;

	TAILQ_FOREACH(m, &outlet->members, in_outlet)
		wake(m);
}

void
group_trim(struct outlet *outlet)
{
	struct member *m;

	TAILQ_FOREACH(m, &outlet->members, in_outlet) {
		if (m->untaken > 0)
			continue;
		stock_free(m->stock);
		m->stock = NULL;
	}
}

/* Forget what comes before the given number in the outlet. */
static void
forget_taken(struct member *m, uint32_t messages)
{
	const struct outq_entry *e;

	while (m->untaken > 0) {
		e = outq_at(&m->stock->q, 0);
		if ((int32_t)(e->tag - messages) > 0)
			return;
		m->untaken -= e->count;
		outq_drop_first(&m->stock->q);
	}
}

int
router_taken(struct router *r, struct outlet *outlet, uint64_t messages)
{
	struct member *m, *next;

	if (messages > outlet->queued)
		return ERR_BAD;
	for (m = TAILQ_FIRST(&outlet->members); m != NULL; m = next) {
		next = TAILQ_NEXT(m, in_outlet);
		forget_taken(m, (uint32_t)messages);
		if (m->retired && m->untaken == 0)
			sub_free(r, m->sub);
	}
	group_wake(outlet);
	return OK;
}

bool
router_is_shared(struct router *r, uint32_t tag)
{
	const struct topic *t = topic_find(r, tag);

	return t != NULL && !TAILQ_EMPTY(&t->groups);
}
