/* SPDX-License-Identifier: ISC */
/* What the two kinds of streams have to send, as one; and what became of it. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "link/mux.h"
#include "link/quiclink.h"
#include "wire/frame.h"
#include "wire/lane.h"

/* A chunk at most, while others wait for their turn. */
#define CHUNK_FAIR (16u << 10)
#define CHUNK_ALONE (64u << 10)

#define RING_MIN 16

int
mux_init(struct mux *m, struct link *l, bool client, size_t written)
{
	*m = (struct mux){.link = l, .client = client};
	TAILQ_INIT(&m->all);
	TAILQ_INIT(&m->ready);
	TAILQ_INIT(&m->talking);
	m->next_ours = client ? 2 : 3;
	m->next_theirs = client ? 3 : 2;
	m->allowed = client ? QUICLINK_LANES_MAX : 0;
	m->may_send = client ? QUICLINK_WINDOW_FIRST : QUICLINK_WINDOW_ALL;
	m->may_come = client ? QUICLINK_WINDOW_ALL : QUICLINK_WINDOW_FIRST;
	m->told = m->may_come;
	if (written == 0)
		return OK;
	if ((m->ring = calloc(RING_MIN, sizeof(*m->ring))) == NULL)
		return ERR_NOMEM;
	m->ring_cap = RING_MIN;
	m->ring[m->ring_n++] =
	    (struct mux_written){.own = true, .wire = written};
	return OK;
}

void
mux_fini(struct mux *m)
{
	struct muxlane *n;

	if (m->link == NULL)
		return;
	while ((n = TAILQ_FIRST(&m->all)) != NULL) {
		TAILQ_REMOVE(&m->all, n, all);
		free(n);
	}
	buf_fini(&m->talk);
	free(m->ring);
	m->ring = NULL;
}

/* --- what is written --- */

static struct mux_written *
at(const struct mux *m, size_t i)
{
	return &m->ring[(m->ring_head + i) & (m->ring_cap - 1)];
}

static int
grow(struct mux *m)
{
	size_t i, cap = m->ring_cap > 0 ? 2 * m->ring_cap : RING_MIN;
	struct mux_written *ring;

	if ((ring = malloc(cap * sizeof(*ring))) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < m->ring_n; i++)
		ring[i] = *at(m, i);
	free(m->ring);
	m->ring = ring;
	m->ring_cap = cap;
	m->ring_head = 0;
	return OK;
}

static int
note(struct mux *m, struct mux_written w)
{
	int r;

	if (m->ring_n == m->ring_cap && (r = grow(m)) != OK)
		return r;
	*at(m, m->ring_n++) = w;
	return OK;
}

void
mux_disown(struct mux *m, const struct muxlane *n)
{
	size_t i;

	for (i = 0; i < m->ring_n; i++)
		if (at(m, i)->lane == n)
			at(m, i)->lane = NULL;
}

void
mux_acked(struct mux *m, size_t n)
{
	struct mux_written *w;
	size_t k;

	for (; n > 0; n -= k) {
		assert(m->ring_n > 0);
		w = at(m, 0);
		k = n < w->wire ? n : w->wire;
		w->wire -= k;
		if (w->own && !w->fin)
			outq_acked(m->link->out, k);
		if (w->wire > 0)
			continue;
		if (w->lane != NULL && w->bytes > 0)
			lane_acked(&w->lane->lane, w->bytes, false);
		m->fin_acked = m->fin_acked || w->fin;
		m->ring_head = (m->ring_head + 1) & (m->ring_cap - 1);
		m->ring_n--;
	}
}

/* --- what is to be written --- */

/* A place in the caller's vectors. */
struct room {
	struct iovec *v;
	size_t n;    /* left */
	size_t used; /* so far */
};

static void
put(struct room *r, const void *p, size_t len)
{
	r->v[r->used++] = (struct iovec){(void *)(uintptr_t)p, len};
	r->n--;
}

/* Cut n vectors to max bytes in all; returns how many are left of them. */
static size_t
trim(struct iovec *v, size_t n, size_t max, size_t *len)
{
	size_t i;

	*len = 0;
	for (i = 0; i < n && *len < max; i++) {
		if (v[i].iov_len > max - *len)
			v[i].iov_len = max - *len;
		*len += v[i].iov_len;
	}
	return i;
}

/* The link's own stream; false: more of it comes before any lane. */
static bool
pull_own(struct mux *m, struct room *r)
{
	const struct outq *q = m->link->out;

	m->own_vectors = outq_pull(q, r->v + r->used, r->n);
	(void)trim(r->v + r->used, m->own_vectors, SIZE_MAX, &m->n_own);
	r->used += m->own_vectors;
	r->n -= m->own_vectors;
	return m->own_vectors == 0 || r->n > 0;
}

static void
put_chunk(struct mux *m, struct room *r, struct mux_chunk *c)
{
	struct chunk_frame f = {
	    .lane = c->lane != NULL ? c->lane->lane.id : 0,
	    .fin = c->fin,
	    .bytes = {.len = c->bytes},
	};

	c->head_len = (size_t)(chunk_frame_put_head(c->head, &f) - c->head);
	put(r, c->head, c->head_len);
	r->used += c->vectors; /* which stand there already */
	r->n -= c->vectors;
	m->n_chunks++;
}

/* The fin of the link's own stream, once all of it is pulled. */
static void
pull_fin(struct mux *m, struct room *r)
{
	struct mux_chunk *c = &m->chunks[m->n_chunks];

	if (!m->link->fin_wanted || m->fin_sent || r->n == 0 ||
	    m->n_own != m->link->out->unsent)
		return;
	*c = (struct mux_chunk){.fin = true};
	put_chunk(m, r, c);
}

/* A chunk of n, which leaves the queue if it has none; *all: what may go. */
static void
pull_lane(struct mux *m, struct muxlane *n, struct room *r, uint64_t *all)
{
	struct mux_chunk *c = &m->chunks[m->n_chunks];
	const struct outq *q = n->lane.out;
	bool alone = TAILQ_NEXT(TAILQ_FIRST(&m->ready), link_ready) == NULL;
	uint64_t max = alone ? CHUNK_ALONE : CHUNK_FAIR;

	if (max > n->limit - n->done)
		max = n->limit - n->done;
	if (max > *all)
		max = *all;
	*c = (struct mux_chunk){.lane = n};
	c->vectors = outq_pull(q, r->v + r->used + 1, r->n - 1);
	c->vectors =
	    trim(r->v + r->used + 1, c->vectors, (size_t)max, &c->bytes);
	c->fin = n->lane.fin_wanted && c->bytes == q->unsent;
	if (c->bytes > 0 || c->fin) {
		*all -= c->bytes;
		put_chunk(m, r, c);
	} else if (q->unsent == 0 || n->limit == n->done) {
		mux_unready(m, n);
	}
}

size_t
mux_pull(struct mux *m, struct iovec *v, size_t n)
{
	struct room r = {.v = v, .n = n};
	uint64_t all = m->may_send - m->sent;
	struct muxlane *k, *next;

	m->n_chunks = 0;
	m->n_own = 0;
	m->own_vectors = 0;
	if (m->talk.len > 0)
		put(&r, buf_view(&m->talk).p, m->talk.len);
	if (!pull_own(m, &r))
		return r.used;
	pull_fin(m, &r);
	for (k = TAILQ_FIRST(&m->ready); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link_ready);
		if (r.n < 2 || m->n_chunks == MUX_CHUNKS)
			break;
		pull_lane(m, k, &r, &all);
	}
	return r.used;
}

/* --- what was written of it --- */

/* Append what of n vectors lies behind their first skip bytes. */
static int
keep(struct buf *rest, const struct iovec *v, size_t n, size_t skip)
{
	struct view b;
	size_t i, k;
	int r;

	for (i = 0; i < n; i++) {
		b = (struct view){v[i].iov_base, v[i].iov_len};
		k = skip < b.len ? skip : b.len;
		view_skip(&b, k);
		skip -= k;
		if ((r = buf_put(rest, b)) != OK)
			return r;
	}
	return OK;
}

/* All of the chunk is written, or kept. */
static int
chunk_went(struct mux *m, const struct mux_chunk *c)
{
	struct mux_written w = {
	    .lane = c->lane,
	    .own = c->lane == NULL,
	    .fin = c->lane == NULL,
	    .wire = c->head_len + c->bytes,
	    .bytes = c->bytes,
	};

	if (c->lane == NULL) {
		m->fin_sent = true;
		return note(m, w);
	}
	outq_sent(c->lane->lane.out, c->bytes);
	c->lane->done += c->bytes;
	m->sent += c->bytes;
	c->lane->fin_sent = c->fin;
	mux_unready(m, c->lane);
	if (!c->fin)
		mux_ready(m, c->lane); /* at the end */
	return note(m, w);
}

/* The next n vectors, of len bytes, of which *written were; advances both. */
static int
settle(const struct iovec **v, size_t n, size_t len, size_t *written,
    struct buf *rest)
{
	size_t k = *written < len ? *written : len;
	int r = OK;

	if (k > 0 && k < len)
		r = keep(rest, *v, n, k);
	*v += n;
	*written -= k;
	return r;
}

int
mux_pulled(
    struct mux *m, const struct iovec *v, size_t written, struct buf *rest)
{
	struct mux_written own = {.own = true, .wire = m->n_own};
	struct mux_written talk = {.wire = m->talk.len};
	struct mux_chunk *c;
	size_t i;
	int r;

	if (written > 0 && m->talk.len > 0) {
		if ((r = settle(&v, 1, talk.wire, &written, rest)) != OK ||
		    (r = note(m, talk)) != OK)
			return r;
		buf_consume(&m->talk, m->talk.len);
	}
	if (written > 0 && m->n_own > 0) {
		r = settle(&v, m->own_vectors, m->n_own, &written, rest);
		if (r != OK || (r = note(m, own)) != OK)
			return r;
		outq_sent(m->link->out, m->n_own);
	}
	for (i = 0; i < m->n_chunks && written > 0; i++) {
		c = &m->chunks[i];
		r = settle(
		    &v, 1 + c->vectors, c->head_len + c->bytes, &written, rest);
		if (r != OK || (r = chunk_went(m, c)) != OK)
			return r;
	}
	return OK;
}
