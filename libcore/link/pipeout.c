/* SPDX-License-Identifier: ISC */
/* What goes out of a descriptor, and what has been read of it. */
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "link/pipeout.h"
#include "wire/frame.h"

#define VECTORS 64
/* So often is a descriptor written to before others have their turn. */
#define WRITES_A_TURN 4
/* What is left of a frame begun, at most about; nothing else waits there. */
#define REST (64u << 10)
/* A socket is asked what the other end has read for so many bytes at least, or
 * after a while: nothing tells of it. */
#define LOOK_BYTES (64u << 10)
#define LOOK_MIN_NS (2 * 1000000ull)
#define LOOK_MAX_NS (64 * 1000000ull)

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
	size_t n = left < k->unacked ? k->unacked - left : 0;
	bool all;

	if (n > 0 && k->link.lanes)
		mux_acked(&k->mux, n);
	else if (n > 0)
		outq_acked(k->link.out, n);
	if (n > 0) {
		k->unacked = left;
		k->look_ns = LOOK_MIN_NS;
		k->moved = true;
	}
	all = k->link.lanes ? k->mux.fin_acked : k->drained && k->unacked == 0;
	if (!all || k->link.fin_acked)
		return;
	k->link.fin_acked = true;
	k->moved = true;
	pipelink_end_if_both_did(k);
}

/* Ask again later what has been read: nothing tells of it. */
static void
look_later(struct pipelink *k)
{
	if (k->over || k->deaf || k->socket < 0 || k->look.index != 0 ||
	    k->unacked == drain_waiting(k->drain))
		return;
	if (timer_set(k->loop, &k->look, loop_now(k->loop) + k->look_ns) != OK)
		pipelink_set_end(k, LINK_FAILED, "out of memory");
	if (k->look_ns < LOOK_MAX_NS)
		k->look_ns *= 2;
}

void
pipeout_settle(struct pipelink *k, size_t least)
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
	look_later(k);
}

static void
on_look(void *arg)
{
	struct pipelink *k = arg;

	pipeout_settle(k, 0);
	if (k->moved)
		task_post(k->loop, &k->task);
}

/* Write what is pulled next, of which there is some: how much was written. */
static size_t
write_queue(struct pipelink *k, const struct iovec *v, size_t n)
{
	size_t written = drain_write(k->drain, v, n);

	outq_sent(k->link.out, written);
	k->unacked += written;
	return written;
}

static size_t
pull_frames(struct pipelink *k, struct iovec *v)
{
	if (mux_talk(&k->mux) == OK)
		return mux_pull(&k->mux, v, VECTORS);
	pipelink_set_end(k, LINK_FAILED, "out of memory");
	return 0;
}

/* The same with lanes: what is left of a frame is put into the drain. */
static size_t
write_frames(struct pipelink *k, const struct iovec *v, size_t n)
{
	size_t written = drain_write(k->drain, v, n);

	if (mux_pulled(&k->mux, v, written, drain_buf(k->drain)) != OK)
		pipelink_set_end(k, LINK_FAILED, "out of memory");
	k->unacked += written + drain_waiting(k->drain);
	drain_flush(k->drain);
	return written;
}

/* Write what the descriptor takes. */
static void
fill(struct pipelink *k)
{
	struct iovec v[VECTORS];
	size_t n;
	int i;

	for (i = 0; i < WRITES_A_TURN && drain_waiting(k->drain) == 0; i++) {
		n = k->link.lanes ? pull_frames(k, v)
				  : outq_pull(k->link.out, v, VECTORS);
		if (n == 0)
			return;
		n = k->link.lanes ? write_frames(k, v, n)
				  : write_queue(k, v, n);
		if (n == 0)
			break;
	}
	if (i == WRITES_A_TURN)
		task_post(k->loop, &k->task);
	else
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
		pipelink_set_end(k, LINK_FINISHED, "");
	}
}

void
pipeout_transmit(struct pipelink *k)
{
	if (k->over || k->deaf)
		return;
	if (k->drain != NULL && !k->finishing) {
		if (k->socket >= 0)
			pipeout_settle(k, LOOK_BYTES);
		fill(k);
		if (k->socket < 0)
			pipeout_settle(k, 0);
		look_later(k);
	}
	/* Lanes have a fin of their own for the link's stream. */
	if (k->link.fin_wanted && k->link.out->unsent == 0 && !k->finishing &&
	    !k->link.lanes)
		finish(k);
}

void
pipeout_say_goaway(struct pipelink *k, const char *reason)
{
	uint8_t frame[LINK_REASON + 32];
	struct view text = view_of(reason);
	size_t n;

	/* Not within a frame, be it in the drain or still in the queue. */
	if (k->dialed || k->over || drain_waiting(k->drain) > 0 ||
	    (!k->link.lanes && k->link.out != NULL && k->link.out->sent > 0))
		return;
	if (text.len > LINK_REASON)
		text.len = LINK_REASON;
	n = frame_text_size(text);
	frame_text_put(frame, FRAME_GOAWAY, text);
	/* Best effort, as the CONNECTION_CLOSE of QUIC is. */
	(void)send(k->socket, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

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
	pipeout_settle(k, 0);
	if (k->socket < 0)
		pipelink_set_end(k, LINK_FINISHED, "");
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
		pipelink_set_end(k, LINK_NO_READER, "");
	else
		pipelink_set_end(k, LINK_UNWRITABLE, "");
	pipelink_end_if_both_did(k);
	task_post(k->loop, &k->task);
}

static const struct drain_ops drain_callbacks = {
    .room = on_drain_room,
    .end = on_drain_end,
};

void
pipeout_init(struct pipelink *k)
{
	k->look = (struct timer){.fn = on_look, .arg = k};
	k->look_ns = LOOK_MIN_NS;
}

int
pipeout_open(struct pipelink *k, int fd, bool owned, const char *name)
{
	struct drain_conf conf = {
	    .fd = fd,
	    .owned = owned,
	    .full = REST,
	    .name = name,
	};

	return drain_open(&k->drain, k->loop, &conf, &drain_callbacks, k);
}
