/* SPDX-License-Identifier: ISC */
/*
 * Sessions whose sources went without ending them: their observers are told,
 * when there is room for it.
 */
#ifndef CUT_H
#define CUT_H

#include "proto/session.h"
#include "zipper.h"

/* As many may wait for room; of further ones nobody is told. */
#define CUT_WAITING_MAX 1024

/* The sessions in t are cut; t is emptied. */
void cut_sessions(struct zipper *z, struct session_table *t);

/* Those that wait will not be told. */
void cut_forget(struct zipper *z);

#endif /* CUT_H */
