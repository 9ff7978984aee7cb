/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "conf/values.h"
#include "faults.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define BAD UINT64_MAX /* in tables: not accepted */

struct number {
	const char *text;
	uint64_t want;
};

static void
u32_is_decimal_or_hex(void **state)
{
	static const struct number cases[] = {
	    {"0", 0},
	    {"51", 51},
	    {"0x33", 0x33},
	    {"0XaF", 0xaf},
	    {"007", 7},
	    {"4294967295", UINT32_MAX},
	    {"0xffffffff", UINT32_MAX},
	    {"4294967296", BAD},
	    {"0x100000000", BAD},
	    {"99999999999999999999999", BAD},
	    {"", BAD},
	    {"0x", BAD},
	    {"-1", BAD},
	    {"+1", BAD},
	    {" 1", BAD},
	    {"1 ", BAD},
	    {"1x", BAD},
	    {"ff", BAD},
	    {"0x-1", BAD},
	};
	uint32_t v;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		v = 12345;
		if (values_u32(cases[i].text, &v) != OK
			? cases[i].want != BAD || v != 12345
			: v != cases[i].want)
			fail_msg("'%s'", cases[i].text);
	}
}

static void
check(int (*parse)(const char *, uint64_t *), const struct number *c, size_t n)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = 12345;
		if (parse(c[i].text, &v) != OK ? c[i].want != BAD || v != 12345
					       : v != c[i].want)
			fail_msg("'%s'", c[i].text);
	}
}

static void
a_size_is_in_powers_of_1024(void **state)
{
	static const struct number cases[] = {
	    {"0", 0},
	    {"4096", 4096},
	    {"64K", 65536},
	    {"64k", 65536},
	    {"1M", 1 << 20},
	    {"2G", 2ull << 30},
	    {"3t", 3ull << 40},
	    {"16777215T", 16777215ull << 40},
	    {"16777216T", BAD},
	    {"18446744073709551616", BAD},
	    {"", BAD},
	    {"K", BAD},
	    {"1.5M", BAD},
	    {"1KB", BAD},
	    {"1 K", BAD},
	    {"-1", BAD},
	    {"0x10", BAD},
	    {"1\x0b", BAD},
	};

	(void)state;
	check(values_size, cases, N(cases));
}

static void
a_duration_is_in_its_unit_or_seconds(void **state)
{
	static const struct number cases[] = {
	    {"0", 0},
	    {"10", 10000000000},
	    {"0.5", 500000000},
	    {"1.000000001", 1000000001},
	    {"100us", 100000},
	    {"500ms", 500000000},
	    {"0.25ms", 250000},
	    {"10s", 10000000000},
	    {"5m", 300000000000},
	    {"1.5h", 5400000000000},
	    {"2d", 172800000000000},
	    {"0.999999999d", 86399999913600},
	    {"9223372036s", 9223372036000000000},
	    {"9223372037s", BAD},
	    {"99999999999999999999", BAD},
	    {"106751d", 9223286400000000000},
	    {"106752d", BAD},
	    {"1.0000000001", BAD},
	    {"", BAD},
	    {"s", BAD},
	    {"1.s", BAD},
	    {".5", BAD},
	    {"1 s", BAD},
	    {"1sec", BAD},
	    {"1M", BAD},
	    {"-1s", BAD},
	    {"1e3", BAD},
	    {"forever ", BAD},
	};
	uint64_t v;

	(void)state;
	check(values_duration, cases, N(cases));
	assert_int_equal(values_duration("forever", &v), OK);
	assert_true(v == VALUES_FOREVER);
}

static void
tags_are_merged_into_ranges(void **state)
{
	static const struct {
		const char *add[3];
		size_t n;
		struct tag_range v[4];
	} cases[] = {
	    {{"0x33"}, 1, {{0x33, 0x33}}},
	    {{"3,1,2"}, 1, {{1, 3}}},
	    {{"1", "3", "2"}, 1, {{1, 3}}},
	    {{"1,3,5,7"}, 4, {{1, 1}, {3, 3}, {5, 5}, {7, 7}}},
	    {{"5-9,1-3", "4"}, 1, {{1, 9}}},
	    {{"1,3,5,7", "2-6"}, 1, {{1, 7}}},
	    {{"10-20", "12-15"}, 1, {{10, 20}}},
	    {{"10-20", "5-9"}, 1, {{5, 20}}},
	    {{"10-20", "21-30"}, 1, {{10, 30}}},
	    {{"10-20", "22-30"}, 2, {{10, 20}, {22, 30}}},
	    {{"0", "4294967295"}, 2, {{0, 0}, {UINT32_MAX, UINT32_MAX}}},
	    {{"0xfffffffe-0xffffffff", "0-5"}, 2,
		{{0, 5}, {UINT32_MAX - 1, UINT32_MAX}}},
	    {{"7", "0-4294967295", "9"}, 1, {{0, UINT32_MAX}}},
	};
	struct tag_set s;
	size_t i, k;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		s = (struct tag_set){0};
		for (k = 0; k < 3 && cases[i].add[k] != NULL; k++)
			assert_int_equal(tag_set_add(&s, cases[i].add[k]), OK);
		if (s.n != cases[i].n ||
		    memcmp(s.v, cases[i].v, s.n * sizeof(s.v[0])) != 0)
			fail_msg("'%s' ...", cases[i].add[0]);
		tag_set_fini(&s);
	}
}

static void
a_malformed_tag_list_adds_nothing(void **state)
{
	static const char *const cases[] = {"", ",", "1,", ",1", "1,,2", "1-",
	    "-1", "3-2", "1-2-3", "1 ,2", "1;2", "0x", "4294967296", "1,2,x"};
	struct tag_set s = {0};
	size_t i;

	(void)state;
	assert_int_equal(tag_set_add(&s, "9"), OK);
	for (i = 0; i < N(cases); i++)
		if (tag_set_add(&s, cases[i]) != ERR_BAD)
			fail_msg("'%s' was accepted", cases[i]);
	assert_int_equal(tag_set_count(&s), 1);
	tag_set_fini(&s);
}

static void
members_are_found_counted_and_numbered(void **state)
{
	static const uint32_t want[] = {0, 5, 6, 7, 0xffffffff};
	struct tag_set s = {0};
	size_t i;

	(void)state;
	assert_false(tag_set_has(&s, 0));
	assert_int_equal(tag_set_count(&s), 0);
	assert_int_equal(tag_set_add(&s, "5-7,0xffffffff,0"), OK);
	assert_int_equal(tag_set_count(&s), N(want));
	for (i = 0; i < N(want); i++) {
		assert_int_equal(tag_set_at(&s, i), want[i]);
		assert_true(tag_set_has(&s, want[i]));
	}
	assert_false(tag_set_has(&s, 1));
	assert_false(tag_set_has(&s, 8));
	assert_false(tag_set_has(&s, 0xfffffffe));
	assert_int_equal(tag_set_add(&s, "0-0xffffffff"), OK);
	assert_true(tag_set_count(&s) == SIZE_MAX ||
		    tag_set_count(&s) == (uint64_t)1 << 32);
	assert_int_equal(tag_set_at(&s, 12345), 12345);
	tag_set_fini(&s);
}

static void
endpoints_are_hosts_ports_and_paths(void **state)
{
	static const struct {
		const char *text, *path, *host;
		uint16_t port;
	} cases[] = {
	    {"localhost", NULL, "localhost", 9000},
	    {"eu.example:123", NULL, "eu.example", 123},
	    {"127.0.0.1:0", NULL, "127.0.0.1", 0},
	    {"[::1]:65535", NULL, "::1", 65535},
	    {"[::1]", NULL, "::1", 9000},
	    {"::1", NULL, "::1", 9000},
	    {"::", NULL, "::", 9000},
	    {"2001:db8::9000", NULL, "2001:db8::9000", 9000},
	    {"fe80::1%eth0", NULL, "fe80::1%eth0", 9000},
	    {"[fe80::1%eth0]:7", NULL, "fe80::1%eth0", 7},
	    {":9001", NULL, "", 9001},
	    {"unix:/run/yomo/z.sock", "/run/yomo/z.sock", NULL, 0},
	    {"unix:z", "z", NULL, 0},
	};
	struct endpoint e;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(endpoint_parse(cases[i].text, &e), OK);
		if (cases[i].path != NULL) {
			assert_string_equal(e.path, cases[i].path);
			assert_null(e.host);
		} else {
			assert_null(e.path);
			assert_string_equal(e.host, cases[i].host);
			assert_int_equal(e.port, cases[i].port);
		}
		endpoint_fini(&e);
	}
}

static void
what_is_no_endpoint_is_refused(void **state)
{
	static const char *const cases[] = {"", ":", "host:", "host:x",
	    "host:65536", "host:-1", "host:1:2", "host:1 ", "[::1", "[::1]x",
	    "[::1]:", "[localhost]:1", "[]:1", "1:2:3", "https://host",
	    "user@host", "a b", "a,b", "a\n", "unix:"};
	struct endpoint e;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		if (endpoint_parse(cases[i], &e) != ERR_BAD)
			fail_msg("'%s' was accepted", cases[i]);
}

static void
a_socket_path_fits_sockaddr_un(void **state)
{
	char text[5 + 109] = "unix:";
	struct endpoint e;

	(void)state;
	memset(text + 5, 'x', 108);
	assert_int_equal(endpoint_parse(text, &e), ERR_BAD);
	text[5 + 107] = '\0';
	assert_int_equal(endpoint_parse(text, &e), OK);
	endpoint_fini(&e);
}

static void
no_memory_is_told_and_changes_nothing(void **state)
{
	struct endpoint e;
	struct tag_set s = {0};

	(void)state;
	assert_int_equal(tag_set_add(&s, "1"), OK);
	faults_at(1);
	assert_int_equal(tag_set_add(&s, "2,4"), ERR_NOMEM);
	assert_int_equal(tag_set_count(&s), 1);
	faults_at(1);
	assert_int_equal(endpoint_parse("localhost", &e), ERR_NOMEM);
	faults_at(1);
	assert_int_equal(endpoint_parse("unix:z", &e), ERR_NOMEM);
	faults_off();
	tag_set_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(u32_is_decimal_or_hex),
	    cmocka_unit_test(a_size_is_in_powers_of_1024),
	    cmocka_unit_test(a_duration_is_in_its_unit_or_seconds),
	    cmocka_unit_test(tags_are_merged_into_ranges),
	    cmocka_unit_test(a_malformed_tag_list_adds_nothing),
	    cmocka_unit_test(members_are_found_counted_and_numbered),
	    cmocka_unit_test(endpoints_are_hosts_ports_and_paths),
	    cmocka_unit_test(what_is_no_endpoint_is_refused),
	    cmocka_unit_test(a_socket_path_fits_sockaddr_un),
	    cmocka_unit_test(no_memory_is_told_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
