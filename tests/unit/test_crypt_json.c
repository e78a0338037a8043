/* Bodies of the cryptographic operations, and what the service answers. */
#include "config.h"

#include "agent_unit.h"

#include "crypt_json.h"
#include "err.h"
#include "upstream_json.h"

static void
assert_body(const struct crypt_body *b, const char *expected)
{
	struct secmem body = { .mem = NULL };

	assert_int_equal(crypt_json_body(b, &body), 0);
	assert_int_equal(secmem_len(&body), strlen(expected));
	assert_memory_equal(secmem_bytes(&body), expected, strlen(expected));
	secmem_free_bytes(&body);
}

static void
test_bodies(void **state)
{
	const struct crypt_body encrypt = {
		.data_name = "plaintext",
		.data = { (const uint8_t *)"p\0\xff", 3 },
		.says_encoding = true,
		.key_id = unit_view("k-1"),
		.algorithm = unit_view("ML-KEM-768"),
		.aad = unit_view("a\"b\\c\n\x01\xc3\xa9"),
	};
	const struct crypt_body nothing = { .data_name = "data",
		.says_encoding = true };
	const struct crypt_body decrypt = { .text_name = "encryptedPayload",
		.text = unit_view("eyJ+/=") };
	const struct crypt_body verify = { .data_name = "data",
		.data = unit_view("x"), .signature = unit_view("sig"),
		.key_id = unit_view("k") };
	const struct crypt_body data_key = { .context = unit_view("ctx"),
		.key_bytes = 32 };

	(void)state;
	assert_body(&encrypt, "{\"plaintext\":\"cAD/\",\"encoding\":\"base64\","
	    "\"keyId\":\"k-1\",\"algorithm\":\"ML-KEM-768\","
	    "\"additionalData\":\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"}");
	assert_body(&nothing, "{\"data\":\"\",\"encoding\":\"base64\"}");
	assert_body(&decrypt, "{\"encryptedPayload\":\"eyJ+/=\"}");
	assert_body(&verify,
	    "{\"data\":\"eA==\",\"signature\":\"c2ln\",\"keyId\":\"k\"}");
	assert_body(&data_key, "{\"context\":\"Y3R4\",\"keyBytes\":32}");
}

/* All that has to be escaped: the room that is reckoned suffices. */
static void
test_longest_body_fits(void **state)
{
	static uint8_t bytes[70000];
	struct crypt_body b = { .text_name = "encryptedPayload" };
	struct secmem body = { .mem = NULL };

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	b.text = (struct view){ bytes, sizeof(bytes) };
	b.aad = b.text;
	b.algorithm = b.text;
	b.key_id = b.text;
	b.data_name = "plaintext";
	b.data = b.text;
	b.signature = b.text;
	b.context = b.text;
	b.says_encoding = true;
	b.key_bytes = 4294967295u;
	assert_int_equal(crypt_json_body(&b, &body), 0);
	assert_true(secmem_len(&body) > 4 * 6 * sizeof(bytes));
	secmem_free_bytes(&body);
}

/* id, version and value of an object, which goes. */
static void
assert_object(struct object *o, const char *id, uint64_t version,
    const char *value, size_t len)
{
	assert_non_null(o);
	assert_true(unit_view_is(object_id(o), id));
	assert_true(o->version == version);
	assert_int_equal(object_value(o).len, len);
	assert_memory_equal(object_value(o).p, value, len);
	object_unref(o);
}

static void
test_encrypted(void **state)
{
	struct object *o = NULL;

	(void)state;
	assert_int_equal(crypt_json_encrypted(unit_view(
	    "{\"encryptedPayload\":\"eyJ\\u002B\",\"keyId\":\"k-1\","
	    "\"keyVersion\":7}"), &o), 0);
	assert_object(o, "k-1", 7, "eyJ+", 4);
	/* both spellings: the first counts, unless it is null */
	assert_int_equal(crypt_json_encrypted(unit_view(
	    "{\"encrypted_payload\":\"snake\",\"key_id\":\"k_2\","
	    "\"key_version\":8}"), &o), 0);
	assert_object(o, "k_2", 8, "snake", 5);
	assert_int_equal(crypt_json_encrypted(unit_view(
	    "{\"encrypted_payload\":\"snake\",\"encryptedPayload\":\"camel\","
	    "\"keyId\":null,\"key_id\":\"k\"}"), &o), 0);
	assert_object(o, "k", 0, "camel", 5);
	/* an id that can be none is not told */
	assert_int_equal(crypt_json_encrypted(unit_view(
	    "{\"encryptedPayload\":\"x\",\"keyId\":\"a b\","
	    "\"keyVersion\":-1}"), &o), 0);
	assert_object(o, "", 0, "x", 1);
}

static void
test_answers_that_lack_what_they_should_have(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "null", "\"x\"",
		"{}", "{\"encryptedPayload\":\"\"}",
		"{\"encryptedPayload\":7,\"plaintext\":7,\"signature\":7,"
		"\"isValid\":1,\"keyMaterial\":7}",
		"{\"plaintext\":null,\"signature\":\"\",\"isValid\":null}",
		"{\"encryptedPayload\":\"a\",\"encryptedPayload\":\"b\"}",
		"{\"signature\":\"!!\",\"plaintext\":\"!\","
		"\"encoding\":\"base64\"}",
		"{\"encryptedKey\":\"w\",\"plaintextKey\":\"AAAA\","
		"\"keyId\":\"k\",\"keyMaterial\":\"AAAA\"}" };
	struct crypt_data_key dk;
	struct object *o = NULL;
	struct secmem key = { .mem = NULL };
	bool valid;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		if (strstr(bad[i], "\"encryptedPayload\":\"a\"") == NULL)
			assert_int_equal(crypt_json_encrypted(unit_view(
			    bad[i]), &o), ERR_UPSTREAM_ERROR);
		assert_int_equal(crypt_json_decrypted(unit_view(bad[i]),
		    unit_view("x"), &o), ERR_UPSTREAM_ERROR);
		assert_int_equal(crypt_json_signed(unit_view(bad[i]), &o),
		    ERR_UPSTREAM_ERROR);
		assert_int_equal(crypt_json_verified(unit_view(bad[i]),
		    &valid), ERR_UPSTREAM_ERROR);
		assert_int_equal(crypt_json_data_key(unit_view(bad[i]), &dk),
		    ERR_UPSTREAM_ERROR);
		assert_int_equal(crypt_json_unwrapped(unit_view(bad[i]),
		    &key), ERR_UPSTREAM_ERROR);
	}
	/* what comes twice says nothing for sure */
	assert_int_equal(crypt_json_encrypted(unit_view(
	    "{\"encryptedPayload\":\"a\",\"encryptedPayload\":\"b\"}"), &o),
	    ERR_UPSTREAM_ERROR);
}

/* {"k":"k-1","e":"base64"} and {"k":"k-1","e":"utf8"} */
#define PAYLOAD_BASE64 "eyJrIjoiay0xIiwiZSI6ImJhc2U2NCJ9"
#define PAYLOAD_UTF8 "eyJrIjoiay0xIiwiZSI6InV0ZjgifQ=="

static void
test_decrypted(void **state)
{
	struct object *o = NULL;

	(void)state;
	/* the answer says how it is written */
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"AP8=\",\"encoding\":\"base64\"}"),
	    unit_view(PAYLOAD_UTF8), &o), 0);
	assert_object(o, "", 0, "\0\xff", 2);
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"AP8=\",\"encoding\":\"utf8\"}"),
	    unit_view(PAYLOAD_BASE64), &o), 0);
	assert_object(o, "", 0, "AP8=", 4);
	/* else the payload does */
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"AP8=\"}"), unit_view(PAYLOAD_BASE64), &o), 0);
	assert_object(o, "", 0, "\0\xff", 2);
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"AP8=\"}"), unit_view(PAYLOAD_UTF8), &o), 0);
	assert_object(o, "", 0, "AP8=", 4);
	/* else it is text; NUL and nothing at all are text too */
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"a\\u0000b\\u00e9\"}"), unit_view("?"), &o), 0);
	assert_object(o, "", 0, "a\0b\xc3\xa9", 5);
	assert_int_equal(crypt_json_decrypted(unit_view(
	    "{\"plaintext\":\"\"}"), unit_view(PAYLOAD_BASE64), &o), 0);
	assert_object(o, "", 0, "", 0);
}

static void
test_signed_and_verified(void **state)
{
	static const char *const yes[] = { "{\"isValid\":true}",
		"{\"is_valid\":true}", "{\"valid\":true}",
		"{\"verified\":true}", "{\"isValid\":true,\"valid\":false}" };
	struct object *o = NULL;
	bool valid = false;
	size_t i;

	(void)state;
	/* with and without padding, in both alphabets */
	assert_int_equal(crypt_json_signed(unit_view(
	    "{\"signature\":\"+/8=\",\"keyId\":\"k\"}"), &o), 0);
	assert_object(o, "k", 0, "\xfb\xff", 2);
	assert_int_equal(crypt_json_signed(unit_view(
	    "{\"signature\":\"-_8\",\"key_id\":\"k\"}"), &o), 0);
	assert_object(o, "k", 0, "\xfb\xff", 2);
	for (i = 0; i < UNIT_COUNT(yes); i++) {
		valid = false;
		assert_int_equal(crypt_json_verified(unit_view(yes[i]),
		    &valid), 0);
		assert_true(valid);
	}
	assert_int_equal(crypt_json_verified(unit_view(
	    "{\"isValid\":false,\"valid\":true}"), &valid), 0);
	assert_false(valid);
}

#define KEY_TEXT "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define KEY_BYTES "01234567890123456789012345678901"

static void
test_data_keys(void **state)
{
	struct secmem key = { .mem = NULL };
	struct crypt_data_key dk;

	(void)state;
	assert_int_equal(crypt_json_data_key(unit_view("{\"plaintextKey\":\""
	    KEY_TEXT "\",\"encryptedKey\":\"wrapped\",\"keyId\":\"k-1\","
	    "\"keyVersion\":3,\"algorithm\":\"AES-256-GCM\"}"), &dk), 0);
	assert_int_equal(secmem_len(&dk.key), CRYPT_KEY_LEN);
	assert_memory_equal(secmem_bytes(&dk.key), KEY_BYTES, CRYPT_KEY_LEN);
	assert_true(unit_view_is(object_value(dk.about), "wrapped"));
	assert_true(unit_view_is(object_id(dk.about), "k-1"));
	assert_true(dk.about->version == 3);
	assert_string_equal(dk.algorithm, "AES-256-GCM");
	crypt_data_key_clear(&dk);
	/* without an id nobody could open it again */
	assert_int_equal(crypt_json_data_key(unit_view("{\"plaintextKey\":\""
	    KEY_TEXT "\",\"encryptedKey\":\"wrapped\"}"), &dk),
	    ERR_UPSTREAM_ERROR);
	assert_int_equal(crypt_json_unwrapped(unit_view("{\"keyMaterial\":\""
	    KEY_TEXT "\"}"), &key), 0);
	assert_memory_equal(secmem_bytes(&key), KEY_BYTES, CRYPT_KEY_LEN);
	secmem_free_bytes(&key);
}

static void
test_default_key(void **state)
{
	char id[MSG_ID_MAX + 1];
	bool more;

	(void)state;
	assert_int_equal(crypt_json_default_key(unit_view("{\"keys\":["
	    "{\"id\":\"a\",\"isDefault\":false},"
	    "{\"id\":\"s\",\"isDefault\":true,\"keyType\":\"signing\"},"
	    "{\"id\":\"i\",\"isDefault\":true,\"isActive\":false},"
	    "{\"id\":\"b\",\"isDefault\":true,\"keyType\":\"encryption\"}],"
	    "\"hasMore\":true}"), id, &more), 0);
	assert_string_equal(id, "b");
	assert_int_equal(crypt_json_default_key(unit_view("{\"keys\":["
	    "{\"id\":\"a\"}],\"hasMore\":true}"), id, &more), ERR_NOT_FOUND);
	assert_true(more);
	/* no row, no further page, whatever it says */
	assert_int_equal(crypt_json_default_key(unit_view(
	    "{\"items\":[],\"has_more\":true}"), id, &more), ERR_NOT_FOUND);
	assert_false(more);
	assert_int_equal(crypt_json_default_key(unit_view(
	    "[{\"id\":\"a\",\"is_default\":true}]"), id, &more), 0);
	assert_string_equal(id, "a");
	assert_int_equal(crypt_json_default_key(unit_view("{}"), id, &more),
	    ERR_UPSTREAM_ERROR);
	assert_int_equal(crypt_json_default_key(unit_view("nonsense"), id,
	    &more), ERR_UPSTREAM_ERROR);
	assert_int_equal(crypt_json_default_key(unit_view(
	    "[{\"id\":\"../x\",\"isDefault\":true}]"), id, &more),
	    ERR_NOT_FOUND);
}

/* Base64 of a text, to make payloads with. */
static const char *
coded(const char *text)
{
	static struct secmem body;
	static char out[2048];
	const struct crypt_body b = { .data_name = "d",
		.data = unit_view(text) };
	size_t len;

	assert_int_equal(crypt_json_body(&b, &body), 0);
	/* {"d":"…"} */
	len = secmem_len(&body) - 8;
	assert_true(len < sizeof(out));
	memcpy(out, secmem_bytes(&body) + 6, len);
	out[len] = '\0';
	secmem_free_bytes(&body);
	return out;
}

static void
test_key_of_a_payload(void **state)
{
	static const char *const untold[] = {
		"{}", "[]", "{\"k\":7}", "{\"k\":\"\"}", "{\"k\":\"a/b\"}",
		/* one reader takes the first, another the last */
		"{\"k\":\"a\",\"k\":\"b\"}",
		"{\"k\":\"a\",\"K\":\"b\"}", "{\"K\":\"a\"}",
		"{\"k\":\"a\",\"keyId\":\"b\"}",
		"{\"k\":\"a\",\"key_id\":\"b\"}",
		"{\"k\":\"a\",\"KEYID\":\"b\"}",
		"{\"k\":\"a\"} {\"k\":\"b\"}", "{\"k\":\"a\"",
	};
	char id[MSG_ID_MAX + 1];
	size_t i;

	(void)state;
	assert_int_equal(crypt_json_payload_key(unit_view(PAYLOAD_UTF8), id),
	    0);
	assert_string_equal(id, "k-1");
	assert_int_equal(crypt_json_payload_key(unit_view(coded(
	    "{\"c\":\"x\",\"kv\":1,\"k\":\"5f0c1a7e-0001\",\"e\":\"utf8\"}")),
	    id), 0);
	assert_string_equal(id, "5f0c1a7e-0001");
	for (i = 0; i < UNIT_COUNT(untold); i++)
		assert_int_equal(crypt_json_payload_key(unit_view(coded(
		    untold[i])), id), ERR_NOT_FOUND);
	assert_int_equal(crypt_json_payload_key(unit_view("not base64!"), id),
	    ERR_NOT_FOUND);
	/* a blank within: what another decoder may pass over */
	assert_int_equal(crypt_json_payload_key(unit_view(
	    "eyJrIjoiay0xIiwi ZSI6InV0ZjgifQ=="), id), ERR_NOT_FOUND);
}

static void
test_errors(void **state)
{
	static const struct {
		int status;
		const char *body;
		int error;
		const char *says;
	} rows[] = {
		{ 400, "{\"error\":\"decryption_failed\"}", ERR_BAD_REQUEST,
		    "cannot be decrypted" },
		{ 400, "{\"error\":\"invalid_request\"}", ERR_BAD_REQUEST,
		    "does not take" },
		{ 400, "<html>", ERR_BAD_REQUEST, "does not take" },
		{ 422, "", ERR_BAD_REQUEST, "does not take" },
		{ 403, "{\"error\":\"key_revoked\"}", ERR_DENIED, "revoked" },
		{ 403, "{\"error\":\"key_version_below_minimum\"}",
		    ERR_DENIED, "too old" },
		{ 403, "", ERR_DENIED, "does not allow" },
		{ 404, "", ERR_NOT_FOUND, "no such key" },
		{ 410, "", ERR_NOT_FOUND, "no more" },
		{ 409, "{\"error\":\"conflict\"}", ERR_BAD_REQUEST,
		    "another kind" },
		{ 413, "", ERR_TOO_LARGE, "stream" },
		{ 429, "", ERR_UPSTREAM_UNAVAILABLE, "429" },
		{ 500, "", ERR_UPSTREAM_UNAVAILABLE, "not able" },
		{ 503, "{}", ERR_UPSTREAM_UNAVAILABLE, "not able" },
		{ 302, "", ERR_UPSTREAM_ERROR, "means nothing" },
		{ 418, "", ERR_UPSTREAM_ERROR, "means nothing" },
	};
	const char *message;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		message = NULL;
		assert_int_equal(crypt_json_error(rows[i].status,
		    unit_view(rows[i].body), &message), rows[i].error);
		assert_non_null(strstr(message, rows[i].says));
	}
}

static int
setup(void **state)
{
	if (unit_secmem_setup(state) != 0)
		return -1;
	return upstream_json_global_init();
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_longest_body_fits),
		cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_answers_that_lack_what_they_should_have),
		cmocka_unit_test(test_decrypted),
		cmocka_unit_test(test_signed_and_verified),
		cmocka_unit_test(test_data_keys),
		cmocka_unit_test(test_default_key),
		cmocka_unit_test(test_key_of_a_payload),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(group, setup, unit_secmem_teardown);
}
