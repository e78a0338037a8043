#include "config.h"

#include "caller.h"
#include "unit.h"

#define MIB ((size_t)1 << 20)

static void
test_connections_of_each_user(void **state)
{
	struct callers cs;
	struct caller *a, *b;

	(void)state;
	callers_init(&cs, SIZE_MAX, MIB);
	a = caller_enter(&cs, 1000);
	b = caller_enter(&cs, 1064); /* the same bucket */
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_equal(caller_enter(&cs, 1000), a);
	assert_int_equal(callers_connections(&cs, 1000), 2);
	assert_int_equal(callers_connections(&cs, 1064), 1);
	assert_int_equal(callers_connections(&cs, 1), 0);
	caller_leave(&cs, a);
	caller_leave(&cs, a);
	assert_int_equal(callers_connections(&cs, 1000), 0);
	caller_leave(&cs, b);
	caller_leave(&cs, NULL);
}

static void
test_bounds_follow_what_can_be_locked(void **state)
{
	static const struct {
		size_t lockable, one_user, all;
	} rows[] = {
		{ SIZE_MAX, CALLER_BYTES_MAX, CALLERS_BYTES_MAX },
		{ 1024 * MIB, CALLER_BYTES_MAX, CALLERS_BYTES_MAX },
		{ 96 * MIB, 12 * MIB, 16 * MIB },
		{ 8 * MIB, MIB, 8 * MIB / 6 },
		/* there is always room for one frame */
		{ 4 * MIB, MIB, MIB },
		{ 0, MIB, MIB },
	};
	struct callers cs;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		callers_init(&cs, rows[i].lockable, MIB);
		assert_int_equal(cs.bytes_max, rows[i].one_user);
		assert_int_equal(cs.all_bytes_max, rows[i].all);
	}
}

static void
test_over_is_who_holds_too_much(void **state)
{
	struct callers cs;
	struct caller *a, *b, *c;

	(void)state;
	callers_init(&cs, 96 * MIB, MIB); /* 12 and 16 MiB */
	a = caller_enter(&cs, 1);
	b = caller_enter(&cs, 2);
	c = caller_enter(&cs, 3);
	assert_null(callers_over(&cs, a));
	assert_null(callers_over(&cs, NULL));
	caller_hold(&cs, a, 0, 12 * MIB);
	assert_null(callers_over(&cs, a));
	caller_hold(&cs, a, 12 * MIB, 12 * MIB + 1);
	assert_ptr_equal(callers_over(&cs, a), a);
	assert_null(callers_over(&cs, b));
	/* all together: it is not who came last, but who has most */
	caller_hold(&cs, a, 12 * MIB + 1, 10 * MIB);
	caller_hold(&cs, b, 0, 5 * MIB);
	assert_null(callers_over(&cs, b));
	caller_hold(&cs, c, 0, 2 * MIB);
	assert_ptr_equal(callers_over(&cs, c), a);
	caller_hold(&cs, NULL, 0, 100 * MIB);
	caller_hold(&cs, a, 10 * MIB, 0);
	assert_null(callers_over(&cs, c));
	caller_hold(&cs, b, 5 * MIB, 0);
	caller_hold(&cs, c, 2 * MIB, 0);
	assert_int_equal(cs.bytes, 0);
	caller_leave(&cs, a);
	caller_leave(&cs, b);
	caller_leave(&cs, c);
}

static void
test_what_is_kept_is_bounded_for_one_and_for_all(void **state)
{
	struct callers cs;
	struct caller *a, *b, *c;

	(void)state;
	callers_init(&cs, 96 * MIB, MIB);	/* 12 MiB each, 16 in all */
	a = caller_enter(&cs, 1);
	b = caller_enter(&cs, 2);
	c = caller_enter(&cs, 3);
	assert_true(caller_keep(a, 12 * MIB));
	assert_false(caller_keep(a, 1));
	caller_give_back(a, MIB);
	assert_true(caller_keep(a, MIB));
	/* who keeps nothing may keep anything, more than its share too */
	assert_true(caller_keep(b, 13 * MIB));
	assert_int_equal(cs.kept_bytes, 25 * MIB);
	assert_false(caller_keep(b, 1));
	/* a has room of its own, but there is none for all */
	caller_give_back(a, 2 * MIB);
	assert_false(caller_keep(a, MIB));
	assert_true(caller_keep(c, MIB));
	assert_false(caller_keep(c, MIB));
	caller_give_back(b, 13 * MIB);
	assert_true(caller_keep(c, MIB));
	caller_give_back(c, 2 * MIB);
	caller_give_back(a, 10 * MIB);
	assert_int_equal(cs.kept_bytes, 0);
	/* nobody in particular is not counted */
	assert_true(caller_keep(NULL, SIZE_MAX));
	caller_give_back(NULL, SIZE_MAX);
	caller_leave(&cs, a);
	caller_leave(&cs, b);
	caller_leave(&cs, c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections_of_each_user),
		cmocka_unit_test(test_bounds_follow_what_can_be_locked),
		cmocka_unit_test(test_over_is_who_holds_too_much),
		cmocka_unit_test(
		    test_what_is_kept_is_bounded_for_one_and_for_all),
	};

	return cmocka_run_group_tests_name("caller", tests, NULL, NULL);
}
