/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "faults.h"
#include "link/egress.h"
#include "link_rig.h"

/* A socket that takes nothing, or whose peer is not there. */
static int send_errno;

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	errno = send_errno;
	return send_errno != 0 ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

int
sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	errno = send_errno;
	return send_errno != 0 ? -1
			       : (int)syscall(SYS_sendmmsg, fd, m, n, flags);
}

static struct egress e;
static int rooms; /* for who waits */
static int turns; /* the socket says that it has room */

static void
on_room(void *arg)
{
	(void)arg;
	rooms++;
}

static struct {
	int n;
	size_t len;
	uint8_t first;
} heard;

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	(void)arg;
	heard.n++;
	heard.len += p->bytes.len;
	heard.first = p->bytes.p[0];
}

static void
on_refused(void *arg, int err)
{
	(void)arg;
	(void)err;
}

static void
on_socket_room(void *arg)
{
	turns++;
	egress_room(arg);
}

static const struct udp_ops ops = {
    .datagram = on_datagram,
    .pause = on_room,
    .room = on_socket_room,
    .refused = on_refused,
};

static struct udp *peer;
static uint8_t bytes[3000];
static struct quic_burst burst;

static void
on_quiet(void *arg)
{
	(void)arg;
}

static const struct udp_ops peer_ops = {
    .datagram = on_datagram,
    .pause = on_quiet,
    .room = on_quiet,
    .refused = on_refused,
};

static int
setup(void **state)
{
	struct addr at = {.len = sizeof(at.in4)};

	(void)state;
	send_errno = rooms = turns = heard.n = 0;
	heard.len = 0;
	at.in4.sin_family = AF_INET;
	at.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	log_set_level(LOG_ERROR);
	egress_init(&e);
	if (loop_new(&rig_loop) != OK ||
	    udp_open(&e.udp, rig_loop, &at, NULL, &ops, &e) != OK ||
	    udp_open(&peer, rig_loop, &at, NULL, &peer_ops, NULL) != OK)
		return -1;
	burst = (struct quic_burst){
	    .len = sizeof(bytes),
	    .segment = 1200,
	    .to = *udp_local(peer),
	};
	memset(bytes, 7, sizeof(bytes));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	egress_fini(&e);
	udp_close(peer);
	turns_run(rig_loop, 2);
	loop_free(rig_loop);
	return 0;
}

static void
a_burst_goes_as_it_is(void **state)
{
	(void)state;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	assert_false(egress_is_full(&e));
	UNTIL(heard.n == 3);
	assert_int_equal(heard.len, sizeof(bytes));
}

/* Whoever wrote it need not write it again. */
static void
a_burst_that_does_not_go_is_held_until_there_is_room(void **state)
{
	(void)state;
	send_errno = EAGAIN;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	assert_true(egress_is_full(&e));
	memset(bytes, 8, sizeof(bytes)); /* the buffer is shared */
	UNTIL(turns > 1);
	assert_true(egress_is_full(&e));
	send_errno = 0;
	UNTIL(heard.n == 3);
	assert_false(egress_is_full(&e));
	assert_int_equal(heard.len, sizeof(bytes));
	assert_int_equal(heard.first, 7);
}

static char order[8];

static void
note_a(void *arg)
{
	(void)arg;
	order[strlen(order)] = 'a';
}

static void
note_b(void *arg)
{
	(void)arg;
	order[strlen(order)] = 'b';
}

static void
those_who_wait_have_their_turn_in_order(void **state)
{
	struct egress_waiter a = {.room = note_a}, b = {.room = note_b};
	struct egress_waiter gone = {.room = note_a};

	(void)state;
	memset(order, 0, sizeof(order));
	send_errno = EAGAIN;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	egress_wait(&e, &gone);
	egress_wait(&e, &b);
	egress_wait(&e, &a);
	egress_wait(&e, &b);
	egress_unwait(&e, &gone);
	egress_unwait(&e, &gone);
	UNTIL(turns > 1);
	assert_string_equal(order, "");
	send_errno = 0;
	UNTIL(heard.n == 3);
	assert_string_equal(order, "ba");
	turns_run(rig_loop, 5);
	assert_string_equal(order, "ba");
}

static void
what_goes_wrong_is_a_lost_packet_unless_nobody_is_there(void **state)
{
	(void)state;
	send_errno = EMSGSIZE;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	send_errno = EPERM;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	udp_close(e.udp);
	assert_int_equal(
	    udp_open(&e.udp, rig_loop, NULL, udp_local(peer), &ops, &e), OK);
	burst.to.len = 0;
	send_errno = ECONNREFUSED;
	assert_int_equal(egress_send(&e, bytes, &burst), ERR_GONE);
	assert_false(egress_is_full(&e));
}

static void
without_memory_a_burst_is_lost(void **state)
{
	(void)state;
	send_errno = EAGAIN;
	faults_at(1);
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	faults_off();
	assert_false(egress_is_full(&e));
}

/* Who waits for a socket that takes nothing does not wait beyond the end. */
static void
nobody_waits_for_one_that_is_abandoned(void **state)
{
	struct egress_waiter w = {.room = on_room};

	(void)state;
	send_errno = EAGAIN;
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	egress_wait(&e, &w);
	egress_wait(&e, &w);
	assert_int_equal(rooms, 0);
	egress_abandon(&e);
	assert_int_equal(rooms, 1);
	assert_false(egress_is_full(&e));
	assert_int_equal(egress_send(&e, bytes, &burst), OK);
	assert_false(egress_is_full(&e));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_burst_goes_as_it_is),
	    TEST(a_burst_that_does_not_go_is_held_until_there_is_room),
	    TEST(those_who_wait_have_their_turn_in_order),
	    TEST(what_goes_wrong_is_a_lost_packet_unless_nobody_is_there),
	    TEST(without_memory_a_burst_is_lost),
	    TEST(nobody_waits_for_one_that_is_abandoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
