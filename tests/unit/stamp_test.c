/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "faults.h"
#include "proto/stamp.h"

#define VALUE_MAX 512
#define NOTHING ((struct view){NULL, 0})

static struct stamp s;

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return auth_init();
}

static int
teardown(void **state)
{
	(void)state;
	stamp_fini(&s);
	return 0;
}

static void
begin(const char *target, const char *const *extra, size_t n)
{
	stamp_fini(&s);
	assert_int_equal(stamp_init(&s, "us", target, extra, n), OK);
}

/* What key has in the next message's map, static; "-": nothing. */
static const char *
value(struct view map, const char *key)
{
	static char text[VALUE_MAX];
	struct view v;

	if (meta_find(map, key, &v) != OK)
		return "-";
	snprintf(text, sizeof(text), "%.*s", (int)v.len, (const char *)v.p);
	return text;
}

static struct view
next(struct view meta)
{
	struct view map = NOTHING;

	assert_int_equal(stamp_next(&s, meta, &map), OK);
	assert_int_equal(meta_check(map), OK);
	return map;
}

static size_t
pairs(struct view map)
{
	struct meta_walk w;

	assert_int_equal(meta_start(map, &w), OK);
	return w.left;
}

/* The map of n pairs, static. */
static struct view
map_of(const struct meta_pair *v, size_t n)
{
	static uint8_t bytes[20000];

	assert_true(meta_size(v, n) <= sizeof(bytes));
	meta_put(bytes, v, n);
	return (struct view){bytes, meta_size(v, n)};
}

static void
a_message_says_who_sent_it_and_has_an_id_of_its_own(void **state)
{
	char first[VALUE_MAX];
	struct view map;

	(void)state;
	begin(NULL, NULL, 0);
	map = next(NOTHING);
	assert_int_equal(pairs(map), 2);
	assert_string_equal(value(map, META_SOURCE_ID), "us");
	snprintf(first, sizeof(first), "%s", value(map, META_TID));
	assert_int_equal(strlen(first), AUTH_ID_SIZE);
	assert_string_not_equal(value(next(NOTHING), META_TID), first);
}

static void
a_target_and_pairs_of_the_user_come_with_it(void **state)
{
	static const char *const extra[] = {"a=1", "b==", "c="};
	struct view map;

	(void)state;
	begin("there", extra, COUNT(extra));
	map = next(NOTHING);
	assert_int_equal(pairs(map), 6);
	assert_string_equal(value(map, META_TARGET), "there");
	assert_string_equal(value(map, "a"), "1");
	assert_string_equal(value(map, "b"), "=");
	assert_string_equal(value(map, "c"), "");
}

static void
what_is_no_pair_is_refused(void **state)
{
	static const char *const wrong[] = {"", "=", "=x", "key", "yomo-tid=1",
	    "yomo-source-id=1", "yomo-target=x", "yomo-session=x",
	    "yomo-session-end=eof"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(
		    stamp_init(&s, "us", NULL, &wrong[i], 1), ERR_BAD);
		stamp_fini(&s);
	}
}

static void
there_are_at_most_so_many_pairs(void **state)
{
	const char *extra[STAMP_EXTRA_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(extra); i++)
		extra[i] = "key=value";
	begin("there", extra, STAMP_EXTRA_MAX);
	assert_int_equal(pairs(next(NOTHING)), STAMP_EXTRA_MAX + 3);
	assert_int_equal(strlen(value(next(NOTHING), META_TID)), AUTH_ID_SIZE);
	stamp_fini(&s);
	assert_int_equal(
	    stamp_init(&s, "us", NULL, extra, STAMP_EXTRA_MAX + 1), ERR_BAD);
}

static void
what_a_message_brings_wins_over_ours(void **state)
{
	static const char *const extra[] = {"a=ours", "b=ours"};
	const struct meta_pair own[] = {
	    {view_of("a"), view_of("its")},
	    {view_of("z"), view_of("its")},
	    {view_of(META_TARGET), view_of("its")},
	};
	struct view map;

	(void)state;
	begin("ours", extra, COUNT(extra));
	map = next(map_of(own, COUNT(own)));
	assert_int_equal(pairs(map), 6);
	assert_string_equal(value(map, "a"), "its");
	assert_string_equal(value(map, "b"), "ours");
	assert_string_equal(value(map, "z"), "its");
	assert_string_equal(value(map, META_TARGET), "its");
	assert_string_equal(value(map, META_SOURCE_ID), "us");
	assert_int_equal(strlen(value(map, META_TID)), AUTH_ID_SIZE);
}

static const struct {
	struct view meta;
	int want;
	size_t pairs;
} forms[] = {
    {BYTES(0x80), OK, 2},
    {BYTES(0xc0), OK, 2},
    {BYTES(0x81, 0xa1, 'a', 0xc0), OK, 3},
    {BYTES(0xdf, 0, 0, 0, 1, 0xa1, 'a', 0xa1, 'b'), OK, 3},
    {BYTES(0x81, 0xa1, 'a'), ERR_BAD, 0},
    {BYTES(0x90), ERR_BAD, 0},
    {BYTES(0x81, 0xa1, 'a', 0x01), ERR_BAD, 0},
    {BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'a', 0xa1, 'b'), ERR_BAD, 0},
};

static void
metadata_of_any_form_is_understood(void **state)
{
	struct view map;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(forms); i++) {
		begin(NULL, NULL, 0);
		map = NOTHING;
		assert_int_equal(
		    stamp_next(&s, forms[i].meta, &map), forms[i].want);
		if (forms[i].want == OK)
			assert_int_equal(pairs(map), forms[i].pairs);
		else
			assert_null(map.p);
	}
}

static void
an_answer_has_the_ids_of_its_question(void **state)
{
	const struct meta_pair own = {view_of("a"), view_of("1")};
	struct view map;

	(void)state;
	begin(NULL, NULL, 0);
	assert_int_equal(stamp_adopt(&s, view_of("them"), view_of("1234")), OK);
	map = next(NOTHING);
	assert_string_equal(value(map, META_SOURCE_ID), "them");
	assert_string_equal(value(map, META_TID), "1234");
	map = next(map_of(&own, 1));
	assert_string_equal(value(map, META_SOURCE_ID), "them");
	assert_string_equal(value(map, META_TID), "1234");
}

/* Else it would seem to belong to the question before. */
static void
an_answer_to_a_question_without_ids_has_ours(void **state)
{
	char longest[STAMP_ID_MAX + 2];
	const struct view no_ids[] = {
	    NOTHING, {(uint8_t *)longest, STAMP_ID_MAX + 1}};
	char first[VALUE_MAX];
	struct view map;
	size_t i;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	begin(NULL, NULL, 0);
	for (i = 0; i < COUNT(no_ids); i++) {
		assert_int_equal(
		    stamp_adopt(&s, view_of("them"), view_of("1234")), OK);
		assert_int_equal(stamp_adopt(&s, no_ids[i], no_ids[i]), OK);
		map = next(NOTHING);
		assert_string_equal(value(map, META_SOURCE_ID), "us");
		snprintf(first, sizeof(first), "%s", value(map, META_TID));
		assert_int_equal(strlen(first), AUTH_ID_SIZE);
		assert_string_not_equal(value(next(NOTHING), META_TID), first);
	}
	assert_int_equal(
	    stamp_adopt(
		&s, (struct view){(uint8_t *)longest, STAMP_ID_MAX}, NOTHING),
	    OK);
	assert_int_equal(
	    strlen(value(next(NOTHING), META_SOURCE_ID)), STAMP_ID_MAX);
}

/* The place of the next message, whatever it brings; its id in id. */
static uint64_t
place(struct view meta, char id[SESSION_ID_SIZE + 1])
{
	struct view value = NOTHING;
	struct session_mark m;

	assert_int_equal(meta_find(next(meta), META_SESSION, &value), OK);
	assert_int_equal(session_mark(value, NOTHING, &m), OK);
	snprintf(id, SESSION_ID_SIZE + 1, "%.*s", (int)m.id.len,
	    (const char *)m.id.p);
	return m.seq;
}

static void
messages_of_a_session_are_counted(void **state)
{
	static const char *const extra[] = {"a=1"};
	const struct meta_pair own = {view_of("b"), view_of("2")};
	char id[SESSION_ID_SIZE + 1], first[SESSION_ID_SIZE + 1];
	char tid[VALUE_MAX];
	struct view map;
	uint64_t i;

	(void)state;
	begin("there", extra, COUNT(extra));
	assert_int_equal(stamp_session_id(&s).len, 0);
	assert_int_equal(stamp_session(&s), OK);
	assert_int_equal(place(NOTHING, first), 0);
	assert_true(view_equal(stamp_session_id(&s), view_of(first)));
	for (i = 1; i < 1200; i++) {
		assert_int_equal(
		    place(i % 7 == 0 ? map_of(&own, 1) : NOTHING, id), i);
		assert_string_equal(id, first);
	}
	map = next(NOTHING);
	assert_int_equal(pairs(map), 5);
	assert_string_equal(value(map, "a"), "1");
	assert_string_equal(value(map, META_SESSION_END), "-");
	snprintf(tid, sizeof(tid), "%s", value(map, META_TID));
	assert_string_not_equal(value(next(NOTHING), META_TID), tid);
}

/* What was in a session before is in ours now. */
static void
a_session_wins_over_what_a_message_brings(void **state)
{
	const struct meta_pair own[] = {
	    {view_of(META_SESSION), view_of("V1StGXR8_Z5jdHi6B-myT:7")},
	    {view_of("b"), view_of("2")},
	    {view_of(META_SESSION_END), view_of("eof")},
	};
	char id[SESSION_ID_SIZE + 1];
	struct view map;

	(void)state;
	begin(NULL, NULL, 0);
	assert_int_equal(stamp_session(&s), OK);
	assert_int_equal(place(map_of(own, COUNT(own)), id), 0);
	assert_string_not_equal(id, "V1StGXR8_Z5jdHi6B-myT");
	map = next(map_of(own, COUNT(own)));
	assert_int_equal(pairs(map), 4);
	assert_string_equal(value(map, "b"), "2");
	assert_string_equal(value(map, META_SESSION_END), "-");
}

static void
a_session_ends_with_a_word(void **state)
{
	static const enum session_end ends[] = {SESSION_EOF, SESSION_CUT};
	char tid[VALUE_MAX] = "";
	struct view map;
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(ends); i++) {
		begin(NULL, NULL, 0);
		assert_int_equal(stamp_session(&s), OK);
		/* The last one has a digit more, or it has none before it. */
		for (n = 0; n < 10 * i; n++)
			snprintf(tid, sizeof(tid), "%s",
			    value(next(NOTHING), META_TID));
		assert_int_equal(stamp_session_end(&s, ends[i], &map), OK);
		assert_int_equal(pairs(map), 4);
		assert_string_equal(
		    value(map, META_SESSION_END), session_end_name(ends[i]));
		assert_string_equal(strchr(value(map, META_SESSION), ':'),
		    i == 0 ? ":0" : ":10");
		assert_int_equal(strlen(value(map, META_TID)), AUTH_ID_SIZE);
		assert_string_not_equal(value(map, META_TID), tid);
	}
}

static int
run_session(void)
{
	const struct meta_pair own = {view_of("b"), view_of("2")};
	struct view map;
	int i, r;

	if ((r = stamp_init(&s, "us", NULL, NULL, 0)) != OK ||
	    (r = stamp_session(&s)) != OK)
		return r;
	for (i = 0; i < 12; i++)
		if ((r = stamp_next(&s, NOTHING, &map)) != OK)
			return r;
	if ((r = stamp_next(&s, map_of(&own, 1), &map)) != OK)
		return r;
	return stamp_session_end(&s, SESSION_EOF, &map);
}

static int
run_once(void)
{
	static const char *const extra[] = {"a=1"};
	const struct meta_pair own = {view_of("b"), view_of("2")};
	struct view map;
	int r;

	if ((r = stamp_init(&s, "us", NULL, extra, 1)) != OK ||
	    (r = stamp_next(&s, NOTHING, &map)) != OK ||
	    (r = stamp_next(&s, map_of(&own, 1), &map)) != OK ||
	    (r = stamp_adopt(&s, view_of("them"), view_of("1"))) != OK)
		return r;
	return stamp_next(&s, NOTHING, &map);
}

static void
without_memory_there_is_no_stamp(void **state)
{
	static int (*const runs[])(void) = {run_once, run_session};
	bool hit;
	size_t i, n;
	int r;

	(void)state;
	for (i = 0; i < COUNT(runs); i++) {
		hit = true;
		for (n = 1; hit; n++) {
			faults_at(n);
			r = runs[i]();
			hit = faults_hit();
			faults_off();
			assert_int_equal(r, hit ? ERR_NOMEM : OK);
			stamp_fini(&s);
		}
		assert_true(n > 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		a_message_says_who_sent_it_and_has_an_id_of_its_own, teardown),
	    cmocka_unit_test_teardown(
		a_target_and_pairs_of_the_user_come_with_it, teardown),
	    cmocka_unit_test_teardown(what_is_no_pair_is_refused, teardown),
	    cmocka_unit_test_teardown(
		there_are_at_most_so_many_pairs, teardown),
	    cmocka_unit_test_teardown(
		what_a_message_brings_wins_over_ours, teardown),
	    cmocka_unit_test_teardown(
		metadata_of_any_form_is_understood, teardown),
	    cmocka_unit_test_teardown(
		an_answer_has_the_ids_of_its_question, teardown),
	    cmocka_unit_test_teardown(
		an_answer_to_a_question_without_ids_has_ours, teardown),
	    cmocka_unit_test_teardown(
		messages_of_a_session_are_counted, teardown),
	    cmocka_unit_test_teardown(
		a_session_wins_over_what_a_message_brings, teardown),
	    cmocka_unit_test_teardown(a_session_ends_with_a_word, teardown),
	    cmocka_unit_test_teardown(
		without_memory_there_is_no_stamp, teardown),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
