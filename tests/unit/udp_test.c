/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "faults.h"
#include "net/udp.h"
#include "turns.h"

/*
 * The kernel's refusals are made here: these stand before the C library's own,
 * also for the code under test.
 */

static int gso_errno;  /* what a call with UDP_SEGMENT fails with; 0: works */
static int send_errno; /* what a call without it fails with; 0: works */
static int sends_left; /* calls until EAGAIN; -1: never */
static int each_max;   /* messages that one sendmmsg(2) takes; 0: all */
static int gso_calls;  /* made */
static int rcvbuf_cap; /* as if net.core.rmem_max were this; 0: it is not */

static bool
is_full(void)
{
	if (sends_left == 0) {
		errno = EAGAIN;
		return true;
	}
	if (sends_left > 0)
		sends_left--;
	return false;
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	gso_calls++;
	if (gso_errno != 0) {
		errno = gso_errno;
		return -1;
	}
	if (is_full())
		return -1;
	return syscall(SYS_sendmsg, fd, m, flags);
}

int
sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	if (send_errno != 0) {
		errno = send_errno;
		return -1;
	}
	if (is_full())
		return -1;
	if (each_max > 0 && n > (unsigned)each_max)
		n = (unsigned)each_max;
	return (int)syscall(SYS_sendmmsg, fd, m, n, flags);
}

int
setsockopt(int fd, int level, int name, const void *p, socklen_t len)
{
	int cap = rcvbuf_cap;

	if (level == SOL_SOCKET && name == SO_RCVBUF && cap != 0)
		p = &cap;
	return (int)syscall(SYS_setsockopt, fd, level, name, p, len);
}

/* Two ends */

#define HEARD_MAX 4096

struct end {
	struct udp *udp;
	size_t n; /* datagrams heard */
	size_t len[HEARD_MAX];
	uint8_t first[HEARD_MAX]; /* byte of each */
	struct addr from;
	struct addr to;
	uint8_t ecn;
	int pauses;
	int rooms;
	int refused;
	size_t stop_at;	 /* stop the loop when so many were heard */
	size_t close_at; /* close the socket when so many were heard */
};

static struct loop *l;
static struct end server, client;

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	struct end *e = arg;

	assert_true(e->n < HEARD_MAX);
	assert_non_null(e->udp);
	e->len[e->n] = p->bytes.len;
	e->first[e->n] = p->bytes.p[0];
	e->from = *p->from;
	e->to = *p->to;
	e->ecn = p->ecn;
	e->n++;
	if (e->n == e->stop_at)
		loop_stop(l, 0);
	if (e->n == e->close_at) {
		udp_close(e->udp);
		e->udp = NULL;
	}
}

static void
on_pause(void *arg)
{
	((struct end *)arg)->pauses++;
}

static void
on_room(void *arg)
{
	((struct end *)arg)->rooms++;
	loop_stop(l, 0);
}

static void
on_refused(void *arg, int err)
{
	((struct end *)arg)->refused = err;
	loop_stop(l, 0);
}

static const struct udp_ops ops = {
    .datagram = on_datagram,
    .pause = on_pause,
    .room = on_room,
    .refused = on_refused,
};

static int
setup(void **state)
{
	(void)state;
	gso_errno = send_errno = each_max = gso_calls = rcvbuf_cap = 0;
	sends_left = -1;
	server = client = (struct end){0};
	return loop_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	udp_close(client.udp);
	udp_close(server.udp);
	loop_free(l);
	return 0;
}

static struct addr
address(const char *host, uint16_t port)
{
	struct addr a = {0};

	if (strchr(host, ':') != NULL) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		inet_pton(AF_INET6, host, &a.in6.sin6_addr);
	} else {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
		inet_pton(AF_INET, host, &a.in4.sin_addr);
	}
	addr_set_port(&a, port);
	return a;
}

/* A listener on host, and a client connected to it by the address via. */
static void
connect_ends(const char *host, const char *via)
{
	struct addr a = address(host, 0);

	assert_int_equal(udp_open(&server.udp, l, &a, NULL, &ops, &server), OK);
	a = address(via, addr_port(udp_local(server.udp)));
	assert_int_equal(udp_open(&client.udp, l, NULL, &a, &ops, &client), OK);
}

static bool
have_ipv6(void)
{
	struct addr a = address("::1", 0);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool yes = fd != -1 && bind(fd, &a.sa, a.len) == 0;

	if (fd != -1)
		close(fd);
	return yes;
}

static uint8_t bytes[200000];

/* n bytes, of which each datagram of segment bytes begins with its number. */
static struct view
numbered(size_t n, size_t segment)
{
	size_t i;

	assert_true(n <= sizeof(bytes));
	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i / segment);
	return (struct view){bytes, n};
}

static int
send_to_server(size_t n, size_t segment)
{
	return udp_send(
	    client.udp, numbered(n, segment), segment, NULL, NULL, 0);
}

/* Run until the server has heard n datagrams, and see that they are right. */
static void
expect_numbered(size_t n, size_t segment, size_t last)
{
	size_t i;

	server.stop_at = n;
	while (server.n < n)
		loop_run(l);
	assert_int_equal(server.n, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(server.first[i], (uint8_t)i);
		assert_int_equal(server.len[i], i + 1 < n ? segment : last);
	}
}

static const struct {
	const char *host;
	const char *via;
} ways[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"0.0.0.0", "127.0.0.3"},
    {"::1", "::1"},
    {"::", "::1"},
};

static void
a_datagram_says_whence_whither_and_its_ecn(void **state)
{
	struct addr to;
	uint8_t ecn;
	size_t i;

	for (i = 0; i < COUNT(ways); i++) {
		if (strchr(ways[i].host, ':') != NULL && !have_ipv6())
			continue;
		connect_ends(ways[i].host, ways[i].via);
		to = address(ways[i].via, addr_port(udp_local(server.udp)));
		for (ecn = 0; ecn < 4; ecn++) {
			server.n = 0;
			server.stop_at = 1;
			assert_int_equal(udp_send(client.udp, numbered(9, 9), 9,
					     NULL, NULL, ecn),
			    OK);
			loop_run(l);
			assert_int_equal(server.len[0], 9);
			assert_int_equal(server.ecn, ecn);
			assert_true(
			    addr_equal(&server.from, udp_local(client.udp)));
			assert_true(addr_equal(&server.to, &to));
		}
		teardown(state);
		setup(state);
	}
}

static void
a_reply_leaves_from_the_address_that_was_asked(void **state)
{
	size_t i;

	for (i = 0; i < COUNT(ways); i++) {
		if (strchr(ways[i].host, ':') != NULL && !have_ipv6())
			continue;
		connect_ends(ways[i].host, ways[i].via);
		send_to_server(1, 1);
		expect_numbered(1, 1, 1);
		/* A connected socket hears only the address it asked. */
		client.stop_at = 3;
		assert_int_equal(udp_send(server.udp, numbered(5, 2), 2,
				     &server.from, &server.to, 1),
		    OK);
		loop_run(l);
		assert_int_equal(client.n, 3);
		assert_int_equal(client.len[2], 1);
		assert_int_equal(client.ecn, 1);
		teardown(state);
		setup(state);
	}
}

static void
a_burst_arrives_as_the_datagrams_it_is_made_of(void **state)
{
	static const struct {
		size_t n, segment, count, last;
	} cases[] = {
	    {1200, 1200, 1, 1200}, {3600, 1200, 3, 1200}, {3601, 1200, 4, 1},
	    {64, 1, 64, 1},
	    {129, 1, 129, 1},	       /* over the kernel's segments a call */
	    {150000, 1452, 104, 444},  /* and over its bytes */
	    {180000, 60000, 3, 60000}, /* too large for two in a call */
	};
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		connect_ends("127.0.0.1", "127.0.0.1");
		assert_int_equal(
		    send_to_server(cases[i].n, cases[i].segment), OK);
		expect_numbered(
		    cases[i].count, cases[i].segment, cases[i].last);
		assert_true(server.pauses > 0);
		teardown(state);
		setup(state);
	}
}

static void
without_segmentation_offload_datagrams_go_one_by_one(void **state)
{
	static const int refusals[] = {EIO, EINVAL, ENOPROTOOPT, EOPNOTSUPP};
	size_t i;

	for (i = 0; i < COUNT(refusals); i++) {
		connect_ends("127.0.0.1", "127.0.0.1");
		gso_errno = refusals[i];
		each_max = 7;
		assert_int_equal(send_to_server(150000, 1200), OK);
		expect_numbered(125, 1200, 1200);
		assert_int_equal(gso_calls, 1); /* not tried again */
		assert_int_equal(send_to_server(2400, 1200), OK);
		assert_int_equal(gso_calls, 1);
		teardown(state);
		setup(state);
	}
}

static void
a_segment_too_large_for_the_path_keeps_the_offload(void **state)
{
	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	gso_errno = EINVAL; /* as Linux before 6.14 says it */
	send_errno = EMSGSIZE;
	assert_int_equal(send_to_server(3600, 1200), ERR_LIMIT);
	gso_errno = EMSGSIZE;
	assert_int_equal(send_to_server(3600, 1200), ERR_LIMIT);
	gso_errno = send_errno = 0;
	assert_int_equal(send_to_server(2400, 1200), OK);
	assert_int_equal(gso_calls, 3);
	expect_numbered(2, 1200, 1200);
}

static void
a_datagram_larger_than_udp_takes_is_over_the_limit(void **state)
{
	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	assert_int_equal(send_to_server(65508, 65508), ERR_LIMIT);
	assert_int_equal(send_to_server(65507, 65507), OK);
	expect_numbered(1, 65507, 65507);
}

static void
a_full_socket_takes_nothing_until_there_is_room(void **state)
{
	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	sends_left = 0;
	assert_int_equal(send_to_server(1200, 1200), ERR_MORE);
	sends_left = -1;
	assert_int_equal(send_to_server(1200, 1200), ERR_MORE);
	assert_int_equal(client.rooms, 0);
	loop_run(l);
	assert_int_equal(client.rooms, 1);
	assert_int_equal(server.n, 0);
	assert_int_equal(send_to_server(1200, 1200), OK);
	expect_numbered(1, 1200, 1200);
	assert_int_equal(client.rooms, 1);
}

static void
a_burst_taken_in_part_is_sent_whole(void **state)
{
	int left;

	for (left = 1; left < 3; left++) { /* of three calls */
		connect_ends("0.0.0.0", "127.0.0.1");
		sends_left = left;
		assert_int_equal(send_to_server(180000, 1200), OK);
		memset(bytes, 0, sizeof(bytes)); /* it kept its own copy */
		assert_int_equal(udp_send(client.udp, (struct view){bytes, 1},
				     1, NULL, NULL, 0),
		    left < 3 ? ERR_MORE : OK);
		sends_left = 0;
		turns_run(l, 1);
		assert_int_equal(client.rooms, 0);
		sends_left = -1;
		expect_numbered(150, 1200, 1200);
		teardown(state);
		setup(state);
	}
}

static void
a_rest_goes_where_the_burst_went(void **state)
{
	struct addr to, from;

	(void)state;
	connect_ends("0.0.0.0", "127.0.0.3");
	send_to_server(1, 1);
	expect_numbered(1, 1, 1);
	to = server.from;
	from = server.to;
	sends_left = 1;
	assert_int_equal(
	    udp_send(server.udp, numbered(100000, 1000), 1000, &to, &from, 2),
	    OK);
	to = from = (struct addr){0};
	sends_left = -1;
	client.stop_at = 100;
	while (client.n < 100)
		loop_run(l);
	assert_int_equal(client.first[99], 99);
	assert_int_equal(client.ecn, 2);
}

/* A port on which nobody listens. */
static struct addr
dead_port(void)
{
	struct addr a = address("127.0.0.1", 0);
	struct udp *u;

	assert_int_equal(udp_open(&u, l, &a, NULL, &ops, &server), OK);
	a = *udp_local(u);
	udp_close(u);
	return a;
}

static void
a_dead_port_refuses(void **state)
{
	struct addr a = dead_port();

	(void)state;
	assert_int_equal(udp_open(&client.udp, l, NULL, &a, &ops, &client), OK);
	assert_int_equal(send_to_server(1, 1), OK);
	loop_run(l);
	assert_int_equal(client.refused, ECONNREFUSED);
	/* And the socket lives: the port may come to life. */
	server.udp = NULL;
	assert_int_equal(udp_open(&server.udp, l, &a, NULL, &ops, &server), OK);
	assert_int_equal(send_to_server(3, 3), OK);
	expect_numbered(1, 3, 3);
}

static void
a_refusal_is_told_also_when_sending_meets_it(void **state)
{
	struct addr a = dead_port();

	(void)state;
	assert_int_equal(udp_open(&client.udp, l, NULL, &a, &ops, &client), OK);
	assert_int_equal(send_to_server(1, 1), OK);
	assert_int_equal(send_to_server(1, 1), ERR_GONE);
	assert_int_equal(client.refused, 0); /* not from within the call */
	loop_run(l);
	assert_int_equal(client.refused, ECONNREFUSED);
}

static void
a_closed_socket_tells_no_refusal(void **state)
{
	struct addr a = dead_port();

	(void)state;
	assert_int_equal(udp_open(&client.udp, l, NULL, &a, &ops, &client), OK);
	send_to_server(1, 1);
	assert_int_equal(send_to_server(1, 1), ERR_GONE);
	udp_close(client.udp);
	client.udp = NULL;
	turns_run(l, 1);
	assert_int_equal(client.refused, 0);
}

static void
a_listener_is_not_disturbed_by_refusals(void **state)
{
	struct addr a = dead_port();

	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	assert_int_equal(
	    udp_send(server.udp, numbered(1, 1), 1, &a, NULL, 0), OK);
	assert_int_equal(
	    udp_send(server.udp, numbered(1, 1), 1, &a, NULL, 0), OK);
	turns_run(l, 1);
	assert_int_equal(server.refused, 0);
	send_to_server(1, 1);
	expect_numbered(1, 1, 1);
}

static void
other_errors_are_said_once_a_second(void **state)
{
	int out[2], kept = dup(STDERR_FILENO);
	char text[512] = {0};

	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	assert_int_equal(pipe(out), 0);
	dup2(out[1], STDERR_FILENO);
	send_errno = EPERM;
	assert_int_equal(send_to_server(1, 1), ERR_SYS);
	assert_int_equal(send_to_server(1, 1), ERR_SYS);
	dup2(kept, STDERR_FILENO);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(
	    text, "yomo: cannot send a datagram: Operation not permitted\n");
	close(kept);
	close(out[0]);
	close(out[1]);
}

/* Send n datagrams of len bytes to the server, with no help of ours. */
static void
send_plainly(int n, size_t len)
{
	const struct addr *to = udp_local(server.udp);
	int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	numbered(1, 1);
	while (n-- > 0)
		assert_int_equal(
		    sendto(fd, bytes, len, 0, &to->sa, to->len), (ssize_t)len);
	close(fd);
}

static void
empty_datagrams_are_passed_over(void **state)
{
	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	send_plainly(100, 0);
	send_plainly(1, 5);
	expect_numbered(1, 5, 5);
}

static void
a_flood_is_read_in_turns(void **state)
{
	int turns = 0;

	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	send_plainly(400, 5);
	while (server.n < 400) {
		turns_run(l, 1);
		assert_true(server.n <= 64u * (unsigned)++turns);
	}
	assert_int_equal(server.pauses, turns);
}

static void
nothing_comes_after_closing_within_a_burst(void **state)
{
	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	server.close_at = 5;
	send_to_server(64, 1);
	send_plainly(20, 5);
	turns_run(l, 1);
	turns_run(l, 1);
	assert_int_equal(server.n, 5);
	assert_int_equal(server.pauses, 0);
}

static void
what_a_datagram_may_hold_follows_the_buffer(void **state)
{
	static const struct {
		int rmem_max;
		size_t want;
	} cases[] = {
	    {1024, 1452},
	    {65535, 1452},
	    {65536, 4096},
	    {212992, 8900}, /* Debian's default */
	    {1000000, 60000},
	    {600000, 32000},
	    {262144, 16000},
	};
	struct addr a = address("127.0.0.1", 0);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		rcvbuf_cap = cases[i].rmem_max;
		assert_int_equal(
		    udp_open(&server.udp, l, &a, NULL, &ops, &server), OK);
		assert_int_equal(udp_payload_max(server.udp), cases[i].want);
		udp_close(server.udp);
		server.udp = NULL;
	}
}

static void
a_taken_port_is_an_error(void **state)
{
	struct udp *u = NULL;

	(void)state;
	connect_ends("127.0.0.1", "127.0.0.1");
	assert_int_equal(
	    udp_open(&u, l, udp_local(server.udp), NULL, &ops, &server),
	    ERR_SYS);
	assert_null(u);
}

static void
an_address_of_another_machine_is_none_of_ours(void **state)
{
	struct addr a = address("192.0.2.1", 0); /* for documents (RFC 5737) */

	(void)state;
	assert_int_equal(
	    udp_open(&server.udp, l, &a, NULL, &ops, &server), ERR_NONE);
	assert_null(server.udp);
}

static void
both_families_may_listen_on_one_port(void **state)
{
	struct addr a = address("::", 0);

	(void)state;
	if (!have_ipv6())
		skip();
	assert_int_equal(udp_open(&client.udp, l, &a, NULL, &ops, &client), OK);
	a = address("0.0.0.0", addr_port(udp_local(client.udp)));
	assert_int_equal(udp_open(&server.udp, l, &a, NULL, &ops, &server), OK);
}

static void
without_memory_nothing_is_left_behind(void **state)
{
	struct addr a = address("127.0.0.1", 0);
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		faults_at(n);
		r = udp_open(&server.udp, l, &a, NULL, &ops, &server);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_datagram_says_whence_whither_and_its_ecn),
	    TEST(a_reply_leaves_from_the_address_that_was_asked),
	    TEST(a_burst_arrives_as_the_datagrams_it_is_made_of),
	    TEST(without_segmentation_offload_datagrams_go_one_by_one),
	    TEST(a_segment_too_large_for_the_path_keeps_the_offload),
	    TEST(a_datagram_larger_than_udp_takes_is_over_the_limit),
	    TEST(a_full_socket_takes_nothing_until_there_is_room),
	    TEST(a_burst_taken_in_part_is_sent_whole),
	    TEST(a_rest_goes_where_the_burst_went),
	    TEST(a_dead_port_refuses),
	    TEST(a_refusal_is_told_also_when_sending_meets_it),
	    TEST(a_closed_socket_tells_no_refusal),
	    TEST(a_listener_is_not_disturbed_by_refusals),
	    TEST(other_errors_are_said_once_a_second),
	    TEST(empty_datagrams_are_passed_over),
	    TEST(a_flood_is_read_in_turns),
	    TEST(nothing_comes_after_closing_within_a_burst),
	    TEST(what_a_datagram_may_hold_follows_the_buffer),
	    TEST(a_taken_port_is_an_error),
	    TEST(an_address_of_another_machine_is_none_of_ours),
	    TEST(both_families_may_listen_on_one_port),
	    TEST(without_memory_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
