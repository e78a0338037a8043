#include "seed.h"

#include "api_keys.h"
#include "application.h"
#include "apply.h"
#include "audit.h"
#include "compliance.h"
#include "enduser.h"
#include "groups.h"
#include "json_util.h"
#include "key.h"
#include "logstreams.h"
#include "mem.h"
#include "pki.h"
#include "role.h"
#include "secret.h"
#include "ssh.h"
#include "store.h"
#include "suggest.h"
#include "tenant.h"
#include "timefmt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool seed_one_fn(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

static bool
fail(struct apply_problem *p, const char *field, const char *text)
{
	(void)snprintf(p->field, sizeof(p->field), "%s", field);
	p->text = text;
	return false;
}

static bool
seed_secret(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	return apply_seed_secret(t->secrets, obj, ret_problem);
}

static bool
seed_key(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	return key_seed(t->keys, obj, ret_problem);
}

static bool
seed_audit(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	return audit_seed(t->audit, obj, ret_problem);
}

static bool
is_strings(const json_t *v)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (!json_is_string(json_array_get(v, i)))
			return false;
	}
	return json_is_array(v);
}

static bool
seed_api_key(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	json_t *key = json_object_get(obj, "key");
	json_t *scopes = json_object_get(obj, "scopes");
	json_t *expires = json_util_get(obj, "expiresAt");
	int64_t expires_us = 0;

	if (json_string_length(key) == 0)
		return fail(ret_problem, "key", "must be a string");
	if (!is_strings(scopes))
		return fail(
		    ret_problem, "scopes", "must be an array of strings");
	if (expires != NULL && !json_is_null(expires) &&
	    (!json_is_string(expires) ||
		!timefmt_parse(json_string_value(expires), &expires_us)))
		return fail(
		    ret_problem, "expiresAt", "must be an RFC 3339 timestamp");
	api_keys_set(t->api_keys, json_string_value(key),
	    json_string_value(json_object_get(obj, "name")), scopes,
	    expires_us);
	api_keys_set_tenant(t->api_keys, json_string_value(key),
	    json_string_value(json_object_get(obj, "tenant")));
	return true;
}

/* one NULL: accepted, and kept for the endpoints that will use it. */
static const struct {
	const char *name;
	seed_one_fn *one;
} members[] = {
    {"secrets", seed_secret},
    {"keys", seed_key},
    {"apiKeys", seed_api_key},
    {"applications", application_seed},
    {"endUsers", enduser_seed},
    {"roles", role_seed},
    {"invitations", NULL},
    {"sshCas", ssh_seed_ca},
    {"sshCertificates", ssh_seed_certificate},
    {"cas", pki_seed_ca},
    {"certificates", pki_seed_certificate},
    {"shares", NULL},
    {"resourceGroups", groups_seed},
    {"logStreams", logstreams_seed},
    {"riskAcceptances", compliance_seed_acceptance},
    {"compliance", compliance_seed},
    {"audit", seed_audit},
    {"auditLogs", seed_audit},
    {"qrng", NULL},
    {"subscription", NULL},
    {"usage", NULL},
    {"settings", NULL},
    {"rateLimit", NULL},
};

#define N_MEMBERS (sizeof(members) / sizeof(*members))

static bool
seed_list(struct tenant *t, const char *path, const char *name, json_t *list,
    seed_one_fn *one)
{
	struct apply_problem p = {"", NULL};

	if (!json_is_array(list)) {
		fprintf(stderr, "qapi-sandbox: %s: %s: must be an array\n",
		    path, name);
		return false;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *obj = json_array_get(list, i);

		if (json_is_object(obj) && one(t, obj, &p))
			continue;
		if (!json_is_object(obj))
			p.text = "must be an object";
		fprintf(stderr, "qapi-sandbox: %s: %s[%zu]%s%s: %s\n", path,
		    name, i, *p.field == '\0' ? "" : ".", p.field, p.text);
		return false;
	}
	return true;
}

static bool seed_tenants(struct tenant *t, const char *path, json_t *v);

static bool
seed_member(struct tenant *t, const char *path, const char *name, json_t *v)
{
	const char *near;

	if (t->name == NULL && strcmp(name, "tenants") == 0)
		return seed_tenants(t, path, v);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		if (strcmp(name, members[i].name) != 0)
			continue;
		if (members[i].one != NULL)
			return seed_list(t, path, name, v, members[i].one);
		json_object_set(t->seed, name, v);
		return true;
	}
	near = suggest_name(name, members, N_MEMBERS, sizeof(*members));
	if (near != NULL)
		fprintf(stderr,
		    "qapi-sandbox: %s: warning: \"%s\" is not used; did you "
		    "mean \"%s\"?\n",
		    path, name, near);
	json_object_set(t->seed, name, v);
	return true;
}

/* {"NAME": a seed of its own, without API keys} */
static bool
seed_tenants(struct tenant *t, const char *path, json_t *v)
{
	const char *tenant, *name;
	json_t *seed, *list;

	if (!json_is_object(v)) {
		fprintf(stderr, "qapi-sandbox: %s: tenants: must be an object\n",
		    path);
		return false;
	}
	json_object_foreach (v, tenant, seed) {
		json_object_foreach (seed, name, list) {
			if (!seed_member(
				tenant_named(t, tenant), path, name, list))
				return false;
		}
	}
	return true;
}

static json_t *
read_file(const char *path)
{
	json_error_t err;
	json_t *v;
	FILE *f = fopen(path, "re");

	if (f == NULL) {
		fprintf(
		    stderr, "qapi-sandbox: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	v = json_loadf(f, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &err);
	(void)fclose(f);
	if (v == NULL)
		fprintf(stderr, "qapi-sandbox: %s:%d:%d: %s\n", path, err.line,
		    err.column, err.text);
	return v;
}

bool
seed_load(struct tenant *t, const char *path)
{
	json_t *seed = read_file(path), *v;
	const char *name;
	bool ok = json_is_object(seed);

	if (seed != NULL && !ok)
		fprintf(stderr, "qapi-sandbox: %s: must be an object\n", path);
	store_bulk(t->secrets, true);
	store_bulk(t->keys, true);
	json_object_foreach (seed, name, v) {
		if (!(ok = seed_member(t, path, name, v)))
			break;
	}
	store_bulk(t->secrets, false);
	store_bulk(t->keys, false);
	json_decref(seed);
	return ok;
}
