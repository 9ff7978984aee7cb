/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "wire/meta.h"

/* The first bytes that msgpack gives to maps and strings. */
#define FIXMAP 0x80
#define FIXMAP_MAX 15
#define FIXSTR 0xa0
#define FIXSTR_MAX 31
#define NIL 0xc0
#define BIN8 0xc4
#define BIN16 0xc5
#define BIN32 0xc6
#define STR8 0xd9
#define STR16 0xda
#define STR32 0xdb
#define MAP16 0xde
#define MAP32 0xdf

/* The fewest bytes that a pair takes: two empty strings. */
#define PAIR_MIN 2

/* Read a big-endian number of n bytes that stands after the first byte. */
static int
get_be(struct view in, size_t n, uint32_t *out)
{
	uint32_t v = 0;
	size_t i;

	if (in.len - 1 < n)
		return ERR_BAD;
	for (i = 1; i <= n; i++)
		v = v << 8 | in.p[i];
	*out = v;
	return OK;
}

static uint8_t *
put_be(uint8_t *p, size_t n, size_t v)
{
	while (n-- > 0)
		*p++ = (uint8_t)(v >> 8 * n);
	return p;
}

/* How many bytes of length follow the first byte of a string; ERR_BAD. */
static int
str_wide(uint8_t first)
{
	switch (first) {
	case NIL:
		return 0;
	case BIN8:
	case STR8:
		return 1;
	case BIN16:
	case STR16:
		return 2;
	case BIN32:
	case STR32:
		return 4;
	default:
		return ERR_BAD;
	}
}

/* Take a string off the front of in. */
static inline int
get_str(struct view *in, struct view *out)
{
	uint32_t len = 0;
	size_t head = 1;
	int wide;

	if (in->len == 0)
		return ERR_BAD;
	if ((in->p[0] & ~FIXSTR_MAX) == FIXSTR) {
		len = in->p[0] & FIXSTR_MAX;
	} else {
		if ((wide = str_wide(in->p[0])) < 0 ||
		    get_be(*in, (size_t)wide, &len) != OK)
			return ERR_BAD;
		head += (size_t)wide;
	}
	if (in->len - head < len)
		return ERR_BAD;
	*out = (struct view){in->p + head, len};
	view_skip(in, head + len);
	return OK;
}

int
meta_start(struct view meta, struct meta_walk *w)
{
	uint32_t n = 0;
	size_t wide = 0;

	if (meta.len == 0) {
		*w = (struct meta_walk){meta, 0};
		return OK;
	}
	if ((meta.p[0] & ~FIXMAP_MAX) == FIXMAP)
		n = meta.p[0] & FIXMAP_MAX;
	else if (meta.p[0] == MAP16)
		wide = 2;
	else if (meta.p[0] == MAP32)
		wide = 4;
	else if (meta.p[0] != NIL)
		return ERR_BAD;
	if (wide > 0 && get_be(meta, wide, &n) != OK)
		return ERR_BAD;
	view_skip(&meta, 1 + wide);
	if (n > meta.len / PAIR_MIN)
		return ERR_BAD;
	*w = (struct meta_walk){meta, n};
	return OK;
}

int
meta_next(struct meta_walk *w, struct meta_pair *out)
{
	struct view in = w->in;
	struct meta_pair pair;

	if (w->left == 0)
		return ERR_NONE;
	if (get_str(&in, &pair.key) != OK || get_str(&in, &pair.value) != OK)
		return ERR_BAD;
	w->in = in;
	w->left--;
	*out = pair;
	return OK;
}

int
meta_check(struct view meta)
{
	struct meta_walk w;
	struct meta_pair pair;
	int r;

	if ((r = meta_start(meta, &w)) != OK)
		return r;
	while ((r = meta_next(&w, &pair)) == OK)
		;
	return r == ERR_NONE ? OK : r;
}

int
meta_find(struct view meta, const char *key, struct view *value)
{
	struct view want = view_of(key), found = {0};
	struct meta_walk w;
	struct meta_pair pair;
	int r;

	if ((r = meta_start(meta, &w)) != OK)
		return r;
	while ((r = meta_next(&w, &pair)) == OK)
		if (view_equal(pair.key, want))
			found = pair.value;
	if (r != ERR_NONE || found.p == NULL)
		return r;
	*value = found;
	return OK;
}

static inline bool
is_key(struct view key, const char *name, size_t len)
{
	return key.len == len && memcmp(key.p, name, len) == 0;
}

#define IS_KEY(key, name) is_key(key, name, sizeof(name) - 1)

int
meta_read(struct view meta, struct meta_known *out)
{
	struct meta_walk w;
	struct meta_pair pair;
	int r;

	*out = (struct meta_known){0};
	if ((r = meta_start(meta, &w)) != OK)
		return r;
	while ((r = meta_next(&w, &pair)) == OK) {
		if (IS_KEY(pair.key, META_TARGET))
			out->target = pair.value;
		else if (IS_KEY(pair.key, META_SESSION))
			out->session = pair.value;
		else if (IS_KEY(pair.key, META_SESSION_END))
			out->session_end = pair.value;
	}
	if (r == ERR_NONE)
		return OK;
	*out = (struct meta_known){0};
	return r;
}

static size_t
str_head_size(size_t len)
{
	if (len <= FIXSTR_MAX)
		return 1;
	if (len <= UINT8_MAX)
		return 2;
	return len <= UINT16_MAX ? 3 : 5;
}

static uint8_t *
put_str(uint8_t *p, struct view s)
{
	size_t head = str_head_size(s.len);

	if (head == 1)
		*p++ = (uint8_t)(FIXSTR | s.len);
	else
		*p++ = head == 2 ? STR8 : head == 3 ? STR16 : STR32;
	p = put_be(p, head - 1, s.len);
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	return p + s.len;
}

static size_t
map_head_size(size_t n)
{
	if (n == 0)
		return 0;
	if (n <= FIXMAP_MAX)
		return 1;
	return n <= UINT16_MAX ? 3 : 5;
}

size_t
meta_size(const struct meta_pair *pairs, size_t n)
{
	size_t i, size = map_head_size(n);

	for (i = 0; i < n; i++)
		size += str_head_size(pairs[i].key.len) + pairs[i].key.len +
			str_head_size(pairs[i].value.len) + pairs[i].value.len;
	return size;
}

uint8_t *
meta_put(uint8_t *p, const struct meta_pair *pairs, size_t n)
{
	size_t i, head = map_head_size(n);

	if (head == 1)
		*p++ = (uint8_t)(FIXMAP | n);
	else if (head > 1) {
		*p++ = head == 3 ? MAP16 : MAP32;
		p = put_be(p, head - 1, n);
	}
	for (i = 0; i < n; i++) {
		p = put_str(p, pairs[i].key);
		p = put_str(p, pairs[i].value);
	}
	return p;
}
