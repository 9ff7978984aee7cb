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
#include "link/inbox.h"
#include "tls/tls.h"
#include "wire/frame.h"
#include "wire/lane.h"

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
	/*
	 * What only a zipper of ours can do, as does it to observe more tags
	 * than GREETING_TAGS_MAX: another one ends it, done(76).
	 */
	enum observe_policy policy; /* when we are slow; 0: as is the rule */
	const char *group;	    /* share the messages with it; or NULL */
	uint64_t prefetch;	    /* messages at a time; 0: as is usual */
	bool says_taken;	    /* client_taken() will be called */
	struct tag_set interest;    /* tell who observes these; borrowed */
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
	/* Messages were lost here, in the order of their tag; as data.  NULL:
	 * that is counted. */
	bool (*gap)(
	    void *arg, const struct gap_frame *g, const struct frame *f);
	/* So many observe this tag of conf.interest; whenever that changes,
	 * and once at the beginning. */
	void (*interest)(void *arg, uint32_t tag, uint32_t observers);
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
/* Queue a frame, of this tag, as it is. */
int client_forward(struct client *c, uint32_t tag, struct view frame);

/*
 * A message of a session, which has a lane of its own where there are lanes.
 * At its end that is given back.
 */
int client_send_session(
    struct client *c, struct view session, const struct data_frame *d);
void client_end_session(struct client *c, uint32_t tag, struct view session);

/*
 * More would go over conf.queue, in the queue of some tag, or over eight times
 * as much in all: wait for room(), and ask again.
 */
bool client_full(struct client *c);
/* The same, but of the queues only that of this tag counts. */
bool client_full_for(struct client *c, uint32_t tag);

/* After data() or other() returned false. */
void client_resume(struct client *c);

/*
 * With conf.says_taken: what data() gives is named by a ticket, to be had
 * during the call, until it has been taken, which a group's zipper is told.
 */
struct inbox_ticket client_ticket(const struct client *c);
void client_taken(struct client *c, struct inbox_ticket ticket);

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
	uint64_t sent;	     /* messages queued */
	uint64_t in_doubt;   /* of them, on connections that were lost */
	uint64_t received;   /* Data frames taken */
	uint64_t untaken;    /* held back until they had to be dropped */
	uint64_t lost;	     /* connections */
	uint64_t waiting;    /* messages' bytes not yet acknowledged */
	uint64_t unobserved; /* messages sent that had no observer, as told */
	uint64_t missing;    /* messages to us that were lost, as told */
};
struct client_counts client_counts(const struct client *c);

/* The pipe link: standard output is closed, which is why it is done. */
bool client_lost_reader(const struct client *c);

/* The peer, for the log. */
const char *client_peer(const struct client *c);

#endif /* LINK_CLIENT_H */
