/* SPDX-License-Identifier: ISC */
/* The folder where certificate and keys outlive the process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/file.h"
#include "tls/state.h"

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

/* Write the name of the folder; false: there is none, or it is too long. */
static bool
find(char out[PATH_MAX])
{
	const char *v;
	int n;

	if ((v = env("STATE_DIRECTORY")) != NULL)
		/* systemd lists all it made; the first is the unit's own. */
		n = snprintf(out, PATH_MAX, "%.*s", (int)strcspn(v, ":"), v);
	else if (geteuid() == 0)
		n = snprintf(out, PATH_MAX, "%s", TLS_STATE_SYSTEM);
	else if ((v = env("XDG_STATE_HOME")) != NULL && v[0] == '/')
		n = snprintf(out, PATH_MAX, "%s/yomo", v);
	else if ((v = env("HOME")) != NULL)
		n = snprintf(out, PATH_MAX, "%s/.local/state/yomo", v);
	else
		n = 0;
	return n > 0 && n < PATH_MAX;
}

/* Make one folder, if it is not there. */
static int
make_one(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0) {
		/* Not left to umask: clients must get at root's folder. */
		return chmod(path, mode) == 0 ? OK : ERR_SYS;
	}
	return errno == EEXIST ? OK : ERR_SYS;
}

static int
make_all(const char *path)
{
	mode_t mode = strcmp(path, TLS_STATE_SYSTEM) == 0 ? 0755 : 0700;
	char part[PATH_MAX];
	struct stat st;
	size_t i;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return OK;
	snprintf(part, sizeof(part), "%s", path);
	for (i = 1; part[i] != '\0'; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		/* What cannot be made shows in the last one. */
		if (access(part, F_OK) != 0)
			make_one(part, mode);
		part[i] = '/';
	}
	if (make_one(path, mode) == OK)
		return OK;
	log_sys("cannot make the folder '%s'", path);
	return ERR_SYS;
}

int
tls_state_dir(bool make, const char **out)
{
	static char path[PATH_MAX];

	if (!find(path)) {
		if (make)
			log_error("cannot tell the folder for state: neither "
				  "STATE_DIRECTORY nor HOME is set");
		return ERR_SYS;
	}
	if (make && make_all(path) != OK)
		return ERR_SYS;
	*out = path;
	return OK;
}

int
tls_state_path(bool make, const char *name, char out[PATH_MAX])
{
	const char *dir;
	int n, r;

	if ((r = tls_state_dir(make, &dir)) != OK)
		return r;
	n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
	if (n > 0 && n < PATH_MAX)
		return OK;
	log_error("name too long: '%s/%s'", dir, name);
	return ERR_SYS;
}

int
tls_state_secret(const char *path, struct tls_file *out)
{
	struct tls_file f;
	int r;

	if ((r = tls_file_read(path, &f)) != OK)
		return r;
	if (f.owner != 0 && f.owner != geteuid()) {
		log_error("refusing '%s': it belongs to another user", path);
		r = ERR_BAD;
	} else if ((f.mode & S_IRWXO) != 0) {
		log_error("refusing '%s': others may read it; chmod 600 it, "
			  "or remove it to have a new one made",
		    path);
		r = ERR_BAD;
	}
	if (r == OK)
		*out = f;
	else
		tls_file_fini(&f);
	return r;
}

/* Take the key from the file at path; ERR_NONE: there is no file. */
static int
load_key(const char *path, uint8_t *key, size_t n)
{
	struct tls_file f;
	int r;

	if ((r = tls_state_secret(path, &f)) != OK)
		return r;
	if (f.len == n) {
		memcpy(key, f.p, n);
	} else {
		log_error("'%s' holds %zu bytes instead of %zu: remove it to "
			  "have a new one made",
		    path, f.len, n);
		r = ERR_BAD;
	}
	tls_file_fini(&f);
	return r;
}

/* What was made first holds: two programs that start together agree. */
static int
make_key(const char *path, uint8_t *key, size_t n)
{
	int r;

	if ((r = tls_file_create(path, 0600, (struct view){key, n})) != OK)
		return r;
	r = load_key(path, key, n);
	return r == ERR_NONE ? ERR_SYS : r;
}

int
tls_state_key(const char *name, uint8_t *key, size_t n)
{
	static bool said;
	char path[PATH_MAX];
	uint8_t *fresh;
	int r;

	if ((r = tls_state_path(true, name, path)) == OK)
		r = load_key(path, key, n);
	if (r != ERR_NONE && r != ERR_SYS)
		return r;

	if ((fresh = OPENSSL_malloc(n)) == NULL)
		return ERR_NOMEM;
	if (RAND_priv_bytes_ex(NULL, fresh, n, 0) != 1) {
		tls_log("cannot make a random key");
		OPENSSL_clear_free(fresh, n);
		return ERR_TLS;
	}
	if (r == ERR_NONE)
		r = make_key(path, fresh, n);
	if (r == ERR_SYS && !said) {
		log_info("keys last only as long as this process");
		said = true;
	}
	if (r == ERR_SYS)
		r = OK;
	if (r == OK)
		memcpy(key, fresh, n);
	OPENSSL_clear_free(fresh, n);
	return r;
}
