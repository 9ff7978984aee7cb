/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "conf/exit.h"
#include "faults.h"
#include "link/setup.h"
#include "link_rig.h"

static struct common_conf conf;
static struct setup s;
static int status;

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	unsetenv("YOMO_ZIPPER");
	unsetenv("YOMO_CREDENTIAL");
	conf = (struct common_conf)COMMON_DEFAULTS;
	conf.name = "me";
	status = -1;
	return rig_make_folder();
}

static int
teardown(void **state)
{
	(void)state;
	free(conf.credential);
	setup_fini(&s);
	rig_remove_folder();
	return 0;
}

static void
name_zippers(const char **v, size_t n)
{
	conf.zippers.v = v;
	conf.zippers.n = n;
}

static void
without_a_zipper_it_is_the_pipe(void **state)
{
	struct client_conf c = {0};

	(void)state;
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	setup_fill(&s, &conf, &c);
	assert_int_equal(c.n_zippers, 0);
	assert_null(c.tls);
	assert_null(c.credential);
	assert_int_equal(c.in_fd, -1);
	assert_int_equal(c.out_fd, -1);
	assert_int_equal(strlen(c.id), AUTH_ID_SIZE);
	assert_string_equal(c.name, "me");
	assert_true(c.retry_ns == VALUES_FOREVER);
}

static void
zippers_are_those_named_in_order(void **state)
{
	static const char *v[] = {"eu.example", "[::1]:7", "unix:/x"};
	struct client_conf c = {0};

	(void)state;
	setenv("YOMO_ZIPPER", "ignored", 1);
	name_zippers(v, COUNT(v));
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	setup_fill(&s, &conf, &c);
	assert_int_equal(c.n_zippers, 3);
	assert_string_equal(c.zippers[0].host, "eu.example");
	assert_int_equal(c.zippers[0].port, ENDPOINT_PORT);
	assert_string_equal(c.zippers[1].host, "::1");
	assert_int_equal(c.zippers[1].port, 7);
	assert_string_equal(c.zippers[2].path, "/x");
	assert_non_null(c.tls);
}

static void
the_environment_names_one_if_nobody_else_does(void **state)
{
	(void)state;
	setenv("YOMO_ZIPPER", "eu.example:7", 1);
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_int_equal(s.n_zippers, 1);
	assert_string_equal(s.zippers[0].host, "eu.example");
	setup_fini(&s);
	setenv("YOMO_ZIPPER", "", 1);
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_int_equal(s.n_zippers, 0);
	setup_fini(&s);
	setenv("YOMO_ZIPPER", "a:b:c:", 1);
	assert_int_equal(setup_client(&s, &conf, &status), ERR_BAD);
	assert_int_equal(status, EXIT_USAGE);
}

static void
a_unix_socket_needs_no_tls(void **state)
{
	static const char *v[] = {"unix:/x", "unix:/y"};

	(void)state;
	name_zippers(v, COUNT(v));
	conf.ca = "/nonexistent";
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_null(s.tls);
}

static void
a_credential_comes_from_the_option_or_the_environment(void **state)
{
	(void)state;
	setenv("YOMO_CREDENTIAL", "token:variable", 1);
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_true(
	    view_equal(credential_payload(s.credential), view_of("variable")));
	/* Children must not see it. */
	assert_null(getenv("YOMO_CREDENTIAL"));
	setup_fini(&s);
	setenv("YOMO_CREDENTIAL", "token:variable", 1);
	conf.credential = strdup("token:option");
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_true(
	    view_equal(credential_payload(s.credential), view_of("option")));
	assert_null(getenv("YOMO_CREDENTIAL"));
	setup_fini(&s);
	setenv("YOMO_CREDENTIAL", "", 1);
	free(conf.credential);
	conf.credential = NULL;
	assert_int_equal(setup_client(&s, &conf, &status), OK);
	assert_null(s.credential);
}

static void
what_is_configured_wrongly_is_said_so(void **state)
{
	static const char *v[] = {"localhost"};

	(void)state;
	conf.credential = strdup("@/nonexistent");
	assert_int_not_equal(setup_client(&s, &conf, &status), OK);
	assert_int_equal(status, EXIT_CONFIG);
	setup_fini(&s);
	free(conf.credential);
	conf.credential = NULL;
	name_zippers(v, COUNT(v));
	conf.ca = "/nonexistent";
	assert_int_not_equal(setup_client(&s, &conf, &status), OK);
	assert_int_equal(status, EXIT_CONFIG);
}

static void
without_memory_it_is_the_systems_fault(void **state)
{
	static const char *v[] = {"localhost", "unix:/x"};
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	name_zippers(v, COUNT(v));
	conf.credential = strdup("token:x");
	for (n = 1; n < 8; n++) {
		faults_at(n);
		r = setup_client(&s, &conf, &status);
		hit = faults_hit();
		faults_off();
		assert_true(hit && r != OK);
		/* What TLS lacks is another matter. */
		if (r == ERR_NOMEM)
			assert_int_equal(status, EXIT_SYSTEM);
		setup_fini(&s);
		unsetenv("YOMO_CREDENTIAL");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(without_a_zipper_it_is_the_pipe),
	    TEST(zippers_are_those_named_in_order),
	    TEST(the_environment_names_one_if_nobody_else_does),
	    TEST(a_unix_socket_needs_no_tls),
	    TEST(a_credential_comes_from_the_option_or_the_environment),
	    TEST(what_is_configured_wrongly_is_said_so),
	    TEST(without_memory_it_is_the_systems_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
