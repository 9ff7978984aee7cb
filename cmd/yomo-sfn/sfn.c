/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "follow.h"
#include "function.h"
#include "link/setup.h"
#include "net/drain.h"
#include "net/process.h"
#include "net/progress.h"
#include "proto/stamp.h"
#include "sfn.h"
#include "taken.h"

#define WRITE_AHEAD (256u << 10)

/* Each phase ends what the one before it used. */
enum phase {
	SFN_RUNNING,
	SFN_STOPPING, /* no more messages; the function gives its last answers
		       */
	SFN_FLUSHING, /* the zippers, and standard output, take what is left */
	SFN_OVER,
};

/* One zipper that we have joined. */
struct member {
	struct sfn *sfn;
	struct client_conf conf;
	struct client *client;
	bool ready;
	bool done;
};

struct sfn {
	const struct sfn_conf *conf;
	struct setup setup;
	struct loop *loop;
	struct member *members;
	size_t n_members;
	size_t n_ready;
	size_t n_done;
	struct member *latest;	   /* who sent the latest message */
	struct function *function; /* NULL: a sink of payloads */
	struct drain *out;	   /* standard output; NULL: the link has it */
	struct stamp stamp;	   /* of answers */
	struct follow follow;	   /* --session */
	struct taken taken;	   /* --group */
	struct timer idle;
	struct timer grace;
	struct progress progress;
	enum phase phase;
	bool fed; /* the function is still to be told the end */
	uint64_t messages;
	uint64_t bytes;
	uint64_t unobserved; /* frames that a sink on a pipe dropped */
	uint64_t missing;    /* messages that were lost before us, as told */
	uint64_t answers;
	int status;
	struct process_wish wish; /* to end */
	bool no_reader;
};

static bool
is_pipe(const struct sfn *s)
{
	return s->setup.n_zippers == 0;
}

/* --- the end, phase by phase --- */

static void
end_if_flushed(struct sfn *s)
{
	if (s->phase != SFN_FLUSHING || s->n_done < s->n_members ||
	    s->out != NULL)
		return;
	s->phase = SFN_OVER;
	loop_stop(s->loop, s->status);
}

static void
leave(struct sfn *s)
{
	size_t i;

	for (i = 0; i < s->n_members; i++)
		client_give_up(s->members[i].client);
}

/* Of a group, others get what we leave behind: not before all has left us. */
static void
flush(struct sfn *s)
{
	if (s->phase >= SFN_FLUSHING)
		return;
	s->phase = SFN_FLUSHING;
	if (s->out != NULL)
		drain_finish(s->out);
	if (s->out == NULL || s->conf->group == NULL)
		leave(s);
	end_if_flushed(s);
}

/* A session that is not whole is no success. */
static int
judge(struct sfn *s, int status)
{
	if (status != EXIT_OK || !s->conf->session)
		return status;
	return follow_status(&s->follow);
}

/* Take no more messages; a status that is not 0 stays. */
static void
stop(struct sfn *s, int status)
{
	size_t i;

	status = judge(s, status);
	if (s->status == EXIT_OK)
		s->status = status;
	if (s->phase != SFN_RUNNING)
		return;
	s->phase = SFN_STOPPING;
	timer_stop(s->loop, &s->idle);
	for (i = 0; i < s->n_members; i++)
		client_deafen(s->members[i].client);
	if (s->function != NULL && s->fed)
		function_finish(s->function);
	else
		flush(s);
}

static void
on_grace_over(void *arg)
{
	struct sfn *s = arg;

	log_error("not everything was done within --grace");
	loop_stop(s->loop, EXIT_LOST);
}

/* --- messages in --- */

static void
rearm_idle(struct sfn *s)
{
	if (s->conf->idle_ns > 0)
		timer_set(s->loop, &s->idle, loop_clock() + s->conf->idle_ns);
}

/* The session is: so are we. */
static void
stop_if_over(struct sfn *s)
{
	if (session_is_over(&s->follow.reader))
		stop(s, EXIT_OK);
}

/* A session is open: not for ever in silence. */
static void
watch_session(struct sfn *s)
{
	uint64_t idle_ns = s->conf->session_idle_ns, at;

	if (idle_ns == 0)
		return;
	at = follow_watch(&s->follow, idle_ns, loop_now(s->loop));
	if (at > 0)
		timer_set(s->loop, &s->idle, at);
	else
		stop(s, EXIT_OK);
}

static void
on_idle(void *arg)
{
	struct sfn *s = arg;

	if (s->conf->session) {
		watch_session(s);
		return;
	}
	log_debug("no message for --idle-exit");
	stop(s, EXIT_OK);
}

/* A message that the format cannot carry; the others go on. */
static void
reject(struct sfn *s, const struct framing_msg *m, int r)
{
	log_error("left out a message of %zu bytes on tag 0x%" PRIx32
		  ": it does not fit format '%s': %s",
	    m->payload.len, m->tag, framing_name(s->conf->format),
	    r == ERR_BAD ? framing_misfit(s->conf->format) : err_str(r));
	if (s->status == EXIT_OK)
		s->status = EXIT_DATA;
}

/* Give a message to the function or to standard output; false: not now. */
static bool
put(struct sfn *s, const struct framing_msg *m)
{
	int r;

	if (s->function != NULL) {
		r = function_put(s->function, m);
	} else if (s->out == NULL) {
		return true; /* it has failed, and we are about to end */
	} else if (drain_full(s->out)) {
		return false;
	} else {
		r = framing_put(s->conf->format, m, drain_buf(s->out));
		drain_flush(s->out);
	}
	if (r == ERR_MORE)
		return false;
	if (r != OK)
		reject(s, m, r);
	return true;
}

/* Answers to come belong to the message that was given last. */
static void
adopt_ids(struct sfn *s, struct view meta)
{
	struct view id = {0}, tid = {0};

	if (!s->conf->has_out_tag)
		return;
	meta_find(meta, META_SOURCE_ID, &id);
	meta_find(meta, META_TID, &tid);
	if (stamp_adopt(&s->stamp, id, tid) != OK)
		log_error("out of memory for metadata");
}

/* Of a group, the message has to leave us before it is taken. */
static void
note_taken(struct member *m)
{
	struct sfn *s = m->sfn;
	size_t waiting = 0;

	if (s->conf->group == NULL)
		return;
	if (s->function != NULL)
		waiting = function_waiting(s->function);
	else if (s->out != NULL)
		waiting = drain_waiting(s->out);
	taken_note(&s->taken, m->client, waiting);
}

static void
on_gone(void *arg, size_t n)
{
	struct sfn *s = arg;

	taken_gone(&s->taken, n);
}

/* The end of a session is no message, where the format cannot say what it is.
 */
static bool
is_silent(const struct sfn *s, const struct framing_msg *m)
{
	return s->conf->format != FRAMING_JSON &&
	       s->conf->format != FRAMING_FRAMES && follow_is_end(m);
}

/* Take a message that is for us; false: not now. */
static bool
take(struct member *m, const struct framing_msg *msg)
{
	struct sfn *s = m->sfn;

	if (is_silent(s, msg))
		return true;
	if (!put(s, msg))
		return false;
	s->latest = m;
	adopt_ids(s, msg->meta);
	s->messages++;
	s->bytes += msg->payload.len;
	return true;
}

/* Of all messages, take those of one session. */
static bool
take_of_session(struct member *m, const struct framing_msg *msg)
{
	struct sfn *s = m->sfn;
	struct follow *f = &s->follow;
	struct session_mark mark;
	enum session_verdict v = SESSION_FOREIGN;

	if (follow_mark(f, m, msg, &mark)) {
		v = session_judge(&f->reader, msg->tag, &mark);
		if (v == SESSION_NEXT && !take(m, msg)) {
			f->held = true;
			return false;
		}
		follow_take(f, m, msg->tag, &mark, loop_now(s->loop));
	}
	if (v == SESSION_FOREIGN)
		return true;
	stop_if_over(s);
	if (s->phase == SFN_RUNNING && s->idle.index == 0)
		watch_session(s);
	return true;
}

/* On the pipe link what nobody here observes goes on, in its place. */
static bool
pass(struct member *m, const struct frame *f)
{
	struct sfn *s = m->sfn;
	struct framing_msg msg = {.whole = f->whole};

	if (s->conf->has_out_tag) {
		if (client_full(m->client))
			return false;
		client_forward(m->client, 0, f->whole);
		return true;
	}
	if (s->conf->format == FRAMING_FRAMES && s->function == NULL)
		return put(s, &msg);
	s->unobserved++;
	return true;
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	struct member *m = arg;
	struct sfn *s = m->sfn;
	struct framing_msg msg = {
	    .has_tag = true,
	    .tag = d->tag,
	    .meta = d->meta,
	    .payload = d->payload,
	    .whole = f->whole,
	};

	if (is_pipe(s) && !tag_set_has(&s->conf->tags, d->tag))
		return pass(m, f);
	if (s->conf->session)
		return take_of_session(m, &msg);
	if (!take(m, &msg))
		return false;
	note_taken(m);
	rearm_idle(s);
	if (s->conf->count > 0 && s->messages >= s->conf->count)
		stop(s, EXIT_OK);
	return true;
}

/* Messages for us were lost: as a message, where the format can show it. */
static bool
on_gap(void *arg, const struct gap_frame *g, const struct frame *f)
{
	struct member *m = arg;
	struct sfn *s = m->sfn;
	struct framing_msg msg = {
	    .has_gap = true, .gap = *g, .whole = f->whole};

	if (is_pipe(s) && !tag_set_has(&s->conf->tags, g->tag))
		return pass(m, f);
	if (!s->conf->session && !put(s, &msg))
		return false;
	if (s->missing == 0)
		log_info("messages of tag 0x%" PRIx32
			 " were lost before they came here",
		    g->tag);
	s->missing += g->messages;
	if (s->conf->session) {
		follow_gap(&s->follow, m, g);
		stop_if_over(s);
	}
	return true;
}

static bool
on_other(void *arg, const struct frame *f)
{
	return pass(arg, f);
}

/* --- messages out --- */

static bool
is_answer_wanted(void *arg)
{
	struct sfn *s = arg;

	return !client_full(s->latest->client);
}

static void
on_answer(void *arg, const struct framing_msg *m)
{
	struct sfn *s = arg;
	struct client *c = s->latest->client;
	struct data_frame d = {
	    .tag = m->has_tag ? m->tag : s->conf->out_tag,
	    .payload = m->payload,
	};
	int r;

	if (m->has_gap && !is_pipe(s))
		return; /* what it was told, it repeats: no observer's loss */
	s->answers++;
	if (m->whole.len > 0)
		r = m->has_tag || m->has_gap
			? client_forward(c, m->tag, m->whole)
			: ERR_BAD;
	else if ((r = stamp_next(&s->stamp, m->meta, &d.meta)) == OK)
		r = client_send(c, &d);
	if (r == OK)
		return;
	log_error("an answer of the function cannot be sent: %s", err_str(r));
	if (s->status == EXIT_OK)
		s->status = r == ERR_BAD ? EXIT_DATA : EXIT_SYSTEM;
}

static void
resume_members(void *arg)
{
	struct sfn *s = arg;
	size_t i;

	for (i = 0; i < s->n_members; i++)
		if (s->members[i].client != NULL)
			client_resume(s->members[i].client);
}

static void
on_function_ended(void *arg, int status)
{
	struct sfn *s = arg;

	s->fed = false;
	if (status == EXIT_OK && function_in_doubt(s->function) > 0)
		status = EXIT_LOST;
	stop(s, status);
	if (s->status == EXIT_OK)
		s->status = status;
	flush(s);
}

static const struct function_ops function_callbacks = {
    .room = resume_members,
    .gone = on_gone,
    .wanted = is_answer_wanted,
    .answer = on_answer,
    .ended = on_function_ended,
};

static void
on_out_end(void *arg, int r)
{
	struct sfn *s = arg;

	drain_close(s->out);
	s->out = NULL;
	if (r == OK) {
		if (s->conf->group != NULL)
			leave(s);
		end_if_flushed(s);
		return;
	}
	s->no_reader = r == ERR_GONE;
	loop_stop(s->loop, EXIT_OUTPUT);
}

static const struct drain_ops out_callbacks = {
    .room = resume_members,
    .written = on_gone,
    .end = on_out_end,
};

/* --- the zippers --- */

static void
on_ready(void *arg)
{
	struct member *m = arg;
	struct sfn *s = m->sfn;

	if (m->ready)
		return;
	m->ready = true;
	if (++s->n_ready < s->n_members)
		return;
	process_ready(s->conf->common.ready_fd);
	rearm_idle(s);
}

static void
on_lost(void *arg)
{
	struct member *m = arg;
	struct sfn *s = m->sfn;

	follow_lost(&s->follow, m);
	stop_if_over(s);
}

static void
on_client_room(void *arg)
{
	struct member *m = arg;

	if (m->sfn->function != NULL)
		function_resume(m->sfn->function);
	client_resume(m->client);
}

static void
on_eof(void *arg)
{
	struct member *m = arg;

	stop(m->sfn, EXIT_OK);
}

/* End by itself, within --grace. */
static void
drain(struct sfn *s, int status)
{
	timer_set(
	    s->loop, &s->grace, loop_now(s->loop) + s->conf->common.grace_ns);
	stop(s, status);
}

/* One zipper for good gone: we go too, the others would hide it. */
static void
on_done(void *arg, int status)
{
	struct member *m = arg;
	struct sfn *s = m->sfn;

	m->done = true;
	s->n_done++;
	if (status == EXIT_OUTPUT)
		s->no_reader = client_lost_reader(m->client);
	if (status != EXIT_OK && s->status == EXIT_OK)
		s->status = status;
	if (s->phase == SFN_FLUSHING)
		end_if_flushed(s);
	else if (is_pipe(s) || s->n_ready == 0)
		loop_stop(s->loop, s->status);
	else if (s->phase == SFN_RUNNING)
		drain(s, status);
}

static const struct client_ops client_callbacks = {
    .ready = on_ready,
    .lost = on_lost,
    .data = on_data,
    .gap = on_gap,
    .other = on_other,
    .room = on_client_room,
    .eof = on_eof,
    .done = on_done,
};

/* --- what is said of it --- */

/* Messages for us that nobody had, as far as we know. */
static uint64_t
count_lost(const struct sfn *s)
{
	uint64_t n = s->missing;
	size_t i;

	for (i = 0; i < s->n_members; i++)
		if (s->members[i].client != NULL)
			n += client_counts(s->members[i].client).untaken;
	return n;
}

/* The exit status, after the loop. */
static int
judge_loss(const struct sfn *s, int status)
{
	uint64_t n = count_lost(s);

	if (n == 0)
		return status;
	log_info("%" PRIu64 " messages were lost on their way here", n);
	return status == EXIT_OK && s->conf->fail_on_loss ? EXIT_LOST : status;
}

static void
report(const struct sfn *s)
{
	log_info("%" PRIu64 " messages of %" PRIu64 " bytes taken, %" PRIu64
		 " lost before, %" PRIu64 " answers, %" PRIu64
		 " unobserved frames dropped",
	    s->messages, s->bytes, count_lost(s), s->answers, s->unobserved);
}

/* --- signals --- */

static void
on_signal(void *arg, int signo)
{
	struct sfn *s = arg;

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
	if (s->n_ready == 0) { /* nothing was taken yet */
		loop_stop(s->loop, judge(s, EXIT_OK));
		return;
	}
	process_stopping();
	drain(s, EXIT_OK);
}

/* --- set-up --- */

/* Standard output is ours to write, or at least to watch. */
static int
open_output(struct sfn *s)
{
	struct drain_conf conf = {
	    .fd = STDOUT_FILENO,
	    .full = WRITE_AHEAD,
	    .name = "standard output",
	};

	if (s->conf->has_out_tag)
		return OK;
	if (s->conf->command != NULL && !process_has_output())
		return OK; /* the function may not need it, either */
	return drain_open(&s->out, s->loop, &conf, &out_callbacks, s);
}

static int
open_function(struct sfn *s)
{
	int r;

	if (s->conf->command == NULL)
		return OK;
	r = function_open(
	    &s->function, s->loop, s->conf, &function_callbacks, s);
	s->fed = r == OK;
	return r;
}

static int
join(struct sfn *s, size_t i)
{
	struct member *m = &s->members[i];

	m->sfn = s;
	setup_fill(&s->setup, &s->conf->common, &m->conf);
	if (is_pipe(s)) {
		m->conf.in_fd = STDIN_FILENO;
		m->conf.out_fd = s->conf->has_out_tag ? STDOUT_FILENO : -1;
	} else {
		m->conf.zippers = &s->setup.zippers[i];
		m->conf.n_zippers = 1;
	}
	m->conf.type = CLIENT_SFN;
	m->conf.tags = s->conf->tags;
	m->conf.target = s->conf->target;
	m->conf.linger_ns = s->conf->linger_ns;
	/* The frame around the longest payload. */
	m->conf.max_message = s->conf->max_message + 4096;
	m->conf.queue = s->conf->queue;
	m->conf.policy = s->conf->policy;
	m->conf.group = s->conf->group;
	m->conf.prefetch = s->conf->group != NULL ? s->conf->prefetch : 0;
	m->conf.says_taken = s->conf->group != NULL;
	return client_new(&m->client, s->loop, &m->conf, &client_callbacks, m);
}

static int
set_up(struct sfn *s)
{
	size_t i;
	int r;

	s->idle = (struct timer){.fn = on_idle, .arg = s};
	s->grace = (struct timer){.fn = on_grace_over, .arg = s};
	s->n_members = is_pipe(s) ? 1 : s->setup.n_zippers;
	s->members = calloc(s->n_members, sizeof(*s->members));
	if (s->members == NULL)
		return ERR_NOMEM;
	s->latest = &s->members[0];
	if ((r = stamp_init(&s->stamp, s->setup.id, NULL, NULL, 0)) != OK ||
	    (r = loop_new(&s->loop)) != OK ||
	    (r = loop_signals(s->loop, process_signals(), on_signal, s)) !=
		OK ||
	    (r = progress_open(&s->progress, s->loop, s->conf->common.progress,
		 &s->messages, &s->bytes)) != OK ||
	    (r = open_output(s)) != OK)
		return r;
	for (i = 0; i < s->n_members; i++)
		if ((r = join(s, i)) != OK)
			return r;
	return open_function(s);
}

static void
tear_down(struct sfn *s)
{
	size_t i;

	function_free(s->function);
	drain_close(s->out);
	for (i = 0; s->members != NULL && i < s->n_members; i++)
		client_free(s->members[i].client);
	if (s->loop != NULL) {
		progress_close(&s->progress);
		timer_stop(s->loop, &s->idle);
		timer_stop(s->loop, &s->grace);
		loop_free(s->loop);
	}
	free(s->members);
	taken_fini(&s->taken);
	stamp_fini(&s->stamp);
	setup_fini(&s->setup);
}

/* Whether we write standard output ourselves. */
static bool
needs_output(const struct sfn *s)
{
	return s->conf->has_out_tag ? is_pipe(s) : s->conf->command == NULL;
}

static int
exit_for(int r)
{
	return r == ERR_NONE ? EXIT_USAGE : EXIT_SYSTEM;
}

int
sfn_run(const struct sfn_conf *conf)
{
	struct sfn s = {.conf = conf};
	int r, status;

	if (setup_client(&s.setup, &conf->common, &status) != OK) {
		tear_down(&s);
		return status;
	}
	if (needs_output(&s) && !process_has_output()) {
		tear_down(&s);
		log_error("standard output is closed");
		return EXIT_OUTPUT;
	}
	if (is_pipe(&s) && conf->has_out_tag && isatty(STDOUT_FILENO)) {
		tear_down(&s);
		opts_usage_error("frames are not for a terminal: add -z ADDR, "
				 "or | yomo-sfn");
	}
	if (is_pipe(&s) &&
	    (conf->group != NULL || conf->policy != OBSERVE_RULE)) {
		tear_down(&s);
		opts_usage_error("--group and --policy are for a zipper to "
				 "keep: add -z ADDR");
	}
	if (is_pipe(&s) && isatty(STDIN_FILENO)) {
		tear_down(&s);
		opts_usage_error("frames do not come from a terminal: add "
				 "-z ADDR, or yomo-source | before it");
	}
	if ((r = set_up(&s)) != OK) {
		tear_down(&s);
		return exit_for(r);
	}
	status = judge_loss(&s, loop_run(s.loop));
	if (s.unobserved > 0)
		log_debug("%" PRIu64 " frames of tags not observed dropped",
		    s.unobserved);
	if (log_level() >= LOG_DEBUG)
		report(&s);
	tear_down(&s);
	if (s.no_reader)
		process_end_no_reader();
	if (s.wish.signo == SIGINT)
		process_end_by(SIGINT);
	return status;
}
