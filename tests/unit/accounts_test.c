/* SPDX-License-Identifier: ISC */
/*
 * What becomes of each message that is sent, at random: it comes, or its loss
 * is told, or nobody observes it, whatever policies, targets, outlets and
 * memory there are.
 */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/err.h"
#include "base/log.h"
#include "chance.h"
#include "faults.h"
#include "route/router.h"
#include "wire/frame.h"
#include "wire/lane.h"
#include "wire/meta.h"

#define LIMIT 3000
#define PEERS 6
#define TAGS 5
#define ALL (PEERS - 1) /* observes everything */
#define FRAME_MAX 200
#define NS_PER_S UINT64_C(1000000000)

/* The payload. */
struct message {
	uint32_t sender;
	uint32_t seq;
};

/* An outlet, and who listens at its end. */
struct way {
	struct outlet outlet;
	struct outq out;
	uint8_t part[FRAME_MAX]; /* of a frame */
	size_t len;
	uint32_t heard[PEERS][TAGS]; /* the latest of each sender */
};

struct peer {
	struct observer o;
	/* For all; for each tag; for each tag's session. */
	struct way ways[1 + 2 * TAGS];
	bool has_lanes;
	bool no_memory; /* for outlets */
	struct waiter w;
	uint32_t id;
	uint32_t seq; /* of its latest message */
	bool observes[TAGS];
	/* Since it joined: */
	uint64_t came[TAGS];
	uint64_t told[TAGS];
	uint64_t meant[TAGS];
};

static struct router_conf conf;
static struct router *r;
static struct peer peers[PEERS];
static uint64_t now;

/* Of all peers that left, and in all. */
static uint64_t delivered_before, lost_before, meant_by_all, unobserved, sent;

/* --- a peer
 * -------------------------------------------------------------- */

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct peer *p = arg;
	struct way *way = p->ways;

	if (p->no_memory)
		return NULL;
	if (p->has_lanes)
		way += 1 + tag + (session.len > 0 ? TAGS : 0);
	if (way->outlet.observer == NULL) {
		way->len = 0;
		outq_init(&way->out, LIMIT);
		router_open_outlet(&way->outlet, &p->o, &way->out);
	}
	return &way->outlet;
}

static void
on_wake(void *arg, struct outlet *outlet)
{
	(void)arg;
	assert_true(outlet->out->unsent > 0);
}

static void
ignore(void *arg)
{
	(void)arg;
}

static void
hear(struct peer *p, struct way *way, const struct frame *f)
{
	struct data_frame d;
	struct gap_frame g;
	struct message m;

	if (f->type == FRAME_GAP) {
		assert_true(p->o.tells_gaps);
		assert_int_equal(gap_frame_get(f->body, &g), OK);
		assert_true(g.messages > 0);
		p->told[g.tag] += g.messages;
		return;
	}
	assert_int_equal(f->type, FRAME_DATA);
	assert_int_equal(data_frame_get(f->body, &d), OK);
	assert_int_equal(d.payload.len, sizeof(m));
	memcpy(&m, d.payload.p, sizeof(m));
	assert_true(m.seq > way->heard[m.sender][d.tag]);
	way->heard[m.sender][d.tag] = m.seq;
	p->came[d.tag]++;
}

/* Its link takes up to n bytes of a way, and some are acknowledged. */
static void
take(struct peer *p, struct way *way, size_t n)
{
	struct iovec v;
	struct view in;
	struct frame f;
	size_t k;

	while (n > 0 && outq_pull(&way->out, &v, 1) == 1) {
		k = v.iov_len < n ? v.iov_len : n;
		if (k > sizeof(way->part) - way->len)
			k = sizeof(way->part) - way->len;
		memcpy(way->part + way->len, v.iov_base, k);
		way->len += k;
		n -= k;
		outq_sent(&way->out, k);
		in = (struct view){way->part, way->len};
		while (frame_get(&in, FRAME_MAX, &f) == OK)
			hear(p, way, &f);
		memmove(way->part, in.p, in.len);
		way->len = in.len;
	}
	k = way->out.bytes - way->out.unsent;
	outq_acked(&way->out, chance_below(k + 1));
}

static void
take_at_random(struct peer *p)
{
	struct way *way = &p->ways[chance_below(COUNT(p->ways))];

	if (way->outlet.observer == NULL)
		return;
	take(p, way, chance_below(1500));
	router_room(&way->outlet);
}

static void
begin(struct peer *p, uint32_t id, uint32_t seq)
{
	*p = (struct peer){.id = id, .seq = seq, .w = {.resume = ignore}};
}

static void
leave(struct peer *p)
{
	size_t i;

	router_unwait(&p->w);
	router_leave(r, &p->o);
	delivered_before += p->o.delivered;
	lost_before += p->o.lost.messages;
	for (i = 0; i < COUNT(p->ways); i++)
		outq_fini(&p->ways[i].out);
	begin(p, p->id, p->seq);
}

static void
observe_at_random(struct peer *p, uint32_t tag)
{
	const struct observing what = {
	    .tag = tag, .asked = (enum policy)(chance_below(5) / 2)};

	assert_int_equal(router_observe(r, &p->o, &what, now), OK);
	p->observes[tag] = true;
}

static void
join_at_random(struct peer *p)
{
	uint32_t tag;

	p->o.outlet = on_outlet;
	p->o.wake = on_wake;
	p->o.evict = ignore;
	p->o.arg = p;
	p->o.name = "peer";
	p->o.tells_gaps = !chance_once_in(3);
	p->has_lanes = chance_once_in(2);
	assert_int_equal(
	    router_join(r, &p->o, view_of(chance_once_in(2) ? "t" : NULL)), OK);
	if (p->id == ALL)
		assert_int_equal(router_observe_all(r, &p->o), OK);
	for (tag = 0; p->id != ALL && tag < TAGS; tag++)
		if (chance_once_in(2))
			observe_at_random(p, tag);
}

static void
change_at_random(struct peer *p)
{
	uint32_t tag = (uint32_t)chance_below(TAGS);

	if (p->o.router == NULL) {
		join_at_random(p);
	} else if (chance_once_in(10)) {
		leave(p);
	} else if (p->id != ALL && chance_once_in(2)) {
		observe_at_random(p, tag);
	} else if (p->id != ALL && chance_once_in(3)) {
		router_unobserve(r, &p->o, tag);
		p->observes[tag] = false;
	} else if (chance_once_in(3)) {
		p->no_memory = !p->no_memory;
	}
}

/* --- messages
 * -------------------------------------------------------------- */

static const struct meta_pair target_pair = {
    {(const uint8_t *)META_TARGET, sizeof(META_TARGET) - 1},
    {(const uint8_t *)"t", 1},
};

/* n frames of p, for all, or for the target "t". */
static struct slab *
frames_of(struct peer *p, uint32_t tag, bool targeted, uint32_t n)
{
	struct slab *s = slab_new(n * (size_t)FRAME_MAX);
	struct message m = {.sender = p->id};
	uint8_t meta[64];
	struct data_frame d = {
	    .tag = tag, .payload = {(const uint8_t *)&m, sizeof(m)}};
	uint32_t i;

	if (targeted)
		d.meta = (struct view){
		    meta, (size_t)(meta_put(meta, &target_pair, 1) - meta)};
	for (i = 0; i < n; i++) {
		m.seq = p->seq + i + 1;
		s->len =
		    (size_t)(data_frame_put(s->data + s->len, &d) - s->data);
	}
	return s;
}

/* Who is to get it, or to be told. */
static void
count_meant(uint32_t tag, bool targeted, uint32_t n, uint32_t seen_by_nobody)
{
	struct peer *q;
	bool seen = false;

	for (q = peers; q < peers + PEERS; q++) {
		if (!q->o.everything &&
		    (!q->observes[tag] || (targeted && q->o.target == NULL)))
			continue;
		q->meant[tag] += n;
		meant_by_all += n;
		seen = true;
	}
	assert_int_equal(seen_by_nobody, seen ? 0 : n);
	unobserved += seen_by_nobody;
	sent += n;
}

static void
send_at_random(bool faulty)
{
	struct peer *p = &peers[chance_below(PEERS)];
	uint32_t n = (uint32_t)chance_between(1, 8);
	bool targeted = chance_once_in(3);
	struct run run = {
	    .tag = (uint32_t)chance_below(TAGS),
	    .count = n,
	    .sender = &p->o,
	};
	struct outcome out;
	int result;

	if (p->w.on != NULL)
		return;
	run.slab = frames_of(p, run.tag, targeted, n);
	run.len = run.slab->len;
	if (targeted)
		run.target = target_pair.value;
	if (chance_once_in(4))
		run.session = view_of("s");
	if (faulty && chance_once_in(3))
		faults_at(chance_between(1, 6));
	result = router_send(r, &run, &out, now++);
	faults_off();
	slab_unref(run.slab);
	if (result == ERR_MORE) {
		assert_ptr_not_equal(out.obstacle->observer, &p->o);
		router_wait(out.obstacle, &p->w);
		return;
	}
	assert_null(out.obstacle);
	p->seq += n;
	count_meant(run.tag, targeted, n, out.unobserved);
}

/* --- accounts
 * -------------------------------------------------------------- */

static void
check(void)
{
	const struct router_counts *c = router_counts(r);
	uint64_t delivered = delivered_before, lost = lost_before;
	const struct peer *p;

	for (p = peers; p < peers + PEERS; p++) {
		delivered += p->o.delivered;
		lost += p->o.lost.messages;
	}
	assert_int_equal(c->delivered, delivered);
	assert_int_equal(c->lost.messages, lost);
	assert_int_equal(delivered + lost, meant_by_all);
	assert_int_equal(c->messages, sent);
	assert_int_equal(c->unobserved, unobserved);
}

/* Everything that is queued comes. */
static void
settle(struct peer *p)
{
	struct way *way;
	size_t i;

	p->no_memory = false;
	router_tick(r);
	for (i = 0; i < COUNT(p->ways); i++) {
		way = &p->ways[i];
		if (way->outlet.observer == NULL)
			continue;
		take(p, way, SIZE_MAX);
		outq_acked(&way->out, way->out.bytes);
	}
	assert_true(!p->o.owes || p->o.evicted);
}

static void
check_peer(struct peer *p)
{
	uint64_t came = 0, told = 0;
	uint32_t tag;

	settle(p);
	for (tag = 0; tag < TAGS; tag++) {
		came += p->came[tag];
		told += p->told[tag];
		/* Who is sent away need not be told. */
		if (p->o.tells_gaps && !p->o.evicted)
			assert_int_equal(
			    p->came[tag] + p->told[tag], p->meant[tag]);
	}
	assert_int_equal(came, p->o.delivered);
	if (p->o.tells_gaps && !p->o.evicted)
		assert_int_equal(told, p->o.lost.messages);
}

static void
run_at_random(bool faulty)
{
	int i;

	for (i = 0; i < 3000; i++) {
		if (chance_once_in(12))
			change_at_random(&peers[chance_below(PEERS)]);
		else if (chance_once_in(3))
			take_at_random(&peers[chance_below(PEERS)]);
		else
			send_at_random(faulty);
		check();
	}
	for (i = 0; i < PEERS; i++)
		if (peers[i].o.router != NULL)
			check_peer(&peers[i]);
	check();
}

static void
run_seed(uint64_t seed, bool faulty)
{
	static const struct policy_range mixed[] = {
	    {1, 2, POLICY_DROP_OLD},
	    {3, 3, POLICY_DISCONNECT},
	};
	uint32_t i;

	chance_begin(seed);
	conf = (struct router_conf){mixed, COUNT(mixed), 0, 0, NULL, NULL};
	now = 100 * NS_PER_S;
	delivered_before = lost_before = meant_by_all = unobserved = sent = 0;
	for (i = 0; i < PEERS; i++)
		begin(&peers[i], i, 0);
	assert_int_equal(router_new(&r, &conf), OK);
	run_at_random(faulty);
	for (i = 0; i < PEERS; i++)
		leave(&peers[i]);
	check();
	router_free(r);
	assert_int_equal(slab_total(), 0);
	chance_end();
}

static void
every_message_comes_or_its_loss_is_told(void **state)
{
	uint64_t seed;

	(void)state;
	log_set_level(LOG_ERROR);
	for (seed = 1; seed <= 60; seed++)
		run_seed(seed, false);
}

static void
also_when_memory_runs_out(void **state)
{
	uint64_t seed;

	(void)state;
	log_set_level(LOG_ERROR);
	for (seed = 1; seed <= 60; seed++)
		run_seed(seed, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		every_message_comes_or_its_loss_is_told, chance_teardown),
	    cmocka_unit_test_teardown(
		also_when_memory_runs_out, chance_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
