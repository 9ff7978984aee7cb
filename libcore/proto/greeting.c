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

int
greeting_queue(const struct greeting *g, struct outq *q)
{
	char id[AUTH_ID_SIZE + ATTEMPT_TEXT];
	struct handshake h = {
	    .name = view_of(g->name),
	    .client_type = (uint8_t)g->type,
	    .version = view_of(FRAME_SPEC),
	    .target = view_of(g->target),
	};
	uint8_t *tags;
	size_t i;
	int r;

	snprintf(id, sizeof(id), "%.*s-%u", AUTH_ID_SIZE, g->id, g->attempt);
	h.id = view_of(id);
	if (g->credential != NULL) {
		h.auth_name = credential_name(g->credential);
		h.auth_payload = credential_payload(g->credential);
	}
	if ((tags = malloc(4 * g->n_tags + 1)) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < g->n_tags; i++)
		handshake_put_tag(tags + 4 * i, g->tags[i]);
	h.tags = (struct view){tags, 4 * g->n_tags};
	r = queue_frame(&h, q);
	free(tags);
	return r;
}
