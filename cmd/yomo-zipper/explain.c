/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "explain.h"
#include "link/quiclink.h"
#include "memory.h"

static void
line(const char *what, uint64_t bytes, const char *how)
{
	printf("%-46s %10" PRIu64 "  %s\n", what, bytes, how);
}

/* What a tag that nobody reads can hold between its source and its observer. */
static void
explain_tag(const struct zipper_conf *conf)
{
	uint64_t lane = QUICLINK_WINDOW, observer = QUICLINK_WINDOW;

	printf("\nIn flight of one tag that an observer does not read, when\n"
	       "its source stops in write(2):\n");
	line("  the lane's window", lane, "source to zipper, not yet routed");
	line("  the observer's queue", conf->queue, "--queue");
	line("  the window of the observer's lane", observer,
	    "zipper to observer, not yet taken");
	line("  at most, in all", lane + conf->queue + observer, "");
	printf(
	    "Besides, in the clients: what yomo-source queues (its --queue),\n"
	    "what yomo-sfn has ready to write, and the pipes of the shell.\n");
}

int
explain_memory(const struct zipper_conf *conf)
{
	uint64_t ahead = memory_kept(conf);

	printf("Bytes, at most:\n");
	line("messages, all together", conf->memory, "--memory");
	line("  queued for observers", conf->memory - ahead,
	    "then sources have to wait");
	line("  sent ahead by clients", ahead, "a quarter of --memory");
	line("a queue", conf->queue, "--queue: each observer and tag");
	line("  of an observer of many tags", conf->queue * QUICLINK_LANES_MAX,
	    "or --memory: 64 lanes, the last shared");
	line("a client that has just come", QUICLINK_WINDOW_FIRST,
	    "it may send so much ahead");
	line("  all that may come",
	    QUICLINK_WINDOW_FIRST * (uint64_t)conf->max_connections,
	    "--max-connections");
	line("a lane as it opens", QUICLINK_LANE_WINDOW_FIRST, "");
	line("  that is used much", QUICLINK_WINDOW, "out of the quarter");
	line("a client that sends much, on all lanes", QUICLINK_WINDOW_ALL,
	    "out of the quarter");
	line("unobserved messages kept", conf->hold_bytes, "--hold");
	line("the longest message", conf->max_message, "--max-message");
	explain_tag(conf);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return OK;
	log_error("cannot write to standard output: %s", strerror(errno));
	return ERR_SYS;
}
