/* SPDX-License-Identifier: ISC */
/* Streams, and what ngtcp2 says about them. */
#include <stdlib.h>

#include "base/log.h"
#include "quic/conn.h"

/* What we say to a peer whose stream nobody wants. */
#define CODE_UNWANTED 0x13

/* So many streams of a peer's that ngtcp2 never closes, until the connection
 * is begun anew. */
#define STUCK_MAX 256

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

/* Of its FIN nothing more is to be found out. */
static void
stop_doubting(struct quic_stream *s)
{
	if (s->fin_unsure)
		s->quic->fins_unsure--;
	s->fin_unsure = false;
}

void
quic_stream_forget(struct quic_stream *s)
{
	quic_stream_unqueue(s);
	stop_doubting(s);
	s->user = NULL;
	s->write_ended = true;
}

void
quic_stream_free(struct quic_stream *s)
{
	quic_stream_unqueue(s);
	stop_doubting(s);
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
		if (user != NULL)
			q->ops->closed(user);
	}
}

static struct quic_streams *
queue_of(const struct quic_stream *s)
{
	return &s->quic->ready[quic_is_uni(s->id)];
}

void
quic_stream_queue(struct quic_stream *s)
{
	if (s->queued)
		return;
	TAILQ_INSERT_TAIL(queue_of(s), s, ready);
	s->queued = true;
}

void
quic_stream_unqueue(struct quic_stream *s)
{
	if (!s->queued)
		return;
	TAILQ_REMOVE(queue_of(s), s, ready);
	s->queued = false;
}

void
quic_stream_shut(struct quic_stream *s)
{
	quic_stream_unqueue(s);
	if (s->write_ended)
		return;
	s->write_ended = true;
	if (!quic_is_uni(s->id)) /* else on_close() tells, and the code */
		s->quic->ops->reset(s->user, 0);
}

static void
tell_acked(struct quic_stream *s, uint64_t n, bool fin)
{
	if (fin) {
		s->fin_told = true;
		stop_doubting(s);
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

/* Somebody listens: it was accepted, and not broken off by us since. */
static bool
is_wanted(const struct quic_stream *s)
{
	return s != NULL && s->user != NULL;
}

static int
on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
    const uint8_t *p, size_t len, void *arg, void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;

	(void)offset;
	if (!is_wanted(s)) { /* what it used of the window comes back */
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
	if (!is_wanted(s) || s->fin_told)
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

/*
 * A stream of the peer's of one direction is over with its RESET_STREAM.
 * ngtcp2 1.22 closes it now, but never if it had heard nothing else of it, and
 * keeps it for ever.
 */
static void
end_by_reset(struct quic_stream *s, uint64_t code)
{
	struct quic *q = s->quic;
	void *user = s->user;

	q->ops->reset(user, code);
	if (s->user == NULL)
		return; /* quic_stop() has said that nothing more is told */
	s->was_reset = true;
	quic_stream_forget(s);
	q->ops->closed(user);
	if (++q->stuck > STUCK_MAX)
		quic_fail(q, QUIC_FAILED, NGTCP2_ERR_PROTO);
}

static int
on_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *arg,
    void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;

	(void)conn;
	(void)size;
	if (is_wanted(s) && quic_is_uni(id))
		end_by_reset(s, code);
	else if (is_wanted(s))
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

/* What of its end its owner has not heard yet. */
static void
tell_end(struct quic_stream *s, bool broken, uint64_t code)
{
	struct quic *q = s->quic;

	if (!broken && s->fin_sent && !s->fin_told)
		tell_acked(s, s->sent - s->acked, true);
	if (broken && quic_is_uni(s->id) && !s->fin_told &&
	    ngtcp2_conn_is_local_stream(q->conn, s->id))
		q->ops->reset(s->user, code);
}

/* A stream of the peer's is over: may it open another? */
static void
give_back_place(struct quic *q, const struct quic_stream *s, int64_t id)
{
	if (!quic_is_uni(id))
		ngtcp2_conn_extend_max_streams_bidi(q->conn, 1);
	else if (s != NULL && s->was_reset)
		q->stuck--; /* its owner knows, and has given it back */
	else if (!is_wanted(s))
		ngtcp2_conn_extend_max_streams_uni(q->conn, 1);
}

static int
on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code,
    void *arg, void *stream)
{
	struct quic *q = arg;
	struct quic_stream *s = stream;
	void *user;

	if (!ngtcp2_conn_is_local_stream(conn, id))
		give_back_place(q, s, id);
	if (s == NULL)
		return 0;
	if (is_wanted(s))
		tell_end(s, flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET,
		    code);
	user = s->user;
	quic_stream_free(s);
	if (user != NULL)
		q->ops->closed(user);
	return quic_verdict(q);
}

static int
on_more_streams(ngtcp2_conn *conn, uint64_t max, void *arg)
{
	struct quic *q = arg;

	(void)conn;
	(void)max;
	if (q->ops != NULL && q->ops->more_streams != NULL)
		q->ops->more_streams(q->arg);
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
	cb->extend_max_local_streams_uni = on_more_streams;
}
