#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "lookup.h"

#define SECOND 1000u
#define INTERVAL (300u * SECOND)
#define NEGATIVE_TTL (10u * SECOND)

/*
 * The decisions alone: the test is in the place of fetch, installs what a read
 * would bring, and renews the listing when it is told to.
 */
struct fixture {
	struct fake_upstream fu;
	struct jobs *js;
	struct names *names;
	struct cache *cache;
	struct lookup_in in;
	struct lookup lk;
	struct fetch_result result;
	struct cache_entry *entry;
	struct ref ref;
	char text[256];
};

static bool
no_key(void *arg)
{
	(void)arg;
	return false;
}

static void
no_state(void *arg)
{
	(void)arg;
}

static bool
no_page(void *arg, enum ref_kind kind, const struct upstream_page *page,
    uint64_t asked_boot_ms)
{
	(void)arg;
	(void)kind;
	(void)page;
	(void)asked_boot_ms;
	return true;
}

static void
no_names(void *arg, enum ref_kind kind, const struct upstream_answer *answer)
{
	(void)arg;
	(void)kind;
	(void)answer;
}

static int
set_up(void **state)
{
	const struct jobs_hooks hooks = {
		.reload_key = no_key, .state_changed = no_state,
	};
	const struct cache_config cfg = {
		.max_bytes = 1u << 20,
		.refresh_interval_ms = INTERVAL,
		.max_stale_ms = 86400 * SECOND,
		.negative_ttl_ms = NEGATIVE_TTL,
		.idle_evict_ms = 86400 * SECOND,
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	f->js = jobs_new(NULL, &f->fu.up, 4, &hooks);
	f->cache = cache_new(&cfg);
	f->names = f->js != NULL ? names_new(f->js, no_page, no_names,
	    NULL) : NULL;
	assert_true(f->cache != NULL && f->names != NULL);
	f->in = (struct lookup_in){
		.cache = f->cache, .names = f->names,
		.refresh_interval_ms = INTERVAL,
		.negative_ttl_ms = NEGATIVE_TTL,
	};
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	names_free(f->names);
	jobs_free(f->js);
	cache_free(f->cache);
	fake_upstream_done(&f->fu);
	free(f);
	return 0;
}

/* Begin a lookup of a secret. */
static void
begin_on(struct fixture *f, const char *name, const struct fetch_query *terms)
{
	struct fetch_query q = *terms;

	(void)snprintf(f->text, sizeof(f->text), "qapi://secrets/%s", name);
	assert_int_equal(ref_parse(f->text, strlen(f->text), &f->ref, NULL),
	    0);
	q.ref = &f->ref;
	lookup_init(&f->lk, &q, jobs_now(f->js));
}

static const struct fetch_query plain = {
	.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
};

static void
begin(struct fixture *f, const char *name)
{
	begin_on(f, name, &plain);
}

static enum lookup_step
next(struct fixture *f)
{
	f->entry = NULL;
	return lookup_next(&f->lk, &f->in, &fake_now, &f->result, &f->entry);
}

static void
expect_read(struct fixture *f, const char *id)
{
	assert_int_equal(next(f), LOOKUP_READ);
	assert_non_null(f->entry);
	assert_string_equal((const char *)cache_id(f->entry).p, id);
}

static void
expect_names(struct fixture *f)
{
	assert_int_equal(next(f), LOOKUP_NAMES);
}

static void
expect_error(struct fixture *f, int error)
{
	assert_int_equal(next(f), LOOKUP_DONE);
	assert_int_equal(f->result.error, error);
	assert_null(f->result.object);
	assert_true(f->result.message[0] != '\0');
}

static void
expect_given(struct fixture *f, const char *id, enum msg_freshness freshness)
{
	assert_int_equal(next(f), LOOKUP_DONE);
	assert_int_equal(f->result.error, 0);
	assert_true(unit_view_is(object_id(f->result.object), id));
	assert_int_equal(f->result.freshness, freshness);
	object_unref(f->result.object);
}

/* The listing that was asked for has come, or not. */
static void
listing_comes(struct fixture *f, int status)
{
	f->fu.list_status = status;
	assert_int_equal(names_renew(f->names, REF_SECRET, JOB_REFRESH,
	    &fake_now), 0);
	fake_upstream_serve(&f->fu);
	f->lk.names_done = true;
	f->lk.names_error = names_error(f->names, REF_SECRET);
	(void)snprintf(f->lk.names_message, sizeof(f->lk.names_message),
	    "status %d", status);
}

/* The read that was asked for has brought a value of that name. */
static void
read_brings(struct fixture *f, const char *name)
{
	struct object *o = unit_object(REF_SECRET,
	    (const char *)cache_id(f->entry).p, name, 1,
	    MSG_NO_TIME, 4, 'v');

	assert_int_equal(cache_install(f->cache, f->entry, o, 0, &fake_now,
	    NULL), 0);
	object_unref(o);
	f->lk.attempted = true;
	f->lk.attempt_error = 0;
	f->lk.attempt_sent = jobs_now(f->js);
}

static void
read_fails(struct fixture *f, int error)
{
	if (error == ERR_NOT_FOUND || error == ERR_DENIED)
		cache_install_negative(f->cache, f->entry, error, &fake_now);
	else
		cache_refresh_failed(f->cache, f->entry, error, 1, &fake_now);
	f->lk.attempted = true;
	f->lk.attempt_error = error;
	f->lk.attempt_sent = jobs_now(f->js);
	(void)snprintf(f->lk.attempt_message, sizeof(f->lk.attempt_message),
	    "why it failed");
}

/* --- texts --- */

static void
test_texts_that_can_be_ids(void **state)
{
	const char *const can[] = { "a", "Z9_-", "sec_1", "0",
		"5f0c1a7e-0001-4c7b-9d1e-0123456789ab" };
	const char *const cannot[] = { "", "a/b", "a b", "a.b", "caf\xc3\xa9",
		"a?", "a%" };
	char longest[MSG_ID_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(can); i++)
		assert_true(lookup_can_be_id(unit_view(can[i])));
	for (i = 0; i < UNIT_COUNT(cannot); i++)
		assert_false(lookup_can_be_id(unit_view(cannot[i])));
	memset(longest, 'a', sizeof(longest));
	longest[MSG_ID_MAX + 1] = '\0';
	assert_false(lookup_can_be_id(unit_view(longest)));
	longest[MSG_ID_MAX] = '\0';
	assert_true(lookup_can_be_id(unit_view(longest)));
}

static void
test_texts_that_look_like_ids(void **state)
{
	const char *const yes[] = {
		"5f0c1a7e-0001-4c7b-9d1e-0123456789ab",
		"5F0C1A7E-0001-4C7B-9D1E-0123456789AB", "sec_1", "key_x-y",
	};
	const char *const no[] = {
		"5f0c1a7e-0001-4c7b-9d1e-0123456789a",
		"5f0c1a7e-0001-4c7b-9d1e-0123456789abc",
		"5f0c1a7e00001-4c7b-9d1e-0123456789ab",
		"5f0c1a7g-0001-4c7b-9d1e-0123456789ab",
		"sec_", "key_", "sec_a/b", "SEC_1", "db/prod", "web", "", "sec",
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(yes); i++)
		assert_true(lookup_looks_like_id(unit_view(yes[i])));
	for (i = 0; i < UNIT_COUNT(no); i++)
		assert_false(lookup_looks_like_id(unit_view(no[i])));
}

static void
test_failure_has_a_sentence_and_nothing_else(void **state)
{
	static struct fetch_result r;

	(void)state;
	memset(&r, 0xff, sizeof(r));
	lookup_fail(&r, ERR_TIMEOUT, "%s %d", "so", 4);
	assert_int_equal(r.error, ERR_TIMEOUT);
	assert_string_equal(r.message, "so 4");
	assert_null(r.object);
	assert_null(r.listing);
	assert_int_equal(r.freshness, MSG_FRESHNESS_NONE);
	memset(r.message, 'x', sizeof(r.message));
	lookup_fail(&r, ERR_TIMEOUT, "%0600d", 0);
	assert_int_equal(strlen(r.message), sizeof(r.message) - 1);
}

/* --- steps --- */

static void
test_id_is_read_and_given(void **state)
{
	struct fixture *f = *state;

	begin(f, "sec_1");
	expect_read(f, "sec_1");
	read_brings(f, "name");
	expect_given(f, "sec_1", MSG_FRESH);
	begin(f, "sec_1");
	expect_given(f, "sec_1", MSG_FRESH);
}

static void
test_name_is_listed_read_and_given(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "db/prod", "v");
	begin(f, "db/prod");
	expect_names(f);
	listing_comes(f, 0);
	expect_read(f, "s-1");
	read_brings(f, "db/prod");
	expect_given(f, "s-1", MSG_FRESH);
}

static void
test_id_that_does_not_exist_may_be_a_name(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "sec_x", "v");
	begin(f, "sec_x");
	expect_read(f, "sec_x");
	read_fails(f, ERR_NOT_FOUND);
	expect_names(f);
	listing_comes(f, 0);
	expect_read(f, "s-1");
	read_fails(f, ERR_UPSTREAM_UNAVAILABLE);
	expect_error(f, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(f->result.message, "why it failed");
}

static void
test_id_that_could_not_be_read_is_not_looked_for_as_a_name(void **state)
{
	struct fixture *f = *state;

	begin(f, "sec_x");
	expect_read(f, "sec_x");
	read_fails(f, ERR_UPSTREAM_UNAVAILABLE);
	expect_error(f, ERR_UPSTREAM_UNAVAILABLE);
	begin(f, "sec_y");
	expect_read(f, "sec_y");
	read_fails(f, ERR_DENIED);
	expect_error(f, ERR_DENIED);
}

static void
test_neither_id_nor_name_is_not_found(void **state)
{
	struct fixture *f = *state;

	begin(f, "sec_x");
	expect_read(f, "sec_x");
	read_fails(f, ERR_NOT_FOUND);
	expect_names(f);
	listing_comes(f, 0);
	expect_error(f, ERR_NOT_FOUND);
	/* the young listing is enough for the next */
	begin(f, "unheard-of");
	expect_error(f, ERR_NOT_FOUND);
	fake_time_pass(NEGATIVE_TTL);
	begin(f, "unheard-of");
	expect_names(f);
	listing_comes(f, 500);
	expect_error(f, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(f->result.message, "status 500");
}

static void
test_listing_that_is_refused_makes_everything_an_id(void **state)
{
	struct fixture *f = *state;

	begin(f, "plain");
	expect_names(f);
	listing_comes(f, 403);
	/* it can be an id, so that is tried */
	expect_read(f, "plain");
	read_fails(f, ERR_NOT_FOUND);
	expect_error(f, ERR_NOT_FOUND);
	begin(f, "db/prod");
	expect_error(f, ERR_INSUFFICIENT_SCOPE);
	fake_time_pass(NEGATIVE_TTL);
	begin(f, "db/prod");
	expect_names(f);
}

static void
test_old_listing_wants_renewal_behind(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "db/prod", "v");
	begin(f, "db/prod");
	expect_names(f);
	listing_comes(f, 0);
	expect_read(f, "s-1");
	assert_false(f->lk.renew_behind);
	read_brings(f, "db/prod");
	fake_time_pass(INTERVAL);
	begin(f, "db/prod");
	expect_given(f, "s-1", MSG_FRESH);
	assert_true(f->lk.renew_behind);
}

static void
test_relist_happens_once(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "db/prod", "v");
	begin(f, "db/prod");
	expect_names(f);
	listing_comes(f, 0);
	expect_read(f, "s-1");
	read_brings(f, "db/prod");
	cache_drop(f->cache, f->entry);
	fake_time_pass(NEGATIVE_TTL);
	begin(f, "db/prod");
	expect_read(f, "s-1");
	read_fails(f, ERR_NOT_FOUND);
	expect_names(f);
	listing_comes(f, 0);	/* where it still stands */
	expect_error(f, ERR_NOT_FOUND);
}

static void
test_relist_that_fails_leaves_what_is_known(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "db/prod", "v");
	begin(f, "db/prod");
	expect_names(f);
	listing_comes(f, 0);
	fake_time_pass(NEGATIVE_TTL);
	begin(f, "db/prod");
	expect_read(f, "s-1");
	read_brings(f, "renamed");
	expect_names(f);
	listing_comes(f, 500);
	/* nothing says that the old name means anything else now */
	expect_read(f, "s-1");
	read_brings(f, "renamed");
	expect_given(f, "s-1", MSG_FRESH);
}

static void
test_give_up_says_what_there_is(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;

	begin(f, "sec_1");
	expect_read(f, "sec_1");
	lookup_give_up(&f->lk, &f->in, &fake_now, &f->result);
	assert_int_equal(f->result.error, ERR_TIMEOUT);
	read_brings(f, "name");
	fake_time_pass(SECOND);
	q.max_age_ms = 10;
	begin_on(f, "sec_1", &q);
	expect_read(f, "sec_1");
	lookup_give_up(&f->lk, &f->in, &fake_now, &f->result);
	assert_int_equal(f->result.error, 0);
	assert_int_equal(f->result.freshness, MSG_STALE);
	assert_int_equal(f->result.age_ms, SECOND);
	object_unref(f->result.object);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_that_can_be_ids),
		cmocka_unit_test(test_texts_that_look_like_ids),
		cmocka_unit_test(test_failure_has_a_sentence_and_nothing_else),
		test(test_id_is_read_and_given),
		test(test_name_is_listed_read_and_given),
		test(test_id_that_does_not_exist_may_be_a_name),
		test(test_id_that_could_not_be_read_is_not_looked_for_as_a_name),
		test(test_neither_id_nor_name_is_not_found),
		test(test_listing_that_is_refused_makes_everything_an_id),
		test(test_old_listing_wants_renewal_behind),
		test(test_relist_happens_once),
		test(test_relist_that_fails_leaves_what_is_known),
		test(test_give_up_says_what_there_is),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
