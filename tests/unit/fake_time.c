#include "config.h"

#include "fake_time.h"

#include "unit.h"

#include <sys/queue.h>

#include "timers.h"
#include "walltimer.h"

#define START_BOOT_MS UINT64_C(3600000000)
#define START_WALL_MS INT64_C(1770000000000)	/* 2026-02-02 */
#define DAY_MS (24u * 3600 * 1000)
/* So many at one moment, and it goes round in circles. */
#define SPIN 20000u

struct timer {
	TAILQ_ENTRY(timer) link;
	timer_cb *cb;
	void *arg;
	bool armed;
	uint64_t at_boot_ms;
	uint64_t order;		/* of being set */
};

struct walltimer {
	TAILQ_ENTRY(walltimer) link;
	walltimer_cb *cb;
	void *arg;
	bool armed;
	int64_t at_wall_ms;
};

struct now fake_now = { START_BOOT_MS, START_WALL_MS };

static TAILQ_HEAD(, timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static TAILQ_HEAD(, walltimer) walltimers =
    TAILQ_HEAD_INITIALIZER(walltimers);
static uint64_t orders;
static unsigned int fail_new;

void
clock_read(struct now *ret_now)
{
	*ret_now = fake_now;
}

static bool
new_fails(void)
{
	if (fail_new == 0 || --fail_new != 0)
		return false;
	fail_new = 1;
	return true;
}

struct timer *
timer_new(struct event_base *base, timer_cb *cb, void *arg)
{
	struct timer *t;

	(void)base;
	if (new_fails())
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->cb = cb;
	t->arg = arg;
	TAILQ_INSERT_TAIL(&timers, t, link);
	return t;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	TAILQ_REMOVE(&timers, t, link);
	free(t);
}

void
timer_set(struct timer *t, uint64_t ms)
{
	t->armed = true;
	t->at_boot_ms = fake_now.boot_ms + (ms < DAY_MS ? ms : DAY_MS);
	t->order = ++orders;
}

void
timer_stop(struct timer *t)
{
	t->armed = false;
}

struct walltimer *
walltimer_new(struct event_base *base, walltimer_cb *cb, void *arg)
{
	struct walltimer *w;

	(void)base;
	if (new_fails() || (w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->cb = cb;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&walltimers, w, link);
	return w;
}

void
walltimer_free(struct walltimer *w)
{
	if (w == NULL)
		return;
	TAILQ_REMOVE(&walltimers, w, link);
	free(w);
}

void
walltimer_set(struct walltimer *w, int64_t wall_ms)
{
	w->armed = true;
	w->at_wall_ms = wall_ms;
}

void
walltimer_stop(struct walltimer *w)
{
	w->armed = false;
}

static struct walltimer *
first_wall(void)
{
	struct walltimer *w, *found = NULL;

	TAILQ_FOREACH(w, &walltimers, link) {
		if (w->armed && (found == NULL ||
		    w->at_wall_ms < found->at_wall_ms))
			found = w;
	}
	return found;
}

static struct timer *
first(void)
{
	struct timer *t, *found = NULL;

	TAILQ_FOREACH(t, &timers, link) {
		if (t->armed && (found == NULL ||
		    t->at_boot_ms < found->at_boot_ms ||
		    (t->at_boot_ms == found->at_boot_ms &&
		    t->order < found->order)))
			found = t;
	}
	return found;
}

void
fake_time_reset(void)
{
	assert_true(TAILQ_EMPTY(&timers));
	assert_true(TAILQ_EMPTY(&walltimers));
	fake_now = (struct now){ START_BOOT_MS, START_WALL_MS };
	orders = 0;
	fail_new = 0;
}

void
fake_time_run(void)
{
	struct walltimer *w;
	struct timer *t;
	unsigned int n = 0;

	while (fake_time_next() == 0) {
		if (++n > SPIN)
			fail_msg("timers fire for ever without time passing");
		w = first_wall();
		if (w != NULL && w->at_wall_ms <= fake_now.wall_ms) {
			w->armed = false;
			w->cb(w->arg, false);
			continue;
		}
		t = first();
		t->armed = false;
		t->cb(t->arg);
	}
}

void
fake_time_pass(uint64_t ms)
{
	uint64_t end = fake_now.boot_ms + ms, step;

	fake_time_run();
	while ((step = fake_time_next()) <= end - fake_now.boot_ms) {
		fake_now.boot_ms += step;
		fake_now.wall_ms += (int64_t)step;
		fake_time_run();
	}
	step = end - fake_now.boot_ms;
	fake_now.boot_ms += step;
	fake_now.wall_ms += (int64_t)step;
}

void
fake_time_step_wall(int64_t ms)
{
	struct walltimer *w, *next;

	fake_now.wall_ms += ms;
	for (w = TAILQ_FIRST(&walltimers); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->armed)
			w->cb(w->arg, true);
	}
}

size_t
fake_time_timers(void)
{
	struct walltimer *w;
	struct timer *t;
	size_t n = 0;

	TAILQ_FOREACH(t, &timers, link)
		n++;
	TAILQ_FOREACH(w, &walltimers, link)
		n++;
	return n;
}

uint64_t
fake_time_next(void)
{
	struct walltimer *w = first_wall();
	struct timer *t = first();
	uint64_t wait = UINT64_MAX, wall;

	if (t != NULL)
		wait = t->at_boot_ms > fake_now.boot_ms
		    ? t->at_boot_ms - fake_now.boot_ms : 0;
	if (w == NULL)
		return wait;
	if (w->at_wall_ms <= fake_now.wall_ms)
		return 0;
	wall = (uint64_t)w->at_wall_ms - (uint64_t)fake_now.wall_ms;
	return wall < wait ? wall : wait;
}

void
fake_time_fail_new(unsigned int n)
{
	fail_new = n;
}
