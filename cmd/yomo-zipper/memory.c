/* SPDX-License-Identifier: ISC */
#include <inttypes.h>

#include "base/log.h"
#include "memory.h"
#include "peer.h"

#define RELIEVED_A_TICK 64

uint64_t
memory_kept(const struct zipper_conf *conf)
{
	return conf->memory / 4;
}

bool
memory_is_full(const struct zipper *z)
{
	return slab_total() > z->conf->memory - memory_kept(z->conf);
}

bool
memory_lend(struct zipper *z, size_t n)
{
	if (z->windows + n > memory_kept(z->conf))
		return false;
	z->windows += n;
	return true;
}

void
memory_return(struct zipper *z, size_t n)
{
	z->windows -= n;
}

void
memory_park(struct zipper *z, struct peer *p)
{
	if (TAILQ_EMPTY(&z->parked)) {
		z->full_since = loop_now(z->loop);
		log_info("all %" PRIu64 " MiB of --memory are in use: sources "
			 "have to wait",
		    z->conf->memory >> 20);
	}
	p->parked = true;
	TAILQ_INSERT_TAIL(&z->parked, p, link_parked);
}

void
memory_unpark(struct zipper *z, struct peer *p)
{
	if (z->senior == p)
		z->senior = NULL;
	TAILQ_REMOVE(&z->parked, p, link_parked);
	p->parked = false;
	peer_resume(p);
}

void
memory_release(struct zipper *z)
{
	while (
	    !TAILQ_EMPTY(&z->parked) && slab_total() < z->conf->memory / 8 * 5)
		memory_unpark(z, TAILQ_FIRST(&z->parked));
}

/* Nothing is left to deliver whose memory could be used again. */
static bool
is_stuck(const struct zipper *z)
{
	const struct peer *p;

	TAILQ_FOREACH(p, &z->peers, link_all)
		if (peer_is_owed(p))
			return false;
	return true;
}

/*
 * Memory may be full of what has not been routed: messages that wait for it,
 * and beginnings of messages.  Route some of the former all the same, and let
 * one after the other of the latter have its end.
 */
static void
relieve(struct zipper *z, uint64_t now)
{
	struct peer *p, *next;
	size_t n = 0;

	if (TAILQ_EMPTY(&z->parked) || !is_stuck(z))
		return;
	for (p = TAILQ_FIRST(&z->parked); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link_parked);
		if (!peer_is_halfway(p) && n++ < RELIEVED_A_TICK) {
			memory_unpark(z, p);
			p->relieved = true;
		} else if (z->senior == NULL && peer_is_halfway(p)) {
			z->senior = p;
			z->senior_since = now;
			peer_resume(p);
		}
	}
}

/* Who lets all others wait must not take for ever. */
static void
hurry_senior(struct zipper *z, uint64_t now)
{
	uint64_t patience = z->conf->stall_ns;

	if (z->senior == NULL || z->senior->is_pipe || patience == 0 ||
	    now <= z->senior_since + patience)
		return;
	log_info("'%s' (%s) holds the memory that others wait for: "
		 "disconnected",
	    z->senior->name, z->senior->link->name);
	peer_close(z->senior, HELLO_CLOSE_RESTART, "out of memory");
}

void
memory_tick(struct zipper *z, uint64_t now)
{
	hurry_senior(z, now);
	relieve(z, now);
	memory_release(z);
}
