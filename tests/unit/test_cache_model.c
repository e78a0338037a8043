/*
 * The cache against a reference model: random operations on both, and after
 * each of them the same answers, the same figures and the same events.
 *
 * The reference is written from section 6 of the contract (what a plain read
 * gets) and from cache.h, with no data structure but an array that is walked.
 * It predicts neither jitter nor phases: of those only the bounds are checked.
 *
 * QAPI_TEST_SEED and QAPI_TEST_OPS set the seed, which is printed, and the
 * number of operations.
 */
#include "config.h"

#include "agent_unit.h"

#include "cache_impl.h"
#include "err.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

#define INTERVAL (5 * MINUTE)
#define LEAD MINUTE
#define REREAD (6 * HOUR)
#define MAX_STALE (2 * HOUR)
#define NEGATIVE_TTL (10 * SECOND)
#define IDLE (12 * HOUR)
#define GRACE (HOUR / 2)
#define BUDGET 30000u		/* and at times ten times that */
#define SPREAD (8 * SECOND)

#define THINGS 600u
#define LARGE 12u		/* of them, so large that these fill it */
#define OPERATIONS 300000u
#define TURN 4096u
#define EVENTS (CACHE_EVENT_FRESH_AGAIN + 1)

/* --- the reference --- */

struct thing {
	bool here;		/* there is an entry */
	bool has;		/* and a value in it */
	bool expired, kept, busy;
	bool stale_told, expiring_told, missed, gone;
	int refused;		/* ERR_*, 0: nothing is known */
	unsigned int failures, watchers;
	uint64_t version;
	int64_t expires;
	int fill;
	size_t len;
	int64_t confirmed, read, expired_at; /* boot clock; any sign */
	int64_t latest_due;	/* not later than this */
	uint64_t order;		/* of reads */
	size_t bytes;
};

struct world {
	struct cache *c;
	struct cache_config cfg;
	struct now now;
	bool floored;
	int64_t floor_wall, floor_boot;
	uint64_t rnd, orders;
	size_t overhead;	/* of an entry beside its object */
	struct thing t[THINGS];
	char ids[THINGS][16];
	unsigned int expected[THINGS][EVENTS];
	unsigned int told[THINGS][EVENTS];
	unsigned int done[EVENTS], states[CACHE_UNJUDGED + 1], restarts;
	size_t most;		/* entries at a time */
	unsigned int too_large;
};

static int64_t
boot(const struct world *w)
{
	return (int64_t)w->now.boot_ms;
}

/* What time it is, by the later of two clocks. */
static int64_t
wall(const struct world *w)
{
	int64_t floor = w->floored
	    ? w->floor_wall + boot(w) - w->floor_boot : INT64_MIN;

	return floor > w->now.wall_ms ? floor : w->now.wall_ms;
}

static bool
knows_time(const struct world *w)
{
	return wall(w) >= CACHE_WALL_PLAUSIBLE_MS;
}

static bool
is_pinned(size_t i)
{
	return i % 3 == 2;
}

/* Whatever has expired by now has done so for good. */
static void
all_expire(struct world *w)
{
	struct thing *t;

	for (t = w->t; t < w->t + THINGS; t++) {
		if (!t->has || t->expired || t->expires == MSG_NO_TIME ||
		    !knows_time(w) || t->expires > wall(w))
			continue;
		t->expired = true;
		t->expired_at = boot(w) - (wall(w) - t->expires);
		w->expected[t - w->t][CACHE_EVENT_EXPIRED]++;
	}
}

/* The table of the contract. */
static enum cache_state
answer(const struct world *w, size_t i)
{
	const struct thing *t = &w->t[i];
	int64_t age = boot(w) - t->confirmed;
	bool old = age > MAX_STALE + (t->failures == 0 ? INTERVAL : 0);

	if (!t->has)
		return t->refused != 0 && age < NEGATIVE_TTL
		    ? CACHE_NEGATIVE : CACHE_NONE;
	/* it never changes, so that its age means nothing by itself */
	if (is_pinned(i) && t->failures == 0)
		old = false;
	if (t->expired)
		return !old && boot(w) - t->expired_at < GRACE
		    ? CACHE_GRACE : CACHE_EXPIRED;
	if (old)
		return CACHE_TOO_OLD;
	if (t->expires != MSG_NO_TIME && !knows_time(w))
		return CACHE_UNJUDGED;
	return t->failures > 0 ? CACHE_STALE : CACHE_FRESH;
}

static bool
is_idle(const struct world *w, const struct thing *t)
{
	return !t->kept && t->watchers == 0 &&
	    (!t->has || boot(w) - t->read >= IDLE);
}

static size_t
total(const struct world *w)
{
	size_t i, sum = 0;

	for (i = 0; i < THINGS; i++)
		sum += w->t[i].here ? w->t[i].bytes : 0;
	return sum;
}

/* What is to go next for i's sake: the least recently read that may. */
static struct thing *
next_to_go(struct world *w, size_t i, bool busy)
{
	struct thing *t, *found = NULL;

	for (t = w->t; t < w->t + THINGS; t++) {
		if (t->here && t != &w->t[i] && !t->kept && t->watchers == 0 &&
		    t->busy == busy && (!busy || t->has) &&
		    (found == NULL || t->order < found->order))
			found = t;
	}
	return found;
}

static size_t
label_bytes(const struct world *w, size_t i, size_t name_len)
{
	struct object *o = object_new(REF_SECRET,
	    unit_view(w->ids[is_pinned(i) ? i - 1 : i]),
	    (struct view){ (const uint8_t *)"name", name_len });
	size_t bytes = object_label_bytes(o);

	object_unref(o);
	return w->overhead + bytes;
}

/* Its value goes, its entry stays; nobody knows anything of it. */
static void
forget_value(struct world *w, size_t i, int refused)
{
	struct thing *t = &w->t[i];

	if (t->has)
		t->bytes = label_bytes(w, i, 4);
	t->has = t->expired = t->stale_told = t->expiring_told = false;
	t->failures = 0;
	t->refused = refused;
	t->confirmed = boot(w);
}

/* Room for need bytes in place of what i has; false if there is none. */
static bool
make_room(struct world *w, size_t i, size_t need)
{
	static struct world trial;
	struct thing *t;

	trial = *w;
	while (total(&trial) - trial.t[i].bytes + need > w->cfg.max_bytes) {
		if ((t = next_to_go(&trial, i, false)) != NULL)
			*t = (struct thing){ .here = false };
		else if ((t = next_to_go(&trial, i, true)) != NULL)
			forget_value(&trial, (size_t)(t - trial.t), 0);
		else
			return false;
	}
	memcpy(w->t, trial.t, sizeof(w->t));
	return true;
}

/* The service confirmed it, by whatever it said. */
static void
confirmed(struct world *w, size_t i, int64_t at)
{
	struct thing *t = &w->t[i];

	t->confirmed = at;
	t->failures = 0;
	if (t->stale_told && !t->expired) {
		t->stale_told = false;
		w->expected[i][CACHE_EVENT_FRESH_AGAIN]++;
	}
}

/* --- the cache beside it --- */

static struct cache_key
key_of(const struct world *w, size_t i)
{
	return (struct cache_key){
		.kind = REF_SECRET, .version = is_pinned(i) ? 5 : 0,
		.id = unit_view(w->ids[is_pinned(i) ? i - 1 : i]),
	};
}

static struct cache_entry *
find(const struct world *w, size_t i)
{
	const struct cache_key key = key_of(w, i);

	return cache_find(w->c, &key);
}

static size_t
index_of(const struct cache_entry *e)
{
	size_t i = (size_t)strtoul((const char *)cache_id(e).p + 3, NULL, 10);

	assert_true(i < THINGS);
	return e->version != 0 ? i + 1 : i;
}

static void
note_event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct world *w = arg;
	size_t i = index_of(e);
	const struct thing *t = &w->t[i];

	w->done[ev]++;
	if (ev != CACHE_EVENT_EXPIRING) {
		w->told[i][ev]++;
		return;
	}
	/* when exactly, jitter says */
	assert_false(w->t[i].expiring_told && t->has &&
	    e->object->expires_at == t->expires);
	assert_false(e->expired);
	assert_true(e->object->expires_at > wall(w));
	assert_true(e->object->expires_at - wall(w) <= LEAD + LEAD / 8);
	w->t[i].expiring_told = true;
}

static int64_t
some_expiry(struct world *w, const struct thing *t)
{
	switch (unit_below(&w->rnd, 4)) {
	case 0:
		return wall(w) + (int64_t)unit_below(&w->rnd,
		    (size_t)(4 * HOUR)) - HOUR;
	case 1:
		return wall(w) + (int64_t)unit_below(&w->rnd,
		    (size_t)(2 * LEAD));
	case 2:
		return t->has ? t->expires : MSG_NO_TIME;
	default:
		return MSG_NO_TIME;
	}
}

static void
do_get(struct world *w, size_t i)
{
	const struct cache_key key = key_of(w, i);
	struct thing *t = &w->t[i];

	assert_non_null(cache_get(w->c, &key, &w->now));
	if (t->here)
		return;
	*t = (struct thing){
		.here = true, .confirmed = boot(w), .read = boot(w),
		.order = ++w->orders, .bytes = label_bytes(w, i, 0),
	};
}

static void
do_install(struct world *w, size_t i)
{
	struct thing *t = &w->t[i], was;
	struct cache_entry *e = find(w, i);
	uint64_t version = is_pinned(i) ? 5 : 1 + unit_below(&w->rnd, 2);
	int64_t expires = some_expiry(w, t);
	size_t len = unit_below(&w->rnd, i < LARGE ? 2 : 8) == 0
	    ? unit_below(&w->rnd, i < LARGE ? 8000 : 3000) : 100;
	int fill = unit_below(&w->rnd, 8) == 0 ? 'y' : 'x', r;
	bool same, changed = false, told;
	struct object *o;

	if (e == NULL)
		return;
	if (unit_below(&w->rnd, 40) == 0)
		len = 10 * BUDGET;
	o = unit_object(REF_SECRET, w->ids[is_pinned(i) ? i - 1 : i], "name",
	    version, expires, len, fill);
	all_expire(w);
	was = *t;
	same = was.has && was.version == version && was.expires == expires &&
	    was.fill == fill && was.len == len;
	told = t->expiring_told;
	if (!was.has || was.expires != expires)
		t->expiring_told = false;
	r = cache_install(w->c, e, o, (uint32_t)unit_random(&w->rnd), &w->now,
	    &changed);
	if (!make_room(w, i, w->overhead + object_bytes(o) +
	    (expires != MSG_NO_TIME ? HEAP_COST : 0))) {
		assert_int_equal(r, ERR_TOO_LARGE);
		w->too_large += len < BUDGET;
		t->expiring_told = told;
		object_unref(o);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(changed, !same);
	t->bytes = w->overhead + object_bytes(o) +
	    (expires != MSG_NO_TIME ? HEAP_COST : 0);
	object_unref(o);
	t->has = true;
	t->refused = 0;
	t->version = version;
	t->expires = expires;
	t->fill = fill;
	t->len = len;
	t->latest_due = boot(w) + (is_pinned(i) ? REREAD : INTERVAL);
	if (was.has ? !same : was.missed || was.gone)
		w->expected[i][CACHE_EVENT_CHANGED]++;
	t->missed = t->gone = false;
	/* what has expired needs something newer to be anything else */
	t->expired = was.has && was.expired && was.version == version &&
	    was.expires == expires;
	all_expire(w);
	confirmed(w, i, boot(w));
}

static void
do_refuse(struct world *w, size_t i)
{
	struct thing *t = &w->t[i];
	struct cache_entry *e = find(w, i);

	if (e == NULL)
		return;
	cache_install_negative(w->c, e, ERR_DENIED, &w->now);
	if (t->has || t->missed)
		w->expected[i][CACHE_EVENT_GONE]++;
	forget_value(w, i, ERR_DENIED);
	t->missed = false;
	t->gone = true;
}

static void
do_purge(struct world *w, size_t i)
{
	struct thing *t = &w->t[i];
	struct cache_entry *e = find(w, i);

	if (e == NULL)
		return;
	if (!t->busy && unit_below(&w->rnd, 2) == 0) {
		cache_drop(w->c, e);
		*t = (struct thing){ .here = false };
		return;
	}
	cache_clear(w->c, e, &w->now);
	t->missed = t->missed || t->has;
	forget_value(w, i, 0);
}

static void
do_fail(struct world *w, size_t i)
{
	struct thing *t = &w->t[i];
	struct cache_entry *e = find(w, i);
	int64_t retry = (int64_t)unit_below(&w->rnd, 60000);

	if (e == NULL)
		return;
	if (t->has)
		all_expire(w);
	cache_refresh_failed(w->c, e, ERR_UPSTREAM_UNAVAILABLE,
	    (uint64_t)retry, &w->now);
	if (!t->has)
		return;
	if (t->failures++ == 0 && !t->expired && !t->stale_told) {
		t->stale_told = true;
		w->expected[i][CACHE_EVENT_STALE]++;
	}
	t->latest_due = boot(w) + retry;
}

static void
do_confirm(struct world *w, size_t i)
{
	struct thing *t = &w->t[i];
	struct cache_entry *e = find(w, i);
	int64_t sent = boot(w) - (int64_t)unit_below(&w->rnd, 30000);
	uint64_t due;

	if (e == NULL)
		return;
	due = cache_next_phase(w->c, unit_view("page"), INTERVAL,
	    (uint32_t)unit_random(&w->rnd), &w->now);
	assert_in_range(due, boot(w) + INTERVAL / 16, boot(w) + INTERVAL);
	cache_confirm(w->c, e, (uint64_t)sent, due, &w->now);
	if (!t->has)
		return;
	all_expire(w);
	if (sent >= t->confirmed)
		confirmed(w, i, sent);
	if (!t->busy)
		t->latest_due = (int64_t)due;
	if (t->expired)
		t->latest_due = boot(w) + INTERVAL;
}

static void
do_touch(struct world *w, size_t i)
{
	struct cache_entry *e = find(w, i);

	if (e == NULL)
		return;
	cache_touch(w->c, e, &w->now);
	w->t[i].read = boot(w);
	w->t[i].order = ++w->orders;
}

static void
do_flags(struct world *w, size_t i)
{
	struct cache_entry *e = find(w, i);
	struct thing *t = &w->t[i];

	if (e == NULL)
		return;
	switch (unit_below(&w->rnd, 3)) {
	case 0:
		e->kept = t->kept = !t->kept && i < 40;
		break;
	case 1:
		e->watchers = t->watchers = i < 120
		    ? (unsigned int)unit_below(&w->rnd, 3) : 0;
		break;
	default:
		/* a job that ends leaves it with a time to be due at */
		if (t->busy) {
			t->busy = false;
			e->job = NULL;
			do_fail(w, i);
		} else if (unit_below(&w->rnd, 4) == 0) {
			t->busy = true;
			e->job = w;
		}
	}
}

static void
do_evict(struct world *w)
{
	size_t want = unit_below(&w->rnd, 3000), went = 0;
	struct thing *t;

	while (went < want && (t = next_to_go(w, THINGS, false)) != NULL) {
		went += t->bytes;
		*t = (struct thing){ .here = false };
	}
	assert_int_equal(cache_evict(w->c, want), went);
}

/* Another budget, which holds at once or from the next install on. */
static void
do_configure(struct world *w, size_t max_bytes)
{
	struct thing *t;

	w->cfg.max_bytes = max_bytes;
	cache_configure(w->c, &w->cfg);
	if (unit_below(&w->rnd, 2) == 0)
		return;
	cache_retime(w->c, unit_random(&w->rnd), &w->now);
	while (total(w) > max_bytes &&
	    (t = next_to_go(w, THINGS, false)) != NULL)
		*t = (struct thing){ .here = false };
	all_expire(w);
}

/* Whatever looks at the cache now sees what time it is. */
static void
look(struct world *w)
{
	size_t i;

	for (i = 0; i < THINGS; i++) {
		if (w->t[i].has) {
			(void)cache_state(w->c, find(w, i), &w->now);
			break;
		}
	}
	all_expire(w);
}

static void
pass(struct world *w, int64_t ms)
{
	w->now.boot_ms += (uint64_t)ms;
	w->now.wall_ms += ms;
	look(w);
}

static void
hear_date(struct world *w, int64_t date)
{
	if (!w->floored || date > w->floor_wall + boot(w) - w->floor_boot) {
		w->floored = true;
		w->floor_wall = date;
		w->floor_boot = boot(w);
	}
	cache_set_wall_floor(w->c, date, &w->now);
}

/* The clock is wrong, is set, is set wrongly; the service tells the time. */
static void
do_clock(struct world *w, size_t i)
{
	switch (unit_below(&w->rnd, 12)) {
	case 0:
		w->now.wall_ms += (int64_t)unit_below(&w->rnd,
		    (size_t)(3 * HOUR));
		break;
	case 1:
		w->now.wall_ms -= (int64_t)unit_below(&w->rnd,
		    (size_t)(3 * HOUR));
		break;
	case 2:
		if (unit_below(&w->rnd, 6) == 0)
			w->now.wall_ms = 0;
		break;
	case 3:
	case 4:
		if (w->now.wall_ms < CACHE_WALL_PLAUSIBLE_MS)
			w->now.wall_ms = UNIT_WALL_MS + boot(w);
		break;
	case 5:
		if (unit_below(&w->rnd, 4) == 0)
			hear_date(w, w->now.wall_ms < HOUR ? UNIT_WALL_MS
			    : w->now.wall_ms + (int64_t)unit_below(&w->rnd,
			    (size_t)HOUR) - HOUR / 2);
		break;
	case 6:
		/* to the very millisecond */
		if (w->t[i].has && w->t[i].expires != MSG_NO_TIME &&
		    w->t[i].expires > w->now.wall_ms)
			w->now.wall_ms = w->t[i].expires;
		break;
	default:
		pass(w, (int64_t)unit_below(&w->rnd,
		    unit_below(&w->rnd, 10) == 0 ? (size_t)(20 * MINUTE)
		    : 2000));
	}
	look(w);
}

/* Whatever has been met as idle is gone from both. */
static void
forget_idle(struct world *w)
{
	size_t i;

	for (i = 0; i < THINGS; i++) {
		if (!w->t[i].here || find(w, i) != NULL)
			continue;
		assert_true(is_idle(w, &w->t[i]));
		assert_false(w->t[i].busy);
		w->t[i] = (struct thing){ .here = false };
	}
}

static void
do_due(struct world *w)
{
	struct cache_entry *e;
	size_t i, what;

	all_expire(w);
	while ((e = cache_next_due(w->c, &w->now)) != NULL) {
		forget_idle(w);
		i = index_of(e);
		assert_false(w->t[i].busy);
		assert_false(is_idle(w, &w->t[i]));
		what = unit_below(&w->rnd, 40);
		if (what < 18) {
			do_install(w, i);
			/* too large: that is the end of it */
			if (cache_due_boot_ms(w->c, e) == UINT64_MAX)
				do_refuse(w, i);
		} else if (what < 28) {
			do_fail(w, i);
		} else if (what < 39 && w->t[i].has) {
			assert_int_equal(cache_park(w->c, e), 0);
			assert_non_null(cache_parked(w->c));
			do_confirm(w, i);
		} else {
			do_refuse(w, i);
		}
		/* what was due a moment ago may be so again */
		pass(w, 1);
	}
	forget_idle(w);
	assert_true(cache_wait_ms(w->c, &w->now) > 0);
	for (i = 0; i < THINGS; i++) {
		/* nobody was passed over */
		if (w->t[i].has && !w->t[i].busy)
			assert_true(w->t[i].latest_due >= boot(w) ||
			    w->t[i].expired);
		/* and who wanted to know, knows */
		if (w->t[i].has && !w->t[i].expired && knows_time(w) &&
		    w->t[i].expires != MSG_NO_TIME &&
		    w->t[i].expires - wall(w) <= LEAD)
			assert_true(w->t[i].expiring_told);
	}
}

/* --- restarts --- */

static void
world_begin(struct world *w)
{
	w->c = cache_new(&w->cfg);
	assert_non_null(w->c);
	cache_set_watcher(w->c, note_event, w);
}

static bool
end_job(void *arg, struct cache_entry *e)
{
	(void)arg;
	e->job = NULL;
	return true;
}

static void
world_end(struct world *w)
{
	cache_foreach(w->c, end_job, NULL);
	cache_free(w->c);
}

struct snapshot {
	struct world *w;
	struct cache_restored r[THINGS];
	size_t index[THINGS], count;
};

static bool
dump(void *arg, struct cache_entry *e)
{
	struct snapshot *s = arg;
	const struct now *now = &s->w->now;

	if (e->object == NULL)
		return true;
	s->index[s->count] = index_of(e);
	s->r[s->count++] = (struct cache_restored){
		.object = object_ref(e->object),
		.age_ms = now->boot_ms - e->confirmed_boot_ms,
		.read_age_ms = now->boot_ms - e->read_boot_ms,
		.reread_in_ms = e->reread_boot_ms - now->boot_ms,
		.failures = e->failures,
		.expired = e->expired,
		.expired_age_ms = e->expired
		    ? (uint64_t)(boot(s->w) - e->expired_boot_ms) : 0,
	};
	return true;
}

/*
 * One of them is put in again: the same moments as before (was), on a clock
 * that is behind by shift, after so long away.
 */
static void
restore(struct world *w, size_t i, struct cache_restored *r,
    const struct thing *was, int64_t shift, int64_t away)
{
	const int64_t interval = is_pinned(i) ? REREAD : INTERVAL;
	struct thing *t = &w->t[i];
	uint64_t due;
	bool fits;

	r->key = key_of(w, i);
	r->age_ms += (uint64_t)away;
	r->read_age_ms += (uint64_t)away;
	r->expired_age_ms += (uint64_t)away;
	*t = *was;
	t->confirmed -= shift + away;
	t->read -= shift + away;
	t->expired_at -= shift + away;
	t->kept = t->busy = t->expiring_told = t->missed = t->gone = false;
	t->watchers = 0;
	t->stale_told = t->failures > 0 && !t->expired;
	t->order = ++w->orders;
	t->latest_due = boot(w) + interval;
	fits = total(w) <= w->cfg.max_bytes;
	assert_int_equal(cache_restore(w->c, r, SPREAD,
	    (uint32_t)unit_random(&w->rnd), &w->now),
	    fits ? 0 : ERR_TOO_LARGE);
	if (!fits) {
		*t = (struct thing){ .here = false };
		return;
	}
	due = cache_due_boot_ms(w->c, find(w, i));
	assert_in_range(due, boot(w), t->latest_due);
	/* what is late is due soon */
	if (t->failures > 0 || t->expired ||
	    boot(w) - t->confirmed >= interval)
		assert_in_range(due, boot(w), boot(w) + SPREAD);
}

/* The agent, and at times the machine, starts again after a while. */
static void
do_restart(struct world *w)
{
	static struct snapshot s;
	static struct thing was[THINGS];
	int64_t away = (int64_t)unit_below(&w->rnd, (size_t)(20 * MINUTE));
	int64_t shift = unit_below(&w->rnd, 2) == 0 ? boot(w) - 5000 : -away;
	size_t n;

	s = (struct snapshot){ .w = w };
	cache_foreach(w->c, dump, &s);
	world_end(w);
	w->restarts++;
	w->now.boot_ms = (uint64_t)(boot(w) - shift);
	w->now.wall_ms += away;
	if (unit_below(&w->rnd, 8) == 0)
		w->now.wall_ms = 1000;
	w->floored = false;
	memcpy(was, w->t, sizeof(was));
	memset(w->t, 0, sizeof(w->t));
	world_begin(w);
	for (n = 0; n < s.count; n++) {
		restore(w, s.index[n], &s.r[n], &was[s.index[n]], shift, away);
		object_unref(s.r[n].object);
	}
	look(w);
}

/* --- checks --- */

/* Whatever the reference thinks: what must never be served is not. */
static void
check_served(struct world *w, const struct cache_entry *e,
    enum cache_state state)
{
	int64_t age = (int64_t)(w->now.boot_ms - e->confirmed_boot_ms);
	int64_t expires;

	w->states[state]++;
	if (state != CACHE_FRESH && state != CACHE_STALE &&
	    state != CACHE_GRACE)
		return;
	assert_non_null(e->object);
	expires = e->object->expires_at;
	if (state == CACHE_GRACE) {
		assert_true(boot(w) - e->expired_boot_ms < GRACE);
	} else if (expires != MSG_NO_TIME) {
		assert_true(knows_time(w));
		assert_true(expires > wall(w));
	}
	if (state == CACHE_STALE)
		assert_true(age <= MAX_STALE);
	else if (e->version == 0)
		assert_true(age <= MAX_STALE + INTERVAL);
}

static void
check_thing(struct world *w, size_t i)
{
	struct cache_entry *e = find(w, i);
	const struct thing *t = &w->t[i];
	enum cache_state state;
	size_t ev;

	assert_int_equal(e != NULL, t->here);
	if (e != NULL) {
		if (t->has)
			all_expire(w);
		state = cache_state(w->c, e, &w->now);
		assert_int_equal(state, answer(w, i));
		check_served(w, e, state);
		assert_int_equal(cache_entry_bytes(e), t->bytes);
		if (t->has) {
			assert_int_equal(e->object->version, t->version);
			assert_int_equal(object_value(e->object).len, t->len);
			assert_true(cache_age(e, &w->now) ==
			    (uint64_t)(boot(w) - t->confirmed));
		}
	}
	for (ev = 0; ev < EVENTS; ev++)
		assert_int_equal(w->told[i][ev], w->expected[i][ev]);
}

static void
check_heap(const struct heap *h)
{
	uint32_t i;

	for (i = 1; i < h->count; i++)
		assert_true(h->items[(i - 1) / 4].key <= h->items[i].key);
}

/* Every way to an entry leads to it, and there are no others. */
static void
check_structure(struct world *w)
{
	struct cache *c = w->c;
	uint32_t n = 0, due = 0, expiry = 0, parked = 0, number, older = 0;
	const struct heap *h;
	struct cache_entry *e;
	uint64_t order = 0;
	size_t i;

	for (number = c->oldest; number != SLAB_NONE; number = e->newer) {
		e = cache_at(c, number);
		i = index_of(e);
		n++;
		assert_int_equal(slab_number(&c->entries, e), number);
		assert_int_equal(e->older, older);
		assert_ptr_equal(find(w, i), e);
		assert_true(w->t[i].order > order);
		order = w->t[i].order;
		older = number;
		h = e->parked ? &c->parked : &c->due;
		if (e->due_slot != CACHE_NOT_IN_HEAP) {
			assert_int_equal(h->items[e->due_slot].element,
			    number);
			due += !e->parked;
			parked += e->parked;
		} else if (e->object != NULL) {
			assert_non_null(e->job);
		}
		assert_int_equal(e->expiry_slot != CACHE_NOT_IN_HEAP,
		    e->object != NULL && !e->expired &&
		    e->object->expires_at != MSG_NO_TIME);
		if (e->expiry_slot != CACHE_NOT_IN_HEAP) {
			assert_int_equal(c->expiry.items[e->expiry_slot].
			    element, number);
			expiry++;
		}
	}
	assert_int_equal(c->newest, older);
	assert_int_equal(n, c->count);
	assert_int_equal(due, c->due.count);
	assert_int_equal(parked, c->parked.count);
	assert_int_equal(expiry, c->expiry.count);
	check_heap(&c->due);
	check_heap(&c->expiry);
}

static void
check_all(struct world *w)
{
	struct cache_stats stats;
	size_t i, secrets = 0, negatives = 0, stale = 0;

	for (i = 0; i < THINGS; i++) {
		check_thing(w, i);
		secrets += w->t[i].has;
		negatives += w->t[i].here && w->t[i].refused != 0;
		stale += w->t[i].has && w->t[i].failures > 0;
	}
	check_structure(w);
	if (w->c->count > w->most)
		w->most = w->c->count;
	cache_get_stats(w->c, &stats);
	assert_int_equal(stats.secrets, secrets);
	assert_int_equal(stats.negatives, negatives);
	assert_int_equal(stats.stale, stale);
	assert_int_equal(stats.bytes, total(w));
}

static void
step(struct world *w, size_t i)
{
	switch (unit_below(&w->rnd, 16)) {
	case 0:
	case 1:
		do_get(w, i);
		if (!w->t[i].busy && !w->t[i].has)
			do_install(w, i);
		break;
	case 2:
	case 3:
	case 4:
		if (!w->t[i].busy)
			do_install(w, i);
		break;
	case 5:
		if (!w->t[i].busy && unit_below(&w->rnd, 3) == 0)
			do_refuse(w, i);
		break;
	case 6:
		if (unit_below(&w->rnd, 3) == 0)
			do_purge(w, i);
		break;
	case 7:
		if (!w->t[i].busy)
			do_fail(w, i);
		break;
	case 8:
		do_confirm(w, i);
		break;
	case 9:
	case 10:
		do_touch(w, i);
		break;
	case 11:
		do_flags(w, i);
		break;
	case 12:
		if (unit_below(&w->rnd, 16) == 0)
			do_evict(w);
		break;
	case 13:
		if (unit_below(&w->rnd, 400) == 0)
			do_restart(w);
		break;
	default:
		do_clock(w, i);
	}
	check_thing(w, i);
}

static uint64_t
env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

/* What an entry takes beside what its object does. */
static void
measure_overhead(struct world *w)
{
	do_get(w, 0);
	w->overhead = cache_entry_bytes(find(w, 0)) - label_bytes(w, 0, 0);
	w->t[0].bytes = label_bytes(w, 0, 0);
}

static void
test_random_operations_match_the_reference(void **state)
{
	static struct world w;
	uint64_t ops = env_number("QAPI_TEST_OPS", OPERATIONS), n;
	bool tight;
	size_t i;

	(void)state;
	w.rnd = getenv("QAPI_TEST_SEED") != NULL
	    ? env_number("QAPI_TEST_SEED", 0) : unit_seed();
	print_message("QAPI_TEST_SEED=%" PRIu64 " QAPI_TEST_OPS=%" PRIu64
	    "\n", w.rnd, ops);
	w.cfg = (struct cache_config){
		.max_bytes = BUDGET, .refresh_interval_ms = INTERVAL,
		.refresh_lead_ms = LEAD, .reread_interval_ms = REREAD,
		.max_stale_ms = MAX_STALE, .negative_ttl_ms = NEGATIVE_TTL,
		.idle_evict_ms = IDLE, .serve_expired_ms = GRACE, .phase = 7,
	};
	w.now = (struct now){ .boot_ms = 5000, .wall_ms = UNIT_WALL_MS };
	for (i = 0; i < THINGS; i++)
		(void)snprintf(w.ids[i], sizeof(w.ids[i]), "id-%zu", i);
	world_begin(&w);
	measure_overhead(&w);
	for (n = 0; n < ops; n++) {
		/* by turns room for all, or for few, some of which stay */
		tight = n / TURN % 4 == 3;
		if (n % TURN == 0) {
			do_configure(&w, tight ? BUDGET : 10 * BUDGET);
		}
		step(&w, unit_below(&w.rnd, tight && n % 2 == 0 ? LARGE
		    : THINGS));
		if (n % 64 == 0)
			do_due(&w);
		if (n % 128 == 0)
			check_all(&w);
	}
	check_all(&w);
	/* all of it has happened */
	if (ops >= OPERATIONS) {
		for (i = 0; i < EVENTS; i++)
			assert_true(w.done[i] > 500);
		for (i = 0; i <= CACHE_UNJUDGED; i++)
			assert_true(w.states[i] > 50);
		assert_true(w.restarts > 10);
		assert_true(w.most > 256);
		assert_true(w.too_large > 10);
	}
	world_end(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_match_the_reference),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
