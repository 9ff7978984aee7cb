/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <limits.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/common.h"

int
common_check_zipper(void *conf, const char *value, const char **why)
{
	struct endpoint e;
	bool good;
	int r;

	(void)conf;
	if ((r = endpoint_parse(value, &e)) == ERR_NOMEM)
		return r;
	good = r == OK && (e.path != NULL || e.port != 0);
	if (r == OK)
		endpoint_fini(&e);
	*why = "not HOST, HOST:PORT, [IPV6]:PORT or unix:PATH";
	return good ? OK : ERR_BAD;
}

int
common_check_count(void *conf, const char *value, const char **why)
{
	uint64_t n;

	(void)conf;
	*why = "not a number such as 100 or 10K";
	return values_size(value, &n);
}

int
common_parse_ready_fd(void *conf, const char *value, const char **why)
{
	struct common_conf *c = conf;
	uint32_t fd;

	if (values_u32(value, &fd) != OK || fd > INT_MAX) {
		*why = "not the number of a descriptor";
		return ERR_BAD;
	}
	if (fcntl((int)fd, F_GETFD) < 0) {
		*why = "this descriptor is not open";
		return ERR_BAD;
	}
	c->ready_fd = (int)fd;
	return OK;
}

/* A -v typed to look into a problem wins over a "quiet" in the file. */
static enum log_level
level(const struct common_conf *c)
{
	if (c->verbosity > 0)
		return c->verbosity > 1 ? LOG_TRACE : LOG_DEBUG;
	return c->quiet ? LOG_ERROR : LOG_INFO;
}

void
common_apply(const struct common_conf *c)
{
	log_set_level(level(c));
	log_set_json(c->log_format == COMMON_LOG_JSON);
	if ((c->cert == NULL) != (c->key == NULL))
		opts_usage_error("--cert and --key go together");
	if (c->insecure && (c->ca != NULL || c->pins.n > 0))
		opts_usage_error("--insecure contradicts --ca and --pin");
}
