/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "client.h"

#define HEAD_BYTES 4
#define INPUT_BYTES (1u << 20)

static int
put_option(struct client_conf *c, int opt, const char *arg)
{
	struct endpoint at = {0};
	uint32_t v;
	int r;

	switch (opt) {
	case 'z':
		if ((r = endpoint_parse(arg, &at)) != OK)
			return r;
		free(at.path);
		free(c->host);
		c->host = at.host;
		c->port = at.port;
		return OK;
	case 'C':
		c->ca = arg;
		return OK;
	case 'R':
		if ((r = values_u32(arg, &v)) == OK)
			c->ready_fd = (int)v;
		return r;
	case 'c':
		return values_u32(arg, &c->count);
	case 'n':
		return values_u32(arg, &c->connections);
	case 'A':
		c->at_once = true;
		return OK;
	case 'L':
		c->timed = true;
		return OK;
	default:
		return ERR_BAD;
	}
}

void
client_parse(struct client_conf *c, int argc, char *argv[])
{
	int opt, r = OK;

	*c = (struct client_conf){.ready_fd = -1, .connections = 1};
	c->sink = argc > 1 && strcmp(argv[1], "sink") == 0;
	if (!c->sink && (argc < 2 || strcmp(argv[1], "source") != 0))
		r = ERR_BAD;
	optind = 2;
	while (r == OK && (opt = getopt(argc, argv, "z:C:R:c:n:AL")) != -1)
		r = put_option(c, opt, optarg);
	if (r == OK && optind == argc && c->host != NULL &&
	    c->connections > 0 && (!c->sink || c->count > 0))
		return;
	fprintf(stderr,
	    "usage: %s source|sink -z host:port [-C ca] [-R fd]"
	    " [-c count] [-n connections] [-AL]\n",
	    program_invocation_short_name);
	exit(64);
}

void
client_ready(const struct client_conf *c)
{
	if (c->ready_fd >= 0)
		(void)!write(c->ready_fd, "\n", 1);
}

void
client_fini(struct client_conf *c)
{
	free(c->host);
	c->host = NULL;
}

int
client_address(const struct endpoint *at, struct addr *out)
{
	struct addr a = {0};

	if (at->host == NULL)
		return ERR_BAD;
	if (inet_pton(AF_INET, at->host, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
	} else if (inet_pton(AF_INET6, at->host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
	} else {
		return ERR_BAD;
	}
	addr_set_port(&a, at->port);
	*out = a;
	return OK;
}

void
client_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: cannot %s: %s\n", program_invocation_short_name,
	    what, why);
	exit(EXIT_FAILURE);
}

/* The size in all of the message that begins, or of its head if that is not
 * all there. */
static size_t
wanted(const struct input *in)
{
	const uint8_t *p = in->buf + in->from;

	if (in->to - in->from < HEAD_BYTES)
		return HEAD_BYTES;
	return HEAD_BYTES + ((size_t)p[0] << 24 | (size_t)p[1] << 16 |
				(size_t)p[2] << 8 | p[3]);
}

/* Read more, behind what is there; false at the end. */
static bool
fill(struct input *in, size_t want)
{
	size_t size = want > INPUT_BYTES ? want : INPUT_BYTES;
	ssize_t n;

	if (in->from > 0) {
		memmove(in->buf, in->buf + in->from, in->to - in->from);
		in->to -= in->from;
		in->from = 0;
	}
	if (size > in->size) {
		if ((in->buf = realloc(in->buf, size)) == NULL)
			client_die("read", strerror(errno));
		in->size = size;
	}
	n = read(STDIN_FILENO, in->buf + in->to, in->size - in->to);
	if (n < 0)
		client_die("read", strerror(errno));
	in->to += (size_t)n;
	return n > 0;
}

bool
input_next(struct input *in, struct view *message)
{
	size_t want;

	while (in->size == 0 || in->to - in->from < HEAD_BYTES ||
	       in->to - in->from < wanted(in)) {
		want = in->size == 0 ? HEAD_BYTES : wanted(in);
		if (fill(in, want))
			continue;
		if (in->from != in->to)
			client_die("read", "the last message is cut short");
		return false;
	}
	want = wanted(in);
	*message =
	    (struct view){in->buf + in->from + HEAD_BYTES, want - HEAD_BYTES};
	in->from += want;
	return true;
}

void
input_fini(struct input *in)
{
	free(in->buf);
	in->buf = NULL;
}
