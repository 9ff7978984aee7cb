/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "quic/crowd.h"

_Static_assert(
    sizeof(((struct quic_crowds *)0)->hash_key) == crypto_shorthash_KEYBYTES,
    "the key is crypto_shorthash()'s");

void
quic_crowd_init(struct quic_crowds *t)
{
	t->table = NULL;
	randombytes_buf(t->hash_key, sizeof(t->hash_key));
}

/* An IPv4 address as IPv4-mapped; of an IPv6 one what one customer has. */
static void
get_key(const struct addr *peer, uint8_t key[16])
{
	const struct in6_addr *v6 = &peer->in6.sin6_addr;

	memset(key, 0, 16);
	if (peer->sa.sa_family == AF_INET) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &peer->in4.sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(v6)) {
		memcpy(key, v6, 16);
	} else {
		memcpy(key, v6, 8);
	}
}

static unsigned
hash(const struct quic_crowds *t, const uint8_t key[16])
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned h;

	crypto_shorthash(out, key, 16, t->hash_key);
	memcpy(&h, out, sizeof(h));
	return h;
}

static struct quic_crowd *
find(const struct quic_crowds *t, const uint8_t key[16])
{
	struct quic_crowd *c;

	HASH_FIND_BYHASHVALUE(hh, t->table, key, 16, hash(t, key), c);
	return c;
}

size_t
quic_crowd_count(const struct quic_crowds *t, const struct addr *peer)
{
	struct quic_crowd *c;
	uint8_t key[16];

	get_key(peer, key);
	c = find(t, key);
	return c != NULL ? c->count : 0;
}

int
quic_crowd_join(
    struct quic_crowds *t, const struct addr *peer, struct quic_crowd **out)
{
	struct quic_crowd *c;
	uint8_t key[16];

	get_key(peer, key);
	if ((c = find(t, key)) == NULL) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return ERR_NOMEM;
		memcpy(c->key, key, sizeof(key));
		HASH_ADD_KEYPTR_BYHASHVALUE(
		    hh, t->table, c->key, 16, hash(t, key), c);
		if (c->hh.tbl == NULL) {
			free(c);
			return ERR_NOMEM;
		}
	}
	c->count++;
	*out = c;
	return OK;
}

void
quic_crowd_leave(struct quic_crowds *t, struct quic_crowd *c)
{
	if (--c->count > 0)
		return;
	HASH_DELETE(hh, t->table, c);
	free(c);
}
