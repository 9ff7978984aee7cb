/* SPDX-License-Identifier: ISC */
/*
 * The server's side before there is a connection: which datagram is whose,
 * version negotiation, Retry, stateless reset.  Pure, as quic/quic.h.
 */
#ifndef QUIC_SERVER_H
#define QUIC_SERVER_H

#include "quic/quic.h"

struct quic_server;

#define QUIC_KEY_BYTES 32

struct quic_server_conf {
	struct quic_conf conn;
	/* Secret of stateless resets and connection ids: must survive a
	 * restart (tls_state_key()). */
	uint8_t reset_key[QUIC_KEY_BYTES];
	/* Secret of Retry and NEW_TOKEN tokens. */
	uint8_t token_key[QUIC_KEY_BYTES];
	size_t max_conns;     /* refused with CONNECTION_REFUSED over it */
	size_t max_per_addr;  /* the same, for one address (IPv6: one /64) */
	size_t max_half_open; /* handshakes under way; over it: dropped */
	size_t retry_from;    /* half-open count from which Retry is asked */
};

struct quic_server_ops {
	/*
	 * A new connection: fill *ops and return its arg, or NULL to refuse it.
	 * q is the new owner's, to be freed with quic_free().
	 */
	void *(*accept)(void *arg, struct quic *q, const struct quic_ops **ops);
	/* The connection whose arg this is got a datagram: see to it. */
	void (*touched)(void *conn_arg);
	/* A datagram of no connection, to be sent now. */
	void (*send)(void *arg, struct view datagram, const struct addr *to,
	    const struct addr *from);
};

struct quic_counts {
	size_t conns;
	size_t half_open;
	uint64_t accepted;
	uint64_t retries;
	uint64_t refused;
	uint64_t resets;  /* stateless resets sent */
	uint64_t garbage; /* datagrams that were nothing */
};

int quic_server_new(struct quic_server **out,
    const struct quic_server_conf *conf, const struct quic_server_ops *ops,
    void *arg);
/* All its connections must have been freed. */
void quic_server_free(struct quic_server *s);

/* Another certificate for connections to come (SIGHUP); tls is borrowed. */
void quic_server_set_tls(struct quic_server *s, struct tls *tls);

void quic_server_read(struct quic_server *s, struct view datagram,
    const struct addr *local, const struct addr *peer, uint8_t ecn,
    uint64_t now);

const struct quic_counts *quic_server_counts(const struct quic_server *s);

#endif /* QUIC_SERVER_H */
