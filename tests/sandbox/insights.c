/*
 * GET /secrets/{id}/insights: how strong a value looks. A simple judgement, in
 * the shape of the real one, in both spellings.
 */
#include "call.h"
#include "secret.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <ctype.h>
#include <string.h>

#define INSIGHTS_STRONG 16 /* characters, of at least three kinds */
#define INSIGHTS_MEDIUM 10

static size_t
kinds_in(const char *s, size_t n)
{
	bool lower = false, upper = false, digit = false, other = false;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (islower(c))
			lower = true;
		else if (isupper(c))
			upper = true;
		else if (isdigit(c))
			digit = true;
		else
			other = true;
	}
	return (size_t)lower + upper + digit + other;
}

static const char *
strength_of(const char *s, size_t n)
{
	if (n >= INSIGHTS_STRONG && kinds_in(s, n) >= 3)
		return "strong";
	return n >= INSIGHTS_MEDIUM ? "medium" : "weak";
}

static bool
has_expired(const struct secret *s)
{
	const char *at = json_string_value(s->field[SECRET_EXPIRES_AT]);
	int64_t us;

	return at != NULL && timefmt_parse(at, &us) && us <= timefmt_now_us();
}

static void
secret_insights(struct call *c)
{
	struct secret *s = secret_find(c->tenant->secrets, c->match.param[0]);
	const char *strength, *risk;
	json_t *advice;

	if (s == NULL || !secret_is_active(s)) {
		call_not_found(c, "secret");
		return;
	}
	strength = strength_of(json_string_value(s->field[SECRET_VALUE]),
	    json_string_length(s->field[SECRET_VALUE]));
	risk = strcmp(strength, "strong") == 0	 ? "low"
	       : strcmp(strength, "medium") == 0 ? "medium"
						 : "high";
	advice = json_array();
	if (strcmp(strength, "strong") != 0)
		json_array_append_new(advice,
		    json_string("Use at least 16 characters of three kinds."));
	if (s->field[SECRET_EXPIRES_AT] == NULL)
		json_array_append_new(
		    advice, json_string("Set an expiry date."));
	if (has_expired(s)) {
		risk = "high";
		json_array_append_new(
		    advice, json_string("Rotate it: it has expired."));
	}
	call_json(c, 200,
	    asset_both_spellings(json_pack("{s:O, s:s, s:s, s:o, s:o}",
		"secretName", s->field[SECRET_NAME], "strength", strength,
		"riskLevel", risk, "recommendations", advice, "analyzedAt",
		timefmt_stamp(NULL))));
}

const struct route insights_routes[] = {
    {"GET", "/secrets/{id}/insights", "secrets:read", secret_insights},
    {NULL, NULL, NULL, NULL},
};
