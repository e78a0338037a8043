/*
 * Durations, sizes and times as text, the same in configuration, options
 * and output.
 */
#ifndef PROTO_UNITS_H
#define PROTO_UNITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * A duration as systemd.time(7) users write it: numbers with units, added up,
 * "1h30m", "250ms", "5 min", "1.5s"; units us ms s sec m min h hr d w (and
 * their long forms); a number alone is seconds.  At most 6 decimals and 100
 * years.  ret_ms: milliseconds, rounded up.
 * Returns 0 or ERR_BAD_REQUEST.
 */
int units_parse_duration(const char *text, uint64_t *ret_ms);

/* A size: a number and optionally K, M, G (powers of 1024).  As above. */
int units_parse_size(const char *text, uint64_t *ret_bytes);

/* The same, exactly and from the largest unit down: "1h30m", "2w", "0". */
#define UNITS_DURATION_LEN 40
const char *units_format_duration(uint64_t ms, char buf[UNITS_DURATION_LEN]);

/*
 * RFC 3339 to milliseconds since the epoch.  Takes 0 to 9 fractional digits,
 * `Z`, an offset or no zone (UTC then), `T` or a blank
 * (upstream-api.md, section 1).  Less than a millisecond is cut off; a leap
 * second is the first of the next minute.  Returns 0 or ERR_BAD_REQUEST.
 */
int units_parse_time(const char *text, size_t len, int64_t *ret_ms);

/* "2026-05-08T12:00:00Z", with ".123" only if there is a fraction. */
#define UNITS_TIME_LEN 40
const char *units_format_time(int64_t ms, char buf[UNITS_TIME_LEN]);

#endif /* PROTO_UNITS_H */
