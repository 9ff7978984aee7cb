/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "framing/framing.h"
#include "framing/jsonl.h"
#include "wire/frame.h"
#include "wire/meta.h"

#define LEN32_SIZE 4
/* "18446744073709551615:" and the NUL of snprintf(). */
#define NETSTRING_HEAD_MAX 22
/* What a Data frame has beside its metadata and payload, at most. */
#define FRAME_FIXED 32
/* Of one Data frame, so that its length is one that Y3 has. */
#define FRAME_MAX (INT32_MAX - FRAME_FIXED)

struct framing {
	struct framing_conf conf;
	struct jsonl *jsonl; /* json only */
	uint64_t offset;     /* of the front of in, in the whole input */
	size_t seen;	     /* bytes there that hold no end of a line */
	int failed;	     /* ERR_BAD or ERR_LIMIT, once it was met */
	const char *why;
};

/* What a format found at the front of in. */
struct found {
	struct framing_msg msg;
	size_t size; /* of all of it */
};

static int
bad(struct framing *f, const char *why)
{
	f->why = why;
	return ERR_BAD;
}

static int
too_large(struct framing *f)
{
	f->why = "the message is larger than the limit";
	return ERR_LIMIT;
}

/* There is the start of a message, or nothing: good, or bad at the end. */
static int
unfinished(struct framing *f, struct view in, bool eof)
{
	if (eof && in.len > 0)
		return bad(f, "the input ends inside a message");
	return ERR_MORE;
}

static int
get_raw(struct framing *f, struct view in, bool eof, struct found *out)
{
	size_t n, block = f->conf.block, max = f->conf.max;

	if (in.len == 0)
		return ERR_MORE;
	if (block > max)
		return too_large(f);
	if (block > 0 && in.len < block && !eof)
		return ERR_MORE;
	if (block == 0)
		block = max < FRAMING_RAW_MAX ? max : FRAMING_RAW_MAX;
	if (block == 0)
		return too_large(f);
	n = in.len < block ? in.len : block;
	out->msg.payload = (struct view){in.p, n};
	out->size = n;
	return OK;
}

/*
 * Find the end of the line at the front of in; what has been searched in vain
 * is not searched again.  max is of the line without its end.
 */
static int
get_line(struct framing *f, struct view in, bool eof, int end, size_t max,
    struct found *out)
{
	size_t n = in.len > max ? max + 1 : in.len;
	const uint8_t *p = NULL;

	if (n > f->seen)
		p = memchr(in.p + f->seen, end, n - f->seen);
	if (p == NULL && n > max)
		return too_large(f); /* before waiting for its end */
	if (p == NULL && (in.len == 0 || !eof)) {
		f->seen = n;
		return ERR_MORE;
	}
	n = p != NULL ? (size_t)(p - in.p) : in.len;
	out->msg.payload = (struct view){in.p, n};
	out->size = n + (p != NULL);
	return OK;
}

static int
get_lines(struct framing *f, struct view in, bool eof, struct found *out)
{
	return get_line(f, in, eof, '\n', f->conf.max, out);
}

static int
get_nul(struct framing *f, struct view in, bool eof, struct found *out)
{
	return get_line(f, in, eof, '\0', f->conf.max, out);
}

static int
get_len32(struct framing *f, struct view in, bool eof, struct found *out)
{
	size_t len = 0, i;

	if (in.len < LEN32_SIZE)
		return unfinished(f, in, eof);
	for (i = 0; i < LEN32_SIZE; i++)
		len = len << 8 | in.p[i];
	if (len > f->conf.max)
		return too_large(f);
	if (in.len - LEN32_SIZE < len)
		return unfinished(f, in, eof);
	out->msg.payload = (struct view){in.p + LEN32_SIZE, len};
	out->size = LEN32_SIZE + len;
	return OK;
}

static int
get_netstring(struct framing *f, struct view in, bool eof, struct found *out)
{
	size_t len = 0, head, i;

	for (i = 0; i < in.len && in.p[i] >= '0' && in.p[i] <= '9'; i++) {
		if (i == 1 && len == 0)
			return bad(
			    f, "the length of a netstring begins with 0");
		if (len > f->conf.max / 10)
			return too_large(f);
		len = len * 10 + (size_t)(in.p[i] - '0');
		if (len > f->conf.max)
			return too_large(f);
	}
	if (i == in.len)
		return unfinished(f, in, eof);
	if (i == 0 || in.p[i] != ':')
		return bad(f, "a netstring begins with no length and colon");
	head = i + 1;
	if (in.len - head <= len)
		return unfinished(f, in, eof);
	if (in.p[head + len] != ',')
		return bad(f, "a netstring does not end in a comma");
	out->msg.payload = (struct view){in.p + head, len};
	out->size = head + len + 1;
	return OK;
}

static int
get_json(struct framing *f, struct view in, bool eof, struct found *out)
{
	struct found line;
	int r;

	if ((r = get_line(
		 f, in, eof, '\n', jsonl_line_max(f->conf.max), &line)) != OK)
		return r;
	out->size = line.size;
	r = jsonl_get(
	    f->jsonl, line.msg.payload, f->conf.max, &out->msg, &f->why);
	return r == ERR_LIMIT ? too_large(f) : r;
}

static int
get_frames(struct framing *f, struct view in, bool eof, struct found *out)
{
	const size_t fixed = FRAMING_META_MAX + FRAME_FIXED;
	struct data_frame d;
	struct frame frame;
	struct view rest = in;
	size_t max = SIZE_MAX;
	int r;

	if (f->conf.max <= SIZE_MAX - fixed)
		max = f->conf.max + fixed;
	r = frame_get(&rest, max, &frame);
	if (r == ERR_MORE)
		return unfinished(f, in, eof);
	if (r == ERR_LIMIT)
		return too_large(f);
	if (r != OK)
		return bad(f, "the length of a frame is malformed");
	out->msg.whole = frame.whole;
	out->size = frame.whole.len;
	if (frame.type == FRAME_GAP) {
		if (gap_frame_get(frame.body, &out->msg.gap) != OK)
			return bad(f, "a Gap frame is malformed");
		out->msg.has_gap = true;
	}
	if (frame.type != FRAME_DATA)
		return OK;
	if (data_frame_get(frame.body, &d) != OK)
		return bad(f, "a Data frame is malformed");
	if (meta_check(d.meta) != OK)
		return bad(f, "the metadata is no map of strings");
	if (d.payload.len > f->conf.max || d.meta.len > FRAMING_META_MAX)
		return too_large(f);
	out->msg.has_tag = true;
	out->msg.tag = d.tag;
	out->msg.meta = d.meta;
	out->msg.payload = d.payload;
	return OK;
}

static int
put_raw(const struct framing_msg *m, struct buf *out)
{
	return buf_put(out, m->payload);
}

/* The payload between a head and, unless it is negative, a last byte. */
static int
put_between(struct view head, struct view payload, int last, struct buf *out)
{
	size_t fixed = head.len + (last >= 0);
	uint8_t *p;
	int r;

	if (payload.len > SIZE_MAX - fixed)
		return ERR_LIMIT;
	if ((r = buf_reserve(out, fixed + payload.len, &p)) != OK)
		return r;
	if (head.len > 0)
		memcpy(p, head.p, head.len);
	if (payload.len > 0)
		memcpy(p + head.len, payload.p, payload.len);
	if (last >= 0)
		p[head.len + payload.len] = (uint8_t)last;
	buf_commit(out, fixed + payload.len);
	return OK;
}

static int
put_line(struct view line, int end, struct buf *out)
{
	if (line.len > 0 && memchr(line.p, end, line.len) != NULL)
		return ERR_BAD;
	return put_between((struct view){NULL, 0}, line, end, out);
}

static int
put_lines(const struct framing_msg *m, struct buf *out)
{
	return put_line(m->payload, '\n', out);
}

static int
put_nul(const struct framing_msg *m, struct buf *out)
{
	return put_line(m->payload, '\0', out);
}

static int
put_len32(const struct framing_msg *m, struct buf *out)
{
	uint8_t head[LEN32_SIZE];
	size_t i;

	if (m->payload.len > UINT32_MAX)
		return ERR_BAD;
	for (i = 0; i < LEN32_SIZE; i++)
		head[i] = (uint8_t)(m->payload.len >> (24 - 8 * i));
	return put_between(
	    (struct view){head, sizeof(head)}, m->payload, -1, out);
}

static int
put_netstring(const struct framing_msg *m, struct buf *out)
{
	char head[NETSTRING_HEAD_MAX];

	snprintf(head, sizeof(head), "%zu:", m->payload.len);
	return put_between(view_of(head), m->payload, ',', out);
}

static int
put_frames(const struct framing_msg *m, struct buf *out)
{
	const struct data_frame d = {m->tag, m->meta, m->payload};
	size_t size;
	uint8_t *p;
	int r;

	if (m->whole.len > 0)
		return buf_put(out, m->whole);
	if (!m->has_tag || m->meta.len > FRAME_MAX ||
	    m->payload.len > FRAME_MAX - m->meta.len)
		return ERR_BAD;
	size = data_frame_size(&d);
	if ((r = buf_reserve(out, size, &p)) != OK)
		return r;
	data_frame_put(p, &d);
	buf_commit(out, size);
	return OK;
}

static int
put_gap(enum framing_kind kind, const struct framing_msg *m, struct buf *out)
{
	uint8_t frame[GAP_FRAME_SIZE];
	struct view whole = m->whole;

	if (kind == FRAMING_JSON)
		return jsonl_put_gap(&m->gap, out);
	if (kind != FRAMING_FRAMES)
		return OK;
	if (whole.len == 0) {
		gap_frame_put(frame, &m->gap);
		whole = (struct view){frame, sizeof(frame)};
	}
	return buf_put(out, whole);
}

static const struct format {
	const char *name;
	int (*get)(struct framing *, struct view, bool, struct found *);
	int (*put)(const struct framing_msg *, struct buf *);
} formats[] = {
    [FRAMING_RAW] = {"raw", get_raw, put_raw},
    [FRAMING_LINES] = {"lines", get_lines, put_lines},
    [FRAMING_NUL] = {"nul", get_nul, put_nul},
    [FRAMING_LEN32] = {"len32", get_len32, put_len32},
    [FRAMING_NETSTRING] = {"netstring", get_netstring, put_netstring},
    [FRAMING_JSON] = {"json", get_json, jsonl_put},
    [FRAMING_FRAMES] = {"frames", get_frames, put_frames},
};

int
framing_kind_of(const char *name, enum framing_kind *out)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(name, formats[i].name) == 0) {
			*out = (enum framing_kind)i;
			return OK;
		}
	}
	return ERR_NONE;
}

const char *
framing_name(enum framing_kind kind)
{
	return formats[kind].name;
}

int
framing_new(struct framing **out, const struct framing_conf *conf)
{
	struct framing *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ERR_NOMEM;
	f->conf = *conf;
	if (conf->kind == FRAMING_JSON && (f->jsonl = jsonl_new()) == NULL) {
		framing_free(f);
		return ERR_NOMEM;
	}
	*out = f;
	return OK;
}

void
framing_free(struct framing *f)
{
	if (f == NULL)
		return;
	jsonl_free(f->jsonl);
	free(f);
}

int
framing_get(
    struct framing *f, struct view *in, bool eof, struct framing_msg *out)
{
	struct found found = {0};
	int r;

	if (f->failed != OK)
		return f->failed;
	r = formats[f->conf.kind].get(f, *in, eof, &found);
	if (r == OK) {
		view_skip(in, found.size);
		f->offset += found.size;
		f->seen = 0;
		*out = found.msg;
	} else if (r == ERR_BAD || r == ERR_LIMIT) {
		f->failed = r;
	}
	return r;
}

const char *
framing_why(const struct framing *f)
{
	return f->why;
}

uint64_t
framing_offset(const struct framing *f)
{
	return f->offset;
}

int
framing_put(
    enum framing_kind kind, const struct framing_msg *m, struct buf *out)
{
	if (m->has_gap)
		return put_gap(kind, m, out);
	/* A frame that is no Data frame is nothing to other formats. */
	if (kind != FRAMING_FRAMES && m->whole.len > 0 && !m->has_tag)
		return ERR_BAD;
	return formats[kind].put(m, out);
}

const char *
framing_misfit(enum framing_kind kind)
{
	static const char *const why[] = {
	    [FRAMING_RAW] = "it is no message",
	    [FRAMING_LINES] = "it holds a newline",
	    [FRAMING_NUL] = "it holds a NUL byte",
	    [FRAMING_LEN32] = "it is too long",
	    [FRAMING_NETSTRING] = "it is no message",
	    [FRAMING_JSON] = "its metadata is not text",
	    [FRAMING_FRAMES] = "it has no tag",
	};

	return why[kind];
}
