/* SPDX-License-Identifier: ISC */
/*
 * Memory that runs out where a test wants it to.
 *
 * Every unit is linked with malloc, calloc and realloc wrapped (see the
 * Makefile), which covers our code and whatever comes in a static archive; a
 * shared library's own allocations go on as they were.
 *
 *	for (n = 1; hit; n++) {
 *		faults_at(n);
 *		r = x_new(&x);
 *		hit = faults_hit();
 *		faults_off();
 *		assert_int_equal(r, hit ? ERR_NOMEM : OK);
 *		...
 *	}
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/* Let the n-th allocation from now fail: 1 is the next.  Only that one. */
void faults_at(size_t n);

/* Let none fail from now on. */
void faults_off(void);

/* Whether an allocation has failed since faults_at(). */
bool faults_hit(void);

#endif /* FAULTS_H */
