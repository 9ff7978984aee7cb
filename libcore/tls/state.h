/* SPDX-License-Identifier: ISC */
/* Files of the state folder; the folder itself is in tls/tls.h. */
#ifndef TLS_STATE_H
#define TLS_STATE_H

#include <limits.h>

#include "tls/tls.h"

/* Where a zipper that runs as root keeps its state. */
#define TLS_STATE_SYSTEM "/var/lib/yomo"

/* The path of a file in the state folder, which is made if make is set.
 * ERR_SYS. */
int tls_state_path(bool make, const char *name, char out[PATH_MAX]);

struct tls_file;
/*
 * Read a secret: ERR_BAD, said in the log, if it belongs to another user or
 * others may get at it.  Fails as tls_file_read().
 */
int tls_state_secret(const char *path, struct tls_file *out);

#endif /* TLS_STATE_H */
