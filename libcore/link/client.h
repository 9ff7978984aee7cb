/* SPDX-License-Identifier: ISC */
/*
 * A client of a zipper: connects, greets, comes back when the connection is
 * lost, and knows what is in doubt.  On the pipe link the same, without
 * greeting.  yomo(7), "What happens to a message", is what it does.
 */
#ifndef LINK_CLIENT_H
#define LINK_CLIENT_H

#include "auth/auth.h"
#include "conf/values.h"
#include "link/link.h"
#include "proto/intake.h"
#include "tls/tls.h"
#include "wire/frame.h"

struct client;

struct client_conf {
	/* The zippers: the first that answers is used.  None: the pipe link,
	 * which reads in_fd and writes out_fd (-1: not). */
	const struct endpoint *zippers;
	size_t n_zippers;
	int in_fd;
	int out_fd;
	struct tls *tls;		     /* for QUIC, else NULL; borrowed */
	const struct credential *credential; /* or NULL */
	const char *name;
	const char *id; /* AUTH_ID_SIZE characters; "-N" is added */
	enum client_type type;
	struct tag_set tags;	     /* observed; borrowed */
	const char *target;	     /* wanted; or NULL */
	uint64_t connect_timeout_ns; /* for the first connection; 0: for ever */
	uint64_t retry_ns;  /* for later ones; UINT64_MAX: for ever, 0: never */
	uint64_t linger_ns; /* for zippers that do not answer a FIN */
	size_t max_message; /* the longest frame accepted */
	size_t queue;	    /* bytes waiting to be sent, about */
	bool insecure;	    /* the certificate is not verified */
};

struct client_ops {
	/* Greeted: frames may be sent.  Again after each reconnection. */
	void (*ready)(void *arg);
	/*
	 * The connection was lost, and another one is sought.  After the
	 * messages that came by it, thus not before data() takes them; maybe
	 * after the next ready().
	 */
	void (*lost)(void *arg);
	/*
	 * A Data frame, valid during the call, with its place in *f.  False:
	 * not now; it comes again after client_resume().
	 */
	bool (*data)(
	    void *arg, const struct data_frame *d, const struct frame *f);
	/* Any other frame on the pipe link; as data. */
	bool (*other)(void *arg, const struct frame *f);
	/* After client_full() said true: there is room again. */
	void (*room)(void *arg);
	/*
	 * The pipe link: input has ended, every frame was taken.  Or it was
	 * malformed, which is said; then client_finish() gives done(65).
	 */
	void (*eof)(void *arg);
	/* The last call: status is an exit code, 0 after client_finish(). */
	void (*done)(void *arg, int status);
};

/* Everything of conf is borrowed until client_free(). */
int client_new(struct client **out, struct loop *loop,
    const struct client_conf *conf, const struct client_ops *ops, void *arg);

/* Without a word more to the peer; no callback comes after it. */
void client_free(struct client *c);

/* Queue a message.  ERR_NOMEM. */
int client_send(struct client *c, const struct data_frame *d);
/* Queue a frame as it is. */
int client_forward(struct client *c, struct view frame);

/* More would go over conf.queue: wait for room(). */
bool client_full(struct client *c);

/* After data() or other() returned false. */
void client_resume(struct client *c);

/* Hear no more: frames that come are dropped; for a drain. */
void client_deafen(struct client *c);

/*
 * Send what is queued, end the stream, and wait until the zipper has taken
 * it all: done(0) then, done(75) if something is in doubt.
 */
void client_finish(struct client *c);

/*
 * The same, but if nothing is queued while there is no connection, do not wait
 * for one.
 */
void client_give_up(struct client *c);

struct client_counts {
	uint64_t sent;	   /* messages queued */
	uint64_t in_doubt; /* of them, on connections that were lost */
	uint64_t received; /* Data frames taken */
	uint64_t untaken;  /* held back until they had to be dropped */
	uint64_t lost;	   /* connections */
	uint64_t waiting;  /* messages' bytes not yet acknowledged */
};
struct client_counts client_counts(const struct client *c);

/* The pipe link: standard output is closed, which is why it is done. */
bool client_lost_reader(const struct client *c);

/* The peer, for the log. */
const char *client_peer(const struct client *c);

#endif /* LINK_CLIENT_H */
