/* SPDX-License-Identifier: ISC */
/*
 * Log lines on stderr: "yomo-zipper: cannot open 'x': No such file".
 *
 * Verb first, lower case, subjects in single quotes, no full stop, never a
 * secret.  Bytes outside printable ASCII are shown as \xNN, so that nothing a
 * peer sends reaches a terminal raw; each line is one write(2).  errno is kept.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_ERROR, /* -q: what failed */
	LOG_INFO,  /* the default: rare lines for operators */
	LOG_DEBUG, /* -v: connections, states, drops */
	LOG_TRACE, /* -v -v: frames */
};

/* Name the program at the front of each line; program is borrowed for ever. */
void log_init(const char *program);

void log_set_level(enum log_level level);
enum log_level log_level(void);

/* One JSON object a line (ts, level, program, msg) instead of text. */
void log_set_json(bool on);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As log_error, followed by ": " and what errno means. */
void log_sys(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* BASE_LOG_H */
