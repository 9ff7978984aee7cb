/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/quiclink.h"
#include "net/process.h"
#include "net/resolve.h"
#include "cut.h"
#include "control.h"
#include "memory.h"
#include "patience.h"
#include "peer.h"
#include "zipper.h"

#define NS_PER_S 1000000000ull
#define ADDRS_MAX 16

/* --- the end --- */

static bool
is_delivered(const struct zipper *z)
{
	const struct peer *p;

	TAILQ_FOREACH(p, &z->peers, link_all)
		if (!peer_is_served(p))
			return false;
	return TAILQ_EMPTY(&z->cuts);
}

static void
close_all(struct zipper *z, const char *reason)
{
	struct peer *p;

	while ((p = TAILQ_FIRST(&z->peers)) != NULL)
		peer_close(p, HELLO_CLOSE_RESTART, reason);
}

void
zipper_settle(struct zipper *z)
{
	if (!z->draining || !is_delivered(z))
		return;
	if (z->pipe != NULL)
		peer_end_pipe(z->pipe); /* we come back when it has ended */
	else
		loop_stop(z->loop, z->status);
}

void
zipper_drain(struct zipper *z, int status)
{
	if (z->draining)
		return;
	z->draining = true;
	z->status = status;
	process_stopping();
	listener_stop(z->listener);
	timer_set(
	    z->loop, &z->grace, loop_now(z->loop) + z->conf->common.grace_ns);
	zipper_settle(z);
}

static void
on_grace_over(void *arg)
{
	struct zipper *z = arg;

	log_error("not everything could be delivered within --grace");
	loop_stop(z->loop, EXIT_LOST);
}

/* --- signals --- */

static void
report(const struct zipper *z)
{
	const struct router_counts *r = router_counts(z->router);
	const struct quic_counts *q = listener_counts(z->listener);
	const struct peer *p;

	log_info("%zu connections now, %" PRIu64 " so far; %zu handshakes "
		 "under way, %" PRIu64 " refused, %" PRIu64 " retries",
	    z->n_peers, z->connections, q->half_open, q->refused, q->retries);
	log_info("%" PRIu64 " messages: %" PRIu64 " delivered, %" PRIu64
		 " unobserved (%" PRIu64 " held), %" PRIu64
		 " dropped of %" PRIu64 " bytes; %" PRIu64
		 " observers sent away, %" PRIu64
		 " messages queued for those who left, %" PRIu64
		 " left by members of groups for others; %zu bytes of memory, "
		 "and %zu kept for what clients may send ahead",
	    r->messages, r->delivered, r->unobserved, r->held, r->lost.messages,
	    r->lost.bytes, r->evicted, z->orphans.messages, r->left,
	    slab_total(), z->windows);
	TAILQ_FOREACH(p, &z->peers, link_all)
		peer_describe(p);
}

/* Use it from now on. */
static void
install(struct zipper *z, const struct loaded *l)
{
	loaded_fini(&z->loaded);
	z->loaded = *l;
	z->routing.policies = l->policies;
	z->routing.n_policies = l->n_policies;
	z->rules = (struct hello_rules){
	    .tokens = l->tokens,
	    .max_tags = z->conf->max_tags,
	    .old_versions = z->conf->compat_versions,
	};
}

/*
 * The configuration file, tokens and certificate once more: all of them, or,
 * if there is anything wrong, none.  Listeners and the limits of QUIC stay
 * until a restart.
 */
static int
reload(struct zipper *z)
{
	struct zipper_conf fresh = *z->conf;
	struct loaded l;
	int r = OK;

	if (fresh.common.config != NULL)
		r = opts_read_file(z->program, &fresh, fresh.common.config);
	if (r == OK)
		r = loaded_init(&l, &fresh, z->reachable);
	if (r != OK) {
		log_error("not reloaded: everything stays as it was");
		opts_fini(z->program, &fresh, z->conf);
		return r;
	}
	opts_fini(z->program, z->conf, &fresh);
	*z->conf = fresh;
	listener_set_tls(z->listener, l.tls);
	install(z, &l);
	router_reload(z->router);
	log_info("reloaded: certificate pin %s", tls_pin(l.tls));
	return OK;
}

static void
on_signal(void *arg, int signo)
{
	struct zipper *z = arg;

	switch (signo) {
	case SIGUSR1:
		report(z);
		return;
	case SIGHUP:
		process_reloading();
		(void)reload(z); /* the old state is as good as before */
		process_reloaded();
		return;
	}
	switch (process_wish(&z->wish, signo, loop_now(z->loop))) {
	case PROCESS_DRAIN:
		zipper_drain(z, EXIT_OK);
		break;
	case PROCESS_THE_SAME:
		break;
	case PROCESS_AT_ONCE:
		loop_stop(z->loop, EXIT_LOST);
		break;
	}
}

static void
on_tick(void *arg)
{
	struct zipper *z = arg;
	uint64_t now = loop_now(z->loop);
	struct peer *p, *next;

	timer_set(z->loop, &z->tick, now + NS_PER_S);
	for (p = TAILQ_FIRST(&z->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link_all); /* p may go, and only p */
		patience_tick(p, now);
	}
	router_tick(z->router);
	memory_tick(z, now);
}

/* --- listening --- */

/*
 * Listen at all of v that this machine has, at one at least; a port of 0
 * becomes one that all of them have.
 */
static int
listen_at(struct zipper *z, const char *name, struct addr *v, size_t n)
{
	char text[ADDR_TEXT];
	uint16_t port = addr_port(&v[0]);
	size_t i, done = 0;
	int r;

	for (i = 0; i < n; i++) {
		if (!addr_is_loopback(&v[i])) {
			addr_text(&v[i], z->reachable);
			r = loaded_check_open(
			    z->conf, z->loaded.tokens, z->reachable);
			if (r != OK)
				return r;
		}
		addr_set_port(&v[i], port);
		if ((r = listener_udp(z->listener, &v[i])) == ERR_NONE)
			continue; /* a machine without IPv6, say */
		if (r != OK)
			return r;
		port = addr_port(&v[i]);
		done++;
		log_info("listening on %s", addr_text(&v[i], text));
	}
	if (done > 0)
		return OK;
	log_error(
	    "cannot listen on '%s': not an address of this machine", name);
	return ERR_SYS;
}

static mode_t
unix_mode(const struct zipper_conf *conf)
{
	if (conf->unix_mode != 0)
		return (mode_t)conf->unix_mode;
	return conf->unix_group != NULL ? 0660 : 0;
}

static int
unix_gid(const struct zipper_conf *conf, gid_t *gid)
{
	struct group *g;

	*gid = (gid_t)-1;
	if (conf->unix_group == NULL)
		return OK;
	if ((g = getgrnam(conf->unix_group)) == NULL) {
		log_error("no such group: '%s'", conf->unix_group);
		return ERR_NONE;
	}
	*gid = g->gr_gid;
	return OK;
}

static int
listen_on(struct zipper *z, const char *text)
{
	struct addr v[ADDRS_MAX];
	struct endpoint e;
	size_t n = 0;
	gid_t gid;
	int r;

	if (endpoint_parse(text, &e) != OK) {
		log_error("cannot listen on '%s': not an address", text);
		return ERR_BAD;
	}
	if (e.path != NULL) {
		if ((r = unix_gid(z->conf, &gid)) == OK)
			r = listener_unix(
			    z->listener, e.path, unix_mode(z->conf), gid);
		if (r == OK)
			log_info("listening on unix:%s", e.path);
	} else {
		r = resolve_now(e.host, e.port, v, ADDRS_MAX, &n);
		if (r == OK)
			r = listen_at(z, text, v, n);
	}
	endpoint_fini(&e);
	return r;
}

static int
listen_everywhere(struct zipper *z)
{
	const struct opt_list *l = &z->conf->listen;
	size_t i;
	int r;

	if (l->n == 0)
		return listen_on(z, "localhost");
	for (i = 0; i < l->n; i++)
		if ((r = listen_on(z, l->v[i])) != OK)
			return r;
	return OK;
}

/* --- set-up --- */

static const struct listener_ops listener_callbacks = {
    .accept = peer_accept,
};

static int
open_listener(struct zipper *z)
{
	const struct zipper_conf *conf = z->conf;
	struct listener_conf c = {
	    .quic =
		{
		    .conn =
			{
			    .tls = z->loaded.tls,
			    .idle_ns = QUICLINK_IDLE_NS,
			    .keep_alive_ns = QUICLINK_KEEP_ALIVE_NS,
			    .handshake_ns = QUICLINK_HANDSHAKE_NS,
			    .stream_window = QUICLINK_WINDOW_FIRST,
			    .conn_window = QUICLINK_WINDOW_FIRST,
			    .lane_window = QUICLINK_LANE_WINDOW_FIRST,
			    .streams_bidi = 1,
			},
		    .max_conns = conf->max_connections,
		    .max_per_addr = conf->max_per_address,
		    .max_half_open = conf->max_half_open,
		    .retry_from = conf->retry_from,
		},
	};
	int r;

	r = tls_state_key("reset.key", c.quic.reset_key, QUIC_KEY_BYTES);
	if (r == OK)
		r = tls_state_key(
		    "token.key", c.quic.token_key, QUIC_KEY_BYTES);
	if (r == OK)
		r = listener_new(
		    &z->listener, z->loop, &c, &listener_callbacks, z);
	return r;
}

static int
set_up(struct zipper *z, struct zipper_conf *conf)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, 0};
	struct loaded l;
	int r;

	z->tick = (struct timer){.fn = on_tick, .arg = z};
	z->grace = (struct timer){.fn = on_grace_over, .arg = z};
	TAILQ_INIT(&z->peers);
	TAILQ_INIT(&z->curious);
	TAILQ_INIT(&z->parked);
	TAILQ_INIT(&z->cuts);
	z->routing = (struct router_conf){
	    .hold_bytes = conf->hold_bytes,
	    .hold_ns = conf->hold_ns,
	    .interest = control_tell_interest,
	    .arg = z,
	};
	if ((r = auth_init()) != OK ||
	    (r = loaded_init(&l, conf, z->reachable)) != OK)
		return r;
	install(z, &l);
	if ((r = loop_new(&z->loop)) != OK ||
	    (r = router_new(&z->router, &z->routing)) != OK ||
	    (r = loop_signals(z->loop, signals, on_signal, z)) != OK ||
	    (r = open_listener(z)) != OK || (r = listen_everywhere(z)) != OK)
		return r;
	if (conf->pipe && (r = peer_open_pipe(z)) != OK)
		return r;
	return timer_set(z->loop, &z->tick, loop_clock() + NS_PER_S);
}

static int
exit_for(int r)
{
	switch (r) {
	case ERR_AUTH:
	case ERR_BAD:
	case ERR_TLS:
	case ERR_NONE:
		return EXIT_CONFIG;
	}
	return EXIT_SYSTEM;
}

static void
tear_down(struct zipper *z)
{
	cut_forget(z);
	if (z->loop != NULL) {
		timer_stop(z->loop, &z->tick);
		timer_stop(z->loop, &z->grace);
	}
	listener_free(z->listener);
	if (z->loop != NULL)
		loop_free(z->loop);
	router_free(z->router);
	loaded_fini(&z->loaded);
}

int
zipper_run(const struct opt_program *program, struct zipper_conf *conf)
{
	struct zipper z = {.program = program, .conf = conf};
	int r, status;

	if ((r = set_up(&z, conf)) != OK) {
		close_all(&z, "");
		tear_down(&z);
		return exit_for(r);
	}
	log_info("certificate pin %s", tls_pin(z.loaded.tls));
	log_info("memory: messages take at most %" PRIu64
		 " MiB in all, %" PRIu64
		 " KiB for each observer, and %u KiB for each "
		 "connection",
	    conf->memory >> 20, conf->queue >> 10, QUICLINK_WINDOW_FIRST >> 10);
	process_ready(conf->common.ready_fd);
	status = loop_run(z.loop);
	close_all(&z, "the zipper is shutting down");
	loop_flush(z.loop);
	tear_down(&z);
	if (z.no_reader)
		process_end_no_reader();
	if (z.wish.signo == SIGINT)
		process_end_by(SIGINT);
	return status;
}
