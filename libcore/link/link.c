/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "link/link.h"

void
link_init(struct link *l, const struct link_kind *kind)
{
	l->kind = kind;
	TAILQ_INIT(&l->lanes_all);
	TAILQ_INIT(&l->lanes_due);
}

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

	r = l->lanes ? l->kind->open_lane(l, lane) : ERR_MORE;
	if (r == ERR_MORE) {
		l->lanes_wanted = true;
		l->lanes_came = false;
	}
	if (r != OK)
		return r;
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
