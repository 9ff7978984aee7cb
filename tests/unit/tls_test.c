/* SPDX-License-Identifier: ISC */
/* Fortified, gethostname() is inline in a header, which ours would inherit. */
#undef _FORTIFY_SOURCE

#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "faults.h"
#include "tls/tls.h"

#define DAY ((time_t)24 * 60 * 60)
#define PATH_LEN 256
#define SAID_MAX 8192

/* -- the world, as the tests want it: ours and OpenSSL's calls end here -- */

static time_t skew;
static const char *host_name = "box.example";
static uid_t pretended = (uid_t)-1;

time_t
time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out != NULL)
		*out = ts.tv_sec + skew;
	return ts.tv_sec + skew;
}

int
gethostname(char *out, size_t len)
{
	snprintf(out, len, "%s", host_name);
	return 0;
}

uid_t
geteuid(void)
{
	return pretended != (uid_t)-1 ? pretended : getuid();
}

/* -- a folder for each test -- */

static char dir[64];

static const char *
in_dir(const char *name)
{
	static char path[64][PATH_LEN];
	static unsigned next;
	char *p = path[next++ % COUNT(path)];

	snprintf(p, PATH_LEN, "%s/%s", dir, name);
	return p;
}

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	skew = 0;
	host_name = "box.example";
	pretended = (uid_t)-1;
	snprintf(dir, sizeof(dir), "%s/tls.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return -1;
	/* The system's own CAs take OpenSSL ten thousand allocations. */
	setenv("SSL_CERT_FILE", in_dir("none"), 1);
	setenv("SSL_CERT_DIR", in_dir("none"), 1);
	return setenv("STATE_DIRECTORY", in_dir("state"), 1);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
remove_dir(void **state)
{
	(void)state;
	umount2(in_dir("full"), MNT_DETACH);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
put_bytes(const char *path, mode_t mode, const void *p, size_t len)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static size_t
get_bytes(const char *path, void *p, size_t cap)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, p, cap);
	close(fd);
	assert_true(n >= 0 && (size_t)n < cap);
	return (size_t)n;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* -- what was said in the log -- */

static int said_fd, kept_stderr;

static void
listen_to_log(void)
{
	said_fd = memfd_create("log", 0);
	kept_stderr = dup(STDERR_FILENO);
	assert_true(said_fd >= 0 && kept_stderr >= 0);
	dup2(said_fd, STDERR_FILENO);
}

static const char *
said(void)
{
	static char text[SAID_MAX];
	ssize_t n;

	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	n = pread(said_fd, text, sizeof(text) - 1, 0);
	close(said_fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in: %s", part, text);
}

/* -- certificates -- */

struct cert {
	X509 *x;
	EVP_PKEY *key;
};

struct spec {
	const char *names; /* SAN, as OpenSSL writes it; or NULL */
	int from, to;	   /* days from now */
	bool ca;
	const char *usage; /* NULL: any */
	EVP_PKEY *key;	   /* NULL: a new one */
};

static void
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Signed by issuer, or by itself. */
static struct cert
issue(const struct cert *issuer, const struct spec *s)
{
	static long serial = 1;
	struct cert c = {X509_new(), s->key};
	X509_NAME *name = X509_get_subject_name(c.x);
	char cn[32];

	if (c.key == NULL)
		c.key = EVP_EC_gen("P-256");
	else
		EVP_PKEY_up_ref(c.key);
	snprintf(cn, sizeof(cn), "test %ld", serial);
	X509_set_version(c.x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
	X509_set_issuer_name(
	    c.x, issuer != NULL ? X509_get_subject_name(issuer->x) : name);
	X509_time_adj_ex(X509_getm_notBefore(c.x), s->from, 0, NULL);
	X509_time_adj_ex(X509_getm_notAfter(c.x), s->to, 0, NULL);
	X509_set_pubkey(c.x, c.key);
	extend(c.x, NID_basic_constraints,
	    s->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (s->names != NULL)
		extend(c.x, NID_subject_alt_name, s->names);
	if (s->usage != NULL)
		extend(c.x, NID_ext_key_usage, s->usage);
	assert_true(X509_sign(c.x, issuer != NULL ? issuer->key : c.key,
			EVP_sha256()) > 0);
	return c;
}

static void
drop(struct cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
}

static const char *
put_cert(const char *name, const struct cert *c, const struct cert *behind)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, c->x), 1);
	if (behind != NULL)
		assert_int_equal(PEM_write_X509(f, behind->x), 1);
	fclose(f);
	return path;
}

static const char *
put_key(const char *name, const struct cert *c, const char *passphrase)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(
	    PEM_write_PKCS8PrivateKey(f, c->key,
		passphrase != NULL ? EVP_aes_128_cbc() : NULL, passphrase,
		passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL),
	    1);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

static X509 *
get_cert(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x;

	assert_non_null(f);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

/* Days until x ends. */
static int
days_left(const X509 *x)
{
	int days, seconds;

	assert_int_equal(
	    ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)), 1);
	return days;
}

/* -- handshakes in memory -- */

struct pair {
	SSL *client, *server;
	bool done;
	char refusal[1024];	   /* the client's of the server */
	char server_refusal[1024]; /* and the reverse */
};

static SSL *
new_ssl(struct tls *t, BIO *b, bool server)
{
	SSL *ssl = SSL_new(tls_ctx(t));

	assert_non_null(ssl);
	SSL_set_bio(ssl, b, b);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

static void
pair_open(struct pair *p, struct tls *server, struct tls *client)
{
	BIO *a, *b;

	assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	p->client = new_ssl(client, a, false);
	p->server = new_ssl(server, b, true);
}

/* One step; false: it is over, one way or the other. */
static bool
pair_step(SSL *ssl)
{
	int r = SSL_do_handshake(ssl);

	return r != 1 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ;
}

static void
pair_shake(struct pair *p)
{
	bool client = true, server = true;
	char c;
	int i;

	for (i = 0; i < 6; i++) {
		client = client && pair_step(p->client);
		server = server && pair_step(p->server);
	}
	/* In TLS 1.3 the server may refuse after the client is done. */
	if (SSL_is_init_finished(p->client))
		SSL_read(p->client, &c, 1);
	p->done =
	    SSL_is_init_finished(p->client) && SSL_is_init_finished(p->server);
	snprintf(p->refusal, sizeof(p->refusal), "%s", tls_refusal(p->client));
	snprintf(p->server_refusal, sizeof(p->server_refusal), "%s",
	    tls_refusal(p->server));
	ERR_clear_error();
}

static void
pair_close(struct pair *p)
{
	SSL_free(p->client);
	SSL_free(p->server);
}

/* One handshake: *p tells how it went. */
static void
shake(struct pair *p, struct tls *server, struct tls *client, const char *host,
    bool loopback)
{
	pair_open(p, server, client);
	assert_int_equal(
	    tls_client_prepare(client, p->client, host, loopback), OK);
	pair_shake(p);
	pair_close(p);
}

static struct tls *
new_server(const char *cert, const char *key, const char *client_ca)
{
	struct tls_server_conf conf = {cert, key, client_ca};
	struct tls *t = NULL;

	assert_int_equal(tls_server_new(&t, &conf), OK);
	return t;
}

static struct tls *
new_client(const char *ca, const char *pin)
{
	struct tls_client_conf conf = {.ca = ca, .pins = &pin};
	struct tls *t = NULL;

	conf.n_pins = pin != NULL;
	assert_int_equal(tls_client_new(&t, &conf), OK);
	return t;
}

static struct tls *
new_insecure(void)
{
	static const struct tls_client_conf conf = {.insecure = true};
	struct tls *t = NULL;

	assert_int_equal(tls_client_new(&t, &conf), OK);
	return t;
}

/* The days that the certificate a server shows has left. */
static int
days_shown(struct tls *server)
{
	struct tls *client = new_insecure();
	struct pair p;
	int days;

	pair_open(&p, server, client);
	assert_int_equal(
	    tls_client_prepare(client, p.client, "localhost", true), OK);
	pair_shake(&p);
	assert_true(p.done);
	days = days_left(SSL_get0_peer_certificate(p.client));
	pair_close(&p);
	tls_free(client);
	return days;
}

/* -- the state folder -- */

static void
the_state_folder_is_found(void **state)
{
	static const struct {
		const char *name;
		uid_t uid;
		const char *state, *xdg, *home;
		const char *want; /* NULL: none */
	} cases[] = {
	    {"systemd's", 1, "/a", "/x", "/h", "/a"},
	    {"systemd's first", 0, "/a:/b", "/x", "/h", "/a"},
	    {"root's", 0, NULL, "/x", "/h", "/var/lib/yomo"},
	    {"root's, nothing being set", 0, "", NULL, NULL, "/var/lib/yomo"},
	    {"XDG's", 1, NULL, "/x", "/h", "/x/yomo"},
	    {"XDG's only if absolute", 1, NULL, "x", "/h",
		"/h/.local/state/yomo"},
	    {"the home folder's", 1, "", "", "/h", "/h/.local/state/yomo"},
	    {"none without a home", 1, NULL, NULL, NULL, NULL},
	};
	static const char *const names[] = {
	    "STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"};
	const char *values[3], *path;
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("# %s\n", cases[i].name);
		values[0] = cases[i].state;
		values[1] = cases[i].xdg;
		values[2] = cases[i].home;
		for (k = 0; k < COUNT(names); k++)
			if (values[k] != NULL)
				setenv(names[k], values[k], 1);
			else
				unsetenv(names[k]);
		pretended = cases[i].uid;
		assert_int_equal(tls_state_dir(false, &path),
		    cases[i].want != NULL ? OK : ERR_SYS);
		if (cases[i].want != NULL)
			assert_string_equal(path, cases[i].want);
	}
}

static void
the_state_folder_is_made_for_its_owner_alone(void **state)
{
	const char *path;

	(void)state;
	setenv("STATE_DIRECTORY", in_dir("a/b/c"), 1);
	umask(0);
	assert_int_equal(tls_state_dir(false, &path), OK);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(tls_state_dir(true, &path), OK);
	assert_int_equal(mode_of(path), 0700);
	assert_int_equal(mode_of(in_dir("a")), 0700);
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(tls_state_dir(true, &path), OK);
	assert_int_equal(mode_of(path), 0750);
	umask(022);
}

static void
a_state_key_is_made_once(void **state)
{
	uint8_t a[32], b[32], c[32];
	const char *path = in_dir("state/reset.key");

	(void)state;
	umask(0);
	assert_int_equal(tls_state_key("reset.key", a, sizeof(a)), OK);
	umask(022);
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(tls_state_key("reset.key", b, sizeof(b)), OK);
	assert_int_equal(tls_state_key("other.key", c, sizeof(c)), OK);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
}

static void
a_state_key_that_is_not_ours_alone_is_refused(void **state)
{
	const char *path = in_dir("state/x.key");
	uint8_t key[32];

	(void)state;
	assert_int_equal(tls_state_key("x.key", key, sizeof(key)), OK);
	chmod(path, 0604);
	listen_to_log();
	assert_int_equal(tls_state_key("x.key", key, sizeof(key)), ERR_BAD);
	assert_says(said(), "others may read it");

	put_bytes(path, 0600, "short", 5);
	listen_to_log();
	assert_int_equal(tls_state_key("x.key", key, sizeof(key)), ERR_BAD);
	assert_says(said(), "holds 5 bytes instead of 32");
}

static void
without_a_folder_a_state_key_lives_with_the_process(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};
	const char *text;

	(void)state;
	setenv("STATE_DIRECTORY", "/dev/null/x", 1);
	listen_to_log();
	assert_int_equal(tls_state_key("x.key", a, sizeof(a)), OK);
	assert_int_equal(tls_state_key("x.key", b, sizeof(b)), OK);
	text = said();
	assert_says(text, "cannot make the folder '/dev/null/x': Not a dir");
	assert_says(text, "only as long as this process");
	assert_null(strstr(strstr(text, "only as long") + 1, "only as long"));
	assert_memory_not_equal(a, b, sizeof(a));
}

/* -- the self-made certificate -- */

static void
the_first_server_makes_key_and_certificate(void **state)
{
	struct tls *t;
	X509 *x;

	(void)state;
	umask(077);
	t = new_server(NULL, NULL, NULL);
	umask(022);
	assert_int_equal(mode_of(in_dir("state/key.pem")), 0600);
	assert_int_equal(mode_of(in_dir("state/cert.pem")), 0644);
	x = get_cert(in_dir("state/cert.pem"));
	assert_in_range(days_left(x), 360, 366);
	assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "box.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_int_equal(X509_check_ca(x), 0);
	X509_free(x);
	tls_free(t);
}

static void
servers_to_come_have_the_same_key_and_certificate(void **state)
{
	char first[4096], second[4096];
	struct tls *a, *b;
	size_t n;

	(void)state;
	a = new_server(NULL, NULL, NULL);
	n = get_bytes(in_dir("state/cert.pem"), first, sizeof(first));
	skew = 300 * DAY;
	b = new_server(NULL, NULL, NULL);
	assert_string_equal(tls_pin(a), tls_pin(b));
	assert_int_equal(
	    get_bytes(in_dir("state/cert.pem"), second, sizeof(second)), n);
	assert_memory_equal(first, second, n);
	tls_free(a);
	tls_free(b);
}

static void
a_certificate_is_renewed_over_the_same_key(void **state)
{
	static const struct {
		const char *name;
		time_t skew;
		const char *host;
	} cases[] = {
	    {"a month before it ends", 340 * DAY, "box.example"},
	    {"long after it ended", 4000 * DAY, "box.example"},
	    {"when the clock was ahead", -40 * DAY, "box.example"},
	    {"when the host has another name", 0, "bay.example"},
	};
	struct tls *a, *b;
	X509 *x;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("# %s\n", cases[i].name);
		skew = 0;
		host_name = "box.example";
		unlink(in_dir("state/cert.pem"));
		a = new_server(NULL, NULL, NULL);
		skew = cases[i].skew;
		host_name = cases[i].host;
		b = new_server(NULL, NULL, NULL);
		assert_string_equal(tls_pin(a), tls_pin(b));
		x = get_cert(in_dir("state/cert.pem"));
		assert_in_range(days_left(x), 360, 366);
		assert_int_equal(X509_check_host(x, host_name, 0, 0, NULL), 1);
		X509_free(x);
		tls_free(a);
		tls_free(b);
	}
}

static void
a_server_that_runs_for_a_year_renews_on_the_way(void **state)
{
	struct tls *t = new_server(NULL, NULL, NULL);
	char pin[TLS_PIN_TEXT];

	(void)state;
	snprintf(pin, sizeof(pin), "%s", tls_pin(t));
	assert_in_range(days_shown(t), 360, 366);
	skew = 300 * DAY;
	assert_in_range(days_shown(t), 60, 66);
	skew = 340 * DAY;
	assert_in_range(days_shown(t), 360, 366);
	assert_string_equal(tls_pin(t), pin);

	/* A folder lost on the way does not stop it. */
	skew += 340 * DAY;
	setenv("STATE_DIRECTORY", "/dev/null/x", 1);
	listen_to_log();
	assert_in_range(days_shown(t), 20, 30);
	assert_says(said(), "cannot make the folder");
	listen_to_log();
	assert_in_range(days_shown(t), 20, 30);
	assert_string_equal(said(), "");
	tls_free(t);
}

static void
a_host_name_no_certificate_can_carry_is_left_out(void **state)
{
	static const char *const names[] = {
	    "", "localhost", "a,DNS:evil", "-x", ".x", "a b", "caf\xc3\xa9"};
	struct tls *t;
	X509 *x;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		host_name = names[i];
		unlink(in_dir("state/cert.pem"));
		t = new_server(NULL, NULL, NULL);
		x = get_cert(in_dir("state/cert.pem"));
		assert_int_equal(
		    X509_check_host(x, "localhost", 0, 0, NULL), 1);
		assert_int_equal(X509_check_host(x, "evil", 0, 0, NULL), 0);
		X509_free(x);
		tls_free(t);
	}
}

static void
a_broken_certificate_is_made_anew_but_never_a_key(void **state)
{
	struct spec spec = {.to = 300};
	struct tls_server_conf conf = {0};
	char pin[TLS_PIN_TEXT];
	struct cert other;
	struct tls *t;

	(void)state;
	t = new_server(NULL, NULL, NULL);
	snprintf(pin, sizeof(pin), "%s", tls_pin(t));
	tls_free(t);

	put_bytes(in_dir("state/cert.pem"), 0644, "garbage", 7);
	t = new_server(NULL, NULL, NULL);
	assert_string_equal(tls_pin(t), pin);
	tls_free(t);

	other = issue(NULL, &spec);
	put_cert("state/cert.pem", &other, NULL);
	t = new_server(NULL, NULL, NULL);
	assert_string_equal(tls_pin(t), pin);
	tls_free(t);
	drop(&other);

	chmod(in_dir("state/key.pem"), 0644);
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_BAD);
	assert_says(said(), "others may read it");

	put_bytes(in_dir("state/key.pem"), 0600, "garbage", 7);
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_BAD);
	assert_says(said(), "holds no private key in PEM");

	put_bytes(in_dir("state/key.pem"), 0600, "", 0);
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_BAD);
	assert_says(said(), "holds no private key in PEM");
}

static void
a_server_without_a_state_folder_says_what_to_do(void **state)
{
	struct tls_server_conf conf = {0};
	struct tls *t = NULL;
	const char *text;

	(void)state;
	setenv("STATE_DIRECTORY", "/dev/null/x", 1);
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_SYS);
	text = said();
	assert_says(text, "cannot make the folder '/dev/null/x': Not a dir");
	assert_says(text, "set STATE_DIRECTORY");
	assert_says(text, "--cert and --key");
	assert_null(t);
}

/* A file system of one page at "full", or skip. */
static void
mount_small(void)
{
	const char *path = in_dir("full");

	assert_int_equal(mkdir(path, 0700), 0);
	if (mount("tmpfs", path, "tmpfs", 0, "size=4096") != 0)
		skip();
	setenv("STATE_DIRECTORY", path, 1);
}

static void
a_full_disk_is_said_and_leaves_nothing_behind(void **state)
{
	struct tls_server_conf conf = {0};
	struct tls *t = NULL;
	char pin[TLS_PIN_TEXT];
	const char *text;

	(void)state;
	mount_small();
	put_bytes(in_dir("full/filler"), 0600, "x", 1);
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_SYS);
	text = said();
	assert_says(text, "full/key.pem': No space left on device");
	assert_says(text, "set STATE_DIRECTORY");

	/* Room for the key alone: the next start finds it. */
	unlink(in_dir("full/filler"));
	listen_to_log();
	assert_int_equal(tls_server_new(&t, &conf), ERR_SYS);
	assert_says(said(), "full/cert.pem': No space left on device");
	assert_int_equal(
	    mount(NULL, in_dir("full"), NULL, MS_REMOUNT, "size=65536"), 0);
	t = new_server(NULL, NULL, NULL);
	snprintf(pin, sizeof(pin), "%s", tls_pin(t));
	tls_free(t);

	/* Read-only, and the certificate about to end: the key will do. */
	assert_int_equal(mount(NULL, in_dir("full"), NULL,
			     MS_REMOUNT | MS_RDONLY, "size=65536"),
	    0);
	skew = 340 * DAY;
	listen_to_log();
	t = new_server(NULL, NULL, NULL);
	assert_says(said(), "full/cert.pem': Read-only file system");
	assert_string_equal(tls_pin(t), pin);
	assert_in_range(days_shown(t), 360, 366);
	tls_free(t);
	umount2(in_dir("full"), 0);
	assert_int_equal(rmdir(in_dir("full")), 0);
}

enum { STARTED_TOGETHER = 8 };

/* What the children run: say the pin once the gate opens. */
static int
child(void)
{
	static const struct tls_server_conf conf;
	struct tls *t;
	char c;

	if (read(STDIN_FILENO, &c, 1) != 0)
		return 1;
	if (tls_server_new(&t, &conf) != OK)
		return 1;
	printf("%s\n", tls_pin(t));
	tls_free(t);
	return 0;
}

static void
servers_that_start_together_agree_on_a_key(void **state)
{
	char self[] = "/proc/self/exe", arg[] = "child";
	char *argv[] = {self, arg, NULL};
	posix_spawn_file_actions_t fa;
	pid_t pid[STARTED_TOGETHER];
	char text[STARTED_TOGETHER * TLS_PIN_TEXT + 1];
	int gate[2], out[2], status, i;
	size_t n = 0;
	ssize_t got;

	(void)state;
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, gate[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, out[1], STDOUT_FILENO);
	for (i = 0; i < STARTED_TOGETHER; i++)
		assert_int_equal(
		    posix_spawn(&pid[i], self, &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	close(out[1]);
	close(gate[0]);
	close(gate[1]); /* now */
	while ((got = read(out[0], text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	close(out[0]);
	for (i = 0; i < STARTED_TOGETHER; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
		assert_memory_equal(
		    text, text + i * TLS_PIN_TEXT, TLS_PIN_TEXT);
	}
	assert_int_equal(n, STARTED_TOGETHER * TLS_PIN_TEXT);
}

/* -- certificates given -- */

static void
a_given_certificate_that_will_not_do_is_refused(void **state)
{
	struct spec good = {"DNS:a.example", -1, 300, false, NULL, NULL};
	struct spec ended = {"DNS:a.example", -20, -10, false, NULL, NULL};
	struct cert a = issue(NULL, &good), b = issue(NULL, &good);
	struct cert old = issue(NULL, &ended);
	struct tls *t = NULL;
	const struct {
		const char *cert, *key;
		int want;
		const char *words;
	} cases[] = {
	    {put_cert("a.pem", &a, NULL), put_key("b.key", &b, NULL), ERR_BAD,
		"b.key' is not that of the certificate in"},
	    {put_cert("old.pem", &old, NULL), put_key("old.key", &old, NULL),
		ERR_BAD, "old.pem' ended on 20"},
	    {in_dir("none.pem"), put_key("a.key", &a, NULL), ERR_SYS,
		"none.pem': there is no such file"},
	    {put_cert("a.pem", &a, NULL), "/dev/null/a.key", ERR_SYS,
		"a.key': there is no such file"},
	    {in_dir(""), put_key("a.key", &a, NULL), ERR_SYS,
		"': Is a directory"},
	    {put_key("x.pem", &a, NULL), put_key("a.key", &a, NULL), ERR_BAD,
		"x.pem' holds no certificate in PEM"},
	    {put_cert("a.pem", &a, NULL), put_cert("y.key", &a, NULL), ERR_BAD,
		"y.key' holds no private key in PEM"},
	    {put_cert("a.pem", &a, NULL), put_key("z.key", &a, "secret"),
		ERR_BAD, "z.key' has a passphrase"},
	    {put_cert("a.pem", &a, NULL), "/dev/zero", ERR_LIMIT, "too long"},
	    {put_cert("a.pem", &a, NULL), NULL, ERR_BAD, "go together"},
	    {NULL, put_key("a.key", &a, NULL), ERR_BAD, "go together"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct tls_server_conf conf = {
		    cases[i].cert, cases[i].key, NULL};

		listen_to_log();
		assert_int_equal(tls_server_new(&t, &conf), cases[i].want);
		assert_says(said(), cases[i].words);
		assert_null(t);
	}
	drop(&a);
	drop(&b);
	drop(&old);
}

static void
a_certificate_for_tomorrow_is_only_said(void **state)
{
	struct spec spec = {"DNS:a.example", 1, 300, false, NULL, NULL};
	struct cert a = issue(NULL, &spec);
	struct tls *t;

	(void)state;
	listen_to_log();
	t = new_server(
	    put_cert("a.pem", &a, NULL), put_key("a.key", &a, NULL), NULL);
	assert_says(said(), "a.pem' is not valid before 20");
	tls_free(t);
	drop(&a);
}

static void
other_bad_files_are_said(void **state)
{
	static const char *const pin = "sha256//nonsense";
	struct tls_client_conf conf = {0};
	struct tls *t = NULL;

	(void)state;
	put_bytes(in_dir("ca.pem"), 0644, "garbage", 7);
	conf.ca = in_dir("ca.pem");
	listen_to_log();
	assert_int_equal(tls_client_new(&t, &conf), ERR_BAD);
	assert_says(said(), "ca.pem");
	conf.ca = in_dir("none.pem");
	listen_to_log();
	assert_int_equal(tls_client_new(&t, &conf), ERR_SYS);
	assert_says(said(), "none.pem': No such file or directory");

	conf = (struct tls_client_conf){.pins = &pin, .n_pins = 1};
	listen_to_log();
	assert_int_equal(tls_client_new(&t, &conf), ERR_BAD);
	assert_says(said(), "not a pin (sha256//BASE64): 'sha256//nonsense'");
	assert_null(t);
}

static void
a_pin_has_one_spelling(void **state)
{
	static const struct {
		const char *pin;
		int want;
	} cases[] = {
	    {"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", OK},
	    {"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", ERR_BAD},
	    {"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", ERR_BAD},
	    {"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A", ERR_BAD},
	    {"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh==", ERR_BAD},
	    {"sha256// AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ERR_BAD},
	    {"SHA256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ERR_BAD},
	    {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ERR_BAD},
	    {"", ERR_BAD},
	};
	struct tls_client_conf conf = {.n_pins = 1};
	struct tls *t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		conf.pins = &cases[i].pin;
		listen_to_log();
		t = NULL;
		assert_int_equal(tls_client_new(&t, &conf), cases[i].want);
		said();
		tls_free(t);
	}
}

static void
a_pin_is_the_hash_of_the_public_key(void **state)
{
	struct tls *t = new_server(NULL, NULL, NULL);
	X509 *x = get_cert(in_dir("state/cert.pem"));
	uint8_t *der = NULL, hash[32], text[64] = "sha256//";
	int n;

	(void)state;
	n = i2d_PUBKEY(X509_get0_pubkey(x), &der);
	assert_true(n > 0);
	SHA256(der, (size_t)n, hash);
	EVP_EncodeBlock(text + 8, hash, sizeof(hash));
	assert_string_equal(tls_pin(t), (const char *)text);
	OPENSSL_free(der);
	X509_free(x);
	tls_free(t);
}

/* -- who is trusted -- */

/* Everything that a verification may be about. */
struct world {
	struct cert ca, middle, good, wild, local, ended, early, stale_ca,
	    stale;
	struct cert lone, stranger, rogue, many, bare;
};

static void
world_make(struct world *w)
{
	struct spec ca = {NULL, -100, 300, true, NULL, NULL};
	struct spec gone = {NULL, -100, -1, true, NULL, NULL};
	struct spec s = {
	    "DNS:a.example,DNS:localhost,IP:192.0.2.7,IP:2001:db8::7", -1, 300,
	    false, "serverAuth", NULL};

	w->ca = issue(NULL, &ca);
	w->middle = issue(&w->ca, &ca);
	w->stale_ca = issue(NULL, &gone);
	w->good = issue(&w->ca, &s);
	w->local = issue(&w->middle, &s);
	w->stale = issue(&w->stale_ca, &s);
	w->lone = issue(NULL, &s);
	w->stranger = issue(NULL, &s);
	w->rogue = issue(&w->ca, &(struct spec){"DNS:a.example", -1, 300, false,
				     "clientAuth", NULL});
	w->wild = issue(&w->ca,
	    &(struct spec){"DNS:*.wild.example", -1, 300, false, NULL, NULL});
	w->ended = issue(&w->ca,
	    &(struct spec){"DNS:a.example", -20, -1, false, NULL, NULL});
	w->early = issue(
	    &w->ca, &(struct spec){"DNS:a.example", 1, 300, false, NULL, NULL});
	w->bare =
	    issue(&w->ca, &(struct spec){NULL, -1, 300, false, NULL, NULL});
	w->many = issue(&w->ca,
	    &(struct spec){"DNS:1.x,DNS:2.x,DNS:3.x,DNS:4.x,DNS:5.x,DNS:6.x,"
			   "email:a@b.c,DNS:7.x",
		-1, 300, false, NULL, NULL});
}

static void
world_drop(struct world *w)
{
	struct cert *c = &w->ca;

	for (; c <= &w->bare; c++)
		drop(c);
}

static struct tls *
serve(const struct cert *c, const struct cert *behind)
{
	struct tls *t;

	listen_to_log();
	/* Some have ended: load them while they still hold. */
	skew = days_left(c->x) < 0 ? -10 * DAY : 0;
	t = new_server(put_cert("server.pem", c, behind),
	    put_key("server.key", c, NULL), NULL);
	skew = 0;
	said();
	return t;
}

static void
a_server_is_trusted_or_refused_in_plain_words(void **state)
{
	struct world w;
	const char *ca, *pin, *wrong, *lone;
	char own_pin[TLS_PIN_TEXT];
	struct tls *client, *server;
	struct pair p;
	size_t i;

	(void)state;
	world_make(&w);
	ca = put_cert("ca.pem", &w.ca, &w.stale_ca);
	lone = put_cert("lone.pem", &w.lone, NULL);
	server = serve(&w.good, NULL);
	snprintf(own_pin, sizeof(own_pin), "%s", tls_pin(server));
	tls_free(server);
	pin = own_pin;
	wrong = "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	{
		const struct {
			const char *name;
			const struct cert *cert, *behind;
			const char *ca, *pin, *host;
			const char *words; /* NULL: trusted */
		} cases[] = {
		    {"the CA's", &w.good, NULL, ca, NULL, "a.example", NULL},
		    {"a final dot", &w.good, NULL, ca, NULL, "a.example.",
			NULL},
		    {"other case", &w.good, NULL, ca, NULL, "A.Example", NULL},
		    {"an address", &w.good, NULL, ca, NULL, "192.0.2.7", NULL},
		    {"an IPv6 address", &w.good, NULL, ca, NULL,
			"2001:db8:0::7", NULL},
		    {"an IPv6 zone", &w.good, NULL, ca, NULL,
			"2001:db8::7%eth0", NULL},
		    {"a wildcard", &w.wild, NULL, ca, NULL, "a.wild.example",
			NULL},
		    {"a wildcard is one label", &w.wild, NULL, ca, NULL,
			"a.b.wild.example",
			"its certificate is not for 'a.b.wild.example', but "
			"for '*.wild.example'"},
		    {"through another CA", &w.local, &w.middle, ca, NULL,
			"localhost", NULL},
		    {"a CA that was not sent", &w.local, NULL, ca, NULL,
			"localhost", "nobody we trust vouches"},
		    {"another name", &w.good, NULL, ca, NULL, "b.example",
			"its certificate is not for 'b.example', but for "
			"'a.example', 'localhost', '192.0.2.7', "
			"'2001:db8::7'"},
		    {"another address", &w.good, NULL, ca, NULL, "192.0.2.8",
			"its certificate is not for '192.0.2.8', but for "},
		    {"the name in CN does not count", &w.bare, NULL, ca, NULL,
			"a.example",
			"its certificate is not for 'a.example', but for no "
			"host at all"},
		    {"many names", &w.many, NULL, ca, NULL, "a.example",
			"for '1.x', '2.x', '3.x', '4.x', '5.x' and 3 more"},
		    {"ended", &w.ended, NULL, ca, NULL, "a.example",
			"its certificate ended on 20"},
		    {"not yet", &w.early, NULL, ca, NULL, "a.example",
			"its certificate is not valid before 20"},
		    {"a CA that has ended", &w.stale, NULL, ca, NULL,
			"a.example", "the certificate of its CA ended on 20"},
		    {"a client's certificate", &w.rogue, NULL, ca, NULL,
			"a.example", "its certificate is not accepted: "},
		    {"nobody's", &w.stranger, NULL, ca, NULL, "a.example",
			"; if it is the right one, pass --pin sha256//"},
		    {"nobody's, for the system's CAs", &w.stranger, NULL, NULL,
			NULL, "a.example",
			"; if it is the right one, pass --pin sha256//"},
		    {"a test CA, for the system's", &w.good, NULL, NULL, NULL,
			"a.example", "nobody we trust vouches"},
		    {"trusted by itself", &w.lone, NULL, lone, NULL,
			"a.example", NULL},
		    {"trusted by itself, not for all names", &w.lone, NULL,
			lone, NULL, "b.example", "is not for 'b.example'"},
		    {"pinned", &w.good, NULL, NULL, pin, "a.example", NULL},
		    {"pinned, whatever the name", &w.good, NULL, NULL, pin,
			"b.example", NULL},
		    {"another pin", &w.good, NULL, NULL, wrong, "a.example",
			"its key is not the pinned one, but sha256//"},
		    {"pin and CA", &w.good, NULL, ca, pin, "a.example", NULL},
		    {"pin without CA", &w.good, NULL, lone, pin, "a.example",
			"nobody we trust vouches"},
		    {"pin and CA, another name", &w.good, NULL, ca, pin,
			"b.example", "is not for 'b.example'"},
		    {"CA without pin", &w.good, NULL, ca, wrong, "a.example",
			"its key is not the pinned one"},
		};

		for (i = 0; i < COUNT(cases); i++) {
			print_message("# %s\n", cases[i].name);
			server = serve(cases[i].cert, cases[i].behind);
			client = new_client(cases[i].ca, cases[i].pin);
			shake(&p, server, client, cases[i].host, true);
			if (cases[i].words != NULL)
				assert_says(p.refusal, cases[i].words);
			else
				assert_string_equal(p.refusal, "");
			assert_int_equal(p.done, cases[i].words == NULL);
			tls_free(server);
			tls_free(client);
		}
	}
	world_drop(&w);
}

static void
the_systems_cas_are_trusted_unless_others_are_named(void **state)
{
	struct spec ca_spec = {NULL, -1, 300, true, NULL, NULL};
	struct spec spec = {"DNS:a.example", -1, 300, false, NULL, NULL};
	struct cert ca = issue(NULL, &ca_spec), c = issue(&ca, &spec);
	struct cert other = issue(NULL, &ca_spec);
	struct tls *server = serve(&c, NULL), *client;
	struct pair p;

	(void)state;
	setenv("SSL_CERT_FILE", put_cert("ca.pem", &ca, NULL), 1);
	client = new_client(NULL, NULL);
	shake(&p, server, client, "a.example", false);
	assert_true(p.done);
	shake(&p, server, client, "b.example", false);
	assert_false(p.done);
	tls_free(client);

	client = new_client(put_cert("other.pem", &other, NULL), NULL);
	shake(&p, server, client, "a.example", false);
	assert_false(p.done);
	tls_free(client);
	tls_free(server);
	drop(&ca);
	drop(&c);
	drop(&other);
}

static void
any_of_several_pins_will_do(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	const char *pins[] = {
	    "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	    tls_pin(server)};
	struct tls_client_conf conf = {.pins = pins, .n_pins = 2};
	struct tls *client;
	struct pair p;

	(void)state;
	assert_int_equal(tls_client_new(&client, &conf), OK);
	shake(&p, server, client, "zipper.example", false);
	assert_true(p.done);
	tls_free(client);
	tls_free(server);
}

static void
a_pinned_key_outlives_its_certificate(void **state)
{
	struct spec spec = {"DNS:a.example", -1, 10, false, NULL, NULL};
	struct cert c = issue(NULL, &spec);
	struct tls *server = serve(&c, NULL);
	struct tls *client = new_client(NULL, tls_pin(server));
	struct pair p;

	(void)state;
	skew = 100 * DAY;
	shake(&p, server, client, "a.example", false);
	assert_true(p.done);
	tls_free(client);
	tls_free(server);
	drop(&c);
}

static void
insecure_trusts_anybody(void **state)
{
	struct spec spec = {"DNS:a.example", -20, -1, false, NULL, NULL};
	struct cert c = issue(NULL, &spec);
	struct tls *client = new_insecure(), *server = serve(&c, NULL);
	struct pair p;

	(void)state;
	shake(&p, server, client, "b.example", false);
	assert_true(p.done);
	tls_free(client);
	tls_free(server);
	drop(&c);
}

static void
on_loopback_our_own_zipper_is_trusted(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_client(NULL, NULL);
	const char *path = in_dir("state/cert.pem");
	struct pair p;

	(void)state;
	shake(&p, server, client, "localhost", true);
	assert_true(p.done);
	shake(&p, server, client, "127.0.0.1", true);
	assert_true(p.done);

	/* Not elsewhere, be it called as it may. */
	shake(&p, server, client, "localhost", false);
	assert_false(p.done);
	assert_says(p.refusal, "pass --pin sha256//");
	assert_says(p.refusal, tls_pin(server));

	/* Nor if anybody may have put it there. */
	chmod(path, 0664);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	chmod(path, 0646);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	chmod(path, 0644);
	pretended = 4711;
	shake(&p, server, client, "localhost", true);
	assert_int_equal(p.done, getuid() == 0); /* root's is everybody's */
	pretended = (uid_t)-1;
	shake(&p, server, client, "localhost", true);
	assert_true(p.done);

	/* The zipper made a new one: it is read anew. */
	unlink(path);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	tls_free(server);
	server = new_server(NULL, NULL, NULL);
	shake(&p, server, client, "localhost", true);
	assert_true(p.done);
	tls_free(client);
	tls_free(server);
}

static void
on_loopback_a_stranger_is_still_refused(void **state)
{
	struct spec spec = {"DNS:localhost", -1, 300, false, NULL, NULL};
	struct cert c = issue(NULL, &spec);
	struct tls *own = new_server(NULL, NULL, NULL);
	struct tls *server = serve(&c, NULL);
	struct tls *client = new_client(NULL, NULL);
	struct pair p;

	(void)state;
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	assert_says(p.refusal, "pass --pin sha256//");
	tls_free(client);

	/* A pin means that key, on loopback, too. */
	client = new_client(NULL, tls_pin(server));
	shake(&p, own, client, "localhost", true);
	assert_false(p.done);
	tls_free(client);
	tls_free(server);
	tls_free(own);
	drop(&c);
}

/* A /var/lib of our own, or skip. */
static void
mount_var_lib(void)
{
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", "/var/lib", "tmpfs", 0, "size=65536,mode=755") != 0)
		skip();
}

static void
on_loopback_the_systems_zipper_is_trusted(void **state)
{
	const char *path = "/var/lib/yomo/cert.pem";
	struct tls *server, *client;
	struct pair p;

	(void)state;
	mount_var_lib();
	unsetenv("STATE_DIRECTORY");
	umask(077);
	server = new_server(NULL, NULL, NULL);
	umask(022);
	assert_int_equal(mode_of("/var/lib/yomo"), 0755);
	assert_int_equal(mode_of(path), 0644);
	assert_int_equal(mode_of("/var/lib/yomo/key.pem"), 0600);

	/* By users who have no zipper, and maybe no home. */
	pretended = 4711;
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	client = new_client(NULL, NULL);
	shake(&p, server, client, "localhost", true);
	assert_true(p.done);
	shake(&p, server, client, "localhost", false);
	assert_false(p.done);

	/* It must be root's, and nobody else's. */
	assert_int_equal(chmod(path, 0666), 0);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 4711, (gid_t)-1), 0);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);

	/* What never ends to open is no certificate. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	shake(&p, server, client, "localhost", true);
	assert_false(p.done);
	tls_free(client);
	tls_free(server);
	assert_int_equal(umount2("/var/lib", MNT_DETACH), 0);
}

static void
a_connection_nobody_prepared_is_refused(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_client(in_dir("state/cert.pem"), NULL);
	struct pair p;

	(void)state;
	pair_open(&p, server, client);
	pair_shake(&p);
	assert_false(p.done);
	assert_says(p.refusal, "cannot be checked");
	pair_close(&p);
	tls_free(client);
	tls_free(server);
}

static void
what_cannot_be_a_host_is_refused(void **state)
{
	static char lengthy[300];
	const char *hosts[] = {"", "%eth0:", lengthy};
	struct tls *client = new_client(NULL, NULL);
	SSL *ssl = SSL_new(tls_ctx(client));
	size_t i;

	(void)state;
	memset(lengthy, 'a', sizeof(lengthy) - 1);
	listen_to_log();
	for (i = 0; i < COUNT(hosts); i++)
		assert_int_equal(
		    tls_client_prepare(client, ssl, hosts[i], false), ERR_BAD);
	said();
	SSL_free(ssl);
	tls_free(client);
}

static void
only_names_are_told_to_the_server(void **state)
{
	static const struct {
		const char *host, *want;
	} cases[] = {
	    {"a.example", "a.example"},
	    {"a.example.", "a.example"},
	    {"192.0.2.1", NULL},
	    {"::1", NULL},
	    {"fe80::1%eth0", NULL},
	};
	struct tls *client = new_client(NULL, NULL);
	const char *name;
	size_t i;
	SSL *ssl;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		ssl = SSL_new(tls_ctx(client));
		assert_int_equal(
		    tls_client_prepare(client, ssl, cases[i].host, false), OK);
		name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		if (cases[i].want != NULL)
			assert_string_equal(name, cases[i].want);
		else
			assert_null(name);
		SSL_free(ssl);
	}
	tls_free(client);
}

static void
names_from_a_certificate_are_shown_harmless(void **state)
{
	struct spec ca_spec = {NULL, -1, 300, true, NULL, NULL};
	struct spec spec = {NULL, -1, 300, false, NULL, NULL};
	struct cert ca = issue(NULL, &ca_spec), c;
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	struct tls *server, *client;
	struct pair p;

	(void)state;
	c = issue(&ca, &spec);
	ASN1_STRING_set(s, "a\0b\x1b[31m 'x'\xff", 13);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	sk_GENERAL_NAME_push(names, g);
	X509_add1_ext_i2d(c.x, NID_subject_alt_name, names, 0, 0);
	X509_sign(c.x, ca.key, EVP_sha256());
	server = serve(&c, NULL);
	client = new_client(put_cert("ca.pem", &ca, NULL), NULL);
	shake(&p, server, client, "a", false);
	assert_false(p.done);
	assert_says(p.refusal, "but for 'a?b?[31m?'x'?'");
	GENERAL_NAMES_free(names);
	tls_free(client);
	tls_free(server);
	drop(&c);
	drop(&ca);
}

/* -- client certificates -- */

static void
a_client_certificate_is_demanded(void **state)
{
	struct spec ca_spec = {NULL, -1, 300, true, NULL, NULL};
	struct spec user = {NULL, -1, 300, false, "clientAuth", NULL};
	struct spec gone = {NULL, -20, 1, false, "clientAuth", NULL};
	struct cert ca = issue(NULL, &ca_spec), evil = issue(NULL, &ca_spec);
	struct cert good = issue(&ca, &user), bad = issue(&evil, &user);
	struct cert old = issue(&ca, &gone), lone = issue(NULL, &user);
	struct cert leaf = issue(&ca, &user);
	const struct {
		const char *name;
		const struct cert *cert;
		const char *words; /* NULL: trusted */
	} cases[] = {
	    {"of the CA", &good, NULL},
	    {"listed itself", &lone, NULL},
	    {"none", NULL, ""},
	    {"of another CA", &bad, "nobody we trust vouches"},
	    {"ended", &old, "its certificate ended on 20"},
	    {"another of the CA", &leaf, NULL},
	};
	struct tls_client_conf conf = {0};
	struct tls *server, *client;
	const char *pin;
	struct pair p;
	size_t i;

	(void)state;
	server = new_server(NULL, NULL, put_cert("ca.pem", &ca, &lone));
	pin = tls_pin(server);
	conf.pins = &pin;
	conf.n_pins = 1;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("# %s\n", cases[i].name);
		conf.cert = conf.key = NULL;
		if (cases[i].cert != NULL) {
			conf.cert = put_cert("c.pem", cases[i].cert, NULL);
			conf.key = put_key("c.key", cases[i].cert, NULL);
		}
		skew = 0;
		assert_int_equal(tls_client_new(&client, &conf), OK);
		skew = 10 * DAY;
		shake(&p, server, client, "localhost", false);
		assert_int_equal(p.done, cases[i].words == NULL);
		assert_string_equal(p.refusal, "");
		if (cases[i].words != NULL)
			assert_says(p.server_refusal, cases[i].words);
		assert_null(strstr(p.server_refusal, "--pin"));
		tls_free(client);
	}
	tls_free(server);
	drop(&ca);
	drop(&evil);
	drop(&good);
	drop(&bad);
	drop(&old);
	drop(&lone);
	drop(&leaf);
}

/* -- the rest -- */

static void
only_tls_13_is_spoken(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_insecure();
	struct pair p;

	(void)state;
	pair_open(&p, server, client);
	SSL_set_min_proto_version(p.client, TLS1_2_VERSION);
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	SSL_set_cipher_list(p.client, "DEFAULT");
	pair_shake(&p);
	assert_false(p.done);
	pair_close(&p);
	tls_free(client);
	tls_free(server);
}

static void
the_cipher_is_the_one_both_are_fast_at(void **state)
{
	static const struct {
		const char *client;
		const char *want; /* NULL: what this machine is fast at */
	} cases[] = {
	    {NULL, NULL},
	    {"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:"
	     "TLS_CHACHA20_POLY1305_SHA256",
		NULL},
	    {"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
		"TLS_CHACHA20_POLY1305_SHA256"},
	    {"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
	};
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_insecure();
	const char *first;
	struct pair p;
	size_t i;

	(void)state;
	first = SSL_CIPHER_get_name(
	    sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(tls_ctx(server)), 0));
	for (i = 0; i < COUNT(cases); i++) {
		pair_open(&p, server, client);
		assert_int_equal(
		    tls_client_prepare(client, p.client, "x", false), OK);
		if (cases[i].client != NULL)
			SSL_set_ciphersuites(p.client, cases[i].client);
		pair_shake(&p);
		assert_true(p.done);
		assert_string_equal(SSL_get_cipher_name(p.client),
		    cases[i].want != NULL ? cases[i].want : first);
		pair_close(&p);
	}
	tls_free(client);
	tls_free(server);
}

static void
old_and_hybrid_groups_are_both_taken(void **state)
{
	static char groups[][16] = {
	    "X25519", "X25519MLKEM768", "P-256", "MLKEM768"};
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_insecure();
	struct pair p;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(groups); i++) {
		pair_open(&p, server, client);
		assert_int_equal(
		    tls_client_prepare(client, p.client, "x", false), OK);
		assert_int_equal(SSL_set1_groups_list(p.client, groups[i]), 1);
		pair_shake(&p);
		if (i < 3)
			assert_true(p.done);
		pair_close(&p);
	}
	tls_free(client);
	tls_free(server);
}

static void
a_client_that_keeps_tickets_may_resume(void **state)
{
	struct spec ca_spec = {NULL, -1, 300, true, NULL, NULL};
	struct spec user = {NULL, -1, 300, false, "clientAuth", NULL};
	struct cert ca = issue(NULL, &ca_spec), good = issue(&ca, &user);
	struct tls *server = new_server(NULL, NULL, put_cert("ca", &ca, NULL));
	struct tls_client_conf conf = {.insecure = true};
	struct tls *client;
	SSL_SESSION *session;
	struct pair p;

	(void)state;
	conf.cert = put_cert("c.pem", &good, NULL);
	conf.key = put_key("c.key", &good, NULL);
	assert_int_equal(tls_client_new(&client, &conf), OK);
	pair_open(&p, server, client);
	assert_int_equal(tls_client_prepare(client, p.client, "x", false), OK);
	pair_shake(&p);
	assert_true(p.done);
	session = SSL_get1_session(p.client);
	assert_int_equal(SSL_SESSION_is_resumable(session), 1);
	SSL_shutdown(p.client); /* else the session counts as broken */
	pair_close(&p);

	pair_open(&p, server, client);
	assert_int_equal(tls_client_prepare(client, p.client, "x", false), OK);
	assert_int_equal(SSL_set_session(p.client, session), 1);
	pair_shake(&p);
	assert_true(p.done);
	assert_int_equal(SSL_session_reused(p.client), 1);
	pair_close(&p);
	SSL_SESSION_free(session);
	tls_free(client);
	tls_free(server);
	drop(&ca);
	drop(&good);
}

static void
connections_outlive_what_they_were_made_from(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_client(NULL, tls_pin(server));
	struct pair p;

	(void)state;
	pair_open(&p, server, client);
	assert_int_equal(tls_client_prepare(client, p.client, "x", true), OK);
	tls_free(server);
	tls_free(client);
	tls_free(NULL);
	pair_shake(&p);
	assert_true(p.done);
	pair_close(&p);
}

static void
refusals_of_several_handshakes_do_not_mix(void **state)
{
	struct tls *server = new_server(NULL, NULL, NULL);
	struct tls *client = new_client(NULL, NULL);
	struct pair a, b;

	(void)state;
	pair_open(&a, server, client);
	pair_open(&b, server, client);
	assert_int_equal(tls_client_prepare(client, a.client, "x", false), OK);
	assert_int_equal(tls_client_prepare(client, b.client, "x", true), OK);
	assert_string_equal(tls_refusal(a.client), "");
	pair_shake(&a);
	pair_shake(&b);
	assert_false(a.done);
	assert_true(b.done);
	assert_string_not_equal(tls_refusal(a.client), "");
	assert_string_equal(tls_refusal(b.client), "");
	pair_close(&a);
	pair_close(&b);
	tls_free(client);
	tls_free(server);
}

/*
 * OpenSSL gets on without some allocations and gives odd reasons for others:
 * what must hold is that nothing breaks, and that a success is one.
 */
static void
running_out_of_memory_breaks_nothing(void **state)
{
	struct spec spec = {"DNS:a.example", -1, 300, false, NULL, NULL};
	struct cert c = issue(NULL, &spec);
	const char *pin =
	    "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	struct tls_server_conf server_conf = {put_cert("a.pem", &c, NULL),
	    put_key("a.key", &c, NULL), put_cert("ca.pem", &c, NULL)};
	struct tls_client_conf client_conf = {.ca = server_conf.client_ca,
	    .pins = &pin,
	    .n_pins = 1,
	    .cert = server_conf.cert,
	    .key = server_conf.key};
	struct tls_server_conf own_conf = {0};
	struct tls *t;
	bool hit = true;
	int kind, r;
	size_t n;

	(void)state;
	tls_free(new_server(NULL, NULL, NULL));
	for (kind = 0; kind < 4; kind++) {
		/* Making files waits for the disk: not each time, then. */
		for (n = 1, hit = true; hit; n += kind == 3 ? 17 : 1) {
			t = NULL;
			if (kind == 3) {
				unlink(in_dir("state/key.pem"));
				unlink(in_dir("state/cert.pem"));
			}
			listen_to_log();
			faults_at(n);
			if (kind == 0)
				r = tls_server_new(&t, &server_conf);
			else if (kind == 1)
				r = tls_client_new(&t, &client_conf);
			else
				r = tls_server_new(&t, &own_conf);
			hit = faults_hit();
			faults_off();
			said();
			assert_true((r == OK) == (t != NULL));
			assert_true(r == OK || hit);
			tls_free(t);
		}
	}
	drop(&c);
}

static void
running_out_of_memory_never_lets_a_stranger_in(void **state)
{
	struct spec ca_spec = {NULL, -1, 300, true, NULL, NULL};
	struct spec spec = {"DNS:a.example", -1, 300, false, NULL, NULL};
	struct cert ca = issue(NULL, &ca_spec), c = issue(&ca, &spec);
	const char *file = put_cert("ca.pem", &ca, NULL);
	const char *pin =
	    "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	const struct {
		const char *name, *ca, *pin, *host;
	} cases[] = {
	    {"of another name", file, NULL, "b.example"},
	    {"of another key", NULL, pin, "a.example"},
	    {"nobody knows", NULL, NULL, "a.example"},
	};
	struct tls *server = serve(&c, NULL), *client;
	struct pair p;
	bool hit;
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("# %s\n", cases[i].name);
		for (n = 1, hit = true; hit; n++) {
			client = new_client(cases[i].ca, cases[i].pin);
			pair_open(&p, server, client);
			assert_int_equal(tls_client_prepare(client, p.client,
					     cases[i].host, true),
			    OK);
			listen_to_log();
			faults_at(n);
			pair_shake(&p);
			hit = faults_hit();
			faults_off();
			said();
			assert_false(p.done);
			pair_close(&p);
			tls_free(client);
		}
	}
	tls_free(server);
	drop(&c);
	drop(&ca);
}

int
main(int argc, char *argv[])
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
	    T(the_state_folder_is_found),
	    T(the_state_folder_is_made_for_its_owner_alone),
	    T(a_state_key_is_made_once),
	    T(a_state_key_that_is_not_ours_alone_is_refused),
	    T(without_a_folder_a_state_key_lives_with_the_process),
	    T(the_first_server_makes_key_and_certificate),
	    T(servers_to_come_have_the_same_key_and_certificate),
	    T(a_certificate_is_renewed_over_the_same_key),
	    T(a_server_that_runs_for_a_year_renews_on_the_way),
	    T(a_host_name_no_certificate_can_carry_is_left_out),
	    T(a_broken_certificate_is_made_anew_but_never_a_key),
	    T(a_server_without_a_state_folder_says_what_to_do),
	    T(a_full_disk_is_said_and_leaves_nothing_behind),
	    T(servers_that_start_together_agree_on_a_key),
	    T(a_given_certificate_that_will_not_do_is_refused),
	    T(a_certificate_for_tomorrow_is_only_said),
	    T(other_bad_files_are_said),
	    T(a_pin_has_one_spelling),
	    T(a_pin_is_the_hash_of_the_public_key),
	    T(a_server_is_trusted_or_refused_in_plain_words),
	    T(the_systems_cas_are_trusted_unless_others_are_named),
	    T(any_of_several_pins_will_do),
	    T(a_pinned_key_outlives_its_certificate),
	    T(insecure_trusts_anybody),
	    T(on_loopback_our_own_zipper_is_trusted),
	    T(on_loopback_a_stranger_is_still_refused),
	    T(on_loopback_the_systems_zipper_is_trusted),
	    T(a_connection_nobody_prepared_is_refused),
	    T(what_cannot_be_a_host_is_refused),
	    T(only_names_are_told_to_the_server),
	    T(names_from_a_certificate_are_shown_harmless),
	    T(a_client_certificate_is_demanded),
	    T(only_tls_13_is_spoken),
	    T(the_cipher_is_the_one_both_are_fast_at),
	    T(old_and_hybrid_groups_are_both_taken),
	    T(a_client_that_keeps_tickets_may_resume),
	    T(connections_outlive_what_they_were_made_from),
	    T(refusals_of_several_handshakes_do_not_mix),
	    T(running_out_of_memory_breaks_nothing),
	    T(running_out_of_memory_never_lets_a_stranger_in),
	};

	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
