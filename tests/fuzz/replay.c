/* SPDX-License-Identifier: ISC */
/*
 * main() for a fuzz target where libFuzzer is not: runs it on files, in TAP.
 *
 *   fuzz_y3 FILE...   on these
 *   fuzz_y3           on what tests/fuzz/corpus/y3 holds
 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "fuzz_"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static int
replay(const char *path)
{
	uint8_t *p = NULL;
	FILE *f = NULL;
	size_t len;
	long end;
	int r = -1;

	if ((f = fopen(path, "rb")) == NULL || fseek(f, 0, SEEK_END) != 0 ||
	    (end = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0)
		goto done;
	/* The exact size: reading past the end is then seen by sanitizers. */
	len = (size_t)end;
	if ((p = malloc(len)) == NULL && len > 0)
		goto done;
	if (fread(p, 1, len, f) == len) {
		LLVMFuzzerTestOneInput(p, len);
		r = 0;
	}
done:
	if (r != 0)
		perror(path);
	if (f != NULL)
		fclose(f);
	free(p);
	return r;
}

static int
is_input(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void
show(int fd)
{
	char text[4096];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, text, sizeof(text))) > 0)
		if (write(STDERR_FILENO, text, (size_t)n) != n)
			return;
}

/*
 * In a process of its own, so that the others run after one that crashes.  What
 * it says goes to log, and from there to stderr only if it fails.
 */
static int
replay_apart(const char *path, int log)
{
	pid_t child;
	int status;

	fflush(stdout);
	if ((child = fork()) == 0) {
		dup2(log, STDERR_FILENO);
		exit(replay(path) == 0 ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("fork");
		return -1;
	}
	if (status != 0) {
		fprintf(stderr, "%s: failed, and said:\n", path);
		show(log);
	}
	if (ftruncate(log, 0) != 0)
		perror("ftruncate");
	return status == 0 ? 0 : -1;
}

static int
replay_folder(const char *folder)
{
	struct dirent **list;
	int bad = 0, i, log, n;
	FILE *f;

	if (chdir(folder) != 0 ||
	    (n = scandir(".", &list, is_input, alphasort)) < 0) {
		printf("1..0 # skip no %s\n", folder);
		return 0;
	}
	if ((f = tmpfile()) == NULL) {
		perror("tmpfile");
		return -1;
	}
	/* Appending, else a child would go on where the last one ended. */
	log = fileno(f);
	fcntl(log, F_SETFL, O_APPEND);
	printf("1..%d\n", n);
	for (i = 0; i < n; i++) {
		if (replay_apart(list[i]->d_name, log) != 0) {
			printf("not ");
			bad = -1;
		}
		printf("ok %d - %s\n", i + 1, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	fclose(f);
	return bad;
}

int
main(int argc, char *argv[])
{
	const char *top = getenv("TOP"), *name = basename(argv[0]);
	char folder[PATH_MAX];
	int i, bad = 0;

	if (argc == 1) {
		if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
			name += strlen(PREFIX);
		snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
		    top != NULL ? top : ".", name);
		return replay_folder(folder) == 0 ? 0 : 1;
	}
	for (i = 1; i < argc; i++)
		bad |= replay(argv[i]);
	return bad == 0 ? 0 : 1;
}
