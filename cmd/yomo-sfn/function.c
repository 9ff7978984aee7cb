/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "function.h"
#include "net/child.h"
#include "net/drain.h"
#include "net/feed.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define WRITE_AHEAD (256u << 10)
#define READ_AHEAD (256u << 10)
#define BACKOFF_MIN (100 * NS_PER_MS)
#define BACKOFF_MAX (10 * NS_PER_S)
#define MINUTE_NS (60 * NS_PER_S)
/* Processes it left behind may hold its standard output open: not for ever. */
#define OUTPUT_NS (1 * NS_PER_S)

struct function {
	const struct sfn_conf *conf;
	const struct function_ops *ops;
	void *arg;
	struct loop *loop;
	char **envp;
	struct child *child;
	struct drain *in; /* to its standard input */
	int in_fd;	  /* the same pipe, to see what stands in it */
	int out_fd;
	struct feed *out; /* from its standard output */
	struct framing *framing;
	struct timer timer; /* until the restart, or the end of output */
	uint64_t backoff;
	uint64_t minute_from; /* when the restarts began to be counted */
	uint32_t restarts;    /* since then */
	uint64_t unread; /* by the process that runs, which closed its input */
	uint64_t in_doubt;
	int status;    /* of the process that ended last; -1: it runs */
	bool finished; /* its input has ended, or is to end */
	bool deaf;     /* it closed its input */
	bool garbled;  /* its output was malformed */
	bool stalled;  /* its answers are not wanted now */
	bool over;
};

static int start(struct function *f);

/* --- the end of a process --- */

static int
exit_status(int status)
{
	if (status >= EXIT_USAGE && status <= EXIT_CONFIG)
		return 1; /* ours to give a meaning to */
	return status;
}

static void
describe(const struct function *f, int status)
{
	const char *name = f->conf->command[0];

	if (status > 128 && status < 128 + NSIG)
		log_error("'%s' was killed by signal %d (%s)", name,
		    status - 128, strsignal(status - 128));
	else if (status != 0)
		log_error("'%s' exited with status %d", name, status);
	else
		log_debug("'%s' exited with status 0", name);
}

/* Whether it was its own wish to leave the rest of its input unread. */
static bool
is_content(const struct function *f)
{
	return f->status == 0 && f->conf->restart != SFN_RESTART_ALWAYS;
}

/* What was written to it and it never read. */
static void
count_unread(struct function *f)
{
	uint64_t waiting = f->in != NULL ? drain_waiting(f->in) : 0;
	int unread = 0;

	if (f->in_fd >= 0 && ioctl(f->in_fd, FIONREAD, &unread) == 0)
		waiting += (uint64_t)unread;
	f->unread += waiting;
}

/* It has exited: was it right to leave something unread? */
static void
judge_unread(struct function *f)
{
	uint64_t n = f->unread;

	f->unread = 0;
	if (n == 0)
		return;
	if (is_content(f)) {
		log_info("'%s' left %" PRIu64 " bytes unread",
		    f->conf->command[0], n);
		return;
	}
	f->in_doubt += n;
	log_error("%" PRIu64 " bytes that '%s' had not read are in doubt", n,
	    f->conf->command[0]);
}

/* What has not left for its input never will. */
static void
close_input(struct function *f)
{
	size_t n = function_waiting(f);

	drain_close(f->in);
	f->in = NULL;
	if (n > 0)
		f->ops->gone(f->arg, n);
}

static void
close_pipes(struct function *f)
{
	close_input(f);
	feed_close(f->out);
	f->out = NULL;
	if (f->in_fd >= 0)
		close(f->in_fd);
	if (f->out_fd >= 0)
		close(f->out_fd);
	f->in_fd = f->out_fd = -1;
	child_free(f->child);
	f->child = NULL;
}

static void
finish_with(struct function *f, int status)
{
	if (f->over)
		return;
	f->over = true;
	timer_stop(f->loop, &f->timer);
	close_pipes(f);
	f->ops->ended(f->arg, status);
}

static bool
may_restart(struct function *f)
{
	uint64_t now = loop_now(f->loop);

	if (f->finished || f->garbled || f->conf->restart == SFN_RESTART_NEVER)
		return false;
	if (f->status == 0 && f->conf->restart != SFN_RESTART_ALWAYS)
		return false;
	if (now - f->minute_from > MINUTE_NS) {
		f->minute_from = now;
		f->restarts = 0;
		f->backoff = BACKOFF_MIN;
	}
	if (f->restarts < f->conf->max_restarts) {
		f->restarts++;
		return true;
	}
	if (f->restarts > 0)
		log_error("'%s' ended %" PRIu32 " times within a minute: "
			  "giving up",
		    f->conf->command[0], f->restarts + 1);
	return false;
}

/* It has exited and its output has ended: again, or the end. */
static void
settle(struct function *f)
{
	if (f->status < 0 || f->out != NULL || f->over)
		return;
	timer_stop(f->loop, &f->timer);
	if (!may_restart(f)) {
		finish_with(f, f->garbled ? EXIT_DATA : exit_status(f->status));
		return;
	}
	close_pipes(f);
	log_info("starting '%s' again in %" PRIu64 " ms", f->conf->command[0],
	    f->backoff / NS_PER_MS);
	timer_set(f->loop, &f->timer, loop_now(f->loop) + f->backoff);
	f->backoff =
	    f->backoff * 2 < BACKOFF_MAX ? f->backoff * 2 : BACKOFF_MAX;
}

/* Whether answers of a process that has exited are still to be read. */
static bool
has_answers(const struct function *f)
{
	int unread = 0;

	return f->stalled ||
	       (ioctl(f->out_fd, FIONREAD, &unread) == 0 && unread > 0);
}

static void
on_timer(void *arg)
{
	struct function *f = arg;

	if (f->child != NULL) { /* it has exited; its output stays open */
		if (has_answers(f)) {
			timer_set(f->loop, &f->timer, f->timer.at + OUTPUT_NS);
			return;
		}
		feed_close(f->out);
		f->out = NULL;
		settle(f);
	} else if (start(f) != OK) {
		finish_with(f, EXIT_SYSTEM);
	}
}

static void
on_exited(void *arg, int status)
{
	struct function *f = arg;

	f->status = status;
	describe(f, status);
	count_unread(f);
	judge_unread(f);
	close_input(f);
	if (f->out != NULL)
		timer_set(f->loop, &f->timer, loop_now(f->loop) + OUTPUT_NS);
	settle(f);
}

/* --- its standard input --- */

static void
on_room(void *arg)
{
	struct function *f = arg;

	f->ops->room(f->arg);
}

static void
on_written(void *arg, size_t n)
{
	struct function *f = arg;

	f->ops->gone(f->arg, n);
}

/* Done, or it wants no more: then it is about to end. */
static void
on_in_end(void *arg, int r)
{
	struct function *f = arg;

	if (r != OK && f->status < 0 && !f->deaf) {
		f->deaf = true;
		log_debug("'%s' closed its input", f->conf->command[0]);
		count_unread(f);
	}
	close_input(f);
	if (f->in_fd >= 0)
		close(f->in_fd);
	f->in_fd = -1;
}

static const struct drain_ops in_callbacks = {
    .room = on_room,
    .written = on_written,
    .end = on_in_end,
};

int
function_put(struct function *f, const struct framing_msg *m)
{
	int r;

	if (f->in == NULL || f->finished || drain_full(f->in))
		return ERR_MORE;
	if ((r = framing_put(f->conf->format, m, drain_buf(f->in))) == OK)
		drain_flush(f->in);
	return r;
}

/* --- its standard output --- */

static enum feed_want
on_answers(void *arg, struct view *in, bool eof)
{
	struct function *f = arg;
	struct framing_msg m;
	int r = OK;

	f->stalled = false;
	while (f->ops->wanted(f->arg)) {
		if ((r = framing_get(f->framing, in, eof, &m)) != OK)
			break;
		f->ops->answer(f->arg, &m);
	}
	if (r == OK) {
		f->stalled = true;
		return FEED_WAIT;
	}
	if (r == ERR_MORE)
		return FEED_MORE;
	log_error("malformed output of '%s' at byte %" PRIu64 ": %s",
	    f->conf->command[0], framing_offset(f->framing),
	    framing_why(f->framing));
	f->garbled = true;
	child_kill(f->child, SIGTERM);
	view_skip(in, in->len);
	return FEED_WAIT;
}

static void
on_out_end(void *arg, int r)
{
	struct function *f = arg;

	(void)r; /* said in the log */
	feed_close(f->out);
	f->out = NULL;
	settle(f);
}

static const struct feed_ops out_callbacks = {
    .take = on_answers,
    .end = on_out_end,
};

void
function_resume(struct function *f)
{
	if (f->out != NULL)
		feed_resume(f->out);
}

/* --- starting --- */

static bool
is_ours(const char *variable)
{
	static const char *const names[] = {"YOMO_CREDENTIAL=",
	    "NOTIFY_SOCKET=", "YOMO_TAG=", "WATCHDOG_PID=", "WATCHDOG_USEC="};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* Ours without what is not for it, and the tag if there is but one. */
static int
make_environment(struct function *f)
{
	extern char **environ;
	static char tag[32];
	size_t i, n = 0;

	for (i = 0; environ[i] != NULL; i++)
		;
	if ((f->envp = calloc(i + 2, sizeof(*f->envp))) == NULL)
		return ERR_NOMEM;
	for (i = 0; environ[i] != NULL; i++)
		if (!is_ours(environ[i]))
			f->envp[n++] = environ[i];
	if (tag_set_count(&f->conf->tags) == 1) {
		snprintf(tag, sizeof(tag), "YOMO_TAG=0x%" PRIx32,
		    tag_set_at(&f->conf->tags, 0));
		f->envp[n++] = tag;
	}
	return OK;
}

static int
attach(struct function *f)
{
	struct drain_conf in = {
	    .fd = f->in_fd,
	    .owned = true,
	    .full = WRITE_AHEAD,
	    .name = "the function's input",
	};
	struct feed_conf out = {
	    .fd = f->out_fd,
	    .owned = true,
	    .read_max = f->conf->format == FRAMING_RAW && f->conf->block == 0
			    ? FRAMING_RAW_MAX
			    : 0,
	    .max = f->conf->max_message + READ_AHEAD,
	    .name = "the function's output",
	};
	struct framing_conf framing = {
	    .kind = f->conf->format,
	    .block = f->conf->block,
	    .max = f->conf->max_message,
	};
	int r;

	/* The drain closes its descriptor: keep one to look into the pipe. */
	if ((in.fd = fcntl(f->in_fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return ERR_SYS;
	r = drain_open(&f->in, f->loop, &in, &in_callbacks, f);
	if (r != OK) {
		close(in.fd);
		return r;
	}
	if (f->out_fd < 0)
		return OK;
	framing_free(f->framing);
	f->framing = NULL;
	if ((r = framing_new(&f->framing, &framing)) != OK)
		return r;
	return feed_open(&f->out, f->loop, &out, &out_callbacks, f);
}

static int
start(struct function *f)
{
	struct child_conf conf = {
	    .argv = f->conf->command,
	    .envp = f->envp,
	    .pipe_in = true,
	    .pipe_out = f->conf->has_out_tag,
	};
	int r;

	r = child_spawn(
	    &f->child, f->loop, &conf, &f->in_fd, &f->out_fd, on_exited, f);
	if (r != OK)
		return r;
	f->status = -1;
	f->deaf = f->stalled = false;
	if ((r = attach(f)) != OK) {
		close_pipes(f);
		return r;
	}
	log_debug("started '%s' as process %d", f->conf->command[0],
	    (int)child_pid(f->child));
	f->ops->room(f->arg);
	return OK;
}

int
function_open(struct function **out, struct loop *l,
    const struct sfn_conf *conf, const struct function_ops *ops, void *arg)
{
	struct function *f;
	int r;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ERR_NOMEM;
	f->conf = conf;
	f->ops = ops;
	f->arg = arg;
	f->loop = l;
	f->in_fd = f->out_fd = -1;
	f->backoff = BACKOFF_MIN;
	f->minute_from = loop_clock();
	f->timer = (struct timer){.fn = on_timer, .arg = f};
	if ((r = make_environment(f)) != OK || (r = start(f)) != OK) {
		function_free(f);
		return r;
	}
	*out = f;
	return OK;
}

void
function_finish(struct function *f)
{
	if (f->finished)
		return;
	f->finished = true;
	if (f->in != NULL)
		drain_finish(f->in);
	else if (f->child == NULL) /* waiting to be started again */
		finish_with(f, exit_status(f->status));
}

size_t
function_waiting(const struct function *f)
{
	return f->in != NULL ? drain_waiting(f->in) : 0;
}

uint64_t
function_in_doubt(const struct function *f)
{
	return f->in_doubt;
}

void
function_free(struct function *f)
{
	if (f == NULL)
		return;
	timer_stop(f->loop, &f->timer);
	if (f->child != NULL && f->status < 0)
		child_kill(f->child, SIGTERM);
	close_pipes(f);
	framing_free(f->framing);
	free(f->envp);
	free(f);
}
