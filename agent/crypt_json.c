#include "config.h"

#include "crypt_json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "err.h"
#include "json_parts.h"
#include "secjson.h"
#include "upstream.h"

#define LOAD_FLAGS (JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES)
/* `{"c":…,"k":…}` is flat: whatever is nested deeper is no payload. */
#define PAYLOAD_MAX (1u << 20)
#define PAYLOAD_PARTS_MAX 128u

/* --- writing ----------------------------------------------------------- */

/* With a NUL that is not told; 0 bytes are 1. */
static size_t
base64_room(size_t len)
{
	return sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
}

/* What the longest form of a body takes. */
static size_t
body_room(const struct crypt_body *b)
{
	/* names, quotes, commas: some 200 bytes */
	return 512 + base64_room(b->data.len) + base64_room(b->signature.len) +
	    base64_room(b->context.len) + 6 * (b->text.len + b->key_id.len +
	    b->algorithm.len + b->aad.len);
}

static void
put_text(struct wr *wr, const char *text)
{
	wr_bytes(wr, text, strlen(text));
}

static void
put_name(struct wr *wr, const char *name)
{
	put_text(wr, wr->len == 0 ? "{\"" : ",\"");
	put_text(wr, name);
	put_text(wr, "\":");
}

static void
put_base64(struct wr *wr, const char *name, struct view v)
{
	size_t room = base64_room(v.len);
	uint8_t *to;

	put_name(wr, name);
	wr_u8(wr, '"');
	to = wr_room(wr, room);
	if (to == NULL)
		return;
	(void)sodium_bin2base64((char *)to, room, v.p, v.len,
	    sodium_base64_VARIANT_ORIGINAL);
	/* over the NUL */
	to[room - 1] = '"';
}

/* UTF-8 stays as it is; what JSON does not take is escaped. */
static void
put_string(struct wr *wr, const char *name, struct view v)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	put_name(wr, name);
	wr_u8(wr, '"');
	for (i = 0; i < v.len; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\') {
			wr_u8(wr, '\\');
			wr_u8(wr, v.p[i]);
		} else if (v.p[i] < 0x20) {
			put_text(wr, "\\u00");
			wr_u8(wr, (uint8_t)hex[v.p[i] >> 4]);
			wr_u8(wr, (uint8_t)hex[v.p[i] & 15]);
		} else {
			wr_u8(wr, v.p[i]);
		}
	}
	wr_u8(wr, '"');
}

static void
put_string_if(struct wr *wr, const char *name, struct view v)
{
	if (v.len > 0)
		put_string(wr, name, v);
}

static void
put_body(struct wr *wr, const struct crypt_body *b)
{
	char number[16];

	if (b->data_name != NULL)
		put_base64(wr, b->data_name, b->data);
	if (b->says_encoding)
		put_string(wr, "encoding",
		    (struct view){ (const uint8_t *)"base64", 6 });
	if (b->text_name != NULL)
		put_string(wr, b->text_name, b->text);
	if (b->signature.len > 0)
		put_base64(wr, "signature", b->signature);
	put_string_if(wr, "keyId", b->key_id);
	put_string_if(wr, "algorithm", b->algorithm);
	put_string_if(wr, "additionalData", b->aad);
	if (b->context.len > 0)
		put_base64(wr, "context", b->context);
	if (b->key_bytes > 0) {
		put_name(wr, "keyBytes");
		(void)snprintf(number, sizeof(number), "%u", b->key_bytes);
		put_text(wr, number);
	}
	put_text(wr, "}");
}

int
crypt_json_body(const struct crypt_body *b, struct secmem *ret)
{
	struct secmem room = { .mem = NULL };
	struct wr wr;
	int r;

	r = secmem_alloc(&room, body_room(b), SECMEM_LIBRARY);
	if (r != 0)
		return r;
	wr_init(&wr, secmem_writable(&room), secmem_len(&room));
	put_body(&wr, b);
	/* its room was reckoned above */
	r = wr.failed ? ERR_INTERNAL
	    : secmem_copy(ret, wr.p, wr.len, SECMEM_LIBRARY);
	secmem_free_bytes(&room);
	return r;
}

/* --- reading ----------------------------------------------------------- */

static int
load(struct view text, json_t **ret)
{
	*ret = secjson_load(text, LOAD_FLAGS, NULL);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return ERR_UPSTREAM_ERROR;
}

static const json_t *
member(const json_t *o, const char *camel, const char *snake)
{
	const json_t *v = json_object_get(o, camel);

	return v != NULL && !json_is_null(v) ? v : json_object_get(o, snake);
}

/* Empty if it is no text. */
static struct view
text_of(const json_t *v)
{
	struct view text = { NULL, 0 };

	if (json_is_string(v)) {
		text.p = (const uint8_t *)json_string_value(v);
		text.len = json_string_length(v);
	}
	return text;
}

/* An id as it can be, else empty. */
static struct view
id_of(const json_t *o)
{
	struct view id = text_of(member(o, "keyId", "key_id"));

	if (!upstream_id_valid(id))
		id.len = 0;
	return id;
}

static uint64_t
version_of(const json_t *o)
{
	const json_t *v = member(o, "keyVersion", "key_version");

	return json_is_integer(v) && json_integer_value(v) > 0
	    ? (uint64_t)json_integer_value(v) : 0;
}

/* Standard or URL-safe, with or without padding; in even time. */
static int
from_base64(struct view text, struct secmem *ret)
{
	static const int variants[] = {
		sodium_base64_VARIANT_ORIGINAL,
		sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
		sodium_base64_VARIANT_URLSAFE,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING,
	};
	struct secmem room = { .mem = NULL };
	size_t i, len;
	int r;

	r = secmem_alloc(&room, text.len / 4 * 3 + 3, SECMEM_LIBRARY);
	if (r != 0)
		return r;
	r = ERR_UPSTREAM_ERROR;
	for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		if (sodium_base642bin(secmem_writable(&room),
		    secmem_len(&room), (const char *)text.p, text.len, NULL,
		    &len, NULL, variants[i]) != 0)
			continue;
		r = secmem_copy(ret, secmem_bytes(&room), len,
		    SECMEM_LIBRARY);
		break;
	}
	secmem_free_bytes(&room);
	return r;
}

/* A key's object with that value. */
static int
make(const json_t *o, struct view value, struct object **ret)
{
	struct object *made = object_new(REF_KEY, id_of(o),
	    (struct view){ NULL, 0 });

	if (made == NULL)
		return ERR_NOMEM;
	made->version = version_of(o);
	if (object_set_data(made, value, NULL, 0) != 0) {
		object_unref(made);
		return ERR_NOMEM;
	}
	*ret = made;
	return 0;
}

static int
make_decoded(const json_t *o, struct view text, struct object **ret)
{
	struct secmem bytes = { .mem = NULL };
	int r;

	r = from_base64(text, &bytes);
	if (r != 0)
		return r;
	r = make(o, (struct view){ secmem_bytes(&bytes), secmem_len(&bytes) },
	    ret);
	secmem_free_bytes(&bytes);
	return r;
}

int
crypt_json_encrypted(struct view reply, struct object **ret)
{
	struct view payload;
	json_t *o;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	payload = text_of(member(o, "encryptedPayload", "encrypted_payload"));
	r = payload.len > 0 ? make(o, payload, ret) : ERR_UPSTREAM_ERROR;
	json_decref(o);
	return r;
}

int
crypt_json_signed(struct view reply, struct object **ret)
{
	struct view signature;
	json_t *o;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	signature = text_of(json_object_get(o, "signature"));
	r = signature.len > 0 ? make_decoded(o, signature, ret)
	    : ERR_UPSTREAM_ERROR;
	json_decref(o);
	return r;
}

int
crypt_json_verified(struct view reply, bool *ret_valid)
{
	static const char *const names[] = { "isValid", "is_valid", "valid",
		"verified" };
	const json_t *v;
	json_t *o;
	size_t i;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	r = ERR_UPSTREAM_ERROR;
	for (i = 0; i < sizeof(names) / sizeof(names[0]) && r != 0; i++) {
		v = json_object_get(o, names[i]);
		if (!json_is_boolean(v))
			continue;
		*ret_valid = json_is_true(v);
		r = 0;
	}
	json_decref(o);
	return r;
}

/* --- payloads --- */

/* What is within a payload, if that is as upstream-api.md found it. */
static int
open_payload(struct view payload, json_t **ret)
{
	struct secmem inner = { .mem = NULL };
	struct view text;
	int r;

	if (payload.len > PAYLOAD_MAX)
		return ERR_NOT_FOUND;
	r = from_base64(payload, &inner);
	if (r == 0) {
		text = (struct view){ secmem_bytes(&inner),
		    secmem_len(&inner) };
		r = json_parts_within(text, PAYLOAD_PARTS_MAX)
		    ? load(text, ret) : ERR_NOT_FOUND;
	}
	secmem_free_bytes(&inner);
	return r == ERR_UPSTREAM_ERROR ? ERR_NOT_FOUND : r;
}

static bool
names_key(const char *name)
{
	return strcasecmp(name, "k") == 0 || strcasecmp(name, "keyId") == 0 ||
	    strcasecmp(name, "key_id") == 0;
}

int
crypt_json_payload_key(struct view payload, char ret_id[MSG_ID_MAX + 1])
{
	const char *name;
	struct view id;
	json_t *o, *v;
	unsigned int named = 0;
	int r;

	r = open_payload(payload, &o);
	if (r != 0)
		return r;
	json_object_foreach(o, name, v) {
		if (names_key(name))
			named++;
	}
	id = text_of(json_object_get(o, "k"));
	if (named == 1 && upstream_id_valid(id)) {
		memcpy(ret_id, id.p, id.len);
		ret_id[id.len] = '\0';
	} else {
		r = ERR_NOT_FOUND;
	}
	json_decref(o);
	return r;
}

/* How the plaintext is written: as the answer says, else the payload. */
static bool
is_base64(const json_t *o, struct view payload)
{
	const char *said = json_string_value(json_object_get(o, "encoding"));
	json_t *inner = NULL;
	bool yes;

	if (said == NULL && open_payload(payload, &inner) == 0)
		said = json_string_value(json_object_get(inner, "e"));
	yes = said != NULL && strcasecmp(said, "base64") == 0;
	json_decref(inner);
	return yes;
}

int
crypt_json_decrypted(struct view reply, struct view payload,
    struct object **ret)
{
	const json_t *v;
	json_t *o;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	v = json_object_get(o, "plaintext");
	if (!json_is_string(v))
		r = ERR_UPSTREAM_ERROR;
	else if (is_base64(o, payload))
		r = make_decoded(o, text_of(v), ret);
	else
		r = make(o, text_of(v), ret);
	json_decref(o);
	return r;
}

/* --- data keys --- */

void
crypt_data_key_clear(struct crypt_data_key *dk)
{
	secmem_free_bytes(&dk->key);
	object_unref(dk->about);
	dk->about = NULL;
}

static int
take_key(const json_t *v, struct secmem *ret)
{
	int r;

	if (!json_is_string(v))
		return ERR_UPSTREAM_ERROR;
	r = from_base64(text_of(v), ret);
	if (r == 0 && secmem_len(ret) != CRYPT_KEY_LEN) {
		secmem_free_bytes(ret);
		return ERR_UPSTREAM_ERROR;
	}
	return r;
}

int
crypt_json_data_key(struct view reply, struct crypt_data_key *ret)
{
	struct view wrapped, algorithm;
	json_t *o;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	wrapped = text_of(member(o, "encryptedKey", "encrypted_key"));
	algorithm = text_of(json_object_get(o, "algorithm"));
	if (algorithm.len > 0 && algorithm.len < sizeof(ret->algorithm))
		memcpy(ret->algorithm, algorithm.p, algorithm.len);
	r = wrapped.len == 0 || id_of(o).len == 0 ? ERR_UPSTREAM_ERROR
	    : take_key(member(o, "plaintextKey", "plaintext_key"), &ret->key);
	if (r == 0)
		r = make(o, wrapped, &ret->about);
	if (r != 0)
		crypt_data_key_clear(ret);
	json_decref(o);
	return r;
}

int
crypt_json_unwrapped(struct view reply, struct secmem *ret_key)
{
	json_t *o;
	int r;

	r = load(reply, &o);
	if (r != 0)
		return r;
	r = take_key(member(o, "keyMaterial", "key_material"), ret_key);
	json_decref(o);
	return r;
}

static const json_t *
rows_of(const json_t *doc)
{
	static const char *const names[] = { "keys", "items", "data",
		"results" };
	const json_t *rows = doc;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) &&
	    !json_is_array(rows); i++)
		rows = json_object_get(doc, names[i]);
	return json_is_array(rows) ? rows : NULL;
}

/* Is that row the default for encryption, and in use? */
static bool
is_default(const json_t *row)
{
	const json_t *type = member(row, "keyType", "key_type");
	const json_t *active = member(row, "isActive", "is_active");

	return json_is_true(member(row, "isDefault", "is_default")) &&
	    !json_is_false(active) && (!json_is_string(type) ||
	    strcmp(json_string_value(type), "encryption") == 0);
}

int
crypt_json_default_key(struct view reply, char ret_id[MSG_ID_MAX + 1],
    bool *ret_more)
{
	const json_t *rows;
	struct view id;
	json_t *doc, *row;
	size_t i;
	int r = ERR_NOT_FOUND;

	doc = secjson_load(reply, LOAD_FLAGS, NULL);
	rows = rows_of(doc);
	if (rows == NULL) {
		json_decref(doc);
		return ERR_UPSTREAM_ERROR;
	}
	*ret_more = json_array_size(rows) > 0 &&
	    json_is_true(member(doc, "hasMore", "has_more"));
	json_array_foreach(rows, i, row) {
		id = text_of(json_object_get(row, "id"));
		if (!is_default(row) || !upstream_id_valid(id))
			continue;
		memcpy(ret_id, id.p, id.len);
		ret_id[id.len] = '\0';
		r = 0;
		break;
	}
	json_decref(doc);
	return r;
}

/* --- errors ------------------------------------------------------------ */

static const struct {
	int status;
	const char *code;	/* NULL: any other */
	int error;
	const char *message;
} failures[] = {
	{ 400, "decryption_failed", ERR_BAD_REQUEST,
	    "this cannot be decrypted: it is not what was encrypted, or the "
	    "additional data are others" },
	{ 400, NULL, ERR_BAD_REQUEST,
	    "the service does not take this request; check the algorithm and "
	    "the kind of the key" },
	{ 422, NULL, ERR_BAD_REQUEST,
	    "the service does not take this request; check the algorithm and "
	    "the kind of the key" },
	{ 403, "key_revoked", ERR_DENIED,
	    "this key, or this version of it, was revoked" },
	{ 403, "key_version_below_minimum", ERR_DENIED,
	    "this was made with a version of the key that is too old to be "
	    "used any more (minDecryptionVersion)" },
	{ 403, NULL, ERR_DENIED, "the service does not allow this" },
	{ 404, NULL, ERR_NOT_FOUND, "the service has no such key" },
	{ 410, NULL, ERR_NOT_FOUND, "the service has this key no more" },
	{ 409, NULL, ERR_BAD_REQUEST,
	    "this key cannot be used for that: it is of another kind, or not "
	    "active" },
	{ 413, NULL, ERR_TOO_LARGE,
	    "this is more than the service takes at once; encrypt it as a "
	    "stream" },
	{ 429, NULL, ERR_UPSTREAM_UNAVAILABLE,
	    "the service is asked too often with the agent's key (HTTP 429); "
	    "try again later" },
};

static bool
code_is(const json_t *o, const char *code)
{
	const char *said = json_string_value(json_object_get(o, "error"));

	return code == NULL || (said != NULL && strcmp(said, code) == 0);
}

int
crypt_json_error(int status, struct view body, const char **ret_message)
{
	json_t *o = NULL;
	size_t i;
	int r;

	*ret_message = "the service answered in a way that means nothing here";
	r = ERR_UPSTREAM_ERROR;
	if (status >= 500) {
		*ret_message = "the service is not able to answer";
		return ERR_UPSTREAM_UNAVAILABLE;
	}
	if (body.len > 0)
		(void)load(body, &o);
	for (i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].status != status ||
		    !code_is(o, failures[i].code))
			continue;
		*ret_message = failures[i].message;
		r = failures[i].error;
		break;
	}
	json_decref(o);
	return r;
}
