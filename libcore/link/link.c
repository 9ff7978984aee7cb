/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "base/err.h"
#include "link/link.h"

void
link_wake(struct link *l)
{
	l->kind->wake(l);
}

void
link_finish(struct link *l)
{
	l->fin_wanted = true;
	l->kind->wake(l);
}

void
link_consumed(struct link *l, size_t n)
{
	l->kind->consumed(l, n);
}

void
link_widen(struct link *l, size_t n)
{
	l->kind->widen(l, n);
}

void
link_close(struct link *l, uint64_t code, const char *reason)
{
	if (l == NULL)
		return;
	l->ops = NULL;
	l->kind->close(l, code, reason);
}

void
link_use_lanes(struct link *l)
{
	if (l->kind->use_lanes != NULL)
		l->kind->use_lanes(l);
}

void
link_allow_lanes(struct link *l, size_t n)
{
	if (l->lanes)
		l->kind->allow_lanes(l, n);
}

int
link_open_lane(struct link *l, struct outq *out, const struct lane_ops *ops,
    void *arg, struct lane **lane)
{
	int r;

	if (!l->lanes)
		return ERR_MORE;
	if ((r = l->kind->open_lane(l, lane)) != OK)
		return r;
	(*lane)->link = l;
	(*lane)->ops = ops;
	(*lane)->arg = arg;
	(*lane)->out = out;
	return OK;
}

void
link_credit(struct link *l, size_t n)
{
	if (l->lanes)
		l->kind->credit(l, n);
}

void
lane_wake(struct lane *l)
{
	l->link->kind->lane_wake(l);
}

void
lane_finish(struct lane *l)
{
	l->fin_wanted = true;
	l->link->kind->lane_wake(l);
}

void
lane_break(struct lane *l, uint64_t code)
{
	assert(code != 0);
	l->link->kind->lane_break(l, code);
}

void
lane_consumed(struct lane *l, size_t n)
{
	lane_credit(l, n);
	link_credit(l->link, n);
}

void
lane_credit(struct lane *l, size_t n)
{
	l->link->kind->lane_credit(l, n);
}
