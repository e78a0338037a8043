/*
 * Requests on /applications. No sign-in is done here, so nothing checks a
 * client secret: it is made, shown once, and not kept.
 */
#include "application.h"
#include "call.h"
#include "enduser.h"
#include "role.h"
#include "tenant.h"
#include "thing.h"

static void
audited(struct call *c, const struct item *it)
{
	audit_resource(c, "Application", it->field[APPLICATION_ID],
	    it->field[APPLICATION_DISPLAY_NAME]);
}

/* The application that the path names; NULL: answered. */
static struct item *
find(struct call *c)
{
	struct item *it =
	    store_find(c->tenant->applications, c->match.param[0]);

	if (it == NULL)
		call_not_found(c, "application");
	else
		audited(c, it);
	return it;
}

/* false: answered. */
static bool
check(struct call *c, unsigned int flag)
{
	const char *field, *problem;

	if (!call_body(c, false) ||
	    !thing_check(c, application_rules, flag, false))
		return false;
	problem = application_problem(c->json, &field);
	if (problem != NULL)
		call_bad_field(c, field, problem);
	return problem == NULL;
}

static json_t *
new_secret(void)
{
	return thing_random("qis_", 48);
}

static void
applications_list(struct call *c)
{
	const struct store *st = c->tenant->applications;
	json_t *list = json_array();

	for (size_t i = 0; i < store_count(st); i++)
		json_array_append_new(
		    list, application_object(store_at(st, i)));
	call_json(c, 200, list);
}

static void
applications_create(struct call *c)
{
	struct store *st = c->tenant->applications;
	struct item *it;
	json_t *v;

	if (!check(c, RULE_CREATE))
		return;
	it = application_new(json_object_get(c->json, "name"));
	store_add(st, it);
	thing_set(st, it, application_rules, RULE_CREATE, c->json);
	if (it->field[APPLICATION_ENVIRONMENT] == NULL)
		store_set_new(st, it, APPLICATION_ENVIRONMENT,
		    json_string("Development"));
	audited(c, it);
	v = json_pack("{s:o}", "application", application_object(it));
	if (application_is_confidential(it))
		json_object_set_new(v, "clientSecret", new_secret());
	call_json(c, 201, v);
}

static void
applications_get(struct call *c)
{
	const struct item *it = find(c);

	if (it != NULL)
		call_json(c, 200, application_object(it));
}

/* It replaces: what is not given is cleared, resources aside. */
static void
applications_put(struct call *c)
{
	static const enum application_field cleared[] = {
	    APPLICATION_DESCRIPTION, APPLICATION_POST_LOGOUT_REDIRECT_URIS,
	    APPLICATION_ALLOWED_SCOPES};
	struct store *st = c->tenant->applications;
	struct item *it = find(c);

	if (it == NULL || !check(c, RULE_PATCH))
		return;
	for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); i++)
		store_set(st, it, cleared[i], NULL);
	if (json_is_null(json_object_get(c->json, "resources")))
		(void)json_object_del(c->json, "resources");
	thing_set(st, it, application_rules, RULE_PATCH, c->json);
	thing_touch(st, it, APPLICATION_UPDATED_AT);
	call_json(c, 200, application_object(it));
}

/* Its users and roles go with it. */
static void
applications_delete(struct call *c)
{
	struct item *it = find(c);

	if (it == NULL)
		return;
	enduser_drop_application(c->tenant->endusers, c->match.param[0]);
	role_drop_application(c->tenant->roles, c->match.param[0]);
	store_remove(c->tenant->applications, it);
	call_empty(c, 204);
}

static void
applications_rotate_secret(struct call *c)
{
	struct item *it = find(c);

	if (it == NULL)
		return;
	if (!application_is_confidential(it)) {
		call_error(c, 409, NULL,
		    "An application of this type has no client secret.", NULL);
		return;
	}
	thing_touch(c->tenant->applications, it, APPLICATION_UPDATED_AT);
	call_json(c, 200,
	    json_pack("{s:O, s:o}", "clientId",
		it->field[APPLICATION_CLIENT_ID], "clientSecret",
		new_secret()));
}

const struct route applications_routes[] = {
    {"GET", "/applications", "applications:read", applications_list},
    {"POST", "/applications", "applications:write", applications_create},
    {"GET", "/applications/{appId}", "applications:read", applications_get},
    {"PUT", "/applications/{appId}", "applications:write", applications_put},
    {"DELETE", "/applications/{appId}", "applications:write",
	applications_delete},
    {"POST", "/applications/{appId}/rotate-secret", "applications:write",
	applications_rotate_secret},
    {NULL, NULL, NULL, NULL},
};
