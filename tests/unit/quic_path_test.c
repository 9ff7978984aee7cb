/* SPDX-License-Identifier: ISC */
/* Wires that lose, delay, repeat, shrink and move. */
#include "quic_sim.h"

static size_t
payload(const struct app *a)
{
	struct quic_info info;

	quic_info(a->quic, &info);
	return info.payload;
}

static void
large_paths_are_found(void **state)
{
	static const struct {
		size_t mtu, client, server, want;
	} cases[] = {
	    {0, 65527, 65527, 60000},
	    {0, 65527, 9000, 8900}, /* what the peer's socket holds */
	    {0, 32767, 65527, 32000},
	    {0, 1200, 65527, 1200},
	    {0, 100, 65527, 1200}, /* nobody may have less */
	    {1472, 65527, 65527, 1452},
	    {8972, 65527, 65527, 8900},
	    {1412, 65527, 65527, 1392}, /* a tunnel */
	    {1200, 65527, 65527, 1200},
	};
	struct sim s;
	struct app *a;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		sim_init(&s, i + 1);
		s.client_conf.payload_max = cases[i].client;
		s.conf.conn.payload_max = cases[i].server;
		s.mtu = cases[i].mtu;
		quic_server_free(s.server);
		sim_start_server(&s);
		a = sim_connected(&s);
		sim_send(a, MIB, true);
		sim_run(&s, 20 * SECOND, NULL);
		assert_int_equal(payload(a), cases[i].want);
		assert_true(a->flows[0].closed);
		sim_fini(&s);
	}
}

static void
quiet_connections_ask_for_no_large_packets(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 10);
	a = sim_connected(&s);
	sim_send(a, 100000, true);
	sim_run(&s, 10 * SECOND, NULL);
	assert_int_equal(payload(a), 1452);
	assert_int_equal(s.largest, 1452);
	sim_fini(&s);
}

static bool
sent_four_mib(struct sim *s)
{
	struct app *a = sim_peer(s, 0);

	return a->n_flows > 0 && a->flows[0].got >= 4 * MIB;
}

static void
a_path_that_shrinks_is_survived(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;

	(void)state;
	sim_init(&s, 20);
	s.answer = 8 * MIB; /* both ways at once: acknowledgements flow */
	a = sim_connected(&s);
	sim_run(&s, SECOND, NULL);
	f = sim_send(a, 8 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, sent_four_mib));
	assert_int_equal(payload(a), 60000);
	s.mtu = 1280;
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	assert_int_equal(payload(a), 1200);
	assert_int_equal(f->got, 8 * MIB);
	assert_int_equal(sim_peer(&s, 0)->flows[0].got, 8 * MIB);
	sim_fini(&s);
}

static void
one_way_alone_survives_it_too(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 21);
	a = sim_connected(&s);
	sim_run(&s, SECOND, NULL);
	sim_send(a, 8 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, sent_four_mib));
	s.mtu = 1280;
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	sim_fini(&s);
}

static void
a_path_that_grows_again_is_noticed(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;
	size_t i;

	(void)state;
	sim_init(&s, 22);
	a = sim_connected(&s);
	sim_run(&s, SECOND, NULL);
	f = sim_send(a, MIB, false);
	sim_run(&s, SECOND, NULL);
	s.mtu = 1280;
	f->to_send = 2 * MIB;
	quic_wake(a->quic, f->id);
	sim_run(&s, 20 * SECOND, NULL);
	assert_int_equal(f->acked, 2 * MIB);
	assert_int_equal(payload(a), 1200);
	s.mtu = 9000; /* more than before, though not all */
	for (i = 0; i < 20; i++) {
		f->to_send += MIB / 4;
		quic_wake(a->quic, f->id);
		sim_run(&s, 4 * SECOND, NULL);
		assert_int_equal(f->acked, f->to_send);
	}
	assert_int_equal(payload(a), 8900);
	s.mtu = 0;
	for (i = 0; i < 60; i++) { /* it waits for up to ten minutes */
		f->to_send += MIB / 16;
		quic_wake(a->quic, f->id);
		sim_run(&s, 20 * SECOND, NULL);
	}
	assert_int_equal(payload(a), 60000);
	sim_fini(&s);
}

static void
losses_alone_do_not_look_like_a_shrunken_path(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 23);
	a = sim_connected(&s);
	sim_send(a, MIB, true);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(payload(a), 60000);
	s.loss = 50;
	sim_send(a, 8 * MIB, true);
	assert_true(sim_run(&s, 300 * SECOND, sim_flows_done));
	assert_int_equal(payload(a), 60000);
	sim_fini(&s);
}

static void
bad_wires_delay_and_harm_nothing(void **state)
{
	struct sim s;
	uint64_t seed;

	(void)state;
	for (seed = 30; seed < 50; seed++) {
		sim_init(&s, seed);
		s.client_conf.handshake_ns = 60 * SECOND;
		s.client_conf.idle_ns = 120 * SECOND;
		s.conf.conn.idle_ns = 120 * SECOND;
		s.conf.conn.handshake_ns = 60 * SECOND;
		quic_server_free(s.server);
		sim_start_server(&s);
		s.answer = MIB / 4;
		s.loss = 200;
		s.twice = 100;
		s.jitter = 20 * MS;
		sim_client(&s, "198.51.100.7", 5000);
		sim_run(&s, 30 * SECOND, NULL);
		assert_true(TAILQ_FIRST(&s.apps)->ready);
		sim_send(TAILQ_FIRST(&s.apps), MIB / 4, true);
		assert_true(sim_run(&s, 600 * SECOND, sim_flows_done));
		assert_int_equal(TAILQ_FIRST(&s.apps)->flows[0].got, MIB / 4);
		sim_fini(&s);
	}
}

static uint64_t
time_for_two_mib(bool bbr)
{
	struct sim s;
	uint64_t then;

	sim_init(&s, 51);
	s.client_conf.bbr = bbr;
	s.loss = 10;
	s.mtu = 1472;
	sim_connected(&s);
	then = s.now;
	sim_send(TAILQ_FIRST(&s.apps), 2 * MIB, true);
	assert_true(sim_run(&s, 600 * SECOND, sim_flows_done));
	then = s.now - then;
	sim_fini(&s);
	return then;
}

static void
bbr_does_not_take_each_loss_for_congestion(void **state)
{
	(void)state;
	assert_true(time_for_two_mib(true) * 2 < time_for_two_mib(false));
}

/* The client's NAT forgets it: its packets come from another address. */
static struct addr rebound;

static bool
rebind(struct sim *s, struct packet *p)
{
	struct app *a = TAILQ_FIRST(&s->apps);

	if (addr_equal(&p->to, &s->server_addr))
		p->from = rebound;
	else if (addr_equal(&p->to, &rebound))
		p->to = a->local;
	else
		return false; /* the old way is gone */
	return true;
}

static void
a_client_that_moves_stays_connected(void **state)
{
	struct sim s;
	struct app *a;
	size_t i;

	(void)state;
	sim_init(&s, 60);
	s.answer = MIB;
	a = sim_connected(&s);
	s.meddle = rebind;
	for (i = 0; i < 10; i++) {
		rebound = sim_v4("203.0.113.1", (uint16_t)(7000 + i / 2));
		sim_send(a, MIB, true);
		assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
		assert_true(
		    addr_equal(quic_peer(sim_peer(&s, 0)->quic), &rebound));
	}
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	assert_int_equal(quic_server_counts(s.server)->resets, 0);
	sim_fini(&s);
}

static bool
mark_congested(struct sim *s, struct packet *p)
{
	(void)s;
	if (p->ecn == 2)
		p->ecn = 3;
	return true;
}

static void
marks_of_congestion_are_heeded(void **state)
{
	struct quic_info plain, marked;
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 61);
	a = sim_connected(&s);
	sim_send(a, 2 * MIB, true);
	sim_run(&s, 10 * SECOND, NULL);
	quic_info(a->quic, &plain);
	sim_fini(&s);

	sim_init(&s, 61);
	a = sim_connected(&s);
	s.meddle = mark_congested;
	sim_send(a, 2 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	quic_info(a->quic, &marked);
	assert_true(marked.cwnd < plain.cwnd / 2);
	assert_int_equal(marked.lost_packets, 0);
	sim_fini(&s);
}

static size_t instant_bytes, instant_most;

/* What leaves at once. */
static bool
weigh_instants(struct sim *s, struct packet *p)
{
	static uint64_t at;

	if (s->now != at)
		instant_bytes = 0;
	at = s->now;
	instant_bytes += p->len;
	if (instant_bytes > instant_most)
		instant_most = instant_bytes;
	return true;
}

static void
long_paths_are_not_flooded(void **state)
{
	struct quic_info info;
	struct sim s;
	struct app *a;
	struct flow *f;

	(void)state;
	sim_init(&s, 62);
	s.delay = 50 * MS;
	s.mtu = 1472;
	s.client_conf.stream_window = s.conf.conn.stream_window = MIB;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	f = sim_send(a, 4 * MIB, false);
	sim_run(&s, 20 * SECOND, NULL);
	assert_int_equal(f->acked, 4 * MIB);
	quic_info(a->quic, &info);
	assert_true(info.cwnd > MIB / 2);
	s.meddle = weigh_instants;
	instant_most = 0;
	f->to_send += MIB / 2;
	quic_wake(a->quic, f->id);
	sim_run(&s, 5 * SECOND, NULL);
	assert_int_equal(f->acked, f->to_send);
	assert_in_range(instant_most, 1, QUIC_BURST_MIN);
	sim_fini(&s);
}

static void
what_windows_cut_off_is_not_padded(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 63);
	s.conf.conn.stream_window = s.conf.conn.conn_window = 300000;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	sim_send(a, MIB, false);
	sim_run(&s, 20 * SECOND, NULL); /* now packets are long */
	s.bytes = 0;
	a->flows[0].to_send += 8 * MIB;
	quic_wake(a->quic, a->flows[0].id);
	sim_run(&s, 60 * SECOND, NULL);
	assert_int_equal(a->flows[0].acked, 9 * MIB);
	assert_in_range(s.bytes, 8 * MIB, 8 * MIB + MIB / 8);
	sim_fini(&s);
}

/* What the client sends at one time, and the most of it, in bytes. */
static struct {
	uint64_t when;
	size_t bytes;
	size_t most;
} at_once;

static bool
weigh(struct sim *s, struct packet *p)
{
	if (!addr_equal(&p->to, &s->server_addr))
		return true;
	if (at_once.when != s->now)
		at_once.bytes = 0;
	at_once.when = s->now;
	at_once.bytes += p->len;
	if (at_once.bytes > at_once.most)
		at_once.most = at_once.bytes;
	return true;
}

static void
slow_paths_get_small_bursts(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 64);
	s.delay = 50 * MS;
	s.mtu = 1472;
	a = sim_connected(&s);
	s.meddle = weigh;
	memset(&at_once, 0, sizeof(at_once));
	sim_send(a, MIB / 4, true);
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	assert_in_range(at_once.most, 1472, 3 * 1472);
	sim_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(large_paths_are_found),
	    cmocka_unit_test(quiet_connections_ask_for_no_large_packets),
	    cmocka_unit_test(a_path_that_shrinks_is_survived),
	    cmocka_unit_test(one_way_alone_survives_it_too),
	    cmocka_unit_test(a_path_that_grows_again_is_noticed),
	    cmocka_unit_test(losses_alone_do_not_look_like_a_shrunken_path),
	    cmocka_unit_test(bad_wires_delay_and_harm_nothing),
	    cmocka_unit_test(bbr_does_not_take_each_loss_for_congestion),
	    cmocka_unit_test(a_client_that_moves_stays_connected),
	    cmocka_unit_test(marks_of_congestion_are_heeded),
	    cmocka_unit_test(long_paths_are_not_flooded),
	    cmocka_unit_test(what_windows_cut_off_is_not_padded),
	    cmocka_unit_test(slow_paths_get_small_bursts),
	};

	log_init("quic_path_test");
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
