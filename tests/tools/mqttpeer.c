/* SPDX-License-Identifier: ISC */
/*
 * mqttpeer: a source or a sink at an MQTT broker, QoS 0, by mosquitto's own
 * client library; the options are those of common/client.h.  Built where there
 * is a libmosquitto.
 */
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/client.h"
#include "common/tally.h"

#define TOPIC "bench"
#define KEEPALIVE_S 3600 /* longer than any measurement */
#define PACKETS 1000	 /* read at most in one go */

struct sink {
	struct tally tally;
	uint32_t subscribed;
};

static void
check(int r, const char *what)
{
	if (r != MOSQ_ERR_SUCCESS)
		client_die(what, r == MOSQ_ERR_ERRNO ? strerror(errno)
						     : mosquitto_strerror(r));
}

static struct mosquitto *
dial(const struct client_conf *c, void *arg)
{
	struct mosquitto *m = mosquitto_new(NULL, true, arg);

	if (m == NULL)
		client_die("make a client", strerror(errno));
	check(mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1), "use TCP");
	if (c->ca != NULL)
		check(mosquitto_tls_set(m, c->ca, NULL, NULL, NULL, NULL),
		    "use TLS");
	return m;
}

static void
connect_to(const struct client_conf *c, struct mosquitto *m)
{
	check(mosquitto_connect(m, c->host, c->port, KEEPALIVE_S), "connect");
}

/* Wait for the sockets of n clients, and let the library use them. */
static void
turn(struct mosquitto **v, struct pollfd *p, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		p[i].fd = mosquitto_socket(v[i]);
		p[i].events = POLLIN;
		if (mosquitto_want_write(v[i]))
			p[i].events |= POLLOUT;
	}
	if (poll(p, n, -1) < 0 && errno != EINTR)
		client_die("wait", strerror(errno));
	for (i = 0; i < n; i++) {
		if (p[i].revents & (POLLIN | POLLHUP | POLLERR))
			check(mosquitto_loop_read(v[i], PACKETS), "read");
		if (p[i].revents & POLLOUT)
			check(mosquitto_loop_write(v[i], 1), "write");
	}
}

static void
on_connect(struct mosquitto *m, void *arg, int r)
{
	bool *connected = arg;

	(void)m;
	if (r != 0)
		client_die("connect", mosquitto_connack_string(r));
	*connected = true;
}

static void
run_source(const struct client_conf *c)
{
	bool connected = false;
	struct mosquitto *m = dial(c, &connected);
	struct input in = {0};
	struct pollfd p;
	struct view v;

	mosquitto_connect_callback_set(m, on_connect);
	connect_to(c, m);
	while (!connected)
		turn(&m, &p, 1);
	client_ready(c);
	while (input_next(&in, &v)) {
		check(mosquitto_publish(
			  m, NULL, TOPIC, (int)v.len, v.p, 0, false),
		    "publish");
		/* What the socket does not take waits in memory: let it go
		 * before more is read. */
		while (mosquitto_want_write(m))
			turn(&m, &p, 1);
	}
	check(mosquitto_disconnect(m), "disconnect");
	while (mosquitto_want_write(m))
		turn(&m, &p, 1);
	mosquitto_destroy(m);
	input_fini(&in);
}

static void
on_sink_connect(struct mosquitto *m, void *arg, int r)
{
	(void)arg;
	if (r != 0)
		client_die("connect", mosquitto_connack_string(r));
	check(mosquitto_subscribe(m, NULL, TOPIC, 0), "subscribe");
}

static void
on_subscribe(struct mosquitto *m, void *arg, int mid, int n, const int *granted)
{
	struct sink *s = arg;

	(void)m;
	(void)mid;
	(void)n;
	(void)granted;
	s->subscribed++;
}

static void
on_message(
    struct mosquitto *m, void *arg, const struct mosquitto_message *message)
{
	struct sink *s = arg;

	(void)m;
	tally_add(&s->tally, message->payload, (size_t)message->payloadlen,
	    tally_clock(&s->tally));
}

static void
run_sink(const struct client_conf *c)
{
	struct sink s = {.tally = {.limit = (uint64_t)c->count * c->connections,
			     .timed = c->timed}};
	struct mosquitto **v =
	    calloc(c->connections, sizeof(struct mosquitto *));
	struct pollfd *p = calloc(c->connections, sizeof(*p));
	uint32_t i;

	if (v == NULL || p == NULL)
		client_die("make clients", strerror(errno));
	for (i = 0; i < c->connections; i++) {
		v[i] = dial(c, &s);
		mosquitto_connect_callback_set(v[i], on_sink_connect);
		mosquitto_subscribe_callback_set(v[i], on_subscribe);
		mosquitto_message_callback_set(v[i], on_message);
		connect_to(c, v[i]);
		while (s.subscribed <= i)
			turn(v, p, i + 1);
	}
	client_ready(c);
	while (!tally_is_full(&s.tally))
		turn(v, p, c->connections);
	tally_print(&s.tally);
	tally_fini(&s.tally);
	for (i = 0; i < c->connections; i++)
		mosquitto_destroy(v[i]);
	free(v);
	free(p);
}

int
main(int argc, char *argv[])
{
	struct client_conf c;

	client_parse(&c, argc, argv);
	check(mosquitto_lib_init(), "begin");
	if (c.sink)
		run_sink(&c);
	else
		run_source(&c);
	mosquitto_lib_cleanup();
	client_fini(&c);
	return 0;
}
