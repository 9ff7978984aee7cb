/* SPDX-License-Identifier: ISC */
/* Any bytes as metadata: a walk ends, stays within, and can be written. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/meta.h"

/* So that the quadratic part stays quick. */
#define PAIRS_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* The last value of a key is the one that is found. */
static void
check_find(struct view meta, const struct meta_pair *pairs, size_t n)
{
	struct view want = pairs[0].value, got;
	char *key;
	size_t i;

	if (memchr(pairs[0].key.p, '\0', pairs[0].key.len) != NULL)
		return; /* no C string can ask for it */
	for (i = 1; i < n; i++)
		if (view_equal(pairs[i].key, pairs[0].key))
			want = pairs[i].value;
	key = strndup((const char *)pairs[0].key.p, pairs[0].key.len);
	assert(key != NULL);
	assert(meta_find(meta, key, &got) == OK);
	assert(got.p == want.p && got.len == want.len);
	free(key);
}

static void
check_put(const struct meta_pair *pairs, size_t n)
{
	size_t i, size = meta_size(pairs, n);
	struct meta_walk walk;
	struct meta_pair pair;
	uint8_t *p;

	assert((p = malloc(size + 1)) != NULL);
	assert(meta_put(p, pairs, n) == p + size);
	assert(meta_start((struct view){p, size}, &walk) == OK);
	for (i = 0; i < n; i++) {
		assert(meta_next(&walk, &pair) == OK);
		assert(view_equal(pair.key, pairs[i].key));
		assert(view_equal(pair.value, pairs[i].value));
	}
	assert(meta_next(&walk, &pair) == ERR_NONE && walk.in.len == 0);
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view meta = {p, len}, value;
	struct meta_pair pairs[PAIRS_MAX];
	struct meta_walk walk;
	size_t n = 0;
	int r;

	if (meta_start(meta, &walk) != OK) {
		assert(meta_check(meta) == ERR_BAD);
		return 0;
	}
	while (n < PAIRS_MAX && (r = meta_next(&walk, &pairs[n])) == OK) {
		assert(pairs[n].key.p > p);
		assert(pairs[n].key.p + pairs[n].key.len < pairs[n].value.p);
		assert(pairs[n].value.p + pairs[n].value.len == walk.in.p);
		assert(walk.in.p + walk.in.len == p + len);
		n++;
	}
	if (n == PAIRS_MAX)
		return 0;
	assert(meta_check(meta) == (r == ERR_NONE ? OK : ERR_BAD));
	if (r != ERR_NONE) {
		assert(meta_find(meta, META_TARGET, &value) == ERR_BAD);
		return 0;
	}
	if (n > 0)
		check_find(meta, pairs, n);
	check_put(pairs, n);
	return 0;
}
