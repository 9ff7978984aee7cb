/* SPDX-License-Identifier: ISC */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "faults.h"
#include "framing/framing.h"
#include "unit.h"
#include "vectors.h"
#include "wire/meta.h"

#define MAX 10	/* the largest payload, unless a case says otherwise */
#define MSGS 4	/* messages in a case, at most */
#define KINDS 7 /* from FRAMING_RAW on */

/* Bytes with NULs in them. */
#define S(s)                                                                   \
	{                                                                      \
		(const uint8_t *)(s), sizeof(s) - 1                            \
	}

/* Of tag 0x33, 3 messages and 120 bytes are lost. */
#define GAP "\xa5\x1a\1\4\0\0\0\x33\2\x8\0\0\0\0\0\0\0\3\3\x8\0\0\0\0\0\0\0\x78"

struct seen {
	size_t n;
	struct view payload[MSGS];
	uint8_t bytes[MSGS][64];
	int end;
	uint64_t offset;
};

static struct framing *
framing(enum framing_kind kind, size_t block, size_t max)
{
	const struct framing_conf conf = {kind, block, max};
	struct framing *f;

	assert_int_equal(framing_new(&f, &conf), OK);
	return f;
}

static void
keep(struct seen *seen, const struct framing_msg *m)
{
	uint8_t *copy = seen->bytes[seen->n];
	struct view v = m->whole.len > 0 ? m->whole : m->payload;

	assert_true(seen->n < MSGS && v.len <= sizeof(seen->bytes[0]));
	if (v.len > 0)
		memcpy(copy, v.p, v.len);
	seen->payload[seen->n++] = (struct view){copy, v.len};
}

/* Feed all of in, of which first bytes come first and then step at a time. */
static void
feed(struct framing *f, struct view in, size_t first, size_t step,
    struct seen *seen)
{
	struct framing_msg m;
	struct view now;
	size_t taken = 0, given = first < in.len ? first : in.len;
	bool eof;

	*seen = (struct seen){0};
	for (;;) {
		eof = given == in.len;
		now = (struct view){in.p + taken, given - taken};
		while ((seen->end = framing_get(f, &now, eof, &m)) == OK)
			keep(seen, &m);
		taken = given - now.len;
		if (seen->end != ERR_MORE || eof)
			break;
		given = in.len - given < step ? in.len : given + step;
	}
	seen->offset = framing_offset(f);
	if (seen->end == ERR_MORE)
		assert_int_equal(now.len, 0);
}

static const struct {
	const char *name;
	enum framing_kind kind;
	size_t block;
	struct view in;
	struct view want[MSGS]; /* up to the first without p */
	int end;
	uint64_t offset;
} cases[] = {
    {"blocks", FRAMING_RAW, 4, S("abcdefgh"), {S("abcd"), S("efgh")}, ERR_MORE,
	8},
    {"last block is short", FRAMING_RAW, 4, S("abcdef"), {S("abcd"), S("ef")},
	ERR_MORE, 6},
    {"blocks over the limit", FRAMING_RAW, 11, S("abc"), {{0}}, ERR_LIMIT, 0},
    {"no blocks", FRAMING_RAW, 4, S(""), {{0}}, ERR_MORE, 0},

    {"lines", FRAMING_LINES, 0, S("a\nbc\n"), {S("a"), S("bc")}, ERR_MORE, 5},
    {"last line is not ended", FRAMING_LINES, 0, S("a\nbc"), {S("a"), S("bc")},
	ERR_MORE, 4},
    {"empty lines", FRAMING_LINES, 0, S("\n\na"), {S(""), S(""), S("a")},
	ERR_MORE, 3},
    {"a lone newline", FRAMING_LINES, 0, S("\n"), {S("")}, ERR_MORE, 1},
    {"no lines", FRAMING_LINES, 0, S(""), {{0}}, ERR_MORE, 0},
    {"NUL and CR are bytes of a line", FRAMING_LINES, 0, S("\0\r\n"),
	{S("\0\r")}, ERR_MORE, 3},
    {"the longest line", FRAMING_LINES, 0, S("0123456789\na"),
	{S("0123456789"), S("a")}, ERR_MORE, 12},
    {"a line too long", FRAMING_LINES, 0, S("a\n0123456789x\n"), {S("a")},
	ERR_LIMIT, 2},
    {"a line too long and not ended", FRAMING_LINES, 0, S("0123456789x"), {{0}},
	ERR_LIMIT, 0},

    {"NULs", FRAMING_NUL, 0, S("a\0\0b\nc\0"), {S("a"), S(""), S("b\nc")},
	ERR_MORE, 7},
    {"last is not ended", FRAMING_NUL, 0, S("a\0b"), {S("a"), S("b")}, ERR_MORE,
	3},

    {"len32", FRAMING_LEN32, 0, S("\0\0\0\2ab\0\0\0\0\0\0\0\1c"),
	{S("ab"), S(""), S("c")}, ERR_MORE, 15},
    {"len32 cut in its head", FRAMING_LEN32, 0, S("\0\0\0\1a\0\0"), {S("a")},
	ERR_BAD, 5},
    {"len32 cut in its payload", FRAMING_LEN32, 0, S("\0\0\0\2a"), {{0}},
	ERR_BAD, 0},
    {"len32 over the limit", FRAMING_LEN32, 0, S("\0\0\0\13"), {{0}}, ERR_LIMIT,
	0},
    {"len32 of all ones", FRAMING_LEN32, 0, S("\377\377\377\377"), {{0}},
	ERR_LIMIT, 0},

    {"netstrings", FRAMING_NETSTRING, 0, S("5:hello,0:,10:0123456789,"),
	{S("hello"), S(""), S("0123456789")}, ERR_MORE, 25},
    {"netstring of commas and colons", FRAMING_NETSTRING, 0, S("4:,:1:,"),
	{S(",:1:")}, ERR_MORE, 7},
    {"netstring without a comma", FRAMING_NETSTRING, 0, S("1:a,1:bc"), {S("a")},
	ERR_BAD, 4},
    {"netstring without a colon", FRAMING_NETSTRING, 0, S("1a"), {{0}}, ERR_BAD,
	0},
    {"netstring without a length", FRAMING_NETSTRING, 0, S(":a,"), {{0}},
	ERR_BAD, 0},
    {"netstring of a negative length", FRAMING_NETSTRING, 0, S("-1:a,"), {{0}},
	ERR_BAD, 0},
    {"netstring length that begins with 0", FRAMING_NETSTRING, 0, S("01:a,"),
	{{0}}, ERR_BAD, 0},
    {"netstring cut in its length", FRAMING_NETSTRING, 0, S("1"), {{0}},
	ERR_BAD, 0},
    {"netstring cut before its payload", FRAMING_NETSTRING, 0, S("1:"), {{0}},
	ERR_BAD, 0},
    {"netstring cut before its comma", FRAMING_NETSTRING, 0, S("1:a"), {{0}},
	ERR_BAD, 0},
    {"netstring over the limit", FRAMING_NETSTRING, 0, S("11"), {{0}},
	ERR_LIMIT, 0},
    {"netstring far over the limit", FRAMING_NETSTRING, 0,
	S("99999999999999999999999999"), {{0}}, ERR_LIMIT, 0},

    {"json", FRAMING_JSON, 0,
	S("{\"data\":\"a\"}\n{\"tag\":7,\"data\":\"\"}\n{\"data64\":\"AAE=\"}"),
	{S("a"), S(""), S("\0\1")}, ERR_MORE, 50},
    {"json cut short", FRAMING_JSON, 0, S("{\"data\":\"a\"}\n{\"da"), {S("a")},
	ERR_BAD, 13},
    {"json of a payload too large", FRAMING_JSON, 0,
	S("{\"data\":\"0123456789a\"}\n"), {{0}}, ERR_LIMIT, 0},
    {"json of base64 too large", FRAMING_JSON, 0,
	S("{\"data64\":\"MDEyMzQ1Njc4OWE=\"}\n"), {{0}}, ERR_LIMIT, 0},
    {"json of a gap", FRAMING_JSON, 0,
	S("{\"gap\":{\"messages\":3,\"bytes\":120},\"tag\":51}\n"
	  "{\"data\":\"a\"}\n"),
	{S(GAP), S("a")}, ERR_MORE, 57},
    {"json, an empty line", FRAMING_JSON, 0, S("\n"), {{0}}, ERR_BAD, 0},

    {"frames", FRAMING_FRAMES, 0,
	S("\xbf\x0a\1\1\x33\3\0\2\3abc\xa9\0\xbf\x07\1\1\x33\3\0\2\0"),
	{S("\xbf\x0a\1\1\x33\3\0\2\3abc"), S("\xa9\0"),
	    S("\xbf\x07\1\1\x33\3\0\2\0")},
	ERR_MORE, 23},
    {"a frame of an unknown type", FRAMING_FRAMES, 0, S("\x95\1x"),
	{S("\x95\1x")}, ERR_MORE, 3},
    {"a frame cut short", FRAMING_FRAMES, 0, S("\xa9\0\xbf\1"), {S("\xa9\0")},
	ERR_BAD, 2},
    {"a frame of a negative length", FRAMING_FRAMES, 0, S("\xbf\x7f"), {{0}},
	ERR_BAD, 0},
    {"a frame over the limit", FRAMING_FRAMES, 0,
	S("\xbf\x10\1\1\x33\2\x0b"
	  "0123456789a"),
	{{0}}, ERR_LIMIT, 0},
    {"a frame far over the limit", FRAMING_FRAMES, 0,
	S("\xbf\x87\xff\xff\xff\x7f"), {{0}}, ERR_LIMIT, 0},
    {"a Gap frame between others", FRAMING_FRAMES, 0, S("\xa9\0" GAP "\xa9\0"),
	{S("\xa9\0"), S(GAP), S("\xa9\0")}, ERR_MORE, 32},
    {"a Gap frame of a bad number", FRAMING_FRAMES, 0, S("\xa9\0\xa5\2\2\0"),
	{S("\xa9\0")}, ERR_BAD, 2},
    {"a Data frame of a bad tag", FRAMING_FRAMES, 0, S("\xbf\2\1\0"), {{0}},
	ERR_BAD, 0},
    {"a Data frame of bad metadata", FRAMING_FRAMES, 0, S("\xbf\3\3\1\x91"),
	{{0}}, ERR_BAD, 0},
};

static void
check_case(size_t i, size_t first, size_t step)
{
	struct framing *f = framing(cases[i].kind, cases[i].block, MAX);
	struct seen seen;
	size_t n;

	feed(f, cases[i].in, first, step, &seen);
	if (seen.end != cases[i].end || seen.offset != cases[i].offset)
		fail_msg("%s: %s at %llu, after %zu and then %zu bytes",
		    cases[i].name, err_str(seen.end),
		    (unsigned long long)seen.offset, first, step);
	for (n = 0; n < MSGS && cases[i].want[n].p != NULL; n++) {
		if (n == seen.n)
			fail_msg("%s: only %zu messages", cases[i].name, n);
		vectors_same(seen.payload[n], cases[i].want[n], cases[i].name);
	}
	assert_int_equal(seen.n, n);
	if (seen.end != ERR_MORE)
		assert_non_null(framing_why(f));
	framing_free(f);
}

static void
messages_are_the_same_however_the_input_is_cut(void **state)
{
	size_t i, first;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (first = 0; first <= cases[i].in.len; first++)
			check_case(i, first, SIZE_MAX);
		check_case(i, 0, 1);
		check_case(i, 1, 2);
	}
}

static void
a_message_of_raw_is_what_is_there(void **state)
{
	static uint8_t bytes[2 * FRAMING_RAW_MAX + 1];
	struct framing *f = framing(FRAMING_RAW, 0, SIZE_MAX);
	struct view in = S("abc");
	struct framing_msg m;

	(void)state;
	assert_int_equal(framing_get(f, &in, false, &m), OK);
	vectors_same(m.payload, view_of("abc"), "abc");
	assert_false(m.has_tag);
	assert_int_equal(framing_get(f, &in, false, &m), ERR_MORE);

	in = (struct view){bytes, sizeof(bytes)};
	assert_int_equal(framing_get(f, &in, true, &m), OK);
	assert_int_equal(m.payload.len, FRAMING_RAW_MAX);
	assert_int_equal(framing_get(f, &in, true, &m), OK);
	assert_int_equal(m.payload.len, FRAMING_RAW_MAX);
	assert_int_equal(framing_get(f, &in, true, &m), OK);
	assert_int_equal(m.payload.len, 1);
	assert_int_equal(framing_get(f, &in, true, &m), ERR_MORE);
	framing_free(f);
}

static void
a_message_of_raw_is_never_over_the_limit(void **state)
{
	struct framing *f = framing(FRAMING_RAW, 0, 2);
	struct view in = S("abc");
	struct framing_msg m;

	(void)state;
	assert_int_equal(framing_get(f, &in, false, &m), OK);
	vectors_same(m.payload, view_of("ab"), "ab");
	assert_int_equal(framing_get(f, &in, false, &m), OK);
	vectors_same(m.payload, view_of("c"), "c");
	framing_free(f);
}

static void
what_was_searched_is_not_searched_again(void **state)
{
	static const enum framing_kind kinds[] = {
	    FRAMING_LINES, FRAMING_NUL, FRAMING_JSON};
	uint8_t bytes[] = "aaaaaa";
	struct framing_msg m;
	struct framing *f;
	struct view in;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(kinds); i++) {
		f = framing(kinds[i], 0, 100);
		memset(bytes, 'a', sizeof(bytes));
		in = (struct view){bytes, 4};
		assert_int_equal(framing_get(f, &in, false, &m), ERR_MORE);
		/* An end here would be found by who looks there again. */
		bytes[1] = kinds[i] == FRAMING_NUL ? '\0' : '\n';
		in = (struct view){bytes, 6};
		assert_int_equal(framing_get(f, &in, false, &m), ERR_MORE);
		framing_free(f);
	}
}

static void
an_endless_line_is_refused_as_soon_as_it_is_too_long(void **state)
{
	static uint8_t bytes[1u << 20];
	struct framing *f;
	struct framing_msg m;
	struct view in;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	f = framing(FRAMING_LINES, 0, 1000);
	in = (struct view){bytes, 1000};
	assert_int_equal(framing_get(f, &in, false, &m), ERR_MORE);
	in.len = 1001;
	assert_int_equal(framing_get(f, &in, false, &m), ERR_LIMIT);
	framing_free(f);

	/* One of json may be longer than its payload, but not for ever. */
	f = framing(FRAMING_JSON, 0, 1000);
	in = (struct view){bytes, 6000};
	assert_int_equal(framing_get(f, &in, false, &m), ERR_MORE);
	in.len = sizeof(bytes);
	assert_int_equal(framing_get(f, &in, false, &m), ERR_LIMIT);
	framing_free(f);
}

static void
a_malformed_input_stays_malformed(void **state)
{
	struct framing *f = framing(FRAMING_NETSTRING, 0, MAX);
	struct view in = S("1:a,x1:b,");
	struct framing_msg m;
	const char *why;

	(void)state;
	assert_int_equal(framing_get(f, &in, false, &m), OK);
	assert_int_equal(framing_get(f, &in, false, &m), ERR_BAD);
	assert_int_equal(framing_offset(f), 4);
	why = framing_why(f);
	view_skip(&in, 1);
	assert_int_equal(framing_get(f, &in, false, &m), ERR_BAD);
	assert_ptr_equal(framing_why(f), why);
	assert_int_equal(framing_offset(f), 4);
	framing_free(f);
}

static void
tag_and_metadata_come_along(void **state)
{
	static const struct {
		enum framing_kind kind;
		struct view in;
	} inputs[] = {
	    {FRAMING_JSON, S("{\"tag\":4294967295,\"meta\":{\"k\":\"v\"},"
			     "\"data\":\"x\"}\n")},
	    {FRAMING_JSON, S(" { \"data64\" : \"eA==\" ,\t\"meta\" : { \"k\" :"
			     " \"v\" } , \"tag\":4294967295 } \r\n")},
	    {FRAMING_FRAMES, S("\xbf\x0d\1\1\xff\3\5\x81\xa1k\xa1v\2\1x")},
	};
	struct framing_msg m;
	struct framing *f;
	struct view in;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(inputs); i++) {
		f = framing(inputs[i].kind, 0, MAX);
		in = inputs[i].in;
		assert_int_equal(framing_get(f, &in, false, &m), OK);
		assert_int_equal(in.len, 0);
		assert_true(m.has_tag);
		assert_int_equal(m.tag, UINT32_MAX);
		vectors_same(m.meta, view_of("\x81\xa1k\xa1v"), "meta");
		vectors_same(m.payload, view_of("x"), "payload");
		assert_int_equal(
		    m.whole.len, inputs[i].kind == FRAMING_FRAMES ? 15 : 0);
		framing_free(f);
	}
}

static void
a_frame_that_is_no_Data_frame_is_whole_and_nothing_else(void **state)
{
	struct framing *f = framing(FRAMING_FRAMES, 0, MAX);
	struct view in = S("\xb9\x04\x01\x02no");
	struct framing_msg m;
	struct buf out = {0};
	int kind;

	(void)state;
	assert_int_equal(framing_get(f, &in, false, &m), OK);
	assert_false(m.has_tag);
	assert_int_equal(m.meta.len, 0);
	assert_int_equal(m.payload.len, 0);
	assert_int_equal(m.whole.len, 6);
	for (kind = 0; kind < FRAMING_FRAMES; kind++)
		assert_int_equal(
		    framing_put((enum framing_kind)kind, &m, &out), ERR_BAD);
	assert_int_equal(out.len, 0);
	assert_int_equal(framing_put(FRAMING_FRAMES, &m, &out), OK);
	vectors_same(buf_view(&out), m.whole, "whole");
	buf_fini(&out);
	framing_free(f);
}

static void
same_gap(const struct framing_msg *m, const struct gap_frame *want)
{
	assert_true(m->has_gap);
	assert_false(m->has_tag);
	assert_int_equal(m->gap.tag, want->tag);
	assert_int_equal(m->gap.messages, want->messages);
	assert_int_equal(m->gap.bytes, want->bytes);
	assert_int_equal(m->meta.len, 0);
	assert_int_equal(m->payload.len, 0);
}

/* However a gap is read and handed on, it stays the same where it can be seen.
 */
static void
a_gap_passes_in_json_and_frames(void **state)
{
	static const char line[] =
	    "{\"gap\":{\"messages\":3,\"bytes\":120},\"tag\":51}\n";
	static const struct {
		enum framing_kind kind;
		struct view in;
	} inputs[] = {
	    {FRAMING_JSON, S(line)},
	    {FRAMING_JSON, S(" { \"tag\" : 51, \"gap\" : { \"bytes\" : 12e1, "
			     "\"messages\" : 3 } }")},
	    {FRAMING_FRAMES, S(GAP)},
	    {FRAMING_FRAMES, S("\xa5\x09\3\1\x78\2\1\3\1\1\x33")},
	};
	const struct gap_frame want = {0x33, 3, 120};
	struct framing_msg m, made = {.has_gap = true, .gap = want};
	struct buf out = {0};
	struct framing *f;
	struct view in;
	int kind;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(inputs); i++) {
		f = framing(inputs[i].kind, 0, MAX);
		in = inputs[i].in;
		assert_int_equal(framing_get(f, &in, true, &m), OK);
		assert_int_equal(in.len, 0);
		same_gap(&m, &want);
		for (kind = 0; kind < FRAMING_JSON; kind++)
			assert_int_equal(
			    framing_put((enum framing_kind)kind, &m, &out), OK);
		assert_int_equal(out.len, 0);
		assert_int_equal(framing_put(FRAMING_JSON, &m, &out), OK);
		vectors_same(buf_view(&out), view_of(line), "json");
		buf_consume(&out, out.len);
		assert_int_equal(framing_put(FRAMING_FRAMES, &m, &out), OK);
		vectors_same(buf_view(&out), m.whole, "frames");
		buf_consume(&out, out.len);
		framing_free(f);
	}
	assert_int_equal(framing_put(FRAMING_FRAMES, &made, &out), OK);
	vectors_same(buf_view(&out), (struct view)S(GAP), "made");
	buf_fini(&out);
}

static void
a_gap_too_large_for_json_is_the_largest_there(void **state)
{
	const struct framing_msg m = {.has_gap = true,
	    .gap = {UINT32_MAX, UINT64_MAX, (UINT64_C(1) << 53) + 1}};
	struct framing *f = framing(FRAMING_JSON, 0, MAX);
	struct framing_msg got;
	struct buf out = {0};
	struct view in;

	(void)state;
	assert_int_equal(framing_put(FRAMING_JSON, &m, &out), OK);
	in = buf_view(&out);
	vectors_same(in,
	    view_of("{\"gap\":{\"messages\":9007199254740992,"
		    "\"bytes\":9007199254740992},\"tag\":4294967295}\n"),
	    "line");
	assert_int_equal(framing_get(f, &in, false, &got), OK);
	same_gap(&got, &(struct gap_frame){
			   UINT32_MAX, UINT64_C(1) << 53, UINT64_C(1) << 53});
	buf_fini(&out);
	framing_free(f);
}

static const struct {
	const char *line;
	const char *why;
} mistakes[] = {
    {"", "is not JSON"},
    {"{", "is not JSON"},
    {"{\"data\":\"x\"} x", "is not JSON"},
    {"{\"data\":\"x\"}{\"data\":\"y\"}", "is not JSON"},
    {"{\"data\":\"\xff\"}", "is not JSON"},
    {"{\"data\":\"\xed\xa0\x80\"}", "is not JSON"},
    {"{\"data\":\"\\ud800\"}", "is not JSON"},
    {"{\"data\":\"\\u0000\"}", "is not JSON"},
    {"{\"data\":\"\t\"}", "is not JSON"},
    {"{\"data\":\"x\",}", "is not JSON"},
    {"{data:\"x\"}", "is not JSON"},
    {"{\"tag\":051,\"data\":\"x\"}", "is not JSON"},
    {"\xef\xbb\xbf{\"data\":\"x\"}", "is not JSON"},
    {"[]", "not an object"},
    {"\"data\"", "not an object"},
    {"null", "not an object"},
    {"{}", "neither data nor data64"},
    {"{\"tag\":1}", "neither data nor data64"},
    {"{\"data\":\"x\",\"data64\":\"eA==\"}", "both data and data64"},
    {"{\"data\":\"x\",\"data\":\"x\"}", "a key is given twice"},
    {"{\"tag\":1,\"tag\":1,\"data\":\"x\"}", "a key is given twice"},
    {"{\"Data\":\"x\"}", "none of tag, meta, data"},
    {"{\"data\":\"x\",\"\":1}", "none of tag, meta, data"},
    {"{\"data\":\"x\",\"t\":[[{}]]}", "none of tag, meta, data"},
    {"{\"data\":1}", "data is no string"},
    {"{\"data\":null}", "data is no string"},
    {"{\"data64\":[]}", "data64 is no string"},
    {"{\"data64\":\"eA\"}", "not base64"},
    {"{\"data64\":\"eA=\"}", "not base64"},
    {"{\"data64\":\"eB==\"}", "not base64"},
    {"{\"data64\":\"eA== \"}", "not base64"},
    {"{\"data64\":\"eA==eA==\"}", "not base64"},
    {"{\"data64\":\"_-==\"}", "not base64"},
    {"{\"tag\":\"51\",\"data\":\"x\"}", "no integer"},
    {"{\"tag\":-1,\"data\":\"x\"}", "no integer"},
    {"{\"tag\":1.5,\"data\":\"x\"}", "no integer"},
    {"{\"tag\":4294967296,\"data\":\"x\"}", "no integer"},
    {"{\"tag\":1e999,\"data\":\"x\"}", "no integer"},
    {"{\"tag\":true,\"data\":\"x\"}", "no integer"},
    /* Not all versions of the library take so many digits. */
    {"{\"tag\":0.0000000000000000000000000000000000000000000000000000000000001"
     "00000,\"data\":\"x\"}",
	""},
    {"{\"meta\":[],\"data\":\"x\"}", "meta is no object"},
    {"{\"meta\":{\"k\":1},\"data\":\"x\"}", "in meta is no string"},
    {"{\"meta\":{\"k\":\"\",\"k\":\"\"},\"data\":\"x\"}", "in meta is given"},
    {"{\"gap\":1,\"tag\":1}", "one each of messages and bytes"},
    {"{\"gap\":[1,2],\"tag\":1}", "one each of messages and bytes"},
    {"{\"gap\":{\"messages\":1},\"tag\":1}", "one each of messages and bytes"},
    {"{\"gap\":{\"bytes\":1},\"tag\":1}", "one each of messages and bytes"},
    {"{\"gap\":{\"messages\":1,\"bytes\":1,\"x\":1},\"tag\":1}",
	"one each of messages and bytes"},
    {"{\"gap\":{\"messages\":1,\"bytes\":1,\"bytes\":1},\"tag\":1}",
	"one each of messages and bytes"},
    {"{\"gap\":{\"messages\":\"1\",\"bytes\":1},\"tag\":1}", "no integer"},
    {"{\"gap\":{\"messages\":1,\"bytes\":-1},\"tag\":1}", "no integer"},
    {"{\"gap\":{\"messages\":0.5,\"bytes\":1},\"tag\":1}", "no integer"},
    {"{\"gap\":{\"messages\":1,\"bytes\":9007199254740994},\"tag\":1}",
	"no integer"},
    {"{\"gap\":{\"messages\":1,\"bytes\":1}}", "not a tag alone"},
    {"{\"gap\":{\"messages\":1,\"bytes\":1},\"tag\":1,\"data\":\"x\"}",
	"not a tag alone"},
    {"{\"gap\":{\"messages\":1,\"bytes\":1},\"tag\":1,\"meta\":{}}",
	"not a tag alone"},
};

static void
a_mistake_in_json_is_named(void **state)
{
	struct framing_msg m;
	struct framing *f;
	struct view in;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < COUNT(mistakes); i++) {
		f = framing(FRAMING_JSON, 0, MAX);
		in = view_of(mistakes[i].line);
		if (in.len == 0)
			in = view_of("\n");
		r = framing_get(f, &in, true, &m);
		if (r != ERR_BAD ||
		    strstr(framing_why(f), mistakes[i].why) == NULL)
			fail_msg("%s: %d, %s", mistakes[i].line, r,
			    r == OK ? "" : framing_why(f));
		framing_free(f);
	}
}

/* n numbers with commas between them, or n keys with values. */
static void
put_items(struct buf *line, bool keys, size_t n)
{
	char item[32];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(item, sizeof(item), keys ? "%s\"%zu\":\"\"" : "%s%zu",
		    i > 0 ? "," : "", i);
		assert_int_equal(buf_put(line, view_of(item)), OK);
	}
}

static void
a_line_of_json_has_only_so_many_values(void **state)
{
	static const struct {
		const char *head;
		bool keys;
		const char *tail;
		size_t n;
		int want;
	} lines[] = {
	    {"{\"meta\":{", true, "},\"data\":\"\",\"tag\":1}", 256, OK},
	    {"{\"meta\":{", true, "},\"data\":\"\",\"tag\":1}", 257, ERR_BAD},
	    {"{\"meta\":{", true, "},\"data\":\"\"}", 257, ERR_BAD},
	    {"{\"data\":[", false, "]}", 100000, ERR_BAD},
	    {"{\"data\":\"", false, "\"}", 10000, OK},
	};
	struct framing_msg m;
	struct framing *f;
	struct buf line = {0};
	struct view in;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		buf_put(&line, view_of(lines[i].head));
		put_items(&line, lines[i].keys, lines[i].n);
		buf_put(&line, view_of(lines[i].tail));
		f = framing(FRAMING_JSON, 0, 1u << 20);
		in = buf_view(&line);
		assert_int_equal(framing_get(f, &in, true, &m), lines[i].want);
		framing_free(f);
		buf_fini(&line);
	}
}

static void
metadata_has_a_limit(void **state)
{
	static const enum framing_kind kinds[] = {FRAMING_JSON, FRAMING_FRAMES};
	static uint8_t text[FRAMING_META_MAX], meta[FRAMING_META_MAX + 1];
	struct meta_pair pair = {S("k"), {text, 0}};
	struct framing_msg m = {.has_tag = true, .payload = S("x")}, got;
	struct framing *f;
	struct buf out = {0};
	struct view in;
	size_t i, over;

	(void)state;
	memset(text, 'v', sizeof(text));
	for (i = 0; i < COUNT(kinds); i++) {
		for (over = 0; over <= 1; over++) {
			/* Map, key and the head of the value take six bytes. */
			pair.value.len = FRAMING_META_MAX - 6 + over;
			meta_put(meta, &pair, 1);
			m.meta = (struct view){meta, FRAMING_META_MAX + over};
			assert_int_equal(framing_put(kinds[i], &m, &out), OK);
			f = framing(kinds[i], 0, MAX);
			in = buf_view(&out);
			assert_int_equal(framing_get(f, &in, true, &got),
			    over ? ERR_LIMIT : OK);
			framing_free(f);
			buf_consume(&out, out.len);
		}
	}
	buf_fini(&out);
}

static const struct {
	struct framing_msg m;
	const char *want; /* NULL: json cannot carry it */
} written[] = {
    {{.payload = S("")}, "{\"data\":\"\"}\n"},
    {{.has_tag = true, .tag = 51, .payload = S("text")},
	"{\"tag\":51,\"data\":\"text\"}\n"},
    {{.has_tag = true, .tag = UINT32_MAX, .payload = S("\"\\/\b\f\n\r\t")},
	"{\"tag\":4294967295,\"data\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"}\n"},
    {{.payload = S("\1\37 \177")}, "{\"data\":\"\\u0001\\u001f \177\"}\n"},
    {{.payload = S("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80")},
	"{\"data\":\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"}\n"},
    {{.payload = S("\0")}, "{\"data64\":\"AA==\"}\n"},
    {{.payload = S("a\xff")}, "{\"data64\":\"Yf8=\"}\n"},
    {{.payload = S("\xc0\x80")}, "{\"data64\":\"wIA=\"}\n"},
    {{.payload = S("\xe2\x82")}, "{\"data64\":\"4oI=\"}\n"},
    {{.meta = S("\x80"), .payload = S("x")}, "{\"data\":\"x\"}\n"},
    {{.meta = S("\xc0"), .payload = S("x")}, "{\"data\":\"x\"}\n"},
    {{.meta = S("\x82\xa1k\xa1v\xa1l\xc0"), .payload = S("x")},
	"{\"meta\":{\"k\":\"v\",\"l\":\"\"},\"data\":\"x\"}\n"},
    {{.meta = S("\x83\xa1k\xa1v\xa1l\xa0\xa1k\xa1\""), .payload = S("x")},
	"{\"meta\":{\"k\":\"\\\"\",\"l\":\"\"},\"data\":\"x\"}\n"},
    {{.meta = S("\x91"), .payload = S("x")}, NULL},
    {{.meta = S("\x81\xa1k"), .payload = S("x")}, NULL},
    {{.meta = S("\x81\xa1k\xa1\xff"), .payload = S("x")}, NULL},
    {{.meta = S("\x81\xa1\0\xa1v"), .payload = S("x")}, NULL},
};

static void
messages_are_written_as_json(void **state)
{
	struct buf out = {0};
	cJSON *tree;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		r = framing_put(FRAMING_JSON, &written[i].m, &out);
		assert_int_equal(r, written[i].want != NULL ? OK : ERR_BAD);
		vectors_same(buf_view(&out), view_of(written[i].want), "line");
		if (r == OK) {
			tree = cJSON_ParseWithLength(
			    (const char *)out.p + out.off, out.len);
			assert_non_null(tree);
			cJSON_Delete(tree);
		}
		buf_consume(&out, out.len);
	}
	buf_fini(&out);
}

static void
metadata_of_too_many_pairs_is_not_for_json(void **state)
{
	static struct meta_pair pairs[257];
	char keys[257][4];
	struct buf out = {0};
	struct framing_msg m = {0};
	uint8_t bytes[4096];
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(pairs); i++) {
		snprintf(keys[i], sizeof(keys[i]), "%zu", i);
		pairs[i].key = view_of(keys[i]);
	}
	m.meta.p = bytes;
	for (n = 256; n <= 257; n++) {
		m.meta.len = (size_t)(meta_put(bytes, pairs, n) - bytes);
		assert_int_equal(framing_put(FRAMING_JSON, &m, &out),
		    n <= 256 ? OK : ERR_BAD);
	}
	buf_fini(&out);
}

/* A message as it goes in and out, and which formats cannot carry it. */
static const struct {
	struct framing_msg m;
	unsigned not ; /* 1 << kind */
} trips[] = {
    {{.payload = S("")}, 0},
    {{.payload = S("hello")}, 0},
    {{.payload = S("\\")}, 0},
    {{.payload = S("\\\"\\\\\",\"\\")}, 0},
    {{.payload = S("a\nb")}, 1u << FRAMING_LINES},
    {{.payload = S("\n")}, 1u << FRAMING_LINES},
    {{.payload = S("a\0b")}, 1u << FRAMING_NUL},
    {{.payload = S("\0\n\xff,:\"\\")}, 1u << FRAMING_LINES | 1u << FRAMING_NUL},
    {{.has_tag = true,
	 .tag = 0xdeadbeef,
	 .meta = S("\x81\xa1k\xa1v"),
	 .payload = S("\r\n \xe2\x82\xac")},
	1u << FRAMING_LINES},
};

static void
check_trip(enum framing_kind kind, const struct framing_msg *m)
{
	struct framing *f = framing(kind, 0, 64);
	struct framing_msg got;
	struct buf out = {0};
	struct view in;

	/* Two of them: each has an end. */
	assert_int_equal(framing_put(kind, m, &out), OK);
	assert_int_equal(framing_put(kind, m, &out), OK);
	in = buf_view(&out);
	assert_int_equal(framing_get(f, &in, false, &got), OK);
	assert_int_equal(in.len, out.len / 2);
	assert_int_equal(framing_get(f, &in, true, &got), OK);
	assert_int_equal(in.len, 0);
	vectors_same(got.payload, m->payload, framing_name(kind));
	if (kind == FRAMING_JSON || kind == FRAMING_FRAMES) {
		assert_int_equal(got.has_tag, m->has_tag);
		assert_int_equal(got.tag, m->tag);
		vectors_same(got.meta, m->meta, framing_name(kind));
	}
	buf_fini(&out);
	framing_free(f);
}

static void
what_is_written_is_read_or_refused(void **state)
{
	struct buf out = {0};
	struct framing_msg m;
	size_t i;
	int kind;

	(void)state;
	for (i = 0; i < COUNT(trips); i++) {
		for (kind = FRAMING_LINES; kind < KINDS; kind++) {
			m = trips[i].m;
			if (kind == FRAMING_FRAMES && !m.has_tag) {
				assert_int_equal(
				    framing_put(FRAMING_FRAMES, &m, &out),
				    ERR_BAD);
				m.has_tag = true;
			}
			if (trips[i].not &1u << kind)
				assert_int_equal(
				    framing_put(
					(enum framing_kind)kind, &m, &out),
				    ERR_BAD);
			else
				check_trip((enum framing_kind)kind, &m);
			assert_int_equal(out.len, 0);
		}
	}
	buf_fini(&out);
}

static void
raw_payloads_are_joined(void **state)
{
	struct framing_msg m = {.payload = S("abc")};
	struct buf out = {0};

	(void)state;
	assert_int_equal(framing_put(FRAMING_RAW, &m, &out), OK);
	assert_int_equal(framing_put(FRAMING_RAW, &m, &out), OK);
	vectors_same(buf_view(&out), view_of("abcabc"), "raw");
	buf_fini(&out);
}

static void
lengths_that_a_format_cannot_say_are_refused(void **state)
{
	/* Nobody looks at the bytes, since there is no way to write them. */
	struct framing_msg m = {.has_tag = true, .payload = S("x")};
	struct buf out = {0};

	(void)state;
	m.payload.len = (size_t)UINT32_MAX + 1;
	assert_int_equal(framing_put(FRAMING_LEN32, &m, &out), ERR_BAD);
	m.payload.len = INT32_MAX;
	assert_int_equal(framing_put(FRAMING_FRAMES, &m, &out), ERR_BAD);
	m.meta = m.payload;
	m.payload.len = 1;
	assert_int_equal(framing_put(FRAMING_FRAMES, &m, &out), ERR_BAD);
	m.payload.len = SIZE_MAX;
	assert_int_equal(framing_put(FRAMING_NETSTRING, &m, &out), ERR_LIMIT);
	assert_null(out.p);
}

static void
a_limit_may_be_none_or_nothing(void **state)
{
	static const struct view inputs[] = {
	    [FRAMING_RAW] = S("x"),
	    [FRAMING_LINES] = S("x\n"),
	    [FRAMING_NUL] = S("x\0"),
	    [FRAMING_LEN32] = S("\0\0\0\1x"),
	    [FRAMING_NETSTRING] = S("1:x,"),
	    [FRAMING_JSON] = S("{\"data\":\"x\"}\n"),
	    [FRAMING_FRAMES] = S("\xbf\x03\2\1x"),
	};
	struct framing_msg m;
	struct framing *f;
	struct view in;
	int kind, none;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		for (none = 0; none <= 1; none++) {
			f = framing(
			    (enum framing_kind)kind, 0, none ? SIZE_MAX : 0);
			in = inputs[kind];
			assert_int_equal(framing_get(f, &in, false, &m),
			    none ? OK : ERR_LIMIT);
			if (none)
				vectors_same(m.payload, view_of("x"),
				    framing_name((enum framing_kind)kind));
			framing_free(f);
		}
	}
}

static void
every_prefix_of_a_message_wants_more(void **state)
{
	const struct framing_msg m = {.has_tag = true,
	    .tag = 0x33,
	    .meta = S("\x81\xa1k\xa1v"),
	    .payload = S("payload")};
	struct framing_msg got;
	struct framing *f;
	struct buf out = {0};
	struct view in;
	size_t cut;
	int kind, r;

	(void)state;
	for (kind = FRAMING_LINES; kind < KINDS; kind++) {
		assert_int_equal(
		    framing_put((enum framing_kind)kind, &m, &out), OK);
		for (cut = 0; cut < out.len; cut++) {
			f = framing((enum framing_kind)kind, 0, MAX);
			in = (struct view){buf_view(&out).p, cut};
			r = framing_get(f, &in, false, &got);
			assert_int_equal(r, ERR_MORE);
			assert_int_equal(in.len, cut);
			r = framing_get(f, &in, true, &got);
			if (cut == 0)
				assert_int_equal(r, ERR_MORE);
			else if (kind == FRAMING_LINES || kind == FRAMING_NUL ||
				 (kind == FRAMING_JSON && cut == out.len - 1))
				assert_int_equal(r, OK);
			else
				assert_int_equal(r, ERR_BAD);
			framing_free(f);
		}
		buf_consume(&out, out.len);
	}
	buf_fini(&out);
}

static void
a_full_output_is_left_as_it_was(void **state)
{
	const struct framing_msg m = {
	    .has_tag = true, .tag = 1, .payload = S("payload")};
	struct buf out;
	size_t size;
	int kind;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		out = (struct buf){0};
		assert_int_equal(
		    framing_put((enum framing_kind)kind, &m, &out), OK);
		size = out.len;
		out.max = 2 * size - 1;
		assert_int_equal(
		    framing_put((enum framing_kind)kind, &m, &out), ERR_LIMIT);
		assert_int_equal(out.len, size);
		out.max = 2 * size;
		assert_int_equal(
		    framing_put((enum framing_kind)kind, &m, &out), OK);
		assert_int_equal(out.len, 2 * size);
		buf_fini(&out);
	}
}

/* There and back; OK, or what failed first. */
static int
trip(enum framing_kind kind, const struct framing_msg *m)
{
	const struct framing_conf conf = {kind, 0, 64};
	struct framing *f = NULL;
	struct framing_msg got;
	struct buf out = {0};
	struct view in;
	int r;

	if ((r = framing_new(&f, &conf)) == OK &&
	    (r = framing_put(kind, m, &out)) == OK) {
		in = buf_view(&out);
		r = framing_get(f, &in, true, &got);
		if (r == ERR_NOMEM) /* nothing is lost: it may be tried again */
			assert_int_equal(in.len, out.len);
	}
	buf_fini(&out);
	framing_free(f);
	return r;
}

static void
memory_may_run_out_at_any_point(void **state)
{
	/* The library's own allocations are to fail, too. */
	cJSON_Hooks hooks = {malloc, free};
	size_t i, n;
	bool hit;
	int kind, r;

	(void)state;
	cJSON_InitHooks(&hooks);
	for (i = 0; i < COUNT(trips); i++) {
		for (kind = 0; kind < KINDS; kind++) {
			if (trips[i].not &1u << kind ||
			    (kind == FRAMING_FRAMES && !trips[i].m.has_tag) ||
			    (kind == FRAMING_RAW &&
				trips[i].m.payload.len == 0))
				continue;
			for (n = 1, hit = true; hit; n++) {
				faults_at(n);
				r = trip((enum framing_kind)kind, &trips[i].m);
				hit = faults_hit();
				faults_off();
				assert_int_equal(r, hit ? ERR_NOMEM : OK);
			}
		}
	}
	cJSON_InitHooks(NULL);
}

static void
formats_have_names(void **state)
{
	enum framing_kind kind, got;

	(void)state;
	for (kind = FRAMING_RAW; kind < KINDS; kind++) {
		assert_int_equal(framing_kind_of(framing_name(kind), &got), OK);
		assert_int_equal(got, kind);
	}
	assert_int_equal(framing_kind_of("line", &got), ERR_NONE);
	assert_int_equal(framing_kind_of("", &got), ERR_NONE);
}

static void
nothing_is_freed_without_a_fault(void **state)
{
	(void)state;
	framing_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_are_the_same_however_the_input_is_cut),
	    cmocka_unit_test(a_message_of_raw_is_what_is_there),
	    cmocka_unit_test(a_message_of_raw_is_never_over_the_limit),
	    cmocka_unit_test(what_was_searched_is_not_searched_again),
	    cmocka_unit_test(
		an_endless_line_is_refused_as_soon_as_it_is_too_long),
	    cmocka_unit_test(a_malformed_input_stays_malformed),
	    cmocka_unit_test(tag_and_metadata_come_along),
	    cmocka_unit_test(
		a_frame_that_is_no_Data_frame_is_whole_and_nothing_else),
	    cmocka_unit_test(a_gap_passes_in_json_and_frames),
	    cmocka_unit_test(a_gap_too_large_for_json_is_the_largest_there),
	    cmocka_unit_test(a_mistake_in_json_is_named),
	    cmocka_unit_test(a_line_of_json_has_only_so_many_values),
	    cmocka_unit_test(metadata_has_a_limit),
	    cmocka_unit_test(messages_are_written_as_json),
	    cmocka_unit_test(metadata_of_too_many_pairs_is_not_for_json),
	    cmocka_unit_test(what_is_written_is_read_or_refused),
	    cmocka_unit_test(raw_payloads_are_joined),
	    cmocka_unit_test(lengths_that_a_format_cannot_say_are_refused),
	    cmocka_unit_test(a_limit_may_be_none_or_nothing),
	    cmocka_unit_test(every_prefix_of_a_message_wants_more),
	    cmocka_unit_test(a_full_output_is_left_as_it_was),
	    cmocka_unit_test(memory_may_run_out_at_any_point),
	    cmocka_unit_test(formats_have_names),
	    cmocka_unit_test(nothing_is_freed_without_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
