/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "link/quiclink.h"

/* Bursts one connection may send before the others have their turn. */
#define BURSTS_A_TURN 4
#define ALERT_NO_ALPN 0x178u
#define CRYPTO_ERROR 0x100u

/* What the callbacks of quic/ get for a stream. */
struct flow {
	struct quiclink *k;
	struct quiclane *lane; /* NULL: the link's own */
};

struct quiclane {
	struct lane lane;
	struct flow flow;
	bool filled; /* as below */
	bool ended;  /* QUIC has nothing more to do with it */
	TAILQ_ENTRY(quiclane) link_filled;
};

struct quiclink {
	struct link link;
	struct loop *loop;
	struct quic *q;
	struct egress *egress; /* the server's, or: */
	struct egress own;     /* a client's own socket */
	struct egress_waiter waiter;
	struct timer timer;
	struct task task;
	int64_t stream; /* -1: not open yet */
	struct flow flow;
	TAILQ_HEAD(, quiclane) filled_lanes;
	bool came;   /* bytes or fin in this turn */
	bool filled; /* or may be: quic is to ask for bytes */
	bool moved;  /* something was acknowledged in this turn */
	bool was_up;
	bool ended;   /* down() was called */
	bool refused; /* a client's socket says that nobody is there */
};

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

static void
unfill(struct quiclink *k, struct quiclane *n)
{
	if (n->filled)
		TAILQ_REMOVE(&k->filled_lanes, n, link_filled);
	n->filled = false;
}

/* Once a turn, however much was queued in it. */
static void
wake_quic(struct quiclink *k)
{
	struct quiclane *n;

	if (k->filled && k->stream >= 0) {
		k->filled = false;
		quic_wake(k->q, k->stream);
	}
	while ((n = TAILQ_FIRST(&k->filled_lanes)) != NULL) {
		unfill(k, n);
		quic_wake(k->q, (int64_t)n->lane.id);
	}
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
	wake_quic(k);
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

/* --- callbacks of quic/ --- */

static void
on_ready(void *arg)
{
	struct quiclink *k = arg;

	/* A server's stream is the client's to open. */
	if (k->egress == &k->own &&
	    quic_open_bidi(k->q, &k->flow, &k->stream) != OK) {
		quic_close(k->q, 0, view_of("no stream allowed"));
		return;
	}
	k->was_up = true;
	k->link.answers_fin =
	    view_equal(quic_alpn(k->q), view_of(QUIC_ALPN_OURS));
	k->link.lanes = k->link.answers_fin;
	if (k->link.ops != NULL)
		k->link.ops->up(k->link.arg);
}

static struct quiclane *
make_lane(struct quiclink *k)
{
	struct quiclane *n;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		return NULL;
	n->flow = (struct flow){.k = k, .lane = n};
	return n;
}

static void *
accept_lane(struct quiclink *k, int64_t id)
{
	struct link *l = &k->link;
	struct quiclane *n;

	if (!l->lanes || l->ops == NULL || l->ops->lane == NULL)
		return NULL;
	if ((n = make_lane(k)) == NULL)
		return NULL;
	lane_init(&n->lane, l, (uint64_t)id);
	if (l->ops->lane(l->arg, &n->lane))
		return &n->flow;
	lane_free(&n->lane);
	return NULL;
}

static void *
on_accept(void *arg, int64_t id)
{
	struct quiclink *k = arg;

	if (quic_is_uni(id))
		return accept_lane(k, id);
	if (k->stream >= 0)
		return NULL;
	k->stream = id;
	return &k->flow;
}

static void
on_data(void *arg, struct view bytes, bool fin)
{
	const struct flow *f = arg;
	struct quiclink *k = f->k;

	if (k->link.ops == NULL)
		return;
	k->came = true;
	if (f->lane != NULL) {
		lane_take(&f->lane->lane, bytes, fin);
		return;
	}
	if (bytes.len > 0)
		k->link.ops->bytes(k->link.arg, bytes);
	if (fin && k->link.ops != NULL)
		k->link.ops->fin(k->link.arg);
}

static struct outq *
queue_of(const struct flow *f)
{
	return f->lane != NULL ? f->lane->lane.out : f->k->link.out;
}

static size_t
on_pull(void *arg, struct iovec *v, size_t n, bool *fin)
{
	const struct flow *f = arg;
	const struct outq *q = queue_of(f);
	size_t i, got, len = 0;

	*fin = false;
	if (f->k->link.ops == NULL)
		return 0;
	got = outq_pull(q, v, n);
	for (i = 0; i < got; i++)
		len += v[i].iov_len;
	*fin = len == q->unsent && (f->lane != NULL ? f->lane->lane.fin_wanted
						    : f->k->link.fin_wanted);
	return got;
}

static void
on_sent(void *arg, size_t n)
{
	const struct flow *f = arg;

	if (f->k->link.ops != NULL)
		outq_sent(queue_of(f), n);
}

static void
on_acked(void *arg, size_t n, bool fin_acked)
{
	const struct flow *f = arg;
	struct quiclink *k = f->k;

	if (k->link.ops == NULL)
		return;
	if (f->lane != NULL) {
		lane_acked(&f->lane->lane, n, fin_acked);
		return;
	}
	outq_acked(k->link.out, n);
	if (fin_acked)
		k->link.fin_acked = true;
	k->moved = true;
	task_post(k->loop, &k->task);
}

static void
on_reset(void *arg, uint64_t code)
{
	const struct flow *f = arg;
	struct quiclink *k = f->k;

	if (k->link.ops == NULL)
		return;
	if (f->lane != NULL) {
		lane_broken(&f->lane->lane, code);
		return;
	}
	/* The link's stream is the connection: without it there is none. */
	log_debug("'%s' broke off its stream: code 0x%llx", k->link.name,
	    (unsigned long long)code);
	quic_close(k->q, 0, view_of("stream was reset"));
}

static void
on_stream_closed(void *arg)
{
	const struct flow *f = arg;

	if (f->lane == NULL)
		return;
	f->lane->ended = true;
	if (f->k->link.ops != NULL && f->lane->lane.out != NULL)
		lane_over(&f->lane->lane);
}

static void
on_more_streams(void *arg)
{
	struct quiclink *k = arg;

	k->link.lanes_came = true;
	task_post(k->loop, &k->task);
}

static const struct quic_ops quic_callbacks = {
    .ready = on_ready,
    .accept = on_accept,
    .data = on_data,
    .pull = on_pull,
    .sent = on_sent,
    .acked = on_acked,
    .reset = on_reset,
    .closed = on_stream_closed,
    .more_streams = on_more_streams,
};

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

/* --- what lanes can do --- */

static void
later(struct link *l)
{
	struct quiclink *k = (struct quiclink *)l;

	task_post(k->loop, &k->task);
}

static void
allow_lanes(struct link *l, size_t n)
{
	quic_allow_uni(((struct quiclink *)l)->q, n);
	later(l);
}

static int
open_lane(struct link *l, struct lane **lane)
{
	struct quiclink *k = (struct quiclink *)l;
	struct quiclane *n;
	int64_t id;
	int r;

	if ((n = make_lane(k)) == NULL)
		return ERR_NOMEM;
	if ((r = quic_open_uni(k->q, &n->flow, &id)) != OK) {
		free(n);
		return r;
	}
	lane_init(&n->lane, l, (uint64_t)id);
	*lane = &n->lane;
	return OK;
}

static void
credit(struct link *l, size_t n)
{
	quic_credit(((struct quiclink *)l)->q, n);
	later(l);
}

static void
wake_lane(struct lane *l)
{
	struct quiclink *k = (struct quiclink *)l->link;
	struct quiclane *n = (struct quiclane *)l;

	if (!n->filled)
		TAILQ_INSERT_TAIL(&k->filled_lanes, n, link_filled);
	n->filled = true;
	later(l->link);
}

static void
break_lane(struct lane *l, uint64_t code)
{
	struct quiclink *k = (struct quiclink *)l->link;

	unfill(k, (struct quiclane *)l);
	if (l->out != NULL)
		quic_reset(k->q, (int64_t)l->id, code);
	else
		quic_stop(k->q, (int64_t)l->id, code);
}

static void
credit_lane(struct lane *l, size_t n)
{
	quic_credit_stream(((struct quiclink *)l->link)->q, (int64_t)l->id, n);
	later(l->link);
}

/* One of the peer's that QUIC was through with before us makes room now. */
static void
on_lane_closed(struct lane *l)
{
	struct quiclane *n = (struct quiclane *)l;

	unfill((struct quiclink *)l->link, n);
	if (l->out == NULL && n->ended)
		allow_lanes(l->link, 1);
}

static const struct link_kind kind = {
    .wake = wake,
    .consumed = consumed,
    .widen = consumed, /* QUIC counts up: more is more */
    .close = close_link,
    .allow_lanes = allow_lanes,
    .open_lane = open_lane,
    .credit = credit,
    .later = later,
    .lane_wake = wake_lane,
    .lane_break = break_lane,
    .lane_credit = credit_lane,
    .lane_closed = on_lane_closed,
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
	*quic_ops = &quic_callbacks;
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
	r = quic_client_new(&k->q, &conf, &quic_callbacks, k, host,
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
