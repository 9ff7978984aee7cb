/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/err.h"
#include "conf/exit.h"
#include "link/client_inside.h"
#include "link/pipelink.h"
#include "link/quiclink.h"

void
client_dial_again(struct client *c)
{
	uint64_t r;

	auth_random(&r, sizeof(r));
	client_wait(c, &c->pause, itinerary_rest(&c->way, r));
}

void
client_dial_next(struct client *c)
{
	client_set_state(c, CLIENT_RESTING);
	if (itinerary_has_addr(&c->way) || itinerary_advance(&c->way))
		client_dial(c);
	else
		client_dial_again(c);
}

static void
dial_addr(struct client *c)
{
	const struct endpoint *e = itinerary_zipper(&c->way);
	const struct addr *a = itinerary_addr(&c->way);

	client_set_state(c, CLIENT_DIALING);
	if (quiclink_dial(&c->link, c->loop, c->conf->tls, e->host, a,
		&c->out.control.out, &client_link_ops, c) != OK) {
		snprintf(c->why, sizeof(c->why), "cannot open a connection");
		client_dial_next(c);
	}
}

static void
on_resolved(void *arg, const struct addr *v, size_t n)
{
	struct client *c = arg;

	c->resolve = NULL;
	if (n == 0) {
		snprintf(c->why, sizeof(c->why), "no such host");
		client_dial_next(c);
		return;
	}
	itinerary_found(&c->way, v, n);
	dial_addr(c);
}

static void
open_pipe(struct client *c)
{
	client_set_state(c, CLIENT_DIALING);
	if (pipelink_open(&c->link, c->loop, c->conf->in_fd, c->conf->out_fd,
		&c->out.control.out, &client_link_ops, c) != OK)
		client_end(c, EXIT_SYSTEM);
}

static void
dial_path(struct client *c, const char *path)
{
	client_set_state(c, CLIENT_DIALING);
	if (pipelink_dial(&c->link, c->loop, path, &c->out.control.out,
		&client_link_ops, c) != OK) {
		snprintf(c->why, sizeof(c->why), "nobody listens there");
		client_dial_next(c);
	}
}

static void
look_up(struct client *c, const struct endpoint *e)
{
	client_set_state(c, CLIENT_RESOLVING);
	if (resolve_start(
		&c->resolve, c->loop, e->host, e->port, on_resolved, c) != OK)
		client_fail(c, EXIT_SYSTEM, "cannot look up", e->host);
}

void
client_dial(struct client *c)
{
	const struct endpoint *e;

	if (client_is_pipe(c)) {
		open_pipe(c);
		return;
	}
	e = itinerary_visit(&c->way);
	if (e->path != NULL)
		dial_path(c, e->path);
	else if (itinerary_has_addr(&c->way))
		dial_addr(c);
	else
		look_up(c, e);
}
