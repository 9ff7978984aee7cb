/* SPDX-License-Identifier: ISC */
#include "quic_sim.h"

static bool
all_flows_done(struct sim *s)
{
	struct app *a;
	size_t i, n = 0;

	TAILQ_FOREACH(a, &s->apps, link) {
		for (i = 0; i < a->n_flows; i++, n++) {
			if (!a->flows[i].closed)
				return false;
		}
	}
	return n > 0;
}

static void
handshake_completes_on_both_sides(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 1);
	a = sim_connected(&s);
	assert_true(sim_peer(&s, 0)->ready);
	assert_true(view_equal(quic_alpn(a->quic), view_of("yomo")));
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	assert_int_equal(quic_server_counts(s.server)->half_open, 0);
	assert_int_equal(quic_server_counts(s.server)->accepted, 1);
	sim_fini(&s);
}

static void
megabytes_pass_both_ways_unharmed(void **state)
{
	struct sim s;
	struct app *a;
	struct flow *f;

	(void)state;
	sim_init(&s, 2);
	s.answer = 8 * MIB;
	a = sim_connected(&s);
	f = sim_send(a, 8 * MIB, true);
	assert_true(sim_run(&s, 60 * SECOND, all_flows_done));
	assert_int_equal(f->got, 8 * MIB);
	assert_true(f->got_fin && f->fin_acked);
	f = &sim_peer(&s, 0)->flows[0];
	assert_int_equal(f->got, 8 * MIB);
	assert_true(f->got_fin && f->fin_acked);
	sim_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake_completes_on_both_sides),
	    cmocka_unit_test(megabytes_pass_both_ways_unharmed),
	};

	log_init("quic_test");
	log_set_level(LOG_DEBUG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
