/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "base/log.h"
#include "conf/exit.h"
#include "follow.h"

bool
follow_mark(const struct follow *f, const void *from,
    const struct framing_msg *m, struct session_mark *out)
{
	return (f->from == NULL || f->from == from) &&
	       session_mark_of(m->meta, out) == OK;
}

void
follow_take(struct follow *f, const void *from, uint32_t tag,
    const struct session_mark *mark, uint64_t now)
{
	session_take(&f->reader, tag, mark);
	if (f->reader.state == SESSION_AWAITED)
		return;
	f->from = from;
	f->heard_at = now;
	f->held = false;
}

void
follow_gap(struct follow *f, const void *from, const struct gap_frame *g)
{
	if (f->from == from)
		session_gap(&f->reader, g->tag, g->messages);
}

void
follow_lost(struct follow *f, const void *from)
{
	if (f->from == from)
		session_abandon(&f->reader, SESSION_UNLINKED);
}

uint64_t
follow_watch(struct follow *f, uint64_t idle_ns, uint64_t now)
{
	if (f->held || f->reader.state != SESSION_OPEN)
		f->heard_at = now;
	if (now - f->heard_at < idle_ns)
		return f->heard_at + idle_ns;
	session_abandon(&f->reader, SESSION_IDLE);
	return 0;
}

int
follow_status(struct follow *f)
{
	char why[SESSION_TEXT];

	if (f->reader.state == SESSION_WHOLE)
		return EXIT_OK;
	if (!f->told) {
		session_why(&f->reader, why);
		log_error("%s", why);
	}
	f->told = true;
	return EXIT_LOST;
}

bool
follow_is_end(const struct framing_msg *m)
{
	struct session_mark mark;

	return m->payload.len == 0 && session_mark_of(m->meta, &mark) == OK &&
	       mark.end != SESSION_GOES_ON;
}
