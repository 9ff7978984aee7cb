/* SPDX-License-Identifier: ISC */
/*
 * A client and a server of libcore/quic, and what happens to their packets.
 *
 * A datagram with a wrong AEAD tag goes no further, so mutating real ones
 * reaches nothing.  Here packets are in the clear: quic_clear.h stands in place
 * of libcore/quic/session.c.  The input is a list of deeds (see deeds[]):
 * deliver, lose, repeat or mutate a packet, inject one of any frames, let time
 * pass, act as the owner.
 *
 * At the end of the process it says which callbacks were reached, how often.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "quic/conn.h"
#include "quic/server.h"
#include "quic_clear.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

#define DEEDS_MAX 300
#define PACKETS_MAX 128
#define PACKET_MAX 1500
#define CONNS_MAX 8
#define STREAMS_MAX 8
#define MS 1000000ull

/* -- what was reached -- */

enum reached {
	READY,
	ACCEPT,
	DATA,
	DATA_FIN,
	PULL,
	SENT,
	ACKED,
	ACKED_FIN,
	RESET,
	CLOSED,
	MORE_STREAMS,
	SERVER_ACCEPT,
	SERVER_TOUCHED,
	SERVER_SEND,
	N_CALLBACKS,
};

/* After them come the kinds of enum quic_end_kind. */
#define END ((int)N_CALLBACKS)
#define N_REACHED (END + QUIC_DROPPED + 1)

static const char *const reached_name[N_REACHED] = {
    [READY] = "ready",
    [ACCEPT] = "accept",
    [DATA] = "data",
    [DATA_FIN] = "data, the last",
    [PULL] = "pull",
    [SENT] = "sent",
    [ACKED] = "acked",
    [ACKED_FIN] = "acked, the last",
    [RESET] = "reset",
    [CLOSED] = "closed",
    [MORE_STREAMS] = "more_streams",
    [SERVER_ACCEPT] = "server: accept",
    [SERVER_TOUCHED] = "server: touched",
    [SERVER_SEND] = "server: send",
    [END + QUIC_ALIVE] = "freed alive",
    [END + QUIC_CLOSED_APP] = "end: closed by application",
    [END + QUIC_CLOSED_TRANSPORT] = "end: closed by transport",
    [END + QUIC_IDLE] = "end: idle",
    [END + QUIC_HANDSHAKE_LATE] = "end: handshake late",
    [END + QUIC_RESET] = "end: stateless reset",
    [END + QUIC_VERSION] = "end: version",
    [END + QUIC_FAILED] = "end: failed",
    [END + QUIC_DROPPED] = "end: dropped",
};

static unsigned long reached[N_REACHED];

static void
print_one(const char *name, unsigned long n)
{
	fprintf(stderr, "reached: %-28s %lu\n", name, n);
}

static void
print_reached(void)
{
	size_t i;

	for (i = 0; i < N_REACHED; i++)
		print_one(reached_name[i], reached[i]);
	print_one("client_initial", clear_calls.client_initial);
	print_one("recv_client_initial", clear_calls.recv_client_initial);
	print_one("recv_crypto_data", clear_calls.recv_crypto_data);
	print_one("decrypt, failing", clear_calls.decrypt_failed);
	print_one("recv_retry", clear_calls.recv_retry);
	print_one("update_key", clear_calls.update_key);
	print_one("get_path_challenge_data", clear_calls.path_challenge);
}

/* -- chance without any -- */

static uint64_t dice;

static const char *
dice_name(void)
{
	return "fuzz_quic";
}

static uint32_t
dice_word(void)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(dice >> 32);
}

static void
dice_bytes(void *const p, const size_t n)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)dice_word();
}

static randombytes_implementation fixed_dice = {
    .implementation_name = dice_name, .random = dice_word, .buf = dice_bytes};

/* -- the owners -- */

struct packet {
	bool to_server;
	size_t len;
	struct addr peer; /* the client's side, as the server sees it */
	uint8_t bytes[PACKET_MAX];
};

struct owner {
	struct world *world;
	struct quic *quic;
	size_t unread; /* delivered and not yet quic_consumed() */
	size_t streams;
	bool lazy;
};

struct stream {
	struct owner *owner;
	int64_t id;
	size_t to_send;
	size_t sent;
	size_t acked;
	bool fin;
	bool fin_heard;
	bool fin_acked;
};

struct world {
	struct quic_server *server;
	struct quic_server_conf conf;
	struct owner *client;
	struct owner *conns[CONNS_MAX];
	struct stream *opened[STREAMS_MAX]; /* by either side */
	struct stream *heard[STREAMS_MAX];  /* some of one direction */
	size_t allowed; /* of one direction, besides the first */
	struct packet packets[PACKETS_MAX];
	size_t n_packets;
	struct addr here; /* the server */
	struct addr peer; /* the client, as the server sees it */
	uint64_t now;
	uint32_t injected;
	uint8_t ecn;	  /* of what the server hears */
	const uint8_t *p; /* the input, and what is left of it */
	size_t len;
};

static uint8_t content[1u << 16];

static uint8_t
take(struct world *w)
{
	if (w->len == 0)
		return 0;
	w->len--;
	return *w->p++;
}

static size_t
take_two(struct world *w)
{
	size_t high = take(w);

	return high << 8 | take(w);
}

static void
enqueue(struct world *w, bool to_server, const uint8_t *p, size_t len)
{
	struct packet *k;

	if (w->n_packets == PACKETS_MAX || len > PACKET_MAX)
		return; /* lost */
	k = &w->packets[w->n_packets++];
	k->to_server = to_server;
	k->len = len;
	k->peer = w->peer;
	memcpy(k->bytes, p, len);
}

static void
on_ready(void *arg)
{
	(void)arg;
	reached[READY]++;
}

static struct stream *
new_stream(struct owner *o, int64_t id)
{
	struct stream *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	s->owner = o;
	s->id = id;
	o->streams++;
	return s;
}

static void *
on_accept(void *arg, int64_t id)
{
	struct owner *o = arg;
	struct stream *s;

	reached[ACCEPT]++;
	if (id % 12 == 8)
		return NULL;
	s = new_stream(o, id);
	assert(o->streams <= 3 * STREAMS_MAX + o->world->allowed);
	if (quic_is_uni(id)) {
		if (o->world->heard[id / 4 % STREAMS_MAX] == NULL)
			o->world->heard[id / 4 % STREAMS_MAX] = s;
		return s;
	}
	s->to_send = 300;
	s->fin = true;
	quic_wake(o->quic, id);
	return s;
}

/* Nobody calls back for it any more. */
static void
free_stream(struct stream *s)
{
	struct world *w = s->owner->world;
	size_t i;

	s->owner->streams--;
	for (i = 0; i < STREAMS_MAX; i++) {
		if (w->opened[i] == s)
			w->opened[i] = NULL;
		if (w->heard[i] == s)
			w->heard[i] = NULL;
	}
	free(s);
}

static void
on_data(void *stream, struct view bytes, bool fin)
{
	struct stream *s = stream;
	struct owner *o = s->owner;

	reached[fin ? DATA_FIN : DATA]++;
	assert(!s->fin_heard);
	s->fin_heard = fin;
	o->unread += bytes.len;
	assert(o->unread <= o->world->conf.conn.conn_window);
	if (bytes.len > 0 && bytes.p[bytes.len - 1] == 0xee)
		quic_close(o->quic, 0x13, view_of("enough"));
	if (!o->lazy) {
		o->unread -= bytes.len;
		quic_consumed(o->quic, s->id, bytes.len);
	}
}

static size_t
on_pull(void *stream, struct iovec *v, size_t n, bool *fin)
{
	struct stream *s = stream;

	reached[PULL]++;
	assert(n > 0);
	*fin = s->fin;
	if (s->sent == s->to_send)
		return 0;
	v[0] = (struct iovec){content, s->to_send - s->sent};
	return 1;
}

static void
on_sent(void *stream, size_t n)
{
	struct stream *s = stream;

	reached[SENT]++;
	s->sent += n;
	assert(s->sent <= s->to_send);
}

static void
on_acked(void *stream, size_t n, bool fin_acked)
{
	struct stream *s = stream;

	reached[fin_acked ? ACKED_FIN : ACKED]++;
	assert(!s->fin_acked);
	s->acked += n;
	s->fin_acked = fin_acked;
	assert(s->acked <= s->sent);
	assert(!fin_acked || s->acked == s->to_send);
}

static void
on_reset(void *stream, uint64_t code)
{
	struct stream *s = stream;

	(void)code;
	reached[RESET]++;
	quic_wake(s->owner->quic, s->id);
}

static void
on_closed(void *stream)
{
	struct stream *s = stream;
	struct quic *q = s->owner->quic;

	reached[CLOSED]++;
	if (quic_is_uni(s->id) && !ngtcp2_conn_is_local_stream(q->conn, s->id))
		quic_allow_uni(q, 1);
	free_stream(s);
}

static void
on_more_streams(void *arg)
{
	(void)arg;
	reached[MORE_STREAMS]++;
}

static const struct quic_ops OPS = {on_ready, on_accept, on_data, on_pull,
    on_sent, on_acked, on_reset, on_closed, on_more_streams};

static struct owner *
new_owner(struct world *w, struct quic *q)
{
	struct owner *o = calloc(1, sizeof(*o));

	assert(o != NULL);
	o->world = w;
	o->quic = q;
	return o;
}

static void *
on_conn(void *arg, struct quic *q, const struct quic_ops **ops)
{
	struct world *w = arg;
	size_t i;

	reached[SERVER_ACCEPT]++;
	for (i = 0; i < CONNS_MAX && w->conns[i] != NULL; i++)
		;
	if (i == CONNS_MAX)
		return NULL;
	w->conns[i] = new_owner(w, q);
	*ops = &OPS;
	return w->conns[i];
}

static void
on_touched(void *arg)
{
	(void)arg;
	reached[SERVER_TOUCHED]++;
}

static void
on_send(void *arg, struct view datagram, const struct addr *to,
    const struct addr *from)
{
	struct world *w = arg;
	struct packet *k;

	(void)to;
	(void)from;
	reached[SERVER_SEND]++;
	enqueue(w, false, datagram.p, datagram.len);
	if (w->n_packets == 0)
		return;
	k = &w->packets[w->n_packets - 1];
	/* A Retry is sealed with a real cipher all the same. */
	if ((k->bytes[0] & 0xf0) == 0xf0 && k->len > TAG_BYTES)
		memcpy(k->bytes + k->len - TAG_BYTES, NO_TAG, TAG_BYTES);
}

static const struct quic_server_ops SERVER_OPS = {on_conn, on_touched, on_send};

static void
free_owner(struct owner *o)
{
	if (o == NULL)
		return;
	reached[END + quic_end(o->quic)->kind]++;
	quic_free(o->quic);
	assert(o->streams == 0);
	free(o);
}

/* -- what may happen -- */

static void
flush(struct owner *o)
{
	static uint8_t buf[QUIC_BURST_MIN];
	struct world *w = o->world;
	struct quic_burst b;
	size_t at, n;
	int i;

	for (i = 0; i < 20; i++) {
		quic_write(o->quic, buf, sizeof(buf), &b, w->now);
		if (b.len == 0)
			return;
		for (at = 0; at < b.len; at += n) {
			n = b.len - at < b.segment ? b.len - at : b.segment;
			enqueue(w, o == w->client, buf + at, n);
		}
	}
}

static void
flush_all(struct world *w)
{
	struct owner *o;
	size_t i;

	flush(w->client);
	for (i = 0; i < CONNS_MAX; i++) {
		if ((o = w->conns[i]) == NULL)
			continue;
		flush(o);
		if (quic_end(o->quic)->kind != QUIC_ALIVE) {
			w->conns[i] = NULL;
			free_owner(o);
		}
	}
}

static void
give(struct world *w, bool to_server, const struct addr *peer, const uint8_t *p,
    size_t len)
{
	uint8_t *copy = malloc(len);

	/* Of the exact size, so that reading past it is seen. */
	assert(copy != NULL || len == 0);
	if (len > 0)
		memcpy(copy, p, len);
	w->now += MS;
	if (to_server)
		quic_server_read(w->server, (struct view){copy, len}, &w->here,
		    peer, w->ecn, w->now);
	else
		quic_read(w->client->quic, (struct view){copy, len}, peer,
		    &w->here, 0, w->now);
	free(copy);
	flush_all(w);
}

static void
forget(struct world *w, size_t i)
{
	w->n_packets--;
	memmove(&w->packets[i], &w->packets[i + 1],
	    (w->n_packets - i) * sizeof(w->packets[0]));
}

/* Take any packet off the wire; false: there is none. */
static bool
pick(struct world *w, struct packet *out)
{
	size_t i = take(w);

	if (w->n_packets == 0)
		return false;
	i %= w->n_packets;
	*out = w->packets[i];
	forget(w, i);
	return true;
}

static void
deliver_oldest(struct world *w)
{
	struct packet k;

	if (w->n_packets == 0)
		return;
	k = w->packets[0];
	forget(w, 0);
	give(w, k.to_server, &k.peer, k.bytes, k.len);
}

static void
deliver_some(struct world *w)
{
	uint8_t n = take(w) % 32;

	while (n-- > 0)
		deliver_oldest(w);
}

static void
deliver_any(struct world *w)
{
	struct packet k;

	if (pick(w, &k))
		give(w, k.to_server, &k.peer, k.bytes, k.len);
}

static void
deliver_mutated(struct world *w)
{
	uint8_t n = take(w) % 4;
	struct packet k;
	size_t at;

	if (!pick(w, &k))
		return;
	do {
		at = take_two(w) % k.len;
		k.bytes[at] ^= take(w);
	} while (n-- > 0);
	give(w, k.to_server, &k.peer, k.bytes, k.len);
}

static void
deliver_cut(struct world *w)
{
	struct packet k;

	if (pick(w, &k))
		give(w, k.to_server, &k.peer, k.bytes,
		    take_two(w) % (k.len + 1));
}

static void
deliver_twice(struct world *w)
{
	struct packet k;

	if (!pick(w, &k))
		return;
	give(w, k.to_server, &k.peer, k.bytes, k.len);
	give(w, k.to_server, &k.peer, k.bytes, k.len);
}

static void
lose(struct world *w)
{
	struct packet k;

	(void)pick(w, &k);
}

/* A short packet of any frames, as if from the other side. */
static void
inject(struct world *w, bool to_server)
{
	uint8_t p[PACKET_MAX] = {0x43};
	uint32_t number = htonl(1000 + w->injected++);
	const ngtcp2_cid *dcid;
	size_t n, at = 1;

	if (take(w) & 1)
		p[0] |= 0x04; /* the other key phase */
	if (to_server) {
		dcid = ngtcp2_conn_get_dcid(w->client->quic->conn);
		memcpy(p + at, dcid->data, dcid->datalen);
		at += dcid->datalen;
	}
	memcpy(p + at, &number, sizeof(number));
	at += sizeof(number);
	for (n = take(w); n > 0 && w->len > 0; n--)
		p[at++] = take(w);
	if (at < 24)
		at = 24;
	give(w, to_server, &w->peer, p, at + TAG_BYTES);
}

static void
inject_to_server(struct world *w)
{
	inject(w, true);
}

static void
inject_to_client(struct world *w)
{
	inject(w, false);
}

/* Version negotiation with the right ids; which versions is up to chance. */
static void
tell_versions(struct world *w)
{
	const ngtcp2_cid *id = ngtcp2_conn_get_dcid(w->client->quic->conn);
	uint8_t p[PACKET_MAX] = {0x80};
	size_t n, at = 6;

	p[at++] = (uint8_t)id->datalen;
	memcpy(p + at, id->data, id->datalen);
	at += id->datalen;
	for (n = take(w) % 32; n > 0; n--)
		p[at++] = take(w);
	give(w, false, &w->peer, p, at);
}

static void
any_datagram(struct world *w)
{
	uint8_t p[PACKET_MAX] = {0};
	uint8_t how = take(w);
	size_t i, n = take(w);

	for (i = 0; i < n; i++)
		p[i] = take(w);
	give(w, how & 1, &w->peer, p, how & 2 ? 1200 : n);
}

static void
let_time_pass(struct world *w)
{
	uint64_t n = take(w);
	struct owner *o;
	size_t i;

	w->now += n * n * MS;
	if (quic_deadline(w->client->quic) <= w->now)
		quic_expire(w->client->quic, w->now);
	for (i = 0; i < CONNS_MAX; i++) {
		o = w->conns[i];
		if (o != NULL && quic_deadline(o->quic) <= w->now)
			quic_expire(o->quic, w->now);
	}
	flush_all(w);
}

static void
open_by(struct owner *o, int (*open)(struct quic *q, void *stream, int64_t *id))
{
	struct world *w = o->world;
	size_t i = take(w) % STREAMS_MAX;
	struct stream *s;

	if (w->opened[i] != NULL)
		return;
	s = new_stream(o, -1);
	s->to_send = (size_t)take(w) * 64;
	s->fin = take(w) & 1;
	if (open(o->quic, s, &s->id) != OK) {
		free_stream(s);
		return;
	}
	w->opened[i] = s;
	quic_wake(o->quic, s->id);
	flush_all(w);
}

static void
open_stream(struct world *w)
{
	open_by(w->client, quic_open_bidi);
}

/* A connection of the server's, else the client's. */
static struct owner *
any_owner(struct world *w)
{
	struct owner *o = w->conns[take(w) % CONNS_MAX];

	return o != NULL ? o : w->client;
}

static void
open_uni(struct world *w)
{
	open_by(any_owner(w), quic_open_uni);
}

static void
reset_stream(struct world *w)
{
	struct stream *s = w->opened[take(w) % STREAMS_MAX];
	struct quic *q;

	if (s == NULL || !quic_is_uni(s->id))
		return;
	q = s->owner->quic;
	quic_reset(q, s->id, take(w));
	free_stream(s);
	flush_all(w);
}

static void
stop_stream(struct world *w)
{
	struct stream *s = w->heard[take(w) % STREAMS_MAX];

	if (s == NULL)
		return;
	quic_stop(s->owner->quic, s->id, take(w));
	free_stream(s);
	flush_all(w);
}

static void
allow_more(struct world *w)
{
	struct owner *o = any_owner(w);
	uint8_t n = take(w) % 4;

	w->allowed += n;
	quic_allow_uni(o->quic, n);
	flush_all(w);
}

static void
give_credit(struct world *w)
{
	struct stream *s = w->heard[take(w) % STREAMS_MAX];

	if (s == NULL)
		return;
	quic_credit_stream(s->owner->quic, s->id, take(w));
	quic_credit(s->owner->quic, s->owner->unread);
	s->owner->unread = 0;
	flush_all(w);
}

static void
send_more(struct world *w)
{
	struct stream *s = w->opened[take(w) % STREAMS_MAX];

	if (s == NULL || s->fin)
		return;
	s->to_send += (size_t)take(w) * 16;
	if (s->to_send > sizeof(content))
		s->to_send = sizeof(content);
	s->fin = take(w) & 1;
	quic_wake(s->owner->quic, s->id);
	flush_all(w);
}

static void
close_one(struct world *w)
{
	struct owner *o = any_owner(w);

	quic_close(o->quic, take(w), view_of("over"));
	flush_all(w);
}

static void
be_lazy(struct world *w)
{
	struct owner *o = w->conns[take(w) % CONNS_MAX];

	if (o != NULL)
		o->lazy = true;
}

static void
move_client(struct world *w)
{
	addr_set_port(&w->peer, (uint16_t)(1 + take(w)));
}

static void
mark(struct world *w)
{
	w->ecn = take(w) & 3;
}

static void
start_server(struct world *w)
{
	if (quic_server_new(&w->server, &w->conf, &SERVER_OPS, w) != OK)
		abort();
}

static void
restart(struct world *w)
{
	size_t i;

	for (i = 0; i < CONNS_MAX; i++) {
		free_owner(w->conns[i]);
		w->conns[i] = NULL;
	}
	quic_server_free(w->server);
	w->conf.retry_from = take(w) % 4;
	start_server(w);
}

/* An input names them by their place: add new ones at the end. */
static void (*const deeds[])(struct world *w) = {
    deliver_oldest,
    deliver_some,
    deliver_any,
    deliver_mutated,
    deliver_cut,
    deliver_twice,
    lose,
    inject_to_server,
    inject_to_client,
    any_datagram,
    let_time_pass,
    open_stream,
    send_more,
    close_one,
    be_lazy,
    move_client,
    restart,
    tell_versions,
    mark,
    open_uni,
    reset_stream,
    stop_stream,
    allow_more,
    give_credit,
};
#define N_DEEDS (sizeof(deeds) / sizeof(deeds[0]))

/* -- a world, and its end -- */

static struct addr
v4(const char *host, uint16_t port)
{
	struct addr a = {.len = sizeof(a.in4)};

	a.in4.sin_family = AF_INET;
	a.in4.sin_port = htons(port);
	inet_pton(AF_INET, host, &a.in4.sin_addr);
	return a;
}

static void
begin(struct world *w)
{
	struct quic_conf conn = {.idle_ns = 30000 * MS,
	    .keep_alive_ns = 10000 * MS,
	    .handshake_ns = 10000 * MS,
	    .stream_window = 4096,
	    .lane_window = 2048,
	    .conn_window = 16384,
	    .streams_bidi = STREAMS_MAX,
	    .streams_uni = STREAMS_MAX,
	    .payload_max = PACKET_MAX};

	w->now = 1000000 * MS;
	w->here = v4("192.0.2.1", 9000);
	w->peer = v4("198.51.100.7", 5000);
	w->conf = (struct quic_server_conf){.conn = conn,
	    .max_conns = 6,
	    .max_per_addr = 6,
	    .max_half_open = 4,
	    .retry_from = 3};
	start_server(w);
	w->client = new_owner(w, NULL);
	if (quic_client_new(&w->client->quic, &conn, &OPS, w->client, "x",
		&w->peer, &w->here, w->now) != OK)
		abort();
	flush_all(w);
}

static void
end(struct world *w)
{
	size_t i;

	for (i = 0; i < CONNS_MAX; i++)
		free_owner(w->conns[i]);
	free_owner(w->client);
	quic_server_free(w->server);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct world w;
	static bool prepared;
	int i;

	if (!prepared) {
		randombytes_set_implementation(&fixed_dice);
		atexit(print_reached);
		prepared = true;
	}
	memset(&w, 0, sizeof(w));
	dice = 1;
	w.p = p;
	w.len = len;
	begin(&w);
	if (take(&w) & 1) { /* shake hands without being disturbed */
		for (i = 0; i < 20 && w.n_packets > 0; i++)
			deliver_oldest(&w);
	}
	for (i = 0; i < DEEDS_MAX && w.len > 0; i++)
		deeds[take(&w) % N_DEEDS](&w);
	end(&w);
	return 0;
}
