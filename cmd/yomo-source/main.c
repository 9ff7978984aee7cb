/* SPDX-License-Identifier: ISC */
/* yomo-source: what arrives on standard input becomes messages. */

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "net/process.h"
#include "source.h"

#define AT(field) offsetof(struct source_conf, field)
#define FORMATS "raw|lines|nul|len32|netstring|json|frames"

static const struct opt options[] = {
    {'t', "tag", OPT_U32, AT(tag), "TAG", "of the messages (0x33)", NULL},
    {'F', "format", OPT_CHOICE, AT(format), FORMATS,
	"how messages stand in the input (raw)", NULL},
    {'b', "block", OPT_SIZE, AT(block), "SIZE",
	"cut raw input into messages of this size", NULL},
    {'c', "count", OPT_SIZE, AT(count), "N", "end after N messages",
	common_check_count},
    {0, "every", OPT_DURATION, AT(every_ns), "TIME",
	"send one message at a time, so far apart", NULL},
    {0, "wait", OPT_U32, AT(wait), "[=N]",
	"send nothing before N (1) observe the tag", NULL},
    {0, "session", OPT_FLAG, AT(session), NULL,
	"the input is one stream: tell how it ends", NULL},
    {'T', "target", OPT_STRING, AT(target), "NAME",
	"only for functions that want this target", NULL},
    {'m', "meta", OPT_LIST, AT(meta), "KEY=VALUE",
	"metadata for each message; may repeat", NULL},
    {0, "linger", OPT_DURATION, AT(linger_ns), "TIME",
	"wait so long for a zipper that gives no sign (1s)", NULL},
    {0, "max-message", OPT_SIZE, AT(max_message), "SIZE",
	"longest message (64M)", NULL},
    {0, "queue", OPT_SIZE, AT(queue), "SIZE", "bytes waiting to be sent (1M)",
	NULL},
    COMMON_CLIENT_OPTS,
    COMMON_OPTS,
    {0},
};

static const struct opt_program program = {
    .name = "yomo-source",
    .synopsis = "[options]",
    .purpose = "Send standard input as messages to a zipper, or as frames to "
	       "a pipe.",
    .opts = options,
};

static void
check(const struct source_conf *conf)
{
	if (conf->block > 0 && conf->format != FRAMING_RAW)
		opts_usage_error("--block goes with --format raw");
	if (conf->queue == 0)
		opts_usage_error("--queue 0 would let nothing pass");
	if (conf->block > conf->max_message)
		opts_usage_error("--block is over --max-message");
	if (conf->format == FRAMING_FRAMES &&
	    (conf->target != NULL || conf->meta.n > 0))
		opts_usage_error("--target and --meta do not go with --format "
				 "frames: frames are sent as they are");
}

int
main(int argc, char *argv[])
{
	struct source_conf conf = {
	    .common = COMMON_DEFAULTS,
	    .tag = 0x33,
	    .format = FRAMING_RAW,
	    .linger_ns = 1000000000u,
	    .max_message = 64u << 20,
	    .queue = 1u << 20,
	};

	process_begin();
	log_init("yomo-source");
	conf.common.name = "yomo-source";
	opts_read(&program, &conf, argc, argv, NULL);
	common_apply(&conf.common);
	check(&conf);
	process_exit(source_run(&conf));
}
