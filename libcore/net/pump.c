/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/pump.h"

#define PIECE_MAX (64u << 10)

struct pump {
	pthread_t thread;
	bool started;
	bool joined;
	bool writing;
	int fd;
	int far;   /* our end of the socket */
	int error; /* the thread's, until it is joined */
	/* Not on the stack, which the sanitizer thinks in use for ever when a
	 * thread is cancelled in poll(2). */
	struct pollfd polls[2];
	uint8_t piece[PIECE_MAX];
};

/* Wait until fd, which somebody else may have made non-blocking, is ready. */
static void
wait_for(struct pump *p, int fd, short events)
{
	p->polls[0] = (struct pollfd){.fd = fd, .events = events};
	poll(p->polls, 1, -1);
}

/* Wait for input; EPIPE if fd's reader goes away before there is any. */
static int
wait_for_input(struct pump *p)
{
	p->polls[0] = (struct pollfd){.fd = p->far, .events = POLLIN};
	p->polls[1] = (struct pollfd){.fd = p->fd};
	while (poll(p->polls, 2, -1) == -1)
		if (errno != EINTR)
			return errno;
	return p->polls[0].revents == 0 ? EPIPE : 0;
}

/* The bytes read into piece, 0 at the end, or -1. */
static ssize_t
read_piece(struct pump *p, int from)
{
	ssize_t n;

	while ((n = read(from, p->piece, PIECE_MAX)) == -1) {
		if (errno == EAGAIN)
			wait_for(p, from, POLLIN);
		else if (errno != EINTR)
			break;
	}
	return n;
}

static int
write_piece(struct pump *p, int to, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = write(to, p->piece + done, len - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			wait_for(p, to, POLLOUT);
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

static int
carry(struct pump *p)
{
	int from = p->writing ? p->far : p->fd;
	int to = p->writing ? p->fd : p->far;
	ssize_t n;
	int err;

	for (;;) {
		if (p->writing && (err = wait_for_input(p)) != 0)
			return err;
		if ((n = read_piece(p, from)) <= 0)
			return n == 0 ? 0 : errno;
		if ((err = write_piece(p, to, (size_t)n)) != 0)
			return err;
	}
}

static void *
run(void *arg)
{
	struct pump *p = arg;

	p->error = carry(p);
	shutdown(p->far, SHUT_RDWR); /* the loop sees it as a hang-up */
	return NULL;
}

/*
 * Signals are for the loop; but those with which the kernel stops a background
 * job that uses its terminal must come, or the use fails instead.
 */
static int
start(struct pump *p)
{
	sigset_t all, kept;
	int err;

	sigfillset(&all);
	sigdelset(&all, SIGTTIN);
	sigdelset(&all, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &all, &kept);
	err = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	if (err != 0) {
		errno = err;
		log_sys("cannot start a thread");
		return ERR_SYS;
	}
	p->started = true;
	return OK;
}

int
pump_new(struct pump **out, int fd, bool writing, int *near)
{
	struct pump *p;
	int ends[2];
	int r;

	if ((p = malloc(sizeof(*p))) == NULL)
		return ERR_NOMEM;
	p->started = p->joined = false;
	p->writing = writing;
	p->fd = fd;
	p->error = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		log_sys("cannot create a socket pair");
		free(p);
		return ERR_SYS;
	}
	p->far = ends[1];
	if ((r = start(p)) != OK) {
		close(ends[0]);
		pump_free(p);
		return r;
	}
	*near = ends[0];
	*out = p;
	return OK;
}

int
pump_join(struct pump *p)
{
	if (!p->joined)
		pthread_join(p->thread, NULL);
	p->joined = true;
	return p->error;
}

void
pump_free(struct pump *p)
{
	if (p == NULL)
		return;
	if (p->started && !p->joined) {
		/* It holds nothing that would have to be given back. */
		pthread_cancel(p->thread);
		pthread_join(p->thread, NULL);
	}
	close(p->far);
	free(p);
}
