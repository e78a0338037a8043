/*
 * RFC 3339 timestamps. Wall clock, microseconds since 1970.
 */
#ifndef SANDBOX_TIMEFMT_H
#define SANDBOX_TIMEFMT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Now, by the wall clock. */
int64_t timefmt_now_us(void);

/* Now, by a clock that is never stepped; milliseconds. */
int64_t timefmt_monotonic_ms(void);

/*
 * Both clocks so far ahead of the machine's: a test lets hours pass, or the
 * service's clock be wrong.
 */
void timefmt_set_ahead(int64_t ms);
int64_t timefmt_ahead_ms(void);

/*
 * Read a timestamp: 0-9 fractional digits; Z, an offset, or no zone (UTC).
 * false: no timestamp, *ret_us is unset.
 */
bool timefmt_parse(const char *s, int64_t *ret_us);

/* A new JSON string, with a fraction only where there is one. */
json_t *timefmt_json(int64_t us);

/*
 * Now in whole seconds, as the service's examples show it. Where that equals
 * old, a fraction is added: two changes within one second must not look the
 * same, or a cache that compares timestamps could not see the second.
 * old may be NULL. A new JSON string.
 */
json_t *timefmt_stamp(const json_t *old);

#endif
