#include "config.h"

#include <netdb.h>
#include <signal.h>
#include <unistd.h>

#include <event2/event.h>

#include "err.h"
#include "fake_http.h"
#include "msg.h"
#include "unit.h"
#include "upstream_http.h"

#define KEY "qapi_0123456789abcdefghijklmnopqrstuv"
#define MAX_RESPONSE 65536
#define TIMED_OUT "timed out"

static struct fake_http plain, tls;
static char dir[] = "/tmp/qapi-test-XXXXXX";
static char good_pem[64], other_pem[64], pin[128];

/* --- the server's side: what it does is in the id --- */

static void
answer_secret(struct fake_conn *c, const char *id, const char *value,
    unsigned int version)
{
	char body[1024];

	(void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"name\":\"n\","
	    "\"value\":\"%s\",\"version\":%u}", id, value, version);
	fake_answer(c, 200, "", body);
}

/* The head of the request as the value. */
static void
answer_echo(struct fake_conn *c, const char *head)
{
	char value[400];
	size_t n = 0;

	for (; *head != '\0' && n + 1 < sizeof(value); head++)
		value[n++] = *head == '\r' || *head == '\n' ? '|' : *head;
	value[n] = '\0';
	answer_secret(c, "echo", value, 1);
}

static int
drip(struct fake_conn *c)
{
	int i;

	fake_printf(c, "HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n");
	for (i = 0; i < 1000; i++) {
		fake_write(c, "x", 1);
		fake_sleep_ms(20);
	}
	return -1;
}

static int
endless(struct fake_conn *c, int status, const char *length)
{
	static const char junk[4096];
	int i;

	fake_printf(c, "HTTP/1.1 %d X\r\n%s\r\n", status, length);
	for (i = 0; i < 1000; i++)
		fake_write(c, junk, sizeof(junk));
	return -1;
}

static int
retry_after(struct fake_conn *c, const char *id)
{
	char header[128] = "";
	const char *body = "{\"error\":\"rate_limit_exceeded\"}";
	time_t t = time(NULL);
	struct tm tm;

	if (strcmp(id, "ra-seconds") == 0)
		(void)snprintf(header, sizeof(header), "Retry-After: 7\r\n");
	else if (strcmp(id, "ra-huge") == 0)
		(void)snprintf(header, sizeof(header),
		    "Retry-After: 2000000\r\n");
	else if (strcmp(id, "ra-quota") == 0)
		(void)snprintf(header, sizeof(header),
		    "Retry-After: 2592000\r\n");
	else if (strcmp(id, "ra-junk") == 0)
		(void)snprintf(header, sizeof(header), "Retry-After: soon\r\n");
	else if (strncmp(id, "ra-date", 7) == 0) {
		t += strcmp(id, "ra-date-past") == 0 ? -60 : 60;
		(void)strftime(header, sizeof(header),
		    "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
		    gmtime_r(&t, &tm));
	}
	if (strcmp(id, "ra-quota") == 0)
		body = "{\"error\":\"quota_exceeded\"}";
	fake_answer(c, 429, header, body);
	return 0;
}

static int
headers(struct fake_conn *c, const char *id)
{
	static const struct {
		const char *id;
		int status;
		const char *headers;
	} rows[] = {
		{"h-all", 429, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		    "X-RateLimit-Limit: 600\r\nx-ratelimit-remaining:0\r\n"
		    "X-RateLimit-Reset: 784111800\r\n"
		    "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n"},
		{"h-ok", 200, "Date:  Sun, 06 Nov 1994 08:49:37 GMT \r\n"
		    "X-RateLimit-Limit: 600\r\n"
		    "X-RateLimit-Remaining: 599\r\n"},
		{"h-none", 500, ""},
		{"h-bad", 500, "Date: yesterday\r\nX-RateLimit-Limit: many\r\n"
		    "X-RateLimit-Remaining: few\r\n"},
		{"h-twice", 500, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		    "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"},
	};
	size_t i;

	for (i = 0; i < UNIT_COUNT(rows); i++) {
		if (strcmp(id, rows[i].id) == 0)
			fake_answer(c, rows[i].status, rows[i].headers,
			    rows[i].status != 200 ? "{}" : "{\"id\":\"h-ok\","
			    "\"name\":\"n\",\"value\":\"v\"}");
	}
	return 0;
}

static int
refusal(struct fake_conn *c, const char *id)
{
	static const struct {
		const char *id;
		const char *body;
	} bodies[] = {
		{"f-scope", "{\"error\":\"insufficient_scope\",\"details\":"
		    "{\"requiredScope\":\"secrets:read\"}}"},
		{"f-scope-odd", "{\"error\":\"insufficient_scope\",\"details\":"
		    "{\"requiredScope\":\"<b>EVIL</b>\"}}"},
		{"f-revoked", "{\"error\":\"key_revoked\"}"},
		{"f-version", "{\"error\":\"key_version_below_minimum\"}"},
		{"f-other", "{\"error\":\"forbidden\",\"message\":\"EVIL\"}"},
		{"f-html", "<html>EVIL</html>"},
		{"f-empty", ""},
		{"f-scope-list", "{\"error\":\"insufficient_scope\","
		    "\"details\":{\"requiredScope\":\"log_streams:read\"}}"},
	};
	size_t i;

	for (i = 0; i < UNIT_COUNT(bodies); i++) {
		if (strcmp(id, bodies[i].id) == 0)
			fake_answer(c, 403, "", bodies[i].body);
	}
	return 0;
}

static int
fault(struct fake_conn *c, const char *id)
{
	if (strcmp(id, "hang") == 0) {
		fake_wait_closed(c);
	} else if (strcmp(id, "stall") == 0) {
		fake_printf(c, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"
		    "{\"id\":");
		fake_wait_closed(c);
	} else if (strcmp(id, "cut") == 0) {
		fake_printf(c, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"
		    "{\"id\":");
	} else if (strcmp(id, "cut-chunk") == 0) {
		fake_printf(c, "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked"
		    "\r\n\r\n6\r\n{\"id\":\r\n");
	} else if (strcmp(id, "cut-head") == 0) {
		fake_printf(c, "HTTP/1.1 200 X\r\nContent-Le");
	} else if (strcmp(id, "garbage") == 0) {
		fake_printf(c, "\x16\x03 what is this\n\n\xff\xfe");
	} else if (strcmp(id, "not-json") == 0) {
		fake_answer(c, 200, "", "<html>EVIL</html>");
		return 0;
	} else if (strcmp(id, "redirect") == 0) {
		fake_answer(c, 302, "Location: /api/v1/secrets/ok\r\n", "");
		return 0;
	} else if (strcmp(id, "chunked") == 0) {
		fake_printf(c, "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked"
		    "\r\n\r\n10\r\n{\"id\":\"chunked\",\r\n1d\r\n\"name\":\"n"
		    "\",\"value\":\"joined\"}\r\n0\r\nX-Trailer: 1\r\n\r\n");
		return 0;
	}
	return -1;
}

static int
handle(struct fake_conn *c, const char *head, unsigned int conn,
    unsigned int request)
{
	char id[160] = "";
	int status;

	(void)request;
	if (sscanf(head, "GET /api/v1/secrets/%150[^? ]", id) != 1 &&
	    sscanf(head, "GET /api/v1/keys/%150[^/ ]", id) != 1) {
		fake_answer(c, 200, "", "{\"secrets\":[{\"id\":\"a\",\"name\":"
		    "\"n\",\"version\":2}],\"total\":3,\"hasMore\":true}");
		return 0;
	}
	if (sscanf(id, "s%3d", &status) == 1) {
		fake_answer(c, status, "", "{\"error\":\"EVIL\"}");
		return 0;
	}
	if (strncmp(id, "ok", 2) == 0 || strlen(id) == 128)
		answer_secret(c, id, "value", conn);
	else if (strcmp(id, "echo") == 0)
		answer_echo(c, head);
	else if (strncmp(id, "ra-", 3) == 0)
		return retry_after(c, id);
	else if (strncmp(id, "h-", 2) == 0)
		return headers(c, id);
	else if (strncmp(id, "f-", 2) == 0)
		return refusal(c, id);
	else if (strcmp(id, "drip") == 0)
		return drip(c);
	else if (strcmp(id, "big") == 0)
		return endless(c, 200, "");
	else if (strcmp(id, "big-length") == 0)
		return endless(c, 200, "Content-Length: 4096000\r\n");
	else if (strcmp(id, "big-500") == 0)
		return endless(c, 500, "");
	else
		return fault(c, id);
	return 0;
}

/*
 * curl's resolver calls this one: a name server that does not answer, without
 * one.
 */
int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
	(void)service;
	(void)hints;
	(void)res;
	if (node != NULL && strcmp(node, "slow.test") == 0)
		fake_sleep_ms(1500);
	return EAI_NONAME;
}

/* --- the client's side --- */

struct client {
	struct event_base *base;
	struct upstream *up;
	struct upstream_answer answer;
	unsigned int answers;
	unsigned int wanted;
};

static struct upstream_http_config
config_for(const char *url)
{
	return (struct upstream_http_config){
		.url = url,
		/* ample: valgrind takes its time over TLS */
		.connect_timeout_ms = 15000,
		.request_timeout_ms = 20000,
		.max_response = MAX_RESPONSE,
		.max_connections = 4,
	};
}

static void
client_init(struct client *cl, const struct upstream_http_config *cfg)
{
	struct secmem key = {0};

	*cl = (struct client){.wanted = 1};
	cl->base = event_base_new();
	assert_non_null(cl->base);
	assert_int_equal(secmem_copy(&key, KEY, sizeof(KEY) - 1,
	    SECMEM_LIBRARY), 0);
	assert_int_equal(upstream_http_new(cl->base, cfg, &key, &cl->up), 0);
	assert_int_equal(secmem_len(&key), 0);
}

static void
client_init_plain(struct client *cl)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/api/v1",
	    plain.port);
	cfg = config_for(url);
	client_init(cl, &cfg);
}

static void
forget(struct client *cl)
{
	object_unref(cl->answer.object);
	upstream_page_free(cl->answer.page);
	memset(&cl->answer, 0, sizeof(cl->answer));
}

static void
client_done(struct client *cl)
{
	forget(cl);
	cl->up->ops->free(cl->up);
	event_base_free(cl->base);
}

static void
got_answer(void *arg, struct upstream_answer *answer)
{
	struct client *cl = arg;

	forget(cl);
	cl->answer = *answer;
	if (++cl->answers >= cl->wanted)
		(void)event_base_loopbreak(cl->base);
}

static struct upstream_call *
begin(struct client *cl, const struct upstream_request *req)
{
	unsigned int before = cl->answers;
	struct upstream_call *call = NULL;

	assert_int_equal(cl->up->ops->start(cl->up, req, got_answer, cl,
	    &call), 0);
	assert_non_null(call);
	assert_int_equal(cl->answers, before); /* never from within start */
	return call;
}

static struct upstream_request
request_for(const char *id)
{
	return (struct upstream_request){
		.op = UPSTREAM_READ_SECRET,
		.id = {(const uint8_t *)id, strlen(id)},
	};
}

/* One read of a secret to its end; timeout_ms as in the request. */
static const struct upstream_answer *
get_within(struct client *cl, const char *id, uint64_t timeout_ms)
{
	struct upstream_request req = request_for(id);

	req.timeout_ms = timeout_ms;
	forget(cl);
	cl->wanted = cl->answers + 1;
	(void)begin(cl, &req);
	assert_int_equal(event_base_dispatch(cl->base), 0);
	assert_int_equal(cl->answers, cl->wanted);
	assert_null(strstr(cl->answer.message, "EVIL"));
	if (cl->answer.error != 0)
		assert_string_not_equal(cl->answer.message, "");
	return &cl->answer;
}

static const struct upstream_answer *
get(struct client *cl, const char *id)
{
	return get_within(cl, id, 0);
}

/* Run the loop for a while. */
static void
run_ms(struct client *cl, unsigned int ms)
{
	struct timeval tv = {ms / 1000, (long)(ms % 1000) * 1000};

	(void)event_base_loopexit(cl->base, &tv);
	assert_int_not_equal(event_base_dispatch(cl->base), -1);
}

static void
check_message(const struct upstream_answer *a, const char *part)
{
	if (strstr(a->message, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, a->message);
}

/* --- answers --- */

static void
test_read_gives_object(void **state)
{
	const struct upstream_answer *a;
	struct client cl;
	struct view v;

	(void)state;
	client_init_plain(&cl);
	a = get(&cl, "ok-1");
	assert_int_equal(a->error, 0);
	assert_int_equal(a->status, 200);
	assert_non_null(a->object);
	v = object_value(a->object);
	assert_int_equal(v.len, 5);
	assert_memory_equal(v.p, "value", 5);
	assert_true(secmem_contains(v.p));
	a = get(&cl, "chunked");
	assert_int_equal(a->error, 0);
	client_done(&cl);
}

static void
test_read_sends_documented_request(void **state)
{
	struct client cl;
	struct view v;
	char *text;

	(void)state;
	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	(void)setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "echo")->error, 0);
	v = object_value(cl.answer.object);
	text = strndup((const char *)v.p, v.len);
	assert_non_null(strstr(text,
	    "GET /api/v1/secrets/echo?include=all HTTP/1.1|"));
	assert_non_null(strstr(text, "|X-Api-Key: " KEY "|"));
	assert_non_null(strstr(text, "|Accept: application/json|"));
	assert_non_null(strstr(text, "|User-Agent: qapi-agent/"
	    PACKAGE_VERSION "|"));
	assert_null(strstr(text, "Expect"));
	assert_null(strstr(text, "Cookie"));
	assert_null(strstr(text, "Authorization"));
	free(text);
	client_done(&cl);
	(void)unsetenv("http_proxy");
	(void)unsetenv("ALL_PROXY");
}

static void
test_set_key_is_used_from_next_request(void **state)
{
	struct secmem key = {0};
	struct client cl;
	struct view v;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(secmem_copy(&key, "qapi_new", 8, SECMEM_LIBRARY), 0);
	cl.up->ops->set_key(cl.up, &key);
	assert_int_equal(secmem_len(&key), 0);
	assert_int_equal(get(&cl, "echo")->error, 0);
	v = object_value(cl.answer.object);
	assert_non_null(memmem(v.p, v.len, "|X-Api-Key: qapi_new|", 21));
	client_done(&cl);
}

/* Another key for one call; its memory is the caller's again at once. */
static void
test_key_of_one_call(void **state)
{
	struct upstream_request req = request_for("echo");
	struct secmem key = {0};
	struct client cl;
	struct view v;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(secmem_copy(&key, "qapi_other", 10, SECMEM_LIBRARY),
	    0);
	req.key = &key;
	(void)begin(&cl, &req);
	secmem_free_bytes(&key);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answer.error, 0);
	v = object_value(cl.answer.object);
	assert_non_null(memmem(v.p, v.len, "|X-Api-Key: qapi_other|", 23));
	assert_int_equal(get(&cl, "echo")->error, 0);
	v = object_value(cl.answer.object);
	assert_non_null(memmem(v.p, v.len, "|X-Api-Key: " KEY "|",
	    sizeof(KEY) + 12));
	client_done(&cl);
}

static void
test_key_that_is_no_header_is_refused(void **state)
{
	struct upstream_request req = request_for("ok");
	struct upstream_call *call = NULL;
	struct secmem key = {0};
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(secmem_copy(&key, "a\r\nb", 4, SECMEM_LIBRARY), 0);
	cl.up->ops->set_key(cl.up, &key);
	assert_int_equal(cl.up->ops->start(cl.up, &req, got_answer, &cl,
	    &call), ERR_INTERNAL);
	assert_null(call);
	client_done(&cl);
}

static void
test_paths_of_the_other_requests(void **state)
{
	struct upstream_request req = request_for("echo");
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	req.version = 7;
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	/* It is another version than asked for, so the path was right. */
	assert_int_equal(cl.answer.error, ERR_UPSTREAM_ERROR);
	req = (struct upstream_request){.op = UPSTREAM_LIST_SECRETS,
	    .page = 1, .page_size = 50};
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answer.error, 0);
	assert_non_null(cl.answer.page);
	assert_int_equal(cl.answer.page->count, 1);
	assert_true(cl.answer.page->has_more);
	req.op = UPSTREAM_LIST_KEYS;
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answer.error, ERR_UPSTREAM_ERROR); /* no `keys` */
	client_done(&cl);
}

static void
test_ids_that_can_be_none_are_refused(void **state)
{
	static const char *const bad[] = {"", "a/b", "a b", "..", "a%2f",
	    "\xc3"};
	struct upstream_call *call = NULL;
	struct upstream_request req;
	struct client cl;
	char id[130];
	size_t i;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		req = request_for(bad[i]);
		assert_int_equal(cl.up->ops->start(cl.up, &req, got_answer,
		    &cl, &call), ERR_BAD_REQUEST);
	}
	memset(id, 'a', 129);
	id[129] = '\0';
	req = request_for(id);
	assert_int_equal(cl.up->ops->start(cl.up, &req, got_answer, &cl,
	    &call), ERR_BAD_REQUEST);
	id[128] = '\0';
	assert_int_equal(get(&cl, id)->error, 0);
	client_done(&cl);
}

/* --- statuses --- */

static void
test_each_status_has_its_meaning(void **state)
{
	static const struct {
		const char *id;
		int error;
		bool retryable, gone, forbidden;
	} rows[] = {
		{"s200", ERR_UPSTREAM_ERROR, false, false, false},
		{"s204", ERR_UPSTREAM_ERROR, false, false, false},
		{"s304", ERR_UPSTREAM_ERROR, false, false, false},
		{"s400", ERR_UPSTREAM_ERROR, false, false, false},
		{"s401", ERR_UNAUTHORIZED, false, false, false},
		{"s403", ERR_DENIED, false, false, true},
		{"s404", ERR_NOT_FOUND, false, true, false},
		{"s405", ERR_UPSTREAM_ERROR, false, false, false},
		{"s408", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
		{"s409", ERR_DENIED, false, false, true},
		{"s410", ERR_NOT_FOUND, false, true, false},
		{"s413", ERR_UPSTREAM_ERROR, false, false, false},
		{"s415", ERR_UPSTREAM_ERROR, false, false, false},
		{"s422", ERR_UPSTREAM_ERROR, false, false, false},
		{"s429", ERR_UPSTREAM_UNAVAILABLE, false, false, false},
		{"s500", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
		{"s502", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
		{"s503", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
		{"s504", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
		{"s599", ERR_UPSTREAM_UNAVAILABLE, true, false, false},
	};
	const struct upstream_answer *a;
	struct client cl;
	size_t i;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		a = get(&cl, rows[i].id);
		if (a->error != rows[i].error)
			fail_msg("%s: %s", rows[i].id, a->message);
		assert_int_equal(a->status, atoi(rows[i].id + 1));
		assert_int_equal(a->retryable, rows[i].retryable);
		assert_int_equal(a->gone, rows[i].gone);
		assert_int_equal(a->forbidden, rows[i].forbidden);
		assert_int_equal(a->retry_after_ms, 0);
		assert_null(a->object);
	}
	client_done(&cl);
}

static void
test_retry_after_in_both_forms(void **state)
{
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "ra-seconds")->retry_after_ms, 7000);
	check_message(&cl.answer, "rate limit");
	assert_int_equal(get(&cl, "ra-huge")->retry_after_ms, 3600000);
	assert_int_equal(get(&cl, "ra-junk")->retry_after_ms, 0);
	assert_int_equal(get(&cl, "ra-date-past")->retry_after_ms, 0);
	assert_in_range(get(&cl, "ra-date")->retry_after_ms, 55000, 60000);
	assert_int_equal(cl.answer.status, 429);
	client_done(&cl);
}

static void
test_headers_of_an_answer(void **state)
{
	const struct upstream_answer *a;
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	a = get(&cl, "h-all");
	assert_int_equal(a->date_ms, INT64_C(784111777000));
	assert_true(a->rate.told);
	assert_int_equal(a->rate.limit, 600);
	assert_int_equal(a->rate.remaining, 0);
	/* both by the service's clock, whatever this machine's says */
	assert_int_equal(a->rate.reset_ms, 23000);
	assert_int_equal(a->retry_after_ms, 60000);
	a = get(&cl, "h-ok");
	assert_int_equal(a->error, 0);
	assert_int_equal(a->date_ms, INT64_C(784111777000));
	assert_int_equal(a->rate.remaining, 599);
	assert_int_equal(a->rate.reset_ms, 0);
	assert_true(get(&cl, "h-none")->date_ms == MSG_NO_TIME);
	assert_false(cl.answer.rate.told);
	assert_true(get(&cl, "h-bad")->date_ms == MSG_NO_TIME);
	assert_false(cl.answer.rate.told);
	assert_true(get(&cl, "h-twice")->date_ms == MSG_NO_TIME);
	/* no whole answer: nothing of its head counts */
	assert_true(get(&cl, "cut")->date_ms == MSG_NO_TIME);
	client_done(&cl);
}

static void
test_quota_is_told_apart_from_the_rate(void **state)
{
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "ra-quota")->error,
	    ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "quota");
	assert_int_equal(cl.answer.retry_after_ms, 3600000);
	assert_false(cl.answer.retryable);
	client_done(&cl);
}

static void
test_403_is_refined_by_its_code(void **state)
{
	static const struct {
		const char *id;
		int error;
		const char *part;
	} rows[] = {
		{"f-scope", ERR_INSUFFICIENT_SCOPE,
		    "lacks the scope secrets:read"},
		{"f-scope-list", ERR_INSUFFICIENT_SCOPE,
		    "lacks the scope log_streams:read"},
		{"f-scope-odd", ERR_INSUFFICIENT_SCOPE, "lacks a scope"},
		{"f-revoked", ERR_DENIED, "the key is revoked"},
		{"f-version", ERR_DENIED, "below the lowest"},
		{"f-other", ERR_DENIED, "does not allow it"},
		{"f-html", ERR_DENIED, "does not allow it"},
		{"f-empty", ERR_DENIED, "does not allow it"},
	};
	struct client cl;
	size_t i;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		assert_int_equal(get(&cl, rows[i].id)->error, rows[i].error);
		check_message(&cl.answer, rows[i].part);
		assert_true(cl.answer.forbidden);
		assert_false(cl.answer.gone);
	}
	client_done(&cl);
}

/* --- faults of the transfer --- */

static void
test_faults_are_unavailable_and_say_why(void **state)
{
	static const struct {
		const char *id;
		const char *part;
	} rows[] = {
		{"cut", "cut short"},
		{"cut-head", "127.0.0.1"},
		{"drop", "without an answer"},
		{"hang", TIMED_OUT},
		{"stall", TIMED_OUT},
		{"drip", TIMED_OUT},
	};
	const struct upstream_answer *a;
	struct client cl;
	size_t i;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		/* only those that never end are bound to end soon */
		a = get_within(&cl, rows[i].id,
		    strcmp(rows[i].part, TIMED_OUT) == 0 ? 600 : 0);
		if (a->error != ERR_UPSTREAM_UNAVAILABLE)
			fail_msg("%s: %d %s", rows[i].id, a->error, a->message);
		check_message(a, rows[i].part);
		assert_true(a->retryable);
		assert_int_equal(a->status, 0);
	}
	a = get(&cl, "cut-chunk");
	assert_int_equal(a->error, ERR_UPSTREAM_UNAVAILABLE);
	client_done(&cl);
}

static void
test_wrong_answers_are_upstream_errors(void **state)
{
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "garbage")->error, ERR_UPSTREAM_ERROR);
	check_message(&cl.answer, "not HTTP");
	assert_int_equal(get(&cl, "not-json")->error, ERR_UPSTREAM_ERROR);
	check_message(&cl.answer, "not JSON");
	assert_int_equal(get(&cl, "redirect")->error, ERR_UPSTREAM_ERROR);
	check_message(&cl.answer, "redirect");
	assert_int_equal(get(&cl, "ok")->error, 0);
	client_done(&cl);
}

static void
test_large_bodies_are_refused(void **state)
{
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "big")->error, ERR_TOO_LARGE);
	assert_int_equal(get(&cl, "big-length")->error, ERR_TOO_LARGE);
	check_message(&cl.answer, "65536");
	assert_int_equal(get(&cl, "big-500")->error,
	    ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(cl.answer.status, 500);
	client_done(&cl);
}

static void
test_refused_connection(void **state)
{
	struct upstream_http_config cfg = config_for("http://127.0.0.1:1/v1");
	struct client cl;

	(void)state;
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "x")->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(cl.answer.message,
	    "connection refused by 127.0.0.1:1");
	assert_true(cl.answer.retryable);
	client_done(&cl);
}

static void
test_refused_by_proxy(void **state)
{
	struct upstream_http_config cfg = config_for("https://no.test/v1");
	struct client cl;

	(void)state;
	cfg.proxy = "http://127.0.0.1:1";
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "x")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "refused by the proxy");
	client_done(&cl);
}

static void
test_unknown_name(void **state)
{
	struct upstream_http_config cfg = config_for("http://no.test/v1");
	struct client cl;

	(void)state;
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "x")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "no.test does not resolve");
	client_done(&cl);
}

/* A call's own time limit: shorter ones count, longer ones do not. */
static void
test_time_limit_of_one_call(void **state)
{
	struct upstream_http_config cfg;
	struct upstream_request req;
	struct client cl;
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/api/v1",
	    plain.port);
	cfg = config_for(url);
	client_init(&cl, &cfg);
	req = request_for("hang");
	req.timeout_ms = 150;
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answer.error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "within 150 ms");
	/* the next one has the configured limit again */
	assert_int_equal(get(&cl, "ok")->error, 0);
	client_done(&cl);

	cfg.request_timeout_ms = 150;
	client_init(&cl, &cfg);
	req.timeout_ms = 3600000;
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	check_message(&cl.answer, "within 150 ms");
	client_done(&cl);
}

/* It bounds connecting too; the look-up of a name is part of that. */
static void
test_time_limit_of_one_call_while_connecting(void **state)
{
	struct upstream_http_config cfg = config_for("http://slow.test/v1");
	struct upstream_request req = request_for("x");
	struct client cl;

	(void)state;
	client_init(&cl, &cfg);
	req.timeout_ms = 150;
	(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	check_message(&cl.answer, "no connection to slow.test within 150 ms");
	client_done(&cl);
	/* The thread still holds memory of the arena. */
	fake_sleep_ms(1700);
}

static uint64_t
boot_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A name server that does not answer must not stop the loop. */
static void
test_slow_name_server_blocks_nobody(void **state)
{
	struct upstream_http_config cfg = config_for("http://slow.test/v1");
	struct upstream_request req = request_for("x");
	struct upstream_call *call;
	struct client cl;
	uint64_t start;

	(void)state;
	cfg.connect_timeout_ms = 200;
	start = boot_ms();
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "x")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "timed out");
	call = begin(&cl, &req);
	run_ms(&cl, 100);
	cl.up->ops->cancel(cl.up, call);
	client_done(&cl);
	/* curl's timers may end a little early */
	assert_in_range(boot_ms() - start, 250, 1600);
	/* The threads still hold memory of the arena. */
	fake_sleep_ms(1700);
}

/* --- many, and stopping --- */

static void
test_connection_is_used_again(void **state)
{
	uint64_t first;
	struct client cl;
	int i;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "ok")->error, 0);
	first = cl.answer.object->version;
	for (i = 0; i < 3; i++) {
		assert_int_equal(get(&cl, "ok")->error, 0);
		assert_int_equal(cl.answer.object->version, first);
	}
	client_done(&cl);
}

static void
test_more_calls_than_connections(void **state)
{
	struct upstream_request req = request_for("ok");
	struct client cl;
	int i;

	(void)state;
	client_init_plain(&cl);
	cl.wanted = 20;
	for (i = 0; i < 20; i++)
		(void)begin(&cl, &req);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answers, 20);
	assert_int_equal(cl.answer.error, 0);
	client_done(&cl);
}

static void
test_cancelled_call_is_not_answered(void **state)
{
	static const char *const ids[] = {"ok", "hang", "stall", "drip"};
	static const unsigned int waits[] = {0, 1, 50};
	struct upstream_request req;
	struct upstream_call *call;
	struct client cl;
	size_t i, j;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < UNIT_COUNT(ids); i++) {
		for (j = 0; j < UNIT_COUNT(waits); j++) {
			if (i == 0 && j > 0)
				break; /* would be answered */
			req = request_for(ids[i]);
			call = begin(&cl, &req);
			if (waits[j] > 0)
				run_ms(&cl, waits[j]);
			cl.up->ops->cancel(cl.up, call);
			run_ms(&cl, 20);
			assert_int_equal(cl.answers, 0);
		}
	}
	assert_int_equal(get(&cl, "ok")->error, 0);
	client_done(&cl);
}

/* Starts one call and cancels another from within a callback. */
static struct upstream_call *victim;

static void
got_first(void *arg, struct upstream_answer *answer)
{
	struct upstream_request req = request_for("ok");
	struct client *cl = arg;

	object_unref(answer->object);
	cl->up->ops->cancel(cl->up, victim);
	cl->wanted = 1;
	(void)begin(cl, &req);
}

static void
test_callback_may_start_and_cancel(void **state)
{
	struct upstream_request req = request_for("hang");
	struct upstream_call *call;
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	victim = begin(&cl, &req);
	req = request_for("ok");
	assert_int_equal(cl.up->ops->start(cl.up, &req, got_first, &cl,
	    &call), 0);
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answers, 1);
	assert_int_equal(cl.answer.error, 0);
	client_done(&cl);
}

static void
test_free_with_calls_under_way(void **state)
{
	struct upstream_request req = request_for("stall");
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	(void)begin(&cl, &req);
	run_ms(&cl, 50);
	(void)begin(&cl, &req);
	client_done(&cl);
	assert_int_equal(cl.answers, 0);
}

/* --- other settings --- */

static void
configure_plain(struct client *cl, unsigned int timeout_ms,
    size_t max_response)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/api/v1",
	    plain.port);
	cfg = config_for(url);
	cfg.request_timeout_ms = timeout_ms;
	cfg.max_response = max_response;
	assert_int_equal(upstream_http_configure(cl->up, &cfg), 0);
}

static void
test_configure_takes_other_connections(void **state)
{
	uint64_t first;
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	assert_int_equal(get(&cl, "ok")->error, 0);
	first = cl.answer.object->version;
	configure_plain(&cl, 600, MAX_RESPONSE);
	assert_int_equal(get(&cl, "ok")->error, 0);
	assert_int_not_equal(cl.answer.object->version, first);
	configure_plain(&cl, 600, 16);
	assert_int_equal(get(&cl, "ok")->error, ERR_TOO_LARGE);
	check_message(&cl.answer, "(16 bytes)");
	configure_plain(&cl, 20, MAX_RESPONSE);
	assert_int_equal(get(&cl, "hang")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "within 20 ms");
	client_done(&cl);
}

static void
test_configure_leaves_calls_under_way(void **state)
{
	struct upstream_request req = request_for("stall");
	struct upstream_call *call;
	struct client cl;

	(void)state;
	client_init_plain(&cl);
	configure_plain(&cl, 600, MAX_RESPONSE);
	(void)begin(&cl, &req);
	configure_plain(&cl, 20000, 16);
	call = begin(&cl, &req);
	configure_plain(&cl, 20000, MAX_RESPONSE);
	cl.wanted = 1;
	assert_int_equal(event_base_dispatch(cl.base), 0);
	assert_int_equal(cl.answers, 1);
	check_message(&cl.answer, "within 600 ms");
	/* the second is there still, and can be taken back */
	cl.up->ops->cancel(cl.up, call);
	assert_int_equal(get(&cl, "ok")->error, 0);
	assert_int_equal(cl.answers, 2);
	client_done(&cl);
}

static void
test_free_with_calls_of_former_settings(void **state)
{
	struct upstream_request req = request_for("stall");
	struct client cl;
	int i;

	(void)state;
	client_init_plain(&cl);
	for (i = 0; i < 3; i++) {
		(void)begin(&cl, &req);
		configure_plain(&cl, 600, MAX_RESPONSE);
	}
	assert_int_equal(get(&cl, "ok")->error, 0);
	client_done(&cl);
	assert_int_equal(cl.answers, 1);
}

/* --- TLS --- */

static void
tls_config(struct upstream_http_config *cfg, char *url, size_t size,
    const char *host)
{
	if (tls.pid == 0)
		skip();
	(void)snprintf(url, size, "https://%s:%d/api/v1", host, tls.port);
	*cfg = config_for(url);
	cfg->ca_file = good_pem;
}

static void
check_tls(const struct upstream_http_config *cfg, int error, const char *part)
{
	struct client cl;

	client_init(&cl, cfg);
	assert_int_equal(get(&cl, "ok")->error, error);
	check_message(&cl.answer, part);
	client_done(&cl);
}

static void
test_tls_good(void **state)
{
	struct upstream_http_config cfg;
	struct client cl;
	uint64_t first;
	char url[64];

	(void)state;
	tls_config(&cfg, url, sizeof(url), "127.0.0.1");
	cfg.pinned_public_key = pin;
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "ok")->error, 0);
	first = cl.answer.object->version;
	assert_int_equal(get(&cl, "ok")->error, 0);
	assert_int_equal(cl.answer.object->version, first);
	client_done(&cl);
}

static void
test_tls_wrong_name(void **state)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)state;
	/* It is for 127.0.0.1 alone. */
	tls_config(&cfg, url, sizeof(url), "127.0.0.2");
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "refused");
	(void)snprintf(url, sizeof(url), "https://localhost:%d/api/v1",
	    tls.port);
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "is for another name");
}

static void
test_tls_unknown_authority(void **state)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)state;
	tls_config(&cfg, url, sizeof(url), "127.0.0.1");
	cfg.ca_file = other_pem;
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "no known authority");
	cfg.ca_file = NULL;
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "set ca-file");
	cfg.ca_file = "/nonexistent";
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "check ca-file");
}

static void
test_tls_pin_differs(void **state)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)state;
	tls_config(&cfg, url, sizeof(url), "127.0.0.1");
	cfg.pinned_public_key =
	    "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "pinned");
}

static void
test_tls_pin_is_checked_once_it_is_configured(void **state)
{
	struct upstream_http_config cfg;
	struct client cl;
	char url[64];

	(void)state;
	tls_config(&cfg, url, sizeof(url), "127.0.0.1");
	client_init(&cl, &cfg);
	assert_int_equal(get(&cl, "ok")->error, 0);
	cfg.pinned_public_key =
	    "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	assert_int_equal(upstream_http_configure(cl.up, &cfg), 0);
	assert_int_equal(get(&cl, "ok")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "pinned");
	cfg.pinned_public_key = NULL;
	cfg.ca_file = other_pem;
	assert_int_equal(upstream_http_configure(cl.up, &cfg), 0);
	assert_int_equal(get(&cl, "ok")->error, ERR_UPSTREAM_UNAVAILABLE);
	check_message(&cl.answer, "authority");
	cfg.ca_file = good_pem;
	assert_int_equal(upstream_http_configure(cl.up, &cfg), 0);
	assert_int_equal(get(&cl, "ok")->error, 0);
	client_done(&cl);
}

static void
test_tls_on_plain_port(void **state)
{
	struct upstream_http_config cfg;
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/api/v1",
	    plain.port);
	cfg = config_for(url);
	cfg.connect_timeout_ms = 300;
	check_tls(&cfg, ERR_UPSTREAM_UNAVAILABLE, "127.0.0.1");
}

/* --- set-up --- */

static bool
make_pin(void)
{
	char command[512];
	FILE *f;
	bool got;

	(void)snprintf(command, sizeof(command),
	    "openssl x509 -in '%s' -pubkey -noout | openssl pkey -pubin "
	    "-outform der | openssl dgst -sha256 -binary | openssl base64",
	    good_pem);
	if ((f = popen(command, "r")) == NULL)
		return false;
	(void)snprintf(pin, sizeof(pin), "sha256//");
	got = fgets(pin + 8, sizeof(pin) - 8, f) != NULL;
	(void)pclose(f);
	pin[strcspn(pin, "\n")] = '\0';
	return got;
}

static int
set_up(void **state)
{
	struct secmem_config cfg = {
		.reserve_bytes = 64u << 20,
		.step_bytes = 1u << 20,
	};

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(good_pem, sizeof(good_pem), "%s/good.pem", dir);
	(void)snprintf(other_pem, sizeof(other_pem), "%s/other.pem", dir);
	if (fake_http_start(&plain, handle, NULL) != 0)
		return -1;
	/* Without openssl(1) the TLS tests are skipped. */
	if (fake_certificate(good_pem, "IP:127.0.0.1") == 0 &&
	    fake_certificate(other_pem, "DNS:other.test") == 0 && make_pin() &&
	    fake_http_start(&tls, handle, good_pem) != 0)
		return -1;
	if (secmem_init(&cfg) != 0)
		return -1;
	return upstream_http_global_init();
}

static int
tear_down(void **state)
{
	struct secmem_stats stats;
	char command[64];

	(void)state;
	fake_http_stop(&plain);
	if (tls.pid != 0)
		fake_http_stop(&tls);
	upstream_http_global_done();
	secmem_get_stats(&stats);
	assert_int_equal(stats.used_bytes, 0);
	secmem_done();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_gives_object),
		cmocka_unit_test(test_read_sends_documented_request),
		cmocka_unit_test(test_set_key_is_used_from_next_request),
		cmocka_unit_test(test_key_of_one_call),
		cmocka_unit_test(test_key_that_is_no_header_is_refused),
		cmocka_unit_test(test_paths_of_the_other_requests),
		cmocka_unit_test(test_ids_that_can_be_none_are_refused),
		cmocka_unit_test(test_each_status_has_its_meaning),
		cmocka_unit_test(test_retry_after_in_both_forms),
		cmocka_unit_test(test_headers_of_an_answer),
		cmocka_unit_test(test_quota_is_told_apart_from_the_rate),
		cmocka_unit_test(test_403_is_refined_by_its_code),
		cmocka_unit_test(test_faults_are_unavailable_and_say_why),
		cmocka_unit_test(test_wrong_answers_are_upstream_errors),
		cmocka_unit_test(test_large_bodies_are_refused),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_refused_by_proxy),
		cmocka_unit_test(test_unknown_name),
		cmocka_unit_test(test_time_limit_of_one_call),
		cmocka_unit_test(test_time_limit_of_one_call_while_connecting),
		cmocka_unit_test(test_slow_name_server_blocks_nobody),
		cmocka_unit_test(test_connection_is_used_again),
		cmocka_unit_test(test_more_calls_than_connections),
		cmocka_unit_test(test_cancelled_call_is_not_answered),
		cmocka_unit_test(test_callback_may_start_and_cancel),
		cmocka_unit_test(test_free_with_calls_under_way),
		cmocka_unit_test(test_configure_takes_other_connections),
		cmocka_unit_test(test_configure_leaves_calls_under_way),
		cmocka_unit_test(test_free_with_calls_of_former_settings),
		cmocka_unit_test(test_tls_good),
		cmocka_unit_test(test_tls_wrong_name),
		cmocka_unit_test(test_tls_unknown_authority),
		cmocka_unit_test(test_tls_pin_differs),
		cmocka_unit_test(test_tls_pin_is_checked_once_it_is_configured),
		cmocka_unit_test(test_tls_on_plain_port),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
