/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/setup.h"
#include "net/feed.h"
#include "net/process.h"
#include "net/progress.h"
#include "proto/stamp.h"
#include "source.h"

/* Bytes read ahead of what was understood, besides one message. */
#define READ_AHEAD (256u << 10)

struct source {
	const struct source_conf *conf;
	struct setup setup;
	struct client_conf link;
	struct tag_range own_tag; /* --wait: to hear of */
	struct loop *loop;
	struct client *client;
	struct feed *feed;
	struct framing *framing;
	struct stamp stamp;
	struct timer pace;  /* --every */
	struct timer grace; /* after a signal */
	struct progress progress;
	uint64_t next_at; /* when the next message may go */
	uint64_t messages;
	uint64_t bytes;
	uint64_t missing;  /* messages that were lost before us, as told */
	size_t unfinished; /* bytes of a message whose end has not come */
	bool greeted;
	bool reading;
	bool input_over;
	bool broken;	    /* the session: nobody can have all of it */
	const char *misfit; /* why the latest message cannot be sent; or NULL */
	struct process_wish wish; /* to end */
	int status;		  /* of the input: 0 or 65 */
};

static bool
is_pipe(const struct source *s)
{
	return s->setup.n_zippers == 0;
}

/* Nobody will have the whole session: say why, once. */
static void
break_session(struct source *s, const char *why)
{
	if (!s->conf->session || s->broken)
		return;
	s->broken = true;
	log_error("the session is cut after %" PRIu64 " messages: %s",
	    s->messages, why);
	if (s->status == EXIT_OK)
		s->status = EXIT_LOST;
}

/* Messages of the session have a lane of their own. */
static int
send_data(struct source *s, const struct data_frame *d)
{
	return client_send_session(s->client, stamp_session_id(&s->stamp), d);
}

/* The last message of the session says how it ended. */
static void
end_session(struct source *s)
{
	struct data_frame d = {.tag = s->conf->tag};
	enum session_end how = s->broken ? SESSION_CUT : SESSION_EOF;

	if (stamp_session_end(&s->stamp, how, &d.meta) != OK ||
	    send_data(s, &d) != OK) {
		log_error("out of memory for the end of the session");
		s->status = EXIT_SYSTEM;
	}
	client_end_session(s->client, d.tag, stamp_session_id(&s->stamp));
}

/* No more input: what was taken goes out, then we are done. */
static void
end_input(struct source *s, int status)
{
	if (s->input_over)
		return;
	s->input_over = true;
	if (s->status == EXIT_OK)
		s->status = status;
	timer_stop(s->loop, &s->pace);
	if (s->feed != NULL)
		feed_close(s->feed);
	s->feed = NULL;
	if (status != EXIT_OK)
		break_session(s, "the input did not end well");
	else if (s->wish.signo != 0)
		break_session(s, "a signal came before the input ended");
	if (s->conf->session)
		end_session(s);
	if (s->wish.signo != 0 || s->broken)
		client_give_up(s->client);
	else
		client_finish(s->client);
}

/* --- messages --- */

/* Why m cannot be sent; NULL: it can. */
static const char *
find_misfit(const struct source *s, const struct framing_msg *m)
{
	if (m->whole.len > 0 && !m->has_tag && !is_pipe(s))
		return "not a message that a zipper takes";
	if (s->conf->session && m->has_tag && m->tag != s->conf->tag)
		return "a session has but one tag: see --tag";
	return NULL;
}

/*
 * What the input says of its own way here, in a session before or with losses,
 * is no message of our session; but what was not whole there is not here.
 */
static bool
is_history(struct source *s, const struct framing_msg *m)
{
	struct session_mark mark;

	if (!s->conf->session || m->payload.len > 0)
		return false;
	if (m->has_gap) {
		break_session(s, "messages of the input were lost before");
		return true;
	}
	if (session_mark_of(m->meta, &mark) != OK ||
	    mark.end == SESSION_GOES_ON)
		return false;
	if (mark.end != SESSION_EOF)
		break_session(s, "the input was a session that was cut");
	return true;
}

/* Here messages are missing already: a pipe is told so, a zipper cannot be. */
static bool
is_untold(struct source *s, const struct framing_msg *m)
{
	if (!m->has_gap || is_pipe(s))
		return false;
	s->missing += m->gap.messages;
	return true;
}

/* Send one message; ERR_BAD: it cannot be one. */
static int
send_message(struct source *s, const struct framing_msg *m)
{
	struct data_frame d = {.tag = s->conf->tag, .payload = m->payload};
	int r;

	if ((s->misfit = find_misfit(s, m)) != NULL)
		return ERR_BAD;
	/* A frame goes as it is, unless it becomes a message of a session. */
	if (m->whole.len > 0 && (!s->conf->session || !m->has_tag))
		return client_forward(s->client, m->tag, m->whole);
	if (m->has_tag)
		d.tag = m->tag;
	if ((r = stamp_next(&s->stamp, m->meta, &d.meta)) != OK)
		return r;
	return send_data(s, &d);
}

/*
 * Whether the next message must wait for its time; then a timer is set.  After
 * a signal none does: what was read goes out, and we are done.
 */
static bool
must_wait(struct source *s)
{
	if (s->conf->every_ns == 0 || s->wish.signo != 0 ||
	    loop_clock() >= s->next_at)
		return false;
	timer_set(s->loop, &s->pace, s->next_at);
	return true;
}

/* A message goes now: when may the next?  Late ones are not made up for. */
static void
keep_pace(struct source *s)
{
	uint64_t now, every = s->conf->every_ns;

	if (every == 0)
		return; /* the clock would cost more than a small message */
	now = loop_clock();
	s->next_at = (now < s->next_at + every ? s->next_at : now) + every;
}

static bool
is_enough(const struct source *s)
{
	return s->conf->count > 0 && s->messages >= s->conf->count;
}

static void
refuse_input(struct source *s, const char *why)
{
	log_error("malformed input at byte %" PRIu64 ": %s",
	    framing_offset(s->framing), why);
	end_input(s, EXIT_DATA);
}

static enum feed_want
on_input(void *arg, struct view *in, bool eof)
{
	struct source *s = arg;
	struct framing_msg m;
	int r = OK;

	while (!client_full(s->client) && !must_wait(s)) {
		if ((r = framing_get(s->framing, in, eof, &m)) != OK)
			break;
		if (is_history(s, &m) || is_untold(s, &m))
			continue;
		if ((r = send_message(s, &m)) != OK)
			break;
		keep_pace(s);
		s->messages++;
		s->bytes += m.payload.len;
		if (is_enough(s)) {
			end_input(s, EXIT_OK);
			return FEED_WAIT;
		}
	}
	if (r == OK)
		return FEED_WAIT;
	if (r == ERR_MORE) {
		s->unfinished = in->len;
		return FEED_MORE;
	}
	if (r == ERR_NOMEM) {
		log_error("out of memory for a message");
		end_input(s, EXIT_SYSTEM);
	} else {
		refuse_input(
		    s, s->misfit != NULL ? s->misfit : framing_why(s->framing));
	}
	return FEED_WAIT;
}

static void
on_input_end(void *arg, int r)
{
	struct source *s = arg;

	if (s->wish.signo != 0 && s->unfinished > 0)
		log_info("%zu bytes were read of a message whose end did not "
			 "come: it is not sent",
		    s->unfinished);
	end_input(s, r == OK ? EXIT_OK : EXIT_SYSTEM);
}

static const struct feed_ops feed_callbacks = {
    .take = on_input,
    .end = on_input_end,
};

static void
read_on(void *arg)
{
	struct source *s = arg;

	if (s->feed != NULL)
		feed_resume(s->feed);
}

/* --- the client --- */

/* There is a zipper, and who is waited for is there, too. */
static void
begin(struct source *s)
{
	struct feed_conf conf = {
	    .fd = STDIN_FILENO,
	    .read_max = s->conf->format == FRAMING_RAW && s->conf->block == 0
			    ? FRAMING_RAW_MAX
			    : 0,
	    .max = s->conf->max_message + READ_AHEAD,
	    .name = "standard input",
	};

	if (s->reading)
		return;
	s->reading = true;
	if (s->input_over)
		return;
	if (feed_open(&s->feed, s->loop, &conf, &feed_callbacks, s) != OK)
		end_input(s, EXIT_SYSTEM);
}

static void
on_ready(void *arg)
{
	struct source *s = arg;

	if (!s->greeted)
		process_ready(s->conf->common.ready_fd);
	s->greeted = true;
	if (s->conf->wait == 0)
		begin(s);
}

static void
on_interest(void *arg, uint32_t tag, uint32_t observers)
{
	struct source *s = arg;

	log_debug("%" PRIu32 " observe tag 0x%" PRIx32, observers, tag);
	if (observers >= s->conf->wait)
		begin(s);
}

/* From now on to be done within --grace. */
static void
hurry(struct source *s)
{
	timer_set(
	    s->loop, &s->grace, loop_now(s->loop) + s->conf->common.grace_ns);
}

/*
 * Of what was sent nobody knows how far it came, and who has it has been told
 * that it is cut, or will be.
 */
static void
on_lost(void *arg)
{
	struct source *s = arg;

	if (!s->conf->session || (s->messages == 0 && !s->input_over))
		return;
	break_session(s, "the connection was lost");
	hurry(s);
	if (s->input_over)
		client_give_up(s->client);
	else
		end_input(s, EXIT_LOST);
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	(void)arg;
	(void)d;
	(void)f;
	return true; /* nobody asked for it */
}

static void
on_done(void *arg, int status)
{
	struct source *s = arg;
	uint64_t waiting = client_counts(s->client).waiting;

	if (status == EXIT_LOST)
		break_session(s, "the connection was lost");
	if (status == EXIT_LOST && waiting > 0)
		log_error(
		    "%" PRIu64 " bytes of messages were never sent", waiting);
	loop_stop(s->loop, status != EXIT_OK ? status : s->status);
}

static const struct client_ops client_callbacks = {
    .ready = on_ready,
    .interest = on_interest,
    .lost = on_lost,
    .data = on_data,
    .room = read_on,
    .done = on_done,
};

/* --- signals --- */

static void
on_grace_over(void *arg)
{
	struct source *s = arg;

	log_error("not everything was taken within --grace: %" PRIu64
		  " bytes in doubt",
	    client_counts(s->client).waiting);
	loop_stop(s->loop, EXIT_LOST);
}

static void
report(void *arg)
{
	struct source *s = arg;
	struct client_counts n = client_counts(s->client);

	log_info("%" PRIu64 " messages of %" PRIu64 " bytes, %" PRIu64
		 " unobserved, %" PRIu64 " bytes waiting, %" PRIu64
		 " in doubt, %" PRIu64 " connections lost",
	    s->messages, s->bytes, n.unobserved, n.waiting, n.in_doubt, n.lost);
}

static void
on_signal(void *arg, int signo)
{
	struct source *s = arg;

	if (signo == SIGUSR1) {
		report(s);
		return;
	}
	switch (process_wish(&s->wish, signo, loop_now(s->loop))) {
	case PROCESS_THE_SAME:
		return;
	case PROCESS_AT_ONCE:
		loop_stop(s->loop, EXIT_LOST);
		return;
	case PROCESS_DRAIN:
		break;
	}
	if (!s->reading) { /* nothing was taken yet */
		break_session(s, "a signal came before the input ended");
		loop_stop(s->loop, s->status);
		return;
	}
	process_stopping();
	hurry(s);
	if (s->feed == NULL) {
		client_give_up(s->client); /* the input is over */
		return;
	}
	feed_stop(s->feed);
	feed_resume(s->feed); /* it may wait for --every */
}

/* --- set-up --- */

static int
set_up(struct source *s)
{
	const struct source_conf *conf = s->conf;
	struct framing_conf framing = {
	    .kind = conf->format,
	    .block = conf->block,
	    .max = conf->max_message,
	};
	int r;

	s->pace = (struct timer){.fn = read_on, .arg = s};
	s->grace = (struct timer){.fn = on_grace_over, .arg = s};
	setup_fill(&s->setup, &conf->common, &s->link);
	s->link.out_fd = is_pipe(s) ? STDOUT_FILENO : -1;
	s->link.type = CLIENT_SOURCE;
	s->link.linger_ns = conf->linger_ns;
	s->link.max_message = conf->max_message;
	s->link.queue = conf->queue;
	s->own_tag = (struct tag_range){conf->tag, conf->tag};
	if (conf->wait > 0)
		s->link.interest = (struct tag_set){&s->own_tag, 1};
	if ((r = stamp_init(&s->stamp, s->setup.id, conf->target, conf->meta.v,
		 conf->meta.n)) != OK ||
	    (r = framing_new(&s->framing, &framing)) != OK ||
	    (r = loop_new(&s->loop)) != OK ||
	    (r = loop_signals(s->loop, process_signals(), on_signal, s)) !=
		OK ||
	    (r = progress_open(&s->progress, s->loop, conf->common.progress,
		 &s->messages, &s->bytes)) != OK)
		return r;
	if (conf->session && (r = stamp_session(&s->stamp)) != OK)
		return r;
	return client_new(&s->client, s->loop, &s->link, &client_callbacks, s);
}

static void
tear_down(struct source *s)
{
	if (s->feed != NULL)
		feed_close(s->feed);
	client_free(s->client);
	if (s->loop != NULL) {
		progress_close(&s->progress);
		timer_stop(s->loop, &s->pace);
		timer_stop(s->loop, &s->grace);
		loop_free(s->loop);
	}
	framing_free(s->framing);
	stamp_fini(&s->stamp);
	setup_fini(&s->setup);
}

int
source_run(const struct source_conf *conf)
{
	struct source s = {.conf = conf};
	uint64_t unobserved;
	bool no_reader;
	int r, status;

	if (setup_client(&s.setup, &conf->common, &status) != OK) {
		tear_down(&s);
		return status;
	}
	if (is_pipe(&s) && !process_has_output()) {
		tear_down(&s);
		log_error("standard output is closed: add -z ADDR, or "
			  "| yomo-sfn");
		return EXIT_OUTPUT;
	}
	if (is_pipe(&s) && isatty(STDOUT_FILENO)) {
		tear_down(&s);
		opts_usage_error("frames are not for a terminal: add -z ADDR, "
				 "or | yomo-sfn");
	}
	if (is_pipe(&s) && conf->wait > 0) {
		tear_down(&s);
		opts_usage_error("--wait is for a zipper to answer: add "
				 "-z ADDR");
	}
	if ((r = set_up(&s)) != OK) {
		tear_down(&s);
		return r == ERR_BAD ? EXIT_USAGE : EXIT_SYSTEM;
	}
	status = loop_run(s.loop);
	if (s.missing > 0)
		log_info("%" PRIu64 " messages were lost on their way here",
		    s.missing);
	unobserved = client_counts(s.client).unobserved;
	if (conf->wait > 0 && unobserved > 0)
		log_info("%" PRIu64 " messages had no observer", unobserved);
	if (log_level() >= LOG_DEBUG)
		report(&s);
	no_reader = client_lost_reader(s.client);
	tear_down(&s);
	if (no_reader)
		process_end_no_reader();
	if (s.wish.signo == SIGINT)
		process_end_by(SIGINT);
	return status;
}
