/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/common.h"
#include "conf/exit.h"
#include "conf/opts.h"
#include "faults.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define ARGS_MAX 12
#define SAID_MAX 16384

/* A program with an option of every kind. */
struct toy {
	struct common_conf common;
	uint32_t number;
	uint64_t size;
	uint64_t time;
	struct opt_list words;
	struct tag_set tags;
	struct opt_secrets tokens;
	uint32_t wait;
	char called[64];
};

/* "a", "b": puts its values behind each other. */
static int
parse_call(void *conf, const char *value, const char **why)
{
	struct toy *t = conf;
	size_t used;

	if (strcmp(value, "bad") == 0) {
		*why = "not what call wants";
		return ERR_BAD;
	}
	used = strlen(t->called);
	snprintf(t->called + used, sizeof(t->called) - used, "%s", value);
	return OK;
}

#define AT(field) offsetof(struct toy, field)

static const struct opt toy_opts[] = {
    {'b', "number", OPT_U32, AT(number), "N", "a number", NULL},
    {0, "size", OPT_SIZE, AT(size), "BYTES", "a size", NULL},
    {0, "every", OPT_DURATION, AT(time), "TIME", "a duration", NULL},
    {'w', "word", OPT_LIST, AT(words), "WORD", "a word", NULL},
    {'t', "tag", OPT_TAGS, AT(tags), "TAGS", "tags", NULL},
    {0, "token", OPT_SECRETS, AT(tokens), "TOKEN-OF-A-LONG-NAME",
	"a help that is longer than what is left of the line goes on below",
	NULL},
    {0, "call", OPT_CALL, 0, "TEXT", "a call", parse_call},
    {0, "wait", OPT_U32, AT(wait), "[=N]", "a number, or none", NULL},
    COMMON_CLIENT_OPTS,
    COMMON_OPTS,
    {0},
};

static const struct opt_program toy_program = {
    .name = "toy",
    .synopsis = "[options] [--] [COMMAND [ARG...]]",
    .purpose = "A program with an option of every kind.",
    .opts = toy_opts,
};

static struct toy
toy_defaults(void)
{
	return (struct toy){.common = COMMON_DEFAULTS};
}

static void
toy_fini(struct toy *t)
{
	opts_fini(&toy_program, t, NULL);
}

/* A command line that may be written to, as main() has it. */
struct args {
	int n;
	char *v[ARGS_MAX + 1];
};

static struct args
args_of(const char *const *words)
{
	struct args a = {.n = 1, .v = {NULL}};

	assert_non_null(a.v[0] = strdup("toy"));
	for (; a.n < ARGS_MAX && words[a.n - 1] != NULL; a.n++)
		assert_non_null(a.v[a.n] = strdup(words[a.n - 1]));
	return a;
}

static void
args_fini(struct args *a)
{
	while (a->n > 0)
		free(a->v[--a->n]);
}

/* Read words into *t; return the first operand, or NULL. */
static const char *
read_words(struct toy *t, const char *const *words)
{
	static char operand_text[64];
	struct args a = args_of(words);
	int operand;

	*t = toy_defaults();
	opts_read(&toy_program, t, a.n, a.v, &operand);
	snprintf(operand_text, sizeof(operand_text), "%s",
	    operand < a.n ? a.v[operand] : "");
	args_fini(&a);
	return operand_text[0] != '\0' ? operand_text : NULL;
}

#define READ(t, ...) read_words(t, (const char *const[]){__VA_ARGS__, NULL})

/* What this test does when it is started as "toy". */
static int
toy_main(int argc, char *argv[])
{
	struct toy t = toy_defaults();
	int operand;

	opts_read(&toy_program, &t, argc, argv, &operand);
	common_apply(&t.common);
	toy_fini(&t);
	opts_forget();
	return EXIT_OK;
}

/* Start it: its exit status, and what it said on stdout and stderr. */
static int
run_words(char said[SAID_MAX], const char *const *words)
{
	posix_spawn_file_actions_t fa;
	struct args a = args_of(words);
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, fds[1], STDERR_FILENO);
	assert_int_equal(
	    posix_spawn(&pid, "/proc/self/exe", &fa, NULL, a.v, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	args_fini(&a);
	close(fds[1]);
	while ((n = read(fds[0], said + len, SAID_MAX - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RUN(said, ...) run_words(said, (const char *const[]){__VA_ARGS__, NULL})

static int
read_json(struct toy *t, const char *text)
{
	*t = toy_defaults();
	return opts_read_text(&toy_program, t, "x.json", text, strlen(text));
}

static void
every_kind_is_read_from_the_line(void **state)
{
	struct toy t;

	(void)state;
	assert_null(READ(&t, "-b", "0x10", "--size=2K", "--every", "0.5",
	    "-vvq", "--log-format=json", "-n", "me", "--insecure"));
	assert_int_equal(t.number, 16);
	assert_int_equal(t.size, 2048);
	assert_int_equal(t.time, 500000000);
	assert_int_equal(t.common.verbosity, 2);
	assert_true(t.common.quiet);
	assert_int_equal(t.common.log_format, COMMON_LOG_JSON);
	assert_string_equal(t.common.name, "me");
	assert_true(t.common.insecure);
	toy_fini(&t);

	assert_null(READ(&t, "-wone", "-w", "two", "-t1,2", "-t", "3",
	    "--call=a", "--call=b"));
	assert_int_equal(t.words.n, 2);
	assert_string_equal(t.words.v[0], "one");
	assert_string_equal(t.words.v[1], "two");
	assert_null(t.words.v[2]);
	assert_int_equal(tag_set_count(&t.tags), 3);
	assert_string_equal(t.called, "ab");
	toy_fini(&t);
}

static void
a_value_may_be_left_out_where_that_has_a_meaning(void **state)
{
	struct toy t;

	(void)state;
	assert_string_equal(READ(&t, "--wait", "2"), "2");
	assert_int_equal(t.wait, 1);
	toy_fini(&t);
	assert_null(READ(&t, "--wait=2"));
	assert_int_equal(t.wait, 2);
	toy_fini(&t);
}

static void
every_kind_is_read_from_a_file(void **state)
{
	struct toy t;

	(void)state;
	assert_int_equal(
	    read_json(&t,
		"{\"number\":16,\"size\":\"2K\",\"every\":0.5,\"verbose\":2,"
		"\"quiet\":true,\"log-format\":\"json\",\"name\":\"me\","
		"\"insecure\":false,\"word\":[\"one\",\"two\"],"
		"\"tag\":[51,\"0x40-0x41\"],\"call\":\"a\","
		"\"token\":\"s\",\"credential\":\"token:t\"}"),
	    OK);
	assert_int_equal(t.number, 16);
	assert_int_equal(t.size, 2048);
	assert_int_equal(t.time, 500000000);
	assert_int_equal(t.common.verbosity, 2);
	assert_true(t.common.quiet);
	assert_int_equal(t.common.log_format, COMMON_LOG_JSON);
	assert_string_equal(t.common.name, "me");
	assert_false(t.common.insecure);
	assert_int_equal(t.words.n, 2);
	assert_string_equal(t.words.v[1], "two");
	assert_int_equal(tag_set_count(&t.tags), 3);
	assert_string_equal(t.called, "a");
	assert_string_equal(t.tokens.v[0], "s");
	assert_string_equal(t.common.credential, "token:t");
	toy_fini(&t);
}

static void
a_malformed_file_is_refused(void **state)
{
	static const char *const cases[] = {
	    "",
	    "[]",
	    "\"a\"",
	    "{\"name\":\"me\"} x",
	    "{\"name\":\"me\"}{}",
	    "{\"nmae\":\"me\"}",
	    "{\"Name\":\"me\"}",
	    "{\"na\":\"me\"}",
	    "{\"name\":\"a\",\"name\":\"a\"}",
	    "{\"name\":\"\\u0000\"}",
	    "{\"name\":5}",
	    "{\"name\":null}",
	    "{\"name\":[\"a\"]}",
	    "{\"name\":{}}",
	    "{\"quiet\":\"true\"}",
	    "{\"quiet\":1}",
	    "{\"verbose\":true}",
	    "{\"verbose\":-1}",
	    "{\"number\":1.5}",
	    "{\"number\":-1}",
	    "{\"number\":1e300}",
	    "{\"number\":4294967296}",
	    "{\"number\":true}",
	    "{\"size\":9007199254740992}",
	    "{\"size\":\"2X\"}",
	    "{\"every\":\"soon\"}",
	    "{\"word\":[\"a\",1]}",
	    "{\"word\":[[\"a\"]]}",
	    "{\"tag\":[\"x\"]}",
	    "{\"tag\":-1}",
	    "{\"call\":\"bad\"}",
	    "{\"call\":[true]}",
	    "{\"token\":5}",
	    "{\"log-format\":\"xml\"}",
	    "{\"log-format\":\"tex\"}",
	    "{\"log-format\":\"text|json\"}",
	    "{\"log-format\":\"\"}",
	    "{\"zipper\":\"https://x\"}",
	    "{\"config\":\"y.json\"}",
	    "{\"help\":true}",
	    "{\"version\":true}",
	};
	struct toy t;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (read_json(&t, cases[i]) != ERR_BAD)
			fail_msg("accepted: %s", cases[i]);
		toy_fini(&t);
	}
}

static void
the_line_wins_over_the_file_wherever_it_is_named(void **state)
{
	static const char text[] =
	    "{\"number\":1,\"size\":1,\"word\":[\"a\",\"b\"],\"tag\":1,"
	    "\"call\":\"file\",\"verbose\":2}";
	char name[] = "/tmp/opts_test.XXXXXX";
	struct toy t;
	int fd, i;

	(void)state;
	assert_true((fd = mkstemp(name)) >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	for (i = 0; i < 2; i++) {
		if (i == 0)
			READ(&t, "-f", name, "-b2", "-wc", "-t2", "--call=line",
			    "-v");
		else
			READ(&t, "-b2", "-wc", "-t2", "--call=line", "-v", "-f",
			    name);
		assert_int_equal(t.number, 2);
		assert_int_equal(t.size, 1);
		assert_int_equal(t.words.n, 1);
		assert_string_equal(t.words.v[0], "c");
		assert_true(tag_set_has(&t.tags, 2));
		assert_false(tag_set_has(&t.tags, 1));
		assert_string_equal(t.called, "line");
		assert_int_equal(t.common.verbosity, 1);
		assert_string_equal(t.common.config, name);
		toy_fini(&t);
	}

	unlink(name);
}

static void
put_file(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, len, 0), len);
}

static void
a_file_read_again_says_all_but_what_the_line_gave(void **state)
{
	char name[] = "/tmp/opts_test.XXXXXX";
	struct toy t, fresh;
	int fd;

	(void)state;
	assert_true((fd = mkstemp(name)) >= 0);
	put_file(fd, "{\"number\":1,\"size\":1,\"word\":[\"a\",\"b\"],"
		     "\"token\":[\"old\"],\"retry\":1}");
	READ(&t, "-f", name, "-b2", "-t", "7", "-d", "mine", "-z", "::1");

	/* what it does not say any more is as if it never had */
	put_file(fd, "{\"number\":5,\"token\":[\"new\"],\"word\":[\"c\"]}");
	fresh = t;
	assert_int_equal(opts_read_file(&toy_program, &fresh, name), OK);
	assert_int_equal(fresh.number, 2);
	assert_int_equal(fresh.size, 0);
	assert_int_equal(fresh.words.n, 1);
	assert_string_equal(fresh.words.v[0], "c");
	assert_int_equal(fresh.tokens.n, 1);
	assert_string_equal(fresh.tokens.v[0], "new");
	assert_true(fresh.common.retry_ns == VALUES_FOREVER);
	assert_string_equal(fresh.common.credential, "mine");
	assert_true(tag_set_has(&fresh.tags, 7));
	assert_ptr_equal(fresh.common.zippers.v, t.common.zippers.v);
	assert_string_equal(t.tokens.v[0], "old");
	opts_fini(&toy_program, &t, &fresh);
	t = fresh;
	assert_string_equal(t.common.credential, "mine");

	/* what is wrong changes nothing */
	put_file(fd, "{\"token\":[\"x\",\"y\"],\"word\":[],\"nope\":1}");
	assert_int_equal(opts_read_file(&toy_program, &fresh, name), ERR_BAD);
	opts_fini(&toy_program, &fresh, &t);
	assert_int_equal(t.tokens.n, 1);
	assert_string_equal(t.tokens.v[0], "new");
	assert_true(tag_set_has(&t.tags, 7));

	close(fd);
	unlink(name);
	fresh = t;
	assert_int_equal(opts_read_file(&toy_program, &fresh, name), ERR_SYS);
	opts_fini(&toy_program, &fresh, &t);
	toy_fini(&t);
}

static void
options_end_at_the_first_operand(void **state)
{
	struct toy t;

	(void)state;
	assert_string_equal(READ(&t, "-v", "grep", "-v", "-b", "x"), "grep");
	assert_int_equal(t.common.verbosity, 1);
	assert_string_equal(READ(&t, "-v", "--", "-b", "x"), "-b");
	assert_string_equal(READ(&t, "-", "-v"), "-");
	assert_int_equal(t.common.verbosity, 0);
	assert_null(READ(&t, "--"));
}

static void
a_beginning_of_a_long_option_will_do(void **state)
{
	struct toy t;

	(void)state;
	READ(&t, "--num=3", "--log=json");
	assert_int_equal(t.number, 3);
	assert_int_equal(t.common.log_format, COMMON_LOG_JSON);
}

static void
secrets_leave_the_command_line(void **state)
{
	const char *const words[] = {"-d", "token:hidden", "--token=secret",
	    "--token", "@/etc/tokens", NULL};
	struct toy t = toy_defaults();
	struct args a = args_of(words);
	int operand;

	(void)state;
	opts_read(&toy_program, &t, a.n, a.v, &operand);
	assert_string_equal(t.common.credential, "token:hidden");
	assert_string_equal(a.v[2], "");
	assert_string_equal(t.tokens.v[0], "secret");
	assert_string_equal(a.v[3], "--token=");
	assert_string_equal(t.tokens.v[1], "@/etc/tokens");
	assert_string_equal(a.v[5], "@/etc/tokens");
	args_fini(&a);
	toy_fini(&t);
}

static void
a_wrong_command_line_exits_64_and_says_why(void **state)
{
	static const struct {
		const char *words[4];
		const char *says;
	} cases[] = {
	    {{"-x"}, "toy: unknown option '-x'\n"},
	    {{"-vx"}, "toy: unknown option '-x'\n"},
	    {{"--nope"}, "toy: unknown option '--nope'"},
	    {{"--credental=secret"}, "toy: unknown option '--credental',"},
	    {{"--c"}, "toy: unknown option '--c', or short for several\n"},
	    {{"-b"}, "toy: --number needs a value: N\n"},
	    {{"--number"}, "toy: --number needs a value: N\n"},
	    {{"--quiet=yes"}, "toy: --quiet takes no value\n"},
	    {{"-b", "ten"}, "toy: --number: 'ten' is not a number from 0"},
	    {{"--size=1X"}, "toy: --size: '1X' is not a size such as"},
	    {{"--every", "x"}, "toy: --every: 'x' is not a duration"},
	    {{"-t", "9-1"}, "toy: --tag: '9-1' is not a list of tags"},
	    {{"--log-format=xml"},
		"toy: --log-format: 'xml' is not text|json\n"},
	    {{"--call", "bad"}, "toy: --call: not what call wants\n"},
	    {{"-z", "a b"}, "toy: --zipper: 'a b': not HOST, HOST:PORT"},
	    {{"-z", "host:0"}, "toy: --zipper: 'host:0': not HOST, HOST:PORT"},
	    {{"-R", "99"}, "toy: --ready-fd: this descriptor is not open\n"},
	    {{"-R", "x"}, "toy: --ready-fd: not the number of a descriptor"},
	    {{"-fa", "-fb"}, "toy: --config is given twice\n"},
	    {{"--cert", "x"}, "toy: --cert and --key go together\n"},
	    {{"--ca", "x", "--insecure"}, "toy: --insecure contradicts --ca"},
	};
	char said[SAID_MAX];
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		r = run_words(said, cases[i].words);
		if (r != EXIT_USAGE ||
		    strncmp(said, cases[i].says, strlen(cases[i].says)) != 0 ||
		    strstr(said, "\ntoy: try 'toy --help'\n") == NULL)
			fail_msg("%s: %d, %s", cases[i].words[0], r, said);
	}
}

static void
a_wrong_file_exits_78_and_names_file_and_key(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"{\n\n x}", "': line 3 is not valid JSON\n"},
	    {"[]", "': is not a JSON object\n"},
	    {"{\"zap\":1}", "': unknown key 'zap'\n"},
	    {"{\"help\":true}", "': key 'help' is for the command line only"},
	    {"{\"tag\":1,\"tag\":1}", "': key 'tag' stands there twice\n"},
	    {"{\"quiet\":1}", "': key 'quiet': must be true or false\n"},
	    {"{\"size\":\"x\"}", "': key 'size': 'x' is not a size such as"},
	};
	char name[] = "/tmp/opts_test.XXXXXX";
	char said[SAID_MAX];
	size_t i;
	int fd, r;

	(void)state;
	assert_true((fd = mkstemp(name)) >= 0);
	for (i = 0; i < N(cases); i++) {
		put_file(fd, cases[i].text);
		r = RUN(said, "-f", name);
		if (r != EXIT_CONFIG || strstr(said, name) == NULL ||
		    strstr(said, cases[i].says) == NULL)
			fail_msg("%s: %d, %s", cases[i].text, r, said);
	}
	/* a file that never ends is not read for ever */
	assert_int_equal(RUN(said, "-f", "/dev/zero"), EXIT_CONFIG);
	assert_non_null(strstr(said, "'/dev/zero': is over 1048576 bytes\n"));
	close(fd);
	unlink(name);
	assert_int_equal(RUN(said, "-f", name), EXIT_CONFIG);
	assert_non_null(strstr(said, ": No such file or directory\n"));
}

static void
help_fits_the_screen_and_shows_every_option(void **state)
{
	char said[SAID_MAX], word[64];
	char *line, *save = NULL;
	const struct opt *o;

	(void)state;
	assert_int_equal(RUN(said, "-f", "/no/file", "-b1", "--help"), EXIT_OK);
	assert_memory_equal(said, "usage: toy [options]", 20);
	for (o = toy_opts; o->name != NULL; o++) {
		snprintf(word, sizeof(word), "--%s", o->name);
		if (strstr(said, word) == NULL)
			fail_msg("help lacks %s", word);
	}
	assert_non_null(strstr(said, "\n  -z, --zipper ADDR"));
	assert_non_null(strstr(said, "\n      --ca FILE"));
	assert_non_null(strstr(said, "\n      --wait[=N] "));
	assert_non_null(strstr(said, "-NAME\n                            "
				     "  a help that is longer than"));
	line = strtok_r(said, "\n", &save);
	for (; line != NULL; line = strtok_r(NULL, "\n", &save))
		if (strlen(line) > 79)
			fail_msg("too wide: %s", line);
}

static void
version_is_one_line(void **state)
{
	char said[SAID_MAX];

	(void)state;
	assert_int_equal(RUN(said, "--version"), EXIT_OK);
	assert_string_equal(said, "toy " OPTS_VERSION "\n");
}

static void
no_memory_is_told_and_nothing_leaks(void **state)
{
	static const char text[] =
	    "{\"name\":\"x\",\"word\":[\"x\",\"y\"],\"tag\":[1,\"5,9\"],"
	    "\"call\":\"z\",\"token\":[\"s\",\"t\"],\"credential\":\"c\","
	    "\"zipper\":\"::1\"}";
	bool hit = true;
	struct toy t;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		opts_forget();
		faults_at(n);
		r = read_json(&t, text);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		toy_fini(&t);
	}
	assert_true(n > 10);
}

static void
reading_again_takes_no_more_memory(void **state)
{
	static const char text[] = "{\"name\":\"x\",\"word\":[\"x\",\"y\"]}";
	struct toy t, again;

	(void)state;
	assert_int_equal(read_json(&t, text), OK);
	assert_int_equal(read_json(&again, text), OK);
	assert_ptr_equal(t.common.name, again.common.name);
	assert_ptr_equal(t.words.v, again.words.v);
}

static void
verbose_wins_over_quiet(void **state)
{
	static const struct {
		const char *words[3];
		enum log_level want;
	} cases[] = {
	    {{"-b1"}, LOG_INFO},
	    {{"-q"}, LOG_ERROR},
	    {{"-v"}, LOG_DEBUG},
	    {{"-vq"}, LOG_DEBUG},
	    {{"-v", "-v"}, LOG_TRACE},
	    {{"-vvvv"}, LOG_TRACE},
	};
	struct toy t;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		read_words(&t, cases[i].words);
		common_apply(&t.common);
		assert_int_equal(log_level(), cases[i].want);
	}
	log_set_level(LOG_INFO);
}

static int
forget(void **state)
{
	(void)state;
	opts_forget();
	return 0;
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_is_read_from_the_line),
	    cmocka_unit_test(a_value_may_be_left_out_where_that_has_a_meaning),
	    cmocka_unit_test_setup(every_kind_is_read_from_a_file, forget),
	    cmocka_unit_test_setup(a_malformed_file_is_refused, forget),
	    cmocka_unit_test(the_line_wins_over_the_file_wherever_it_is_named),
	    cmocka_unit_test(a_file_read_again_says_all_but_what_the_line_gave),
	    cmocka_unit_test(options_end_at_the_first_operand),
	    cmocka_unit_test(a_beginning_of_a_long_option_will_do),
	    cmocka_unit_test(secrets_leave_the_command_line),
	    cmocka_unit_test(a_wrong_command_line_exits_64_and_says_why),
	    cmocka_unit_test(a_wrong_file_exits_78_and_names_file_and_key),
	    cmocka_unit_test(help_fits_the_screen_and_shows_every_option),
	    cmocka_unit_test(version_is_one_line),
	    cmocka_unit_test_setup(no_memory_is_told_and_nothing_leaks, forget),
	    cmocka_unit_test(reading_again_takes_no_more_memory),
	    cmocka_unit_test(verbose_wins_over_quiet),
	};

	if (strcmp(argv[0], "toy") == 0)
		return toy_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, forget);
}
