/* SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/file.h"
#include "tls/own.h"
#include "tls/pin.h"
#include "tls/state.h"

#define CERT_FILE "cert.pem"
#define KEY_FILE "key.pem"

#define DAY ((time_t)24 * 60 * 60)
#define VALID (365 * DAY)
/* So long before its end a certificate is renewed. */
#define RENEW (30 * DAY)
/* A client's clock may be behind ours. */
#define BEFORE DAY
#define SERIAL_BYTES 16
#define HOST_MAX 254
#define CN_MAX 64 /* RFC 5280, ub-common-name */

/* The name of this host, if it is one that a certificate may carry. */
static bool
host_name(char out[HOST_MAX])
{
	if (gethostname(out, HOST_MAX) != 0)
		return false;
	out[HOST_MAX - 1] = '\0';
	return isalnum((unsigned char)out[0]) &&
	       strcmp(out, "localhost") != 0 &&
	       strspn(out,
		   "abcdefghijklmnopqrstuvwxyz"
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(out);
}

/* The bytes of a memory BIO: OpenSSL wipes them when it is freed. */
static struct view
bio_view(BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	return (struct view){(uint8_t *)p, n > 0 ? (size_t)n : 0};
}

static int
write_key(const char *path)
{
	EVP_PKEY *key;
	BIO *b;
	int r;

	key = EVP_EC_gen("P-256");
	b = BIO_new(BIO_s_mem());
	if (key != NULL && b != NULL &&
	    PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1) {
		r = tls_file_create(path, 0600, bio_view(b));
	} else {
		tls_log("cannot make a private key");
		r = ERR_TLS;
	}
	BIO_free(b);
	EVP_PKEY_free(key);
	return r;
}

/* The key is who this zipper is: made once, and then always this one. */
static int
own_key(EVP_PKEY **out)
{
	char path[PATH_MAX];
	struct tls_file f;
	int r;

	if ((r = tls_state_path(true, KEY_FILE, path)) != OK)
		return r;
	if ((r = tls_state_secret(path, &f)) == ERR_NONE &&
	    (r = write_key(path)) == OK)
		r = tls_state_secret(
		    path, &f); /* maybe another's, made first */
	if (r != OK)
		return r == ERR_NONE ? ERR_SYS : r;
	r = tls_cert_parse_key(path, &f, out);
	tls_file_fini(&f);
	return r;
}

static bool
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	if ((e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL)
		return false;
	ok = X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool
add_extensions(X509 *x, const char *host)
{
	char names[HOST_MAX + 64];

	snprintf(names, sizeof(names), "DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
	    host[0] != '\0' ? ",DNS:" : "", host);
	return add_extension(x, NID_subject_alt_name, names) &&
	       add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x, NID_subject_key_identifier, "hash");
}

static bool
set_serial(X509 *x)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *n;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* RFC 5280: positive */
	bytes[0] |= 0x40; /* and never zero */
	if ((n = BN_bin2bn(bytes, sizeof(bytes), NULL)) == NULL)
		return false;
	ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

static bool
fill(X509 *x, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x);
	time_t now = time(NULL);
	char host[HOST_MAX], cn[CN_MAX + 1];

	if (!host_name(host))
		host[0] = '\0';
	snprintf(cn, sizeof(cn), "%s", host[0] != '\0' ? host : "localhost");
	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		   (const uint8_t *)cn, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x, name) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(x), now - BEFORE) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(x), now + VALID) != NULL &&
	       X509_set_pubkey(x, key) == 1 && add_extensions(x, host) &&
	       X509_sign(x, key, EVP_sha256()) > 0;
}

static int
make_cert(EVP_PKEY *key, X509 **out)
{
	X509 *x = X509_new();

	if (x == NULL || !fill(x, key)) {
		tls_log("cannot make a certificate");
		X509_free(x);
		return ERR_TLS;
	}
	*out = x;
	return OK;
}

static int
write_cert(const char *path, X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	int r;

	if (b != NULL && PEM_write_bio_X509(b, x) == 1) {
		r = tls_file_replace(path, 0644, bio_view(b));
	} else {
		tls_log("cannot encode a certificate");
		r = ERR_TLS;
	}
	BIO_free(b);
	return r;
}

/* Parse the first certificate of f, or NULL: the caller knows a way out. */
static X509 *
parse_cert(const struct tls_file *f)
{
	BIO *b = BIO_new_mem_buf(f->p, (int)f->len);
	X509 *x = NULL;

	if (b != NULL)
		x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	ERR_clear_error();
	return x;
}

/* The certificate at path, if there is one for key; not its dates. */
static X509 *
read_cert(const char *path, const EVP_PKEY *key)
{
	struct tls_file f;
	X509 *x;

	if (tls_file_read(path, &f) != OK)
		return NULL;
	x = parse_cert(&f);
	tls_file_fini(&f);
	if (x != NULL && X509_check_private_key(x, key) != 1) {
		ERR_clear_error();
		X509_free(x);
		x = NULL;
	}
	return x;
}

/* Will x do for some time to come? */
static bool
is_fresh(X509 *x)
{
	time_t now = time(NULL);
	char host[HOST_MAX];

	return ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), now) <= 0 &&
	       ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), now + RENEW) > 0 &&
	       (!host_name(host) || X509_check_host(x, host, 0, 0, NULL) == 1);
}

static int
own_cert(EVP_PKEY *key, X509 **out)
{
	char path[PATH_MAX];
	X509 *old, *x;
	int r;

	if ((r = tls_state_path(true, CERT_FILE, path)) != OK)
		return r;
	old = read_cert(path, key);
	if (old != NULL && is_fresh(old)) {
		*out = old;
		return OK;
	}
	if ((r = make_cert(key, &x)) == OK) {
		r = write_cert(path, x);
		/* Clients know the key from the old one: that will do. */
		if (r == ERR_SYS && old != NULL)
			r = OK;
		if (r == OK)
			*out = x;
		else
			X509_free(x);
	}
	X509_free(old);
	return r;
}

/* When x is to be renewed; soon again, if it could not be. */
static time_t
renewal(const X509 *x)
{
	time_t now = time(NULL), at = now + TLS_OWN_RETRY;
	int days, seconds;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) == 1 &&
	    now + days * DAY + seconds - RENEW > at)
		at = now + days * DAY + seconds - RENEW;
	return at;
}

int
tls_own_load(struct tls_cert *out, time_t *renew_at)
{
	struct tls_cert c = {0};
	int r;

	if ((r = own_key(&c.key)) == OK)
		r = own_cert(c.key, &c.x);
	if (r != OK) {
		tls_cert_fini(&c);
		if (r == ERR_SYS)
			log_error("cannot keep a key of our own: set "
				  "STATE_DIRECTORY to a folder we may write "
				  "to, or pass --cert and --key");
		return r;
	}
	*renew_at = renewal(c.x);
	*out = c;
	return OK;
}

/* Does path hold a certificate with this pin, written by owner or root? */
static bool
holds(const char *path, uid_t owner, const uint8_t pin[TLS_PIN_BYTES])
{
	uint8_t have[TLS_PIN_BYTES];
	struct tls_file f;
	X509 *x = NULL;
	bool yes;

	if (tls_file_peek(path, &f) != OK)
		return false;
	if ((f.owner == 0 || f.owner == owner) &&
	    (f.mode & (S_IWGRP | S_IWOTH)) == 0)
		x = parse_cert(&f);
	tls_file_fini(&f);
	yes = x != NULL && tls_pin_of(x, have) == OK &&
	      CRYPTO_memcmp(have, pin, TLS_PIN_BYTES) == 0;
	X509_free(x);
	return yes;
}

bool
tls_own_is(const uint8_t pin[TLS_PIN_BYTES])
{
	char path[PATH_MAX];

	if (tls_state_path(false, CERT_FILE, path) == OK &&
	    holds(path, geteuid(), pin))
		return true;
	return holds(TLS_STATE_SYSTEM "/" CERT_FILE, 0, pin);
}
