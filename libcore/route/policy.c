/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "base/err.h"
#include "route/inside.h"

static const char *const policy_names[] = {
    [POLICY_BLOCK] = "block",
    [POLICY_DROP_OLD] = "drop-old",
    [POLICY_DISCONNECT] = "disconnect",
};

int
policy_of(const char *name, enum policy *out)
{
	size_t i;

	for (i = 0; i < sizeof(policy_names) / sizeof(*policy_names); i++) {
		if (strcmp(policy_names[i], name) != 0)
			continue;
		*out = (enum policy)i;
		return OK;
	}
	return ERR_NONE;
}

const char *
policy_name(enum policy p)
{
	return policy_names[p];
}

enum policy
policy_for(const struct router_conf *conf, uint32_t tag)
{
	size_t i;

	for (i = conf->n_policies; i > 0; i--) {
		if (tag >= conf->policies[i - 1].first &&
		    tag <= conf->policies[i - 1].last)
			return conf->policies[i - 1].policy;
	}
	return POLICY_BLOCK;
}

enum policy
policy_weaker(enum policy a, enum policy b)
{
	return a > b ? a : b;
}
