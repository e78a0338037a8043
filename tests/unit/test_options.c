#include "config.h"

#include "unit.h"

#include "err.h"
#include "options.h"

/* Where the options below put what they find. */
static struct {
	bool flag, zero;
	const char *text;
	uint64_t duration_ms;
	struct option_list list, operands;
	char why[OPTIONS_WHY_LEN];
} got;

static int
parse(bool stop, int argc, const char *const *args)
{
	const struct option_spec own[] = {
		{'f', "flag", OPTION_FLAG, &got.flag, NULL, "h"},
		{'0', NULL, OPTION_FLAG, &got.zero, NULL, "h"},
		{'o', "output", OPTION_TEXT, &got.text, "FILE", "h"},
	};
	const struct option_spec common[] = {
		{'\0', "timeout", OPTION_DURATION, &got.duration_ms, "D", "h"},
		{'e', "env", OPTION_LIST, &got.list, "NAME=REF", "h"},
	};
	const struct options o = {own, 3, common, 2, stop};
	char *argv[16];
	int i;

	options_list_free(&got.list);
	options_list_free(&got.operands);
	memset(&got, 0, sizeof(got));
	got.duration_ms = OPTIONS_NOT_GIVEN;
	for (i = 0; i < argc; i++)
		argv[i] = (char *)(uintptr_t)args[i];
	return options_parse(&o, argc, argv, &got.operands, got.why);
}

#define PARSE(stop, ...) \
	parse(stop, UNIT_COUNT(((const char *[]){__VA_ARGS__})), \
	    (const char *[]){__VA_ARGS__})

static void
test_forms(void **state)
{
	(void)state;
	assert_int_equal(parse(false, 0, NULL), 0);
	assert_int_equal(got.operands.count, 0);
	assert_true(got.duration_ms == OPTIONS_NOT_GIVEN);
	assert_int_equal(PARSE(false, "a", "--output", "x", "b", "--timeout=5m",
	    "-f", "-", "--", "--flag", "-x"), 0);
	assert_string_equal(got.text, "x");
	assert_int_equal(got.duration_ms, 300000);
	assert_true(got.flag);
	assert_int_equal(got.operands.count, 5);
	assert_string_equal(got.operands.v[0], "a");
	assert_string_equal(got.operands.v[2], "-");
	assert_string_equal(got.operands.v[4], "-x");
	assert_null(got.operands.v[5]);
	assert_int_equal(PARSE(false, "-0f", "-ox"), 0);
	assert_true(got.zero && got.flag);
	assert_string_equal(got.text, "x");
	assert_int_equal(PARSE(false, "-fo", "x"), 0);
	assert_string_equal(got.text, "x");
	assert_int_equal(PARSE(false, "--output=", "--timeout", "0"), 0);
	assert_string_equal(got.text, "");
	assert_int_equal(got.duration_ms, 0);
	assert_int_equal(PARSE(false, "--env", "A=1", "-eB=2", "--env=C=3"),
	    0);
	assert_int_equal(got.list.count, 3);
	assert_string_equal(got.list.v[2], "C=3");
	assert_int_equal(PARSE(false, "--output", "--flag"), 0);
	assert_string_equal(got.text, "--flag");
}

static void
test_stop_at_operand(void **state)
{
	(void)state;
	assert_int_equal(PARSE(true, "-f", "cmd", "--unknown", "--", "-o"),
	    0);
	assert_int_equal(got.operands.count, 4);
	assert_string_equal(got.operands.v[2], "--");
	assert_int_equal(PARSE(true, "--", "-f"), 0);
	assert_int_equal(got.operands.count, 1);
	assert_false(got.flag);
}

static void
test_errors_say_what_to_do(void **state)
{
	(void)state;
	assert_int_equal(PARSE(false, "--outptu", "x"), ERR_BAD_REQUEST);
	assert_string_equal(got.why,
	    "--outptu: unknown option: did you mean --output?");
	assert_int_equal(PARSE(false, "--zzzzzzzz=1"), ERR_BAD_REQUEST);
	assert_string_equal(got.why,
	    "--zzzzzzzz: unknown option: --help lists them");
	assert_int_equal(PARSE(false, "-fx"), ERR_BAD_REQUEST);
	assert_string_equal(got.why, "-x: unknown option: --help lists them");
	assert_int_equal(PARSE(false, "--flag=1"), ERR_BAD_REQUEST);
	assert_non_null(strstr(got.why, "takes no value"));
	assert_int_equal(PARSE(false, "--output"), ERR_BAD_REQUEST);
	assert_string_equal(got.why,
	    "--output: has no value: write --output FILE");
	assert_int_equal(PARSE(false, "--timeout", "5\x1bx"), ERR_BAD_REQUEST);
	assert_string_equal(got.why, "--timeout 5\\x1bx: not a duration: "
	    "write 250ms, 30s, 5m or 1h30m");
	assert_int_equal(PARSE(false, "--flagg\n"), ERR_BAD_REQUEST);
	assert_null(strchr(got.why, '\n'));
	assert_int_equal(PARSE(false, "-\x01"), ERR_BAD_REQUEST);
	assert_null(strchr(got.why, '\x01'));
}

static int
teardown(void **state)
{
	(void)state;
	options_list_free(&got.list);
	options_list_free(&got.operands);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_stop_at_operand),
		cmocka_unit_test(test_errors_say_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
