/* SPDX-License-Identifier: ISC */
/*
 * One end of a link, which notes what it hears, and a loop to run until
 * something is true.  (All inline, since not every unit wants all.)
 */
#ifndef TESTS_UNIT_LINK_RIG_H
#define TESTS_UNIT_LINK_RIG_H

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

struct rig_end {
	struct link *link;
	struct outq out;
	struct buf in;
	bool lazy; /* does not say what it has consumed */
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

static inline void
rig_pause(void *arg)
{
	struct rig_end *e = arg;

	assert_int_equal(e->downs, 0);
	e->pauses++;
	if (!e->lazy)
		rig_consume(e);
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

static const struct link_ops rig_ops = {
    .up = rig_up,
    .bytes = rig_bytes,
    .fin = rig_fin,
    .pause = rig_pause,
    .moved = rig_moved,
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
	rig_close(e, 0, "");
	outq_fini(&e->out);
	buf_fini(&e->in);
}

/* Byte i of what is sent to check that it comes. */
static inline uint8_t
rig_byte(size_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 31 + (i >> 16));
}

/* Queue n bytes, of which the first is byte number from. */
static inline void
rig_send(struct rig_end *e, size_t from, size_t n)
{
	size_t i, k, done;
	uint8_t *p;

	for (done = 0; done < n; done += k) {
		k = n - done < 50000 ? n - done : 50000;
		assert_int_equal(outq_reserve(&e->out, k, &p), OK);
		for (i = 0; i < k; i++)
			p[i] = rig_byte(from + done + i);
		assert_int_equal(outq_commit(&e->out, k, 1, 1), OK);
	}
	if (e->link != NULL)
		link_wake(e->link);
}

/* All that came is byte 0, 1, 2 and so on, n in all. */
static inline void
rig_check(const struct rig_end *e, size_t n)
{
	struct view v = buf_view(&e->in);
	size_t i;

	assert_int_equal(v.len, n);
	for (i = 0; i < n; i++)
		if (v.p[i] != rig_byte(i))
			fail_msg("byte %zu is wrong", i);
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
