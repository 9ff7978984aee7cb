/* SPDX-License-Identifier: ISC */
/*
 * Tokens are kept as keyed hashes only: what they are cannot be read from
 * memory without the key, and hashes compare in the same time whatever the
 * tokens' lengths.
 */
#include <stdlib.h>

#include <sodium.h>

#include "auth/auth.h"
#include "auth/secret.h"
#include "base/err.h"
#include "base/log.h"

#define METHOD "token"
#define HASH_BYTES crypto_generichash_BYTES
#define KEY_BYTES crypto_generichash_KEYBYTES

struct hash {
	uint8_t bytes[HASH_BYTES];
};

struct tokens {
	uint8_t *key; /* in locked memory */
	struct hash *hashes;
	size_t n;
	size_t cap;
};

int
tokens_new(struct tokens **out)
{
	struct tokens *t;

	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (t->key = sodium_malloc(KEY_BYTES)) == NULL) {
		tokens_free(t);
		return ERR_NOMEM;
	}
	crypto_generichash_keygen(t->key);
	*out = t;
	return OK;
}

void
tokens_free(struct tokens *t)
{
	if (t == NULL)
		return;
	sodium_free(t->key);
	free(t->hashes);
	free(t);
}

static struct hash
hash(const struct tokens *t, struct view payload)
{
	struct hash h;

	crypto_generichash(
	    h.bytes, HASH_BYTES, payload.p, payload.len, t->key, KEY_BYTES);
	return h;
}

static int
add_payload(struct tokens *t, struct view payload)
{
	struct hash *p;
	size_t cap;

	if (t->n == t->cap) {
		cap = t->cap > 0 ? t->cap * 2 : 8;
		p = reallocarray(t->hashes, cap, sizeof(*p));
		if (p == NULL)
			return ERR_NOMEM;
		t->hashes = p;
		t->cap = cap;
	}
	t->hashes[t->n++] = hash(t, payload);
	return OK;
}

/* Does v begin with the method's name, and a colon? */
static bool
has_method(struct view v)
{
	size_t len = sizeof(METHOD) - 1;

	return v.len > len && memcmp(v.p, METHOD ":", len + 1) == 0;
}

/* "token:SECRET" or "SECRET"; an empty one would let everybody in. */
static int
add_one(struct tokens *t, struct view v)
{
	size_t i;

	if (has_method(v))
		view_skip(&v, sizeof(METHOD));
	if (v.len == 0) {
		log_error("a token is empty");
		return ERR_BAD;
	}
	for (i = 0; i < v.len; i++) {
		if (v.p[i] >= 0x20 && v.p[i] != 0x7f)
			continue;
		log_error("a token holds a control character");
		return ERR_BAD;
	}
	return add_payload(t, v);
}

/* A token a line; empty lines and comments are left out. */
static int
add_lines(struct tokens *t, struct view rest)
{
	const uint8_t *nl;
	struct view line;
	int r = OK;

	while (r == OK && rest.len > 0) {
		nl = memchr(rest.p, '\n', rest.len);
		line = rest;
		if (nl != NULL)
			line.len = (size_t)(nl - rest.p);
		if (line.len > 0 && line.p[0] != '#')
			r = add_one(t, line);
		view_skip(&rest, line.len + (nl != NULL));
	}
	return r;
}

int
tokens_add(struct tokens *t, char *text)
{
	bool is_file = text[0] == '@';
	size_t before = t->n;
	struct secret s;
	struct view v;
	int r;

	if ((r = secret_take(&s, text)) != OK)
		return r;
	v = (struct view){s.p, s.len};
	r = is_file ? add_lines(t, v) : add_one(t, v);
	secret_fini(&s);
	if (r == OK && t->n == before) {
		/* No tokens at all would accept everybody. */
		log_error("a file of tokens holds none");
		r = ERR_BAD;
	}
	if (r != OK)
		t->n = before;
	return r;
}

size_t
tokens_count(const struct tokens *t)
{
	return t->n;
}

int
tokens_check(const struct tokens *t, struct view name, struct view payload)
{
	struct hash h;
	unsigned right = 0;
	size_t i;

	if (t->n == 0)
		return OK;
	if (name.len > 0 && !view_equal(name, view_of(METHOD)))
		return ERR_NONE;
	h = hash(t, payload);
	/* All of them, so that the time does not tell which was right. */
	for (i = 0; i < t->n; i++)
		right |=
		    sodium_memcmp(h.bytes, t->hashes[i].bytes, HASH_BYTES) == 0;
	return right != 0 ? OK : ERR_AUTH;
}
