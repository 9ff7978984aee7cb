/* SPDX-License-Identifier: ISC */
/* Who is trusted, and in which words the others are refused. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/cert.h"
#include "tls/ctx.h"
#include "tls/own.h"
#include "tls/pin.h"

#define HOST_MAX 254
#define REFUSAL_MAX 640
/* So many of a certificate's names are shown, and so much of each. */
#define NAMES_MAX 5
#define NAME_MAX_SHOWN 64

/* The name stands in the certificate as a whole, and not only in its CN. */
#define NAME_FLAGS                                                             \
	(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |                                \
	    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* What we know of the peer of one SSL. */
struct peer {
	bool loopback;
	char *refusal;
	char host[HOST_MAX];
};

/* A refusal as it is put together. */
struct words {
	char text[REFUSAL_MAX];
};

static void
on_ssl_freed(
    void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct peer *p = ptr;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (p == NULL)
		return;
	free(p->refusal);
	free(p);
}

/* SSL's app data belong to ngtcp2: we have an index of our own; -1: none. */
static int
peer_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
	return index;
}

/* The peer of ssl, made if it is not there; NULL: out of memory. */
static struct peer *
peer_of(SSL *ssl)
{
	struct peer *p = SSL_get_ex_data(ssl, peer_index());

	if (p != NULL)
		return p;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	if (SSL_set_ex_data(ssl, peer_index(), p) == 1)
		return p;
	free(p);
	return NULL;
}

__attribute__((format(printf, 2, 3))) static void
say(struct words *w, const char *fmt, ...)
{
	size_t n = strlen(w->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->text + n, sizeof(w->text) - n, fmt, ap);
	va_end(ap);
}

/* Say a name of a certificate: bytes that anybody may have put there. */
static void
say_bytes(struct words *w, const uint8_t *s, size_t len)
{
	size_t i;

	say(w, "'");
	for (i = 0; i < len && i < NAME_MAX_SHOWN; i++)
		say(w, "%c", s[i] > 0x20 && s[i] < 0x7f ? s[i] : '?');
	say(w, "'");
}

static bool
say_name(struct words *w, const GENERAL_NAME *g, const char *before)
{
	char text[INET6_ADDRSTRLEN];
	const ASN1_STRING *s;
	const uint8_t *data;
	int type, len;

	s = GENERAL_NAME_get0_value(g, &type);
	if (type != GEN_DNS && type != GEN_IPADD)
		return false;
	data = ASN1_STRING_get0_data(s);
	len = ASN1_STRING_length(s);
	if (type == GEN_IPADD && len != 4 && len != 16)
		return false;
	say(w, "%s", before);
	if (type == GEN_DNS) {
		say_bytes(w, data, (size_t)len);
	} else {
		inet_ntop(
		    len == 4 ? AF_INET : AF_INET6, data, text, sizeof(text));
		say(w, "'%s'", text);
	}
	return true;
}

/* "its certificate is not for 'host', but for 'a', 'b' and 3 more" */
static void
say_names(struct words *w, const X509 *x, const char *host)
{
	GENERAL_NAMES *names;
	int i, n, said = 0, more = 0;

	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	say(w, "its certificate is not for '%s', but for ", host);
	n = sk_GENERAL_NAME_num(names);
	for (i = 0; i < n; i++) {
		if (said == NAMES_MAX)
			more++;
		else if (say_name(w, sk_GENERAL_NAME_value(names, i),
			     said > 0 ? ", " : ""))
			said++;
	}
	if (said == 0)
		say(w, "no host at all");
	if (more > 0)
		say(w, " and %d more", more);
	GENERAL_NAMES_free(names);
}

static void
say_why(struct words *w, X509_STORE_CTX *store, const char *pin)
{
	const X509 *x = X509_STORE_CTX_get_current_cert(store);
	int e = X509_STORE_CTX_get_error(store);
	const char *whose;
	char text[TLS_CERT_TIME];

	whose = X509_STORE_CTX_get_error_depth(store) == 0
		    ? "its certificate"
		    : "the certificate of its CA";
	switch (e) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		say(w, "%s ended on %s", whose,
		    tls_cert_time(X509_get0_notAfter(x), text));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		say(w, "%s is not valid before %s: is the clock right?", whose,
		    tls_cert_time(X509_get0_notBefore(x), text));
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		say(w, "nobody we trust vouches for its certificate");
		if (pin != NULL)
			say(w, "; if it is the right one, pass --pin %s", pin);
		break;
	case X509_V_OK:
		say(w, "%s cannot be checked", whose);
		break;
	default:
		say(w, "%s is not accepted: %s", whose,
		    X509_verify_cert_error_string(e));
	}
}

static bool
is_pinned(const struct tls *t, const uint8_t pin[TLS_PIN_BYTES])
{
	size_t i;

	for (i = 0; i < t->n_pins; i++)
		if (memcmp(t->pins + i * TLS_PIN_BYTES, pin, TLS_PIN_BYTES) ==
		    0)
			return true;
	return false;
}

static int
accept_peer(X509_STORE_CTX *store)
{
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* Parsing some 150 CAs costs more than a handshake: only who needs it pays. */
static void
load_system_cas(struct tls *t)
{
	if (!t->system_cas)
		return;
	t->system_cas = false;
	if (SSL_CTX_set_default_verify_paths(t->ctx) != 1)
		tls_log("cannot load the system's CA certificates");
}

static int
verify_chain(
    struct tls *t, X509_STORE_CTX *store, const char *pin, struct words *w)
{
	load_system_cas(t);
	if (X509_verify_cert(store) == 1)
		return 1;
	say_why(w, store, pin);
	return 0;
}

static bool
is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 ||
	       inet_pton(AF_INET6, host, &any) == 1;
}

/*
 * Not left to X509_verify_cert(): OpenSSL loses the name it was given, without
 * a word, if memory runs out while it copies what is to be verified.
 */
static int
verify_name(X509_STORE_CTX *store, X509 *x, const char *host, struct words *w)
{
	if (is_address(host)) {
		if (X509_check_ip_asc(x, host, 0) == 1)
			return 1;
		X509_STORE_CTX_set_error(store, X509_V_ERR_IP_ADDRESS_MISMATCH);
	} else {
		if (X509_check_host(x, host, 0, NAME_FLAGS, NULL) == 1)
			return 1;
		X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	}
	say_names(w, x, host);
	return 0;
}

/* Is x that of the server which p describes? */
static int
verify_server(struct tls *t, X509_STORE_CTX *store, X509 *x,
    const struct peer *p, struct words *w)
{
	uint8_t pin[TLS_PIN_BYTES];
	char text[TLS_PIN_TEXT];

	if (p == NULL || x == NULL || tls_pin_of(x, pin) != OK) {
		say(w, "its key cannot be checked");
		return 0;
	}
	if (t->n_pins > 0 && !is_pinned(t, pin)) {
		say(w, "its key is not the pinned one, but %s",
		    tls_pin_text(pin, text));
		return 0;
	}
	if (t->n_pins > 0 && !t->ca)
		return accept_peer(store);
	if (t->n_pins == 0 && p->loopback && tls_own_is(pin))
		return accept_peer(store);
	return verify_chain(t, store, tls_pin_text(pin, text), w) == 1 &&
	       verify_name(store, x, p->host, w) == 1;
}

static int
verify(struct tls *t, X509_STORE_CTX *store, SSL *ssl, struct words *w)
{
	if (t->insecure)
		return accept_peer(store);
	if (t->server)
		return verify_chain(t, store, NULL, w);
	return verify_server(t, store, X509_STORE_CTX_get0_cert(store),
	    SSL_get_ex_data(ssl, peer_index()), w);
}

/* OpenSSL asks: 1 accepts the peer. */
static int
on_verify(X509_STORE_CTX *store, void *arg)
{
	struct words w = {""};
	struct peer *p;
	SSL *ssl;

	ssl = X509_STORE_CTX_get_ex_data(
	    store, SSL_get_ex_data_X509_STORE_CTX_idx());
	if (verify(arg, store, ssl, &w) == 1)
		return 1;
	if (X509_STORE_CTX_get_error(store) == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	if ((p = peer_of(ssl)) != NULL) {
		free(p->refusal);
		p->refusal = strdup(w.text);
	}
	return 0;
}

int
tls_verify_init(struct tls *t)
{
	if (peer_index() < 0)
		return ERR_NOMEM;
	SSL_CTX_set_cert_verify_callback(t->ctx, on_verify, t);
	/* Who names a certificate to trust means it, be it a root or not. */
	X509_VERIFY_PARAM_set_flags(
	    SSL_CTX_get0_param(t->ctx), X509_V_FLAG_PARTIAL_CHAIN);
	return OK;
}

/* Copy host without a final dot or an IPv6 zone; false: no such name. */
static bool
plain_host(const char *host, char out[HOST_MAX])
{
	size_t len = strlen(host);

	if (strchr(host, ':') != NULL)
		len = strcspn(host, "%");
	else if (len > 1 && host[len - 1] == '.')
		len--;
	if (len == 0 || len >= HOST_MAX)
		return false;
	memcpy(out, host, len);
	out[len] = '\0';
	return true;
}

int
tls_client_prepare(
    struct tls *t, struct ssl_st *ssl, const char *host, bool loopback)
{
	struct peer *p;

	(void)t;
	if ((p = peer_of(ssl)) == NULL)
		return ERR_NOMEM;
	if (!plain_host(host, p->host)) {
		log_error("not a host name: '%s'", host);
		return ERR_BAD;
	}
	p->loopback = loopback;
	/* No server name for addresses: RFC 6066. */
	if (is_address(p->host) || SSL_set_tlsext_host_name(ssl, p->host) == 1)
		return OK;
	tls_log("cannot expect the name '%s'", p->host);
	return ERR_TLS;
}

const char *
tls_refusal(struct ssl_st *ssl)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index());

	return p != NULL && p->refusal != NULL ? p->refusal : "";
}
