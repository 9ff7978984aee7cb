/* SPDX-License-Identifier: ISC */
/*
 * What the files of quic/ share: the connection from the inside.
 *
 *   quic.c     life of a connection: born, fed, ended, freed
 *   stream.c   streams, and what ngtcp2 says about them
 *   write.c    bursts of packets, fair between streams
 *   mtu.c      paths that stop taking large packets
 *   session.c  the TLS side
 *   server.c   which datagram is whose; cid.c, crowd.c, grave.c, token.c help
 */
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include <ngtcp2/ngtcp2.h>
#include <sys/queue.h>

#include "quic/mtu.h"
#include "quic/quic.h"
#include "quic/session.h"

/* The smallest datagram every path must take (RFC 9000, 14). */
#define QUIC_PAYLOAD_MIN ((size_t)NGTCP2_MAX_UDP_PAYLOAD_SIZE)

/* The longest reason of a peer that is kept. */
#define QUIC_REASON_MAX 256

struct quic_stream {
	struct quic *quic;
	void *user; /* what the ops are called with; NULL: forgotten */
	int64_t id;
	uint64_t sent; /* bytes given to ngtcp2 */
	uint64_t acked;
	uint64_t unsure_since; /* if fin_unsure */
	size_t unsure_losses;  /* of its packets, then */
	TAILQ_ENTRY(quic_stream) all;
	TAILQ_ENTRY(quic_stream) ready; /* if queued */
	bool queued;	  /* it has, or may have, something to send */
	bool fin_sent;	  /* nothing may follow */
	bool fin_alone;	  /* it went in a frame without bytes */
	bool fin_heard;	  /* such a frame was acknowledged */
	bool fin_told;	  /* acked() has said so */
	bool fin_unsure;  /* all is acked but perhaps the bare FIN */
	bool was_reset;	  /* by the peer; told, and its place is free */
	bool write_ended; /* the peer wants no more, or reset */
};

TAILQ_HEAD(quic_streams, quic_stream);

/* A packet that did not fit the burst it was written in: another path. */
struct quic_held {
	size_t len;
	struct addr to;
	struct addr from;
	uint8_t ecn;
	uint8_t bytes[];
};

/* What the server knows about a connection of its own. */
struct quic_origin {
	struct quic_server *server; /* NULL: a client's connection */
	struct quic_cid *cids;	    /* all that lead here */
	struct quic_crowd *crowd;   /* whom it counts against */
	bool half_open;
};

struct quic {
	ngtcp2_conn *conn;
	struct quic_session session;
	const struct quic_ops *ops; /* NULL: not accepted yet */
	void *arg;
	struct quic_streams streams;
	/* Round robin; those of both directions first. */
	struct quic_streams ready[2];
	size_t fins_unsure;
	size_t stuck;	  /* streams of the peer that ngtcp2 never closes */
	uint64_t now;	  /* the latest time heard of */
	bool entered;	  /* ngtcp2 is at work: it must not be entered again */
	bool completed;	  /* the handshake, as far as we see */
	bool finished;	  /* and what we had to say in it is written */
	uint64_t unpaced; /* bytes sent since pacing was last reckoned */
	struct quic_mtu mtu;
	struct quic_held *held;
	struct quic_held *last_words; /* the CONNECTION_CLOSE as sent */
	unsigned heard_after;	      /* datagrams after the last words */
	bool said;		      /* the last words, if there were any */
	bool repeat;		      /* say them again */
	struct quic_end end;
	ngtcp2_ccerr error; /* what to tell the peer, if kind asks for it */
	uint8_t *reason;    /* owned; what end or error points to */
	struct quic_origin origin;
	struct addr peer;
	char *peer_name; /* NULL: none */
};

/* A server's part of a new connection, found in its first packet. */
struct quic_first {
	const ngtcp2_pkt_hd *hd;
	const ngtcp2_cid *odcid;      /* before a Retry */
	ngtcp2_cid scid;	      /* ours */
	const ngtcp2_cid *retry_scid; /* NULL: there was no Retry */
	ngtcp2_token_type token_type;
	uint8_t reset_token[NGTCP2_STATELESS_RESET_TOKENLEN];
	const struct addr *local;
	const struct addr *peer;
};

/* ERR_TLS, ERR_NOMEM. */
int quic_server_side_new(struct quic **out, const struct quic_conf *conf,
    const struct quic_origin *origin, const struct quic_first *first,
    uint64_t now);

/* As quic_read(), but returns what ngtcp2 said. */
int quic_take(struct quic *q, struct view datagram, const struct addr *local,
    const struct addr *peer, uint8_t ecn, uint64_t now);

/* Time never goes back for ngtcp2: it would assert. */
uint64_t quic_tick(struct quic *q, uint64_t now);

/* The connection is over; error says what the peer is told.  Once. */
void quic_fail(struct quic *q, enum quic_end_kind kind, int liberr);

/* Whether the n-th datagram after our last words is answered by them: the 1st,
 * 2nd, 4th and 8th are. */
bool quic_says_again(unsigned n);

/* For the callbacks of ngtcp2: what to return once the end has come. */
int quic_verdict(const struct quic *q);

void quic_stream_callbacks(ngtcp2_callbacks *cb);
struct quic_stream *quic_stream_new(struct quic *q, void *user, int64_t id);
void quic_stream_free(struct quic_stream *s);
/* Call closed() for each and free them. */
void quic_stream_free_all(struct quic *q);
void quic_stream_queue(struct quic_stream *s);
void quic_stream_unqueue(struct quic_stream *s);
/* The peer wants no more of it: what is pulled would go nowhere. */
void quic_stream_shut(struct quic_stream *s);
/* Its owner has broken it off.  It is kept until ngtcp2 closes it: we may be
 * within a callback for it. */
void quic_stream_forget(struct quic_stream *s);
/* Nothing is left to send: see which FINs must have arrived. */
void quic_stream_settle(struct quic *q);

/* server.c, for connections with an origin. */
int quic_server_new_cid(
    struct quic *q, ngtcp2_cid *cid, uint8_t *token, size_t len);
void quic_server_retire_cid(struct quic *q, const ngtcp2_cid *cid);
void quic_server_completed(struct quic *q);
void quic_server_give_token(struct quic *q, const struct addr *peer);
void quic_server_forget(struct quic *q);

#endif /* QUIC_CONN_H */
