/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "unit.h"
#include "vectors.h"
#include "wire/frame.h"
#include "wire/meta.h"

#define SMALL 1024 /* holds every vector that is spelt out */

static struct frame
only_frame(struct view in, const char *name)
{
	struct frame f;
	struct view whole = in;
	size_t size;
	int r;

	if ((r = frame_get(&in, SIZE_MAX, &f)) != OK)
		fail_msg("%s: frame_get is %s", name, err_str(r));
	assert_int_equal(in.len, 0);
	assert_ptr_equal(f.whole.p, whole.p);
	assert_int_equal(f.whole.len, whole.len);
	assert_int_equal(frame_peek(whole, SIZE_MAX, &size), OK);
	assert_int_equal(size, whole.len);
	return f;
}

/* The bytes a frame is written as, once it has been decoded. */
static size_t
put_again(const struct frame *f, uint8_t *out)
{
	struct data_frame d;
	struct handshake h;
	struct view text;
	size_t size;
	uint8_t *end;

	switch (f->type) {
	case FRAME_ACK:
		memcpy(out, FRAME_ACK_BYTES, FRAME_ACK_SIZE);
		return FRAME_ACK_SIZE;
	case FRAME_DATA:
		assert_int_equal(data_frame_get(f->body, &d), OK);
		size = data_frame_size(&d);
		end = data_frame_put(out, &d);
		break;
	case FRAME_HANDSHAKE:
		assert_int_equal(handshake_get(f->body, &h), OK);
		size = handshake_size(&h);
		end = handshake_put(out, &h);
		break;
	default:
		assert_int_equal(frame_text_get(f->body, &text), OK);
		size = frame_text_size(text);
		end = frame_text_put(out, f->type, text);
	}
	assert_ptr_equal(end, out + size);
	return size;
}

static void
same_text(struct view got, const cJSON *fields, const char *key)
{
	vectors_same(got, view_of(vectors_text(fields, key)), key);
}

static void
check_handshake(const struct frame *f, const cJSON *fields)
{
	const cJSON *tags =
	    cJSON_GetObjectItemCaseSensitive(fields, "observe_data_tags");
	struct handshake h;
	size_t i;

	assert_int_equal(handshake_get(f->body, &h), OK);
	same_text(h.name, fields, "name");
	same_text(h.id, fields, "id");
	same_text(h.auth_name, fields, "auth_name");
	same_text(h.auth_payload, fields, "auth_payload");
	same_text(h.version, fields, "version");
	same_text(h.definition, fields, "function_definition");
	same_text(h.target, fields, "wanted_target");
	assert_int_equal(h.client_type,
	    strtoul(vectors_text(fields, "client_type"), NULL, 16));
	assert_int_equal(handshake_tags(h.tags), cJSON_GetArraySize(tags));
	for (i = 0; i < handshake_tags(h.tags); i++)
		assert_true(
		    (double)handshake_tag(h.tags, i) ==
		    cJSON_GetNumberValue(cJSON_GetArrayItem(tags, (int)i)));
}

static void
check_data(const struct frame *f, const cJSON *fields)
{
	uint8_t bytes[SMALL];
	struct data_frame d;
	struct view value;
	const cJSON *m;

	assert_int_equal(data_frame_get(f->body, &d), OK);
	assert_true((double)d.tag ==
		    cJSON_GetNumberValue(
			cJSON_GetObjectItemCaseSensitive(fields, "tag")));
	same_text(d.payload, fields, "payload");
	vectors_same(d.meta,
	    vectors_unhex(
		vectors_text(fields, "metadata_hex"), bytes, sizeof(bytes)),
	    "metadata_hex");
	cJSON_ArrayForEach(
	    m, cJSON_GetObjectItemCaseSensitive(fields, "metadata"))
	{
		assert_int_equal(meta_find(d.meta, m->string, &value), OK);
		vectors_same(value, view_of(m->valuestring), m->string);
	}
}

static void
check_fields(const struct frame *f, const cJSON *fields)
{
	struct view text;

	switch (f->type) {
	case FRAME_DATA:
		check_data(f, fields);
		break;
	case FRAME_HANDSHAKE:
		check_handshake(f, fields);
		break;
	case FRAME_ACK:
		assert_int_equal(f->body.len, 0);
		break;
	default:
		assert_int_equal(frame_text_get(f->body, &text), OK);
		same_text(text, fields,
		    f->type == FRAME_CONNECT_TO ? "endpoint" : "message");
	}
}

static void
frames_of_go_are_read_and_written_alike(void **state)
{
	cJSON *all = vectors_load();
	uint8_t bytes[SMALL], again[SMALL];
	const cJSON *item;
	const char *name;
	struct frame f;
	struct view in;
	size_t size, spelt = 0;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "frames"))
	{
		if (vectors_text(item, "hex") == NULL)
			continue; /* a long one: the next test */
		spelt++;
		name = vectors_text(item, "name");
		in = vectors_unhex(
		    vectors_text(item, "hex"), bytes, sizeof(bytes));
		f = only_frame(in, name);
		assert_string_equal(
		    frame_name(f.type), vectors_text(item, "type"));
		assert_int_equal(
		    f.type, strtoul(vectors_text(item, "type_id"), NULL, 16));
		check_fields(
		    &f, cJSON_GetObjectItemCaseSensitive(item, "fields"));
		size = put_again(&f, again);
		vectors_same((struct view){again, size}, in, name);
	}
	assert_int_equal(spelt, 39);
	cJSON_Delete(all);
}

/* Write the frame as item has it into place, all its payload being 'x'. */
static void
check_long(const cJSON *item)
{
	const char *name = vectors_text(item, "name");
	const cJSON *fields = cJSON_GetObjectItemCaseSensitive(item, "fields");
	uint8_t hex[SMALL], *bytes, *p;
	struct data_frame d = {0}, got;
	struct view prefix, suffix;
	struct frame f;
	size_t size, i;

	d.tag = (uint32_t)cJSON_GetNumberValue(
	    cJSON_GetObjectItemCaseSensitive(fields, "tag"));
	d.payload.len = (size_t)cJSON_GetNumberValue(
	    cJSON_GetObjectItemCaseSensitive(fields, "payload_len"));
	size = data_frame_size(&d);
	assert_true(
	    (double)size == cJSON_GetNumberValue(
				cJSON_GetObjectItemCaseSensitive(item, "len")));
	assert_non_null(bytes = malloc(size));
	p = data_frame_put_head(bytes, &d);
	assert_ptr_equal(p + d.payload.len, bytes + size);
	memset(p, 'x', d.payload.len);

	prefix =
	    vectors_unhex(vectors_text(item, "hex_prefix"), hex, sizeof(hex));
	vectors_same((struct view){bytes, prefix.len}, prefix, name);
	suffix =
	    vectors_unhex(vectors_text(item, "hex_suffix"), hex, sizeof(hex));
	vectors_same(
	    (struct view){bytes + size - suffix.len, suffix.len}, suffix, name);

	f = only_frame((struct view){bytes, size}, name);
	assert_int_equal(data_frame_get(f.body, &got), OK);
	assert_int_equal(got.tag, d.tag);
	assert_int_equal(got.meta.len, 0);
	assert_ptr_equal(got.payload.p, p);
	assert_int_equal(got.payload.len, d.payload.len);
	for (i = 1; i < 20; i++) {
		struct view in = {bytes, i < 15 ? i : size - i};
		assert_int_equal(frame_get(&in, SIZE_MAX, &f), ERR_MORE);
	}
	free(bytes);
}

static void
long_frames_of_go_are_read_and_written_alike(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item;
	size_t seen = 0;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "frames"))
	{
		if (vectors_text(item, "hex") != NULL)
			continue;
		seen++;
		check_long(item);
	}
	assert_int_equal(seen, 6);
	cJSON_Delete(all);
}

static void
same_base64(struct view got, const cJSON *want)
{
	const char *text = cJSON_GetStringValue(want);
	uint8_t bytes[SMALL];
	size_t len = 0;

	if (text != NULL)
		assert_int_equal(
		    sodium_base642bin(bytes, sizeof(bytes), text, strlen(text),
			NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL),
		    0);
	vectors_same(got, (struct view){bytes, len}, "base64");
}

/* What Go decoded, as JSON of its struct. */
static void
check_decoded(const struct frame *f, const char *decoded)
{
	cJSON *want = cJSON_Parse(decoded);
	const cJSON *tags;
	struct data_frame d;
	struct handshake h;
	size_t i;

	assert_non_null(want);
	if (f->type == FRAME_DATA) {
		assert_int_equal(data_frame_get(f->body, &d), OK);
		assert_true(
		    (double)d.tag ==
		    cJSON_GetNumberValue(cJSON_GetObjectItem(want, "Tag")));
		same_base64(d.meta, cJSON_GetObjectItem(want, "Metadata"));
		same_base64(d.payload, cJSON_GetObjectItem(want, "Payload"));
	} else if (f->type == FRAME_HANDSHAKE) {
		assert_int_equal(handshake_get(f->body, &h), OK);
		same_text(h.name, want, "Name");
		same_text(h.id, want, "ID");
		same_text(h.auth_name, want, "AuthName");
		same_text(h.auth_payload, want, "AuthPayload");
		same_text(h.version, want, "Version");
		same_text(h.definition, want, "FunctionDefinition");
		same_text(h.target, want, "WantedTarget");
		assert_true((double)h.client_type ==
			    cJSON_GetNumberValue(
				cJSON_GetObjectItem(want, "ClientType")));
		tags = cJSON_GetObjectItem(want, "ObserveDataTags");
		assert_int_equal(
		    handshake_tags(h.tags), cJSON_GetArraySize(tags));
		for (i = 0; i < handshake_tags(h.tags); i++)
			assert_true((double)handshake_tag(h.tags, i) ==
				    cJSON_GetNumberValue(
					cJSON_GetArrayItem(tags, (int)i)));
	} else {
		assert_int_equal(f->type, FRAME_ACK);
	}
	cJSON_Delete(want);
}

static void
what_go_lets_pass_passes_and_nothing_else(void **state)
{
	cJSON *all = vectors_load();
	const cJSON *item;
	uint8_t bytes[SMALL];
	struct data_frame d;
	struct frame f;
	struct view in;
	const char *name;

	(void)state;
	cJSON_ArrayForEach(item, vectors_group(all, "decoder_leniency"))
	{
		name = vectors_text(item, "name");
		in = vectors_unhex(
		    vectors_text(item, "hex"), bytes, sizeof(bytes));
		if (vectors_text(item, "read_error") != NULL) {
			assert_int_equal(frame_get(&in, SMALL, &f), ERR_BAD);
			continue;
		}
		f = only_frame(in, name);
		if (vectors_text(item, "newframe_error") != NULL) {
			assert_string_equal(frame_name(f.type), "UnknownFrame");
		} else if (vectors_text(item, "decode_error") != NULL) {
			if (data_frame_get(f.body, &d) != ERR_BAD)
				fail_msg("%s: taken for good", name);
		} else {
			check_decoded(&f, vectors_text(item, "decoded"));
		}
	}
	cJSON_Delete(all);
}

static void
captured_from(const char *group)
{
	cJSON *all = vectors_load();
	uint8_t bytes[SMALL], again[SMALL];
	const cJSON *item;
	struct view in, text;
	struct frame f;
	size_t size;

	cJSON_ArrayForEach(item, vectors_group(all, group))
	{
		in = vectors_unhex(
		    vectors_text(item, "hex"), bytes, sizeof(bytes));
		f = only_frame(in, group);
		if (vectors_text(item, "text") != NULL) {
			assert_int_equal(frame_text_get(f.body, &text), OK);
			same_text(text, item, "text");
		}
		size = put_again(&f, again);
		vectors_same((struct view){again, size}, in, group);
	}
	cJSON_Delete(all);
}

static void
captured_frames_are_read_and_written_alike(void **state)
{
	(void)state;
	captured_from("captured_from_go_clients");
	captured_from("captured_from_go_zipper");
}

/* Of a whole frame, only the body is what counts here. */
static const struct {
	const char *name;
	struct view body;
	int want;
	uint32_t tag;
} bodies[] = {
    {"no child", {NULL, 0}, OK, 0},
    {"no tag", BYTES(0x02, 0x00), OK, 0},
    {"tag of five bytes", BYTES(0x01, 0x05, 1, 0, 0, 0, 2), OK, 2},
    {"empty tag, then a good one", BYTES(0x01, 0x00, 0x01, 0x01, 7), OK, 7},
    {"good tag, then an empty one", BYTES(0x01, 0x01, 7, 0x01, 0x00), ERR_BAD,
	0},
    {"tag with the array bit", BYTES(0x41, 0x01, 7), OK, 7},
    {"tag with the node bit", BYTES(0x81, 0x00, 0x01, 0x01, 7), OK, 7},
    {"node after the tag", BYTES(0x01, 0x01, 7, 0x81, 0x02, 0x01, 0x00), OK, 7},
    {"unknown child", BYTES(0x3f, 0x02, 1, 2, 0x01, 0x01, 7), OK, 7},
    {"one byte of rest", BYTES(0x01, 0x01, 7, 0x02), ERR_BAD, 0},
    {"child past the end", BYTES(0x01, 0x02, 7), ERR_BAD, 0},
    {"child of a negative length", BYTES(0x01, 0x7f), ERR_BAD, 0},
    {"unknown child past the end", BYTES(0x3f, 0x02, 1), ERR_BAD, 0},
    {"node of bad content", BYTES(0x85, 0x01, 0x01), ERR_BAD, 0},
    {"node with a child past its end", BYTES(0x85, 0x03, 0x01, 0x05, 0x00),
	ERR_BAD, 0},
    {"node that makes Go panic", BYTES(0xa2, 0xa2, 0xf9, 0xf8, 0xc7, 0x00),
	ERR_BAD, 0},
    {"nodes in nodes", BYTES(0x85, 0x06, 0x85, 0x04, 0x85, 0x00, 0x01, 0x00),
	OK, 0},
    {"nodes in nodes, bad within",
	BYTES(0x85, 0x06, 0x85, 0x04, 0x85, 0x02, 0x01, 0x01), ERR_BAD, 0},
};

static void
children_are_taken_as_go_takes_them(void **state)
{
	struct data_frame d, untouched;
	size_t i;
	int r;

	(void)state;
	memset(&untouched, 0x55, sizeof(untouched));
	for (i = 0; i < COUNT(bodies); i++) {
		memcpy(&d, &untouched, sizeof(d));
		r = data_frame_get(bodies[i].body, &d);
		if (r != bodies[i].want)
			fail_msg("%s: %d", bodies[i].name, r);
		if (r == OK)
			assert_int_equal(d.tag, bodies[i].tag);
		else
			assert_memory_equal(&d, &untouched, sizeof(d));
	}
}

static void
nodes_nest_only_so_deep(void **state)
{
	uint8_t bytes[64];
	struct data_frame d;
	size_t depth, i;

	(void)state;
	for (depth = 1; depth < 32; depth++) {
		for (i = 0; i < depth; i++) {
			bytes[2 * i] = 0x85;
			bytes[2 * i + 1] = (uint8_t)(2 * (depth - i - 1));
		}
		assert_int_equal(
		    data_frame_get((struct view){bytes, 2 * depth}, &d),
		    depth <= 8 ? OK : ERR_BAD);
	}
}

static void
every_prefix_of_a_frame_wants_more(void **state)
{
	const struct data_frame d = {0x33, view_of("\x80"), view_of("hello")};
	uint8_t bytes[64];
	struct frame f;
	struct view in;
	size_t cut, size = data_frame_size(&d);

	(void)state;
	assert_ptr_equal(data_frame_put(bytes, &d), bytes + size);
	for (cut = 0; cut < size; cut++) {
		in = (struct view){bytes, cut};
		assert_int_equal(frame_get(&in, SMALL, &f), ERR_MORE);
		assert_int_equal(in.len, cut);
	}
	assert_int_equal(
	    frame_get(&(struct view){bytes, size}, 12, &f), ERR_LIMIT);
}

static void
a_body_cut_short_is_bad_where_a_child_is_cut(void **state)
{
	const struct handshake h = {
	    .name = view_of("name"),
	    .id = view_of("id"),
	    .client_type = CLIENT_SFN,
	    .version = view_of(FRAME_SPEC),
	};
	uint8_t bytes[64];
	struct handshake got;
	struct view body;
	struct frame f;
	size_t cut, good = 0;

	(void)state;
	handshake_put(bytes, &h);
	f = only_frame((struct view){bytes, handshake_size(&h)}, "handshake");
	for (cut = 0; cut < f.body.len; cut++) {
		body = (struct view){f.body.p, cut};
		if (handshake_get(body, &got) == OK)
			good++;
	}
	assert_int_equal(good, 9); /* after each child but the last */
}

static void
a_text_is_the_last_one_or_empty(void **state)
{
	const struct {
		struct view body;
		const char *want; /* NULL: malformed */
	} texts[] = {
	    {{NULL, 0}, ""},
	    {BYTES(0x02, 0x01, 'x'), ""},
	    {BYTES(0x01, 0x01, 'a', 0x01, 0x02, 'b', 'c'), "bc"},
	    {BYTES(0x01, 0x01, 'a', 0x01, 0x00), ""},
	    {BYTES(0x01, 0x02, 'a'), NULL},
	    {BYTES(0x01), NULL},
	};
	struct view text;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		text = view_of("as it was");
		r = frame_text_get(texts[i].body, &text);
		assert_int_equal(r, texts[i].want != NULL ? OK : ERR_BAD);
		vectors_same(text,
		    view_of(r == OK ? texts[i].want : "as it was"), "text");
	}
}

static void
a_client_type_may_be_missing(void **state)
{
	const struct view missing[] = {
	    BYTES(0x01, 0x00),
	    BYTES(0x02, 0x00, 0x07, 0x00),
	};
	struct handshake h;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(missing); i++) {
		assert_int_equal(handshake_get(missing[i], &h), OK);
		assert_int_equal(h.client_type, 0);
	}
}

static void
tags_written_are_the_tags_read(void **state)
{
	const uint32_t want[] = {0, 0x33, 0x1234, 0xdeadbeef, UINT32_MAX};
	uint8_t bytes[4 * COUNT(want) + 3], *p = bytes;
	struct view tags;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(want); i++)
		p = handshake_put_tag(p, want[i]);
	tags = (struct view){bytes, (size_t)(p - bytes)};
	for (i = 0; i < COUNT(want); i++)
		assert_int_equal(handshake_tag(tags, i), want[i]);
	for (i = 0; i < 4; i++) {
		assert_int_equal(handshake_tags(tags), COUNT(want));
		tags.len++; /* of a tag that is cut */
	}
	assert_int_equal(handshake_tags((struct view){NULL, 0}), 0);
}

static void
a_head_is_the_frame_without_its_payload(void **state)
{
	const struct data_frame d = {
	    0xe001, view_of("\x81\xa1k\xa1v"), view_of("the payload")};
	uint8_t whole[64], head[64];
	size_t size = data_frame_size(&d);

	(void)state;
	assert_ptr_equal(data_frame_put(whole, &d), whole + size);
	assert_ptr_equal(
	    data_frame_put_head(head, &d), head + size - d.payload.len);
	assert_memory_equal(whole, head, size - d.payload.len);
	vectors_same((struct view){whole + size - d.payload.len, d.payload.len},
	    d.payload, "payload");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_of_go_are_read_and_written_alike),
	    cmocka_unit_test(long_frames_of_go_are_read_and_written_alike),
	    cmocka_unit_test(what_go_lets_pass_passes_and_nothing_else),
	    cmocka_unit_test(captured_frames_are_read_and_written_alike),
	    cmocka_unit_test(children_are_taken_as_go_takes_them),
	    cmocka_unit_test(nodes_nest_only_so_deep),
	    cmocka_unit_test(every_prefix_of_a_frame_wants_more),
	    cmocka_unit_test(a_body_cut_short_is_bad_where_a_child_is_cut),
	    cmocka_unit_test(a_text_is_the_last_one_or_empty),
	    cmocka_unit_test(a_client_type_may_be_missing),
	    cmocka_unit_test(tags_written_are_the_tags_read),
	    cmocka_unit_test(a_head_is_the_frame_without_its_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
