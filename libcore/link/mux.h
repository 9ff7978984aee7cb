/* SPDX-License-Identifier: ISC */
/*
 * Lanes inside one stream of bytes, for a unix socket: beside the frames of the
 * link's own stream go Chunk, Credit and Reset frames.  yomo-protocol(7), LANES
 * ON A UNIX SOCKET.  No socket, no loop, no clock.
 *
 * What is written is always cut between frames, so that a Credit may go before
 * everything that waits.  The link's own stream comes first, then lanes in
 * turn, a chunk at a time.
 *
 * A lane is over for who sends on it when the other end says Reset, which it
 * does once for each: with code 0 if it has taken the fin, or in answer to a
 * Reset; with another code if it wants no more of it, which is then answered by
 * a Reset, unless the fin is on its way.  Until then its place counts.
 */
#ifndef LINK_MUX_H
#define LINK_MUX_H

#include "base/buf.h"
#include "link/link.h"

struct mux;

struct muxlane {
	struct lane lane;
	struct mux *mux;
	uint64_t limit; /* ours: may be sent in all; theirs: may come */
	uint64_t told;	/* theirs: ... as the peer knows it */
	uint64_t done;	/* was sent, or came */
	bool is_ready;
	bool is_talking;
	bool fin_sent;	 /* ours */
	bool ended;	 /* theirs: fin or Reset came */
	bool stopped;	 /* theirs: Reset was said, or is due */
	bool answered;	 /* ours: Reset came */
	bool must_reset; /* Reset is due, with code */
	bool forgotten;	 /* its owner knows that it is closed */
	uint64_t code;
	TAILQ_ENTRY(muxlane) all;
	TAILQ_ENTRY(muxlane) link_ready;
	TAILQ_ENTRY(muxlane) link_talking;
};

TAILQ_HEAD(muxlane_list, muxlane);

/* What was written and is not known to be read, in order. */
struct mux_written {
	struct muxlane *lane; /* NULL: not of a lane, or of one that is gone */
	bool own;	      /* of the link's own stream */
	bool fin;	      /* ... the end of it */
	size_t wire;	      /* bytes in all */
	size_t bytes;	      /* of the lane */
};

/* A chunk about to be written. */
struct mux_chunk {
	struct muxlane *lane; /* NULL: the fin of the link's own stream */
	uint8_t head[32];
	size_t head_len;
	size_t bytes;
	size_t vectors;
	bool fin;
};

#define MUX_CHUNKS 16

struct mux {
	struct link *link;
	bool client;		     /* our lanes are 2, 6, 10..  */
	struct muxlane_list all;     /* of both ends; some without an owner */
	struct muxlane_list ready;   /* ours, round robin: may have something */
	struct muxlane_list talking; /* of which a Credit or Reset is due */
	uint64_t next_ours;
	uint64_t next_theirs;
	size_t n_ours; /* places taken */
	size_t n_theirs;
	size_t unanswered; /* of ours, that we broke off and forgot */
	size_t allowed;	   /* theirs, at a time */
	uint64_t may_send; /* on all lanes, in all */
	uint64_t sent;
	uint64_t may_come;
	uint64_t told; /* ... as the peer knows it */
	uint64_t came;

	struct buf talk; /* Credits and Resets to be written */
	size_t n_own;	 /* bytes of the link's own stream, as pulled */
	size_t own_vectors;
	struct mux_chunk chunks[MUX_CHUNKS];
	size_t n_chunks;
	struct mux_written *ring;
	size_t ring_cap; /* a power of two, or 0 */
	size_t ring_head;
	size_t ring_n;
	bool fin_sent; /* of the link's own stream */
	bool fin_acked;

	size_t own_left; /* bytes of a frame of the peer's own stream */
	uint64_t own_came;
	bool garbled; /* no frame any more: let the owner see that */
	bool fin_came;
	const char *why; /* what the peer did wrong */
};

/*
 * written: bytes of the link's own stream that were written before, and not
 * yet acknowledged.  ERR_NOMEM.
 */
int mux_init(struct mux *m, struct link *l, bool client, size_t written);
/* After lane_free_all().  Also of a zeroed one. */
void mux_fini(struct mux *m);

/* Have the Credits and Resets that are due pulled next.  ERR_NOMEM. */
int mux_talk(struct mux *m);

/*
 * Point up to n vectors (over 2) at what is to be written next, whole frames;
 * return how many.  mux_pulled() must follow, with the same vectors and how
 * many of the bytes were written: what is left of a frame then begun is
 * appended to rest, to be written before the next is pulled.  ERR_NOMEM.
 */
size_t mux_pull(struct mux *m, struct iovec *v, size_t n);
int mux_pulled(
    struct mux *m, const struct iovec *v, size_t written, struct buf *rest);

/* n more of the bytes written have been read by the peer. */
void mux_acked(struct mux *m, size_t n);

/*
 * Take what came, as far as it is whole, and move in past it: bytes of the
 * link's own stream go to link_ops.bytes, lanes are served.  fin_came is set
 * when that stream has ended.  Stops when the link is closed.
 *
 * ERR_BAD    the peer breaks the rules: why
 * ERR_NOMEM
 */
int mux_take(struct mux *m, struct view *in);

/* As the members of struct link_kind. */
void mux_allow(struct mux *m, size_t n);
int mux_open(struct mux *m, struct lane **lane);
void mux_credit(struct mux *m, size_t n);
void mux_lane_wake(struct lane *l);
void mux_lane_break(struct lane *l, uint64_t code);
void mux_lane_credit(struct lane *l, size_t n);
void mux_lane_closed(struct lane *l);
void mux_lane_free(struct lane *l);

/* For link/mux*.c: it may have something to send; it has nothing. */
void mux_ready(struct mux *m, struct muxlane *n);
void mux_unready(struct mux *m, struct muxlane *n);
/* What is written of n is of no interest any more. */
void mux_disown(struct mux *m, const struct muxlane *n);

#endif /* LINK_MUX_H */
