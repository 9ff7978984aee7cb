/* SPDX-License-Identifier: ISC */
/*
 * The TLS side of a connection: OpenSSL's SSL and ngtcp2's adapter to it.
 *
 * The only file of quic/ that touches keys; tests/fuzz puts a scripted one in
 * its place.
 */
#ifndef QUIC_SESSION_H
#define QUIC_SESSION_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "base/view.h"
#include "tls/tls.h"

struct ngtcp2_crypto_ossl_ctx;

struct quic_session {
	struct ssl_st *ssl;
	struct ngtcp2_crypto_ossl_ctx *adapter;
	ngtcp2_crypto_conn_ref ref;
};

/* Let a server of tls choose among our protocols.  ERR_TLS. */
int quic_session_offer(struct tls *tls);

/* ERR_TLS, ERR_NOMEM; the session is then to be finished all the same. */
int quic_session_init_client(
    struct quic_session *s, struct tls *tls, const char *host, bool loopback);
int quic_session_init_server(struct quic_session *s, struct tls *tls);

void quic_session_callbacks(ngtcp2_callbacks *cb);

/* Join s and conn; s must stay where it is.  NULL: part them. */
void quic_session_join(struct quic_session *s, ngtcp2_conn *conn);

/* After ngtcp2_conn_del(): the adapter before the SSL. */
void quic_session_fini(struct quic_session *s);

struct view quic_session_alpn(const struct quic_session *s);
/* The CN of the peer's verified certificate, to be freed; NULL: none. */
char *quic_session_peer_name(const struct quic_session *s);
const char *quic_session_refusal(const struct quic_session *s);

#endif /* QUIC_SESSION_H */
