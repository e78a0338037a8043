#include "config.h"

#include "state_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

static int __attribute__((format(printf, 5, 6)))
fail(const char *path, char *why, size_t why_size, int r, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(why, why_size, "state-file: %s: %s", path, text);
	return r;
}

int
state_place_init(struct state_place *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	const char *name = slash == NULL ? path : slash + 1;

	memset(p, 0, sizeof(*p));
	p->dir_fd = p->lock_fd = -1;
	p->path = strdup(path);
	p->name = strdup(name);
	p->dir = slash == NULL ? strdup(".")
	    : len == 0 ? strdup("/") : strndup(path, len);
	if (asprintf(&p->tmp, "%s.tmp", name) < 0)
		p->tmp = NULL;
	if (asprintf(&p->bad, "%s.bad", name) < 0)
		p->bad = NULL;
	if (asprintf(&p->lock, "%s.lock", name) < 0)
		p->lock = NULL;
	if (p->path != NULL && p->name != NULL && p->dir != NULL &&
	    p->tmp != NULL && p->bad != NULL && p->lock != NULL)
		return 0;
	state_place_done(p);
	return ERR_NOMEM;
}

void
state_place_done(struct state_place *p)
{
	state_place_close(p);
	free(p->path);
	free(p->dir);
	free(p->name);
	free(p->tmp);
	free(p->bad);
	free(p->lock);
	memset(p, 0, sizeof(*p));
	p->dir_fd = p->lock_fd = -1;
}

/* --- the directory and the lock --- */

/*
 * Whoever may write to the directory can put an old snapshot back, or have
 * none, and in a sticky one take our temporary name.
 */
static int
check_dir(const struct state_place *p, int fd, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(p->dir, why, why_size, ERR_DENIED, "%s",
		    strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(p->dir, why, why_size, ERR_DENIED,
		    "the directory belongs to uid %u: chown it to root or to "
		    "the agent's user", (unsigned int)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return fail(p->dir, why, why_size, ERR_DENIED,
		    "others can write to the directory (mode %04o): chmod 0700",
		    (unsigned int)(st.st_mode & 07777));
	return 0;
}

static int
take_lock(struct state_place *p, int dir_fd, int *ret_fd, char *why,
    size_t why_size)
{
	int fd, r;

	fd = openat(dir_fd, p->lock, O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return fail(p->path, why, why_size, ERR_DENIED,
		    "cannot make its lock file (NAME.lock): %s",
		    strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = errno == EWOULDBLOCK
	    ? fail(p->path, why, why_size, ERR_BUSY, "another qapi-agentd "
		"uses it: give each a file of its own")
	    : fail(p->path, why, why_size, ERR_DENIED, "cannot lock "
		"NAME.lock: %s", strerror(errno));
	(void)close(fd);
	return r;
}

int
state_place_open(struct state_place *p, char *why, size_t why_size)
{
	int fd, r;

	if (p->dir_fd >= 0)
		return 0;
	fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(p->dir, why, why_size,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED,
		    "cannot open the directory: %s", strerror(errno));
	if ((r = check_dir(p, fd, why, why_size)) != 0 ||
	    (r = take_lock(p, fd, &p->lock_fd, why, why_size)) != 0) {
		(void)close(fd);
		return r;
	}
	p->dir_fd = fd;
	return 0;
}

void
state_place_close(struct state_place *p)
{
	if (p->lock_fd >= 0)
		(void)close(p->lock_fd);
	if (p->dir_fd >= 0)
		(void)close(p->dir_fd);
	p->lock_fd = p->dir_fd = -1;
}

/* --- the snapshot --- */

static int
check_file(const struct state_place *p, int fd, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(p->path, why, why_size, ERR_DENIED, "%s",
		    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(p->path, why, why_size, ERR_DENIED,
		    "is no regular file: name another one");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(p->path, why, why_size, ERR_DENIED,
		    "belongs to uid %u: chown it to root or to the agent's "
		    "user", (unsigned int)st.st_uid);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail(p->path, why, why_size, ERR_DENIED,
		    "others can access it (mode %04o): chmod 0600",
		    (unsigned int)(st.st_mode & 07777));
	return 0;
}

int
state_place_read(struct state_place *p, int *ret_fd, char *why,
    size_t why_size)
{
	int fd, r;

	fd = openat(p->dir_fd, p->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return ERR_NOT_FOUND;
	if (fd < 0 && errno == ELOOP)
		return fail(p->path, why, why_size, ERR_DENIED,
		    "is a symbolic link: name the file itself");
	if (fd < 0)
		return fail(p->path, why, why_size, ERR_DENIED,
		    "cannot open it: %s", strerror(errno));
	r = check_file(p, fd, why, why_size);
	if (r != 0) {
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int
state_place_set_aside(struct state_place *p)
{
	return renameat(p->dir_fd, p->name, p->dir_fd, p->bad) == 0
	    ? 0 : -errno;
}

/* What lies there is a leftover: the lock is ours. */
int
state_place_create(struct state_place *p)
{
	int fd;

	if (unlinkat(p->dir_fd, p->tmp, 0) != 0 && errno != ENOENT)
		return -errno;
	fd = openat(p->dir_fd, p->tmp, O_WRONLY | O_CREAT | O_EXCL |
	    O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fd : -errno;
}

/* Something else than a file in its place is somebody's, and is left alone. */
static int
check_target(const struct state_place *p)
{
	struct stat st;

	if (fstatat(p->dir_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(st.st_mode) ? 0 : S_ISLNK(st.st_mode) ? -ELOOP : -EEXIST;
}

int
state_place_commit(struct state_place *p, int fd)
{
	int r;

	if ((r = check_target(p)) != 0)
		return r;
	if (fsync(fd) != 0 ||
	    renameat(p->dir_fd, p->tmp, p->dir_fd, p->name) != 0 ||
	    fsync(p->dir_fd) != 0)
		return -errno;
	return 0;
}

void
state_place_abandon(struct state_place *p)
{
	(void)unlinkat(p->dir_fd, p->tmp, 0);
}
