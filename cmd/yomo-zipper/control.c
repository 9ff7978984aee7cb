/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control.h"
#include "inlet.h"
#include "peer.h"
#include "way.h"
#include "wire/lane.h"

/* Told and not read, beside a survey: who lets it grow over this is sent away.
 */
#define UNREAD_MAX (256u << 10)
/* The tags of one Interest frame. */
#define ENTRIES_MAX 1024

/* --- what is told --- */

static bool
has_room(const struct peer *p)
{
	size_t survey = p->interest != NULL ? p->interest->survey : 0;

	return p->out.bytes < UNREAD_MAX + survey;
}

/* As reserve(), whatever has not been read. */
static uint8_t *
reserve_more(struct peer *p, size_t n)
{
	uint8_t *at;

	if (outq_reserve(&p->out, n, &at) == OK)
		return at;
	peer_evict(p);
	return NULL;
}

/* Room for a frame of n bytes to be written in place, or the end of p. */
static uint8_t *
reserve(struct peer *p, size_t n)
{
	if (has_room(p))
		return reserve_more(p, n);
	peer_evict(p);
	return NULL;
}

static void
commit(struct peer *p, size_t n)
{
	if (outq_commit(&p->out, n, 0, 0) != OK)
		peer_evict(p);
	else
		link_wake(p->link);
}

void
control_tell_taken(struct peer *p, const struct inlet *in)
{
	struct taken_frame t = {
	    .lane = in->number,
	    .messages = in->messages,
	    .unobserved = in->unobserved,
	};
	size_t n = taken_frame_size(&t);
	uint8_t *at = reserve(p, n);

	if (at == NULL)
		return;
	taken_frame_put(at, &t);
	commit(p, n);
}

static void
acknowledge(struct peer *p, uint64_t request, const char *refusal)
{
	struct observe_ack_frame a = {
	    .request = request,
	    .refusal = view_of(refusal),
	};
	size_t n = observe_ack_frame_size(&a);
	uint8_t *at = reserve(p, n);

	if (at == NULL)
		return;
	observe_ack_frame_put(at, &a);
	commit(p, n);
}

/* --- interest --- */

static void
tell_entries(struct peer *p, const uint8_t *entries, size_t n, bool complete)
{
	struct interest_frame f = {
	    .entries = {entries, n},
	    .complete = complete,
	};
	size_t size = interest_frame_size(&f);
	uint8_t *at = reserve_more(p, size);

	if (at == NULL)
		return;
	interest_frame_put(at, &f);
	commit(p, size);
}

/* All there is, in frames of some size. */
struct survey {
	struct peer *peer;
	uint8_t entries[ENTRIES_MAX * 8];
	size_t n;
	bool complete; /* of the next frame: it is the first */
};

static void
flush_survey(struct survey *s)
{
	if (s->n == 0 && !s->complete)
		return;
	tell_entries(s->peer, s->entries, s->n, s->complete);
	s->complete = false;
	s->n = 0;
}

static bool
is_interested(const struct peer *p, uint32_t tag)
{
	size_t i;

	for (i = 0; i < p->interest->n; i++)
		if (tag >= p->interest->ranges[i].first &&
		    tag <= p->interest->ranges[i].last)
			return true;
	return false;
}

static void
survey_topic(void *arg, uint32_t tag, uint32_t observers)
{
	struct survey *s = arg;

	if (!is_interested(s->peer, tag))
		return;
	interest_entry_put(s->entries + s->n,
	    (struct interest_entry){.tag = tag, .observers = observers});
	s->n += 8;
	if (s->n == sizeof(s->entries))
		flush_survey(s);
}

/* All there is, however much: who asked has read what it was told before. */
static void
tell_all(struct peer *p)
{
	struct survey s = {.peer = p, .complete = true};
	size_t before = p->out.bytes;

	p->interest->is_stale = false;
	router_each_topic(p->z->router, 0, UINT32_MAX, survey_topic, &s);
	flush_survey(&s);
	p->interest->survey = p->out.bytes - before;
}

void
control_tell_interest(void *zipper, uint32_t tag, uint32_t observers)
{
	struct zipper *z = zipper;
	struct peer *p;
	uint8_t entry[8];

	interest_entry_put(
	    entry, (struct interest_entry){.tag = tag, .observers = observers});
	TAILQ_FOREACH(p, &z->curious, link_curious) {
		if (!is_interested(p, tag))
			continue;
		if (p->interest->is_stale || p->out.bytes > UNREAD_MAX / 2)
			p->interest->is_stale = true;
		else
			tell_entries(p, entry, sizeof(entry), false);
	}
}

void
control_moved(struct peer *p)
{
	if (p->interest != NULL && p->interest->is_stale && p->out.bytes == 0)
		tell_all(p);
}

void
control_forget(struct peer *p)
{
	if (p->interest == NULL)
		return;
	TAILQ_REMOVE(&p->z->curious, p, link_curious);
	free(p->interest);
	p->interest = NULL;
}

/* --- what is asked --- */

static int
malformed(struct peer *p, const char *what)
{
	snprintf(p->text, sizeof(p->text), "malformed %s", what);
	return ERR_BAD;
}

static int
take_interest(struct peer *p, const struct frame *f)
{
	struct interest_frame i;
	size_t k, n;

	if (interest_frame_get(f->body, &i) != OK)
		return malformed(p, "Interest");
	if ((n = ranges_count(i.ranges)) > PEER_INTEREST_MAX) {
		snprintf(p->text, sizeof(p->text),
		    "interest in %zu ranges, at most %d are allowed", n,
		    PEER_INTEREST_MAX);
		return ERR_BAD;
	}
	if (!has_room(p)) {
		peer_evict(p);
		return OK;
	}
	control_forget(p);
	if ((p->interest = calloc(1, sizeof(*p->interest))) == NULL)
		return ERR_NOMEM;
	TAILQ_INSERT_TAIL(&p->z->curious, p, link_curious);
	for (k = 0; k < n; k++)
		p->interest->ranges[k] = ranges_at(i.ranges, k);
	p->interest->n = n;
	tell_all(p);
	return OK;
}

/* The tags of ranges, in all; more than max are not counted. */
static size_t
count_tags(struct view ranges, size_t max)
{
	struct tag_range t;
	size_t i, n = 0;

	for (i = 0; i < ranges_count(ranges) && n <= max; i++) {
		t = ranges_at(ranges, i);
		if (t.last < t.first)
			continue;
		if (t.last - t.first >= max)
			return max + 1;
		n += t.last - t.first + 1;
	}
	return n;
}

/* A group's tag has a lane of its own, or what is taken could not be told. */
static bool
has_own_lane(struct peer *p, uint32_t tag)
{
	const struct way *w = way_for(p, tag, (struct view){0});

	return w != NULL && w->has_tag;
}

static int
observe_tag(struct peer *p, struct observing *o, char why[HELLO_TEXT])
{
	int r;

	if (o->group != NULL && !has_own_lane(p, o->tag)) {
		snprintf(why, HELLO_TEXT,
		    "no lane is left for tag 0x%x of a group", o->tag);
		return ERR_LIMIT;
	}
	r = router_observe(p->z->router, &p->observer, o, loop_now(p->z->loop));
	if (r == ERR_LIMIT)
		snprintf(why, HELLO_TEXT,
		    "the name of a group has at most %u bytes",
		    ROUTER_GROUP_MAX);
	else if (r != OK)
		snprintf(why, HELLO_TEXT, "out of memory");
	return r;
}

static void
add_tags(struct peer *p, const struct observe_frame *f, const char *group,
    char why[HELLO_TEXT])
{
	struct observing o = {
	    .asked =
		f->policy > 0 ? (enum policy)(f->policy - 1) : POLICY_BLOCK,
	    .group = group,
	    .prefetch = f->prefetch < ROUTER_PREFETCH_MAX
			    ? (unsigned)f->prefetch
			    : ROUTER_PREFETCH_MAX,
	};
	struct tag_range t;
	uint64_t tag;
	size_t i;

	for (i = 0; i < ranges_count(f->add); i++) {
		t = ranges_at(f->add, i);
		for (tag = t.first; tag <= t.last; tag++) {
			o.tag = (uint32_t)tag;
			if (observe_tag(p, &o, why) != OK)
				return;
		}
	}
}

static void
add_all(struct peer *p, const struct observe_frame *f, char why[HELLO_TEXT])
{
	char *group = NULL;

	if (f->group.len > 0 &&
	    (group = strndup((const char *)f->group.p, f->group.len)) == NULL)
		snprintf(why, HELLO_TEXT, "out of memory");
	else
		add_tags(p, f, group, why);
	free(group);
}

static void
remove_tags(struct peer *p, struct view ranges)
{
	struct tag_range t;
	uint64_t tag;
	size_t i;

	for (i = 0; i < ranges_count(ranges); i++) {
		t = ranges_at(ranges, i);
		for (tag = t.first; tag <= t.last; tag++)
			router_unobserve(
			    p->z->router, &p->observer, (uint32_t)tag);
	}
}

static int
take_observe(struct peer *p, const struct frame *f)
{
	size_t max = p->z->conf->max_tags;
	struct observe_frame o;
	char why[HELLO_TEXT] = "";

	if (observe_frame_get(f->body, &o) != OK || o.policy > 3)
		return malformed(p, "Observe");
	if (count_tags(o.remove, max) > max ||
	    count_tags(o.add, max) + p->observer.n_subs > max)
		snprintf(why, sizeof(why),
		    "too many tags observed, at most %zu are allowed", max);
	if (why[0] == '\0') {
		remove_tags(p, o.remove);
		add_all(p, &o, why);
	}
	acknowledge(p, o.request, why);
	return OK;
}

static int
take_taken(struct peer *p, const struct frame *f)
{
	struct taken_frame t;
	struct way *w;

	if (taken_frame_get(f->body, &t) != OK)
		return malformed(p, "Taken");
	TAILQ_FOREACH(w, &p->ways, link) {
		if (w->lane == NULL || w->lane->id != t.lane ||
		    router_taken(p->z->router, &w->outlet, t.messages) == OK)
			continue;
		snprintf(p->text, sizeof(p->text),
		    "more messages taken than were sent");
		return ERR_BAD;
	}
	return OK;
}

int
control_take(struct peer *p, const struct frame *f)
{
	switch (f->type) {
	case FRAME_OBSERVE:
		return take_observe(p, f);
	case FRAME_INTEREST:
		return take_interest(p, f);
	case FRAME_TAKEN:
		return take_taken(p, f);
	}
	snprintf(
	    p->text, sizeof(p->text), "unexpected %s", frame_name(f->type));
	return ERR_BAD;
}
