/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "link/quiclink.h"
#include "memory.h"
#include "peer.h"
#include "way.h"
#include "wire/lane.h"

/* Sessions of longer names share the lane of their tag. */
#define SESSION_MAX 64

static const struct lane_ops lane_callbacks;

static void
prepare(struct way *w, struct peer *p, struct outq *out)
{
	w->peer = p;
	w->out = out;
	w->progress_at = loop_now(p->z->loop);
	TAILQ_INSERT_TAIL(&p->ways, w, link);
}

void
way_init(struct way *w, struct peer *p, struct outq *out)
{
	*w = (struct way){0};
	prepare(w, p, out);
}

void
way_start(struct way *w)
{
	router_open_outlet(&w->outlet, &w->peer->observer, w->out);
}

static bool
is_for(const struct way *w, bool has_tag, uint32_t tag, struct view session)
{
	return w->is_lane && w->has_tag == has_tag && w->tag == tag &&
	       view_equal(buf_view(&w->session), session);
}

/* Whether an older lane for the same messages has not come to its end. */
static bool
has_precursor(const struct way *w)
{
	const struct way *o;

	TAILQ_FOREACH(o, &w->peer->ways, link) {
		if (o == w)
			return false;
		if (is_for(o, w->has_tag, w->tag, buf_view(&w->session)))
			return true;
	}
	return false;
}

/* Open its lane, if the client allows one more. */
static void
open_lane(struct way *w)
{
	struct peer *p = w->peer;

	if (w->lane != NULL || has_precursor(w))
		return;
	switch (link_open_lane(p->link, w->out, &lane_callbacks, w, &w->lane)) {
	case OK:
		lane_wake(w->lane);
		if (w->finishing)
			lane_finish(w->lane);
		break;
	case ERR_NOMEM:
		peer_evict(p);
		break;
	}
}

void
way_open_all(struct peer *p)
{
	struct way *w;

	TAILQ_FOREACH(w, &p->ways, link)
		if (w->is_lane)
			open_lane(w);
}

/* The first frame on a lane says what it is for. */
static int
put_header(struct way *w)
{
	struct lane_frame h = {
	    .has_tag = w->has_tag,
	    .tag = w->tag,
	    .session = buf_view(&w->session),
	};
	size_t n = lane_frame_size(&h);
	uint8_t *at;
	int r;

	if ((r = outq_reserve(&w->queue, n, &at)) != OK)
		return r;
	lane_frame_put(at, &h);
	return outq_commit(&w->queue, n, 0, 0);
}

static struct way *
make_lane(struct peer *p, bool has_tag, uint32_t tag, struct view session)
{
	struct way *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	outq_init(&w->queue, p->z->conf->queue);
	w->session.max = SESSION_MAX;
	w->is_lane = true;
	w->has_tag = has_tag;
	w->tag = tag;
	if (buf_put(&w->session, session) != OK || put_header(w) != OK) {
		buf_fini(&w->session);
		outq_fini(&w->queue);
		free(w);
		return NULL;
	}
	prepare(w, p, &w->queue);
	way_start(w);
	p->n_lanes++;
	open_lane(w);
	return w;
}

struct way *
way_for(struct peer *p, uint32_t tag, struct view session)
{
	bool own = p->n_lanes < QUICLINK_LANES_MAX - 1;
	struct way *w, *shared = NULL;

	if (!p->lanes)
		return &p->main_way;
	if (session.len > SESSION_MAX)
		session.len = 0;
	TAILQ_FOREACH(w, &p->ways, link) {
		if (w->finishing)
			continue;
		if (is_for(w, true, tag, session))
			return w;
		if (w->is_lane && !w->has_tag)
			shared = w;
	}
	if (own)
		return make_lane(p, true, tag, session);
	return shared != NULL ? shared
			      : make_lane(p, false, 0, (struct view){0});
}

void
way_free(struct way *w)
{
	struct peer *p = w->peer;

	router_close_outlet(p->z->router, &w->outlet);
	/* What a group shares went to others, or was counted as lost. */
	if (!w->outlet.is_shared)
		peer_count_orphans(p, w->out);
	TAILQ_REMOVE(&p->ways, w, link);
	if (!w->is_lane)
		return;
	p->n_lanes--;
	outq_fini(&w->queue);
	buf_fini(&w->session);
	free(w);
}

void
way_wake(struct way *w)
{
	if (!w->is_lane)
		link_wake(w->peer->link);
	else if (w->lane != NULL)
		lane_wake(w->lane);
}

void
way_finish(struct way *w)
{
	if (w->finishing)
		return;
	w->finishing = true;
	if (w->lane != NULL)
		lane_finish(w->lane);
}

void
way_trim(struct way *w)
{
	if (w->outlet.out != NULL)
		router_trim(&w->outlet);
	else
		outq_trim(w->out);
}

/* --- the lane's callbacks --- */

static void
on_moved(void *arg)
{
	struct way *w = arg;

	peer_moved(w->peer, w);
}

/* The client wants no more of it. */
static void
on_broken(void *arg, uint64_t code)
{
	struct way *w = arg;
	struct peer *p = w->peer;

	log_debug("'%s' (%s) wants no more of tag 0x%x: code 0x%llx", p->name,
	    p->link->name, w->tag, (unsigned long long)code);
	w->finishing = true; /* and nobody is given it any more */
	if (w->has_tag && buf_view(&w->session).len == 0)
		router_unobserve(p->z->router, &p->observer, w->tag);
	router_close_outlet(p->z->router, &w->outlet);
}

static void
on_closed(void *arg)
{
	struct way *w = arg;
	struct peer *p = w->peer;

	w->lane = NULL;
	way_free(w);
	way_open_all(p);
	peer_settle(p);
}

static const struct lane_ops lane_callbacks = {
    .broken = on_broken,
    .moved = on_moved,
    .closed = on_closed,
};
