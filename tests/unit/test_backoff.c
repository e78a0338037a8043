#include "config.h"

#include <limits.h>

#include "backoff.h"
#include "unit.h"

static void
test_ceiling_doubles_up_to_max(void **state)
{
	static const uint64_t want[] = {1000, 2000, 4000, 8000, 15000, 15000};
	struct backoff b;
	size_t i;

	(void)state;
	backoff_init(&b, 1000, 15000);
	for (i = 0; i < UNIT_COUNT(want); i++)
		assert_int_equal(backoff_failed(&b, UINT32_MAX), want[i]);
	assert_int_equal(b.failures, 6);
}

static void
test_jitter_is_full(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 15000);
	assert_int_equal(backoff_failed(&b, 0), 0);
	assert_int_equal(backoff_failed(&b, 0x80000000u), 1000);
	assert_int_equal(backoff_failed(&b, 0x40000000u), 1000);
}

static void
test_success_starts_over(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 10, 1000);
	(void)backoff_failed(&b, UINT32_MAX);
	(void)backoff_failed(&b, UINT32_MAX);
	backoff_succeeded(&b);
	assert_int_equal(b.failures, 0);
	assert_int_equal(backoff_failed(&b, UINT32_MAX), 10);
}

static void
test_extremes_do_not_overflow(void **state)
{
	struct backoff b;
	int i;

	(void)state;
	backoff_init(&b, UINT64_MAX, UINT64_MAX);
	assert_int_equal(backoff_failed(&b, UINT32_MAX), UINT32_MAX);
	backoff_init(&b, 0, 0);
	assert_int_equal(backoff_failed(&b, UINT32_MAX), 0);
	backoff_init(&b, 1, UINT32_MAX);
	for (i = 0; i < 100; i++)
		(void)backoff_failed(&b, 1);
	assert_int_equal(backoff_failed(&b, UINT32_MAX), UINT32_MAX);
	b.failures = UINT_MAX;
	(void)backoff_failed(&b, 1);
	assert_int_equal(b.failures, UINT_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ceiling_doubles_up_to_max),
		cmocka_unit_test(test_jitter_is_full),
		cmocka_unit_test(test_success_starts_over),
		cmocka_unit_test(test_extremes_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
