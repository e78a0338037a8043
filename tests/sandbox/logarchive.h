/*
 * The archives of a File log stream: for each day a file of gzip members, one
 * for each event, which together unpack to lines of JSON.
 */
#ifndef SANDBOX_LOGARCHIVE_H
#define SANDBOX_LOGARCHIVE_H

#include "mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGARCHIVE_MAX_DAY (8 * 1024 * 1024) /* bytes; later events are lost */

struct logarchive_day {
	char day[11]; /* YYYY-MM-DD, UTC */
	struct text gzip;
	int64_t lines;
	int64_t first_us; /* wall clock */
	int64_t last_us;
};

/* All zero is an empty one. */
struct logarchive {
	struct logarchive_day *day; /* in the order of their dates */
	size_t n;
};

void logarchive_done(struct logarchive *a);

/* Is it YYYY-MM-DD, and a day that there is? */
bool logarchive_is_day(const char *s);

/* Add an event to the day of at_us. */
void logarchive_add(struct logarchive *a, int64_t at_us, const json_t *event);

/* NULL: nothing was written that day. */
const struct logarchive_day *logarchive_find(
    const struct logarchive *a, const char *day);

/* Forget the days before this moment's. */
void logarchive_drop_before(struct logarchive *a, int64_t at_us);

#endif
