/* SPDX-License-Identifier: ISC */
/*
 * What the files of the router share, and nobody else needs: topics, those who
 * observe them, and how a run comes into an outlet.
 */
#ifndef ROUTE_INSIDE_H
#define ROUTE_INSIDE_H

#include "route/router.h"
#include "route/taghash.h"

/* Unobserved tags whose log lines are held back, at a time. */
#define ROUTER_QUIET 64

struct sub {
	/* These two are its key. */
	struct observer *observer;
	uint32_t tag;
	struct topic *topic; /* NULL: all tags */
	enum policy asked;
	enum policy policy;    /* the weaker one of asked and the tag's */
	struct outlet *outlet; /* for runs of no session, once there is one */
	uint32_t owed_tag;     /* of owed */
	struct outq_loss owed; /* to be told before anything else */
	TAILQ_ENTRY(sub) in_topic;
	TAILQ_ENTRY(sub) in_observer;
	UT_hash_handle hh;
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
	struct sub *subs;   /* by observer and tag */
	struct subs everything;
	TAILQ_HEAD(, observer) observers;
	struct hold *hold;
	struct quiet quiet[ROUTER_QUIET];
	struct router_counts counts;
};

/* --- policy.c --- */

/* The rule for tag. */
enum policy policy_for(const struct router_conf *conf, uint32_t tag);
/* The one that promises less to the senders. */
enum policy policy_weaker(enum policy a, enum policy b);

/* --- topic.c --- */

/* NULL: nobody observes tag. */
struct topic *topic_find(struct router *r, uint32_t tag);
/* NULL: no memory. */
struct topic *topic_make(struct router *r, uint32_t tag);
void topic_drop_if_unused(struct router *r, struct topic *t);

/* NULL: o does not observe tag. */
struct sub *sub_find(struct router *r, struct observer *o, uint32_t tag);
/* t may be NULL: all tags.  NULL: no memory. */
struct sub *sub_new(struct router *r, struct observer *o, struct topic *t);
/* The topic goes, too, if nobody else observes it. */
void sub_free(struct router *r, struct sub *s);
/* The policy that holds for tag, which s is for. */
enum policy sub_policy(const struct sub *s, uint32_t tag);

/* --- outlet.c --- */

/* Whether o is among those a message with that target is for. */
bool outlet_is_wanted(const struct observer *o, struct view target);
/* Where the run goes to s; NULL: no memory. */
struct outlet *outlet_for(struct sub *s, const struct run *run);
/*
 * Queue the run for s; policy says what to do if there is no room.  What is
 * lost by it is counted and told.
 */
void outlet_deliver(
    struct sub *s, enum policy policy, const struct run *run, uint64_t now);
/* Send o away, once. */
void outlet_evict(struct observer *o);
/* Tell what could not be told for lack of memory; false: still cannot. */
bool outlet_settle(struct sub *s);
/* Who waits again comes after all who have not had their turn. */
void outlet_resume(struct outlet *outlet);

#endif /* ROUTE_INSIDE_H */
