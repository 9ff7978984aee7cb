/* SPDX-License-Identifier: ISC */
/* The certificate a zipper makes for itself, kept in the state folder. */
#ifndef TLS_OWN_H
#define TLS_OWN_H

#include <time.h>

#include "tls/cert.h"
#include "tls/tls.h"

/*
 * Read the self-made certificate from the state folder.  The key is made when
 * there is none; the certificate when there is none, when it is not this key's,
 * when it soon ends, or when the host has another name by now.  *renew_at says
 * when to call this again.
 *
 * ERR_SYS, ERR_BAD (a key file others may read, or that holds none), ERR_TLS,
 * ERR_NOMEM
 */
/* When to try again what failed, s. */
#define TLS_OWN_RETRY ((time_t)60 * 60)
int tls_own_load(struct tls_cert *out, time_t *renew_at);

/*
 * Is pin that of a zipper on this machine whom we trust: of the certificate in
 * our own state folder, or of root's?  Files that others may write do not
 * count.  Reads the files each time: the zipper may have started after us.
 */
bool tls_own_is(const uint8_t pin[TLS_PIN_BYTES]);

#endif /* TLS_OWN_H */
