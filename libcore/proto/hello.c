/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/hello.h"

/* Peer bytes in our words: a bounded "%.*s". */
#define SHOWN_MAX 64
#define SHOWN(v)                                                               \
	(int)((v).len < SHOWN_MAX ? (v).len : SHOWN_MAX),                      \
	    (v).len > 0 ? (const char *)(v).p : ""

static bool
is_our_version(const struct hello_rules *rules, struct view version)
{
	if (view_equal(version, view_of(FRAME_SPEC)) ||
	    view_equal(version, view_of(FRAME_SPEC_OURS)))
		return true;
	return rules->old_versions &&
	       (version.len == 0 || view_equal(version, view_of("1.17.0")));
}

static int
check_credential(const struct hello_rules *rules, const struct handshake *h,
    char text[HELLO_TEXT])
{
	int r = tokens_check(rules->tokens, h->auth_name, h->auth_payload);

	if (r == ERR_NONE)
		snprintf(text, HELLO_TEXT, "authentication not found: %.*s",
		    SHOWN(h->auth_name));
	else if (r != OK) /* Go repeats the token here: it ends up in logs */
		snprintf(text, HELLO_TEXT, "invalid token");
	return r == OK ? OK : ERR_AUTH;
}

/* Go YoMo: a function is called by name, so its name is its target. */
static int
check_definition(struct handshake *h, char text[HELLO_TEXT])
{
	if (h->definition.len == 0)
		return OK;
	if (json_check(h->definition, NULL) != OK) {
		snprintf(text, HELLO_TEXT,
		    "unmarshal function definition error: not JSON");
		return ERR_BAD;
	}
	h->target = h->name;
	return OK;
}

int
hello_judge(const struct hello_rules *rules, const struct frame *f,
    struct handshake *h, char text[HELLO_TEXT])
{
	int r;

	if (f->type != FRAME_HANDSHAKE) {
		snprintf(text, HELLO_TEXT,
		    "yomo: handshake read unexpected frame, read: %s",
		    frame_name(f->type));
		return ERR_BAD;
	}
	if ((r = handshake_get(f->body, h)) != OK) {
		snprintf(text, HELLO_TEXT, "malformed handshake frame");
		return r;
	}
	if (!is_our_version(rules, h->version)) {
		snprintf(text, HELLO_TEXT,
		    "version negotiation failed: client=%.*s, server=%s",
		    SHOWN(h->version), FRAME_SPEC);
		return ERR_NONE;
	}
	if ((r = check_credential(rules, h, text)) != OK)
		return r;
	if (h->client_type == 0) { /* Go's zipper dies of this one */
		snprintf(text, HELLO_TEXT, "handshake without a client type");
		return ERR_BAD;
	}
	if (handshake_tags(h->tags) > rules->max_tags) {
		snprintf(text, HELLO_TEXT,
		    "%zu tags observed, at most %zu are allowed",
		    handshake_tags(h->tags), rules->max_tags);
		return ERR_LIMIT;
	}
	return check_definition(h, text);
}

const char *
hello_role(uint8_t client_type)
{
	switch (client_type) {
	case CLIENT_SOURCE:
		return "source";
	case CLIENT_SFN:
		return "sfn";
	case CLIENT_UPSTREAM:
		return "upstream zipper";
	}
	return "client";
}
