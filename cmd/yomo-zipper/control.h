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

#endif /* CONTROL_H */
