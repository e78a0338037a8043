#include "datakey.h"

#include "call.h"
#include "json_util.h"
#include "key.h"
#include "keypick.h"
#include "keyuse.h"
#include "vault.h"

#include <sodium.h>
#include <stdlib.h>

#define MAX_BYTES 32
#define MAX_LABEL 100

/* 16, 24 or 32; false: answered. */
static bool
read_size(struct call *c, int64_t *ret_n)
{
	*ret_n = MAX_BYTES;
	if (!call_member_int(c, "keyBytes", 0, INT64_MAX, ret_n))
		return false;
	if (*ret_n == 16 || *ret_n == 24 || *ret_n == 32)
		return true;
	call_bad_field(c, "keyBytes", "must be 16, 24 or 32");
	return false;
}

/* A label that is handed back; no one here reads it. false: answered. */
static bool
read_label(struct call *c, json_t **ret_label)
{
	json_t *v = json_util_get(c->json, "algorithm");
	size_t n = json_util_chars(v);

	*ret_label = NULL;
	if (v == NULL || json_is_null(v))
		return true;
	*ret_label = v;
	if (json_is_string(v) && n >= 1 && n <= MAX_LABEL)
		return true;
	call_bad_field(c, "algorithm", "must be a string of 1 to 100");
	return false;
}

/* The associated data; NULL where there is none. false: answered. */
static bool
read_context(struct call *c, unsigned char **ret_p, size_t *ret_len)
{
	json_t *v = json_util_get(c->json, "context");

	*ret_p = NULL;
	*ret_len = 0;
	if (v == NULL || json_is_null(v))
		return true;
	*ret_p = json_util_unbase64(v, false, ret_len);
	if (*ret_p != NULL)
		return true;
	call_bad_field(c, "context", "must be base64");
	return false;
}

void
datakey_answer(struct call *c, const struct key *k, bool clear, bool null)
{
	unsigned char bytes[MAX_BYTES], *context;
	const struct key_version *v;
	json_t *label, *sealed, *a;
	size_t context_len;
	int64_t n;

	if (k == NULL || !read_size(c, &n) || !read_label(c, &label) ||
	    (v = keypick_current(c, k, false)) == NULL ||
	    !read_context(c, &context, &context_len))
		return;
	randombytes_buf(bytes, sizeof(bytes));
	sealed = vault_seal(v, bytes, (size_t)n, context, context_len);
	free(context);
	if (sealed == NULL) {
		call_error(c, 500, NULL, "Encryption failed.", NULL);
		return;
	}
	a = json_object();
	if (clear)
		json_object_set_new(
		    a, "plaintextKey", json_util_base64(bytes, (size_t)n));
	else if (null)
		json_object_set_new(a, "plaintextKey", json_null());
	json_object_set_new(a, "encryptedKey", sealed);
	json_object_set(a, "keyId", k->field[KEY_ID]);
	json_object_set_new(a, "keyVersion", json_integer(v->version));
	json_object_set_new(a, "algorithm",
	    label == NULL ? json_string("AES-256-GCM") : json_incref(label));
	keypick_mark(a, v);
	call_json(c, 200, a);
}

static void
datakey_make(struct call *c)
{
	c->note.channel = "eaas";
	if (call_body(c, true))
		datakey_answer(c,
		    keypick_id(c, c->match.param[0], KEYPICK_ENCRYPT), true,
		    false);
}

static void
datakey_make_sealed(struct call *c)
{
	c->note.channel = "eaas";
	if (call_body(c, true))
		datakey_answer(c,
		    keypick_id(c, c->match.param[0], KEYPICK_ENCRYPT), false,
		    true);
}

/*
 * What others have wrapped with an RSA key's public half: plain base64, OAEP.
 * NULL: it is not.
 */
static unsigned char *
unwrap_foreign(const struct key_version *v, const json_t *text, size_t *ret_len)
{
	size_t n = 0;
	unsigned char *in = json_util_unbase64(text, false, &n), *p = NULL;

	if (in != NULL && keyuse_has_private(v->material))
		p = keyuse_oaep_open(v->material, in, n, ret_len);
	free(in);
	return p;
}

static void
unwrap(struct call *c, const struct key *k, const json_t *text,
    const unsigned char *context, size_t context_len)
{
	const struct key_version *v = key_current(k);
	const char *refusal;
	unsigned char *p = NULL;
	size_t n;
	json_t *a;

	if (v->revoked_at == NULL)
		p = unwrap_foreign(v, text, &n);
	if (p == NULL &&
	    (refusal = vault_open(
		 k, text, context, context_len, &v, &p, &n)) != NULL) {
		keypick_refuse(c, refusal);
		return;
	}
	audit_key(c, k, v->version);
	a = json_pack("{s:o, s:O, s:I}", "keyMaterial", json_util_base64(p, n),
	    "keyId", k->field[KEY_ID], "keyVersion", (json_int_t)v->version);
	keypick_mark(a, v);
	call_json(c, 200, a);
	free(p);
}

static void
datakey_unwrap(struct call *c)
{
	const struct key *k;
	unsigned char *context;
	size_t context_len;
	json_t *text;

	c->note.channel = "eaas";
	if (!call_body(c, false) ||
	    (k = keypick_id(c, c->match.param[0], KEYPICK_DECRYPT)) == NULL)
		return;
	text = json_util_get(c->json, "wrappedKey");
	if (!json_is_string(text)) {
		call_bad_field(c, "wrappedKey", "must be a string");
		return;
	}
	if (!read_context(c, &context, &context_len))
		return;
	unwrap(c, k, text, context, context_len);
	free(context);
}

const struct route datakey_routes[] = {
    {"POST", "/keys/{id}/generate-data-key", "keys:write", datakey_make},
    {"POST", "/keys/{id}/generate-data-key-without-plaintext", "keys:write",
	datakey_make_sealed},
    {"POST", "/keys/{id}/unwrap", "keys:write", datakey_unwrap},
    {NULL, NULL, NULL, NULL},
};
