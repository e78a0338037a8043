/*
 * A directory for the files of one test, and files in it.
 */
#ifndef UNIT_TEMPDIR_H
#define UNIT_TEMPDIR_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define TEMPDIR_PATH 96

struct tempdir {
	char path[32];
	char file[TEMPDIR_PATH]; /* what tempdir_file() returned last */
};

static inline void
tempdir_make(struct tempdir *d)
{
	(void)snprintf(d->path, sizeof(d->path), "/tmp/unit-XXXXXX");
	assert_non_null(mkdtemp(d->path));
}

static inline const char *
tempdir_file(struct tempdir *d, const char *name)
{
	(void)snprintf(d->file, sizeof(d->file), "%s/%s", d->path, name);
	return d->file;
}

/* Write a file of that mode; its path is valid until the next call. */
static inline const char *
tempdir_write(struct tempdir *d, const char *name, const void *data,
    size_t len, mode_t mode)
{
	const char *path = tempdir_file(d, name);
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
	return path;
}

/* One level deep is enough here. */
static inline void
tempdir_remove(struct tempdir *d)
{
	struct dirent *e;
	DIR *dir = opendir(d->path);

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) != 0)
			assert_int_equal(unlinkat(dirfd(dir), e->d_name,
					     AT_REMOVEDIR), 0);
	}
	(void)closedir(dir);
	assert_int_equal(rmdir(d->path), 0);
}

/* What fn writes to standard error, NUL-terminated, into buf. */
static inline void
capture_stderr(void (*fn)(void *arg), void *arg, char *buf, size_t size)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(f);
	assert_true(saved >= 0);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	fn(arg);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	rewind(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	(void)fclose(f);
}

#endif /* UNIT_TEMPDIR_H */
