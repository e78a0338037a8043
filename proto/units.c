#include "config.h"

#include "units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "err.h"

#define US_MS UINT64_C(1000)
#define US_SECOND (1000 * US_MS)
#define US_MINUTE (60 * US_SECOND)
#define US_HOUR (60 * US_MINUTE)
#define US_DAY (24 * US_HOUR)
#define US_WEEK (7 * US_DAY)
/* more is a slip of the finger, and sums of a few of them cannot overflow */
#define US_MAX (36525 * US_DAY)

#define MS_DAY INT64_C(86400000)

/* frac * the largest unit still fits 64 bits */
#define DECIMALS_MAX 6

static const struct {
	const char *name;
	uint64_t us;
} duration_units[] = {
	{ "us", 1 },
	{ "usec", 1 },
	{ "\xc2\xb5s", 1 },
	{ "ms", US_MS },
	{ "msec", US_MS },
	{ "s", US_SECOND },
	{ "sec", US_SECOND },
	{ "second", US_SECOND },
	{ "seconds", US_SECOND },
	{ "m", US_MINUTE },
	{ "min", US_MINUTE },
	{ "minute", US_MINUTE },
	{ "minutes", US_MINUTE },
	{ "h", US_HOUR },
	{ "hr", US_HOUR },
	{ "hour", US_HOUR },
	{ "hours", US_HOUR },
	{ "d", US_DAY },
	{ "day", US_DAY },
	{ "days", US_DAY },
	{ "w", US_WEEK },
	{ "week", US_WEEK },
	{ "weeks", US_WEEK },
};

#define NUNITS (sizeof(duration_units) / sizeof(duration_units[0]))

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *
skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* Step over digits; false if there are none or the number is over max. */
static bool
take_number(const char **p, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	uint64_t digit;

	if (!is_digit(**p))
		return false;
	for (; is_digit(**p); (*p)++) {
		digit = (uint64_t)(**p - '0');
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

/*
 * Step over a unit; its length in microseconds, or 0 if it is none.  An
 * absent one has 0 too, and leaves *p alone.
 */
static uint64_t
take_unit(const char **p)
{
	size_t len = 0;
	size_t i;

	while ((*p)[len] != '\0' && (*p)[len] != ' ' && (*p)[len] != '\t' &&
	    !is_digit((*p)[len]))
		len++;
	for (i = 0; i < NUNITS; i++) {
		if (strlen(duration_units[i].name) == len &&
		    memcmp(duration_units[i].name, *p, len) == 0) {
			*p += len;
			return duration_units[i].us;
		}
	}
	return 0;
}

/* Step over ".25": as a numerator over ret_den, both 1 or more apart. */
static bool
take_fraction(const char **p, uint64_t *ret_num, uint64_t *ret_den)
{
	uint64_t num = 0;
	uint64_t den = 1;
	int digits;

	*ret_num = 0;
	*ret_den = 1;
	if (**p != '.')
		return true;
	(*p)++;
	if (!is_digit(**p))
		return false;
	for (digits = 0; is_digit(**p); (*p)++) {
		if (++digits > DECIMALS_MAX)
			return false;
		num = num * 10 + (uint64_t)(**p - '0');
		den *= 10;
	}
	*ret_num = num;
	*ret_den = den;
	return true;
}

/* One number and its unit; first: a number without one may stand alone. */
static bool
take_part(const char **p, bool first, uint64_t *ret_us)
{
	uint64_t whole;
	uint64_t num;
	uint64_t den;
	uint64_t unit;

	if (!take_number(p, US_MAX, &whole) || !take_fraction(p, &num, &den))
		return false;
	*p = skip_blanks(*p);
	unit = take_unit(p);
	if (unit == 0 && first && **p == '\0')
		unit = US_SECOND;
	if (unit == 0 || whole > US_MAX / unit)
		return false;
	*ret_us = whole * unit + (num * unit + den - 1) / den;
	return true;
}

int
units_parse_duration(const char *text, uint64_t *ret_ms)
{
	const char *p = skip_blanks(text);
	uint64_t us = 0;
	uint64_t part;
	bool first = true;

	do {
		if (!take_part(&p, first, &part) || part > US_MAX - us)
			return ERR_BAD_REQUEST;
		us += part;
		first = false;
		p = skip_blanks(p);
	} while (*p != '\0');
	/* up, so that what somebody set never becomes 0, "off" or "at once" */
	*ret_ms = (us + US_MS - 1) / US_MS;
	return 0;
}

int
units_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMG";
	const char *p = skip_blanks(text);
	const char *unit;
	unsigned int shift = 0;
	uint64_t v;

	if (!take_number(&p, UINT64_MAX, &v))
		return ERR_BAD_REQUEST;
	p = skip_blanks(p);
	if (*p != '\0') {
		unit = strchr(units, *p);
		if (unit == NULL)
			return ERR_BAD_REQUEST;
		shift = 10 * (unsigned int)(unit - units + 1);
		p = skip_blanks(p + 1);
	}
	if (*p != '\0' || v > UINT64_MAX >> shift)
		return ERR_BAD_REQUEST;
	*ret_bytes = v << shift;
	return 0;
}

const char *
units_format_duration(uint64_t ms, char buf[UNITS_DURATION_LEN])
{
	static const struct {
		const char *name;
		uint64_t ms;
	} forms[] = {
		{ "d", US_DAY / US_MS },
		{ "h", US_HOUR / US_MS },
		{ "m", US_MINUTE / US_MS },
		{ "s", US_SECOND / US_MS },
		{ "ms", 1 },
	};
	size_t len = 0;
	size_t i;

	(void)snprintf(buf, UNITS_DURATION_LEN, "0");
	/* "1w3d" reads worse than "10d" */
	if (ms != 0 && ms % (US_WEEK / US_MS) == 0) {
		(void)snprintf(buf, UNITS_DURATION_LEN, "%" PRIu64 "w",
		    ms / (US_WEEK / US_MS));
		return buf;
	}
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (ms < forms[i].ms)
			continue;
		len += (size_t)snprintf(buf + len, UNITS_DURATION_LEN - len,
		    "%" PRIu64 "%s", ms / forms[i].ms, forms[i].name);
		ms %= forms[i].ms;
	}
	return buf;
}

/*
 * Days since 1970-01-01 of a date of the Gregorian calendar, which is carried
 * on before its time.  Years begin in March here, so that the leap day is the
 * last of one (Howard Hinnant's days_from_civil).
 */
static int64_t
days_from_date(int64_t year, int64_t month, int64_t day)
{
	int64_t era;
	int64_t of_era;
	int64_t of_year;

	if (month <= 2)
		year--;
	era = (year >= 0 ? year : year - 399) / 400;
	of_era = year - era * 400;
	of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - 719468;
}

static void
date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	int64_t era;
	int64_t of_era;
	int64_t year;
	int64_t of_year;
	int64_t month;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = days - era * 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
	    365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month + (month < 10 ? 3 : -9));
	*ret_year = year + era * 400 + (*ret_month <= 2);
}

static int
days_of_month(int year, int month)
{
	static const int days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* What is left of a time's text. */
struct cursor {
	const char *p;
	size_t len;
};

/* Step over n digits with a value of low to high. */
static bool
take_digits(struct cursor *c, size_t n, int low, int high, int *ret)
{
	int v = 0;
	size_t i;

	if (c->len < n)
		return false;
	for (i = 0; i < n; i++) {
		if (!is_digit(c->p[i]))
			return false;
		v = v * 10 + (c->p[i] - '0');
	}
	c->p += n;
	c->len -= n;
	*ret = v;
	return v >= low && v <= high;
}

/* Step over one character if it is one of set. */
static bool
take_char(struct cursor *c, const char *set)
{
	if (c->len == 0 || *c->p == '\0' || strchr(set, *c->p) == NULL)
		return false;
	c->p++;
	c->len--;
	return true;
}

static bool
take_date(struct cursor *c, int64_t *ret_days)
{
	int year;
	int month;
	int day;

	if (!take_digits(c, 4, 0, 9999, &year) || !take_char(c, "-") ||
	    !take_digits(c, 2, 1, 12, &month) || !take_char(c, "-") ||
	    !take_digits(c, 2, 1, days_of_month(year, month), &day))
		return false;
	*ret_days = days_from_date(year, month, day);
	return true;
}

static bool
take_clock(struct cursor *c, int64_t *ret_ms)
{
	int hour;
	int minute;
	int second;
	int ms = 0;
	int scale = 100;
	int digits;
	int digit;

	if (!take_digits(c, 2, 0, 23, &hour) || !take_char(c, ":") ||
	    !take_digits(c, 2, 0, 59, &minute) || !take_char(c, ":") ||
	    !take_digits(c, 2, 0, 60, &second))
		return false;
	if (take_char(c, ".")) {
		for (digits = 0; take_digits(c, 1, 0, 9, &digit); digits++) {
			ms += digit * scale;
			scale /= 10;
		}
		if (digits == 0 || digits > 9)
			return false;
	}
	*ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
	return true;
}

/* `Z`, an offset or nothing: the milliseconds to take off for UTC. */
static bool
take_zone(struct cursor *c, int64_t *ret_ms)
{
	int sign;
	int hours;
	int minutes;

	*ret_ms = 0;
	if (c->len == 0 || take_char(c, "Zz"))
		return true;
	sign = take_char(c, "-") ? -1 : 1;
	if (sign > 0 && !take_char(c, "+"))
		return false;
	if (!take_digits(c, 2, 0, 23, &hours) || !take_char(c, ":") ||
	    !take_digits(c, 2, 0, 59, &minutes))
		return false;
	*ret_ms = sign * (hours * 60 + minutes) * INT64_C(60000);
	return true;
}

int
units_parse_time(const char *text, size_t len, int64_t *ret_ms)
{
	struct cursor c = { text, len };
	int64_t days;
	int64_t ms;
	int64_t offset;

	if (!take_date(&c, &days) || !take_char(&c, "Tt ") ||
	    !take_clock(&c, &ms) || !take_zone(&c, &offset) || c.len != 0)
		return ERR_BAD_REQUEST;
	*ret_ms = days * MS_DAY + ms - offset;
	return 0;
}

const char *
units_format_time(int64_t ms, char buf[UNITS_TIME_LEN])
{
	int64_t days = ms / MS_DAY;
	int64_t rest = ms % MS_DAY;
	int64_t year;
	int month;
	int day;
	int seconds;
	int len;

	if (rest < 0) {
		rest += MS_DAY;
		days--;
	}
	date_from_days(days, &year, &month, &day);
	seconds = (int)(rest / 1000);
	len = snprintf(buf, UNITS_TIME_LEN,
	    "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d", year, month, day,
	    seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (rest % 1000 != 0)
		(void)snprintf(buf + len, UNITS_TIME_LEN - (size_t)len,
		    ".%03dZ", (int)(rest % 1000));
	else
		(void)snprintf(buf + len, UNITS_TIME_LEN - (size_t)len, "Z");
	return buf;
}
