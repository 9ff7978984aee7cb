/* SPDX-License-Identifier: ISC */
/* A client's first frame: let it in, or say why not. */
#ifndef GREET_H
#define GREET_H

#include <stdbool.h>

struct peer;

/* Judge what has come of the first frame; false: the peer had to go. */
bool greet(struct peer *p);

#endif /* GREET_H */
