/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/file.h"

#define CHUNK 4096

/* Make room for at least one byte more and the NUL; keep no copy behind. */
static int
grow(struct tls_file *f, size_t *cap)
{
	uint8_t *p;

	if (f->len + 1 < *cap)
		return OK;
	if (f->len >= TLS_FILE_MAX)
		return ERR_LIMIT;
	if ((p = OPENSSL_clear_realloc(f->p, *cap, *cap * 2 + CHUNK)) == NULL)
		return ERR_NOMEM;
	f->p = p;
	*cap = *cap * 2 + CHUNK;
	return OK;
}

static int
read_all(int fd, struct tls_file *f)
{
	size_t cap = 0;
	ssize_t n;
	int r;

	do {
		if ((r = grow(f, &cap)) != OK)
			return r;
		n = read(fd, f->p + f->len, cap - f->len - 1);
		if (n > 0)
			f->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	f->p[f->len] = '\0';
	return n == 0 ? OK : ERR_SYS;
}

/* Fails as tls_file_read(), with errno in place of words. */
static int
slurp(const char *path, int flags, struct tls_file *out)
{
	struct tls_file f = {0};
	struct stat st;
	int fd, kept, r = ERR_SYS;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags)) < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERR_NONE : ERR_SYS;
	if (fstat(fd, &st) == 0)
		r = read_all(fd, &f);
	kept = errno;
	close(fd);
	errno = kept;
	if (r != OK) {
		tls_file_fini(&f);
		return r;
	}
	f.owner = st.st_uid;
	f.mode = st.st_mode;
	*out = f;
	return OK;
}

int
tls_file_read(const char *path, struct tls_file *out)
{
	int r = slurp(path, 0, out);

	if (r == ERR_SYS)
		log_sys("cannot read '%s'", path);
	else if (r == ERR_LIMIT)
		log_error("'%s' is too long for a key or certificate", path);
	return r;
}

int
tls_file_peek(const char *path, struct tls_file *out)
{
	/* A pipe in its place, which never says a word, must not stop us. */
	int r = slurp(path, O_NONBLOCK, out);

	return r == OK || r == ERR_NOMEM ? r : ERR_NONE;
}

void
tls_file_fini(struct tls_file *f)
{
	OPENSSL_clear_free(f->p, f->len);
	*f = (struct tls_file){0};
}

static int
write_all(int fd, struct view bytes)
{
	ssize_t n;

	while (bytes.len > 0) {
		n = write(fd, bytes.p, bytes.len);
		if (n < 0 && errno != EINTR)
			return ERR_SYS;
		if (n > 0)
			view_skip(&bytes, (size_t)n);
	}
	return OK;
}

/* Put bytes into a new file beside path, whose name replaces tmp's X's. */
static int
write_beside(char *tmp, mode_t mode, struct view bytes)
{
	int fd, kept, r;

	if ((fd = mkostemp(tmp, O_CLOEXEC)) < 0)
		return ERR_SYS;
	r = write_all(fd, bytes);
	/* Not left to umask: others must be able to read a certificate. */
	if (r == OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		r = ERR_SYS;
	kept = errno;
	/* Some file systems say only now that they are full. */
	if (close(fd) != 0 && r == OK) {
		kept = errno;
		r = ERR_SYS;
	}
	if (r != OK)
		unlink(tmp);
	errno = kept;
	return r;
}

/* Give tmp the name path unless that is taken; either way tmp goes. */
static int
publish_first(const char *tmp, const char *path)
{
	int kept, r;

	r = link(tmp, path);
	/* Not every file system has links. */
	if (r != 0 && errno != EEXIST &&
	    renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return OK;
	kept = errno;
	unlink(tmp);
	errno = kept;
	return r == 0 || errno == EEXIST ? OK : ERR_SYS;
}

static int
publish_last(const char *tmp, const char *path)
{
	int kept;

	if (rename(tmp, path) == 0)
		return OK;
	kept = errno;
	unlink(tmp);
	errno = kept;
	return ERR_SYS;
}

/* A name survives a power cut only when its folder has been synced, too.  Not
 * every file system can: the file is whole in any case. */
static void
sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, n = slash != NULL ? (int)(slash - path) : 0;

	snprintf(folder, sizeof(folder), "%.*s/", n, path);
	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static int
store(const char *path, mode_t mode, struct view bytes,
    int (*publish)(const char *tmp, const char *path))
{
	char tmp[PATH_MAX];
	int n, r = ERR_SYS;

	n = snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(tmp))
		errno = ENAMETOOLONG;
	else if ((r = write_beside(tmp, mode, bytes)) == OK)
		r = publish(tmp, path);
	if (r != OK)
		log_sys("cannot write '%s'", path);
	else
		sync_folder(path);
	return r;
}

int
tls_file_create(const char *path, mode_t mode, struct view bytes)
{
	return store(path, mode, bytes, publish_first);
}

int
tls_file_replace(const char *path, mode_t mode, struct view bytes)
{
	return store(path, mode, bytes, publish_last);
}
