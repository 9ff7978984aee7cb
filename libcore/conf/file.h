/* SPDX-License-Identifier: ISC */
/* The configuration file: one JSON object, its keys the long options. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include "base/view.h"
#include "conf/opts.h"

/* The largest configuration file, in bytes. */
#define FILE_SIZE_MAX (1u << 20)

/* The most options a program can have. */
#define FILE_OPTIONS_MAX 64

/*
 * Put what text says into conf; name stands for the file in the log.  The
 * options i with skip[i] stay as they are.
 *
 * ERR_BAD    malformed: said in the log; conf may be half set
 * ERR_NOMEM
 */
int file_apply(const struct opt *opts, void *conf,
    const bool skip[FILE_OPTIONS_MAX], const char *name, struct view text);

/*
 * The same from the file called name.
 *
 * ERR_SYS    it cannot be read: said in the log
 */
int file_read(const struct opt *opts, void *conf,
    const bool skip[FILE_OPTIONS_MAX], const char *name);

#endif /* CONF_FILE_H */
