/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "net/drain.h"
#include "net/port.h"

/* What a turn writes to a file, which cannot say that it is full. */
#define DRAIN_TURN_MAX (256u << 10)
#define DRAIN_VECTORS 64

enum drain_state {
	DRAIN_OPEN,
	DRAIN_FINISHING, /* drain_finish() was called */
	DRAIN_LAST,	 /* all is written; the thread has still to say so */
	DRAIN_ENDED,
	DRAIN_CLOSED,
};

struct drain {
	struct loop *loop;
	struct drain_conf conf;
	struct port port;
	struct buf out; /* what waits */
	enum drain_state state;
	bool blocked; /* the port takes nothing now */
	bool asked;   /* room() is owed */
	int failed;   /* drain_write() did: errno */
	struct task work;
	struct task reap;
	const struct drain_ops *ops;
	void *arg;
};

/* Close what is ours; OK, or ERR_SYS if the last bytes were not stored. */
static int
release(struct drain *d)
{
	port_close(&d->port);
	if (!d->conf.owned)
		return OK;
	d->conf.owned = false;
	return close(d->conf.fd) == 0 ? OK : port_result(&d->port, errno);
}

static void
end(struct drain *d, int r)
{
	int closed = release(d);

	d->state = DRAIN_ENDED;
	d->ops->end(d->arg, r != OK ? r : closed);
	buf_fini(&d->out); /* a drain that was closed is freed by a task */
}

/* One write of what waits; OK, or what the failure comes to. */
static int
write_once(struct drain *d)
{
	struct view v = buf_view(&d->out);
	ssize_t n;

	if (d->port.watch == NULL && v.len > DRAIN_TURN_MAX)
		v.len = DRAIN_TURN_MAX;
	n = port_write(&d->port, v.p, v.len);
	if (n == -1 && errno != EAGAIN)
		return port_result(&d->port, errno);
	if (n > 0)
		buf_consume(&d->out, (size_t)n);
	d->blocked = d->port.watch != NULL && d->out.len > 0;
	return OK;
}

/* Tell that there is room, if it was asked for. */
static void
tell_room(struct drain *d)
{
	if (!d->asked || d->out.len > d->conf.full / 2)
		return;
	d->asked = false;
	d->ops->room(d->arg);
}

/* Tell how much was written, of had bytes that waited. */
static void
tell_written(struct drain *d, size_t had)
{
	if (had > d->out.len && d->ops->written != NULL)
		d->ops->written(d->arg, had - d->out.len);
}

/* Every event ends here: write what waits, then finish or ask for more. */
static void
step(struct drain *d)
{
	size_t had = d->out.len;
	int r;

	if (d->failed != 0) {
		end(d, port_result(&d->port, d->failed));
		return;
	}
	if (d->out.len > 0 && !d->blocked && (r = write_once(d)) != OK) {
		end(d, r);
		return;
	}
	tell_written(d, had);
	if (d->state == DRAIN_CLOSED)
		return;
	tell_room(d);
	if (d->state == DRAIN_CLOSED)
		return;
	if (d->port.watch != NULL)
		watch_want(d->port.watch, d->blocked ? WATCH_OUT : 0);
	else if (d->out.len > 0)
		task_post(d->loop, &d->work);
	if (d->state != DRAIN_FINISHING || d->out.len > 0)
		return;
	if (port_finish(&d->port))
		d->state = DRAIN_LAST;
	else
		end(d, OK);
}

static bool
is_under_way(const struct drain *d)
{
	return d->state == DRAIN_OPEN || d->state == DRAIN_FINISHING ||
	       d->state == DRAIN_LAST;
}

static void
on_ready(void *arg, int events)
{
	struct drain *d = arg;

	assert(is_under_way(d));
	if (events & WATCH_GONE) {
		end(d, port_result(&d->port, EPIPE));
		return;
	}
	d->blocked = false;
	step(d);
}

static void
on_work(void *arg)
{
	struct drain *d = arg;

	if (d->state == DRAIN_OPEN || d->state == DRAIN_FINISHING)
		step(d);
}

static void
free_drain(void *arg)
{
	struct drain *d = arg;

	buf_fini(&d->out);
	free(d);
}

int
drain_open(struct drain **out, struct loop *l, const struct drain_conf *conf,
    const struct drain_ops *ops, void *arg)
{
	struct port_conf pc = {.fd = conf->fd,
	    .owned = conf->owned,
	    .writing = true,
	    .name = conf->name};
	struct drain *d;
	int r;

	assert(conf->full > 0);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ERR_NOMEM;
	d->loop = l;
	d->conf = *conf;
	d->ops = ops;
	d->arg = arg;
	d->work = (struct task){.fn = on_work, .arg = d};
	d->reap = (struct task){.fn = free_drain, .arg = d};
	if ((r = port_open(&d->port, l, &pc, on_ready, d)) != OK) {
		free(d);
		return r;
	}
	*out = d;
	return OK;
}

struct buf *
drain_buf(struct drain *d)
{
	return &d->out;
}

void
drain_flush(struct drain *d)
{
	if (!is_under_way(d))
		buf_fini(&d->out); /* nobody will take it */
	else if (!d->blocked)
		task_post(d->loop, &d->work);
}

/* Copy of n vectors as much as one turn may write to a file: *len bytes. */
static size_t
limit(struct iovec *out, const struct iovec *v, size_t n, size_t *len)
{
	size_t i;

	*len = 0;
	for (i = 0; i < n && i < DRAIN_VECTORS && *len < DRAIN_TURN_MAX; i++) {
		out[i] = v[i];
		if (out[i].iov_len > DRAIN_TURN_MAX - *len)
			out[i].iov_len = DRAIN_TURN_MAX - *len;
		*len += out[i].iov_len;
	}
	return i;
}

size_t
drain_write(struct drain *d, const struct iovec *v, size_t n)
{
	struct iovec some[DRAIN_VECTORS];
	ssize_t r;
	size_t len;

	if (d->state != DRAIN_OPEN || d->failed != 0 || d->blocked ||
	    d->out.len > 0)
		return 0;
	n = limit(some, v, n, &len);
	r = port_writev(&d->port, some, n);
	if (r == -1 && errno != EAGAIN) {
		d->failed = errno;
		task_post(d->loop, &d->work);
		return 0;
	}
	r = r < 0 ? 0 : r;
	if ((size_t)r < len && d->port.watch != NULL) {
		d->blocked = true;
		watch_want(d->port.watch, WATCH_OUT);
	}
	return (size_t)r;
}

bool
drain_full(struct drain *d)
{
	if (d->out.len < d->conf.full)
		return false;
	d->asked = true;
	return true;
}

void
drain_ask(struct drain *d)
{
	d->asked = true;
}

size_t
drain_waiting(const struct drain *d)
{
	return d->out.len;
}

void
drain_finish(struct drain *d)
{
	if (d->state != DRAIN_OPEN)
		return;
	d->state = DRAIN_FINISHING;
	d->blocked = d->blocked && d->out.len > 0;
	drain_flush(d);
}

void
drain_close(struct drain *d)
{
	if (d == NULL || d->state == DRAIN_CLOSED)
		return;
	d->state = DRAIN_CLOSED;
	release(d);
	task_cancel(d->loop, &d->work);
	task_post(d->loop, &d->reap); /* we may be in one of its callbacks */
}
