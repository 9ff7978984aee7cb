/* SPDX-License-Identifier: ISC */
/*
 * The messages of a group that are under way to the function or to standard
 * output: each is taken when it has left us.
 */
#ifndef TAKEN_H
#define TAKEN_H

#include "base/buf.h"
#include "link/client.h"

/* Zero-initialised. */
struct taken {
	struct buf queue; /* of struct taken_one, the oldest first */
	uint64_t left;	  /* bytes that have left us, ever */
};

void taken_fini(struct taken *t);

/*
 * Within data() of c: this message goes behind waiting bytes, its own included,
 * that have not left us yet.  Without memory it counts as taken.
 */
void taken_note(struct taken *t, struct client *c, size_t waiting);

/* n bytes more have left us, or never will. */
void taken_gone(struct taken *t, size_t n);

#endif /* TAKEN_H */
