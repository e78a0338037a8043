/*
 * A timer on the wall clock, for what ends at a date: it fires when the clock
 * gets there, by passing time or by being set, and tells whenever somebody
 * sets the clock.  Nobody need look at the clock each second for that.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_WALLTIMER_H
#define AGENT_WALLTIMER_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct walltimer;

/*
 * stepped: the clock was set (or the machine slept), forward or back; the
 * timer is still set then.  Otherwise its moment has come, and it is no longer
 * set.  Both may be true of one step: then it is called twice.
 */
typedef void walltimer_cb(void *arg, bool stepped);

/* Not set yet.  NULL for no memory or no descriptor. */
struct walltimer *walltimer_new(struct event_base *base, walltimer_cb *cb,
    void *arg);
/* NULL is fine.  Not from within the callback. */
void walltimer_free(struct walltimer *w);
/*
 * Fire at wall_ms, at the next turn of the loop if that has passed; replaces
 * what was set before.  Steps are told while it is set, and only then: who
 * wants no more than those sets INT64_MAX.
 */
void walltimer_set(struct walltimer *w, int64_t wall_ms);
void walltimer_stop(struct walltimer *w);

#endif /* AGENT_WALLTIMER_H */
