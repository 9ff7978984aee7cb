/* SPDX-License-Identifier: ISC */
/* Small files, read whole and written whole: keys and certificates. */
#ifndef TLS_FILE_H
#define TLS_FILE_H

#include <sys/types.h>

#include "base/view.h"

struct tls_file {
	uint8_t *p; /* len bytes, then a NUL */
	size_t len;
	uid_t owner;
	mode_t mode;
};

/*
 * Read path, at most TLS_FILE_MAX bytes, and own what was read.
 *
 * ERR_NONE  there is no such file: not said in the log
 * ERR_SYS, ERR_LIMIT, ERR_NOMEM
 */
#define TLS_FILE_MAX (1u << 20)
int tls_file_read(const char *path, struct tls_file *out);

/* The same without a word: whatever cannot be read is ERR_NONE. */
int tls_file_peek(const char *path, struct tls_file *out);

/* Wipe and free what was read. */
void tls_file_fini(struct tls_file *f);

/*
 * Make path hold bytes, at once and for good: whoever reads it sees all of
 * them or none.  A file that is already there stays as it is (OK): of several
 * programs that start together the first wins.  ERR_SYS.
 */
int tls_file_create(const char *path, mode_t mode, struct view bytes);

/* The same, but in the place of a file that is already there. */
int tls_file_replace(const char *path, mode_t mode, struct view bytes);

#endif /* TLS_FILE_H */
