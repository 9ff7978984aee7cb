/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "quic/conn.h"
#include "quic/grave.h"

void
quic_grave_init(struct quic_graves *t, struct quic_cids *cids)
{
	TAILQ_INIT(&t->list);
	t->count = 0;
	t->cids = cids;
}

static void
free_cids(struct quic_graves *t, struct quic_cid *c)
{
	struct quic_cid *next;

	for (; c != NULL; c = next) {
		next = c->next;
		quic_cid_free(t->cids, c);
	}
}

static void
level(struct quic_graves *t, struct quic_grave *g)
{
	TAILQ_REMOVE(&t->list, g, link);
	t->count--;
	free_cids(t, g->cids);
	free(g->words);
	free(g);
}

void
quic_grave_fini(struct quic_graves *t)
{
	quic_grave_expire(t, UINT64_MAX);
}

void
quic_grave_dig(struct quic_graves *t, struct quic_cid *cids,
    struct quic_held *words, uint64_t until)
{
	struct quic_grave *g;
	struct quic_cid *c;

	if ((g = calloc(1, sizeof(*g))) == NULL) {
		free_cids(t, cids);
		free(words);
		return; /* the peer will get a stateless reset */
	}
	g->cids = cids;
	g->words = words;
	g->until = until;
	for (c = cids; c != NULL; c = c->next) {
		c->quic = NULL;
		c->grave = g;
	}
	TAILQ_INSERT_TAIL(&t->list, g, link);
	if (++t->count > QUIC_GRAVES_MAX)
		level(t, TAILQ_FIRST(&t->list));
}

const struct quic_held *
quic_grave_heard(struct quic_grave *g, size_t len)
{
	if (!quic_says_again(++g->heard) || g->words == NULL)
		return NULL;
	/* Who sends little, perhaps in another's name, gets little. */
	return g->words->len <= 3 * len ? g->words : NULL;
}

void
quic_grave_expire(struct quic_graves *t, uint64_t now)
{
	struct quic_grave *g, *next;

	for (g = TAILQ_FIRST(&t->list); g != NULL && g->until <= now;
	     g = next) {
		next = TAILQ_NEXT(g, link);
		level(t, g);
	}
}
