/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "quic/conn.h"

/*
 * Upward, each larger than the one before: ngtcp2 skips all that are not
 * smaller than one that failed.  The last two, which are then still to be
 * tried, are for tunnels within Ethernet.
 */
static const uint16_t PROBES[] = {
    1452, 4096, 8900, 16000, 32000, 60000, 1392, 1312};
#define N_PROBES (sizeof(PROBES) / sizeof(PROBES[0]))
#define N_RISING 6

/*
 * Who has sent less has no use for packets longer than Ethernet's, and should
 * not ask: for the longest it ever gets, a peer keeps a buffer as long (ngtcp2
 * decrypts into it), which thousands of quiet connections would add up.
 */
#define BULK_BYTES (256u << 10)

/* Between a fall and the first try to climb, then twice as long each time. */
#define WAIT_MIN (2 * NGTCP2_SECONDS)
#define WAIT_MAX (10 * NGTCP2_MINUTES)

/* A black hole has swallowed at least so many, for the time of two probe
 * time-outs (one, and one of twice its length, less what timers may be off). */
#define LONG_MIN 5

/* A trial of which nothing is heard for so long is a failed one. */
#define TRIAL_PTOS 16

size_t
quic_mtu_advertised(size_t payload_max)
{
	if (payload_max < QUIC_PAYLOAD_MIN)
		return QUIC_PAYLOAD_MIN;
	if (payload_max > NGTCP2_MAX_TX_UDP_PAYLOAD_SIZE)
		return NGTCP2_MAX_TX_UDP_PAYLOAD_SIZE;
	return payload_max;
}

void
quic_mtu_settings(ngtcp2_settings *st, size_t payload_max)
{
	size_t max = quic_mtu_advertised(payload_max);
	size_t highest = PROBES[N_RISING - 1];

	st->max_tx_udp_payload_size = max < highest ? max : highest;
	st->pmtud_probes = PROBES;
	st->pmtud_probeslen = N_PROBES;
}

static size_t
path_size(const struct quic *q)
{
	return ngtcp2_conn_get_path_max_tx_udp_payload_size(q->conn);
}

size_t
quic_mtu_payload(const struct quic *q)
{
	size_t path = path_size(q);

	return q->mtu.limit != 0 && q->mtu.limit < path ? q->mtu.limit : path;
}

/* The next rung above the limit, not above what ngtcp2 believes in. */
static size_t
next_rung(const struct quic *q)
{
	size_t i, path = path_size(q);

	for (i = 0; i < N_RISING; i++) {
		if (PROBES[i] > q->mtu.limit)
			return PROBES[i] < path ? PROBES[i] : path;
	}
	return path;
}

size_t
quic_mtu_room(const struct quic *q, size_t cap, uint64_t now, bool *trial)
{
	const struct quic_mtu *m = &q->mtu;
	size_t room = cap;

	*trial = m->limit != 0 && m->trial == 0 && now >= m->climb_at;
	if (*trial)
		room = next_rung(q);
	else if (m->limit != 0)
		room = m->limit;
	else if (m->carried < BULK_BYTES)
		room = PROBES[0];
	return room < cap ? room : cap;
}

/* Bytes that were sent and not acknowledged: what a black hole gathers. */
static uint64_t
open_bytes(const ngtcp2_conn_info *in)
{
	return in->bytes_lost + in->bytes_in_flight;
}

/* Long packets do arrive: begin to watch anew with the next one. */
static void
rewatch(struct quic_mtu *m)
{
	m->long_bytes = 0;
	m->long_count = 0;
}

void
quic_mtu_carry(struct quic *q, size_t n)
{
	q->mtu.carried += n;
}

void
quic_mtu_sent(struct quic *q, size_t len, uint64_t now)
{
	struct quic_mtu *m = &q->mtu;
	ngtcp2_conn_info in;

	if (len <= QUIC_PAYLOAD_MIN || len > path_size(q))
		return; /* a minimal one, or a probe of ngtcp2's */
	if (m->long_count++ == 0) {
		ngtcp2_conn_get_conn_info(q->conn, &in);
		m->open = open_bytes(&in) - len;
		m->since = now;
	}
	m->long_bytes += len;
}

void
quic_mtu_tried(struct quic *q, size_t len, int64_t id, uint64_t end)
{
	struct quic_mtu *m = &q->mtu;
	ngtcp2_conn_info in;

	if (len <= m->limit)
		return; /* there was not enough to fill it */
	ngtcp2_conn_get_conn_info(q->conn, &in);
	m->trial = len;
	m->trial_id = id;
	m->trial_end = end;
	m->trial_at = q->now;
	m->trial_lost = in.pkt_lost;
	m->trial_lost_bytes = in.bytes_lost;
	m->trial_confirmed_at = 0;
}

void
quic_mtu_acked(struct quic *q, int64_t id, uint64_t acked)
{
	struct quic_mtu *m = &q->mtu;

	if (m->trial != 0 && m->trial_confirmed_at == 0 && m->trial_id == id &&
	    acked >= m->trial_end)
		m->trial_confirmed_at = q->now;
}

static void
wait_longer(struct quic_mtu *m, uint64_t now)
{
	m->trial = 0;
	m->wait = m->wait < WAIT_MAX / 2 ? 2 * m->wait : WAIT_MAX;
	m->climb_at = now + m->wait;
}

static void
fall(struct quic *q, uint64_t now)
{
	char peer[ADDR_TEXT];

	log_debug("%s: nothing over %zu bytes arrives any more",
	    addr_text(&q->peer, peer), QUIC_PAYLOAD_MIN);
	if (q->mtu.limit == 0) /* not for the first time while it climbs */
		q->mtu.wait = WAIT_MIN / 2;
	q->mtu.limit = QUIC_PAYLOAD_MIN;
	wait_longer(&q->mtu, now);
}

static void
climb(struct quic *q, uint64_t now)
{
	struct quic_mtu *m = &q->mtu;

	m->limit = m->trial < path_size(q) ? m->trial : 0;
	m->trial = 0;
	m->climb_at = now;
	m->wait = WAIT_MIN;
}

/*
 * All other packets are no longer than the limit, so the trial is among the
 * lost ones when these are longer on average.  That its bytes have arrived is
 * not enough: a probe time-out may have sent them a second time.
 */
static void
judge_trial(struct quic *q, const ngtcp2_conn_info *in, uint64_t now)
{
	struct quic_mtu *m = &q->mtu;
	uint64_t pto = ngtcp2_conn_get_pto(q->conn);
	uint64_t lost = in->pkt_lost - m->trial_lost;
	bool failed = in->bytes_lost - m->trial_lost_bytes > lost * m->limit ||
		      (m->trial_confirmed_at == 0 &&
			  now - m->trial_at >= TRIAL_PTOS * pto);

	if (failed)
		wait_longer(m, now);
	else if (m->trial_confirmed_at != 0 &&
		 now - m->trial_confirmed_at >= pto)
		climb(q, now);
}

void
quic_mtu_look(struct quic *q, uint64_t now, bool fired)
{
	struct quic_mtu *m = &q->mtu;
	size_t path = path_size(q);
	ngtcp2_conn_info in;
	uint64_t pto;

	if (path < m->path) /* another path: ngtcp2 begins anew, and so do we */
		*m = (struct quic_mtu){.carried = m->carried};
	m->path = path;
	if (m->trial == 0 && m->long_count == 0)
		return;
	pto = ngtcp2_conn_get_pto(q->conn);
	if (!fired && now - m->looked_at < pto / 4)
		return; /* once in a while is enough */
	m->looked_at = now;
	ngtcp2_conn_get_conn_info(q->conn, &in);
	if (m->trial != 0)
		judge_trial(q, &in, now);
	if (open_bytes(&in) < m->open + m->long_bytes) {
		rewatch(m);
	} else if (m->long_count >= LONG_MIN && now - m->since >= 7 * pto / 4 &&
		   quic_mtu_payload(q) > QUIC_PAYLOAD_MIN) {
		fall(q, now);
		rewatch(m);
	}
}
