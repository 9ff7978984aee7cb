/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/resolve.h"

#define NS_PER_S 1000000000u
#define HEAP_MIN 16
#define NEVER UINT64_MAX
/*
 * What is asked of libuv besides IN and OUT.  Hang-ups and errors come with any
 * event asked for, but one must be; this one never comes for what we watch
 * (UV_DISCONNECT comes also when the peer has merely ended its half).
 */
#define QUIET UV_PRIORITIZED

TAILQ_HEAD(task_list, task);

struct sig {
	uv_signal_t uv;
	void (*fn)(void *arg, int signo);
	void *arg;
	struct loop *loop;
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while tasks wait: then the loop won't sleep */
	uint64_t now;
	bool awake; /* now has been read in this turn */
	bool stopping;
	int status;
	size_t watches; /* open */

	struct task_list tasks;
	struct task_list later; /* posted again after they ran in this turn */
	bool running_tasks;
	uint64_t turn;

	struct watch *clock; /* on timerfd */
	int timerfd;
	uint64_t armed;	     /* when timerfd fires; NEVER */
	bool expiring;	     /* timers are being called */
	struct timer **heap; /* the earliest in heap[1] */
	size_t heap_len;
	size_t heap_cap;

	void *scratch;
};

struct watch {
	uv_poll_t uv; /* of fd, or of epoll */
	struct loop *loop;
	void (*fn)(void *arg, int events);
	void *arg;
	int fd;
	int epoll;	 /* our own, with only fd in it; -1: none */
	bool registered; /* fd in epoll */
	int asked;	 /* UV_* or EPOLL* bits; -1: nothing can come */
};

/* The first event of a turn reads the clock for all of it. */
static void
begin_turn(struct loop *l)
{
	if (l->awake)
		return;
	l->awake = true;
	l->now = loop_clock();
}

/* Timers: a binary heap by time, so that setting and stopping cost O(log n). */

static void
place(struct loop *l, size_t i, struct timer *t)
{
	l->heap[i] = t;
	t->index = i;
}

/* Put t into the hole at i, or where the order wants it above or below. */
static void
settle(struct loop *l, size_t i, struct timer *t)
{
	size_t child;

	for (; i > 1 && t->at < l->heap[i / 2]->at; i /= 2)
		place(l, i, l->heap[i / 2]);
	for (; (child = 2 * i) <= l->heap_len; i = child) {
		if (child < l->heap_len &&
		    l->heap[child + 1]->at < l->heap[child]->at)
			child++;
		if (t->at <= l->heap[child]->at)
			break;
		place(l, i, l->heap[child]);
	}
	place(l, i, t);
}

static int
grow_heap(struct loop *l)
{
	size_t cap = l->heap_cap > 0 ? 2 * l->heap_cap : HEAP_MIN;
	struct timer **heap;

	if ((heap = realloc(l->heap, cap * sizeof(struct timer *))) == NULL)
		return ERR_NOMEM;
	l->heap = heap;
	l->heap_cap = cap;
	return OK;
}

int
timer_set(struct loop *l, struct timer *t, uint64_t at)
{
	size_t i = t->index;
	int r;

	/* What is set while timers are called waits: else it could starve all.
	 */
	if (l->expiring && at <= l->now)
		at = l->now + 1;
	if (i == 0) {
		if (l->heap_len + 1 >= l->heap_cap && (r = grow_heap(l)) != OK)
			return r;
		i = ++l->heap_len;
	}
	t->at = at;
	settle(l, i, t);
	return OK;
}

void
timer_stop(struct loop *l, struct timer *t)
{
	struct timer *last;
	size_t i = t->index;

	if (i == 0)
		return;
	assert(l->heap[i] == t);
	t->index = 0;
	last = l->heap[l->heap_len--];
	if (last != t)
		settle(l, i, last);
}

/*
 * Have timerfd fire for the earliest timer.  One that is armed too early, for a
 * timer since stopped or put off, is left: deadlines move with every packet,
 * and one idle wake-up costs less than a system call each.
 */
static void
arm(struct loop *l)
{
	uint64_t at = l->heap_len > 0 ? l->heap[1]->at : NEVER;
	struct itimerspec when = {0};

	if (at >= l->armed)
		return;
	l->armed = at;
	when.it_value.tv_sec = (time_t)(at / NS_PER_S);
	when.it_value.tv_nsec = (long)(at % NS_PER_S);
	if (at == 0)
		when.it_value.tv_nsec = 1; /* zero would disarm it */
	if (timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &when, NULL) == -1)
		log_sys("cannot set a timer");
}

static void
on_clock(void *arg, int events)
{
	struct loop *l = arg;
	struct timer *t;
	uint64_t fired;

	(void)events;
	if (read(l->timerfd, &fired, sizeof(fired)) != sizeof(fired))
		return;
	l->armed = NEVER;
	l->expiring = true;
	while (l->heap_len > 0 && (t = l->heap[1])->at <= l->now) {
		timer_stop(l, t);
		t->fn(t->arg);
	}
	l->expiring = false;
}

/* Tasks */

/* An active idle handle keeps the loop from sleeping; that is its work. */
static void
on_idle(uv_idle_t *uv)
{
	(void)uv;
}

/* The list that holds t, or will. */
static struct task_list *
list_of(struct loop *l, const struct task *t)
{
	return l->running_tasks && t->ran == l->turn ? &l->later : &l->tasks;
}

void
task_post(struct loop *l, struct task *t)
{
	if (t->posted)
		return;
	t->posted = true;
	TAILQ_INSERT_TAIL(list_of(l, t), t, link);
	uv_idle_start(&l->idle, on_idle);
}

void
task_cancel(struct loop *l, struct task *t)
{
	if (!t->posted)
		return;
	t->posted = false;
	TAILQ_REMOVE(list_of(l, t), t, link);
}

/* Run what is posted, and what that posts, but nothing twice. */
static void
run_tasks(struct loop *l)
{
	struct task *t;

	l->turn++;
	l->running_tasks = true;
	while ((t = TAILQ_FIRST(&l->tasks)) != NULL) {
		task_cancel(l, t);
		t->ran = l->turn;
		t->fn(t->arg);
	}
	l->running_tasks = false;
	TAILQ_CONCAT(&l->tasks, &l->later, link);
}

/* Watches */

/* A hang-up or an error, not only the end of what the peer sends. */
static bool
is_gone(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 &&
	       (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void on_poll(uv_poll_t *uv, int status, int events);

static void
ask_uv(struct watch *w, int mask)
{
	w->asked = mask;
	if (mask == -1)
		uv_poll_stop(&w->uv);
	else
		uv_poll_start(&w->uv, mask, on_poll);
}

static void
ask_epoll(struct watch *w, int mask)
{
	struct epoll_event e = {.events = mask == -1 ? 0 : (uint32_t)mask};
	int op = mask == -1	 ? EPOLL_CTL_DEL
		 : w->registered ? EPOLL_CTL_MOD
				 : EPOLL_CTL_ADD;

	w->asked = mask;
	w->registered = mask != -1;
	if (epoll_ctl(w->epoll, op, w->fd, &e) == -1)
		log_sys("cannot watch descriptor %d", w->fd);
}

static int
take_uv(struct watch *w, int status, int events)
{
	int got = (events & UV_READABLE ? WATCH_IN : 0) |
		  (events & UV_WRITABLE ? WATCH_OUT : 0);

	/* libuv says EBADF for POLLERR, and has stopped the handle. */
	if (status < 0 || ((events & QUIET) && is_gone(w->fd))) {
		ask_uv(w, -1);
		return got | WATCH_GONE;
	}
	if (events & QUIET) /* urgent data, of which nobody will take note */
		ask_uv(w, w->asked == QUIET ? -1 : w->asked & ~QUIET);
	return got;
}

static int
take_epoll(struct watch *w)
{
	struct epoll_event e;
	int got;

	if (epoll_wait(w->epoll, &e, 1, 0) != 1)
		return 0;
	got = (e.events & EPOLLIN ? WATCH_IN : 0) |
	      (e.events & EPOLLOUT ? WATCH_OUT : 0);
	if (e.events & (EPOLLHUP | EPOLLERR)) {
		ask_epoll(w, -1);
		got |= WATCH_GONE;
	}
	return got;
}

static void
on_poll(uv_poll_t *uv, int status, int events)
{
	struct watch *w = uv->data;
	int got;

	begin_turn(w->loop);
	got = w->epoll == -1 ? take_uv(w, status, events) : take_epoll(w);
	if (got != 0)
		w->fn(w->arg, got);
}

void
watch_want(struct watch *w, int events)
{
	int mask;

	if (w->epoll == -1) {
		mask = (events & WATCH_IN ? UV_READABLE : 0) |
		       (events & WATCH_OUT ? UV_WRITABLE : 0) | QUIET;
		if (mask != w->asked)
			ask_uv(w, mask);
	} else {
		mask = (events & WATCH_IN ? EPOLLIN : 0) |
		       (events & WATCH_OUT ? EPOLLOUT : 0);
		if (mask != w->asked)
			ask_epoll(w, mask);
	}
}

static void
on_watch_closed(uv_handle_t *h)
{
	free(h->data);
}

/* Watch polled, which is fd or stands for it. */
static int
start_watch(struct watch *w, int polled)
{
	int r;

	if ((r = uv_poll_init(&w->loop->uv, &w->uv, polled)) != 0) {
		if (r == UV_EPERM)
			return ERR_NONE;
		log_error(
		    "cannot watch descriptor %d: %s", w->fd, uv_strerror(r));
		return ERR_SYS;
	}
	w->uv.data = w;
	w->loop->watches++;
	return OK;
}

static struct watch *
new_watch(struct loop *l, int fd, void (*fn)(void *arg, int events), void *arg)
{
	struct watch *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->loop = l;
	w->fn = fn;
	w->arg = arg;
	w->fd = fd;
	w->epoll = -1;
	w->asked = -1;
	return w;
}

int
watch_open(struct watch **out, struct loop *l, int fd,
    void (*fn)(void *arg, int events), void *arg)
{
	struct watch *w;
	int r;

	if ((w = new_watch(l, fd, fn, arg)) == NULL)
		return ERR_NOMEM;
	if ((r = start_watch(w, fd)) != OK) {
		free(w);
		return r;
	}
	watch_want(w, 0);
	*out = w;
	return OK;
}

int
watch_open_shared(struct watch **out, struct loop *l, int fd,
    void (*fn)(void *arg, int events), void *arg)
{
	struct epoll_event none = {0};
	struct watch *w;
	int r = ERR_SYS;

	if ((w = new_watch(l, fd, fn, arg)) == NULL)
		return ERR_NOMEM;
	if ((w->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1) {
		log_sys("cannot create an epoll instance");
		goto fail;
	}
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &none) == -1) {
		if (errno == EPERM)
			r = ERR_NONE;
		else
			log_sys("cannot watch descriptor %d", fd);
		goto fail;
	}
	w->registered = true;
	w->asked = 0;
	if ((r = start_watch(w, w->epoll)) != OK)
		goto fail;
	uv_poll_start(&w->uv, UV_READABLE, on_poll);
	*out = w;
	return OK;

fail:
	if (w->epoll != -1)
		close(w->epoll);
	free(w);
	return r;
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	w->loop->watches--;
	uv_close((uv_handle_t *)&w->uv, on_watch_closed);
	if (w->epoll != -1)
		close(w->epoll);
}

/* Signals */

static void
on_signal(uv_signal_t *uv, int signo)
{
	struct sig *s = uv->data;

	begin_turn(s->loop);
	s->fn(s->arg, signo);
}

static int
catch_signal(
    struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct sig *s;
	int r;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	s->fn = fn;
	s->arg = arg;
	s->loop = l;
	if ((r = uv_signal_init(&l->uv, &s->uv)) != 0) {
		log_error("cannot catch signals: %s", uv_strerror(r));
		free(s);
		return ERR_SYS;
	}
	s->uv.data = s; /* loop_free() finds it by the handle */
	if ((r = uv_signal_start(&s->uv, on_signal, signo)) != 0) {
		log_error("cannot catch signal %d: %s", signo, uv_strerror(r));
		return ERR_SYS;
	}
	return OK;
}

int
loop_signals(struct loop *l, const int *signals,
    void (*fn)(void *arg, int signo), void *arg)
{
	int r = OK;

	for (; r == OK && *signals != 0; signals++)
		r = catch_signal(l, *signals, fn, arg);
	return r;
}

/* The loop */

static void
on_prepare(uv_prepare_t *uv)
{
	arm(uv->data);
}

static void
on_check(uv_check_t *uv)
{
	struct loop *l = uv->data;

	begin_turn(l);
	run_tasks(l);
	if (TAILQ_EMPTY(&l->tasks))
		uv_idle_stop(&l->idle);
	l->awake = false;
}

static int
init_uv(struct loop *l)
{
	int r;

	if ((r = uv_loop_init(&l->uv)) != 0) {
		log_error("cannot create an event loop: %s", uv_strerror(r));
		return ERR_SYS;
	}
	/* None of these can fail. */
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	l->prepare.data = l->check.data = l;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	return OK;
}

int
loop_new(struct loop **out)
{
	struct loop *l;
	int r = ERR_NOMEM;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return ERR_NOMEM;
	TAILQ_INIT(&l->tasks);
	TAILQ_INIT(&l->later);
	l->armed = NEVER;
	l->now = loop_clock();
	l->timerfd = -1;
	if ((r = init_uv(l)) != OK) {
		free(l);
		return r;
	}
	if ((l->scratch = malloc(LOOP_SCRATCH)) == NULL) {
		r = ERR_NOMEM;
		goto fail;
	}
	l->timerfd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timerfd == -1) {
		log_sys("cannot create a timer");
		r = ERR_SYS;
		goto fail;
	}
	if ((r = watch_open(&l->clock, l, l->timerfd, on_clock, l)) != OK)
		goto fail;
	watch_want(l->clock, WATCH_IN);
	*out = l;
	return OK;

fail:
	loop_free(l);
	return r;
}

static void
close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, h->type == UV_SIGNAL ? on_watch_closed : NULL);
}

void
loop_free(struct loop *l)
{
	int busy;

	if (l == NULL)
		return;
	loop_flush(l); /* frees what was closed */
	watch_close(l->clock);
	assert(l->watches == 0);
	uv_walk(&l->uv, close_handle, NULL);
	while (uv_run(&l->uv, UV_RUN_NOWAIT) != 0 && !resolve_is_stuck())
		; /* until libuv has let go of everything */
	if (resolve_is_stuck())
		return; /* the loop is its thread's now */
	busy = uv_loop_close(&l->uv);
	assert(busy == 0);
	if (l->timerfd != -1)
		close(l->timerfd);
	free(l->heap);
	free(l->scratch);
	free(l);
}

int
loop_run(struct loop *l)
{
	l->now = loop_clock();
	uv_run(&l->uv, UV_RUN_DEFAULT);
	assert(l->stopping); /* clock is always active */
	l->stopping = false;
	return l->status;
}

void
loop_stop(struct loop *l, int status)
{
	if (l->stopping)
		return;
	l->stopping = true;
	l->status = status;
	uv_stop(&l->uv);
}

void
loop_flush(struct loop *l)
{
	while (!TAILQ_EMPTY(&l->tasks))
		run_tasks(l);
}

struct uv_loop_s *
loop_uv(struct loop *l)
{
	return &l->uv;
}

bool
loop_stopping(const struct loop *l)
{
	return l->stopping;
}

uint64_t
loop_now(const struct loop *l)
{
	return l->now;
}

uint64_t
loop_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void *
loop_scratch(struct loop *l)
{
	return l->scratch;
}
