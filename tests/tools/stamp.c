/* SPDX-License-Identifier: ISC */
/*
 * stamp FILE COMMAND [ARG...]: write the monotonic time in ns into FILE, then
 * become COMMAND.  With meter's "last_ns" it says how long something took.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/loop.h"

int
main(int argc, char *argv[])
{
	FILE *f;

	if (argc < 3) {
		fputs("usage: stamp file command [arg...]\n", stderr);
		return 64;
	}
	if ((f = fopen(argv[1], "we")) == NULL) {
		fprintf(stderr, "stamp: cannot write '%s': %s\n", argv[1],
		    strerror(errno));
		return 1;
	}
	fprintf(f, "%ju\n", (uintmax_t)loop_clock());
	fclose(f);
	execvp(argv[2], argv + 2);
	fprintf(
	    stderr, "stamp: cannot run '%s': %s\n", argv[2], strerror(errno));
	return 127;
}
