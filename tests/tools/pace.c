/* SPDX-License-Identifier: ISC */
/*
 * pace [-n N] [-r RATE] [-s SIZE]: write N messages in len32 to stdout, RATE a
 * second (0, the default: as fast as they are taken) of SIZE bytes, 8 at least.
 *
 * A message begins with the time at which it was due (monotonic ns, big
 * endian), so that one which had to wait for its writer counts as late; the
 * rest is a fixed pattern.  All that are due are written at once.
 * tests/tools/meter reads them.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/values.h"
#include "net/loop.h"

#define SECOND ((uint64_t)1000000000)
#define STAMP_BYTES 8
#define HEAD_BYTES 4
#define SIZE_MAX_BYTES (64u << 20)
#define BATCH_BYTES (256u << 10) /* written at once, without a rate */

static void
wait_until(uint64_t at)
{
	struct timespec ts = {
	    .tv_sec = (time_t)(at / SECOND),
	    .tv_nsec = (long)(at % SECOND),
	};

	while (
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void
put(uint8_t *to, uint64_t v, size_t bytes)
{
	while (bytes-- > 0) {
		to[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

static void
write_all(const uint8_t *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = write(STDOUT_FILENO, p, len);
		if (n < 0) {
			fprintf(stderr, "pace: cannot write: %s\n",
			    strerror(errno));
			exit(EXIT_FAILURE);
		}
	}
}

/* Room for as many messages of one size as are written at once, all but their
 * stamps filled in. */
static uint8_t *
make_batch(size_t batch, uint32_t size)
{
	size_t whole = HEAD_BYTES + size, i;
	uint8_t *buf = malloc(batch * whole);

	if (buf == NULL) {
		fputs("pace: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	for (i = 0; i < batch * whole; i++)
		buf[i] = (uint8_t)(i * 167 + (i >> 8));
	for (i = 0; i < batch; i++)
		put(buf + i * whole, size, HEAD_BYTES);
	return buf;
}

static void
pace(uint32_t n, uint32_t rate, uint32_t size)
{
	size_t whole = HEAD_BYTES + size, batch = BATCH_BYTES / whole;
	uint64_t t0 = loop_clock(), due, now;
	size_t sent, j;
	uint8_t *buf;

	if (batch == 0)
		batch = 1;
	buf = make_batch(batch, size);
	for (sent = 0; sent < n; sent += j) {
		if (rate != 0)
			wait_until(t0 + sent * SECOND / rate);
		now = loop_clock();
		for (j = 0; j < batch && sent + j < n; j++) {
			due = rate == 0 ? now : t0 + (sent + j) * SECOND / rate;
			if (due > now)
				break;
			put(buf + j * whole + HEAD_BYTES, due, STAMP_BYTES);
		}
		write_all(buf, j * whole);
	}
	free(buf);
}

int
main(int argc, char *argv[])
{
	uint32_t n = 1, rate = 0, size = STAMP_BYTES, v;
	int c;

	while ((c = getopt(argc, argv, "n:r:s:")) != -1) {
		if (c == '?' || values_u32(optarg, &v) != OK)
			goto usage;
		*(c == 'n' ? &n : c == 'r' ? &rate : &size) = v;
	}
	if (optind != argc || size < STAMP_BYTES || size > SIZE_MAX_BYTES)
		goto usage;
	/* The kernel may not wake us later than we ask, to save power. */
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	pace(n, rate, size);
	return 0;

usage:
	fputs("usage: pace [-n messages] [-r rate] [-s size]\n", stderr);
	return 64;
}
