/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <string.h>

#include "route/taghash.h"

_Static_assert(sizeof(((struct taghash *)0)->key) == crypto_shorthash_KEYBYTES,
    "the key is crypto_shorthash()'s");

void
taghash_init(struct taghash *h)
{
	randombytes_buf(h->key, sizeof(h->key));
}

unsigned
taghash_of_pair(const struct taghash *h, const void *whose, uint32_t tag)
{
	unsigned char in[sizeof(tag) + sizeof(whose)];
	unsigned char out[crypto_shorthash_BYTES];
	unsigned hash;

	memcpy(in, &tag, sizeof(tag));
	memcpy(in + sizeof(tag), &whose, sizeof(whose));
	crypto_shorthash(out, in, sizeof(in), h->key);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

unsigned
taghash_of(const struct taghash *h, uint32_t tag)
{
	return taghash_of_pair(h, NULL, tag);
}
