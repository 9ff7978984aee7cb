/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "unit.h"

#include "base/buf.h"
#include "base/err.h"
#include "chance.h"
#include "faults.h"

#define LARGE (1u << 20)

static struct buf b;

static int
teardown(void **state)
{
	b.max = 0;
	buf_fini(&b);
	return chance_teardown(state);
}

/* The bytes put so far are 0, 1, 2 and so on; return how many. */
static size_t
put_counted(size_t from, size_t n)
{
	uint8_t *p;
	size_t i;

	assert_int_equal(buf_reserve(&b, n + chance_below(100), &p), OK);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)((from + i) % 251);
	buf_commit(&b, n);
	return from + n;
}

static void
bytes_come_out_in_the_order_they_went_in(void **state)
{
	size_t i, j, n, in, out;
	struct view v;

	(void)state;
	for (i = 1; i <= 50; i++) {
		chance_begin(i);
		for (in = out = 0; in < 4 * LARGE;) {
			n = chance_once_in(50) ? LARGE : 5000;
			in = put_counted(in, chance_below(n));
			n = chance_once_in(5) ? b.len : chance_below(b.len + 1);
			v = buf_view(&b);
			assert_int_equal(v.len, in - out);
			for (j = 0; j < n; j += 97)
				assert_int_equal(v.p[j], (out + j) % 251);
			buf_consume(&b, n);
			out += n;
		}
		buf_fini(&b);
		chance_end();
	}
}

static void
a_zeroed_buf_is_empty(void **state)
{
	(void)state;
	assert_int_equal(buf_view(&b).len, 0);
	assert_int_equal(buf_put(&b, (struct view){NULL, 0}), OK);
	buf_consume(&b, 0);
	assert_null(b.p);
	buf_fini(&b);
}

static void
no_more_than_max_is_held(void **state)
{
	uint8_t *p;

	(void)state;
	b.max = 10;
	assert_int_equal(buf_put(&b, view_of("123456")), OK);
	assert_int_equal(buf_put(&b, view_of("78901")), ERR_LIMIT);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
	assert_int_equal(buf_put(&b, view_of("7890")), OK);
	buf_consume(&b, 3);
	assert_int_equal(buf_put(&b, view_of("abc")), OK);
	assert_true(view_equal(buf_view(&b), view_of("4567890abc")));
	buf_fini(&b);
	assert_int_equal(b.max, 10);
}

static void
a_length_that_nothing_can_have_is_refused(void **state)
{
	static const size_t lengths[] = {
	    SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 2};
	uint8_t *p;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		faults_at(1); /* which sanitizers would not survive */
		assert_int_equal(buf_reserve(&b, lengths[i], &p), ERR_NOMEM);
		faults_off();
	}
	assert_int_equal(buf_put(&b, view_of("x")), OK);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
}

static void
a_large_buf_that_is_emptied_gives_its_memory_back(void **state)
{
	(void)state;
	chance_begin(1);
	put_counted(0, LARGE);
	buf_consume(&b, LARGE - 1);
	assert_true(b.cap >= LARGE);
	buf_consume(&b, 1);
	assert_int_equal(b.cap, 0);
	put_counted(0, 1000);
	buf_consume(&b, 1000);
	assert_true(b.cap > 0);
	chance_end();
}

static void
without_memory_a_buf_stays_as_it_was(void **state)
{
	char bytes[8000] = {0};
	struct view v = {(const uint8_t *)bytes, sizeof(bytes)};

	(void)state;
	faults_at(1);
	assert_int_equal(buf_put(&b, v), ERR_NOMEM);
	faults_off();
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_put(&b, view_of("here")), OK);
	faults_at(1);
	assert_int_equal(buf_put(&b, v), ERR_NOMEM);
	faults_off();
	assert_true(view_equal(buf_view(&b), view_of("here")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		bytes_come_out_in_the_order_they_went_in, teardown),
	    cmocka_unit_test_teardown(a_zeroed_buf_is_empty, teardown),
	    cmocka_unit_test_teardown(no_more_than_max_is_held, teardown),
	    cmocka_unit_test_teardown(
		a_length_that_nothing_can_have_is_refused, teardown),
	    cmocka_unit_test_teardown(
		a_large_buf_that_is_emptied_gives_its_memory_back, teardown),
	    cmocka_unit_test_teardown(
		without_memory_a_buf_stays_as_it_was, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
