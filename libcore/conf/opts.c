/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "conf/file.h"
#include "conf/opts.h"
#include "conf/store.h"

#define USAGE_MAX 512
/* What getopt_long returns for option i of the table. */
#define VAL_BASE 256
/* Columns of --help in all, and of its widest left part. */
#define HELP_WIDTH 79
#define LEFT_MAX 28

/* The program read, which of its options the command line gave, and what the
 * others were before. */
static const struct opt_program *program;
static bool given[FILE_OPTIONS_MAX];
static struct store_field defaults[FILE_OPTIONS_MAX];

/* The table as getopt_long wants it. */
struct line {
	const struct opt *opts;
	int argc;
	char **argv;
	char letters[2 * FILE_OPTIONS_MAX + 3];
	struct option longs[FILE_OPTIONS_MAX + 1];
};

static bool
takes_value(const struct opt *o)
{
	return o->kind != OPT_FLAG && o->kind != OPT_COUNT;
}

/* "[=N]": it may be left out, and then is: */
#define LEFT_OUT "1"

static bool
is_optional(const struct opt *o)
{
	return takes_value(o) && o->arg[0] == '[';
}

static int
has_arg(const struct opt *o)
{
	if (!takes_value(o))
		return no_argument;
	return is_optional(o) ? optional_argument : required_argument;
}

/* --help and --version stand for no field of a conf. */
static bool
has_field(const struct opt *o)
{
	return o->letter != 'h' && o->letter != 'V';
}

static size_t
count(const struct opt *opts)
{
	size_t n = 0;

	while (opts[n].name != NULL)
		n++;
	return n;
}

/*
 * '+' ends the options at the first operand, so that the options of a COMMAND
 * are its own; ':' leaves it to us to say what is wrong.
 */
static void
line_init(struct line *l, const struct opt *opts, int argc, char *argv[])
{
	char *to = l->letters;
	size_t i;

	*l = (struct line){.opts = opts, .argc = argc, .argv = argv};
	*to++ = '+';
	*to++ = ':';
	for (i = 0; opts[i].name != NULL; i++) {
		l->longs[i] = (struct option){
		    opts[i].name, has_arg(&opts[i]), NULL, VAL_BASE + (int)i};
		if (opts[i].letter == 0)
			continue;
		*to++ = (char)opts[i].letter;
		if (takes_value(&opts[i]))
			*to++ = ':';
	}
	opterr = 0;
	optind = 0; /* glibc: from the start, with a new '+' */
}

/* The option that getopt means by c, its letter or its place in the table. */
static const struct opt *
option_of(const struct line *l, int c)
{
	const struct opt *o;

	if (c >= VAL_BASE)
		return &l->opts[c - VAL_BASE];
	for (o = l->opts; o->name != NULL; o++)
		if (c != 0 && o->letter == c)
			return o;
	return NULL;
}

static _Noreturn void
refuse(const struct line *l, int c)
{
	const struct opt *o = option_of(l, optopt);
	const char *word = l->argv[optind - 1];

	if (c == ':')
		opts_usage_error("--%s needs a value: %s", o->name, o->arg);
	if (o != NULL)
		opts_usage_error("--%s takes no value", o->name);
	if (optopt != 0)
		opts_usage_error("unknown option '-%c'", optopt);
	/* what follows a = could be a secret */
	opts_usage_error("unknown option '%.*s', or short for several",
	    (int)strcspn(word, "="), word);
}

/* The next option on the line, its value in optarg; NULL: no more. */
static const struct opt *
next(struct line *l)
{
	int c = getopt_long(l->argc, l->argv, l->letters, l->longs, NULL);

	if (c == '?' || c == ':')
		refuse(l, c);
	return c < 0 ? NULL : option_of(l, c);
}

/* How "-t, --tag TAGS" is written in help. */
static int
left(const struct opt *o, char *out, size_t size)
{
	char letter[] = "    ";

	if (o->letter != 0)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return snprintf(out, size, "  %s--%s%s%s", letter, o->name,
	    o->arg == NULL || is_optional(o) ? "" : " ",
	    o->arg != NULL ? o->arg : "");
}

/* Print text in the column that starts at indent, where the cursor is. */
static void
print_wrapped(const char *text, int indent)
{
	int at = indent;
	int n;

	for (; *text != '\0'; text += n + (text[n] == ' ')) {
		n = (int)strcspn(text, " ");
		if (at > indent && at + 1 + n > HELP_WIDTH) {
			printf("\n%*s", indent, "");
			at = indent;
		}
		at += printf(at > indent ? " %.*s" : "%.*s", n, text);
	}
	putchar('\n');
}

static void
print_help(const struct opt_program *p)
{
	const struct opt *o;
	int n, width = 0;
	char text[256];

	for (o = p->opts; o->name != NULL; o++)
		if ((n = left(o, text, sizeof(text))) > width && n <= LEFT_MAX)
			width = n;
	printf("usage: %s %s\n%s\n\n", p->name, p->synopsis, p->purpose);
	for (o = p->opts; o->name != NULL; o++) {
		n = left(o, text, sizeof(text));
		if (n <= width)
			printf("%-*s  ", width, text);
		else
			printf("%s\n%*s  ", text, width, "");
		print_wrapped(o->help, width + 2);
	}
}

static _Noreturn void
leave(void)
{
	if (fflush(stdout) == 0)
		exit(EXIT_OK);
	log_sys("cannot write standard output");
	exit(EXIT_OUTPUT);
}

/* Look at the whole line first: --help, --version, and the file's name. */
static const char *
scan(const struct opt_program *p, int argc, char *argv[])
{
	const char *file = NULL;
	const struct opt *o;
	struct line l;

	line_init(&l, p->opts, argc, argv);
	while ((o = next(&l)) != NULL) {
		given[o - p->opts] = true;
		if (o->letter == 'h') {
			print_help(p);
			leave();
		}
		if (o->letter == 'V') {
			printf("%s %s\n", p->name, OPTS_VERSION);
			leave();
		}
		if (o->letter != 'f')
			continue;
		if (file != NULL)
			opts_usage_error("--%s is given twice", o->name);
		file = optarg;
	}
	return file;
}

static _Noreturn void
no_memory(void)
{
	log_error("out of memory");
	exit(EXIT_SYSTEM);
}

static void
apply(const struct opt *o, void *conf, char *value)
{
	char why[STORE_WHY];
	int r;

	if (!takes_value(o)) {
		store_flag(o, conf, true);
		return;
	}
	r = store_text(o, conf, value != NULL ? value : LEFT_OUT, why);
	/* leave no secret where ps(1) shows it; the name of a file is none */
	if ((o->kind == OPT_SECRET || o->kind == OPT_SECRETS) &&
	    value != NULL && *value != '@')
		explicit_bzero(value, strlen(value));
	if (r == ERR_BAD)
		opts_usage_error("--%s: %s", o->name, why);
	if (r != OK)
		no_memory();
}

void
opts_read(const struct opt_program *p, void *conf, int argc, char *argv[],
    int *operand)
{
	const struct opt *o;
	const char *file;
	struct line l;
	int r;

	assert(count(p->opts) <= FILE_OPTIONS_MAX);
	log_init(p->name);
	program = p;
	memset(given, 0, sizeof(given));
	for (o = p->opts; o->name != NULL; o++)
		store_save(o, conf, &defaults[o - p->opts]);
	file = scan(p, argc, argv);
	r = file != NULL ? file_read(p->opts, conf, given, file) : OK;
	if (r == ERR_NOMEM)
		no_memory();
	if (r != OK)
		exit(EXIT_CONFIG);
	line_init(&l, p->opts, argc, argv);
	while ((o = next(&l)) != NULL)
		apply(o, conf, optarg);
	if (operand != NULL)
		*operand = optind;
	else if (optind < argc)
		opts_usage_error("unexpected operand '%s'", argv[optind]);
}

int
opts_read_file(const struct opt_program *p, void *conf, const char *file)
{
	const struct opt *o;

	assert(p == program);
	for (o = p->opts; o->name != NULL; o++)
		if (!given[o - p->opts] && has_field(o))
			store_restore(o, conf, &defaults[o - p->opts]);
	return file_read(p->opts, conf, given, file);
}

void
opts_fini(const struct opt_program *p, void *conf, const void *heir)
{
	const struct opt *o;

	for (o = p->opts; o->name != NULL; o++)
		store_fini(o, conf, heir);
}

int
opts_read_text(const struct opt_program *p, void *conf, const char *name,
    const char *text, size_t len)
{
	return file_apply(p->opts, conf, given, name,
	    (struct view){(const uint8_t *)text, len});
}

void
opts_usage_error(const char *fmt, ...)
{
	char text[USAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s", text);
	if (program != NULL)
		log_error("try '%s --help'", program->name);
	exit(EXIT_USAGE);
}

void
opts_forget(void)
{
	memset(given, 0, sizeof(given));
	program = NULL;
	store_forget();
}
