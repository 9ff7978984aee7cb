/* SPDX-License-Identifier: ISC */
/*
 * One queue of messages to a client: on the link's own stream, or on a lane
 * for a tag.  Of the lanes a client allows, the last is for all tags that have
 * no other.
 */
#ifndef WAY_H
#define WAY_H

#include <stddef.h>

#include "base/buf.h"
#include "link/link.h"
#include "route/router.h"

struct peer;

struct way {
	struct peer *peer;
	struct outlet outlet;
	struct outq *out;  /* the peer's, or: */
	struct outq queue; /* a lane's own */
	struct lane *lane; /* NULL: none, or not allowed yet */
	bool is_lane;
	bool has_tag; /* else it is for all who have no lane of their own */
	uint32_t tag;
	struct buf session;   /* empty: none */
	bool finishing;	      /* it is to end after what is queued */
	uint64_t progress_at; /* the queue got shorter */
	uint64_t waited_at;   /* somebody began to wait for it */
	TAILQ_ENTRY(way) link;
};
TAILQ_HEAD(ways, way);

static inline struct way *
way_of(struct outlet *o)
{
	return (struct way *)((char *)o - offsetof(struct way, outlet));
}

/* The link's own stream, embedded in p. */
void way_init(struct way *w, struct peer *p, struct outq *out);

/* The client has greeted: it may get messages. */
void way_start(struct way *w);

/*
 * The way for messages of tag, and of session, if that is not empty; made if
 * there is none.  NULL: out of memory.
 */
struct way *way_for(struct peer *p, uint32_t tag, struct view session);

/* Forget it: what it had queued is counted. */
void way_free(struct way *w);

/* Something was queued in it. */
void way_wake(struct way *w);

/* End it after what is queued. */
void way_finish(struct way *w);

/* The client allows lanes again. */
void way_open_all(struct peer *p);

/* It falls idle: it needs no memory. */
void way_trim(struct way *w);

#endif /* WAY_H */
