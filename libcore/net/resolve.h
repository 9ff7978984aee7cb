/* SPDX-License-Identifier: ISC */
/* Names to addresses, without blocking the loop. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/addr.h"
#include "net/loop.h"

struct resolve;

/*
 * Look host up; done(arg, v, n) is called once, from the loop, with the
 * addresses in the order to try them, valid during the call; n is 0 if there
 * are none, which is said in the log at debug level.  host is copied.
 */
int resolve_start(struct resolve **out, struct loop *l, const char *host,
    uint16_t port, void (*done)(void *arg, const struct addr *v, size_t n),
    void *arg);

/*
 * The same at once, which may block: for a start-up.  "" is any address.
 * ERR_NONE, said in the log.
 */
int resolve_now(
    const char *host, uint16_t port, struct addr *v, size_t max, size_t *n);

/*
 * Whether a look-up that was cancelled is still waiting for a name server, in
 * a thread that cannot be stopped: a program that ends must not wait for it.
 */
bool resolve_is_stuck(void);

/* No callback comes after it.  NULL and a finished one are nothing. */
void resolve_cancel(struct resolve *r);

#endif /* NET_RESOLVE_H */
