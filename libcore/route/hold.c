/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "route/hold.h"
#include "route/taghash.h"

struct held {
	struct run run; /* its slab is a copy of just these bytes */
	uint64_t since;
	struct shelf *shelf;
	TAILQ_ENTRY(held) in_shelf;
	TAILQ_ENTRY(held) in_hold;
};
TAILQ_HEAD(held_list, held);

/* All that is held on a tag, the oldest first. */
struct shelf {
	uint32_t tag;
	struct held_list list;
	UT_hash_handle hh;
};

struct hold {
	uint64_t max;
	uint64_t ns;
	uint64_t bytes;
	struct taghash hash;
	struct shelf *shelves;
	struct held_list list; /* the oldest first */
};

int
hold_new(struct hold **out, uint64_t bytes, uint64_t ns)
{
	struct hold *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return ERR_NOMEM;
	h->max = bytes;
	h->ns = ns;
	taghash_init(&h->hash);
	TAILQ_INIT(&h->list);
	*out = h;
	return OK;
}

static struct shelf *
find_shelf(struct hold *h, uint32_t tag, unsigned hash)
{
	struct shelf *s;

	HASH_FIND_BYHASHVALUE(hh, h->shelves, &tag, sizeof(tag), hash, s);
	return s;
}

static struct shelf *
make_shelf(struct hold *h, uint32_t tag)
{
	unsigned hash = taghash_of(&h->hash, tag);
	struct shelf *s = find_shelf(h, tag, hash);

	if (s != NULL || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	s->tag = tag;
	TAILQ_INIT(&s->list);
	HASH_ADD_BYHASHVALUE(hh, h->shelves, tag, sizeof(tag), hash, s);
	if (s->hh.tbl == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

static void
drop_shelf_if_empty(struct hold *h, struct shelf *s)
{
	if (!TAILQ_EMPTY(&s->list))
		return;
	HASH_DELETE(hh, h->shelves, s);
	free(s);
}

/* With a shelf of its own, as if each were alone on it. */
static size_t
weight(const struct run *run)
{
	return sizeof(struct held) + sizeof(struct shelf) + run->len +
	       run->session.len;
}

static void
discard(struct hold *h, struct held *e)
{
	TAILQ_REMOVE(&h->list, e, in_hold);
	TAILQ_REMOVE(&e->shelf->list, e, in_shelf);
	drop_shelf_if_empty(h, e->shelf);
	h->bytes -= weight(&e->run);
	slab_unref(e->run.slab);
	free(e);
}

void
hold_free(struct hold *h)
{
	struct held *e;

	if (h == NULL)
		return;
	while ((e = TAILQ_FIRST(&h->list)) != NULL)
		discard(h, e);
	free(h);
}

static void
expire(struct hold *h, uint64_t now)
{
	struct held *e;

	while (h->ns > 0 && (e = TAILQ_FIRST(&h->list)) != NULL &&
	       now - e->since > h->ns)
		discard(h, e);
}

/* A copy of the run in a slab of its own, its session after it. */
static struct held *
copy(const struct run *run)
{
	struct held *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	e->run = *run;
	e->run.sender = NULL;
	e->run.slab = slab_new(run->len + run->session.len);
	if (e->run.slab == NULL) {
		free(e);
		return NULL;
	}
	memcpy(e->run.slab->data, run->slab->data + run->off, run->len);
	e->run.slab->len = run->len;
	e->run.off = 0;
	/* The target lies in a frame of the run, at the same place. */
	if (run->target.len > 0)
		e->run.target.p = e->run.slab->data +
				  (run->target.p - run->slab->data) - run->off;
	if (run->session.len > 0) {
		e->run.session.p = e->run.slab->data + run->len;
		memcpy(e->run.slab->data + run->len, run->session.p,
		    run->session.len);
	}
	return e;
}

bool
hold_put(struct hold *h, const struct run *run, uint64_t now)
{
	struct held *e;

	if (h->max < weight(run))
		return false;
	expire(h, now);
	while (h->bytes + weight(run) > h->max)
		discard(h, TAILQ_FIRST(&h->list));
	if ((e = copy(run)) == NULL)
		return false;
	if ((e->shelf = make_shelf(h, run->tag)) == NULL) {
		slab_unref(e->run.slab);
		free(e);
		return false;
	}
	e->since = now;
	TAILQ_INSERT_TAIL(&h->list, e, in_hold);
	TAILQ_INSERT_TAIL(&e->shelf->list, e, in_shelf);
	h->bytes += weight(run);
	return true;
}

static bool
is_for(const struct run *run, const char *target)
{
	return run->target.len == 0 ||
	       (target != NULL && view_equal(run->target, view_of(target)));
}

void
hold_take(struct hold *h, const struct hold_taker *t, uint64_t now)
{
	struct held *e, *next;
	struct shelf *s;
	struct run run;

	expire(h, now);
	if ((s = find_shelf(h, t->tag, taghash_of(&h->hash, t->tag))) == NULL)
		return;
	for (e = TAILQ_FIRST(&s->list); e != NULL; e = next) {
		next = TAILQ_NEXT(e, in_shelf);
		if (!is_for(&e->run, t->target))
			continue;
		run = e->run;
		run.target = (struct view){0};
		t->take(t->arg, &run);
		discard(h, e);
	}
}
