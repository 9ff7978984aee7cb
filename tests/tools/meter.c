/* SPDX-License-Identifier: ISC */
/*
 * meter [-c N] [-s SIZE]: read messages in len32 on stdin until it ends, or N
 * have come (of SIZE bytes each: others do not count); then say in JSON how
 * many there were, when the first and the last came (monotonic ns), and how
 * late they were by the times that tests/tools/pace put into them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "common/tally.h"
#include "conf/values.h"
#include "net/loop.h"

#define HEAD_BYTES 4
#define BUFFER_BYTES (1u << 20)

struct meter {
	struct tally tally;
	uint64_t left; /* bytes of the message that is coming */
	size_t size;   /* of its payload */
	uint8_t stamp[TALLY_STAMP];
};

static size_t
get_size(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	       p[3];
}

/* Look at the head of a message; false: it is not all there. */
static bool
begin(struct meter *m, const uint8_t *p, size_t len)
{
	size_t kept;

	if (len < HEAD_BYTES)
		return false;
	m->size = get_size(p);
	kept = m->size < TALLY_STAMP ? m->size : TALLY_STAMP;
	if (len < HEAD_BYTES + kept)
		return false;
	memcpy(m->stamp, p + HEAD_BYTES, kept);
	m->left = HEAD_BYTES + m->size;
	return true;
}

/* Use what can be used of p, and say how many bytes that were. */
static size_t
take(struct meter *m, const uint8_t *p, size_t len, uint64_t at)
{
	size_t used = 0, part;

	while (used < len && !tally_is_full(&m->tally)) {
		if (m->left == 0 && !begin(m, p + used, len - used))
			break;
		part = m->left < len - used ? m->left : len - used;
		m->left -= part;
		used += part;
		if (m->left == 0)
			tally_add(&m->tally, m->stamp, m->size, at);
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
		len += (size_t)n;
		used = take(m, buf, len, loop_clock());
		len -= used;
		memmove(buf, buf + used, len);
	} while (!tally_is_full(&m->tally));
	if (!tally_is_full(&m->tally) && (m->left > 0 || len > 0))
		fputs("meter: the last message is cut short\n", stderr);
}

int
main(int argc, char *argv[])
{
	struct meter m = {.tally.timed = true};
	uint32_t v;
	int c;

	while ((c = getopt(argc, argv, "c:s:")) != -1) {
		if (c == '?' || values_u32(optarg, &v) != OK) {
			fputs("usage: meter [-c messages] [-s size]\n", stderr);
			return 64;
		}
		if (c == 'c')
			m.tally.limit = v;
		else
			m.tally.only = v;
	}
	read_all(&m);
	tally_print(&m.tally);
	tally_fini(&m.tally);
	return 0;
}
