/* SPDX-License-Identifier: ISC */
/*
 * The router: runs of frames in, references in the queues of observers out.
 *
 * Pure: no I/O; the time comes with each run.  yomo(7), "What happens to a
 * message", is what it does.
 */
#ifndef ROUTE_ROUTER_H
#define ROUTE_ROUTER_H

#include <sys/queue.h>

#include "base/outq.h"

/* What happens to a message when an observer's queue is full. */
enum policy {
	POLICY_BLOCK,	   /* the senders of the tag wait */
	POLICY_DROP_OLD,   /* the oldest waiting messages make room */
	POLICY_DISCONNECT, /* the observer is sent away */
};

/* "block", "drop-old", "disconnect"; ERR_NONE. */
int policy_of(const char *name, enum policy *out);
const char *policy_name(enum policy p);

struct router;
struct observer;

/* Somebody who waits until an outlet has room again. */
struct waiter {
	/* May send, and wait again; nobody may leave during the call. */
	void (*resume)(void *arg);
	void *arg;
	struct outlet *on; /* NULL: not waiting */
	uint32_t round;	   /* in which it began to wait */
	TAILQ_ENTRY(waiter) link;
};
TAILQ_HEAD(waiters, waiter);

struct member;
TAILQ_HEAD(members, member);

/*
 * A queue that an observer gets messages by: it may have one for all of them,
 * or one for each tag, or for each session.  Embedded by its owner.
 */
struct outlet {
	struct observer *observer;
	struct outq *out;
	struct waiters waiters;
	uint32_t round;		/* of resuming those who wait */
	uint64_t queued;	/* messages, in all, and not dropped again */
	struct members members; /* of groups, who get theirs by it */
	/*
	 * It has messages that its observer shares with a group: when it ends,
	 * those left in out go to others, or are counted as lost here.
	 */
	bool is_shared;
	TAILQ_ENTRY(outlet) link;
};
TAILQ_HEAD(outlets, outlet);

struct sub; /* one observer of one tag */
TAILQ_HEAD(subs, sub);

/* Who gets messages: embedded in its connection, filled by router_join(). */
struct observer {
	/*
	 * The outlet for messages of tag, and of session, if that is not empty;
	 * opened when first asked for.  It is asked for again after the outlet
	 * was closed, and for each run of a session.  NULL, when there is no
	 * memory: the messages count as lost.
	 */
	struct outlet *(*outlet)(void *arg, uint32_t tag, struct view session);
	/* Something was queued. */
	void (*wake)(void *arg, struct outlet *outlet);
	/*
	 * outlet is the one for a session of which no more will come: to be
	 * finished, but not in the call, unless it serves other messages, too.
	 * May be NULL.
	 */
	void (*session_over)(void *arg, struct outlet *outlet);
	/* The policy of a tag demands that it goes: soon, not in the call. */
	void (*evict)(void *arg);
	void *arg;
	const char *name; /* for the log; borrowed */
	bool tells_gaps; /* what is lost is told by Gap frames in its outlets */

	struct router *router; /* NULL: not joined */
	char *target;	       /* what it wants addressed messages for; owned */
	struct subs subs;
	size_t n_subs; /* tags it observes: the caller sees to a limit */
	struct outlets outlets;
	bool everything; /* observes all tags there are */
	bool evicted;
	bool owes;		 /* gaps, for lack of memory */
	uint64_t delivered;	 /* messages queued, and not dropped again */
	struct outq_loss lost;	 /* by its queue being full */
	uint64_t loss_logged_at; /* ns */
	TAILQ_ENTRY(observer) link;
};

struct policy_range {
	uint32_t first;
	uint32_t last;
	enum policy policy;
};

struct router_conf {
	/* The last range that has a tag decides; none: POLICY_BLOCK. */
	const struct policy_range *policies;
	size_t n_policies;
	uint64_t hold_bytes; /* of unobserved messages kept; 0: none */
	uint64_t hold_ns;    /* for so long; 0: for ever */
	/*
	 * The number of those who observe tag by name is another one now.  May
	 * be NULL; must not call the router but for router_observers().
	 */
	void (*interest)(void *arg, uint32_t tag, uint32_t observers);
	void *arg;
};

struct router_counts {
	uint64_t messages;   /* routed, whatever came of them */
	uint64_t delivered;  /* sum over observers */
	uint64_t unobserved; /* messages nobody observed */
	uint64_t held;	     /* of those, kept for a first observer */
	struct outq_loss lost;
	uint64_t evicted; /* observers */
	uint64_t left;	  /* messages now with none of their group */
};

/* conf is borrowed until router_free(), which needs everybody to have left. */
int router_new(struct router **out, const struct router_conf *conf);
void router_free(struct router *r);

/*
 * The policies of conf have changed: for those who observe already, too.  All
 * who wait are resumed.
 */
void router_reload(struct router *r);

/*
 * Enter an observer whose outlet, wake, session_over, evict, arg, name and
 * tells_gaps are filled.  ERR_NOMEM
 */
int router_join(struct router *r, struct observer *o, struct view target);

/* Not taken messages of one tag that a member of a group may have, at most. */
#define ROUTER_PREFETCH_MAX 4096u

/* Bytes of a group's name. */
#define ROUTER_GROUP_MAX 255u

/* What an observer asks for. */
struct observing {
	uint32_t tag;
	/*
	 * The promise to the senders is the weaker one of this and the tag's
	 * policy: to ask for POLICY_BLOCK is to ask for nothing.
	 */
	enum policy asked;
	/*
	 * Not NULL: each message goes to one of those who name the same group,
	 * the one with the fewest not taken.  When all have prefetch of them,
	 * or no room, the senders wait, whatever the policy.  What a member
	 * leaves behind not taken goes to another, before anything new; without
	 * another it counts as lost.  A group gets its messages in the outlets
	 * of tags, not of sessions.
	 */
	const char *group; /* borrowed during the call; ROUTER_GROUP_MAX */
	unsigned prefetch; /* 0 is 1; at most ROUTER_PREFETCH_MAX */
};

/*
 * Let o observe a tag, from the next run on; what was held for the tag comes
 * first.  Again is to ask for something else.  As if never called after
 *
 * ERR_LIMIT  the group's name is too long
 * ERR_NOMEM
 */
int router_observe(struct router *r, struct observer *o,
    const struct observing *what, uint64_t now);

/*
 * o observes tag no longer: nothing new is queued for it.  What a member of a
 * group has not taken yet is still its to take, until the outlet is closed.
 */
void router_unobserve(struct router *r, struct observer *o, uint32_t tag);

/* All tags there are: a pipe's rule.  ERR_NOMEM */
int router_observe_all(struct router *r, struct observer *o);

/*
 * Forget o, and close its outlets; those who wait on them are resumed.
 * Nothing if it never joined.
 */
void router_leave(struct router *r, struct observer *o);

/* Let o, who has joined, get messages by out; all but out is set here. */
void router_open_outlet(
    struct outlet *outlet, struct observer *o, struct outq *out);

/*
 * Nothing is queued in it any more, and the router knows it no longer; those
 * who wait on it are resumed.  The observer may be asked for another one in the
 * call, and must not give this one.  Nothing if it is closed.
 */
void router_close_outlet(struct router *r, struct outlet *outlet);

/* Consecutive frames of one tag, one target and one session, from one sender.
 */
struct run {
	struct slab *slab; /* referenced by the caller */
	size_t off;
	size_t len;
	uint32_t tag;
	uint32_t count;	     /* messages: see router_is_shared() */
	struct view target;  /* in it; empty: for all who observe tag */
	struct view session; /* empty: none */
	bool session_ends;   /* with this run */
	const struct observer *sender; /* never waited for; may be NULL */
};

struct outcome {
	struct outlet *obstacle; /* after ERR_MORE; else NULL */
	uint32_t unobserved;	 /* messages of the run that nobody observes */
};

/*
 * Queue the run for everybody it is for, all or nobody.
 *
 * ERR_MORE   out->obstacle has no room, and its policy is to block: nothing
 *            was queued; router_wait() for it and send the same run again
 *
 * Where there is no memory to queue it, it is counted as lost.
 */
int router_send(
    struct router *r, const struct run *run, struct outcome *out, uint64_t now);

/* Whether a group observes tag: runs are to be of one message then. */
bool router_is_shared(struct router *r, uint32_t tag);

/*
 * Of all the messages that came by outlet, its Gaps being none, its observer
 * has taken so many: they are forgotten, and others of its groups may come.
 *
 * ERR_BAD  there were not so many
 */
int router_taken(struct router *r, struct outlet *outlet, uint64_t messages);

/* Call w->resume(w->arg) once outlet has room, or is closed. */
void router_wait(struct outlet *outlet, struct waiter *w);
void router_unwait(struct waiter *w);

/* outlet's queue has shrunk: resume those who wait if half of it is free. */
void router_room(struct outlet *outlet);

/* Nothing has happened there for a while: give back what it need not keep. */
void router_trim(struct outlet *outlet);

/* Once a second: tell losses that could not be told for lack of memory. */
void router_tick(struct router *r);

/* How many observe tag, each member of a group and the pipe among them. */
uint32_t router_observers(struct router *r, uint32_t tag);

/* For each tag from first to last that somebody observes by name. */
void router_each_topic(struct router *r, uint32_t first, uint32_t last,
    void (*fn)(void *arg, uint32_t tag, uint32_t observers), void *arg);

const struct router_counts *router_counts(const struct router *r);

#endif /* ROUTE_ROUTER_H */
