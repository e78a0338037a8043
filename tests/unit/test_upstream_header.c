#include "config.h"

#include "upstream_header.h"

#include "msg.h"
#include "unit.h"

#define NOW INT64_C(1770000000000)	/* 2026-02-02 02:40:00 */

static void
test_date_of_the_rfc(void **state)
{
	(void)state;
	assert_int_equal(upstream_header_date("Sun, 06 Nov 1994 08:49:37 GMT"),
	    INT64_C(784111777000));
	assert_int_equal(upstream_header_date("Thu, 01 Jan 1970 00:00:00 GMT"),
	    0);
	assert_int_equal(upstream_header_date("Thu, 29 Feb 2024 23:59:59 GMT"),
	    INT64_C(1709251199000));
	/* the day of the week is not looked at, nor the case of letters */
	assert_int_equal(upstream_header_date("mon, 06 NOV 1994 08:49:37 GMT"),
	    INT64_C(784111777000));
}

static void
test_each_month_is_known(void **state)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
	    31};
	int64_t expected = INT64_C(1767225600000); /* 2026-01-01 */
	char text[40];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(days); i++) {
		(void)snprintf(text, sizeof(text),
		    "Mon, 01 %.3s 2026 00:00:00 GMT", names + 3 * i);
		assert_int_equal(upstream_header_date(text), expected);
		expected += days[i] * INT64_C(86400000);
	}
}

static void
test_what_is_no_date(void **state)
{
	static const char *const bad[] = {"", "0", "now", "784111777",
	    "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
	    "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37",
	    "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT",
	    "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
	    "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
	    "Sun, 06 Nov 1994 08:60:37 GMT", "Thu, 29 Feb 2023 00:00:00 GMT",
	    "Sun, 06 Nov 19x4 08:49:37 GMT", "S\xc3\xbc, 06 Nov 1994",
	    "1994-11-06T08:49:37Z"};
	size_t i;

	(void)state;
	assert_true(upstream_header_date(NULL) == MSG_NO_TIME);
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		if (upstream_header_date(bad[i]) != MSG_NO_TIME)
			fail_msg("%s is taken as a date", bad[i]);
	}
}

static void
test_retry_after_in_seconds(void **state)
{
	(void)state;
	assert_int_equal(upstream_header_retry_after("7", NOW), 7);
	assert_int_equal(upstream_header_retry_after("0", NOW), 0);
	assert_int_equal(upstream_header_retry_after("2678400", NOW),
	    2678400);
	assert_int_equal(upstream_header_retry_after(NULL, NOW), 0);
	assert_int_equal(upstream_header_retry_after("", NOW), 0);
	assert_int_equal(upstream_header_retry_after("-7", NOW), 0);
	assert_int_equal(upstream_header_retry_after("7 s", NOW), 0);
	assert_int_equal(upstream_header_retry_after("99999999999999999999",
	    NOW), 0);
}

static void
test_retry_after_as_a_date(void **state)
{
	static const char at[] = "Mon, 02 Feb 2026 02:41:00 GMT";

	(void)state;
	assert_int_equal(upstream_header_retry_after(at, NOW), 60);
	assert_int_equal(upstream_header_retry_after(at, NOW + 1), 60);
	assert_int_equal(upstream_header_retry_after(at, NOW + 59001), 1);
	assert_int_equal(upstream_header_retry_after(at, NOW + 60000), 0);
	assert_int_equal(upstream_header_retry_after(at, NOW + 86400000), 0);
	/* a machine that booted in 1970: the caller caps it */
	assert_true(upstream_header_retry_after(at, 5000) > 1700000000);
}

static struct upstream_rate
rate(const char *limit, const char *remaining, const char *reset)
{
	struct upstream_rate r;

	memset(&r, 0x5a, sizeof(r));
	upstream_header_rate(limit, remaining, reset, NOW, &r);
	return r;
}

static void
test_rate_as_documented(void **state)
{
	struct upstream_rate r = rate("600", "599", "1770000030");

	(void)state;
	assert_true(r.told);
	assert_int_equal(r.limit, 600);
	assert_int_equal(r.remaining, 599);
	assert_int_equal(r.reset_ms, 30000);
	r = rate("600", "0", NULL);
	assert_true(r.told);
	assert_int_equal(r.remaining, 0);
	assert_int_equal(r.reset_ms, 0);
	assert_true(rate("1", "1", "1770000030").told);
}

static void
test_rate_that_cannot_be_is_not_told(void **state)
{
	static const char *const rows[][2] = {{NULL, NULL}, {"600", NULL},
	    {NULL, "5"}, {"", ""}, {"0", "0"}, {"600", "601"}, {"600", "-1"},
	    {"-600", "5"}, {"600;w=60", "5"}, {"1e3", "5"}, {"600", "5.5"},
	    {"99999999999999999999999", "5"}};
	struct upstream_rate r;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		r = rate(rows[i][0], rows[i][1], "1770000030");
		assert_false(r.told);
		assert_int_equal(r.limit, 0);
		assert_int_equal(r.remaining, 0);
		assert_int_equal(r.reset_ms, 0);
	}
}

static void
test_rate_resets_that_cannot_be_are_not_told(void **state)
{
	static const char *const resets[] = {NULL, "", "30", "1770000000",
	    "1769999999", "1770003601", "1770000030000", "999999999999", "soon",
	    "-1"};
	struct upstream_rate r;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(resets); i++) {
		r = rate("600", "5", resets[i]);
		assert_true(r.told);
		assert_int_equal(r.reset_ms, 0);
	}
	assert_int_equal(rate("600", "5", "1770003600").reset_ms, 3600000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_date_of_the_rfc),
		cmocka_unit_test(test_each_month_is_known),
		cmocka_unit_test(test_what_is_no_date),
		cmocka_unit_test(test_retry_after_in_seconds),
		cmocka_unit_test(test_retry_after_as_a_date),
		cmocka_unit_test(test_rate_as_documented),
		cmocka_unit_test(test_rate_that_cannot_be_is_not_told),
		cmocka_unit_test(test_rate_resets_that_cannot_be_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
