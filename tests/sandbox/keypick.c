#include "keypick.h"

#include "call.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "keyuse.h"
#include "mem.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

/* keyType, and whether something new is made. */
static const struct {
	const char *type;
	bool makes;
} uses[] = {
    [KEYPICK_ENCRYPT] = {"encryption", true},
    [KEYPICK_DECRYPT] = {"encryption", false},
    [KEYPICK_SIGN] = {"signing", true},
    [KEYPICK_VERIFY] = {"signing", false},
    [KEYPICK_MAC] = {"hmac", true},
};

static bool
is(const struct key *k, size_t field, const char *want)
{
	const char *s = item_text(&k->item, field);

	return s != NULL && strcmp(s, want) == 0;
}

static bool
has_expired(const struct key *k)
{
	const char *s = item_text(&k->item, KEY_EXPIRES_AT);
	int64_t us;

	return s != NULL && timefmt_parse(s, &us) && us <= timefmt_now_us();
}

static struct key *
check(struct call *c, struct key *k, enum keypick_use use)
{
	const char *why = NULL;

	if (k == NULL || key_is_deleted(k)) {
		call_not_found(c, "key");
		return NULL;
	}
	audit_key(c, k, 0);
	if (!is(k, KEY_TYPE, uses[use].type)) {
		why = "The key is not of a type that does this.";
	} else if (is(k, KEY_STATE, "revoked")) {
		keypick_refuse(c, "key_revoked");
		return NULL;
	} else if (!key_is_active(k)) {
		why = "The key is not active.";
	} else if (uses[use].makes && is(k, KEY_STATE, "deprecated")) {
		why = "The key is deprecated: it only decrypts and verifies.";
	} else if (uses[use].makes && has_expired(k)) {
		why = "The key has expired: it only decrypts and verifies.";
	}
	if (why == NULL)
		return k;
	call_error(c, 409, NULL, why, NULL);
	return NULL;
}

struct key *
keypick_id(struct call *c, const char *id, enum keypick_use use)
{
	return check(c, key_find(c->tenant->keys, id), use);
}

struct key *
keypick_name(struct call *c, const char *name, enum keypick_use use)
{
	struct item *it = store_find_name(c->tenant->keys, name);

	return check(c, (struct key *)it, use);
}

struct key *
keypick_default(struct call *c, enum keypick_use use)
{
	const struct store *st = c->tenant->keys;

	for (size_t i = 0; i < store_count(st); i++) {
		struct key *k = (struct key *)store_at(st, i);

		if (json_is_true(k->field[KEY_IS_DEFAULT]) &&
		    is(k, KEY_TYPE, uses[use].type))
			return check(c, k, use);
	}
	call_error(c, 404, NULL,
	    "There is no default key for this: give keyId, or make a key with "
	    "setAsDefault.",
	    NULL);
	return NULL;
}

const char *
keypick_version(
    const struct key *k, int64_t version, const struct key_version **ret_v)
{
	const struct key_version *v = key_version(k, version);

	if (v == NULL)
		return "decryption_failed";
	if (version < json_integer_value(k->field[KEY_MIN_DECRYPTION_VERSION]))
		return "key_version_below_minimum";
	if (v->revoked_at != NULL)
		return "key_revoked";
	*ret_v = v;
	return NULL;
}

void
keypick_refuse(struct call *c, const char *code)
{
	static const char *const messages[][2] = {
	    {"decryption_failed",
		"The ciphertext cannot be read, was made with another key or "
		"other associated data, or has been changed."},
	    {"key_revoked", "The key has been revoked."},
	    {"key_version_below_minimum",
		"This was made with a version of the key below its minimum "
		"decryption version."},
	};
	size_t i = 0;

	while (strcmp(messages[i][0], code) != 0)
		i++;
	call_error(c, i == 0 ? 400 : 403, messages[i][0], messages[i][1], NULL);
}

const struct key_version *
keypick_current(struct call *c, const struct key *k, bool need_private)
{
	const struct key_version *v = key_current(k);

	audit_key(c, k, v->version);
	if (v->revoked_at != NULL) {
		keypick_refuse(c, "key_revoked");
		return NULL;
	}
	if (need_private && !keyuse_has_private(v->material)) {
		call_error(
		    c, 409, NULL, "The key has no private half.", NULL);
		return NULL;
	}
	return v;
}

unsigned char *
keypick_bytes(const json_t *obj, const char *name, bool default_utf8,
    size_t *ret_len, bool *ret_utf8, const char **ret_field,
    const char **ret_problem)
{
	json_t *v = json_util_get(obj, name);
	json_t *encoding = json_util_get(obj, "encoding");
	const char *s = json_string_value(encoding);
	bool utf8 = default_utf8;
	unsigned char *p = NULL;

	if (encoding != NULL && !json_is_null(encoding)) {
		if (s == NULL ||
		    (strcmp(s, "utf8") != 0 && strcmp(s, "base64") != 0)) {
			*ret_field = "encoding";
			*ret_problem = "must be utf8 or base64";
			return NULL;
		}
		utf8 = strcmp(s, "utf8") == 0;
	}
	if (utf8 && json_is_string(v)) {
		*ret_len = json_string_length(v);
		p = (unsigned char *)mem_bytes(json_string_value(v), *ret_len);
	} else if (!utf8) {
		p = json_util_unbase64(v, false, ret_len);
	}
	if (ret_utf8 != NULL)
		*ret_utf8 = utf8;
	*ret_field = name;
	*ret_problem = utf8 ? "must be a string" : "must be base64";
	return p;
}

void
keypick_mark(json_t *answer, const struct key_version *v)
{
	if (keymat_is_stand_in(v->material))
		json_object_set_new(answer, "standIn", json_true());
}

bool
keypick_algorithm(struct call *c)
{
	json_t *v = json_util_get(c->json, "algorithm");
	const char *s = json_string_value(v);

	if (v == NULL || json_is_null(v) ||
	    (s != NULL && keymat_alg(s) != NULL))
		return true;
	call_bad_field(c, "algorithm", "is not supported");
	return false;
}
