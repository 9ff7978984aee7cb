/* SPDX-License-Identifier: ISC */
/* What a program may find as its standard input or output, both ends of it. */
#ifndef ENDS_H
#define ENDS_H

#include <stdbool.h>

/* What is written to w comes out of r.  Both are close-on-exec and block. */
struct ends {
	int r;
	int w;
};

bool ends_pipe(struct ends *e);
bool ends_socket(struct ends *e);
bool ends_fifo(struct ends *e);
/* A raw terminal is r, or w; the other end is its master. */
bool ends_tty_in(struct ends *e);
bool ends_tty_out(struct ends *e);

void ends_close(const struct ends *e);

/*
 * From now on fd cannot be opened again through /proc, as if it were another
 * user's, until ends_allow().
 */
void ends_refuse(int fd);
void ends_allow(void);

/* Kinds of input for a program, which is to read r, and of output to w. */
struct ends_kind {
	const char *name;
	bool (*make)(struct ends *e);
	int threads; /* that it takes to use it */
};

#define ENDS_IN 7
#define ENDS_OUT 6
extern const struct ends_kind ends_in[ENDS_IN];
extern const struct ends_kind ends_out[ENDS_OUT];

/* The threads of this process. */
int ends_threads(void);

#endif /* ENDS_H */
