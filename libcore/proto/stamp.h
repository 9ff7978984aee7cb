/* SPDX-License-Identifier: ISC */
/* The metadata that each message gets: who sent it, and an id of its own. */
#ifndef PROTO_STAMP_H
#define PROTO_STAMP_H

#include "base/buf.h"
#include "proto/session.h"
#include "wire/meta.h"

#define STAMP_EXTRA_MAX 64
#define STAMP_ID_MAX 128

struct stamp {
	struct meta_pair fixed[STAMP_EXTRA_MAX + 5]; /* tid, source id first */
	size_t n;
	struct buf plain; /* the map of a message without any of its own */
	size_t tid_at;	  /* in plain: where to put a fresh one; 0: keep */
	size_t mark_at;	  /* in plain: of the session; 0: there is none */
	size_t mark;	  /* the same, in fixed */
	struct session_writer session;
	struct buf merged; /* the map of one that has some */
	struct view own_id;
	uint8_t source_id[STAMP_ID_MAX];
	uint8_t tid[STAMP_ID_MAX];
};

/*
 * extra is n of "KEY=VALUE"; all is borrowed.
 * ERR_BAD  one without a "=", or with a key of ours (said in the log)
 */
int stamp_init(struct stamp *s, const char *source_id, const char *target,
    const char *const *extra, size_t n);
void stamp_fini(struct stamp *s);

/*
 * From now on the ids of messages are these, not ours and a fresh one each:
 * for answers.  For an id that is empty, or over STAMP_ID_MAX, it is ours
 * again.  ERR_NOMEM.
 */
int stamp_adopt(struct stamp *s, struct view source_id, struct view tid);

/* From now on messages are those of one session, whatever they bring.
 * ERR_NOMEM. */
int stamp_session(struct stamp *s);
/* Its id; empty: there is none. */
struct view stamp_session_id(const struct stamp *s);

/*
 * The map for the session's empty last message, as stamp_next(); no message
 * may follow it.  ERR_NOMEM.
 */
int stamp_session_end(struct stamp *s, enum session_end how, struct view *out);

/*
 * The map for the next message, which may bring metadata: that wins over ours.
 * Valid until the next call.  ERR_BAD: meta is no metadata; ERR_NOMEM.
 */
int stamp_next(struct stamp *s, struct view meta, struct view *out);

#endif /* PROTO_STAMP_H */
