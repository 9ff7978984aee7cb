/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/log.h"

/* Say what is wrong with a secret's length. */
static int
check_len(size_t len, const char *where)
{
	if (len > 0 && len <= SECRET_MAX)
		return OK;
	if (len == 0)
		log_error("the secret in '%s' is empty", where);
	else
		log_error(
		    "the secret in '%s' is over %u bytes", where, SECRET_MAX);
	return ERR_BAD;
}

/* Read to the end, or until it is plainly too long. */
static int
read_all(int fd, struct secret *s)
{
	ssize_t n;

	do {
		n = read(fd, s->p + s->len, SECRET_MAX + 1 - s->len);
		if (n > 0)
			s->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? OK : ERR_SYS;
}

/* Read into s->p, which has room for SECRET_MAX + 1 bytes. */
static int
read_private(struct secret *s, const char *path)
{
	int fd, r = ERR_SYS;
	struct stat st;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0) {
		log_sys("cannot open '%s'", path);
		return ERR_SYS;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IRWXO) != 0) {
		log_error(
		    "refusing '%s': others may read it; chmod 600 it", path);
		r = ERR_BAD;
	} else if ((r = read_all(fd, s)) != OK) {
		log_sys("cannot read '%s'", path);
	}
	close(fd);
	return r;
}

static int
from_bytes(struct secret *s, const void *p, size_t len)
{
	if ((s->p = sodium_malloc(len)) == NULL)
		return ERR_NOMEM;
	memcpy(s->p, p, len);
	s->len = len;
	return OK;
}

static int
from_file(struct secret *s, const char *path)
{
	struct secret all = {0};
	int r;

	if ((all.p = sodium_malloc(SECRET_MAX + 1)) == NULL)
		return ERR_NOMEM;
	if ((r = read_private(&all, path)) == OK) {
		/* An editor's newline is not part of what is in a file. */
		if (all.len > 0 && all.p[all.len - 1] == '\n')
			all.len--;
		r = check_len(all.len, path);
	}
	/* Locked memory is scarce: keep no more of it than is needed. */
	if (r == OK)
		r = from_bytes(s, all.p, all.len);
	secret_fini(&all);
	return r;
}

int
secret_take(struct secret *out, char *text)
{
	struct secret s = {0};
	size_t len = strlen(text);
	int r;

	if (text[0] == '@')
		r = from_file(&s, text + 1);
	else if ((r = check_len(len, "argument")) == OK)
		r = from_bytes(&s, text, len);
	sodium_memzero(text, len);
	if (r == OK)
		*out = s;
	return r;
}

void
secret_fini(struct secret *s)
{
	sodium_free(s->p); /* wipes */
	*s = (struct secret){0};
}
