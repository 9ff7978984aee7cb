/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "faults.h"
#include "proto/session.h"
#include "wire/frame.h"
#include "wire/meta.h"

#define TAG 0x33
#define ID "V1StGXR8_Z5jdHi6B-myT"
#define OTHER "000000000000000000001"
#define NONE ((struct view){NULL, 0})

static struct session_reader reader;
static struct session_table table;

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return auth_init();
}

static int
fresh(void **state)
{
	(void)state;
	reader = (struct session_reader){0};
	session_table_fini(&table);
	return 0;
}

/* --- marks --- */

static const struct {
	const char *value;
	const char *end;
	int want;
	uint64_t seq;
	enum session_end how;
} marks[] = {
    {ID ":0", "", OK, 0, SESSION_GOES_ON},
    {ID ":7", "eof", OK, 7, SESSION_EOF},
    {ID ":10", "cut", OK, 10, SESSION_CUT},
    {ID ":10", "of the world", OK, 10, SESSION_CUT},
    {ID ":9999999999999999998", "", OK, 9999999999999999998u, SESSION_GOES_ON},
    {ID ":9999999999999999999", "cut", OK, 9999999999999999999u, SESSION_CUT},
    {ID ":9999999999999999999", "", ERR_NONE, 0, SESSION_GOES_ON},
    {"", "", ERR_NONE, 0, 0},
    {"", "eof", ERR_NONE, 0, 0},
    {ID, "", ERR_NONE, 0, 0},
    {ID ":", "", ERR_NONE, 0, 0},
    {ID "0:0", "", ERR_NONE, 0, 0},
    {"short:0", "", ERR_NONE, 0, 0},
    {"V1StGXR8_Z5jdHi6B my\n:0", "", ERR_NONE, 0, 0},
    {ID ":00", "", ERR_NONE, 0, 0},
    {ID ":01", "", ERR_NONE, 0, 0},
    {ID ":-1", "", ERR_NONE, 0, 0},
    {ID ":1 ", "", ERR_NONE, 0, 0},
    {ID ":1x", "", ERR_NONE, 0, 0},
    {ID ":10000000000000000000", "", ERR_NONE, 0, 0},
};

static void
a_mark_is_read_to_the_letter(void **state)
{
	struct session_mark m;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < COUNT(marks); i++) {
		m = (struct session_mark){.seq = 99};
		r = session_mark(
		    view_of(marks[i].value), view_of(marks[i].end), &m);
		if (r != marks[i].want)
			fail_msg("'%s': %d", marks[i].value, r);
		if (r != OK) {
			assert_int_equal(m.seq, 99);
			continue;
		}
		assert_memory_equal(m.id.p, ID, SESSION_ID_SIZE);
		assert_int_equal(m.id.len, SESSION_ID_SIZE);
		assert_true(m.seq == marks[i].seq);
		assert_int_equal(m.end, marks[i].how);
	}
}

static void
a_mark_is_found_in_metadata(void **state)
{
	const struct meta_pair pairs[] = {
	    {view_of("a"), view_of("1")},
	    {view_of(META_SESSION), view_of(ID ":7")},
	    {view_of(META_SESSION_END), view_of("eof")},
	};
	struct session_mark m;
	uint8_t bytes[128];
	struct view meta = {bytes, meta_size(pairs, COUNT(pairs))};

	(void)state;
	meta_put(bytes, pairs, COUNT(pairs));
	assert_int_equal(session_mark_of(meta, &m), OK);
	assert_int_equal(m.seq, 7);
	assert_int_equal(m.end, SESSION_EOF);
	meta.len--;
	assert_int_equal(session_mark_of(meta, &m), ERR_NONE);
	assert_int_equal(session_mark_of(NONE, &m), ERR_NONE);
}

static void
a_writer_counts_from_nought(void **state)
{
	struct session_writer w;
	struct session_mark m;
	char id[SESSION_ID_SIZE];
	uint64_t i;

	(void)state;
	session_begin(&w);
	memcpy(id, w.mark, sizeof(id));
	for (i = 0; i < 12345; i++) {
		assert_int_equal(
		    session_mark((struct view){w.mark, w.len}, NONE, &m), OK);
		assert_memory_equal(m.id.p, id, sizeof(id));
		assert_true(m.seq == i);
		session_advance(&w);
	}
	session_begin(&w);
	assert_memory_not_equal(w.mark, id, sizeof(id));
}

/* --- the reader --- */

static struct session_mark
mark(const char *id, uint64_t seq, enum session_end end)
{
	struct session_mark m = {view_of(id), seq, end};

	return m;
}

/* A message comes; nothing changes before it is taken. */
static enum session_verdict
come(const char *id, uint32_t tag, uint64_t seq, enum session_end end)
{
	struct session_mark m = mark(id, seq, end);
	struct session_reader before = reader;
	enum session_verdict v = session_judge(&reader, tag, &m);

	assert_int_equal(session_judge(&reader, tag, &m), v);
	assert_memory_equal(&before, &reader, sizeof(before));
	session_take(&reader, tag, &m);
	return v;
}

static void
why_is(const char *want)
{
	char text[SESSION_TEXT];

	session_why(&reader, text);
	assert_string_equal(text, want);
}

static void
a_session_is_followed_to_its_end(void **state)
{
	(void)state;
	why_is("no session came");
	assert_int_equal(come(ID, TAG, 0, SESSION_GOES_ON), SESSION_NEXT);
	assert_int_equal(reader.state, SESSION_OPEN);
	assert_int_equal(come(ID, TAG, 1, SESSION_GOES_ON), SESSION_NEXT);
	why_is("session '" ID "' had not ended after 2 messages");
	assert_false(session_is_over(&reader));
	assert_int_equal(come(ID, TAG, 2, SESSION_EOF), SESSION_NEXT);
	assert_int_equal(reader.state, SESSION_WHOLE);
	assert_true(session_is_over(&reader));
	why_is("session '" ID "' is whole after 2 messages");
	assert_int_equal(come(ID, TAG, 3, SESSION_GOES_ON), SESSION_FOREIGN);
	assert_int_equal(come(OTHER, TAG, 0, SESSION_GOES_ON), SESSION_FOREIGN);
}

static void
an_empty_session_is_whole(void **state)
{
	(void)state;
	assert_int_equal(come(ID, TAG, 0, SESSION_EOF), SESSION_NEXT);
	assert_int_equal(reader.state, SESSION_WHOLE);
}

static void
only_the_first_that_begins_is_followed(void **state)
{
	(void)state;
	assert_int_equal(come(OTHER, TAG, 5, SESSION_GOES_ON), SESSION_FOREIGN);
	assert_int_equal(come(OTHER, TAG, 6, SESSION_EOF), SESSION_FOREIGN);
	assert_int_equal(reader.state, SESSION_AWAITED);
	why_is("session '" OTHER "' had begun before: no other came");
	assert_int_equal(come(ID, TAG, 0, SESSION_GOES_ON), SESSION_NEXT);
	assert_int_equal(come(OTHER, TAG, 0, SESSION_GOES_ON), SESSION_FOREIGN);
	assert_int_equal(come(OTHER, TAG, 1, SESSION_EOF), SESSION_FOREIGN);
	assert_int_equal(
	    come(ID, TAG + 1, 1, SESSION_GOES_ON), SESSION_FOREIGN);
	assert_int_equal(come(ID, TAG, 1, SESSION_EOF), SESSION_NEXT);
	assert_int_equal(reader.state, SESSION_WHOLE);
}

static void
what_breaks_a_session_is_told(void **state)
{
	(void)state;
	come(ID, TAG, 0, SESSION_GOES_ON);
	assert_int_equal(come(ID, TAG, 3, SESSION_GOES_ON), SESSION_BREAK);
	why_is("session '" ID "' lacks 2 messages after 1");
	assert_true(session_is_over(&reader));

	/* Also where only the end comes. */
	fresh(NULL);
	come(ID, TAG, 0, SESSION_GOES_ON);
	assert_int_equal(come(ID, TAG, 2, SESSION_EOF), SESSION_BREAK);
	assert_int_equal(reader.state, SESSION_HAS_GAP);

	fresh(NULL);
	come(ID, TAG, 0, SESSION_GOES_ON);
	assert_int_equal(come(ID, TAG, 0, SESSION_GOES_ON), SESSION_BREAK);
	why_is("session '" ID "' repeats itself after 1 messages");

	fresh(NULL);
	come(ID, TAG, 0, SESSION_GOES_ON);
	assert_int_equal(come(ID, TAG, 1, SESSION_CUT), SESSION_NEXT);
	why_is("session '" ID "' was cut after 1 messages");
}

static void
what_others_know_ends_it_once(void **state)
{
	(void)state;
	session_abandon(&reader, SESSION_IDLE);
	session_gap(&reader, TAG, 7);
	assert_int_equal(reader.state, SESSION_AWAITED);
	come(ID, TAG, 0, SESSION_GOES_ON);
	session_gap(&reader, TAG + 1, 7);
	assert_int_equal(reader.state, SESSION_OPEN);
	session_gap(&reader, TAG, 7);
	session_abandon(&reader, SESSION_IDLE);
	why_is("session '" ID "' lacks 7 messages after 1");

	fresh(NULL);
	come(ID, TAG, 0, SESSION_GOES_ON);
	session_abandon(&reader, SESSION_IDLE);
	session_abandon(&reader, SESSION_UNLINKED);
	why_is("session '" ID "' fell silent after 1 messages");

	fresh(NULL);
	come(ID, TAG, 0, SESSION_GOES_ON);
	session_abandon(&reader, SESSION_UNLINKED);
	why_is("session '" ID "' lost its connection after 1 messages");
}

/* --- the table --- */

static void
note(const char *id, uint32_t tag, uint64_t seq, enum session_end end)
{
	struct session_mark m = mark(id, seq, end);

	session_table_note(&table, tag, &m, NONE);
}

static const char *
numbered(unsigned i)
{
	static char id[64];

	snprintf(id, sizeof(id), "%021u", i);
	return id;
}

static void
what_has_not_ended_is_kept_in_mind(void **state)
{
	struct session_passing s;

	(void)state;
	note(ID, TAG, 0, SESSION_GOES_ON);
	note(OTHER, TAG, 0, SESSION_GOES_ON);
	note(OTHER, TAG + 1, 0, SESSION_GOES_ON);
	note(ID, TAG, 41, SESSION_GOES_ON);
	note(OTHER, TAG, 1, SESSION_EOF);
	note(OTHER, TAG, 1, SESSION_EOF);
	note(OTHER, TAG + 1, 1, SESSION_CUT);
	assert_int_equal(session_table_pop(&table, &s), OK);
	assert_memory_equal(s.id, ID, SESSION_ID_SIZE);
	assert_int_equal(s.tag, TAG);
	assert_int_equal(s.next, 42);
	assert_int_equal(session_table_pop(&table, &s), ERR_NONE);
	assert_null(table.v);
}

static void
so_many_are_kept_in_mind(void **state)
{
	struct session_passing s;
	unsigned i, n = 0;

	(void)state;
	for (i = 0; i < 2 * SESSION_TABLE_MAX; i++)
		note(numbered(i), TAG, 0, SESSION_GOES_ON);
	assert_int_equal(table.n, SESSION_TABLE_MAX);
	note(numbered(0), TAG, 1, SESSION_EOF);
	note(ID, TAG, 8, SESSION_GOES_ON); /* in its place */
	assert_int_equal(table.n, SESSION_TABLE_MAX);
	note(numbered(2), TAG, 9, SESSION_GOES_ON);
	while (session_table_pop(&table, &s) == OK) {
		if (memcmp(s.id, numbered(2), SESSION_ID_SIZE) == 0)
			assert_int_equal(s.next, 10);
		n++;
	}
	assert_int_equal(n, SESSION_TABLE_MAX);
}

static void
without_memory_a_session_is_not_kept_in_mind(void **state)
{
	size_t n;

	(void)state;
	for (n = 1; n <= 3; n++) {
		fresh(NULL);
		faults_at(n);
		note(ID, TAG, 0, SESSION_GOES_ON);
		note(OTHER, TAG, 0, SESSION_GOES_ON);
		note(OTHER, TAG + 1, 0, SESSION_GOES_ON);
		assert_int_equal(faults_hit(), n < 3);
		faults_off();
		assert_int_equal(table.n, 3 - (n < 3));
	}
}

/* The frame that says that s was cut. */
static struct data_frame
cut(const struct session_passing *s)
{
	static uint8_t bytes[SESSION_CUT_SIZE];
	struct view in = {bytes, session_cut_put(bytes, s)};
	struct data_frame d;
	struct frame f;

	assert_int_equal(frame_get(&in, sizeof(bytes), &f), OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(f.type, FRAME_DATA);
	assert_int_equal(data_frame_get(f.body, &d), OK);
	return d;
}

static void
a_cut_reaches_those_who_follow(void **state)
{
	struct session_passing s;
	struct session_mark m;
	struct meta_known k;
	struct data_frame d;
	struct view tid;

	(void)state;
	come(ID, TAG, 0, SESSION_GOES_ON);
	note(ID, TAG, 0, SESSION_GOES_ON);
	assert_int_equal(session_table_pop(&table, &s), OK);
	d = cut(&s);
	assert_int_equal(d.tag, TAG);
	assert_int_equal(d.payload.len, 0);
	assert_int_equal(meta_read(d.meta, &k), OK);
	assert_int_equal(meta_find(d.meta, META_TID, &tid), OK);
	assert_int_equal(tid.len, AUTH_ID_SIZE);
	assert_int_equal(k.target.len, 0);
	assert_int_equal(session_mark(k.session, k.session_end, &m), OK);
	assert_int_equal(session_judge(&reader, d.tag, &m), SESSION_NEXT);
	session_take(&reader, d.tag, &m);
	assert_int_equal(reader.state, SESSION_WAS_CUT);
}

static void
a_cut_goes_where_the_messages_went(void **state)
{
	static const uint8_t target[SESSION_TARGET_MAX + 1] = {'t'};
	struct session_mark m = mark(ID, 9999999999999999998u, SESSION_GOES_ON);
	struct view want = {target, SESSION_TARGET_MAX};
	struct session_passing s;
	struct meta_known k;

	(void)state;
	session_table_note(&table, UINT32_MAX, &m, want);
	assert_int_equal(session_table_pop(&table, &s), OK);
	assert_int_equal(meta_read(cut(&s).meta, &k), OK);
	assert_true(view_equal(k.target, want));
	want.len++;
	session_table_note(&table, TAG, &m, want);
	assert_int_equal(session_table_pop(&table, &s), ERR_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mark_is_read_to_the_letter),
	    cmocka_unit_test(a_mark_is_found_in_metadata),
	    cmocka_unit_test(a_writer_counts_from_nought),
	    cmocka_unit_test_setup(a_session_is_followed_to_its_end, fresh),
	    cmocka_unit_test_setup(an_empty_session_is_whole, fresh),
	    cmocka_unit_test_setup(
		only_the_first_that_begins_is_followed, fresh),
	    cmocka_unit_test_setup(what_breaks_a_session_is_told, fresh),
	    cmocka_unit_test_setup(what_others_know_ends_it_once, fresh),
	    cmocka_unit_test_setup_teardown(
		what_has_not_ended_is_kept_in_mind, fresh, fresh),
	    cmocka_unit_test_setup_teardown(
		so_many_are_kept_in_mind, fresh, fresh),
	    cmocka_unit_test_setup_teardown(
		without_memory_a_session_is_not_kept_in_mind, fresh, fresh),
	    cmocka_unit_test_setup_teardown(
		a_cut_reaches_those_who_follow, fresh, fresh),
	    cmocka_unit_test_setup_teardown(
		a_cut_goes_where_the_messages_went, fresh, fresh),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
