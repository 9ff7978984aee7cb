/* SPDX-License-Identifier: ISC */
/* Who belongs to a group: coming, going, and what each has taken. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "route/inside.h"

/* What m has not taken is for others now. */
static void
hand_over(struct member *m)
{
	struct observer *o = m->sub->observer;
	struct router *r = m->group->topic->router;

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
	group_give_left(g);
	if (door == NULL || !TAILQ_EMPTY(&g->left) || !has_slack(m))
		return;
	g->door = NULL;
	outlet_resume(door);
}

/* --- coming and going --- */

static void
free_group(struct group *g)
{
	TAILQ_REMOVE(&g->topic->groups, g, link);
	free(g->name);
	free(g);
}

static struct group *
find_group(struct topic *t, const char *name)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static struct group *
make_group(struct topic *t, const char *name)
{
	struct group *g = find_group(t, name);

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
member_is_in(const struct sub *s, const char *name)
{
	return s->member != NULL && strcmp(s->member->group->name, name) == 0;
}

int
member_enter(struct sub *s, const char *name)
{
	struct member *m = calloc(1, sizeof(*m));
	struct group *g;

	if (m == NULL)
		return ERR_NOMEM;
	if ((g = make_group(s->topic, name)) == NULL) {
		free(m);
		return ERR_NOMEM;
	}
	if (s->member != NULL)
		member_quit(s);
	sub_delist(s);
	g->n++;
	m->sub = s;
	m->group = g;
	m->retired = true; /* until member_set() */
	s->member = m;
	if (s->outlet != NULL)
		member_take_outlet(s);
	return OK;
}

void
member_set(struct sub *s, unsigned prefetch)
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
member_ready(struct sub *s)
{
	wake(s->member);
}

bool
member_retire(struct sub *s)
{
	struct member *m = s->member;

	if (m->untaken == 0)
		return false;
	delist(m);
	if (TAILQ_EMPTY(&m->group->members))
		group_lose_left(m->group, s->observer);
	return true;
}

void
member_quit(struct sub *s)
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
		group_lose_left(g, s->observer);
	else
		group_give_left(g);
	if (--g->n == 0)
		free_group(g);
}

/* --- their outlets --- */

void
member_take_outlet(struct sub *s)
{
	TAILQ_INSERT_TAIL(&s->outlet->members, s->member, in_outlet);
}

/*
 * The members are told first that it is gone, as one of them may be given what
 * it has just left.
 */
void
member_close_all(struct router *r, struct outlet *outlet)
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
			group_give_left(m->group);
	}
}

void
member_wake_all(struct outlet *outlet)
{
	struct member *m;

	TAILQ_FOREACH(m, &outlet->members, in_outlet)
		wake(m);
}

void
member_trim_all(struct outlet *outlet)
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
	member_wake_all(outlet);
	return OK;
}
