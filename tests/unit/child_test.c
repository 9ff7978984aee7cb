/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "base/err.h"
#include "faults.h"
#include "net/child.h"

extern char **environ;

static struct loop *l;
static int exits;
static int in, out;
static struct child *started;

static int
setup(void **state)
{
	(void)state;
	exits = 0;
	in = out = -1;
	return loop_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	child_free(started);
	started = NULL;
	if (in != -1)
		close(in);
	if (out != -1)
		close(out);
	loop_free(l);
	return 0;
}

static void
on_exited(void *arg, int status)
{
	exits++;
	if (arg != NULL)
		*(int *)arg = status;
	loop_stop(l, status);
}

/* Start a shell that does what script says. */
static struct child *
start(const char *script, bool pipe_in, bool pipe_out)
{
	char *argv[] = {
	    (char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
	struct child_conf conf = {.argv = argv,
	    .envp = environ,
	    .pipe_in = pipe_in,
	    .pipe_out = pipe_out};
	struct child *c = NULL;

	assert_int_equal(
	    child_spawn(&c, l, &conf, &in, &out, on_exited, NULL), OK);
	assert_int_equal(in != -1, pipe_in);
	assert_int_equal(out != -1, pipe_out);
	assert_true(child_pid(c) > 0);
	started = c; /* freed by teardown() if the test fails */
	return c;
}

static void
finish(struct child *c, int status)
{
	assert_int_equal(loop_run(l), status);
	assert_int_equal(exits, 1);
	assert_int_equal(child_pid(c), 0);
	child_kill(c, SIGKILL); /* nothing to kill any more */
	child_free(c);
	started = NULL;
}

/* Read fd to its end. */
static const char *
read_all(int fd)
{
	static char text[4096];
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

static void
the_status_is_as_a_shell_shows_it(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {
	    {"exit 0", 0},
	    {"exit 7", 7},
	    {"exit 255", 255},
	    {"kill -9 $$", 137},
	    {"kill -TERM $$", 143},
	    {"ulimit -c 0; kill -ABRT $$", 134},
	};
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		finish(start(cases[i].script, false, false), cases[i].status);
		teardown(state);
		setup(state);
	}
}

static void
a_command_that_cannot_be_started_is_an_error(void **state)
{
	static const struct {
		const char *command;
		int want;
	} cases[] = {
	    {"no-such-command-anywhere", ERR_NONE},
	    {"/no/such/command", ERR_NONE},
	    {"/", ERR_SYS},
	    {"/etc/passwd", ERR_SYS},
	};
	struct child_conf conf = {
	    .envp = environ, .pipe_in = true, .pipe_out = true};
	struct child *c = NULL;
	char *argv[2] = {0};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		argv[0] = (char *)(uintptr_t)cases[i].command;
		conf.argv = argv;
		assert_int_equal(
		    child_spawn(&c, l, &conf, &in, &out, on_exited, NULL),
		    cases[i].want);
		assert_null(c);
		assert_int_equal(in, -1);
		assert_int_equal(out, -1);
	}
}

static void
its_pipes_carry_input_and_output(void **state)
{
	struct child *c = start("cat; echo end", true, true);

	(void)state;
	assert_int_equal(fcntl(in, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(out, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(in, "hello\n", 6), 6);
	close(in);
	in = -1;
	assert_string_equal(read_all(out), "hello\nend\n");
	finish(c, 0);
}

/* Move what is open as 0 and 1 away, and back. */
static int kept[2];

static void
keep_standard(void)
{
	kept[0] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	kept[1] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
}

static void
restore_standard(void)
{
	dup2(kept[0], STDIN_FILENO);
	dup2(kept[1], STDOUT_FILENO);
	close(kept[0]);
	close(kept[1]);
}

static void
pipes_work_where_standard_descriptors_are_closed(void **state)
{
	struct child *c;
	char text[16];
	ssize_t n, put;

	(void)state;
	keep_standard();
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	c = start("cat", true, true);
	put = write(in, "x", 1);
	close(in);
	in = -1;
	n = read(out, text, sizeof(text));
	finish(c, 0); /* which may use those numbers itself */
	restore_standard();
	assert_int_equal(put, 1);
	assert_int_equal(n, 1);
}

static void
without_pipes_it_reads_nothing_and_writes_to_our_output(void **state)
{
	struct child *c;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	keep_standard();
	dup2(fds[1], STDOUT_FILENO);
	c = start("test -c /dev/stdin && cat && echo nothing", false, false);
	restore_standard();
	close(fds[1]);
	assert_string_equal(read_all(fds[0]), "nothing\n");
	close(fds[0]);
	finish(c, 0);
}

static void
it_leads_a_process_group(void **state)
{
	struct child *c = start("read x", true, false);

	(void)state;
	assert_int_equal(getpgid(child_pid(c)), child_pid(c));
	close(in);
	in = -1;
	finish(c, 1);
}

static void
its_signals_are_the_defaults_and_none_is_held(void **state)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
	unsigned long long blocked, ignored;
	sigset_t set, old;
	struct child *c;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	sigaction(SIGPIPE, &ignore, &was);
	c = start(
	    "exec grep -E '^Sig(Blk|Ign)' /proc/self/status", false, true);
	sigaction(SIGPIPE, &was, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(sscanf(read_all(out), "SigBlk: %llx SigIgn: %llx",
			     &blocked, &ignored),
	    2);
	assert_int_equal(blocked, 0);
	/* The C library has two of its own ignored. */
	assert_int_equal(ignored & ~(3ull << 31), 0);
	finish(c, 0);
}

static void
it_has_no_descriptor_but_the_standard_ones(void **state)
{
	int low = dup(STDERR_FILENO); /* as if we had been started with them */
	int high = fcntl(STDERR_FILENO, F_DUPFD, 200);
	struct child *c = start("exec ls /proc/self/fd", true, true);

	(void)state;
	close(low);
	close(high);
	/* The last one is what ls(1) lists the folder by. */
	assert_string_equal(read_all(out), "0\n1\n2\n3\n");
	finish(c, 0);
}

static void
its_environment_is_the_one_given(void **state)
{
	char *argv[] = {(char[]){"env"}, NULL};
	char *envp[] = {(char[]){"A=1"}, (char[]){"YOMO_TAG=0x33"}, NULL};
	struct child_conf conf = {.argv = argv, .envp = envp, .pipe_out = true};
	struct child *c;

	(void)state;
	assert_int_equal(
	    child_spawn(&c, l, &conf, &in, &out, on_exited, NULL), OK);
	assert_string_equal(read_all(out), "A=1\nYOMO_TAG=0x33\n");
	finish(c, 0);
}

static void
a_signal_reaches_the_whole_group(void **state)
{
	struct child *c =
	    start("sleep 1000 & echo up; wait; echo not me", false, true);
	char up[3];

	(void)state;
	assert_int_equal(read(out, up, 3), 3);
	child_kill(c, SIGTERM);
	/* The end comes only when the last of them has gone. */
	assert_string_equal(read_all(out), "");
	finish(c, 143);
}

static void
freeing_kills_and_reaps(void **state)
{
	static const char *const scripts[] = {
	    "sleep 1000 & echo up; wait",
	    "trap '' TERM INT HUP; echo up; sleep 1000",
	    "echo up; kill -STOP $$",
	};
	struct child *c;
	char up[3];
	size_t i;
	pid_t pid;

	for (i = 0; i < COUNT(scripts); i++) {
		c = start(scripts[i], false, true);
		assert_int_equal(read(out, up, 3), 3);
		pid = child_pid(c);
		child_free(c);
		started = NULL;
		assert_string_equal(read_all(out), "");
		assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		assert_int_equal(exits, 0);
		teardown(state);
		setup(state);
	}
}

static struct child *mine;

static void
free_it(void *arg, int status)
{
	(void)arg;
	child_free(mine);
	loop_stop(l, status);
}

static void
it_may_be_freed_when_it_exits(void **state)
{
	char *argv[] = {(char[]){"false"}, NULL};
	struct child_conf conf = {.argv = argv, .envp = environ};

	(void)state;
	assert_int_equal(
	    child_spawn(&mine, l, &conf, &in, &out, free_it, NULL), OK);
	assert_int_equal(loop_run(l), 1);
}

static void
its_status_is_known_though_we_were_to_ignore_children(void **state)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, was;

	(void)state;
	sigaction(SIGCHLD, &ignore, &was);
	finish(start("exit 9", false, false), 9);
	sigaction(SIGCHLD, &was, NULL);
}

#define MANY 30

static void
each_of_many_tells_its_own_status(void **state)
{
	struct child *c[MANY];
	int status[MANY], i, fd;
	char script[] = "exit $0", number[4];
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, number, NULL};
	struct child_conf conf = {.argv = argv, .envp = environ};

	(void)state;
	for (i = 0; i < MANY; i++) {
		snprintf(number, sizeof(number), "%d", i);
		assert_int_equal(child_spawn(&c[i], l, &conf, &in, &fd,
				     on_exited, &status[i]),
		    OK);
	}
	while (exits < MANY)
		loop_run(l);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(status[i], i);
		child_free(c[i]);
	}
}

static void
without_memory_nothing_is_left_behind(void **state)
{
	char *argv[] = {(char[]){"cat"}, NULL};
	struct child_conf conf = {
	    .argv = argv, .envp = environ, .pipe_in = true, .pipe_out = true};
	struct child *c = NULL;
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		faults_at(n);
		r = child_spawn(&c, l, &conf, &in, &out, on_exited, NULL);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		assert_int_equal(c == NULL, hit);
		child_free(c);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_status_is_as_a_shell_shows_it),
	    TEST(a_command_that_cannot_be_started_is_an_error),
	    TEST(its_pipes_carry_input_and_output),
	    TEST(pipes_work_where_standard_descriptors_are_closed),
	    TEST(without_pipes_it_reads_nothing_and_writes_to_our_output),
	    TEST(it_leads_a_process_group),
	    TEST(its_signals_are_the_defaults_and_none_is_held),
	    TEST(it_has_no_descriptor_but_the_standard_ones),
	    TEST(its_environment_is_the_one_given),
	    TEST(a_signal_reaches_the_whole_group),
	    TEST(freeing_kills_and_reaps),
	    TEST(it_may_be_freed_when_it_exits),
	    TEST(its_status_is_known_though_we_were_to_ignore_children),
	    TEST(each_of_many_tells_its_own_status),
	    TEST(without_memory_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
