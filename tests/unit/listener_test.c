/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "unit.h"

#include "auth/auth.h"
#include "faults.h"
#include "link/pipelink.h"
#include "link_rig.h"

#define GUESTS 8

static int accept_errno;
static int accepts;

int
accept4(int fd, __SOCKADDR_ARG a, socklen_t *len, int flags)
{
	(void)a;
	accepts++;
	errno = accept_errno;
	return accept_errno != 0
		   ? -1
		   : (int)syscall(SYS_accept4, fd, NULL, len, flags);
}

static struct tls *server_tls, *client_tls;
static struct listener *listener;
static struct rig_end guests[GUESTS], callers[GUESTS];
static size_t n_guests;
static bool refuse;

static bool
on_accept(void *arg, struct link *l)
{
	struct rig_end *e = &guests[n_guests];

	assert_ptr_equal(arg, &listener);
	if (refuse || n_guests == GUESTS)
		return false;
	n_guests++;
	e->link = l;
	l->ops = &rig_ops;
	l->arg = e;
	l->out = &e->out;
	return true;
}

static const struct listener_ops callbacks = {.accept = on_accept};

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
	size_t i;

	(void)state;
	n_guests = 0;
	refuse = false;
	for (i = 0; i < GUESTS; i++) {
		rig_end_init(&guests[i]);
		rig_end_init(&callers[i]);
	}
	if (loop_new(&rig_loop) != OK)
		return -1;
	return listener_new(&listener, rig_loop, &conf, &callbacks, &listener);
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < GUESTS; i++) {
		rig_end_fini(&callers[i]);
		rig_end_fini(&guests[i]);
	}
	listener_free(listener);
	turns_run(rig_loop, 3);
	loop_free(rig_loop);
	assert_int_equal(slab_total(), 0);
	return 0;
}

static struct addr
address(const char *host, uint16_t port)
{
	struct addr a = {0};

	if (inet_pton(AF_INET, host, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
	} else {
		assert_int_equal(
		    inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
	}
	addr_set_port(&a, port);
	return a;
}

/* A caller who says a few bytes; it is in when a guest has them. */
static void
call(size_t i, const struct addr *at)
{
	rig_send(&callers[i], 0, 10);
	assert_int_equal(quiclink_dial(&callers[i].link, rig_loop, client_tls,
			     at->sa.sa_family == AF_INET ? "127.0.0.1" : "::1",
			     at, &callers[i].out, &rig_ops, &callers[i]),
	    OK);
}

static int
call_at(size_t i, const char *path)
{
	rig_send(&callers[i], 0, 10);
	return pipelink_dial(&callers[i].link, rig_loop, path, &callers[i].out,
	    &rig_ops, &callers[i]);
}

/* --- UDP --- */

static void
each_socket_gets_a_port_and_its_own_guests(void **state)
{
	struct addr at[3];
	size_t i;

	(void)state;
	at[0] = address("127.0.0.1", 0);
	at[1] = address("::1", 0);
	at[2] = address("127.0.0.1", 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(listener_udp(listener, &at[i]), OK);
		assert_int_not_equal(addr_port(&at[i]), 0);
	}
	for (i = 0; i < 3; i++)
		call(i, &at[i]);
	for (i = 0; i < 3; i++)
		UNTIL(guests[i].in.len == 10);
	for (i = 0; i < 3; i++) {
		rig_send(&guests[i], 0, 20);
		UNTIL(
		    callers[0].in.len + callers[1].in.len + callers[2].in.len ==
		    20 * (i + 1));
	}
	assert_int_equal(listener_counts(listener)->conns, 3);
	assert_int_equal(listener_counts(listener)->accepted, 3);
}

static void
a_wildcard_answers_from_where_it_was_called(void **state)
{
	struct addr at = address("0.0.0.0", 0), other;

	(void)state;
	assert_int_equal(listener_udp(listener, &at), OK);
	other = address("127.0.0.2", addr_port(&at));
	call(0, &other); /* whose socket hears nobody else */
	UNTIL(guests[0].in.len == 10);
	rig_send(&guests[0], 0, 1000);
	UNTIL(callers[0].in.len == 1000);
}

static void
what_cannot_be_bound_is_no_listener(void **state)
{
	struct addr at = address("127.0.0.1", 0), same, foreign;

	(void)state;
	assert_int_equal(listener_udp(listener, &at), OK);
	same = at;
	assert_int_equal(listener_udp(listener, &same), ERR_SYS);
	foreign = address("192.0.2.1", 0);
	assert_int_equal(listener_udp(listener, &foreign), ERR_NONE);
	call(0, &at); /* what is there goes on */
	UNTIL(guests[0].in.len == 10);
}

static void
who_stops_takes_nobody_new_and_keeps_who_is_here(void **state)
{
	struct addr at = address("127.0.0.1", 0);

	(void)state;
	assert_int_equal(listener_udp(listener, &at), OK);
	call(0, &at);
	UNTIL(guests[0].in.len == 10);
	listener_stop(listener);
	call(1, &at);
	UNTIL(callers[1].downs == 1);
	assert_int_equal(callers[1].end.kind, LINK_ABSENT);
	assert_int_equal(n_guests, 1);
	rig_send(&guests[0], 0, 1000);
	UNTIL(callers[0].in.len == 1000);
}

static void
another_certificate_is_for_those_who_come_later(void **state)
{
	const struct tls_server_conf conf = {0};
	struct addr at = address("127.0.0.1", 0);
	char folder[sizeof(rig_folder)];
	struct tls *other;

	(void)state;
	assert_int_equal(listener_udp(listener, &at), OK);
	call(0, &at);
	UNTIL(guests[0].in.len == 10);
	/* Of another key, which the client does not trust. */
	snprintf(folder, sizeof(folder), "%s", rig_folder);
	assert_int_equal(rig_make_folder(), 0);
	assert_int_equal(tls_server_new(&other, &conf), OK);
	rig_remove_folder();
	snprintf(rig_folder, sizeof(rig_folder), "%s", folder);
	setenv("STATE_DIRECTORY", rig_folder, 1);
	listener_set_tls(listener, other);
	call(1, &at);
	UNTIL(callers[1].downs == 1);
	assert_int_equal(callers[1].end.kind, LINK_UNTRUSTED);
	rig_send(&guests[0], 0, 1000);
	UNTIL(callers[0].in.len == 1000);
	listener_set_tls(listener, server_tls);
	tls_free(other);
}

static void
garbage_is_counted_and_answered_by_nobody(void **state)
{
	struct addr at = address("127.0.0.1", 0);
	uint8_t junk[1300] = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(listener_udp(listener, &at), OK);
	assert_int_equal(sendto(fd, junk, 10, 0, &at.sa, at.len), 10);
	assert_int_equal(
	    sendto(fd, junk, sizeof(junk), 0, &at.sa, at.len), sizeof(junk));
	assert_int_equal(sendto(fd, junk, 0, 0, &at.sa, at.len), 0);
	call(0, &at);
	UNTIL(guests[0].in.len == 10);
	assert_true(listener_counts(listener)->garbage >= 2);
	assert_int_equal(n_guests, 1);
	close(fd);
}

/* --- unix sockets --- */

static const char *
path(void)
{
	return rig_path("socket");
}

static int
listen_unix(mode_t mode)
{
	return listener_unix(listener, path(), mode, (gid_t)-1);
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	return st.st_mode & 07777;
}

static void
a_unix_socket_is_a_way_in(void **state)
{
	(void)state;
	assert_int_equal(listen_unix(0), OK);
	assert_int_equal(mode_of(path()), 0600);
	assert_int_equal(call_at(0, path()), OK);
	assert_int_equal(call_at(1, path()), OK);
	UNTIL(guests[0].in.len == 10 && guests[1].in.len == 10);
	rig_send(&guests[1], 0, 1000);
	UNTIL(callers[1].in.len == 1000);
}

static void
its_mode_is_as_asked_for(void **state)
{
	mode_t mask = umask(022);

	(void)state;
	assert_int_equal(listen_unix(0666), OK);
	assert_int_equal(mode_of(path()), 0666);
	assert_int_equal(umask(mask), 022); /* as it was */
}

static void
its_file_goes_with_it(void **state)
{
	(void)state;
	assert_int_equal(listen_unix(0), OK);
	listener_stop(listener);
	assert_int_equal(access(path(), F_OK), -1);
	assert_int_equal(call_at(0, path()), ERR_GONE);
}

static void
one_that_nobody_listens_on_any_more_is_replaced(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path());
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	assert_int_equal(listen_unix(0), OK);
	assert_int_equal(call_at(0, path()), OK);
	UNTIL(guests[0].in.len == 10);
}

static void
one_that_is_in_use_is_left_alone(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other;

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path());
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 0), 0);
	/* Also if so many wait at it that it takes no more. */
	other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    connect(other, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen_unix(0), ERR_SYS);
	assert_int_equal(access(path(), F_OK), 0);
	close(other);
	close(fd);
	unlink(path());
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	int fd = open(path(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(listen_unix(0), ERR_SYS);
	assert_int_equal(access(path(), F_OK), 0);
	unlink(path());
}

static void
where_no_socket_can_be_there_is_none(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(
	    listener_unix(listener, longest, 0, (gid_t)-1), ERR_SYS);
	assert_int_equal(
	    listener_unix(listener, "/nonexistent/socket", 0, (gid_t)-1),
	    ERR_SYS);
}

static void
who_is_not_accepted_sees_the_end(void **state)
{
	(void)state;
	refuse = true;
	assert_int_equal(listen_unix(0), OK);
	assert_int_equal(call_at(0, path()), OK);
	UNTIL(callers[0].downs + callers[0].fins > 0);
	assert_int_equal(n_guests, 0);
}

/* They stay at the door, which must not keep us busy. */
static void
without_descriptors_those_who_knock_wait(void **state)
{
	(void)state;
	assert_int_equal(listen_unix(0), OK);
	accept_errno = EMFILE;
	accepts = 0;
	assert_int_equal(call_at(0, path()), OK);
	turns_run(rig_loop, 50);
	assert_int_equal(accepts, 1);
	accept_errno = 0;
	UNTIL(n_guests == 1 && guests[0].in.len == 10);
}

static void
without_memory_there_is_no_way_in(void **state)
{
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		faults_at(n);
		r = listen_unix(0);
		hit = faults_hit();
		faults_off();
		assert_true(r == OK || hit);
		listener_stop(listener);
		assert_int_equal(access(path(), F_OK), -1);
	}
	assert_true(n > 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_socket_gets_a_port_and_its_own_guests),
	    TEST(a_wildcard_answers_from_where_it_was_called),
	    TEST(what_cannot_be_bound_is_no_listener),
	    TEST(who_stops_takes_nobody_new_and_keeps_who_is_here),
	    TEST(another_certificate_is_for_those_who_come_later),
	    TEST(garbage_is_counted_and_answered_by_nobody),
	    TEST(a_unix_socket_is_a_way_in),
	    TEST(its_mode_is_as_asked_for),
	    TEST(its_file_goes_with_it),
	    TEST(one_that_nobody_listens_on_any_more_is_replaced),
	    TEST(one_that_is_in_use_is_left_alone),
	    TEST(a_file_that_is_no_socket_is_left_alone),
	    TEST(where_no_socket_can_be_there_is_none),
	    TEST(who_is_not_accepted_sees_the_end),
	    TEST(without_descriptors_those_who_knock_wait),
	    TEST(without_memory_there_is_no_way_in),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
