/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "route/hold.h"

struct held {
	struct run run; /* its slab is a copy of just these bytes */
	uint64_t since;
	TAILQ_ENTRY(held) link;
};

struct hold {
	uint64_t max;
	uint64_t ns;
	uint64_t bytes;
	TAILQ_HEAD(, held) list; /* the oldest first */
};

int
hold_new(struct hold **out, uint64_t bytes, uint64_t ns)
{
	struct hold *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return ERR_NOMEM;
	h->max = bytes;
	h->ns = ns;
	TAILQ_INIT(&h->list);
	*out = h;
	return OK;
}

static size_t
weight(const struct held *e)
{
	return sizeof(*e) + e->run.slab->cap;
}

static void
discard(struct hold *h, struct held *e)
{
	TAILQ_REMOVE(&h->list, e, link);
	h->bytes -= weight(e);
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

bool
hold_put(struct hold *h, const struct run *run, uint64_t now)
{
	/* The target lies in a frame of the run, at the same place. */
	size_t at = run->target.len > 0
			? (size_t)(run->target.p - run->slab->data) - run->off
			: 0;
	struct held *e;
	struct slab *s;

	if (run->len + sizeof(*e) > h->max)
		return false;
	expire(h, now);
	while (h->bytes + run->len + sizeof(*e) > h->max)
		discard(h, TAILQ_FIRST(&h->list));
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return false;
	if ((s = slab_new(run->len)) == NULL) {
		free(e);
		return false;
	}
	memcpy(s->data, run->slab->data + run->off, run->len);
	s->len = run->len;
	e->run = *run;
	e->run.slab = s;
	e->run.off = 0;
	e->run.sender = NULL;
	if (run->target.len > 0)
		e->run.target.p = s->data + at;
	e->since = now;
	TAILQ_INSERT_TAIL(&h->list, e, link);
	h->bytes += weight(e);
	return true;
}

bool
hold_take(struct hold *h, uint32_t tag, const char *target, uint64_t now,
    struct run *out)
{
	struct held *e;

	expire(h, now);
	TAILQ_FOREACH(e, &h->list, link) {
		if (e->run.tag != tag)
			continue;
		if (e->run.target.len > 0 &&
		    (target == NULL ||
			!view_equal(e->run.target, view_of(target))))
			continue;
		*out = e->run;
		out->target = (struct view){0};
		slab_ref(out->slab);
		discard(h, e);
		return true;
	}
	return false;
}
