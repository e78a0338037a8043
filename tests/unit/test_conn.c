#include "config.h"

#include "fake_upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "audit.h"
#include "conn.h"
#include "err.h"
#include "fake_time.h"
#include "limit.h"
#include "policy.h"
#include "settings.h"

#define SECOND 1000u
#define CLIENTS 8
#define RX_MAX (16u << 20)
#define SECRET(text) "qapi://secrets/" text

/* The other end of a connection. */
struct client {
	int fd;
	bool closed;		/* the agent closed it */
	uint8_t *rx;
	size_t len;
	size_t pos;
	struct frame frame;
};

struct fixture {
	struct fake_upstream fu;
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct event_base *base;
	struct conns *cs;
	struct client clients[CLIENTS];
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
build_env(struct fixture *f)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 4u << 20,
			.refresh_interval_ms = 300 * SECOND,
			.refresh_lead_ms = 60 * SECOND,
			.reread_interval_ms = 86400 * SECOND,
			.max_stale_ms = 86400 * SECOND,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 86400 * SECOND,
		},
		.unauthorized_grace_ms = 300 * SECOND, .max_in_flight = 16,
	};
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = ignore,
		.wiped = ignore,
	};
	char why[512];

	/* whoever runs this is the agent's own user, who may do everything */
	f->settings.policy = policy_new(false);
	f->settings.url = strdup("https://service.example/api/v1");
	f->env = (struct session_env){
		.base = f->base, .settings = &f->settings,
		.fetch = fetch_new(f->base, &f->fu.up, &cfg, &hooks,
		    &f->metrics),
		.policy_generation = 1, .metrics = &f->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0),
	};
	assert_true(f->settings.policy != NULL && f->settings.url != NULL);
	assert_true(f->env.fetch != NULL && f->env.audit != NULL &&
	    f->env.limit != NULL);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	fake_upstream_add(&f->fu, REF_SECRET, "sec_1", "name", "value");
	f->base = event_base_new();
	assert_non_null(f->base);
	build_env(f);
	f->cs = conns_new(f->base, &f->env, 6);
	assert_non_null(f->cs);
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
	for (i = 0; i < CLIENTS; i++)
		hang_up(&f->clients[i]);
	fetch_free(f->env.fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	event_base_free(f->base);
	audit_free(f->env.audit);
	limit_free(f->env.limit);
	policy_free(f->settings.policy);
	free(f->settings.url);
	free(f);
	return 0;
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
	conns_accept(f->cs, fds[0]);
	return c;
}

/* --- the loop --- */

/* Events and timers until nothing happens any more. */
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
serve(struct fixture *f)
{
	turn(f);
	while (fake_upstream_first(&f->fu) != NULL) {
		fake_upstream_answer_table(&f->fu,
		    fake_upstream_first(&f->fu));
		turn(f);
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

	while ((n = recv(c->fd, c->rx + c->len, RX_MAX - c->len,
	    MSG_DONTWAIT)) > 0)
		c->len += (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		c->closed = true;
}

/* Read and let the agent send, until it has nothing more to say. */
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

/* --- the client's side --- */

/* All of it, with the agent reading meanwhile if it does. */
static void
put(struct fixture *f, struct client *c, const void *p, size_t len)
{
	const uint8_t *bytes = p;
	ssize_t n;

	while (len > 0) {
		n = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			continue;
		}
		assert_true(errno == EAGAIN);
		turn(f);
	}
}

static size_t
ping_frame(uint8_t *buf, uint64_t id)
{
	struct wr wr;

	wr_init(&wr, buf, 64);
	msg_empty_encode(&wr, FRAME_PING, id);
	return wr.len;
}

static size_t
get_frame(uint8_t *buf, size_t size, uint64_t id, const char *ref)
{
	struct msg_terms terms;
	struct wr wr;
	size_t start;

	msg_terms_init(&terms);
	wr_init(&wr, buf, size);
	start = msg_refs_begin(&wr, FRAME_GET, id, &terms, false);
	msg_refs_add(&wr, ref, strlen(ref));
	frame_end(&wr, start, 0);
	assert_false(wr.failed);
	return wr.len;
}

static void
put_ping(struct fixture *f, struct client *c, uint64_t id)
{
	uint8_t buf[64];

	put(f, c, buf, ping_frame(buf, id));
}

static void
put_get(struct fixture *f, struct client *c, uint64_t id, const char *ref)
{
	uint8_t buf[256];

	put(f, c, buf, get_frame(buf, sizeof(buf), id, ref));
}

static bool
take(struct client *c)
{
	if (c->pos == c->len ||
	    frame_cut(c->rx + c->pos, c->len - c->pos, FRAME_ANSWER_MAX,
	    &c->frame) != 0)
		return false;
	c->pos += c->frame.total;
	return true;
}

static void
expect(struct client *c, uint8_t type, uint64_t id)
{
	do {
		assert_true(take(c));
	} while (c->frame.type == FRAME_AGENT_HELLO);
	assert_int_equal(c->frame.type, type);
	assert_true(c->frame.id == id);
}

static void
expect_error(struct client *c, uint64_t id, int error)
{
	struct msg_error m;

	expect(c, FRAME_ERROR, id);
	assert_int_equal(msg_error_decode(c->frame.body, &m), 0);
	assert_int_equal(m.error, error);
}

/* It is there and answers. */
static void
check_alive(struct fixture *f, struct client *c)
{
	put_ping(f, c, 4711);
	drain(f, c);
	expect(c, FRAME_DONE, 4711);
	assert_false(c->closed);
}

static size_t
secret_bytes(void)
{
	struct secmem_stats stats;

	secmem_get_stats(&stats);
	return stats.used_bytes;
}

/* --- frames --- */

static void
test_request_is_answered(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	struct msg_result r;

	assert_int_equal(f->metrics.clients, 1);
	put_get(f, c, 1, SECRET("name"));
	serve(f);
	drain(f, c);
	expect(c, FRAME_RESULT, 1);
	assert_int_equal(msg_result_decode(c->frame.body, &r), 0);
	assert_true(unit_view_is(r.value, "value"));
	check_alive(f, c);
}

static void
test_frame_comes_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[256];
	size_t len = get_frame(buf, sizeof(buf), 1, SECRET("name")), i;

	for (i = 0; i < len; i++) {
		assert_int_equal(f->metrics.requests, 0);
		put(f, c, buf + i, 1);
		turn(f);
	}
	serve(f);
	drain(f, c);
	expect(c, FRAME_RESULT, 1);
}

static void
test_largest_frame_is_taken_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	size_t total = FRAME_HEADER_LEN + FRAME_REQUEST_MAX;
	uint8_t *buf = calloc(1, total);
	struct wr wr;
	size_t start, field;

	assert_non_null(buf);
	/* one unknown field fills it */
	wr_init(&wr, buf, total);
	start = frame_begin(&wr, FRAME_PING, 0, 9);
	wr_u16(&wr, 0x0777);
	wr_u32(&wr, FRAME_REQUEST_MAX - 6);
	field = wr.len;
	wr.len = total;
	frame_end(&wr, start, 0);
	assert_true(!wr.failed && field == FRAME_HEADER_LEN + 6);
	put(f, c, buf, total);
	put_ping(f, c, 10);
	drain(f, c);
	expect(c, FRAME_DONE, 9);
	expect(c, FRAME_DONE, 10);
	free(buf);
}

static void
test_oversized_frame_ends_its_connection_alone(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);
	const uint8_t head[] = { 0x00, 0x11, 0x00, 0x01, 1, FRAME_GET, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 7 };

	put_ping(f, c, 1);
	put(f, c, head, sizeof(head));
	drain(f, c);
	expect(c, FRAME_DONE, 1);
	expect_error(c, 7, ERR_TOO_LARGE);
	assert_true(c->closed);
	check_alive(f, other);
	assert_int_equal(f->metrics.clients, 1);
	assert_int_equal(f->metrics.bad_frames, 1);
}

static void
test_garbage_ends_its_connection_alone(void **state)
{
	struct fixture *f = *state;
	struct client *other = dial(f, 1), *c;
	uint64_t rnd = unit_seed();
	uint8_t buf[256];
	unsigned int i, j;

	for (i = 0; i < 300; i++) {
		c = dial(f, 0);
		for (j = 0; j < sizeof(buf); j++)
			buf[j] = (uint8_t)unit_random(&rnd);
		buf[4] = (uint8_t)(2 + unit_below(&rnd, 250));
		put(f, c, buf, sizeof(buf));
		drain(f, c);
		assert_true(take(c));
		assert_int_equal(c->frame.type, FRAME_AGENT_HELLO);
		assert_true(take(c));
		assert_int_equal(c->frame.type, FRAME_ERROR);
		assert_true(c->closed);
	}
	check_alive(f, other);
	assert_int_equal(f->metrics.clients, 1);
}

static void
test_http_request_ends_its_connection(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put(f, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	drain(f, c);
	assert_true(take(c) && take(c));
	assert_int_equal(c->frame.type, FRAME_ERROR);
	assert_true(c->closed);
}

static void
test_unknown_flag_costs_one_frame_only(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[64];
	size_t len = ping_frame(buf, 5);

	buf[6] = 0x01;
	put(f, c, buf, len);
	put_ping(f, c, 6);
	drain(f, c);
	expect_error(c, 5, ERR_UNSUPPORTED);
	expect(c, FRAME_DONE, 6);
	assert_false(c->closed);
}

static void
test_nothing_after_the_fatal_frame_is_acted_on(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[3][64];
	size_t len = ping_frame(buf[0], 5);

	(void)ping_frame(buf[1], 0);	/* id 0 */
	(void)ping_frame(buf[2], 6);
	assert_int_equal(len, FRAME_HEADER_LEN);
	put(f, c, buf[0], len);
	put(f, c, buf[1], len);
	put(f, c, buf[2], len);
	drain(f, c);
	expect(c, FRAME_DONE, 5);
	expect_error(c, 0, ERR_BAD_REQUEST);
	assert_false(take(c));
	assert_true(c->closed);
}

/* --- frames in part --- */

static void
test_half_a_frame_is_waited_for_30_seconds(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1), *idle = dial(f, 2);
	uint8_t buf[64];
	size_t len = ping_frame(buf, 5);

	check_alive(f, idle);
	put(f, c, buf, len - 1);
	put(f, other, buf, len - 1);
	pass(f, 29 * SECOND);
	receive(c);
	assert_false(c->closed);
	put(f, other, buf + len - 1, 1);
	pass(f, 7 * SECOND);
	drain(f, c);
	assert_true(c->closed);
	drain(f, other);
	expect(other, FRAME_DONE, 5);
	/* silence between frames may last as long as it likes */
	pass(f, 3600 * SECOND);
	check_alive(f, other);
	check_alive(f, idle);
}

static void
test_dripping_does_not_prolong_it(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[256];
	size_t len = get_frame(buf, sizeof(buf), 1, SECRET("name")), i;

	for (i = 0; i < len - 1 && !c->closed; i++) {
		if (send(c->fd, buf + i, 1, MSG_NOSIGNAL) < 0)
			break;
		pass(f, SECOND);
		receive(c);
	}
	assert_in_range(i, 29, 36);
	assert_true(c->closed);
}

/* Each read ends in the middle of a frame, but frame after frame is complete. */
static void
test_busy_pipeline_is_no_half_frame(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[64];
	size_t len = ping_frame(buf, 5);
	unsigned int i;

	put(f, c, buf, 3);
	for (i = 0; i < 60; i++) {
		pass(f, SECOND);
		put(f, c, buf + 3, len - 3);
		put(f, c, buf, 3);
	}
	drain(f, c);
	assert_false(c->closed);
	for (i = 0; i < 60; i++)
		expect(c, FRAME_DONE, 5);
}

/* --- who does not read --- */

static void
test_peer_that_does_not_read_costs_a_bounded_backlog(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);
	size_t len = 10000, before, most = 0;
	char *value = malloc(len + 1);
	unsigned int i, sent = 0, got = 0;
	uint8_t buf[256];
	struct msg_result r;
	ssize_t n;

	assert_non_null(value);
	memset(value, 'v', len);
	value[len] = '\0';
	fake_upstream_add(&f->fu, REF_SECRET, "sec_big", "big", value);
	put_get(f, other, 1, SECRET("sec_big"));
	serve(f);
	drain(f, other);
	expect(other, FRAME_RESULT, 1);
	before = secret_bytes();
	/* all that the agent takes, up to 1000 requests, and not one is read */
	for (i = 0; i < 2000 && sent < 1000; i++) {
		size_t flen = get_frame(buf, sizeof(buf), 1 + sent,
		    SECRET("sec_big"));

		n = send(c->fd, buf, flen, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(n < 0 || (size_t)n == flen);
		sent += n > 0;
		turn(f);
		if (secret_bytes() - before > most)
			most = secret_bytes() - before;
	}
	/* 10 MB of answers are owed; held are the backlog and some input */
	assert_true(sent > 100);
	assert_true(most < 1u << 20);
	check_alive(f, other);
	for (i = 0; got < sent && i < 20000; i++) {
		drain(f, c);
		while (take(c)) {
			if (c->frame.type == FRAME_AGENT_HELLO)
				continue;
			assert_int_equal(c->frame.type, FRAME_RESULT);
			assert_int_equal(c->frame.id, got + 1);
			assert_int_equal(msg_result_decode(c->frame.body, &r),
			    0);
			assert_int_equal(r.value.len, len);
			got++;
		}
	}
	assert_int_equal(got, sent);
	assert_true(secret_bytes() <= before);
	free(value);
}

static void
test_peer_that_leaves_with_answers_owed_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct client *c;
	size_t len = 1000000, before;
	char *value = malloc(len + 1);
	unsigned int i;

	assert_non_null(value);
	memset(value, 'v', len);
	value[len] = '\0';
	fake_upstream_add(&f->fu, REF_SECRET, "sec_big", "big", value);
	c = dial(f, 0);
	put_get(f, c, 1, SECRET("sec_big"));
	serve(f);
	before = secret_bytes();
	for (i = 2; i < 200; i++)
		put_get(f, c, i, SECRET("sec_big"));
	turn(f);
	hang_up(c);
	turn(f);
	assert_int_equal(f->metrics.clients, 0);
	assert_true(secret_bytes() <= before);
	free(value);
}

static void
test_too_many_unanswered_requests_wait_their_turn(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);
	unsigned int sent = 0, got = 0;
	uint8_t buf[256];
	size_t len;
	ssize_t n;

	do {
		len = get_frame(buf, sizeof(buf), ++sent, SECRET("sec_1"));
		n = send(c->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent % 100 == 0)
			turn(f);
	} while (n > 0 && sent < 3000);
	assert_true(sent > 1200);
	turn(f);
	assert_in_range(f->metrics.requests, 1024, 1100);
	check_alive(f, other);
	serve(f);
	drain(f, c);
	while (take(c))
		got += c->frame.type == FRAME_RESULT;
	assert_int_equal(got, n > 0 ? sent : sent - 1);
	assert_int_equal(f->fu.reads, 1);
}

/* --- the end --- */

static void
test_half_closed_peer_still_gets_its_answers(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);

	put_get(f, c, 1, SECRET("name"));
	put_ping(f, c, 2);
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	turn(f);
	receive(c);
	assert_false(c->closed);
	serve(f);
	drain(f, c);
	expect(c, FRAME_DONE, 2);
	expect(c, FRAME_RESULT, 1);
	assert_true(c->closed);
	assert_int_equal(f->metrics.clients, 0);
}

static void
test_half_closed_peer_with_nothing_owed_is_closed(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0);
	uint8_t buf[64];

	check_alive(f, c);
	put(f, c, buf, ping_frame(buf, 5) - 1);	/* and half a frame */
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	drain(f, c);
	assert_true(c->closed);
	assert_int_equal(f->metrics.clients, 0);
}

static void
test_peer_that_leaves_cancels_and_the_read_goes_on(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *other = dial(f, 1);

	put_get(f, c, 1, SECRET("sec_1"));
	turn(f);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	hang_up(c);
	turn(f);
	assert_int_equal(f->metrics.clients, 1);
	serve(f);
	put_get(f, other, 2, SECRET("sec_1"));
	drain(f, other);
	expect(other, FRAME_RESULT, 2);
	assert_int_equal(f->fu.reads, 1);
}

static void
test_one_connection_too_many_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct client *c;
	size_t i;

	for (i = 0; i < 6; i++)
		check_alive(f, dial(f, i));
	c = dial(f, 6);
	drain(f, c);
	assert_true(c->closed);
	expect_error(c, 0, ERR_BUSY);
	hang_up(&f->clients[3]);
	turn(f);
	check_alive(f, dial(f, 7));
	for (i = 0; i < 6; i++) {
		if (i != 3)
			check_alive(f, &f->clients[i]);
	}
	assert_int_equal(f->metrics.connections, 7);
}

static void
test_freed_with_everything_under_way(void **state)
{
	struct fixture *f = *state;
	struct client *c = dial(f, 0), *d = dial(f, 1), *e = dial(f, 2);
	uint8_t buf[64];
	unsigned int i;

	put_get(f, c, 1, SECRET("name"));
	put_get(f, c, 2, SECRET("sec_1"));
	put(f, d, buf, ping_frame(buf, 5) - 1);
	for (i = 1; i < 1000; i++)
		put_ping(f, e, i);
	turn(f);
	conns_free(f->cs);
	f->cs = conns_new(f->base, &f->env, 6);
	assert_non_null(f->cs);
	receive(d);
	assert_true(d->closed);
	serve(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_request_is_answered),
		test(test_frame_comes_byte_by_byte),
		test(test_largest_frame_is_taken_in_pieces),
		test(test_oversized_frame_ends_its_connection_alone),
		test(test_garbage_ends_its_connection_alone),
		test(test_http_request_ends_its_connection),
		test(test_unknown_flag_costs_one_frame_only),
		test(test_nothing_after_the_fatal_frame_is_acted_on),
		test(test_half_a_frame_is_waited_for_30_seconds),
		test(test_dripping_does_not_prolong_it),
		test(test_busy_pipeline_is_no_half_frame),
		test(test_peer_that_does_not_read_costs_a_bounded_backlog),
		test(test_peer_that_leaves_with_answers_owed_leaves_nothing),
		test(test_too_many_unanswered_requests_wait_their_turn),
		test(test_half_closed_peer_still_gets_its_answers),
		test(test_half_closed_peer_with_nothing_owed_is_closed),
		test(test_peer_that_leaves_cancels_and_the_read_goes_on),
		test(test_one_connection_too_many_is_told_so),
		test(test_freed_with_everything_under_way),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
