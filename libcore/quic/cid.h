/* SPDX-License-Identifier: ISC */
/*
 * A table of connection ids.  Peers choose some of them, so the hash is keyed:
 * nobody can aim at one bucket.
 */
#ifndef QUIC_CID_H
#define QUIC_CID_H

#include <ngtcp2/ngtcp2.h>
#include <sodium.h>

#include "quic/hash.h"

/* The length of those we give out, in bytes. */
#define QUIC_CID_BYTES 16

struct quic;
struct quic_grave;

/* Owned by a connection or a grave, in a list of its own. */
struct quic_cid {
	UT_hash_handle hh;
	struct quic_cid *next;
	struct quic *quic;	  /* where it leads, or */
	struct quic_grave *grave; /* where its connection was buried */
	uint8_t len;
	uint8_t bytes[NGTCP2_MAX_CIDLEN];
};

struct quic_cids {
	struct quic_cid *table;
	uint8_t key[crypto_shorthash_KEYBYTES];
};

void quic_cid_init(struct quic_cids *t);

/* A new entry; ERR_NOMEM, or ERR_LIMIT: it is there, leading elsewhere. */
int quic_cid_add(
    struct quic_cids *t, const uint8_t *p, size_t len, struct quic_cid **out);
struct quic_cid *quic_cid_find(
    const struct quic_cids *t, const uint8_t *p, size_t len);
/* Takes c out of the table and frees it. */
void quic_cid_free(struct quic_cids *t, struct quic_cid *c);

#endif /* QUIC_CID_H */
