/* SPDX-License-Identifier: ISC */
/*
 * The way out of one UDP socket, shared by its connections: what the socket
 * has no room for waits here, and nobody writes more until it is gone.
 */
#ifndef LINK_EGRESS_H
#define LINK_EGRESS_H

#include <sys/queue.h>

#include "net/udp.h"
#include "quic/quic.h"

/* Somebody who has more to send. */
struct egress_waiter {
	void (*room)(void *arg);
	void *arg;
	bool waiting;
	TAILQ_ENTRY(egress_waiter) link;
};

struct egress {
	struct udp *udp;	 /* owned */
	uint8_t *held;		 /* a burst that did not go; NULL: none */
	struct quic_burst burst; /* its description */
	bool abandoned;
	TAILQ_HEAD(, egress_waiter) waiters;
};

void egress_init(struct egress *e);
/* Closes the socket.  Nobody may be waiting. */
void egress_fini(struct egress *e);

/* Nothing can be sent now: wait with egress_wait(). */
bool egress_is_full(const struct egress *e);

/*
 * Send a burst, or hold it.  ERR_LIMIT and ERR_SYS count as lost packets and
 * are not passed on.  ERR_GONE: nobody is there (connected sockets).
 */
int egress_send(
    struct egress *e, const uint8_t *bytes, const struct quic_burst *b);

void egress_wait(struct egress *e, struct egress_waiter *w);
void egress_unwait(struct egress *e, struct egress_waiter *w);

/* The program ends: what did not go never will, and nobody waits any more. */
void egress_abandon(struct egress *e);

/* The socket has room: for udp_ops.room. */
void egress_room(struct egress *e);

#endif /* LINK_EGRESS_H */
