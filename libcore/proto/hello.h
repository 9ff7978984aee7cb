/* SPDX-License-Identifier: ISC */
/*
 * The greeting: what a client's first frame says, and how a zipper answers.
 *
 * Pure.  The order of the checks and the texts are Go YoMo's, so that people
 * find the words they know (yomo-protocol(7), HANDSHAKE).
 */
#ifndef PROTO_HELLO_H
#define PROTO_HELLO_H

#include "auth/auth.h"
#include "wire/frame.h"

/* Application error codes of QUIC's CONNECTION_CLOSE. */
#define HELLO_CLOSE_EVICT 0x13	  /* for good: a Go client stays away */
#define HELLO_CLOSE_RESTART 0x100 /* come back: a Go client redials */

/* The longest first frame: a stranger must not make us hold more. */
#define HELLO_MAX (64u << 10)

/* A client that defines an LLM function observes this tag as well. */
#define HELLO_TAG_CALL 0xe002u

struct hello_rules {
	const struct tokens *tokens; /* empty: everybody is let in */
	size_t max_tags;
	bool old_versions; /* "" and "1.17.0" too: clients since v1.16.0 */
};

#define HELLO_TEXT 256

/*
 * Judge the first frame of a client.  On OK *h is the decoded handshake; a
 * function's definition has become its target.  FRAME_SPEC_OURS is a version as
 * well: it is the caller's to see whether the link can speak it.
 *
 * ERR_BAD    no handshake, or a malformed one
 * ERR_NONE   a version we do not speak
 * ERR_AUTH   the credential was refused
 * ERR_LIMIT  more tags than max_tags
 *
 * On failure text is what to answer in a Rejected frame.
 */
int hello_judge(const struct hello_rules *rules, const struct frame *f,
    struct handshake *h, char text[HELLO_TEXT]);

/* "source", "sfn", "upstream zipper" or "client" for a client type. */
const char *hello_role(uint8_t client_type);

#endif /* PROTO_HELLO_H */
