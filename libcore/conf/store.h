/* SPDX-License-Identifier: ISC */
/*
 * From the text of a value to the field its option stands for.
 *
 * What is put into a conf is copied here and kept, equal pieces once, so that
 * reading the same file again and again needs no more memory.
 */
#ifndef CONF_STORE_H
#define CONF_STORE_H

#include <stddef.h>

#include "conf/opts.h"

/* The longest reason, with its NUL. */
#define STORE_WHY 256

/*
 * Put text into conf, for any kind but OPT_FLAG; an OPT_COUNT is set to it.
 *
 * ERR_BAD    why says what is wrong, such as "'x' is not a size"; it never
 *            shows a secret, nor what an OPT_CALL was given
 * ERR_NOMEM
 */
int store_text(
    const struct opt *o, void *conf, const char *text, char why[STORE_WHY]);

/* An option without a value: set a flag to on, or count one more. */
void store_flag(const struct opt *o, void *conf, bool on);

/* A field's bytes, whatever its kind. */
struct store_field {
	_Alignas(max_align_t) unsigned char bytes[16];
};

/* Remember a field, and put it back; nothing is freed.  Not for OPT_CALL. */
void store_save(const struct opt *o, const void *conf, struct store_field *f);
void store_restore(
    const struct opt *o, void *conf, const struct store_field *f);

/* Free what the field owns, unless the same field of heir (or NULL) shares it;
 * leaves it empty. */
void store_fini(const struct opt *o, void *conf, const void *heir);

/* Free what was kept: no conf may be used after it. */
void store_forget(void);

#endif /* CONF_STORE_H */
