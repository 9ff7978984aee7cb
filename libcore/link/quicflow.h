/* SPDX-License-Identifier: ISC */
/* What quiclink.c and quicflow.c share, and nobody else needs. */
#ifndef LINK_QUICFLOW_H
#define LINK_QUICFLOW_H

#include "link/egress.h"
#include "link/link.h"
#include "quic/quic.h"

/* What the callbacks of quic/ get for a stream. */
struct flow {
	struct quiclink *k;
	struct quiclane *lane; /* NULL: the link's own */
};

struct quiclane {
	struct lane lane;
	struct flow flow;
	bool filled; /* as below */
	bool ended;  /* QUIC has nothing more to do with it */
	TAILQ_ENTRY(quiclane) link_filled;
};

struct quiclink {
	struct link link;
	struct loop *loop;
	struct quic *q;
	struct egress *egress; /* the server's, or: */
	struct egress own;     /* a client's own socket */
	struct egress_waiter waiter;
	struct timer timer;
	struct task task;
	int64_t stream; /* -1: not open yet */
	struct flow flow;
	TAILQ_HEAD(, quiclane) filled_lanes;
	bool came;   /* bytes or fin in this turn */
	bool filled; /* or may be: quic is to ask for bytes */
	bool moved;  /* something was acknowledged in this turn */
	bool was_up;
	bool ended;   /* down() was called */
	bool refused; /* a client's socket says that nobody is there */
};

/* What quic/ is told to call; arg is the quiclink. */
extern const struct quic_ops quicflow_callbacks;

/* Have quic ask for what was queued: once a turn, however much it is. */
void quicflow_wake(struct quiclink *k);

/* As the members of struct link_kind. */
void quicflow_later(struct link *l);
void quicflow_allow(struct link *l, size_t n);
int quicflow_open(struct link *l, struct lane **lane);
void quicflow_credit(struct link *l, size_t n);
void quicflow_lane_wake(struct lane *l);
void quicflow_lane_break(struct lane *l, uint64_t code);
void quicflow_lane_credit(struct lane *l, size_t n);
void quicflow_lane_closed(struct lane *l);
void quicflow_lane_free(struct lane *l);

#endif /* LINK_QUICFLOW_H */
