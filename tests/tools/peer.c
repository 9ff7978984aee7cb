/* SPDX-License-Identifier: ISC */
/*
 * peer: clients that do as they are told, right or wrong.
 *
 * peer [options] ADDR:PORT
 *   -k TYPE     client type of the handshake (0x5d: a function)
 *   -t TAG      tag it observes (0x33)
 *   -V VERSION  version it names
 *   -d TEXT     credential, NAME:PAYLOAD
 *   -H          no handshake
 *   -x HEX      bytes to send after it
 *   -Z BYTES    so many zeros after those
 *   -E          end the stream after the last byte
 *   -L HEX      bytes to send on a lane, once acknowledged; may be repeated.
 *               HEX. ends the lane after them, HEX! breaks it off: code 7
 *   -P          open lanes when the zipper allows it, acknowledged or not
 *   -X BYTES    stop each lane of the zipper's after so many: code 7
 *   -S          never open a stream
 *   -N          never give back what was received: the windows fill up
 *   -a NAME     protocol to offer (ALPN; yomo)
 *   -u HEX      leave when this has been received
 *   -w TIME     leave after so long (10s; 0: never)
 *   -n COUNT    so many clients; -j COUNT: dial so many at once (16)
 *   -c COUNT    leave when each client has got so many messages
 *   -R FD       write a newline there when all are acknowledged
 *
 * One client says what happens: "connected", "received HEX", "fin",
 * "closed: WHY", "still open", and of lanes "lane N open", "lane N received
 * HEX", "lane N fin", "lane N reset CODE", "lane N stopped CODE".  Many say in
 * JSON how long it took until the zipper had acknowledged them, and stay until
 * a signal ends them.  With -c, they say at the end what tests/tools/meter
 * says.
 */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "common/client.h"
#include "common/tally.h"
#include "conf/values.h"
#include "net/loop.h"
#include "net/udp.h"
#include "quic/quic.h"
#include "tls/tls.h"
#include "wire/frame.h"
#include "wire/y3.h"

#define SECOND ((uint64_t)1000000000)
#define IDLE_NS (40 * SECOND)
#define KEEP_ALIVE_NS (2 * SECOND)
#define HANDSHAKE_NS (10 * SECOND)
#define WINDOW (256u << 10)
#define ALPN_MAX 255
#define UNTIL_MAX 64
#define LANES 64
/* Of -L: more than anybody allows. */
#define LANES_MAX 80
#define LANE_CODE 7
#define HEX_DIGITS "0123456789abcdefABCDEF"
#define FRAME_HEAD_MAX 8

struct options {
	struct addr zipper;
	struct endpoint at; /* host is borrowed from it */
	const char *host;
	uint32_t type;
	uint32_t tag;
	const char *version;
	const char *credential;
	bool no_handshake;
	bool no_stream;
	bool no_read;
	bool fin;
	const char *alpn;
	struct buf bytes; /* what each client sends */
	const char *lanes[LANES_MAX];
	size_t n_lanes;
	bool rash;	     /* lanes need no acknowledgement */
	uint32_t stop_after; /* bytes of a lane of the zipper's; 0: never */
	struct buf until;
	uint64_t wait_ns;
	uint64_t zeros;
	uint32_t count;
	uint32_t parallel;
	uint32_t messages; /* 0: not counted */
	int ready_fd;
};

/* The clients together. */
struct crowd {
	struct options o;
	struct loop *loop;
	struct tls *tls;
	struct client *clients;
	uint32_t begun;
	uint32_t acked;
	uint32_t failed;
	uint64_t began_ns;
	struct tally tally; /* of all clients */
	struct timer wait;
};

/* Where we are in a stream of frames, of which only the heads are looked at. */
struct frames {
	uint8_t head[FRAME_HEAD_MAX];
	size_t len;	  /* bytes of it */
	uint64_t to_skip; /* bytes of the frame that are still to come */
};

/* The stream a client opens, a lane of its own, or one of the zipper's. */
struct channel {
	struct client *client;
	int64_t id;
	struct frames frames;
	struct buf bytes; /* to send */
	size_t sent;
	bool fin;     /* after these */
	bool broken;  /* or so: to do */
	bool foreign; /* the zipper's */
	bool stopped; /* ... by us: to do */
	uint64_t received;
	TAILQ_ENTRY(channel) link;
};

struct client {
	struct crowd *crowd;
	struct udp *udp;
	struct quic *quic;
	struct timer timer;
	struct task task;
	struct channel control;
	TAILQ_HEAD(, channel) lanes;
	size_t n_lanes;	 /* of ours, so far */
	struct buf last; /* the newest bytes received, for -u */
	bool acked;
	bool over;
};

/* One client tells of all that happens; those that count do not. */
static bool
is_single(const struct crowd *c)
{
	return c->o.count == 1 && c->o.messages == 0;
}

/* Before what happens on a lane. */
static void
print_lane(const struct channel *h)
{
	if (h != &h->client->control)
		printf("lane %jd ", (intmax_t)h->id);
}

static void
print_hex(struct view v)
{
	size_t i;

	fputs("received ", stdout);
	for (i = 0; i < v.len; i++)
		printf("%02x", v.p[i]);
	putchar('\n');
}

static void
report(struct crowd *c)
{
	double s = (double)(loop_clock() - c->began_ns) / (double)SECOND;

	if (!is_single(c) && c->o.messages == 0)
		printf("{\"connections\":%u,\"failed\":%u,\"seconds\":%.3f,"
		       "\"per_second\":%.1f}\n",
		    c->acked, c->failed, s, c->acked / s);
	if (c->o.ready_fd >= 0)
		(void)!write(c->o.ready_fd, "\n", 1);
}

static void
print_end(const struct quic_end *e)
{
	int len = (int)e->reason.len;

	fputs("closed: ", stdout);
	switch (e->kind) {
	case QUIC_CLOSED_APP:
		printf("application %#jx %.*s\n", (uintmax_t)e->code, len,
		    (const char *)e->reason.p);
		break;
	case QUIC_CLOSED_TRANSPORT:
		printf("transport %#jx %.*s\n", (uintmax_t)e->code, len,
		    (const char *)e->reason.p);
		break;
	case QUIC_IDLE:
		puts("idle");
		break;
	case QUIC_HANDSHAKE_LATE:
		puts("no handshake in time");
		break;
	case QUIC_RESET:
		puts("stateless reset");
		break;
	case QUIC_VERSION:
		puts("version negotiation");
		break;
	case QUIC_ALIVE:
	case QUIC_FAILED:
	case QUIC_DROPPED:
		printf("by us, %#jx\n", (uintmax_t)e->code);
		break;
	}
}

static void begin(struct crowd *c);

/* One more client has been acknowledged, or has failed to be. */
static void
progress(struct crowd *c)
{
	if (c->begun < c->o.count)
		begin(c);
	else if (c->acked + c->failed == c->o.count && c->acked > 0)
		report(c);
	else if (c->failed == c->o.count)
		loop_stop(c->loop, 1);
}

static void
end(struct client *k)
{
	struct crowd *c = k->crowd;

	if (is_single(c))
		print_end(quic_end(k->quic));
	k->over = true;
	timer_stop(c->loop, &k->timer);
	udp_close(k->udp);
	k->udp = NULL;
	if (is_single(c))
		loop_stop(c->loop, 0);
	if (k->acked)
		return;
	c->failed++;
	progress(c);
}

/* Send all that there is to send. */
static void
flush(struct client *k)
{
	static uint8_t out[QUIC_BURST_MIN];
	struct quic_burst b;
	uint64_t now = loop_clock();

	for (;;) {
		quic_write(k->quic, out, sizeof(out), &b, now);
		if (b.len == 0)
			return;
		(void)udp_send(k->udp, (struct view){out, b.len}, b.segment,
		    NULL, NULL, b.ecn);
	}
}

/* --- lanes --- */

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
put_hex(struct buf *b, const char *text, size_t len)
{
	uint8_t *p;
	size_t i;
	int hi, lo, r;

	for (i = 0; i < len; i += 2) {
		if ((hi = digit(text[i])) < 0 || (lo = digit(text[i + 1])) < 0)
			return ERR_BAD;
		if ((r = buf_reserve(b, 1, &p)) != OK)
			return r;
		*p = (uint8_t)(hi << 4 | lo);
		buf_commit(b, 1);
	}
	return OK;
}

static struct channel *
make_lane(struct client *k)
{
	struct channel *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	h->client = k;
	TAILQ_INSERT_TAIL(&k->lanes, h, link);
	return h;
}

static void
free_lane(struct channel *h)
{
	TAILQ_REMOVE(&h->client->lanes, h, link);
	buf_fini(&h->bytes);
	free(h);
}

/* What -L says is on h; main() has looked whether it can be. */
static void
fill_lane(struct channel *h, const char *text)
{
	size_t len = strspn(text, HEX_DIGITS);

	(void)put_hex(&h->bytes, text, len);
	h->fin = text[len] == '.';
	h->broken = text[len] == '!';
}

/* Open what the zipper allows. */
static void
open_lanes(struct client *k)
{
	const struct options *o = &k->crowd->o;
	struct channel *h;

	while (k->n_lanes < o->n_lanes && (k->acked || o->rash)) {
		if ((h = make_lane(k)) == NULL)
			return;
		if (quic_open_uni(k->quic, h, &h->id) != OK) {
			free_lane(h);
			return;
		}
		fill_lane(h, o->lanes[k->n_lanes++]);
		print_lane(h);
		puts("open");
		quic_wake(k->quic, h->id);
	}
}

/* Of those that have sent or received enough for it. */
static void
break_lanes(struct client *k)
{
	struct channel *h, *next;

	for (h = TAILQ_FIRST(&k->lanes); h != NULL; h = next) {
		next = TAILQ_NEXT(h, link);
		if (h->stopped)
			quic_stop(k->quic, h->id, LANE_CODE);
		else if (h->broken && h->sent == buf_view(&h->bytes).len)
			quic_reset(k->quic, h->id, LANE_CODE);
		else
			continue;
		free_lane(h);
	}
}

/* Every event ends here. */
static void
step(void *arg)
{
	struct client *k = arg;

	if (k->over)
		return;
	open_lanes(k);
	flush(k);
	break_lanes(k);
	flush(k);
	if (quic_end(k->quic)->kind != QUIC_ALIVE)
		end(k);
	else if (quic_deadline(k->quic) != UINT64_MAX)
		(void)timer_set(
		    k->crowd->loop, &k->timer, quic_deadline(k->quic));
}

static void
on_ready(void *arg)
{
	struct client *k = arg;
	const struct options *o = &k->crowd->o;

	if (is_single(k->crowd))
		puts("connected");
	if (o->no_stream && is_single(k->crowd))
		report(k->crowd);
	if (o->no_stream ||
	    quic_open_bidi(k->quic, &k->control, &k->control.id) != OK)
		return;
	quic_wake(k->quic, k->control.id);
}

/* Lanes matter only to those who count, and to one that tells of them. */
static void *
on_accept(void *arg, int64_t id)
{
	struct client *k = arg;
	struct channel *h;

	if (!quic_is_uni(id) ||
	    (k->crowd->o.messages == 0 && !is_single(k->crowd)) ||
	    (h = make_lane(k)) == NULL)
		return NULL;
	h->id = id;
	h->foreign = true;
	return h;
}

/* Has the text of -u been received, in whatever pieces it came? */
static bool
is_enough(struct client *k, struct view bytes)
{
	struct view until = buf_view(&k->crowd->o.until), all;

	if (until.len == 0 || buf_put(&k->last, bytes) != OK)
		return false;
	all = buf_view(&k->last);
	if (memmem(all.p, all.len, until.p, until.len) != NULL)
		return true;
	if (all.len >= until.len)
		buf_consume(&k->last, all.len - until.len + 1);
	return false;
}

/* The frame whose head has been read is all there. */
static void
end_frame(struct crowd *c, struct frames *f, uint64_t at)
{
	if (f->head[0] == (FRAME_DATA | Y3_NODE))
		tally_add(&c->tally, NULL, 0, at);
	f->len = 0;
	if (tally_is_full(&c->tally))
		loop_stop(c->loop, 0);
}

/* Take a part of a frame, and return how many bytes that was. */
static size_t
take_frame(struct crowd *c, struct frames *f, struct view in, uint64_t at)
{
	size_t n = 1, size;
	int r = OK;

	if (f->to_skip > 0) {
		n = in.len < f->to_skip ? in.len : f->to_skip;
		f->to_skip -= n;
	} else {
		f->head[f->len++] = in.p[0];
		r = frame_peek((struct view){f->head, f->len}, SIZE_MAX, &size);
		if (r == OK)
			f->to_skip = size - f->len;
		else if (r != ERR_MORE || f->len == sizeof(f->head))
			loop_stop(c->loop, 1);
	}
	if (r == OK && f->to_skip == 0)
		end_frame(c, f, at);
	return n;
}

static void
count_frames(struct crowd *c, struct frames *f, struct view in)
{
	uint64_t at = loop_clock();

	while (in.len > 0 && !loop_stopping(c->loop))
		view_skip(&in, take_frame(c, f, in, at));
}

static void
on_data(void *arg, struct view bytes, bool fin)
{
	struct channel *h = arg;
	struct client *k = h->client;
	struct crowd *c = k->crowd;

	if (is_single(c) && bytes.len > 0) {
		print_lane(h);
		print_hex(bytes);
	}
	if (is_single(c) && fin) {
		print_lane(h);
		puts("fin");
	}
	h->received += bytes.len;
	h->stopped =
	    h->foreign && c->o.stop_after > 0 && h->received >= c->o.stop_after;
	if (c->o.messages > 0)
		count_frames(c, &h->frames, bytes);
	if (!c->o.no_read)
		quic_consumed(k->quic, h->id, bytes.len);
	if (!k->acked && bytes.len > 0 && bytes.p[0] == FRAME_ACK_BYTES[0]) {
		k->acked = true;
		c->acked++;
		progress(c);
	}
	if (is_enough(k, bytes))
		loop_stop(c->loop, 0);
}

static size_t
on_pull(void *arg, struct iovec *v, size_t n, bool *fin)
{
	const struct channel *h = arg;
	const struct options *o = &h->client->crowd->o;
	bool control = h == &h->client->control;
	const struct buf *b = control ? &o->bytes : &h->bytes;
	struct view rest = buf_view(b);

	view_skip(&rest, h->sent);
	*fin = control ? o->fin : h->fin;
	if (rest.len == 0 || n == 0)
		return 0;
	v[0].iov_base = b->p + b->off + h->sent;
	v[0].iov_len = rest.len;
	return 1;
}

static void
on_sent(void *arg, size_t n)
{
	struct channel *h = arg;

	h->sent += n;
}

static void
on_acked(void *arg, size_t n, bool fin_acked)
{
	(void)arg;
	(void)n;
	(void)fin_acked;
}

static void
on_reset(void *arg, uint64_t code)
{
	const struct channel *h = arg;

	if (!is_single(h->client->crowd))
		return;
	print_lane(h);
	printf("%s %#jx\n",
	    h == &h->client->control || h->foreign ? "reset" : "stopped",
	    (uintmax_t)code);
}

static void
on_closed(void *arg)
{
	struct channel *h = arg;

	if (h != &h->client->control)
		free_lane(h);
}

static void
on_more_streams(void *arg)
{
	struct client *k = arg;

	task_post(k->crowd->loop, &k->task);
}

static const struct quic_ops quic_ops = {
    .ready = on_ready,
    .accept = on_accept,
    .data = on_data,
    .pull = on_pull,
    .sent = on_sent,
    .acked = on_acked,
    .reset = on_reset,
    .closed = on_closed,
    .more_streams = on_more_streams,
};

static void
on_deadline(void *arg)
{
	struct client *k = arg;

	quic_expire(k->quic, loop_clock());
	step(k);
}

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	struct client *k = arg;

	if (!k->over)
		quic_read(
		    k->quic, p->bytes, p->to, p->from, p->ecn, loop_clock());
}

/* The socket may not be closed in its own callback. */
static void
on_pause(void *arg)
{
	struct client *k = arg;

	task_post(k->crowd->loop, &k->task);
}

static void
on_refused(void *arg, int err)
{
	const struct client *k = arg;

	if (is_single(k->crowd))
		printf("refused: %s\n", strerror(err));
}

static const struct udp_ops udp_ops = {
    .datagram = on_datagram,
    .pause = on_pause,
    .room = on_pause,
    .refused = on_refused,
};

static _Noreturn void
die(const char *what, int r)
{
	fprintf(stderr, "peer: cannot %s: %s\n", what, err_str(r));
	exit(EXIT_FAILURE);
}

/* Dial with one more client. */
static void
begin(struct crowd *c)
{
	struct client *k = &c->clients[c->begun++];
	struct quic_conf conf = {
	    .tls = c->tls,
	    .idle_ns = IDLE_NS,
	    .keep_alive_ns = KEEP_ALIVE_NS,
	    .handshake_ns = HANDSHAKE_NS,
	    .stream_window = WINDOW,
	    .conn_window = WINDOW,
	    .lane_window = WINDOW,
	    .streams_uni = LANES,
	};
	int r;

	k->crowd = c;
	k->control.client = k;
	TAILQ_INIT(&k->lanes);
	k->timer = (struct timer){.fn = on_deadline, .arg = k};
	k->task = (struct task){.fn = step, .arg = k};
	if ((r = udp_open(&k->udp, c->loop, NULL, &c->o.zipper, &udp_ops, k)) !=
	    OK)
		die("open a socket", r);
	conf.payload_max = udp_payload_max(k->udp);
	if ((r = quic_client_new(&k->quic, &conf, &quic_ops, k, c->o.host,
		 udp_local(k->udp), &c->o.zipper, loop_clock())) != OK)
		die("make a connection", r);
	task_post(c->loop, &k->task);
}

static void
on_wait_over(void *arg)
{
	struct crowd *c = arg;

	puts("still open");
	loop_stop(c->loop, 0);
}

static void
on_signal(void *arg, int signo)
{
	struct crowd *c = arg;

	(void)signo;
	loop_stop(c->loop, 0);
}

/* quic/ sets its own protocol on each session; this comes after it. */
static const char *offered;

static void
offer(const SSL *ssl, int where, int ret)
{
	unsigned char list[ALPN_MAX + 1];
	size_t len = strlen(offered);

	(void)ret;
	if (where != SSL_CB_HANDSHAKE_START || len > ALPN_MAX)
		return;
	list[0] = (unsigned char)len;
	memcpy(list + 1, offered, len);
	SSL_set_alpn_protos((SSL *)(uintptr_t)ssl, list, (unsigned)len + 1);
}

static int
run(struct crowd *c)
{
	struct tls_client_conf conf = {.insecure = true};
	const int signals[] = {SIGTERM, SIGINT, 0};
	uint32_t i;
	int r;

	if ((r = loop_new(&c->loop)) != OK ||
	    (r = loop_signals(c->loop, signals, on_signal, c)) != OK)
		die("make a loop", r);
	if ((r = tls_client_new(&c->tls, &conf)) != OK)
		die("prepare TLS", r);
	if (c->o.alpn != NULL) {
		offered = c->o.alpn;
		SSL_CTX_set_info_callback(tls_ctx(c->tls), offer);
	}
	if ((c->clients = calloc(c->o.count, sizeof(*c->clients))) == NULL)
		die("make clients", ERR_NOMEM);
	c->wait = (struct timer){.fn = on_wait_over, .arg = c};
	if (c->o.wait_ns != 0 && is_single(c))
		(void)timer_set(c->loop, &c->wait, loop_clock() + c->o.wait_ns);
	c->began_ns = loop_clock();
	for (i = 0; i < c->o.parallel && c->begun < c->o.count; i++)
		begin(c);
	return loop_run(c->loop);
}

/* Say goodbye, so that the zipper need not wait for a time-out. */
static void
leave(struct crowd *c)
{
	uint32_t i;

	for (i = 0; i < c->begun; i++) {
		struct client *k = &c->clients[i];

		if (!k->over) {
			quic_close(k->quic, 0x13, view_of("peer: done"));
			flush(k);
		}
		timer_stop(c->loop, &k->timer);
		task_cancel(c->loop, &k->task);
		quic_free(k->quic);
		udp_close(k->udp);
		buf_fini(&k->last);
	}
	timer_stop(c->loop, &c->wait);
	free(c->clients);
	tls_free(c->tls);
	loop_free(c->loop);
	buf_fini(&c->o.bytes);
	buf_fini(&c->o.until);
	endpoint_fini(&c->o.at);
}

/* -L: hex, and how the lane ends. */
static int
put_lane(struct options *o, const char *text)
{
	size_t len = strspn(text, HEX_DIGITS);
	const char *end = text + len;

	if (o->n_lanes == LANES_MAX || len % 2 != 0)
		return ERR_BAD;
	if (strcmp(end, "") != 0 && strcmp(end, ".") != 0 &&
	    strcmp(end, "!") != 0)
		return ERR_BAD;
	o->lanes[o->n_lanes++] = text;
	return OK;
}

static int
put_handshake(struct options *o)
{
	const char *colon =
	    o->credential != NULL ? strchr(o->credential, ':') : NULL;
	uint8_t tag[4], *p;
	struct handshake h = {
	    .name = view_of("peer"),
	    .id = view_of("peer-0"),
	    .client_type = (uint8_t)o->type,
	    .tags = {tag, sizeof(tag)},
	    .version = view_of(o->version),
	};
	int r;

	handshake_put_tag(tag, o->tag);
	if (colon != NULL) {
		h.auth_name = view_of(o->credential);
		h.auth_name.len = (size_t)(colon - o->credential);
		h.auth_payload = view_of(colon + 1);
	}
	if ((r = buf_reserve(&o->bytes, handshake_size(&h), &p)) != OK)
		return r;
	handshake_put(p, &h);
	buf_commit(&o->bytes, handshake_size(&h));
	return OK;
}

static int
put_zeros(struct options *o)
{
	uint8_t *p;
	int r;

	if (o->zeros == 0)
		return OK;
	if ((r = buf_reserve(&o->bytes, o->zeros, &p)) != OK)
		return r;
	memset(p, 0, o->zeros);
	buf_commit(&o->bytes, o->zeros);
	return OK;
}

static int
put_address(struct options *o, const char *text)
{
	int r;

	if ((r = endpoint_parse(text, &o->at)) != OK ||
	    (r = client_address(&o->at, &o->zipper)) != OK)
		return r;
	o->host = o->at.host;
	return OK;
}

static int
put_option(struct options *o, int c, const char *arg, const char **hex)
{
	uint32_t fd;
	int r;

	switch (c) {
	case 'k':
		return values_u32(arg, &o->type);
	case 't':
		return values_u32(arg, &o->tag);
	case 'V':
		o->version = arg;
		return OK;
	case 'd':
		o->credential = arg;
		return OK;
	case 'H':
		o->no_handshake = true;
		return OK;
	case 'x':
		*hex = arg;
		return OK;
	case 'Z':
		return values_size(arg, &o->zeros);
	case 'E':
		o->fin = true;
		return OK;
	case 'L':
		return put_lane(o, arg);
	case 'P':
		o->rash = true;
		return OK;
	case 'X':
		return values_u32(arg, &o->stop_after);
	case 'S':
		o->no_stream = true;
		return OK;
	case 'N':
		o->no_read = true;
		return OK;
	case 'a':
		o->alpn = arg;
		return OK;
	case 'u':
		return put_hex(&o->until, arg, strlen(arg));
	case 'w':
		return values_duration(arg, &o->wait_ns);
	case 'n':
		return values_u32(arg, &o->count);
	case 'j':
		return values_u32(arg, &o->parallel);
	case 'c':
		return values_u32(arg, &o->messages);
	case 'R':
		if ((r = values_u32(arg, &fd)) == OK)
			o->ready_fd = (int)fd;
		return r;
	default:
		return ERR_BAD;
	}
}

int
main(int argc, char *argv[])
{
	struct crowd c = {
	    .o =
		{
		    .type = CLIENT_SFN,
		    .tag = 0x33,
		    .version = FRAME_SPEC,
		    .alpn = QUIC_ALPN_YOMO,
		    .wait_ns = 10 * SECOND,
		    .count = 1,
		    .parallel = 16,
		    .ready_fd = -1,
		},
	};
	const char *hex = "";
	int opt, status;

	log_init("peer");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(
		    argc, argv, "k:t:V:d:Hx:Z:EL:PX:SNa:u:w:n:j:c:R:")) != -1)
		if (put_option(&c.o, opt, optarg, &hex) != OK)
			goto usage;
	if (optind + 1 != argc || c.o.count == 0 ||
	    put_address(&c.o, argv[optind]) != OK ||
	    (!c.o.no_handshake && put_handshake(&c.o) != OK) ||
	    put_hex(&c.o.bytes, hex, strlen(hex)) != OK ||
	    put_zeros(&c.o) != OK)
		goto usage;
	c.tally.limit = (uint64_t)c.o.messages * c.o.count;
	status = run(&c);
	if (c.o.messages > 0)
		tally_print(&c.tally);
	leave(&c);
	return status;

usage:
	fputs("usage: peer [options] addr:port (see the head of peer.c)\n",
	    stderr);
	return 64;
}
