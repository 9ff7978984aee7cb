/* SPDX-License-Identifier: ISC */
/* Streams, and what ngtcp2 says about them. */
#include <stdlib.h>

#include "base/log.h"
#include "quic/conn.h"

/* What we say to a peer whose stream nobody wants. */
#define CODE_UNWANTED 0x13

struct quic_stream *
quic_stream_new(struct quic *q, void *user, int64_t id)
{
	struct quic_stream *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->quic = q;
	s->user = user;
	s->id = id;
	TAILQ_INSERT_TAIL(&q->streams, s, all);
	return s;
}

void
quic_stream_free(struct quic_stream *s)
{
	quic_stream_unqueue(s);
	if (s->fin_unsure)
		s->quic->fins_unsure--;
	TAILQ_REMOVE(&s->quic->streams, s, all);
	free(s);
}

void
quic_stream_free_all(struct quic *q)
{
	struct quic_stream *s, *next;
	void *user;

	for (s = TAILQ_FIRST(&q->streams); s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		user = s->user;
		if (q->conn != NULL)
			(void)ngtcp2_conn_set_stream_user_data(
			    q->conn, s->id, NULL);
		quic_stream_free(s);
		q->ops->closed(user);
	}
}

void
quic_stream_queue(struct quic_stream *s)
{
	if (s->queued)
		return;
	TAILQ_INSERT_TAIL(&s->quic->ready, s, ready);
	s->queued = true;
}

void
quic_stream_unqueue(struct quic_stream *s)
{
	if (!s->queued)
		return;
	TAILQ_REMOVE(&s->quic->ready, s, ready);
	s->queued = false;
}

void
quic_stream_shut(struct quic_stream *s)
{
	quic_stream_unqueue(s);
	if (s->write_ended)
		return;
	s->write_ended = true;
	s->quic->ops->reset(s->user, 0);
}

static void
tell_acked(struct quic_stream *s, uint64_t n, bool fin)
{
	if (fin)
		s->fin_told = true;
	if (s->fin_unsure && fin) {
		s->fin_unsure = false;
		s->quic->fins_unsure--;
	}
	s->quic->ops->acked(s->user, (size_t)n, fin);
}

/*
 * All bytes of s are acknowledged, and of a FIN that went alone nothing was
 * heard.  If it is on its way still, then within two probe time-outs it is
 * either acknowledged or declared lost.  If neither, it went with the bytes.
 */
static bool
fin_went_along(struct quic_stream *s)
{
	struct quic *q = s->quic;
	size_t losses = ngtcp2_conn_get_stream_loss_count(q->conn, s->id);

	if (losses != s->unsure_losses) {
		s->unsure_losses = losses;
		s->unsure_since = q->now;
		return false;
	}
	return q->now - s->unsure_since >= 2 * ngtcp2_conn_get_pto(q->conn);
}

static void
doubt_fin(struct quic_stream *s)
{
	struct quic *q = s->quic;

	s->fin_unsure = true;
	s->unsure_since = q->now;
	s->unsure_losses = ngtcp2_conn_get_stream_loss_count(q->conn, s->id);
	q->fins_unsure++;
}

void
quic_stream_settle(struct quic *q)
{
	struct quic_stream *s;
	ngtcp2_conn_info in;

	if (q->fins_unsure == 0)
		return;
	ngtcp2_conn_get_conn_info(q->conn, &in);
	TAILQ_FOREACH(s, &q->streams, all) {
		if (s->fin_unsure &&
		    (in.bytes_in_flight == 0 || fin_went_along(s)))
			tell_acked(s, 0, true);
	}
}

/* Nobody wants it: ask the peer to stop, and say nothing on it ourselves. */
static int
ignore(struct quic *q, int64_t id)
{
	log_trace("ignoring stream %lld", (long long)id);
	if (ngtcp2_conn_shutdown_stream(q->conn, 0, id, CODE_UNWANTED) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int
on_open(ngtcp2_conn *conn, int64_t id, void *arg)
{
	struct quic *q = arg;
	struct quic_stream *s;

	if (q->ops == NULL)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	if (!ngtcp2_is_bidi_stream(id))
		return ignore(q, id);
	if ((s = quic_stream_new(q, NULL, id)) == NULL)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	/* Before accept(), which may want to use it. */
	(void)ngtcp2_conn_set_stream_user_data(conn, id, s);
	s->user = q->ops->accept(q->arg, id);
	if (s->user == NULL) {
		(void)ngtcp2_conn_set_stream_user_data(conn, id, NULL);
		quic_stream_free(s);
		if (quic_verdict(q) == 0)
			return ignore(q, id);
	}
	return quic_verdict(q);
}

static int
on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
    const uint8_t *p, size_t len, void *arg, void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;

	(void)offset;
	if (s == NULL) { /* nobody's: what it used of the window comes back */
		(void)ngtcp2_conn_extend_max_stream_offset(conn, id, len);
		ngtcp2_conn_extend_max_offset(conn, len);
		return 0;
	}
	q->ops->data(s->user, (struct view){p, len},
	    (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
	return quic_verdict(q);
}

/*
 * ngtcp2 reports bytes in order, and a FIN that went alone as zero bytes.  But
 * when such a FIN was lost together with bytes before it, they are sent again
 * as one, and reported without a word about the FIN.
 */
static int
on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len,
    void *arg, void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;
	bool all;

	(void)conn;
	(void)offset;
	if (s == NULL || s->fin_told)
		return 0;
	s->acked += len;
	quic_mtu_acked(q, id, s->acked);
	if (len == 0)
		s->fin_heard = true;
	all = s->fin_sent && s->acked == s->sent;
	if (all && s->fin_alone && !s->fin_heard && !s->fin_unsure)
		doubt_fin(s);
	if (len > 0 || all)
		tell_acked(s, len, all && (!s->fin_alone || s->fin_heard));
	return quic_verdict(q);
}

static int
on_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *arg,
    void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;

	(void)conn;
	(void)id;
	(void)size;
	if (s != NULL)
		q->ops->reset(s->user, code);
	return quic_verdict(q);
}

/* There is room in the stream's window again. */
static int
on_window(ngtcp2_conn *conn, int64_t id, uint64_t max, void *arg, void *stream)
{
	struct quic_stream *s = stream;

	(void)conn;
	(void)id;
	(void)max;
	(void)arg;
	if (s != NULL && !s->fin_sent && !s->write_ended)
		quic_stream_queue(s);
	return 0;
}

static int
on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code,
    void *arg, void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;
	void *user;

	(void)code;
	if (!ngtcp2_conn_is_local_stream(conn, id)) {
		if (ngtcp2_is_bidi_stream(id))
			ngtcp2_conn_extend_max_streams_bidi(conn, 1);
		else
			ngtcp2_conn_extend_max_streams_uni(conn, 1);
	}
	if (s == NULL)
		return 0;
	if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) &&
	    s->fin_sent && !s->fin_told)
		tell_acked(s, s->sent - s->acked, true);
	user = s->user;
	quic_stream_free(s);
	q->ops->closed(user);
	return quic_verdict(q);
}

void
quic_stream_callbacks(ngtcp2_callbacks *cb)
{
	cb->stream_open = on_open;
	cb->recv_stream_data = on_data;
	cb->acked_stream_data_offset = on_acked;
	cb->stream_reset = on_reset;
	cb->extend_max_stream_data = on_window;
	cb->stream_close = on_close;
}
