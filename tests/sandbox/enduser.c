#include "enduser.h"

#include "apply.h"
#include "asset.h"
#include "ids.h"
#include "json_util.h"
#include "mem.h"
#include "role.h"
#include "tenant.h"
#include "thing.h"
#include "timefmt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const field_names[ENDUSER_FIELDS] = {
    [ENDUSER_ID] = "id",
    [ENDUSER_EMAIL] = "email",
    [ENDUSER_EMAIL_VERIFIED] = "emailVerified",
    [ENDUSER_DISPLAY_NAME] = "displayName",
    [ENDUSER_IS_BLOCKED] = "isBlocked",
    [ENDUSER_LOGIN_COUNT] = "loginCount",
    [ENDUSER_CREATED_AT] = "createdAt",
    [ENDUSER_APPLICATION_ID] = "applicationId",
    [ENDUSER_FIRST_NAME] = "firstName",
    [ENDUSER_LAST_NAME] = "lastName",
    [ENDUSER_PHONE_NUMBER] = "phoneNumber",
    [ENDUSER_PHONE_NUMBER_VERIFIED] = "phoneNumberVerified",
    [ENDUSER_PROFILE_PICTURE_URL] = "profilePictureUrl",
    [ENDUSER_METADATA] = "metadata",
    [ENDUSER_IS_LOCKED_OUT] = "isLockedOut",
    [ENDUSER_BLOCKED_REASON] = "blockedReason",
    [ENDUSER_BLOCKED_AT] = "blockedAt",
    [ENDUSER_LAST_LOGIN_AT] = "lastLoginAt",
    [ENDUSER_LAST_IP_ADDRESS] = "lastIpAddress",
    [ENDUSER_UPDATED_AT] = "updatedAt",
    [ENDUSER_CONNECTIONS] = "connections",
};

const struct store_kind enduser_kind = {
    .fields = field_names,
    .n_fields = ENDUSER_FIELDS,
    .created_at = ENDUSER_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

#define BOTH (RULE_CREATE | RULE_PATCH)

const struct rule enduser_rules[] = {
    {"email", ENDUSER_EMAIL, RULE_NAME, 254, RULE_CREATE | RULE_REQUIRED},
    {"displayName", ENDUSER_DISPLAY_NAME, RULE_NAME, 200,
	BOTH | RULE_REQUIRED},
    {"firstName", ENDUSER_FIRST_NAME, RULE_TEXT, 200, BOTH},
    {"lastName", ENDUSER_LAST_NAME, RULE_TEXT, 200, BOTH},
    {"phoneNumber", ENDUSER_PHONE_NUMBER, RULE_TEXT, 50, BOTH},
    {"metadata", ENDUSER_METADATA, RULE_TEXT, 0, BOTH},
    {"emailVerified", ENDUSER_EMAIL_VERIFIED, RULE_BOOL, 0, RULE_CREATE},
    {"profilePictureUrl", ENDUSER_PROFILE_PICTURE_URL, RULE_TEXT, 0,
	RULE_PATCH},
    {"applicationId", ENDUSER_APPLICATION_ID, RULE_NAME, 0, 0},
    /* Only seeds and controls set the rest. */
    {"id", ENDUSER_ID, RULE_NAME, 0, 0},
    {"isBlocked", ENDUSER_IS_BLOCKED, RULE_BOOL, 0, 0},
    {"isLockedOut", ENDUSER_IS_LOCKED_OUT, RULE_BOOL, 0, 0},
    {"phoneNumberVerified", ENDUSER_PHONE_NUMBER_VERIFIED, RULE_BOOL, 0, 0},
    {"blockedReason", ENDUSER_BLOCKED_REASON, RULE_TEXT, 0, 0},
    {"blockedAt", ENDUSER_BLOCKED_AT, RULE_TIME, 0, 0},
    {"lastLoginAt", ENDUSER_LAST_LOGIN_AT, RULE_TIME, 0, 0},
    {"lastIpAddress", ENDUSER_LAST_IP_ADDRESS, RULE_TEXT, 0, 0},
    {"createdAt", ENDUSER_CREATED_AT, RULE_TIME, 0, RULE_REQUIRED},
    {"updatedAt", ENDUSER_UPDATED_AT, RULE_TIME, 0, 0},
    {"connections", ENDUSER_CONNECTIONS, RULE_OBJECTS, 0, 0},
    {NULL, 0, RULE_TEXT, 0, 0},
};

struct endusers *
endusers_new(void)
{
	struct endusers *u = mem_zero(sizeof(*u));

	u->identity = store_new(&enduser_kind);
	u->eaas = json_object();
	u->gone = json_object();
	return u;
}

void
endusers_free(struct endusers *u)
{
	if (u == NULL)
		return;
	store_free(u->identity);
	json_decref(u->eaas);
	json_decref(u->gone);
	free(u);
}

/* Something at somewhere: the rest would be found out by sending to it. */
static bool
is_email(const json_t *v)
{
	const char *s = json_string_value(v), *at;

	if (s == NULL || strlen(s) != json_string_length(v))
		return false;
	for (const char *p = s; *p != '\0'; p++) {
		if (iscntrl((unsigned char)*p) || strchr(" <>,;", *p) != NULL)
			return false;
	}
	at = strchr(s, '@');
	return at != NULL && at != s && at[1] != '\0' &&
	       strchr(at + 1, '@') == NULL;
}

static bool
is_json_text(const json_t *v)
{
	json_error_t err;
	json_t *parsed = json_util_parse(
	    json_string_value(v), json_string_length(v), &err);

	json_decref(parsed);
	return parsed != NULL;
}

const char *
enduser_problem(const json_t *body, const char **ret_field)
{
	const json_t *email = json_util_get(body, "email");
	const json_t *metadata = json_util_get(body, "metadata");

	*ret_field = "email";
	if (email != NULL && !is_email(email))
		return "must be an e-mail address";
	*ret_field = "metadata";
	if (metadata != NULL && !json_is_null(metadata) &&
	    !is_json_text(metadata))
		return "must be JSON in a string";
	return NULL;
}

/* Two ids of applications, or none; NULL is one as well. */
static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

struct item *
enduser_find_email(
    const struct endusers *u, const char *email, const char *application_id)
{
	/* The store would find some user of this name, of any application. */
	for (size_t i = 0; i < store_count(u->identity); i++) {
		struct item *it = store_at(u->identity, i);

		if (strcasecmp(item_text(it, ENDUSER_EMAIL), email) == 0 &&
		    same(item_text(it, ENDUSER_APPLICATION_ID),
			application_id))
			return it;
	}
	return NULL;
}

static void
set_default(struct item *it, enum enduser_field field, json_t *v)
{
	if (it->field[field] == NULL)
		it->field[field] = v;
	else
		json_decref(v);
}

/* The other half of a new user, and what nobody gave. */
static void
add(struct endusers *u, struct item *it)
{
	set_default(it, ENDUSER_IS_BLOCKED, json_false());
	set_default(it, ENDUSER_LOGIN_COUNT, json_integer(0));
	set_default(it, ENDUSER_DISPLAY_NAME,
	    json_incref(it->field[ENDUSER_EMAIL]));
	store_add(u->identity, it);
	json_object_set_new(u->eaas, item_text(it, ENDUSER_ID),
	    json_pack("{s:o, s:O, s:[]}", "applicationId",
		json_util_or_null(it->field[ENDUSER_APPLICATION_ID]),
		"isBlocked", it->field[ENDUSER_IS_BLOCKED], "roles"));
}

struct item *
enduser_add(struct endusers *u, json_t *email, json_t *application_id)
{
	struct item *it = thing_new(&enduser_kind, NULL, email);

	it->field[ENDUSER_APPLICATION_ID] = json_incref(application_id);
	add(u, it);
	return it;
}

/* One of the failures that a control asked for. */
static bool
fails(int64_t *left)
{
	if (*left == 0)
		return false;
	--*left;
	return true;
}

bool
enduser_set_blocked(
    struct endusers *u, struct item *it, bool blocked, json_t *reason)
{
	struct store *st = u->identity;
	json_t *was = it->field[ENDUSER_IS_BLOCKED];

	store_set(st, it, ENDUSER_IS_BLOCKED, json_boolean(blocked));
	if (fails(&u->fail_save)) { /* the save of the other half */
		store_set(st, it, ENDUSER_IS_BLOCKED, was);
		return false;
	}
	json_object_set_new(
	    json_object_get(u->eaas, item_text(it, ENDUSER_ID)), "isBlocked",
	    json_boolean(blocked));
	if (was == json_boolean(blocked) && reason == NULL)
		return true;
	if (was != json_boolean(blocked))
		store_set_new(st, it, ENDUSER_BLOCKED_AT,
		    blocked ? timefmt_stamp(NULL) : NULL);
	store_set(st, it, ENDUSER_BLOCKED_REASON, blocked ? reason : NULL);
	thing_touch(st, it, ENDUSER_UPDATED_AT);
	return true;
}

/* Whose was it, in whichever place still tells? NULL: not known here. */
static json_t *
owner(const struct endusers *u, const char *id)
{
	json_t *half = json_object_get(u->eaas, id);

	return half != NULL ? json_object_get(half, "applicationId")
			    : json_object_get(u->gone, id);
}

enum enduser_deleted
enduser_delete(
    struct endusers *u, const char *id, const char *application_id)
{
	struct item *it = store_find(u->identity, id);
	json_t *app = owner(u, id);

	if (app == NULL || (application_id != NULL &&
			       !same(json_string_value(app), application_id)))
		return ENDUSER_UNKNOWN;
	if (it != NULL)
		store_remove(u->identity, it);
	if (json_object_get(u->eaas, id) != NULL && fails(&u->fail_cascade))
		return ENDUSER_HALF_DELETED;
	json_object_set(u->gone, id, app);
	(void)json_object_del(u->eaas, id);
	return ENDUSER_DELETED;
}

void
enduser_drop_application(struct endusers *u, const char *application_id)
{
	const char *id;
	json_t *half;
	void *next;

	for (size_t i = store_count(u->identity); i > 0; i--) {
		struct item *it = store_at(u->identity, i - 1);

		if (same(item_text(it, ENDUSER_APPLICATION_ID), application_id))
			store_remove(u->identity, it);
	}
	json_object_foreach_safe (u->eaas, next, id, half) {
		if (same(json_string_value(
			     json_object_get(half, "applicationId")),
			application_id))
			(void)json_object_del(u->eaas, id);
	}
}

json_t *
enduser_assignments(const struct endusers *u, const char *id)
{
	return json_object_get(json_object_get(u->eaas, id), "roles");
}

static size_t
index_of(const json_t *roles, const char *role_id)
{
	size_t i = 0;

	while (i < json_array_size(roles) &&
	       !same(json_string_value(json_object_get(
			 json_array_get(roles, i), "roleId")),
		   role_id))
		i++;
	return i;
}

json_t *
enduser_assignment(
    const struct endusers *u, const char *id, const char *role_id)
{
	json_t *roles = enduser_assignments(u, id);

	return json_array_get(roles, index_of(roles, role_id));
}

json_t *
enduser_assign(struct endusers *u, const char *id, const char *role_id)
{
	json_t *roles = enduser_assignments(u, id);
	size_t i = index_of(roles, role_id);

	if (i == json_array_size(roles))
		json_array_append_new(
		    roles, json_pack("{s:o, s:s, s:o}", "id", ids_uuid(),
			       "roleId", role_id, "assignedAt",
			       timefmt_stamp(NULL)));
	return json_array_get(roles, i);
}

bool
enduser_unassign(struct endusers *u, const char *id, const char *role_id)
{
	json_t *roles = enduser_assignments(u, id);

	return json_array_remove(roles, index_of(roles, role_id)) == 0;
}

size_t
enduser_count_role(const struct endusers *u, const char *role_id)
{
	const char *id;
	json_t *half;
	size_t n = 0;

	json_object_foreach (u->eaas, id, half) {
		json_t *roles = json_object_get(half, "roles");

		n += index_of(roles, role_id) < json_array_size(roles);
	}
	return n;
}

json_t *
enduser_assignment_object(const struct tenant *t, const json_t *assignment)
{
	json_t *role_id = json_object_get(assignment, "roleId");
	const struct item *role =
	    store_find(t->roles, json_string_value(role_id));

	return json_pack("{s:O, s:O, s:O, s:O}", "id",
	    json_object_get(assignment, "id"), "roleId", role_id, "roleName",
	    role == NULL ? role_id : role->field[ROLE_NAME], "assignedAt",
	    json_object_get(assignment, "assignedAt"));
}

json_t *
enduser_object(const struct tenant *t, const struct item *it)
{
	static const char *const lists[] = {"connections", NULL};
	static const char *const truths[] = {"emailVerified", "isBlocked",
	    "isLockedOut", "phoneNumberVerified", NULL};
	json_t *v = store_object(
	    &enduser_kind, it, STORE_BIT(ENDUSER_FIELDS) - 1, true);
	json_t *all = enduser_assignments(t->endusers, item_text(it, 0));
	json_t *roles = json_array();

	for (size_t i = 0; i < json_array_size(all); i++)
		json_array_append_new(roles,
		    enduser_assignment_object(t, json_array_get(all, i)));
	json_object_set_new(v, "roles", roles);
	if (it->field[ENDUSER_LOGIN_COUNT] == NULL)
		json_object_set_new(v, "loginCount", json_integer(0));
	thing_never_null(v, lists, truths);
	return v;
}

static const char *const skip[] = {"id", "password", "roleIds", "roles", NULL};

static bool
fail(struct apply_problem *p, const char *field, const char *text)
{
	(void)snprintf(p->field, sizeof(p->field), "%s", field);
	p->text = text;
	return false;
}

bool
enduser_seed(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	json_t *role_ids = json_util_get(obj, "roleIds");
	const char *field, *problem = enduser_problem(obj, &field);
	struct item *it;

	if (problem != NULL)
		return fail(ret_problem, field, problem);
	if (json_util_get(obj, "email") == NULL)
		return fail(ret_problem, "email", "is missing");
	for (size_t i = 0; i < json_array_size(role_ids); i++) {
		if (!json_is_string(json_array_get(role_ids, i)))
			return fail(ret_problem, "roleIds",
			    "must be an array of strings");
	}
	it = thing_seed(t->endusers->identity, &enduser_kind, enduser_rules,
	    obj, skip, ret_problem);
	if (it == NULL)
		return false;
	add(t->endusers, it);
	/* The roles themselves may stand further down in the seed. */
	for (size_t i = 0; i < json_array_size(role_ids); i++)
		(void)enduser_assign(t->endusers, item_text(it, ENDUSER_ID),
		    json_string_value(json_array_get(role_ids, i)));
	return true;
}

bool
enduser_apply(struct endusers *u, struct item *it, json_t *obj,
    struct apply_problem *ret_problem)
{
	json_t *half = json_object_get(u->eaas, item_text(it, ENDUSER_ID));

	if (!apply_check(enduser_rules, obj, true, ret_problem))
		return false;
	apply_fields(u->identity, &enduser_kind, it, obj, skip);
	json_object_set_new(half, "isBlocked",
	    json_boolean(json_is_true(it->field[ENDUSER_IS_BLOCKED])));
	json_object_set_new(half, "applicationId",
	    json_util_or_null(it->field[ENDUSER_APPLICATION_ID]));
	return true;
}
