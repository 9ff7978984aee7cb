/* SPDX-License-Identifier: ISC */
/*
 * A message as a line of JSON: {"tag":51,"meta":{"k":"v"},"data":"text"}.
 *
 * tag and meta may be missing; data64 (base64) stands in place of data where
 * the payload is not UTF-8 or holds a NUL.  Unknown keys and keys given twice
 * are mistakes: a misspelt key must not pass for an empty message.
 *
 * What was lost is a line {"gap":{"messages":3,"bytes":120},"tag":51}.
 */
#ifndef FRAMING_JSONL_H
#define FRAMING_JSONL_H

#include "base/buf.h"
#include "framing/framing.h"

/* The most pairs of metadata on a line. */
#define JSONL_PAIRS_MAX 256

struct jsonl; /* what the last message read points into */

struct jsonl *jsonl_new(void); /* NULL: out of memory */
void jsonl_free(struct jsonl *j);

/* The longest line that a message of max bytes can take. */
size_t jsonl_line_max(size_t max);

/*
 * Read a line, which comes without its newline; out points into j and lives
 * until the next call.
 *
 * ERR_BAD    malformed; *why says how, in words that live for ever
 * ERR_LIMIT  the payload is larger than max, or the metadata is too large
 * ERR_NOMEM
 */
int jsonl_get(struct jsonl *j, struct view line, size_t max,
    struct framing_msg *out, const char **why);

/*
 * Append a message as a line.
 *
 * ERR_BAD  the metadata is not text, or too many pairs
 * ERR_LIMIT, ERR_NOMEM  as buf_put(): out is as before
 */
int jsonl_put(const struct framing_msg *m, struct buf *out);

/* The largest number in a gap; greater ones are written as this. */
#define JSONL_COUNT_MAX (UINT64_C(1) << 53)

/* Append a gap as a line.  ERR_LIMIT, ERR_NOMEM as buf_put(). */
int jsonl_put_gap(const struct gap_frame *gap, struct buf *out);

#endif /* FRAMING_JSONL_H */
