/* SPDX-License-Identifier: ISC */
/* cmocka, with what it wants included before it, and two small words. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* An initialiser for a struct view, of the bytes named. */
#define BYTES(...)                                                             \
	{                                                                      \
		(const uint8_t[]){__VA_ARGS__},                                \
		    sizeof((const uint8_t[]){__VA_ARGS__})                     \
	}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif /* UNIT_H */
