/*
 * /usage and /rate-limit, and the counters behind them and behind /billing.
 */
#include "usage.h"

#include "api_keys.h"
#include "call.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "logstreams.h"
#include "mem.h"
#include "pki.h"
#include "secret.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define USAGE_DAY_US (86400LL * 1000000)
#define USAGE_GB (1024.0 * 1024 * 1024)

struct amount {
	int64_t bytes;
	int64_t items;
};

/* What is stored, by category: "attachments" have no endpoint at all. */
static struct amount
measure_secrets(const struct tenant *t)
{
	struct amount a = {0};

	a.items = (int64_t)store_count(t->secrets);
	for (size_t i = 0; i < store_count(t->secrets); i++) {
		const struct secret *s =
		    (const struct secret *)store_at(t->secrets, i);

		a.bytes += (int64_t)json_string_length(s->field[SECRET_VALUE]);
		for (size_t j = 0; j < s->n_old; j++)
			a.bytes +=
			    (int64_t)json_string_length(s->old[j].value);
	}
	return a;
}

/* The public half, and what is secret without one. */
static int64_t
size_of(const struct keymat *m)
{
	size_t n = 0;
	unsigned char *raw = keymat_raw(m, &n);

	free(raw);
	return (int64_t)((raw == NULL ? 0 : n) + m->secret_len);
}

static struct amount
measure_keys(const struct tenant *t)
{
	struct amount a = {0};

	for (size_t i = 0; i < store_count(t->keys); i++) {
		const struct key *k =
		    (const struct key *)store_at(t->keys, i);

		if (key_is_deleted(k))
			continue;
		a.items++;
		for (size_t j = 0; j < k->n_versions; j++)
			a.bytes += size_of(k->version[j].material);
	}
	return a;
}

static struct amount
measure_certificates(const struct tenant *t)
{
	struct amount a;

	pki_measure(t->pki, &a.items, &a.bytes);
	return a;
}

static struct amount
measure_archives(const struct tenant *t)
{
	struct amount a;

	logstreams_measure(t, &a.items, &a.bytes);
	return a;
}

static const struct {
	const char *id;
	struct amount (*measure)(const struct tenant *t); /* NULL: nothing */
} categories[] = {
    {"secrets", measure_secrets},
    {"keys", measure_keys},
    {"certificates", measure_certificates},
    {"attachments", NULL},
    {"log_archives", measure_archives},
};

#define N_CATEGORIES (sizeof(categories) / sizeof(*categories))

struct usage {
	int64_t month_us; /* which one the rest is about */
	int64_t count[USAGE_COUNTS];
	/* One sample a day, taken when first asked that day. */
	int64_t sampled_us; /* 0: none yet */
	int64_t n_samples;
	int64_t sampled_bytes[N_CATEGORIES]; /* their sums */
};

struct usage *
usage_new(void)
{
	return mem_zero(sizeof(struct usage));
}

void
usage_free(struct usage *u)
{
	free(u);
}

static int64_t
month_start(int months_ahead)
{
	time_t now = (time_t)(timefmt_now_us() / 1000000);
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	tm.tm_mon += months_ahead;
	tm.tm_mday = 1;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	return (int64_t)timegm(&tm) * 1000000;
}

int64_t
usage_month_us(void)
{
	return month_start(0);
}

int64_t
usage_next_month_us(void)
{
	return month_start(1);
}

/* "YYYY-MM-DD" */
static json_t *
day_json(int64_t us)
{
	json_t *stamp = timefmt_json(us);
	json_t *day = json_stringn(json_string_value(stamp), 10);

	json_decref(stamp);
	return day;
}

json_t *
usage_first_day(void)
{
	return day_json(usage_month_us());
}

json_t *
usage_last_day(void)
{
	return day_json(usage_next_month_us() - 1);
}

/* A new month begins with nothing. */
static struct usage *
current(const struct tenant *t)
{
	struct usage *u = t->usage;
	int64_t month_us = usage_month_us();

	if (u->month_us != month_us) {
		memset(u, 0, sizeof(*u));
		u->month_us = month_us;
	}
	return u;
}

/* Which routes are operations, by the start of their path. */
static const struct {
	const char *path;
	enum usage_count what;
} operations[] = {
    {"/encrypt", USAGE_ENCRYPT},
    {"/transit/encrypt/", USAGE_ENCRYPT},
    {"/transit/batch/encrypt/", USAGE_ENCRYPT},
    {"/decrypt", USAGE_DECRYPT},
    {"/transit/decrypt/", USAGE_DECRYPT},
    {"/transit/batch/decrypt/", USAGE_DECRYPT},
    {"/sign", USAGE_SIGN},
    {"/transit/sign/", USAGE_SIGN},
    {"/verify", USAGE_VERIFY},
    {"/transit/verify/", USAGE_VERIFY},
};

/* Of a batch, the items that went well; of all else, one. */
static int64_t
how_many(const struct call *c)
{
	json_error_t err;
	json_t *v, *results;
	int64_t n = 0;

	if (strstr(c->match.route->path, "/batch/") == NULL)
		return 1;
	v = json_util_parse(c->answer.body, c->answer.len, &err);
	results = json_object_get(v, "results");
	for (size_t i = 0; i < json_array_size(results); i++) {
		const json_t *error = json_object_get(
		    json_array_get(results, i), "error");

		n += error == NULL || json_is_null(error);
	}
	json_decref(v);
	return n;
}

void
usage_count(const struct call *c)
{
	const char *path;
	struct usage *u;

	if (c->key == NULL || c->answer.status == 429)
		return;
	u = current(c->tenant);
	u->count[USAGE_API_CALLS]++;
	if (c->answer.status < 200 || c->answer.status > 299)
		return;
	path = c->match.route->path;
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		const char *op = operations[i].path;
		size_t n = strlen(op);

		if (op[n - 1] == '/' ? strncmp(path, op, n) == 0
				     : strcmp(path, op) == 0)
			u->count[operations[i].what] += how_many(c);
	}
}

int64_t
usage_get(const struct tenant *t, enum usage_count which)
{
	return current(t)->count[which];
}

/* Measure all, and make it the day's sample if there is none. */
static void
sample(const struct tenant *t, struct amount ret_now[N_CATEGORIES])
{
	struct usage *u = current(t);
	int64_t now = timefmt_now_us();
	bool due = u->n_samples == 0 ||
		   u->sampled_us / USAGE_DAY_US != now / USAGE_DAY_US;

	for (size_t i = 0; i < N_CATEGORIES; i++) {
		ret_now[i] = (struct amount){0, 0};
		if (categories[i].measure != NULL)
			ret_now[i] = categories[i].measure(t);
		if (due)
			u->sampled_bytes[i] += ret_now[i].bytes;
	}
	if (!due)
		return;
	u->n_samples++;
	u->sampled_us = now - now % 1000000;
}

/* A sample stands for its day of the month. */
static double
gb_months(int64_t sampled_bytes)
{
	int64_t days =
	    (usage_next_month_us() - usage_month_us()) / USAGE_DAY_US;

	return (double)sampled_bytes / USAGE_GB / (double)days;
}

static void
usage_storage(struct call *c)
{
	struct amount now[N_CATEGORIES];
	const struct usage *u = c->tenant->usage;
	json_t *list = json_array();
	int64_t bytes = 0, sampled = 0;

	sample(c->tenant, now);
	for (size_t i = 0; i < N_CATEGORIES; i++) {
		int64_t sum = u->sampled_bytes[i];

		bytes += now[i].bytes;
		sampled += sum;
		json_array_append_new(list,
		    json_pack("{s:s, s:I, s:I, s:I, s:f}", "id",
			categories[i].id, "bytes", (json_int_t)now[i].bytes,
			"items", (json_int_t)now[i].items, "monthAverageBytes",
			(json_int_t)(sum / u->n_samples), "gbMonthsAccrued",
			gb_months(sum)));
	}
	call_json(c, 200,
	    json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:o}",
		"periodStart", usage_first_day(), "periodEnd",
		usage_last_day(), "asOf", day_json(timefmt_now_us()),
		"lastSampledAt", timefmt_json(u->sampled_us), "totalBytes",
		(json_int_t)bytes, "monthAverageBytes",
		(json_int_t)(sampled / u->n_samples), "gbMonthsAccrued",
		gb_months(sampled), "categories", list));
}

static void
usage_rate_limit(struct call *c)
{
	const struct api_keys_rate *r = &c->rate;

	call_json(c, 200,
	    json_pack("{s:I, s:I, s:I, s:s}", "limit",
		(json_int_t)(r->limit == 0 ? API_KEYS_PER_MINUTE : r->limit),
		"remaining", (json_int_t)r->remaining, "reset",
		(json_int_t)r->reset_wall_s, "period", "1m"));
}

const struct route usage_routes[] = {
    {"GET", "/rate-limit", "", usage_rate_limit},
    {"GET", "/usage/storage", "", usage_storage},
    {NULL, NULL, NULL, NULL},
};
