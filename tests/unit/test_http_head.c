#include "config.h"

#include "http_head.h"

#include "err.h"
#include "http_body.h"
#include "unit.h"

#define HOST "Host: localhost\r\n"
#define GET(fields) "GET / HTTP/1.1\r\n" HOST fields "\r\n"
/* A literal with its length: it may hold NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1

static struct http_head head;

static int
parse(const char *text)
{
	return http_head_parse((const uint8_t *)text, strlen(text), &head);
}

static bool
is(struct view v, const char *text)
{
	return v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

static int
setup(void **state)
{
	const struct secmem_config cfg = {
	    .reserve_bytes = 4 << 20, .step_bytes = 256 << 10};

	(void)state;
	return secmem_init(&cfg);
}

static int
teardown(void **state)
{
	(void)state;
	secmem_done();
	return 0;
}

/* --- what is taken --- */

static void
test_plain_request(void **state)
{
	const char *text = "GET /api/v1/secrets/x?include=all HTTP/1.1\r\n"
	    "host:agent\r\nX-Api-Key: \t k \t\r\nX-Other: \xc3\xa4 \t b\r\n"
	    "Accept: */*\r\nContent-Type: application/json\r\n\r\nGET";

	(void)state;
	assert_int_equal(parse(text), 0);
	assert_int_equal(head.total, strlen(text) - 3);
	assert_string_equal(head.method, "GET");
	assert_true(is(head.target, "/api/v1/secrets/x?include=all"));
	assert_true(is(head.host, "agent"));
	assert_true(is(head.api_key, "k"));
	assert_true(is(head.accept, "*/*"));
	assert_true(is(head.content_type, "application/json"));
	assert_int_equal(head.minor, 1);
	assert_true(head.keep_alive && !http_head_has_body(&head));
	assert_false(head.has_length || head.chunked || head.from_browser ||
	    head.fresh || head.only_if_cached || head.continues);
	assert_true(head.max_age_ms == UINT64_MAX &&
	    head.max_stale_ms == UINT64_MAX && head.wait_ms == UINT64_MAX);
}

static void
test_methods(void **state)
{
	static const char *const known[] = { "GET", "POST", "PUT", "PATCH",
		"DELETE", "HEAD", "OPTIONS" };
	static const char *const others[] = { "get", "TRACE", "CONNECT",
		"GETT", "X-Y", "G" };
	char text[100];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(known); i++) {
		(void)snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST
		    "\r\n", known[i]);
		assert_int_equal(parse(text), 0);
		assert_string_equal(head.method, known[i]);
	}
	for (i = 0; i < UNIT_COUNT(others); i++) {
		(void)snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST
		    "\r\n", others[i]);
		assert_int_equal(parse(text), 0);
		assert_null(head.method);
	}
}

static void
test_keep_alive(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} rows[] = {
		{ GET(""), true },
		{ GET("Connection: close\r\n"), false },
		{ GET("Connection: x, Close\r\n"), false },
		{ GET("Connection: keep-alive\r\nConnection: close\r\n"),
		    false },
		{ GET("Connection: upgrade\r\n"), true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_int_equal(head.keep_alive, rows[i].keep);
	}
}

static void
test_terms(void **state)
{
	(void)state;
	assert_int_equal(parse(GET("Cache-Control: no-cache\r\n")), 0);
	assert_true(head.fresh && !head.only_if_cached);
	assert_int_equal(parse(GET("Cache-Control: max-age=30 , MAX-STALE=7,"
	    "only-if-cached\r\nPrefer: respond-async, wait=5\r\n")), 0);
	assert_true(head.max_age_ms == 30000 && head.max_stale_ms == 7000);
	assert_true(head.wait_ms == 5000 && head.only_if_cached);
	assert_int_equal(parse(GET("Cache-Control: max-age=\r\n"
	    "Cache-Control: max-age=x, max-stale, max-age=12345678901,,\r\n"
	    )), 0);
	assert_true(head.max_age_ms == UINT64_MAX &&
	    head.max_stale_ms == UINT64_MAX && !head.fresh);
	assert_int_equal(parse(GET("Cache-Control: max-age=0\r\n")), 0);
	assert_true(head.max_age_ms == 0);
}

static void
test_other_fields(void **state)
{
	(void)state;
	assert_int_equal(parse(GET("Authorization: bearer  abc\r\n")), 0);
	assert_true(is(head.bearer, "abc"));
	assert_int_equal(parse(GET("Authorization: Basic abc\r\n")), 0);
	assert_int_equal(head.bearer.len, 0);
	assert_int_equal(parse(GET("Origin: null\r\n")), 0);
	assert_true(head.from_browser);
	assert_int_equal(parse(GET("sec-fetch-site: none\r\n")), 0);
	assert_true(head.from_browser);
	assert_int_equal(parse(GET("Sec-Fetch-Mode: cors\r\n")), 0);
	assert_false(head.from_browser);
	assert_int_equal(parse(GET("X-Allow-Csprng: TRUE\r\n")), 0);
	assert_true(head.allow_csprng);
	assert_int_equal(parse(GET("X-Allow-Csprng: 1\r\n")), 0);
	assert_false(head.allow_csprng);
	assert_int_equal(parse(GET("Expect: 100-Continue\r\n")), 0);
	assert_true(head.continues && !head.expects_other);
	assert_int_equal(parse(GET("Expect: rain\r\n")), 0);
	assert_true(!head.continues && head.expects_other);
	assert_int_equal(parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n"
	    "\r\n"), 0);
	assert_false(head.continues || head.expects_other);
}

static void
test_lengths(void **state)
{
	(void)state;
	assert_int_equal(parse(GET("Content-Length: 0\r\n")), 0);
	assert_true(head.has_length && !http_head_has_body(&head));
	assert_int_equal(parse(GET("Content-Length: 0017\r\n")), 0);
	assert_true(head.length == 17 && http_head_has_body(&head));
	assert_int_equal(parse(GET("Content-Length: 999999999999999\r\n")), 0);
	assert_true(head.length == UINT64_C(999999999999999));
	assert_int_equal(parse(GET("Content-Length: 18446744073709551617\r\n"
	    )), 0);
	assert_true(head.length == UINT64_MAX);
	assert_int_equal(parse(GET("Transfer-Encoding: Chunked\r\n")), 0);
	assert_true(head.chunked && http_head_has_body(&head));
}

static void
test_host_of_loopback(void **state)
{
	static const struct {
		const char *host;
		bool good;
	} rows[] = {
		{ "localhost", true }, { "LocalHost:8200", true },
		{ "127.0.0.1", true }, { "127.0.0.1:8200", true },
		{ "[::1]", true }, { "[::1]:8200", true },
		{ "127.3.2.1:8200", true }, { "127.3.2.1", true },
		{ "localhost:08200", true },
		{ "", false }, { "localhost:", false },
		{ "localhost:8201", false }, { "localhost:82000", false },
		{ "localhost:8200x", false }, { "localhost.", false },
		{ "localhost.evil.example", false }, { "evil.example", false },
		{ "evil.example:8200", false }, { "127.0.0.11", false },
		{ "127.0.0.2", false }, { "::1", false }, { "[::1", false },
		{ "localhost:000008200", false }, { "[::2]:8200", false },
		{ "localhost:8200:8200", false }, { "localhos", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		const struct view v = { (const uint8_t *)rows[i].host,
			strlen(rows[i].host) };

		if (http_head_host_is(v, "127.3.2.1", 8200) != rows[i].good)
			fail_msg("Host: %s", rows[i].host);
	}
}

/* --- what is not --- */

static void
test_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int status;
	} rows[] = {
		/* request lines */
		{ TEXT("\r\nGET / HTTP/1.1\r\n"), 400 },
		{ TEXT("\nGET / HTTP/1.1\r\n"), 400 },
		{ TEXT(" GET / HTTP/1.1\r\n"), 400 },
		{ TEXT("GET  / HTTP/1.1\r\n"), 400 },
		{ TEXT("GET\t/ HTTP/1.1\r\n"), 400 },
		{ TEXT("GET /  HTTP/1.1\r\n"), 400 },
		{ TEXT("GET / HTTP/1.1 \r\n"), 400 },
		{ TEXT("GET / HTTP/1.1\n"), 400 },
		{ TEXT("GET / HTTP/1.1\r\r\n"), 400 },
		{ TEXT("GET /\r\n"), 400 },
		{ TEXT("GET / \r\n"), 400 },
		{ TEXT("GET / http/1.1\r\n"), 400 },
		{ TEXT("GET / HTTP/1.\r\n"), 400 },
		{ TEXT("GET / HTTP/11\r\n"), 400 },
		{ TEXT("GET / HTTP/2.0\r\n"), 505 },
		{ TEXT("GET / HTTP/1.2\r\n"), 505 },
		{ TEXT("GET / HTTP/0.9\r\n"), 505 },
		{ TEXT("PRI * HTTP/2.0\r\n"), 400 },
		{ TEXT("GET http://localhost/ HTTP/1.1\r\n"), 400 },
		{ TEXT("CONNECT localhost:80 HTTP/1.1\r\n"), 400 },
		{ TEXT("OPTIONS * HTTP/1.1\r\n"), 400 },
		{ TEXT("GET /\x80 HTTP/1.1\r\n"), 400 },
		{ TEXT("GET /\0 HTTP/1.1\r\n"), 400 },
		{ TEXT("GET /a\tb HTTP/1.1\r\n"), 400 },
		{ TEXT("GET /a b HTTP/1.1\r\n"), 400 },
		{ TEXT("G\0T / HTTP/1.1\r\n"), 400 },
		{ TEXT("G(T / HTTP/1.1\r\n"), 400 },
		{ TEXT("\x16\x03\x01\x02"), 400 },
		{ TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"), 400 },
		/* fields */
		{ TEXT(GET("X: a\r\n b\r\n")), 400 },
		{ TEXT(GET("X: a\r\n\tb\r\n")), 400 },
		{ TEXT("GET / HTTP/1.1\r\n X: a\r\n"), 400 },
		{ TEXT(GET("X : a\r\n")), 400 },
		{ TEXT(GET("X\t: a\r\n")), 400 },
		{ TEXT(GET(": a\r\n")), 400 },
		{ TEXT(GET("X\r\n")), 400 },
		{ TEXT(GET("X: a\nY: b\r\n")), 400 },
		{ TEXT(GET("X\nY: b\r\n")), 400 },
		{ TEXT(GET("X: a\rY: b\r\n")), 400 },
		{ TEXT(GET("X: a\r\r\n")), 400 },
		{ TEXT(GET("X: a\0b\r\n")), 400 },
		{ TEXT(GET("X\0: b\r\n")), 400 },
		{ TEXT(GET("X: a\x7f\r\n")), 400 },
		{ TEXT(GET("X: a\x0b" "b\r\n")), 400 },
		{ TEXT(GET("X(Y): b\r\n")), 400 },
		{ TEXT(GET("\xc3\xa4: b\r\n")), 400 },
		{ TEXT("GET / HTTP/1.1\r\n\n"), 400 },
		{ TEXT("GET / HTTP/1.1\r\n" HOST "\rX"), 400 },
		/* lengths */
		{ TEXT(GET("Content-Length: 5\r\n"
		    "Transfer-Encoding: chunked\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: chunked\r\n"
		    "Content-Length: 5\r\n")), 400 },
		{ TEXT(GET("Content-Length: 5\r\nContent-Length: 5\r\n")),
		    400 },
		{ TEXT(GET("Content-Length: 5\r\ncontent-length: 6\r\n")),
		    400 },
		{ TEXT(GET("Content-Length: 5, 5\r\n")), 400 },
		{ TEXT(GET("Content-Length: +5\r\n")), 400 },
		{ TEXT(GET("Content-Length: -5\r\n")), 400 },
		{ TEXT(GET("Content-Length: 0x5\r\n")), 400 },
		{ TEXT(GET("Content-Length: 5 5\r\n")), 400 },
		{ TEXT(GET("Content-Length: 5.0\r\n")), 400 },
		{ TEXT(GET("Content-Length: \xd9\xa5\r\n")), 400 },
		{ TEXT(GET("Content-Length:\r\n")), 400 },
		{ TEXT(GET("Content-Length: 1234567890123456x\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: gzip, chunked\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: chunked, chunked\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: chunked, identity\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: identity\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: xchunked\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: \"chunked\"\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: chunked;q=1\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: \x0b" "chunked\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding:\r\n")), 400 },
		{ TEXT(GET("Transfer-Encoding: chunked\r\n"
		    "Transfer-Encoding: chunked\r\n")), 400 },
		{ TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
		    ), 400 },
		/* what may be there once */
		{ TEXT(GET(HOST)), 400 },
		{ TEXT("GET / HTTP/1.1\r\n\r\n"), 400 },
		{ TEXT(GET("X-Api-Key: a\r\nX-Api-Key: a\r\n")), 400 },
		{ TEXT(GET("Content-Type: a\r\nContent-Type: b\r\n")), 400 },
		{ TEXT(GET("Authorization: a\r\nAuthorization: b\r\n")), 400 },
		{ TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400 },
		{ TEXT("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400 },
		{ TEXT("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400 },
		{ TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400 },
	};
	size_t i, len;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		/* the first byte that is wrong is enough, and none before is */
		for (len = 0; len < rows[i].len; len++) {
			if (http_head_parse((const uint8_t *)rows[i].text,
			    len, &head) == 0)
				fail_msg("row %zu is taken", i);
		}
		if (http_head_parse((const uint8_t *)rows[i].text, len,
		    &head) != ERR_BAD_REQUEST ||
		    head.status != rows[i].status)
			fail_msg("row %zu: %.*s", i, (int)len, rows[i].text);
		assert_non_null(head.why);
	}
}

static void
test_limits(void **state)
{
	static char text[HTTP_HEAD_MAX + 100];
	size_t i, len;

	(void)state;
	/* a target */
	len = (size_t)snprintf(text, sizeof(text), "GET /");
	memset(text + len, 'a', HTTP_TARGET_MAX - 1);
	(void)snprintf(text + len + HTTP_TARGET_MAX - 1, 100,
	    " HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(parse(text), 0);
	assert_int_equal(head.target.len, HTTP_TARGET_MAX);
	memset(text + len, 'a', HTTP_TARGET_MAX);
	text[len + HTTP_TARGET_MAX] = '\0';
	assert_int_equal(parse(text), ERR_BAD_REQUEST);
	assert_int_equal(head.status, 414);
	/* fields */
	len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST);
	for (i = 1; i < HTTP_FIELDS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "X: y\r\n");
	(void)snprintf(text + len, sizeof(text) - len, "\r\n");
	assert_int_equal(parse(text), 0);
	(void)snprintf(text + len, sizeof(text) - len, "X");
	assert_int_equal(parse(text), ERR_BAD_REQUEST);
	assert_int_equal(head.status, 431);
	/* bytes */
	len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST
	    "X: ");
	memset(text + len, 'y', HTTP_HEAD_MAX - 4 - len);
	(void)snprintf(text + HTTP_HEAD_MAX - 4, 10, "\r\n\r\nX");
	assert_int_equal(parse(text), 0);
	assert_int_equal(head.total, HTTP_HEAD_MAX);
	(void)snprintf(text + HTTP_HEAD_MAX - 4, 10, "y\r\n\r\n");
	text[HTTP_HEAD_MAX - 1] = '\0';
	assert_int_equal(parse(text), ERR_AGAIN);
	text[HTTP_HEAD_MAX - 1] = '\r';
	assert_int_equal(parse(text), ERR_BAD_REQUEST);
	assert_int_equal(head.status, 431);
}

/* --- bodies --- */

static struct http_body body;
static struct secbuf got;

static void
begin(const char *fields, size_t max)
{
	char text[200];

	(void)snprintf(text, sizeof(text), GET("%s"), fields);
	assert_int_equal(parse(text), 0);
	http_body_init(&body, &head);
	secbuf_clear(&got);
	secbuf_init(&got, max);
}

static int
feed(const char *text, size_t *ret_used)
{
	const char *why = NULL;
	int r = http_body_take(&body, (const uint8_t *)text, strlen(text),
	    &got, ret_used, &why);

	assert_true((r == ERR_BAD_REQUEST) == (why != NULL));
	return r;
}

static bool
got_is(const char *text)
{
	return got.len == strlen(text) && memcmp(got.mem, text, got.len) == 0;
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void
test_body_of_a_length(void **state)
{
	size_t used;

	(void)state;
	begin("Content-Length: 5\r\n", 5);
	assert_int_equal(feed("ab", &used), ERR_AGAIN);
	assert_int_equal(used, 2);
	assert_int_equal(feed("cdeGET", &used), 0);
	assert_int_equal(used, 3);
	assert_true(got_is("abcde"));
	secbuf_clear(&got);
}

static void
test_body_in_chunks(void **state)
{
	static const char text[] = "5\r\nabcde\r\n0001\r\nf\r\nA\r\n0123456789"
	    "\r\n000\r\n\r\n";
	size_t used, i, len;
	const char *why;

	(void)state;
	begin(CHUNKED, 16);
	assert_int_equal(feed("5\r\nabcde\r\n0001\r\nf\r\nA\r\n0123456789"
	    "\r\n000\r\n\r\nGET", &used), 0);
	assert_int_equal(used, sizeof(text) - 1);
	assert_true(got_is("abcdef0123456789"));
	/* wherever it is cut */
	for (len = 1; len < sizeof(text) - 1; len++) {
		begin(CHUNKED, 16);
		for (i = 0; i < sizeof(text) - 1; i += used) {
			size_t n = sizeof(text) - 1 - i;
			int r = http_body_take(&body,
			    (const uint8_t *)text + i, n < len ? n : len,
			    &got, &used, &why);

			assert_int_equal(r, n <= len ? 0 : ERR_AGAIN);
		}
		assert_true(got_is("abcdef0123456789"));
	}
	secbuf_clear(&got);
}

static void
test_chunks_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "\r\n", ERR_BAD_REQUEST },
		{ "5;a=b\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "5 \r\nabcde\r\n", ERR_BAD_REQUEST },
		{ " 5\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "+5\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "-5\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "0x5\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "5h\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "5\nabcde\n", ERR_BAD_REQUEST },
		{ "5\rabcde\r\n", ERR_BAD_REQUEST },
		{ "5\r\nabcdef\r\n", ERR_BAD_REQUEST },
		{ "5\r\nabcde\n", ERR_BAD_REQUEST },
		{ "5\r\nabcde\r5", ERR_BAD_REQUEST },
		{ "5\r\nabcd\r\n0\r\n\r\n", ERR_BAD_REQUEST },
		{ "000000005\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "100000005\r\nabcde\r\n", ERR_BAD_REQUEST },
		{ "0\r\nX: y\r\n\r\n", ERR_BAD_REQUEST },
		{ "0\r\n\n", ERR_BAD_REQUEST },
		{ "0\r\n\r0", ERR_BAD_REQUEST },
		{ "11\r\n", ERR_TOO_LARGE },
		{ "ffffffff\r\n", ERR_TOO_LARGE },
		{ "10\r\n0123456789abcdef\r\n1\r\n", ERR_TOO_LARGE },
	};
	size_t i, used;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		begin(CHUNKED, 16);
		if (feed(rows[i].text, &used) != rows[i].error)
			fail_msg("row %zu", i);
	}
	secbuf_clear(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_request),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_other_fields),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_host_of_loopback),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_body_of_a_length),
		cmocka_unit_test(test_body_in_chunks),
		cmocka_unit_test(test_chunks_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
