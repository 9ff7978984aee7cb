/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "unit.h"
#include "vectors.h"
#include "wire/y3.h"

#define MAX 1000

static const struct {
	const char *name;
	struct view in;
	int want;
	size_t value; /* its length, if OK */
	size_t left;  /* bytes not taken */
} cases[] = {
    {"one byte value", BYTES(0x01, 0x01, 0x7f), OK, 1, 0},
    {"leaves what follows", BYTES(0x01, 0x01, 0x7f, 0x02), OK, 1, 1},
    {"empty value", BYTES(0x01, 0x00), OK, 0, 0},
    {"padded length", BYTES(0x01, 0x80, 0x01, 0xaa), OK, 1, 0},
    {"length padded to six bytes",
	BYTES(0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0xaa), OK, 1, 0},
    {"nothing at all", {NULL, 0}, ERR_MORE, 0, 0},
    {"no length yet", BYTES(0x01), ERR_MORE, 0, 1},
    {"length cut short", BYTES(0x01, 0x80), ERR_MORE, 0, 2},
    {"value cut short", BYTES(0x01, 0x02, 0xaa), ERR_MORE, 0, 3},
    {"negative length", BYTES(0x01, 0x7f), ERR_BAD, 0, 2},
    {"negative length of two bytes", BYTES(0x01, 0xff, 0x3f), ERR_BAD, 0, 3},
    {"negative length, and more bytes", BYTES(0x01, 0x40, 0x00, 0x00), ERR_BAD,
	0, 4},
    {"negative is known by its first byte", BYTES(0x01, 0xff), ERR_BAD, 0, 2},
    {"length of seven bytes",
	BYTES(0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), ERR_BAD, 0, 8},
    {"endless length", BYTES(0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80), ERR_BAD,
	0, 7},
    {"the widest length", BYTES(0x01, 0x87, 0xff, 0xff, 0xff, 0x7f), ERR_LIMIT,
	0, 6},
    {"wider than that", BYTES(0x01, 0x88, 0x80, 0x80, 0x80, 0x00), ERR_BAD, 0,
	6},
    {"42 bits", BYTES(0x01, 0xbf, 0xff, 0xff, 0xff, 0xff, 0x7f), ERR_BAD, 0, 7},
    {"one too long to accept", BYTES(0x01, 0x87, 0x69), ERR_LIMIT, 0, 3},
};

static void
packets_are_taken_whole_or_not_at_all(void **state)
{
	struct y3_packet c, untouched;
	struct view in;
	size_t i, size;
	int r;

	(void)state;
	memset(&untouched, 0x55, sizeof(untouched));
	for (i = 0; i < COUNT(cases); i++) {
		in = cases[i].in;
		memcpy(&c, &untouched, sizeof(c));
		r = y3_get(&in, MAX, &c);
		if (r != cases[i].want || in.len != cases[i].left)
			fail_msg("%s: %d, %zu left", cases[i].name, r, in.len);
		if (r == OK) {
			assert_int_equal(c.value.len, cases[i].value);
			assert_ptr_equal(c.value.p + c.value.len, in.p);
			assert_int_equal(y3_peek(cases[i].in, MAX, &size), OK);
			assert_int_equal(size, cases[i].in.len - in.len);
		} else {
			assert_ptr_equal(in.p, cases[i].in.p);
			assert_memory_equal(&c, &untouched, sizeof(c));
		}
	}
}

static void
the_first_byte_is_a_node_bit_an_ignored_bit_and_an_id(void **state)
{
	struct y3_packet c = {0};
	uint8_t bytes[3] = {0};
	struct view in;
	unsigned first;

	(void)state;
	for (first = 0; first < 256; first++) {
		bytes[0] = (uint8_t)first;
		in = (struct view){bytes, sizeof(bytes)};
		assert_int_equal(y3_get(&in, MAX, &c), OK);
		assert_int_equal(c.id, first % 64);
		assert_int_equal(c.is_node, first >= 128);
	}
}

static const uint32_t edges[] = {0, 1, 62, 63, 64, 65, 100, 127, 128, 255, 8190,
    8191, 8192, 16383, 16384, 65535, 65536, (1u << 20) - 1, 1u << 20,
    (1u << 20) + 1, (1u << 27) - 1, 1u << 27, (1u << 27) + 1, INT32_MAX - 1,
    INT32_MAX};

static void
a_length_written_is_the_length_read(void **state)
{
	uint8_t bytes[1 + Y3_LEN_MAX];
	size_t i, cut, size, head;

	(void)state;
	for (i = 0; i < COUNT(edges); i++) {
		head = y3_header_size(edges[i]);
		assert_ptr_equal(
		    y3_put_header(bytes, 0x81, edges[i]), bytes + head);
		assert_int_equal(bytes[0], 0x81);
		for (cut = 0; cut < head; cut++)
			assert_int_equal(
			    y3_peek((struct view){bytes, cut}, SIZE_MAX, &size),
			    ERR_MORE);
		assert_int_equal(
		    y3_peek((struct view){bytes, head}, edges[i], &size), OK);
		assert_int_equal(size, head + edges[i]);
		if (edges[i] > 0)
			assert_int_equal(y3_peek((struct view){bytes, head},
					     edges[i] - 1, &size),
			    ERR_LIMIT);
	}
}

static void
short_lengths_are_read_as_all_others(void **state)
{
	static uint8_t bytes[3 + 0x1fff] = {0x01};
	struct y3_packet c = {0};
	struct view in, all = {bytes, sizeof(bytes)};
	size_t head = 0, len = 0;
	unsigned i;
	int r;

	(void)state;
	for (i = 0; i <= UINT16_MAX; i++) {
		bytes[1] = (uint8_t)(i >> 8);
		bytes[2] = (uint8_t)i;
		in = all;
		r = y3_get_header(in, 0x1fff, &head, &len);
		if (y3_get(&in, 0x1fff, &c) != r)
			fail_msg("%04x: not %s", i, err_str(r));
		if (r == OK) {
			assert_int_equal(c.value.len, len);
			assert_ptr_equal(c.value.p, bytes + head);
		}
	}
}

static void
every_prefix_of_a_packet_wants_more(void **state)
{
	uint8_t bytes[300], value[200];
	struct y3_packet c;
	struct view in;
	size_t cut, whole;

	(void)state;
	memset(value, 0xaa, sizeof(value));
	whole =
	    (size_t)(y3_put(bytes, 0x02, (struct view){value, sizeof(value)}) -
		     bytes);
	for (cut = 0; cut < whole; cut++) {
		in = (struct view){bytes, cut};
		assert_int_equal(y3_get(&in, sizeof(value), &c), ERR_MORE);
	}
	in = (struct view){bytes, whole};
	assert_int_equal(y3_get(&in, sizeof(value), &c), OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(c.id, 2);
	vectors_same(c.value, (struct view){value, sizeof(value)}, "value");
}

static void
lengths_are_those_of_go(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item;
	uint8_t in[8] = {0x01}, out[8];
	struct view hex;
	size_t size;
	double value;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "pvarint32"))
	{
		value = cJSON_GetNumberValue(
		    cJSON_GetObjectItemCaseSensitive(item, "value"));
		hex = vectors_unhex(vectors_text(item, "hex"), in + 1, 7);
		if (value < 0) {
			assert_int_equal(y3_peek((struct view){in, 1 + hex.len},
					     SIZE_MAX, &size),
			    ERR_BAD);
			continue;
		}
		assert_int_equal(
		    y3_peek((struct view){in, 1 + hex.len}, SIZE_MAX, &size),
		    OK);
		assert_true((double)(size - 1 - hex.len) == value);
		assert_int_equal(y3_header_size((size_t)value), 1 + hex.len);
		y3_put_header(out, 0x01, (size_t)value);
		vectors_same((struct view){out, 1 + hex.len},
		    (struct view){in, 1 + hex.len}, "length");
	}
	cJSON_Delete(all);
}

static void
numbers_are_those_of_go(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item;
	uint8_t in[8], out[8];
	struct view hex;
	uint32_t value, got;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "nvaruint32"))
	{
		value = (uint32_t)cJSON_GetNumberValue(
		    cJSON_GetObjectItemCaseSensitive(item, "value"));
		hex = vectors_unhex(vectors_text(item, "hex"), in, sizeof(in));
		assert_int_equal(y3_get_u32(hex, &got), OK);
		assert_int_equal(got, value);
		assert_int_equal(y3_u32_size(value), hex.len);
		assert_ptr_equal(y3_put_u32(out, value), out + hex.len);
		vectors_same((struct view){out, hex.len}, hex, "number");
	}
	cJSON_Delete(all);
}

static void
a_number_written_is_the_number_read(void **state)
{
	uint8_t bytes[4];
	uint32_t v, got;
	unsigned bit;
	size_t n;
	int around;

	(void)state;
	for (bit = 0; bit < 32; bit++) {
		for (around = -2; around <= 2; around++) {
			v = (1u << bit) + (uint32_t)around;
			n = y3_u32_size(v);
			assert_true(n >= 1 && n <= sizeof(bytes));
			assert_ptr_equal(y3_put_u32(bytes, v), bytes + n);
			assert_int_equal(
			    y3_get_u32((struct view){bytes, n}, &got), OK);
			assert_int_equal(got, v);
		}
	}
}

static void
of_a_wide_number_the_low_bits_count(void **state)
{
	const struct {
		struct view in;
		uint32_t want;
	} wide[] = {
	    {BYTES(0x01, 0x02, 0x03, 0x04, 0x05), 0x02030405},
	    {BYTES(0xff, 0x00, 0x00, 0x00, 0x01), 1},
	    {BYTES(0x00, 0x00, 0x00, 0x33), 0x33},
	    {BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80), 0x80},
	};
	uint32_t got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wide); i++) {
		assert_int_equal(y3_get_u32(wide[i].in, &got), OK);
		assert_int_equal(got, wide[i].want);
	}
}

static void
an_empty_number_is_none(void **state)
{
	uint32_t got = 7;

	(void)state;
	assert_int_equal(
	    y3_get_u32((struct view){(const uint8_t *)"", 0}, &got), ERR_BAD);
	assert_int_equal(got, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packets_are_taken_whole_or_not_at_all),
	    cmocka_unit_test(
		the_first_byte_is_a_node_bit_an_ignored_bit_and_an_id),
	    cmocka_unit_test(a_length_written_is_the_length_read),
	    cmocka_unit_test(short_lengths_are_read_as_all_others),
	    cmocka_unit_test(every_prefix_of_a_packet_wants_more),
	    cmocka_unit_test(lengths_are_those_of_go),
	    cmocka_unit_test(numbers_are_those_of_go),
	    cmocka_unit_test(a_number_written_is_the_number_read),
	    cmocka_unit_test(of_a_wide_number_the_low_bits_count),
	    cmocka_unit_test(an_empty_number_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
