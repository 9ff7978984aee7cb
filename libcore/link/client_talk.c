/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/client_inside.h"
#include "proto/greeting.h"
#include "proto/hello.h"

/* Our only Observe frame. */
#define OBSERVE_REQUEST 1

/* What a Handshake cannot say goes into an Observe frame. */
static bool
must_observe(const struct client_conf *conf)
{
	return conf->policy != OBSERVE_RULE || conf->group != NULL ||
	       tag_set_count(&conf->tags) > GREETING_TAGS_MAX;
}

/* What of our wishes takes a zipper that speaks yomo-x1; NULL: nothing. */
static const char *
wish_for_lanes(const struct client_conf *conf)
{
	if (conf->group != NULL)
		return "--group";
	if (conf->policy != OBSERVE_RULE)
		return "--policy";
	if (conf->interest.n > 0)
		return "--wait";
	return must_observe(conf) ? "observing so many tags" : NULL;
}

static int
put_handshake(struct client *c, const char *version)
{
	const struct client_conf *conf = c->conf;
	struct greeting g = {
	    .name = conf->name,
	    .id = conf->id,
	    .attempt = c->attempts++,
	    .type = conf->type,
	    .version = version,
	    .target = conf->target,
	    .credential = conf->credential,
	};

	if (!must_observe(conf)) {
		g.tags = conf->tags.v;
		g.n_tags = conf->tags.n;
	}
	return greeting_queue(&g, &c->out.control.out);
}

static int
send_wishes(struct client *c)
{
	const struct client_conf *conf = c->conf;
	const struct greeting_wish w = {
	    .tags = conf->tags.v,
	    .n_tags = conf->tags.n,
	    .policy = conf->policy,
	    .group = conf->group,
	    .prefetch = conf->prefetch,
	};
	int r = OK;

	if (must_observe(conf))
		r = greeting_observe(&w, OBSERVE_REQUEST, &c->out.control.out);
	if (r == OK && conf->interest.n > 0)
		r = greeting_interest(
		    conf->interest.v, conf->interest.n, &c->out.control.out);
	return r;
}

/* We are welcome: messages may go, and our wishes before them. */
static void
on_ack(struct client *c)
{
	if (c->state != CLIENT_GREETING)
		return;
	if (send_wishes(c) != OK || outbox_attach(&c->out, c->link) != OK)
		client_fail_without_memory(c, "cannot send to");
	else if (must_observe(c->conf))
		client_set_state(c, CLIENT_OBSERVING);
	else
		client_become_ready(c);
}

void
client_talk_quote(
    const struct client *c, struct view text, char out[LINK_REASON])
{
	static const char hidden[] = "***";
	struct view secret = {0};
	size_t n = 0;

	if (c->conf->credential != NULL)
		secret = credential_payload(c->conf->credential);
	while (text.len > 0 && n < LINK_REASON - sizeof(hidden)) {
		if (secret.len > 0 && text.len >= secret.len &&
		    memcmp(text.p, secret.p, secret.len) == 0) {
			memcpy(out + n, hidden, sizeof(hidden));
			n += sizeof(hidden) - 1;
			view_skip(&text, secret.len);
		} else {
			out[n++] = (char)*text.p;
			view_skip(&text, 1);
		}
	}
	out[n] = '\0';
}

static void
on_rejected(struct client *c, const struct frame *f)
{
	struct view text = {0};
	char why[LINK_REASON];
	bool version;

	frame_text_get(f->body, &text);
	client_talk_quote(c, text, why);
	version = strncmp(why, "version", 7) == 0 ||
		  strncmp(why, "yomo: handshake", 15) == 0;
	client_fail(c, version ? EXIT_PROTOCOL : EXIT_REFUSED,
	    "refused by the zipper at", why);
}

/* The zipper sends us elsewhere. */
static void
follow(struct client *c, const struct frame *f)
{
	struct view text = {0};
	char name[LINK_REASON];

	frame_text_get(f->body, &text);
	client_talk_quote(c, text, name);
	if (c->conf->tls == NULL) { /* a client of unix sockets only */
		client_fail(
		    c, EXIT_PROTOCOL, "cannot go where it was sent by", name);
		return;
	}
	switch (itinerary_redirect(&c->way, name)) {
	case OK:
		break;
	case ERR_LIMIT:
		client_fail(
		    c, EXIT_PROTOCOL, "sent elsewhere too often by", name);
		return;
	case ERR_NOMEM:
		client_fail(
		    c, EXIT_SYSTEM, "cannot go where sent by", "out of memory");
		return;
	default:
		client_fail(c, EXIT_PROTOCOL, "sent to no address by", name);
		return;
	}
	log_info("'%s' sends us to '%s'", client_peer(c), name);
	snprintf(c->why, sizeof(c->why), "connect to %s", name);
	client_leave(c, c->why);
}

static int
on_observe_ack(struct client *c, const struct frame *f)
{
	struct observe_ack_frame ack;
	char why[LINK_REASON];

	if (observe_ack_frame_get(f->body, &ack) != OK)
		return ERR_BAD;
	if (c->state != CLIENT_OBSERVING || ack.request != OBSERVE_REQUEST)
		return OK;
	if (ack.refusal.len == 0) {
		client_become_ready(c);
		return OK;
	}
	client_talk_quote(c, ack.refusal, why);
	client_fail(c, EXIT_REFUSED, "refused by the zipper at", why);
	return OK;
}

static bool
has_entry(struct view entries, uint32_t tag)
{
	size_t i;

	for (i = 0; i < interest_entry_count(entries); i++)
		if (interest_entry_at(entries, i).tag == tag)
			return true;
	return false;
}

static int
on_interest(struct client *c, const struct frame *f)
{
	const struct tag_set *asked = &c->conf->interest;
	struct interest_frame told;
	struct interest_entry e;
	uint32_t tag;
	size_t i;

	if (interest_frame_get(f->body, &told) != OK)
		return ERR_BAD;
	for (i = 0; i < interest_entry_count(told.entries); i++) {
		e = interest_entry_at(told.entries, i);
		if (tag_set_has(asked, e.tag))
			c->ops->interest(c->arg, e.tag, e.observers);
	}
	for (i = 0; told.complete && i < tag_set_count(asked); i++) {
		tag = tag_set_at(asked, i);
		if (!has_entry(told.entries, tag))
			c->ops->interest(c->arg, tag, 0);
	}
	return OK;
}

static int
on_taken(struct client *c, const struct frame *f)
{
	struct taken_frame t;

	if (taken_frame_get(f->body, &t) != OK)
		return ERR_BAD;
	outbox_note_taken(&c->out, &t);
	return OK;
}

/* What zippers of ours say besides.  ERR_NONE: no frame that comes now.
 * ERR_BAD: it is malformed. */
static int
on_frame_of_ours(struct client *c, const struct frame *f)
{
	if (!c->link->lanes || c->state < CLIENT_OBSERVING)
		return ERR_NONE;
	switch (f->type) {
	case FRAME_OBSERVE_ACK:
		return on_observe_ack(c, f);
	case FRAME_INTEREST:
		return on_interest(c, f);
	case FRAME_TAKEN:
		return on_taken(c, f);
	default:
		return ERR_NONE;
	}
}

void
client_talk_greet(struct client *c)
{
	const char *wish = wish_for_lanes(c->conf);
	const char *version = FRAME_SPEC;
	char why[128];

	if (!c->link->lanes) {
		link_use_lanes(c->link);
		if (c->link->lanes)
			version = FRAME_SPEC_OURS;
	}
	if (wish != NULL && !c->link->lanes) {
		snprintf(why, sizeof(why),
		    "it speaks only YoMo's protocol; %s needs yomo-zipper",
		    wish);
		client_fail(c, EXIT_PROTOCOL, "cannot use the zipper at", why);
	} else if (outbox_use_lanes(&c->out, c->link->lanes) != OK ||
		   put_handshake(c, version) != OK) {
		client_fail_without_memory(c, "cannot greet");
	}
}

void
client_talk_hear(struct client *c, const struct frame *f)
{
	char why[128];
	int r;

	switch (f->type) {
	case FRAME_ACK:
		on_ack(c);
		return;
	case FRAME_REJECTED:
	case FRAME_GOAWAY:
		on_rejected(c, f);
		return;
	case FRAME_CONNECT_TO:
		follow(c, f);
		return;
	}
	if ((r = on_frame_of_ours(c, f)) == OK)
		return;
	snprintf(why, sizeof(why), "%s %s",
	    r == ERR_BAD ? "malformed" : "unexpected", frame_name(f->type));
	client_fail(c, EXIT_PROTOCOL, "protocol error by", why);
}
