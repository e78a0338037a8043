#include "config.h"

#include "unit.h"

#include "err.h"
#include "units.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)

static void
test_duration_forms(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "0.0", 0 },
		{ "5", 5 * SECOND },
		{ "007", 7 * SECOND },
		{ "250ms", 250 },
		{ "1h30m", HOUR + 30 * MINUTE },
		{ "1h 30m", HOUR + 30 * MINUTE },
		{ " 5 min ", 5 * MINUTE },
		{ "\t5\tmin\t", 5 * MINUTE },
		{ "2 weeks 1 day", 15 * DAY },
		{ "1s1s", 2 * SECOND },
		{ "1.5s", 1500 },
		{ "0.5", 500 },
		{ "1.25h", HOUR + 15 * MINUTE },
		{ "1.000001s", 1001 },
		{ "0.000001w", 605 },
		/* up, never to 0 */
		{ "1us", 1 },
		{ "0.1us", 1 },
		{ "1000us", 1 },
		{ "1001us", 2 },
		{ "999us 1us", 1 },
		{ "1usec", 1 }, { "1\xc2\xb5s", 1 },
		{ "1ms", 1 }, { "1msec", 1 },
		{ "1s", SECOND }, { "1sec", SECOND }, { "1second", SECOND },
		{ "2seconds", 2 * SECOND },
		{ "1m", MINUTE }, { "1min", MINUTE }, { "1minute", MINUTE },
		{ "2minutes", 2 * MINUTE },
		{ "1h", HOUR }, { "1hr", HOUR }, { "1hour", HOUR },
		{ "2hours", 2 * HOUR },
		{ "1d", DAY }, { "1day", DAY }, { "2days", 2 * DAY },
		{ "1w", WEEK }, { "1week", WEEK }, { "2weeks", 2 * WEEK },
		{ "36525d", 36525 * DAY },
		{ "3155760000", 36525 * DAY },
		{ "3155760000000000us", 36525 * DAY },
	};
	uint64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		ms = 1;
		assert_int_equal(units_parse_duration(cases[i].text, &ms), 0);
		assert_true(ms == cases[i].ms);
	}
}

static void
test_duration_refused(void **state)
{
	static const char *const cases[] = {
		"", " ", "s", "m5", "-1", "+1", "-1s", "1x", "1 x", "1h30",
		"30 1h", "1 2", "5mins", "5M", "5S", "1.s", ".5s", "1.5.5s",
		"1.0000001s", "1,5s", "1e3", "0x10", "infinity", "1h,30m",
		"1s\n", "1 s s", "36525d1us", "36526d", "5219w",
		"3155760001", "3155760000000001us",
		"3155760000.1", "18446744073709551615",
		"18446744073709551616", "18446744073709551615us",
		"99999999999999999999999999999s",
		"18446744073709551615w", "30000d 30000d",
		/* wraps around to little in 64 bits */
		"18446744073710us18446744073709551615us", "30501d18446744073d"
	};
	uint64_t ms = 42;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(units_parse_duration(cases[i], &ms),
		    ERR_BAD_REQUEST);
		assert_true(ms == 42);
	}
}

static void
test_format_duration(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1, "1ms" },
		{ 999, "999ms" },
		{ SECOND, "1s" },
		{ 1500, "1s500ms" },
		{ HOUR + 30 * MINUTE, "1h30m" },
		{ 5 * MINUTE, "5m" },
		{ 24 * HOUR, "1d" },
		{ WEEK, "1w" },
		{ 2 * WEEK, "2w" },
		{ 10 * DAY, "10d" },
		{ WEEK + 1, "7d1ms" },
		{ DAY + HOUR + MINUTE + SECOND + 1, "1d1h1m1s1ms" },
		{ UINT64_MAX, "213503982334d14h25m51s615ms" },
	};
	char buf[UNITS_DURATION_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_string_equal(units_format_duration(cases[i].ms, buf),
		    cases[i].text);
	}
}

static void
test_duration_round_trip(void **state)
{
	uint64_t seed = unit_seed();
	char buf[UNITS_DURATION_LEN];
	uint64_t ms;
	uint64_t back;
	int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		ms = unit_random(&seed) >> unit_below(&seed, 64);
		ms %= 36525 * DAY + 1;
		assert_int_equal(units_parse_duration(
		    units_format_duration(ms, buf), &back), 0);
		assert_true(back == ms);
	}
}

static void
test_size_forms(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "64M", UINT64_C(64) << 20 },
		{ " 64 M ", UINT64_C(64) << 20 },
		{ "1K", 1024 },
		{ "3G", UINT64_C(3) << 30 },
		{ "18446744073709551615", UINT64_MAX },
		{ "18014398509481983K", UINT64_MAX - 1023 },
		{ "17592186044415M", UINT64_MAX - ((1u << 20) - 1) },
		{ "17179869183G", UINT64_MAX - ((1u << 30) - 1) },
	};
	static const char *const refused[] = {
		"", " ", "M", "-1", "+1", "1.5M", "64MB", "64MiB", "64m",
		"64k", "1T", "0x10", "1 2", "1K1K", "1KM", "64M\n",
		"18446744073709551616", "18014398509481984K",
		"17592186044416M", "17179869184G", "99999999999999999999999"
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(units_parse_size(cases[i].text, &bytes), 0);
		assert_true(bytes == cases[i].bytes);
	}
	bytes = 42;
	for (i = 0; i < UNIT_COUNT(refused); i++) {
		assert_int_equal(units_parse_size(refused[i], &bytes),
		    ERR_BAD_REQUEST);
		assert_true(bytes == 42);
	}
}

static void
test_time_forms(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-05-08T12:00:00Z", INT64_C(1778241600000) },
		{ "2026-05-08t12:00:00z", INT64_C(1778241600000) },
		{ "2026-05-08 12:00:00Z", INT64_C(1778241600000) },
		{ "2026-05-08T12:00:00", INT64_C(1778241600000) },
		{ "2026-05-08T12:00:00+00:00", INT64_C(1778241600000) },
		{ "2026-05-08T12:00:00-00:00", INT64_C(1778241600000) },
		{ "2026-05-08T14:00:00+02:00", INT64_C(1778241600000) },
		{ "2026-05-08T06:30:00-05:30", INT64_C(1778241600000) },
		{ "2026-05-09T11:59:00+23:59", INT64_C(1778241600000) },
		{ "2026-05-08T12:00:00.1Z", INT64_C(1778241600100) },
		{ "2026-05-08T12:00:00.12Z", INT64_C(1778241600120) },
		{ "2026-05-08T12:00:00.123Z", INT64_C(1778241600123) },
		{ "2026-05-08T12:00:00.1239Z", INT64_C(1778241600123) },
		{ "2026-05-08T12:00:00.123456789Z",
		    INT64_C(1778241600123) },
		{ "2026-05-08T12:00:00.999999999",
		    INT64_C(1778241600999) },
		{ "2026-05-08T12:00:00.000000001+00:00",
		    INT64_C(1778241600000) },
		/* leap days */
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000) },
		{ "2024-02-29T00:00:00Z", INT64_C(1709164800000) },
		{ "2024-03-01T00:00:00Z", INT64_C(1709251200000) },
		{ "2100-02-28T23:59:59Z", INT64_C(4107542399000) },
		{ "2100-03-01T00:00:00Z", INT64_C(4107542400000) },
		/* a leap second is the next minute */
		{ "2016-12-31T23:59:60Z", INT64_C(1483228800000) },
		/* the ends, and .NET's "no time" */
		{ "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
		{ "1969-12-31T23:59:59.999Z", -1 },
		{ "0001-01-01T00:00:00Z", INT64_C(-62135596800000) },
		{ "0000-02-29T00:00:00Z", INT64_C(-62162121600000) },
		{ "1970-01-01T00:00:00+00:01", -60000 },
	};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		ms = 1;
		assert_int_equal(units_parse_time(cases[i].text,
		    strlen(cases[i].text), &ms), 0);
		assert_true(ms == cases[i].ms);
	}
}

static void
test_time_refused(void **state)
{
	static const char *const cases[] = {
		"", "2026", "2026-05-08", "2026-05-08T", "2026-05-08T12:00",
		"2026-05-08T12:00Z", "2026-05-08T12:00:0", "26-05-08T12:00:00",
		"2026-5-08T12:00:00", "2026-05-08_12:00:00",
		"2026-05-08  12:00:00", "2026-00-08T12:00:00Z",
		"2026-13-08T12:00:00Z", "2026-05-00T12:00:00Z",
		"2026-05-32T12:00:00Z", "2026-04-31T12:00:00Z",
		"2026-02-29T12:00:00Z", "2100-02-29T12:00:00Z",
		"2024-02-30T12:00:00Z", "2026-05-08T24:00:00Z",
		"2026-05-08T12:60:00Z", "2026-05-08T12:00:61Z",
		"2026-05-08T12:00:00.Z", "2026-05-08T12:00:00.",
		"2026-05-08T12:00:00,5Z", "2026-05-08T12:00:00.1234567890Z",
		"2026-05-08T12:00:00+", "2026-05-08T12:00:00+02",
		"2026-05-08T12:00:00+0200", "2026-05-08T12:00:00+02:0",
		"2026-05-08T12:00:00+24:00", "2026-05-08T12:00:00+02:60",
		"2026-05-08T12:00:00 Z", "2026-05-08T12:00:00ZZ",
		"2026-05-08T12:00:00Z ", " 2026-05-08T12:00:00Z",
		"+026-05-08T12:00:00Z", "-026-05-08T12:00:00Z",
		"10000-01-01T00:00:00Z", "2026-05-08T-1:00:00Z", "null",
		"20260508T120000Z"
	};
	int64_t ms = 42;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(units_parse_time(cases[i], strlen(cases[i]),
		    &ms), ERR_BAD_REQUEST);
		assert_true(ms == 42);
	}
	/* the length counts, not a NUL */
	assert_int_equal(units_parse_time("2026-05-08T12:00:00\0", 20, &ms),
	    ERR_BAD_REQUEST);
	assert_int_equal(units_parse_time("2026-05-08\00012:00:00", 19, &ms),
	    ERR_BAD_REQUEST);
	assert_int_equal(units_parse_time("2026-05-08T12:00:00Zjunk", 20,
	    &ms), 0);
	assert_int_equal(units_parse_time(NULL, 0, &ms), ERR_BAD_REQUEST);
}

static void
test_format_time(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ INT64_C(1778241600000), "2026-05-08T12:00:00Z" },
		{ INT64_C(1778241600123), "2026-05-08T12:00:00.123Z" },
		{ INT64_C(1778241600007), "2026-05-08T12:00:00.007Z" },
		{ INT64_C(951782400000), "2000-02-29T00:00:00Z" },
		{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ INT64_C(-62135596800000), "0001-01-01T00:00:00Z" },
		/* beyond what can be parsed, but safe */
		{ INT64_MAX, "292278994-08-17T07:12:55.807Z" },
		{ INT64_MIN, "-292275055-05-16T16:47:04.192Z" },
	};
	char buf[UNITS_TIME_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_string_equal(units_format_time(cases[i].ms, buf),
		    cases[i].text);
	}
}

/*
 * The calendar of libc over all the years we write; each day of the 400 years
 * after which it repeats, the others by a stride that meets all kinds of days.
 */
static void
test_time_agrees_with_libc(void **state)
{
	char expected[UNITS_TIME_LEN];
	char buf[UNITS_TIME_LEN];
	struct tm tm;
	int64_t day;
	int64_t ms;
	time_t t;

	(void)state;
	for (day = 0; day <= 2932896; day += day < 160000 ? 1 : 29) {
		t = (time_t)(day * 86400 + day % 86400);
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(expected, sizeof(expected),
		    "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
		assert_int_equal(units_parse_time(expected, strlen(expected),
		    &ms), 0);
		assert_true(ms == (int64_t)t * 1000);
		if (strcmp(units_format_time(ms, buf), expected) != 0)
			fail_msg("%s is not %s", buf, expected);
	}
}

static void
test_time_round_trip(void **state)
{
	uint64_t seed = unit_seed();
	char buf[UNITS_TIME_LEN];
	int64_t ms;
	int64_t back;
	int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		/* from year 0 to 9999 */
		ms = (int64_t)(unit_random(&seed) %
		    UINT64_C(315569520000000)) - INT64_C(62167219200000);
		(void)units_format_time(ms, buf);
		assert_int_equal(units_parse_time(buf, strlen(buf), &back),
		    0);
		assert_true(back == ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration_forms),
		cmocka_unit_test(test_duration_refused),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_duration_round_trip),
		cmocka_unit_test(test_size_forms),
		cmocka_unit_test(test_time_forms),
		cmocka_unit_test(test_time_refused),
		cmocka_unit_test(test_format_time),
		cmocka_unit_test(test_time_agrees_with_libc),
		cmocka_unit_test(test_time_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
