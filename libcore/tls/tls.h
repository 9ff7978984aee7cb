/* SPDX-License-Identifier: ISC */
/*
 * TLS 1.3 contexts for QUIC: certificates, pins, who is trusted.
 *
 * "TLS without a setup step" in yomo(7) says what holds.  Every failure is
 * said in the log where it is met.  Blocks only on local files.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st; /* SSL_CTX */
struct ssl_st;	   /* SSL */

struct tls; /* one context, for a server or for a client */

/* A pin: the SHA-256 of a public key (SPKI). */
#define TLS_PIN_BYTES 32
/* "sha256//" and base64 of it, and a NUL. */
#define TLS_PIN_TEXT 53

struct tls_server_conf {
	const char *cert;      /* PEM chain, or NULL: the self-made one */
	const char *key;       /* PEM; goes with cert */
	const char *client_ca; /* PEM: demand client certificates; or NULL */
};

/*
 * Load or make the certificate.  ERR_TLS, ERR_SYS, ERR_BAD (a certificate of
 * another key, one that has ended, or a key others may read), ERR_LIMIT,
 * ERR_NOMEM.  A self-made certificate is renewed before it ends for as long as
 * the server runs.
 */
int tls_server_new(struct tls **out, const struct tls_server_conf *conf);

struct tls_client_conf {
	const char *ca;		 /* PEM, instead of the system's; or NULL */
	const char *const *pins; /* "sha256//BASE64", n_pins of them */
	size_t n_pins;
	const char *cert; /* client certificate, PEM; or NULL */
	const char *key;
	bool insecure; /* verify nothing */
};

/* ERR_BAD also for a malformed pin. */
int tls_client_new(struct tls **out, const struct tls_client_conf *conf);

/*
 * Free t; connections made from it live on.  libssl.a has a tls_free() of its
 * own, so ours must not be a symbol.
 */
void tls_end(struct tls *t);
static inline void
tls_free(struct tls *t)
{
	tls_end(t);
}

/* For quic/: borrowed. */
struct ssl_ctx_st *tls_ctx(struct tls *t);

/*
 * Prepare ssl, made from tls_ctx(), for a connection to host (a name or an
 * address without brackets): server name, what to verify; loopback says that
 * the peer's address is in 127/8 or ::1, where the user's own certificate and
 * a root-owned /var/lib/yomo/cert.pem are trusted too.
 *
 * ERR_BAD  host is no name and no address
 * ERR_TLS, ERR_NOMEM
 */
int tls_client_prepare(
    struct tls *t, struct ssl_st *ssl, const char *host, bool loopback);

/*
 * Why verification refused the peer of ssl, in plain words and with the pin to
 * pass if the certificate is simply unknown; "" if it did not.  Borrowed, for
 * as long as ssl lives.
 */
const char *tls_refusal(struct ssl_st *ssl);

/* The pin of the certificate that t shows, as text; "" if it has none. */
const char *tls_pin(const struct tls *t);

/*
 * The folder for state: $STATE_DIRECTORY, else /var/lib/yomo as root, else
 * $XDG_STATE_HOME/yomo, else $HOME/.local/state/yomo; made (0700) if make is
 * set.  The text is static.  ERR_SYS, said in the log if make is set.
 */
int tls_state_dir(bool make, const char **out);

/*
 * Read n bytes of key material kept in the state folder under name, made at
 * random (0600, atomically) the first time.  Without a folder to write to
 * that is said once and the key lives as long as the process.
 */
int tls_state_key(const char *name, uint8_t *key, size_t n);

/* Log as log_error(), followed by what OpenSSL's error queue says. */
void tls_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TLS_TLS_H */
