/* SPDX-License-Identifier: ISC */
/*
 * Options, declared once: a table drives getopt_long, --help, and the JSON
 * configuration file, whose keys are the long names (yomo.conf(5)).
 *
 * Later settings win: defaults, then the file of -f, then the command line;
 * a list given on the command line replaces the file's.
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
	OPT_LIST,     /* struct opt_list: may be given again and again */
	OPT_CALL,     /* parse() decides; may be given again and again */
	OPT_COUNT,    /* unsigned: how often it was given; in JSON a number */
};

struct opt_list {
	const char **v; /* n of them, then NULL */
	size_t n;
};

struct opt {
	int letter;	  /* 'z', or 0: long only */
	const char *name; /* without --; NULL ends the table */
	enum opt_kind kind;
	size_t offset;	  /* of the field in the program's struct */
	const char *arg;  /* "ADDR" in help; NULL for flags and counts */
	const char *help; /* one line */
	/* OPT_CALL: put value into conf; on ERR_BAD *why says what is wrong. */
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
 * the first word that is none.  --help and --version print and exit 0; what
 * is wrong with the command line is said on stderr and exits 64; with the
 * file, 78.  Strings put into conf live for ever.
 */
void opts_read(const struct opt_program *p, void *conf, int argc, char *argv[],
    int *operand);

/* Only the file again (SIGHUP): ERR_BAD, said in the log, conf half set. */
int opts_read_file(const struct opt_program *p, void *conf, const char *file);

/* Say "PROGRAM: text", how to get help, and exit 64. */
_Noreturn void opts_usage_error(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

#define OPTS_VERSION "0.1.0"

#endif /* CONF_OPTS_H */
