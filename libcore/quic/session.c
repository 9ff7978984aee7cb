/* SPDX-License-Identifier: ISC */
#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sodium.h>

#include "base/err.h"
#include "base/log.h"
#include "quic/conn.h"
#include "quic/session.h"

/* What we speak, the best first, as TLS wants it. */
static const unsigned char PROTOCOLS[] =
    "\7" QUIC_ALPN_OURS "\4" QUIC_ALPN_YOMO;
#define PROTOCOLS_LEN (sizeof(PROTOCOLS) - 1)

/* The longest CN there may be (X.520: 64 characters, in UTF-8). */
#define NAME_MAX_BYTES 256

static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	size_t i;
	unsigned k;

	(void)arg;
	for (i = 0; i < PROTOCOLS_LEN; i += PROTOCOLS[i] + 1u) {
		for (k = 0; k < in_len; k += in[k] + 1u) {
			if (in[k] != PROTOCOLS[i] || in_len - k <= in[k] ||
			    memcmp(in + k, PROTOCOLS + i, in[k] + 1u) != 0)
				continue;
			*out = in + k + 1;
			*out_len = in[k];
			if (i == 0) /* our clients never resume, Go's do */
				SSL_set_num_tickets(ssl, 0);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

/* Once in a process; what it fetches from OpenSSL stays with the library. */
static int
prepare(void)
{
	static bool done;

	if (done)
		return OK;
	if (sodium_init() < 0 || ngtcp2_crypto_ossl_init() != 0) {
		tls_log("cannot prepare OpenSSL for QUIC");
		return ERR_TLS;
	}
	done = true;
	return OK;
}

static ngtcp2_conn *
joined_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ref->user_data;
}

static int
init(struct quic_session *s, struct tls *tls)
{
	int r;

	if ((r = prepare()) != OK)
		return r;
	s->ref.get_conn = joined_conn;
	if ((s->ssl = SSL_new(tls_ctx(tls))) == NULL) {
		tls_log("cannot make a TLS session");
		return ERR_NOMEM;
	}
	if (ngtcp2_crypto_ossl_ctx_new(&s->adapter, s->ssl) != 0)
		return ERR_NOMEM;
	return OK;
}

int
quic_session_offer(struct tls *tls)
{
	SSL_CTX_set_alpn_select_cb(tls_ctx(tls), select_protocol, NULL);
	return prepare();
}

int
quic_session_init_server(struct quic_session *s, struct tls *tls)
{
	int r;

	if ((r = init(s, tls)) != OK)
		return r;
	if (ngtcp2_crypto_ossl_configure_server_session(s->ssl) != 0) {
		tls_log("cannot prepare TLS for QUIC");
		return ERR_TLS;
	}
	SSL_set_accept_state(s->ssl);
	return OK;
}

int
quic_session_init_client(
    struct quic_session *s, struct tls *tls, const char *host, bool loopback)
{
	int r;

	if ((r = init(s, tls)) != OK)
		return r;
	if (ngtcp2_crypto_ossl_configure_client_session(s->ssl) != 0 ||
	    SSL_set_alpn_protos(s->ssl, PROTOCOLS, PROTOCOLS_LEN) != 0) {
		tls_log("cannot prepare TLS for QUIC");
		return ERR_TLS;
	}
	SSL_set_connect_state(s->ssl);
	return tls_client_prepare(tls, s->ssl, host, loopback);
}

/* After the handshake a client has nothing to say in TLS, a server may. */
static int
on_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level,
    uint64_t offset, const uint8_t *p, size_t len, void *arg)
{
	const struct quic *q = arg;

	if (q->session.ssl != NULL)
		return ngtcp2_crypto_recv_crypto_data_cb(
		    conn, level, offset, p, len, arg);
	if (!ngtcp2_conn_is_server(conn))
		return 0;
	ngtcp2_conn_set_tls_alert(conn, SSL_AD_UNEXPECTED_MESSAGE);
	return NGTCP2_ERR_CRYPTO;
}

void
quic_session_callbacks(ngtcp2_callbacks *cb)
{
	cb->client_initial = ngtcp2_crypto_client_initial_cb;
	cb->recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
	cb->recv_crypto_data = on_crypto_data;
	cb->encrypt = ngtcp2_crypto_encrypt_cb;
	cb->decrypt = ngtcp2_crypto_decrypt_cb;
	cb->hp_mask = ngtcp2_crypto_hp_mask_cb;
	cb->recv_retry = ngtcp2_crypto_recv_retry_cb;
	cb->update_key = ngtcp2_crypto_update_key_cb;
	cb->delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
	cb->delete_crypto_cipher_ctx =
	    ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
	cb->version_negotiation = ngtcp2_crypto_version_negotiation_cb;
	cb->get_path_challenge_data2 =
	    ngtcp2_crypto_get_path_challenge_data2_cb;
}

void
quic_session_join(struct quic_session *s, ngtcp2_conn *conn)
{
	s->ref.user_data = conn;
	SSL_set_app_data(s->ssl, &s->ref);
	ngtcp2_conn_set_tls_native_handle(conn, s->adapter);
}

void
quic_session_part(struct quic_session *s)
{
	if (s->ssl != NULL)
		SSL_set_app_data(s->ssl, NULL);
}

void
quic_session_fini(struct quic_session *s)
{
	if (s->adapter != NULL)
		ngtcp2_crypto_ossl_ctx_del(s->adapter);
	SSL_free(s->ssl);
	s->adapter = NULL;
	s->ssl = NULL;
}

/* What was selected, as it stands in our own list. */
static struct view
selected_protocol(const SSL *ssl)
{
	const unsigned char *p = NULL;
	unsigned n = 0;
	size_t i;

	SSL_get0_alpn_selected(ssl, &p, &n);
	for (i = 0; i < PROTOCOLS_LEN; i += PROTOCOLS[i] + 1u) {
		if (PROTOCOLS[i] == n && memcmp(PROTOCOLS + i + 1, p, n) == 0)
			return (struct view){PROTOCOLS + i + 1, n};
	}
	return (struct view){NULL, 0};
}

void
quic_session_complete(struct quic_session *s)
{
	s->alpn = selected_protocol(s->ssl);
}

void
quic_session_settle(struct quic_session *s)
{
	ngtcp2_conn_set_tls_native_handle(s->ref.user_data, NULL);
	quic_session_part(s);
	quic_session_fini(s);
}

char *
quic_session_peer_name(const struct quic_session *s)
{
	X509 *cert = SSL_get0_peer_certificate(s->ssl);
	char cn[NAME_MAX_BYTES + 1];
	int n;

	if (cert == NULL || SSL_get_verify_result(s->ssl) != X509_V_OK)
		return NULL;
	n = X509_NAME_get_text_by_NID(
	    X509_get_subject_name(cert), NID_commonName, cn, (int)sizeof(cn));
	if (n <= 0 || strlen(cn) != (size_t)n)
		return NULL; /* a NUL within: not a name to compare with */
	return strdup(cn);
}

const char *
quic_session_refusal(const struct quic_session *s)
{
	return s->ssl != NULL ? tls_refusal(s->ssl) : "";
}
