/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "route/hold.h"
#include "route/inside.h"

#define NS_PER_S 1000000000u

int
router_new(struct router **out, const struct router_conf *conf)
{
	struct router *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ERR_NOMEM;
	r->conf = conf;
	TAILQ_INIT(&r->everything);
	TAILQ_INIT(&r->observers);
	if (hold_new(&r->hold, conf->hold_bytes, conf->hold_ns) != OK) {
		free(r);
		return ERR_NOMEM;
	}
	taghash_init(&r->hash);
	*out = r;
	return OK;
}

void
router_free(struct router *r)
{
	if (r == NULL)
		return;
	hold_free(r->hold);
	free(r);
}

int
router_join(struct router *r, struct observer *o, struct view target)
{
	TAILQ_INIT(&o->subs);
	TAILQ_INIT(&o->outlets);
	o->n_subs = 0;
	o->target = NULL;
	if (target.len > 0) {
		o->target = strndup((const char *)target.p, target.len);
		if (o->target == NULL)
			return ERR_NOMEM;
	}
	o->router = r;
	TAILQ_INSERT_TAIL(&r->observers, o, link);
	return OK;
}

static void
inherit(void *arg, const struct run *run)
{
	struct sub *s = arg;

	/* Whatever the policy: the newest are worth more than the oldest. */
	if (s->member != NULL)
		group_inherit(s, run);
	else
		outlet_deliver(s, POLICY_DROP_OLD, run, s->topic->router->now);
}

static struct sub *
add_sub(struct router *r, struct observer *o, uint32_t tag)
{
	struct topic *t = topic_make(r, tag);
	struct sub *s;

	if (t == NULL)
		return NULL;
	if ((s = sub_new(r, o, t)) == NULL)
		topic_drop_if_unused(r, t);
	return s;
}

/* Let s observe for itself, or with a group.  ERR_NOMEM: as it did before. */
static int
set_group(struct sub *s, const char *group)
{
	if (group != NULL)
		return member_is_in(s, group) ? OK : member_enter(s, group);
	if (s->member != NULL)
		member_quit(s);
	if (!s->is_listed)
		sub_enlist(s);
	return OK;
}

/* What was in their way may be so no longer. */
static void
resume_all(struct observer *o)
{
	struct outlet *outlet;

	TAILQ_FOREACH(outlet, &o->outlets, link)
		outlet_resume(outlet);
}

int
router_observe(struct router *r, struct observer *o,
    const struct observing *what, uint64_t now)
{
	struct sub *s = sub_find(r, o, what->tag);
	struct hold_taker taker = {what->tag, o->target, inherit, NULL};
	bool is_new = s == NULL;
	int result;

	r->now = now;
	if (what->group != NULL && strlen(what->group) > ROUTER_GROUP_MAX)
		return ERR_LIMIT;
	if (is_new && (s = add_sub(r, o, what->tag)) == NULL)
		return ERR_NOMEM;
	if ((result = set_group(s, what->group)) != OK) {
		if (is_new)
			sub_free(r, s);
		return result;
	}
	s->asked = what->asked;
	s->policy = policy_weaker(s->asked, policy_for(r->conf, s->tag));
	if (s->member != NULL)
		member_set(s, what->prefetch);
	taker.arg = s;
	hold_take(r->hold, &taker, now);
	if (s->member != NULL)
		member_ready(s);
	if (!is_new)
		resume_all(o);
	return OK;
}

void
router_unobserve(struct router *r, struct observer *o, uint32_t tag)
{
	struct sub *s = sub_find(r, o, tag);

	if (s == NULL)
		return;
	if (!outlet_settle(s))
		outlet_evict(o);
	if (s->member == NULL || !member_retire(s))
		sub_free(r, s);
	resume_all(o);
}

int
router_observe_all(struct router *r, struct observer *o)
{
	struct sub *s;

	if (o->everything)
		return OK;
	if ((s = sub_new(r, o, NULL)) == NULL)
		return ERR_NOMEM;
	sub_enlist(s);
	o->everything = true;
	r->n_everything++;
	return OK;
}

void
router_reload(struct router *r)
{
	struct observer *o;
	struct sub *s;

	TAILQ_FOREACH(o, &r->observers, link) {
		TAILQ_FOREACH(s, &o->subs, in_observer)
			s->policy = policy_weaker(
			    s->asked, policy_for(r->conf, s->tag));
	}
	TAILQ_FOREACH(o, &r->observers, link)
		resume_all(o);
}

void
router_leave(struct router *r, struct observer *o)
{
	struct outlet *outlet;
	struct sub *s;

	if (o->router == NULL)
		return;
	TAILQ_REMOVE(&r->observers, o, link);
	while ((s = TAILQ_FIRST(&o->subs)) != NULL)
		sub_free(r, s);
	o->router = NULL;
	r->n_everything -= o->everything;
	o->everything = false;
	free(o->target);
	o->target = NULL;
	while ((outlet = TAILQ_FIRST(&o->outlets)) != NULL)
		router_close_outlet(r, outlet);
}

/* The outlet of a blocking observer that has no room for the run. */
static struct outlet *
obstacle_at(struct sub *s, const struct run *run)
{
	struct outlet *outlet;

	if (sub_policy(s, run->tag) != POLICY_BLOCK ||
	    s->observer == run->sender ||
	    !outlet_is_wanted(s->observer, run->target) ||
	    (outlet = outlet_of(s, run->tag, run->session)) == NULL ||
	    outq_fits(outlet->out, run->slab, run->len))
		return NULL;
	return outlet;
}

static struct outlet *
find_obstacle(struct router *r, struct topic *t, const struct run *run)
{
	struct outlet *outlet;
	struct group *g;
	struct sub *s;

	if (t != NULL) {
		TAILQ_FOREACH(s, &t->subs, in_topic)
			if ((outlet = obstacle_at(s, run)) != NULL)
				return outlet;
		TAILQ_FOREACH(g, &t->groups, link)
			if ((outlet = group_obstacle(g, run)) != NULL)
				return outlet;
	}
	TAILQ_FOREACH(s, &r->everything, in_topic)
		if ((outlet = obstacle_at(s, run)) != NULL)
			return outlet;
	return NULL;
}

/* Nobody wants it: keep it if asked to, say so once a tag and second. */
static void
let_go(struct router *r, const struct run *run, uint64_t now)
{
	struct quiet *q = &r->quiet[run->tag % ROUTER_QUIET];

	r->counts.unobserved += run->count;
	if (hold_put(r->hold, run, now))
		r->counts.held += run->count;
	if (q->tag != run->tag || now >= q->until) {
		log_debug("nobody observes tag 0x%x: %llu messages since the "
			  "last such line",
		    run->tag,
		    q->tag == run->tag
			? (unsigned long long)q->count + run->count
			: run->count);
		*q = (struct quiet){run->tag, now + NS_PER_S, 0};
	} else {
		q->count += run->count;
	}
}

/* Queue the run for those of subs that want it; false: none does. */
static bool
deliver(struct subs *subs, const struct run *run, uint64_t now)
{
	bool wanted = false;
	struct sub *s;

	TAILQ_FOREACH(s, subs, in_topic) {
		if (!outlet_is_wanted(s->observer, run->target))
			continue;
		wanted = true;
		outlet_deliver(s, sub_policy(s, run->tag), run, now);
	}
	return wanted;
}

static bool
deliver_to_topic(struct topic *t, const struct run *run, uint64_t now)
{
	bool wanted = deliver(&t->subs, run, now);
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		wanted |= group_deliver(g, run, now);
	return wanted;
}

int
router_send(
    struct router *r, const struct run *run, struct outcome *out, uint64_t now)
{
	struct topic *t = topic_find(r, run->tag);
	bool wanted;

	r->now = now;
	*out = (struct outcome){.obstacle = find_obstacle(r, t, run)};
	if (out->obstacle != NULL)
		return ERR_MORE;
	r->counts.messages += run->count;
	wanted = t != NULL && deliver_to_topic(t, run, now);
	wanted |= deliver(&r->everything, run, now);
	if (!wanted) {
		out->unobserved = run->count;
		let_go(r, run, now);
	}
	return OK;
}

static void
settle(struct observer *o)
{
	struct sub *s;

	o->owes = false;
	TAILQ_FOREACH(s, &o->subs, in_observer)
		if (!outlet_settle(s))
			o->owes = true;
}

void
router_tick(struct router *r)
{
	struct observer *o;

	TAILQ_FOREACH(o, &r->observers, link)
		if (o->owes)
			settle(o);
}

const struct router_counts *
router_counts(const struct router *r)
{
	return &r->counts;
}
