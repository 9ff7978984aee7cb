/* SPDX-License-Identifier: ISC */
#ifndef BASE_TAG_H
#define BASE_TAG_H

#include <stdint.h>

/* A range of tags. */
struct tag_range {
	uint32_t first;
	uint32_t last; /* included */
};

#endif /* BASE_TAG_H */
