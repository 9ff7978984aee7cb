/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "link/quicflow.h"
#include "link/quiclink.h"

/* Bursts one connection may send before the others have their turn. */
#define BURSTS_A_TURN 4
#define ALERT_NO_ALPN 0x178u
#define CRYPTO_ERROR 0x100u

static void
release(struct quiclink *k)
{
	timer_stop(k->loop, &k->timer);
	task_cancel(k->loop, &k->task);
	egress_unwait(k->egress, &k->waiter);
	quic_free(k->q);
	lane_free_all(&k->link);
	if (k->egress == &k->own)
		egress_fini(&k->own);
	free(k);
}

/* Put how the connection ended in the words of links. */
static void
translate(struct quiclink *k, struct link_end *out)
{
	const struct quic_end *end = quic_end(k->q);
	const char *refusal = quic_refusal(k->q);
	size_t n = end->reason.len;

	*out = (struct link_end){.code = end->code};
	out->kind = k->was_up ? LINK_LOST : LINK_ABSENT;
	if (n > sizeof(out->reason) - 1)
		n = sizeof(out->reason) - 1;
	if (n > 0)
		memcpy(out->reason, end->reason.p, n);
	switch (end->kind) {
	case QUIC_CLOSED_APP:
		out->kind = LINK_CLOSED;
		break;
	case QUIC_CLOSED_TRANSPORT:
		if (end->code == ALERT_NO_ALPN)
			out->kind = LINK_STRANGER;
		else if ((end->code & ~0xffull) == CRYPTO_ERROR)
			out->kind = LINK_UNTRUSTED;
		break;
	case QUIC_VERSION:
		out->kind = LINK_STRANGER;
		break;
	case QUIC_FAILED:
		if (*refusal != '\0') {
			out->kind = LINK_UNTRUSTED;
			snprintf(
			    out->reason, sizeof(out->reason), "%s", refusal);
		} else if (end->code == ALERT_NO_ALPN) {
			out->kind = LINK_STRANGER;
		}
		break;
	default:
		break;
	}
}

static void
report_end(struct quiclink *k)
{
	struct link_end end;

	if (k->ended || k->link.ops == NULL)
		return;
	if (k->refused)
		end = (struct link_end){
		    .kind = k->was_up ? LINK_LOST : LINK_ABSENT,
		    .reason = "connection refused"};
	else if (quic_end(k->q)->kind != QUIC_ALIVE)
		translate(k, &end);
	else
		return;
	k->ended = true;
	k->link.ops->down(k->link.arg, &end);
}

/* Send what there is to send; false: more is left for the next turn. */
static bool
transmit(struct quiclink *k)
{
	static uint8_t buf[QUIC_BURST_MIN];
	struct quic_burst b;
	int i;

	for (i = 0; i < BURSTS_A_TURN; i++) {
		if (egress_is_full(k->egress)) {
			egress_wait(k->egress, &k->waiter);
			return true;
		}
		quic_write(k->q, buf, sizeof(buf), &b, loop_clock());
		if (b.len == 0)
			return true;
		if (k->egress == &k->own) /* connected */
			b.to.len = b.from.len = 0;
		if (egress_send(k->egress, buf, &b) == ERR_GONE) {
			k->refused = true;
			return true;
		}
	}
	return false;
}

/*
 * Every event on a link ends here, once a turn: the owner works on what came,
 * then all that QUIC has to say is sent, then the one timer is set.
 */
static void
step(void *arg)
{
	struct quiclink *k = arg;
	struct link *l = &k->link;

	if (k->came && l->ops != NULL) {
		k->came = false;
		l->ops->pause(l->arg);
	}
	if (k->moved && l->ops != NULL) {
		k->moved = false;
		l->ops->moved(l->arg);
	}
	if (!k->ended)
		lane_tell_all(l);
	quicflow_wake(k);
	if (!transmit(k))
		task_post(k->loop, &k->task);
	report_end(k);
	/* A client does not outlive its program to say that it is gone. */
	if (l->ops == NULL &&
	    (k->egress == &k->own || !egress_is_full(k->egress))) {
		release(k);
		return;
	}
	if (k->ended) /* until the owner calls link_close() */
		timer_stop(k->loop, &k->timer);
	else if (timer_set(k->loop, &k->timer, quic_deadline(k->q)) != OK)
		log_error("out of memory for a timer");
}

static void
on_deadline(void *arg)
{
	struct quiclink *k = arg;

	quic_expire(k->q, loop_clock());
	task_post(k->loop, &k->task);
}

static void
on_room(void *arg)
{
	struct quiclink *k = arg;

	task_post(k->loop, &k->task);
}

/* --- what links can do --- */

static void
wake(struct link *l)
{
	struct quiclink *k = (struct quiclink *)l;

	k->filled = true;
	task_post(k->loop, &k->task);
}

static void
consumed(struct link *l, size_t n)
{
	struct quiclink *k = (struct quiclink *)l;

	quic_consumed(k->q, k->stream, n);
	task_post(k->loop, &k->task);
}

static void
close_link(struct link *l, uint64_t code, const char *reason)
{
	struct quiclink *k = (struct quiclink *)l;

	if (quic_end(k->q)->kind == QUIC_ALIVE && !k->refused)
		quic_close(k->q, code, view_of(reason));
	task_post(k->loop, &k->task);
}

static const struct link_kind kind = {
    .wake = wake,
    .consumed = consumed,
    .widen = consumed, /* QUIC counts up: more is more */
    .close = close_link,
    .allow_lanes = quicflow_allow,
    .open_lane = quicflow_open,
    .credit = quicflow_credit,
    .later = quicflow_later,
    .lane_wake = quicflow_lane_wake,
    .lane_break = quicflow_lane_break,
    .lane_credit = quicflow_lane_credit,
    .lane_closed = quicflow_lane_closed,
    .lane_free = quicflow_lane_free,
};

static struct quiclink *
make(struct loop *loop)
{
	struct quiclink *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	link_init(&k->link, &kind);
	k->flow.k = k;
	k->loop = loop;
	TAILQ_INIT(&k->filled_lanes);
	k->stream = -1;
	k->filled = true; /* before we came */
	k->timer = (struct timer){.fn = on_deadline, .arg = k};
	k->task = (struct task){.fn = step, .arg = k};
	k->waiter = (struct egress_waiter){.room = on_room, .arg = k};
	egress_init(&k->own);
	k->egress = &k->own;
	return k;
}

struct link *
quiclink_accept(struct loop *loop, struct egress *egress, struct quic *q,
    const struct quic_ops **quic_ops)
{
	struct quiclink *k = make(loop);

	if (k == NULL)
		return NULL;
	k->egress = egress;
	k->q = q;
	addr_text(quic_peer(q), k->link.name);
	*quic_ops = &quicflow_callbacks;
	return &k->link;
}

void
quiclink_refuse(struct link *l)
{
	struct quiclink *k = (struct quiclink *)l;

	k->q = NULL;
	release(k);
}

void
quiclink_touched(void *quic_arg)
{
	struct quiclink *k = quic_arg;

	task_post(k->loop, &k->task);
}

struct quic *
quiclink_quic(struct link *l)
{
	return ((struct quiclink *)l)->q;
}

/* Callbacks of a client's own socket. */

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	struct quiclink *k = arg;

	quic_read(k->q, p->bytes, udp_local(k->own.udp), p->from, p->ecn,
	    loop_now(k->loop));
}

static void
on_pause(void *arg)
{
	struct quiclink *k = arg;

	task_post(k->loop, &k->task);
}

static void
on_socket_room(void *arg)
{
	struct quiclink *k = arg;

	egress_room(&k->own);
}

static void
on_refused(void *arg, int err)
{
	struct quiclink *k = arg;

	log_debug("'%s' is not there: %s", k->link.name, strerror(err));
	k->refused = true;
	task_post(k->loop, &k->task);
}

static const struct udp_ops udp_callbacks = {
    .datagram = on_datagram,
    .pause = on_pause,
    .room = on_socket_room,
    .refused = on_refused,
};

int
quiclink_dial(struct link **l, struct loop *loop, struct tls *tls,
    const char *host, const struct addr *peer, struct outq *out,
    const struct link_ops *ops, void *arg)
{
	struct quic_conf conf = {
	    .tls = tls,
	    .idle_ns = QUICLINK_IDLE_NS,
	    .keep_alive_ns = QUICLINK_KEEP_ALIVE_NS,
	    .handshake_ns = QUICLINK_HANDSHAKE_NS,
	    .stream_window = QUICLINK_WINDOW,
	    .lane_window = QUICLINK_WINDOW,
	    .conn_window = QUICLINK_WINDOW_ALL,
	    .streams_uni = QUICLINK_LANES_MAX,
	};
	struct quiclink *k;
	int r;

	if ((k = make(loop)) == NULL)
		return ERR_NOMEM;
	k->link.ops = ops;
	k->link.arg = arg;
	k->link.out = out;
	addr_text(peer, k->link.name);
	r = udp_open(&k->own.udp, loop, NULL, peer, &udp_callbacks, k);
	if (r != OK)
		goto fail;
	conf.payload_max = udp_payload_max(k->own.udp);
	r = quic_client_new(&k->q, &conf, &quicflow_callbacks, k, host,
	    udp_local(k->own.udp), peer, loop_clock());
	if (r != OK)
		goto fail;
	task_post(loop, &k->task);
	*l = &k->link;
	return OK;

fail:
	release(k);
	return r;
}
