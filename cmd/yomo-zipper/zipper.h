/* SPDX-License-Identifier: ISC */
/* yomo-zipper: routes messages by tag to whoever observes the tag. */
#ifndef ZIPPER_H
#define ZIPPER_H

#include "link/listener.h"
#include "loaded.h"
#include "net/loop.h"
#include "net/process.h"
#include "proto/hello.h"
#include "proto/intake.h"

struct peer;
TAILQ_HEAD(peers, peer);
struct cut;
TAILQ_HEAD(cuts, cut);

struct zipper {
	const struct opt_program *program;
	struct zipper_conf *conf;
	struct loop *loop;
	struct router_conf routing;
	struct router *router;
	struct listener *listener;
	struct loaded loaded;
	struct hello_rules rules;
	char reachable[ADDR_TEXT]; /* for other machines; "": only for ours */
	struct peers peers;
	size_t n_peers;
	struct peers curious; /* who want to hear who observes what */
	struct peers parked;  /* sources that wait for memory */
	struct peer *senior;  /* the one of them that may end its message */
	struct peer *pipe;    /* with --pipe */
	struct cuts cuts;     /* that wait to be told */
	size_t n_cuts;
	uint64_t full_since; /* parked has somebody */
	uint64_t senior_since;
	size_t windows;	   /* what peers may send ahead, beyond the first */
	struct timer tick; /* housekeeping, once a second */
	struct timer grace;
	uint64_t connections;	  /* so far */
	struct outq_loss orphans; /* queued for peers that left */
	struct process_wish wish; /* to end */
	int status;		  /* after the drain */
	bool draining;
	bool no_reader; /* the pipe's output is closed */
};

/* Listen, serve until a signal, and return the exit status. */
int zipper_run(const struct opt_program *program, struct zipper_conf *conf);

/* Take nothing new, deliver what is queued, then end with status. */
void zipper_drain(struct zipper *z, int status);

/* A drain may be complete. */
void zipper_settle(struct zipper *z);

#endif /* ZIPPER_H */
