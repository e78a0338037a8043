#include "config.h"

#include "signals.h"

#include <event2/event.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
	int fd;
	bool masked;		/* old_mask and old_pipe are to be put back */
	sigset_t old_mask;
	struct sigaction old_pipe;
	struct event *ev;
	signals_cb *cb;
	void *arg;
};

/*
 * One signal a wake-up: the callback may free s.  The event is
 * level-triggered, so the next one is not lost.
 */
static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	(void)what;
	if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->cb(s->arg, (int)info.ssi_signo);
}

static int
block(struct signals *s, sigset_t *set)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	size_t i;

	if (sigemptyset(set) != 0)
		return -1;
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (sigaddset(set, taken[i]) != 0)
			return -1;
	}
	if (sigaction(SIGPIPE, &ignore, &s->old_pipe) != 0)
		return -1;
	if (sigprocmask(SIG_BLOCK, set, &s->old_mask) != 0) {
		(void)sigaction(SIGPIPE, &s->old_pipe, NULL);
		return -1;
	}
	s->masked = true;
	return 0;
}

struct signals *
signals_new(struct event_base *base, signals_cb *cb, void *arg)
{
	struct signals *s;
	sigset_t set;

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->fd = -1;
	s->cb = cb;
	s->arg = arg;
	if (block(s, &set) != 0)
		goto fail;
	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->fd < 0)
		goto fail;
	s->ev = event_new(base, s->fd, EV_READ | EV_PERSIST, readable_cb, s);
	if (s->ev == NULL || event_add(s->ev, NULL) != 0)
		goto fail;
	return s;
fail:
	signals_free(s);
	return NULL;
}

void
signals_free(struct signals *s)
{
	if (s == NULL)
		return;
	if (s->ev != NULL)
		event_free(s->ev);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->masked) {
		(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
		(void)sigaction(SIGPIPE, &s->old_pipe, NULL);
	}
	free(s);
}
