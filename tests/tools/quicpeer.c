/* SPDX-License-Identifier: ISC */
/*
 * quicpeer: bytes on one stream from one process to another, by ngtcp2 and
 * nothing else: what one hop costs at the least.
 *
 * quicpeer source|sink [options] ADDR:PORT
 *   -c BYTES   to send, or to wait for (1G)
 *   -p SIZE    of the datagrams, without headers (1452)
 *   -R FD      write a newline there when the sink listens
 *
 * IPv4 and IPv6, AES-128-GCM, a throw-away certificate.  Each says in JSON how
 * many bytes went, when the first and the last did (monotonic ns), and what
 * processor time it took from then on (ns).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "common/client.h"
#include "conf/values.h"
#include "net/loop.h"

#define ALPN "\5bench"
#define CIPHERS "TLS_AES_128_GCM_SHA256"
#define SECOND ((uint64_t)1000000000)
#define CID_BYTES 8
#define SOCKET_BUFFER (4 << 20)
/* Less than a socket's buffer holds, so that nothing is lost on this machine.
 */
#define WINDOW (1u << 20)
#define BURST_BYTES 65000
#define BURST_PACKETS 64
#define READS 8	     /* bursts of one system call */
#define ACK_EVERY 16 /* datagrams */

struct end {
	ngtcp2_crypto_conn_ref ref;
	ngtcp2_conn *conn;
	ngtcp2_crypto_ossl_ctx *ossl;
	SSL_CTX *ctx;
	SSL *ssl;
	bool sink;
	bool over; /* all is sent and acknowledged, or the other end is gone */
	int fd;
	int ready_fd;
	struct addr local;
	struct addr remote;
	uint64_t limit;
	uint64_t packet;
	int64_t stream; /* -1: none yet */
	uint64_t count;
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t cpu_ns; /* when it began */
};

static uint64_t
cpu_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void
check(int r, const char *what)
{
	if (r != 0)
		client_die(what, ngtcp2_strerror(r));
}

static void
check_sys(int r, const char *what)
{
	if (r < 0)
		client_die(what, strerror(errno));
}

/* For what OpenSSL does, which fails here only without memory. */
static void
check_ssl(bool ok)
{
	if (!ok)
		client_die("prepare TLS", "OpenSSL refuses");
}

static ngtcp2_conn *
get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct end *)ref->user_data)->conn;
}

static void
on_rand(uint8_t *p, size_t len, const ngtcp2_rand_ctx *ctx)
{
	(void)ctx;
	RAND_bytes(p, (int)len);
}

static int
on_new_id(
    ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t len, void *arg)
{
	(void)conn;
	(void)arg;
	id->datalen = len;
	RAND_bytes(id->data, (int)len);
	RAND_bytes(token, NGTCP2_STATELESS_RESET_TOKENLEN);
	return 0;
}

static void
count(struct end *e, size_t n)
{
	e->last_ns = loop_clock();
	if (e->count == 0) {
		e->first_ns = e->last_ns;
		e->cpu_ns = cpu_clock();
	}
	e->count += n;
}

static int
on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
    const uint8_t *p, size_t len, void *arg, void *stream)
{
	struct end *e = arg;

	(void)flags;
	(void)offset;
	(void)p;
	(void)stream;
	count(e, len);
	ngtcp2_conn_extend_max_stream_offset(conn, id, len);
	ngtcp2_conn_extend_max_offset(conn, len);
	return 0;
}

/* The source's: all that it sent has been acknowledged. */
static int
on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code,
    void *arg, void *stream)
{
	struct end *e = arg;

	(void)conn;
	(void)flags;
	(void)id;
	(void)code;
	(void)stream;
	if (!e->sink)
		e->over = true;
	return 0;
}

static void
use_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	check_ssl(key != NULL && x != NULL &&
		  ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
		  X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
		  X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL &&
		  X509_set_pubkey(x, key) && X509_sign(x, key, EVP_sha256()) &&
		  SSL_CTX_use_certificate(ctx, x) == 1 &&
		  SSL_CTX_use_PrivateKey(ctx, key) == 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned len, void *arg)
{
	int r = SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len,
	    (const unsigned char *)ALPN, sizeof(ALPN) - 1, in, len);

	(void)ssl;
	(void)arg;
	return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
					   : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
tls_init(struct end *e)
{
	e->ctx =
	    SSL_CTX_new(e->sink ? TLS_server_method() : TLS_client_method());
	check_ssl(
	    e->ctx != NULL && SSL_CTX_set_ciphersuites(e->ctx, CIPHERS) == 1);
	if (e->sink) {
		use_certificate(e->ctx);
		SSL_CTX_set_alpn_select_cb(e->ctx, on_alpn, NULL);
	}
	check_ssl((e->ssl = SSL_new(e->ctx)) != NULL);
	check(ngtcp2_crypto_ossl_ctx_new(&e->ossl, e->ssl), "prepare TLS");
	e->ref = (ngtcp2_crypto_conn_ref){get_conn, e};
	SSL_set_app_data(e->ssl, &e->ref);
	if (e->sink) {
		check(ngtcp2_crypto_ossl_configure_server_session(e->ssl),
		    "prepare TLS");
		SSL_set_accept_state(e->ssl);
	} else {
		check(ngtcp2_crypto_ossl_configure_client_session(e->ssl),
		    "prepare TLS");
		SSL_set_connect_state(e->ssl);
		SSL_set_alpn_protos(
		    e->ssl, (const unsigned char *)ALPN, sizeof(ALPN) - 1);
	}
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .rand = on_rand,
    .get_new_connection_id = on_new_id,
    .recv_stream_data = on_data,
    .stream_close = on_stream_close,
};

static ngtcp2_path
path_of(struct end *e)
{
	return (ngtcp2_path){
	    .local = {&e->local.sa, e->local.len},
	    .remote = {&e->remote.sa, e->remote.len},
	};
}

/* With the first packet's header, the sink's connection; else the source's. */
static void
conn_init(struct end *e, const ngtcp2_pkt_hd *first)
{
	ngtcp2_path path = path_of(e);
	ngtcp2_transport_params tp;
	ngtcp2_settings st;
	ngtcp2_cid ids[2];
	size_t i;

	for (i = 0; i < 2; i++)
		on_rand(ids[i].data, ids[i].datalen = CID_BYTES, NULL);
	ngtcp2_settings_default(&st);
	st.initial_ts = loop_clock();
	st.max_tx_udp_payload_size = e->packet;
	st.no_tx_udp_payload_size_shaping = 1;
	st.no_pmtud = 1;
	st.ack_thresh = ACK_EVERY;
	ngtcp2_transport_params_default(&tp);
	tp.initial_max_streams_uni = 1;
	tp.initial_max_stream_data_uni = WINDOW;
	tp.initial_max_data = WINDOW;
	tp.max_idle_timeout = 10 * SECOND;
	tls_init(e);
	if (first != NULL) {
		tp.original_dcid = first->dcid;
		tp.original_dcid_present = 1;
		check(ngtcp2_conn_server_new(&e->conn, &first->scid, &ids[0],
			  &path, first->version, &callbacks, &st, &tp, NULL, e),
		    "accept");
	} else {
		check(ngtcp2_conn_client_new(&e->conn, &ids[1], &ids[0], &path,
			  NGTCP2_PROTO_VER_V1, &callbacks, &st, &tp, NULL, e),
		    "connect");
	}
	ngtcp2_conn_set_tls_native_handle(e->conn, e->ossl);
}

static void
send_burst(struct end *e, uint8_t *p, size_t len, size_t segment)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(uint16_t))];
	} control = {0};
	struct iovec v = {p, len};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	uint16_t size = (uint16_t)segment;

	if (len > segment) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_UDP;
		control.head.cmsg_type = UDP_SEGMENT;
		control.head.cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(&control.head), &size, sizeof(size));
	}
	/* What the socket does not take is lost, as anything may be. */
	if (sendmsg(e->fd, &m, 0) < 0 && errno != EAGAIN)
		check_sys(-1, "send");
}

static ngtcp2_ssize
write_packet(ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
    uint8_t *p, size_t len, ngtcp2_tstamp now, void *arg)
{
	static uint8_t bytes[BURST_BYTES];
	struct end *e = arg;
	uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
	ngtcp2_vec v = {bytes, sizeof(bytes)};
	int64_t id = e->stream;
	ngtcp2_ssize r, n = -1;

	if (!e->sink && id < 0 &&
	    ngtcp2_conn_open_uni_stream(conn, &e->stream, NULL) == 0)
		id = e->stream;
	if (e->count == e->limit)
		id = -1;
	if (e->limit - e->count <= v.len) {
		v.len = e->limit - e->count;
		flags = NGTCP2_WRITE_STREAM_FLAG_FIN;
	}
	r = ngtcp2_conn_writev_stream(
	    conn, path, info, p, len, &n, flags, id, &v, id < 0 ? 0 : 1, now);
	if (r == NGTCP2_ERR_STREAM_DATA_BLOCKED)
		r = ngtcp2_conn_write_pkt(conn, path, info, p, len, now);
	if (n > 0)
		count(e, (size_t)n);
	return r;
}

static void
send_all(struct end *e)
{
	static uint8_t buf[BURST_BYTES];
	uint64_t now = loop_clock();
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize n;
	size_t segment;

	ngtcp2_path_storage_zero(&path);
	for (;;) {
		n = ngtcp2_conn_write_aggregate_pkt(e->conn, &path.path, &info,
		    buf, sizeof(buf), &segment, write_packet, now);
		if (n < 0)
			check((int)n, "write");
		if (n == 0)
			break;
		send_burst(e, buf, (size_t)n, segment);
	}
	ngtcp2_conn_update_pkt_tx_time(e->conn, now);
}

/* One datagram. */
static void
take(struct end *e, const uint8_t *p, size_t len)
{
	ngtcp2_path path;
	ngtcp2_pkt_info info = {0};
	ngtcp2_pkt_hd first;
	int r;

	if (e->conn == NULL) {
		if (ngtcp2_accept(&first, p, len) != 0)
			return;
		check_sys(connect(e->fd, &e->remote.sa, e->remote.len),
		    "answer the source");
		conn_init(e, &first);
	}
	path = path_of(e);
	r = ngtcp2_conn_read_pkt(e->conn, &path, &info, p, len, loop_clock());
	if (r == NGTCP2_ERR_DRAINING)
		e->over = true;
	else
		check(r, "read");
}

/* The size of the datagrams that came as one. */
static size_t
segment_of(struct msghdr *m, size_t len)
{
	struct cmsghdr *c;
	int size;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return (size_t)size;
	}
	return len;
}

static void
receive(struct end *e)
{
	static uint8_t buf[READS][1 << 16];
	static char control[READS][CMSG_SPACE(sizeof(int))];
	struct mmsghdr m[READS] = {0};
	struct iovec v[READS];
	size_t at, segment, len;
	int i, n;

	for (i = 0; i < READS; i++) {
		v[i] = (struct iovec){buf[i], sizeof(buf[i])};
		m[i].msg_hdr = (struct msghdr){
		    .msg_iov = &v[i],
		    .msg_iovlen = 1,
		    .msg_control = control[i],
		    .msg_controllen = sizeof(control[i]),
		};
	}
	if (e->conn == NULL) { /* connect() is still to come */
		m[0].msg_hdr.msg_name = &e->remote.sa;
		m[0].msg_hdr.msg_namelen = sizeof(e->remote.in6);
	}
	n = recvmmsg(e->fd, m, e->conn == NULL ? 1 : READS, 0, NULL);
	if (n > 0 && e->conn == NULL)
		e->remote.len = m[0].msg_hdr.msg_namelen;
	for (i = 0; i < n && !e->over; i++) {
		segment = segment_of(&m[i].msg_hdr, m[i].msg_len);
		for (at = 0; at < m[i].msg_len; at += len) {
			len = m[i].msg_len - at;
			if (len > segment)
				len = segment;
			take(e, buf[i] + at, len);
		}
	}
}

static int
wait_ms(const struct end *e)
{
	uint64_t at, now = loop_clock();

	if (e->conn == NULL)
		return -1;
	at = ngtcp2_conn_get_expiry(e->conn);
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)((at - now) / 1000000 + 1);
}

/* Tell the other end, so that it need not wait. */
static void
say_goodbye(struct end *e)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ccerr why;
	uint8_t buf[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
	ngtcp2_ssize n;

	ngtcp2_path_storage_zero(&path);
	ngtcp2_ccerr_default(&why);
	n = ngtcp2_conn_write_connection_close(
	    e->conn, &path.path, &info, buf, sizeof(buf), &why, loop_clock());
	if (n > 0)
		send_burst(e, buf, (size_t)n, (size_t)n);
}

static void
run(struct end *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};

	if (!e->sink)
		conn_init(e, NULL);
	while (!e->over) {
		if (e->conn != NULL) {
			if (ngtcp2_conn_get_expiry(e->conn) <= loop_clock())
				check(ngtcp2_conn_handle_expiry(
					  e->conn, loop_clock()),
				    "go on");
			send_all(e);
		}
		if (e->ready_fd >= 0 && e->conn == NULL)
			(void)!write(e->ready_fd, "\n", 1);
		if (poll(&p, 1, wait_ms(e)) > 0)
			receive(e);
	}
	if (!e->sink)
		say_goodbye(e);
	printf("{\"bytes\":%ju,\"first_ns\":%ju,\"last_ns\":%ju,"
	       "\"cpu_ns\":%ju}\n",
	    (uintmax_t)e->count, (uintmax_t)e->first_ns, (uintmax_t)e->last_ns,
	    (uintmax_t)(cpu_clock() - e->cpu_ns));
}

static void
open_socket(struct end *e)
{
	int size = SOCKET_BUFFER, on = 1;
	socklen_t len = sizeof(e->local.in6);

	e->fd = socket(e->remote.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	check_sys(e->fd, "open a socket");
	setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(e->fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
	if (e->sink)
		check_sys(bind(e->fd, &e->remote.sa, e->remote.len), "listen");
	else
		check_sys(
		    connect(e->fd, &e->remote.sa, e->remote.len), "connect");
	check_sys(getsockname(e->fd, &e->local.sa, &len), "ask for an address");
	e->local.len = len;
}

static void
end_fini(struct end *e)
{
	if (e->ssl != NULL)
		SSL_set_app_data(e->ssl, NULL);
	ngtcp2_conn_del(e->conn);
	ngtcp2_crypto_ossl_ctx_del(e->ossl);
	SSL_free(e->ssl);
	SSL_CTX_free(e->ctx);
	close(e->fd);
}

static int
put_option(struct end *e, int opt, const char *arg)
{
	uint32_t fd;
	int r;

	switch (opt) {
	case 'c':
		return values_size(arg, &e->limit);
	case 'p':
		return values_size(arg, &e->packet);
	case 'R':
		if ((r = values_u32(arg, &fd)) == OK)
			e->ready_fd = (int)fd;
		return r;
	default:
		return ERR_BAD;
	}
}

static int
put_address(struct end *e, const char *text)
{
	struct endpoint at = {0};
	int r;

	if ((r = endpoint_parse(text, &at)) == OK)
		r = client_address(&at, &e->remote);
	endpoint_fini(&at);
	return r;
}

int
main(int argc, char *argv[])
{
	struct end e = {
	    .fd = -1,
	    .ready_fd = -1,
	    .stream = -1,
	    .limit = 1 << 30,
	    .packet = 1452,
	};
	int opt;

	if (argc < 2)
		goto usage;
	e.sink = strcmp(argv[1], "sink") == 0;
	optind = 2;
	while ((opt = getopt(argc, argv, "c:p:R:")) != -1)
		if (put_option(&e, opt, optarg) != OK)
			goto usage;
	if (optind + 1 != argc || put_address(&e, argv[optind]) != OK ||
	    e.packet < NGTCP2_MAX_UDP_PAYLOAD_SIZE ||
	    e.packet > NGTCP2_MAX_TX_UDP_PAYLOAD_SIZE)
		goto usage;
	check(ngtcp2_crypto_ossl_init(), "prepare TLS");
	open_socket(&e);
	run(&e);
	end_fini(&e);
	return 0;

usage:
	fputs("usage: quicpeer source|sink [-c bytes] [-p size] [-R fd] "
	      "addr:port\n",
	    stderr);
	return 64;
}
