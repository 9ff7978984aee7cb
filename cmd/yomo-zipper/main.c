/* SPDX-License-Identifier: ISC */
/* yomo-zipper: routes messages by tag to whoever observes the tag. */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "conf/values.h"
#include "explain.h"
#include "net/process.h"
#include "zipper.h"

#define AT(field) offsetof(struct zipper_conf, field)

static int
check_policy(void *conf, const char *value, const char **why)
{
	struct policy_range *v = NULL;
	size_t n = 0;
	int r = loaded_policy(value, &v, &n);

	(void)conf;
	free(v);
	if (r == ERR_BAD)
		*why = "not TAGS=block, TAGS=drop-old or TAGS=disconnect";
	return r;
}

/* BYTES or BYTES,SECONDS. */
static int
parse_hold(void *conf, const char *value, const char **why)
{
	struct zipper_conf *c = conf;
	char *bytes = strdup(value), *comma;
	int r;

	if (bytes == NULL)
		return ERR_NOMEM;
	if ((comma = strchr(bytes, ',')) != NULL)
		*comma++ = '\0';
	r = values_size(bytes, &c->hold_bytes);
	if (r == OK && comma != NULL)
		r = values_duration(comma, &c->hold_ns);
	free(bytes);
	if (r != OK)
		*why = "not BYTES or BYTES,SECONDS";
	return r;
}

static int
parse_mode(void *conf, const char *value, const char **why)
{
	unsigned long mode;
	char *end;

	mode = strtoul(value, &end, 8);
	if (*value == '\0' || *end != '\0' || mode == 0 || mode > 0777) {
		*why = "not an octal mode such as 660";
		return ERR_BAD;
	}
	((struct zipper_conf *)conf)->unix_mode = (uint32_t)mode;
	return OK;
}

static const struct opt options[] = {
    {'l', "listen", OPT_LIST, AT(listen), "ADDR",
	"HOST[:PORT] or unix:PATH (localhost:9000); may repeat", NULL},
    {0, "pipe", OPT_FLAG, AT(pipe), NULL,
	"stdin is a source too, stdout an observer", NULL},
    {0, "token", OPT_SECRETS, AT(tokens), "TOKEN",
	"let in who shows it, or one of @FILE; may repeat", NULL},
    {0, "client-ca", OPT_STRING, AT(client_ca), "FILE",
	"demand certificates of this authority (PEM)", NULL},
    {0, "open", OPT_FLAG, AT(open), NULL,
	"let in everybody, also beyond loopback", NULL},
    {0, "unix-mode", OPT_CALL, 0, "MODE", "of unix sockets (600)", parse_mode},
    {0, "unix-group", OPT_STRING, AT(unix_group), "GROUP",
	"of unix sockets, with mode 660", NULL},
    {0, "policy", OPT_LIST, AT(policies), "TAGS=WHAT",
	"full queue: block, drop-old, disconnect; may repeat", check_policy},
    {0, "stall", OPT_DURATION, AT(stall_ns), "TIME",
	"an observer that holds up others so long goes (30s)", NULL},
    {0, "hold", OPT_CALL, 0, "SIZE[,TIME]",
	"keep the newest unobserved messages", parse_hold},
    {0, "queue", OPT_SIZE, AT(queue), "SIZE", "for each observer (1M)", NULL},
    {0, "memory", OPT_SIZE, AT(memory), "SIZE", "for all messages (256M)",
	NULL},
    {0, "explain-memory", OPT_FLAG, AT(explain), NULL,
	"only print what these bound, and the rest that is in memory", NULL},
    {0, "max-message", OPT_SIZE, AT(max_message), "SIZE",
	"of a frame (64M and a little)", NULL},
    {0, "max-connections", OPT_U32, AT(max_connections), "N", "(10000)", NULL},
    {0, "max-per-address", OPT_U32, AT(max_per_address), "N", "(10000)", NULL},
    {0, "max-half-open", OPT_U32, AT(max_half_open), "N",
	"handshakes under way (1000)", NULL},
    {0, "retry-from", OPT_U32, AT(retry_from), "N",
	"half-open connections that make us ask twice (100)", NULL},
    {0, "max-tags", OPT_U32, AT(max_tags), "N", "of a connection (4096)", NULL},
    {0, "compat-versions", OPT_FLAG, AT(compat_versions), NULL,
	"also Go clients since v1.16.0", NULL},
    COMMON_OPTS,
    {0},
};

static const struct opt_program program = {
    .name = "yomo-zipper",
    .synopsis = "[options]",
    .purpose = "Route messages by tag to whoever observes the tag.",
    .opts = options,
};

int
main(int argc, char *argv[])
{
	static struct zipper_conf conf = {
	    .common = COMMON_DEFAULTS,
	    .max_connections = 10000,
	    .max_per_address = 10000,
	    .max_half_open = 1000,
	    .retry_from = 100,
	    .max_tags = 4096,
	    .max_message = (64u << 20) + 4096,
	    .queue = 1u << 20,
	    .memory = 256u << 20,
	    .stall_ns = 30 * 1000000000ull,
	};

	process_begin();
	log_init("yomo-zipper");
	opts_read(&program, &conf, argc, argv, NULL);
	common_apply(&conf.common);
	if (conf.explain)
		process_exit(
		    explain_memory(&conf) == OK ? EXIT_OK : EXIT_OUTPUT);
	process_exit(zipper_run(&program, &conf));
}
