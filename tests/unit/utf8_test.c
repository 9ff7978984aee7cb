/* SPDX-License-Identifier: ISC */
#include "base/utf8.h"
#include "unit.h"

#define LAST 0x10ffff

/* The first and the last of two bytes, of three and of four. */
static const uint32_t some[] = {0x80, 0x7ff, 0x800, 0xffff, 0x10000, LAST};

/* v in n bytes, whether or not UTF-8 has it so. */
static struct view
spell(uint32_t v, size_t n, uint8_t out[4])
{
	static const uint8_t mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t i;

	for (i = n; i > 1; i--, v >>= 6)
		out[i - 1] = (uint8_t)(0x80 | (v & 0x3f));
	out[0] = (uint8_t)(mark[n] | v);
	return (struct view){out, n};
}

static size_t
shortest(uint32_t v)
{
	if (v < 0x80)
		return 1;
	if (v < 0x800)
		return 2;
	return v < 0x10000 ? 3 : 4;
}

static void
every_character_has_one_spelling(void **state)
{
	/* How many values a form of n bytes can hold. */
	static const uint32_t room[] = {0, 0x80, 0x800, 0x10000, 0x200000};
	uint8_t bytes[4];
	uint32_t v;
	size_t n, want;

	(void)state;
	for (n = 1; n <= 4; n++) {
		for (v = 0; v < room[n]; v++) {
			want = n;
			if (n != shortest(v) || v > LAST ||
			    (v >= 0xd800 && v <= 0xdfff))
				want = 0;
			if (utf8_size(spell(v, n, bytes)) != want)
				fail_msg("%x in %zu bytes", v, n);
		}
	}
}

static void
a_character_cut_short_is_none(void **state)
{
	uint8_t bytes[4];
	struct view v;
	size_t i;

	(void)state;
	assert_int_equal(utf8_size((struct view){NULL, 0}), 0);
	for (i = 0; i < COUNT(some); i++)
		for (v = spell(some[i], shortest(some[i]), bytes); v.len-- > 1;)
			assert_int_equal(utf8_size(v), 0);
}

static void
bytes_after_the_first_say_so(void **state)
{
	uint8_t bytes[4];
	struct view v;
	size_t i, at;

	(void)state;
	for (i = 0; i < COUNT(some); i++) {
		v = spell(some[i], shortest(some[i]), bytes);
		for (at = 1; at < v.len; at++) {
			bytes[at] ^= 0x40; /* 11xxxxxx */
			assert_int_equal(utf8_size(v), 0);
			bytes[at] ^= 0xc0; /* 00xxxxxx */
			assert_int_equal(utf8_size(v), 0);
			bytes[at] ^= 0x80; /* 10xxxxxx, as it was */
			assert_int_equal(utf8_size(v), v.len);
		}
	}
}

static void
what_follows_a_character_does_not_matter(void **state)
{
	const struct view v = BYTES(0xc3, 0xa9, 0xff);

	(void)state;
	assert_int_equal(utf8_size(v), 2);
}

static void
some_bytes_begin_nothing(void **state)
{
	uint8_t bytes[4] = {0, 0x80, 0x80, 0x80};
	unsigned first;

	(void)state;
	for (first = 0x80; first < 0x100; first++) {
		if (first >= 0xc2 && first <= 0xf4)
			continue;
		bytes[0] = (uint8_t)first;
		assert_int_equal(
		    utf8_size((struct view){bytes, sizeof(bytes)}), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_character_has_one_spelling),
	    cmocka_unit_test(a_character_cut_short_is_none),
	    cmocka_unit_test(bytes_after_the_first_say_so),
	    cmocka_unit_test(what_follows_a_character_does_not_matter),
	    cmocka_unit_test(some_bytes_begin_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
