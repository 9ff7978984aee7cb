/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the frames of ours: what is decoded stays within them, what is
 * written is read as the same, and writing that again changes no byte.
 */
#include <assert.h>
#include <stdlib.h>

#include "../unit/lane_any.h"

#define MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void
check_within(struct view part, struct view whole)
{
	if (part.len == 0)
		return;
	assert(part.p >= whole.p);
	assert(part.p + part.len <= whole.p + whole.len);
}

/* Every range that was let through is one. */
static void
check_ranges(struct view ranges, struct view whole)
{
	struct tag_range r;
	uint8_t again[RANGES_ONE];
	size_t i;

	check_within(ranges, whole);
	assert(ranges_count(ranges) * RANGES_ONE == ranges.len);
	for (i = 0; i < ranges_count(ranges); i++) {
		r = ranges_at(ranges, i);
		assert(r.first <= r.last);
		assert(ranges_put(again, r) == again + sizeof(again));
		assert(memcmp(again, ranges.p + i * RANGES_ONE,
			   sizeof(again)) == 0);
	}
}

static void
check_entries(struct view entries, struct view whole)
{
	uint8_t again[INTEREST_ENTRY_SIZE];
	size_t i;

	check_within(entries, whole);
	for (i = 0; i < interest_entry_count(entries); i++) {
		interest_entry_put(again, interest_entry_at(entries, i));
		assert(memcmp(again, entries.p + i * sizeof(again),
			   sizeof(again)) == 0);
	}
}

static void
check_views(uint8_t type, const union lane_any *f, struct view body)
{
	switch (type) {
	case FRAME_LANE:
		check_within(f->lane.session, body);
		break;
	case FRAME_OBSERVE:
		check_ranges(f->observe.add, body);
		check_ranges(f->observe.remove, body);
		check_within(f->observe.group, body);
		break;
	case FRAME_OBSERVE_ACK:
		check_within(f->observe_ack.refusal, body);
		break;
	case FRAME_INTEREST:
		check_ranges(f->interest.ranges, body);
		check_entries(f->interest.entries, body);
		break;
	case FRAME_CHUNK:
		check_within(f->chunk.bytes, body);
		break;
	default:
		break;
	}
}

/* Write f, whose bytes the caller frees, and read it. */
static struct view
write_and_read(uint8_t type, const union lane_any *f, union lane_any *again)
{
	struct view whole, in;
	struct frame frame;
	uint8_t *p;

	whole.len = lane_any_size(type, f);
	assert((p = malloc(whole.len)) != NULL);
	assert(lane_any_put(p, type, f) == p + whole.len);
	whole.p = p;
	in = whole;
	assert(frame_get(&in, SIZE_MAX, &frame) == OK && in.len == 0);
	assert(frame.type == type);
	assert(lane_any_get(type, frame.body, again) == OK);
	return whole;
}

static void
check_gap_add(struct view whole)
{
	uint8_t bytes[GAP_FRAME_SIZE];
	struct gap_frame was, is;

	assert(whole.len == sizeof(bytes));
	memcpy(bytes, whole.p, sizeof(bytes));
	gap_frame_add(bytes, 1, 300);
	assert(gap_frame_get((struct view){whole.p + 2, whole.len - 2}, &was) ==
	       OK);
	assert(gap_frame_get(
		   (struct view){bytes + 2, sizeof(bytes) - 2}, &is) == OK);
	assert(is.tag == was.tag);
	assert(is.messages == was.messages + 1 || is.messages == UINT64_MAX);
	assert(is.bytes == was.bytes + 300 || is.bytes == UINT64_MAX);
}

static void
check(uint8_t type, struct view body)
{
	union lane_any f, again, last;
	struct view first, second;

	if (lane_any_get(type, body, &f) != OK)
		return;
	check_views(type, &f, body);
	first = write_and_read(type, &f, &again);
	second = write_and_read(type, &again, &last);
	assert(view_equal(first, second));
	if (type == FRAME_GAP)
		check_gap_add(first);
	free((void *)(uintptr_t)first.p);
	free((void *)(uintptr_t)second.p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view in = {p, len};
	struct frame f;
	unsigned type;

	while (frame_get(&in, MAX, &f) == OK) {
		/* Whatever it says it is: a body is only bytes. */
		for (type = LANE_ANY_FIRST; type <= LANE_ANY_LAST; type++)
			check((uint8_t)type, f.body);
	}
	return 0;
}
