/* SPDX-License-Identifier: ISC */
#include <ngtcp2/ngtcp2_crypto.h>

#include "quic/token.h"

#define RETRY_LIFE (10 * NGTCP2_SECONDS)
#define REGULAR_LIFE (24 * 60 * NGTCP2_MINUTES)

_Static_assert(NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2 <= QUIC_TOKEN_MAX &&
		   NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN <= QUIC_TOKEN_MAX,
    "tokens fit");

enum quic_token
quic_token_read(const uint8_t key[QUIC_KEY_BYTES], const ngtcp2_pkt_hd *hd,
    const struct addr *peer, uint64_t now, ngtcp2_cid *odcid)
{
	int r;

	if (hd->tokenlen == 0)
		return QUIC_TOKEN_NONE;
	switch (hd->token[0]) {
	case NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2:
		r = ngtcp2_crypto_verify_retry_token2(odcid, hd->token,
		    hd->tokenlen, key, QUIC_KEY_BYTES, hd->version, &peer->sa,
		    peer->len, &hd->dcid, RETRY_LIFE, now);
		if (r == NGTCP2_CRYPTO_ERR_VERIFY_TOKEN)
			return QUIC_TOKEN_WRONG;
		return r == 0 ? QUIC_TOKEN_RETRY : QUIC_TOKEN_NONE;
	case NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR:
		r = ngtcp2_crypto_verify_regular_token(hd->token, hd->tokenlen,
		    key, QUIC_KEY_BYTES, &peer->sa, peer->len, REGULAR_LIFE,
		    now);
		return r == 0 ? QUIC_TOKEN_REGULAR : QUIC_TOKEN_NONE;
	default:
		return QUIC_TOKEN_NONE;
	}
}

size_t
quic_token_retry(const uint8_t key[QUIC_KEY_BYTES], const ngtcp2_pkt_hd *hd,
    const ngtcp2_cid *scid, const struct addr *peer, uint64_t now,
    uint8_t out[QUIC_TOKEN_MAX])
{
	ngtcp2_ssize n =
	    ngtcp2_crypto_generate_retry_token2(out, key, QUIC_KEY_BYTES,
		hd->version, &peer->sa, peer->len, scid, &hd->dcid, now);

	return n > 0 ? (size_t)n : 0;
}

size_t
quic_token_regular(const uint8_t key[QUIC_KEY_BYTES], const struct addr *peer,
    uint64_t now, uint8_t out[QUIC_TOKEN_MAX])
{
	ngtcp2_ssize n = ngtcp2_crypto_generate_regular_token(
	    out, key, QUIC_KEY_BYTES, &peer->sa, peer->len, now);

	return n > 0 ? (size_t)n : 0;
}
