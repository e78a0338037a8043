#include "config.h"

#include "http_answer.h"

#include <sys/socket.h>
#include <unistd.h>

#include "agent_unit.h"
#include "err.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define ALWAYS "Date: " DATE "\r\nCache-Control: no-store\r\n" \
	"X-Content-Type-Options: nosniff\r\n"

static struct out *out;
static int fds[2];
static char text[8192];

static int
setup(void **state)
{
	if (unit_secmem_setup(state) != 0)
		return -1;
	out = out_new();
	return out != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
	    0, fds) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	out_free(out);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return unit_secmem_teardown(state);
}

/* What was sent. */
static const char *
sent(void)
{
	struct out_backlog *rest = NULL;
	ssize_t n;

	assert_int_equal(out_flush(out, fds[0], &rest), 0);
	n = recv(fds[1], text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	return text;
}

static const char *
answered(const struct http_manner *m, const struct rest_answer *a)
{
	http_answer_send(out, m, DATE, a);
	return sent();
}

static const struct http_manner kept = { .keep_alive = true };

static void
test_date(void **state)
{
	struct http_date d = { .second = 0 };

	(void)state;
	assert_string_equal(http_date_text(&d, INT64_C(784111777000)), DATE);
	assert_string_equal(http_date_text(&d, INT64_C(784111777999)), DATE);
	assert_string_equal(http_date_text(&d, INT64_C(784111778000)),
	    "Sun, 06 Nov 1994 08:49:38 GMT");
	assert_string_equal(http_date_text(&d, 0),
	    "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(http_date_text(&d, INT64_C(951782400000)),
	    "Tue, 29 Feb 2000 00:00:00 GMT");
	assert_string_equal(http_date_text(&d, INT64_MAX),
	    "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void
test_cached_answer(void **state)
{
	struct rest_answer a = { .status = 200, .cache = REST_CACHE_HIT,
		.age_ms = 12999, .content_type = "application/json" };

	(void)state;
	a.body = unit_object(REF_SECRET, "i", "n", 1, 0, 3, 'v');
	assert_string_equal(answered(&kept, &a), "HTTP/1.1 200 OK\r\n" ALWAYS
	    "X-Qapi-Agent-Cache: hit\r\nAge: 12\r\n"
	    "Content-Type: application/json\r\nContent-Length: 3\r\n\r\nvvv");
	a.cache = REST_CACHE_STALE;
	a.retry_after_ms = 1001;
	assert_non_null(strstr(answered(&kept, &a),
	    "Cache: stale\r\nAge: 12\r\nRetry-After: 2\r\n"));
	a.cache = REST_CACHE_MISS;
	a.age_ms = 999;
	assert_non_null(strstr(answered(&kept, &a),
	    "Cache: miss\r\nAge: 0\r\n"));
	object_unref(a.body);
}

static void
test_head_tells_the_length_alone(void **state)
{
	const struct http_manner m = { .head_only = true, .keep_alive = true };
	struct rest_answer a = { .status = 200 };

	(void)state;
	a.body = unit_object(REF_SECRET, "i", "n", 1, 0, 5000, 'v');
	assert_string_equal(answered(&m, &a), "HTTP/1.1 200 OK\r\n" ALWAYS
	    "Content-Length: 5000\r\n\r\n");
	http_answer_refuse(out, &m, DATE, 405, "c", "s");
	assert_non_null(strstr(sent(), "Content-Length: 27\r\n\r\n"));
	assert_null(strstr(text, "\r\n\r\n{"));
	assert_non_null(strstr(text, "\r\nAllow: GET, "));
	object_unref(a.body);
}

static void
test_large_body_is_sent_from_where_it_lies(void **state)
{
	struct rest_answer a = { .status = 200, .cache = REST_CACHE_NONE };
	const char *body;

	(void)state;
	a.body = unit_object(REF_SECRET, "i", "n", 1, 0, OUT_INLINE_MAX + 1,
	    'v');
	http_answer_send(out, &kept, DATE, &a);
	assert_int_equal(a.body->refs, 2);
	body = strstr(sent(), "\r\n\r\n") + 4;
	assert_int_equal(strspn(body, "v"), OUT_INLINE_MAX + 1);
	assert_null(strstr(text, "Age:"));
	assert_int_equal(a.body->refs, 1);
	object_unref(a.body);
}

static void
test_no_content(void **state)
{
	struct rest_answer a = { .status = 204, .content_type = "text/x" };

	(void)state;
	assert_string_equal(answered(&kept, &a), "HTTP/1.1 204 No Content\r\n"
	    ALWAYS "\r\n");
	a.status = 200;
	a.content_type[0] = '\0';
	assert_string_equal(answered(&kept, &a), "HTTP/1.1 200 OK\r\n" ALWAYS
	    "Content-Length: 0\r\n\r\n");
}

static void
test_fields_of_the_service_begin_no_other(void **state)
{
	struct rest_answer a = { .status = 299,
		.content_type = "a\r\nX-Evil: b",
		.content_disposition = "attachment; filename=\"x\"" };

	(void)state;
	assert_string_equal(answered(&kept, &a), "HTTP/1.1 299 \r\n" ALWAYS
	    "Content-Disposition: attachment; filename=\"x\"\r\n"
	    "Content-Length: 0\r\n\r\n");
}

static void
test_connection(void **state)
{
	const struct http_manner closed = { .keep_alive = false },
	    old = { .keep_alive = true, .old = true },
	    old_closed = { .old = true };
	const struct rest_answer a = { .status = 200 };

	(void)state;
	assert_null(strstr(answered(&kept, &a), "Connection:"));
	assert_non_null(strstr(answered(&closed, &a), "Connection: close\r\n"));
	assert_non_null(strstr(answered(&old, &a),
	    "Connection: keep-alive\r\n"));
	assert_non_null(strstr(answered(&old_closed, &a),
	    "Connection: close\r\n"));
}

static void
test_refusals(void **state)
{
	const char *body;

	(void)state;
	http_answer_refuse(out, &kept, DATE, 401, "unauthorized", "Why.");
	body = strstr(sent(), "\r\n\r\n") + 4;
	assert_string_equal(body,
	    "{\"error\":\"unauthorized\",\"message\":\"Why.\"}");
	assert_non_null(strstr(text, "\r\nWWW-Authenticate: Bearer\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Length: 41\r\n"));
	assert_int_equal(strlen(body), 41);
	http_answer_continue(out);
	assert_string_equal(sent(), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The longest there can be. */
static void
test_fits_the_room_asked_for(void **state)
{
	const struct http_manner m = { .old = true };
	struct rest_answer a = { .status = 431, .cache = REST_CACHE_STALE,
		.age_ms = UINT64_MAX, .retry_after_ms = UINT64_MAX - 999 };

	(void)state;
	memset(a.content_type, 'a', sizeof(a.content_type) - 1);
	memset(a.content_disposition, 'b', sizeof(a.content_disposition) - 1);
	a.body = unit_object(REF_SECRET, "i", "n", 1, 0, OUT_INLINE_MAX, 'v');
	assert_true(strlen(answered(&m, &a)) < HTTP_ANSWER_MAX);
	object_unref(a.body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_cached_answer),
		cmocka_unit_test(test_head_tells_the_length_alone),
		cmocka_unit_test(test_large_body_is_sent_from_where_it_lies),
		cmocka_unit_test(test_no_content),
		cmocka_unit_test(test_fields_of_the_service_begin_no_other),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_fits_the_room_asked_for),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
