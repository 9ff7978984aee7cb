/* SPDX-License-Identifier: ISC */
/*
 * The formats of -F: how messages stand in a stream of bytes (yomo(7),
 * FORMATS).
 *
 * Pure: bytes in, messages out, and back.  A message read points into the
 * bytes given or into the decoder, and lives until its next call.
 */
#ifndef FRAMING_FRAMING_H
#define FRAMING_FRAMING_H

#include "base/buf.h"
#include "base/view.h"
#include "wire/lane.h"

enum framing_kind {
	FRAMING_RAW,
	FRAMING_LINES,
	FRAMING_NUL,
	FRAMING_LEN32,
	FRAMING_NETSTRING,
	FRAMING_JSON,
	FRAMING_FRAMES,
};

/* The longest message in raw without a block size, in bytes. */
#define FRAMING_RAW_MAX (64u << 10)

/* The largest metadata that json and frames accept, in bytes. */
#define FRAMING_META_MAX (64u << 10)

/* The kind called name ("raw", "lines" ...); ERR_NONE. */
int framing_kind_of(const char *name, enum framing_kind *out);
const char *framing_name(enum framing_kind kind);

struct framing_msg {
	bool has_tag; /* the format carries tags, and this message has one */
	uint32_t tag;
	/* A msgpack map as on the wire (wire/meta.h); empty: none. */
	struct view meta;
	struct view payload;
	/* json and frames: it is no message, but says what was lost. */
	bool has_gap;
	struct gap_frame gap;
	/* Of frames, and of a gap in json: the frame's own bytes.  payload and
	 * meta are empty and has_tag is false if it is no Data frame. */
	struct view whole;
};

struct framing_conf {
	enum framing_kind kind;
	size_t block; /* raw: cut into messages of this size; 0: as it comes */
	size_t max;   /* the largest payload accepted, in bytes */
};

struct framing; /* a decoder: its place in one input */

int framing_new(struct framing **out, const struct framing_conf *conf);
void framing_free(struct framing *f);

/*
 * Take the next message off the front of in.  Bytes that are left stay the
 * caller's, who offers them again, at the front, with those that follow; eof
 * says that none will ever follow.
 *
 * ERR_MORE   no whole message yet (at eof: the input ended as it should, and
 *            in is empty)
 * ERR_BAD    malformed: framing_why() and framing_offset() say what and where;
 *            nothing more can be read
 * ERR_LIMIT  the message is larger than conf.max: as ERR_BAD
 * ERR_NOMEM
 */
int framing_get(
    struct framing *f, struct view *in, bool eof, struct framing_msg *out);

/* After ERR_BAD or ERR_LIMIT: what is wrong, in plain words ... */
const char *framing_why(const struct framing *f);
/* ... and the offset in the whole input of the message it is wrong in. */
uint64_t framing_offset(const struct framing *f);

/*
 * Append a message to out in the format kind.  Where m has whole, frames takes
 * that as it is; else the frame is made of tag, meta and payload.  A gap is
 * skipped by the formats that cannot show it.
 *
 * ERR_BAD    the format cannot carry this message (a newline in lines, a NUL
 *            in nul, over 2^32-1 bytes in len32, metadata that is not text in
 *            json, no tag in frames, a frame that is neither Data nor Gap
 *            elsewhere): out is as before
 * ERR_LIMIT, ERR_NOMEM  as buf_put(): out is as before
 */
int framing_put(
    enum framing_kind kind, const struct framing_msg *m, struct buf *out);

/* After ERR_BAD of framing_put(): why, in plain words. */
const char *framing_misfit(enum framing_kind kind);

#endif /* FRAMING_FRAMING_H */
