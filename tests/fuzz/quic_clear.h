/* SPDX-License-Identifier: ISC */
/*
 * libcore/quic/session.c for fuzzing: ciphers that do nothing, and a TLS of a
 * few bytes.  To be included once: it defines the quic_session_*().
 */
#ifndef QUIC_CLEAR_H
#define QUIC_CLEAR_H

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/err.h"
#include "quic/conn.h"

#define TAG_BYTES 16

/* How often each was called. */
static struct {
	unsigned long client_initial;
	unsigned long recv_client_initial;
	unsigned long recv_crypto_data;
	unsigned long decrypt_failed;
	unsigned long recv_retry;
	unsigned long update_key;
	unsigned long path_challenge;
} clear_calls;

/*
 * Its messages: a letter, two bytes of length, so many bytes.  The client says
 * C (its transport parameters), the server S (nothing) and E (its own), then
 * the client F (nothing).
 */
#define MESSAGE_MAX 1024

struct ssl_st {
	bool server;
	bool completed;
	size_t len;
	uint8_t heard[MESSAGE_MAX + 3];
};

static int nothing;
static const ngtcp2_crypto_ctx NO_CRYPTO = {
    .aead = {.native_handle = &nothing, .max_overhead = TAG_BYTES},
    .md = {.native_handle = &nothing},
    .hp = {.native_handle = &nothing},
    .max_encryption = 1u << 20,
    .max_decryption_failure = 1u << 20};
static const ngtcp2_crypto_aead_ctx NO_AEAD = {.native_handle = &nothing};
static const ngtcp2_crypto_cipher_ctx NO_CIPHER = {.native_handle = &nothing};
static const uint8_t NO_IV[12], NO_SECRET[32], NO_TAG[TAG_BYTES];

static int
encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
    const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t len,
    const uint8_t *nonce, size_t nonce_len, const uint8_t *ad, size_t ad_len)
{
	(void)aead;
	(void)ctx;
	(void)nonce;
	(void)nonce_len;
	(void)ad;
	(void)ad_len;
	if (len > 0)
		memmove(dest, plain, len);
	memcpy(dest + len, NO_TAG, TAG_BYTES);
	return 0;
}

static int
decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
    const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *p, size_t len,
    const uint8_t *nonce, size_t nonce_len, const uint8_t *ad, size_t ad_len)
{
	(void)aead;
	(void)ctx;
	(void)nonce;
	(void)nonce_len;
	(void)ad;
	(void)ad_len;
	if (len < TAG_BYTES ||
	    memcmp(p + len - TAG_BYTES, NO_TAG, TAG_BYTES) != 0) {
		clear_calls.decrypt_failed++;
		return NGTCP2_ERR_DECRYPT;
	}
	memmove(dest, p, len - TAG_BYTES);
	return 0;
}

static int
hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
    const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
	(void)hp;
	(void)ctx;
	(void)sample;
	memset(dest, 0, NGTCP2_HP_MASKLEN);
	return 0;
}

static int
install_initial(ngtcp2_conn *conn)
{
	ngtcp2_conn_set_initial_crypto_ctx(conn, &NO_CRYPTO);
	return ngtcp2_conn_install_initial_key(conn, &NO_AEAD, NO_IV,
		   &NO_CIPHER, &NO_AEAD, NO_IV, &NO_CIPHER, sizeof(NO_IV)) != 0
		   ? NGTCP2_ERR_CALLBACK_FAILURE
		   : 0;
}

static int
say(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint8_t letter)
{
	uint8_t m[MESSAGE_MAX + 3] = {letter};
	ngtcp2_ssize n = 0;

	if (letter == 'C' || letter == 'E')
		n = ngtcp2_conn_encode_local_transport_params(
		    conn, m + 3, MESSAGE_MAX);
	assert(n >= 0);
	m[1] = (uint8_t)(n >> 8);
	m[2] = (uint8_t)n;
	return ngtcp2_conn_submit_crypto_data(conn, level, m, (size_t)n + 3);
}

static int
handshake_keys(ngtcp2_conn *conn)
{
	ngtcp2_conn_set_crypto_ctx(conn, &NO_CRYPTO);
	return ngtcp2_conn_install_rx_handshake_key(
		   conn, &NO_AEAD, NO_IV, sizeof(NO_IV), &NO_CIPHER) != 0 ||
		       ngtcp2_conn_install_tx_handshake_key(conn, &NO_AEAD,
			   NO_IV, sizeof(NO_IV), &NO_CIPHER) != 0
		   ? NGTCP2_ERR_CALLBACK_FAILURE
		   : 0;
}

static int
rx_key(ngtcp2_conn *conn)
{
	return ngtcp2_conn_install_rx_key(conn, NO_SECRET, sizeof(NO_SECRET),
	    &NO_AEAD, NO_IV, sizeof(NO_IV), &NO_CIPHER);
}

static int
tx_key(ngtcp2_conn *conn)
{
	return ngtcp2_conn_install_tx_key(conn, NO_SECRET, sizeof(NO_SECRET),
	    &NO_AEAD, NO_IV, sizeof(NO_IV), &NO_CIPHER);
}

/* The client's C: answer with S and E. */
static int
hear_hello(ngtcp2_conn *conn, const uint8_t *p, size_t len)
{
	int r;

	r = ngtcp2_conn_decode_and_set_remote_transport_params(conn, p, len);
	if (r != 0 ||
	    (r = say(conn, NGTCP2_ENCRYPTION_LEVEL_INITIAL, 'S')) != 0 ||
	    (r = handshake_keys(conn)) != 0 || (r = tx_key(conn)) != 0)
		return r;
	return say(conn, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, 'E');
}

/* The server's E: answer with F. */
static int
hear_extensions(ngtcp2_conn *conn, const uint8_t *p, size_t len)
{
	int r;

	r = ngtcp2_conn_decode_and_set_remote_transport_params(conn, p, len);
	if (r != 0 || (r = rx_key(conn)) != 0 ||
	    (r = say(conn, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, 'F')) != 0)
		return r;
	return tx_key(conn);
}

static int
hear(ngtcp2_conn *conn, struct ssl_st *ssl, ngtcp2_encryption_level level,
    uint8_t letter, const uint8_t *p, size_t len)
{
	int r;

	if (level == NGTCP2_ENCRYPTION_LEVEL_INITIAL) {
		if (letter == 'C' && ssl->server)
			return hear_hello(conn, p, len);
		if (letter == 'S' && !ssl->server)
			return handshake_keys(conn);
		return NGTCP2_ERR_CRYPTO;
	}
	if (level != NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE || ssl->completed ||
	    letter != (ssl->server ? 'F' : 'E'))
		return NGTCP2_ERR_CRYPTO;
	r = ssl->server ? rx_key(conn) : hear_extensions(conn, p, len);
	if (r != 0)
		return r;
	ssl->completed = true;
	ngtcp2_conn_tls_handshake_completed(conn);
	return 0;
}

static int
on_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level,
    uint64_t offset, const uint8_t *p, size_t len, void *arg)
{
	struct quic *q = arg;
	struct ssl_st *ssl = q->session.ssl;
	size_t n;
	int r;

	(void)offset;
	clear_calls.recv_crypto_data++;
	if (ssl == NULL)
		return q->origin.server != NULL ? NGTCP2_ERR_CRYPTO : 0;
	if (len > sizeof(ssl->heard) - ssl->len)
		return NGTCP2_ERR_CRYPTO;
	memcpy(ssl->heard + ssl->len, p, len);
	ssl->len += len;
	while (ssl->len >= 3) {
		n = (size_t)ssl->heard[1] << 8 | ssl->heard[2];
		if (n > MESSAGE_MAX)
			return NGTCP2_ERR_CRYPTO;
		if (ssl->len < n + 3)
			return 0;
		r = hear(conn, ssl, level, ssl->heard[0], ssl->heard + 3, n);
		if (r != 0) {
			ngtcp2_conn_set_tls_alert(conn, 50);
			return r;
		}
		ssl->len -= n + 3;
		memmove(ssl->heard, ssl->heard + n + 3, ssl->len);
	}
	return 0;
}

static int
on_client_initial(ngtcp2_conn *conn, void *arg)
{
	(void)arg;
	clear_calls.client_initial++;
	ngtcp2_conn_set_retry_aead(conn, &NO_CRYPTO.aead, &NO_AEAD);
	if (install_initial(conn) != 0 ||
	    say(conn, NGTCP2_ENCRYPTION_LEVEL_INITIAL, 'C') != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int
on_recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *arg)
{
	(void)dcid;
	(void)arg;
	clear_calls.recv_client_initial++;
	return install_initial(conn);
}

static int
on_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *arg)
{
	(void)hd;
	(void)arg;
	clear_calls.recv_retry++;
	return install_initial(conn);
}

static int
on_update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
    ngtcp2_crypto_aead_ctx *rx, uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx,
    uint8_t *tx_iv, const uint8_t *rx_was, const uint8_t *tx_was, size_t len,
    void *arg)
{
	(void)conn;
	(void)rx_was;
	(void)tx_was;
	(void)arg;
	clear_calls.update_key++;
	memset(rx_secret, 0, len);
	memset(tx_secret, 0, len);
	memset(rx_iv, 0, sizeof(NO_IV));
	memset(tx_iv, 0, sizeof(NO_IV));
	*rx = NO_AEAD;
	*tx = NO_AEAD;
	return 0;
}

static int
on_version(
    ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *dcid, void *arg)
{
	(void)dcid;
	(void)arg;
	return ngtcp2_conn_install_vneg_initial_key(conn, version, &NO_AEAD,
	    NO_IV, &NO_CIPHER, &NO_AEAD, NO_IV, &NO_CIPHER, sizeof(NO_IV));
}

static int
on_path_challenge(
    ngtcp2_conn *conn, ngtcp2_path_challenge_data *data, void *arg)
{
	(void)conn;
	(void)arg;
	clear_calls.path_challenge++;
	randombytes_buf(data->data, sizeof(data->data));
	return 0;
}

static void
drop_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *arg)
{
	(void)conn;
	(void)ctx;
	(void)arg;
}

static void
drop_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *arg)
{
	(void)conn;
	(void)ctx;
	(void)arg;
}

void
quic_session_callbacks(ngtcp2_callbacks *cb)
{
	cb->client_initial = on_client_initial;
	cb->recv_client_initial = on_recv_client_initial;
	cb->recv_crypto_data = on_crypto_data;
	cb->encrypt = encrypt;
	cb->decrypt = decrypt;
	cb->hp_mask = hp_mask;
	cb->recv_retry = on_retry;
	cb->update_key = on_update_key;
	cb->delete_crypto_aead_ctx = drop_aead;
	cb->delete_crypto_cipher_ctx = drop_cipher;
	cb->version_negotiation = on_version;
	cb->get_path_challenge_data2 = on_path_challenge;
}

int
quic_session_offer(struct tls *tls)
{
	(void)tls;
	return OK;
}

static int
init_session(struct quic_session *s, bool server)
{
	if ((s->ssl = calloc(1, sizeof(*s->ssl))) == NULL)
		return ERR_NOMEM;
	s->ssl->server = server;
	return OK;
}

int
quic_session_init_client(
    struct quic_session *s, struct tls *tls, const char *host, bool loopback)
{
	(void)tls;
	(void)host;
	(void)loopback;
	return init_session(s, false);
}

int
quic_session_init_server(struct quic_session *s, struct tls *tls)
{
	(void)tls;
	return init_session(s, true);
}

void
quic_session_join(struct quic_session *s, ngtcp2_conn *conn)
{
	(void)s;
	(void)conn;
}

void
quic_session_part(struct quic_session *s)
{
	(void)s;
}

void
quic_session_complete(struct quic_session *s)
{
	s->alpn = view_of(QUIC_ALPN_YOMO);
}

void
quic_session_settle(struct quic_session *s)
{
	free(s->ssl);
	s->ssl = NULL;
}

void
quic_session_fini(struct quic_session *s)
{
	quic_session_settle(s);
}

char *
quic_session_peer_name(const struct quic_session *s)
{
	(void)s;
	return NULL;
}

const char *
quic_session_refusal(const struct quic_session *s)
{
	(void)s;
	return "";
}

#endif /* QUIC_CLEAR_H */
