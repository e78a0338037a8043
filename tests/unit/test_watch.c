#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "fetch.h"
#include "watch.h"

#define SECOND 1000u
#define INTERVAL (300u * SECOND)
#define UUID_1 "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
#define UUID_2 "5f0c1a7e-0002-4c7b-9d1e-0123456789ab"

#define CHANGED WATCH_BIT(CACHE_EVENT_CHANGED)
#define EXPIRING WATCH_BIT(CACHE_EVENT_EXPIRING)
#define EXPIRED WATCH_BIT(CACHE_EVENT_EXPIRED)
#define GONE WATCH_BIT(CACHE_EVENT_GONE)
#define STALE WATCH_BIT(CACHE_EVENT_STALE)
#define FRESH WATCH_BIT(CACHE_EVENT_FRESH_AGAIN)

struct fixture {
	struct fake_upstream fu;
	struct fetch *fetch;
	struct watch *watch;
	struct metrics metrics;
	struct secmem key;
	bool in_cache;		/* on the stack above ready() */
};

struct listener {
	struct watch_sub sub;
	struct fixture *f;
	unsigned int calls;
	uint8_t seen;
};

static bool
reload_key(void *arg)
{
	(void)arg;
	return false;
}

static void
ignore(void *arg)
{
	(void)arg;
}

static void
event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct fixture *f = arg;

	f->in_cache = true;
	watch_event(f->watch, e, ev);
	f->in_cache = false;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 4u << 20,
			.refresh_interval_ms = INTERVAL,
			.refresh_lead_ms = 60 * SECOND,
			.reread_interval_ms = 86400 * SECOND,
			.max_stale_ms = 86400 * SECOND,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 2 * INTERVAL,
		},
		.unauthorized_grace_ms = INTERVAL, .max_in_flight = 16,
	};
	struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = ignore,
		.wiped = ignore, .event = event,
	};

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	hooks.arg = f;
	assert_int_equal(secmem_copy(&f->key, "0123456789abcdef0123456789abcdef",
	    32, SECMEM_LIBRARY), 0);
	f->fetch = fetch_new(NULL, &f->fu.up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	f->watch = watch_new(NULL, f->fetch, &f->key);
	assert_non_null(f->watch);
	watch_configure(f->watch, INTERVAL);
	fake_upstream_add(&f->fu, REF_SECRET, UUID_1, "db/one", "1");
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "db/two", "2");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	watch_free(f->watch);
	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	secmem_free_bytes(&f->key);
	free(f);
	return 0;
}

static void
ready(void *arg)
{
	struct listener *l = arg;

	assert_false(l->f->in_cache);
	l->calls++;
	l->seen |= l->sub.pending;
}

static void
fetched(void *arg, struct fetch_result *result)
{
	*(int *)arg = result->error;
	object_unref(result->object);
}

/* Read it, so that it is cached. */
static void
read_it(struct fixture *f, const char *name, bool fresh)
{
	const struct ref ref = {
		.kind = REF_SECRET, .name = unit_view(name),
	};
	const struct fetch_query q = {
		.ref = &ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT, .fresh = fresh,
	};
	struct fetch_result result;
	struct fetch_wait *wait;
	int error = 1;

	if (fetch_get(f->fetch, &q, &fake_now, &result, fetched, &wait) == 0) {
		object_unref(result.object);
		return;
	}
	fetch_set_arg(wait, &error);
	fake_upstream_serve(&f->fu);
	assert_int_not_equal(error, 1);
}

static struct cache_key
key_of(const char *id)
{
	return (struct cache_key){ .kind = REF_SECRET, .id = unit_view(id) };
}

static void
begin(struct fixture *f, struct listener *l, const char *text)
{
	memset(l, 0, sizeof(*l));
	l->f = f;
	watch_begin(f->watch, &l->sub, REF_SECRET, unit_view(text), ready, l);
}

static void
begin_bound(struct fixture *f, struct listener *l, const char *text,
    const char *id)
{
	const struct cache_key key = key_of(id);

	begin(f, l, text);
	assert_int_equal(watch_bind(&l->sub, &key), 0);
}

/* --- which events say the same --- */

static void
test_coalesce(void **state)
{
	static const struct {
		uint8_t pending;
		enum cache_event ev;
		uint8_t expected;
	} rows[] = {
		{ 0, CACHE_EVENT_CHANGED, CHANGED },
		{ CHANGED, CACHE_EVENT_CHANGED, CHANGED },
		{ GONE, CACHE_EVENT_CHANGED, CHANGED },
		{ EXPIRED | STALE, CACHE_EVENT_CHANGED, CHANGED | STALE },
		{ EXPIRING, CACHE_EVENT_CHANGED, CHANGED },
		{ EXPIRING, CACHE_EVENT_EXPIRED, EXPIRED },
		{ CHANGED, CACHE_EVENT_EXPIRING, CHANGED | EXPIRING },
		{ CHANGED | EXPIRING | STALE, CACHE_EVENT_GONE, GONE },
		{ STALE, CACHE_EVENT_FRESH_AGAIN, 0 },
		{ FRESH, CACHE_EVENT_STALE, 0 },
		{ CHANGED | STALE, CACHE_EVENT_FRESH_AGAIN, CHANGED },
		{ 0, CACHE_EVENT_STALE, STALE },
		{ 0, CACHE_EVENT_FRESH_AGAIN, FRESH },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++)
		assert_int_equal(watch_coalesce(rows[i].pending, rows[i].ev),
		    rows[i].expected);
}

/* Whatever comes, a change is not lost to what comes after, but to gone. */
static void
test_coalesce_never_loses_where_the_value_is(void **state)
{
	unsigned int pending, ev;
	uint8_t to;

	(void)state;
	for (pending = 0; pending < 1u << WATCH_EVENTS; pending++) {
		for (ev = 0; ev < WATCH_EVENTS; ev++) {
			to = watch_coalesce((uint8_t)pending,
			    (enum cache_event)ev);
			assert_true(to < 1u << WATCH_EVENTS);
			if (pending & (CHANGED | GONE))
				assert_true(to & (CHANGED | GONE));
			if (ev == CACHE_EVENT_GONE)
				assert_int_equal(to, GONE);
		}
	}
}

/* --- subscriptions --- */

static void
test_bind_marks_the_entry(void **state)
{
	struct fixture *f = *state;
	struct cache_key key = key_of(UUID_1);
	struct listener a, b;
	struct cache_entry *e;
	struct watch_stats stats;

	begin(f, &a, "db/one");
	assert_int_equal(a.sub.state, WATCH_UNKNOWN);
	assert_int_equal(watch_bind(&a.sub, &key), ERR_NOT_FOUND);
	assert_null(watch_entry(&a.sub));
	read_it(f, UUID_1, false);
	assert_int_equal(watch_bind(&a.sub, &key), 0);
	assert_int_equal(a.sub.state, WATCH_BOUND);
	e = watch_entry(&a.sub);
	assert_non_null(e);
	assert_int_equal(e->watchers, 1);
	begin_bound(f, &b, UUID_1, UUID_1);
	assert_int_equal(e->watchers, 2);
	/* once more is the same */
	assert_int_equal(watch_bind(&a.sub, &key), 0);
	assert_int_equal(e->watchers, 2);
	assert_true(watch_is_bound_to(&a.sub, &key));
	assert_true(watch_is_by_name(&a.sub));
	assert_false(watch_is_by_name(&b.sub));
	watch_get_stats(f->watch, &stats);
	assert_int_equal(stats.subscriptions, 2);
	assert_int_equal(stats.values, 1);
	watch_end(&a.sub);
	assert_int_equal(e->watchers, 1);
	watch_end(&b.sub);
	assert_int_equal(e->watchers, 0);
	watch_get_stats(f->watch, &stats);
	assert_int_equal(stats.subscriptions + stats.values, 0);
}

static void
test_bind_moves(void **state)
{
	struct fixture *f = *state;
	const struct cache_key one = key_of(UUID_1), two = key_of(UUID_2);
	struct cache *c = fetch_cache(f->fetch);
	struct listener a;

	read_it(f, UUID_1, false);
	read_it(f, UUID_2, false);
	begin_bound(f, &a, "db/one", UUID_1);
	assert_int_equal(watch_bind(&a.sub, &two), 0);
	assert_false(watch_is_bound_to(&a.sub, &one));
	assert_int_equal(cache_find(c, &one)->watchers, 0);
	assert_int_equal(cache_find(c, &two)->watchers, 1);
	watch_end(&a.sub);
}

static void
test_change_is_told_to_all_who_watch_it_and_to_no_others(void **state)
{
	struct fixture *f = *state;
	struct listener a, b, other;
	struct position before, after;

	read_it(f, UUID_1, false);
	read_it(f, UUID_2, false);
	begin_bound(f, &a, UUID_1, UUID_1);
	begin_bound(f, &b, UUID_1, UUID_1);
	begin_bound(f, &other, UUID_2, UUID_2);
	watch_position(&a.sub, &before);
	f->fu.things[0].value = "new";
	f->fu.things[0].version++;
	read_it(f, UUID_1, true);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_int_equal(other.calls, 0);
	assert_int_equal(watch_take(&a.sub), CHANGED);
	assert_int_equal(watch_take(&a.sub), 0);
	assert_int_equal(b.sub.pending, CHANGED);
	watch_position(&a.sub, &after);
	assert_false(position_equal(&before, &after));
	watch_end(&a.sub);
	watch_end(&b.sub);
	watch_end(&other.sub);
}

static void
test_gone_has_no_position_and_it_is_seen_to_come_back(void **state)
{
	struct fixture *f = *state;
	struct listener a;
	struct position before, at;

	read_it(f, UUID_1, false);
	begin_bound(f, &a, UUID_1, UUID_1);
	watch_position(&a.sub, &before);
	f->fu.things[0].status = 404;
	read_it(f, UUID_1, true);
	assert_int_equal(watch_take(&a.sub), GONE);
	watch_position(&a.sub, &at);
	assert_true(position_is_none(&at));
	f->fu.things[0].status = 0;
	/* nobody asks for it */
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	assert_int_equal(watch_take(&a.sub), CHANGED);
	watch_position(&a.sub, &at);
	assert_true(position_equal(&at, &before));
	watch_end(&a.sub);
}

static void
test_stale_and_fresh_again_while_nobody_listens_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct listener a;

	read_it(f, UUID_1, false);
	begin_bound(f, &a, UUID_1, UUID_1);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, INTERVAL + 10 * SECOND);
	assert_int_equal(a.sub.pending, STALE);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, 60 * SECOND);
	assert_int_equal(a.sub.pending, 0);
	/* but each is told to who does */
	assert_true(a.seen & STALE);
	watch_end(&a.sub);
}

static void
test_watched_is_neither_idle_nor_purged_away(void **state)
{
	struct fixture *f = *state;
	const struct cache_key one = key_of(UUID_1), two = key_of(UUID_2);
	struct cache *c = fetch_cache(f->fetch);
	struct listener a;

	read_it(f, UUID_1, false);
	read_it(f, UUID_2, false);
	begin_bound(f, &a, UUID_1, UUID_1);
	fake_upstream_pass(&f->fu, 5 * INTERVAL);
	assert_non_null(cache_find(c, &one));
	assert_null(cache_find(c, &two));
	(void)fetch_purge_all(f->fetch);
	assert_null(watch_entry(&a.sub)->object);
	f->fu.things[0].value = "new";
	f->fu.things[0].version++;
	fake_upstream_pass(&f->fu, 60 * SECOND);
	assert_true(a.seen & CHANGED);
	watch_end(&a.sub);
	fake_upstream_pass(&f->fu, 5 * INTERVAL);
	assert_null(cache_find(c, &one));
}

/* --- names, and what could not be found --- */

static void
test_unknown_is_looked_for_again_soon_and_then_less_often(void **state)
{
	struct fixture *f = *state;
	struct listener a;
	unsigned int i;

	begin(f, &a, "nope");
	for (i = 0; i < 6; i++) {
		a.sub.look_again = false;
		watch_lost(&a.sub, false, &fake_now);
		assert_true(a.sub.again_boot_ms > fake_now.boot_ms);
		assert_true(a.sub.again_boot_ms <=
		    fake_now.boot_ms + 23 * SECOND);
		fake_upstream_pass(&f->fu, 24 * SECOND);
		assert_true(a.sub.look_again);
		assert_int_equal(a.calls, i + 1);
	}
	watch_end(&a.sub);
}

static void
test_absent_is_looked_for_once_an_interval(void **state)
{
	struct fixture *f = *state;
	struct listener a;
	unsigned int i;

	begin(f, &a, "nope");
	fake_upstream_pass(&f->fu, 2 * SECOND);
	for (i = 0; i < 4; i++) {
		a.sub.look_again = false;
		watch_lost(&a.sub, true, &fake_now);
		fake_upstream_pass(&f->fu, INTERVAL + 2 * SECOND);
	}
	assert_true(a.calls >= 3 && a.calls <= 5);
	watch_end(&a.sub);
}

static void
test_listing_that_gives_the_name_to_another(void **state)
{
	struct fixture *f = *state;
	struct listener a, b;

	read_it(f, "db/one", false);
	read_it(f, "db/two", false);
	begin_bound(f, &a, "db/one", UUID_1);
	begin_bound(f, &b, "db/two", UUID_2);
	fake_upstream_pass(&f->fu, 3 * SECOND);
	assert_int_equal(a.calls, 0);
	f->fu.things[0].name = "db/old";
	f->fu.things[1].name = "db/one";
	fake_upstream_pass(&f->fu, 20 * SECOND);
	read_it(f, "not in it", false);	/* has the listing renewed */
	fake_upstream_pass(&f->fu, 3 * SECOND);
	assert_true(a.sub.look_again);
	assert_true(b.sub.look_again);
	watch_end(&a.sub);
	watch_end(&b.sub);
}

static void
test_lost_name_hears_nothing_of_the_thing_that_had_it(void **state)
{
	struct fixture *f = *state;
	struct listener a;
	struct position at;

	read_it(f, UUID_1, false);
	begin_bound(f, &a, "db/one", UUID_1);
	watch_lost(&a.sub, true, &fake_now);
	watch_position(&a.sub, &at);
	assert_true(position_is_none(&at));
	f->fu.things[0].version++;
	read_it(f, UUID_1, true);
	assert_int_equal(a.sub.pending, 0);
	watch_end(&a.sub);
}

static void
test_recheck_asks_all(void **state)
{
	struct fixture *f = *state;
	struct listener a, b;

	begin(f, &a, "x");
	begin(f, &b, "y");
	watch_recheck(f->watch);
	assert_true(a.sub.recheck && b.sub.recheck);
	assert_int_equal(a.calls + b.calls, 2);
	watch_end(&a.sub);
	watch_end(&b.sub);
}

/* Tables grow, and what leaves in the middle of a walk is passed over. */
static void
test_many(void **state)
{
	enum { MANY = 300 };
	struct fixture *f = *state;
	static struct listener l[MANY];
	static char ids[MANY][40];
	struct watch_stats stats;
	size_t i;

	for (i = 2; i < MANY; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]),
		    "5f0c1a7e-%04zu-4c7b-9d1e-0123456789ff", i);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], ids[i], "v");
		read_it(f, ids[i], false);
		begin_bound(f, &l[i], ids[i], ids[i]);
	}
	for (i = 2; i < MANY; i++) {
		f->fu.things[i].version++;
		read_it(f, ids[i], true);
		assert_int_equal(l[i].sub.pending, CHANGED);
	}
	fake_upstream_pass(&f->fu, 1500);
	for (i = 2; i < MANY; i += 2)
		watch_end(&l[i].sub);
	watch_get_stats(f->watch, &stats);
	assert_int_equal(stats.values, MANY / 2 - 1);
	for (i = 3; i < MANY; i += 2)
		watch_end(&l[i].sub);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coalesce),
		cmocka_unit_test(test_coalesce_never_loses_where_the_value_is),
		cmocka_unit_test_setup_teardown(test_bind_marks_the_entry,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bind_moves, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_change_is_told_to_all_who_watch_it_and_to_no_others,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_gone_has_no_position_and_it_is_seen_to_come_back,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_stale_and_fresh_again_while_nobody_listens_is_nothing,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_watched_is_neither_idle_nor_purged_away, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_unknown_is_looked_for_again_soon_and_then_less_often,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_absent_is_looked_for_once_an_interval, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_listing_that_gives_the_name_to_another, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_lost_name_hears_nothing_of_the_thing_that_had_it,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recheck_asks_all, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
