/*
 * POST /encrypt, /decrypt, /sign and /verify: keys by their id.
 */
#include "call.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "keypick.h"
#include "keyuse.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* Both spellings: the SDK reads these answers in snake_case only. */
static void
set_both(json_t *answer, const char *camel, json_t *v)
{
	char snake[64];

	json_util_snake(camel, snake, sizeof(snake));
	json_object_set(answer, snake, v);
	json_object_set_new(answer, camel, v);
}

/* A member that must be text; NULL: answered. */
static const char *
need_text(struct call *c, const char *name)
{
	const char *s = json_string_value(json_util_get(c->json, name));

	if (s == NULL)
		call_bad_field(c, name, "must be a string");
	return s;
}

/* The same, of a member that may be absent; false: answered. */
static bool
may_have_text(struct call *c, const char *name, json_t **ret_v)
{
	json_t *v = json_util_get(c->json, name);

	*ret_v = json_is_null(v) ? NULL : v;
	if (*ret_v == NULL || json_is_string(*ret_v))
		return true;
	call_bad_field(c, name, "must be a string");
	return false;
}

/* Bytes of a member, as keypick_bytes(); NULL: answered. */
static unsigned char *
need_bytes(struct call *c, const char *name, bool default_utf8, size_t *ret_len,
    bool *ret_utf8)
{
	const char *field, *problem;
	unsigned char *p = keypick_bytes(c->json, name, default_utf8, ret_len,
	    ret_utf8, &field, &problem);

	if (p == NULL)
		call_bad_field(c, field, problem);
	return p;
}

static struct key *
named_or_default(struct call *c, const json_t *id, enum keypick_use use)
{
	return id == NULL ? keypick_default(c, use)
			  : keypick_id(c, json_string_value(id), use);
}

/* The opaque text that holds all that decryption needs. */
static json_t *
payload(const struct keyuse_sealed *s, const struct key *k,
    const struct key_version *v, bool utf8)
{
	json_t *parts =
	    json_pack("{s:o, s:o, s:o, s:o, s:O, s:I, s:s}", "c",
		json_util_base64(s->c, s->c_len), "ek",
		json_util_base64(s->ek, s->ek_len), "n",
		json_util_base64(s->nonce, sizeof(s->nonce)), "t",
		json_util_base64(s->tag, sizeof(s->tag)), "k",
		k->field[KEY_ID], "kv", (json_int_t)v->version, "e",
		utf8 ? "utf8" : "base64");
	struct text text = {0};
	json_t *base64;

	json_util_write(&text, parts);
	base64 = json_util_base64(text.p, text.len);
	text_done(&text);
	json_decref(parts);
	return base64;
}

static void
answer_encrypted(struct call *c, const struct key *k,
    const struct key_version *v, const struct keyuse_sealed *s, bool utf8)
{
	json_t *a = json_object();

	set_both(a, "encryptedPayload", payload(s, k, v, utf8));
	json_object_set_new(
	    a, "ciphertext", json_util_base64(s->c, s->c_len));
	set_both(a, "encapsulatedKey", json_util_base64(s->ek, s->ek_len));
	json_object_set_new(
	    a, "nonce", json_util_base64(s->nonce, sizeof(s->nonce)));
	json_object_set_new(
	    a, "tag", json_util_base64(s->tag, sizeof(s->tag)));
	json_object_set(a, "algorithm", k->field[KEY_ALGORITHM]);
	set_both(a, "keyId", json_incref(k->field[KEY_ID]));
	set_both(a, "keyVersion", json_integer(v->version));
	keypick_mark(a, v);
	call_json(c, 200, a);
}

static void
crypt_encrypt(struct call *c)
{
	struct keyuse_sealed s = {0};
	const struct key_version *v;
	json_t *id, *aad;
	struct key *k;
	unsigned char *p;
	size_t n = 0;
	bool utf8;

	c->note.channel = "eaas";
	if (!call_body(c, false) || !may_have_text(c, "keyId", &id) ||
	    !may_have_text(c, "additionalData", &aad) || !keypick_algorithm(c))
		return;
	if ((p = need_bytes(c, "plaintext", true, &n, &utf8)) == NULL)
		return;
	if ((k = named_or_default(c, id, KEYPICK_ENCRYPT)) != NULL &&
	    (v = keypick_current(c, k, false)) != NULL) {
		if (keyuse_seal(v->material, p, n, json_string_value(aad),
			json_string_length(aad), &s))
			answer_encrypted(c, k, v, &s, utf8);
		else
			call_error(c, 500, NULL, "Encryption failed.", NULL);
	}
	keyuse_sealed_done(&s);
	free(p);
}

/* What is to be decrypted, taken apart. */
struct parcel {
	struct keyuse_sealed sealed;
	json_t *key_id; /* owned; NULL: the default key */
	int64_t version; /* 0: the current one */
	const char *encoding; /* "utf8", "base64"; NULL: not told */
};

static void
parcel_done(struct parcel *p)
{
	keyuse_sealed_done(&p->sealed);
	json_decref(p->key_id);
}

/* Base64 of just so many bytes. */
static bool
fixed(const json_t *v, unsigned char *ret, size_t len)
{
	size_t n = 0;
	unsigned char *p = json_util_unbase64(v, false, &n);
	bool ok = p != NULL && n == len;

	if (ok)
		memcpy(ret, p, len);
	free(p);
	return ok;
}

/* The four parts under these names. false: one is not what it must be. */
static bool
unpack(const json_t *obj, const char *const names[4], struct parcel *p,
    const char **ret_bad)
{
	struct keyuse_sealed *s = &p->sealed;

	*ret_bad = names[0];
	s->c = json_util_unbase64(
	    json_util_get(obj, names[0]), false, &s->c_len);
	if (s->c == NULL)
		return false;
	*ret_bad = names[1];
	s->ek = json_util_unbase64(
	    json_util_get(obj, names[1]), false, &s->ek_len);
	if (s->ek == NULL)
		return false;
	*ret_bad = names[2];
	if (!fixed(json_util_get(obj, names[2]), s->nonce, sizeof(s->nonce)))
		return false;
	*ret_bad = names[3];
	return fixed(json_util_get(obj, names[3]), s->tag, sizeof(s->tag));
}

/* The opaque text. false: it is none that an encryption has given. */
static bool
open_payload(const json_t *text, struct parcel *p)
{
	static const char *const names[4] = {"c", "ek", "n", "t"};
	const char *bad, *e;
	json_error_t err;
	json_t *parts = NULL, *kv, *id;
	unsigned char *bytes;
	size_t n = 0;
	bool ok = false;

	bytes = json_util_unbase64(text, false, &n);
	if (bytes != NULL)
		parts = json_util_parse((const char *)bytes, n, &err);
	free(bytes);
	kv = json_object_get(parts, "kv");
	id = json_object_get(parts, "k");
	e = json_string_value(json_object_get(parts, "e"));
	if (e != NULL && json_is_integer(kv) && json_integer_value(kv) > 0 &&
	    json_is_string(id) && unpack(parts, names, p, &bad)) {
		ok = strcmp(e, "utf8") == 0 || strcmp(e, "base64") == 0;
		p->encoding = strcmp(e, "utf8") == 0 ? "utf8" : "base64";
		p->version = json_integer_value(kv);
		p->key_id = json_incref(id);
	}
	json_decref(parts);
	return ok;
}

/* Either form of a request. false: answered. */
static bool
read_parcel(struct call *c, struct parcel *p)
{
	static const char *const names[4] = {
	    "ciphertext", "encapsulatedKey", "nonce", "tag"};
	const char *bad;
	json_t *text, *id, *encoding;

	if (!may_have_text(c, "encryptedPayload", &text) ||
	    !may_have_text(c, "keyId", &id) ||
	    !may_have_text(c, "encoding", &encoding) ||
	    !call_member_int(c, "keyVersion", 1, INT64_MAX, &p->version))
		return false;
	if (text != NULL) {
		if (open_payload(text, p))
			return true;
		keypick_refuse(c, "decryption_failed");
		return false;
	}
	if (json_util_get(c->json, "ciphertext") == NULL) {
		call_bad_field(c, "encryptedPayload",
		    "is required, or ciphertext and its parts");
		return false;
	}
	if (!unpack(c->json, names, p, &bad)) {
		call_bad_field(c, bad,
		    "must be base64, of 12 bytes for nonce and 16 for tag");
		return false;
	}
	p->key_id = json_incref(id);
	return true;
}

static void
answer_decrypted(struct call *c, const struct parcel *parcel,
    const struct key_version *v, const unsigned char *p, size_t n)
{
	const char *encoding = parcel->encoding;
	json_t *text = NULL, *a;

	/* From parts it is not known: text, if it is any. */
	if (encoding == NULL || strcmp(encoding, "utf8") == 0)
		text = json_stringn((const char *)p, n);
	encoding = text == NULL ? "base64" : "utf8";
	if (text == NULL)
		text = json_util_base64(p, n);
	a = json_pack("{s:o, s:s}", "plaintext", text, "encoding", encoding);
	keypick_mark(a, v);
	call_json(c, 200, a);
}

static void
decrypt(struct call *c, const struct parcel *parcel, const json_t *aad)
{
	struct key *k = named_or_default(c, parcel->key_id, KEYPICK_DECRYPT);
	const struct key_version *v = NULL;
	const char *refusal;
	unsigned char *p;
	size_t n;

	if (k == NULL)
		return;
	refusal = keypick_version(k,
	    parcel->version == 0 ? key_current(k)->version : parcel->version,
	    &v);
	if (refusal != NULL) {
		keypick_refuse(c, refusal);
		return;
	}
	audit_key(c, k, v->version);
	if (!keyuse_has_private(v->material)) {
		call_error(
		    c, 409, NULL, "The key has no private half.", NULL);
		return;
	}
	if (!keyuse_open(v->material, &parcel->sealed, json_string_value(aad),
		json_string_length(aad), &p, &n)) {
		keypick_refuse(c, "decryption_failed");
		return;
	}
	answer_decrypted(c, parcel, v, p, n);
	free(p);
}

static void
crypt_decrypt(struct call *c)
{
	struct parcel parcel = {0};
	json_t *aad;

	c->note.channel = "eaas";
	if (!call_body(c, false) || !may_have_text(c, "additionalData", &aad))
		return;
	if (read_parcel(c, &parcel))
		decrypt(c, &parcel, aad);
	parcel_done(&parcel);
}

static void
crypt_sign(struct call *c)
{
	const struct key_version *v;
	unsigned char *p, *sig;
	size_t n = 0, sig_len;
	const char *id;
	struct key *k;
	json_t *a;

	c->note.channel = "eaas";
	if (!call_body(c, false) || (id = need_text(c, "keyId")) == NULL ||
	    !keypick_algorithm(c) ||
	    (p = need_bytes(c, "data", false, &n, NULL)) == NULL)
		return;
	if ((k = keypick_id(c, id, KEYPICK_SIGN)) != NULL &&
	    (v = keypick_current(c, k, true)) != NULL) {
		sig = keyuse_sign(v->material, p, n, &sig_len);
		a = json_pack("{s:o, s:O, s:O, s:O}", "signature",
		    json_util_base64(sig, sig_len), "algorithm",
		    k->field[KEY_ALGORITHM], "keyId", k->field[KEY_ID],
		    "key_id", k->field[KEY_ID]);
		keypick_mark(a, v);
		if (sig == NULL)
			call_error(c, 500, NULL, "Signing failed.", NULL);
		else
			call_json(c, 200, json_incref(a));
		json_decref(a);
		free(sig);
	}
	free(p);
}

/*
 * The signature tells no version: the newest that it fits. false: answered,
 * for it is one that may not be used any more.
 */
static bool
find_signer(struct call *c, const struct key *k, const unsigned char *p,
    size_t n, const unsigned char *sig, size_t sig_len,
    const struct key_version **ret_v)
{
	const char *refusal;

	*ret_v = NULL;
	for (size_t i = k->n_versions; i > 0; i--) {
		const struct key_version *v = &k->version[i - 1];

		if (!keyuse_verify(v->material, p, n, sig, sig_len))
			continue;
		refusal = keypick_version(k, v->version, ret_v);
		if (refusal == NULL)
			return true;
		audit_key(c, k, v->version);
		keypick_refuse(c, refusal);
		return false;
	}
	return true;
}

static void
verify(struct call *c, const char *id, const unsigned char *p, size_t n,
    const unsigned char *sig, size_t sig_len)
{
	struct key *k = keypick_id(c, id, KEYPICK_VERIFY);
	const struct key_version *v;
	json_t *a;

	if (k == NULL || !find_signer(c, k, p, n, sig, sig_len, &v))
		return;
	audit_key(c, k, v == NULL ? 0 : v->version);
	c->note.has_valid = true;
	c->note.valid = v != NULL;
	a = json_object();
	set_both(a, "isValid", json_boolean(v != NULL));
	keypick_mark(a, v == NULL ? key_current(k) : v);
	call_json(c, 200, a);
}

static void
crypt_verify(struct call *c)
{
	unsigned char *p, *sig;
	size_t n = 0, sig_len = 0;
	const char *id;

	c->note.channel = "eaas";
	if (!call_body(c, false) || (id = need_text(c, "keyId")) == NULL)
		return;
	sig = json_util_unbase64(
	    json_util_get(c->json, "signature"), false, &sig_len);
	if (sig == NULL) {
		call_bad_field(c, "signature", "must be base64");
		return;
	}
	p = need_bytes(c, "data", false, &n, NULL);
	if (p != NULL)
		verify(c, id, p, n, sig, sig_len);
	free(p);
	free(sig);
}

const struct route crypt_routes[] = {
    {"POST", "/encrypt", "encryption:write", crypt_encrypt},
    {"POST", "/decrypt", "encryption:write", crypt_decrypt},
    {"POST", "/sign", "encryption:write", crypt_sign},
    {"POST", "/verify", "encryption:write", crypt_verify},
    {NULL, NULL, NULL, NULL},
};
