/*
 * Requests on /secrets.
 */
#include "call.h"
#include "include.h"
#include "json_util.h"
#include "mem.h"
#include "rules.h"
#include "secret.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BIT(f) STORE_BIT(SECRET_##f)

/* Sent by every GET of one secret. */
#define SECRETS_ALWAYS                                                         \
	(BIT(ID) | BIT(NAME) | BIT(VALUE) | BIT(VERSION) | BIT(CONTENT_TYPE) | \
	    BIT(USERNAME) | BIT(TOTP_SECRET) | BIT(URLS))
/* Sent when asked for. */
#define SECRETS_TOKENS (SECRET_ALL & ~SECRETS_ALWAYS)
/* Answers of writes tell all but the value. */
#define SECRETS_NO_VALUE (SECRET_ALL & ~BIT(VALUE))
#define SECRETS_ROW                                                            \
	(SECRETS_NO_VALUE &                                                    \
	    ~(BIT(NOTES) | BIT(CUSTOM_FIELDS) | BIT(TOTP_SECRET)))

/* The secret that the path names; NULL: answered. */
static struct secret *
find(struct call *c)
{
	struct secret *s = secret_find(c->tenant->secrets, c->match.param[0]);

	if (s == NULL)
		call_not_found(c, "secret");
	return s;
}

/* The same, where its value is to be shown. */
static struct secret *
find_active(struct call *c)
{
	struct secret *s = find(c);

	if (s != NULL && !secret_is_active(s)) {
		call_not_found(c, "secret");
		return NULL;
	}
	return s;
}

/* Check the body by the rules. false: answered. */
static bool
check_body(struct call *c, unsigned int flag, bool patch)
{
	json_t *problems = rules_check(secret_rules, flag, patch, c->json);

	if (problems == NULL)
		return true;
	call_error(c, 400, NULL, "The request holds invalid fields.",
	    json_pack("{s:o}", "fields", problems));
	return false;
}

static bool
name_is_free(struct call *c, json_t *name, const struct secret *self)
{
	struct item *it =
	    store_find_name(c->tenant->secrets, json_string_value(name));

	if (it == NULL || (self != NULL && it == &self->item))
		return true;
	call_error(c, 409, "secret_name_conflict",
	    "There is a secret of this name.", NULL);
	return false;
}

/* Set what the body gives of the fields that have the flag. */
static void
set_fields(
    struct store *st, struct secret *s, unsigned int flag, const json_t *body)
{
	for (const struct rule *r = secret_rules; r->name != NULL; r++) {
		json_t *v = json_util_get(body, r->name);

		if (v != NULL && (r->flags & flag))
			store_set(st, &s->item, r->field, v);
	}
}

static struct secret *
create(struct call *c, const json_t *body, json_t *actor)
{
	struct store *st = c->tenant->secrets;
	struct secret *s = secret_new(NULL, json_util_get(body, "name"), actor);

	store_add(st, &s->item);
	set_fields(st, s, RULE_CREATE, body);
	return s;
}

static void
secrets_create(struct call *c)
{
	json_t *actor;
	struct secret *s;

	if (!call_body(c, false) || !check_body(c, RULE_CREATE, false) ||
	    !name_is_free(c, json_util_get(c->json, "name"), NULL))
		return;
	actor = call_actor(c);
	s = create(c, c->json, actor);
	json_decref(actor);
	audit_resource(
	    c, "Secret", s->field[SECRET_ID], s->field[SECRET_NAME]);
	call_json(c, 201, secret_object(s, SECRET_ALL, true));
}

/* Put an old version's value and user name into the answer. */
static bool
show_version(struct call *c, const struct secret *s, json_t *v)
{
	const struct secret_version *old;
	int64_t version = secret_version(s);

	if (!call_query_int(c, "version", 1, INT64_MAX, &version))
		return false;
	if (version == secret_version(s))
		return true;
	old = secret_old(s, version);
	if (old == NULL) {
		call_not_found(c, "version");
		return false;
	}
	json_object_set_new(v, "version", json_integer(version));
	json_object_set_new(v, "value", json_util_or_null(old->value));
	json_object_set_new(v, "username", json_util_or_null(old->username));
	return true;
}

static void
secrets_get(struct call *c)
{
	uint32_t fields;
	bool all;
	struct secret *s;
	json_t *v;

	if (!include_parse(c, &secret_kind, SECRETS_TOKENS, &fields, &all) ||
	    (s = find_active(c)) == NULL)
		return;
	v = secret_object(s, SECRETS_ALWAYS | fields, all);
	if (show_version(c, s, v))
		call_json(c, 200, json_incref(v));
	json_decref(v);
}

static void
secrets_patch(struct call *c)
{
	struct secret *s = find(c);
	json_t *name, *actor;

	if (s == NULL || !call_body(c, false) ||
	    !check_body(c, RULE_PATCH, true))
		return;
	name = json_util_get(c->json, "name");
	if (name != NULL && !name_is_free(c, name, s))
		return;
	set_fields(c->tenant->secrets, s, RULE_PATCH, c->json);
	actor = call_actor(c);
	store_set_new(c->tenant->secrets, &s->item, SECRET_UPDATED_AT,
	    timefmt_stamp(s->field[SECRET_UPDATED_AT]));
	store_set_new(c->tenant->secrets, &s->item, SECRET_UPDATED_BY, actor);
	call_json(c, 200, secret_object(s, SECRETS_NO_VALUE, true));
}

static const struct rule value_rules[] = {
    {"value", SECRET_VALUE, RULE_VALUE, SECRET_MAX_VALUE,
	RULE_PATCH | RULE_REQUIRED},
    {"restoredFromVersion", 0, RULE_INT, 0, RULE_PATCH},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static void
secrets_put_value(struct call *c)
{
	struct secret *s = find(c);
	json_t *problems, *actor;

	if (s == NULL || !call_body(c, false))
		return;
	problems = rules_check(value_rules, RULE_PATCH, false, c->json);
	if (problems != NULL) {
		call_error(c, 400, NULL, "The request holds invalid fields.",
		    json_pack("{s:o}", "fields", problems));
		return;
	}
	actor = call_actor(c);
	if (json_util_get(c->json, "restoredFromVersion") != NULL)
		audit_action(c, "SecretRestored");
	secret_rotate(
	    c->tenant->secrets, s, json_util_get(c->json, "value"), actor);
	json_decref(actor);
	call_json(c, 200, secret_object(s, SECRETS_NO_VALUE, true));
}

static void
secrets_delete(struct call *c)
{
	struct secret *s = find(c);

	if (s == NULL)
		return;
	store_remove(c->tenant->secrets, &s->item);
	call_empty(c, 204);
}

static void
set_active(struct call *c, json_t *active)
{
	struct secret *s = find(c);
	struct store *st = c->tenant->secrets;

	if (s == NULL)
		return;
	/* Repeating it changes nothing, so its timestamp stays, too. */
	if (s->field[SECRET_IS_ACTIVE] != active) {
		store_set(st, &s->item, SECRET_IS_ACTIVE, active);
		store_set_new(st, &s->item, SECRET_UPDATED_AT,
		    timefmt_stamp(s->field[SECRET_UPDATED_AT]));
		store_set_new(st, &s->item, SECRET_UPDATED_BY, call_actor(c));
	}
	call_empty(c, 204);
}

static void
secrets_activate(struct call *c)
{
	set_active(c, json_true());
}

static void
secrets_deactivate(struct call *c)
{
	set_active(c, json_false());
}

static void
secrets_history(struct call *c)
{
	int64_t max = 5;
	struct secret *s = find_active(c);

	if (s == NULL ||
	    !call_query_int(c, "maxVersions", 1, SECRET_MAX_VERSIONS, &max))
		return;
	call_json(c, 200,
	    json_pack("{s:O, s:o}", "secretId", s->field[SECRET_ID], "versions",
		secret_history(s, (size_t)max)));
}

/* What a list is narrowed by; NULL: not. */
struct filter {
	bool include_inactive;
	const char *content_type;
	const char *label;
	const char *search;
};

static bool
has_label(const struct secret *s, const char *label)
{
	const json_t *labels = s->field[SECRET_LABELS];

	for (size_t i = 0; i < json_array_size(labels); i++) {
		const char *l = json_string_value(json_array_get(labels, i));

		if (l != NULL && strcmp(l, label) == 0)
			return true;
	}
	return false;
}

static bool
fits(const struct filter *f, const struct secret *s)
{
	const char *text;

	if (!f->include_inactive && !secret_is_active(s))
		return false;
	if (f->content_type != NULL &&
	    ((text = item_text(&s->item, SECRET_CONTENT_TYPE)) == NULL ||
		strcmp(text, f->content_type) != 0))
		return false;
	if (f->label != NULL && !has_label(s, f->label))
		return false;
	/* The service's rules are unknown: a part of the name, any case. */
	return f->search == NULL ||
	       strcasestr(item_text(&s->item, SECRET_NAME), f->search) != NULL;
}

/* Rows of the page into list; returns how many fit in all. */
static size_t
collect(const struct store *st, const struct filter *f,
    const struct include_page *page, json_t *list)
{
	size_t first = (page->page - 1) * page->size, n = 0;
	bool all = f->content_type == NULL && f->label == NULL &&
		   f->search == NULL &&
		   (f->include_inactive || store_inactive(st) == 0);

	/* Without a filter the page is where it is: no need to count. */
	for (size_t i = all ? first : 0; i < store_count(st); i++) {
		const struct secret *s = (const struct secret *)store_at(st, i);

		if (all && json_array_size(list) == page->size)
			break;
		if (!all && !fits(f, s))
			continue;
		if (all || (n >= first && n - first < page->size))
			json_array_append_new(
			    list, secret_object(s, SECRETS_ROW, true));
		n++;
	}
	return all ? store_count(st) : n;
}

static void
secrets_list(struct call *c)
{
	struct include_page page;
	struct filter f = {
	    .content_type = query_get(&c->query, "contentType"),
	    .label = query_get(&c->query, "label"),
	    .search = query_get(&c->query, "search"),
	};
	json_t *list, *more;
	size_t total;

	if (!include_page(c, &page) ||
	    !call_query_bool(c, "includeInactive", &f.include_inactive))
		return;
	list = json_array();
	total = collect(c->tenant->secrets, &f, &page, list);
	more = json_boolean(total > page.page * page.size);
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I, s:I, s:O, s:O}", "secrets", list,
		"total", (json_int_t)total, "page", (json_int_t)page.page,
		"pageSize", (json_int_t)page.size, "page_size",
		(json_int_t)page.size, "hasMore", more, "has_more", more));
}

static const struct rule import_rules[] = {
    {"name", SECRET_NAME, RULE_NAME, 255, RULE_CREATE | RULE_REQUIRED},
    {"value", SECRET_VALUE, RULE_VALUE, SECRET_MAX_VALUE,
	RULE_CREATE | RULE_REQUIRED},
    {"description", SECRET_DESCRIPTION, RULE_TEXT, 1000, RULE_CREATE},
    {"contentType", SECRET_CONTENT_TYPE, RULE_TEXT, 100, RULE_CREATE},
    {"labels", SECRET_LABELS, RULE_STRINGS, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

enum import_result { IMPORT_CREATED, IMPORT_UPDATED, IMPORT_FAILED };

static enum import_result
import_one(struct call *c, const json_t *item, json_t *actor)
{
	struct store *st = c->tenant->secrets;
	json_t *problems = json_is_object(item) ? rules_check(import_rules,
						      RULE_CREATE, false, item)
						: json_object();
	struct secret *s;

	if (problems != NULL) {
		json_decref(problems);
		return IMPORT_FAILED;
	}
	s = (struct secret *)store_find_name(
	    st, json_string_value(json_util_get(item, "name")));
	if (s == NULL) {
		(void)create(c, item, actor);
		return IMPORT_CREATED;
	}
	secret_rotate(st, s, json_util_get(item, "value"), actor);
	for (const struct rule *r = import_rules; r->name != NULL; r++) {
		json_t *v = json_util_get(item, r->name);

		if (v != NULL && r->field != SECRET_VALUE)
			store_set(st, &s->item, r->field, v);
	}
	return IMPORT_UPDATED;
}

static void
secrets_import(struct call *c)
{
	json_int_t n[3] = {0};
	json_t *items, *actor;

	if (!call_body(c, false))
		return;
	items = json_util_get(c->json, "items");
	if (!json_is_array(items)) {
		call_bad_field(c, "items", "must be an array");
		return;
	}
	actor = call_actor(c);
	for (size_t i = 0; i < json_array_size(items); i++)
		n[import_one(c, json_array_get(items, i), actor)]++;
	json_decref(actor);
	call_json(c, 200,
	    json_pack("{s:I, s:I, s:I}", "created", n[IMPORT_CREATED],
		"updated", n[IMPORT_UPDATED], "failed", n[IMPORT_FAILED]));
}

const struct route secrets_routes[] = {
    {"GET", "/secrets", "secrets:read", secrets_list},
    {"POST", "/secrets", "secrets:write", secrets_create},
    {"POST", "/secrets/import", "secrets:write", secrets_import},
    {"GET", "/secrets/{id}", "secrets:read", secrets_get},
    {"PATCH", "/secrets/{id}", "secrets:write", secrets_patch},
    {"DELETE", "/secrets/{id}", "secrets:write", secrets_delete},
    {"PUT", "/secrets/{id}/value", "secrets:write", secrets_put_value},
    {"POST", "/secrets/{id}/activate", "secrets:write", secrets_activate},
    {"POST", "/secrets/{id}/deactivate", "secrets:write", secrets_deactivate},
    {"GET", "/secrets/{id}/history", "secrets:read", secrets_history},
    {NULL, NULL, NULL, NULL},
};
