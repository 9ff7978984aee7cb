/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "inlet.h"
#include "link/quiclink.h"
#include "memory.h"
#include "peer.h"
#include "proto/session.h"
#include "wire/lane.h"
#include "wire/meta.h"

/* Runs do not grow over it, so that queues fill in steps. */
#define RUN_MAX (16u << 10)

static void
on_resume(void *arg)
{
	const struct inlet *in = arg;

	peer_resume(in->peer);
}

void
inlet_init(struct inlet *in, struct peer *p, size_t max)
{
	*in = (struct inlet){.peer = p};
	in->waiter = (struct waiter){.resume = on_resume, .arg = in};
	intake_init(&in->in, max);
}

void
inlet_fini(struct inlet *in)
{
	struct peer *p = in->peer;

	router_unwait(&in->waiter);
	memory_return(p->z, in->is_lane ? in->advanced : in->window);
	if (in->is_lane && !p->is_gone && in->unused > in->advanced)
		link_credit(p->link, in->unused - in->advanced);
	intake_fini(&in->in);
}

/* --- credit --- */

/* The client may send n bytes more than what it has used. */
static void
open_window(const struct inlet *in, size_t n)
{
	if (!in->is_lane)
		link_widen(in->peer->link, n);
	else
		lane_credit(in->lane, n);
}

static size_t
first_window(const struct inlet *in)
{
	return in->is_lane ? QUICLINK_LANE_WINDOW_FIRST : QUICLINK_WINDOW_FIRST;
}

/* Who sends much may send more ahead, as long as memory is kept for it. */
static void
widen(struct inlet *in)
{
	struct zipper *z = in->peer->z;
	size_t first, more;

	first = first_window(in);
	more = in->window + first;
	if (in->used < more || in->peer->is_pipe)
		return;
	in->used = 0;
	if (more > QUICLINK_WINDOW - first - in->window)
		more = QUICLINK_WINDOW - first - in->window;
	if (more == 0)
		return;
	/* What lanes bring is bounded by the connection's window. */
	if (!in->is_lane && !memory_lend(z, more))
		return;
	in->window += more;
	open_window(in, more);
}

void
inlet_credit(struct inlet *in, size_t kept)
{
	struct peer *p = in->peer;
	size_t n = in->unused > kept ? in->unused - kept : 0;
	size_t again = n < in->advanced ? n : in->advanced;

	/* After a signal nothing new is read, and only then. */
	if (n == 0 || p->z->draining)
		return;
	in->unused -= n;
	in->used += n;
	in->advanced -= again;
	memory_return(p->z, again);
	if (!in->is_lane) {
		link_consumed(p->link, n);
	} else {
		lane_credit(in->lane, n);
		link_credit(p->link, n - again);
		peer_used(p, n);
	}
	widen(in);
}

/*
 * What waits here for an outlet must not hold up the other lanes: let the
 * client send as much more on them, as long as memory is kept for it.
 */
static void
advance(struct inlet *in)
{
	size_t n = in->unused - in->advanced;

	if (!in->is_lane || n == 0 || !memory_lend(in->peer->z, n))
		return;
	in->advanced += n;
	link_credit(in->peer->link, n);
}

/* --- routing --- */

/* What routing has to know of a message. */
struct heading {
	uint32_t tag;
	struct view target;
	struct session_mark session; /* of no id: in none */
};

static int
complain(struct inlet *in, const char *text)
{
	snprintf(in->peer->text, sizeof(in->peer->text), "%s", text);
	return ERR_BAD;
}

/* A lane's first frame says what the lane is for; ERR_BAD. */
static int
read_header(struct inlet *in, const struct frame *f)
{
	struct lane_frame h;

	if (f->type != FRAME_LANE || lane_frame_get(f->body, &h) != OK)
		return complain(in, "a lane without a header");
	in->has_header = true;
	in->has_tag = h.has_tag;
	in->tag = h.tag;
	return OK;
}

/* Read a frame that may be routed; ERR_BAD. */
static int
read_data(struct inlet *in, const struct frame *f, struct heading *h)
{
	struct meta_known known;
	struct data_frame d;

	if (f->type != FRAME_DATA) {
		snprintf(in->peer->text, sizeof(in->peer->text),
		    "unexpected %s", frame_name(f->type));
		return ERR_BAD;
	}
	if (data_frame_get(f->body, &d) != OK)
		return complain(in, "malformed DataFrame");
	if (in->has_tag && d.tag != in->tag)
		return complain(in, "a tag that is not its lane's");
	if (d.tag >= FRAME_RESERVED_FIRST && d.tag <= FRAME_RESERVED_LAST)
		return complain(in,
		    "[0xF000, 0xFFFF] is reserved; please do not write within "
		    "this range");
	if (meta_read(d.meta, &known) != OK)
		return complain(in, "malformed metadata");
	*h = (struct heading){.tag = d.tag, .target = known.target};
	if (known.session.len > 0)
		session_mark(known.session, known.session_end, &h->session);
	return OK;
}

/*
 * Hand the run over, whose last message has the mark last.  On ERR_MORE the
 * frames from its first on are put back, and we wait for the outlet that has no
 * room.
 */
static int
send_run(struct inlet *in, struct run *run, const struct session_mark *last)
{
	struct peer *p = in->peer;
	uint64_t now = loop_now(p->z->loop);
	struct outcome out;
	int r;

	if (run->count == 0)
		return OK;
	r = router_send(p->z->router, run, &out, now);
	if (r == ERR_MORE) {
		intake_back(&in->in, run->off);
		if (TAILQ_EMPTY(&out.obstacle->waiters))
			way_of(out.obstacle)->waited_at = now;
		router_wait(out.obstacle, &in->waiter);
		return r;
	}
	if (run->session.len > 0)
		session_table_note(&p->sessions, run->tag, last, run->target);
	in->messages += run->count;
	in->unobserved += out.unobserved;
	run->count = 0;
	return OK;
}

/* Whether a frame of len bytes goes on where the run ends.  While frames are
 * cut into runs, no group comes or goes: one look at the tag will do. */
static bool
continues(const struct inlet *in, const struct run *run,
    const struct heading *h, size_t len)
{
	return run->count > 0 && run->tag == h->tag && h->target.len == 0 &&
	       run->target.len == 0 && run->len + len <= RUN_MAX &&
	       view_equal(run->session, h->session.id) && !run->session_ends &&
	       (run->count > 1 ||
		   !router_is_shared(in->peer->z->router, h->tag));
}

/* Begin a run with the frame f. */
static void
begin_run(const struct inlet *in, struct run *run, const struct frame *f,
    const struct heading *h)
{
	run->slab = in->in.front;
	run->off = intake_offset(&in->in, f);
	run->len = f->whole.len;
	run->tag = h->tag;
	run->count = 1;
	run->target = h->target;
	run->session = h->session.id;
}

/* Cut what has come into runs and send them; ERR_MORE: waits for room. */
static int
route_frames(struct inlet *in)
{
	struct peer *p = in->peer;
	/* Standard input waits for standard output, as in any pipeline. */
	struct run run = {.sender = p->is_pipe ? NULL : &p->observer};
	struct session_mark last = {0};
	struct heading h;
	struct frame f;
	int r, sent;

	while ((r = intake_next(&in->in, &f)) == OK) {
		if (in->is_lane && !in->has_header) {
			if ((r = read_header(in, &f)) != OK)
				break;
			continue;
		}
		if ((r = read_data(in, &f, &h)) != OK)
			break;
		if (continues(in, &run, &h, f.whole.len)) {
			run.len += f.whole.len;
			run.count++;
		} else {
			if ((sent = send_run(in, &run, &last)) != OK)
				return sent;
			begin_run(in, &run, &f, &h);
		}
		last = h.session;
		run.session_ends = last.end != SESSION_GOES_ON;
	}
	/* What came before a bad frame was good. */
	if ((sent = send_run(in, &run, &last)) != OK)
		return sent;
	if (r == ERR_BAD && p->text[0] == '\0')
		complain(in, "malformed frame");
	if (r == ERR_LIMIT)
		complain(in, "message too long: see --max-message");
	return r == ERR_MORE ? OK : ERR_BAD;
}

int
inlet_route(struct inlet *in)
{
	int r;

	if (in->waiter.on != NULL)
		return ERR_MORE;
	do {
		r = route_frames(in);
	} while (r == OK && intake_advance(&in->in));
	switch (r) {
	case OK:
		inlet_credit(in, 0);
		break;
	case ERR_MORE:
		/* Or nothing would come before all that waits has gone. */
		inlet_credit(in, in->in.waiting);
		advance(in);
		break;
	}
	if (r == OK && in->fin_came && in->in.waiting > 0)
		return complain(in, "the stream ended within a frame");
	return r;
}

/* A control stream's frames wait for their turn. */
static bool
may_route(const struct inlet *in)
{
	return (in->is_lane || !in->peer->lanes) && peer_may_route(in->peer);
}

int
inlet_put(struct inlet *in, struct view bytes)
{
	int r;

	in->heard_at = loop_now(in->peer->z->loop);
	/* Frames are not moved when they can be routed. */
	if (!intake_fits(&in->in, bytes.len) && may_route(in) &&
	    (r = inlet_route(in)) == ERR_BAD)
		return r;
	in->unused += bytes.len;
	if ((r = intake_put(&in->in, bytes)) == OK && in->waiter.on != NULL)
		advance(in);
	return r;
}

bool
inlet_is_cut(const struct inlet *in)
{
	return intake_is_cut(&in->in);
}

bool
inlet_is_awaited(const struct inlet *in)
{
	return !in->fin_came && inlet_is_cut(in) &&
	       in->unused < first_window(in) + in->window;
}
