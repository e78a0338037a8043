/*
 * Requests on end-users, in both families of paths, and the controls that
 * make the service's own steps fail.
 */
#include "application.h"
#include "apply.h"
#include "call.h"
#include "enduser.h"
#include "json_util.h"
#include "role.h"
#include "tenant.h"
#include "thing.h"

#include <string.h>

#define ENDUSERS_PAGE_DEFAULT 20
#define ENDUSERS_PAGE_MAX 100

/* Is the application that the path names there? false: answered. */
static bool
has_application(struct call *c)
{
	if (store_find(c->tenant->applications, c->match.param[0]) != NULL)
		return true;
	call_not_found(c, "application");
	return false;
}

static void
audited(struct call *c, const struct item *it)
{
	audit_resource(
	    c, "EndUser", it->field[ENDUSER_ID], it->field[ENDUSER_EMAIL]);
}

/* …/applications/{appId}/end-users/{userId}; NULL: answered. */
static struct item *
find_in_application(struct call *c)
{
	const char *app;
	struct item *it;

	if (!has_application(c))
		return NULL;
	it = store_find(c->tenant->endusers->identity, c->match.param[1]);
	app = it == NULL ? NULL : item_text(it, ENDUSER_APPLICATION_ID);
	if (app != NULL && strcmp(app, c->match.param[0]) == 0) {
		audited(c, it);
		return it;
	}
	call_not_found(c, "end-user");
	return NULL;
}

/* …/endusers/{id}; NULL: answered. */
static struct item *
find(struct call *c)
{
	struct item *it =
	    store_find(c->tenant->endusers->identity, c->match.param[0]);

	if (it == NULL)
		call_not_found(c, "end-user");
	else
		audited(c, it);
	return it;
}

/* What a list is narrowed by; NULL and -1: not. */
struct filter {
	const char *application;
	const char *search;
	const char *role;
	int blocked;
	int email_verified;
};

static bool
holds(const struct item *it, enum enduser_field field, const char *part)
{
	const char *s = item_text(it, field);

	return s != NULL && strcasestr(s, part) != NULL;
}

static bool
fits(
    const struct endusers *u, const struct filter *f, const struct item *it)
{
	const char *app = item_text(it, ENDUSER_APPLICATION_ID);

	if (f->application != NULL &&
	    (app == NULL || strcmp(app, f->application) != 0))
		return false;
	if (f->blocked >= 0 &&
	    f->blocked != json_is_true(it->field[ENDUSER_IS_BLOCKED]))
		return false;
	if (f->email_verified >= 0 &&
	    f->email_verified !=
		json_is_true(it->field[ENDUSER_EMAIL_VERIFIED]))
		return false;
	if (f->role != NULL &&
	    enduser_assignment(u, item_text(it, ENDUSER_ID), f->role) == NULL)
		return false;
	return f->search == NULL || holds(it, ENDUSER_EMAIL, f->search) ||
	       holds(it, ENDUSER_DISPLAY_NAME, f->search) ||
	       holds(it, ENDUSER_FIRST_NAME, f->search) ||
	       holds(it, ENDUSER_LAST_NAME, f->search);
}

/* A truth of the query, or -1. false: answered. */
static bool
query_truth(struct call *c, const char *name, int *ret_v)
{
	bool v = false;

	*ret_v = -1;
	if (!call_query_bool(c, name, &v))
		return false;
	if (query_get(&c->query, name) != NULL)
		*ret_v = v;
	return true;
}

static void
answer_list(struct call *c, const char *application)
{
	const struct endusers *u = c->tenant->endusers;
	struct filter f = {
	    .application = application,
	    .search = query_get(&c->query, "search"),
	    .role = query_get(&c->query, "roleId"),
	};
	int64_t page = 1, size = ENDUSERS_PAGE_DEFAULT, n = 0;
	json_t *list;

	if (!call_query_int(c, "page", 1, INT32_MAX, &page) ||
	    !call_query_int(c, "pageSize", 1, INT32_MAX, &size) ||
	    !query_truth(c, "blocked", &f.blocked) ||
	    !query_truth(c, "emailVerified", &f.email_verified))
		return;
	if (size > ENDUSERS_PAGE_MAX)
		size = ENDUSERS_PAGE_MAX;
	list = json_array();
	for (size_t i = 0; i < store_count(u->identity); i++) {
		const struct item *it = store_at(u->identity, i);

		if (!fits(u, &f, it))
			continue;
		if (n / size == page - 1)
			json_array_append_new(
			    list, enduser_object(c->tenant, it));
		n++;
	}
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I}", "items", list, "totalCount",
		(json_int_t)n, "page", (json_int_t)page, "pageSize",
		(json_int_t)size));
}

static void
list_in_application(struct call *c)
{
	if (has_application(c))
		answer_list(c, c->match.param[0]);
}

static void
list_all(struct call *c)
{
	answer_list(c, query_get(&c->query, "applicationId"));
}

/* The role, if it may be given to users of that application; else answered. */
static const struct item *
usable_role(struct call *c, const char *role_id, const char *application)
{
	const struct item *role =
	    role_id == NULL ? NULL : store_find(c->tenant->roles, role_id);

	if (role == NULL) {
		call_not_found(c, "role");
		return NULL;
	}
	if (role_fits(role, application))
		return role;
	call_error(c, 409, NULL, "The role is one of another application.",
	    NULL);
	return NULL;
}

/* The members of a creation that are no fields. false: answered. */
static bool
check_extras(struct call *c, const char *application)
{
	json_t *password = json_util_get(c->json, "password");
	json_t *ids = json_util_get(c->json, "roleIds");

	if (password != NULL && !json_is_null(password) &&
	    !json_is_string(password)) {
		call_bad_field(c, "password", "must be a string");
		return false;
	}
	if (ids != NULL && !json_is_null(ids) && !json_is_array(ids)) {
		call_bad_field(c, "roleIds", "must be an array of strings");
		return false;
	}
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const json_t *id = json_array_get(ids, i);

		if (!json_is_string(id)) {
			call_bad_field(
			    c, "roleIds", "must be an array of strings");
			return false;
		}
		if (usable_role(c, json_string_value(id), application) == NULL)
			return false;
	}
	return true;
}

/* Check the body by the rules. false: answered. */
static bool
check(struct call *c, unsigned int flag, bool patch)
{
	const char *field, *problem;

	if (!call_body(c, false) ||
	    !thing_check(c, enduser_rules, flag, patch))
		return false;
	problem = enduser_problem(c->json, &field);
	if (problem != NULL)
		call_bad_field(c, field, problem);
	return problem == NULL;
}

/* Those that are asked for, and those that every new user gets. */
static void
assign_first(struct call *c, const char *id, const char *application)
{
	const struct store *roles = c->tenant->roles;
	const json_t *ids = json_util_get(c->json, "roleIds");

	for (size_t i = 0; i < json_array_size(ids); i++)
		(void)enduser_assign(c->tenant->endusers, id,
		    json_string_value(json_array_get(ids, i)));
	for (size_t i = 0; i < store_count(roles); i++) {
		const struct item *role = store_at(roles, i);

		if (json_is_true(role->field[ROLE_IS_DEFAULT]) &&
		    role_fits(role, application))
			(void)enduser_assign(c->tenant->endusers, id,
			    item_text(role, ROLE_ID));
	}
}

/* The body is checked. application: a string that names one, or NULL. */
static void
create(struct call *c, json_t *application)
{
	struct endusers *u = c->tenant->endusers;
	const char *app = json_string_value(application);
	json_t *email = json_util_get(c->json, "email");
	struct item *it;

	if (!check_extras(c, app))
		return;
	if (enduser_find_email(u, json_string_value(email), app) != NULL) {
		call_error(c, 409, NULL,
		    "The application has a user of this e-mail.", NULL);
		return;
	}
	it = enduser_add(u, email, application);
	thing_set(u->identity, it, enduser_rules, RULE_CREATE, c->json);
	audited(c, it);
	assign_first(c, item_text(it, ENDUSER_ID), app);
	call_json(c, 201, enduser_object(c->tenant, it));
}

static void
create_in_application(struct call *c)
{
	json_t *application;

	if (!has_application(c) || !check(c, RULE_CREATE, false))
		return;
	application = json_string(c->match.param[0]);
	create(c, application);
	json_decref(application);
}

static void
create_anywhere(struct call *c)
{
	json_t *application;

	if (!check(c, RULE_CREATE, false))
		return;
	application = json_util_get(c->json, "applicationId");
	if (json_is_null(application))
		application = NULL;
	if (application != NULL && !json_is_string(application))
		call_bad_field(c, "applicationId", "must be a string");
	else if (application != NULL &&
		 store_find(c->tenant->applications,
		     json_string_value(application)) == NULL)
		call_not_found(c, "application");
	else
		create(c, application);
}

static void
get(struct call *c)
{
	const struct item *it = find_in_application(c);

	if (it != NULL)
		call_json(c, 200, enduser_object(c->tenant, it));
}

static void
put(struct call *c)
{
	struct item *it = find_in_application(c);
	struct store *st = c->tenant->endusers->identity;

	if (it == NULL || !check(c, RULE_PATCH, true))
		return;
	thing_set(st, it, enduser_rules, RULE_PATCH, c->json);
	thing_touch(st, it, ENDUSER_UPDATED_AT);
	call_json(c, 200, enduser_object(c->tenant, it));
}

static bool
read_reason(struct call *c, json_t **ret_reason)
{
	json_t *reason;

	if (!call_body(c, true))
		return false;
	reason = json_util_get(c->json, "reason");
	if (json_is_null(reason))
		reason = NULL;
	if (reason != NULL && (!json_is_string(reason) ||
				  json_util_chars(reason) > 1000)) {
		call_bad_field(
		    c, "reason", "must be a string of at most 1000");
		return false;
	}
	*ret_reason = reason;
	return true;
}

/* body: the user is shown; else there is none. it NULL: answered. */
static void
set_blocked(struct call *c, struct item *it, bool blocked, bool body)
{
	json_t *reason = NULL;

	if (it == NULL || (blocked && !read_reason(c, &reason)))
		return;
	if (!enduser_set_blocked(c->tenant->endusers, it, blocked, reason))
		call_error(c, 500, NULL,
		    "The change could not be saved, and has been reverted.",
		    NULL);
	else if (body)
		call_json(c, 200, enduser_object(c->tenant, it));
	else
		call_empty(c, 204);
}

static void
block_in_application(struct call *c)
{
	set_blocked(c, find_in_application(c), true, false);
}

static void
unblock_in_application(struct call *c)
{
	set_blocked(c, find_in_application(c), false, false);
}

static void
block(struct call *c)
{
	set_blocked(c, find(c), true, true);
}

static void
unblock(struct call *c)
{
	set_blocked(c, find(c), false, true);
}

static void
unlock(struct call *c)
{
	struct item *it = find_in_application(c);
	struct store *st = c->tenant->endusers->identity;

	if (it == NULL)
		return;
	if (json_is_true(it->field[ENDUSER_IS_LOCKED_OUT])) {
		store_set(st, it, ENDUSER_IS_LOCKED_OUT, json_false());
		thing_touch(st, it, ENDUSER_UPDATED_AT);
	}
	call_empty(c, 204);
}

static void
temporary_password(struct call *c)
{
	struct item *it = find_in_application(c);

	if (it == NULL)
		return;
	thing_touch(c->tenant->endusers->identity, it, ENDUSER_UPDATED_AT);
	call_json(c, 200,
	    json_pack("{s:o, s:O}", "temporaryPassword", thing_random("", 16),
		"email", it->field[ENDUSER_EMAIL]));
}

static void
delete_user(struct call *c, const char *id, const char *application)
{
	const struct item *it = store_find(c->tenant->endusers->identity, id);

	if (it != NULL)
		audited(c, it);
	switch (enduser_delete(c->tenant->endusers, id, application)) {
	case ENDUSER_DELETED:
		call_empty(c, 204);
		break;
	case ENDUSER_HALF_DELETED:
		call_error(c, 500, NULL,
		    "The user is gone from Identity, but not all that hangs "
		    "by it is; repeat the request.",
		    NULL);
		break;
	case ENDUSER_UNKNOWN:
		call_not_found(c, "end-user");
		break;
	}
}

static void
delete_in_application(struct call *c)
{
	if (has_application(c))
		delete_user(c, c->match.param[1], c->match.param[0]);
}

static void
delete_permanent(struct call *c)
{
	delete_user(c, c->match.param[0], NULL);
}

static void
roles_list(struct call *c)
{
	const struct item *it = find_in_application(c);
	json_t *user;

	if (it == NULL)
		return;
	user = enduser_object(c->tenant, it);
	call_json(c, 200, json_incref(json_object_get(user, "roles")));
	json_decref(user);
}

static void
roles_assign(struct call *c)
{
	const struct item *it = find_in_application(c), *role;
	struct endusers *u = c->tenant->endusers;
	const json_t *role_id;
	const char *id;

	if (it == NULL || !call_body(c, false))
		return;
	role_id = json_util_get(c->json, "roleId");
	if (!json_is_string(role_id)) {
		call_bad_field(c, "roleId", "is required");
		return;
	}
	role = usable_role(
	    c, json_string_value(role_id), c->match.param[0]);
	if (role == NULL)
		return;
	id = item_text(it, ENDUSER_ID);
	if (enduser_assignment(u, id, item_text(role, ROLE_ID)) != NULL) {
		call_error(c, 409, NULL, "The user has this role.", NULL);
		return;
	}
	call_json(c, 201,
	    enduser_assignment_object(c->tenant,
		enduser_assign(u, id, item_text(role, ROLE_ID))));
}

static void
roles_remove(struct call *c)
{
	const struct item *it = find_in_application(c);

	if (it == NULL)
		return;
	if (enduser_unassign(c->tenant->endusers, item_text(it, ENDUSER_ID),
		c->match.param[2]))
		call_empty(c, 204);
	else
		call_not_found(c, "role of the end-user");
}

#define USER "/applications/{appId}/end-users/{userId}"

const struct route endusers_routes[] = {
    {"GET", "/applications/{appId}/end-users", "endusers:read",
	list_in_application},
    {"POST", "/applications/{appId}/end-users", "endusers:write",
	create_in_application},
    {"GET", USER, "endusers:read", get},
    {"PUT", USER, "endusers:write", put},
    {"DELETE", USER, "endusers:write", delete_in_application},
    {"POST", USER "/block", "endusers:write", block_in_application},
    {"POST", USER "/unblock", "endusers:write", unblock_in_application},
    {"POST", USER "/unlock", "endusers:write", unlock},
    {"POST", USER "/generate-temporary-password", "endusers:write",
	temporary_password},
    {"GET", USER "/roles", "roles:read", roles_list},
    {"POST", USER "/roles", "roles:write", roles_assign},
    {"DELETE", USER "/roles/{roleId}", "roles:write", roles_remove},
    {"GET", "/endusers", "endusers:read", list_all},
    {"POST", "/endusers", "endusers:write", create_anywhere},
    {"POST", "/endusers/{id}/block", "endusers:write", block},
    {"POST", "/endusers/{id}/unblock", "endusers:write", unblock},
    {"DELETE", "/endusers/{id}/permanent", "endusers:write",
	delete_permanent},
    {NULL, NULL, NULL, NULL},
};

static json_t *
ids_of(json_t *object)
{
	json_t *list = json_array(), *half;
	const char *id;

	json_object_foreach (object, id, half)
		json_array_append_new(list, json_string(id));
	return list;
}

static void
control_get(struct call *c)
{
	const struct endusers *u = c->tenant->endusers;
	json_t *identity = json_array();

	for (size_t i = 0; i < store_count(u->identity); i++)
		json_array_append(
		    identity, store_at(u->identity, i)->field[ENDUSER_ID]);
	call_json(c, 200,
	    json_pack("{s:o, s:o, s:I, s:I}", "identity", identity, "eaas",
		ids_of(u->eaas), "failSave", (json_int_t)u->fail_save,
		"failCascade", (json_int_t)u->fail_cascade));
}

static void
control_put(struct call *c)
{
	struct endusers *u = c->tenant->endusers;
	int64_t save = u->fail_save, cascade = u->fail_cascade;

	if (!call_body(c, false) ||
	    !call_member_int(c, "failSave", 0, INT32_MAX, &save) ||
	    !call_member_int(c, "failCascade", 0, INT32_MAX, &cascade))
		return;
	u->fail_save = save;
	u->fail_cascade = cascade;
	control_get(c);
}

static void
control_get_one(struct call *c)
{
	const struct endusers *u = c->tenant->endusers;
	const char *id = c->match.param[0];
	const struct item *it = store_find(u->identity, id);

	call_json(c, 200,
	    json_pack("{s:o, s:o}", "identity",
		it == NULL ? json_null() : enduser_object(c->tenant, it),
		"eaas", json_util_or_null(json_object_get(u->eaas, id))));
}

static void
control_put_one(struct call *c)
{
	struct item *it = find(c);
	struct apply_problem p;

	if (it == NULL || !call_body(c, false))
		return;
	if (!enduser_apply(c->tenant->endusers, it, c->json, &p))
		call_bad_field(c, p.field, p.text);
	else
		call_json(c, 200, enduser_object(c->tenant, it));
}

const struct route endusers_controls_routes[] = {
    {"GET", "/endusers", NULL, control_get},
    {"PUT", "/endusers", NULL, control_put},
    {"GET", "/endusers/{id}", NULL, control_get_one},
    {"PUT", "/endusers/{id}", NULL, control_put_one},
    {NULL, NULL, NULL, NULL},
};
