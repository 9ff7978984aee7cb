/* SPDX-License-Identifier: ISC */
/* yomo-sfn: messages to a function and back, or to standard output. */

#include "base/err.h"
#include "base/log.h"
#include "conf/values.h"
#include "net/process.h"
#include "sfn.h"

#define AT(field) offsetof(struct sfn_conf, field)
#define FORMATS "raw|lines|nul|len32|netstring|json|frames"

static int
parse_out_tag(void *conf, const char *value, const char **why)
{
	struct sfn_conf *c = conf;

	c->has_out_tag = true;
	if (values_u32(value, &c->out_tag) == OK)
		return OK;
	*why = "not a tag";
	return ERR_BAD;
}

static const struct opt options[] = {
    {'t', "tag", OPT_TAGS, AT(tags), "TAGS",
	"to observe: 0x33 or 1,2,0x30-0x3f (0x33)", NULL},
    {'o', "out-tag", OPT_CALL, 0, "TAG",
	"send the function's output on this tag", parse_out_tag},
    {'F', "format", OPT_CHOICE, AT(format), FORMATS,
	"how messages stand in input and output (raw)", NULL},
    {'b', "block", OPT_SIZE, AT(block), "SIZE",
	"cut the function's raw output into messages", NULL},
    {'c', "count", OPT_SIZE, AT(count), "N", "end after N messages",
	common_check_count},
    {0, "idle-exit", OPT_DURATION, AT(idle_ns), "TIME",
	"end after so long without a message", NULL},
    {0, "session", OPT_FLAG, AT(session), NULL,
	"take one session, and end as it does", NULL},
    {0, "session-idle", OPT_DURATION, AT(session_idle_ns), "TIME",
	"its silence that is taken for its end (30s; 0: none)", NULL},
    {0, "fail-on-loss", OPT_FLAG, AT(fail_on_loss), NULL,
	"exit with 75 if messages were lost on the way", NULL},
    {0, "policy", OPT_CHOICE, AT(policy), "rule|block|drop-old|disconnect",
	"what the zipper does while we are slow (rule: as is its own)", NULL},
    {0, "group", OPT_STRING, AT(group), "NAME",
	"share the messages with all others in it", NULL},
    {0, "prefetch", OPT_U32, AT(prefetch), "N",
	"messages of the group to have at a time (16)", NULL},
    {'T', "target", OPT_STRING, AT(target), "NAME",
	"also take messages for this target", NULL},
    {0, "mode", OPT_CHOICE, AT(mode), "pipe", "how the function is run (pipe)",
	NULL},
    {0, "restart", OPT_CHOICE, AT(restart), "on-failure|never|always",
	"a function that ended (on-failure)", NULL},
    {0, "max-restarts", OPT_U32, AT(max_restarts), "N", "within a minute (5)",
	NULL},
    {0, "allow-loop", OPT_FLAG, AT(allow_loop), NULL,
	"let --out-tag be one of --tag", NULL},
    {0, "linger", OPT_DURATION, AT(linger_ns), "TIME",
	"wait so long for a zipper that gives no sign (1s)", NULL},
    {0, "max-message", OPT_SIZE, AT(max_message), "SIZE",
	"longest message (64M)", NULL},
    {0, "queue", OPT_SIZE, AT(queue), "SIZE",
	"bytes of answers waiting to be sent (1M)", NULL},
    COMMON_CLIENT_OPTS,
    COMMON_OPTS,
    {0},
};

static const struct opt_program program = {
    .name = "yomo-sfn",
    .synopsis = "[options] [--] [COMMAND [ARG...]]",
    .purpose = "Give messages to a function, or to standard output.",
    .opts = options,
};

static void
check(const struct sfn_conf *conf)
{
	if (conf->has_out_tag && conf->command == NULL)
		opts_usage_error("--out-tag needs a COMMAND whose output it "
				 "is for");
	if (conf->has_out_tag && !conf->allow_loop &&
	    tag_set_has(&conf->tags, conf->out_tag))
		opts_usage_error("--out-tag 0x%x is observed too, which makes "
				 "a loop: see --allow-loop",
		    conf->out_tag);
	if (conf->block > 0 && conf->format != FRAMING_RAW)
		opts_usage_error("--block goes with --format raw");
	if (conf->queue == 0)
		opts_usage_error("--queue 0 would let nothing pass");
	if (conf->session && (conf->count > 0 || conf->idle_ns > 0))
		opts_usage_error("--count and --idle-exit do not go with "
				 "--session, which ends as its source says");
	if (conf->session && conf->restart == SFN_RESTART_ALWAYS)
		opts_usage_error("--restart always does not go with --session, "
				 "which cannot begin again");
	if (conf->group != NULL && *conf->group == '\0')
		opts_usage_error("--group needs a name");
	if (conf->prefetch == 0)
		opts_usage_error("--prefetch 0 would let nothing come");
	if (conf->session && conf->group != NULL)
		opts_usage_error("--session takes a stream as a whole, and "
				 "--group shares it");
}

int
main(int argc, char *argv[])
{
	static struct sfn_conf conf = {
	    .common = COMMON_DEFAULTS,
	    .format = FRAMING_RAW,
	    .max_restarts = 5,
	    .session_idle_ns = 30000000000u,
	    .prefetch = 16,
	    .linger_ns = 1000000000u,
	    .max_message = 64u << 20,
	    .queue = 1u << 20,
	};
	int operand;

	process_begin();
	log_init("yomo-sfn");
	conf.common.name = "yomo-sfn";
	opts_read(&program, &conf, argc, argv, &operand);
	common_apply(&conf.common);
	if (operand < argc)
		conf.command = argv + operand;
	if (conf.tags.n == 0 && tag_set_add(&conf.tags, "0x33") != OK)
		return 71;
	check(&conf);
	if (conf.session) /* another process would get the rest of it only */
		conf.restart = SFN_RESTART_NEVER;
	process_exit(sfn_run(&conf));
}
