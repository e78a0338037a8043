#include "config.h"

#include "upstream_header.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "msg.h"
#include "units.h"

/* Larger ones are no rates and no waits; the sum of two still fits. */
#define NUMBER_MAX INT64_C(1000000000000)

/* Decimal digits and nothing else.  False leaves *ret as it is. */
static bool
number(const char *text, int64_t *ret)
{
	int64_t n = 0;

	if (text == NULL || text[0] == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (*text - '0');
		if (n > NUMBER_MAX)
			return false;
	}
	*ret = n;
	return true;
}

/* 1 to 12, 0 for none; text has three letters at least. */
static unsigned int
month_of(const char *text)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned int i;

	for (i = 0; i < 12; i++) {
		if (strncasecmp(text, names + (size_t)i * 3, 3) == 0)
			return i + 1;
	}
	return 0;
}

/* The pattern of an IMF-fixdate: 'a' is a letter, '0' a digit. */
static bool
looks_like_date(const char *text)
{
	static const char pattern[] = "aaa, 00 aaa 0000 00:00:00 GMT";
	size_t i;

	for (i = 0; pattern[i] != '\0'; i++) {
		char c = text[i], low = (char)(c | 0x20);

		if (pattern[i] == 'a' ? low < 'a' || low > 'z' :
		    pattern[i] == '0' ? c < '0' || c > '9' : c != pattern[i])
			return false;
	}
	return text[i] == '\0';
}

int64_t
upstream_header_date(const char *text)
{
	char iso[32];
	int64_t ms;
	int n;

	if (text == NULL || !looks_like_date(text))
		return MSG_NO_TIME;
	/* Which days a month has is known there. */
	n = snprintf(iso, sizeof(iso), "%.4s-%02u-%.2sT%.8sZ", text + 12,
	    month_of(text + 8), text + 5, text + 17);
	if (units_parse_time(iso, (size_t)n, &ms) != 0)
		return MSG_NO_TIME;
	return ms;
}

int64_t
upstream_header_retry_after(const char *text, int64_t now_wall_ms)
{
	int64_t seconds = 0, at_ms = upstream_header_date(text);

	if (at_ms == MSG_NO_TIME)
		return number(text, &seconds) ? seconds : 0;
	/* A date is whole seconds: rather one late than one early. */
	return at_ms <= now_wall_ms ? 0 : (at_ms - now_wall_ms + 999) / 1000;
}

void
upstream_header_rate(const char *limit, const char *remaining,
    const char *reset, int64_t now_wall_ms, struct upstream_rate *ret_rate)
{
	int64_t all = 0, left = 0, at_s = 0, wait_ms = 0;

	*ret_rate = (struct upstream_rate){.told = false};
	if (!number(limit, &all) || !number(remaining, &left) || all == 0 ||
	    left > all)
		return;
	ret_rate->told = true;
	ret_rate->limit = (uint64_t)all;
	ret_rate->remaining = (uint64_t)left;
	if (number(reset, &at_s))
		wait_ms = at_s * 1000 - now_wall_ms;
	if (wait_ms > 0 && wait_ms <= (int64_t)UPSTREAM_RATE_RESET_MAX_MS)
		ret_rate->reset_ms = (uint64_t)wait_ms;
}
