/* SPDX-License-Identifier: ISC */
/* A loop run turn by turn. */
#ifndef TURNS_H
#define TURNS_H

#include "net/loop.h"

/* Run the loop for n turns, which do not sleep, or until it is stopped. */
void turns_run(struct loop *l, int n);

#endif /* TURNS_H */
