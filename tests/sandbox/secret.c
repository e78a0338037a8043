#include "secret.h"

#include "ids.h"
#include "json_util.h"
#include "mem.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

static const char *const field_names[SECRET_FIELDS] = {
    [SECRET_ID] = "id",
    [SECRET_NAME] = "name",
    [SECRET_VALUE] = "value",
    [SECRET_VERSION] = "version",
    [SECRET_CONTENT_TYPE] = "contentType",
    [SECRET_USERNAME] = "username",
    [SECRET_TOTP_SECRET] = "totpSecret",
    [SECRET_URLS] = "urls",
    [SECRET_DESCRIPTION] = "description",
    [SECRET_NOTES] = "notes",
    [SECRET_LABELS] = "labels",
    [SECRET_CUSTOM_FIELDS] = "customFields",
    [SECRET_FOLDER_ID] = "folderId",
    [SECRET_EXPIRES_AT] = "expiresAt",
    [SECRET_IS_ACTIVE] = "isActive",
    [SECRET_IS_FAVORITE] = "isFavorite",
    [SECRET_HAS_TOTP] = "hasTotp",
    [SECRET_IS_TRAVEL_SAFE] = "isTravelSafe",
    [SECRET_CREATED_AT] = "createdAt",
    [SECRET_UPDATED_AT] = "updatedAt",
    [SECRET_CREATED_BY] = "createdBy",
    [SECRET_UPDATED_BY] = "updatedBy",
};

#define BOTH (RULE_CREATE | RULE_PATCH)

const struct rule secret_rules[] = {
    {"name", SECRET_NAME, RULE_NAME, 255, BOTH | RULE_REQUIRED},
    {"value", SECRET_VALUE, RULE_VALUE, SECRET_MAX_VALUE,
	RULE_CREATE | RULE_REQUIRED},
    {"description", SECRET_DESCRIPTION, RULE_TEXT, 1000, BOTH},
    {"contentType", SECRET_CONTENT_TYPE, RULE_TEXT, 100, BOTH},
    {"expiresAt", SECRET_EXPIRES_AT, RULE_TIME, 0, BOTH},
    {"labels", SECRET_LABELS, RULE_STRINGS, 0, BOTH},
    {"username", SECRET_USERNAME, RULE_TEXT, 255, BOTH},
    {"notes", SECRET_NOTES, RULE_TEXT, 0, BOTH},
    {"urls", SECRET_URLS, RULE_STRING_MAPS, 0, BOTH},
    {"customFields", SECRET_CUSTOM_FIELDS, RULE_OBJECTS, 0, BOTH},
    {"totpSecret", SECRET_TOTP_SECRET, RULE_TEXT, 0, BOTH},
    {"isFavorite", SECRET_IS_FAVORITE, RULE_BOOL, 0, BOTH},
    {"folderId", SECRET_FOLDER_ID, RULE_TEXT, 0, RULE_CREATE},
    {"isTravelSafe", SECRET_IS_TRAVEL_SAFE, RULE_BOOL, 0, RULE_CREATE},
    /* No request sets the rest, but seeds and controls do. */
    {"id", SECRET_ID, RULE_NAME, 0, 0},
    {"version", SECRET_VERSION, RULE_INT, 0, RULE_REQUIRED},
    {"isActive", SECRET_IS_ACTIVE, RULE_BOOL, 0, RULE_REQUIRED},
    {"hasTotp", SECRET_HAS_TOTP, RULE_BOOL, 0, 0},
    {"createdAt", SECRET_CREATED_AT, RULE_TIME, 0, RULE_REQUIRED},
    {"updatedAt", SECRET_UPDATED_AT, RULE_TIME, 0, 0},
    {"createdBy", SECRET_CREATED_BY, RULE_TEXT, 0, 0},
    {"updatedBy", SECRET_UPDATED_BY, RULE_TEXT, 0, 0},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static void
version_done(struct secret_version *v)
{
	json_decref(v->value);
	json_decref(v->username);
	json_decref(v->created_at);
	json_decref(v->changed_by);
}

static void
drop_history(struct secret *s)
{
	for (size_t i = 0; i < s->n_old; i++)
		version_done(&s->old[i]);
	free(s->old);
	s->old = NULL;
	s->n_old = 0;
}

static void
free_item(struct item *it)
{
	struct secret *s = (struct secret *)it;

	drop_history(s);
	json_decref(s->version_created_at);
	json_decref(s->version_changed_by);
	free(s);
}

const struct store_kind secret_kind = {
    .fields = field_names,
    .n_fields = SECRET_FIELDS,
    .created_at = SECRET_CREATED_AT,
    .is_active = SECRET_IS_ACTIVE,
    .free_item = free_item,
};

struct secret *
secret_new(json_t *id, json_t *name, json_t *actor)
{
	struct secret *s = mem_zero(sizeof(*s));

	s->item.field = s->field;
	s->field[SECRET_ID] = id == NULL ? ids_uuid() : json_incref(id);
	s->field[SECRET_NAME] = json_incref(name);
	s->field[SECRET_VALUE] = json_string("");
	s->field[SECRET_VERSION] = json_integer(1);
	s->field[SECRET_IS_ACTIVE] = json_true();
	s->field[SECRET_IS_FAVORITE] = json_false();
	s->field[SECRET_IS_TRAVEL_SAFE] = json_false();
	s->field[SECRET_CREATED_AT] = timefmt_stamp(NULL);
	s->field[SECRET_CREATED_BY] = json_incref(actor);
	return s;
}

void
secret_free(struct secret *s)
{
	for (size_t i = 0; i < SECRET_FIELDS; i++)
		json_decref(s->field[i]);
	json_decref(s->item.extra);
	free_item(&s->item);
}

struct secret *
secret_find(const struct store *st, const char *id)
{
	return (struct secret *)store_find(st, id);
}

int64_t
secret_version(const struct secret *s)
{
	return json_integer_value(s->field[SECRET_VERSION]);
}

bool
secret_is_active(const struct secret *s)
{
	return json_is_true(s->field[SECRET_IS_ACTIVE]);
}

static void
add_version(struct secret *s, const struct secret_version *v)
{
	if (s->n_old == SECRET_MAX_VERSIONS - 1) {
		version_done(&s->old[0]);
		s->n_old--;
		memmove(s->old, s->old + 1, s->n_old * sizeof(*s->old));
	}
	s->old = mem_grow(s->old, s->n_old + 1, sizeof(*s->old));
	s->old[s->n_old++] = *v;
}

/* Borrowed references. */
static struct secret_version
current(const struct secret *s)
{
	return (struct secret_version){
	    .version = secret_version(s),
	    .value = s->field[SECRET_VALUE],
	    .username = s->field[SECRET_USERNAME],
	    .created_at = s->version_created_at == NULL
			      ? s->field[SECRET_CREATED_AT]
			      : s->version_created_at,
	    .changed_by = s->version_changed_by == NULL
			      ? s->field[SECRET_CREATED_BY]
			      : s->version_changed_by,
	};
}

void
secret_push_version(struct secret *s)
{
	struct secret_version v = current(s);

	json_incref(v.value);
	json_incref(v.username);
	json_incref(v.created_at);
	json_incref(v.changed_by);
	add_version(s, &v);
}

void
secret_rotate(struct store *st, struct secret *s, json_t *v, json_t *actor)
{
	secret_push_version(s);
	store_set(st, &s->item, SECRET_VALUE, v);
	store_set_new(
	    st, &s->item, SECRET_VERSION, json_integer(secret_version(s) + 1));
	store_set(st, &s->item, SECRET_UPDATED_AT, NULL);
	store_set(st, &s->item, SECRET_UPDATED_BY, actor);
	json_decref(s->version_created_at);
	json_decref(s->version_changed_by);
	s->version_created_at = timefmt_stamp(NULL);
	s->version_changed_by = json_incref(actor);
}

static int
compare_versions(const void *va, const void *vb)
{
	const struct secret_version *a = va, *b = vb;

	return (a->version > b->version) - (a->version < b->version);
}

void
secret_set_history(struct secret *s, json_t *history)
{
	drop_history(s);
	for (size_t i = 0; i < json_array_size(history); i++) {
		json_t *h = json_array_get(history, i);
		struct secret_version v = {
		    .version = json_integer_value(json_util_get(h, "version")),
		    .value = json_util_get(h, "value"),
		    .username = json_util_get(h, "username"),
		    .created_at = json_util_get(h, "createdAt"),
		    .changed_by = json_util_get(h, "changedBy"),
		};

		/* The current version may be listed, as the service does. */
		if (v.version == secret_version(s))
			continue;
		if (v.created_at == NULL)
			v.created_at = s->field[SECRET_CREATED_AT];
		json_incref(v.value);
		json_incref(v.username);
		json_incref(v.created_at);
		json_incref(v.changed_by);
		add_version(s, &v);
	}
	if (s->n_old > 1)
		qsort(s->old, s->n_old, sizeof(*s->old), compare_versions);
}

const struct secret_version *
secret_old(const struct secret *s, int64_t version)
{
	for (size_t i = 0; i < s->n_old; i++) {
		if (s->old[i].version == version)
			return &s->old[i];
	}
	return NULL;
}

json_t *
secret_object(const struct secret *s, uint32_t fields, bool extra)
{
	json_t *v = store_object(&secret_kind, &s->item, fields, extra);

	if ((fields & STORE_BIT(SECRET_HAS_TOTP)) &&
	    s->field[SECRET_HAS_TOTP] == NULL)
		json_object_set_new(v, "hasTotp",
		    json_boolean(s->field[SECRET_TOTP_SECRET] != NULL));
	/* Never null, or the official SDK rejects the whole answer. */
	if ((fields & STORE_BIT(SECRET_IS_FAVORITE)) &&
	    s->field[SECRET_IS_FAVORITE] == NULL)
		json_object_set_new(v, "isFavorite", json_false());
	return v;
}

static json_t *
version_object(const struct secret_version *v)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o}", "version",
	    (json_int_t)v->version, "value", json_util_or_null(v->value),
	    "createdAt", json_util_or_null(v->created_at), "username",
	    json_util_or_null(v->username), "changedBy",
	    json_util_or_null(v->changed_by));
}

json_t *
secret_history(const struct secret *s, size_t max)
{
	json_t *list = json_array();
	struct secret_version now = current(s);

	json_array_append_new(list, version_object(&now));
	for (size_t i = s->n_old; i > 0 && json_array_size(list) < max; i--)
		json_array_append_new(list, version_object(&s->old[i - 1]));
	return list;
}
