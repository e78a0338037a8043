#include "config.h"

#include "agent_unit.h"

#include "cache.h"
#include "err.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)
#define DAY (24u * HOUR)

#define INTERVAL (5u * MINUTE)
#define LEAD (60u * SECOND)
#define REREAD DAY
#define MAX_STALE DAY
#define NEGATIVE_TTL (10u * SECOND)
#define IDLE DAY

static const struct cache_config defaults = {
	.max_bytes = 1u << 20,
	.refresh_interval_ms = INTERVAL,
	.refresh_lead_ms = LEAD,
	.reread_interval_ms = REREAD,
	.max_stale_ms = MAX_STALE,
	.negative_ttl_ms = NEGATIVE_TTL,
	.idle_evict_ms = IDLE,
	.serve_expired_ms = 0,
};

struct fixture {
	struct cache_config cfg;
	struct cache *c;
	struct now now;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->cfg = defaults;
	f->now = (struct now){ .boot_ms = 1000 * HOUR,
		.wall_ms = UNIT_WALL_MS };
	f->c = cache_new(&f->cfg);
	assert_non_null(f->c);
	*state = f;
	return 0;
}

/* Whatever a test leaves, the figures are zero when it has been dropped. */
static bool
drop_all(void *arg, struct cache_entry *e)
{
	e->job = NULL;
	cache_drop(arg, e);
	return true;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;

	cache_foreach(f->c, drop_all, f->c);
	cache_get_stats(f->c, &stats);
	assert_int_equal(stats.bytes, 0);
	assert_int_equal(stats.secrets, 0);
	assert_int_equal(stats.keys, 0);
	assert_int_equal(stats.negatives, 0);
	assert_int_equal(stats.stale, 0);
	assert_true(cache_wait_ms(f->c, &f->now) == UINT64_MAX);
	cache_free(f->c);
	free(f);
	return 0;
}

static void
configure(struct fixture *f)
{
	cache_configure(f->c, &f->cfg);
}

/* Both clocks go on. */
static void
pass(struct fixture *f, uint64_t ms)
{
	f->now.boot_ms += ms;
	f->now.wall_ms += (int64_t)ms;
}

static struct cache_key
key_of(const char *id)
{
	return (struct cache_key){ .kind = REF_SECRET, .id = unit_view(id) };
}

static struct cache_entry *
get(struct fixture *f, const char *id)
{
	const struct cache_key key = key_of(id);
	struct cache_entry *e = cache_get(f->c, &key, &f->now);

	assert_non_null(e);
	return e;
}

static struct cache_entry *
find(struct fixture *f, const char *id)
{
	const struct cache_key key = key_of(id);

	return cache_find(f->c, &key);
}

static struct cache_entry *
get_pinned(struct fixture *f, const char *id, uint64_t version)
{
	struct cache_key key = key_of(id);
	struct cache_entry *e;

	key.version = version;
	e = cache_get(f->c, &key, &f->now);
	assert_non_null(e);
	return e;
}

static bool
install(struct fixture *f, struct cache_entry *e, uint64_t version,
    int64_t expires_at, uint32_t rnd)
{
	struct object *o = unit_object(e->kind, e->id, "name", version,
	    expires_at, 16, (int)version);
	bool changed = false;

	assert_int_equal(cache_install(f->c, e, o, rnd, &f->now, &changed), 0);
	object_unref(o);
	return changed;
}

/* An entry with a value of so many bytes. */
static struct cache_entry *
put_sized(struct fixture *f, const char *id, size_t len, int expect)
{
	struct cache_entry *e = get(f, id);
	struct object *o = unit_object(REF_SECRET, id, "name", 1, MSG_NO_TIME,
	    len, 'x');

	assert_int_equal(cache_install(f->c, e, o, 0, &f->now, NULL), expect);
	object_unref(o);
	return e;
}

/* An entry whose value expires in so many ms from now. */
static struct cache_entry *
put_expiring(struct fixture *f, const char *id, int64_t in_ms)
{
	struct cache_entry *e = get(f, id);

	(void)install(f, e, 1, f->now.wall_ms + in_ms, 0);
	return e;
}

static struct cache_entry *
put(struct fixture *f, const char *id)
{
	struct cache_entry *e = get(f, id);

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	return e;
}

static enum cache_state
state_of(struct fixture *f, struct cache_entry *e)
{
	return cache_state(f->c, e, &f->now);
}

static struct cache_stats
stats_of(struct fixture *f)
{
	struct cache_stats stats;

	cache_get_stats(f->c, &stats);
	return stats;
}

/* --- entries --- */

static void
test_new_entry_says_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	assert_int_equal(state_of(f, e), CACHE_NONE);
	assert_null(e->object);
	assert_string_equal(e->id, "s-1");
	assert_ptr_equal(get(f, "s-1"), e);
	assert_ptr_equal(find(f, "s-1"), e);
	assert_null(find(f, "s-2"));
	assert_int_equal(stats_of(f).secrets, 0);
	assert_int_equal(stats_of(f).negatives, 0);
	assert_true(stats_of(f).bytes > 0);
	assert_true(cache_wait_ms(f->c, &f->now) == UINT64_MAX);
}

static void
test_kinds_formats_and_versions_are_told_apart(void **state)
{
	struct fixture *f = *state;
	const struct cache_key keys[] = {
		{ .kind = REF_SECRET, .id = unit_view("x") },
		{ .kind = REF_SECRET, .id = unit_view("x"), .version = 1 },
		{ .kind = REF_SECRET, .id = unit_view("x"), .version = 2 },
		{ .kind = REF_KEY, .id = unit_view("x") },
		{ .kind = REF_KEY, .id = unit_view("x"),
		    .format = REF_FORMAT_PEM },
		{ .kind = REF_KEY, .id = unit_view("x"),
		    .format = REF_FORMAT_JWK },
		{ .kind = REF_SECRET, .id = unit_view("xx") },
	};
	struct cache_entry *e[UNIT_COUNT(keys)];
	size_t i, j;

	for (i = 0; i < UNIT_COUNT(keys); i++)
		e[i] = cache_get(f->c, &keys[i], &f->now);
	for (i = 0; i < UNIT_COUNT(keys); i++) {
		assert_non_null(e[i]);
		assert_ptr_equal(cache_find(f->c, &keys[i]), e[i]);
		for (j = 0; j < i; j++)
			assert_ptr_not_equal(e[i], e[j]);
	}
}

static void
test_ids_that_can_be_none_are_refused(void **state)
{
	struct fixture *f = *state;
	char id[MSG_ID_MAX + 2];
	struct cache_key key = key_of("");

	assert_null(cache_find(f->c, &key));
	assert_null(cache_get(f->c, &key, &f->now));
	memset(id, 'a', sizeof(id));
	key.id = (struct view){ (const uint8_t *)id, MSG_ID_MAX + 1 };
	assert_null(cache_find(f->c, &key));
	assert_null(cache_get(f->c, &key, &f->now));
	key.id.len = MSG_ID_MAX;
	assert_non_null(cache_get(f->c, &key, &f->now));
	assert_non_null(cache_find(f->c, &key));
}

static void
test_20000_entries_are_all_found(void **state)
{
	struct fixture *f = *state;
	char id[32];
	unsigned int i;

	for (i = 0; i < 20000; i++) {
		(void)snprintf(id, sizeof(id), "id-%u", i);
		get(f, id)->failures = i;
	}
	for (i = 0; i < 20000; i += 2) {
		(void)snprintf(id, sizeof(id), "id-%u", i);
		find(f, id)->failures = 0;
		cache_drop(f->c, find(f, id));
	}
	for (i = 0; i < 20000; i++) {
		(void)snprintf(id, sizeof(id), "id-%u", i);
		if (i % 2 == 0) {
			assert_null(find(f, id));
			continue;
		}
		assert_int_equal(find(f, id)->failures, i);
		find(f, id)->failures = 0;
	}
}

static bool
count_two(void *arg, struct cache_entry *e)
{
	(void)e;
	return ++*(int *)arg < 2;
}

static void
test_walk_may_drop_and_may_stop(void **state)
{
	struct fixture *f = *state;
	int met = 0;

	put(f, "a");
	put(f, "b");
	put(f, "c");
	cache_foreach(f->c, count_two, &met);
	assert_int_equal(met, 2);
	cache_foreach(f->c, drop_all, f->c);
	assert_null(find(f, "a"));
	assert_null(find(f, "c"));
}

/* --- fresh, stale, too old --- */

static void
test_installed_value_is_fresh_and_new(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");
	struct object *o = unit_object(REF_SECRET, "s-1", "n", 1, MSG_NO_TIME,
	    8, 'x');

	assert_int_equal(cache_install(f->c, e, o, 0, &f->now, NULL), 0);
	assert_int_equal(o->refs, 2);
	assert_ptr_equal(e->object, o);
	object_unref(o);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_int_equal(cache_age(e, &f->now), 0);
	assert_int_equal(stats_of(f).secrets, 1);
	pass(f, 1234);
	assert_int_equal(cache_age(e, &f->now), 1234);
}

static void
test_age_never_wraps(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	f->now.boot_ms -= 5;
	assert_int_equal(cache_age(e, &f->now), 0);
}

static void
test_value_stays_fresh_while_its_refresh_is_only_due(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, INTERVAL + 1);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

static void
test_failed_refresh_makes_it_stale_until_one_succeeds(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, INTERVAL);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 100, &f->now);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	assert_int_equal(e->last_error, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(e->failures, 1);
	assert_int_equal(stats_of(f).stale, 1);
	assert_int_equal(cache_age(e, &f->now), INTERVAL);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 100, &f->now);
	assert_int_equal(e->failures, 2);
	assert_int_equal(stats_of(f).stale, 1);
	assert_false(install(f, e, 1, MSG_NO_TIME, 0));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_int_equal(e->last_error, 0);
	assert_int_equal(e->failures, 0);
	assert_int_equal(stats_of(f).stale, 0);
	assert_int_equal(cache_age(e, &f->now), 0);
}

static void
test_stale_value_ends_at_max_stale_after_the_last_success(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, HOUR);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 100, &f->now);
	pass(f, MAX_STALE - HOUR);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 100, &f->now);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_TOO_OLD);
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

/* As after suspend: nobody could try. */
static void
test_without_a_failure_one_interval_more_is_allowed(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, MAX_STALE + INTERVAL);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_TOO_OLD);
}

static void
test_pinned_version_is_not_too_old_until_a_refresh_fails(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get_pinned(f, "s-1", 3);

	(void)install(f, e, 3, MSG_NO_TIME, 0);
	pass(f, 100 * (uint64_t)DAY);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 1, &f->now);
	assert_int_equal(state_of(f, e), CACHE_TOO_OLD);
}

static void
test_wall_clock_steps_do_not_change_an_age(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, 5000);
	f->now.wall_ms += 100 * (int64_t)DAY;
	assert_int_equal(cache_age(e, &f->now), 5000);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	f->now.wall_ms -= 1000 * (int64_t)DAY;
	assert_int_equal(cache_age(e, &f->now), 5000);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

/* --- expiry --- */

static void
test_value_expires_at_the_very_millisecond(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	pass(f, 4999);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_stale_value_expires_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 1, &f->now);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_pinned_version_expires_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get_pinned(f, "s-1", 2);

	(void)install(f, e, 2, f->now.wall_ms + 5000, 0);
	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_state_expired_stays_expired_after_clock_step_back(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

/* Nobody read it at the moment: the due list saw it pass. */
static void
test_expiry_is_noticed_without_a_reader(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	pass(f, 5000);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_clock_step_forward_expires(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", DAY);

	f->now.wall_ms += DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_clock_step_back_before_expiry_expires_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	f->now.wall_ms -= 1000 * (int64_t)DAY;
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_null(cache_next_due(f->c, &f->now));
}

static void
test_same_value_confirmed_after_a_step_back_stays_expired(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);
	int64_t expires = e->object->expires_at;

	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	f->now.wall_ms -= DAY;
	assert_false(install(f, e, 1, expires, 0));
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_true(install(f, e, 2, expires, 0));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

static void
test_later_expiry_of_the_same_version_makes_it_fresh(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	pass(f, 6000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_true(install(f, e, 1, f->now.wall_ms + 1, 0));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_true(install(f, e, 1, MSG_NO_TIME, 0));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

static void
test_value_that_comes_expired_is_never_fresh(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	assert_true(install(f, e, 1, f->now.wall_ms, 0));
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_expired_value_confirmed_again_is_no_change(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);
	int64_t expires = e->object->expires_at;

	pass(f, 5000);
	/* it had not been seen to expire: that is a change */
	assert_true(install(f, e, 1, expires, 0));
	assert_false(install(f, e, 1, expires, 0));
	assert_false(install(f, e, 1, expires, 0));
}

static void
test_extreme_expiries_do_not_overflow(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *never = get(f, "never"), *past = get(f, "past");

	f->cfg.refresh_lead_ms = UINT64_MAX / 2;
	f->cfg.serve_expired_ms = HOUR;
	configure(f);
	(void)install(f, never, 1, INT64_MAX, UINT32_MAX);
	assert_int_equal(state_of(f, never), CACHE_FRESH);
	(void)install(f, past, 1, INT64_MIN + 1, UINT32_MAX);
	assert_int_equal(state_of(f, past), CACHE_EXPIRED);
	(void)install(f, past, 1, -1, UINT32_MAX);
	assert_int_equal(state_of(f, past), CACHE_EXPIRED);
}

static void
test_serve_expired_allows_a_grace_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = HOUR;
	configure(f);
	e = put_expiring(f, "s-1", 5000);
	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, HOUR - 1);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_grace_counts_from_expiry_where_that_is_noticed_late(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = HOUR;
	configure(f);
	e = put_expiring(f, "s-1", 5000);
	pass(f, 5000 + HOUR - 1);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_grace_is_not_prolonged_by_clock_steps(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = HOUR;
	configure(f);
	e = put_expiring(f, "s-1", 5000);
	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, HOUR);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	/* and confirming the same does not begin it anew */
	(void)install(f, e, 1, e->object->expires_at, 0);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_grace_before_boot_is_counted(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = 2 * HOUR;
	configure(f);
	f->now.boot_ms = HOUR;		/* expired three hours ago */
	e = put_expiring(f, "s-1", -3 * (int64_t)HOUR);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	e = put_expiring(f, "s-2", -(int64_t)HOUR - 1);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
}

static void
test_grace_ends_with_max_stale(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = 10 * DAY;
	configure(f);
	e = put_expiring(f, "s-1", 5000);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 1, &f->now);
	pass(f, MAX_STALE);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

/* --- negative --- */

static void
test_refusal_is_the_answer_for_negative_ttl(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
	assert_int_equal(e->negative_error, ERR_NOT_FOUND);
	assert_int_equal(stats_of(f).negatives, 1);
	pass(f, NEGATIVE_TTL - 1);
	assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_NONE);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "s-1"));
	assert_int_equal(stats_of(f).bytes, 0);
}

static void
test_refusal_drops_the_value_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);
	size_t with = stats_of(f).bytes;

	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 1, &f->now);
	cache_install_negative(f->c, e, ERR_DENIED, &f->now);
	assert_null(e->object);
	assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
	assert_int_equal(e->negative_error, ERR_DENIED);
	assert_int_equal(stats_of(f).secrets, 0);
	assert_int_equal(stats_of(f).stale, 0);
	assert_true(stats_of(f).bytes < with);
	pass(f, 5000);	/* its expiry means nothing any more */
	assert_null(cache_next_due(f->c, &f->now));
	assert_non_null(find(f, "s-1"));
}

static void
test_value_after_a_refusal_is_new(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_true(install(f, e, 1, MSG_NO_TIME, 0));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_int_equal(stats_of(f).negatives, 0);
	pass(f, NEGATIVE_TTL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_ptr_equal(find(f, "s-1"), e);
}

static void
test_failure_says_nothing_about_a_negative_entry(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 1, &f->now);
	assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
	assert_int_equal(e->failures, 0);
	assert_int_equal(stats_of(f).stale, 0);
}

static void
test_cleared_entry_says_nothing_and_goes(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	cache_clear(f->c, e, &f->now);
	assert_int_equal(state_of(f, e), CACHE_NONE);
	assert_null(e->object);
	assert_int_equal(stats_of(f).secrets, 0);
	assert_int_equal(stats_of(f).negatives, 0);
	pass(f, NEGATIVE_TTL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "s-1"));
}

/* --- what is a change --- */

static void
test_everything_a_caller_sees_is_a_change(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");
	struct object *o;
	bool changed;
	int step;

	for (step = 0; step < 14; step++) {
		o = unit_object(REF_SECRET, "s-1", step / 2 == 1 ? "renamed"
		    : "name", step / 2 == 2 ? 8 : 7, step / 2 == 3
		    ? f->now.wall_ms + DAY : MSG_NO_TIME,
		    step / 2 == 4 ? 5 : 4, step / 2 == 5 ? 'y' : 'x');
		o->updated_at = step / 2 == 6 ? 1 : MSG_NO_TIME;
		assert_int_equal(cache_install(f->c, e, o, 0, &f->now,
		    &changed), 0);
		object_unref(o);
		assert_int_equal(changed, step % 2 == 0);
	}
}

static void
test_reader_keeps_the_old_whole_value(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");
	struct object *held = object_ref(e->object);
	uint8_t value[16];

	memset(value, 1, sizeof(value));
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_ptr_not_equal(e->object, held);
	assert_memory_equal(object_value(held).p, value, sizeof(value));
	cache_drop(f->c, e);
	assert_memory_equal(object_value(held).p, value, sizeof(value));
	assert_int_equal(held->refs, 1);
	object_unref(held);
}

/* --- due --- */

static void
test_refresh_comes_within_an_eighth_before_the_interval(void **state)
{
	struct fixture *f = *state;
	const uint32_t rnds[] = { 0, 1, 37499, 37500, UINT32_MAX };
	struct cache_entry *e = get(f, "s-1");
	uint64_t wait;
	size_t i;

	for (i = 0; i < UNIT_COUNT(rnds); i++) {
		(void)install(f, e, 1, MSG_NO_TIME, rnds[i]);
		wait = cache_wait_ms(f->c, &f->now);
		assert_in_range(wait, INTERVAL - INTERVAL / 8, INTERVAL);
		pass(f, wait - 1);
		assert_null(cache_next_due(f->c, &f->now));
		pass(f, 1);
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	}
}

static void
test_refreshes_of_one_moment_are_spread(void **state)
{
	struct fixture *f = *state;
	uint64_t rnd = unit_seed();
	unsigned int eighths[8] = { 0 };
	struct cache_entry *e = get(f, "s-1");
	uint64_t early;
	size_t i;

	for (i = 0; i < 8000; i++) {
		(void)install(f, e, 1, MSG_NO_TIME,
		    (uint32_t)unit_random(&rnd));
		early = INTERVAL - cache_wait_ms(f->c, &f->now);
		assert_true(early < INTERVAL / 8);
		eighths[early / (INTERVAL / 64 + 1)]++;
	}
	for (i = 0; i < 8; i++)
		assert_in_range(eighths[i], 700, 1300);
}

static void
test_zero_interval_has_no_jitter(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.refresh_interval_ms = 0;
	f->cfg.refresh_lead_ms = 0;
	configure(f);
	e = get(f, "s-1");
	(void)install(f, e, 1, f->now.wall_ms + 5, 12345);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 0);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
}

static void
test_due_entries_come_once_in_order(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *a = put(f, "a"), *b, *c;

	pass(f, 10);
	b = put(f, "b");
	pass(f, 10);
	c = put(f, "c");
	(void)install(f, a, 1, MSG_NO_TIME, 0);	/* now the last but one */
	pass(f, INTERVAL);
	assert_ptr_equal(cache_next_due(f->c, &f->now), b);
	assert_true(cache_next_due(f->c, &f->now) != b);
	assert_non_null(cache_next_due(f->c, &f->now));
	assert_null(cache_next_due(f->c, &f->now));
	assert_true(cache_wait_ms(f->c, &f->now) == UINT64_MAX);
	cache_refresh_failed(f->c, b, ERR_UPSTREAM_UNAVAILABLE, 700, &f->now);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 700);
	pass(f, 700);
	assert_ptr_equal(cache_next_due(f->c, &f->now), b);
	(void)install(f, c, 1, MSG_NO_TIME, 0);
	assert_int_equal(cache_wait_ms(f->c, &f->now), INTERVAL);
}

static void
test_entry_that_is_being_read_is_not_due(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 2 * LEAD);

	e->job = f;
	pass(f, INTERVAL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	e->job = NULL;
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_int_equal(cache_wait_ms(f->c, &f->now), INTERVAL);
}

static void
test_pinned_version_is_due_at_the_reread_interval(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	f->cfg.reread_interval_ms = HOUR;
	configure(f);
	e = get_pinned(f, "s-1", 1);
	(void)install(f, e, 1, MSG_NO_TIME, UINT32_MAX);
	assert_in_range(cache_wait_ms(f->c, &f->now), HOUR - HOUR / 8, HOUR);
}

static void
test_refresh_runs_lead_before_expiry_and_again_at_it(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");
	int64_t expires = f->now.wall_ms + 2 * (int64_t)MINUTE;
	uint64_t wait;

	(void)install(f, e, 1, expires, UINT32_MAX);
	wait = cache_wait_ms(f->c, &f->now);
	assert_in_range(wait, MINUTE - LEAD / 8, MINUTE);
	pass(f, wait - 1);
	assert_null(cache_next_due(f->c, &f->now));
	pass(f, 1);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_false(install(f, e, 1, expires, UINT32_MAX));
	assert_int_equal(cache_wait_ms(f->c, &f->now),
	    (uint64_t)(expires - f->now.wall_ms));
	pass(f, cache_wait_ms(f->c, &f->now));
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_failed_refresh_before_expiry_does_not_skip_the_one_at_it(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 2 * MINUTE);
	uint64_t left;

	pass(f, MINUTE);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, HOUR, &f->now);
	left = cache_wait_ms(f->c, &f->now);
	assert_int_equal(left, MINUTE);
	pass(f, left);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
}

static void
test_after_expiry_it_asks_again_with_backoff(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);
	int64_t expires = e->object->expires_at;
	uint64_t wait, limit = 5000;
	int i;

	pass(f, 5000);
	for (i = 0; i < 40; i++) {
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		(void)install(f, e, 1, expires, UINT32_MAX);
		wait = cache_wait_ms(f->c, &f->now);
		assert_in_range(wait, limit - limit / 8, limit);
		limit = limit * 2 < INTERVAL ? limit * 2 : INTERVAL;
		cache_touch(f->c, e, &f->now);
		pass(f, wait);
	}
	/* a newer one ends that, and the next expiry begins at the start */
	(void)install(f, e, 2, f->now.wall_ms + 10, 0);
	pass(f, 10);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	(void)install(f, e, 2, e->object->expires_at, 0);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 5000);
}

static void
test_reader_who_sees_it_expire_makes_it_due(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);

	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 0);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_null(cache_next_due(f->c, &f->now));
}

static void
test_clock_step_forward_makes_expiring_entries_due(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", DAY);

	put(f, "s-2");
	assert_null(cache_next_due(f->c, &f->now));
	f->now.wall_ms += DAY - LEAD;
	assert_int_equal(cache_wait_ms(f->c, &f->now), 0);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_null(cache_next_due(f->c, &f->now));
}

static void
test_clock_step_back_puts_expiry_off_but_not_refresh(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 2 * MINUTE);

	f->now.wall_ms -= 10 * (int64_t)DAY;
	assert_int_equal(cache_wait_ms(f->c, &f->now), INTERVAL);
	pass(f, INTERVAL);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

static void
test_idle_entry_goes_when_its_refresh_is_due(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");
	uint64_t since = f->now.boot_ms;

	/* refreshed all day long, read by nobody */
	while (f->now.boot_ms - since < IDLE - INTERVAL) {
		pass(f, INTERVAL);
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		(void)install(f, e, 1, MSG_NO_TIME, 0);
	}
	pass(f, INTERVAL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "s-1"));
}

static void
test_read_entry_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, IDLE - 1);
	cache_touch(f->c, e, &f->now);
	pass(f, IDLE - 1);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	pass(f, INTERVAL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "s-1"));
}

static void
test_kept_entry_is_never_idle(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	e->kept = true;
	pass(f, 100 * (uint64_t)DAY);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
}

static void
test_kept_entry_that_was_refused_is_asked_again(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");
	int i;

	e->kept = true;
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	pass(f, NEGATIVE_TTL);
	for (i = 0; i < 3; i++) {
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		assert_null(cache_next_due(f->c, &f->now));
		cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, 5,
		    &f->now);
		assert_int_equal(cache_wait_ms(f->c, &f->now), INTERVAL);
		pass(f, INTERVAL);
	}
}

static void
test_recovery_makes_only_failed_entries_due_and_spreads_them(void **state)
{
	struct fixture *f = *state;
	uint64_t rnd = unit_seed(), wait;
	unsigned int quarters[4] = { 0 }, i;
	struct cache_entry *e;
	char id[16];

	for (i = 0; i < 1000; i++) {
		(void)snprintf(id, sizeof(id), "s-%u", i);
		e = put(f, id);
		if (i % 2 == 0)
			cache_refresh_failed(f->c, e,
			    ERR_UPSTREAM_UNAVAILABLE, HOUR, &f->now);
	}
	cache_make_failed_due(f->c, 4000, unit_random(&rnd), &f->now);
	for (i = 0; i < 500; i++) {
		wait = cache_wait_ms(f->c, &f->now);
		pass(f, wait);
		e = cache_next_due(f->c, &f->now);
		assert_non_null(e);
		assert_int_equal(e->failures, 1);
		quarters[(f->now.boot_ms - (1000 * HOUR)) / 1000 % 4]++;
	}
	assert_true(f->now.boot_ms - 1000 * HOUR < 4000);
	assert_null(cache_next_due(f->c, &f->now));
	for (i = 0; i < 4; i++)
		assert_in_range(quarters[i], 75, 175);
}

static void
test_recovery_without_spread_is_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, HOUR, &f->now);
	cache_make_failed_due(f->c, 0, 0, &f->now);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 0);
}

/* --- room --- */

static void
test_least_recently_read_entry_goes_first(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *a = put_sized(f, "a", 1000, 0);
	size_t one = stats_of(f).bytes;

	put_sized(f, "b", 1000, 0);
	put_sized(f, "c", 1000, 0);
	f->cfg.max_bytes = 3 * one;
	configure(f);
	cache_touch(f->c, a, &f->now);
	put_sized(f, "d", 1000, 0);
	assert_null(find(f, "b"));
	assert_non_null(find(f, "a"));
	assert_non_null(find(f, "c"));
	assert_non_null(find(f, "d"));
	assert_int_equal(stats_of(f).evictions, 1);
	assert_int_equal(stats_of(f).bytes, 3 * one);
	assert_int_equal(stats_of(f).max_bytes, 3 * one);
	assert_int_equal(stats_of(f).secrets, 3);
}

static void
test_kept_and_busy_entries_are_not_evicted(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *kept = put_sized(f, "kept", 1000, 0);
	struct cache_entry *busy = put_sized(f, "busy", 1000, 0);

	put_sized(f, "other", 1000, 0);
	kept->kept = true;
	busy->job = f;
	assert_true(cache_evict(f->c, SIZE_MAX) > 1000);
	assert_non_null(find(f, "kept"));
	assert_non_null(find(f, "busy"));
	assert_null(find(f, "other"));
	assert_int_equal(cache_evict(f->c, 1), 0);
	assert_int_equal(stats_of(f).evictions, 1);
}

static void
test_evict_stops_when_enough_went(void **state)
{
	struct fixture *f = *state;
	size_t one;

	put_sized(f, "a", 1000, 0);
	one = stats_of(f).bytes;
	put_sized(f, "b", 1000, 0);
	put_sized(f, "c", 1000, 0);
	assert_int_equal(cache_evict(f->c, 0), 0);
	assert_int_equal(cache_evict(f->c, 1), one);
	assert_int_equal(cache_evict(f->c, one + 1), 2 * one);
	assert_int_equal(stats_of(f).bytes, 0);
}

static void
test_value_that_can_never_fit_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_sized(f, "s-1", 1000, 0);
	struct object *before = e->object;

	put_sized(f, "s-2", 1000, 0);
	f->cfg.max_bytes = 5000;
	configure(f);
	put_sized(f, "s-1", 6000, ERR_TOO_LARGE);
	assert_ptr_equal(e->object, before);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_non_null(find(f, "s-2"));
	assert_int_equal(stats_of(f).evictions, 0);
}

static void
test_growing_entry_evicts_others_and_never_itself(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_sized(f, "old", 100, 0);

	put_sized(f, "b", 1000, 0);
	put_sized(f, "c", 1000, 0);
	f->cfg.max_bytes = stats_of(f).bytes;
	configure(f);
	/* the least recently read of all, and it needs all the room */
	assert_ptr_equal(put_sized(f, "old", 1500, 0), e);
	assert_ptr_equal(find(f, "old"), e);
	assert_true(stats_of(f).bytes <= f->cfg.max_bytes);
	assert_int_equal(object_value(e->object).len, 1500);
}

static void
test_value_that_just_fits_evicts_all_others(void **state)
{
	struct fixture *f = *state;

	put_sized(f, "s-1", 3000, 0);
	f->cfg.max_bytes = stats_of(f).bytes;
	configure(f);
	put_sized(f, "s-2", 3000, 0);
	assert_null(find(f, "s-1"));
	assert_int_equal(stats_of(f).bytes, f->cfg.max_bytes);
}

static void
test_smaller_budget_counts_from_the_next_install(void **state)
{
	struct fixture *f = *state;
	size_t one;

	put_sized(f, "a", 1000, 0);
	one = stats_of(f).bytes;
	put_sized(f, "b", 1000, 0);
	put_sized(f, "c", 1000, 0);
	f->cfg.max_bytes = 2 * one;
	configure(f);
	assert_non_null(find(f, "a"));
	put_sized(f, "d", 1000, 0);
	assert_int_equal(stats_of(f).bytes, 2 * one);
	assert_null(find(f, "a"));
	assert_null(find(f, "b"));
}

static void
test_figures_tell_secrets_from_keys(void **state)
{
	struct fixture *f = *state;
	const struct cache_key key = { .kind = REF_KEY,
		.format = REF_FORMAT_PEM, .id = unit_view("k-1") };
	struct cache_entry *e = cache_get(f->c, &key, &f->now);

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_int_equal(stats_of(f).keys, 1);
	assert_int_equal(stats_of(f).secrets, 0);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_int_equal(stats_of(f).keys, 1);
	cache_drop(f->c, e);
	assert_int_equal(stats_of(f).keys, 0);
}

/* --- against a model --- */

#define MODEL_ENTRIES 300u
#define MODEL_OPERATIONS 300000u
#define MODEL_BUDGET 60000u

struct model_entry {
	bool here;
	bool has_object;
	bool expired;
	bool kept;
	bool busy;
	int negative;		/* 0: says nothing */
	unsigned int failures;
	uint64_t version;
	uint64_t confirmed;
	uint64_t expired_boot;	/* relative to a large offset */
	uint64_t read;
	int64_t expires;
	uint64_t used;		/* LRU: larger is later */
	size_t bytes;
};

struct model {
	struct fixture *f;
	uint64_t rnd;
	uint64_t uses;
	size_t here;
	struct model_entry e[MODEL_ENTRIES];
	char ids[MODEL_ENTRIES][16];
};

#define MODEL_OFFSET (UINT64_C(1) << 62)

/* A third of them are pinned versions, of the ids of the third before. */
static struct cache_key
model_key(const struct model *m, size_t i)
{
	struct cache_key key = key_of(m->ids[i]);

	if (i % 3 == 2) {
		key = key_of(m->ids[i - 1]);
		key.version = 5;
	}
	return key;
}

static bool
model_pinned(size_t i)
{
	return i % 3 == 2;
}

static struct cache_entry *
model_find(const struct model *m, size_t i)
{
	const struct cache_key key = model_key(m, i);

	return cache_find(m->f->c, &key);
}

static void
model_latch(struct model *m, size_t i)
{
	struct model_entry *e = &m->e[i];
	const struct now *now = &m->f->now;

	if (!e->has_object || e->expired || e->expires == MSG_NO_TIME ||
	    e->expires > now->wall_ms)
		return;
	e->expired = true;
	e->expired_boot = MODEL_OFFSET + now->boot_ms -
	    (uint64_t)(now->wall_ms - e->expires);
}

static enum cache_state
model_state(struct model *m, size_t i)
{
	struct model_entry *e = &m->e[i];
	const struct cache_config *cfg = &m->f->cfg;
	uint64_t age = m->f->now.boot_ms - e->confirmed, limit;
	bool old;

	if (!e->has_object)
		return e->negative != 0 && age < cfg->negative_ttl_ms
		    ? CACHE_NEGATIVE : CACHE_NONE;
	model_latch(m, i);
	limit = cfg->max_stale_ms +
	    (e->failures == 0 ? cfg->refresh_interval_ms : 0);
	old = age > limit && !(model_pinned(i) && e->failures == 0);
	if (e->expired)
		return !old && MODEL_OFFSET + m->f->now.boot_ms -
		    e->expired_boot < cfg->serve_expired_ms
		    ? CACHE_GRACE : CACHE_EXPIRED;
	if (old)
		return CACHE_TOO_OLD;
	return e->failures > 0 ? CACHE_STALE : CACHE_FRESH;
}

static void
model_drop(struct model *m, size_t i)
{
	m->e[i] = (struct model_entry){ .here = false };
	m->here--;
}

/* The entry that would be evicted next; MODEL_ENTRIES if there is none. */
static size_t
model_oldest(const struct model *m, size_t except)
{
	size_t i, found = MODEL_ENTRIES;

	for (i = 0; i < MODEL_ENTRIES; i++) {
		if (!m->e[i].here || m->e[i].kept || m->e[i].busy ||
		    i == except)
			continue;
		if (found == MODEL_ENTRIES || m->e[i].used < m->e[found].used)
			found = i;
	}
	return found;
}

static size_t
model_bytes(const struct model *m)
{
	size_t i, sum = 0;

	for (i = 0; i < MODEL_ENTRIES; i++)
		sum += m->e[i].here ? m->e[i].bytes : 0;
	return sum;
}

static void
model_evict(struct model *m, size_t want, size_t except)
{
	size_t went = 0, i;

	while (went < want &&
	    (i = model_oldest(m, except)) != MODEL_ENTRIES) {
		went += m->e[i].bytes;
		model_drop(m, i);
	}
}

static void
model_get(struct model *m, size_t i)
{
	const struct cache_key key = model_key(m, i);
	struct cache_entry *e = cache_get(m->f->c, &key, &m->f->now);

	assert_non_null(e);
	if (m->e[i].here)
		return;
	m->e[i] = (struct model_entry){
		.here = true, .confirmed = m->f->now.boot_ms,
		.read = m->f->now.boot_ms, .used = ++m->uses,
		.bytes = sizeof(*e) + e->id_len + 1u,
	};
	m->here++;
}

static void
model_install(struct model *m, size_t i)
{
	struct model_entry *me = &m->e[i];
	struct cache_entry *e = model_find(m, i);
	const struct now *now = &m->f->now;
	struct object *o;
	size_t need, used;
	bool same_term;
	int r;

	uint64_t version = model_pinned(i) ? 5 : 1 + unit_below(&m->rnd, 2);
	int64_t expires = MSG_NO_TIME;

	if (e == NULL)
		return;
	if (unit_below(&m->rnd, 3) == 0)
		expires = now->wall_ms + (int64_t)unit_below(&m->rnd,
		    4 * HOUR) - (int64_t)HOUR;
	else if (me->has_object && unit_below(&m->rnd, 2) == 0)
		expires = me->expires;
	o = unit_object(REF_SECRET, e->id, "n", version, expires,
	    unit_below(&m->rnd, 1500), (int)unit_below(&m->rnd, 2));
	need = sizeof(*e) + e->id_len + 1u + object_bytes(o);
	used = model_bytes(m) - me->bytes;
	r = cache_install(m->f->c, e, o, (uint32_t)unit_random(&m->rnd), now,
	    NULL);
	object_unref(o);
	if (need > m->f->cfg.max_bytes) {
		assert_int_equal(r, ERR_TOO_LARGE);
		return;
	}
	assert_int_equal(r, 0);
	if (used > m->f->cfg.max_bytes - need) {
		model_evict(m, used - (m->f->cfg.max_bytes - need), i);
		me->used = ++m->uses;
	}
	same_term = me->has_object && me->expired && me->version == version &&
	    me->expires == expires;
	me->has_object = true;
	me->negative = 0;
	me->failures = 0;
	me->version = version;
	me->expires = expires;
	me->confirmed = now->boot_ms;
	me->bytes = need;
	me->expired = same_term;
	model_latch(m, i);
}

static void
model_refuse(struct model *m, size_t i, bool clear)
{
	struct model_entry *me = &m->e[i];
	struct cache_entry *e = model_find(m, i);

	if (e == NULL)
		return;
	if (clear)
		cache_clear(m->f->c, e, &m->f->now);
	else
		cache_install_negative(m->f->c, e, ERR_DENIED, &m->f->now);
	me->has_object = false;
	me->expired = false;
	me->failures = 0;
	me->negative = clear ? 0 : ERR_DENIED;
	me->confirmed = m->f->now.boot_ms;
	me->bytes = sizeof(*e) + e->id_len + 1u;
}

static void
model_touch(struct model *m, size_t i)
{
	struct cache_entry *e = model_find(m, i);

	if (e == NULL)
		return;
	cache_touch(m->f->c, e, &m->f->now);
	m->e[i].read = m->f->now.boot_ms;
	m->e[i].used = ++m->uses;
}

static size_t
model_index(const struct model *m, const struct cache_entry *e)
{
	size_t i;

	for (i = 0; i < MODEL_ENTRIES; i++) {
		if (m->e[i].here && model_find(m, i) == e)
			return i;
	}
	fail_msg("an entry that the model does not know");
	return 0;
}

/* Whatever has been met as idle is gone from both. */
static void
model_forget_idle(struct model *m)
{
	size_t i;

	for (i = 0; i < MODEL_ENTRIES; i++) {
		if (!m->e[i].here || model_find(m, i) != NULL)
			continue;
		assert_false(m->e[i].kept);
		assert_false(m->e[i].busy);
		assert_true(!m->e[i].has_object || m->f->now.boot_ms -
		    m->e[i].read >= m->f->cfg.idle_evict_ms);
		model_drop(m, i);
	}
}

static void
model_due(struct model *m)
{
	struct cache_entry *e;
	size_t i;

	/* all whose time has come are seen to expire */
	for (i = 0; i < MODEL_ENTRIES; i++) {
		if (m->e[i].here)
			model_latch(m, i);
	}
	while ((e = cache_next_due(m->f->c, &m->f->now)) != NULL) {
		model_forget_idle(m);
		i = model_index(m, e);
		assert_false(m->e[i].busy);
		if (unit_below(&m->rnd, 2) == 0) {
			model_install(m, i);
			continue;
		}
		cache_refresh_failed(m->f->c, e, ERR_UPSTREAM_UNAVAILABLE,
		    1 + unit_below(&m->rnd, 10000), &m->f->now);
		m->e[i].failures += m->e[i].has_object;
	}
	model_forget_idle(m);
	assert_true(cache_wait_ms(m->f->c, &m->f->now) > 0);
}

static void
model_flags(struct model *m, size_t i)
{
	struct cache_entry *e = model_find(m, i);

	if (e == NULL)
		return;
	if (unit_below(&m->rnd, 4) == 0 || m->e[i].kept) {
		m->e[i].kept = e->kept = !e->kept && i < 20;
	} else {
		m->e[i].busy = !m->e[i].busy && unit_below(&m->rnd, 8) == 0;
		e->job = m->e[i].busy ? m : NULL;
	}
}

/* A job that ends always leaves the entry on the due list again. */
static void
model_end_job(struct model *m, size_t i)
{
	if (!m->e[i].busy)
		return;
	model_find(m, i)->job = NULL;
	m->e[i].busy = false;
	model_refuse(m, i, true);
}

static void
model_time(struct model *m)
{
	if (unit_below(&m->rnd, 20) == 0)
		m->f->now.wall_ms += (int64_t)unit_below(&m->rnd, 2 * HOUR) -
		    (int64_t)HOUR;
	else
		pass(m->f, unit_below(&m->rnd, unit_below(&m->rnd, 10) == 0
		    ? 20 * MINUTE : 2000));
}

static void
model_check(struct model *m)
{
	struct cache_stats stats = stats_of(m->f);
	size_t i, secrets = 0, negatives = 0, stale = 0;
	struct cache_entry *e;

	for (i = 0; i < MODEL_ENTRIES; i++) {
		e = model_find(m, i);
		assert_int_equal(e != NULL, m->e[i].here);
		if (e == NULL)
			continue;
		assert_int_equal(state_of(m->f, e), model_state(m, i));
		assert_int_equal(e->bytes, m->e[i].bytes);
		secrets += m->e[i].has_object;
		negatives += !m->e[i].has_object && m->e[i].negative != 0;
		stale += m->e[i].has_object && m->e[i].failures > 0;
	}
	assert_int_equal(stats.secrets, secrets);
	assert_int_equal(stats.negatives, negatives);
	assert_int_equal(stats.stale, stale);
	assert_int_equal(stats.bytes, model_bytes(m));
}

static void
model_step(struct model *m)
{
	size_t i = unit_below(&m->rnd, MODEL_ENTRIES);
	struct cache_entry *e = model_find(m, i);

	switch (unit_below(&m->rnd, 12)) {
	case 0:
	case 1:
		model_get(m, i);
		break;
	case 2:
	case 3:
	case 4:
		model_end_job(m, i);
		model_install(m, i);
		break;
	case 5:
		model_end_job(m, i);
		model_refuse(m, i, unit_below(&m->rnd, 2) == 0);
		break;
	case 6:
		if (e != NULL && !m->e[i].busy) {
			cache_refresh_failed(m->f->c, e, ERR_UPSTREAM_ERROR,
			    unit_below(&m->rnd, 60000), &m->f->now);
			m->e[i].failures += m->e[i].has_object;
		}
		break;
	case 7:
	case 8:
		model_touch(m, i);
		break;
	case 9:
		model_flags(m, i);
		break;
	case 10:
		if (e != NULL && !m->e[i].busy && unit_below(&m->rnd, 8) == 0) {
			cache_drop(m->f->c, e);
			model_drop(m, i);
		}
		break;
	default:
		model_time(m);
		break;
	}
	if (e != NULL && (e = model_find(m, i)) != NULL)
		assert_int_equal(state_of(m->f, e), model_state(m, i));
}

static void
test_random_operations_match_the_model(void **state)
{
	static struct model m;
	struct fixture *f = *state;
	size_t i;

	f->cfg.max_bytes = MODEL_BUDGET;
	f->cfg.idle_evict_ms = 6 * HOUR;
	f->cfg.max_stale_ms = 2 * HOUR;
	f->cfg.serve_expired_ms = HOUR / 2;
	configure(f);
	m.f = f;
	m.rnd = unit_seed();
	for (i = 0; i < MODEL_ENTRIES; i++)
		(void)snprintf(m.ids[i], sizeof(m.ids[i]), "id-%zu", i);
	for (i = 0; i < MODEL_OPERATIONS; i++) {
		model_step(&m);
		if (i % 64 == 0)
			model_due(&m);
		if (i % 256 == 0)
			model_check(&m);
	}
	model_check(&m);
	assert_true(stats_of(f).evictions > 100);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_new_entry_says_nothing),
		test(test_kinds_formats_and_versions_are_told_apart),
		test(test_ids_that_can_be_none_are_refused),
		test(test_20000_entries_are_all_found),
		test(test_walk_may_drop_and_may_stop),
		test(test_installed_value_is_fresh_and_new),
		test(test_age_never_wraps),
		test(test_value_stays_fresh_while_its_refresh_is_only_due),
		test(test_failed_refresh_makes_it_stale_until_one_succeeds),
		test(test_stale_value_ends_at_max_stale_after_the_last_success),
		test(test_without_a_failure_one_interval_more_is_allowed),
		test(test_pinned_version_is_not_too_old_until_a_refresh_fails),
		test(test_wall_clock_steps_do_not_change_an_age),
		test(test_value_expires_at_the_very_millisecond),
		test(test_stale_value_expires_all_the_same),
		test(test_pinned_version_expires_all_the_same),
		test(test_state_expired_stays_expired_after_clock_step_back),
		test(test_expiry_is_noticed_without_a_reader),
		test(test_clock_step_forward_expires),
		test(test_clock_step_back_before_expiry_expires_nothing),
		test(test_same_value_confirmed_after_a_step_back_stays_expired),
		test(test_later_expiry_of_the_same_version_makes_it_fresh),
		test(test_value_that_comes_expired_is_never_fresh),
		test(test_expired_value_confirmed_again_is_no_change),
		test(test_extreme_expiries_do_not_overflow),
		test(test_serve_expired_allows_a_grace_and_no_more),
		test(test_grace_counts_from_expiry_where_that_is_noticed_late),
		test(test_grace_is_not_prolonged_by_clock_steps),
		test(test_grace_before_boot_is_counted),
		test(test_grace_ends_with_max_stale),
		test(test_refusal_is_the_answer_for_negative_ttl),
		test(test_refusal_drops_the_value_at_once),
		test(test_value_after_a_refusal_is_new),
		test(test_failure_says_nothing_about_a_negative_entry),
		test(test_cleared_entry_says_nothing_and_goes),
		test(test_everything_a_caller_sees_is_a_change),
		test(test_reader_keeps_the_old_whole_value),
		test(test_refresh_comes_within_an_eighth_before_the_interval),
		test(test_refreshes_of_one_moment_are_spread),
		test(test_zero_interval_has_no_jitter),
		test(test_due_entries_come_once_in_order),
		test(test_entry_that_is_being_read_is_not_due),
		test(test_pinned_version_is_due_at_the_reread_interval),
		test(test_refresh_runs_lead_before_expiry_and_again_at_it),
		test(
		    test_failed_refresh_before_expiry_does_not_skip_the_one_at_it),
		test(test_after_expiry_it_asks_again_with_backoff),
		test(test_reader_who_sees_it_expire_makes_it_due),
		test(test_clock_step_forward_makes_expiring_entries_due),
		test(test_clock_step_back_puts_expiry_off_but_not_refresh),
		test(test_idle_entry_goes_when_its_refresh_is_due),
		test(test_read_entry_is_not_idle),
		test(test_kept_entry_is_never_idle),
		test(test_kept_entry_that_was_refused_is_asked_again),
		test(test_recovery_makes_only_failed_entries_due_and_spreads_them),
		test(test_recovery_without_spread_is_at_once),
		test(test_least_recently_read_entry_goes_first),
		test(test_kept_and_busy_entries_are_not_evicted),
		test(test_evict_stops_when_enough_went),
		test(test_value_that_can_never_fit_changes_nothing),
		test(test_growing_entry_evicts_others_and_never_itself),
		test(test_value_that_just_fits_evicts_all_others),
		test(test_smaller_budget_counts_from_the_next_install),
		test(test_figures_tell_secrets_from_keys),
		test(test_random_operations_match_the_model),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
