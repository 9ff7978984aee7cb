/* SPDX-License-Identifier: ISC */
/*
 * relay: pass UDP datagrams on, as badly as asked.
 *
 * relay [-R FD] [-l ADDR] [-s SEED] [-c COMMAND]... HOST:PORT
 *
 * Clients send to the relay; each gets a socket of its own towards HOST:PORT.
 * What happens to a datagram depends on the seed and on how many of its
 * direction came before, on nothing else.  Commands, from -c and as lines on
 * stdin, are answered on stdout with "ok COMMAND" when they hold:
 *
 *   loss PERCENT       drop
 *   dup PERCENT        send twice
 *   delay MS           hold back
 *   jitter MS          hold back up to so much more; the order is kept
 *   reorder PERCENT    let so many be overtaken: they wait 10 ms more
 *   rate BYTES         a link of so many bytes a second; 0: no limit
 *   queue BYTES        what it holds at most (default 1 MiB)
 *   mtu BYTES          drop datagrams that are longer; 0: none
 *   cut, heal          drop everything; no longer
 *   stats              a line with what was passed and dropped, how many bytes
 *                      were passed, and the longest datagram of them
 *
 * "up" (towards HOST:PORT) or "down" in front limits a command to that
 * direction.  A command meets all datagrams that arrive after its answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/values.h"
#include "net/loop.h"

#define DATAGRAM_MAX 65535
#define CLIENTS_MAX 4096
#define QUEUE_DEFAULT (1u << 20)
#define REORDER_NS (10 * MS)
#define SOCKET_BUFFER (4 << 20)
#define BURST 64 /* datagrams read from a socket in one turn */
#define MS ((uint64_t)1000000)
#define SECOND (1000 * MS)

/* What is done to one direction, and what was done. */
struct way {
	uint64_t loss; /* in ten thousandths, as all shares */
	uint64_t dup;
	uint64_t reorder;
	uint64_t delay_ns;
	uint64_t jitter_ns;
	uint64_t rate; /* bytes a second; 0: no limit */
	uint64_t queue;
	uint64_t mtu;
	bool cut;
	uint64_t random;
	uint64_t link_free_ns; /* when the last one has left the slow link */
	uint64_t last_due_ns;  /* the order is kept against this one */
	size_t held;	       /* bytes waiting */
	uint64_t passed;
	uint64_t dropped;
	uint64_t bytes;	  /* passed */
	uint64_t longest; /* datagram, of those */
};

enum { UP, DOWN };

struct client {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	int fd; /* connected to the upstream */
};

/* A datagram that waits for its time. */
struct held {
	uint64_t due_ns;
	uint64_t order; /* first in, first out among equals */
	struct client *client;
	int way;
	size_t len;
	uint8_t bytes[];
};

static struct way ways[2];
static struct client *clients[CLIENTS_MAX];
static size_t n_clients;
static struct sockaddr_storage upstream;
static socklen_t upstream_len;
static int front = -1; /* where clients send to */
static int timer = -1;
static int epoll = -1;

/* A binary heap, the next one due at its top. */
static struct held **heap;
static size_t n_held;
static size_t heap_size;
static uint64_t order;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	int kept = errno;
	va_list ap;

	fputs("relay: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(kept));
	exit(EXIT_FAILURE);
}

/* splitmix64 */
static uint64_t
draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static bool
is_before(const struct held *a, const struct held *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns
				      : a->order < b->order;
}

static void
heap_push(struct held *h)
{
	size_t i, parent;

	if (n_held == heap_size) {
		heap_size = heap_size == 0 ? 1024 : heap_size * 2;
		heap = realloc(heap, heap_size * sizeof(*heap));
		if (heap == NULL)
			die("cannot hold %zu datagrams", heap_size);
	}
	for (i = n_held++; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (is_before(heap[parent], h))
			break;
		heap[i] = heap[parent];
	}
	heap[i] = h;
}

static struct held *
heap_pop(void)
{
	struct held *top = heap[0], *last = heap[--n_held];
	size_t i, child;

	for (i = 0; (child = 2 * i + 1) < n_held; i = child) {
		if (child + 1 < n_held &&
		    is_before(heap[child + 1], heap[child]))
			child++;
		if (is_before(last, heap[child]))
			break;
		heap[i] = heap[child];
	}
	heap[i] = last;
	return top;
}

/* A refused datagram is as lost as on any other link. */
static void
deliver(const struct client *c, int way, const uint8_t *p, size_t len)
{
	ssize_t n;

	if (way == UP)
		n = send(c->fd, p, len, 0);
	else
		n = sendto(front, p, len, 0, (const struct sockaddr *)&c->addr,
		    c->addr_len);
	if (n < 0) {
		ways[way].dropped++;
		return;
	}
	ways[way].passed++;
	ways[way].bytes += len;
	if (len > ways[way].longest)
		ways[way].longest = len;
}

static void
hold(struct client *c, int way, const uint8_t *p, size_t len, uint64_t due_ns)
{
	struct held *h;

	if (ways[way].held + len > ways[way].queue) {
		ways[way].dropped++;
		return;
	}
	if ((h = malloc(sizeof(*h) + len)) == NULL)
		die("cannot hold a datagram");
	*h = (struct held){
	    .due_ns = due_ns,
	    .order = order++,
	    .client = c,
	    .way = way,
	    .len = len,
	};
	memcpy(h->bytes, p, len);
	ways[way].held += len;
	heap_push(h);
}

/*
 * Decide what happens to one datagram.  Each takes the same number of draws,
 * so that a changed share does not change the fate of all that follow.
 */
static void
pass(struct client *c, int way, const uint8_t *p, size_t len)
{
	struct way *w = &ways[way];
	uint64_t at = loop_clock(), due = at;
	bool lost = draw(&w->random) % 10000 < w->loss;
	bool twice = draw(&w->random) % 10000 < w->dup;
	bool late = draw(&w->random) % 10000 < w->reorder;
	uint64_t jitter = draw(&w->random) % (w->jitter_ns + 1);
	int i;

	if (w->cut || lost || (w->mtu != 0 && len > w->mtu)) {
		w->dropped++;
		return;
	}
	if (w->rate != 0) {
		if (w->link_free_ns > due)
			due = w->link_free_ns;
		due += len * SECOND / w->rate;
		if (w->held + len <= w->queue)
			w->link_free_ns = due;
	}
	due += w->delay_ns + jitter;
	if (due < w->last_due_ns)
		due = w->last_due_ns;
	if (late)
		due += REORDER_NS;
	else
		w->last_due_ns = due;
	for (i = 0; i <= twice; i++) {
		if (due > at)
			hold(c, way, p, len, due);
		else
			deliver(c, way, p, len);
	}
}

static void
deliver_due(void)
{
	struct held *h;
	uint64_t at = loop_clock();

	while (n_held > 0 && heap[0]->due_ns <= at) {
		h = heap_pop();
		ways[h->way].held -= h->len;
		deliver(h->client, h->way, h->bytes, h->len);
		free(h);
	}
}

/* Absolute, so a time that has passed fires at once; zero disarms. */
static void
arm(void)
{
	struct itimerspec t = {0};

	if (n_held > 0) {
		t.it_value.tv_sec = (time_t)(heap[0]->due_ns / SECOND);
		t.it_value.tv_nsec = (long)(heap[0]->due_ns % SECOND);
	}
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL) != 0)
		die("cannot set the timer");
}

static void
watch(int fd, void *what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		die("cannot watch a descriptor");
}

/* Large buffers, and no fragments: the path is what the commands say. */
static int
open_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int size = SOCKET_BUFFER, v4 = IP_PMTUDISC_PROBE,
	    v6 = IPV6_PMTUDISC_PROBE;

	if (fd < 0)
		die("cannot open a socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (family == AF_INET6)
		setsockopt(
		    fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
	else
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
	return fd;
}

/* The client at addr, made if it is new; NULL when there are too many. */
static struct client *
find_client(const struct sockaddr_storage *addr, socklen_t len)
{
	struct client *c;
	size_t i;

	for (i = 0; i < n_clients; i++)
		if (clients[i]->addr_len == len &&
		    memcmp(&clients[i]->addr, addr, len) == 0)
			return clients[i];
	if (n_clients == CLIENTS_MAX)
		return NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		die("cannot take another client");
	memcpy(&c->addr, addr, len);
	c->addr_len = len;
	c->fd = open_socket(upstream.ss_family);
	if (connect(c->fd, (const struct sockaddr *)&upstream, upstream_len) !=
	    0)
		die("cannot connect to the upstream");
	watch(c->fd, c);
	clients[n_clients++] = c;
	return c;
}

static void
read_front(void)
{
	static uint8_t buf[DATAGRAM_MAX];
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	struct client *c;
	ssize_t n;
	int i;

	for (i = 0; i < BURST; i++, len = sizeof(from)) {
		n = recvfrom(
		    front, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		if (n < 0)
			return;
		if ((c = find_client(&from, len)) != NULL)
			pass(c, UP, buf, (size_t)n);
	}
}

/* ECONNREFUSED and its like end the turn, not the client: the upstream may
 * come back. */
static void
read_back(struct client *c)
{
	static uint8_t buf[DATAGRAM_MAX];
	ssize_t n;
	int i;

	for (i = 0; i < BURST; i++) {
		n = recv(c->fd, buf, sizeof(buf), 0);
		if (n < 0)
			return;
		pass(c, DOWN, buf, (size_t)n);
	}
}

/* A number in the unit that scale says; false if text is none. */
static bool
get_number(const char *text, double scale, double most, uint64_t *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= 0) || v * scale > most)
		return false;
	*out = (uint64_t)(v * scale);
	return true;
}

/* The commands with a value, and where it goes. */
static const struct {
	const char *verb;
	size_t offset; /* in struct way */
	double scale;
	double most;
} verbs[] = {
    {"loss", offsetof(struct way, loss), 100, 10000},
    {"dup", offsetof(struct way, dup), 100, 10000},
    {"reorder", offsetof(struct way, reorder), 100, 10000},
    {"delay", offsetof(struct way, delay_ns), MS, 3600 * SECOND},
    {"jitter", offsetof(struct way, jitter_ns), MS, 3600 * SECOND},
    {"rate", offsetof(struct way, rate), 1, 1e12},
    {"queue", offsetof(struct way, queue), 1, 1e12},
    {"mtu", offsetof(struct way, mtu), 1, DATAGRAM_MAX},
};

static bool
set(struct way *w, const char *verb, const char *value)
{
	size_t i;

	if (strcmp(verb, "cut") == 0 || strcmp(verb, "heal") == 0) {
		w->cut = verb[0] == 'c';
		return *value == '\0';
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].verb) == 0)
			return get_number(value, verbs[i].scale, verbs[i].most,
			    (uint64_t *)((char *)w + verbs[i].offset));
	return false;
}

/* False if line is no command. */
static void
print_stats(const char *name, const struct way *w)
{
	printf("%s %ju passed %ju dropped %ju bytes %ju longest, ", name,
	    (uintmax_t)w->passed, (uintmax_t)w->dropped, (uintmax_t)w->bytes,
	    (uintmax_t)w->longest);
}

static bool
command(const char *line)
{
	char word[3][32] = {{0}};
	bool up, down;
	int i;

	if (sscanf(line, "%31s %31s %31s", word[0], word[1], word[2]) < 1)
		return false;
	if (strcmp(word[0], "stats") == 0) {
		print_stats("up", &ways[UP]);
		print_stats("down", &ways[DOWN]);
		printf("%zu clients\n", n_clients);
		return true;
	}
	up = strcmp(word[0], "up") == 0;
	down = strcmp(word[0], "down") == 0;
	i = up || down;
	return (down || set(&ways[UP], word[i], word[i + 1])) &&
	       (up || set(&ways[DOWN], word[i], word[i + 1]));
}

/* False at the end of stdin: the commands end, the relay does not. */
static bool
read_commands(void)
{
	static char buf[1024];
	static size_t len;
	char *end;
	ssize_t n = read(STDIN_FILENO, buf + len, sizeof(buf) - 1 - len);

	if (n <= 0)
		return false;
	len += (size_t)n;
	buf[len] = '\0';
	while ((end = strchr(buf, '\n')) != NULL) {
		*end++ = '\0';
		printf("%s %s\n", command(buf) ? "ok" : "no", buf);
		fflush(stdout);
		len -= (size_t)(end - buf);
		memmove(buf, end, len + 1);
	}
	if (len == sizeof(buf) - 1)
		len = 0; /* a line that is none of ours */
	return true;
}

/* HOST:PORT or [HOST]:PORT, numeric or "localhost". */
static void
resolve(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	char host[256];
	const char *colon = strrchr(text, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found;
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);

	if (n == 0 || n >= sizeof(host)) {
		fprintf(stderr, "relay: '%s' is not HOST:PORT\n", text);
		exit(EXIT_FAILURE);
	}
	if (text[0] == '[' && text[n - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)n - 2, text + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)n, text);
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
		fprintf(stderr, "relay: cannot find '%s'\n", text);
		exit(EXIT_FAILURE);
	}
	memcpy(addr, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
}

static void
listen_at(const char *text)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	char host[64], port[8];

	resolve(text, &addr, &len);
	front = open_socket(addr.ss_family);
	if (bind(front, (struct sockaddr *)&addr, len) != 0)
		die("cannot listen on '%s'", text);
	len = sizeof(addr);
	getsockname(front, (struct sockaddr *)&addr, &len);
	getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port,
	    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(stderr,
	    addr.ss_family == AF_INET6 ? "relay: listening on [%s]:%s\n"
				       : "relay: listening on %s:%s\n",
	    host, port);
}

static _Noreturn void
relay(void)
{
	struct epoll_event events[BURST];
	uint64_t expired;
	int i, n;

	for (;;) {
		arm();
		n = epoll_wait(epoll, events, BURST, -1);
		if (n < 0 && errno != EINTR)
			die("cannot wait");
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr == &front)
				read_front();
			else if (events[i].data.ptr == &timer)
				(void)!read(timer, &expired, sizeof(expired));
			else if (events[i].data.ptr != NULL)
				read_back(events[i].data.ptr);
			else if (!read_commands())
				epoll_ctl(
				    epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		}
		deliver_due();
	}
}

static _Noreturn void
usage(void)
{
	fputs("usage: relay [-R fd] [-l addr] [-s seed] [-c command]... "
	      "host:port\n",
	    stderr);
	exit(64);
}

int
main(int argc, char *argv[])
{
	struct epoll_event e = {.events = EPOLLIN};
	const char *at = "127.0.0.1:0";
	uint64_t seed = 1;
	uint32_t fd;
	int c, ready = -1;

	ways[UP].queue = ways[DOWN].queue = QUEUE_DEFAULT;
	while ((c = getopt(argc, argv, "R:c:l:s:")) != -1) {
		if (c == 'R' && values_u32(optarg, &fd) == OK)
			ready = (int)fd;
		else if (c == 'c' && command(optarg))
			continue;
		else if (c == 'l')
			at = optarg;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			usage();
	}
	if (optind + 1 != argc)
		usage();
	ways[UP].random = seed;
	ways[DOWN].random = ~seed;
	resolve(argv[optind], &upstream, &upstream_len);
	if ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    (timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) < 0)
		die("cannot set up");
	listen_at(at);
	watch(front, &front);
	watch(timer, &timer);
	/* Refused for a file or /dev/null: then there are no commands. */
	epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	if (ready >= 0)
		(void)!write(ready, "\n", 1);
	relay();
}
