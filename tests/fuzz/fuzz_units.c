/*
 * The parsers of durations, sizes and times, and the helpers for text from
 * outside.  What is accepted is formatted and parsed again.
 */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "ref.h"
#include "text.h"
#include "units.h"

/* 100 years, the longest duration */
#define DURATION_MAX_MS (UINT64_C(36525) * 86400000)

static void
try_duration(const char *text)
{
	char buf[UNITS_DURATION_LEN];
	uint64_t ms;
	uint64_t again;

	if (units_parse_duration(text, &ms) != 0)
		return;
	FUZZ_ASSERT(ms <= DURATION_MAX_MS);
	FUZZ_ASSERT(units_parse_duration(units_format_duration(ms, buf),
	    &again) == 0);
	FUZZ_ASSERT(ms == again);
}

static void
try_time(const char *text, size_t len)
{
	char buf[UNITS_TIME_LEN];
	int64_t ms;
	int64_t again;

	if (units_parse_time(text, len, &ms) != 0)
		return;
	(void)units_format_time(ms, buf);
	/* an offset may lead out of the years 0 to 9999 */
	if (buf[0] == '-' || strlen(buf) > 24 || buf[4] != '-')
		return;
	FUZZ_ASSERT(units_parse_time(buf, strlen(buf), &again) == 0);
	FUZZ_ASSERT(ms == again);
}

static void
try_text(const char *text, size_t len)
{
	static const char *const names[] = { "max-stale", "get", "" };
	char line[40];
	char escaped[64];

	(void)text_nearest(text, names, 3);
	(void)text_printable(text, len, line, sizeof(line));
	FUZZ_ASSERT(strlen(line) < sizeof(line));
	FUZZ_ASSERT(text_is_plain(line, strlen(line)));
	if (text_is_text(text, len))
		FUZZ_ASSERT(text_is_utf8(text, text_cut(text, len, len / 2)));
	if (ref_escape(text, len, escaped, sizeof(escaped)) == 0)
		FUZZ_ASSERT(strlen(escaped) >= len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t bytes;
	int64_t ms;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';

	try_duration(text);
	(void)units_parse_size(text, &bytes);
	try_time(text, size);
	try_text(text, size);
	if (size >= sizeof(ms)) {
		char buf[UNITS_TIME_LEN];
		char duration[UNITS_DURATION_LEN];

		memcpy(&ms, text, sizeof(ms));
		(void)units_format_time(ms, buf);
		FUZZ_ASSERT(strlen(buf) < sizeof(buf));
		(void)units_format_duration((uint64_t)ms, duration);
		FUZZ_ASSERT(strlen(duration) < sizeof(duration));
	}
	free(text);
	return 0;
}
