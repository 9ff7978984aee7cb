/* SPDX-License-Identifier: ISC */
/* Lanes in one stream, cut anywhere; lane_cases.h in pipelink_test go on. */
#include "unit.h"

#include "chance.h"
#include "faults.h"
#include "link/mux.h"
#include "link_rig.h"
#include "wire/lane.h"

#define ENOUGH (100u << 10)

/* One end, and what is on its way to the other. */
struct side {
	struct link link;
	struct mux mux;
	struct rig_end rig;
	struct buf rest; /* of a frame begun: written first */
	struct buf wire; /* written, not taken */
	size_t taken;	 /* of it, and not yet acknowledged */
	struct side *other;
	bool failed;
};

static struct side client, server;

static struct mux *
mux_of(struct link *l)
{
	return &((struct side *)l)->mux;
}

static void
ignore(struct link *l)
{
	(void)l;
}

static void
ignore_size(struct link *l, size_t n)
{
	(void)l;
	(void)n;
}

static void
ignore_close(struct link *l, uint64_t code, const char *reason)
{
	(void)l;
	(void)code;
	(void)reason;
}

static void
allow(struct link *l, size_t n)
{
	mux_allow(mux_of(l), n);
}

static int
open_lane(struct link *l, struct lane **lane)
{
	return mux_open(mux_of(l), lane);
}

static void
credit(struct link *l, size_t n)
{
	mux_credit(mux_of(l), n);
}

static const struct link_kind in_memory = {
    .wake = ignore,
    .consumed = ignore_size,
    .widen = ignore_size,
    .close = ignore_close,
    .allow_lanes = allow,
    .open_lane = open_lane,
    .credit = credit,
    .later = ignore,
    .lane_wake = mux_lane_wake,
    .lane_break = mux_lane_break,
    .lane_credit = mux_lane_credit,
    .lane_closed = mux_lane_closed,
    .lane_free = mux_lane_free,
};

static void
begin(struct side *s, struct side *other, bool is_client)
{
	rig_end_init(&s->rig);
	s->link = (struct link){0};
	link_init(&s->link, &in_memory);
	s->link.ops = &rig_ops;
	s->link.arg = &s->rig;
	s->link.out = &s->rig.out;
	s->link.lanes = true;
	s->rig.link = &s->link;
	s->rig.ups = 1;
	s->rest = s->wire = (struct buf){0};
	s->taken = 0;
	s->other = other;
	s->failed = mux_init(&s->mux, &s->link, is_client, 0) != OK;
}

static void
end(struct side *s)
{
	lane_free_all(&s->link);
	mux_fini(&s->mux);
	rig_end_fini(&s->rig);
	buf_fini(&s->rest);
	buf_fini(&s->wire);
}

static int
setup(void **state)
{
	(void)state;
	begin(&client, &server, true);
	begin(&server, &client, false);
	link_allow_lanes(&server.link, 64);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	end(&client);
	end(&server);
	assert_int_equal(slab_total(), 0);
	return 0;
}

static int
teardown_chance(void **state)
{
	end(&client);
	end(&server);
	return chance_teardown(state);
}

/* Put the first n bytes of v on the wire. */
static void
transmit(struct side *s, const struct iovec *v, size_t n)
{
	struct view b;

	for (; n > 0; v++) {
		b = (struct view){v->iov_base, v->iov_len};
		if (b.len > n)
			b.len = n;
		assert_int_equal(buf_put(&s->wire, b), OK);
		n -= b.len;
	}
}

/* Write what there is, up to most bytes; false: there was nothing. */
static bool
write_some(struct side *s, size_t most)
{
	struct iovec v[8];
	size_t i, n, len = 0;
	int r;

	if (s->rest.len > 0) {
		v[0].iov_len = s->rest.len < most ? s->rest.len : most;
		v[0].iov_base = (void *)(uintptr_t)buf_view(&s->rest).p;
		transmit(s, v, v[0].iov_len);
		buf_consume(&s->rest, v[0].iov_len);
		return true;
	}
	if (s->failed || mux_talk(&s->mux) != OK) {
		s->failed = true;
		return false;
	}
	n = mux_pull(&s->mux, v, COUNT(v));
	assert_true(n <= COUNT(v));
	for (i = 0; i < n; i++)
		len += v[i].iov_len;
	if (len > most)
		len = most;
	transmit(s, v, len);
	r = mux_pulled(&s->mux, v, len, &s->rest);
	s->failed = s->failed || r != OK;
	return len > 0;
}

/* Let the other end have up to most bytes of what is on the wire. */
static void
read_some(struct side *s, size_t most)
{
	struct view all = buf_view(&s->wire), in = all;
	struct mux *m = &s->other->mux;
	size_t i;

	if (s->other->failed)
		return;
	if (in.len > most)
		in.len = most;
	all = in;
	s->other->failed = mux_take(m, &in) != OK;
	s->taken += all.len - in.len;
	buf_consume(&s->wire, all.len - in.len);
	if (m->fin_came && s->other->rig.fins == 0)
		rig_fin(&s->other->rig);
	for (i = 0; i < s->other->rig.n_lanes; i++)
		if (!s->other->rig.lanes[i].lazy)
			rig_lane_consume(&s->other->rig.lanes[i]);
}

static void
acknowledge(struct side *s, size_t most)
{
	size_t n = s->taken < most ? s->taken : most;

	if (s->failed)
		return;
	mux_acked(&s->mux, n);
	s->taken -= n;
	lane_tell_all(&s->link);
}

/* Both ends do all they can. */
static void
settle(void)
{
	bool more = true, also;

	while (more && !client.failed && !server.failed) {
		more = write_some(&client, SIZE_MAX);
		also = write_some(&server, SIZE_MAX);
		more = more || also;
		read_some(&client, SIZE_MAX);
		read_some(&server, SIZE_MAX);
		acknowledge(&client, SIZE_MAX);
		acknowledge(&server, SIZE_MAX);
	}
}

static struct rig_lane *
open_with(struct side *s, size_t n)
{
	struct rig_lane *l = rig_open_lane(&s->rig);

	assert_non_null(l);
	rig_lane_send(l, 0, n);
	return l;
}

/* --- what is on the wire --- */

static void
the_links_own_stream_comes_first_and_unchanged(void **state)
{
	static const uint8_t ack[] = {0xa9, 0x00};
	struct view v;
	struct frame f;
	struct chunk_frame c;

	(void)state;
	open_with(&client, 3);
	assert_int_equal(
	    outq_put(&client.rig.out, (struct view){ack, sizeof(ack)}), OK);
	assert_true(write_some(&client, SIZE_MAX));
	v = buf_view(&client.wire);
	assert_memory_equal(v.p, ack, sizeof(ack));
	view_skip(&v, sizeof(ack));
	assert_int_equal(frame_get(&v, SIZE_MAX, &f), OK);
	assert_int_equal(f.type, FRAME_CHUNK);
	assert_int_equal(chunk_frame_get(f.body, &c), OK);
	assert_int_equal(c.lane, 2);
	assert_false(c.fin);
	assert_int_equal(c.bytes.len, 3);
	assert_int_equal(v.len, 0);
}

/* While another waits: none has more than its share of a turn. */
static void
lanes_take_turns(void **state)
{
	struct rig_lane *a, *b, *c;
	size_t i;

	(void)state;
	a = open_with(&server, 1000000);
	b = open_with(&server, 1000000);
	c = open_with(&server, 100);
	for (i = 0; c->out.unsent > 0; i++)
		write_some(&server, SIZE_MAX);
	assert_in_range(i, 1, 3);
	assert_true(a->out.unsent > 900000 && b->out.unsent > 900000);
	settle();
	assert_int_equal(client.rig.lanes[0].in.len, 1000000);
	assert_int_equal(client.rig.lanes[1].in.len, 1000000);
}

/* One is said for half a window, not for each message. */
static void
credit_is_given_in_large_pieces(void **state)
{
	struct rig_lane *a;
	size_t i, wrote = 0;

	(void)state;
	a = open_with(&client, 0);
	link_credit(&server.link, 2000000);
	settle();
	for (i = 0; i < 1000; i++) {
		rig_lane_send(a, i * 1000, 1000);
		write_some(&client, SIZE_MAX);
		read_some(&client, SIZE_MAX);
		write_some(&server, SIZE_MAX);
		wrote += server.wire.len;
		read_some(&server, SIZE_MAX);
		acknowledge(&client, SIZE_MAX);
		acknowledge(&server, SIZE_MAX);
	}
	rig_lane_check(&server.rig.lanes[0], 1000000);
	assert_in_range(wrote, 1, 500);
}

static void
a_fin_of_the_link_comes_after_its_frames(void **state)
{
	(void)state;
	rig_send_frame(&client.rig, 100);
	rig_send_frame(&client.rig, 100000);
	link_finish(&client.link);
	settle();
	assert_true(rig_heard(&server.rig, &client.rig));
	assert_int_equal(server.rig.fins, 1);
	assert_true(client.mux.fin_acked);
	/* The other direction and lanes go on. */
	rig_send_frame(&server.rig, 10);
	open_with(&server, 100);
	open_with(&client, 100);
	settle();
	assert_true(rig_heard(&client.rig, &server.rig));
	assert_int_equal(rig_lanes_got(&client.rig), 100);
	assert_int_equal(rig_lanes_got(&server.rig), 100);
}

/* Who sends and never reads does not fill our memory. */
static void
nothing_piles_up_for_who_does_not_read(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 64; i++) {
		open_with(&client, 10);
		lane_finish(client.rig.lanes[i].lane);
	}
	while (write_some(&client, SIZE_MAX))
		;
	read_some(&client, SIZE_MAX);
	for (i = 0; i < 1000; i++) {
		lane_tell_all(&server.link);
		assert_int_equal(mux_talk(&server.mux), OK);
	}
	assert_in_range(server.mux.talk.len, 1, 64 * 16);
	assert_null(rig_open_lane(&client.rig));
}

/* --- cut anywhere, in any order --- */

static void
send_a_little(struct side *s)
{
	struct rig_lane *l;
	size_t i;

	if (s->rig.n_lanes > 0 && !chance_once_in(4)) {
		i = chance_below(s->rig.n_lanes);
		l = &s->rig.lanes[i];
		if (l->lane == NULL || l->lane->out == NULL ||
		    l->lane->fin_wanted || l->code != 0)
			return;
		i = chance_below(chance_once_in(5) ? 100000 : 100);
		rig_lane_send(l, l->sent, i);
		if (chance_once_in(4))
			lane_finish(l->lane);
		return;
	}
	if (s->rig.n_lanes < RIG_LANES / 2)
		(void)rig_open_lane(&s->rig);
}

static void
break_one(struct side *s)
{
	struct rig_lane *l;

	if (s->rig.n_lanes == 0)
		return;
	l = &s->rig.lanes[chance_below(s->rig.n_lanes)];
	if (l->lane != NULL && l->code == 0) {
		l->code = 7;
		lane_break(l->lane, 7);
	}
}

static void
do_something(struct side *s)
{
	switch (chance_below(8)) {
	case 0:
	case 1:
		send_a_little(s);
		break;
	case 2:
		if (chance_once_in(10))
			break_one(s);
		break;
	case 3:
		rig_send_frame(
		    &s->rig, chance_below(chance_once_in(5) ? 3000 : 20));
		break;
	case 4:
		write_some(s, chance_between(1, 100));
		break;
	case 5:
		write_some(s, chance_between(1, 100000));
		break;
	case 6:
		read_some(s, chance_between(1, 100000));
		break;
	case 7:
		acknowledge(s, chance_between(1, 100000));
		break;
	}
}

/* A lane of s that neither end broke off has come whole. */
static void
check_lanes(struct side *s)
{
	struct rig_lane *l, *o;
	size_t i;

	for (i = 0; i < s->rig.n_lanes; i++) {
		l = &s->rig.lanes[i];
		if ((l->id % 4 == 2) != (s == &client))
			continue;
		assert_int_equal(l->closes, 1);
		o = rig_other_end(&s->other->rig, l);
		if (o == NULL)
			continue; /* broken off before anything was said */
		assert_int_equal(o->closes, 1);
		if (l->code != 0 || o->code != 0) {
			assert_in_range(o->in.len, 0, 100000 * 50);
			continue;
		}
		assert_int_equal(o->fins, 1);
		rig_lane_check(o, l->sent);
	}
}

static void
finish_all(struct side *s)
{
	size_t i;

	for (i = 0; i < s->rig.n_lanes; i++)
		if (s->rig.lanes[i].lane != NULL &&
		    s->rig.lanes[i].lane->out != NULL)
			lane_finish(s->rig.lanes[i].lane);
}

static void
any_cut_and_any_order_lose_nothing(void **state)
{
	uint64_t seed;
	int i;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		end(&client);
		end(&server);
		setup(state);
		chance_begin(seed);
		for (i = 0; i < 400; i++)
			do_something(chance_once_in(2) ? &client : &server);
		finish_all(&client);
		finish_all(&server);
		settle();
		assert_false(client.failed || server.failed);
		assert_true(rig_heard(&server.rig, &client.rig));
		assert_true(rig_heard(&client.rig, &server.rig));
		check_lanes(&client);
		check_lanes(&server);
		assert_true(TAILQ_EMPTY(&client.mux.all));
		assert_true(TAILQ_EMPTY(&server.mux.all));
		assert_int_equal(client.mux.ring_n + server.mux.ring_n, 0);
		assert_int_equal(client.mux.n_ours + client.mux.n_theirs, 0);
		assert_int_equal(server.mux.n_ours + server.mux.n_theirs, 0);
		chance_end();
	}
}

static void
without_memory_a_link_fails_and_no_more(void **state)
{
	bool hit = true;
	uint8_t *p;
	size_t n, i;

	for (n = 1; hit; n++) {
		end(&client);
		end(&server);
		setup(state);
		for (i = 0; i < 20; i++)
			lane_finish(open_with(&client, 0)->lane);
		lane_break(client.rig.lanes[4].lane, 9);
		rig_send_frame(&client.rig, 1000);
		/* What is not to fail is the test's own. */
		buf_reserve(&server.rig.in, ENOUGH, &p);
		buf_reserve(&client.wire, ENOUGH, &p);
		buf_reserve(&server.wire, ENOUGH, &p);
		faults_at(n);
		for (i = 0; i < 100; i++) {
			write_some(&client, 500);
			write_some(&server, 500);
			if (client.wire.len > 0)
				read_some(&client, 700);
			read_some(&server, 700);
			acknowledge(&client, 100);
			acknowledge(&server, 100);
			if (client.failed || server.failed)
				break;
		}
		hit = faults_hit();
		faults_off();
	}
	assert_in_range(n, 5, 1000);
}

/* --- what no peer may say --- */

static const struct {
	const char *why;
	struct view bytes;
} bad[] = {
    {"a lane of a number that is none", BYTES(0xa7, 0x06, 1, 1, 3, 3, 1, 'x')},
    {"a lane of a number that is none", BYTES(0xa7, 0x06, 1, 1, 4, 3, 1, 'x')},
    {"a lane of a number that is none", BYTES(0xa8, 0x06, 1, 1, 5, 2, 1, 1)},
    {"a lane of a number that is none", BYTES(0xa8, 0x06, 1, 1, 3, 2, 1, 1)},
    {"bytes on lane 0", BYTES(0xa7, 0x06, 1, 1, 0, 3, 1, 'x')},
    {"bytes on lane 0", BYTES(0xa7, 0x03, 1, 1, 0)},
    {"more lanes than it may have",
	BYTES(0xa7, 0x07, 1, 2, 0xff, 0xfe, 3, 1, 'x')},
    {"more lanes than it may have", BYTES(0xa8, 0x0d, 1, 8, 0xff, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0xfe, 2, 1, 1)},
    {"credit for a lane not opened", BYTES(0xa6, 0x06, 1, 1, 3, 2, 1, 1)},
    {"credit for a lane not opened", BYTES(0xa6, 0x06, 1, 1, 2, 2, 1, 1)},
    {"credit taken back", BYTES(0xa6, 0x06, 1, 1, 0, 2, 1, 1)},
    {"bytes on a lane that is over", BYTES(0xa7, 0x09, 1, 1, 2, 2, 1, 1, 3, 1,
					 'x', 0xa7, 0x06, 1, 1, 2, 3, 1, 'x')},
    {"bytes on a lane that is over",
	BYTES(0xa8, 0x06, 1, 1, 2, 2, 1, 1, 0xa7, 0x06, 1, 1, 2, 3, 1, 'x')},
    {"a frame after the end", BYTES(0xa7, 0x06, 1, 1, 0, 2, 1, 1, 0xa9, 0x00)},
    {"a malformed frame", BYTES(0xa7, 0x02, 1, 7)},
    {"a malformed frame", BYTES(0xa8, 0x02, 1, 7)},
    {"a malformed frame", BYTES(0xa6, 0x02, 1, 7)},
    {"a chunk that is too long", BYTES(0xa7, 0x88, 0x80, 0x80, 0x00)},
};

static void
what_no_peer_may_say_is_refused_in_words(void **state)
{
	struct view in;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		in = bad[i].bytes;
		assert_int_equal(mux_take(&server.mux, &in), ERR_BAD);
		assert_string_equal(server.mux.why, bad[i].why);
		teardown(state);
		setup(state);
	}
}

static void
more_than_the_credit_is_refused(void **state)
{
	static uint8_t p[70000];
	struct chunk_frame f = {.lane = 2, .bytes = {.len = 60000}};
	struct view in;
	size_t n;
	int i, r = OK;

	(void)state;
	server.rig.model.lazy = true;
	link_credit(&server.link, 10000000);
	n = (size_t)(chunk_frame_put_head(p, &f) - p);
	for (i = 0; i < 10 && r == OK; i++) {
		in = (struct view){p, n + f.bytes.len};
		r = mux_take(&server.mux, &in);
	}
	assert_int_equal(r, ERR_BAD);
	assert_int_equal(i, 1 + (256 << 10) / 60000);
	assert_string_equal(
	    server.mux.why, "more bytes on a lane than it may send");
}

static void
credit_never_falls_and_a_lane_ends_once(void **state)
{
	struct credit_frame c = {.lane = 3, .limit = 3000000};
	struct reset_frame e = {.lane = 3};
	struct view in;
	uint8_t p[32];

	(void)state;
	open_with(&server, 10);
	in = (struct view){p, (size_t)(credit_frame_put(p, &c) - p)};
	assert_int_equal(mux_take(&server.mux, &in), OK);
	c.limit--;
	in = (struct view){p, (size_t)(credit_frame_put(p, &c) - p)};
	assert_int_equal(mux_take(&server.mux, &in), ERR_BAD);
	assert_string_equal(server.mux.why, "credit taken back");
	in = (struct view){p, (size_t)(reset_frame_put(p, &e) - p)};
	assert_int_equal(mux_take(&server.mux, &in), ERR_BAD);
	assert_string_equal(server.mux.why, "a lane taken before its end");
	e.code = 5;
	in = (struct view){p, (size_t)(reset_frame_put(p, &e) - p)};
	assert_int_equal(mux_take(&server.mux, &in), ERR_BAD);
	assert_string_equal(server.mux.why, "a second end of a lane");
}

/* What is no frame goes to the owner, who says so. */
static void
what_is_no_frame_is_passed_on(void **state)
{
	static const uint8_t garbage[] = {0xbf, 0x7f, 0x80, 0x80, 0x80, 0x80};
	struct view in = {garbage, sizeof(garbage)};

	(void)state;
	assert_int_equal(mux_take(&server.mux, &in), OK);
	assert_int_equal(in.len, 0);
	assert_memory_equal(
	    buf_view(&server.rig.in).p, garbage, sizeof(garbage));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_links_own_stream_comes_first_and_unchanged),
	    TEST(lanes_take_turns),
	    TEST(credit_is_given_in_large_pieces),
	    TEST(a_fin_of_the_link_comes_after_its_frames),
	    TEST(nothing_piles_up_for_who_does_not_read),
	    cmocka_unit_test_setup_teardown(
		any_cut_and_any_order_lose_nothing, setup, teardown_chance),
	    TEST(without_memory_a_link_fails_and_no_more),
	    TEST(what_no_peer_may_say_is_refused_in_words),
	    TEST(more_than_the_credit_is_refused),
	    TEST(credit_never_falls_and_a_lane_ends_once),
	    TEST(what_is_no_frame_is_passed_on),
	};

	log_init("mux_test");
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
