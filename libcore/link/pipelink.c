/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "link/pipelink.h"
#include "link/pipeout.h"
#include "proto/hello.h"

/* Bytes taken from the descriptor and not yet used, at most about. */
#define WINDOW (1u << 20)
/* The same for a stranger, until link_widen(). */
#define WINDOW_FIRST (68u << 10)

static void
release(struct pipelink *k)
{
	task_cancel(k->loop, &k->task);
	timer_stop(k->loop, &k->look);
	if (k->feed != NULL)
		feed_close(k->feed);
	if (k->drain != NULL)
		drain_close(k->drain);
	lane_free_all(&k->link);
	mux_fini(&k->mux);
	if (k->socket >= 0)
		close(k->socket);
	free(k);
}

void
pipelink_set_end(
    struct pipelink *k, enum link_end_kind kind, const char *reason)
{
	if (k->over)
		return;
	k->over = true;
	k->end = (struct link_end){.kind = kind};
	snprintf(k->end.reason, sizeof(k->end.reason), "%s", reason);
	task_post(k->loop, &k->task);
}

void
pipelink_end_if_both_did(struct pipelink *k)
{
	if (k->socket < 0 || !k->fin_came)
		return;
	if (k->link.fin_acked)
		pipelink_set_end(k, LINK_CLOSED, "both sides have finished");
	else if (k->deaf)
		pipelink_set_end(k, LINK_LOST, "connection closed");
}

/* Whatever comes first, up() comes before it. */
static void
start(struct pipelink *k)
{
	if (k->started || k->link.ops == NULL)
		return;
	k->started = true;
	k->link.ops->up(k->link.arg);
}

static void
step(void *arg)
{
	struct pipelink *k = arg;
	struct link *l = &k->link;

	start(k);
	if (k->came && l->ops != NULL) {
		k->came = false;
		l->ops->pause(l->arg);
	}
	if (l->ops != NULL)
		pipeout_transmit(k);
	if (k->moved && l->ops != NULL) {
		k->moved = false;
		l->ops->moved(l->arg);
	}
	if (!k->over)
		lane_tell_all(l);
	if (k->over && !k->ended && l->ops != NULL) {
		k->ended = true;
		l->ops->down(l->arg, &k->end);
	}
	if (l->ops == NULL)
		release(k);
}

static uint64_t
unread(const struct pipelink *k)
{
	return (k->link.lanes ? k->mux.own_came : k->got) - k->used;
}

/*
 * Who has gone sends no more than what is on its way.  One that only refuses
 * to listen may go on for ever.
 */
static enum feed_want
read_the_rest(struct pipelink *k)
{
	if (unread(k) < 2 * WINDOW)
		return FEED_MORE;
	pipelink_set_end(k, LINK_LOST, "connection closed");
	return FEED_WAIT;
}

/* More may come, or not before what came has been used. */
static enum feed_want
want(struct pipelink *k)
{
	if (k->link.ops == NULL)
		return FEED_MORE;
	if (k->over)
		return FEED_WAIT;
	if (k->deaf)
		return read_the_rest(k);
	k->waiting = unread(k) >= k->window;
	return k->waiting ? FEED_WAIT : FEED_MORE;
}

/* The end of the link's stream, which is not that of the socket. */
static void
on_fin(struct pipelink *k)
{
	k->fin_came = true;
	pipelink_end_if_both_did(k);
	if (k->link.ops != NULL)
		k->link.ops->fin(k->link.arg);
}

static void
take_frames(struct pipelink *k, struct view *in)
{
	int r = mux_take(&k->mux, in);

	if (k->link.ops == NULL || r != OK)
		view_skip(in, in->len);
	if (k->link.ops == NULL)
		return;
	if (r == ERR_BAD) {
		pipeout_say_goaway(k, k->mux.why);
		pipelink_set_end(k, LINK_STRANGER, k->mux.why);
	} else if (r != OK) {
		pipelink_set_end(k, LINK_FAILED, "out of memory");
	} else if (k->mux.fin_came && !k->fin_came) {
		on_fin(k);
	}
}

static enum feed_want
on_take(void *arg, struct view *in, bool eof)
{
	struct pipelink *k = arg;
	struct view bytes = *in;

	(void)eof;
	start(k);
	if (k->link.ops == NULL || k->over || bytes.len == 0) {
		view_skip(in, in->len);
		return want(k);
	}
	k->came = true;
	task_post(k->loop, &k->task);
	if (k->link.lanes) {
		take_frames(k, in);
		return want(k);
	}
	view_skip(in, in->len);
	k->got += bytes.len;
	k->link.ops->bytes(k->link.arg, bytes);
	return want(k);
}

/* Nothing comes any more: with lanes that is the end of everything. */
static void
end_of_socket(struct pipelink *k)
{
	pipeout_settle(k, 0);
	pipelink_end_if_both_did(k);
	pipelink_set_end(k, LINK_LOST, "connection closed");
}

static void
on_feed_end(void *arg, int r)
{
	struct pipelink *k = arg;

	start(k);
	if (r != OK) {
		pipelink_set_end(k, k->socket < 0 ? LINK_FAILED : LINK_LOST,
		    "reading failed");
		return;
	}
	k->came = true;
	task_post(k->loop, &k->task);
	if (k->link.lanes) {
		end_of_socket(k);
		return;
	}
	if (k->drained)
		pipeout_settle(k, 0);
	on_fin(k);
}

static const struct feed_ops feed_callbacks = {
    .take = on_take,
    .end = on_feed_end,
};

static void
wake(struct link *l)
{
	struct pipelink *k = (struct pipelink *)l;

	task_post(k->loop, &k->task);
}

static void
read_on(struct pipelink *k)
{
	if (!k->waiting || unread(k) >= k->window / 2)
		return;
	k->waiting = false;
	feed_resume(k->feed);
}

static void
consumed(struct link *l, size_t n)
{
	struct pipelink *k = (struct pipelink *)l;

	k->used += n;
	read_on(k);
}

static void
widen(struct link *l, size_t n)
{
	struct pipelink *k = (struct pipelink *)l;

	k->window += n;
	read_on(k);
	if (l->lanes)
		mux_credit(&k->mux, n);
}

static void
close_link(struct link *l, uint64_t code, const char *reason)
{
	struct pipelink *k = (struct pipelink *)l;

	if (k->socket >= 0 && code == HELLO_CLOSE_EVICT)
		pipeout_say_goaway(k, reason);
	task_post(k->loop, &k->task);
}

/* --- lanes --- */

static void
use_lanes(struct link *l)
{
	struct pipelink *k = (struct pipelink *)l;

	if (k->socket < 0)
		return;
	if (mux_init(&k->mux, l, k->dialed, k->unacked) != OK)
		pipelink_set_end(k, LINK_FAILED, "out of memory");
	k->mux.own_came = k->got;
	l->lanes = true;
}

static void
allow_lanes(struct link *l, size_t n)
{
	mux_allow(&((struct pipelink *)l)->mux, n);
}

static int
open_lane(struct link *l, struct lane **lane)
{
	struct pipelink *k = (struct pipelink *)l;

	return k->over ? ERR_GONE : mux_open(&k->mux, lane);
}

static void
credit(struct link *l, size_t n)
{
	mux_credit(&((struct pipelink *)l)->mux, n);
}

static const struct link_kind kind = {
    .wake = wake,
    .consumed = consumed,
    .widen = widen,
    .close = close_link,
    .use_lanes = use_lanes,
    .allow_lanes = allow_lanes,
    .open_lane = open_lane,
    .credit = credit,
    .later = wake,
    .lane_wake = mux_lane_wake,
    .lane_break = mux_lane_break,
    .lane_credit = mux_lane_credit,
    .lane_closed = mux_lane_closed,
    .lane_free = mux_lane_free,
};

static int
attach_feed(struct pipelink *k, int fd, bool owned, const char *name)
{
	struct feed_conf conf = {
	    .fd = fd,
	    .owned = owned,
	    .max = WINDOW,
	    .name = name,
	};

	return feed_open(&k->feed, k->loop, &conf, &feed_callbacks, k);
}

static struct pipelink *
make(struct loop *loop, struct outq *out, const struct link_ops *ops, void *arg)
{
	struct pipelink *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	link_init(&k->link, &kind);
	k->link.ops = ops;
	k->link.arg = arg;
	k->link.out = out;
	k->loop = loop;
	k->socket = -1;
	k->window = WINDOW;
	k->task = (struct task){.fn = step, .arg = k};
	pipeout_init(k);
	return k;
}

int
pipelink_open(struct link **l, struct loop *loop, int in_fd, int out_fd,
    struct outq *out, const struct link_ops *ops, void *arg)
{
	struct pipelink *k;
	int r = OK;

	if ((k = make(loop, out, ops, arg)) == NULL)
		return ERR_NOMEM;
	snprintf(k->link.name, sizeof(k->link.name), "pipe");
	if (in_fd >= 0)
		r = attach_feed(k, in_fd, false, "standard input");
	if (r == OK && out_fd >= 0)
		r = pipeout_open(k, out_fd, false, "standard output");
	if (r != OK) {
		release(k);
		return r;
	}
	task_post(loop, &k->task);
	*l = &k->link;
	return OK;
}

int
pipelink_socket(struct link **l, struct loop *loop, int fd, struct outq *out,
    const struct link_ops *ops, void *arg)
{
	struct pipelink *k;
	int dup_fd, r;

	if ((k = make(loop, out, ops, arg)) == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	k->socket = fd;
	k->link.answers_fin = true;
	snprintf(k->link.name, sizeof(k->link.name), "unix socket");
	/* One descriptor for each direction: each is watched by itself. */
	if ((dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		log_sys("cannot duplicate a socket");
		release(k);
		return ERR_SYS;
	}
	if ((r = pipeout_open(k, dup_fd, true, "a unix socket")) != OK)
		close(dup_fd);
	else
		r = attach_feed(k, fd, true, "a unix socket");
	if (r != OK) {
		release(k);
		return r;
	}
	task_post(loop, &k->task);
	*l = &k->link;
	return OK;
}

int
pipelink_accept(struct link **l, struct loop *loop, int fd,
    const struct link_ops *ops, void *arg)
{
	int r = pipelink_socket(l, loop, fd, NULL, ops, arg);

	if (r == OK)
		((struct pipelink *)*l)->window = WINDOW_FIRST;
	return r;
}

int
pipelink_dial(struct link **l, struct loop *loop, const char *path,
    struct outq *out, const struct link_ops *ops, void *arg)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		log_error("cannot connect to '%s': the path is too long", path);
		return ERR_SYS;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		log_sys("cannot make a socket");
		return ERR_SYS;
	}
	/* EAGAIN: too many wait to be accepted, as by one that is stopped. */
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		bool absent =
		    errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN;

		if (!absent)
			log_sys("cannot connect to '%s'", path);
		close(fd);
		return absent ? ERR_GONE : ERR_SYS;
	}
	if ((r = pipelink_socket(l, loop, fd, out, ops, arg)) == OK)
		((struct pipelink *)*l)->dialed = true;
	return r;
}
