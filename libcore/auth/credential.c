/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "auth/auth.h"
#include "auth/secret.h"
#include "base/err.h"

struct credential {
	struct secret secret;
	struct view name; /* both within secret */
	struct view payload;
};

static void
split(struct credential *c)
{
	struct view all = {c->secret.p, c->secret.len};
	const uint8_t *colon = memchr(all.p, ':', all.len);

	c->payload = all;
	if (colon == NULL)
		return;
	c->name = (struct view){all.p, (size_t)(colon - all.p)};
	view_skip(&c->payload, c->name.len + 1);
}

int
credential_new(struct credential **out, char *text)
{
	struct credential *c;
	struct secret s;
	int r;

	if ((r = secret_take(&s, text)) != OK)
		return r;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		secret_fini(&s);
		return ERR_NOMEM;
	}
	c->secret = s;
	split(c);
	*out = c;
	return OK;
}

void
credential_free(struct credential *c)
{
	if (c == NULL)
		return;
	secret_fini(&c->secret);
	free(c);
}

struct view
credential_name(const struct credential *c)
{
	return c->name;
}

struct view
credential_payload(const struct credential *c)
{
	return c->payload;
}
