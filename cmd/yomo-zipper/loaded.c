/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "loaded.h"

#define MEMORY_MIN (1u << 20)

void
loaded_fini(struct loaded *l)
{
	free(l->policies);
	tokens_free(l->tokens);
	tls_free(l->tls);
	*l = (struct loaded){0};
}

static int
load_tls(const struct zipper_conf *conf, struct tls **out)
{
	struct tls_server_conf c = {
	    .cert = conf->common.cert,
	    .key = conf->common.key,
	    .client_ca = conf->client_ca,
	};

	return tls_server_new(out, &c);
}

static int
load_tokens(const struct zipper_conf *conf, struct tokens **out)
{
	struct tokens *t;
	size_t i;
	int r;

	if ((r = tokens_new(&t)) != OK)
		return r;
	for (i = 0; i < conf->tokens.n; i++) {
		/* Files are read again on SIGHUP: keep their names. */
		char *text = strdup(conf->tokens.v[i]);

		r = text != NULL ? tokens_add(t, text) : ERR_NOMEM;
		free(text);
		if (r != OK) {
			tokens_free(t);
			return r;
		}
	}
	*out = t;
	return OK;
}

int
loaded_policy(const char *text, struct policy_range **v, size_t *n)
{
	const char *equals = strrchr(text, '=');
	struct tag_set tags = {0};
	struct policy_range *more;
	enum policy policy;
	char *list;
	size_t i;
	int r;

	if (equals == NULL || policy_of(equals + 1, &policy) != OK)
		return ERR_BAD;
	if ((list = strndup(text, (size_t)(equals - text))) == NULL)
		return ERR_NOMEM;
	r = tag_set_add(&tags, list);
	free(list);
	if (r != OK)
		goto done;
	if ((more = realloc(*v, (*n + tags.n) * sizeof(*more))) == NULL) {
		r = ERR_NOMEM;
		goto done;
	}
	*v = more;
	for (i = 0; i < tags.n; i++)
		more[(*n)++] = (struct policy_range){
		    tags.v[i].first, tags.v[i].last, policy};
done:
	tag_set_fini(&tags);
	return r;
}

/* From the words of conf to what the router looks at. */
static int
load_policies(
    const struct zipper_conf *conf, struct policy_range **out, size_t *n)
{
	struct policy_range *v = NULL;
	size_t i;
	int r;

	*n = 0;
	for (i = 0; i < conf->policies.n; i++) {
		r = loaded_policy(conf->policies.v[i], &v, n);
		if (r != OK) {
			free(v);
			return r;
		}
	}
	*out = v;
	return OK;
}

/* What fits nowhere else: values that do not go together. */
static int
check_conf(const struct zipper_conf *conf)
{
	if (conf->memory < MEMORY_MIN) {
		log_error("--memory: less than 1M is too little");
		return ERR_BAD;
	}
	if (conf->hold_bytes > conf->memory / 2) {
		log_error("--hold: more than half of --memory");
		return ERR_BAD;
	}
	return OK;
}

int
loaded_check_open(const struct zipper_conf *conf, const struct tokens *tokens,
    const char *where)
{
	if (conf->open || conf->client_ca != NULL || tokens_count(tokens) > 0)
		return OK;
	log_error("will not listen on '%s' for everybody: pass --token, "
		  "--client-ca or --open",
	    where);
	return ERR_AUTH;
}

int
loaded_init(
    struct loaded *l, const struct zipper_conf *conf, const char *reachable)
{
	int r;

	*l = (struct loaded){0};
	if ((r = check_conf(conf)) != OK ||
	    (r = load_policies(conf, &l->policies, &l->n_policies)) != OK ||
	    (r = load_tokens(conf, &l->tokens)) != OK ||
	    (reachable[0] != '\0' &&
		(r = loaded_check_open(conf, l->tokens, reachable)) != OK) ||
	    (r = load_tls(conf, &l->tls)) != OK) {
		loaded_fini(l);
		return r;
	}
	return OK;
}
