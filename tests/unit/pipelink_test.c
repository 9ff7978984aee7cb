/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unit.h"

#include "ends.h"
#include "faults.h"
#include "link/pipelink.h"
#include "lane_cases.h"
#include "proto/hello.h"
#include "wire/frame.h"

static struct rig_end a, b;
static struct ends in, out; /* of pipes */

static int
setup_group(void **state)
{
	(void)state;
	return rig_make_folder();
}

static int
teardown_group(void **state)
{
	(void)state;
	rig_remove_folder();
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	rig_end_init(&a);
	rig_end_init(&b);
	rig_end_init(&here);
	rig_end_init(&there);
	in = out = (struct ends){-1, -1};
	return loop_new(&rig_loop);
}

static int
teardown(void **state)
{
	(void)state;
	rig_end_fini(&a);
	rig_end_fini(&b);
	rig_end_fini(&here);
	rig_end_fini(&there);
	ends_close(&in);
	ends_close(&out);
	unlink(rig_path("socket"));
	turns_run(rig_loop, 3);
	loop_free(rig_loop);
	assert_int_equal(slab_total(), 0);
	return 0;
}

/* Two links over a socketpair. */
static void
join(void)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(
	    pipelink_socket(&a.link, rig_loop, fds[0], &a.out, &rig_ops, &a),
	    OK);
	assert_int_equal(
	    pipelink_socket(&b.link, rig_loop, fds[1], &b.out, &rig_ops, &b),
	    OK);
}

/* One link over a socketpair; its other end is the descriptor returned. */
static int
join_half(void)
{
	int fds[2];

	assert_int_equal(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	assert_int_equal(
	    pipelink_socket(&a.link, rig_loop, fds[0], &a.out, &rig_ops, &a),
	    OK);
	return fds[1];
}

/* --- sockets --- */

static void
bytes_go_both_ways_in_order(void **state)
{
	(void)state;
	join();
	rig_send(&a, 0, 3000000);
	rig_send(&b, 0, 100);
	UNTIL(a.in.len == 100 && b.in.len == 3000000);
	rig_check(&a, 100);
	rig_check(&b, 3000000);
	assert_int_equal(a.ups, 1);
	assert_int_equal(b.ups, 1);
	UNTIL(a.out.bytes == 0);
	assert_true(a.moves > 0);
}

static void
a_fin_comes_after_everything_and_the_other_way_stays_open(void **state)
{
	(void)state;
	join();
	rig_send(&a, 0, 1000000);
	link_finish(a.link);
	UNTIL(b.fins == 1);
	rig_check(&b, 1000000);
	UNTIL(a.link->fin_acked);
	assert_int_equal(a.fins, 0);
	rig_send(&b, 0, 500);
	UNTIL(a.in.len == 500);
	assert_int_equal(a.downs + b.downs, 0);
	link_finish(b.link);
	UNTIL(a.fins == 1 && a.downs == 1 && b.downs == 1);
	assert_int_equal(a.end.kind, LINK_CLOSED);
}

/* Little is taken from one who has not shown who he is. */
static void
a_stranger_may_send_little_until_the_link_is_widened(void **state)
{
	size_t before;
	int fds[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(
	    pipelink_socket(&a.link, rig_loop, fds[0], &a.out, &rig_ops, &a),
	    OK);
	assert_int_equal(
	    pipelink_accept(&b.link, rig_loop, fds[1], &rig_ops, &b), OK);
	b.link->out = &b.out;
	b.lazy = true;
	rig_send(&a, 0, 8u << 20);
	UNTIL(b.in.len > 0);
	turns_run(rig_loop, 200);
	before = b.in.len;
	assert_true(before < 600000);
	link_widen(b.link, 1u << 20);
	UNTIL(b.in.len >= 1u << 20);
	turns_run(rig_loop, 200);
	assert_true(b.in.len < (1u << 20) + 600000);
}

/* What the peer has no room for is not taken from it. */
static void
who_does_not_consume_is_not_sent_more(void **state)
{
	size_t before;

	(void)state;
	join();
	b.lazy = true;
	rig_send(&a, 0, 8u << 20);
	UNTIL(b.in.len > 500000);
	turns_run(rig_loop, 200);
	before = b.in.len;
	assert_true(before < 2u << 20);
	turns_run(rig_loop, 50);
	assert_int_equal(b.in.len, before);
	assert_true(a.out.unsent > 4u << 20);
	b.lazy = false;
	rig_consume(&b);
	UNTIL(b.in.len == 8u << 20);
	rig_check(&b, 8u << 20);
}

/* A kernel's buffer is no zipper. */
static void
nothing_is_acknowledged_before_it_is_read(void **state)
{
	static uint8_t bytes[65536];
	size_t came = 0;
	ssize_t n;
	int fd;

	(void)state;
	fd = join_half();
	rig_send(&a, 0, 1u << 20);
	link_finish(a.link);
	turns_run(rig_loop, 20);
	while (came < 1u << 20) {
		assert_true(a.out.bytes >= (1u << 20) - came);
		assert_false(a.link->fin_acked);
		if ((n = read(fd, bytes, sizeof(bytes))) > 0)
			came += (size_t)n;
		if (came % 3 == 0)
			rig_run();
		turns_run(rig_loop, 1);
	}
	UNTIL(a.out.bytes == 0 && a.link->fin_acked);
	assert_int_equal(a.downs, 0);
	close(fd);
}

static void
what_was_read_is_acknowledged_before_long(void **state)
{
	(void)state;
	join();
	b.lazy = true;
	rig_send(&a, 0, 100);
	UNTIL(b.in.len == 100);
	UNTIL(a.out.bytes == 0);
	assert_true(a.moves > 0);
}

/* It had more to read: nobody can say how much of it was lost. */
static void
what_a_peer_leaves_unread_is_never_acknowledged(void **state)
{
	uint8_t byte;
	int fd;

	(void)state;
	fd = join_half();
	rig_send(&a, 0, 1000);
	UNTIL(read(fd, &byte, 1) == 1);
	rig_run();
	close(fd);
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_LOST);
	assert_true(a.out.bytes >= 999);
	assert_int_equal(a.out.unsent, 0);
}

static void
what_a_lost_peer_never_got_stays_queued(void **state)
{
	int fd;

	(void)state;
	fd = join_half();
	rig_send(&a, 0, 4u << 20);
	turns_run(rig_loop, 20);
	close(fd);
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_LOST);
	/* At most what stood in buffers was taken for sent. */
	assert_true(a.out.unsent >= 3u << 20);
}

/* Its last words, and all that it had sent before them. */
static void
what_a_peer_sent_before_it_went_is_read_to_the_end(void **state)
{
	static uint8_t bytes[700000];
	size_t i, sent;
	ssize_t n;
	int fd;

	(void)state;
	fd = join_half();
	rig_send(&a, 0, 100);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = rig_byte(i);
	n = 1 << 20;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(int));
	turns_run(rig_loop, 3);
	for (sent = 0; sent < sizeof(bytes); sent += (size_t)n) {
		n = send(fd, bytes + sent, sizeof(bytes) - sent, 0);
		if (n < 0 && errno == EAGAIN)
			n = 0;
		assert_true(n >= 0);
		if (sizeof(bytes) - sent > 300000)
			turns_run(rig_loop, 1);
	}
	close(fd);
	UNTIL(a.downs == 1);
	rig_check(&a, sizeof(bytes));
	assert_int_equal(a.end.kind, LINK_LOST);
}

/* One that refuses to listen, and goes on sending for ever. */
static void
a_peer_that_only_sends_is_not_heard_for_ever(void **state)
{
	static uint8_t bytes[65536];
	int fd;

	(void)state;
	fd = join_half();
	a.lazy = true;
	rig_send(&a, 0, 1);
	shutdown(fd, SHUT_RD);
	while (a.downs == 0) {
		(void)!send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		turns_run(rig_loop, 1);
		assert_true(a.in.len < 4u << 20);
	}
	assert_int_equal(a.end.kind, LINK_LOST);
	close(fd);
}

static void
a_closed_gate_stops_and_does_not_spin(void **state)
{
	(void)state;
	join();
	rig_send(&a, 0, 10);
	outq_set_gate(&a.out, 4);
	turns_run(rig_loop, 20);
	assert_int_equal(b.in.len, 4);
	outq_set_gate(&a.out, SIZE_MAX);
	link_wake(a.link);
	UNTIL(b.in.len == 10);
	rig_check(&b, 10);
}

/* A socket has no code to close with. */
static void
who_is_evicted_is_told_by_a_goaway(void **state)
{
	struct view v, text;
	struct frame f;

	(void)state;
	join();
	UNTIL(a.ups == 1 && b.ups == 1);
	rig_close(&a, HELLO_CLOSE_EVICT, "too many");
	UNTIL(b.downs == 1);
	v = buf_view(&b.in);
	assert_int_equal(frame_get(&v, SIZE_MAX, &f), OK);
	assert_int_equal(f.type, FRAME_GOAWAY);
	assert_int_equal(frame_text_get(f.body, &text), OK);
	assert_true(view_equal(text, view_of("too many")));
	assert_int_equal(v.len, 0);
}

static void
who_is_sent_away_to_come_back_just_sees_the_end(void **state)
{
	(void)state;
	join();
	UNTIL(a.ups == 1 && b.ups == 1);
	rig_close(&a, HELLO_CLOSE_RESTART, "restart");
	UNTIL(b.downs == 1 || b.fins == 1);
	assert_int_equal(b.in.len, 0);
}

static void
close_own(struct rig_end *e)
{
	rig_close(e, 0, "");
}

/* Each callback may close the link, and none comes after it. */
static void
a_link_may_be_closed_from_any_callback(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		rig_end_fini(&a);
		rig_end_fini(&b);
		rig_end_init(&a);
		rig_end_init(&b);
		join();
		a.on_up = i == 0 ? close_own : NULL;
		a.on_bytes = i == 1 ? close_own : NULL;
		a.on_pause = i == 2 ? close_own : NULL;
		a.on_down = i == 3 ? close_own : NULL;
		rig_send(&b, 0, 100000);
		if (i == 3)
			close_own(&b);
		if (i == 4)
			close_own(&a); /* before it is up */
		UNTIL(a.link == NULL);
		turns_run(rig_loop, 5);
	}
}

/* --- pipes --- */

static void
open_pipes(bool with_in, bool with_out)
{
	if (with_in)
		assert_true(ends_pipe(&in));
	if (with_out)
		assert_true(ends_pipe(&out));
	assert_int_equal(
	    pipelink_open(&a.link, rig_loop, in.r, out.w, &a.out, &rig_ops, &a),
	    OK);
}

static void
a_pipe_is_read_to_its_end(void **state)
{
	(void)state;
	open_pipes(true, false);
	assert_int_equal(write(in.w, "\x00\x83\x06", 3), 3);
	close(in.w);
	in.w = -1;
	UNTIL(a.fins == 1);
	assert_int_equal(a.in.len, 3);
	assert_int_equal(a.downs, 0);
}

static void
a_pipe_is_finished_when_all_is_written(void **state)
{
	uint8_t byte;

	(void)state;
	open_pipes(false, true);
	fcntl(out.w, F_SETPIPE_SZ, 4096);
	fcntl(out.r, F_SETFL, O_NONBLOCK);
	rig_send(&a, 0, 10000);
	link_finish(a.link);
	turns_run(rig_loop, 50);
	assert_int_equal(a.downs, 0);
	while (a.downs == 0) {
		if (read(out.r, &byte, 1) == 1)
			assert_true(byte == rig_byte(b.unconsumed++));
		turns_run(rig_loop, 1);
	}
	assert_int_equal(a.end.kind, LINK_FINISHED);
	while (read(out.r, &byte, 1) == 1)
		assert_true(byte == rig_byte(b.unconsumed++));
	assert_int_equal(b.unconsumed, 10000);
	b.unconsumed = 0;
	assert_int_equal(a.out.bytes, 0);
}

static void
without_output_a_link_is_finished_at_once(void **state)
{
	(void)state;
	open_pipes(true, false);
	link_finish(a.link);
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_FINISHED);
}

static void
a_closed_output_is_noticed_while_nothing_is_written(void **state)
{
	(void)state;
	open_pipes(true, true);
	UNTIL(a.ups == 1);
	close(out.r);
	out.r = -1;
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_NO_READER);
}

static void
an_output_that_cannot_be_written_is_told_from_one_without_a_reader(void **state)
{
	(void)state;
	out.w = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(out.w >= 0);
	open_pipes(false, false);
	rig_send(&a, 0, 10);
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_UNWRITABLE);
}

static void
an_input_that_cannot_be_read_is_our_own_trouble(void **state)
{
	(void)state;
	in.r = open("/tmp", O_RDONLY | O_CLOEXEC);
	open_pipes(false, false);
	UNTIL(a.downs == 1);
	assert_int_equal(a.end.kind, LINK_FAILED);
}

static void
what_cannot_be_opened_is_no_link(void **state)
{
	(void)state;
	assert_int_equal(
	    pipelink_open(&a.link, rig_loop, 1000, -1, &a.out, &rig_ops, &a),
	    ERR_SYS);
	assert_null(a.link);
	assert_int_equal(
	    pipelink_open(&a.link, rig_loop, -1, 1000, &a.out, &rig_ops, &a),
	    ERR_SYS);
	assert_null(a.link);
}

/* --- dialing --- */

static struct sockaddr_un
listen_at(const char *path, int backlog, int *fd)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(*fd, backlog), 0);
	return sun;
}

static int
dial(const char *path)
{
	return pipelink_dial(&a.link, rig_loop, path, &a.out, &rig_ops, &a);
}

static void
who_is_not_there_is_gone(void **state)
{
	char path[128], longest[200];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s", rig_path("socket"));
	assert_int_equal(dial(path), ERR_GONE);
	listen_at(path, 1, &fd);
	close(fd); /* its file stays */
	assert_int_equal(dial(path), ERR_GONE);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(dial(longest), ERR_SYS);
}

/* A zipper that is stopped takes nobody: who dials must not stop with it. */
static void
who_takes_nobody_does_not_hold_us_up(void **state)
{
	struct sockaddr_un sun;
	int fd, others[4], i, n = 0, r;

	(void)state;
	sun = listen_at(rig_path("socket"), 0, &fd);
	for (i = 0; i < 4; i++) {
		others[i] = socket(
		    AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		r = connect(others[i], (struct sockaddr *)&sun, sizeof(sun));
		n += r < 0 && errno == EAGAIN;
	}
	assert_true(n > 0);
	assert_int_equal(dial(sun.sun_path), ERR_GONE);
	for (i = 0; i < 4; i++)
		close(others[i]);
	close(fd);
}

static void
without_memory_there_is_no_link_and_no_descriptor_left(void **state)
{
	bool hit = true;
	size_t n;
	int fds[2], r;

	(void)state;
	for (n = 1; hit; n++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		faults_at(n);
		r = pipelink_socket(
		    &a.link, rig_loop, fds[0], &a.out, &rig_ops, &a);
		hit = faults_hit();
		faults_off();
		if (r == OK) {
			rig_close(&a, 0, "");
			turns_run(rig_loop, 3);
		} else {
			assert_true(hit);
		}
		turns_run(rig_loop, 2);
		assert_int_equal(fcntl(fds[0], F_GETFD), -1);
		close(fds[1]);
	}
	assert_true(n > 3);
}

/* --- lanes --- */

static void
lanes_join(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", rig_path("socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(pipelink_dial(&here.link, rig_loop, sun.sun_path,
			     &here.out, &rig_ops, &here),
	    OK);
	assert_int_equal(
	    pipelink_accept(&there.link, rig_loop,
		accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), &rig_ops,
		&there),
	    OK);
	there.link->out = &there.out;
	close(fd);
	unlink(sun.sun_path);

	UNTIL(here.ups == 1);
	rig_send_frame(&here, 1); /* a greeting */
	link_use_lanes(here.link);
	UNTIL(rig_heard(&there, &here));
	link_use_lanes(there.link);
	link_widen(there.link, QUICLINK_WINDOW - QUICLINK_WINDOW_FIRST);
	link_allow_lanes(there.link, LANES);
	assert_true(here.link->lanes && there.link->lanes);
}

static void
a_link_with_lanes_ends_when_both_sides_have(void **state)
{
	struct rig_lane *n;

	(void)state;
	lanes_join();
	n = open_with(&here, 300000, true);
	UNTIL(n->closes == 1);
	link_finish(here.link);
	UNTIL(there.fins == 1);
	/* What the other side still has to say comes, and is answered. */
	n = open_with(&there, 5000000, true);
	rig_send_frame(&there, 100);
	UNTIL(n->closes == 1);
	UNTIL(here.link->fin_acked);
	assert_int_equal(here.downs + there.downs, 0);
	link_finish(there.link);
	UNTIL(here.fins == 1 && here.downs == 1 && there.downs == 1);
	assert_true(rig_heard(&here, &there));
	assert_int_equal(here.end.kind, LINK_CLOSED);
	assert_int_equal(there.end.kind, LINK_CLOSED);
}

/* What it sent before is heard, and its lanes end with the link. */
static void
a_peer_that_goes_with_its_lanes_open_is_lost(void **state)
{
	(void)state;
	lanes_join();
	open_with(&here, 1000, false);
	open_with(&there, 10000000, false);
	rig_send_frame(&here, 10);
	UNTIL(there.n_lanes == 2 && there.lanes[1].in.len == 1000);
	rig_close(&here, 0, "");
	UNTIL(there.downs == 1);
	assert_int_equal(there.end.kind, LINK_LOST);
	assert_int_equal(there.lanes[1].fins + there.lanes[1].breaks, 0);
}

/* A peer that breaks the rules of lanes hears why, and is gone. */
static void
who_breaks_the_rules_is_told(void **state)
{
	static const uint8_t worse[] = {0xa6, 0x06, 1, 1, 2, 2, 1, 1};
	struct view v, text;
	struct frame f;

	(void)state;
	lanes_join();
	open_with(&here, 1000, false);
	UNTIL(there.n_lanes == 1 && there.lanes[0].in.len == 1000);
	assert_int_equal(
	    outq_put(&here.out, (struct view){worse, sizeof(worse)}), OK);
	link_wake(here.link);
	UNTIL(there.downs == 1);
	assert_int_equal(there.end.kind, LINK_STRANGER);
	assert_string_equal(there.end.reason, "credit for a lane not opened");
	rig_close(&there, 0, "");
	UNTIL(here.downs == 1);
	v = buf_view(&here.in);
	assert_int_equal(frame_get(&v, SIZE_MAX, &f), OK);
	assert_int_equal(f.type, FRAME_GOAWAY);
	assert_int_equal(frame_text_get(f.body, &text), OK);
	assert_true(view_equal(text, view_of(there.end.reason)));
}

/* Also what its kernel has taken of a lane and it has not. */
static void
what_of_a_lane_was_not_read_stays_queued(void **state)
{
	struct rig_lane *n;

	(void)state;
	lanes_join();
	there.lazy = true; /* its own stream fills, and it reads no more */
	rig_send_frame(&here, QUICLINK_WINDOW);
	UNTIL(there.in.len >= QUICLINK_WINDOW - 1000);
	turns_run(rig_loop, 20);
	n = open_with(&here, 50000, false);
	UNTIL(n->out.unsent == 0);
	turns_run(rig_loop, 50);
	assert_int_equal(n->out.bytes, 50000);
	there.lazy = false;
	rig_consume(&there);
	UNTIL(n->out.bytes == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bytes_go_both_ways_in_order),
	    TEST(a_fin_comes_after_everything_and_the_other_way_stays_open),
	    TEST(a_stranger_may_send_little_until_the_link_is_widened),
	    TEST(who_does_not_consume_is_not_sent_more),
	    TEST(nothing_is_acknowledged_before_it_is_read),
	    TEST(what_was_read_is_acknowledged_before_long),
	    TEST(what_a_peer_leaves_unread_is_never_acknowledged),
	    TEST(what_a_lost_peer_never_got_stays_queued),
	    TEST(what_a_peer_sent_before_it_went_is_read_to_the_end),
	    TEST(a_peer_that_only_sends_is_not_heard_for_ever),
	    TEST(a_closed_gate_stops_and_does_not_spin),
	    TEST(who_is_evicted_is_told_by_a_goaway),
	    TEST(who_is_sent_away_to_come_back_just_sees_the_end),
	    TEST(a_link_may_be_closed_from_any_callback),
	    TEST(a_pipe_is_read_to_its_end),
	    TEST(a_pipe_is_finished_when_all_is_written),
	    TEST(without_output_a_link_is_finished_at_once),
	    TEST(a_closed_output_is_noticed_while_nothing_is_written),
	    TEST(
		an_output_that_cannot_be_written_is_told_from_one_without_a_reader),
	    TEST(an_input_that_cannot_be_read_is_our_own_trouble),
	    TEST(what_cannot_be_opened_is_no_link),
	    TEST(who_is_not_there_is_gone),
	    TEST(who_takes_nobody_does_not_hold_us_up),
	    TEST(without_memory_there_is_no_link_and_no_descriptor_left),
	    LANE_CASES,
	    TEST(a_link_with_lanes_ends_when_both_sides_have),
	    TEST(a_peer_that_goes_with_its_lanes_open_is_lost),
	    TEST(who_breaks_the_rules_is_told),
	    TEST(what_of_a_lane_was_not_read_stays_queued),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
