/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <string.h>

#include "unit.h"

#include "base/addr.h"

static struct addr
make(const char *host, uint16_t port)
{
	struct addr a = {0};

	if (strchr(host, ':') != NULL) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		assert_int_equal(
		    inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
	} else {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
		assert_int_equal(inet_pton(AF_INET, host, &a.in4.sin_addr), 1);
	}
	addr_set_port(&a, port);
	return a;
}

static const struct {
	const char *host;
	uint16_t port;
	const char *text;
	bool loopback;
	bool any;
} cases[] = {
    {"127.0.0.1", 9000, "127.0.0.1:9000", true, false},
    {"127.255.255.254", 1, "127.255.255.254:1", true, false},
    {"126.255.255.255", 0, "126.255.255.255:0", false, false},
    {"128.0.0.1", 65535, "128.0.0.1:65535", false, false},
    {"0.0.0.0", 9000, "0.0.0.0:9000", false, true},
    {"::1", 9000, "[::1]:9000", true, false},
    {"::", 9000, "[::]:9000", false, true},
    {"::2", 9000, "[::2]:9000", false, false},
    {"::ffff:127.0.0.1", 9, "[::ffff:127.0.0.1]:9", true, false},
    {"::ffff:10.0.0.1", 9, "[::ffff:10.0.0.1]:9", false, false},
    {"2001:db8:1111:2222:3333:4444:5555:6666", 65535,
	"[2001:db8:1111:2222:3333:4444:5555:6666]:65535", false, false},
};

static void
an_address_says_what_it_is(void **state)
{
	char text[ADDR_TEXT];
	struct addr a;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		a = make(cases[i].host, cases[i].port);
		assert_ptr_equal(addr_text(&a, text), text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
		assert_int_equal(addr_is_any(&a), cases[i].any);
		assert_int_equal(addr_port(&a), cases[i].port);
	}
}

static void
addresses_are_equal_with_host_and_port_only(void **state)
{
	struct addr a, b;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (j = 0; j < COUNT(cases); j++) {
			a = make(cases[i].host, 5);
			b = make(cases[j].host, 5);
			assert_int_equal(addr_equal(&a, &b), i == j);
		}
		a = make(cases[i].host, 5);
		b = make(cases[i].host, 6);
		assert_false(addr_equal(&a, &b));
		/* What the kernel leaves in the padding does not count. */
		b = make(cases[i].host, 5);
		if (b.sa.sa_family == AF_INET)
			memset(b.in4.sin_zero, 1, sizeof(b.in4.sin_zero));
		else
			b.in6.sin6_flowinfo = 7;
		assert_true(addr_equal(&a, &b));
	}
	a = make("fe80::1", 5);
	b = a;
	b.in6.sin6_scope_id = 2;
	assert_false(addr_equal(&a, &b));
}

static void
no_address_is_nothing(void **state)
{
	struct addr none = {0}, other = {0};
	char text[ADDR_TEXT];

	(void)state;
	assert_string_equal(addr_text(&none, text), "?");
	assert_false(addr_is_loopback(&none));
	assert_false(addr_is_any(&none));
	assert_false(addr_equal(&none, &other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_says_what_it_is),
	    cmocka_unit_test(addresses_are_equal_with_host_and_port_only),
	    cmocka_unit_test(no_address_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
