/* SPDX-License-Identifier: ISC */
/*
 * One end of a link, which notes what it hears, and a loop to run until
 * something is true.  (All inline, since not every unit wants all.)
 */
#ifndef TESTS_UNIT_LINK_RIG_H
#define TESTS_UNIT_LINK_RIG_H

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "link/link.h"
#include "link/listener.h"
#include "link/quiclink.h"
#include "net/loop.h"
#include "tls/tls.h"
#include "wire/frame.h"
#include "wire/y3.h"
#include "turns.h"

#define RIG_MS UINT64_C(1000000)
#define RIG_PATIENCE (15 * 1000 * RIG_MS)

static struct loop *rig_loop;

static inline void
rig_stop(void *arg)
{
	loop_stop(arg, 0);
}

/* Let the loop run for a moment. */
static inline void
rig_run(void)
{
	struct timer t = {.fn = rig_stop, .arg = rig_loop};

	assert_int_equal(timer_set(rig_loop, &t, loop_clock() + RIG_MS), OK);
	loop_run(rig_loop);
	timer_stop(rig_loop, &t);
}

/* Let the loop run until cond is true. */
#define UNTIL(cond)                                                            \
	do {                                                                   \
		uint64_t until_ = loop_clock() + RIG_PATIENCE;                 \
		while (!(cond)) {                                              \
			if (loop_clock() > until_)                             \
				fail_msg("never true: %s", #cond);             \
			rig_run();                                             \
		}                                                              \
	} while (0)

/* One end of a lane. */
struct rig_lane {
	struct rig_end *end;
	struct lane *lane; /* NULL: over */
	uint64_t id;
	struct outq out;
	size_t sent; /* bytes queued, in all */
	struct buf in;
	size_t unconsumed;
	bool lazy; /* does not say what it has consumed */
	bool slow; /* does not say that it is done with its fin */
	int fins;
	int moves;
	int breaks;
	int closes;
	uint64_t code;
	void (*on_bytes)(struct rig_lane *n);
	void (*on_fin)(struct rig_lane *n);
	void (*on_moved)(struct rig_lane *n);
	void (*on_broken)(struct rig_lane *n);
	void (*on_closed)(struct rig_lane *n);
};

#define RIG_LANES 80

struct rig_end {
	struct link *link;
	struct rig_lane lanes[RIG_LANES];
	size_t n_lanes;
	struct rig_lane model; /* what the peer's are like */
	bool refuse_lanes;
	int lane_calls; /* of link_ops.lanes */
	struct outq out;
	struct buf in;
	struct buf said; /* frames of rig_send_frame() */
	bool lazy;	 /* does not say what it has consumed */
	size_t unconsumed;
	int ups;
	int fins;
	int pauses;
	int moves;
	int downs;
	struct link_end end;
	void (*on_up)(struct rig_end *e);
	void (*on_bytes)(struct rig_end *e);
	void (*on_pause)(struct rig_end *e);
	void (*on_down)(struct rig_end *e);
};

static inline void
rig_up(void *arg)
{
	struct rig_end *e = arg;

	assert_int_equal(e->downs, 0);
	e->ups++;
	if (e->on_up != NULL)
		e->on_up(e);
}

static inline void
rig_bytes(void *arg, struct view bytes)
{
	struct rig_end *e = arg;

	assert_int_equal(e->ups, 1);
	assert_int_equal(e->fins, 0);
	assert_int_equal(e->downs, 0);
	assert_int_equal(buf_put(&e->in, bytes), OK);
	e->unconsumed += bytes.len;
	if (e->on_bytes != NULL)
		e->on_bytes(e);
}

static inline void
rig_fin(void *arg)
{
	struct rig_end *e = arg;

	assert_int_equal(e->downs, 0);
	e->fins++;
}

static inline void
rig_consume(struct rig_end *e)
{
	size_t n = e->unconsumed;

	e->unconsumed = 0;
	if (n > 0 && e->link != NULL)
		link_consumed(e->link, n);
}

static inline void rig_lane_consume(struct rig_lane *n);

static inline void
rig_pause(void *arg)
{
	struct rig_end *e = arg;
	size_t i;

	assert_int_equal(e->downs, 0);
	e->pauses++;
	if (!e->lazy)
		rig_consume(e);
	for (i = 0; i < e->n_lanes; i++)
		if (!e->lanes[i].lazy)
			rig_lane_consume(&e->lanes[i]);
	if (e->on_pause != NULL)
		e->on_pause(e);
}

static inline void
rig_moved(void *arg)
{
	struct rig_end *e = arg;

	assert_int_equal(e->downs, 0);
	e->moves++;
}

static inline void
rig_down(void *arg, const struct link_end *end)
{
	struct rig_end *e = arg;

	e->downs++;
	assert_int_equal(e->downs, 1);
	e->end = *end;
	if (e->on_down != NULL)
		e->on_down(e);
}

/* --- lanes --- */

static inline void
rig_lane_bytes(void *arg, struct view bytes)
{
	struct rig_lane *n = arg;

	assert_int_equal(n->end->downs + n->fins + n->breaks + n->closes, 0);
	assert_int_equal(buf_put(&n->in, bytes), OK);
	n->unconsumed += bytes.len;
	if (n->on_bytes != NULL)
		n->on_bytes(n);
}

static inline void
rig_lane_fin(void *arg)
{
	struct rig_lane *n = arg;

	assert_int_equal(n->end->downs + n->fins + n->breaks + n->closes, 0);
	n->fins++;
	if (!n->slow)
		lane_finish(n->lane);
	if (n->on_fin != NULL)
		n->on_fin(n);
}

static inline void
rig_lane_moved(void *arg)
{
	struct rig_lane *n = arg;

	assert_int_equal(n->end->downs + n->breaks + n->closes, 0);
	n->moves++;
	if (n->on_moved != NULL)
		n->on_moved(n);
}

static inline void
rig_lane_broken(void *arg, uint64_t code)
{
	struct rig_lane *n = arg;

	assert_int_equal(n->end->downs + n->breaks + n->closes, 0);
	n->breaks++;
	n->code = code;
	if (n->on_broken != NULL)
		n->on_broken(n);
}

static inline void
rig_lane_closed(void *arg)
{
	struct rig_lane *n = arg;

	assert_int_equal(n->end->downs + n->closes, 0);
	n->closes++;
	n->lane = NULL;
	if (n->unconsumed > 0 && n->end->link != NULL)
		link_credit(n->end->link, n->unconsumed);
	n->unconsumed = 0;
	/* Nothing may look into it any more. */
	outq_fini(&n->out);
	if (n->on_closed != NULL)
		n->on_closed(n);
}

static const struct lane_ops rig_lane_ops = {
    .bytes = rig_lane_bytes,
    .fin = rig_lane_fin,
    .moved = rig_lane_moved,
    .broken = rig_lane_broken,
    .closed = rig_lane_closed,
};

static inline struct rig_lane *
rig_lane_new(struct rig_end *e)
{
	struct rig_lane *n;

	assert_true(e->n_lanes < RIG_LANES);
	n = &e->lanes[e->n_lanes++];
	*n = e->model;
	n->end = e;
	outq_init(&n->out, 1u << 20);
	return n;
}

static inline bool
rig_lane(void *arg, struct lane *l)
{
	struct rig_end *e = arg;
	struct rig_lane *n;

	if (e->refuse_lanes)
		return false;
	n = rig_lane_new(e);
	n->lane = l;
	n->id = l->id;
	l->ops = &rig_lane_ops;
	l->arg = n;
	return true;
}

/* Open a lane; NULL: not now. */
static inline struct rig_lane *
rig_open_lane(struct rig_end *e)
{
	struct rig_lane *n = rig_lane_new(e);
	int r;

	r = link_open_lane(e->link, &n->out, &rig_lane_ops, n, &n->lane);
	if (r == OK) {
		n->id = n->lane->id;
		return n;
	}
	assert_int_equal(r, ERR_MORE);
	e->n_lanes--;
	return NULL;
}

/* The other end of n, at e; NULL: not heard of yet. */
static inline struct rig_lane *
rig_other_end(struct rig_end *e, const struct rig_lane *n)
{
	size_t i;

	for (i = 0; i < e->n_lanes; i++)
		if (e->lanes[i].id == n->id)
			return &e->lanes[i];
	return NULL;
}

static inline void
rig_lanes(void *arg)
{
	struct rig_end *e = arg;

	e->lane_calls++;
}

static inline void
rig_lane_consume(struct rig_lane *n)
{
	size_t k = n->unconsumed;

	n->unconsumed = 0;
	if (k > 0 && n->lane != NULL)
		lane_consumed(n->lane, k);
}

static inline size_t
rig_lanes_got(const struct rig_end *e)
{
	size_t i, got = 0;

	for (i = 0; i < e->n_lanes; i++)
		got += e->lanes[i].in.len;
	return got;
}

static const struct link_ops rig_ops = {
    .up = rig_up,
    .bytes = rig_bytes,
    .fin = rig_fin,
    .pause = rig_pause,
    .moved = rig_moved,
    .lane = rig_lane,
    .lanes = rig_lanes,
    .down = rig_down,
};

static inline void
rig_close(struct rig_end *e, uint64_t code, const char *reason)
{
	link_close(e->link, code, reason);
	e->link = NULL;
}

static inline void
rig_end_init(struct rig_end *e)
{
	*e = (struct rig_end){0};
	outq_init(&e->out, 1u << 20);
}

static inline void
rig_end_fini(struct rig_end *e)
{
	size_t i;

	rig_close(e, 0, "");
	outq_fini(&e->out);
	buf_fini(&e->in);
	buf_fini(&e->said);
	for (i = 0; i < e->n_lanes; i++) {
		outq_fini(&e->lanes[i].out);
		buf_fini(&e->lanes[i].in);
	}
}

/* Byte i of what is sent to check that it comes. */
static inline uint8_t
rig_byte(size_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 31 + (i >> 16));
}

static inline void
rig_queue(struct outq *q, size_t from, size_t n)
{
	size_t i, k, done;
	uint8_t *p;

	for (done = 0; done < n; done += k) {
		k = n - done < 50000 ? n - done : 50000;
		assert_int_equal(outq_reserve(q, k, &p), OK);
		for (i = 0; i < k; i++)
			p[i] = rig_byte(from + done + i);
		assert_int_equal(outq_commit(q, k, 1, 1), OK);
	}
}

/* Queue n bytes, of which the first is byte number from. */
static inline void
rig_send(struct rig_end *e, size_t from, size_t n)
{
	rig_queue(&e->out, from, n);
	if (e->link != NULL)
		link_wake(e->link);
}

/* The same as a frame, which every link takes, of some type or other. */
static inline void
rig_send_frame(struct rig_end *e, size_t n)
{
	uint8_t *p, *end;
	size_t i;

	assert_int_equal(outq_reserve(&e->out, n + 8, &p), OK);
	end = y3_put_header(p, Y3_NODE | FRAME_OBSERVE, n);
	for (i = 0; i < n; i++)
		*end++ = rig_byte(e->said.len + i);
	assert_int_equal(
	    buf_put(&e->said, (struct view){p, (size_t)(end - p)}), OK);
	assert_int_equal(outq_commit(&e->out, (size_t)(end - p), 0, 0), OK);
	link_wake(e->link);
}

/* All frames of from, and nothing else, have come to e. */
static inline bool
rig_heard(const struct rig_end *e, const struct rig_end *from)
{
	return view_equal(buf_view(&e->in), buf_view(&from->said));
}

static inline void
rig_lane_send(struct rig_lane *n, size_t from, size_t len)
{
	rig_queue(&n->out, from, len);
	n->sent = from + len;
	lane_wake(n->lane);
}

static inline void
rig_check_bytes(const struct buf *b, size_t n)
{
	struct view v = buf_view(b);
	size_t i;

	assert_int_equal(v.len, n);
	for (i = 0; i < n; i++)
		if (v.p[i] != rig_byte(i))
			fail_msg("byte %zu is wrong", i);
}

/* All that came is byte 0, 1, 2 and so on, n in all. */
static inline void
rig_check(const struct rig_end *e, size_t n)
{
	rig_check_bytes(&e->in, n);
}

static inline void
rig_lane_check(const struct rig_lane *n, size_t len)
{
	rig_check_bytes(&n->in, len);
}

/* --- a state folder of its own, and TLS from it --- */

static char rig_folder[64];

static inline int
rig_make_folder(void)
{
	snprintf(rig_folder, sizeof(rig_folder), "/tmp/yomo-link-XXXXXX");
	if (mkdtemp(rig_folder) == NULL)
		return -1;
	return setenv("STATE_DIRECTORY", rig_folder, 1);
}

static inline const char *
rig_path(const char *name)
{
	static char path[100]; /* fits into a struct sockaddr_un */

	snprintf(path, sizeof(path), "%s/%s", rig_folder, name);
	return path;
}

static inline void
rig_remove_folder(void)
{
	static const char *const names[] = {
	    "cert.pem", "key.pem", "reset.key", "token.key", "socket"};
	size_t i;

	for (i = 0; i < COUNT(names); i++)
		unlink(rig_path(names[i]));
	rmdir(rig_folder);
}

/* A server that speaks as Go's does: for SSL_CTX_set_alpn_select_cb(). */
static inline int
rig_take_yomo(SSL *ssl, const unsigned char **out, unsigned char *len,
    const unsigned char *in, unsigned n, void *arg)
{
	(void)ssl;
	(void)in;
	(void)n;
	(void)arg;
	*out = (const unsigned char *)QUIC_ALPN_YOMO;
	*len = sizeof(QUIC_ALPN_YOMO) - 1;
	return SSL_TLSEXT_ERR_OK;
}

static inline struct listener_conf
rig_listener_conf(struct tls *tls)
{
	return (struct listener_conf){
	    .quic =
		{
		    .conn =
			{
			    .tls = tls,
			    .idle_ns = QUICLINK_IDLE_NS,
			    .keep_alive_ns = QUICLINK_KEEP_ALIVE_NS,
			    .handshake_ns = QUICLINK_HANDSHAKE_NS,
			    .stream_window = QUICLINK_WINDOW,
			    .conn_window = QUICLINK_WINDOW,
			    .lane_window = QUICLINK_LANE_WINDOW_FIRST,
			    .streams_bidi = 1,
			},
		    .reset_key = {1},
		    .token_key = {2},
		    .max_conns = 100,
		    .max_per_addr = 100,
		    .max_half_open = 100,
		    .retry_from = 100,
		},
	};
}

#endif /* TESTS_UNIT_LINK_RIG_H */
