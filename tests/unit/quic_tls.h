/* SPDX-License-Identifier: ISC */
/* tls.h as quic/ needs it, with a certificate made at run time. */
#ifndef TESTS_UNIT_QUIC_TLS_H
#define TESTS_UNIT_QUIC_TLS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tls/tls.h"

struct tls {
	SSL_CTX *ctx;
	bool distrust;	  /* refuse every certificate */
	const char *alpn; /* of one protocol, after its length; or NULL */
};

struct ssl_ctx_st *
tls_ctx(struct tls *t)
{
	return t->ctx;
}

static int
refuse(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

int
tls_client_prepare(
    struct tls *t, struct ssl_st *ssl, const char *host, bool loopback)
{
	(void)host;
	(void)loopback;
	if (t->alpn != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)t->alpn,
		    (unsigned)strlen(t->alpn));
	if (t->distrust)
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return OK;
}

const char *
tls_refusal(struct ssl_st *ssl)
{
	return SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
		       SSL_get_verify_result(ssl) == X509_V_OK
		   ? ""
		   : "not trusted";
}

void
tls_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void
self_sign(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name;

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	name = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_sign(x, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct tls
test_tls(bool server)
{
	struct tls t = {.ctx = SSL_CTX_new(server ? TLS_server_method()
						  : TLS_client_method())};

	SSL_CTX_set_min_proto_version(t.ctx, TLS1_3_VERSION);
	if (server)
		self_sign(t.ctx);
	else
		SSL_CTX_set_cert_verify_callback(t.ctx, refuse, NULL);
	return t;
}

#endif /* TESTS_UNIT_QUIC_TLS_H */
