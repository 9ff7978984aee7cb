/* SPDX-License-Identifier: ISC */
#include <netinet/in.h>
#include <stdlib.h>

#include "unit.h"

#include "base/err.h"
#include "link/egress.h"

static int rooms;

static void
on_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	(void)arg;
	(void)p;
}

static void
on_refused(void *arg, int err)
{
	(void)arg;
	(void)err;
}

static const struct udp_ops ops = {
    .datagram = on_datagram,
    .pause = on_room,
    .room = on_room,
    .refused = on_refused,
};

/* Who waits for a socket that takes nothing does not wait beyond the end. */
static void
nobody_waits_for_one_that_is_abandoned(void **state)
{
	struct addr at = {.len = sizeof(at.in4)};
	struct egress_waiter w = {.room = on_room};
	uint8_t bytes[100] = {0};
	struct quic_burst b = {.len = sizeof(bytes), .segment = sizeof(bytes)};
	struct loop *loop;
	struct egress e;

	(void)state;
	at.in4.sin_family = AF_INET;
	at.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(loop_new(&loop), OK);
	egress_init(&e);
	assert_int_equal(udp_open(&e.udp, loop, &at, NULL, &ops, &e), OK);
	e.held = calloc(1, sizeof(bytes)); /* as if the socket were full */
	e.burst = b;
	assert_true(egress_is_full(&e));
	egress_wait(&e, &w);
	egress_wait(&e, &w);
	assert_int_equal(rooms, 0);
	egress_abandon(&e);
	assert_int_equal(rooms, 1);
	assert_false(egress_is_full(&e));
	assert_int_equal(egress_send(&e, bytes, &b), OK);
	assert_false(egress_is_full(&e));
	egress_fini(&e);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_waits_for_one_that_is_abandoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
