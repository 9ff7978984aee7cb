/* SPDX-License-Identifier: ISC */
/* Unobserved messages, the newest of them kept for a first observer. */
#ifndef ROUTE_HOLD_H
#define ROUTE_HOLD_H

#include "route/router.h"

struct hold;

/* Keep at most bytes (0: nothing), each for at most ns (0: for ever). */
int hold_new(struct hold **out, uint64_t bytes, uint64_t ns);
void hold_free(struct hold *h);

/* Keep a copy of the run; the oldest make room.  False: it was not kept. */
bool hold_put(struct hold *h, const struct run *run, uint64_t now);

struct hold_taker {
	uint32_t tag;
	const char *target; /* NULL: wants only what is for everybody */
	/* A run, valid during the call; its target is not set. */
	void (*take)(void *arg, const struct run *run);
	void *arg;
};

/* Hand over all there is for t, the oldest first; it is kept no longer. */
void hold_take(struct hold *h, const struct hold_taker *t, uint64_t now);

#endif /* ROUTE_HOLD_H */
