/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "net/progress.h"

#define NS_PER_S 1000000000ull
#define SIZE_TEXT 16

static const char *
size_text(uint64_t bytes, char out[SIZE_TEXT])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1024 && i < sizeof(unit) / sizeof(*unit) - 1) {
		n /= 1024;
		i++;
	}
	snprintf(out, SIZE_TEXT, i == 0 ? "%.0f %s" : "%.1f %s", n, unit[i]);
	return out;
}

static void
show(const struct progress *p, uint64_t s, uint64_t rate)
{
	char line[160], size[SIZE_TEXT];
	ssize_t ignored;
	int n;

	n = snprintf(line, sizeof(line),
	    "%s%" PRIu64 " messages, %s, %" PRIu64 "/s, %" PRIu64 ":%02" PRIu64
	    "%s",
	    p->terminal ? "\r" : "", *p->messages, size_text(*p->bytes, size),
	    rate, s / 60, s % 60, p->terminal ? "   " : "\n");
	ignored = write(STDERR_FILENO, line, (size_t)n);
	(void)ignored;
}

static uint64_t
elapsed_s(const struct progress *p)
{
	return (loop_clock() - p->began) / NS_PER_S;
}

static void
on_second(void *arg)
{
	struct progress *p = arg;

	show(p, elapsed_s(p), *p->messages - p->messages_before);
	p->messages_before = *p->messages;
	timer_set(p->loop, &p->timer, p->timer.at + NS_PER_S);
}

int
progress_open(struct progress *p, struct loop *l, bool wanted,
    const uint64_t *messages, const uint64_t *bytes)
{
	*p = (struct progress){
	    .loop = l,
	    .timer = {.fn = on_second, .arg = p},
	    .messages = messages,
	    .bytes = bytes,
	    .began = loop_clock(),
	    .wanted = wanted,
	    .terminal = isatty(STDERR_FILENO) != 0,
	};
	return wanted ? timer_set(l, &p->timer, p->began + NS_PER_S) : OK;
}

void
progress_close(struct progress *p)
{
	uint64_t s;

	if (p->loop == NULL)
		return;
	timer_stop(p->loop, &p->timer);
	if (!p->wanted)
		return;
	s = elapsed_s(p);
	show(p, s, s > 0 ? *p->messages / s : *p->messages);
	if (p->terminal && write(STDERR_FILENO, "\n", 1) < 0)
		return;
}
