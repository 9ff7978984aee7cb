/* SPDX-License-Identifier: ISC */
/* What stands behind an SSL_CTX: it lives as long as any SSL made from it. */
#ifndef TLS_CTX_H
#define TLS_CTX_H

#include <time.h>

#include <openssl/ssl.h>

#include "tls/tls.h"

struct tls {
	SSL_CTX *ctx; /* owns this struct */
	bool server;
	bool insecure;
	bool ca;	 /* --ca: a pin is not enough */
	bool system_cas; /* still to be loaded when first needed */
	time_t renew_at; /* of the self-made certificate; 0: never */
	uint8_t *pins;	 /* n_pins times TLS_PIN_BYTES */
	size_t n_pins;
	char pin[TLS_PIN_TEXT];
};

/* Have peers of ctx's connections verified as t says.  ERR_NOMEM. */
int tls_verify_init(struct tls *t);

#endif /* TLS_CTX_H */
