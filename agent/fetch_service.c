/*
 * The part of fetch that hears of the service as a whole: that it is back, or
 * refuses the key; of another key, of drills, and of the time.
 */
#include "config.h"

#include "fetch_impl.h"

#include "hash.h"
#include "revalidate.h"
#include "timers.h"

/* A Date that is so far ahead of a clock that can be true is not believed. */
#define FETCH_DATE_AHEAD_MS (24 * 3600 * INT64_C(1000))

/* A timer may fire before: its time has an end, and memory may be short. */
static void
fetch_set_grace(struct fetch *f, const struct now *now)
{
	timer_set(f->grace, f->grace_until_boot_ms > now->boot_ms
	    ? f->grace_until_boot_ms - now->boot_ms : 0);
}

/* While the key is refused: another end of the grace that has begun. */
void
fetch_move_grace(struct fetch *f, uint64_t before_ms, const struct now *now)
{
	if (!f->unauthorized || f->grace_until_boot_ms <= now->boot_ms)
		return;
	f->grace_until_boot_ms = f->grace_until_boot_ms - before_ms +
	    f->cfg.unauthorized_grace_ms;
	fetch_set_grace(f, now);
}

/* Can expiry be judged now, where it could not, or the reverse? */
static void
fetch_judge(struct fetch *f, const struct now *now)
{
	bool can = cache_can_judge(f->cache, now);

	if (can == f->can_judge)
		return;
	f->can_judge = can;
	if (f->hooks.judging != NULL)
		f->hooks.judging(f->hooks.arg, can);
}

/*
 * The wall clock was set, or the machine slept, which timers do not notice:
 * what has come due meanwhile is due now.
 */
void
fetch_wall_cb(void *arg, bool stepped)
{
	struct fetch *f = arg;
	struct now now;

	if (!stepped)
		return;
	clock_read(&now);
	fetch_judge(f, &now);
	if (f->unauthorized)
		fetch_set_grace(f, &now);
	fetch_due_cb(f);
}

void
fetch_restored(struct fetch *f)
{
	struct now now;

	clock_read(&now);
	/*
	 * What was restored is due within an interval, and brings the listing;
	 * readers, who all come at once after a start, are not to bring it.
	 */
	f->names_quiet_until_boot_ms = now.boot_ms +
	    f->cfg.cache.refresh_interval_ms;
	fetch_schedule(f, &now);
}

void
fetch_set_offline(struct fetch *f, bool offline)
{
	struct now now;

	f->offline = offline;
	jobs_set_offline(f->jobs, offline);
	if (offline)
		return;
	clock_read(&now);
	cache_make_failed_due(f->cache, FETCH_RECOVERY_SPREAD_MS,
	    hash_random(), &now);
	fetch_schedule(f, &now);
}

void
fetch_key_changed(struct fetch *f)
{
	struct now now;

	clock_read(&now);
	/* a refusal of the old one says nothing about the new one */
	timer_stop(f->grace);
	f->unauthorized = false;
	jobs_key_changed(f->jobs);
	revalidate_key_changed(f->revalidate);
	cache_make_failed_due(f->cache, FETCH_RECOVERY_SPREAD_MS,
	    hash_random(), &now);
	fetch_schedule(f, &now);
}

void
fetch_key_settled(struct fetch *f)
{
	jobs_key_settled(f->jobs);
}

bool
fetch_key_pending(void *arg)
{
	struct fetch *f = arg;

	return f->hooks.key_pending != NULL &&
	    f->hooks.key_pending(f->hooks.arg);
}

bool
fetch_reload_key(void *arg)
{
	struct fetch *f = arg;

	return f->hooks.reload_key(f->hooks.arg);
}

void
fetch_grace_cb(void *arg)
{
	struct fetch *f = arg;
	struct now now;

	clock_read(&now);
	if (f->grace_until_boot_ms > now.boot_ms) {
		fetch_set_grace(f, &now);
		return;
	}
	if (f->wiped)
		return;
	f->wiped = true;
	(void)fetch_purge_all(f);
	f->hooks.wiped(f->hooks.arg);
}

/* Expiry is judged by the later of the service's clock and ours. */
void
fetch_heard(void *arg, int64_t date_ms)
{
	struct fetch *f = arg;
	struct now now;

	clock_read(&now);
	/* one that is far ahead of a clock that can be true is not believed */
	if (now.wall_ms >= CACHE_WALL_PLAUSIBLE_MS &&
	    date_ms > now.wall_ms + FETCH_DATE_AHEAD_MS)
		return;
	cache_set_wall_floor(f->cache, date_ms, &now);
	fetch_judge(f, &now);
}

void
fetch_state_changed(void *arg)
{
	struct fetch *f = arg;
	struct jobs_stats stats;
	struct now now;

	clock_read(&now);
	jobs_get_stats(f->jobs, &stats);
	if (stats.state == JOBS_OK) {
		timer_stop(f->grace);
		f->unauthorized = false;
		cache_make_failed_due(f->cache, FETCH_RECOVERY_SPREAD_MS,
		    hash_random(), &now);
		fetch_schedule(f, &now);
	} else if (stats.state == JOBS_UNAUTHORIZED && !f->unauthorized) {
		f->unauthorized = true;
		f->wiped = false;
		f->grace_until_boot_ms = now.boot_ms +
		    f->cfg.unauthorized_grace_ms;
		fetch_set_grace(f, &now);
	}
	f->hooks.state_changed(f->hooks.arg);
}
