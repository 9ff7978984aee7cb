/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/notify.h"

#define TEXT_MAX 512

/* "/path", or "@name" of an abstract socket; ERR_BAD: neither. */
static int
address(const char *text, struct sockaddr_un *sun, socklen_t *len)
{
	size_t n = strlen(text);

	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((text[0] != '/' && text[0] != '@') || n < 2 ||
	    n >= sizeof(sun->sun_path))
		return ERR_BAD;
	memcpy(sun->sun_path, text, n);
	if (text[0] == '@')
		sun->sun_path[0] = '\0';
	/* An abstract name ends where its length says; a NUL would count. */
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
			   (text[0] == '/'));
	return OK;
}

static void
tell(const struct notify *n, const char *text)
{
	ssize_t r;

	if (n->fd < 0)
		return;
	/* Not connected: a manager that started anew has another socket. */
	do {
		r = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL,
		    (const struct sockaddr *)&n->to, n->len);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		log_sys("cannot notify the service manager");
}

void
notify_init(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*n = (struct notify){.fd = -1};
	if (name == NULL)
		return;
	if (address(name, &n->to, &n->len) != OK)
		log_error("cannot notify '%s': not the name of a socket", name);
	else if ((n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		log_sys("cannot notify the service manager");
	unsetenv("NOTIFY_SOCKET");
}

void
notify_fini(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void
notify_ready(const struct notify *n, const char *status)
{
	char text[TEXT_MAX];

	/* A second line would be another word to the manager. */
	snprintf(text, sizeof(text), "READY=1\nSTATUS=%.*s",
	    (int)strcspn(status, "\n"), status);
	tell(n, text);
}

void
notify_reloading(const struct notify *n)
{
	char text[TEXT_MAX];
	struct timespec ts;

	/* By the time the manager knows this reload from the one before. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
	tell(n, text);
}

void
notify_stopping(const struct notify *n)
{
	tell(n, "STOPPING=1");
}
