/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/child.h"

/* When the kernel will not tell the status. */
#define STATUS_UNKNOWN 255

struct child {
	struct loop *loop;
	pid_t pid; /* and process group; 0: not started, or reaped */
	int pidfd;
	struct watch *watch; /* on pidfd; NULL: it has exited */
	void (*exited)(void *arg, int status);
	void *arg;
};

/* The descriptors that a child will find as 0 and 1, and our ends of them. */
struct pipes {
	int child_in;
	int child_out;
	int in;
	int out;
};

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
close_pipes(struct pipes *p)
{
	close_fd(&p->child_in);
	close_fd(&p->child_out);
	close_fd(&p->in);
	close_fd(&p->out);
}

/* Both ends above 2: dup2(2) to 0 and 1 may then come in any order. */
static int
make_pipe(int *r, int *w)
{
	int fds[2], i, high;

	if (pipe2(fds, O_CLOEXEC) == -1) {
		log_sys("cannot create a pipe");
		return ERR_SYS;
	}
	for (i = 0; i < 2; i++) {
		if (fds[i] > STDERR_FILENO)
			continue;
		if ((high = fcntl(fds[i], F_DUPFD_CLOEXEC, 3)) == -1) {
			log_sys("cannot create a pipe");
			close(fds[0]);
			close(fds[1]);
			return ERR_SYS;
		}
		close(fds[i]);
		fds[i] = high;
	}
	*r = fds[0];
	*w = fds[1];
	return OK;
}

static int
make_pipes(struct pipes *p, const struct child_conf *conf)
{
	int r;

	if (conf->pipe_in && (r = make_pipe(&p->child_in, &p->in)) != OK)
		return r;
	if (conf->pipe_out && (r = make_pipe(&p->out, &p->child_out)) != OK)
		return r;
	return OK;
}

/* Which descriptors it has: 0, 1, 2, and none of those we were started with. */
static int
set_actions(posix_spawn_file_actions_t *a, const struct pipes *p)
{
	int err =
	    p->child_in != -1
		? posix_spawn_file_actions_adddup2(a, p->child_in, STDIN_FILENO)
		: posix_spawn_file_actions_addopen(
		      a, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (err == 0 && p->child_out != -1)
		err = posix_spawn_file_actions_adddup2(
		    a, p->child_out, STDOUT_FILENO);
	if (err == 0)
		err = posix_spawn_file_actions_addclosefrom_np(
		    a, STDERR_FILENO + 1);
	return err;
}

/* A process group of its own, all signals as they are by default, none held. */
static int
set_attributes(posix_spawnattr_t *a)
{
	sigset_t all, none;
	int err;

	sigfillset(&all);
	sigemptyset(&none);
	if ((err = posix_spawnattr_setpgroup(a, 0)) == 0 &&
	    (err = posix_spawnattr_setsigdefault(a, &all)) == 0 &&
	    (err = posix_spawnattr_setsigmask(a, &none)) == 0)
		err = posix_spawnattr_setflags(a, POSIX_SPAWN_SETPGROUP |
						      POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	return err;
}

static int
spawn(struct child *c, const struct child_conf *conf, const struct pipes *p)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int err;

	if ((err = posix_spawn_file_actions_init(&actions)) != 0)
		return err;
	if ((err = posix_spawnattr_init(&attr)) == 0) {
		if ((err = set_actions(&actions, p)) == 0 &&
		    (err = set_attributes(&attr)) == 0)
			err = posix_spawnp(&c->pid, conf->argv[0], &actions,
			    &attr, conf->argv, conf->envp);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

/*
 * Whoever started us may have left SIGCHLD ignored; then the kernel would reap
 * our children, and nobody learn how they ended.
 */
static void
keep_zombies(void)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) == 0 &&
	    (sa.sa_handler == SIG_IGN || (sa.sa_flags & SA_NOCLDWAIT))) {
		sa.sa_flags &= ~SA_NOCLDWAIT;
		if (sa.sa_handler == SIG_IGN)
			sa.sa_handler = SIG_DFL;
		sigaction(SIGCHLD, &sa, NULL);
	}
}

/* Wait for it; its status as a shell shows it. */
static int
reap(struct child *c)
{
	siginfo_t si = {0};
	int r;

	do
		r = waitid(P_PID, (id_t)c->pid, &si, WEXITED);
	while (r == -1 && errno == EINTR);
	if (r == -1)
		log_sys("cannot learn how process %d ended", (int)c->pid);
	c->pid = 0;
	if (r == -1)
		return STATUS_UNKNOWN;
	return si.si_code == CLD_EXITED ? si.si_status & 0xff
					: 128 + si.si_status;
}

static void
on_exited(void *arg, int events)
{
	struct child *c = arg;

	(void)events;
	watch_close(c->watch);
	c->watch = NULL;
	c->exited(c->arg, reap(c)); /* which may free it */
}

static int
watch_child(struct child *c)
{
	int r;

	if ((c->pidfd = pidfd_open(c->pid, 0)) == -1) {
		log_sys("cannot watch process %d", (int)c->pid);
		return ERR_SYS;
	}
	if ((r = watch_open(&c->watch, c->loop, c->pidfd, on_exited, c)) != OK)
		return r;
	watch_want(c->watch, WATCH_IN);
	return OK;
}

static int
start(struct child *c, const struct child_conf *conf, struct pipes *p)
{
	int err, r;

	if ((r = make_pipes(p, conf)) != OK)
		return r;
	keep_zombies();
	if ((err = spawn(c, conf, p)) != 0) {
		c->pid = 0;
		errno = err;
		log_sys("cannot start '%s'", conf->argv[0]);
		return err == ENOENT ? ERR_NONE : ERR_SYS;
	}
	return watch_child(c);
}

int
child_spawn(struct child **out, struct loop *l, const struct child_conf *conf,
    int *in, int *out_fd, void (*exited)(void *arg, int status), void *arg)
{
	struct pipes p = {-1, -1, -1, -1};
	struct child *c;
	int r;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ERR_NOMEM;
	c->loop = l;
	c->pidfd = -1;
	c->exited = exited;
	c->arg = arg;
	if ((r = start(c, conf, &p)) != OK) {
		close_pipes(&p);
		child_free(c);
		return r;
	}
	*in = p.in;
	*out_fd = p.out;
	*out = c;
	p.in = p.out = -1; /* the caller's now */
	close_pipes(&p);
	return OK;
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

void
child_kill(struct child *c, int signo)
{
	if (c->pid > 0 && kill(-c->pid, signo) == -1)
		log_debug("cannot signal process group %d: %s", (int)c->pid,
		    strerror(errno));
}

void
child_free(struct child *c)
{
	if (c == NULL)
		return;
	watch_close(c->watch);
	if (c->pid > 0) {
		child_kill(c, SIGKILL);
		reap(c);
	}
	close_fd(&c->pidfd);
	free(c);
}
