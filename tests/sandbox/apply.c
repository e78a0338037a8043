#include "apply.h"

#include "json_util.h"
#include "rules.h"
#include "secret.h"
#include "store.h"

#include <stdio.h>
#include <string.h>

#define APPLY_MAX_VALUE (16 * 1024 * 1024)

static const char *const secret_skip[] = {"id", "history", NULL};

static bool
fail(struct apply_problem *p, const char *field, const char *text)
{
	(void)snprintf(p->field, sizeof(p->field), "%s", field);
	p->text = text;
	return false;
}

/* Without these being what they should be, the sandbox could not go on. */
static bool
is_vital(const struct rule *r)
{
	return r->type == RULE_NAME || r->type == RULE_INT ||
	       strcmp(r->name, "isActive") == 0;
}

bool
apply_check(const struct rule *rules, const json_t *obj, bool strict,
    struct apply_problem *ret_problem)
{
	for (const struct rule *r = rules; r->name != NULL; r++) {
		const json_t *v = json_util_get(obj, r->name);
		const char *problem;

		if (v == NULL || (!strict && !is_vital(r)))
			continue;
		problem = rule_problem(r, v, false);
		if (problem != NULL)
			return fail(ret_problem, r->name, problem);
	}
	return true;
}

static bool
is_skipped(const char *key, const char *const *skip)
{
	for (; *skip != NULL; skip++) {
		if (json_util_is(key, *skip))
			return true;
	}
	return false;
}

static void
set_field(struct store *st, struct item *it, size_t field, json_t *v)
{
	if (st != NULL) {
		store_set(st, it, field, v);
		return;
	}
	json_decref(it->field[field]);
	it->field[field] = json_is_null(v) ? NULL : json_incref(v);
}

void
apply_fields(struct store *st, const struct store_kind *kind, struct item *it,
    json_t *obj, const char *const *skip)
{
	const char *key;
	json_t *v;

	json_object_foreach (obj, key, v) {
		size_t field = store_field(kind, key);

		if (is_skipped(key, skip))
			continue;
		if (field != STORE_NONE) {
			/* camelCase wins where both are given. */
			set_field(st, it, field,
			    json_util_get(obj, kind->fields[field]));
			continue;
		}
		if (it->extra == NULL)
			it->extra = json_object();
		json_object_set(it->extra, key, v);
	}
}

/* History as seeds give it; a problem's field is an index into it. */
static bool
check_history(const json_t *history, struct apply_problem *ret_problem)
{
	char where[64];

	if (history != NULL && !json_is_array(history))
		return fail(ret_problem, "history", "must be an array");
	for (size_t i = 0; i < json_array_size(history); i++) {
		const json_t *h = json_array_get(history, i);

		(void)snprintf(where, sizeof(where), "history[%zu]", i);
		if (!json_is_object(h))
			return fail(ret_problem, where, "must be an object");
		(void)snprintf(where, sizeof(where), "history[%zu].version", i);
		if (!json_is_integer(json_util_get(h, "version")))
			return fail(ret_problem, where, "must be an integer");
		(void)snprintf(where, sizeof(where), "history[%zu].value", i);
		if (!json_is_string(json_util_get(h, "value")))
			return fail(ret_problem, where, "must be a string");
	}
	return true;
}

static bool
check_secret(const json_t *obj, bool strict, struct apply_problem *ret_problem)
{
	if (json_string_length(json_util_get(obj, "value")) > APPLY_MAX_VALUE)
		return fail(ret_problem, "value", "exceeds 16 MiB");
	return apply_check(secret_rules, obj, strict, ret_problem) &&
	       check_history(json_util_get(obj, "history"), ret_problem);
}

bool
apply_seed_secret(
    struct store *st, json_t *obj, struct apply_problem *ret_problem)
{
	json_t *id, *name, *history, *actor;
	struct secret *s;

	if (!check_secret(obj, true, ret_problem))
		return false;
	id = json_util_get(obj, "id");
	if (json_is_null(id))
		id = NULL;
	if (id != NULL && store_find(st, json_string_value(id)) != NULL)
		return fail(ret_problem, "id", "is there twice");
	name = json_util_get(obj, "name");
	actor = json_string("sandbox");
	s = secret_new(id, name == NULL ? json_null() : name, actor);
	json_decref(actor);
	if (name == NULL) {
		json_decref(s->field[SECRET_NAME]);
		s->field[SECRET_NAME] = json_incref(s->field[SECRET_ID]);
	}
	apply_fields(NULL, &secret_kind, &s->item, obj, secret_skip);
	history = json_util_get(obj, "history");
	if (history != NULL)
		secret_set_history(s, history);
	store_add(st, &s->item);
	return true;
}

bool
apply_secret(struct store *st, struct secret *s, json_t *obj,
    struct apply_problem *ret_problem)
{
	json_t *value = json_util_get(obj, "value"), *actor, *history;
	json_t *version = json_util_get(obj, "version");

	if (!check_secret(obj, false, ret_problem))
		return false;
	if (value != NULL && version == NULL) {
		actor = json_string("sandbox");
		secret_rotate(st, s, value, actor);
		json_decref(actor);
	} else if (value != NULL &&
		   json_integer_value(version) != secret_version(s)) {
		secret_push_version(s);
	}
	apply_fields(st, &secret_kind, &s->item, obj, secret_skip);
	history = json_util_get(obj, "history");
	if (history != NULL)
		secret_set_history(s, history);
	return true;
}
