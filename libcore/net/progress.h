/* SPDX-License-Identifier: ISC */
/* A line on stderr that says how far a long work has come. */
#ifndef NET_PROGRESS_H
#define NET_PROGRESS_H

#include "net/loop.h"

struct progress {
	struct loop *loop;
	struct timer timer;
	const uint64_t *messages;
	const uint64_t *bytes;
	uint64_t began;
	uint64_t messages_before;
	bool wanted;
	bool terminal; /* one line is written over and over */
};

/* If wanted, show the counts once a second until it is closed.  ERR_NOMEM. */
int progress_open(struct progress *p, struct loop *l, bool wanted,
    const uint64_t *messages, const uint64_t *bytes);

/* Show the final counts, and the rate over all the time, if wanted. */
void progress_close(struct progress *p);

#endif /* NET_PROGRESS_H */
