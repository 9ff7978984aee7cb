/* SPDX-License-Identifier: ISC */
/*
 * A server, clients and the wires between them, in memory and on virtual time.
 *
 * Each application sends bytes of sim_pattern() from the start and checks that
 * what it hears is the same.  (All inline, since not every unit wants all.)
 */
#ifndef TESTS_UNIT_QUIC_SIM_H
#define TESTS_UNIT_QUIC_SIM_H

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "quic/quic.h"
#include "quic/server.h"
#include "tls/tls.h"
#include "unit.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define MIB (1u << 20)
#define PATTERN_BYTES (16 * MIB)
#define STREAMS_MAX 64

struct sim;
struct app;

struct flow { /* one stream, as its application sees it */
	struct app *app;
	int64_t id;
	size_t to_send; /* so many bytes in all */
	bool send_fin;
	size_t piece; /* at most so many at a pull; 0: all */
	size_t sent;
	size_t acked;
	bool fin_acked;
	size_t got;
	bool got_fin;
	bool lazy; /* does not call quic_consumed() */
	void (*on_data)(struct flow *f);
	void (*on_pull)(struct flow *f);
	bool closed;
	bool was_reset;
	uint64_t reset_code;
};

struct app {
	struct sim *sim;
	struct quic *quic;
	struct addr local; /* of clients: where their packets come from */
	bool client;
	bool ready;
	bool refuse_streams;
	size_t accepted;
	size_t answer; /* bytes to send on each accepted stream, then FIN */
	struct flow flows[STREAMS_MAX];
	size_t n_flows;
	size_t more_streams; /* times it heard of them */
	void (*on_ready)(struct app *a);
	void (*on_data)(struct flow *f); /* of accepted streams */
	TAILQ_ENTRY(app) link;
};

struct packet {
	TAILQ_ENTRY(packet) link;
	uint64_t due;
	struct addr from;
	struct addr to;
	uint8_t ecn;
	size_t len;
	uint8_t bytes[];
};

struct sim {
	uint64_t now;
	uint64_t rng;
	struct tls *server_tls;
	struct tls *client_tls;
	struct quic_server_conf conf;
	struct quic_conf client_conf;
	struct quic_server *server;
	struct addr server_addr;
	TAILQ_HEAD(, app) apps;
	TAILQ_HEAD(wire, packet) wire;
	/* The wire. */
	uint64_t delay;
	uint64_t jitter; /* at most so much more: packets overtake */
	unsigned loss;	 /* per thousand */
	unsigned twice;	 /* per thousand */
	size_t mtu;	 /* longer datagrams vanish; 0: none */
	bool (*meddle)(struct sim *s, struct packet *p); /* false: lost */
	/* What the server's applications do. */
	size_t answer;
	bool refuse_conns;
	bool refuse_streams;
	bool lazy; /* accepted streams do not call quic_consumed() */
	/* What was seen. */
	uint64_t packets;
	uint64_t bytes;
	size_t largest;
	uint64_t bursts;
	uint64_t touched;
};

/* Never twice the same run of bytes near by. */
static inline uint8_t *
sim_pattern(void)
{
	static uint8_t *p;
	uint32_t x = 1;
	size_t i;

	if (p != NULL)
		return p;
	p = malloc(PATTERN_BYTES);
	assert_non_null(p);
	for (i = 0; i < PATTERN_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

static inline uint64_t
sim_random(struct sim *s)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return s->rng;
}

static inline struct addr
sim_v4(const char *host, uint16_t port)
{
	struct addr a = {.len = sizeof(a.in4)};

	a.in4.sin_family = AF_INET;
	a.in4.sin_port = htons(port);
	inet_pton(AF_INET, host, &a.in4.sin_addr);
	return a;
}

/* -- chance, the same at each run (but for what OpenSSL draws itself) -- */

static inline uint64_t *
sim_dice(void)
{
	static uint64_t x = 1;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return &x;
}

static inline const char *
sim_dice_name(void)
{
	return "quic_sim";
}

static inline uint32_t
sim_dice_word(void)
{
	return (uint32_t)(*sim_dice() >> 16);
}

static inline void
sim_dice_bytes(void *const p, const size_t n)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)sim_dice_word();
}

static inline void
sim_load_dice(uint64_t seed)
{
	static randombytes_implementation dice = {
	    .implementation_name = sim_dice_name,
	    .random = sim_dice_word,
	    .buf = sim_dice_bytes};

	randombytes_set_implementation(&dice);
	*sim_dice() = seed | 1;
}

/* -- certificates -- */

/* A server's context with a certificate of its own, made for it. */
static inline struct tls *
sim_server_tls(void)
{
	const struct tls_server_conf conf = {0};
	char dir[] = "/tmp/quic_test.XXXXXX", path[64];
	struct tls *t;

	assert_non_null(mkdtemp(dir));
	setenv("STATE_DIRECTORY", dir, 1);
	assert_int_equal(tls_server_new(&t, &conf), OK);
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/key.pem", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return t;
}

static inline struct tls *
sim_client_tls(const char *pin)
{
	const char *const pins[] = {pin};
	const struct tls_client_conf conf = {
	    .pins = pins, .n_pins = pin != NULL};
	struct tls *t;

	assert_int_equal(tls_client_new(&t, &conf), OK);
	return t;
}

/* -- the wire -- */

static inline void
sim_enqueue(struct sim *s, struct packet *k)
{
	struct packet *at;

	TAILQ_FOREACH_REVERSE(at, &s->wire, wire, link)
	{
		if (at->due <= k->due)
			break;
	}
	if (at != NULL)
		TAILQ_INSERT_AFTER(&s->wire, at, k, link);
	else
		TAILQ_INSERT_HEAD(&s->wire, k, link);
}

static inline void
sim_transmit(struct sim *s, struct view bytes, const struct addr *from,
    const struct addr *to, uint8_t ecn)
{
	struct packet *k;
	unsigned copies = 1;

	s->packets++;
	s->bytes += bytes.len;
	if (bytes.len > s->largest)
		s->largest = bytes.len;
	if ((s->mtu != 0 && bytes.len > s->mtu) ||
	    sim_random(s) % 1000 < s->loss)
		return;
	if (sim_random(s) % 1000 < s->twice)
		copies++;
	while (copies-- > 0) {
		if ((k = malloc(sizeof(*k) + bytes.len)) == NULL)
			return; /* a test of that: lost, then */
		k->due = s->now + s->delay;
		if (s->jitter != 0)
			k->due += sim_random(s) % s->jitter;
		k->from = *from;
		k->to = *to;
		k->ecn = ecn;
		k->len = bytes.len;
		memcpy(k->bytes, bytes.p, bytes.len);
		if (s->meddle == NULL || s->meddle(s, k))
			sim_enqueue(s, k);
		else
			free(k);
	}
}

/* -- applications -- */

static inline struct flow *
sim_flow_new(struct app *a)
{
	struct flow *f;

	assert_true(a->n_flows < STREAMS_MAX);
	f = &a->flows[a->n_flows++];
	*f = (struct flow){.app = a, .id = -1};
	return f;
}

static inline void
sim_on_ready(void *arg)
{
	struct app *a = arg;

	a->ready = true;
	if (a->on_ready != NULL)
		a->on_ready(a);
}

static inline void *
sim_on_accept(void *arg, int64_t id)
{
	struct app *a = arg;
	struct flow *f;

	a->accepted++;
	if (a->refuse_streams)
		return NULL;
	f = sim_flow_new(a);
	f->id = id;
	f->lazy = a->sim->lazy;
	f->on_data = a->on_data;
	if (quic_is_uni(id))
		return f;
	f->to_send = a->answer;
	f->send_fin = true;
	quic_wake(a->quic, id);
	return f;
}

static inline void
sim_on_data(void *stream, struct view bytes, bool fin)
{
	struct flow *f = stream;

	assert_false(f->got_fin);
	assert_true(f->got + bytes.len <= PATTERN_BYTES);
	assert_memory_equal(sim_pattern() + f->got, bytes.p, bytes.len);
	f->got += bytes.len;
	f->got_fin = fin;
	if (!f->lazy)
		quic_consumed(f->app->quic, f->id, bytes.len);
	if (f->on_data != NULL)
		f->on_data(f);
}

static inline size_t
sim_on_pull(void *stream, struct iovec *v, size_t n, bool *fin)
{
	struct flow *f = stream;
	size_t left = f->to_send - f->sent;

	assert_false(f->closed);
	if (f->on_pull != NULL)
		f->on_pull(f);
	*fin = false;
	if (f->piece != 0 && left > f->piece)
		left = f->piece;
	else
		*fin = f->send_fin;
	if (left == 0 || n == 0)
		return 0;
	v[0] = (struct iovec){sim_pattern() + f->sent, left};
	return 1;
}

static inline void
sim_on_sent(void *stream, size_t n)
{
	struct flow *f = stream;

	f->sent += n;
	assert_true(f->sent <= f->to_send);
}

static inline void
sim_on_acked(void *stream, size_t n, bool fin_acked)
{
	struct flow *f = stream;

	assert_false(f->fin_acked);
	f->acked += n;
	assert_true(f->acked <= f->sent);
	f->fin_acked = fin_acked;
	if (fin_acked)
		assert_int_equal(f->acked, f->to_send);
}

static inline void
sim_on_reset(void *stream, uint64_t code)
{
	struct flow *f = stream;

	f->was_reset = true;
	f->reset_code = code;
}

static inline void
sim_on_closed(void *stream)
{
	struct flow *f = stream;

	assert_false(f->closed);
	f->closed = true;
}

static inline void
sim_on_more_streams(void *arg)
{
	struct app *a = arg;

	a->more_streams++;
}

static const struct quic_ops SIM_OPS = {sim_on_ready, sim_on_accept,
    sim_on_data, sim_on_pull, sim_on_sent, sim_on_acked, sim_on_reset,
    sim_on_closed, sim_on_more_streams};

/* Let a stream of a client's carry n bytes, then FIN. */
static inline struct flow *
sim_send(struct app *a, size_t n, bool fin)
{
	struct flow *f = sim_flow_new(a);

	f->to_send = n;
	f->send_fin = fin;
	assert_int_equal(quic_open_bidi(a->quic, f, &f->id), OK);
	quic_wake(a->quic, f->id);
	return f;
}

/* The same on a stream of its own; NULL: none is allowed. */
static inline struct flow *
sim_send_uni(struct app *a, size_t n, bool fin)
{
	struct flow *f = sim_flow_new(a);

	f->to_send = n;
	f->send_fin = fin;
	if (quic_open_uni(a->quic, f, &f->id) != OK) {
		a->n_flows--;
		return NULL;
	}
	quic_wake(a->quic, f->id);
	return f;
}

/* -- the two sides -- */

static inline struct app *
sim_app_new(struct sim *s)
{
	struct app *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->sim = s;
	TAILQ_INSERT_TAIL(&s->apps, a, link);
	return a;
}

static inline void
sim_app_free(struct app *a)
{
	TAILQ_REMOVE(&a->sim->apps, a, link);
	quic_free(a->quic);
	free(a);
}

static inline void *
sim_server_accept(void *arg, struct quic *q, const struct quic_ops **ops)
{
	struct sim *s = arg;
	struct app *a;

	if (s->refuse_conns)
		return NULL;
	if ((a = sim_app_new(s)) == NULL)
		return NULL;
	a->quic = q;
	a->answer = s->answer;
	a->refuse_streams = s->refuse_streams;
	*ops = &SIM_OPS;
	return a;
}

static inline void
sim_server_touched(void *conn_arg)
{
	struct app *a = conn_arg;

	a->sim->touched++;
}

static inline void
sim_server_send(void *arg, struct view datagram, const struct addr *to,
    const struct addr *from)
{
	sim_transmit(arg, datagram, from, to, 0);
}

static const struct quic_server_ops SIM_SERVER_OPS = {
    sim_server_accept, sim_server_touched, sim_server_send};

static inline struct app *
sim_client(struct sim *s, const char *host, uint16_t port)
{
	struct app *a = sim_app_new(s);
	struct quic_conf conf = s->client_conf;

	assert_non_null(a);
	conf.tls = s->client_tls;
	a->client = true;
	a->local = sim_v4(host, port);
	assert_int_equal(quic_client_new(&a->quic, &conf, &SIM_OPS, a,
			     "localhost", &a->local, &s->server_addr, s->now),
	    OK);
	return a;
}

/* The server's side of the n-th connection (0: the oldest), or NULL. */
static inline struct app *
sim_peer(struct sim *s, size_t n)
{
	struct app *a;

	TAILQ_FOREACH(a, &s->apps, link) {
		if (!a->client && n-- == 0)
			return a;
	}
	return NULL;
}

static inline void
sim_start_server(struct sim *s)
{
	s->conf.conn.tls = s->server_tls;
	assert_int_equal(
	    quic_server_new(&s->server, &s->conf, &SIM_SERVER_OPS, s), OK);
}

static inline void
sim_init(struct sim *s, uint64_t seed)
{
	static struct tls *server_tls, *client_tls;

	*s = (struct sim){.now = 1000 * SECOND, .rng = seed, .delay = 5 * MS};
	s->client_conf = (struct quic_conf){.idle_ns = 30 * SECOND,
	    .handshake_ns = 10 * SECOND,
	    .stream_window = 256 * 1024,
	    .lane_window = 128 * 1024,
	    .conn_window = MIB,
	    .streams_bidi = 100,
	    .streams_uni = 8,
	    .payload_max = 65527};
	s->conf = (struct quic_server_conf){.conn = s->client_conf,
	    .reset_key = "reset",
	    .token_key = "token",
	    .max_conns = 1000,
	    .max_per_addr = 1000,
	    .max_half_open = 1000,
	    .retry_from = 1000};
	TAILQ_INIT(&s->apps);
	TAILQ_INIT(&s->wire);
	s->server_addr = sim_v4("192.0.2.1", 9000);
	if (server_tls == NULL) { /* for all the tests of a program */
		server_tls = sim_server_tls();
		client_tls = sim_client_tls(tls_pin(server_tls));
	}
	sim_load_dice(seed);
	s->server_tls = server_tls;
	s->client_tls = client_tls;
	sim_start_server(s);
}

/* kill -9 of the server: its connections go without a word. */
static inline void
sim_kill_server(struct sim *s)
{
	struct app *a;

	while ((a = sim_peer(s, 0)) != NULL)
		sim_app_free(a);
	quic_server_free(s->server);
	s->server = NULL;
}

static inline void
sim_fini(struct sim *s)
{
	struct packet *k;
	struct app *a;

	while ((a = TAILQ_FIRST(&s->apps)) != NULL)
		sim_app_free(a);
	quic_server_free(s->server);
	while ((k = TAILQ_FIRST(&s->wire)) != NULL) {
		TAILQ_REMOVE(&s->wire, k, link);
		free(k);
	}
}

/* -- time -- */

static inline void
sim_flush(struct app *a)
{
	static uint8_t buf[QUIC_BURST_MIN];
	struct sim *s = a->sim;
	struct quic_burst b;
	size_t at, n;

	for (;;) {
		quic_write(a->quic, buf, sizeof(buf), &b, s->now);
		if (b.len == 0)
			return;
		s->bursts++;
		assert_true(b.len <= 65000 || b.len == b.segment);
		assert_true(b.len <= 64 * b.segment);
		for (at = 0; at < b.len; at += n) {
			n = b.len - at < b.segment ? b.len - at : b.segment;
			sim_transmit(s, (struct view){buf + at, n},
			    a->client ? &a->local : &b.from, &b.to, b.ecn);
		}
	}
}

static inline void
sim_deliver(struct sim *s, struct packet *k)
{
	struct view bytes = {k->bytes, k->len};
	struct app *a;

	if (addr_equal(&k->to, &s->server_addr)) {
		if (s->server != NULL)
			quic_server_read(
			    s->server, bytes, &k->to, &k->from, k->ecn, s->now);
		return;
	}
	TAILQ_FOREACH(a, &s->apps, link) {
		if (a->client && addr_equal(&a->local, &k->to)) {
			quic_read(a->quic, bytes, &a->local, &k->from, k->ecn,
			    s->now);
			return;
		}
	}
}

/* Do all that is due now; return when something is due next. */
static inline uint64_t
sim_turn(struct sim *s)
{
	uint64_t next = UINT64_MAX;
	struct packet *k;
	struct app *a;

	while ((k = TAILQ_FIRST(&s->wire)) != NULL && k->due <= s->now) {
		TAILQ_REMOVE(&s->wire, k, link);
		sim_deliver(s, k);
		free(k);
	}
	TAILQ_FOREACH(a, &s->apps, link) {
		if (quic_deadline(a->quic) <= s->now)
			quic_expire(a->quic, s->now);
		sim_flush(a);
		if (quic_deadline(a->quic) < next)
			next = quic_deadline(a->quic);
	}
	k = TAILQ_FIRST(&s->wire);
	return k != NULL && k->due < next ? k->due : next;
}

/* Everything an application began is over. */
static inline bool
sim_flows_done(struct sim *s)
{
	struct app *a;
	size_t i, n = 0;

	TAILQ_FOREACH(a, &s->apps, link) {
		for (i = 0; i < a->n_flows; i++, n++) {
			if (!a->flows[i].closed)
				return false;
		}
	}
	return n > 0;
}

/* Until done says so, or ns have passed; returns whether done did. */
static inline bool
sim_run(struct sim *s, uint64_t ns, bool (*done)(struct sim *s))
{
	uint64_t until = s->now + ns, next;

	for (;;) {
		next = sim_turn(s);
		if (done != NULL && done(s))
			return true;
		if (next > until) {
			s->now = until;
			return false;
		}
		if (next > s->now)
			s->now = next;
	}
}

/* A client whose handshake is done. */
static inline struct app *
sim_connected(struct sim *s)
{
	struct app *a = sim_client(s, "198.51.100.7", 5000);

	sim_run(s, SECOND, NULL);
	assert_true(a->ready);
	return a;
}

#endif /* TESTS_UNIT_QUIC_SIM_H */
