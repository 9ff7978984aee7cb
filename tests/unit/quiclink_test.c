/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "unit.h"

#include "auth/auth.h"
#include "faults.h"
#include "lane_cases.h"
#include "proto/hello.h"

static struct tls *server_tls, *client_tls;
static struct listener *listener;
static struct addr at;
static bool refuse;
static int accepted;

static bool
on_accept(void *arg, struct link *l)
{
	(void)arg;
	if (refuse)
		return false;
	accepted++;
	/* Those that come after the first are nobody's. */
	if (there.link != NULL)
		return false;
	there.link = l;
	l->ops = &rig_ops;
	l->arg = &there;
	l->out = &there.out;
	return true;
}

static const struct listener_ops listener_callbacks = {.accept = on_accept};

static struct addr
loopback(uint16_t port)
{
	struct addr a = {.len = sizeof(a.in4)};

	a.in4.sin_family = AF_INET;
	a.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr_set_port(&a, port);
	return a;
}

static int
setup_group(void **state)
{
	const struct tls_server_conf s = {0};
	const struct tls_client_conf c = {0};

	(void)state;
	log_set_level(LOG_ERROR);
	if (auth_init() != OK || rig_make_folder() != 0)
		return -1;
	return tls_server_new(&server_tls, &s) == OK &&
		       tls_client_new(&client_tls, &c) == OK
		   ? 0
		   : -1;
}

static int
teardown_group(void **state)
{
	(void)state;
	tls_free(client_tls);
	tls_free(server_tls);
	rig_remove_folder();
	return 0;
}

static int
setup(void **state)
{
	struct listener_conf conf = rig_listener_conf(server_tls);

	(void)state;
	rig_end_init(&here);
	rig_end_init(&there);
	refuse = false;
	accepted = 0;
	at = loopback(0);
	if (loop_new(&rig_loop) != OK)
		return -1;
	if (listener_new(
		&listener, rig_loop, &conf, &listener_callbacks, NULL) != OK)
		return -1;
	return listener_udp(listener, &at);
}

static int
teardown(void **state)
{
	(void)state;
	rig_end_fini(&here);
	rig_end_fini(&there);
	UNTIL(listener_counts(listener)->conns == 0);
	listener_free(listener);
	turns_run(rig_loop, 3);
	loop_free(rig_loop);
	assert_int_equal(slab_total(), 0);
	return 0;
}

static void
dial(const struct addr *to)
{
	assert_int_equal(quiclink_dial(&here.link, rig_loop, client_tls,
			     "127.0.0.1", to, &here.out, &rig_ops, &here),
	    OK);
}

static void
bytes_go_both_ways_in_order(void **state)
{
	(void)state;
	rig_send(&here, 0, 5000000);
	dial(&at);
	UNTIL(there.ups == 1);
	rig_send(&there, 0, 3000000);
	UNTIL(here.in.len == 3000000 && there.in.len == 5000000);
	rig_check(&here, 3000000);
	rig_check(&there, 5000000);
	UNTIL(here.out.bytes == 0 && there.out.bytes == 0);
	assert_int_equal(here.ups, 1);
	assert_int_equal(there.ups, 1);
	assert_true(here.moves > 0);
	assert_true(here.link->answers_fin);
	assert_string_equal(here.link->name, addr_text(&at, (char[64]){0}));
}

static void
a_fin_comes_after_everything_and_the_other_way_stays_open(void **state)
{
	(void)state;
	rig_send(&here, 0, 100000);
	dial(&at);
	UNTIL(here.ups == 1);
	link_finish(here.link);
	UNTIL(there.fins == 1);
	rig_check(&there, 100000);
	UNTIL(here.link->fin_acked);
	assert_int_equal(here.out.bytes, 0);
	rig_send(&there, 0, 100);
	UNTIL(here.in.len == 100);
	link_finish(there.link);
	UNTIL(here.fins == 1);
	assert_int_equal(here.downs + there.downs, 0);
}

static void
who_does_not_consume_is_not_sent_more(void **state)
{
	(void)state;
	there.lazy = true;
	rig_send(&here, 0, 8u << 20);
	dial(&at);
	UNTIL(there.in.len == QUICLINK_WINDOW);
	turns_run(rig_loop, 100);
	assert_int_equal(there.in.len, QUICLINK_WINDOW);
	there.lazy = false;
	rig_consume(&there);
	UNTIL(there.in.len == 8u << 20);
	rig_check(&there, 8u << 20);
}

static void
who_closes_says_why(void **state)
{
	(void)state;
	dial(&at);
	rig_send(&here, 0, 10);
	UNTIL(there.in.len == 10);
	rig_close(&there, HELLO_CLOSE_EVICT, "for good");
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_CLOSED);
	assert_int_equal(here.end.code, HELLO_CLOSE_EVICT);
	assert_string_equal(here.end.reason, "for good");
}

static void
a_long_reason_is_cut(void **state)
{
	char reason[2000];

	(void)state;
	memset(reason, 'x', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	dial(&at);
	rig_send(&here, 0, 10);
	UNTIL(there.in.len == 10);
	rig_close(&here, 7, reason);
	UNTIL(there.downs == 1);
	assert_int_equal(there.end.code, 7);
	assert_true(strlen(there.end.reason) < LINK_REASON);
	assert_memory_equal(there.end.reason, reason, 20);
}

static void
what_was_not_sent_when_it_closed_stays_queued(void **state)
{
	(void)state;
	there.lazy = true;
	rig_send(&here, 0, 8u << 20);
	dial(&at);
	UNTIL(there.in.len == QUICLINK_WINDOW);
	rig_close(&there, HELLO_CLOSE_RESTART, "");
	UNTIL(here.downs == 1);
	assert_int_equal(here.out.unsent, (8u << 20) - (size_t)QUICLINK_WINDOW);
}

static void
a_dead_port_is_known_at_once(void **state)
{
	struct addr dead;
	socklen_t len = sizeof(dead.in4);
	uint64_t from = loop_clock();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	dead = loopback(0);
	assert_int_equal(bind(fd, &dead.sa, dead.len), 0);
	assert_int_equal(getsockname(fd, &dead.sa, &len), 0);
	close(fd);
	dial(&dead);
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_ABSENT);
	assert_string_equal(here.end.reason, "connection refused");
	assert_int_equal(here.ups, 0);
	assert_true(loop_clock() - from < QUICLINK_HANDSHAKE_NS);
}

static void
who_never_answers_is_absent(void **state)
{
	struct addr silent = loopback(0);
	socklen_t len = sizeof(silent.in4);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, &silent.sa, silent.len), 0);
	assert_int_equal(getsockname(fd, &silent.sa, &len), 0);
	dial(&silent);
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_ABSENT);
	close(fd);
}

static void
who_is_not_accepted_finds_nobody(void **state)
{
	(void)state;
	refuse = true;
	dial(&at);
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_ABSENT);
	assert_int_equal(there.ups, 0);
}

static void
who_is_not_trusted_is_told_from_who_is_absent(void **state)
{
	const struct tls_client_conf conf = {0};
	struct tls *wary;

	(void)state;
	setenv("STATE_DIRECTORY", "/nonexistent", 1);
	assert_int_equal(tls_client_new(&wary, &conf), OK);
	assert_int_equal(quiclink_dial(&here.link, rig_loop, wary, "127.0.0.1",
			     &at, &here.out, &rig_ops, &here),
	    OK);
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_UNTRUSTED);
	assert_non_null(strstr(here.end.reason, "sha256//"));
	setenv("STATE_DIRECTORY", rig_folder, 1);
	tls_free(wary);
}

static int
take_no_protocol(SSL *ssl, const unsigned char **out, unsigned char *len,
    const unsigned char *in, unsigned n, void *arg)
{
	(void)ssl;
	(void)out;
	(void)len;
	(void)in;
	(void)n;
	(void)arg;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
who_speaks_another_protocol_is_a_stranger(void **state)
{
	const struct tls_server_conf conf = {0};
	struct tls *other;

	(void)state;
	assert_int_equal(tls_server_new(&other, &conf), OK);
	listener_set_tls(listener, other);
	SSL_CTX_set_alpn_select_cb(tls_ctx(other), take_no_protocol, NULL);
	dial(&at);
	UNTIL(here.downs == 1);
	assert_int_equal(here.end.kind, LINK_STRANGER);
	listener_set_tls(listener, server_tls);
	tls_free(other);
}

/* Go's peers know nothing of them, and notice nothing. */
static void
the_old_protocol_has_no_lanes(void **state)
{
	const struct tls_server_conf conf = {0};
	struct tls *other;

	(void)state;
	assert_int_equal(tls_server_new(&other, &conf), OK);
	listener_set_tls(listener, other);
	SSL_CTX_set_alpn_select_cb(tls_ctx(other), rig_take_yomo, NULL);
	dial(&at);
	rig_send(&here, 0, 10);
	UNTIL(there.in.len == 10);
	assert_false(here.link->answers_fin || there.link->answers_fin);
	assert_false(here.link->lanes || there.link->lanes);
	link_allow_lanes(there.link, 5);
	assert_null(rig_open_lane(&here));
	assert_null(rig_open_lane(&there));
	rig_send(&here, 10, 10);
	UNTIL(there.in.len == 20);
	assert_int_equal(here.lane_calls + there.lane_calls, 0);
	listener_set_tls(listener, server_tls);
	tls_free(other);
}

static void
close_own(struct rig_end *e)
{
	rig_close(e, 9, "closed in a callback");
}

/* Each callback, also those from within the QUIC library. */
static void
a_link_may_be_closed_from_any_callback(void **state)
{
	struct rig_end *e;
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		rig_end_fini(&here);
		rig_end_fini(&there);
		UNTIL(listener_counts(listener)->conns == 0);
		rig_end_init(&here);
		rig_end_init(&there);
		e = i % 2 == 0 ? &here : &there;
		e->on_up = i / 2 == 0 ? close_own : NULL;
		e->on_bytes = i / 2 == 1 ? close_own : NULL;
		e->on_pause = i / 2 == 2 ? close_own : NULL;
		e->on_down = i / 2 == 3 ? close_own : NULL;
		rig_send(&here, 0, 300000);
		rig_send(&there, 0, 300000);
		dial(&at);
		UNTIL(here.ups == 1);
		if (i / 2 == 3) {
			UNTIL(there.in.len > 0);
			rig_close(i % 2 == 0 ? &there : &here, 0, "");
		}
		UNTIL(e->link == NULL && (e == &here || accepted > 0));
		turns_run(rig_loop, 5);
	}
}

static void
a_link_may_be_closed_before_it_is_up(void **state)
{
	int turns;

	(void)state;
	for (turns = 0; turns < 12; turns++) {
		rig_end_fini(&here);
		rig_end_fini(&there);
		rig_end_init(&here);
		rig_end_init(&there);
		dial(&at);
		turns_run(rig_loop, turns + 1);
		rig_close(turns % 2 == 0 ? &here : &there, 0, "");
		turns_run(rig_loop, 3);
	}
}

/* One closes the other's link in a callback of its own. */
static void
close_other(struct rig_end *e)
{
	rig_close(e == &here ? &there : &here, 0, "");
	rig_close(e, 0, "");
}

static void
one_may_close_the_link_of_another(void **state)
{
	(void)state;
	rig_send(&here, 0, 10);
	dial(&at);
	UNTIL(there.in.len == 10);
	here.on_pause = there.on_pause = close_other;
	rig_send(&here, 10, 10);
	rig_send(&there, 0, 10);
	UNTIL(here.link == NULL && there.link == NULL);
}

static void
without_memory_there_is_no_link(void **state)
{
	bool hit = true;
	size_t n, failed = 0;
	int r;

	(void)state;
	for (n = 1; hit; n += 1 + n / 40) {
		faults_at(n);
		r = quiclink_dial(&here.link, rig_loop, client_tls, "127.0.0.1",
		    &at, &here.out, &rig_ops, &here);
		hit = faults_hit();
		faults_off();
		assert_true(r == OK || hit);
		failed += r != OK;
		rig_close(&here, 0, "");
		turns_run(rig_loop, 3);
	}
	assert_true(failed > 5);
}

/* --- lanes --- */

static void
lanes_join(void)
{
	dial(&at);
	UNTIL(here.ups == 1);
	rig_send_frame(&here, 1); /* or nobody there would know of it */
	UNTIL(there.ups == 1 && rig_heard(&there, &here));
	assert_null(rig_open_lane(&here)); /* not allowed yet */
	assert_true(here.link->lanes && there.link->lanes);
	link_use_lanes(here.link);
	link_use_lanes(there.link);
	link_allow_lanes(there.link, LANES);
	UNTIL(here.lane_calls == 1);
	here.lane_calls = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bytes_go_both_ways_in_order),
	    TEST(a_fin_comes_after_everything_and_the_other_way_stays_open),
	    TEST(who_does_not_consume_is_not_sent_more),
	    TEST(who_closes_says_why),
	    TEST(a_long_reason_is_cut),
	    TEST(what_was_not_sent_when_it_closed_stays_queued),
	    TEST(a_dead_port_is_known_at_once),
	    TEST(who_never_answers_is_absent),
	    TEST(who_is_not_accepted_finds_nobody),
	    TEST(who_is_not_trusted_is_told_from_who_is_absent),
	    TEST(who_speaks_another_protocol_is_a_stranger),
	    TEST(the_old_protocol_has_no_lanes),
	    TEST(a_link_may_be_closed_from_any_callback),
	    TEST(a_link_may_be_closed_before_it_is_up),
	    TEST(one_may_close_the_link_of_another),
	    TEST(without_memory_there_is_no_link),
	    LANE_CASES,
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
