/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/setup.h"

static int
read_zippers(struct setup *s, const struct common_conf *conf)
{
	const char *one = getenv("YOMO_ZIPPER");
	const char *const *v = conf->zippers.v;
	size_t i, n = conf->zippers.n;
	const char *why = "out of memory";
	int r;

	if (n == 0 && one != NULL && *one != '\0') {
		if (common_check_zipper(NULL, one, &why) != OK) {
			log_error("YOMO_ZIPPER: '%s': %s", one, why);
			return ERR_BAD;
		}
		v = &one;
		n = 1;
	}
	if (n == 0)
		return OK;
	if ((s->zippers = calloc(n, sizeof(*s->zippers))) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < n; i++) {
		if ((r = endpoint_parse(v[i], &s->zippers[i])) != OK)
			return r; /* out of memory: it has been checked */
		s->n_zippers++;
	}
	return OK;
}

/* The text is wiped; children must not see the variable either. */
static int
read_credential(struct setup *s, const struct common_conf *conf)
{
	const char *variable = getenv("YOMO_CREDENTIAL");
	char *text;
	int r;

	if (conf->credential == NULL && variable == NULL)
		return OK;
	text = strdup(conf->credential != NULL ? conf->credential : variable);
	if (text == NULL)
		return ERR_NOMEM;
	unsetenv("YOMO_CREDENTIAL");
	r = *text != '\0' ? credential_new(&s->credential, text) : OK;
	free(text);
	return r;
}

static int
make_tls(struct setup *s, const struct common_conf *conf)
{
	struct tls_client_conf c = {
	    .ca = conf->ca,
	    .pins = conf->pins.v,
	    .n_pins = conf->pins.n,
	    .cert = conf->cert,
	    .key = conf->key,
	    .insecure = conf->insecure,
	};
	size_t i;

	for (i = 0; i < s->n_zippers; i++)
		if (s->zippers[i].path == NULL)
			return tls_client_new(&s->tls, &c);
	return OK;
}

int
setup_client(struct setup *s, const struct common_conf *conf, int *status)
{
	int r;

	*s = (struct setup){0};
	*status = EXIT_SYSTEM;
	if ((r = auth_init()) != OK)
		return r;
	auth_id(s->id);
	if ((r = read_zippers(s, conf)) == ERR_BAD)
		*status = EXIT_USAGE;
	if (r != OK)
		return r;
	if ((r = read_credential(s, conf)) == OK)
		r = make_tls(s, conf);
	if (r != OK && r != ERR_NOMEM)
		*status = EXIT_CONFIG;
	if (r != OK)
		return r;
	if (conf->insecure && s->credential != NULL && s->tls != NULL)
		log_info("the credential goes to whoever answers: --insecure "
			 "checks no certificate");
	return OK;
}

void
setup_fini(struct setup *s)
{
	size_t i;

	for (i = 0; i < s->n_zippers; i++)
		endpoint_fini(&s->zippers[i]);
	free(s->zippers);
	tls_free(s->tls);
	credential_free(s->credential);
	*s = (struct setup){0};
}

void
setup_fill(const struct setup *s, const struct common_conf *conf,
    struct client_conf *out)
{
	out->zippers = s->zippers;
	out->n_zippers = s->n_zippers;
	out->in_fd = -1;
	out->out_fd = -1;
	out->tls = s->tls;
	out->credential = s->credential;
	out->name = conf->name;
	out->id = s->id;
	out->connect_timeout_ns = conf->connect_timeout_ns;
	out->retry_ns = conf->retry_ns;
}
