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

/*
 * Take out the oldest run of tag that is for everybody or for target (NULL:
 * none).  Its slab's reference is the caller's; its target is not set.
 */
bool hold_take(struct hold *h, uint32_t tag, const char *target, uint64_t now,
    struct run *out);

#endif /* ROUTE_HOLD_H */
