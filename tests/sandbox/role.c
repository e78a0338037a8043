#include "role.h"

#include "application.h"
#include "asset.h"
#include "enduser.h"
#include "tenant.h"
#include "thing.h"

#include <string.h>

static const char *const field_names[ROLE_FIELDS] = {
    [ROLE_ID] = "id",
    [ROLE_NAME] = "name",
    [ROLE_IS_DEFAULT] = "isDefault",
    [ROLE_CREATED_AT] = "createdAt",
    [ROLE_DESCRIPTION] = "description",
    [ROLE_APPLICATION_ID] = "applicationId",
    [ROLE_PERMISSIONS] = "permissions",
    [ROLE_UPDATED_AT] = "updatedAt",
};

const struct store_kind role_kind = {
    .fields = field_names,
    .n_fields = ROLE_FIELDS,
    .created_at = ROLE_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

#define BOTH (RULE_CREATE | RULE_PATCH)

const struct rule role_rules[] = {
    {"name", ROLE_NAME, RULE_NAME, 200, BOTH | RULE_REQUIRED},
    {"description", ROLE_DESCRIPTION, RULE_TEXT, 1000, BOTH},
    {"permissions", ROLE_PERMISSIONS, RULE_TEXT, 0, BOTH},
    {"isDefault", ROLE_IS_DEFAULT, RULE_BOOL, 0, BOTH},
    {"applicationId", ROLE_APPLICATION_ID, RULE_NAME, 0, RULE_CREATE},
    /* Only seeds set the rest. */
    {"id", ROLE_ID, RULE_NAME, 0, 0},
    {"createdAt", ROLE_CREATED_AT, RULE_TIME, 0, RULE_REQUIRED},
    {"updatedAt", ROLE_UPDATED_AT, RULE_TIME, 0, 0},
    {NULL, 0, RULE_TEXT, 0, 0},
};

bool
role_fits(const struct item *role, const char *application_id)
{
	const char *own = item_text(role, ROLE_APPLICATION_ID);

	return own == NULL ||
	       (application_id != NULL && strcmp(own, application_id) == 0);
}

json_t *
role_object(const struct tenant *t, const struct item *role)
{
	static const char *const none[] = {NULL};
	static const char *const truths[] = {"isDefault", NULL};
	json_t *v =
	    store_object(&role_kind, role, STORE_BIT(ROLE_FIELDS) - 1, true);
	const char *app_id = item_text(role, ROLE_APPLICATION_ID);
	const struct item *app =
	    app_id == NULL ? NULL : store_find(t->applications, app_id);

	json_object_set_new(v, "applicationName",
	    app == NULL
		? json_null()
		: json_incref(app->field[APPLICATION_DISPLAY_NAME]));
	json_object_set_new(v, "endUserCount",
	    json_integer((json_int_t)enduser_count_role(
		t->endusers, item_text(role, ROLE_ID))));
	thing_never_null(v, none, truths);
	return v;
}

void
role_drop_application(struct store *st, const char *application_id)
{
	for (size_t i = store_count(st); i > 0; i--) {
		struct item *it = store_at(st, i - 1);
		const char *own = item_text(it, ROLE_APPLICATION_ID);

		if (own != NULL && strcmp(own, application_id) == 0)
			store_remove(st, it);
	}
}

bool
role_seed(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	static const char *const skip[] = {
	    "id", "applicationName", "endUserCount", NULL};
	struct item *it = thing_seed(
	    t->roles, &role_kind, role_rules, obj, skip, ret_problem);

	if (it != NULL)
		store_add(t->roles, it);
	return it != NULL;
}
