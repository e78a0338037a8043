#include "config.h"

#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define STATUS_MAX 512

#ifdef HAVE_SYSTEMD
/* The manager's socket; 0 if there is none that this knows how to reach. */
static socklen_t
notify_address(struct sockaddr_un *ret)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path != NULL ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(ret->sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, path, len);
	if (path[0] == '@')	/* an abstract name has no end but its length */
		ret->sun_path[0] = '\0';
	else
		len++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/*
 * As sd_notify(3), whose socket blocks: a manager that does not read for a
 * while would then stop the loop, and with it every client.  One that is gone
 * is not worth another try; one whose queue is full is.
 */
static bool
send_state_fd(const char *state, int passed)
{
	struct sockaddr_un address;
	socklen_t len = notify_address(&address);
	struct iovec iov = { (void *)(uintptr_t)state, strlen(state) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_name = &address,
		.msg_namelen = len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;
	int fd, error;

	if (len == 0)
		return true;
	if (passed >= 0) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &passed, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	error = n < 0 ? errno : 0;
	(void)close(fd);
	return error != EAGAIN && error != EWOULDBLOCK && error != ENOBUFS &&
	    error != ETOOMANYREFS;
}
#else
static bool
send_state_fd(const char *state, int passed)
{
	(void)state;
	(void)passed;
	return true;
}
#endif

static bool
send_state(const char *state)
{
	return send_state_fd(state, -1);
}

bool
notify_ready(void)
{
	return send_state("READY=1");
}

void
notify_reloading(void)
{
	char state[80];
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		return;
	(void)snprintf(state, sizeof(state),
	    "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)ts.tv_sec * 1000000ULL +
		(unsigned long long)ts.tv_nsec / 1000);
	(void)send_state(state);
}

void
notify_stopping(void)
{
	(void)send_state("STOPPING=1");
}

void
notify_status(const char *fmt, ...)
{
	static const char key[] = "STATUS=";
	char state[sizeof(key) + STATUS_MAX];
	va_list ap;
	char *p;

	(void)snprintf(state, sizeof(state), "%s", key);
	va_start(ap, fmt);
	(void)vsnprintf(state + sizeof(key) - 1,
	    sizeof(state) - sizeof(key) + 1, fmt, ap);
	va_end(ap);
	/* a line break would begin another assignment */
	for (p = state; *p != '\0'; p++) {
		if (*p == '\n')
			*p = ' ';
	}
	(void)send_state(state);
}

uint64_t
notify_watchdog_ms(void)
{
#ifdef HAVE_SYSTEMD
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) > 0)
		return usec < 2000 ? 1 : usec / 2000;
#endif
	return 0;
}

void
notify_watchdog(void)
{
	(void)send_state("WATCHDOG=1");
}

bool
notify_has_fd_store(void)
{
#ifdef HAVE_SYSTEMD
	const char *max = getenv("FDSTORE");

	return max != NULL && strtoul(max, NULL, 10) > 0 &&
	    getenv("NOTIFY_SOCKET") != NULL;
#else
	return false;
#endif
}

/*
 * FDPOLL=0: a memory file can be polled, and is always ready; the manager
 * must not take that for the end of it.
 */
bool
notify_store_fd(const char *name, int fd)
{
	char state[80];

	(void)snprintf(state, sizeof(state),
	    "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return send_state_fd(state, fd);
}

bool
notify_forget_fd(const char *name)
{
	char state[80];

	(void)snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s",
	    name);
	return send_state(state);
}

#ifdef HAVE_SYSTEMD
static bool
is_kept_file(int fd, const char *name, const char *wanted)
{
	struct stat st;

	return name != NULL && strcmp(name, wanted) == 0 &&
	    fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* A copy of it, with nothing of it left at its number.  -1: not now. */
static int
move_away(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (copy >= 0 && (null < 0 || dup3(null, fd, O_CLOEXEC) < 0)) {
		(void)close(copy);
		copy = -1;
	}
	if (null >= 0)
		(void)close(null);
	return copy;
}

size_t
notify_take_fds(const char *name, int *ret_fds, size_t max)
{
	char **names = NULL;
	size_t found = 0;
	int fd, i, n;

	n = sd_listen_fds_with_names(0, &names);
	for (i = 0; i < n; i++) {
		if (found < max && is_kept_file(SD_LISTEN_FDS_START + i,
		    names != NULL ? names[i] : NULL, name) &&
		    (fd = move_away(SD_LISTEN_FDS_START + i)) >= 0)
			ret_fds[found++] = fd;
		if (names != NULL)
			free(names[i]);
	}
	free(names);
	return found;
}
#else
size_t
notify_take_fds(const char *name, int *ret_fds, size_t max)
{
	(void)name;
	(void)ret_fds;
	(void)max;
	return 0;
}
#endif
