/* SPDX-License-Identifier: ISC */
/* What YoMo's own codec reads and writes: tests/unit/vectors. */
#ifndef VECTORS_H
#define VECTORS_H

#include <cjson/cJSON.h>

#include "base/view.h"

/* The whole file; whoever asks deletes it.  Fails the test if it is missing. */
cJSON *vectors_load(void);

/* The group called name, which is a list that is not empty. */
const cJSON *vectors_group(const cJSON *all, const char *name);

/* The member called key of item as text; NULL if it is missing or null. */
const char *vectors_text(const cJSON *item, const char *key);

/* The bytes that hex spells: at most cap, in out. */
struct view vectors_unhex(const char *hex, uint8_t *out, size_t cap);

/* Fail the test, naming the case, unless the bytes are the same. */
void vectors_same(struct view got, struct view want, const char *name);

#endif /* VECTORS_H */
