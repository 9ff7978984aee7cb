/* SPDX-License-Identifier: ISC */
/* Addresses of UDP peers, as values.  No I/O. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

#define ADDR_TEXT 64
/* "127.0.0.1:9000" or "[::1]:9000", in out, which is returned. */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT]);
/* 127.0.0.0/8, ::1, or the first as an IPv4-mapped address. */
bool addr_is_loopback(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
/* The unspecified address: a listener on it hears every address. */
bool addr_is_any(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);

#endif /* BASE_ADDR_H */
