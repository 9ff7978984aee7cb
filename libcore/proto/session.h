/* SPDX-License-Identifier: ISC */
/*
 * Sessions: a stream, as messages of one tag, that says how it ended.
 *
 * Each message carries META_SESSION, "ID:SEQ": the session, and its place in
 * it, counted from 0.  An empty last one carries META_SESSION_END as well:
 * "eof", or "cut" if the stream broke off.  Zippers that know nothing of it
 * pass it on.  Pure.
 */
#ifndef PROTO_SESSION_H
#define PROTO_SESSION_H

#include "auth/auth.h"
#include "base/view.h"

#define SESSION_ID_SIZE AUTH_ID_SIZE

enum session_end {
	SESSION_GOES_ON,
	SESSION_EOF,
	SESSION_CUT,
};

/* The value of META_SESSION_END; not of SESSION_GOES_ON. */
const char *session_end_name(enum session_end end);

/* What a message says of its session. */
struct session_mark {
	struct view id; /* points to where it was read */
	uint64_t seq;
	enum session_end end;
};

/*
 * Read the values of META_SESSION and META_SESSION_END, as meta_read() found
 * them.  An end that we do not know is no clean one.  ERR_NONE: no session.
 */
int session_mark(struct view value, struct view end, struct session_mark *out);

/* The same of metadata, also where that is malformed. */
int session_mark_of(struct view meta, struct session_mark *out);

/* --- who writes one --- */

#define SESSION_MARK_MAX (SESSION_ID_SIZE + 1 + 20)

struct session_writer {
	uint8_t mark[SESSION_MARK_MAX]; /* of the next message */
	size_t len;			/* 0: no session */
};

/* A new one, at its first message. */
void session_begin(struct session_writer *w);

/* On to the next message. */
void session_advance(struct session_writer *w);

/* --- who follows one --- */

enum session_state {
	SESSION_AWAITED, /* none has begun */
	SESSION_OPEN,
	SESSION_WHOLE, /* it ended by itself, and nothing is missing */
	SESSION_WAS_CUT,
	SESSION_HAS_GAP,
	SESSION_REPEATED, /* a message came again */
	SESSION_IDLE,	  /* nothing came any more */
	SESSION_UNLINKED, /* the connection was lost */
};

/* Follows the first session that begins; zero-initialised. */
struct session_reader {
	enum session_state state;
	char id[SESSION_ID_SIZE + 1];
	uint32_t tag;
	uint64_t next;	  /* the place of the message that is to come */
	uint64_t missing; /* messages; SESSION_HAS_GAP */
	char missed[SESSION_ID_SIZE + 1]; /* the last that was seen half-way */
};

/* What a message is to the one who follows. */
enum session_verdict {
	SESSION_FOREIGN, /* not of the session that is followed: ignore it */
	SESSION_NEXT,	 /* its next message, maybe the last */
	SESSION_BREAK,	 /* of it, but not the next: it is broken */
};

/* Judge a message; nothing changes until session_take() of the same one. */
enum session_verdict session_judge(
    const struct session_reader *s, uint32_t tag, const struct session_mark *m);
void session_take(
    struct session_reader *s, uint32_t tag, const struct session_mark *m);

/* Messages of tag were lost on the way: they may be of the session. */
void session_gap(struct session_reader *s, uint32_t tag, uint64_t messages);

/* It ends here, for this reason, if it is open. */
void session_abandon(struct session_reader *s, enum session_state why);

bool session_is_over(const struct session_reader *s);

/* Why it is not whole, for people: "session '...' was cut after 7 messages". */
#define SESSION_TEXT 160
void session_why(const struct session_reader *s, char text[SESSION_TEXT]);

/* --- who passes them on --- */

/* As many sessions of one peer are kept in mind; further ones are not. */
#define SESSION_TABLE_MAX 64
/* Those with a longer target are not, either. */
#define SESSION_TARGET_MAX 64

/* One that has begun and not ended. */
struct session_passing {
	uint8_t id[SESSION_ID_SIZE];
	uint8_t target_len;
	uint8_t target[SESSION_TARGET_MAX];
	uint32_t tag;
	uint64_t next; /* the place of the message that is to come */
};

/* Zero-initialised; holds no memory while it is empty. */
struct session_table {
	struct session_passing *v;
	size_t n;
	size_t cap;
	size_t latest; /* that was looked up */
};

void session_table_fini(struct session_table *t);

/*
 * A message was passed on (of a run of one session: the last).  Without memory
 * its session is not kept in mind: nobody will say that it was cut, as through
 * a zipper that knows nothing of sessions.
 */
void session_table_note(struct session_table *t, uint32_t tag,
    const struct session_mark *m, struct view target);

/* Take one out that has not ended; ERR_NONE. */
int session_table_pop(struct session_table *t, struct session_passing *out);

/*
 * Write the Data frame that says that s was cut, and return its size.
 */
#define SESSION_CUT_SIZE 320
size_t session_cut_put(
    uint8_t out[SESSION_CUT_SIZE], const struct session_passing *s);

#endif /* PROTO_SESSION_H */
