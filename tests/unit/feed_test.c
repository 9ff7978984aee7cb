/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "ends.h"
#include "faults.h"
#include "net/feed.h"
#include "net/port.h"
#include "turns.h"

/* A taker that keeps all it gets, as a test likes it */

#define GOT_MAX (4u << 20)

static struct loop *l;
static struct feed *feed;
static uint8_t got[GOT_MAX];
static size_t got_len;
static size_t stop_at; /* stop the loop when so much was taken */
static size_t bite;    /* take at most so much a call; 0: all */
static size_t wait_at; /* return FEED_WAIT when so much was taken */
static bool close_in_take, close_in_end, resume_in_take;
static int takes, ended, end_result, eofs;
static size_t largest, last_offered;

static enum feed_want
take(void *arg, struct view *in, bool eof)
{
	size_t n = bite > 0 && bite < in->len ? bite : in->len;

	assert_ptr_equal(arg, &feed);
	assert_int_equal(ended, 0);
	assert_true(got_len + n <= GOT_MAX);
	if (n > 0)
		memcpy(got + got_len, in->p, n);
	got_len += n;
	largest = in->len > largest ? in->len : largest;
	last_offered = in->len;
	view_skip(in, n);
	takes++;
	eofs += eof;
	if (close_in_take) {
		feed_close(feed);
		feed = NULL;
	}
	if (got_len >= stop_at && stop_at > 0)
		loop_stop(l, 0);
	if (wait_at > 0 && got_len >= wait_at) {
		if (resume_in_take)
			feed_resume(feed);
		return FEED_WAIT;
	}
	return FEED_MORE;
}

static void
end(void *arg, int r)
{
	assert_ptr_equal(arg, &feed);
	ended++;
	end_result = r;
	loop_stop(l, 0);
	if (close_in_end) {
		feed_close(feed);
		feed = NULL;
	}
}

static const struct feed_ops ops = {.take = take, .end = end};

static int
setup(void **state)
{
	(void)state;
	ends_allow();
	close_in_take = close_in_end = resume_in_take = false;
	got_len = stop_at = bite = wait_at = largest = 0;
	takes = ended = eofs = 0;
	end_result = 1;
	return loop_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	feed_close(feed);
	feed = NULL;
	loop_free(l);
	return 0;
}

static int
open_feed(int fd, size_t read_max, size_t max)
{
	struct feed_conf conf = {.fd = fd,
	    .read_max = read_max,
	    .max = max,
	    .name = "standard input"};

	return feed_open(&feed, l, &conf, &ops, &feed);
}

/* Run until n bytes were taken in all. */
static void
run_until(size_t n)
{
	stop_at = n;
	while (got_len < n)
		loop_run(l);
	assert_int_equal(got_len, n);
}

static void
run_to_end(int r)
{
	stop_at = 0;
	while (ended == 0)
		loop_run(l);
	assert_int_equal(end_result, r);
	turns_run(l, 2);
	assert_int_equal(ended, 1);
}

static void
put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
expect(const char *text)
{
	assert_int_equal(got_len, strlen(text));
	assert_memory_equal(got, text, got_len);
}

/* Kinds of input: ours is ends.r. */

static struct ends ends;

static void
close_all(void)
{
	feed_close(feed);
	feed = NULL;
	ends_close(&ends);
}

static void
each_kind_is_read_as_it_comes_and_left_unchanged(void **state)
{
	int status, flags, before = ends_threads();
	size_t i;

	for (i = 0; i < ENDS_IN; i++) {
		if (!ends_in[i].make(&ends))
			fail_msg("cannot make a %s", ends_in[i].name);
		status = fcntl(ends.r, F_GETFL);
		flags = fcntl(ends.r, F_GETFD);
		assert_int_equal(open_feed(ends.r, 0, 1000), OK);
		turns_run(l, 2);
		assert_int_equal(takes, 0);
		assert_int_equal(ends_threads() - before, ends_in[i].threads);
		put(ends.w, "hello");
		run_until(5);
		put(ends.w, " world");
		run_until(11);
		turns_run(l, 2);
		assert_int_equal(fcntl(ends.r, F_GETFL), status);
		assert_int_equal(fcntl(ends.r, F_GETFD), flags);
		close(ends.w);
		run_to_end(OK);
		expect("hello world");
		assert_int_equal(eofs, 1);
		assert_int_equal(fcntl(ends.r, F_GETFL), status);
		teardown(state);
		close(ends.r);
		setup(state);
	}
}

static void
closing_does_not_wait_for_input(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_IN; i++) {
		assert_true(ends_in[i].make(&ends));
		assert_int_equal(open_feed(ends.r, 0, 1000), OK);
		turns_run(l, 1);
		feed_close(feed);
		feed = NULL;
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
a_taker_that_waits_is_left_alone(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_IN; i++) {
		assert_true(ends_in[i].make(&ends));
		assert_int_equal(open_feed(ends.r, 0, 1000), OK);
		wait_at = bite = 2;
		put(ends.w, "abc");
		run_until(2);
		put(ends.w, "def");
		turns_run(l, 3);
		assert_int_equal(takes, 1);
		bite = 0;
		wait_at = 0;
		feed_resume(feed);
		feed_resume(feed);
		run_until(6);
		expect("abcdef");
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
a_taker_may_resume_before_it_waits(void **state)
{
	(void)state;
	ends_pipe(&ends);
	open_feed(ends.r, 0, 1000);
	wait_at = bite = 1;
	resume_in_take = true;
	put(ends.w, "abc");
	run_until(3);
	expect("abc");
	close_all();
}

/* Files and devices */

static int
make_file(size_t n)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint8_t *p = malloc(n);
	size_t i;

	assert_non_null(p);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	lseek(fd, 0, SEEK_SET);
	free(p);
	return fd;
}

static void
a_file_is_read_whole_in_turns(void **state)
{
	size_t i, before, n = 3 * FEED_TURN_MAX + 77;
	int fd = make_file(n);

	(void)state;
	assert_int_equal(open_feed(fd, 0, 1u << 20), OK);
	while (ended == 0) {
		before = got_len;
		turns_run(l, 1);
		assert_true(got_len - before <= FEED_TURN_MAX);
	}
	assert_int_equal(end_result, OK);
	assert_int_equal(got_len, n);
	for (i = 0; i < n; i++)
		if (got[i] != (uint8_t)(i * 7 + i / 256))
			fail_msg("byte %zu differs", i);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), (off_t)n);
	close(fd);
}

static void
an_empty_file_and_the_null_device_just_end(void **state)
{
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = i == 0 ? make_file(0)
			    : open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_int_equal(open_feed(fd, 0, 100), OK);
		run_to_end(OK);
		assert_int_equal(takes, 1);
		assert_int_equal(eofs, 1);
		assert_int_equal(got_len, 0);
		close(fd);
		teardown(state);
		setup(state);
	}
}

static void
endless_devices_leave_turns_to_others(void **state)
{
	static const char *const names[] = {"/dev/zero", "/dev/urandom"};
	size_t i, before;
	int fd, turn;

	for (i = 0; i < COUNT(names); i++) {
		fd = open(names[i], O_RDONLY | O_CLOEXEC);
		assert_int_equal(open_feed(fd, 1000, 1u << 20), OK);
		for (turn = 0; turn < 4; turn++) {
			before = got_len;
			turns_run(l, 1);
			assert_true(got_len > before);
			assert_true(got_len - before < FEED_TURN_MAX + 1000);
		}
		assert_int_equal(largest, 1000);
		wait_at = 1;
		turns_run(l, 1);
		before = got_len;
		turns_run(l, 3);
		assert_int_equal(got_len, before);
		close(fd);
		teardown(state);
		setup(state);
	}
}

/* What is left, limits */

static void
what_is_left_comes_again_with_more_behind_it(void **state)
{
	(void)state;
	ends_pipe(&ends);
	open_feed(ends.r, 0, 1000);
	bite = 2;
	put(ends.w, "abcd");
	run_until(2);
	assert_int_equal(last_offered, 4);
	put(ends.w, "ef");
	run_until(4);
	assert_int_equal(last_offered, 4);
	close(ends.w);
	bite = 0;
	run_to_end(OK);
	expect("abcdef");
	close(ends.r);
}

static uint32_t
rnd(void)
{
	static uint32_t x = 4711;

	x = x * 1664525u + 1013904223u;
	return x >> 8;
}

/* Bites, reads and writes of all sizes: around what is moved, and far above. */
static void
no_byte_is_lost_or_doubled_however_it_is_taken(void **state)
{
	static const size_t sizes[] = {1, 7, 100, 4095, 4096, 4097, 60000};
	size_t sent = 0, n, i, all = 1u << 20;
	static uint8_t data[1u << 20];

	(void)state;
	for (i = 0; i < all; i++)
		data[i] = (uint8_t)rnd();
	ends_pipe(&ends);
	fcntl(ends.w, F_SETFL, O_NONBLOCK);
	open_feed(ends.r, 50000, 200000);
	while (sent < all || got_len + 100000 < all) {
		n = sizes[rnd() % COUNT(sizes)];
		n = n < all - sent ? n : all - sent;
		if (n > 0) {
			ssize_t w = write(ends.w, data + sent, n);

			sent += w > 0 ? (size_t)w : 0;
		}
		/* Little is taken half of the time, then all. */
		bite = rnd() % 8 == 0 ? 0 : sizes[rnd() % 4];
		wait_at = rnd() % 4 == 0 ? got_len + 1 : 0;
		if (got_len + 150000 < sent)
			bite = 0;
		turns_run(l, 1);
		if (rnd() % 2 == 0)
			feed_resume(feed);
		assert_int_equal(ended, 0);
	}
	bite = wait_at = 0;
	feed_resume(feed);
	close(ends.w);
	run_to_end(OK);
	assert_int_equal(got_len, all);
	assert_memory_equal(got, data, all);
	assert_true(largest <= 200000);
	close(ends.r);
}

static enum feed_want
take_nothing(void *arg, struct view *in, bool eof)
{
	(void)arg;
	(void)eof;
	last_offered = in->len;
	takes++;
	return FEED_MORE;
}

static void
a_message_over_the_limit_is_an_error(void **state)
{
	static const struct feed_ops none = {.take = take_nothing, .end = end};
	static const size_t limits[] = {1, 10, 4096, 4097, 9000};
	struct feed_conf conf = {.name = "standard input"};
	static uint8_t bytes[10000];
	size_t i;

	for (i = 0; i < COUNT(limits); i++) {
		ends_pipe(&ends);
		conf.fd = ends.r;
		conf.max = limits[i];
		conf.read_max = 1000;
		feed_open(&feed, l, &conf, &none, &feed);
		assert_int_equal(
		    write(ends.w, bytes, limits[i] - 1), limits[i] - 1);
		turns_run(l, 20);
		assert_int_equal(ended, 0);
		assert_int_equal(last_offered * (limits[i] > 1), limits[i] - 1);
		assert_int_equal(write(ends.w, bytes, 500), 500);
		run_to_end(ERR_LIMIT);
		assert_int_equal(last_offered, limits[i]);
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
at_the_end_the_taker_is_asked_until_it_wants_more(void **state)
{
	(void)state;
	ends_pipe(&ends);
	open_feed(ends.r, 0, 1000);
	wait_at = 1;
	bite = 1;
	put(ends.w, "abc");
	close(ends.w);
	run_until(1);
	feed_resume(feed);
	run_until(2); /* held bytes, no end in sight yet */
	feed_resume(feed);
	run_until(3);
	bite = 0;
	feed_resume(feed);
	turns_run(l, 2);
	assert_int_equal(eofs, 1);
	assert_int_equal(ended, 0);
	turns_run(l, 2);
	assert_int_equal(eofs, 1); /* not asked while it waits */
	wait_at = 0;
	feed_resume(feed);
	run_to_end(OK);
	assert_int_equal(eofs, 2);
	expect("abc");
	close(ends.r);
}

static void
a_read_takes_no_more_than_asked(void **state)
{
	(void)state;
	ends_pipe(&ends);
	put(ends.w, "abcdefghij");
	open_feed(ends.r, 3, 1000);
	close(ends.w);
	run_to_end(OK);
	assert_int_equal(largest, 3);
	expect("abcdefghij");
	close(ends.r);
}

/* Ends */

static void
a_fifo_that_everybody_left_still_ends(void **state)
{
	(void)state;
	assert_true(ends_fifo(&ends));
	put(ends.w, "last words");
	close(ends.w);
	assert_int_equal(open_feed(ends.r, 0, 1000), OK);
	run_to_end(OK);
	expect("last words");
	close(ends.r);
}

static void
end_of_file_typed_at_a_terminal_is_the_end(void **state)
{
	struct termios t;
	int i;

	for (i = 0; i < 2; i++) {
		assert_true(ends_tty_in(&ends));
		if (i == 1)
			ends_refuse(ends.r);
		tcgetattr(ends.r, &t);
		t.c_lflag |= ICANON;
		t.c_cc[VEOF] = 4;
		tcsetattr(ends.r, TCSANOW, &t);
		open_feed(ends.r, 0, 1000);
		put(ends.w, "a line\n\004");
		run_to_end(OK);
		expect("a line\n");
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
closing_within_a_callback_is_the_last_one(void **state)
{
	int i;

	for (i = 0; i < 2; i++) {
		ends_pipe(&ends);
		open_feed(ends.r, 1, 1000);
		close_in_take = i == 0;
		close_in_end = i == 1;
		put(ends.w, "abc");
		close(ends.w);
		turns_run(l, 6);
		assert_null(feed);
		assert_int_equal(takes, i == 0 ? 1 : 4);
		assert_int_equal(ended, i);
		teardown(state);
		close(ends.r);
		setup(state);
	}
}

static void
what_cannot_be_read_is_an_error(void **state)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(open_feed(fd, 0, 100), OK);
	run_to_end(ERR_SYS);
	feed_close(feed);
	feed = NULL;
	close(fd);
	assert_int_equal(open_feed(fd, 0, 100), ERR_SYS); /* closed */
	ends_pipe(&ends);
	assert_int_equal(open_feed(ends.w, 0, 100), ERR_SYS);
	ends_close(&ends);
	assert_null(feed);
}

static void
an_owned_pipe_is_enlarged_and_read_directly(void **state)
{
	struct feed_conf conf = {.owned = true, .max = 100, .name = "output"};

	(void)state;
	ends_pipe(&ends);
	conf.fd = ends.r;
	assert_int_equal(feed_open(&feed, l, &conf, &ops, &feed), OK);
	assert_true(fcntl(ends.r, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(ends.r, F_GETPIPE_SZ), PORT_PIPE);
	put(ends.w, "abc");
	close(ends.w);
	run_to_end(OK);
	expect("abc");
	/* It was only borrowed. */
	feed_close(feed);
	feed = NULL;
	assert_int_equal(close(ends.r), 0);
}

/* Memory */

static void
without_memory_nothing_is_left_behind(void **state)
{
	bool hit = true;
	size_t i, n;
	int r;

	for (i = 0; i < ENDS_IN; i++) {
		for (n = 1, hit = true; hit; n++) {
			assert_true(ends_in[i].make(&ends));
			faults_at(n);
			r = open_feed(ends.r, 0, 100);
			hit = faults_hit();
			faults_off();
			if (hit) /* or the C library's, for the thread */
				assert_true(r == ERR_NOMEM || r == ERR_SYS);
			else
				assert_int_equal(r, OK);
			feed_close(feed);
			feed = NULL;
			teardown(state);
			ends_close(&ends);
			setup(state);
		}
	}
}

static void
without_memory_for_what_is_left_the_feed_ends(void **state)
{
	(void)state;
	ends_pipe(&ends);
	open_feed(ends.r, 0, 100);
	bite = 1;
	put(ends.w, "abc");
	faults_at(1);
	run_to_end(ERR_NOMEM);
	faults_off();
	close_all();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_kind_is_read_as_it_comes_and_left_unchanged),
	    TEST(closing_does_not_wait_for_input),
	    TEST(a_taker_that_waits_is_left_alone),
	    TEST(a_taker_may_resume_before_it_waits),
	    TEST(a_file_is_read_whole_in_turns),
	    TEST(an_empty_file_and_the_null_device_just_end),
	    TEST(endless_devices_leave_turns_to_others),
	    TEST(what_is_left_comes_again_with_more_behind_it),
	    TEST(no_byte_is_lost_or_doubled_however_it_is_taken),
	    TEST(a_message_over_the_limit_is_an_error),
	    TEST(at_the_end_the_taker_is_asked_until_it_wants_more),
	    TEST(a_read_takes_no_more_than_asked),
	    TEST(a_fifo_that_everybody_left_still_ends),
	    TEST(end_of_file_typed_at_a_terminal_is_the_end),
	    TEST(closing_within_a_callback_is_the_last_one),
	    TEST(what_cannot_be_read_is_an_error),
	    TEST(an_owned_pipe_is_enlarged_and_read_directly),
	    TEST(without_memory_nothing_is_left_behind),
	    TEST(without_memory_for_what_is_left_the_feed_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
