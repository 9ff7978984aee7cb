/* SPDX-License-Identifier: ISC */
/*
 * Credentials ("token:SECRET") and identifiers.
 *
 * Secrets are kept in locked memory, wiped when freed, compared in constant
 * time, and never written to a log.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/view.h"

/* Call once before anything else here; ERR_SYS. */
int auth_init(void);

struct credential; /* what a client shows: a name and a payload */

/*
 * Parse "name:payload", cut at the first ':' and not trimmed; without a ':'
 * the name is empty.  "@FILE" is read from FILE, one newline at its end taken
 * off (said in the log: ERR_SYS; ERR_BAD: a file others may read, or empty).
 * text is wiped, so that it no longer shows in the process list.
 */
int credential_new(struct credential **out, char *text);
void credential_free(struct credential *c);
struct view credential_name(const struct credential *c);
struct view credential_payload(const struct credential *c);

struct tokens; /* what a zipper accepts: any of several tokens */

int tokens_new(struct tokens **out);
void tokens_free(struct tokens *t);
/* Accept one more: "token:SECRET", "SECRET" or "@FILE", a token a line, empty
 * lines and lines that begin with # left out.  text is wiped. */
int tokens_add(struct tokens *t, char *text);
size_t tokens_count(const struct tokens *t);

/*
 * OK if name and payload are right: no tokens at all accept everybody.
 * ERR_NONE  no method of that name ("" means "token")
 * ERR_AUTH  wrong payload
 */
int tokens_check(const struct tokens *t, struct view name, struct view payload);

/*
 * One generator of random bytes serves the process: what follows is not for
 * several threads, and a fork repeats its parent's.
 *
 * A nanoid: AUTH_ID_SIZE characters of A-Z a-z 0-9 _ -, then a NUL.
 */
#define AUTH_ID_SIZE 21
void auth_id(char out[AUTH_ID_SIZE + 1]);

/* n bytes of a fast generator seeded from the system. */
void auth_random(void *p, size_t n);

/*
 * The same, for one id a message: from a buffer of random bytes, so that it
 * costs no system call; 21 characters at p, no NUL.
 */
void auth_id_put(uint8_t *p);

#endif /* AUTH_AUTH_H */
