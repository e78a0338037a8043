/*
 * Requests on /compliance.
 */
#include "compliance.h"

#include "apply.h"
#include "call.h"
#include "ids.h"
#include "json_util.h"
#include "mem.h"
#include "rules.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JUSTIFICATION_MIN 10
#define JUSTIFICATION_MAX 2000

static const char *const frameworks[] = {"gdpr", "nis2", "dora", "eidas2"};

#define N_FRAMEWORKS (sizeof(frameworks) / sizeof(*frameworks))

struct check {
	const char *framework;
	const char *id;
	const char *name;
	const char *category;
	const char *status; /* where no seed sets another */
	const char *details;
	const char *recommendation; /* NULL: there is nothing to do */
};

static const struct check checks[] = {
    {"gdpr", "encryption-at-rest", "Encryption at rest", "Security", "Pass",
	"Secrets and keys are encrypted.", NULL},
    {"gdpr", "audit-trail", "Audit trail", "Accountability", "Pass",
	"Every access leaves a record.", NULL},
    {"gdpr", "data-retention", "Data retention", "Storage limitation",
	"Warning", "Some secrets have no expiry date.",
	"Set an expiry date on every secret."},
    {"nis2", "access-control", "Access control", "Risk management", "Pass",
	"API keys are limited to scopes.", NULL},
    {"nis2", "operational-monitoring", "Operational monitoring",
	"Incident handling", "Fail", "No log stream is active.",
	"Send the logs to a log stream."},
    {"nis2", "key-rotation", "Key rotation", "Cryptography", "Warning",
	"Some keys are older than a year.", "Rotate keys once a year."},
    {"dora", "backup-restore", "Backup and restore", "Resilience", "Pass",
	"The vault is backed up.", NULL},
    {"dora", "operational-monitoring", "Operational monitoring", "Detection",
	"Warning", "No log stream is active.",
	"Send the logs to a log stream."},
    {"dora", "third-party-register", "Register of third parties",
	"Third-party risk", "NotApplicable", "There are no third parties.",
	NULL},
    {"eidas2", "quantum-safe-signatures", "Quantum-safe signatures",
	"Trust services", "Warning", "Some signing keys are classical.",
	"Move to ML-DSA."},
    {"eidas2", "certificate-validity", "Validity of certificates",
	"Trust services", "Pass", "No certificate has expired.", NULL},
};

#define N_CHECKS (sizeof(checks) / sizeof(*checks))

static const struct rule acceptance_rules[] = {
    {"justification", 0, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"reviewDate", 0, RULE_TIME, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

struct compliance {
	const char *status[N_CHECKS]; /* literals */
	json_t *acceptances;          /* array, oldest first */
};

struct compliance *
compliance_new(void)
{
	struct compliance *cm = mem_zero(sizeof(*cm));

	for (size_t i = 0; i < N_CHECKS; i++)
		cm->status[i] = checks[i].status;
	cm->acceptances = json_array();
	return cm;
}

void
compliance_free(struct compliance *cm)
{
	if (cm == NULL)
		return;
	json_decref(cm->acceptances);
	free(cm);
}

/* The framework's own name, letter case aside; NULL: there is none. */
static const char *
framework_of(const char *name)
{
	for (size_t i = 0; name != NULL && i < N_FRAMEWORKS; i++) {
		if (strcasecmp(frameworks[i], name) == 0)
			return frameworks[i];
	}
	return NULL;
}

/* The index of a check, or N_CHECKS. */
static size_t
check_of(const char *framework, const char *id)
{
	size_t i = 0;

	while (i < N_CHECKS &&
	       (strcmp(checks[i].framework, framework) != 0 || id == NULL ||
		   strcmp(checks[i].id, id) != 0))
		i++;
	return i;
}

static bool
is_open_problem(const char *status)
{
	return strcmp(status, "Fail") == 0 || strcmp(status, "Warning") == 0;
}

static bool
review_is_due(const json_t *acceptance)
{
	const char *at = asset_text(acceptance, "reviewDate");
	int64_t us;

	return at != NULL && timefmt_parse(at, &us) && us <= timefmt_now_us();
}

static bool
is_revoked(const json_t *acceptance)
{
	return asset_text(acceptance, "revokedAt") != NULL;
}

/* As answers show it. */
static json_t *
show(const json_t *acceptance)
{
	json_t *v = json_copy((json_t *)(uintptr_t)acceptance);
	bool expired = review_is_due(acceptance);

	json_object_set_new(
	    v, "isActive", json_boolean(!expired && !is_revoked(acceptance)));
	json_object_set_new(v, "isExpired", json_boolean(expired));
	return v;
}

/* The acceptance of a check that is not revoked, borrowed; or NULL. */
static json_t *
open_acceptance(const struct compliance *cm, const struct check *check)
{
	for (size_t i = json_array_size(cm->acceptances); i > 0; i--) {
		json_t *v = json_array_get(cm->acceptances, i - 1);

		if (strcmp(asset_text(v, "framework"), check->framework) ==
			0 &&
		    strcmp(asset_text(v, "checkId"), check->id) == 0 &&
		    !is_revoked(v))
			return v;
	}
	return NULL;
}

/* The status as it counts: an accepted risk is none for the time being. */
static const char *
effective(const struct compliance *cm, size_t i)
{
	const json_t *v = open_acceptance(cm, &checks[i]);

	if (v != NULL && !review_is_due(v) && is_open_problem(cm->status[i]))
		return "RiskAccepted";
	return cm->status[i];
}

/* How the checks of a framework stand. */
struct tally {
	json_int_t pass, warning, fail, accepted;
	json_int_t score; /* 0-100 */
};

static struct tally
count(const struct compliance *cm, const char *framework)
{
	struct tally t = {0};
	json_int_t n;

	for (size_t i = 0; i < N_CHECKS; i++) {
		const char *s = effective(cm, i);

		if (strcmp(checks[i].framework, framework) != 0)
			continue;
		t.pass += strcmp(s, "Pass") == 0;
		t.warning += strcmp(s, "Warning") == 0;
		t.fail += strcmp(s, "Fail") == 0;
		t.accepted += strcmp(s, "RiskAccepted") == 0;
	}
	n = t.pass + t.warning + t.fail + t.accepted;
	t.score = n == 0 ? 100
			 : (100 * (t.pass + t.accepted) + 50 * t.warning) / n;
	return t;
}

static void
overview(struct call *c)
{
	const struct compliance *cm = c->tenant->compliance;
	json_t *list = json_array();
	json_int_t sum = 0;

	for (size_t i = 0; i < N_FRAMEWORKS; i++) {
		struct tally t = count(cm, frameworks[i]);

		sum += t.score;
		json_array_append_new(list,
		    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "framework",
			frameworks[i], "score", t.score, "passCount", t.pass,
			"warningCount", t.warning, "failCount", t.fail,
			"riskAcceptedCount", t.accepted));
	}
	call_json(c, 200,
	    json_pack("{s:I, s:o}", "overallScore",
		sum / (json_int_t)N_FRAMEWORKS, "frameworks", list));
}

/* The framework that the path names; NULL: answered. */
static const char *
path_framework(struct call *c)
{
	const char *framework = framework_of(c->match.param[0]);

	if (framework == NULL)
		call_bad_field(
		    c, "framework", "must be gdpr, nis2, dora or eidas2");
	return framework;
}

static json_t *
show_check(const struct compliance *cm, size_t i)
{
	const json_t *acceptance = open_acceptance(cm, &checks[i]);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:o}", "id",
	    checks[i].id, "name", checks[i].name, "category",
	    checks[i].category, "status", effective(cm, i), "evaluatedStatus",
	    cm->status[i], "details", checks[i].details, "recommendation",
	    checks[i].recommendation, "riskAcceptance",
	    acceptance == NULL ? json_null() : show(acceptance));
}

static void
report(struct call *c)
{
	const struct compliance *cm = c->tenant->compliance;
	const char *framework = path_framework(c);
	json_t *list, *advice;

	if (framework == NULL)
		return;
	list = json_array();
	advice = json_array();
	for (size_t i = 0; i < N_CHECKS; i++) {
		if (strcmp(checks[i].framework, framework) != 0)
			continue;
		json_array_append_new(list, show_check(cm, i));
		if (is_open_problem(effective(cm, i)) &&
		    checks[i].recommendation != NULL)
			json_array_append_new(
			    advice, json_string(checks[i].recommendation));
	}
	call_json(c, 200,
	    json_pack("{s:s, s:I, s:o, s:o}", "framework", framework,
		"overallScore", count(cm, framework).score, "checks", list,
		"recommendations", advice));
}

/* --- acceptances --- */

/* The check that the path names; N_CHECKS: answered. */
static size_t
path_check(struct call *c)
{
	const char *framework = path_framework(c);
	size_t i;

	if (framework == NULL)
		return N_CHECKS;
	i = check_of(framework, c->match.param[1]);
	if (i == N_CHECKS)
		call_not_found(c, "check");
	return i;
}

/* The text without blanks around it, as a new JSON string. */
static json_t *
trimmed(const char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	n = strlen(s);
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	return json_stringn(s, n);
}

static void
revoke(json_t *acceptance, json_t *actor)
{
	json_object_set(acceptance, "revokedBy", actor);
	json_object_set_new(acceptance, "revokedAt", timefmt_stamp(NULL));
}

/* Accept the risk of a check. Borrowed; NULL: *p is set. */
static json_t *
accept_risk(struct compliance *cm, size_t i, const json_t *body, json_t *actor,
    struct asset_problem *p)
{
	json_t *review = json_util_get(body, "reviewDate"), *text, *v, *old;
	size_t n;

	if (!asset_check(acceptance_rules, body, p))
		return NULL;
	if (!is_open_problem(cm->status[i])) {
		(void)asset_fail(
		    p, 409, NULL, "The check is neither failing nor warning.");
		return NULL;
	}
	text = trimmed(asset_text(body, "justification"));
	n = json_util_chars(text);
	if (n < JUSTIFICATION_MIN || n > JUSTIFICATION_MAX) {
		json_decref(text);
		(void)asset_fail(p, 400, "justification",
		    "must have 10 to 2000 characters");
		return NULL;
	}
	if ((old = open_acceptance(cm, &checks[i])) != NULL)
		revoke(old, actor);
	v = json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:O, s:O, s:o, s:n, s:n}",
	    "id", ids_uuid(), "framework", checks[i].framework, "checkId",
	    checks[i].id, "checkName", checks[i].name, "statusAtAcceptance",
	    cm->status[i], "justification", text, "reviewDate",
	    review == NULL ? json_null() : review, "acceptedBy", actor,
	    "acceptedAt", timefmt_stamp(NULL), "revokedBy", "revokedAt");
	json_array_append_new(cm->acceptances, v);
	return v;
}

static void
acceptance_create(struct call *c)
{
	size_t i = path_check(c);
	struct asset_problem p = {0};
	json_t *actor, *v;

	if (i == N_CHECKS || !call_body(c, false))
		return;
	if (review_is_due(c->json)) {
		call_bad_field(c, "reviewDate", "must be in the future");
		return;
	}
	actor = call_actor(c);
	v = accept_risk(c->tenant->compliance, i, c->json, actor, &p);
	json_decref(actor);
	if (v == NULL) {
		asset_answer_problem(c, &p);
		return;
	}
	audit_resource(c, "RiskAcceptance", json_object_get(v, "id"),
	    json_object_get(v, "checkName"));
	call_json(c, 201, show(v));
}

static void
acceptance_revoke(struct call *c)
{
	size_t i = path_check(c);
	json_t *actor, *v;

	if (i == N_CHECKS)
		return;
	v = open_acceptance(c->tenant->compliance, &checks[i]);
	if (v == NULL) {
		call_not_found(c, "open risk acceptance");
		return;
	}
	actor = call_actor(c);
	revoke(v, actor);
	json_decref(actor);
	audit_resource(c, "RiskAcceptance", json_object_get(v, "id"),
	    json_object_get(v, "checkName"));
	call_json(c, 200, show(v));
}

static void
acceptance_list(struct call *c)
{
	const json_t *all = c->tenant->compliance->acceptances;
	json_t *items = json_array();

	for (size_t i = json_array_size(all); i > 0; i--)
		json_array_append_new(items, show(json_array_get(all, i - 1)));
	call_json(c, 200,
	    json_pack("{s:o, s:I}", "items", items, "totalCount",
		(json_int_t)json_array_size(all)));
}

/* --- seeds --- */

/* The check that an object of a seed names; N_CHECKS: *p is set. */
static size_t
seed_check(const json_t *obj, struct asset_problem *p)
{
	const char *framework = framework_of(asset_text(obj, "framework"));
	size_t i;

	if (framework == NULL) {
		(void)asset_fail(p, 400, "framework",
		    "must be gdpr, nis2, dora or eidas2");
		return N_CHECKS;
	}
	i = check_of(framework, asset_text(obj, "checkId"));
	if (i == N_CHECKS)
		(void)asset_fail(p, 404, "checkId", NULL);
	return i;
}

bool
compliance_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	static const char *const all[] = {
	    "Pass", "Warning", "Fail", "NotApplicable"};
	const char *status = asset_text(obj, "status");
	struct asset_problem p = {0};
	size_t i = seed_check(obj, &p);

	if (i == N_CHECKS)
		return asset_seed_problem(&p, ret_problem);
	for (size_t k = 0; status != NULL && k < 4; k++) {
		if (strcmp(all[k], status) == 0) {
			t->compliance->status[i] = all[k];
			return true;
		}
	}
	(void)asset_fail(&p, 400, "status",
	    "must be Pass, Warning, Fail or NotApplicable");
	return asset_seed_problem(&p, ret_problem);
}

bool
compliance_seed_acceptance(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	struct asset_problem p = {0};
	size_t i = seed_check(obj, &p);
	json_t *actor, *v = NULL;

	if (i != N_CHECKS) {
		actor = json_string("sandbox");
		v = accept_risk(t->compliance, i, obj, actor, &p);
		json_decref(actor);
	}
	if (v == NULL)
		return asset_seed_problem(&p, ret_problem);
	/* What else it gives is set as it is: who, when, revoked or not. */
	json_object_update_existing(v, obj);
	json_object_set_new(v, "framework", json_string(checks[i].framework));
	json_object_set_new(v, "checkId", json_string(checks[i].id));
	return true;
}

const struct route compliance_routes[] = {
    {"GET", "/compliance", "compliance:read", overview},
    {"GET", "/compliance/risk-acceptances", "compliance:read",
	acceptance_list},
    {"GET", "/compliance/{framework}", "compliance:read", report},
    {"POST", "/compliance/{framework}/checks/{checkId}/risk-acceptance",
	"compliance:write", acceptance_create},
    {"DELETE", "/compliance/{framework}/checks/{checkId}/risk-acceptance",
	"compliance:write", acceptance_revoke},
    {NULL, NULL, NULL, NULL},
};
