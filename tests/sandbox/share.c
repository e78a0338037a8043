/*
 * Requests on /vault/share and /share. As the service does, this keeps no
 * token, only what tells whether a given one is it.
 */
#include "share.h"

#include "asset.h"
#include "call.h"
#include "json_util.h"
#include "mem.h"
#include "secret.h"
#include "tenant.h"
#include "thing.h"
#include "timefmt.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_HOUR_US (3600LL * 1000000)
#define SHARE_MAX_HOURS 720

enum share_field {
	SHARE_ID = STORE_ID,
	SHARE_TOKEN_HASH = STORE_NAME,
	SHARE_SECRET_ID,
	SHARE_CREATED_AT,
	SHARE_EXPIRES_AT,
	SHARE_MAX_ACCESS_COUNT, /* NULL: no limit */
	SHARE_ACCESS_COUNT,
	SHARE_PASSWORD_HASH, /* NULL: none */
	SHARE_CREATED_BY,
	SHARE_REVOKED, /* NULL: no */
	SHARE_FIELDS
};

static const char *const field_names[SHARE_FIELDS] = {
    [SHARE_ID] = "id",
    [SHARE_TOKEN_HASH] = "tokenHash",
    [SHARE_SECRET_ID] = "secretId",
    [SHARE_CREATED_AT] = "createdAt",
    [SHARE_EXPIRES_AT] = "expiresAt",
    [SHARE_MAX_ACCESS_COUNT] = "maxAccessCount",
    [SHARE_ACCESS_COUNT] = "accessCount",
    [SHARE_PASSWORD_HASH] = "passwordHash",
    [SHARE_CREATED_BY] = "createdBy",
    [SHARE_REVOKED] = "revoked",
};

const struct store_kind share_kind = {
    .fields = field_names,
    .n_fields = SHARE_FIELDS,
    .created_at = SHARE_CREATED_AT,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

/* A new JSON string. */
static json_t *
hash_text(const char *salt, const char *s, size_t n)
{
	unsigned char h[crypto_generichash_BYTES];
	char hex[sizeof(h) * 2 + 1];
	struct text all = {0};

	text_str(&all, salt);
	text_char(&all, '\0');
	text_add(&all, s, n);
	crypto_generichash(
	    h, sizeof(h), (const unsigned char *)all.p, all.len, NULL, 0);
	text_done(&all);
	return json_string(sodium_bin2hex(hex, sizeof(hex), h, sizeof(h)));
}

static json_t *
hash_token(const char *token)
{
	return hash_text("token", token, strlen(token));
}

static json_t *
hash_password(const char *link_id, const json_t *password)
{
	return hash_text(link_id, json_string_value(password),
	    json_string_length(password));
}

static bool
has_expired(const struct item *it)
{
	int64_t us;

	return timefmt_parse(item_text(it, SHARE_EXPIRES_AT), &us) &&
	       us <= timefmt_now_us();
}

static bool
is_exhausted(const struct item *it)
{
	const json_t *max = it->field[SHARE_MAX_ACCESS_COUNT];

	return max != NULL &&
	       json_integer_value(it->field[SHARE_ACCESS_COUNT]) >=
		   json_integer_value(max);
}

/* The secret, while its value can be had; NULL: the link is retired. */
static const struct secret *
shared(const struct tenant *t, const struct item *it)
{
	const struct secret *s =
	    secret_find(t->secrets, item_text(it, SHARE_SECRET_ID));

	return s != NULL && secret_is_active(s) ? s : NULL;
}

static const char *
status(const struct tenant *t, const struct item *it)
{
	if (it->field[SHARE_REVOKED] != NULL)
		return "Revoked";
	if (shared(t, it) == NULL)
		return "Retired";
	if (has_expired(it))
		return "Expired";
	return is_exhausted(it) ? "Exhausted" : "Active";
}

/* Of those created within a second each has a time of its own. */
static json_t *
next_stamp(const struct store *st)
{
	size_t n = store_count(st);

	return timefmt_stamp(
	    n == 0 ? NULL : store_at(st, n - 1)->field[SHARE_CREATED_AT]);
}

/* What the body asks for. false: answered. */
static bool
read_wish(struct call *c, int64_t *ret_hours, json_t **ret_max)
{
	json_t *password = json_util_get(c->json, "password");
	json_t *max = json_util_get(c->json, "maxAccessCount");
	int64_t n = 0;

	*ret_hours = 24;
	if (!call_member_int(
		c, "expiresInHours", 1, SHARE_MAX_HOURS, ret_hours) ||
	    !call_member_int(c, "maxAccessCount", 1, INT32_MAX, &n))
		return false;
	if (password != NULL && !json_is_null(password) &&
	    json_string_length(password) == 0) {
		call_bad_field(c, "password", "must be a string, not empty");
		return false;
	}
	*ret_max = json_is_integer(max) ? max : NULL;
	return true;
}

static void
set_all(struct call *c, struct item *it, const char *token, int64_t hours,
    json_t *max)
{
	json_t *password = json_util_get(c->json, "password");
	int64_t us = 0;

	json_decref(it->field[SHARE_TOKEN_HASH]);
	it->field[SHARE_TOKEN_HASH] = hash_token(token);
	it->field[SHARE_SECRET_ID] =
	    json_incref(json_util_get(c->json, "secretId"));
	json_decref(it->field[SHARE_CREATED_AT]);
	it->field[SHARE_CREATED_AT] = next_stamp(c->tenant->shares);
	(void)timefmt_parse(item_text(it, SHARE_CREATED_AT), &us);
	it->field[SHARE_EXPIRES_AT] =
	    timefmt_json(us - us % 1000000 + hours * SHARE_HOUR_US);
	it->field[SHARE_MAX_ACCESS_COUNT] = json_incref(max);
	it->field[SHARE_ACCESS_COUNT] = json_integer(0);
	it->field[SHARE_CREATED_BY] = call_actor(c);
	if (json_is_string(password))
		it->field[SHARE_PASSWORD_HASH] =
		    hash_password(item_text(it, SHARE_ID), password);
}

static void
share_create(struct call *c)
{
	json_t *secret_id, *token, *max;
	const struct secret *s;
	int64_t hours;
	struct item *it;

	if (!call_body(c, false))
		return;
	secret_id = json_util_get(c->json, "secretId");
	if (!json_is_string(secret_id)) {
		call_bad_field(c, "secretId", "is required");
		return;
	}
	if (!read_wish(c, &hours, &max))
		return;
	s = secret_find(c->tenant->secrets, json_string_value(secret_id));
	if (s == NULL || !secret_is_active(s)) {
		call_not_found(c, "secret");
		return;
	}
	token = thing_random("", 43);
	it = thing_new(&share_kind, NULL, NULL);
	set_all(c, it, json_string_value(token), hours, max);
	store_add(c->tenant->shares, it);
	audit_resource(c, "ShareLink", it->field[SHARE_ID], NULL);
	call_json(c, 201,
	    json_pack("{s:O, s:o, s:O, s:O, s:o, s:b, s:O}", "id",
		it->field[SHARE_ID], "token", token, "secretId", secret_id,
		"expiresAt", it->field[SHARE_EXPIRES_AT], "maxAccessCount",
		json_util_or_null(max), "hasPassword",
		it->field[SHARE_PASSWORD_HASH] != NULL, "createdAt",
		it->field[SHARE_CREATED_AT]));
}

static json_t *
summary(const struct tenant *t, const struct item *it)
{
	return json_pack("{s:O, s:s, s:s, s:O, s:o, s:O, s:b, s:O, s:O}", "id",
	    it->field[SHARE_ID], "token", "", "status", status(t, it),
	    "expiresAt", it->field[SHARE_EXPIRES_AT], "maxAccessCount",
	    json_util_or_null(it->field[SHARE_MAX_ACCESS_COUNT]),
	    "accessCount", it->field[SHARE_ACCESS_COUNT], "hasPassword",
	    it->field[SHARE_PASSWORD_HASH] != NULL, "createdAt",
	    it->field[SHARE_CREATED_AT], "createdBy",
	    it->field[SHARE_CREATED_BY]);
}

static void
share_list(struct call *c)
{
	const char *secret_id = c->match.param[0];
	const struct store *st = c->tenant->shares;
	json_t *list;

	if (secret_find(c->tenant->secrets, secret_id) == NULL) {
		call_not_found(c, "secret");
		return;
	}
	list = json_array();
	for (size_t i = store_count(st); i > 0; i--) {
		const struct item *it = store_at(st, i - 1);

		if (strcmp(item_text(it, SHARE_SECRET_ID), secret_id) == 0)
			json_array_append_new(list, summary(c->tenant, it));
	}
	call_json(c, 200,
	    json_pack("{s:I, s:o}", "totalCount",
		(json_int_t)json_array_size(list), "links", list));
}

/* 200 and a body: the official SDK reads a 204 as "not revoked". */
static void
share_revoke(struct call *c)
{
	struct item *it = store_find(c->tenant->shares, c->match.param[0]);

	if (it == NULL) {
		call_error(c, 404, "link_not_found",
		    "The share link was not found.", NULL);
		return;
	}
	store_set(c->tenant->shares, it, SHARE_REVOKED, json_true());
	call_json(c, 200, json_pack("{s:b}", "revoked", 1));
}

/* Whoever opens a link shows no key, so it may be any tenant's. */
static struct item *
find_token(struct call *c, struct tenant **ret_tenant)
{
	json_t *hash = hash_token(c->match.param[0]);
	struct item *it = NULL;
	struct tenant *t;

	for (t = c->tenant; t != NULL; t = t->next) {
		it = store_find_name(t->shares, json_string_value(hash));
		if (it != NULL)
			break;
	}
	json_decref(hash);
	*ret_tenant = t;
	return it;
}

/* false: answered. */
static bool
may_open(struct call *c, const struct tenant *t, const struct item *it)
{
	json_t *password = json_util_get(c->json, "password"), *hash;
	bool right;

	if (it == NULL || it->field[SHARE_REVOKED] != NULL ||
	    has_expired(it)) {
		call_error(c, 404, "link_not_found",
		    "The share link is unknown or has expired.", NULL);
		return false;
	}
	if (shared(t, it) == NULL) {
		call_error(c, 410, "link_retired",
		    "What the share link shows is no longer there.", NULL);
		return false;
	}
	if (is_exhausted(it)) {
		call_error(c, 400, "link_exhausted",
		    "The share link has been opened as often as it may be.",
		    NULL);
		return false;
	}
	if (it->field[SHARE_PASSWORD_HASH] == NULL)
		return true;
	if (!json_is_string(password)) {
		call_error(c, 400, "password_required",
		    "The share link needs a password.", NULL);
		return false;
	}
	hash = hash_password(item_text(it, SHARE_ID), password);
	right = json_equal(hash, it->field[SHARE_PASSWORD_HASH]) != 0;
	json_decref(hash);
	if (!right)
		call_error(c, 400, "invalid_password",
		    "The password is wrong.", NULL);
	return right;
}

static void
share_open(struct call *c)
{
	struct tenant *t;
	struct item *it;
	json_t *count, *nobody;

	if (!call_body(c, true))
		return;
	it = find_token(c, &t);
	/* The path holds the token, which is not to be kept anywhere. */
	nobody = json_string(AUDIT_NO_ID);
	audit_resource(
	    c, "ShareLink", it == NULL ? nobody : it->field[SHARE_ID], NULL);
	json_decref(nobody);
	if (it != NULL)
		c->tenant = t;
	if (!may_open(c, t, it))
		return;
	count = json_integer(
	    json_integer_value(it->field[SHARE_ACCESS_COUNT]) + 1);
	store_set(t->shares, it, SHARE_ACCESS_COUNT, count);
	call_json(c, 200,
	    json_pack("{s:O, s:o, s:O}", "value",
		shared(t, it)->field[SECRET_VALUE], "accessCount", count,
		"expiresAt", it->field[SHARE_EXPIRES_AT]));
}

const struct route share_routes[] = {
    {"POST", "/vault/share", "secrets:write", share_create},
    {"GET", "/vault/share/by-secret/{secretId}", "secrets:read", share_list},
    {"DELETE", "/vault/share/{linkId}", "secrets:write", share_revoke},
    {"POST", "/share/{token}", NULL, share_open},
    {NULL, NULL, NULL, NULL},
};
