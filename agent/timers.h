/*
 * One-shot timers on the event loop, for modules that know no libevent.
 * A time that has passed fires at the next turn of the loop, never at once.
 */
#ifndef AGENT_TIMERS_H
#define AGENT_TIMERS_H

#include <stdint.h>

struct event_base;
struct timer;

typedef void timer_cb(void *arg);

/* Not running yet.  NULL for no memory. */
struct timer *timer_new(struct event_base *base, timer_cb *cb, void *arg);
void timer_free(struct timer *t);
/* Fire once in ms from now; replaces what was set before.  Capped at a day. */
void timer_set(struct timer *t, uint64_t ms);
void timer_stop(struct timer *t);

#endif /* AGENT_TIMERS_H */
