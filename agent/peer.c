#include "config.h"

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "peer_unit.h"

#ifndef SO_PEERPIDFD		/* Linux 6.5; Debian 12's headers are older */
#define SO_PEERPIDFD 77
#endif

#define GROUPS_FEW 32		/* most users are in fewer */
#define CGROUP_MAX 8192		/* bytes of /proc/PID/cgroup */
#define STATUS_MAX 1024		/* of /proc/PID/status, as far as Uid: */

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;		/* 0: not visible from here, or no process */
	int fd;			/* the socket; the connection's, -1: none */
	int pidfd;		/* -1: none, or to be had from fd again */
	bool http;
	bool sure;		/* the kernel gave the pidfd: no reuse of pid */
	bool unit_known;	/* looked up; unit may still be NULL */
	bool exe_known;
	char *unit;
	char *exe;
	size_t ngroups;
	gid_t groups[];		/* supplementary */
};

static struct peer *
alloc(size_t ngroups)
{
	struct peer *p;

	if (ngroups > NGROUPS_MAX)
		return NULL;
	p = calloc(1, sizeof(*p) + ngroups * sizeof(p->groups[0]));
	if (p == NULL)
		return NULL;
	p->fd = -1;
	p->pidfd = -1;
	p->ngroups = ngroups;
	return p;
}

/* With the supplementary groups of the moment of connect(2). */
static struct peer *
new_with_groups(int fd)
{
	gid_t few[GROUPS_FEW];
	socklen_t len = sizeof(few);
	struct peer *p;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len) == 0) {
		p = alloc(len / sizeof(gid_t));
		if (p != NULL)
			memcpy(p->groups, few, p->ngroups * sizeof(few[0]));
		return p;
	}
	/* they do not fit: len is what they take */
	if (errno != ERANGE)
		return NULL;
	p = alloc(len / sizeof(gid_t));
	if (p == NULL)
		return NULL;
	len = (socklen_t)(p->ngroups * sizeof(gid_t));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) == 0)
		return p;
	peer_free(p);
	return NULL;
}

/*
 * A pidfd as early as can be.  A kernel that gives one with the socket gives
 * the same whenever it is asked, so that needs no descriptor meanwhile.  Where
 * it has none to give, pidfd_open(2) may find another process that has the
 * number by now; same_user() below narrows that to processes of one user.
 */
static void
open_pidfd(struct peer *p, int fd)
{
	socklen_t len = sizeof(p->pidfd);

	p->fd = fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &p->pidfd, &len) == 0) {
		p->sure = true;
		(void)close(p->pidfd);
		p->pidfd = -1;
		return;
	}
	p->pidfd = -1;
	/* another error than "unknown option" means that it is gone */
	if (errno == ENOPROTOOPT && p->pid > 0)
		p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
}

static struct peer *
new_by_credentials(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct peer *p;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred) || cred.uid == (uid_t)-1)
		return NULL;
	p = new_with_groups(fd);
	if (p == NULL)
		return NULL;
	p->uid = cred.uid;
	p->gid = cred.gid;
	p->pid = cred.pid;
	return p;
}

struct peer *
peer_new(int fd)
{
	struct peer *p = new_by_credentials(fd);

	if (p != NULL)
		open_pidfd(p, fd);
	return p;
}

struct peer *
peer_new_quick(int fd)
{
	struct peer *p = new_by_credentials(fd);

	if (p != NULL) {
		p->fd = fd;
		p->sure = true;
	}
	return p;
}

bool
peer_asks_socket(const struct peer *p)
{
	return p->sure;
}

struct peer *
peer_new_fake(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
    const char *unit, const char *exe)
{
	struct peer *p;

	p = alloc(ngroups);
	if (p == NULL)
		return NULL;
	p->uid = uid;
	p->gid = gid;
	if (ngroups > 0)
		memcpy(p->groups, groups, ngroups * sizeof(groups[0]));
	p->unit_known = true;
	p->exe_known = true;
	if ((unit != NULL && (p->unit = strdup(unit)) == NULL) ||
	    (exe != NULL && (p->exe = strdup(exe)) == NULL)) {
		peer_free(p);
		return NULL;
	}
	return p;
}

struct peer *
peer_new_http(void)
{
	struct peer *p;

	p = peer_new_fake((uid_t)-1, (gid_t)-1, NULL, 0, NULL, NULL);
	if (p != NULL)
		p->http = true;
	return p;
}

void
peer_free(struct peer *p)
{
	if (p == NULL)
		return;
	if (p->pidfd >= 0)
		(void)close(p->pidfd);
	free(p->unit);
	free(p->exe);
	free(p);
}

void
peer_closed(struct peer *p)
{
	p->fd = -1;
	if (p->pidfd >= 0)
		(void)close(p->pidfd);
	p->pidfd = -1;
}

uid_t
peer_uid(const struct peer *p)
{
	return p->uid;
}

gid_t
peer_gid(const struct peer *p)
{
	return p->gid;
}

pid_t
peer_pid(const struct peer *p)
{
	return p->pid;
}

bool
peer_is_http(const struct peer *p)
{
	return p->http;
}

bool
peer_in_group(const struct peer *p, gid_t gid)
{
	size_t i;

	if (p->http)
		return false;
	if (p->gid == gid)
		return true;
	for (i = 0; i < p->ngroups; i++) {
		if (p->groups[i] == gid)
			return true;
	}
	return false;
}

/* A file of /proc/PID as text; false if it cannot be read or does not fit. */
static bool
read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	size_t len = 0;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		n = read(fd, buf + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 && len < size - 1);
	(void)close(fd);
	buf[len] = '\0';
	return n == 0;
}

/* Is the process of the pidfd, and so of the number, there still? */
static bool
is_alive(const struct peer *p)
{
	struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};
	socklen_t len = sizeof(pfd.fd);
	bool alive;

	if (p->sure && getsockopt(p->fd, SOL_SOCKET, SO_PEERPIDFD, &pfd.fd,
	    &len) != 0)
		return false;
	alive = pfd.fd >= 0 && p->pid > 0 && poll(&pfd, 1, 0) == 0;
	if (p->sure)
		(void)close(pfd.fd);
	return alive;
}

/* Effective user of the process that has the number now. */
static bool
same_user(const struct peer *p)
{
	char text[STATUS_MAX] = "";
	unsigned long real;
	unsigned long effective;
	const char *line;

	(void)read_proc(p->pid, "status", text, sizeof(text));
	line = strstr(text, "\nUid:");
	return line != NULL &&
	    sscanf(line, "\nUid: %lu %lu", &real, &effective) == 2 &&
	    effective == p->uid;
}

static char *
look_up_unit(const struct peer *p)
{
	char unit[PEER_UNIT_MAX];
	char *text;
	bool ok;

	text = malloc(CGROUP_MAX);
	if (text == NULL)
		return NULL;
	ok = read_proc(p->pid, "cgroup", text, CGROUP_MAX) &&
	    peer_unit_from_cgroup(text, unit, sizeof(unit)) == 0;
	free(text);
	/* what was read is the peer's only if it is there after the reading */
	if (!ok || (!p->sure && !same_user(p)) || !is_alive(p))
		return NULL;
	return strdup(unit);
}

const char *
peer_unit(struct peer *p)
{
	if (!p->unit_known) {
		p->unit_known = true;
		if (is_alive(p))
			p->unit = look_up_unit(p);
	}
	return p->unit;
}

/*
 * Is what the process runs the file that has this path for us?  Anyone may
 * mount a file of his own in its place, in a mount namespace of his own.
 */
static bool
is_ours(const char *link, const char *path)
{
	struct stat theirs;
	struct stat ours;

	return stat(link, &theirs) == 0 && stat(path, &ours) == 0 &&
	    theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

static char *
look_up_exe(const struct peer *p)
{
	static const char deleted[] = " (deleted)";
	char link[64];
	char path[1024];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)p->pid);
	n = readlink(link, path, sizeof(path));
	if (n <= 0 || (size_t)n >= sizeof(path) || path[0] != '/')
		return NULL;
	path[n] = '\0';
	/* replaced on disk since it started: no longer the file of that name */
	if ((size_t)n >= sizeof(deleted) &&
	    strcmp(path + n - (sizeof(deleted) - 1), deleted) == 0)
		return NULL;
	if (!is_ours(link, path) || (!p->sure && !same_user(p)) ||
	    !is_alive(p))
		return NULL;
	return strdup(path);
}

const char *
peer_exe(struct peer *p)
{
	if (!p->exe_known) {
		p->exe_known = true;
		if (is_alive(p))
			p->exe = look_up_exe(p);
	}
	return p->exe;
}

const char *
peer_describe(const struct peer *p, char *buf, size_t size)
{
	if (p->http)
		(void)snprintf(buf, size, "http");
	else if (p->pid > 0 && p->unit != NULL)
		(void)snprintf(buf, size, "uid %u (pid %d, %s)",
		    (unsigned int)p->uid, (int)p->pid, p->unit);
	else if (p->pid > 0)
		(void)snprintf(buf, size, "uid %u (pid %d)",
		    (unsigned int)p->uid, (int)p->pid);
	else if (p->unit != NULL)
		(void)snprintf(buf, size, "uid %u (%s)", (unsigned int)p->uid,
		    p->unit);
	else
		(void)snprintf(buf, size, "uid %u", (unsigned int)p->uid);
	return buf;
}
