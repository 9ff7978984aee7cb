/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "link/link.h"

static void
make_due(struct lane *l)
{
	struct link *link = l->link;

	if (l->due)
		return;
	l->due = true;
	TAILQ_INSERT_TAIL(&link->lanes_due, l, link_due);
	link->kind->later(link);
}

void
lane_free(struct lane *l)
{
	if (l->due)
		TAILQ_REMOVE(&l->link->lanes_due, l, link_due);
	TAILQ_REMOVE(&l->link->lanes_all, l, all);
	l->link->kind->lane_free(l);
}

void
lane_init(struct lane *l, struct link *link, uint64_t id)
{
	l->link = link;
	l->id = id;
	TAILQ_INSERT_TAIL(&link->lanes_all, l, all);
}

void
lane_take(struct lane *l, struct view bytes, bool fin)
{
	if (bytes.len > 0)
		l->ops->bytes(l->arg, bytes);
	if (!fin || l->dead || l->link->ops == NULL)
		return;
	l->fin_came = true;
	l->ops->fin(l->arg);
}

void
lane_acked(struct lane *l, size_t n, bool fin)
{
	outq_acked(l->out, n);
	if (fin)
		l->fin_acked = true;
	l->moved = true;
	make_due(l);
}

void
lane_broken(struct lane *l, uint64_t code)
{
	l->broken = true;
	l->code = code;
	lane_over(l);
}

void
lane_over(struct lane *l)
{
	l->over = true;
	make_due(l);
}

/* Tell one thing; what it leads to may be one more. */
static void
tell(struct lane *l)
{
	if (l->moved && !l->dead) {
		l->moved = false;
		l->ops->moved(l->arg);
	} else if (l->broken && !l->dead) {
		l->broken = false;
		l->dead = true;
		l->ops->broken(l->arg, l->code);
	} else if (l->over) {
		l->link->kind->lane_closed(l);
		l->ops->closed(l->arg);
		lane_free(l);
	} else {
		l->due = false;
		TAILQ_REMOVE(&l->link->lanes_due, l, link_due);
	}
}

void
lane_tell_all(struct link *l)
{
	struct lane *n;

	while (l->ops != NULL && (n = TAILQ_FIRST(&l->lanes_due)) != NULL)
		tell(n);
	if (l->ops == NULL || !l->lanes || !l->lanes_wanted || !l->lanes_came)
		return;
	l->lanes_wanted = false;
	l->lanes_came = false;
	l->ops->lanes(l->arg);
}

void
lane_free_all(struct link *l)
{
	struct lane *n;

	while ((n = TAILQ_FIRST(&l->lanes_all)) != NULL)
		lane_free(n);
}

void
lane_wake(struct lane *l)
{
	if (!l->dead)
		l->link->kind->lane_wake(l);
}

void
lane_finish(struct lane *l)
{
	l->fin_wanted = true;
	if (l->out != NULL)
		lane_wake(l);
	else if (l->fin_came)
		lane_over(l);
}

void
lane_break(struct lane *l, uint64_t code)
{
	assert(code != 0);
	if (l->dead)
		return;
	l->dead = true;
	l->link->kind->lane_break(l, code);
	lane_over(l);
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
	if (!l->dead)
		l->link->kind->lane_credit(l, n);
}
