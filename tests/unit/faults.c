/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "faults.h"

/* The names that ld --wrap gives: callers of malloc() come to __wrap_malloc(),
 * and __real_malloc() is the C library's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static size_t left; /* allocations until one fails; 0: none will */
static bool hit;

static bool
fails(void)
{
	if (left == 0 || --left > 0)
		return false;
	hit = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void
faults_at(size_t n)
{
	left = n;
	hit = false;
}

void
faults_off(void)
{
	left = 0;
}

bool
faults_hit(void)
{
	return hit;
}
