#include "thing.h"

#include "apply.h"
#include "asset.h"
#include "call.h"
#include "json_util.h"
#include "mem.h"
#include "timefmt.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct item *
thing_new(const struct store_kind *kind, json_t *id, json_t *name)
{
	struct asset *a = asset_new(kind, id);

	asset_set(a, STORE_NAME,
	    json_incref(name == NULL ? a->field[STORE_ID] : name));
	asset_set(a, kind->created_at, timefmt_stamp(NULL));
	return &a->item;
}

bool
thing_check(
    struct call *c, const struct rule *rules, unsigned int flag, bool patch)
{
	json_t *problems = rules_check(rules, flag, patch, c->json);

	if (problems == NULL)
		return true;
	call_error(c, 400, NULL, "The request holds invalid fields.",
	    json_pack("{s:o}", "fields", problems));
	return false;
}

void
thing_set(struct store *st, struct item *it, const struct rule *rules,
    unsigned int flag, const json_t *body)
{
	for (const struct rule *r = rules; r->name != NULL; r++) {
		json_t *v = json_util_get(body, r->name);

		if (v != NULL && (r->flags & flag))
			store_set(st, it, r->field, v);
	}
}

void
thing_touch(struct store *st, struct item *it, size_t updated_at)
{
	store_set_new(
	    st, it, updated_at, timefmt_stamp(it->field[updated_at]));
}

struct item *
thing_seed(const struct store *st, const struct store_kind *kind,
    const struct rule *rules, json_t *obj, const char *const *skip,
    struct apply_problem *ret_problem)
{
	json_t *id = json_util_get(obj, "id");
	struct item *it;

	if (!apply_check(rules, obj, true, ret_problem))
		return NULL;
	if (json_is_null(id))
		id = NULL;
	if (id != NULL && store_find(st, json_string_value(id)) != NULL) {
		(void)snprintf(
		    ret_problem->field, sizeof(ret_problem->field), "id");
		ret_problem->text = "is there twice";
		return NULL;
	}
	it = thing_new(kind, id, NULL);
	apply_fields(NULL, kind, it, obj, skip);
	/* A store finds by it, so it is there even where the seed has null. */
	if (!json_is_string(it->field[STORE_NAME])) {
		json_decref(it->field[STORE_NAME]);
		it->field[STORE_NAME] = json_incref(it->field[STORE_ID]);
	}
	return it;
}

void
thing_never_null(
    json_t *v, const char *const *lists, const char *const *truths)
{
	for (; *lists != NULL; lists++) {
		if (json_is_null(json_object_get(v, *lists)))
			json_object_set_new(v, *lists, json_array());
	}
	for (; *truths != NULL; truths++) {
		if (json_is_null(json_object_get(v, *truths)))
			json_object_set_new(v, *truths, json_false());
	}
}

json_t *
thing_random(const char *prefix, size_t n)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz0123456789";
	struct text out = {0};
	json_t *v;

	text_str(&out, prefix);
	for (size_t i = 0; i < n; i++)
		text_char(&out,
		    alphabet[randombytes_uniform(sizeof(alphabet) - 1)]);
	v = json_string(out.p);
	text_done(&out);
	return v;
}
