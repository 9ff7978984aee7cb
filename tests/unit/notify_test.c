/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/notify.h"

static char dir[64];

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/notify.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* The manager's side: a socket, and NOTIFY_SOCKET that names it. */
static int
manage(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd;

	memcpy(sun.sun_path, name, len);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static const char *
told(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
hear_all(const char *name)
{
	uint64_t before, said, after;
	struct timespec ts;
	struct notify n;
	int fd = manage(name);

	notify_init(&n);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(fcntl(n.fd, F_GETFD), FD_CLOEXEC);
	notify_ready(&n, "listening on 127.0.0.1:9000");
	assert_string_equal(
	    told(fd), "READY=1\nSTATUS=listening on 127.0.0.1:9000");

	clock_gettime(CLOCK_MONOTONIC, &ts);
	before = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	notify_reloading(&n);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	after = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	assert_int_equal(
	    sscanf(told(fd), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &said), 1);
	assert_true(before <= said && said <= after);

	notify_stopping(&n);
	assert_string_equal(told(fd), "STOPPING=1");
	assert_string_equal(told(fd), "");
	notify_fini(&n);
	notify_fini(&n);
	close(fd);
}

static void
a_manager_is_told(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", dir);
	hear_all(path);
	unlink(path);
}

static void
a_manager_with_an_abstract_socket_is_told(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@yomo-notify-test/%d", (int)getpid());
	hear_all(name);
}

static void
a_status_is_one_line(void **state)
{
	static char endless[5000];
	struct notify n;
	char path[128];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = manage(path);
	notify_init(&n);
	notify_ready(&n, "one\nMAINPID=1");
	assert_string_equal(told(fd), "READY=1\nSTATUS=one");
	memset(endless, 'x', sizeof(endless) - 1);
	notify_ready(&n, endless);
	assert_in_range(strlen(told(fd)), 100, 1000);
	notify_fini(&n);
	close(fd);
	unlink(path);
}

static void
without_a_manager_nothing_happens(void **state)
{
	static char lengthy[200];
	const char *const names[] = {
	    NULL, "", "/", "@", "relative", "vsock:2:1", "/no/such", lengthy};
	struct notify n;
	size_t i;

	(void)state;
	memset(lengthy, '/', sizeof(lengthy) - 1);
	for (i = 0; i < COUNT(names); i++) {
		unsetenv("NOTIFY_SOCKET");
		if (names[i] != NULL)
			setenv("NOTIFY_SOCKET", names[i], 1);
		notify_init(&n);
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready(&n, "x");
		notify_reloading(&n);
		notify_stopping(&n);
		notify_fini(&n);
	}
}

static void
a_manager_may_start_anew(void **state)
{
	struct notify n;
	char path[128];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = manage(path);
	notify_init(&n);
	close(fd);
	notify_ready(&n, "nobody hears");
	unlink(path);
	fd = manage(path);
	notify_stopping(&n);
	assert_string_equal(told(fd), "STOPPING=1");
	notify_fini(&n);
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_manager_is_told),
	    cmocka_unit_test(a_manager_with_an_abstract_socket_is_told),
	    cmocka_unit_test(a_status_is_one_line),
	    cmocka_unit_test(without_a_manager_nothing_happens),
	    cmocka_unit_test(a_manager_may_start_anew),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
