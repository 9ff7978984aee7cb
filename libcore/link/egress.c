/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "link/egress.h"

void
egress_init(struct egress *e)
{
	*e = (struct egress){0};
	TAILQ_INIT(&e->waiters);
}

void
egress_fini(struct egress *e)
{
	if (e->udp != NULL)
		udp_close(e->udp);
	free(e->held);
	egress_init(e);
}

bool
egress_is_full(const struct egress *e)
{
	return e->held != NULL;
}

static int
transmit(struct egress *e, const uint8_t *bytes, const struct quic_burst *b)
{
	return udp_send(e->udp, (struct view){bytes, b->len}, b->segment,
	    b->to.len > 0 ? &b->to : NULL, b->from.len > 0 ? &b->from : NULL,
	    b->ecn);
}

int
egress_send(struct egress *e, const uint8_t *bytes, const struct quic_burst *b)
{
	int r;

	if (e->abandoned)
		return OK;
	r = transmit(e, bytes, b);
	if (r == ERR_GONE)
		return r;
	if (r != ERR_MORE)
		return OK;
	/* Out of memory, the burst is lost, as on a bad line. */
	if ((e->held = malloc(b->len)) != NULL) {
		memcpy(e->held, bytes, b->len);
		e->burst = *b;
	}
	return OK;
}

void
egress_wait(struct egress *e, struct egress_waiter *w)
{
	if (w->waiting)
		return;
	w->waiting = true;
	TAILQ_INSERT_TAIL(&e->waiters, w, link);
}

void
egress_unwait(struct egress *e, struct egress_waiter *w)
{
	if (!w->waiting)
		return;
	w->waiting = false;
	TAILQ_REMOVE(&e->waiters, w, link);
}

static void
let_go(struct egress *e)
{
	struct egress_waiter *w;

	free(e->held);
	e->held = NULL;
	while ((w = TAILQ_FIRST(&e->waiters)) != NULL) {
		egress_unwait(e, w);
		w->room(w->arg);
	}
}

void
egress_abandon(struct egress *e)
{
	e->abandoned = true;
	let_go(e);
}

void
egress_room(struct egress *e)
{
	if (e->held == NULL || transmit(e, e->held, &e->burst) != ERR_MORE)
		let_go(e);
}
