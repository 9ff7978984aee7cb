/* SPDX-License-Identifier: ISC */
/*
 * Tags as keys of hash tables.  The peers choose them, so the hash has a key
 * that keeps them from piling up; and uthash is told to fail softly: without
 * memory the new entry's hh.tbl is NULL.
 */
#ifndef ROUTE_TAGHASH_H
#define ROUTE_TAGHASH_H

#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct taghash {
	unsigned char key[16];
};

void taghash_init(struct taghash *h);
unsigned taghash_of(const struct taghash *h, uint32_t tag);
/* Of a tag that belongs to somebody. */
unsigned taghash_of_pair(
    const struct taghash *h, const void *whose, uint32_t tag);

#endif /* ROUTE_TAGHASH_H */
