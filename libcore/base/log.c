/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define TEXT_MAX 2048
/* Every byte of the text may become \u00NN, and some words go around it. */
#define ESCAPED_MAX 6
#define LINE_MAX_BYTES (ESCAPED_MAX * TEXT_MAX + 256)

static const char *const level_name[] = {
    [LOG_ERROR] = "error",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
    [LOG_TRACE] = "trace",
};

static const char *program = "yomo";
static enum log_level threshold = LOG_INFO;
static bool json;

/* Append text with what a terminal or a JSON reader may not see escaped. */
static size_t
put_escaped(char *to, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;

	for (; *s != '\0'; s++) {
		if (json && (*s == '"' || *s == '\\')) {
			to[n++] = '\\';
			to[n++] = (char)*s;
		} else if (*s >= 0x20 && *s < 0x7f) {
			to[n++] = (char)*s;
		} else {
			n += (size_t)snprintf(to + n, ESCAPED_MAX + 1,
			    json ? "\\u%04x" : "\\x%02x", *s);
		}
	}
	return n;
}

static void
put_line(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES];
	struct timespec ts;
	ssize_t ignored;
	size_t n;

	if (json) {
		clock_gettime(CLOCK_REALTIME, &ts);
		n = (size_t)snprintf(line, sizeof(line),
		    "{\"ts\":%jd.%03ld,\"level\":\"%s\",\"program\":\"%s\","
		    "\"msg\":\"",
		    (intmax_t)ts.tv_sec, ts.tv_nsec / 1000000,
		    level_name[level], program);
	} else {
		n = (size_t)snprintf(line, sizeof(line), "%s: ", program);
	}
	n += put_escaped(line + n, text);
	if (json) {
		line[n++] = '"';
		line[n++] = '}';
	}
	line[n++] = '\n';
	/* A closed or full stderr must not stop the data. */
	ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
}

static void __attribute__((format(printf, 3, 0)))
emit(enum log_level level, int err, const char *fmt, va_list ap)
{
	int kept = errno;
	char text[TEXT_MAX];
	size_t n;

	if (level > threshold)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	n = strlen(text);
	if (err != 0)
		snprintf(text + n, sizeof(text) - n, ": %s", strerror(err));
	put_line(level, text);
	errno = kept;
}

void
log_init(const char *name)
{
	program = name;
}

void
log_set_level(enum log_level level)
{
	threshold = level;
}

enum log_level
log_level(void)
{
	return threshold;
}

void
log_set_json(bool on)
{
	json = on;
}

#define DEFINE(name, level, err)                                               \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		emit(level, err, fmt, ap);                                     \
		va_end(ap);                                                    \
	}

DEFINE(log_error, LOG_ERROR, 0)
DEFINE(log_sys, LOG_ERROR, errno)
DEFINE(log_info, LOG_INFO, 0)
DEFINE(log_debug, LOG_DEBUG, 0)
DEFINE(log_trace, LOG_TRACE, 0)
