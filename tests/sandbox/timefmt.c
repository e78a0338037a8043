#include "timefmt.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t ahead_ms; /* a control's: there is one service a process */

void
timefmt_set_ahead(int64_t ms)
{
	ahead_ms = ms;
}

int64_t
timefmt_ahead_ms(void)
{
	return ahead_ms;
}

int64_t
timefmt_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 +
	       ahead_ms * 1000;
}

int64_t
timefmt_monotonic_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + ahead_ms;
}

/* n digits at *s into *ret_v, and step over them. */
static bool
digits(const char **s, int n, int *ret_v)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret_v = v;
	return true;
}

static bool
one_of(const char **s, const char *set)
{
	if (**s == '\0' || strchr(set, **s) == NULL)
		return false;
	(*s)++;
	return true;
}

/* ".123456789" as microseconds; nothing is 0. */
static bool
fraction(const char **s, int64_t *ret_us)
{
	int64_t us = 0, unit = 100000;
	int n = 0;

	*ret_us = 0;
	if (**s != '.')
		return true;
	for ((*s)++; isdigit((unsigned char)**s); (*s)++, n++) {
		us += unit * (**s - '0');
		unit /= 10;
	}
	*ret_us = us;
	return n >= 1 && n <= 9;
}

static bool
zone(const char **s, int64_t *ret_us)
{
	int sign = **s == '-' ? -1 : 1, h, m;

	*ret_us = 0;
	if (**s == '\0' || one_of(s, "Zz"))
		return true;
	if (!one_of(s, "+-") || !digits(s, 2, &h) || !one_of(s, ":") ||
	    !digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_us = (int64_t)sign * (h * 60 + m) * 60 * 1000000;
	return true;
}

bool
timefmt_parse(const char *s, int64_t *ret_us)
{
	struct tm tm = {0};
	int64_t frac, offset;
	int day, sec;

	if (!digits(&s, 4, &tm.tm_year) || !one_of(&s, "-") ||
	    !digits(&s, 2, &tm.tm_mon) || !one_of(&s, "-") ||
	    !digits(&s, 2, &tm.tm_mday) || !one_of(&s, "Tt ") ||
	    !digits(&s, 2, &tm.tm_hour) || !one_of(&s, ":") ||
	    !digits(&s, 2, &tm.tm_min) || !one_of(&s, ":") ||
	    !digits(&s, 2, &tm.tm_sec) || !fraction(&s, &frac) ||
	    !zone(&s, &offset) || *s != '\0')
		return false;
	day = tm.tm_mday;
	sec = tm.tm_sec;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || day < 1 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret_us = (int64_t)timegm(&tm) * 1000000 + frac - offset;
	/* timegm() makes the 31st of February a day in March. */
	return tm.tm_mday == day || sec == 60;
}

json_t *
timefmt_json(int64_t us)
{
	int64_t sec = us / 1000000, frac = us % 1000000;
	struct tm tm;
	time_t t;
	char buf[64];
	size_t n;

	if (frac < 0) {
		frac += 1000000;
		sec--;
	}
	t = (time_t)sec;
	if (gmtime_r(&t, &tm) == NULL)
		return json_null();
	n = strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
	if (frac != 0)
		(void)snprintf(buf + n, sizeof(buf) - n, ".%06dZ", (int)frac);
	else
		(void)snprintf(buf + n, sizeof(buf) - n, "Z");
	return json_string(buf);
}

json_t *
timefmt_stamp(const json_t *old)
{
	int64_t now = timefmt_now_us(), old_us;

	if (json_is_string(old) &&
	    timefmt_parse(json_string_value(old), &old_us) &&
	    old_us / 1000000 == now / 1000000)
		return timefmt_json(now > old_us ? now : old_us + 1);
	return timefmt_json(now - now % 1000000);
}
