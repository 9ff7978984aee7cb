/* SPDX-License-Identifier: ISC */
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
