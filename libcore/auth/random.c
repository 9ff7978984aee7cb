/* SPDX-License-Identifier: ISC */
/*
 * A generator with fast key erasure: the first bytes of each block of key
 * stream are the next key, so that what was handed out cannot be found again.
 */
#include <assert.h>

#include <sodium.h>

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"

#define KEY_BYTES crypto_stream_chacha20_KEYBYTES
#define BLOCK_BYTES 4096
/* 21 characters of 6 bits are 126. */
#define ID_BYTES 16

static struct {
	uint8_t block[BLOCK_BYTES];
	size_t left; /* fresh bytes at the end of block */
	bool seeded;
} gen;

static void
refill(void)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	uint8_t key[KEY_BYTES];

	memcpy(key, gen.block, KEY_BYTES);
	crypto_stream_chacha20(gen.block, BLOCK_BYTES, nonce, key);
	sodium_memzero(key, KEY_BYTES);
	gen.left = BLOCK_BYTES - KEY_BYTES;
}

int
auth_init(void)
{
	if (sodium_init() < 0) {
		log_error("cannot initialise libsodium");
		return ERR_SYS;
	}
	if (gen.seeded)
		return OK;
	randombytes_buf(gen.block, KEY_BYTES);
	gen.left = 0;
	gen.seeded = true;
	return OK;
}

void
auth_random(void *p, size_t n)
{
	uint8_t *out = p, *from;
	size_t take;

	assert(gen.seeded);
	while (n > 0) {
		if (gen.left == 0)
			refill();
		take = n < gen.left ? n : gen.left;
		from = gen.block + BLOCK_BYTES - gen.left;
		memcpy(out, from, take);
		sodium_memzero(from, take);
		gen.left -= take;
		out += take;
		n -= take;
	}
}

void
auth_id_put(uint8_t *p)
{
	static const uint8_t alphabet[64] = "_-0123456789"
					    "abcdefghijklmnopqrstuvwxyz"
					    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	uint64_t a, b;
	int i;

	assert(gen.seeded);
	if (gen.left < ID_BYTES)
		refill();
	memcpy(&a, gen.block + BLOCK_BYTES - gen.left, sizeof(a));
	memcpy(&b, gen.block + BLOCK_BYTES - gen.left + sizeof(a), sizeof(b));
	gen.left -= ID_BYTES;
	for (i = 0; i < 10; i++) {
		p[i] = alphabet[a & 63];
		p[10 + i] = alphabet[b & 63];
		a >>= 6;
		b >>= 6;
	}
	/* Four bits are left of each. */
	p[20] = alphabet[(a | b << 4) & 63];
}

void
auth_id(char out[AUTH_ID_SIZE + 1])
{
	auth_id_put((uint8_t *)out);
	out[AUTH_ID_SIZE] = '\0';
}
