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
#include "link/inbox.h"
#include "link/itinerary.h"
#include "link/outbox.h"
#include "link/pipelink.h"
#include "link/quiclink.h"
#include "net/resolve.h"
#include "proto/greeting.h"
#include "proto/hello.h"

#define NS_PER_MS 1000000ull
/* A connection that lived so long is no sign of trouble when it ends. */
#define STEADY_NS (5000 * NS_PER_MS)
/* From our Handshake to the answer. */
#define GREETING_NS (5000 * NS_PER_MS)
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
	struct outbox out;
	struct inbox in;
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
	bool lost_reader;
	bool loss_untold; /* ops.lost() is owed */
	bool malformed;	  /* what the pipe brought; nothing more is read */
	bool giving_up;	  /* no connection is worth waiting for */
	uint64_t in_doubt;
	uint64_t lost; /* connections */
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
settle(struct client *c)
{
	uint64_t n = outbox_settle(&c->out);

	c->in_doubt += n;
	if (n > 0)
		log_error("connection to '%s' lost: %llu messages in doubt",
		    client_peer(c), (unsigned long long)n);
}

/* Messages that came and were not taken wait for the next connection. */
static void
keep(struct client *c)
{
	uint64_t lost = inbox_keep(&c->in);

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
	inbox_detach(&c->in);
	outbox_detach(&c->out);
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
		settle(c);
	if (status == EXIT_OK && c->in_doubt > 0)
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
static void take_frames(struct client *c);

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
	c->lost++;
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
	c->loss_untold = c->ops->lost != NULL;
	take_frames(c);
}

/* The connection was lost, or did not come to be: why is in c->why. */
static void
lose(struct client *c)
{
	bool was = c->state == CLIENT_READY || c->state == CLIENT_ENDING;

	log_debug("%s: %s", client_peer(c), c->why);
	settle(c);
	keep(c);
	drop_link(c, 0, "");
	if (c->giving_up && outbox_is_empty(&c->out))
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
	    .version = FRAME_SPEC,
	    .tags = conf->tags.v,
	    .n_tags = conf->tags.n,
	    .target = conf->target,
	    .credential = conf->credential,
	};

	return greeting_queue(&g, &c->out.control);
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
	if (!is_pipe(c))
		log_debug("connected to '%s'", client_peer(c));
	outbox_attach(&c->out, c->link);
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
	settle(c);
	snprintf(c->why, sizeof(c->why), "connect to %s", name);
	drop_link(c, HELLO_CLOSE_EVICT, c->why);
	set_state(c, CLIENT_RESTING);
	try_next(c);
}

/* --- what comes --- */

/* Everything has arrived. */
static void
arrive(struct client *c)
{
	outbox_clear(&c->out);
	finish_with(c, EXIT_OK);
}

/* Its FIN is the sign that our zipper has taken everything. */
static bool
is_taken(const struct client *c)
{
	return c->state == CLIENT_ENDING && c->in.fin && c->link->answers_fin &&
	       c->link->fin_acked;
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	struct client *c = arg;

	return c->ops->data(c->arg, d, f);
}

/* On a link every frame but a message is for us. */
static bool
on_other(void *arg, const struct frame *f)
{
	struct client *c = arg;
	char why[128];

	if (is_pipe(c))
		return c->ops->other == NULL || c->ops->other(c->arg, f);
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

static const struct inbox_ops inbox_callbacks = {
    .data = on_data,
    .other = on_other,
};

/* Nobody may send such bytes.  A pipe with them is at its end, but for the
 * status. */
static void
refuse_bytes(struct client *c, const char *why)
{
	if (!is_pipe(c)) {
		fail_with(c, EXIT_PROTOCOL, "protocol error by", why);
		return;
	}
	log_error("malformed input at byte %" PRIu64 ": %s",
	    c->in.bytes - inbox_rest(&c->in), why);
	c->malformed = true;
	c->ops->eof(c->arg);
}

/* No bytes will follow, and all of those that came are taken. */
static void
mind_end(struct client *c)
{
	if (is_pipe(c)) {
		c->in.fin = false;
		if (inbox_rest(&c->in) > 0)
			refuse_bytes(c, "the input ends within this frame");
		else if (c->ops->eof != NULL)
			c->ops->eof(c->arg);
	} else if (is_taken(c)) {
		arrive(c);
	} else if (c->state != CLIENT_ENDING || !c->link->answers_fin) {
		snprintf(c->why, sizeof(c->why), "the zipper ended the stream");
		lose(c);
	}
}

/* What came before it is told first. */
static void
tell_loss(struct client *c)
{
	if (!c->loss_untold || inbox_has_kept(&c->in) ||
	    c->state == CLIENT_OVER)
		return;
	c->loss_untold = false;
	c->ops->lost(c->arg);
}

static void
take_frames(struct client *c)
{
	if (c->malformed)
		return;
	switch (inbox_give(&c->in)) {
	case OK:
		tell_loss(c);
		if (inbox_is_over(&c->in))
			mind_end(c);
		break;
	case ERR_BAD:
		refuse_bytes(c, c->in.why);
		break;
	}
}

/* --- the link's callbacks --- */

static void
on_up(void *arg)
{
	struct client *c = arg;

	inbox_attach(&c->in, c->link);
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

	if (inbox_is_crowded(&c->in, bytes.len))
		take_frames(c);
	if (c->link != NULL && inbox_put(&c->in, bytes) != OK)
		fail_with(
		    c, EXIT_SYSTEM, "cannot receive from", "out of memory");
}

static void
on_fin(void *arg)
{
	struct client *c = arg;

	inbox_end(&c->in);
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

	if (outbox_has_room(&c->out))
		c->ops->room(c->arg);
	if (c->state != CLIENT_ENDING || c->link == NULL ||
	    !c->link->fin_acked || is_pipe(c))
		return;
	if (inbox_is_over(&c->in))
		mind_end(c);
	/* Go gives no sign: all is acknowledged, that is all one can know. */
	if (c->link != NULL && !c->link->answers_fin && c->pause.index == 0)
		wait_for(
		    c, &c->pause, c->out.sent > 0 ? c->conf->linger_ns : 0);
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
		arrive(c);
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
	if (quiclink_dial(&c->link, c->loop, c->conf->tls, e->host, a,
		&c->out.control, &link_callbacks, c) != OK) {
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
			c->conf->out_fd, &c->out.control, &link_callbacks,
			c) != OK)
			finish_with(c, EXIT_SYSTEM);
		return;
	}
	e = itinerary_visit(&c->way);
	if (e->path != NULL) {
		set_state(c, CLIENT_DIALING);
		r = pipelink_dial(&c->link, c->loop, e->path, &c->out.control,
		    &link_callbacks, c);
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
		arrive(c);
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
	outbox_init(&c->out, conf->queue);
	inbox_init(&c->in, conf->max_message, is_pipe(c), &inbox_callbacks, c);
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
	outbox_fini(&c->out);
	inbox_fini(&c->in);
	itinerary_fini(&c->way);
	free(c);
}

int
client_send(struct client *c, const struct data_frame *d)
{
	return outbox_send(&c->out, d);
}

int
client_forward(struct client *c, struct view frame)
{
	return outbox_forward(&c->out, frame);
}

bool
client_full(struct client *c)
{
	return outbox_is_full(&c->out);
}

void
client_resume(struct client *c)
{
	if (!c->in.held || c->state == CLIENT_OVER)
		return;
	inbox_resume(&c->in);
	take_frames(c);
}

void
client_deafen(struct client *c)
{
	inbox_deafen(&c->in);
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
	if (c->state < CLIENT_READY && outbox_is_empty(&c->out))
		finish_with(c, EXIT_OK);
}

struct client_counts
client_counts(const struct client *c)
{
	return (struct client_counts){
	    .sent = c->out.sent,
	    .in_doubt = c->in_doubt,
	    .received = c->in.received,
	    .untaken = c->in.untaken,
	    .lost = c->lost,
	    .waiting = outbox_waiting(&c->out),
	};
}

bool
client_lost_reader(const struct client *c)
{
	return c->lost_reader;
}
