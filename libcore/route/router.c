/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "route/hold.h"
#include "route/router.h"
#include "route/taghash.h"

#define NS_PER_S 1000000000u
/* Unobserved tags whose log lines are held back, at a time. */
#define QUIET_TAGS 64

struct sub {
	struct observer *observer;
	struct topic *topic; /* NULL: all tags */
	enum policy asked;
	enum policy policy;    /* of the tag, or asked for */
	struct outlet *outlet; /* for runs of no session, once there is one */
	TAILQ_ENTRY(sub) in_topic;
	TAILQ_ENTRY(sub) in_observer;
};

/* A tag that somebody observes. */
struct topic {
	uint32_t tag;
	struct subs subs;
	UT_hash_handle hh;
};

struct quiet {
	uint32_t tag;
	uint64_t until;
	uint64_t count;
};

struct router {
	const struct router_conf *conf;
	struct taghash hash;
	struct topic *topics;
	struct topic *last; /* that was looked up: runs come in a row */
	struct subs everything;
	TAILQ_HEAD(, observer) observers;
	struct hold *hold;
	struct quiet quiet[QUIET_TAGS];
	struct router_counts counts;
};

static const char *const policy_names[] = {
    [POLICY_BLOCK] = "block",
    [POLICY_DROP_OLD] = "drop-old",
    [POLICY_DISCONNECT] = "disconnect",
};

int
policy_of(const char *name, enum policy *out)
{
	size_t i;

	for (i = 0; i < sizeof(policy_names) / sizeof(*policy_names); i++) {
		if (strcmp(policy_names[i], name) != 0)
			continue;
		*out = (enum policy)i;
		return OK;
	}
	return ERR_NONE;
}

const char *
policy_name(enum policy p)
{
	return policy_names[p];
}

static enum policy
policy_for(const struct router *r, uint32_t tag)
{
	size_t i;

	for (i = r->conf->n_policies; i > 0; i--) {
		if (tag >= r->conf->policies[i - 1].first &&
		    tag <= r->conf->policies[i - 1].last)
			return r->conf->policies[i - 1].policy;
	}
	return POLICY_BLOCK;
}

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

static struct topic *
find_topic(struct router *r, uint32_t tag)
{
	struct topic *t = r->last;

	if (t != NULL && t->tag == tag)
		return t;
	HASH_FIND_BYHASHVALUE(
	    hh, r->topics, &tag, sizeof(tag), taghash_of(&r->hash, tag), t);
	if (t != NULL)
		r->last = t;
	return t;
}

static struct topic *
make_topic(struct router *r, uint32_t tag)
{
	struct topic *t = find_topic(r, tag);

	if (t != NULL)
		return t;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->tag = tag;
	TAILQ_INIT(&t->subs);
	HASH_ADD_BYHASHVALUE(
	    hh, r->topics, tag, sizeof(tag), taghash_of(&r->hash, tag), t);
	if (t->hh.tbl == NULL) { /* out of memory */
		free(t);
		return NULL;
	}
	return t;
}

static void
drop_topic_if_unused(struct router *r, struct topic *t)
{
	if (!TAILQ_EMPTY(&t->subs))
		return;
	HASH_DELETE(hh, r->topics, t);
	if (r->last == t)
		r->last = NULL;
	free(t);
}

static bool
is_wanted(const struct observer *o, struct view target)
{
	return target.len == 0 || o->everything ||
	       (o->target != NULL && view_equal(view_of(o->target), target));
}

static void
count_loss(
    struct router *r, struct observer *o, struct outq_loss loss, uint64_t now)
{
	if (loss.messages == 0)
		return;
	o->lost.messages += loss.messages;
	o->lost.bytes += loss.bytes;
	r->counts.lost.messages += loss.messages;
	r->counts.lost.bytes += loss.bytes;
	if (now < o->loss_logged_at + NS_PER_S && o->loss_logged_at != 0)
		return;
	o->loss_logged_at = now;
	log_info("'%s' is too slow: %llu messages of %llu bytes dropped so far",
	    o->name, (unsigned long long)o->lost.messages,
	    (unsigned long long)o->lost.bytes);
}

/* Where the run goes to s; NULL: no memory. */
static struct outlet *
outlet_for(struct sub *s, const struct run *run)
{
	struct observer *o = s->observer;

	if (run->session.len > 0 || s->topic == NULL)
		return o->outlet(o->arg, run->tag, run->session);
	if (s->outlet == NULL)
		s->outlet = o->outlet(o->arg, run->tag, run->session);
	return s->outlet;
}

static bool
push(struct router *r, struct outlet *outlet, const struct run *run)
{
	struct observer *o = outlet->observer;

	if (outq_push(outlet->out, run->slab, run->off, run->len, run->tag,
		run->count) != OK)
		return false;
	outlet->queued += run->count;
	o->delivered += run->count;
	r->counts.delivered += run->count;
	o->wake(o->arg, outlet);
	return true;
}

/* Who drops what is old for a run. */
struct dropper {
	const struct router *router;
	const struct run *run;
};

static bool
may_drop(void *arg, uint32_t tag)
{
	const struct dropper *d = arg;

	return tag == d->run->tag ||
	       policy_for(d->router, tag) == POLICY_DROP_OLD;
}

static void
evict(struct router *r, struct observer *o)
{
	if (o->evicted)
		return;
	o->evicted = true;
	r->counts.evicted++;
	o->evict(o->arg);
}

/* Make room with what is old; what was queued is not delivered after all. */
static bool
drop_old(struct router *r, struct outlet *outlet, const struct run *run,
    struct outq_loss *loss)
{
	struct dropper d = {r, run};
	bool fits =
	    outq_drop_old(outlet->out, run->slab, run->len, may_drop, &d, loss);

	outlet->queued -= loss->messages;
	outlet->observer->delivered -= loss->messages;
	r->counts.delivered -= loss->messages;
	return fits;
}

/* Queue the run for s; policy says what to do if there is no room. */
static void
deliver(struct router *r, struct sub *s, enum policy policy,
    const struct run *run, uint64_t now)
{
	struct outlet *outlet = outlet_for(s, run);
	struct outq_loss loss = {0};
	bool fits, done = false;

	if (outlet != NULL) {
		fits = outq_fits(outlet->out, run->slab, run->len);
		if (!fits && policy == POLICY_DROP_OLD)
			fits = drop_old(r, outlet, run, &loss);
		if (!fits && policy == POLICY_DISCONNECT &&
		    s->observer != run->sender)
			evict(r, s->observer);
		done = fits && push(r, outlet, run);
	}
	if (!done) {
		loss.messages += run->count;
		loss.bytes += run->len;
	}
	count_loss(r, s->observer, loss, now);
	if (run->session_ends && outlet != NULL &&
	    s->observer->session_over != NULL)
		s->observer->session_over(s->observer->arg, outlet);
}

/* Where what was held goes. */
struct heir {
	struct sub *sub;
	uint64_t now;
};

static void
inherit(void *arg, const struct run *run)
{
	const struct heir *h = arg;

	/* Whatever the policy: the newest are worth more than the oldest. */
	deliver(h->sub->observer->router, h->sub, POLICY_DROP_OLD, run, h->now);
}

static enum policy
weaker(enum policy a, enum policy b)
{
	return a > b ? a : b;
}

/* Looks at the latest first: a client names its tags in one go. */
static struct sub *
find_sub(const struct topic *t, const struct observer *o)
{
	struct sub *s;

	for (s = TAILQ_LAST(&t->subs, subs); s != NULL;
	     s = TAILQ_PREV(s, subs, in_topic))
		if (s->observer == o)
			return s;
	return NULL;
}

static void
add_sub(struct sub *s, struct observer *o, struct topic *t)
{
	s->observer = o;
	s->topic = t;
	TAILQ_INSERT_TAIL(
	    t != NULL ? &t->subs : &o->router->everything, s, in_topic);
	TAILQ_INSERT_TAIL(&o->subs, s, in_observer);
	o->n_subs++;
}

static void
drop_sub(struct router *r, struct sub *s)
{
	struct topic *t = s->topic;

	TAILQ_REMOVE(t != NULL ? &t->subs : &r->everything, s, in_topic);
	TAILQ_REMOVE(&s->observer->subs, s, in_observer);
	s->observer->n_subs--;
	if (t != NULL)
		drop_topic_if_unused(r, t);
	free(s);
}

int
router_observe(struct router *r, struct observer *o,
    const struct observing *what, uint64_t now)
{
	struct topic *t = make_topic(r, what->tag);
	struct hold_taker taker = {.tag = what->tag, .target = o->target};
	struct heir heir = {.now = now};
	struct sub *s;

	if (t == NULL)
		return ERR_NOMEM;
	if ((s = find_sub(t, o)) == NULL) {
		if ((s = calloc(1, sizeof(*s))) == NULL) {
			drop_topic_if_unused(r, t);
			return ERR_NOMEM;
		}
		add_sub(s, o, t);
	}
	s->asked = what->asked;
	s->policy = weaker(s->asked, policy_for(r, what->tag));
	heir.sub = s;
	taker.take = inherit;
	taker.arg = &heir;
	hold_take(r->hold, &taker, now);
	return OK;
}

void
router_unobserve(struct router *r, struct observer *o, uint32_t tag)
{
	struct topic *t = find_topic(r, tag);
	struct sub *s;

	if (t != NULL && (s = find_sub(t, o)) != NULL)
		drop_sub(r, s);
}

int
router_observe_all(struct router *r, struct observer *o)
{
	struct sub *s;

	(void)r;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	add_sub(s, o, NULL);
	o->everything = true;
	return OK;
}

/* Who waits again comes after all who have not had their turn. */
static void
resume_all(struct outlet *outlet)
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
router_reload(struct router *r)
{
	struct outlet *outlet;
	struct observer *o;
	struct sub *s;

	TAILQ_FOREACH(o, &r->observers, link) {
		TAILQ_FOREACH(s, &o->subs, in_observer)
			if (s->topic != NULL)
				s->policy = weaker(
				    s->asked, policy_for(r, s->topic->tag));
	}
	TAILQ_FOREACH(o, &r->observers, link)
		TAILQ_FOREACH(outlet, &o->outlets, link)
			resume_all(outlet);
}

void
router_open_outlet(struct outlet *outlet, struct observer *o, struct outq *out)
{
	*outlet = (struct outlet){.observer = o, .out = out};
	TAILQ_INIT(&outlet->waiters);
	TAILQ_INSERT_TAIL(&o->outlets, outlet, link);
}

void
router_close_outlet(struct router *r, struct outlet *outlet)
{
	struct observer *o = outlet->observer;
	struct sub *s;

	(void)r;
	if (o == NULL)
		return;
	outlet->observer = NULL;
	TAILQ_REMOVE(&o->outlets, outlet, link);
	TAILQ_FOREACH(s, &o->subs, in_observer)
		if (s->outlet == outlet)
			s->outlet = NULL;
	resume_all(outlet);
}

void
router_leave(struct router *r, struct observer *o)
{
	struct outlet *outlet;
	struct sub *s;

	if (o->router == NULL)
		return;
	o->router = NULL;
	TAILQ_REMOVE(&r->observers, o, link);
	while ((s = TAILQ_FIRST(&o->subs)) != NULL)
		drop_sub(r, s);
	o->everything = false;
	free(o->target);
	o->target = NULL;
	while ((outlet = TAILQ_FIRST(&o->outlets)) != NULL)
		router_close_outlet(r, outlet);
}

/* The outlet of a blocking observer that has no room for the run. */
static struct outlet *
obstacle_at(struct sub *s, enum policy policy, const struct run *run)
{
	struct outlet *outlet;

	if (policy != POLICY_BLOCK || s->observer == run->sender ||
	    !is_wanted(s->observer, run->target) ||
	    (outlet = outlet_for(s, run)) == NULL ||
	    outq_fits(outlet->out, run->slab, run->len))
		return NULL;
	return outlet;
}

static struct outlet *
find_obstacle(struct router *r, struct topic *t, const struct run *run)
{
	struct outlet *outlet;
	struct sub *s;

	if (t != NULL) {
		TAILQ_FOREACH(s, &t->subs, in_topic)
			if ((outlet = obstacle_at(s, s->policy, run)) != NULL)
				return outlet;
	}
	TAILQ_FOREACH(s, &r->everything, in_topic) {
		outlet = obstacle_at(s, policy_for(r, run->tag), run);
		if (outlet != NULL)
			return outlet;
	}
	return NULL;
}

/* Nobody wants it: keep it if asked to, say so once a tag and second. */
static void
let_go(struct router *r, const struct run *run, uint64_t now)
{
	struct quiet *q = &r->quiet[run->tag % QUIET_TAGS];

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

int
router_send(
    struct router *r, const struct run *run, struct outcome *out, uint64_t now)
{
	struct topic *t = find_topic(r, run->tag);
	struct sub *s;
	bool wanted = false;

	*out = (struct outcome){.obstacle = find_obstacle(r, t, run)};
	if (out->obstacle != NULL)
		return ERR_MORE;
	r->counts.messages += run->count;
	if (t != NULL) {
		TAILQ_FOREACH(s, &t->subs, in_topic) {
			if (!is_wanted(s->observer, run->target))
				continue;
			wanted = true;
			deliver(r, s, s->policy, run, now);
		}
	}
	TAILQ_FOREACH(s, &r->everything, in_topic) {
		wanted = true;
		deliver(r, s, policy_for(r, run->tag), run, now);
	}
	if (!wanted) {
		out->unobserved = run->count;
		let_go(r, run, now);
	}
	return OK;
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
	const struct outq *q = outlet->out;

	if (outlet->observer == NULL || TAILQ_EMPTY(&outlet->waiters))
		return;
	if (q->bytes == 0 || q->charge <= q->limit / 2)
		resume_all(outlet);
}

void
router_trim(struct outlet *outlet)
{
	outq_trim(outlet->out);
}

const struct router_counts *
router_counts(const struct router *r)
{
	return &r->counts;
}
