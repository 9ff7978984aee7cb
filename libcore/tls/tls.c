/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__) || defined(__arm__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/cert.h"
#include "tls/ctx.h"
#include "tls/own.h"
#include "tls/pin.h"

#define AES128 "TLS_AES_128_GCM_SHA256"
#define AES256 "TLS_AES_256_GCM_SHA384"
#define CHACHA "TLS_CHACHA20_POLY1305_SHA256"
#define TEXT_MAX 1024

void
tls_log(const char *fmt, ...)
{
	const char *data, *why;
	char text[TEXT_MAX];
	unsigned long e;
	va_list ap;
	int flags;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	/* The first of the queue is the cause, the others are its wake. */
	e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
	why = ERR_reason_error_string(e);
	if (e == 0)
		log_error("%s", text);
	else if (ERR_SYSTEM_ERROR(e))
		log_error("%s: %s", text, strerror(ERR_GET_REASON(e)));
	else if (why == NULL)
		log_error("%s: error %lx", text, e);
	else if ((flags & ERR_TXT_STRING) != 0 && data[0] != '\0')
		log_error("%s: %s (%s)", text, why, data);
	else
		log_error("%s: %s", text, why);
	ERR_clear_error();
}

/* Does the processor do AES and GCM by itself? */
static bool
has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") &&
	       __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & HWCAP_AES) != 0 &&
	       (getauxval(AT_HWCAP) & HWCAP_PMULL) != 0;
#elif defined(__arm__)
	return (getauxval(AT_HWCAP2) & HWCAP2_AES) != 0 &&
	       (getauxval(AT_HWCAP2) & HWCAP2_PMULL) != 0;
#else
	return false;
#endif
}

/*
 * A server takes its own favourite, unless the client's is ChaCha20: that one
 * has no AES, and it is the slower of the two that counts.
 */
static int
set_ciphers(SSL_CTX *ctx)
{
	SSL_CTX_set_options(
	    ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	if (SSL_CTX_set_ciphersuites(
		ctx, has_aes() ? AES128 ":" AES256 ":" CHACHA
			       : CHACHA ":" AES128 ":" AES256) == 1)
		return OK;
	tls_log("cannot choose ciphers");
	return ERR_TLS;
}

/* The last SSL of a context, or tls_free(), lets go of it: t goes, too. */
static void
on_ctx_freed(
    void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct tls *t = ptr;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (t == NULL)
		return;
	free(t->pins);
	free(t);
}

/* Hand t over to ctx.  On failure t is still the caller's. */
static int
give_to_ctx(struct tls *t, SSL_CTX *ctx)
{
	static int index = -1;

	if (index < 0)
		index =
		    SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_freed);
	if (index < 0 || SSL_CTX_set_ex_data(ctx, index, t) != 1)
		return ERR_NOMEM;
	t->ctx = ctx;
	return OK;
}

/*
 * The groups stay OpenSSL's: X25519 with ML-KEM, then X25519.  The hybrid costs
 * a handshake 0.2 ms and a second datagram, and what is recorded today stays
 * secret when there are quantum computers.
 */
static int
set_protocol(SSL_CTX *ctx)
{
	static const uint8_t id[] = "yomo";

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) != 1) {
		tls_log("cannot require TLS 1.3");
		return ERR_TLS;
	}
	/* A chain is what its file says, not what might be found. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	/* Nobody of ours resumes, and Go needs one ticket at a time. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION |
				     SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
	return set_ciphers(ctx);
}

static int
new_base(struct tls **out, const SSL_METHOD *method)
{
	struct tls *t;
	SSL_CTX *ctx;
	int r;

	if ((ctx = SSL_CTX_new(method)) == NULL) {
		tls_log("cannot make a TLS context");
		return ERR_TLS;
	}
	if ((t = calloc(1, sizeof(*t))) == NULL || give_to_ctx(t, ctx) != OK) {
		free(t);
		SSL_CTX_free(ctx);
		return ERR_NOMEM;
	}
	if ((r = set_protocol(ctx)) == OK && (r = tls_verify_init(t)) == OK)
		*out = t;
	else
		tls_free(t);
	return r;
}

/* Use c from now on, and its pin. */
static int
use_cert(struct tls *t, const struct tls_cert *c)
{
	uint8_t pin[TLS_PIN_BYTES];
	int r;

	if ((r = tls_pin_of(c->x, pin)) != OK)
		return r;
	if (SSL_CTX_use_cert_and_key(t->ctx, c->x, c->key, c->chain, 1) != 1) {
		tls_log("cannot use the certificate");
		return ERR_TLS;
	}
	tls_pin_text(pin, t->pin);
	return OK;
}

static int
use_files(struct tls *t, const char *cert, const char *key)
{
	struct tls_cert c;
	int r;

	if (cert == NULL || key == NULL) {
		log_error("a certificate and its key go together");
		return ERR_BAD;
	}
	if ((r = tls_cert_load(&c, cert, key)) != OK)
		return r;
	r = use_cert(t, &c);
	tls_cert_fini(&c);
	return r;
}

/*
 * Before each handshake of a server with a self-made certificate: a process
 * that runs for a year renews it on the way.
 */
static int
on_handshake(SSL *ssl, void *arg)
{
	struct tls *t = arg;
	struct tls_cert c;

	if (time(NULL) < t->renew_at)
		return 1;
	if (tls_own_load(&c, &t->renew_at) != OK) {
		t->renew_at = time(NULL) + TLS_OWN_RETRY;
		return 1; /* with the one we have */
	}
	if (use_cert(t, &c) == OK &&
	    SSL_use_cert_and_key(ssl, c.x, c.key, NULL, 1) != 1)
		tls_log("cannot use the renewed certificate");
	tls_cert_fini(&c);
	return 1;
}

static int
use_own(struct tls *t)
{
	struct tls_cert c;
	int r;

	if ((r = tls_own_load(&c, &t->renew_at)) != OK)
		return r;
	r = use_cert(t, &c);
	tls_cert_fini(&c);
	SSL_CTX_set_cert_cb(t->ctx, on_handshake, t);
	return r;
}

static int
trust(struct tls *t, const char *ca)
{
	unsigned long e;

	if (SSL_CTX_load_verify_file(t->ctx, ca) == 1)
		return OK;
	e = ERR_peek_error();
	tls_log("cannot load CA certificates from '%s'", ca);
	return ERR_SYSTEM_ERROR(e) ? ERR_SYS : ERR_BAD;
}

/* Clients without a certificate of this CA are refused. */
static int
demand_client_cert(struct tls *t, const char *ca)
{
	STACK_OF(X509_NAME) * names;
	int r;

	if ((r = trust(t, ca)) != OK)
		return r;
	if ((names = SSL_load_client_CA_file(ca)) == NULL) {
		tls_log("cannot load CA certificates from '%s'", ca);
		return ERR_BAD;
	}
	SSL_CTX_set_client_CA_list(t->ctx, names); /* owns names now */
	SSL_CTX_set_verify(
	    t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return OK;
}

int
tls_server_new(struct tls **out, const struct tls_server_conf *conf)
{
	struct tls *t;
	int r;

	if ((r = new_base(&t, TLS_server_method())) != OK)
		return r;
	t->server = true;
	if (conf->cert != NULL || conf->key != NULL)
		r = use_files(t, conf->cert, conf->key);
	else
		r = use_own(t);
	if (r == OK && conf->client_ca != NULL)
		r = demand_client_cert(t, conf->client_ca);
	if (r == OK)
		*out = t;
	else
		tls_free(t);
	return r;
}

static int
add_pins(struct tls *t, const char *const *pins, size_t n)
{
	size_t i;

	if (n == 0)
		return OK;
	if ((t->pins = calloc(n, TLS_PIN_BYTES)) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < n; i++) {
		if (tls_pin_parse(pins[i], t->pins + i * TLS_PIN_BYTES) == OK)
			continue;
		log_error("not a pin (sha256//BASE64): '%s'", pins[i]);
		return ERR_BAD;
	}
	t->n_pins = n;
	return OK;
}

int
tls_client_new(struct tls **out, const struct tls_client_conf *conf)
{
	struct tls *t;
	int r;

	if ((r = new_base(&t, TLS_client_method())) != OK)
		return r;
	t->insecure = conf->insecure;
	t->ca = conf->ca != NULL;
	t->system_cas = !t->ca;
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	if ((r = add_pins(t, conf->pins, conf->n_pins)) == OK && t->ca)
		r = trust(t, conf->ca);
	if (r == OK && (conf->cert != NULL || conf->key != NULL))
		r = use_files(t, conf->cert, conf->key);
	if (r == OK)
		*out = t;
	else
		tls_free(t);
	return r;
}

void
tls_end(struct tls *t)
{
	if (t != NULL)
		SSL_CTX_free(t->ctx); /* and with it, in the end, t */
}

struct ssl_ctx_st *
tls_ctx(struct tls *t)
{
	return t->ctx;
}

const char *
tls_pin(const struct tls *t)
{
	return t->pin;
}
