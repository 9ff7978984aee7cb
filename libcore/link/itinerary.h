/* SPDX-License-Identifier: ISC */
/*
 * Which zipper a client tries next, at which of its addresses, and how long it
 * rests when it has tried all of them.  Pure: no I/O, no clock.
 */
#ifndef LINK_ITINERARY_H
#define LINK_ITINERARY_H

#include "base/addr.h"
#include "base/view.h"
#include "conf/values.h"

#define ITINERARY_ADDRS 16
#define ITINERARY_NAME 300
/* A zipper may send us to another, that one to a third, so often. */
#define ITINERARY_HOPS 5

struct itinerary {
	const struct endpoint *zippers; /* borrowed */
	size_t n_zippers;
	size_t at; /* of zippers */
	struct addr addrs[ITINERARY_ADDRS];
	size_t n_addrs;
	size_t addr;		   /* the next to try */
	struct endpoint elsewhere; /* where a zipper has sent us */
	bool is_elsewhere;
	unsigned hops;
	uint64_t backoff;	   /* ns */
	char name[ITINERARY_NAME]; /* what people call the zipper visited */
};

/* Begin at the first of n zippers; n is 0 where there are none to find. */
void itinerary_init(
    struct itinerary *t, const struct endpoint *zippers, size_t n);
void itinerary_fini(struct itinerary *t);

/* The zipper that is tried now; itinerary_visit() gives its name to t->name. */
const struct endpoint *itinerary_zipper(const struct itinerary *t);
const struct endpoint *itinerary_visit(struct itinerary *t);

/* Its addresses are known: these n, as many as there is room for. */
void itinerary_found(struct itinerary *t, const struct addr *v, size_t n);

/* The next of them; NULL: all were tried, or they are not known yet. */
const struct addr *itinerary_addr(struct itinerary *t);
bool itinerary_has_addr(const struct itinerary *t);

/* On to the next zipper.  False: there is none, begin again after a rest. */
bool itinerary_advance(struct itinerary *t);

/*
 * Begin at the first zipper again, after a rest whose length is returned, in
 * ns: none the first time, then ever longer ones, up to half of each left out
 * by chance (r is random): a thousand clients do not come as one.
 */
uint64_t itinerary_rest(struct itinerary *t, uint64_t r);

/* The present zipper has taken us. */
void itinerary_arrived(struct itinerary *t);

/* It kept us for a good while: the next rest is none again. */
void itinerary_rested(struct itinerary *t);

/*
 * The present zipper sends us to the one called text.
 *
 * ERR_LIMIT  too many did so, one after the other
 * ERR_BAD    that is no address, or the path of a socket
 * ERR_NOMEM
 */
int itinerary_redirect(struct itinerary *t, const char *text);

#endif /* LINK_ITINERARY_H */
