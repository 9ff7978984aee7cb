/* SPDX-License-Identifier: ISC */
/* What a client that has lanes asks on its control stream, and is told there.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "wire/frame.h"

struct inlet;
struct peer;
struct zipper;

/*
 * Do what the frame asks for.  ERR_BAD: it breaks the protocol, why is in
 * p->text; ERR_NOMEM.
 */
int control_take(struct peer *p, const struct frame *f);

/* A lane has ended: tell its sender what became of its messages. */
void control_tell_taken(struct peer *p, const struct inlet *in);

/* The number of tag's observers changed: for router_conf.interest. */
void control_tell_interest(void *zipper, uint32_t tag, uint32_t observers);

/* What p was told is read: tell it what there was no room for. */
void control_moved(struct peer *p);

/* It leaves: nothing is told any more. */
void control_forget(struct peer *p);

#endif /* CONTROL_H */
