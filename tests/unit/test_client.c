#include "config.h"

#include "unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "fake_agent.h"
#include "qapi-agent.h"

#define REF "qapi://secrets/db/password"

/* A handle for a fake with this script. */
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

static void
end(struct fake **f, struct qapi_agent **a)
{
	qapi_agent_free(a);
	assert_null(*a);
	fake_stop(f);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- one value ----------------------------------------------------------- */

static void
script_nul(struct fake_conn *c)
{
	struct frame f;

	fake_send_hello(c, 1, "qapi-agentd 0.1.0");
	while (fake_read(c, &f))
		fake_send_value(c, f.id, 0, false, "a\0b", 3);
}

static void
test_get_has_value_and_meta(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;
	const char *value;
	size_t len = 0;

	(void)state;
	a = begin(&f, script_nul, NULL, 5000);
	assert_string_equal(qapi_agent_build(a), "");
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	value = qapi_agent_item_value(item, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(value, "a\0b\0", 4);
	assert_string_equal(qapi_agent_item_ref(item), REF);
	assert_string_equal(qapi_agent_item_id(item), "sec_1");
	assert_string_equal(qapi_agent_item_name(item), "db/password");
	assert_int_equal(qapi_agent_item_kind(item), QAPI_AGENT_KIND_SECRET);
	assert_int_equal(qapi_agent_item_version(item), 3);
	assert_int_equal(qapi_agent_item_freshness(item), QAPI_AGENT_FRESH);
	assert_int_equal(qapi_agent_item_age_ms(item), 1500);
	assert_true(qapi_agent_item_updated_at_ms(item) ==
	    INT64_C(1778241600000));
	assert_true(qapi_agent_item_expires_at_ms(item) == QAPI_AGENT_NO_TIME);
	assert_int_equal(qapi_agent_item_content(item),
	    QAPI_AGENT_CONTENT_TEXT);
	assert_string_equal(qapi_agent_build(a), "qapi-agentd 0.1.0");
	assert_int_equal(qapi_agent_protocol(a), 1);
	assert_string_equal(qapi_agent_message(a), "");
	qapi_agent_item_free(&item);
	assert_null(item);
	/* the same connection again */
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	assert_int_equal(fake_connections(f), 1);
	qapi_agent_item_free(&item);
	end(&f, &a);
}

/* Everything that is not ours: fields, flags, frames, ids; byte by byte. */
static void
script_odd(struct fake_conn *c)
{
	static const uint8_t unknown[] = {0x10, 0x00, 0, 0, 0, 2, 'x', 'y'};
	static uint8_t buf[MSG_RESULT_HEAD_MAX + 64];
	struct msg_result m = {.content = MSG_CONTENT_TEXT};
	struct frame f;
	struct wr wr;
	size_t i, start;

	fake_send_hello(c, 7, "qapi-agentd 9.9");
	if (!fake_read(c, &f))
		return;
	wr_init(&wr, buf, sizeof(buf));
	/* a frame of a later protocol, and an answer nobody asked for */
	start = frame_begin(&wr, 0x8f, 0, 0);
	frame_end(&wr, start, 0);
	start = frame_begin(&wr, FRAME_DONE, 0, f.id + 100);
	frame_end(&wr, start, 0);
	/* the answer, with a flag and a field that are not known */
	msg_meta_init(&m.meta);
	m.value.p = (const uint8_t *)"odd";
	m.value.len = 3;
	start = wr.len;
	msg_result_encode(&wr, 0x0010, f.id, &m, false);
	wr_bytes(&wr, unknown, sizeof(unknown));
	wr_patch_u32(&wr, start, (uint32_t)(wr.len - start - FRAME_HEADER_LEN));
	for (i = 0; i < wr.len; i++)
		fake_send(c, wr.p + i, 1);
	fake_drain(c);
}

static void
test_get_skips_what_it_does_not_know(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_odd, NULL, 5000);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	assert_string_equal(qapi_agent_item_value(item, NULL), "odd");
	assert_int_equal(qapi_agent_protocol(a), 7);
	qapi_agent_item_free(&item);
	end(&f, &a);
}

static void
test_get_errors_have_message(void **state)
{
	static const struct fake_value table[] = {
		{.ref = REF, .error = ERR_DENIED, .message = "no rule: ask"},
		{.ref = NULL},
	};
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, fake_serve_table, (void *)(uintptr_t)table, 5000);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_message(a), "no rule: ask");
	assert_null(item);
	assert_int_equal(qapi_agent_get(a, "qapi://secrets/", NULL, &item),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_true(strlen(qapi_agent_message(a)) > 0);
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a);
}

/* --- many ---------------------------------------------------------------- */

/* Values are the references; the last reference is answered first. */
static void
script_backwards(struct fake_conn *c)
{
	struct frame f;
	struct msg_refs refs;
	static struct view v[MSG_REFS_MAX];
	uint16_t i;

	while (fake_read(c, &f)) {
		if (msg_refs_decode(f.body, &refs) != 0)
			return;
		for (i = 0; msg_refs_next(&refs, &v[i]); i++)
			continue;
		for (; i > 0; i--)
			fake_send_value(c, f.id, (uint16_t)(i - 1), i > 1,
			    v[i - 1].p, v[i - 1].len);
	}
}

static void
test_get_many_keeps_order_and_splits(void **state)
{
	enum { N = 600 };
	static char texts[N][40];
	static const char *refs[N];
	struct qapi_agent_items *items = NULL;
	const struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;
	size_t i;

	(void)state;
	for (i = 0; i < N; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]),
		    "qapi://secrets/s%zu", i);
		refs[i] = texts[i];
	}
	refs[300] = "qapi://nothing/x";
	a = begin(&f, script_backwards, NULL, 5000);
	assert_int_equal(qapi_agent_get_many(a, refs, N, NULL, &items), 0);
	assert_int_equal(qapi_agent_items_count(items), N);
	for (i = 0; i < N; i++) {
		item = qapi_agent_items_at(items, i);
		assert_string_equal(qapi_agent_item_ref(item), refs[i]);
		if (i == 300) {
			assert_int_equal(qapi_agent_item_error(item),
			    QAPI_AGENT_ERR_BAD_REQUEST);
			assert_null(qapi_agent_item_value(item, NULL));
			continue;
		}
		assert_int_equal(qapi_agent_item_error(item), 0);
		assert_string_equal(qapi_agent_item_value(item, NULL),
		    refs[i]);
	}
	assert_null(qapi_agent_items_at(items, N));
	assert_int_equal(fake_connections(f), 1);
	qapi_agent_items_free(&items);
	assert_int_equal(qapi_agent_get_many(a, refs, 0, NULL, &items),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	end(&f, &a);
}

/* Answers index 1 and falls silent, or hangs up. */
static void
script_half(struct fake_conn *c)
{
	struct frame f;

	if (!fake_read(c, &f))
		return;
	fake_send_value(c, f.id, 1, true, "one", 3);
	if (c->arg == NULL)
		fake_drain(c);
}

static void
test_get_many_gives_what_came_in_time(void **state)
{
	const char *refs[] = {REF "0", REF "1"};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent *a;
	struct fake *f;
	uint64_t start_ms;

	(void)state;
	a = begin(&f, script_half, NULL, 100);
	start_ms = now_ms();
	assert_int_equal(qapi_agent_get_many(a, refs, 2, NULL, &items), 0);
	assert_in_range(now_ms() - start_ms, 340, 2000);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_TIMEOUT);
	assert_non_null(strstr(
	    qapi_agent_item_message(qapi_agent_items_at(items, 0)), "100ms"));
	assert_string_equal(
	    qapi_agent_item_value(qapi_agent_items_at(items, 1), NULL), "one");
	qapi_agent_items_free(&items);
	end(&f, &a);
}

static void
test_get_many_closed_twice(void **state)
{
	const char *refs[] = {REF "0", REF "1"};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_half, &f, 5000);
	assert_int_equal(qapi_agent_get_many(a, refs, 2, NULL, &items), 0);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 1)),
	    0);
	assert_int_equal(fake_connections(f), 2);
	qapi_agent_items_free(&items);
	end(&f, &a);
}

/* Says that it is done when it is not. */
static void
script_leaves_out(struct fake_conn *c)
{
	struct frame f;

	if (fake_read(c, &f))
		fake_send_value(c, f.id, 1, false, "one", 3);
	fake_drain(c);
}

static void
test_get_many_left_out_is_internal(void **state)
{
	const char *refs[] = {REF "0", REF "1"};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_leaves_out, NULL, 5000);
	assert_int_equal(qapi_agent_get_many(a, refs, 2, NULL, &items), 0);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_INTERNAL);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 1)),
	    0);
	qapi_agent_items_free(&items);
	end(&f, &a);
}

/* --- what can go wrong --------------------------------------------------- */

/* A connection that serves one request, as before a restart. */
static void
script_one(struct fake_conn *c)
{
	struct frame f;

	if (fake_read(c, &f))
		fake_send_value(c, f.id, 0, false, "v", 1);
}

static void
test_restart_is_not_noticed(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;
	int i;

	(void)state;
	a = begin(&f, script_one, NULL, 5000);
	for (i = 0; i < 5; i++) {
		assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
		qapi_agent_item_free(&item);
	}
	assert_int_equal(fake_connections(f), 5);
	end(&f, &a);
}

/* On a connection that was in use, what the agent said before it went. */
static void
script_goodbye(struct fake_conn *c)
{
	struct frame f;

	if (!fake_read(c, &f))
		return;
	fake_send_value(c, f.id, 0, false, "v", 1);
	fake_send_error(c, 0, ERR_BUSY, "idle for too long: connect again");
}

static void
test_goodbye_is_not_noticed(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_goodbye, NULL, 5000);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	qapi_agent_item_free(&item);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	qapi_agent_item_free(&item);
	assert_int_equal(fake_connections(f), 2);
	end(&f, &a);
}

static void
script_refuse(struct fake_conn *c)
{
	fake_send_error(c, 0, ERR_BUSY, "too many connections: wait");
}

static void
script_refuse_request(struct fake_conn *c)
{
	struct frame f;

	while (fake_read(c, &f))
		fake_send_error(c, f.id, ERR_BUSY, "too many requests: wait");
}

static void
test_error_of_connection_and_request(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_refuse, NULL, 5000);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item),
	    QAPI_AGENT_ERR_BUSY);
	assert_string_equal(qapi_agent_message(a),
	    "too many connections: wait");
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_BUSY);
	assert_int_equal(fake_connections(f), 2);
	end(&f, &a);

	a = begin(&f, script_refuse_request, NULL, 5000);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item),
	    QAPI_AGENT_ERR_BUSY);
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_BUSY);
	assert_string_equal(qapi_agent_message(a), "too many requests: wait");
	end(&f, &a);
}

static void
script_silent(struct fake_conn *c)
{
	fake_drain(c);
}

/* Bytes that never make up a frame, faster than anybody waits. */
static void
script_drip(struct fake_conn *c)
{
	static const uint8_t head[FRAME_HEADER_LEN] = {0, 1, 0, 0, 1,
	    FRAME_RESULT};
	struct timespec pause = {0, 20000000};
	int i;

	fake_send(c, head, sizeof(head));
	for (i = 0; i < 100; i++) {
		if (send(c->fd, "x", 1, MSG_NOSIGNAL) != 1)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

/* Whole frames without end, none of them ours. */
static void
script_flood(struct fake_conn *c)
{
	uint8_t buf[64];
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	frame_end(&wr, frame_begin(&wr, 0x8e, 0, 77777), 0);
	while (send(c->fd, wr.p, wr.len, MSG_NOSIGNAL) > 0)
		continue;
}

static void
check_timeout(fake_script *script)
{
	struct qapi_agent *a;
	struct fake *f;
	uint64_t start_ms;

	a = begin(&f, script, NULL, 100);
	start_ms = now_ms();
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_TIMEOUT);
	assert_in_range(now_ms() - start_ms, 340, 2000);
	assert_non_null(strstr(qapi_agent_message(a), "100ms"));
	end(&f, &a);
}

static void
test_timeout_is_kept(void **state)
{
	(void)state;
	check_timeout(script_silent);
	check_timeout(script_drip);
	check_timeout(script_flood);
}

/* A socket whose backlog is full and that nobody accepts from. */
static void
test_timeout_of_connect(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/qapi-full.XXXXXX";
	struct qapi_agent *a = qapi_agent_new();
	uint64_t start_ms;
	int fd, filler, i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	filler = -1;
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
	qapi_agent_set_timeout_ms(a, 100);
	start_ms = now_ms();
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_TIMEOUT);
	assert_in_range(now_ms() - start_ms, 90, 2000);
	qapi_agent_free(&a);
	(void)close(filler);
	(void)close(fd);
	(void)unlink(sun.sun_path);
	(void)rmdir(dir);
}

/* Raw bytes of arg come back for every request. */
struct raw {
	const uint8_t *p;
	size_t len;
};

static void
script_raw(struct fake_conn *c)
{
	const struct raw *raw = c->arg;
	struct frame f;

	if (fake_read(c, &f))
		fake_send(c, raw->p, raw->len);
	fake_drain(c);
}

/* id 1 is the first of a handle. */
#define HEAD(len3, len4, version, type) \
	0, 0, len3, len4, version, type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1

static void
test_nonsense_is_refused(void **state)
{
	static const uint8_t too_large[] = {0x7f, 0xff, 0xff, 0xff, 1, 0x81, 0,
	    0, 0, 0, 0, 0, 0, 0, 0, 1};
	static const uint8_t version[] = {HEAD(0, 0, 2, 0x84)};
	static const uint8_t wrong_type[] = {HEAD(0, 0, 1, 0x83)};
	static const uint8_t cut_field[] = {HEAD(0, 3, 1, 0x81), 0, 0x20, 0};
	static const uint8_t index_9[] = {HEAD(0, 24, 1, 0x81), 0, 0x20, 0, 0,
	    0, 2, 0, 9, 0, 0x21, 0, 0, 0, 2, 0, 2, 0, 0x22, 0, 0, 0, 2, 'n',
	    'o'};
	static const uint8_t critical_flag[] = {0, 0, 0, 0, 1, 0x81, 0x80, 0,
	    0, 0, 0, 0, 0, 0, 0, 1};
	static const uint8_t critical_field[] = {HEAD(0, 14, 1, 0x81), 0, 0x20,
	    0, 0, 0, 2, 0, 0, 0x80, 1, 0, 0, 0, 0};
	static const struct {
		struct raw raw;
		int error;
	} cases[] = {
		{{too_large, sizeof(too_large)}, QAPI_AGENT_ERR_INTERNAL},
		{{version, sizeof(version)}, QAPI_AGENT_ERR_UNSUPPORTED},
		{{wrong_type, sizeof(wrong_type)}, QAPI_AGENT_ERR_INTERNAL},
		{{cut_field, sizeof(cut_field)}, QAPI_AGENT_ERR_INTERNAL},
		{{index_9, sizeof(index_9)}, QAPI_AGENT_ERR_INTERNAL},
		{{critical_flag, sizeof(critical_flag)},
		    QAPI_AGENT_ERR_UNSUPPORTED},
		{{critical_field, sizeof(critical_field)},
		    QAPI_AGENT_ERR_UNSUPPORTED},
	};
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		a = begin(&f, script_raw, (void *)(uintptr_t)&cases[i].raw,
		    2000);
		assert_int_equal(qapi_agent_get(a, REF, NULL, &item),
		    cases[i].error);
		assert_null(item);
		assert_non_null(strstr(qapi_agent_message(a), ": "));
		assert_int_equal(fake_connections(f), 1);
		end(&f, &a);
	}
}

/* Random bytes after a valid head: nothing but an error may come of it. */
static void
script_random(struct fake_conn *c)
{
	uint64_t *seed = c->arg;
	uint8_t buf[256];
	struct frame f;
	size_t i, len;

	while (fake_read(c, &f)) {
		len = unit_below(seed, sizeof(buf) - FRAME_HEADER_LEN);
		memset(buf, 0, FRAME_HEADER_LEN);
		buf[3] = (uint8_t)len;
		buf[4] = 1;
		buf[5] = (uint8_t)(0x80 + unit_below(seed, 6));
		buf[15] = (uint8_t)f.id;
		for (i = 0; i < len; i++)
			buf[FRAME_HEADER_LEN + i] = unit_below(seed, 3) > 0
			    ? (uint8_t)unit_below(seed, 4) : 0;
		fake_send(c, buf, FRAME_HEADER_LEN + len);
		if (unit_below(seed, 2) == 0)
			return;
	}
}

static void
test_random_answers(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent_items *items = NULL;
	struct qapi_agent_stats *stats = NULL;
	struct qapi_agent *a;
	struct fake *f;
	uint64_t seed = unit_seed();
	int i;

	(void)state;
	a = begin(&f, script_random, &seed, 1);
	for (i = 0; i < 40; i++) {
		if (qapi_agent_get(a, REF, NULL, &item) == 0)
			qapi_agent_item_free(&item);
		if (qapi_agent_list(a, QAPI_AGENT_KIND_ANY, NULL, &items) ==
		    0)
			qapi_agent_items_free(&items);
		if (qapi_agent_status(a, &stats) == 0)
			qapi_agent_stats_free(&stats);
		(void)qapi_agent_ping(a);
	}
	end(&f, &a);
}

static void
test_unreachable_says_why(void **state)
{
	struct qapi_agent *a = qapi_agent_new();
	char dir[] = "/tmp/qapi-none.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/agent.sock", dir);
	assert_int_equal(qapi_agent_set_socket(a, path), 0);
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_UNREACHABLE);
	assert_non_null(strstr(qapi_agent_message(a), path));
	assert_non_null(strstr(qapi_agent_message(a), "No such file"));
	assert_non_null(strstr(qapi_agent_message(a), "start it"));
	assert_string_equal(qapi_agent_socket(a), path);
	qapi_agent_free(&a);
	(void)rmdir(dir);
}

static void
test_default_sockets(void **state)
{
	struct qapi_agent *a = qapi_agent_new();

	(void)state;
	(void)unsetenv("QAPI_AGENT_SOCK");
	(void)setenv("XDG_RUNTIME_DIR", "/tmp/nowhere", 1);
	if (geteuid() == 0)
		assert_string_equal(qapi_agent_socket(a),
		    "/run/qapi-agent/agent.sock");
	else
		assert_string_equal(qapi_agent_socket(a),
		    "/tmp/nowhere/qapi-agent/agent.sock");
	qapi_agent_free(&a);
	a = qapi_agent_new();
	(void)setenv("QAPI_AGENT_SOCK", "/tmp/nowhere/s", 1);
	assert_string_equal(qapi_agent_socket(a), "/tmp/nowhere/s");
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_UNREACHABLE);
	(void)unsetenv("QAPI_AGENT_SOCK");
	qapi_agent_free(&a);
}

static void
test_arguments_are_checked(void **state)
{
	struct qapi_agent *a = qapi_agent_new();
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(qapi_agent_set_socket(a, longer),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_set_socket(a, ""),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_set_program(a, longer),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_set_program(a, "test 1"), 0);
	assert_string_equal(qapi_agent_error_name(QAPI_AGENT_ERR_NOT_FOUND),
	    "not-found");
	assert_string_equal(
	    qapi_agent_freshness_name(QAPI_AGENT_FRESHNESS_NONE), "");
	qapi_agent_free(&a);
	qapi_agent_free(&a);
	qapi_agent_free(NULL);
}

/* --- terms, large values, the other calls -------------------------------- */

static void
script_terms(struct fake_conn *c)
{
	struct msg_refs *seen = c->arg;
	struct frame f;

	while (fake_read(c, &f)) {
		if (msg_refs_decode(f.body, seen) != 0)
			return;
		fake_send_value(c, f.id, 0, false, "v", 1);
	}
}

static void
test_terms_are_sent(void **state)
{
	struct qapi_agent_terms *terms = qapi_agent_terms_new();
	struct qapi_agent_item *item = NULL;
	struct msg_refs seen;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	qapi_agent_terms_set_max_age_ms(terms, 1000);
	qapi_agent_terms_set_max_stale_ms(terms, 0);
	qapi_agent_terms_set_fresh(terms, true);
	qapi_agent_terms_set_only_if_cached(terms, true);
	qapi_agent_terms_set_fresh(terms, false);
	a = begin(&f, script_terms, &seen, 5000);
	assert_int_equal(qapi_agent_get(a, REF, terms, &item), 0);
	qapi_agent_item_free(&item);
	assert_in_range(seen.terms.deadline_ms, 4000, 5000);
	assert_int_equal(seen.terms.max_age_ms, 1000);
	assert_int_equal(seen.terms.max_stale_ms, 0);
	assert_int_equal(seen.terms.flags, MSG_TERM_ONLY_IF_CACHED);
	qapi_agent_set_timeout_ms(a, 0);
	assert_int_equal(qapi_agent_get(a, REF, NULL, &item), 0);
	qapi_agent_item_free(&item);
	assert_true(seen.terms.deadline_ms == MSG_NO_LIMIT);
	assert_true(seen.terms.max_stale_ms == MSG_NO_LIMIT);
	qapi_agent_terms_free(&terms);
	end(&f, &a);
}

static void
script_large(struct fake_conn *c)
{
	size_t len = MSG_VALUE_MAX;
	struct frame f;
	char *p = malloc(len);

	memset(p, 'L', len);
	while (fake_read(c, &f)) {
		fake_send_value(c, f.id, 0, true, p, len);
		fake_send_value(c, f.id, 1, false, "small", 5);
	}
	free(p);
}

static void
test_large_values(void **state)
{
	const char *refs[] = {REF "0", REF "1"};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent *a;
	struct fake *f;
	const char *value;
	size_t len;
	int i;

	(void)state;
	a = begin(&f, script_large, NULL, 20000);
	for (i = 0; i < 2; i++) {
		assert_int_equal(qapi_agent_get_many(a, refs, 2, NULL, &items),
		    0);
		value = qapi_agent_item_value(qapi_agent_items_at(items, 0),
		    &len);
		assert_int_equal(len, MSG_VALUE_MAX);
		assert_true(value[0] == 'L' && value[len - 1] == 'L');
		assert_string_equal(qapi_agent_item_value(
		    qapi_agent_items_at(items, 1), NULL), "small");
		qapi_agent_items_free(&items);
	}
	end(&f, &a);
}

static void
test_list_and_status(void **state)
{
	static const struct fake_value none[] = {{.ref = NULL}};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent_stats *stats = NULL;
	const struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;
	long i;

	(void)state;
	a = begin(&f, fake_serve_table, (void *)(uintptr_t)none, 5000);
	assert_int_equal(qapi_agent_list(a, QAPI_AGENT_KIND_ANY, NULL, &items),
	    0);
	assert_int_equal(qapi_agent_items_count(items), 2);
	assert_int_equal(qapi_agent_items_freshness(items), QAPI_AGENT_FRESH);
	item = qapi_agent_items_at(items, 0);
	assert_null(qapi_agent_item_ref(item));
	assert_string_equal(qapi_agent_item_name(item), "db/password");
	assert_int_equal(qapi_agent_item_freshness(item), QAPI_AGENT_STALE);
	item = qapi_agent_items_at(items, 1);
	assert_int_equal(qapi_agent_item_kind(item), QAPI_AGENT_KIND_KEY);
	assert_int_equal(qapi_agent_item_freshness(item),
	    QAPI_AGENT_FRESHNESS_NONE);
	qapi_agent_items_free(&items);

	assert_int_equal(qapi_agent_status(a, &stats), 0);
	assert_int_equal(qapi_agent_stats_count(stats), 7);
	i = qapi_agent_stats_find(stats, "upstream.state");
	assert_int_equal(i, 2);
	assert_string_equal(qapi_agent_stats_text(stats, (size_t)i), "ok");
	i = qapi_agent_stats_find(stats, "pid");
	assert_int_equal(qapi_agent_stats_uint(stats, (size_t)i), 42);
	assert_int_equal(qapi_agent_stats_type(stats, 4),
	    QAPI_AGENT_STAT_NULL);
	assert_int_equal(qapi_agent_stats_find(stats, "nothing"), -1);
	assert_null(qapi_agent_stats_name(stats, 7));
	qapi_agent_stats_free(&stats);
	end(&f, &a);
}

static void
test_refresh_and_invalidate(void **state)
{
	static const struct fake_value table[] = {
		{.ref = REF, .value = "v"},
		{.ref = NULL},
	};
	const char *refs[] = {REF, "qapi://secrets/none"};
	struct qapi_agent_items *items = NULL;
	struct qapi_agent *a;
	struct fake *f;
	uint64_t count = 0, failed = 9;

	(void)state;
	a = begin(&f, fake_serve_table, (void *)(uintptr_t)table, 5000);
	assert_int_equal(qapi_agent_ping(a), 0);
	assert_int_equal(qapi_agent_refresh(a, refs, 2, &items), 0);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    0);
	assert_null(qapi_agent_item_value(qapi_agent_items_at(items, 0),
	    NULL));
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 1)),
	    QAPI_AGENT_ERR_NOT_FOUND);
	qapi_agent_items_free(&items);
	assert_int_equal(qapi_agent_invalidate(a, refs, 1, &items), 0);
	qapi_agent_items_free(&items);
	assert_int_equal(qapi_agent_refresh_all(a, &count, &failed), 0);
	assert_int_equal(count, 7);
	assert_int_equal(failed, 0);
	assert_int_equal(qapi_agent_invalidate_all(a, NULL, NULL), 0);
	end(&f, &a);
}

/* --- signals ------------------------------------------------------------- */

static void
on_alarm(int sig)
{
	(void)sig;
}

static void
test_signals_do_not_disturb(void **state)
{
	struct sigaction sa = {.sa_handler = on_alarm}; /* no SA_RESTART */
	struct itimerval every = {{0, 5000}, {0, 5000}}, never = {{0, 0},
	    {0, 0}};
	struct sigaction old;
	struct qapi_agent *a;
	struct fake *f;
	uint64_t start_ms;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &sa, &old), 0);
	a = begin(&f, script_silent, NULL, 100);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
	start_ms = now_ms();
	assert_int_equal(qapi_agent_ping(a), QAPI_AGENT_ERR_TIMEOUT);
	assert_in_range(now_ms() - start_ms, 340, 2000);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	end(&f, &a);
	(void)sigaction(SIGALRM, &old, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_has_value_and_meta),
		cmocka_unit_test(test_get_skips_what_it_does_not_know),
		cmocka_unit_test(test_get_errors_have_message),
		cmocka_unit_test(test_get_many_keeps_order_and_splits),
		cmocka_unit_test(test_get_many_gives_what_came_in_time),
		cmocka_unit_test(test_get_many_closed_twice),
		cmocka_unit_test(test_get_many_left_out_is_internal),
		cmocka_unit_test(test_restart_is_not_noticed),
		cmocka_unit_test(test_goodbye_is_not_noticed),
		cmocka_unit_test(test_error_of_connection_and_request),
		cmocka_unit_test(test_timeout_is_kept),
		cmocka_unit_test(test_timeout_of_connect),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_random_answers),
		cmocka_unit_test(test_unreachable_says_why),
		cmocka_unit_test(test_default_sockets),
		cmocka_unit_test(test_arguments_are_checked),
		cmocka_unit_test(test_terms_are_sent),
		cmocka_unit_test(test_large_values),
		cmocka_unit_test(test_list_and_status),
		cmocka_unit_test(test_refresh_and_invalidate),
		cmocka_unit_test(test_signals_do_not_disturb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
