/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/greeting.h"

/* "-" and a number. */
#define ATTEMPT_TEXT 16

static int
queue_frame(const struct handshake *h, struct outq *q)
{
	size_t n = handshake_size(h);
	uint8_t *frame;
	int r;

	if ((frame = malloc(n)) == NULL)
		return ERR_NOMEM;
	handshake_put(frame, h);
	if ((r = outq_put_first(q, (struct view){frame, n})) == OK)
		outq_set_gate(q, n);
	free(frame);
	return r;
}

/* One by one, in memory that is the caller's to free; NULL: there is none. */
static uint8_t *
list_tags(const struct tag_range *v, size_t n, struct view *out)
{
	uint8_t *tags, *p;
	uint64_t tag;
	size_t i;

	for (out->len = i = 0; i < n; i++)
		out->len += ((size_t)v[i].last - v[i].first + 1) * 4;
	if ((tags = malloc(out->len + 1)) == NULL)
		return NULL;
	for (p = tags, i = 0; i < n; i++)
		for (tag = v[i].first; tag <= v[i].last; tag++)
			p = handshake_put_tag(p, (uint32_t)tag);
	out->p = tags;
	return tags;
}

int
greeting_queue(const struct greeting *g, struct outq *q)
{
	char id[AUTH_ID_SIZE + ATTEMPT_TEXT];
	struct handshake h = {
	    .name = view_of(g->name),
	    .client_type = (uint8_t)g->type,
	    .version = view_of(g->version),
	    .target = view_of(g->target),
	};
	uint8_t *tags;
	int r;

	snprintf(id, sizeof(id), "%.*s-%u", AUTH_ID_SIZE, g->id, g->attempt);
	h.id = view_of(id);
	if (g->credential != NULL) {
		h.auth_name = credential_name(g->credential);
		h.auth_payload = credential_payload(g->credential);
	}
	if ((tags = list_tags(g->tags, g->n_tags, &h.tags)) == NULL)
		return ERR_NOMEM;
	r = queue_frame(&h, q);
	free(tags);
	return r;
}

/* As list_tags(), but range by range. */
static uint8_t *
list_ranges(const struct tag_range *v, size_t n, struct view *out)
{
	uint8_t *ranges, *p;
	size_t i;

	if ((ranges = malloc(n * RANGES_ONE + 1)) == NULL)
		return NULL;
	for (p = ranges, i = 0; i < n; i++)
		p = ranges_put(p, v[i]);
	*out = (struct view){ranges, n * RANGES_ONE};
	return ranges;
}

int
greeting_observe(
    const struct greeting_wish *w, uint64_t request, struct outq *q)
{
	struct observe_frame f = {
	    .request = request,
	    .policy = (uint8_t)w->policy,
	    .group = view_of(w->group),
	    .prefetch = w->prefetch,
	};
	uint8_t *ranges, *p;
	int r;

	if ((ranges = list_ranges(w->tags, w->n_tags, &f.add)) == NULL)
		return ERR_NOMEM;
	if ((r = outq_reserve(q, observe_frame_size(&f), &p)) == OK) {
		observe_frame_put(p, &f);
		r = outq_commit(q, observe_frame_size(&f), 0, 0);
	}
	free(ranges);
	return r;
}

int
greeting_interest(const struct tag_range *tags, size_t n_tags, struct outq *q)
{
	struct interest_frame f = {0};
	uint8_t *ranges, *p;
	int r;

	if ((ranges = list_ranges(tags, n_tags, &f.ranges)) == NULL)
		return ERR_NOMEM;
	if ((r = outq_reserve(q, interest_frame_size(&f), &p)) == OK) {
		interest_frame_put(p, &f);
		r = outq_commit(q, interest_frame_size(&f), 0, 0);
	}
	free(ranges);
	return r;
}
