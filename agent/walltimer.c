#include "config.h"

#include "walltimer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

/* In the year 5138; the kernel's own end is that of 64 bits of nanoseconds. */
#define WALL_MAX_MS INT64_C(100000000000000)

struct walltimer {
	struct event *ev;
	walltimer_cb *cb;
	void *arg;
	int64_t wall_ms;	/* while set */
	int fd;
	bool set;
	bool stepped;		/* learnt while setting it; yet to be told */
};

/*
 * A clock that was set since the timer was, and nobody has read that yet,
 * makes the call fail, and yet the timer is set.
 */
static void
arm(struct walltimer *w)
{
	/* 0 would stop it */
	struct itimerspec when = { .it_value = { .tv_nsec = 1 } };

	if (w->wall_ms > 0) {
		when.it_value.tv_sec = (time_t)(w->wall_ms / 1000);
		when.it_value.tv_nsec = (long)(w->wall_ms % 1000) * 1000000;
	}
	if (timerfd_settime(w->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	    &when, NULL) != 0 && errno == ECANCELED) {
		w->stepped = true;
		event_active(w->ev, EV_READ, 0);
	}
}

static void
walltimer_ready_cb(evutil_socket_t fd, short what, void *arg)
{
	struct walltimer *w = arg;
	uint64_t times = 0;
	ssize_t n;
	int e;

	(void)what;
	n = read(fd, &times, sizeof(times));
	e = n < 0 ? errno : 0;
	if (!w->set)
		return;
	if (w->stepped || e == ECANCELED) {
		w->stepped = false;
		/* for the next step; fires at once if its moment is over */
		arm(w);
		w->cb(w->arg, true);
	} else if (n == (ssize_t)sizeof(times)) {
		w->set = false;
		w->cb(w->arg, false);
	}
}

struct walltimer *
walltimer_new(struct event_base *base, walltimer_cb *cb, void *arg)
{
	struct walltimer *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->cb = cb;
	w->arg = arg;
	w->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->fd < 0)
		goto fail;
	w->ev = event_new(base, w->fd, EV_READ | EV_PERSIST,
	    walltimer_ready_cb, w);
	if (w->ev == NULL || event_add(w->ev, NULL) != 0)
		goto fail;
	return w;
fail:
	walltimer_free(w);
	return NULL;
}

void
walltimer_free(struct walltimer *w)
{
	if (w == NULL)
		return;
	if (w->ev != NULL)
		event_free(w->ev);
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w);
}

void
walltimer_set(struct walltimer *w, int64_t wall_ms)
{
	w->wall_ms = wall_ms < WALL_MAX_MS ? wall_ms : WALL_MAX_MS;
	w->set = true;
	arm(w);
}

void
walltimer_stop(struct walltimer *w)
{
	const struct itimerspec none = { .it_value = { .tv_sec = 0 } };

	w->set = false;
	w->stepped = false;
	(void)timerfd_settime(w->fd, 0, &none, NULL);
}
