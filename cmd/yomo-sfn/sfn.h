/* SPDX-License-Identifier: ISC */
/* yomo-sfn: messages to a function and back, or to standard output. */
#ifndef SFN_H
#define SFN_H

#include "conf/common.h"
#include "framing/framing.h"
#include "wire/lane.h"

enum sfn_restart {
	SFN_RESTART_ON_FAILURE,
	SFN_RESTART_NEVER,
	SFN_RESTART_ALWAYS,
};

enum sfn_mode {
	SFN_PIPE, /* one long-lived process */
};

struct sfn_conf {
	struct common_conf common; /* first: conf/common.h */
	struct tag_set tags;
	uint32_t out_tag;
	bool has_out_tag;
	bool allow_loop;
	bool fail_on_loss;
	enum framing_kind format;
	uint64_t block;		    /* of raw answers; 0: as they come */
	enum observe_policy policy; /* when we are slow */
	const char *group;	    /* whose messages are shared; NULL: none */
	uint32_t prefetch;	    /* of these, at a time */
	enum sfn_mode mode;
	enum sfn_restart restart;
	uint32_t max_restarts;	  /* a minute */
	uint64_t count;		  /* messages to take at most; 0: all */
	uint64_t idle_ns;	  /* end after so long without one; 0: never */
	bool session;		  /* take one, and only that */
	uint64_t session_idle_ns; /* it may be silent so long; 0: for ever */
	const char *target;
	uint64_t linger_ns;
	uint64_t max_message;
	uint64_t queue;
	char **command; /* NULL-terminated; NULL: a sink */
};

/* Observe until the end, and return the exit status. */
int sfn_run(const struct sfn_conf *conf);

#endif /* SFN_H */
