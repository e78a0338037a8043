/*
 * Refreshing by the listing, through the whole of fetch: what is asked of the
 * service, and what readers see meanwhile.
 */
#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "fetch.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define INTERVAL (5u * MINUTE)
#define DAY (24u * 60 * MINUTE)
#define SECRETS 60u
#define PAGE 20u

struct fixture {
	struct fake_upstream fu;
	struct fetch_config cfg;
	struct fetch *fetch;
	struct metrics metrics;
	struct ref ref;
	unsigned int failures;	/* of the reads made with ask() */
	unsigned int answers;
	enum msg_freshness freshness;	/* of the last */
	char value[16];
	char ids[SECRETS][16];
	char names[SECRETS][16];
};

static bool
reload_key(void *arg)
{
	(void)arg;
	return false;
}

static void
nothing(void *arg)
{
	(void)arg;
}

static int
set_up(void **state)
{
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = nothing,
		.wiped = nothing,
	};
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned int i;

	assert_non_null(f);
	f->cfg = (struct fetch_config){
		.cache = {
			.max_bytes = 8u << 20, .refresh_interval_ms = INTERVAL,
			.refresh_lead_ms = MINUTE,
			/* not by chance within a test */
			.reread_interval_ms = 1000000ull * 365 * DAY,
			.max_stale_ms = DAY, .negative_ttl_ms = 10000,
			.idle_evict_ms = 30ull * DAY,
		},
		.unauthorized_grace_ms = INTERVAL,
		.max_in_flight = 16,
	};
	fake_time_reset();
	fake_upstream_init(&f->fu);
	f->fu.page_size = PAGE;
	f->fetch = fetch_new(NULL, &f->fu.up, &f->cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	for (i = 0; i < SECRETS; i++) {
		(void)snprintf(f->ids[i], sizeof(f->ids[i]), "sec_%u", i);
		(void)snprintf(f->names[i], sizeof(f->names[i]), "n/%u", i);
		fake_upstream_add(&f->fu, REF_SECRET, f->ids[i], f->names[i],
		    "one");
	}
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

static void
answered(void *arg, struct fetch_result *r)
{
	struct fixture *f = arg;
	struct view v;

	f->answers++;
	if (r->error != 0) {
		f->failures++;
		return;
	}
	f->freshness = r->freshness;
	v = object_value(r->object);
	assert_true(v.len < sizeof(f->value));
	memcpy(f->value, v.p, v.len);
	f->value[v.len] = '\0';
	object_unref(r->object);
}

static void
ask(struct fixture *f, unsigned int i, bool fresh)
{
	struct fetch_query q = {
		.ref = &f->ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT, .fresh = fresh,
	};
	struct fetch_result result;
	struct fetch_wait *wait;
	char text[64];

	(void)snprintf(text, sizeof(text), "qapi://secrets/%s", f->ids[i]);
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	if (fetch_get(f->fetch, &q, &fake_now, &result, answered, &wait) == 0)
		answered(f, &result);
	else
		fetch_set_arg(wait, f);
}

/* Have the first n cached; nobody reads them afterwards. */
static void
fill(struct fixture *f, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		ask(f, i, false);
		fake_upstream_serve(&f->fu);
	}
	assert_int_equal(f->answers, n);
	assert_int_equal(f->failures, 0);
	f->fu.reads = f->fu.lists = 0;
}

static size_t
secrets_cached(struct fixture *f)
{
	struct cache_stats stats;

	cache_get_stats(fetch_cache(f->fetch), &stats);
	return stats.secrets;
}

static bool
is_young(void *arg, struct cache_entry *e)
{
	assert_true(cache_age(e, &fake_now) <= *(const uint64_t *)arg);
	return true;
}

/* Everything cached was confirmed within so long. */
static void
assert_no_older_than(struct fixture *f, uint64_t age_ms)
{
	cache_foreach(fetch_cache(f->fetch), is_young, &age_ms);
}

static void
test_listing_confirms_what_is_on_it_and_nothing_is_read(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	fill(f, SECRETS);
	for (i = 0; i < 10; i++) {
		fake_upstream_pass(&f->fu, INTERVAL);
		assert_no_older_than(f, INTERVAL);
	}
	assert_int_equal(f->fu.reads, 0);
	/* three pages, and at most every 7/8 of the interval */
	assert_true(f->fu.lists >= 3 * 9);
	assert_true(f->fu.lists <= 3 * 12);
	assert_string_equal(fetch_revalidation(f->fetch), "listing");
}

static void
test_only_what_changed_is_read(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	f->fu.things[7].version = 2;
	f->fu.things[7].value = "two";
	f->fu.things[41].expires_at = fake_now.wall_ms + DAY;
	f->fu.things[12].name = "renamed";
	fake_upstream_pass(&f->fu, INTERVAL);
	assert_int_equal(f->fu.reads, 3);
	ask(f, 7, false);
	assert_string_equal(f->value, "two");
	assert_int_equal(f->freshness, MSG_FRESH);
	assert_no_older_than(f, INTERVAL);
}

static void
test_what_the_listing_lacks_is_read_and_so_found_gone(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	f->fu.things[3].name = NULL;	/* deleted */
	f->fu.things[5].unlisted = true; /* hidden only */
	f->fu.things[9].inactive = true;
	f->fu.things[9].status = 410;
	fake_upstream_pass(&f->fu, INTERVAL);
	assert_int_equal(f->fu.reads, 3);
	assert_int_equal(secrets_cached(f), SECRETS - 2);
	ask(f, 3, false);
	ask(f, 9, false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->failures, 2);
	ask(f, 5, false);
	assert_int_equal(f->failures, 2);
}

static void
test_key_that_may_not_list_reads_each(void **state)
{
	struct fixture *f = *state;

	f->fu.list_status = 403;
	fill(f, SECRETS);
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	assert_int_equal(f->fu.lists, 1);
	assert_true(f->fu.reads >= 2 * SECRETS);
	assert_no_older_than(f, INTERVAL);
	assert_string_equal(fetch_revalidation(f->fetch),
	    "single reads: the API key may not list");
	/* another key may */
	f->fu.list_status = 0;
	fetch_key_changed(f->fetch);
	f->fu.reads = f->fu.lists = 0;
	fake_upstream_pass(&f->fu, INTERVAL);
	assert_int_equal(f->fu.reads, 0);
	assert_true(f->fu.lists >= 3);
}

static void
test_listing_that_may_come_back_is_tried_again_later(void **state)
{
	struct fixture *f = *state;

	f->fu.list_status = 403;
	fill(f, SECRETS);
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	f->fu.list_status = 0;
	fake_upstream_pass(&f->fu, 12 * INTERVAL);
	assert_string_equal(fetch_revalidation(f->fetch), "listing");
}

static void
test_rows_without_versions_are_of_no_use(void **state)
{
	struct fixture *f = *state;

	f->fu.bare_rows = true;
	fill(f, SECRETS);
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	assert_int_equal(f->fu.lists, 1);
	assert_true(f->fu.reads >= 2 * SECRETS);
	assert_no_older_than(f, INTERVAL);
	assert_non_null(strstr(fetch_revalidation(f->fetch), "lacks version"));
}

static void
test_long_listing_for_few_secrets_is_left_after_its_first_page(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 2;
	f->fu.total = SECRETS;	/* 30 pages */
	fill(f, 15);
	fake_upstream_pass(&f->fu, 3 * INTERVAL);
	assert_int_equal(f->fu.lists, 1);
	/* two were on that page */
	assert_true(f->fu.reads >= 3 * 15 - 2);
	assert_no_older_than(f, INTERVAL);
	assert_string_equal(fetch_revalidation(f->fetch), "single reads");
}

static void
test_few_secrets_are_read_each(void **state)
{
	struct fixture *f = *state;

	fill(f, 10);
	fake_upstream_pass(&f->fu, 3 * INTERVAL);
	assert_int_equal(f->fu.lists, 0);
	assert_true(f->fu.reads >= 30);
	assert_no_older_than(f, INTERVAL);
}

static void
test_failed_listing_leaves_all_stale_and_the_next_makes_all_fresh(
    void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	unsigned int before;

	fill(f, SECRETS);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, INTERVAL);
	cache_get_stats(fetch_cache(f->fetch), &stats);
	assert_int_equal(stats.stale, SECRETS);
	before = f->fu.started;
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	/* a probe every 15 s, whatever is cached */
	assert_true(f->fu.started - before <= 41);
	ask(f, 1, false);
	assert_int_equal(f->freshness, MSG_STALE);
	f->fu.mode = FAKE_OK;
	f->fu.reads = f->fu.lists = 0;
	fake_upstream_pass(&f->fu, 20 * SECOND);
	cache_get_stats(fetch_cache(f->fetch), &stats);
	assert_int_equal(stats.stale, 0);
	assert_no_older_than(f, 20 * SECOND);
	assert_true(f->fu.reads <= 1);
	assert_true(f->fu.lists <= 6);
}

static void
test_each_is_read_by_its_id_every_reread_interval_spread_out(void **state)
{
	struct fixture *f = *state;
	unsigned int most = 0, i;

	f->cfg.cache.reread_interval_ms = 40ull * INTERVAL;
	fetch_configure(f->fetch, &f->cfg);
	fill(f, SECRETS);
	for (i = 0; i < 42; i++) {
		f->fu.reads = 0;
		fake_upstream_pass(&f->fu, INTERVAL);
		if (f->fu.reads > most)
			most = f->fu.reads;
	}
	/* one and a half an interval, at random */
	assert_true(most >= 1);
	assert_true(most <= 10);
	for (i = f->fu.started = 0, f->fu.reads = 0; i < 40; i++)
		fake_upstream_pass(&f->fu, INTERVAL);
	assert_true(f->fu.reads >= SECRETS - SECRETS / 4);
	assert_true(f->fu.reads <= SECRETS + SECRETS / 4);
}

/* The first call about the listing, once everything due is parked. */
static void
wait_for_listing(struct fixture *f)
{
	unsigned int n = 0;

	while (fake_upstream_first(&f->fu) == NULL) {
		assert_true(++n < 1000);
		fake_time_pass(SECOND);
	}
	assert_int_equal(fake_upstream_first(&f->fu)->req.op,
	    UPSTREAM_LIST_SECRETS);
}

static void
test_readers_do_not_wait_for_the_listing(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	wait_for_listing(f);
	ask(f, 1, false);
	assert_int_equal(f->answers, SECRETS + 1);
	assert_int_equal(f->freshness, MSG_FRESH);
	/* who wants it newer has it read */
	ask(f, 2, true);
	fake_time_run();
	assert_non_null(fake_upstream_find(&f->fu, f->ids[2]));
	fake_upstream_answer_table(&f->fu,
	    fake_upstream_find(&f->fu, f->ids[2]));
	fake_time_run();
	assert_int_equal(f->answers, SECRETS + 2);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.reads, 1);
	assert_no_older_than(f, MINUTE);
}

static void
test_what_is_purged_meanwhile_stays_away(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	wait_for_listing(f);
	assert_int_equal(fetch_purge_all(f->fetch), SECRETS);
	fake_upstream_serve(&f->fu);
	assert_int_equal(secrets_cached(f), 0);
	assert_int_equal(f->fu.reads, 0);
}

static void
test_free_while_much_waits_for_a_listing(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	wait_for_listing(f);
	/* tear_down() does it */
}

static void
test_value_is_as_old_as_the_page_was_asked_for(void **state)
{
	struct fixture *f = *state;

	fill(f, SECRETS);
	wait_for_listing(f);
	fake_time_pass(20 * SECOND);
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	ask(f, 0, false);
	assert_int_equal(f->freshness, MSG_FRESH);
	assert_no_older_than(f, INTERVAL + 20 * SECOND);
	fake_upstream_serve(&f->fu);
}

static void
test_what_expires_soon_is_not_left_to_many_pages(void **state)
{
	struct fixture *f = *state;

	f->fu.things[4].expires_at = fake_now.wall_ms + 12 * MINUTE;
	fill(f, SECRETS);
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	f->fu.reads = f->fu.lists = 0;
	/* from refresh_lead before it on */
	f->fu.things[4].version = 2;
	f->fu.things[4].expires_at = fake_now.wall_ms + DAY;
	f->fu.things[4].value = "two";
	fake_upstream_pass(&f->fu, MINUTE + 10 * SECOND);
	ask(f, 4, false);
	assert_string_equal(f->value, "two");
	assert_true(f->fu.reads <= 1);
}

static void
test_listing_that_contradicts_the_reads_is_given_up(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < SECRETS; i++)
		f->fu.things[i].row_updated_at = 1700000000000;
	fill(f, SECRETS);
	fake_upstream_pass(&f->fu, 4 * INTERVAL);
	assert_non_null(strstr(fetch_revalidation(f->fetch), "contradicts"));
	f->fu.reads = f->fu.lists = 0;
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	assert_int_equal(f->fu.lists, 0);
	assert_no_older_than(f, INTERVAL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_listing_confirms_what_is_on_it_and_nothing_is_read),
		test(test_only_what_changed_is_read),
		test(test_what_the_listing_lacks_is_read_and_so_found_gone),
		test(test_key_that_may_not_list_reads_each),
		test(test_listing_that_may_come_back_is_tried_again_later),
		test(test_rows_without_versions_are_of_no_use),
		test(
		    test_long_listing_for_few_secrets_is_left_after_its_first_page),
		test(test_few_secrets_are_read_each),
		test(
		    test_failed_listing_leaves_all_stale_and_the_next_makes_all_fresh),
		test(test_each_is_read_by_its_id_every_reread_interval_spread_out),
		test(test_readers_do_not_wait_for_the_listing),
		test(test_what_is_purged_meanwhile_stays_away),
		test(test_free_while_much_waits_for_a_listing),
		test(test_value_is_as_old_as_the_page_was_asked_for),
		test(test_what_expires_soon_is_not_left_to_many_pages),
		test(test_listing_that_contradicts_the_reads_is_given_up),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
