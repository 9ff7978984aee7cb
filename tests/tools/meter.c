/* SPDX-License-Identifier: ISC */
/*
 * meter [-c N]: read messages in len32 on stdin until it ends, or N have come;
 * then say in JSON how many there were, when the last byte came (monotonic ns),
 * and how late they were by the times that tests/tools/pace put into them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/values.h"
#include "net/loop.h"

#define HEAD_BYTES 4
#define STAMP_BYTES 8
#define BUFFER_BYTES (1u << 20)

struct meter {
	uint64_t limit; /* 0: none */
	uint64_t count;
	uint64_t bytes;
	uint64_t last_ns;
	uint64_t *late_ns; /* of each message */
	size_t late_size;
	uint64_t left; /* bytes of the message that is coming */
	uint64_t size; /* of its payload */
	uint64_t due_ns;
};

static uint64_t
get(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | *p++;
	return v;
}

/* The message under way is complete. */
static void
count(struct meter *m, uint64_t at)
{
	if (m->count == m->late_size) {
		m->late_size = m->late_size == 0 ? 1 << 16 : m->late_size * 2;
		m->late_ns =
		    realloc(m->late_ns, m->late_size * sizeof(*m->late_ns));
		if (m->late_ns == NULL) {
			fputs("meter: out of memory\n", stderr);
			exit(EXIT_FAILURE);
		}
	}
	m->late_ns[m->count++] = m->due_ns < at ? at - m->due_ns : 0;
	m->bytes += m->size;
}

/* Look at the head of a message; false: it is not all there. */
static bool
begin(struct meter *m, const uint8_t *p, size_t len, uint64_t at)
{
	if (len < HEAD_BYTES)
		return false;
	m->size = get(p, HEAD_BYTES);
	m->due_ns = at;
	if (m->size >= STAMP_BYTES) {
		if (len < HEAD_BYTES + STAMP_BYTES)
			return false;
		m->due_ns = get(p + HEAD_BYTES, STAMP_BYTES);
	}
	m->left = HEAD_BYTES + m->size;
	return true;
}

static bool
is_done(const struct meter *m)
{
	return m->limit != 0 && m->count == m->limit;
}

/* Use what can be used of p, and say how many bytes that were. */
static size_t
take(struct meter *m, const uint8_t *p, size_t len, uint64_t at)
{
	size_t used = 0, part;

	while (used < len && !is_done(m)) {
		if (m->left == 0 && !begin(m, p + used, len - used, at))
			break;
		part = m->left < len - used ? m->left : len - used;
		m->left -= part;
		used += part;
		if (m->left == 0)
			count(m, at);
	}
	return used;
}

static void
read_all(struct meter *m)
{
	static uint8_t buf[BUFFER_BYTES];
	size_t len = 0, used;
	ssize_t n;

	do {
		n = read(STDIN_FILENO, buf + len, sizeof(buf) - len);
		if (n < 0) {
			fprintf(stderr, "meter: cannot read: %s\n",
			    strerror(errno));
			exit(EXIT_FAILURE);
		}
		if (n == 0)
			break;
		m->last_ns = loop_clock();
		len += (size_t)n;
		used = take(m, buf, len, m->last_ns);
		len -= used;
		memmove(buf, buf + used, len);
	} while (!is_done(m));
	if (m->left > 0 || (len > 0 && !is_done(m)))
		fputs("meter: the last message is cut short\n", stderr);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile_us(const struct meter *m, uint64_t percent)
{
	uint64_t i;

	if (m->count == 0)
		return 0;
	i = (m->count - 1) * percent / 100;
	return (double)m->late_ns[i] / 1e3;
}

int
main(int argc, char *argv[])
{
	struct meter m = {0};
	uint32_t limit;
	int c;

	while ((c = getopt(argc, argv, "c:")) != -1) {
		if (c != 'c' || values_u32(optarg, &limit) != OK) {
			fputs("usage: meter [-c messages]\n", stderr);
			return 64;
		}
		m.limit = limit;
	}
	read_all(&m);
	if (m.count > 0)
		qsort(m.late_ns, m.count, sizeof(*m.late_ns), compare);
	printf("{\"count\":%ju,\"bytes\":%ju,\"last_ns\":%ju,"
	       "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
	       "\"max_us\":%.1f}\n",
	    (uintmax_t)m.count, (uintmax_t)m.bytes, (uintmax_t)m.last_ns,
	    percentile_us(&m, 50), percentile_us(&m, 90), percentile_us(&m, 99),
	    percentile_us(&m, 100));
	free(m.late_ns);
	return 0;
}
