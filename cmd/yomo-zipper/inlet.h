/* SPDX-License-Identifier: ISC */
/*
 * One stream of messages from a client: the link's own, or a lane.  What it
 * brings is routed as far as there is room, and only then does the client get
 * credit for more.
 */
#ifndef INLET_H
#define INLET_H

#include "link/link.h"
#include "proto/intake.h"
#include "route/router.h"

struct peer;

struct inlet {
	struct peer *peer;
	bool is_lane;	   /* else the link's own stream */
	struct lane *lane; /* if it is one */
	uint64_t number;   /* of the lane */
	struct intake in;
	struct waiter waiter; /* of an outlet that has no room for us */
	bool fin_came;	      /* nothing will follow */
	bool has_ended;	      /* and all of it is routed: the lane may close */
	size_t unused;	      /* bytes the client has no credit for yet */
	size_t advanced;   /* of these, the connection's window is open again */
	size_t used;	   /* bytes since the window last grew */
	size_t window;	   /* what it grew by */
	uint64_t heard_at; /* bytes came */
	uint64_t messages; /* routed */
	uint64_t unobserved; /* of them */
	bool has_header;     /* a lane: its first frame has come */
	bool has_tag;	     /* ... and says that all messages have this: */
	uint32_t tag;
	TAILQ_ENTRY(inlet) link;
};
TAILQ_HEAD(inlets, inlet);

void inlet_init(struct inlet *in, struct peer *p, size_t max);
/* What it kept is forgotten; the connection's window opens for it. */
void inlet_fini(struct inlet *in);

/* Bytes came.  ERR_NOMEM; ERR_BAD as inlet_route(). */
int inlet_put(struct inlet *in, struct view bytes);

/*
 * Route what has come, as far as there is room.
 *
 * ERR_MORE  it waits for an outlet: peer_resume() is called when to go on
 * ERR_BAD   the client broke the protocol: why is in its text
 */
int inlet_route(struct inlet *in);

/* Give credit for what was routed, and all but kept of what still waits. */
void inlet_credit(struct inlet *in, size_t kept);

/* Its last message is not all there, and more may come. */
bool inlet_is_cut(const struct inlet *in);
/* ... and the client may send it. */
bool inlet_is_awaited(const struct inlet *in);

#endif /* INLET_H */
