/* SPDX-License-Identifier: ISC */
/* One client of the zipper: its greeting, its frames, its queue. */
#ifndef PEER_H
#define PEER_H

#include "zipper.h"

enum peer_state {
	PEER_CONNECTING, /* QUIC's handshake is under way */
	PEER_GREETING,	 /* waiting for its Handshake */
	PEER_READY,	 /* routed */
	PEER_REFUSED,	 /* a Rejected is on its way; closed after a while */
	PEER_LEAVING,	 /* its FIN came; ours is queued */
};

struct peer {
	struct zipper *z;
	struct link *link;
	enum peer_state state;
	struct outq out;
	struct intake in;
	struct observer observer;
	struct outlet outlet; /* what it observes goes out by */
	struct waiter waiter; /* for an outlet that has no room for us */
	struct task evict;
	struct task work; /* to route on, after a wait */
	bool parked;	  /* in z->parked */
	bool relieved;	  /* may route once although memory is full */
	bool is_pipe;
	bool fin_came;
	bool went;     /* of its own will */
	size_t unused; /* bytes it has no credit for yet */
	size_t used;   /* bytes since its window last grew */
	size_t window; /* bytes it may send ahead */
	uint8_t type;
	char *name;	       /* as it calls itself */
	uint64_t since;	       /* of the state */
	uint64_t heard_at;     /* bytes came */
	uint64_t progress_at;  /* its queue got shorter */
	uint64_t waited_at;    /* somebody began to wait for its queue */
	uint64_t received;     /* messages */
	char text[HELLO_TEXT]; /* why it was refused or evicted */
	TAILQ_ENTRY(peer) link_all;
	TAILQ_ENTRY(peer) link_parked;
};

/* For listener_ops.accept; arg is the zipper. */
bool peer_accept(void *arg, struct link *link);

/* Standard input and output as a client that greets nobody. */
int peer_open_pipe(struct zipper *z);

/* Send it away with code and reason, and forget it. */
void peer_close(struct peer *p, uint64_t code, const char *reason);

/* Route what it sent, as far as there is room, at the end of this turn. */
void peer_resume(struct peer *p);

/* It is told no more, and everything has reached it. */
bool peer_is_served(const struct peer *p);

/* It keeps others waiting for memory with a message that is not all there. */
bool peer_is_halfway(const struct peer *p);

/* All others are served: let the pipe's reader have the end of the file. */
void peer_end_pipe(struct peer *p);

/* Its name, role and counts, for SIGUSR1. */
void peer_describe(const struct peer *p);

#endif /* PEER_H */
