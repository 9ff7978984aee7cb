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
/* Topics that are found without the table: a few tags make most runs. */
#define ROUTER_RECENT 64

struct sub {
	/* These two are its key. */
	struct observer *observer;
	uint32_t tag;
	struct topic *topic; /* NULL: all tags */
	bool is_listed;
	enum policy asked;
	enum policy policy;    /* the weaker one of asked and the tag's */
	struct member *member; /* NULL: for itself, and in topic's list */
	struct outlet *outlet; /* for runs of no session, once there is one */
	uint32_t owed_tag;     /* of owed */
	struct outq_loss owed; /* to be told before anything else */
	TAILQ_ENTRY(sub) in_topic;
	TAILQ_ENTRY(sub) in_observer;
	UT_hash_handle hh;
};

/* Messages, each an entry; its tag is its number in the outlet, cut off. */
struct stock {
	struct outq q;
	TAILQ_ENTRY(stock) link;
};
TAILQ_HEAD(stocks, stock);

/*
 * Those who share the messages of a tag.  A member keeps, in its stock, what it
 * was given until it says that it has taken it.  When it goes, its stock is
 * what the group has left, which goes to other members before anything new
 * does.
 */
struct group {
	struct topic *topic;
	char *name;
	struct members members; /* not retired; whose turn it is comes first */
	size_t n;		/* the retired, too */
	struct stocks left;	/* none of them empty */
	struct member *choice;	/* of group_obstacle(); NULL: nobody wants it */
	struct outlet *door;	/* where senders wait for any of the members */
	TAILQ_ENTRY(group) link;
};
TAILQ_HEAD(groups, group);

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

/* A tag that somebody observes. */
struct topic {
	uint32_t tag;
	struct router *router;
	struct subs subs;
	struct groups groups;
	uint32_t n; /* observers, the members of groups among them */
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
	/* Looked up lately, by the last bits of their tags. */
	struct topic *recent[ROUTER_RECENT];
	struct sub *subs; /* by observer and tag */
	struct subs everything;
	uint32_t n_everything;
	TAILQ_HEAD(, observer) observers;
	struct hold *hold;
	struct quiet quiet[ROUTER_QUIET];
	struct router_counts counts;
	uint64_t now; /* when it was last told */
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
/* There are so many observers more; say so to who asked. */
void topic_count(struct topic *t, int more);
void topic_drop_if_unused(struct router *r, struct topic *t);

/* NULL: o does not observe tag. */
struct sub *sub_find(struct router *r, struct observer *o, uint32_t tag);
/* In no list yet.  t may be NULL: all tags.  NULL: no memory. */
struct sub *sub_new(struct router *r, struct observer *o, struct topic *t);
/* s gets each message itself, or no longer does. */
void sub_enlist(struct sub *s);
void sub_delist(struct sub *s);
/* The topic goes, too, if nobody else observes it. */
void sub_free(struct router *r, struct sub *s);
/* The policy that holds for tag, which s is for. */
enum policy sub_policy(const struct sub *s, uint32_t tag);

/* --- outlet.c --- */

/* Whether o is among those a message with that target is for. */
bool outlet_is_wanted(const struct observer *o, struct view target);
/* Where s gets messages of tag and session; NULL: no memory. */
struct outlet *outlet_of(struct sub *s, uint32_t tag, struct view session);
/*
 * Queue the run for s; policy says what to do if there is no room.  What is
 * lost by it is counted and told.
 */
void outlet_deliver(
    struct sub *s, enum policy policy, const struct run *run, uint64_t now);
/* False: no memory. */
bool outlet_push(
    struct outlet *outlet, enum policy policy, const struct run *run);
/* Count the run as lost by s, and tell; outlet may be NULL. */
void outlet_lose(
    struct sub *s, struct outlet *outlet, const struct run *run, uint64_t now);
void outlet_count_loss(struct observer *o, struct outq_loss loss, uint64_t now);
/* Send o away, once. */
void outlet_evict(struct observer *o);
/* Tell what could not be told for lack of memory; false: still cannot. */
bool outlet_settle(struct sub *s);
/* Who waits again comes after all who have not had their turn. */
void outlet_resume(struct outlet *outlet);

/* --- group.c --- */

/* NULL: no memory. */
struct stock *stock_new(size_t limit);
void stock_free(struct stock *s);

/* Who has no room for the run and is to be waited for; or NULL. */
struct outlet *group_obstacle(struct group *g, const struct run *run);
/* Queue the run, for which there was no obstacle; false: nobody wants it. */
bool group_deliver(struct group *g, const struct run *run, uint64_t now);
/* What was held for s, a member: each message for anybody in its group. */
void group_inherit(struct sub *s, const struct run *run);
/* Give what is left to those who have room, in order. */
void group_give_left(struct group *g);
/* Count what is left as lost, o having been the last one. */
void group_lose_left(struct group *g, struct observer *o);

/* --- member.c: s->member is not NULL, but in the first two --- */

/* Whether s is in the group of that name. */
bool member_is_in(const struct sub *s, const char *name);
/* Let s be in it, and nowhere else; member_set() is next.  ERR_NOMEM */
int member_enter(struct sub *s, const char *name);
/* Let it have so many not taken, and get messages again if it was retired. */
void member_set(struct sub *s, unsigned prefetch);
/* It is in its place: there is room for what others wait with. */
void member_ready(struct sub *s);
/* Give it nothing new; false: it has taken everything, and may quit. */
bool member_retire(struct sub *s);
/* What it has not taken goes to others, or is lost. */
void member_quit(struct sub *s);

/* s has an outlet now. */
void member_take_outlet(struct sub *s);
/* Of the members that have this outlet: nobody has it any more. */
void member_close_all(struct router *r, struct outlet *outlet);
/* There may be room again. */
void member_wake_all(struct outlet *outlet);
/* They have been idle. */
void member_trim_all(struct outlet *outlet);

#endif /* ROUTE_INSIDE_H */
