/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "net/notify.h"
#include "net/process.h"
#include "net/resolve.h"

/* A person needs longer to press a key twice. */
#define SAME_SIGNAL_NS 100000000u

/* Free memory that is kept for the next block. */
#define KEPT_BYTES (4 << 20)

static bool pipe_ignored;
static bool hup_ignored;
static struct notify manager = {.fd = -1};

static bool
is_ignored(int signo)
{
	struct sigaction old;

	return sigaction(signo, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

/* A socket that became descriptor 1 would be written to as output. */
static void
fill_standard_fds(void)
{
	/* To use what was closed is to fail, not to lose it in silence. */
	static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			open("/dev/null", modes[fd]); /* the lowest: fd */
}

void
process_begin(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	fill_standard_fds();
	pipe_ignored = is_ignored(SIGPIPE);
	hup_ignored = is_ignored(SIGHUP);
	sigaction(SIGPIPE, &ignore, NULL);
	notify_init(&manager);
	/*
	 * Blocks of messages come and go all the time: taken from the kernel
	 * and given back each time, they cost a page fault for every 4 KiB.
	 */
	mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

bool
process_has_output(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	return flags != -1 && (flags & O_ACCMODE) != O_RDONLY;
}

const int *
process_signals(void)
{
	static const int all[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP, 0};
	static const int but_hup[] = {SIGTERM, SIGINT, SIGUSR1, 0};

	return hup_ignored ? but_hup : all;
}

void
process_reloading(void)
{
	notify_reloading(&manager);
}

void
process_reloaded(void)
{
	notify_ready(&manager, "reloaded");
}

void
process_stopping(void)
{
	notify_stopping(&manager);
}

void
process_ready(int fd)
{
	notify_ready(&manager, "ready");
	if (fd < 0)
		return;
	/* Who waits may have gone away: that is its own business. */
	if (write(fd, "\n", 1) < 0 && errno != EPIPE)
		log_sys("cannot say that we are ready on descriptor %d", fd);
	if (fd > STDERR_FILENO)
		close(fd);
}

enum process_haste
process_wish(struct process_wish *w, int signo, uint64_t now_ns)
{
	bool first = w->signo == 0;

	w->signo = signo;
	if (first) {
		w->at = now_ns;
		return PROCESS_DRAIN;
	}
	return now_ns - w->at > SAME_SIGNAL_NS ? PROCESS_AT_ONCE
					       : PROCESS_THE_SAME;
}

_Noreturn void
process_exit(int status)
{
	if (resolve_is_stuck())
		_exit(status);
	exit(status);
}

_Noreturn void
process_end_by(int signo)
{
	struct sigaction fall = {.sa_handler = SIG_DFL};
	sigset_t set;

	sigaction(signo, &fall, NULL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(signo);
	_exit(128 + signo);
}

_Noreturn void
process_end_no_reader(void)
{
	if (pipe_ignored) {
		log_error("cannot write standard output: nobody reads it");
		exit(EX_IOERR);
	}
	process_end_by(SIGPIPE);
}
