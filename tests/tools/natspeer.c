/* SPDX-License-Identifier: ISC */
/*
 * natspeer: a source or a sink at a NATS server, by NATS' own C client and its
 * defaults; the options are those of common/client.h.  Built where there is a
 * libnats.
 */
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/client.h"
#include "common/tally.h"

#define SUBJECT "bench"
#define URL_MAX 300
#define FLUSH_MS 60000

/* What the client's threads share. */
struct sink {
	pthread_mutex_t lock;
	pthread_cond_t full;
	struct tally tally;
};

static void
check(natsStatus s, const char *what)
{
	if (s != NATS_OK)
		client_die(what, natsStatus_GetText(s));
}

/* A client that falls behind is a failed measurement, not a slower one. */
static void
on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg)
{
	(void)nc;
	(void)sub;
	(void)arg;
	check(s, "go on");
}

static natsOptions *
make_options(const struct client_conf *c)
{
	natsOptions *o;
	char url[URL_MAX];

	snprintf(url, sizeof(url), "nats://%s:%u", c->host, c->port);
	check(natsOptions_Create(&o), "make options");
	check(natsOptions_SetURL(o, url), "use the address");
	check(natsOptions_SetErrorHandler(o, on_error, NULL), "make options");
	check(natsOptions_SetSendAsap(o, c->at_once), "make options");
	if (c->ca != NULL) {
		check(natsOptions_SetSecure(o, true), "use TLS");
		check(natsOptions_LoadCATrustedCertificates(o, c->ca),
		    "read the certificate");
	}
	return o;
}

static void
run_source(const struct client_conf *c, natsOptions *o)
{
	struct input in = {0};
	natsConnection *nc;
	struct view v;

	check(natsConnection_Connect(&nc, o), "connect");
	client_ready(c);
	while (input_next(&in, &v))
		check(natsConnection_Publish(nc, SUBJECT, v.p, (int)v.len),
		    "publish");
	check(natsConnection_FlushTimeout(nc, FLUSH_MS), "flush");
	natsConnection_Destroy(nc);
	input_fini(&in);
}

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *arg)
{
	struct sink *s = arg;

	(void)nc;
	(void)sub;
	pthread_mutex_lock(&s->lock);
	tally_add(&s->tally, (const uint8_t *)natsMsg_GetData(m),
	    (size_t)natsMsg_GetDataLength(m), tally_clock(&s->tally));
	if (tally_is_full(&s->tally))
		pthread_cond_signal(&s->full);
	pthread_mutex_unlock(&s->lock);
	natsMsg_Destroy(m);
}

static void
subscribe(natsOptions *o, struct sink *s)
{
	natsConnection *nc;
	natsSubscription *sub;

	check(natsConnection_Connect(&nc, o), "connect");
	check(natsConnection_Subscribe(&sub, nc, SUBJECT, on_message, s),
	    "subscribe");
	check(natsSubscription_SetPendingLimits(sub, -1, -1), "lift limits");
	check(natsConnection_FlushTimeout(nc, FLUSH_MS), "subscribe");
}

/* The connections end with the program. */
static void
run_sink(const struct client_conf *c, natsOptions *o)
{
	static struct sink s = {
	    .lock = PTHREAD_MUTEX_INITIALIZER,
	    .full = PTHREAD_COND_INITIALIZER,
	};
	uint32_t i;

	s.tally.limit = (uint64_t)c->count * c->connections;
	s.tally.timed = c->timed;
	for (i = 0; i < c->connections; i++)
		subscribe(o, &s);
	client_ready(c);
	pthread_mutex_lock(&s.lock);
	while (!tally_is_full(&s.tally))
		pthread_cond_wait(&s.full, &s.lock);
	tally_print(&s.tally);
	pthread_mutex_unlock(&s.lock);
}

int
main(int argc, char *argv[])
{
	struct client_conf c;
	natsOptions *o;

	client_parse(&c, argc, argv);
	o = make_options(&c);
	if (c.sink)
		run_sink(&c, o);
	else
		run_source(&c, o);
	natsOptions_Destroy(o);
	client_fini(&c);
	return 0;
}
