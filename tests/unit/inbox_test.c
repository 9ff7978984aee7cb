/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "base/log.h"
#include "chance.h"
#include "fake_link.h"
#include "faults.h"
#include "link/inbox.h"
#include "link/quiclink.h"

#define MAX (16u << 20) /* of a message */
#define HEADER 16	/* more than a lane's header takes */

static struct inbox box;
static struct fake_link net;
static struct buf bytes; /* what the peer is about to send */
static int works, failures, others;
static int room;    /* messages that are taken before one is held back */
static bool hasty;  /* they are said to be taken when they come */
static bool fickle; /* the link is given up when one comes */

struct heard {
	uint32_t tag;
	uint32_t number;
	uint64_t gap; /* messages missing; 0: it is a message */
};
static struct heard heard[20000];
static size_t n_heard;
static struct inbox_ticket tickets[20000];

static bool
note(uint32_t tag, uint32_t number, uint64_t gap)
{
	if (room == 0)
		return false;
	room--;
	assert_true(n_heard < COUNT(heard));
	tickets[n_heard] = inbox_ticket(&box);
	heard[n_heard++] = (struct heard){tag, number, gap};
	return true;
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	uint32_t number = 0;

	(void)arg;
	if (d->payload.len >= sizeof(number))
		memcpy(&number, d->payload.p, sizeof(number));
	if (!note(d->tag, number, 0))
		return false;
	if (fickle) {
		inbox_detach(&box);
		assert_int_equal(f->whole.p[0], 0x80 | FRAME_DATA);
	}
	if (hasty)
		inbox_taken(&box, inbox_ticket(&box));
	return true;
}

static bool
on_gap(void *arg, const struct gap_frame *g, const struct frame *f)
{
	(void)arg;
	(void)f;
	return note(g->tag, 0, g->messages);
}

static bool
on_other(void *arg, const struct frame *f)
{
	(void)arg;
	(void)f;
	others++;
	return true;
}

static void
on_work(void *arg)
{
	(void)arg;
	works++;
	inbox_give(&box);
}

static void
on_failed(void *arg)
{
	(void)arg;
	failures++;
}

static const struct inbox_ops callbacks = {
    .data = on_data,
    .gap = on_gap,
    .other = on_other,
    .work = on_work,
    .failed = on_failed,
};

static void
begin(bool lanes, bool says_taken)
{
	fake_init(&net, lanes);
	inbox_init(&box, MAX, false, says_taken, &callbacks, NULL);
	inbox_attach(&box, &net.link);
}

static int
setup(void **state)
{
	(void)state;
	works = failures = others = 0;
	room = INT32_MAX;
	hasty = fickle = false;
	n_heard = 0;
	log_set_level(LOG_ERROR);
	begin(true, false);
	return 0;
}

static int
teardown(void **state)
{
	inbox_fini(&box);
	fake_fini(&net);
	buf_fini(&bytes);
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

/* --- the peer --- */

static struct fake_lane *
open_lane(void)
{
	struct fake_lane *l = fake_next(&net);

	assert_true(inbox_accept(&box, &l->lane));
	return l;
}

static void
put_header(const char *session, uint32_t tag)
{
	struct lane_frame f = {
	    .has_tag = tag != 0, .tag = tag, .session = view_of(session)};
	uint8_t p[200];

	lane_frame_put(p, &f);
	assert_int_equal(
	    buf_put(&bytes, (struct view){p, lane_frame_size(&f)}), OK);
}

static void
put_data(uint32_t tag, uint32_t number, size_t len)
{
	uint8_t *payload = calloc(1, len);
	struct data_frame d = {.tag = tag, .payload = {payload, len}};
	uint8_t *frame = malloc(data_frame_size(&d));

	assert_true(payload != NULL && frame != NULL);
	assert_true(len >= sizeof(number));
	memcpy(payload, &number, sizeof(number));
	data_frame_put(frame, &d);
	assert_int_equal(
	    buf_put(&bytes, (struct view){frame, data_frame_size(&d)}), OK);
	free(frame);
	free(payload);
}

static void
put_gap(uint32_t tag, uint64_t messages)
{
	struct gap_frame g = {.tag = tag, .messages = messages, .bytes = 1};
	uint8_t p[GAP_FRAME_SIZE];

	gap_frame_put(p, &g);
	assert_int_equal(buf_put(&bytes, (struct view){p, sizeof(p)}), OK);
}

/* n bytes of what was put go by this lane, the rest stays. */
static void
send_some(struct fake_lane *l, size_t n)
{
	struct view v = buf_view(&bytes);

	if (v.len > n)
		v.len = n;
	l->lane.ops->bytes(l->lane.arg, v);
	buf_consume(&bytes, v.len);
}

static void
send_all(struct fake_lane *l)
{
	send_some(l, SIZE_MAX);
}

/* A lane of tag with n messages, numbered from 1 on. */
static struct fake_lane *
send_lane(uint32_t tag, uint32_t n, size_t len)
{
	struct fake_lane *l = open_lane();
	uint32_t i;

	put_header(NULL, tag);
	for (i = 1; i <= n; i++)
		put_data(tag, i, len);
	send_all(l);
	return l;
}

static void
send_fin(struct fake_lane *l)
{
	l->lane.ops->fin(l->lane.arg);
}

static void
lose(void)
{
	inbox_keep(&box);
	inbox_detach(&box);
	fake_fini(&net);
	fake_init(&net, true);
	inbox_attach(&box, &net.link);
}

static void
give(void)
{
	assert_int_equal(inbox_give(&box), OK);
}

static void
resume(int n)
{
	room = n;
	inbox_resume(&box);
	give();
}

/* --- lanes --- */

static void
messages_come_by_lanes(void **state)
{
	struct fake_lane *a, *b, *shared;

	(void)state;
	a = send_lane(1, 2, 100);
	b = send_lane(2, 1, 100);
	shared = open_lane();
	put_header(NULL, 0);
	put_data(3, 1, 100);
	put_data(4, 1, 100);
	send_all(shared);
	give();
	assert_int_equal(n_heard, 5);
	assert_int_equal(box.received, 5);
	assert_int_equal(heard[0].tag, 1);
	assert_int_equal(heard[1].number, 2);
	assert_int_equal(heard[4].tag, 4);
	assert_false(a->lane.fin_wanted);
	send_fin(a);
	send_fin(b);
	give();
	assert_true(a->lane.fin_wanted && b->lane.fin_wanted);
	fake_closed(a);
	fake_closed(b);
	inbox_end(&box);
	assert_true(inbox_is_over(&box));
}

static void
put_bytes(struct view v)
{
	assert_int_equal(buf_put(&bytes, v), OK);
}

static void
put_nothing(void)
{
	put_bytes((struct view)BYTES(0xbf));
}

static void
put_no_header(void)
{
	put_data(1, 1, 10);
}

static void
put_another_tag(void)
{
	put_header(NULL, 1);
	put_data(2, 1, 10);
}

static void
put_gap_of_another_tag(void)
{
	put_header(NULL, 1);
	put_gap(2, 1);
}

static void
put_two_headers(void)
{
	put_header(NULL, 1);
	put_header(NULL, 1);
}

static void
put_an_ack(void)
{
	put_header(NULL, 1);
	put_bytes((struct view){FRAME_ACK_BYTES, FRAME_ACK_SIZE});
}

static void
put_no_message(void)
{
	put_header(NULL, 1);
	put_bytes((struct view)BYTES(0xbf, 0x02, 0x01, 0x05));
}

static void
put_no_gap(void)
{
	put_header(NULL, 1);
	put_bytes((struct view)BYTES(0xa5, 0x00));
}

static const struct {
	const char *name;
	void (*put)(void);
	bool beside; /* by the link's own stream */
} wrongs[] = {
    {"half a frame, then the end", put_nothing, false},
    {"no header", put_no_header, false},
    {"a message of another tag", put_another_tag, false},
    {"a gap of another tag", put_gap_of_another_tag, false},
    {"two headers", put_two_headers, false},
    {"a frame that is none of a lane's", put_an_ack, false},
    {"a malformed message", put_no_message, false},
    {"a malformed gap", put_no_gap, false},
    {"a message beside the lanes", put_no_header, true},
};

static void
a_lane_brings_nothing_else(void **state)
{
	struct fake_lane *l;
	size_t i;

	for (i = 0; i < COUNT(wrongs); i++) {
		wrongs[i].put();
		if (wrongs[i].beside) {
			inbox_put(&box, buf_view(&bytes));
		} else {
			l = open_lane();
			send_all(l);
			send_fin(l);
		}
		if (inbox_give(&box) != ERR_BAD || box.why == NULL)
			fail_msg("%s", wrongs[i].name);
		assert_int_equal(inbox_give(&box), ERR_BAD);
		assert_int_equal(n_heard, 0);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
gaps_come_where_messages_are_missing(void **state)
{
	struct fake_lane *l = open_lane();

	(void)state;
	room = 1;
	put_header(NULL, 1);
	put_data(1, 1, 100);
	put_gap(1, 7);
	put_data(1, 9, 100);
	send_all(l);
	give();
	assert_int_equal(n_heard, 1);
	assert_int_equal(box.missing, 0);
	resume(2);
	assert_int_equal(n_heard, 3);
	assert_int_equal(heard[1].gap, 7);
	assert_int_equal(heard[2].number, 9);
	assert_int_equal(box.missing, 7);
}

static void
lanes_take_turns(void **state)
{
	size_t i, seen[4] = {0};
	uint32_t tag;

	(void)state;
	room = 0;
	for (tag = 1; tag <= 3; tag++)
		send_lane(tag, 300, 1000);
	give();
	for (i = 0; i < 30; i++)
		resume(20);
	assert_int_equal(n_heard, 600);
	for (i = 0; i < n_heard; i++)
		assert_int_equal(heard[i].number, ++seen[heard[i].tag]);
	for (tag = 1; tag <= 3; tag++)
		assert_true(seen[tag] >= 130);
}

/* --- credit --- */

static void
credit_is_for_what_was_taken(void **state)
{
	struct fake_lane *l;
	size_t all;

	(void)state;
	room = 3;
	l = send_lane(1, 10, 1000);
	give();
	all = net.credit;
	assert_int_equal(l->credit, all);
	assert_true(all > 3000 && all < 4000);
	give(); /* held back: nothing more */
	assert_int_equal(net.credit, all);
	resume(1);
	assert_true(net.credit > all + 1000 && net.credit < all + 1100);
	resume(10);
	assert_true(net.credit > 10000);
	assert_int_equal(l->credit, net.credit);
	assert_int_equal(net.consumed, 0);
}

static void
a_part_of_a_frame_has_credit_too(void **state)
{
	struct fake_lane *l = open_lane();
	size_t all;

	(void)state;
	put_header(NULL, 1);
	put_data(1, 1, 3 * QUICLINK_WINDOW);
	all = buf_view(&bytes).len;
	while (buf_view(&bytes).len > 0) {
		send_some(l, 100000);
		give();
		assert_int_equal(l->credit + buf_view(&bytes).len, all);
	}
	assert_int_equal(n_heard, 1);
}

static void
long_frames_come_on_one_lane_at_a_time(void **state)
{
	struct buf halves[3] = {{0}};
	struct fake_lane *l[3];
	size_t credit;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		l[i] = open_lane();
		put_header(NULL, 1);
		put_data(1, 1, 2 * QUICLINK_WINDOW);
		send_some(l[i], QUICLINK_WINDOW);
		halves[i] = bytes;
		bytes = (struct buf){0};
		give();
	}
	assert_int_equal(l[0]->credit, QUICLINK_WINDOW);
	assert_true(l[1]->credit < HEADER);
	/* But they hold up nobody else. */
	assert_int_equal(net.credit, 3 * QUICLINK_WINDOW);
	for (i = 0; i < 2; i++) {
		credit = l[i + 1]->credit;
		bytes = halves[i];
		send_all(l[i]);
		give();
		buf_fini(&bytes);
		assert_int_equal(n_heard, i + 1);
		assert_true(credit < HEADER);
		assert_int_equal(l[i + 1]->credit, QUICLINK_WINDOW);
	}
	buf_fini(&halves[2]);
}

static void
a_long_frame_that_never_ends_is_in_nobodys_way(void **state)
{
	struct fake_lane *l[2];
	int i;

	(void)state;
	open_lane();
	put_header(NULL, 1);
	put_data(1, 1, 2 * QUICLINK_WINDOW);
	send_some(&net.lanes[0], QUICLINK_WINDOW);
	buf_fini(&bytes);
	give();
	lose();
	for (i = 0; i < 2; i++) {
		l[i] = open_lane();
		put_header(NULL, 1);
		put_data(1, 1, 2 * QUICLINK_WINDOW);
		send_some(l[i], QUICLINK_WINDOW);
		buf_fini(&bytes);
		give();
	}
	assert_true(l[1]->credit < HEADER);
	l[0]->lane.ops->broken(l[0]->lane.arg, 1);
	fake_closed(l[0]);
	assert_int_equal(l[1]->credit, QUICLINK_WINDOW);
	assert_int_equal(net.credit, 2 * QUICLINK_WINDOW);
}

static void
in_one_stream_it_is_the_same(void **state)
{
	size_t all, used;

	(void)state;
	inbox_fini(&box);
	begin(false, false);
	room = 2;
	put_data(1, 1, 1000);
	put_data(2, 2, 1000);
	put_data(1, 3, 1000);
	all = buf_view(&bytes).len;
	inbox_put(&box, buf_view(&bytes));
	give();
	assert_int_equal(n_heard, 2);
	assert_int_equal(box.bytes, all);
	used = net.consumed;
	assert_true(used > 2000 && used < all - 1000);
	assert_int_equal(net.credit, 0);
	lose();
	net.link.lanes = false;
	buf_fini(&bytes);
	put_data(1, 4, 1000);
	inbox_put(&box, buf_view(&bytes));
	give();
	assert_int_equal(n_heard, 2);
	resume(10);
	assert_int_equal(n_heard, 4);
	assert_int_equal(heard[3].number, 4);
	assert_int_equal(net.consumed, buf_view(&bytes).len);
	assert_int_equal(slab_total(), box.control.in.front->cap);
}

/* --- broken off, and lost --- */

static void
what_came_of_a_lane_that_is_broken_off_stays_good(void **state)
{
	struct fake_lane *l, *other;
	size_t all;

	(void)state;
	room = 0;
	l = send_lane(1, 3, 100);
	other = send_lane(2, 1, 100);
	give();
	put_data(1, 4, 100);
	send_some(l, 50);
	l->lane.ops->broken(l->lane.arg, 1);
	fake_closed(l);
	all = net.credit;
	assert_true(all > 350); /* so much is kept beside what may come */
	assert_int_equal(n_heard, 0);
	resume(10);
	assert_int_equal(n_heard, 4);
	assert_int_equal(heard[2].number, 3);
	assert_int_equal(heard[3].tag, 2);
	assert_true(other->credit > 100);
}

static void
a_lane_that_is_broken_off_is_taken_at_once(void **state)
{
	struct fake_lane *l = send_lane(1, 3, 100);

	(void)state;
	l->lane.ops->broken(l->lane.arg, 1);
	assert_int_equal(n_heard, 3);
	assert_int_equal(works, 1);
	fake_closed(l);
}

static void
what_is_held_back_survives_the_link(void **state)
{
	struct fake_lane *l;
	uint32_t tag;

	(void)state;
	room = 0;
	for (tag = 1; tag <= 2; tag++) {
		l = send_lane(tag, 3, 100);
		put_gap(tag, 5);
		put_data(tag, 9, 100);
		send_all(l);
	}
	give();
	lose();
	assert_true(inbox_has_kept(&box));
	send_lane(1, 1, 100);
	give();
	assert_int_equal(n_heard, 0);
	resume(6);
	assert_int_equal(n_heard, 6);
	resume(10);
	assert_int_equal(n_heard, 11);
	assert_int_equal(heard[3].gap, 5);
	assert_int_equal(heard[4].number, 9);
	assert_int_equal(heard[5].tag, 2);
	assert_int_equal(heard[10].number, 1);
	assert_int_equal(box.untaken, 0);
	assert_false(inbox_has_kept(&box));
}

static void
what_is_not_kept_holds_nobody_up(void **state)
{
	(void)state;
	room = 0;
	send_lane(1, 3, 100);
	give();
	inbox_detach(&box);
	fake_fini(&net);
	fake_init(&net, true);
	inbox_attach(&box, &net.link);
	room = 10;
	send_lane(1, 1, 100);
	give();
	assert_int_equal(n_heard, 1);
}

static void
a_message_may_be_the_last_of_its_link(void **state)
{
	(void)state;
	fickle = true;
	send_lane(1, 3, 100);
	assert_int_equal(inbox_give(&box), ERR_GONE);
	assert_int_equal(n_heard, 1);
	assert_int_equal(inbox_give(&box), OK);
	assert_int_equal(n_heard, 1);
}

static void
no_more_than_two_windows_are_kept(void **state)
{
	int i;

	(void)state;
	room = 0;
	for (i = 0; i < 5; i++)
		send_lane(1, 1, QUICLINK_WINDOW - 1000);
	put_gap(1, 7);
	put_header(NULL, 1);
	give();
	lose();
	resume(10);
	assert_int_equal(n_heard, 2);
	assert_int_equal(box.untaken, 3);
}

static void
who_is_deaf_holds_nobody_up(void **state)
{
	struct fake_lane *l;

	(void)state;
	room = 1;
	l = send_lane(1, 3, 1000);
	give();
	inbox_deafen(&box);
	inbox_resume(&box);
	give();
	assert_int_equal(n_heard, 1);
	assert_true(l->credit > 3000);
	send_fin(l);
	give();
	assert_true(l->lane.fin_wanted);
}

/* --- what was taken --- */

static void
the_peer_is_told_what_was_taken(void **state)
{
	struct fake_lane *a, *b;
	struct taken_frame t;

	(void)state;
	inbox_fini(&box);
	begin(true, true);
	a = send_lane(1, 3, 100);
	b = send_lane(2, 1, 100);
	give();
	assert_int_equal(n_heard, 4);
	assert_false(inbox_next_taken(&box, &t));
	inbox_taken(&box, tickets[0]);
	inbox_taken(&box, tickets[1]);
	assert_true(inbox_next_taken(&box, &t));
	assert_int_equal(t.lane, a->lane.id);
	assert_int_equal(t.messages, 2);
	assert_false(inbox_next_taken(&box, &t));
	/* A lane stays for as long as something of it is not taken. */
	send_fin(a);
	send_fin(b);
	give();
	assert_false(a->lane.fin_wanted);
	inbox_taken(&box, tickets[2]);
	assert_true(a->lane.fin_wanted);
	fake_closed(a);
	inbox_taken(&box, tickets[3]);
	assert_true(inbox_next_taken(&box, &t));
	assert_int_equal(t.lane, b->lane.id);
	assert_int_equal(t.messages, 1);
	inbox_taken(&box, tickets[2]); /* of a lane that is no more */
	lose();
	inbox_taken(&box, tickets[3]); /* of a link that is no more */
	assert_false(inbox_next_taken(&box, &t));
}

static void
a_message_may_be_taken_as_it_comes(void **state)
{
	struct fake_lane *l;
	struct taken_frame t;

	(void)state;
	inbox_fini(&box);
	begin(true, true);
	hasty = true;
	l = send_lane(1, 3, 100);
	send_fin(l);
	give();
	assert_true(inbox_next_taken(&box, &t));
	assert_int_equal(t.messages, 3);
	assert_true(l->lane.fin_wanted);
}

/* --- memory --- */

static void
lanes_in_use_keep_theirs(void **state)
{
	struct fake_lane *l = send_lane(1, 3, 100);

	(void)state;
	give();
	assert_true(inbox_trim(&box));
	put_data(1, 4, 100);
	send_all(l);
	give();
	assert_true(inbox_trim(&box));
	assert_true(slab_total() > 0);
	assert_false(inbox_trim(&box));
	assert_int_equal(slab_total(), 0);
}

static void
idle_lanes_keep_no_memory(void **state)
{
	uint32_t tag;

	(void)state;
	for (tag = 1; tag <= 60; tag++)
		send_lane(tag, 3, 100);
	assert_true(inbox_trim(&box));
	assert_true(inbox_trim(&box)); /* what is not taken stays */
	give();
	assert_int_equal(n_heard, 180);
	assert_true(slab_total() > 0);
	assert_false(inbox_trim(&box));
	assert_int_equal(slab_total(), 0);
}

static void
without_memory_it_is_said(void **state)
{
	struct fake_lane *l;
	size_t n;

	for (n = 1; n <= 2; n++) {
		put_header(NULL, 1);
		l = fake_next(&net);
		faults_at(n);
		if (inbox_accept(&box, &l->lane))
			send_all(l);
		assert_true(faults_hit());
		faults_off();
		assert_int_equal(failures, 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* --- anything --- */

#define LANES 5

static void
whatever_comes_is_given_once_and_in_order(void **state)
{
	struct buf streams[LANES];
	struct fake_lane *l[LANES];
	uint32_t seen[LANES + 1], i, k;
	size_t sent[LANES], at, left;
	uint64_t seed;

	for (seed = 1; seed <= 200; seed++) {
		chance_begin(seed);
		memset(seen, 0, sizeof(seen));
		memset(sent, 0, sizeof(sent));
		for (i = 0; i < LANES; i++) {
			l[i] = open_lane();
			put_header(NULL, i + 1);
			for (k = 1; k <= 100; k++)
				put_data(i + 1, k,
				    chance_once_in(10)
					? chance_between(4, 100000)
					: chance_between(4, 500));
			streams[i] = bytes;
			bytes = (struct buf){0};
		}
		for (left = LANES; left > 0;) {
			i = (uint32_t)chance_below(LANES);
			if (l[i]->lane.fin_wanted)
				continue;
			bytes = streams[i];
			at = buf_view(&bytes).len;
			send_some(l[i], chance_below(50000));
			sent[i] += at - buf_view(&bytes).len;
			at = buf_view(&bytes).len;
			streams[i] = bytes;
			bytes = (struct buf){0};
			if (at == 0)
				send_fin(l[i]);
			give();
			if (box.held)
				resume((int)chance_below(100));
			else if (chance_once_in(3))
				room = (int)chance_below(50);
			for (left = 0, k = 0; k < LANES; k++)
				left += !l[k]->lane.fin_wanted;
		}
		assert_int_equal(n_heard, 100 * LANES);
		for (k = 0; k < n_heard; k++)
			assert_int_equal(heard[k].number, ++seen[heard[k].tag]);
		for (left = 0, i = 0; i < LANES; i++) {
			assert_int_equal(l[i]->credit, sent[i]);
			left += sent[i];
			fake_closed(l[i]);
			buf_fini(&streams[i]);
		}
		assert_int_equal(net.credit, left);
		chance_end();
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(messages_come_by_lanes),
	    TEST(a_lane_brings_nothing_else),
	    TEST(gaps_come_where_messages_are_missing),
	    TEST(lanes_take_turns),
	    TEST(credit_is_for_what_was_taken),
	    TEST(a_part_of_a_frame_has_credit_too),
	    TEST(long_frames_come_on_one_lane_at_a_time),
	    TEST(a_long_frame_that_never_ends_is_in_nobodys_way),
	    TEST(in_one_stream_it_is_the_same),
	    TEST(what_came_of_a_lane_that_is_broken_off_stays_good),
	    TEST(a_lane_that_is_broken_off_is_taken_at_once),
	    TEST(what_is_held_back_survives_the_link),
	    TEST(what_is_not_kept_holds_nobody_up),
	    TEST(a_message_may_be_the_last_of_its_link),
	    TEST(no_more_than_two_windows_are_kept),
	    TEST(who_is_deaf_holds_nobody_up),
	    TEST(the_peer_is_told_what_was_taken),
	    TEST(a_message_may_be_taken_as_it_comes),
	    TEST(lanes_in_use_keep_theirs),
	    TEST(idle_lanes_keep_no_memory),
	    TEST(without_memory_it_is_said),
	    TEST(whatever_comes_is_given_once_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
