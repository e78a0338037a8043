/*
 * qapi_agent_watch(): what is told, and that nothing is lost when the agent
 * goes away at any moment.
 */
#include "config.h"

#include "unit.h"

#include <unistd.h>

#include "err.h"
#include "fake_agent.h"
#include "msg_watch.h"
#include "qapi-agent.h"

#define A "qapi://secrets/a"
#define B "qapi://secrets/b"
#define NONE 0xff		/* no position was given */
#define ASKED_MAX 16

/* What the clients of a script asked for; read after fake_stop(). */
struct seen {
	int pipe[2];		/* of a test that tells its script something */
	size_t nasked;
	struct {
		uint64_t id;
		uint64_t deadline_ms;
		uint16_t nrefs;
		char first[64];	/* the first reference */
		uint8_t position[4]; /* the byte of each, NONE: absent */
	} asked[ASKED_MAX];
};

/* The next WATCH, noted.  False at the end. */
static bool
read_watch(struct fake_conn *c, struct frame *ret)
{
	struct seen *seen = c->arg;
	struct msg_watch_ref ref;
	struct msg_watch m;
	size_t n = seen->nasked, i;

	if (!fake_read(c, ret))
		return false;
	assert_true(n < ASKED_MAX);
	assert_int_equal(ret->type, FRAME_WATCH);
	assert_int_equal(msg_watch_decode(ret->body, &m), 0);
	seen->asked[n].id = ret->id;
	seen->asked[n].nrefs = m.nrefs;
	seen->asked[n].deadline_ms = m.deadline_ms;
	for (i = 0; msg_watch_next(&m, &ref); i++) {
		if (i == 0)
			memcpy(seen->asked[n].first, ref.ref.p, ref.ref.len);
		if (i < 4)
			seen->asked[n].position[i] = ref.position.len == 0
			    ? NONE : ref.position.p[0];
	}
	seen->nasked++;
	return true;
}

static struct qapi_agent *
begin(struct fake **f, fake_script *script, struct seen *seen)
{
	struct qapi_agent *a = qapi_agent_new();

	memset(seen, 0, sizeof(*seen));
	assert_non_null(a);
	*f = fake_start(script, seen);
	assert_int_equal(qapi_agent_set_socket(a, fake_path(*f)), 0);
	qapi_agent_set_timeout_ms(a, 5000);
	return a;
}

static void
end(struct fake **f, struct qapi_agent **a, struct qapi_agent_watch **w)
{
	qapi_agent_watch_free(w);
	assert_null(*w);
	qapi_agent_free(a);
	fake_stop(f);
}

static void
assert_next(struct qapi_agent_watch *w, size_t index,
    enum qapi_agent_reason reason)
{
	enum qapi_agent_reason got_reason = 0;
	size_t got_index = 99;

	assert_int_equal(qapi_agent_watch_next(w, 10000, &got_index,
	    &got_reason), 0);
	assert_int_equal(got_index, index);
	assert_int_equal(got_reason, reason);
}

static void
assert_position(const struct qapi_agent_watch *w, size_t i, uint8_t position)
{
	const unsigned char *p = qapi_agent_item_position(qapi_agent_items_at(
	    qapi_agent_watch_items(w), i));
	size_t k;

	assert_non_null(p);
	for (k = 0; k < QAPI_AGENT_POSITION_LEN; k++)
		assert_int_equal(p[k], position);
}

static void
send_refusal(struct fake_conn *c, uint64_t id, uint16_t index, bool more,
    int error)
{
	struct msg_result m = {.index = index, .error = error};

	msg_meta_init(&m.meta);
	m.message = (struct view){(const uint8_t *)"because", 7};
	fake_send_result(c, id, more, &m);
}

/* --- one connection ------------------------------------------------------ */

static void
script_events(struct fake_conn *c)
{
	struct frame f;

	fake_send_hello(c, 1, "qapi-agentd 0.1.0");
	if (!read_watch(c, &f))
		return;
	fake_send_watched(c, f.id, 1, 0x20);
	/* for an index that is answered, while another is not */
	fake_send_event(c, f.id, 1, MSG_REASON_STALE, 0x20);
	fake_send_error(c, f.id + 50, ERR_DENIED, "not ours");
	fake_send_watched(c, f.id, 0, 0x10);
	fake_send_event(c, f.id, 0, 200, 0x77);	/* of a later version */
	fake_send_event(c, f.id + 50, 0, MSG_REASON_GONE, 0x66); /* not ours */
	fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x11);
	fake_send_event(c, f.id, 1, MSG_REASON_FRESH_AGAIN, 0x20);
	fake_send_event(c, f.id, 0, MSG_REASON_EXPIRING, 0x12);
	fake_send_event(c, f.id, 0, MSG_REASON_EXPIRED, 0x12);
	fake_send_event(c, f.id, 0, MSG_REASON_GONE, 0x00);
	fake_drain(c);
}

static void
test_events_come_in_their_order(void **state)
{
	static const char *const refs[] = {A, B};
	const struct qapi_agent_items *items;
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_events, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 2, &w), 0);
	/* the handle is not needed, and not connected */
	assert_int_equal(fake_connections(f), 1);
	qapi_agent_free(&a);
	items = qapi_agent_watch_items(w);
	assert_int_equal(qapi_agent_items_count(items), 2);
	assert_string_equal(qapi_agent_item_ref(qapi_agent_items_at(items, 1)),
	    B);
	assert_int_equal(qapi_agent_item_version(qapi_agent_items_at(items,
	    1)), 3);
	assert_position(w, 0, 0x10);
	assert_position(w, 1, 0x20);

	assert_next(w, 1, QAPI_AGENT_REASON_STALE);
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	assert_position(w, 0, 0x11);
	assert_next(w, 1, QAPI_AGENT_REASON_FRESH_AGAIN);
	assert_next(w, 0, QAPI_AGENT_REASON_EXPIRING);
	/* only a change moves it: what comes with others may be ahead */
	assert_position(w, 0, 0x11);
	assert_next(w, 0, QAPI_AGENT_REASON_EXPIRED);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_EXPIRED);
	assert_next(w, 0, QAPI_AGENT_REASON_GONE);
	assert_position(w, 0, 0x00);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_NOT_FOUND);
	assert_false(qapi_agent_watch_has_ended(w, 0));
	end(&f, &a, &w);
	assert_int_equal(seen.asked[0].nrefs, 2);
	assert_true(seen.asked[0].deadline_ms == 5000);
	assert_int_equal(seen.asked[0].position[0], NONE);
	assert_int_equal(seen.asked[0].position[1], NONE);
}

static void
script_silent(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f))
		return;
	fake_send_watched(c, f.id, 0, 0x10);
	fake_drain(c);
}

static void
test_next_waits_no_longer_than_it_may(void **state)
{
	static const char *const refs[] = {A};
	enum qapi_agent_reason reason;
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;
	size_t i;

	(void)state;
	a = begin(&f, script_silent, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w), 0);
	assert_int_equal(qapi_agent_watch_next(w, 30, &i, &reason),
	    QAPI_AGENT_ERR_TIMEOUT);
	assert_string_not_equal(qapi_agent_watch_message(w), "");
	end(&f, &a, &w);
}

/* --- positions, and agents that come and go ------------------------------ */

static void
script_restart(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f))
		return;
	if (c->nth == 0) {
		fake_send_watched(c, f.id, 0, 0x10);
		fake_send_watched(c, f.id, 1, 0x20);
		fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x11);
		return;			/* and ends */
	}
	fake_send_watched(c, f.id, 0, 0x13);
	fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x13);
	fake_send_watched(c, f.id, 1, 0x20);
	fake_drain(c);
}

static void
test_restart_is_survived_with_what_was_seen(void **state)
{
	static const char *const refs[] = {A, B};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_restart, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 2, &w), 0);
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	/* changed while no agent was there */
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	assert_position(w, 0, 0x13);
	end(&f, &a, &w);
	assert_int_equal(seen.nasked, 2);
	assert_int_equal(seen.asked[1].position[0], 0x11);
	assert_int_equal(seen.asked[1].position[1], 0x20);
	assert_int_equal(seen.asked[1].nrefs, 2);
}

/* The answer tells a newer position; its event never comes. */
static void
script_cut_before_the_event(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f))
		return;
	fake_send_watched(c, f.id, 0, 0x20);
	fake_send_event(c, f.id, 0, MSG_REASON_STALE, 0x20);
	if (c->nth < 2)
		return;
	fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x20);
	fake_drain(c);
}

static void
test_change_told_by_an_answer_alone_is_not_lost(void **state)
{
	static const char *const refs[] = {A};
	unsigned char read_at[QAPI_AGENT_POSITION_LEN];
	const void *const positions[] = {read_at};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	memset(read_at, 0x15, sizeof(read_at));
	a = begin(&f, script_cut_before_the_event, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, positions, 1, &w), 0);
	assert_position(w, 0, 0x15);
	assert_next(w, 0, QAPI_AGENT_REASON_STALE);
	assert_next(w, 0, QAPI_AGENT_REASON_STALE);
	assert_next(w, 0, QAPI_AGENT_REASON_STALE);
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	assert_position(w, 0, 0x20);
	end(&f, &a, &w);
	assert_int_equal(seen.nasked, 3);
	assert_int_equal(seen.asked[0].position[0], 0x15);
	assert_int_equal(seen.asked[1].position[0], 0x15);
	assert_int_equal(seen.asked[2].position[0], 0x15);
}

static void
script_closes_at_first(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f) || c->nth == 0)
		return;
	fake_send_watched(c, f.id, 0, 0x10);
	fake_drain(c);
}

static void
test_agent_that_is_ending_is_asked_once_more(void **state)
{
	static const char *const refs[] = {A};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_closes_at_first, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w), 0);
	assert_position(w, 0, 0x10);
	assert_int_equal(fake_connections(f), 2);
	end(&f, &a, &w);
}

static void
script_closes_always(struct fake_conn *c)
{
	struct frame f;

	(void)read_watch(c, &f);
}

static void
test_agent_that_hangs_up_twice_is_an_error(void **state)
{
	static const char *const refs[] = {A};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_closes_always, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w),
	    QAPI_AGENT_ERR_CLOSED);
	assert_null(w);
	assert_string_not_equal(qapi_agent_message(a), "");
	end(&f, &a, &w);
	assert_int_equal(seen.nasked, 2);
}

/* Every kind of nonsense costs the connection, and nothing else. */
static void
script_nonsense(struct fake_conn *c)
{
	static const uint8_t zeros[FRAME_HEADER_LEN];
	struct msg_result m = {.index = 0};
	struct frame f;

	if (!read_watch(c, &f))
		return;
	if (c->nth == 4) {	/* the index of a place that was not asked */
		fake_send_watched(c, f.id, 1, 0x30);
		fake_drain(c);
		return;
	}
	fake_send_watched(c, f.id, 0, 0x10);
	if (c->nth == 0) {	/* a frame of another version */
		fake_send(c, zeros, sizeof(zeros));
	} else if (c->nth == 1) { /* neither error nor position */
		msg_meta_init(&m.meta);
		fake_send_result(c, f.id, true, &m);
	} else if (c->nth == 2) { /* an event of an index that is not there */
		fake_send_event(c, f.id, 7, MSG_REASON_CHANGED, 1);
	} else if (c->nth == 3) {
		fake_send_error(c, 0, ERR_BUSY, "too many connections");
	} else {
		fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x11);
	}
	/* it is the client that hangs up */
	fake_drain(c);
}

static void
test_nonsense_costs_the_connection(void **state)
{
	static const char *const refs[] = {A};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_nonsense, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w), 0);
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	assert_string_equal(qapi_agent_watch_message(w), "");
	end(&f, &a, &w);
	assert_int_equal(seen.nasked, 6);
}

static void
script_until_told(struct fake_conn *c)
{
	struct seen *seen = c->arg;
	struct frame f;
	char byte;

	if (!read_watch(c, &f))
		return;
	fake_send_watched(c, f.id, 0, 0x10);
	assert_int_equal(read(seen->pipe[0], &byte, 1), 1);
}

static void
test_agent_that_stays_away_is_told(void **state)
{
	static const char *const refs[] = {A};
	enum qapi_agent_reason reason;
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;
	unsigned int n;
	size_t i;

	(void)state;
	a = begin(&f, script_until_told, &seen);
	assert_int_equal(pipe(seen.pipe), 0);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w), 0);
	/* from here on nobody can be reached, and the agent ends */
	assert_int_equal(unlink(fake_path(f)), 0);
	assert_int_equal(write(seen.pipe[1], "x", 1), 1);
	/* how soon it is seen to have gone is the machine's affair */
	for (n = 0; n < 300; n++) {
		assert_int_equal(qapi_agent_watch_next(w, 100, &i, &reason),
		    QAPI_AGENT_ERR_TIMEOUT);
		if (strstr(qapi_agent_watch_message(w), fake_path(f)) != NULL)
			break;
	}
	assert_true(n < 300);
	/* but to begin with that is an error at once */
	qapi_agent_watch_free(&w);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w),
	    QAPI_AGENT_ERR_UNREACHABLE);
	assert_non_null(strstr(qapi_agent_message(a), fake_path(f)));
	assert_string_equal(qapi_agent_socket(a), fake_path(f));
	(void)close(seen.pipe[0]);
	(void)close(seen.pipe[1]);
	end(&f, &a, &w);
}

/* --- refusals ------------------------------------------------------------ */

static void
script_refuses(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f))
		return;
	send_refusal(c, f.id, 0, true, ERR_DENIED);
	fake_send_watched(c, f.id, 1, 0x20);
	fake_send_event(c, f.id, 1, MSG_REASON_CHANGED, 0x21);
	/* the policy changes */
	send_refusal(c, f.id, 1, false, ERR_DENIED);
	fake_drain(c);
}

static void
test_refusals_end_one_reference_each(void **state)
{
	static const char *const refs[] = {A, B, "qapi://nonsense"};
	const struct qapi_agent_items *items;
	enum qapi_agent_reason reason;
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;
	size_t i;

	(void)state;
	a = begin(&f, script_refuses, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 3, &w), 0);
	items = qapi_agent_watch_items(w);
	assert_true(qapi_agent_watch_has_ended(w, 0));
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 0)),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_item_message(qapi_agent_items_at(items,
	    0)), "because");
	assert_false(qapi_agent_watch_has_ended(w, 1));
	assert_true(qapi_agent_watch_has_ended(w, 2));
	assert_true(qapi_agent_watch_has_ended(w, 3));
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(items, 2)),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_next(w, 1, QAPI_AGENT_REASON_CHANGED);
	assert_next(w, 1, QAPI_AGENT_REASON_ENDED);
	assert_true(qapi_agent_watch_has_ended(w, 1));
	assert_int_equal(qapi_agent_watch_next(w, 5000, &i, &reason),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_watch_message(w), "because");
	end(&f, &a, &w);
	assert_int_equal(seen.asked[0].nrefs, 2);
}

/* Busy at first, then not; what the old request says does not count. */
static void
script_busy(struct fake_conn *c)
{
	struct msg_result m = {.index = 0, .error = ERR_NOT_FOUND};
	uint8_t zero[MSG_POSITION_LEN] = {0};
	struct frame f;
	uint64_t old;

	if (!read_watch(c, &f))
		return;
	old = f.id;
	send_refusal(c, f.id, 0, true, ERR_UPSTREAM_UNAVAILABLE);
	fake_send_watched(c, f.id, 1, 0x20);
	if (!read_watch(c, &f))
		return;
	fake_send_event(c, old, 1, MSG_REASON_STALE, 0x20);
	/* not there, and watched all the same */
	msg_meta_init(&m.meta);
	m.position = (struct view){zero, sizeof(zero)};
	fake_send_result(c, f.id, true, &m);
	fake_send_event(c, f.id, 0, MSG_REASON_CHANGED, 0x10);
	fake_drain(c);
}

static void
test_errors_that_pass_are_asked_again(void **state)
{
	static const char *const refs[] = {A, B};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_busy, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 2, &w), 0);
	assert_false(qapi_agent_watch_has_ended(w, 0));
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(
	    qapi_agent_watch_items(w), 0)),
	    QAPI_AGENT_ERR_UPSTREAM_UNAVAILABLE);
	assert_next(w, 1, QAPI_AGENT_REASON_STALE);
	assert_next(w, 0, QAPI_AGENT_REASON_CHANGED);
	assert_position(w, 0, 0x10);
	assert_int_equal(qapi_agent_item_error(qapi_agent_items_at(
	    qapi_agent_watch_items(w), 0)), 0);
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a, &w);
	assert_int_equal(seen.nasked, 2);
	assert_int_equal(seen.asked[1].nrefs, 1);
	assert_string_equal(seen.asked[1].first, A);
}

static void
script_error(struct fake_conn *c)
{
	struct frame f;

	if (!read_watch(c, &f))
		return;
	fake_send_error(c, f.id, ERR_UNSUPPORTED, "what is WATCH?");
	fake_drain(c);
}

static void
test_error_of_the_whole(void **state)
{
	static const char *const refs[] = {A};
	static const char *const holes[] = {A, NULL};
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;

	(void)state;
	a = begin(&f, script_error, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 1, &w),
	    QAPI_AGENT_ERR_UNSUPPORTED);
	assert_string_equal(qapi_agent_message(a), "what is WATCH?");
	assert_int_equal(qapi_agent_watch(a, refs, NULL, 0, &w),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_watch(a, NULL, NULL, 1, &w),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_watch(a, holes, NULL, 2, &w),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_null(w);
	end(&f, &a, &w);
}

/* --- many ---------------------------------------------------------------- */

#define MANY 300

static void
script_many(struct fake_conn *c)
{
	struct frame first, second;
	struct seen *seen = c->arg;
	uint16_t i;

	if (!read_watch(c, &first))
		return;
	for (i = 0; i < seen->asked[0].nrefs; i++)
		fake_send_watched(c, first.id, i, 0x10);
	if (!read_watch(c, &second))
		return;
	for (i = 0; i < seen->asked[1].nrefs; i++)
		fake_send_watched(c, second.id, i, 0x10);
	fake_send_event(c, second.id, 0, MSG_REASON_CHANGED, 0x11);
	fake_send_event(c, first.id, 255, MSG_REASON_CHANGED, 0x11);
	fake_send_event(c, second.id, 43, MSG_REASON_CHANGED, 0x11);
	fake_drain(c);
}

static void
test_more_references_than_fit_a_request(void **state)
{
	static char names[MANY][32];
	const char *refs[MANY];
	struct qapi_agent_watch *w = NULL;
	struct qapi_agent *a;
	struct seen seen;
	struct fake *f;
	size_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]),
		    "qapi://secrets/%zu", i);
		refs[i] = names[i];
	}
	a = begin(&f, script_many, &seen);
	assert_int_equal(qapi_agent_watch(a, refs, NULL, MANY, &w), 0);
	assert_next(w, 256, QAPI_AGENT_REASON_CHANGED);
	assert_next(w, 255, QAPI_AGENT_REASON_CHANGED);
	assert_next(w, 299, QAPI_AGENT_REASON_CHANGED);
	end(&f, &a, &w);
	assert_int_equal(seen.asked[0].nrefs, 256);
	assert_int_equal(seen.asked[1].nrefs, 44);
	assert_string_equal(seen.asked[1].first, "qapi://secrets/256");
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(qapi_agent_reason_name(
	    QAPI_AGENT_REASON_FRESH_AGAIN), "fresh-again");
	assert_string_equal(qapi_agent_reason_name(
	    QAPI_AGENT_REASON_CHANGED), "changed");
	assert_string_equal(qapi_agent_reason_name(QAPI_AGENT_REASON_ENDED),
	    "ended");
	assert_string_equal(qapi_agent_reason_name((enum qapi_agent_reason)0),
	    "");
	assert_string_equal(qapi_agent_reason_name((enum qapi_agent_reason)
	    257), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_come_in_their_order),
		cmocka_unit_test(test_next_waits_no_longer_than_it_may),
		cmocka_unit_test(test_restart_is_survived_with_what_was_seen),
		cmocka_unit_test(
		    test_change_told_by_an_answer_alone_is_not_lost),
		cmocka_unit_test(test_agent_that_is_ending_is_asked_once_more),
		cmocka_unit_test(test_agent_that_hangs_up_twice_is_an_error),
		cmocka_unit_test(test_nonsense_costs_the_connection),
		cmocka_unit_test(test_agent_that_stays_away_is_told),
		cmocka_unit_test(test_refusals_end_one_reference_each),
		cmocka_unit_test(test_errors_that_pass_are_asked_again),
		cmocka_unit_test(test_error_of_the_whole),
		cmocka_unit_test(test_more_references_than_fit_a_request),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
