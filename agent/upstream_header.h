/*
 * What the headers of an answer say: its time, when to come again, how much
 * of the rate is left.  Texts to numbers; where they come from is
 * upstream_http's business.
 *
 * Pure functions; any thread.  A header that is absent is NULL.
 */
#ifndef AGENT_UPSTREAM_HEADER_H
#define AGENT_UPSTREAM_HEADER_H

#include <stdint.h>

#include "upstream.h"

/*
 * Date: "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate of RFC 9110; the day of
 * the week is not looked at).  Wall ms, or MSG_NO_TIME if it is none.
 */
int64_t upstream_header_date(const char *text);

/*
 * Retry-After: whole seconds, or a date as above, which counts from
 * now_wall_ms: the Date of the same answer, else this machine's clock.
 * Seconds, from 1 on; 0 if it is neither, or is over.
 */
int64_t upstream_header_retry_after(const char *text, int64_t now_wall_ms);

/*
 * X-RateLimit-Limit, -Remaining and -Reset (Unix seconds, counted from
 * now_wall_ms).  What cannot be (no numbers, a limit of 0, more left than
 * there is) is taken as not told; so is a reset that is over, or further off
 * than UPSTREAM_RATE_RESET_MAX_MS.
 */
#define UPSTREAM_RATE_RESET_MAX_MS (3600u * 1000)
void upstream_header_rate(const char *limit, const char *remaining,
    const char *reset, int64_t now_wall_ms, struct upstream_rate *ret_rate);

#endif /* AGENT_UPSTREAM_HEADER_H */
