/* SPDX-License-Identifier: ISC */
/*
 * Any bytes from a peer, by its stream and its lanes, into a client's inbox:
 * messages come out only on the lanes of their tags, never while one is held
 * back, and credit is given once for each byte.
 *
 * The input is a script: a byte that says what happens and to which lane, and
 * one that says how much of it.  If it is of odd length there are no lanes.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "link/inbox.h"

#define LANES 4
#define MAX 100000 /* of a frame */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct toy {
	struct lane lane; /* first */
	bool open;
	bool fin;
	size_t sent;
	size_t credit;
};

static struct inbox box;
static struct link net;
static struct toy toys[LANES];
static struct inbox_ticket ticket;
static uint64_t next_id, given;
static size_t sent, credit; /* of the link as a whole */
static bool holding, gone;

static void
on_consumed(struct link *l, size_t n)
{
	assert(l == &net && n > 0);
	credit += n;
}

static void
on_lane_credit(struct lane *l, size_t n)
{
	struct toy *t = (struct toy *)l;

	assert(t->open && n > 0);
	t->credit += n;
	assert(t->credit <= t->sent);
}

static void
on_lane_wake(struct lane *l)
{
	assert(((struct toy *)l)->open);
}

static const struct link_kind kind = {
    .consumed = on_consumed,
    .credit = on_consumed,
    .lane_wake = on_lane_wake,
    .lane_credit = on_lane_credit,
};

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	(void)arg;
	assert(!box.deaf && f->whole.len >= d->payload.len);
	assert(box.giving == NULL || box.giving->lane == NULL ||
	       box.giving->shared || box.giving->tag == d->tag);
	if (holding)
		return false;
	ticket = inbox_ticket(&box);
	given++;
	return true;
}

static bool
on_gap(void *arg, const struct gap_frame *g, const struct frame *f)
{
	(void)arg;
	(void)g;
	assert(!box.deaf && f->whole.len > 0);
	return !holding;
}

static bool
on_other(void *arg, const struct frame *f)
{
	(void)arg;
	assert(f->type != FRAME_DATA && f->whole.len > 0);
	return true;
}

static void
give(void)
{
	if (gone)
		return;
	switch (inbox_give(&box)) {
	case OK:
		assert(box.why == NULL);
		break;
	case ERR_BAD:
		assert(box.why != NULL);
		gone = true;
		break;
	default:
		assert(0);
	}
}

static void
on_work(void *arg)
{
	(void)arg;
	give();
}

static void
on_failed(void *arg)
{
	(void)arg;
	abort();
}

static const struct inbox_ops callbacks = {
    .data = on_data,
    .gap = on_gap,
    .other = on_other,
    .work = on_work,
    .failed = on_failed,
};

static void
attach(void)
{
	memset(toys, 0, sizeof(toys));
	sent = credit = 0;
	inbox_attach(&box, &net);
}

static void
close_lane(struct toy *t)
{
	t->lane.ops->closed(t->lane.arg);
	t->open = false;
}

static void
open_lane(struct toy *t)
{
	if (t->open)
		return;
	*t = (struct toy){.open = true};
	t->lane.link = &net;
	t->lane.id = next_id++;
	assert(inbox_accept(&box, &t->lane));
}

static void
send_bytes(struct toy *t, const uint8_t *p, size_t n)
{
	struct view v = {p, n};

	sent += n;
	if (!net.lanes) {
		inbox_put(&box, v);
	} else if (t->open && !t->fin) {
		t->sent += n;
		t->lane.ops->bytes(t->lane.arg, v);
	} else {
		sent -= n;
	}
}

/* What no fuzzer would guess: a lane's header, or a message on it. */
static void
send_frame(struct toy *t, size_t n)
{
	static uint8_t frame[MAX + 1000], payload[MAX];
	uint32_t tag = (uint32_t)(t - toys);
	struct lane_frame h = {.has_tag = tag > 0, .tag = tag};
	struct data_frame d = {.tag = tag, .payload = {payload, n}};
	struct gap_frame g = {.tag = tag, .messages = n};

	if (t->open && t->sent == 0) {
		lane_frame_put(frame, &h);
		send_bytes(t, frame, lane_frame_size(&h));
	} else if (n % 16 == 0) {
		gap_frame_put(frame, &g);
		send_bytes(t, frame, GAP_FRAME_SIZE);
	} else {
		data_frame_put(frame, &d);
		send_bytes(t, frame, data_frame_size(&d));
	}
}

static void
end_lane(struct toy *t, bool broken)
{
	if (!net.lanes || !t->open)
		return;
	if (broken) {
		t->lane.ops->broken(t->lane.arg, 1);
		close_lane(t);
	} else if (!t->fin) {
		t->fin = true;
		t->lane.ops->fin(t->lane.arg);
	}
}

static void
resume(void)
{
	holding = false;
	inbox_resume(&box);
	give();
}

static void
lose(void)
{
	inbox_keep(&box);
	inbox_detach(&box);
	attach();
}

/* One step, with what follows in the script; how much of that was used. */
static size_t
step(uint8_t what, size_t n, const uint8_t *p, size_t left)
{
	struct toy *t = &toys[what % LANES];

	switch (what / LANES % 16) {
	case 0:
	case 1:
	case 2:
		n = n < left ? n : left;
		send_bytes(t, p, n);
		return n;
	case 3:
	case 4:
	case 5:
		send_frame(t, n);
		break;
	case 6:
		send_frame(t, n * (MAX / 256));
		break;
	case 7:
	case 8:
		if (net.lanes)
			open_lane(t);
		break;
	case 9:
		end_lane(t, false);
		break;
	case 10:
		end_lane(t, true);
		break;
	case 11:
		holding = true;
		break;
	case 12:
		resume();
		break;
	case 13:
		lose();
		break;
	case 14:
		inbox_taken(&box, ticket);
		ticket.link = 0;
		inbox_trim(&box);
		break;
	default:
		if (n == 0)
			inbox_deafen(&box);
	}
	return 0;
}

static void
check(void)
{
	struct taken_frame t;
	size_t i;

	give();
	assert(credit <= sent);
	for (i = 0; i < LANES; i++)
		if (toys[i].open && toys[i].lane.fin_wanted)
			close_lane(&toys[i]);
	while (inbox_next_taken(&box, &t))
		assert(t.messages <= given);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	size_t i, used;

	log_set_level(LOG_ERROR);
	net = (struct link){.lanes = len % 2 == 0, .name = "peer"};
	link_init(&net, &kind);
	inbox_init(&box, MAX, false, len % 4 == 0, &callbacks, NULL);
	holding = gone = false;
	next_id = given = 0;
	ticket = (struct inbox_ticket){0};
	attach();
	for (i = 0; i + 2 <= len && !gone; i += 2 + used) {
		used = step(p[i], p[i + 1], p + i + 2, len - i - 2);
		if (!gone)
			check();
	}
	if (!gone && !box.held)
		assert(!inbox_has_kept(&box));
	inbox_fini(&box);
	assert(slab_total() == 0);
	return 0;
}
