/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/client_inside.h"
#include "proto/hello.h"

#define NS_PER_MS 1000000ull
/* A connection that lived so long is no sign of trouble when it ends. */
#define STEADY_NS (5000 * NS_PER_MS)
/* From our Handshake to the answer. */
#define GREETING_NS (5000 * NS_PER_MS)
/* What was idle for so long gives its memory back. */
#define TRIM_NS (1000 * NS_PER_MS)
#define BIT(n) (1u << (n))

static const char *const state_name[] = {
    [CLIENT_RESTING] = "resting",
    [CLIENT_RESOLVING] = "resolving",
    [CLIENT_DIALING] = "dialing",
    [CLIENT_GREETING] = "greeting",
    [CLIENT_OBSERVING] = "observing",
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
    [CLIENT_GREETING] = BIT(CLIENT_OBSERVING) | BIT(CLIENT_READY) |
			BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_OBSERVING] =
	BIT(CLIENT_READY) | BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_READY] =
	BIT(CLIENT_ENDING) | BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_ENDING] = BIT(CLIENT_RESTING) | BIT(CLIENT_OVER),
    [CLIENT_OVER] = 0,
};

void
client_set_state(struct client *c, enum client_state to)
{
	assert(may_become[c->state] & BIT(to));
	log_debug("%s: %s -> %s", client_peer(c), state_name[c->state],
	    state_name[to]);
	c->state = to;
}

bool
client_is_pipe(const struct client *c)
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

void
client_end(struct client *c, int status)
{
	if (c->state == CLIENT_OVER)
		return;
	if (c->link != NULL && !client_is_pipe(c) && status != EXIT_OK)
		settle(c);
	if (status == EXIT_OK && c->in_doubt > 0)
		status = EXIT_LOST;
	if (status == EXIT_OK && c->malformed)
		status = EXIT_DATA;
	drop_link(c, HELLO_CLOSE_EVICT, farewell(c));
	resolve_cancel(c->resolve);
	c->resolve = NULL;
	timer_stop(c->loop, &c->deadline);
	timer_stop(c->loop, &c->trim);
	client_set_state(c, CLIENT_OVER);
	c->status = status;
	task_post(c->loop, &c->over);
}

void
client_fail(struct client *c, int status, const char *verb, const char *why)
{
	if (c->state == CLIENT_OVER)
		return;
	if (client_is_pipe(c))
		log_error("%s: %s", verb, why);
	else
		log_error("%s '%s': %s", verb, c->way.name, why);
	client_end(c, status);
}

void
client_fail_without_memory(struct client *c, const char *verb)
{
	client_fail(c, EXIT_SYSTEM, verb, "out of memory");
}

/* --- coming and going --- */

static void take_frames(struct client *c);

void
client_wait(struct client *c, struct timer *t, uint64_t ns)
{
	/* Without it nothing would go on. */
	if (timer_set(c->loop, t, loop_now(c->loop) + ns) != OK)
		client_fail_without_memory(c, "cannot wait for");
}

/* A connection that was there is lost. */
static void
come_back(struct client *c)
{
	c->lost++;
	if (c->conf->retry_ns == 0) {
		client_fail(c, EXIT_LOST, "lost the connection to", c->why);
		return;
	}
	log_info("lost the connection to '%s', trying again: %s", c->way.name,
	    c->why);
	client_set_state(c, CLIENT_RESTING);
	if (loop_now(c->loop) - c->ready_at > STEADY_NS)
		itinerary_rested(&c->way);
	client_dial_again(c);
	if (c->conf->retry_ns != UINT64_MAX && c->state != CLIENT_OVER)
		client_wait(c, &c->deadline, c->conf->retry_ns);
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
	inbox_keep(&c->in);
	drop_link(c, 0, "");
	if (c->giving_up && outbox_is_empty(&c->out))
		client_end(c, EXIT_OK);
	else if (was)
		come_back(c);
	else
		client_dial_next(c);
}

void
client_leave(struct client *c, const char *reason)
{
	settle(c);
	drop_link(c, HELLO_CLOSE_EVICT, reason);
	client_set_state(c, CLIENT_RESTING);
	client_dial(c);
}

static void
on_deadline(void *arg)
{
	struct client *c = arg;
	const char *why = *c->why != '\0' ? c->why : "no answer";

	if (c->was_ready)
		client_fail(c, EXIT_LOST, "cannot come back to", why);
	else
		client_fail(
		    c, EXIT_UNREACHED, "cannot reach the zipper at", why);
}

void
client_become_ready(struct client *c)
{
	client_set_state(c, CLIENT_READY);
	timer_stop(c->loop, &c->deadline);
	timer_stop(c->loop, &c->pause);
	c->was_ready = true;
	c->ready_at = loop_now(c->loop);
	itinerary_arrived(&c->way);
	if (!client_is_pipe(c))
		log_debug("connected to '%s'", client_peer(c));
	c->ops->ready(c->arg);
	if (c->finish_wanted && c->state == CLIENT_READY)
		client_finish(c);
}

/* --- what comes --- */

/* Everything has arrived. */
static void
arrive(struct client *c)
{
	outbox_clear(&c->out);
	client_end(c, EXIT_OK);
}

/* Its FIN is the sign that our zipper has taken everything. */
static bool
is_taken(const struct client *c)
{
	return c->state == CLIENT_ENDING && c->in.control.fin &&
	       c->link->answers_fin && c->link->fin_acked;
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	struct client *c = arg;

	return c->ops->data(c->arg, d, f);
}

static bool
on_gap(void *arg, const struct gap_frame *g, const struct frame *f)
{
	struct client *c = arg;

	return c->ops->gap == NULL || c->ops->gap(c->arg, g, f);
}

/* On a link every frame but a message is for us. */
static bool
on_other(void *arg, const struct frame *f)
{
	struct client *c = arg;

	if (client_is_pipe(c))
		return c->ops->other == NULL || c->ops->other(c->arg, f);
	client_talk_hear(c, f);
	return true;
}

static void
on_work(void *arg)
{
	take_frames(arg);
}

static void
on_in_failed(void *arg)
{
	client_fail_without_memory(arg, "cannot receive from");
}

static const struct inbox_ops inbox_callbacks = {
    .data = on_data,
    .gap = on_gap,
    .other = on_other,
    .work = on_work,
    .failed = on_in_failed,
};

/* --- what goes --- */

static void
on_room(void *arg)
{
	struct client *c = arg;

	c->ops->room(c->arg);
}

static void
on_out_failed(void *arg)
{
	client_fail_without_memory(arg, "cannot send to");
}

static const struct outbox_ops outbox_callbacks = {
    .room = on_room,
    .failed = on_out_failed,
};

/* Idle lanes, or an idle client, keep no memory. */
static void
trim_later(struct client *c)
{
	if (c->trim.index == 0)
		timer_set(c->loop, &c->trim, loop_now(c->loop) + TRIM_NS);
}

static void
on_trim(void *arg)
{
	struct client *c = arg;
	bool in = inbox_trim(&c->in), out = outbox_trim(&c->out);

	if (in || out)
		trim_later(c);
}

/* What the function has taken of a group's messages, once a turn.  After our
 * end nothing can be said. */
static void
on_tell(void *arg)
{
	struct client *c = arg;
	struct taken_frame t;

	while (c->link != NULL && !c->link->fin_wanted &&
	       inbox_next_taken(&c->in, &t))
		if (outbox_tell_taken(&c->out, &t) != OK)
			on_out_failed(c);
}

/* Nobody may send such bytes.  A pipe with them is at its end, but for the
 * status. */
static void
refuse_bytes(struct client *c, const char *why)
{
	if (!client_is_pipe(c)) {
		client_fail(c, EXIT_PROTOCOL, "protocol error by", why);
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
	if (client_is_pipe(c)) {
		c->in.control.fin = false;
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
	if (client_is_pipe(c)) {
		outbox_attach(&c->out, c->link);
		client_become_ready(c);
		return;
	}
	client_set_state(c, CLIENT_GREETING);
	client_talk_greet(c);
	if (c->state != CLIENT_GREETING)
		return;
	link_wake(c->link);
	client_wait(c, &c->pause, GREETING_NS);
}

static void
on_bytes(void *arg, struct view bytes)
{
	struct client *c = arg;

	inbox_put(&c->in, bytes);
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
	trim_later(arg);
	take_frames(arg);
}

static bool
on_lane(void *arg, struct lane *l)
{
	struct client *c = arg;

	return inbox_accept(&c->in, l);
}

static void
on_lanes(void *arg)
{
	struct client *c = arg;

	if (outbox_open_lanes(&c->out) != OK)
		on_out_failed(c);
}

static void
on_moved(void *arg)
{
	struct client *c = arg;

	outbox_moved(&c->out);
	if (c->state != CLIENT_ENDING || c->link == NULL ||
	    !c->link->fin_acked || client_is_pipe(c))
		return;
	if (inbox_is_over(&c->in))
		mind_end(c);
	/* Go gives no sign: all is acknowledged, that is all one can know. */
	if (c->link != NULL && !c->link->answers_fin && c->pause.index == 0)
		client_wait(
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
	client_talk_quote(c, view_of(end->reason), text);
	switch (end->kind) {
	case LINK_FINISHED:
		arrive(c);
		return;
	case LINK_NO_READER:
		c->lost_reader = true;
		client_end(c, EXIT_OUTPUT);
		return;
	case LINK_UNTRUSTED:
		client_fail(c, EXIT_REFUSED, "cannot trust or be trusted by",
		    why != NULL ? why : "TLS failed");
		return;
	case LINK_STRANGER:
		client_fail(c, EXIT_PROTOCOL, "cannot talk to",
		    "it speaks another protocol or version than yomo");
		return;
	case LINK_CLOSED:
		if (end->code != HELLO_CLOSE_EVICT)
			break;
		client_fail(c, EXIT_REFUSED, "sent away by",
		    why != NULL ? why : "no reason was given");
		return;
	case LINK_UNWRITABLE:
		client_end(c, EXIT_OUTPUT);
		return;
	case LINK_FAILED:
		if (!client_is_pipe(c))
			break;
		client_end(c, EXIT_SYSTEM);
		return;
	default:
		break;
	}
	snprintf(c->why, sizeof(c->why), "%s", why != NULL ? why : "no answer");
	lose(c);
}

const struct link_ops client_link_ops = {
    .up = on_up,
    .bytes = on_bytes,
    .fin = on_fin,
    .pause = on_pause,
    .moved = on_moved,
    .lane = on_lane,
    .lanes = on_lanes,
    .down = on_down,
};

/* --- dialing --- */

static void
on_pause_over(void *arg)
{
	struct client *c = arg;

	if (c->state == CLIENT_RESTING) {
		client_dial(c);
	} else if (c->state == CLIENT_GREETING ||
		   c->state == CLIENT_OBSERVING) {
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
	c->trim = (struct timer){.fn = on_trim, .arg = c};
	c->tell = (struct task){.fn = on_tell, .arg = c};
	c->over = (struct task){.fn = on_over, .arg = c};
	itinerary_init(&c->way, conf->zippers, conf->n_zippers);
	snprintf(c->way.name, sizeof(c->way.name), "pipe");
	outbox_init(&c->out, conf->queue, &outbox_callbacks, c);
	inbox_init(&c->in, conf->max_message, client_is_pipe(c),
	    conf->says_taken, &inbox_callbacks, c);
	if (!client_is_pipe(c) && conf->connect_timeout_ns > 0)
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
	timer_stop(c->loop, &c->trim);
	task_cancel(c->loop, &c->tell);
	task_cancel(c->loop, &c->over);
	outbox_fini(&c->out);
	inbox_fini(&c->in);
	itinerary_fini(&c->way);
	free(c);
}

int
client_send(struct client *c, const struct data_frame *d)
{
	return client_send_session(c, (struct view){0}, d);
}

int
client_send_session(
    struct client *c, struct view session, const struct data_frame *d)
{
	trim_later(c);
	return outbox_send(&c->out, session, d);
}

void
client_end_session(struct client *c, uint32_t tag, struct view session)
{
	outbox_end_session(&c->out, tag, session);
}

int
client_forward(struct client *c, uint32_t tag, struct view frame)
{
	trim_later(c);
	return outbox_forward(&c->out, tag, frame);
}

bool
client_full(struct client *c)
{
	return outbox_is_full(&c->out);
}

bool
client_full_for(struct client *c, uint32_t tag)
{
	return outbox_is_full_for(&c->out, tag, (struct view){0});
}

struct inbox_ticket
client_ticket(const struct client *c)
{
	return inbox_ticket(&c->in);
}

void
client_taken(struct client *c, struct inbox_ticket ticket)
{
	inbox_taken(&c->in, ticket);
	task_post(c->loop, &c->tell);
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
	client_set_state(c, CLIENT_ENDING);
	on_tell(c); /* or others would get what was taken in this turn */
	if (c->state == CLIENT_ENDING)
		outbox_finish(&c->out);
}

void
client_give_up(struct client *c)
{
	c->giving_up = true;
	client_finish(c);
	if (c->state < CLIENT_READY && outbox_is_empty(&c->out))
		client_end(c, EXIT_OK);
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
	    .waiting = c->out.waiting,
	    .unobserved = c->out.unobserved,
	    .missing = c->in.missing,
	};
}

bool
client_lost_reader(const struct client *c)
{
	return c->lost_reader;
}
