/* SPDX-License-Identifier: ISC */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "base/log.h"

static int real_stderr, out[2];

static int
setup(void **state)
{
	(void)state;
	real_stderr = dup(STDERR_FILENO);
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    dup2(out[1], STDERR_FILENO) < 0)
		return -1;
	log_init("toy");
	log_set_level(LOG_INFO);
	log_set_json(false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(out[0]);
	close(out[1]);
	return 0;
}

/* What was written since the last time: static. */
static const char *
written(void)
{
	static char text[32768];
	ssize_t n = read(out[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
a_line_names_the_program(void **state)
{
	(void)state;
	log_error("cannot open '%s' %d times", "x", 3);
	assert_string_equal(written(), "toy: cannot open 'x' 3 times\n");
}

static void
what_errno_means_comes_last_and_errno_is_kept(void **state)
{
	(void)state;
	errno = ENOENT;
	log_sys("cannot open '%s'", "x");
	assert_string_equal(
	    written(), "toy: cannot open 'x': No such file or directory\n");
	assert_int_equal(errno, ENOENT);
}

static void
only_what_is_asked_for_is_said(void **state)
{
	enum log_level level;

	(void)state;
	for (level = LOG_ERROR; level <= LOG_TRACE; level++) {
		log_set_level(level);
		assert_int_equal(log_level(), level);
		log_error("e");
		log_info("i");
		log_debug("d");
		log_trace("t");
		assert_int_equal(
		    strlen(written()) / strlen("toy: e\n"), 1 + (int)level);
	}
}

/* A peer's name must not reach a terminal raw. */
static void
what_is_not_printable_is_escaped(void **state)
{
	(void)state;
	log_info("a\x1b[2J\n\t\x7f\xc3\xa4 z");
	assert_string_equal(
	    written(), "toy: a\\x1b[2J\\x0a\\x09\\x7f\\xc3\\xa4 z\n");
}

static void
a_json_line_is_one_object_whatever_it_says(void **state)
{
	char said[300];
	cJSON *line;
	int i;

	(void)state;
	for (i = 1; i < 256; i++)
		said[i - 1] = (char)i;
	said[255] = '\0';
	log_set_json(true);
	log_info("%s", said);
	line = cJSON_Parse(written());
	assert_non_null(line);
	assert_string_equal(
	    cJSON_GetObjectItem(line, "level")->valuestring, "info");
	assert_string_equal(
	    cJSON_GetObjectItem(line, "program")->valuestring, "toy");
	assert_true(cJSON_GetObjectItem(line, "ts")->valuedouble > 1.6e9);
	assert_memory_equal(
	    cJSON_GetObjectItem(line, "msg")->valuestring, said, 0x7e);
	cJSON_Delete(line);
}

static void
a_long_line_is_cut_and_still_one_line(void **state)
{
	static char said[10000];
	const char *text;
	int json;

	(void)state;
	memset(said, 1, sizeof(said) - 1);
	for (json = 0; json < 2; json++) {
		log_set_json(json != 0);
		errno = EIO;
		log_sys("%s", said);
		text = written();
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
		assert_true(strlen(text) > 2000 && strlen(text) < 13000);
	}
}

static void
a_closed_stderr_is_no_harm(void **state)
{
	(void)state;
	close(STDERR_FILENO);
	errno = EINTR;
	log_error("who hears this");
	assert_int_equal(errno, EINTR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_line_names_the_program, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_errno_means_comes_last_and_errno_is_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		only_what_is_asked_for_is_said, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_is_not_printable_is_escaped, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_json_line_is_one_object_whatever_it_says, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_long_line_is_cut_and_still_one_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_closed_stderr_is_no_harm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
