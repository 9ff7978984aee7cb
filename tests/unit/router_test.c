/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/err.h"
#include "base/log.h"
#include "chance.h"
#include "faults.h"
#include "route/router.h"

#define LIMIT 4096
#define LANES 16
#define PEERS 6
#define TAGS 5
#define NS_PER_S UINT64_C(1000000000)

/* What everybody's messages are: whose, the how manieth, and of which tag. */
struct message {
	uint32_t sender;
	uint32_t seq;
	uint32_t tag;
	uint8_t rest[52];
};

struct peer {
	struct observer o;
	struct outlet outlet;
	struct outq out;
	/* For a peer with an outlet for each tag under LANES, and session. */
	bool has_lanes;
	struct outlet lanes[2 * LANES];
	struct outq outs[2 * LANES];
	bool no_memory;
	int sessions_over;
	struct waiter w;
	uint32_t id;
	uint32_t seq;	       /* of its latest message */
	uint32_t heard[PEERS]; /* the latest of each sender */
	uint64_t came;
	int wakes;
	int evictions;
	int resumed;
	int again; /* how often to wait again */
};

static struct router_conf conf;
static struct router *r;
static struct peer peers[PEERS];
static uint64_t now;
static char order[64]; /* who was resumed, in order */

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct peer *p = arg;
	size_t i = session.len > 0 ? LANES + tag % LANES : tag % LANES;

	if (p->no_memory)
		return NULL;
	if (!p->has_lanes)
		return &p->outlet;
	if (p->lanes[i].observer == NULL) {
		outq_init(&p->outs[i], LIMIT);
		router_open_outlet(&p->lanes[i], &p->o, &p->outs[i]);
	}
	return &p->lanes[i];
}

static void
on_wake(void *arg, struct outlet *outlet)
{
	struct peer *p = arg;

	assert_ptr_equal(outlet->observer, &p->o);

	p->wakes++;
}

static void
on_evict(void *arg)
{
	struct peer *p = arg;

	p->evictions++;
}

static void
on_session_over(void *arg, struct outlet *outlet)
{
	struct peer *p = arg;

	assert_ptr_equal(outlet->observer, &p->o);
	p->sessions_over++;
}

static void
on_resume(void *arg)
{
	struct peer *p = arg;
	size_t n = strlen(order);

	p->resumed++;
	if (n + 1 < sizeof(order)) {
		order[n] = (char)('0' + p->id);
		order[n + 1] = '\0';
	}
	if (p->again > 0) {
		p->again--;
		router_wait(&peers[0].outlet, &p->w);
	}
}

static void
join(struct peer *p, const char *target)
{
	p->o.outlet = on_outlet;
	p->o.wake = on_wake;
	p->o.session_over = on_session_over;
	p->o.evict = on_evict;
	p->o.arg = p;
	p->o.name = "peer";
	p->o.evicted = false;
	p->o.delivered = 0;
	p->o.lost = (struct outq_loss){0};
	assert_int_equal(router_join(r, &p->o, view_of(target)), OK);
	router_open_outlet(&p->outlet, &p->o, &p->out);
}

static void
leave(struct peer *p)
{
	size_t i;

	router_unwait(&p->w);
	router_leave(r, &p->o);
	outq_fini(&p->out);
	for (i = 0; i < COUNT(p->outs); i++)
		outq_fini(&p->outs[i]);
}

static int
setup(void **state)
{
	uint32_t i;

	(void)state;
	log_set_level(LOG_ERROR);
	conf = (struct router_conf){0};
	now = 100 * NS_PER_S;
	order[0] = '\0';
	for (i = 0; i < PEERS; i++) {
		peers[i] = (struct peer){.id = i};
		peers[i].w =
		    (struct waiter){.resume = on_resume, .arg = &peers[i]};
		outq_init(&peers[i].out, LIMIT);
	}
	return router_new(&r, &conf);
}

static int
teardown(void **state)
{
	size_t i;

	for (i = 0; i < PEERS; i++)
		leave(&peers[i]);
	router_free(r);
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

static void
observe(struct peer *p, uint32_t tag)
{
	const struct observing what = {.tag = tag};

	assert_int_equal(router_observe(r, &p->o, &what, now), OK);
}

/* Send n messages of p on tag as one run. */
static int
send_run(struct peer *p, uint32_t tag, const char *target, uint32_t n,
    struct outlet **obstacle)
{
	size_t len = n * sizeof(struct message);
	struct slab *s = slab_new(len);
	struct message m = {.sender = p->id, .tag = tag};
	struct run run = {
	    .slab = s,
	    .len = len,
	    .tag = tag,
	    .count = n,
	    .sender = &p->o,
	};
	struct outcome out;
	uint32_t i;
	int result;

	/* As a target lies in the metadata. */
	memcpy(m.rest, target, strlen(target));
	for (i = 0; i < n; i++) {
		m.seq = p->seq + i + 1;
		memcpy(s->data + i * sizeof(m), &m, sizeof(m));
	}
	s->len = len;
	run.target = (struct view){
	    s->data + offsetof(struct message, rest), strlen(target)};
	result = router_send(r, &run, &out, now);
	*obstacle = out.obstacle;
	if (result == OK)
		p->seq += n;
	slab_unref(s);
	return result;
}

static void
send_one(struct peer *p, uint32_t tag, const char *target)
{
	struct outlet *obstacle;

	assert_int_equal(send_run(p, tag, target, 1, &obstacle), OK);
	assert_null(obstacle);
}

static void
hear(struct peer *p, const uint8_t *bytes)
{
	struct message m;

	memcpy(&m, bytes, sizeof(m));
	assert_true(m.sender < PEERS);
	assert_true(m.seq > p->heard[m.sender]);
	p->heard[m.sender] = m.seq;
	p->came++;
}

/* Take up to n whole messages off p's queue, as its link does. */
static void
take(struct peer *p, size_t n)
{
	struct iovec v;
	size_t at;

	while (n > 0 && outq_pull(&p->out, &v, 1) == 1) {
		assert_int_equal(v.iov_len % sizeof(struct message), 0);
		for (at = 0; at < v.iov_len && n > 0; n--) {
			hear(p, (const uint8_t *)v.iov_base + at);
			at += sizeof(struct message);
		}
		outq_sent(&p->out, at);
		outq_acked(&p->out, at);
	}
}

/* Everything that fits into p's queue, from sender on tag. */
static void
fill(struct peer *sender, uint32_t tag, struct peer *p)
{
	while (outq_fits(&p->out, NULL, sizeof(struct message)))
		send_one(sender, tag, "");
}

/* --- who gets what
 * -------------------------------------------------------------- */

static void
a_message_goes_to_all_who_observe_its_tag(void **state)
{
	(void)state;
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	join(&peers[3], NULL);
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	observe(&peers[3], 8);
	send_one(&peers[0], 7, "");
	send_one(&peers[0], 8, "");
	send_one(&peers[0], 7, "");
	take(&peers[1], SIZE_MAX);
	take(&peers[2], SIZE_MAX);
	take(&peers[3], SIZE_MAX);
	assert_int_equal(peers[1].came, 2);
	assert_int_equal(peers[2].came, 2);
	assert_int_equal(peers[3].came, 1);
	assert_int_equal(peers[1].wakes, 2);
	assert_int_equal(router_counts(r)->messages, 3);
	assert_int_equal(router_counts(r)->delivered, 5);
	assert_int_equal(router_counts(r)->unobserved, 0);
}

static void
who_observes_what_it_sends_gets_it_too(void **state)
{
	(void)state;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	send_one(&peers[1], 7, "");
	take(&peers[1], SIZE_MAX);
	assert_int_equal(peers[1].came, 1);
}

static void
to_observe_twice_is_to_observe_once(void **state)
{
	(void)state;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	observe(&peers[1], 7);
	send_one(&peers[0], 7, "");
	assert_int_equal(router_counts(r)->delivered, 1);
	router_leave(r, &peers[1].o);
	send_one(&peers[0], 7, "");
	assert_int_equal(router_counts(r)->unobserved, 1);
}

static void
a_message_with_a_target_goes_to_those_who_want_it(void **state)
{
	(void)state;
	join(&peers[1], "a");
	join(&peers[2], "ab");
	join(&peers[3], NULL);
	join(&peers[4], "a");
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	observe(&peers[3], 7);
	observe(&peers[4], 8);
	send_one(&peers[0], 7, "a");
	assert_int_equal(peers[1].o.delivered, 1);
	assert_int_equal(peers[2].o.delivered, 0);
	assert_int_equal(peers[3].o.delivered, 0);
	assert_int_equal(peers[4].o.delivered, 0);
	send_one(&peers[0], 7, "b");
	assert_int_equal(router_counts(r)->unobserved, 1);
	send_one(&peers[0], 7, "");
	assert_int_equal(router_counts(r)->delivered, 1 + 3);
}

static void
who_observes_everything_gets_everything(void **state)
{
	uint32_t tag;

	(void)state;
	join(&peers[1], NULL);
	assert_int_equal(router_observe_all(r, &peers[1].o), OK);
	for (tag = 0; tag < 20; tag++)
		send_one(&peers[0], tag * 12345, tag % 2 == 0 ? "" : "x");
	assert_int_equal(peers[1].o.delivered, 20);
	assert_int_equal(router_counts(r)->unobserved, 0);
	router_leave(r, &peers[1].o);
	send_one(&peers[0], 0, "");
	assert_int_equal(router_counts(r)->unobserved, 1);
}

static void
many_tags_are_told_apart(void **state)
{
	uint32_t i, tag;

	(void)state;
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	peers[1].out.limit = peers[2].out.limit = SIZE_MAX;
	for (i = 0; i < 4096; i++)
		observe(&peers[1 + i % 2], i * 0x10001);
	for (i = 0; i < 4096; i++) {
		tag = i * 0x10001;
		send_one(&peers[0], tag, "");
		assert_int_equal(peers[1 + i % 2].o.delivered, 1 + i / 2);
		send_one(&peers[0], tag + 1 + (tag == 0), "");
	}
	assert_int_equal(router_counts(r)->unobserved, 4096);
}

static void
who_left_gets_nothing(void **state)
{
	(void)state;
	join(&peers[1], "t");
	observe(&peers[1], 1);
	observe(&peers[1], 2);
	router_leave(r, &peers[1].o);
	router_leave(r, &peers[1].o);
	router_leave(r, &peers[2].o); /* never joined */
	send_one(&peers[0], 1, "");
	send_one(&peers[0], 2, "t");
	assert_int_equal(router_counts(r)->unobserved, 2);
	join(&peers[1], NULL);
	observe(&peers[1], 1);
	send_one(&peers[0], 1, "");
	assert_int_equal(peers[1].o.delivered, 1);
}

/* --- a queue that is full
 * -------------------------------------------------------------- */

static const struct policy_range ranges[] = {
    {0, 9, POLICY_DISCONNECT},
    {5, 6, POLICY_BLOCK},
    {6, 6, POLICY_DROP_OLD},
};

static void
the_last_range_that_has_a_tag_decides(void **state)
{
	struct outlet *obstacle;

	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	join(&peers[1], NULL);
	observe(&peers[1], 4);
	observe(&peers[1], 5);
	observe(&peers[1], 6);
	observe(&peers[1], 10);
	fill(&peers[0], 5, &peers[1]);
	assert_int_equal(send_run(&peers[0], 5, "", 1, &obstacle), ERR_MORE);
	assert_int_equal(send_run(&peers[0], 10, "", 1, &obstacle), ERR_MORE);
	assert_int_equal(send_run(&peers[0], 6, "", 1, &obstacle), OK);
	assert_int_equal(peers[1].o.lost.messages, 1);
	assert_int_equal(peers[1].evictions, 0);
	assert_int_equal(send_run(&peers[0], 4, "", 1, &obstacle), OK);
	assert_int_equal(peers[1].evictions, 1);
}

static void
when_one_blocks_nobody_gets_the_message(void **state)
{
	struct outlet *obstacle;
	struct router_counts before;

	(void)state;
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	join(&peers[3], NULL);
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	observe(&peers[2], 8);
	assert_int_equal(router_observe_all(r, &peers[3].o), OK);
	peers[3].out.limit = SIZE_MAX;
	fill(&peers[0], 8, &peers[2]);
	before = *router_counts(r);
	assert_int_equal(send_run(&peers[0], 7, "", 1, &obstacle), ERR_MORE);
	assert_ptr_equal(obstacle, &peers[2].outlet);
	assert_int_equal(peers[1].o.delivered, 0);
	assert_memory_equal(router_counts(r), &before, sizeof(before));
	take(&peers[2], SIZE_MAX);
	assert_int_equal(send_run(&peers[0], 7, "", 1, &obstacle), OK);
	assert_null(obstacle);
	assert_int_equal(peers[1].o.delivered, 1);
}

static void
who_does_not_want_a_target_is_not_waited_for(void **state)
{
	(void)state;
	join(&peers[1], "a");
	join(&peers[2], "b");
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	while (outq_fits(&peers[1].out, NULL, sizeof(struct message)))
		send_one(&peers[0], 7, "a");
	send_one(&peers[0], 7, "b");
	assert_int_equal(peers[2].o.delivered, 1);
}

static void
who_observes_everything_blocks_by_the_policy_of_the_tag(void **state)
{
	struct outlet *obstacle;

	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	join(&peers[1], NULL);
	assert_int_equal(router_observe_all(r, &peers[1].o), OK);
	fill(&peers[0], 5, &peers[1]);
	assert_int_equal(send_run(&peers[0], 5, "", 1, &obstacle), ERR_MORE);
	assert_ptr_equal(obstacle, &peers[1].outlet);
	assert_int_equal(send_run(&peers[0], 6, "", 1, &obstacle), OK);
}

static void
nobody_waits_for_itself(void **state)
{
	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	join(&peers[1], NULL);
	observe(&peers[1], 5);
	observe(&peers[1], 4);
	fill(&peers[1], 5, &peers[1]);
	send_one(&peers[1], 5, "");
	assert_int_equal(peers[1].o.lost.messages, 1);
	assert_int_equal(peers[1].o.lost.bytes, sizeof(struct message));
	send_one(&peers[1], 4, "");
	assert_int_equal(peers[1].o.lost.messages, 2);
	assert_int_equal(peers[1].evictions, 0);
	assert_int_equal(router_counts(r)->lost.messages, 2);
}

static void
who_drops_what_is_old_gets_the_newest(void **state)
{
	int i;

	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	join(&peers[1], NULL);
	observe(&peers[1], 6);
	for (i = 0; i < 1000; i++)
		send_one(&peers[i % 2], 6, "");
	assert_int_equal(peers[1].o.delivered + peers[1].o.lost.messages, 1000);
	assert_int_equal(router_counts(r)->lost.bytes,
	    router_counts(r)->lost.messages * sizeof(struct message));
	take(&peers[1], SIZE_MAX);
	assert_int_equal(peers[1].came, peers[1].o.delivered);
	assert_int_equal(peers[1].heard[0], 500);
	assert_int_equal(peers[1].heard[1], 500);
}

/* It is told once, however much comes before it has gone. */
static void
who_is_too_slow_is_sent_away_once(void **state)
{
	int i;

	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	join(&peers[1], NULL);
	observe(&peers[1], 4);
	fill(&peers[0], 4, &peers[1]);
	for (i = 0; i < 3; i++)
		send_one(&peers[0], 4, "");
	assert_int_equal(peers[1].evictions, 1);
	assert_int_equal(router_counts(r)->evicted, 1);
	assert_int_equal(peers[1].o.lost.messages, 3);
}

/* --- waiting
 * -------------------------------------------------------------- */

static void
block(struct peer *p)
{
	struct outlet *obstacle;

	assert_int_equal(send_run(p, 7, "", 1, &obstacle), ERR_MORE);
	router_wait(obstacle, &p->w);
}

static void
those_who_wait_are_resumed_in_order_at_half(void **state)
{
	size_t n;

	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	n = peers[0].out.n;
	block(&peers[3]);
	block(&peers[1]);
	block(&peers[2]);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "");
	take(&peers[0], peers[0].o.delivered / 2 - n % 2 - 1);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "");
	take(&peers[0], 3);
	assert_true(peers[0].out.charge <= LIMIT / 2);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "312");
	assert_null(peers[3].w.on);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "312");
}

static void
who_waits_again_has_to_wait(void **state)
{
	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	block(&peers[1]);
	block(&peers[2]);
	peers[1].again = 1;
	take(&peers[0], SIZE_MAX);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "12");
	assert_ptr_equal(peers[1].w.on, &peers[0].outlet);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "121");
}

static void
who_no_longer_waits_is_not_resumed(void **state)
{
	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	block(&peers[1]);
	block(&peers[2]);
	router_unwait(&peers[1].w);
	router_unwait(&peers[1].w);
	take(&peers[0], SIZE_MAX);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "2");
}

static struct waiter *to_unwait;

static void
unwait_other(void *arg)
{
	(void)arg;
	router_unwait(to_unwait);
}

static void
one_who_is_resumed_may_end_the_waiting_of_another(void **state)
{
	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	peers[1].w.resume = unwait_other;
	to_unwait = &peers[3].w;
	block(&peers[1]);
	block(&peers[2]);
	block(&peers[3]);
	take(&peers[0], SIZE_MAX);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "2");
	fill(&peers[1], 7, &peers[0]);
	block(&peers[4]);
	take(&peers[0], SIZE_MAX);
	router_room(&peers[0].outlet);
	assert_string_equal(order, "24");
}

static void
those_who_wait_for_one_who_leaves_are_resumed(void **state)
{
	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	block(&peers[1]);
	block(&peers[2]);
	leave(&peers[0]);
	assert_string_equal(order, "12");
	send_one(&peers[1], 7, "");
	assert_int_equal(router_counts(r)->unobserved, 1);
}

/* --- what is held for a first observer
 * -------------------------------------------------------------- */

static void
nothing_is_held_unless_asked_for(void **state)
{
	(void)state;
	send_one(&peers[0], 7, "");
	assert_int_equal(router_counts(r)->held, 0);
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	assert_int_equal(peers[1].o.delivered, 0);
}

static void
hold(uint64_t bytes, uint64_t ns)
{
	router_free(r);
	conf.hold_bytes = bytes;
	conf.hold_ns = ns;
	assert_int_equal(router_new(&r, &conf), OK);
}

static void
the_first_observer_gets_what_was_held_in_order(void **state)
{
	int i;

	(void)state;
	hold(1u << 20, 0);
	for (i = 0; i < 5; i++) {
		send_one(&peers[0], 7, "");
		send_one(&peers[0], 8, "");
	}
	assert_int_equal(router_counts(r)->unobserved, 10);
	assert_int_equal(router_counts(r)->held, 10);
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	observe(&peers[2], 8);
	send_one(&peers[0], 7, "");
	take(&peers[1], SIZE_MAX);
	take(&peers[2], SIZE_MAX);
	assert_int_equal(peers[1].came, 6);
	assert_int_equal(peers[2].came, 6);
}

static void
the_newest_are_held_within_the_limit(void **state)
{
	int i;

	(void)state;
	hold(10000, 0);
	for (i = 0; i < 1000; i++) {
		send_one(&peers[0], (uint32_t)(7 + i % 3), "");
		assert_true(slab_total() < 10000);
	}
	join(&peers[1], NULL);
	peers[1].out.limit = SIZE_MAX;
	observe(&peers[1], 7);
	take(&peers[1], SIZE_MAX);
	assert_true(peers[1].came > 0 && peers[1].came < 60);
	assert_int_equal(peers[1].heard[0], 1000);
}

static void
what_no_hold_can_take_is_let_go(void **state)
{
	struct outlet *obstacle;

	(void)state;
	hold(1000, 0);
	send_one(&peers[0], 7, "");
	assert_int_equal(send_run(&peers[0], 7, "", 100, &obstacle), OK);
	assert_int_equal(router_counts(r)->held, 1);
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	assert_int_equal(peers[1].o.delivered, 1);
}

static void
what_is_held_expires(void **state)
{
	(void)state;
	hold(1u << 20, NS_PER_S);
	send_one(&peers[0], 7, "");
	now += NS_PER_S;
	send_one(&peers[0], 7, "");
	now += 1;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	assert_int_equal(peers[1].o.delivered, 1);
	take(&peers[1], SIZE_MAX);
	assert_int_equal(peers[1].heard[0], 2);
}

static void
what_is_held_for_a_target_waits_for_it(void **state)
{
	(void)state;
	hold(1u << 20, 0);
	send_one(&peers[0], 7, "a");
	send_one(&peers[0], 7, "");
	send_one(&peers[0], 7, "b");
	send_one(&peers[0], 7, "a");
	join(&peers[1], "b");
	observe(&peers[1], 7);
	assert_int_equal(peers[1].o.delivered, 2);
	join(&peers[2], "a");
	observe(&peers[2], 7);
	assert_int_equal(peers[2].o.delivered, 2);
	take(&peers[2], SIZE_MAX);
	assert_int_equal(peers[2].heard[0], 4);
}

/* More than its queue takes: those that are worth most. */
static void
a_first_observer_with_little_room_gets_the_newest(void **state)
{
	int i;

	(void)state;
	hold(1u << 20, 0);
	for (i = 0; i < 1000; i++)
		send_one(&peers[0], 7, "");
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	assert_int_equal(peers[1].o.delivered + peers[1].o.lost.messages, 1000);
	take(&peers[1], SIZE_MAX);
	assert_int_equal(peers[1].came, peers[1].o.delivered);
	assert_int_equal(peers[1].heard[0], 1000);
}

/* Who observes one of two tags that are held does not pay for the other. */
static void
much_that_is_held_is_found_at_once(void **state)
{
	uint32_t i;

	(void)state;
	hold(64u << 20, 0);
	for (i = 0; i < 100000; i++)
		send_one(&peers[0], i < 50000 ? 7 : 8, i % 2 == 0 ? "x" : "");
	join(&peers[1], NULL);
	peers[1].out.limit = SIZE_MAX;
	for (i = 0; i < 4096; i++)
		observe(&peers[1], 1000 + i);
	observe(&peers[1], 8);
	assert_int_equal(peers[1].o.delivered, 25000);
}

/* --- outlets
 * -------------------------------------------------------------- */

static void
fill_lane(struct peer *p, uint32_t tag)
{
	do
		send_one(&peers[0], tag, "");
	while (outq_fits(&p->outs[tag], NULL, sizeof(struct message)));
}

static void
a_tag_waits_for_its_own_outlet(void **state)
{
	struct outlet *obstacle;

	(void)state;
	peers[1].has_lanes = true;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	observe(&peers[1], 8);
	fill_lane(&peers[1], 7);
	assert_int_equal(send_run(&peers[0], 7, "", 1, &obstacle), ERR_MORE);
	assert_ptr_equal(obstacle, &peers[1].lanes[7]);
	router_wait(obstacle, &peers[0].w);
	fill_lane(&peers[1], 8);
	assert_int_equal(send_run(&peers[0], 8, "", 1, &obstacle), ERR_MORE);
	assert_ptr_equal(obstacle, &peers[1].lanes[8]);
	router_wait(obstacle, &peers[2].w);
	outq_sent(&peers[1].outs[8], peers[1].outs[8].bytes);
	outq_acked(&peers[1].outs[8], peers[1].outs[8].bytes);
	router_room(&peers[1].lanes[8]);
	assert_string_equal(order, "2");
	router_unwait(&peers[0].w);
}

static void
an_outlet_that_is_closed_is_asked_for_again(void **state)
{
	struct outlet *obstacle;

	(void)state;
	peers[1].has_lanes = true;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	fill_lane(&peers[1], 7);
	block(&peers[3]);
	router_close_outlet(r, &peers[1].lanes[7]);
	router_close_outlet(r, &peers[1].lanes[7]);
	assert_string_equal(order, "3");
	outq_fini(&peers[1].outs[7]);
	assert_int_equal(send_run(&peers[0], 7, "", 1, &obstacle), OK);
	assert_int_equal(peers[1].lanes[7].queued, 1);
}

static void
an_outlet_without_memory_is_a_loss(void **state)
{
	(void)state;
	peers[1].has_lanes = true;
	peers[1].no_memory = true;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	send_one(&peers[0], 7, "");
	assert_int_equal(peers[1].o.lost.messages, 1);
	peers[1].no_memory = false;
	send_one(&peers[0], 7, "");
	assert_int_equal(peers[1].o.delivered, 1);
	assert_int_equal(router_counts(r)->lost.messages, 1);
}

static void
send_of_session(uint32_t tag, bool ends)
{
	static const uint8_t name[] = "a";
	struct slab *s = slab_new(100);
	struct run run = {
	    .slab = s,
	    .len = 100,
	    .tag = tag,
	    .count = 1,
	    .session = {name, 1},
	    .session_ends = ends,
	};
	struct outcome out;

	s->len = 100;
	memset(s->data, 0, 100);
	assert_int_equal(router_send(r, &run, &out, now), OK);
	slab_unref(s);
}

static void
a_session_has_its_own_outlet_and_ends_in_it(void **state)
{
	(void)state;
	hold(1u << 20, 0);
	send_of_session(7, false); /* held with its session */
	peers[1].has_lanes = true;
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	send_of_session(7, false);
	send_one(&peers[0], 7, "");
	assert_int_equal(peers[1].sessions_over, 0);
	send_of_session(7, true);
	assert_int_equal(peers[1].lanes[7].queued, 1);
	assert_int_equal(peers[1].lanes[LANES + 7].queued, 3);
	assert_int_equal(peers[1].sessions_over, 1);
	assert_int_equal(peers[2].outlet.queued, 3);
	assert_int_equal(peers[2].sessions_over, 1);
}

static void
who_observes_no_longer_gets_nothing_new(void **state)
{
	(void)state;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	observe(&peers[1], 8);
	assert_int_equal(peers[1].o.n_subs, 2);
	router_unobserve(r, &peers[1].o, 7);
	router_unobserve(r, &peers[1].o, 7);
	router_unobserve(r, &peers[2].o, 8);
	assert_int_equal(peers[1].o.n_subs, 1);
	send_one(&peers[0], 7, "");
	send_one(&peers[0], 8, "");
	assert_int_equal(peers[1].o.delivered, 1);
	assert_int_equal(router_counts(r)->unobserved, 1);
}

static void
those_who_wait_for_one_who_changes_its_mind_are_resumed(void **state)
{
	struct observing what = {.tag = 7, .asked = POLICY_DROP_OLD};

	(void)state;
	join(&peers[0], NULL);
	observe(&peers[0], 7);
	fill(&peers[1], 7, &peers[0]);
	block(&peers[1]);
	block(&peers[2]);
	assert_int_equal(router_observe(r, &peers[0].o, &what, now), OK);
	assert_string_equal(order, "12");
	observe(&peers[0], 7);
	block(&peers[3]);
	router_unobserve(r, &peers[0].o, 7);
	assert_string_equal(order, "123");
}

static void
the_weaker_promise_of_rule_and_wish_holds(void **state)
{
	static const struct {
		uint32_t tag; /* as in ranges */
		enum policy asked;
		int result;
		int evictions;
	} cases[] = {
	    {5, POLICY_BLOCK, ERR_MORE, 0},
	    {5, POLICY_DROP_OLD, OK, 0},
	    {5, POLICY_DISCONNECT, OK, 1},
	    {6, POLICY_BLOCK, OK, 0},
	    {6, POLICY_DISCONNECT, OK, 1},
	    {4, POLICY_BLOCK, OK, 1},
	    {4, POLICY_DROP_OLD, OK, 1},
	};
	struct observing what;
	struct outlet *obstacle;
	size_t i;

	(void)state;
	conf.policies = ranges;
	conf.n_policies = COUNT(ranges);
	for (i = 0; i < COUNT(cases); i++) {
		outq_init(&peers[1].out, LIMIT);
		peers[1].evictions = 0;
		join(&peers[1], NULL);
		what = (struct observing){
		    .tag = cases[i].tag, .asked = cases[i].asked};
		assert_int_equal(
		    router_observe(r, &peers[1].o, &what, now), OK);
		fill(&peers[0], cases[i].tag, &peers[1]);
		router_reload(r);
		assert_int_equal(
		    send_run(&peers[0], cases[i].tag, "", 1, &obstacle),
		    cases[i].result);
		assert_int_equal(peers[1].evictions, cases[i].evictions);
		leave(&peers[1]);
	}
}

/* --- what is lost is told
 * -------------------------------------------------------------- */

static void
who_takes_nothing_is_not_told_of_ever_more_tags(void **state)
{
	static const struct policy_range drops[] = {
	    {0, UINT32_MAX, POLICY_DROP_OLD},
	};
	uint32_t tag;

	(void)state;
	conf.policies = drops;
	conf.n_policies = COUNT(drops);
	peers[1].o.tells_gaps = true;
	join(&peers[1], NULL);
	assert_int_equal(router_observe_all(r, &peers[1].o), OK);
	for (tag = 0; tag < 1000; tag++)
		send_one(&peers[0], tag, "");
	assert_int_equal(peers[1].evictions, 1);
	assert_int_equal(peers[1].o.delivered + peers[1].o.lost.messages, 1000);
	for (tag = 0; tag < 1000; tag++)
		send_one(&peers[0], tag % 3, "");
	assert_int_equal(peers[1].evictions, 1);
}

static void
a_loss_that_cannot_be_told_is_told_later(void **state)
{
	(void)state;
	peers[1].o.tells_gaps = true;
	peers[1].no_memory = true;
	join(&peers[1], NULL);
	observe(&peers[1], 7);
	send_one(&peers[0], 7, "");
	router_tick(r);
	assert_true(peers[1].o.owes);
	peers[1].no_memory = false;
	router_tick(r);
	assert_false(peers[1].o.owes);
	assert_int_equal(peers[1].out.n_gaps, 1);
	assert_int_equal(peers[1].wakes, 1);
	peers[1].no_memory = true;
	observe(&peers[1], 8);
	send_one(&peers[0], 8, "");
	assert_int_equal(peers[1].evictions, 0);
	router_unobserve(r, &peers[1].o, 8);
	assert_int_equal(peers[1].evictions, 1);
}

/* --- memory that runs out
 * -------------------------------------------------------------- */

static int
join_and_observe(void)
{
	struct observing what = {0};
	int result;

	peers[1].o.outlet = on_outlet;
	peers[1].o.wake = on_wake;
	peers[1].o.arg = &peers[1];
	peers[1].o.name = "peer";
	if ((result = router_join(r, &peers[1].o, view_of("t"))) != OK)
		return result;
	router_open_outlet(&peers[1].outlet, &peers[1].o, &peers[1].out);
	for (what.tag = 0; what.tag < 40; what.tag++) {
		result = router_observe(r, &peers[1].o, &what, now);
		if (result != OK)
			return result;
	}
	return OK;
}

static void
without_memory_nobody_observes_by_half(void **state)
{
	bool hit = true;
	uint32_t tag;
	size_t n;
	int result;

	(void)state;
	hold(1u << 20, 0);
	for (n = 1; hit; n++) {
		send_one(&peers[0], 3, "");
		faults_at(n);
		result = join_and_observe();
		hit = faults_hit();
		faults_off();
		/* What was held, or an expanding table, may be lost instead. */
		assert_true(result == OK || (hit && result == ERR_NOMEM));
		router_leave(r, &peers[1].o);
		for (tag = 0; tag < 40; tag++)
			send_one(&peers[0], tag, "");
		assert_int_equal(peers[1].o.subs.tqh_first == NULL, true);
	}
	assert_true(n > 80);
}

static void
without_memory_a_message_is_not_held(void **state)
{
	bool hit = true;
	size_t n;

	(void)state;
	hold(1u << 20, 0);
	for (n = 2; hit; n++) {
		faults_at(n); /* the first is our own */
		send_one(&peers[0], (uint32_t)n, "");
		hit = faults_hit();
		faults_off();
		assert_int_equal(router_counts(r)->unobserved, n - 1);
		assert_int_equal(router_counts(r)->held, hit ? 0 : 1);
	}
	assert_int_equal(n, 8); /* entry, slab, shelf, its table of two parts */
}

static void
without_memory_a_message_is_lost_and_counted(void **state)
{
	bool hit = true;
	size_t n;

	(void)state;
	join(&peers[1], NULL);
	join(&peers[2], NULL);
	observe(&peers[1], 7);
	observe(&peers[2], 7);
	for (n = 2; hit; n++) {
		faults_at(n); /* the first is our own */
		send_one(&peers[0], 7, "");
		hit = faults_hit();
		faults_off();
		outq_trim(&peers[1].out);
		take(&peers[1], SIZE_MAX);
		take(&peers[2], SIZE_MAX);
		outq_trim(&peers[1].out);
		outq_trim(&peers[2].out);
		assert_int_equal(router_counts(r)->delivered +
				     router_counts(r)->lost.messages,
		    2 * (n - 1));
		assert_int_equal(router_counts(r)->lost.messages, n - 1 - !hit);
	}
	assert_true(n > 3);
}

static void
policies_have_names(void **state)
{
	enum policy p, again;

	(void)state;
	for (p = POLICY_BLOCK; p <= POLICY_DISCONNECT; p++) {
		assert_int_equal(policy_of(policy_name(p), &again), OK);
		assert_int_equal(p, again);
	}
	assert_int_equal(policy_of("drop", &again), ERR_NONE);
	assert_int_equal(policy_of("", &again), ERR_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_message_goes_to_all_who_observe_its_tag),
	    TEST(who_observes_what_it_sends_gets_it_too),
	    TEST(to_observe_twice_is_to_observe_once),
	    TEST(a_message_with_a_target_goes_to_those_who_want_it),
	    TEST(who_observes_everything_gets_everything),
	    TEST(many_tags_are_told_apart),
	    TEST(who_left_gets_nothing),
	    TEST(the_last_range_that_has_a_tag_decides),
	    TEST(when_one_blocks_nobody_gets_the_message),
	    TEST(who_does_not_want_a_target_is_not_waited_for),
	    TEST(who_observes_everything_blocks_by_the_policy_of_the_tag),
	    TEST(nobody_waits_for_itself),
	    TEST(who_drops_what_is_old_gets_the_newest),
	    TEST(who_is_too_slow_is_sent_away_once),
	    TEST(those_who_wait_are_resumed_in_order_at_half),
	    TEST(who_waits_again_has_to_wait),
	    TEST(who_no_longer_waits_is_not_resumed),
	    TEST(one_who_is_resumed_may_end_the_waiting_of_another),
	    TEST(those_who_wait_for_one_who_leaves_are_resumed),
	    TEST(nothing_is_held_unless_asked_for),
	    TEST(the_first_observer_gets_what_was_held_in_order),
	    TEST(the_newest_are_held_within_the_limit),
	    TEST(what_no_hold_can_take_is_let_go),
	    TEST(what_is_held_expires),
	    TEST(what_is_held_for_a_target_waits_for_it),
	    TEST(a_first_observer_with_little_room_gets_the_newest),
	    TEST(much_that_is_held_is_found_at_once),
	    TEST(a_tag_waits_for_its_own_outlet),
	    TEST(an_outlet_that_is_closed_is_asked_for_again),
	    TEST(an_outlet_without_memory_is_a_loss),
	    TEST(a_session_has_its_own_outlet_and_ends_in_it),
	    TEST(who_observes_no_longer_gets_nothing_new),
	    TEST(those_who_wait_for_one_who_changes_its_mind_are_resumed),
	    TEST(the_weaker_promise_of_rule_and_wish_holds),
	    TEST(who_takes_nothing_is_not_told_of_ever_more_tags),
	    TEST(a_loss_that_cannot_be_told_is_told_later),
	    TEST(without_memory_nobody_observes_by_half),
	    TEST(without_memory_a_message_is_not_held),
	    TEST(without_memory_a_message_is_lost_and_counted),
	    TEST(policies_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
