/* SPDX-License-Identifier: ISC */
/* Pins: the SHA-256 of a public key (SPKI), as curl and RFC 7469 have it. */
#ifndef TLS_PIN_H
#define TLS_PIN_H

#include <openssl/types.h>

#include "tls/tls.h"

/* The pin of x's key; ERR_TLS. */
int tls_pin_of(const X509 *x, uint8_t out[TLS_PIN_BYTES]);

/* "sha256//" and base64, in out, which is returned. */
const char *tls_pin_text(
    const uint8_t pin[TLS_PIN_BYTES], char out[TLS_PIN_TEXT]);

/* The reverse; ERR_BAD. */
int tls_pin_parse(const char *text, uint8_t out[TLS_PIN_BYTES]);

#endif /* TLS_PIN_H */
