/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/feed.h"
#include "net/port.h"

/*
 * Up to so much is moved to where the next bytes are read: it is cheaper than a
 * large buffer for each feed that waits for the rest of a message.
 */
#define MOVED_MAX 4096

enum feed_state {
	FEED_READING,
	FEED_WAITING, /* for feed_resume() */
	FEED_ENDED,
	FEED_CLOSED,
};

struct feed {
	struct loop *loop;
	struct feed_conf conf;
	struct port port;
	struct buf in; /* what the taker left */
	enum feed_state state;
	/*
	 * Read without waiting.  Always true for files; else until there is
	 * nothing: a FIFO whose last writer left before we opened it does not
	 * wake us at its end.
	 */
	bool eager;
	bool eof;
	bool resumed; /* feed_resume() was called */
	bool stopped; /* feed_stop() was called */
	struct task work;
	struct task reap;
	const struct feed_ops *ops;
	void *arg;
};

/* Release all but the struct, then tell the owner. */
static void
end(struct feed *f, int r)
{
	f->state = FEED_ENDED;
	port_close(&f->port);
	buf_fini(&f->in);
	f->ops->end(f->arg, r);
}

/*
 * Offer bytes, and keep what is left of them.  They are those that in holds, or
 * lie in the scratch (then in is empty).
 */
static void
offer(struct feed *f, struct view v)
{
	size_t len = v.len;
	enum feed_want want;
	int r = OK;

	want = f->ops->take(f->arg, &v, f->eof);
	if (f->state == FEED_CLOSED)
		return;
	assert(v.len <= len);
	if (f->in.len > 0)
		buf_consume(&f->in, len - v.len);
	else
		r = buf_put(&f->in, v);
	if (f->in.len == 0 && f->in.cap > MOVED_MAX)
		buf_fini(&f->in);
	if (r != OK)
		end(f, r);
	else if (want == FEED_WAIT)
		f->state = FEED_WAITING;
	else if (f->eof || f->stopped)
		end(f, OK);
	else if (f->conf.max > 0 && f->in.len >= f->conf.max)
		end(f, ERR_LIMIT);
}

/* Where to read up to n bytes behind those that are held. */
static int
make_room(struct feed *f, size_t n, uint8_t **p)
{
	uint8_t *scratch = loop_scratch(f->loop);
	struct view held = buf_view(&f->in);

	if (held.len > MOVED_MAX)
		return buf_reserve(&f->in, n, p);
	if (held.len > 0)
		memcpy(scratch, held.p, held.len);
	*p = scratch + held.len;
	return OK;
}

/* The n bytes at p have been read: offer them, after those that were held. */
static void
take_in(struct feed *f, const uint8_t *p, size_t n)
{
	size_t held = f->in.len;

	if (held > MOVED_MAX) {
		buf_commit(&f->in, n);
		offer(f, buf_view(&f->in));
	} else {
		buf_consume(&f->in, held); /* moved to the scratch */
		offer(f, (struct view){p - held, held + n});
	}
}

/* Read once, and offer it; the bytes read, 0 if none. */
static size_t
read_once(struct feed *f)
{
	size_t n = f->conf.read_max;
	ssize_t got;
	uint8_t *p;
	int r;

	if (f->conf.max > 0 && f->conf.max - f->in.len < n)
		n = f->conf.max - f->in.len;
	if ((r = make_room(f, n, &p)) != OK) {
		end(f, r);
		return 0;
	}
	got = port_read(&f->port, p, n);
	if (got > 0) {
		take_in(f, p, (size_t)got);
		return (size_t)got;
	}
	if (got == -1 && errno == EAGAIN) {
		f->eager = f->port.watch == NULL; /* nothing would wake us */
	} else if ((r = port_result(&f->port, got == 0 ? 0 : errno)) == OK) {
		f->eof = true;
		offer(f, buf_view(&f->in));
	} else {
		end(f, r);
	}
	return 0;
}

/* Ask for what the state needs to go on. */
static void
rearm(struct feed *f)
{
	if (f->state == FEED_READING && f->eager)
		task_post(f->loop, &f->work);
	if ((f->state == FEED_READING || f->state == FEED_WAITING) &&
	    f->port.watch != NULL)
		watch_want(f->port.watch,
		    f->state == FEED_READING && !f->eager ? WATCH_IN : 0);
}

/* Every event ends here: read what a turn may, as long as it is wanted. */
static void
step(struct feed *f)
{
	size_t n, got = 0;

	while (f->state == FEED_READING && got < FEED_TURN_MAX) {
		n = read_once(f);
		got += n;
		if (n == 0 || !f->eager)
			break;
	}
	rearm(f);
}

static void
on_ready(void *arg, int events)
{
	struct feed *f = arg;

	(void)events; /* a hang-up shows when we read */
	if (f->state == FEED_READING && !f->eager && !f->stopped)
		step(f);
}

static void
on_work(void *arg)
{
	struct feed *f = arg;
	bool resumed = f->resumed;

	f->resumed = false;
	if (f->state == FEED_WAITING && resumed) {
		f->state = FEED_READING;
		if (f->in.len > 0 || f->eof)
			offer(f, buf_view(&f->in));
		rearm(f);
	} else if (f->state == FEED_READING && f->stopped) {
		end(f, OK); /* what was held has been offered */
	} else if (f->state == FEED_READING && f->eager) {
		step(f);
	}
}

static void
free_feed(void *arg)
{
	struct feed *f = arg;

	port_close(&f->port);
	buf_fini(&f->in);
	free(f);
}

int
feed_open(struct feed **out, struct loop *l, const struct feed_conf *conf,
    const struct feed_ops *ops, void *arg)
{
	struct port_conf pc = {
	    .fd = conf->fd, .owned = conf->owned, .name = conf->name};
	struct feed *f;
	int r;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ERR_NOMEM;
	f->loop = l;
	f->conf = *conf;
	if (conf->read_max == 0 || conf->read_max > FEED_TURN_MAX)
		f->conf.read_max = FEED_TURN_MAX;
	f->ops = ops;
	f->arg = arg;
	f->work = (struct task){.fn = on_work, .arg = f};
	f->reap = (struct task){.fn = free_feed, .arg = f};
	f->eager = true;
	if ((r = port_open(&f->port, l, &pc, on_ready, f)) != OK) {
		free(f);
		return r;
	}
	task_post(l, &f->work);
	*out = f;
	return OK;
}

void
feed_resume(struct feed *f)
{
	f->resumed = true;
	task_post(f->loop, &f->work);
}

void
feed_stop(struct feed *f)
{
	f->stopped = true;
	task_post(f->loop, &f->work);
}

void
feed_close(struct feed *f)
{
	if (f == NULL || f->state == FEED_CLOSED)
		return;
	f->state = FEED_CLOSED;
	port_close(&f->port); /* the descriptor was borrowed until now */
	task_cancel(f->loop, &f->work);
	task_post(f->loop, &f->reap); /* we may be in one of its callbacks */
}
