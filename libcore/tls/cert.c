/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/cert.h"
#include "tls/file.h"
#include "tls/tls.h"

void
tls_cert_fini(struct tls_cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	OSSL_STACK_OF_X509_free(c->chain);
	*c = (struct tls_cert){0};
}

/* Instead of OpenSSL's own, which would ask on the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *asked)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)asked = true;
	return -1;
}

/* Is it OpenSSL's last word that there was nothing of the kind? */
static bool
found_nothing(void)
{
	unsigned long e = ERR_peek_last_error();

	return (ERR_GET_LIB(e) == ERR_LIB_PEM &&
		   ERR_GET_REASON(e) == PEM_R_NO_START_LINE) ||
	       (ERR_GET_LIB(e) == ERR_LIB_OSSL_DECODER &&
		   ERR_GET_REASON(e) == ERR_R_UNSUPPORTED);
}

/* Say what is wrong with a PEM file in which no thing was found. */
static int
say_bad(const char *path, const char *thing)
{
	if (found_nothing()) {
		log_error("'%s' holds no %s in PEM", path, thing);
		ERR_clear_error();
	} else {
		tls_log("cannot read a %s from '%s'", thing, path);
	}
	return ERR_BAD;
}

/* A file the user named must be there. */
static int
read_given(const char *path, struct tls_file *out)
{
	int r;

	if ((r = tls_file_read(path, out)) != ERR_NONE)
		return r;
	log_error("cannot open '%s': there is no such file", path);
	return ERR_SYS;
}

/* Read the certificates that stand behind the first. */
static int
parse_chain(BIO *b, const char *path, struct tls_cert *out)
{
	X509 *x;

	if ((out->chain = sk_X509_new_null()) == NULL)
		return ERR_NOMEM;
	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(out->chain, x) <= 0) {
			X509_free(x);
			return ERR_NOMEM;
		}
	}
	if (!found_nothing())
		return say_bad(path, "certificate");
	ERR_clear_error();
	return OK;
}

static int
parse_certs(const char *path, const struct tls_file *f, struct tls_cert *out)
{
	BIO *b;
	int r;

	if ((b = BIO_new_mem_buf(f->p, (int)f->len)) == NULL)
		return ERR_NOMEM;
	out->x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	if (out->x == NULL)
		r = say_bad(path, "certificate");
	else
		r = parse_chain(b, path, out);
	BIO_free(b);
	return r;
}

/* A certificate that has ended is refused by every peer: say so at once. */
static int
check_dates(const X509 *x, const char *path)
{
	time_t now = time(NULL);
	char text[TLS_CERT_TIME];

	if (ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), now) < 0) {
		log_error("the certificate in '%s' ended on %s", path,
		    tls_cert_time(X509_get0_notAfter(x), text));
		return ERR_BAD;
	}
	if (ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), now) > 0)
		log_info("the certificate in '%s' is not valid before %s", path,
		    tls_cert_time(X509_get0_notBefore(x), text));
	return OK;
}

static int
load_certs(const char *path, struct tls_cert *c)
{
	struct tls_file f;
	int r;

	if ((r = read_given(path, &f)) != OK)
		return r;
	if ((r = parse_certs(path, &f, c)) == OK)
		r = check_dates(c->x, path);
	tls_file_fini(&f);
	return r;
}

static int
load_key(const char *path, struct tls_cert *c)
{
	struct tls_file f;
	int r;

	if ((r = read_given(path, &f)) != OK)
		return r;
	r = tls_cert_parse_key(path, &f, &c->key);
	tls_file_fini(&f);
	return r;
}

const char *
tls_cert_time(const ASN1_TIME *t, char out[TLS_CERT_TIME])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 ||
	    strftime(out, TLS_CERT_TIME, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(out, TLS_CERT_TIME, "an unknown day");
	return out;
}

int
tls_cert_parse_key(const char *path, const struct tls_file *f, EVP_PKEY **out)
{
	bool asked = false;
	EVP_PKEY *key;
	BIO *b;

	if ((b = BIO_new_mem_buf(f->p, (int)f->len)) == NULL)
		return ERR_NOMEM;
	key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked);
	BIO_free(b);
	if (key == NULL && asked) {
		log_error("the key in '%s' has a passphrase: give one "
			  "without",
		    path);
		ERR_clear_error();
		return ERR_BAD;
	}
	if (key == NULL)
		return say_bad(path, "private key");
	*out = key;
	return OK;
}

int
tls_cert_load(struct tls_cert *out, const char *cert_file, const char *key_file)
{
	struct tls_cert c = {0};
	int r;

	if ((r = load_certs(cert_file, &c)) == OK &&
	    (r = load_key(key_file, &c)) == OK &&
	    X509_check_private_key(c.x, c.key) != 1) {
		log_error("the key in '%s' is not that of the certificate in "
			  "'%s'",
		    key_file, cert_file);
		ERR_clear_error();
		r = ERR_BAD;
	}
	if (r == OK)
		*out = c;
	else
		tls_cert_fini(&c);
	return r;
}
