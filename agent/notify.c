#include "config.h"

#include "notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define STATUS_MAX 512

#ifdef HAVE_SYSTEMD
/*
 * A failure is dropped: the manager then sees no message, which it takes for
 * what it is, and there is nobody else to tell.
 */
static void
send_state(const char *state)
{
	(void)sd_notify(0, state);
}
#else
static void
send_state(const char *state)
{
	(void)state;
}
#endif

void
notify_ready(void)
{
	send_state("READY=1");
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
	send_state(state);
}

void
notify_stopping(void)
{
	send_state("STOPPING=1");
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
	send_state(state);
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
	send_state("WATCHDOG=1");
}
