/* SPDX-License-Identifier: ISC */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * What a libcore function returns: OK is zero, every failure is negative.
 *
 * The function that meets a foreign error (errno, libuv, ngtcp2, OpenSSL) logs
 * it in its own words and returns one of these; its callers only pass it on.
 */
enum err {
	OK = 0,
	/* a valid start: call again with more input, or when there is room */
	ERR_MORE = -1,
	/* bytes that no correct peer (or file, or user) sends */
	ERR_BAD = -2,
	/* a configured limit would be passed */
	ERR_LIMIT = -3,
	ERR_NOMEM = -4,
	/* a system call or libuv failed */
	ERR_SYS = -5,
	ERR_TLS = -6,
	/* the peer refused our credentials, or we refused theirs */
	ERR_AUTH = -7,
	/* the peer closed, went silent, or was never there */
	ERR_GONE = -8,
	/* what was asked for is not there */
	ERR_NONE = -9,
};

/* A short lower-case phrase for r, such as "peer sent bad bytes". */
const char *err_str(int r);

#endif /* BASE_ERR_H */
