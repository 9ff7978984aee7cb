/* SPDX-License-Identifier: ISC */
/*
 * Who waits when messages have filled --memory.  A quarter of it is kept for
 * what peers may send ahead; the rest full, those who send are parked.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "zipper.h"

/* Messages may take no more: who has some to route is to be parked. */
bool memory_is_full(const struct zipper *z);

/* The part kept for what peers send ahead, in bytes. */
uint64_t memory_kept(const struct zipper_conf *conf);

/* Keep n bytes of that for what a peer may send ahead; false: all is lent. */
bool memory_lend(struct zipper *z, size_t n);
void memory_return(struct zipper *z, size_t n);

/* p waits for memory, in z->parked; or no longer: it is resumed. */
void memory_park(struct zipper *z, struct peer *p);
void memory_unpark(struct zipper *z, struct peer *p);

/* Resume those who wait, if there is memory again. */
void memory_release(struct zipper *z);

/* Once a second: end what would wait for ever. */
void memory_tick(struct zipper *z, uint64_t now);

#endif /* MEMORY_H */
