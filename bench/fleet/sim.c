#include "config.h"

#include "sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#include "clock.h"
#include "hash.h"
#include "timers.h"
#include "walltimer.h"

#define SIM_START_BOOT_MS UINT64_C(3600000)
#define SIM_START_WALL_MS INT64_C(1770000000000)	/* 2026-02-02 */
#define SIM_DAY_MS (UINT64_C(24) * 3600 * 1000)
/* So many at one moment for each event planned, and it goes in circles. */
#define SIM_SPIN 50000000u
#define SIM_ARITY 4u		/* fewer cache misses than with two */

struct sim_item {
	uint64_t at_ms;
	uint64_t order;		/* of being planned: first come, first served */
	struct sim_event *ev;
};

static struct {
	uint64_t now_ms;
	uint64_t orders;
	uint64_t random;
	uint64_t events;
	struct sim_item *items;
	size_t count;
	size_t cap;
} sim;

/* What the linker puts in the place of the library's calls (Makefile.am). */
uint32_t __wrap_hash_random(void);
void __wrap_hash_key_init(struct hash_key *ret_key);
int __wrap_mlock2(const void *addr, size_t len, unsigned int flags);

void *
sim_alloc(size_t n, size_t size)
{
	void *p = calloc(n != 0 ? n : 1, size);

	if (p == NULL) {
		(void)fprintf(stderr, "fleet: out of memory\n");
		exit(1);
	}
	return p;
}

void
sim_init(uint64_t seed)
{
	memset(&sim, 0, sizeof(sim));
	sim.random = seed;
}

void
sim_done(void)
{
	assert(sim.count == 0);
	free(sim.items);
	sim.items = NULL;
	sim.cap = 0;
}

uint64_t
sim_now_ms(void)
{
	return sim.now_ms;
}

uint64_t
sim_boot_ms(uint64_t at_ms)
{
	return SIM_START_BOOT_MS + at_ms;
}

uint64_t
sim_events(void)
{
	return sim.events;
}

/* --- chance --- */

/* The finish of splitmix64. */
uint64_t
sim_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint32_t
sim_random(void)
{
	sim.random += UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(sim_mix(sim.random) >> 32);
}

uint64_t
sim_random_below(uint64_t below_ms)
{
	return below_ms != 0 ? sim_random() % below_ms : 0;
}

/* --- the heap --- */

static bool
sim_before(const struct sim_item *a, const struct sim_item *b)
{
	return a->at_ms < b->at_ms ||
	    (a->at_ms == b->at_ms && a->order < b->order);
}

static void
sim_place(size_t slot, const struct sim_item *item)
{
	sim.items[slot] = *item;
	item->ev->slot = slot;
}

static void
sim_up(size_t slot, struct sim_item item)
{
	size_t parent;

	while (slot > 0) {
		parent = (slot - 1) / SIM_ARITY;
		if (!sim_before(&item, &sim.items[parent]))
			break;
		sim_place(slot, &sim.items[parent]);
		slot = parent;
	}
	sim_place(slot, &item);
}

static void
sim_down(size_t slot, struct sim_item item)
{
	size_t child, least, i;

	while ((child = slot * SIM_ARITY + 1) < sim.count) {
		least = child;
		for (i = child + 1; i < child + SIM_ARITY && i < sim.count; i++)
			if (sim_before(&sim.items[i], &sim.items[least]))
				least = i;
		if (!sim_before(&sim.items[least], &item))
			break;
		sim_place(slot, &sim.items[least]);
		slot = least;
	}
	sim_place(slot, &item);
}

void
sim_event_init(struct sim_event *ev, void (*cb)(void *arg), void *arg)
{
	*ev = (struct sim_event){ .cb = cb, .arg = arg, .slot = SIM_IDLE };
}

void
sim_cancel(struct sim_event *ev)
{
	size_t slot = ev->slot;
	struct sim_item last;

	if (slot == SIM_IDLE)
		return;
	ev->slot = SIM_IDLE;
	last = sim.items[--sim.count];
	if (last.ev == ev)
		return;
	if (slot > 0 &&
	    sim_before(&last, &sim.items[(slot - 1) / SIM_ARITY]))
		sim_up(slot, last);
	else
		sim_down(slot, last);
}

void
sim_at(struct sim_event *ev, uint64_t at_ms)
{
	struct sim_item item = {
		.at_ms = at_ms > sim.now_ms ? at_ms : sim.now_ms,
		.order = ++sim.orders, .ev = ev,
	};

	sim_cancel(ev);
	if (sim.count == sim.cap) {
		sim.cap = sim.cap != 0 ? sim.cap * 2 : 1024;
		sim.items = realloc(sim.items, sim.cap * sizeof(*sim.items));
		if (sim.items == NULL)
			abort();
	}
	sim_up(sim.count++, item);
}

void
sim_run_until(uint64_t at_ms)
{
	struct sim_event *ev;
	uint64_t spins = 0;

	while (sim.count > 0 && sim.items[0].at_ms <= at_ms) {
		ev = sim.items[0].ev;
		spins = sim.items[0].at_ms > sim.now_ms ? 0 : spins + 1;
		if (spins > SIM_SPIN) {
			(void)fprintf(stderr,
			    "fleet: events for ever without time passing\n");
			abort();
		}
		sim.now_ms = sim.items[0].at_ms;
		sim_cancel(ev);
		sim.events++;
		ev->cb(ev->arg);
	}
	sim.now_ms = at_ms;
}

/* --- the agent's clock, timers and chance --- */

void
clock_read(struct now *ret_now)
{
	ret_now->boot_ms = SIM_START_BOOT_MS + sim.now_ms;
	ret_now->wall_ms = SIM_START_WALL_MS + (int64_t)sim.now_ms;
}

uint32_t
__wrap_hash_random(void)
{
	return sim_random();
}

void
__wrap_hash_key_init(struct hash_key *ret_key)
{
	uint32_t part;
	size_t i;

	for (i = 0; i < sizeof(ret_key->bytes); i += sizeof(part)) {
		part = sim_random();
		memcpy(ret_key->bytes + i, &part, sizeof(part));
	}
}

/* What is simulated holds no secrets: it need not be locked. */
int
__wrap_mlock2(const void *addr, size_t len, unsigned int flags)
{
	(void)addr;
	(void)len;
	(void)flags;
	return 0;
}

struct timer {
	struct sim_event ev;
};

struct timer *
timer_new(struct event_base *base, timer_cb *cb, void *arg)
{
	struct timer *t = sim_alloc(1, sizeof(*t));

	(void)base;
	sim_event_init(&t->ev, cb, arg);
	return t;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	sim_cancel(&t->ev);
	free(t);
}

void
timer_set(struct timer *t, uint64_t ms)
{
	sim_at(&t->ev, sim.now_ms + (ms < SIM_DAY_MS ? ms : SIM_DAY_MS));
}

void
timer_stop(struct timer *t)
{
	sim_cancel(&t->ev);
}

/* No machine's wall clock is ever set here, so it is a timer like others. */
struct walltimer {
	struct sim_event ev;
	walltimer_cb *cb;
	void *arg;
};

static void
walltimer_fired_cb(void *arg)
{
	struct walltimer *w = arg;

	w->cb(w->arg, false);
}

struct walltimer *
walltimer_new(struct event_base *base, walltimer_cb *cb, void *arg)
{
	struct walltimer *w = sim_alloc(1, sizeof(*w));

	(void)base;
	w->cb = cb;
	w->arg = arg;
	sim_event_init(&w->ev, walltimer_fired_cb, w);
	return w;
}

void
walltimer_set(struct walltimer *w, int64_t wall_ms)
{
	sim_at(&w->ev, wall_ms > SIM_START_WALL_MS
	    ? (uint64_t)(wall_ms - SIM_START_WALL_MS) : 0);
}

void
walltimer_stop(struct walltimer *w)
{
	sim_cancel(&w->ev);
}

void
walltimer_free(struct walltimer *w)
{
	if (w == NULL)
		return;
	sim_cancel(&w->ev);
	free(w);
}
