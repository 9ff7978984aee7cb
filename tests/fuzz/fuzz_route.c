/* SPDX-License-Identifier: ISC */
/*
 * Any bytes from a few senders, through intake and router, to observers of all
 * kinds: whole frames come out, and what becomes of each message is counted.
 *
 * The input is a script: a byte that says what happens and to whom, and one
 * that says how much of it.  If it is of odd length the unobserved is held.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/intake.h"
#include "route/router.h"
#include "wire/meta.h"

#define PEERS 4
#define LIMIT 600
#define RUN_MAX 400
#define FRAME_MAX 100000
#define ALL (PEERS - 1) /* observes everything */
#define SHARED 5	/* the tag of a group */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct peer {
	struct observer o;
	struct outlet outlet;
	struct outq out;
	struct intake in;
	struct waiter w;
	uint64_t came; /* messages, as a queue's bytes have whole frames */
	bool evicted;
	bool broken; /* it sent what is no frame, and is gone */
};

static const struct policy_range policies[] = {
    {1, 1, POLICY_DROP_OLD},
    {2, 2, POLICY_DISCONNECT},
};

static struct peer peers[PEERS];
static struct router *router;
static uint64_t sent, unobserved, meant, delivered, lost;

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct peer *p = arg;

	(void)tag;
	(void)session;
	return &p->outlet;
}

static void
on_wake(void *arg, struct outlet *outlet)
{
	struct peer *p = arg;

	assert(outlet == &p->outlet);
}

static void
on_evict(void *arg)
{
	struct peer *p = arg;

	assert(!p->evicted);
	p->evicted = true;
}

static bool
wants(const struct peer *p, uint32_t tag, struct view target)
{
	size_t i = (size_t)(p - peers);

	if (p->o.router == NULL || (i != ALL && tag % 3 == i))
		return false;
	if (i != ALL && tag > 5)
		return false;
	return target.len == 0 || i == ALL ||
	       (i == 0 && view_equal(target, view_of("t")));
}

/* Of a group only one is meant. */
static void
count_meant(const struct run *run)
{
	bool seen = false, shared = false;
	size_t i;

	sent += run->count;
	for (i = 0; i < PEERS; i++) {
		if (!wants(&peers[i], run->tag, run->target))
			continue;
		seen = true;
		if (run->tag == SHARED && i != ALL) {
			if (shared)
				continue;
			shared = true;
		}
		meant += run->count;
	}
	if (!seen)
		unobserved += run->count;
}

static int
send_run(struct peer *p, struct run *run)
{
	struct outcome out;
	int r;

	if (run->count == 0)
		return OK;
	r = router_send(router, run, &out, sent);
	if (r == ERR_MORE) {
		assert(out.obstacle != &p->outlet || run->tag == SHARED);
		intake_back(&p->in, run->off);
		router_wait(out.obstacle, &p->w);
		return r;
	}
	count_meant(run);
	run->count = 0;
	return OK;
}

static int
read_data(const struct frame *f, uint32_t *tag, struct view *target)
{
	struct data_frame d;
	int r;

	if (f->type != FRAME_DATA || data_frame_get(f->body, &d) != OK)
		return ERR_BAD;
	*target = (struct view){0};
	*tag = d.tag;
	r = meta_find(d.meta, META_TARGET, target);
	return r == ERR_NONE ? OK : r;
}

/* As the zipper does: frames of one tag and no target make a run. */
static int
route_slab(struct peer *p)
{
	struct run run = {.sender = &p->o};
	struct view target;
	struct frame f;
	uint32_t tag;
	int r;

	while ((r = intake_next(&p->in, &f)) == OK) {
		if (read_data(&f, &tag, &target) != OK) {
			r = ERR_BAD;
			break;
		}
		if (run.count > 0 && run.tag == tag && target.len == 0 &&
		    run.target.len == 0 && run.len + f.whole.len <= RUN_MAX &&
		    !router_is_shared(router, tag)) {
			run.len += f.whole.len;
			run.count++;
			continue;
		}
		if (send_run(p, &run) != OK)
			return ERR_MORE;
		run = (struct run){
		    .slab = p->in.front,
		    .off = intake_offset(&p->in, &f),
		    .len = f.whole.len,
		    .tag = tag,
		    .count = 1,
		    .target = target,
		    .sender = &p->o,
		};
	}
	if (send_run(p, &run) != OK)
		return ERR_MORE;
	return r == ERR_MORE ? OK : r;
}

static void
leave(struct peer *p)
{
	router_unwait(&p->w);
	router_leave(router, &p->o);
	delivered += p->o.delivered;
	lost += p->o.lost.messages;
	p->o.delivered = p->o.lost.messages = 0;
	intake_fini(&p->in);
	outq_fini(&p->out);
}

static void
route(struct peer *p)
{
	int r;

	if (p->w.on != NULL || p->broken)
		return;
	do {
		r = route_slab(p);
	} while (r == OK && intake_advance(&p->in));
	if (r != OK && r != ERR_MORE)
		p->broken = true; /* it leaves when it is its turn */
}

static void
on_resume(void *arg)
{
	route(arg);
}

static uint64_t
accounted(void)
{
	const struct router_counts *c = router_counts(router);

	return c->delivered + c->lost.messages + c->left;
}

/* What was held is its, too. */
static void
observe(struct peer *p, uint32_t tag)
{
	uint64_t held = meant - accounted();
	struct observing what = {
	    .tag = tag,
	    .asked = tag == 4 ? POLICY_DROP_OLD : POLICY_BLOCK,
	    .group = tag == SHARED ? "g" : NULL,
	    .prefetch = 3,
	};

	assert(router_observe(router, &p->o, &what, sent) == OK);
	/* But those who were waiting may have sent, too. */
	held += accounted() - meant;
	meant += held;
}

static void
join(struct peer *p, const char *target)
{
	uint32_t tag;

	*p = (struct peer){0};
	outq_init(&p->out, LIMIT);
	intake_init(&p->in, FRAME_MAX);
	p->o.outlet = on_outlet;
	p->o.wake = on_wake;
	p->o.evict = on_evict;
	p->o.arg = p;
	p->o.name = "peer";
	p->o.tells_gaps = p >= &peers[2];
	p->w = (struct waiter){.resume = on_resume, .arg = p};
	assert(router_join(router, &p->o, view_of(target)) == OK);
	router_open_outlet(&p->outlet, &p->o, &p->out);
	if (p == &peers[ALL])
		assert(router_observe_all(router, &p->o) == OK);
	for (tag = 0; p != &peers[ALL] && tag <= 5; tag++)
		if (wants(p, tag, (struct view){0}))
			observe(p, tag);
}

/* The peer's link takes n bytes; whole frames, if it gets them all. */
static void
take(struct peer *p, size_t n)
{
	struct iovec v;

	while (n > 0 && outq_pull(&p->out, &v, 1) == 1) {
		struct view in = {v.iov_base, v.iov_len};
		struct view target;
		struct frame f;
		uint32_t tag;

		/* Entries are whole frames, but the first may be under way. */
		while (
		    p->out.sent == 0 && frame_get(&in, FRAME_MAX, &f) == OK) {
			if (f.type == FRAME_GAP && p->o.tells_gaps)
				continue;
			assert(read_data(&f, &tag, &target) == OK &&
			       wants(p, tag, target));
			p->came++;
		}
		assert(p->out.sent > 0 || in.len == 0);
		if (v.iov_len > n)
			v.iov_len = n;
		n -= v.iov_len;
		outq_sent(&p->out, v.iov_len);
		outq_acked(&p->out, v.iov_len);
	}
	router_room(&p->outlet);
}

static void
check(void)
{
	const struct router_counts *c = router_counts(router);
	uint64_t now_delivered = delivered, now_lost = lost;
	size_t i;

	for (i = 0; i < PEERS; i++) {
		now_delivered += peers[i].o.delivered;
		now_lost += peers[i].o.lost.messages;
	}
	assert(c->delivered == now_delivered);
	assert(c->lost.messages == now_lost);
	assert(c->messages == sent);
	assert(c->unobserved == unobserved);
	assert(now_delivered + now_lost + c->left == meant);
}

static void
act(uint8_t what, struct view *left, size_t n)
{
	struct peer *p = &peers[what % PEERS];
	struct view bytes;
	int r;

	switch (what / PEERS % 4) {
	case 0:
		take(p, n * 4);
		return;
	case 1:
		if (p->broken || p->evicted || n == 0) {
			leave(p);
			join(p, p == peers ? "t" : NULL);
		} else if (n < 100) {
			/* A queue may have come only in part. */
			r = router_taken(router, &p->outlet, p->came);
			assert(r == OK);
		} else {
			router_tick(router);
			router_trim(&p->outlet);
		}
		return;
	default:
		bytes = (struct view){left->p, n < left->len ? n : left->len};
		view_skip(left, bytes.len);
		assert(intake_put(&p->in, bytes) == OK);
		route(p);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct router_conf conf = {
	    .policies = policies,
	    .n_policies = sizeof(policies) / sizeof(*policies),
	    .hold_bytes = len % 2 * 2000,
	    .hold_ns = 20,
	};
	struct view left = {p, len};
	size_t i;

	log_set_level(LOG_ERROR);
	sent = unobserved = meant = delivered = lost = 0;
	assert(router_new(&router, &conf) == OK);
	for (i = 0; i < PEERS; i++)
		join(&peers[i], i == 0 ? "t" : NULL);
	while (left.len >= 2) {
		uint8_t what = left.p[0], n = left.p[1];

		view_skip(&left, 2);
		act(what, &left, n);
		check();
	}
	for (i = 0; i < PEERS; i++)
		leave(&peers[i]);
	check();
	router_free(router);
	assert(slab_total() == 0);
	return 0;
}
