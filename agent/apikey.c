#include "config.h"

#include "apikey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

#define DEFAULT_PATH "/etc/qapi-agent/api-key"

struct place {
	char *path;
	bool credential;	/* below $CREDENTIALS_DIRECTORY */
	char *why;
	size_t why_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct place *at, int r, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(at->why, at->why_size, "%s: %s", at->path, text);
	return r;
}

static bool
is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len > 0 && strncmp(path, dir, len) == 0 && path[len] == '/' &&
	    strstr(path, "/../") == NULL;
}

/* Which file: at->path is allocated then. */
static int
find(const char *path, struct place *at)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	if (path == NULL && dir != NULL && dir[0] == '/') {
		if (asprintf(&at->path, "%s/api-key", dir) < 0) {
			at->path = NULL;
			return ERR_NOMEM;
		}
		if (access(at->path, F_OK) == 0) {
			at->credential = true;
			return 0;
		}
		free(at->path);
	}
	at->path = strdup(path != NULL ? path : DEFAULT_PATH);
	if (at->path == NULL)
		return ERR_NOMEM;
	at->credential = dir != NULL && is_below(at->path, dir);
	return 0;
}

/*
 * A credential that the service manager handed over with an access control
 * list shows the list's mask, r--, as the group's bits: 0440 is what it made.
 */
static int
check(const struct place *at, int fd)
{
	mode_t forbidden = S_IRWXG | S_IRWXO;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(at, ERR_INTERNAL, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(at, ERR_DENIED, "is no regular file: put the API "
					    "key into a file of its own");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(at, ERR_DENIED, "belongs to uid %u: chown it to "
					    "root or to the agent's user",
		    (unsigned int)st.st_uid);
	if (at->credential && st.st_uid == 0)
		forbidden &= ~(mode_t)S_IRGRP;
	if ((st.st_mode & forbidden) != 0)
		return fail(at, ERR_DENIED, "others can access it (mode %04o): "
					    "chmod 0600, and replace the key "
					    "if anyone else could have read it",
		    (unsigned int)(st.st_mode & 07777));
	if (st.st_size > APIKEY_MAX)
		return fail(at, ERR_BAD_REQUEST, "is larger than %d bytes: it "
						 "holds the API key and no "
						 "more", APIKEY_MAX);
	return 0;
}

/* The whole file into buf, which has room for one byte more than allowed. */
static int
read_all(const struct place *at, int fd, struct secmem *buf, size_t *ret_len)
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
	return fail(at, ERR_BAD_REQUEST, "is larger than %d bytes", APIKEY_MAX);
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Never quotes what it found: that may be a key. */
static int
trim(const struct place *at, const struct secmem *buf, size_t len,
    struct secmem *ret_key)
{
	const uint8_t *p = secmem_bytes(buf);
	size_t i;

	while (len > 0 && is_blank(p[len - 1]))
		len--;
	while (len > 0 && is_blank(*p)) {
		p++;
		len--;
	}
	if (len == 0)
		return fail(at, ERR_BAD_REQUEST, "is empty: write the API key "
						 "into it");
	for (i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return fail(at, ERR_BAD_REQUEST,
			    "has a blank, a line break or a byte that is not "
			    "ASCII within the key: it holds one API key and "
			    "no more");
	}
	if (secmem_copy(ret_key, p, len, SECMEM_LIBRARY) != 0)
		return fail(at, ERR_NOMEM, "no secret memory left");
	return 0;
}

/* O_NONBLOCK: a FIFO is refused by check(), not waited for. */
static int
open_file(const struct place *at, int *ret_fd)
{
	int fd;

	fd = open(at->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		return fail(at, ERR_NOT_FOUND, "no such file: write the API "
					       "key there, or name its file "
					       "with api-key-file=");
	return fail(at, ERR_DENIED, "cannot open it: %s", strerror(errno));
}

int
apikey_read(const char *path, struct secmem *ret_key, char *why,
    size_t why_size)
{
	struct place at = {.why = why, .why_size = why_size};
	struct secmem buf = {0};
	size_t len = 0;
	int fd = -1;
	int r;

	if ((r = find(path, &at)) != 0) {
		(void)snprintf(why, why_size, "API key: out of memory");
		return r;
	}
	if ((r = open_file(&at, &fd)) != 0 || (r = check(&at, fd)) != 0)
		goto out;
	if (secmem_alloc(&buf, APIKEY_MAX + 1, SECMEM_LIBRARY) != 0) {
		r = fail(&at, ERR_NOMEM, "no secret memory left");
		goto out;
	}
	if ((r = read_all(&at, fd, &buf, &len)) == 0)
		r = trim(&at, &buf, len, ret_key);
out:
	secmem_free_bytes(&buf);
	if (fd >= 0)
		(void)close(fd);
	free(at.path);
	return r;
}

void
apikey_stamp(const char *path, struct apikey_stamp *ret_stamp)
{
	char why[1];
	struct place at = {.why = why, .why_size = sizeof(why)};
	struct stat st;

	*ret_stamp = (struct apikey_stamp){.exists = false};
	if (find(path, &at) != 0)
		return;
	if (stat(at.path, &st) == 0)
		*ret_stamp = (struct apikey_stamp){
			.exists = true,
			.dev = st.st_dev,
			.ino = st.st_ino,
			.size = st.st_size,
			.mtime = st.st_mtim,
			.ctime = st.st_ctim,
		};
	free(at.path);
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
apikey_stamp_equal(const struct apikey_stamp *a, const struct apikey_stamp *b)
{
	return a->exists == b->exists && a->dev == b->dev &&
	    a->ino == b->ino && a->size == b->size &&
	    same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}
