#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "names.h"

struct fixture {
	struct fake_upstream fu;
	struct jobs *js;
	struct names *names;
	unsigned int told[3];	/* by kind */
	unsigned int pages;
	size_t rows;		/* on them */
	uint64_t asked_boot_ms;	/* of the newest */
	bool unwanted;		/* what is said of the next pages */
	int error;
	char message[UPSTREAM_MESSAGE_MAX];
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

static void
names_ended(void *arg, enum ref_kind kind,
    const struct upstream_answer *answer)
{
	struct fixture *f = arg;

	f->told[kind]++;
	f->error = answer->error;
	(void)snprintf(f->message, sizeof(f->message), "%s", answer->message);
}

static bool
page_came(void *arg, enum ref_kind kind, const struct upstream_page *page,
    uint64_t asked_boot_ms)
{
	struct fixture *f = arg;

	(void)kind;
	f->pages++;
	f->rows += page->count;
	f->asked_boot_ms = asked_boot_ms;
	return !f->unwanted;
}

static int
set_up(void **state)
{
	const struct jobs_hooks hooks = {
		.reload_key = no_key, .state_changed = no_state,
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	f->js = jobs_new(NULL, &f->fu.up, 4, &hooks);
	assert_non_null(f->js);
	f->names = names_new(f->js, page_came, names_ended, f);
	assert_non_null(f->names);
	fake_upstream_add(&f->fu, REF_SECRET, "s-1", "a", "x");
	fake_upstream_add(&f->fu, REF_SECRET, "s-2", "b", "x");
	fake_upstream_add(&f->fu, REF_SECRET, "s-3", "c", "x");
	fake_upstream_add(&f->fu, REF_KEY, "k-1", "a", "x");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	names_free(f->names);
	jobs_free(f->js);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

static void
renew(struct fixture *f, enum ref_kind kind, bool waited)
{
	assert_int_equal(names_renew(f->names, kind, waited ? JOB_FIRST
	    : JOB_REFRESH, &fake_now), 0);
}

static void
test_nothing_is_known_at_first(void **state)
{
	struct fixture *f = *state;

	assert_null(names_listing(f->names, REF_SECRET));
	assert_null(names_listing(f->names, REF_KEY));
	assert_int_equal(names_error(f->names, REF_SECRET), 0);
	assert_false(names_renewing(f->names, REF_SECRET));
}

static void
test_pages_are_read_to_the_end(void **state)
{
	struct fixture *f = *state;
	struct listing *l;

	f->fu.page_size = 2;
	renew(f, REF_SECRET, true);
	assert_true(names_renewing(f->names, REF_SECRET));
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 2);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, 0);
	assert_false(names_renewing(f->names, REF_SECRET));
	l = names_listing(f->names, REF_SECRET);
	assert_int_equal(listing_count(l), 3);
	assert_non_null(listing_by_id(l, unit_view("s-3")));
	assert_true(listing_has_versions(l));
	assert_null(names_listing(f->names, REF_KEY));
}

static void
test_keys_and_secrets_are_apart(void **state)
{
	struct fixture *f = *state;

	renew(f, REF_KEY, false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->told[REF_KEY], 1);
	assert_int_equal(f->told[REF_SECRET], 0);
	assert_int_equal(listing_count(names_listing(f->names, REF_KEY)), 1);
	assert_null(names_listing(f->names, REF_SECRET));
}

static void
check_name(struct fixture *f, const char *id)
{
	struct names_found found;

	assert_int_equal(names_by_name(f->names, REF_SECRET, unit_view("a"),
	    &found), 0);
	assert_true(unit_view_is(found.id, id));
}

static void
test_active_one_of_a_name_is_meant(void **state)
{
	struct fixture *f = *state;
	struct names_found found;
	size_t i;

	fake_upstream_add(&f->fu, REF_SECRET, "s-4", "a", "x");
	for (i = 0; i < 2; i++) {
		f->fu.things[0].inactive = i == 0;
		f->fu.things[4].inactive = i == 1;
		renew(f, REF_SECRET, true);
		fake_upstream_serve(&f->fu);
		check_name(f, i == 0 ? "s-4" : "s-1");
	}
	f->fu.things[4].inactive = false;
	renew(f, REF_SECRET, true);
	fake_upstream_serve(&f->fu);
	assert_int_equal(names_by_name(f->names, REF_SECRET, unit_view("a"),
	    &found), ERR_AMBIGUOUS);
	assert_int_equal(found.id.len, 3);
	assert_int_equal(found.other.len, 3);
}

static void
test_renewal_under_way_is_shared(void **state)
{
	struct fixture *f = *state;

	renew(f, REF_SECRET, false);
	fake_time_run();
	renew(f, REF_SECRET, true);
	renew(f, REF_SECRET, true);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->told[REF_SECRET], 1);
}

/* The moment of the first page counts, not that of the last. */
static void
test_listing_is_as_old_as_its_first_page(void **state)
{
	struct fixture *f = *state;
	uint64_t begun = fake_now.boot_ms, before = jobs_now(f->js), between;

	f->fu.page_size = 2;
	renew(f, REF_SECRET, true);
	fake_time_run();
	between = jobs_now(f->js);
	fake_time_pass(5000);
	fake_upstream_serve(&f->fu);
	assert_true(names_begun(f->names, REF_SECRET) == begun);
	assert_true(names_tried(f->names, REF_SECRET) == begun);
	assert_true(names_sent(f->names, REF_SECRET) > before);
	assert_true(names_sent(f->names, REF_SECRET) < between);
}

static void
test_old_listing_stays_until_the_new_one_is_whole(void **state)
{
	struct fixture *f = *state;
	struct listing *old;
	uint64_t begun;

	renew(f, REF_SECRET, true);
	fake_upstream_serve(&f->fu);
	old = names_listing(f->names, REF_SECRET);
	begun = names_begun(f->names, REF_SECRET);
	fake_time_pass(1000);
	f->fu.page_size = 2;
	renew(f, REF_SECRET, false);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	assert_ptr_equal(names_listing(f->names, REF_SECRET), old);
	/* the second page fails: the old one goes on */
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 500);
	assert_int_equal(f->told[REF_SECRET], 2);
	assert_int_equal(f->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(f->message, "the service failed");
	assert_int_equal(names_error(f->names, REF_SECRET),
	    ERR_UPSTREAM_UNAVAILABLE);
	assert_ptr_equal(names_listing(f->names, REF_SECRET), old);
	assert_true(names_begun(f->names, REF_SECRET) == begun);
	assert_true(names_tried(f->names, REF_SECRET) > begun);
	renew(f, REF_SECRET, false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(names_error(f->names, REF_SECRET), 0);
	assert_true(names_begun(f->names, REF_SECRET) > begun);
}

static void
test_page_without_news_ends_it(void **state)
{
	struct fixture *f = *state;
	struct upstream_answer answer = { .status = 200 };
	struct upstream_page *page;
	unsigned int i;

	renew(f, REF_SECRET, true);
	for (i = 0; i < 2; i++) {
		fake_time_run();
		page = calloc(1, sizeof(*page));
		assert_non_null(page);
		page->rows = calloc(1, sizeof(page->rows[0]));
		assert_non_null(page->rows);
		page->rows[0].id = strdup("s-1");
		page->rows[0].name = strdup("a");
		page->count = 1;
		page->has_more = true;
		answer.page = page;
		fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
		    &answer);
	}
	fake_time_run();
	assert_null(fake_upstream_first(&f->fu));
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    1);
}

static void
test_service_that_never_ends_its_list_is_left_after_1000_pages(void **state)
{
	struct fixture *f = *state;
	struct upstream_page *page;
	char id[16];
	unsigned int n = 0;

	renew(f, REF_SECRET, true);
	fake_time_run();
	while (fake_upstream_first(&f->fu) != NULL) {
		struct upstream_answer answer = { .status = 200 };

		page = calloc(1, sizeof(*page));
		assert_non_null(page);
		page->rows = calloc(1, sizeof(page->rows[0]));
		assert_non_null(page->rows);
		(void)snprintf(id, sizeof(id), "s-%u", n++);
		page->rows[0].id = strdup(id);
		page->rows[0].name = strdup(id);
		page->count = 1;
		page->has_more = true;
		answer.page = page;
		fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
		    &answer);
		fake_time_run();
		assert_true(n <= 1000);
	}
	assert_int_equal(n, 1000);
	assert_int_equal(f->told[REF_SECRET], 1);
}

static void
test_no_memory_ends_it_with_an_error(void **state)
{
	struct fixture *f = *state;

	f->fu.start_error = ERR_NOMEM;
	renew(f, REF_SECRET, true);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, ERR_NOMEM);
	assert_true(f->message[0] != '\0');
	assert_false(names_renewing(f->names, REF_SECRET));
}

static void
test_forgotten_listing_is_gone_for_new_readers_only(void **state)
{
	struct fixture *f = *state;
	struct listing *held;

	renew(f, REF_SECRET, true);
	fake_upstream_serve(&f->fu);
	held = listing_ref(names_listing(f->names, REF_SECRET));
	names_forget(f->names, REF_SECRET);
	names_forget(f->names, REF_KEY);
	assert_null(names_listing(f->names, REF_SECRET));
	assert_int_equal(listing_count(held), 3);
	listing_unref(held);
}

/* Its pages were read before, perhaps with another tenant's key. */
static void
test_forgotten_listing_under_way_is_begun_again(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 1;
	renew(f, REF_SECRET, true);
	fake_time_run();
	/* on the first page: it is asked for once more */
	names_forget(f->names, REF_SECRET);
	assert_int_equal(f->fu.cancelled, 1);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	assert_int_equal(f->pages, 2);
	/* on the third: from the first, and the third counts for nothing */
	names_forget(f->names, REF_SECRET);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	assert_int_equal(fake_upstream_first(&f->fu)->req.page, 1);
	assert_int_equal(f->pages, 2);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->pages, 5);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    3);
}

static void
test_forgotten_listing_whose_page_fails_is_begun_again(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 1;
	renew(f, REF_SECRET, true);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	names_forget(f->names, REF_SECRET);
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 403);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, 0);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    3);
}

static void
test_free_cancels_renewals(void **state)
{
	struct fixture *f = *state;

	renew(f, REF_SECRET, true);
	renew(f, REF_KEY, true);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	names_free(f->names);
	f->names = NULL;
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
	assert_int_equal(f->told[REF_SECRET], 0);
}

static void
test_waited_renewal_overtakes_later_pages_too(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 1;
	renew(f, REF_SECRET, false);
	fake_time_run();
	renew(f, REF_SECRET, true);
	/* somebody waits: each page is tried again */
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 500);
	assert_int_equal(f->told[REF_SECRET], 0);
	fake_upstream_pass(&f->fu, 1000);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, 0);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    3);
}

static void
test_pages_are_shown_as_they_come(void **state)
{
	struct fixture *f = *state;
	uint64_t asked = fake_now.boot_ms;

	f->fu.page_size = 2;
	assert_int_equal(names_renew_for_values(f->names, REF_SECRET,
	    &fake_now), 0);
	fake_time_pass(700);
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	assert_int_equal(f->pages, 1);
	assert_true(f->asked_boot_ms == asked);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->pages, 2);
	assert_true(f->asked_boot_ms == asked + 700);
	assert_int_equal(f->rows, 3);
	assert_int_equal(f->error, 0);
	assert_non_null(names_listing(f->names, REF_SECRET));
}

static void
test_renewal_for_values_ends_where_no_more_is_wanted(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 1;
	f->unwanted = true;
	assert_int_equal(names_renew_for_values(f->names, REF_SECRET,
	    &fake_now), 0);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->error, ERR_AGAIN);
	assert_null(names_listing(f->names, REF_SECRET));
	/* that is no failure of the listing */
	assert_int_equal(names_error(f->names, REF_SECRET), 0);
}

static void
test_renewal_for_values_goes_on_for_who_wants_names(void **state)
{
	struct fixture *f = *state;

	f->fu.page_size = 1;
	f->unwanted = true;
	assert_int_equal(names_renew_for_values(f->names, REF_SECRET,
	    &fake_now), 0);
	renew(f, REF_SECRET, true);
	/* and the other way round */
	assert_int_equal(names_renew_for_values(f->names, REF_SECRET,
	    &fake_now), 0);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 3);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    3);
}

static void
test_listing_of_another_run_is_as_old_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct listing *l = listing_new();

	assert_non_null(l);
	names_restore(f->names, REF_SECRET, l, 5 * fake_now.boot_ms,
	    &fake_now);
	assert_ptr_equal(names_listing(f->names, REF_SECRET), l);
	assert_true(fake_now.boot_ms - names_begun(f->names, REF_SECRET) ==
	    5 * fake_now.boot_ms);
	/* what is there already is newer */
	names_restore(f->names, REF_SECRET, listing_new(), 0, &fake_now);
	assert_ptr_equal(names_listing(f->names, REF_SECRET), l);
}

/* --- pages at once --- */

/* 3 rows a page and 14 of them, which each page tells. */
static void
make_long(struct fixture *f)
{
	static char ids[14][8];
	unsigned int i;

	f->fu.page_size = 3;
	f->fu.total = 17;
	for (i = 0; i < 14; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "t-%u", i);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], ids[i], "x");
	}
}

static struct upstream_call *
page_call(struct fixture *f, unsigned int number)
{
	struct upstream_call *call;

	TAILQ_FOREACH(call, &f->fu.calls, link) {
		if (call->req.page == number)
			return call;
	}
	return NULL;
}

static void
answer_page(struct fixture *f, unsigned int number)
{
	struct upstream_call *call = page_call(f, number);

	assert_non_null(call);
	fake_upstream_answer_table(&f->fu, call);
	fake_time_run();
}

static void
test_who_waits_gets_several_pages_at_once(void **state)
{
	struct fixture *f = *state;

	make_long(f);
	renew(f, REF_SECRET, true);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	answer_page(f, 1);
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	/* in any order */
	answer_page(f, 4);
	answer_page(f, 5);
	answer_page(f, 3);
	assert_non_null(page_call(f, 2));
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	answer_page(f, 6);
	assert_int_equal(f->told[REF_SECRET], 0);
	answer_page(f, 2);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->fu.lists, 6);
	assert_int_equal(f->rows, 17);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    17);
}

static void
test_what_nobody_waits_for_takes_one_at_a_time(void **state)
{
	struct fixture *f = *state;

	make_long(f);
	renew(f, REF_SECRET, false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.most, 1);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    17);
	/* until somebody comes */
	renew(f, REF_SECRET, false);
	fake_time_run();
	answer_page(f, 1);
	renew(f, REF_SECRET, true);
	answer_page(f, 2);
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->told[REF_SECRET], 2);
}

static void
test_total_that_is_wrong_does_no_harm(void **state)
{
	static const uint64_t totals[] = { 1, 4, 16, 18, 100, UINT64_MAX };
	struct fixture *f = *state;
	size_t i;

	make_long(f);
	for (i = 0; i < UNIT_COUNT(totals); i++) {
		f->fu.total = totals[i];
		f->fu.lists = 0;
		renew(f, REF_SECRET, true);
		fake_upstream_serve(&f->fu);
		assert_int_equal(f->told[REF_SECRET], i + 1);
		assert_int_equal(f->error, 0);
		assert_int_equal(listing_count(names_listing(f->names,
		    REF_SECRET)), 17);
		/* a few beyond the end, at most */
		assert_in_range(f->fu.lists, 6, 9);
	}
}

static void
test_failing_page_ends_the_others(void **state)
{
	struct fixture *f = *state;

	make_long(f);
	renew(f, REF_SECRET, true);
	fake_time_run();
	answer_page(f, 1);
	fake_upstream_answer_status(&f->fu, page_call(f, 3), 403);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->error, ERR_INSUFFICIENT_SCOPE);
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
	assert_false(names_renewing(f->names, REF_SECRET));
}

static void
test_forgotten_with_several_under_way(void **state)
{
	struct fixture *f = *state;

	make_long(f);
	renew(f, REF_SECRET, true);
	fake_time_run();
	answer_page(f, 1);
	names_forget(f->names, REF_SECRET);
	answer_page(f, 3);
	/* from the beginning */
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	assert_non_null(page_call(f, 1));
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    17);
}

/* The same page for ever, of a service that promises a thousand. */
static void
test_promise_without_news_is_not_followed(void **state)
{
	struct fixture *f = *state;
	unsigned int n;

	f->fu.page_size = 2;
	f->fu.total = 1000000;
	renew(f, REF_SECRET, true);
	for (n = 0; n < 20 && f->told[REF_SECRET] == 0; n++) {
		struct upstream_call *call;

		fake_time_run();
		TAILQ_FOREACH(call, &f->fu.calls, link)
			call->req.page = 1;
		fake_upstream_answer_table(&f->fu,
		    fake_upstream_first(&f->fu));
	}
	assert_int_equal(f->told[REF_SECRET], 1);
	assert_int_equal(f->fu.lists, 5);
	assert_int_equal(listing_count(names_listing(f->names, REF_SECRET)),
	    2);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_nothing_is_known_at_first),
		test(test_pages_are_read_to_the_end),
		test(test_keys_and_secrets_are_apart),
		test(test_active_one_of_a_name_is_meant),
		test(test_renewal_under_way_is_shared),
		test(test_listing_is_as_old_as_its_first_page),
		test(test_old_listing_stays_until_the_new_one_is_whole),
		test(test_page_without_news_ends_it),
		test(
		    test_service_that_never_ends_its_list_is_left_after_1000_pages),
		test(test_no_memory_ends_it_with_an_error),
		test(test_forgotten_listing_is_gone_for_new_readers_only),
		test(test_forgotten_listing_under_way_is_begun_again),
		test(test_forgotten_listing_whose_page_fails_is_begun_again),
		test(test_free_cancels_renewals),
		test(test_waited_renewal_overtakes_later_pages_too),
		test(test_pages_are_shown_as_they_come),
		test(test_renewal_for_values_ends_where_no_more_is_wanted),
		test(test_renewal_for_values_goes_on_for_who_wants_names),
		test(test_listing_of_another_run_is_as_old_as_it_was),
		test(test_who_waits_gets_several_pages_at_once),
		test(test_what_nobody_waits_for_takes_one_at_a_time),
		test(test_total_that_is_wrong_does_no_harm),
		test(test_promise_without_news_is_not_followed),
		test(test_failing_page_ends_the_others),
		test(test_forgotten_with_several_under_way),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
