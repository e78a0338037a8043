#include "asset.h"

#include "apply.h"
#include "call.h"
#include "ids.h"
#include "include.h"
#include "json_util.h"
#include "mem.h"
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asset *
asset_new(const struct store_kind *kind, json_t *id)
{
	struct asset *t =
	    mem_zero(sizeof(*t) + kind->n_fields * sizeof(*t->field));

	t->item.field = t->field;
	t->field[STORE_ID] =
	    json_is_string(id) ? json_incref(id) : ids_uuid();
	return t;
}

void
asset_free_item(struct item *it)
{
	struct asset *t = (struct asset *)it;

	if (t->free_own != NULL)
		t->free_own(t->own);
	free(t);
}

void
asset_free(const struct store_kind *kind, struct asset *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < kind->n_fields; i++)
		json_decref(t->field[i]);
	asset_free_item(&t->item);
}

void
asset_set(struct asset *t, size_t field, json_t *v)
{
	json_decref(t->field[field]);
	t->field[field] = v;
}

struct asset *
asset_find(const struct store *st, const char *id)
{
	return id == NULL ? NULL : (struct asset *)store_find(st, id);
}

bool
asset_fail(
    struct asset_problem *p, int status, const char *field, const char *text)
{
	p->status = status;
	p->field = field;
	p->text = text;
	return false;
}

static bool
check_one(const struct rule *r, const json_t *v, struct asset_problem *p)
{
	const char *problem = NULL;

	if (v == NULL || json_is_null(v))
		problem = (r->flags & RULE_REQUIRED) ? "is required" : NULL;
	else
		problem = rule_problem(r, v, true);
	return problem == NULL || asset_fail(p, 400, r->name, problem);
}

bool
asset_check(const struct rule *rules, const json_t *obj,
    struct asset_problem *ret_problem)
{
	for (; rules->name != NULL; rules++) {
		if ((rules->flags & RULE_CREATE) &&
		    !check_one(rules, json_util_get(obj, rules->name),
			ret_problem))
			return false;
	}
	return true;
}

const char *
asset_text(const json_t *obj, const char *name)
{
	return json_string_value(json_util_get(obj, name));
}

bool
asset_body(struct call *c)
{
	if (!call_body(c, false))
		return false;
	(void)json_object_del(c->json, "id");
	return true;
}

void
asset_answer_problem(struct call *c, const struct asset_problem *p)
{
	if (p->status == 400)
		call_bad_field(c, p->field, p->text);
	else if (p->status == 404)
		call_not_found(c, p->field);
	else
		call_error(c, p->status, NULL, p->text, NULL);
}

void
asset_answer_made(struct call *c, const struct asset *t,
    const struct asset_problem *p, const char *type,
    json_t *(*show)(const struct asset *t))
{
	if (t == NULL) {
		asset_answer_problem(c, p);
		return;
	}
	audit_resource(c, type, t->field[STORE_ID], t->field[STORE_NAME]);
	call_json(c, 201, show(t));
}

bool
asset_seed_problem(
    const struct asset_problem *p, struct apply_problem *ret_problem)
{
	(void)snprintf(ret_problem->field, sizeof(ret_problem->field), "%s",
	    p->field == NULL ? "" : p->field);
	ret_problem->text = p->status == 404 ? "names nothing" : p->text;
	return false;
}

bool
asset_seed_id(const struct store *st, const json_t *obj,
    struct apply_problem *ret_problem)
{
	const json_t *id = json_object_get(obj, "id");
	struct asset_problem p = {0};

	if (id == NULL || json_is_null(id))
		return true;
	if (json_string_length(id) == 0 ||
	    strlen(json_string_value(id)) != json_string_length(id))
		(void)asset_fail(&p, 400, "id", "must be a string");
	else if (store_find(st, json_string_value(id)) != NULL)
		(void)asset_fail(&p, 400, "id", "is there twice");
	else
		return true;
	return asset_seed_problem(&p, ret_problem);
}

void
asset_list(struct call *c, const struct store *st,
    json_t *(*show)(const struct asset *t))
{
	struct include_page page;
	size_t first, n = store_count(st);
	json_t *items;

	if (!include_page(c, &page))
		return;
	items = json_array();
	first = (page.page - 1) * page.size;
	for (size_t i = first; i < n && i - first < page.size; i++)
		json_array_append_new(
		    items, show((const struct asset *)store_at(st, i)));
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I}", "items", items, "totalCount",
		(json_int_t)n, "page", (json_int_t)page.page, "pageSize",
		(json_int_t)page.size));
}

static bool
control_one(struct call *c, const struct rule *rules, const char *key,
    json_t *v)
{
	struct asset_problem p = {0};

	for (; rules->name != NULL; rules++) {
		if (!json_util_is(key, rules->name))
			continue;
		if (check_one(rules, v, &p))
			return true;
		asset_answer_problem(c, &p);
		return false;
	}
	call_bad_field(c, key, "cannot be set");
	return false;
}

struct asset *
asset_control(struct call *c, struct store *st, const struct store_kind *kind,
    const struct rule *rules)
{
	struct asset *t = asset_find(st, c->match.param[0]);
	const char *key;
	json_t *v;

	if (t == NULL) {
		call_not_found(c, "thing of this id");
		return NULL;
	}
	if (!call_body(c, false))
		return NULL;
	json_object_foreach (c->json, key, v) {
		if (!control_one(c, rules, key, v))
			return NULL;
	}
	json_object_foreach (c->json, key, v)
		store_set(st, &t->item, store_field(kind, key), v);
	return t;
}

json_t *
asset_both_spellings(json_t *obj)
{
	json_t *twins = json_object(), *v;
	const char *key;
	char snake[64];

	json_object_foreach (obj, key, v) {
		json_util_snake(key, snake, sizeof(snake));
		json_object_set(twins, snake, v);
	}
	json_object_update_missing(obj, twins);
	json_decref(twins);
	return obj;
}
