/* SPDX-License-Identifier: ISC */
/* Where clients come in: UDP sockets for QUIC, unix sockets. */
#ifndef LINK_LISTENER_H
#define LINK_LISTENER_H

#include <sys/types.h>

#include "base/addr.h"
#include "link/link.h"
#include "quic/server.h"

struct listener;

struct listener_conf {
	/* conn.payload_max is filled in by the listener. */
	struct quic_server_conf quic;
};

struct listener_ops {
	/*
	 * A client: set l->ops, l->arg and l->out, and return true; false
	 * refuses it.  up() follows once it is there in earnest.
	 */
	bool (*accept)(void *arg, struct link *l);
};

int listener_new(struct listener **out, struct loop *loop,
    const struct listener_conf *conf, const struct listener_ops *ops,
    void *arg);

/* Stop and close.  All links must have been closed and be gone. */
void listener_free(struct listener *l);

/* Take nobody new; those who are here stay. */
void listener_stop(struct listener *l);

/*
 * Listen on UDP at *at; port 0 becomes the port the kernel chose.
 *
 * ERR_NONE  this machine has no such address, not said in the log
 * ERR_SYS   said in the log
 */
int listener_udp(struct listener *l, struct addr *at);

/*
 * Listen on a unix socket at path, made with mode and, if gid is not -1, that
 * group.  A socket that nobody listens on any more is replaced.  Without a
 * mode of its own (0) it is 0600, and only our user and root get in.
 * ERR_SYS, said in the log.
 */
int listener_unix(struct listener *l, const char *path, mode_t mode, gid_t gid);

/* Another certificate, for connections to come. */
void listener_set_tls(struct listener *l, struct tls *tls);

const struct quic_counts *listener_counts(const struct listener *l);

#endif /* LINK_LISTENER_H */
