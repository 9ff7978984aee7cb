/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"

static const char *const good[] = {
    "{}",
    " [ ] \n",
    "null",
    "true",
    "false",
    "\"\"",
    "0",
    "-0",
    "1.5",
    "-10.25e+3",
    "1E-9",
    "{\"a\":1,\"b\":[1,2,{\"c\":null}]}",
    "\"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
    "\"\x7f\"",
};

static const struct {
	const char *text;
	size_t at;
} bad[] = {
    {"", 0},
    {" ", 1},
    {"nul", 3},
    {"nulL", 3},
    {"True", 0},
    {"{} {}", 3},
    {"{,}", 1},
    {"{\"a\"}", 4},
    {"{\"a\":}", 5},
    {"{\"a\":1,}", 7},
    {"{a:1}", 1},
    {"[1,]", 3},
    {"[1 2]", 3},
    {"[1", 2},
    {"01", 1},
    {"1.", 2},
    {".5", 0},
    {"+1", 0},
    {"1e", 2},
    {"--1", 1},
    {"NaN", 0},
    {"'a'", 0},
    {"\"a", 2},
    {"\"a\nb\"", 2},
    {"\"\\x\"", 2},
    {"\"\\u12\"", 5},
    {"\"\\u0000\"", 2},
    {"\"\\ud800\"", 2},
    {"\"\\udc00\"", 2},
    {"\"\\ud800\\u0041\"", 2},
    {"\"\x80\"", 1},
    {"\"\xc0\xaf\"", 1},
    {"\"\xe0\x80\xaf\"", 1},
    {"\"\xed\xa0\x80\"", 1},
    {"\"\xf0\x80\x80\x80\"", 1},
    {"\"\xf4\x90\x80\x80\"", 1},
    {"\"\xf8\"", 1},
    {"\"\xe2\x82", 1},
    {"// no comments\n{}", 0},
    {"\xef\xbb\xbf{}", 0},
};

static void
valid_texts_pass(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (json_check(view_of(good[i]), NULL) != OK)
			fail_msg("refused: %s", good[i]);
	}
}

static void
invalid_texts_are_refused_at_the_wrong_byte(void **state)
{
	size_t at, i;
	int r;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		at = SIZE_MAX;
		r = json_check(view_of(bad[i].text), &at);
		if (r != ERR_BAD || at != bad[i].at)
			fail_msg("%d at %zu: %s", r, at, bad[i].text);
	}
}

static void
a_nul_byte_is_refused_everywhere(void **state)
{
	static const uint8_t inside[] = {'"', 0, '"'}, after[] = {'1', 0};

	(void)state;
	assert_int_equal(
	    json_check((struct view){inside, sizeof(inside)}, NULL), ERR_BAD);
	assert_int_equal(
	    json_check((struct view){after, sizeof(after)}, NULL), ERR_BAD);
	assert_int_equal(json_check((struct view){NULL, 0}, NULL), ERR_BAD);
}

static void
every_proper_prefix_of_an_object_is_refused(void **state)
{
	const struct view v =
	    view_of("{\"a\":[1.5e3,true,\"\\u00e9\xc3\xa9\"],\"b\":{}}");
	size_t n;

	(void)state;
	for (n = 0; n < v.len; n++)
		assert_int_equal(
		    json_check((struct view){v.p, n}, NULL), ERR_BAD);
	assert_int_equal(json_check(v, NULL), OK);
}

static void
depth_is_limited(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1] = "";
	size_t at, i, n;

	(void)state;
	for (n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
		for (i = 0; i < n; i++) {
			text[i] = '[';
			text[n + i] = ']';
		}
		assert_int_equal(json_check(view_of(text), &at),
		    n == JSON_DEPTH_MAX ? OK : ERR_LIMIT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(valid_texts_pass),
	    cmocka_unit_test(invalid_texts_are_refused_at_the_wrong_byte),
	    cmocka_unit_test(a_nul_byte_is_refused_everywhere),
	    cmocka_unit_test(every_proper_prefix_of_an_object_is_refused),
	    cmocka_unit_test(depth_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
