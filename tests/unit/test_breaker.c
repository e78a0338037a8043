#include "config.h"

#include "unit.h"

#include "breaker.h"

static struct breaker
open_breaker(uint64_t at)
{
	struct breaker b;

	breaker_init(&b);
	assert_false(breaker_failed(&b, at));
	assert_false(breaker_failed(&b, at));
	assert_true(breaker_failed(&b, at));
	return b;
}

static void
test_closed_breaker_lets_everything_through(void **state)
{
	struct breaker b;

	(void)state;
	breaker_init(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(breaker_wait_ms(&b, false, 0), 0);
	assert_true(breaker_try(&b, false, 0));
	assert_true(breaker_try(&b, true, 0));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_false(breaker_succeeded(&b));
}

static void
test_third_failure_in_a_row_opens(void **state)
{
	struct breaker b;

	(void)state;
	breaker_init(&b);
	assert_false(breaker_failed(&b, 10));
	assert_false(breaker_failed(&b, 20));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_failed(&b, 30));
	assert_int_equal(b.state, BREAKER_OPEN);
	/* a late answer of what was under way opens nothing again */
	assert_false(breaker_failed(&b, 40));
}

static void
test_success_between_failures_starts_the_count_again(void **state)
{
	struct breaker b;

	(void)state;
	breaker_init(&b);
	(void)breaker_failed(&b, 0);
	(void)breaker_failed(&b, 0);
	assert_false(breaker_succeeded(&b));
	assert_false(breaker_failed(&b, 0));
	assert_false(breaker_failed(&b, 0));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void
test_open_breaker_waits_a_second_then_probes_once(void **state)
{
	struct breaker b = open_breaker(5000);

	(void)state;
	assert_false(breaker_try(&b, false, 5000));
	assert_false(breaker_try(&b, true, 5999));
	assert_int_equal(breaker_wait_ms(&b, false, 5400), 600);
	assert_true(breaker_try(&b, false, 6000));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_true(breaker_wait_ms(&b, true, 6000) == UINT64_MAX);
	assert_false(breaker_try(&b, true, 6000));
	assert_false(breaker_try(&b, true, 100000));
}

static void
test_probes_come_after_1_2_4_8_15_15_seconds(void **state)
{
	const uint64_t waits[] = { 1000, 2000, 4000, 8000, 15000, 15000,
		15000 };
	struct breaker b = open_breaker(0);
	uint64_t now = 0, took;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(waits); i++) {
		/* from the beginning of one to that of the next */
		took = i > 0 ? 30 : 0;
		assert_int_equal(breaker_wait_ms(&b, false, now),
		    waits[i] - took);
		now += waits[i] - took;
		assert_false(breaker_try(&b, false, now - 1));
		assert_true(breaker_try(&b, false, now));
		now += 30;	/* so long took the probe */
		assert_false(breaker_failed(&b, now));
	}
}

static void
test_probe_that_hangs_does_not_put_the_next_off(void **state)
{
	struct breaker b = open_breaker(0);

	(void)state;
	b.wait_ms = 8000;
	assert_true(breaker_try(&b, false, 8000));
	(void)breaker_failed(&b, 13000);
	assert_int_equal(breaker_wait_ms(&b, false, 13000), 10000);
	assert_true(breaker_try(&b, false, 23000));
	/* longer than the wait: a second must pass all the same */
	(void)breaker_failed(&b, 53000);
	assert_int_equal(breaker_wait_ms(&b, false, 53000), 1000);
}

static void
test_caller_brings_the_probe_forward_to_a_second(void **state)
{
	struct breaker b = open_breaker(0);

	(void)state;
	assert_true(breaker_try(&b, false, 1000));
	(void)breaker_failed(&b, 1000);
	assert_true(breaker_try(&b, false, 3000));
	(void)breaker_failed(&b, 3000);
	assert_int_equal(breaker_wait_ms(&b, false, 3000), 4000);
	assert_int_equal(breaker_wait_ms(&b, true, 3000), 1000);
	assert_false(breaker_try(&b, true, 3999));
	assert_true(breaker_try(&b, true, 4000));
}

static void
test_successful_probe_closes_and_forgets(void **state)
{
	struct breaker b = open_breaker(0);

	(void)state;
	assert_true(breaker_try(&b, false, 1000));
	(void)breaker_failed(&b, 1000);
	assert_true(breaker_try(&b, false, 3000));
	assert_true(breaker_succeeded(&b));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.failures, 0);
	(void)breaker_failed(&b, 4000);
	(void)breaker_failed(&b, 4000);
	(void)breaker_failed(&b, 4000);
	assert_int_equal(breaker_wait_ms(&b, false, 4000), 1000);
}

static void
test_trip_opens_at_once(void **state)
{
	struct breaker b;

	(void)state;
	breaker_init(&b);
	breaker_trip(&b, 100);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_wait_ms(&b, false, 100), 1000);
	assert_true(breaker_try(&b, false, 1100));
	breaker_trip(&b, 1100);
	assert_int_equal(breaker_wait_ms(&b, false, 1100), 2000);
}

static void
test_abandoned_probe_leaves_it_open(void **state)
{
	struct breaker b = open_breaker(0);

	(void)state;
	assert_true(breaker_try(&b, false, 1000));
	breaker_abandoned(&b, 1500);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_wait_ms(&b, false, 1500), 1000);
	breaker_init(&b);
	breaker_abandoned(&b, 1500);	/* no probe: nothing happens */
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void
test_states_have_the_names_of_the_contract(void **state)
{
	(void)state;
	assert_string_equal(breaker_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_name(BREAKER_OPEN), "open");
	assert_string_equal(breaker_name(BREAKER_HALF_OPEN), "half-open");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_breaker_lets_everything_through),
		cmocka_unit_test(test_third_failure_in_a_row_opens),
		cmocka_unit_test(
		    test_success_between_failures_starts_the_count_again),
		cmocka_unit_test(
		    test_open_breaker_waits_a_second_then_probes_once),
		cmocka_unit_test(test_probes_come_after_1_2_4_8_15_15_seconds),
		cmocka_unit_test(
		    test_probe_that_hangs_does_not_put_the_next_off),
		cmocka_unit_test(
		    test_caller_brings_the_probe_forward_to_a_second),
		cmocka_unit_test(test_successful_probe_closes_and_forgets),
		cmocka_unit_test(test_trip_opens_at_once),
		cmocka_unit_test(test_abandoned_probe_leaves_it_open),
		cmocka_unit_test(test_states_have_the_names_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
