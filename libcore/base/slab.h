/* SPDX-License-Identifier: ISC */
/*
 * Reference-counted blocks of bytes: what a message lives in from the moment
 * it is received until the last observer has acknowledged it.
 *
 * One owner fills a slab at its end; everybody else shares ranges of what has
 * been filled, which never changes and never moves.  Not for several threads.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
	size_t cap;
	size_t len; /* bytes filled */
	uint32_t refs;
	struct slab *next; /* for its owner: the slab filled after it */
	uint8_t data[];
};

/* An empty slab with one reference, or NULL: out of memory. */
struct slab *slab_new(size_t cap);

struct slab *slab_ref(struct slab *s);
/* Drop a reference; the last one frees.  NULL is nothing. */
void slab_unref(struct slab *s);

/* n bytes were allocated beside slabs, or freed, that count as theirs. */
void slab_count(size_t n);
void slab_uncount(size_t n);

/*
 * The capacity of all slabs alive, in bytes, and what was counted besides:
 * what --memory is held against.
 */
size_t slab_total(void);

#endif /* BASE_SLAB_H */
