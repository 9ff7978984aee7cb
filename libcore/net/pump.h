/* SPDX-License-Identifier: ISC */
/*
 * A thread that reads or writes a descriptor which we may neither open again
 * nor make non-blocking; the loop talks to it through a socket.
 */
#ifndef NET_PUMP_H
#define NET_PUMP_H

#include <stdbool.h>

struct pump;

/*
 * Carry bytes from fd (or to it, when writing) through *near, which the caller
 * owns.  fd is borrowed until pump_free().  The thread ends when its input or
 * fd does; then *near is hung up.
 *
 * ERR_SYS, said in the log; ERR_NOMEM
 */
int pump_new(struct pump **out, int fd, bool writing, int *near);

/*
 * Wait for the thread, whose end is known by *near; return the errno that
 * ended it, 0 at the end of its input.  EPIPE also if it was idle when fd's
 * reader went away.
 */
int pump_join(struct pump *p);

/* End the thread wherever it is.  NULL is nothing. */
void pump_free(struct pump *p);

#endif /* NET_PUMP_H */
