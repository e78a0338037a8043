/*
 * Requests on /billing.
 */
#include "call.h"
#include "key.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"
#include "usage.h"

static void
billing_subscription(struct call *c)
{
	json_t *v = json_pack("{s:s, s:s, s:o, s:o, s:s, s:b}", "plan",
	    "sandbox", "status", "active", "currentPeriodStart",
	    timefmt_json(usage_month_us()), "currentPeriodEnd",
	    timefmt_json(usage_next_month_us()), "currency", "EUR",
	    "cancelAtPeriodEnd", 0);

	/* The seed's, where it gives one. */
	(void)json_object_update(
	    v, json_object_get(c->tenant->seed, "subscription"));
	call_json(c, 200, v);
}

static json_int_t
count_keys(const struct store *st)
{
	json_int_t n = 0;

	for (size_t i = 0; i < store_count(st); i++)
		n += !key_is_deleted((const struct key *)store_at(st, i));
	return n;
}

static void
billing_usage(struct call *c)
{
	const struct tenant *t = c->tenant;

	call_json(c, 200,
	    json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		      "s:{s:n, s:n, s:n}}",
		"periodStart", timefmt_json(usage_month_us()), "periodEnd",
		timefmt_json(usage_next_month_us()), "apiCalls",
		(json_int_t)usage_get(t, USAGE_API_CALLS), "encryptOperations",
		(json_int_t)usage_get(t, USAGE_ENCRYPT), "decryptOperations",
		(json_int_t)usage_get(t, USAGE_DECRYPT), "signOperations",
		(json_int_t)usage_get(t, USAGE_SIGN), "verifyOperations",
		(json_int_t)usage_get(t, USAGE_VERIFY), "secretsStored",
		(json_int_t)store_count(t->secrets), "keysStored",
		count_keys(t->keys), "limits", "apiCalls", "secretsStored",
		"keysStored"));
}

const struct route billing_routes[] = {
    {"GET", "/billing/subscription", "billing:read", billing_subscription},
    {"GET", "/billing/usage", "billing:read", billing_usage},
    {NULL, NULL, NULL, NULL},
};
