/* SPDX-License-Identifier: ISC */
/* Tags that are observed, and by whom. */
#include <stdlib.h>

#include "route/inside.h"

/* As it stands at the front of a sub. */
struct sub_key {
	const struct observer *observer;
	uint32_t tag;
};

#define SUB_KEY_LEN (offsetof(struct sub_key, tag) + sizeof(uint32_t))
_Static_assert(
    offsetof(struct sub, tag) == offsetof(struct sub_key, tag), "key of sub");

static struct topic **
recent(struct router *r, uint32_t tag)
{
	return &r->recent[tag % ROUTER_RECENT];
}

struct topic *
topic_find(struct router *r, uint32_t tag)
{
	struct topic *t = *recent(r, tag);

	if (t != NULL && t->tag == tag)
		return t;
	HASH_FIND_BYHASHVALUE(
	    hh, r->topics, &tag, sizeof(tag), taghash_of(&r->hash, tag), t);
	if (t != NULL)
		*recent(r, tag) = t;
	return t;
}

struct topic *
topic_make(struct router *r, uint32_t tag)
{
	struct topic *t = topic_find(r, tag);

	if (t != NULL)
		return t;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->tag = tag;
	t->router = r;
	TAILQ_INIT(&t->subs);
	TAILQ_INIT(&t->groups);
	HASH_ADD_BYHASHVALUE(
	    hh, r->topics, tag, sizeof(tag), taghash_of(&r->hash, tag), t);
	if (t->hh.tbl == NULL) { /* out of memory */
		free(t);
		return NULL;
	}
	return t;
}

void
topic_count(struct topic *t, int more)
{
	const struct router_conf *conf = t->router->conf;

	t->n += (uint32_t)more;
	if (conf->interest != NULL)
		conf->interest(
		    conf->arg, t->tag, router_observers(t->router, t->tag));
}

void
topic_drop_if_unused(struct router *r, struct topic *t)
{
	if (!TAILQ_EMPTY(&t->subs) || !TAILQ_EMPTY(&t->groups))
		return;
	HASH_DELETE(hh, r->topics, t);
	if (*recent(r, t->tag) == t)
		*recent(r, t->tag) = NULL;
	free(t);
}

struct sub *
sub_find(struct router *r, struct observer *o, uint32_t tag)
{
	const struct sub_key key = {o, tag};
	struct sub *s;

	HASH_FIND_BYHASHVALUE(hh, r->subs, &key, SUB_KEY_LEN,
	    taghash_of_pair(&r->hash, o, tag), s);
	return s;
}

/* False: no memory. */
static bool
add_to_table(struct router *r, struct sub *s)
{
	HASH_ADD_BYHASHVALUE(hh, r->subs, observer, SUB_KEY_LEN,
	    taghash_of_pair(&r->hash, s->observer, s->tag), s);
	return s->hh.tbl != NULL;
}

struct sub *
sub_new(struct router *r, struct observer *o, struct topic *t)
{
	struct sub *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->observer = o;
	s->topic = t;
	s->tag = t != NULL ? t->tag : 0;
	if (t != NULL && !add_to_table(r, s)) {
		free(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&o->subs, s, in_observer);
	o->n_subs++;
	return s;
}

static struct subs *
list_of(struct sub *s)
{
	return s->topic != NULL ? &s->topic->subs
				: &s->observer->router->everything;
}

void
sub_enlist(struct sub *s)
{
	TAILQ_INSERT_TAIL(list_of(s), s, in_topic);
	s->is_listed = true;
	if (s->topic != NULL)
		topic_count(s->topic, 1);
}

void
sub_delist(struct sub *s)
{
	if (!s->is_listed)
		return;
	TAILQ_REMOVE(list_of(s), s, in_topic);
	s->is_listed = false;
	if (s->topic != NULL)
		topic_count(s->topic, -1);
}

void
sub_free(struct router *r, struct sub *s)
{
	sub_delist(s);
	if (s->member != NULL)
		member_quit(s);
	TAILQ_REMOVE(&s->observer->subs, s, in_observer);
	s->observer->n_subs--;
	if (s->topic != NULL) {
		HASH_DELETE(hh, r->subs, s);
		topic_drop_if_unused(r, s->topic);
	}
	free(s);
}

enum policy
sub_policy(const struct sub *s, uint32_t tag)
{
	return s->topic != NULL ? s->policy
				: policy_for(s->observer->router->conf, tag);
}

uint32_t
router_observers(struct router *r, uint32_t tag)
{
	const struct topic *t = topic_find(r, tag);

	return (t != NULL ? t->n : 0) + r->n_everything;
}

void
router_each_topic(struct router *r, uint32_t first, uint32_t last,
    void (*fn)(void *arg, uint32_t tag, uint32_t observers), void *arg)
{
	struct topic *t, *next;

	HASH_ITER(hh, r->topics, t, next)
	if (t->tag >= first && t->tag <= last && t->n > 0)
		fn(arg, t->tag, t->n + r->n_everything);
}
