/* SPDX-License-Identifier: ISC */
/* The streams of a link over QUIC: its own, and those that are lanes. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "link/quicflow.h"

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

const struct quic_ops quicflow_callbacks = {
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

static void
unfill(struct quiclink *k, struct quiclane *n)
{
	if (n->filled)
		TAILQ_REMOVE(&k->filled_lanes, n, link_filled);
	n->filled = false;
}

void
quicflow_wake(struct quiclink *k)
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

/* --- what lanes can do --- */

void
quicflow_later(struct link *l)
{
	struct quiclink *k = (struct quiclink *)l;

	task_post(k->loop, &k->task);
}

void
quicflow_allow(struct link *l, size_t n)
{
	quic_allow_uni(((struct quiclink *)l)->q, n);
	quicflow_later(l);
}

int
quicflow_open(struct link *l, struct lane **lane)
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

void
quicflow_credit(struct link *l, size_t n)
{
	quic_credit(((struct quiclink *)l)->q, n);
	quicflow_later(l);
}

void
quicflow_lane_wake(struct lane *l)
{
	struct quiclink *k = (struct quiclink *)l->link;
	struct quiclane *n = (struct quiclane *)l;

	if (!n->filled)
		TAILQ_INSERT_TAIL(&k->filled_lanes, n, link_filled);
	n->filled = true;
	quicflow_later(l->link);
}

void
quicflow_lane_break(struct lane *l, uint64_t code)
{
	struct quiclink *k = (struct quiclink *)l->link;

	unfill(k, (struct quiclane *)l);
	if (l->out != NULL)
		quic_reset(k->q, (int64_t)l->id, code);
	else
		quic_stop(k->q, (int64_t)l->id, code);
}

void
quicflow_lane_credit(struct lane *l, size_t n)
{
	quic_credit_stream(((struct quiclink *)l->link)->q, (int64_t)l->id, n);
	quicflow_later(l->link);
}

/* One of the peer's that QUIC was through with before us makes room now. */
void
quicflow_lane_closed(struct lane *l)
{
	struct quiclane *n = (struct quiclane *)l;

	unfill((struct quiclink *)l->link, n);
	if (l->out == NULL && n->ended)
		quicflow_allow(l->link, 1);
}

void
quicflow_lane_free(struct lane *l)
{
	free(l);
}
