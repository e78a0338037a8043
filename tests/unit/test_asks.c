/*
 * WATCH, REJECT, EXPLAIN, DRILL and METRICS through a session, with time and
 * the service in the test's hands.
 */
#include "config.h"

#include "fake_upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit.h"
#include "drill.h"
#include "err.h"
#include "fake_time.h"
#include "limit.h"
#include "msg_report.h"
#include "msg_watch.h"
#include "peer.h"
#include "policy.h"
#include "position.h"
#include "reject.h"
#include "session.h"
#include "settings.h"
#include "status.h"
#include "watch.h"

#define SECOND 1000u
#define INTERVAL (300u * SECOND)
#define UUID_1 "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
#define UUID_9 "5f0c1a7e-0009-4c7b-9d1e-0123456789ab"
#define SECRET(text) "qapi://secrets/" text

#define APP 54321u		/* reads and watches db/ */
#define NOBODY 54324u		/* no rule at all */

#define TX_MAX (1u << 20)
#define RX_MAX (4u << 20)

struct fixture {
	struct fake_upstream fu;
	struct fetch *fetch;
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct secmem key;
	struct session s;
	struct caller caller;
	struct out *out;
	bool open;
	unsigned int wakes;
	unsigned int drill_changes;
	int fds[2];
	uint8_t *tx;
	uint8_t *rx;
	size_t rx_len;
	size_t rx_pos;
	struct frame frame;
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
event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct fixture *f = arg;

	watch_event(f->env.watch, e, ev);
}

static void
drill_changed(void *arg)
{
	((struct fixture *)arg)->drill_changes++;
}

static void
woken(void *arg)
{
	((struct fixture *)arg)->wakes++;
}

static struct policy *
make_policy(const char *secrets)
{
	struct policy *pol = policy_new(false);
	char why[512];

	assert_non_null(pol);
	assert_int_equal(policy_rule_begin(pol, "app"), 0);
	assert_int_equal(policy_rule_set(pol, "user", "54321", why,
	    sizeof(why)), 0);
	assert_int_equal(policy_rule_set(pol, "secrets", secrets, why,
	    sizeof(why)), 0);
	assert_int_equal(policy_rule_end(pol, why, sizeof(why)), 0);
	return pol;
}

static void
open_as(struct fixture *f, uid_t uid)
{
	struct peer *peer = peer_new_fake(uid, uid, NULL, 0, NULL, NULL);

	assert_non_null(peer);
	if (f->open)
		session_done(&f->s);
	session_init(&f->s, &f->env, peer, woken, f);
	f->s.caller = &f->caller;
	f->s.hello_sent = true;
	f->open = true;
}

static void
build(struct fixture *f)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 4u << 20,
			.refresh_interval_ms = INTERVAL,
			.refresh_lead_ms = 60 * SECOND,
			.reread_interval_ms = 86400 * SECOND,
			.max_stale_ms = 3600 * SECOND,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 86400 * SECOND,
		},
		.unauthorized_grace_ms = INTERVAL, .max_in_flight = 16,
	};
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = ignore,
		.wiped = ignore, .event = event, .arg = f,
	};
	char why[512];

	f->settings.policy = make_policy("db/**");
	f->settings.url = strdup("https://service.example/api/v1");
	assert_int_equal(secmem_copy(&f->key, "0123456789abcdef0123456789abcdef",
	    32, SECMEM_LIBRARY), 0);
	f->fetch = fetch_new(NULL, &f->fu.up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	f->env = (struct session_env){
		.fetch = f->fetch, .settings = &f->settings,
		.policy_generation = 1, .metrics = &f->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0), .position_key = &f->key,
		.watch = watch_new(NULL, f->fetch, &f->key),
		.rejects = rejects_new(f->fetch, &f->metrics),
		.drill = drill_new(NULL, f->fetch, drill_changed, f),
	};
	assert_non_null(f->env.audit);
	assert_non_null(f->env.limit);
	assert_non_null(f->env.watch);
	assert_non_null(f->env.rejects);
	assert_non_null(f->env.drill);
	watch_configure(f->env.watch, INTERVAL);
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
	f->tx = malloc(TX_MAX);
	f->rx = malloc(RX_MAX);
	assert_true(f->out != NULL && f->tx != NULL && f->rx != NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, f->fds), 0);
	(void)setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	fake_upstream_add(&f->fu, REF_SECRET, UUID_1, "db/one", "1");
	fake_upstream_add(&f->fu, REF_SECRET, "sec_2", "web", "2");
	open_as(f, 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	session_done(&f->s);
	assert_int_equal(f->caller.waiting, 0);
	assert_int_equal(f->caller.watches, 0);
	assert_int_equal(f->caller.text_bytes, 0);
	out_free(f->out);
	drill_free(f->env.drill);
	rejects_free(f->env.rejects);
	watch_free(f->env.watch);
	f->env.watch = NULL;
	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	audit_free(f->env.audit);
	limit_free(f->env.limit);
	policy_free(f->settings.policy);
	free(f->settings.url);
	secmem_free_bytes(&f->key);
	(void)close(f->fds[0]);
	(void)close(f->fds[1]);
	free(f->tx);
	free(f->rx);
	free(f);
	return 0;
}

/* --- sending and receiving --- */

static void
flush(struct fixture *f)
{
	struct out_backlog *b = NULL;
	ssize_t n;

	assert_int_equal(out_flush(f->out, f->fds[0], &b), 0);
	do {
		n = read(f->fds[1], f->rx + f->rx_len, RX_MAX - f->rx_len);
		f->rx_len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
}

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

static struct wr
begin(struct fixture *f)
{
	struct wr wr;

	wr_init(&wr, f->tx, TX_MAX);
	return wr;
}

static void
handle(struct fixture *f, const struct wr *wr)
{
	struct frame frame;

	assert_false(wr->failed);
	assert_int_equal(frame_cut(wr->p, wr->len, FRAME_REQUEST_MAX,
	    &frame), 0);
	assert_int_equal(session_handle(&f->s, &frame, &fake_now, f->out), 0);
	memset(f->tx, 0xee, wr->len); /* what is needed was copied */
}

static bool
take(struct fixture *f)
{
	if (f->rx_pos == f->rx_len)
		return false;
	assert_int_equal(frame_cut(f->rx + f->rx_pos, f->rx_len - f->rx_pos,
	    FRAME_ANSWER_MAX, &f->frame), 0);
	f->rx_pos += f->frame.total;
	return true;
}

static void
expect(struct fixture *f, uint8_t type, uint64_t id, bool more)
{
	collect(f);
	assert_true(take(f));
	assert_int_equal(f->frame.type, type);
	assert_true(f->frame.id == id);
	assert_int_equal(f->frame.flags, more ? FRAME_MORE : 0);
}

static void
expect_nothing(struct fixture *f)
{
	collect(f);
	assert_false(take(f));
}

static struct msg_result
expect_result(struct fixture *f, uint64_t id, bool more)
{
	struct msg_result m;

	expect(f, FRAME_RESULT, id, more);
	assert_int_equal(msg_result_decode(f->frame.body, &m), 0);
	assert_int_equal(m.value.len, 0);
	return m;
}

static struct msg_event
expect_event(struct fixture *f, uint64_t id, uint8_t reason)
{
	struct msg_event m;

	expect(f, FRAME_EVENT, id, true);
	assert_int_equal(msg_event_decode(f->frame.body, &m), 0);
	assert_int_equal(m.reason, reason);
	return m;
}

static void
expect_error(struct fixture *f, uint64_t id, int error)
{
	struct msg_error m;

	expect(f, FRAME_ERROR, id, false);
	assert_int_equal(msg_error_decode(f->frame.body, &m), 0);
	assert_int_equal(m.error, error);
	assert_true(m.message.len > 0);
}

static void
send_watch(struct fixture *f, uint64_t id, uint64_t deadline_ms,
    const char *ref, const struct position *seen)
{
	const struct msg_watch_ref one = {
		.ref = unit_view(ref),
		.position = seen != NULL ? position_view(seen)
		    : (struct view){ NULL, 0 },
	};
	struct wr wr = begin(f);
	size_t start = msg_watch_begin(&wr, id, deadline_ms);

	msg_watch_add(&wr, &one);
	frame_end(&wr, start, 0);
	handle(f, &wr);
}

static void
send_empty(struct fixture *f, uint8_t type, uint64_t id)
{
	struct wr wr = begin(f);

	msg_empty_encode(&wr, type, id);
	handle(f, &wr);
}

static void
send_reject(struct fixture *f, uint64_t id, uint64_t deadline_ms,
    const char *ref)
{
	const struct msg_reject m = {
		.deadline_ms = deadline_ms, .ref = unit_view(ref),
	};
	struct wr wr = begin(f);

	msg_reject_encode(&wr, id, &m);
	handle(f, &wr);
}

static void
change(struct fixture *f, size_t i)
{
	f->fu.things[i].version++;
}

/* --- WATCH --- */

static void
test_watch_first_answer_then_events(void **state)
{
	struct fixture *f = *state;
	struct msg_result m;
	struct position first, at;

	send_watch(f, 7, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	expect_nothing(f);
	fake_upstream_serve(&f->fu);
	m = expect_result(f, 7, true);
	assert_int_equal(m.error, 0);
	assert_int_equal(m.meta.freshness, MSG_FRESH);
	assert_true(unit_view_is(m.meta.name, "db/one"));
	position_from_view(m.position, &first);
	assert_false(position_is_none(&first));
	expect_nothing(f);
	change(f, 0);
	fake_upstream_pass(&f->fu, INTERVAL);
	position_from_view(expect_event(f, 7, MSG_REASON_CHANGED).position,
	    &at);
	assert_false(position_equal(&first, &at));
	expect_nothing(f);
	/* the same contents once more are no news */
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	expect_nothing(f);
	assert_int_equal(f->metrics.watch_events[CACHE_EVENT_CHANGED], 1);
}

static void
test_watch_with_a_position_tells_the_difference(void **state)
{
	struct fixture *f = *state;
	struct position seen, other = { { 1 } };

	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), &other);
	fake_upstream_serve(&f->fu);
	position_from_view(expect_result(f, 1, true).position, &seen);
	(void)expect_event(f, 1, MSG_REASON_CHANGED);
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("db/one"), &seen);
	(void)expect_result(f, 2, true);
	expect_nothing(f);
}

static void
test_watch_deadline_answers_and_goes_on(void **state)
{
	struct fixture *f = *state;
	struct msg_result m;
	struct position seen = { { 9 } }, at;

	send_watch(f, 1, SECOND, SECRET("db/one"), &seen);
	fake_time_pass(2 * SECOND);
	m = expect_result(f, 1, true);
	assert_int_equal(m.error, ERR_TIMEOUT);
	position_from_view(m.position, &at);
	assert_true(position_equal(&at, &seen));
	fake_upstream_pass(&f->fu, 30 * SECOND);
	(void)expect_event(f, 1, MSG_REASON_CHANGED);
	expect_nothing(f);
}

static void
test_watch_not_found_then_found_then_gone(void **state)
{
	struct fixture *f = *state;
	struct msg_result m;
	struct position at;

	send_watch(f, 1, MSG_NO_LIMIT, SECRET("new"), NULL);
	fake_upstream_serve(&f->fu);
	m = expect_result(f, 1, true);
	assert_int_equal(m.error, ERR_NOT_FOUND);
	position_from_view(m.position, &at);
	assert_true(position_is_none(&at));
	f->fu.things[1].name = "new";
	fake_upstream_pass(&f->fu, INTERVAL + 20 * SECOND);
	(void)expect_event(f, 1, MSG_REASON_CHANGED);
	f->fu.things[1].status = 404;
	f->fu.things[1].name = NULL;
	fake_upstream_pass(&f->fu, INTERVAL + 20 * SECOND);
	position_from_view(expect_event(f, 1, MSG_REASON_GONE).position,
	    &at);
	assert_true(position_is_none(&at));
	expect_nothing(f);
}

static void
test_watch_events_wait_for_the_reader_and_are_few(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	send_watch(f, 1, MSG_NO_LIMIT, SECRET(UUID_1), NULL);
	fake_upstream_serve(&f->fu);
	(void)expect_result(f, 1, true);
	for (i = 0; i < 20; i++) {
		change(f, 0);
		fake_upstream_pass(&f->fu, INTERVAL);
		f->fu.mode = FAKE_NO_CONNECTION;
		fake_upstream_pass(&f->fu, INTERVAL);
		f->fu.mode = FAKE_OK;
		fake_upstream_pass(&f->fu, 60 * SECOND);
	}
	/* one of them all, and it is not stale any more */
	(void)expect_event(f, 1, MSG_REASON_CHANGED);
	expect_nothing(f);
}

static void
test_watch_cancel(void **state)
{
	struct fixture *f = *state;
	struct watch_stats stats;

	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	fake_upstream_serve(&f->fu);
	(void)expect_result(f, 1, true);
	(void)expect_result(f, 2, true);
	send_empty(f, FRAME_CANCEL, 1);
	expect(f, FRAME_DONE, 1, false);
	send_empty(f, FRAME_CANCEL, 1);
	send_empty(f, FRAME_CANCEL, 99);
	expect_nothing(f);
	watch_get_stats(f->env.watch, &stats);
	assert_int_equal(stats.subscriptions, 1);
	assert_int_equal(f->s.watches, 1);
	assert_int_equal(f->caller.watches, 1);
	/* and while the first answer is owed */
	send_watch(f, 3, MSG_NO_LIMIT, SECRET("web"), NULL);
	send_empty(f, FRAME_CANCEL, 3);
	expect(f, FRAME_DONE, 3, false);
	fake_upstream_serve(&f->fu);
	expect_nothing(f);
	assert_int_equal(f->s.waiting, 0);
}

static void
test_watch_denied(void **state)
{
	struct fixture *f = *state;
	struct msg_result m;

	open_as(f, NOBODY);
	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	m = expect_result(f, 1, false);
	assert_int_equal(m.error, ERR_DENIED);
	assert_int_equal(m.position.len, 0);
	assert_true(session_is_idle(&f->s));
	assert_int_equal(f->fu.started, 0);
	open_as(f, APP);
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("sec_2"), NULL);
	fake_upstream_serve(&f->fu);
	assert_int_equal(expect_result(f, 2, false).error, ERR_DENIED);
	send_watch(f, 3, MSG_NO_LIMIT, SECRET(UUID_9), NULL);
	fake_upstream_serve(&f->fu);
	assert_int_equal(expect_result(f, 3, false).error, ERR_DENIED);
}

static void
test_watch_ends_when_policy_takes_the_right(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("db/none"), NULL);
	fake_upstream_serve(&f->fu);
	/* the listing is enough for one of them */
	(void)expect_result(f, 2, true);
	(void)expect_result(f, 1, true);
	f->env.policy_generation++;
	watch_recheck(f->env.watch);
	expect_nothing(f);
	policy_free(f->settings.policy);
	f->settings.policy = make_policy("web");
	f->env.policy_generation++;
	watch_recheck(f->env.watch);
	assert_int_equal(expect_result(f, 1, false).error, ERR_DENIED);
	assert_int_equal(expect_result(f, 2, false).error, ERR_DENIED);
	assert_true(session_is_idle(&f->s));
}

static void
test_watch_is_bounded(void **state)
{
	struct fixture *f = *state;

	f->s.watches = SESSION_WATCHES_MAX;
	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	assert_int_equal(expect_result(f, 1, false).error, ERR_BUSY);
	f->s.watches = 0;
	f->caller.watches = CALLER_WATCHES_MAX;
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	assert_int_equal(expect_result(f, 2, false).error, ERR_BUSY);
	f->caller.watches = 0;
	f->caller.waiting = CALLER_WAITING_MAX + 1;
	send_watch(f, 3, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	assert_int_equal(expect_result(f, 3, false).error, ERR_BUSY);
	f->caller.waiting = 0;
}

static void
test_session_that_ends_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct watch_stats stats;

	send_watch(f, 1, MSG_NO_LIMIT, SECRET("db/one"), NULL);
	fake_upstream_serve(&f->fu);
	send_watch(f, 2, MSG_NO_LIMIT, SECRET("web"), NULL);
	send_reject(f, 3, MSG_NO_LIMIT, SECRET("web"));
	open_as(f, 0);
	watch_get_stats(f->env.watch, &stats);
	assert_int_equal(stats.subscriptions, 0);
	fake_upstream_serve(&f->fu);
	expect_nothing(f);
}

/* --- REJECT --- */

static void
test_reject_is_one_read_in_five_seconds(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;
	uint64_t id;

	for (id = 1; id <= 10; id++)
		send_reject(f, id, MSG_NO_LIMIT, id % 2 ? SECRET("db/one")
		    : SECRET("db/one?field=username"));
	fake_upstream_serve(&f->fu);
	for (id = 1; id <= 10; id++)
		/* nothing was held before */
		assert_true(expect_result(f, id, false).changed);
	reads = f->fu.reads;
	change(f, 0);
	fake_time_pass(REJECT_PAUSE_MS - 1);
	/* by name at first, as nothing was known: then by id */
	send_reject(f, 11, MSG_NO_LIMIT, SECRET(UUID_1));
	fake_upstream_serve(&f->fu);
	(void)expect_result(f, 11, false);
	reads = f->fu.reads;
	send_reject(f, 12, MSG_NO_LIMIT, SECRET("db/one"));
	fake_upstream_serve(&f->fu);
	(void)expect_result(f, 12, false);
	assert_int_equal(f->fu.reads, reads);
	fake_time_pass(REJECT_PAUSE_MS);
	change(f, 0);
	send_reject(f, 13, MSG_NO_LIMIT, SECRET("db/one"));
	fake_upstream_serve(&f->fu);
	assert_true(expect_result(f, 13, false).changed);
	assert_int_equal(f->fu.reads, reads + 1);
	fake_time_pass(REJECT_PAUSE_MS);
	send_reject(f, 14, MSG_NO_LIMIT, SECRET("db/one"));
	fake_upstream_serve(&f->fu);
	assert_false(expect_result(f, 14, false).changed);
	assert_int_equal(f->metrics.rejects, 14);
}

static void
test_reject_deadline_and_failure(void **state)
{
	struct fixture *f = *state;

	send_reject(f, 1, SECOND, SECRET(UUID_1));
	send_reject(f, 2, MSG_NO_LIMIT, SECRET(UUID_1));
	fake_time_pass(2 * SECOND);
	assert_int_equal(expect_result(f, 1, false).error, ERR_TIMEOUT);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, 60 * SECOND);
	assert_int_equal(expect_result(f, 2, false).error,
	    ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_reject_denied(void **state)
{
	struct fixture *f = *state;

	open_as(f, APP);
	send_reject(f, 1, MSG_NO_LIMIT, SECRET("a/b"));
	assert_int_equal(expect_result(f, 1, false).error, ERR_DENIED);
	assert_int_equal(f->fu.started, 0);
	send_reject(f, 2, MSG_NO_LIMIT, "qapi://x");
	assert_int_equal(expect_result(f, 2, false).error, ERR_BAD_REQUEST);
	/* found to be another's only after it was read */
	send_reject(f, 3, MSG_NO_LIMIT, SECRET("sec_2"));
	fake_upstream_serve(&f->fu);
	assert_int_equal(expect_result(f, 3, false).error, ERR_DENIED);
}

static void
test_reject_table_is_bounded(void **state)
{
	struct fixture *f = *state;
	char ref[64];
	uint64_t id;

	for (id = 1; id <= REJECT_MAX; id++) {
		(void)snprintf(ref, sizeof(ref), SECRET("x/%u"),
		    (unsigned int)id);
		send_reject(f, id, MSG_NO_LIMIT, ref);
		fake_upstream_serve(&f->fu);
		assert_int_equal(expect_result(f, id, false).error,
		    ERR_NOT_FOUND);
	}
	send_reject(f, id, MSG_NO_LIMIT, SECRET("more"));
	assert_int_equal(expect_result(f, id, false).error, ERR_BUSY);
	fake_time_pass(REJECT_PAUSE_MS);
	send_reject(f, id, MSG_NO_LIMIT, SECRET("more"));
	fake_upstream_serve(&f->fu);
	assert_int_equal(expect_result(f, id, false).error, ERR_NOT_FOUND);
}

/* --- DRILL --- */

static void
send_drill(struct fixture *f, uint64_t id, uint64_t ms)
{
	const struct msg_drill m = { .duration_ms = ms };
	struct wr wr = begin(f);

	msg_drill_encode(&wr, id, &m);
	handle(f, &wr);
}

static void
send_get(struct fixture *f, uint64_t id, const char *ref)
{
	struct msg_terms terms;
	struct wr wr = begin(f);
	size_t start;

	msg_terms_init(&terms);
	start = msg_refs_begin(&wr, FRAME_GET, id, &terms, false);
	msg_refs_add(&wr, ref, strlen(ref));
	frame_end(&wr, start, 0);
	handle(f, &wr);
	fake_upstream_serve(&f->fu);
	expect(f, FRAME_RESULT, id, false);
}

static void
test_drill_lasts_as_long_as_it_was_to(void **state)
{
	struct fixture *f = *state;
	struct msg_drilled whole;
	struct msg_drill_read read_row;
	struct msg_drill_value value;
	struct view pos;
	char line[512];

	send_get(f, 1, SECRET("db/one"));
	fake_upstream_pass(&f->fu, 20 * SECOND);
	send_drill(f, 2, 600 * SECOND);
	expect(f, FRAME_DRILLED, 2, true);
	assert_int_equal(msg_drilled_decode(f->frame.body, &whole), 0);
	assert_true(whole.duration_ms == 600 * SECOND);
	assert_true(drill_runs(f->env.drill));
	assert_true(fetch_is_offline(f->fetch));
	assert_int_equal(f->drill_changes, 1);
	assert_non_null(strstr(status_line(&f->env, &fake_now, line,
	    sizeof(line)), "DRILL, 10m left"));
	send_get(f, 3, SECRET("db/none"));
	fake_upstream_pass(&f->fu, 400 * SECOND);
	send_get(f, 4, SECRET("db/one"));
	expect_nothing(f);
	assert_int_equal(drill_left_ms(f->env.drill, &fake_now),
	    200 * SECOND);
	fake_upstream_pass(&f->fu, 200 * SECOND);
	expect(f, FRAME_DRILLED, 2, false);
	assert_int_equal(msg_drilled_decode(f->frame.body, &whole), 0);
	assert_true(whole.elapsed_ms == 600 * SECOND);
	assert_int_equal(whole.count, 2);
	assert_int_equal(whole.failed, 1);
	pos = f->frame.body;
	assert_int_equal(msg_drill_read_next(&pos, &read_row), 0);
	assert_int_equal(read_row.error, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(msg_drill_read_next(&pos, &read_row), 0);
	assert_int_equal(read_row.freshness, MSG_STALE);
	assert_int_equal(read_row.count, 1);
	assert_int_equal(msg_drill_read_next(&pos, &read_row), ERR_AGAIN);
	pos = f->frame.body;
	assert_int_equal(msg_drill_value_next(&pos, &value), 0);
	assert_true(unit_view_is(value.id, UUID_1));
	assert_int_equal(value.limit, MSG_LIMIT_MAX_STALE);
	assert_true(value.unusable_in_ms == 3580 * SECOND);
	assert_int_equal(msg_drill_value_next(&pos, &value), ERR_AGAIN);
	assert_false(fetch_is_offline(f->fetch));
	assert_false(drill_runs(f->env.drill));
	assert_int_equal(f->drill_changes, 2);
}

static void
test_drill_ends_with_its_session(void **state)
{
	struct fixture *f = *state;

	send_drill(f, 1, 600 * SECOND);
	expect(f, FRAME_DRILLED, 1, true);
	send_drill(f, 2, SECOND);
	expect_error(f, 2, ERR_BUSY);
	open_as(f, 0);
	assert_false(fetch_is_offline(f->fetch));
	send_drill(f, 3, SECOND);
	expect(f, FRAME_DRILLED, 3, true);
	drill_stop(f->env.drill);
	expect(f, FRAME_DRILLED, 3, false);
	drill_stop(f->env.drill);
	expect_nothing(f);
}

static void
test_drill_report_is_in_parts(void **state)
{
	struct fixture *f = *state;
	struct msg_drill_read row;
	struct view pos;
	char ref[64];
	unsigned int i, rows = 0;

	send_drill(f, 1, 600 * SECOND);
	expect(f, FRAME_DRILLED, 1, true);
	for (i = 0; i < 100; i++) {
		(void)snprintf(ref, sizeof(ref), SECRET("x/%u"), i);
		send_get(f, 2 + i, ref);
	}
	send_empty(f, FRAME_CANCEL, 1);
	collect(f);
	do {
		assert_true(take(f));
		pos = f->frame.body;
		while (msg_drill_read_next(&pos, &row) == 0)
			rows++;
	} while (f->frame.flags == FRAME_MORE);
	assert_int_equal(rows, 100);
	expect_nothing(f);
}

static void
test_drill_refuses(void **state)
{
	struct fixture *f = *state;

	send_drill(f, 1, 0);
	expect_error(f, 1, ERR_BAD_REQUEST);
	send_drill(f, 2, MSG_DRILL_MAX_MS + 1);
	expect_error(f, 2, ERR_BAD_REQUEST);
	open_as(f, APP);
	send_drill(f, 3, SECOND);
	expect_error(f, 3, ERR_DENIED);
	assert_false(fetch_is_offline(f->fetch));
}

/* --- METRICS, EXPLAIN --- */

static size_t
metrics_len(struct fixture *f, uint64_t id, bool names)
{
	const struct msg_metrics m = { .names = names };
	struct msg_text text;
	struct wr wr = begin(f);
	size_t len = 0;

	msg_metrics_encode(&wr, id, &m);
	handle(f, &wr);
	collect(f);
	do {
		assert_true(take(f));
		assert_int_equal(f->frame.type, FRAME_METRICS_TEXT);
		assert_int_equal(msg_text_decode(f->frame.body, &text), 0);
		assert_int_equal(text.text.p[text.text.len - 1], '\n');
		len += text.text.len;
	} while (f->frame.flags == FRAME_MORE);
	assert_memory_equal(text.text.p + text.text.len - 6, "# EOF\n", 6);
	return len;
}

static void
test_metrics_with_names_come_in_parts(void **state)
{
	enum { MANY = 250, NAME = 240 };
	static char names[MANY][NAME], ids[MANY][16];
	struct fixture *f = *state;
	char ref[4096];
	size_t i, without;

	for (i = 0; i < MANY; i++) {
		memset(names[i], 'n', NAME - 1);
		memcpy(names[i], "db/", 3);
		(void)snprintf(ids[i], sizeof(ids[i]), "sec_%04zu", i);
		memcpy(names[i] + 3, ids[i], 8);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], names[i], "v");
		(void)snprintf(ref, sizeof(ref), SECRET("%s"), ids[i]);
		send_get(f, 1, ref);
	}
	without = metrics_len(f, 2, false);
	assert_true(without < 32768);
	assert_true(metrics_len(f, 3, true) > without + MANY * 2 * NAME);
}

static void
test_metrics_that_are_not_read_are_bounded(void **state)
{
	struct fixture *f = *state;
	const struct msg_metrics m = { .names = true };
	struct wr wr = begin(f);

	f->caller.text_bytes = CALLER_TEXT_MAX;
	msg_metrics_encode(&wr, 1, &m);
	handle(f, &wr);
	expect_error(f, 1, ERR_BUSY);
	assert_true(session_is_idle(&f->s));
	f->caller.text_bytes = 0;
}

static struct msg_explained
explained(struct fixture *f, const char *ref, const char *as)
{
	const struct msg_explain m = {
		.ref = unit_view(ref), .as = unit_view(as),
	};
	struct msg_explained e;
	struct wr wr = begin(f);

	msg_explain_encode(&wr, 1, &m);
	handle(f, &wr);
	expect(f, FRAME_EXPLAINED, 1, false);
	assert_int_equal(msg_explained_decode(f->frame.body, &e), 0);
	return e;
}

static void
test_explain_asks_nothing_and_tells_the_rule(void **state)
{
	struct fixture *f = *state;
	struct msg_explained e;

	open_as(f, APP);
	e = explained(f, SECRET("db/one"), "");
	assert_true(e.allowed);
	assert_false(e.cached);
	assert_true(unit_view_is(e.rule, "app"));
	assert_int_equal(f->fu.started, 0);
	send_get(f, 2, SECRET("db/one"));
	e = explained(f, SECRET("db/one"), "");
	assert_true(e.cached);
	assert_int_equal(e.meta.freshness, MSG_FRESH);
	assert_true(e.next_refresh_ms <= INTERVAL);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, INTERVAL + SECOND);
	e = explained(f, SECRET("db/one"), "");
	assert_int_equal(e.meta.freshness, MSG_STALE);
	assert_int_equal(e.last_error, ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_explain_for_http_and_units(void **state)
{
	struct fixture *f = *state;

	assert_false(explained(f, SECRET("db/one"), "http").allowed);
	assert_false(explained(f, SECRET("db/one"), "web.service").allowed);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(test_watch_first_answer_then_events),
		T(test_watch_with_a_position_tells_the_difference),
		T(test_watch_deadline_answers_and_goes_on),
		T(test_watch_not_found_then_found_then_gone),
		T(test_watch_events_wait_for_the_reader_and_are_few),
		T(test_watch_cancel),
		T(test_watch_denied),
		T(test_watch_ends_when_policy_takes_the_right),
		T(test_watch_is_bounded),
		T(test_session_that_ends_leaves_nothing),
		T(test_reject_is_one_read_in_five_seconds),
		T(test_reject_deadline_and_failure),
		T(test_reject_denied),
		T(test_reject_table_is_bounded),
		T(test_drill_lasts_as_long_as_it_was_to),
		T(test_drill_ends_with_its_session),
		T(test_drill_report_is_in_parts),
		T(test_drill_refuses),
		T(test_metrics_with_names_come_in_parts),
		T(test_metrics_that_are_not_read_are_bounded),
		T(test_explain_asks_nothing_and_tells_the_rule),
		T(test_explain_for_http_and_units),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
