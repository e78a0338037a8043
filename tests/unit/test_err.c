#include "config.h"

#include "unit.h"

#include "err.h"

/* contract, section 5, and PROTOCOL.md, 5: they never change */
static const char *const names[] = {
	"ok",
	"bad-request",
	"not-found",
	"ambiguous",
	"denied",
	"expired",
	"unauthorized",
	"insufficient-scope",
	"rate-limited",
	"upstream-unavailable",
	"upstream-error",
	"too-large",
	"busy",
	"timeout",
	"unsupported",
	"internal",
};

static void
test_names_are_stable(void **state)
{
	int i;

	(void)state;
	assert_int_equal(UNIT_COUNT(names), ERR_WIRE_MAX + 1);
	for (i = 0; i <= ERR_WIRE_MAX; i++)
		assert_string_equal(err_name(-i), names[i]);
	assert_string_equal(err_name(ERR_NOMEM), "out-of-memory");
	assert_string_equal(err_name(ERR_AGAIN), "again");
	assert_string_equal(err_name(ERR_CLOSED), "closed");
	assert_string_equal(err_name(ERR_UNREACHABLE), "unreachable");
	assert_string_equal(err_name(-50), "unknown");
	assert_string_equal(err_name(1), "unknown");
}

static void
test_from_name(void **state)
{
	int i;

	(void)state;
	for (i = 1; i <= ERR_WIRE_MAX; i++)
		assert_int_equal(err_from_name(names[i]), -i);
	assert_int_equal(err_from_name("ok"), 0);
	assert_int_equal(err_from_name("out-of-memory"), 0);
	assert_int_equal(err_from_name(""), 0);
	assert_int_equal(err_from_name("Not-Found"), 0);
}

static void
test_each_has_a_text_of_its_own(void **state)
{
	int i;
	int j;

	(void)state;
	for (i = 0; i <= ERR_WIRE_MAX; i++) {
		assert_true(strlen(err_text(-i)) > 0);
		for (j = 0; j < i; j++)
			assert_string_not_equal(err_text(-i), err_text(-j));
	}
	for (i = ERR_UNREACHABLE; i <= ERR_LOCAL_FIRST; i++)
		assert_string_not_equal(err_text(i), err_text(-50));
	assert_string_equal(err_text(-50), "unknown error");
}

static void
test_wire_numbers(void **state)
{
	int i;

	(void)state;
	for (i = 0; i <= ERR_WIRE_MAX; i++) {
		assert_int_equal(err_wire(-i), i);
		assert_int_equal(err_from_wire((uint16_t)i), -i);
	}
	/* local ones never leave the process as they are */
	assert_int_equal(err_wire(ERR_NOMEM), -ERR_BUSY);
	assert_int_equal(err_wire(ERR_AGAIN), -ERR_INTERNAL);
	assert_int_equal(err_wire(ERR_CLOSED), -ERR_INTERNAL);
	assert_int_equal(err_wire(ERR_UNREACHABLE), -ERR_INTERNAL);
	assert_int_equal(err_wire(7), -ERR_INTERNAL);
	assert_int_equal(err_wire(INT32_MIN), -ERR_INTERNAL);
	assert_int_equal(err_from_wire(ERR_WIRE_MAX + 1), ERR_INTERNAL);
	assert_int_equal(err_from_wire(UINT16_MAX), ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_stable),
		cmocka_unit_test(test_from_name),
		cmocka_unit_test(test_each_has_a_text_of_its_own),
		cmocka_unit_test(test_wire_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
