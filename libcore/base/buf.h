/* SPDX-License-Identifier: ISC */
/*
 * A queue of bytes in one piece: put at the end, take from the front.
 *
 * It grows by doubling up to max and has one owner.  A zeroed struct with max
 * set is an empty buf.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/view.h"

struct buf {
	uint8_t *p;
	size_t cap;
	size_t off; /* of the first byte held */
	size_t len; /* bytes held */
	size_t max; /* never over this many bytes held; 0: no limit */
};

void buf_fini(struct buf *b);

/* The bytes held: valid until the next call that puts or reserves. */
struct view buf_view(const struct buf *b);

/*
 * Make room for n bytes after those held and point *p there; buf_commit()
 * then says how many of them were filled.
 *
 * ERR_LIMIT  max would be passed
 * ERR_NOMEM
 */
int buf_reserve(struct buf *b, size_t n, uint8_t **p);
void buf_commit(struct buf *b, size_t n);

/* Copy v to the end; fails as buf_reserve(). */
int buf_put(struct buf *b, struct view v);

/* Forget the first n bytes; an emptied large buf gives its memory back. */
void buf_consume(struct buf *b, size_t n);

#endif /* BASE_BUF_H */
