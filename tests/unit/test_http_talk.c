/*
 * HTTP over the real connections; the service's REST paths are a stand-in's.
 */
#include "config.h"

#include "fake_upstream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "audit.h"
#include "conn.h"
#include "err.h"
#include "fake_time.h"
#include "http_talk.h"
#include "limit.h"
#include "peer.h"
#include "rest.h"
#include "settings.h"

#define CLIENTS 4
#define RX_MAX (2u << 20)
#define BODY_MAX (1u << 20)
#define HOST "Host: localhost\r\n"
#define TOKEN "0123456789abcdef0123456789abcdef"

struct client {
	int fd;
	bool closed;
	char *rx;
	size_t len;
	size_t pos;
};

struct fixture {
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct event_base *base;
	struct conns *cs;
	struct http_env http;
	struct conn_door door;
	struct client clients[CLIENTS];
};

/* --- the stand-in for rest.c --- */

struct rest {
	rest_cb *cb;
	void *arg;
	struct view body;
};

/* What it was asked last, and what it does. */
static struct {
	unsigned int asked;
	unsigned int cancelled;
	struct rest *pending;
	char method[16];
	char target[64];
	char content_type[64];
	char body[64];
	size_t body_len;
	bool has_body;
	struct rest_request rq;
	bool later;		/* answers when told so */
	size_t answer_len;	/* of the body; 0: the target */
	struct peer *peer;
	struct caller *caller;
} rest;

static void
copy_view(char *to, size_t size, struct view v)
{
	size_t n = v.len < size - 1 ? v.len : size - 1;

	if (n > 0)
		memcpy(to, v.p, n);
	to[n] = '\0';
}

static void
rest_fill(struct rest_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->status = 200;
	answer->cache = REST_CACHE_NONE;
	(void)snprintf(answer->content_type, sizeof(answer->content_type),
	    "text/plain");
	answer->body = unit_object(REF_SECRET, "i", "n", 1, 0,
	    rest.answer_len > 0 ? rest.answer_len : strlen(rest.target), 'b');
	if (rest.answer_len == 0)
		memcpy(secmem_writable(&answer->body->data), rest.target,
		    strlen(rest.target));
}

int
rest_start(struct session *s, const struct rest_request *rq,
    const struct now *now, struct rest_answer *answer, rest_cb *cb,
    struct rest **ret_rest)
{
	(void)now;
	rest.asked++;
	rest.rq = *rq;
	rest.peer = s->peer;
	rest.caller = s->caller;
	(void)snprintf(rest.method, sizeof(rest.method), "%s", rq->method);
	copy_view(rest.target, sizeof(rest.target), rq->target);
	copy_view(rest.content_type, sizeof(rest.content_type),
	    rq->content_type);
	copy_view(rest.body, sizeof(rest.body), rq->body);
	rest.body_len = rq->body.len;
	rest.has_body = rq->has_body;
	if (!rest.later) {
		rest_fill(answer);
		return 0;
	}
	assert_null(rest.pending);
	rest.pending = calloc(1, sizeof(*rest.pending));
	assert_non_null(rest.pending);
	rest.pending->cb = cb;
	rest.pending->body = rq->body;
	*ret_rest = rest.pending;
	return ERR_AGAIN;
}

void
rest_set_arg(struct rest *r, void *arg)
{
	r->arg = arg;
}

void
rest_cancel(struct rest *r)
{
	assert_ptr_equal(r, rest.pending);
	rest.pending = NULL;
	rest.cancelled++;
	free(r);
}

/* The answer that was awaited comes. */
static void
rest_finish(void)
{
	struct rest *r = rest.pending;
	struct rest_answer answer;

	assert_non_null(r);
	rest.pending = NULL;
	/* the body must be as it was given */
	if (r->body.len > 0)
		assert_memory_equal(r->body.p, rest.body,
		    r->body.len < sizeof(rest.body) - 1 ? r->body.len
		    : sizeof(rest.body) - 1);
	rest_fill(&answer);
	r->cb(r->arg, &answer);
	free(r);
}

/* --- fixture --- */

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[200];
	size_t i;

	assert_non_null(f);
	memset(&rest, 0, sizeof(rest));
	fake_time_reset();
	f->base = event_base_new();
	assert_non_null(f->base);
	f->settings.max_response = BODY_MAX;
	f->settings.request_timeout_ms = 30000;
	f->env = (struct session_env){
		.base = f->base, .settings = &f->settings,
		.policy_generation = 1, .metrics = &f->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0),
	};
	assert_true(f->env.audit != NULL && f->env.limit != NULL);
	f->cs = conns_new(f->base, &f->env, 3);
	assert_non_null(f->cs);
	f->door = (struct conn_door){ .conns = f->cs, .kind = &http_talk,
		.arg = &f->http };
	for (i = 0; i < CLIENTS; i++)
		f->clients[i].fd = -1;
	*state = f;
	return 0;
}

static void
hang_up(struct client *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->rx);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	size_t i;

	conns_free(f->cs);
	assert_int_equal(f->metrics.clients, 0);
	assert_null(rest.pending);
	for (i = 0; i < CLIENTS; i++)
		hang_up(&f->clients[i]);
	assert_int_equal(fake_time_timers(), 0);
	event_base_free(f->base);
	audit_free(f->env.audit);
	limit_free(f->env.limit);
	secmem_free_bytes(&f->http.token);
	free(f);
	return 0;
}

/* As on loopback; the connection is a Unix socket all the same. */
static void
on_loopback(struct fixture *f)
{
	f->http.with_token = true;
	f->http.port = 8200;
	(void)snprintf(f->http.host, sizeof(f->http.host), "127.0.0.1");
	assert_int_equal(secmem_copy(&f->http.token, TOKEN, strlen(TOKEN),
	    SECMEM_LIBRARY), 0);
	f->door.peer = peer_new_http;
}

static struct client *
dial(struct fixture *f, size_t i)
{
	struct client *c = &f->clients[i];
	int fds[2];

	hang_up(c);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fds), 0);
	c->rx = malloc(RX_MAX);
	assert_non_null(c->rx);
	c->fd = fds[1];
	conn_door_accept(&f->door, fds[0]);
	return c;
}

static void
turn(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		(void)event_base_loop(f->base,
		    EVLOOP_ONCE | EVLOOP_NONBLOCK);
		fake_time_run();
	}
}

static void
pass(struct fixture *f, uint64_t ms)
{
	turn(f);
	fake_time_pass(ms);
	turn(f);
}

static void
receive(struct client *c)
{
	ssize_t n;

	while ((n = recv(c->fd, c->rx + c->len, RX_MAX - 1 - c->len,
	    MSG_DONTWAIT)) > 0)
		c->len += (size_t)n;
	c->rx[c->len] = '\0';
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		c->closed = true;
}

static void
drain(struct fixture *f, struct client *c)
{
	size_t before;

	do {
		before = c->len;
		turn(f);
		receive(c);
	} while (c->len > before);
}

static void
put(struct fixture *f, struct client *c, const char *text, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		assert_true(errno == EAGAIN);
		turn(f);
	}
}

static void
put_text(struct fixture *f, struct client *c, const char *text)
{
	put(f, c, text, strlen(text));
	drain(f, c);
}

/* The next answer has that status and that body. */
static void
expect(struct client *c, int status, const char *body)
{
	const char *at = c->rx + c->pos, *end = strstr(at, "\r\n\r\n");
	const char *length;
	size_t len;

	assert_non_null(end);
	assert_int_equal(atoi(at + strlen("HTTP/1.1 ")), status);
	c->pos += (size_t)(end + 4 - at);
	if (status == 100)
		return;
	length = strstr(at, "Content-Length: ");
	assert_true(length != NULL && length < end);
	len = strtoul(length + strlen("Content-Length: "), NULL, 10);
	assert_true(c->len - c->pos >= len);
	if (body != NULL && (strlen(body) != len ||
	    memcmp(end + 4, body, len) != 0))
		fail_msg("%.*s", (int)len, end + 4);
	c->pos += len;
}

static void
expect_no_more(const struct client *c)
{
	assert_int_equal(c->pos, c->len);
}

static void
check_alive(struct fixture *f, struct client *c)
{
	put_text(f, c, "GET /alive HTTP/1.1\r\n" HOST "\r\n");
	expect(c, 200, "/alive");
	expect_no_more(c);
	assert_false(c->closed);
}

static size_t
secret_bytes(void)
{
	struct secmem_stats stats;

	secmem_get_stats(&stats);
	return stats.used_bytes;
}

/* --- requests and answers --- */

static void
test_request_is_answered(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_text(f, c, "POST /api/v1/x?y=z HTTP/1.1\r\n" HOST
	    "Content-Type: application/json\r\nAccept: text/*\r\n"
	    "X-Api-Key: nobody\r\nX-Allow-Csprng: true\r\n"
	    "Cache-Control: max-age=3, no-cache, only-if-cached\r\n"
	    "Prefer: wait=9\r\nContent-Length: 4\r\n\r\nbody");
	expect(c, 200, "/api/v1/x?y=z");
	expect_no_more(c);
	assert_string_equal(rest.method, "POST");
	assert_string_equal(rest.content_type, "application/json");
	assert_string_equal(rest.body, "body");
	assert_true(rest.has_body && rest.rq.allow_csprng && rest.rq.fresh &&
	    rest.rq.only_if_cached);
	assert_true(rest.rq.max_age_ms == 3000 && rest.rq.deadline_ms == 9000
	    && rest.rq.max_stale_ms == MSG_NO_LIMIT);
	assert_int_equal(f->metrics.requests, 1);
	check_alive(f, c);
	assert_string_equal(rest.method, "GET");
	assert_false(rest.has_body || rest.rq.fresh);
	assert_int_equal(rest.rq.deadline_ms,
	    f->settings.request_timeout_ms);
}

static void
test_byte_by_byte(void **state)
{
	static const char text[] = "PUT /a HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
	    "\r\n";
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(rest.asked, 0);
		put(f, c, text + i, 1);
		turn(f);
	}
	drain(f, c);
	expect(c, 200, "/a");
	assert_string_equal(rest.body, "abcde");
	check_alive(f, c);
}

static void
test_pipelined_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	rest.later = true;
	put_text(f, c, "GET /1 HTTP/1.1\r\n" HOST "\r\n"
	    "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
	    "GET /3 HTTP/1.1\r\n" HOST "\r\nGET /4 HT");
	assert_int_equal(rest.asked, 1);
	rest_finish();
	drain(f, c);
	expect(c, 200, "/1");
	assert_int_equal(rest.asked, 2);
	assert_string_equal(rest.body, "abc");
	rest.later = false;
	rest_finish();
	drain(f, c);
	expect(c, 200, "/2");
	expect(c, 200, "/3");
	expect_no_more(c);
	put_text(f, c, "TP/1.1\r\n" HOST "\r\n");
	expect(c, 200, "/4");
	expect_no_more(c);
}

static void
test_many_in_one_write(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	char text[100], body[16];
	unsigned int i;

	for (i = 0; i < 500; i++) {
		(void)snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\n" HOST
		    "\r\n", i);
		put(f, c, text, strlen(text));
	}
	drain(f, c);
	for (i = 0; i < 500; i++) {
		(void)snprintf(body, sizeof(body), "/%u", i);
		expect(c, 200, body);
	}
	expect_no_more(c);
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_text(f, c, "HEAD /h HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rest.method, "GET");
	assert_non_null(strstr(c->rx, "\r\nContent-Length: 2\r\n\r\n"));
	c->pos = c->len;
	assert_string_equal(c->rx + c->len - 4, "\r\n\r\n");
	check_alive(f, c);
}

static void
test_keep_alive_and_close(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_text(f, c, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	expect(c, 200, "/1");
	assert_false(c->closed);
	put_text(f, c, "GET /2 HTTP/1.0\r\n\r\nGET /3 HTTP/1.0\r\n\r\n");
	expect(c, 200, "/2");
	expect_no_more(c);
	assert_true(c->closed);
	assert_int_equal(rest.asked, 2);

	c = dial(f, 1);
	rest.later = true;
	put_text(f, c, "GET /4 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_false(c->closed);
	rest_finish();
	drain(f, c);
	expect(c, 200, "/4");
	assert_true(c->closed);
}

static void
test_continue_is_said_when_it_is_read(void **state)
{
	static const char head[] = "POST /e HTTP/1.1\r\n" HOST
	    "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_text(f, c, head);
	expect(c, 100, NULL);
	expect_no_more(c);
	put_text(f, c, "abc");
	expect(c, 200, "/e");
	/* it came without being told to */
	put(f, c, head, sizeof(head) - 1);
	put_text(f, c, "def");
	expect(c, 200, "/e");
	expect_no_more(c);
	assert_string_equal(rest.body, "def");
	/* and not where it is refused */
	put_text(f, c, "POST /e HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
	    "Content-Length: 1048577\r\n\r\n");
	expect(c, 413, NULL);
	expect_no_more(c);
	assert_true(c->closed);
}

static void
test_large_body(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	char *text = malloc(BODY_MAX + 1);
	size_t before;

	assert_non_null(text);
	before = secret_bytes();
	memset(text, 'x', BODY_MAX + 1);
	put_text(f, c, "PUT /l HTTP/1.1\r\n" HOST
	    "Content-Length: 1048576\r\n\r\n");
	put(f, c, text, BODY_MAX);
	drain(f, c);
	expect(c, 200, "/l");
	assert_int_equal(rest.body_len, BODY_MAX);
	assert_int_equal(secret_bytes(), before);
	/* too long, and the rest of it comes all the same */
	put_text(f, c, "PUT /l HTTP/1.1\r\n" HOST
	    "Content-Length: 1048577\r\n\r\n");
	put(f, c, text, BODY_MAX + 1);
	drain(f, c);
	expect(c, 413, NULL);
	assert_true(c->closed);
	assert_int_equal(rest.asked, 1);
	/* in chunks it is seen when it is */
	c = dial(f, 1);
	put_text(f, c, "PUT /l HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n100001\r\nx");
	expect(c, 413, NULL);
	assert_true(c->closed);
	assert_int_equal(secret_bytes(), before);
	free(text);
}

static void
test_body_stays_until_the_answer(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	size_t before = secret_bytes();

	rest.later = true;
	put_text(f, c, "POST /b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n"
	    "abcGET /n HTTP/1.1\r\n" HOST "\r\n");
	assert_true(secret_bytes() > before);
	rest.later = false;
	rest_finish();
	drain(f, c);
	expect(c, 200, "/b");
	expect(c, 200, "/n");
	assert_int_equal(secret_bytes(), before);
}

/* --- refusals --- */

static void
test_refused_and_closed(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" HOST "X : y\r\n\r\n", 400 },
		{ "GET /\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\n\n", 400 },
		{ "GET / HTTP/3.0\r\n\r\n", 505 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		    "\r\nx\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		    "\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", 400 },
	};
	struct fixture *f = *state;
	struct client *c, *other = dial(f, 1);
	size_t i;

	for (i = 0; i < UNIT_COUNT(rows); i++) {
		c = dial(f, 0);
		put(f, c, rows[i].text, strlen(rows[i].text));
		put_text(f, c, "GET /hidden HTTP/1.1\r\n" HOST "\r\n");
		expect(c, rows[i].status, NULL);
		expect_no_more(c);
		assert_true(c->closed);
		assert_non_null(strstr(c->rx, "\r\nConnection: close\r\n"));
		assert_int_equal(f->metrics.bad_frames, i + 1);
	}
	assert_int_equal(rest.asked, 0);
	check_alive(f, other);
}

static void
test_refused_and_kept(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_text(f, c, "OPTIONS / HTTP/1.1\r\n" HOST "\r\n"
	    "TRACE / HTTP/1.1\r\n" HOST "\r\n"
	    "GET / HTTP/1.1\r\n" HOST "Origin: http://localhost\r\n\r\n"
	    "GET / HTTP/1.1\r\n" HOST "Expect: rain\r\n\r\n");
	expect(c, 405, NULL);
	expect(c, 501, NULL);
	expect(c, 403, "{\"error\":\"forbidden\",\"message\":"
	    "\"Web pages are not answered.\"}");
	expect(c, 417, NULL);
	assert_int_equal(rest.asked, 0);
	check_alive(f, c);
	/* with a body nobody waits for that */
	put_text(f, c, "OPTIONS / HTTP/1.1\r\n" HOST "Content-Length: 30\r\n"
	    "\r\nGET /hidden HTTP/1.1\r\n" HOST "\r\n");
	expect(c, 405, NULL);
	expect_no_more(c);
	assert_true(c->closed);
	assert_int_equal(rest.asked, 1);
}

static void
test_token(void **state)
{
	static const struct {
		const char *fields;
		int status;
	} rows[] = {
		{ HOST, 401 },
		{ HOST "X-Api-Key: " TOKEN "0\r\n", 401 },
		{ HOST "X-Api-Key: 1123456789abcdef0123456789abcdef\r\n",
		    401 },
		{ HOST "Authorization: Basic " TOKEN "\r\n", 401 },
		{ HOST "Authorization: " TOKEN "\r\n", 401 },
		{ HOST "Authorization: Bearer x" TOKEN "\r\n", 401 },
		{ HOST "X-Api-Key: " TOKEN "\r\n", 200 },
		{ HOST "Authorization: Bearer " TOKEN "\r\n", 200 },
		{ HOST "X-Api-Key: x\r\nAuthorization: BEARER " TOKEN "\r\n",
		    200 },
		{ "Host: 127.0.0.1:8200\r\nX-Api-Key: " TOKEN "\r\n", 200 },
		{ "Host: [::1]:8200\r\nX-Api-Key: " TOKEN "\r\n", 200 },
		{ "Host: localhost:8201\r\nX-Api-Key: " TOKEN "\r\n", 421 },
		{ "Host: evil.example\r\nX-Api-Key: " TOKEN "\r\n", 421 },
		{ "Host:\r\nX-Api-Key: " TOKEN "\r\n", 421 },
		{ HOST "Origin: http://evil.example\r\nX-Api-Key: " TOKEN
		    "\r\n", 403 },
		{ HOST "Sec-Fetch-Site: same-origin\r\nX-Api-Key: " TOKEN
		    "\r\n", 403 },
	};
	struct fixture *f = *state;
	struct client *c;
	unsigned int good = 0;
	char text[300];
	size_t i;

	on_loopback(f);
	c = dial(f, 0);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n",
		    rows[i].fields);
		put_text(f, c, text);
		expect(c, rows[i].status, NULL);
		good += rows[i].status == 200;
		assert_int_equal(rest.asked, good);
		assert_false(c->closed);
	}
	assert_true(peer_is_http(rest.peer));
	/* none is in force any more, for those who are connected too */
	secmem_free_bytes(&f->http.token);
	put_text(f, c, "GET / HTTP/1.1\r\n" HOST "X-Api-Key: " TOKEN "\r\n\r\n"
	    "GET / HTTP/1.1\r\n" HOST "X-Api-Key:\r\n\r\n");
	expect(c, 401, NULL);
	expect(c, 401, NULL);
	assert_int_equal(rest.asked, good);
}

/* What a share link is made of lets its holder in; a wrong token does not. */
static void
test_share_link_needs_no_token(void **state)
{
	static const struct {
		const char *line;
		const char *fields;
		int status;
	} rows[] = {
		{ "POST /api/v1/share/x", HOST, 200 },
		{ "POST /api/v1/share/x", HOST "X-Api-Key: x\r\n", 401 },
		{ "POST /api/v1/share/x", HOST "Authorization: Bearer x\r\n",
		    401 },
		{ "POST /api/v1/share/x", HOST "Origin: http://x\r\n", 403 },
		{ "POST /api/v1/share/x", "Host: evil.example\r\n", 421 },
		{ "GET /api/v1/share/x", HOST, 401 },
		{ "POST /api/v1/vault/share", HOST, 401 },
		{ "POST /api/v1/no-such", HOST, 401 },
	};
	struct fixture *f = *state;
	struct client *c;
	char text[300];
	size_t i;

	on_loopback(f);
	c = dial(f, 0);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		(void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n",
		    rows[i].line, rows[i].fields);
		put_text(f, c, text);
		expect(c, rows[i].status, NULL);
		assert_int_equal(rest.asked, 1);
	}
}

static void
test_body_without_token_is_not_read(void **state)
{
	struct fixture *f = *state;
	struct client *c;

	on_loopback(f);
	c = dial(f, 0);
	put_text(f, c, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
	    "Content-Length: 9\r\n\r\n");
	expect(c, 401, NULL);
	expect_no_more(c);
	assert_true(c->closed);
}

/* --- time and room --- */

static void
test_half_a_request_has_its_time(void **state)
{
	static const char *const halves[] = {
		"G", "GET / HTTP/1.1\r\nHost: x",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nab",
		"GET /1 HTTP/1.1\r\n" HOST "\r\nGET",
	};
	struct fixture *f = *state;
	struct client *c;
	size_t i;

	for (i = 0; i < UNIT_COUNT(halves); i++) {
		c = dial(f, 0);
		put_text(f, c, halves[i]);
		pass(f, 29000);
		receive(c);
		assert_false(c->closed);
		/* a byte more is no more time */
		put(f, c, i < 2 ? "E" : "a", i == 4 ? 0 : 1);
		pass(f, 7000);
		receive(c);
		assert_true(c->closed);
	}
}

static void
test_body_that_goes_on_has_more_time(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	char *text = calloc(1, HTTP_PROGRESS_BYTES);
	unsigned int i;

	assert_non_null(text);
	put_text(f, c, "PUT /s HTTP/1.1\r\n" HOST
	    "Content-Length: 262144\r\n\r\n");
	for (i = 0; i < 4; i++) {
		pass(f, 25000);
		put(f, c, text, HTTP_PROGRESS_BYTES);
		drain(f, c);
		assert_false(c->closed);
	}
	expect(c, 200, "/s");
	free(text);
}

static void
test_quiet_ones_are_closed(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *never = dial(f, 1);

	pass(f, HTTP_QUIET_MS - 10000);
	check_alive(f, c);
	pass(f, HTTP_QUIET_MS - 10000);
	receive(never);
	assert_true(never->closed);
	check_alive(f, c);
	/* waiting for an answer is not being quiet */
	rest.later = true;
	put_text(f, c, "GET /w HTTP/1.1\r\n" HOST "\r\n");
	pass(f, 10 * HTTP_QUIET_MS);
	receive(c);
	assert_false(c->closed);
	rest_finish();
	drain(f, c);
	expect(c, 200, "/w");
	pass(f, HTTP_QUIET_MS + 10000);
	receive(c);
	assert_true(c->closed);
}

static void
test_who_shows_no_token_is_closed_sooner(void **state)
{
	struct fixture *f = *state;
	struct client *stranger, *wrong, *known;

	on_loopback(f);
	stranger = dial(f, 0);
	wrong = dial(f, 1);
	known = dial(f, 2);
	put_text(f, wrong, "GET / HTTP/1.1\r\n" HOST
	    "X-Api-Key: x\r\n\r\n");
	expect(wrong, 401, NULL);
	put_text(f, known, "GET / HTTP/1.1\r\n" HOST "X-Api-Key: " TOKEN
	    "\r\n\r\n");
	expect(known, 200, NULL);
	pass(f, HTTP_STRANGER_MS + 5000);
	receive(stranger);
	receive(wrong);
	receive(known);
	assert_true(stranger->closed);
	assert_true(wrong->closed);
	assert_false(known->closed);
}

static void
test_who_does_not_read_is_closed(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);
	size_t before = secret_bytes();

	rest.answer_len = BODY_MAX;
	put(f, c, "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST
	    "\r\n", 2 * strlen("GET /1 HTTP/1.1\r\n" HOST "\r\n"));
	turn(f);
	assert_int_equal(rest.asked, 1);
	pass(f, HTTP_STALL_MS - 10000);
	receive(c);
	assert_false(c->closed);
	/* what it took was a beginning */
	pass(f, HTTP_STALL_MS - 10000);
	assert_int_equal(f->metrics.clients, 2);
	put_text(f, other, "GET /other HTTP/1.1\r\n" HOST "\r\n");
	expect(other, 200, NULL);
	pass(f, HTTP_STALL_MS + 10000);
	assert_int_equal(f->metrics.clients, 1);
	/* the other one, and it alone was asked for */
	assert_int_equal(rest.asked, 2);
	receive(other);
	assert_false(other->closed);
	assert_int_equal(secret_bytes(), before);
}

/* Requests under way, and answers that wait, are bounded for a user. */
static void
test_memory_of_a_user(void **state)
{
	static char body[BODY_MAX];
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);
	struct caller *caller;

	put_text(f, c, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	expect(c, 200, "/1");
	caller = rest.caller;
	/* a body counts once it is whole, until it was answered */
	rest.later = true;
	put_text(f, c, "PUT /1 HTTP/1.1\r\n" HOST
	    "Content-Length: 1048576\r\n\r\n");
	put(f, c, body, BODY_MAX);
	turn(f);
	assert_true(caller->kept_bytes >= BODY_MAX && caller->bytes < 4096);
	/* another one that would be too much is not begun */
	caller->all->bytes_max = BODY_MAX + 4096;
	put_text(f, other, "PUT /2 HTTP/1.1\r\n" HOST
	    "Content-Length: 8192\r\n\r\n");
	put(f, other, body, 8192);
	drain(f, other);
	expect(other, 503, NULL);
	assert_false(other->closed);
	assert_int_equal(rest.asked, 2);
	/* and an answer that is not read is not followed by another one */
	rest.answer_len = BODY_MAX;
	rest_finish();
	turn(f);
	assert_int_equal(caller->kept_bytes, 0);
	assert_true(caller->bytes >= BODY_MAX);
	rest.later = false;
	put_text(f, other, "GET /3 HTTP/1.1\r\n" HOST "\r\n");
	expect(other, 503, NULL);
	drain(f, c);
	expect(c, 200, NULL);
	assert_int_equal(caller->bytes, 0);
	put_text(f, other, "GET /4 HTTP/1.1\r\n" HOST "\r\n");
	expect(other, 200, NULL);
}

static void
test_who_leaves_cancels(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	rest.later = true;
	put_text(f, c, "POST /c HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n"
	    "aGET /next");
	assert_non_null(rest.pending);
	hang_up(c);
	turn(f);
	assert_int_equal(rest.cancelled, 1);
	assert_int_equal(f->metrics.clients, 0);
}

static void
test_who_shuts_down_sending_is_answered(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	rest.later = true;
	put_text(f, c, "GET /s HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	drain(f, c);
	assert_false(c->closed);
	rest_finish();
	drain(f, c);
	expect(c, 200, "/s");
	assert_true(c->closed);
}

static void
test_last_answer_may_be_read(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	char *text = calloc(1, BODY_MAX);

	assert_non_null(text);
	put_text(f, c, "bad\r\n");
	assert_true(c->closed);
	assert_int_equal(f->metrics.clients, 1);
	/* what still comes is thrown away, and does not take the answer */
	put(f, c, text, BODY_MAX);
	turn(f);
	expect(c, 400, NULL);
	pass(f, 11000);
	assert_int_equal(f->metrics.clients, 0);
	free(text);
}

static void
test_no_room(void **state)
{
	struct fixture *f = *state;
	struct client *c;
	size_t i;

	for (i = 0; i < 3; i++)
		(void)dial(f, i);
	c = dial(f, 3);
	drain(f, c);
	expect(c, 503, NULL);
	assert_non_null(strstr(c->rx, "Retry-After: 1\r\n"));
	assert_true(c->closed);
	check_alive(f, &f->clients[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_request_is_answered),
		CASE(test_byte_by_byte),
		CASE(test_pipelined_are_answered_in_order),
		CASE(test_many_in_one_write),
		CASE(test_head),
		CASE(test_keep_alive_and_close),
		CASE(test_continue_is_said_when_it_is_read),
		CASE(test_large_body),
		CASE(test_body_stays_until_the_answer),
		CASE(test_refused_and_closed),
		CASE(test_refused_and_kept),
		CASE(test_token),
		CASE(test_share_link_needs_no_token),
		CASE(test_body_without_token_is_not_read),
		CASE(test_half_a_request_has_its_time),
		CASE(test_body_that_goes_on_has_more_time),
		CASE(test_quiet_ones_are_closed),
		CASE(test_who_shows_no_token_is_closed_sooner),
		CASE(test_who_does_not_read_is_closed),
		CASE(test_memory_of_a_user),
		CASE(test_who_leaves_cancels),
		CASE(test_who_shuts_down_sending_is_answered),
		CASE(test_last_answer_may_be_read),
		CASE(test_no_room),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
