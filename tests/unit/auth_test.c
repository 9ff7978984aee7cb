/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/err.h"
#include "faults.h"

#define TEXT_MAX 256

static char dir[64];

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/auth.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	return mkdtemp(dir) != NULL && auth_init() == OK ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/secret", dir);
	unlink(path);
	return rmdir(dir);
}

/* "@FILE" with text in FILE, in out. */
static void
put_file(const char *text, size_t len, mode_t mode, char out[TEXT_MAX])
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/secret", dir);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	snprintf(out, TEXT_MAX, "@%s", path);
}

static void
assert_view(struct view v, const char *want)
{
	assert_int_equal(v.len, strlen(want));
	assert_true(view_equal(v, view_of(want)));
}

static void
a_credential_is_cut_at_the_first_colon(void **state)
{
	static const struct {
		const char *text, *name, *payload;
	} cases[] = {
	    {"token:SECRET", "token", "SECRET"},
	    {"token: abc", "token", " abc"},
	    {"token:a:b", "token", "a:b"},
	    {"SECRET", "", "SECRET"},
	    {":SECRET", "", "SECRET"},
	    {"token:", "token", ""},
	    {"x@y", "", "x@y"},
	};
	struct credential *c;
	char text[TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].text);
		assert_int_equal(credential_new(&c, text), OK);
		assert_view(credential_name(c), cases[i].name);
		assert_view(credential_payload(c), cases[i].payload);
		credential_free(c);
	}
	credential_free(NULL);
}

static void
what_was_in_an_argument_is_wiped(void **state)
{
	static const char zeros[TEXT_MAX];
	char text[TEXT_MAX] = "token:SECRET";
	struct credential *c;
	struct tokens *t;

	(void)state;
	assert_int_equal(credential_new(&c, text), OK);
	assert_memory_equal(text, zeros, sizeof(text));
	credential_free(c);

	snprintf(text, sizeof(text), "token:SECRET");
	assert_int_equal(tokens_new(&t), OK);
	assert_int_equal(tokens_add(t, text), OK);
	assert_memory_equal(text, zeros, sizeof("token:SECRET"));
	tokens_free(t);

	snprintf(text, sizeof(text), "@/nowhere/at/all");
	assert_int_equal(credential_new(&c, text), ERR_SYS);
	assert_memory_equal(text, zeros, sizeof("@/nowhere/at/all"));
}

static void
a_credential_comes_from_a_file(void **state)
{
	static const struct {
		const char *name, *in, *payload;
	} cases[] = {
	    {"as it is", "token:SECRET", "SECRET"},
	    {"without the newline at its end", "token:SECRET\n", "SECRET"},
	    {"but only one", "token:SECRET\n\n", "SECRET\n"},
	    {"carriage returns stay", "token:SECRET\r\n", "SECRET\r"},
	    {"an @ in it is no file", "token:@x", "@x"},
	};
	struct credential *c;
	char text[TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("# %s\n", cases[i].name);
		put_file(cases[i].in, strlen(cases[i].in), 0600, text);
		assert_int_equal(credential_new(&c, text), OK);
		assert_view(credential_name(c), "token");
		assert_view(credential_payload(c), cases[i].payload);
		credential_free(c);
	}
}

static void
a_bad_file_of_secrets_is_refused(void **state)
{
	static char huge[300 << 10];
	struct credential *c = NULL;
	struct tokens *t;
	char text[TEXT_MAX];

	(void)state;
	put_file("token:SECRET", 12, 0644, text);
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	put_file("token:SECRET", 12, 0602, text);
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	put_file("", 0, 0600, text);
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	put_file("\n", 1, 0600, text);
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	memset(huge, 'x', sizeof(huge));
	put_file(huge, sizeof(huge), 0600, text);
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	snprintf(text, sizeof(text), "@%s", dir);
	assert_int_equal(credential_new(&c, text), ERR_SYS);
	text[0] = '\0';
	assert_int_equal(credential_new(&c, text), ERR_BAD);
	assert_null(c);

	assert_int_equal(tokens_new(&t), OK);
	put_file("# nothing\n\n", 11, 0600, text);
	assert_int_equal(tokens_add(t, text), ERR_BAD);
	put_file("good\nbad\r\n", 10, 0600, text);
	assert_int_equal(tokens_add(t, text), ERR_BAD);
	put_file("good\ntoken:\n", 12, 0600, text);
	assert_int_equal(tokens_add(t, text), ERR_BAD);
	snprintf(text, sizeof(text), "token:");
	assert_int_equal(tokens_add(t, text), ERR_BAD);
	assert_int_equal(tokens_count(t), 0);
	tokens_free(t);
}

static int
check(const struct tokens *t, const char *name, const char *payload)
{
	return tokens_check(t, view_of(name), view_of(payload));
}

static void
no_tokens_accept_everybody(void **state)
{
	struct tokens *t;

	(void)state;
	assert_int_equal(tokens_new(&t), OK);
	assert_int_equal(check(t, "", ""), OK);
	assert_int_equal(check(t, "token", "anything"), OK);
	assert_int_equal(check(t, "unknown", "anything"), OK);
	tokens_free(t);
	tokens_free(NULL);
}

static void
any_of_several_tokens_is_right(void **state)
{
	static const struct {
		const char *name, *payload;
		int want;
	} cases[] = {
	    {"token", "one", OK},
	    {"", "one", OK},
	    {"token", "two", OK},
	    {"token", "three:with:colons", OK},
	    {"token", "#5", OK},
	    {"token", "five", OK},
	    {"token", "six", OK},
	    {"token", "", ERR_AUTH},
	    {"token", "on", ERR_AUTH},
	    {"token", "onee", ERR_AUTH},
	    {"token", "One", ERR_AUTH},
	    {"token", " one", ERR_AUTH},
	    {"token", "# comment", ERR_AUTH},
	    {"token", "token:one", ERR_AUTH},
	    {"Token", "one", ERR_NONE},
	    {"toke", "one", ERR_NONE},
	    {"jwt", "one", ERR_NONE},
	};
	static const char lines[] = "five\n# comment\n\ntoken:six";
	char one[] = "token:one", two[] = "two";
	char three[] = "three:with:colons", hash[] = "#5";
	char text[TEXT_MAX];
	struct tokens *t;
	size_t i;

	(void)state;
	assert_int_equal(tokens_new(&t), OK);
	assert_int_equal(tokens_add(t, one), OK);
	assert_int_equal(tokens_add(t, two), OK);
	assert_int_equal(tokens_add(t, three), OK);
	assert_int_equal(tokens_add(t, hash), OK);
	put_file(lines, sizeof(lines) - 1, 0600, text);
	assert_int_equal(tokens_add(t, text), OK);
	assert_int_equal(tokens_count(t), 6);
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(
		    check(t, cases[i].name, cases[i].payload), cases[i].want);
	tokens_free(t);
}

static void
a_token_is_compared_to_its_last_byte(void **state)
{
	struct tokens *t;
	char text[TEXT_MAX];
	uint8_t nul[] = "a\0b";

	(void)state;
	assert_int_equal(tokens_new(&t), OK);
	snprintf(text, sizeof(text), "a");
	assert_int_equal(tokens_add(t, text), OK);
	assert_int_equal(
	    tokens_check(t, view_of(""), (struct view){nul, 3}), ERR_AUTH);
	assert_int_equal(
	    tokens_check(t, view_of(""), (struct view){nul, 1}), OK);
	tokens_free(t);
}

static void
many_tokens_may_be_added(void **state)
{
	char text[TEXT_MAX];
	struct tokens *t;
	int i;

	(void)state;
	assert_int_equal(tokens_new(&t), OK);
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "secret-%d", i);
		assert_int_equal(tokens_add(t, text), OK);
	}
	assert_int_equal(tokens_count(t), 1000);
	assert_int_equal(check(t, "", "secret-0"), OK);
	assert_int_equal(check(t, "", "secret-999"), OK);
	assert_int_equal(check(t, "", "secret-1000"), ERR_AUTH);
	tokens_free(t);
}

static void
running_out_of_memory_is_said(void **state)
{
	struct credential *c = NULL;
	struct tokens *t = NULL;
	char text[TEXT_MAX];
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		snprintf(text, sizeof(text), "token:SECRET");
		faults_at(n);
		r = credential_new(&c, text);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		assert_int_equal(text[0], '\0');
	}
	credential_free(c);
	for (n = 1, hit = true; hit; n++) {
		snprintf(text, sizeof(text), "token:SECRET");
		faults_at(n);
		if ((r = tokens_new(&t)) == OK &&
		    (r = tokens_add(t, text)) != OK)
			tokens_free(t);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
	}
	tokens_free(t);
}

static int
by_text(const void *a, const void *b)
{
	return memcmp(a, b, AUTH_ID_SIZE);
}

static void
ids_use_all_the_alphabet_and_never_repeat(void **state)
{
	enum { N = 50000 };
	static char ids[N][AUTH_ID_SIZE + 1];
	static const char alphabet[] = "_-0123456789abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	unsigned seen[AUTH_ID_SIZE][256] = {{0}};
	size_t i, k;

	(void)state;
	for (i = 0; i < N; i++) {
		auth_id(ids[i]);
		assert_int_equal(strlen(ids[i]), AUTH_ID_SIZE);
		assert_int_equal(strspn(ids[i], alphabet), AUTH_ID_SIZE);
		for (k = 0; k < AUTH_ID_SIZE; k++)
			seen[k][(uint8_t)ids[i][k]]++;
	}
	/* Each place shows each of the 64 letters about N / 64 = 781 times;
	 * ten standard deviations do not happen. */
	for (k = 0; k < AUTH_ID_SIZE; k++)
		for (i = 0; i < 64; i++)
			assert_in_range(seen[k][(uint8_t)alphabet[i]],
			    781 - 280, 781 + 280);
	qsort(ids, N, sizeof(ids[0]), by_text);
	for (i = 1; i < N; i++)
		assert_int_not_equal(by_text(ids[i - 1], ids[i]), 0);
}

static void
an_id_writes_its_characters_and_no_more(void **state)
{
	uint8_t p[AUTH_ID_SIZE + 2];

	(void)state;
	p[0] = p[AUTH_ID_SIZE + 1] = 0xee;
	auth_id_put(p + 1);
	assert_int_equal(p[0], 0xee);
	assert_int_equal(p[AUTH_ID_SIZE + 1], 0xee);
}

static void
random_bytes_fill_any_length(void **state)
{
	static uint8_t a[10000], b[10000];
	static const size_t lens[] = {0, 1, 15, 4063, 4064, 4065, 8129, 10000};
	size_t i, k, zeros;

	(void)state;
	for (i = 0; i < COUNT(lens); i++) {
		memset(a, 0, sizeof(a));
		auth_random(a, lens[i]);
		auth_random(b, lens[i]);
		for (k = zeros = 0; k < lens[i]; k++)
			zeros += a[k] == 0;
		assert_true(zeros <= 8 + lens[i] / 64);
		for (k = lens[i]; k < sizeof(a); k++)
			assert_int_equal(a[k], 0);
		if (lens[i] > 8)
			assert_memory_not_equal(a, b, lens[i]);
	}
}

static void
initialising_again_does_no_harm(void **state)
{
	char a[AUTH_ID_SIZE + 1], b[AUTH_ID_SIZE + 1];

	(void)state;
	assert_int_equal(auth_init(), OK);
	auth_id(a);
	assert_int_equal(auth_init(), OK);
	auth_id(b);
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_credential_is_cut_at_the_first_colon),
	    cmocka_unit_test(what_was_in_an_argument_is_wiped),
	    cmocka_unit_test(a_credential_comes_from_a_file),
	    cmocka_unit_test(a_bad_file_of_secrets_is_refused),
	    cmocka_unit_test(no_tokens_accept_everybody),
	    cmocka_unit_test(any_of_several_tokens_is_right),
	    cmocka_unit_test(a_token_is_compared_to_its_last_byte),
	    cmocka_unit_test(many_tokens_may_be_added),
	    cmocka_unit_test(running_out_of_memory_is_said),
	    cmocka_unit_test(ids_use_all_the_alphabet_and_never_repeat),
	    cmocka_unit_test(an_id_writes_its_characters_and_no_more),
	    cmocka_unit_test(random_bytes_fill_any_length),
	    cmocka_unit_test(initialising_again_does_no_harm),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
