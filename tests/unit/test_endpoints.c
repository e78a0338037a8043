#include "config.h"

#include "endpoints.h"

#include "err.h"
#include "unit.h"

static struct view
view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static void
assert_view(struct view v, const char *want)
{
	if (v.len != strlen(want) || memcmp(v.p, want, v.len) != 0)
		fail_msg("\"%.*s\" is not \"%s\"", (int)v.len,
		    (const char *)v.p, want);
}

/* The pattern with its parameters replaced, behind prefix. */
static void
example(const struct endpoint *e, const char *prefix, char *ret, size_t size)
{
	const char *at = e->pattern;
	size_t len = (size_t)snprintf(ret, size, "%s", prefix);

	while (*at != '\0') {
		assert_true(len < size - 2);
		if (*at == '{') {
			ret[len++] = 'x';
			at += strcspn(at, "}") + 1;
		} else {
			ret[len++] = *at++;
		}
	}
	ret[len] = '\0';
}

/* Also: no row stands where an earlier one hides it. */
static void
test_each_row_is_found_by_its_path(void **state)
{
	struct endpoint_match m;
	char target[200];
	size_t i;

	(void)state;
	for (i = 0; i < endpoints_count; i++) {
		example(&endpoints[i],
		    endpoints[i].from_root ? "" : "/api/v1", target,
		    sizeof(target));
		assert_int_equal(endpoints_match(endpoints[i].method,
		    view(target), &m), 0);
		if (m.endpoint != &endpoints[i])
			fail_msg("%s %s", endpoints[i].method, target);
		assert_true(m.from_root == endpoints[i].from_root);
	}
}

static void
test_rows_are_sound(void **state)
{
	const struct endpoint *e;
	const char *at;
	size_t i, params;

	(void)state;
	assert_true(endpoints_count > 100);
	for (i = 0; i < endpoints_count; i++) {
		e = &endpoints[i];
		for (params = 0, at = e->pattern; (at = strchr(at, '{')) !=
		    NULL; at++)
			params++;
		assert_true(params <= ENDPOINT_PARAMS_MAX);
		assert_true(e->pattern[0] == '/');
		if (strcmp(e->method, "GET") == 0) {
			assert_true(e->repeatable);
			assert_int_equal(e->drops, 0);
		}
		/* what drops one must be told which */
		if (e->drops & (ENDPOINT_DROPS_SECRET | ENDPOINT_DROPS_KEY))
			assert_true(params > 0);
		/* ":read" covers what reads, ":write" what writes, but one */
		if (e->scope != NULL && e->scope[0] != '\0' &&
		    strcmp(e->pattern, "/qrng/entropy") != 0)
			assert_true((strstr(e->scope, ":read") != NULL) ==
			    (strcmp(e->method, "GET") == 0));
	}
}

static void
test_parts_are_told(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("GET",
	    view("/api/v1/secrets/sec_1?include=all&x=a/b?c"), &m), 0);
	assert_view(m.path, "/secrets/sec_1");
	assert_view(m.query, "include=all&x=a/b?c");
	assert_int_equal(m.nparams, 1);
	assert_view(m.params[0], "sec_1");
	assert_int_equal(m.endpoint->way, ENDPOINT_CACHED_SECRET);
	assert_false(m.from_root);

	assert_int_equal(endpoints_match("DELETE",
	    view("/applications/a/end-users/b/roles/c%2Fd"), &m), 0);
	assert_int_equal(m.nparams, 3);
	assert_view(m.params[0], "a");
	assert_view(m.params[1], "b");
	assert_view(m.params[2], "c%2Fd");
	assert_int_equal(m.query.len, 0);
}

static void
test_both_spellings_of_a_path(void **state)
{
	struct endpoint_match a, b;

	(void)state;
	assert_int_equal(endpoints_match("GET", view("/secrets"), &a), 0);
	assert_int_equal(endpoints_match("GET", view("/api/v1/secrets"), &b),
	    0);
	assert_ptr_equal(a.endpoint, b.endpoint);
	assert_int_equal(a.endpoint->way, ENDPOINT_LIST_SECRETS);
	assert_view(a.path, "/secrets");
	assert_view(b.path, "/secrets");
}

static void
test_root_and_below(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("GET", view("/health"), &m), 0);
	assert_true(m.from_root);
	assert_int_equal(endpoints_match("GET", view("/api/v1/health"), &m),
	    0);
	assert_non_null(m.endpoint);
	assert_false(m.from_root);
	assert_int_equal(endpoints_match("GET", view("/version"), &m), 0);
	assert_true(m.from_root);
	/* there is none below, so it is one that is not known */
	assert_int_equal(endpoints_match("GET", view("/api/v1/version"), &m),
	    0);
	assert_null(m.endpoint);
	assert_false(m.from_root);
}

static void
test_head_is_looked_up_as_get(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("HEAD", view("/secrets/x"), &m), 0);
	assert_int_equal(m.endpoint->way, ENDPOINT_CACHED_SECRET);
	assert_true(endpoints_repeatable("HEAD", m.endpoint));
}

static void
test_unknown_ones(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("GET", view("/new/thing"), &m), 0);
	assert_null(m.endpoint);
	assert_int_equal(m.nparams, 0);
	assert_view(m.path, "/new/thing");
	assert_true(endpoints_repeatable("GET", m.endpoint));
	assert_true(endpoints_repeatable("HEAD", m.endpoint));
	assert_false(endpoints_repeatable("POST", m.endpoint));
	assert_false(endpoints_repeatable("DELETE", m.endpoint));
	/* a method that the path does not have */
	assert_int_equal(endpoints_match("PUT", view("/secrets/x"), &m), 0);
	assert_null(m.endpoint);
	/* more and fewer segments */
	assert_int_equal(endpoints_match("GET", view("/secrets/x/y"), &m), 0);
	assert_null(m.endpoint);
	assert_int_equal(endpoints_match("PATCH", view("/secrets"), &m), 0);
	assert_null(m.endpoint);
}

static void
test_literals_win(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("GET",
	    view("/compliance/risk-acceptances"), &m), 0);
	assert_string_equal(m.endpoint->pattern,
	    "/compliance/risk-acceptances");
	assert_int_equal(endpoints_match("GET", view("/compliance/gdpr"), &m),
	    0);
	assert_string_equal(m.endpoint->pattern, "/compliance/{framework}");
}

/* Neither makes a rule for secrets pass over it, nor what it drops. */
static void
test_other_ways_to_write_a_literal(void **state)
{
	static const char *const ways[] = { "/%73ecrets/x/value",
	    "/Secrets/x/VALUE", "/secret%53/x/%56alue" };
	struct endpoint_match m;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(ways); i++) {
		assert_int_equal(endpoints_match("PUT", view(ways[i]), &m),
		    0);
		if (m.endpoint == NULL)
			fail_msg("%s is none", ways[i]);
		assert_string_equal(m.endpoint->pattern, "/secrets/{id}/value");
		assert_view(m.path, ways[i]);
	}
}

static void
test_what_cannot_be_sent(void **state)
{
	static const char *const bad[] = { "", "/", "secrets", "x/secrets",
	    "//secrets", "/secrets/", "/secrets//x", "/api/v1", "/api/v1/",
	    "/api/v1//secrets", "/secrets/.", "/secrets/..", "/./secrets",
	    "/secrets/%2e", "/secrets/%2E%2e", "/secrets/.%2e/x",
	    "/secrets/a%2F..%2Fb", "/secrets/a%2f%2e", "/secrets/a%5C..",
	    "/secrets/a b", "/secrets/a\tb", "/secrets/\x7f",
	    "/secrets/\xc3\xa9", "/secrets/%", "/secrets/%4",
	    "/secrets/%zz", "/secrets/%4x", "/secrets/a\\b", "/secrets/<x>",
	    "/secrets/a#b", "/secrets/a\"b", "/secrets/a?b c",
	    "/secrets/a?b#c", "/secrets/a?%", "/secrets/a?\x01",
	    "/secrets/a?[b]", "http://h/secrets/x", "?x=/a" };
	struct endpoint_match m;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		if (endpoints_match("GET", view(bad[i]), &m) !=
		    ERR_BAD_REQUEST)
			fail_msg("\"%s\" was taken", bad[i]);
	}
	/* bytes that are no text's */
	assert_int_equal(endpoints_match("GET",
	    (struct view){ (const uint8_t *)"/secrets/a\0b", 12 }, &m),
	    ERR_BAD_REQUEST);
	assert_int_equal(endpoints_match("GET",
	    (struct view){ (const uint8_t *)"/secrets/a?\0", 12 }, &m),
	    ERR_BAD_REQUEST);
}

static void
test_what_can_be_sent(void **state)
{
	static const char *const good[] = { "/secrets/a..b", "/secrets/...",
	    "/secrets/.a", "/secrets/a.", "/secrets/a%2Fb", "/secrets/%00",
	    "/secrets/-._~!$&'()*+,;=:@", "/secrets/%25", "/a?",
	    "/a??b=/c&d=%20" };
	struct endpoint_match m;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		if (endpoints_match("GET", view(good[i]), &m) != 0)
			fail_msg("\"%s\" was refused", good[i]);
	}
}

static void
test_length_of_a_target(void **state)
{
	char target[4098];
	struct endpoint_match m;

	(void)state;
	memset(target, 'a', sizeof(target));
	target[0] = '/';
	assert_int_equal(endpoints_match("GET",
	    (struct view){ (uint8_t *)target, 4096 }, &m), 0);
	assert_int_equal(endpoints_match("GET",
	    (struct view){ (uint8_t *)target, 4097 }, &m), ERR_BAD_REQUEST);
}

static void
test_decode(void **state)
{
	uint8_t buf[8];
	size_t len;

	(void)state;
	assert_int_equal(endpoints_decode(view("a%2Fb%c3%A9+"), buf,
	    sizeof(buf), &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(buf, "a/b\xc3\xa9+", 6);
	assert_int_equal(endpoints_decode(view("%00"), buf, 1, &len), 0);
	assert_int_equal(len, 1);
	assert_int_equal(buf[0], 0);
	assert_int_equal(endpoints_decode(view("abc"), buf, 2, &len),
	    ERR_TOO_LARGE);
}

static void
test_plain(void **state)
{
	static const char *const rows[][2] = {
		{ "/api/v1/secrets/sec_1?include=all", "/secrets/sec_1" },
		{ "/%53ECRETS/a%20b/history", "/secrets/a b/history" },
		{ "/secrets/db%2fprod%2Fpw", "/secrets/db%2Fprod%2Fpw" },
		{ "/secrets/100%25", "/secrets/100%25" },
		{ "/secrets/a%252fb", "/secrets/a%252fb" },
		{ "/secrets/%c3%a9%0a%00%5c", "/secrets/\xc3\xa9%0A%00%5C" },
		{ "/log-streams/s/files/2026-01-01",
		    "/log-streams/s/files/2026-01-01" },
	};
	struct endpoint_match m;
	char plain[100];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		assert_int_equal(endpoints_match("GET", view(rows[i][0]), &m),
		    0);
		assert_int_equal(endpoints_plain(&m, plain, sizeof(plain)),
		    0);
		assert_string_equal(plain, rows[i][1]);
	}
	assert_int_equal(endpoints_match("GET", view("/secrets/abc"), &m), 0);
	for (i = 1; i < 14; i++)
		assert_int_equal(endpoints_plain(&m, plain, i),
		    ERR_TOO_LARGE);
	assert_int_equal(endpoints_plain(&m, plain, 16), 0);
	assert_int_equal(endpoints_match("GET", view("/unknown"), &m), 0);
	assert_int_equal(endpoints_plain(&m, plain, sizeof(plain)),
	    ERR_NOT_FOUND);
}

/* upstream-api.md, section 8, in the words of its last lines. */
static void
test_what_may_not_be_sent_twice(void **state)
{
	static const char *const once[][2] = {
		{ "POST", "/secrets" }, { "POST", "/secrets/import" },
		{ "PUT", "/secrets/x/value" }, { "POST", "/keys" },
		{ "POST", "/keys/import" }, { "POST", "/keys/x/rotate" },
		{ "POST", "/keys/x/generate-data-key" },
		{ "POST", "/transit/datakey/x" },
		{ "POST", "/transit/datakey/x/without-plaintext" },
		{ "POST", "/vault/share" }, { "POST", "/share/t" },
		{ "POST", "/applications/a/rotate-secret" },
		{ "POST", "/applications/a/end-users/u/"
		    "generate-temporary-password" },
		{ "POST", "/team/invitations" }, { "POST", "/certificates" },
		{ "POST", "/ssh/certificates" }, { "POST", "/ssh/ca" },
		{ "POST", "/cas" }, { "POST", "/qrng/entropy" },
	};
	static const char *const again[][2] = {
		{ "GET", "/secrets/x/history" }, { "POST", "/encrypt" },
		{ "POST", "/decrypt" }, { "POST", "/sign" },
		{ "POST", "/verify" }, { "POST", "/transit/rewrap/x" },
		{ "POST", "/transit/hmac/x" },
		{ "POST", "/transit/batch/decrypt/x" },
		{ "POST", "/secrets/x/activate" },
		{ "POST", "/secrets/x/deactivate" },
		{ "DELETE", "/secrets/x" },
		{ "PUT", "/keys/x/min-decryption-version" },
		{ "POST", "/endusers/x/block" },
		{ "POST", "/endusers/x/unblock" },
		{ "DELETE", "/endusers/x/permanent" },
	};
	struct endpoint_match m;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(once); i++) {
		assert_int_equal(endpoints_match(once[i][0],
		    view(once[i][1]), &m), 0);
		if (m.endpoint == NULL || endpoints_repeatable(once[i][0], m.endpoint))
			fail_msg("%s %s", once[i][0], once[i][1]);
	}
	for (i = 0; i < UNIT_COUNT(again); i++) {
		assert_int_equal(endpoints_match(again[i][0],
		    view(again[i][1]), &m), 0);
		if (m.endpoint == NULL ||
		    !endpoints_repeatable(again[i][0], m.endpoint))
			fail_msg("%s %s", again[i][0], again[i][1]);
	}
}

static void
assert_drops(const char *method, const char *path, unsigned int drops)
{
	struct endpoint_match m;

	assert_int_equal(endpoints_match(method, view(path), &m), 0);
	assert_non_null(m.endpoint);
	if (m.endpoint->drops != drops)
		fail_msg("%s %s drops %x", method, path, m.endpoint->drops);
}

/* upstream-api.md, section 8, the table. */
static void
test_what_a_write_drops(void **state)
{
	const unsigned int one = ENDPOINT_DROPS_SECRET |
	    ENDPOINT_DROPS_SECRET_LIST;

	(void)state;
	assert_drops("PUT", "/secrets/x/value", one);
	assert_drops("PATCH", "/secrets/x", one);
	assert_drops("POST", "/secrets/x/activate", one);
	assert_drops("DELETE", "/secrets/x", one | ENDPOINT_DROPS_VERSIONS);
	assert_drops("POST", "/secrets/x/deactivate",
	    one | ENDPOINT_DROPS_VERSIONS);
	assert_drops("POST", "/secrets", ENDPOINT_DROPS_SECRET_LIST);
	assert_drops("POST", "/secrets/import", ENDPOINT_DROPS_SECRET_LIST |
	    ENDPOINT_DROPS_NAMED);
	assert_drops("PATCH", "/keys/x", ENDPOINT_DROPS_KEY |
	    ENDPOINT_DROPS_KEY_LIST);
	assert_drops("POST", "/keys/x/set-default", ENDPOINT_DROPS_KEYS |
	    ENDPOINT_DROPS_KEY_LIST);
	assert_drops("POST", "/transit/keys/n/config", ENDPOINT_DROPS_KEYS |
	    ENDPOINT_DROPS_KEY_LIST);
	assert_drops("POST", "/keys/x/generate-data-key", 0);
	assert_drops("POST", "/transit/encrypt/n", 0);
	assert_drops("POST", "/vault/share", 0);
	assert_drops("POST", "/encrypt", 0);
}

static void
test_ways_that_are_special(void **state)
{
	struct endpoint_match m;

	(void)state;
	assert_int_equal(endpoints_match("PATCH", view("/settings/security"),
	    &m), 0);
	assert_int_equal(m.endpoint->way, ENDPOINT_REFUSED);
	assert_int_equal(endpoints_match("PATCH", view("/settings/other"),
	    &m), 0);
	assert_int_equal(m.endpoint->way, ENDPOINT_REFUSED);
	assert_int_equal(endpoints_match("POST", view("/sign"), &m), 0);
	assert_int_equal(m.endpoint->way, ENDPOINT_CRYPTO);
	assert_int_equal(endpoints_match("POST", view("/share/tok"), &m), 0);
	assert_null(m.endpoint->scope);
	assert_int_equal(endpoints_match("GET", view("/keys/k/public"), &m),
	    0);
	assert_int_equal(m.endpoint->way, ENDPOINT_CACHED_KEY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_is_found_by_its_path),
		cmocka_unit_test(test_rows_are_sound),
		cmocka_unit_test(test_parts_are_told),
		cmocka_unit_test(test_both_spellings_of_a_path),
		cmocka_unit_test(test_root_and_below),
		cmocka_unit_test(test_head_is_looked_up_as_get),
		cmocka_unit_test(test_unknown_ones),
		cmocka_unit_test(test_literals_win),
		cmocka_unit_test(test_other_ways_to_write_a_literal),
		cmocka_unit_test(test_what_cannot_be_sent),
		cmocka_unit_test(test_what_can_be_sent),
		cmocka_unit_test(test_length_of_a_target),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_what_may_not_be_sent_twice),
		cmocka_unit_test(test_what_a_write_drops),
		cmocka_unit_test(test_ways_that_are_special),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
