/* SPDX-License-Identifier: ISC */
/* How large a datagram may be, and paths that stop taking large ones. */
#ifndef QUIC_MTU_H
#define QUIC_MTU_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>
#include <stdint.h>

struct quic;

struct quic_mtu {
	size_t limit; /* no packet is written longer than this; 0: as found */
};

/* What to probe for and send at most, if our socket holds payload_max. */
void quic_mtu_settings(ngtcp2_settings *st, size_t payload_max);

/* The transport parameter max_udp_payload_size for such a socket. */
size_t quic_mtu_advertised(size_t payload_max);

/* How long a full packet on the current path is now. */
size_t quic_mtu_payload(const struct quic *q);

/* Up to how long the next packet may be, in a buffer of cap bytes. */
size_t quic_mtu_room(const struct quic *q, size_t cap);

#endif /* QUIC_MTU_H */
