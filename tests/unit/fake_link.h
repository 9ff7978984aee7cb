/* SPDX-License-Identifier: ISC */
/*
 * A link with lanes and nothing behind it: the test is the peer.  It notes what
 * it is asked for, and calls back when the test says so.
 */
#ifndef TESTS_UNIT_FAKE_LINK_H
#define TESTS_UNIT_FAKE_LINK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/buf.h"
#include "base/err.h"
#include "link/link.h"

#define FAKE_LANES 200

struct fake_lane {
	struct lane lane; /* first */
	int wakes;
	size_t credit;
	bool used; /* and not closed since */
	struct buf sent;
};

struct fake_link {
	struct link link; /* first */
	struct fake_lane lanes[FAKE_LANES];
	size_t n;	/* ever opened, by either side */
	size_t open;	/* by us, and not closed */
	size_t allowed; /* of ours at a time */
	int wakes;
	size_t consumed;
	size_t credit;
};

static inline void
fake_wake(struct link *l)
{
	((struct fake_link *)l)->wakes++;
}

static inline void
fake_consumed(struct link *l, size_t n)
{
	((struct fake_link *)l)->consumed += n;
}

static inline void
fake_credit(struct link *l, size_t n)
{
	((struct fake_link *)l)->credit += n;
}

static inline void
fake_lane_wake(struct lane *l)
{
	((struct fake_lane *)l)->wakes++;
}

static inline void
fake_lane_credit(struct lane *l, size_t n)
{
	((struct fake_lane *)l)->credit += n;
}

static inline struct fake_lane *
fake_next(struct fake_link *k)
{
	struct fake_lane *l = &k->lanes[k->n];

	assert_true(k->n < FAKE_LANES);
	*l = (struct fake_lane){.used = true};
	l->lane.link = &k->link;
	l->lane.id = 4 * k->n++ + 2;
	return l;
}

static inline int
fake_open_lane(struct link *l, struct lane **lane)
{
	struct fake_link *k = (struct fake_link *)l;

	if (k->open == k->allowed)
		return ERR_MORE;
	k->open++;
	*lane = &fake_next(k)->lane;
	return OK;
}

static const struct link_kind fake_kind = {
    .wake = fake_wake,
    .consumed = fake_consumed,
    .open_lane = fake_open_lane,
    .credit = fake_credit,
    .lane_wake = fake_lane_wake,
    .lane_credit = fake_lane_credit,
};

static inline void
fake_init(struct fake_link *k, bool lanes)
{
	*k = (struct fake_link){.allowed = FAKE_LANES};
	k->link.kind = &fake_kind;
	k->link.lanes = lanes;
	snprintf(k->link.name, sizeof(k->link.name), "fake");
}

static inline void
fake_fini(struct fake_link *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		buf_fini(&k->lanes[i].sent);
}

/* Send at most n bytes of q, to be seen in to.  How many that were. */
static inline size_t
fake_send(struct outq *q, struct buf *to, size_t n)
{
	struct iovec v[64];
	size_t i, got, len, sent = 0;

	while (sent < n && (got = outq_pull(q, v, COUNT(v))) > 0) {
		for (i = 0, len = 0; i < got && sent + len < n; i++) {
			if (v[i].iov_len > n - sent - len)
				v[i].iov_len = n - sent - len;
			assert_int_equal(
			    buf_put(
				to, (struct view){v[i].iov_base, v[i].iov_len}),
			    OK);
			len += v[i].iov_len;
		}
		outq_sent(q, len);
		sent += len;
	}
	return sent;
}

/* All that was sent of it is acknowledged. */
static inline void
fake_acked(struct fake_lane *l)
{
	outq_acked(l->lane.out, l->lane.out->bytes - l->lane.out->unsent);
	if (l->lane.fin_wanted && l->lane.out->bytes == 0)
		l->lane.fin_acked = true;
	l->lane.ops->moved(l->lane.arg);
}

/* It is over. */
static inline void
fake_closed(struct fake_lane *l)
{
	struct fake_link *k = (struct fake_link *)l->lane.link;

	l->used = false;
	if (l->lane.out != NULL)
		k->open--;
	l->lane.ops->closed(l->lane.arg);
}

/* Everything of every lane goes, and each that is to end has ended. */
static inline void
fake_run(struct fake_link *k)
{
	struct fake_lane *l;
	bool again;
	size_t i;

	do {
		again = false;
		for (i = 0; i < k->n; i++) {
			l = &k->lanes[i];
			if (!l->used || l->lane.out == NULL)
				continue;
			if (fake_send(l->lane.out, &l->sent, SIZE_MAX) > 0 ||
			    l->lane.out->bytes > 0) {
				fake_acked(l);
				again = true;
			}
			if (l->lane.fin_wanted) {
				fake_closed(l);
				again = true;
			}
		}
	} while (again);
}

#endif /* TESTS_UNIT_FAKE_LINK_H */
