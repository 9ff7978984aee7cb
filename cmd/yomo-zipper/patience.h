/* SPDX-License-Identifier: ISC */
/* How long a peer is waited for. */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdint.h>

struct peer;

/* Once a second: it may go, and nobody else does. */
void patience_tick(struct peer *p, uint64_t now);

#endif /* PATIENCE_H */
