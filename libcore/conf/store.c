/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/store.h"
#include "conf/values.h"

/* So that a message stays readable. */
#define SHOWN_MAX 80

struct kept {
	struct kept *next;
	size_t len;
	_Alignas(max_align_t) unsigned char data[];
};

static struct kept *all;

/* The one copy of these bytes that lives for ever, or NULL: out of memory. */
static void *
keep(const void *p, size_t len)
{
	struct kept *k;

	for (k = all; k != NULL; k = k->next)
		if (k->len == len && memcmp(k->data, p, len) == 0)
			return k->data;
	if ((k = malloc(sizeof(*k) + len)) == NULL)
		return NULL;
	memcpy(k->data, p, len);
	k->len = len;
	k->next = all;
	all = k;
	return k->data;
}

static int
set_string(const char **field, const char *text)
{
	const char *copy = keep(text, strlen(text) + 1);

	if (copy == NULL)
		return ERR_NOMEM;
	*field = copy;
	return OK;
}

/* A list grows as a new array, as the old one may be shared by another conf. */
static int
push_string(struct opt_list *l, const char *text)
{
	const char **grown;
	const char **copy = NULL;

	if ((grown = calloc(l->n + 2, sizeof(*grown))) == NULL)
		return ERR_NOMEM;
	if (l->n > 0)
		memcpy(grown, l->v, l->n * sizeof(*grown));
	if (set_string(&grown[l->n], text) == OK)
		copy = keep(grown, (l->n + 2) * sizeof(*grown));
	free(grown);
	if (copy == NULL)
		return ERR_NOMEM;
	l->v = copy;
	l->n++;
	return OK;
}

static void
free_secret(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static int
set_secret(char **field, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if ((copy = malloc(size)) == NULL)
		return ERR_NOMEM;
	memcpy(copy, text, size);
	free_secret(*field);
	*field = copy;
	return OK;
}

static int
push_secret(struct opt_secrets *l, const char *text)
{
	char **grown;

	if ((grown = realloc(l->v, (l->n + 1) * sizeof(*grown))) == NULL)
		return ERR_NOMEM;
	l->v = grown;
	grown[l->n] = NULL;
	if (set_secret(&grown[l->n], text) != OK)
		return ERR_NOMEM;
	l->n++;
	return OK;
}

/* The index of text among the words of "one|two|three". */
static int
set_choice(const char *words, unsigned *field, const char *text)
{
	unsigned i = 0;
	size_t n;

	for (;; i++, words += n + 1) {
		n = strcspn(words, "|");
		if (strlen(text) == n && memcmp(words, text, n) == 0) {
			*field = i;
			return OK;
		}
		if (words[n] == '\0')
			return ERR_BAD;
	}
}

static int
call(const struct opt *o, void *conf, const char *text, const char **why)
{
	const char *copy;

	if (set_string(&copy, text) != OK)
		return ERR_NOMEM;
	return o->parse(conf, copy, why);
}

static int
set(const struct opt *o, void *conf, const char *text, const char **why)
{
	void *field = (unsigned char *)conf + o->offset;

	switch (o->kind) {
	case OPT_STRING:
		return set_string(field, text);
	case OPT_U32:
		*why = "a number from 0 to 4294967295, or 0x and hex digits";
		return values_u32(text, field);
	case OPT_SIZE:
		*why = "a size such as 4096, 64K or 2M";
		return values_size(text, field);
	case OPT_DURATION:
		*why = "a duration such as 500ms, 10s or 5m";
		return values_duration(text, field);
	case OPT_CHOICE:
		return set_choice(o->arg, field, text);
	case OPT_LIST:
		return push_string(field, text);
	case OPT_TAGS:
		*why = "a list of tags such as 51 or 0x33,0x40-0x4f";
		return tag_set_add(field, text);
	case OPT_SECRET:
		return set_secret(field, text);
	case OPT_SECRETS:
		return push_secret(field, text);
	case OPT_COUNT:
		*why = "a number";
		return values_u32(text, field);
	case OPT_CALL:
	case OPT_FLAG:
		break;
	}
	return ERR_BAD;
}

static bool
may_show(const struct opt *o)
{
	return o->kind != OPT_CALL && o->kind != OPT_SECRET &&
	       o->kind != OPT_SECRETS;
}

int
store_text(
    const struct opt *o, void *conf, const char *text, char why[STORE_WHY])
{
	const char *reason = "not valid";
	int r = OK;

	if (o->kind == OPT_CALL)
		r = call(o, conf, text, &reason);
	else if (o->parse != NULL)
		r = o->parse(conf, text, &reason);
	if (may_show(o))
		snprintf(why, STORE_WHY, "'%.*s': %s", SHOWN_MAX, text, reason);
	else
		snprintf(why, STORE_WHY, "%s", reason);
	if (r != OK || o->kind == OPT_CALL)
		return r;

	if ((r = set(o, conf, text, &reason)) == ERR_BAD)
		snprintf(why, STORE_WHY, "'%.*s' is not %s", SHOWN_MAX, text,
		    o->kind == OPT_CHOICE ? o->arg : reason);
	return r;
}

void
store_flag(const struct opt *o, void *conf, bool on)
{
	void *field = (unsigned char *)conf + o->offset;

	if (o->kind == OPT_COUNT)
		++*(unsigned *)field;
	else
		*(bool *)field = on;
}

/* How large the field of each kind is. */
static const size_t sizes[] = {
    [OPT_FLAG] = sizeof(bool),
    [OPT_STRING] = sizeof(char *),
    [OPT_U32] = sizeof(uint32_t),
    [OPT_SIZE] = sizeof(uint64_t),
    [OPT_DURATION] = sizeof(uint64_t),
    [OPT_CHOICE] = sizeof(unsigned),
    [OPT_LIST] = sizeof(struct opt_list),
    [OPT_TAGS] = sizeof(struct tag_set),
    [OPT_SECRET] = sizeof(char *),
    [OPT_SECRETS] = sizeof(struct opt_secrets),
    [OPT_CALL] = 0,
    [OPT_COUNT] = sizeof(unsigned),
};

_Static_assert(sizeof(struct tag_set) <= sizeof(struct store_field) &&
		   sizeof(struct opt_list) <= sizeof(struct store_field) &&
		   sizeof(struct opt_secrets) <= sizeof(struct store_field),
    "a field of any kind fits");

void
store_save(const struct opt *o, const void *conf, struct store_field *f)
{
	memcpy(
	    f->bytes, (const unsigned char *)conf + o->offset, sizes[o->kind]);
}

void
store_restore(const struct opt *o, void *conf, const struct store_field *f)
{
	memcpy((unsigned char *)conf + o->offset, f->bytes, sizes[o->kind]);
}

void
store_fini(const struct opt *o, void *conf, const void *heir)
{
	static const struct store_field empty;
	void *field = (unsigned char *)conf + o->offset;
	struct opt_secrets *l = field;

	/* shared: what these kinds own is reached by their first pointer */
	if (heir != NULL &&
	    memcmp(field, (const unsigned char *)heir + o->offset,
		sizeof(void *)) == 0)
		return;
	if (o->kind == OPT_TAGS) {
		tag_set_fini(field);
	} else if (o->kind == OPT_SECRET) {
		free_secret(*(char **)field);
		store_restore(o, conf, &empty);
	} else if (o->kind == OPT_SECRETS) {
		while (l->n > 0)
			free_secret(l->v[--l->n]);
		free(l->v);
		store_restore(o, conf, &empty);
	}
}

void
store_forget(void)
{
	struct kept *k;

	while ((k = all) != NULL) {
		all = k->next;
		free(k);
	}
}
