/* SPDX-License-Identifier: ISC */
/* The certificate a server or client shows, and its key. */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include <openssl/x509.h>

struct tls_cert {
	X509 *x;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* what stands behind x, or NULL */
};

/*
 * Read certificate, chain and key from PEM files.
 *
 * ERR_BAD  no PEM, an encrypted key, a key of another certificate, or a
 *          certificate that has ended
 * ERR_SYS, ERR_LIMIT, ERR_TLS, ERR_NOMEM
 */
int tls_cert_load(
    struct tls_cert *out, const char *cert_file, const char *key_file);

void tls_cert_fini(struct tls_cert *c);

struct tls_file;
/* The private key in f, which was read from path; ERR_BAD, ERR_NOMEM. */
int tls_cert_parse_key(
    const char *path, const struct tls_file *f, EVP_PKEY **out);

/* "2027-01-02 03:04:05 UTC", in out, which is returned. */
#define TLS_CERT_TIME 32
const char *tls_cert_time(const ASN1_TIME *t, char out[TLS_CERT_TIME]);

#endif /* TLS_CERT_H */
