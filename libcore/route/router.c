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
	struct topic *topic;
	enum policy policy;
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
	TAILQ_HEAD(, observer) everything;
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
	(void)r;
	TAILQ_INIT(&o->subs);
	TAILQ_INIT(&o->waiters);
	o->target = NULL;
	if (target.len > 0) {
		o->target = strndup((const char *)target.p, target.len);
		if (o->target == NULL)
			return ERR_NOMEM;
	}
	o->joined = true;
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

static void
push(struct router *r, struct observer *o, const struct run *run, uint64_t now)
{
	struct outq_loss all = {run->count, run->len};

	if (outq_push(o->out, run->slab, run->off, run->len, run->tag,
		run->count) != OK) {
		count_loss(r, o, all, now);
		return;
	}
	o->delivered += run->count;
	r->counts.delivered += run->count;
	o->wake(o->arg);
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
drop_old(struct router *r, struct observer *o, const struct run *run,
    struct outq_loss *loss)
{
	struct dropper d = {r, run};
	bool fits =
	    outq_drop_old(o->out, run->slab, run->len, may_drop, &d, loss);

	o->delivered -= loss->messages;
	r->counts.delivered -= loss->messages;
	return fits;
}

/* Queue the run for o, whose policy says what to do if there is no room. */
static void
deliver(struct router *r, struct observer *o, enum policy policy,
    const struct run *run, uint64_t now)
{
	struct outq_loss loss = {0};

	if (outq_fits(o->out, run->slab, run->len) ||
	    (policy == POLICY_DROP_OLD && drop_old(r, o, run, &loss))) {
		push(r, o, run, now);
	} else {
		loss.messages += run->count;
		loss.bytes += run->len;
		if (policy == POLICY_DISCONNECT && o != run->sender)
			evict(r, o);
	}
	count_loss(r, o, loss, now);
}

/* Where what was held goes. */
struct heir {
	struct router *router;
	struct observer *observer;
	uint64_t now;
};

static void
inherit(void *arg, const struct run *run)
{
	const struct heir *h = arg;

	/* Whatever the policy: the newest are worth more than the oldest. */
	deliver(h->router, h->observer, POLICY_DROP_OLD, run, h->now);
}

/* Looks at the latest first: a client names its tags in one go. */
static bool
is_observer(const struct topic *t, const struct observer *o)
{
	const struct sub *s;

	for (s = TAILQ_LAST(&t->subs, subs); s != NULL;
	     s = TAILQ_PREV(s, subs, in_topic))
		if (s->observer == o)
			return true;
	return false;
}

int
router_observe(struct router *r, struct observer *o, uint32_t tag, uint64_t now)
{
	struct heir heir = {r, o, now};
	struct hold_taker taker = {tag, o->target, inherit, &heir};
	struct topic *t = make_topic(r, tag);
	struct sub *s;

	if (t == NULL)
		return ERR_NOMEM;
	if (is_observer(t, o))
		return OK;
	if ((s = calloc(1, sizeof(*s))) == NULL) {
		drop_topic_if_unused(r, t);
		return ERR_NOMEM;
	}
	s->observer = o;
	s->topic = t;
	s->policy = policy_for(r, tag);
	TAILQ_INSERT_TAIL(&t->subs, s, in_topic);
	TAILQ_INSERT_TAIL(&o->subs, s, in_observer);
	hold_take(r->hold, &taker, now);
	return OK;
}

void
router_observe_all(struct router *r, struct observer *o)
{
	o->everything = true;
	TAILQ_INSERT_TAIL(&r->everything, o, link);
}

/* Who waits again comes after all who have not had their turn. */
static void
resume_all(struct observer *o)
{
	uint32_t round = ++o->round;
	struct waiter *w;

	while ((w = TAILQ_FIRST(&o->waiters)) != NULL && w->round != round) {
		router_unwait(w);
		w->resume(w->arg);
	}
}

void
router_reload(struct router *r)
{
	struct topic *t, *next;
	struct observer *o;
	struct sub *s;

	HASH_ITER(hh, r->topics, t, next)
	{
		TAILQ_FOREACH(s, &t->subs, in_topic) {
			s->policy = policy_for(r, t->tag);
			resume_all(s->observer);
		}
	}
	TAILQ_FOREACH(o, &r->everything, link)
		resume_all(o);
}

void
router_leave(struct router *r, struct observer *o)
{
	struct sub *s;

	if (!o->joined)
		return;
	o->joined = false;
	while ((s = TAILQ_FIRST(&o->subs)) != NULL) {
		TAILQ_REMOVE(&o->subs, s, in_observer);
		TAILQ_REMOVE(&s->topic->subs, s, in_topic);
		drop_topic_if_unused(r, s->topic);
		free(s);
	}
	if (o->everything)
		TAILQ_REMOVE(&r->everything, o, link);
	o->everything = false;
	free(o->target);
	o->target = NULL;
	resume_all(o);
}

/* Whether a blocking observer has no room for the run. */
static bool
is_in_the_way(
    const struct observer *o, enum policy policy, const struct run *run)
{
	return policy == POLICY_BLOCK && o != run->sender &&
	       is_wanted(o, run->target) &&
	       !outq_fits(o->out, run->slab, run->len);
}

static struct observer *
find_obstacle(struct router *r, struct topic *t, const struct run *run)
{
	struct observer *o;
	struct sub *s;

	if (t != NULL) {
		TAILQ_FOREACH(s, &t->subs, in_topic)
			if (is_in_the_way(s->observer, s->policy, run))
				return s->observer;
	}
	TAILQ_FOREACH(o, &r->everything, link)
		if (is_in_the_way(o, policy_for(r, run->tag), run))
			return o;
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
router_send(struct router *r, const struct run *run, struct observer **obstacle,
    uint64_t now)
{
	struct topic *t = find_topic(r, run->tag);
	struct observer *o;
	struct sub *s;
	bool wanted = false;

	if ((*obstacle = find_obstacle(r, t, run)) != NULL)
		return ERR_MORE;
	r->counts.messages += run->count;
	if (t != NULL) {
		TAILQ_FOREACH(s, &t->subs, in_topic) {
			if (!is_wanted(s->observer, run->target))
				continue;
			wanted = true;
			deliver(r, s->observer, s->policy, run, now);
		}
	}
	TAILQ_FOREACH(o, &r->everything, link) {
		wanted = true;
		deliver(r, o, policy_for(r, run->tag), run, now);
	}
	if (!wanted)
		let_go(r, run, now);
	return OK;
}

void
router_wait(struct observer *o, struct waiter *w)
{
	w->on = o;
	w->round = o->round;
	TAILQ_INSERT_TAIL(&o->waiters, w, link);
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
router_room(struct observer *o)
{
	if (!o->joined || TAILQ_EMPTY(&o->waiters))
		return;
	if (o->out->bytes == 0 || o->out->charge <= o->out->limit / 2)
		resume_all(o);
}

const struct router_counts *
router_counts(const struct router *r)
{
	return &r->counts;
}
