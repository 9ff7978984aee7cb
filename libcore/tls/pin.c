/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "tls/pin.h"

#define PREFIX "sha256//"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define BASE64_LEN (TLS_PIN_TEXT - 1 - PREFIX_LEN)

int
tls_pin_of(const X509 *x, uint8_t out[TLS_PIN_BYTES])
{
	uint8_t *der = NULL;
	int len, ok;

	if ((len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der)) <= 0) {
		tls_log("cannot encode a public key");
		return ERR_TLS;
	}
	ok = EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	if (!ok)
		tls_log("cannot hash a public key");
	return ok ? OK : ERR_TLS;
}

const char *
tls_pin_text(const uint8_t pin[TLS_PIN_BYTES], char out[TLS_PIN_TEXT])
{
	memcpy(out, PREFIX, PREFIX_LEN);
	EVP_EncodeBlock((uint8_t *)out + PREFIX_LEN, pin, TLS_PIN_BYTES);
	return out;
}

int
tls_pin_parse(const char *text, uint8_t out[TLS_PIN_BYTES])
{
	uint8_t bytes[TLS_PIN_BYTES + 1]; /* the padding decodes to a byte */
	char again[TLS_PIN_TEXT];

	if (strlen(text) != TLS_PIN_TEXT - 1)
		return ERR_BAD;
	if (EVP_DecodeBlock(bytes, (const uint8_t *)text + PREFIX_LEN,
		BASE64_LEN) != (int)sizeof(bytes))
		return ERR_BAD;
	/* The decoder forgives much: one pin has one spelling. */
	if (strcmp(tls_pin_text(bytes, again), text) != 0)
		return ERR_BAD;
	memcpy(out, bytes, TLS_PIN_BYTES);
	return OK;
}
