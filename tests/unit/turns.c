/* SPDX-License-Identifier: ISC */
#include "turns.h"

struct countdown {
	struct loop *loop;
	struct task task;
	int n;
};

static void
count_down(void *arg)
{
	struct countdown *c = arg;

	if (--c->n > 0)
		task_post(c->loop, &c->task);
	else
		loop_stop(c->loop, 0);
}

void
turns_run(struct loop *l, int n)
{
	struct countdown c = {.loop = l, .n = n};

	c.task = (struct task){.fn = count_down, .arg = &c};
	task_post(l, &c.task);
	loop_run(l);
	task_cancel(l, &c.task);
}
