/* SPDX-License-Identifier: ISC */
/*
 * A descriptor made fit for the loop, whatever it is and whoever shares it:
 * what feed and drain have in common.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "net/loop.h"
#include "net/pump.h"

/* What pipes are made to hold, so that both ends sleep and wake less often. */
#define PORT_PIPE (512u << 10)

struct port_conf {
	int fd;
	bool owned;   /* ours alone: O_NONBLOCK may be set */
	bool writing; /* else reading */
	const char *name;
};

struct port {
	struct port_conf conf;
	int fd;		     /* where to read or write */
	bool socket;	     /* what fd is */
	bool tty;	     /* what conf.fd is */
	struct watch *watch; /* NULL: never waits */
	struct pump *pump;   /* at the other end of fd, or NULL */
};

/*
 * Have ready(arg, WATCH_...) called as port->watch is asked for; it watches for
 * WATCH_GONE at first.  conf.fd stays the caller's, and is needed until
 * port_close().  A pipe grows to PORT_PIPE bytes if the system lets it, but for
 * one that is ours to write: a child's, where what waits dies with its reader.
 * ERR_SYS, said in the log; ERR_NOMEM.
 */
int port_open(struct port *p, struct loop *l, const struct port_conf *conf,
    void (*ready)(void *arg, int events), void *arg);

/* As read(2) and write(2) on a non-blocking descriptor, but no SIGPIPE comes
 * from sockets. */
ssize_t port_read(struct port *p, void *to, size_t n);
ssize_t port_write(struct port *p, const void *from, size_t n);
ssize_t port_writev(struct port *p, struct iovec *v, size_t n);

/*
 * Nothing more will be written.  True: the end comes later, as WATCH_GONE; else
 * it is here.
 */
bool port_finish(struct port *p);

/*
 * What an errno comes to that reading or writing, or WATCH_GONE (0, or EPIPE
 * when writing), has ended with: OK at the end of input or output, ERR_GONE
 * without a reader or a peer, or ERR_SYS, said in the log.
 */
int port_result(struct port *p, int err);

/* Also when it is closed already, or was never opened but zeroed. */
void port_close(struct port *p);

#endif /* NET_PORT_H */
