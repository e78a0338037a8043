/*
 * Requests on /roles.
 */
#include "application.h"
#include "call.h"
#include "enduser.h"
#include "json_util.h"
#include "role.h"
#include "tenant.h"
#include "thing.h"

static void
audited(struct call *c, const struct item *it)
{
	audit_resource(
	    c, "Role", it->field[ROLE_ID], it->field[ROLE_NAME]);
}

/* The role that the path names; NULL: answered. */
static struct item *
find(struct call *c)
{
	struct item *it = store_find(c->tenant->roles, c->match.param[0]);

	if (it == NULL)
		call_not_found(c, "role");
	else
		audited(c, it);
	return it;
}

/* Permissions are a JSON array, but in a string. */
static bool
are_permissions(const json_t *v)
{
	json_error_t err;
	json_t *list;
	bool ok;

	if (v == NULL || json_is_null(v))
		return true;
	list = json_util_parse(
	    json_string_value(v), json_string_length(v), &err);
	ok = json_is_array(list);
	json_decref(list);
	return ok;
}

/* false: answered. */
static bool
check(struct call *c, unsigned int flag, bool patch)
{
	if (!call_body(c, false) || !thing_check(c, role_rules, flag, patch))
		return false;
	if (are_permissions(json_util_get(c->json, "permissions")))
		return true;
	call_bad_field(
	    c, "permissions", "must be a JSON array in a string");
	return false;
}

static void
roles_list(struct call *c)
{
	const struct store *st = c->tenant->roles;
	const char *app = query_get(&c->query, "applicationId");
	json_t *list = json_array();

	for (size_t i = 0; i < store_count(st); i++) {
		const struct item *it = store_at(st, i);

		if (app == NULL || role_fits(it, app))
			json_array_append_new(
			    list, role_object(c->tenant, it));
	}
	call_json(c, 200, list);
}

static void
roles_create(struct call *c)
{
	struct store *st = c->tenant->roles;
	const char *app;
	struct item *it;

	if (!check(c, RULE_CREATE, false))
		return;
	app = json_string_value(json_util_get(c->json, "applicationId"));
	if (app != NULL && store_find(c->tenant->applications, app) == NULL) {
		call_not_found(c, "application");
		return;
	}
	it = thing_new(&role_kind, NULL, json_object_get(c->json, "name"));
	store_add(st, it);
	thing_set(st, it, role_rules, RULE_CREATE, c->json);
	audited(c, it);
	call_json(c, 201, role_object(c->tenant, it));
}

static void
roles_get(struct call *c)
{
	const struct item *it = find(c);

	if (it != NULL)
		call_json(c, 200, role_object(c->tenant, it));
}

static void
roles_patch(struct call *c)
{
	struct item *it = find(c);

	if (it == NULL || !check(c, RULE_PATCH, true))
		return;
	thing_set(c->tenant->roles, it, role_rules, RULE_PATCH, c->json);
	thing_touch(c->tenant->roles, it, ROLE_UPDATED_AT);
	call_json(c, 200, role_object(c->tenant, it));
}

static void
roles_delete(struct call *c)
{
	struct item *it = find(c);

	if (it == NULL)
		return;
	if (enduser_count_role(c->tenant->endusers, item_text(it, ROLE_ID)) !=
	    0) {
		call_error(c, 409, NULL,
		    "The role is assigned to end-users; remove it there "
		    "first.",
		    NULL);
		return;
	}
	store_remove(c->tenant->roles, it);
	call_empty(c, 204);
}

const struct route roles_routes[] = {
    {"GET", "/roles", "roles:read", roles_list},
    {"POST", "/roles", "roles:write", roles_create},
    {"GET", "/roles/{roleId}", "roles:read", roles_get},
    {"PATCH", "/roles/{roleId}", "roles:write", roles_patch},
    {"DELETE", "/roles/{roleId}", "roles:write", roles_delete},
    {NULL, NULL, NULL, NULL},
};
