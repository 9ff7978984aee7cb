/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "chance.h"

static uint64_t seed_now, state_now;
static bool under_way;

void
chance_begin(uint64_t seed)
{
	seed_now = state_now = seed;
	under_way = true;
}

void
chance_end(void)
{
	under_way = false;
}

int
chance_teardown(void **state)
{
	(void)state;
	if (under_way)
		print_message("# failed with seed %ju\n", (uintmax_t)seed_now);
	under_way = false;
	return 0;
}

/* splitmix64 */
static uint64_t
next(void)
{
	uint64_t z = state_now += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

size_t
chance_below(size_t n)
{
	return (size_t)(next() % n);
}

size_t
chance_between(size_t first, size_t last)
{
	return first + chance_below(last - first + 1);
}

bool
chance_once_in(size_t n)
{
	return chance_below(n) == 0;
}
