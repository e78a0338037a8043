#include "config.h"

#include "fake_time.h"

#include "unit.h"

#include <sys/queue.h>

#include "timers.h"

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

struct now fake_now = { START_BOOT_MS, START_WALL_MS };

static TAILQ_HEAD(, timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static uint64_t orders;
static unsigned int fail_new;

void
clock_read(struct now *ret_now)
{
	*ret_now = fake_now;
}

struct timer *
timer_new(struct event_base *base, timer_cb *cb, void *arg)
{
	struct timer *t;

	(void)base;
	if (fail_new != 0 && --fail_new == 0) {
		fail_new = 1;
		return NULL;
	}
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
	fake_now = (struct now){ START_BOOT_MS, START_WALL_MS };
	orders = 0;
	fail_new = 0;
}

void
fake_time_run(void)
{
	struct timer *t;
	unsigned int n = 0;

	while ((t = first()) != NULL && t->at_boot_ms <= fake_now.boot_ms) {
		if (++n > SPIN)
			fail_msg("timers fire for ever without time passing");
		t->armed = false;
		t->cb(t->arg);
	}
}

void
fake_time_pass(uint64_t ms)
{
	uint64_t end = fake_now.boot_ms + ms, step;
	struct timer *t;

	fake_time_run();
	while ((t = first()) != NULL && t->at_boot_ms <= end) {
		step = t->at_boot_ms - fake_now.boot_ms;
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
	fake_now.wall_ms += ms;
}

size_t
fake_time_timers(void)
{
	struct timer *t;
	size_t n = 0;

	TAILQ_FOREACH(t, &timers, link)
		n++;
	return n;
}

uint64_t
fake_time_next(void)
{
	struct timer *t = first();

	if (t == NULL)
		return UINT64_MAX;
	return t->at_boot_ms > fake_now.boot_ms
	    ? t->at_boot_ms - fake_now.boot_ms : 0;
}

void
fake_time_fail_new(unsigned int n)
{
	fail_new = n;
}
