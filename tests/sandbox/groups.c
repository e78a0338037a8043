/*
 * Requests on /resource-groups. All its answers come in both spellings.
 */
#include "groups.h"

#include "apply.h"
#include "call.h"
#include "ids.h"
#include "json_util.h"
#include "rules.h"
#include "store.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <string.h>

enum group_field {
	GROUP_ID = STORE_ID,
	GROUP_NAME = STORE_NAME,
	GROUP_DESCRIPTION,
	GROUP_ITEMS, /* array of objects as the answer has them */
	GROUP_CREATED_AT,
	GROUP_UPDATED_AT,
	GROUP_FIELDS
};

#define GROUP_SHOWN (UINT32_MAX & ~STORE_BIT(GROUP_ITEMS))

static const char *const fields[GROUP_FIELDS] = {
    [GROUP_ID] = "id",
    [GROUP_NAME] = "name",
    [GROUP_DESCRIPTION] = "description",
    [GROUP_ITEMS] = "items",
    [GROUP_CREATED_AT] = "createdAt",
    [GROUP_UPDATED_AT] = "updatedAt",
};

const struct store_kind groups_kind = {
    .fields = fields,
    .n_fields = GROUP_FIELDS,
    .created_at = GROUP_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

static const struct rule rules[] = {
    {"name", GROUP_NAME, RULE_NAME, 200, RULE_CREATE | RULE_REQUIRED},
    {"description", GROUP_DESCRIPTION, RULE_TEXT, 1000, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const struct rule item_rules[] = {
    {"resourceType", 0, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"resourceId", 0, RULE_NAME, 128, RULE_CREATE | RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

/* The kinds of resources, and the counter of each in a group's answer. */
static const struct {
	const char *type;
	const char *counter;
} types[] = {
    {"Secret", "secretCount"},
    {"CryptoKey", "cryptoKeyCount"},
    {"ApiKey", "apiKeyCount"},
};

#define N_TYPES (sizeof(types) / sizeof(*types))

static struct asset *
find(struct call *c)
{
	struct asset *g = asset_find(c->tenant->groups, c->match.param[0]);

	if (g == NULL)
		call_not_found(c, "resource group");
	return g;
}

/* The group as lists, POST and PUT show it: counters in place of items. */
static json_t *
show(const struct asset *g)
{
	json_t *v = store_object(&groups_kind, &g->item, GROUP_SHOWN, true);
	const json_t *items = g->field[GROUP_ITEMS];
	size_t n = json_array_size(items);

	json_object_set_new(v, "itemCount", json_integer((json_int_t)n));
	for (size_t t = 0; t < N_TYPES; t++) {
		json_int_t count = 0;

		for (size_t i = 0; i < n; i++)
			count += strcmp(asset_text(json_array_get(items, i),
					    "resourceType"),
				     types[t].type) == 0;
		json_object_set_new(v, types[t].counter, json_integer(count));
	}
	return asset_both_spellings(v);
}

static void
groups_list(struct call *c)
{
	const struct store *st = c->tenant->groups;
	json_t *list = json_array();

	for (size_t i = 0; i < store_count(st); i++)
		json_array_append_new(
		    list, show((const struct asset *)store_at(st, i)));
	call_json(c, 200,
	    asset_both_spellings(json_pack("{s:o, s:I}", "groups", list,
		"totalCount", (json_int_t)store_count(st))));
}

static struct asset *
make(struct tenant *t, const json_t *body, struct asset_problem *p)
{
	json_t *text = json_util_get(body, "description");
	struct asset *g;

	if (!asset_check(rules, body, p))
		return NULL;
	g = asset_new(&groups_kind, json_object_get(body, "id"));
	asset_set(g, GROUP_NAME, json_incref(json_util_get(body, "name")));
	if (json_is_string(text))
		asset_set(g, GROUP_DESCRIPTION, json_incref(text));
	asset_set(g, GROUP_ITEMS, json_array());
	asset_set(g, GROUP_CREATED_AT, timefmt_stamp(NULL));
	store_add(t->groups, &g->item);
	return g;
}

static void
groups_create(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *g;

	if (!asset_body(c))
		return;
	g = make(c->tenant, c->json, &p);
	asset_answer_made(c, g, &p, "ResourceGroup", show);
}

static void
groups_get(struct call *c)
{
	struct asset *g = find(c);
	json_t *v, *items;

	if (g == NULL)
		return;
	v = store_object(&groups_kind, &g->item, UINT32_MAX, true);
	items = json_deep_copy(g->field[GROUP_ITEMS]);
	for (size_t i = 0; i < json_array_size(items); i++)
		(void)asset_both_spellings(json_array_get(items, i));
	json_object_set_new(v, "items", items);
	call_json(c, 200, asset_both_spellings(v));
}

static void
touch(struct call *c, struct asset *g)
{
	store_set_new(c->tenant->groups, &g->item, GROUP_UPDATED_AT,
	    timefmt_stamp(g->field[GROUP_UPDATED_AT]));
}

static void
groups_put(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *g = find(c);
	json_t *text;

	if (g == NULL || !call_body(c, false))
		return;
	if (!asset_check(rules, c->json, &p)) {
		asset_answer_problem(c, &p);
		return;
	}
	text = json_util_get(c->json, "description");
	store_set(c->tenant->groups, &g->item, GROUP_NAME,
	    json_util_get(c->json, "name"));
	store_set_new(c->tenant->groups, &g->item, GROUP_DESCRIPTION,
	    json_is_string(text) ? json_incref(text) : NULL);
	touch(c, g);
	call_json(c, 200, show(g));
}

static void
groups_delete(struct call *c)
{
	struct asset *g = find(c);

	if (g == NULL)
		return;
	store_remove(c->tenant->groups, &g->item);
	call_empty(c, 204);
}

/*
 * The name of what an item names, borrowed. Nothing here gives API keys ids,
 * so for them any id will do. NULL: there is none.
 */
static json_t *
resource_name(struct tenant *t, const char *type, json_t *id)
{
	const struct store *st =
	    strcmp(type, "Secret") == 0 ? t->secrets : t->keys;
	struct item *it;

	if (strcmp(type, "ApiKey") == 0)
		return id;
	it = store_find(st, json_string_value(id));
	return it == NULL ? NULL : it->field[STORE_NAME];
}

static bool
has_item(const struct asset *g, const char *type, const char *id)
{
	const json_t *items = g->field[GROUP_ITEMS];

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *v = json_array_get(items, i);

		if (strcmp(asset_text(v, "resourceType"), type) == 0 &&
		    strcmp(asset_text(v, "resourceId"), id) == 0)
			return true;
	}
	return false;
}

static bool
add_item(struct tenant *t, struct asset *g, const json_t *body,
    struct asset_problem *p)
{
	json_t *id = json_util_get(body, "resourceId"), *name;
	const char *type = asset_text(body, "resourceType");
	size_t i = 0;

	if (!asset_check(item_rules, body, p))
		return false;
	while (i < N_TYPES && strcmp(types[i].type, type) != 0)
		i++;
	if (i == N_TYPES)
		return asset_fail(p, 400, "resourceType",
		    "must be Secret, CryptoKey or ApiKey");
	if ((name = resource_name(t, type, id)) == NULL)
		return asset_fail(p, 404, "resource", NULL);
	if (has_item(g, type, json_string_value(id)))
		return asset_fail(
		    p, 409, NULL, "The resource is in the group.");
	json_array_append_new(g->field[GROUP_ITEMS],
	    json_pack("{s:o, s:s, s:O, s:O}", "id", ids_uuid(),
		"resourceType", type, "resourceId", id, "resourceName", name));
	return true;
}

static void
items_add(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *g = find(c);

	if (g == NULL || !call_body(c, false))
		return;
	if (!add_item(c->tenant, g, c->json, &p)) {
		asset_answer_problem(c, &p);
		return;
	}
	touch(c, g);
	call_empty(c, 204);
}

static void
items_remove(struct call *c)
{
	struct asset *g = find(c);
	json_t *items;

	if (g == NULL)
		return;
	items = g->field[GROUP_ITEMS];
	for (size_t i = 0; i < json_array_size(items); i++) {
		if (strcmp(asset_text(json_array_get(items, i), "id"),
			c->match.param[1]) != 0)
			continue;
		json_array_remove(items, i);
		touch(c, g);
		call_empty(c, 204);
		return;
	}
	call_not_found(c, "item");
}

bool
groups_seed(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	const json_t *items = json_object_get(obj, "items");
	struct asset_problem p = {0};
	struct asset *g;

	if (!asset_seed_id(t->groups, obj, ret_problem))
		return false;
	if ((g = make(t, obj, &p)) == NULL)
		return asset_seed_problem(&p, ret_problem);
	for (size_t i = 0; i < json_array_size(items); i++) {
		if (!add_item(t, g, json_array_get(items, i), &p))
			return asset_seed_problem(&p, ret_problem);
	}
	return true;
}

const struct route groups_routes[] = {
    {"GET", "/resource-groups", "resourcegroups:read", groups_list},
    {"POST", "/resource-groups", "resourcegroups:write", groups_create},
    {"GET", "/resource-groups/{groupId}", "resourcegroups:read", groups_get},
    {"PUT", "/resource-groups/{groupId}", "resourcegroups:write", groups_put},
    {"DELETE", "/resource-groups/{groupId}", "resourcegroups:write",
	groups_delete},
    {"POST", "/resource-groups/{groupId}/items", "resourcegroups:write",
	items_add},
    {"DELETE", "/resource-groups/{groupId}/items/{itemId}",
	"resourcegroups:write", items_remove},
    {NULL, NULL, NULL, NULL},
};
