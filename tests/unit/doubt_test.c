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
	struct greeting g = {.name = "me", .id = "V1StGXR8_Z5jdHi6B-myT"};
	const uint32_t tags[] = {1, 2};
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
