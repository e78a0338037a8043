#include "config.h"

#include "timers.h"

#include <assert.h>
#include <stdlib.h>

#include <event2/event.h>

struct timer {
	struct event *ev;
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

	if (ms > TIMER_MAX_MS)
		ms = TIMER_MAX_MS;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	/* The heap of a base grows in event_new(); this cannot fail for memory
	 * unless the arena is exhausted, and then nothing would ever fire. */
	if (event_add(t->ev, &tv) != 0)
		abort();
}

void
timer_stop(struct timer *t)
{
	(void)event_del(t->ev);
}
