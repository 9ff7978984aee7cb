/* SPDX-License-Identifier: ISC */
/*
 * Any bytes from a peer on a unix socket whose stream carries lanes, while the
 * owner does what owners do.
 *
 * The input is a list of deeds (see deeds[]), the first byte says which end it
 * is.  At any time: no more lanes, bytes and answers than the peer may cause.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "link/mux.h"
#include "link/quiclink.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

#define LANES_MAX 8
#define HEARD_MAX (QUICLINK_LANES_MAX + 1)

struct lane_end {
	struct outq out; /* if it is ours */
	struct lane *lane;
	size_t unread;
};

struct world {
	struct link link;
	struct mux mux;
	struct outq own;
	struct buf rest;
	struct buf came;
	struct lane_end ours[LANES_MAX];
	struct lane_end theirs[HEARD_MAX];
	size_t unread; /* on all lanes */
	size_t written;
	bool over;
	const uint8_t *p; /* the input, and what is left of it */
	size_t len;
};

static struct world w;

static uint8_t
take(void)
{
	if (w.len == 0)
		return 0;
	w.len--;
	return *w.p++;
}

/* --- the owner --- */

static void
on_bytes(void *arg, struct view bytes)
{
	struct lane_end *n = arg;

	assert(bytes.len > 0 && n->lane != NULL && !n->lane->fin_came);
	n->unread += bytes.len;
	w.unread += bytes.len;
	if (bytes.p[0] == 0xee)
		lane_break(n->lane, 9);
}

static void
on_fin(void *arg)
{
	struct lane_end *n = arg;

	if (n->unread % 2 == 0)
		lane_finish(n->lane);
}

static void
on_broken(void *arg, uint64_t code)
{
	(void)arg;
	(void)code;
}

static void
on_moved(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg)
{
	struct lane_end *n = arg;

	if (n->unread > 0)
		link_credit(&w.link, n->unread);
	w.unread -= n->unread;
	if (n->lane->out != NULL)
		outq_fini(&n->out);
	*n = (struct lane_end){0};
}

static const struct lane_ops lane_callbacks = {
    .bytes = on_bytes,
    .fin = on_fin,
    .broken = on_broken,
    .moved = on_moved,
    .closed = on_closed,
};

static bool
on_lane(void *arg, struct lane *l)
{
	size_t i;

	(void)arg;
	if (l->id % 40 == 14)
		return false;
	for (i = 0; w.theirs[i].lane != NULL; i++)
		assert(i + 1 < HEARD_MAX);
	w.theirs[i].lane = l;
	l->ops = &lane_callbacks;
	l->arg = &w.theirs[i];
	return true;
}

static void
on_lanes(void *arg)
{
	(void)arg;
}

static void
on_own_bytes(void *arg, struct view bytes)
{
	(void)arg;
	assert(bytes.len > 0);
}

static const struct link_ops link_callbacks = {
    .bytes = on_own_bytes,
    .lane = on_lane,
    .lanes = on_lanes,
};

/* --- the link --- */

static void
ignore(struct link *l)
{
	(void)l;
}

static int
open_lane(struct link *l, struct lane **lane)
{
	(void)l;
	return mux_open(&w.mux, lane);
}

static void
credit(struct link *l, size_t n)
{
	(void)l;
	mux_credit(&w.mux, n);
}

static const struct link_kind in_memory = {
    .wake = ignore,
    .open_lane = open_lane,
    .credit = credit,
    .later = ignore,
    .lane_wake = mux_lane_wake,
    .lane_break = mux_lane_break,
    .lane_credit = mux_lane_credit,
    .lane_closed = mux_lane_closed,
    .lane_free = mux_lane_free,
};

/* --- what may happen --- */

/* The peer says something. */
static void
hear(void)
{
	size_t n = take();
	struct view in;

	for (; n > 0 && w.len > 0; n--) {
		if (buf_put(&w.came, (struct view){w.p, 1}) != OK)
			abort();
		(void)take();
	}
	in = buf_view(&w.came);
	if (mux_take(&w.mux, &in) != OK) {
		assert(w.mux.why != NULL);
		w.over = true;
	}
	assert(in.len <= w.came.len);
	buf_consume(&w.came, w.came.len - in.len);
}

/* Many bytes of a lane at once. */
static void
hear_chunk(void)
{
	static uint8_t p[70000];
	struct view in;
	size_t n = (size_t)take() * 256;

	if (w.came.len > 0)
		return;
	p[0] = 0xa7;
	p[1] = 0x80 | (uint8_t)((n + 7) >> 14 & 0x3f);
	p[2] = 0x80 | (uint8_t)((n + 7) >> 7 & 0x7f);
	p[3] = (n + 7) & 0x7f;
	p[4] = p[5] = 1;
	p[6] = take();
	p[7] = 3;
	p[8] = 0x80 | (uint8_t)(n >> 14 & 0x3f);
	p[9] = 0x80 | (uint8_t)(n >> 7 & 0x7f);
	p[10] = n & 0x7f;
	in = (struct view){p, 11 + n};
	if (mux_take(&w.mux, &in) != OK)
		w.over = true;
}

static void
open_one(void)
{
	struct lane_end *n = &w.ours[take() % LANES_MAX];

	if (n->lane != NULL)
		return;
	outq_init(&n->out, 1u << 20);
	if (link_open_lane(&w.link, &n->out, &lane_callbacks, n, &n->lane) !=
	    OK)
		*n = (struct lane_end){0};
}

static void
queue(struct outq *q, size_t n)
{
	uint8_t *p;

	if (outq_reserve(q, n, &p) != OK)
		abort();
	memset(p, 0xa9, n);
	if (outq_commit(q, n, 1, 1) != OK)
		abort();
}

static void
send_some(void)
{
	struct lane_end *n = &w.ours[take() % LANES_MAX];
	size_t len = (size_t)take() * 64;

	if (n->lane == NULL || n->lane->fin_wanted || n->lane->dead)
		return;
	queue(&n->out, len);
	lane_wake(n->lane);
}

static void
send_own(void)
{
	if (!w.link.fin_wanted)
		queue(&w.own, take());
}

static void
finish_own(void)
{
	w.link.fin_wanted = true;
}

static struct lane_end *
any_lane(void)
{
	uint8_t i = take();

	return i & 1 ? &w.ours[i / 2 % LANES_MAX]
		     : &w.theirs[i / 2 % HEARD_MAX];
}

static void
finish_one(void)
{
	struct lane_end *n = any_lane();

	if (n->lane != NULL)
		lane_finish(n->lane);
}

static void
break_one(void)
{
	struct lane_end *n = any_lane();

	if (n->lane != NULL)
		lane_break(n->lane, 1 + take());
}

static void
use_some(void)
{
	struct lane_end *n = &w.theirs[take() % HEARD_MAX];

	if (n->lane == NULL)
		return;
	lane_consumed(n->lane, n->unread);
	w.unread -= n->unread;
	n->unread = 0;
}

static void
write_some(void)
{
	struct iovec v[6];
	size_t i, n, len = 0, most = (size_t)take() * 32;

	if (w.rest.len > 0) {
		buf_consume(&w.rest, w.rest.len);
		return;
	}
	if (mux_talk(&w.mux) != OK)
		abort();
	n = mux_pull(&w.mux, v, 6);
	assert(n <= 6);
	for (i = 0; i < n; i++)
		len += v[i].iov_len;
	len = len < most ? len : most;
	if (mux_pulled(&w.mux, v, len, &w.rest) != OK)
		abort();
	w.written += len + w.rest.len;
}

static void
acknowledge(void)
{
	size_t n = (size_t)take() * 64;

	n = n < w.written ? n : w.written;
	mux_acked(&w.mux, n);
	w.written -= n;
}

static void
tell(void)
{
	lane_tell_all(&w.link);
}

/* An input names them by their place: add new ones at the end. */
static void (*const deeds[])(void) = {
    hear,
    hear_chunk,
    open_one,
    send_some,
    send_own,
    finish_own,
    finish_one,
    break_one,
    use_some,
    write_some,
    acknowledge,
    tell,
};
#define N_DEEDS (sizeof(deeds) / sizeof(deeds[0]))

static void
check(void)
{
	struct muxlane *n;
	size_t ours = 0, theirs = 0;

	TAILQ_FOREACH(n, &w.mux.all, all) {
		if ((n->lane.id & 1) == (w.mux.client ? 1 : 0)) {
			assert(n->done <= n->limit);
			theirs++;
		} else {
			ours++;
		}
	}
	assert(theirs == w.mux.n_theirs && theirs <= w.mux.allowed);
	assert(w.mux.n_ours <= QUICLINK_LANES_MAX);
	assert(ours <= 2 * LANES_MAX + QUICLINK_LANES_MAX);
	assert(w.mux.came <= w.mux.may_come && w.mux.sent <= w.mux.may_send);
	assert(w.unread <= w.mux.may_come);
	assert(w.mux.talk.len <= 40 * 2 * QUICLINK_LANES_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	size_t i;

	w = (struct world){.p = p, .len = len};
	link_init(&w.link, &in_memory);
	w.link.ops = &link_callbacks;
	w.link.out = &w.own;
	w.link.lanes = true;
	outq_init(&w.own, 1u << 20);
	if (mux_init(&w.mux, &w.link, take() & 1, 0) != OK)
		abort();
	mux_allow(&w.mux, w.mux.client ? 0 : QUICLINK_LANES_MAX);
	while (w.len > 0 && !w.over) {
		deeds[take() % N_DEEDS]();
		check();
	}
	lane_free_all(&w.link);
	mux_fini(&w.mux);
	for (i = 0; i < LANES_MAX; i++)
		if (w.ours[i].lane != NULL)
			outq_fini(&w.ours[i].out);
	outq_fini(&w.own);
	buf_fini(&w.rest);
	buf_fini(&w.came);
	return 0;
}
