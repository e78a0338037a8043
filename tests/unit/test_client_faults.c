#include "config.h"

#include "unit.h"

#include <poll.h>

#include "fake_agent.h"
#include "qapi-agent.h"

#define REF "qapi://secrets/a"

/*
 * The linker leads allocations here (--wrap).  Those of the fake agent's
 * thread never fail.
 */
static _Thread_local long left = -1;	/* until they fail; -1: none does */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static bool
fails(void)
{
	if (left > 0)
		left--;
	if (left == 0)
		errno = ENOMEM;
	return left == 0;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *
__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/* The fake serves one connection at a time: that of a is closed here. */
static int
scenario_of_watch_and_drill(struct qapi_agent *a)
{
	static const char *const refs[] = {REF, "qapi://secrets/none", "bad"};
	struct qapi_agent_watch *watch = NULL;
	struct qapi_agent_drill *drill = NULL;
	enum qapi_agent_reason reason;
	char path[128];
	size_t i;
	int r, n;

	(void)snprintf(path, sizeof(path), "%s", qapi_agent_socket(a));
	if ((r = qapi_agent_set_socket(a, path)) != 0 ||
	    (r = qapi_agent_watch(a, refs, NULL, 3, &watch)) != 0)
		goto out;
	/* the agent hangs up after each: over three connections */
	for (n = 0; n < 3 && r == 0; n++)
		r = qapi_agent_watch_next(watch, 10000, &i, &reason);
	if (r == 0)
		r = qapi_agent_item_error(qapi_agent_items_at(
		    qapi_agent_watch_items(watch), 0));
	qapi_agent_watch_free(&watch);
	if (r != 0 ||
	    (r = qapi_agent_drill_offline(a, 2000, &drill)) != 0)
		goto out;
	qapi_agent_drill_end(drill);
	r = qapi_agent_drill_wait(drill, 10000);
	qapi_agent_drill_free(&drill);
out:
	assert_null(watch);
	assert_null(drill);
	return r;
}

static int
discard(void *arg, const void *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
	return 0;
}

/* Seal, and open what never is one; on connections of their own. */
static int
scenario_of_streams(struct qapi_agent *a)
{
	static const char data[200000];
	struct qapi_agent_stream *stream = NULL;
	char path[128];
	int r;

	(void)snprintf(path, sizeof(path), "%s", qapi_agent_socket(a));
	if ((r = qapi_agent_set_socket(a, path)) != 0 ||
	    (r = qapi_agent_seal(a, "k", "aad", 3, discard, NULL, &stream)) !=
	    0)
		return r;
	r = qapi_agent_stream_write(stream, data, sizeof(data));
	if (r == 0)
		r = qapi_agent_stream_end(stream);
	qapi_agent_stream_free(&stream);
	if (r != 0 ||
	    (r = qapi_agent_open(a, "aad", 3, discard, NULL, &stream)) != 0)
		return r;
	assert_int_equal(qapi_agent_stream_write(stream, "no envelope", 11),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	qapi_agent_stream_free(&stream);
	return 0;
}

static int
scenario_of_the_service(struct qapi_agent *a)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent_item *item = NULL;
	bool valid;
	int r;

	if ((r = qapi_agent_call(a, "PUT", "/x", REF, NULL, NULL, "{}", 2,
	    &reply)) != 0)
		return r;
	qapi_agent_reply_free(&reply);
	if ((r = qapi_agent_encrypt(a, "k", NULL, NULL, 0, "x", 1, &item)) !=
	    0)
		return r;
	qapi_agent_item_free(&item);
	return qapi_agent_verify(a, "k", "x", 1, "s", 1, &valid, NULL);
}

/* Several requests, driven to their end; the first error of any. */
static int
scenario_of_requests(struct qapi_agent *a)
{
	static const char *const refs[] = {REF, "bad"};
	struct qapi_agent_request *req[3] = {NULL};
	struct qapi_agent_items *items;
	struct pollfd pfd = {.fd = qapi_agent_fd(a)};
	int r, timeout_ms;
	size_t i;

	if ((r = qapi_agent_start_get(a, refs, 2, NULL, NULL, NULL,
	    &req[0])) != 0 ||
	    (r = qapi_agent_start_call(a, "POST", "/x", NULL, NULL, NULL,
	    "body", 4, NULL, NULL, &req[1])) != 0 ||
	    (r = qapi_agent_start_sign(a, "k", NULL, "x", 1, NULL, NULL,
	    &req[2])) != 0)
		goto out;
	do {
		pfd.events = qapi_agent_want(a, &timeout_ms);
		(void)poll(&pfd, 1, timeout_ms);
	} while (qapi_agent_step(a) > 0);
	for (i = 0; i < 3 && r == 0; i++)
		r = qapi_agent_request_error(req[i]);
	items = qapi_agent_request_take_items(req[0]);
	if (items != NULL && r == 0)
		r = qapi_agent_item_error(qapi_agent_items_at(items, 0));
	qapi_agent_items_free(&items);
out:
	for (i = 0; i < 3; i++)
		qapi_agent_request_free(&req[i]);
	return r;
}

/* Everything the library does; 0, or the first error. */
static int
scenario(const char *path)
{
	static const char *const refs[] = {REF, "qapi://secrets/none", "bad"};
	struct qapi_agent *a = qapi_agent_new();
	struct qapi_agent_terms *terms = qapi_agent_terms_new();
	struct qapi_agent_item *item = NULL;
	struct qapi_agent_items *items = NULL;
	struct qapi_agent_stats *stats = NULL;
	struct qapi_agent_explanation *explanation = NULL;
	char *text = NULL;
	int r = QAPI_AGENT_ERR_NOMEM;

	if (a == NULL || terms == NULL)
		goto out;
	if ((r = qapi_agent_set_socket(a, path)) != 0 ||
	    (r = qapi_agent_set_program(a, "test 1")) != 0 ||
	    (r = qapi_agent_get(a, REF, terms, &item)) != 0)
		goto out;
	qapi_agent_item_free(&item);
	if ((r = qapi_agent_get_many(a, refs, 3, terms, &items)) != 0)
		goto out;
	r = qapi_agent_item_error(qapi_agent_items_at(items, 0));
	qapi_agent_items_free(&items);
	if (r != 0 ||
	    (r = qapi_agent_list(a, QAPI_AGENT_KIND_ANY, NULL, &items)) != 0)
		goto out;
	qapi_agent_items_free(&items);
	if ((r = qapi_agent_status(a, &stats)) != 0)
		goto out;
	qapi_agent_stats_free(&stats);
	if ((r = qapi_agent_refresh(a, refs, 1, &items)) != 0)
		goto out;
	qapi_agent_items_free(&items);
	if ((r = qapi_agent_ping(a)) != 0 ||
	    (r = qapi_agent_reject(a, REF, NULL, &item)) != 0)
		goto out;
	qapi_agent_item_free(&item);
	if ((r = qapi_agent_explain(a, REF, "me", &explanation)) != 0)
		goto out;
	qapi_agent_explanation_free(&explanation);
	if ((r = qapi_agent_metrics(a, true, &text, NULL)) != 0)
		goto out;
	qapi_agent_text_free(&text);
	if ((r = scenario_of_the_service(a)) != 0 ||
	    (r = scenario_of_requests(a)) != 0 ||
	    (r = scenario_of_streams(a)) != 0)
		goto out;
	r = scenario_of_watch_and_drill(a);
out:
	/* on failure nothing was handed out */
	assert_null(item);
	assert_null(items);
	assert_null(stats);
	assert_null(explanation);
	assert_null(text);
	qapi_agent_terms_free(&terms);
	qapi_agent_free(&a);
	return r;
}

static void
test_each_allocation_may_fail(void **state)
{
	static const struct fake_value table[] = {
		{.ref = REF, .value = "alpha"},
		{.ref = NULL},
	};
	struct fake *f = fake_start(fake_serve_table,
	    (void *)(uintptr_t)table);
	long n;
	int r = -1;

	(void)state;
	for (n = 1; r != 0 && n < 1000; n++) {
		left = n;
		r = scenario(fake_path(f));
		/* one that failed has been noticed, unless it did not matter */
		if (r != 0)
			assert_int_equal(r, QAPI_AGENT_ERR_NOMEM);
		else if (left == 0)
			r = -1;
		left = -1;
	}
	assert_in_range(n, 20, 999);
	fake_stop(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
