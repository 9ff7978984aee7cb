/* SPDX-License-Identifier: ISC */
/* The one session that --session takes, from whom it first comes. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "framing/framing.h"
#include "proto/session.h"

/* Zero-initialised. */
struct follow {
	struct session_reader reader;
	const void *from; /* who sends it; NULL: it has not begun */
	bool told;	  /* why it is not whole */
	bool held;	  /* its next message waits, by our fault */
	uint64_t heard_at;
};

/*
 * The mark of a message that comes from from; false: it is not in a session, or
 * not from who sends ours.  What has one is for session_judge().
 */
bool follow_mark(const struct follow *f, const void *from,
    const struct framing_msg *m, struct session_mark *out);

/* The message of that mark is taken, now. */
void follow_take(struct follow *f, const void *from, uint32_t tag,
    const struct session_mark *mark, uint64_t now);

/* Of what from sends, messages of tag were lost. */
void follow_gap(struct follow *f, const void *from, const struct gap_frame *g);

/* from has lost its connection. */
void follow_lost(struct follow *f, const void *from);

/*
 * When it is to be looked at again, if it may be silent for idle_ns; 0: it has
 * been for so long, and is over.
 */
uint64_t follow_watch(struct follow *f, uint64_t idle_ns, uint64_t now);

/* The exit status: if it is not whole, why is said, once. */
int follow_status(struct follow *f);

/* Whether m is nothing but the end of a session, not a message. */
bool follow_is_end(const struct framing_msg *m);

#endif /* FOLLOW_H */
