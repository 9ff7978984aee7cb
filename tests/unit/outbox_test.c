/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "chance.h"
#include "fake_link.h"
#include "faults.h"
#include "link/outbox.h"

#define LIMIT 10000
#define HEADERS 16 /* more than the header of a lane takes */

static struct outbox box;
static struct fake_link net;
static int rooms, failures;

static void
on_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void
on_failed(void *arg)
{
	(void)arg;
	failures++;
}

static const struct outbox_ops callbacks = {
    .room = on_room,
    .failed = on_failed,
};

static int
setup(void **state)
{
	(void)state;
	rooms = failures = 0;
	fake_init(&net, true);
	outbox_init(&box, LIMIT, &callbacks, NULL);
	return 0;
}

static int
teardown(void **state)
{
	outbox_fini(&box);
	fake_fini(&net);
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

static void
attach(void)
{
	assert_int_equal(outbox_use_lanes(&box, net.link.lanes), OK);
	assert_int_equal(outbox_attach(&box, &net.link), OK);
}

/* The link is lost, and the next one is new.  How many are in doubt. */
static uint64_t
lose(void)
{
	uint64_t n = outbox_settle(&box);

	fake_fini(&net);
	fake_init(&net, true);
	outbox_detach(&box);
	return n;
}

static int
try_to_say(uint32_t tag, const char *session, uint32_t number, size_t len)
{
	static uint8_t payload[LIMIT];
	struct data_frame d = {.tag = tag, .payload = {payload, len}};

	assert_true(len >= sizeof(number));
	memcpy(payload, &number, sizeof(number));
	return outbox_send(&box, view_of(session), &d);
}

static void
say(uint32_t tag, uint32_t number, size_t len)
{
	assert_int_equal(try_to_say(tag, NULL, number, len), OK);
}

/* What came by a stream: its header, and the numbers of its messages. */
struct heard {
	bool headed;
	struct lane_frame lane;
	uint32_t n;
	uint32_t tags[1000];
	uint32_t numbers[1000];
};

static void
hear(struct view bytes, struct heard *h)
{
	struct data_frame d;
	struct frame f;

	*h = (struct heard){0};
	while (frame_get(&bytes, SIZE_MAX, &f) == OK) {
		if (f.type == FRAME_LANE) {
			assert_false(h->headed);
			assert_int_equal(h->n, 0);
			assert_int_equal(lane_frame_get(f.body, &h->lane), OK);
			h->headed = true;
			continue;
		}
		assert_int_equal(f.type, FRAME_DATA);
		assert_int_equal(data_frame_get(f.body, &d), OK);
		assert_true(h->n < COUNT(h->numbers));
		h->tags[h->n] = d.tag;
		memcpy(&h->numbers[h->n++], d.payload.p, sizeof(uint32_t));
	}
}

/* What lane i of the link has brought. */
static const struct heard *
heard_on(size_t i)
{
	static struct heard h;

	assert_true(i < net.n);
	hear(buf_view(&net.lanes[i].sent), &h);
	assert_true(h.headed || h.n == 0);
	return &h;
}

/* --- lanes --- */

static void
each_tag_has_a_lane_of_its_own(void **state)
{
	(void)state;
	attach();
	assert_int_equal(net.n, 0);
	say(1, 10, 100);
	say(2, 20, 100);
	say(1, 11, 100);
	assert_int_equal(net.n, 2);
	assert_true(net.lanes[0].wakes > 0 && net.lanes[1].wakes > 0);
	fake_run(&net);
	assert_true(heard_on(0)->lane.has_tag);
	assert_int_equal(heard_on(0)->lane.tag, 1);
	assert_int_equal(heard_on(0)->lane.session.len, 0);
	assert_int_equal(heard_on(0)->n, 2);
	assert_int_equal(heard_on(0)->numbers[1], 11);
	assert_int_equal(heard_on(1)->lane.tag, 2);
	assert_int_equal(heard_on(1)->n, 1);
	assert_int_equal(box.sent, 3);
	assert_true(outbox_is_empty(&box));
}

static void
so_has_each_session(void **state)
{
	struct view a = view_of("a");

	(void)state;
	attach();
	assert_int_equal(try_to_say(1, "a", 10, 100), OK);
	assert_int_equal(try_to_say(1, "b", 20, 100), OK);
	assert_int_equal(try_to_say(1, NULL, 30, 100), OK);
	assert_int_equal(try_to_say(1, "a", 11, 100), OK);
	assert_int_equal(net.n, 3);
	outbox_end_session(&box, 1, a);
	outbox_end_session(&box, 1, view_of("c"));
	outbox_end_session(&box, 2, a);
	assert_true(net.lanes[0].lane.fin_wanted);
	assert_false(net.lanes[1].lane.fin_wanted);
	fake_run(&net);
	assert_int_equal(net.open, 2);
	assert_true(view_equal(heard_on(0)->lane.session, a));
	assert_int_equal(heard_on(0)->n, 2);
	assert_int_equal(heard_on(1)->n, 1);
	assert_int_equal(heard_on(2)->lane.session.len, 0);
}

static void
a_session_that_begins_again_waits_for_its_end(void **state)
{
	(void)state;
	attach();
	assert_int_equal(try_to_say(1, "a", 10, 100), OK);
	outbox_end_session(&box, 1, view_of("a"));
	assert_int_equal(try_to_say(1, "a", 11, 100), OK);
	assert_int_equal(net.n, 1);
	fake_run(&net);
	assert_int_equal(net.n, 2);
	assert_int_equal(heard_on(0)->n, 1);
	assert_int_equal(heard_on(1)->numbers[0], 11);
	assert_false(net.lanes[1].lane.fin_wanted);
}

static void
a_frame_is_forwarded_as_it_is(void **state)
{
	struct data_frame d = {.tag = 300, .payload = BYTES(7, 0, 0, 0, 9)};
	uint8_t frame[50];
	struct view v = {frame, data_frame_size(&d)};

	(void)state;
	data_frame_put(frame, &d);
	attach();
	assert_int_equal(outbox_forward(&box, 300, v), OK);
	fake_run(&net);
	assert_int_equal(heard_on(0)->lane.tag, 300);
	assert_int_equal(heard_on(0)->tags[0], 300);
	assert_int_equal(heard_on(0)->numbers[0], 7);
	assert_int_equal(box.sent, 1);
}

static void
a_lane_is_woken_for_each_message(void **state)
{
	int wakes;

	(void)state;
	attach();
	say(1, 10, 100);
	wakes = net.lanes[0].wakes;
	fake_run(&net);
	say(1, 11, 100);
	assert_true(net.lanes[0].wakes > wakes);
	outbox_detach(&box);
	fake_fini(&net);
	fake_init(&net, false);
	attach();
	wakes = net.wakes;
	say(1, 12, 100);
	assert_true(net.wakes > wakes);
}

static void
the_last_lane_is_for_all_further_tags(void **state)
{
	const struct heard *h;
	uint32_t tag;

	(void)state;
	attach();
	for (tag = 1; tag <= 100; tag++)
		say(tag, tag, 100);
	for (tag = 100; tag >= 1; tag--)
		say(tag, 1000 + tag, 100);
	assert_int_equal(net.n, OUTBOX_LANES);
	fake_run(&net);
	assert_int_equal(heard_on(0)->n, 2);
	h = heard_on(OUTBOX_LANES - 1);
	assert_false(h->lane.has_tag);
	assert_int_equal(h->n, 2 * (100 - OUTBOX_LANES + 1));
	assert_int_equal(h->tags[0], OUTBOX_LANES);
	assert_int_equal(h->numbers[h->n - 1], 1000 + OUTBOX_LANES);
}

static void
a_lane_that_is_not_allowed_yet_is_waited_for(void **state)
{
	(void)state;
	net.allowed = 1;
	attach();
	say(1, 10, 100);
	say(2, 20, 100);
	say(2, 21, 100);
	fake_run(&net);
	assert_int_equal(net.n, 1);
	assert_int_equal(outbox_open_lanes(&box), OK);
	assert_int_equal(net.n, 1);
	net.allowed = 2;
	assert_int_equal(outbox_open_lanes(&box), OK);
	fake_run(&net);
	assert_int_equal(heard_on(1)->n, 2);
	assert_int_equal(failures, 0);
}

static void
messages_wait_for_the_link_in_their_queues(void **state)
{
	(void)state;
	say(1, 10, 100); /* nobody knows of lanes yet */
	say(2, 20, 100);
	assert_int_equal(outbox_use_lanes(&box, true), OK);
	say(1, 11, 100);
	assert_int_equal(net.n, 0);
	assert_int_equal(box.control.out.n, 0);
	attach();
	fake_run(&net);
	assert_int_equal(net.n, 2);
	assert_int_equal(heard_on(0)->n, 2);
	assert_int_equal(heard_on(0)->numbers[0], 10);
	assert_int_equal(heard_on(1)->n, 1);
}

static void
what_nobody_wants_is_dropped_and_counted(void **state)
{
	struct fake_lane *l = &net.lanes[0];
	struct taken_frame t = {.messages = 5, .unobserved = 2};

	(void)state;
	attach();
	say(1, 1, 100);
	say(1, 2, 100);
	fake_run(&net);
	say(1, 3, 100);
	say(1, 4, 100);
	l->lane.ops->broken(l->lane.arg, 7);
	assert_int_equal(box.unobserved, 2);
	/* The next one for the tag waits until this one is over. */
	say(1, 5, 100);
	assert_int_equal(net.n, 1);
	fake_closed(l);
	fake_run(&net);
	assert_int_equal(net.n, 2);
	assert_int_equal(heard_on(1)->n, 1);
	assert_int_equal(heard_on(1)->numbers[0], 5);
	/* What it had, it may have made room for. */
	while (!outbox_is_full(&box))
		say(1, 6, 1000);
	l = &net.lanes[1];
	l->lane.ops->broken(l->lane.arg, 7);
	assert_int_equal(rooms, 0);
	fake_closed(l);
	assert_int_equal(rooms, 1);
	box.unobserved = 2;
	/* The zipper may still say what became of those before. */
	t.lane = net.lanes[0].lane.id;
	outbox_note_taken(&box, &t);
	assert_int_equal(box.unobserved, 4);
	/* But not over another link, where that is no lane of ours. */
	lose();
	attach();
	t.unobserved = 9;
	outbox_note_taken(&box, &t);
	assert_int_equal(box.unobserved, 4);
}

static void
what_nobody_wants_is_in_no_doubt_either(void **state)
{
	struct fake_lane *l = &net.lanes[0];

	(void)state;
	attach();
	say(1, 1, 100);
	say(1, 2, 100);
	fake_send(l->lane.out, &l->sent, 150);
	l->lane.ops->broken(l->lane.arg, 7);
	assert_int_equal(lose(), 0);
	assert_int_equal(box.unobserved, 2);
	assert_true(outbox_is_empty(&box));
	attach();
	assert_int_equal(net.n, 0);
}

static void
what_was_unobserved_is_counted_once(void **state)
{
	struct taken_frame t = {.messages = 3};

	(void)state;
	attach();
	say(1, 1, 100);
	say(2, 1, 100);
	for (t.unobserved = 1; t.unobserved <= 3; t.unobserved++) {
		t.lane = net.lanes[0].lane.id;
		outbox_note_taken(&box, &t);
		outbox_note_taken(&box, &t);
	}
	assert_int_equal(box.unobserved, 3);
	t.lane = net.lanes[1].lane.id;
	t.unobserved = 4;
	outbox_note_taken(&box, &t);
	assert_int_equal(box.unobserved, 7);
	outbox_finish(&box);
	fake_run(&net); /* both are over; now the zipper has routed all */
	t.unobserved = 5;
	outbox_note_taken(&box, &t);
	assert_int_equal(box.unobserved, 8);
	t.unobserved = 2; /* nonsense */
	outbox_note_taken(&box, &t);
	t.unobserved = 100;
	t.lane = 1002; /* never heard of */
	outbox_note_taken(&box, &t);
	assert_int_equal(box.unobserved, 8);
}

/* --- the end --- */

static void
the_link_ends_when_all_lanes_have(void **state)
{
	(void)state;
	net.allowed = 2;
	attach();
	say(1, 1, 100);
	say(2, 1, 100);
	say(3, 1, 100); /* its lane is not allowed yet */
	outbox_finish(&box);
	assert_true(net.lanes[0].lane.fin_wanted);
	assert_true(net.lanes[1].lane.fin_wanted);
	assert_false(net.link.fin_wanted);
	fake_run(&net);
	assert_int_equal(net.n, 3);
	assert_int_equal(heard_on(2)->n, 1);
	assert_true(net.link.fin_wanted);
}

static void
a_link_that_is_lost_at_the_end_ends_nothing(void **state)
{
	(void)state;
	attach();
	say(1, 1, 100);
	outbox_finish(&box);
	lose();
	attach();
	fake_run(&net);
	assert_int_equal(heard_on(0)->n, 1);
	assert_false(net.link.fin_wanted);
	say(2, 1, 100);
	assert_false(net.lanes[1].lane.fin_wanted);
	outbox_finish(&box);
	fake_run(&net);
	assert_true(net.link.fin_wanted);
}

static void
without_lanes_it_ends_at_once(void **state)
{
	(void)state;
	attach();
	outbox_finish(&box);
	assert_true(net.link.fin_wanted);
	outbox_detach(&box);
	fake_init(&net, false);
	attach();
	say(1, 1, 100);
	assert_int_equal(net.n, 0);
	assert_true(net.wakes > 0);
	outbox_finish(&box);
	assert_true(net.link.fin_wanted);
}

/* --- room --- */

static void
a_tag_is_full_by_itself(void **state)
{
	struct view none = {0};

	(void)state;
	attach();
	while (!outbox_is_full_for(&box, 1, none))
		say(1, 1, 1000);
	say(2, 1, 100);
	assert_true(outbox_is_full(&box));
	assert_false(outbox_is_full_for(&box, 2, none));
	assert_false(outbox_is_full_for(&box, 3, none));
	assert_true(outbox_is_full_for(&box, 1, none));
	fake_send(net.lanes[0].lane.out, &net.lanes[0].sent, LIMIT / 3);
	fake_acked(&net.lanes[0]);
	assert_int_equal(rooms, 0);
	fake_run(&net);
	assert_int_equal(rooms, 1);
	assert_false(outbox_is_full(&box));
}

static void
all_tags_together_are_full_before_each_is(void **state)
{
	struct view none = {0};
	uint32_t tag = 0;
	size_t n = 0;

	(void)state;
	attach();
	while (!outbox_is_full(&box)) {
		say(tag++ % 20, 1, 1000);
		n += 1000;
	}
	assert_true(n > 7 * LIMIT && n <= 8 * LIMIT);
	assert_true(outbox_is_full_for(&box, 1, none));
	assert_true(outbox_is_full_for(&box, 1000, none));
	fake_run(&net);
	assert_true(rooms > 0);
	assert_false(outbox_is_full(&box));
	assert_int_equal(box.waiting, 0);
}

static void
room_is_told_when_there_is_more_than_before(void **state)
{
	struct fake_lane *l = net.lanes;

	(void)state;
	attach();
	while (!outbox_is_full_for(&box, 1, (struct view){0}))
		say(1, 1, 1000);
	fake_run(&net);
	assert_int_equal(rooms, 1);
	while (!outbox_is_full(&box))
		say(1, 1, 1000);
	fake_send(l->lane.out, &l->sent, 3000);
	fake_acked(l);
	assert_int_equal(rooms, 1);
	fake_send(l->lane.out, &l->sent, 3000);
	fake_acked(l);
	assert_int_equal(rooms, 2);
}

static void
in_one_stream_it_is_the_same(void **state)
{
	struct outq *q = &box.control.out;
	struct buf sent = {0};

	(void)state;
	net.link.lanes = false;
	outq_set_gate(q, 0); /* a greeting would do so */
	attach();
	while (!outbox_is_full(&box))
		say(1, 1, 990);
	fake_send(q, &sent, 3000);
	outq_acked(q, 3000);
	outbox_moved(&box);
	assert_int_equal(rooms, 0);
	fake_send(q, &sent, 4000);
	outq_acked(q, 3000);
	outbox_moved(&box);
	assert_int_equal(rooms, 1);
	assert_int_equal(box.waiting, q->bytes);
	assert_int_equal(lose(), 1);
	assert_int_equal(box.waiting, q->bytes);
	assert_int_equal(box.sent, 10);
	assert_true(q->bytes > 4000 && q->bytes < 5000);
	buf_fini(&sent);
}

static void
what_moves_to_another_queue_is_as_much_as_before(void **state)
{
	(void)state;
	while (!outbox_is_full(&box))
		say(1, 1, 1000);
	attach();
	assert_int_equal(box.waiting, net.lanes[0].lane.out->bytes);
	assert_true(outbox_is_full(&box));
	assert_true(outbox_is_full_for(&box, 1, (struct view){0}));
	lose();
	net.link.lanes = false;
	attach();
	assert_true(outbox_is_full(&box));
	assert_int_equal(box.waiting, box.control.out.bytes);
	outbox_settle(&box);
	outbox_detach(&box);
	net.link.lanes = true;
	say(2, 1, 1000);
	attach();
	/* There is room in one of the two: who waits asks again. */
	net.lanes[1].lane.ops->moved(net.lanes[1].lane.arg);
	assert_int_equal(rooms, 1);
}

static void
a_lost_link_makes_room_too(void **state)
{
	(void)state;
	attach();
	while (!outbox_is_full(&box))
		say(1, 1, 1000);
	fake_send(net.lanes[0].lane.out, &net.lanes[0].sent, SIZE_MAX);
	lose();
	attach();
	say(2, 1, 100);
	fake_run(&net);
	assert_int_equal(rooms, 1);
}

/* --- from link to link --- */

static void
what_was_not_sent_goes_over_the_next_link(void **state)
{
	struct fake_lane *l = net.lanes;

	(void)state;
	attach();
	say(1, 10, 100);
	say(1, 11, 100);
	say(2, 20, 100);
	say(3, 30, 100);
	fake_send(l[0].lane.out, &l[0].sent, 150 + HEADERS);
	fake_send(l[1].lane.out, &l[1].sent, 3); /* of the header */
	fake_send(l[2].lane.out, &l[2].sent, SIZE_MAX);
	fake_acked(&l[2]);
	assert_int_equal(lose(), 1);
	say(1, 12, 100);
	attach();
	fake_run(&net);
	assert_int_equal(net.n, 2);
	assert_int_equal(heard_on(0)->lane.tag, 1);
	assert_int_equal(heard_on(0)->n, 2);
	assert_int_equal(heard_on(0)->numbers[0], 11);
	assert_int_equal(heard_on(0)->numbers[1], 12);
	assert_int_equal(heard_on(1)->lane.tag, 2);
	assert_int_equal(heard_on(1)->n, 1);
}

static void
a_link_without_lanes_takes_all_in_one_stream(void **state)
{
	struct buf sent = {0};
	struct heard *h = calloc(1, sizeof(*h));

	(void)state;
	assert_non_null(h);
	attach();
	say(1, 10, 100);
	say(2, 20, 100);
	say(1, 11, 100);
	assert_int_equal(lose(), 0);
	net.link.lanes = false;
	attach();
	say(1, 12, 100);
	fake_send(&box.control.out, &sent, SIZE_MAX);
	hear(buf_view(&sent), h);
	assert_false(h->headed);
	assert_int_equal(h->n, 4);
	assert_int_equal(h->numbers[0], 10);
	assert_int_equal(h->numbers[1], 11);
	assert_int_equal(h->numbers[3], 12);
	/* And back, with what was not sent there. */
	outq_acked(&box.control.out, sent.len);
	outbox_moved(&box);
	say(2, 21, 100);
	assert_int_equal(lose(), 0);
	attach();
	fake_run(&net);
	assert_int_equal(net.n, 1);
	assert_int_equal(heard_on(0)->numbers[0], 21);
	free(h);
	buf_fini(&sent);
}

static void
control_frames_of_a_lost_link_are_forgotten(void **state)
{
	struct taken_frame t = {.lane = 3, .messages = 7};

	(void)state;
	attach();
	assert_int_equal(outbox_tell_taken(&box, &t), OK);
	assert_true(box.control.out.bytes > 0);
	assert_true(outbox_is_empty(&box));
	assert_int_equal(lose(), 0);
	assert_int_equal(box.control.out.bytes, 0);
}

/* --- memory --- */

static void
queues_in_use_keep_theirs(void **state)
{
	uint32_t i;
	size_t had;

	(void)state;
	attach();
	for (i = 0; i < 20; i++)
		say(1 + i % 2, 1, 900);
	fake_run(&net);
	assert_true(outbox_trim(&box));
	say(1, 2, 900);
	fake_run(&net);
	had = slab_total();
	assert_true(outbox_trim(&box));
	assert_true(slab_total() > 0 && slab_total() < had);
}

static void
idle_queues_keep_no_memory(void **state)
{
	uint32_t tag;

	(void)state;
	attach();
	for (tag = 0; tag < 200; tag++)
		say(tag % 50, 1, 2000);
	assert_true(outbox_trim(&box));
	assert_true(outbox_trim(&box)); /* what is not acknowledged stays */
	fake_run(&net);
	assert_true(slab_total() > 0);
	assert_false(outbox_trim(&box));
	assert_int_equal(slab_total(), 0);
	say(1, 2, 2000); /* and are as good as before */
	fake_run(&net);
	assert_int_equal(heard_on(1)->n, 5);
}

static void
without_memory_a_message_is_not_taken(void **state)
{
	bool hit = true;
	size_t n;
	int r;

	for (n = 1; hit; n++) {
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		attach();
		faults_at(n);
		r = try_to_say(1, "session", 1, 100);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
	}
	assert_true(n > 4);
}

static void
without_memory_for_the_next_lane_it_is_said(void **state)
{
	(void)state;
	net.allowed = 1;
	attach();
	say(1, 1, 100);
	say(2, 1, 100);
	outbox_finish(&box);
	fake_send(net.lanes[0].lane.out, &net.lanes[0].sent, SIZE_MAX);
	fake_acked(&net.lanes[0]);
	faults_at(1);
	fake_closed(&net.lanes[0]);
	faults_off();
	assert_int_equal(failures, 1);
	assert_false(net.link.fin_wanted);
}

static void
without_memory_what_waits_stays(void **state)
{
	bool hit = true;
	uint32_t tag;
	size_t n;
	int r;

	for (n = 1; hit; n++) {
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		for (tag = 0; tag < 4; tag++)
			say(tag, 1, 100);
		faults_at(n);
		if ((r = outbox_use_lanes(&box, true)) == OK)
			r = outbox_attach(&box, &net.link);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		if (hit)
			lose();
	}
	fake_run(&net);
	assert_int_equal(net.n, 4);
}

/* --- anything --- */

#define TAGS 5

static uint32_t next_number[TAGS];
static uint32_t arrived[TAGS]; /* the next number that may come */

/* Whatever arrived goes on where the last one of its tag was, or later. */
static void
check_lanes(void)
{
	const struct heard *h;
	size_t i;
	uint32_t k;

	for (i = 0; i < net.n; i++) {
		h = heard_on(i);
		for (k = 0; k < h->n; k++) {
			assert_int_equal(h->tags[k], h->lane.tag);
			assert_true(h->numbers[k] >= arrived[h->tags[k]]);
			arrived[h->tags[k]] = h->numbers[k] + 1;
		}
	}
}

static void
do_anything_to_a_lane(void)
{
	struct fake_lane *l;

	if (net.n == 0)
		return;
	l = &net.lanes[chance_below(net.n)];
	if (!l->used)
		return;
	if (chance_once_in(2))
		fake_send(l->lane.out, &l->sent, chance_below(1500));
	else
		fake_acked(l);
}

static void
no_message_comes_twice_or_out_of_order(void **state)
{
	uint64_t seed, in_doubt, said, lost;
	uint32_t tag;
	int i;

	for (seed = 1; seed <= 200; seed++) {
		chance_begin(seed);
		memset(next_number, 0, sizeof(next_number));
		memset(arrived, 0, sizeof(arrived));
		in_doubt = said = 0;
		attach();
		for (i = 0; i < 300; i++) {
			if (chance_once_in(60)) {
				check_lanes();
				in_doubt += lose();
				net.allowed = chance_below(TAGS + 1);
				attach();
			}
			if (chance_once_in(20)) {
				net.allowed = FAKE_LANES;
				outbox_open_lanes(&box);
			}
			tag = (uint32_t)chance_below(TAGS);
			if (chance_once_in(3) && !outbox_is_full(&box)) {
				say(tag, next_number[tag]++,
				    chance_between(4, 900));
				said++;
			}
			do_anything_to_a_lane();
		}
		net.allowed = FAKE_LANES;
		outbox_open_lanes(&box);
		outbox_finish(&box);
		fake_run(&net);
		assert_true(net.link.fin_wanted);
		check_lanes();
		for (tag = 0, lost = 0; tag < TAGS; tag++)
			lost += next_number[tag] - arrived[tag];
		assert_true(lost <= in_doubt);
		assert_int_equal(box.sent, said);
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
	    TEST(each_tag_has_a_lane_of_its_own),
	    TEST(so_has_each_session),
	    TEST(a_session_that_begins_again_waits_for_its_end),
	    TEST(a_frame_is_forwarded_as_it_is),
	    TEST(a_lane_is_woken_for_each_message),
	    TEST(the_last_lane_is_for_all_further_tags),
	    TEST(a_lane_that_is_not_allowed_yet_is_waited_for),
	    TEST(messages_wait_for_the_link_in_their_queues),
	    TEST(what_nobody_wants_is_dropped_and_counted),
	    TEST(what_nobody_wants_is_in_no_doubt_either),
	    TEST(what_was_unobserved_is_counted_once),
	    TEST(the_link_ends_when_all_lanes_have),
	    TEST(a_link_that_is_lost_at_the_end_ends_nothing),
	    TEST(without_lanes_it_ends_at_once),
	    TEST(a_tag_is_full_by_itself),
	    TEST(all_tags_together_are_full_before_each_is),
	    TEST(room_is_told_when_there_is_more_than_before),
	    TEST(in_one_stream_it_is_the_same),
	    TEST(what_moves_to_another_queue_is_as_much_as_before),
	    TEST(a_lost_link_makes_room_too),
	    TEST(what_was_not_sent_goes_over_the_next_link),
	    TEST(a_link_without_lanes_takes_all_in_one_stream),
	    TEST(control_frames_of_a_lost_link_are_forgotten),
	    TEST(queues_in_use_keep_theirs),
	    TEST(idle_queues_keep_no_memory),
	    TEST(without_memory_a_message_is_not_taken),
	    TEST(without_memory_for_the_next_lane_it_is_said),
	    TEST(without_memory_what_waits_stays),
	    TEST(no_message_comes_twice_or_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
