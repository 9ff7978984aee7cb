/* SPDX-License-Identifier: ISC */
/*
 * Stands before the system's header while make lint analyses.
 *
 * An element's link back leads to the list's head, which the analyzer cannot
 * know: for it, what was removed and freed would still be the first.  So each
 * look at the first element is a call about which it knows nothing.
 */
#ifndef SCRIPTS_TIDY_SYS_QUEUE_H
#define SCRIPTS_TIDY_SYS_QUEUE_H

#include_next <sys/queue.h>

void *tidy_unknown(const void *);

#undef TAILQ_FIRST
#define TAILQ_FIRST(head)                                                      \
	((__typeof__((head)->tqh_first))tidy_unknown(&(head)->tqh_first))
#undef LIST_FIRST
#define LIST_FIRST(head)                                                       \
	((__typeof__((head)->lh_first))tidy_unknown(&(head)->lh_first))

#endif /* SCRIPTS_TIDY_SYS_QUEUE_H */
