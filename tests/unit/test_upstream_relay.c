/*
 * Requests that are handed on, over real sockets: what goes out, what comes
 * back, and how often the service gets what it must get once.
 */
#include "config.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <event2/event.h>

#include "agent_unit.h"
#include "clock.h"
#include "endpoints.h"
#include "err.h"
#include "fake_http.h"
#include "fetch.h"
#include "relay.h"
#include "upstream_http.h"

#define KEY "qapi_0123456789abcdefghijklmnopqrstuv"
#define MAX_RESPONSE 65536u
#define BODY_MAX (4u << 20)
#define ENDPOINTS_MAX 200

/* What the service does with what it has read whole. */
enum mode {
	MODE_DROP,		/* closes without a word */
	MODE_RESET,
	MODE_CUT_HEAD,
	MODE_CUT_BODY,
	MODE_HANG,		/* until it is let go, then closes */
	MODE_FAIL,		/* 500, and keeps the connection */
	MODE_EXPECT,		/* 417 */
	MODE_MOVED,		/* 307 */
	MODE_AUTH,		/* 407, and 401 below */
	MODE_LAST,
};

/* The service's memory that the test can see. */
struct seen {
	atomic_uint counts[ENDPOINTS_MAX];
	atomic_uint kept;	/* of those, on a connection that was used */
	atomic_uint mode;
	atomic_bool let_go;
	char head[8192];
	size_t body_len;
	uint8_t body[BODY_MAX];
};

static struct seen *seen;
static struct fake_http server;

/* --- the service's side --- */

static size_t
content_length(const char *head)
{
	const char *p = strstr(head, "\r\nContent-Length: ");

	return p == NULL ? 0 : strtoul(p + 18, NULL, 10);
}

static int
answer_bytes(struct fake_conn *c, int status, const char *headers,
    const void *body, size_t len)
{
	fake_printf(c, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n",
	    status, len, headers);
	fake_write(c, body, len);
	return 0;
}

static int
answer_kinds(struct fake_conn *c, const char *path)
{
	static const char big[MAX_RESPONSE + 1];

	if (strcmp(path, "/echo") == 0)
		return answer_bytes(c, 200, "Content-Type: text/x; a=\"b\"\r\n"
		    "Content-Disposition: attachment; filename=\"x.gz\"\r\n",
		    seen->body, seen->body_len < MAX_RESPONSE
		    ? seen->body_len : MAX_RESPONSE);
	if (strcmp(path, "/odd") == 0)
		return answer_bytes(c, 400, "Content-Type: a\x01/b\r\n"
		    "Content-Disposition: a\r\nContent-Disposition: b\r\n",
		    "no\0thing", 8);
	if (strcmp(path, "/largest") == 0)
		return answer_bytes(c, 500, "", big, MAX_RESPONSE);
	if (strcmp(path, "/larger") == 0)
		return answer_bytes(c, 200, "", big, MAX_RESPONSE + 1);
	if (strcmp(path, "/switched") == 0) {
		fake_printf(c, "HTTP/1.1 101 X\r\nContent-Length: 2\r\n\r\n{}");
		return -1;
	}
	if (strcmp(path, "/none") == 0)
		fake_printf(c, "HTTP/1.1 204 X\r\n\r\n");
	else if (strcmp(path, "/same") == 0)
		fake_printf(c, "HTTP/1.1 304 X\r\n\r\n");
	else if (strcmp(path, "/head") == 0)
		fake_printf(c, "HTTP/1.1 200 X\r\nContent-Length: 77\r\n\r\n");
	else if (strcmp(path, "/moved") == 0)
		fake_printf(c, "HTTP/1.1 302 X\r\nLocation: /api/v1/echo\r\n"
		    "Content-Length: 0\r\n\r\n");
	else
		return answer_bytes(c, 200, "Content-Type: text/plain\r\n",
		    path, strlen(path));
	return 0;
}

static int
misbehave(struct fake_conn *c)
{
	switch ((enum mode)atomic_load(&seen->mode)) {
	case MODE_DROP:
	case MODE_LAST:
		break;
	case MODE_RESET:
		fake_reset(c);
		break;
	case MODE_CUT_HEAD:
		fake_printf(c, "HTTP/1.1 201 X\r\nContent-Le");
		break;
	case MODE_CUT_BODY:
		fake_printf(c, "HTTP/1.1 201 X\r\nContent-Length: 9\r\n\r\n{");
		break;
	case MODE_HANG:
		while (!atomic_load(&seen->let_go))
			fake_sleep_ms(5);
		break;
	case MODE_FAIL:
		return answer_bytes(c, 500, "", "{}", 2);
	case MODE_EXPECT:
		return answer_bytes(c, 417, "", "{}", 2);
	case MODE_MOVED:
		return answer_bytes(c, 307, "Location: /api/v1/roles\r\n", "",
		    0);
	case MODE_AUTH:
		return answer_bytes(c, 407, "Proxy-Authenticate: Basic\r\n",
		    "", 0);
	}
	return -1;
}

/* Which row of the table that is; -1: none. */
static int
row_of(const char *method, const char *path)
{
	size_t i;

	for (i = 0; i < endpoints_count; i++) {
		if (strcmp(endpoints[i].method, method) == 0 &&
		    strcmp(endpoints[i].pattern, path) == 0)
			return (int)i;
	}
	return -1;
}

static int
handle(struct fake_conn *c, const char *head, unsigned int conn,
    unsigned int request)
{
	char method[16] = "", target[600] = "";
	const char *path = target;
	size_t len = content_length(head);
	uint8_t *body = malloc(len + 1);
	int row;

	(void)conn;
	(void)sscanf(head, "%15s %599s", method, target);
	if (len > BODY_MAX || fake_read(c, body, len) != 0)
		_exit(1);
	if (strncmp(path, "/api/v1/", 8) == 0)
		path += 7;
	row = row_of(method, path);
	if (row >= 0) {
		free(body);
		atomic_fetch_add(&seen->kept, request > 1);
		atomic_fetch_add(&seen->counts[row], 1);
		return misbehave(c);
	}
	(void)snprintf(seen->head, sizeof(seen->head), "%s", head);
	memcpy(seen->body, body, len);
	seen->body_len = len;
	free(body);
	return answer_kinds(c, path);
}

/* --- one call --- */

struct client {
	struct event_base *base;
	struct upstream *up;
	struct upstream_answer answer;
	unsigned int answers;
};

static struct upstream_http_config
config_for(char *url, size_t size)
{
	(void)snprintf(url, size, "http://127.0.0.1:%d/api/v1", server.port);
	return (struct upstream_http_config){
		.url = url,
		/* ample: valgrind takes its time */
		.connect_timeout_ms = 30000,
		.request_timeout_ms = 30000,
		.max_response = MAX_RESPONSE,
		.max_connections = 200,
	};
}

static void
client_init(struct client *cl, const struct upstream_http_config *cfg)
{
	struct secmem key = {0};

	*cl = (struct client){.answers = 0};
	cl->base = event_base_new();
	assert_non_null(cl->base);
	assert_int_equal(secmem_copy(&key, KEY, sizeof(KEY) - 1,
	    SECMEM_LIBRARY), 0);
	assert_int_equal(upstream_http_new(cl->base, cfg, &key, &cl->up), 0);
}

static int
client_setup(void **state)
{
	struct client *cl = calloc(1, sizeof(*cl));
	char url[64];
	struct upstream_http_config cfg = config_for(url, sizeof(url));

	assert_non_null(cl);
	client_init(cl, &cfg);
	*state = cl;
	return 0;
}

static void
client_done(struct client *cl)
{
	object_unref(cl->answer.reply.body);
	cl->up->ops->free(cl->up);
	event_base_free(cl->base);
}

static int
client_teardown(void **state)
{
	client_done(*state);
	free(*state);
	return 0;
}

static void
got_answer(void *arg, struct upstream_answer *answer)
{
	struct client *cl = arg;

	object_unref(cl->answer.reply.body);
	cl->answer = *answer;
	cl->answers++;
	(void)event_base_loopbreak(cl->base);
}

static const struct upstream_answer *
call(struct client *cl, const struct upstream_relay *relay)
{
	const struct upstream_request req = {
		.op = UPSTREAM_RELAY, .relay = relay,
	};
	struct upstream_call *handle_of_it;
	unsigned int before = cl->answers;

	assert_int_equal(cl->up->ops->start(cl->up, &req, got_answer, cl,
	    &handle_of_it), 0);
	assert_int_equal(cl->answers, before);
	assert_int_equal(event_base_dispatch(cl->base), 0);
	assert_int_equal(cl->answers, before + 1);
	return &cl->answer;
}

static struct upstream_relay
relay_for(const char *method, const char *target)
{
	return (struct upstream_relay){
		.method = method, .target = unit_view(target),
	};
}

static struct view
body_of(const struct upstream_answer *a)
{
	return a->reply.body != NULL ? object_value(a->reply.body)
	    : (struct view){NULL, 0};
}

/* Each header line of the request, and no other. */
static void
check_head(const char *want)
{
	size_t len = strlen(want);

	if (strncmp(seen->head, want, len) != 0 || seen->head[len] != '\0')
		fail_msg("got \"%s\", not \"%s\"", seen->head, want);
}

#define HOST "Host: 127.0.0.1:%d\r\nUser-Agent: qapi-agent/" PACKAGE_VERSION \
    "\r\nX-Api-Key: " KEY "\r\n"

static const char *
head_with_port(char *buf, size_t size, const char *fmt)
{
	const char *port = strstr(fmt, "%d");

	assert_non_null(port);
	(void)snprintf(buf, size, "%.*s%d%s", (int)(port - fmt), fmt,
	    server.port, port + 2);
	return buf;
}

static void
test_nothing_else_goes_out(void **state)
{
	struct upstream_relay r = relay_for("GET", "/echo?a=%2F%20+&b=..");
	struct secmem body = {0};
	char want[1024];

	(void)call(*state, &r);
	check_head(head_with_port(want, sizeof(want),
	    "GET /api/v1/echo?a=%2F%20+&b=.. HTTP/1.1\r\n" HOST
	    "Accept: application/json\r\n\r\n"));
	assert_int_equal(secmem_copy(&body, "{}", 2, SECMEM_LIBRARY), 0);
	r = relay_for("PATCH", "/echo");
	r.has_body = r.allow_csprng = true;
	r.body = (struct view){secmem_bytes(&body), 2};
	r.content_type = unit_view("application/merge-patch+json");
	r.accept = unit_view("*/*");
	(void)call(*state, &r);
	check_head(head_with_port(want, sizeof(want),
	    "PATCH /api/v1/echo HTTP/1.1\r\n" HOST "Accept: */*\r\n"
	    "Content-Type: application/merge-patch+json\r\n"
	    "X-Allow-Csprng: true\r\nContent-Length: 2\r\n\r\n"));
	secmem_free_bytes(&body);
	/* what creates has a length, even of nothing */
	r = relay_for("POST", "/echo");
	(void)call(*state, &r);
	check_head(head_with_port(want, sizeof(want),
	    "POST /api/v1/echo HTTP/1.1\r\n" HOST
	    "Accept: application/json\r\nContent-Length: 0\r\n\r\n"));
	r = relay_for("DELETE", "/echo");
	(void)call(*state, &r);
	check_head(head_with_port(want, sizeof(want),
	    "DELETE /api/v1/echo HTTP/1.1\r\n" HOST
	    "Accept: application/json\r\n\r\n"));
}

/* Dots too: another path than the one that was judged must not arrive. */
static void
test_targets_go_out_byte_for_byte(void **state)
{
	static const char *const targets[] = {
		"/echo/../x", "/echo/./x", "/echo/%2e%2E/x", "/echo//x?a=/../b",
	};
	struct upstream_relay r;
	char want[64];
	size_t i;

	for (i = 0; i < UNIT_COUNT(targets); i++) {
		r = relay_for("GET", targets[i]);
		(void)call(*state, &r);
		(void)snprintf(want, sizeof(want), "GET /api/v1%s HTTP/1.1\r\n",
		    targets[i]);
		assert_memory_equal(seen->head, want, strlen(want));
	}
}

static void
test_root_and_without_key(void **state)
{
	struct upstream_relay r = relay_for("GET", "/healthy");
	const struct upstream_answer *a;

	r.from_root = r.without_key = true;
	a = call(*state, &r);
	assert_true(unit_view_is(body_of(a), "/healthy"));
	assert_memory_equal(seen->head, "GET /healthy HTTP/1.1\r\n", 23);
	assert_null(strstr(seen->head, "qapi_"));
	assert_null(strstr(seen->head, "Api-Key"));
}

static void
test_bodies_of_any_bytes_and_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 3u << 20 };
	struct upstream_relay r = relay_for("PUT", "/echo");
	const struct upstream_answer *a;
	struct secmem body = {0};
	size_t i, n;
	uint8_t *p;

	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		assert_int_equal(secmem_alloc(&body, sizes[i],
		    SECMEM_LIBRARY), 0);
		p = secmem_writable(&body);
		for (n = 0; n < sizes[i]; n++)
			p[n] = (uint8_t)(n * 7 + n / 256);
		r.has_body = true;
		r.once = i % 2;
		r.body = (struct view){p, sizes[i]};
		a = call(*state, &r);
		assert_int_equal(a->error, 0);
		assert_int_equal(seen->body_len, sizes[i]);
		assert_memory_equal(seen->body, p, sizes[i]);
		/* over 1 MiB curl would ask first */
		assert_null(strstr(seen->head, "Expect"));
		assert_non_null(strstr(seen->head,
		    "\r\nContent-Type: application/json\r\n"));
		n = sizes[i] < MAX_RESPONSE ? sizes[i] : MAX_RESPONSE;
		assert_int_equal(body_of(a).len, n);
		if (n > 0)
			assert_memory_equal(body_of(a).p, p, n);
		secmem_free_bytes(&body);
	}
}

static void
test_answers_come_back_as_they_are(void **state)
{
	struct upstream_relay r = relay_for("POST", "/echo");
	const struct upstream_answer *a = call(*state, &r);

	assert_int_equal(a->status, 200);
	assert_string_equal(a->reply.content_type, "text/x; a=\"b\"");
	assert_string_equal(a->reply.content_disposition,
	    "attachment; filename=\"x.gz\"");
	assert_null(a->reply.body);
	r = relay_for("GET", "/odd");
	a = call(*state, &r);
	assert_int_equal(a->status, 400);
	assert_int_equal(body_of(a).len, 8);
	assert_memory_equal(body_of(a).p, "no\0thing", 8);
	assert_string_equal(a->reply.content_type, "");
	assert_string_equal(a->reply.content_disposition, "");
	r = relay_for("GET", "/none");
	a = call(*state, &r);
	assert_int_equal(a->status, 204);
	assert_null(a->reply.body);
	r = relay_for("GET", "/same");
	assert_int_equal(call(*state, &r)->status, 304);
	r = relay_for("HEAD", "/head");
	a = call(*state, &r);
	assert_int_equal(a->status, 200);
	assert_null(a->reply.body);
	assert_memory_equal(seen->head, "HEAD ", 5);
	/* that one is not followed */
	r = relay_for("GET", "/moved");
	assert_int_equal(call(*state, &r)->status, 302);
	assert_memory_equal(seen->head, "GET /api/v1/moved ", 18);
}

/* A client would leave HTTP at a 101, and wait on at any other 1xx. */
static void
test_no_answer_ends_with_a_status_of_one_that_goes_on(void **state)
{
	struct upstream_relay r = relay_for("POST", "/switched");
	const struct upstream_answer *a = call(*state, &r);

	assert_int_equal(a->error, ERR_UPSTREAM_ERROR);
	assert_int_equal(a->status, 0);
	assert_false(a->unsent);
	assert_null(a->reply.body);
}

static void
test_bound_of_an_answer(void **state)
{
	struct upstream_relay r = relay_for("GET", "/largest");
	const struct upstream_answer *a = call(*state, &r);

	assert_int_equal(a->status, 500);
	assert_int_equal(body_of(a).len, MAX_RESPONSE);
	r = relay_for("GET", "/larger");
	a = call(*state, &r);
	assert_int_equal(a->error, ERR_TOO_LARGE);
	assert_int_equal(a->status, 0);
	assert_false(a->unsent);
	assert_null(a->reply.body);
}

static void
test_what_could_not_be_sent_as_it_is_is_refused(void **state)
{
	static const char *const methods[] = { "", "get", "G T", "CONNECT",
	    "TRACE", "PROPPATCHPROPPATCH" };
	static const char *const targets[] = { "", "x", "/a b", "/a\r\nX: y",
	    "/\x7f", "/\xc3\xa9", "/a#b", "/\t" };
	struct client *cl = *state;
	struct upstream_request req = {.op = UPSTREAM_RELAY};
	struct upstream_call *handle_of_it;
	struct upstream_relay r;
	size_t i;

	req.relay = &r;
	for (i = 0; i < UNIT_COUNT(methods) + UNIT_COUNT(targets) + 2; i++) {
		r = relay_for("GET", "/echo");
		if (i < UNIT_COUNT(methods))
			r.method = methods[i];
		else if (i < UNIT_COUNT(methods) + UNIT_COUNT(targets))
			r.target = unit_view(targets[i - UNIT_COUNT(methods)]);
		else if (i % 2)
			r.accept = unit_view("a\r\nX-Evil: b");
		else
			r.content_type = unit_view("a\nX-Evil: b");
		assert_int_equal(cl->up->ops->start(cl->up, &req, got_answer,
		    cl, &handle_of_it), ERR_BAD_REQUEST);
	}
}

static void
test_unsent_is_told(void **state)
{
	struct fake_http closed = server;
	struct upstream_relay r = relay_for("POST", "/roles");
	struct upstream_http_config cfg;
	const struct upstream_answer *a;
	struct client cl;
	char url[64];

	(void)state;
	cfg = config_for(url, sizeof(url));
	server.port = 1; /* nobody listens there */
	cfg = config_for(url, sizeof(url));
	server = closed;
	client_init(&cl, &cfg);
	a = call(&cl, &r);
	assert_int_equal(a->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_true(a->unsent);
	client_done(&cl);
}

/* --- how often it arrives --- */

struct fixture {
	struct event_base *base;
	struct upstream *up;
	struct fetch *fetch;
	struct metrics metrics;
	unsigned int waiting;
	struct sent {
		struct fixture *f;
		struct relay *relay;
		unsigned int answers;
		int error;
		int status;
	} sent[ENDPOINTS_MAX];
};

static bool
no_key(void *arg)
{
	(void)arg;
	return false;
}

static void
nothing(void *arg)
{
	(void)arg;
}

static int
fetch_setup(void **state)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 1u << 20, .refresh_interval_ms = 300000,
			.max_stale_ms = 300000, .negative_ttl_ms = 10000,
			.idle_evict_ms = 300000, .reread_interval_ms = 300000,
		},
		/* all of them at once, with room for reads */
		.max_in_flight = 2 * ENDPOINTS_MAX,
	};
	const struct fetch_hooks hooks = {
		.reload_key = no_key, .state_changed = nothing,
		.wiped = nothing,
	};
	struct fixture *f = calloc(1, sizeof(*f));
	struct client cl;
	char url[64];
	struct upstream_http_config http = config_for(url, sizeof(url));

	assert_non_null(f);
	client_init(&cl, &http);
	f->base = cl.base;
	f->up = cl.up;
	f->fetch = fetch_new(f->base, f->up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	memset(seen->counts, 0, sizeof(seen->counts));
	atomic_store(&seen->kept, 0);
	atomic_store(&seen->let_go, false);
	*state = f;
	return 0;
}

static int
fetch_teardown(void **state)
{
	struct fixture *f = *state;

	fetch_free(f->fetch);
	f->up->ops->free(f->up);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void
relayed(void *arg, struct relay_result *r)
{
	struct sent *s = arg;

	s->answers++;
	s->error = r->error;
	s->status = r->status;
	object_unref(r->reply.body);
	if (--s->f->waiting == 0)
		(void)event_base_loopbreak(s->f->base);
}

static void
begin(struct fixture *f, size_t i, const char *method, const char *target,
    const struct endpoint *e)
{
	const struct relay_request rq = {
		.send = {
			.method = method, .target = unit_view(target),
			.has_body = strcmp(method, "GET") != 0,
			.body = unit_view("{\"a\":1}"),
			.from_root = e != NULL && e->from_root,
		},
		.endpoint = e,
		.deadline_ms = MSG_NO_LIMIT,
	};
	struct now now;

	clock_read(&now);
	f->sent[i] = (struct sent){.f = f};
	f->waiting++;
	assert_int_equal(relay_start(f->fetch, &rq, &now, relayed, &f->sent[i],
	    &f->sent[i].relay), 0);
}

static void
run(struct fixture *f)
{
	assert_int_equal(event_base_dispatch(f->base), 0);
	assert_int_equal(f->waiting, 0);
}

/* Let go when all have arrived: nobody waits for luck. */
static void
let_go_cb(evutil_socket_t fd, short events, void *arg)
{
	unsigned int i, arrived = 0;

	(void)fd;
	(void)events;
	for (i = 0; i < ENDPOINTS_MAX; i++)
		arrived += atomic_load(&seen->counts[i]);
	if (arrived >= *(unsigned int *)arg)
		atomic_store(&seen->let_go, true);
}

static void
check_once(struct fixture *f, enum mode mode)
{
	const struct timeval often = {0, 5000};
	struct event *look;
	unsigned int n = 0;
	size_t i;

	atomic_store(&seen->mode, mode);
	/* connections that are kept, for curl to be tempted by */
	for (i = 0; i < 4; i++)
		begin(f, i, "GET", "/kept", NULL);
	run(f);
	look = event_new(f->base, -1, EV_PERSIST, let_go_cb, &n);
	assert_non_null(look);
	assert_int_equal(event_add(look, &often), 0);
	for (i = 0; i < endpoints_count; i++) {
		if (endpoints[i].repeatable)
			continue;
		begin(f, i, endpoints[i].method, endpoints[i].pattern,
		    &endpoints[i]);
		n++;
	}
	assert_true(n > 30);
	run(f);
	event_free(look);
	for (i = 0; i < endpoints_count; i++) {
		if (endpoints[i].repeatable)
			continue;
		if (atomic_load(&seen->counts[i]) != 1)
			fail_msg("%s %s arrived %u times", endpoints[i].method,
			    endpoints[i].pattern,
			    atomic_load(&seen->counts[i]));
		assert_int_equal(f->sent[i].answers, 1);
		assert_int_equal(f->sent[i].error, mode < MODE_FAIL
		    ? ERR_UPSTREAM_UNAVAILABLE : 0);
	}
	assert_int_equal(atomic_load(&seen->kept), 0);
}

static void
test_once_when_it_is_dropped(void **state)
{
	check_once(*state, MODE_DROP);
}

static void
test_once_when_it_is_reset(void **state)
{
	check_once(*state, MODE_RESET);
}

static void
test_once_when_half_a_head_comes(void **state)
{
	check_once(*state, MODE_CUT_HEAD);
}

static void
test_once_when_half_a_body_comes(void **state)
{
	check_once(*state, MODE_CUT_BODY);
}

static void
test_once_when_it_hangs(void **state)
{
	check_once(*state, MODE_HANG);
}

static void
test_once_when_it_fails(void **state)
{
	check_once(*state, MODE_FAIL);
}

static void
test_once_when_an_expectation_fails(void **state)
{
	check_once(*state, MODE_EXPECT);
}

static void
test_once_when_it_is_redirected(void **state)
{
	check_once(*state, MODE_MOVED);
}

static void
test_once_when_credentials_are_wanted(void **state)
{
	check_once(*state, MODE_AUTH);
}

/* The service would get others again: so the above says something. */
static void
test_what_may_arrive_again_does(void **state)
{
	struct fixture *f = *state;
	int row = row_of("POST", "/encrypt");

	assert_true(row >= 0);
	atomic_store(&seen->mode, MODE_DROP);
	begin(f, 0, "GET", "/kept", NULL);
	run(f);
	begin(f, 0, "POST", "/encrypt", &endpoints[row]);
	run(f);
	assert_int_equal(f->sent[0].error, ERR_UPSTREAM_UNAVAILABLE);
	/* three times by jobs, and once by curl for the kept connection */
	assert_int_equal(atomic_load(&seen->counts[row]), 4);
	assert_int_equal(atomic_load(&seen->kept), 1);
}

static int
set_up(void **state)
{
	const struct secmem_config cfg = {
		.reserve_bytes = 64u << 20,
		.step_bytes = 1u << 20,
	};

	(void)state;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || endpoints_count > ENDPOINTS_MAX ||
	    fake_http_start(&server, handle, NULL) != 0 ||
	    secmem_init(&cfg) != 0)
		return -1;
	return upstream_http_global_init();
}

static int
tear_down(void **state)
{
	struct secmem_stats stats;

	(void)state;
	fake_http_stop(&server);
	upstream_http_global_done();
	secmem_get_stats(&stats);
	assert_int_equal(stats.used_bytes, 0);
	secmem_done();
	return munmap(seen, sizeof(*seen));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CALL(name) cmocka_unit_test_setup_teardown(name, client_setup, \
    client_teardown)
#define RELAY(name) cmocka_unit_test_setup_teardown(name, fetch_setup, \
    fetch_teardown)
		CALL(test_nothing_else_goes_out),
		CALL(test_targets_go_out_byte_for_byte),
		CALL(test_root_and_without_key),
		CALL(test_bodies_of_any_bytes_and_size),
		CALL(test_answers_come_back_as_they_are),
		CALL(test_no_answer_ends_with_a_status_of_one_that_goes_on),
		CALL(test_bound_of_an_answer),
		CALL(test_what_could_not_be_sent_as_it_is_is_refused),
		cmocka_unit_test(test_unsent_is_told),
		RELAY(test_once_when_it_is_dropped),
		RELAY(test_once_when_it_is_reset),
		RELAY(test_once_when_half_a_head_comes),
		RELAY(test_once_when_half_a_body_comes),
		RELAY(test_once_when_it_hangs),
		RELAY(test_once_when_it_fails),
		RELAY(test_once_when_an_expectation_fails),
		RELAY(test_once_when_it_is_redirected),
		RELAY(test_once_when_credentials_are_wanted),
		RELAY(test_what_may_arrive_again_does),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
