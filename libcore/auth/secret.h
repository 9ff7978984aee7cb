/* SPDX-License-Identifier: ISC */
/* Secrets as they come in: in an argument, or in a file it names. */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include "base/view.h"

/* Bytes in locked memory, wiped when freed. */
struct secret {
	uint8_t *p;
	size_t len;
};

/*
 * Own what text says, or what is in FILE if it is "@FILE", and wipe text.
 * Failures are said in the log.
 *
 * ERR_BAD  empty, over SECRET_MAX bytes, or in a file that others may read
 * ERR_SYS, ERR_NOMEM
 */
#define SECRET_MAX (256u << 10)
int secret_take(struct secret *out, char *text);
void secret_fini(struct secret *s);

#endif /* AUTH_SECRET_H */
