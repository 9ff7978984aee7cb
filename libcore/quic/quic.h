/* SPDX-License-Identifier: ISC */
/*
 * One QUIC connection: datagrams and the time in, datagrams and the next
 * deadline out.  No socket, no loop, no clock: times are monotonic ns.
 *
 * The owner's rhythm: after any call here, quic_write() until nothing comes,
 * then arm a timer for quic_deadline().  Callbacks must not free the
 * connection, nor read, write or expire it; they may call everything else.
 */
#ifndef QUIC_QUIC_H
#define QUIC_QUIC_H

#include <sys/uio.h>

#include "base/addr.h"
#include "base/view.h"
#include "tls/tls.h"

struct quic;

/* Go YoMo's protocol, and ours: lanes, and ends that answer a FIN. */
#define QUIC_ALPN_YOMO "yomo"
#define QUIC_ALPN_OURS "yomo-x1"

/* How a connection ended. */
enum quic_end_kind {
	QUIC_ALIVE,
	QUIC_CLOSED_APP,       /* the peer's CONNECTION_CLOSE, application */
	QUIC_CLOSED_TRANSPORT, /* the peer's, transport or TLS alert */
	QUIC_IDLE,	       /* nothing was heard for the idle time-out */
	QUIC_HANDSHAKE_LATE,   /* the handshake did not complete in time */
	QUIC_RESET,	       /* a stateless reset: the peer forgot us */
	QUIC_VERSION,	       /* the peer speaks no version of ours */
	QUIC_FAILED,	       /* we closed it: quic_close(), or its error */
	QUIC_DROPPED,	       /* a server's, to be forgotten without a word */
};

struct quic_end {
	enum quic_end_kind kind;
	uint64_t code;	    /* application or transport error code */
	struct view reason; /* the peer's words: not to be trusted */
};

struct quic_ops {
	/* The handshake is complete, the peer verified: streams may open. */
	void (*ready)(void *arg);
	/*
	 * The peer opened stream id.  Return what to pass as stream below, or
	 * NULL to ignore the stream: its bytes are dropped.
	 */
	void *(*accept)(void *arg, int64_t id);
	/*
	 * Bytes of a stream in order, valid during the call; fin: the last.
	 * They count against the windows until quic_consumed().
	 */
	void (*data)(void *stream, struct view bytes, bool fin);
	/*
	 * Point up to n vectors at the bytes that follow those already sent,
	 * return how many; *fin: the stream ends after them.  They must stay
	 * in place until acked.
	 */
	size_t (*pull)(void *stream, struct iovec *v, size_t n, bool *fin);
	/* The first n bytes of those pulled are on their way. */
	void (*sent)(void *stream, size_t n);
	/* n more bytes, in order, have reached the peer; fin_acked: all. */
	void (*acked)(void *stream, size_t n, bool fin_acked);
	/*
	 * The peer will send no more (RESET_STREAM), or wants no more
	 * (STOP_SENDING), and code says why.  Of a bidirectional stream the
	 * latter is seen when there is something to send, its code is not known
	 * and 0 here; of a unidirectional one it is seen a round trip later.
	 */
	void (*reset)(void *stream, uint64_t code);
	/* The stream is over: stream is not used again.  Also on quic_free().
	 */
	void (*closed)(void *stream);
	/* The peer allows more unidirectional streams.  May be NULL. */
	void (*more_streams)(void *arg);
};

struct quic_conf {
	struct tls *tls;
	uint64_t idle_ns; /* advertised idle time-out */
	uint64_t
	    keep_alive_ns;     /* PING after so long without a packet; 0 none */
	uint64_t handshake_ns; /* the longest a handshake may take */
	uint64_t stream_window; /* bytes unread on a bidirectional stream */
	uint64_t lane_window;	/* ... on a unidirectional one of the peer's */
	uint64_t conn_window;	/* ... on all streams */
	uint32_t streams_bidi;	/* the peer may open so many at a time */
	uint32_t streams_uni;	/* the same, to begin with: quic_allow_uni() */
	size_t payload_max;	/* largest datagram our socket can take */
	/* BBR instead of CUBIC: on wires that lose packets without being full
	 * it is many times as fast, but it does not heed ECN. */
	bool bbr;
};

/*
 * A client's connection to peer; host is what the certificate must be for.
 * ERR_TLS, ERR_NOMEM.
 */
int quic_client_new(struct quic **out, const struct quic_conf *conf,
    const struct quic_ops *ops, void *arg, const char *host,
    const struct addr *local, const struct addr *peer, uint64_t now);

/* Without a word to the peer.  Calls closed() for each open stream. */
void quic_free(struct quic *q);

/* Take in one datagram.  The end of the connection shows in quic_end(). */
void quic_read(struct quic *q, struct view datagram, const struct addr *local,
    const struct addr *peer, uint8_t ecn, uint64_t now);

/* The deadline has passed. */
void quic_expire(struct quic *q, uint64_t now);

/* What quic_write() produced. */
struct quic_burst {
	size_t len;	/* bytes in buf; 0: nothing to send now */
	size_t segment; /* each datagram is so long, the last maybe shorter */
	struct addr to;
	struct addr from;
	uint8_t ecn;
};

/*
 * Write the next datagrams into buf (at least QUIC_BURST_MIN bytes): a burst
 * for one address.  After an end it writes the CONNECTION_CLOSE, once.
 */
#define QUIC_BURST_MIN 65536
void quic_write(struct quic *q, uint8_t *buf, size_t cap,
    struct quic_burst *out, uint64_t now);

/* When to call quic_expire(), ns; UINT64_MAX: never. */
uint64_t quic_deadline(const struct quic *q);

/*
 * How it ended; kind is QUIC_ALIVE while it lives.  After an end (other than
 * QUIC_CLOSED_*, QUIC_IDLE, QUIC_RESET, QUIC_DROPPED) one more quic_write()
 * tells the peer.
 */
const struct quic_end *quic_end(const struct quic *q);

/* End it: application error code and reason for the peer. */
void quic_close(struct quic *q, uint64_t code, struct view reason);

/* Streams of one direction: who opens one sends. */
bool quic_is_uni(int64_t id);

/*
 * Open a stream: *id.
 * ERR_MORE  the peer allows none now
 * ERR_GONE, ERR_NOMEM
 */
int quic_open_bidi(struct quic *q, void *stream, int64_t *id);
int quic_open_uni(struct quic *q, void *stream, int64_t *id);

/*
 * The peer may open n more unidirectional streams.  One of its that was
 * refused or stopped is replaced by itself; for one that ran to its end, or
 * was reset, the owner allows another when it is done with it.
 */
void quic_allow_uni(struct quic *q, size_t n);

/*
 * Break off a unidirectional stream, ours (RESET_STREAM) or the peer's
 * (STOP_SENDING), and tell it why: nothing more is pulled or delivered, no
 * callback comes for it, not even closed().
 */
void quic_reset(struct quic *q, int64_t id, uint64_t code);
void quic_stop(struct quic *q, int64_t id, uint64_t code);

/* The stream has something to pull: look at it at the next quic_write(). */
void quic_wake(struct quic *q, int64_t id);

/* n more bytes of the stream have been used: extend both windows. */
void quic_consumed(struct quic *q, int64_t id, size_t n);
/* The same in two parts: the stream's window, the connection's. */
void quic_credit_stream(struct quic *q, int64_t id, size_t n);
void quic_credit(struct quic *q, size_t n);

/* The peer, for logs and limits: its address as of now. */
const struct addr *quic_peer(const struct quic *q);
/* The name of the verified client certificate ("CN"), or "". */
const char *quic_peer_name(const struct quic *q);
/* In words: why a client's TLS handshake failed, "" if it did not. */
const char *quic_refusal(const struct quic *q);
/* The negotiated protocol (ALPN), once ready: "yomo". */
struct view quic_alpn(const struct quic *q);

struct quic_info {
	uint64_t rtt_ns;
	uint64_t cwnd;
	uint64_t in_flight;
	uint64_t lost_packets;
	size_t payload; /* of a datagram, as the path takes it now */
};
void quic_info(const struct quic *q, struct quic_info *out);

#endif /* QUIC_QUIC_H */
