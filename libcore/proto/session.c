/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/session.h"
#include "wire/frame.h"
#include "wire/meta.h"

/* Fewer than a uint64_t may have, so that one can always be added. */
#define DIGITS_MAX 19
/* The last number of so many digits is for an end: a cut comes after all. */
#define SEQ_MAX 9999999999999999998u
#define TABLE_FIRST 2

static const char *const end_name[] = {
    [SESSION_EOF] = "eof",
    [SESSION_CUT] = "cut",
};

const char *
session_end_name(enum session_end end)
{
	return end_name[end];
}

/* --- marks --- */

/* Ours are nanoids; of those of others we only want to be able to show them. */
static bool
is_id(struct view v)
{
	size_t i;

	for (i = 0; i < v.len; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~')
			return false;
	return true;
}

static int
get_seq(struct view v, uint64_t *out)
{
	uint64_t n = 0;
	size_t i;

	if (v.len == 0 || v.len > DIGITS_MAX || (v.p[0] == '0' && v.len > 1))
		return ERR_NONE;
	for (i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return ERR_NONE;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	*out = n;
	return OK;
}

int
session_mark(struct view value, struct view end, struct session_mark *out)
{
	struct session_mark m = {.id = {value.p, SESSION_ID_SIZE}};

	if (value.len < SESSION_ID_SIZE + 1 ||
	    value.p[SESSION_ID_SIZE] != ':' || !is_id(m.id))
		return ERR_NONE;
	view_skip(&value, SESSION_ID_SIZE + 1);
	if (get_seq(value, &m.seq) != OK || (end.len == 0 && m.seq > SEQ_MAX))
		return ERR_NONE;
	if (end.len > 0)
		m.end = view_equal(end, view_of(end_name[SESSION_EOF]))
			    ? SESSION_EOF
			    : SESSION_CUT;
	*out = m;
	return OK;
}

int
session_mark_of(struct view meta, struct session_mark *out)
{
	struct meta_known k;

	if (meta_read(meta, &k) != OK)
		return ERR_NONE;
	return session_mark(k.session, k.session_end, out);
}

/* --- the writer --- */

void
session_begin(struct session_writer *w)
{
	auth_id_put(w->mark);
	w->mark[SESSION_ID_SIZE] = ':';
	w->mark[SESSION_ID_SIZE + 1] = '0';
	w->len = SESSION_ID_SIZE + 2;
}

void
session_advance(struct session_writer *w)
{
	size_t i = w->len - 1;

	while (w->mark[i] == '9')
		w->mark[i--] = '0';
	if (w->mark[i] != ':') {
		w->mark[i]++;
		return;
	}
	assert(w->len < SESSION_MARK_MAX);
	w->mark[i + 1] = '1';
	w->mark[w->len++] = '0';
}

/* --- the reader --- */

static bool
is_id_of(const char *id, const struct session_mark *m)
{
	return memcmp(id, m->id.p, SESSION_ID_SIZE) == 0;
}

static void
keep_id(char *id, const struct session_mark *m)
{
	memcpy(id, m->id.p, SESSION_ID_SIZE);
}

enum session_verdict
session_judge(
    const struct session_reader *s, uint32_t tag, const struct session_mark *m)
{
	if (s->state == SESSION_AWAITED)
		return m->seq == 0 ? SESSION_NEXT : SESSION_FOREIGN;
	if (s->state != SESSION_OPEN || tag != s->tag || !is_id_of(s->id, m))
		return SESSION_FOREIGN;
	return m->seq == s->next ? SESSION_NEXT : SESSION_BREAK;
}

static void
begin(struct session_reader *s, uint32_t tag, const struct session_mark *m)
{
	keep_id(s->id, m);
	s->tag = tag;
	s->state = SESSION_OPEN;
	log_debug("session '%s' begins on tag 0x%" PRIx32, s->id, tag);
}

static void
break_off(struct session_reader *s, uint64_t seq)
{
	if (seq < s->next) {
		s->state = SESSION_REPEATED;
		return;
	}
	s->state = SESSION_HAS_GAP;
	s->missing = seq - s->next;
}

/* It had begun before we looked. */
static void
pass_over(struct session_reader *s, const struct session_mark *m)
{
	if (s->state != SESSION_AWAITED || is_id_of(s->missed, m))
		return;
	keep_id(s->missed, m);
	log_debug("session '%s' is under way already: left out", s->missed);
}

void
session_take(
    struct session_reader *s, uint32_t tag, const struct session_mark *m)
{
	switch (session_judge(s, tag, m)) {
	case SESSION_FOREIGN:
		pass_over(s, m);
		return;
	case SESSION_BREAK:
		break_off(s, m->seq);
		return;
	case SESSION_NEXT:
		break;
	}
	if (s->state == SESSION_AWAITED)
		begin(s, tag, m);
	if (m->end == SESSION_GOES_ON)
		s->next++;
	else
		s->state =
		    m->end == SESSION_EOF ? SESSION_WHOLE : SESSION_WAS_CUT;
}

void
session_gap(struct session_reader *s, uint32_t tag, uint64_t messages)
{
	if (s->state != SESSION_OPEN || tag != s->tag)
		return;
	s->state = SESSION_HAS_GAP;
	s->missing = messages;
}

void
session_abandon(struct session_reader *s, enum session_state why)
{
	if (s->state == SESSION_OPEN)
		s->state = why;
}

bool
session_is_over(const struct session_reader *s)
{
	return s->state > SESSION_OPEN;
}

void
session_why(const struct session_reader *s, char text[SESSION_TEXT])
{
	static const char *const after[] = {
	    [SESSION_OPEN] = "had not ended",
	    [SESSION_WHOLE] = "is whole",
	    [SESSION_WAS_CUT] = "was cut",
	    [SESSION_REPEATED] = "repeats itself",
	    [SESSION_IDLE] = "fell silent",
	    [SESSION_UNLINKED] = "lost its connection",
	};

	if (s->state == SESSION_AWAITED && *s->missed == '\0')
		snprintf(text, SESSION_TEXT, "no session came");
	else if (s->state == SESSION_AWAITED)
		snprintf(text, SESSION_TEXT,
		    "session '%s' had begun before: no other came", s->missed);
	else if (s->state == SESSION_HAS_GAP)
		snprintf(text, SESSION_TEXT,
		    "session '%s' lacks %" PRIu64 " messages after %" PRIu64,
		    s->id, s->missing, s->next);
	else
		snprintf(text, SESSION_TEXT,
		    "session '%s' %s after %" PRIu64 " messages", s->id,
		    after[s->state], s->next);
}

/* --- the table --- */

void
session_table_fini(struct session_table *t)
{
	free(t->v);
	*t = (struct session_table){0};
}

static bool
is_entry(
    const struct session_passing *e, uint32_t tag, const struct session_mark *m)
{
	return e->tag == tag && memcmp(e->id, m->id.p, SESSION_ID_SIZE) == 0;
}

/* Mostly it is the one that was looked up last. */
static struct session_passing *
find(struct session_table *t, uint32_t tag, const struct session_mark *m)
{
	size_t i;

	if (t->latest < t->n && is_entry(&t->v[t->latest], tag, m))
		return &t->v[t->latest];
	for (i = 0; i < t->n; i++) {
		if (is_entry(&t->v[i], tag, m)) {
			t->latest = i;
			return &t->v[i];
		}
	}
	return NULL;
}

static void
drop(struct session_table *t, struct session_passing *e)
{
	*e = t->v[--t->n];
	if (t->n == 0)
		session_table_fini(t);
}

static bool
grow(struct session_table *t)
{
	size_t cap = t->cap > 0 ? 2 * t->cap : TABLE_FIRST;
	struct session_passing *v;

	if (t->n < t->cap)
		return true;
	if (cap > SESSION_TABLE_MAX ||
	    (v = realloc(t->v, cap * sizeof(*v))) == NULL)
		return false;
	t->v = v;
	t->cap = cap;
	return true;
}

static struct session_passing *
add(struct session_table *t, uint32_t tag, const struct session_mark *m,
    struct view target)
{
	struct session_passing *e;

	if (target.len > SESSION_TARGET_MAX || !grow(t))
		return NULL;
	t->latest = t->n++;
	e = &t->v[t->latest];
	*e = (struct session_passing){
	    .tag = tag,
	    .target_len = (uint8_t)target.len,
	};
	memcpy(e->id, m->id.p, SESSION_ID_SIZE);
	if (target.len > 0)
		memcpy(e->target, target.p, target.len);
	return e;
}

void
session_table_note(struct session_table *t, uint32_t tag,
    const struct session_mark *m, struct view target)
{
	struct session_passing *e = find(t, tag, m);

	if (m->end != SESSION_GOES_ON) {
		if (e != NULL)
			drop(t, e);
		return;
	}
	if (e == NULL && (e = add(t, tag, m, target)) == NULL)
		return;
	e->next = m->seq + 1;
}

int
session_table_pop(struct session_table *t, struct session_passing *out)
{
	if (t->n == 0)
		return ERR_NONE;
	*out = t->v[t->n - 1];
	drop(t, &t->v[t->n - 1]);
	return OK;
}

size_t
session_cut_put(uint8_t out[SESSION_CUT_SIZE], const struct session_passing *s)
{
	char mark[SESSION_MARK_MAX + 1], tid[AUTH_ID_SIZE + 1];
	uint8_t meta[SESSION_CUT_SIZE];
	struct data_frame d = {.tag = s->tag};
	struct meta_pair pairs[] = {
	    {view_of(META_TID), {0}},
	    {view_of(META_SESSION), {0}},
	    {view_of(META_SESSION_END), view_of(end_name[SESSION_CUT])},
	    {view_of(META_TARGET), {s->target, s->target_len}},
	};
	size_t n = s->target_len > 0 ? 4 : 3;

	auth_id(tid);
	snprintf(mark, sizeof(mark), "%.*s:%" PRIu64, SESSION_ID_SIZE,
	    (const char *)s->id, s->next);
	pairs[0].value = view_of(tid);
	pairs[1].value = view_of(mark);
	d.meta = (struct view){meta, meta_size(pairs, n)};
	meta_put(meta, pairs, n);
	assert(data_frame_size(&d) <= SESSION_CUT_SIZE);
	return (size_t)(data_frame_put(out, &d) - out);
}
