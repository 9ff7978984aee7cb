/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "taken.h"

struct taken_one {
	struct client *client;
	struct inbox_ticket ticket;
	uint64_t end; /* it is taken when so many bytes have left us */
};

void
taken_fini(struct taken *t)
{
	buf_fini(&t->queue);
}

void
taken_note(struct taken *t, struct client *c, size_t waiting)
{
	struct taken_one one = {
	    .client = c,
	    .ticket = client_ticket(c),
	    .end = t->left + waiting,
	};
	struct view v = {(const uint8_t *)&one, sizeof(one)};

	if (waiting == 0 || buf_put(&t->queue, v) != OK)
		client_taken(c, one.ticket);
}

void
taken_gone(struct taken *t, size_t n)
{
	struct taken_one one;

	t->left += n;
	while (t->queue.len > 0) {
		memcpy(&one, buf_view(&t->queue).p, sizeof(one));
		if (one.end > t->left)
			return;
		buf_consume(&t->queue, sizeof(one));
		client_taken(one.client, one.ticket);
	}
}
