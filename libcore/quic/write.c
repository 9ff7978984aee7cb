/* SPDX-License-Identifier: ISC */
/* Bursts of packets, fair between streams. */
#include <assert.h>
#include <stdlib.h>

#include "quic/conn.h"

/* UDP_SEGMENT's own limits, with room for headers. */
#define BURST_PACKETS_MAX 64
#define BURST_BYTES_MAX ((size_t)65000)

/* Vectors asked of a stream at once. */
#define PULL_MAX 16

/*
 * Pacing goes in steps of this, as for TCP in Linux: a timer for each burst
 * would cost more than it smoothes, and sleep too long where the round trip is
 * shorter.  On a slow path a burst is no longer than a step: a few large ones a
 * round trip would be acknowledged as they were sent, and who has little to say
 * would wait for the next of them.
 */
#define PACE_STEP NGTCP2_MILLISECONDS
#define PACE_PACKETS_MIN 2

/* One packet being written. */
struct packet {
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	uint8_t *p;
	size_t room;
	int64_t id;   /* the last stream it carries bytes of; -1: none */
	uint64_t end; /* up to this offset */
};

static void
addr_from(struct addr *a, const ngtcp2_addr *n)
{
	*a = (struct addr){.len = n->addrlen};
	memcpy(&a->in6, n->addr, n->addrlen);
}

/* What a stream has to offer for the packet. */
struct offer {
	ngtcp2_vec vec[PULL_MAX];
	size_t n;
	size_t len;
	bool fin;
};

static void
pull(struct quic_stream *s, struct offer *o)
{
	struct iovec v[PULL_MAX];
	size_t i;

	o->len = 0;
	o->fin = false;
	o->n = s->quic->ops->pull(s->user, v, PULL_MAX, &o->fin);
	assert(o->n <= PULL_MAX);
	for (i = 0; i < o->n; i++) {
		o->vec[i] = (ngtcp2_vec){v[i].iov_base, v[i].iov_len};
		o->len += v[i].iov_len;
	}
}

/* Whether a packet of room bytes is full of o's but for a few; not if windows
 * let only a part of them go, which would make the rest padding. */
static bool
fills(const struct quic_stream *s, const struct offer *o, size_t room)
{
	ngtcp2_conn *conn = s->quic->conn;

	return o->len >= room && ngtcp2_conn_get_max_data_left(conn) >= room &&
	       ngtcp2_conn_get_max_stream_data_left(conn, s->id) >= room;
}

/* The next stream with something to say; who has nothing leaves the queue. */
static struct quic_stream *
next_offer(struct quic *q, struct offer *o)
{
	struct quic_stream *s;

	while ((s = TAILQ_FIRST(&q->ready[0])) != NULL ||
	       (s = TAILQ_FIRST(&q->ready[1])) != NULL) {
		pull(s, o);
		if (s->user == NULL)
			continue; /* pull() has broken it off */
		if (o->len > 0 || o->fin)
			return s;
		quic_stream_unqueue(s);
	}
	*o = (struct offer){0};
	return NULL;
}

/* n bytes of o are in a packet. */
static void
took(struct quic_stream *s, const struct offer *o, size_t n)
{
	s->sent += n;
	quic_mtu_carry(s->quic, n);
	if (o->fin && n == o->len) {
		s->fin_sent = true;
		s->fin_alone = n == 0;
		quic_stream_unqueue(s);
	}
	s->quic->ops->sent(s->user, n);
}

/* The stream had its turn. */
static void
to_the_back(struct quic_stream *s)
{
	if (!s->queued)
		return;
	quic_stream_unqueue(s);
	quic_stream_queue(s);
}

/*
 * Write one packet: control frames, then bytes of as many streams as fit.
 * Returns its length, 0 if nothing may or need be sent, or ngtcp2's error.
 */
static ngtcp2_ssize
write_packet(struct quic *q, struct packet *k, uint64_t now)
{
	struct quic_stream *s;
	struct offer o;
	ngtcp2_ssize r, n;
	uint32_t flags;
	bool streams = true;

	for (;;) {
		s = NULL;
		o = (struct offer){0};
		if (streams)
			s = next_offer(q, &o);
		if (q->end.kind != QUIC_ALIVE)
			return 0; /* closed by a callback */
		flags = s != NULL ? NGTCP2_WRITE_STREAM_FLAG_MORE
				  : NGTCP2_WRITE_STREAM_FLAG_NONE;
		if (o.fin)
			flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
		if (s != NULL && fills(s, &o, k->room))
			flags |= NGTCP2_WRITE_STREAM_FLAG_PADDING;
		n = -1;
		r = ngtcp2_conn_writev_stream(q->conn, &k->path.path, &k->info,
		    k->p, k->room, &n, flags, s != NULL ? s->id : -1, o.vec,
		    o.n, now);
		if (s != NULL && n >= 0) {
			k->id = s->id;
			k->end = s->sent + (size_t)n;
			took(s, &o, (size_t)n);
		}
		switch (r) {
		case NGTCP2_ERR_WRITE_MORE:
			if (s != NULL)
				to_the_back(s);
			break;
		case NGTCP2_ERR_STREAM_DATA_BLOCKED:
			if (ngtcp2_conn_get_max_data_left(q->conn) == 0)
				streams = false; /* of the connection */
			else
				quic_stream_unqueue(s); /* until on_window() */
			break;
		case NGTCP2_ERR_STREAM_SHUT_WR:
		case NGTCP2_ERR_STREAM_NOT_FOUND:
			quic_stream_shut(s);
			break;
		default:
			if (s != NULL)
				to_the_back(s);
			return r;
		}
	}
}

/* Keep a packet for a burst of its own.  Without memory it is lost, as
 * packets may be. */
static void
hold(struct quic *q, const struct packet *k, size_t len)
{
	struct quic_held *h;

	if ((h = malloc(sizeof(*h) + len)) == NULL)
		return;
	h->len = len;
	addr_from(&h->to, &k->path.path.remote);
	addr_from(&h->from, &k->path.path.local);
	h->ecn = k->info.ecn;
	memcpy(h->bytes, k->p, len);
	q->held = h;
}

static void
put_held(const struct quic_held *h, uint8_t *buf, struct quic_burst *out)
{
	memcpy(buf, h->bytes, h->len);
	out->len = h->len;
	out->segment = h->len;
	out->to = h->to;
	out->from = h->from;
	out->ecn = h->ecn;
}

/* The bytes of a step of pacing. */
static size_t
pace_step(const struct quic *q)
{
	ngtcp2_conn_info in;

	ngtcp2_conn_get_conn_info(q->conn, &in);
	return in.cwnd / (in.smoothed_rtt / PACE_STEP + 1);
}

/* The most bytes one burst may have now. */
static size_t
burst_max(const struct quic *q, size_t cap, size_t full)
{
	size_t max = ngtcp2_conn_get_send_quantum(q->conn);
	size_t step = pace_step(q);

	if (max > step)
		max = step;
	if (max < PACE_PACKETS_MIN * full)
		max = PACE_PACKETS_MIN * full;
	if (max > BURST_BYTES_MAX)
		max = BURST_BYTES_MAX;
	return max < cap ? max : cap;
}

/* Whether k goes the same way as the packets before it in the burst. */
static bool
joins(const struct packet *k, const struct quic_burst *out)
{
	struct addr to, from;

	addr_from(&to, &k->path.path.remote);
	addr_from(&from, &k->path.path.local);
	return k->info.ecn == out->ecn && addr_equal(&to, &out->to) &&
	       addr_equal(&from, &out->from);
}

/* The first packet of a burst says where it goes, and how long the others are.
 */
static void
lead_burst(struct packet *k, size_t len, struct quic_burst *out)
{
	out->segment = len;
	addr_from(&out->to, &k->path.path.remote);
	addr_from(&out->from, &k->path.path.local);
	out->ecn = k->info.ecn;
	k->room = len;
}

/*
 * Packets as long as the first one, until there are no more, one is shorter,
 * or one goes another way.  A first packet that is not a full one (few bytes,
 * or a longer one to probe the path) stays alone.
 */
static ngtcp2_ssize
fill(struct quic *q, uint8_t *buf, size_t cap, struct quic_burst *out,
    uint64_t now)
{
	size_t full = quic_mtu_payload(q);
	size_t max = burst_max(q, cap, full);
	struct packet k;
	ngtcp2_ssize r;
	size_t i, n;
	bool trial;

	k.room = quic_mtu_room(q, cap, now, &trial);
	for (i = 0; i < BURST_PACKETS_MAX; i++) {
		if (i > 0 && out->len + k.room > max)
			break;
		ngtcp2_path_storage_zero(&k.path);
		k.info = (ngtcp2_pkt_info){0};
		k.p = buf + out->len;
		k.id = -1;
		if ((r = write_packet(q, &k, now)) <= 0)
			return r;
		n = (size_t)r;
		quic_mtu_sent(q, n, now);
		if (i > 0 && !joins(&k, out)) {
			hold(q, &k, n);
			break;
		}
		if (i == 0)
			lead_burst(&k, n, out);
		out->len += n;
		if (trial && k.id >= 0)
			quic_mtu_tried(q, n, k.id, k.end);
		if (out->segment != full || n < out->segment)
			break;
	}
	return 0;
}

/* Our last words: CONNECTION_CLOSE, if this kind of end has any. */
static void
write_close(struct quic *q, uint8_t *buf, size_t cap, struct quic_burst *out)
{
	struct packet k = {0};
	ngtcp2_ssize r;

	if (cap > QUIC_PAYLOAD_MIN)
		cap = QUIC_PAYLOAD_MIN; /* whatever the path is like by now */
	ngtcp2_path_storage_zero(&k.path);
	q->entered = true;
	r = ngtcp2_conn_write_connection_close(
	    q->conn, &k.path.path, &k.info, buf, cap, &q->error, q->now);
	q->entered = false;
	if (r <= 0)
		return; /* too early to say anything, or nothing to say */
	k.p = buf;
	free(q->held);
	q->held = NULL;
	hold(q, &k, (size_t)r);
	if ((q->last_words = q->held) != NULL)
		put_held(q->last_words, buf, out);
	q->held = NULL;
}

static bool
has_last_words(const struct quic *q)
{
	return q->end.kind == QUIC_FAILED || q->end.kind == QUIC_HANDSHAKE_LATE;
}

static void
write_end(struct quic *q, uint8_t *buf, size_t cap, struct quic_burst *out)
{
	if (!q->said) {
		q->said = true;
		if (has_last_words(q))
			write_close(q, buf, cap, out);
	} else if (q->repeat && q->last_words != NULL) {
		put_held(q->last_words, buf, out);
	}
	q->repeat = false;
}

/* len bytes are on their way: wait before the next ones, if a step is full. */
static void
pace(struct quic *q, size_t len, uint64_t now)
{
	q->unpaced += len;
	if (q->unpaced < pace_step(q))
		return;
	q->unpaced = 0;
	ngtcp2_conn_update_pkt_tx_time(q->conn, now);
}

void
quic_write(struct quic *q, uint8_t *buf, size_t cap, struct quic_burst *out,
    uint64_t now)
{
	ngtcp2_ssize r;

	assert(!q->entered);
	*out = (struct quic_burst){0};
	now = quic_tick(q, now);
	if (q->end.kind != QUIC_ALIVE) {
		write_end(q, buf, cap, out);
		return;
	}
	if (q->held != NULL) {
		put_held(q->held, buf, out);
		free(q->held);
		q->held = NULL;
		return;
	}
	q->entered = true;
	r = fill(q, buf, cap, out, now);
	if (q->completed && r >= 0)
		q->finished = true;
	/* Not paced before: a client that waits there never finishes. */
	if (out->len > 0 && q->finished)
		pace(q, out->len, now);
	q->entered = false;
	if (r < 0)
		quic_fail(q, QUIC_FAILED, (int)r);
	else if (out->len == 0)
		quic_stream_settle(q);
	if (out->len == 0 && q->end.kind != QUIC_ALIVE)
		write_end(q, buf, cap, out);
}
