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
	struct ssl_st *ssl; /* NULL once settled */
	struct ngtcp2_crypto_ossl_ctx *adapter;
	ngtcp2_crypto_conn_ref ref;
	struct view alpn; /* static */
};

/* Let a server of tls choose among our protocols.  ERR_TLS. */
int quic_session_offer(struct tls *tls);

/* ERR_TLS, ERR_NOMEM; the session is then to be finished all the same. */
int quic_session_init_client(
    struct quic_session *s, struct tls *tls, const char *host, bool loopback);
int quic_session_init_server(struct quic_session *s, struct tls *tls);

void quic_session_callbacks(ngtcp2_callbacks *cb);

/* Join s and conn; s must stay where it is. */
void quic_session_join(struct quic_session *s, ngtcp2_conn *conn);
/* Before ngtcp2_conn_del(): OpenSSL may still call back while it is freed. */
void quic_session_part(struct quic_session *s);

/* The handshake is complete: note which protocol it is. */
void quic_session_complete(struct quic_session *s);

/*
 * After that, but not within a callback: free all that only the handshake
 * needed, some 20 KiB.  What TLS may still say (tickets to resume with) does
 * not concern us.
 */
void quic_session_settle(struct quic_session *s);

/* After ngtcp2_conn_del(): the adapter before the SSL. */
void quic_session_fini(struct quic_session *s);

/* The CN of the peer's verified certificate, to be freed; NULL: none. */
char *quic_session_peer_name(const struct quic_session *s);
const char *quic_session_refusal(const struct quic_session *s);

#endif /* QUIC_SESSION_H */
