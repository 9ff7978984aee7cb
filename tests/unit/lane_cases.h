/* SPDX-License-Identifier: ISC */
/*
 * What holds for lanes whatever carries them.  Who includes it has the two ends
 * of a link, here (a client's) and there, and a lanes_join() that connects
 * them; there then allows LANES.
 */
#ifndef TESTS_UNIT_LANE_CASES_H
#define TESTS_UNIT_LANE_CASES_H

#include "link/quiclink.h"
#include "link_rig.h"

#define LANES QUICLINK_LANES_MAX
#define LANE_WINDOW QUICLINK_LANE_WINDOW_FIRST

static struct rig_end here, there;
static void lanes_join(void);

/* A lane opened by e, with n bytes queued. */
static struct rig_lane *
open_with(struct rig_end *e, size_t n, bool fin)
{
	struct rig_lane *l = rig_open_lane(e);

	assert_non_null(l);
	rig_lane_send(l, 0, n);
	if (fin)
		lane_finish(l->lane);
	return l;
}

static void
bytes_and_fin_of_a_lane_come_in_order(void **state)
{
	struct rig_lane *a, *b;

	(void)state;
	lanes_join();
	a = open_with(&here, 3000000, true);
	assert_int_equal(a->lane->id, 2);
	b = open_with(&there, 500000, true);
	assert_int_equal(b->lane->id, 3);
	UNTIL(a->closes == 1 && b->closes == 1);
	rig_lane_check(&there.lanes[1], 3000000);
	rig_lane_check(&here.lanes[1], 500000);
	assert_int_equal(there.lanes[1].fins, 1);
	assert_int_equal(here.lanes[1].fins, 1);
	UNTIL(there.lanes[1].closes == 1 && here.lanes[1].closes == 1);
	assert_true(a->moves > 0 && b->moves > 0);
	assert_int_equal(a->breaks + b->breaks, 0);
	assert_true(rig_heard(&here, &there) && rig_heard(&there, &here));
	assert_true(there.pauses > 0);
}

static void
an_empty_lane_ends_as_well(void **state)
{
	struct rig_lane *a;

	(void)state;
	lanes_join();
	a = open_with(&here, 0, true);
	UNTIL(a->closes == 1 && there.lanes[0].closes == 1);
	assert_int_equal(there.lanes[0].fins, 1);
	assert_int_equal(there.lanes[0].in.len, 0);
}

/* When closed() comes, or moved() before it, the end is known to be there. */
static void
see_fin_acked(struct rig_lane *n)
{
	if (n->fins == 0 && n->lane != NULL && n->lane->fin_acked)
		n->fins = 1;
}

static void
a_late_fin_is_acknowledged(void **state)
{
	struct rig_lane *a;

	(void)state;
	lanes_join();
	a = open_with(&here, 100, false);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == 100);
	UNTIL(a->out.bytes == 0);
	a->on_moved = see_fin_acked;
	lane_finish(a->lane);
	UNTIL(a->closes == 1);
	assert_int_equal(a->fins, 1);
	assert_int_equal(there.lanes[0].fins, 1);
}

/* Each is its own stream, all at once, with control bytes between them. */
static void
many_lanes_do_not_mix(void **state)
{
	size_t i;

	(void)state;
	lanes_join();
	for (i = 0; i < LANES; i++)
		open_with(&here, 1000 * i, true);
	for (i = 0; i < 200; i++) {
		rig_send_frame(&here, 10 * i);
		rig_send_frame(&there, 10 * i);
	}
	UNTIL(rig_heard(&there, &here) && rig_heard(&here, &there));
	for (i = 0; i < LANES; i++)
		UNTIL(here.lanes[i].closes == 1);
	assert_int_equal(there.n_lanes, LANES);
	for (i = 0; i < LANES; i++)
		rig_lane_check(rig_other_end(&there, &here.lanes[i]), 1000 * i);
}

static void
a_lane_nobody_reads_stops_alone(void **state)
{
	struct rig_lane *a, *b;

	(void)state;
	lanes_join();
	there.model.lazy = true;
	a = open_with(&here, 2 * LANE_WINDOW, true);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == LANE_WINDOW);
	there.model.lazy = false;
	b = open_with(&here, 4000000, true);
	UNTIL(b->closes == 1);
	rig_send_frame(&here, 100000);
	UNTIL(rig_heard(&there, &here));
	assert_int_equal(there.lanes[0].in.len, LANE_WINDOW);
	assert_true(a->out.unsent >= LANE_WINDOW);
	there.lanes[0].lazy = false;
	rig_lane_consume(&there.lanes[0]);
	UNTIL(a->closes == 1);
	rig_lane_check(&there.lanes[0], 2 * LANE_WINDOW);
}

/* Lanes that nobody reads fill the link; its credit lets others go on. */
static void
credit_of_the_link_lets_other_lanes_go_on(void **state)
{
	struct rig_lane *a;
	size_t i, was, n = QUICLINK_WINDOW / LANE_WINDOW + 3;

	(void)state;
	lanes_join();
	there.model.lazy = true;
	for (i = 0; i < n; i++)
		open_with(&here, LANE_WINDOW + 10, true);
	/* But for some bytes of the link's own stream. */
	UNTIL(rig_lanes_got(&there) > QUICLINK_WINDOW - 1000);
	turns_run(rig_loop, 100);
	assert_in_range(rig_lanes_got(&there), 1, QUICLINK_WINDOW);
	link_credit(there.link, QUICLINK_WINDOW);
	UNTIL(rig_lanes_got(&there) == n * LANE_WINDOW);
	/* Their own windows are as they were. */
	a = &here.lanes[0];
	was = there.lanes[0].in.len;
	assert_int_equal(was, LANE_WINDOW);
	assert_int_equal(a->closes, 0);
	for (i = 0; i < n; i++)
		there.lanes[i].unconsumed = 0;
}

static void
credit_of_a_lane_widens_it(void **state)
{
	struct rig_lane *a;

	(void)state;
	lanes_join();
	there.model.lazy = true;
	a = open_with(&here, 4 * LANE_WINDOW, false);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == LANE_WINDOW);
	lane_credit(there.lanes[0].lane, 2 * LANE_WINDOW);
	UNTIL(there.lanes[0].in.len == 3 * LANE_WINDOW);
	turns_run(rig_loop, 50);
	assert_int_equal(there.lanes[0].in.len, 3 * LANE_WINDOW);
	assert_int_equal(a->out.unsent, LANE_WINDOW);
}

static void
a_sender_breaks_off_and_says_why(void **state)
{
	struct rig_lane *a;

	(void)state;
	lanes_join();
	there.model.lazy = true;
	a = open_with(&here, 4 * LANE_WINDOW, true);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == LANE_WINDOW);
	lane_break(a->lane, 0x1234);
	lane_wake(a->lane); /* too late, and harmless */
	lane_break(a->lane, 0x1235);
	assert_int_equal(a->closes, 0);
	UNTIL(a->closes == 1 && there.lanes[0].closes == 1);
	assert_int_equal(a->breaks, 0);
	assert_int_equal(there.lanes[0].breaks, 1);
	assert_int_equal(there.lanes[0].code, 0x1234);
	assert_int_equal(there.lanes[0].fins, 0);
	assert_int_equal(there.downs + here.downs, 0);
}

static void
a_receiver_breaks_off_and_says_why(void **state)
{
	struct rig_lane *a, *b;

	(void)state;
	lanes_join();
	there.model.lazy = true;
	a = open_with(&here, 4 * LANE_WINDOW, true);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == LANE_WINDOW);
	lane_break(there.lanes[0].lane, 0x77);
	UNTIL(there.lanes[0].closes == 1 && a->closes == 1);
	assert_int_equal(there.lanes[0].breaks, 0);
	assert_int_equal(a->breaks, 1);
	assert_int_equal(a->code, 0x77);
	/* What had come is no burden any more. */
	there.model.lazy = false;
	b = open_with(&here, 4 * LANE_WINDOW, true);
	UNTIL(b->closes == 1);
}

static void
both_may_break_off_at_once(void **state)
{
	struct rig_lane *a;
	size_t i;

	(void)state;
	lanes_join();
	for (i = 0; i < 10; i++) {
		a = open_with(&here, 1000, i % 2 == 0);
		UNTIL(there.n_lanes == i + 1);
		if (there.lanes[i].lane != NULL)
			lane_break(there.lanes[i].lane, 5);
		if (a->lane != NULL)
			lane_break(a->lane, 6);
		UNTIL(a->closes == 1 && there.lanes[i].closes == 1);
	}
	a = open_with(&here, 1000, true);
	UNTIL(a->closes == 1);
	assert_int_equal(a->breaks, 0);
}

static void
no_more_lanes_than_allowed(void **state)
{
	size_t i;

	(void)state;
	lanes_join();
	there.model.slow = true;
	for (i = 0; i < LANES; i++)
		open_with(&here, 10, true);
	assert_null(rig_open_lane(&here));
	UNTIL(there.n_lanes == LANES && there.lanes[LANES - 1].fins == 1);
	turns_run(rig_loop, 20);
	assert_int_equal(here.lane_calls, 0);
	assert_null(rig_open_lane(&here));
	lane_finish(there.lanes[7].lane); /* what it had to say is taken */
	UNTIL(here.lane_calls == 1);
	assert_int_equal(there.lanes[7].closes, 1);
	assert_non_null(rig_open_lane(&here));
	assert_null(rig_open_lane(&here));
	link_allow_lanes(there.link, 2);
	for (i = 0; i < LANES; i++)
		if (there.lanes[i].lane != NULL)
			lane_finish(there.lanes[i].lane);
	UNTIL(here.lane_calls == 2);
}

/* However they end, their places are free again. */
static void
places_come_back(void **state)
{
	struct rig_lane *a;
	size_t i, k;

	(void)state;
	lanes_join();
	for (i = 0; i < 5; i++) {
		for (k = 0; k < LANES; k++) {
			UNTIL((a = rig_open_lane(&here)) != NULL);
			if (i != 0)
				rig_lane_send(a, 0, 10);
			if (i < 2)
				lane_break(a->lane, 9);
			else
				lane_finish(a->lane);
		}
		for (k = 0; k < LANES; k++)
			UNTIL(here.lanes[k].closes == 1);
		turns_run(rig_loop, 3);
		there.refuse_lanes = i == 2;
		for (k = 0; k < here.n_lanes; k++)
			buf_fini(&here.lanes[k].in);
		for (k = 0; k < there.n_lanes; k++) {
			UNTIL(there.lanes[k].closes == 1);
			buf_fini(&there.lanes[k].in);
		}
		here.n_lanes = there.n_lanes = 0;
	}
	assert_int_equal(here.downs + there.downs, 0);
}

static void
a_lane_nobody_wants_is_stopped(void **state)
{
	struct rig_lane *a;

	(void)state;
	lanes_join();
	there.refuse_lanes = true;
	a = open_with(&here, 4 * LANE_WINDOW, true);
	UNTIL(a->closes == 1);
	assert_int_equal(a->breaks, 1);
	assert_int_equal(there.n_lanes, 0);
	there.refuse_lanes = false;
	a = open_with(&here, 4 * LANE_WINDOW, true);
	UNTIL(a->closes == 1);
	assert_int_equal(a->breaks, 0);
}

/* --- what callbacks may do --- */

static void
break_all(struct rig_lane *n)
{
	struct rig_end *e = n->end;
	size_t i;

	for (i = 0; i < e->n_lanes; i++)
		if (e->lanes[i].lane != NULL)
			lane_break(e->lanes[i].lane, 3);
}

static void
finish_all(struct rig_lane *n)
{
	struct rig_end *e = n->end;
	size_t i;

	for (i = 0; i < e->n_lanes; i++)
		if (e->lanes[i].lane != NULL)
			lane_finish(e->lanes[i].lane);
}

static void
close_link(struct rig_lane *n)
{
	if (n->end->link != NULL)
		rig_close(n->end, 9, "closed in a callback");
}

static void (*const rash[])(struct rig_lane *) = {
    break_all, finish_all, close_link};

/* Let the i-th callback of n do it. */
static void
set_callback(struct rig_lane *n, size_t i, void (*fn)(struct rig_lane *))
{
	n->on_bytes = i == 0 ? fn : NULL;
	n->on_fin = i == 1 ? fn : NULL;
	n->on_moved = i == 2 ? fn : NULL;
	n->on_broken = i == 3 ? fn : NULL;
	n->on_closed = i == 4 ? fn : NULL;
}

static bool
is_over(const struct rig_end *e)
{
	size_t i;

	if (e->link == NULL || e->downs > 0)
		return true;
	for (i = 0; i < e->n_lanes; i++)
		if (e->lanes[i].closes == 0)
			return false;
	return true;
}

static void
anything_may_be_done_in_a_callback(void **state)
{
	struct rig_end *e;
	size_t i, k;

	(void)state;
	for (i = 0; i < 2 * 5 * COUNT(rash); i++) {
		rig_end_fini(&here);
		rig_end_fini(&there);
		turns_run(rig_loop, 3);
		rig_end_init(&here);
		rig_end_init(&there);
		e = i % 2 == 0 ? &here : &there;
		set_callback(
		    &e->model, i / 2 / COUNT(rash), rash[i / 2 % COUNT(rash)]);
		lanes_join();
		for (k = 0; k < 6; k++) {
			open_with(&here, 2000, k < 2);
			open_with(&there, 2000, k < 2);
			rig_send_frame(&here, 2000);
		}
		UNTIL(there.link == NULL || here.link == NULL ||
		      (here.n_lanes == 12 && there.n_lanes == 12));
		for (k = 0; k < e->n_lanes && e->link != NULL; k++)
			if (e->lanes[k].lane != NULL && k % 2 == 0)
				lane_break(e->lanes[k].lane, 8);
		e = e == &here ? &there : &here;
		for (k = 0; k < e->n_lanes && e->link != NULL; k++)
			if (e->lanes[k].lane != NULL)
				lane_break(e->lanes[k].lane, 7);
		UNTIL(is_over(&here) && is_over(&there));
	}
}

#define LANE_CASES                                                             \
	TEST(bytes_and_fin_of_a_lane_come_in_order),                           \
	    TEST(an_empty_lane_ends_as_well),                                  \
	    TEST(a_late_fin_is_acknowledged), TEST(many_lanes_do_not_mix),     \
	    TEST(a_lane_nobody_reads_stops_alone),                             \
	    TEST(credit_of_the_link_lets_other_lanes_go_on),                   \
	    TEST(credit_of_a_lane_widens_it),                                  \
	    TEST(a_sender_breaks_off_and_says_why),                            \
	    TEST(a_receiver_breaks_off_and_says_why),                          \
	    TEST(both_may_break_off_at_once),                                  \
	    TEST(no_more_lanes_than_allowed), TEST(places_come_back),          \
	    TEST(a_lane_nobody_wants_is_stopped),                              \
	    TEST(anything_may_be_done_in_a_callback)

#endif /* TESTS_UNIT_LANE_CASES_H */
