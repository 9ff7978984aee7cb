/* SPDX-License-Identifier: ISC */
/*
 * Tell the service manager how far we are: the protocol of sd_notify(3),
 * spoken to the socket that NOTIFY_SOCKET names.  Without one, all of this is
 * nothing.  A manager that cannot be told is only said in the log.
 */
#ifndef NET_NOTIFY_H
#define NET_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: there is no manager */
	struct sockaddr_un to;
	socklen_t len; /* of to */
};

/*
 * Call once, early: NOTIFY_SOCKET is taken out of the environment, so that
 * children do not speak for us.
 */
void notify_init(struct notify *n);
void notify_fini(struct notify *n);

/* Up and serving; also when a reload is complete.  status is one line. */
void notify_ready(const struct notify *n, const char *status);

/* SIGHUP: what follows, up to notify_ready(), is a reload. */
void notify_reloading(const struct notify *n);

/* On the way down. */
void notify_stopping(const struct notify *n);

#endif /* NET_NOTIFY_H */
