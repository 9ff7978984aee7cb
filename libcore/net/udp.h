/* SPDX-License-Identifier: ISC */
/*
 * UDP sockets as QUIC wants them: bursts with one system call each way
 * (UDP_SEGMENT, UDP_GRO, recvmmsg), the local address of each datagram, ECN,
 * no fragmentation.  What the kernel refuses is left out at run time.
 */
#ifndef NET_UDP_H
#define NET_UDP_H

#include "base/addr.h"
#include "base/view.h"
#include "net/loop.h"

struct udp_packet {
	struct view bytes;	 /* valid during the call */
	const struct addr *from; /* the peer */
	const struct addr *to;	 /* our address it was sent to */
	uint8_t ecn;		 /* the two bits */
};

struct udp_ops {
	void (*datagram)(void *arg, const struct udp_packet *p);
	/* All that was ready (up to a bound) has been given to datagram(). */
	void (*pause)(void *arg);
	/* After ERR_MORE from udp_send(): the socket takes more. */
	void (*room)(void *arg);
	/* A connected socket's peer is not there (ECONNREFUSED and the like).
	 * From a task or the socket's event, never from within udp_send(). */
	void (*refused)(void *arg, int err);
};

struct udp;

/*
 * Bind to local (port 0: the kernel chooses), or connect to peer from any
 * address if local is NULL.
 *
 * ERR_NONE  local is no address of this machine, not said in the log
 * ERR_GONE  there is no way to peer, not said in the log
 * ERR_SYS   anything else, said in the log
 */
int udp_open(struct udp **out, struct loop *l, const struct addr *local,
    const struct addr *peer, const struct udp_ops *ops, void *arg);
/* No callback comes after it.  Also from within callbacks; NULL is nothing. */
void udp_close(struct udp *u);

const struct addr *udp_local(const struct udp *u);

/* The largest datagram this socket's buffer can hold with room to spare, in
 * bytes: what to advertise as max_udp_payload_size. */
size_t udp_payload_max(const struct udp *u);

/*
 * Send bytes as datagrams of segment bytes each, the last one maybe shorter,
 * from the address from (NULL: the kernel's choice) to to (NULL: connected).
 * What the socket does not take of a burst it has begun is copied and goes
 * first when there is room: a burst is taken whole or, with ERR_MORE, not at
 * all.
 *
 * ERR_MORE   the socket is full: nothing was sent; room() will come
 * ERR_LIMIT  a datagram is larger than the path takes: lost
 * ERR_GONE   nobody is there (connected sockets)
 * ERR_SYS    anything else: lost, said in the log at most once a second
 */
int udp_send(struct udp *u, struct view bytes, size_t segment,
    const struct addr *to, const struct addr *from, uint8_t ecn);

#endif /* NET_UDP_H */
