#include "config.h"

#include "timers.h"

#include <stdbool.h>
#include <stdlib.h>

#include <event2/event.h>

struct timer {
	struct event *ev;
	bool soon;		/* set with 0 ms, and not fired yet */
	timer_cb *cb;
	void *arg;
};

#define TIMER_MAX_MS (24u * 3600 * 1000)

static void
timer_fired_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->soon = false;
	t->cb(t->arg);
}

struct timer *
timer_new(struct event_base *base, timer_cb *cb, void *arg)
{
	struct timer *t;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->cb = cb;
	t->arg = arg;
	t->ev = evtimer_new(base, timer_fired_cb, t);
	if (t->ev == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	event_free(t->ev);
	free(t);
}

void
timer_set(struct timer *t, uint64_t ms)
{
	struct timeval tv;

	/*
	 * Adding an event that the loop is about to run takes it off the queue
	 * again: who asks for "soon" in every turn would never get it.
	 */
	if (ms == 0 && t->soon)
		return;
	t->soon = ms == 0;
	if (ms > TIMER_MAX_MS)
		ms = TIMER_MAX_MS;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	/*
	 * The heap of a base grows here.  With the arena exhausted: rather too
	 * early than never; the callbacks look at the clock or set it again.
	 */
	if (event_add(t->ev, &tv) != 0)
		event_active(t->ev, EV_TIMEOUT, 0);
}

void
timer_stop(struct timer *t)
{
	t->soon = false;
	(void)event_del(t->ev);
}
