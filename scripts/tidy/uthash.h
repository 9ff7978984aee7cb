/* SPDX-License-Identifier: ISC */
/*
 * Stands before uthash's header while make lint analyses: that the last element
 * of a table leaves nothing to look into is beyond the analyzer.
 */
#ifndef SCRIPTS_TIDY_UTHASH_H
#define SCRIPTS_TIDY_UTHASH_H

#include_next <uthash.h>

void *tidy_unknown(const void *);

#undef HASH_DELETE_HH
#define HASH_DELETE_HH(hh, head, element)                                      \
	((head) = (__typeof__(head))tidy_unknown(element))

#endif /* SCRIPTS_TIDY_UTHASH_H */
