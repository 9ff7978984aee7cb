/* SPDX-License-Identifier: ISC */
/*
 * Options, declared once: a table drives getopt_long, --help, and the JSON
 * configuration file, whose keys are the long names (yomo.conf(5)).
 *
 * Later settings win: defaults, then the file of -f, then the command line;
 * what is given on the command line is not taken from the file at all, so a
 * list given there replaces the file's.
 */
#ifndef CONF_OPTS_H
#define CONF_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_kind {
	OPT_FLAG,     /* bool: set by being there; in JSON true or false */
	OPT_STRING,   /* const char * */
	OPT_U32,      /* uint32_t, decimal or 0x */
	OPT_SIZE,     /* uint64_t bytes: 4096, 64K, 1M, 2G (powers of 1024) */
	OPT_DURATION, /* uint64_t ns: 500ms, 10s, 5m, 1h; a bare number is s */
	OPT_CHOICE,  /* unsigned: which word of arg, "text|json", counted from 0
		      */
	OPT_LIST,    /* struct opt_list: may be given again and again */
	OPT_TAGS,    /* struct tag_set: may be given again; of conf's owner */
	OPT_SECRET,  /* char *: a copy that conf's owner frees (auth/ wipes it),
		      * wiped from the command line unless it is an @FILE */
	OPT_SECRETS, /* struct opt_secrets: the same, again and again */
	OPT_CALL,    /* parse() decides; may be given again and again */
	OPT_COUNT,   /* unsigned: how often it was given; in JSON a number */
};

struct opt_list {
	const char **v; /* n of them, then NULL */
	size_t n;
};

struct opt_secrets {
	char **v; /* n of them */
	size_t n;
};

struct opt {
	int letter;	  /* 'z', or 0: long only */
	const char *name; /* without --; NULL ends the table */
	enum opt_kind kind;
	size_t offset; /* of the field in the program's struct */
	/* "ADDR" in help; NULL for flags and counts; "[=N]" where the value may
	 * be left out, which is as 1. */
	const char *arg;
	const char *help; /* one line */
	/*
	 * OPT_CALL: put value into conf.  Other kinds: NULL, or look at value
	 * before it is used.  On ERR_BAD *why says what is wrong, as "not a
	 * ..."
	 */
	int (*parse)(void *conf, const char *value, const char **why);
};

struct opt_program {
	const char *name;     /* "yomo-source" */
	const char *synopsis; /* "[options] [--] [COMMAND [ARG...]]" */
	const char *purpose;  /* one line for --help */
	const struct opt *opts;
};

/*
 * Read the configuration file and the command line into conf, which holds the
 * defaults.  On OK *operand is the index of the first operand: options end at
 * the first word that is none; with operand NULL, operands are an error.
 * --help and --version print and exit 0; what is wrong with the command line
 * is said on stderr and exits 64; with the file, 78; out of memory, 71.
 *
 * The table's letters f (an OPT_STRING), h and V are handled here: the file,
 * help and version.  Strings put into conf live for ever.  The program named
 * and the options given are remembered, for the two functions below.
 */
void opts_read(const struct opt_program *p, void *conf, int argc, char *argv[],
    int *operand);

/*
 * Only the file again (SIGHUP), into a copy of the conf that opts_read()
 * filled. What the command line gave stays; everything else is what the file
 * says now, or as it was before opts_read(); OPT_CALL alone is not put back.
 *
 * On OK the copy may take the place of the original: opts_fini() first what
 * only that owns.  On failure opts_fini() the copy, which is half set.
 *
 * ERR_BAD   malformed: said in the log
 * ERR_SYS   cannot be read: said in the log
 * ERR_NOMEM
 */
int opts_read_file(const struct opt_program *p, void *conf, const char *file);

/*
 * Free the tags and secrets that conf owns, but for those that heir, a copy of
 * it, has as well; heir may be NULL.
 */
void opts_fini(const struct opt_program *p, void *conf, const void *heir);

/*
 * Put len bytes of text into conf, as if they stood in a file called name: on
 * top of what is there.  Fails as opts_read_file().
 */
int opts_read_text(const struct opt_program *p, void *conf, const char *name,
    const char *text, size_t len);

/* Say "PROGRAM: text", how to get help, and exit 64. */
_Noreturn void opts_usage_error(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Free the strings and lists put into every conf (for tests and fuzzers). */
void opts_forget(void);

#define OPTS_VERSION "0.1.0"

#endif /* CONF_OPTS_H */
