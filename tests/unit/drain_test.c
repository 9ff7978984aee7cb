/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "ends.h"
#include "faults.h"
#include "net/drain.h"
#include "net/port.h"
#include "turns.h"

static struct loop *l;
static struct drain *drain;
static int rooms, ended, end_result;
static size_t written;
static bool close_in_room, close_in_end, close_in_written;

static void
on_room(void *arg)
{
	assert_ptr_equal(arg, &drain);
	assert_int_equal(ended, 0);
	rooms++;
	if (close_in_room) {
		drain_close(drain);
		drain = NULL;
	}
}

static void
on_written(void *arg, size_t n)
{
	assert_ptr_equal(arg, &drain);
	assert_int_equal(ended, 0);
	assert_true(n > 0);
	written += n;
	if (close_in_written) {
		drain_close(drain);
		drain = NULL;
	}
}

static void
on_end(void *arg, int r)
{
	assert_ptr_equal(arg, &drain);
	ended++;
	end_result = r;
	loop_stop(l, 0);
	if (close_in_end) {
		drain_close(drain);
		drain = NULL;
	}
}

static const struct drain_ops ops = {
    .room = on_room, .written = on_written, .end = on_end};

static int
setup(void **state)
{
	(void)state;
	ends_allow();
	close_in_room = close_in_end = close_in_written = false;
	rooms = ended = 0;
	written = 0;
	end_result = 1;
	return loop_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	drain_close(drain);
	drain = NULL;
	loop_free(l);
	return 0;
}

static int
open_drain(int fd, size_t full)
{
	struct drain_conf conf = {
	    .fd = fd, .full = full, .name = "standard output"};

	return drain_open(&drain, l, &conf, &ops, &drain);
}

static void
run_to_end(int r)
{
	while (ended == 0)
		loop_run(l);
	assert_int_equal(end_result, r);
	turns_run(l, 2);
	assert_int_equal(ended, 1);
}

static void
put(const char *text)
{
	assert_int_equal(buf_put(drain_buf(drain), view_of(text)), OK);
	drain_flush(drain);
}

/* Kinds of output: ours is ends.w. */

static struct ends ends;

/* Let the loop run until the text has come. */
static void
expect(const char *text)
{
	size_t n = strlen(text), len = 0;
	char in[256];
	ssize_t got;

	/* The reader's end is the test's own. */
	fcntl(ends.r, F_SETFL, fcntl(ends.r, F_GETFL) | O_NONBLOCK);
	while (len < n && len < sizeof(in)) {
		turns_run(l, 1);
		got = read(ends.r, in + len, sizeof(in) - len);
		len += got > 0 ? (size_t)got : 0;
	}
	assert_int_equal(len, n);
	assert_memory_equal(in, text, n);
}

static void
close_all(void)
{
	drain_close(drain);
	drain = NULL;
	ends_close(&ends);
}

static void
each_kind_is_written_in_order_and_left_unchanged(void **state)
{
	int status, flags, before;
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		if (!ends_out[i].make(&ends))
			fail_msg("cannot make a %s", ends_out[i].name);
		status = fcntl(ends.w, F_GETFL);
		flags = fcntl(ends.w, F_GETFD);
		before = ends_threads();
		assert_int_equal(open_drain(ends.w, 100), OK);
		assert_int_equal(ends_threads() - before, ends_out[i].threads);
		put("hello");
		put(" world");
		expect("hello world");
		put("!");
		assert_int_equal(fcntl(ends.w, F_GETFL), status);
		drain_finish(drain);
		run_to_end(OK);
		expect("!");
		assert_int_equal(fcntl(ends.w, F_GETFL), status);
		assert_int_equal(fcntl(ends.w, F_GETFD), flags);
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
a_reader_that_goes_away_ends_an_idle_drain(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		assert_true(ends_out[i].make(&ends));
		assert_int_equal(open_drain(ends.w, 100), OK);
		put("x");
		expect("x");
		turns_run(l, 2);
		assert_int_equal(ended, 0);
		close(ends.r);
		run_to_end(ERR_GONE);
		teardown(state);
		close(ends.w);
		setup(state);
	}
}

static void
a_reader_that_was_never_there_ends_it_too(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		assert_true(ends_out[i].make(&ends));
		close(ends.r);
		assert_int_equal(open_drain(ends.w, 100), OK);
		run_to_end(ERR_GONE);
		teardown(state);
		close(ends.w);
		setup(state);
	}
}

static void
fill(size_t n)
{
	static const uint8_t zeros[1000];

	for (; n > 0; n -= n < 1000 ? n : 1000)
		buf_put(drain_buf(drain),
		    (struct view){zeros, n < 1000 ? n : 1000});
	drain_flush(drain);
}

static void
a_reader_that_goes_away_ends_a_full_drain(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		assert_true(ends_out[i].make(&ends));
		assert_int_equal(open_drain(ends.w, 100), OK);
		fill(1u << 20);
		turns_run(l, 3);
		assert_true(drain_waiting(drain) > 0);
		assert_true(drain_full(drain));
		assert_int_equal(ended, 0);
		close(ends.r);
		run_to_end(ERR_GONE);
		assert_int_equal(drain_waiting(drain), 0);
		fill(1000); /* not kept */
		assert_int_equal(drain_waiting(drain), 0);
		teardown(state);
		close(ends.w);
		setup(state);
	}
}

static void
closing_does_not_wait_for_the_reader(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		assert_true(ends_out[i].make(&ends));
		assert_int_equal(open_drain(ends.w, 100), OK);
		fill(1u << 20);
		turns_run(l, 3);
		drain_close(drain);
		drain = NULL;
		turns_run(l, 2);
		assert_int_equal(ended, 0);
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

/* Read what is there; the bytes. */
static size_t
empty_pipe(void)
{
	static uint8_t in[1u << 16];
	size_t n = 0;
	ssize_t got;

	while ((got = read(ends.r, in, sizeof(in))) > 0)
		n += (size_t)got;
	return n;
}

static void
room_is_told_once_when_half_is_gone(void **state)
{
	size_t n = 200000, read_all = 0;

	(void)state;
	ends_pipe(&ends);
	fcntl(ends.r, F_SETFL, O_NONBLOCK);
	open_drain(ends.w, 100000);
	assert_false(drain_full(drain));
	fill(n);
	assert_true(drain_full(drain));
	while (drain_waiting(drain) > 50000) {
		assert_int_equal(rooms, 0);
		turns_run(l, 1);
		read_all += empty_pipe();
	}
	assert_int_equal(rooms, 1);
	assert_false(drain_full(drain));
	while (read_all < n) {
		turns_run(l, 1);
		read_all += empty_pipe();
	}
	assert_int_equal(rooms, 1); /* nobody has asked again */
	assert_int_equal(read_all, n);
	close_all();
}

/* --- vectors --- */

static size_t
write_text(const char *a, const char *b)
{
	const struct iovec v[] = {
	    {(void *)(uintptr_t)a, strlen(a)},
	    {(void *)(uintptr_t)b, strlen(b)},
	};

	return drain_write(drain, v, COUNT(v));
}

static void
each_kind_takes_vectors_in_place(void **state)
{
	size_t i;

	for (i = 0; i < ENDS_OUT; i++) {
		if (!ends_out[i].make(&ends))
			fail_msg("cannot make a %s", ends_out[i].name);
		assert_int_equal(open_drain(ends.w, 100), OK);
		assert_int_equal(write_text("he", "llo"), 5);
		put(" world");
		assert_int_equal(write_text("what waits", "goes first"), 0);
		expect("hello world");
		assert_int_equal(write_text("!", ""), 1);
		drain_finish(drain);
		assert_int_equal(write_text("too", "late"), 0);
		run_to_end(OK);
		expect("!");
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
vectors_are_written_as_far_as_there_is_room(void **state)
{
	static char much[300000];
	const struct iovec v[] = {{much, sizeof(much)}, {much, sizeof(much)}};
	size_t n, sum = 0, came = 0;

	(void)state;
	ends_pipe(&ends);
	fcntl(ends.r, F_SETFL, O_NONBLOCK);
	open_drain(ends.w, 100);
	while ((n = drain_write(drain, v, COUNT(v))) > 0)
		sum += n;
	drain_ask(drain);
	turns_run(l, 3);
	assert_int_equal(rooms, 0);
	while (rooms == 0) {
		came += empty_pipe();
		turns_run(l, 1);
	}
	assert_true(drain_write(drain, v, 1) > 0);
	assert_true(sum > 0 && came == sum);
	close_all();
}

/* Nobody has read what was written; that does not hold up the end. */
static void
a_full_drain_with_nothing_waiting_is_finished_at_once(void **state)
{
	static char much[300000];
	const struct iovec v = {much, sizeof(much)};

	(void)state;
	ends_pipe(&ends);
	open_drain(ends.w, 100);
	while (drain_write(drain, &v, 1) > 0)
		;
	drain_finish(drain);
	run_to_end(OK);
	close_all();
}

static void
vectors_that_cannot_be_written_end_it(void **state)
{
	int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	open_drain(fd, 100);
	dup2(null, STDERR_FILENO);
	assert_int_equal(write_text("x", "y"), 0);
	assert_int_equal(ended, 0);
	run_to_end(ERR_SYS);
	dup2(kept, STDERR_FILENO);
	close(fd);
	close(kept);
	close(null);
}

static void
what_a_turn_puts_is_one_write(void **state)
{
	char in[16];
	int fds[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ends = (struct ends){fds[0], fds[1]};
	open_drain(ends.w, 100);
	put("a");
	put("b");
	put("c");
	turns_run(l, 1);
	assert_int_equal(read(ends.r, in, sizeof(in)), 3);
	close_all();
}

static void
half_closed_readers_go_on_reading(void **state)
{
	(void)state;
	ends_socket(&ends);
	assert_int_equal(shutdown(ends.r, SHUT_WR), 0);
	open_drain(ends.w, 100);
	turns_run(l, 2);
	put("still here");
	expect("still here");
	assert_int_equal(ended, 0);
	close(ends.r);
	run_to_end(ERR_GONE);
	close(ends.w);
}

static uint32_t
rnd(void)
{
	static uint32_t x = 815;

	x = x * 1664525u + 1013904223u;
	return x >> 8;
}

static void
no_byte_is_lost_or_doubled_on_the_way_to_a_slow_reader(void **state)
{
	static uint8_t data[1u << 20], in[1u << 20];
	size_t sent, len, n, i, k, all = sizeof(data);
	ssize_t got;

	for (i = 0; i < all; i++)
		data[i] = (uint8_t)rnd();
	for (k = 0; k < ENDS_OUT; k++) {
		assert_true(ends_out[k].make(&ends));
		assert_int_equal(open_drain(ends.w, 50000), OK);
		fcntl(ends.r, F_SETFL, fcntl(ends.r, F_GETFL) | O_NONBLOCK);
		if (ends_out[k].make ==
		    ends_socket) /* this end is not shared */
			assert_int_equal(
			    fcntl(ends.w, F_GETFL) & O_NONBLOCK, 0);
		for (sent = len = 0; len < all;) {
			assert_int_equal(written + drain_waiting(drain), sent);
			n = rnd() % 30000;
			n = n < all - sent ? n : all - sent;
			if (n > 0 && !drain_full(drain)) {
				buf_put(drain_buf(drain),
				    (struct view){data + sent, n});
				drain_flush(drain);
				sent += n;
			}
			if (sent == all)
				drain_finish(drain);
			turns_run(l, 1);
			n = 1 + rnd() % 40000;
			n = n < all - len ? n : all - len;
			got = read(ends.r, in + len, n);
			len += got > 0 ? (size_t)got : 0;
		}
		run_to_end(OK);
		assert_int_equal(written, all);
		assert_memory_equal(in, data, all);
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

/* Files and devices */

static void
files_are_written_in_turns_and_closed_if_owned(void **state)
{
	struct drain_conf conf = {.full = 100, .name = "'x'"};
	struct stat st;
	int file, owned;

	for (owned = 0; owned < 2; owned++) {
		file = memfd_create("file", MFD_CLOEXEC);
		conf.fd = dup(file);
		conf.owned = owned == 1;
		assert_int_equal(
		    drain_open(&drain, l, &conf, &ops, &drain), OK);
		fill(1000000);
		drain_finish(drain);
		turns_run(l, 1);
		assert_true(drain_waiting(drain) > 0);
		run_to_end(OK);
		assert_int_equal(fstat(file, &st), 0);
		assert_int_equal(st.st_size, 1000000);
		assert_int_equal(close(conf.fd), owned ? -1 : 0);
		close(file);
		teardown(state);
		setup(state);
	}
}

static void
a_full_device_is_an_error_with_its_name(void **state)
{
	int out[2], kept = dup(STDERR_FILENO);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char text[256] = {0};

	(void)state;
	assert_int_equal(pipe(out), 0);
	open_drain(fd, 100);
	put("x");
	drain_finish(drain);
	dup2(out[1], STDERR_FILENO);
	run_to_end(ERR_SYS);
	dup2(kept, STDERR_FILENO);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text,
	    "yomo: cannot write standard output: No space left on device\n");
	close(fd);
	close(kept);
	close(out[0]);
	close(out[1]);
}

static void
the_null_device_takes_all(void **state)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	open_drain(fd, 100);
	fill(1000000);
	drain_finish(drain);
	run_to_end(OK);
	close(fd);
}

static void
what_cannot_be_written_is_an_error(void **state)
{
	(void)state;
	ends_pipe(&ends);
	assert_int_equal(open_drain(ends.r, 100), ERR_SYS);
	ends_close(&ends);
	assert_int_equal(open_drain(ends.w, 100), ERR_SYS);
	assert_null(drain);
}

/* Ends */

static void
closing_within_a_callback_is_the_last_one(void **state)
{
	int i;

	for (i = 0; i < 3; i++) {
		ends_pipe(&ends);
		close_in_room = i == 0;
		close_in_end = i == 1;
		close_in_written = i == 2;
		open_drain(ends.w, 1);
		put("x");
		assert_true(drain_full(drain));
		drain_finish(drain);
		turns_run(l, 4);
		assert_null(drain);
		assert_int_equal(rooms, i < 2);
		assert_int_equal(ended, i == 1);
		teardown(state);
		ends_close(&ends);
		setup(state);
	}
}

static void
finishing_an_empty_drain_ends_it_from_the_loop(void **state)
{
	(void)state;
	ends_pipe(&ends);
	open_drain(ends.w, 1);
	drain_finish(drain);
	drain_finish(drain);
	assert_int_equal(ended, 0);
	run_to_end(OK);
	close_all();
}

/* Never made smaller, and a child's is left: what waits there may be lost. */
static void
an_inherited_pipe_is_enlarged(void **state)
{
	static const int sizes[][2] = {
	    {4096, PORT_PIPE}, {2 * PORT_PIPE, 2 * PORT_PIPE}};
	struct drain_conf conf = {.full = 100, .owned = true, .name = "input"};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		ends_pipe(&ends);
		fcntl(ends.w, F_SETPIPE_SZ, sizes[i][0]);
		assert_int_equal(open_drain(ends.w, 100), OK);
		assert_int_equal(fcntl(ends.r, F_GETPIPE_SZ), sizes[i][1]);
		drain_close(drain);
		ends_close(&ends);
	}
	ends_pipe(&ends);
	fcntl(ends.w, F_SETPIPE_SZ, 4096);
	conf.fd = ends.w;
	assert_int_equal(drain_open(&drain, l, &conf, &ops, &drain), OK);
	assert_int_equal(fcntl(ends.r, F_GETPIPE_SZ), 4096);
	drain_close(drain);
	drain = NULL;
	close(ends.r);
}

static void
an_owned_pipe_is_closed_at_the_end(void **state)
{
	struct drain_conf conf = {.owned = true, .full = 100, .name = "input"};
	char c;

	(void)state;
	ends_pipe(&ends);
	conf.fd = ends.w;
	assert_int_equal(drain_open(&drain, l, &conf, &ops, &drain), OK);
	assert_true(fcntl(ends.w, F_GETFL) & O_NONBLOCK);
	put("x");
	drain_finish(drain);
	run_to_end(OK);
	assert_int_equal(read(ends.r, &c, 1), 1);
	assert_int_equal(read(ends.r, &c, 1), 0);
	close(ends.r);
}

static void
an_owned_pipe_is_closed_with_the_drain(void **state)
{
	struct drain_conf conf = {.owned = true, .full = 100, .name = "input"};
	char c;

	(void)state;
	ends_pipe(&ends);
	conf.fd = ends.w;
	assert_int_equal(drain_open(&drain, l, &conf, &ops, &drain), OK);
	drain_close(drain);
	drain = NULL;
	assert_int_equal(read(ends.r, &c, 1), 0);
	close(ends.r);
}

static void
without_memory_nothing_is_left_behind(void **state)
{
	bool hit = true;
	size_t i, n;
	int r;

	for (i = 0; i < ENDS_OUT; i++) {
		for (n = 1, hit = true; hit; n++) {
			assert_true(ends_out[i].make(&ends));
			faults_at(n);
			r = open_drain(ends.w, 100);
			hit = faults_hit();
			faults_off();
			assert_int_equal(r, hit ? ERR_NOMEM : OK);
			teardown(state);
			ends_close(&ends);
			setup(state);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_kind_is_written_in_order_and_left_unchanged),
	    TEST(a_reader_that_goes_away_ends_an_idle_drain),
	    TEST(a_reader_that_was_never_there_ends_it_too),
	    TEST(a_reader_that_goes_away_ends_a_full_drain),
	    TEST(closing_does_not_wait_for_the_reader),
	    TEST(room_is_told_once_when_half_is_gone),
	    TEST(each_kind_takes_vectors_in_place),
	    TEST(vectors_are_written_as_far_as_there_is_room),
	    TEST(a_full_drain_with_nothing_waiting_is_finished_at_once),
	    TEST(vectors_that_cannot_be_written_end_it),
	    TEST(what_a_turn_puts_is_one_write),
	    TEST(half_closed_readers_go_on_reading),
	    TEST(no_byte_is_lost_or_doubled_on_the_way_to_a_slow_reader),
	    TEST(files_are_written_in_turns_and_closed_if_owned),
	    TEST(a_full_device_is_an_error_with_its_name),
	    TEST(the_null_device_takes_all),
	    TEST(what_cannot_be_written_is_an_error),
	    TEST(closing_within_a_callback_is_the_last_one),
	    TEST(finishing_an_empty_drain_ends_it_from_the_loop),
	    TEST(an_inherited_pipe_is_enlarged),
	    TEST(an_owned_pipe_is_closed_at_the_end),
	    TEST(an_owned_pipe_is_closed_with_the_drain),
	    TEST(without_memory_nothing_is_left_behind),
	};

	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
