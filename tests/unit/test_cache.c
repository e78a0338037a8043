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
	cache_set_grouped(f->c, false); /* a phase each */
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

static const char *
id_of(const struct cache_entry *e)
{
	return (const char *)cache_id(e).p;
}

static bool
install(struct fixture *f, struct cache_entry *e, uint64_t version,
    int64_t expires_at, uint32_t rnd)
{
	struct object *o = unit_object(e->kind, id_of(e), "name", version,
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
	assert_string_equal(id_of(e), "s-1");
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
		get(f, id)->failures = (uint16_t)i;
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

	f->now.wall_ms -= 10 * (int64_t)DAY;
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
	/* it had not been seen to expire, which is an event of its own */
	assert_false(install(f, e, 1, expires, 0));
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
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

/* Or asking for what is not there would fill the memory. */
static void
test_refusals_remembered_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *kept = get(f, "kept"), *e;
	unsigned int i;
	char id[16];

	for (i = 0; i < 10000; i++) {
		(void)snprintf(id, sizeof(id), "s-%u", i);
		e = get(f, id);
		cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
		/* who asked for it is told all the same */
		assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
		assert_null(cache_next_due(f->c, &f->now));
	}
	assert_true(stats_of(f).bytes <= f->cfg.max_bytes / 16);
	assert_non_null(find(f, "s-0"));
	/* what stays in any case is not asked for again and again */
	kept->kept = true;
	cache_install_negative(f->c, kept, ERR_NOT_FOUND, &f->now);
	assert_null(cache_next_due(f->c, &f->now));
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
test_refresh_comes_within_the_interval_and_not_at_once(void **state)
{
	struct fixture *f = *state;
	const uint32_t rnds[] = { 0, 1, 18749, 18750, UINT32_MAX };
	struct cache_entry *e = get(f, "s-1");
	uint64_t wait;
	size_t i;

	for (i = 0; i < UNIT_COUNT(rnds); i++) {
		(void)install(f, e, 1, MSG_NO_TIME, rnds[i]);
		wait = cache_wait_ms(f->c, &f->now);
		assert_in_range(wait, INTERVAL / 4, INTERVAL);
		assert_int_equal(f->now.boot_ms + wait, cache_next_phase(f->c,
		    cache_id(e), INTERVAL, rnds[i], &f->now));
		assert_int_equal(cache_due_boot_ms(f->c, e),
		    f->now.boot_ms + wait);
		pass(f, wait - 1);
		assert_null(cache_next_due(f->c, &f->now));
		pass(f, 1);
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		assert_true(cache_due_boot_ms(f->c, e) == UINT64_MAX);
	}
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
	struct cache_entry *a = put(f, "a"), *b = put(f, "b"), *c = put(f, "c");

	cache_confirm(f->c, b, f->now.boot_ms, f->now.boot_ms + 10, &f->now);
	cache_confirm(f->c, c, f->now.boot_ms, f->now.boot_ms + 30, &f->now);
	cache_confirm(f->c, a, f->now.boot_ms, f->now.boot_ms + 20, &f->now);
	pass(f, 30);
	assert_ptr_equal(cache_next_due(f->c, &f->now), b);
	assert_ptr_equal(cache_next_due(f->c, &f->now), a);
	assert_ptr_equal(cache_next_due(f->c, &f->now), c);
	assert_null(cache_next_due(f->c, &f->now));
	assert_true(cache_wait_ms(f->c, &f->now) == UINT64_MAX);
	cache_refresh_failed(f->c, b, ERR_UPSTREAM_UNAVAILABLE, 700, &f->now);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 700);
	pass(f, 700);
	assert_ptr_equal(cache_next_due(f->c, &f->now), b);
	(void)install(f, c, 1, MSG_NO_TIME, 0);
	assert_in_range(cache_wait_ms(f->c, &f->now), 1, INTERVAL);
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
	assert_in_range(cache_wait_ms(f->c, &f->now), 1, INTERVAL);
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
	assert_int_equal(f->now.boot_ms + cache_wait_ms(f->c, &f->now),
	    cache_due_boot_ms(f->c, e));
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

/* --- other settings --- */

static void
test_shorter_interval_is_for_what_is_cached_too(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *late = put(f, "late"), *early;
	uint64_t due;

	f->cfg.refresh_interval_ms = 10 * MINUTE;
	configure(f);
	pass(f, 2 * MINUTE);
	early = put(f, "early");
	assert_true(cache_due_boot_ms(f->c, early) >
	    f->now.boot_ms + MINUTE);
	f->cfg.refresh_interval_ms = MINUTE;
	configure(f);
	cache_retime(f->c, 7, &f->now);
	/* within an interval of the last success, or of now if that is over */
	assert_in_range(cache_due_boot_ms(f->c, early), f->now.boot_ms,
	    f->now.boot_ms + MINUTE);
	assert_in_range(cache_due_boot_ms(f->c, late), f->now.boot_ms,
	    f->now.boot_ms + MINUTE);
	/* a longer one puts nothing off */
	due = cache_due_boot_ms(f->c, early);
	f->cfg.refresh_interval_ms = 10 * MINUTE;
	configure(f);
	cache_retime(f->c, 7, &f->now);
	assert_true(cache_due_boot_ms(f->c, early) <= due);
}

static void
test_longer_lead_is_for_what_is_cached_too(void **state)
{
	struct fixture *f = *state;

	f->cfg.refresh_interval_ms = 10 * HOUR;
	f->cfg.refresh_lead_ms = MINUTE;
	configure(f);
	(void)put_expiring(f, "e", (int64_t)HOUR);
	assert_true(cache_wait_ms(f->c, &f->now) > 50 * MINUTE);
	f->cfg.refresh_lead_ms = 30 * MINUTE;
	configure(f);
	cache_retime(f->c, 7, &f->now);
	assert_in_range(cache_wait_ms(f->c, &f->now), 20 * MINUTE,
	    30 * MINUTE);
}

static void
test_less_room_evicts_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *kept = put_sized(f, "kept", 1000, 0);
	size_t one = stats_of(f).bytes;

	kept->kept = true;
	put_sized(f, "b", 1000, 0);
	put_sized(f, "c", 1000, 0);
	f->cfg.max_bytes = 2 * one;
	configure(f);
	cache_retime(f->c, 7, &f->now);
	assert_int_equal(stats_of(f).bytes, 2 * one);
	assert_non_null(find(f, "kept"));
	assert_null(find(f, "b"));
}

static void
test_a_failure_keeps_its_time(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	cache_refresh_failed(f->c, e, ERR_UPSTREAM_UNAVAILABLE, HOUR, &f->now);
	f->cfg.refresh_interval_ms = MINUTE;
	configure(f);
	cache_retime(f->c, 7, &f->now);
	assert_true(cache_due_boot_ms(f->c, e) > f->now.boot_ms + MINUTE);
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

/* --- what watchers are told --- */

struct told {
	const struct cache *c;
	unsigned int count[CACHE_EVENT_FRESH_AGAIN + 1];
	char log[256];		/* a letter an event: CxXGSF, in their order */
	bool had_object;	/* at the last one */
};

static void
note_event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	static const char letters[] = "CxXGSF";
	struct told *told = arg;
	size_t len = strlen(told->log);

	told->count[ev]++;
	told->had_object = e->object != NULL;
	assert_true(cache_id(e).len > 0);
	assert_true(len + 2 < sizeof(told->log));
	told->log[len] = letters[ev];
	told->log[len + 1] = '\0';
}

#define assert_told(told, letters) \
	do { \
		assert_string_equal((told)->log, letters); \
		(told)->log[0] = '\0'; \
	} while (0)

static struct cache_entry *
watched(struct fixture *f, struct told *told)
{
	*told = (struct told){ .c = f->c };
	cache_set_watcher(f->c, note_event, told);
	return get(f, "s-1");
}

static void
test_change_is_told_once_and_a_first_value_is_none(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_told(&told, "");
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_told(&told, "");
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "C");
	assert_true(told.had_object);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "");
	cache_drop(f->c, e);
	assert_told(&told, "");
}

static void
test_gone_is_told_where_there_was_one_and_changed_when_it_is_back(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);

	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_told(&told, "");
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_told(&told, "C");
	cache_install_negative(f->c, e, ERR_DENIED, &f->now);
	assert_told(&told, "G");
	assert_false(told.had_object);
	cache_install_negative(f->c, e, ERR_DENIED, &f->now);
	assert_told(&told, "");
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_told(&told, "C");
}

/* A purge is no word of the service; what comes next may be another value. */
static void
test_purge_tells_nothing_but_what_comes_after_it_does(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	cache_clear(f->c, e, &f->now);
	assert_told(&told, "");
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "C");
	cache_clear(f->c, e, &f->now);
	cache_clear(f->c, e, &f->now);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_told(&told, "G");
	cache_clear(f->c, e, &f->now);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_told(&told, "");
	cache_clear(f->c, e, &f->now);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "C");
}

static void
test_first_failure_is_told_and_its_end(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);
	int i;

	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	assert_told(&told, "");
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	for (i = 0; i < 2; i++) {
		cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
		assert_told(&told, "S");
		cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
		assert_told(&told, "");
		(void)install(f, e, 1, MSG_NO_TIME, 0);
		assert_told(&told, "F");
		(void)install(f, e, 1, MSG_NO_TIME, 0);
		assert_told(&told, "");
	}
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms, &f->now);
	assert_told(&told, "SF");
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "SCF");
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_told(&told, "SG");
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "C");
}

static void
test_expiring_and_expired_are_told_once_each(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);
	int64_t expires = f->now.wall_ms + 2 * (int64_t)MINUTE;

	(void)install(f, e, 1, expires, 0);
	pass(f, 2 * MINUTE - LEAD - 1);
	assert_null(cache_next_due(f->c, &f->now));
	assert_told(&told, "");
	pass(f, 1);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_told(&told, "x");
	(void)install(f, e, 1, expires, 0);
	/* nor again if the clock goes back before that moment */
	f->now.wall_ms -= 5000;
	(void)install(f, e, 1, expires, 0);
	pass(f, 5000);
	(void)cache_next_due(f->c, &f->now);
	assert_told(&told, "");
	pass(f, LEAD);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_told(&told, "X");
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	(void)install(f, e, 1, expires, 0);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	assert_told(&told, "");
	/* a newer one that is about to expire as well, and one expired */
	(void)install(f, e, 2, f->now.wall_ms + 10, 0);
	assert_told(&told, "Cx");
	(void)install(f, e, 3, f->now.wall_ms, 0);
	assert_told(&told, "CX");
}

static void
test_expiry_that_is_passed_at_once_is_told_as_such(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);

	(void)install(f, e, 1, f->now.wall_ms + DAY, 0);
	f->now.wall_ms += DAY;
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_told(&told, "X");
}

static void
test_expired_value_is_neither_stale_nor_fresh_again(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_entry *e = watched(f, &told);
	int64_t expires = f->now.wall_ms + DAY;

	(void)install(f, e, 1, expires, 0);
	pass(f, DAY);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	assert_told(&told, "X");
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms, &f->now);
	assert_told(&told, "");
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	assert_told(&told, "C");
	/* told to be stale before it expired: the end of both is told */
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	(void)install(f, e, 3, f->now.wall_ms, 0);
	assert_told(&told, "SCX");
	(void)install(f, e, 4, MSG_NO_TIME, 0);
	assert_told(&told, "CF");
}

static void
test_changes_and_confirmations_are_counted(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_int_equal(stats_of(f).changes, 1);
	(void)install(f, e, 1, MSG_NO_TIME, 0);
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms, &f->now);
	assert_int_equal(stats_of(f).confirms, 2);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	assert_int_equal(stats_of(f).changes, 2);
	(void)install(f, e, 2, f->now.wall_ms, 0);
	assert_int_equal(stats_of(f).changes, 4);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	assert_int_equal(stats_of(f).changes, 5);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	cache_clear(f->c, e, &f->now);
	(void)install(f, e, 2, MSG_NO_TIME, 0);
	cache_drop(f->c, e);
	assert_int_equal(stats_of(f).changes, 9);
	assert_int_equal(stats_of(f).confirms, 2);
}

/* --- confirmed by a listing --- */

static void
test_confirmed_value_is_as_old_as_the_listing(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, INTERVAL);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	cache_confirm(f->c, e, f->now.boot_ms - 700, f->now.boot_ms + 900,
	    &f->now);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_int_equal(cache_age(e, &f->now), 700);
	assert_int_equal(e->failures, 0);
	assert_int_equal(e->last_error, 0);
	assert_int_equal(stats_of(f).stale, 0);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 900);
	/* nothing is confirmed of what is not there */
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms, &f->now);
	assert_int_equal(state_of(f, e), CACHE_NEGATIVE);
}

static void
test_older_listing_confirms_nothing_but_sets_the_time(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, 100);
	cache_refresh_failed(f->c, e, ERR_UPSTREAM_ERROR, 1, &f->now);
	cache_confirm(f->c, e, f->now.boot_ms - 200, f->now.boot_ms + 900,
	    &f->now);
	assert_int_equal(cache_age(e, &f->now), 100);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	assert_int_equal(cache_due_boot_ms(f->c, e), f->now.boot_ms + 900);
}

static void
test_listing_leaves_the_time_of_a_read_under_way_alone(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");

	pass(f, INTERVAL);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	e->job = f;
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms + 900, &f->now);
	assert_int_equal(cache_age(e, &f->now), 0);
	assert_true(cache_due_boot_ms(f->c, e) == UINT64_MAX);
	e->job = NULL;
}

static void
test_listing_does_not_revive_what_has_expired(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", 5000);
	uint64_t wait, limit = 5000;
	int i;

	pass(f, 5000);
	for (i = 0; i < 12; i++) {
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		cache_confirm(f->c, e, f->now.boot_ms,
		    f->now.boot_ms + 100 * (uint64_t)DAY, &f->now);
		assert_int_equal(state_of(f, e), CACHE_EXPIRED);
		wait = cache_wait_ms(f->c, &f->now);
		assert_in_range(wait, limit - limit / 8, limit);
		limit = limit * 2 < INTERVAL ? limit * 2 : INTERVAL;
		cache_touch(f->c, e, &f->now);
		pass(f, wait);
	}
	/* nor what expires at this very moment */
	(void)install(f, e, 2, f->now.wall_ms + 10, 0);
	pass(f, 10);
	cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms, &f->now);
	f->now.wall_ms -= DAY;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

/* --- phase --- */

static void
test_next_phase_is_the_same_moment_of_each_interval(void **state)
{
	struct fixture *f = *state;
	const struct view what = unit_view("page-7");
	uint64_t rnd = unit_seed(), due, first;
	struct now then = f->now;
	int i;

	/* from on the phase at the latest, it is the phase that is next */
	then.boot_ms = cache_next_phase(f->c, what, INTERVAL, 0, &f->now);
	first = cache_next_phase(f->c, what, INTERVAL, 0, &then) % INTERVAL;
	for (i = 0; i < 1000; i++) {
		due = cache_next_phase(f->c, what, INTERVAL, 0, &f->now);
		assert_true(due > f->now.boot_ms);
		assert_true(due <= f->now.boot_ms + INTERVAL);
		/* a quarter before its moment it waits for as much more */
		if (due % INTERVAL != first)
			assert_int_equal((due - INTERVAL / 4) % INTERVAL,
			    first);
		assert_true(due - f->now.boot_ms >= INTERVAL / 4);
		/* and is back on it the time after, however late then */
		then.boot_ms = due + unit_below(&rnd, INTERVAL / 16);
		assert_int_equal(cache_next_phase(f->c, what, INTERVAL, 0,
		    &then) % INTERVAL, first);
		assert_in_range(cache_next_phase(f->c, what, INTERVAL,
		    (uint32_t)unit_random(&rnd), &f->now) - due, 0,
		    INTERVAL / 16 - 1);
		pass(f, 1 + unit_below(&rnd, INTERVAL));
	}
	assert_int_equal(cache_next_phase(f->c, what, 0, 77, &f->now),
	    f->now.boot_ms);
	assert_true(cache_next_phase(f->c, what, 1, 77, &f->now) ==
	    f->now.boot_ms + 1);
	assert_true(cache_next_phase(f->c, what, UINT64_MAX, 77, &f->now) >
	    f->now.boot_ms);
}

/* Refreshed when it is due, it is refreshed once an interval and no more. */
static void
test_phase_costs_no_refresh_more(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put(f, "s-1");
	uint64_t rnd = unit_seed(), since = 0, n = 0;

	for (n = 0; n < 1000; n++) {
		if (n == 10)	/* by then it is on its phase */
			since = f->now.boot_ms;
		pass(f, cache_wait_ms(f->c, &f->now));
		assert_ptr_equal(cache_next_due(f->c, &f->now), e);
		pass(f, unit_below(&rnd, 200));	/* the service's time */
		cache_touch(f->c, e, &f->now);
		(void)install(f, e, 1, MSG_NO_TIME,
		    (uint32_t)unit_random(&rnd));
	}
	assert_in_range((f->now.boot_ms - since) / (n - 10),
	    INTERVAL - INTERVAL / 64, INTERVAL + 200);
}

static void
test_hosts_that_start_together_ask_at_different_moments(void **state)
{
	struct fixture *f = *state;
	unsigned int eighths[8] = { 0 };
	struct cache_entry *e = get(f, "s-1");
	uint64_t rnd = unit_seed(), wait;
	size_t i;

	for (i = 0; i < 8000; i++) {
		f->cfg.phase = unit_random(&rnd);
		configure(f);
		(void)install(f, e, 1, MSG_NO_TIME, 0);
		wait = cache_wait_ms(f->c, &f->now);
		assert_in_range(wait, 1, INTERVAL);
		eighths[wait == INTERVAL ? 7 : wait * 8 / INTERVAL]++;
	}
	/* what would come in the first quarter comes in the second */
	for (i = 0; i < 2; i++)
		assert_int_equal(eighths[i], 0);
	for (i = 2; i < 4; i++)
		assert_in_range(eighths[i], 1500, 2500);
	for (i = 4; i < 8; i++)
		assert_in_range(eighths[i], 750, 1250);
}

static void
test_time_to_expiry_is_told_by_the_clock_that_judges_it(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = get(f, "s-1");

	(void)install(f, e, 1, MSG_NO_TIME, 0);
	assert_true(cache_expires_ms(f->c, e, &f->now) == UINT64_MAX);
	assert_false(cache_expires_soon(f->c, e, &f->now));
	(void)install(f, e, 2, f->now.wall_ms + 10 * (int64_t)LEAD, 0);
	assert_int_equal(cache_expires_ms(f->c, e, &f->now), 10 * LEAD);
	assert_false(cache_expires_soon(f->c, e, &f->now));
	/* the service's clock is ahead of ours */
	cache_set_wall_floor(f->c, f->now.wall_ms + 9 * (int64_t)LEAD,
	    &f->now);
	assert_int_equal(cache_expires_ms(f->c, e, &f->now), LEAD);
	assert_true(cache_expires_soon(f->c, e, &f->now));
	pass(f, LEAD);
	assert_int_equal(cache_expires_ms(f->c, e, &f->now), 0);
}

static void
test_rereads_are_spread_over_their_interval_and_stay_so(void **state)
{
	struct fixture *f = *state;
	unsigned int eighths[8] = { 0 };
	uint64_t rnd = unit_seed(), in;
	struct cache_entry *e;
	size_t i;

	for (i = 0; i < 8000; i++) {
		e = get(f, "s-1");
		(void)install(f, e, 1, MSG_NO_TIME,
		    (uint32_t)unit_random(&rnd));
		in = e->reread_boot_ms - f->now.boot_ms;
		assert_true(in < REREAD);
		eighths[in / (REREAD / 8)]++;
		/* one that was read for another reason keeps its turn */
		(void)install(f, e, 1 + i, MSG_NO_TIME,
		    (uint32_t)unit_random(&rnd));
		assert_true(e->reread_boot_ms - f->now.boot_ms == in);
		pass(f, in);
		(void)install(f, e, 1 + i, MSG_NO_TIME, 0);
		in = e->reread_boot_ms;
		assert_true(in == f->now.boot_ms + REREAD);
		cache_confirm(f->c, e, f->now.boot_ms, f->now.boot_ms + 1,
		    &f->now);
		assert_true(e->reread_boot_ms == in);
		cache_drop(f->c, e);
	}
	/* evenly, not as chance would have it */
	for (i = 0; i < 8; i++)
		assert_in_range(eighths[i], 990, 1010);
}

/* --- clocks that are wrong --- */

/* A step forward and back, seen by anything at all, expires all it passed. */
static void
test_step_forward_and_back_misses_nobody(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *a = put_expiring(f, "a", 4 * (int64_t)HOUR);
	struct cache_entry *b = put_expiring(f, "b", 5 * (int64_t)HOUR);
	struct cache_entry *c = put_expiring(f, "c", 7 * (int64_t)HOUR);
	struct cache_entry *plain = put(f, "plain");

	f->now.wall_ms += 6 * (int64_t)HOUR;
	assert_int_equal(state_of(f, plain), CACHE_FRESH);
	f->now.wall_ms -= 6 * (int64_t)HOUR;
	assert_int_equal(state_of(f, a), CACHE_EXPIRED);
	assert_int_equal(state_of(f, b), CACHE_EXPIRED);
	assert_int_equal(state_of(f, c), CACHE_FRESH);
	assert_non_null(cache_next_due(f->c, &f->now));
	assert_non_null(cache_next_due(f->c, &f->now));
	assert_null(cache_next_due(f->c, &f->now));
}

static void
test_service_clock_is_a_lower_bound(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", HOUR);

	cache_set_wall_floor(f->c, f->now.wall_ms + HOUR - 5000, &f->now);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	/* the lead before it has come */
	assert_int_equal(cache_wait_ms(f->c, &f->now), 0);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 5000);
	/* an earlier one says nothing, and it goes on by itself */
	cache_set_wall_floor(f->c, f->now.wall_ms + 7, &f->now);
	f->now.wall_ms -= 10 * (int64_t)DAY;
	f->now.boot_ms += 4999;
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	f->now.boot_ms += 1;
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	(void)install(f, e, 2, f->now.wall_ms + DAY, 0);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
}

static void
test_service_clock_expires_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_expiring(f, "s-1", HOUR);

	cache_set_wall_floor(f->c, f->now.wall_ms + HOUR, &f->now);
	assert_true(e->expired);
	cache_set_wall_floor(f->c, INT64_MAX, &f->now);
	pass(f, DAY);
	assert_true(cache_can_judge(f->c, &f->now));
}

static void
test_in_1970_no_expiry_is_judged(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *plain = put(f, "plain"), *e, *old;

	f->now.wall_ms = 0;
	assert_false(cache_can_judge(f->c, &f->now));
	e = put_expiring(f, "s-1", 57 * 365 * (int64_t)DAY);
	old = put_expiring(f, "old", -1);
	assert_int_equal(state_of(f, e), CACHE_UNJUDGED);
	assert_int_equal(state_of(f, old), CACHE_UNJUDGED);
	assert_int_equal(state_of(f, plain), CACHE_FRESH);
	/* nothing turns round because of it */
	assert_true(cache_wait_ms(f->c, &f->now) > INTERVAL / 16);
	assert_null(cache_next_due(f->c, &f->now));
	/* set right, before the one and after the other */
	f->now.wall_ms = CACHE_WALL_PLAUSIBLE_MS - 1;
	assert_int_equal(state_of(f, e), CACHE_UNJUDGED);
	f->now.wall_ms = CACHE_WALL_PLAUSIBLE_MS;
	assert_true(cache_can_judge(f->c, &f->now));
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	assert_int_equal(state_of(f, old), CACHE_EXPIRED);
	/* wrong again: what was seen to expire stays so */
	f->now.wall_ms = 0;
	assert_int_equal(state_of(f, old), CACHE_EXPIRED);
	assert_int_equal(state_of(f, e), CACHE_UNJUDGED);
	/* the service tells the time */
	cache_set_wall_floor(f->c, UNIT_WALL_MS, &f->now);
	assert_int_equal(state_of(f, e), CACHE_FRESH);
}

/* --- restored --- */

static struct cache_restored
restored(const char *id, struct object *o)
{
	return (struct cache_restored){
		.key = key_of(id), .object = o, .reread_in_ms = HOUR,
	};
}

static int
restore(struct fixture *f, const struct cache_restored *r, uint32_t rnd)
{
	int result = cache_restore(f->c, r, 8000, rnd, &f->now);

	object_unref(r->object);
	return result;
}

static void
test_restored_value_has_its_age_even_before_the_boot(void **state)
{
	struct fixture *f = *state;
	struct told told;
	struct cache_restored r = restored("s-1",
	    unit_object(REF_SECRET, "s-1", "n", 3, MSG_NO_TIME, 16, 'x'));
	struct cache_entry *e;

	told = (struct told){ .c = f->c };
	cache_set_watcher(f->c, note_event, &told);
	f->now.boot_ms = 5000;
	r.age_ms = MAX_STALE - 10;
	r.read_age_ms = IDLE - 20;
	r.failures = 3;
	assert_int_equal(restore(f, &r, 0), 0);
	e = find(f, "s-1");
	assert_non_null(e);
	assert_int_equal(cache_age(e, &f->now), MAX_STALE - 10);
	assert_int_equal(f->now.boot_ms - e->read_boot_ms, IDLE - 20);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	assert_int_equal(stats_of(f).stale, 1);
	assert_int_equal(stats_of(f).changes, 0);
	assert_true(e->reread_boot_ms == 5000 + HOUR);
	pass(f, 10);
	assert_int_equal(state_of(f, e), CACHE_STALE);
	pass(f, 1);
	assert_int_equal(state_of(f, e), CACHE_TOO_OLD);
	assert_told(&told, "");
	(void)install(f, e, 3, MSG_NO_TIME, 0);
	assert_told(&told, "CF");
	pass(f, 1);
	/* a listing that was asked for before the boot is older */
	cache_confirm(f->c, e, f->now.boot_ms - DAY, f->now.boot_ms, &f->now);
	assert_int_equal(cache_age(e, &f->now), 1);
}

static void
test_restored_value_that_was_never_read_since_goes_idle(void **state)
{
	struct fixture *f = *state;
	struct cache_restored r = restored("s-1",
	    unit_object(REF_SECRET, "s-1", "n", 3, MSG_NO_TIME, 16, 'x'));

	f->now.boot_ms = 5000;
	r.age_ms = INTERVAL;
	r.read_age_ms = IDLE;
	assert_int_equal(restore(f, &r, 0), 0);
	pass(f, 8000);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "s-1"));
}

static void
test_restored_expiry_is_kept_whatever_the_clock_says(void **state)
{
	struct fixture *f = *state;
	struct cache_restored r;
	struct cache_entry *e;

	f->cfg.serve_expired_ms = HOUR;
	configure(f);
	f->now.boot_ms = 5000;
	/* had been seen to expire, but the clock is before it now */
	r = restored("a", unit_object(REF_SECRET, "a", "n", 1,
	    f->now.wall_ms + DAY, 16, 'x'));
	r.expired = true;
	r.expired_age_ms = HOUR - 10;
	assert_int_equal(restore(f, &r, 0), 0);
	e = find(f, "a");
	assert_int_equal(state_of(f, e), CACHE_GRACE);
	pass(f, 10);
	assert_int_equal(state_of(f, e), CACHE_EXPIRED);
	/* had not, and has now */
	r = restored("b", unit_object(REF_SECRET, "b", "n", 1,
	    f->now.wall_ms - HOUR, 16, 'x'));
	assert_int_equal(restore(f, &r, 0), 0);
	assert_int_equal(state_of(f, find(f, "b")), CACHE_EXPIRED);
	/* and will be */
	r = restored("c", unit_object(REF_SECRET, "c", "n", 1,
	    f->now.wall_ms + 5000, 16, 'x'));
	assert_int_equal(restore(f, &r, 0), 0);
	e = find(f, "c");
	assert_int_equal(state_of(f, e), CACHE_FRESH);
	pass(f, 5000);
	assert_int_equal(state_of(f, e), CACHE_GRACE);
}

static void
test_restored_values_are_due_when_they_had_been_or_spread(void **state)
{
	struct fixture *f = *state;
	unsigned int eighths[8] = { 0 };
	struct cache_restored r;
	uint64_t rnd = unit_seed(), wait;
	struct cache_entry *e;
	char id[16];
	size_t i;

	for (i = 0; i < 4000; i++) {
		(void)snprintf(id, sizeof(id), "s-%zu", i);
		r = restored(id, unit_object(REF_SECRET, id, "n", 1,
		    MSG_NO_TIME, 16, 'x'));
		r.age_ms = i % 2 == 0 ? INTERVAL : INTERVAL / 2;
		r.failures = i % 4 == 3;
		assert_int_equal(restore(f, &r, (uint32_t)unit_random(&rnd)),
		    0);
		e = find(f, id);
		wait = cache_due_boot_ms(f->c, e) - f->now.boot_ms;
		if (i % 4 == 1) {
			assert_in_range(wait, 0, INTERVAL / 2);
		} else {
			assert_true(wait < 8000);
			eighths[wait / 1000]++;
		}
	}
	for (i = 0; i < 8; i++)
		assert_in_range(eighths[i], 280, 480);
	/* on its phase: no later than it would be without a restart */
	e = put(f, "s");
	wait = cache_wait_ms(f->c, &f->now);
	pass(f, 1000);
	wait = cache_due_boot_ms(f->c, e);
	cache_drop(f->c, e);
	r = restored("s", unit_object(REF_SECRET, "s", "n", 1, MSG_NO_TIME,
	    16, 'x'));
	r.age_ms = 1000;
	assert_int_equal(restore(f, &r, 0), 0);
	assert_true(cache_due_boot_ms(f->c, find(f, "s")) > f->now.boot_ms);
	assert_true(cache_due_boot_ms(f->c, find(f, "s")) <= wait);
}

static void
test_restored_pinned_version_is_due_by_the_reread_interval(void **state)
{
	struct fixture *f = *state;
	struct cache_restored r = restored("s-1",
	    unit_object(REF_SECRET, "s-1", "n", 3, MSG_NO_TIME, 16, 'x'));

	r.key.version = 3;
	r.age_ms = REREAD - 5000;
	assert_int_equal(restore(f, &r, 0), 0);
	assert_int_equal(cache_wait_ms(f->c, &f->now), 5000);
}

static void
test_restoring_evicts_nothing_and_replaces_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_sized(f, "a", 1000, 0);
	struct cache_restored r;
	size_t one = stats_of(f).bytes;

	f->cfg.max_bytes = 2 * one - 1;
	configure(f);
	r = restored("b", unit_object(REF_SECRET, "b", "name", 1, MSG_NO_TIME,
	    1000, 'y'));
	assert_int_equal(restore(f, &r, 0), ERR_TOO_LARGE);
	assert_null(find(f, "b"));
	assert_int_equal(stats_of(f).bytes, one);
	f->cfg.max_bytes = 2 * one;
	configure(f);
	r.object = unit_object(REF_SECRET, "b", "name", 1, MSG_NO_TIME, 1000,
	    'y');
	assert_int_equal(restore(f, &r, 0), 0);
	assert_int_equal(stats_of(f).bytes, 2 * one);
	/* what is known by now is newer */
	r = restored("a", unit_object(REF_SECRET, "a", "name", 9, MSG_NO_TIME,
	    1, 'y'));
	assert_int_equal(restore(f, &r, 0), 0);
	assert_int_equal(e->object->version, 1);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	r.object = unit_object(REF_SECRET, "a", "name", 9, MSG_NO_TIME, 1, 'y');
	assert_int_equal(restore(f, &r, 0), 0);
	assert_null(e->object);
	cache_clear(f->c, e, &f->now);
	r.object = unit_object(REF_SECRET, "a", "name", 9, MSG_NO_TIME, 1, 'y');
	assert_int_equal(restore(f, &r, 0), 0);
	assert_null(e->object);
	/* of what nobody knows anything yet, unless it is being read */
	e = get(f, "c");
	e->job = f;
	r = restored("c", unit_object(REF_SECRET, "c", "name", 9, MSG_NO_TIME,
	    1, 'y'));
	assert_int_equal(restore(f, &r, 0), 0);
	assert_null(e->object);
	e->job = NULL;
	r.object = unit_object(REF_SECRET, "c", "name", 9, MSG_NO_TIME, 1, 'y');
	assert_int_equal(restore(f, &r, 0), 0);
	assert_non_null(e->object);
}

/* --- what stays --- */

static void
test_watched_entry_is_neither_idle_nor_evicted(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e = put_sized(f, "watched", 1000, 0);

	e->watchers = 2;
	assert_int_equal(cache_evict(f->c, SIZE_MAX), 0);
	pass(f, 100 * (uint64_t)DAY);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	cache_install_negative(f->c, e, ERR_NOT_FOUND, &f->now);
	pass(f, NEGATIVE_TTL);
	assert_ptr_equal(cache_next_due(f->c, &f->now), e);
	e->watchers = 0;
	pass(f, INTERVAL);
	assert_null(cache_next_due(f->c, &f->now));
	assert_null(find(f, "watched"));
}

static void
test_what_must_stay_leaves_no_room_for_newcomers(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *kept = put_sized(f, "kept", 1000, 0), *e;
	struct cache_entry *watched = put_sized(f, "watched", 1000, 0);
	size_t two = stats_of(f).bytes;

	kept->kept = true;
	watched->watchers = 1;
	put_sized(f, "small", 10, 0);
	f->cfg.max_bytes = stats_of(f).bytes;
	configure(f);
	/* not even what could go does, since that would not be enough */
	e = put_sized(f, "new", 1000, ERR_TOO_LARGE);
	assert_int_equal(state_of(f, e), CACHE_NONE);
	assert_non_null(find(f, "small"));
	assert_int_equal(stats_of(f).evictions, 0);
	cache_drop(f->c, e);
	put_sized(f, "new", 10, 0);
	assert_null(find(f, "small"));
	/* and it may not grow itself */
	put_sized(f, "kept", 3000, ERR_TOO_LARGE);
	assert_int_equal(object_value(kept->object).len, 1000);
	assert_true(stats_of(f).bytes <= f->cfg.max_bytes);
	watched->watchers = 0;
	put_sized(f, "kept", 2000, 0);
	assert_null(find(f, "watched"));
	assert_true(stats_of(f).bytes < two + 2000);
}

/* What is being read cannot go, but its value can: the read brings it back. */
static void
test_value_of_a_busy_entry_makes_room_when_nothing_else_does(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *busy = put_sized(f, "busy", 1000, 0);
	struct told told;

	told = (struct told){ .c = f->c };
	cache_set_watcher(f->c, note_event, &told);
	put_sized(f, "other", 1000, 0);
	busy->job = f;
	f->cfg.max_bytes = stats_of(f).bytes + 300;
	configure(f);
	put_sized(f, "new", 1000, 0);
	assert_null(find(f, "other"));
	assert_non_null(busy->object);
	put_sized(f, "new", 2000, 0);
	assert_ptr_equal(find(f, "busy"), busy);
	assert_null(busy->object);
	assert_int_equal(state_of(f, busy), CACHE_NONE);
	assert_true(stats_of(f).bytes <= f->cfg.max_bytes);
	assert_told(&told, "C");	/* of `new` */
	busy->job = NULL;
	(void)install(f, busy, 1, MSG_NO_TIME, 0);
	assert_told(&told, "");
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
		test(test_refusals_remembered_are_bounded),
		test(test_refusal_drops_the_value_at_once),
		test(test_value_after_a_refusal_is_new),
		test(test_failure_says_nothing_about_a_negative_entry),
		test(test_cleared_entry_says_nothing_and_goes),
		test(test_everything_a_caller_sees_is_a_change),
		test(test_reader_keeps_the_old_whole_value),
		test(test_refresh_comes_within_the_interval_and_not_at_once),
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
		test(test_shorter_interval_is_for_what_is_cached_too),
		test(test_longer_lead_is_for_what_is_cached_too),
		test(test_less_room_evicts_at_once),
		test(test_a_failure_keeps_its_time),
		test(test_least_recently_read_entry_goes_first),
		test(test_kept_and_busy_entries_are_not_evicted),
		test(test_evict_stops_when_enough_went),
		test(test_value_that_can_never_fit_changes_nothing),
		test(test_growing_entry_evicts_others_and_never_itself),
		test(test_value_that_just_fits_evicts_all_others),
		test(test_smaller_budget_counts_from_the_next_install),
		test(test_figures_tell_secrets_from_keys),
		test(test_change_is_told_once_and_a_first_value_is_none),
		test(
		    test_gone_is_told_where_there_was_one_and_changed_when_it_is_back),
		test(test_purge_tells_nothing_but_what_comes_after_it_does),
		test(test_first_failure_is_told_and_its_end),
		test(test_expiring_and_expired_are_told_once_each),
		test(test_expiry_that_is_passed_at_once_is_told_as_such),
		test(test_expired_value_is_neither_stale_nor_fresh_again),
		test(test_changes_and_confirmations_are_counted),
		test(test_confirmed_value_is_as_old_as_the_listing),
		test(test_older_listing_confirms_nothing_but_sets_the_time),
		test(test_listing_leaves_the_time_of_a_read_under_way_alone),
		test(test_listing_does_not_revive_what_has_expired),
		test(test_next_phase_is_the_same_moment_of_each_interval),
		test(test_phase_costs_no_refresh_more),
		test(test_hosts_that_start_together_ask_at_different_moments),
		test(test_time_to_expiry_is_told_by_the_clock_that_judges_it),
		test(test_rereads_are_spread_over_their_interval_and_stay_so),
		test(test_step_forward_and_back_misses_nobody),
		test(test_service_clock_is_a_lower_bound),
		test(test_service_clock_expires_at_once),
		test(test_in_1970_no_expiry_is_judged),
		test(test_restored_value_has_its_age_even_before_the_boot),
		test(test_restored_value_that_was_never_read_since_goes_idle),
		test(test_restored_expiry_is_kept_whatever_the_clock_says),
		test(
		    test_restored_values_are_due_when_they_had_been_or_spread),
		test(
		    test_restored_pinned_version_is_due_by_the_reread_interval),
		test(test_restoring_evicts_nothing_and_replaces_nothing),
		test(test_watched_entry_is_neither_idle_nor_evicted),
		test(test_what_must_stay_leaves_no_room_for_newcomers),
		test(
		    test_value_of_a_busy_entry_makes_room_when_nothing_else_does),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
