#include "config.h"

#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
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
send_state(const char *state)
{
	struct sockaddr_un address;
	socklen_t len = notify_address(&address);
	ssize_t n;
	int fd, error;

	if (len == 0)
		return true;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	do {
		n = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		    (const struct sockaddr *)&address, len);
	} while (n < 0 && errno == EINTR);
	error = n < 0 ? errno : 0;
	(void)close(fd);
	return error != EAGAIN && error != EWOULDBLOCK && error != ENOBUFS;
}
#else
static bool
send_state(const char *state)
{
	(void)state;
	return true;
}
#endif

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
