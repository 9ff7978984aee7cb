/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "tally.h"

uint64_t
tally_clock(const struct tally *t)
{
	bool matters = t->timed || t->count == 0 || t->count + 1 == t->limit;

	return matters ? loop_clock() : 0;
}

static uint64_t
get_stamp(const uint8_t *p)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < TALLY_STAMP; i++)
		v = v << 8 | p[i];
	return v;
}

static void
keep_late(struct tally *t, uint64_t ns)
{
	if (t->count == t->late_size) {
		t->late_size = t->late_size == 0 ? 1 << 16 : t->late_size * 2;
		t->late_ns =
		    realloc(t->late_ns, t->late_size * sizeof(*t->late_ns));
		if (t->late_ns == NULL) {
			fputs("tally: out of memory\n", stderr);
			exit(EXIT_FAILURE);
		}
	}
	t->late_ns[t->count] = ns;
}

void
tally_add(struct tally *t, const uint8_t *p, size_t size, uint64_t at)
{
	uint64_t due;

	if (t->only != 0 && size != t->only)
		return;
	if (t->timed) {
		due = size < TALLY_STAMP ? at : get_stamp(p);
		keep_late(t, due < at ? at - due : 0);
	}
	if (t->count++ == 0)
		t->first_ns = at;
	t->bytes += size;
	if (at != 0)
		t->last_ns = at;
}

bool
tally_is_full(const struct tally *t)
{
	return t->limit != 0 && t->count >= t->limit;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile_us(const struct tally *t, double percent)
{
	double i = (double)(t->count - 1) * percent / 100;

	return (double)t->late_ns[(size_t)i] / 1e3;
}

void
tally_print(struct tally *t)
{
	printf("{\"count\":%ju,\"bytes\":%ju,\"first_ns\":%ju,\"last_ns\":%ju",
	    (uintmax_t)t->count, (uintmax_t)t->bytes, (uintmax_t)t->first_ns,
	    (uintmax_t)t->last_ns);
	if (t->timed && t->count > 0) {
		qsort(t->late_ns, t->count, sizeof(*t->late_ns), compare);
		printf(",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
		       "\"p999_us\":%.1f,\"max_us\":%.1f",
		    percentile_us(t, 50), percentile_us(t, 90),
		    percentile_us(t, 99), percentile_us(t, 99.9),
		    percentile_us(t, 100));
	}
	puts("}");
}

void
tally_fini(struct tally *t)
{
	free(t->late_ns);
	t->late_ns = NULL;
}
