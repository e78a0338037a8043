/*
 * clock_read(), timers.h and walltimer.h under a test's control: nothing sleeps.  Linked
 * before the daemon's library, these definitions win over its own.
 */
#ifndef UNIT_FAKE_TIME_H
#define UNIT_FAKE_TIME_H

#include <stddef.h>
#include <stdint.h>

#include "clock.h"

/* What clock_read() gives. */
extern struct now fake_now;

/* Both clocks at their start.  No timers may exist. */
void fake_time_reset(void);
/* Fire what is due until nothing is.  Fails the test if that never ends. */
void fake_time_run(void);
/* Both clocks go on; timers on the way fire, each at its moment, in order. */
void fake_time_pass(uint64_t ms);
/*
 * Somebody sets the wall clock.  Timers on it are told before this returns;
 * those whose moment it is now fire with fake_time_run().
 */
void fake_time_step_wall(int64_t ms);
/* Timers of both kinds that exist; until the next fires, UINT64_MAX if none is running. */
size_t fake_time_timers(void);
uint64_t fake_time_next(void);
/* timer_new() and walltimer_new() fail from the n-th on (1: the next); 0: never. */
void fake_time_fail_new(unsigned int n);

#endif /* UNIT_FAKE_TIME_H */
