#include "config.h"

#include "json_parts.h"

#include <stdlib.h>

#include "agent_unit.h"

static bool
within(const char *text, size_t max)
{
	return json_parts_within(unit_view(text), max);
}

static void
check(const char *text, size_t parts)
{
	assert_true(within(text, parts));
	if (parts > 0)
		assert_false(within(text, parts - 1));
}

static void
test_parts_are_counted_outside_of_strings(void **state)
{
	(void)state;
	check("", 0);
	check("7", 0);
	check("{}", 1);
	check("[1,2,3]", 3);
	check("{\"a\": [1, {\"b\":null}], \"c\":\"\"}", 8);
	check("\"[,:{\"", 0);
	check("\"\\\"[,:{\"", 0);
	check("\"\\\\\",[", 2);
	check("[\"a\\\\\\\",\",\"b\"]", 2);
	/* no JSON: nothing is read behind its end */
	check("\"\\", 0);
	check("\\", 0);
	check("\"[[[", 0);
}

static void
test_what_is_too_long_is_not_looked_at(void **state)
{
	struct view text = { .len = JSON_PARTS_MAX_LEN + 1 };
	uint8_t *p = malloc(text.len);

	(void)state;
	assert_non_null(p);
	memset(p, ' ', text.len);
	text.p = p;
	assert_false(json_parts_within(text, SIZE_MAX));
	text.len--;
	assert_true(json_parts_within(text, 0));
	memset(p, ',', text.len);
	assert_false(json_parts_within(text, text.len - 1));
	assert_true(json_parts_within(text, text.len));
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_are_counted_outside_of_strings),
		cmocka_unit_test(test_what_is_too_long_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
