#include "config.h"

#include "unit.h"

#include <limits.h>

#include "limit.h"

static unsigned int
take(struct limit *l, uid_t uid, uint64_t boot_ms, unsigned int tries)
{
	const struct now now = { .boot_ms = boot_ms };
	unsigned int got = 0;

	while (tries-- > 0)
		got += limit_take(l, uid, &now);
	return got;
}

static void
test_zero_is_no_limit(void **state)
{
	struct limit *l = limit_new(0);

	(void)state;
	assert_non_null(l);
	assert_int_equal(take(l, 1000, 5, 100000), 100000);
	limit_free(l);
	limit_free(NULL);
}

static void
test_one_second_worth_at_once_and_no_more(void **state)
{
	struct limit *l = limit_new(10);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 25), 10);
	assert_int_equal(take(l, 1000, 50000, 25), 0);
	limit_free(l);
}

static void
test_tokens_come_back_evenly(void **state)
{
	struct limit *l = limit_new(10);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 25), 10);
	assert_int_equal(take(l, 1000, 50099, 25), 0);
	assert_int_equal(take(l, 1000, 50100, 25), 1);
	assert_int_equal(take(l, 1000, 50600, 25), 5);
	limit_free(l);
}

static void
test_burst_is_deeper_than_a_second(void **state)
{
	struct limit *l = limit_new_burst(10, 100);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 150), 100);
	assert_int_equal(take(l, 1000, 51000, 150), 10);
	assert_int_equal(take(l, 1000, 60999, 150), 99);
	assert_int_equal(take(l, 1000, 70999, 150), 100);
	assert_int_equal(take(l, 1000, 9999999, 150), 100);
	limit_free(l);
}

static void
test_idle_user_does_not_save_up(void **state)
{
	struct limit *l = limit_new(10);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 25), 10);
	assert_int_equal(take(l, 1000, 50000 + 86400000, 100), 10);
	limit_free(l);
}

static void
test_asking_often_does_not_lose_fractions(void **state)
{
	struct limit *l = limit_new(3);
	unsigned int got = 0;
	uint64_t t;

	(void)state;
	(void)take(l, 1000, 50000, 10);
	for (t = 50001; t <= 60000; t++)
		got += take(l, 1000, t, 1);
	assert_int_equal(got, 30);
	limit_free(l);
}

static void
test_one_user_does_not_use_up_another(void **state)
{
	struct limit *l = limit_new(10);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 1000), 10);
	assert_int_equal(take(l, 1001, 50000, 1000), 10);
	assert_int_equal(take(l, 0, 50000, 1000), 10);
	limit_free(l);
}

static void
test_highest_rate_does_not_overflow(void **state)
{
	struct limit *l = limit_new(UINT_MAX);

	(void)state;
	assert_int_equal(take(l, 1000, 1, 1000), 1000);
	assert_int_equal(take(l, 1000, 999, 1000), 1000);
	assert_int_equal(take(l, 1000, UINT64_MAX, 1000), 1000);
	limit_free(l);
}

static void
test_spending_takes_what_is_left_and_no_more(void **state)
{
	struct limit *l = limit_new(10);

	(void)state;
	assert_int_equal(take(l, 1000, 50000, 1), 1);
	limit_spend(l, 1000, 4);
	assert_int_equal(take(l, 1000, 50000, 25), 5);
	limit_spend(l, 1000, UINT_MAX);
	assert_int_equal(take(l, 1000, 50100, 25), 1);
	limit_free(l);
	l = limit_new(0);
	limit_spend(l, 1000, UINT_MAX);
	assert_int_equal(take(l, 1000, 50000, 25), 25);
	limit_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_is_no_limit),
		cmocka_unit_test(test_one_second_worth_at_once_and_no_more),
		cmocka_unit_test(test_tokens_come_back_evenly),
		cmocka_unit_test(test_burst_is_deeper_than_a_second),
		cmocka_unit_test(test_idle_user_does_not_save_up),
		cmocka_unit_test(test_asking_often_does_not_lose_fractions),
		cmocka_unit_test(test_one_user_does_not_use_up_another),
		cmocka_unit_test(test_spending_takes_what_is_left_and_no_more),
		cmocka_unit_test(test_highest_rate_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
