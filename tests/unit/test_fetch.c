#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "fetch.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)
#define DAY (24u * HOUR)
#define INTERVAL (5u * MINUTE)
#define NEGATIVE_TTL (10u * SECOND)
#define GRACE (5u * MINUTE)

#define UUID_1 "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
#define UUID_2 "5f0c1a7e-0002-4c7b-9d1e-0123456789ab"
#define SECRET(text) "qapi://secrets/" text
#define ASKS 300

/* One question and what became of it. */
struct ask {
	struct fetch_wait *wait;	/* NULL: answered */
	unsigned int answers;
	int error;
	enum msg_freshness freshness;
	uint64_t age_ms;
	uint64_t version;
	size_t rows;			/* of a listing */
	char value[64];
	char id[MSG_ID_MAX + 1];
	char message[FETCH_MESSAGE_MAX];
};

struct fixture {
	struct fake_upstream fu;
	struct fetch_config cfg;
	struct fetch *fetch;
	struct metrics metrics;
	struct ref ref;
	struct ask asks[ASKS];
	unsigned int wiped;
	unsigned int state_changes;
	unsigned int judgings;
	bool can_judge;
	unsigned int key_reads;
	bool key_changed;
};

static bool
reload_key(void *arg)
{
	struct fixture *f = arg;
	bool changed = f->key_changed;

	f->key_reads++;
	f->key_changed = false;
	return changed;
}

static void
state_changed(void *arg)
{
	((struct fixture *)arg)->state_changes++;
}

static void
judging(void *arg, bool can)
{
	struct fixture *f = arg;

	f->judgings++;
	f->can_judge = can;
}

static void
wiped(void *arg)
{
	((struct fixture *)arg)->wiped++;
}

static void
fetch_up(struct fixture *f)
{
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = state_changed,
		.wiped = wiped, .judging = judging, .arg = f,
	};

	f->fetch = fetch_new(NULL, &f->fu.up, &f->cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->cfg = (struct fetch_config){
		.cache = {
			.max_bytes = 1u << 20,
			.refresh_interval_ms = INTERVAL,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = DAY,
			.max_stale_ms = DAY,
			.negative_ttl_ms = NEGATIVE_TTL,
			.idle_evict_ms = DAY,
		},
		.unauthorized_grace_ms = GRACE,
		.max_in_flight = 16,
	};
	fake_time_reset();
	fake_upstream_init(&f->fu);
	fake_upstream_add(&f->fu, REF_SECRET, UUID_1, "db/prod", "one");
	fake_upstream_add(&f->fu, REF_SECRET, UUID_2, "web", "two");
	fetch_up(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

/* --- asking --- */

static void
take_result(struct ask *a, struct fetch_result *r)
{
	struct view v;

	a->answers++;
	a->wait = NULL;
	a->error = r->error;
	a->freshness = r->freshness;
	a->age_ms = r->age_ms;
	a->value[0] = a->id[0] = a->message[0] = '\0';
	if (r->error != 0) {
		assert_null(r->object);
		assert_null(r->listing);
		(void)snprintf(a->message, sizeof(a->message), "%s",
		    r->message);
		assert_true(a->message[0] != '\0');
		return;
	}
	if (r->listing != NULL) {
		a->rows = listing_count(r->listing);
		listing_unref(r->listing);
		return;
	}
	v = object_value(r->object);
	assert_true(v.len < sizeof(a->value));
	memcpy(a->value, v.p, v.len);
	a->value[v.len] = '\0';
	a->version = r->object->version;
	(void)snprintf(a->id, sizeof(a->id), "%s", r->object->text);
	object_unref(r->object);
}

static void
answered(void *arg, struct fetch_result *r)
{
	take_result(arg, r);
}

static const struct fetch_query plain = {
	.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
};

static struct ask *
ask_on(struct fixture *f, unsigned int i, const char *text,
    const struct fetch_query *terms)
{
	struct fetch_query q = *terms;
	struct fetch_result result;
	struct ask *a = &f->asks[i];

	memset(a, 0, sizeof(*a));
	a->error = 1;
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	q.ref = &f->ref;
	if (fetch_get(f->fetch, &q, &fake_now, &result, answered,
	    &a->wait) == 0)
		take_result(a, &result);
	else
		fetch_set_arg(a->wait, a);
	memset(&f->ref, 'X', sizeof(f->ref));	/* what is needed was copied */
	return a;
}

static struct ask *
ask(struct fixture *f, unsigned int i, const char *text)
{
	return ask_on(f, i, text, &plain);
}

/* Ask, let the service answer, and the answer is there. */
static struct ask *
get_on(struct fixture *f, const char *text, const struct fetch_query *terms)
{
	struct ask *a = ask_on(f, ASKS - 1, text, terms);

	fake_upstream_serve(&f->fu);
	if (a->answers == 0)
		fake_upstream_pass(&f->fu, 10000);
	assert_int_equal(a->answers, 1);
	return a;
}

static struct ask *
get(struct fixture *f, const char *text)
{
	return get_on(f, text, &plain);
}

static struct ask *
get_fresh(struct fixture *f, const char *text)
{
	struct fetch_query q = plain;

	q.fresh = true;
	return get_on(f, text, &q);
}

static struct ask *
get_cached(struct fixture *f, const char *text)
{
	struct fetch_query q = plain;

	q.only_if_cached = true;
	return get_on(f, text, &q);
}

static void
check_value(const struct ask *a, const char *value,
    enum msg_freshness freshness)
{
	if (a->error != 0)
		print_error("error %d: %s\n", a->error, a->message);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->error, 0);
	assert_string_equal(a->value, value);
	assert_int_equal(a->freshness, freshness);
}

static void
check_error(const struct ask *a, int error)
{
	assert_int_equal(a->answers, 1);
	if (a->error != error)
		print_error("%s\n", a->message);
	assert_int_equal(a->error, error);
}

static struct cache_stats
cached(struct fixture *f)
{
	struct cache_stats stats;

	cache_get_stats(fetch_cache(f->fetch), &stats);
	return stats;
}

static struct jobs_stats
service(struct fixture *f)
{
	struct jobs_stats stats;

	fetch_get_stats(f->fetch, &stats);
	return stats;
}

static size_t
purge(struct fixture *f, const char *text)
{
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	return fetch_purge(f->fetch, &f->ref);
}

/* The service goes away, and the agent learns it for everything cached. */
static void
go_down(struct fixture *f)
{
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, INTERVAL + MINUTE);
	assert_int_equal(service(f).state, JOBS_DOWN);
}

/* --- reading --- */

static void
test_id_is_read_once_and_then_cached(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	assert_int_equal(a->answers, 0);
	fake_upstream_serve(&f->fu);
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(f->fu.reads, 1);
	assert_int_equal(f->fu.lists, 0);
	fake_time_pass(1000);
	a = ask(f, 1, SECRET(UUID_1));
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(a->age_ms, 1000);
	assert_int_equal(f->fu.started, 1);
	assert_int_equal(f->metrics.misses, 1);
	assert_int_equal(f->metrics.hits, 1);
}

static void
test_name_is_found_through_one_listing(void **state)
{
	struct fixture *f = *state;

	check_value(get(f, SECRET("db/prod")), "one", MSG_FRESH);
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->fu.reads, 1);
	check_value(get(f, SECRET("web")), "two", MSG_FRESH);
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->fu.reads, 2);
	check_value(get(f, SECRET(UUID_2)), "two", MSG_FRESH);
	assert_int_equal(f->fu.started, 3);
}

static void
test_100_callers_share_one_read(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 100; i++)
		(void)ask(f, i, i % 2 ? SECRET("db/prod") : SECRET(UUID_1));
	fake_upstream_serve(&f->fu);
	for (i = 0; i < 100; i++)
		check_value(&f->asks[i], "one", MSG_FRESH);
	assert_int_equal(f->fu.reads, 1);
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->metrics.misses, 100);
}

static void
test_answers_never_come_from_within(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	assert_int_equal(a->answers, 0);
	fake_time_run();
	assert_int_equal(a->answers, 1);
}

static void
test_pinned_versions_and_forms_of_a_key_are_things_of_their_own(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	f->fu.things[0].version = 3;
	a = get(f, SECRET("db/prod?version=2"));
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(a->version, 2);
	assert_int_equal(get(f, SECRET("db/prod"))->version, 3);
	assert_int_equal(f->fu.reads, 2);
	check_error(get(f, SECRET("db/prod?version=4")), ERR_NOT_FOUND);
	fake_upstream_add(&f->fu, REF_KEY, "k-1", "sign", "pub");
	check_value(get(f, "qapi://keys/sign/public"), "pub", MSG_FRESH);
	check_value(get(f, "qapi://keys/sign/public?format=pem"), "pub",
	    MSG_FRESH);
	assert_int_equal(f->fu.reads, 5);
	check_value(get(f, "qapi://keys/sign/public?format=pem"), "pub",
	    MSG_FRESH);
	assert_int_equal(f->fu.reads, 5);
}

/* A JWK need not tell the key's name; that is no reason to think it another. */
static void
test_nameless_form_of_a_key_is_cached_by_name(void **state)
{
	struct fixture *f = *state;
	int i;

	fake_upstream_add(&f->fu, REF_KEY, "k-1", "sign", "jwk")->nameless =
	    true;
	for (i = 0; i < 3; i++)
		check_value(get(f, "qapi://keys/sign/public?format=jwk"),
		    "jwk", MSG_FRESH);
	assert_int_equal(f->fu.reads, 1);
	assert_int_equal(f->fu.lists, 1);
	fake_time_pass(MINUTE);
	check_value(get(f, "qapi://keys/sign/public?format=jwk"), "jwk",
	    MSG_FRESH);
	assert_int_equal(f->fu.started, 2);
}

/* --- refresh --- */

/* Until the refresh that is due next has been sent. */
static void
wait_for_refresh(struct fixture *f)
{
	unsigned int n;

	for (n = 0; fake_upstream_waiting(&f->fu) == 0; n++) {
		assert_true(n <= INTERVAL / SECOND);
		fake_time_pass(SECOND);
	}
}

static void
test_refresh_runs_behind_the_answers(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	(void)get(f, SECRET(UUID_1));
	f->fu.things[0].value = "newer";
	f->fu.things[0].version = 2;
	wait_for_refresh(f);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	for (i = 0; i < 50; i++)
		check_value(ask(f, i, SECRET(UUID_1)), "one", MSG_FRESH);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	fake_upstream_serve(&f->fu);
	check_value(ask(f, 0, SECRET(UUID_1)), "newer", MSG_FRESH);
	assert_int_equal(f->asks[0].version, 2);
	assert_int_equal(f->fu.reads, 2);
}

static void
test_nobody_need_read_for_a_refresh_to_run(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET(UUID_1));
	fake_upstream_pass(&f->fu, HOUR);
	assert_in_range(f->fu.reads, 12, 15);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
	assert_true(f->asks[0].age_ms <= INTERVAL);
}

static void
test_idle_entry_is_not_refreshed_for_ever(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;

	f->cfg.cache.idle_evict_ms = HOUR;
	fetch_configure(f->fetch, &f->cfg);
	(void)get(f, SECRET(UUID_1));
	fake_upstream_pass(&f->fu, HOUR + INTERVAL);
	reads = f->fu.reads;
	assert_int_equal(cached(f).secrets, 0);
	fake_upstream_pass(&f->fu, 5 * HOUR);
	assert_int_equal(f->fu.reads, reads);
}

static void
test_value_is_stale_while_the_service_is_down(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	(void)get(f, SECRET("db/prod"));
	go_down(f);
	a = ask(f, 0, SECRET("db/prod"));
	check_value(a, "one", MSG_STALE);
	assert_true(a->age_ms > INTERVAL);
	assert_int_equal(cached(f).stale, 1);
	check_error(get(f, SECRET(UUID_2)), ERR_UPSTREAM_UNAVAILABLE);
	assert_true(f->metrics.refresh_failures > 0);
}

static void
test_stale_value_ends_with_max_stale(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, DAY - MINUTE);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_STALE);
	fake_upstream_pass(&f->fu, 2 * MINUTE);
	a = get(f, SECRET(UUID_1));
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
	assert_non_null(strstr(a->message, "max-stale"));
	check_error(get_cached(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, 20 * SECOND);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
}

static void
test_answers_that_are_wrong_make_it_stale_too(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;

	(void)get(f, SECRET(UUID_1));
	f->fu.things[0].status = 400;	/* stands for any complete nonsense */
	fake_upstream_pass(&f->fu, INTERVAL);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_STALE);
	assert_int_equal(service(f).state, JOBS_OK);
	reads = f->fu.reads;
	fake_upstream_pass(&f->fu, 10 * HOUR);
	/* a service that answers is not asked every 15 s: twice an interval */
	assert_true(f->fu.reads - reads < 10 * 12 * 4);
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_UPSTREAM_ERROR);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_STALE);
}

/*
 * The contract: all is fresh again within 20 s of the service's return, after
 * whatever time and with however little cached.
 */
static void
test_all_is_fresh_within_20_s_of_the_return(void **state)
{
	struct fixture *f = *state;
	uint64_t rnd = unit_seed(), back, worst = 0;
	unsigned int round;

	for (round = 0; round < 200; round++) {
		(void)get(f, SECRET(UUID_1));
		if (round % 2)
			(void)get(f, SECRET(UUID_2));
		f->fu.mode = FAKE_NO_CONNECTION;
		fake_upstream_pass(&f->fu, INTERVAL + MINUTE +
		    unit_below(&rnd, 10 * MINUTE));
		assert_int_equal(service(f).state, JOBS_DOWN);
		f->fu.mode = FAKE_OK;
		back = fake_now.boot_ms;
		while (cached(f).stale > 0 &&
		    fake_now.boot_ms - back < 40 * SECOND)
			fake_upstream_pass(&f->fu, 100);
		if (fake_now.boot_ms - back > worst)
			worst = fake_now.boot_ms - back;
		(void)fetch_purge_all(f->fetch);
		fake_upstream_serve(&f->fu);
	}
	print_message("worst: %" PRIu64 " ms\n", worst);
	assert_true(worst <= 20 * SECOND);
}

/* Nor does anybody wait in vain for a probe in a drill during an outage. */
static void
test_drill_during_an_outage_leaves_the_agent_idle(void **state)
{
	struct fixture *f = *state;
	unsigned int started;

	(void)get(f, SECRET(UUID_1));
	(void)get(f, SECRET(UUID_2));
	go_down(f);
	fetch_set_offline(f->fetch, true);
	started = f->fu.started;
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	assert_int_equal(f->fu.started, started);
	f->fu.mode = FAKE_OK;
	fetch_set_offline(f->fetch, false);
	fake_upstream_pass(&f->fu, 10 * SECOND);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
}

/* Nor without memory for the probe. */
static void
test_probe_without_memory_is_not_tried_again_at_once(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET(UUID_1));
	go_down(f);
	fake_time_pass(15 * SECOND);
	f->fu.starts_fail = ERR_NOMEM;
	fake_time_pass(10 * MINUTE);
	f->fu.starts_fail = 0;
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, 20 * SECOND);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
}

/* A dead service is asked by one probe at a time, however much is cached. */
static void
test_dead_service_gets_single_probes(void **state)
{
	struct fixture *f = *state;
	unsigned int i, started;
	char ids[10][8], ref[128];

	for (i = 0; i < 10; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "sec_%u", i);
		fake_upstream_add(&f->fu, REF_SECRET, ids[i], ids[i], "x");
		(void)snprintf(ref, sizeof(ref), SECRET("%s"), ids[i]);
		check_value(get(f, ref), "x", MSG_FRESH);
	}
	go_down(f);
	started = f->fu.started;
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	/* one in 15 s is 40; the jitter of the last ones may add a few */
	assert_in_range(f->fu.started - started, 25, 60);
}

static void
test_clock_step_forward_is_seen_within_a_second(void **state)
{
	struct fixture *f = *state;
	unsigned int reads;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	reads = f->fu.reads;
	fake_time_step_wall((int64_t)HOUR);
	f->fu.things[0].expires_at += (int64_t)DAY;
	f->fu.things[0].version++;
	fake_upstream_pass(&f->fu, SECOND);
	assert_int_equal(f->fu.reads, reads + 1);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
}

/* --- retries and the breaker, seen by a caller --- */

static void
test_first_read_is_retried_while_somebody_waits(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 503);
	fake_time_run();
	assert_int_equal(a->answers, 0);
	fake_upstream_pass(&f->fu, 200);
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(f->fu.reads, 2);
}

static void
test_three_failures_end_the_wait_and_nothing_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	f->fu.mode = FAKE_STATUS;
	f->fu.status = 502;
	a = get(f, SECRET(UUID_1));
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(a->message, "the service failed");
	assert_int_equal(f->fu.reads, 3);
	assert_int_equal(cached(f).bytes, 0);
	fake_upstream_pass(&f->fu, HOUR);
	assert_int_equal(f->fu.reads, 3);
}

static void
test_callers_share_the_fate_of_the_probe(void **state)
{
	struct fixture *f = *state;
	unsigned int i;
	uint64_t begun;

	f->fu.mode = FAKE_NO_CONNECTION;
	check_error(get(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
	fake_upstream_pass(&f->fu, MINUTE);
	f->fu.started = 0;
	for (i = 0; i < 20; i++)
		(void)ask(f, i, i % 2 ? SECRET(UUID_1) : SECRET(UUID_2));
	begun = fake_now.boot_ms;
	fake_upstream_pass(&f->fu, 1000);
	for (i = 0; i < 20; i++)
		check_error(&f->asks[i], ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(f->fu.started, 1);
	assert_true(fake_now.boot_ms - begun <= 1000);
	f->fu.mode = FAKE_OK;
	for (i = 0; i < 20; i++)
		(void)ask(f, i, i % 2 ? SECRET(UUID_1) : SECRET(UUID_2));
	fake_upstream_pass(&f->fu, 1000);
	for (i = 0; i < 20; i++)
		check_value(&f->asks[i], i % 2 ? "one" : "two", MSG_FRESH);
	assert_int_equal(f->fu.started, 3);
}

static void
test_429_is_stale_with_and_unavailable_without_a_value(void **state)
{
	struct fixture *f = *state;
	unsigned int started;

	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 429;
	f->fu.retry_after_ms = 1000 * SECOND;
	fake_upstream_pass(&f->fu, INTERVAL);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_STALE);
	started = f->fu.started;
	check_error(get(f, SECRET(UUID_2)), ERR_UPSTREAM_UNAVAILABLE);
	fake_upstream_pass(&f->fu, 10 * SECOND);
	assert_int_equal(f->fu.started, started);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, 1300 * SECOND);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
}

/* It cannot be asked now, so it fails now: no turning in circles. */
static void
test_fresh_read_during_a_hold_fails_at_once(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 429;
	f->fu.retry_after_ms = 100 * SECOND;
	check_error(get(f, SECRET(UUID_2)), ERR_UPSTREAM_UNAVAILABLE);
	q.fresh = true;
	a = ask_on(f, 0, SECRET(UUID_1), &q);
	fake_time_run();
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
}

/* --- the API key --- */

static void
test_401_with_a_new_key_is_not_seen_by_the_caller(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	f->key_changed = true;
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	fake_upstream_serve(&f->fu);
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(f->key_reads, 1);
}

static void
test_401_goes_on_for_the_grace_and_then_all_is_wiped(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("db/prod"));
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 401;
	check_error(get(f, SECRET(UUID_2)), ERR_UNAUTHORIZED);
	assert_int_equal(service(f).state, JOBS_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, GRACE - 20 * SECOND);
	assert_int_equal(ask(f, 0, SECRET("db/prod"))->error, 0);
	assert_int_equal(f->wiped, 0);
	fake_upstream_pass(&f->fu, 30 * SECOND);
	assert_int_equal(f->wiped, 1);
	assert_int_equal(cached(f).secrets, 0);
	check_error(get(f, SECRET("db/prod")), ERR_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, HOUR);
	assert_int_equal(f->wiped, 1);
	f->fu.mode = FAKE_OK;
	check_value(get(f, SECRET("db/prod")), "one", MSG_FRESH);
}

static void
test_good_key_within_the_grace_saves_everything(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 401;
	check_error(get(f, SECRET(UUID_2)), ERR_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, GRACE - MINUTE);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, 5 * GRACE);
	assert_int_equal(f->wiped, 0);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_FRESH);
	/* and a refusal after that has a whole grace of its own */
	f->fu.mode = FAKE_STATUS;
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, GRACE - 20 * SECOND);
	assert_int_equal(f->wiped, 0);
	fake_upstream_pass(&f->fu, 30 * SECOND);
	assert_int_equal(f->wiped, 1);
}

/* A timer has an end before a long grace does. */
static void
test_grace_of_more_than_a_day_is_kept(void **state)
{
	struct fixture *f = *state;

	f->cfg.unauthorized_grace_ms = 3 * DAY;
	f->cfg.cache.max_stale_ms = 10 * DAY;
	fetch_configure(f->fetch, &f->cfg);
	(void)get(f, SECRET(UUID_1));
	assert_int_equal(ref_parse(SECRET(UUID_1), strlen(SECRET(UUID_1)),
	    &f->ref, NULL), 0);
	fetch_keep(f->fetch, &f->ref);
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 401;
	check_error(get(f, SECRET(UUID_2)), ERR_UNAUTHORIZED);
	fake_time_pass(3 * DAY - HOUR);
	assert_int_equal(f->wiped, 0);
	check_value(ask(f, 0, SECRET(UUID_1)), "one", MSG_STALE);
	fake_time_pass(2 * HOUR);
	assert_int_equal(f->wiped, 1);
}

/* --- clocks --- */

/* A fetch that begins at that time of the wall clock. */
static void
restart_at(struct fixture *f, int64_t wall_ms)
{
	fetch_free(f->fetch);
	fake_now.wall_ms = wall_ms;
	fetch_up(f);
}

static void
test_clock_of_1970_withholds_what_expires_until_it_is_set(void **state)
{
	struct fixture *f = *state;
	int64_t truth = fake_now.wall_ms;
	struct ask *a;

	f->fu.things[0].expires_at = truth + HOUR;
	restart_at(f, 5 * SECOND);
	a = get(f, SECRET(UUID_1));
	check_error(a, ERR_EXPIRED);
	assert_non_null(strstr(a->message, "1970-01-01"));
	check_value(get(f, SECRET(UUID_2)), "two", MSG_FRESH);
	assert_int_equal(f->judgings, 0);
	fake_time_step_wall(truth);
	fake_time_run();
	assert_int_equal(f->judgings, 1);
	assert_true(f->can_judge);
	check_value(get_cached(f, SECRET(UUID_1)), "one", MSG_FRESH);
	fake_time_step_wall((int64_t)(2 * HOUR));
	fake_time_run();
	check_error(get_cached(f, SECRET(UUID_1)), ERR_EXPIRED);
}

static void
test_date_of_the_service_is_as_good_as_a_clock(void **state)
{
	struct fixture *f = *state;
	int64_t truth = fake_now.wall_ms;

	f->fu.things[0].expires_at = truth + 10 * MINUTE;
	restart_at(f, 5 * SECOND);
	f->fu.date_ms = truth;
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
	assert_true(f->can_judge);
	/* and it goes on by itself, with the service away */
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, 9 * MINUTE);
	check_value(get_cached(f, SECRET(UUID_1)), "one", MSG_STALE);
	fake_upstream_pass(&f->fu, MINUTE);
	check_error(get_cached(f, SECRET(UUID_1)), ERR_EXPIRED);
}

static void
test_absurd_date_of_the_service_expires_nothing(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].expires_at = fake_now.wall_ms + 10 * MINUTE;
	f->fu.date_ms = fake_now.wall_ms + 48 * HOUR;
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
	/* one that is ahead by less is: better too early than too late */
	f->fu.date_ms = fake_now.wall_ms + HOUR;
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_EXPIRED);
}

static void
test_step_past_expiry_and_back_counts_though_nobody_reads(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_time_step_wall((int64_t)(2 * HOUR));
	fake_time_run();
	fake_time_step_wall(-(int64_t)(2 * HOUR));
	fake_time_run();
	check_error(get_cached(f, SECRET(UUID_1)), ERR_EXPIRED);
}

static void
test_nothing_wakes_an_idle_agent_but_what_is_due(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)DAY;
	(void)get(f, SECRET(UUID_1));
	/* not once a second to look at the wall clock */
	assert_true(fake_time_next() > INTERVAL / 20);
}

/* --- gone and forbidden --- */

static void
check_drop(struct fixture *f, int status, int error)
{
	f->fu.things[0].status = status;
	fake_upstream_pass(&f->fu, INTERVAL);
	assert_int_equal(cached(f).secrets, 0);
	check_error(get(f, SECRET(UUID_1)), error);
	check_error(get_cached(f, SECRET(UUID_1)), error);
}

static void
test_404_410_and_403_drop_at_once_with_pinned_versions(void **state)
{
	struct fixture *f = *state;
	const int statuses[] = { 404, 410, 403 };
	size_t i;

	for (i = 0; i < UNIT_COUNT(statuses); i++) {
		f->fu.things[0].version = 3;
		f->fu.things[0].status = 0;
		(void)get(f, SECRET(UUID_1));
		(void)get(f, SECRET(UUID_1 "?version=1"));
		(void)get(f, SECRET(UUID_1 "?version=2"));
		assert_int_equal(cached(f).secrets, 3);
		check_drop(f, statuses[i], statuses[i] == 403 ? ERR_DENIED
		    : ERR_NOT_FOUND);
		fake_upstream_pass(&f->fu, MINUTE);
	}
}

static void
test_pinned_version_that_is_gone_leaves_the_others(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].version = 3;
	(void)get(f, SECRET(UUID_1));
	(void)get(f, SECRET(UUID_1 "?version=1"));
	check_error(get(f, SECRET(UUID_1 "?version=9")), ERR_NOT_FOUND);
	assert_int_equal(cached(f).secrets, 2);
}

static void
test_key_that_is_gone_takes_its_forms_along(void **state)
{
	struct fixture *f = *state;
	struct fake_thing *t = fake_upstream_add(&f->fu, REF_KEY, "key_1",
	    "sign", "pub");

	(void)get(f, "qapi://keys/key_1/public");
	(void)get(f, "qapi://keys/key_1/public?format=pem");
	(void)get(f, "qapi://keys/key_1/public?format=der");
	assert_int_equal(cached(f).keys, 3);
	t->status = 404;
	check_error(get_fresh(f, "qapi://keys/key_1/public?format=der"),
	    ERR_NOT_FOUND);
	assert_int_equal(cached(f).keys, 0);
}

static void
test_refusal_is_remembered_for_negative_ttl(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].status = 404;
	check_error(get(f, SECRET(UUID_1)), ERR_NOT_FOUND);
	f->fu.started = 0;
	check_error(get(f, SECRET(UUID_1)), ERR_NOT_FOUND);
	assert_int_equal(f->fu.started, 0);
	f->fu.things[0].status = 0;
	check_value(get_fresh(f, SECRET(UUID_1)), "one", MSG_FRESH);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
}

static void
test_refusal_is_forgotten_after_negative_ttl(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].status = 403;
	check_error(get(f, SECRET(UUID_1)), ERR_DENIED);
	f->fu.things[0].status = 0;
	fake_upstream_pass(&f->fu, NEGATIVE_TTL);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
}

static void
test_inactive_row_is_read_to_confirm(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].inactive = true;
	f->fu.things[0].status = 404;
	check_error(get(f, SECRET("db/prod")), ERR_NOT_FOUND);
	assert_int_equal(f->fu.reads, 1);
}

/* --- names --- */

static void
test_unknown_name_is_not_found_and_remembered(void **state)
{
	struct fixture *f = *state;
	struct ask *a = get(f, SECRET("nothing/here"));

	check_error(a, ERR_NOT_FOUND);
	assert_string_equal(a->message, "no secret has this name or id");
	assert_int_equal(f->fu.lists, 1);
	assert_int_equal(f->fu.reads, 0);
	check_error(get(f, SECRET("nothing/else")), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 1);
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "nothing/here", "new");
	fake_upstream_pass(&f->fu, NEGATIVE_TTL);
	check_value(get(f, SECRET("nothing/here")), "new", MSG_FRESH);
	assert_int_equal(f->fu.lists, 2);
}

static void
test_fresh_read_of_an_unknown_name_lists_at_once(void **state)
{
	struct fixture *f = *state;

	check_error(get(f, SECRET("later")), ERR_NOT_FOUND);
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "later", "new");
	check_value(get_fresh(f, SECRET("later")), "new", MSG_FRESH);
}

static void
test_ambiguous_name_is_an_error_that_lists_both_ids(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "web", "other");
	a = get(f, SECRET("web"));
	check_error(a, ERR_AMBIGUOUS);
	assert_non_null(strstr(a->message, UUID_2));
	assert_non_null(strstr(a->message, "s-9"));
	assert_int_equal(f->fu.reads, 0);
	check_value(get(f, SECRET("s-9")), "other", MSG_FRESH);
}

static void
test_text_that_looks_like_an_id_is_tried_as_one_first(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "sec_name", "named");
	check_value(get(f, SECRET("sec_name")), "named", MSG_FRESH);
	assert_int_equal(f->fu.reads, 2);	/* the first said 404 */
	assert_int_equal(f->fu.lists, 1);
	check_value(get(f, SECRET("sec_name")), "named", MSG_FRESH);
	assert_int_equal(f->fu.reads, 2);
}

/* That it is no id says nothing about the thing of that name. */
static void
test_failure_behind_a_name_that_looks_like_an_id_is_told(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a = ask(f, 0, SECRET("sec_name"));
	unsigned int i;

	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "sec_name", "named")->
	    status = 500;
	fake_upstream_pass(&f->fu, 10 * SECOND);
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
	f->fu.things[2].status = 0;
	check_value(get(f, SECRET("sec_name")), "named", MSG_FRESH);
	fake_upstream_pass(&f->fu, 2 * SECOND);
	f->fu.mode = FAKE_NO_CONNECTION;
	q.max_age_ms = SECOND;
	for (i = 0; i < 2; i++)
		check_value(get_on(f, SECRET("sec_name"), &q), "named",
		    MSG_STALE);
}

static void
test_old_listing_is_renewed_behind_a_name_that_it_knows(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("db/prod"));
	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, 2 * INTERVAL);
	assert_int_equal(f->fu.lists, 1);
	check_value(ask(f, 0, SECRET("web")), "two", MSG_FRESH);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 2);
	check_value(ask(f, 0, SECRET("web")), "two", MSG_FRESH);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.lists, 2);
}

static void
test_deleted_and_recreated_thing_is_found_by_listing_once_more(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, MINUTE);
	f->fu.things[1].name = NULL;
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "web", "reborn");
	check_value(get_fresh(f, SECRET("web")), "reborn", MSG_FRESH);
	assert_int_equal(f->fu.lists, 2);
	assert_int_equal(f->fu.reads, 3);
}

static void
test_deleted_thing_is_listed_once_and_not_for_ever(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, MINUTE);
	f->fu.things[1].name = NULL;
	check_error(get_fresh(f, SECRET("web")), ERR_NOT_FOUND);
	assert_int_equal(f->fu.lists, 2);
	assert_int_equal(f->fu.reads, 2);
	check_error(get(f, SECRET("web")), ERR_NOT_FOUND);
	assert_int_equal(f->fu.started, 4);
}

static void
test_row_whose_thing_is_always_gone_does_not_loop(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, MINUTE);
	f->fu.things[1].status = 404;	/* and stays on the list */
	check_error(get_fresh(f, SECRET("web")), ERR_NOT_FOUND);
	assert_true(f->fu.lists <= 3);
	assert_true(f->fu.reads <= 3);
}

static void
test_renamed_thing_is_not_given_under_its_old_name(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, MINUTE);
	f->fu.things[1].name = "web-old";
	f->fu.things[1].version = 2;
	check_error(get_fresh(f, SECRET("web")), ERR_NOT_FOUND);
	check_value(get(f, SECRET("web-old")), "two", MSG_FRESH);
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "web", "other");
	check_value(get_fresh(f, SECRET("web")), "other", MSG_FRESH);
}

/*
 * The listing that tells of the new one may have been asked for by somebody
 * else a moment before: then one that was begun later decides.
 */
static void
test_renewal_begun_before_does_not_prove_a_thing_gone(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *other, *a;

	(void)get(f, SECRET("web"));
	fake_upstream_pass(&f->fu, MINUTE);
	other = ask(f, 0, SECRET("elsewhere"));
	fake_time_run();
	assert_int_equal(fake_upstream_first(&f->fu)->req.op,
	    UPSTREAM_LIST_SECRETS);
	q.fresh = true;
	a = ask_on(f, 1, SECRET("web"), &q);
	f->fu.things[1].name = NULL;
	fake_time_run();
	/* the read comes back first; then the listing, as it was before */
	fake_upstream_answer_table(&f->fu,
	    fake_upstream_find(&f->fu, UUID_2));
	fake_time_run();
	f->fu.things[1].name = "web";
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	f->fu.things[1].name = NULL;
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "web", "reborn");
	fake_upstream_serve(&f->fu);
	check_error(other, ERR_NOT_FOUND);
	check_value(a, "reborn", MSG_FRESH);
}

static void
test_key_that_may_not_list_finds_ids_but_no_names(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	fake_upstream_add(&f->fu, REF_SECRET, "plain", "named", "v");
	f->fu.list_status = 403;
	a = get(f, SECRET("db/prod"));
	check_error(a, ERR_INSUFFICIENT_SCOPE);
	a = get(f, SECRET("db/other"));
	check_error(a, ERR_INSUFFICIENT_SCOPE);
	assert_non_null(strstr(a->message, "use the id"));
	assert_int_equal(f->fu.lists, 1);
	check_value(get(f, SECRET("plain")), "v", MSG_FRESH);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_FRESH);
	check_error(get(f, SECRET("web")), ERR_NOT_FOUND);
	fake_upstream_pass(&f->fu, NEGATIVE_TTL);
	f->fu.list_status = 0;
	check_value(get(f, SECRET("db/prod")), "one", MSG_FRESH);
}

static void
test_failed_listing_is_the_error_of_an_unknown_name(void **state)
{
	struct fixture *f = *state;

	f->fu.list_status = 500;
	check_error(get(f, SECRET("db/prod")), ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(f->fu.reads, 0);
}

static void
test_old_listing_serves_names_while_the_service_is_down(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("web"));
	go_down(f);
	fake_upstream_pass(&f->fu, HOUR);
	check_value(get(f, SECRET("web")), "two", MSG_STALE);
	check_error(get(f, SECRET("unheard-of")), ERR_UPSTREAM_UNAVAILABLE);
	check_value(get_cached(f, SECRET("web")), "two", MSG_STALE);
}

/* --- terms --- */

static void
test_read_sent_before_does_not_make_it_fresh(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *early = ask(f, 0, SECRET(UUID_1)), *a, *b;

	fake_time_run();
	q.fresh = true;
	a = ask_on(f, 1, SECRET(UUID_1), &q);
	b = ask_on(f, 2, SECRET(UUID_1), &q);
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	check_value(early, "one", MSG_FRESH);
	assert_int_equal(a->answers, 0);
	f->fu.things[0].value = "newer";
	fake_upstream_serve(&f->fu);
	check_value(a, "newer", MSG_FRESH);
	check_value(b, "newer", MSG_FRESH);
	assert_int_equal(f->fu.reads, 2);
}

static void
test_read_queued_but_not_sent_makes_it_fresh(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	(void)ask(f, 0, SECRET(UUID_1));
	q.fresh = true;
	a = ask_on(f, 1, SECRET(UUID_1), &q);
	fake_upstream_serve(&f->fu);
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(f->fu.reads, 1);
}

static void
test_fresh_read_never_falls_back(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_NO_CONNECTION;
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_STALE);
}

static void
test_fresh_read_of_an_expired_value_says_why_it_failed(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, 2 * HOUR);
	check_error(get(f, SECRET(UUID_1)), ERR_EXPIRED);
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_fresh_read_after_a_refusal_says_why_it_failed(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].status = 403;
	check_error(get(f, SECRET(UUID_1)), ERR_DENIED);
	f->fu.mode = FAKE_NO_CONNECTION;
	check_error(get_fresh(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_max_age_fetches_what_is_older(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;

	(void)get(f, SECRET(UUID_1));
	fake_time_pass(10 * SECOND);
	f->fu.things[0].value = "newer";
	q.max_age_ms = 10 * SECOND;
	check_value(get_on(f, SECRET(UUID_1), &q), "one", MSG_FRESH);
	q.max_age_ms--;
	check_value(get_on(f, SECRET(UUID_1), &q), "newer", MSG_FRESH);
	assert_int_equal(f->fu.reads, 2);
}

static void
test_max_age_falls_back_within_max_stale(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	fake_time_pass(10 * SECOND);
	f->fu.mode = FAKE_NO_CONNECTION;
	q.max_age_ms = 0;
	check_value(get_on(f, SECRET(UUID_1), &q), "one", MSG_STALE);
	q.max_stale_ms = HOUR;
	check_value(get_on(f, SECRET(UUID_1), &q), "one", MSG_STALE);
	q.max_stale_ms = 5 * SECOND;
	a = get_on(f, SECRET(UUID_1), &q);
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
	assert_non_null(strstr(a->message, "max-stale"));
}

static void
test_max_stale_zero_takes_no_stale_value(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;

	(void)get(f, SECRET(UUID_1));
	q.max_stale_ms = 0;
	check_value(get_on(f, SECRET(UUID_1), &q), "one", MSG_FRESH);
	go_down(f);
	check_error(get_on(f, SECRET(UUID_1), &q), ERR_UPSTREAM_UNAVAILABLE);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_STALE);
	q.only_if_cached = true;
	check_error(get_on(f, SECRET(UUID_1), &q), ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_only_if_cached_asks_nothing(void **state)
{
	struct fixture *f = *state;

	check_error(get_cached(f, SECRET(UUID_1)), ERR_UPSTREAM_UNAVAILABLE);
	check_error(get_cached(f, SECRET("db/prod")),
	    ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(f->fu.started, 0);
	(void)get(f, SECRET("db/prod"));
	f->fu.started = 0;
	check_value(get_cached(f, SECRET(UUID_1)), "one", MSG_FRESH);
	check_value(get_cached(f, SECRET("db/prod")), "one", MSG_FRESH);
	check_error(get_cached(f, SECRET("web")), ERR_UPSTREAM_UNAVAILABLE);
	fake_time_pass(2 * SECOND);
	assert_int_equal(f->fu.started, 0);
}

static void
test_expired_value_is_never_given(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	fake_upstream_pass(&f->fu, HOUR);
	a = get(f, SECRET(UUID_1));
	check_error(a, ERR_EXPIRED);
	assert_non_null(strstr(a->message, "2026"));
	check_error(get_cached(f, SECRET(UUID_1)), ERR_EXPIRED);
	/* a reader brings a newer one in at once */
	fake_time_pass(2 * SECOND);
	f->fu.things[0].expires_at += (int64_t)DAY;
	f->fu.things[0].value = "rotated";
	check_value(get(f, SECRET(UUID_1)), "rotated", MSG_FRESH);
}

static void
test_grace_is_marked_expired(void **state)
{
	struct fixture *f = *state;

	f->cfg.cache.serve_expired_ms = HOUR;
	fetch_configure(f->fetch, &f->cfg);
	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	fake_upstream_pass(&f->fu, HOUR + MINUTE);
	check_value(get(f, SECRET(UUID_1)), "one", MSG_EXPIRED);
	fake_upstream_pass(&f->fu, HOUR);
	check_error(get(f, SECRET(UUID_1)), ERR_EXPIRED);
}

/* --- giving up --- */

static void
give_up(struct ask *a)
{
	struct fetch_result result;

	fetch_give_up(a->wait, &fake_now, &result);
	take_result(a, &result);
}

static void
test_deadline_without_a_value_is_a_timeout(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1)), *b;

	fake_time_run();
	give_up(a);
	check_error(a, ERR_TIMEOUT);
	b = ask(f, 1, SECRET("db/prod"));
	give_up(b);
	check_error(b, ERR_TIMEOUT);
	/* what was begun fills the cache */
	fake_upstream_serve(&f->fu);
	assert_int_equal(a->answers, 1);
	check_value(ask(f, 2, SECRET(UUID_1)), "one", MSG_FRESH);
}

static void
test_deadline_gives_the_value_that_is_there_as_stale(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	fake_time_pass(10 * SECOND);
	q.max_age_ms = 0;
	a = ask_on(f, 0, SECRET(UUID_1), &q);
	give_up(a);
	check_value(a, "one", MSG_STALE);
	assert_int_equal(a->age_ms, 10 * SECOND);
	q.max_stale_ms = 10 * SECOND;
	a = ask_on(f, 0, SECRET(UUID_1), &q);
	give_up(a);
	check_value(a, "one", MSG_STALE);
	q.max_stale_ms--;
	a = ask_on(f, 0, SECRET(UUID_1), &q);
	give_up(a);
	check_error(a, ERR_TIMEOUT);
	fake_upstream_serve(&f->fu);
}

static void
test_deadline_of_a_fresh_read_is_a_timeout(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	q.fresh = true;
	a = ask_on(f, 0, SECRET(UUID_1), &q);
	give_up(a);
	check_error(a, ERR_TIMEOUT);
	fake_upstream_serve(&f->fu);
}

static void
test_deadline_of_an_expired_value_says_expired(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	f->fu.things[0].expires_at = fake_now.wall_ms + (int64_t)HOUR;
	(void)get(f, SECRET(UUID_1));
	fake_upstream_pass(&f->fu, HOUR);
	fake_time_pass(2 * SECOND);
	a = ask(f, 0, SECRET(UUID_1));
	give_up(a);
	check_error(a, ERR_EXPIRED);
	fake_upstream_serve(&f->fu);
}

static void
test_deadline_when_the_answer_is_ready_takes_that(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	give_up(a);
	check_value(a, "one", MSG_FRESH);
	fake_upstream_serve(&f->fu);
	assert_int_equal(a->answers, 1);
}

/* --- cancelling --- */

static void
test_cancel_at_every_stage_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned int stage, i;
	struct ask *a;

	for (stage = 0; stage < 7; stage++) {
		a = ask(f, 0, SECRET("db/prod"));
		for (i = 0; i < stage && a->wait != NULL; i++) {
			if (i % 2 == 0)
				fake_time_run();
			else if (fake_upstream_first(&f->fu) != NULL)
				fake_upstream_answer_table(&f->fu,
				    fake_upstream_first(&f->fu));
		}
		if (a->wait != NULL)
			fetch_cancel(a->wait);
		fake_upstream_serve(&f->fu);
		assert_int_equal(a->answers, stage >= 5 ? 1 : 0);
		(void)fetch_purge_all(f->fetch);
	}
}

static void
test_read_goes_on_for_the_cache_when_its_caller_left(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	fake_time_run();
	fetch_cancel(a->wait);
	assert_int_equal(f->fu.cancelled, 0);
	fake_upstream_serve(&f->fu);
	assert_int_equal(a->answers, 0);
	check_value(ask(f, 1, SECRET(UUID_1)), "one", MSG_FRESH);
}

static void
test_one_of_many_leaves_and_the_others_are_answered(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 10; i++)
		(void)ask(f, i, SECRET("db/prod"));
	fetch_cancel(f->asks[0].wait);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	fetch_cancel(f->asks[5].wait);
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fetch_cancel(f->asks[9].wait);
	fake_upstream_serve(&f->fu);
	for (i = 0; i < 10; i++)
		assert_int_equal(f->asks[i].answers, i % 5 != 0 && i != 9);
}

static void
test_free_with_reads_under_way(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));
	struct ask *b = ask(f, 1, SECRET("db/prod"));

	fake_time_run();
	fetch_cancel(a->wait);
	fetch_cancel(b->wait);
	fetch_free(f->fetch);
	assert_int_equal(f->fu.cancelled, 2);
	assert_int_equal(fake_time_timers(), 0);
	fetch_up(f);
}

/* --- purging --- */

static void
test_purge_drops_by_id_and_by_name(void **state)
{
	struct fixture *f = *state;

	f->fu.things[0].version = 2;
	(void)get(f, SECRET("db/prod"));
	(void)get(f, SECRET("db/prod?version=1"));
	(void)get(f, SECRET("web"));
	assert_int_equal(purge(f, SECRET("db/prod?version=1")), 1);
	assert_int_equal(cached(f).secrets, 2);
	assert_int_equal(purge(f, SECRET("db/prod?version=1")), 0);
	(void)get(f, SECRET("db/prod?version=1"));
	assert_int_equal(purge(f, SECRET("db/prod")), 2);
	assert_int_equal(purge(f, SECRET(UUID_2)), 1);
	assert_int_equal(purge(f, SECRET("no-such")), 0);
	assert_int_equal(cached(f).secrets, 0);
	assert_int_equal(cached(f).bytes, 0);
}

static void
test_purge_by_name_needs_no_listing(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET(UUID_1));
	assert_int_equal(f->fu.lists, 0);
	assert_int_equal(purge(f, SECRET("db/prod")), 1);
	assert_int_equal(cached(f).secrets, 0);
}

static void
test_purge_of_a_key_drops_all_its_forms(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_KEY, "key_1", "sign", "pub");
	(void)get(f, "qapi://keys/key_1/public");
	(void)get(f, "qapi://keys/key_1/public?format=pem");
	assert_int_equal(purge(f, "qapi://keys/sign/public"), 2);
	assert_int_equal(cached(f).keys, 0);
}

static void
test_purge_during_a_read_takes_nothing_of_before(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	(void)get(f, SECRET(UUID_1));
	wait_for_refresh(f);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	assert_int_equal(purge(f, SECRET(UUID_1)), 1);
	assert_int_equal(f->fu.cancelled, 1);
	assert_int_equal(cached(f).secrets, 0);
	f->fu.things[0].value = "after";
	a = ask(f, 0, SECRET(UUID_1));
	fake_upstream_serve(&f->fu);
	check_value(a, "after", MSG_FRESH);
}

static void
test_purge_keeps_those_who_wait_waiting(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1)), *b = ask(f, 1,
	    SECRET(UUID_2));

	/* in the queue, under way, and between two attempts */
	assert_int_equal(purge(f, SECRET(UUID_1)), 0);
	fake_time_run();
	assert_int_equal(purge(f, SECRET(UUID_1)), 0);
	fake_time_run();
	fake_upstream_answer_status(&f->fu,
	    fake_upstream_find(&f->fu, UUID_2), 500);
	assert_int_equal(purge(f, SECRET(UUID_2)), 0);
	fake_upstream_pass(&f->fu, SECOND);
	check_value(a, "one", MSG_FRESH);
	check_value(b, "two", MSG_FRESH);
}

static void
test_purge_all_forgets_names_too(void **state)
{
	struct fixture *f = *state;

	(void)get(f, SECRET("db/prod"));
	(void)get(f, SECRET("web"));
	check_error(get(f, SECRET("nothing")), ERR_NOT_FOUND);
	assert_int_equal(fetch_purge_all(f->fetch), 2);
	assert_int_equal(cached(f).bytes, 0);
	f->fu.lists = 0;
	check_value(get(f, SECRET("web")), "two", MSG_FRESH);
	assert_int_equal(f->fu.lists, 1);
}

/* --- memory --- */

static void
answer_nomem(struct fixture *f, const char *id)
{
	struct upstream_answer answer = { .error = ERR_NOMEM,
		.message = "out of memory" };

	fake_time_run();
	assert_non_null(fake_upstream_find(&f->fu, id));
	fake_upstream_answer(&f->fu, fake_upstream_find(&f->fu, id), &answer);
	fake_time_run();
}

static void
test_full_memory_evicts_and_reads_again(void **state)
{
	struct fixture *f = *state;
	struct ask *a;

	(void)get(f, SECRET(UUID_2));
	a = ask(f, 0, SECRET(UUID_1));
	answer_nomem(f, UUID_1);
	assert_int_equal(cached(f).secrets, 0);
	assert_int_equal(cached(f).evictions, 1);
	fake_upstream_serve(&f->fu);
	check_value(a, "one", MSG_FRESH);
	assert_int_equal(service(f).breaker, BREAKER_CLOSED);
}

static void
test_full_memory_with_nothing_to_evict_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct ask *a = ask(f, 0, SECRET(UUID_1));

	answer_nomem(f, UUID_1);
	check_error(a, ERR_NOMEM);
	assert_int_equal(cached(f).bytes, 0);
	(void)get(f, SECRET(UUID_2));
	a = ask(f, 0, SECRET(UUID_1));
	answer_nomem(f, UUID_1);
	answer_nomem(f, UUID_1);	/* and the second time it is over */
	check_error(a, ERR_NOMEM);
}

static void
test_value_that_can_never_fit_is_too_large(void **state)
{
	struct fixture *f = *state;

	f->cfg.cache.max_bytes = 1000;
	fetch_configure(f->fetch, &f->cfg);
	f->fu.things[0].value = "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789";
	check_error(get(f, SECRET(UUID_1)), ERR_TOO_LARGE);
	f->fu.reads = 0;
	check_error(get(f, SECRET(UUID_1)), ERR_TOO_LARGE);
	assert_int_equal(f->fu.reads, 0);
}

/* --- listings --- */

static struct ask *
list_on(struct fixture *f, unsigned int i, const struct fetch_query *q)
{
	struct fetch_result result;
	struct ask *a = &f->asks[i];

	memset(a, 0, sizeof(*a));
	if (fetch_list(f->fetch, REF_SECRET, q, &fake_now, &result, answered,
	    &a->wait) == 0)
		take_result(a, &result);
	else
		fetch_set_arg(a->wait, a);
	return a;
}

static void
test_listing_is_read_once_for_all_and_cached(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;
	unsigned int i;

	for (i = 0; i < 10; i++)
		(void)list_on(f, i, &plain);
	fake_upstream_serve(&f->fu);
	for (i = 0; i < 10; i++) {
		assert_int_equal(f->asks[i].error, 0);
		assert_int_equal(f->asks[i].rows, 2);
		assert_int_equal(f->asks[i].freshness, MSG_FRESH);
	}
	assert_int_equal(f->fu.lists, 1);
	fake_time_pass(SECOND);
	a = list_on(f, 0, &plain);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->age_ms, SECOND);
	q.max_age_ms = 10;
	a = list_on(f, 0, &q);
	fake_upstream_serve(&f->fu);
	assert_int_equal(a->age_ms, 0);
	assert_int_equal(f->fu.lists, 2);
}

static void
test_listing_is_stale_while_the_service_is_down(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a;

	q.only_if_cached = true;
	check_error(list_on(f, 0, &q), ERR_UPSTREAM_UNAVAILABLE);
	(void)list_on(f, 0, &plain);
	fake_upstream_serve(&f->fu);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_pass(&f->fu, HOUR);
	a = list_on(f, 0, &plain);
	fake_upstream_pass(&f->fu, 10 * SECOND);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->error, 0);
	assert_int_equal(a->freshness, MSG_STALE);
	assert_int_equal(a->rows, 2);
	q.only_if_cached = false;
	q.fresh = true;
	a = list_on(f, 0, &q);
	fake_upstream_pass(&f->fu, 10 * SECOND);
	check_error(a, ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_listing_that_is_late_is_given_as_stale_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct fetch_query q = plain;
	struct ask *a = list_on(f, 0, &plain);

	give_up(a);
	check_error(a, ERR_TIMEOUT);
	fake_upstream_serve(&f->fu);
	q.max_age_ms = 0;
	fake_time_pass(5);
	a = list_on(f, 0, &q);
	give_up(a);
	assert_int_equal(a->error, 0);
	assert_int_equal(a->freshness, MSG_STALE);
	a = list_on(f, 0, &q);
	fetch_cancel(a->wait);
	fake_upstream_serve(&f->fu);
}

/* --- what it knows --- */

static void
test_identify_knows_cache_and_listing_and_asks_nothing(void **state)
{
	struct fixture *f = *state;
	struct view id, name;
	const char *text = SECRET("db/prod");

	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	assert_int_equal(fetch_identify(f->fetch, &f->ref, &id, &name),
	    ERR_NOT_FOUND);
	(void)get(f, SECRET(UUID_1));
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	assert_int_equal(fetch_identify(f->fetch, &f->ref, &id, &name), 0);
	assert_true(unit_view_is(id, UUID_1));
	assert_true(unit_view_is(name, "db/prod"));
	(void)get(f, SECRET("nothing"));
	(void)fetch_purge(f->fetch, &f->ref);
	text = SECRET(UUID_2);
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	assert_int_equal(fetch_identify(f->fetch, &f->ref, &id, &name), 0);
	assert_true(unit_view_is(name, "web"));
	fake_upstream_add(&f->fu, REF_SECRET, "s-9", "web", "other");
	(void)fetch_purge_all(f->fetch);
	(void)get(f, SECRET("nothing"));
	text = SECRET("web");
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	assert_int_equal(fetch_identify(f->fetch, &f->ref, &id, &name),
	    ERR_AMBIGUOUS);
}

static void
test_ids_are_told_from_names_by_looks_and_by_knowledge(void **state)
{
	struct fixture *f = *state;

	fake_upstream_add(&f->fu, REF_SECRET, "short", "named", "v");
	assert_true(fetch_may_be_id(f->fetch, REF_SECRET, unit_view(UUID_1)));
	assert_true(fetch_may_be_id(f->fetch, REF_SECRET,
	    unit_view("sec_1")));
	assert_false(fetch_may_be_id(f->fetch, REF_SECRET,
	    unit_view("short")));
	(void)get(f, SECRET("named"));
	assert_true(fetch_may_be_id(f->fetch, REF_SECRET, unit_view("short")));
	assert_false(fetch_may_be_id(f->fetch, REF_SECRET,
	    unit_view("named")));
	assert_false(fetch_may_be_id(f->fetch, REF_KEY, unit_view("short")));
}

static void
test_kept_things_survive_when_memory_is_full(void **state)
{
	struct fixture *f = *state;
	const char *text = SECRET("db/prod");

	(void)get(f, text);
	(void)get(f, SECRET("web"));
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	fetch_keep(f->fetch, &f->ref);
	text = SECRET("nothing");
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	fetch_keep(f->fetch, &f->ref);
	(void)cache_evict(fetch_cache(f->fetch), SIZE_MAX);
	check_value(get_cached(f, SECRET("db/prod")), "one", MSG_FRESH);
	check_error(get_cached(f, SECRET("web")), ERR_UPSTREAM_UNAVAILABLE);
}

static void
test_kept_thing_comes_back_after_a_purge(void **state)
{
	struct fixture *f = *state;
	const char *text = SECRET("db/prod");

	(void)get(f, text);
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	fetch_keep(f->fetch, &f->ref);
	assert_int_equal(fetch_purge(f->fetch, &f->ref), 1);
	check_error(get_cached(f, text), ERR_UPSTREAM_UNAVAILABLE);
	fake_upstream_pass(&f->fu, 60000);
	check_value(get_cached(f, text), "one", MSG_FRESH);
	(void)cache_evict(fetch_cache(f->fetch), SIZE_MAX);
	check_value(get_cached(f, text), "one", MSG_FRESH);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_id_is_read_once_and_then_cached),
		test(test_name_is_found_through_one_listing),
		test(test_100_callers_share_one_read),
		test(test_answers_never_come_from_within),
		test(
		    test_pinned_versions_and_forms_of_a_key_are_things_of_their_own),
		test(test_nameless_form_of_a_key_is_cached_by_name),
		test(test_refresh_runs_behind_the_answers),
		test(test_nobody_need_read_for_a_refresh_to_run),
		test(test_idle_entry_is_not_refreshed_for_ever),
		test(test_value_is_stale_while_the_service_is_down),
		test(test_stale_value_ends_with_max_stale),
		test(test_answers_that_are_wrong_make_it_stale_too),
		test(test_all_is_fresh_within_20_s_of_the_return),
		test(test_dead_service_gets_single_probes),
		test(test_drill_during_an_outage_leaves_the_agent_idle),
		test(test_probe_without_memory_is_not_tried_again_at_once),
		test(test_clock_step_forward_is_seen_within_a_second),
		test(test_first_read_is_retried_while_somebody_waits),
		test(test_three_failures_end_the_wait_and_nothing_is_remembered),
		test(test_callers_share_the_fate_of_the_probe),
		test(test_429_is_stale_with_and_unavailable_without_a_value),
		test(test_fresh_read_during_a_hold_fails_at_once),
		test(test_401_with_a_new_key_is_not_seen_by_the_caller),
		test(test_401_goes_on_for_the_grace_and_then_all_is_wiped),
		test(test_good_key_within_the_grace_saves_everything),
		test(test_grace_of_more_than_a_day_is_kept),
		test(test_clock_of_1970_withholds_what_expires_until_it_is_set),
		test(test_date_of_the_service_is_as_good_as_a_clock),
		test(test_absurd_date_of_the_service_expires_nothing),
		test(test_step_past_expiry_and_back_counts_though_nobody_reads),
		test(test_nothing_wakes_an_idle_agent_but_what_is_due),
		test(test_404_410_and_403_drop_at_once_with_pinned_versions),
		test(test_pinned_version_that_is_gone_leaves_the_others),
		test(test_key_that_is_gone_takes_its_forms_along),
		test(test_refusal_is_remembered_for_negative_ttl),
		test(test_refusal_is_forgotten_after_negative_ttl),
		test(test_inactive_row_is_read_to_confirm),
		test(test_unknown_name_is_not_found_and_remembered),
		test(test_fresh_read_of_an_unknown_name_lists_at_once),
		test(test_ambiguous_name_is_an_error_that_lists_both_ids),
		test(test_text_that_looks_like_an_id_is_tried_as_one_first),
		test(test_failure_behind_a_name_that_looks_like_an_id_is_told),
		test(test_old_listing_is_renewed_behind_a_name_that_it_knows),
		test(
		    test_deleted_and_recreated_thing_is_found_by_listing_once_more),
		test(test_deleted_thing_is_listed_once_and_not_for_ever),
		test(test_row_whose_thing_is_always_gone_does_not_loop),
		test(test_renamed_thing_is_not_given_under_its_old_name),
		test(test_renewal_begun_before_does_not_prove_a_thing_gone),
		test(test_key_that_may_not_list_finds_ids_but_no_names),
		test(test_failed_listing_is_the_error_of_an_unknown_name),
		test(test_old_listing_serves_names_while_the_service_is_down),
		test(test_read_sent_before_does_not_make_it_fresh),
		test(test_read_queued_but_not_sent_makes_it_fresh),
		test(test_fresh_read_never_falls_back),
		test(test_fresh_read_of_an_expired_value_says_why_it_failed),
		test(test_fresh_read_after_a_refusal_says_why_it_failed),
		test(test_max_age_fetches_what_is_older),
		test(test_max_age_falls_back_within_max_stale),
		test(test_max_stale_zero_takes_no_stale_value),
		test(test_only_if_cached_asks_nothing),
		test(test_expired_value_is_never_given),
		test(test_grace_is_marked_expired),
		test(test_deadline_without_a_value_is_a_timeout),
		test(test_deadline_gives_the_value_that_is_there_as_stale),
		test(test_deadline_of_a_fresh_read_is_a_timeout),
		test(test_deadline_of_an_expired_value_says_expired),
		test(test_deadline_when_the_answer_is_ready_takes_that),
		test(test_cancel_at_every_stage_leaves_nothing),
		test(test_read_goes_on_for_the_cache_when_its_caller_left),
		test(test_one_of_many_leaves_and_the_others_are_answered),
		test(test_free_with_reads_under_way),
		test(test_purge_drops_by_id_and_by_name),
		test(test_purge_by_name_needs_no_listing),
		test(test_purge_of_a_key_drops_all_its_forms),
		test(test_purge_during_a_read_takes_nothing_of_before),
		test(test_purge_keeps_those_who_wait_waiting),
		test(test_purge_all_forgets_names_too),
		test(test_full_memory_evicts_and_reads_again),
		test(test_full_memory_with_nothing_to_evict_is_an_error),
		test(test_value_that_can_never_fit_is_too_large),
		test(test_listing_is_read_once_for_all_and_cached),
		test(test_listing_is_stale_while_the_service_is_down),
		test(test_listing_that_is_late_is_given_as_stale_or_not_at_all),
		test(test_identify_knows_cache_and_listing_and_asks_nothing),
		test(test_ids_are_told_from_names_by_looks_and_by_knowledge),
		test(test_kept_things_survive_when_memory_is_full),
		test(test_kept_thing_comes_back_after_a_purge),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
