/* SPDX-License-Identifier: ISC */
/* Tokens by which a client shows that it hears us at its address. */
#ifndef QUIC_TOKEN_H
#define QUIC_TOKEN_H

#include <ngtcp2/ngtcp2.h>

#include "base/addr.h"
#include "base/view.h"
#include "quic/server.h"

#define QUIC_TOKEN_MAX 256

enum quic_token {
	QUIC_TOKEN_NONE, /* none, or one we cannot read: as good as none */
	QUIC_TOKEN_RETRY,
	QUIC_TOKEN_REGULAR, /* of NEW_TOKEN, from an earlier connection */
	QUIC_TOKEN_WRONG,   /* of a Retry, but another's, or too old */
};

/* What hd's token says about peer; odcid is set for QUIC_TOKEN_RETRY. */
enum quic_token quic_token_read(const uint8_t key[QUIC_KEY_BYTES],
    const ngtcp2_pkt_hd *hd, const struct addr *peer, uint64_t now,
    ngtcp2_cid *odcid);

/* Make one for peer in out; returns its length, 0 on failure. */
size_t quic_token_retry(const uint8_t key[QUIC_KEY_BYTES],
    const ngtcp2_pkt_hd *hd, const ngtcp2_cid *scid, const struct addr *peer,
    uint64_t now, uint8_t out[QUIC_TOKEN_MAX]);
size_t quic_token_regular(const uint8_t key[QUIC_KEY_BYTES],
    const struct addr *peer, uint64_t now, uint8_t out[QUIC_TOKEN_MAX]);

#endif /* QUIC_TOKEN_H */
