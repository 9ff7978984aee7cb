/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "link/itinerary.h"

#define NS_PER_MS UINT64_C(1000000)
#define BACKOFF_MIN (50 * NS_PER_MS)
#define BACKOFF_MAX (5000 * NS_PER_MS)

/* Another zipper: nothing is known of it. */
static void
turn(struct itinerary *t)
{
	t->n_addrs = t->addr = 0;
}

void
itinerary_init(struct itinerary *t, const struct endpoint *zippers, size_t n)
{
	*t = (struct itinerary){.zippers = zippers, .n_zippers = n};
}

void
itinerary_fini(struct itinerary *t)
{
	endpoint_fini(&t->elsewhere);
}

const struct endpoint *
itinerary_zipper(const struct itinerary *t)
{
	return t->is_elsewhere ? &t->elsewhere : &t->zippers[t->at];
}

const struct endpoint *
itinerary_visit(struct itinerary *t)
{
	const struct endpoint *e = itinerary_zipper(t);
	bool v6 = e->path == NULL && strchr(e->host, ':') != NULL;

	if (e->path != NULL)
		snprintf(t->name, sizeof(t->name), "unix:%s", e->path);
	else
		snprintf(t->name, sizeof(t->name), "%s%s%s:%u", v6 ? "[" : "",
		    e->host, v6 ? "]" : "", e->port);
	return e;
}

void
itinerary_found(struct itinerary *t, const struct addr *v, size_t n)
{
	t->n_addrs = n < ITINERARY_ADDRS ? n : ITINERARY_ADDRS;
	t->addr = 0;
	if (t->n_addrs > 0)
		memcpy(t->addrs, v, t->n_addrs * sizeof(*v));
}

bool
itinerary_has_addr(const struct itinerary *t)
{
	return t->addr < t->n_addrs;
}

const struct addr *
itinerary_addr(struct itinerary *t)
{
	return itinerary_has_addr(t) ? &t->addrs[t->addr++] : NULL;
}

bool
itinerary_advance(struct itinerary *t)
{
	t->is_elsewhere = false;
	t->hops = 0;
	if (t->at + 1 >= t->n_zippers)
		return false;
	t->at++;
	turn(t);
	return true;
}

uint64_t
itinerary_rest(struct itinerary *t, uint64_t r)
{
	uint64_t rest = t->backoff;

	t->is_elsewhere = false;
	t->hops = 0;
	t->at = 0;
	turn(t);
	t->backoff = t->backoff == 0 ? BACKOFF_MIN : t->backoff * 2;
	if (t->backoff > BACKOFF_MAX)
		t->backoff = BACKOFF_MAX;
	return rest - r % (rest / 2 + 1);
}

void
itinerary_arrived(struct itinerary *t)
{
	t->hops = 0;
}

void
itinerary_rested(struct itinerary *t)
{
	t->backoff = 0;
}

int
itinerary_redirect(struct itinerary *t, const char *text)
{
	struct endpoint to;
	int r;

	if (t->hops >= ITINERARY_HOPS)
		return ERR_LIMIT;
	if ((r = endpoint_parse(text, &to)) != OK)
		return r;
	if (to.path != NULL) {
		endpoint_fini(&to);
		return ERR_BAD;
	}
	t->hops++;
	endpoint_fini(&t->elsewhere);
	t->elsewhere = to;
	t->is_elsewhere = true;
	turn(t);
	return OK;
}
