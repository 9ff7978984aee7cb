/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "cut.h"

/* The last message of a session, which waits for an outlet. */
struct cut {
	struct zipper *z;
	struct session_passing session;
	struct slab *slab;
	struct waiter waiter;
	struct task work; /* to send it */
	TAILQ_ENTRY(cut) link;
};

static void
drop(struct cut *c)
{
	TAILQ_REMOVE(&c->z->cuts, c, link);
	c->z->n_cuts--;
	router_unwait(&c->waiter);
	task_cancel(c->z->loop, &c->work);
	slab_unref(c->slab);
	free(c);
}

/* Send it, or wait. */
static void
tell(void *arg)
{
	struct cut *c = arg;
	struct zipper *z = c->z;
	const struct session_passing *s = &c->session;
	struct run run = {
	    .slab = c->slab,
	    .len = c->slab->len,
	    .tag = s->tag,
	    .count = 1,
	    .target = {s->target, s->target_len},
	    .session = {s->id, SESSION_ID_SIZE},
	    .session_ends = true,
	};
	struct outcome out;

	if (router_send(z->router, &run, &out, loop_now(z->loop)) == ERR_MORE) {
		router_wait(out.obstacle, &c->waiter);
		return;
	}
	drop(c);
	zipper_settle(z);
}

static void
on_room(void *arg)
{
	struct cut *c = arg;

	task_post(c->z->loop, &c->work);
}

static int
begin(struct zipper *z, const struct session_passing *s)
{
	struct slab *slab;
	struct cut *c;

	if (z->n_cuts == CUT_WAITING_MAX)
		return ERR_LIMIT;
	if ((slab = slab_new(SESSION_CUT_SIZE)) == NULL)
		return ERR_NOMEM;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		slab_unref(slab);
		return ERR_NOMEM;
	}
	slab->len = session_cut_put(slab->data, s);
	c->z = z;
	c->session = *s;
	c->slab = slab;
	c->waiter = (struct waiter){.resume = on_room, .arg = c};
	c->work = (struct task){.fn = tell, .arg = c};
	TAILQ_INSERT_TAIL(&z->cuts, c, link);
	z->n_cuts++;
	task_post(z->loop, &c->work);
	return OK;
}

void
cut_sessions(struct zipper *z, struct session_table *t)
{
	struct session_passing s;
	unsigned untold = 0;

	while (session_table_pop(t, &s) == OK)
		if (begin(z, &s) != OK)
			untold++;
	if (untold > 0)
		log_info("nobody is told that %u sessions were cut", untold);
}

void
cut_forget(struct zipper *z)
{
	while (!TAILQ_EMPTY(&z->cuts))
		drop(TAILQ_FIRST(&z->cuts));
}
