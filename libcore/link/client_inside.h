/* SPDX-License-Identifier: ISC */
/*
 * Of link/client only: what its parts know of each other.
 *
 * client.c       states, the link, the end
 * client_dial.c  from the names of zippers to a link that comes up
 * client_talk.c  what client and zipper say on the link's own stream
 */
#ifndef LINK_CLIENT_INSIDE_H
#define LINK_CLIENT_INSIDE_H

#include "link/client.h"
#include "link/itinerary.h"
#include "link/outbox.h"
#include "net/resolve.h"

enum client_state {
	CLIENT_RESTING,	  /* until the next attempt */
	CLIENT_RESOLVING, /* a name is being looked up */
	CLIENT_DIALING,	  /* a link is coming up */
	CLIENT_GREETING,  /* our Handshake is sent; waiting for the answer */
	CLIENT_OBSERVING, /* it was good; waiting for what we observe */
	CLIENT_READY,	  /* frames may flow both ways */
	CLIENT_ENDING,	  /* our FIN is queued; waiting for the zipper's */
	CLIENT_OVER,	  /* done() is called, or about to be */
};

struct client {
	const struct client_conf *conf;
	const struct client_ops *ops;
	void *arg;
	struct loop *loop;
	enum client_state state;
	struct link *link;
	struct resolve *resolve;
	struct outbox out;
	struct inbox in;
	struct timer deadline; /* of the first connection, or of coming back */
	struct timer pause;    /* resting, waiting for the Ack, lingering */
	struct timer trim;     /* while something may be idle */
	struct task tell;      /* what was taken */
	struct task over;      /* calls done() */
	int status;

	struct itinerary way; /* where to try next */
	unsigned attempts;
	uint64_t ready_at;	     /* ns */
	char why[LINK_REASON + 128]; /* the latest attempt failed */

	bool was_ready;
	bool finish_wanted;
	bool lost_reader;
	bool loss_untold; /* ops.lost() is owed */
	bool malformed;	  /* what the pipe brought; nothing more is read */
	bool giving_up;	  /* no connection is worth waiting for */
	uint64_t in_doubt;
	uint64_t lost; /* connections */
};

/* --- client.c --- */

extern const struct link_ops client_link_ops;

/* No zipper is named: the link is a pipe. */
bool client_is_pipe(const struct client *c);

/* The only place where a client changes state. */
void client_set_state(struct client *c, enum client_state to);

/* It is over, with this exit status; said in the log; done() follows. */
void client_fail(
    struct client *c, int status, const char *verb, const char *why);
void client_fail_without_memory(struct client *c, const char *verb);
/* The same, without a word more. */
void client_end(struct client *c, int status);

/* (Re)arm t, which is one of its own: ns from now. */
void client_wait(struct client *c, struct timer *t, uint64_t ns);

/* Greeted, and what it observes is known. */
void client_become_ready(struct client *c);

/* Leave this zipper for the next that client_dial() finds. */
void client_leave(struct client *c, const char *reason);

/* --- client_dial.c --- */

/* Try the next address, or look one up. */
void client_dial(struct client *c);

/* This attempt failed: the next address, the next zipper, or a rest. */
void client_dial_next(struct client *c);

/* From the first zipper on, after a rest that grows. */
void client_dial_again(struct client *c);

/* --- client_talk.c --- */

/* The link is up: queue the greeting. */
void client_talk_greet(struct client *c);

/* A frame that is no message came. */
void client_talk_hear(struct client *c, const struct frame *f);

/* The peer's words, without our secret: Go repeats the token it refuses. */
void client_talk_quote(
    const struct client *c, struct view text, char out[LINK_REASON]);

#endif /* LINK_CLIENT_INSIDE_H */
