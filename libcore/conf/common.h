/* SPDX-License-Identifier: ISC */
/*
 * The options that several programs have in common: yomo(7), NAMES IN COMMON.
 *
 * A program's conf begins with a struct common_conf, set to COMMON_DEFAULTS,
 * and its table ends so:
 *
 *	    COMMON_CLIENT_OPTS,
 *	    COMMON_OPTS,
 *	    {0},
 *	};
 */
#ifndef CONF_COMMON_H
#define CONF_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/opts.h"
#include "conf/values.h"

struct common_conf {
	/* COMMON_CLIENT_OPTS */
	struct opt_list zippers; /* each is an endpoint, as checked */
	char *credential; /* owned, or NULL; the environment's is not here */
	const char *ca;
	struct opt_list pins;
	bool insecure;
	bool progress;
	uint64_t connect_timeout_ns; /* 0: for ever */
	uint64_t retry_ns;	     /* 0: not at all; VALUES_FOREVER */

	/* COMMON_OPTS */
	const char *name;
	const char *cert;
	const char *key;
	uint64_t grace_ns;
	int ready_fd; /* an open descriptor, or -1 */
	const char *config;
	unsigned verbosity;
	bool quiet;
	unsigned log_format; /* an enum common_log_format */
};

enum common_log_format {
	COMMON_LOG_TEXT,
	COMMON_LOG_JSON,
};

#define COMMON_DEFAULTS                                                        \
	{                                                                      \
		.connect_timeout_ns = 10000000000u,                            \
		.retry_ns = VALUES_FOREVER, .grace_ns = 10000000000u,          \
		.ready_fd = -1,                                                \
	}

#define COMMON_AT(field) offsetof(struct common_conf, field)

/* clang-format off */

/* Who dials a zipper. */
#define COMMON_CLIENT_OPTS \
	{'z', "zipper", OPT_LIST, COMMON_AT(zippers), "ADDR", \
	    "HOST[:PORT] or unix:PATH; may repeat", common_check_zipper}, \
	{'d', "credential", OPT_SECRET, COMMON_AT(credential), "CRED", \
	    "token:SECRET, or @FILE that holds it", NULL}, \
	{0, "ca", OPT_STRING, COMMON_AT(ca), "FILE", \
	    "trust these authorities (PEM)", NULL}, \
	{0, "pin", OPT_LIST, COMMON_AT(pins), "PIN", \
	    "trust this key, sha256//BASE64; may repeat", NULL}, \
	{0, "insecure", OPT_FLAG, COMMON_AT(insecure), NULL, \
	    "trust any certificate", NULL}, \
	{0, "connect-timeout", OPT_DURATION, COMMON_AT(connect_timeout_ns), \
	    "TIME", "for the first connection (10s; 0: for ever)", NULL}, \
	{0, "retry", OPT_DURATION, COMMON_AT(retry_ns), "TIME", \
	    "redial a lost zipper for so long (forever)", NULL}, \
	{0, "progress", OPT_FLAG, COMMON_AT(progress), NULL, \
	    "show on stderr what has passed", NULL}

/* Everybody. */
#define COMMON_OPTS \
	{'n', "name", OPT_STRING, COMMON_AT(name), "NAME", \
	    "what peers and logs call this program", NULL}, \
	{0, "cert", OPT_STRING, COMMON_AT(cert), "FILE", \
	    "show this certificate chain (PEM)", NULL}, \
	{0, "key", OPT_STRING, COMMON_AT(key), "FILE", \
	    "the certificate's private key (PEM)", NULL}, \
	{0, "grace", OPT_DURATION, COMMON_AT(grace_ns), "TIME", \
	    "to finish in after SIGTERM (10s)", NULL}, \
	{'R', "ready-fd", OPT_CALL, COMMON_AT(ready_fd), "FD", \
	    "write a newline there when ready", common_parse_ready_fd}, \
	{'f', "config", OPT_STRING, COMMON_AT(config), "FILE", \
	    "read options from a JSON file", NULL}, \
	{'v', "verbose", OPT_COUNT, COMMON_AT(verbosity), NULL, \
	    "say more; again for still more", NULL}, \
	{'q', "quiet", OPT_FLAG, COMMON_AT(quiet), NULL, \
	    "say only what fails", NULL}, \
	{0, "log-format", OPT_CHOICE, COMMON_AT(log_format), "text|json", \
	    "how log lines look", NULL}, \
	{'h', "help", OPT_FLAG, 0, NULL, \
	    "print this and exit", NULL}, \
	{'V', "version", OPT_FLAG, 0, NULL, \
	    "print the version and exit", NULL}

/* clang-format on */

/* For the tables: conf begins with a struct common_conf. */
int common_check_zipper(void *conf, const char *value, const char **why);
int common_check_count(void *conf, const char *value, const char **why);
int common_parse_ready_fd(void *conf, const char *value, const char **why);

/*
 * After opts_read(): set up the log, and look at what single options cannot
 * show; what contradicts itself is a usage error.
 */
void common_apply(const struct common_conf *c);

#endif /* CONF_COMMON_H */
