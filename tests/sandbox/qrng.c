/*
 * POST /qrng/entropy. Never quantum: the operating system's generator, and the
 * answer says so, whether the request allows it or not.
 */
#include "call.h"
#include "ids.h"
#include "json_util.h"
#include "mem.h"
#include "tenant.h"
#include "timefmt.h"
#include "usage.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BYTES 65536
#define MB (1024.0 * 1024.0)
#define DEFAULT_QUOTA_MB 100.0

static json_t *
as_raw(const unsigned char *p, size_t n)
{
	return json_util_base64(p, n);
}

static json_t *
as_hex(const unsigned char *p, size_t n)
{
	char *hex = mem_zero(2 * n + 1);
	json_t *v;

	sodium_bin2hex(hex, 2 * n + 1, p, n);
	v = json_string(hex);
	free(hex);
	return v;
}

static json_t *
as_uuids(const unsigned char *p, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i += 16)
		json_array_append_new(list, ids_uuid_of(p + i));
	return list;
}

/* Signed, little-endian. */
static json_t *
as_ints(const unsigned char *p, size_t n, size_t size)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i += size) {
		uint64_t v = 0;

		for (size_t j = size; j > 0; j--)
			v = v << 8 | p[i + j - 1];
		json_array_append_new(list,
		    json_integer(
			size == 4 ? (int32_t)(uint32_t)v : (int64_t)v));
	}
	return list;
}

static json_t *
as_int32(const unsigned char *p, size_t n)
{
	return as_ints(p, n, 4);
}

static json_t *
as_int64(const unsigned char *p, size_t n)
{
	return as_ints(p, n, 8);
}

struct format {
	const char *name;
	int64_t block; /* bytes of one element */
	json_t *(*write)(const unsigned char *p, size_t n);
};

static const struct format formats[] = {
    {"raw", 1, as_raw},
    {"hex", 1, as_hex},
    {"uuid", 16, as_uuids},
    {"int32", 4, as_int32},
    {"int64", 8, as_int64},
};

/* NULL: answered. */
static const struct format *
read_format(struct call *c)
{
	json_t *v = json_util_get(c->json, "format");
	const char *s = json_string_value(v);

	if (v == NULL || json_is_null(v))
		return &formats[0];
	for (size_t i = 0; s != NULL && i < 5; i++) {
		if (strcasecmp(s, formats[i].name) == 0)
			return &formats[i];
	}
	call_bad_field(
	    c, "format", "must be raw, hex, uuid, int32 or int64");
	return NULL;
}

static double
quota_mb(const struct call *c)
{
	json_t *v = json_util_get(
	    json_object_get(c->tenant->seed, "qrng"), "quotaLimitMb");

	return json_is_number(v) ? json_number_value(v) : DEFAULT_QUOTA_MB;
}

/* Charge the month's quota. false: it is used up, and answered. */
static bool
charge(struct call *c, int64_t n, double limit_mb)
{
	struct tenant_qrng *q = &c->tenant->qrng;
	int64_t month_us = usage_month_us(), next_us, wait;
	char *seconds;

	if (q->month_us != month_us)
		*q = (struct tenant_qrng){.month_us = month_us};
	if ((double)(q->used + n) <= limit_mb * MB) {
		q->used += n;
		return true;
	}
	next_us = usage_next_month_us();
	call_error(c, 429, "quota_exceeded",
	    "The quota of entropy of this month is used up.",
	    json_pack("{s:o}", "resetsAt", timefmt_json(next_us)));
	wait = (next_us - timefmt_now_us() + 999999) / 1000000;
	seconds = mem_printf("%lld", (long long)wait);
	answer_add_header(&c->answer, "Retry-After", seconds);
	free(seconds);
	return false;
}

static void
answer(struct call *c, const struct format *f, size_t n, double limit_mb)
{
	unsigned char *p = mem_zero(n);
	json_t *id = ids_uuid();

	randombytes_buf(p, n);
	audit_resource(c, "Qrng", id, NULL);
	call_json(c, 200,
	    json_pack("{s:o, s:s, s:s, s:{s:s, s:b, s:o}, s:I, s:f, s:f, s:o}",
		"entropy", f->write(p, n), "format", f->name, "source",
		"csprng", "sourceDetails", "provider", "SystemRandom",
		"isQuantum", 0, "servedAt", timefmt_json(timefmt_now_us()),
		"consumedBytes", (json_int_t)n, "quotaLimitMb", limit_mb,
		"quotaRemainingMb",
		limit_mb - (double)c->tenant->qrng.used / MB, "requestId",
		id));
	free(p);
}

static void
qrng_entropy(struct call *c)
{
	const struct format *f;
	double limit_mb = quota_mb(c);
	int64_t n = 0;

	if (!call_body(c, false) || (f = read_format(c)) == NULL ||
	    !call_member_int(c, "bytes", 1, MAX_BYTES, &n))
		return;
	if (n == 0 || n % f->block != 0) {
		call_bad_field(c, "bytes",
		    n == 0 ? "is required"
			   : "must be a multiple of the format's elements");
		return;
	}
	if (charge(c, n, limit_mb))
		answer(c, f, (size_t)n, limit_mb);
}

const struct route qrng_routes[] = {
    {"POST", "/qrng/entropy", "qrng:read", qrng_entropy},
    {NULL, NULL, NULL, NULL},
};
