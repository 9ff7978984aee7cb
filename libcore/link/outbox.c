/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "base/err.h"
#include "link/outbox.h"
#include "proto/doubt.h"

void
outbox_init(struct outbox *o, size_t limit)
{
	*o = (struct outbox){.limit = limit};
	outq_init(&o->control, limit);
}

void
outbox_fini(struct outbox *o)
{
	outbox_clear(o);
}

/* Something was put into the queue: see that it goes. */
static int
queued(struct outbox *o, int r)
{
	if (r != OK)
		return r;
	o->sent++;
	if (o->link != NULL)
		link_wake(o->link);
	return OK;
}

int
outbox_send(struct outbox *o, const struct data_frame *d)
{
	size_t n = data_frame_size(d);
	uint8_t *p;
	int r;

	if ((r = outq_reserve(&o->control, n, &p)) != OK)
		return r;
	data_frame_put(p, d);
	return queued(o, outq_commit(&o->control, n, d->tag, 1));
}

int
outbox_forward(struct outbox *o, struct view frame)
{
	uint8_t *p;
	int r;

	if ((r = outq_reserve(&o->control, frame.len, &p)) != OK)
		return r;
	memcpy(p, frame.p, frame.len);
	return queued(o, outq_commit(&o->control, frame.len, 0, 1));
}

bool
outbox_is_full(struct outbox *o)
{
	bool full = o->control.bytes >= o->limit;

	if (full)
		o->wants_room = true;
	return full;
}

bool
outbox_has_room(struct outbox *o)
{
	if (!o->wants_room || o->control.bytes >= o->limit / 2)
		return false;
	o->wants_room = false;
	return true;
}

bool
outbox_is_empty(const struct outbox *o)
{
	return o->control.n == 0;
}

size_t
outbox_waiting(const struct outbox *o)
{
	return o->control.bytes;
}

void
outbox_attach(struct outbox *o, struct link *l)
{
	o->link = l;
	outq_set_gate(&o->control, SIZE_MAX);
	link_wake(l);
}

uint64_t
outbox_settle(struct outbox *o)
{
	return doubt_settle(&o->control);
}

void
outbox_detach(struct outbox *o)
{
	o->link = NULL;
}

void
outbox_clear(struct outbox *o)
{
	outq_fini(&o->control);
}
