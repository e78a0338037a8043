#include "config.h"

#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

struct attempt {
	const struct keyfile *f;
	char *why;
	size_t why_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct attempt *at, int r, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(at->why, at->why_size, "%s: %s", at->f->path, text);
	return r;
}

bool
keyfile_is_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t len = dir != NULL ? strlen(dir) : 0;

	return len > 0 && strncmp(path, dir, len) == 0 && path[len] == '/' &&
	    strstr(path, "/../") == NULL;
}

int
keyfile_credential(const char *name, char **ret_path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *path;

	if (dir == NULL || dir[0] != '/')
		return ERR_NOT_FOUND;
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return ERR_NOMEM;
	if (access(path, F_OK) != 0) {
		free(path);
		return ERR_NOT_FOUND;
	}
	*ret_path = path;
	return 0;
}

/*
 * A credential that the service manager handed over with an access control
 * list shows the list's mask, r--, as the group's bits: 0440 is what it made.
 */
static int
check(const struct attempt *at, int fd)
{
	mode_t forbidden = S_IRWXG | S_IRWXO;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(at, ERR_INTERNAL, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(at, ERR_DENIED, "is no regular file: put the %s "
		    "into a file of its own", at->f->what);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(at, ERR_DENIED, "belongs to uid %u: chown it to "
		    "root or to the agent's user", (unsigned int)st.st_uid);
	if (at->f->credential && st.st_uid == 0)
		forbidden &= ~(mode_t)S_IRGRP;
	if ((st.st_mode & forbidden) != 0)
		return fail(at, ERR_DENIED, "others can access it (mode %04o): "
		    "chmod 0600, and replace the key if anyone else could "
		    "have read it", (unsigned int)(st.st_mode & 07777));
	if ((uint64_t)st.st_size > at->f->max_bytes)
		return fail(at, ERR_BAD_REQUEST, "is larger than %zu bytes: "
		    "it holds the %s and no more", at->f->max_bytes,
		    at->f->what);
	return 0;
}

/* The whole file into buf, which has room for one byte more than allowed. */
static int
read_all(const struct attempt *at, int fd, struct secmem *buf,
    size_t *ret_len)
{
	uint8_t *p = secmem_writable(buf);
	size_t len = 0;
	ssize_t n;

	while (len < secmem_len(buf)) {
		n = read(fd, p + len, secmem_len(buf) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(at, ERR_DENIED, "%s", strerror(errno));
		if (n == 0) {
			*ret_len = len;
			return 0;
		}
		len += (size_t)n;
	}
	return fail(at, ERR_BAD_REQUEST, "is larger than %zu bytes",
	    at->f->max_bytes);
}

/* O_NONBLOCK: a FIFO is refused by check(), not waited for. */
static int
open_file(const struct attempt *at, int *ret_fd)
{
	int fd;

	fd = open(at->f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		return fail(at, ERR_NOT_FOUND, "no such file: write the %s "
		    "there, or name its file with %s=", at->f->what,
		    at->f->setting);
	return fail(at, ERR_DENIED, "cannot open it: %s", strerror(errno));
}

int
keyfile_read(const struct keyfile *f, struct secmem *ret_bytes, char *why,
    size_t why_size)
{
	const struct attempt at = {.f = f, .why = why, .why_size = why_size};
	struct secmem buf = {0};
	size_t len = 0;
	int fd = -1;
	int r;

	if ((r = open_file(&at, &fd)) != 0 || (r = check(&at, fd)) != 0)
		goto out;
	if (secmem_alloc(&buf, f->max_bytes + 1, SECMEM_LIBRARY) != 0) {
		r = fail(&at, ERR_NOMEM, "no secret memory left");
		goto out;
	}
	if ((r = read_all(&at, fd, &buf, &len)) == 0 &&
	    secmem_copy(ret_bytes, secmem_bytes(&buf), len,
		SECMEM_LIBRARY) != 0)
		r = fail(&at, ERR_NOMEM, "no secret memory left");
out:
	secmem_free_bytes(&buf);
	if (fd >= 0)
		(void)close(fd);
	return r;
}
