/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "faults.h"
#include "net/loop.h"
#include "turns.h"

#define MS 1000000u

static struct loop *l;

static int
setup(void **state)
{
	(void)state;
	return loop_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(l);
	l = NULL;
	return 0;
}

/* What happened, as letters in the order in which it did. */
static char story[64];
static size_t story_len;

static void
tell(char c)
{
	assert_true(story_len + 1 < sizeof(story));
	story[story_len++] = c;
	story[story_len] = '\0';
}

static void
begin_story(void)
{
	story_len = 0;
	story[0] = '\0';
}

static void
tell_letter(void *arg)
{
	tell(*(const char *)arg);
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(l, 0);
}

/* Stopping */

static void
stop_again(void *arg)
{
	(void)arg;
	loop_stop(l, 7);
	loop_stop(l, 8);
	assert_true(loop_stopping(l));
}

static void
the_first_status_counts_and_the_loop_may_run_again(void **state)
{
	struct task t = {.fn = stop_again};

	(void)state;
	task_post(l, &t);
	assert_int_equal(loop_run(l), 7);
	assert_false(loop_stopping(l));
	loop_stop(l, 3);
	assert_int_equal(loop_run(l), 3);
	turns_run(l, 3);
}

/* Timers */

struct alarm {
	struct timer timer;
	uint64_t at;
	bool done;
	bool stopped;
};

#define ALARMS 500
static struct alarm alarms[ALARMS];
static uint64_t last_at;
static int done;

static void
ring(void *arg)
{
	struct alarm *a = arg;

	assert_false(a->done);
	assert_false(a->stopped);
	assert_int_equal(a->timer.index, 0);
	assert_true(a->at >= last_at);
	assert_true(loop_now(l) >= a->at);
	last_at = a->at;
	a->done = true;
	done++;
}

static uint32_t
rnd(void)
{
	static uint32_t x = 12345;

	x = x * 1664525u + 1013904223u;
	return x >> 8;
}

static void
timers_ring_in_order_and_stopped_ones_do_not(void **state)
{
	struct timer end = {.fn = stop};
	uint64_t base = loop_clock();
	int i, round, expected = 0;

	(void)state;
	last_at = 0;
	done = 0;
	for (round = 0; round < 4; round++) {
		for (i = 0; i < ALARMS; i++) {
			struct alarm *a = &alarms[i];

			a->timer.fn = ring;
			a->timer.arg = a;
			a->stopped = rnd() % 3 == 0;
			a->at = base + MS + rnd() % (2 * MS);
			if (a->stopped)
				timer_stop(l, &a->timer);
			else
				assert_int_equal(
				    timer_set(l, &a->timer, a->at), OK);
		}
	}
	for (i = 0; i < ALARMS; i++)
		expected += !alarms[i].stopped;
	assert_int_equal(timer_set(l, &end, base + 4 * MS), OK);
	loop_run(l);
	assert_int_equal(done, expected);
}

static void
a_timer_never_rings_early(void **state)
{
	struct timer t = {.fn = stop};
	uint64_t at;
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		at = loop_clock() + 100000 + (uint64_t)i * 1001;
		timer_set(l, &t, at);
		loop_run(l);
		assert_true(loop_clock() >= at);
		assert_true(loop_now(l) >= at);
	}
}

static void
times_that_are_long_past_ring_at_once(void **state)
{
	struct timer t = {.fn = stop};

	(void)state;
	timer_set(l, &t, 0);
	loop_run(l);
	timer_set(l, &t, 1);
	loop_run(l);
}

static struct timer *other;

static void
stop_other(void *arg)
{
	(void)arg;
	timer_stop(l, other);
}

static void
a_timer_may_stop_another_that_is_due(void **state)
{
	char x = 'x';
	struct timer a = {.fn = stop_other};
	struct timer b = {.fn = tell_letter, .arg = &x};

	(void)state;
	begin_story();
	other = &b;
	timer_set(l, &a, 1);
	timer_set(l, &b, 2);
	turns_run(l, 4);
	assert_string_equal(story, "");
}

static struct timer busy;

static void
set_again(void *arg)
{
	(void)arg;
	tell('b');
	if (story_len < 6)
		timer_set(l, &busy, 0);
}

static void
a_timer_set_again_in_the_past_starves_nobody(void **state)
{
	char x = 'x';
	struct timer t = {.fn = tell_letter, .arg = &x};

	(void)state;
	begin_story();
	busy.fn = set_again;
	timer_set(l, &busy, 1);
	timer_set(l, &t, 2);
	turns_run(l, 21);
	assert_string_equal(story, "bxbbbb");
}

static void
a_timer_that_was_put_off_rings_only_then(void **state)
{
	struct timer t = {.fn = stop};
	uint64_t at = loop_clock() + 3 * MS;

	(void)state;
	timer_set(l, &t, at - 2 * MS);
	turns_run(l, 2); /* the clock is armed for the first time */
	timer_set(l, &t, at);
	loop_run(l);
	assert_true(loop_now(l) >= at);
}

static void
timers_without_memory_say_so(void **state)
{
	struct timer t[40] = {0};
	size_t i, refused = 0;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		t[i].fn = stop;
		faults_at(1);
		if (timer_set(l, &t[i], i) == ERR_NOMEM) {
			refused++;
			assert_int_equal(t[i].index, 0);
			faults_off();
			assert_int_equal(timer_set(l, &t[i], i), OK);
		}
		faults_off();
	}
	assert_int_equal(refused, 3); /* 16, 32, 64 */
	for (i = 0; i < COUNT(t); i++)
		timer_stop(l, &t[i]);
}

/* Tasks */

static void
a_task_posted_often_runs_once_a_turn(void **state)
{
	char a = 'a', b = 'b';
	struct task ta = {.fn = tell_letter, .arg = &a};
	struct task tb = {.fn = tell_letter, .arg = &b};

	(void)state;
	begin_story();
	task_post(l, &tb);
	task_post(l, &ta);
	task_post(l, &tb);
	turns_run(l, 3);
	assert_string_equal(story, "ba");
}

static struct task first, second, third;

static void
post_others(void *arg)
{
	(void)arg;
	tell('1');
	task_post(l, &second);
	task_post(l, &first);
	task_cancel(l, &third);
}

static void
a_task_posted_by_a_task_runs_in_the_same_turn(void **state)
{
	char two = '2', three = '3', t = '.';
	struct task turn = {.fn = tell_letter, .arg = &t};

	(void)state;
	begin_story();
	first = (struct task){.fn = post_others};
	second = (struct task){.fn = tell_letter, .arg = &two};
	third = (struct task){.fn = tell_letter, .arg = &three};
	task_post(l, &first);
	task_post(l, &third);
	task_post(l, &turn);
	turns_run(l, 1);
	assert_string_equal(story, "1.2");
	/* What posted itself has waited. */
	task_cancel(l, &first);
	turns_run(l, 2);
	assert_string_equal(story, "1.2");
}

static void
cancel_itself_again(void *arg)
{
	(void)arg;
	tell('c');
	task_post(l, &first);
	task_cancel(l, &first);
}

static void
a_task_may_cancel_what_it_posted_again(void **state)
{
	(void)state;
	begin_story();
	first = (struct task){.fn = cancel_itself_again};
	task_post(l, &first);
	turns_run(l, 4);
	assert_string_equal(story, "c");
}

/* Watches */

static struct watch *w;
static int fds[2];

static void
open_pipe(void)
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void
open_pair(void)
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void
close_both(void)
{
	watch_close(w);
	w = NULL;
	close(fds[0]);
	close(fds[1]);
}

static void
tell_events(void *arg, int events)
{
	(void)arg;
	if (events & WATCH_IN)
		tell('i');
	if (events & WATCH_OUT)
		tell('o');
	if (events & WATCH_GONE)
		tell('g');
	tell('.');
}

static void
tell_events_and_stop(void *arg, int events)
{
	tell_events(arg, events);
	loop_stop(l, 0);
}

typedef int (*open_fn)(
    struct watch **, struct loop *, int, void (*)(void *, int), void *);
static const open_fn opens[] = {watch_open, watch_open_shared};

static void
a_busy_task_does_not_keep_descriptors_waiting(void **state)
{
	(void)state;
	begin_story();
	open_pipe();
	assert_int_equal(watch_open(&w, l, fds[1], tell_events, NULL), OK);
	watch_want(w, WATCH_OUT);
	turns_run(l, 4);
	assert_string_equal(story, "o.o.o.o.");
	close_both();
}

static void
events_come_as_wanted(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(opens); i++) {
		begin_story();
		open_pair();
		assert_int_equal(
		    opens[i](&w, l, fds[0], tell_events, NULL), OK);
		turns_run(l, 2);
		assert_string_equal(story, "");
		assert_int_equal(write(fds[1], "x", 1), 1);
		watch_want(w, WATCH_IN);
		turns_run(l, 1);
		assert_string_equal(story, "i.");
		watch_want(w, WATCH_OUT);
		turns_run(l, 1);
		assert_string_equal(story, "i.o.");
		watch_want(w, WATCH_IN | WATCH_OUT);
		turns_run(l, 1);
		assert_string_equal(story, "i.o.io.");
		watch_want(w, 0);
		turns_run(l, 3);
		assert_string_equal(story, "i.o.io.");
		close_both();
	}
}

static void
a_reader_going_away_is_told_once(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(opens); i++) {
		begin_story();
		open_pipe();
		assert_int_equal(
		    opens[i](&w, l, fds[1], tell_events_and_stop, NULL), OK);
		close(fds[0]);
		loop_run(l);
		turns_run(l, 4);
		assert_string_equal(story, "g.");
		watch_want(w, WATCH_OUT); /* asked again, it is told again */
		loop_run(l);
		turns_run(l, 4);
		assert_int_equal(story[story_len - 2], 'g');
		fds[0] = dup(fds[1]);
		close_both();
	}
}

static void
a_writer_going_away_is_told_once(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(opens); i++) {
		begin_story();
		open_pipe();
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(
		    opens[i](&w, l, fds[0], tell_events_and_stop, NULL), OK);
		close(fds[1]);
		loop_run(l);
		turns_run(l, 4);
		assert_string_equal(story, "g.");
		watch_want(w, WATCH_IN); /* what is in the pipe can be read */
		loop_run(l);
		assert_int_equal(story[2], 'i');
		fds[1] = dup(fds[0]);
		close_both();
	}
}

static void
a_peer_that_ended_its_half_is_not_gone(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(opens); i++) {
		begin_story();
		open_pair();
		assert_int_equal(
		    opens[i](&w, l, fds[0], tell_events, NULL), OK);
		assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
		turns_run(l, 3);
		assert_string_equal(story, "");
		watch_want(w, WATCH_IN);
		turns_run(l, 2);
		assert_string_equal(story, "i.i.");
		watch_want(w, 0);
		close(fds[1]);
		turns_run(l, 4);
		assert_string_equal(story, "i.i.g.");
		fds[1] = dup(fds[0]);
		close_both();
	}
}

static void
urgent_data_is_not_an_event(void **state)
{
	(void)state;
	begin_story();
	open_pair();
	if (send(fds[1], "x", 1, MSG_OOB) == -1) {
		close_both();
		skip();
	}
	assert_int_equal(watch_open(&w, l, fds[0], tell_events, NULL), OK);
	turns_run(l, 4);
	assert_string_equal(story, "");
	close(fds[1]);
	watch_want(w, WATCH_IN);
	turns_run(l, 1);
	assert_int_equal(story[0], 'i');
	fds[1] = dup(fds[0]);
	close_both();
}

static void
files_and_null_devices_are_refused_in_silence(void **state)
{
	static const char *const paths[] = {"/dev/null", "/proc/self/exe"};
	size_t i, k;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(paths); i++) {
		for (k = 0; k < COUNT(opens); k++) {
			fd = open(paths[i], O_RDONLY | O_CLOEXEC);
			assert_int_not_equal(fd, -1);
			assert_int_equal(
			    opens[k](&w, l, fd, tell_events, NULL), ERR_NONE);
			assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
			close(fd);
		}
	}
	assert_null(w);
}

static void
a_shared_watch_leaves_the_flags_alone(void **state)
{
	int before;

	(void)state;
	begin_story();
	open_pair();
	before = fcntl(fds[0], F_GETFL);
	assert_int_equal(
	    watch_open_shared(&w, l, fds[0], tell_events, NULL), OK);
	watch_want(w, WATCH_IN | WATCH_OUT);
	turns_run(l, 2);
	assert_int_equal(fcntl(fds[0], F_GETFL), before);
	close_both();
}

static struct watch *peer;

static void
close_the_other(void *arg, int events)
{
	(void)events;
	tell('c');
	watch_close(arg == &w ? peer : w);
	if (arg == &w)
		peer = NULL;
	else
		w = NULL;
}

static void
no_event_comes_after_closing_though_it_was_ready(void **state)
{
	(void)state;
	begin_story();
	open_pair();
	assert_int_equal(watch_open(&w, l, fds[0], close_the_other, &w), OK);
	assert_int_equal(
	    watch_open(&peer, l, fds[1], close_the_other, &peer), OK);
	watch_want(w, WATCH_OUT);
	watch_want(peer, WATCH_OUT);
	turns_run(l, 1);
	assert_string_equal(story, "c");
	watch_close(peer);
	peer = NULL;
	close_both();
}

static void
close_and_open_again(void *arg, int events)
{
	(void)arg;
	(void)events;
	tell('c');
	watch_close(w);
	close(fds[0]);
	assert_int_equal(dup(fds[1]), fds[0]); /* the same number again */
	assert_int_equal(watch_open(&w, l, fds[0], tell_events, NULL), OK);
	watch_want(w, WATCH_OUT);
}

static void
a_number_may_be_watched_again_at_once(void **state)
{
	(void)state;
	begin_story();
	open_pair();
	assert_int_equal(
	    watch_open(&w, l, fds[0], close_and_open_again, NULL), OK);
	watch_want(w, WATCH_OUT);
	turns_run(l, 2);
	assert_string_equal(story, "co.");
	close_both();
}

static uint64_t seen;

static void
see_now(void *arg)
{
	(void)arg;
	if (seen == 0)
		seen = loop_now(l);
	assert_int_equal(loop_now(l), seen);
	while (loop_clock() == seen)
		;
}

static void
see_now_event(void *arg, int events)
{
	(void)events;
	see_now(arg);
	task_post(l, &first);
	loop_stop(l, 0);
}

static void
now_stands_still_for_a_turn(void **state)
{
	(void)state;
	open_pair();
	first = (struct task){.fn = see_now};
	seen = 0;
	assert_int_equal(watch_open(&w, l, fds[0], see_now_event, NULL), OK);
	assert_int_equal(watch_open(&peer, l, fds[1], see_now_event, NULL), OK);
	watch_want(w, WATCH_OUT);
	watch_want(peer, WATCH_OUT);
	loop_run(l);
	assert_true(loop_now(l) == seen);
	watch_close(peer);
	peer = NULL;
	close_both();
}

/* Signals */

static void
on_signal(void *arg, int signo)
{
	(void)arg;
	tell(signo == SIGUSR1 ? '1' : '2');
	if (story_len == 2)
		loop_stop(l, 0);
}

static void
signals_call_back_until_the_loop_is_freed(void **state)
{
	static const int list[] = {SIGUSR1, SIGUSR2, 0};

	(void)state;
	begin_story();
	assert_int_equal(loop_signals(l, list, on_signal, NULL), OK);
	raise(SIGUSR1);
	raise(SIGUSR2);
	loop_run(l);
	assert_string_equal(story, "12");
}

static void
a_signal_that_cannot_be_caught_is_an_error(void **state)
{
	static const int list[] = {SIGKILL, 0};

	(void)state;
	assert_int_equal(loop_signals(l, list, on_signal, NULL), ERR_SYS);
}

/* Memory */

static void
without_memory_nothing_is_left_behind(void **state)
{
	static const int list[] = {SIGUSR1, 0};
	struct loop *mine = NULL;
	struct watch *one = NULL;
	bool hit = true;
	size_t n;
	int r = OK;

	(void)state;
	open_pipe();
	for (n = 1; hit; n++) {
		faults_at(n);
		if ((r = loop_new(&mine)) == OK &&
		    (r = watch_open(&one, mine, fds[0], tell_events, NULL)) ==
			OK)
			r = loop_signals(mine, list, on_signal, NULL);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		watch_close(one);
		loop_free(mine);
		one = NULL;
		mine = NULL;
	}
	close_both();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_first_status_counts_and_the_loop_may_run_again),
	    TEST(timers_ring_in_order_and_stopped_ones_do_not),
	    TEST(a_timer_never_rings_early),
	    TEST(times_that_are_long_past_ring_at_once),
	    TEST(a_timer_may_stop_another_that_is_due),
	    TEST(a_timer_set_again_in_the_past_starves_nobody),
	    TEST(a_timer_that_was_put_off_rings_only_then),
	    TEST(timers_without_memory_say_so),
	    TEST(a_task_posted_often_runs_once_a_turn),
	    TEST(a_task_posted_by_a_task_runs_in_the_same_turn),
	    TEST(a_task_may_cancel_what_it_posted_again),
	    TEST(a_busy_task_does_not_keep_descriptors_waiting),
	    TEST(events_come_as_wanted),
	    TEST(a_reader_going_away_is_told_once),
	    TEST(a_writer_going_away_is_told_once),
	    TEST(a_peer_that_ended_its_half_is_not_gone),
	    TEST(urgent_data_is_not_an_event),
	    TEST(files_and_null_devices_are_refused_in_silence),
	    TEST(a_shared_watch_leaves_the_flags_alone),
	    TEST(no_event_comes_after_closing_though_it_was_ready),
	    TEST(a_number_may_be_watched_again_at_once),
	    TEST(now_stands_still_for_a_turn),
	    TEST(signals_call_back_until_the_loop_is_freed),
	    TEST(a_signal_that_cannot_be_caught_is_an_error),
	    cmocka_unit_test(without_memory_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
