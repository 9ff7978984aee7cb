/* SPDX-License-Identifier: ISC */
/* Which datagram is whose, and what strangers get. */
#include <assert.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "quic/cid.h"
#include "quic/conn.h"
#include "quic/crowd.h"
#include "quic/grave.h"
#include "quic/server.h"
#include "quic/token.h"

/* The largest datagram a stranger gets: always less than he sent. */
#define STRANGER_MAX QUIC_PAYLOAD_MIN

/* A stateless reset looks like a short packet; RFC 9000, 10.3. */
#define RESET_MIN                                                              \
	(NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)
#define RESET_MAX 43

/* Stateless resets and version negotiations: so many at once, and a second. */
#define ANSWERS_BURST 256
#define ANSWERS_PER_SECOND 256

struct quic_server {
	struct quic_server_conf conf;
	const struct quic_server_ops *ops;
	void *arg;
	struct quic_cids cids;
	struct quic_graves graves;
	struct quic_crowds crowds;
	struct quic_counts counts;
	uint64_t answers;    /* that may still be given now */
	uint64_t answers_at; /* when that was reckoned */
	uint64_t now;
};

/* A datagram as it came in. */
struct arrival {
	struct view bytes;
	const struct addr *local;
	const struct addr *peer;
	uint8_t ecn;
	uint64_t now;
};

int
quic_server_new(struct quic_server **out, const struct quic_server_conf *conf,
    const struct quic_server_ops *ops, void *arg)
{
	struct quic_server *s;
	int r;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	s->conf = *conf;
	s->ops = ops;
	s->arg = arg;
	s->answers = ANSWERS_BURST;
	quic_cid_init(&s->cids);
	quic_grave_init(&s->graves, &s->cids);
	quic_crowd_init(&s->crowds);
	if ((r = quic_session_offer(conf->conn.tls)) != OK) {
		free(s);
		return r;
	}
	*out = s;
	return OK;
}

void
quic_server_free(struct quic_server *s)
{
	if (s == NULL)
		return;
	assert(s->counts.conns == 0);
	quic_grave_fini(&s->graves);
	sodium_memzero(&s->conf, sizeof(s->conf));
	free(s);
}

void
quic_server_set_tls(struct quic_server *s, struct tls *tls)
{
	(void)quic_session_offer(tls); /* fails only the first time */
	s->conf.conn.tls = tls;
}

const struct quic_counts *
quic_server_counts(const struct quic_server *s)
{
	return &s->counts;
}

/* May one more stranger be answered?  Not more than so many a second. */
static bool
may_answer(struct quic_server *s, uint64_t now)
{
	uint64_t more;

	if (now > s->answers_at) {
		more = (now - s->answers_at) / NGTCP2_MILLISECONDS *
		       ANSWERS_PER_SECOND / 1000;
		if (more > 0) {
			s->answers_at = now;
			s->answers = s->answers + more < ANSWERS_BURST
					 ? s->answers + more
					 : ANSWERS_BURST;
		}
	}
	if (s->answers == 0)
		return false;
	s->answers--;
	return true;
}

static void
answer(struct quic_server *s, const struct arrival *a, const uint8_t *p,
    ngtcp2_ssize len)
{
	if (len > 0)
		s->ops->send(
		    s->arg, (struct view){p, (size_t)len}, a->peer, a->local);
}

static void
send_versions(struct quic_server *s, const struct arrival *a,
    const ngtcp2_version_cid *vc)
{
	static const uint32_t ours[] = {
	    NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};
	uint8_t buf[STRANGER_MAX], any;

	if (a->bytes.len < QUIC_PAYLOAD_MIN || !may_answer(s, a->now))
		return;
	randombytes_buf(&any, sizeof(any));
	answer(s, a, buf,
	    ngtcp2_pkt_write_version_negotiation(buf, sizeof(buf), any,
		vc->scid, vc->scidlen, vc->dcid, vc->dcidlen, ours,
		sizeof(ours) / sizeof(ours[0])));
}

static int
reset_token(const struct quic_server *s, const ngtcp2_cid *cid,
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN])
{
	if (ngtcp2_crypto_generate_stateless_reset_token(token,
		s->conf.reset_key, sizeof(s->conf.reset_key), cid) != 0) {
		log_error("cannot make a stateless reset token");
		return ERR_TLS;
	}
	return OK;
}

/*
 * A packet of a connection we do not know (any more): tell its sender.  Always
 * shorter than what came, so that two such servers do not go on for ever.
 */
static void
send_reset(struct quic_server *s, const struct arrival *a,
    const ngtcp2_version_cid *vc)
{
	ngtcp2_stateless_reset_token token;
	uint8_t buf[RESET_MAX], any[RESET_MAX];
	size_t len = a->bytes.len - 1;
	ngtcp2_cid cid;

	s->counts.garbage++;
	if (len < RESET_MIN || !may_answer(s, a->now))
		return;
	if (len > RESET_MAX)
		len = RESET_MAX;
	ngtcp2_cid_init(&cid, vc->dcid, vc->dcidlen);
	if (reset_token(s, &cid, token.data) != OK)
		return;
	randombytes_buf(any, sizeof(any));
	s->counts.resets++;
	answer(s, a, buf,
	    ngtcp2_pkt_write_stateless_reset2(
		buf, len, &token, any, len - NGTCP2_STATELESS_RESET_TOKENLEN));
}

static void
send_retry(
    struct quic_server *s, const struct arrival *a, const ngtcp2_pkt_hd *hd)
{
	uint8_t buf[STRANGER_MAX], token[QUIC_TOKEN_MAX];
	ngtcp2_cid scid = {.datalen = QUIC_CID_BYTES};
	size_t n;

	randombytes_buf(scid.data, scid.datalen);
	n = quic_token_retry(
	    s->conf.token_key, hd, &scid, a->peer, a->now, token);
	if (n == 0)
		return;
	s->counts.retries++;
	answer(s, a, buf,
	    ngtcp2_crypto_write_retry(buf, sizeof(buf), hd->version, &hd->scid,
		&scid, &hd->dcid, token, n));
}

static void
send_refusal(struct quic_server *s, const struct arrival *a,
    const ngtcp2_pkt_hd *hd, uint64_t code)
{
	uint8_t buf[STRANGER_MAX];

	s->counts.refused++;
	answer(s, a, buf,
	    ngtcp2_crypto_write_connection_close(buf, sizeof(buf), hd->version,
		&hd->scid, &hd->dcid, code, NULL, 0));
}

/* Make cid lead to q. */
static int
lead(struct quic_server *s, const ngtcp2_cid *cid, struct quic *q)
{
	struct quic_cid *c;
	int r;

	r = quic_cid_add(&s->cids, cid->data, cid->datalen, &c);
	if (r != OK)
		return r;
	c->quic = q;
	c->next = q->origin.cids;
	q->origin.cids = c;
	return OK;
}

int
quic_server_new_cid(struct quic *q, ngtcp2_cid *cid, uint8_t *token, size_t len)
{
	struct quic_server *s = q->origin.server;
	int r;

	cid->datalen = len;
	randombytes_buf(cid->data, len);
	if ((r = reset_token(s, cid, token)) != OK)
		return r;
	return lead(s, cid, q);
}

void
quic_server_retire_cid(struct quic *q, const ngtcp2_cid *cid)
{
	struct quic_cid **at, *c;

	for (at = &q->origin.cids; (c = *at) != NULL; at = &c->next) {
		if (c->len == cid->datalen &&
		    memcmp(c->bytes, cid->data, c->len) == 0) {
			*at = c->next;
			quic_cid_free(&q->origin.server->cids, c);
			return;
		}
	}
}

static void
leave_half_open(struct quic *q)
{
	if (!q->origin.half_open)
		return;
	q->origin.half_open = false;
	q->origin.server->counts.half_open--;
}

void
quic_server_give_token(struct quic *q, const struct addr *peer)
{
	struct quic_server *s = q->origin.server;
	uint8_t token[QUIC_TOKEN_MAX];
	size_t n;

	n = quic_token_regular(s->conf.token_key, peer, q->now, token);
	if (n > 0) /* without memory the client just gets none */
		(void)ngtcp2_conn_submit_new_token(q->conn, token, n);
}

void
quic_server_completed(struct quic *q)
{
	leave_half_open(q);
	q->origin.server->counts.accepted++;
	quic_server_give_token(q, &q->peer);
}

/* Did it end with words, ours or the peer's?  Otherwise it just vanished. */
static bool
is_to_be_buried(const struct quic *q)
{
	return q->last_words != NULL || q->end.kind == QUIC_CLOSED_APP ||
	       q->end.kind == QUIC_CLOSED_TRANSPORT;
}

void
quic_server_forget(struct quic *q)
{
	struct quic_server *s = q->origin.server;
	struct quic_cid *c;

	leave_half_open(q);
	if (is_to_be_buried(q)) {
		quic_grave_dig(&s->graves, q->origin.cids, q->last_words,
		    q->now + 3 * ngtcp2_conn_get_pto(q->conn));
		q->origin.cids = NULL;
		q->last_words = NULL;
	}
	while ((c = q->origin.cids) != NULL) {
		q->origin.cids = c->next;
		quic_cid_free(&s->cids, c);
	}
	quic_crowd_leave(&s->crowds, q->origin.crowd);
	s->counts.conns--;
	q->origin.server = NULL;
}

/* What is told before q has an owner. */
static void
send_last_words(struct quic_server *s, struct quic *q)
{
	uint8_t buf[STRANGER_MAX];
	struct quic_burst b;

	quic_write(q, buf, sizeof(buf), &b, q->now);
	if (b.len > 0)
		s->ops->send(s->arg, (struct view){buf, b.len}, &b.to, &b.from);
}

/* A stranger's first packet holds: make a connection of it. */
static int
make(struct quic_server *s, const struct arrival *a, struct quic_first *f,
    struct quic **out)
{
	struct quic_origin origin = {.server = s, .half_open = true};
	struct quic *q;
	int r;

	f->scid.datalen = QUIC_CID_BYTES;
	randombytes_buf(f->scid.data, f->scid.datalen);
	if ((r = reset_token(s, &f->scid, f->reset_token)) != OK)
		return r;
	if ((r = quic_crowd_join(&s->crowds, a->peer, &origin.crowd)) != OK)
		return r;
	r = quic_server_side_new(&q, &s->conf.conn, &origin, f, a->now);
	if (r != OK) {
		quic_crowd_leave(&s->crowds, origin.crowd);
		return r;
	}
	s->counts.conns++;
	s->counts.half_open++;
	if ((r = lead(s, &f->hd->dcid, q)) != OK ||
	    (r = lead(s, &f->scid, q)) != OK) {
		quic_free(q);
		return r;
	}
	*out = q;
	return OK;
}

/* Its first packet is read before anybody hears of q: most junk ends here. */
static void
introduce(struct quic_server *s, const struct arrival *a,
    const ngtcp2_pkt_hd *hd, struct quic *q)
{
	const struct quic_ops *ops = NULL;
	void *arg;
	int r;

	r = quic_take(q, a->bytes, a->local, a->peer, a->ecn, a->now);
	if (q->end.kind != QUIC_ALIVE) {
		if (r == NGTCP2_ERR_RETRY)
			send_retry(s, a, hd);
		else if (r == NGTCP2_ERR_DROP_CONN)
			s->counts.garbage++;
		send_last_words(s, q);
		quic_free(q);
		return;
	}
	if ((arg = s->ops->accept(s->arg, q, &ops)) == NULL) {
		quic_free(q);
		send_refusal(s, a, hd, NGTCP2_CONNECTION_REFUSED);
		return;
	}
	q->ops = ops;
	q->arg = arg;
	s->ops->touched(arg);
}

/* Does the stranger have to wait, or go? */
static bool
is_welcome(struct quic_server *s, const struct arrival *a,
    const ngtcp2_pkt_hd *hd, enum quic_token token)
{
	const struct quic_server_conf *conf = &s->conf;

	if (token == QUIC_TOKEN_WRONG) {
		send_refusal(s, a, hd, NGTCP2_INVALID_TOKEN);
		return false;
	}
	if (s->counts.half_open >= conf->max_half_open) {
		s->counts.refused++;
		return false;
	}
	if (s->counts.conns >= conf->max_conns ||
	    quic_crowd_count(&s->crowds, a->peer) >= conf->max_per_addr) {
		send_refusal(s, a, hd, NGTCP2_CONNECTION_REFUSED);
		return false;
	}
	if (token == QUIC_TOKEN_NONE &&
	    s->counts.half_open >= conf->retry_from) {
		send_retry(s, a, hd);
		return false;
	}
	return true;
}

static void
read_first(struct quic_server *s, const struct arrival *a)
{
	ngtcp2_pkt_hd hd;
	ngtcp2_cid odcid;
	struct quic_first f = {
	    .hd = &hd, .odcid = &hd.dcid, .local = a->local, .peer = a->peer};
	enum quic_token token;
	struct quic *q;

	if (a->bytes.len < QUIC_PAYLOAD_MIN ||
	    ngtcp2_accept(&hd, a->bytes.p, a->bytes.len) != 0 ||
	    hd.type != NGTCP2_PKT_INITIAL) {
		s->counts.garbage++;
		return;
	}
	token =
	    quic_token_read(s->conf.token_key, &hd, a->peer, a->now, &odcid);
	if (token != QUIC_TOKEN_RETRY &&
	    hd.dcid.datalen < NGTCP2_MIN_INITIAL_DCIDLEN) {
		s->counts.garbage++;
		return;
	}
	if (!is_welcome(s, a, &hd, token))
		return;
	if (token == QUIC_TOKEN_RETRY) {
		f.odcid = &odcid;
		f.retry_scid = &hd.dcid;
		f.token_type = NGTCP2_TOKEN_TYPE_RETRY;
	} else if (token == QUIC_TOKEN_REGULAR) {
		f.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
	}
	if (make(s, a, &f, &q) == OK)
		introduce(s, a, &hd, q);
	else
		s->counts.refused++;
}

/* A packet of a connection that is over, perhaps because its end was lost. */
static void
disturb(struct quic_server *s, const struct arrival *a, struct quic_grave *g)
{
	const struct quic_held *words = quic_grave_heard(g, a->bytes.len);

	if (words != NULL)
		answer(s, a, words->bytes, (ngtcp2_ssize)words->len);
}

/* The datagram's first packet has id vc->dcid, of which we know. */
static void
read_known(struct quic_server *s, const struct arrival *a, struct quic_cid *c)
{
	struct quic *q = c->quic;

	if (q == NULL) {
		disturb(s, a, c->grave);
		return;
	}
	quic_read(q, a->bytes, a->local, a->peer, a->ecn, a->now);
	s->ops->touched(q->arg);
}

static bool
is_routable(const struct addr *a)
{
	return a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6;
}

void
quic_server_read(struct quic_server *s, struct view datagram,
    const struct addr *local, const struct addr *peer, uint8_t ecn,
    uint64_t now)
{
	struct arrival a = {datagram, local, peer, ecn, now};
	ngtcp2_version_cid vc;
	struct quic_cid *c;
	int r = NGTCP2_ERR_INVALID_ARGUMENT;

	assert(is_routable(local) && is_routable(peer));
	quic_grave_expire(&s->graves, now);
	if (datagram.len > 0)
		r = ngtcp2_pkt_decode_version_cid(
		    &vc, datagram.p, datagram.len, QUIC_CID_BYTES);
	if (r == NGTCP2_ERR_VERSION_NEGOTIATION)
		send_versions(s, &a, &vc);
	else if (r != 0)
		s->counts.garbage++;
	else if ((c = quic_cid_find(&s->cids, vc.dcid, vc.dcidlen)) != NULL)
		read_known(s, &a, c);
	else if (datagram.p[0] & 0x80)
		read_first(s, &a);
	else
		send_reset(s, &a, &vc);
}
