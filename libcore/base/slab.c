/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>

#include "base/slab.h"

static size_t total;

struct slab *
slab_new(size_t cap)
{
	struct slab *s;

	if (cap > SIZE_MAX - sizeof(*s))
		return NULL;
	if ((s = malloc(sizeof(*s) + cap)) == NULL)
		return NULL;
	s->cap = cap;
	s->len = 0;
	s->refs = 1;
	s->next = NULL;
	total += cap;
	return s;
}

struct slab *
slab_ref(struct slab *s)
{
	assert(s->refs > 0 && s->refs < UINT32_MAX);
	s->refs++;
	return s;
}

void
slab_unref(struct slab *s)
{
	if (s == NULL)
		return;
	assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	total -= s->cap;
	free(s);
}

void
slab_count(size_t n)
{
	total += n;
}

void
slab_uncount(size_t n)
{
	assert(n <= total);
	total -= n;
}

size_t
slab_total(void)
{
	return total;
}
