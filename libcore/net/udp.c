/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/udp.h"

#define NS_PER_S 1000000000u
#define ECN_MASK 3

/* What is asked for both socket buffers; the kernel's limits may give less. */
#define BUFFER_WANTED (4 << 20)

/* Receiving: slots of one recvmmsg(2), which a GRO burst fills, and how many
 * calls a turn. */
#define SLOTS 8
#define SLOT_SIZE (64u << 10)
#define ROUNDS_MAX 8

/* The kernel's limits for one UDP_SEGMENT call. */
#define SEGMENTS_MAX 64u
#define GSO_BYTES_MAX 65487u

_Static_assert(SLOTS *SLOT_SIZE <= LOOP_SCRATCH, "slots live in the scratch");

/* Room for every control message that one datagram may carry. */
struct control {
	_Alignas(
	    struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
				       CMSG_SPACE(sizeof(int)) +
				       CMSG_SPACE(sizeof(int))];
};

/* What one udp_send() asks for; bytes moves on past what was sent. */
struct burst {
	struct view bytes;
	size_t segment;
	const struct addr *to;	 /* NULL: connected */
	const struct addr *from; /* NULL: the kernel's choice */
	uint8_t ecn;
};

/* The end of a burst that the socket did not take. */
struct rest {
	struct burst burst;
	struct addr to;
	struct addr from;
	uint8_t bytes[];
};

struct udp {
	struct loop *loop;
	int fd;
	struct watch *watch;
	struct addr local;
	bool wildcard; /* every datagram says which address it was sent to */
	bool connected;
	bool gso;     /* UDP_SEGMENT has not been refused yet */
	bool blocked; /* room() is owed */
	bool closed;
	struct rest *rest; /* only while blocked */
	int refused;	   /* errno that the refusal task has to tell */
	uint64_t said_at;  /* when an error was last logged */
	struct task refusal;
	struct task reap;
	const struct udp_ops *ops;
	void *arg;
};

/* Errors */

/* A broken route must not fill the log: one line a second. */
static void
say(struct udp *u, const char *what)
{
	uint64_t now = loop_clock();

	if (u->said_at != 0 && now - u->said_at < NS_PER_S)
		return;
	u->said_at = now;
	log_sys("cannot %s", what);
}

static void
on_refusal(void *arg)
{
	struct udp *u = arg;

	u->ops->refused(u->arg, u->refused);
}

/* Not at once: we may be deep in what the owner is just doing. */
static void
tell_refused(struct udp *u, int err)
{
	if (!u->connected || err == EMSGSIZE) /* a router said: too large */
		return;
	u->refused = err;
	task_post(u->loop, &u->refusal);
}

static void
want(struct udp *u)
{
	watch_want(u->watch, WATCH_IN | (u->blocked ? WATCH_OUT : 0));
}

/* Receiving */

static void
take_control(
    struct cmsghdr *c, struct addr *to, struct udp_packet *p, size_t *segment)
{
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
	int n = 0;

	if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		*segment = n > 0 ? (size_t)n : 0;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		p->ecn = *CMSG_DATA(c) & ECN_MASK;
	} else if (c->cmsg_level == IPPROTO_IPV6 &&
		   c->cmsg_type == IPV6_TCLASS) {
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		p->ecn = (uint8_t)(n & ECN_MASK);
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&v4, CMSG_DATA(c), sizeof(v4));
		to->in4.sin_addr = v4.ipi_addr;
		p->to = to;
	} else if (c->cmsg_level == IPPROTO_IPV6 &&
		   c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&v6, CMSG_DATA(c), sizeof(v6));
		to->in6.sin6_addr = v6.ipi6_addr;
		if (IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr))
			to->in6.sin6_scope_id = (uint32_t)v6.ipi6_ifindex;
		p->to = to;
	}
}

/* Give one message, which GRO may have made of many datagrams, to the owner. */
static void
deliver(struct udp *u, struct msghdr *m, size_t len)
{
	struct view all = {m->msg_iov->iov_base, len};
	struct addr from = {.len = m->msg_namelen};
	struct addr to = u->local;
	struct udp_packet p = {.from = &from, .to = &u->local};
	struct cmsghdr *c;
	size_t segment = 0;

	if (m->msg_namelen > sizeof(from.in6))
		return; /* not an address of ours */
	memcpy(&from.sa, m->msg_name, m->msg_namelen);
	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		take_control(c, &to, &p, &segment);
	while (all.len > 0 && !u->closed) {
		p.bytes = all;
		if (segment > 0 && segment < all.len)
			p.bytes.len = segment;
		view_skip(&all, p.bytes.len);
		u->ops->datagram(u->arg, &p);
	}
}

/* Read once what is there.  ERR_MORE: maybe there is more; OK: nothing now. */
static int
receive(struct udp *u)
{
	struct mmsghdr m[SLOTS] = {0};
	struct iovec iov[SLOTS];
	struct sockaddr_storage from[SLOTS];
	struct control control[SLOTS];
	uint8_t *slots = loop_scratch(u->loop);
	int i, n;

	for (i = 0; i < SLOTS; i++) {
		iov[i].iov_base = slots + (size_t)i * SLOT_SIZE;
		iov[i].iov_len = SLOT_SIZE;
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_name = &from[i];
		m[i].msg_hdr.msg_namelen = sizeof(from[i]);
		m[i].msg_hdr.msg_control = &control[i];
		m[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(u->fd, m, SLOTS, MSG_DONTWAIT, NULL);
	if (n == -1) {
		if (errno == EAGAIN)
			return OK;
		if (errno == EINTR)
			return ERR_MORE;
		if (!u->connected)
			say(u, "receive a datagram");
		tell_refused(u, errno);
		return ERR_MORE; /* the socket's error is cleared */
	}
	for (i = 0; i < n && !u->closed; i++)
		deliver(u, &m[i].msg_hdr, m[i].msg_len);
	return n == SLOTS ? ERR_MORE : OK;
}

static void
receive_all(struct udp *u)
{
	int i, r = ERR_MORE;

	for (i = 0; i < ROUNDS_MAX && r == ERR_MORE && !u->closed; i++)
		r = receive(u);
	if (!u->closed)
		u->ops->pause(u->arg);
}

/* Sending */

static void
add_control(struct msghdr *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c =
	    (void *)((char *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

/* Say in m where the burst goes, from which address, and its ECN. */
static void
put_header(const struct udp *u, const struct burst *b, struct msghdr *m,
    struct control *control)
{
	bool v6 = u->local.sa.sa_family == AF_INET6;
	struct in_pktinfo pi4 = {0};
	struct in6_pktinfo pi6 = {0};
	int ecn = b->ecn & ECN_MASK;

	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	if (b->to != NULL) {
		m->msg_name = (void *)(uintptr_t)&b->to->sa;
		m->msg_namelen = b->to->len;
	}
	if (b->from != NULL && v6) {
		pi6.ipi6_addr = b->from->in6.sin6_addr;
		pi6.ipi6_ifindex = b->from->in6.sin6_scope_id;
		add_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &pi6, sizeof(pi6));
	} else if (b->from != NULL) {
		pi4.ipi_spec_dst = b->from->in4.sin_addr;
		add_control(m, IPPROTO_IP, IP_PKTINFO, &pi4, sizeof(pi4));
	}
	if (ecn != 0)
		add_control(m, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		    v6 ? IPV6_TCLASS : IP_TOS, &ecn, sizeof(ecn));
	if (m->msg_controllen == 0)
		m->msg_control = NULL;
}

/* What errno says about a datagram that was not sent. */
static int
send_failed(struct udp *u)
{
	switch (errno) {
	case EAGAIN:
		return ERR_MORE;
	case EMSGSIZE:
		return ERR_LIMIT;
	case ECONNREFUSED:
		if (!u->connected)
			break;
		tell_refused(u, errno);
		return ERR_GONE;
	}
	say(u, "send a datagram");
	return ERR_SYS;
}

/* One datagram a message, as many as one call takes. */
static int
send_each(struct udp *u, struct burst *b)
{
	struct mmsghdr m[SEGMENTS_MAX];
	struct iovec iov[SEGMENTS_MAX];
	struct msghdr header = {0};
	struct view v = b->bytes;
	struct control control;
	unsigned i;
	int n;

	put_header(u, b, &header, &control);
	for (i = 0; i < SEGMENTS_MAX && v.len > 0; i++) {
		iov[i].iov_base = (void *)(uintptr_t)v.p;
		iov[i].iov_len = v.len < b->segment ? v.len : b->segment;
		view_skip(&v, iov[i].iov_len);
		m[i].msg_hdr = header;
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(u->fd, m, i, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* What a router said about an earlier one is told first, once. */
	if (n == -1 && errno == EMSGSIZE)
		n = sendmmsg(u->fd, m, i, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1)
		return send_failed(u);
	for (i = 0; i < (unsigned)n; i++)
		view_skip(&b->bytes, iov[i].iov_len);
	return OK;
}

static bool
is_gso_refusal(int err)
{
	return err == EIO || err == EINVAL || err == ENOPROTOOPT ||
	       err == EOPNOTSUPP;
}

/* As many datagrams as fit into one message that the kernel will cut. */
static int
send_gso(struct udp *u, struct burst *b)
{
	struct msghdr m = {0};
	size_t count = GSO_BYTES_MAX / b->segment;
	uint16_t segment = (uint16_t)b->segment;
	struct control control;
	struct iovec iov;
	bool refused;
	int r;

	count = count < SEGMENTS_MAX ? count : SEGMENTS_MAX;
	iov.iov_base = (void *)(uintptr_t)b->bytes.p;
	iov.iov_len = count * b->segment;
	if (iov.iov_len > b->bytes.len)
		iov.iov_len = b->bytes.len;
	put_header(u, b, &m, &control);
	m.msg_control = &control;
	add_control(&m, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	if (sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		view_skip(&b->bytes, iov.iov_len);
		return OK;
	}
	if (!is_gso_refusal(errno) && errno != EMSGSIZE)
		return send_failed(u);
	/* Was it the offload, or is the path too narrow?  Then this fails. */
	refused = errno != EMSGSIZE;
	if ((r = send_each(u, b)) == OK && refused) {
		log_debug("no segmentation offload here: sending datagrams "
			  "one by one");
		u->gso = false;
	}
	return r;
}

static int
send_burst(struct udp *u, struct burst *b)
{
	int r = OK;

	while (r == OK && b->bytes.len > 0) {
		if (u->gso && b->bytes.len > b->segment &&
		    b->segment <= GSO_BYTES_MAX / 2)
			r = send_gso(u, b);
		else
			r = send_each(u, b);
	}
	return r;
}

/* Keep what the socket did not take; without memory for it, it is lost. */
static void
keep_rest(struct udp *u, const struct burst *b)
{
	struct rest *k;

	if ((k = malloc(sizeof(*k) + b->bytes.len)) == NULL)
		return;
	memcpy(k->bytes, b->bytes.p, b->bytes.len);
	k->burst = *b;
	k->burst.bytes.p = k->bytes;
	if (b->to != NULL) {
		k->to = *b->to;
		k->burst.to = &k->to;
	}
	if (b->from != NULL) {
		k->from = *b->from;
		k->burst.from = &k->from;
	}
	u->rest = k;
}

int
udp_send(struct udp *u, struct view bytes, size_t segment,
    const struct addr *to, const struct addr *from, uint8_t ecn)
{
	struct burst b = {bytes, segment, to, from, ecn};
	int r;

	assert(segment > 0 || bytes.len == 0);
	if (u->blocked)
		return ERR_MORE;
	if (!u->wildcard || (from != NULL && addr_is_any(from)))
		b.from = NULL;
	if (u->connected)
		b.to = NULL;
	if ((r = send_burst(u, &b)) != ERR_MORE)
		return r;
	u->blocked = true;
	want(u);
	if (b.bytes.len == bytes.len)
		return ERR_MORE;
	keep_rest(u, &b);
	return OK;
}

/* The socket takes more: first what is left of the last burst. */
static void
unblock(struct udp *u)
{
	if (u->rest != NULL && send_burst(u, &u->rest->burst) == ERR_MORE)
		return;
	free(u->rest);
	u->rest = NULL;
	u->blocked = false;
	u->ops->room(u->arg);
}

/* The socket */

static void
on_socket(void *arg, int events)
{
	struct udp *u = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	if ((events & WATCH_GONE) &&
	    getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 &&
	    err != 0)
		tell_refused(u, err);
	if ((events & WATCH_OUT) && u->blocked)
		unblock(u);
	if ((events & WATCH_IN) && !u->closed)
		receive_all(u);
	if (!u->closed)
		want(u);
}

/* Turn an option on that we can do without. */
static void
ask(struct udp *u, int level, int option, int value, const char *what)
{
	if (setsockopt(u->fd, level, option, &value, sizeof(value)) == -1)
		log_debug("cannot have %s: %s", what, strerror(errno));
}

static void
set_options(struct udp *u, int family)
{
	ask(u, SOL_SOCKET, SO_RCVBUF, BUFFER_WANTED, "a receive buffer");
	ask(u, SOL_SOCKET, SO_SNDBUF, BUFFER_WANTED, "a send buffer");
	ask(u, SOL_UDP, UDP_GRO, 1, "receive offload");
	/* Also on IPv6 sockets, for mapped addresses. */
	ask(u, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "DF");
	ask(u, IPPROTO_IP, IP_RECVTOS, 1, "ECN");
	if (family != AF_INET6)
		return;
	ask(u, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE,
	    "no fragments");
	ask(u, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "ECN");
}

/* Replies must leave from the address that was asked; so ask which it is. */
static int
ask_destinations(struct udp *u, int family)
{
	int on = 1, r;

	if (family == AF_INET6)
		r = setsockopt(
		    u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		r = setsockopt(u->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (r == -1) {
		log_sys("cannot see the addresses that datagrams are sent to");
		return ERR_SYS;
	}
	u->wildcard = true;
	return OK;
}

static int
bind_to(struct udp *u, const struct addr *local)
{
	char text[ADDR_TEXT];
	int on = 1;

	/* 0.0.0.0 and :: are two listeners that do not know each other. */
	if (local->sa.sa_family == AF_INET6 &&
	    setsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) ==
		-1) {
		log_sys("cannot keep an IPv6 socket to IPv6");
		return ERR_SYS;
	}
	if (bind(u->fd, &local->sa, local->len) == -1) {
		if (errno == EADDRNOTAVAIL)
			return ERR_NONE;
		log_sys("cannot bind to %s", addr_text(local, text));
		return ERR_SYS;
	}
	return OK;
}

static int
connect_to(struct udp *u, const struct addr *peer)
{
	char text[ADDR_TEXT];

	if (connect(u->fd, &peer->sa, peer->len) == -1) {
		if (errno == ENETUNREACH || errno == EHOSTUNREACH ||
		    errno == EADDRNOTAVAIL)
			return ERR_GONE;
		log_sys("cannot connect to %s", addr_text(peer, text));
		return ERR_SYS;
	}
	u->connected = true;
	return OK;
}

static int
open_socket(struct udp *u, const struct addr *local, const struct addr *peer)
{
	int family = (local != NULL ? local : peer)->sa.sa_family;
	int r;

	u->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd == -1 && errno == EAFNOSUPPORT)
		return local != NULL ? ERR_NONE : ERR_GONE;
	if (u->fd == -1) {
		log_sys("cannot create a UDP socket");
		return ERR_SYS;
	}
	set_options(u, family);
	if (local != NULL && (r = bind_to(u, local)) != OK)
		return r;
	if (peer != NULL && (r = connect_to(u, peer)) != OK)
		return r;
	u->local.len = sizeof(u->local.in6);
	if (getsockname(u->fd, &u->local.sa, &u->local.len) == -1) {
		log_sys("cannot see the address of a socket");
		return ERR_SYS;
	}
	if (peer == NULL && addr_is_any(local))
		return ask_destinations(u, family);
	return OK;
}

static void
free_udp(void *arg)
{
	struct udp *u = arg;

	watch_close(u->watch);
	if (u->fd != -1)
		close(u->fd);
	free(u->rest);
	free(u);
}

int
udp_open(struct udp **out, struct loop *l, const struct addr *local,
    const struct addr *peer, const struct udp_ops *ops, void *arg)
{
	struct udp *u;
	int r;

	assert(local != NULL || peer != NULL);
	if ((u = calloc(1, sizeof(*u))) == NULL)
		return ERR_NOMEM;
	u->loop = l;
	u->fd = -1;
	u->gso = true;
	u->ops = ops;
	u->arg = arg;
	u->refusal = (struct task){.fn = on_refusal, .arg = u};
	u->reap = (struct task){.fn = free_udp, .arg = u};
	if ((r = open_socket(u, local, peer)) != OK)
		goto fail;
	if ((r = watch_open(&u->watch, l, u->fd, on_socket, u)) != OK)
		goto fail;
	want(u);
	*out = u;
	return OK;

fail:
	free_udp(u);
	return r;
}

void
udp_close(struct udp *u)
{
	if (u == NULL || u->closed)
		return;
	u->closed = true;
	watch_close(u->watch);
	u->watch = NULL;
	close(u->fd);
	u->fd = -1;
	task_cancel(u->loop, &u->refusal);
	task_post(u->loop, &u->reap); /* we may be in one of its callbacks */
}

const struct addr *
udp_local(const struct udp *u)
{
	return &u->local;
}

size_t
udp_payload_max(const struct udp *u)
{
	static const size_t sizes[] = {60000, 32000, 16000, 8900, 4096};
	socklen_t len = sizeof(int);
	int held = 0;
	size_t i;

	getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &held, &len);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if ((size_t)held / 32 >= sizes[i])
			return sizes[i];
	return 1452;
}
