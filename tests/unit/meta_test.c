/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "unit.h"
#include "vectors.h"
#include "wire/meta.h"

static void
what_go_decodes_is_decoded_alike(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item, *map, *want;
	struct view meta, value;
	uint8_t bytes[64];
	const char *hex;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "metadata_decode"))
	{
		hex = vectors_text(item, "hex");
		meta = vectors_unhex(hex, bytes, sizeof(bytes));
		if (vectors_text(item, "error") != NULL) {
			if (meta_check(meta) != ERR_BAD)
				fail_msg("%s: taken for good", hex);
			assert_int_equal(meta_find(meta, "a", &value), ERR_BAD);
			continue;
		}
		if (meta_check(meta) != OK)
			fail_msg("%s: taken for bad", hex);
		map = cJSON_GetObjectItemCaseSensitive(item, "map");
		cJSON_ArrayForEach(want, map)
		{
			assert_int_equal(
			    meta_find(meta, want->string, &value), OK);
			vectors_same(value, view_of(want->valuestring), hex);
		}
		assert_int_equal(meta_find(meta, "none", &value), ERR_NONE);
	}
	cJSON_Delete(all);
}

static void
what_go_encodes_is_encoded_alike(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item, *kv;
	struct meta_pair pairs[32], got;
	struct meta_walk walk;
	uint8_t bytes[4096], out[4096];
	struct view meta;
	size_t i, n;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "msgpack_maps"))
	{
		kv = cJSON_GetObjectItemCaseSensitive(item, "kv");
		n = (size_t)cJSON_GetArraySize(kv) / 2;
		assert_true(n <= COUNT(pairs));
		for (i = 0; i < n; i++) {
			pairs[i].key = view_of(cJSON_GetStringValue(
			    cJSON_GetArrayItem(kv, (int)(2 * i))));
			pairs[i].value = view_of(cJSON_GetStringValue(
			    cJSON_GetArrayItem(kv, (int)(2 * i + 1))));
		}
		meta = vectors_unhex(
		    vectors_text(item, "hex"), bytes, sizeof(bytes));
		assert_int_equal(meta_check(meta), OK);
		assert_int_equal(meta_start(meta, &walk), OK);
		for (i = 0; i < n; i++) {
			assert_int_equal(meta_next(&walk, &got), OK);
			vectors_same(got.key, pairs[i].key, "key");
			vectors_same(got.value, pairs[i].value, "value");
		}
		assert_int_equal(meta_next(&walk, &got), ERR_NONE);
		if (n == 0)
			continue; /* YoMo itself then writes nothing at all */
		assert_int_equal(meta_size(pairs, n), meta.len);
		assert_ptr_equal(meta_put(out, pairs, n), out + meta.len);
		vectors_same((struct view){out, meta.len}, meta, "map");
	}
	cJSON_Delete(all);
}

static void
no_pairs_are_no_bytes(void **state)
{
	uint8_t byte;

	(void)state;
	assert_int_equal(meta_size(NULL, 0), 0);
	assert_ptr_equal(meta_put(&byte, NULL, 0), &byte);
	assert_int_equal(meta_check((struct view){NULL, 0}), OK);
}

static const struct {
	const char *name;
	struct view meta;
	int want;
} cases[] = {
    {"nil", BYTES(0xc0), OK},
    {"map16 of none", BYTES(0xde, 0, 0), OK},
    {"map32", BYTES(0xdf, 0, 0, 0, 1, 0xa1, 'a', 0xa1, 'b'), OK},
    {"str16", BYTES(0x81, 0xda, 0, 1, 'a', 0xa0), OK},
    {"str32", BYTES(0x81, 0xdb, 0, 0, 0, 1, 'a', 0xa0), OK},
    {"bin16", BYTES(0x81, 0xc5, 0, 1, 'a', 0xa0), OK},
    {"bin32", BYTES(0x81, 0xc6, 0, 0, 0, 1, 'a', 0xa0), OK},
    {"a nil key", BYTES(0x81, 0xc0, 0xa0), OK},
    {"an integer", BYTES(0x01), ERR_BAD},
    {"a string", BYTES(0xa1, 'a'), ERR_BAD},
    {"map16 cut short", BYTES(0xde, 0), ERR_BAD},
    {"map32 cut short", BYTES(0xdf, 0, 0, 0), ERR_BAD},
    {"no pair", BYTES(0x81), ERR_BAD},
    {"no value", BYTES(0x81, 0xa1, 'a'), ERR_BAD},
    {"a key cut short", BYTES(0x81, 0xa3, 'a', 'b'), ERR_BAD},
    {"a value cut short", BYTES(0x81, 0xa1, 'a', 0xa2, 'b'), ERR_BAD},
    {"a length cut short", BYTES(0x81, 0xa1, 'a', 0xda, 0), ERR_BAD},
    {"a string of 4 GiB", BYTES(0x81, 0xa0, 0xdb, 0xff, 0xff, 0xff, 0xff),
	ERR_BAD},
    {"2^32-1 pairs in no bytes", BYTES(0xdf, 0xff, 0xff, 0xff, 0xff), ERR_BAD},
    {"2^32-1 pairs in some",
	BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0xa0, 0xa0, 0xa0, 0xa0), ERR_BAD},
    {"a value that is a number", BYTES(0x81, 0xa1, 'a', 0x07), ERR_BAD},
    {"a value that is a list", BYTES(0x81, 0xa1, 'a', 0x90), ERR_BAD},
    {"an extension", BYTES(0xc7, 0, 1, 0x80), ERR_BAD},
};

static void
only_maps_of_strings_are_metadata(void **state)
{
	struct view value;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (meta_check(cases[i].meta) != cases[i].want)
			fail_msg("%s", cases[i].name);
		assert_int_equal(meta_find(cases[i].meta, "none", &value),
		    cases[i].want == OK ? ERR_NONE : ERR_BAD);
	}
}

static void
a_map_cut_short_is_bad_at_every_byte(void **state)
{
	static const struct meta_pair pairs[] = {
	    {{(const uint8_t *)META_TID, 8}, {(const uint8_t *)"1234", 4}},
	    {{(const uint8_t *)META_TARGET, 11}, {(const uint8_t *)"", 0}},
	};
	uint8_t bytes[64];
	size_t len = meta_size(pairs, COUNT(pairs)), cut;

	(void)state;
	assert_ptr_equal(meta_put(bytes, pairs, COUNT(pairs)), bytes + len);
	for (cut = 1; cut < len; cut++)
		assert_int_equal(
		    meta_check((struct view){bytes, cut}), ERR_BAD);
	assert_int_equal(meta_check((struct view){bytes, len}), OK);
}

static void
of_a_key_given_twice_the_last_value_counts(void **state)
{
	const struct view meta = BYTES(0x83, 0xa1, 'a', 0xa1, '1', 0xa1, 'b',
	    0xa1, '2', 0xa1, 'a', 0xa1, '3');
	struct view value;

	(void)state;
	assert_int_equal(meta_find(meta, "a", &value), OK);
	vectors_same(value, view_of("3"), "a");
	assert_int_equal(meta_find(meta, "b", &value), OK);
	vectors_same(value, view_of("2"), "b");
}

static void
what_zippers_look_at_is_read_in_one_walk(void **state)
{
	static const struct meta_pair pairs[] = {
	    {{(const uint8_t *)META_SESSION, 12}, {(const uint8_t *)"s", 1}},
	    {{(const uint8_t *)META_TID, 8}, {(const uint8_t *)"1234", 4}},
	    {{(const uint8_t *)META_TARGET, 11}, {(const uint8_t *)"x", 1}},
	    {{(const uint8_t *)META_SESSION_END, 16},
		{(const uint8_t *)"eof", 3}},
	    {{(const uint8_t *)"yomo-tarred", 11}, {(const uint8_t *)"y", 1}},
	    {{(const uint8_t *)META_TARGET, 11}, {(const uint8_t *)"t", 1}},
	};
	const struct view bad = BYTES(0x82, 0xa1, 'a', 0xa1, '1');
	struct meta_known k;
	uint8_t bytes[128];
	struct view meta = {bytes, meta_size(pairs, COUNT(pairs))};

	(void)state;
	meta_put(bytes, pairs, COUNT(pairs));
	assert_int_equal(meta_read(meta, &k), OK);
	vectors_same(k.session, view_of("s"), "session");
	vectors_same(k.session_end, view_of("eof"), "end");
	vectors_same(k.target, view_of("t"), "target");
	meta.len--;
	assert_int_equal(meta_read(meta, &k), ERR_BAD);
	assert_int_equal(k.session.len, 0);
	assert_int_equal(meta_read(bad, &k), ERR_BAD);
	assert_int_equal(meta_read((struct view){NULL, 0}, &k), OK);
	assert_int_equal(k.target.len, 0);
}

static void
an_empty_value_is_found(void **state)
{
	const struct view meta = BYTES(0x81, 0xa1, 'a', 0xc0);
	struct view value = {NULL, 9};

	(void)state;
	assert_int_equal(meta_find(meta, "a", &value), OK);
	assert_int_equal(value.len, 0);
}

static void
a_failed_step_leaves_the_walk_where_it_was(void **state)
{
	const struct view meta =
	    BYTES(0x82, 0xa1, 'a', 0xa1, '1', 0xa1, 'b', 0x07);
	struct meta_walk walk, before;
	struct meta_pair pair;

	(void)state;
	assert_int_equal(meta_start(meta, &walk), OK);
	assert_int_equal(meta_next(&walk, &pair), OK);
	before = walk;
	assert_int_equal(meta_next(&walk, &pair), ERR_BAD);
	assert_ptr_equal(walk.in.p, before.in.p);
	assert_int_equal(walk.left, before.left);
	vectors_same(pair.key, view_of("a"), "pair");
}

/* The lengths around which the form of a string or a map changes. */
static const size_t lens[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};

static void
strings_of_any_length_come_back(void **state)
{
	struct meta_pair pair, got;
	struct meta_walk walk;
	uint8_t *text, *bytes;
	size_t i, len;

	(void)state;
	assert_non_null(text = calloc(1, 65536));
	for (i = 0; i < COUNT(lens); i++) {
		pair.key = pair.value = (struct view){text, lens[i]};
		len = meta_size(&pair, 1);
		assert_non_null(bytes = malloc(len));
		assert_ptr_equal(meta_put(bytes, &pair, 1), bytes + len);
		assert_int_equal(
		    meta_start((struct view){bytes, len}, &walk), OK);
		assert_int_equal(meta_next(&walk, &got), OK);
		vectors_same(got.key, pair.key, "key");
		vectors_same(got.value, pair.value, "value");
		assert_int_equal(meta_next(&walk, &got), ERR_NONE);
		free(bytes);
	}
	free(text);
}

static void
maps_of_any_size_come_back(void **state)
{
	struct meta_pair *pairs, got;
	struct meta_walk walk;
	uint8_t *bytes;
	size_t i, j, len;

	(void)state;
	assert_non_null(pairs = calloc(65536, sizeof(*pairs)));
	for (i = 0; i < COUNT(lens); i++) {
		len = meta_size(pairs, lens[i]);
		assert_non_null(bytes = malloc(len + 1));
		assert_ptr_equal(meta_put(bytes, pairs, lens[i]), bytes + len);
		assert_int_equal(
		    meta_start((struct view){bytes, len}, &walk), OK);
		for (j = 0; j < lens[i]; j++)
			assert_int_equal(meta_next(&walk, &got), OK);
		assert_int_equal(meta_next(&walk, &got), ERR_NONE);
		assert_int_equal(walk.in.len, 0);
		free(bytes);
	}
	free(pairs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_go_decodes_is_decoded_alike),
	    cmocka_unit_test(what_go_encodes_is_encoded_alike),
	    cmocka_unit_test(no_pairs_are_no_bytes),
	    cmocka_unit_test(only_maps_of_strings_are_metadata),
	    cmocka_unit_test(a_map_cut_short_is_bad_at_every_byte),
	    cmocka_unit_test(of_a_key_given_twice_the_last_value_counts),
	    cmocka_unit_test(what_zippers_look_at_is_read_in_one_walk),
	    cmocka_unit_test(an_empty_value_is_found),
	    cmocka_unit_test(a_failed_step_leaves_the_walk_where_it_was),
	    cmocka_unit_test(strings_of_any_length_come_back),
	    cmocka_unit_test(maps_of_any_size_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
