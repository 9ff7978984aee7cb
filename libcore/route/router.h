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

/* Somebody who waits until an observer's queue has room again. */
struct waiter {
	/* May send, and wait again; nobody may leave during the call. */
	void (*resume)(void *arg);
	void *arg;
	struct observer *on; /* NULL: not waiting */
	uint32_t round;	     /* in which it began to wait */
	TAILQ_ENTRY(waiter) link;
};
TAILQ_HEAD(waiters, waiter);

struct sub; /* one observer of one tag */
TAILQ_HEAD(subs, sub);

/* Who gets messages: embedded in its connection, filled by router_join(). */
struct observer {
	struct outq *out;
	/* Something was queued. */
	void (*wake)(void *arg);
	/* The policy of a tag demands that it goes: soon, not in the call. */
	void (*evict)(void *arg);
	void *arg;
	const char *name; /* for the log; borrowed */
	char *target;	  /* what it wants addressed messages for; owned */
	struct subs subs;
	struct waiters waiters;
	bool everything; /* observes all tags there are */
	bool joined;
	bool evicted;
	uint32_t round;		 /* of resuming those who wait */
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
};

struct router_counts {
	uint64_t messages;   /* routed, whatever came of them */
	uint64_t delivered;  /* sum over observers */
	uint64_t unobserved; /* messages nobody observed */
	uint64_t held;	     /* of those, kept for a first observer */
	struct outq_loss lost;
	uint64_t evicted; /* observers */
};

/* conf is borrowed until router_free(), which needs everybody to have left. */
int router_new(struct router **out, const struct router_conf *conf);
void router_free(struct router *r);

/*
 * The policies of conf have changed: for those who observe already, too.  All
 * who wait are resumed.
 */
void router_reload(struct router *r);

/* Enter an observer whose out, wake, evict, arg and name are filled. */
int router_join(struct router *r, struct observer *o, struct view target);

/*
 * Let o observe tag, from the next run on; what was held for the tag comes
 * first.  Twice is once.  ERR_NOMEM.
 */
int router_observe(
    struct router *r, struct observer *o, uint32_t tag, uint64_t now);

/* All tags there are: a pipe's rule. */
void router_observe_all(struct router *r, struct observer *o);

/* Forget o; those who wait on it are resumed.  Nothing if it never joined. */
void router_leave(struct router *r, struct observer *o);

/* Consecutive frames of one tag and one target, from one sender. */
struct run {
	struct slab *slab; /* referenced by the caller */
	size_t off;
	size_t len;
	uint32_t tag;
	uint32_t count;		       /* messages */
	struct view target;	       /* empty: for all who observe the tag */
	const struct observer *sender; /* never waited for; may be NULL */
};

/*
 * Queue the run for everybody it is for, all or nobody.
 *
 * ERR_MORE   *obstacle has no room, and its policy is to block: nothing was
 *            queued; router_wait() for it and send the same run again
 * ERR_NOMEM  counted as lost where it could not be queued
 */
int router_send(struct router *r, const struct run *run,
    struct observer **obstacle, uint64_t now);

/* Call w->resume(w->arg) once o has room, or has left. */
void router_wait(struct observer *o, struct waiter *w);
void router_unwait(struct waiter *w);

/* o's queue has shrunk: resume those who wait if half of it is free. */
void router_room(struct observer *o);

const struct router_counts *router_counts(const struct router *r);

#endif /* ROUTE_ROUTER_H */
