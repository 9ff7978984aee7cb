/* SPDX-License-Identifier: ISC */
/* What pipelink.c and pipeout.c share, and nobody else needs. */
#ifndef LINK_PIPEOUT_H
#define LINK_PIPEOUT_H

#include "link/mux.h"
#include "net/drain.h"
#include "net/feed.h"

struct pipelink {
	struct link link;
	struct loop *loop;
	struct feed *feed;
	struct drain *drain;
	struct task task;
	int socket;    /* -1: pipes */
	bool dialed;   /* by us */
	size_t window; /* bytes it may take ahead of link_consumed() */
	uint64_t got;  /* bytes of the stream that came */
	uint64_t used; /* ... and were used */
	bool waiting;  /* feed was told to wait */
	bool came;
	bool moved;
	bool started;
	struct mux mux;	   /* if link.lanes */
	size_t unacked;	   /* bytes that were sent */
	struct timer look; /* again what of them has been read */
	uint64_t look_ns;
	bool fin_came;
	bool finishing; /* the drain was told to finish */
	bool drained;	/* ... and has */
	bool deaf;	/* the other end takes no more */
	bool over;	/* end is known */
	bool ended;	/* ... and told */
	struct link_end end;
};

/* The end is known: the first one counts.  It is told at the end of the turn.
 */
void pipelink_set_end(
    struct pipelink *k, enum link_end_kind kind, const char *reason);
/* A socket ends when nothing can come any more in either direction. */
void pipelink_end_if_both_did(struct pipelink *k);

void pipeout_init(struct pipelink *k);
/* Write to fd.  As drain_open(). */
int pipeout_open(struct pipelink *k, int fd, bool owned, const char *name);
/* Hand the queues to the descriptor, as much as it takes. */
void pipeout_transmit(struct pipelink *k);
/*
 * Acknowledge what has been read, if least bytes at least were not known to be;
 * of a pipe, which cannot tell, what has been written.
 */
void pipeout_settle(struct pipelink *k, size_t least);
/* A socket has no close codes: a client to stay away is told by a Goaway. */
void pipeout_say_goaway(struct pipelink *k, const char *reason);

#endif /* LINK_PIPEOUT_H */
