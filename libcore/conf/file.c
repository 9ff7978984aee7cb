/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "conf/file.h"
#include "conf/store.h"

#define READ_SIZE 4096
/* Whole numbers from here on may not be what the file says. */
#define DOUBLE_EXACT 9007199254740992.0

/* What a kind of option takes in JSON. */
static const struct {
	bool number; /* besides a string */
	bool array;
	const char *want;
} accepts[] = {
    [OPT_FLAG] = {false, false, "true or false"},
    [OPT_STRING] = {false, false, "a string"},
    [OPT_U32] = {true, false, "a number or a string"},
    [OPT_SIZE] = {true, false, "a number or a string"},
    [OPT_DURATION] = {true, false, "a number or a string"},
    [OPT_CHOICE] = {false, false, "a string"},
    [OPT_LIST] = {false, true, "a string, or an array of strings"},
    [OPT_TAGS] = {true, true, "a number, a string, or an array of these"},
    [OPT_SECRET] = {false, false, "a string"},
    [OPT_SECRETS] = {false, true, "a string, or an array of strings"},
    [OPT_CALL] = {true, true, "a number, a string, or an array of these"},
    [OPT_COUNT] = {true, false, "a number"},
};

/* A number as text for the same parser that reads the command line. */
static void
number_text(double v, char *out, size_t size)
{
	bool whole =
	    v > -DOUBLE_EXACT && v < DOUBLE_EXACT && v == (double)(long long)v;

	snprintf(out, size, whole ? "%.0f" : "%.9f", v);
}

/* Put one value that is no array into conf. */
static int
apply_value(
    const struct opt *o, void *conf, const cJSON *v, char why[STORE_WHY])
{
	char number[STORE_WHY];
	int r;

	if (o->kind == OPT_FLAG && cJSON_IsBool(v)) {
		store_flag(o, conf, cJSON_IsTrue(v));
		return OK;
	}
	if (cJSON_IsNumber(v) && accepts[o->kind].number) {
		number_text(v->valuedouble, number, sizeof(number));
		return store_text(o, conf, number, why);
	}
	if (cJSON_IsString(v) && o->kind != OPT_FLAG && o->kind != OPT_COUNT) {
		r = store_text(o, conf, v->valuestring, why);
		if (o->kind == OPT_SECRET || o->kind == OPT_SECRETS)
			explicit_bzero(v->valuestring, strlen(v->valuestring));
		return r;
	}
	snprintf(why, STORE_WHY, "must be %s", accepts[o->kind].want);
	return ERR_BAD;
}

static int
apply_key(const struct opt *o, void *conf, const cJSON *v, char why[STORE_WHY])
{
	const cJSON *item;
	int r = OK;

	if (!cJSON_IsArray(v) || !accepts[o->kind].array)
		return apply_value(o, conf, v, why);
	for (item = v->child; item != NULL && r == OK; item = item->next)
		r = apply_value(o, conf, item, why);
	return r;
}

static const struct opt *
find(const struct opt *opts, const char *name)
{
	for (; opts->name != NULL; opts++)
		if (strcmp(opts->name, name) == 0)
			return opts;
	return NULL;
}

static int
apply_object(const struct opt *opts, void *conf,
    const bool skip[FILE_OPTIONS_MAX], const cJSON *object, const char *name)
{
	bool seen[FILE_OPTIONS_MAX] = {false};
	const struct opt *o;
	char why[STORE_WHY] = "";
	const cJSON *v;
	int r = OK;

	for (v = object->child; v != NULL && r == OK; v = v->next) {
		if ((o = find(opts, v->string)) == NULL) {
			log_error("'%s': unknown key '%s'", name, v->string);
			return ERR_BAD;
		}
		if (o->letter == 'f' || o->letter == 'h' || o->letter == 'V') {
			log_error("'%s': key '%s' is for the command line only",
			    name, v->string);
			return ERR_BAD;
		}
		if (seen[o - opts]) {
			log_error("'%s': key '%s' stands there twice", name,
			    v->string);
			return ERR_BAD;
		}
		seen[o - opts] = true;
		if (skip[o - opts])
			continue;
		if ((r = apply_key(o, conf, v, why)) == ERR_BAD)
			log_error("'%s': key '%s': %s", name, v->string, why);
	}
	return r;
}

static size_t
line_of(struct view text, size_t at)
{
	size_t i, n = 1;

	for (i = 0; i < at; i++)
		n += text.p[i] == '\n';
	return n;
}

int
file_apply(const struct opt *opts, void *conf,
    const bool skip[FILE_OPTIONS_MAX], const char *name, struct view text)
{
	cJSON *root;
	size_t at;
	int r;

	if (json_check(text, &at) != OK) {
		log_error("'%s': line %zu is not valid JSON", name,
		    line_of(text, at));
		return ERR_BAD;
	}
	root = cJSON_ParseWithLength((const char *)text.p, text.len);
	if (root == NULL)
		return ERR_NOMEM; /* all else was checked */
	if (cJSON_IsObject(root)) {
		r = apply_object(opts, conf, skip, root, name);
	} else {
		log_error("'%s': is not a JSON object", name);
		r = ERR_BAD;
	}
	cJSON_Delete(root);
	return r;
}

/* All of a file, which may also be a pipe: -f <(make-conf). */
static int
slurp(int fd, const char *name, struct buf *out)
{
	uint8_t *p;
	ssize_t n;
	int r;

	/* at once, as growing would leave copies of tokens behind */
	if ((r = buf_reserve(out, out->max, &p)) != OK)
		return r;
	do {
		if ((r = buf_reserve(out, READ_SIZE, &p)) == ERR_LIMIT)
			log_error(
			    "'%s': is over %u bytes", name, FILE_SIZE_MAX);
		if (r != OK)
			return r == ERR_LIMIT ? ERR_BAD : r;
		if ((n = read(fd, p, READ_SIZE)) > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0)
		return OK;
	log_sys("cannot read '%s'", name);
	return ERR_SYS;
}

int
file_read(const struct opt *opts, void *conf, const bool skip[FILE_OPTIONS_MAX],
    const char *name)
{
	struct buf text = {.max = FILE_SIZE_MAX + READ_SIZE};
	int fd, r;

	if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0) {
		log_sys("cannot open '%s'", name);
		return ERR_SYS;
	}
	r = slurp(fd, name, &text);
	close(fd);
	if (r == OK)
		r = file_apply(opts, conf, skip, name, buf_view(&text));
	if (text.p != NULL) /* it may hold tokens */
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return r;
}
