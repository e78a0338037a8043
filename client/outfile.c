#include "config.h"

#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out.h"

#define TEMP_NAME ".qapi-agent.XXXXXX"

struct outfile {
	char *path;		/* owned */
	char *dir;		/* owned; where path is */
	char *temp;		/* owned; exists unless NULL */
	int fd;
	bool direct;		/* no file of ours: a device or FIFO */
	bool nameless;		/* until it is complete */
	bool masked;		/* old_mask has to be put back */
	sigset_t old_mask;
};

static void
hold_signals(struct outfile *f)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGXFSZ);
	f->masked = sigprocmask(SIG_BLOCK, &set, &f->old_mask) == 0;
}

/* The directory part of path, "." if there is none. */
static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	if (slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

/* A new file of mode 0600 that nobody else can have opened. */
static int
open_temp(struct outfile *f, mode_t mode, uid_t uid, gid_t gid)
{
	if (asprintf(&f->temp, "%s/" TEMP_NAME, f->dir) == -1) {
		f->temp = NULL;
		return -1;
	}
	f->fd = mkostemp(f->temp, O_CLOEXEC);
	if (f->fd == -1) {
		free(f->temp);
		f->temp = NULL;
		return -1;
	}
	/* The owner first: fchown(2) takes away set-ID bits of the mode. */
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
	    fchown(f->fd, uid, gid) == -1)
		return -1;
	return fchmod(f->fd, mode);
}

/* The same without a name so far.  -1: not here. */
static int
open_nameless(struct outfile *f, mode_t mode)
{
	f->fd = open(f->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (f->fd == -1)
		return -1;
	f->nameless = true;
	return fchmod(f->fd, mode);
}

/* Give it the name of a temporary file: link(2) replaces nothing. */
static int
give_name(struct outfile *f)
{
	char from[32];
	unsigned int i;
	int r = -1, saved;

	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
	hold_signals(f);
	for (i = 0; i < 100 && r == -1; i++) {
		if (asprintf(&f->temp, "%s/.qapi-agent.%ld.%u", f->dir,
			(long)getpid(), i) == -1) {
			f->temp = NULL;
			return -1;
		}
		r = linkat(AT_FDCWD, from, AT_FDCWD, f->temp,
		    AT_SYMLINK_FOLLOW);
		if (r == 0)
			break;
		saved = errno;
		free(f->temp);
		f->temp = NULL;
		errno = saved;
		if (errno != EEXIST)
			break;
	}
	f->nameless = false;
	return r;
}

static int
open_device(struct outfile *f)
{
	f->fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return f->fd == -1 ? -1 : 0;
}

static int
begin(const char *path, bool slow, mode_t mode, uid_t uid, gid_t gid,
    struct outfile **ret)
{
	struct outfile *f = calloc(1, sizeof(*f));
	struct stat st;
	bool exists;

	if (f == NULL)
		return -1;
	f->fd = -1;
	f->path = strdup(path);
	f->dir = dir_of(path);
	if (f->path == NULL || f->dir == NULL)
		goto fail;
	exists = stat(path, &st) == 0;
	if (*path == '\0' || path[strlen(path) - 1] == '/' ||
	    (exists && S_ISDIR(st.st_mode))) {
		errno = *path == '\0' ? ENOENT : EISDIR;
		goto fail;
	}
	f->direct = exists && !S_ISREG(st.st_mode);
	if (f->direct) {
		if (open_device(f) == -1)
			goto fail;
	} else if (!slow || open_nameless(f, mode) == -1) {
		hold_signals(f);
		if (open_temp(f, mode, uid, gid) == -1)
			goto fail;
	}
	*ret = f;
	return 0;
fail:
	outfile_free(&f);
	return -1;
}

int
outfile_new(const char *path, mode_t mode, uid_t uid, gid_t gid,
    struct outfile **ret)
{
	return begin(path, false, mode, uid, gid, ret);
}

int
outfile_new_slow(const char *path, mode_t mode, struct outfile **ret)
{
	return begin(path, true, mode, (uid_t)-1, (gid_t)-1, ret);
}

int
outfile_write(struct outfile *f, const void *p, size_t len)
{
	return out_write_all(f->fd, p, len);
}

/* So that the name survives a crash too; what cannot do it is let be. */
static int
sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd == -1)
		return errno == EACCES ? 0 : -1;
	r = fsync(fd);
	if (r == -1 && (errno == EINVAL || errno == EROFS))
		r = 0;
	(void)close(fd);
	return r;
}

int
outfile_commit(struct outfile *f)
{
	int r;

	if (f->direct) {
		r = close(f->fd);
		f->fd = -1;
		return r;
	}
	if (fsync(f->fd) == -1 || (f->nameless && give_name(f) == -1))
		return -1;
	r = close(f->fd);
	f->fd = -1;
	if (r == -1 || rename(f->temp, f->path) == -1)
		return -1;
	free(f->temp);
	f->temp = NULL;
	return sync_dir(f->dir);
}

void
outfile_free(struct outfile **pf)
{
	struct outfile *f = *pf;
	int saved = errno;

	if (f == NULL)
		return;
	if (f->fd != -1)
		(void)close(f->fd);
	if (f->temp != NULL)
		(void)unlink(f->temp);
	if (f->masked)
		(void)sigprocmask(SIG_SETMASK, &f->old_mask, NULL);
	free(f->temp);
	free(f->dir);
	free(f->path);
	free(f);
	*pf = NULL;
	errno = saved;
}
