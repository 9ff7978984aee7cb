/* SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <stdio.h>

#include "lane_any.h"
#include "unit.h"
#include "vectors.h"

#define SMALL 256 /* holds every frame here */
#define MANUAL "man/yomo-protocol.7"
#define MANUAL_MAX (1u << 20)

/* The examples of yomo-protocol(7), and what stands at a limit. */
static const struct {
	bool in_manual;
	const char *name, *hex;
	uint8_t type;
	union lane_any f;
} written[] = {
    {true, "lane", "a0 03  01 01 33", FRAME_LANE,
	{.lane = {.has_tag = true, .tag = 0x33}}},
    {false, "lane of tag 0", "a0 03  01 01 00", FRAME_LANE,
	{.lane = {true, 0, {0}}}},
    {true, "lane of a tag that looks negative", "a0 05  01 03 00 e0 01",
	FRAME_LANE, {.lane = {.has_tag = true, .tag = 0xe001}}},
    {true, "lane, shared", "a0 00", FRAME_LANE, {.lane = {0}}},
    {true, "lane with a session", "a0 0b  01 01 33  02 06 56 31 53 74 47 58",
	FRAME_LANE,
	{.lane = {true, 0x33, BYTES('V', '1', 'S', 't', 'G', 'X')}}},

    {true, "observe",
	"a1 1b  01 01 01  02 10 33 00 00 00 33 00 00 00"
	" 40 00 00 00 4f 00 00 00  04 01 02  06 01 00",
	FRAME_OBSERVE,
	{.observe = {.request = 1,
	     .add = BYTES(
		 0x33, 0, 0, 0, 0x33, 0, 0, 0, 0x40, 0, 0, 0, 0x4f, 0, 0, 0),
	     .policy = OBSERVE_DROP_OLD}}},
    {true, "observe in a group",
	"a1 14  01 01 02  02 08 33 00 00 00 33 00 00 00"
	"  05 02 67 31  06 01 10",
	FRAME_OBSERVE,
	{.observe = {.request = 2,
	     .add = BYTES(0x33, 0, 0, 0, 0x33, 0, 0, 0),
	     .group = BYTES('g', '1'),
	     .prefetch = 16}}},
    {true, "observe no more",
	"a1 10  01 01 03  03 08 40 00 00 00 4f 00 00 00  06 01 00",
	FRAME_OBSERVE,
	{.observe = {.request = 3,
	     .remove = BYTES(0x40, 0, 0, 0, 0x4f, 0, 0, 0)}}},
    {false, "observe nothing", "a1 06  01 01 00  06 01 00", FRAME_OBSERVE,
	{.observe = {0}}},

    {true, "observe ack", "a2 03  01 01 01", FRAME_OBSERVE_ACK,
	{.observe_ack = {.request = 1}}},
    {true, "observe ack, refused", "a2 09  01 01 02  02 04 66 75 6c 6c",
	FRAME_OBSERVE_ACK, {.observe_ack = {2, BYTES('f', 'u', 'l', 'l')}}},

    {true, "interest asked for", "a3 0a  01 08 33 00 00 00 33 00 00 00",
	FRAME_INTEREST,
	{.interest = {.ranges = BYTES(0x33, 0, 0, 0, 0x33, 0, 0, 0)}}},
    {true, "interest told", "a3 0d  02 08 33 00 00 00 02 00 00 00  03 01 01",
	FRAME_INTEREST,
	{.interest = {.entries = BYTES(0x33, 0, 0, 0, 2, 0, 0, 0),
	     .complete = true}}},
    {false, "interest of nobody", "a3 03  03 01 01", FRAME_INTEREST,
	{.interest = {.complete = true}}},
    {true, "interest no more", "a3 00", FRAME_INTEREST,
	{.interest = {.complete = false}}},

    {true, "taken", "a4 0a  01 01 02  02 02 03 e8  03 01 00", FRAME_TAKEN,
	{.taken = {.lane = 2, .messages = 1000}}},
    {false, "taken, huge",
	"a4 1e  01 08 3f ff ff ff ff ff ff fe  02 08 ff ff ff ff ff ff ff ff"
	"  03 08 80 00 00 00 00 00 00 00",
	FRAME_TAKEN,
	{.taken = {(UINT64_C(1) << 62) - 2, UINT64_MAX, UINT64_C(1) << 63}}},

    {true, "gap",
	"a5 1a  01 04 00 00 00 33  02 08 00 00 00 00 00 00 00 03"
	"  03 08 00 00 00 00 00 00 00 78",
	FRAME_GAP, {.gap = {0x33, 3, 120}}},
    {false, "gap of a tag that looks negative",
	"a5 1a  01 04 de ad be ef  02 08 00 00 00 00 00 00 00 00"
	"  03 08 ff ff ff ff ff ff ff ff",
	FRAME_GAP, {.gap = {0xdeadbeef, 0, UINT64_MAX}}},

    {true, "credit", "a6 08  01 01 02  02 03 08 00 00", FRAME_CREDIT,
	{.credit = {2, 0x80000}}},
    {false, "chunk", "a7 0c  01 01 02  03 07 a0 03 01 01 33 a5 00", FRAME_CHUNK,
	{.chunk = {2, false, BYTES(0xa0, 3, 1, 1, 0x33, 0xa5, 0)}}},
    {true, "chunk, the last", "a7 0b  01 01 02  02 01 01  03 03 61 62 63",
	FRAME_CHUNK, {.chunk = {2, true, BYTES('a', 'b', 'c')}}},
    {false, "chunk, nothing but the end", "a7 06  01 01 02  02 01 01",
	FRAME_CHUNK, {.chunk = {.lane = 2, .fin = true}}},
    {true, "reset, all is taken", "a8 06  01 01 02  02 01 00", FRAME_RESET,
	{.reset = {2, 0}}},
    {false, "reset", "a8 06  01 01 02  02 01 13", FRAME_RESET,
	{.reset = {2, 0x13}}},
    {false, "reset, another code", "a8 07  01 01 06  02 02 01 00", FRAME_RESET,
	{.reset = {6, 0x100}}},
};

/* Text without the spaces that it has for people. */
static void
squeeze(const char *text, char *out)
{
	for (; *text != '\0'; text++)
		if (!isspace((unsigned char)*text))
			*out++ = *text;
	*out = '\0';
}

static struct view
bytes_of(const char *hex, uint8_t *out)
{
	char tight[3 * SMALL];

	squeeze(hex, tight);
	return vectors_unhex(tight, out, SMALL);
}

/* The whole of in as one frame of the type. */
static struct view
body_of(struct view in, uint8_t type)
{
	struct frame f;

	assert_int_equal(frame_get(&in, SIZE_MAX, &f), OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(f.type, type);
	return f.body;
}

/* Field by field: memory between them is nobody's. */
static void
same_fields(uint8_t type, const union lane_any *a, const union lane_any *b,
    const char *name)
{
	switch (type) {
	case FRAME_LANE:
		assert_int_equal(a->lane.has_tag, b->lane.has_tag);
		assert_int_equal(a->lane.tag, b->lane.tag);
		vectors_same(a->lane.session, b->lane.session, name);
		break;
	case FRAME_OBSERVE:
		assert_int_equal(a->observe.request, b->observe.request);
		vectors_same(a->observe.add, b->observe.add, name);
		vectors_same(a->observe.remove, b->observe.remove, name);
		assert_int_equal(a->observe.policy, b->observe.policy);
		vectors_same(a->observe.group, b->observe.group, name);
		assert_int_equal(a->observe.prefetch, b->observe.prefetch);
		break;
	case FRAME_OBSERVE_ACK:
		assert_int_equal(
		    a->observe_ack.request, b->observe_ack.request);
		vectors_same(
		    a->observe_ack.refusal, b->observe_ack.refusal, name);
		break;
	case FRAME_INTEREST:
		vectors_same(a->interest.ranges, b->interest.ranges, name);
		vectors_same(a->interest.entries, b->interest.entries, name);
		assert_int_equal(a->interest.complete, b->interest.complete);
		break;
	case FRAME_CHUNK:
		assert_int_equal(a->chunk.lane, b->chunk.lane);
		assert_int_equal(a->chunk.fin, b->chunk.fin);
		vectors_same(a->chunk.bytes, b->chunk.bytes, name);
		break;
	case FRAME_TAKEN:
		assert_memory_equal(&a->taken, &b->taken, sizeof(a->taken));
		break;
	case FRAME_GAP:
		assert_int_equal(a->gap.tag, b->gap.tag);
		assert_int_equal(a->gap.messages, b->gap.messages);
		assert_int_equal(a->gap.bytes, b->gap.bytes);
		break;
	case FRAME_CREDIT:
		assert_memory_equal(&a->credit, &b->credit, sizeof(a->credit));
		break;
	case FRAME_RESET:
		assert_memory_equal(&a->reset, &b->reset, sizeof(a->reset));
		break;
	default:
		fail_msg("%s: no frame of ours", name);
	}
}

static void
frames_are_written_byte_by_byte(void **state)
{
	uint8_t want[SMALL], got[SMALL];
	union lane_any f;
	struct view in;
	size_t i, size;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		in = bytes_of(written[i].hex, want);
		size = lane_any_size(written[i].type, &written[i].f);
		assert_ptr_equal(
		    lane_any_put(got, written[i].type, &written[i].f),
		    got + size);
		vectors_same((struct view){got, size}, in, written[i].name);
		assert_int_equal(lane_any_get(written[i].type,
				     body_of(in, written[i].type), &f),
		    OK);
		same_fields(
		    written[i].type, &f, &written[i].f, written[i].name);
	}
}

static void
the_manual_shows_these_bytes(void **state)
{
	static char page[MANUAL_MAX];
	char tight[3 * SMALL];
	size_t i;
	FILE *f;

	(void)state;
	if ((f = fopen(MANUAL, "r")) == NULL)
		fail_msg("cannot open '%s': run from the top folder", MANUAL);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	squeeze(page, page);
	for (i = 0; i < COUNT(written); i++) {
		squeeze(written[i].hex, tight);
		if (written[i].in_manual && strstr(page, tight) == NULL)
			fail_msg("%s: %s", written[i].name, written[i].hex);
	}
}

/* Bodies as no writer of ours makes them: fine with what f says, or bad. */
static const struct {
	const char *name, *hex;
	uint8_t type;
	int want;
	union lane_any f;
} read[] = {
    {"lane: no body", "", FRAME_LANE, OK, {.lane = {0}}},
    {"lane: an empty session", "02 00", FRAME_LANE, OK, {.lane = {0}}},
    {"lane: an empty tag", "01 00", FRAME_LANE, ERR_BAD, {.lane = {0}}},
    {"lane: an unknown child", "3f 01 07  01 01 33", FRAME_LANE, OK,
	{.lane = {true, 0x33, {0}}}},
    {"lane: an unknown node", "89 02 01 00  01 01 33", FRAME_LANE, OK,
	{.lane = {true, 0x33, {0}}}},
    {"lane: a malformed unknown node", "89 01 01  01 01 33", FRAME_LANE,
	ERR_BAD, {.lane = {0}}},
    {"lane: the last tag counts", "01 01 34  01 01 33", FRAME_LANE, OK,
	{.lane = {true, 0x33, {0}}}},
    {"lane: a child past the end", "01 02 33", FRAME_LANE, ERR_BAD,
	{.lane = {0}}},
    {"lane: one byte of rest", "01 01 33 02", FRAME_LANE, ERR_BAD,
	{.lane = {0}}},

    {"observe: in another order", "06 01 10  05 01 67  04 01 03  01 01 07",
	FRAME_OBSERVE, OK,
	{.observe = {.request = 7,
	     .policy = OBSERVE_DISCONNECT,
	     .group = BYTES('g'),
	     .prefetch = 16}}},
    {"observe: no body", "", FRAME_OBSERVE, OK, {.observe = {0}}},
    {"observe: an empty policy", "04 00", FRAME_OBSERVE, OK, {.observe = {0}}},
    {"observe: a policy unknown to us", "04 01 09", FRAME_OBSERVE, OK,
	{.observe = {.policy = 9}}},
    {"observe: a range cut short", "02 07 33 00 00 00 33 00 00", FRAME_OBSERVE,
	ERR_BAD, {.observe = {0}}},
    {"observe: a range that runs backwards",
	"02 10 33 00 00 00 33 00 00 00 34 00 00 00 33 00 00 00", FRAME_OBSERVE,
	ERR_BAD, {.observe = {0}}},
    {"observe: such a range removed", "03 08 ff ff ff ff fe ff ff ff",
	FRAME_OBSERVE, ERR_BAD, {.observe = {0}}},
    {"observe: no request", "01 00", FRAME_OBSERVE, ERR_BAD, {.observe = {0}}},
    {"observe: no prefetch", "06 00", FRAME_OBSERVE, ERR_BAD, {.observe = {0}}},

    {"observe ack: no body", "", FRAME_OBSERVE_ACK, OK, {.observe_ack = {0}}},
    {"observe ack: no request", "01 00", FRAME_OBSERVE_ACK, ERR_BAD,
	{.observe_ack = {0}}},
    {"observe ack: an empty refusal", "01 01 01 02 00", FRAME_OBSERVE_ACK, OK,
	{.observe_ack = {.request = 1}}},

    {"interest: complete is 0", "03 01 00", FRAME_INTEREST, OK,
	{.interest = {.complete = false}}},
    {"interest: an entry cut short", "02 04 33 00 00 00", FRAME_INTEREST,
	ERR_BAD, {.interest = {.complete = false}}},
    {"interest: a range that runs backwards", "01 08 01 00 00 00 00 00 00 00",
	FRAME_INTEREST, ERR_BAD, {.interest = {.complete = false}}},
    {"interest: an entry is no range", "02 08 01 00 00 00 00 00 00 00",
	FRAME_INTEREST, OK,
	{.interest = {.entries = BYTES(1, 0, 0, 0, 0, 0, 0, 0)}}},

    {"taken: padded", "01 03 00 00 02  02 08 00 00 00 00 00 00 03 e8",
	FRAME_TAKEN, OK, {.taken = {2, 1000, 0}}},
    {"taken: nine bytes", "02 09 00 00 00 00 00 00 00 03 e8", FRAME_TAKEN,
	ERR_BAD, {.taken = {0}}},
    {"taken: an empty number", "01 01 02  03 00", FRAME_TAKEN, ERR_BAD,
	{.taken = {0}}},
    {"taken: an empty lane", "01 00", FRAME_TAKEN, ERR_BAD, {.taken = {0}}},
    {"taken: bad, then good", "02 00  02 01 05", FRAME_TAKEN, OK,
	{.taken = {0, 5, 0}}},

    {"gap: the shortest forms", "01 01 33  02 01 03  03 01 78", FRAME_GAP, OK,
	{.gap = {0x33, 3, 120}}},
    {"gap: no body", "", FRAME_GAP, OK, {.gap = {0}}},
    {"gap: an empty tag", "01 00", FRAME_GAP, ERR_BAD, {.gap = {0}}},
    {"gap: no messages", "02 00", FRAME_GAP, ERR_BAD, {.gap = {0}}},
    {"gap: nine bytes", "03 09 00 00 00 00 00 00 00 00 01", FRAME_GAP, ERR_BAD,
	{.gap = {0}}},

    {"credit: an empty lane", "01 00", FRAME_CREDIT, ERR_BAD, {.credit = {0}}},
    {"credit: an empty limit", "02 00", FRAME_CREDIT, ERR_BAD, {.credit = {0}}},
    {"chunk: an empty lane", "01 00", FRAME_CHUNK, ERR_BAD, {.chunk = {0}}},
    {"chunk: fin is 0", "01 01 02  02 01 00  03 00", FRAME_CHUNK, OK,
	{.chunk = {.lane = 2}}},
    {"reset: an empty lane", "01 00", FRAME_RESET, ERR_BAD, {.reset = {0}}},
    {"reset: an empty code", "02 00", FRAME_RESET, ERR_BAD, {.reset = {0}}},
};

static void
bodies_of_others_are_taken_or_refused(void **state)
{
	union lane_any f, untouched;
	uint8_t bytes[SMALL];
	size_t i;
	int r;

	(void)state;
	memset(&untouched, 0x55, sizeof(untouched));
	for (i = 0; i < COUNT(read); i++) {
		memcpy(&f, &untouched, sizeof(f));
		r = lane_any_get(
		    read[i].type, bytes_of(read[i].hex, bytes), &f);
		if (r != read[i].want)
			fail_msg("%s: %s", read[i].name, err_str(r));
		if (r == OK)
			same_fields(read[i].type, &f, &read[i].f, read[i].name);
		else
			assert_memory_equal(&f, &untouched, sizeof(f));
	}
}

/* A body may end only between its children. */
static void
a_body_cut_within_a_child_is_bad(void **state)
{
	uint8_t bytes[SMALL];
	union lane_any f;
	struct view body;
	size_t i, cut, good, children;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		body =
		    body_of(bytes_of(written[i].hex, bytes), written[i].type);
		children = 0;
		for (cut = 0; cut < body.len; children++)
			cut += 2 + body.p[cut + 1];
		for (cut = 0, good = 0; cut < body.len; cut++)
			good += lane_any_get(written[i].type,
				    (struct view){body.p, cut}, &f) == OK;
		if (good != children)
			fail_msg("%s: %zu", written[i].name, good);
	}
}

static void
frames_have_names(void **state)
{
	static const char *const names[] = {"LaneFrame", "ObserveFrame",
	    "ObserveAckFrame", "InterestFrame", "TakenFrame", "GapFrame",
	    "CreditFrame", "ChunkFrame", "ResetFrame"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++)
		assert_string_equal(
		    frame_name((uint8_t)(LANE_ANY_FIRST + i)), names[i]);
	assert_string_equal(frame_name(LANE_ANY_FIRST - 1), "UnknownFrame");
	assert_string_equal(frame_name(0x7f), "UnknownFrame");
	assert_string_equal(frame_name(0xff), "UnknownFrame");
}

static void
numbers_take_as_few_bytes_as_they_can(void **state)
{
	struct reset_frame f = {0, 0}, got;
	uint8_t bytes[SMALL];
	struct view body;
	size_t bits;

	(void)state;
	for (bits = 0; bits <= 64; bits++) {
		f.code = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
		assert_ptr_equal(
		    reset_frame_put(bytes, &f), bytes + reset_frame_size(&f));
		body = body_of(
		    (struct view){bytes, reset_frame_size(&f)}, FRAME_RESET);
		assert_int_equal(
		    body.len, 3 + 2 + (bits == 0 ? 1 : (bits + 7) / 8));
		assert_int_equal(reset_frame_get(body, &got), OK);
		assert_int_equal(got.code, f.code);
	}
}

static void
a_gap_grows_in_place(void **state)
{
	struct gap_frame f = {0xe001, 1, 100}, got;
	uint8_t bytes[GAP_FRAME_SIZE + 1];
	const struct view body = {bytes + 2, GAP_FRAME_SIZE - 2};

	(void)state;
	bytes[GAP_FRAME_SIZE] = 0x55;
	assert_ptr_equal(gap_frame_put(bytes, &f), bytes + GAP_FRAME_SIZE);
	gap_frame_add(bytes, 255, 0x100000000);
	assert_int_equal(gap_frame_get(body, &got), OK);
	assert_int_equal(got.tag, 0xe001);
	assert_int_equal(got.messages, 256);
	assert_int_equal(got.bytes, 0x100000064);
	gap_frame_add(bytes, UINT64_MAX - 256, UINT64_MAX);
	gap_frame_add(bytes, 1, 0);
	assert_int_equal(gap_frame_get(body, &got), OK);
	assert_int_equal(got.messages, UINT64_MAX);
	assert_int_equal(got.bytes, UINT64_MAX);
	assert_int_equal(bytes[GAP_FRAME_SIZE], 0x55);
}

static void
the_head_of_a_chunk_is_all_but_its_bytes(void **state)
{
	const struct chunk_frame chunks[] = {
	    {2, false, BYTES('a', 'b', 'c')},
	    {UINT64_MAX, true, BYTES('x')},
	    {0, true, {NULL, 0}},
	};
	const struct chunk_frame longest = {
	    UINT64_MAX, true, {NULL, INT32_MAX - CHUNK_FRAME_HEAD_MAX}};
	uint8_t whole[SMALL], head[SMALL];
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(chunks); i++) {
		n = chunk_frame_size(&chunks[i]) - chunks[i].bytes.len;
		chunk_frame_put(whole, &chunks[i]);
		assert_ptr_equal(
		    chunk_frame_put_head(head, &chunks[i]), head + n);
		assert_memory_equal(whole, head, n);
	}
	assert_ptr_equal(
	    chunk_frame_put_head(head, &longest), head + CHUNK_FRAME_HEAD_MAX);
}

static void
lists_are_read_as_they_were_written(void **state)
{
	const struct tag_range ranges[] = {
	    {0, 0}, {0x33, 0x3f}, {0xdeadbeef, UINT32_MAX}};
	const struct interest_entry entries[] = {{0x33, 2}, {UINT32_MAX, 0}};
	uint8_t bytes[SMALL], *p;
	struct tag_range r;
	struct interest_entry e;
	struct view list;
	size_t i;

	(void)state;
	for (i = 0, p = bytes; i < COUNT(ranges); i++)
		p = ranges_put(p, ranges[i]);
	list = (struct view){bytes, (size_t)(p - bytes)};
	assert_int_equal(list.len, COUNT(ranges) * RANGES_ONE);
	assert_int_equal(ranges_check(list), OK);
	assert_int_equal(ranges_count(list), COUNT(ranges));
	for (i = 0; i < COUNT(ranges); i++) {
		r = ranges_at(list, i);
		assert_int_equal(r.first, ranges[i].first);
		assert_int_equal(r.last, ranges[i].last);
	}
	for (i = 0, p = bytes; i < COUNT(entries); i++)
		p = interest_entry_put(p, entries[i]);
	list = (struct view){bytes, (size_t)(p - bytes)};
	assert_int_equal(list.len, COUNT(entries) * INTEREST_ENTRY_SIZE);
	assert_int_equal(interest_entry_count(list), COUNT(entries));
	for (i = 0; i < COUNT(entries); i++) {
		e = interest_entry_at(list, i);
		assert_int_equal(e.tag, entries[i].tag);
		assert_int_equal(e.observers, entries[i].observers);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_are_written_byte_by_byte),
	    cmocka_unit_test(the_manual_shows_these_bytes),
	    cmocka_unit_test(bodies_of_others_are_taken_or_refused),
	    cmocka_unit_test(a_body_cut_within_a_child_is_bad),
	    cmocka_unit_test(frames_have_names),
	    cmocka_unit_test(numbers_take_as_few_bytes_as_they_can),
	    cmocka_unit_test(a_gap_grows_in_place),
	    cmocka_unit_test(the_head_of_a_chunk_is_all_but_its_bytes),
	    cmocka_unit_test(lists_are_read_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
