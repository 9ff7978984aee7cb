/* SPDX-License-Identifier: ISC */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "net/resolve.h"

#define FOUND_MAX 16

struct resolve {
	uv_getaddrinfo_t req;
	uv_timer_t soon; /* for what needs no look-up */
	void (*done)(void *arg, const struct addr *v, size_t n);
	void *arg; /* of done; done is NULL: cancelled */
	char host[256];
	uint16_t port;
	bool stuck; /* cancelled while a thread asks the name server */
};

static unsigned n_stuck;

static const struct addrinfo hints = {
    .ai_family = AF_UNSPEC,
    .ai_socktype = SOCK_DGRAM,
};

static size_t
collect(const struct addrinfo *ai, uint16_t port, struct addr *v, size_t max)
{
	size_t n = 0;

	for (; ai != NULL && n < max; ai = ai->ai_next) {
		if (ai->ai_addrlen > sizeof(v[n].in6))
			continue;
		memset(&v[n], 0, sizeof(v[n]));
		memcpy(&v[n].sa, ai->ai_addr, ai->ai_addrlen);
		v[n].len = ai->ai_addrlen;
		addr_set_port(&v[n++], port);
	}
	return n;
}

static struct addr
addr_of(const char *text, uint16_t port)
{
	struct addr a = {0};
	struct addrinfo numeric = hints, *ai;

	numeric.ai_flags = AI_NUMERICHOST;
	if (getaddrinfo(text, NULL, &numeric, &ai) != 0)
		return a;
	collect(ai, port, &a, 1);
	freeaddrinfo(ai);
	return a;
}

/*
 * What needs no look-up: numbers; localhost, which is both loopback addresses
 * whatever /etc/hosts says (RFC 6761, 6.3); and "", any address.
 */
static size_t
known(const char *host, uint16_t port, struct addr *v)
{
	if (strcmp(host, "localhost") == 0 || *host == '\0') {
		v[0] = addr_of(*host != '\0' ? "::1" : "::", port);
		v[1] = addr_of(*host != '\0' ? "127.0.0.1" : "0.0.0.0", port);
		return 2;
	}
	v[0] = addr_of(host, port);
	return v[0].len > 0 ? 1 : 0;
}

int
resolve_now(
    const char *host, uint16_t port, struct addr *v, size_t max, size_t *n)
{
	struct addrinfo *ai;
	int r;

	if (max >= 2 && (*n = known(host, port, v)) > 0)
		return OK;
	if ((r = getaddrinfo(host, NULL, &hints, &ai)) != 0) {
		log_error("cannot look up '%s': %s", host, gai_strerror(r));
		return ERR_NONE;
	}
	*n = collect(ai, port, v, max);
	freeaddrinfo(ai);
	return *n > 0 ? OK : ERR_NONE;
}

static void
on_freed(uv_handle_t *h)
{
	free(h->data);
}

/* The timer's handle is the last of it that libuv holds. */
static void
answer(struct resolve *r, const struct addr *v, size_t n)
{
	if (r->done != NULL)
		r->done(r->arg, v, n);
	n_stuck -= r->stuck;
	uv_close((uv_handle_t *)&r->soon, on_freed);
}

static void
on_soon(uv_timer_t *t)
{
	struct resolve *r = t->data;
	struct addr v[2];

	answer(r, v, known(r->host, r->port, v));
}

static void
on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *ai)
{
	struct resolve *r = req->data;
	struct addr v[FOUND_MAX];
	size_t n = 0;

	if (status == 0)
		n = collect(ai, r->port, v, FOUND_MAX);
	else if (r->done != NULL)
		log_debug(
		    "cannot look up '%s': %s", r->host, uv_strerror(status));
	uv_freeaddrinfo(ai);
	answer(r, v, n);
}

int
resolve_start(struct resolve **out, struct loop *l, const char *host,
    uint16_t port, void (*done)(void *arg, const struct addr *v, size_t n),
    void *arg)
{
	struct resolve *r;
	struct addr v[2];
	int e = 0;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ERR_NOMEM;
	r->done = done;
	r->arg = arg;
	r->port = port;
	r->req.data = r;
	snprintf(r->host, sizeof(r->host), "%s", host);
	uv_timer_init(loop_uv(l), &r->soon);
	r->soon.data = r;
	if (known(host, port, v) > 0)
		e = uv_timer_start(&r->soon, on_soon, 0, 0);
	else
		e = uv_getaddrinfo(
		    loop_uv(l), &r->req, on_looked_up, r->host, NULL, &hints);
	if (e != 0) {
		log_error("cannot look up '%s': %s", host, uv_strerror(e));
		r->done = NULL;
		answer(r, NULL, 0);
		return ERR_SYS;
	}
	*out = r;
	return OK;
}

void
resolve_cancel(struct resolve *r)
{
	if (r == NULL)
		return;
	/* One that cannot be cancelled any more ends without an answer. */
	r->done = NULL;
	r->stuck = uv_cancel((uv_req_t *)&r->req) == UV_EBUSY;
	n_stuck += r->stuck;
}

bool
resolve_is_stuck(void)
{
	return n_stuck > 0;
}
