/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"

#define CAP_MIN 4096
/* An empty buf larger than this is freed: one big message is an exception. */
#define CAP_KEPT (512u << 10)

void
buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

struct view
buf_view(const struct buf *b)
{
	return (struct view){b->len > 0 ? b->p + b->off : NULL, b->len};
}

int
buf_reserve(struct buf *b, size_t n, uint8_t **p)
{
	size_t cap, need = b->len + n;
	uint8_t *q;

	if (need < n || (b->max != 0 && need > b->max))
		return ERR_LIMIT;
	if (b->cap - b->off < need) {
		/* Moving is cheaper than growing only while little is held. */
		if (need <= b->cap && b->len <= b->cap / 2) {
			memmove(b->p, b->p + b->off, b->len);
			b->off = 0;
		} else {
			cap = b->cap > CAP_MIN ? b->cap : CAP_MIN;
			while (cap < need)
				cap = cap <= SIZE_MAX / 2 ? cap * 2 : need;
			if (cap == b->cap)
				cap *= 2;
			if ((q = malloc(cap)) == NULL)
				return ERR_NOMEM;
			if (b->len > 0)
				memcpy(q, b->p + b->off, b->len);
			free(b->p);
			b->p = q;
			b->cap = cap;
			b->off = 0;
		}
	}
	*p = b->p + b->off + b->len;
	return OK;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->off - b->len);
	b->len += n;
}

int
buf_put(struct buf *b, struct view v)
{
	uint8_t *p;
	int r;

	if (v.len == 0)
		return OK;
	if ((r = buf_reserve(b, v.len, &p)) != OK)
		return r;
	memcpy(p, v.p, v.len);
	b->len += v.len;
	return OK;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->off += n;
	b->len -= n;
	if (b->len > 0)
		return;
	b->off = 0;
	if (b->cap > CAP_KEPT) {
		free(b->p);
		b->p = NULL;
		b->cap = 0;
	}
}
