/*
 * Requests that an event loop drives: qapi_agent_fd(), _want(), _step().
 */
#include "config.h"

#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "fake_agent.h"
#include "fake_service.h"
#include "qapi-agent.h"

#define A "qapi://secrets/a"
#define B "qapi://secrets/b"
#define LONG_MS 60000

static const struct fake_value table[] = {
	{.ref = A, .value = "alpha"},
	{.ref = B, .value = "beta"},
	{.ref = "qapi://secrets/de", .error = ERR_DENIED,
	    .message = "no rule: ask"},
	{.ref = NULL},
};

static struct qapi_agent *
begin(struct fake **f, fake_script *script, void *arg, uint64_t timeout_ms)
{
	struct qapi_agent *a = qapi_agent_new();

	assert_non_null(a);
	*f = fake_start(script, arg);
	assert_int_equal(qapi_agent_set_socket(a, fake_path(*f)), 0);
	qapi_agent_set_timeout_ms(a, timeout_ms);
	return a;
}

static struct qapi_agent *
begin_table(struct fake **f)
{
	return begin(f, fake_serve_table, (void *)(uintptr_t)table, LONG_MS);
}

static void
end(struct fake **f, struct qapi_agent **a)
{
	qapi_agent_free(a);
	fake_stop(f);
}

/* One turn of the simplest loop. */
static size_t
turn(struct qapi_agent *a)
{
	struct pollfd pfd = {.fd = qapi_agent_fd(a)};
	int timeout_ms;

	assert_true(pfd.fd >= 0);
	pfd.events = qapi_agent_want(a, &timeout_ms);
	/* something is waited for, or there is something to do */
	assert_true(pfd.events != 0 || timeout_ms >= 0);
	assert_true(poll(&pfd, 1, timeout_ms) >= 0);
	return qapi_agent_step(a);
}

static void
run(struct qapi_agent *a)
{
	while (turn(a) > 0)
		continue;
}

/* --- callbacks and taking ------------------------------------------------- */

struct told {
	int calls;
	struct qapi_agent_request *last;
	int order[8];		/* of arg of each, see note() */
};

struct note {
	struct told *told;
	int number;
};

static void
note(struct qapi_agent_request *request, void *arg)
{
	struct note *n = arg;

	assert_true(qapi_agent_request_is_done(request));
	assert_in_range(n->told->calls, 0, 7);
	n->told->order[n->told->calls++] = n->number;
	n->told->last = request;
}

static void
test_get_by_callback(void **state)
{
	static const char *const refs[] = {A, "qapi://secrets/none", "bad", B};
	struct told told = {.calls = 0};
	struct note n = {&told, 1};
	struct qapi_agent_request *req = NULL;
	struct qapi_agent_items *items;
	struct qapi_agent *a;
	struct fake *f;
	int fd;

	(void)state;
	a = begin_table(&f);
	fd = qapi_agent_fd(a);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(qapi_agent_start_get(a, refs, 4, NULL, note, &n,
	    &req), 0);
	assert_false(qapi_agent_request_is_done(req));
	assert_int_equal(qapi_agent_request_error(req), 0);
	assert_null(qapi_agent_request_take_items(req));
	assert_int_equal(told.calls, 0);
	run(a);
	assert_int_equal(told.calls, 1);
	assert_ptr_equal(told.last, req);
	assert_int_equal(qapi_agent_request_error(req), 0);
	assert_string_equal(qapi_agent_request_message(req), "");
	items = qapi_agent_request_take_items(req);
	assert_non_null(items);
	assert_null(qapi_agent_request_take_items(req));
	assert_string_equal(qapi_agent_item_value(qapi_agent_items_at(items,
	    0), NULL), "alpha");
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 1)),
	    QAPI_AGENT_ERR_NOT_FOUND);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 2)),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_string_equal(qapi_agent_item_value(qapi_agent_items_at(items,
	    3), NULL), "beta");
	qapi_agent_request_free(&req);
	assert_null(req);
	/* items live on; the descriptor is still the same */
	qapi_agent_items_free(&items);
	assert_int_equal(qapi_agent_fd(a), fd);
	end(&f, &a);
}

/* One of each kind at once; all over one connection. */
static void
test_every_kind_by_taking(void **state)
{
	static const char *const one[] = {A}, *const denied[] = {
	    "qapi://secrets/de"};
	struct qapi_agent_request *r[13] = {NULL}, *req;
	struct qapi_agent_items *items;
	struct qapi_agent_stats *stats;
	struct qapi_agent_reply *reply;
	struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;
	size_t i, n = 0;
	int timeout_ms;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_start_get(a, one, 1, NULL, NULL, NULL,
	    &r[n++]), 0);
	assert_int_equal(qapi_agent_start_list(a, QAPI_AGENT_KIND_ANY, NULL,
	    NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_refresh(a, one, 1, NULL, NULL,
	    &r[n++]), 0);
	assert_int_equal(qapi_agent_start_invalidate(a, one, 1, NULL, NULL,
	    &r[n++]), 0);
	assert_int_equal(qapi_agent_start_reject(a, A, NULL, NULL, NULL,
	    &r[n++]), 0);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_status(a, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_call(a, "PUT", "/x/404", NULL, NULL,
	    NULL, "{}", 2, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_encrypt(a, "k", NULL, NULL, 0, "hi",
	    2, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_decrypt(a, NULL, NULL, 0, "P..6869",
	    7, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_sign(a, "k", NULL, "hi", 2, NULL,
	    NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_verify(a, "local", "hi", 2, "sig",
	    3, NULL, NULL, &r[n++]), 0);
	assert_int_equal(qapi_agent_start_get(a, denied, 1, NULL, NULL, NULL,
	    &r[n++]), 0);
	assert_int_equal(n, UNIT_COUNT(r));
	run(a);
	assert_int_equal(fake_connections(f), 1);
	/* they wait to be taken, and nothing else is to be done */
	assert_int_equal(qapi_agent_want(a, &timeout_ms), POLLIN);
	assert_int_equal(timeout_ms, -1);
	/* the fake answers in order, so they are done in order */
	for (i = 0; i < n; i++) {
		req = qapi_agent_next_done(a);
		assert_ptr_equal(req, r[i]);
		assert_int_equal(qapi_agent_request_error(req), i == 12
		    ? QAPI_AGENT_ERR_DENIED : 0);
	}
	assert_null(qapi_agent_next_done(a));

	item = qapi_agent_request_take_item(r[0]);
	assert_string_equal(qapi_agent_item_value(item, NULL), "alpha");
	qapi_agent_item_free(&item);
	items = qapi_agent_request_take_items(r[1]);
	assert_int_equal(qapi_agent_items_count(items), 2);
	qapi_agent_items_free(&items);
	items = qapi_agent_request_take_items(r[2]);
	assert_int_equal(qapi_agent_items_count(items), 1);
	qapi_agent_items_free(&items);
	item = qapi_agent_request_take_item(r[4]);
	assert_true(qapi_agent_item_changed(item));
	qapi_agent_item_free(&item);
	assert_null(qapi_agent_request_take_items(r[4]));
	assert_null(qapi_agent_request_take_reply(r[5]));
	stats = qapi_agent_request_take_stats(r[6]);
	assert_true(qapi_agent_stats_find(stats, "pid") >= 0);
	qapi_agent_stats_free(&stats);
	reply = qapi_agent_request_take_reply(r[7]);
	assert_int_equal(qapi_agent_reply_status(reply), 404);
	qapi_agent_reply_free(&reply);
	item = qapi_agent_request_take_item(r[8]);
	assert_string_equal(qapi_agent_item_value(item, NULL), "Pk..6869");
	qapi_agent_item_free(&item);
	assert_null(qapi_agent_request_take_item(r[8]));
	item = qapi_agent_request_take_item(r[9]);
	assert_string_equal(qapi_agent_item_value(item, NULL), "hi");
	qapi_agent_item_free(&item);
	/* what is not taken is freed with the request: r[10] */
	assert_false(qapi_agent_request_valid(r[11]));
	assert_int_equal(qapi_agent_request_by(r[11]), QAPI_AGENT_BY_AGENT);
	assert_null(qapi_agent_request_take_item(r[12]));
	assert_string_equal(qapi_agent_request_message(r[12]),
	    "no rule: ask");
	for (i = 0; i < n; i++)
		qapi_agent_request_free(&r[i]);
	end(&f, &a);
}

static void
test_wrong_arguments_are_told_at_once(void **state)
{
	struct qapi_agent_request *req = NULL;
	struct qapi_agent *a = qapi_agent_new();

	(void)state;
	assert_int_equal(qapi_agent_start_get(a, NULL, 0, NULL, NULL, NULL,
	    &req), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_start_call(a, "GET", "x", NULL, NULL, NULL,
	    NULL, 0, NULL, NULL, &req), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_non_null(strstr(qapi_agent_message(a), "path"));
	assert_null(req);
	assert_int_equal(qapi_agent_step(a), 0);
	qapi_agent_free(&a);
}

/* --- several at once, in any order ---------------------------------------- */

/* Two PINGs: the second is answered first. */
static void
script_overtake(struct fake_conn *c)
{
	struct msg_done done = {.count = 0};
	struct frame f;
	uint8_t buf[64];
	uint64_t first;
	struct wr wr;

	if (!fake_read(c, &f))
		return;
	first = f.id;
	if (!fake_read(c, &f))
		return;
	wr_init(&wr, buf, sizeof(buf));
	msg_done_encode(&wr, f.id, &done);
	fake_send_wr(c, &wr);
	wr_init(&wr, buf, sizeof(buf));
	msg_done_encode(&wr, first, &done);
	fake_send_wr(c, &wr);
	fake_drain(c);
}

static void
test_answers_may_overtake(void **state)
{
	struct told told = {.calls = 0};
	struct note n1 = {&told, 1}, n2 = {&told, 2};
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_overtake, NULL, LONG_MS);
	assert_int_equal(qapi_agent_start_ping(a, note, &n1, &r1), 0);
	assert_int_equal(qapi_agent_start_ping(a, note, &n2, &r2), 0);
	run(a);
	assert_int_equal(told.calls, 2);
	assert_int_equal(told.order[0], 2);
	assert_int_equal(told.order[1], 1);
	qapi_agent_request_free(&r1);
	qapi_agent_request_free(&r2);
	end(&f, &a);
}

enum { MANY = 2000 };

static void
test_many_at_once(void **state)
{
	static struct qapi_agent_request *r[MANY];
	static const char *const refs[] = {A};
	struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;
	size_t i;

	(void)state;
	a = begin_table(&f);
	for (i = 0; i < MANY; i++)
		assert_int_equal(qapi_agent_start_get(a, refs, 1, NULL, NULL,
		    NULL, &r[i]), 0);
	run(a);
	for (i = 0; i < MANY; i++) {
		assert_ptr_equal(qapi_agent_next_done(a), r[i]);
		item = qapi_agent_request_take_item(r[i]);
		assert_string_equal(qapi_agent_item_value(item, NULL),
		    "alpha");
		qapi_agent_item_free(&item);
		qapi_agent_request_free(&r[i]);
	}
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a);
}

/* --- callbacks that do things --------------------------------------------- */

struct chain {
	struct qapi_agent *agent;
	struct qapi_agent_request *req;
	struct qapi_agent_request *other; /* freed with the first */
	int left;
};

static void
next_in_chain(struct qapi_agent_request *request, void *arg)
{
	struct chain *chain = arg;

	assert_ptr_equal(request, chain->req);
	assert_int_equal(qapi_agent_request_error(request), 0);
	qapi_agent_request_free(&chain->req);
	qapi_agent_request_free(&chain->other);
	if (chain->left-- > 0)
		assert_int_equal(qapi_agent_start_ping(chain->agent,
		    next_in_chain, chain, &chain->req), 0);
}

static void
never(struct qapi_agent_request *request, void *arg)
{
	(void)request;
	(void)arg;
	fail_msg("the callback of a request that was freed");
}

static void
test_callback_may_start_and_free(void **state)
{
	struct chain chain = {.left = 20};
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin_table(&f);
	chain.agent = a;
	assert_int_equal(qapi_agent_start_ping(a, next_in_chain, &chain,
	    &chain.req), 0);
	/* done in the same step as the first, mostly: never told about */
	assert_int_equal(qapi_agent_start_ping(a, never, NULL, &chain.other),
	    0);
	run(a);
	assert_int_equal(chain.left, -1);
	assert_null(chain.req);
	end(&f, &a);
}

static void
test_blocking_calls_beside(void **state)
{
	struct told told = {.calls = 0};
	struct note n = {&told, 1};
	struct qapi_agent_request *req = NULL;
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;
	int timeout_ms;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_start_ping(a, note, &n, &req), 0);
	assert_int_equal(qapi_agent_get(a, A, NULL, &item), 0);
	qapi_agent_item_free(&item);
	/* it has been answered meanwhile, but nobody was called */
	assert_true(qapi_agent_request_is_done(req));
	assert_int_equal(told.calls, 0);
	(void)qapi_agent_want(a, &timeout_ms);
	assert_int_equal(timeout_ms, 0);
	assert_int_equal(turn(a), 0);
	assert_int_equal(told.calls, 1);
	qapi_agent_request_free(&req);
	end(&f, &a);
}

/*
 * The first connection serves one request.  The second is asked PING and GET,
 * answers GET, and PING when it is told to.
 */
static void
script_ping_last(struct fake_conn *c)
{
	struct msg_done done = {.count = 0};
	struct timespec pause = {0, 1000000};
	atomic_int *go = c->arg;
	uint8_t buf[64];
	struct frame f;
	uint64_t ping;
	struct wr wr;

	if (!fake_read(c, &f))
		return;
	if (c->nth == 0) {
		fake_send_value(c, f.id, 0, false, "v", 1);
		return;
	}
	assert_int_equal(f.type, FRAME_PING);
	ping = f.id;
	if (!fake_read(c, &f))
		return;
	fake_send_value(c, f.id, 0, false, "v", 1);
	while (atomic_load(go) == 0)
		(void)nanosleep(&pause, NULL);
	wr_init(&wr, buf, sizeof(buf));
	msg_done_encode(&wr, ping, &done);
	fake_send_wr(c, &wr);
	fake_drain(c);
}

/* The loop waits with what it was told before a call that connects anew. */
static void
test_blocking_call_that_connects_anew_is_watched(void **state)
{
	struct qapi_agent_request *req = NULL;
	struct qapi_agent_item *item = NULL;
	struct pollfd pfd = {.events = POLLIN};
	atomic_int go = 0;
	struct qapi_agent *a;
	struct fake *f;
	int timeout_ms;

	(void)state;
	a = begin(&f, script_ping_last, &go, LONG_MS);
	pfd.fd = qapi_agent_fd(a);
	assert_int_equal(qapi_agent_get(a, A, NULL, &item), 0);
	qapi_agent_item_free(&item);
	fake_wait_closed(f, 1);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &req), 0);
	(void)qapi_agent_want(a, &timeout_ms);
	assert_int_equal(qapi_agent_get(a, A, NULL, &item), 0);
	qapi_agent_item_free(&item);
	assert_int_equal(fake_connections(f), 2);
	assert_false(qapi_agent_request_is_done(req));
	atomic_store(&go, 1);
	assert_int_equal(poll(&pfd, 1, LONG_MS), 1);
	assert_int_equal(qapi_agent_step(a), 0);
	assert_true(qapi_agent_request_is_done(req));
	qapi_agent_request_free(&req);
	end(&f, &a);
}

/* --- cancelling ----------------------------------------------------------- */

/* Answers the second request only; arg is set when the client hangs up. */
static void
script_second(struct fake_conn *c)
{
	struct msg_done done = {.count = 0};
	atomic_int *hung_up = c->arg;
	struct frame f;
	uint8_t buf[64];
	struct wr wr;

	if (!fake_read(c, &f) || !fake_read(c, &f))
		return;
	wr_init(&wr, buf, sizeof(buf));
	msg_done_encode(&wr, f.id, &done);
	fake_send_wr(c, &wr);
	if (!fake_read(c, &f))
		atomic_store(hung_up, 1);
}

static void
test_cancel(void **state)
{
	struct told told = {.calls = 0};
	struct note n = {&told, 2};
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	atomic_int hung_up = 0;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_second, &hung_up, LONG_MS);
	assert_int_equal(qapi_agent_start_ping(a, never, NULL, &r1), 0);
	assert_int_equal(qapi_agent_start_ping(a, note, &n, &r2), 0);
	while (told.calls == 0)
		(void)turn(a);
	/* one that nobody answers: the connection ends with the last */
	assert_int_equal(qapi_agent_step(a), 1);
	qapi_agent_request_free(&r1);
	assert_int_equal(qapi_agent_step(a), 0);
	fake_wait_closed(f, 1);
	assert_int_equal(atomic_load(&hung_up), 1);
	qapi_agent_request_free(&r2);
	/* before anything was sent */
	assert_int_equal(qapi_agent_start_ping(a, never, NULL, &r1), 0);
	qapi_agent_request_free(&r1);
	assert_int_equal(qapi_agent_step(a), 0);
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a);
}

static void
test_requests_outlive_their_handle(void **state)
{
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_start_ping(a, never, NULL, &r1), 0);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r2), 0);
	qapi_agent_free(&a);
	assert_true(qapi_agent_request_is_done(r1));
	assert_int_equal(qapi_agent_request_error(r2), QAPI_AGENT_ERR_CLOSED);
	qapi_agent_request_free(&r1);
	qapi_agent_request_free(&r2);
	fake_stop(&f);
}

/* --- time ----------------------------------------------------------------- */

static void
script_silent(struct fake_conn *c)
{
	fake_drain(c);
}

static void
test_each_has_its_own_time(void **state)
{
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	struct qapi_agent *a;
	struct fake *f;
	int timeout_ms;

	(void)state;
	a = begin(&f, script_silent, NULL, LONG_MS);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r1), 0);
	qapi_agent_set_timeout_ms(a, 50);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r2), 0);
	while (turn(a) > 1)
		continue;
	assert_ptr_equal(qapi_agent_next_done(a), r2);
	assert_int_equal(qapi_agent_request_error(r2), QAPI_AGENT_ERR_TIMEOUT);
	assert_non_null(strstr(qapi_agent_request_message(r2), "50ms"));
	assert_false(qapi_agent_request_is_done(r1));
	/* the other goes on, over the same connection */
	assert_int_equal(qapi_agent_want(a, &timeout_ms), POLLIN);
	assert_in_range(timeout_ms, 1, LONG_MS + 250);
	assert_int_equal(fake_connections(f), 1);
	qapi_agent_request_free(&r1);
	qapi_agent_request_free(&r2);
	end(&f, &a);
}

/* A socket that nobody accepts from, its backlog full: connect(2) would block. */
static void
test_connecting_does_not_block(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/qapi-full.XXXXXX";
	struct qapi_agent *a = qapi_agent_new();
	struct qapi_agent_request *req = NULL;
	struct msg_done done = {.count = 0};
	int fd, filler = -1, conn, i, timeout_ms;
	uint8_t buf[256];
	struct frame frame;
	struct wr wr;
	ssize_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (i = 0; i < 2; i++) {
		if (filler != -1)
			(void)close(filler);
		filler = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(filler, (struct sockaddr *)&sun, sizeof(sun)) ==
		    -1)
			break;
	}
	assert_int_equal(qapi_agent_set_socket(a, sun.sun_path), 0);
	qapi_agent_set_timeout_ms(a, LONG_MS);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &req), 0);
	/* comes back, with a time to try again */
	assert_int_equal(qapi_agent_step(a), 1);
	assert_int_equal(qapi_agent_want(a, &timeout_ms), 0);
	assert_in_range(timeout_ms, 0, 1000);
	for (i = 0; i < 5; i++)
		assert_int_equal(turn(a), 1);
	/* room at last: what filled the backlog ends at once */
	(void)close(accept(fd, NULL, NULL));
	while (qapi_agent_want(a, &timeout_ms) == 0)
		(void)turn(a);
	do {
		conn = accept(fd, NULL, NULL);
		assert_true(conn >= 0);
		n = recv(conn, buf, sizeof(buf), 0);
		if (n <= 0)
			(void)close(conn);
	} while (n <= 0);
	assert_int_equal(frame_cut(buf, (size_t)n, FRAME_REQUEST_MAX, &frame),
	    0);
	assert_int_equal(frame.type, FRAME_HELLO);
	assert_int_equal(frame_cut(buf + frame.total, (size_t)n - frame.total,
	    FRAME_REQUEST_MAX, &frame), 0);
	assert_int_equal(frame.type, FRAME_PING);
	wr_init(&wr, buf, sizeof(buf));
	msg_done_encode(&wr, frame.id, &done);
	assert_int_equal(send(conn, wr.p, wr.len, 0), wr.len);
	run(a);
	assert_int_equal(qapi_agent_request_error(req), 0);
	qapi_agent_request_free(&req);
	qapi_agent_free(&a);
	(void)close(conn);
	(void)close(filler);
	(void)close(fd);
	(void)unlink(sun.sun_path);
	(void)rmdir(dir);
}

/* --- connections that break ----------------------------------------------- */

/* The first connection answers one request of each client, and hangs up. */
static void
script_one(struct fake_conn *c)
{
	if (c->nth == 0)
		c->frames_max = 1;
	fake_serve_table(c);
}

static void
test_what_can_be_repeated_is(void **state)
{
	static const char *const refs[] = {A};
	struct qapi_agent_request *r[4] = {NULL};
	struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;
	size_t i;
	int fd;

	(void)state;
	a = begin(&f, script_one, (void *)(uintptr_t)table, LONG_MS);
	fd = qapi_agent_fd(a);
	for (i = 0; i < 3; i++)
		assert_int_equal(qapi_agent_start_get(a, refs, 1, NULL, NULL,
		    NULL, &r[i]), 0);
	assert_int_equal(qapi_agent_start_call(a, "POST", "/x", NULL, NULL,
	    NULL, NULL, 0, NULL, NULL, &r[3]), 0);
	run(a);
	for (i = 0; i < 3; i++) {
		item = qapi_agent_request_take_item(r[i]);
		assert_string_equal(qapi_agent_item_value(item, NULL),
		    "alpha");
		qapi_agent_item_free(&item);
	}
	/* whether it was done nobody knows, so it is not done again */
	assert_int_equal(qapi_agent_request_error(r[3]),
	    QAPI_AGENT_ERR_CLOSED);
	assert_non_null(strstr(qapi_agent_request_message(r[3]),
	    "not known"));
	assert_int_equal(fake_connections(f), 2);
	/* the same descriptor watches the new connection */
	assert_int_equal(qapi_agent_fd(a), fd);
	for (i = 0; i < 4; i++)
		qapi_agent_request_free(&r[i]);
	end(&f, &a);
}

static void
test_unreachable(void **state)
{
	struct told told = {.calls = 0};
	struct note n1 = {&told, 1}, n2 = {&told, 2};
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	struct qapi_agent *a = qapi_agent_new();

	(void)state;
	assert_int_equal(qapi_agent_set_socket(a, "/nonexistent/s"), 0);
	assert_int_equal(qapi_agent_start_ping(a, note, &n1, &r1), 0);
	assert_int_equal(qapi_agent_start_ping(a, note, &n2, &r2), 0);
	run(a);
	assert_int_equal(told.calls, 2);
	assert_int_equal(qapi_agent_request_error(r1),
	    QAPI_AGENT_ERR_UNREACHABLE);
	assert_non_null(strstr(qapi_agent_request_message(r2),
	    "/nonexistent/s"));
	qapi_agent_request_free(&r1);
	qapi_agent_request_free(&r2);
	qapi_agent_free(&a);
}

/* An answer that makes no sense to the first, and then nothing. */
static void
script_nonsense(struct fake_conn *c)
{
	struct frame f;

	if (c->nth > 0) {
		fake_serve_table(c);
		return;
	}
	if (fake_read(c, &f))
		fake_send_called(c, f.id, 200, NULL, "x", 1);
	fake_drain(c);
}

static void
test_nonsense_costs_one_request(void **state)
{
	struct qapi_agent_request *r1 = NULL, *r2 = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_nonsense, (void *)(uintptr_t)table, LONG_MS);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r1), 0);
	assert_int_equal(qapi_agent_start_ping(a, NULL, NULL, &r2), 0);
	run(a);
	assert_int_equal(qapi_agent_request_error(r1),
	    QAPI_AGENT_ERR_INTERNAL);
	assert_int_equal(qapi_agent_request_error(r2), 0);
	assert_int_equal(fake_connections(f), 2);
	qapi_agent_request_free(&r1);
	qapi_agent_request_free(&r2);
	end(&f, &a);
}

/* --- watch ---------------------------------------------------------------- */

static int
watch_turn(struct qapi_agent_watch *w, size_t *i, enum qapi_agent_reason *why)
{
	struct pollfd pfd = {.fd = qapi_agent_watch_fd(w)};
	int timeout_ms, r;

	while ((r = qapi_agent_watch_take(w, i, why)) ==
	    QAPI_AGENT_ERR_TIMEOUT) {
		pfd.events = qapi_agent_watch_want(w, &timeout_ms);
		assert_true(pfd.events != 0 || timeout_ms >= 0);
		(void)poll(&pfd, 1, timeout_ms);
		qapi_agent_watch_step(w);
	}
	return r;
}

static void
test_watch_by_steps(void **state)
{
	static const char *const refs[] = {A, "qapi://secrets/none", "bad"};
	struct qapi_agent_watch *w = NULL;
	enum qapi_agent_reason why = 0;
	struct qapi_agent *a;
	struct fake *f;
	size_t i = 9;
	int n;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_watch_start(a, refs, NULL, 3, &w), 0);
	assert_true(qapi_agent_watch_has_ended(w, 2));
	/* the fake tells of one change a connection, and hangs up */
	assert_int_equal(watch_turn(w, &i, &why), 0);
	assert_int_equal(i, 1);
	assert_int_equal(why, QAPI_AGENT_REASON_ENDED);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(
	    qapi_agent_watch_items(w), 1)), QAPI_AGENT_ERR_NOT_FOUND);
	for (n = 0; n < 3; n++) {
		assert_int_equal(watch_turn(w, &i, &why), 0);
		assert_int_equal(i, 0);
		assert_int_equal(why, QAPI_AGENT_REASON_CHANGED);
	}
	assert_true(fake_connections(f) >= 3);
	qapi_agent_watch_free(&w);
	/* nothing to watch: the error of the first */
	assert_int_equal(qapi_agent_watch_start(a, refs + 1, NULL, 1, &w), 0);
	assert_int_equal(watch_turn(w, &i, &why), 0);
	assert_int_equal(why, QAPI_AGENT_REASON_ENDED);
	assert_int_equal(watch_turn(w, &i, &why), QAPI_AGENT_ERR_NOT_FOUND);
	qapi_agent_watch_free(&w);
	assert_int_equal(qapi_agent_watch_start(a, refs, NULL, 0, &w),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	end(&f, &a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_by_callback),
		cmocka_unit_test(test_every_kind_by_taking),
		cmocka_unit_test(test_wrong_arguments_are_told_at_once),
		cmocka_unit_test(test_answers_may_overtake),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_callback_may_start_and_free),
		cmocka_unit_test(test_blocking_calls_beside),
		cmocka_unit_test(
		    test_blocking_call_that_connects_anew_is_watched),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_requests_outlive_their_handle),
		cmocka_unit_test(test_each_has_its_own_time),
		cmocka_unit_test(test_connecting_does_not_block),
		cmocka_unit_test(test_what_can_be_repeated_is),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_nonsense_costs_one_request),
		cmocka_unit_test(test_watch_by_steps),
	};

	(void)alarm(600);	/* what blocks after all would block for ever */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
