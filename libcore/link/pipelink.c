/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "link/pipelink.h"
#include "net/drain.h"
#include "net/feed.h"
#include "proto/hello.h"
#include "wire/frame.h"

/* Bytes taken from the descriptor and not yet used, at most about. */
#define WINDOW (1u << 20)
/* The same for a stranger, until link_widen(). */
#define WINDOW_FIRST (68u << 10)
/* Bytes handed to the descriptor's buffer at a time. */
#define WRITE_AHEAD (256u << 10)
#define VECTORS 64
/* A socket is asked what the other end has read for so many bytes at least, or
 * after a while: nothing tells of it. */
#define LOOK_BYTES (64u << 10)
#define LOOK_MIN_NS (2 * 1000000ull)
#define LOOK_MAX_NS (64 * 1000000ull)

struct pipelink {
	struct link link;
	struct loop *loop;
	struct feed *feed;
	struct drain *drain;
	struct task task;
	int socket;    /* -1: pipes */
	bool dialed;   /* by us */
	size_t window; /* bytes it may take ahead of link_consumed() */
	size_t unread;
	bool waiting; /* feed was told to wait */
	bool came;
	bool moved;
	bool started;
	size_t unacked;	   /* bytes of the queue that were sent */
	struct timer look; /* again what of them has been read */
	uint64_t look_ns;
	bool fin_came;
	bool finishing; /* the drain was told to finish */
	bool drained;	/* ... and has */
	bool deaf;	/* the other end takes no more */
	bool over;	/* end is known */
	bool ended;	/* ... and told */
	struct link_end end;
};

static void
release(struct pipelink *k)
{
	task_cancel(k->loop, &k->task);
	timer_stop(k->loop, &k->look);
	if (k->feed != NULL)
		feed_close(k->feed);
	if (k->drain != NULL)
		drain_close(k->drain);
	if (k->socket >= 0)
		close(k->socket);
	free(k);
}

static void
set_end(struct pipelink *k, enum link_end_kind kind, const char *reason)
{
	if (k->over)
		return;
	k->over = true;
	k->end = (struct link_end){.kind = kind};
	snprintf(k->end.reason, sizeof(k->end.reason), "%s", reason);
	task_post(k->loop, &k->task);
}

/* A socket ends when nothing can come any more in either direction. */
static void
end_if_both_did(struct pipelink *k)
{
	if (k->socket < 0 || !k->fin_came)
		return;
	if (k->link.fin_acked)
		set_end(k, LINK_CLOSED, "both sides have finished");
	else if (k->deaf)
		set_end(k, LINK_LOST, "connection closed");
}

/* At most so many bytes of what was written has the other end not read. */
static size_t
count_unread(const struct pipelink *k)
{
	struct pollfd p = {.fd = k->socket};
	int n;

	if (ioctl(k->socket, SIOCOUTQ, &n) < 0)
		return SIZE_MAX;
	/* Who has gone does not count any more what it left unread. */
	if (poll(&p, 1, 0) != 0 && (p.revents & POLLERR))
		return SIZE_MAX;
	return (size_t)n;
}

/* Acknowledge all but the last left bytes. */
static void
acknowledge(struct pipelink *k, size_t left)
{
	if (left < k->unacked) {
		outq_acked(k->link.out, k->unacked - left);
		k->unacked = left;
		k->look_ns = LOOK_MIN_NS;
		k->moved = true;
	}
	if (k->unacked > 0 || !k->drained || k->link.fin_acked)
		return;
	k->link.fin_acked = true;
	k->moved = true;
	end_if_both_did(k);
}

/*
 * What has been read is acknowledged, and of a pipe, which cannot tell, what
 * has been written.
 */
static void
settle(struct pipelink *k, size_t least)
{
	size_t unread, waiting = drain_waiting(k->drain);

	if (k->over || k->deaf || k->link.ops == NULL)
		return;
	if (k->socket < 0) {
		acknowledge(k, waiting);
	} else if (k->unacked - waiting >= least) {
		unread = count_unread(k);
		if (unread < k->unacked - waiting || k->unacked == 0)
			acknowledge(k, waiting + unread);
	}
	if (k->socket < 0 || k->unacked == waiting || k->look.index != 0)
		return;
	if (timer_set(k->loop, &k->look, loop_now(k->loop) + k->look_ns) != OK)
		set_end(k, LINK_FAILED, "out of memory");
	if (k->look_ns < LOOK_MAX_NS)
		k->look_ns *= 2;
}

static void
on_look(void *arg)
{
	struct pipelink *k = arg;

	settle(k, 0);
	if (k->moved)
		task_post(k->loop, &k->task);
}

/* Put into the drain what it has room for. */
static void
fill_drain(struct pipelink *k)
{
	struct iovec v[VECTORS];
	struct view bytes;
	size_t i, n;

	do {
		n = outq_pull(k->link.out, v, VECTORS);
		for (i = 0; i < n && !drain_full(k->drain); i++) {
			bytes = (struct view){v[i].iov_base, v[i].iov_len};
			if (buf_put(drain_buf(k->drain), bytes) != OK) {
				set_end(k, LINK_FAILED, "out of memory");
				return;
			}
			outq_sent(k->link.out, bytes.len);
			k->unacked += bytes.len;
		}
	} while (n > 0 && i == n);
	drain_flush(k->drain);
	if (drain_waiting(k->drain) > 0)
		drain_ask(k->drain);
}

static void
finish(struct pipelink *k)
{
	k->finishing = true;
	if (k->drain != NULL) {
		drain_finish(k->drain);
	} else {
		k->link.fin_acked = true;
		set_end(k, LINK_FINISHED, "");
	}
}

/* Hand the queue to the descriptor, as much as it takes. */
static void
transmit(struct pipelink *k)
{
	if (k->over || k->deaf)
		return;
	if (k->drain != NULL) {
		settle(k, LOOK_BYTES);
		if (!k->finishing)
			fill_drain(k);
	}
	if (k->link.fin_wanted && k->link.out->unsent == 0 && !k->finishing)
		finish(k);
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
		transmit(k);
	if (k->moved && l->ops != NULL) {
		k->moved = false;
		l->ops->moved(l->arg);
	}
	if (k->over && !k->ended && l->ops != NULL) {
		k->ended = true;
		l->ops->down(l->arg, &k->end);
	}
	if (l->ops == NULL)
		release(k);
}

/*
 * Who has gone sends no more than what is on its way.  One that only refuses
 * to listen may go on for ever.
 */
static enum feed_want
read_the_rest(struct pipelink *k)
{
	if (k->unread < 2 * WINDOW)
		return FEED_MORE;
	set_end(k, LINK_LOST, "connection closed");
	return FEED_WAIT;
}

static enum feed_want
on_take(void *arg, struct view *in, bool eof)
{
	struct pipelink *k = arg;
	struct view bytes = *in;

	(void)eof;
	view_skip(in, in->len);
	start(k);
	if (k->link.ops == NULL || bytes.len == 0)
		return FEED_MORE;
	k->came = true;
	k->unread += bytes.len;
	task_post(k->loop, &k->task);
	k->link.ops->bytes(k->link.arg, bytes);
	if (k->deaf)
		return read_the_rest(k);
	k->waiting = k->unread >= k->window;
	return k->waiting ? FEED_WAIT : FEED_MORE;
}

static void
on_feed_end(void *arg, int r)
{
	struct pipelink *k = arg;

	start(k);
	if (r != OK) {
		set_end(k, k->socket < 0 ? LINK_FAILED : LINK_LOST,
		    "reading failed");
		return;
	}
	k->fin_came = true;
	k->came = true;
	if (k->drained)
		settle(k, 0);
	end_if_both_did(k);
	task_post(k->loop, &k->task);
	if (k->link.ops != NULL)
		k->link.ops->fin(k->link.arg);
}

static const struct feed_ops feed_callbacks = {
    .take = on_take,
    .end = on_feed_end,
};

static void
on_drain_room(void *arg)
{
	struct pipelink *k = arg;

	task_post(k->loop, &k->task);
}

/* All is written. */
static void
on_drained(struct pipelink *k)
{
	k->drained = true;
	if (k->socket >= 0)
		shutdown(k->socket, SHUT_WR);
	settle(k, 0);
	if (k->socket < 0)
		set_end(k, LINK_FINISHED, "");
}

/* What the other end has sent is still to be read, whoever has room for it. */
static void
become_deaf(struct pipelink *k)
{
	k->deaf = true;
	if (!k->waiting)
		return;
	k->waiting = false;
	feed_resume(k->feed);
}

static void
on_drain_end(void *arg, int r)
{
	struct pipelink *k = arg;

	if (r == OK)
		on_drained(k);
	else if (k->socket >= 0)
		become_deaf(k);
	else if (r == ERR_GONE)
		set_end(k, LINK_NO_READER, "");
	else
		set_end(k, LINK_UNWRITABLE, "");
	end_if_both_did(k);
	task_post(k->loop, &k->task);
}

static const struct drain_ops drain_callbacks = {
    .room = on_drain_room,
    .end = on_drain_end,
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
	if (!k->waiting || k->unread >= k->window / 2)
		return;
	k->waiting = false;
	feed_resume(k->feed);
}

static void
consumed(struct link *l, size_t n)
{
	struct pipelink *k = (struct pipelink *)l;

	k->unread -= n;
	read_on(k);
}

static void
widen(struct link *l, size_t n)
{
	struct pipelink *k = (struct pipelink *)l;

	k->window += n;
	read_on(k);
}

/* A socket has no close codes: a client to stay away is told by a Goaway. */
static void
say_goaway(struct pipelink *k, const char *reason)
{
	uint8_t frame[LINK_REASON + 32];
	struct view text = view_of(reason);
	size_t n;

	if (text.len > LINK_REASON)
		text.len = LINK_REASON;
	n = frame_text_size(text);
	frame_text_put(frame, FRAME_GOAWAY, text);
	/* Best effort, as the CONNECTION_CLOSE of QUIC is. */
	(void)send(k->socket, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
close_link(struct link *l, uint64_t code, const char *reason)
{
	struct pipelink *k = (struct pipelink *)l;

	if (k->socket >= 0 && !k->dialed && !k->over &&
	    code == HELLO_CLOSE_EVICT && drain_waiting(k->drain) == 0)
		say_goaway(k, reason);
	task_post(k->loop, &k->task);
}

static const struct link_kind kind = {
    .wake = wake,
    .consumed = consumed,
    .widen = widen,
    .close = close_link,
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

static int
attach_drain(struct pipelink *k, int fd, bool owned, const char *name)
{
	struct drain_conf conf = {
	    .fd = fd,
	    .owned = owned,
	    .full = WRITE_AHEAD,
	    .name = name,
	};

	return drain_open(&k->drain, k->loop, &conf, &drain_callbacks, k);
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
	k->look = (struct timer){.fn = on_look, .arg = k};
	k->look_ns = LOOK_MIN_NS;
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
		r = attach_drain(k, out_fd, false, "standard output");
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
	if ((r = attach_drain(k, dup_fd, true, "a unix socket")) != OK)
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
