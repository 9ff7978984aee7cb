/* SPDX-License-Identifier: ISC */
/*
 * Links over QUIC: the one bidirectional stream of YoMo's protocol, and between
 * ends that both speak ours, lanes as unidirectional streams.
 */
#ifndef LINK_QUICLINK_H
#define LINK_QUICLINK_H

#include "link/egress.h"
#include "link/link.h"
#include "quic/quic.h"

/* What both ends use unless told otherwise; yomo-protocol(7), TIMERS. */
#define QUICLINK_IDLE_NS (5 * 1000000000ull)
#define QUICLINK_KEEP_ALIVE_NS (2 * 1000000000ull)
#define QUICLINK_HANDSHAKE_NS (3 * 1000000000ull)
/* What may lie unread on the link's stream or a lane, and on all of them. */
#define QUICLINK_WINDOW (2u << 20)
#define QUICLINK_WINDOW_ALL (4u << 20)
/* What a stranger may send: the longest greeting, HELLO_MAX and its header. */
#define QUICLINK_WINDOW_FIRST (68u << 10)
/* What a client may send on a lane at first, if all of them have room. */
#define QUICLINK_LANE_WINDOW_FIRST (256u << 10)
/* The most lanes in one direction. */
#define QUICLINK_LANES_MAX 64

/*
 * Begin to connect to peer; up() or down() follows.  host is what the
 * certificate is checked against.  tls, out and ops are borrowed.
 */
int quiclink_dial(struct link **l, struct loop *loop, struct tls *tls,
    const char *host, const struct addr *peer, struct outq *out,
    const struct link_ops *ops, void *arg);

/*
 * Make a link of a connection that a server accepted: for
 * quic_server_ops.accept, which returns *quic_arg and *quic_ops.  Takes q,
 * borrows egress.  NULL: out of memory, q is as before.
 */
struct link *quiclink_accept(struct loop *loop, struct egress *egress,
    struct quic *q, const struct quic_ops **quic_ops);

/* Undo quiclink_accept() at once: the connection is not the link's any more. */
void quiclink_refuse(struct link *l);

/* The connection got a datagram: for quic_server_ops.touched. */
void quiclink_touched(void *quic_arg);

/* The connection below, for statistics and names. */
struct quic *quiclink_quic(struct link *l);

#endif /* LINK_QUICLINK_H */
