#include "key.h"

#include "apply.h"
#include "ids.h"
#include "json_util.h"
#include "keymat.h"
#include "mem.h"
#include "rules.h"
#include "timefmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const field_names[KEY_FIELDS] = {
    [KEY_ID] = "id",
    [KEY_NAME] = "name",
    [KEY_TYPE] = "keyType",
    [KEY_ALGORITHM] = "algorithm",
    [KEY_VERSION] = "version",
    [KEY_CREATED_AT] = "createdAt",
    [KEY_STATUS] = "status",
    [KEY_DESCRIPTION] = "description",
    [KEY_PURPOSE] = "purpose",
    [KEY_IS_DEFAULT] = "isDefault",
    [KEY_UPDATED_AT] = "updatedAt",
    [KEY_EXPIRES_AT] = "expiresAt",
    [KEY_LABELS] = "labels",
    [KEY_IS_POST_QUANTUM] = "isPostQuantum",
    [KEY_IS_ACTIVE] = "isActive",
    [KEY_IS_FAVORITE] = "isFavorite",
    [KEY_LAST_ROTATED_AT] = "lastRotatedAt",
    [KEY_STATE] = "state",
    [KEY_SCHEDULED_DELETION_DATE] = "scheduledDeletionDate",
    [KEY_MIN_DECRYPTION_VERSION] = "minDecryptionVersion",
};

const struct rule key_rules[] = {
    {"name", KEY_NAME, RULE_NAME, 100,
	RULE_CREATE | RULE_PATCH | RULE_REQUIRED},
    {"description", KEY_DESCRIPTION, RULE_TEXT, 500, RULE_CREATE | RULE_PATCH},
    {"purpose", KEY_PURPOSE, RULE_TEXT, 0, RULE_CREATE},
    {"expiresAt", KEY_EXPIRES_AT, RULE_TIME, 0, RULE_CREATE},
    {"labels", KEY_LABELS, RULE_STRINGS, 0, RULE_CREATE},
    {"algorithm", KEY_ALGORITHM, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    /* No request sets the rest, but seeds and controls do. */
    {"id", KEY_ID, RULE_NAME, 0, 0},
    {"keyType", KEY_TYPE, RULE_NAME, 0, RULE_REQUIRED},
    {"version", KEY_VERSION, RULE_INT, 0, RULE_REQUIRED},
    {"minDecryptionVersion", KEY_MIN_DECRYPTION_VERSION, RULE_INT, 0,
	RULE_REQUIRED},
    {"status", KEY_STATUS, RULE_TEXT, 0, RULE_REQUIRED},
    {"state", KEY_STATE, RULE_TEXT, 0, 0},
    {"isActive", KEY_IS_ACTIVE, RULE_BOOL, 0, RULE_REQUIRED},
    {"isDefault", KEY_IS_DEFAULT, RULE_BOOL, 0, RULE_REQUIRED},
    {"isFavorite", KEY_IS_FAVORITE, RULE_BOOL, 0, RULE_REQUIRED},
    {"isPostQuantum", KEY_IS_POST_QUANTUM, RULE_BOOL, 0, RULE_REQUIRED},
    {"createdAt", KEY_CREATED_AT, RULE_TIME, 0, RULE_REQUIRED},
    {"updatedAt", KEY_UPDATED_AT, RULE_TIME, 0, 0},
    {"lastRotatedAt", KEY_LAST_ROTATED_AT, RULE_TIME, 0, 0},
    {"scheduledDeletionDate", KEY_SCHEDULED_DELETION_DATE, RULE_TIME, 0, 0},
    {NULL, 0, RULE_TEXT, 0, 0},
};

/* Members of a seed that are no fields. */
static const char *const skip[] = {"id", "publicKey", "keyMaterial", "format",
    "publicKeyOnly", "versionCount", "standIn", "revokedVersions", NULL};

static void
free_item(struct item *it)
{
	struct key *k = (struct key *)it;

	for (size_t i = 0; i < k->n_versions; i++) {
		json_decref(k->version[i].id);
		json_decref(k->version[i].created_at);
		json_decref(k->version[i].rotated_at);
		json_decref(k->version[i].revoked_at);
		keymat_free(k->version[i].material);
	}
	free(k->version);
	free(k);
}

const struct store_kind key_kind = {
    .fields = field_names,
    .n_fields = KEY_FIELDS,
    .created_at = KEY_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = free_item,
};

static struct key_version *
add_version(
    struct key *k, int64_t version, json_t *created_at, struct keymat *material)
{
	struct key_version *v;

	k->version =
	    mem_grow(k->version, k->n_versions + 1, sizeof(*k->version));
	v = &k->version[k->n_versions++];
	memset(v, 0, sizeof(*v));
	v->id = ids_uuid();
	v->version = version;
	v->created_at = json_incref(created_at);
	v->material = material;
	return v;
}

struct key *
key_new(json_t *id, json_t *name, const char *key_type, const char *algorithm,
    struct keymat *material)
{
	struct key *k = mem_zero(sizeof(*k));
	bool pq = material->alg->family == KEYMAT_PQ;

	k->item.field = k->field;
	k->field[KEY_ID] = id == NULL ? ids_uuid() : json_incref(id);
	k->field[KEY_NAME] = json_incref(name);
	k->field[KEY_TYPE] = json_string(key_type);
	k->field[KEY_PURPOSE] = json_string(key_type);
	k->field[KEY_ALGORITHM] = json_string(algorithm);
	k->field[KEY_VERSION] = json_integer(1);
	k->field[KEY_CREATED_AT] = timefmt_stamp(NULL);
	k->field[KEY_STATUS] = json_string("active");
	k->field[KEY_STATE] = json_string("active");
	k->field[KEY_IS_DEFAULT] = json_false();
	k->field[KEY_IS_FAVORITE] = json_false();
	k->field[KEY_IS_ACTIVE] = json_true();
	k->field[KEY_IS_POST_QUANTUM] = json_boolean(pq);
	k->field[KEY_MIN_DECRYPTION_VERSION] = json_integer(1);
	(void)add_version(k, 1, k->field[KEY_CREATED_AT], material);
	return k;
}

bool
key_is_deleted(const struct key *k)
{
	const char *date = item_text(&k->item, KEY_SCHEDULED_DELETION_DATE);
	int64_t us;

	return date != NULL && timefmt_parse(date, &us) &&
	       us <= timefmt_now_us();
}

struct key *
key_find(const struct store *st, const char *id)
{
	struct key *k = (struct key *)store_find(st, id);

	return k == NULL || key_is_deleted(k) ? NULL : k;
}

struct item *
key_item(struct key *k)
{
	return &k->item;
}

const struct key_version *
key_current(const struct key *k)
{
	return &k->version[k->n_versions - 1];
}

bool
key_is_active(const struct key *k)
{
	const char *status = item_text(&k->item, KEY_STATUS);

	return status != NULL && strcmp(status, "active") == 0;
}

const struct key_version *
key_version(const struct key *k, int64_t version)
{
	for (size_t i = 0; i < k->n_versions; i++) {
		if (k->version[i].version == version)
			return &k->version[i];
	}
	return NULL;
}

void
key_rotate(struct store *st, struct key *k, struct keymat *material)
{
	struct key_version *old = &k->version[k->n_versions - 1];
	json_t *now = timefmt_stamp(k->field[KEY_LAST_ROTATED_AT]);

	json_decref(old->rotated_at);
	old->rotated_at = json_incref(now);
	(void)add_version(k, old->version + 1, now, material);
	store_set_new(
	    st, &k->item, KEY_VERSION, json_integer(key_current(k)->version));
	store_set(st, &k->item, KEY_LAST_ROTATED_AT, now);
	store_set(st, &k->item, KEY_UPDATED_AT, now);
	json_decref(now);
}

void
key_set_default(struct store *st, struct key *k)
{
	const char *type = item_text(&k->item, KEY_TYPE);

	for (size_t i = 0; i < store_count(st); i++) {
		struct item *it = store_at(st, i);

		if (strcmp(item_text(it, KEY_TYPE), type) == 0)
			store_set(st, it, KEY_IS_DEFAULT,
			    json_boolean(it == &k->item));
	}
}

static json_t *
public_key(const struct key_version *v)
{
	size_t n = 0;
	unsigned char *raw = keymat_raw(v->material, &n);
	json_t *s = raw == NULL ? json_null() : json_util_base64(raw, n);

	free(raw);
	return s;
}

json_t *
key_object(const struct key *k)
{
	json_t *v =
	    store_object(&key_kind, &k->item, STORE_BIT(KEY_FIELDS) - 1, true);

	json_object_set_new(v, "publicKey", public_key(key_current(k)));
	json_object_set_new(
	    v, "versionCount", json_integer((json_int_t)k->n_versions));
	/* Not the service's: here the algorithm is not what it is called. */
	if (keymat_is_stand_in(key_current(k)->material))
		json_object_set_new(v, "standIn", json_true());
	return v;
}

json_t *
key_version_object(const struct key *k, const struct key_version *version)
{
	json_t *v = key_object(k);

	json_object_set(v, "createdAt", version->created_at);
	json_object_set_new(v, "version", json_integer(version->version));
	json_object_set_new(v, "publicKey", public_key(version));
	if (version != key_current(k))
		json_object_set_new(v, "state", json_string("deprecated"));
	return v;
}

static bool
fail(struct apply_problem *p, const char *field, const char *text)
{
	(void)snprintf(p->field, sizeof(p->field), "%s", field);
	p->text = text;
	return false;
}

static struct keymat *
material_of(const struct keymat_alg *alg, const json_t *obj,
    struct apply_problem *ret_problem)
{
	json_t *text = json_util_get(obj, "keyMaterial");
	json_t *public = json_util_get(obj, "publicKey");
	const char *format = json_string_value(json_object_get(obj, "format"));
	bool only = json_is_true(json_util_get(obj, "publicKeyOnly"));
	struct keymat *m;
	unsigned char *p;
	size_t n = 0;

	if (json_is_null(public))
	public = NULL;
	if (text == NULL && public == NULL)
		return keymat_generate(alg);
	p = json_util_unbase64(text != NULL ? text : public, false, &n);
	m = p == NULL ? NULL
		      : keymat_import(alg,
			    text == NULL || format == NULL ? "raw" : format, p,
			    n, only || text == NULL);
	free(p);
	if (m == NULL)
		(void)fail(ret_problem,
		    text != NULL ? "keyMaterial" : "publicKey",
		    "is no key of this algorithm in base64");
	return m;
}

static struct key *
from_seed(json_t *obj, const struct keymat_alg *alg, const char *type,
    struct apply_problem *ret_problem)
{
	json_t *id = json_util_get(obj, "id"),
	       *name = json_util_get(obj, "name");
	struct keymat *m = material_of(alg, obj, ret_problem);
	struct key *k;

	if (m == NULL)
		return NULL;
	k = key_new(id, name == NULL ? json_null() : name, type,
	    json_string_value(json_util_get(obj, "algorithm")), m);
	if (name == NULL) {
		json_decref(k->field[KEY_NAME]);
		k->field[KEY_NAME] = json_incref(k->field[KEY_ID]);
	}
	apply_fields(NULL, &key_kind, &k->item, obj, skip);
	k->version[0].version = json_integer_value(k->field[KEY_VERSION]);
	json_decref(k->version[0].created_at);
	k->version[0].created_at = json_incref(k->field[KEY_CREATED_AT]);
	return k;
}

static const char *
default_type(const struct keymat_alg *alg)
{
	if (alg->uses & KEYMAT_FOR_ENCRYPTION)
		return "encryption";
	return alg->uses & KEYMAT_FOR_SIGNING ? "signing" : "hmac";
}

bool
key_seed(struct store *st, json_t *obj, struct apply_problem *ret_problem)
{
	const char *id, *name, *type;
	const struct keymat_alg *alg;
	struct key *k;

	if (!apply_check(key_rules, obj, true, ret_problem))
		return false;
	if ((id = json_string_value(json_util_get(obj, "id"))) != NULL &&
	    store_find(st, id) != NULL)
		return fail(ret_problem, "id", "is there twice");
	name = json_string_value(json_util_get(obj, "algorithm"));
	if (name == NULL || (alg = keymat_alg(name)) == NULL)
		return fail(
		    ret_problem, "algorithm", "is missing or not known");
	type = json_string_value(json_util_get(obj, "keyType"));
	if (type == NULL)
		type = default_type(alg);
	if (!(keymat_use(type) & alg->uses))
		return fail(
		    ret_problem, "keyType", "does not go with the algorithm");
	k = from_seed(obj, alg, type, ret_problem);
	if (k == NULL)
		return false;
	store_add(st, &k->item);
	return true;
}

/* All versions in the array are revoked from now on, the others are not. */
static void
revoke(struct key *k, const json_t *versions)
{
	for (size_t i = 0; i < k->n_versions; i++) {
		struct key_version *v = &k->version[i];
		bool revoked = false;

		for (size_t j = 0; j < json_array_size(versions); j++)
			revoked |= json_integer_value(json_array_get(
				       versions, j)) == v->version;
		if (revoked == (v->revoked_at != NULL))
			continue;
		json_decref(v->revoked_at);
		v->revoked_at = revoked ? timefmt_stamp(NULL) : NULL;
	}
}

bool
key_apply(struct store *st, struct key *k, json_t *obj,
    struct apply_problem *ret_problem)
{
	struct key_version *v = &k->version[k->n_versions - 1];
	struct keymat *m = NULL;

	if (!apply_check(key_rules, obj, false, ret_problem))
		return false;
	if (json_util_get(obj, "publicKey") != NULL ||
	    json_util_get(obj, "keyMaterial") != NULL) {
		m = material_of(v->material->alg, obj, ret_problem);
		if (m == NULL)
			return false;
		keymat_free(v->material);
		v->material = m;
	}
	if (json_is_array(json_object_get(obj, "revokedVersions")))
		revoke(k, json_object_get(obj, "revokedVersions"));
	apply_fields(st, &key_kind, &k->item, obj, skip);
	v->version = json_integer_value(k->field[KEY_VERSION]);
	return true;
}
