/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/err.h"
#include "base/outq.h"
#include "chance.h"
#include "faults.h"

#define ENTRY sizeof(struct outq_entry)
#define HEAD 8
#define CONTROL UINT32_MAX
#define GAP (UINT32_MAX - 1)
#define TAGS 4
#define LIMIT (256u << 10)
/* What a queue may pin besides: the slab where it begins, the one where it was
 * last dropped from, and the one where it ends. */
#define ENDS_OF_QUEUE (3 * (64u << 10))

static struct outq q;

/* A slab that is being received, as proto/intake has it. */
static struct slab *inbox;

static int
teardown(void **state)
{
	outq_fini(&q);
	slab_unref(inbox);
	inbox = NULL;
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

/*
 * A message of len bytes, HEAD at least: its number, its length, then bytes
 * that follow from both.
 */
static void
write_message(uint8_t *p, uint32_t id, size_t len)
{
	uint32_t n = (uint32_t)len;
	size_t i;

	memcpy(p, &id, 4);
	memcpy(p + 4, &n, 4);
	for (i = HEAD; i < len; i++)
		p[i] = (uint8_t)(id * 7 + i);
}

static uint32_t
message_id(const uint8_t *p)
{
	uint32_t id;

	memcpy(&id, p, 4);
	return id;
}

static size_t
message_len(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p + 4, 4);
	return n;
}

static size_t
whole_messages(struct view bytes, size_t sent)
{
	size_t end = 0;

	while (
	    end + HEAD <= bytes.len && end + message_len(bytes.p + end) <= sent)
		end += message_len(bytes.p + end);
	return end;
}

/* A gap is a message that has its tag and the loss after its head. */
#define GAP_LEN (HEAD + 4 + sizeof(struct outq_loss))

static struct outq_loss
gap_loss(const uint8_t *p)
{
	struct outq_loss loss;

	memcpy(&loss, p + HEAD + 4, sizeof(loss));
	return loss;
}

static void
gap_add(uint8_t *p, struct outq_loss loss)
{
	struct outq_loss sum = gap_loss(p);

	sum.messages += loss.messages;
	sum.bytes += loss.bytes;
	memcpy(p + HEAD + 4, &sum, sizeof(sum));
}

static void
gap_put(uint8_t *p, uint32_t tag, struct outq_loss loss)
{
	write_message(p, GAP, GAP_LEN);
	memcpy(p + HEAD, &tag, 4);
	memcpy(p + HEAD + 4, &loss, sizeof(loss));
}

static const struct outq_gaps gaps = {GAP_LEN, gap_put, gap_add, gap_loss};

/* --- what must always hold
 * ------------------------------------------------------------------- */

static size_t
pinned(void)
{
	size_t i, j, sum = 0;

	for (i = 0; i < q.n; i++) {
		for (j = 0; j < i; j++)
			if (outq_at(&q, j)->slab == outq_at(&q, i)->slab)
				break;
		if (j == i)
			sum += outq_at(&q, i)->slab->cap;
	}
	return sum;
}

static void
check(void)
{
	const struct outq_entry *e;
	size_t i, bytes = 0, unsent = 0, charge = 0, n_gaps = 0;

	for (i = 0; i < q.n; i++) {
		e = outq_at(&q, i);
		assert_true(e->len > 0);
		assert_true(e->off + e->len <= e->slab->len);
		bytes += e->len - (i == 0 ? q.acked : 0);
		if (i >= q.next)
			unsent += e->len - (i == q.next ? q.sent : 0);
		charge += e->charge + ENTRY;
		n_gaps += e->is_gap;
	}
	assert_true(q.next <= q.n);
	assert_int_equal(bytes, q.bytes);
	assert_int_equal(unsent, q.unsent);
	assert_int_equal(charge, q.charge);
	assert_int_equal(n_gaps, q.n_gaps);
	if (q.n > 0)
		assert_true(q.acked < outq_at(&q, 0)->len);
	assert_true(4 * q.charge + ENDS_OF_QUEUE >= pinned());
}

/* --- a peer who reads what is sent
 * ------------------------------------------------------------------- */

static struct {
	uint32_t pushed; /* messages, numbered from 1 */
	uint32_t latest; /* that came */
	uint64_t came;
	uint64_t controls_pushed;
	uint64_t controls_came;
	struct outq_loss lost;
	struct outq_loss told;	/* of those, by gaps that came */
	uint32_t seq[TAGS];	/* that came, or are told, of each tag */
	uint8_t part[1u << 17]; /* of a message */
	size_t len;
} peer;

/* The tag of each message, and the how manieth of it it is. */
static struct {
	uint32_t tag;
	uint32_t seq;
} all[1u << 18];
static uint32_t seqs[TAGS];

/* The next message is one of tag. */
static uint32_t
new_message(uint32_t tag)
{
	uint32_t id = ++peer.pushed;

	if (id < COUNT(all)) {
		all[id].tag = tag;
		all[id].seq = ++seqs[tag % TAGS];
	}
	return id;
}

/* Losses are told where they are, of each tag. */
static void
peer_takes_gap(void)
{
	struct outq_loss loss = gap_loss(peer.part);
	uint32_t tag;

	memcpy(&tag, peer.part + HEAD, 4);
	assert_true(loss.messages > 0);
	assert_true(loss.bytes >= HEAD * loss.messages);
	peer.told.messages += loss.messages;
	peer.told.bytes += loss.bytes;
	peer.seq[tag % TAGS] += (uint32_t)loss.messages;
}

static void
peer_takes(const uint8_t *p, size_t n)
{
	static uint8_t same[sizeof(peer.part)];
	uint32_t id;

	while (n-- > 0) {
		peer.part[peer.len++] = *p++;
		if (peer.len < HEAD || peer.len < message_len(peer.part))
			continue;
		id = message_id(peer.part);
		if (id == GAP) {
			peer_takes_gap();
			peer.len = 0;
			continue;
		}
		write_message(same, id, peer.len);
		assert_memory_equal(peer.part, same, peer.len);
		peer.len = 0;
		if (id == CONTROL) {
			peer.controls_came++;
			continue;
		}
		assert_true(id > peer.latest && id <= peer.pushed);
		peer.latest = id;
		peer.came++;
		if (q.gaps != NULL)
			assert_int_equal(++peer.seq[all[id].tag], all[id].seq);
	}
}

/* Send up to n bytes; return how many there were. */
static size_t
transmit(size_t n)
{
	struct iovec v[5];
	size_t i, k, left = n, got = outq_pull(&q, v, 1 + chance_below(5));

	for (i = 0; i < got && left > 0; i++) {
		k = v[i].iov_len < left ? v[i].iov_len : left;
		assert_true(k > 0);
		peer_takes(v[i].iov_base, k);
		left -= k;
	}
	outq_sent(&q, n - left);
	return n - left;
}

static void
transmit_exactly(size_t n)
{
	while (n > 0)
		n -= transmit(n);
}

static void
transmit_all(void)
{
	while (transmit(SIZE_MAX) > 0)
		;
	outq_acked(&q, q.bytes - q.unsent);
}

/* Messages of which the last byte has not been sent, and what gaps will tell.
 */
static uint64_t
unsent_messages(struct outq_loss *untold)
{
	const struct outq_entry *e;
	const uint8_t *p;
	uint64_t n = 0;
	size_t i, at, sent;

	*untold = (struct outq_loss){0};
	for (i = q.next; i < q.n; i++) {
		e = outq_at(&q, i);
		sent = i == q.next ? q.sent : 0;
		for (at = 0; at < e->len; at += message_len(p)) {
			p = e->slab->data + e->off + at;
			if (message_id(p) == GAP) {
				untold->messages += gap_loss(p).messages;
				untold->bytes += gap_loss(p).bytes;
				continue;
			}
			n += at + message_len(p) > sent &&
			     message_id(p) != CONTROL;
		}
	}
	return n;
}

static void
check_accounts(void)
{
	struct outq_loss untold;
	uint64_t unsent = unsent_messages(&untold);

	assert_int_equal(peer.pushed, peer.came + peer.lost.messages + unsent);
	if (q.gaps == NULL)
		return;
	assert_int_equal(
	    peer.lost.messages, peer.told.messages + untold.messages);
	assert_int_equal(peer.lost.bytes, peer.told.bytes + untold.bytes);
}

/* --- a sender
 * ------------------------------------------------------------------- */

static void
push_run(uint32_t tag, size_t count, size_t max)
{
	struct outq_range range = {
	    .tag = tag, .count = (uint32_t)count, .may_drop = tag % 2 == 1};
	size_t i, len;

	if (inbox == NULL || inbox->cap - inbox->len < count * max) {
		slab_unref(inbox);
		inbox = slab_new(count * max * chance_between(1, 8));
	}
	range.slab = inbox;
	range.off = inbox->len;
	for (i = 0; i < count; i++) {
		len = chance_between(HEAD, max);
		write_message(inbox->data + inbox->len, new_message(tag), len);
		inbox->len += len;
	}
	range.len = inbox->len - range.off;
	assert_int_equal(outq_push(&q, &range), OK);
}

static void
put_message(uint32_t tag, size_t len)
{
	uint8_t *p;

	assert_int_equal(outq_reserve(&q, len + chance_below(10), &p), OK);
	write_message(p, new_message(tag), len);
	assert_int_equal(outq_commit(&q, len, tag, 1), OK);
}

static int
push(struct slab *slab, size_t off, size_t len, uint32_t tag)
{
	const struct outq_range range = {slab, off, len, tag, 1, true};

	return outq_push(&q, &range);
}

/* A message that may be dropped, out of a slab that is much larger. */
static void
put_old(uint32_t tag, size_t len)
{
	struct slab *s = slab_new(5 * len);

	s->len = len;
	write_message(s->data, new_message(tag), len);
	assert_int_equal(push(s, 0, len, tag), OK);
	slab_unref(s);
}

/* A message that found no room. */
static void
lose_message(uint32_t tag, size_t len)
{
	struct outq_loss loss = {1, len};

	new_message(tag);
	peer.lost.messages++;
	peer.lost.bytes += len;
	if (q.gaps != NULL)
		assert_int_equal(outq_gap(&q, tag, loss), OK);
}

static void
put_control(void)
{
	uint8_t bytes[HEAD + 5];

	write_message(bytes, CONTROL, sizeof(bytes));
	assert_int_equal(outq_put(&q, (struct view){bytes, sizeof(bytes)}), OK);
	peer.controls_pushed++;
}

static void
begin(size_t limit)
{
	outq_fini(&q);
	slab_unref(inbox);
	inbox = NULL;
	outq_init(&q, limit);
	memset(&peer, 0, sizeof(peer));
	memset(seqs, 0, sizeof(seqs));
}

static void
finish(void)
{
	transmit_all();
	assert_int_equal(q.n, 0);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(q.charge, 0);
	assert_int_equal(peer.len, 0);
	check_accounts();
	slab_unref(inbox);
	inbox = NULL;
	outq_trim(&q);
	assert_int_equal(slab_total(), 0);
}

/* The connection is lost: the peer forgets half a message, and so do we. */
static void
reconnect(void)
{
	peer.len = 0;
	outq_restart(&q, whole_messages);
	assert_int_equal(q.bytes, q.unsent);
}

/* --- tests
 * ------------------------------------------------------------------- */

static void
push_something(void)
{
	static const size_t sizes[] = {16, 100, 1500, 20000};
	size_t size = sizes[chance_below(COUNT(sizes))];
	uint32_t tag = (uint32_t)chance_below(TAGS);

	if (chance_once_in(3))
		put_message(tag, chance_between(HEAD, size));
	else
		push_run(tag, chance_between(1, 4), size);
}

static void
step(bool drops)
{
	switch (chance_below(8)) {
	case 0:
	case 1:
	case 2:
		push_something();
		break;
	case 3:
		if (!drops)
			put_control();
		else if (chance_once_in(2))
			lose_message((uint32_t)chance_below(TAGS),
			    chance_between(HEAD, 100));
		break;
	case 4:
		transmit(chance_below(40000));
		break;
	case 5:
		outq_acked(&q, chance_below(q.bytes - q.unsent + 1));
		break;
	case 6:
		if (drops)
			outq_drop_old(&q, NULL, chance_below(LIMIT),
			    (uint32_t)chance_below(TAGS), &peer.lost);
		else if (chance_once_in(20))
			reconnect();
		break;
	case 7:
		if (chance_once_in(10))
			transmit_all();
		outq_trim(&q);
		break;
	}
}

static void
run_at_random(bool drops)
{
	uint64_t seed;
	int i;

	for (seed = 1; seed <= 100; seed++) {
		chance_begin(seed);
		begin(LIMIT);
		if (drops && chance_once_in(2))
			q.gaps = &gaps;
		for (i = 0; i < 1000; i++) {
			step(drops);
			check();
			check_accounts();
		}
		finish();
		/* Only what was in flight when a connection was lost. */
		assert_true(
		    drops || peer.controls_came <= peer.controls_pushed);
		chance_end();
	}
}

static void
bytes_keep_their_order_across_restarts(void **state)
{
	(void)state;
	run_at_random(false);
}

static void
what_is_dropped_is_counted_and_the_rest_keeps_its_order(void **state)
{
	(void)state;
	run_at_random(true);
}

static void
an_empty_queue_takes_one_range_of_any_size(void **state)
{
	(void)state;
	begin(100);
	assert_true(outq_fits(&q, NULL, 1u << 20));
	put_message(1, 1000);
	assert_false(outq_fits(&q, NULL, 1));
	transmit_all();
	assert_true(outq_fits(&q, NULL, 1u << 20));
}

static void
a_queue_fills_up_to_its_limit(void **state)
{
	size_t n;

	(void)state;
	begin(10000);
	for (n = 0; outq_fits(&q, NULL, 100); n++)
		put_message((uint32_t)n, 100);
	assert_true(q.charge <= 10000);
	assert_true(q.charge > 10000 - 100 - ENTRY);
}

static void
a_slab_is_charged_once_however_many_ranges_it_has(void **state)
{
	struct slab *s = slab_new(4000);
	size_t i;

	(void)state;
	begin(LIMIT);
	s->len = 4000;
	for (i = 0; i < 4; i++)
		assert_int_equal(push(s, i * 1000, 1000, (uint32_t)i), OK);
	assert_int_equal(q.charge, 4000 + 4 * ENTRY);
	assert_true(outq_fits(&q, s, 1000));
	assert_int_equal(s->refs, 1 + 4);
	for (i = 1; i <= 4; i++) {
		outq_sent(&q, 1000);
		outq_acked(&q, 1000);
		assert_int_equal(q.charge, i < 4 ? 4000 + (4 - i) * ENTRY : 0);
		assert_int_equal(s->refs, 1 + 4 - i);
	}
	slab_unref(s);
}

static void
what_is_small_is_copied_out_of_what_is_large(void **state)
{
	struct slab *s = slab_new(4000);

	(void)state;
	begin(LIMIT);
	memset(s->data, 7, s->cap);
	s->len = s->cap;
	assert_int_equal(push(s, 10, 999, 1), OK);
	assert_int_equal(s->refs, 1);
	assert_int_equal(q.charge, 999 + ENTRY);
	slab_unref(s);
	assert_memory_equal(
	    outq_at(&q, 0)->slab->data + outq_at(&q, 0)->off, "\7\7\7", 3);
}

static void
ranges_that_follow_each_other_are_sent_as_one(void **state)
{
	struct iovec v[4];
	uint8_t *p;
	int i;

	(void)state;
	begin(LIMIT);
	for (i = 0; i < 10; i++) {
		assert_int_equal(outq_reserve(&q, 10, &p), OK);
		assert_int_equal(outq_commit(&q, 10, 5, 1), OK);
	}
	assert_int_equal(outq_pull(&q, v, 4), 1);
	assert_int_equal(v[0].iov_len, 100);
	assert_int_equal(outq_at(&q, 0)->count, 10);
}

static void
what_is_left_is_counted_without_control_frames(void **state)
{
	static const uint8_t bytes[100];
	struct outq_loss left;
	uint8_t *p;
	int i;

	(void)state;
	outq_init(&q, LIMIT);
	assert_int_equal(outq_left(&q).messages, 0);
	assert_int_equal(outq_put(&q, (struct view){bytes, sizeof(bytes)}), OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(outq_reserve(&q, sizeof(bytes), &p), OK);
		memcpy(p, bytes, sizeof(bytes));
		assert_int_equal(
		    outq_commit(&q, sizeof(bytes), (uint32_t)i, 2), OK);
	}
	left = outq_left(&q);
	assert_int_equal(left.messages, 6);
	assert_int_equal(left.bytes, 3 * sizeof(bytes));
	outq_sent(&q, q.unsent);
	assert_int_equal(outq_left(&q).messages, 6);
	outq_acked(&q, 2 * sizeof(bytes));
	assert_int_equal(outq_left(&q).messages, 4);
}

/* Small messages of many tags need more memory for entries than for bytes. */
static void
the_table_of_entries_counts_as_memory(void **state)
{
	uint32_t i;
	uint8_t *p;

	(void)state;
	outq_init(&q, LIMIT);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(outq_reserve(&q, 8, &p), OK);
		memset(p, 0, 8);
		assert_int_equal(outq_commit(&q, 8, i, 1), OK);
	}
	assert_int_equal(q.n, 1000);
	assert_true(slab_total() >= 1000 * ENTRY);
}

static void
no_more_than_the_gate_lets_through_is_sent(void **state)
{
	struct iovec v[4];

	(void)state;
	begin(LIMIT);
	put_message(1, 100);
	put_message(2, 100);
	outq_set_gate(&q, 130);
	assert_int_equal(outq_pull(&q, v, 4), 2);
	assert_int_equal(v[0].iov_len + v[1].iov_len, 130);
	outq_sent(&q, 50);
	assert_int_equal(outq_pull(&q, v, 4), 2);
	assert_int_equal(v[0].iov_len + v[1].iov_len, 80);
	outq_sent(&q, 80);
	assert_int_equal(outq_pull(&q, v, 4), 0);
	outq_set_gate(&q, SIZE_MAX);
	assert_int_equal(outq_pull(&q, v, 4), 1);
	assert_int_equal(v[0].iov_len, 70);
	check();
}

static void
what_is_put_first_goes_first(void **state)
{
	uint8_t bytes[HEAD];
	size_t i;

	(void)state;
	begin(LIMIT);
	for (i = 0; i < 8; i++) /* as many as the ring begins with */
		put_message((uint32_t)i, 100);
	write_message(bytes, CONTROL, sizeof(bytes));
	assert_int_equal(
	    outq_put_first(&q, (struct view){bytes, sizeof(bytes)}), OK);
	check();
	chance_begin(1);
	transmit_exactly(HEAD);
	chance_end();
	assert_int_equal(peer.controls_came, 1);
	assert_int_equal(peer.came, 0);
}

/* The Ack must go, whatever happens to messages that were put after it. */
static void
a_control_frame_is_not_dropped_with_the_messages_after_it(void **state)
{
	(void)state;
	begin(1000);
	put_control();
	put_message(0, 500);
	assert_true(outq_drop_old(&q, NULL, 800, 0, &peer.lost));
	assert_int_equal(peer.lost.messages, 1);
	assert_int_equal(peer.lost.bytes, 500);
	transmit_all();
	assert_int_equal(peer.controls_came, 1);
}

static void
after_a_loss_a_message_partly_acknowledged_goes_again_in_whole(void **state)
{
	(void)state;
	begin(LIMIT);
	put_message(1, 1000);
	put_message(1, 1000);
	chance_begin(1);
	transmit_exactly(1600);
	outq_acked(&q, 1400);
	reconnect();
	check();
	assert_int_equal(q.bytes, 1000);
	transmit_all();
	chance_end();
	assert_int_equal(peer.came, 2);
	assert_int_equal(q.bytes, 0);
}

static void
after_a_loss_nothing_sent_in_whole_goes_again(void **state)
{
	(void)state;
	begin(LIMIT);
	put_message(1, 100);
	put_message(2, 100);
	put_message(2, 100);
	put_message(3, 100);
	chance_begin(1);
	transmit_exactly(250);
	outq_acked(&q, 10);
	reconnect();
	check();
	assert_int_equal(q.bytes, 200);
	transmit_all(); /* who came before may not come again */
	chance_end();
	assert_int_equal(peer.came, 4);
}

static void
what_is_partly_sent_is_not_dropped(void **state)
{
	(void)state;
	begin(1000);
	put_old(1, 400);
	put_old(2, 400);
	chance_begin(1);
	transmit_exactly(1);
	assert_false(outq_drop_old(&q, NULL, 900, 0, &peer.lost));
	check();
	assert_int_equal(peer.lost.messages, 1);
	transmit_all();
	chance_end();
	assert_int_equal(peer.came, 1);
}

/* For as long as it is stuck, and however much is lost. */
static void
a_queue_that_is_stuck_has_one_gap_for_each_tag(void **state)
{
	uint32_t i;

	(void)state;
	begin(64u << 10);
	q.gaps = &gaps;
	put_message(0, 100);
	chance_begin(1);
	transmit_exactly(1);
	for (i = 0; i < 20000; i++) {
		if (i % 7 == 0) {
			lose_message(i % TAGS, 64);
			continue;
		}
		if (!outq_fits(&q, NULL, 64))
			assert_true(outq_drop_old(&q, NULL, 64, 0, &peer.lost));
		put_old(i % TAGS, 64);
		if (i % 1000 == 0)
			check();
	}
	/* Those at the front, and those that found no room. */
	assert_in_range(q.n_gaps, TAGS, q.n / 5);
	finish();
	chance_end();
	assert_int_equal(peer.told.messages, peer.lost.messages);
}

static void
losses_that_nothing_stands_between_are_told_at_once(void **state)
{
	uint32_t i;

	(void)state;
	begin(LIMIT);
	q.gaps = &gaps;
	for (i = 0; i < 100; i++)
		lose_message(i % TAGS, 64);
	assert_int_equal(q.n, TAGS);
	put_message(1, 64);
	lose_message(1, 64);
	lose_message(2, 64);
	lose_message(1, 64);
	assert_int_equal(q.n_gaps, TAGS + 2);
	chance_begin(1);
	transmit_exactly(1); /* what is under way is not touched */
	for (i = 0; i < TAGS; i++)
		lose_message(i, 64);
	finish();
	chance_end();
	assert_int_equal(peer.told.messages, 100 + 3 + TAGS);
}

static void
what_is_only_gaps_takes_one_range_of_any_size(void **state)
{
	(void)state;
	begin(1000);
	q.gaps = &gaps;
	put_old(1, 900);
	assert_true(outq_drop_old(&q, NULL, 5000, 1, &peer.lost));
	assert_int_equal(q.n_gaps, 1);
	put_message(1, 5000);
	assert_false(outq_fits(&q, NULL, 1));
	chance_begin(1);
	finish();
	chance_end();
}

static void
without_memory_for_a_gap_nothing_is_dropped(void **state)
{
	struct outq_loss loss = {1, 64};
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	for (n = 1; hit; n++) {
		begin(500);
		q.gaps = &gaps;
		put_old(1, 200);
		put_old(2, 200);
		faults_at(n);
		outq_drop_old(&q, NULL, 480, 0, &peer.lost);
		hit = faults_hit();
		faults_off();
		assert_int_equal(peer.lost.messages, hit ? 1 : 2);
		assert_int_equal(q.n_gaps, hit ? 1 : 2);
		check();
		check_accounts();
		chance_begin(1);
		finish();
		chance_end();
	}
	assert_int_equal(n, 4);
	for (n = 1, hit = true; hit; n++) {
		begin(500);
		q.gaps = &gaps;
		faults_at(n);
		r = outq_gap(&q, 1, loss);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		assert_int_equal(q.n_gaps, hit ? 0 : 1);
		check();
	}
	assert_int_equal(n, 4);
}

static void
no_more_is_dropped_than_makes_room(void **state)
{
	size_t i;

	(void)state;
	begin(10 * (100 + ENTRY));
	for (i = 0; i < 10; i++)
		put_old((uint32_t)i, 100);
	assert_false(outq_fits(&q, NULL, 100));
	assert_true(outq_drop_old(&q, NULL, 100, 0, &peer.lost));
	assert_int_equal(peer.lost.messages, 1);
	assert_true(outq_drop_old(&q, NULL, 200 + 2 * ENTRY, 0, &peer.lost));
	assert_int_equal(peer.lost.messages, 3);
	check();
}

/* An observer that is stuck finds the newest when it comes back to life. */
static void
a_queue_that_is_stuck_keeps_the_newest_for_ever(void **state)
{
	uint32_t i;

	(void)state;
	begin(64u << 10);
	put_message(1, 100);
	chance_begin(1);
	transmit_exactly(1);
	for (i = 0; i < 20000; i++) {
		if (!outq_fits(&q, NULL, 64))
			assert_true(outq_drop_old(&q, NULL, 64, 0, &peer.lost));
		put_old(i, 64);
		if (i % 1000 == 0)
			check();
	}
	assert_true(q.n > (64u << 10) / (64 + ENTRY) - 2);
	finish();
	chance_end();
	assert_int_equal(peer.latest, peer.pushed);
}

/* Every slab of the messages dropped would stay for one that is kept. */
static void
what_is_kept_among_what_is_dropped_pins_little(void **state)
{
	uint32_t i, kept = 0;

	(void)state;
	begin(LIMIT);
	for (i = 0; i < 200000; i++) {
		uint32_t tag = i % 600 == 0 ? 2 : i % 2 == 0 ? 1 : 3;

		if (!outq_fits(&q, NULL, 64) &&
		    !outq_drop_old(&q, NULL, 64, 1, &peer.lost))
			break;
		if (tag == 2)
			put_message(tag, 64);
		else
			put_old(tag, 64);
		kept += tag == 2;
	}
	check();
	assert_true(pinned() <= LIMIT + ENDS_OF_QUEUE);
	chance_begin(1);
	finish();
	chance_end();
	assert_true(peer.came > kept);
}

static void
the_newest_is_taken_back(void **state)
{
	struct slab *s = slab_new(100);

	(void)state;
	begin(LIMIT);
	s->len = s->cap;
	memset(s->data, 0, s->cap);
	assert_int_equal(push(s, 0, 50, 1), OK);
	assert_int_equal(push(s, 50, 50, 2), OK);
	outq_drop_last(&q);
	check();
	assert_int_equal(q.bytes, 50);
	assert_int_equal(s->refs, 2);
	assert_int_equal(push(s, 50, 50, 3), OK);
	outq_drop_last(&q);
	outq_drop_last(&q);
	check();
	assert_int_equal(q.charge, 0);
	slab_unref(s);
}

static void
one_large_message_leaves_no_memory_behind(void **state)
{
	(void)state;
	begin(LIMIT);
	chance_begin(1);
	put_message(1, 60000);
	put_message(1, 100000);
	transmit_all();
	assert_true(slab_total() <= 64u << 10);
	put_message(1, 16);
	transmit_all();
	outq_trim(&q);
	assert_int_equal(slab_total(), 0);
	chance_end();
}

static void
a_quiet_queue_keeps_nothing(void **state)
{
	(void)state;
	begin(LIMIT);
	chance_begin(1);
	put_message(1, 16);
	put_message(2, 100);
	transmit_all();
	assert_int_equal(slab_total(), 0);
	put_message(1, 16);
	transmit_all();
	assert_int_equal(slab_total(), 0);
	chance_end();
}

/* Something of each kind, in turn. */
static int
put_any(struct slab *s, size_t i)
{
	uint8_t bytes[100] = {0}, *p;
	int r;

	switch (i % 4) {
	case 0:
		return push(s, 0, 999, 1);
	case 1:
		return push(s, 0, 10, 1);
	case 2:
		r = outq_reserve(&q, 700, &p);
		return r == OK ? outq_commit(&q, 600, 2, 1) : r;
	default:
		return outq_put_first(&q, (struct view){bytes, sizeof(bytes)});
	}
}

static void
without_memory_a_queue_stays_as_it_was(void **state)
{
	struct slab *s = slab_new(1000);
	struct outq before;
	bool hit = true;
	size_t i, n;
	int r;

	(void)state;
	s->len = s->cap;
	memset(s->data, 0, s->cap);
	for (n = 1; hit; n++) {
		outq_init(&q, LIMIT);
		faults_at(n);
		for (i = 0, r = OK; i < 40 && r == OK; i++) {
			before = q;
			r = put_any(s, i);
		}
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		if (hit) {
			assert_int_equal(q.n, before.n);
			assert_int_equal(q.bytes, before.bytes);
			assert_int_equal(q.unsent, before.unsent);
			assert_int_equal(q.charge, before.charge);
		}
		check();
		outq_fini(&q);
	}
	slab_unref(s);
	assert_true(n > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		bytes_keep_their_order_across_restarts, teardown),
	    cmocka_unit_test_teardown(
		what_is_dropped_is_counted_and_the_rest_keeps_its_order,
		teardown),
	    cmocka_unit_test_teardown(
		an_empty_queue_takes_one_range_of_any_size, teardown),
	    cmocka_unit_test_teardown(a_queue_fills_up_to_its_limit, teardown),
	    cmocka_unit_test_teardown(
		a_slab_is_charged_once_however_many_ranges_it_has, teardown),
	    cmocka_unit_test_teardown(
		what_is_small_is_copied_out_of_what_is_large, teardown),
	    cmocka_unit_test_teardown(
		ranges_that_follow_each_other_are_sent_as_one, teardown),
	    cmocka_unit_test_teardown(
		what_is_left_is_counted_without_control_frames, teardown),
	    cmocka_unit_test_teardown(
		the_table_of_entries_counts_as_memory, teardown),
	    cmocka_unit_test_teardown(
		no_more_than_the_gate_lets_through_is_sent, teardown),
	    cmocka_unit_test_teardown(what_is_put_first_goes_first, teardown),
	    cmocka_unit_test_teardown(
		a_control_frame_is_not_dropped_with_the_messages_after_it,
		teardown),
	    cmocka_unit_test_teardown(
		after_a_loss_a_message_partly_acknowledged_goes_again_in_whole,
		teardown),
	    cmocka_unit_test_teardown(
		after_a_loss_nothing_sent_in_whole_goes_again, teardown),
	    cmocka_unit_test_teardown(
		what_is_partly_sent_is_not_dropped, teardown),
	    cmocka_unit_test_teardown(
		no_more_is_dropped_than_makes_room, teardown),
	    cmocka_unit_test_teardown(
		a_queue_that_is_stuck_keeps_the_newest_for_ever, teardown),
	    cmocka_unit_test_teardown(
		what_is_kept_among_what_is_dropped_pins_little, teardown),
	    cmocka_unit_test_teardown(
		a_queue_that_is_stuck_has_one_gap_for_each_tag, teardown),
	    cmocka_unit_test_teardown(
		losses_that_nothing_stands_between_are_told_at_once, teardown),
	    cmocka_unit_test_teardown(
		what_is_only_gaps_takes_one_range_of_any_size, teardown),
	    cmocka_unit_test_teardown(
		without_memory_for_a_gap_nothing_is_dropped, teardown),
	    cmocka_unit_test_teardown(the_newest_is_taken_back, teardown),
	    cmocka_unit_test_teardown(
		one_large_message_leaves_no_memory_behind, teardown),
	    cmocka_unit_test_teardown(a_quiet_queue_keeps_nothing, teardown),
	    cmocka_unit_test_teardown(
		without_memory_a_queue_stays_as_it_was, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
