/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <sodium.h>

#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "framing/jsonl.h"
#include "wire/meta.h"

/* One byte of text takes at most six of JSON: \u001f. */
#define ESCAPED_MAX 6

/* What a line has beside its payload and metadata is shorter than this. */
#define LINE_FIXED 128

/* Between the pairs of metadata and between tag, meta and data. */
#define COMMAS_MAX (JSONL_PAIRS_MAX - 1 + 2)

struct jsonl {
	cJSON *tree;		     /* of the line last read */
	struct buf meta;	     /* its metadata, as on the wire */
	struct buf data;	     /* its payload, if that came in base64 */
	uint8_t gap[GAP_FRAME_SIZE]; /* what it says is lost, as a frame */
	const char *why;
};

/* Metadata on its way in or out: each key once. */
struct pairs {
	struct meta_pair pair[JSONL_PAIRS_MAX];
	size_t n;
};

/* The index of key; if it is not there, how many there are. */
static size_t
pair_of(const struct pairs *all, struct view key)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (view_equal(all->pair[i].key, key))
			break;
	return i;
}

/* -- reading -- */

static int
bad(struct jsonl *j, const char *why)
{
	j->why = why;
	return ERR_BAD;
}

static int
get_tag(struct jsonl *j, const cJSON *v, struct framing_msg *out)
{
	double tag = v->valuedouble;

	if (!cJSON_IsNumber(v) || !(tag >= 0 && tag <= UINT32_MAX) ||
	    (double)(uint32_t)tag != tag)
		return bad(j, "the tag is no integer from 0 to 4294967295");
	out->has_tag = true;
	out->tag = (uint32_t)tag;
	return OK;
}

static int
get_pair(struct jsonl *j, const cJSON *v, struct pairs *all)
{
	struct view key = view_of(v->string);

	if (!cJSON_IsString(v))
		return bad(j, "a value in meta is no string");
	if (all->n == JSONL_PAIRS_MAX)
		return bad(j, "meta has too many pairs");
	if (pair_of(all, key) < all->n)
		return bad(j, "a key in meta is given twice");
	all->pair[all->n++] = (struct meta_pair){key, view_of(v->valuestring)};
	return OK;
}

static int
get_meta(struct jsonl *j, const cJSON *v, struct framing_msg *out)
{
	struct pairs all;
	const cJSON *pair;
	size_t size;
	uint8_t *p;
	int r;

	if (!cJSON_IsObject(v))
		return bad(j, "meta is no object");
	all.n = 0;
	cJSON_ArrayForEach(pair, v)
	{
		if ((r = get_pair(j, pair, &all)) != OK)
			return r;
	}
	if ((size = meta_size(all.pair, all.n)) > FRAMING_META_MAX)
		return ERR_LIMIT;
	if ((r = buf_reserve(&j->meta, size, &p)) != OK)
		return r;
	meta_put(p, all.pair, all.n);
	buf_commit(&j->meta, size);
	out->meta = buf_view(&j->meta);
	return OK;
}

static int
get_data(struct jsonl *j, const cJSON *v, struct framing_msg *out)
{
	if (!cJSON_IsString(v))
		return bad(j, "data is no string");
	out->payload = view_of(v->valuestring);
	return OK;
}

static int
get_data64(struct jsonl *j, const cJSON *v, struct framing_msg *out)
{
	struct view text;
	size_t cap, len;
	uint8_t *p;
	int r;

	if (!cJSON_IsString(v))
		return bad(j, "data64 is no string");
	text = view_of(v->valuestring);
	cap = text.len / 4 * 3;
	if ((r = buf_reserve(&j->data, cap + 1, &p)) != OK)
		return r;
	if (sodium_base642bin(p, cap, v->valuestring, text.len, NULL, &len,
		NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return bad(j, "data64 is not base64");
	buf_commit(&j->data, len);
	out->payload = buf_view(&j->data);
	return OK;
}

static int
get_count(struct jsonl *j, const cJSON *v, uint64_t *out)
{
	double n = v->valuedouble;

	if (!cJSON_IsNumber(v) || !(n >= 0 && n <= (double)JSONL_COUNT_MAX) ||
	    (double)(uint64_t)n != n)
		return bad(
		    j, "a number in gap is no integer from 0 to 2 to the 53");
	*out = (uint64_t)n;
	return OK;
}

static int
get_gap(struct jsonl *j, const cJSON *v, struct framing_msg *out)
{
	const cJSON *messages = cJSON_GetObjectItemCaseSensitive(v, "messages");
	const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(v, "bytes");
	int r;

	/* With both of them there, two is neither another key nor one twice. */
	if (!cJSON_IsObject(v) || messages == NULL || bytes == NULL ||
	    cJSON_GetArraySize(v) != 2)
		return bad(j, "gap is not one each of messages and bytes");
	if ((r = get_count(j, messages, &out->gap.messages)) != OK ||
	    (r = get_count(j, bytes, &out->gap.bytes)) != OK)
		return r;
	out->has_gap = true;
	return OK;
}

enum {
	KEY_TAG = 1u << 0,
	KEY_META = 1u << 1,
	KEY_DATA = 1u << 2,
	KEY_DATA64 = 1u << 3,
	KEY_GAP = 1u << 4,
};

static const struct member {
	const char *key;
	unsigned bit;
	int (*get)(struct jsonl *, const cJSON *, struct framing_msg *);
} members[] = {
    {"tag", KEY_TAG, get_tag},
    {"meta", KEY_META, get_meta},
    {"data", KEY_DATA, get_data},
    {"data64", KEY_DATA64, get_data64},
    {"gap", KEY_GAP, get_gap},
};

static const struct member *
member_of(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (strcmp(key, members[i].key) == 0)
			return &members[i];
	return NULL;
}

/* The tag that was read is that of the gap, not of a message. */
static void
finish_gap(struct jsonl *j, struct framing_msg *out)
{
	out->gap.tag = out->tag;
	out->has_tag = false;
	out->tag = 0;
	gap_frame_put(j->gap, &out->gap);
	out->whole = (struct view){j->gap, sizeof(j->gap)};
}

static int
get_members(struct jsonl *j, struct framing_msg *out)
{
	const struct member *m;
	unsigned seen = 0;
	const cJSON *v;
	int r;

	cJSON_ArrayForEach(v, j->tree)
	{
		if ((m = member_of(v->string)) == NULL)
			return bad(
			    j, "a key is none of tag, meta, data, data64, gap");
		if (seen & m->bit)
			return bad(j, "a key is given twice");
		seen |= m->bit;
		if ((r = m->get(j, v, out)) != OK)
			return r;
	}
	if (seen & KEY_GAP) {
		if (seen != (KEY_GAP | KEY_TAG))
			return bad(j, "beside a gap is not a tag alone");
		finish_gap(j, out);
		return OK;
	}
	if ((seen & (KEY_DATA | KEY_DATA64)) == 0)
		return bad(j, "neither data nor data64 is there");
	if ((seen & KEY_DATA) && (seen & KEY_DATA64))
		return bad(j, "both data and data64 are there");
	return OK;
}

/* Past the end of the string at p, which has one. */
static const uint8_t *
skip_string(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *slash, *q = p;

	do {
		q = memchr(q + 1, '"', (size_t)(end - q - 1));
		for (slash = q; slash[-1] == '\\'; slash--)
			;
	} while ((q - slash) % 2 != 0);
	return q + 1;
}

/*
 * Whether a line, which is valid JSON, has more values than a message can.
 * The library takes 64 bytes for each, and [0,0,0 ... has one in two bytes.
 */
static bool
is_crowded(struct view line)
{
	const uint8_t *p = line.p, *end = p + line.len;
	size_t commas = 0;

	while (p < end && commas <= COMMAS_MAX) {
		commas += *p == ',';
		p = *p == '"' ? skip_string(p, end) : p + 1;
	}
	return commas > COMMAS_MAX;
}

/* The line as a tree, in place of the last one. */
static int
parse(struct jsonl *j, struct view line)
{
	if (json_check(line, NULL) != OK)
		return bad(
		    j, "the line is not JSON, or a string in it has a NUL");
	if (is_crowded(line))
		return bad(j, "the line has too many values");
	errno = 0;
	j->tree = cJSON_ParseWithLength((const char *)line.p, line.len);
	if (j->tree == NULL && errno == ENOMEM)
		return ERR_NOMEM;
	/* NULL is here a number of more digits than the library takes. */
	if (!cJSON_IsObject(j->tree))
		return bad(j, "the line is not an object of JSON");
	return OK;
}

struct jsonl *
jsonl_new(void)
{
	return calloc(1, sizeof(struct jsonl));
}

void
jsonl_free(struct jsonl *j)
{
	if (j == NULL)
		return;
	cJSON_Delete(j->tree);
	buf_fini(&j->meta);
	buf_fini(&j->data);
	free(j);
}

size_t
jsonl_line_max(size_t max)
{
	size_t fixed = LINE_FIXED + (size_t)ESCAPED_MAX * FRAMING_META_MAX;

	if (max > (SIZE_MAX - fixed) / ESCAPED_MAX)
		return SIZE_MAX;
	return ESCAPED_MAX * max + fixed;
}

int
jsonl_get(struct jsonl *j, struct view line, size_t max,
    struct framing_msg *out, const char **why)
{
	struct framing_msg m = {0};
	int r;

	cJSON_Delete(j->tree);
	j->tree = NULL;
	buf_consume(&j->meta, j->meta.len);
	buf_consume(&j->data, j->data.len);
	if ((r = parse(j, line)) == OK)
		r = get_members(j, &m);
	if (r == OK && m.payload.len > max)
		r = ERR_LIMIT;
	if (r == ERR_BAD)
		*why = j->why;
	else if (r == OK)
		*out = m;
	return r;
}

/* -- writing -- */

/* The letter after the backslash, for what has one. */
static const char letter[256] = {
    ['\b'] = 'b',
    ['\t'] = 't',
    ['\n'] = 'n',
    ['\f'] = 'f',
    ['\r'] = 'r',
    ['"'] = '"',
    ['\\'] = '\\',
};

/* The size of v as JSON with its quotes; 0: it is no text. */
static size_t
text_size(struct view v)
{
	size_t size = 2, n;

	for (; v.len > 0; view_skip(&v, n)) {
		n = v.p[0] < 0x80 ? 1 : utf8_size(v);
		if (n == 0 || v.p[0] == 0)
			return 0;
		if (letter[v.p[0]] != 0)
			size += 2;
		else
			size += v.p[0] < 0x20 ? ESCAPED_MAX : n;
	}
	return size;
}

static uint8_t *
put_raw(uint8_t *p, const char *text)
{
	while (*text != '\0')
		*p++ = (uint8_t)*text++;
	return p;
}

static uint8_t *
put_text(uint8_t *p, struct view v)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;
	uint8_t c;

	*p++ = '"';
	for (i = 0; i < v.len; i++) {
		c = v.p[i];
		if (letter[c] != 0) {
			*p++ = '\\';
			*p++ = (uint8_t)letter[c];
		} else if (c < 0x20) {
			p = put_raw(p, "\\u00");
			*p++ = (uint8_t)hex[c >> 4];
			*p++ = (uint8_t)hex[c & 15];
		} else {
			*p++ = c;
		}
	}
	*p++ = '"';
	return p;
}

static uint8_t *
put_base64(uint8_t *p, struct view v)
{
	const int variant = sodium_base64_VARIANT_ORIGINAL;
	size_t size = sodium_base64_encoded_len(v.len, variant);

	*p++ = '"';
	/* The NUL it ends with is where the quote goes. */
	sodium_bin2base64((char *)p, size, v.p, v.len, variant);
	p += size - 1;
	*p++ = '"';
	return p;
}

/* Of a key given twice the last value counts. */
static int
add_pair(struct pairs *all, const struct meta_pair *new)
{
	size_t i = pair_of(all, new->key);

	if (i == JSONL_PAIRS_MAX)
		return ERR_BAD;
	all->pair[i] = *new;
	if (i == all->n)
		all->n++;
	return OK;
}

/* Take meta apart, and say how many bytes put_meta() will write. */
static int
get_pairs(struct view meta, struct pairs *all, size_t *size)
{
	struct meta_walk walk;
	struct meta_pair pair;
	size_t i, key, value;
	int r;

	all->n = 0;
	if ((r = meta_start(meta, &walk)) != OK)
		return r;
	while ((r = meta_next(&walk, &pair)) == OK)
		if (add_pair(all, &pair) != OK)
			return ERR_BAD;
	if (r != ERR_NONE)
		return r;
	*size = all->n > 0 ? strlen("\"meta\":{},") + all->n - 1 : 0;
	for (i = 0; i < all->n; i++) {
		if ((key = text_size(all->pair[i].key)) == 0 ||
		    (value = text_size(all->pair[i].value)) == 0)
			return ERR_BAD;
		*size += key + strlen(":") + value;
	}
	return OK;
}

static uint8_t *
put_meta(uint8_t *p, const struct pairs *all)
{
	size_t i;

	for (i = 0; i < all->n; i++) {
		p = put_raw(p, i == 0 ? "\"meta\":{" : ",");
		p = put_text(p, all->pair[i].key);
		*p++ = ':';
		p = put_text(p, all->pair[i].value);
	}
	return all->n > 0 ? put_raw(p, "},") : p;
}

int
jsonl_put(const struct framing_msg *m, struct buf *out)
{
	struct pairs meta;
	const char *key = "\"data\":";
	char tag[sizeof("\"tag\":4294967295,")] = "";
	size_t meta_len, data, size;
	uint8_t *start, *p;
	bool is_text = true;
	int r;

	if (m->has_tag)
		snprintf(tag, sizeof(tag), "\"tag\":%" PRIu32 ",", m->tag);
	if ((r = get_pairs(m->meta, &meta, &meta_len)) != OK)
		return r;
	if ((data = text_size(m->payload)) == 0) {
		is_text = false;
		key = "\"data64\":";
		data = 1 + sodium_base64_encoded_len(
			       m->payload.len, sodium_base64_VARIANT_ORIGINAL);
	}
	size = 1 + strlen(tag) + meta_len + strlen(key) + data + 2;
	if ((r = buf_reserve(out, size, &start)) != OK)
		return r;
	p = put_raw(start, "{");
	p = put_raw(p, tag);
	p = put_meta(p, &meta);
	p = put_raw(p, key);
	p = is_text ? put_text(p, m->payload) : put_base64(p, m->payload);
	p = put_raw(p, "}\n");
	assert(p == start + size);
	buf_commit(out, size);
	return OK;
}

static uint64_t
count_of(uint64_t n)
{
	return n < JSONL_COUNT_MAX ? n : JSONL_COUNT_MAX;
}

int
jsonl_put_gap(const struct gap_frame *gap, struct buf *out)
{
	char line[LINE_FIXED];

	snprintf(line, sizeof(line),
	    "{\"gap\":{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64
	    "},\"tag\":%" PRIu32 "}\n",
	    count_of(gap->messages), count_of(gap->bytes), gap->tag);
	return buf_put(out, view_of(line));
}
