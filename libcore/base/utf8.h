/* SPDX-License-Identifier: ISC */
/* UTF-8, strictly: shortest forms, no surrogates (RFC 3629, section 4). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/view.h"

/* How many bytes the character at the front of v takes; 0: there is none. */
size_t utf8_size(struct view v);

#endif /* BASE_UTF8_H */
