#include "application.h"

#include "apply.h"
#include "asset.h"
#include "json_util.h"
#include "tenant.h"
#include "thing.h"

#include <stdio.h>
#include <string.h>

static const char *const field_names[APPLICATION_FIELDS] = {
    [APPLICATION_ID] = "id",
    [APPLICATION_DISPLAY_NAME] = "displayName",
    [APPLICATION_CLIENT_ID] = "clientId",
    [APPLICATION_TYPE] = "applicationType",
    [APPLICATION_ENVIRONMENT] = "environment",
    [APPLICATION_IS_ACTIVE] = "isActive",
    [APPLICATION_IS_CONFIDENTIAL] = "isConfidential",
    [APPLICATION_CREATED_AT] = "createdAt",
    [APPLICATION_DESCRIPTION] = "description",
    [APPLICATION_REDIRECT_URIS] = "redirectUris",
    [APPLICATION_POST_LOGOUT_REDIRECT_URIS] = "postLogoutRedirectUris",
    [APPLICATION_ALLOWED_SCOPES] = "allowedScopes",
    [APPLICATION_RESOURCES] = "resources",
    [APPLICATION_CUSTOM_DOMAIN] = "customDomain",
    [APPLICATION_CUSTOM_DOMAIN_VERIFIED] = "customDomainVerified",
    [APPLICATION_UPDATED_AT] = "updatedAt",
};

const struct store_kind application_kind = {
    .fields = field_names,
    .n_fields = APPLICATION_FIELDS,
    .created_at = APPLICATION_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

#define BOTH (RULE_CREATE | RULE_PATCH)

const struct rule application_rules[] = {
    /* A creation says name, all else displayName. */
    {"name", APPLICATION_DISPLAY_NAME, RULE_NAME, 200,
	RULE_CREATE | RULE_REQUIRED},
    {"displayName", APPLICATION_DISPLAY_NAME, RULE_NAME, 200,
	RULE_PATCH | RULE_REQUIRED},
    {"applicationType", APPLICATION_TYPE, RULE_NAME, 0,
	RULE_CREATE | RULE_REQUIRED},
    {"environment", APPLICATION_ENVIRONMENT, RULE_NAME, 0, RULE_CREATE},
    {"environment", APPLICATION_ENVIRONMENT, RULE_NAME, 0,
	RULE_PATCH | RULE_REQUIRED},
    {"redirectUris", APPLICATION_REDIRECT_URIS, RULE_STRINGS, 0, RULE_CREATE},
    {"redirectUris", APPLICATION_REDIRECT_URIS, RULE_STRINGS, 0,
	RULE_PATCH | RULE_REQUIRED},
    {"description", APPLICATION_DESCRIPTION, RULE_TEXT, 1000, BOTH},
    {"postLogoutRedirectUris", APPLICATION_POST_LOGOUT_REDIRECT_URIS,
	RULE_STRINGS, 0, BOTH},
    {"allowedScopes", APPLICATION_ALLOWED_SCOPES, RULE_STRINGS, 0, BOTH},
    {"resources", APPLICATION_RESOURCES, RULE_STRINGS, 0, BOTH},
    /* Only seeds set the rest. */
    {"id", APPLICATION_ID, RULE_NAME, 0, 0},
    {"clientId", APPLICATION_CLIENT_ID, RULE_NAME, 0, RULE_REQUIRED},
    {"isActive", APPLICATION_IS_ACTIVE, RULE_BOOL, 0, RULE_REQUIRED},
    {"isConfidential", APPLICATION_IS_CONFIDENTIAL, RULE_BOOL, 0, 0},
    {"createdAt", APPLICATION_CREATED_AT, RULE_TIME, 0, RULE_REQUIRED},
    {"updatedAt", APPLICATION_UPDATED_AT, RULE_TIME, 0, 0},
    {"customDomain", APPLICATION_CUSTOM_DOMAIN, RULE_TEXT, 0, 0},
    {"customDomainVerified", APPLICATION_CUSTOM_DOMAIN_VERIFIED, RULE_BOOL, 0,
	0},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const char *const types[] = {
    "SPA", "WebApp", "NativeApp", "MachineToMachine", "Agent", NULL};
static const char *const environments[] = {
    "Development", "Staging", "Production", NULL};

static bool
is_one_of(const json_t *v, const char *const *names)
{
	const char *s = json_string_value(v);

	for (; *names != NULL; names++) {
		if (s != NULL && strcmp(s, *names) == 0)
			return true;
	}
	return v == NULL || json_is_null(v);
}

const char *
application_problem(const json_t *body, const char **ret_field)
{
	*ret_field = "applicationType";
	if (!is_one_of(json_util_get(body, *ret_field), types))
		return "must be SPA, WebApp, NativeApp, MachineToMachine or "
		       "Agent";
	*ret_field = "environment";
	if (!is_one_of(json_util_get(body, *ret_field), environments))
		return "must be Development, Staging or Production";
	return NULL;
}

static void
set_default(struct item *it, enum application_field field, json_t *v)
{
	if (it->field[field] == NULL)
		it->field[field] = v;
	else
		json_decref(v);
}

/* What no request gives, and a seed need not. */
static void
complete(struct item *it)
{
	set_default(it, APPLICATION_CLIENT_ID, thing_random("app_", 24));
	set_default(it, APPLICATION_TYPE, json_string("WebApp"));
	set_default(it, APPLICATION_ENVIRONMENT, json_string("Development"));
	set_default(it, APPLICATION_IS_ACTIVE, json_true());
}

struct item *
application_new(json_t *name)
{
	struct item *it = thing_new(&application_kind, NULL, name);

	complete(it);
	return it;
}

bool
application_is_confidential(const struct item *it)
{
	const json_t *said = it->field[APPLICATION_IS_CONFIDENTIAL];
	const char *type = item_text(it, APPLICATION_TYPE);

	if (said != NULL)
		return json_is_true(said);
	return strcmp(type, "SPA") != 0 && strcmp(type, "NativeApp") != 0;
}

json_t *
application_object(const struct item *it)
{
	static const char *const lists[] = {"redirectUris",
	    "postLogoutRedirectUris", "allowedScopes", "resources", NULL};
	static const char *const truths[] = {"customDomainVerified", NULL};
	json_t *v = store_object(
	    &application_kind, it, STORE_BIT(APPLICATION_FIELDS) - 1, true);

	json_object_set_new(v, "isConfidential",
	    json_boolean(application_is_confidential(it)));
	/* Any of them null, and the official SDK rejects the whole answer. */
	thing_never_null(v, lists, truths);
	return v;
}

bool
application_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	static const char *const skip[] = {"id", "name", NULL};
	const char *field, *problem = application_problem(obj, &field);
	json_t *name = json_util_get(obj, "name");
	struct item *it;

	if (problem != NULL) {
		(void)snprintf(ret_problem->field, sizeof(ret_problem->field),
		    "%s", field);
		ret_problem->text = problem;
		return false;
	}
	it = thing_seed(t->applications, &application_kind, application_rules,
	    obj, skip, ret_problem);
	if (it == NULL)
		return false;
	/* As a creation has it; the spelling of answers wins. */
	if (json_util_get(obj, "displayName") == NULL && json_is_string(name)) {
		json_decref(it->field[STORE_NAME]);
		it->field[STORE_NAME] = json_incref(name);
	}
	complete(it);
	store_add(t->applications, it);
	return true;
}
