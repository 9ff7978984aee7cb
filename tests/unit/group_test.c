/* SPDX-License-Identifier: ISC */
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

#define LIMIT 4096
#define PEERS 5
#define TAGS 3
#define WAYS (1 + TAGS)
#define FRAME_MAX 200
#define MESSAGES 8192
#define NS_PER_S UINT64_C(1000000000)

/* An outlet, and who listens at its end. */
struct way {
	struct outlet outlet;
	struct outq out;
	uint8_t part[FRAME_MAX]; /* of a frame */
	size_t len;
	uint64_t came;
	uint64_t taken;
};

struct peer {
	struct observer o;
	struct way *ways[WAYS]; /* for all tags, or for each */
	bool has_lanes;
	struct waiter w;
	uint32_t id;
	const char *group[TAGS];
	unsigned prefetch[TAGS];
	bool observes[TAGS];
	uint32_t log[64]; /* numbers of messages that came */
	size_t n;
};

static struct router_conf conf;
static struct router *r;
static struct peer peers[PEERS];
static uint64_t now;
static size_t limit;	/* of the queues of outlets */
static uint32_t number; /* of the latest message */
static uint32_t interest[TAGS];
static uint64_t told; /* by gaps */

/* How often each message came to a group, or to those who have none. */
static struct {
	uint32_t tag;
	uint32_t meant[3];
	uint32_t came[3];
} all[MESSAGES];

/* --- a peer
 * -------------------------------------------------------------- */

static size_t
index_of(const char *group)
{
	return group == NULL ? 0 : group[0] == 'a' ? 1 : 2;
}

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct peer *p = arg;
	struct way **way = &p->ways[p->has_lanes ? 1 + tag : 0];

	assert_true(session.len == 0 || p->group[tag] == NULL);
	if (*way == NULL) {
		if ((*way = calloc(1, sizeof(**way))) == NULL)
			return NULL;
		outq_init(&(*way)->out, limit);
		router_open_outlet(&(*way)->outlet, &p->o, &(*way)->out);
	}
	return &(*way)->outlet;
}

static void
on_wake(void *arg, struct outlet *outlet)
{
	struct peer *p = arg;

	assert_ptr_equal(outlet->observer, &p->o);
}

static void
on_evict(void *arg)
{
	(void)arg;
	fail();
}

static void
on_resume(void *arg)
{
	(void)arg;
}

static void
on_interest(void *arg, uint32_t tag, uint32_t observers)
{
	assert_ptr_equal(arg, &conf);
	assert_int_equal(router_observers(r, tag), observers);
	interest[tag] = observers;
}

static void
hear(struct peer *p, const struct frame *f)
{
	struct data_frame d;
	struct gap_frame g;
	uint32_t n;

	if (f->type == FRAME_GAP) {
		assert_int_equal(gap_frame_get(f->body, &g), OK);
		told += g.messages;
		return;
	}
	assert_int_equal(data_frame_get(f->body, &d), OK);
	assert_true(d.payload.len >= sizeof(n));
	memcpy(&n, d.payload.p, sizeof(n));
	assert_in_range(n, 1, number);
	if (n < MESSAGES) {
		assert_int_equal(all[n].tag, d.tag);
		all[n].came[index_of(p->group[d.tag])]++;
	}
	if (p->n < COUNT(p->log))
		p->log[p->n++] = n;
}

/* Its link takes up to n bytes, which are acknowledged. */
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
		outq_acked(&way->out, k);
		in = (struct view){way->part, way->len};
		while (frame_get(&in, FRAME_MAX, &f) == OK) {
			way->came += f.type == FRAME_DATA;
			hear(p, &f);
		}
		memmove(way->part, in.p, in.len);
		way->len = in.len;
	}
	router_room(&way->outlet);
}

/* It has taken n more messages, or all that came. */
static void
taken(struct way *way, uint64_t n)
{
	way->taken += n < way->came - way->taken ? n : way->came - way->taken;
	assert_int_equal(router_taken(r, &way->outlet, way->taken), OK);
}

static void
take_all(struct peer *p)
{
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (p->ways[i] != NULL)
			take(p, p->ways[i], SIZE_MAX);
}

static void
join(uint32_t i, const char *target)
{
	struct peer *p = &peers[i];

	p->o.outlet = on_outlet;
	p->o.wake = on_wake;
	p->o.evict = on_evict;
	p->o.arg = p;
	p->o.name = "peer";
	assert_int_equal(router_join(r, &p->o, view_of(target)), OK);
}

static int
observe_as(struct peer *p, uint32_t tag, const char *group, unsigned prefetch)
{
	const struct observing what = {
	    .tag = tag,
	    .asked = group != NULL ? POLICY_DISCONNECT : POLICY_BLOCK,
	    .group = group,
	    .prefetch = prefetch,
	};

	p->group[tag] = group;
	return router_observe(r, &p->o, &what, now);
}

static void
observe(uint32_t i, uint32_t tag, const char *group, unsigned prefetch)
{
	assert_int_equal(observe_as(&peers[i], tag, group, prefetch), OK);
}

/* Everybody in a group, on tag 1. */
static void
join_group(uint32_t n, unsigned prefetch)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		join(i, NULL);
		observe(i, 1, "a", prefetch);
	}
}

static void
begin(struct peer *p)
{
	p->w = (struct waiter){.resume = on_resume, .arg = p};
}

static void
close_way(struct peer *p, size_t i)
{
	struct way *way = p->ways[i];

	p->ways[i] = NULL;
	if (way == NULL)
		return;
	router_close_outlet(r, &way->outlet);
	outq_fini(&way->out);
	free(way);
}

static void
leave(struct peer *p)
{
	uint32_t id = p->id;
	size_t i;

	router_unwait(&p->w);
	router_leave(r, &p->o);
	for (i = 0; i < WAYS; i++)
		close_way(p, i);
	*p = (struct peer){.id = id};
	begin(p);
}

static int
setup(void **state)
{
	uint32_t i;

	(void)state;
	log_set_level(LOG_ERROR);
	conf = (struct router_conf){.interest = on_interest, .arg = &conf};
	now = 100 * NS_PER_S;
	limit = LIMIT;
	number = 0;
	told = 0;
	memset(all, 0, sizeof(all));
	memset(interest, 0, sizeof(interest));
	memset(peers, 0, sizeof(peers));
	for (i = 0; i < PEERS; i++) {
		peers[i].id = i;
		begin(&peers[i]);
	}
	return router_new(&r, &conf);
}

static int
teardown(void **state)
{
	size_t i;

	for (i = 0; i < PEERS; i++)
		leave(&peers[i]);
	assert_int_equal(router_counts(r)->left, 0);
	router_free(r);
	assert_int_equal(slab_total(), 0);
	for (i = 0; i < TAGS; i++)
		assert_int_equal(interest[i], 0);
	return chance_teardown(state);
}

/* --- messages
 * -------------------------------------------------------------- */

static struct slab *
message(uint32_t n, uint32_t tag, const char *target, size_t pad)
{
	const struct meta_pair pair = {view_of(META_TARGET), view_of(target)};
	struct slab *s = slab_new(FRAME_MAX + pad);
	uint8_t meta[64], payload[FRAME_MAX] = {0};
	struct data_frame d = {.tag = tag, .payload = {payload, 4 + pad}};

	memcpy(payload, &n, 4);
	if (target != NULL)
		d.meta = (struct view){
		    meta, (size_t)(meta_put(meta, &pair, 1) - meta)};
	s->len = (size_t)(data_frame_put(s->data, &d) - s->data);
	return s;
}

/* The number it would have is taken if it goes. */
static int
send_to(const struct peer *sender, uint32_t tag, const char *target,
    struct outcome *out)
{
	struct slab *s = message(number + 1, tag, target, 40);
	struct run run = {
	    .slab = s,
	    .len = s->len,
	    .tag = tag,
	    .count = 1,
	    .target = view_of(target),
	    .sender = sender != NULL ? &sender->o : NULL,
	};
	int result;

	if (++number < MESSAGES)
		all[number].tag = tag;
	result = router_send(r, &run, out, now);
	if (result != OK)
		number--;
	slab_unref(s);
	return result;
}

static void
send(uint32_t n)
{
	struct outcome out;

	while (n-- > 0)
		assert_int_equal(send_to(NULL, 1, NULL, &out), OK);
}

/* Nobody has room; p waits. */
static void
wait(struct peer *p)
{
	struct outcome out;

	router_unwait(&p->w);
	assert_int_equal(send_to(NULL, 1, NULL, &out), ERR_MORE);
	router_wait(out.obstacle, &p->w);
}

static bool
resumed(const struct peer *p)
{
	return p->w.on == NULL;
}

#define CAME(i, ...) came(i, (const uint32_t[]){__VA_ARGS__, 0})

/* What came to peer i, so far, are the messages of these numbers. */
static void
came(uint32_t i, const uint32_t *numbers)
{
	size_t n;

	take_all(&peers[i]);
	for (n = 0; numbers[n] != 0; n++)
		assert_int_equal(peers[i].log[n], numbers[n]);
	assert_int_equal(peers[i].n, n);
}

/* --- who gets a message
 * -------------------------------------------------------------- */

static void
each_message_goes_to_one_member_in_turn(void **state)
{
	(void)state;
	assert_false(router_is_shared(r, 1));
	join_group(3, 16);
	assert_true(router_is_shared(r, 1));
	assert_false(router_is_shared(r, 2));
	assert_int_equal(interest[1], 3);
	send(7);
	CAME(0, 1, 4, 7);
	CAME(1, 2, 5);
	CAME(2, 3, 6);
	assert_int_equal(router_counts(r)->delivered, 7);
}

static void
the_one_with_the_fewest_not_taken_comes_first(void **state)
{
	(void)state;
	join_group(3, 16);
	send(6);
	take_all(&peers[1]);
	taken(peers[1].ways[0], 2);
	send(3);
	CAME(1, 2, 5, 7, 8);
	CAME(0, 1, 4, 9);
	CAME(2, 3, 6);
}

static void
groups_and_those_who_have_none_get_all(void **state)
{
	(void)state;
	join_group(2, 16);
	join(2, NULL);
	observe(2, 1, "b", 16);
	join(3, NULL);
	observe(3, 1, NULL, 0);
	send(4);
	CAME(0, 1, 3);
	CAME(1, 2, 4);
	CAME(2, 1, 2, 3, 4);
	CAME(3, 1, 2, 3, 4);
}

static void
a_target_is_looked_for_in_the_group(void **state)
{
	struct outcome out;

	(void)state;
	join(0, NULL);
	join(1, "t");
	join(2, "t");
	observe(0, 1, "a", 1);
	observe(1, 1, "a", 2);
	observe(2, 1, "a", 1);
	assert_int_equal(send_to(NULL, 1, "t", &out), OK);
	assert_int_equal(send_to(NULL, 1, "t", &out), OK);
	assert_int_equal(send_to(NULL, 1, "t", &out), OK);
	assert_int_equal(send_to(NULL, 1, "t", &out), ERR_MORE);
	assert_ptr_not_equal(out.obstacle->observer, &peers[0].o);
	assert_int_equal(send_to(NULL, 1, "x", &out), OK);
	assert_int_equal(out.unobserved, 1);
	CAME(1, 1, 3);
	CAME(2, 2);
	/* What was for one who goes, and nobody else wants, is lost. */
	leave(&peers[1]);
	leave(&peers[2]);
	assert_int_equal(router_counts(r)->lost.messages, 3);
	CAME(0, 0);
}

/* --- no more than they may have
 * -------------------------------------------------------------- */

static void
when_all_have_their_prefetch_senders_wait(void **state)
{
	(void)state;
	join_group(2, 4);
	send(8);
	wait(&peers[3]);
	take_all(&peers[0]);
	take_all(&peers[1]);
	wait(&peers[3]);
	taken(peers[1].ways[0], 1);
	assert_false(resumed(&peers[3]));
	taken(peers[1].ways[0], 1); /* half of it, whoever the obstacle was */
	assert_true(resumed(&peers[3]));
	send(2);
	wait(&peers[3]);
	taken(peers[0].ways[0], 4);
	assert_true(resumed(&peers[3]));
}

static void
a_prefetch_of_none_is_one_and_has_a_limit(void **state)
{
	(void)state;
	join(0, NULL);
	observe(0, 1, "a", 0);
	send(1);
	wait(&peers[3]);
	observe(0, 1, "a", 3);
	assert_true(resumed(&peers[3]));
	send(2);
	wait(&peers[3]);
	leave(&peers[0]);
	limit = SIZE_MAX;
	join_group(1, UINT32_MAX);
	send(ROUTER_PREFETCH_MAX);
	wait(&peers[3]);
}

static void
the_name_of_a_group_has_a_limit(void **state)
{
	char name[ROUTER_GROUP_MAX + 2] = "a";

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	join(0, NULL);
	assert_int_equal(observe_as(&peers[0], 1, name, 1), ERR_LIMIT);
	assert_int_equal(interest[1], 0);
	observe(0, 1, name + 1, 1);
}

/* What is not taken takes no more memory than a queue. */
static void
what_is_not_taken_has_the_limit_of_a_queue(void **state)
{
	struct outcome out;
	uint32_t n;

	(void)state;
	join_group(1, 4096);
	do
		take_all(&peers[0]);
	while (send_to(NULL, 1, NULL, &out) == OK);
	n = number;
	assert_in_range(n, 10, 60);
	assert_true(slab_total() < 4 * LIMIT);
	taken(peers[0].ways[0], n);
	send(n);
	wait(&peers[3]);
}

static void
a_queue_that_is_full_is_passed_over(void **state)
{
	struct outcome out;

	(void)state;
	join_group(2, 1000);
	observe(0, 2, NULL, 0);
	do
		assert_int_equal(send_to(NULL, 2, NULL, &out), OK);
	while (outq_fits(&peers[0].ways[0]->out, NULL, 50));
	peers[1].n = 0;
	send(5);
	take_all(&peers[1]);
	assert_int_equal(peers[1].n, 5);
	while (send_to(NULL, 1, NULL, &out) == OK)
		;
	wait(&peers[3]);
	take_all(&peers[0]);
	assert_true(resumed(&peers[3]));
}

/* Wherever the sender waits. */
static void
one_whose_queue_has_room_again_is_enough(void **state)
{
	struct outcome out;
	struct peer *other;

	(void)state;
	join_group(2, 1000);
	while (send_to(NULL, 1, NULL, &out) == OK)
		;
	wait(&peers[3]);
	other = peers[3].w.on->observer == &peers[0].o ? &peers[1] : &peers[0];
	take_all(other);
	assert_false(resumed(&peers[3])); /* its stock is full */
	taken(other->ways[0], SIZE_MAX);
	assert_true(resumed(&peers[3]));
	while (send_to(NULL, 1, NULL, &out) == OK)
		;
	wait(&peers[3]);
	other = peers[3].w.on->observer == &peers[0].o ? &peers[1] : &peers[0];
	assert_int_equal(router_taken(r, &other->ways[0]->outlet,
			     other->ways[0]->outlet.queued),
	    OK);
	assert_false(resumed(&peers[3]));
	take_all(other);
	assert_true(resumed(&peers[3]));
}

static void
nobody_waits_for_itself(void **state)
{
	struct outcome out;

	(void)state;
	join_group(2, 1);
	send(2);
	assert_int_equal(send_to(&peers[0], 1, NULL, &out), OK);
	assert_int_equal(router_counts(r)->lost.messages, 1);
	wait(&peers[3]);
}

static void
nobody_takes_what_did_not_come(void **state)
{
	(void)state;
	join_group(1, 4);
	send(3);
	assert_int_equal(
	    router_taken(r, &peers[0].ways[0]->outlet, 4), ERR_BAD);
	take_all(&peers[0]);
	taken(peers[0].ways[0], 3);
	assert_int_equal(router_taken(r, &peers[0].ways[0]->outlet, 0), OK);
	send(4);
	wait(&peers[3]);
}

/* Drops would change what Taken counts. */
static void
nothing_is_dropped_where_messages_are_shared(void **state)
{
	const struct observing what = {.tag = 2, .asked = POLICY_DROP_OLD};
	struct way *way;
	struct outcome out;
	size_t n;

	(void)state;
	join_group(1, 1);
	assert_int_equal(router_observe(r, &peers[0].o, &what, now), OK);
	send(1);
	way = peers[0].ways[0];
	take_all(&peers[0]);
	taken(way, 1);
	assert_int_equal(send_to(NULL, 2, NULL, &out), OK);
	send(1);
	for (n = 0; n < 100; n++)
		assert_int_equal(send_to(NULL, 2, NULL, &out), OK);
	assert_in_range(peers[0].o.lost.messages, 20, 99);
	wait(&peers[3]);
	while (peers[0].log[peers[0].n - 1] != 3)
		take(&peers[0], way, 1);
	taken(way, SIZE_MAX);
	assert_int_equal(way->taken, 3);
	send(1);
	take_all(&peers[0]);
	assert_int_equal(way->came, way->outlet.queued);
}

/* As it may be stuck: there is a time limit for that. */
static void
who_takes_least_is_waited_for(void **state)
{
	struct outcome out;
	uint32_t i;

	(void)state;
	join_group(3, 2);
	send(6);
	for (i = 0; i < 3; i++)
		if (i != 1)
			take_all(&peers[i]);
	assert_int_equal(send_to(NULL, 1, NULL, &out), ERR_MORE);
	assert_ptr_equal(out.obstacle->observer, &peers[1].o);
}

/* --- members that go
 * -------------------------------------------------------------- */

static void
what_is_not_taken_goes_to_others_before_anything_new(void **state)
{
	(void)state;
	join_group(2, 4);
	send(8); /* 0: 1 3 5 7, 1: 2 4 6 8 */
	wait(&peers[3]);
	take_all(&peers[0]);
	taken(peers[0].ways[0], 1);
	leave(&peers[0]);
	assert_int_equal(router_counts(r)->left, 3);
	CAME(1, 2, 4, 6, 8);
	wait(&peers[3]);
	taken(peers[1].ways[0], 2);
	assert_int_equal(router_counts(r)->left, 1);
	assert_false(resumed(&peers[3])); /* before it is another */
	CAME(1, 2, 4, 6, 8, 3, 5);
	wait(&peers[3]);
	taken(peers[1].ways[0], 4);
	assert_int_equal(router_counts(r)->left, 0);
	assert_true(resumed(&peers[3]));
	send(1);
	CAME(1, 2, 4, 6, 8, 3, 5, 7, 9);
	assert_int_equal(router_counts(r)->delivered, 9);
	assert_int_equal(router_counts(r)->lost.messages, 0);
}

/* Or what only few can have would wait for ever. */
static void
nothing_new_overtakes_what_was_left(void **state)
{
	struct outcome out;

	(void)state;
	join(0, "t");
	join(1, "t");
	join(2, NULL);
	observe(0, 1, "a", 1);
	observe(1, 1, "a", 1);
	observe(2, 1, "a", 1);
	assert_int_equal(send_to(NULL, 1, "t", &out), OK);
	assert_int_equal(send_to(NULL, 1, "t", &out), OK);
	leave(&peers[0]);
	wait(&peers[3]);
	CAME(2, 0);
	CAME(1, 2);
	taken(peers[1].ways[0], 1);
	assert_false(resumed(&peers[3]) && router_counts(r)->left > 0);
	CAME(1, 2, 1);
	send(1);
	CAME(2, 3);
}

static void
who_comes_gets_what_others_left(void **state)
{
	(void)state;
	join_group(2, 2);
	send(4);
	leave(&peers[0]);
	join(2, NULL);
	observe(2, 1, "a", 1);
	CAME(2, 1);
	taken(peers[2].ways[0], 1);
	CAME(2, 1, 3);
}

static void
what_the_last_member_leaves_is_lost_and_counted(void **state)
{
	(void)state;
	join_group(2, 2);
	send(4);
	leave(&peers[0]);
	assert_int_equal(router_counts(r)->lost.messages, 0);
	assert_int_equal(router_counts(r)->left, 2);
	router_unobserve(r, &peers[1].o, 1); /* two are still its to take */
	assert_int_equal(router_counts(r)->lost.messages, 2);
	leave(&peers[1]);
	assert_int_equal(router_counts(r)->lost.messages, 4);
	assert_int_equal(router_counts(r)->delivered, 0);
	assert_int_equal(router_counts(r)->left, 0);
	send(1);
	assert_int_equal(router_counts(r)->unobserved, 1);
}

static void
who_observes_no_longer_may_take_what_it_has(void **state)
{
	(void)state;
	join_group(2, 2);
	send(4);
	router_unobserve(r, &peers[0].o, 1);
	router_unobserve(r, &peers[0].o, 1);
	assert_int_equal(interest[1], 1);
	assert_int_equal(router_counts(r)->left, 0);
	CAME(0, 1, 3);
	taken(peers[0].ways[0], 2);
	assert_int_equal(peers[0].o.n_subs, 0);
	leave(&peers[0]);
	CAME(1, 2, 4);
	taken(peers[1].ways[0], 2);
	router_unobserve(r, &peers[1].o, 1);
	assert_int_equal(router_counts(r)->lost.messages, 0);
	assert_false(router_is_shared(r, 1));
}

static void
what_it_does_not_take_goes_to_others_after_all(void **state)
{
	(void)state;
	join_group(2, 2);
	send(3); /* 0: 1 3 */
	router_unobserve(r, &peers[0].o, 1);
	take_all(&peers[0]);
	taken(peers[0].ways[0], 1);
	close_way(&peers[0], 0);
	assert_int_equal(peers[0].o.n_subs, 0);
	CAME(1, 2, 3);
}

static void
who_observes_again_has_what_it_had(void **state)
{
	(void)state;
	join_group(1, 2);
	send(2);
	router_unobserve(r, &peers[0].o, 1);
	send(1);
	assert_int_equal(router_counts(r)->unobserved, 1);
	observe(0, 1, "a", 2);
	wait(&peers[3]);
	CAME(0, 1, 2);
	taken(peers[0].ways[0], 2);
	assert_true(resumed(&peers[3]));
	send(1);
	CAME(0, 1, 2, 4);
}

static void
who_changes_its_group_leaves_what_it_had(void **state)
{
	(void)state;
	join_group(2, 2);
	send(4);
	observe(0, 1, "b", 2);
	assert_int_equal(router_counts(r)->left, 2);
	take_all(&peers[1]);
	taken(peers[1].ways[0], 2);
	take_all(&peers[1]);
	taken(peers[1].ways[0], 2);
	send(2);
	observe(0, 1, NULL, 0);
	observe(1, 1, NULL, 0);
	assert_false(router_is_shared(r, 1));
	assert_int_equal(interest[1], 2);
	send(1);
	assert_int_equal(peers[0].ways[0]->outlet.queued, 2 + 2 + 1);
}

static void
an_outlet_that_is_closed_gives_back_what_it_had(void **state)
{
	(void)state;
	peers[0].has_lanes = true;
	join_group(1, 4);
	send(3);
	take(&peers[0], peers[0].ways[2], 60);
	close_way(&peers[0], 2);
	assert_int_equal(router_counts(r)->left, 0);
	peers[0].n = 0;
	CAME(0, 1, 2, 3);
	assert_int_equal(peers[0].o.delivered, 3);
}

/* --- what was held
 * -------------------------------------------------------------- */

static void
what_was_held_is_shared_message_by_message(void **state)
{
	struct slab *s = slab_new(5 * (size_t)FRAME_MAX), *one;
	struct run run = {.slab = s, .tag = 1, .count = 5};
	struct outcome out;

	(void)state;
	router_free(r);
	conf.hold_bytes = 1u << 20;
	assert_int_equal(router_new(&r, &conf), OK);
	while (number < 5) {
		one = message(++number, 1, NULL, 40);
		all[number].tag = 1;
		memcpy(s->data + s->len, one->data, one->len);
		s->len += one->len;
		slab_unref(one);
	}
	run.len = s->len;
	assert_int_equal(router_send(r, &run, &out, now), OK);
	slab_unref(s);
	send(1);
	assert_int_equal(router_counts(r)->held, 6);
	join_group(2, 2);
	CAME(0, 1, 2);
	CAME(1, 3, 4);
	wait(&peers[3]);
	taken(peers[1].ways[0], 1);
	CAME(1, 3, 4, 5);
	taken(peers[1].ways[0], 2);
	CAME(1, 3, 4, 5, 6);
	assert_int_equal(router_counts(r)->left, 0);
	assert_true(resumed(&peers[3]));
}

/* --- memory that runs out
 * -------------------------------------------------------------- */

static void
without_memory_a_message_is_lost_and_counted(void **state)
{
	const struct router_counts *c = router_counts(r);
	struct outcome out;
	uint64_t lost = 0;
	bool hit = true;
	size_t n;

	(void)state;
	for (n = 2; hit; n++) { /* the first is our own */
		join_group(1, 4);
		faults_at(n);
		assert_int_equal(send_to(NULL, 1, NULL, &out), OK);
		hit = faults_hit();
		faults_off();
		/* An outlet is asked for again. */
		lost += hit && n > 2;
		assert_int_equal(c->lost.messages, lost);
		send(1);
		assert_int_equal(peers[0].o.delivered, hit && n > 2 ? 1 : 2);
		take_all(&peers[0]);
		taken(peers[0].ways[0], 2);
		leave(&peers[0]);
		assert_int_equal(c->lost.messages, lost);
	}
	assert_true(n > 5);
}

/* Who has an outlet takes what others have none for. */
static void
who_has_no_outlet_is_passed_over(void **state)
{
	(void)state;
	join_group(2, 4);
	faults_at(2);
	send(1);
	faults_off();
	CAME(1, 1);
	send(2);
	CAME(0, 2);
	assert_int_equal(router_counts(r)->lost.messages, 0);
}

static void
without_memory_nobody_is_in_a_group_by_half(void **state)
{
	bool hit = true;
	size_t n;
	int result;

	(void)state;
	for (n = 1; hit; n++) {
		join(0, NULL);
		faults_at(n);
		result = observe_as(&peers[0], 1, "a", 1);
		hit = faults_hit();
		faults_off();
		assert_true(result == OK || (hit && result == ERR_NOMEM));
		assert_int_equal(interest[1], result == OK);
		leave(&peers[0]);
	}
	assert_true(n > 5);
	/* Who cannot change observes as it did. */
	for (n = 1, hit = true; hit; n++) {
		join_group(1, 1);
		faults_at(n);
		result = observe_as(&peers[0], 1, "b", 1);
		hit = faults_hit();
		faults_off();
		assert_int_equal(result, hit ? ERR_NOMEM : OK);
		assert_int_equal(interest[1], 1);
		leave(&peers[0]);
	}
	assert_true(n > 3);
}

/* --- interest
 * -------------------------------------------------------------- */

static uint32_t seen[8][2];
static size_t n_seen;

static void
see(void *arg, uint32_t tag, uint32_t observers)
{
	assert_ptr_equal(arg, seen);
	seen[n_seen][0] = tag;
	seen[n_seen++][1] = observers;
}

static void
changes_of_interest_are_told(void **state)
{
	(void)state;
	join_group(2, 1);
	join(2, NULL);
	observe(2, 1, NULL, 0);
	observe(2, 2, NULL, 0);
	observe(2, 2, NULL, 0);
	assert_int_equal(interest[1], 3);
	assert_int_equal(interest[2], 1);
	join(3, NULL);
	assert_int_equal(router_observe_all(r, &peers[3].o), OK);
	assert_int_equal(router_observe_all(r, &peers[3].o), OK);
	assert_int_equal(router_observers(r, 1), 4);
	assert_int_equal(router_observers(r, 0), 1);
	n_seen = 0;
	router_each_topic(r, 1, 1, see, seen);
	assert_int_equal(n_seen, 1);
	assert_int_equal(seen[0][1], 4);
	router_each_topic(r, 2, UINT32_MAX, see, seen);
	assert_int_equal(n_seen, 2);
	assert_int_equal(seen[1][0], 2);
	assert_int_equal(seen[1][1], 2);
	router_each_topic(r, 3, UINT32_MAX, see, seen);
	assert_int_equal(n_seen, 2);
	leave(&peers[3]);
	router_unobserve(r, &peers[2].o, 1);
	assert_int_equal(interest[1], 2);
	leave(&peers[2]);
	assert_int_equal(interest[2], 0);
}

/* --- at random
 * -------------------------------------------------------------- */

/* How reckless a run at random is. */
struct way_to_go {
	bool may_die;  /* peers leave, outlets are closed */
	bool may_fail; /* memory runs out */
};

static uint64_t meant_by_all;

static void
observe_at_random(struct peer *p, uint32_t tag)
{
	observe(p->id, tag, p->group[tag], p->prefetch[tag]);
	p->observes[tag] = true;
}

static void
join_at_random(struct peer *p)
{
	static const char *const groups[] = {NULL, "a", "b"};
	uint32_t tag;

	p->o.tells_gaps = true;
	join(p->id, chance_once_in(3) ? "t" : NULL);
	p->has_lanes = chance_once_in(2);
	for (tag = 0; tag < TAGS; tag++) {
		p->group[tag] = groups[chance_below(COUNT(groups))];
		p->prefetch[tag] = (unsigned)chance_between(1, 5);
		if (chance_once_in(2))
			observe_at_random(p, tag);
	}
}

static void
change_at_random(const struct way_to_go *go)
{
	struct peer *p = &peers[chance_below(PEERS)];
	uint32_t tag = (uint32_t)chance_below(TAGS);

	if (p->o.router == NULL) {
		join_at_random(p);
	} else if (go->may_die && chance_once_in(4)) {
		leave(p);
	} else if (go->may_die && chance_once_in(4)) {
		close_way(p, chance_below(WAYS));
	} else if (chance_once_in(2)) {
		observe_at_random(p, tag);
	} else {
		router_unobserve(r, &p->o, tag);
		p->observes[tag] = false;
	}
}

/* Everybody who observes tag is meant, but of each group only one. */
static void
count_meant(uint32_t tag, const char *target)
{
	const struct peer *p;
	size_t i;

	for (p = peers; p < peers + PEERS; p++) {
		if (!p->observes[tag] ||
		    (target != NULL && p->o.target == NULL))
			continue;
		i = index_of(p->group[tag]);
		if (i > 0 && all[number].meant[i] > 0)
			continue;
		all[number].meant[i]++;
		meant_by_all++;
	}
}

static void
send_at_random(const struct way_to_go *go)
{
	struct peer *p = &peers[chance_below(PEERS)];
	const char *target = chance_once_in(4) ? "t" : NULL;
	uint32_t tag = (uint32_t)chance_below(TAGS);
	struct outcome out;
	int result;

	if (p->w.on != NULL)
		return;
	if (go->may_fail && chance_once_in(3))
		faults_at(chance_between(2, 8));
	result = send_to(p, tag, target, &out);
	faults_off();
	if (result == OK)
		count_meant(tag, target);
	else
		router_wait(out.obstacle, &p->w);
}

static void
take_at_random(const struct way_to_go *go)
{
	struct peer *p = &peers[chance_below(PEERS)];
	struct way *way = p->ways[chance_below(WAYS)];

	if (way == NULL)
		return;
	if (go->may_fail && chance_once_in(3))
		faults_at(chance_between(1, 8));
	take(p, way, chance_below(300));
	if (chance_once_in(2))
		taken(way, chance_below(8));
	faults_off();
}

static void
check(void)
{
	const struct router_counts *c = router_counts(r);
	const struct peer *p;
	const struct way *way;
	uint32_t tag;

	assert_int_equal(
	    c->delivered + c->lost.messages + c->left, meant_by_all);
	for (p = peers; p < peers + PEERS; p++) {
		for (tag = 0; tag < TAGS; tag++) {
			way = p->ways[1 + tag];
			if (way != NULL && p->group[tag] != NULL)
				assert_true(way->outlet.queued - way->taken <=
					    p->prefetch[tag]);
		}
	}
}

/* Everything comes, and is taken; then nobody waits. */
static void
settle(void)
{
	uint64_t before;
	struct peer *p;
	size_t i;

	do {
		router_tick(r);
		before = router_counts(r)->left;
		for (p = peers; p < peers + PEERS; p++) {
			for (i = 0; i < WAYS; i++) {
				if (p->ways[i] == NULL)
					continue;
				take(p, p->ways[i], SIZE_MAX);
				taken(p->ways[i], SIZE_MAX);
				router_trim(&p->ways[i]->outlet);
			}
		}
	} while (router_counts(r)->left < before);
	assert_int_equal(router_counts(r)->left, 0);
	for (p = peers; p < peers + PEERS; p++)
		assert_true(resumed(p));
}

static void
check_messages(const struct way_to_go *go)
{
	uint64_t lost = router_counts(r)->lost.messages;
	uint64_t missing = 0;
	uint32_t n;
	size_t i;

	for (n = 1; n <= number; n++) {
		/* Who dies takes with it what was for it alone. */
		for (i = go->may_die ? 1 : 0; i < 3; i++) {
			if (!go->may_die)
				assert_true(all[n].came[i] <= all[n].meant[i]);
			if (all[n].came[i] < all[n].meant[i])
				missing += all[n].meant[i] - all[n].came[i];
		}
	}
	if (go->may_die) {
		assert_true(missing <= lost);
		return;
	}
	assert_int_equal(missing, lost);
	assert_int_equal(told, lost);
}

static void
run_at_random(void **state, const struct way_to_go *go)
{
	uint64_t seed;
	int i;

	for (seed = 1; seed <= 100; seed++) {
		chance_begin(seed);
		meant_by_all = 0;
		for (i = 0; i < 2000; i++) {
			if (chance_once_in(15))
				change_at_random(go);
			else if (chance_once_in(2))
				take_at_random(go);
			else
				send_at_random(go);
			check();
		}
		settle();
		check();
		check_messages(go);
		chance_end();
		teardown(state);
		assert_int_equal(setup(state), 0);
	}
}

static void
each_message_comes_once_to_each_group(void **state)
{
	const struct way_to_go go = {0};

	run_at_random(state, &go);
}

static void
without_memory_it_comes_or_is_counted(void **state)
{
	const struct way_to_go go = {.may_fail = true};

	run_at_random(state, &go);
}

static void
when_members_die_it_comes_or_is_counted(void **state)
{
	const struct way_to_go go = {.may_die = true};

	run_at_random(state, &go);
}

static void
when_they_die_without_memory_it_comes_or_is_counted(void **state)
{
	const struct way_to_go go = {.may_die = true, .may_fail = true};

	run_at_random(state, &go);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_message_goes_to_one_member_in_turn),
	    TEST(the_one_with_the_fewest_not_taken_comes_first),
	    TEST(groups_and_those_who_have_none_get_all),
	    TEST(a_target_is_looked_for_in_the_group),
	    TEST(when_all_have_their_prefetch_senders_wait),
	    TEST(a_prefetch_of_none_is_one_and_has_a_limit),
	    TEST(the_name_of_a_group_has_a_limit),
	    TEST(what_is_not_taken_has_the_limit_of_a_queue),
	    TEST(a_queue_that_is_full_is_passed_over),
	    TEST(one_whose_queue_has_room_again_is_enough),
	    TEST(nobody_waits_for_itself),
	    TEST(nobody_takes_what_did_not_come),
	    TEST(nothing_is_dropped_where_messages_are_shared),
	    TEST(who_takes_least_is_waited_for),
	    TEST(nothing_new_overtakes_what_was_left),
	    TEST(what_is_not_taken_goes_to_others_before_anything_new),
	    TEST(who_comes_gets_what_others_left),
	    TEST(what_the_last_member_leaves_is_lost_and_counted),
	    TEST(who_observes_no_longer_may_take_what_it_has),
	    TEST(what_it_does_not_take_goes_to_others_after_all),
	    TEST(who_observes_again_has_what_it_had),
	    TEST(who_changes_its_group_leaves_what_it_had),
	    TEST(an_outlet_that_is_closed_gives_back_what_it_had),
	    TEST(what_was_held_is_shared_message_by_message),
	    TEST(without_memory_a_message_is_lost_and_counted),
	    TEST(who_has_no_outlet_is_passed_over),
	    TEST(without_memory_nobody_is_in_a_group_by_half),
	    TEST(changes_of_interest_are_told),
	    TEST(each_message_comes_once_to_each_group),
	    TEST(without_memory_it_comes_or_is_counted),
	    TEST(when_members_die_it_comes_or_is_counted),
	    TEST(when_they_die_without_memory_it_comes_or_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
