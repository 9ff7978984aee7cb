/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "base/err.h"
#include "proto/hello.h"

static struct tokens *tokens, *none;
static uint8_t bytes[HELLO_MAX];
static char text[HELLO_TEXT];
static struct handshake got;

static int
setup(void **state)
{
	char secret[] = "token:SECRET";

	(void)state;
	return auth_init() == OK && tokens_new(&tokens) == OK &&
		       tokens_new(&none) == OK &&
		       tokens_add(tokens, secret) == OK
		   ? 0
		   : -1;
}

static int
teardown(void **state)
{
	(void)state;
	tokens_free(tokens);
	tokens_free(none);
	return 0;
}

static const struct handshake sound = {
    .name = {(const uint8_t *)"me", 2},
    .id = {(const uint8_t *)"id-0", 4},
    .client_type = CLIENT_SFN,
    .tags = BYTES(0x33, 0, 0, 0),
    .version = {(const uint8_t *)FRAME_SPEC, 10},
};

static int
judge(const struct hello_rules *rules, const struct handshake *h)
{
	struct view in = {bytes, handshake_size(h)};
	struct frame f;

	handshake_put(bytes, h);
	assert_int_equal(frame_get(&in, SIZE_MAX, &f), OK);
	memset(text, '?', sizeof(text));
	text[0] = '\0';
	return hello_judge(rules, &f, &got, text);
}

static void
a_sound_handshake_is_taken_as_it_is(void **state)
{
	struct hello_rules rules = {.tokens = none, .max_tags = 1};
	struct handshake h = sound;

	(void)state;
	h.target = view_of("there");
	assert_int_equal(judge(&rules, &h), OK);
	assert_string_equal(text, "");
	assert_true(view_equal(got.name, h.name));
	assert_true(view_equal(got.id, h.id));
	assert_true(view_equal(got.tags, h.tags));
	assert_true(view_equal(got.target, h.target));
	assert_int_equal(got.client_type, CLIENT_SFN);
}

/* What is different from a sound handshake; text NULL: as it is there. */
static const struct {
	const char *name;
	const char *version;
	const char *auth_name;
	const char *token;
	const char *definition;
	int type;
	size_t tags;
	int want;
	const char *text;
} cases[] = {
    {"right token", NULL, "token", "SECRET", NULL, CLIENT_SOURCE, 0, OK, ""},
    {"no method is the token's", NULL, "", "SECRET", NULL, CLIENT_SFN, 0, OK,
	""},
    {"two tags", NULL, "token", "SECRET", NULL, CLIENT_SFN, 2, OK, ""},
    {"unknown type", NULL, "token", "SECRET", NULL, 1, 0, OK, ""},
    {"another version", "2023-01-01", "token", "SECRET", NULL, CLIENT_SFN, 0,
	ERR_NONE,
	"version negotiation failed: client=2023-01-01, server=2024-01-03"},
    {"an old version", "1.17.0", "token", "SECRET", NULL, CLIENT_SFN, 0,
	ERR_NONE,
	"version negotiation failed: client=1.17.0, server=2024-01-03"},
    {"no version", "", "token", "SECRET", NULL, CLIENT_SFN, 0, ERR_NONE,
	"version negotiation failed: client=, server=2024-01-03"},
    {"version before credential", "x", "token", "wrong", NULL, CLIENT_SFN, 0,
	ERR_NONE, "version negotiation failed: client=x, server=2024-01-03"},
    {"wrong token", NULL, "token", "S3CRET", NULL, CLIENT_SFN, 0, ERR_AUTH,
	"invalid token"},
    {"no token", NULL, "", "", NULL, CLIENT_SFN, 0, ERR_AUTH, "invalid token"},
    {"unknown method", NULL, "jwt", "SECRET", NULL, CLIENT_SFN, 0, ERR_AUTH,
	"authentication not found: jwt"},
    {"credential before type", NULL, "token", "S3CRET", NULL, 0, 0, ERR_AUTH,
	"invalid token"},
    {"no type", NULL, "token", "SECRET", NULL, 0, 0, ERR_BAD,
	"handshake without a client type"},
    {"too many tags", NULL, "token", "SECRET", NULL, CLIENT_SFN, 3, ERR_LIMIT,
	"3 tags observed, at most 2 are allowed"},
    {"a definition", NULL, "token", "SECRET", "{\"name\": \"f\"}", CLIENT_SFN,
	1, OK, ""},
    {"no JSON", NULL, "token", "SECRET", "{\"name\"", CLIENT_SFN, 1, ERR_BAD,
	"unmarshal function definition error: not JSON"},
    {"JSON and more", NULL, "token", "SECRET", "{} {}", CLIENT_SFN, 1, ERR_BAD,
	"unmarshal function definition error: not JSON"},
};

static void
each_refusal_is_said_in_words_that_people_know(void **state)
{
	struct hello_rules rules = {.tokens = tokens, .max_tags = 2};
	uint8_t tags[12] = {0};
	struct handshake h;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		h = sound;
		if (cases[i].version != NULL)
			h.version = view_of(cases[i].version);
		h.auth_name = view_of(cases[i].auth_name);
		h.auth_payload = view_of(cases[i].token);
		h.definition = view_of(cases[i].definition);
		h.client_type = (uint8_t)cases[i].type;
		h.tags = (struct view){tags, cases[i].tags * 4};
		r = judge(&rules, &h);
		if (r != cases[i].want || strcmp(text, cases[i].text) != 0)
			fail_msg(
			    "%s: %s, '%s'", cases[i].name, err_str(r), text);
	}
}

static void
a_token_is_never_repeated(void **state)
{
	struct hello_rules rules = {.tokens = tokens, .max_tags = 2};
	struct handshake h = sound;

	(void)state;
	h.auth_name = view_of("token");
	h.auth_payload = view_of("hunter2");
	assert_int_equal(judge(&rules, &h), ERR_AUTH);
	assert_null(strstr(text, "hunter2"));
}

static void
without_tokens_every_credential_is_right(void **state)
{
	struct hello_rules rules = {.tokens = none, .max_tags = 2};
	struct handshake h = sound;

	(void)state;
	h.auth_name = view_of("jwt");
	h.auth_payload = view_of("anything");
	assert_int_equal(judge(&rules, &h), OK);
}

static void
old_versions_are_let_in_if_asked_to(void **state)
{
	static const struct {
		const char *version;
		int want;
	} versions[] = {
	    {"", OK},
	    {"1.17.0", OK},
	    {FRAME_SPEC, OK},
	    {"1.16.0", ERR_NONE},
	    {"2024-01-0", ERR_NONE},
	    {"2024-01-031", ERR_NONE},
	};
	struct hello_rules rules = {
	    .tokens = none, .max_tags = 2, .old_versions = true};
	struct handshake h = sound;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(versions); i++) {
		h.version = view_of(versions[i].version);
		assert_int_equal(judge(&rules, &h), versions[i].want);
	}
}

static void
another_frame_than_a_handshake_is_named(void **state)
{
	static const struct {
		uint8_t first;
		const char *name;
	} frames[] = {
	    {0xbf, "DataFrame"},
	    {0xa9, "HandshakeAckFrame"},
	    {0xb9, "RejectedFrame"},
	    {0xae, "GoawayFrame"},
	    {0xbe, "ConnectToFrame"},
	};
	struct hello_rules rules = {.tokens = none, .max_tags = 2};
	char want[HELLO_TEXT];
	uint8_t header[2] = {0};
	struct view in;
	struct frame f;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(frames); i++) {
		header[0] = frames[i].first;
		in = (struct view){header, sizeof(header)};
		assert_int_equal(frame_get(&in, SIZE_MAX, &f), OK);
		assert_int_equal(hello_judge(&rules, &f, &got, text), ERR_BAD);
		snprintf(want, sizeof(want),
		    "yomo: handshake read unexpected frame, read: %s",
		    frames[i].name);
		assert_string_equal(text, want);
	}
}

static void
a_malformed_handshake_is_refused(void **state)
{
	static const uint8_t cut[] = {0xb1, 0x03, 0x01, 0x09, 'x'};
	struct hello_rules rules = {.tokens = none, .max_tags = 2};
	struct view in = {cut, sizeof(cut)};
	struct frame f;

	(void)state;
	assert_int_equal(frame_get(&in, SIZE_MAX, &f), OK);
	assert_int_equal(hello_judge(&rules, &f, &got, text), ERR_BAD);
	assert_string_equal(text, "malformed handshake frame");
}

/* Go YoMo calls functions by name. */
static void
a_function_that_is_defined_is_its_own_target(void **state)
{
	struct hello_rules rules = {.tokens = none, .max_tags = 2};
	struct handshake h = sound;

	(void)state;
	h.target = view_of("elsewhere");
	h.definition = view_of(" {\"name\": \"f\", \"parameters\": {}}\n");
	assert_int_equal(judge(&rules, &h), OK);
	assert_true(view_equal(got.target, view_of("me")));
}

static void
what_a_stranger_says_never_fills_the_text(void **state)
{
	struct hello_rules rules = {.tokens = tokens, .max_tags = 2};
	struct handshake h = sound;
	static char longest[60000];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	h.version = view_of(longest);
	assert_int_equal(judge(&rules, &h), ERR_NONE);
	assert_true(strlen(text) < HELLO_TEXT - 1);
	h = sound;
	h.auth_name = view_of(longest);
	assert_int_equal(judge(&rules, &h), ERR_AUTH);
	assert_true(strlen(text) < HELLO_TEXT - 1);
	/* Nested as deep as a first frame can be. */
	memset(longest, '[', sizeof(longest) - 1);
	h = sound;
	h.auth_payload = view_of("SECRET");
	h.definition = view_of(longest);
	assert_int_equal(judge(&rules, &h), ERR_BAD);
}

static void
roles_have_names(void **state)
{
	(void)state;
	assert_string_equal(hello_role(CLIENT_SOURCE), "source");
	assert_string_equal(hello_role(CLIENT_SFN), "sfn");
	assert_string_equal(hello_role(CLIENT_UPSTREAM), "upstream zipper");
	assert_string_equal(hello_role(0), "client");
	assert_string_equal(hello_role(0xff), "client");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sound_handshake_is_taken_as_it_is),
	    cmocka_unit_test(each_refusal_is_said_in_words_that_people_know),
	    cmocka_unit_test(a_token_is_never_repeated),
	    cmocka_unit_test(without_tokens_every_credential_is_right),
	    cmocka_unit_test(old_versions_are_let_in_if_asked_to),
	    cmocka_unit_test(another_frame_than_a_handshake_is_named),
	    cmocka_unit_test(a_malformed_handshake_is_refused),
	    cmocka_unit_test(a_function_that_is_defined_is_its_own_target),
	    cmocka_unit_test(what_a_stranger_says_never_fills_the_text),
	    cmocka_unit_test(roles_have_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
