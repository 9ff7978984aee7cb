/* SPDX-License-Identifier: ISC */
/*
 * What became of a queue of frames when its stream broke: yomo(7), "What
 * happens to a message".  Pure.
 */
#ifndef PROTO_DOUBT_H
#define PROTO_DOUBT_H

#include "base/outq.h"

/*
 * Make q ready for another stream: what was sent is dropped, what was not sent
 * to its last byte stays and goes from its first; so does a greeting that was
 * not sent, as the next stream has one of its own.  Returns how many messages
 * are in doubt: sent to the last byte, which nobody acknowledged.
 */
uint64_t doubt_settle(struct outq *q);

#endif /* PROTO_DOUBT_H */
