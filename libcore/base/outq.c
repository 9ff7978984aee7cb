/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/outq.h"

#define RING_MIN 8
#define FILL_MIN 1024u
#define FILL_MAX (64u << 10)
/* A queue that never needed a larger slab is idle whenever it is empty. */
#define FILL_QUIET (2 * FILL_MIN)
/* A range this many times smaller than its slab is copied out of it. */
#define SPARSE 4

void
outq_init(struct outq *q, size_t limit)
{
	*q = (struct outq){
	    .limit = limit, .gate = SIZE_MAX, .fill_cap = FILL_MIN};
}

static void
free_ring(struct outq *q)
{
	free(q->ring);
	slab_uncount(q->cap * sizeof(*q->ring));
}

void
outq_fini(struct outq *q)
{
	size_t i;

	for (i = 0; i < q->n; i++)
		slab_unref(outq_at(q, i)->slab);
	slab_unref(q->fill);
	free_ring(q);
	outq_init(q, q->limit);
}

struct outq_entry *
outq_at(const struct outq *q, size_t i)
{
	return &q->ring[(q->head + i) & (q->cap - 1)];
}

static bool
is_sparse(const struct slab *slab, size_t len)
{
	return len < slab->cap / SPARSE;
}

/* What queueing len bytes of slab would add to the charge. */
static size_t
cost(const struct outq *q, const struct slab *slab, size_t len)
{
	if (slab == NULL || is_sparse(slab, len))
		return len + sizeof(struct outq_entry);
	if (q->n > 0 && outq_at(q, q->n - 1)->slab == slab)
		return sizeof(struct outq_entry);
	return slab->cap + sizeof(struct outq_entry);
}

bool
outq_fits(const struct outq *q, const struct slab *slab, size_t len)
{
	return q->n == q->n_gaps || q->charge + cost(q, slab, len) <= q->limit;
}

bool
outq_has_slack(const struct outq *q)
{
	return q->n == q->n_gaps || q->charge <= q->limit / 2;
}

static int
grow(struct outq *q)
{
	size_t i, cap = q->cap > 0 ? q->cap * 2 : RING_MIN;
	struct outq_entry *ring;

	if ((ring = malloc(cap * sizeof(*ring))) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < q->n; i++)
		ring[i] = *outq_at(q, i);
	free_ring(q);
	slab_count(cap * sizeof(*ring));
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
	return OK;
}

/* Let the last entry run on into the bytes that follow it, if it can. */
static bool
merge(struct outq *q, const struct outq_entry *e)
{
	struct outq_entry *last;

	if (q->n == 0)
		return false;
	last = outq_at(q, q->n - 1);
	if (last->slab != e->slab || last->off + last->len != e->off ||
	    last->tag != e->tag || last->len + e->len > OUTQ_MERGE_MAX)
		return false;
	/* Messages may be dropped, other frames not. */
	if ((last->count == 0) != (e->count == 0) ||
	    last->may_drop != e->may_drop)
		return false;
	/* An entry all sent stays as it is: "next" counts whole entries. */
	if (q->next == q->n)
		return false;
	last->len += e->len;
	last->count += e->count;
	last->charge += e->charge;
	return true;
}

/*
 * Append e, which brings a reference to its slab with it.  Its charge is what
 * the bytes cost; an entry of its own costs its size besides.
 */
static int
append(struct outq *q, struct outq_entry e)
{
	int r;

	if (e.len == 0 || merge(q, &e)) {
		slab_unref(e.slab);
	} else {
		if (q->n == q->cap && (r = grow(q)) != OK) {
			slab_unref(e.slab);
			return r;
		}
		*outq_at(q, q->n++) = e;
		q->charge += sizeof(e);
	}
	q->charge += e.charge;
	q->bytes += e.len;
	q->unsent += e.len;
	return OK;
}

/* Append e, whose bytes have just been written where there was room. */
static int
append_filled(struct outq *q, struct outq_entry e)
{
	struct slab *s = q->fill;

	assert(e.len <= s->cap - s->len);
	e.slab = slab_ref(s);
	e.off = s->len;
	s->len += e.len;
	return append(q, e);
}

int
outq_push(struct outq *q, const struct outq_range *range)
{
	struct outq_entry e = {.slab = range->slab,
	    .off = range->off,
	    .len = range->len,
	    .tag = range->tag,
	    .count = range->count,
	    .may_drop = range->may_drop};
	uint8_t *p;
	int r;

	if (!is_sparse(e.slab, e.len)) {
		e.charge = cost(q, e.slab, e.len) - sizeof(e);
		slab_ref(e.slab);
		return append(q, e);
	}
	if ((r = outq_reserve(q, e.len, &p)) != OK)
		return r;
	memcpy(p, e.slab->data + e.off, e.len);
	e.charge = e.len;
	return append_filled(q, e);
}

int
outq_reserve(struct outq *q, size_t n, uint8_t **p)
{
	struct slab *s = q->fill;
	size_t cap;

	/* Nobody else holds a part of it: begin at its front again. */
	if (s != NULL && s->refs == 1)
		s->len = 0;
	if (s == NULL || s->cap - s->len < n) {
		cap = q->fill_cap > n ? q->fill_cap : n;
		if ((s = slab_new(cap)) == NULL)
			return ERR_NOMEM;
		slab_unref(q->fill);
		q->fill = s;
		if (q->fill_cap < FILL_MAX)
			q->fill_cap *= 2;
	}
	*p = s->data + s->len;
	return OK;
}

int
outq_commit(struct outq *q, size_t n, uint32_t tag, uint32_t count)
{
	return append_filled(
	    q, (struct outq_entry){
		   .len = n, .charge = n, .tag = tag, .count = count});
}

int
outq_put(struct outq *q, struct view v)
{
	uint8_t *p;
	int r;

	if ((r = outq_reserve(q, v.len, &p)) != OK)
		return r;
	memcpy(p, v.p, v.len);
	return outq_commit(q, v.len, 0, 0);
}

int
outq_put_first(struct outq *q, struct view v)
{
	struct slab *s;
	int r;

	assert(q->next == 0 && q->sent == 0);
	if (q->n == q->cap && (r = grow(q)) != OK)
		return r;
	if ((s = slab_new(v.len)) == NULL)
		return ERR_NOMEM;
	memcpy(s->data, v.p, v.len);
	s->len = v.len;
	q->head = (q->head - 1) & (q->cap - 1);
	q->n++;
	*outq_at(q, 0) =
	    (struct outq_entry){.slab = s, .len = v.len, .charge = v.len};
	q->charge += v.len + sizeof(struct outq_entry);
	q->bytes += v.len;
	q->unsent += v.len;
	return OK;
}

void
outq_set_gate(struct outq *q, size_t n)
{
	q->gate = n;
}

size_t
outq_pull(const struct outq *q, struct iovec *v, size_t n)
{
	const struct outq_entry *e;
	size_t i, len, got = 0, skip = q->sent, may = q->gate;

	for (i = q->next; i < q->n && got < n && may > 0; i++, skip = 0) {
		e = outq_at(q, i);
		len = e->len - skip < may ? e->len - skip : may;
		v[got].iov_base = e->slab->data + e->off + skip;
		v[got++].iov_len = len;
		may -= len;
	}
	return got;
}

void
outq_sent(struct outq *q, size_t n)
{
	size_t left;

	assert(n <= q->unsent);
	q->unsent -= n;
	if (q->gate != SIZE_MAX)
		q->gate -= n;
	while (q->next < q->n) {
		left = outq_at(q, q->next)->len - q->sent;
		if (n < left)
			break;
		n -= left;
		q->sent = 0;
		q->next++;
	}
	q->sent += n;
}

/* Entry i goes; a shared slab that the next one shares, too, does not. */
static void
hand_on_charge(struct outq *q, size_t i)
{
	struct outq_entry *after, *e = outq_at(q, i);

	if (i + 1 == q->n)
		return;
	after = outq_at(q, i + 1);
	if (after->slab != e->slab || after->charge > 0)
		return;
	after->charge = e->charge;
	e->charge = 0;
}

/* The first entry of which nothing was sent. */
static size_t
first_unsent(const struct outq *q)
{
	return q->sent > 0 ? q->next + 1 : q->next;
}

/* Take e out; a hole stays. */
static void
take_out(struct outq *q, struct outq_entry *e)
{
	q->n_gaps -= e->is_gap;
	q->bytes -= e->len;
	q->unsent -= e->len;
	q->charge -= e->charge + sizeof(*e);
	slab_unref(e->slab);
	*e = (struct outq_entry){0};
}

static void
pop(struct outq *q)
{
	struct outq_entry *e = outq_at(q, 0);

	hand_on_charge(q, 0);
	q->n_gaps -= e->is_gap;
	q->charge -= e->charge + sizeof(*e);
	slab_unref(e->slab);
	q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	q->next--;
	q->acked = 0;
	/* One large message is an exception: its slab is not kept. */
	if (q->n == 0 && q->fill != NULL && q->fill->cap > FILL_MAX) {
		slab_unref(q->fill);
		q->fill = NULL;
	}
}

/* An idle queue keeps neither ring nor slab. */
static void
give_back(struct outq *q)
{
	slab_unref(q->fill);
	q->fill = NULL;
	q->fill_cap = FILL_MIN;
	free_ring(q);
	q->ring = NULL;
	q->cap = 0;
	q->head = 0;
}

void
outq_acked(struct outq *q, size_t n)
{
	size_t left;

	assert(n <= q->bytes - q->unsent);
	q->bytes -= n;
	while (q->n > 0 && q->next > 0) {
		left = outq_at(q, 0)->len - q->acked;
		if (n < left)
			break;
		n -= left;
		pop(q);
	}
	q->acked += n;
	if (q->n == 0 && q->fill_cap <= FILL_QUIET)
		give_back(q);
}

void
outq_restart(struct outq *q, size_t (*whole)(struct view bytes, size_t sent))
{
	struct outq_entry *e;
	size_t n;

	while (q->next > 0) {
		q->bytes -= outq_at(q, 0)->len - q->acked;
		pop(q);
	}
	if (q->n > 0 && q->sent > 0) {
		e = outq_at(q, 0);
		n = whole(
		    (struct view){e->slab->data + e->off, e->len}, q->sent);
		e->off += n;
		e->len -= n;
		/* Of the rest nothing counts as acknowledged any more. */
		q->bytes = q->bytes + q->acked - n;
	}
	q->sent = 0;
	q->acked = 0;
	q->unsent = q->bytes;
}

void
outq_drop_first(struct outq *q)
{
	assert(q->n > 0 && q->next == 0 && q->sent == 0);
	q->bytes -= outq_at(q, 0)->len;
	q->unsent -= outq_at(q, 0)->len;
	q->next++; /* which pop() takes back */
	pop(q);
}

void
outq_drop_last(struct outq *q)
{
	assert(q->n > first_unsent(q));
	take_out(q, outq_at(q, q->n - 1));
	q->n--;
}

struct outq_loss
outq_left(const struct outq *q)
{
	struct outq_loss left = {0};
	const struct outq_entry *e;
	size_t i;

	for (i = 0; i < q->n; i++) {
		e = outq_at(q, i);
		if (e->count == 0)
			continue;
		left.messages += e->count;
		left.bytes += e->len;
	}
	return left;
}

void
outq_trim(struct outq *q)
{
	if (q->n == 0)
		give_back(q);
}

static bool
is_hole(const struct outq_entry *e)
{
	return e->len == 0;
}

/* The gap of tag before end that no message stands behind; NULL: none. */
static struct outq_entry *
find_gap(const struct outq *q, size_t end, uint32_t tag)
{
	size_t i, first = first_unsent(q);
	struct outq_entry *e;

	for (i = end; i > first; i--) {
		e = outq_at(q, i - 1);
		if (e->is_gap && e->tag == tag)
			return e;
		if (!e->is_gap && !is_hole(e))
			return NULL;
	}
	return NULL;
}

/* An entry that tells a loss, in a slab of its own; false: no memory. */
static bool
make_gap(const struct outq *q, uint32_t tag, struct outq_loss loss,
    struct outq_entry *out)
{
	struct slab *s = slab_new(q->gaps->size);

	if (s == NULL)
		return false;
	s->len = s->cap;
	q->gaps->put(s->data, tag, loss);
	*out = (struct outq_entry){.slab = s,
	    .len = s->len,
	    .charge = s->len,
	    .tag = tag,
	    .is_gap = true};
	return true;
}

int
outq_gap(struct outq *q, uint32_t tag, struct outq_loss loss)
{
	struct outq_entry *gap, e;

	if ((gap = find_gap(q, q->n, tag)) != NULL) {
		q->gaps->add(gap->slab->data, loss);
		return OK;
	}
	if (!make_gap(q, tag, loss, &e))
		return ERR_NOMEM;
	e.may_drop = true;
	if (append(q, e) != OK)
		return ERR_NOMEM;
	q->n_gaps++;
	return OK;
}

static void
put_in(struct outq *q, struct outq_entry *hole, const struct outq_entry *e)
{
	*hole = *e;
	q->n_gaps += e->is_gap;
	q->bytes += e->len;
	q->unsent += e->len;
	q->charge += e->charge + sizeof(*e);
}

/* Drop the messages of entry i; a gap takes their place, if q has gaps. */
static void
drop(struct outq *q, size_t i, struct outq_loss *loss)
{
	struct outq_entry *e = outq_at(q, i), *gap = NULL, instead = {0};
	const struct outq_loss all = {e->count, e->len};
	uint32_t tag = e->tag;

	if (q->gaps != NULL && (gap = find_gap(q, i, tag)) == NULL &&
	    !make_gap(q, tag, all, &instead))
		return;
	loss->messages += all.messages;
	loss->bytes += all.bytes;
	hand_on_charge(q, i);
	take_out(q, e);
	if (gap != NULL) {
		q->gaps->add(gap->slab->data, all);
		/* The next to be dropped finds it beside it. */
		*e = *gap;
		*gap = (struct outq_entry){0};
	} else if (q->gaps != NULL) {
		put_in(q, e, &instead);
	}
}

/* The gap at i, put at the end of the queue then, takes in an older one. */
static void
join_gaps(struct outq *q, size_t i)
{
	struct outq_entry *e = outq_at(q, i), *old = find_gap(q, i, e->tag);

	e->may_drop = false;
	if (old == NULL)
		return;
	q->gaps->add(e->slab->data, q->gaps->get(old->slab->data));
	take_out(q, old);
}

/* Close the holes before end; return how many there were. */
static size_t
close_holes(struct outq *q, size_t end)
{
	size_t i;

	for (i = end; i > 0; i--)
		if (!is_hole(outq_at(q, i - 1)))
			*outq_at(q, --end) = *outq_at(q, i - 1);
	q->head = (q->head + end) & (q->cap - 1);
	q->n -= end;
	return end;
}

/* Without memory the entry stays where it is. */
static void
copy_out(struct outq *q, struct outq_entry *e)
{
	uint8_t *p;

	if (outq_reserve(q, e->len, &p) != OK)
		return;
	memcpy(p, e->slab->data + e->off, e->len);
	slab_unref(e->slab);
	e->slab = slab_ref(q->fill);
	e->off = q->fill->len;
	q->fill->len += e->len;
	q->charge -= e->charge;
	q->charge += e->len;
	e->charge = e->len;
}

/*
 * Entries from first to end, which nothing was sent of, have lost neighbours:
 * copy them out of slabs of which little else is wanted.
 */
static void
gather(struct outq *q, size_t first, size_t end)
{
	const struct slab *s;
	size_t i, next, len;

	for (i = first; i <= end && i < q->n; i = next) {
		s = outq_at(q, i)->slab;
		len = 0;
		for (next = i; next < q->n && outq_at(q, next)->slab == s;
		     next++)
			len += outq_at(q, next)->len;
		if (s == q->fill || !is_sparse(s, len))
			continue;
		for (; i < next; i++)
			copy_out(q, outq_at(q, i));
	}
}

bool
outq_drop_old(struct outq *q, const struct slab *slab, size_t len, uint32_t tag,
    struct outq_loss *loss)
{
	size_t holes, i, first = first_unsent(q);
	const struct outq_entry *e;

	for (i = first; i < q->n && !outq_fits(q, slab, len); i++) {
		e = outq_at(q, i);
		if (e->is_gap && e->may_drop)
			join_gaps(q, i);
		else if (e->count > 0 && (e->may_drop || e->tag == tag))
			drop(q, i, loss);
	}
	if ((holes = close_holes(q, i)) > 0)
		gather(q, first, i - holes);
	return outq_fits(q, slab, len);
}
