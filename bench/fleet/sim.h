/*
 * Virtual time: one heap of events for a whole fleet, and on it what the
 * agent's code takes its time and its chance from: clock_read(), timers.h,
 * walltimer.h, hash_random().  Nothing sleeps.  The same seed gives the same
 * run, event by event.
 *
 * One simulation at a time in a process: clock_read() has no argument.
 */
#ifndef FLEET_SIM_H
#define FLEET_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_IDLE SIZE_MAX

/* Something that will happen; embedded in its owner, zeroed but for slot. */
struct sim_event {
	void (*cb)(void *arg);
	void *arg;
	size_t slot;		/* in the heap; SIM_IDLE: not planned */
};

/* Time 0, no events, the generator seeded. */
void sim_init(uint64_t seed);
/* No event may be planned any more. */
void sim_done(void);

/* Milliseconds since sim_init(). */
uint64_t sim_now_ms(void);
/* The simulated machines' CLOCK_BOOTTIME at a time of the simulation. */
uint64_t sim_boot_ms(uint64_t at_ms);

void sim_event_init(struct sim_event *ev, void (*cb)(void *arg), void *arg);
/*
 * Plan it for a moment (in the past means now, after what is planned for now
 * already); replaces what was planned before.
 */
void sim_at(struct sim_event *ev, uint64_t at_ms);
void sim_cancel(struct sim_event *ev);

/* Let everything happen up to and including that moment. */
void sim_run_until(uint64_t at_ms);

uint32_t sim_random(void);
/* 0 to below_ms - 1; 0 for 0. */
uint64_t sim_random_below(uint64_t below_ms);
/* A fixed hash of a number, the same in each run whatever the seed. */
uint64_t sim_mix(uint64_t x);

/* How many events have happened. */
uint64_t sim_events(void);
/* calloc(), or the end of the program with a word. */
void *sim_alloc(size_t n, size_t size);

#endif /* FLEET_SIM_H */
