/* SPDX-License-Identifier: ISC */
/*
 * One client of the zipper: its greeting, and its end.  What it sends comes
 * through inlets (inlet.h), what it observes goes by ways (way.h): one of each
 * on the link's own stream, or one for each lane.
 */
#ifndef PEER_H
#define PEER_H

#include "inlet.h"
#include "proto/session.h"
#include "way.h"
#include "wire/lane.h"
#include "zipper.h"

/* Of how many ranges of tags a client may want to hear who observes them. */
#define PEER_INTEREST_MAX 64

enum peer_state {
	PEER_CONNECTING, /* QUIC's handshake is under way */
	PEER_GREETING,	 /* waiting for its Handshake */
	PEER_READY,	 /* routed */
	PEER_REFUSED,	 /* a Rejected is on its way; closed after a while */
	PEER_LEAVING,	 /* its FIN came, its lanes ended; ours are queued */
};

struct interest {
	struct tag_range ranges[PEER_INTEREST_MAX];
	size_t n;
	bool is_stale; /* it has not been told all */
	size_t survey; /* bytes, when it last was */
};

struct peer {
	struct zipper *z;
	struct link *link;
	enum peer_state state;
	struct outq out; /* of the link's own stream */
	struct observer observer;
	struct inlet main_inlet;
	struct way main_way;
	struct inlets inlets;
	struct ways ways;
	size_t n_lanes;		       /* of ours */
	struct session_table sessions; /* it sends, and has not ended */
	struct task evict;
	struct task work; /* to route on, after a wait */
	bool parked;	  /* in z->parked */
	bool relieved;	  /* may route once although memory is full */
	bool is_pipe;
	bool lanes;   /* messages go on lanes, the link's stream has control */
	bool is_gone; /* its link is closed */
	bool went;    /* of its own will */
	struct outq_loss left; /* what was queued and has no reader */
	size_t used;	       /* bytes of lanes since the window last grew */
	size_t window;	       /* what the connection's window grew by */
	uint8_t type;
	char *name;	       /* as it calls itself */
	uint64_t since;	       /* of the state */
	uint64_t progress_at;  /* something queued for it was taken */
	uint64_t received;     /* messages, of inlets that are no more */
	char text[HELLO_TEXT]; /* why it was refused or evicted */
	TAILQ_ENTRY(peer) link_all;
	struct interest *interest; /* NULL: none */
	TAILQ_ENTRY(peer) link_parked;
	TAILQ_ENTRY(peer) link_curious;
};

/* For listener_ops.accept; arg is the zipper. */
bool peer_accept(void *arg, struct link *link);

/* Standard input and output as a client that greets nobody. */
int peer_open_pipe(struct zipper *z);

/* Send it away with code and reason, and forget it. */
void peer_close(struct peer *p, uint64_t code, const char *reason);

/* The same soon: it may be in use. */
void peer_evict(struct peer *p);

/* Route what it sent, as far as there is room, at the end of this turn. */
void peer_resume(struct peer *p);

/* It is told no more, and everything has reached it. */
bool peer_is_served(const struct peer *p);

/* It sent something that waits. */
bool peer_has_waiting(const struct peer *p);

/* It keeps others waiting for memory with messages that are not all there. */
bool peer_is_halfway(const struct peer *p);

/* Bytes wait in a queue for it. */
bool peer_is_owed(const struct peer *p);

/* All others are served: let the pipe's reader have the end of the file. */
void peer_end_pipe(struct peer *p);

/* Its name, role and counts, for SIGUSR1. */
void peer_describe(const struct peer *p);

/* --- for the files that help --- */

void peer_set_state(struct peer *p, enum peer_state state);

/* It may route now: it has greeted, and memory is not full. */
bool peer_may_route(struct peer *p);
/* n bytes that came on lanes were used. */
void peer_used(struct peer *p, size_t n);
/* The queue of w got shorter. */
void peer_moved(struct peer *p, struct way *w);
/* A lane is over, of one side or the other: it may have been the last. */
void peer_settle(struct peer *p);
/* What was queued in q, or on its way and not acknowledged, has no reader. */
void peer_count_orphans(struct peer *p, const struct outq *q);

#endif /* PEER_H */
