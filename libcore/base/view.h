/* SPDX-License-Identifier: ISC */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed byte range.  Whoever makes one says how long it stays valid. */
struct view {
	const uint8_t *p;
	size_t len;
};

/* The bytes of a C string, without its NUL; NULL is the empty view. */
static inline struct view
view_of(const char *s)
{
	return (struct view){(const uint8_t *)s, s != NULL ? strlen(s) : 0};
}

static inline bool
view_equal(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Move the front of v past its first n bytes; n is at most v->len. */
static inline void
view_skip(struct view *v, size_t n)
{
	if (n > 0) {
		v->p += n;
		v->len -= n;
	}
}

#endif /* BASE_VIEW_H */
