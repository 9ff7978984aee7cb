/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "quic/cid.h"

void
quic_cid_init(struct quic_cids *t)
{
	t->table = NULL;
	randombytes_buf(t->key, sizeof(t->key));
}

static unsigned
hash(const struct quic_cids *t, const uint8_t *p, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned h;

	crypto_shorthash(out, p, len, t->key);
	memcpy(&h, out, sizeof(h));
	return h;
}

struct quic_cid *
quic_cid_find(const struct quic_cids *t, const uint8_t *p, size_t len)
{
	struct quic_cid *c;

	HASH_FIND_BYHASHVALUE(
	    hh, t->table, p, (unsigned)len, hash(t, p, len), c);
	return c;
}

int
quic_cid_add(
    struct quic_cids *t, const uint8_t *p, size_t len, struct quic_cid **out)
{
	struct quic_cid *c;

	if (len > NGTCP2_MAX_CIDLEN || quic_cid_find(t, p, len) != NULL)
		return ERR_LIMIT;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ERR_NOMEM;
	memcpy(c->bytes, p, len);
	c->len = (uint8_t)len;
	HASH_ADD_KEYPTR_BYHASHVALUE(
	    hh, t->table, c->bytes, len, hash(t, p, len), c);
	if (c->hh.tbl == NULL) {
		free(c);
		return ERR_NOMEM;
	}
	*out = c;
	return OK;
}

void
quic_cid_free(struct quic_cids *t, struct quic_cid *c)
{
	HASH_DELETE(hh, t->table, c);
	free(c);
}
