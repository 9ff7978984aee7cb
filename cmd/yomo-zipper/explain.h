/* SPDX-License-Identifier: ISC */
/* --explain-memory: what the options bound, in figures. */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "loaded.h"

/* Write it to standard output; ERR_SYS: that did not go, said in the log. */
int explain_memory(const struct zipper_conf *conf);

#endif /* EXPLAIN_H */
