/* SPDX-License-Identifier: ISC */
/* uthash, told to fail softly: the new entry's hh.tbl is then NULL. */
#ifndef QUIC_HASH_H
#define QUIC_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif /* QUIC_HASH_H */
