/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "ends.h"

#define NOBODY 65534

bool
ends_pipe(struct ends *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	*e = (struct ends){fds[0], fds[1]};
	return true;
}

bool
ends_socket(struct ends *e)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return false;
	*e = (struct ends){fds[0], fds[1]};
	return true;
}

bool
ends_fifo(struct ends *e)
{
	char folder[] = "/tmp/yomo-fifo-XXXXXX";
	char path[64];
	int both;

	if (mkdtemp(folder) == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/fifo", folder);
	if (mkfifo(path, 0600) != 0)
		return false;
	/* With it neither of the others waits to be opened. */
	both = open(path, O_RDWR | O_CLOEXEC);
	e->r = open(path, O_RDONLY | O_CLOEXEC);
	e->w = open(path, O_WRONLY | O_CLOEXEC);
	close(both);
	unlink(path);
	rmdir(folder);
	return e->r != -1 && e->w != -1;
}

static bool
open_terminal(int *tty, int *master)
{
	struct termios t;
	char name[64];

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master == -1 || grantpt(*master) != 0 || unlockpt(*master) != 0 ||
	    ptsname_r(*master, name, sizeof(name)) != 0)
		return false;
	*tty = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*tty == -1 || tcgetattr(*tty, &t) != 0)
		return false;
	cfmakeraw(&t);
	return tcsetattr(*tty, TCSANOW, &t) == 0;
}

bool
ends_tty_in(struct ends *e)
{
	return open_terminal(&e->r, &e->w);
}

bool
ends_tty_out(struct ends *e)
{
	return open_terminal(&e->w, &e->r);
}

void
ends_close(const struct ends *e)
{
	close(e->r);
	close(e->w);
}

void
ends_refuse(int fd)
{
	fchmod(fd, 0);
	setfsuid(NOBODY); /* root may open everything */
}

void
ends_allow(void)
{
	setfsuid(geteuid());
}

static bool
refuse_r(struct ends *e)
{
	ends_refuse(e->r);
	return true;
}

static bool
refuse_w(struct ends *e)
{
	ends_refuse(e->w);
	return true;
}

static bool
refused_pipe_in(struct ends *e)
{
	return ends_pipe(e) && refuse_r(e);
}

static bool
refused_tty_in(struct ends *e)
{
	return ends_tty_in(e) && refuse_r(e);
}

static bool
refused_pipe_out(struct ends *e)
{
	return ends_pipe(e) && refuse_w(e);
}

static bool
refused_tty_out(struct ends *e)
{
	return ends_tty_out(e) && refuse_w(e);
}

const struct ends_kind ends_in[ENDS_IN] = {
    {"pipe", ends_pipe, 0},
    {"socket", ends_socket, 0},
    {"fifo", ends_fifo, 0},
    {"terminal", ends_tty_in, 0},
    {"master of a terminal", ends_tty_out, 1},
    {"another user's pipe", refused_pipe_in, 1},
    {"another user's terminal", refused_tty_in, 1},
};

const struct ends_kind ends_out[ENDS_OUT] = {
    {"pipe", ends_pipe, 0},
    {"socket", ends_socket, 0},
    {"fifo", ends_fifo, 0},
    {"terminal", ends_tty_out, 0},
    {"another user's pipe", refused_pipe_out, 1},
    {"another user's terminal", refused_tty_out, 1},
};

int
ends_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2; /* "." and ".." */

	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}
