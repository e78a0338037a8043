#include "config.h"

#include "clock.h"

#include "unit.h"

/* Ages run on the boot clock, so it must be the one that counts suspend. */
static void
test_read_matches_the_system_clocks(void **state)
{
	struct timespec boot;
	struct timespec wall;
	struct now now;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &wall), 0);
	clock_read(&now);
	assert_true(now.boot_ms >= (uint64_t)boot.tv_sec * 1000);
	assert_true(now.boot_ms < (uint64_t)boot.tv_sec * 1000 + 60000);
	assert_true(now.wall_ms > wall.tv_sec * 1000 - 60000);
	assert_true(now.wall_ms < wall.tv_sec * 1000 + 60000);
}

static void
test_boot_clock_does_not_go_back(void **state)
{
	struct now a;
	struct now b;
	int i;

	(void)state;
	clock_read(&a);
	for (i = 0; i < 1000; i++) {
		clock_read(&b);
		assert_true(b.boot_ms >= a.boot_ms);
		a = b;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_matches_the_system_clocks),
	    cmocka_unit_test(test_boot_clock_does_not_go_back),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
