/*
 * What is handed on, and who may have it handed on.
 */
#include "config.h"

#include "rest_unit.h"

#include "endpoints.h"

static const char *
message(struct fixture *f)
{
	return f->answer.message;
}

/* --- handing on --- */

/* As relay decides it, by what it was given. */
static bool
goes_again(const struct fixture *f)
{
	return endpoints_repeatable(f->sent.send.method, f->sent.endpoint);
}

static void
test_relayed(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("PUT",
	    "/api/v1/secrets/s%65c_1/value?x=%20");

	rq.body = unit_view("{}");
	rq.has_body = rq.allow_csprng = true;
	rq.content_type = unit_view("application/json; a=b");
	rq.accept = unit_view("*/*");
	run(f, rq);
	assert_string_equal(f->sent.send.method, "PUT");
	assert_string_equal(f->target, "/secrets/s%65c_1/value?x=%20");
	assert_string_equal(f->id, "sec_1");
	assert_false(goes_again(f));
	assert_true(f->sent.send.has_body && f->sent.send.allow_csprng);
	assert_true(unit_view_is(f->sent.send.body, "{}"));
	assert_true(unit_view_is(f->sent.send.content_type,
	    "application/json; a=b"));
	assert_true(unit_view_is(f->sent.send.accept, "*/*"));
	assert_string_equal(f->sent.endpoint->pattern, "/secrets/{id}/value");
	assert_true(f->sent.deadline_ms == MSG_NO_LIMIT);
	assert_non_null(f->sent.endpoint->scope);
	assert_false(f->sent.send.from_root);
	assert_int_equal(f->s.waiting, 1);
	relayed(f, 0, 201, "any\x01" "body");
	assert_int_equal(f->answer.status, 201);
	assert_true(unit_view_is(object_value(f->answer.body),
	    "any\x01" "body"));
	assert_string_equal(f->answer.content_type, "text/x");
	assert_int_equal(f->answer.cache, REST_CACHE_NONE);
	assert_int_equal(f->answer.error, 0);
}

static void
test_relayed_ways(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq;

	get(f, "/health");
	assert_true(f->sent.send.from_root && goes_again(f));
	expect_sent(f, "/health");
	get(f, "/api/v1/health");
	assert_false(f->sent.send.from_root);
	expect_sent(f, "/health");
	send_body(f, "POST", "/share/tok", "{}");
	assert_null(f->sent.endpoint->scope);
	assert_false(goes_again(f));
	expect_sent(f, "/share/tok");
	/* one that nobody knows: once, unless it only reads */
	send_body(f, "POST", "/new/thing", "{}");
	assert_true(!goes_again(f) && f->sent.endpoint == NULL);
	expect_sent(f, "/new/thing");
	run(f, request("HEAD", "/new/thing?a"));
	assert_true(goes_again(f));
	assert_string_equal(f->sent.send.method, "GET");
	expect_sent(f, "/new/thing?a");
	rq = request("GET", "/billing/usage");
	rq.deadline_ms = 1234;
	run(f, rq);
	assert_int_equal(f->sent.deadline_ms, 1234);
	expect_sent(f, "/billing/usage");
	rq.only_if_cached = true;
	run(f, rq);
	expect_error(f, 504, "gateway_timeout", ERR_TIMEOUT);
	f->relay_fails = true;
	get(f, "/billing/usage");
	expect_error(f, 503, "unavailable", ERR_NOMEM);
}

static void
test_relayed_errors(void **state)
{
	static const struct {
		int error;
		int status;
		const char *code;
	} rows[] = {
		{ ERR_UPSTREAM_UNAVAILABLE, 503, "unavailable" },
		{ ERR_TIMEOUT, 504, "gateway_timeout" },
		{ ERR_TOO_LARGE, 502, "too_large" },
		{ ERR_NOMEM, 503, "unavailable" },
		{ ERR_UNAUTHORIZED, 502, "agent_unauthorized" },
		{ ERR_INSUFFICIENT_SCOPE, 502, "agent_insufficient_scope" },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < UNIT_COUNT(rows); i++) {
		get(f, "/audit");
		relayed(f, rows[i].error, 0, NULL);
		parse(f);
		expect_error(f, rows[i].status, rows[i].code, rows[i].error);
		assert_non_null(strstr(message(f), "no luck"));
	}
	/* what the service refuses, it refuses in its own words */
	get(f, "/audit");
	relayed(f, 0, 403, "{\"error\":\"forbidden\"}");
	assert_int_equal(f->answer.status, 403);
	assert_int_equal(f->answer.error, 0);
}

static void
test_settings_are_refused(void **state)
{
	struct fixture *f = *state;

	send_body(f, "PATCH", "/api/v1/settings/security", "{}");
	expect_error(f, 403, "forbidden", ERR_DENIED);
	assert_non_null(strstr(message(f), "API key"));
	assert_int_equal(f->relays, 0);
}

static void
test_bad_paths(void **state)
{
	static const char *const bad[] = { "", "/", "x", "/a//b", "/a/../b",
	    "/a b", "/api/v1", "/secrets/" };
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < UNIT_COUNT(bad); i++) {
		get(f, bad[i]);
		expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	}
	assert_int_equal(f->relays, 0);
}

/* --- who may call --- */

/* Is it handed on? */
static bool
is_sent(struct fixture *f, const char *method, const char *target,
    const char *body)
{
	if (body == NULL)
		run(f, request(method, target));
	else
		send_body(f, method, target, body);
	if (f->relay_cb != NULL) {
		relayed(f, 0, 200, "{}");
		return true;
	}
	expect_denied(f);
	return false;
}

struct may {
	const char *method;
	const char *target;
	const char *body;
	bool allowed;
};

static void
check_rows(struct fixture *f, const struct may *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (is_sent(f, rows[i].method, rows[i].target, rows[i].body) !=
		    rows[i].allowed)
			fail_msg("%s %s %s", rows[i].method, rows[i].target,
			    rows[i].body == NULL ? "" : rows[i].body);
	}
}

/* {"k":"key_1"} and {"k":"key_2"} */
#define PAYLOAD_1 "eyJrIjoia2V5XzEifQ=="
#define PAYLOAD_2 "eyJrIjoia2V5XzIifQ=="
/* {"k":"key_1","K":"key_2"} */
#define PAYLOAD_1_2 "eyJrIjoia2V5XzEiLCJLIjoia2V5XzIifQ=="

static void
test_crypto_by_key(void **state)
{
	static const struct may rows[] = {
		{ "POST", "/encrypt", "{\"keyId\":\"key_1\"}", true },
		{ "POST", "/encrypt", "{\"key_id\":\"key_1\"}", true },
		{ "POST", "/encrypt", "{\"keyId\":\"key_2\"}", false },
		{ "POST", "/encrypt", "{\"KeyId\":\"key_2\"}", false },
		{ "POST", "/encrypt", "{\"keyId\":\"key_9\"}", false },
		/* all that are named have to be covered */
		{ "POST", "/encrypt",
		    "{\"keyId\":\"key_1\",\"key_id\":\"key_2\"}", false },
		{ "POST", "/encrypt",
		    "{\"keyId\":\"key_1\",\"KEYID\":\"key_2\"}", false },
		/* the default key, or none that can be told */
		{ "POST", "/encrypt", "{}", false },
		{ "POST", "/encrypt", "{\"keyId\":null}", false },
		{ "POST", "/encrypt", "{\"keyId\":1}", false },
		{ "POST", "/encrypt", "", false },
		{ "POST", "/encrypt", "no JSON", false },
		{ "POST", "/encrypt", "[]", false },
		{ "POST", "/encrypt",
		    "{\"keyId\":\"key_1\",\"keyId\":\"key_2\"}", false },
		{ "POST", "/encrypt",
		    "{\"keyId\":\"key_2\",\"keyId\":\"key_1\"}", false },
		{ "POST", "/encrypt",
		    "{\"keyId\":\"key_1\",\"\xe2\x84\xaa" "eyId\":\"key_2\"}",
		    false },
		/* by name it is none that the service would take */
		{ "POST", "/encrypt", "{\"keyId\":\"app-sign\"}", false },
		{ "POST", "/decrypt", "{\"encryptedPayload\":\"" PAYLOAD_1
		    "\"}", true },
		{ "POST", "/decrypt", "{\"encrypted_payload\":\"" PAYLOAD_2
		    "\"}", false },
		{ "POST", "/decrypt", "{\"encryptedPayload\":\"" PAYLOAD_2
		    "\",\"keyId\":\"key_1\"}", false },
		{ "POST", "/decrypt", "{\"encryptedPayload\":\"" PAYLOAD_1_2
		    "\"}", false },
		{ "POST", "/decrypt", "{\"encryptedPayload\":\"opaque!\"}",
		    false },
		{ "POST", "/decrypt", "{\"ciphertext\":\"x\","
		    "\"keyId\":\"key_1\"}", true },
		{ "POST", "/decrypt", "{\"ciphertext\":\"x\"}", false },
		/* neither operation nor call */
		{ "POST", "/sign", "{\"keyId\":\"key_1\"}", false },
		{ "POST", "/verify", "{\"keyId\":\"key_1\"}", false },
		{ "POST", "/transit/encrypt/app-sign", "{}", false },
	};
	struct fixture *f = *state;

	open_as(f, APP);
	check_rows(f, rows, UNIT_COUNT(rows));
}

/* What would cost much to look into is as good as no JSON. */
static void
test_body_of_too_many_parts(void **state)
{
	static const char start[] = "{\"keyId\":\"key_1\",\"x\":[0";
	static char body[81920];
	struct may row = { "POST", "/encrypt", body, true };
	struct fixture *f = *state;
	size_t len, i;

	open_as(f, APP);
	for (i = 1000; i <= 40000; i *= 40) {
		len = (size_t)snprintf(body, sizeof(body), "%s", start);
		for (; len < sizeof(start) + 2 * i; len += 2)
			memcpy(body + len, ",0", 2);
		memcpy(body + len, "]}", 3);
		row.allowed = i == 1000;
		check_rows(f, &row, 1);
	}
}

static void
test_calls_about_all(void **state)
{
	static const struct may rows[] = {
		{ "POST", "/encrypt", "{}", true },
		{ "POST", "/decrypt", "x", true },
		{ "GET", "/secrets/sec_9/history", NULL, true },
		{ "DELETE", "/vault/share/link", NULL, true },
		{ "GET", "/billing/usage", NULL, true },
		{ "POST", "/secrets", "{\"name\":\"x\"}", true },
		{ "GET", "/secrets/x/new", NULL, true },
		{ "GET", "/some/thing/new", NULL, true },
	};
	struct fixture *f = *state;

	open_as(f, CALLER);
	check_rows(f, rows, UNIT_COUNT(rows));
	/* nothing was looked up for that */
	assert_int_equal(f->fu.started, 0);
}

static void
test_calls_about_some(void **state)
{
	static const struct may rows[] = {
		{ "PUT", "/secrets/sec_2/value", "{}", true },
		{ "PUT", "/secrets/sec_1/value", "{}", false },
		{ "PUT", "/%53ecrets/sec_1/VALUE", "{}", false },
		{ "PUT", "/secrets/sec_77/value", "{}", false },
		/* a name is no id for what changes something */
		{ "PUT", "/secrets/app%2Fweb/value", "{}", false },
		{ "GET", "/secrets/sec_2/history", NULL, true },
		{ "GET", "/secrets/sec_1/history", NULL, false },
		{ "GET", "/secrets/sec_3/history", NULL, true },
		{ "GET", "/secrets/sec_2/new", NULL, false },
		{ "PUT", "/Keys/key_1/new", NULL, false },
		{ "GET", "/vault/share/by-secret/sec_2", NULL, true },
		{ "GET", "/vault/share/by-secret/sec_1", NULL, false },
		{ "DELETE", "/vault/share/link", NULL, false },
		{ "POST", "/vault/share", "{\"secretId\":\"sec_2\"}", true },
		{ "POST", "/vault/share", "{\"secret_id\":\"sec_1\"}", false },
		{ "POST", "/vault/share", "{}", false },
		{ "POST", "/share/token", "{}", true },
		{ "POST", "/secrets", "{\"name\":\"app/new\"}", true },
		{ "POST", "/secrets", "{\"name\":\"db/new\"}", false },
		{ "POST", "/secrets", "{\"value\":\"x\"}", false },
		{ "POST", "/secrets/import",
		    "{\"items\":[{\"name\":\"app/a\"},{\"name\":\"app/b\"}]}",
		    true },
		{ "POST", "/secrets/import",
		    "{\"items\":[{\"name\":\"app/a\"},{\"name\":\"db/b\"}]}",
		    false },
		{ "POST", "/secrets/import", "{\"items\":[{}]}", false },
		{ "POST", "/secrets/import", "{\"items\":[]}", false },
		{ "POST", "/secrets/import", "{\"items\":[1]}", false },
		{ "PATCH", "/secrets/sec_2", "{\"notes\":\"x\"}", true },
		{ "PATCH", "/secrets/sec_2", "{\"name\":\"app/x\"}", true },
		{ "PATCH", "/secrets/sec_2", "{\"Name\":\"db/x\"}", false },
		{ "PATCH", "/secrets/sec_2", "{\"na_me\":\"db/x\"}", false },
		{ "PATCH", "/secrets/sec_2", "nonsense", false },
		{ "POST", "/keys", "{\"name\":\"app-x\"}", true },
		{ "POST", "/keys", "{\"name\":\"x\"}", false },
		{ "POST", "/keys/key_1/rotate", NULL, true },
		{ "POST", "/keys/key_1/rotate", "{\"name\":\"x\"}", false },
		{ "POST", "/keys/key_2/rotate", NULL, false },
		{ "GET", "/keys/key_1", NULL, true },
		{ "GET", "/keys/key_2", NULL, false },
		{ "POST", "/transit/encrypt/app-sign", "{}", true },
		{ "POST", "/transit/encrypt/other", "{}", false },
		{ "POST", "/transit/batch/decrypt/app-sign", "{}", true },
		{ "POST", "/encrypt", "{\"keyId\":\"key_1\"}", true },
		{ "POST", "/encrypt", "{\"keyId\":\"key_2\"}", false },
		{ "POST", "/sign", "{\"keyId\":\"key_1\"}", true },
		/* about neither */
		{ "GET", "/billing/usage", NULL, true },
		{ "GET", "/applications/sec_1", NULL, true },
	};
	struct fixture *f = *state;

	open_as(f, NARROW);
	check_rows(f, rows, UNIT_COUNT(rows));
}

/* A denial does not make the agent ask again and again. */
static void
test_lookups_are_bounded(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	open_as(f, NARROW);
	for (i = 0; i < 10; i++) {
		assert_false(is_sent(f, "DELETE", "/secrets/sec_77", NULL));
		fake_time_pass(SECOND / 2);
	}
	assert_int_equal(f->fu.started, 1);
	/* nor does one that has no such rule at all */
	open_as(f, NOBODY);
	assert_false(is_sent(f, "DELETE", "/keys/key_77", NULL));
	assert_int_equal(f->fu.started, 1);
	/* with a newer one what is new is found */
	f->docs[7].body = "{\"secrets\":[{\"id\":\"sec_77\","
	    "\"name\":\"app/77\",\"version\":1,\"isActive\":true}],"
	    "\"total\":1,\"hasMore\":false}";
	fake_time_pass(11 * SECOND);
	open_as(f, NARROW);
	assert_true(is_sent(f, "DELETE", "/secrets/sec_77", NULL));
	assert_int_equal(f->fu.started, 2);
}

static void
test_paths_of_rules(void **state)
{
	static const struct may rows[] = {
		{ "POST", "/transit/encrypt/a%2Fb", "{}", true },
		{ "POST", "/transit/encrypt/a%2fc", "{}", false },
		{ "POST", "/transit/datakey/x%2Fwithout-plaintext", "{}",
		    false },
		{ "POST", "/transit/datakey/x/without-plaintext", "{}", true },
		{ "GET", "/new/a%2Fb", NULL, false },
	};
	struct fixture *f = *state;

	rule(f->settings.policy, "paths", "user", "54325", "operations",
	    "call", "paths", "POST /transit/encrypt/a%2Fb, "
	    "POST /transit/datakey/*/without-plaintext, * /new/**", NULL);
	open_as(f, NOBODY);
	check_rows(f, rows, UNIT_COUNT(rows));
}

/* --- {id} --- */

static void
test_reference_in_target(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("PUT",
	    "/secrets/{id}/value?x=%7Bid%7D");

	rq.ref = unit_view("qapi://secrets/db/prod");
	run(f, rq);
	assert_string_equal(f->id, "sec_1");
	expect_sent(f, "/secrets/sec_1/value?x=%7Bid%7D");
	rq = request("GET", "/secrets/{id}?include=notes");
	rq.ref = unit_view("qapi://secrets/db/prod");
	run(f, rq);
	assert_int_equal(f->answer.status, 200);
	assert_string_equal(json_string_value(json_object_get(f->json,
	    "notes")), "n");
	rq = request("POST", "/keys/{id}/rotate");
	rq.ref = unit_view("qapi://keys/app-sign/public");
	run(f, rq);
	expect_sent(f, "/keys/key_1/rotate");
	rq.ref = unit_view("qapi://keys/nothing/public");
	run(f, rq);
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
	f->docs[8].body = "{\"keys\":[{\"id\":\"k1\",\"name\":\"twin\"},"
	    "{\"id\":\"k2\",\"name\":\"twin\"}],\"hasMore\":false}";
	fake_time_pass(11 * SECOND);
	rq.ref = unit_view("qapi://keys/twin/public");
	run(f, rq);
	expect_error(f, 409, "ambiguous", ERR_AMBIGUOUS);
	assert_non_null(strstr(message(f), "k1"));
	assert_non_null(strstr(message(f), "k2"));
	rq.ref = unit_view("qapi://keys/app-sign/public?format=x");
	run(f, rq);
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	rq = request("GET", "/secrets/x?{id}");
	rq.ref = unit_view("qapi://secrets/db/prod");
	run(f, rq);
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	get(f, "/secrets/{id}");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	open_as(f, NARROW);
	rq = request("PUT", "/secrets/{id}/value");
	rq.ref = unit_view("qapi://secrets/db/prod");
	run(f, rq);
	expect_denied(f);
	rq.ref = unit_view("qapi://secrets/db/nothing");
	run(f, rq);
	expect_denied(f);
	rq.ref = unit_view("qapi://secrets/app/web");
	run(f, rq);
	expect_sent(f, "/secrets/sec_2/value");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REST_TEST(test_relayed),
		REST_TEST(test_relayed_ways),
		REST_TEST(test_relayed_errors),
		REST_TEST(test_settings_are_refused),
		REST_TEST(test_bad_paths),
		REST_TEST(test_crypto_by_key),
		REST_TEST(test_body_of_too_many_parts),
		REST_TEST(test_calls_about_all),
		REST_TEST(test_calls_about_some),
		REST_TEST(test_lookups_are_bounded),
		REST_TEST(test_paths_of_rules),
		REST_TEST(test_reference_in_target),
	};

	return cmocka_run_group_tests(tests, group_setup,
	    unit_secmem_teardown);
}
