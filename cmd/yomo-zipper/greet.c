/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "greet.h"
#include "link/quiclink.h"
#include "peer.h"

static bool
send_away(struct peer *p, uint64_t code, const char *why)
{
	peer_close(p, code, why);
	return false;
}

static bool
refuse(struct peer *p, const char *text)
{
	struct view v = view_of(text);
	uint8_t *q;

	log_info("refused a client at %s: %s", p->link->name, text);
	if (outq_reserve(&p->out, frame_text_size(v), &q) != OK)
		return send_away(p, HELLO_CLOSE_EVICT, text);
	frame_text_put(q, FRAME_REJECTED, v);
	outq_commit(&p->out, frame_text_size(v), 0, 0);
	peer_set_state(p, PEER_REFUSED);
	link_finish(p->link);
	return true;
}

static int
observe(struct peer *p, uint32_t tag)
{
	struct observing what = {.tag = tag};

	return router_observe(
	    p->z->router, &p->observer, &what, loop_now(p->z->loop));
}

static int
observe_tags(struct peer *p, const struct handshake *h)
{
	size_t i;
	int r;

	if (h->client_type != CLIENT_SFN)
		return OK;
	for (i = 0; i < handshake_tags(h->tags); i++)
		if ((r = observe(p, handshake_tag(h->tags, i))) != OK)
			return r;
	return h->definition.len > 0 ? observe(p, HELLO_TAG_CALL) : OK;
}

static int
set_name(struct peer *p, struct view text)
{
	char *name;

	name = strndup(text.len > 0 ? (const char *)text.p : "", text.len);
	if (name == NULL)
		return ERR_NOMEM;
	free(p->name);
	p->name = name;
	p->observer.name = name;
	return OK;
}

/* The Ack is queued before the route exists: nothing can come before it. */
static int
admit(struct peer *p, const struct handshake *h)
{
	struct view ack = {FRAME_ACK_BYTES, FRAME_ACK_SIZE};
	int r;

	p->type = h->client_type;
	p->observer.tells_gaps = p->lanes;
	if ((r = set_name(p, h->name)) != OK ||
	    (r = outq_put(&p->out, ack)) != OK ||
	    (r = router_join(p->z->router, &p->observer, h->target)) != OK)
		return r;
	if (p->lanes) {
		link_allow_lanes(p->link, QUICLINK_LANES_MAX);
	} else {
		way_start(&p->main_way);
		p->main_inlet.in.max = p->z->conf->max_message;
	}
	return observe_tags(p, h);
}

/* On a unix socket the version decides what is spoken. */
static bool
speaks(struct peer *p, struct view version)
{
	if (!view_equal(version, view_of(FRAME_SPEC_OURS)))
		return true;
	link_use_lanes(p->link);
	p->lanes = p->link->lanes;
	return p->lanes;
}

bool
greet(struct peer *p)
{
	struct handshake h;
	struct frame f;
	int r = intake_next(&p->main_inlet.in, &f);

	if (r == ERR_MORE && p->main_inlet.fin_came)
		return send_away(p, HELLO_CLOSE_EVICT, "no handshake");
	if (r == ERR_MORE)
		return true;
	if (r != OK)
		return refuse(p, "yomo: handshake read unexpected frame");
	if (hello_judge(&p->z->rules, &f, &h, p->text) != OK)
		return refuse(p, p->text);
	if (!speaks(p, h.version))
		return refuse(p, "yomo-x1 is spoken with its ALPN");
	if (admit(p, &h) != OK)
		return send_away(p, HELLO_CLOSE_RESTART, "out of memory");
	log_debug("%s '%s' (%s) is here", hello_role(p->type), p->name,
	    p->link->name);
	p->text[0] = '\0';
	intake_trim(&p->main_inlet.in); /* most never say anything else */
	peer_set_state(p, PEER_READY);
	link_wake(p->link);
	return true;
}
