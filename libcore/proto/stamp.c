/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/stamp.h"

/* As long as a tid, and found again in the map by its place. */
static const char no_tid[AUTH_ID_SIZE + 1] = "000000000000000000000";

/* Let b hold the map of n pairs, and nothing else. */
static int
put_map(struct buf *b, const struct meta_pair *pairs, size_t n)
{
	size_t size = meta_size(pairs, n);
	uint8_t *p;
	int r;

	buf_consume(b, b->len);
	if ((r = buf_reserve(b, size, &p)) != OK)
		return r;
	meta_put(p, pairs, n);
	buf_commit(b, size);
	return OK;
}

static void
add(struct stamp *s, struct view key, struct view value)
{
	s->fixed[s->n++] = (struct meta_pair){key, value};
}

static bool
is_of_session(struct view key)
{
	return view_equal(key, view_of(META_SESSION)) ||
	       view_equal(key, view_of(META_SESSION_END));
}

static int
add_extra(struct stamp *s, const char *text)
{
	const char *equals = strchr(text, '=');
	struct view key;

	if (equals == NULL || equals == text) {
		log_error("--meta: '%s' is not KEY=VALUE", text);
		return ERR_BAD;
	}
	key = (struct view){(const uint8_t *)text, (size_t)(equals - text)};
	if (view_equal(key, view_of(META_TID)) ||
	    view_equal(key, view_of(META_SOURCE_ID)) ||
	    view_equal(key, view_of(META_TARGET)) || is_of_session(key)) {
		log_error(
		    "--meta: '%s' is a key that has its own meaning", text);
		return ERR_BAD;
	}
	add(s, key, view_of(equals + 1));
	return OK;
}

/* Where v, which is there, stands in the map of a message without any. */
static size_t
place_of(const struct stamp *s, struct view v)
{
	struct view map = buf_view(&s->plain);
	const uint8_t *p = memmem(map.p, map.len, v.p, v.len);

	return (size_t)(p - map.p);
}

/* The map of a message without any, and where in it the fresh values go. */
static int
put_plain(struct stamp *s)
{
	int r;

	s->tid_at = s->mark_at = 0;
	if ((r = put_map(&s->plain, s->fixed, s->n)) != OK)
		return r;
	if (s->fixed[0].value.p == (const uint8_t *)no_tid)
		s->tid_at = place_of(s, s->fixed[0].value);
	if (s->mark > 0)
		s->mark_at = place_of(s, s->fixed[s->mark].value);
	return OK;
}

int
stamp_init(struct stamp *s, const char *source_id, const char *target,
    const char *const *extra, size_t n)
{
	size_t i;
	int r;

	*s = (struct stamp){.own_id = view_of(source_id)};
	if (n > STAMP_EXTRA_MAX) {
		log_error("more than %d times --meta", STAMP_EXTRA_MAX);
		return ERR_BAD;
	}
	add(s, view_of(META_TID), view_of(no_tid));
	add(s, view_of(META_SOURCE_ID), s->own_id);
	if (target != NULL)
		add(s, view_of(META_TARGET), view_of(target));
	for (i = 0; i < n; i++)
		if ((r = add_extra(s, extra[i])) != OK)
			return r;
	return put_plain(s);
}

void
stamp_fini(struct stamp *s)
{
	buf_fini(&s->plain);
	buf_fini(&s->merged);
}

static bool
may_adopt(struct view id)
{
	return id.len > 0 && id.len <= STAMP_ID_MAX;
}

int
stamp_adopt(struct stamp *s, struct view source_id, struct view tid)
{
	s->fixed[0].value = view_of(no_tid);
	s->fixed[1].value = s->own_id;
	if (may_adopt(tid)) {
		memcpy(s->tid, tid.p, tid.len);
		s->fixed[0].value = (struct view){s->tid, tid.len};
	}
	if (may_adopt(source_id)) {
		memcpy(s->source_id, source_id.p, source_id.len);
		s->fixed[1].value = (struct view){s->source_id, source_id.len};
	}
	return put_plain(s);
}

static bool
has_key(const struct meta_pair *pairs, size_t n, struct view key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (view_equal(pairs[i].key, key))
			return true;
	return false;
}

/* Read all pairs of meta into fresh memory with room for ours. */
static int
read_pairs(struct view meta, size_t room, struct meta_pair **out, size_t *n)
{
	struct meta_walk w;
	struct meta_pair *pairs;
	int r;

	if ((r = meta_start(meta, &w)) != OK)
		return r;
	/* A pair takes two bytes at least: w.left alone is the peer's word. */
	if (w.left > meta.len / 2)
		return ERR_BAD;
	if ((pairs = calloc(w.left + room, sizeof(*pairs))) == NULL)
		return ERR_NOMEM;
	for (*n = 0; (r = meta_next(&w, &pairs[*n])) == OK; ++*n)
		;
	if (r != ERR_NONE) {
		free(pairs);
		return r;
	}
	*out = pairs;
	return OK;
}

/* Take out what pairs say of a session they were in before. */
static size_t
without_session(struct meta_pair *pairs, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		if (!is_of_session(pairs[i].key))
			pairs[kept++] = pairs[i];
	return kept;
}

static int
merge(struct stamp *s, struct view meta, struct view *out)
{
	struct meta_pair *pairs;
	char tid[AUTH_ID_SIZE + 1];
	size_t i, n, own;
	int r;

	if ((r = read_pairs(meta, s->n, &pairs, &n)) != OK)
		return r;
	if (s->mark > 0)
		n = without_session(pairs, n);
	auth_id(tid);
	own = n;
	for (i = 0; i < s->n; i++) {
		if (has_key(pairs, own, s->fixed[i].key))
			continue;
		pairs[n] = s->fixed[i];
		if (i == 0 && s->tid_at > 0)
			pairs[n].value = view_of(tid);
		n++;
	}
	r = put_map(&s->merged, pairs, n);
	free(pairs);
	if (r == OK)
		*out = buf_view(&s->merged);
	return r;
}

/* The number of the message goes in place, but where it gets a digit more. */
static int
put_mark(struct stamp *s)
{
	const struct session_writer *w = &s->session;
	struct view *value = &s->fixed[s->mark].value;

	if (s->mark_at > 0 && value->len == w->len) {
		memcpy(s->plain.p + s->plain.off + s->mark_at, w->mark, w->len);
		return OK;
	}
	value->len = w->len;
	return put_plain(s);
}

int
stamp_session(struct stamp *s)
{
	session_begin(&s->session);
	s->mark = s->n;
	add(s, view_of(META_SESSION),
	    (struct view){s->session.mark, s->session.len});
	return put_plain(s);
}

struct view
stamp_session_id(const struct stamp *s)
{
	return (struct view){
	    s->session.mark, s->mark > 0 ? SESSION_ID_SIZE : 0};
}

int
stamp_session_end(struct stamp *s, enum session_end how, struct view *out)
{
	int r;

	add(s, view_of(META_SESSION_END), view_of(session_end_name(how)));
	if ((r = put_plain(s)) != OK)
		return r;
	return stamp_next(s, (struct view){0}, out);
}

static int
put_next(struct stamp *s, struct view meta, struct view *out)
{
	if (meta.len > 0)
		return merge(s, meta, out);
	if (s->tid_at > 0)
		auth_id_put(s->plain.p + s->plain.off + s->tid_at);
	*out = buf_view(&s->plain);
	return OK;
}

int
stamp_next(struct stamp *s, struct view meta, struct view *out)
{
	int r;

	if (s->mark == 0)
		return put_next(s, meta, out);
	if ((r = put_mark(s)) != OK || (r = put_next(s, meta, out)) != OK)
		return r;
	session_advance(&s->session);
	return OK;
}
