/* SPDX-License-Identifier: ISC */
/*
 * What the benchmarks' clients of other systems have in common: a source gives
 * the messages of its stdin, in len32, to a broker; a sink counts what comes.
 */
#ifndef COMMON_CLIENT_H
#define COMMON_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/view.h"
#include "conf/values.h"

/*
 * PROGRAM source|sink [options]
 *   -z HOST:PORT  the broker (required)
 *   -C FILE       TLS; trust this certificate
 *   -R FD         write a newline there when connected, or subscribed
 *   -A            send each message at once, even if that costs more
 * and a sink's:
 *   -c COUNT      messages to wait for, for each connection (required)
 *   -n N          connections (1), each of which gets all messages
 *   -L            tell how late they were, too
 */
struct client_conf {
	bool sink;
	char *host;
	uint16_t port;
	const char *ca; /* NULL: no TLS */
	int ready_fd;	/* -1: none */
	uint32_t count;
	uint32_t connections;
	bool timed;
	bool at_once;
};

/* Ends the program, with what it wants to know, if argv is no good. */
void client_parse(struct client_conf *c, int argc, char *argv[]);
void client_ready(const struct client_conf *c);
void client_fini(struct client_conf *c);

/* The numeric address that at names; ERR_BAD. */
int client_address(const struct endpoint *at, struct addr *out);

/* Say what went wrong, and end the program. */
_Noreturn void client_die(const char *what, const char *why);

/* The messages of stdin, one after the other. */
struct input {
	uint8_t *buf;
	size_t size; /* of buf */
	size_t from; /* where what was not yet taken begins, */
	size_t to;   /* and ends */
};

/* The next message, valid until the next call; false at the end.  Blocks.
 * Ends the program on malformed input. */
bool input_next(struct input *in, struct view *message);
void input_fini(struct input *in);

#endif /* COMMON_CLIENT_H */
