/* SPDX-License-Identifier: ISC */
/* Any bytes as a configuration file: refused or taken, and nothing is lost. */
#include <stdlib.h>

#include "base/err.h"
#include "conf/common.h"
#include "conf/opts.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct toy {
	struct common_conf common;
	uint32_t number;
	uint64_t size;
	struct opt_list words;
	struct tag_set tags;
	struct opt_secrets tokens;
	size_t calls;
};

static int
parse_call(void *conf, const char *value, const char **why)
{
	((struct toy *)conf)->calls++;
	*why = "empty";
	return value[0] != '\0' ? OK : ERR_BAD;
}

#define AT(field) offsetof(struct toy, field)

static const struct opt toy_opts[] = {
    {'b', "number", OPT_U32, AT(number), "N", "", NULL},
    {0, "size", OPT_SIZE, AT(size), "BYTES", "", NULL},
    {'w', "word", OPT_LIST, AT(words), "WORD", "", NULL},
    {'t', "tag", OPT_TAGS, AT(tags), "TAGS", "", NULL},
    {0, "token", OPT_SECRETS, AT(tokens), "TOKEN", "", NULL},
    {0, "call", OPT_CALL, 0, "TEXT", "", parse_call},
    COMMON_CLIENT_OPTS,
    COMMON_OPTS,
    {0},
};

static const struct opt_program toy_program = {
    .name = "toy",
    .opts = toy_opts,
};

/* Sorted, apart from each other, and each found again. */
static void
check_tags(const struct tag_set *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->v[i].first > s->v[i].last ||
		    (i > 0 && s->v[i].first <= s->v[i - 1].last + 1) ||
		    !tag_set_has(s, s->v[i].first) ||
		    !tag_set_has(s, s->v[i].last))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct toy t = {.common = COMMON_DEFAULTS};
	size_t i;
	int r;

	r = opts_read_text(&toy_program, &t, "x.json", (const char *)p, len);
	if (r != OK && r != ERR_BAD)
		abort(); /* the library refused what json_check() took */
	check_tags(&t.tags);
	for (i = 0; i < t.words.n; i++)
		if (t.words.v[i] == NULL)
			abort();
	opts_fini(&toy_program, &t, NULL);
	opts_forget();
	return 0;
}
