#include "config.h"

#include "unit.h"

#include "textbuf.h"

static void
test_grows_and_holds_what_was_added(void **state)
{
	struct textbuf t;
	size_t i;

	(void)state;
	textbuf_init(&t, 1u << 20);
	for (i = 0; i < 10000; i++)
		textbuf_printf(&t, "%04zu\n", i);
	textbuf_add(&t, NULL, 0);
	assert_false(t.failed);
	assert_int_equal(t.len, 50000);
	assert_memory_equal(t.p + 49995, "9999\n", 5);
	textbuf_free(&t);
	assert_null(t.p);
}

static void
test_fails_past_its_maximum_and_stays_so(void **state)
{
	struct textbuf t;

	(void)state;
	textbuf_init(&t, 10);
	textbuf_add(&t, "0123456789", 10);
	assert_false(t.failed);
	textbuf_add(&t, "x", 1);
	assert_true(t.failed);
	assert_int_equal(t.len, 10);
	textbuf_free(&t);
	textbuf_init(&t, 10);
	textbuf_add(&t, "0123456789a", 11);
	textbuf_add(&t, "0", 1);
	assert_true(t.failed);
	assert_int_equal(t.len, 0);
	textbuf_free(&t);
}

static void
test_a_printed_line_that_is_too_long_fails(void **state)
{
	struct textbuf t;

	(void)state;
	textbuf_init(&t, 1u << 20);
	textbuf_printf(&t, "%0600d", 1);
	assert_true(t.failed);
	assert_int_equal(t.len, 0);
	textbuf_free(&t);
}

static void
test_lines_are_whole(void **state)
{
	struct textbuf t;
	struct view v;

	(void)state;
	textbuf_init(&t, 1u << 20);
	assert_int_equal(textbuf_lines(&t, 0, 10).len, 0);
	textbuf_printf(&t, "one\ntwo\nthree\n");
	v = textbuf_lines(&t, 0, 9);
	assert_int_equal(v.len, 8);
	assert_memory_equal(v.p, "one\ntwo\n", 8);
	v = textbuf_lines(&t, 8, 9);
	assert_int_equal(v.len, 6);
	assert_int_equal(textbuf_lines(&t, 14, 9).len, 0);
	/* exactly */
	assert_int_equal(textbuf_lines(&t, 0, 14).len, 14);
	assert_int_equal(textbuf_lines(&t, 0, 8).len, 8);
	/* longer than is allowed */
	assert_int_equal(textbuf_lines(&t, 8, 3).len, 3);
	textbuf_free(&t);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_holds_what_was_added),
		cmocka_unit_test(test_fails_past_its_maximum_and_stays_so),
		cmocka_unit_test(test_a_printed_line_that_is_too_long_fails),
		cmocka_unit_test(test_lines_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
