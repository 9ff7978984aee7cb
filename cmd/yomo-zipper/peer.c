/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "control.h"
#include "cut.h"
#include "greet.h"
#include "link/pipelink.h"
#include "link/quiclink.h"
#include "memory.h"
#include "peer.h"

/* What a client may ask for before the others have their turn. */
#define CONTROL_A_TURN 16

static const struct link_ops link_callbacks;

void
peer_set_state(struct peer *p, enum peer_state state)
{
	p->state = state;
	p->since = loop_now(p->z->loop);
}

void
peer_count_orphans(struct peer *p, const struct outq *q)
{
	struct outq_loss n = outq_left(q);

	p->left.messages += n.messages;
	p->left.bytes += n.bytes;
	p->z->orphans.messages += n.messages;
	p->z->orphans.bytes += n.bytes;
}

/* --- inlets --- */

static void
drop_inlet(struct inlet *in)
{
	struct peer *p = in->peer;

	p->received += in->messages;
	inlet_fini(in);
	TAILQ_REMOVE(&p->inlets, in, link);
	if (in->is_lane)
		free(in);
}

/* Everything that came on a lane is routed: it may be closed. */
static void
end_inlet(struct inlet *in)
{
	in->has_ended = true;
	control_tell_taken(in->peer, in);
	lane_finish(in->lane);
}

static bool
may_end(const struct inlet *in)
{
	return in->is_lane && in->fin_came && !in->has_ended &&
	       in->waiter.on == NULL && in->in.waiting == 0;
}

/* --- the end --- */

static void
say_left(const struct peer *p)
{
	if (p->left.messages == 0 || p->went)
		return;
	log_info("'%s' (%s) left without %llu messages of %llu bytes", p->name,
	    p->link->name, (unsigned long long)p->left.messages,
	    (unsigned long long)p->left.bytes);
}

/* Its link is closed: nothing of it may be used any more but the name. */
static void
forget(struct peer *p)
{
	struct zipper *z = p->z;
	struct inlet *in;
	struct way *w;

	p->is_gone = true;
	control_forget(p);
	router_leave(z->router, &p->observer);
	while ((in = TAILQ_FIRST(&p->inlets)) != NULL)
		drop_inlet(in);
	while ((w = TAILQ_FIRST(&p->ways)) != NULL)
		way_free(w);
	say_left(p);
	cut_sessions(z, &p->sessions);
	if (p->parked)
		TAILQ_REMOVE(&z->parked, p, link_parked);
	if (z->senior == p)
		z->senior = NULL;
	if (z->pipe == p)
		z->pipe = NULL;
	memory_return(z, p->window);
	task_cancel(z->loop, &p->evict);
	task_cancel(z->loop, &p->work);
	TAILQ_REMOVE(&z->peers, p, link_all);
	z->n_peers--;
	outq_fini(&p->out);
	free(p->name);
	free(p);
	memory_release(z);
	zipper_settle(z);
}

void
peer_close(struct peer *p, uint64_t code, const char *reason)
{
	log_debug("closing '%s' (%s): %s", p->name, p->link->name, reason);
	link_close(p->link, code, reason);
	forget(p);
}

/* It broke the protocol; the pipe's end is the zipper's. */
static bool
expel(struct peer *p, const char *why)
{
	if (p->is_pipe) {
		log_error("cannot read standard input: %s", why);
		peer_set_state(p, PEER_REFUSED);
		zipper_drain(p->z, EXIT_DATA);
		return false;
	}
	log_info("'%s' (%s) is sent away: %s", p->name, p->link->name, why);
	peer_close(p, HELLO_CLOSE_EVICT, why);
	return false;
}

/* --- as an observer --- */

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct way *w = way_for(arg, tag, session);

	return w != NULL ? &w->outlet : NULL;
}

static void
on_queued(void *arg, struct outlet *o)
{
	(void)arg;
	way_wake(way_of(o));
}

static void
on_session_over(void *arg, struct outlet *o)
{
	struct way *w = way_of(o);

	(void)arg;
	if (w->is_lane && buf_view(&w->session).len > 0)
		way_finish(w);
}

void
peer_evict(struct peer *p)
{
	task_post(p->z->loop, &p->evict);
}

static void
on_evict(void *arg)
{
	peer_evict(arg);
}

static void
evict(void *arg)
{
	struct peer *p = arg;

	log_info("'%s' (%s) is too slow: disconnected", p->name, p->link->name);
	peer_close(p, HELLO_CLOSE_RESTART, "too slow: the queue is full");
}

void
peer_moved(struct peer *p, struct way *w)
{
	w->progress_at = p->progress_at = loop_now(p->z->loop);
	router_room(&w->outlet);
	memory_release(p->z);
	if (w->out->bytes == 0)
		zipper_settle(p->z);
}

/* --- routing --- */

/* Who sends much may send more ahead, as long as memory is kept for it. */
void
peer_used(struct peer *p, size_t n)
{
	size_t more = p->window + QUICLINK_WINDOW_FIRST;

	p->used += n;
	if (p->used < more)
		return;
	p->used = 0;
	if (more > QUICLINK_WINDOW_ALL - more)
		more = QUICLINK_WINDOW_ALL - more;
	if (more == 0 || !memory_lend(p->z, more))
		return;
	p->window += more;
	link_credit(p->link, more);
}

/*
 * No memory for more.  Only the rest of a message still comes: its whole may
 * be what has to go before others can.
 */
static bool
must_wait(struct peer *p)
{
	struct zipper *z = p->z;
	struct inlet *in;

	if (!p->parked) {
		if (!memory_is_full(z) || !peer_has_waiting(p) || p->relieved) {
			p->relieved = false;
			return false;
		}
		memory_park(z, p);
	}
	if (z->senior != p)
		return true;
	if (!peer_is_halfway(p)) {
		memory_unpark(z, p);
		return false;
	}
	TAILQ_FOREACH(in, &p->inlets, link)
		inlet_credit(in, 0);
	return true;
}

bool
peer_may_route(struct peer *p)
{
	return p->state == PEER_READY && !must_wait(p);
}

/* Do what the client asks for on its control stream; as inlet_route(). */
static int
take_control(struct peer *p)
{
	struct inlet *in = &p->main_inlet;
	unsigned left = CONTROL_A_TURN;
	struct frame f;
	int r;

	while ((r = intake_next(&in->in, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(&in->in))) {
		if (r == ERR_MORE)
			continue;
		if ((r = control_take(p, &f)) != OK)
			return r;
		if (--left > 0)
			continue;
		inlet_credit(in, in->in.waiting);
		peer_resume(p);
		return OK;
	}
	inlet_credit(in, 0);
	if (r == ERR_MORE && (in->in.waiting == 0 || !in->fin_came))
		return OK;
	snprintf(p->text, sizeof(p->text), "malformed control stream");
	return ERR_BAD;
}

/* The client has said all it had to say, and all of it is routed. */
static bool
is_done(const struct peer *p)
{
	const struct inlet *in;

	if (p->state != PEER_READY || !p->main_inlet.fin_came)
		return false;
	TAILQ_FOREACH(in, &p->inlets, link)
		if (in->in.waiting > 0 || (in->is_lane && !in->has_ended))
			return false;
	return true;
}

/* Our lanes end after what is queued in them, then the link's own stream. */
static void
leave(struct peer *p)
{
	struct way *w, *next;

	control_forget(p);
	router_leave(p->z->router, &p->observer);
	peer_set_state(p, PEER_LEAVING);
	for (w = TAILQ_FIRST(&p->ways); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->is_lane)
			way_finish(w);
	}
	if (p->n_lanes == 0)
		link_finish(p->link);
}

void
peer_settle(struct peer *p)
{
	if (p->state == PEER_LEAVING && p->n_lanes == 0 && !p->link->fin_wanted)
		link_finish(p->link);
}

static int
route_inlet(struct inlet *in)
{
	int r;

	if ((r = inlet_route(in)) == OK && may_end(in))
		end_inlet(in);
	return r == ERR_MORE ? OK : r;
}

/* Route what it sent, as far as there is room; false: it had to go. */
static bool
route(struct peer *p)
{
	struct inlet *in, *next;
	int r = OK;

	if (p->lanes && p->state == PEER_READY)
		r = take_control(p);
	if (r == OK && !peer_may_route(p))
		return true;
	for (in = TAILQ_FIRST(&p->inlets); r == OK && in != NULL; in = next) {
		next = TAILQ_NEXT(in, link);
		if (in->is_lane || !p->lanes)
			r = route_inlet(in);
	}
	if (r == ERR_NOMEM) {
		peer_evict(p);
		return true;
	}
	if (r != OK)
		return expel(p, p->text);
	if (is_done(p)) {
		cut_sessions(p->z, &p->sessions);
		if (p->is_pipe)
			zipper_drain(p->z, EXIT_OK);
		else
			leave(p);
	}
	return true;
}

static void
work(void *arg)
{
	struct peer *p = arg;
	struct zipper *z = p->z;

	if (route(p))
		zipper_settle(z);
}

void
peer_resume(struct peer *p)
{
	task_post(p->z->loop, &p->work);
}

/* --- the link's callbacks --- */

/* Standard output observes everything. */
static void
join_pipe(struct peer *p)
{
	struct router *r = p->z->router;

	peer_set_state(p, PEER_READY);
	if (router_join(r, &p->observer, (struct view){0}) == OK) {
		way_start(&p->main_way);
		if (router_observe_all(r, &p->observer) == OK)
			return;
	}
	log_error("out of memory");
	zipper_drain(p->z, EXIT_SYSTEM);
}

static void
on_up(void *arg)
{
	struct peer *p = arg;

	p->lanes = p->link->lanes;
	peer_set_state(p, PEER_GREETING);
	if (p->is_pipe)
		join_pipe(p);
}

/* Whether what still comes from it is of no use. */
static bool
is_deaf(const struct peer *p)
{
	return p->state == PEER_REFUSED || p->state == PEER_LEAVING;
}

static void
put(struct inlet *in, struct view bytes)
{
	struct peer *p = in->peer;

	switch (inlet_put(in, bytes)) {
	case OK:
		break;
	case ERR_BAD:
		expel(p, p->text);
		break;
	default:
		/* No memory for one connection: its source will count what it
		 * lost. */
		peer_evict(p);
	}
}

static void
on_bytes(void *arg, struct view bytes)
{
	struct peer *p = arg;

	if (is_deaf(p))
		link_consumed(p->link, bytes.len);
	else
		put(&p->main_inlet, bytes);
}

static void
on_fin(void *arg)
{
	struct peer *p = arg;

	p->main_inlet.fin_came = true;
}

static void
on_pause(void *arg)
{
	struct peer *p = arg;

	if (p->state == PEER_GREETING && !greet(p))
		return;
	if (p->state == PEER_READY)
		route(p);
}

static void
on_moved(void *arg)
{
	struct peer *p = arg;

	control_moved(p);
	peer_moved(p, &p->main_way);
}

static void
end_pipe(struct zipper *z, const struct link_end *end)
{
	z->pipe = NULL;
	if (end->kind == LINK_FINISHED)
		return;
	z->no_reader = end->kind == LINK_NO_READER;
	loop_stop(
	    z->loop, end->kind == LINK_UNWRITABLE ? EXIT_OUTPUT : EXIT_SYSTEM);
}

static void
on_down(void *arg, const struct link_end *end)
{
	struct peer *p = arg;
	struct zipper *z = p->z;

	log_debug("%s '%s' (%s) is gone: code 0x%llx: %s", hello_role(p->type),
	    p->name, p->link->name, (unsigned long long)end->code, end->reason);
	/* Who wants no more loses nothing, nor does the reader of a pipe. */
	p->went = end->kind == LINK_CLOSED || end->kind == LINK_NO_READER;
	if (p->is_pipe)
		end_pipe(z, end);
	link_close(p->link, 0, "");
	forget(p);
}

/* --- lanes of the client --- */

static void
on_lane_bytes(void *arg, struct view bytes)
{
	put(arg, bytes);
}

static void
on_lane_fin(void *arg)
{
	struct inlet *in = arg;

	in->fin_came = true;
}

/* What there is room for is routed; the rest is given up, as its sender did. */
static void
on_lane_broken(void *arg, uint64_t code)
{
	struct inlet *in = arg;
	struct peer *p = in->peer;

	log_debug("'%s' (%s) broke off a lane: code 0x%llx", p->name,
	    p->link->name, (unsigned long long)code);
	if (peer_may_route(p) && inlet_route(in) == ERR_BAD)
		expel(p, p->text);
}

static void
on_lane_closed(void *arg)
{
	struct inlet *in = arg;
	struct peer *p = in->peer;

	drop_inlet(in);
	peer_resume(p); /* it may have been the last */
}

static const struct lane_ops lane_callbacks = {
    .bytes = on_lane_bytes,
    .fin = on_lane_fin,
    .broken = on_lane_broken,
    .closed = on_lane_closed,
};

static bool
on_lane(void *arg, struct lane *l)
{
	struct peer *p = arg;
	struct inlet *in;

	if (p->state != PEER_READY || (in = malloc(sizeof(*in))) == NULL)
		return false;
	inlet_init(in, p, p->z->conf->max_message);
	in->is_lane = true;
	in->lane = l;
	in->heard_at = loop_now(p->z->loop);
	in->number = l->id;
	TAILQ_INSERT_TAIL(&p->inlets, in, link);
	l->ops = &lane_callbacks;
	l->arg = in;
	return true;
}

static void
on_lanes(void *arg)
{
	way_open_all(arg);
}

static const struct link_ops link_callbacks = {
    .up = on_up,
    .bytes = on_bytes,
    .fin = on_fin,
    .pause = on_pause,
    .moved = on_moved,
    .down = on_down,
    .lane = on_lane,
    .lanes = on_lanes,
};

/* --- exported --- */

static struct peer *
make(struct zipper *z, const char *name)
{
	struct peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	if ((p->name = strdup(name)) == NULL) {
		free(p);
		return NULL;
	}
	p->z = z;
	outq_init(&p->out, z->conf->queue);
	p->observer.outlet = on_outlet;
	p->observer.wake = on_queued;
	p->observer.session_over = on_session_over;
	p->observer.evict = on_evict;
	p->observer.arg = p;
	p->observer.name = p->name;
	p->work = (struct task){.fn = work, .arg = p};
	p->evict = (struct task){.fn = evict, .arg = p};
	TAILQ_INIT(&p->inlets);
	TAILQ_INIT(&p->ways);
	inlet_init(&p->main_inlet, p, HELLO_MAX);
	TAILQ_INSERT_TAIL(&p->inlets, &p->main_inlet, link);
	way_init(&p->main_way, p, &p->out);
	peer_set_state(p, PEER_CONNECTING);
	TAILQ_INSERT_TAIL(&z->peers, p, link_all);
	z->n_peers++;
	return p;
}

bool
peer_accept(void *arg, struct link *link)
{
	struct zipper *z = arg;
	struct peer *p;

	if (z->draining || z->n_peers >= z->conf->max_connections)
		return false;
	if ((p = make(z, "?")) == NULL)
		return false;
	z->connections++;
	p->link = link;
	link->ops = &link_callbacks;
	link->arg = p;
	link->out = &p->out;
	return true;
}

int
peer_open_pipe(struct zipper *z)
{
	struct peer *p;
	int r;

	if ((p = make(z, "pipe")) == NULL)
		return ERR_NOMEM;
	p->is_pipe = true;
	p->main_inlet.in.max = z->conf->max_message;
	r = pipelink_open(&p->link, z->loop, STDIN_FILENO, STDOUT_FILENO,
	    &p->out, &link_callbacks, p);
	if (r != OK) {
		forget(p);
		return r;
	}
	z->pipe = p;
	return OK;
}

bool
peer_is_owed(const struct peer *p)
{
	const struct way *w;

	if (p->out.bytes > 0)
		return true;
	TAILQ_FOREACH(w, &p->ways, link)
		if (w->out->bytes > 0)
			return true;
	return false;
}

/* Some of what it sent waits for an outlet. */
static bool
is_held_up(const struct peer *p)
{
	const struct inlet *in;

	TAILQ_FOREACH(in, &p->inlets, link)
		if (in->waiter.on != NULL)
			return true;
	return false;
}

bool
peer_has_waiting(const struct peer *p)
{
	const struct inlet *in;

	TAILQ_FOREACH(in, &p->inlets, link)
		if (in->in.waiting > 0)
			return true;
	return false;
}

bool
peer_is_halfway(const struct peer *p)
{
	const struct inlet *in;

	if (!p->parked)
		return false;
	TAILQ_FOREACH(in, &p->inlets, link)
		if (in->in.waiting > 0 && !inlet_is_cut(in))
			return false;
	return true;
}

bool
peer_is_served(const struct peer *p)
{
	if (p->is_pipe && p->state == PEER_REFUSED)
		return p->out.bytes == 0;
	return !peer_is_owed(p) && !is_held_up(p) && !p->work.posted &&
	       (!p->parked || peer_is_halfway(p)) &&
	       (p->state != PEER_LEAVING || p->link->fin_acked);
}

void
peer_end_pipe(struct peer *p)
{
	link_finish(p->link);
}

void
peer_describe(const struct peer *p)
{
	uint64_t received = p->received;
	const struct inlet *in;
	const struct way *w;
	size_t queued = 0;

	TAILQ_FOREACH(in, &p->inlets, link)
		received += in->messages;
	TAILQ_FOREACH(w, &p->ways, link)
		queued += w->out->bytes;
	log_info("%s '%s' (%s): %llu messages in, %llu out, %zu bytes queued, "
		 "%llu messages dropped",
	    p->is_pipe ? "pipe" : hello_role(p->type), p->name, p->link->name,
	    (unsigned long long)received,
	    (unsigned long long)p->observer.delivered, queued,
	    (unsigned long long)p->observer.lost.messages);
}
