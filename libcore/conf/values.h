/* SPDX-License-Identifier: ISC */
/* Values as people write them in options and configuration files.  Pure. */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tag.h"

/* Decimal, or hexadecimal after 0x, the whole of text; ERR_BAD. */
int values_u32(const char *text, uint32_t *out);

/* 4096, 64K, 1M, 2G, 1T: powers of 1024, in either case; ERR_BAD. */
int values_size(const char *text, uint64_t *out);

/*
 * What the word "forever" means as a duration: 292 years.  No duration is
 * longer, so that adding one to a time never wraps.
 */
#define VALUES_FOREVER ((uint64_t)INT64_MAX)

/*
 * 100us, 500ms, 10s, 5m, 1h, 2d; a bare number is seconds; decimals are fine
 * (0.5); "forever".  In ns; ERR_BAD.
 */
int values_duration(const char *text, uint64_t *out);

/* A set of tags: sorted ranges that neither touch nor overlap. */
struct tag_set {
	struct tag_range *v;
	size_t n;
};

/*
 * "0x33", "1,2,0x30-0x3f": add what text lists to the set, or nothing.
 *
 * ERR_BAD   not a list of tags, or a range that runs backwards
 * ERR_NOMEM
 */
int tag_set_add(struct tag_set *s, const char *text);
bool tag_set_has(const struct tag_set *s, uint32_t tag);
/* How many tags it holds, saturating at SIZE_MAX. */
size_t tag_set_count(const struct tag_set *s);
/* The i-th tag, in ascending order; i is under the count. */
uint32_t tag_set_at(const struct tag_set *s, size_t i);
void tag_set_fini(struct tag_set *s);

/* Where a zipper is. */
struct endpoint {
	char *path; /* of a unix socket; else NULL, and: */
	char
	    *host; /* name or address without brackets; "" in a listener: any */
	uint16_t port;
};

#define ENDPOINT_PORT 9000

/* HOST, HOST:PORT, [V6], [V6]:PORT, V6, :PORT, unix:PATH; ERR_BAD, ERR_NOMEM.
 */
int endpoint_parse(const char *text, struct endpoint *out);
void endpoint_fini(struct endpoint *e);

#endif /* CONF_VALUES_H */
