/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "link/listener.h"
#include "link/pipelink.h"
#include "link/quiclink.h"

#define BACKLOG 128
#define ACCEPTS_A_TURN 32
#define BREAK_NS 1000000000u

/* A UDP socket, shared by all connections that came in through it. */
struct udp_door {
	struct listener *listener;
	struct egress egress;
	TAILQ_ENTRY(udp_door) link;
};

/* A unix socket. */
struct unix_door {
	struct listener *listener;
	int fd;
	struct watch *watch;
	struct timer pause; /* too many descriptors are open */
	char *path;
	bool only_us; /* our user and root */
	TAILQ_ENTRY(unix_door) link;
};

struct listener {
	struct loop *loop;
	struct listener_conf conf;
	const struct listener_ops *ops;
	void *arg;
	struct quic_server *server;
	struct udp_door *current; /* whose datagram is being looked at */
	bool stopped;
	TAILQ_HEAD(, udp_door) ports;
	TAILQ_HEAD(, unix_door) doors;
};

/* --- QUIC --- */

static void *
on_connection(void *arg, struct quic *q, const struct quic_ops **ops)
{
	struct listener *l = arg;
	struct link *link;

	if (l->stopped)
		return NULL;
	link = quiclink_accept(l->loop, &l->current->egress, q, ops);
	if (link == NULL)
		return NULL;
	if (!l->ops->accept(l->arg, link)) {
		quiclink_refuse(link);
		return NULL;
	}
	return link;
}

static void
on_stray(void *arg, struct view datagram, const struct addr *to,
    const struct addr *from)
{
	struct listener *l = arg;

	/* An answer to a stranger may be lost. */
	(void)udp_send(
	    l->current->egress.udp, datagram, datagram.len, to, from, 0);
}

static const struct quic_server_ops server_callbacks = {
    .accept = on_connection,
    .touched = quiclink_touched,
    .send = on_stray,
};

static void
on_datagram(void *arg, const struct udp_packet *p)
{
	struct udp_door *port = arg;
	struct listener *l = port->listener;

	l->current = port;
	quic_server_read(
	    l->server, p->bytes, p->to, p->from, p->ecn, loop_now(l->loop));
}

static void
on_datagrams_done(void *arg)
{
	(void)arg; /* who was touched has posted its task */
}

static void
on_room(void *arg)
{
	struct udp_door *port = arg;

	egress_room(&port->egress);
}

static void
on_refused(void *arg, int err)
{
	(void)arg;
	(void)err; /* one of many clients is gone: its time-out will tell */
}

static const struct udp_ops udp_callbacks = {
    .datagram = on_datagram,
    .pause = on_datagrams_done,
    .room = on_room,
    .refused = on_refused,
};

static void
close_port(struct udp_door *port)
{
	TAILQ_REMOVE(&port->listener->ports, port, link);
	egress_fini(&port->egress);
	free(port);
}

/* The first socket tells how large datagrams may be: all are alike. */
static int
ensure_server(struct listener *l, size_t payload_max)
{
	if (l->server != NULL)
		return OK;
	l->conf.quic.conn.payload_max = payload_max;
	return quic_server_new(&l->server, &l->conf.quic, &server_callbacks, l);
}

int
listener_udp(struct listener *l, struct addr *at)
{
	struct udp_door *port;
	int r;

	if ((port = calloc(1, sizeof(*port))) == NULL)
		return ERR_NOMEM;
	port->listener = l;
	egress_init(&port->egress);
	TAILQ_INSERT_TAIL(&l->ports, port, link);
	r = udp_open(
	    &port->egress.udp, l->loop, at, NULL, &udp_callbacks, port);
	if (r == OK)
		r = ensure_server(l, udp_payload_max(port->egress.udp));
	if (r != OK) {
		close_port(port);
		return r;
	}
	*at = *udp_local(port->egress.udp);
	return OK;
}

/* --- unix sockets --- */

static bool
is_welcome(const struct unix_door *d, int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (!d->only_us)
		return true; /* the mode of the socket has decided */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) {
		log_sys("cannot tell who connects to '%s'", d->path);
		return false;
	}
	if (peer.uid == geteuid() || peer.uid == 0)
		return true;
	log_info("user %u may not connect to '%s': see --unix-mode",
	    (unsigned)peer.uid, d->path);
	return false;
}

/* Somebody who is asked for a link before the link knows its owner. */
static const struct link_ops no_ops;

static void
admit(struct unix_door *d, int fd)
{
	struct listener *l = d->listener;
	struct link *link;

	if (!is_welcome(d, fd)) {
		close(fd);
		return;
	}
	if (pipelink_accept(&link, l->loop, fd, &no_ops, NULL) != OK)
		return;
	if (!l->ops->accept(l->arg, link))
		link_close(link, 0, "");
}

/* Who knocks stays at the door, and would be heard for ever. */
static void
take_a_break(struct unix_door *d)
{
	struct loop *loop = d->listener->loop;

	watch_want(d->watch, 0);
	timer_set(loop, &d->pause, loop_now(loop) + BREAK_NS);
}

static void
on_door(void *arg, int events)
{
	struct unix_door *d = arg;
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPTS_A_TURN; i++) {
		fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED &&
		    errno != EINTR) {
			log_sys("cannot accept on '%s'", d->path);
			take_a_break(d);
		}
		if (fd < 0)
			return;
		admit(d, fd);
	}
}

static void
on_break_over(void *arg)
{
	struct unix_door *d = arg;

	watch_want(d->watch, WATCH_IN);
}

/* A socket file left by a zipper that is no more is in the way. */
static void
remove_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd, r;

	if (lstat(sun->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	r = connect(fd, (const struct sockaddr *)sun, sizeof(*sun));
	if (r < 0 && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

static void
close_door(struct unix_door *d)
{
	TAILQ_REMOVE(&d->listener->doors, d, link);
	timer_stop(d->listener->loop, &d->pause);
	watch_close(d->watch);
	if (d->fd >= 0)
		close(d->fd);
	if (d->path != NULL)
		unlink(d->path);
	free(d->path);
	free(d);
}

static int
bind_door(int fd, const struct sockaddr_un *sun, mode_t mode, gid_t gid)
{
	/* Nobody may slip in between bind and chmod. */
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));

	umask(mask);
	if (r < 0)
		return r;
	if (gid != (gid_t)-1 && chown(sun->sun_path, (uid_t)-1, gid) < 0)
		return -1;
	if (mode != 0 && chmod(sun->sun_path, mode) < 0)
		return -1;
	return listen(fd, BACKLOG);
}

int
listener_unix(struct listener *l, const char *path, mode_t mode, gid_t gid)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct unix_door *d;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		log_error("cannot listen on '%s': the path is too long", path);
		return ERR_SYS;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ERR_NOMEM;
	d->listener = l;
	d->pause = (struct timer){.fn = on_break_over, .arg = d};
	d->only_us = mode == 0 && gid == (gid_t)-1;
	TAILQ_INSERT_TAIL(&l->doors, d, link);
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0)
		goto fail;
	remove_stale(&sun);
	if (bind_door(d->fd, &sun, mode, gid) < 0)
		goto fail;
	if ((d->path = strdup(path)) == NULL)
		goto fail;
	if (watch_open(&d->watch, l->loop, d->fd, on_door, d) != OK)
		goto fail;
	watch_want(d->watch, WATCH_IN);
	return OK;

fail:
	log_sys("cannot listen on '%s'", path);
	close_door(d);
	return ERR_SYS;
}

/* --- exported --- */

int
listener_new(struct listener **out, struct loop *loop,
    const struct listener_conf *conf, const struct listener_ops *ops, void *arg)
{
	struct listener *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return ERR_NOMEM;
	l->loop = loop;
	l->conf = *conf;
	l->ops = ops;
	l->arg = arg;
	TAILQ_INIT(&l->ports);
	TAILQ_INIT(&l->doors);
	*out = l;
	return OK;
}

void
listener_stop(struct listener *l)
{
	struct unix_door *d;

	l->stopped = true;
	while ((d = TAILQ_FIRST(&l->doors)) != NULL)
		close_door(d);
}

void
listener_free(struct listener *l)
{
	struct udp_door *port;

	if (l == NULL)
		return;
	listener_stop(l);
	/* Links that were closed and could not say so yet go without. */
	TAILQ_FOREACH(port, &l->ports, link)
		egress_abandon(&port->egress);
	loop_flush(l->loop);
	quic_server_free(l->server);
	while ((port = TAILQ_FIRST(&l->ports)) != NULL)
		close_port(port);
	free(l);
}

void
listener_set_tls(struct listener *l, struct tls *tls)
{
	l->conf.quic.conn.tls = tls;
	if (l->server != NULL)
		quic_server_set_tls(l->server, tls);
}

const struct quic_counts *
listener_counts(const struct listener *l)
{
	static const struct quic_counts none;

	return l->server != NULL ? quic_server_counts(l->server) : &none;
}
