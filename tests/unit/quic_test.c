/* SPDX-License-Identifier: ISC */
/* Connections and streams; quic_server_test.c and quic_path_test.c go on. */
#include <fcntl.h>
#include <unistd.h>

#include "faults.h"
#include "quic/conn.h"
#include "quic_sim.h"

static void
handshake_completes_on_both_sides(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 1);
	a = sim_connected(&s);
	assert_true(sim_peer(&s, 0)->ready);
	assert_true(view_equal(quic_alpn(a->quic), view_of(QUIC_ALPN_OURS)));
	assert_string_equal(quic_refusal(a->quic), "");
	assert_string_equal(quic_peer_name(sim_peer(&s, 0)->quic), "");
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	assert_int_equal(quic_server_counts(s.server)->half_open, 0);
	assert_int_equal(quic_server_counts(s.server)->accepted, 1);
	sim_fini(&s);
}

static void
megabytes_pass_both_ways_unharmed(void **state)
{
	struct sim s;
	struct flow *f, *g;

	(void)state;
	sim_init(&s, 2);
	s.answer = 8 * MIB;
	f = sim_send(sim_connected(&s), 8 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	g = &sim_peer(&s, 0)->flows[0];
	assert_int_equal(f->got, 8 * MIB);
	assert_int_equal(g->got, 8 * MIB);
	assert_true(f->got_fin && f->fin_acked);
	assert_true(g->got_fin && g->fin_acked);
	sim_fini(&s);
}

static size_t server_said;

/* What the server says beyond the handshake's own packets. */
static bool
weigh_short_packets(struct sim *s, struct packet *p)
{
	if (addr_equal(&p->from, &s->server_addr) && !(p->bytes[0] & 0x80))
		server_said += p->len;
	return true;
}

static void
our_clients_get_no_tickets(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.meddle = weigh_short_packets;
	s.client_conf.payload_max = QUIC_PAYLOAD_MIN; /* nothing to probe */
	sim_connected(&s);
	assert_in_range(server_said, 1, 200);
	sim_fini(&s);
}

static void
small_messages_share_packets(void **state)
{
	struct sim s;
	struct flow *f;
	uint64_t before;

	(void)state;
	sim_init(&s, 3);
	f = sim_send(sim_connected(&s), 64 * 1000, true);
	f->piece = 64;
	before = s.packets;
	assert_true(sim_run(&s, 10 * SECOND, sim_flows_done));
	assert_int_equal(sim_peer(&s, 0)->flows[0].got, 64 * 1000);
	assert_in_range(s.packets - before, 1, 200);
	sim_fini(&s);
}

static bool
half_of_first_arrived(struct sim *s)
{
	struct app *a = sim_peer(s, 0);

	return a->n_flows > 0 && a->flows[0].got >= MIB;
}

static void
streams_progress_alike(void **state)
{
	struct sim s;
	struct app *a;
	size_t i;

	(void)state;
	sim_init(&s, 4);
	a = sim_connected(&s);
	for (i = 0; i < 8; i++)
		sim_send(a, 2 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, half_of_first_arrived));
	a = sim_peer(&s, 0);
	for (i = 0; i < 8; i++)
		assert_in_range(a->flows[i].got, MIB / 4, 2 * MIB);
	assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	sim_fini(&s);
}

static void
a_reader_that_does_not_read_stops_the_writer(void **state)
{
	struct sim s;
	struct flow *f, *g;

	(void)state;
	sim_init(&s, 5);
	s.lazy = true;
	f = sim_send(sim_connected(&s), MIB, true);
	sim_run(&s, 10 * SECOND, NULL);
	g = &sim_peer(&s, 0)->flows[0];
	assert_int_equal(g->got, s.conf.conn.stream_window);
	assert_int_equal(f->sent, s.conf.conn.stream_window);
	g->lazy = false;
	quic_consumed(g->app->quic, g->id, g->got);
	assert_true(sim_run(&s, 10 * SECOND, sim_flows_done));
	assert_int_equal(g->got, MIB);
	sim_fini(&s);
}

static void
the_window_of_the_connection_holds_for_all_streams(void **state)
{
	struct sim s;
	struct app *a;
	size_t i, got = 0;

	(void)state;
	sim_init(&s, 6);
	s.lazy = true;
	a = sim_connected(&s);
	for (i = 0; i < 8; i++)
		sim_send(a, MIB, true);
	sim_run(&s, 10 * SECOND, NULL);
	a = sim_peer(&s, 0);
	for (i = 0; i < a->n_flows; i++)
		got += a->flows[i].got;
	assert_int_equal(got, s.conf.conn.conn_window);
	sim_fini(&s);
}

static void
streams_nobody_wants_cost_nothing(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;
	size_t i;

	(void)state;
	sim_init(&s, 7);
	s.refuse_streams = true;
	a = sim_connected(&s);
	for (i = 0; i < 40; i++) /* five times the connection's window */
		sim_send(a, MIB / 8, true);
	sim_run(&s, 10 * SECOND, NULL);
	assert_int_equal(sim_peer(&s, 0)->accepted, 40);
	for (i = 0; i < 40; i++) {
		assert_true(a->flows[i].was_reset);
		assert_true(a->flows[i].closed);
	}
	sim_peer(&s, 0)->refuse_streams = false;
	f = sim_send(a, 2 * MIB, true);
	sim_run(&s, 10 * SECOND, NULL);
	assert_true(f->fin_acked && f->closed);
	sim_fini(&s);
}

static void
streams_come_back_when_they_are_over(void **state)
{
	struct sim s;
	struct app *a;
	int64_t id;
	size_t i;

	(void)state;
	sim_init(&s, 8);
	s.conf.conn.streams_bidi = 4;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	for (i = 0; i < 4; i++)
		sim_send(a, 10, true);
	assert_int_equal(quic_open_bidi(a->quic, a, &id), ERR_MORE);
	sim_run(&s, SECOND, NULL);
	for (i = 0; i < 4; i++)
		sim_send(a, 10, true);
	assert_int_equal(quic_open_bidi(a->quic, a, &id), ERR_MORE);
	sim_fini(&s);
}

/* The FIN is sent long after the bytes, and both are lost at first. */
static bool
lose_short_packets(struct sim *s, struct packet *p)
{
	(void)s;
	return p->len > 300 || !addr_equal(&p->to, &s->server_addr);
}

static void
wake_late_fin(struct flow *f)
{
	f->send_fin = true;
	quic_wake(f->app->quic, f->id);
}

/* The same while another stream keeps packets in flight all the time. */
static void
a_late_fin_is_known_on_a_busy_connection(void **state)
{
	struct sim s;
	struct flow *f;
	struct app *a;

	(void)state;
	sim_init(&s, 21);
	a = sim_connected(&s);
	f = sim_send(a, 100, false);
	s.meddle = lose_short_packets;
	sim_run(&s, 20 * MS, NULL);
	wake_late_fin(f);
	sim_run(&s, 20 * MS, NULL);
	s.meddle = NULL;
	s.delay = 50 * MS;
	sim_send(a, 12 * MIB, true); /* two and a half seconds at least */
	sim_run(&s, 1500 * MS, NULL);
	assert_false(a->flows[1].fin_acked);
	assert_true(f->fin_acked);
	sim_fini(&s);
}

static void
a_late_fin_is_known_to_have_arrived(void **state)
{
	struct sim s;
	struct flow *f;

	(void)state;
	sim_init(&s, 9);
	f = sim_send(sim_connected(&s), 100, false);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(f->acked, 100);
	wake_late_fin(f);
	sim_run(&s, SECOND, NULL);
	assert_true(f->fin_acked);
	sim_fini(&s);

	sim_init(&s, 10);
	f = sim_send(sim_connected(&s), 100, false);
	s.meddle = lose_short_packets;
	sim_run(&s, 20 * MS, NULL);
	wake_late_fin(f);
	sim_run(&s, 20 * MS, NULL);
	assert_false(f->fin_acked);
	s.meddle = NULL;
	sim_run(&s, 5 * SECOND, NULL);
	assert_int_equal(f->acked, 100);
	assert_true(f->fin_acked);
	sim_fini(&s);
}

static void
a_server_may_open_streams_too(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 11);
	a = sim_connected(&s);
	a->answer = 1000;
	sim_send(sim_peer(&s, 0), MIB, true);
	assert_true(sim_run(&s, 10 * SECOND, sim_flows_done));
	assert_int_equal(a->flows[0].got, MIB);
	sim_fini(&s);
}

/* --- streams of one direction --- */

static struct flow *
flow_of(struct app *a, int64_t id)
{
	size_t i;

	for (i = 0; i < a->n_flows; i++)
		if (a->flows[i].id == id)
			return &a->flows[i];
	fail_msg("no stream %lld", (long long)id);
	return NULL;
}

static void
a_stream_of_one_direction_is_heard_and_acknowledged(void **state)
{
	struct sim s;
	struct flow *f, *g;
	struct app *a;

	(void)state;
	sim_init(&s, 30);
	a = sim_connected(&s);
	f = sim_send_uni(a, MIB, true);
	assert_true(quic_is_uni(f->id));
	assert_false(quic_is_uni(sim_send(a, 1, true)->id));
	g = sim_send_uni(sim_peer(&s, 0), 10, true); /* and the other way */
	assert_true(sim_run(&s, 10 * SECOND, sim_flows_done));
	assert_int_equal(flow_of(sim_peer(&s, 0), f->id)->got, MIB);
	assert_true(flow_of(sim_peer(&s, 0), f->id)->got_fin);
	assert_true(f->fin_acked && g->fin_acked);
	assert_false(f->was_reset);
	sim_fini(&s);
}

static void
one_direction_has_a_window_of_its_own(void **state)
{
	struct sim s;
	struct flow *f, *g;
	struct app *a;

	(void)state;
	sim_init(&s, 31);
	s.lazy = true;
	a = sim_connected(&s);
	f = sim_send_uni(a, MIB, true);
	sim_run(&s, SECOND, NULL);
	g = &sim_peer(&s, 0)->flows[0];
	assert_int_equal(g->got, 128 * 1024);
	quic_credit_stream(g->app->quic, g->id, 100000);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(g->got, 128 * 1024 + 100000);
	assert_int_equal(f->sent, g->got);
	sim_fini(&s);
}

/* Eight streams fill the window of the connection, whose credit is apart. */
static void
credit_of_the_connection_and_of_a_stream_are_apart(void **state)
{
	struct sim s;
	struct app *a, *b;
	size_t i, got = 0;

	(void)state;
	sim_init(&s, 32);
	s.lazy = true;
	s.conf.conn.conn_window = 256 * 1024;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	for (i = 0; i < 8; i++)
		sim_send_uni(a, MIB, true);
	sim_run(&s, SECOND, NULL);
	b = sim_peer(&s, 0);
	for (i = 0; i < 8; i++)
		got += b->flows[i].got;
	assert_int_equal(got, 256 * 1024);
	quic_credit_stream(b->quic, b->flows[0].id, MIB);
	sim_run(&s, SECOND, NULL);
	quic_credit(b->quic, 300000);
	sim_run(&s, SECOND, NULL);
	for (got = 0, i = 0; i < 8; i++)
		got += b->flows[i].got;
	assert_int_equal(got, 256 * 1024 + 300000);
	sim_fini(&s);
}

static void
each_stream_allowed_is_asked_for_once(void **state)
{
	struct sim s;
	struct app *a, *b;
	size_t i;

	(void)state;
	sim_init(&s, 33);
	a = sim_connected(&s);
	for (i = 0; i < 8; i++)
		assert_non_null(sim_send_uni(a, 10, i > 0));
	assert_null(sim_send_uni(a, 10, true));
	sim_run(&s, SECOND, NULL);
	/* They ran to their end, and nobody has said that it is done. */
	assert_true(a->flows[7].closed);
	assert_null(sim_send_uni(a, 10, true));
	b = sim_peer(&s, 0);
	i = a->more_streams;
	quic_allow_uni(b->quic, 1);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(a->more_streams, i + 1);
	assert_non_null(sim_send_uni(a, 10, true));
	assert_null(sim_send_uni(a, 10, true));
	sim_fini(&s);
}

static void
no_stream_of_one_direction_before_it_is_allowed(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 34);
	s.conf.conn.streams_uni = 0;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	assert_null(sim_send_uni(a, 10, true));
	quic_allow_uni(sim_peer(&s, 0)->quic, 3);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(a->more_streams, 1);
	assert_non_null(sim_send_uni(a, 10, true));
	sim_run(&s, SECOND, NULL);
	assert_int_equal(sim_peer(&s, 0)->flows[0].got, 10);
	sim_fini(&s);
}

/* What was not acknowledged is not looked at any more, lost or not. */
static void
a_reset_tells_why_and_nothing_more_is_pulled(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f, *g;
	size_t sent;

	(void)state;
	sim_init(&s, 35);
	s.loss = 200;
	a = sim_connected(&s);
	f = sim_send_uni(a, 8 * MIB, true);
	sim_run(&s, 100 * MS, NULL);
	quic_reset(a->quic, f->id, 0x77);
	sent = f->sent;
	f->closed = true; /* it would be a mistake to call back */
	quic_wake(a->quic, f->id);
	sim_run(&s, 10 * SECOND, NULL);
	assert_int_equal(f->sent, sent);
	assert_false(f->was_reset);
	g = &sim_peer(&s, 0)->flows[0];
	assert_true(g->was_reset && g->closed);
	assert_int_equal(g->reset_code, 0x77);
	assert_false(g->got_fin);
	quic_reset(a->quic, f->id, 0x78); /* long gone */
	sim_fini(&s);
}

/* Also if it is all that the peer ever hears of it. */
static void
a_stream_may_be_reset_before_anything_is_sent(void **state)
{
	struct sim s;
	struct app *a;
	size_t i, k;

	(void)state;
	sim_init(&s, 36);
	a = sim_connected(&s);
	for (i = 0; i < 5; i++) {
		for (k = 0; k < 8; k++)
			quic_reset(
			    a->quic, sim_send_uni(a, 1000, true)->id, 1 + k);
		sim_run(&s, SECOND, NULL);
		quic_allow_uni(sim_peer(&s, 0)->quic, 8);
		sim_run(&s, SECOND, NULL);
	}
	assert_int_equal(sim_peer(&s, 0)->n_flows, 40);
	for (i = 0; i < 40; i++) {
		assert_true(sim_peer(&s, 0)->flows[i].closed);
		assert_int_equal(
		    sim_peer(&s, 0)->flows[i].reset_code, 1 + i % 8);
	}
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	sim_fini(&s);
}

/* ngtcp2 keeps something of each for ever. */
static void
a_peer_that_only_resets_streams_is_left(void **state)
{
	struct sim s;
	struct app *a, *b;
	size_t i;

	(void)state;
	sim_init(&s, 42);
	a = sim_connected(&s);
	b = sim_peer(&s, 0);
	for (i = 0; i < 256; i++) {
		b->n_flows = a->n_flows = 0;
		quic_reset(a->quic, sim_send_uni(a, 1000, true)->id, 1);
		quic_allow_uni(b->quic, 1);
		sim_run(&s, 100 * MS, NULL);
	}
	assert_int_equal(quic_end(b->quic)->kind, QUIC_ALIVE);
	quic_reset(a->quic, sim_send_uni(a, 1000, true)->id, 1);
	sim_run(&s, 100 * MS, NULL);
	assert_int_equal(quic_end(b->quic)->kind, QUIC_FAILED);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_TRANSPORT);
	sim_fini(&s);
}

static void
stop_it(struct flow *f)
{
	quic_stop(f->app->quic, f->id, 0x99);
	f->closed = true; /* it would be a mistake to call back */
	f->on_data = NULL;
}

/* In the callback; what still comes does not count against any window. */
static void
who_wants_no_more_says_so_and_hears_no_more(void **state)
{
	struct sim s;
	struct app *a, *b;
	size_t i, got;

	(void)state;
	sim_init(&s, 37);
	a = sim_connected(&s);
	b = sim_peer(&s, 0);
	b->on_data = stop_it;
	for (i = 0; i < 40; i++) {
		assert_non_null(sim_send_uni(a, MIB, true));
		sim_run(&s, SECOND, NULL);
		assert_true(a->flows[i].was_reset && a->flows[i].closed);
		assert_int_equal(a->flows[i].reset_code, 0x99);
		assert_false(a->flows[i].fin_acked);
	}
	got = b->flows[0].got;
	assert_in_range(got, 1, MIB / 2);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	sim_fini(&s);
}

static void
who_has_nothing_to_say_hears_of_the_stop_too(void **state)
{
	struct sim s;
	struct flow *f;
	struct app *a;

	(void)state;
	sim_init(&s, 38);
	a = sim_connected(&s);
	f = sim_send_uni(a, 100, false);
	sim_run(&s, SECOND, NULL);
	quic_stop(sim_peer(&s, 0)->quic, f->id, 5);
	sim_peer(&s, 0)->flows[0].closed = true;
	sim_run(&s, SECOND, NULL);
	assert_true(f->was_reset && f->closed);
	assert_int_equal(f->reset_code, 5);
	sim_fini(&s);
}

static void
streams_nobody_accepts_are_replaced(void **state)
{
	struct sim s;
	struct app *a;
	size_t i;

	(void)state;
	sim_init(&s, 39);
	s.refuse_streams = true;
	a = sim_connected(&s);
	for (i = 0; i < 40; i++) {
		assert_non_null(sim_send_uni(a, MIB, true));
		sim_run(&s, SECOND, NULL);
		assert_true(a->flows[i].was_reset && a->flows[i].closed);
		assert_int_equal(a->flows[i].reset_code, 0x13);
	}
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	sim_fini(&s);
}

/* A lossy wire: each stream is whole, each FIN is known. */
static void
many_small_streams_share_packets(void **state)
{
	struct sim s;
	struct app *a;
	uint64_t before;
	size_t i;

	(void)state;
	sim_init(&s, 40);
	a = sim_connected(&s);
	before = s.packets;
	for (i = 0; i < 8; i++)
		sim_send_uni(a, 50, true);
	sim_run(&s, 4 * MS, NULL);
	assert_int_equal(s.packets, before + 1);
	assert_true(sim_run(&s, SECOND, sim_flows_done));
	s.loss = 100;
	for (i = 0; i < 6; i++) {
		quic_allow_uni(sim_peer(&s, 0)->quic, 8);
		sim_run(&s, SECOND, NULL);
		while (sim_send_uni(a, 5000, true) != NULL)
			;
		assert_true(sim_run(&s, 60 * SECOND, sim_flows_done));
	}
	assert_int_equal(a->n_flows, 56);
	for (i = 0; i < 56; i++) {
		assert_true(a->flows[i].fin_acked);
		assert_true(sim_peer(&s, 0)->flows[i].got_fin);
	}
	sim_fini(&s);
}

static bool
one_has_half(struct sim *s)
{
	struct app *a = sim_peer(s, 0);

	return a->n_flows > 1 && a->flows[1].got >= MIB;
}

static bool
bidirectional_is_over(struct sim *s)
{
	struct app *a = TAILQ_FIRST(&s->apps);
	size_t i;

	while (!a->client)
		a = TAILQ_NEXT(a, link);
	for (i = 0; i < a->n_flows; i++)
		if (!quic_is_uni(a->flows[i].id))
			return a->flows[i].fin_acked;
	return false;
}

/* Seven lanes in turn, packet by packet; the control stream before them. */
static void
lanes_take_turns_behind_the_control_stream(void **state)
{
	struct sim s;
	struct app *a, *b;
	size_t i;

	(void)state;
	sim_init(&s, 41);
	a = sim_connected(&s);
	for (i = 0; i < 7; i++)
		sim_send_uni(a, 2 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, one_has_half));
	b = sim_peer(&s, 0);
	for (i = 0; i < 7; i++)
		assert_in_range(b->flows[i].got, MIB / 2, 3 * MIB / 2);
	sim_send(a, 100000, true);
	assert_true(sim_run(&s, 60 * SECOND, bidirectional_is_over));
	assert_false(a->flows[0].fin_acked);
	sim_run(&s, 60 * SECOND, NULL);
	for (i = 0; i < 7; i++)
		assert_true(a->flows[i].fin_acked);
	sim_fini(&s);
}

/* Streams that end in any way while packets are lost and overtake. */
static void
streams_end_in_any_order_on_a_bad_wire(void **state)
{
	struct sim s;
	struct app *a, *b;
	uint64_t seed;
	size_t i;

	(void)state;
	for (seed = 50; seed < 70; seed++) {
		sim_init(&s, seed);
		a = sim_connected(&s);
		b = sim_peer(&s, 0);
		s.loss = 150;
		s.jitter = 20 * MS;
		s.twice = 50;
		for (i = 0; i < 50; i++) {
			struct flow *f =
			    sim_send_uni(a, sim_random(&s) % 30000, true);

			sim_run(&s, sim_random(&s) % (50 * MS), NULL);
			if (f != NULL && sim_random(&s) % 3 == 0) {
				quic_reset(a->quic, f->id, 1);
				f->closed = true;
			}
			if (b->n_flows > 0 && sim_random(&s) % 3 == 0) {
				f = &b->flows[sim_random(&s) % b->n_flows];
				quic_stop(b->quic, f->id, 2);
				f->closed = true;
			}
			quic_allow_uni(b->quic, 1);
		}
		sim_run(&s, 20 * SECOND, NULL);
		assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
		assert_int_equal(quic_end(b->quic)->kind, QUIC_ALIVE);
		for (i = 0; i < a->n_flows; i++)
			assert_true(a->flows[i].closed);
		for (i = 0; i < b->n_flows; i++)
			assert_true(b->flows[i].closed);
		sim_fini(&s);
	}
}

static void
keys_are_updated_without_tls(void **state)
{
	struct sim s;
	struct app *a;
	int i, updates = 0;

	(void)state;
	sim_init(&s, 23);
	s.answer = 1000;
	a = sim_connected(&s);
	for (i = 0; i < 6; i++) {
		/* Not each time: the last one has to be confirmed first. */
		if (ngtcp2_conn_initiate_key_update(a->quic->conn, s.now) == 0)
			updates++;
		sim_send(a, 1000, true);
		assert_true(sim_run(&s, SECOND, sim_flows_done));
		sim_run(&s, 5 * SECOND, NULL);
	}
	assert_true(updates >= 2);
	sim_fini(&s);
}

static void
close_tells_code_and_reason(void **state)
{
	struct sim s;
	struct app *a, *b;

	(void)state;
	sim_init(&s, 12);
	a = sim_connected(&s);
	b = sim_peer(&s, 0);
	quic_close(a->quic, 0x13, view_of("enough"));
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_FAILED);
	assert_int_equal(quic_end(b->quic)->kind, QUIC_CLOSED_APP);
	assert_int_equal(quic_end(b->quic)->code, 0x13);
	assert_true(view_equal(quic_end(b->quic)->reason, view_of("enough")));
	assert_int_equal(quic_deadline(a->quic), UINT64_MAX);
	assert_int_equal(quic_deadline(b->quic), UINT64_MAX);
	sim_fini(&s);

	sim_init(&s, 13);
	a = sim_connected(&s);
	b = sim_peer(&s, 0);
	quic_close(b->quic, 0x100, (struct view){sim_pattern(), 5000});
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_APP);
	assert_int_equal(quic_end(a->quic)->code, 0x100);
	assert_int_equal(quic_end(a->quic)->reason.len, 256);
	sim_fini(&s);
}

static void
close_at_once(struct flow *f)
{
	quic_close(f->app->quic, 7, view_of("no"));
}

/* A stream whose first byte makes the server close, in the callback. */
static void
close_in_a_callback_is_the_last_word(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;

	(void)state;
	sim_init(&s, 14);
	a = sim_connected(&s);
	f = sim_send(a, 10, false);
	sim_run(&s, SECOND, NULL);
	sim_peer(&s, 0)->flows[0].on_data = close_at_once;
	f->to_send = 100000;
	quic_wake(a->quic, f->id);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_APP);
	assert_int_equal(quic_end(a->quic)->code, 7);
	assert_in_range(sim_peer(&s, 0)->flows[0].got, 11, 60000);
	sim_fini(&s);
}

static void
close_while_pulled(struct flow *f)
{
	if (f->sent > 1000)
		quic_close(f->app->quic, 8, view_of("enough"));
}

static void
close_while_a_packet_is_written_is_the_last_word(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;

	(void)state;
	sim_init(&s, 22);
	a = sim_connected(&s);
	f = sim_send(a, 100000, true);
	f->piece = 100;
	f->on_pull = close_while_pulled;
	sim_run(&s, SECOND, NULL);
	assert_int_equal(f->sent, 1100);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_FAILED);
	a = sim_peer(&s, 0);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_APP);
	assert_int_equal(quic_end(a->quic)->code, 8);
	sim_fini(&s);
}

static void
silence_ends_a_connection(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 15);
	a = sim_connected(&s);
	s.mtu = 1; /* the wire is cut */
	sim_run(&s, 31 * SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_IDLE);
	assert_int_equal(quic_end(sim_peer(&s, 0)->quic)->kind, QUIC_IDLE);
	sim_fini(&s);
}

static void
keep_alive_keeps_it(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 16);
	s.conf.conn.idle_ns = 5 * SECOND;
	s.conf.conn.keep_alive_ns = 2 * SECOND;
	quic_server_free(s.server);
	sim_start_server(&s);
	a = sim_connected(&s);
	sim_run(&s, 600 * SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	assert_int_equal(quic_end(sim_peer(&s, 0)->quic)->kind, QUIC_ALIVE);
	s.mtu = 1;
	sim_run(&s, 6 * SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_IDLE);
	sim_fini(&s);
}

static void
a_handshake_without_answer_ends_in_time(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 17);
	s.mtu = 1;
	a = sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, 9 * SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	sim_run(&s, 2 * SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_HANDSHAKE_LATE);
	sim_fini(&s);
}

static void
a_certificate_not_trusted_is_refused_in_words(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 18);
	s.client_tls = sim_client_tls(NULL);
	a = sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, SECOND, NULL);
	assert_false(a->ready);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_FAILED);
	/* The pin to pass is in it. */
	assert_non_null(strstr(quic_refusal(a->quic), tls_pin(s.server_tls)));
	/* The server hears of it as a TLS alert: bad_certificate. */
	assert_int_equal(
	    quic_end(sim_peer(&s, 0)->quic)->kind, QUIC_CLOSED_TRANSPORT);
	assert_int_equal(
	    quic_end(sim_peer(&s, 0)->quic)->code & ~0xffull, 0x100);
	tls_free(s.client_tls);
	sim_fini(&s);
}

static void
info_tells_how_it_goes(void **state)
{
	struct quic_info info;
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 19);
	a = sim_connected(&s);
	sim_send(a, MIB, true);
	sim_run(&s, 10 * SECOND, NULL);
	quic_info(a->quic, &info);
	assert_in_range(info.rtt_ns, 10 * MS, 40 * MS);
	assert_int_equal(info.in_flight, 0);
	assert_int_equal(info.lost_packets, 0);
	assert_int_equal(info.payload, 60000);
	assert_true(info.cwnd > 100000);
	assert_true(addr_equal(quic_peer(a->quic), &s.server_addr));
	sim_fini(&s);
}

/* A whole conversation, with the n-th allocation failing. */
static bool
converse(size_t n)
{
	struct quic_conf conf;
	struct app *a;
	struct sim s;
	int64_t id;
	bool hit;

	sim_init(&s, 20);
	conf = s.client_conf;
	conf.tls = s.client_tls;
	a = sim_app_new(&s);
	assert_non_null(a);
	a->client = true;
	a->local = sim_v4("198.51.100.7", 5000);
	faults_at(n);
	if (quic_client_new(&a->quic, &conf, &SIM_OPS, a, "localhost",
		&a->local, &s.server_addr, s.now) == OK) {
		sim_run(&s, 2 * SECOND, NULL);
		if (a->ready && quic_open_bidi(a->quic, a->flows, &id) == OK) {
			a->flows[0] = (struct flow){.app = a,
			    .id = id,
			    .to_send = 100000,
			    .send_fin = true};
			a->n_flows = 1;
			quic_wake(a->quic, id);
			sim_run(&s, 2 * SECOND, NULL);
		}
		quic_close(a->quic, 1, view_of("bye"));
		sim_run(&s, SECOND, NULL);
	}
	hit = faults_hit();
	faults_off();
	if (!hit)
		assert_true(a->ready && a->flows[0].closed);
	sim_fini(&s);
	return hit;
}

static void
memory_may_run_out_anywhere(void **state)
{
	int said = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
	size_t n;

	(void)state;
	dup2(null, STDERR_FILENO); /* each failure says so in the log */
	for (n = 1; converse(n); n++)
		;
	dup2(said, STDERR_FILENO);
	close(null);
	close(said);
	assert_true(n > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake_completes_on_both_sides),
	    cmocka_unit_test(megabytes_pass_both_ways_unharmed),
	    cmocka_unit_test(our_clients_get_no_tickets),
	    cmocka_unit_test(small_messages_share_packets),
	    cmocka_unit_test(streams_progress_alike),
	    cmocka_unit_test(a_reader_that_does_not_read_stops_the_writer),
	    cmocka_unit_test(
		the_window_of_the_connection_holds_for_all_streams),
	    cmocka_unit_test(streams_nobody_wants_cost_nothing),
	    cmocka_unit_test(streams_come_back_when_they_are_over),
	    cmocka_unit_test(a_late_fin_is_known_to_have_arrived),
	    cmocka_unit_test(a_late_fin_is_known_on_a_busy_connection),
	    cmocka_unit_test(a_server_may_open_streams_too),
	    cmocka_unit_test(
		a_stream_of_one_direction_is_heard_and_acknowledged),
	    cmocka_unit_test(one_direction_has_a_window_of_its_own),
	    cmocka_unit_test(
		credit_of_the_connection_and_of_a_stream_are_apart),
	    cmocka_unit_test(each_stream_allowed_is_asked_for_once),
	    cmocka_unit_test(no_stream_of_one_direction_before_it_is_allowed),
	    cmocka_unit_test(a_reset_tells_why_and_nothing_more_is_pulled),
	    cmocka_unit_test(a_stream_may_be_reset_before_anything_is_sent),
	    cmocka_unit_test(a_peer_that_only_resets_streams_is_left),
	    cmocka_unit_test(who_wants_no_more_says_so_and_hears_no_more),
	    cmocka_unit_test(who_has_nothing_to_say_hears_of_the_stop_too),
	    cmocka_unit_test(streams_nobody_accepts_are_replaced),
	    cmocka_unit_test(many_small_streams_share_packets),
	    cmocka_unit_test(lanes_take_turns_behind_the_control_stream),
	    cmocka_unit_test(streams_end_in_any_order_on_a_bad_wire),
	    cmocka_unit_test(keys_are_updated_without_tls),
	    cmocka_unit_test(close_tells_code_and_reason),
	    cmocka_unit_test(close_in_a_callback_is_the_last_word),
	    cmocka_unit_test(close_while_a_packet_is_written_is_the_last_word),
	    cmocka_unit_test(silence_ends_a_connection),
	    cmocka_unit_test(keep_alive_keeps_it),
	    cmocka_unit_test(a_handshake_without_answer_ends_in_time),
	    cmocka_unit_test(a_certificate_not_trusted_is_refused_in_words),
	    cmocka_unit_test(info_tells_how_it_goes),
	    cmocka_unit_test(memory_may_run_out_anywhere),
	};

	log_init("quic_test");
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
