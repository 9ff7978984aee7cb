/* SPDX-License-Identifier: ISC */
/* The life of a connection: born, fed, ended, freed. */
#include <assert.h>
#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "quic/conn.h"

/* A client's first guess at the server's connection id, and tokens of it. */
#define FIRST_DCID_BYTES 16

/* The most packets of ours that answer what comes after the last words. */
#define LAST_WORDS_MAX 4

static const uint32_t VERSIONS[] = {NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};
#define N_VERSIONS (sizeof(VERSIONS) / sizeof(VERSIONS[0]))

uint64_t
quic_tick(struct quic *q, uint64_t now)
{
	if (now > q->now)
		q->now = now;
	return q->now;
}

int
quic_verdict(const struct quic *q)
{
	return q->end.kind == QUIC_ALIVE ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Keep a copy of what somebody said at the end; without memory, nothing. */
static struct view
keep_reason(struct quic *q, const uint8_t *p, size_t len)
{
	if (len > QUIC_REASON_MAX)
		len = QUIC_REASON_MAX;
	if (len == 0 || (q->reason = malloc(len)) == NULL)
		return (struct view){NULL, 0};
	memcpy(q->reason, p, len);
	return (struct view){q->reason, len};
}

/* The peer closed, or forgot us. */
static void
end_by_peer(struct quic *q)
{
	const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr(q->conn);

	if (q->end.kind != QUIC_ALIVE)
		return; /* a stateless reset, or we were first */
	q->end.kind = e->type == NGTCP2_CCERR_TYPE_APPLICATION
			  ? QUIC_CLOSED_APP
			  : QUIC_CLOSED_TRANSPORT;
	q->end.code = e->error_code;
	q->end.reason = keep_reason(q, e->reason, e->reasonlen);
}

void
quic_fail(struct quic *q, enum quic_end_kind kind, int liberr)
{
	char peer[ADDR_TEXT];

	if (q->end.kind != QUIC_ALIVE)
		return;
	q->end.kind = kind;
	if (liberr == NGTCP2_ERR_CRYPTO)
		ngtcp2_ccerr_set_tls_alert(
		    &q->error, ngtcp2_conn_get_tls_alert(q->conn), NULL, 0);
	else
		ngtcp2_ccerr_set_liberr(&q->error, liberr, NULL, 0);
	q->end.code = q->error.error_code;
	log_debug("%s: connection failed: %s (0x%llx)",
	    addr_text(&q->peer, peer), ngtcp2_strerror(liberr),
	    (unsigned long long)q->end.code);
}

static void
judge_read(struct quic *q, int r)
{
	switch (r) {
	case 0:
	case NGTCP2_ERR_CLOSING:
		break;
	case NGTCP2_ERR_DRAINING:
		end_by_peer(q);
		break;
	case NGTCP2_ERR_RETRY:
	case NGTCP2_ERR_DROP_CONN:
		quic_fail(q, QUIC_DROPPED, NGTCP2_ERR_DROP_CONN);
		break;
	case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
		quic_fail(q, QUIC_VERSION, r);
		break;
	default:
		quic_fail(q, QUIC_FAILED, r);
	}
}

static void
rand_bytes(uint8_t *p, size_t n, const ngtcp2_rand_ctx *ctx)
{
	(void)ctx;
	randombytes_buf(p, n);
}

static int
on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid,
    ngtcp2_stateless_reset_token *token, size_t len, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	if (q->origin.server == NULL)
		return NGTCP2_ERR_CALLBACK_FAILURE; /* a client has no ids */
	if (quic_server_new_cid(q, cid, token->data, len) != OK)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int
on_retire_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	if (q->origin.server != NULL)
		quic_server_retire_cid(q, cid);
	return 0;
}

static int
on_completed(ngtcp2_conn *conn, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	if (q->ops == NULL)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	q->completed = true;
	quic_session_complete(&q->session);
	if (q->origin.server != NULL)
		quic_server_completed(q);
	q->peer_name = quic_session_peer_name(&q->session);
	q->ops->ready(q->arg);
	return quic_verdict(q);
}

/*
 * A server that confirms what we have not finished yet: ngtcp2 1.22 then throws
 * away what it is about to write from, and falls over it.  It must not be asked
 * to write anything any more, not even a CONNECTION_CLOSE.
 */
static int
on_confirmed(ngtcp2_conn *conn, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	if (q->finished)
		return 0;
	quic_fail(q, QUIC_FAILED, NGTCP2_ERR_PROTO);
	q->said = true;
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* The client is where it says it is: a token for its new address. */
static int
on_path_validation(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,
    const ngtcp2_path *fallback, ngtcp2_path_validation_result res, void *arg)
{
	struct quic *q = arg;
	struct addr a = {.len = path->remote.addrlen};

	(void)conn;
	(void)fallback;
	if (res != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS ||
	    !(flags & NGTCP2_PATH_VALIDATION_FLAG_NEW_TOKEN) ||
	    q->origin.server == NULL)
		return 0;
	memcpy(&a.in6, path->remote.addr, path->remote.addrlen);
	quic_server_give_token(q, &a);
	return 0;
}

static int
on_stateless_reset(
    ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset2 *sr, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	(void)sr;
	if (q->end.kind == QUIC_ALIVE)
		q->end.kind = QUIC_RESET;
	return 0;
}

static ngtcp2_callbacks
callbacks(void)
{
	ngtcp2_callbacks cb = {
	    .rand = rand_bytes,
	    .handshake_completed = on_completed,
	    .handshake_confirmed = on_confirmed,
	    .get_new_connection_id2 = on_new_cid,
	    .remove_connection_id = on_retire_cid,
	    .path_validation = on_path_validation,
	    .recv_stateless_reset2 = on_stateless_reset,
	};

	quic_session_callbacks(&cb);
	quic_stream_callbacks(&cb);
	return cb;
}

static ngtcp2_settings
settings(const struct quic_conf *conf, uint64_t now)
{
	ngtcp2_settings st;

	ngtcp2_settings_default(&st);
	st.initial_ts = now;
	st.cc_algo = conf->bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
	if (conf->handshake_ns > 0)
		st.handshake_timeout = conf->handshake_ns;
	st.preferred_versions = VERSIONS;
	st.preferred_versionslen = N_VERSIONS;
	st.available_versions = VERSIONS;
	st.available_versionslen = N_VERSIONS;
	quic_mtu_settings(&st, conf->payload_max);
	return st;
}

/* What a transport parameter can hold: ngtcp2 would assert. */
static uint64_t
varint(uint64_t v)
{
	return v < NGTCP2_MAX_VARINT ? v : NGTCP2_MAX_VARINT;
}

static ngtcp2_transport_params
params(const struct quic_conf *conf)
{
	ngtcp2_transport_params tp;

	ngtcp2_transport_params_default(&tp);
	tp.initial_max_stream_data_bidi_local = varint(conf->stream_window);
	tp.initial_max_stream_data_bidi_remote = varint(conf->stream_window);
	tp.initial_max_stream_data_uni = varint(conf->lane_window);
	tp.initial_max_data = varint(conf->conn_window);
	tp.initial_max_streams_bidi = conf->streams_bidi;
	tp.initial_max_streams_uni = conf->streams_uni;
	tp.max_idle_timeout = varint(conf->idle_ns);
	tp.max_udp_payload_size = quic_mtu_advertised(conf->payload_max);
	return tp;
}

static struct quic *
make(const struct addr *peer, uint64_t now)
{
	struct quic *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	TAILQ_INIT(&q->streams);
	TAILQ_INIT(&q->ready[0]);
	TAILQ_INIT(&q->ready[1]);
	ngtcp2_ccerr_default(&q->error);
	q->now = now;
	q->peer = *peer;
	return q;
}

/* conn has been made: what both sides set. */
static void
start(struct quic *q, const struct quic_conf *conf)
{
	quic_session_join(&q->session, q->conn);
	if (conf->keep_alive_ns > 0)
		ngtcp2_conn_set_keep_alive_timeout(
		    q->conn, conf->keep_alive_ns);
}

int
quic_client_new(struct quic **out, const struct quic_conf *conf,
    const struct quic_ops *ops, void *arg, const char *host,
    const struct addr *local, const struct addr *peer, uint64_t now)
{
	ngtcp2_callbacks cb = callbacks();
	ngtcp2_settings st = settings(conf, now);
	ngtcp2_transport_params tp = params(conf);
	ngtcp2_cid dcid = {.datalen = FIRST_DCID_BYTES};
	ngtcp2_cid scid = {0}; /* our socket is ours alone */
	ngtcp2_path_storage ps;
	struct quic *q;
	int r;

	if ((q = make(peer, now)) == NULL)
		return ERR_NOMEM;
	q->ops = ops;
	q->arg = arg;
	r = quic_session_init_client(
	    &q->session, conf->tls, host, addr_is_loopback(peer));
	if (r != OK)
		goto fail;
	randombytes_buf(dcid.data, dcid.datalen);
	ngtcp2_path_storage_init(
	    &ps, &local->sa, local->len, &peer->sa, peer->len, NULL);
	r = ERR_NOMEM;
	if (ngtcp2_conn_client_new(&q->conn, &dcid, &scid, &ps.path,
		NGTCP2_PROTO_VER_V1, &cb, &st, &tp, NULL, q) != 0)
		goto fail;
	start(q, conf);
	*out = q;
	return OK;

fail:
	quic_free(q);
	return r;
}

int
quic_server_side_new(struct quic **out, const struct quic_conf *conf,
    const struct quic_origin *origin, const struct quic_first *first,
    uint64_t now)
{
	ngtcp2_callbacks cb = callbacks();
	ngtcp2_settings st = settings(conf, now);
	ngtcp2_transport_params tp = params(conf);
	ngtcp2_path_storage ps;
	struct quic *q;
	int r;

	if ((q = make(first->peer, now)) == NULL)
		return ERR_NOMEM;
	q->origin = *origin;
	if ((r = quic_session_init_server(&q->session, conf->tls)) != OK)
		goto fail;
	if (first->token_type != NGTCP2_TOKEN_TYPE_UNKNOWN) {
		st.token = first->hd->token;
		st.tokenlen = first->hd->tokenlen;
		st.token_type = first->token_type;
	}
	tp.original_dcid = *first->odcid;
	tp.original_dcid_present = 1;
	if (first->retry_scid != NULL) {
		tp.retry_scid = *first->retry_scid;
		tp.retry_scid_present = 1;
	}
	memcpy(tp.stateless_reset_token, first->reset_token,
	    NGTCP2_STATELESS_RESET_TOKENLEN);
	tp.stateless_reset_token_present = 1;
	ngtcp2_path_storage_init(&ps, &first->local->sa, first->local->len,
	    &first->peer->sa, first->peer->len, NULL);
	r = ERR_NOMEM;
	if (ngtcp2_conn_server_new(&q->conn, &first->hd->scid, &first->scid,
		&ps.path, first->hd->version, &cb, &st, &tp, NULL, q) != 0)
		goto fail;
	start(q, conf);
	*out = q;
	return OK;

fail:
	q->origin = (struct quic_origin){0}; /* the caller's still */
	quic_free(q);
	return r;
}

void
quic_free(struct quic *q)
{
	if (q == NULL)
		return;
	assert(!q->entered);
	quic_stream_free_all(q);
	if (q->origin.server != NULL)
		quic_server_forget(q);
	quic_session_part(&q->session);
	if (q->conn != NULL)
		ngtcp2_conn_del(q->conn);
	quic_session_fini(&q->session);
	free(q->held);
	free(q->last_words);
	free(q->reason);
	free(q->peer_name);
	free(q);
}

bool
quic_says_again(unsigned n)
{
	return n < 1u << LAST_WORDS_MAX && (n & (n - 1)) == 0;
}

/* The client may have moved; ngtcp2 says where to. */
static void
note_peer(struct quic *q, const struct addr *from)
{
	const ngtcp2_addr *now;

	if (addr_equal(from, &q->peer))
		return;
	now = &ngtcp2_conn_get_path(q->conn)->remote;
	q->peer = (struct addr){.len = now->addrlen};
	memcpy(&q->peer.in6, now->addr, now->addrlen);
}

int
quic_take(struct quic *q, struct view datagram, const struct addr *local,
    const struct addr *peer, uint8_t ecn, uint64_t now)
{
	ngtcp2_pkt_info pi = {.ecn = ecn & NGTCP2_ECN_MASK};
	ngtcp2_path_storage ps;
	int r;

	ngtcp2_path_storage_init(
	    &ps, &local->sa, local->len, &peer->sa, peer->len, NULL);
	q->entered = true;
	r = ngtcp2_conn_read_pkt(q->conn, &ps.path, &pi, datagram.p,
	    datagram.len, quic_tick(q, now));
	q->entered = false;
	judge_read(q, r);
	if (q->completed && q->session.ssl != NULL)
		quic_session_settle(&q->session);
	if (q->end.kind == QUIC_ALIVE)
		quic_mtu_look(q, q->now, false);
	note_peer(q, peer);
	return r;
}

void
quic_read(struct quic *q, struct view datagram, const struct addr *local,
    const struct addr *peer, uint8_t ecn, uint64_t now)
{
	assert(!q->entered);
	if (datagram.len == 0)
		return;
	if (q->end.kind != QUIC_ALIVE)
		q->repeat = q->repeat || quic_says_again(++q->heard_after);
	else
		quic_take(q, datagram, local, peer, ecn, now);
}

void
quic_expire(struct quic *q, uint64_t now)
{
	int r;

	assert(!q->entered);
	if (q->end.kind != QUIC_ALIVE)
		return;
	now = quic_tick(q, now);
	q->entered = true;
	r = ngtcp2_conn_handle_expiry(q->conn, now);
	q->entered = false;
	if (r == NGTCP2_ERR_IDLE_CLOSE)
		quic_fail(q, QUIC_IDLE, r);
	else if (r == NGTCP2_ERR_HANDSHAKE_TIMEOUT)
		quic_fail(q, QUIC_HANDSHAKE_LATE, r);
	else if (r != 0)
		quic_fail(q, QUIC_FAILED, r);
	else
		quic_mtu_look(q, now, true);
}

uint64_t
quic_deadline(const struct quic *q)
{
	if (q->end.kind != QUIC_ALIVE)
		return UINT64_MAX;
	return ngtcp2_conn_get_expiry(q->conn);
}

const struct quic_end *
quic_end(const struct quic *q)
{
	return &q->end;
}

void
quic_close(struct quic *q, uint64_t code, struct view reason)
{
	struct view kept;

	if (q->end.kind != QUIC_ALIVE)
		return;
	kept = keep_reason(q, reason.p, reason.len);
	q->end.kind = QUIC_FAILED;
	q->end.code = code;
	ngtcp2_ccerr_set_application_error(&q->error, code, kept.p, kept.len);
}

bool
quic_is_uni(int64_t id)
{
	return !ngtcp2_is_bidi_stream(id);
}

static int
open_stream(struct quic *q, void *stream, int64_t *id,
    int (*start_it)(ngtcp2_conn *conn, int64_t *id, void *user))
{
	struct quic_stream *s;
	int r;

	if (q->end.kind != QUIC_ALIVE)
		return ERR_GONE;
	if ((s = quic_stream_new(q, stream, -1)) == NULL)
		return ERR_NOMEM;
	r = start_it(q->conn, &s->id, s);
	if (r != 0) {
		quic_stream_free(s);
		return r == NGTCP2_ERR_STREAM_ID_BLOCKED ? ERR_MORE : ERR_NOMEM;
	}
	*id = s->id;
	return OK;
}

int
quic_open_bidi(struct quic *q, void *stream, int64_t *id)
{
	return open_stream(q, stream, id, ngtcp2_conn_open_bidi_stream);
}

int
quic_open_uni(struct quic *q, void *stream, int64_t *id)
{
	return open_stream(q, stream, id, ngtcp2_conn_open_uni_stream);
}

void
quic_allow_uni(struct quic *q, size_t n)
{
	ngtcp2_conn_extend_max_streams_uni(q->conn, n);
}

static void
break_off(struct quic *q, int64_t id, uint64_t code)
{
	struct quic_stream *s = ngtcp2_conn_get_stream_user_data(q->conn, id);

	if (s == NULL || s->user == NULL)
		return;
	quic_stream_forget(s);
	if (ngtcp2_conn_shutdown_stream(q->conn, 0, id, code) != 0)
		quic_fail(q, QUIC_FAILED, NGTCP2_ERR_NOMEM);
}

void
quic_reset(struct quic *q, int64_t id, uint64_t code)
{
	assert(quic_is_uni(id) && ngtcp2_conn_is_local_stream(q->conn, id));
	break_off(q, id, code);
}

void
quic_stop(struct quic *q, int64_t id, uint64_t code)
{
	assert(quic_is_uni(id) && !ngtcp2_conn_is_local_stream(q->conn, id));
	break_off(q, id, code);
}

void
quic_wake(struct quic *q, int64_t id)
{
	struct quic_stream *s = ngtcp2_conn_get_stream_user_data(q->conn, id);

	if (s != NULL && !s->fin_sent && !s->write_ended)
		quic_stream_queue(s);
}

void
quic_credit_stream(struct quic *q, int64_t id, size_t n)
{
	/* Without memory the window stays small: the stream stalls, nothing
	 * worse. */
	(void)ngtcp2_conn_extend_max_stream_offset(q->conn, id, n);
}

void
quic_credit(struct quic *q, size_t n)
{
	ngtcp2_conn_extend_max_offset(q->conn, n);
}

void
quic_consumed(struct quic *q, int64_t id, size_t n)
{
	quic_credit_stream(q, id, n);
	quic_credit(q, n);
}

const struct addr *
quic_peer(const struct quic *q)
{
	return &q->peer;
}

const char *
quic_peer_name(const struct quic *q)
{
	return q->peer_name != NULL ? q->peer_name : "";
}

const char *
quic_refusal(const struct quic *q)
{
	return quic_session_refusal(&q->session);
}

struct view
quic_alpn(const struct quic *q)
{
	return q->session.alpn;
}

void
quic_info(const struct quic *q, struct quic_info *out)
{
	ngtcp2_conn_info in;

	ngtcp2_conn_get_conn_info(q->conn, &in);
	*out = (struct quic_info){
	    .rtt_ns = in.smoothed_rtt,
	    .cwnd = in.cwnd,
	    .in_flight = in.bytes_in_flight,
	    .lost_packets = in.pkt_lost,
	    .payload = quic_mtu_payload(q),
	};
}
