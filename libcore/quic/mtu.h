/* SPDX-License-Identifier: ISC */
/*
 * How long packets may be, and paths that stop taking long ones.
 *
 * ngtcp2 probes a path upward when it is new, and then believes in what it has
 * found for ever.  A route that changes to a smaller MTU without a word would
 * swallow every full packet: RFC 8899 calls that a black hole.  ngtcp2 has no
 * call to lower its size, but it never writes more than the buffer it is given.
 * So here is a limit for that buffer: it falls to the minimum when nothing
 * long has been acknowledged for two probe time-outs in a row, and climbs again
 * by single long packets of real data.
 */
#ifndef QUIC_MTU_H
#define QUIC_MTU_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quic;

struct quic_mtu {
	uint64_t carried; /* bytes of streams ever put into packets */
	size_t limit;	  /* no packet is longer; 0: ngtcp2 knows best */
	size_t path;	  /* what ngtcp2 last believed in */

	/* Long packets, those over the minimum, since one was last seen to be
	 * acknowledged. */
	uint64_t long_bytes;
	unsigned long_count;
	uint64_t open;	/* bytes lost (ever) and in flight before them */
	uint64_t since; /* when the first of them was sent */
	uint64_t looked_at;

	/* Climbing again. */
	uint64_t climb_at; /* not before */
	uint64_t wait;	   /* until the next try */
	size_t trial;	   /* length of the packet under way; 0: none */
	int64_t trial_id;  /* the stream whose bytes it carries */
	uint64_t trial_end;
	uint64_t trial_at;
	uint64_t trial_lost;	     /* packets lost ever before it */
	uint64_t trial_lost_bytes;   /* and their bytes */
	uint64_t trial_confirmed_at; /* its bytes were acknowledged; 0: no */
};

/* What to probe for and send at most, if our socket holds payload_max. */
void quic_mtu_settings(ngtcp2_settings *st, size_t payload_max);

/* The transport parameter max_udp_payload_size for such a socket. */
size_t quic_mtu_advertised(size_t payload_max);

/* How long a full packet on the current path is now. */
size_t quic_mtu_payload(const struct quic *q);

/* n bytes of a stream are in a packet. */
void quic_mtu_carry(struct quic *q, size_t n);

/*
 * Up to how long the next packet may be, in a buffer of cap bytes; *trial: it
 * is to find out whether the path takes so much again.
 */
size_t quic_mtu_room(
    const struct quic *q, size_t cap, uint64_t now, bool *trial);

/* A packet of len bytes is on its way; long ones are watched. */
void quic_mtu_sent(struct quic *q, size_t len, uint64_t now);

/* It was a trial, and carried a stream's bytes up to offset end. */
void quic_mtu_tried(struct quic *q, size_t len, int64_t id, uint64_t end);

/* The stream's bytes up to offset acked have arrived. */
void quic_mtu_acked(struct quic *q, int64_t id, uint64_t acked);

/* Look how long packets fare: after reading, and when a timer has fired. */
void quic_mtu_look(struct quic *q, uint64_t now, bool fired);

#endif /* QUIC_MTU_H */
