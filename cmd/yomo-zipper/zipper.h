/* SPDX-License-Identifier: ISC */
/* yomo-zipper: routes messages by tag to whoever observes the tag. */
#ifndef ZIPPER_H
#define ZIPPER_H

#include "conf/common.h"
#include "link/listener.h"
#include "net/loop.h"
#include "net/process.h"
#include "proto/hello.h"
#include "proto/intake.h"
#include "route/router.h"
#include "tls/tls.h"

struct zipper_conf {
	struct common_conf common; /* first: conf/common.h */
	struct opt_list listen;
	struct opt_secrets tokens;
	const char *client_ca;
	bool open; /* beyond loopback for everybody */
	bool pipe; /* standard input is a source, output an observer */
	uint32_t unix_mode;
	const char *unix_group;
	uint32_t max_connections;
	uint32_t max_per_address;
	uint32_t max_half_open;
	uint32_t retry_from;
	uint32_t max_tags;
	uint64_t max_message;
	uint64_t queue;	 /* bytes per observer */
	uint64_t memory; /* bytes of messages in all */
	uint64_t stall_ns;
	uint64_t hold_bytes;
	uint64_t hold_ns;
	struct opt_list policies; /* TAGS=POLICY, as checked */
	bool compat_versions;
};

struct peer;
TAILQ_HEAD(peers, peer);

struct zipper {
	const struct opt_program *program;
	struct zipper_conf *conf;
	struct loop *loop;
	struct router_conf routing;
	struct policy_range *policies; /* of conf->policies */
	struct router *router;
	struct listener *listener;
	struct tls *tls;
	struct tokens *tokens;
	struct hello_rules rules;
	struct peers peers;
	size_t n_peers;
	struct peers parked; /* sources that wait for memory */
	struct timer tick;   /* housekeeping, once a second */
	struct timer grace;
	uint64_t connections;	  /* so far */
	uint64_t departures;	  /* peers forgotten so far */
	struct process_wish wish; /* to end */
	bool draining;
	bool no_reader; /* the pipe's output is closed */
};

/* Listen, serve until a signal, and return the exit status. */
int zipper_run(const struct opt_program *program, struct zipper_conf *conf);

/*
 * TAGS=POLICY: append a range for each of TAGS to the n at *v.
 * ERR_BAD, ERR_NOMEM
 */
int zipper_parse_policy(const char *text, struct policy_range **v, size_t *n);

/* Take nothing new, deliver what is queued, then end. */
void zipper_drain(struct zipper *z);

/* A drain may be complete. */
void zipper_settle(struct zipper *z);

/* Messages may take no more memory: peer waits until there is some. */
bool zipper_is_full(const struct zipper *z);

/* Those who wait for memory go on, if there is some. */
void zipper_unpark(struct zipper *z);

#endif /* ZIPPER_H */
