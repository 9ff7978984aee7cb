/* SPDX-License-Identifier: ISC */
/* Strangers, floods, restarts: what a server does before, and after, there is a
 * connection. */
#include <ngtcp2/ngtcp2.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "quic_sim.h"

/* What was last sent to strangers, and how often. */
static struct {
	size_t count;
	size_t len;
	uint8_t bytes[65536];
} reply;

#define STRANGER "203.0.113.66"

static bool
note_replies(struct sim *s, struct packet *p)
{
	struct addr stranger = sim_v4(STRANGER, 6666);

	(void)s;
	if (addr_equal(&p->to, &stranger)) {
		reply.count++;
		reply.len = p->len;
		memcpy(reply.bytes, p->bytes, p->len);
	}
	return true;
}

/* A stranger's datagram; returns the length of the answer, 0 if none. */
static size_t
say(struct sim *s, const uint8_t *p, size_t len)
{
	struct addr stranger = sim_v4(STRANGER, 6666);

	s->meddle = note_replies;
	reply.len = 0;
	quic_server_read(s->server, (struct view){p, len}, &s->server_addr,
	    &stranger, 0, s->now);
	return reply.len;
}

/* The client's packets, as they go by, for later. */
static struct {
	size_t count;
	size_t len;
	uint8_t bytes[65536];
} first;

static bool
keep_first(struct sim *s, struct packet *p)
{
	if (addr_equal(&p->to, &s->server_addr) && first.count++ == 0) {
		first.len = p->len;
		memcpy(first.bytes, p->bytes, p->len);
	}
	return true;
}

static void
restart(struct sim *s)
{
	sim_kill_server(s);
	sim_start_server(s);
}

static void
a_version_unknown_is_answered_with_ours(void **state)
{
	uint8_t p[1200] = {0xc0, 0xba, 0xba, 0xba, 0xba, 8, 1, 2, 3, 4, 5, 6, 7,
	    8, 4, 9, 9, 9, 9};
	uint32_t versions[2];
	struct sim s;

	(void)state;
	sim_init(&s, 1);
	/* 1 + 4 + 1 + 4 + 1 + 8: both ids exchanged, then the versions. */
	assert_int_equal(say(&s, p, sizeof(p)), 27);
	assert_memory_equal(reply.bytes + 1, "\0\0\0\0", 4);
	assert_memory_equal(reply.bytes + 5, "\4\11\11\11\11\10", 6);
	memcpy(versions, reply.bytes + 19, 8);
	assert_int_equal(ntohl(versions[0]), NGTCP2_PROTO_VER_V1);
	assert_int_equal(ntohl(versions[1]), NGTCP2_PROTO_VER_V2);
	/* Not to those who might send in another's name. */
	assert_int_equal(say(&s, p, 1199), 0);
	sim_fini(&s);
}

static void
garbage_gets_little_and_harms_nothing(void **state)
{
	static uint8_t p[1500];
	struct sim s;
	size_t i, k, len;

	(void)state;
	sim_init(&s, 2);
	for (i = 0; i < 20000; i++) {
		len = sim_random(&s) % sizeof(p);
		for (k = 0; k < len; k++)
			p[k] = (uint8_t)sim_random(&s);
		if (i % 2 == 0 && len > 5) { /* a version we speak */
			p[0] |= 0xc0;
			memcpy(p + 1, "\0\0\0\1", 4);
		}
		if (i % 4 == 0 && len > 6)
			p[5] = 8;
		k = say(&s, p, len);
		assert_true(k == 0 || k < len);
	}
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	assert_true(quic_server_counts(s.server)->garbage > 10000);
	sim_fini(&s);
}

static void
mutated_handshakes_harm_nothing(void **state)
{
	struct sim s;
	size_t i;

	(void)state;
	sim_init(&s, 3);
	s.meddle = keep_first;
	first.count = 0;
	sim_connected(&s);
	restart(&s);
	assert_int_equal(first.len, 1200);
	for (i = 0; i < first.len; i++) {
		first.bytes[i] ^= 1;
		say(&s, first.bytes, first.len);
		first.bytes[i] ^= 1;
		assert_int_equal(quic_server_counts(s.server)->conns, 0);
	}
	for (i = 0; i < first.len; i++)
		say(&s, first.bytes, i);
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	assert_int_equal(quic_server_counts(s.server)->half_open, 0);
	say(&s, first.bytes, first.len);
	assert_int_equal(quic_server_counts(s.server)->half_open, 1);
	sim_fini(&s);
}

static bool
client_ended(struct sim *s)
{
	return quic_end(TAILQ_FIRST(&s->apps)->quic)->kind != QUIC_ALIVE;
}

static void
a_restarted_server_is_missed_at_once(void **state)
{
	struct sim s;
	struct app *a;
	uint64_t then;

	(void)state;
	sim_init(&s, 4);
	a = sim_connected(&s);
	sim_run(&s, 10 * SECOND, NULL);
	restart(&s);
	then = s.now;
	sim_send(a, 100, true);
	assert_true(sim_run(&s, SECOND, client_ended));
	assert_int_equal(quic_end(a->quic)->kind, QUIC_RESET);
	assert_in_range(s.now - then, 0, 3 * s.delay); /* one round trip */
	assert_int_equal(quic_server_counts(s.server)->resets, 1);
	sim_fini(&s);
}

static void
another_key_makes_resets_worthless(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 5);
	a = sim_connected(&s);
	s.conf.reset_key[0] ^= 1;
	restart(&s);
	sim_send(a, 100, true);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_ALIVE);
	sim_fini(&s);
}

static void
resets_are_shorter_and_not_without_end(void **state)
{
	uint8_t p[100] = {0x40, 1, 2, 3, 4};
	struct sim s;
	size_t i, n, sent = 0;

	(void)state;
	sim_init(&s, 6);
	for (i = 1; i < sizeof(p); i++) {
		n = say(&s, p, i);
		assert_true(n < i);
		assert_true((n > 0) == (i >= 22));
	}
	for (i = 0; i < 5000; i++)
		sent += say(&s, p, sizeof(p)) > 0;
	assert_in_range(sent, 1, 256);
	s.now += SECOND;
	for (i = 0; i < 5000; i++)
		sent += say(&s, p, sizeof(p)) > 0;
	assert_in_range(sent, 257, 512);
	sim_fini(&s);
}

static void
retry_proves_the_address(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 7);
	s.conf.retry_from = 0;
	restart(&s);
	s.meddle = keep_first;
	first.count = 0;
	a = sim_connected(&s);
	assert_true(a->ready);
	/* Its ClientHello takes two datagrams, each with its own answer. */
	assert_int_equal(quic_server_counts(s.server)->retries, 2);
	assert_int_equal(quic_server_counts(s.server)->accepted, 1);
	/* Strangers, too, get a Retry and nothing is kept of them. */
	assert_in_range(say(&s, first.bytes, first.len), 1, 300);
	assert_int_equal(reply.bytes[0] & 0xf0, 0xf0);
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	sim_fini(&s);
}

/* The first of the client's packets with a token, which then goes no further:
 * those before it are the two of its first ClientHello. */
static bool
keep_third(struct sim *s, struct packet *p)
{
	if (!addr_equal(&p->to, &s->server_addr) || ++first.count < 3)
		return true;
	if (first.count == 3) {
		first.len = p->len;
		memcpy(first.bytes, p->bytes, p->len);
	}
	return false;
}

static void
a_token_is_for_one_address_and_not_for_ever(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 8);
	s.conf.retry_from = 0;
	restart(&s);
	s.meddle = keep_third;
	first.count = 0;
	sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, 100 * MS, NULL);
	assert_true(first.len >= 1200);
	/* CONNECTION_CLOSE with INVALID_TOKEN, and nothing kept. */
	assert_in_range(say(&s, first.bytes, first.len), 20, 200);
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	sim_fini(&s);

	sim_init(&s, 8);
	s.conf.retry_from = 0;
	restart(&s);
	s.meddle = keep_third;
	first.count = 0;
	sim_client(&s, STRANGER, 6666);
	sim_run(&s, 100 * MS, NULL);
	s.now += 11 * SECOND;
	say(&s, first.bytes, first.len);
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	s.now -= 11 * SECOND;
	say(&s, first.bytes, first.len);
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	sim_fini(&s);
}

static void
limits_hold(void **state)
{
	struct sim s;
	struct app *a[8];
	size_t i;

	(void)state;
	sim_init(&s, 9);
	s.conf.max_conns = 5;
	s.conf.max_per_addr = 2;
	restart(&s);
	for (i = 0; i < 3; i++)
		a[i] = sim_client(&s, "198.51.100.7", (uint16_t)(5000 + i));
	sim_run(&s, SECOND, NULL);
	assert_true(a[0]->ready && a[1]->ready && !a[2]->ready);
	assert_int_equal(quic_end(a[2]->quic)->kind, QUIC_CLOSED_TRANSPORT);
	assert_int_equal(quic_end(a[2]->quic)->code, NGTCP2_CONNECTION_REFUSED);
	for (i = 0; i < 4; i++)
		a[i] = sim_client(&s, "198.51.100.8", (uint16_t)(5000 + i));
	for (; i < 8; i++)
		a[i] = sim_client(&s, "198.51.100.9", (uint16_t)(5000 + i));
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_server_counts(s.server)->conns, 5);
	assert_in_range(quic_server_counts(s.server)->refused, 6, 12);
	/* Who leaves makes room. */
	sim_app_free(sim_peer(&s, 0));
	a[0] = sim_client(&s, "198.51.100.10", 1);
	sim_run(&s, SECOND, NULL);
	assert_true(a[0]->ready);
	sim_fini(&s);
}

static struct addr
v6(const char *host)
{
	struct addr a = {.len = sizeof(a.in6)};

	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(5000);
	inet_pton(AF_INET6, host, &a.in6.sin6_addr);
	return a;
}

static void
an_ipv6_network_counts_as_one(void **state)
{
	static const char *const hosts[] = {"2001:db8:0:1::1",
	    "2001:db8:0:1:8000::2", "2001:db8:0:1:ffff::3", "2001:db8:0:2::1"};
	struct quic_conf conf;
	struct app *a[4];
	struct sim s;
	size_t i;

	(void)state;
	sim_init(&s, 10);
	s.conf.max_per_addr = 2;
	restart(&s);
	s.server_addr = v6("2001:db8::9");
	for (i = 0; i < COUNT(hosts); i++) {
		a[i] = sim_app_new(&s);
		a[i]->client = true;
		a[i]->local = v6(hosts[i]);
		conf = s.client_conf;
		conf.tls = s.client_tls;
		assert_int_equal(
		    quic_client_new(&a[i]->quic, &conf, &SIM_OPS, a[i], "x",
			&a[i]->local, &s.server_addr, s.now),
		    OK);
	}
	sim_run(&s, SECOND, NULL);
	assert_true(a[0]->ready && a[1]->ready && a[3]->ready);
	assert_false(a[2]->ready);
	sim_fini(&s);
}

static bool
deaf_clients(struct sim *s, struct packet *p)
{
	return addr_equal(&p->to, &s->server_addr);
}

static void
half_open_connections_are_bounded(void **state)
{
	const struct quic_counts *n;
	struct sim s;
	uint16_t i;

	(void)state;
	sim_init(&s, 11);
	s.conf.max_half_open = 10;
	s.conf.retry_from = 5;
	restart(&s);
	s.meddle = deaf_clients;
	for (i = 0; i < 30; i++)
		sim_client(&s, "198.51.100.7", (uint16_t)(5000 + i));
	sim_run(&s, 100 * MS, NULL);
	n = quic_server_counts(s.server);
	assert_int_equal(n->half_open, 5);
	assert_in_range(n->retries, 25, 50);
	/* Their time runs out. */
	s.meddle = NULL;
	s.mtu = 1;
	sim_run(&s, 11 * SECOND, NULL);
	while (sim_peer(&s, 0) != NULL) {
		assert_int_equal(
		    quic_end(sim_peer(&s, 0)->quic)->kind, QUIC_HANDSHAKE_LATE);
		sim_app_free(sim_peer(&s, 0));
	}
	assert_int_equal(n->half_open, 0);
	assert_int_equal(n->conns, 0);
	sim_fini(&s);

	sim_init(&s, 12);
	s.conf.max_half_open = 10;
	restart(&s);
	s.meddle = deaf_clients;
	for (i = 0; i < 30; i++)
		sim_client(&s, "198.51.100.7", (uint16_t)(5000 + i));
	sim_run(&s, 100 * MS, NULL);
	assert_int_equal(quic_server_counts(s.server)->half_open, 10);
	sim_fini(&s);
}

static void
an_owner_may_refuse(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 13);
	s.refuse_conns = true;
	a = sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_TRANSPORT);
	assert_int_equal(quic_end(a->quic)->code, NGTCP2_CONNECTION_REFUSED);
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	sim_fini(&s);
}

static void
offer_h3(const SSL *ssl, int where, int ret)
{
	(void)ret;
	if (where == SSL_CB_HANDSHAKE_START)
		SSL_set_alpn_protos(
		    (SSL *)(uintptr_t)ssl, (const unsigned char *)"\2h3", 3);
}

static void
another_protocol_is_refused_with_alert_120(void **state)
{
	struct sim s;
	struct app *a;

	(void)state;
	sim_init(&s, 14);
	SSL_CTX_set_info_callback(tls_ctx(s.client_tls), offer_h3);
	a = sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_TRANSPORT);
	assert_int_equal(quic_end(a->quic)->code, 0x178);
	SSL_CTX_set_info_callback(tls_ctx(s.client_tls), NULL);
	sim_fini(&s);
}

static bool
lose_to_clients(struct sim *s, struct packet *p)
{
	return addr_equal(&p->to, &s->server_addr);
}

static void
a_lost_close_is_said_again_a_few_times(void **state)
{
	struct sim s;
	struct app *a;
	size_t i, before;

	(void)state;
	sim_init(&s, 15);
	a = sim_connected(&s);
	quic_close(sim_peer(&s, 0)->quic, 0x100, view_of("later"));
	s.meddle = lose_to_clients;
	sim_run(&s, 10 * MS, NULL);
	s.meddle = NULL;
	sim_app_free(sim_peer(&s, 0));
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	sim_send(a, 100, true);
	sim_run(&s, 50 * MS, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_APP);
	assert_int_equal(quic_end(a->quic)->code, 0x100);
	sim_fini(&s);

	sim_init(&s, 16);
	s.meddle = keep_first;
	first.count = 0;
	sim_connected(&s);
	quic_close(sim_peer(&s, 0)->quic, 0x100, view_of("later"));
	sim_run(&s, 10 * MS, NULL);
	sim_app_free(sim_peer(&s, 0));
	before = s.packets;
	for (i = 0; i < 100; i++)
		say(&s, first.bytes, first.len);
	assert_int_equal(s.packets - before, 4);
	assert_int_equal(quic_server_counts(s.server)->conns, 0);
	/* And after a while the grave is closed. */
	s.now += 10 * SECOND;
	say(&s, first.bytes, first.len);
	assert_int_equal(quic_server_counts(s.server)->conns, 1);
	sim_fini(&s);
}

static void
another_certificate_is_for_connections_to_come(void **state)
{
	struct tls *other = sim_server_tls();
	struct sim s;
	struct app *a, *b;

	(void)state;
	sim_init(&s, 17);
	a = sim_connected(&s);
	quic_server_set_tls(s.server, other);
	sim_send(a, 1000, true);
	b = sim_client(&s, "198.51.100.8", 1); /* has the old pin */
	s.client_tls = sim_client_tls(tls_pin(other));
	a = sim_client(&s, "198.51.100.9", 1);
	sim_run(&s, SECOND, NULL);
	assert_true(a->ready && !b->ready);
	assert_int_equal(sim_peer(&s, 0)->flows[0].got, 1000);
	tls_free(s.client_tls);
	tls_free(other);
	sim_fini(&s);
}

/* A certificate for cn, signed by itself, and its key, in one PEM file. */
static void
write_cert(const char *path, const char *cn)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
a_client_certificate_gives_a_name(void **state)
{
	char path[] = "/tmp/quic_test.XXXXXX";
	struct tls_server_conf server = {path, path, path};
	struct tls_client_conf client = {
	    .cert = path, .key = path, .insecure = true};
	struct sim s;
	struct app *a;

	(void)state;
	close(mkstemp(path));
	write_cert(path, "sensor-7");
	sim_init(&s, 18);
	assert_int_equal(tls_server_new(&s.server_tls, &server), OK);
	assert_int_equal(tls_client_new(&s.client_tls, &client), OK);
	unlink(path);
	restart(&s);
	a = sim_client(&s, "198.51.100.7", 5000);
	sim_run(&s, SECOND, NULL);
	assert_true(a->ready);
	assert_string_equal(quic_peer_name(sim_peer(&s, 0)->quic), "sensor-7");
	/* Who has none is shown the door: certificate_required. */
	tls_free(s.client_tls);
	client.cert = client.key = NULL;
	assert_int_equal(tls_client_new(&s.client_tls, &client), OK);
	a = sim_client(&s, "198.51.100.8", 5000);
	sim_run(&s, SECOND, NULL);
	assert_int_equal(quic_end(a->quic)->kind, QUIC_CLOSED_TRANSPORT);
	assert_int_equal(quic_end(a->quic)->code, 0x174);
	tls_free(s.client_tls);
	tls_free(s.server_tls);
	sim_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_version_unknown_is_answered_with_ours),
	    cmocka_unit_test(garbage_gets_little_and_harms_nothing),
	    cmocka_unit_test(mutated_handshakes_harm_nothing),
	    cmocka_unit_test(a_restarted_server_is_missed_at_once),
	    cmocka_unit_test(another_key_makes_resets_worthless),
	    cmocka_unit_test(resets_are_shorter_and_not_without_end),
	    cmocka_unit_test(retry_proves_the_address),
	    cmocka_unit_test(a_token_is_for_one_address_and_not_for_ever),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(an_ipv6_network_counts_as_one),
	    cmocka_unit_test(half_open_connections_are_bounded),
	    cmocka_unit_test(an_owner_may_refuse),
	    cmocka_unit_test(another_protocol_is_refused_with_alert_120),
	    cmocka_unit_test(a_lost_close_is_said_again_a_few_times),
	    cmocka_unit_test(a_client_certificate_gives_a_name),
	    cmocka_unit_test(another_certificate_is_for_connections_to_come),
	};

	log_init("quic_server_test");
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
