/* SPDX-License-Identifier: ISC */
/*
 * What a sink of the benchmarks has got: how many messages, until when, and how
 * late each was by the time that tests/tools/pace put into it.
 */
#ifndef COMMON_TALLY_H
#define COMMON_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message begins with the time it was due: monotonic ns, big endian. */
#define TALLY_STAMP 8

/* Zero-initialised, but for what is wanted: */
struct tally {
	uint64_t limit; /* so many messages; 0: all */
	size_t only;	/* those of this size; 0: any */
	bool timed;	/* keep how late each was */

	uint64_t count;
	uint64_t bytes;
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t *late_ns; /* of each message, if timed */
	size_t late_size;
};

/* The time now, or 0 where the next message's does not matter. */
uint64_t tally_clock(const struct tally *t);

/*
 * Count a message of size bytes that came at the time at.  Of its payload, the
 * first TALLY_STAMP bytes are at p, or all if it is shorter.  Ends the program
 * when there is no memory.
 */
void tally_add(struct tally *t, const uint8_t *p, size_t size, uint64_t at);

bool tally_is_full(const struct tally *t);

/* Say in a line of JSON what has come.  Sorts late_ns. */
void tally_print(struct tally *t);
void tally_fini(struct tally *t);

#endif /* COMMON_TALLY_H */
