/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/buf.h"
#include "base/err.h"
#include "chance.h"
#include "faults.h"
#include "proto/intake.h"

#define MAX (1u << 20)

static struct intake in;

static int
setup(void **state)
{
	(void)state;
	intake_init(&in, MAX);
	return 0;
}

static int
teardown(void **state)
{
	intake_fini(&in);
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

/* A stream of n Data frames on tags 0, 1, 2 and so on. */
static struct buf stream;
static size_t frame_size[2000];

static void
make_stream(size_t n, size_t max)
{
	static uint8_t payload[MAX];
	struct data_frame d;
	uint8_t *p;
	size_t i, size;

	assert_true(n <= COUNT(frame_size));
	buf_fini(&stream);
	for (i = 0; i < n; i++) {
		d = (struct data_frame){
		    .tag = (uint32_t)i,
		    .payload = {payload, chance_below(max)},
		};
		memset(payload, (int)i, d.payload.len);
		size = data_frame_size(&d);
		assert_int_equal(buf_reserve(&stream, size, &p), OK);
		data_frame_put(p, &d);
		buf_commit(&stream, size);
		frame_size[i] = size;
	}
}

static void
put(struct view *left, size_t n)
{
	struct view v = {left->p, n < left->len ? n : left->len};

	assert_int_equal(intake_put(&in, v), OK);
	view_skip(left, v.len);
}

/* The next frame, in whichever slab it is. */
static int
next(struct frame *f)
{
	int r;

	do {
		r = intake_next(&in, f);
	} while (r == ERR_MORE && intake_advance(&in));
	return r;
}

/* All that is whole comes, and is what was put, from byte *at on. */
static void
take_all(size_t *taken, size_t *at)
{
	struct frame f;
	int r;

	while ((r = next(&f)) == OK) {
		assert_int_equal(f.whole.len, frame_size[*taken]);
		assert_memory_equal(
		    f.whole.p, buf_view(&stream).p + *at, f.whole.len);
		assert_memory_equal(f.whole.p,
		    in.front->data + intake_offset(&in, &f), f.whole.len);
		*at += f.whole.len;
		++*taken;
	}
	assert_int_equal(r, ERR_MORE);
}

static void
any_split_gives_the_same_frames(void **state)
{
	size_t i, j, n, len, taken, at;
	struct view left;

	(void)state;
	chance_begin(1);
	make_stream(5, 40);
	len = stream.len;
	for (i = 0; i <= len; i++) {
		for (j = i; j <= len; j++) {
			left = buf_view(&stream);
			taken = at = 0;
			put(&left, i);
			take_all(&taken, &at);
			put(&left, j - i);
			take_all(&taken, &at);
			put(&left, len - j);
			take_all(&taken, &at);
			assert_int_equal(taken, 5);
			assert_int_equal(in.waiting, 0);
			if (j % 2 == 0)
				intake_trim(&in);
		}
	}
	for (n = 1; n < len; n++) {
		left = buf_view(&stream);
		for (taken = at = 0; left.len > 0; take_all(&taken, &at))
			put(&left, n);
		assert_int_equal(taken, 5);
	}
	chance_end();
	buf_fini(&stream);
}

/* Frames that somebody sends on, as an observer's queue does. */
static struct {
	struct slab *slab;
	size_t off;
	size_t len;
	size_t at; /* in the stream */
} kept[64];

static void
keep(const struct frame *f, size_t at)
{
	size_t i = chance_below(COUNT(kept));

	if (kept[i].slab != NULL)
		assert_memory_equal(kept[i].slab->data + kept[i].off,
		    buf_view(&stream).p + kept[i].at, kept[i].len);
	slab_unref(kept[i].slab);
	kept[i].slab = f != NULL ? slab_ref(in.front) : NULL;
	if (f == NULL)
		return;
	kept[i].off = intake_offset(&in, f);
	kept[i].len = f->whole.len;
	kept[i].at = at;
}

static void
forget_all(void)
{
	size_t i;

	for (i = 0; i < COUNT(kept); i++) {
		slab_unref(kept[i].slab);
		kept[i].slab = NULL;
	}
}

/* Take frames for a while; some are put back, as by one who has no room. */
static void
take_some(size_t *taken, size_t *at)
{
	struct slab *front = NULL;
	size_t n, back_taken = 0, back_at = 0, offset = 0;
	struct frame f;

	for (n = chance_below(20); n > 0 && next(&f) == OK; n--) {
		if (in.front != front) {
			front = in.front;
			offset = intake_offset(&in, &f);
			back_taken = *taken;
			back_at = *at;
		}
		if (chance_once_in(4))
			keep(&f, *at);
		*at += f.whole.len;
		++*taken;
	}
	if (front == NULL || front != in.front || !chance_once_in(3))
		return;
	intake_back(&in, offset);
	*taken = back_taken;
	*at = back_at;
}

static void
frames_stay_what_they_were_for_who_keeps_them(void **state)
{
	static const size_t sizes[] = {50, 3000, 100000};
	size_t taken, at, seed;
	struct view left;

	(void)state;
	for (seed = 1; seed <= 60; seed++) {
		chance_begin(seed);
		make_stream(200, sizes[seed % COUNT(sizes)]);
		left = buf_view(&stream);
		taken = at = 0;
		while (taken < 200) {
			put(&left, chance_below(70000));
			take_some(&taken, &at);
			assert_int_equal(
			    in.waiting, stream.len - left.len - at);
			if (chance_once_in(10))
				intake_trim(&in);
			if (chance_once_in(3))
				keep(NULL, 0);
		}
		assert_int_equal(in.waiting, 0);
		forget_all();
		intake_fini(&in);
		buf_fini(&stream);
		chance_end();
	}
}

static void
memory_grows_with_what_came_not_with_what_is_announced(void **state)
{
	static const uint8_t announced[] = {
	    0xbf, 0x9f, 0xff, 0xff, 0x00, 1, 1, 0x33, 3, 0};
	static uint8_t more[1000];
	size_t i, came = sizeof(announced);
	struct frame f;

	(void)state;
	intake_init(&in, 64u << 20);
	assert_int_equal(
	    intake_put(&in, (struct view){announced, sizeof(announced)}), OK);
	assert_int_equal(next(&f), ERR_MORE);
	assert_true(slab_total() <= 2048);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(
		    intake_put(&in, (struct view){more, sizeof(more)}), OK);
		assert_int_equal(next(&f), ERR_MORE);
		came += sizeof(more);
		assert_true(slab_total() <= 2 * came + 2048);
	}
}

static void
a_long_frame_gets_no_more_than_it_needs(void **state)
{
	static uint8_t more[1000];
	const uint8_t begin[] = {0xbf, 0x82, 0x80, 0x80, 0x00};
	const size_t size = sizeof(begin) + (4u << 20);
	size_t came = sizeof(begin);
	struct frame f;

	(void)state;
	intake_init(&in, 64u << 20);
	assert_int_equal(
	    intake_put(&in, (struct view){begin, sizeof(begin)}), OK);
	while (came < size) {
		size_t n =
		    size - came < sizeof(more) ? size - came : sizeof(more);

		assert_int_equal(next(&f), ERR_MORE);
		assert_int_equal(intake_put(&in, (struct view){more, n}), OK);
		came += n;
	}
	assert_int_equal(next(&f), OK);
	assert_int_equal(slab_total(), size);
}

static void
it_knows_whether_a_single_frame_is_cut(void **state)
{
	static const uint8_t frame[] = {0xbf, 4, 1, 1, 0x33, 0};
	static const uint8_t bad[] = {0xbf, 0x7f};
	struct frame f;
	size_t i;

	(void)state;
	intake_init(&in, 64u << 20);
	assert_false(intake_is_cut(&in));
	for (i = 0; i < sizeof(frame); i++) {
		assert_int_equal(
		    intake_put(&in, (struct view){frame + i, 1}), OK);
		assert_int_equal(intake_is_cut(&in), i + 1 < sizeof(frame));
	}
	assert_int_equal(intake_put(&in, (struct view){frame, 3}), OK);
	assert_false(intake_is_cut(&in));
	assert_int_equal(next(&f), OK);
	assert_true(intake_is_cut(&in));
	intake_fini(&in);
	assert_int_equal(intake_put(&in, (struct view){bad, sizeof(bad)}), OK);
	assert_false(intake_is_cut(&in));
}

static void
what_waits_is_held_in_little_more_than_its_size(void **state)
{
	size_t came = 0, taken = 0, at = 0;
	struct view left;

	(void)state;
	chance_begin(1);
	make_stream(2000, 2000);
	for (left = buf_view(&stream); left.len > 0;) {
		put(&left, 1400);
		came += 1400;
		assert_true(slab_total() <= came + came / 8 + (96u << 10));
	}
	take_all(&taken, &at);
	assert_int_equal(taken, 2000);
	assert_true(slab_total() <= 64u << 10);
	chance_end();
	buf_fini(&stream);
}

static void
an_idle_intake_holds_no_memory(void **state)
{
	size_t taken = 0, at = 0;
	struct view left;

	(void)state;
	chance_begin(1);
	make_stream(10, 100000);
	left = buf_view(&stream);
	put(&left, stream.len - 1);
	take_all(&taken, &at);
	intake_trim(&in);
	assert_true(slab_total() > 0);
	put(&left, 1);
	take_all(&taken, &at);
	intake_trim(&in);
	assert_int_equal(slab_total(), 0);
	chance_end();
	buf_fini(&stream);
}

static const struct {
	const char *name;
	struct view bytes;
	int want;
} refused[] = {
    {"a length that is negative", BYTES(0xbf, 0x7f), ERR_BAD},
    {"a length without an end", BYTES(0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	ERR_BAD},
    {"a frame over max", BYTES(0xbf, 0x80, 0xc0, 0x80, 0x01), ERR_LIMIT},
    {"a frame far over max", BYTES(0xbf, 0x87, 0xff, 0xff, 0xff, 0x7f),
	ERR_LIMIT},
};

/* However it is cut, and however much comes after it. */
static void
what_can_be_no_frame_is_refused_and_not_gathered(void **state)
{
	static uint8_t junk[5000];
	size_t i, split;
	struct frame f;
	int n;

	(void)state;
	memset(junk, 0xff, sizeof(junk));
	for (i = 0; i < COUNT(refused); i++) {
		for (split = 0; split <= refused[i].bytes.len; split++) {
			struct view left = refused[i].bytes;

			put(&left, split);
			put(&left, left.len);
			assert_int_equal(next(&f), refused[i].want);
			for (n = 0; n < 100; n++)
				assert_int_equal(
				    intake_put(
					&in, (struct view){junk, sizeof(junk)}),
				    OK);
			assert_int_equal(next(&f), refused[i].want);
			assert_true(slab_total() < 3 * 100 * sizeof(junk));
			intake_fini(&in);
		}
	}
}

static void
a_frame_may_have_max_bytes_and_no_more(void **state)
{
	static uint8_t payload[2000];
	struct data_frame d = {.payload = {payload, 1000}};
	uint8_t bytes[2100];
	struct frame f;
	size_t n;

	(void)state;
	n = data_frame_size(&d);
	data_frame_put(bytes, &d);
	assert_int_equal(frame_get(&(struct view){bytes, n}, SIZE_MAX, &f), OK);
	intake_init(&in, f.body.len);
	assert_int_equal(intake_put(&in, (struct view){bytes, n}), OK);
	assert_int_equal(next(&f), OK);
	intake_fini(&in);
	intake_init(&in, f.body.len - 1);
	assert_int_equal(intake_put(&in, (struct view){bytes, n}), OK);
	assert_int_equal(next(&f), ERR_LIMIT);
}

static void
without_memory_nothing_is_lost(void **state)
{
	size_t n, taken, at;
	struct view left, v;
	bool hit = true;

	(void)state;
	for (n = 1; hit; n++) {
		chance_begin(1);
		make_stream(300, 1000);
		left = buf_view(&stream);
		taken = at = 0;
		hit = false;
		faults_at(n);
		while (left.len > 0) {
			v = (struct view){left.p, chance_below(3000)};
			if (v.len > left.len)
				v.len = left.len;
			if (intake_put(&in, v) == OK)
				view_skip(&left, v.len);
			else
				assert_true(faults_hit());
			if (chance_once_in(8))
				take_all(&taken, &at);
		}
		hit = faults_hit();
		faults_off();
		take_all(&taken, &at);
		assert_int_equal(taken, 300);
		intake_fini(&in);
		chance_end();
	}
	assert_true(n > 4);
	buf_fini(&stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(any_split_gives_the_same_frames),
	    TEST(frames_stay_what_they_were_for_who_keeps_them),
	    TEST(memory_grows_with_what_came_not_with_what_is_announced),
	    TEST(a_long_frame_gets_no_more_than_it_needs),
	    TEST(it_knows_whether_a_single_frame_is_cut),
	    TEST(what_waits_is_held_in_little_more_than_its_size),
	    TEST(an_idle_intake_holds_no_memory),
	    TEST(what_can_be_no_frame_is_refused_and_not_gathered),
	    TEST(a_frame_may_have_max_bytes_and_no_more),
	    TEST(without_memory_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
