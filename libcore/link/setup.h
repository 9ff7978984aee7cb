/* SPDX-License-Identifier: ISC */
/* From the options that clients have in common to what a client needs. */
#ifndef LINK_SETUP_H
#define LINK_SETUP_H

#include "auth/auth.h"
#include "conf/common.h"
#include "link/client.h"

struct setup {
	struct endpoint *zippers; /* -z, or $YOMO_ZIPPER */
	size_t n_zippers;
	struct tls *tls;	       /* NULL on the pipe link */
	struct credential *credential; /* -d, or $YOMO_CREDENTIAL */
	char id[AUTH_ID_SIZE + 1];
};

/*
 * Read the environment, credentials and certificates, as far as a zipper is
 * named.  On failure, said in the log, *status is the exit code.
 */
int setup_client(struct setup *s, const struct common_conf *conf, int *status);
void setup_fini(struct setup *s);

/* What all clients of a program have in common. */
void setup_fill(const struct setup *s, const struct common_conf *conf,
    struct client_conf *out);

#endif /* LINK_SETUP_H */
