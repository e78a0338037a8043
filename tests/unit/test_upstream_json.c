#include "config.h"

#include "base64.h"
#include "err.h"
#include "msg.h"
#include "unit.h"
#include "upstream_json.h"

#define ID "a1b2c3d4-0000-4000-8000-0123456789ab"
#define REQUIRED "\"id\":\"s1\",\"name\":\"n\",\"value\":\"v\",\"version\":3"
/* 2026-05-08T12:00:00Z */
#define NOON 1778241600000

static struct upstream_answer answer;

static void
forget(void)
{
	object_unref(answer.object);
	upstream_page_free(answer.page);
	memset(&answer, 0, sizeof(answer));
}

static struct view
view_of(const char *text)
{
	return (struct view){(const uint8_t *)text, strlen(text)};
}

static int
read_body(const struct upstream_request *req, struct view body)
{
	forget();
	upstream_json_read(req, body, &answer);
	if (answer.error != 0) {
		assert_null(answer.object);
		assert_null(answer.page);
		assert_string_not_equal(answer.message, "");
	}
	assert_null(strstr(answer.message, "EVIL"));
	return answer.error;
}

static int
read_secret(const char *body)
{
	struct upstream_request req = {.op = UPSTREAM_READ_SECRET,
	    .id = view_of("s1")};

	return read_body(&req, view_of(body));
}

static int
read_version(uint64_t version, const char *body)
{
	struct upstream_request req = {.op = UPSTREAM_READ_SECRET,
	    .id = view_of("s1"), .version = version};

	return read_body(&req, view_of(body));
}

static int
read_key(enum ref_format format, const char *body)
{
	struct upstream_request req = {.op = UPSTREAM_READ_KEY,
	    .id = view_of("k1"), .format = format};

	return read_body(&req, view_of(body));
}

static int
read_list(enum upstream_op op, unsigned int page, const char *body)
{
	struct upstream_request req = {.op = op, .page = page, .page_size = 2};

	return read_body(&req, view_of(body));
}

static void
assert_view(struct view v, const char *text, size_t len)
{
	assert_int_equal(v.len, len);
	assert_memory_equal(v.p, text, len);
}

static void
check_value(const char *text)
{
	assert_non_null(answer.object);
	assert_view(object_value(answer.object), text, strlen(text));
}

static void
check_field(const char *name, bool is_text, const char *content)
{
	struct object_field f;

	assert_non_null(answer.object);
	if (object_field(answer.object, view_of(name), &f) != 0)
		fail_msg("no field %s", name);
	assert_view(f.content, content, strlen(content));
	assert_int_equal(f.is_text, is_text);
}

static void
check_no_field(const char *name)
{
	struct object_field f;

	assert_int_equal(object_field(answer.object, view_of(name), &f),
	    ERR_NOT_FOUND);
}

/* Each body is refused as an answer that is wrong. */
static void
check_refused(const char *body, const char *part)
{
	if (read_secret(body) != ERR_UPSTREAM_ERROR)
		fail_msg("%d for %s", answer.error, body);
	if (strstr(answer.message, part) == NULL)
		fail_msg("\"%s\" for %s", answer.message, body);
	assert_false(answer.gone);
	assert_false(answer.retryable);
}

/* --- secrets --- */

static void
test_documented_secret(void **state)
{
	static const char body[] = "{\"id\":\"s1\",\"name\":"
	    "\"db/prod/password\",\"value\":\"hunter2\",\"version\":3,"
	    "\"contentType\":\"password\","
	    "\"username\":\"app\",\"totpSecret\":null,\"urls\":[{\"url\":"
	    "\"https://x\"}],\"description\":null,\"notes\":\"a\\nb\","
	    "\"labels\":[\"prod\"],\"customFields\":[{\"name\":\"user\","
	    "\"value\":\"app\",\"type\":\"text\"}],\"folderId\":null,"
	    "\"expiresAt\":\"2026-05-08T12:00:00Z\",\"isActive\":true,"
	    "\"isFavorite\":false,\"hasTotp\":false,\"isTravelSafe\":false,"
	    "\"createdAt\":\"2026-05-08T12:00:00.5Z\",\"updatedAt\":null,"
	    "\"createdBy\":\"me\",\"updatedBy\":\"you\",\"future\":{\"a\": 1}}";

	(void)state;
	assert_int_equal(read_secret(body), 0);
	check_value("hunter2");
	assert_int_equal(answer.object->version, 3);
	assert_true(answer.object->is_active);
	assert_true(answer.object->expires_at == NOON);
	assert_true(answer.object->updated_at == MSG_NO_TIME);
	check_field("name", true, "db/prod/password");
	check_field("contentType", true, "password");
	check_field("notes", true, "a\nb");
	check_field("labels", false, "[\"prod\"]");
	check_field("urls", false, "[{\"url\":\"https://x\"}]");
	check_field("createdAt", true, "2026-05-08T12:00:00.5Z");
	check_field("expiresAt", true, "2026-05-08T12:00:00Z");
	check_field("version", false, "3");
	check_field("isFavorite", false, "false");
	check_field("customFields.user", true, "app");
	check_field("customFields", false,
	    "[{\"name\":\"user\",\"value\":\"app\",\"type\":\"text\"}]");
	check_field("future", false, "{\"a\":1}");
	check_no_field("totpSecret");
	check_no_field("description");
	check_no_field("value");
}

static void
test_secret_in_snake_case(void **state)
{
	(void)state;
	assert_int_equal(read_secret("{" REQUIRED ",\"content_type\":\"c\","
	    "\"expires_at\":\"2026-05-08T12:00:00\",\"is_active\":true,"
	    "\"created_at\":\"2026-05-08T14:00:00+02:00\",\"updated_at\":"
	    "\"2026-05-08T12:00:00.000Z\",\"totp_secret\":\"T\","
	    "\"custom_fields\":{\"user\":\"app\",\"n\":7},"
	    "\"own_name\":\"x\"}"), 0);
	assert_true(answer.object->expires_at == NOON);
	assert_true(answer.object->updated_at == NOON);
	check_field("contentType", true, "c");
	check_field("totpSecret", true, "T");
	check_field("customFields.user", true, "app");
	check_field("customFields.n", false, "7");
	check_field("customFields", false, "{\"user\":\"app\",\"n\":7}");
	check_field("own_name", true, "x");
	check_no_field("content_type");
}

static void
test_camel_case_wins(void **state)
{
	(void)state;
	assert_int_equal(read_secret("{" REQUIRED ",\"content_type\":\"s\","
	    "\"contentType\":\"c\",\"expires_at\":\"2026-05-08T12:00:00Z\","
	    "\"expiresAt\":null}"), 0);
	check_field("contentType", true, "c");
	/* null is as good as absent */
	assert_true(answer.object->expires_at == NOON);
	check_field("expiresAt", true, "2026-05-08T12:00:00Z");
}

static void
test_values_keep_every_byte(void **state)
{
	(void)state;
	assert_int_equal(read_secret("{\"id\":\"s1\",\"name\":\"n\",\"value\":"
	    "\"a\\u0000b\\u002B\\u003c\\ud83d\\ude00\\u00e9\\\\\\\"\"}"), 0);
	assert_view(object_value(answer.object),
	    "a\0b+<\xf0\x9f\x98\x80\xc3\xa9\\\"", 13);
	assert_int_equal(read_secret("{\"id\":\"s1\",\"name\":\"n\","
	    "\"value\":\"\"}"), 0);
	check_value("");
	assert_int_equal(answer.object->version, 0);
}

static void
test_wrong_secrets_are_refused(void **state)
{
	(void)state;
	check_refused("", "empty");
	check_refused("<html>EVIL</html>", "not JSON");
	check_refused("{" REQUIRED, "not JSON");
	check_refused("{" REQUIRED "} EVIL", "not JSON");
	check_refused("\xff\xfe{}", "not JSON");
	check_refused("[]", "not a JSON object");
	check_refused("[{" REQUIRED "}]", "not a JSON object");
	check_refused("\"EVIL\"", "not JSON");
	check_refused("null", "not JSON");
	check_refused("{}", "no `id`");
	check_refused("{\"id\":7}", "no `id`");
	check_refused("{\"id\":\"EVIL\",\"name\":\"n\",\"value\":\"v\"}",
	    "another id");
	check_refused("{\"id\":\"s1\\u0000\",\"name\":\"n\",\"value\":\"v\"}",
	    "no `id`");
	check_refused("{\"id\":\"S1\",\"name\":\"n\",\"value\":\"v\"}",
	    "another id");
	check_refused("{\"id\":\"s1\",\"name\":\"n\"}", "no `value`");
	check_refused("{\"id\":\"s1\",\"name\":\"n\",\"value\":null}",
	    "no `value`");
	check_refused("{\"id\":\"s1\",\"name\":\"n\",\"value\":7}",
	    "`value` is not a string");
	check_refused("{\"id\":\"s1\",\"name\":\"n\",\"value\":[\"EVIL\"]}",
	    "`value` is not a string");
	check_refused("{\"id\":\"s1\",\"value\":\"v\"}", "no `name`");
	check_refused("{\"id\":\"s1\",\"name\":\"a\\u0000b\",\"value\":\"v\"}",
	    "no `name`");
	check_refused("{" REQUIRED ",\"value\":\"EVIL\"}", "twice");
	check_refused("{" REQUIRED ",\"expiresAt\":\"EVIL\"}", "`expiresAt`");
	check_refused("{" REQUIRED ",\"expiresAt\":5}", "`expiresAt`");
}

static void
test_hostile_json_is_refused(void **state)
{
	static char deep[200000], name[3000];
	size_t n;

	(void)state;
	check_refused("{\"id\":\"s1\",\"value\":\"\\ud800EVIL\"}", "not JSON");
	check_refused("{\"id\":\"s1\",\"value\":\"\\udc00\"}", "not JSON");
	check_refused("{\"id\":\"s1\",\"value\":\"\xc3\"}", "not JSON");
	check_refused("{\"a\\u0000b\":1}", "not JSON");
	check_refused("{" REQUIRED ",\"x\":99999999999999999999}",
	    "out of range");
	check_refused("{" REQUIRED ",\"x\":1e999}", "out of range");
	memset(deep, '[', sizeof(deep) - 1);
	check_refused(deep, "nested");
	n = (size_t)snprintf(deep, sizeof(deep), "{" REQUIRED ",\"x\":");
	memset(deep + n, '[', 1500);
	memset(deep + n + 1500, ']', 1500);
	memcpy(deep + n + 3000, "}", 2);
	assert_int_equal(read_secret(deep), 0);
	memset(name, 'n', MSG_NAME_MAX + 1);
	(void)snprintf(deep, sizeof(deep), "{\"id\":\"s1\",\"name\":\"%s\","
	    "\"value\":\"v\"}", name);
	check_refused(deep, "`name` is too long");
	name[MSG_NAME_MAX] = '\0';
	(void)snprintf(deep, sizeof(deep), "{\"id\":\"s1\",\"name\":\"%s\","
	    "\"value\":\"v\"}", name);
	assert_int_equal(read_secret(deep), 0);
}

static void
test_odd_but_harmless(void **state)
{
	(void)state;
	assert_int_equal(read_secret("{" REQUIRED ",\"updatedAt\":\"never\","
	    "\"createdAt\":5,\"isActive\":\"yes\",\"labels\":\"x\","
	    "\"big\":1.5e300,\"\":1,\"customFields\":[1,null,{},{\"name\":"
	    "\"\",\"value\":1},{\"name\":7},{\"name\":\"a\",\"value\":null},"
	    "{\"name\":\"b\",\"value\":{\"c\":[]}}]}"), 0);
	assert_true(answer.object->updated_at == MSG_NO_TIME);
	assert_true(answer.object->is_active);
	check_no_field("customFields.a");
	check_no_field("customFields.");
	check_field("customFields.b", false, "{\"c\":[]}");
	assert_int_equal(read_secret("{" REQUIRED ",\"customFields\":7}"), 0);
	check_field("customFields", false, "7");
	assert_int_equal(read_secret("{\"id\":\"s1\",\"name\":\"n\",\"value\":"
	    "\"v\",\"version\":-3}"), 0);
	assert_int_equal(answer.object->version, 0);
}

static void
test_inactive_secret_is_gone(void **state)
{
	(void)state;
	assert_int_equal(read_secret("{" REQUIRED ",\"isActive\":false}"),
	    ERR_NOT_FOUND);
	assert_true(answer.gone);
	assert_int_equal(read_secret("{\"id\":\"s1\",\"name\":\"n\","
	    "\"value\":null,\"is_active\":false}"), ERR_NOT_FOUND);
	assert_true(answer.gone);
	/* Not if it is about another. */
	assert_int_equal(read_secret("{\"id\":\"s2\",\"isActive\":false}"),
	    ERR_UPSTREAM_ERROR);
	assert_false(answer.gone);
}

static void
test_pinned_version_must_be_that(void **state)
{
	(void)state;
	assert_int_equal(read_version(3, "{" REQUIRED "}"), 0);
	assert_int_equal(read_version(2, "{" REQUIRED "}"),
	    ERR_UPSTREAM_ERROR);
	assert_int_equal(read_version(2, "{\"id\":\"s1\",\"name\":\"n\","
	    "\"value\":\"v\"}"), 0);
	assert_int_equal(answer.object->version, 2);
}

static void
test_case_of_uuids_does_not_matter(void **state)
{
	struct upstream_request req = {.op = UPSTREAM_READ_SECRET,
	    .id = view_of("A1B2C3D4-0000-4000-8000-0123456789AB")};

	(void)state;
	assert_int_equal(read_body(&req, view_of("{\"id\":\"" ID "\",\"name\":"
	    "\"n\",\"value\":\"v\"}")), 0);
	assert_view(object_id(answer.object), (const char *)req.id.p, 36);
}

static void
test_secrets_leave_nothing_in_the_arena(void **state)
{
	struct secmem_stats before, after;

	(void)state;
	forget();
	secmem_get_stats(&before);
	assert_int_equal(read_secret("{" REQUIRED ",\"customFields\":[{"
	    "\"name\":\"a\",\"value\":\"b\"}],\"labels\":[1,2,{}]}"), 0);
	forget();
	assert_int_not_equal(read_secret("{" REQUIRED ",\"labels\":[1,{}"), 0);
	forget();
	secmem_get_stats(&after);
	assert_int_equal(before.used_bytes, after.used_bytes);
}

/* --- keys --- */

#define KEY_HEAD "\"keyId\":\"k1\",\"algorithm\":\"ML-DSA-65\",\"version\":2"

static void
test_key_as_json_is_the_body(void **state)
{
	static const char body[] = "{" KEY_HEAD ",\"publicKey\":\"AQID\", "
	    "\"format\":\"raw\",\"name\":\"sign\",\"isActive\":false,"
	    "\"lastRotatedAt\":\"2026-05-08T12:00:00Z\","
	    "\"updatedAt\":\"2020-01-01T00:00:00Z\"}\n";

	(void)state;
	assert_int_equal(read_key(REF_FORMAT_JSON, body), 0);
	check_value(body);
	assert_int_equal(answer.object->kind, REF_KEY);
	assert_int_equal(answer.object->version, 2);
	assert_false(answer.object->is_active);
	assert_true(answer.object->updated_at == NOON);
	check_field("name", true, "sign");
}

static void
test_key_as_jwk_is_the_body(void **state)
{
	static const char body[] =
	    " {\"kty\":\"AKP\",\"alg\":\"ML-DSA-65\",\"pub\":\"AA\",\"z\":1}";

	(void)state;
	assert_int_equal(read_key(REF_FORMAT_JWK, body), 0);
	check_value(body);
	assert_int_equal(answer.object->format, REF_FORMAT_JWK);
	assert_int_equal(read_key(REF_FORMAT_JWK, "[]"), ERR_UPSTREAM_ERROR);
	assert_int_equal(read_key(REF_FORMAT_JWK, "{" KEY_HEAD
	    ",\"publicKey\":\"AQID\",\"format\":\"raw\"}"), ERR_UPSTREAM_ERROR);
}

static void
test_key_as_pem_raw_der(void **state)
{
	(void)state;
	assert_int_equal(read_key(REF_FORMAT_PEM, "{" KEY_HEAD ",\"publicKey\":"
	    "\"-----BEGIN PUBLIC KEY-----\\n\",\"format\":\"pem\"}"), 0);
	check_value("-----BEGIN PUBLIC KEY-----\n");
	assert_int_equal(read_key(REF_FORMAT_RAW, "{" KEY_HEAD ",\"publicKey\":"
	    "\"AP8\\u002B\",\"format\":\"raw\"}"), 0);
	assert_view(object_value(answer.object), "\x00\xff\x3e", 3);
	assert_int_equal(read_key(REF_FORMAT_DER, "{\"id\":\"k1\","
	    "\"public_key\":\"MAA=\",\"format\":\"DER\"}"), 0);
	assert_view(object_value(answer.object), "0\0", 2);
	/* format not told */
	assert_int_equal(read_key(REF_FORMAT_DER, "{\"id\":\"k1\","
	    "\"publicKey\":\"MAA=\"}"), 0);
}

static void
test_wrong_keys_are_refused(void **state)
{
	static const struct {
		enum ref_format format;
		const char *body;
	} rows[] = {
		{REF_FORMAT_JSON, "[]"},
		{REF_FORMAT_JSON, "{\"publicKey\":\"AQID\"}"},
		{REF_FORMAT_JSON, "{\"keyId\":\"EVIL\"}"},
		{REF_FORMAT_JSON, "{\"keyId\":\"k1\",\"expiresAt\":\"EVIL\"}"},
		{REF_FORMAT_PEM, "{\"keyId\":\"k1\"}"},
		{REF_FORMAT_PEM, "{\"keyId\":\"k1\",\"publicKey\":\"AQID\"}"},
		{REF_FORMAT_PEM, "{\"keyId\":\"k1\",\"publicKey\":\"AQID\","
		    "\"format\":\"raw\"}"},
		{REF_FORMAT_RAW, "{\"keyId\":\"k1\",\"publicKey\":\"\"}"},
		{REF_FORMAT_RAW, "{\"keyId\":\"k1\",\"publicKey\":\"EVIL!\"}"},
		{REF_FORMAT_RAW, "{\"keyId\":\"k1\",\"publicKey\":\"====\"}"},
		{REF_FORMAT_DER, "{\"keyId\":\"k1\",\"publicKey\":\"AQID\"}"},
		{REF_FORMAT_DER, "{\"keyId\":\"k1\",\"publicKey\":\"MAA=\","
		    "\"format\":\"raw\"}"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		if (read_key(rows[i].format, rows[i].body) !=
		    ERR_UPSTREAM_ERROR)
			fail_msg("%d for %s", answer.error, rows[i].body);
	}
}

static void
test_key_dies_at_scheduled_deletion(void **state)
{
	(void)state;
	assert_int_equal(read_key(REF_FORMAT_JSON, "{\"id\":\"k1\","
	    "\"scheduledDeletionDate\":\"2026-05-08T12:00:00Z\"}"), 0);
	assert_true(answer.object->expires_at == NOON);
	assert_int_equal(read_key(REF_FORMAT_JSON, "{\"id\":\"k1\","
	    "\"expiresAt\":\"2026-05-08T12:00:00Z\","
	    "\"scheduledDeletionDate\":\"2027-01-01T00:00:00Z\"}"), 0);
	assert_true(answer.object->expires_at == NOON);
}

static void
test_base64(void **state)
{
	static const struct {
		const char *text;
		int error;
		size_t len;
	} rows[] = {
		{"", 0, 0}, {"AA==", 0, 1}, {"AA", 0, 1}, {"AAA=", 0, 2},
		{"AAA", 0, 2}, {"AAAA", 0, 3}, {"-_-_", 0, 3}, {"+/+/", 0, 3},
		{"A", ERR_BAD_REQUEST, 0}, {"AAAAA", ERR_BAD_REQUEST, 0},
		{"AB==", ERR_BAD_REQUEST, 0}, {"AA=", ERR_BAD_REQUEST, 0},
		{"A===", ERR_BAD_REQUEST, 0}, {"AA A", ERR_BAD_REQUEST, 0},
		{"=AAA", ERR_BAD_REQUEST, 0}, {"AA==AA==", ERR_BAD_REQUEST, 0},
	};
	uint8_t bytes[16];
	size_t i, len;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		len = 0;
		if (base64_decode(view_of(rows[i].text), bytes, &len) !=
		    rows[i].error)
			fail_msg("\"%s\"", rows[i].text);
		assert_int_equal(len, rows[i].len);
	}
}

/* --- lists --- */

#define ROW_FULL(members) "{\"id\":\"a\",\"name\":\"n\"," members "}"
#define ROW(id) "{\"id\":\"" id "\",\"name\":\"n\",\"version\":1}"

static void
test_list_of_secrets(void **state)
{
	const struct upstream_row *row;

	(void)state;
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1, "{\"secrets\":["
	    "{\"id\":\"a\",\"name\":\"x/y\",\"version\":4,\"updatedAt\":null,"
	    "\"createdAt\":\"2026-05-08T12:00:00Z\",\"isActive\":false,"
	    "\"expiresAt\":null},"
	    "{\"id\":\"b\",\"name\":\"z\",\"version\":1,\"expires_at\":"
	    "\"2026-05-08T12:00:00Z\",\"updated_at\":null,"
	    "\"is_active\":true}],\"total\":5,\"page\":1,\"pageSize\":2,"
	    "\"hasMore\":true}"), 0);
	assert_int_equal(answer.page->count, 2);
	assert_true(answer.page->has_more);
	assert_true(answer.page->has_versions);
	assert_int_equal(answer.page->total, 5);
	row = &answer.page->rows[0];
	assert_string_equal(row->id, "a");
	assert_string_equal(row->name, "x/y");
	assert_int_equal(row->version, 4);
	assert_false(row->is_active);
	assert_true(row->updated_at == MSG_NO_TIME);
	assert_true(row->created_at == NOON);
	assert_true(row[1].is_active);
	assert_true(row[1].expires_at == NOON);
}

/*
 * What a row must have so that its page can revalidate, each left out or
 * unreadable in turn.
 */
static void
test_list_that_cannot_revalidate(void **state)
{
	static const char *const good[] = {"\"version\":4",
	    "\"updatedAt\":null", "\"expiresAt\":\"2026-05-08T12:00:00Z\"",
	    "\"isActive\":true"};
	static const char *const bad[][3] = {
		{"\"x\":1", "\"version\":0", "\"version\":\"4\""},
		{"\"x\":1", "\"updatedAt\":\"never\"", "\"updatedAt\":1"},
		{"\"x\":1", "\"expiresAt\":\"never\"", "\"expiresAt\":1"},
		{"\"x\":1", "\"isActive\":1", "\"isActive\":\"yes\""},
	};
	char body[400];
	size_t i, j, k;

	(void)state;
	for (i = 0; i <= UNIT_COUNT(bad); i++) {
		for (j = 0; j < UNIT_COUNT(bad[0]); j++) {
			const char *m[4];

			for (k = 0; k < 4; k++)
				m[k] = k == i ? bad[i][j] : good[k];
			(void)snprintf(body, sizeof(body), "[" ROW_FULL(
			    "\"version\":1,\"updated_at\":null,\"expires_at\":"
			    "null,\"is_active\":null") ",{\"id\":\"b\",\"name\":"
			    "\"m\",%s,%s,%s,%s}]", m[0], m[1], m[2], m[3]);
			assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1,
			    body), 0);
			if (answer.page->has_versions != (i == 4))
				fail_msg("%zu: %s", i, body);
			assert_int_equal(answer.page->count, 2);
		}
	}
}

static void
test_list_of_keys_that_can_revalidate(void **state)
{
	(void)state;
	assert_int_equal(read_list(UPSTREAM_LIST_KEYS, 1, "["
	    ROW_FULL("\"version\":1,\"lastRotatedAt\":null,\"expiresAt\":null,"
	    "\"status\":\"active\"") "]"), 0);
	assert_true(answer.page->has_versions);
	assert_int_equal(read_list(UPSTREAM_LIST_KEYS, 1, "["
	    ROW_FULL("\"version\":1,\"updatedAt\":null,\"expiresAt\":null,"
	    "\"status\":\"active\"") "]"), 0);
	assert_false(answer.page->has_versions);
	assert_int_equal(read_list(UPSTREAM_LIST_KEYS, 1, "["
	    ROW_FULL("\"version\":1,\"lastRotatedAt\":null,\"expiresAt\":null")
	    "]"), 0);
	assert_false(answer.page->has_versions);
}

static void
test_list_of_keys(void **state)
{
	(void)state;
	assert_int_equal(read_list(UPSTREAM_LIST_KEYS, 1, "{\"keys\":["
	    "{\"id\":\"a\",\"name\":\"n\",\"version\":1,\"status\":"
	    "\"inactive\",\"lastRotatedAt\":\"2026-05-08T12:00:00Z\","
	    "\"updatedAt\":\"2020-01-01T00:00:00Z\"},"
	    "{\"id\":\"b\",\"name\":\"m\","
	    "\"status\":\"active\"}]}"), 0);
	assert_false(answer.page->rows[0].is_active);
	assert_true(answer.page->rows[0].updated_at == NOON);
	assert_true(answer.page->rows[1].is_active);
	assert_false(answer.page->has_versions);
}

static void
test_list_envelopes(void **state)
{
	static const char *const bodies[] = {
		"{\"secrets\":[" ROW("a") "]}", "{\"items\":[" ROW("a") "]}",
		"{\"data\":[" ROW("a") "]}", "{\"results\":[" ROW("a") "]}",
		"[" ROW("a") "]", "{\"data\":null,\"items\":[" ROW("a") "]}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bodies); i++) {
		assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1,
		    bodies[i]), 0);
		assert_int_equal(answer.page->count, 1);
		assert_false(answer.page->has_more);
	}
	assert_int_equal(read_list(UPSTREAM_LIST_KEYS, 1, "{\"secrets\":[]}"),
	    ERR_UPSTREAM_ERROR);
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1,
	    "{\"secrets\":{}}"), ERR_UPSTREAM_ERROR);
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1, "[1]"),
	    ERR_UPSTREAM_ERROR);
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1, "EVIL"),
	    ERR_UPSTREAM_ERROR);
}

static void
test_has_more_is_worked_out(void **state)
{
	static const struct {
		const char *rest;
		unsigned int page;
		bool more;
	} rows[] = {
		{"}", 1, true},		/* a full page */
		{",\"total\":4}", 1, true},
		{",\"total\":4}", 2, false},
		{",\"totalCount\":5}", 2, true},
		{",\"total_count\":2}", 1, false},
		{",\"total\":9,\"hasMore\":false}", 1, false},
		{",\"total\":2,\"has_more\":true}", 1, true},
		{",\"hasMore\":null,\"total\":9,\"pageSize\":1}", 8, true},
		{",\"total\":9,\"page_size\":1}", 9, false},
	};
	char body[256];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		(void)snprintf(body, sizeof(body), "{\"items\":[" ROW("a") ","
		    ROW("b") "]%s", rows[i].rest);
		assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, rows[i].page,
		    body), 0);
		if (answer.page->has_more != rows[i].more)
			fail_msg("%s", rows[i].rest);
	}
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1,
	    "{\"items\":[],\"total\":9,\"hasMore\":true}"), 0);
	assert_false(answer.page->has_more);
}

static void
test_odd_rows_do_not_hide_the_others(void **state)
{
	(void)state;
	assert_int_equal(read_list(UPSTREAM_LIST_SECRETS, 1, "[{\"name\":"
	    "\"n\"},{\"id\":\"a/b\",\"name\":\"n\"},"
	    "{\"id\":\"ok\",\"version\":1},"
	    "{\"id\":\"nul\",\"name\":\"a\\u0000b\",\"version\":1,"
	    "\"expiresAt\":\"EVIL\"}]"), 0);
	assert_int_equal(answer.page->count, 2);
	assert_string_equal(answer.page->rows[0].id, "ok");
	assert_string_equal(answer.page->rows[0].name, "");
	assert_string_equal(answer.page->rows[1].name, "");
}

/* --- errors --- */

static void
test_reasons(void **state)
{
	static const struct {
		const char *body;
		enum upstream_reason reason;
		const char *scope;
	} rows[] = {
		{"", UPSTREAM_REASON_NONE, ""},
		{"<html>", UPSTREAM_REASON_NONE, ""},
		{"[]", UPSTREAM_REASON_NONE, ""},
		{"{\"error\":7}", UPSTREAM_REASON_NONE, ""},
		{"{\"error\":\"A sentence.\"}", UPSTREAM_REASON_NONE, ""},
		{"{\"title\":\"Forbidden\",\"status\":403}",
		    UPSTREAM_REASON_NONE, ""},
		{"{\"error\":\"insufficient_scope\"}", UPSTREAM_REASON_SCOPE,
		    ""},
		{"{\"error\":\"insufficient_scope\",\"details\":null}",
		    UPSTREAM_REASON_SCOPE, ""},
		{"{\"error\":\"insufficient_scope\",\"details\":"
		    "{\"requiredScope\":\"keys:read\"}}",
		    UPSTREAM_REASON_SCOPE, "keys:read"},
		{"{\"error\":\"insufficient_scope\",\"details\":"
		    "{\"required_scope\":\"keys:read\"}}",
		    UPSTREAM_REASON_SCOPE, "keys:read"},
		{"{\"error\":\"insufficient_scope\",\"details\":"
		    "{\"requiredScope\":\"Keys Read\"}}",
		    UPSTREAM_REASON_SCOPE, ""},
		{"{\"error\":\"key_revoked\"}", UPSTREAM_REASON_KEY_REVOKED,
		    ""},
		{"{\"error\":\"key_version_below_minimum\"}",
		    UPSTREAM_REASON_KEY_VERSION, ""},
		{"{\"error\":\"quota_exceeded\"}", UPSTREAM_REASON_QUOTA, ""},
	};
	char scope[UPSTREAM_SCOPE_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		assert_int_equal(upstream_json_reason(view_of(rows[i].body),
		    scope), rows[i].reason);
		assert_string_equal(scope, rows[i].scope);
	}
}

/* --- memory --- */

/* A document that grows out of the arena is no memory, not bad JSON. */
static void
test_starved_parser_says_so(void **state)
{
	struct upstream_request req = {.op = UPSTREAM_READ_SECRET,
	    .id = view_of("s1")};
	size_t len = 4u << 20;
	char *body = malloc(len);

	(void)state;
	assert_non_null(body);
	memset(body, '[', len);
	for (size_t i = 1; i + 4 < len; i += 4)
		memcpy(body + i, "{},\n", 4);
	assert_int_equal(read_body(&req, (struct view){(uint8_t *)body, len}),
	    ERR_NOMEM);
	free(body);
	assert_int_equal(read_secret("{" REQUIRED "}"), 0);
}

static int
set_up(void **state)
{
	struct secmem_config cfg = {
		.reserve_bytes = 16u << 20,
		.step_bytes = 1u << 20,
	};

	(void)state;
	if (secmem_init(&cfg) != 0)
		return -1;
	return upstream_json_global_init();
}

static int
tear_down(void **state)
{
	(void)state;
	forget();
	secmem_done();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documented_secret),
		cmocka_unit_test(test_secret_in_snake_case),
		cmocka_unit_test(test_camel_case_wins),
		cmocka_unit_test(test_values_keep_every_byte),
		cmocka_unit_test(test_wrong_secrets_are_refused),
		cmocka_unit_test(test_hostile_json_is_refused),
		cmocka_unit_test(test_odd_but_harmless),
		cmocka_unit_test(test_inactive_secret_is_gone),
		cmocka_unit_test(test_pinned_version_must_be_that),
		cmocka_unit_test(test_case_of_uuids_does_not_matter),
		cmocka_unit_test(test_secrets_leave_nothing_in_the_arena),
		cmocka_unit_test(test_key_as_json_is_the_body),
		cmocka_unit_test(test_key_as_jwk_is_the_body),
		cmocka_unit_test(test_key_as_pem_raw_der),
		cmocka_unit_test(test_wrong_keys_are_refused),
		cmocka_unit_test(test_key_dies_at_scheduled_deletion),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_list_of_secrets),
		cmocka_unit_test(test_list_that_cannot_revalidate),
		cmocka_unit_test(test_list_of_keys_that_can_revalidate),
		cmocka_unit_test(test_list_of_keys),
		cmocka_unit_test(test_list_envelopes),
		cmocka_unit_test(test_has_more_is_worked_out),
		cmocka_unit_test(test_odd_rows_do_not_hide_the_others),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_starved_parser_says_so),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
