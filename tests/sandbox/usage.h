/*
 * What a tenant has used this month, counted from what really happened.
 */
#ifndef SANDBOX_USAGE_H
#define SANDBOX_USAGE_H

#include <jansson.h>
#include <stdint.h>

struct call;
struct tenant;
struct usage;

enum usage_count {
	USAGE_API_CALLS,
	USAGE_ENCRYPT,
	USAGE_DECRYPT,
	USAGE_SIGN,
	USAGE_VERIFY,
	USAGE_COUNTS
};

struct usage *usage_new(void);
void usage_free(struct usage *u);

/*
 * Count a call that has been answered, by its route: one with an API key is a
 * call of its tenant, and one that went well may be an operation, or several.
 */
void usage_count(const struct call *c);

/* The count of this month. */
int64_t usage_get(const struct tenant *t, enum usage_count which);

/* First and last day of this month, "YYYY-MM-DD", as new JSON strings. */
json_t *usage_first_day(void);
json_t *usage_last_day(void);

/* When this month began, and when the next one will; wall clock. */
int64_t usage_month_us(void);
int64_t usage_next_month_us(void);

#endif
