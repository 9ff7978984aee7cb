/* SPDX-License-Identifier: ISC */
/* Links over descriptors: a unix socket, or the pipes of a shell. */
#ifndef LINK_PIPELINK_H
#define LINK_PIPELINK_H

#include "link/link.h"

/*
 * A link of standard input and output, either left out with -1.  It is up at
 * once; with no output to write, link_finish() is complete at once.
 */
int pipelink_open(struct link **l, struct loop *loop, int in_fd, int out_fd,
    struct outq *out, const struct link_ops *ops, void *arg);

/* A link of a connected unix socket, which it takes, also on failure. */
int pipelink_socket(struct link **l, struct loop *loop, int fd,
    struct outq *out, const struct link_ops *ops, void *arg);

/*
 * The same for a stranger, who may send little ahead until link_widen(); the
 * queue is set later.
 */
int pipelink_accept(struct link **l, struct loop *loop, int fd,
    const struct link_ops *ops, void *arg);

/*
 * Connect to the unix socket at path.
 * ERR_GONE  nobody listens there; else ERR_SYS, said in the log
 */
int pipelink_dial(struct link **l, struct loop *loop, const char *path,
    struct outq *out, const struct link_ops *ops, void *arg);

#endif /* LINK_PIPELINK_H */
