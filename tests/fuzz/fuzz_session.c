/* SPDX-License-Identifier: ISC */
/*
 * Any marks of sessions, to one who follows the first and one who passes all of
 * them on.
 *
 * The input is a script: a byte that says what happens, and, mostly, a mark: a
 * byte for its length, and its bytes.
 */
#include <assert.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/session.h"
#include "wire/frame.h"
#include "wire/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

enum {
	END_EOF = 1,
	END_OTHER = 2,
	TAG = 4,
	SHORT = 8, /* the mark is a digit, in a session that is a letter */
	TARGET = 16,
	GAP = 32,
	ABANDON = 64,
};

/* Take what a byte announces off the front of in. */
static struct view
get_bytes(struct view *in)
{
	struct view v = {0};

	if (in->len == 0)
		return v;
	v = (struct view){in->p + 1, in->p[0]};
	if (v.len > in->len - 1)
		v.len = in->len - 1;
	view_skip(in, v.len + 1);
	return v;
}

/* So that the same sessions come again and again. */
static struct view
make_mark(uint8_t id, uint8_t seq)
{
	static uint8_t mark[SESSION_ID_SIZE + 2];

	memset(mark, 'A' + id % 16, SESSION_ID_SIZE);
	mark[SESSION_ID_SIZE] = ':';
	mark[SESSION_ID_SIZE + 1] = '0' + seq % 10;
	return (struct view){mark, sizeof(mark)};
}

static struct view
get_mark(struct view *in, uint8_t what)
{
	struct view v;

	if (!(what & SHORT) || in->len < 2)
		return get_bytes(in);
	v = make_mark(in->p[0], in->p[1]);
	view_skip(in, 2);
	return v;
}

static void
check_mark(struct view value, const struct session_mark *m)
{
	assert(m->id.p == value.p && m->id.len == SESSION_ID_SIZE);
	assert(value.len > SESSION_ID_SIZE + 1);
	assert(m->seq + 1 > m->seq);
}

static void
follow(struct session_reader *s, uint32_t tag, const struct session_mark *m)
{
	struct session_reader before = *s;
	enum session_verdict v = session_judge(s, tag, m);

	session_take(s, tag, m);
	if (v == SESSION_FOREIGN) {
		assert(s->state == before.state && s->next == before.next);
		return;
	}
	assert(memcmp(s->id, m->id.p, SESSION_ID_SIZE) == 0 && s->tag == tag);
	assert(before.state <= SESSION_OPEN);
	if (v == SESSION_BREAK)
		assert(s->state == SESSION_HAS_GAP ||
		       s->state == SESSION_REPEATED);
	else
		assert(m->seq == before.next &&
		       (s->next == m->seq + 1 || session_is_over(s)));
}

static void
check_table(const struct session_table *t)
{
	size_t i, k;

	assert(t->n <= t->cap && t->cap <= SESSION_TABLE_MAX);
	assert((t->n == 0) == (t->v == NULL));
	for (i = 0; i < t->n; i++)
		for (k = 0; k < i; k++)
			assert(t->v[i].tag != t->v[k].tag ||
			       memcmp(t->v[i].id, t->v[k].id,
				   SESSION_ID_SIZE) != 0);
}

/* Each that did not end is cut, by a frame that can be read. */
static void
cut_all(struct session_table *t)
{
	uint8_t bytes[SESSION_CUT_SIZE];
	struct session_passing s;
	struct session_mark m;
	struct data_frame d;
	struct meta_known k;
	struct frame f;
	struct view in;

	while (session_table_pop(t, &s) == OK) {
		in = (struct view){bytes, session_cut_put(bytes, &s)};
		assert(frame_get(&in, sizeof(bytes), &f) == OK && in.len == 0);
		assert(data_frame_get(f.body, &d) == OK && d.tag == s.tag);
		assert(meta_read(d.meta, &k) == OK);
		assert(view_equal(
		    k.target, (struct view){s.target, s.target_len}));
		assert(session_mark(k.session, k.session_end, &m) == OK);
		assert(m.seq == s.next && m.end == SESSION_CUT);
	}
	assert(t->v == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct view in = {p, len}, value, end, target;
	struct session_reader reader = {0};
	struct session_table table = {0};
	struct session_mark m;
	char text[SESSION_TEXT];
	uint32_t tag;
	uint8_t what;

	log_set_level(LOG_ERROR);
	if (auth_init() != OK)
		return 0;
	while (in.len > 0) {
		what = in.p[0];
		view_skip(&in, 1);
		tag = what & TAG ? 0x33 : 0x34;
		if (what & GAP)
			session_gap(&reader, tag, what);
		if (what & ABANDON)
			session_abandon(&reader, SESSION_IDLE);
		value = get_mark(&in, what);
		end = what & END_EOF	 ? view_of("eof")
		      : what & END_OTHER ? get_bytes(&in)
					 : (struct view){0};
		target = what & TARGET ? get_bytes(&in) : (struct view){0};
		if (session_mark(value, end, &m) != OK)
			continue;
		check_mark(value, &m);
		follow(&reader, tag, &m);
		session_table_note(&table, tag, &m, target);
		check_table(&table);
	}
	session_why(&reader, text);
	cut_all(&table);
	return 0;
}
