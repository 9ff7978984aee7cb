/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/port.h"

#define PROC_FD_MAX 32

/* A terminal that another open(2) reaches; that of /dev/ptmx makes a new one.
 */
static bool
is_terminal(int fd, const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev != makedev(5, 2) &&
	       isatty(fd) == 1;
}

/*
 * Open again what fd is open on, for an open file description of our own: its
 * O_NONBLOCK is then nobody else's.  -1: refused.
 */
static int
reopen(const struct port_conf *c)
{
	int flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	char path[PROC_FD_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", c->fd);
	return open(path, flags | (c->writing ? O_WRONLY : O_RDONLY));
}

typedef int (*open_watch_fn)(
    struct watch **, struct loop *, int, void (*)(void *, int), void *);

struct notify {
	struct loop *loop;
	void (*ready)(void *arg, int events);
	void *arg;
};

/* Watch p->fd, or leave the watch NULL if it never waits. */
static int
watch(struct port *p, const struct notify *n, open_watch_fn open_watch)
{
	int r = open_watch(&p->watch, n->loop, p->fd, n->ready, n->arg);

	return r == ERR_NONE ? OK : r;
}

/* Let a thread wait for what we cannot, if conf.fd is ever to be waited for. */
static int
watch_pump(struct port *p, const struct notify *n)
{
	int r;

	if ((r = watch(p, n, watch_open_shared)) != OK || p->watch == NULL)
		return r;
	watch_close(p->watch);
	p->watch = NULL;
	if ((r = pump_new(&p->pump, p->conf.fd, p->conf.writing, &p->fd)) != OK)
		return r;
	p->socket = true;
	return watch(p, n, watch_open);
}

/* Not if fd is no pipe, if it holds more already, or if we may not. */
static void
enlarge(int fd)
{
	if (fcntl(fd, F_GETPIPE_SZ) < (int)PORT_PIPE)
		(void)fcntl(fd, F_SETPIPE_SZ, (int)PORT_PIPE);
}

static int
open_port(struct port *p, const struct notify *n)
{
	const struct port_conf *c = &p->conf;
	int access = c->writing ? O_WRONLY : O_RDONLY;
	int flags = fcntl(c->fd, F_GETFL);
	struct stat st;
	int fd;

	if (flags == -1 || fstat(c->fd, &st) == -1) {
		log_sys("cannot use %s", c->name);
		return ERR_SYS;
	}
	if ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != access) {
		errno = EBADF; /* opening it again might succeed */
		log_sys("cannot %s %s", c->writing ? "write" : "read", c->name);
		return ERR_SYS;
	}
	p->tty = S_ISCHR(st.st_mode) && isatty(c->fd) == 1;
	p->socket = S_ISSOCK(st.st_mode);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return OK; /* even if /proc would have them watched */
	if (!c->owned || !c->writing)
		enlarge(c->fd);
	if (c->owned)
		return watch(p, n, watch_open);
	if (p->socket)
		return watch(p, n, watch_open_shared);
	if ((S_ISFIFO(st.st_mode) || is_terminal(c->fd, &st)) &&
	    (fd = reopen(c)) != -1) {
		p->fd = fd;
		return watch(p, n, watch_open);
	}
	return watch_pump(p, n);
}

int
port_open(struct port *p, struct loop *l, const struct port_conf *conf,
    void (*ready)(void *arg, int events), void *arg)
{
	struct notify n = {l, ready, arg};
	int r;

	*p = (struct port){.conf = *conf, .fd = conf->fd};
	if ((r = open_port(p, &n)) != OK)
		port_close(p);
	return r;
}

ssize_t
port_read(struct port *p, void *to, size_t n)
{
	ssize_t r;

	do
		r = p->socket ? recv(p->fd, to, n, MSG_DONTWAIT)
			      : read(p->fd, to, n);
	while (r == -1 && errno == EINTR);
	return r;
}

ssize_t
port_write(struct port *p, const void *from, size_t n)
{
	ssize_t r;

	do
		r = p->socket
			? send(p->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL)
			: write(p->fd, from, n);
	while (r == -1 && errno == EINTR);
	return r;
}

ssize_t
port_writev(struct port *p, struct iovec *v, size_t n)
{
	struct msghdr msg = {.msg_iov = v, .msg_iovlen = n};
	ssize_t r;

	do
		r = p->socket
			? sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)
			: writev(p->fd, v, (int)n);
	while (r == -1 && errno == EINTR);
	return r;
}

bool
port_finish(struct port *p)
{
	if (p->pump != NULL)
		shutdown(p->fd, SHUT_WR);
	return p->pump != NULL;
}

int
port_result(struct port *p, int err)
{
	const struct port_conf *c = &p->conf;

	if (p->pump != NULL)
		err = pump_join(p->pump);
	if (err == 0)
		return OK;
	if (!c->writing && err == EIO && p->tty)
		return OK; /* hung up */
	if (!c->writing && err == ECONNRESET && c->owned)
		return ERR_GONE; /* a peer's end, not our trouble */
	if (c->writing &&
	    (err == EPIPE || err == ECONNRESET || (err == EIO && p->tty)))
		return ERR_GONE;
	errno = err;
	log_sys("cannot %s %s", c->writing ? "write" : "read", c->name);
	return ERR_SYS;
}

void
port_close(struct port *p)
{
	watch_close(p->watch);
	p->watch = NULL;
	pump_free(p->pump);
	p->pump = NULL;
	if (p->fd != p->conf.fd)
		close(p->fd);
	p->fd = p->conf.fd;
}
