/*
 * The service's REST paths out of the cache: secrets, public keys, lists.
 */
#include "config.h"

#include "rest_unit.h"

/* --- secrets --- */

#define VALUE "\"value\":\"p\\u0000\\\"\\\\\\n\\u001f\xc3\xa9/<\""
#define MINIMAL "\"id\":\"sec_1\",\"name\":\"db/prod\"," VALUE \
    ",\"version\":3,\"contentType\":\"password\",\"username\":\"app\"," \
    "\"totpSecret\":null,\"urls\":[{\"url\":\"https://x\"}]"

static void
test_secret_projections(void **state)
{
	struct fixture *f = *state;

	get(f, "/api/v1/secrets/sec_1");
	expect_json(f, "{" MINIMAL "}");
	assert_int_equal(f->answer.cache, REST_CACHE_MISS);
	get(f, "/secrets/sec_1?include=");
	expect_json(f, "{" MINIMAL "}");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	get(f, "/secrets/sec_1?include=notes,isActive");
	expect_json(f, "{" MINIMAL ",\"notes\":\"n\",\"isActive\":true}");
	/* a union; commas may be encoded; null where it is not set */
	get(f, "/secrets/sec_1?include=folderId%2Clabels&x=1&include=hasTotp");
	expect_json(f, "{" MINIMAL ",\"folderId\":null,"
	    "\"labels\":[\"a\",\"b\"],\"hasTotp\":false}");
	get(f, "/secrets/sec_1?include=all");
	expect_json(f, secret_1);
	get(f, "/secrets/sec_1?include=notes,metadata");
	expect_json(f, secret_1);
	get(f, "/secrets/sec_1?%69nclude=customFields");
	expect_json(f, "{" MINIMAL ",\"customFields\":[{\"name\":\"user\","
	    "\"value\":\"u\",\"type\":\"text\"}]}");
	/* one read for all of them */
	assert_int_equal(f->fu.reads, 1);
}

static void
test_secret_of_few_members(void **state)
{
	struct fixture *f = *state;

	get(f, "/secrets/sec_2");
	expect_json(f, "{\"id\":\"sec_2\",\"name\":\"app/web\",\"value\":\"two\","
	    "\"version\":1,\"contentType\":null,\"username\":null,"
	    "\"totpSecret\":\"GEZDGNBV\",\"urls\":null}");
	get(f, "/secrets/sec_2?include=all");
	expect_json(f, "{\"id\":\"sec_2\",\"name\":\"app/web\",\"value\":\"two\","
	    "\"version\":1,\"contentType\":null,\"username\":null,"
	    "\"totpSecret\":\"GEZDGNBV\",\"urls\":null,\"description\":null,"
	    "\"notes\":null,\"labels\":null,\"customFields\":null,"
	    "\"folderId\":null,\"expiresAt\":null,\"isActive\":true,"
	    "\"isFavorite\":false,\"hasTotp\":true,\"isTravelSafe\":null,"
	    "\"createdAt\":null,\"updatedAt\":null,\"createdBy\":null,"
	    "\"updatedBy\":null}");
}

static void
test_secret_unknown_token(void **state)
{
	static const char *const bad[] = { "nonsense", "Notes", "notes,value",
	    "username", "notes%2cx", "all,x",
	    "a-token-that-is-longer-than-any-of-those-that-there-could-be-12" };
	struct fixture *f = *state;
	char target[200];
	size_t i;

	for (i = 0; i < UNIT_COUNT(bad); i++) {
		(void)snprintf(target, sizeof(target),
		    "/secrets/sec_1?include=%s", bad[i]);
		get(f, target);
		expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
		assert_non_null(json_object_get(json_object_get(
		    json_object_get(f->json, "details"), "fields"),
		    "include"));
	}
	assert_int_equal(f->fu.reads, 0);
}

static void
test_secret_version(void **state)
{
	struct fixture *f = *state;

	get(f, "/secrets/sec_1?version=2&include=labels");
	expect_json(f, "{\"id\":\"sec_1\",\"name\":\"db/prod\",\"value\":\"old\","
	    "\"version\":2,\"contentType\":null,\"username\":\"was\","
	    "\"totpSecret\":null,\"urls\":null,\"labels\":null}");
	get(f, "/secrets/sec_1?version=2");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	get(f, "/secrets/sec_1?version=0");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	get(f, "/secrets/sec_1?version=x");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	get(f, "/secrets/sec_1?version=99999999999999999999");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	get(f, "/secrets/sec_1?version=7");
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
}

static void
test_secret_by_name(void **state)
{
	struct fixture *f = *state;

	get(f, "/secrets/db%2Fprod");
	expect_json(f, "{" MINIMAL "}");
	get(f, "/secrets/%61pp%2fweb");
	assert_string_equal(json_string_value(json_object_get(f->json,
	    "value")), "two");
	get(f, "/secrets/nothing");
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
	get(f, "/secrets/a%00b");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	run(f, request("HEAD", "/secrets/sec_1"));
	expect_json(f, "{" MINIMAL "}");
}

static void
test_freshness(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("GET", "/secrets/sec_1");

	rq.only_if_cached = true;
	run(f, rq);
	expect_error(f, 504, "gateway_timeout", ERR_TIMEOUT);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.age_ms, 0);
	fake_time_pass(90 * SECOND);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	assert_int_equal(f->answer.age_ms, 90 * SECOND);
	rq.only_if_cached = false;
	rq.fresh = true;
	run(f, rq);
	assert_int_equal(f->answer.cache, REST_CACHE_MISS);
	assert_int_equal(f->answer.age_ms, 0);
	/* and with a service that is away */
	f->down = true;
	rq.fresh = false;
	rq.max_age_ms = SECOND;
	fake_time_pass(20 * SECOND);
	run(f, rq);
	assert_int_equal(f->answer.status, 200);
	assert_int_equal(f->answer.cache, REST_CACHE_STALE);
	assert_true(f->answer.age_ms >= 20 * SECOND);
	assert_int_equal(f->metrics.stale_served, 1);
	rq.fresh = true;
	run(f, rq);
	expect_error(f, 503, "unavailable", ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_errors_of_the_service(void **state)
{
	struct fixture *f = *state;

	f->docs[3].status = 409;
	get(f, "/keys/key_1/public");
	expect_error(f, 403, "forbidden", ERR_DENIED);
	f->docs[0].status = 401;
	f->docs[2].status = 403;
	f->docs[2].body = "{\"error\":\"insufficient_scope\",\"message\":\"x\","
	    "\"details\":{\"requiredScope\":\"secrets:read\"}}";
	get(f, "/secrets/sec_2");
	expect_error(f, 502, "agent_insufficient_scope",
	    ERR_INSUFFICIENT_SCOPE);
	assert_non_null(strstr(f->answer.message, "secrets:read"));
	assert_non_null(strstr(f->answer.message, "not of its caller"));
	get(f, "/secrets/sec_1");
	expect_error(f, 502, "agent_unauthorized", ERR_UNAUTHORIZED);
	assert_non_null(strstr(f->answer.message, "not of its caller"));
}

static void
test_expired(void **state)
{
	struct fixture *f = *state;

	f->docs[2].body = "{\"id\":\"sec_2\",\"name\":\"app/web\","
	    "\"value\":\"two\",\"version\":1,"
	    "\"expiresAt\":\"2020-01-01T00:00:00Z\"}";
	get(f, "/secrets/sec_2");
	expect_error(f, 410, "expired", ERR_EXPIRED);
	assert_int_equal(f->metrics.expired, 1);
}

/* --- time --- */

static void
test_deadline(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("GET", "/secrets/sec_1");

	rq.deadline_ms = 500;
	assert_int_equal(start(f, &rq), ERR_AGAIN);
	assert_int_equal(f->s.waiting, 1);
	assert_int_equal(f->caller.waiting, 1);
	fake_time_pass(479);
	assert_int_equal(f->answers, 0);
	fake_time_pass(1);
	assert_int_equal(f->answers, 1);
	parse(f);
	expect_error(f, 504, "gateway_timeout", ERR_TIMEOUT);
	assert_int_equal(f->s.waiting, 0);
	/* the read goes on for the cache */
	serve(f);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
}

static void
test_cancel(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("GET", "/secrets/sec_1");

	assert_int_equal(start(f, &rq), ERR_AGAIN);
	rest_cancel(f->rest);
	assert_int_equal(f->s.waiting, 0);
	serve(f);
	assert_int_equal(f->answers, 0);
	rq = request("GET", "/audit");
	assert_int_equal(start(f, &rq), ERR_AGAIN);
	rest_cancel(f->rest);
	assert_int_equal(f->relays_cancelled, 1);
	assert_int_equal(f->s.waiting, 0);
	assert_int_equal(f->caller.waiting, 0);
}

static void
test_limits(void **state)
{
	struct fixture *f = *state;

	f->caller.waiting = CALLER_WAITING_MAX + 1;
	get(f, "/secrets/sec_1");
	expect_error(f, 503, "unavailable", ERR_BUSY);
	assert_int_equal(f->answer.retry_after_ms, 1000);
	get(f, "/audit");
	expect_error(f, 503, "unavailable", ERR_BUSY);
	f->caller.waiting = 0;
	serve(f);
	limit_free(f->env.limit);
	f->env.limit = limit_new(1);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.status, 200);
	get(f, "/secrets/sec_1");
	expect_error(f, 429, "rate_limit_exceeded", ERR_RATE_LIMITED);
	assert_int_equal(f->answer.retry_after_ms, 1000);
}

/* --- keys --- */

#define KEY_HEAD "\"keyId\":\"key_1\",\"id\":\"key_1\"," \
    "\"algorithm\":\"Ed25519\",\"version\":2"
#define KEY_RAW KEY_HEAD ",\"publicKey\":\"AQID+/8=\",\"format\":\"raw\""

static void
test_key_projections(void **state)
{
	struct fixture *f = *state;

	get(f, "/api/v1/keys/key_1/public");
	expect_json(f, "{" KEY_RAW "}");
	get(f, "/keys/key_1/public?format=raw");
	expect_json(f, "{" KEY_RAW "}");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	assert_int_equal(f->fu.reads, 1);
	get(f, "/keys/key_1/public?include=description,labels&include=state");
	expect_json(f, "{" KEY_RAW ",\"description\":\"a \\\"b\\\" {[,]}\","
	    "\"labels\":[\"x\"],\"state\":\"active\"}");
	get(f, "/keys/key_1/public?include=all");
	expect_json(f, key_1);
	get(f, "/keys/key_1/public?include=nope");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	get(f, "/keys/key_1/public?format=pkcs8");
	expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	/* by its name */
	get(f, "/keys/app-sign/public");
	expect_json(f, "{" KEY_RAW "}");
	assert_int_equal(f->fu.reads, 1);
}

static void
test_key_forms(void **state)
{
	struct fixture *f = *state;
	struct view body;

	get(f, "/keys/key_1/public?format=pem");
	expect_json(f, "{" KEY_HEAD ",\"publicKey\":"
	    "\"-----BEGIN PUBLIC KEY-----\\nAA==\\n\",\"format\":\"pem\"}");
	assert_int_equal(f->answer.cache, REST_CACHE_MISS);
	get(f, "/keys/key_1/public?format=der&include=name");
	expect_json(f, "{" KEY_HEAD ",\"publicKey\":\"MAECAw==\","
	    "\"format\":\"der\",\"name\":\"app-sign\"}");
	get(f, "/keys/key_1/public?format=pem&include=name");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	/* byte for byte, and include is not looked at */
	get(f, "/keys/key_1/public?format=jwk&include=nope");
	body = object_value(f->answer.body);
	assert_true(unit_view_is(body, key_1_jwk));
	assert_string_equal(f->answer.content_type, "application/json");
	assert_int_equal(f->fu.reads, 4);
}

/* Never the key of one version with what is said of another. */
static void
test_key_forms_of_one_version(void **state)
{
	struct fixture *f = *state;

	get(f, "/keys/key_1/public?format=pem");
	/* rotated: the cached JSON form is of version 2 */
	f->docs[3].body = "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\","
	    "\"version\":3,\"publicKey\":\"BBBB\",\"format\":\"raw\"}";
	f->docs[5].body = "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\","
	    "\"version\":3,\"publicKey\":\"MAEE\",\"format\":\"der\"}";
	get(f, "/keys/key_1/public?format=der");
	expect_json(f, "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\","
	    "\"version\":3,\"publicKey\":\"MAEE\",\"format\":\"der\"}");
	/* now the form is the older one */
	f->docs[4].body = "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\","
	    "\"version\":3,\"publicKey\":\"-----BEGIN X\",\"format\":\"pem\"}";
	get(f, "/keys/key_1/public?format=pem");
	expect_json(f, "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\","
	    "\"version\":3,\"publicKey\":\"-----BEGIN X\","
	    "\"format\":\"pem\"}");
	/* and one that does not come to agree is not made up */
	f->docs[5].body = key_1_der;
	assert_true(fetch_purge_all(f->fetch) > 0);
	get(f, "/keys/key_1/public?format=der");
	expect_error(f, 503, "unavailable", ERR_UPSTREAM_UNAVAILABLE);
}

/* --- who may read --- */

static const char *
message(struct fixture *f)
{
	return f->answer.message;
}

static void
test_denied_alike(void **state)
{
	struct fixture *f = *state;
	char text[FETCH_MESSAGE_MAX];
	unsigned int started;

	open_as(f, APP);
	get(f, "/secrets/app%2Fweb");
	expect_denied(f);
	assert_non_null(strstr(message(f), "\"app reads\""));
	assert_null(strstr(message(f), "db/"));
	(void)snprintf(text, sizeof(text), "%s", message(f));
	get(f, "/secrets/app%2Fnothing");
	expect_denied(f);
	assert_string_equal(text, message(f));
	/* an id is judged by its name; one that does not exist is denied too */
	get(f, "/secrets/sec_2");
	expect_denied(f);
	assert_string_equal(text, message(f));
	get(f, "/secrets/sec_77");
	expect_denied(f);
	assert_string_equal(text, message(f));
	assert_int_equal(f->metrics.denied, 4);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.status, 200);
	get(f, "/secrets/db%2Fnothing");
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
	open_as(f, NOBODY);
	started = f->fu.started;
	get(f, "/secrets/sec_88");
	expect_denied(f);
	assert_non_null(strstr(message(f), "no rule"));
	/* nothing was asked for that */
	assert_int_equal(f->fu.started, started);
}

/* A text that names may be, and ids too, tells nothing of what has that id. */
static void
test_denied_alike_where_an_id_could_be_a_name(void **state)
{
	struct fixture *f = *state;
	char text[FETCH_MESSAGE_MAX];

	open_as(f, SHORT);
	get(f, "/secrets/sec_2");
	expect_denied(f);
	(void)snprintf(text, sizeof(text), "%s", message(f));
	get(f, "/secrets/sec_77");
	expect_denied(f);
	assert_string_equal(text, message(f));
	get(f, "/secrets/nothing");
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
}

static void
test_read_by_call(void **state)
{
	struct fixture *f = *state;

	open_as(f, CALLER);
	get(f, "/secrets/sec_1");
	assert_int_equal(f->answer.status, 200);
	get(f, "/secrets/sec_77");
	expect_error(f, 404, "not_found", ERR_NOT_FOUND);
	open_as(f, NARROW);
	get(f, "/secrets/sec_1");
	expect_denied(f);
	get(f, "/secrets/sec_2");
	assert_int_equal(f->answer.status, 200);
	get(f, "/secrets/app%2Fweb");
	assert_int_equal(f->answer.status, 200);
	get(f, "/keys/app-sign/public");
	assert_int_equal(f->answer.status, 200);
}

/* --- lists --- */

static void
test_list_of_all(void **state)
{
	struct fixture *f = *state;

	open_as(f, ALL);
	get(f, "/api/v1/secrets?page=2&label=x");
	expect_sent(f, "/secrets?page=2&label=x");
	get(f, "/keys");
	expect_sent(f, "/keys");
	open_as(f, CALLER);
	get(f, "/secrets");
	expect_sent(f, "/secrets");
	open_as(f, NOBODY);
	get(f, "/secrets");
	expect_denied(f);
}

static const char *
name_at(struct fixture *f, size_t i)
{
	return json_string_value(json_object_get(json_array_get(
	    json_object_get(f->json, "secrets"), i), "name"));
}

static void
test_list_of_some(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	get(f, "/secrets");
	expect_json(f, "{\"secrets\":["
	    "{\"id\":\"sec_1\",\"name\":\"db/prod\",\"version\":3,"
	    "\"createdAt\":\"2026-01-01T00:00:00Z\",\"updatedAt\":null,"
	    "\"expiresAt\":\"2027-05-08T12:00:00Z\",\"isActive\":true},"
	    "{\"id\":\"sec_3\",\"name\":\"db/test\",\"version\":1,"
	    "\"createdAt\":\"2026-01-03T00:00:00Z\",\"updatedAt\":null,"
	    "\"expiresAt\":null,\"isActive\":true},"
	    "{\"id\":\"sec_9\",\"name\":\"by id\",\"version\":1,"
	    "\"createdAt\":\"2026-01-04T00:00:00Z\",\"updatedAt\":null,"
	    "\"expiresAt\":null,\"isActive\":true}],"
	    "\"total\":3,\"page\":1,\"pageSize\":50,\"page_size\":50,"
	    "\"hasMore\":false,\"has_more\":false}");
	assert_int_equal(f->answer.cache, REST_CACHE_MISS);
	get(f, "/secrets?page=2&pageSize=2&includeInactive=true");
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	assert_int_equal(json_array_size(json_object_get(f->json, "secrets")),
	    2);
	assert_string_equal(name_at(f, 0), "db/off");
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "total")), 4);
	assert_true(json_is_false(json_object_get(f->json, "has_more")));
	get(f, "/secrets?pageSize=1&search=TE");
	assert_string_equal(name_at(f, 0), "db/test");
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "total")), 1);
	get(f, "/secrets?pageSize=2&allVersions=false");
	assert_true(json_is_true(json_object_get(f->json, "hasMore")));
	get(f, "/secrets?page=9&pageSize=999");
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "pageSize")), 200);
	assert_int_equal(json_array_size(json_object_get(f->json, "secrets")),
	    0);
	assert_int_equal(f->fu.lists, 1);
	open_as(f, NARROW);
	get(f, "/secrets");
	assert_string_equal(name_at(f, 0), "app/web");
}

static void
test_list_what_it_cannot(void **state)
{
	static const char *const bad[] = { "label=x", "contentType=a",
	    "page=0", "page=x", "pageSize=-1", "pageSize=",
	    "includeInactive=1", "allVersions=true", "status=active",
	    "search=a%00b" };
	struct fixture *f = *state;
	char target[200];
	size_t i;

	open_as(f, APP);
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		(void)snprintf(target, sizeof(target), "/secrets?%s", bad[i]);
		get(f, target);
		expect_error(f, 400, "invalid_request", ERR_BAD_REQUEST);
	}
	assert_int_equal(f->fu.started, 0);
}

static void
test_list_of_keys(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	get(f, "/keys?page=1");
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "total")), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(
	    json_object_get(f->json, "keys"), 0), "id")), "key_1");
	assert_null(json_object_get(f->json, "page_size"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(
	    json_object_get(f->json, "keys"), 0), "keyType")), "signing");
	assert_string_equal(json_string_value(json_object_get(json_array_get(
	    json_object_get(f->json, "keys"), 0), "algorithm")), "Ed25519");
}

static void
test_list_while_away(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("GET", "/secrets?pageSize=2");

	open_as(f, ALL);
	run(f, rq);
	relayed(f, ERR_UPSTREAM_UNAVAILABLE, 0, NULL);
	parse(f);
	expect_error(f, 503, "unavailable", ERR_UPSTREAM_UNAVAILABLE);
	/* once there is a listing, that */
	get(f, "/secrets/db%2Fprod");
	fake_time_pass(7 * SECOND);
	run(f, rq);
	relayed(f, 0, 503, "{}");
	parse(f);
	assert_int_equal(f->answer.status, 200);
	assert_int_equal(f->answer.cache, REST_CACHE_STALE);
	assert_int_equal(f->answer.age_ms, 7 * SECOND);
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "total")), 4);
	/* not for what it does not tell, nor for who wants it fresh */
	get(f, "/secrets?label=x");
	relayed(f, ERR_UPSTREAM_UNAVAILABLE, 0, NULL);
	parse(f);
	expect_error(f, 503, "unavailable", ERR_UPSTREAM_UNAVAILABLE);
	rq.fresh = true;
	run(f, rq);
	relayed(f, ERR_TIMEOUT, 0, NULL);
	parse(f);
	expect_error(f, 504, "gateway_timeout", ERR_TIMEOUT);
	rq.fresh = false;
	rq.only_if_cached = true;
	run(f, rq);
	assert_int_equal(f->answer.status, 200);
	/* what the service refuses is no absence */
	get(f, "/secrets");
	relayed(f, 0, 403, "{}");
	assert_int_equal(f->answer.status, 403);
}

/* Long ones do not keep others waiting. */
static void
test_long_list(void **state)
{
	struct fixture *f = *state;
	struct rest_request rq = request("GET",
	    "/secrets?page=25&pageSize=200");
	char *body = malloc(1 << 20), *at = body;
	unsigned int i;

	assert_non_null(body);
	at += sprintf(at, "{\"secrets\":[");
	for (i = 0; i < 5000; i++)
		at += sprintf(at, "%s{\"id\":\"i%u\",\"name\":\"db/%u\","
		    "\"version\":1,\"isActive\":true}", i > 0 ? "," : "", i,
		    i);
	(void)sprintf(at, "],\"hasMore\":false}");
	f->docs[7].body = body;
	open_as(f, APP);
	get(f, "/secrets");
	assert_int_equal(json_integer_value(json_object_get(f->json,
	    "total")), 5000);
	assert_int_equal(start(f, &rq), ERR_AGAIN);
	assert_int_equal(f->answers, 0);
	serve(f);
	assert_int_equal(f->answers, 1);
	parse(f);
	assert_int_equal(f->answer.cache, REST_CACHE_HIT);
	assert_int_equal(json_array_size(json_object_get(f->json, "secrets")),
	    200);
	assert_string_equal(name_at(f, 199), "db/4999");
	/* and one of them goes away */
	assert_int_equal(start(f, &rq), ERR_AGAIN);
	rest_cancel(f->rest);
	serve(f);
	assert_int_equal(f->answers, 0);
	free(body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REST_TEST(test_secret_projections),
		REST_TEST(test_secret_of_few_members),
		REST_TEST(test_secret_unknown_token),
		REST_TEST(test_secret_version),
		REST_TEST(test_secret_by_name),
		REST_TEST(test_freshness),
		REST_TEST(test_errors_of_the_service),
		REST_TEST(test_expired),
		REST_TEST(test_deadline),
		REST_TEST(test_cancel),
		REST_TEST(test_limits),
		REST_TEST(test_key_projections),
		REST_TEST(test_key_forms),
		REST_TEST(test_key_forms_of_one_version),
		REST_TEST(test_denied_alike),
		REST_TEST(test_denied_alike_where_an_id_could_be_a_name),
		REST_TEST(test_read_by_call),
		REST_TEST(test_list_of_all),
		REST_TEST(test_list_of_some),
		REST_TEST(test_list_what_it_cannot),
		REST_TEST(test_list_of_keys),
		REST_TEST(test_list_while_away),
		REST_TEST(test_long_list),
	};

	return cmocka_run_group_tests(tests, group_setup,
	    unit_secmem_teardown);
}
