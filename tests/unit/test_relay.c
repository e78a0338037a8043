#include "config.h"

#include "fake_upstream.h"

#include "endpoints.h"
#include "err.h"
#include "fake_time.h"
#include "fetch.h"
#include "relay.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define DAY (24u * 60u * MINUTE)
#define DROP "look before it is tried again"
#define UUID "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
#define SECRET(text) "qapi://secrets/" text
#define ASKS 40

/* A request that was handed on, and what became of it. */
struct sent {
	struct relay *relay;
	unsigned int answers;
	int error;
	int status;
	uint64_t retry_after_ms;
	char body[128];
	char type[64];
	char message[FETCH_MESSAGE_MAX];
};

struct fixture {
	struct fake_upstream fu;
	struct fetch_config cfg;
	struct fetch *fetch;
	struct metrics metrics;
	struct sent sent[ASKS];
	struct secmem body;
	unsigned int key_reads;
	bool key_changed;
	bool key_pending;
	unsigned int wiped;
	unsigned int gone;
	unsigned int changed;
};

/* --- what the agent does with them --- */

static bool
reload_key(void *arg)
{
	struct fixture *f = arg;
	bool changed = f->key_changed;

	f->key_reads++;
	f->key_changed = false;
	return changed;
}

static bool
key_pending(void *arg)
{
	return ((struct fixture *)arg)->key_pending;
}

static void
state_changed(void *arg)
{
	(void)arg;
}

static void
wiped(void *arg)
{
	((struct fixture *)arg)->wiped++;
}

static void
happened(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct fixture *f = arg;

	(void)e;
	f->gone += ev == CACHE_EVENT_GONE;
	f->changed += ev == CACHE_EVENT_CHANGED;
}

static int
set_up(void **state)
{
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .key_pending = key_pending,
		.state_changed = state_changed, .wiped = wiped,
		.event = happened,
	};
	struct fetch_hooks with_arg = hooks;
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->cfg = (struct fetch_config){
		.cache = {
			.max_bytes = 1u << 20,
			.refresh_interval_ms = 5 * MINUTE,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = DAY,
			.max_stale_ms = DAY,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = DAY,
		},
		.unauthorized_grace_ms = 5 * MINUTE,
		.max_in_flight = 16,
	};
	fake_time_reset();
	fake_upstream_init(&f->fu);
	fake_upstream_add(&f->fu, REF_SECRET, UUID, "db/prod", "one");
	with_arg.arg = f;
	f->fetch = fetch_new(NULL, &f->fu.up, &f->cfg, &with_arg, &f->metrics);
	assert_non_null(f->fetch);
	assert_int_equal(secmem_copy(&f->body, "{\"value\":\"two\"}", 15,
	    SECMEM_LIBRARY), 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	secmem_free_bytes(&f->body);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

static void
got(void *arg, struct relay_result *r)
{
	struct sent *s = arg;
	struct view v = { NULL, 0 };

	s->relay = NULL;
	s->answers++;
	s->error = r->error;
	s->status = r->status;
	s->retry_after_ms = r->retry_after_ms;
	if (r->reply.body != NULL)
		v = object_value(r->reply.body);
	(void)snprintf(s->body, sizeof(s->body), "%.*s", (int)v.len,
	    v.len > 0 ? (const char *)v.p : "");
	(void)snprintf(s->type, sizeof(s->type), "%.63s",
	    r->reply.content_type);
	(void)snprintf(s->message, sizeof(s->message), "%s", r->message);
	object_unref(r->reply.body);
}

/* The row of the table for that; NULL: none. */
static const struct endpoint *
endpoint(const char *method, const char *pattern)
{
	size_t i;

	for (i = 0; i < endpoints_count; i++) {
		if (strcmp(endpoints[i].method, method) == 0 &&
		    strcmp(endpoints[i].pattern, pattern) == 0)
			return &endpoints[i];
	}
	return NULL;
}

/* Hand a request on, within ms; pattern NULL: for an unknown endpoint. */
static struct sent *
begin(struct fixture *f, size_t i, const char *method, const char *target,
    const char *pattern, const char *id, uint64_t ms)
{
	char texts[3][128];
	struct relay_request rq = {
		.endpoint = pattern != NULL ? endpoint(method, pattern) : NULL,
		.id = unit_view(id),
		.deadline_ms = ms,
	};
	struct sent *s = &f->sent[i];
	unsigned int started = f->fu.started;

	assert_true((pattern != NULL) == (rq.endpoint != NULL));
	(void)snprintf(texts[0], sizeof(texts[0]), "%s", method);
	(void)snprintf(texts[1], sizeof(texts[1]), "%s", target);
	(void)snprintf(texts[2], sizeof(texts[2]), "application/x");
	rq.send.method = texts[0];
	rq.send.target = unit_view(texts[1]);
	rq.send.accept = unit_view(texts[2]);
	if (strcmp(method, "GET") != 0) {
		rq.send.has_body = true;
		rq.send.body = (struct view){ secmem_bytes(&f->body),
		    secmem_len(&f->body) };
	}
	*s = (struct sent){ .answers = 0 };
	assert_int_equal(relay_start(f->fetch, &rq, &fake_now, got, s,
	    &s->relay), 0);
	memset(texts, 'X', sizeof(texts)); /* they were copied */
	assert_int_equal(s->answers, 0);
	assert_int_equal(f->fu.started, started);
	return s;
}

/* The same, as far as it is sent by itself. */
static struct sent *
send_on(struct fixture *f, size_t i, const char *method, const char *target,
    const char *pattern, const char *id)
{
	struct sent *s = begin(f, i, method, target, pattern, id,
	    MSG_NO_LIMIT);

	fake_time_run();
	return s;
}

static struct upstream_call *
call_for(struct fixture *f, const char *target)
{
	struct upstream_call *call = fake_upstream_relay(&f->fu, target);

	assert_non_null(call);
	return call;
}

static void
reply(struct fixture *f, const char *target, int status, const char *body)
{
	fake_upstream_reply(&f->fu, call_for(f, target), status, body);
	fake_time_run();
}

static void
lose(struct fixture *f, const char *target, bool unsent)
{
	fake_upstream_lose(&f->fu, call_for(f, target), unsent);
	fake_time_run();
}

/* Time goes on until that is asked. */
static void
await(struct fixture *f, const char *target)
{
	unsigned int n;

	for (n = 0; n < 200 && fake_upstream_relay(&f->fu, target) == NULL;
	    n++)
		fake_time_pass(100);
	assert_non_null(fake_upstream_relay(&f->fu, target));
}

static struct jobs_stats
stats_of(struct fixture *f)
{
	struct jobs_stats stats;

	fetch_get_stats(f->fetch, &stats);
	return stats;
}

/* --- reads, before and after --- */

struct ask {
	struct fetch_wait *wait;
	unsigned int answers;
	int error;
	enum msg_freshness freshness;
	uint64_t version;
	size_t rows;
	char value[64];
	char message[FETCH_MESSAGE_MAX];
};

static void
take(struct ask *a, struct fetch_result *r)
{
	struct view v;

	a->wait = NULL;
	a->answers++;
	a->error = r->error;
	a->freshness = r->freshness;
	a->value[0] = '\0';
	if (r->error != 0)
		(void)snprintf(a->message, sizeof(a->message), "%s",
		    r->message);
	else if (r->listing != NULL)
		a->rows = listing_count(r->listing);
	else if (r->object != NULL) {
		v = object_value(r->object);
		(void)snprintf(a->value, sizeof(a->value), "%.*s", (int)v.len,
		    (const char *)v.p);
	}
	object_unref(r->error == 0 ? r->object : NULL);
	listing_unref(r->error == 0 ? r->listing : NULL);
}

static void
asked(void *arg, struct fetch_result *r)
{
	take(arg, r);
}

static void
ask(struct fixture *f, struct ask *a, const char *text)
{
	struct ref ref;
	const char *at;
	struct fetch_query q = {
		.ref = &ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
	};
	struct fetch_result r;

	*a = (struct ask){ .answers = 0 };
	assert_int_equal(ref_parse(text, strlen(text), &ref, &at), 0);
	if (fetch_get(f->fetch, &q, &fake_now, &r, asked, &a->wait) == 0) {
		take(a, &r);
		return;
	}
	fetch_set_arg(a->wait, a);
	fake_time_run();
}

/* Ask, and have the service answer. */
static struct ask
get(struct fixture *f, const char *text)
{
	struct ask a;

	ask(f, &a, text);
	if (a.answers == 0)
		fake_upstream_serve(&f->fu);
	assert_int_equal(a.answers, 1);
	return a;
}

static void
check_value(struct fixture *f, const char *text, const char *value)
{
	struct ask a = get(f, text);

	if (a.error != 0)
		fail_msg("%s: %s", text, a.message);
	assert_string_equal(a.value, value);
}

/* --- handing on --- */

static void
test_answer_comes_back_whole(void **state)
{
	static const int statuses[] = { 200, 201, 204, 302, 400, 404, 409, 422 };
	struct fixture *f = *state;
	struct upstream_call *call;
	struct sent *s;
	size_t i;

	for (i = 0; i < UNIT_COUNT(statuses); i++) {
		s = send_on(f, i, "GET", "/audit-logs?page=1", "/audit-logs",
		    "");
		call = call_for(f, "/audit-logs?page=1");
		assert_string_equal(call->req.relay->method, "GET");
		assert_true(unit_view_is(call->req.relay->accept,
		    "application/x"));
		assert_false(call->req.relay->once);
		assert_false(call->req.relay->without_key);
		reply(f, "/audit-logs?page=1", statuses[i], "{\"items\":[]}");
		assert_int_equal(s->answers, 1);
		assert_int_equal(s->error, 0);
		assert_int_equal(s->status, statuses[i]);
		assert_string_equal(s->body, "{\"items\":[]}");
		assert_string_equal(s->type, "application/json");
	}
	assert_int_equal(f->fu.relays, UNIT_COUNT(statuses));
}

static void
test_what_needs_no_key_gets_none(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/share/tok", "/share/{token}",
	    "");

	assert_true(call_for(f, "/share/tok")->req.relay->without_key);
	/* so a refusal says nothing about the key either */
	reply(f, "/share/tok", 200, "{}");
	assert_int_equal(s->status, 200);
}

static void
test_reads_go_first(void **state)
{
	struct fixture *f = *state;
	struct ask a;
	size_t i;

	/* three quarters of what may be under way, and no more */
	for (i = 0; i < 20; i++)
		(void)begin(f, i, "GET", "/roles", "/roles", "", MSG_NO_LIMIT);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 12);
	ask(f, &a, SECRET(UUID));
	assert_non_null(fake_upstream_find(&f->fu, UUID));
	fake_upstream_serve(&f->fu);
	assert_string_equal(a.value, "one");
	for (i = 0; i < 20; i++)
		assert_int_equal(f->sent[i].status, 200);
}

/* --- again, and not again --- */

static void
test_what_may_be_is_tried_again_and_the_last_answer_counts(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/encrypt", "/encrypt", "");

	reply(f, "/encrypt", 500, "first");
	assert_int_equal(s->answers, 0);
	fake_time_pass(2 * SECOND);
	reply(f, "/encrypt", 502, "second");
	fake_time_pass(2 * SECOND);
	reply(f, "/encrypt", 503, "third");
	assert_int_equal(s->answers, 1);
	assert_int_equal(s->error, 0);
	assert_int_equal(s->status, 503);
	assert_string_equal(s->body, "third");
	assert_int_equal(f->fu.relays, 3);
	assert_int_equal(stats_of(f).requests, 3);
	/* that is its own affair */
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

static void
test_a_pause_that_the_service_asks_for_is_handed_on(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/encrypt", "/encrypt", "");
	struct ask a;

	f->fu.retry_after_ms = 30 * SECOND;
	reply(f, "/encrypt", 503, "busy");
	f->fu.retry_after_ms = 0;
	assert_int_equal(s->status, 503);
	assert_int_equal(s->retry_after_ms, 30 * SECOND);
	/* of that endpoint, not of all */
	a = get(f, SECRET(UUID));
	assert_string_equal(a.value, "one");
}

/* Each endpoint that must not be sent twice: lost, failed, timed out. */
static void
test_what_may_not_be_is_sent_once(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;
	struct sent *s;
	size_t i;

	for (i = 0; i < endpoints_count; i++) {
		const struct endpoint *e = &endpoints[i];

		if (e->repeatable || e->way == ENDPOINT_REFUSED)
			continue;
		s = send_on(f, 0, e->method, e->pattern, e->pattern, "");
		assert_true(call_for(f, e->pattern)->req.relay->once);
		lose(f, e->pattern, false);
		fake_time_pass(2 * SECOND);
		assert_int_equal(s->answers, 1);
		assert_int_equal(s->error, ERR_UPSTREAM_UNAVAILABLE);
		assert_non_null(strstr(s->message, DROP));
		s = send_on(f, 1, e->method, e->pattern, e->pattern, "");
		reply(f, e->pattern, 500, "failed");
		fake_time_pass(2 * SECOND);
		assert_int_equal(s->answers, 1);
		assert_int_equal(s->status, 500);
		assert_string_equal(s->body, "failed");
		n += 2;
		assert_int_equal(f->fu.relays, n);
	}
	assert_true(n > 60);
	/* what hangs is not sent beside itself */
	s = send_on(f, 2, "POST", "/qrng/entropy", "/qrng/entropy", "");
	fake_time_pass(2 * MINUTE);
	assert_int_equal(f->fu.relays, n + 1);
	lose(f, "/qrng/entropy", false);
	assert_int_equal(s->answers, 1);
}

static void
test_what_cannot_have_arrived_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/roles", "/roles", "");

	lose(f, "/roles", true);
	assert_int_equal(s->answers, 0);
	fake_time_pass(2 * SECOND);
	reply(f, "/roles", 201, "{}");
	assert_int_equal(s->status, 201);
	assert_int_equal(f->fu.relays, 2);
	/* the second time it may have arrived: no third */
	s = send_on(f, 0, "POST", "/roles", "/roles", "");
	lose(f, "/roles", true);
	fake_time_pass(2 * SECOND);
	lose(f, "/roles", false);
	assert_int_equal(s->answers, 1);
	assert_non_null(strstr(s->message, DROP));
	/* and never: no words about that */
	f->fu.mode = FAKE_NO_CONNECTION;
	s = send_on(f, 0, "POST", "/roles", "/roles", "");
	fake_upstream_pass(&f->fu, 10 * SECOND);
	assert_int_equal(s->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_null(strstr(s->message, DROP));
}

/* --- the agent's own key --- */

static void
test_refused_key_is_checked_and_another_tried(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/roles", "/roles", "");

	f->key_changed = true;
	reply(f, "/roles", 401, "{}");
	assert_int_equal(s->answers, 0);
	assert_int_equal(f->key_reads, 0);
	/* that is refused, too, so there is another key */
	reply(f, "/rate-limit", 401, "{}");
	assert_int_equal(f->key_reads, 1);
	reply(f, "/rate-limit", 200, "{}");
	/* a refusal: nothing was done, so it may go again */
	reply(f, "/roles", 201, "made");
	assert_int_equal(s->answers, 1);
	assert_int_equal(s->status, 201);
	assert_string_equal(s->body, "made");
}

static void
test_refused_key_is_the_agents_problem(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "GET", "/roles", "/roles", ""), *late;

	reply(f, "/roles", 401, "EVIL");
	reply(f, "/rate-limit", 401, "{}");
	assert_int_equal(s->error, ERR_UNAUTHORIZED);
	assert_string_equal(s->body, "");
	assert_non_null(strstr(s->message, "the agent's API key"));
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	/* no reads that nobody needs: the next waits for the next probe */
	late = send_on(f, 1, "GET", "/roles", "/roles", "");
	assert_null(fake_upstream_relay(&f->fu, "/roles"));
	await(f, "/rate-limit");
	reply(f, "/rate-limit", 401, "{}");
	assert_int_equal(late->error, ERR_UNAUTHORIZED);
}

static void
test_endpoint_that_refuses_any_key_costs_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct sent *s;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		s = send_on(f, 0, "GET", "/roles", "/roles", "");
		reply(f, "/roles", 401, "{}");
		reply(f, "/rate-limit", 200, "{}");
		assert_int_equal(s->error, ERR_UNAUTHORIZED);
	}
	assert_int_equal(stats_of(f).state, JOBS_OK);
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	assert_int_equal(f->wiped, 0);
}

static void
test_several_share_one_check(void **state)
{
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < 3; i++)
		(void)begin(f, i, "GET", "/roles", "/roles", "", MSG_NO_LIMIT);
	fake_time_run();
	for (i = 0; i < 3; i++)
		reply(f, "/roles", 401, "{}");
	assert_int_equal(f->fu.relays, 4);
	reply(f, "/rate-limit", 404, "{}"); /* there, and no word of the key */
	for (i = 0; i < 3; i++)
		assert_int_equal(f->sent[i].error, ERR_UNAUTHORIZED);
	assert_int_equal(stats_of(f).state, JOBS_OK);
}

static void
test_missing_scope_is_the_agents_problem(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "GET", "/roles", "/roles", "");

	reply(f, "/roles", 403, "{}");	/* as the fake has it */
	assert_int_equal(s->error, ERR_INSUFFICIENT_SCOPE);
	assert_int_equal(s->status, 403);
	assert_string_equal(s->body, "");
	assert_int_equal(stats_of(f).state, JOBS_OK);
}

/* --- the service is away --- */

/* Until the breaker is open: connections are refused. */
static void
open_breaker(struct fixture *f)
{
	f->fu.mode = FAKE_NO_CONNECTION;
	(void)send_on(f, ASKS - 1, "GET", "/roles", "/roles", "");
	fake_upstream_pass(&f->fu, 5 * SECOND);
	assert_int_equal(f->sent[ASKS - 1].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	f->fu.mode = FAKE_OK;
}

static void
test_it_is_never_the_probe(void **state)
{
	struct fixture *f = *state;
	struct sent *once, *again;
	unsigned int before;

	open_breaker(f);
	before = f->fu.started;
	once = send_on(f, 0, "POST", "/roles", "/roles", "");
	again = send_on(f, 1, "GET", "/roles", "/roles", "");
	await(f, "/rate-limit");
	assert_int_equal(f->fu.started, before + 1);
	reply(f, "/rate-limit", 500, "{}");
	/* both share the fate of the probe, unsent */
	assert_int_equal(once->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_null(strstr(once->message, DROP));
	assert_int_equal(again->error, ERR_UPSTREAM_UNAVAILABLE);
	once = send_on(f, 0, "POST", "/roles", "/roles", "");
	await(f, "/rate-limit");
	assert_null(fake_upstream_relay(&f->fu, "/roles"));
	reply(f, "/rate-limit", 200, "{}");
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	reply(f, "/roles", 201, "{}");
	assert_int_equal(once->status, 201);
}

static void
test_a_read_is_the_probe_if_there_is_one(void **state)
{
	struct fixture *f = *state;
	struct sent *s;
	struct ask a;

	open_breaker(f);
	ask(f, &a, SECRET(UUID));
	s = send_on(f, 0, "POST", "/roles", "/roles", "");
	fake_time_pass(2 * SECOND);
	assert_null(fake_upstream_relay(&f->fu, "/rate-limit"));
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	fake_upstream_serve(&f->fu);
	assert_string_equal(a.value, "one");
	assert_int_equal(s->status, 200);
}

static void
test_answers_without_the_key_do_not_bring_it_back(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "GET", "/health", "/health", "");

	(void)send_on(f, 1, "GET", "/roles", "/roles", "");
	reply(f, "/roles", 401, "{}");
	reply(f, "/rate-limit", 401, "{}");
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	/* else whoever asks for that would put the grace off for ever */
	reply(f, "/health", 200, "ok");
	assert_int_equal(s->status, 200);
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	fake_time_pass(6 * MINUTE);
	assert_int_equal(f->wiped, 1);
}

static void
test_rate_limit_holds_for_the_key(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "GET", "/roles", "/roles", "");

	f->fu.retry_after_ms = 3600 * SECOND;
	reply(f, "/roles", 429, "slow down");
	assert_int_equal(s->error, 0);
	assert_int_equal(s->status, 429);
	assert_int_equal(s->retry_after_ms, 3600 * SECOND);
	f->fu.retry_after_ms = 0;
	s = send_on(f, 1, "GET", "/roles", "/roles", "");
	assert_int_equal(s->error, ERR_UPSTREAM_UNAVAILABLE);
	assert_in_range(s->retry_after_ms, 1, 60 * SECOND);
	/* no more than a minute for all, whatever one endpoint says */
	fake_time_pass(61 * SECOND);
	s = send_on(f, 1, "GET", "/roles", "/roles", "");
	reply(f, "/roles", 200, "{}");
	assert_int_equal(s->status, 200);
}

static void
test_rate_limit_of_an_endpoint_is_its_own(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/qrng/entropy",
	    "/qrng/entropy", "");

	f->fu.retry_after_ms = 50 * SECOND;
	reply(f, "/qrng/entropy", 429, "{}");
	f->fu.retry_after_ms = 0;
	assert_int_equal(s->status, 429);
	check_value(f, SECRET(UUID), "one");
}

static void
test_drill_leaves_alone_what_was_sent(void **state)
{
	struct fixture *f = *state;
	struct sent *s = send_on(f, 0, "POST", "/roles", "/roles", ""), *other;

	fetch_set_offline(f->fetch, true);
	fake_time_run();
	other = send_on(f, 1, "GET", "/roles", "/roles", "");
	assert_int_equal(other->error, ERR_UPSTREAM_UNAVAILABLE);
	reply(f, "/roles", 201, "{}");
	assert_int_equal(s->status, 201);
	assert_int_equal(stats_of(f).state, JOBS_DOWN);
	fetch_set_offline(f->fetch, false);
}

/* --- callers who leave --- */

static void
test_deadline_of_what_was_not_sent(void **state)
{
	struct fixture *f = *state;
	struct sent *s;

	open_breaker(f);
	s = begin(f, 0, "POST", "/roles", "/roles", "", 500);
	fake_time_pass(500);
	assert_int_equal(s->answers, 1);
	assert_int_equal(s->error, ERR_TIMEOUT);
	assert_null(strstr(s->message, DROP));
	fake_upstream_pass(&f->fu, 20 * SECOND);
	assert_null(fake_upstream_relay(&f->fu, "/roles"));
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

static void
test_deadline_of_what_was_sent(void **state)
{
	struct fixture *f = *state;
	struct sent *s = begin(f, 0, "POST", "/roles", "/roles", "", 500);

	fake_time_pass(500);
	assert_int_equal(s->error, ERR_TIMEOUT);
	assert_non_null(strstr(s->message, DROP));
	/* it goes on, and nobody is called */
	reply(f, "/roles", 201, "{}");
	assert_int_equal(s->answers, 1);
	/* what changes nothing does not */
	s = begin(f, 0, "GET", "/roles", "/roles", "", 500);
	fake_time_pass(500);
	assert_int_equal(s->error, ERR_TIMEOUT);
	assert_null(fake_upstream_relay(&f->fu, "/roles"));
}

static void
test_write_of_a_caller_who_left_goes_on_with_a_copy(void **state)
{
	struct fixture *f = *state;
	struct sent *s;
	struct upstream_call *call;

	check_value(f, SECRET(UUID), "one");
	s = send_on(f, 0, "PUT", "/secrets/" UUID "/value",
	    "/secrets/{id}/value", UUID);
	relay_cancel(s->relay);
	secmem_free_bytes(&f->body);
	call = call_for(f, "/secrets/" UUID "/value");
	assert_true(unit_view_is(call->req.relay->body,
	    "{\"value\":\"two\"}"));
	f->fu.things[0].value = "two";
	reply(f, "/secrets/" UUID "/value", 200, "{}");
	assert_int_equal(s->answers, 0);
	check_value(f, SECRET(UUID), "two");
}

/* They are in nobody's account any more, so there is room for a few only. */
static void
test_bodies_of_callers_who_left_have_a_bound(void **state)
{
	struct fixture *f = *state;

	secmem_free_bytes(&f->body);
	assert_int_equal(secmem_alloc(&f->body, 3u << 20, SECMEM_LIBRARY), 0);
	relay_cancel(send_on(f, 0, "POST", "/roles", "/roles", "")->relay);
	(void)call_for(f, "/roles");
	relay_cancel(send_on(f, 1, "POST", "/cas", "/cas", "")->relay);
	assert_null(fake_upstream_relay(&f->fu, "/cas"));
	/* and there is room again when the first has ended */
	reply(f, "/roles", 201, "{}");
	relay_cancel(send_on(f, 1, "POST", "/cas", "/cas", "")->relay);
	reply(f, "/cas", 201, "{}");
}

static void
test_what_was_not_sent_is_taken_back(void **state)
{
	struct fixture *f = *state;
	struct sent *s = begin(f, 0, "POST", "/roles", "/roles", "",
	    MSG_NO_LIMIT);

	relay_cancel(s->relay);
	fake_time_run();
	assert_int_equal(f->fu.started, 0);
	assert_int_equal(s->answers, 0);
}

static void
test_free_takes_all_back(void **state)
{
	struct fixture *f = *state;

	(void)send_on(f, 0, "POST", "/roles", "/roles", "");
	(void)begin(f, 1, "POST", "/roles", "/roles", "", 500);
	relay_cancel(send_on(f, 2, "DELETE", "/secrets/x", "/secrets/{id}",
	    "x")->relay);
	(void)send_on(f, 3, "GET", "/cas", "/cas", "");
	reply(f, "/cas", 401, "");
	/* the rest is tear_down()'s */
}

/* --- what writes make void --- */

#define UUID_2 "5f0c1a7e-0002-4c7b-9d1e-0123456789ab"
#define ITEM "/secrets/" UUID

/* A whole write, with its answer. */
static void
write_as(struct fixture *f, const char *method, const char *target,
    const char *pattern, const char *id, int status, const char *answer)
{
	struct sent *s = send_on(f, ASKS - 2, method, target, pattern, id);

	reply(f, target, status, answer);
	assert_int_equal(s->answers, 1);
	assert_int_equal(s->status, status);
}

static void
put_value(struct fixture *f, const char *value)
{
	f->fu.things[0].value = value;
	f->fu.things[0].version++;
	write_as(f, "PUT", ITEM "/value", "/secrets/{id}/value", UUID, 200,
	    "{\"id\":\"" UUID "\",\"name\":\"db/prod\",\"version\":2,"
	    "\"isActive\":true}");
}

static void
check_error(struct fixture *f, const char *text, int error)
{
	struct ask a = get(f, text);

	if (a.error != error)
		fail_msg("%s: %d %s", text, a.error, a.message);
}

static void
test_new_value_is_seen_by_id_and_by_name(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;

	check_value(f, SECRET(UUID), "one");
	check_value(f, SECRET("db/prod"), "one");
	check_value(f, SECRET(UUID "?version=1"), "one");
	reads = f->fu.reads;
	put_value(f, "two");
	check_value(f, SECRET(UUID), "two");
	check_value(f, SECRET("db/prod"), "two");
	assert_int_equal(f->fu.reads, reads + 1);
	/* what is pinned stays, and no listing is asked for */
	f->fu.things[0].value = "one";
	check_value(f, SECRET(UUID "?version=1"), "one");
	assert_int_equal(f->fu.reads, reads + 1);
	assert_int_equal(f->fu.lists, 1);
}

static void
test_id_may_be_written_in_other_letters(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET(UUID), "one");
	f->fu.things[0].value = "two";
	write_as(f, "PUT", "/secrets/5F0C1A7E-0001-4C7B-9D1E-0123456789AB/value",
	    "/secrets/{id}/value", "5F0C1A7E-0001-4C7B-9D1E-0123456789AB", 200,
	    "{}");
	check_value(f, SECRET(UUID), "two");
}

static void
test_refused_write_changes_nothing(void **state)
{
	static const int statuses[] = { 302, 400, 403, 409, 413, 422, 429 };
	struct fixture *f = *state;
	unsigned int started;
	size_t i;

	check_value(f, SECRET("db/prod"), "one");
	for (i = 0; i < UNIT_COUNT(statuses); i++) {
		(void)send_on(f, 0, "DELETE", ITEM, "/secrets/{id}", UUID);
		reply(f, ITEM, statuses[i], "{}");
		started = f->fu.started;
		check_value(f, SECRET("db/prod"), "one");
		assert_int_equal(f->fu.started, started);
	}
}

static void
test_read_under_way_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct upstream_call *old;
	struct ask a;

	ask(f, &a, SECRET(UUID));
	old = fake_upstream_find(&f->fu, UUID);
	assert_non_null(old);
	put_value(f, "two");
	/* it was asked for before that, so it was taken back */
	assert_int_equal(f->fu.cancelled, 1);
	fake_upstream_serve(&f->fu);
	assert_string_equal(a.value, "two");
	check_value(f, SECRET(UUID), "two");
}

static void
test_renamed_is_found_by_its_new_name(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	check_error(f, SECRET("db/new"), ERR_NOT_FOUND);
	f->fu.things[0].name = "db/new";
	write_as(f, "PATCH", ITEM, "/secrets/{id}", UUID, 200, "{\"id\":\""
	    UUID "\",\"name\":\"db/new\",\"version\":1}");
	check_value(f, SECRET("db/new"), "one");
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 1);
	/* the next listing says the same */
	fake_upstream_pass(&f->fu, 11 * SECOND);
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 2);
	check_value(f, SECRET("db/new"), "one");
}

static void
test_renamed_without_an_answer_that_tells(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	f->fu.things[0].name = "db/new";
	write_as(f, "PATCH", ITEM, "/secrets/{id}", UUID, 204, "");
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
	check_value(f, SECRET("db/new"), "one");
}

static void
test_created_is_found_at_once(void **state)
{
	static const char *const answers[] = {
		"{\"id\":\"" UUID_2 "\",\"name\":\"web\",\"value\":\"x\"}",
		"{}", "", "not JSON",
		"{\"id\":\"a/b\",\"name\":\"web\"}",
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < UNIT_COUNT(answers); i++) {
		f->fu.nthings = 1;
		(void)fetch_purge_all(f->fetch);
		check_value(f, SECRET("db/prod"), "one");
		/* remembered as a name that is not there */
		check_error(f, SECRET("web"), ERR_NOT_FOUND);
		f->fu.lists = 0;
		fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
		write_as(f, "POST", "/secrets", "/secrets", "", 201,
		    answers[i]);
		check_value(f, SECRET("web"), "two");
		assert_int_equal(f->fu.lists, i == 0 ? 0 : 1);
	}
}

static void
test_second_of_a_name_makes_it_ambiguous(void **state)
{
	struct fixture *f = *state;
	struct ask a;

	check_value(f, SECRET("db/prod"), "one");
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "db/prod", "two");
	write_as(f, "POST", "/secrets", "/secrets", "", 201, "{\"id\":\""
	    UUID_2 "\",\"name\":\"db/prod\"}");
	a = get(f, SECRET("db/prod"));
	assert_int_equal(a.error, ERR_AMBIGUOUS);
	assert_non_null(strstr(a.message, UUID));
	assert_non_null(strstr(a.message, UUID_2));
	/* and no longer once that has gone */
	f->fu.things[1].name = NULL;
	write_as(f, "DELETE", "/secrets/" UUID_2, "/secrets/{id}", UUID_2, 204,
	    "");
	check_value(f, SECRET("db/prod"), "one");
	assert_int_equal(f->fu.lists, 1);
}

static void
test_deleted_is_gone_in_all_versions(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	check_value(f, SECRET(UUID "?version=1"), "one");
	f->fu.things[0].name = NULL;
	write_as(f, "DELETE", ITEM, "/secrets/{id}", UUID, 204, "");
	check_error(f, SECRET(UUID "?version=1"), ERR_NOT_FOUND);
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
	check_error(f, SECRET(UUID), ERR_NOT_FOUND);
}

static void
test_write_that_finds_it_gone_drops_all_versions(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET(UUID), "one");
	check_value(f, SECRET(UUID "?version=1"), "one");
	f->fu.things[0].name = NULL;
	write_as(f, "PUT", ITEM "/value", "/secrets/{id}/value", UUID, 404,
	    "{}");
	check_error(f, SECRET(UUID "?version=1"), ERR_NOT_FOUND);
	check_error(f, SECRET(UUID), ERR_NOT_FOUND);
}

static void
test_deleted_by_an_id_in_other_letters(void **state)
{
	static const char id[] = "5F0C1A7E-0002-4C7B-9D1E-0123456789AB";
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "db/prod", "two");
	check_error(f, SECRET("db/prod"), ERR_AMBIGUOUS);
	f->fu.things[1].name = NULL;
	write_as(f, "DELETE", "/secrets/5F0C1A7E-0002-4C7B-9D1E-0123456789AB",
	    "/secrets/{id}", id, 204, "");
	/* told by the listing that is there */
	check_value(f, SECRET("db/prod"), "one");
	assert_int_equal(f->fu.lists, 1);
}

static void
test_deactivated_and_activated_again(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	f->fu.things[0].status = 404;
	f->fu.things[0].inactive = true;
	write_as(f, "POST", ITEM "/deactivate", "/secrets/{id}/deactivate",
	    UUID, 204, "");
	check_error(f, SECRET(UUID), ERR_NOT_FOUND);
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
	f->fu.things[0].status = 0;
	f->fu.things[0].inactive = false;
	write_as(f, "POST", ITEM "/activate", "/secrets/{id}/activate",
	    UUID, 204, "");
	check_value(f, SECRET("db/prod"), "one");
	check_value(f, SECRET(UUID), "one");
}

static void
test_import_drops_what_it_names(void **state)
{
	static const char items[] = "{\"items\":[{\"name\":\"zz\"},"
	    "{\"name\":\"web\"},{\"name\":7},{}]}";
	struct fixture *f = *state;
	unsigned int reads;

	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
	check_value(f, SECRET("db/prod"), "one");
	check_value(f, SECRET("web"), "two");
	reads = f->fu.reads;
	secmem_free_bytes(&f->body);
	assert_int_equal(secmem_copy(&f->body, items, strlen(items),
	    SECMEM_LIBRARY), 0);
	f->fu.things[1].value = "new";
	fake_upstream_add(&f->fu, REF_SECRET, "s-3", "zz", "three");
	write_as(f, "POST", "/secrets/import", "/secrets/import", "", 200,
	    "{\"created\":1,\"updated\":1,\"failed\":0}");
	check_value(f, SECRET("web"), "new");
	check_value(f, SECRET("db/prod"), "one");
	assert_int_equal(f->fu.reads, reads + 1);
	check_value(f, SECRET("zz"), "three");
}

static void
test_import_that_cannot_be_read_may_be_of_any(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	f->fu.things[0].value = "new";
	write_as(f, "POST", "/secrets/import", "/secrets/import", "", 200,
	    "{}");
	check_value(f, SECRET("db/prod"), "new");
}

static void
test_import_that_cannot_be_read_loses_nothing(void **state)
{
	struct fixture *f = *state;
	struct ask a;

	check_value(f, SECRET("db/prod"), "one");
	write_as(f, "POST", "/secrets/import", "/secrets/import", "", 200,
	    "{}");
	f->fu.mode = FAKE_NO_CONNECTION;
	ask(f, &a, SECRET("db/prod"));
	fake_upstream_pass(&f->fu, 10 * SECOND);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.error, 0);
	assert_string_equal(a.value, "one");
	assert_int_equal(a.freshness, MSG_STALE);
}

/* --- nobody knows whether it was done --- */

static void
test_after_a_lost_write_readers_wait_for_a_fresh_value(void **state)
{
	struct fixture *f = *state;
	struct ask a;
	size_t i;

	for (i = 0; i < 2; i++) {
		check_value(f, SECRET("db/prod"), i == 0 ? "one" : "two");
		(void)send_on(f, 0, "PUT", ITEM "/value",
		    "/secrets/{id}/value", UUID);
		f->fu.things[0].value = i == 0 ? "two" : "three";
		if (i == 0)
			lose(f, ITEM "/value", false);
		else
			reply(f, ITEM "/value", 500, "");
		/* it is asked for at once, and nobody gets the old one */
		ask(f, &a, SECRET(UUID));
		assert_int_equal(a.answers, 0);
		fake_upstream_serve(&f->fu);
		assert_string_equal(a.value, i == 0 ? "two" : "three");
		assert_int_equal(a.freshness, MSG_FRESH);
	}
}

static void
test_after_a_lost_write_the_old_value_is_there_in_an_outage(void **state)
{
	struct fixture *f = *state;
	struct ask a;

	check_value(f, SECRET("db/prod"), "one");
	(void)send_on(f, 0, "DELETE", ITEM, "/secrets/{id}", UUID);
	f->fu.mode = FAKE_NO_CONNECTION;
	lose(f, ITEM, false);
	fake_upstream_pass(&f->fu, 10 * SECOND);
	a = get(f, SECRET("db/prod"));
	assert_int_equal(a.error, 0);
	assert_string_equal(a.value, "one");
	assert_int_equal(a.freshness, MSG_STALE);
	/* and nothing of the kind where it cannot have arrived */
	fetch_set_offline(f->fetch, false);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, MINUTE);
	a = get(f, SECRET("db/prod"));
	assert_int_equal(a.freshness, MSG_FRESH);
}

static void
test_deleted_the_first_time_or_the_second(void **state)
{
	struct fixture *f = *state;
	struct sent *s;

	check_value(f, SECRET("db/prod"), "one");
	s = send_on(f, 0, "DELETE", ITEM, "/secrets/{id}", UUID);
	f->fu.things[0].name = NULL;
	lose(f, ITEM, false);
	fake_time_pass(2 * SECOND);
	reply(f, ITEM, 404, "{}");
	assert_int_equal(s->status, 404);
	check_error(f, SECRET("db/prod"), ERR_NOT_FOUND);
}

/* --- those who watch --- */

static void
test_watched_is_read_again_by_itself(void **state)
{
	const struct cache_key key = { .kind = REF_SECRET,
	    .id = unit_view(UUID) };
	struct fixture *f = *state;
	struct cache_entry *e;

	check_value(f, SECRET(UUID), "one");
	e = cache_find(fetch_cache(f->fetch), &key);
	assert_non_null(e);
	e->watchers = 1;
	put_value(f, "two");
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->changed, 1);
	f->fu.things[0].name = NULL;
	write_as(f, "DELETE", ITEM, "/secrets/{id}", UUID, 204, "");
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->gone, 1);
	e->watchers = 0;
}

/* --- lists --- */

static struct ask
list(struct fixture *f, bool only_if_cached)
{
	const struct fetch_query q = {
		.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
		.only_if_cached = only_if_cached,
	};
	struct fetch_result r;
	struct ask a = { .answers = 0 };

	if (fetch_list(f->fetch, REF_SECRET, &q, &fake_now, &r, asked,
	    &a.wait) == 0) {
		take(&a, &r);
		return a;
	}
	fetch_set_arg(a.wait, &a);
	fake_upstream_serve(&f->fu);
	assert_int_equal(a.answers, 1);
	return a;
}

static void
test_list_shows_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct ask a = list(f, false);

	assert_int_equal(a.rows, 1);
	assert_int_equal(f->fu.lists, 1);
	(void)list(f, false);
	assert_int_equal(f->fu.lists, 1);
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
	write_as(f, "POST", "/secrets", "/secrets", "", 201, "{\"id\":\""
	    UUID_2 "\",\"name\":\"web\"}");
	a = list(f, true);
	assert_int_equal(a.rows, 1);
	assert_int_equal(a.freshness, MSG_STALE);
	a = list(f, false);
	assert_int_equal(a.rows, 2);
	assert_int_equal(a.freshness, MSG_FRESH);
	/* in an outage what there is, as old */
	write_as(f, "POST", "/secrets", "/secrets", "", 201, "{}");
	f->fu.mode = FAKE_NO_CONNECTION;
	f->fu.list_status = 500;
	{
		const struct fetch_query q = {
			.max_age_ms = MSG_NO_LIMIT,
			.max_stale_ms = MSG_NO_LIMIT,
		};
		struct fetch_result r;
		struct ask b = { .answers = 0 };

		assert_int_equal(fetch_list(f->fetch, REF_SECRET, &q,
		    &fake_now, &r, asked, &b.wait), ERR_AGAIN);
		fetch_set_arg(b.wait, &b);
		fake_upstream_pass(&f->fu, 10 * SECOND);
		assert_int_equal(b.answers, 1);
		assert_int_equal(b.rows, 2);
		assert_int_equal(b.freshness, MSG_STALE);
	}
}

/* Whoever lists or looks for a name is answered, whatever is written. */
static void
test_listing_ends_though_writes_do_not(void **state)
{
	struct fixture *f = *state;
	struct upstream_call *call;
	struct ask a;
	unsigned int n;

	f->fu.page_size = 2;
	for (n = 1; n < 20; n++) {
		static char ids[20][8];

		(void)snprintf(ids[n], sizeof(ids[n]), "s-%u", n);
		fake_upstream_add(&f->fu, REF_SECRET, ids[n], ids[n], "v");
	}
	ask(f, &a, SECRET("s-nothing"));
	for (n = 0; n < 60 && a.answers == 0; n++) {
		/* a page, a write, a page, ... */
		call = fake_upstream_first(&f->fu);
		assert_non_null(call);
		assert_int_equal(call->req.op, UPSTREAM_LIST_SECRETS);
		fake_upstream_answer_table(&f->fu, call);
		fake_time_run();
		write_as(f, "POST", "/secrets", "/secrets", "", 201, "{}");
	}
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.error, ERR_NOT_FOUND);
	fake_upstream_serve(&f->fu);
}

/* A long listing is not asked for again and again for names not there. */
static void
test_names_not_there_cost_less_the_longer_the_list(void **state)
{
	static char ids[250][8];
	struct fixture *f = *state;
	unsigned int n;

	for (n = 0; n < 250; n++) {
		(void)snprintf(ids[n], sizeof(ids[n]), "t-%u", n);
		fake_upstream_add(&f->fu, REF_SECRET, ids[n], ids[n], "v");
	}
	check_error(f, SECRET("none-1"), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 2);
	fake_upstream_pass(&f->fu, 15 * SECOND);
	check_error(f, SECRET("none-2"), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 2);
	fake_upstream_pass(&f->fu, 6 * SECOND);
	check_error(f, SECRET("none-3"), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 4);
}

/* What was written says no more than the service does later. */
static void
test_next_listing_is_the_word_again(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
	write_as(f, "POST", "/secrets", "/secrets", "", 201, "{\"id\":\""
	    UUID_2 "\",\"name\":\"web\"}");
	check_value(f, SECRET("web"), "two");
	/* somebody else gives the name to another */
	f->fu.things[1].name = "old-web";
	f->fu.things[1].version++;
	fake_upstream_add(&f->fu, REF_SECRET, "s-3", "web", "three");
	(void)list(f, false);
	check_value(f, SECRET("web"), "three");
	check_value(f, SECRET("old-web"), "two");
}

/* More than can be remembered: then the service is asked. */
static void
test_many_writes(void **state)
{
	static char names[280][8];
	struct fixture *f = *state;
	char answer[80];
	unsigned int n;

	check_value(f, SECRET("db/prod"), "one");
	for (n = 0; n < 280; n++) {
		(void)snprintf(names[n], sizeof(names[n]), "u-%u", n);
		fake_upstream_add(&f->fu, REF_SECRET, names[n], names[n], "v");
		(void)snprintf(answer, sizeof(answer),
		    "{\"id\":\"u-%u\",\"name\":\"u-%u\"}", n, n);
		write_as(f, "POST", "/secrets", "/secrets", "", 201, answer);
	}
	check_value(f, SECRET("u-0"), "v");
	check_value(f, SECRET("u-255"), "v");
	assert_int_equal(f->fu.lists, 1);
	check_value(f, SECRET("u-279"), "v");
	assert_int_equal(f->fu.lists, 3);
	check_value(f, SECRET("u-278"), "v");
	assert_int_equal(f->fu.lists, 3);
}

/* --- keys --- */

#define PUBLIC(text) "qapi://keys/" text "/public"

static void
test_rotated_key_is_followed(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_KEY, "key_1", "sign", "old");
	fake_upstream_add(&f->fu, REF_KEY, "key_3", "other", "other");
	check_value(f, PUBLIC("sign"), "old");
	check_value(f, PUBLIC("other"), "other");
	/* the same id */
	f->fu.things[1].value = "new";
	write_as(f, "POST", "/keys/key_1/rotate", "/keys/{id}/rotate", "key_1",
	    200, "{\"id\":\"key_1\",\"keyId\":\"key_1\",\"name\":\"sign\"}");
	check_value(f, PUBLIC("sign"), "new");
	assert_int_equal(f->fu.lists, 1);
	/* another one */
	fake_upstream_add(&f->fu, REF_KEY, "key_2", "sign", "newest");
	f->fu.things[1].unlisted = true;
	write_as(f, "POST", "/keys/key_1/rotate", "/keys/{id}/rotate", "key_1",
	    200, "{\"id\":\"key_1\",\"keyId\":\"key_2\",\"name\":\"sign\"}");
	check_value(f, PUBLIC("sign"), "newest");
	assert_int_equal(f->fu.lists, 1);
	check_value(f, PUBLIC("key_1"), "new");
}

static void
test_another_default_drops_all_keys(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;

	fake_upstream_add(&f->fu, REF_KEY, "key_1", "a", "a");
	fake_upstream_add(&f->fu, REF_KEY, "key_2", "b", "b");
	check_value(f, PUBLIC("key_1"), "a");
	check_value(f, PUBLIC("key_2"), "b");
	check_value(f, SECRET(UUID), "one");
	reads = f->fu.reads;
	write_as(f, "POST", "/keys/key_1/set-default", "/keys/{id}/set-default",
	    "key_1", 204, "");
	check_value(f, PUBLIC("key_2"), "b");
	check_value(f, SECRET(UUID), "one");
	assert_int_equal(f->fu.reads, reads + 1);
}

static void
test_endpoint_that_nobody_knows(void **state)
{
	struct fixture *f = *state;

	check_value(f, SECRET("db/prod"), "one");
	f->fu.things[0].value = "two";
	write_as(f, "POST", ITEM "/restore?version=1", NULL, "", 200, "{}");
	assert_true(f->fu.relays > 0);
	check_value(f, SECRET("db/prod"), "two");
	/* a read of that kind changes nothing */
	f->fu.things[0].value = "three";
	write_as(f, "GET", ITEM "/restorable", NULL, "", 200, "{}");
	check_value(f, SECRET("db/prod"), "two");
}

/* What is said of cryptography, shares and the like drops nothing. */
static void
test_others_drop_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;
	size_t i;

	check_value(f, SECRET("db/prod"), "one");
	reads = f->fu.reads;
	for (i = 0; i < endpoints_count; i++) {
		const struct endpoint *e = &endpoints[i];

		if (e->drops != 0 || e->way == ENDPOINT_REFUSED)
			continue;
		write_as(f, e->method, e->pattern, e->pattern, UUID, 200,
		    "{}");
	}
	check_value(f, SECRET("db/prod"), "one");
	assert_int_equal(f->fu.reads, reads);
	assert_int_equal(f->fu.lists, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_answer_comes_back_whole),
		TEST(test_what_needs_no_key_gets_none),
		TEST(test_reads_go_first),
		TEST(test_what_may_be_is_tried_again_and_the_last_answer_counts),
		TEST(test_a_pause_that_the_service_asks_for_is_handed_on),
		TEST(test_what_may_not_be_is_sent_once),
		TEST(test_what_cannot_have_arrived_is_tried_again),
		TEST(test_refused_key_is_checked_and_another_tried),
		TEST(test_refused_key_is_the_agents_problem),
		TEST(test_endpoint_that_refuses_any_key_costs_nobody_else),
		TEST(test_several_share_one_check),
		TEST(test_missing_scope_is_the_agents_problem),
		TEST(test_it_is_never_the_probe),
		TEST(test_a_read_is_the_probe_if_there_is_one),
		TEST(test_answers_without_the_key_do_not_bring_it_back),
		TEST(test_rate_limit_holds_for_the_key),
		TEST(test_rate_limit_of_an_endpoint_is_its_own),
		TEST(test_drill_leaves_alone_what_was_sent),
		TEST(test_deadline_of_what_was_not_sent),
		TEST(test_deadline_of_what_was_sent),
		TEST(test_write_of_a_caller_who_left_goes_on_with_a_copy),
		TEST(test_bodies_of_callers_who_left_have_a_bound),
		TEST(test_what_was_not_sent_is_taken_back),
		TEST(test_free_takes_all_back),
		TEST(test_new_value_is_seen_by_id_and_by_name),
		TEST(test_id_may_be_written_in_other_letters),
		TEST(test_refused_write_changes_nothing),
		TEST(test_read_under_way_is_not_taken),
		TEST(test_renamed_is_found_by_its_new_name),
		TEST(test_renamed_without_an_answer_that_tells),
		TEST(test_created_is_found_at_once),
		TEST(test_second_of_a_name_makes_it_ambiguous),
		TEST(test_deleted_is_gone_in_all_versions),
		TEST(test_write_that_finds_it_gone_drops_all_versions),
		TEST(test_deleted_by_an_id_in_other_letters),
		TEST(test_deactivated_and_activated_again),
		TEST(test_import_drops_what_it_names),
		TEST(test_import_that_cannot_be_read_may_be_of_any),
		TEST(test_import_that_cannot_be_read_loses_nothing),
		TEST(test_after_a_lost_write_readers_wait_for_a_fresh_value),
		TEST(test_after_a_lost_write_the_old_value_is_there_in_an_outage),
		TEST(test_deleted_the_first_time_or_the_second),
		TEST(test_watched_is_read_again_by_itself),
		TEST(test_list_shows_what_was_written),
		TEST(test_listing_ends_though_writes_do_not),
		TEST(test_names_not_there_cost_less_the_longer_the_list),
		TEST(test_next_listing_is_the_word_again),
		TEST(test_many_writes),
		TEST(test_rotated_key_is_followed),
		TEST(test_another_default_drops_all_keys),
		TEST(test_endpoint_that_nobody_knows),
		TEST(test_others_drop_nothing),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
