/* SPDX-License-Identifier: ISC */
/* The lanes, and what the peer says of them; muxout.c has what we write. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "link/mux.h"
#include "link/quiclink.h"
#include "wire/frame.h"
#include "wire/lane.h"
#include "wire/y3.h"

/* What we say to a peer whose lane nobody wants, as on QUIC. */
#define CODE_UNWANTED 0x13

/* The longest Chunk, Credit or Reset accepted, but for its header. */
#define BODY_MAX (128u << 10)

/* A window is told when so much of it may come again, 1/n: not each time. */
#define TOLD_PART 2

/* --- lanes of both ends --- */

static bool
is_ours(const struct mux *m, uint64_t id)
{
	return id % 4 == (m->client ? 2 : 3);
}

/* What a lane may bring that nobody has said anything about: who serves many
 * grants little. */
static uint64_t
first_window(bool of_server)
{
	return of_server ? QUICLINK_LANE_WINDOW_FIRST : QUICLINK_WINDOW;
}

static uint64_t
first_window_of_all(bool of_server)
{
	return of_server ? QUICLINK_WINDOW_FIRST : QUICLINK_WINDOW_ALL;
}

static struct muxlane *
find(const struct mux *m, uint64_t id)
{
	struct muxlane *n;

	TAILQ_FOREACH(n, &m->all, all) {
		if (n->lane.id == id)
			return n;
	}
	return NULL;
}

static struct muxlane *
make_lane(struct mux *m, uint64_t id, bool granted_by_server)
{
	struct muxlane *n;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		return NULL;
	n->mux = m;
	n->limit = n->told = first_window(granted_by_server);
	TAILQ_INSERT_TAIL(&m->all, n, all);
	lane_init(&n->lane, m->link, id);
	return n;
}

void
mux_ready(struct mux *m, struct muxlane *n)
{
	if (!n->is_ready)
		TAILQ_INSERT_TAIL(&m->ready, n, link_ready);
	n->is_ready = true;
}

void
mux_unready(struct mux *m, struct muxlane *n)
{
	if (n->is_ready)
		TAILQ_REMOVE(&m->ready, n, link_ready);
	n->is_ready = false;
}

static void
will_talk(struct mux *m, struct muxlane *n)
{
	if (!n->is_talking)
		TAILQ_INSERT_TAIL(&m->talking, n, link_talking);
	n->is_talking = true;
	m->link->kind->later(m->link);
}

static void
will_reset(struct mux *m, struct muxlane *n, uint64_t code)
{
	n->must_reset = true;
	n->code = code;
	will_talk(m, n);
}

/* One of ours is over for the peer, too. */
static void
give_back_place(struct mux *m)
{
	m->n_ours--;
	m->link->lanes_came = true;
	m->link->kind->later(m->link);
}

static void
drop(struct mux *m, struct muxlane *n)
{
	mux_unready(m, n);
	mux_disown(m, n);
	TAILQ_REMOVE(&m->all, n, all);
	if (!is_ours(m, n->lane.id))
		m->n_theirs--;
	else if (!n->answered)
		m->unanswered++;
	free(n);
}

/* Nobody here needs it, and nothing is to be said or heard of it. */
static void
drop_if_done(struct mux *m, struct muxlane *n)
{
	if (n->forgotten && !n->is_talking &&
	    (is_ours(m, n->lane.id) || n->ended))
		drop(m, n);
}

/* --- what we say of them --- */

static int
say_reset(struct mux *m, const struct muxlane *n)
{
	struct reset_frame f = {.lane = n->lane.id, .code = n->code};
	size_t len = reset_frame_size(&f);
	uint8_t *p;
	int r;

	if ((r = buf_reserve(&m->talk, len, &p)) != OK)
		return r;
	reset_frame_put(p, &f);
	buf_commit(&m->talk, len);
	return OK;
}

static int
say_credit(struct mux *m, uint64_t lane, uint64_t limit)
{
	struct credit_frame f = {.lane = lane, .limit = limit};
	size_t len = credit_frame_size(&f);
	uint8_t *p;
	int r;

	if ((r = buf_reserve(&m->talk, len, &p)) != OK)
		return r;
	credit_frame_put(p, &f);
	buf_commit(&m->talk, len);
	return OK;
}

static bool
is_worth_telling(uint64_t limit, uint64_t told, uint64_t window)
{
	return limit - told >= window / TOLD_PART;
}

static int
talk_of(struct mux *m, struct muxlane *n)
{
	int r = OK;

	if (n->must_reset)
		r = say_reset(m, n);
	else if (!n->ended && !n->stopped && n->limit > n->told)
		r = say_credit(m, n->lane.id, n->limit);
	n->told = n->limit;
	n->must_reset = false;
	return r;
}

int
mux_talk(struct mux *m)
{
	struct muxlane *n;
	int r;

	/* Who does not read gets no places back: nothing piles up here. */
	if (m->talk.len > 0)
		return OK;
	if (is_worth_telling(
		m->may_come, m->told, first_window_of_all(!m->client))) {
		if ((r = say_credit(m, 0, m->may_come)) != OK)
			return r;
		m->told = m->may_come;
	}
	while ((n = TAILQ_FIRST(&m->talking)) != NULL) {
		if ((r = talk_of(m, n)) != OK)
			return r;
		TAILQ_REMOVE(&m->talking, n, link_talking);
		n->is_talking = false;
		drop_if_done(m, n);
	}
	return OK;
}

/* --- what the owner does --- */

void
mux_allow(struct mux *m, size_t n)
{
	m->allowed += n;
}

int
mux_open(struct mux *m, struct lane **lane)
{
	struct muxlane *n;

	if (m->n_ours == QUICLINK_LANES_MAX)
		return ERR_MORE;
	if ((n = make_lane(m, m->next_ours, m->client)) == NULL)
		return ERR_NOMEM;
	m->next_ours += 4;
	m->n_ours++;
	*lane = &n->lane;
	return OK;
}

void
mux_credit(struct mux *m, size_t n)
{
	m->may_come += n;
	if (is_worth_telling(
		m->may_come, m->told, first_window_of_all(!m->client)))
		m->link->kind->later(m->link);
}

void
mux_lane_wake(struct lane *l)
{
	struct muxlane *n = (struct muxlane *)l;

	if (!n->fin_sent && !n->answered)
		mux_ready(n->mux, n);
	l->link->kind->later(l->link);
}

void
mux_lane_break(struct lane *l, uint64_t code)
{
	struct muxlane *n = (struct muxlane *)l;

	mux_unready(n->mux, n);
	mux_disown(n->mux, n);
	if (l->out != NULL && (n->fin_sent || n->answered))
		return; /* all is said */
	n->stopped = true;
	will_reset(n->mux, n, code);
}

void
mux_lane_credit(struct lane *l, size_t n)
{
	struct muxlane *k = (struct muxlane *)l;

	k->limit += n;
	if (is_worth_telling(k->limit, k->told, first_window(!k->mux->client)))
		will_talk(k->mux, k);
}

/* Of one of the peer's that is over something is to be said, once. */
void
mux_lane_closed(struct lane *l)
{
	struct muxlane *n = (struct muxlane *)l;

	if (l->out != NULL || n->stopped)
		return;
	n->stopped = true;
	will_reset(n->mux, n, 0);
}

void
mux_lane_free(struct lane *l)
{
	struct muxlane *n = (struct muxlane *)l;

	n->forgotten = true;
	drop_if_done(n->mux, n);
}

/* --- what the peer says --- */

static int
complain(struct mux *m, const char *why)
{
	m->why = why;
	return ERR_BAD;
}

/* The peer opens lane id. */
static int
accept_lane(struct mux *m, uint64_t id)
{
	struct link *l = m->link;
	struct muxlane *n;

	if (m->n_theirs >= m->allowed)
		return complain(m, "more lanes than it may have");
	if ((n = make_lane(m, id, !m->client)) == NULL)
		return ERR_NOMEM;
	m->n_theirs++;
	m->next_theirs = id + 4;
	if (l->ops->lane != NULL && l->ops->lane(l->arg, &n->lane))
		return OK;
	n->stopped = true;
	will_reset(m, n, CODE_UNWANTED);
	n->lane.dead = true;
	lane_free(&n->lane);
	return OK;
}

/*
 * Find a lane of the peer's; one that is new opens all before it, as on QUIC.
 * *out may be NULL: it is over.
 */
static int
look_up(struct mux *m, uint64_t id, struct muxlane **out)
{
	int r;

	if (id % 4 != (m->client ? 3 : 2))
		return complain(m, "a lane of a number that is none");
	while (m->next_theirs <= id) {
		if ((r = accept_lane(m, m->next_theirs)) != OK)
			return r;
		if (m->link->ops == NULL)
			break;
	}
	*out = find(m, id);
	return OK;
}

/* The end of the link's own stream. */
static int
take_fin(struct mux *m, const struct chunk_frame *c)
{
	if (!c->fin || c->bytes.len > 0)
		return complain(m, "bytes on lane 0");
	m->fin_came = true;
	return OK;
}

static int
take_chunk(struct mux *m, const struct chunk_frame *c)
{
	struct muxlane *n;
	int r;

	if (c->lane == 0)
		return take_fin(m, c);
	if ((r = look_up(m, c->lane, &n)) != OK || m->link->ops == NULL)
		return r;
	if (n == NULL || n->ended)
		return complain(m, "bytes on a lane that is over");
	if (c->bytes.len > n->limit - n->done ||
	    c->bytes.len > m->may_come - m->came)
		return complain(m, "more bytes on a lane than it may send");
	n->done += c->bytes.len;
	m->came += c->bytes.len;
	n->ended = c->fin;
	if (!n->stopped) {
		lane_take(&n->lane, c->bytes, c->fin);
		return OK;
	}
	mux_credit(m, c->bytes.len); /* nobody else will say so */
	drop_if_done(m, n);
	return OK;
}

static int
take_credit(struct mux *m, const struct credit_frame *c)
{
	struct muxlane *n;
	uint64_t *limit = &m->may_send;

	if (c->lane != 0) {
		if (c->lane >= m->next_ours || !is_ours(m, c->lane))
			return complain(m, "credit for a lane not opened");
		if ((n = find(m, c->lane)) == NULL)
			return OK; /* it crossed our last word */
		limit = &n->limit;
		if (!n->lane.dead)
			mux_lane_wake(&n->lane);
	}
	if (c->limit < *limit)
		return complain(m, "credit taken back");
	*limit = c->limit;
	m->link->kind->later(m->link);
	return OK;
}

/* The peer breaks off one of its own. */
static int
take_reset(struct mux *m, const struct reset_frame *f)
{
	struct muxlane *n;
	int r;

	if ((r = look_up(m, f->lane, &n)) != OK || m->link->ops == NULL)
		return r;
	if (n == NULL || n->ended)
		return OK; /* it crossed our last word */
	n->ended = true;
	if (!n->stopped)
		lane_broken(&n->lane, f->code);
	else
		drop_if_done(m, n);
	return OK;
}

/* The last word of the peer on one of ours: all is taken, or no more of it. */
static int
take_answer(struct mux *m, const struct reset_frame *f)
{
	struct muxlane *n = find(m, f->lane);

	if (n == NULL && m->unanswered == 0)
		return complain(m, "a second end of a lane");
	if (n == NULL) {
		m->unanswered--;
		give_back_place(m);
		return OK;
	}
	if (n->answered)
		return complain(m, "a second end of a lane");
	n->answered = true;
	give_back_place(m);
	if (n->lane.dead)
		return OK;
	if (f->code == 0 && !n->fin_sent)
		return complain(m, "a lane taken before its end");
	mux_unready(m, n);
	mux_disown(m, n);
	if (f->code != 0) {
		if (!n->fin_sent)
			will_reset(m, n, f->code);
		lane_broken(&n->lane, f->code);
		return OK;
	}
	lane_acked(&n->lane, n->lane.out->bytes - n->lane.out->unsent, true);
	lane_over(&n->lane);
	return OK;
}

static int
take_frame(struct mux *m, const struct frame *f)
{
	struct credit_frame credit;
	struct chunk_frame chunk;
	struct reset_frame reset;

	switch (f->type) {
	case FRAME_CHUNK:
		if (chunk_frame_get(f->body, &chunk) == OK)
			return take_chunk(m, &chunk);
		break;
	case FRAME_CREDIT:
		if (credit_frame_get(f->body, &credit) == OK)
			return take_credit(m, &credit);
		break;
	case FRAME_RESET:
		if (reset_frame_get(f->body, &reset) != OK)
			break;
		if (is_ours(m, reset.lane) && reset.lane < m->next_ours)
			return take_answer(m, &reset);
		return take_reset(m, &reset);
	}
	return complain(m, "a malformed frame");
}

/* Bytes of frames that are the owner's to read, whole or not. */
static int
pass_on(struct mux *m, struct view *in)
{
	struct view v = *in;

	if (m->fin_came)
		return complain(m, "a frame after the end");
	if (!m->garbled && v.len > m->own_left)
		v.len = m->own_left;
	m->own_left -= m->garbled ? 0 : v.len;
	m->own_came += v.len;
	view_skip(in, v.len);
	m->link->ops->bytes(m->link->arg, v);
	return OK;
}

/* Take one frame, or a part of the owner's; ERR_MORE. */
static int
take_one(struct mux *m, struct view *in)
{
	size_t head, len;
	struct frame f;
	uint8_t type;
	int r;

	if (m->garbled || m->own_left > 0)
		return pass_on(m, in);
	r = y3_get_header(*in, INT32_MAX, &head, &len);
	if (r == ERR_MORE)
		return r;
	type = in->p[0] & 0x7f;
	if (r != OK) {
		m->garbled = true;
		return pass_on(m, in);
	}
	if (type != FRAME_CHUNK && type != FRAME_CREDIT &&
	    type != FRAME_RESET) {
		m->own_left = head + len;
		return pass_on(m, in);
	}
	if (len > BODY_MAX)
		return complain(m, "a chunk that is too long");
	if ((r = frame_get(in, BODY_MAX, &f)) != OK)
		return r;
	return take_frame(m, &f);
}

int
mux_take(struct mux *m, struct view *in)
{
	int r = OK;

	while (r == OK && in->len > 0 && m->link->ops != NULL)
		r = take_one(m, in);
	return r == ERR_MORE ? OK : r;
}
