/* SPDX-License-Identifier: ISC */
/*
 * Metadata of a Data frame: a msgpack map from string to string.
 *
 * Pure, no allocation.  Reads what Go YoMo's decoder accepts (nothing at all,
 * nil, fixmap, map16, map32; str or bin keys and values, a nil value is "";
 * bytes after the map are ignored); writes the shortest forms.
 */
#ifndef WIRE_META_H
#define WIRE_META_H

#include "base/view.h"

#define META_SOURCE_ID "yomo-source-id"
#define META_TID "yomo-tid"
#define META_TARGET "yomo-target"
#define META_SESSION "yomo-session"	    /* proto/session.h */
#define META_SESSION_END "yomo-session-end" /* proto/session.h */

struct meta_pair {
	struct view key;
	struct view value;
};

/* Where a walk over the pairs stands; meta_start() fills it. */
struct meta_walk {
	struct view in;
	uint32_t left; /* pairs not yet read */
};

/* Begin a walk over meta; ERR_BAD: not a map. */
int meta_start(struct view meta, struct meta_walk *w);

/*
 * Read the next pair.
 *
 * ERR_NONE  there are no more
 * ERR_BAD   the bytes end early, or a key or value is not a string
 */
int meta_next(struct meta_walk *w, struct meta_pair *out);

/* OK if all of meta can be walked, else ERR_BAD. */
int meta_check(struct view meta);

/*
 * Find the value of key, the last one of several; ERR_NONE.  All of meta is
 * walked, so that this is meta_check() too; ERR_BAD.
 */
int meta_find(struct view meta, const char *key, struct view *value);

/* The values of the keys that zippers look at; empty: not there. */
struct meta_known {
	struct view target;
	struct view session;
	struct view session_end;
};

/* meta_find() for each of them, in one walk; ERR_BAD: none is set. */
int meta_read(struct view meta, struct meta_known *out);

/*
 * Write n pairs as a map: its size, then the bytes at p, which has room.  No
 * pairs are no bytes, as Go has it.
 */
size_t meta_size(const struct meta_pair *pairs, size_t n);
uint8_t *meta_put(uint8_t *p, const struct meta_pair *pairs, size_t n);

#endif /* WIRE_META_H */
