/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "unit.h"

#include "base/slab.h"
#include "faults.h"

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(slab_total(), 0);
	return 0;
}

static void
the_total_is_what_slabs_alive_can_hold(void **state)
{
	struct slab *a = slab_new(100), *b = slab_new(0), *c = slab_new(1000);

	(void)state;
	assert_int_equal(slab_total(), 1100);
	slab_unref(a);
	assert_int_equal(slab_total(), 1000);
	slab_unref(b);
	slab_unref(c);
}

static void
a_slab_lives_until_its_last_reference_goes(void **state)
{
	struct slab *s = slab_new(16);

	(void)state;
	memcpy(s->data, "0123456789abcdef", 16);
	s->len = 16;
	assert_ptr_equal(slab_ref(s), s);
	slab_ref(s);
	slab_unref(s);
	slab_unref(s);
	assert_memory_equal(s->data, "0123456789abcdef", 16);
	assert_int_equal(slab_total(), 16);
	slab_unref(s);
}

static void
no_slab_is_no_reference(void **state)
{
	(void)state;
	slab_unref(NULL);
}

static void
a_slab_that_cannot_be_is_none(void **state)
{
	(void)state;
	assert_null(slab_new(SIZE_MAX));
	assert_null(slab_new(SIZE_MAX - 8));
	faults_at(1);
	assert_null(slab_new(1));
	faults_off();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		the_total_is_what_slabs_alive_can_hold, teardown),
	    cmocka_unit_test_teardown(
		a_slab_lives_until_its_last_reference_goes, teardown),
	    cmocka_unit_test_teardown(no_slab_is_no_reference, teardown),
	    cmocka_unit_test_teardown(a_slab_that_cannot_be_is_none, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
