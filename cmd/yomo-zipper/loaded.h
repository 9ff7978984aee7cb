/* SPDX-License-Identifier: ISC */
/* The configuration, and what it names: read at the start and on SIGHUP. */
#ifndef LOADED_H
#define LOADED_H

#include "conf/common.h"
#include "route/router.h"
#include "tls/tls.h"

struct tokens;

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
	bool explain; /* only say what all this bounds */
};

/* Owned. */
struct loaded {
	struct policy_range *policies;
	size_t n_policies;
	struct tokens *tokens;
	struct tls *tls;
};

/*
 * Load all that conf stands for, or nothing; reachable is where other machines
 * can connect, or "".
 *
 * ERR_AUTH  there, everybody would be let in
 * ERR_BAD, ERR_TLS, ERR_SYS, ERR_NOMEM
 */
int loaded_init(
    struct loaded *l, const struct zipper_conf *conf, const char *reachable);
void loaded_fini(struct loaded *l);

/* Beyond this machine only friends may come in: ERR_AUTH, said in the log. */
int loaded_check_open(const struct zipper_conf *conf,
    const struct tokens *tokens, const char *where);

/*
 * TAGS=POLICY: append a range for each of TAGS to the n at *v.
 * ERR_BAD, ERR_NOMEM
 */
int loaded_policy(const char *text, struct policy_range **v, size_t *n);

#endif /* LOADED_H */
