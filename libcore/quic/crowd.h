/* SPDX-License-Identifier: ISC */
/* How many connections come from where: an IPv4 address, or an IPv6 /64. */
#ifndef QUIC_CROWD_H
#define QUIC_CROWD_H

#include "base/addr.h"
#include "quic/hash.h"

struct quic_crowd {
	UT_hash_handle hh;
	uint8_t key[16];
	size_t count;
};

struct quic_crowds {
	struct quic_crowd *table;
	uint8_t hash_key[16];
};

void quic_crowd_init(struct quic_crowds *t);

size_t quic_crowd_count(const struct quic_crowds *t, const struct addr *peer);

/* One more from there; *out is for quic_crowd_leave().  ERR_NOMEM. */
int quic_crowd_join(
    struct quic_crowds *t, const struct addr *peer, struct quic_crowd **out);
void quic_crowd_leave(struct quic_crowds *t, struct quic_crowd *c);

#endif /* QUIC_CROWD_H */
