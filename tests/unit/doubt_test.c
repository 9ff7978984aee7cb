/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/err.h"
#include "faults.h"
#include "proto/doubt.h"
#include "proto/greeting.h"

#define PAYLOAD 100
#define SIZE 111 /* of a message with it */

static struct outq q;

static int
setup(void **state)
{
	(void)state;
	outq_init(&q, 1u << 20);
	return auth_init();
}

static int
teardown(void **state)
{
	(void)state;
	outq_fini(&q);
	assert_int_equal(slab_total(), 0);
	return 0;
}

/* The size of a message; entries of them grow as tags repeat. */
static size_t
put_messages(size_t n, uint32_t tag, size_t payload)
{
	static uint8_t bytes[5000];
	struct data_frame d = {.tag = tag, .payload = {bytes, payload}};
	size_t size = data_frame_size(&d);
	uint8_t *p;

	while (n-- > 0) {
		assert_int_equal(outq_reserve(&q, size, &p), OK);
		data_frame_put(p, &d);
		assert_int_equal(outq_commit(&q, size, tag, 1), OK);
	}
	return size;
}

static void
greet(void)
{
	struct greeting g = {
	    .name = "me",
	    .id = "V1StGXR8_Z5jdHi6B-myT",
	    .attempt = 7,
	    .type = CLIENT_SOURCE,
	    .version = FRAME_SPEC,
	};

	assert_int_equal(greeting_queue(&g, &q), OK);
}

/* After any number of bytes sent, and any of those acknowledged. */
static void
a_message_is_in_doubt_from_its_last_byte_sent_to_that_acknowledged(void **state)
{
	size_t size, sent, acked, in_doubt, left;

	(void)state;
	for (sent = 0; sent <= 6 * SIZE; sent += 3) {
		for (acked = 0; acked <= sent; acked += 7) {
			size = put_messages(3, 1, PAYLOAD);
			put_messages(2, 2, PAYLOAD);
			put_messages(1, 1, PAYLOAD);
			assert_int_equal(size, SIZE);
			outq_sent(&q, sent);
			outq_acked(&q, acked);
			in_doubt = sent / size - acked / size;
			left = 6 - sent / size;
			assert_int_equal(doubt_settle(&q), in_doubt);
			assert_int_equal(q.bytes, left * size);
			assert_int_equal(q.unsent, left * size);
			outq_fini(&q);
		}
	}
}

static void
other_frames_are_never_in_doubt(void **state)
{
	size_t size = put_messages(1, 1, PAYLOAD);

	(void)state;
	assert_int_equal(
	    outq_put(&q, (struct view){FRAME_ACK_BYTES, FRAME_ACK_SIZE}), OK);
	outq_sent(&q, size + FRAME_ACK_SIZE);
	assert_int_equal(doubt_settle(&q), 1);
	assert_int_equal(q.n, 0);
}

static void
a_greeting_goes_first_and_alone(void **state)
{
	struct iovec v[4];
	struct handshake h;
	struct frame f;
	struct view in;

	(void)state;
	put_messages(10, 1, PAYLOAD);
	greet();
	assert_int_equal(outq_pull(&q, v, 4), 1);
	in = (struct view){v[0].iov_base, v[0].iov_len};
	assert_int_equal(frame_get(&in, SIZE_MAX, &f), OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(f.type, FRAME_HANDSHAKE);
	assert_int_equal(handshake_get(f.body, &h), OK);
	assert_true(view_equal(h.id, view_of("V1StGXR8_Z5jdHi6B-myT-7")));
	outq_sent(&q, v[0].iov_len);
	assert_int_equal(outq_pull(&q, v, 4), 0);
	outq_set_gate(&q, SIZE_MAX);
	assert_true(outq_pull(&q, v, 4) > 0);
}

/* Sent, in part or not at all: the next stream has one of its own. */
static void
a_greeting_that_was_not_sent_is_forgotten(void **state)
{
	size_t size, whole, sent, acked;

	(void)state;
	greet();
	whole = q.bytes;
	outq_fini(&q);
	for (sent = 0; sent <= whole; sent++) {
		for (acked = 0; acked <= sent; acked += 5) {
			size = put_messages(3, 1, PAYLOAD);
			greet();
			outq_sent(&q, sent);
			outq_acked(&q, acked);
			assert_int_equal(doubt_settle(&q), 0);
			assert_int_equal(q.bytes, 3 * size);
			assert_int_equal(q.gate, SIZE_MAX);
			greet(); /* and so on */
			outq_fini(&q);
		}
	}
}

static void
without_memory_there_is_no_greeting(void **state)
{
	struct greeting g = {
	    .name = "me", .id = "V1StGXR8_Z5jdHi6B-myT", .version = FRAME_SPEC};
	const struct tag_range tags[] = {{1, 1}, {2, 2}};
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	g.tags = tags;
	g.n_tags = COUNT(tags);
	for (n = 1; hit; n++) {
		faults_at(n);
		r = greeting_queue(&g, &q);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		assert_int_equal(q.n, !hit);
	}
	assert_true(n > 4);
}

/* The only frame in the queue, which is no message. */
static struct frame
queued_frame(enum frame_type type)
{
	const struct outq_entry *e = outq_at(&q, 0);
	struct view v = {e->slab->data + e->off, e->len};
	struct frame f;

	assert_int_equal(q.n, 1);
	assert_int_equal(e->count, 0);
	assert_int_equal(frame_get(&v, SIZE_MAX, &f), OK);
	assert_int_equal(v.len, 0);
	assert_int_equal(f.type, type);
	return f;
}

static const struct tag_range some_tags[] = {{0, 0}, {7, UINT32_MAX}};

static void
a_greeting_lists_each_tag(void **state)
{
	const struct tag_range tags[] = {{3, 5}, {UINT32_MAX, UINT32_MAX}};
	struct greeting g = {
	    .name = "me",
	    .id = "V1StGXR8_Z5jdHi6B-myT",
	    .version = "yomo-x1",
	    .tags = tags,
	    .n_tags = COUNT(tags),
	};
	struct handshake h;

	(void)state;
	assert_int_equal(greeting_queue(&g, &q), OK);
	assert_int_equal(
	    handshake_get(queued_frame(FRAME_HANDSHAKE).body, &h), OK);
	assert_true(view_equal(h.version, view_of("yomo-x1")));
	assert_int_equal(handshake_tags(h.tags), 4);
	assert_int_equal(handshake_tag(h.tags, 0), 3);
	assert_int_equal(handshake_tag(h.tags, 2), 5);
	assert_int_equal(handshake_tag(h.tags, 3), UINT32_MAX);
}

static void
a_wish_lists_ranges(void **state)
{
	struct greeting_wish w = {
	    .tags = some_tags,
	    .n_tags = COUNT(some_tags),
	    .policy = OBSERVE_DROP_OLD,
	    .group = "a",
	    .prefetch = 16,
	};
	struct observe_frame o;

	(void)state;
	assert_int_equal(greeting_observe(&w, 9, &q), OK);
	assert_int_equal(
	    observe_frame_get(queued_frame(FRAME_OBSERVE).body, &o), OK);
	assert_int_equal(o.request, 9);
	assert_int_equal(ranges_count(o.add), 2);
	assert_int_equal(ranges_at(o.add, 1).last, UINT32_MAX);
	assert_int_equal(o.remove.len, 0);
	assert_int_equal(o.policy, OBSERVE_DROP_OLD);
	assert_true(view_equal(o.group, view_of("a")));
	assert_int_equal(o.prefetch, 16);
}

static void
interest_lists_ranges(void **state)
{
	struct interest_frame i;

	(void)state;
	assert_int_equal(
	    greeting_interest(some_tags, COUNT(some_tags), &q), OK);
	assert_int_equal(
	    interest_frame_get(queued_frame(FRAME_INTEREST).body, &i), OK);
	assert_int_equal(ranges_count(i.ranges), 2);
	assert_int_equal(ranges_at(i.ranges, 1).first, 7);
	assert_int_equal(i.entries.len, 0);
}

static void
without_memory_there_is_no_wish(void **state)
{
	struct greeting_wish w = {.tags = some_tags, .n_tags = 2, .group = "a"};
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		faults_at(n);
		if ((r = greeting_observe(&w, 1, &q)) == OK)
			r = greeting_interest(some_tags, 2, &q);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		outq_fini(&q);
	}
	assert_true(n > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(
		a_message_is_in_doubt_from_its_last_byte_sent_to_that_acknowledged),
	    TEST(other_frames_are_never_in_doubt),
	    TEST(a_greeting_goes_first_and_alone),
	    TEST(a_greeting_that_was_not_sent_is_forgotten),
	    TEST(without_memory_there_is_no_greeting),
	    TEST(a_greeting_lists_each_tag),
	    TEST(a_wish_lists_ranges),
	    TEST(interest_lists_ranges),
	    TEST(without_memory_there_is_no_wish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
