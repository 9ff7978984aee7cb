/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "link/pipelink.h"
#include "link/quiclink.h"
#include "memory.h"
#include "peer.h"
#include "wire/meta.h"

/* Runs do not grow over it, so that queues fill in steps. */
#define RUN_MAX (16u << 10)

static const struct link_ops link_callbacks;

static void
set_state(struct peer *p, enum peer_state state)
{
	p->state = state;
	p->since = loop_now(p->z->loop);
}

/* What was queued for it, or on its way and not acknowledged. */
static void
count_orphans(struct peer *p)
{
	struct outq_loss n = outq_left(&p->out);

	if (n.messages == 0)
		return;
	p->z->orphans.messages += n.messages;
	p->z->orphans.bytes += n.bytes;
	if (p->went)
		return;
	log_info("'%s' (%s) left without %llu messages of %llu bytes", p->name,
	    p->link->name, (unsigned long long)n.messages,
	    (unsigned long long)n.bytes);
}

static void
forget(struct peer *p)
{
	struct zipper *z = p->z;

	router_unwait(&p->waiter);
	router_leave(z->router, &p->observer);
	if (p->parked)
		TAILQ_REMOVE(&z->parked, p, link_parked);
	if (z->senior == p)
		z->senior = NULL;
	if (z->pipe == p)
		z->pipe = NULL;
	z->windows -= p->window;
	task_cancel(z->loop, &p->evict);
	task_cancel(z->loop, &p->work);
	TAILQ_REMOVE(&z->peers, p, link_all);
	z->n_peers--;
	count_orphans(p);
	outq_fini(&p->out);
	intake_fini(&p->in);
	free(p->name);
	free(p);
	memory_release(z);
	zipper_settle(z);
}

void
peer_close(struct peer *p, uint64_t code, const char *reason)
{
	log_debug("closing '%s' (%s): %s", p->name, p->link->name, reason);
	link_close(p->link, code, reason);
	forget(p);
}

/* --- as an observer --- */

static struct outlet *
on_outlet(void *arg, uint32_t tag, struct view session)
{
	struct peer *p = arg;

	(void)tag;
	(void)session;
	return &p->outlet;
}

static void
on_queued(void *arg, struct outlet *outlet)
{
	struct peer *p = arg;

	(void)outlet;
	link_wake(p->link);
}

static void
on_evict(void *arg)
{
	struct peer *p = arg;

	task_post(p->z->loop, &p->evict);
}

static void
evict(void *arg)
{
	struct peer *p = arg;

	log_info("'%s' (%s) is too slow: disconnected", p->name, p->link->name);
	peer_close(p, HELLO_CLOSE_RESTART, "too slow: the queue is full");
}

/* --- routing --- */

/* Find the target in metadata that must be sound; ERR_BAD. */
static int
scan_meta(struct view meta, struct view *target)
{
	static const char key[] = META_TARGET;
	struct meta_walk w;
	struct meta_pair pair;
	int r;

	*target = (struct view){0};
	if (meta.len == 0)
		return OK;
	if ((r = meta_start(meta, &w)) != OK)
		return r;
	while ((r = meta_next(&w, &pair)) == OK) {
		if (pair.key.len == sizeof(key) - 1 &&
		    memcmp(pair.key.p, key, sizeof(key) - 1) == 0)
			*target = pair.value;
	}
	return r == ERR_NONE ? OK : r;
}

static int
complain(struct peer *p, const char *text)
{
	snprintf(p->text, sizeof(p->text), "%s", text);
	return ERR_BAD;
}

/* Read a frame that may be routed: its tag and target; ERR_BAD. */
static int
read_data(
    struct peer *p, const struct frame *f, uint32_t *tag, struct view *target)
{
	struct data_frame d;

	if (f->type != FRAME_DATA) {
		snprintf(p->text, sizeof(p->text), "unexpected %s",
		    frame_name(f->type));
		return ERR_BAD;
	}
	if (data_frame_get(f->body, &d) != OK)
		return complain(p, "malformed DataFrame");
	if (d.tag >= FRAME_RESERVED_FIRST && d.tag <= FRAME_RESERVED_LAST)
		return complain(p,
		    "[0xF000, 0xFFFF] is reserved; please do not write within "
		    "this range");
	if (scan_meta(d.meta, target) != OK)
		return complain(p, "malformed metadata");
	*tag = d.tag;
	return OK;
}

/*
 * Hand the run over.  On ERR_MORE the frames from its first on are put back,
 * and the peer waits for whom there is no room at.
 */
static int
send_run(struct peer *p, struct run *run)
{
	struct outcome out;
	struct peer *slow;
	uint64_t now = loop_now(p->z->loop);
	int r;

	if (run->count == 0)
		return OK;
	r = router_send(p->z->router, run, &out, now);
	if (r == ERR_MORE) {
		intake_back(&p->in, run->off);
		slow = out.obstacle->observer->arg;
		if (TAILQ_EMPTY(&out.obstacle->waiters))
			slow->waited_at = now;
		router_wait(out.obstacle, &p->waiter);
		return r;
	}
	p->received += run->count;
	run->count = 0;
	return OK;
}

/* Whether the frame of len bytes at off goes on where the run ends. */
static bool
continues(const struct run *run, uint32_t tag, struct view target, size_t len)
{
	return run->count > 0 && run->tag == tag && target.len == 0 &&
	       run->target.len == 0 && run->len + len <= RUN_MAX;
}

/* Cut what has come into runs and send them; ERR_MORE: waits for room. */
static int
route_frames(struct peer *p)
{
	/* Standard input waits for standard output, as in any pipeline. */
	struct run run = {.sender = p->is_pipe ? NULL : &p->observer};
	struct frame f;
	struct view target;
	uint32_t tag;
	int r, sent;

	while ((r = intake_next(&p->in, &f)) == OK) {
		if ((r = read_data(p, &f, &tag, &target)) != OK)
			break;
		if (continues(&run, tag, target, f.whole.len)) {
			run.len += f.whole.len;
			run.count++;
			continue;
		}
		if ((sent = send_run(p, &run)) != OK)
			return sent;
		run.slab = p->in.front;
		run.off = intake_offset(&p->in, &f);
		run.len = f.whole.len;
		run.tag = tag;
		run.count = 1;
		run.target = target;
	}
	/* What came before a bad frame was good. */
	if ((sent = send_run(p, &run)) != OK)
		return sent;
	if (r == ERR_BAD && p->text[0] == '\0')
		complain(p, "malformed frame");
	if (r == ERR_LIMIT)
		complain(p, "message too long: see --max-message");
	return r == ERR_MORE ? OK : ERR_BAD;
}

/* Who sends much may send more ahead, as long as memory is kept for it. */
static void
widen(struct peer *p)
{
	struct zipper *z = p->z;
	size_t more = p->window + QUICLINK_WINDOW_FIRST;

	if (p->used < more || p->is_pipe)
		return;
	p->used = 0;
	if (more > QUICLINK_WINDOW - QUICLINK_WINDOW_FIRST - p->window)
		more = QUICLINK_WINDOW - QUICLINK_WINDOW_FIRST - p->window;
	if (more == 0 || z->windows + more > memory_reserve(z))
		return;
	p->window += more;
	z->windows += more;
	link_widen(p->link, more);
}

static void
give_credit(struct peer *p, size_t kept)
{
	size_t n = p->unused > kept ? p->unused - kept : 0;

	/* After a signal nothing new is read, and only then. */
	if (n == 0 || p->z->draining)
		return;
	p->unused -= n;
	p->used += n;
	link_consumed(p->link, n);
	widen(p);
}

/* It broke the protocol; the pipe's end is the zipper's. */
static bool
expel(struct peer *p, const char *why)
{
	if (p->is_pipe) {
		log_error("cannot read standard input: %s", why);
		set_state(p, PEER_REFUSED);
		zipper_drain(p->z, EXIT_DATA);
		return false;
	}
	log_info("'%s' (%s) is sent away: %s", p->name, p->link->name, why);
	peer_close(p, HELLO_CLOSE_EVICT, why);
	return false;
}

/*
 * Its FIN came and everything before it is routed: answer with ours.  False:
 * the peer is no more.
 */
static bool
finish(struct peer *p)
{
	p->fin_came = false;
	if (p->in.waiting > 0)
		return expel(p, "the stream ended within a frame");
	if (p->is_pipe) {
		zipper_drain(p->z, EXIT_OK);
		return true;
	}
	router_leave(p->z->router, &p->observer);
	set_state(p, PEER_LEAVING);
	link_finish(p->link);
	return true;
}

/*
 * No memory for more.  Only the rest of one message still comes: its whole may
 * be what has to go before others can.
 */
static bool
must_wait(struct peer *p)
{
	struct zipper *z = p->z;

	if (!p->parked) {
		if (!memory_is_full(z) || p->in.waiting == 0 || p->relieved) {
			p->relieved = false;
			return false;
		}
		memory_park(z, p);
	}
	if (z->senior != p)
		return true;
	if (!intake_is_cut(&p->in)) {
		memory_unpark(z, p);
		return false;
	}
	give_credit(p, 0);
	return true;
}

/* Route what it sent, as far as there is room; false: it had to go. */
static bool
route(struct peer *p)
{
	int r;

	if (p->state != PEER_READY || p->waiter.on != NULL || must_wait(p))
		return true;
	do {
		r = route_frames(p);
	} while (r == OK && intake_advance(&p->in));
	switch (r) {
	case OK:
		give_credit(p, 0);
		return !p->fin_came || finish(p);
	case ERR_MORE:
		/* Or nothing would come before all that waits has gone. */
		give_credit(p, p->in.waiting);
		return true;
	default:
		return expel(p, p->text);
	}
}

static void
work(void *arg)
{
	struct peer *p = arg;
	struct zipper *z = p->z;

	if (route(p))
		zipper_settle(z);
}

void
peer_resume(struct peer *p)
{
	task_post(p->z->loop, &p->work);
}

static void
on_resume(void *arg)
{
	peer_resume(arg);
}

/* --- the greeting --- */

static void
refuse(struct peer *p, const char *text)
{
	struct view v = view_of(text);
	uint8_t *q;

	log_info("refused a client at %s: %s", p->link->name, text);
	if (outq_reserve(&p->out, frame_text_size(v), &q) != OK) {
		peer_close(p, HELLO_CLOSE_EVICT, text);
		return;
	}
	frame_text_put(q, FRAME_REJECTED, v);
	outq_commit(&p->out, frame_text_size(v), 0, 0);
	set_state(p, PEER_REFUSED);
	link_finish(p->link);
}

static int
observe(struct peer *p, uint32_t tag)
{
	struct observing what = {.tag = tag};

	return router_observe(
	    p->z->router, &p->observer, &what, loop_now(p->z->loop));
}

static int
observe_tags(struct peer *p, const struct handshake *h)
{
	size_t i;
	int r;

	if (h->client_type != CLIENT_SFN)
		return OK;
	for (i = 0; i < handshake_tags(h->tags); i++)
		if ((r = observe(p, handshake_tag(h->tags, i))) != OK)
			return r;
	return h->definition.len > 0 ? observe(p, HELLO_TAG_CALL) : OK;
}

static int
join(struct peer *p, struct view target)
{
	int r;

	if ((r = router_join(p->z->router, &p->observer, target)) == OK)
		router_open_outlet(&p->outlet, &p->observer, &p->out);
	return r;
}

/* The Ack is queued before the route exists: nothing can come before it. */
static int
admit(struct peer *p, const struct handshake *h)
{
	struct view ack = {FRAME_ACK_BYTES, FRAME_ACK_SIZE};
	char *name;
	int r;

	name = strndup(
	    h->name.len > 0 ? (const char *)h->name.p : "", h->name.len);
	if (name == NULL)
		return ERR_NOMEM;
	free(p->name);
	p->name = name;
	p->type = h->client_type;
	p->observer.name = name;
	if ((r = outq_put(&p->out, ack)) != OK)
		return r;
	if ((r = join(p, h->target)) != OK)
		return r;
	return observe_tags(p, h);
}

static void
greet(struct peer *p)
{
	struct handshake h;
	struct frame f;
	int r = intake_next(&p->in, &f);

	if (r == ERR_MORE && p->fin_came)
		peer_close(p, HELLO_CLOSE_EVICT, "no handshake");
	if (r == ERR_MORE)
		return;
	if (r != OK) {
		refuse(p, "yomo: handshake read unexpected frame");
		return;
	}
	if (hello_judge(&p->z->rules, &f, &h, p->text) != OK) {
		refuse(p, p->text);
		return;
	}
	if (admit(p, &h) != OK) {
		peer_close(p, HELLO_CLOSE_RESTART, "out of memory");
		return;
	}
	log_debug("%s '%s' (%s) is here", hello_role(p->type), p->name,
	    p->link->name);
	p->in.max = p->z->conf->max_message;
	p->text[0] = '\0';
	set_state(p, PEER_READY);
	link_wake(p->link);
	route(p);
}

/* --- the link's callbacks --- */

static void
on_up(void *arg)
{
	struct peer *p = arg;

	if (!p->is_pipe) {
		set_state(p, PEER_GREETING);
		return;
	}
	set_state(p, PEER_READY);
	if (join(p, (struct view){0}) != OK ||
	    router_observe_all(p->z->router, &p->observer) != OK) {
		log_error("out of memory");
		zipper_drain(p->z, EXIT_SYSTEM);
	}
}

static void
on_bytes(void *arg, struct view bytes)
{
	struct peer *p = arg;

	if (p->state == PEER_REFUSED || p->state == PEER_LEAVING) {
		link_consumed(p->link, bytes.len);
		return;
	}
	/* Frames are not moved when they can be routed. */
	p->heard_at = loop_now(p->z->loop);
	if (!intake_fits(&p->in, bytes.len) && !route(p))
		return;
	p->unused += bytes.len;
	/* No memory for one connection: its source will count what it lost. */
	if (intake_put(&p->in, bytes) != OK)
		on_evict(p);
}

static void
on_fin(void *arg)
{
	struct peer *p = arg;

	p->fin_came = true;
}

static void
on_pause(void *arg)
{
	struct peer *p = arg;

	if (p->state == PEER_GREETING)
		greet(p);
	else
		route(p);
}

static void
on_moved(void *arg)
{
	struct peer *p = arg;

	p->progress_at = loop_now(p->z->loop);
	router_room(&p->outlet);
	memory_release(p->z);
	if (p->out.bytes == 0)
		zipper_settle(p->z);
}

static void
end_pipe(struct zipper *z, const struct link_end *end)
{
	z->pipe = NULL;
	if (end->kind == LINK_FINISHED)
		return;
	z->no_reader = end->kind == LINK_NO_READER;
	loop_stop(
	    z->loop, end->kind == LINK_UNWRITABLE ? EXIT_OUTPUT : EXIT_SYSTEM);
}

static void
on_down(void *arg, const struct link_end *end)
{
	struct peer *p = arg;
	struct zipper *z = p->z;

	log_debug("%s '%s' (%s) is gone: code 0x%llx: %s", hello_role(p->type),
	    p->name, p->link->name, (unsigned long long)end->code, end->reason);
	/* Who wants no more loses nothing, nor does the reader of a pipe. */
	p->went = end->kind == LINK_CLOSED || end->kind == LINK_NO_READER;
	if (p->is_pipe)
		end_pipe(z, end);
	link_close(p->link, 0, "");
	forget(p);
}

static const struct link_ops link_callbacks = {
    .up = on_up,
    .bytes = on_bytes,
    .fin = on_fin,
    .pause = on_pause,
    .moved = on_moved,
    .down = on_down,
};

/* --- exported --- */

static struct peer *
make(struct zipper *z, const char *name)
{
	struct peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	if ((p->name = strdup(name)) == NULL) {
		free(p);
		return NULL;
	}
	p->z = z;
	outq_init(&p->out, z->conf->queue);
	intake_init(&p->in, HELLO_MAX);
	p->observer.outlet = on_outlet;
	p->observer.wake = on_queued;
	p->observer.evict = on_evict;
	p->observer.arg = p;
	p->observer.name = p->name;
	p->waiter = (struct waiter){.resume = on_resume, .arg = p};
	p->work = (struct task){.fn = work, .arg = p};
	p->evict = (struct task){.fn = evict, .arg = p};
	set_state(p, PEER_CONNECTING);
	TAILQ_INSERT_TAIL(&z->peers, p, link_all);
	z->n_peers++;
	return p;
}

bool
peer_accept(void *arg, struct link *link)
{
	struct zipper *z = arg;
	struct peer *p;

	if (z->draining || z->n_peers >= z->conf->max_connections)
		return false;
	if ((p = make(z, "?")) == NULL)
		return false;
	z->connections++;
	p->link = link;
	link->ops = &link_callbacks;
	link->arg = p;
	link->out = &p->out;
	return true;
}

int
peer_open_pipe(struct zipper *z)
{
	struct peer *p;
	int r;

	if ((p = make(z, "pipe")) == NULL)
		return ERR_NOMEM;
	p->is_pipe = true;
	p->in.max = z->conf->max_message;
	r = pipelink_open(&p->link, z->loop, STDIN_FILENO, STDOUT_FILENO,
	    &p->out, &link_callbacks, p);
	if (r != OK) {
		forget(p);
		return r;
	}
	z->pipe = p;
	return OK;
}

bool
peer_is_served(const struct peer *p)
{
	if (p->is_pipe && p->state == PEER_REFUSED)
		return p->out.bytes == 0;
	return p->out.bytes == 0 && p->waiter.on == NULL && !p->work.posted &&
	       (!p->parked || intake_is_cut(&p->in)) &&
	       (p->state != PEER_LEAVING || p->link->fin_acked);
}

bool
peer_is_halfway(const struct peer *p)
{
	return p->parked && intake_is_cut(&p->in);
}

void
peer_end_pipe(struct peer *p)
{
	link_finish(p->link);
}

void
peer_describe(const struct peer *p)
{
	log_info("%s '%s' (%s): %llu messages in, %llu out, %zu bytes queued, "
		 "%llu messages dropped",
	    p->is_pipe ? "pipe" : hello_role(p->type), p->name, p->link->name,
	    (unsigned long long)p->received,
	    (unsigned long long)p->observer.delivered, p->out.bytes,
	    (unsigned long long)p->observer.lost.messages);
}
