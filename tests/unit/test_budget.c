#include "config.h"

#include "unit.h"

#include "budget.h"

static void
send_many(struct budget *b, unsigned int n, uint64_t now)
{
	while (n-- > 0)
		budget_sent(b, BUDGET_REFRESH, now);
}

static void
test_nothing_known_holds_nothing_back(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 5000, 1000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_PRELOAD, 1000), 0);
	assert_int_equal(budget_used(&b, 1000), 5000);
}

static void
test_what_was_sent_counts_for_a_minute(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 3, 5000);
	send_many(&b, 4, 20000);
	assert_int_equal(budget_used(&b, 64999), 7);
	assert_int_equal(budget_used(&b, 65000), 4);
	assert_int_equal(budget_used(&b, 80000), 0);
	send_many(&b, 1, 80000);
	/* a long sleep */
	assert_int_equal(budget_used(&b, 10000000), 0);
	/* the time cannot go back; if it does, nothing breaks */
	assert_int_equal(budget_used(&b, 5), 0);
}

static void
test_429_teaches_the_limit(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 101, 30000);
	budget_refused(&b, 30000);
	assert_int_equal(b.limit, 100);
	assert_int_equal(budget_wait_ms(&b, BUDGET_CALLER, 30000), 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_EXPIRY, 30500), 59500);
	assert_int_equal(budget_wait_ms(&b, BUDGET_EXPIRY, 90000), 0);
	/* refused already below it: then that is the limit */
	send_many(&b, 41, 90000);
	budget_refused(&b, 90000);
	assert_int_equal(b.limit, 40);
	/* refused far above it, by what callers waited for: it stays */
	send_many(&b, 100, 90000);
	budget_refused(&b, 90000);
	assert_int_equal(b.limit, 40);
}

static void
test_429_after_few_teaches_nothing(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 30, 1000);
	budget_refused(&b, 1000);
	assert_int_equal(b.limit, 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_PRELOAD, 1000), 0);
}

static void
test_each_share_leaves_room_for_those_before_it(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 65, 1000);
	budget_refused(&b, 1000);
	assert_int_equal(b.limit, 64);
	budget_used(&b, 61000);
	send_many(&b, 40, 61000);
	assert_true(budget_wait_ms(&b, BUDGET_PRELOAD, 61000) > 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 61000), 0);
	send_many(&b, 8, 61000);
	assert_true(budget_wait_ms(&b, BUDGET_REFRESH, 61000) > 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_EXPIRY, 61000), 0);
	send_many(&b, 8, 61000);
	assert_true(budget_wait_ms(&b, BUDGET_EXPIRY, 61000) > 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_CALLER, 61000), 0);
}

static void
test_limit_nobody_told_is_tried_again_and_forgotten(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	send_many(&b, 81, 1000);
	budget_refused(&b, 1000);
	assert_int_equal(b.limit, 80);
	send_many(&b, 80, 61000);
	(void)budget_wait_ms(&b, BUDGET_REFRESH, 61000);
	assert_int_equal(b.limit, 91);
	(void)budget_wait_ms(&b, BUDGET_REFRESH, 61000 + 3600000);
	assert_int_equal(b.limit, 0);
}

static void
test_what_the_service_tells_counts_until_its_reset(void **state)
{
	const struct upstream_rate rate = {
		.told = true, .limit = 600, .remaining = 152,
		.reset_ms = 10000,
	};
	struct budget b;

	(void)state;
	budget_init(&b);
	budget_told(&b, &rate, 0, 5000);
	/* two are left besides the reserve, for the 10 s */
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 5000), 0);
	send_many(&b, 1, 5000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 6000), 8000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_CALLER, 6000), 0);
	send_many(&b, 1, 5000);
	/* others use this key too: what we sent alone would be no reason */
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 6000), 9000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_EXPIRY, 6000), 0);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 15000), 0);
	assert_int_equal(b.limit, 600);
}

static void
test_refusal_of_a_told_budget_halves_the_share(void **state)
{
	const struct upstream_rate rate = {
		.told = true, .limit = 600, .remaining = 500,
		.reset_ms = 30000,
	};
	struct budget b;

	(void)state;
	budget_init(&b);
	budget_told(&b, &rate, 0, 5000);
	send_many(&b, 121, 5000);
	budget_refused(&b, 5000);
	/* those under way with it are no refusals of their own */
	budget_refused(&b, 6000);
	assert_int_equal(b.share, 60);
	budget_told(&b, &rate, 0, 36000);
	send_many(&b, 1, 36000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 36000), 1000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_CALLER, 36000), 0);
	/* a minute without a refusal, and it is a little more */
	(void)budget_wait_ms(&b, BUDGET_REFRESH, 66000);
	assert_int_equal(b.share, 68);
	budget_told(&b, &rate, 0, 80000);
	budget_refused(&b, 80000);
	assert_int_equal(b.share, 6);
}

static void
test_not_all_who_share_a_key_go_on_at_its_reset(void **state)
{
	const struct upstream_rate rate = {
		.told = true, .limit = 600, .remaining = 0,
		.reset_ms = 30000,
	};
	struct budget b;

	(void)state;
	budget_init(&b);
	budget_told(&b, &rate, 10000, 5000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 5000), 40000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 36000), 9000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 45000), 0);
}

static void
test_nonsense_of_the_service_is_bounded(void **state)
{
	struct upstream_rate rate = { .told = true, .limit = 0 };
	struct budget b;

	(void)state;
	budget_init(&b);
	budget_told(&b, &rate, 0, 1000);
	assert_int_equal(b.limit, 0);
	rate.limit = 10;
	rate.reset_ms = UINT64_MAX;
	budget_told(&b, &rate, 0, 1000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 1000), 60000);
	rate.told = false;
	rate.remaining = 10;
	budget_told(&b, &rate, 0, 1000);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 1000), 60000);
	budget_forget(&b);
	assert_int_equal(budget_wait_ms(&b, BUDGET_REFRESH, 1000), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_known_holds_nothing_back),
		cmocka_unit_test(test_what_was_sent_counts_for_a_minute),
		cmocka_unit_test(test_429_teaches_the_limit),
		cmocka_unit_test(test_429_after_few_teaches_nothing),
		cmocka_unit_test(
		    test_each_share_leaves_room_for_those_before_it),
		cmocka_unit_test(
		    test_limit_nobody_told_is_tried_again_and_forgotten),
		cmocka_unit_test(
		    test_what_the_service_tells_counts_until_its_reset),
		cmocka_unit_test(
		    test_refusal_of_a_told_budget_halves_the_share),
		cmocka_unit_test(
		    test_not_all_who_share_a_key_go_on_at_its_reset),
		cmocka_unit_test(test_nonsense_of_the_service_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
