/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "link/quiclink.h"
#include "patience.h"
#include "peer.h"
#include "proto/hello.h"

#define NS_PER_S 1000000000ull
/* From the connection to the Handshake; from a refusal to the close. */
#define GREETING_NS (5 * NS_PER_S)
#define REFUSED_NS (1 * NS_PER_S)
#define LEAVING_NS (10 * NS_PER_S)

static bool
is_late(const struct peer *p, uint64_t now, uint64_t ns)
{
	return now > p->since + ns;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Whether so long has passed that --stall says enough. */
static bool
is_enough(const struct zipper *z, uint64_t from, uint64_t now)
{
	return z->conf->stall_ns > 0 && now > from + z->conf->stall_ns;
}

/* Others wait for a queue of it, or for the memory in it; it takes nothing. */
static bool
is_stuck(const struct way *w, uint64_t now)
{
	const struct zipper *z = w->peer->z;
	uint64_t from = w->waited_at;

	if (w->out->bytes == 0)
		return false;
	if (TAILQ_EMPTY(&w->outlet.waiters)) {
		if (TAILQ_EMPTY(&z->parked))
			return false;
		from = z->full_since;
	}
	return is_enough(z, later(from, w->progress_at), now);
}

static bool
is_stalled(const struct peer *p, uint64_t now)
{
	const struct way *w;

	if (p->is_pipe)
		return false;
	TAILQ_FOREACH(w, &p->ways, link)
		if (is_stuck(w, now))
			return true;
	return false;
}

/*
 * What came by lanes and waits may have closed the connection's window for all
 * of them.  QUIC tells of credit when half a window has come together.
 */
static bool
is_closed_to(const struct peer *p)
{
	size_t window =
	    QUICLINK_WINDOW_FIRST + p->main_inlet.window + p->window;
	const struct inlet *in;
	size_t n = 0;

	TAILQ_FOREACH(in, &p->inlets, link)
		n += in->unused - in->advanced;
	return p->lanes && n >= window / 2;
}

/* The rest of a message does not come although it may. */
static bool
is_abandoned(const struct peer *p, uint64_t now)
{
	const struct inlet *in;

	if (p->state != PEER_READY || p->is_pipe || is_closed_to(p))
		return false;
	TAILQ_FOREACH(in, &p->inlets, link)
		if (is_enough(p->z, in->heard_at, now) && inlet_is_awaited(in))
			return true;
	return false;
}

/* It has our FIN, or should have, and does not go. */
static bool
is_lingering(const struct peer *p, uint64_t now)
{
	uint64_t from = later(p->since, p->progress_at);

	if (p->state != PEER_LEAVING || now <= from + LEAVING_NS)
		return false;
	return p->link->fin_acked || is_enough(p->z, from, now);
}

/* Who falls idle needs no memory. */
static void
trim(struct peer *p, uint64_t now)
{
	struct inlet *in;
	struct way *w;

	TAILQ_FOREACH(w, &p->ways, link)
		if (now > w->progress_at + NS_PER_S && w->out->bytes == 0)
			way_trim(w);
	TAILQ_FOREACH(in, &p->inlets, link)
		if (now > in->heard_at + NS_PER_S && in->waiter.on == NULL)
			intake_trim(&in->in);
}

void
patience_tick(struct peer *p, uint64_t now)
{
	if (p->state == PEER_GREETING && is_late(p, now, GREETING_NS)) {
		peer_close(p, HELLO_CLOSE_RESTART, "no handshake in time");
	} else if (p->state == PEER_REFUSED && !p->is_pipe &&
		   is_late(p, now, REFUSED_NS)) {
		peer_close(p, HELLO_CLOSE_EVICT, p->text);
	} else if (is_lingering(p, now)) {
		peer_close(p, HELLO_CLOSE_RESTART, "left");
	} else if (is_stalled(p, now)) {
		log_info("'%s' (%s) took nothing for %.3g s while others "
			 "waited: disconnected",
		    p->name, p->link->name,
		    (double)p->z->conf->stall_ns / NS_PER_S);
		peer_close(p, HELLO_CLOSE_RESTART, "stalled");
	} else if (is_abandoned(p, now)) {
		log_info("'%s' (%s) sent half a message, and no more for %.3g "
			 "s: disconnected",
		    p->name, p->link->name,
		    (double)p->z->conf->stall_ns / NS_PER_S);
		peer_close(p, HELLO_CLOSE_RESTART, "half a message");
	} else {
		trim(p, now);
	}
}
