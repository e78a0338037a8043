/*
 * Requests on /keys.
 */
#include "call.h"
#include "include.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "rules.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

#define BIT(f) STORE_BIT(KEY_##f)

#define KEYS_TOKENS                                                            \
	(BIT(NAME) | BIT(DESCRIPTION) | BIT(TYPE) | BIT(IS_POST_QUANTUM) |     \
	    BIT(IS_ACTIVE) | BIT(IS_DEFAULT) | BIT(IS_FAVORITE) |              \
	    BIT(CREATED_AT) | BIT(EXPIRES_AT) | BIT(LAST_ROTATED_AT) |         \
	    BIT(LABELS) | BIT(STATE) | BIT(SCHEDULED_DELETION_DATE))

#define KEYS_MAX_SCHEDULE_DAYS 3650

/* The key that the path names; NULL: answered. */
static struct key *
find(struct call *c)
{
	struct key *k = key_find(c->tenant->keys, c->match.param[0]);

	if (k == NULL)
		call_not_found(c, "key");
	return k;
}

/* The same, where it must be usable. */
static struct key *
find_active(struct call *c)
{
	struct key *k = find(c);

	if (k != NULL && !key_is_active(k)) {
		call_error(c, 409, NULL, "The key is not active.", NULL);
		return NULL;
	}
	return k;
}

static bool
name_is_free(struct call *c, json_t *name, const struct key *self)
{
	struct item *it =
	    store_find_name(c->tenant->keys, json_string_value(name));

	if (it == NULL || (self != NULL && it == &self->item))
		return true;
	call_error(
	    c, 409, "key_name_conflict", "There is a key of this name.", NULL);
	return false;
}

static bool
check_body(struct call *c, unsigned int flag, bool patch)
{
	json_t *problems = rules_check(key_rules, flag, patch, c->json);

	if (problems == NULL)
		return true;
	call_error(c, 400, NULL, "The request holds invalid fields.",
	    json_pack("{s:o}", "fields", problems));
	return false;
}

/* keyType, or purpose, as older clients call it; NULL: answered. */
static const char *
key_type(struct call *c)
{
	json_t *type = json_util_get(c->json, "keyType");
	const char *s;

	if (type == NULL)
		type = json_util_get(c->json, "purpose");
	s = json_string_value(type);
	if (s != NULL && keymat_use(s) != 0)
		return s;
	call_bad_field(c, "keyType", "must be encryption, signing or hmac");
	return NULL;
}

/* What creation and import have in common. NULL: answered. */
static const struct keymat_alg *
check_new(struct call *c)
{
	const struct keymat_alg *alg;
	const char *type;

	if (!call_body(c, false) || !check_body(c, RULE_CREATE, false) ||
	    (type = key_type(c)) == NULL)
		return NULL;
	alg =
	    keymat_alg(json_string_value(json_util_get(c->json, "algorithm")));
	if (alg == NULL)
		call_bad_field(c, "algorithm", "is not supported");
	else if (!(alg->uses & keymat_use(type)))
		call_bad_field(c, "keyType", "does not go with the algorithm");
	else if (name_is_free(c, json_util_get(c->json, "name"), NULL))
		return alg;
	return NULL;
}

/* Add a key of this material, which is taken over, and answer. */
static void
add_key(struct call *c, struct keymat *m, bool set_default)
{
	struct store *st = c->tenant->keys;
	struct key *k =
	    key_new(NULL, json_util_get(c->json, "name"), key_type(c),
		json_string_value(json_util_get(c->json, "algorithm")), m);

	store_add(st, &k->item);
	for (const struct rule *r = key_rules; r->name != NULL; r++) {
		json_t *v = json_util_get(c->json, r->name);

		if (v != NULL && !json_is_null(v) && (r->flags & RULE_CREATE))
			store_set(st, &k->item, r->field, v);
	}
	if (set_default)
		key_set_default(st, k);
	audit_key(c, k, 1);
	call_json(c, 201, key_object(k));
}

static void
keys_create(struct call *c)
{
	const struct keymat_alg *alg = check_new(c);
	bool set_default = false;
	struct keymat *m;

	if (alg == NULL || !call_member_bool(c, "setAsDefault", &set_default))
		return;
	m = keymat_generate(alg);
	if (m == NULL)
		call_error(c, 500, NULL, "The key was not made.", NULL);
	else
		add_key(c, m, set_default);
}

static bool
is_format(const char *s)
{
	static const char *const formats[] = {
	    "raw", "pem", "der", "pkcs8", "jwk"};

	for (size_t i = 0; s != NULL && i < 5; i++) {
		if (strcmp(s, formats[i]) == 0)
			return true;
	}
	return false;
}

static void
keys_import(struct call *c)
{
	const struct keymat_alg *alg = check_new(c);
	bool set_default = false, public_only = false;
	const char *format;
	struct keymat *m;
	unsigned char *p;
	size_t n = 0;

	if (alg == NULL || !call_member_bool(c, "setAsDefault", &set_default) ||
	    !call_member_bool(c, "publicKeyOnly", &public_only))
		return;
	format = json_string_value(json_object_get(c->json, "format"));
	if (!is_format(format)) {
		call_bad_field(
		    c, "format", "must be raw, pem, der, pkcs8 or jwk");
		return;
	}
	p = json_util_unbase64(
	    json_util_get(c->json, "keyMaterial"), false, &n);
	if (p == NULL) {
		call_bad_field(c, "keyMaterial", "must be base64");
		return;
	}
	m = keymat_import(alg, format, p, n, public_only);
	free(p);
	if (m == NULL)
		call_bad_field(c, "keyMaterial",
		    "is no key of this algorithm in this format");
	else
		add_key(c, m, set_default);
}

static void
keys_get(struct call *c)
{
	struct key *k = find(c);

	if (k != NULL)
		call_json(c, 200, key_object(k));
}

static void
touch(struct call *c, struct key *k)
{
	store_set_new(c->tenant->keys, &k->item, KEY_UPDATED_AT,
	    timefmt_stamp(k->field[KEY_UPDATED_AT]));
}

/* "active" or "disabled", which reads back as "inactive". */
static bool
set_status(struct call *c, struct key *k, json_t *status)
{
	struct store *st = c->tenant->keys;
	const char *s = json_string_value(status);
	bool active = s != NULL && strcmp(s, "active") == 0;

	if (s == NULL || (!active && strcmp(s, "disabled") != 0)) {
		call_bad_field(c, "status", "must be active or disabled");
		return false;
	}
	if (k->field[KEY_SCHEDULED_DELETION_DATE] != NULL) {
		call_error(
		    c, 409, NULL, "The key is scheduled for deletion.", NULL);
		return false;
	}
	store_set_new(st, &k->item, KEY_STATUS,
	    json_string(active ? "active" : "inactive"));
	store_set_new(st, &k->item, KEY_IS_ACTIVE, json_boolean(active));
	return true;
}

static void
keys_patch(struct call *c)
{
	struct key *k = find(c);
	json_t *name, *status, *text;

	if (k == NULL || !call_body(c, false) ||
	    !check_body(c, RULE_PATCH, true))
		return;
	name = json_util_get(c->json, "name");
	status = json_util_get(c->json, "status");
	text = json_util_get(c->json, "description");
	if ((name != NULL && !name_is_free(c, name, k)) ||
	    (status != NULL && !json_is_null(status) &&
		!set_status(c, k, status)))
		return;
	if (name != NULL)
		store_set(c->tenant->keys, &k->item, KEY_NAME, name);
	if (text != NULL)
		store_set(c->tenant->keys, &k->item, KEY_DESCRIPTION, text);
	touch(c, k);
	call_json(c, 200, key_object(k));
}

static void
keys_delete(struct call *c)
{
	struct store *st = c->tenant->keys;
	struct key *k = find(c);
	int64_t days = 30, now = timefmt_now_us();
	json_t *v;

	if (k == NULL || !call_query_int(c, "scheduleDays", 0,
			     KEYS_MAX_SCHEDULE_DAYS, &days))
		return;
	store_set_new(st, &k->item, KEY_STATUS,
	    json_string(days == 0 ? "deleted" : "scheduled_deletion"));
	store_set_new(st, &k->item, KEY_STATE, json_string("pendingDeletion"));
	store_set(st, &k->item, KEY_IS_ACTIVE, json_false());
	store_set(st, &k->item, KEY_IS_DEFAULT, json_false());
	store_set_new(st, &k->item, KEY_SCHEDULED_DELETION_DATE,
	    timefmt_json(now - now % 1000000 + days * 86400 * 1000000));
	touch(c, k);
	v = key_object(k);
	if (days == 0)
		store_remove(st, &k->item);
	call_json(c, 200, v);
}

static void
keys_rotate(struct call *c)
{
	struct store *st = c->tenant->keys;
	struct key *k = find_active(c);
	const struct key_version *old;
	bool set_default = true;
	struct keymat *m;
	json_t *name, *v;

	if (k == NULL || !call_body(c, true) ||
	    !call_member_bool(c, "setAsDefault", &set_default) ||
	    !check_body(c, RULE_PATCH, true))
		return;
	name = json_util_get(c->json, "name");
	if (name != NULL && !name_is_free(c, name, k))
		return;
	old = key_current(k);
	m = keymat_generate(old->material->alg);
	if (m == NULL) {
		call_error(c, 500, NULL, "The key was not made.", NULL);
		return;
	}
	key_rotate(st, k, m);
	if (name != NULL)
		store_set(st, &k->item, KEY_NAME, name);
	if (set_default)
		key_set_default(st, k);
	v = key_object(k);
	json_object_set(v, "keyId", k->field[KEY_ID]);
	json_object_set(v, "newVersion", k->field[KEY_VERSION]);
	json_object_set_new(
	    v, "previousVersion", json_integer(key_current(k)->version - 1));
	json_object_set(v, "rotatedAt", k->field[KEY_LAST_ROTATED_AT]);
	call_json(c, 200, v);
}

static json_t *
version_row(const struct key *k, const struct key_version *v)
{
	bool current = v == key_current(k);

	return json_pack("{s:O, s:I, s:O, s:o, s:o, s:b, s:o}", "id", v->id,
	    "version", (json_int_t)v->version, "createdAt", v->created_at,
	    "rotatedAt", json_util_or_null(v->rotated_at), "revokedAt",
	    json_util_or_null(v->revoked_at), "isActive",
	    current && key_is_active(k), "state",
	    current ? json_util_or_null(k->field[KEY_STATE])
		    : json_string("deprecated"));
}

static void
keys_versions(struct call *c)
{
	struct key *k = find(c);
	json_t *list;

	if (k == NULL)
		return;
	list = json_array();
	for (size_t i = k->n_versions; i > 0; i--)
		json_array_append_new(list, version_row(k, &k->version[i - 1]));
	call_json(c, 200,
	    json_pack("{s:O, s:O, s:o}", "keyName", k->field[KEY_NAME],
		"minDecryptionVersion", k->field[KEY_MIN_DECRYPTION_VERSION],
		"versions", list));
}

void
key_configure(struct call *c, struct key *k)
{
	json_t *v;

	if (k == NULL || key_is_deleted(k)) {
		call_not_found(c, "key");
		return;
	}
	if (!call_body(c, false))
		return;
	v = json_util_get(c->json, "minDecryptionVersion");
	if (!json_is_integer(v) || json_integer_value(v) < 1 ||
	    json_integer_value(v) > key_current(k)->version) {
		call_error(c, 400, "invalid_min_decryption_version",
		    "minDecryptionVersion must be from 1 to the latest "
		    "version.",
		    NULL);
		return;
	}
	store_set(c->tenant->keys, &k->item, KEY_MIN_DECRYPTION_VERSION, v);
	touch(c, k);
	call_json(c, 200,
	    json_pack("{s:O, s:O, s:O}", "keyName", k->field[KEY_NAME],
		"latestVersion", k->field[KEY_VERSION], "minDecryptionVersion",
		v));
}

static void
keys_min_version(struct call *c)
{
	key_configure(c, key_find(c->tenant->keys, c->match.param[0]));
}

static void
keys_set_default(struct call *c)
{
	struct key *k = find_active(c);
	const char *type;

	if (k == NULL || !call_body(c, false))
		return;
	if ((type = key_type(c)) == NULL)
		return;
	if (strcmp(type, item_text(&k->item, KEY_TYPE)) != 0) {
		call_bad_field(c, "keyType", "is not that of the key");
		return;
	}
	key_set_default(c->tenant->keys, k);
	touch(c, k);
	call_empty(c, 204);
}

/* publicKey in one of the formats; NULL: there is no public half. */
static json_t *
public_key(const struct keymat *m, const char *format)
{
	size_t n = 0;
	unsigned char *p = NULL;
	char *pem;
	json_t *v;

	if (strcmp(format, "pem") == 0) {
		pem = keymat_pem(m);
		v = pem == NULL ? NULL : json_string(pem);
		free(pem);
		return v;
	}
	p = strcmp(format, "der") == 0 ? keymat_der(m, &n) : keymat_raw(m, &n);
	v = p == NULL ? NULL : json_util_base64(p, n);
	free(p);
	return v;
}

static void
answer_public(struct call *c, const struct key *k, const char *format,
    uint32_t fields, bool all)
{
	json_t *public = public_key(key_current(k)->material, format), *v;

	if (public == NULL) {
		call_error(c, 409, NULL, "The key has no public half.", NULL);
		return;
	}
	v = json_pack("{s:O, s:O, s:O, s:O, s:o, s:s}", "keyId",
	    k->field[KEY_ID], "id", k->field[KEY_ID], "algorithm",
	    k->field[KEY_ALGORITHM], "version", k->field[KEY_VERSION],
	    "publicKey", public, "format", format);
	json_object_update_new(
	    v, store_object(&key_kind, &k->item, fields, all));
	call_json(c, 200, v);
}

static void
keys_public(struct call *c)
{
	const char *format = query_get(&c->query, "format");
	struct key *k = find(c);
	uint32_t fields;
	bool all;
	json_t *jwk;

	if (k == NULL)
		return;
	if (format == NULL)
		format = "raw";
	if (!is_format(format) || strcmp(format, "pkcs8") == 0) {
		call_bad_field(c, "format", "must be raw, pem, der or jwk");
	} else if (strcmp(format, "jwk") != 0) {
		if (include_parse(c, &key_kind, KEYS_TOKENS, &fields, &all))
			answer_public(c, k, format, fields, all);
	} else {
		jwk = keymat_jwk(
		    key_current(k)->material, item_text(&k->item, KEY_ID));
		if (jwk == NULL)
			call_error(
			    c, 409, NULL, "The key has no public half.", NULL);
		else
			call_json(c, 200, jwk);
	}
}

static void
keys_public_key(struct call *c)
{
	const char *format = query_get(&c->query, "format");
	struct key *k = find(c);

	if (k == NULL)
		return;
	if (format == NULL)
		format = "pem";
	if (strcmp(format, "pem") != 0 && strcmp(format, "der") != 0)
		call_bad_field(c, "format", "must be pem or der");
	else
		answer_public(c, k, format, 0, false);
}

static bool
field_is(const struct key *k, size_t field, const char *want)
{
	const char *s = item_text(&k->item, field);

	return want == NULL || (s != NULL && strcmp(s, want) == 0);
}

/* Rows of one key: one, or one a version. Returns how many. */
static size_t
add_rows(const struct key *k, bool all_versions, size_t n,
    const struct include_page *page, json_t *list)
{
	size_t first = (page->page - 1) * page->size, start = n;
	size_t i = all_versions ? 0 : k->n_versions - 1;

	for (; i < k->n_versions; i++, n++) {
		if (n >= first && n - first < page->size)
			json_array_append_new(
			    list, key_version_object(k, &k->version[i]));
	}
	return n - start;
}

static void
keys_list(struct call *c)
{
	const char *type = query_get(&c->query, "keyType");
	const char *status = query_get(&c->query, "status");
	struct store *st = c->tenant->keys;
	struct include_page page;
	bool all_versions = false;
	size_t total = 0;
	json_t *list;

	if (!include_page(c, &page) ||
	    !call_query_bool(c, "allVersions", &all_versions))
		return;
	list = json_array();
	for (size_t i = 0; i < store_count(st); i++) {
		const struct key *k = (const struct key *)store_at(st, i);

		if (!key_is_deleted(k) && field_is(k, KEY_TYPE, type) &&
		    field_is(k, KEY_STATUS, status))
			total += add_rows(k, all_versions, total, &page, list);
	}
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I, s:b}", "keys", list, "total",
		(json_int_t)total, "page", (json_int_t)page.page, "pageSize",
		(json_int_t)page.size, "hasMore",
		total > page.page * page.size));
}

const struct route keys_routes[] = {
    {"GET", "/keys", "keys:read", keys_list},
    {"POST", "/keys", "keys:write", keys_create},
    {"POST", "/keys/import", "keys:write", keys_import},
    {"GET", "/keys/{id}", "keys:read", keys_get},
    {"PATCH", "/keys/{id}", "keys:write", keys_patch},
    {"DELETE", "/keys/{id}", "keys:write", keys_delete},
    {"POST", "/keys/{id}/rotate", "keys:write", keys_rotate},
    {"GET", "/keys/{id}/versions", "keys:read", keys_versions},
    {"PUT", "/keys/{id}/min-decryption-version", "keys:write",
	keys_min_version},
    {"POST", "/keys/{id}/set-default", "keys:write", keys_set_default},
    {"GET", "/keys/{id}/public", "keys:read", keys_public},
    {"GET", "/keys/{id}/public-key", "keys:read", keys_public_key},
    {NULL, NULL, NULL, NULL},
};
