/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/client.h"
#include "link/itinerary.h"
#include "link/pipelink.h"
#include "link/quiclink.h"
#include "net/resolve.h"
#include "proto/doubt.h"
#include "proto/greeting.h"
#include "proto/hello.h"

#define NS_PER_MS 1000000ull
/* A connection that lived so long is no sign of trouble when it ends. */
#define STEADY_NS (5000 * NS_PER_MS)
/* From our Handshake to the answer. */
#define GREETING_NS (5000 * NS_PER_MS)
/* What may be held back of connections that were lost, in bytes. */
#define KEPT_MAX (2 * QUICLINK_WINDOW)
#define BIT(n) (1u << (n))

enum client_state {
	CLIENT_RESTING,	  /* until the next attempt */
	CLIENT_RESOLVING, /* a name is being looked up */
	CLIENT_DIALING,	  /* a link is coming up */
	CLIENT_GREETING,  /* our Handshake is sent; waiting for the answer */
	CLIENT_READY,	  /* frames may flow both ways */
	CLIENT_ENDING,	  /* our FIN is queued; waiting for the zipper's */
	CLIENT_OVER,	  /* done() is called, or about to be */
};

static const char *const state_name[] = {
    [CLIENT_RESTING] = "resting",
    [CLIENT_RESOLVING] = "resolving",
    [CLIENT_DIALING] = "dialing",
    [CLIENT_GREETING] = "greeting",
    [CLIENT_READY] = "ready",
    [CLIENT_ENDING] = "ending",
    [CLIENT_OVER] = "over",
};

static const unsigned may_become[] = {
    [CLIENT_RESTING] = BIT(CLIENT_RESOLVING) | BIT(CLIENT_DIALING) |
		       BIT(CLIENT_OVER) | BIT(CLIENT_RESTING),
    [CLIENT_RESOLVING] =
	BIT(CLIENT_DIALING) | BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_DIALING] = BIT(CLIENT_GREETING) | BIT(CLIENT_READY) |
		       BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_GREETING] =
	BIT(CLIENT_READY) | BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_READY] =
	BIT(CLIENT_ENDING) | BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_ENDING] = BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_OVER] = 0,
};

struct client {
	const struct client_conf *conf;
	const struct client_ops *ops;
	void *arg;
	struct loop *loop;
	enum client_state state;
	struct link *link;
	struct resolve *resolve;
	struct outq out;
	struct intake in;
	struct intake kept; /* messages held back, of connections before */
	size_t unused;	    /* bytes in the intake the peer has no credit for */
	struct timer deadline; /* of the first connection, or of coming back */
	struct timer pause;    /* resting, waiting for the Ack, lingering */
	struct task over;      /* calls done() */
	int status;

	struct itinerary way; /* where to try next */
	unsigned attempts;
	uint64_t ready_at;	     /* ns */
	char why[LINK_REASON + 128]; /* the latest attempt failed */

	bool was_ready;
	bool finish_wanted;
	bool wants_room;
	bool held; /* data() said not now */
	bool deaf;
	bool fin_came;
	bool lost_reader;
	bool malformed; /* what the pipe brought; nothing more is read */
	bool giving_up; /* no connection is worth waiting for */
	uint64_t bytes_in;
	struct client_counts counts;
};

/* The only place where a client changes state. */
static void
set_state(struct client *c, enum client_state to)
{
	assert(may_become[c->state] & BIT(to));
	log_debug("%s: %s -> %s", client_peer(c), state_name[c->state],
	    state_name[to]);
	c->state = to;
}

static bool
is_pipe(const struct client *c)
{
	return c->conf->n_zippers == 0;
}

const char *
client_peer(const struct client *c)
{
	return c->link != NULL ? c->link->name : c->way.name;
}

/* The link is broken: see what became of what was queued. */
static void
settle_queue(struct client *c)
{
	uint64_t n = doubt_settle(&c->out);

	c->counts.in_doubt += n;
	if (n > 0)
		log_error("connection to '%s' lost: %llu messages in doubt",
		    client_peer(c), (unsigned long long)n);
}

/* Messages that came and were not taken wait for the next connection. */
static void
keep_messages(struct client *c)
{
	struct frame f;
	uint64_t lost = 0;
	int r;

	while ((r = intake_next(&c->in, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(&c->in))) {
		if (r != OK || f.type != FRAME_DATA || c->deaf)
			continue;
		if (c->kept.waiting + f.whole.len > KEPT_MAX ||
		    intake_put(&c->kept, f.whole) != OK)
			lost++;
	}
	c->counts.untaken += lost;
	if (lost > 0)
		log_error("%llu messages from '%s' were not taken in time",
		    (unsigned long long)lost, client_peer(c));
}

/* --- the end --- */

static void
drop_link(struct client *c, uint64_t code, const char *reason)
{
	link_close(c->link, code, reason);
	c->link = NULL;
	timer_stop(c->loop, &c->pause);
	intake_fini(&c->in);
	c->unused = 0;
	c->fin_came = false;
	c->held = c->held && c->kept.waiting > 0;
}

static const char *
farewell(const struct client *c)
{
	return c->conf->type == CLIENT_SOURCE ? "Source: shutdown"
					      : "StreamFunction: shutdown";
}

static void
on_over(void *arg)
{
	struct client *c = arg;

	c->ops->done(c->arg, c->status);
}

/* For good, with this exit status; done() comes from the loop. */
static void
finish_with(struct client *c, int status)
{
	if (c->state == CLIENT_OVER)
		return;
	if (c->link != NULL && !is_pipe(c) && status != EXIT_OK)
		settle_queue(c);
	if (status == EXIT_OK && c->counts.in_doubt > 0)
		status = EXIT_LOST;
	if (status == EXIT_OK && c->malformed)
		status = EXIT_DATA;
	drop_link(c, HELLO_CLOSE_EVICT, farewell(c));
	resolve_cancel(c->resolve);
	c->resolve = NULL;
	timer_stop(c->loop, &c->deadline);
	set_state(c, CLIENT_OVER);
	c->status = status;
	task_post(c->loop, &c->over);
}

static void
fail_with(struct client *c, int status, const char *verb, const char *why)
{
	if (c->state == CLIENT_OVER)
		return;
	if (is_pipe(c))
		log_error("%s: %s", verb, why);
	else
		log_error("%s '%s': %s", verb, c->way.name, why);
	finish_with(c, status);
}

/* --- attempts --- */

static void try_next(struct client *c);

/* Without memory for a timer nothing would go on. */
static void
wait_for(struct client *c, struct timer *t, uint64_t ns)
{
	if (timer_set(c->loop, t, loop_now(c->loop) + ns) != OK)
		fail_with(c, EXIT_SYSTEM, "cannot wait for", "out of memory");
}

/* From the first zipper on, after a rest that grows. */
static void
begin_again(struct client *c)
{
	uint64_t r;

	auth_random(&r, sizeof(r));
	wait_for(c, &c->pause, itinerary_rest(&c->way, r));
}

/* This attempt failed: the next address, the next zipper, or a rest. */
static void
rest(struct client *c)
{
	set_state(c, CLIENT_RESTING);
	if (itinerary_has_addr(&c->way) || itinerary_advance(&c->way))
		try_next(c);
	else
		begin_again(c);
}

/* A connection that was there is lost. */
static void
come_back(struct client *c)
{
	c->counts.lost++;
	if (c->conf->retry_ns == 0) {
		fail_with(c, EXIT_LOST, "lost the connection to", c->why);
		return;
	}
	log_info("lost the connection to '%s', trying again: %s", c->way.name,
	    c->why);
	set_state(c, CLIENT_RESTING);
	if (loop_now(c->loop) - c->ready_at > STEADY_NS)
		itinerary_rested(&c->way);
	begin_again(c);
	if (c->conf->retry_ns != UINT64_MAX && c->state != CLIENT_OVER)
		wait_for(c, &c->deadline, c->conf->retry_ns);
}

/* The connection was lost, or did not come to be: why is in c->why. */
static void
lose(struct client *c)
{
	bool was = c->state == CLIENT_READY || c->state == CLIENT_ENDING;

	log_debug("%s: %s", client_peer(c), c->why);
	settle_queue(c);
	keep_messages(c);
	drop_link(c, 0, "");
	if (c->giving_up && c->out.n == 0)
		finish_with(c, EXIT_OK);
	else if (was)
		come_back(c);
	else
		rest(c);
}

static void
on_deadline(void *arg)
{
	struct client *c = arg;
	const char *why = *c->why != '\0' ? c->why : "no answer";

	if (c->was_ready)
		fail_with(c, EXIT_LOST, "cannot come back to", why);
	else
		fail_with(c, EXIT_UNREACHED, "cannot reach the zipper at", why);
}

/* --- the greeting --- */

static int
send_greeting(struct client *c)
{
	const struct client_conf *conf = c->conf;
	struct greeting g = {
	    .name = conf->name,
	    .id = conf->id,
	    .attempt = c->attempts++,
	    .type = conf->type,
	    .tags = conf->tags,
	    .n_tags = conf->n_tags,
	    .target = conf->target,
	    .credential = conf->credential,
	};

	return greeting_queue(&g, &c->out);
}

static void
become_ready(struct client *c)
{
	set_state(c, CLIENT_READY);
	timer_stop(c->loop, &c->deadline);
	timer_stop(c->loop, &c->pause);
	c->was_ready = true;
	c->ready_at = loop_now(c->loop);
	itinerary_arrived(&c->way);
	outq_set_gate(&c->out, SIZE_MAX);
	if (!is_pipe(c))
		log_debug("connected to '%s'", client_peer(c));
	link_wake(c->link);
	c->ops->ready(c->arg);
	if (c->finish_wanted && c->state == CLIENT_READY)
		client_finish(c);
}

/* The peer's words, without our secret: Go repeats the token it refuses. */
static void
quote(const struct client *c, struct view text, char out[LINK_REASON])
{
	static const char hidden[] = "***";
	struct view secret = {0};
	size_t n = 0;

	if (c->conf->credential != NULL)
		secret = credential_payload(c->conf->credential);
	while (text.len > 0 && n < LINK_REASON - sizeof(hidden)) {
		if (secret.len > 0 && text.len >= secret.len &&
		    memcmp(text.p, secret.p, secret.len) == 0) {
			memcpy(out + n, hidden, sizeof(hidden));
			n += sizeof(hidden) - 1;
			view_skip(&text, secret.len);
		} else {
			out[n++] = (char)*text.p;
			view_skip(&text, 1);
		}
	}
	out[n] = '\0';
}

static void
on_rejected(struct client *c, const struct frame *f)
{
	struct view text = {0};
	char why[LINK_REASON];
	bool version;

	frame_text_get(f->body, &text);
	quote(c, text, why);
	version = strncmp(why, "version", 7) == 0 ||
		  strncmp(why, "yomo: handshake", 15) == 0;
	fail_with(c, version ? EXIT_PROTOCOL : EXIT_REFUSED,
	    "refused by the zipper at", why);
}

/* The zipper sends us elsewhere. */
static void
follow(struct client *c, const struct frame *f)
{
	struct view text = {0};
	char name[LINK_REASON];

	frame_text_get(f->body, &text);
	quote(c, text, name);
	if (c->conf->tls == NULL) { /* a client of unix sockets only */
		fail_with(
		    c, EXIT_PROTOCOL, "cannot go where it was sent by", name);
		return;
	}
	switch (itinerary_redirect(&c->way, name)) {
	case OK:
		break;
	case ERR_LIMIT:
		fail_with(
		    c, EXIT_PROTOCOL, "sent elsewhere too often by", name);
		return;
	case ERR_NOMEM:
		fail_with(
		    c, EXIT_SYSTEM, "cannot go where sent by", "out of memory");
		return;
	default:
		fail_with(c, EXIT_PROTOCOL, "sent to no address by", name);
		return;
	}
	log_info("'%s' sends us to '%s'", client_peer(c), name);
	settle_queue(c);
	snprintf(c->why, sizeof(c->why), "connect to %s", name);
	drop_link(c, HELLO_CLOSE_EVICT, c->why);
	set_state(c, CLIENT_RESTING);
	try_next(c);
}

/* --- frames --- */

/* On the pipe link every frame is for whoever reads on. */
static bool
may_wait(const struct client *c, const struct frame *f)
{
	return f->type == FRAME_DATA || is_pipe(c);
}

static bool
must_wait(
    const struct client *c, const struct intake *in, const struct frame *f)
{
	return may_wait(c, f) &&
	       (c->held || (in == &c->in && c->kept.waiting > 0));
}

/* Its FIN is the sign that our zipper has taken everything. */
static bool
is_taken(const struct client *c)
{
	return c->state == CLIENT_ENDING && c->fin_came &&
	       c->link->answers_fin && c->link->fin_acked;
}

/*
 * Give the peer credit for what was used: also while data() takes no more, so
 * that it sends on before all of its window lies here.  A part of a frame
 * counts as used, or one longer than the window would never come.
 */
static void
credit(struct client *c)
{
	size_t kept = c->held ? c->in.waiting : 0;
	size_t n = c->unused > kept ? c->unused - kept : 0;

	if (c->link == NULL || n == 0)
		return;
	c->unused -= n;
	link_consumed(c->link, n);
}

static bool
take_data(struct client *c, const struct frame *f)
{
	struct data_frame d;

	if (data_frame_get(f->body, &d) != OK) {
		if (is_pipe(c))
			c->malformed = true;
		else
			fail_with(c, EXIT_PROTOCOL, "malformed Data frame from",
			    client_peer(c));
		return false;
	}
	if (c->deaf)
		return true;
	if (!c->ops->data(c->arg, &d, f))
		return false;
	c->counts.received++;
	return true;
}

/* One frame from a zipper; false: stop here, the frame was not taken. */
static bool
take_frame(struct client *c, const struct frame *f)
{
	char why[128];

	if (f->type == FRAME_DATA)
		return take_data(c, f);
	if (is_pipe(c))
		return c->deaf || c->ops->other == NULL ||
		       c->ops->other(c->arg, f);
	switch (f->type) {
	case FRAME_ACK:
		if (c->state == CLIENT_GREETING)
			become_ready(c);
		return true;
	case FRAME_REJECTED:
	case FRAME_GOAWAY:
		on_rejected(c, f);
		return true;
	case FRAME_CONNECT_TO:
		follow(c, f);
		return true;
	}
	snprintf(why, sizeof(why), "unexpected %s", frame_name(f->type));
	fail_with(c, EXIT_PROTOCOL, "protocol error by", why);
	return true;
}

/*
 * Take the frames of in, as far as that goes.  Messages wait while one is held
 * back; other frames do not, or nobody could be greeted while one is.
 *
 * ERR_MORE   there are no more, or a message waits
 * ERR_GONE   the link they came from is no more
 * ERR_BAD, ERR_LIMIT
 */
static int
take_from(struct client *c, struct intake *in)
{
	const struct link *l = c->link;
	struct slab *s;
	struct frame f;
	size_t at;
	int r;

	while ((r = intake_next(in, &f)) == OK ||
	       (r == ERR_MORE && intake_advance(in))) {
		if (r != OK)
			continue;
		at = intake_offset(in, &f);
		s = slab_ref(in->front);
		if (must_wait(c, in, &f) || !take_frame(c, &f))
			c->held = true;
		slab_unref(s);
		if (c->link != l || c->state == CLIENT_OVER)
			return ERR_GONE;
		if (c->held && may_wait(c, &f)) {
			intake_back(in, at);
			return ERR_MORE;
		}
	}
	return r;
}

/* What a pipe brings is no frame: the end of input, but for the status. */
static void
give_up_reading(struct client *c, const char *why)
{
	log_error("malformed input at byte %" PRIu64 ": %s",
	    c->bytes_in - c->in.waiting, why);
	c->malformed = true;
	c->ops->eof(c->arg);
}

/* No bytes will follow, and all of those that came are taken. */
static void
mind_fin(struct client *c)
{
	if (!c->fin_came || c->held || c->link == NULL)
		return;
	if (is_pipe(c)) {
		c->fin_came = false;
		if (c->in.waiting > 0)
			give_up_reading(c, "the input ends within this frame");
		else if (c->ops->eof != NULL)
			c->ops->eof(c->arg);
	} else if (is_taken(c)) {
		outq_fini(&c->out);
		finish_with(c, EXIT_OK);
	} else if (c->state != CLIENT_ENDING || !c->link->answers_fin) {
		snprintf(c->why, sizeof(c->why), "the zipper ended the stream");
		lose(c);
	}
}

/* Nobody may send such bytes, or put them into a pipe. */
static void
refuse_bytes(struct client *c, const char *why)
{
	if (is_pipe(c))
		give_up_reading(c, why);
	else
		fail_with(c, EXIT_PROTOCOL, "protocol error by", why);
}

static void
take_frames(struct client *c)
{
	int r;

	if (c->malformed)
		return;
	if (c->kept.waiting > 0 && take_from(c, &c->kept) == ERR_GONE)
		return;
	intake_trim(&c->kept);
	if (c->link == NULL || (r = take_from(c, &c->in)) == ERR_GONE)
		return;
	if (c->malformed) {
		refuse_bytes(c, "not a Data frame");
	} else if (r == ERR_BAD) {
		refuse_bytes(c, "not a frame");
	} else if (r == ERR_LIMIT) {
		refuse_bytes(c, "the frame is too long");
	} else {
		credit(c);
		mind_fin(c);
	}
}

/* --- the link's callbacks --- */

static void
on_up(void *arg)
{
	struct client *c = arg;

	if (is_pipe(c)) {
		become_ready(c);
		return;
	}
	set_state(c, CLIENT_GREETING);
	if (send_greeting(c) != OK) {
		fail_with(c, EXIT_SYSTEM, "cannot greet", "out of memory");
		return;
	}
	link_wake(c->link);
	wait_for(c, &c->pause, GREETING_NS);
}

static void
on_bytes(void *arg, struct view bytes)
{
	struct client *c = arg;

	c->unused += bytes.len;
	if (!intake_fits(&c->in, bytes.len) && !c->held)
		take_frames(c);
	if (c->link == NULL)
		return;
	c->bytes_in += bytes.len;
	if (intake_put(&c->in, bytes) != OK)
		fail_with(
		    c, EXIT_SYSTEM, "cannot receive from", "out of memory");
}

static void
on_fin(void *arg)
{
	struct client *c = arg;

	c->fin_came = true;
}

static void
on_pause(void *arg)
{
	take_frames(arg);
}

static void
on_moved(void *arg)
{
	struct client *c = arg;

	if (c->wants_room && c->out.bytes < c->conf->queue / 2) {
		c->wants_room = false;
		c->ops->room(c->arg);
	}
	if (c->state != CLIENT_ENDING || c->link == NULL ||
	    !c->link->fin_acked || is_pipe(c))
		return;
	mind_fin(c);
	/* Go gives no sign: all is acknowledged, that is all one can know. */
	if (c->link != NULL && !c->link->answers_fin && c->pause.index == 0)
		wait_for(
		    c, &c->pause, c->counts.sent > 0 ? c->conf->linger_ns : 0);
}

/* A refusal is for good, and so is an eviction; everything else passes. */
static void
on_down(void *arg, const struct link_end *end)
{
	struct client *c = arg;
	char text[LINK_REASON];
	const char *why = *end->reason != '\0' ? text : NULL;

	if (is_taken(c))
		return; /* only what is held back is still to be taken */
	quote(c, view_of(end->reason), text);
	switch (end->kind) {
	case LINK_FINISHED:
		outq_fini(&c->out);
		finish_with(c, EXIT_OK);
		return;
	case LINK_NO_READER:
		c->lost_reader = true;
		finish_with(c, EXIT_OUTPUT);
		return;
	case LINK_UNTRUSTED:
		fail_with(c, EXIT_REFUSED, "cannot trust or be trusted by",
		    why != NULL ? why : "TLS failed");
		return;
	case LINK_STRANGER:
		fail_with(c, EXIT_PROTOCOL, "cannot talk to",
		    "it speaks another protocol or version than yomo");
		return;
	case LINK_CLOSED:
		if (end->code != HELLO_CLOSE_EVICT)
			break;
		fail_with(c, EXIT_REFUSED, "sent away by",
		    why != NULL ? why : "no reason was given");
		return;
	case LINK_UNWRITABLE:
		finish_with(c, EXIT_OUTPUT);
		return;
	case LINK_FAILED:
		if (!is_pipe(c))
			break;
		finish_with(c, EXIT_SYSTEM);
		return;
	default:
		break;
	}
	snprintf(c->why, sizeof(c->why), "%s", why != NULL ? why : "no answer");
	lose(c);
}

static const struct link_ops link_callbacks = {
    .up = on_up,
    .bytes = on_bytes,
    .fin = on_fin,
    .pause = on_pause,
    .moved = on_moved,
    .down = on_down,
};

/* --- dialing --- */

static void
dial_addr(struct client *c)
{
	const struct endpoint *e = itinerary_zipper(&c->way);
	const struct addr *a = itinerary_addr(&c->way);

	set_state(c, CLIENT_DIALING);
	if (quiclink_dial(&c->link, c->loop, c->conf->tls, e->host, a, &c->out,
		&link_callbacks, c) != OK) {
		snprintf(c->why, sizeof(c->why), "cannot open a connection");
		rest(c);
	}
}

static void
on_resolved(void *arg, const struct addr *v, size_t n)
{
	struct client *c = arg;

	c->resolve = NULL;
	if (n == 0) {
		snprintf(c->why, sizeof(c->why), "no such host");
		rest(c);
		return;
	}
	itinerary_found(&c->way, v, n);
	dial_addr(c);
}

static void
try_next(struct client *c)
{
	const struct endpoint *e;
	int r;

	if (is_pipe(c)) {
		set_state(c, CLIENT_DIALING);
		if (pipelink_open(&c->link, c->loop, c->conf->in_fd,
			c->conf->out_fd, &c->out, &link_callbacks, c) != OK)
			finish_with(c, EXIT_SYSTEM);
		return;
	}
	e = itinerary_visit(&c->way);
	if (e->path != NULL) {
		set_state(c, CLIENT_DIALING);
		r = pipelink_dial(
		    &c->link, c->loop, e->path, &c->out, &link_callbacks, c);
		if (r == OK)
			return;
		snprintf(c->why, sizeof(c->why), "nobody listens there");
		rest(c);
		return;
	}
	if (itinerary_has_addr(&c->way)) {
		dial_addr(c);
		return;
	}
	set_state(c, CLIENT_RESOLVING);
	if (resolve_start(
		&c->resolve, c->loop, e->host, e->port, on_resolved, c) != OK)
		fail_with(c, EXIT_SYSTEM, "cannot look up", e->host);
}

static void
on_pause_over(void *arg)
{
	struct client *c = arg;

	if (c->state == CLIENT_RESTING) {
		try_next(c);
	} else if (c->state == CLIENT_GREETING) {
		snprintf(c->why, sizeof(c->why), "no answer to the greeting");
		lose(c);
	} else if (c->state == CLIENT_ENDING) {
		outq_fini(&c->out);
		finish_with(c, EXIT_OK);
	}
}

/* --- exported --- */

int
client_new(struct client **out, struct loop *loop,
    const struct client_conf *conf, const struct client_ops *ops, void *arg)
{
	struct client *c;
	int r = OK;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ERR_NOMEM;
	c->conf = conf;
	c->ops = ops;
	c->arg = arg;
	c->loop = loop;
	c->deadline = (struct timer){.fn = on_deadline, .arg = c};
	c->pause = (struct timer){.fn = on_pause_over, .arg = c};
	c->over = (struct task){.fn = on_over, .arg = c};
	itinerary_init(&c->way, conf->zippers, conf->n_zippers);
	snprintf(c->way.name, sizeof(c->way.name), "pipe");
	outq_init(&c->out, conf->queue);
	intake_init(&c->in, conf->max_message);
	intake_init(&c->kept, conf->max_message);
	if (!is_pipe(c) && conf->connect_timeout_ns > 0)
		r = timer_set(loop, &c->deadline,
		    loop_clock() + conf->connect_timeout_ns);
	if (r == OK)
		r = timer_set(loop, &c->pause, 0);
	if (r != OK) {
		client_free(c);
		return r;
	}
	*out = c;
	return OK;
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	drop_link(c, HELLO_CLOSE_EVICT, farewell(c));
	resolve_cancel(c->resolve);
	timer_stop(c->loop, &c->deadline);
	timer_stop(c->loop, &c->pause);
	task_cancel(c->loop, &c->over);
	outq_fini(&c->out);
	intake_fini(&c->in);
	intake_fini(&c->kept);
	itinerary_fini(&c->way);
	free(c);
}

/* Something was put into the queue: see that it goes. */
static int
queued(struct client *c, int r)
{
	if (r != OK)
		return r;
	c->counts.sent++;
	if (c->link != NULL && c->state >= CLIENT_READY)
		link_wake(c->link);
	return OK;
}

int
client_send(struct client *c, const struct data_frame *d)
{
	size_t n = data_frame_size(d);
	uint8_t *p;
	int r;

	if ((r = outq_reserve(&c->out, n, &p)) != OK)
		return r;
	data_frame_put(p, d);
	return queued(c, outq_commit(&c->out, n, d->tag, 1));
}

int
client_forward(struct client *c, struct view frame)
{
	uint8_t *p;
	int r;

	if ((r = outq_reserve(&c->out, frame.len, &p)) != OK)
		return r;
	memcpy(p, frame.p, frame.len);
	return queued(c, outq_commit(&c->out, frame.len, 0, 1));
}

bool
client_full(struct client *c)
{
	bool full = c->out.bytes >= c->conf->queue;

	if (full)
		c->wants_room = true;
	return full;
}

void
client_resume(struct client *c)
{
	if (!c->held || c->state == CLIENT_OVER)
		return;
	c->held = false;
	take_frames(c);
}

void
client_deafen(struct client *c)
{
	c->deaf = true;
	client_resume(c);
}

void
client_finish(struct client *c)
{
	c->finish_wanted = true;
	if (c->state != CLIENT_READY)
		return;
	set_state(c, CLIENT_ENDING);
	link_finish(c->link);
}

void
client_give_up(struct client *c)
{
	c->giving_up = true;
	client_finish(c);
	if (c->state < CLIENT_READY && c->out.n == 0)
		finish_with(c, EXIT_OK);
}

struct client_counts
client_counts(const struct client *c)
{
	struct client_counts n = c->counts;

	n.waiting = c->out.bytes;
	return n;
}

bool
client_lost_reader(const struct client *c)
{
	return c->lost_reader;
}
