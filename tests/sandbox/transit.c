/*
 * /transit: the same cryptography on keys found by their name, with the
 * version in what it gives.
 */
#include "call.h"
#include "datakey.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "keypick.h"
#include "keyuse.h"
#include "store.h"
#include "tenant.h"
#include "vault.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BATCH 100

/* Body and key of a request. NULL: answered. */
static struct key *
start(struct call *c, bool no_body, enum keypick_use use)
{
	c->note.channel = "transit";
	if (!call_body(c, no_body))
		return NULL;
	return keypick_name(c, c->match.param[0], use);
}

/* The member "data", base64; NULL: answered. */
static unsigned char *
need_data(struct call *c, size_t *ret_len)
{
	unsigned char *p =
	    json_util_unbase64(json_util_get(c->json, "data"), false, ret_len);

	if (p == NULL)
		call_bad_field(c, "data", "must be base64");
	return p;
}

/* The member of that name, a string; NULL: answered. */
static json_t *
need_text(struct call *c, const char *name)
{
	json_t *v = json_util_get(c->json, name);

	if (json_is_string(v))
		return v;
	call_bad_field(c, name, "must be a string");
	return NULL;
}

static void
transit_encrypt(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_ENCRYPT);
	const struct key_version *v;
	const char *field, *problem;
	unsigned char *p;
	size_t n = 0;
	json_t *text, *a;

	if (k == NULL)
		return;
	p = keypick_bytes(
	    c->json, "plaintext", false, &n, NULL, &field, &problem);
	if (p == NULL) {
		call_bad_field(c, field, problem);
		return;
	}
	if ((v = keypick_current(c, k, false)) != NULL) {
		text = vault_seal(v, p, n, NULL, 0);
		a = json_pack("{s:o, s:O, s:I}", "ciphertext", text, "keyName",
		    k->field[KEY_NAME], "keyVersion", (json_int_t)v->version);
		if (a == NULL) {
			call_error(c, 500, NULL, "Encryption failed.", NULL);
		} else {
			keypick_mark(a, v);
			call_json(c, 200, a);
		}
	}
	free(p);
}

/* Open the ciphertext of the body. false: answered. */
static bool
open_body(struct call *c, const struct key *k,
    const struct key_version **ret_v, unsigned char **ret_p, size_t *ret_len)
{
	json_t *text = need_text(c, "ciphertext");
	const char *refusal;

	if (text == NULL)
		return false;
	refusal = vault_open(k, text, NULL, 0, ret_v, ret_p, ret_len);
	if (refusal != NULL) {
		keypick_refuse(c, refusal);
		return false;
	}
	audit_key(c, k, (*ret_v)->version);
	return true;
}

static void
transit_decrypt(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_DECRYPT);
	const struct key_version *v;
	unsigned char *p;
	size_t n;
	json_t *a;

	if (k == NULL || !open_body(c, k, &v, &p, &n))
		return;
	a = json_pack("{s:o}", "plaintext", json_util_base64(p, n));
	keypick_mark(a, v);
	call_json(c, 200, a);
	free(p);
}

static void
transit_rewrap(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_ENCRYPT);
	const struct key_version *v;
	unsigned char *p;
	size_t n;
	json_t *a;

	if (k == NULL || !open_body(c, k, &v, &p, &n))
		return;
	if ((v = keypick_current(c, k, false)) != NULL) {
		a = json_pack("{s:o, s:I}", "ciphertext",
		    vault_seal(v, p, n, NULL, 0), "keyVersion",
		    (json_int_t)v->version);
		if (a == NULL) {
			call_error(c, 500, NULL, "Encryption failed.", NULL);
		} else {
			keypick_mark(a, v);
			call_json(c, 200, a);
		}
	}
	free(p);
}

static void
transit_datakey(struct call *c)
{
	datakey_answer(c, start(c, true, KEYPICK_ENCRYPT), true, false);
}

static void
transit_datakey_sealed(struct call *c)
{
	datakey_answer(c, start(c, true, KEYPICK_ENCRYPT), false, false);
}

static void
transit_hmac(struct call *c)
{
	static const struct {
		const char *name;
		int bits;
	} hashes[] = {{"sha256", 256}, {"sha384", 384}, {"sha512", 512}};
	struct key *k = start(c, false, KEYPICK_MAC);
	json_t *algorithm = k == NULL ? NULL : json_util_get(c->json, "algorithm");
	const struct key_version *v;
	unsigned char mac[KEYUSE_MAX_MAC], *p;
	size_t i = 0, n = 0, len;

	if (k == NULL)
		return;
	if (algorithm != NULL && !json_is_null(algorithm)) {
		const char *s = json_string_value(algorithm);

		while (i < 3 && (s == NULL || strcmp(s, hashes[i].name) != 0))
			i++;
		if (i == 3) {
			call_bad_field(c, "algorithm",
			    "must be sha256, sha384 or sha512");
			return;
		}
	}
	if ((p = need_data(c, &n)) == NULL)
		return;
	if ((v = keypick_current(c, k, true)) != NULL) {
		len = keyuse_mac(v->material, hashes[i].bits, p, n, mac);
		call_json(c, 200,
		    json_pack("{s:o, s:s, s:I}", "hmac",
			vault_text(v->version, mac, len), "algorithm",
			hashes[i].name, "keyVersion", (json_int_t)v->version));
	}
	free(p);
}

static void
transit_sign(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_SIGN);
	const struct key_version *v;
	unsigned char *p, *sig;
	size_t n = 0, len;
	json_t *a;

	if (k == NULL || !keypick_algorithm(c) ||
	    (p = need_data(c, &n)) == NULL)
		return;
	if ((v = keypick_current(c, k, true)) != NULL) {
		sig = keyuse_sign(v->material, p, n, &len);
		if (sig == NULL) {
			call_error(c, 500, NULL, "Signing failed.", NULL);
		} else {
			a = json_pack("{s:o, s:O, s:O, s:I}", "signature",
			    vault_text(v->version, sig, len), "algorithm",
			    k->field[KEY_ALGORITHM], "keyName",
			    k->field[KEY_NAME], "keyVersion",
			    (json_int_t)v->version);
			keypick_mark(a, v);
			call_json(c, 200, a);
		}
		free(sig);
	}
	free(p);
}

static void
verify(struct call *c, const struct key *k, const unsigned char *p, size_t n,
    int64_t version, const unsigned char *sig, size_t sig_len)
{
	const struct key_version *v = NULL;
	const char *refusal = keypick_version(k, version, &v);
	bool valid;
	json_t *a;

	/* A version that never was has signed nothing: no, not an error. */
	if (refusal != NULL && strcmp(refusal, "decryption_failed") != 0) {
		keypick_refuse(c, refusal);
		return;
	}
	valid = v != NULL && keyuse_verify(v->material, p, n, sig, sig_len);
	audit_key(c, k, v == NULL ? 0 : version);
	c->note.has_valid = true;
	c->note.valid = valid;
	a = json_pack("{s:b}", "valid", valid);
	keypick_mark(a, v == NULL ? key_current(k) : v);
	call_json(c, 200, a);
}

static void
transit_verify(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_VERIFY);
	unsigned char *p, *sig;
	size_t n = 0, sig_len;
	int64_t version;

	if (k == NULL || (p = need_data(c, &n)) == NULL)
		return;
	sig = vault_bytes(
	    json_util_get(c->json, "signature"), &version, &sig_len);
	if (sig == NULL)
		call_bad_field(
		    c, "signature", "must be vault:v<version>:<base64>");
	else
		verify(c, k, p, n, version, sig, sig_len);
	free(sig);
	free(p);
}

/* The items of a batch; NULL: answered. */
static json_t *
need_items(struct call *c)
{
	json_t *items = json_util_get(c->json, "items");
	size_t n = json_array_size(items);

	if (json_is_array(items) && n >= 1 && n <= MAX_BATCH)
		return items;
	call_bad_field(c, "items", "must be an array of 1 to 100");
	return NULL;
}

static void
note_batch(struct call *c, size_t size, size_t failed)
{
	c->note.has_batch = true;
	c->note.batch_size = (int64_t)size;
	c->note.failed_items = (int64_t)failed;
}

/* One row of the answer; a failed item has an error in place of its text. */
static json_t *
row(size_t i, const char *name, json_t *text, const char *error)
{
	return json_pack("{s:I, s:o*, s:s*}", "index", (json_int_t)i, name,
	    text, "error", error);
}

static void
transit_batch_encrypt(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_ENCRYPT);
	const struct key_version *v;
	json_t *items, *results, *a;
	size_t failed = 0;

	if (k == NULL || (items = need_items(c)) == NULL ||
	    (v = keypick_current(c, k, false)) == NULL)
		return;
	results = json_array();
	for (size_t i = 0; i < json_array_size(items); i++) {
		const char *field, *problem;
		json_t *text = NULL;
		size_t n = 0;
		unsigned char *p = keypick_bytes(json_array_get(items, i),
		    "plaintext", false, &n, NULL, &field, &problem);

		if (p != NULL)
			text = vault_seal(v, p, n, NULL, 0);
		free(p);
		failed += text == NULL;
		json_array_append_new(results,
		    row(i, "ciphertext", text,
			text == NULL ? "invalid_request" : NULL));
	}
	note_batch(c, json_array_size(items), failed);
	a = json_pack("{s:o, s:O, s:I}", "results", results, "keyName",
	    k->field[KEY_NAME], "keyVersion", (json_int_t)v->version);
	keypick_mark(a, v);
	call_json(c, 200, a);
}

/* false: answered; one that is too old or revoked refuses them all. */
static bool
open_item(struct call *c, const struct key *k, const json_t *item, size_t i,
    json_t *results, size_t *failed)
{
	const struct key_version *v = NULL;
	json_t *text = json_util_get(item, "ciphertext"), *plain = NULL;
	const char *refusal = "invalid_request";
	unsigned char *p = NULL;
	size_t n;

	if (json_is_string(text))
		refusal = vault_open(k, text, NULL, 0, &v, &p, &n);
	if (refusal == NULL)
		plain = json_util_base64(p, n);
	else if (strncmp(refusal, "key_", 4) == 0) {
		keypick_refuse(c, refusal);
		return false;
	}
	free(p);
	*failed += refusal != NULL;
	json_array_append_new(results, row(i, "plaintext", plain, refusal));
	return true;
}

static void
transit_batch_decrypt(struct call *c)
{
	struct key *k = start(c, false, KEYPICK_DECRYPT);
	json_t *items, *results, *a;
	size_t failed = 0;

	if (k == NULL || (items = need_items(c)) == NULL)
		return;
	results = json_array();
	note_batch(c, json_array_size(items), json_array_size(items));
	for (size_t i = 0; i < json_array_size(items); i++) {
		if (!open_item(c, k, json_array_get(items, i), i, results,
			&failed)) {
			json_decref(results);
			return;
		}
	}
	note_batch(c, json_array_size(items), failed);
	a = json_pack("{s:o}", "results", results);
	keypick_mark(a, key_current(k));
	call_json(c, 200, a);
}

static void
transit_config(struct call *c)
{
	struct item *it = store_find_name(c->tenant->keys, c->match.param[0]);

	c->note.channel = "transit";
	key_configure(c, (struct key *)it);
}

const struct route transit_routes[] = {
    {"POST", "/transit/encrypt/{keyName}", "encryption:write",
	transit_encrypt},
    {"POST", "/transit/decrypt/{keyName}", "encryption:write",
	transit_decrypt},
    {"POST", "/transit/rewrap/{keyName}", "encryption:write", transit_rewrap},
    {"POST", "/transit/datakey/{keyName}", "encryption:write",
	transit_datakey},
    {"POST", "/transit/datakey/{keyName}/without-plaintext",
	"encryption:write", transit_datakey_sealed},
    {"POST", "/transit/hmac/{keyName}", "encryption:write", transit_hmac},
    {"POST", "/transit/sign/{keyName}", "encryption:write", transit_sign},
    {"POST", "/transit/verify/{keyName}", "encryption:write", transit_verify},
    {"POST", "/transit/batch/encrypt/{keyName}", "encryption:write",
	transit_batch_encrypt},
    {"POST", "/transit/batch/decrypt/{keyName}", "encryption:write",
	transit_batch_decrypt},
    {"POST", "/transit/keys/{keyName}/config", "keys:write", transit_config},
    {NULL, NULL, NULL, NULL},
};
