/* SPDX-License-Identifier: ISC */
/*
 * Is this JSON, strictly?  The JSON library is lenient: it takes raw control
 * bytes, broken UTF-8, numbers such as 01 and 1., and cuts strings at \u0000.
 * So look here first, then let it parse.  Pure.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/view.h"

/* Arrays and objects inside each other. */
#define JSON_DEPTH_MAX 32

/*
 * Check that text is one value of RFC 8259 and white space around it, in valid
 * UTF-8, with no NUL in any string and no half of a surrogate pair.  Duplicate
 * keys are for the caller, who knows the keys.
 *
 * ERR_BAD    *at, unless at is NULL, is the offset of the first wrong byte
 * ERR_LIMIT  nested deeper than JSON_DEPTH_MAX
 */
int json_check(struct view text, size_t *at);

#endif /* BASE_JSON_H */
