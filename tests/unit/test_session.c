#include "config.h"

#include "fake_upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit.h"
#include "err.h"
#include "fake_time.h"
#include "limit.h"
#include "peer.h"
#include "policy.h"
#include "session.h"
#include "settings.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)
#define INTERVAL (5u * MINUTE)

#define UUID_1 "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
#define UUID_2 "5f0c1a7e-0002-4c7b-9d1e-0123456789ab"
#define UUID_9 "5f0c1a7e-0009-4c7b-9d1e-0123456789ab"
#define SECRET(text) "qapi://secrets/" text

/* Callers that are neither root nor whoever runs this. */
#define APP 54321u		/* reads db/ and sign */
#define LISTER 54322u		/* reads and lists all */
#define ADMIN 54323u		/* admin, and reads all */
#define NOBODY 54324u		/* no rule at all */

#define FRAME_MAX (2u << 20)
#define RX_MAX (8u << 20)

struct fixture {
	struct fake_upstream fu;
	struct fetch *fetch;
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct session s;
	struct out *out;
	bool open;		/* s is */
	unsigned int wakes;
	int fds[2];
	uint8_t *tx;		/* a frame in the making */
	uint8_t *rx;
	size_t rx_len;
	size_t rx_pos;
	struct frame frame;	/* the newest that was taken */
	struct msg_result result; /* decoded from it */
};

static bool
reload_key(void *arg)
{
	(void)arg;
	return false;
}

static void
ignore(void *arg)
{
	(void)arg;
}

static void
add_rule(struct policy *pol, const char *user, const char *secrets,
    const char *keys, const char *operations)
{
	char why[512];

	assert_int_equal(policy_rule_begin(pol, user), 0);
	assert_int_equal(policy_rule_set(pol, "user", user, why, sizeof(why)),
	    0);
	if (secrets != NULL)
		assert_int_equal(policy_rule_set(pol, "secrets", secrets, why,
		    sizeof(why)), 0);
	if (keys != NULL)
		assert_int_equal(policy_rule_set(pol, "keys", keys, why,
		    sizeof(why)), 0);
	if (operations != NULL)
		assert_int_equal(policy_rule_set(pol, "operations",
		    operations, why, sizeof(why)), 0);
	assert_int_equal(policy_rule_end(pol, why, sizeof(why)), 0);
}

static void
woken(void *arg)
{
	((struct fixture *)arg)->wakes++;
}

static void
open_as(struct fixture *f, uid_t uid)
{
	struct peer *peer = peer_new_fake(uid, uid, NULL, 0, NULL, NULL);

	assert_non_null(peer);
	if (f->open)
		session_done(&f->s);
	session_init(&f->s, &f->env, peer, woken, f);
	f->open = true;
}

static void
build(struct fixture *f)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 4u << 20,
			.refresh_interval_ms = INTERVAL,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = 24 * HOUR,
			.max_stale_ms = 24 * HOUR,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 24 * HOUR,
		},
		.unauthorized_grace_ms = INTERVAL, .max_in_flight = 16,
	};
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = ignore,
		.wiped = ignore,
	};
	char why[512], url[] = "https://service.example/api/v1";
	struct policy *pol = policy_new(false);

	assert_non_null(pol);
	add_rule(pol, "54321", "db/**,id:sec_byid", "sign", NULL);
	add_rule(pol, "54322", "**", "**", "read,list");
	add_rule(pol, "54323", "**", "**", "read,list,admin");
	f->settings.policy = pol;
	f->settings.url = strdup(url);
	f->fetch = fetch_new(NULL, &f->fu.up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	f->env = (struct session_env){
		.fetch = f->fetch, .settings = &f->settings,
		.policy_generation = 1, .metrics = &f->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0),
	};
	assert_non_null(f->env.audit);
	assert_non_null(f->env.limit);
	hash_key_init(&f->env.audit_key);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int size = 4 << 20;

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	build(f);
	f->out = out_new();
	f->tx = malloc(FRAME_MAX);
	f->rx = malloc(RX_MAX);
	assert_true(f->out != NULL && f->tx != NULL && f->rx != NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, f->fds), 0);
	(void)setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	fake_upstream_add(&f->fu, REF_SECRET, UUID_1, "db/prod", "one");
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
	fake_upstream_add(&f->fu, REF_KEY, "key_1", "sign", "pub");
	open_as(f, 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	session_done(&f->s);
	out_free(f->out);
	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	audit_free(f->env.audit);
	limit_free(f->env.limit);
	policy_free(f->settings.policy);
	free(f->settings.url);
	(void)close(f->fds[0]);
	(void)close(f->fds[1]);
	free(f->tx);
	free(f->rx);
	free(f);
	return 0;
}

/* --- sending and receiving --- */

/* What is in out goes to the reader. */
static void
flush(struct fixture *f)
{
	struct out_backlog *b = NULL;
	int r = out_flush(f->out, f->fds[0], &b);
	ssize_t n;

	for (;;) {
		n = read(f->fds[1], f->rx + f->rx_len, RX_MAX - f->rx_len);
		f->rx_len += n > 0 ? (size_t)n : 0;
		if (b == NULL)
			break;
		r = out_backlog_send(&b, f->fds[0]);
	}
	assert_int_equal(r, 0);
	n = read(f->fds[1], f->rx + f->rx_len, RX_MAX - f->rx_len);
	f->rx_len += n > 0 ? (size_t)n : 0;
}

/* Render what is ready, as a connection does. */
static void
collect(struct fixture *f)
{
	bool more = true;

	flush(f);
	while (more) {
		more = session_render(&f->s, f->out);
		flush(f);
	}
}

static int
handle(struct fixture *f, const struct wr *wr)
{
	struct frame frame;
	int r;

	assert_false(wr->failed);
	assert_int_equal(frame_cut(wr->p, wr->len, FRAME_REQUEST_MAX,
	    &frame), 0);
	r = session_handle(&f->s, &frame, &fake_now, f->out);
	memset(f->tx, 0xee, wr->len); /* what is needed was copied */
	return r;
}

static struct wr
begin(struct fixture *f)
{
	struct wr wr;

	wr_init(&wr, f->tx, FRAME_MAX);
	return wr;
}

/* The next frame that came, if there is one. */
static bool
take(struct fixture *f)
{
	int r;

	if (f->rx_pos == f->rx_len)
		return false;
	r = frame_cut(f->rx + f->rx_pos, f->rx_len - f->rx_pos,
	    FRAME_ANSWER_MAX, &f->frame);
	assert_int_equal(r, 0);
	f->rx_pos += f->frame.total;
	return true;
}

static void
expect(struct fixture *f, uint8_t type, uint64_t id)
{
	assert_true(take(f));
	if (f->frame.type != type)
		print_error("frame of type %#x\n", f->frame.type);
	assert_int_equal(f->frame.type, type);
	assert_true(f->frame.id == id);
}

static void
expect_nothing(struct fixture *f)
{
	collect(f);
	assert_false(take(f));
}

static void
expect_hello(struct fixture *f)
{
	struct msg_hello hello;

	collect(f);
	expect(f, FRAME_AGENT_HELLO, 0);
	assert_int_equal(msg_hello_decode(f->frame.body, &hello), 0);
	assert_int_equal(hello.protocol, 1);
	assert_true(hello.build.len > strlen("qapi-agentd "));
	assert_memory_equal(hello.build.p, "qapi-agentd ", 12);
}

static void
expect_result(struct fixture *f, uint64_t id, bool more)
{
	expect(f, FRAME_RESULT, id);
	assert_int_equal(f->frame.flags, more ? FRAME_MORE : 0);
	assert_int_equal(msg_result_decode(f->frame.body, &f->result), 0);
}

static void
check_value(struct fixture *f, uint16_t index, const char *value,
    enum msg_freshness freshness)
{
	if (f->result.error != 0)
		print_error("%s: %.*s\n", err_name(f->result.error),
		    (int)f->result.message.len, f->result.message.p);
	assert_int_equal(f->result.error, 0);
	assert_int_equal(f->result.index, index);
	assert_true(unit_view_is(f->result.value, value));
	assert_int_equal(f->result.meta.freshness, freshness);
}

static void
check_error(struct fixture *f, uint16_t index, int error)
{
	assert_int_equal(f->result.index, index);
	if (f->result.error != error)
		print_error("%s: %.*s\n", err_name(f->result.error),
		    (int)f->result.message.len, f->result.message.p);
	assert_int_equal(f->result.error, error);
	assert_true(f->result.message.len > 0);
	assert_int_equal(f->result.content, 0);
	assert_int_equal(f->result.meta.id.len, 0);
	assert_int_equal(f->result.meta.name.len, 0);
}

static void
expect_error(struct fixture *f, uint64_t id, int error)
{
	struct msg_error m;

	expect(f, FRAME_ERROR, id);
	assert_int_equal(f->frame.flags, 0);
	assert_int_equal(msg_error_decode(f->frame.body, &m), 0);
	assert_int_equal(m.error, error);
	assert_true(m.message.len > 0);
}

static void
expect_done(struct fixture *f, uint64_t id, uint64_t count, uint64_t failed)
{
	struct msg_done m;

	expect(f, FRAME_DONE, id);
	assert_int_equal(msg_done_decode(f->frame.body, &m), 0);
	assert_true(m.count == count);
	assert_true(m.failed == failed);
}

static struct msg_terms
no_terms(void)
{
	struct msg_terms terms;

	msg_terms_init(&terms);
	return terms;
}

static int
send_refs(struct fixture *f, uint8_t type, uint64_t id,
    const struct msg_terms *terms, const char *const *refs, size_t count)
{
	struct wr wr = begin(f);
	size_t i, start = msg_refs_begin(&wr, type, id, terms, false);

	for (i = 0; i < count; i++)
		msg_refs_add(&wr, refs[i], strlen(refs[i]));
	frame_end(&wr, start, 0);
	return handle(f, &wr);
}

static int
send_one(struct fixture *f, uint8_t type, uint64_t id, const char *ref)
{
	const struct msg_terms terms = no_terms();

	return send_refs(f, type, id, &terms, &ref, 1);
}

static int
send_all(struct fixture *f, uint8_t type, uint64_t id)
{
	const struct msg_terms terms = no_terms();
	struct wr wr = begin(f);
	size_t start = msg_refs_begin(&wr, type, id, &terms, true);

	frame_end(&wr, start, 0);
	return handle(f, &wr);
}

static int
send_list(struct fixture *f, uint64_t id, uint8_t kind)
{
	const struct msg_list m = { .terms = no_terms(), .kind = kind };
	struct wr wr = begin(f);

	msg_list_encode(&wr, id, &m);
	return handle(f, &wr);
}

static int
send_empty(struct fixture *f, uint8_t type, uint64_t id)
{
	struct wr wr = begin(f);

	msg_empty_encode(&wr, type, id);
	return handle(f, &wr);
}

/* Ask for one thing and take its answer, past the HELLO. */
static void
ask(struct fixture *f, uint8_t type, const char *ref)
{
	static uint64_t id = 1000;

	id++;
	assert_int_equal(send_one(f, type, id, ref), 0);
	fake_upstream_serve(&f->fu);
	fake_upstream_pass(&f->fu, 5 * SECOND);
	collect(f);
	do {
		assert_true(take(f));
	} while (f->frame.type == FRAME_AGENT_HELLO);
	assert_int_equal(f->frame.type, FRAME_RESULT);
	assert_true(f->frame.id == id);
	assert_int_equal(msg_result_decode(f->frame.body, &f->result), 0);
	assert_false(take(f));
	assert_true(session_is_idle(&f->s));
}

static void
get(struct fixture *f, const char *ref)
{
	ask(f, FRAME_GET, ref);
}

/* --- frames --- */

static void
test_first_frame_is_hello_and_it_comes_once(void **state)
{
	struct fixture *f = *state;

	expect_nothing(f);
	assert_int_equal(send_empty(f, FRAME_PING, 7), 0);
	assert_int_equal(send_empty(f, FRAME_PING, 8), 0);
	expect_hello(f);
	expect_done(f, 7, 0, 0);
	expect_done(f, 8, 0, 0);
	expect_nothing(f);
	assert_int_equal(f->metrics.requests, 2);
}

static void
test_hello_of_the_client_is_not_answered(void **state)
{
	struct fixture *f = *state;
	const struct msg_hello hello = {
		.protocol = 9, .build = unit_view("some-client 1.0\x1b[2J"),
	};
	struct wr wr = begin(f);

	msg_hello_encode(&wr, FRAME_HELLO, &hello);
	assert_int_equal(handle(f, &wr), 0);
	expect_hello(f);
	expect_nothing(f);
}

static void
test_unknown_type_is_answered_and_the_connection_goes_on(void **state)
{
	struct fixture *f = *state;
	const uint8_t types[] = { 0x00, 0x15, 0x17, 0x42, 0x7f };
	size_t i;

	assert_int_equal(send_empty(f, FRAME_PING, 1), 0);
	expect_hello(f);
	expect_done(f, 1, 0, 0);
	for (i = 0; i < UNIT_COUNT(types); i++) {
		assert_int_equal(send_empty(f, types[i], 10 + i), 0);
		collect(f);
		expect_error(f, 10 + i, ERR_UNSUPPORTED);
	}
	assert_int_equal(send_empty(f, FRAME_PING, 2), 0);
	collect(f);
	expect_done(f, 2, 0, 0);
}

static void
check_fatal(struct fixture *f, int r, uint64_t id)
{
	assert_int_equal(r, ERR_BAD_REQUEST);
	expect_hello(f);
	expect_error(f, id, ERR_BAD_REQUEST);
	expect_nothing(f);
	assert_int_equal(f->metrics.bad_frames, 1);
	f->metrics.bad_frames = 0;
	open_as(f, 0);
}

static void
test_frames_that_end_the_connection(void **state)
{
	struct fixture *f = *state;
	struct wr wr;

	check_fatal(f, send_empty(f, FRAME_RESULT, 5), 5);
	check_fatal(f, send_empty(f, 0xff, 5), 5);
	check_fatal(f, send_empty(f, FRAME_PING, 0), 0);
	check_fatal(f, send_one(f, FRAME_GET, 0, SECRET("a")), 0);
	check_fatal(f, send_empty(f, FRAME_GET, 6), 6);	/* without REF */
	check_fatal(f, send_all(f, FRAME_GET, 7), 7);
	wr = begin(f);
	(void)frame_begin(&wr, FRAME_PING, 0, 8);
	wr_bytes(&wr, "\x00\x01\x00", 3);	/* a cut field */
	frame_end(&wr, 0, 0);
	check_fatal(f, handle(f, &wr), 8);
}

static void
test_critical_field_is_unsupported_and_the_connection_goes_on(void **state)
{
	struct fixture *f = *state;
	const uint8_t types[] = { FRAME_PING, FRAME_GET, FRAME_LIST,
		FRAME_STATUS, FRAME_REFRESH, FRAME_PURGE };
	struct wr wr;
	size_t i;

	assert_int_equal(send_empty(f, FRAME_PING, 1), 0);
	expect_hello(f);
	expect_done(f, 1, 0, 0);
	for (i = 0; i < UNIT_COUNT(types); i++) {
		wr = begin(f);
		(void)frame_begin(&wr, types[i], 0, 9);
		wr_bytes(&wr, "\x80\x01\x00\x00\x00\x00", 6);
		frame_end(&wr, 0, 0);
		assert_int_equal(handle(f, &wr), 0);
		collect(f);
		expect_error(f, 9, ERR_UNSUPPORTED);
	}
	assert_int_equal(f->fu.started, 0);
}

static void
test_refused_frame_has_hello_before_it(void **state)
{
	struct fixture *f = *state;

	session_refuse(&f->s, 0, ERR_TOO_LARGE, "too long", f->out);
	expect_hello(f);
	expect_error(f, 0, ERR_TOO_LARGE);
	assert_int_equal(f->metrics.bad_frames, 1);
}

static void
test_caller_who_asks_too_often_is_told_so(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	limit_free(f->env.limit);
	f->env.limit = limit_new(3);
	open_as(f, LISTER);
	for (i = 1; i <= 5; i++)
		assert_int_equal(send_one(f, FRAME_GET, i,
		    SECRET("db/prod")), 0);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	expect_error(f, 4, ERR_RATE_LIMITED);
	expect_error(f, 5, ERR_RATE_LIMITED);
	for (i = 1; i <= 3; i++) {
		expect_result(f, i, false);
		check_value(f, 0, "one", MSG_FRESH);
	}
	fake_time_pass(SECOND);
	assert_int_equal(send_empty(f, FRAME_PING, 6), 0);
	collect(f);
	expect_done(f, 6, 0, 0);
}

/* --- GET --- */

static void
test_value_comes_later_and_from_then_on_at_once(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].version = 7;
	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	assert_int_equal(send_one(f, FRAME_GET, 5, SECRET("db/prod")), 0);
	expect_hello(f);
	expect_nothing(f);
	assert_int_equal(f->wakes, 0);
	assert_int_equal(f->s.waiting, 1);
	assert_false(session_is_idle(&f->s));
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->wakes, 1);
	assert_int_equal(f->s.waiting, 0);
	collect(f);
	expect_result(f, 5, false);
	check_value(f, 0, "one", MSG_FRESH);
	assert_true(unit_view_is(f->result.meta.id, UUID_1));
	assert_true(unit_view_is(f->result.meta.name, "db/prod"));
	assert_int_equal(f->result.meta.version, 7);
	assert_true(f->result.meta.expires_at == f->fu.things[0].expires_at);
	assert_true(f->result.meta.updated_at == MSG_NO_TIME);
	assert_int_equal(f->result.content, MSG_CONTENT_TEXT);
	assert_true(session_is_idle(&f->s));
	fake_time_pass(1500);
	assert_int_equal(send_one(f, FRAME_GET, 6, SECRET("db/prod")), 0);
	flush(f);
	expect_result(f, 6, false);
	assert_int_equal(f->result.meta.age_ms, 1500);
	assert_int_equal(f->wakes, 1);
}

static void
test_answers_overtake_and_all_but_the_last_say_more(void **state)
{
	struct fixture *f = *state;
	const struct msg_terms terms = no_terms();
	const char *const refs[] = {
		SECRET("web"), SECRET("db/prod"), "not a reference",
		SECRET("missing"), SECRET("db/prod"),
	};
	bool seen[5] = { false };
	unsigned int i;

	get(f, SECRET("db/prod"));
	assert_int_equal(send_refs(f, FRAME_GET, 9, &terms, refs, 5), 0);
	collect(f);
	/* what is known comes at once */
	expect_result(f, 9, true);
	check_value(f, 1, "one", MSG_FRESH);
	expect_result(f, 9, true);
	check_error(f, 2, ERR_BAD_REQUEST);
	for (i = 2; i < 5; i++) {
		if (!take(f)) {
			fake_upstream_serve(&f->fu);
			collect(f);
			assert_true(take(f));
		}
		assert_int_equal(f->frame.type, FRAME_RESULT);
		assert_int_equal(f->frame.flags, i < 4 ? FRAME_MORE : 0);
		assert_int_equal(msg_result_decode(f->frame.body,
		    &f->result), 0);
		assert_false(seen[f->result.index]);
		seen[f->result.index] = true;
		if (f->result.index == 3)
			check_error(f, 3, ERR_NOT_FOUND);
		else
			check_value(f, f->result.index,
			    f->result.index == 0 ? "two" : "one", MSG_FRESH);
	}
	assert_true(seen[0] && seen[3] && seen[4]);
	expect_nothing(f);
}

static void
test_256_references_in_one_request(void **state)
{
	struct fixture *f = *state;
	const struct msg_terms terms = no_terms();
	static char ids[256][12], texts[256][40];
	static const char *refs[256];
	static unsigned int met[256];
	unsigned int i;

	for (i = 0; i < 256; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "sec_%03u", i);
		(void)snprintf(texts[i], sizeof(texts[i]), SECRET("sec_%03u"),
		    i);
		refs[i] = texts[i];
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], ids[i], ids[i]);
	}
	assert_int_equal(send_refs(f, FRAME_GET, 3, &terms, refs, 256), 0);
	assert_int_equal(f->s.waiting, 256);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	for (i = 0; i < 256; i++) {
		expect_result(f, 3, i < 255);
		met[f->result.index]++;
		check_value(f, f->result.index, ids[f->result.index],
		    MSG_FRESH);
	}
	expect_nothing(f);
	for (i = 0; i < 256; i++)
		assert_int_equal(met[i], 1);
	assert_int_equal(f->fu.most, 16);
	assert_true(session_is_idle(&f->s));
}

/* 256 values do not fit into out at once: the rest is kept and comes later. */
static void
test_what_finds_no_room_is_rendered_later(void **state)
{
	struct fixture *f = *state;
	const struct msg_terms terms = no_terms();
	static char value[1001];
	static const char *refs[256];
	unsigned int i, rounds = 0;
	bool more = true;

	memset(value, 'v', sizeof(value) - 1);
	fake_upstream_add(&f->fu, REF_SECRET, "sec_big", "big", value);
	get(f, SECRET("sec_big"));
	for (i = 0; i < 256; i++)
		refs[i] = i % 2 ? SECRET("sec_big") : SECRET("%zz");
	assert_int_equal(send_refs(f, FRAME_GET, 3, &terms, refs, 256), 0);
	assert_false(session_is_idle(&f->s));
	assert_int_equal(f->s.waiting, 0);
	flush(f);
	while (more) {
		more = session_render(&f->s, f->out);
		flush(f);
		rounds++;
	}
	assert_in_range(rounds, 1, 10);
	for (i = 0; i < 256; i++) {
		expect_result(f, 3, i < 255);
		assert_int_equal(f->result.index, i);
		if (i % 2)
			check_value(f, (uint16_t)i, value, MSG_FRESH);
		else
			check_error(f, (uint16_t)i, ERR_BAD_REQUEST);
	}
	expect_nothing(f);
	assert_true(session_is_idle(&f->s));
}

static void
test_large_value_is_sent_from_where_it_lies(void **state)
{
	struct fixture *f = *state;
	size_t len = 700000;
	char *value = malloc(len + 1);

	assert_non_null(value);
	memset(value, 'L', len);
	value[len] = '\0';
	fake_upstream_add(&f->fu, REF_SECRET, "sec_large", "large", value);
	get(f, SECRET("sec_large"));
	assert_int_equal(f->result.value.len, len);
	assert_memory_equal(f->result.value.p, value, len);
	get(f, SECRET("sec_large"));
	assert_int_equal(f->result.value.len, len);
	free(value);
}

static void
test_fields_are_selected_and_unset_ones_named(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].field = "username";
	f->fu.things[0].field_text = "app";
	get(f, SECRET("db/prod?field=username"));
	check_value(f, 0, "app", MSG_FRESH);
	get(f, SECRET("db/prod?field=value"));
	check_value(f, 0, "one", MSG_FRESH);
	get(f, SECRET("db/prod?field=name"));
	check_value(f, 0, "db/prod", MSG_FRESH);
	get(f, SECRET("db/prod?field=notes"));
	check_error(f, 0, ERR_NOT_FOUND);
	assert_non_null(memmem(f->result.message.p, f->result.message.len,
	    "username", 8));
	assert_int_equal(f->fu.reads, 1);
}

static void
test_seed_of_one_time_codes_never_leaves(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].field = "totpSecret";
	f->fu.things[0].field_text = "JBSWY3DPEHPK3PXP";
	get(f, SECRET("db/prod?field=totpSecret"));
	check_error(f, 0, ERR_NOT_FOUND);
	assert_null(memmem(f->rx, f->rx_len, "JBSWY3DP", 8));
	assert_null(memmem(f->rx, f->rx_len, "totpSecret", 10));
}

static void
test_forms_of_a_key_tell_what_they_are(void **state)
{
	struct fixture *f = *state;

	get(f, "qapi://keys/sign/public");
	check_value(f, 0, "pub", MSG_FRESH);
	assert_int_equal(f->result.content, MSG_CONTENT_JSON);
	get(f, "qapi://keys/sign/public?format=jwk");
	assert_int_equal(f->result.content, MSG_CONTENT_JSON);
	get(f, "qapi://keys/sign/public?format=pem");
	assert_int_equal(f->result.content, MSG_CONTENT_TEXT);
	get(f, "qapi://keys/sign/public?format=der");
	assert_int_equal(f->result.content, MSG_CONTENT_BYTES);
	get(f, "qapi://keys/sign/public?format=raw");
	assert_int_equal(f->result.content, MSG_CONTENT_BYTES);
}

static void
test_deadline_is_kept(void **state)
{
	struct fixture *f = *state;
	struct msg_terms terms = no_terms();
	const char *const refs[] = { SECRET("db/prod"), SECRET(UUID_2) };

	get(f, SECRET("db/prod"));
	terms.deadline_ms = 2000;
	terms.max_age_ms = 0;
	fake_time_pass(1000);
	assert_int_equal(send_refs(f, FRAME_GET, 4, &terms, refs, 2), 0);
	fake_time_pass(1979);
	expect_nothing(f);
	fake_time_pass(20);
	collect(f);
	expect_result(f, 4, true);
	check_value(f, 0, "one", MSG_STALE);
	expect_result(f, 4, false);
	check_error(f, 1, ERR_TIMEOUT);
	/* the answer that comes after that is for the cache alone */
	fake_upstream_serve(&f->fu);
	expect_nothing(f);
	get(f, SECRET(UUID_2));
	check_value(f, 0, "two", MSG_FRESH);
}

static void
test_deadline_of_zero_gives_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct msg_terms terms = no_terms();
	const char *const refs[] = { SECRET("db/prod"), SECRET("web") };

	get(f, SECRET("db/prod"));
	terms.deadline_ms = 0;
	assert_int_equal(send_refs(f, FRAME_GET, 4, &terms, refs, 2), 0);
	fake_time_run();
	collect(f);
	expect_result(f, 4, true);
	check_value(f, 0, "one", MSG_FRESH);
	expect_result(f, 4, false);
	check_error(f, 1, ERR_TIMEOUT);
	fake_upstream_serve(&f->fu);
}

static void
test_terms_hold_for_every_reference(void **state)
{
	struct fixture *f = *state;
	struct msg_terms terms = no_terms();
	const char *const refs[] = { SECRET("db/prod"), SECRET("web") };

	get(f, SECRET("db/prod"));
	terms.flags = MSG_TERM_ONLY_IF_CACHED;
	f->fu.started = 0;
	assert_int_equal(send_refs(f, FRAME_GET, 4, &terms, refs, 2), 0);
	collect(f);
	expect_result(f, 4, true);
	check_value(f, 0, "one", MSG_FRESH);
	expect_result(f, 4, false);
	check_error(f, 1, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(f->fu.started, 0);
	terms.flags = MSG_TERM_FRESH;
	assert_int_equal(send_refs(f, FRAME_GET, 5, &terms, refs, 2), 0);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.reads, 3);
	collect(f);
	expect_result(f, 5, true);
	expect_result(f, 5, false);
}

static void
test_stale_values_are_marked_and_counted(void **state)
{
	struct fixture *f = *state;

	get(f, SECRET("db/prod"));
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, INTERVAL + MINUTE);
	get(f, SECRET("db/prod"));
	check_value(f, 0, "one", MSG_STALE);
	assert_true(f->result.meta.age_ms > INTERVAL);
	assert_int_equal(f->metrics.stale_served, 1);
}

static void
test_too_many_unanswered_leave_no_room(void **state)
{
	struct fixture *f = *state;
	const struct msg_terms terms = no_terms();
	static const char *refs[256];
	unsigned int i;

	for (i = 0; i < 256; i++)
		refs[i] = SECRET(UUID_1);
	for (i = 0; i < 4; i++) {
		assert_true(session_has_room(&f->s));
		assert_int_equal(send_refs(f, FRAME_GET, 1 + i, &terms, refs,
		    256), 0);
	}
	assert_false(session_has_room(&f->s));
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.reads, 1);
	assert_true(session_has_room(&f->s));
	collect(f);
	assert_true(session_is_idle(&f->s));
}

static void
test_session_ends_at_any_moment(void **state)
{
	struct fixture *f = *state;
	const struct msg_terms terms = no_terms();
	const char *const refs[] = { SECRET("db/prod"), SECRET(UUID_2),
		SECRET("missing"), "bad" };
	unsigned int stage, i;

	for (stage = 0; stage < 8; stage++) {
		assert_int_equal(send_refs(f, FRAME_GET, 1, &terms, refs, 4),
		    0);
		assert_int_equal(send_list(f, 2, 0), 0);
		assert_int_equal(send_one(f, FRAME_REFRESH, 3,
		    SECRET("web")), 0);
		for (i = 0; i < stage; i++) {
			fake_time_run();
			if (i > 0 && fake_upstream_first(&f->fu) != NULL)
				fake_upstream_answer_table(&f->fu,
				    fake_upstream_first(&f->fu));
		}
		flush(f);
		open_as(f, 0);
		assert_int_equal(f->s.waiting, 0);
		fake_upstream_serve(&f->fu);
		(void)fetch_purge_all(f->fetch);
	}
}

/* --- policy --- */

static void
test_name_that_is_not_allowed_is_denied_without_a_question(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	/* not so for secrets, where a rule goes by id */
	get(f, "qapi://keys/web/x/public");
	check_error(f, 0, ERR_DENIED);
	get(f, "qapi://keys/does/not/exist/public");
	check_error(f, 0, ERR_DENIED);
	get(f, "qapi://keys/other/x/public");
	check_error(f, 0, ERR_DENIED);
	assert_int_equal(f->fu.started, 0);
	assert_int_equal(f->metrics.denied, 3);
	open_as(f, NOBODY);
	get(f, SECRET("db/prod"));
	check_error(f, 0, ERR_DENIED);
	get(f, SECRET(UUID_1));
	check_error(f, 0, ERR_DENIED);
	assert_int_equal(f->fu.started, 0);
}

static void
test_allowed_name_is_given_and_its_errors_told(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	get(f, SECRET("db/prod"));
	check_value(f, 0, "one", MSG_FRESH);
	get(f, SECRET("db/other"));
	check_error(f, 0, ERR_NOT_FOUND);
	get(f, "qapi://keys/sign/public?format=pem");
	check_value(f, 0, "pub", MSG_FRESH);
}

/* The very same answer, whether an id exists or not. */
static void
test_id_is_judged_by_its_name_and_unknown_ids_are_denied_too(void **state)
{
	struct fixture *f = *state;
	char first[256];
	size_t len;

	open_as(f, APP);
	get(f, SECRET(UUID_1));
	check_value(f, 0, "one", MSG_FRESH);
	get(f, SECRET(UUID_2));
	check_error(f, 0, ERR_DENIED);
	len = f->result.message.len;
	assert_true(len < sizeof(first));
	memcpy(first, f->result.message.p, len);
	get(f, SECRET(UUID_9));
	check_error(f, 0, ERR_DENIED);
	assert_int_equal(f->result.message.len, len);
	assert_memory_equal(f->result.message.p, first, len);
	f->fu.things[1].status = 403;
	fake_upstream_pass(&f->fu, INTERVAL);
	get(f, SECRET(UUID_2));
	check_error(f, 0, ERR_DENIED);
	assert_memory_equal(f->result.message.p, first, len);
	/* who may read everything learns that it does not exist */
	open_as(f, LISTER);
	get(f, SECRET(UUID_9));
	check_error(f, 0, ERR_NOT_FOUND);
}

static void
test_rule_by_id_is_about_the_thing(void **state)
{
	struct fixture *f = *state;
	struct fake_thing *t = fake_upstream_add(&f->fu, REF_SECRET,
	    "sec_byid", "hidden", "by-id");

	open_as(f, APP);
	get(f, SECRET("sec_byid"));
	check_value(f, 0, "by-id", MSG_FRESH);
	get(f, SECRET("hidden"));
	check_value(f, 0, "by-id", MSG_FRESH);
	/* something else takes the text of that id for its name */
	t->name = NULL;
	fake_upstream_add(&f->fu, REF_SECRET, "sec_evil", "sec_byid", "evil");
	(void)fetch_purge_all(f->fetch);
	get(f, SECRET("sec_byid"));
	check_error(f, 0, ERR_DENIED);
}

static void
test_name_that_is_the_id_of_something_forbidden_is_denied(void **state)
{
	struct fixture *f = *state;

	add_rule(f->settings.policy, "54321", "sec_trap", NULL, NULL);
	fake_upstream_add(&f->fu, REF_SECRET, "sec_trap", "forbidden", "x");
	open_as(f, APP);
	get(f, SECRET("sec_trap"));
	check_error(f, 0, ERR_DENIED);
}

static void
test_renamed_out_of_the_rules_is_denied(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	get(f, SECRET(UUID_1));
	check_value(f, 0, "one", MSG_FRESH);
	f->fu.things[0].name = "moved/away";
	fake_upstream_pass(&f->fu, INTERVAL);
	get(f, SECRET(UUID_1));
	check_error(f, 0, ERR_DENIED);
	get(f, SECRET("db/prod"));
	assert_int_not_equal(f->result.error, 0);
}

static void
test_who_asks_by_id_is_told_that_it_expired(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	f->fu.things[1].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	open_as(f, APP);
	get(f, SECRET(UUID_1));
	get(f, SECRET(UUID_2));
	fake_upstream_pass(&f->fu, 2 * HOUR);
	get(f, SECRET(UUID_1));
	check_error(f, 0, ERR_EXPIRED);
	get(f, SECRET(UUID_2));
	check_error(f, 0, ERR_DENIED);
}

static void
test_nameless_form_of_a_key_goes_by_the_name_on_the_list(void **state)
{
	struct fixture *f = *state;

	f->fu.things[2].nameless = true;
	fake_upstream_add(&f->fu, REF_KEY, "key_2", "other", "o")->nameless =
	    true;
	open_as(f, APP);
	get(f, "qapi://keys/sign/public?format=jwk");
	check_value(f, 0, "pub", MSG_FRESH);
	assert_true(unit_view_is(f->result.meta.name, "sign"));
	get(f, "qapi://keys/key_1/public?format=jwk");
	check_value(f, 0, "pub", MSG_FRESH);
	get(f, "qapi://keys/key_2/public?format=jwk");
	check_error(f, 0, ERR_DENIED);
}

static void
test_policy_change_counts_for_connections_that_are_open(void **state)
{
	struct fixture *f = *state;
	struct policy *old = f->settings.policy;

	open_as(f, LISTER);
	get(f, SECRET("web"));
	check_value(f, 0, "two", MSG_FRESH);
	f->settings.policy = policy_new(false);
	f->env.policy_generation++;
	get(f, SECRET("web"));
	check_error(f, 0, ERR_DENIED);
	policy_free(f->settings.policy);
	f->settings.policy = old;
	f->env.policy_generation++;
	get(f, SECRET("web"));
	check_value(f, 0, "two", MSG_FRESH);
}

/* It was allowed when it was asked, and is not any more when it comes. */
static void
test_policy_change_counts_for_answers_under_way(void **state)
{
	struct fixture *f = *state;
	struct policy *old = f->settings.policy;

	open_as(f, LISTER);
	assert_int_equal(send_one(f, FRAME_GET, 5, SECRET("web")), 0);
	f->settings.policy = policy_new(false);
	f->env.policy_generation++;
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	expect_result(f, 5, false);
	check_error(f, 0, ERR_DENIED);
	policy_free(f->settings.policy);
	f->settings.policy = old;
}

/* --- LIST --- */

static size_t
take_rows(struct fixture *f, uint64_t id, bool last, unsigned int *kinds)
{
	struct msg_meta listing;
	struct msg_row row;
	struct view pos;
	size_t rows = 0;
	int r;

	expect(f, FRAME_ROWS, id);
	assert_int_equal(f->frame.flags, last ? 0 : FRAME_MORE);
	pos = f->frame.body;
	while ((r = msg_row_next(&pos, &row)) == 0) {
		rows++;
		kinds[row.kind]++;
		assert_true(row.meta.id.len > 0);
	}
	assert_int_equal(r, ERR_AGAIN);
	assert_int_equal(msg_rows_decode(f->frame.body, &listing), 0);
	assert_int_equal(listing.freshness, last ? MSG_FRESH
	    : MSG_FRESHNESS_NONE);
	return rows;
}

static void
test_list_comes_in_frames_of_32_rows(void **state)
{
	struct fixture *f = *state;
	static char ids[98][12];
	unsigned int i, kinds[3] = { 0 };

	for (i = 0; i < 98; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "sec_%03u", i);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], ids[i], "v");
	}
	assert_int_equal(send_list(f, 6, REF_SECRET), 0);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	assert_int_equal(take_rows(f, 6, false, kinds), 32);
	assert_int_equal(take_rows(f, 6, false, kinds), 32);
	assert_int_equal(take_rows(f, 6, false, kinds), 32);
	assert_int_equal(take_rows(f, 6, true, kinds), 4);
	expect_nothing(f);
	assert_int_equal(kinds[REF_SECRET], 100);
	assert_int_equal(kinds[REF_KEY], 0);
	assert_true(session_is_idle(&f->s));
}

/* A newer listing takes the place of the one that is being told. */
static void
test_list_under_way_survives_a_purge(void **state)
{
	struct fixture *f = *state;
	static char ids[98][12], names[98][1001];
	unsigned int i, kinds[3] = { 0 };

	for (i = 0; i < 98; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "sec_%03u", i);
		/* so long that they do not fit into out at once */
		(void)snprintf(names[i], sizeof(names[i]), "%01000u", i);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], names[i], "v");
	}
	assert_int_equal(send_list(f, 6, REF_SECRET), 0);
	fake_upstream_serve(&f->fu);
	assert_true(session_render(&f->s, f->out));
	(void)fetch_purge_all(f->fetch);
	expect_hello(f);
	while (kinds[REF_SECRET] < 96)
		(void)take_rows(f, 6, false, kinds);
	assert_int_equal(take_rows(f, 6, true, kinds), 4);
}

static void
test_list_of_both_kinds_ends_once(void **state)
{
	struct fixture *f = *state;
	unsigned int kinds[3] = { 0 };

	assert_int_equal(send_list(f, 6, 0), 0);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	(void)take_rows(f, 6, false, kinds);
	(void)take_rows(f, 6, true, kinds);
	expect_nothing(f);
	assert_int_equal(kinds[REF_SECRET], 2);
	assert_int_equal(kinds[REF_KEY], 1);
}

static void
test_list_tells_how_fresh_the_values_are(void **state)
{
	struct fixture *f = *state;
	struct msg_row row;
	struct view pos;
	unsigned int i;

	get(f, SECRET("db/prod"));
	fake_time_pass(500);
	assert_int_equal(send_list(f, 6, REF_SECRET), 0);
	fake_upstream_serve(&f->fu);
	collect(f);
	expect(f, FRAME_ROWS, 6);
	pos = f->frame.body;
	for (i = 0; i < 2; i++) {
		assert_int_equal(msg_row_next(&pos, &row), 0);
		assert_int_equal(row.meta.freshness, i == 0 ? MSG_FRESH
		    : MSG_FRESHNESS_NONE);
		assert_int_equal(row.meta.version, 1);
	}
	/* and never a value */
	assert_null(memmem(f->frame.body.p, f->frame.body.len, "one", 3));
}

static void
test_list_shows_what_the_caller_may_list(void **state)
{
	struct fixture *f = *state;
	unsigned int kinds[3] = { 0 };

	add_rule(f->settings.policy, "54321", "db/**", NULL, "list");
	open_as(f, APP);
	fake_upstream_add(&f->fu, REF_SECRET, "s-off", "db/off", "x")->
	    inactive = true;
	assert_int_equal(send_list(f, 6, 0), 0);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	(void)take_rows(f, 6, false, kinds);
	(void)take_rows(f, 6, true, kinds);
	assert_int_equal(kinds[REF_SECRET], 1);
	assert_int_equal(kinds[REF_KEY], 0);
}

static void
test_list_without_the_right_is_denied_without_a_question(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	assert_int_equal(send_list(f, 6, 0), 0);
	expect_hello(f);
	expect_error(f, 6, ERR_DENIED);
	assert_int_equal(f->fu.started, 0);
	assert_int_equal(f->metrics.denied, 1);
}

static void
test_list_that_fails_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct msg_list m = { .terms = no_terms(), .kind = 0 };
	struct wr wr;

	f->fu.list_status = 403;
	assert_int_equal(send_list(f, 6, 0), 0);
	fake_upstream_serve(&f->fu);
	expect_hello(f);
	expect_error(f, 6, ERR_INSUFFICIENT_SCOPE);
	m.terms.deadline_ms = 1000;
	wr = begin(f);
	msg_list_encode(&wr, 7, &m);
	f->fu.list_status = 0;
	assert_int_equal(handle(f, &wr), 0);
	fake_time_pass(1000);
	collect(f);
	expect_error(f, 7, ERR_TIMEOUT);
	assert_true(session_is_idle(&f->s));
	fake_upstream_serve(&f->fu);
	expect_nothing(f);
}

static void
test_list_of_the_kind_that_works_is_told(void **state)
{
	struct fixture *f = *state;
	unsigned int kinds[3] = { 0 }, i;

	assert_int_equal(send_list(f, 6, 0), 0);
	fake_time_run();
	for (i = 0; i < 2; i++) {
		struct upstream_call *call = fake_upstream_first(&f->fu);

		if (call->req.op == UPSTREAM_LIST_KEYS)
			fake_upstream_answer_status(&f->fu, call, 403);
		else
			fake_upstream_answer_table(&f->fu, call);
	}
	fake_time_run();
	expect_hello(f);
	(void)take_rows(f, 6, true, kinds);
	assert_int_equal(kinds[REF_SECRET], 2);
	expect_nothing(f);
}

/* --- REFRESH, PURGE, STATUS --- */

static void
test_refresh_tells_the_version_and_no_value(void **state)
{
	struct fixture *f = *state;

	get(f, SECRET("db/prod"));
	f->fu.things[0].version = 2;
	ask(f, FRAME_REFRESH, SECRET("db/prod"));
	assert_int_equal(f->result.error, 0);
	assert_int_equal(f->result.meta.version, 2);
	assert_int_equal(f->result.meta.freshness, MSG_FRESH);
	assert_int_equal(f->result.content, 0);
	assert_int_equal(f->fu.reads, 2);
	open_as(f, APP);
	ask(f, FRAME_REFRESH, SECRET("web"));
	check_error(f, 0, ERR_DENIED);
	ask(f, FRAME_REFRESH, SECRET("db/prod"));
	assert_int_equal(f->result.error, 0);
}

static void
test_refresh_all_counts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_all(f, FRAME_REFRESH, 2), 0);
	expect_hello(f);
	expect_done(f, 2, 0, 0);
	get(f, SECRET("db/prod"));
	get(f, SECRET("web"));
	get(f, "qapi://keys/sign/public?format=pem");
	f->fu.things[1].status = 404;
	f->fu.reads = 0;
	assert_int_equal(send_all(f, FRAME_REFRESH, 3), 0);
	fake_upstream_serve(&f->fu);
	collect(f);
	expect_done(f, 3, 2, 1);
	assert_int_equal(f->fu.reads, 3);
	assert_true(session_is_idle(&f->s));
}

static void
test_all_needs_admin(void **state)
{
	struct fixture *f = *state;

	get(f, SECRET("web"));
	open_as(f, LISTER);
	assert_int_equal(send_all(f, FRAME_REFRESH, 2), 0);
	assert_int_equal(send_all(f, FRAME_PURGE, 3), 0);
	expect_hello(f);
	expect_error(f, 2, ERR_DENIED);
	expect_error(f, 3, ERR_DENIED);
	open_as(f, ADMIN);
	assert_int_equal(send_all(f, FRAME_PURGE, 4), 0);
	expect_hello(f);
	expect_done(f, 4, 1, 0);
	assert_int_equal(send_all(f, FRAME_PURGE, 5), 0);
	collect(f);
	expect_done(f, 5, 0, 0);
}

static void
test_purge_of_a_reference_needs_admin(void **state)
{
	struct fixture *f = *state;

	get(f, SECRET("web"));
	open_as(f, LISTER);
	ask(f, FRAME_PURGE, SECRET("web"));
	check_error(f, 0, ERR_DENIED);
	open_as(f, ADMIN);
	ask(f, FRAME_PURGE, SECRET("web"));
	assert_int_equal(f->result.error, 0);
	ask(f, FRAME_PURGE, SECRET("web"));
	check_error(f, 0, ERR_NOT_FOUND);
	ask(f, FRAME_PURGE, "nonsense");
	check_error(f, 0, ERR_BAD_REQUEST);
}

static void
test_purge_while_somebody_waits_answers_both(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_one(f, FRAME_GET, 4, SECRET(UUID_1)), 0);
	fake_time_run();
	assert_int_equal(send_one(f, FRAME_PURGE, 5, SECRET(UUID_1)), 0);
	expect_hello(f);
	expect_result(f, 5, false);
	check_error(f, 0, ERR_NOT_FOUND);
	fake_upstream_serve(&f->fu);
	collect(f);
	expect_result(f, 4, false);
	check_value(f, 0, "one", MSG_FRESH);
}

static void
test_status_tells_figures_and_no_names(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {
		"version", "pid", "uptimeSeconds", "upstream.url",
		"upstream.state", "upstream.breaker",
		"upstream.lastSuccessAgeSeconds", "cache.secrets",
		"cache.keys", "cache.bytes", "cache.maxBytes", "cache.hits",
		"cache.misses", "cache.stale", "clients", "memory.lockedBytes",
	};
	struct msg_stat stat;
	struct view pos;
	size_t i;
	bool found;

	get(f, SECRET("db/prod"));
	open_as(f, NOBODY);	/* open to whoever may connect */
	assert_int_equal(send_empty(f, FRAME_STATUS, 3), 0);
	expect_hello(f);
	expect(f, FRAME_STATS, 3);
	for (i = 0; i < UNIT_COUNT(names); i++) {
		found = false;
		pos = f->frame.body;
		while (msg_stat_next(&pos, &stat) == 0) {
			if (!unit_view_is(stat.name, names[i]))
				continue;
			found = true;
			if (i == 4)
				assert_true(unit_view_is(stat.text, "ok"));
			if (i == 7)
				assert_int_equal(stat.number, 1);
		}
		if (!found)
			print_error("no %s\n", names[i]);
		assert_true(found);
	}
	assert_null(memmem(f->frame.body.p, f->frame.body.len, "db/prod", 7));
	assert_null(memmem(f->frame.body.p, f->frame.body.len, "one", 3));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_first_frame_is_hello_and_it_comes_once),
		test(test_hello_of_the_client_is_not_answered),
		test(test_unknown_type_is_answered_and_the_connection_goes_on),
		test(test_frames_that_end_the_connection),
		test(
		    test_critical_field_is_unsupported_and_the_connection_goes_on),
		test(test_refused_frame_has_hello_before_it),
		test(test_caller_who_asks_too_often_is_told_so),
		test(test_value_comes_later_and_from_then_on_at_once),
		test(test_answers_overtake_and_all_but_the_last_say_more),
		test(test_256_references_in_one_request),
		test(test_what_finds_no_room_is_rendered_later),
		test(test_large_value_is_sent_from_where_it_lies),
		test(test_fields_are_selected_and_unset_ones_named),
		test(test_seed_of_one_time_codes_never_leaves),
		test(test_forms_of_a_key_tell_what_they_are),
		test(test_deadline_is_kept),
		test(test_deadline_of_zero_gives_what_is_there),
		test(test_terms_hold_for_every_reference),
		test(test_stale_values_are_marked_and_counted),
		test(test_too_many_unanswered_leave_no_room),
		test(test_session_ends_at_any_moment),
		test(test_name_that_is_not_allowed_is_denied_without_a_question),
		test(test_allowed_name_is_given_and_its_errors_told),
		test(
		    test_id_is_judged_by_its_name_and_unknown_ids_are_denied_too),
		test(test_rule_by_id_is_about_the_thing),
		test(test_name_that_is_the_id_of_something_forbidden_is_denied),
		test(test_renamed_out_of_the_rules_is_denied),
		test(test_who_asks_by_id_is_told_that_it_expired),
		test(test_nameless_form_of_a_key_goes_by_the_name_on_the_list),
		test(test_policy_change_counts_for_connections_that_are_open),
		test(test_policy_change_counts_for_answers_under_way),
		test(test_list_comes_in_frames_of_32_rows),
		test(test_list_under_way_survives_a_purge),
		test(test_list_of_both_kinds_ends_once),
		test(test_list_tells_how_fresh_the_values_are),
		test(test_list_shows_what_the_caller_may_list),
		test(test_list_without_the_right_is_denied_without_a_question),
		test(test_list_that_fails_is_an_error),
		test(test_list_of_the_kind_that_works_is_told),
		test(test_refresh_tells_the_version_and_no_value),
		test(test_refresh_all_counts),
		test(test_all_needs_admin),
		test(test_purge_of_a_reference_needs_admin),
		test(test_purge_while_somebody_waits_answers_both),
		test(test_status_tells_figures_and_no_names),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
