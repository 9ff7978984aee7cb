/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "base/err.h"
#include "link/itinerary.h"
#include "unit.h"

#define MS UINT64_C(1000000)

static struct endpoint zippers[2];

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(endpoint_parse("one.example:1", &zippers[0]), OK);
	assert_int_equal(endpoint_parse("unix:/two", &zippers[1]), OK);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	endpoint_fini(&zippers[0]);
	endpoint_fini(&zippers[1]);
	return 0;
}

static void
zippers_are_tried_in_turn_and_named(void **state)
{
	struct itinerary t;

	(void)state;
	itinerary_init(&t, zippers, 2);
	assert_ptr_equal(itinerary_visit(&t), &zippers[0]);
	assert_string_equal(t.name, "one.example:1");
	assert_true(itinerary_advance(&t));
	assert_ptr_equal(itinerary_visit(&t), &zippers[1]);
	assert_string_equal(t.name, "unix:/two");
	assert_false(itinerary_advance(&t));
	itinerary_rest(&t, 0);
	assert_ptr_equal(itinerary_zipper(&t), &zippers[0]);
	itinerary_fini(&t);
}

static void
addresses_are_tried_in_turn_and_forgotten(void **state)
{
	struct addr v[ITINERARY_ADDRS + 1] = {0};
	struct itinerary t;
	size_t i;

	(void)state;
	itinerary_init(&t, zippers, 2);
	assert_null(itinerary_addr(&t));
	for (i = 0; i <= ITINERARY_ADDRS; i++)
		v[i].len = (socklen_t)i;
	itinerary_found(&t, v, ITINERARY_ADDRS + 1);
	for (i = 0; i < ITINERARY_ADDRS; i++) {
		assert_true(itinerary_has_addr(&t));
		assert_int_equal(itinerary_addr(&t)->len, i);
	}
	assert_null(itinerary_addr(&t)); /* there was no room for it */
	itinerary_found(&t, v, 1);
	assert_true(itinerary_advance(&t));
	assert_false(itinerary_has_addr(&t));
	itinerary_fini(&t);
}

static void
rests_grow_up_to_a_bound_and_are_cut_by_half_at_most(void **state)
{
	struct itinerary t;
	uint64_t want;
	int i;

	(void)state;
	itinerary_init(&t, zippers, 2);
	assert_int_equal(itinerary_rest(&t, 12345), 0);
	for (i = 0, want = 50 * MS; i < 6; i++, want *= 2)
		assert_int_equal(itinerary_rest(&t, 0), want);
	for (i = 0; i < 3; i++)
		itinerary_rest(&t, 0);
	assert_int_equal(itinerary_rest(&t, 0), 5000 * MS);
	assert_int_equal(itinerary_rest(&t, 2500 * MS), 2500 * MS);
	assert_in_range(itinerary_rest(&t, UINT64_MAX), 2500 * MS, 5000 * MS);
	itinerary_rested(&t);
	assert_int_equal(itinerary_rest(&t, 0), 0);
	itinerary_fini(&t);
}

static void
a_redirection_is_followed_a_few_times_in_a_row(void **state)
{
	struct itinerary t;
	int i;

	(void)state;
	itinerary_init(&t, zippers, 2);
	for (i = 0; i < ITINERARY_HOPS; i++)
		assert_int_equal(itinerary_redirect(&t, "[::1]:7"), OK);
	itinerary_visit(&t);
	assert_string_equal(t.name, "[::1]:7");
	assert_int_equal(itinerary_redirect(&t, "there:7"), ERR_LIMIT);
	itinerary_arrived(&t);
	assert_int_equal(itinerary_redirect(&t, "there:7"), OK);
	assert_int_equal(itinerary_redirect(&t, "unix:/there"), ERR_BAD);
	assert_int_equal(itinerary_redirect(&t, "there:70000"), ERR_BAD);
	assert_string_equal(itinerary_zipper(&t)->host, "there");
	assert_true(itinerary_advance(&t)); /* our own list goes on */
	assert_ptr_equal(itinerary_zipper(&t), &zippers[1]);
	itinerary_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zippers_are_tried_in_turn_and_named),
	    cmocka_unit_test(addresses_are_tried_in_turn_and_forgotten),
	    cmocka_unit_test(
		rests_grow_up_to_a_bound_and_are_cut_by_half_at_most),
	    cmocka_unit_test(a_redirection_is_followed_a_few_times_in_a_row),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
