/* SPDX-License-Identifier: ISC */
/*
 * Chance that can be had again: the same seed gives the same numbers.
 *
 *	for (seed = 1; seed <= 100; seed++) {
 *		chance_begin(seed);
 *		...
 *		chance_end();
 *	}
 *
 * with chance_teardown() as the test's teardown, which names the seed with
 * which it failed.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void chance_begin(uint64_t seed);
void chance_end(void);
int chance_teardown(void **state);

/* 0 to n - 1; n is not 0. */
size_t chance_below(size_t n);
/* first to last. */
size_t chance_between(size_t first, size_t last);
/* True once in n times. */
bool chance_once_in(size_t n);

#endif /* CHANCE_H */
