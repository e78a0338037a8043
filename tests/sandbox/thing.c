#include "thing.h"

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

struct thing *
thing_new(const struct store_kind *kind, json_t *id)
{
	struct thing *t =
	    mem_zero(sizeof(*t) + kind->n_fields * sizeof(*t->field));

	t->item.field = t->field;
	t->field[STORE_ID] =
	    json_is_string(id) ? json_incref(id) : ids_uuid();
	return t;
}

void
thing_free_item(struct item *it)
{
	struct thing *t = (struct thing *)it;

	if (t->free_own != NULL)
		t->free_own(t->own);
	free(t);
}

void
thing_free(const struct store_kind *kind, struct thing *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < kind->n_fields; i++)
		json_decref(t->field[i]);
	thing_free_item(&t->item);
}

void
thing_set(struct thing *t, size_t field, json_t *v)
{
	json_decref(t->field[field]);
	t->field[field] = v;
}

struct thing *
thing_find(const struct store *st, const char *id)
{
	return id == NULL ? NULL : (struct thing *)store_find(st, id);
}

bool
thing_fail(
    struct thing_problem *p, int status, const char *field, const char *text)
{
	p->status = status;
	p->field = field;
	p->text = text;
	return false;
}

static bool
check_one(const struct rule *r, const json_t *v, struct thing_problem *p)
{
	const char *problem = NULL;

	if (v == NULL || json_is_null(v))
		problem = (r->flags & RULE_REQUIRED) ? "is required" : NULL;
	else
		problem = rule_problem(r, v, true);
	if (problem == NULL && json_is_string(v) &&
	    strlen(json_string_value(v)) != json_string_length(v))
		problem = "holds NUL";
	return problem == NULL || thing_fail(p, 400, r->name, problem);
}

bool
thing_check(const struct rule *rules, const json_t *obj,
    struct thing_problem *ret_problem)
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
thing_text(const json_t *obj, const char *name)
{
	return json_string_value(json_util_get(obj, name));
}

bool
thing_body(struct call *c)
{
	if (!call_body(c, false))
		return false;
	(void)json_object_del(c->json, "id");
	return true;
}

void
thing_answer_problem(struct call *c, const struct thing_problem *p)
{
	if (p->status == 400)
		call_bad_field(c, p->field, p->text);
	else if (p->status == 404)
		call_not_found(c, p->field);
	else
		call_error(c, p->status, NULL, p->text, NULL);
}

void
thing_answer_made(struct call *c, const struct thing *t,
    const struct thing_problem *p, const char *type,
    json_t *(*show)(const struct thing *t))
{
	if (t == NULL) {
		thing_answer_problem(c, p);
		return;
	}
	audit_resource(c, type, t->field[STORE_ID], t->field[STORE_NAME]);
	call_json(c, 201, show(t));
}

bool
thing_seed_problem(
    const struct thing_problem *p, struct apply_problem *ret_problem)
{
	(void)snprintf(ret_problem->field, sizeof(ret_problem->field), "%s",
	    p->field == NULL ? "" : p->field);
	ret_problem->text = p->status == 404 ? "names nothing" : p->text;
	return false;
}

bool
thing_seed_id(const struct store *st, const json_t *obj,
    struct apply_problem *ret_problem)
{
	const json_t *id = json_object_get(obj, "id");
	struct thing_problem p = {0};

	if (id == NULL || json_is_null(id))
		return true;
	if (json_string_length(id) == 0 ||
	    strlen(json_string_value(id)) != json_string_length(id))
		(void)thing_fail(&p, 400, "id", "must be a string");
	else if (store_find(st, json_string_value(id)) != NULL)
		(void)thing_fail(&p, 400, "id", "is there twice");
	else
		return true;
	return thing_seed_problem(&p, ret_problem);
}

void
thing_list(struct call *c, const struct store *st,
    json_t *(*show)(const struct thing *t))
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
		    items, show((const struct thing *)store_at(st, i)));
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I}", "items", items, "totalCount",
		(json_int_t)n, "page", (json_int_t)page.page, "pageSize",
		(json_int_t)page.size));
}

static bool
control_one(struct call *c, const struct rule *rules, const char *key,
    json_t *v)
{
	struct thing_problem p = {0};

	for (; rules->name != NULL; rules++) {
		if (!json_util_is(key, rules->name))
			continue;
		if (check_one(rules, v, &p))
			return true;
		thing_answer_problem(c, &p);
		return false;
	}
	call_bad_field(c, key, "cannot be set");
	return false;
}

struct thing *
thing_control(struct call *c, struct store *st, const struct store_kind *kind,
    const struct rule *rules)
{
	struct thing *t = thing_find(st, c->match.param[0]);
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
thing_both_spellings(json_t *obj)
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
