#include "config.h"

#include "listener_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "err.h"
#include "listener.h"
#include "listener_inet.h"
#include "policy_who.h"

struct attempt {
	const struct listener_config *cfg;
	struct sockaddr_un addr;
	char *why;
	size_t why_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct attempt *at, int r, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(at->why, at->why_size, "%s: %s", at->cfg->path, text);
	return r;
}

/* What a failed system call means to the caller. */
static int
fail_errno(const struct attempt *at, const char *what)
{
	int r = ERR_DENIED;

	if (errno == ENOENT || errno == ENOTDIR)
		r = ERR_NOT_FOUND;
	else if (errno == ENOMEM || errno == EMFILE || errno == ENFILE ||
	    errno == ENOBUFS)
		r = ERR_NOMEM;
	return fail(at, r, "%s: %s", what, strerror(errno));
}

static int
set_address(struct attempt *at)
{
	size_t len = strlen(at->cfg->path);

	if (at->cfg->path[0] != '/')
		return fail(at, ERR_BAD_REQUEST,
		    "the path of a socket must be absolute");
	if (len >= sizeof(at->addr.sun_path))
		return fail(at, ERR_BAD_REQUEST,
		    "the path has %zu bytes, a socket's has at most %zu: "
		    "choose a shorter one", len,
		    sizeof(at->addr.sun_path) - 1);
	at->addr.sun_family = AF_UNIX;
	memcpy(at->addr.sun_path, at->cfg->path, len + 1);
	return 0;
}

/* --- inherited --- */

#ifdef HAVE_SYSTEMD
static bool
is_wanted(const struct listener_config *cfg, int fd, const char *name)
{
	if (cfg->fd_name != NULL) {
		if (name == NULL || strcmp(name, cfg->fd_name) != 0)
			return false;
		return sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0;
	}
	return sd_is_socket_unix(fd, SOCK_STREAM, 1, cfg->path, 0) > 0;
}

/* -1 if there is none. */
static int
inherited(const struct listener_config *cfg)
{
	char **names = NULL;
	int found = -1;
	int flags;
	int n;
	int i;

	n = sd_listen_fds_with_names(0, &names);
	for (i = 0; i < n; i++) {
		if (found < 0 && is_wanted(cfg, SD_LISTEN_FDS_START + i,
				     names != NULL ? names[i] : NULL))
			found = SD_LISTEN_FDS_START + i;
		if (names != NULL)
			free(names[i]);
	}
	free(names);
	if (found < 0)
		return -1;
	flags = fcntl(found, F_GETFL);
	if (flags < 0 || fcntl(found, F_SETFL, flags | O_NONBLOCK) != 0)
		return -1;
	return found;
}
#else
static int
inherited(const struct listener_config *cfg)
{
	(void)cfg;
	return -1;
}
#endif

/* --- bound here --- */

/*
 * The directory of the socket is made if only it is missing, not its parents:
 * those are somebody's mistake in writing.
 */
static int
make_directory(const struct attempt *at)
{
	char dir[sizeof(at->addr.sun_path)];
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	char *slash;

	memcpy(dir, at->addr.sun_path, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, mode) != 0)
		return errno == EEXIST ? 0 :
		    fail_errno(at, "cannot make the directory of the socket");
	/* the umask may be stricter than what the clients need */
	if (chmod(dir, mode) != 0)
		return fail_errno(at, "chmod of the new directory");
	return 0;
}

/* Is the locked file still the one of that name? */
static bool
is_same_file(int fd, const char *path)
{
	struct stat a;
	struct stat b;

	return fstat(fd, &a) == 0 && lstat(path, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * The lock, not the socket, decides who serves here: two daemons that both
 * find a dead socket would else both replace it.  The file is removed at the
 * end, under the lock; who locked a removed one starts over.
 */
static int
lock(const struct attempt *at, struct listener_bind *b)
{
	int fd;
	int r;

	for (;;) {
		fd = open(b->lock_path,
		    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
			O_NONBLOCK, 0600);
		if (fd < 0)
			return fail_errno(at, "cannot make its lock file "
					      "(PATH.lock)");
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			r = errno == EWOULDBLOCK ?
			    fail(at, ERR_BUSY,
				"another qapi-agentd serves it: stop that "
				"one, or choose another path") :
			    fail_errno(at, "cannot lock PATH.lock");
			(void)close(fd);
			return r;
		}
		if (is_same_file(fd, b->lock_path)) {
			b->lock_fd = fd;
			return 0;
		}
		(void)close(fd);
	}
}

/* Does somebody accept connections there?  1, 0, or ERR_*. */
static int
is_live(const struct attempt *at)
{
	int fd;
	int r;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail_errno(at, "socket");
	r = connect(fd, (const struct sockaddr *)&at->addr, sizeof(at->addr));
	if (r == 0 || errno == EAGAIN || errno == EPROTOTYPE)
		r = 1; /* a full queue; a socket of another type */
	else if (errno == ECONNREFUSED || errno == ENOENT)
		r = 0;
	else
		r = fail_errno(at, "cannot tell if it is in use");
	(void)close(fd);
	return r;
}

static int
remove_stale(const struct attempt *at)
{
	struct stat st;
	int r;

	if (lstat(at->cfg->path, &st) != 0)
		return errno == ENOENT ? 0 : fail_errno(at, "lstat");
	if (!S_ISSOCK(st.st_mode))
		return fail(at, ERR_BAD_REQUEST,
		    "exists and is no socket: move it away, or choose another "
		    "path");
	r = is_live(at);
	if (r < 0)
		return r;
	if (r > 0)
		return fail(at, ERR_BUSY,
		    "another program listens there: stop it, or choose "
		    "another path");
	if (unlink(at->cfg->path) != 0 && errno != ENOENT)
		return fail_errno(at, "cannot remove the dead socket");
	return 0;
}

/*
 * Owner and mode are final before listen(2): until then connecting fails, so
 * nobody slips in between.
 */
static int
set_access(const struct attempt *at)
{
	const char *path = at->cfg->path;
	gid_t gid;
	int r;

	if (at->cfg->group != NULL) {
		r = policy_who_gid(at->cfg->group, &gid);
		if (r == ERR_NOMEM)
			return fail(at, r, "out of memory");
		if (r != 0)
			return fail(at, ERR_BAD_REQUEST,
			    "there is no group \"%.64s\"", at->cfg->group);
		if (lchown(path, (uid_t)-1, gid) != 0)
			return fail_errno(at, "cannot give it to its group "
					      "(only root can give it to one "
					      "the agent is not in)");
	}
	if (chmod(path, at->cfg->mode) != 0)
		return fail_errno(at, "chmod");
	return 0;
}

static int
bind_and_listen(const struct attempt *at, struct listener_bind *b)
{
	struct stat st;
	mode_t umask_before;
	int r;

	b->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->fd < 0)
		return fail_errno(at, "socket");
	umask_before = umask(0177);
	r = bind(b->fd, (const struct sockaddr *)&at->addr, sizeof(at->addr));
	(void)umask(umask_before);
	if (r != 0)
		return fail_errno(at, "bind");
	b->path = strdup(at->cfg->path);
	if (b->path == NULL) {
		(void)unlink(at->cfg->path);
		return fail(at, ERR_NOMEM, "out of memory");
	}
	if (lstat(b->path, &st) != 0)
		return fail_errno(at, "lstat");
	b->dev = st.st_dev;
	b->ino = st.st_ino;
	if ((r = set_access(at)) != 0)
		return r;
	return listen(b->fd, SOMAXCONN) != 0 ? fail_errno(at, "listen") : 0;
}

int
listener_bind(const struct listener_config *cfg, char *why, size_t why_size,
    struct listener_bind *ret)
{
	struct attempt at = {.cfg = cfg, .why = why, .why_size = why_size};
	struct listener_bind b = {.fd = -1, .lock_fd = -1};
	int r;

	if (cfg->is_address) {
		r = listener_inet_bind(cfg->path, why, why_size, &b.fd);
		if (r == 0)
			*ret = b;
		return r;
	}
	if ((b.fd = inherited(cfg)) >= 0) {
		b.inherited = true;
		*ret = b;
		return 0;
	}
	if ((r = set_address(&at)) != 0 || (r = make_directory(&at)) != 0)
		return r;
	if (asprintf(&b.lock_path, "%s.lock", cfg->path) < 0) {
		b.lock_path = NULL;
		return fail(&at, ERR_NOMEM, "out of memory");
	}
	if ((r = lock(&at, &b)) != 0 || (r = remove_stale(&at)) != 0 ||
	    (r = bind_and_listen(&at, &b)) != 0) {
		listener_unbind(&b);
		return r;
	}
	*ret = b;
	return 0;
}

/* Is what is at its path still the socket that was made here? */
static bool
is_in_place(const struct listener_bind *b, struct stat *ret_st)
{
	return lstat(b->path, ret_st) == 0 && ret_st->st_dev == b->dev &&
	    ret_st->st_ino == b->ino;
}

int
listener_bind_access(const struct listener_bind *b,
    const struct listener_config *cfg, char *why, size_t why_size)
{
	struct attempt at = {.cfg = cfg, .why = why, .why_size = why_size};
	struct stat before;
	int r;

	if (!is_in_place(b, &before))
		return fail(&at, ERR_NOT_FOUND,
		    "the agent's socket is not there any more: restart it");
	/* with no group, the one that a socket made now would have */
	if (cfg->group == NULL && before.st_gid != getegid() &&
	    lchown(b->path, (uid_t)-1, getegid()) != 0)
		return fail_errno(&at, "cannot take it from its group");
	r = set_access(&at);
	if (r != 0 && (lchown(b->path, (uid_t)-1, before.st_gid) != 0 ||
	    chmod(b->path, before.st_mode & 07777) != 0))
		return fail_errno(&at, "cannot give it back the access that "
		    "it had: restart the agent");
	return r;
}

void
listener_bind_remove(const struct listener_bind *b)
{
	struct stat st;

	if (b->path != NULL && is_in_place(b, &st))
		(void)unlink(b->path);
}

void
listener_unbind(struct listener_bind *b)
{
	listener_bind_remove(b);
	if (b->fd >= 0)
		(void)close(b->fd);
	if (b->lock_fd >= 0) {
		(void)unlink(b->lock_path);
		(void)close(b->lock_fd);
	}
	free(b->path);
	free(b->lock_path);
	*b = (struct listener_bind){.fd = -1, .lock_fd = -1};
}
