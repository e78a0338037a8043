#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "jobs.h"

#define JOBS 64

/* What a job's callback was told. */
struct done {
	unsigned int count;
	int error;
	uint64_t sent;
	unsigned int order;
	char message[UPSTREAM_MESSAGE_MAX];
};

struct fixture {
	struct fake_upstream fu;
	struct jobs *js;
	struct done done[JOBS];
	unsigned int ended;
	unsigned int state_changes;
	unsigned int key_reads;
	bool key_changed;	/* what reload_key() says next */
	bool key_pending;
	enum jobs_state state_seen;
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

static bool
key_pending(void *arg)
{
	return ((struct fixture *)arg)->key_pending;
}

static struct jobs_stats
stats_of(struct fixture *f)
{
	struct jobs_stats stats;

	jobs_get_stats(f->js, &stats);
	return stats;
}

static void
state_changed(void *arg)
{
	struct fixture *f = arg;

	f->state_changes++;
	f->state_seen = stats_of(f).state;
}

static struct jobs *
make(struct fixture *f, unsigned int max_in_flight)
{
	const struct jobs_hooks hooks = {
		.reload_key = reload_key, .key_pending = key_pending,
		.state_changed = state_changed, .arg = f,
	};

	return jobs_new(NULL, &f->fu.up, max_in_flight, &hooks);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_time_reset();
	fake_upstream_init(&f->fu);
	f->js = make(f, 4);
	assert_non_null(f->js);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	jobs_free(f->js);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

struct owner {
	struct fixture *f;
	struct done *done;
};

static struct owner owners[JOBS];

static void
job_done(void *arg, struct job *job, struct upstream_answer *answer)
{
	struct owner *o = arg;

	o->done->count++;
	o->done->error = answer->error;
	o->done->sent = job_sent(job);
	o->done->order = ++o->f->ended;
	(void)snprintf(o->done->message, sizeof(o->done->message), "%s",
	    answer->message);
	object_unref(answer->object);
	if (answer->page != NULL)
		upstream_page_free(answer->page);
}

static struct job *
begin_as(struct fixture *f, unsigned int i, enum job_waited waited)
{
	char id[16];
	struct upstream_request req = { .op = UPSTREAM_READ_SECRET };
	struct job *job = NULL;

	(void)snprintf(id, sizeof(id), "s-%u", i);
	req.id = unit_view(id);
	owners[i] = (struct owner){ f, &f->done[i] };
	assert_int_equal(jobs_start(f->js, &req, waited, job_done, &owners[i],
	    &job), 0);
	assert_non_null(job);
	memset(id, 'X', sizeof(id));	/* it was copied */
	return job;
}

static struct job *
begin(struct fixture *f, unsigned int i, bool waited)
{
	return begin_as(f, i, waited ? JOB_FIRST : JOB_REFRESH);
}

static void
answer(struct fixture *f, unsigned int i, int status)
{
	char id[16];
	struct upstream_call *call;

	(void)snprintf(id, sizeof(id), "s-%u", i);
	call = fake_upstream_find(&f->fu, id);
	assert_non_null(call);
	if (status == 200)
		fake_upstream_answer(&f->fu, call,
		    &(struct upstream_answer){ .status = 200 });
	else
		fake_upstream_answer_status(&f->fu, call, status);
	fake_time_run();
}

/* Until the breaker is open: three that nobody waits for fail. */
static void
open_breaker(struct fixture *f)
{
	unsigned int i;

	for (i = 60; i < 63; i++) {
		(void)begin(f, i, false);
		fake_time_run();
		answer(f, i, 500);
	}
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
}

/* --- the queue --- */

static void
test_nothing_is_sent_from_within_start(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 1, true);
	assert_int_equal(f->fu.started, 0);
	assert_int_equal(stats_of(f).queued, 1);
	assert_int_equal(stats_of(f).state, JOBS_UNKNOWN);
	fake_time_run();
	assert_int_equal(f->fu.started, 1);
	assert_string_equal(fake_upstream_first(&f->fu)->id, "s-1");
	assert_int_equal(stats_of(f).queued, 0);
	assert_int_equal(stats_of(f).in_flight, 1);
	answer(f, 1, 200);
	assert_int_equal(f->done[1].count, 1);
	assert_int_equal(f->done[1].error, 0);
	assert_int_equal(stats_of(f).in_flight, 0);
	assert_int_equal(stats_of(f).requests, 1);
	assert_int_equal(stats_of(f).failed, 0);
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(f->state_changes, 1);
	assert_true(stats_of(f).last_success_boot_ms == fake_now.boot_ms);
}

static void
test_no_more_than_max_in_flight_are_under_way(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 20; i++)
		(void)begin(f, i, i % 2);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	while (fake_upstream_first(&f->fu) != NULL) {
		fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
		    &(struct upstream_answer){ .status = 200 });
		fake_time_run();
	}
	assert_int_equal(f->fu.most, 4);
	assert_int_equal(f->ended, 20);
}

static void
test_set_max_in_flight(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 20; i++)
		(void)begin(f, i, true);
	fake_time_run();
	jobs_set_max_in_flight(f->js, 7);
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 7);
	/* fewer: what is under way stays */
	jobs_set_max_in_flight(f->js, 2);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 7);
	for (i = 0; i < 6; i++)
		answer(f, i, 200);
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
}

static void
test_what_callers_wait_for_goes_first_in_order_of_coming(void **state)
{
	struct fixture *f = *state;
	struct job *late;
	unsigned int i;

	(void)begin(f, 0, false);
	(void)begin(f, 1, true);
	(void)begin(f, 2, false);
	(void)begin(f, 3, true);
	late = begin(f, 4, false);
	job_set_waited(late, JOB_FIRST);
	job_set_waited(late, JOB_FIRST);
	while (f->ended < 5) {
		fake_time_run();
		fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
		    &(struct upstream_answer){ .status = 200 });
	}
	for (i = 0; i < 5; i++)
		assert_int_equal(f->done[i].order,
		    ((const unsigned int[]){ 4, 1, 5, 2, 3 })[i]);
}

static void
test_one_that_nobody_waits_for_any_more_steps_back(void **state)
{
	struct fixture *f = *state;
	struct job *first = begin(f, 0, true);

	(void)begin(f, 1, true);
	job_set_waited(first, JOB_REFRESH);
	fake_time_run();
	assert_string_equal(fake_upstream_first(&f->fu)->id, "s-1");
	answer(f, 0, 200);
	answer(f, 1, 200);
}

static void
test_cancelled_job_has_no_callback(void **state)
{
	struct fixture *f = *state;
	struct job *queued = begin(f, 0, true), *running;

	job_cancel(queued);
	running = begin(f, 1, true);
	fake_time_run();
	assert_int_equal(f->fu.started, 1);
	job_cancel(running);
	assert_int_equal(f->fu.cancelled, 1);
	fake_time_pass(60000);
	assert_int_equal(f->ended, 0);
	assert_int_equal(stats_of(f).in_flight, 0);
	assert_int_equal(stats_of(f).queued, 0);
}

static void
test_cancelling_makes_room_for_the_next(void **state)
{
	struct fixture *f = *state;
	struct job *first = begin(f, 0, true);
	unsigned int i;

	for (i = 1; i < 5; i++)
		(void)begin(f, i, true);
	fake_time_run();
	assert_null(fake_upstream_find(&f->fu, "s-4"));
	job_cancel(first);
	fake_time_run();
	assert_non_null(fake_upstream_find(&f->fu, "s-4"));
	for (i = 1; i < 5; i++)
		answer(f, i, 200);
}

static void
test_free_cancels_in_every_stage(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 6; i++)
		(void)begin(f, i, true);
	fake_time_run();
	answer(f, 0, 503);	/* backing off */
	assert_int_equal(stats_of(f).queued, 1);
	jobs_free(f->js);
	assert_int_equal(f->ended, 0);
	f->js = make(f, 4);
	assert_non_null(f->js);
}

static void
test_id_that_is_too_long_is_refused(void **state)
{
	struct fixture *f = *state;
	static const uint8_t id[MSG_ID_MAX + 1];
	const struct upstream_request req = {
		.op = UPSTREAM_READ_SECRET, .id = { id, sizeof(id) },
	};
	struct job *job;

	assert_int_equal(jobs_start(f->js, &req, true, job_done, f, &job),
	    ERR_BAD_REQUEST);
}

static void
test_start_that_fails_ends_the_job(void **state)
{
	struct fixture *f = *state;

	f->fu.start_error = ERR_NOMEM;
	(void)begin(f, 0, true);
	(void)begin(f, 1, true);
	fake_time_run();
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(f->done[0].error, ERR_NOMEM);
	assert_true(f->done[0].message[0] != '\0');
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	answer(f, 1, 200);
}

static void
test_sent_is_after_what_came_before(void **state)
{
	struct fixture *f = *state;
	uint64_t before, after;

	before = jobs_now(f->js);
	(void)begin(f, 0, true);
	fake_time_run();
	after = jobs_now(f->js);
	answer(f, 0, 200);
	assert_true(f->done[0].sent > before);
	assert_true(f->done[0].sent < after);
}

/* --- retries --- */

static void
test_failure_is_retried_while_somebody_waits(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	answer(f, 0, 500);
	assert_int_equal(f->ended, 0);
	assert_true(fake_time_next() <= 101);
	fake_time_pass(101);
	answer(f, 0, 500);
	fake_time_pass(201);
	answer(f, 0, 200);
	assert_int_equal(f->done[0].error, 0);
	assert_int_equal(f->fu.started, 3);
	assert_int_equal(stats_of(f).failed, 2);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

static void
test_third_attempt_is_the_last(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	(void)begin(f, 0, true);
	for (i = 0; i < 3; i++) {
		fake_time_pass(1000);
		answer(f, 0, 502);
	}
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(f->done[0].message, "the service failed");
	assert_int_equal(f->fu.started, 3);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	assert_int_equal(f->state_seen, JOBS_DOWN);
}

static void
test_failure_is_not_retried_if_nobody_waits(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, false);
	fake_time_run();
	answer(f, 0, 500);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	fake_time_pass(60000);
	assert_int_equal(f->fu.started, 1);
}

static void
test_definite_answer_is_not_retried(void **state)
{
	struct fixture *f = *state;
	const int statuses[] = { 404, 403, 400, 302 };
	unsigned int i;

	for (i = 0; i < UNIT_COUNT(statuses); i++) {
		(void)begin(f, i, true);
		fake_time_run();
		answer(f, i, statuses[i]);
		assert_int_equal(f->done[i].count, 1);
		assert_int_not_equal(f->done[i].error, 0);
	}
	fake_time_pass(60000);
	assert_int_equal(f->fu.started, 4);
	/* it answers, so it lives */
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(stats_of(f).failed, 0);
}

static void
test_job_is_cancelled_while_backing_off(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);

	fake_time_run();
	answer(f, 0, 500);
	job_cancel(job);
	fake_time_pass(60000);
	assert_int_equal(f->fu.started, 1);
	assert_int_equal(f->ended, 0);
}

static void
test_no_timer_for_a_retry_ends_the_job(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	fake_time_fail_new(1);
	answer(f, 0, 500);
	fake_time_fail_new(0);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
}

/* --- the breaker --- */

static void
test_third_failure_opens_and_what_is_only_due_fails_at_once(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	assert_int_equal(stats_of(f).state, JOBS_DOWN);
	assert_int_equal(f->state_changes, 1);
	(void)begin(f, 0, false);
	fake_time_run();
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_string_equal(f->done[0].message, "the service failed");
	assert_int_equal(f->fu.started, 3);
}

static void
test_waiting_jobs_share_the_fate_of_one_probe(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	open_breaker(f);
	for (i = 0; i < 10; i++)
		(void)begin(f, i, true);
	fake_time_pass(999);
	assert_int_equal(f->fu.started, 3);
	fake_time_pass(1);
	assert_int_equal(f->fu.started, 4);
	assert_int_equal(stats_of(f).breaker, BREAKER_HALF_OPEN);
	answer(f, 0, 500);
	for (i = 0; i < 10; i++) {
		assert_int_equal(f->done[i].count, 1);
		assert_int_equal(f->done[i].error, ERR_UPSTREAM_UNAVAILABLE);
		assert_true(f->done[i].message[0] != '\0');
	}
	assert_int_equal(f->fu.started, 4);
}

static void
test_successful_probe_lets_the_others_through(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	open_breaker(f);
	for (i = 0; i < 4; i++)
		(void)begin(f, i, true);
	fake_time_pass(1000);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	answer(f, 0, 200);
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(f->state_changes, 2);
	/* two at first, then more with each answer */
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	for (i = 1; i < 4; i++)
		answer(f, i, 200);
	assert_int_equal(f->ended, 7);
}

static void
test_due_job_is_the_probe_once_its_time_has_come(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	fake_time_pass(1000);
	(void)begin(f, 0, false);
	(void)begin(f, 1, false);
	fake_time_run();
	assert_non_null(fake_upstream_find(&f->fu, "s-0"));
	assert_int_equal(f->done[1].error, ERR_UPSTREAM_UNAVAILABLE);
	answer(f, 0, 404);	/* an answer is an answer */
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

static void
test_failed_probe_is_not_retried(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	(void)begin(f, 0, true);
	fake_time_pass(1000);
	answer(f, 0, 500);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	fake_time_pass(60000);
	assert_int_equal(f->fu.started, 4);
}

static void
test_cancelled_probe_leaves_room_for_another(void **state)
{
	struct fixture *f = *state;
	struct job *probe;

	open_breaker(f);
	probe = begin(f, 0, true);
	(void)begin(f, 1, true);
	fake_time_pass(1000);
	assert_non_null(fake_upstream_find(&f->fu, "s-0"));
	job_cancel(probe);
	fake_time_pass(1000);
	assert_non_null(fake_upstream_find(&f->fu, "s-1"));
	answer(f, 1, 200);
	assert_int_equal(f->done[1].error, 0);
}

static void
test_probe_that_cannot_be_started_does_not_block_for_ever(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	fake_time_pass(1000);
	f->fu.start_error = ERR_NOMEM;
	(void)begin(f, 0, true);
	fake_time_run();
	assert_int_equal(f->done[0].error, ERR_NOMEM);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	(void)begin(f, 1, true);
	fake_time_pass(1000);
	answer(f, 1, 200);
	assert_int_equal(f->done[1].error, 0);
}

static void
test_callback_that_starts_anew_is_not_refused_in_the_same_breath(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	(void)begin(f, 0, true);
	fake_time_pass(1000);
	answer(f, 0, 500);
	(void)begin(f, 0, true);
	fake_time_run();
	assert_int_equal(f->done[0].count, 1);
	fake_time_pass(1000);
	answer(f, 0, 200);
	assert_int_equal(f->done[0].count, 2);
	assert_int_equal(f->done[0].error, 0);
}

/* --- 429 --- */

static void
test_429_holds_everything_until_retry_after(void **state)
{
	struct fixture *f = *state;

	f->fu.retry_after_ms = 30000;
	(void)begin(f, 0, true);
	fake_time_run();
	answer(f, 0, 429);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_true(stats_of(f).held_until_boot_ms ==
	    fake_now.boot_ms + 30000);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	(void)begin(f, 1, true);
	(void)begin(f, 2, false);
	fake_time_run();
	assert_int_equal(f->done[1].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_non_null(strstr(f->done[1].message, "30 s"));
	assert_int_equal(f->done[2].error, ERR_UPSTREAM_UNAVAILABLE);
	fake_time_pass(29999);
	(void)begin(f, 3, true);
	fake_time_run();
	assert_int_equal(f->done[3].error, ERR_UPSTREAM_UNAVAILABLE);
	fake_time_pass(1);
	(void)begin(f, 4, true);
	fake_time_run();
	answer(f, 4, 200);
	assert_int_equal(f->done[4].error, 0);
	assert_int_equal(f->fu.started, 2);
}

/* What a caller waits for is held only where the service says so. */
static void
test_429_that_does_not_say_how_long_holds_what_is_due_for_a_second(
    void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, false);
	fake_time_run();
	answer(f, 0, 429);
	assert_true(jobs_held_ms(f->js, &fake_now) >= 1000);
	assert_true(jobs_held_ms(f->js, &fake_now) <= 1250);
	(void)begin(f, 1, false);
	(void)begin(f, 2, true);
	fake_time_run();
	assert_int_equal(f->done[1].error, ERR_UPSTREAM_UNAVAILABLE);
	answer(f, 2, 200);
	assert_int_equal(f->done[2].error, 0);
	fake_time_pass(1250);
	assert_int_equal(jobs_held_ms(f->js, &fake_now), 0);
	(void)begin(f, 3, false);
	fake_time_pass(60000);
	answer(f, 3, 200);
}

/* --- the budget --- */

static void
answer_rate(struct fixture *f, unsigned int i, uint64_t remaining)
{
	struct upstream_answer told = {
		.status = 200,
		.rate = { .told = true, .limit = 16, .remaining = remaining,
		    .reset_ms = 20000 },
	};
	char id[16];

	(void)snprintf(id, sizeof(id), "s-%u", i);
	fake_upstream_answer(&f->fu, fake_upstream_find(&f->fu, id), &told);
	fake_time_run();
}

static void
test_budget_that_is_low_is_kept_for_what_is_more_urgent(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, false);
	fake_time_run();
	answer_rate(f, 0, 6);
	assert_int_equal(stats_of(f).budget, 16);
	(void)begin_as(f, 1, JOB_PRELOAD);
	(void)begin_as(f, 2, JOB_REFRESH);
	fake_time_run();
	/* what is left is spread over the time until there is more */
	assert_null(fake_upstream_find(&f->fu, "s-2"));
	fake_time_pass(10000);
	assert_non_null(fake_upstream_find(&f->fu, "s-2"));
	assert_null(fake_upstream_find(&f->fu, "s-1"));
	answer_rate(f, 2, 4);
	(void)begin_as(f, 3, JOB_REFRESH);
	(void)begin_as(f, 4, JOB_EXPIRY);
	fake_time_pass(10000);
	answer_rate(f, 4, 2);
	(void)begin_as(f, 5, JOB_EXPIRY);
	(void)begin_as(f, 6, JOB_PATIENT);
	(void)begin_as(f, 7, JOB_FIRST);
	fake_time_run();
	assert_null(fake_upstream_find(&f->fu, "s-5"));
	answer_rate(f, 6, 1);
	answer_rate(f, 7, 0);
	/* what is held back waits, and is no failure */
	assert_int_equal(stats_of(f).queued, 3);
	/* until the reset, and up to half as long again */
	fake_time_pass(30000);
	answer(f, 5, 200);
	answer(f, 3, 200);
	answer(f, 1, 200);
	assert_int_equal(stats_of(f).failed, 0);
}

static void
test_budget_is_learnt_from_a_429(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 41; i++) {
		(void)begin(f, i, true);
		fake_time_run();
		answer(f, i, i < 40 ? 200 : 429);
	}
	assert_int_equal(stats_of(f).budget, 40);
	assert_int_equal(stats_of(f).budget_used, 41);
	fake_time_pass(1250);
	(void)begin(f, 50, false);
	fake_time_run();
	assert_int_equal(stats_of(f).queued, 1);
	(void)begin(f, 51, true);
	fake_time_run();
	answer(f, 51, 200);
	/* a minute later, most of what was sent does not count any more */
	fake_time_pass(60000);
	answer(f, 50, 200);
	jobs_key_changed(f->js);
	assert_int_equal(stats_of(f).budget, 0);
}

/* --- who may take how much --- */

static void
test_what_hangs_leaves_room_for_the_next_caller(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 4; i++)
		(void)begin_as(f, i, JOB_REFRESH);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	for (i = 4; i < 8; i++)
		(void)begin_as(f, i, JOB_PATIENT);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 3);
	(void)begin_as(f, 8, JOB_FIRST);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	answer(f, 8, 200);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->ended, 9);
}

/* What is handed on and hangs, of whoever, holds back no refresh. */
static void
test_what_is_due_goes_on_while_what_is_handed_on_hangs(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	jobs_set_max_in_flight(f->js, 16);
	for (i = 0; i < 14; i++)
		(void)begin_as(f, i, JOB_RELAYED);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 12);
	/* two of the four that are left: the others are for who asks next */
	for (i = 14; i < 18; i++)
		(void)begin_as(f, i, i % 2 ? JOB_REFRESH : JOB_EXPIRY);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 14);
	answer(f, 14, 200);
	answer(f, 16, 200);
	fake_time_run();
	answer(f, 15, 200);
	answer(f, 17, 200);
	assert_int_equal(f->ended, 4);
	(void)begin_as(f, 18, JOB_FIRST);
	fake_time_run();
	answer(f, 18, 200);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->ended, 19);
}

static void
test_who_has_several_handed_on_leaves_room_for_others(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	jobs_set_max_in_flight(f->js, 16);
	for (i = 0; i < 4; i++)
		(void)begin_as(f, i, JOB_RELAYED);
	for (; i < 16; i++)
		(void)begin_as(f, i, JOB_SEVERAL);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 8);
	(void)begin_as(f, 16, JOB_RELAYED);
	(void)begin_as(f, 17, JOB_PATIENT);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 10);
	answer(f, 16, 200);
	answer(f, 17, 200);
	assert_int_equal(f->ended, 2);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->ended, 18);
}

/* --- a probe that hangs --- */

static void
test_probe_that_hangs_counts_as_failed_and_its_answer_all_the_same(
    void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	fake_time_pass(1000);
	(void)begin(f, 0, false);
	(void)begin(f, 1, true);
	fake_time_run();
	assert_int_equal(stats_of(f).breaker, BREAKER_HALF_OPEN);
	fake_time_pass(JOBS_PROBE_MS);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(f->done[1].count, 1);
	assert_int_equal(f->done[1].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(stats_of(f).in_flight, 0);
	/* it was left to run, and tells that the service is back */
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
	    &(struct upstream_answer){ .status = 200 });
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	assert_int_equal(f->done[1].count, 1);
	(void)begin(f, 2, true);
	fake_time_run();
	answer(f, 2, 200);
}

static void
test_hanging_service_is_probed_every_15_seconds(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	open_breaker(f);
	for (i = 0; i < 600; i++) {
		fake_time_pass(100);
		if (stats_of(f).queued == 0)
			(void)begin(f, i % 50, false);
	}
	/* at 1, 7, 13, 21, 36 and 51 s; not all are left to run */
	assert_int_equal(stats_of(f).probes, 6);
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	while (fake_upstream_waiting(&f->fu) > 0)
		fake_upstream_answer_status(&f->fu,
		    fake_upstream_first(&f->fu), 500);
	assert_int_equal(stats_of(f).in_flight, 0);
}

/* What was sent before it was is another matter. */
static void
test_probe_that_hangs_after_another_answer_fails_alone(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	(void)begin(f, 50, true);
	fake_time_run();
	open_breaker(f);
	fake_time_pass(1000);
	(void)begin(f, 0, false);
	fake_time_run();
	assert_int_equal(stats_of(f).breaker, BREAKER_HALF_OPEN);
	answer(f, 50, 200);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	/* more than may be under way, so that one is queued */
	for (i = 1; i < 6; i++)
		(void)begin(f, i, true);
	fake_time_pass(JOBS_PROBE_MS);
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	for (i = 1; i < 6; i++) {
		assert_int_equal(f->done[i].count, 0);
		answer(f, i, 200);
		assert_int_equal(f->done[i].error, 0);
	}
}

/* An outage is over, and what hung in it reaches its time limit. */
static void
test_failure_of_what_was_sent_before_the_newest_answer_is_no_news(
    void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 3; i++)
		(void)begin(f, i, true);
	fake_time_run();
	(void)begin(f, 3, true);
	fake_time_run();
	answer(f, 3, 200);
	for (i = 0; i < 3; i++) {
		fake_upstream_answer_status(&f->fu,
		    fake_upstream_find(&f->fu, (const char *const[]){
		    "s-0", "s-1", "s-2" }[i]), 0);
	}
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	assert_int_equal(stats_of(f).state, JOBS_OK);
}

static void
test_service_that_is_back_is_asked_more_and_more(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	open_breaker(f);
	fake_time_pass(1000);
	for (i = 0; i < 12; i++)
		(void)begin(f, i, true);
	fake_time_run();
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	answer(f, 0, 200);
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	answer(f, 1, 200);
	assert_int_equal(fake_upstream_waiting(&f->fu), 3);
	answer(f, 2, 200);
	answer(f, 3, 200);
	assert_int_equal(fake_upstream_waiting(&f->fu), 4);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.most, 4);
}

/* Who never stops asking leaves some of it to what is due. */
static void
test_callers_do_not_keep_what_is_due_for_ever(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	(void)begin(f, 0, false);
	for (i = 1; i < 20; i++)
		(void)begin(f, i, true);
	for (i = 0; i < 4 && f->done[0].count == 0; i++) {
		fake_time_pass(JOBS_PROBE_MS / 4);
		while (fake_upstream_waiting(&f->fu) > 0)
			fake_upstream_answer(&f->fu,
			    fake_upstream_first(&f->fu),
			    &(struct upstream_answer){ .status = 200 });
		(void)begin(f, 20 + i, true);
	}
	assert_int_equal(f->done[0].count, 1);
	assert_true(f->done[0].order < 20);
	fake_upstream_serve(&f->fu);
}

/* --- what was lost on its way --- */

static void
test_caller_who_joins_what_hangs_has_it_sent_again(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);
	struct upstream_call *first, *second;

	fake_time_run();
	first = fake_upstream_first(&f->fu);
	job_set_waited(job, JOB_FIRST);
	fake_time_pass(JOBS_PROBE_MS);
	assert_int_equal(f->fu.started, 1);
	job_set_waited(job, JOB_FIRST);
	job_set_waited(job, JOB_FIRST);
	assert_int_equal(f->fu.started, 2);
	assert_int_equal(stats_of(f).in_flight, 1);
	/* the first answer counts, whichever it is */
	second = TAILQ_NEXT(first, link);
	fake_upstream_answer(&f->fu, second,
	    &(struct upstream_answer){ .status = 200 });
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(f->fu.cancelled, 1);
	assert_int_equal(stats_of(f).in_flight, 0);
}

static void
test_failure_of_one_leaves_the_other_to_answer(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);

	fake_time_run();
	fake_time_pass(JOBS_PROBE_MS);
	job_set_waited(job, JOB_PATIENT);
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 0);
	assert_int_equal(f->done[0].count, 0);
	fake_time_pass(JOBS_PROBE_MS);
	job_set_waited(job, JOB_FIRST);
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	/* never more than two */
	fake_time_pass(JOBS_PROBE_MS);
	job_set_waited(job, JOB_FIRST);
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	assert_int_equal(f->fu.started, 4);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->done[0].count, 1);
}

/* While the service is given up there are probes and nothing else. */
static void
test_nothing_is_sent_again_while_given_up(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);

	fake_time_run();
	fake_time_pass(JOBS_PROBE_MS);
	open_breaker(f);
	assert_int_equal(f->fu.started, 4);
	job_set_waited(job, JOB_FIRST);
	assert_int_equal(f->fu.started, 4);
	answer(f, 0, 200);
	assert_int_equal(f->done[0].count, 1);
}

/* A pause counts though the other of two has yet to be answered. */
static void
test_503_of_one_holds_while_the_other_is_under_way(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);

	fake_time_run();
	fake_time_pass(JOBS_PROBE_MS);
	job_set_waited(job, JOB_FIRST);
	f->fu.retry_after_ms = 7000;
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 503);
	assert_int_equal(f->done[0].count, 0);
	assert_true(jobs_held_ms(f->js, &fake_now) >= 7000);
	answer(f, 0, 200);
	assert_int_equal(f->done[0].count, 1);
}

static void
test_refresh_that_hangs_is_sent_again_though_nobody_comes(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, false);
	fake_time_run();
	fake_time_pass(11000);
	assert_int_equal(f->fu.started, 1);
	fake_time_pass(2000);
	assert_int_equal(f->fu.started, 2);
	/* the first one has time to be slow */
	fake_time_pass(10000);
	assert_int_equal(f->fu.started, 2);
	assert_int_equal(fake_upstream_waiting(&f->fu), 2);
	fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
	    &(struct upstream_answer){ .status = 200 });
	fake_time_run();
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(f->done[0].error, 0);
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
	/* and nothing goes on looking */
	fake_time_pass(60000);
	assert_true(fake_time_next() == UINT64_MAX);
}

/* --- a drill, another key --- */

static void
test_drill_sends_nothing_and_fails_all(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	jobs_set_offline(f->js, true);
	(void)begin(f, 1, true);
	(void)begin(f, 2, false);
	fake_time_pass(60000);
	assert_int_equal(f->fu.cancelled, 1);
	assert_int_equal(f->fu.started, 1);
	assert_int_equal(f->ended, 3);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_non_null(strstr(f->done[1].message, "drill"));
	assert_true(stats_of(f).offline);
	jobs_set_offline(f->js, false);
	(void)begin(f, 3, true);
	fake_time_run();
	answer(f, 3, 200);
	assert_int_equal(stats_of(f).state, JOBS_OK);
}

/* The answer of one whose owner has had its answer is for nobody. */
static void
test_drill_drops_what_lingers(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	fake_time_pass(1000);
	(void)begin(f, 0, false);
	fake_time_pass(JOBS_PROBE_MS);
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	jobs_set_offline(f->js, true);
	fake_time_pass(1000);
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
	assert_int_equal(f->done[0].count, 1);
	assert_int_equal(stats_of(f).in_flight, 0);
}

/* Or who waits for the next probe would ask again in the same moment. */
static void
test_no_probe_comes_in_a_drill(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	jobs_set_offline(f->js, true);
	fake_time_pass(60000);
	assert_true(jobs_probe_ms(f->js, &fake_now) == UINT64_MAX);
}

static void
test_shorter_pause_does_not_cut_a_longer_one(void **state)
{
	struct fixture *f = *state;
	uint64_t until;

	(void)begin(f, 0, false);
	(void)begin(f, 1, false);
	fake_time_run();
	f->fu.retry_after_ms = 30000;
	answer(f, 0, 429);
	until = stats_of(f).held_until_boot_ms;
	f->fu.retry_after_ms = 2000;
	answer(f, 1, 429);
	assert_true(stats_of(f).held_until_boot_ms == until);
}

static void
test_503_with_retry_after_holds_too_and_is_a_failure(void **state)
{
	struct fixture *f = *state;

	f->fu.retry_after_ms = 5000;
	(void)begin(f, 0, true);
	fake_time_run();
	answer(f, 0, 503);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_true(stats_of(f).held_until_boot_ms == fake_now.boot_ms + 5000);
	assert_int_equal(stats_of(f).failed, 1);
}

static void
test_429_ends_what_is_backing_off(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	(void)begin(f, 1, true);
	fake_time_run();
	answer(f, 0, 500);
	f->fu.retry_after_ms = 10000;
	answer(f, 1, 429);
	fake_time_pass(1000);
	assert_int_equal(f->done[0].error, ERR_UPSTREAM_UNAVAILABLE);
	assert_int_equal(f->fu.started, 2);
}

static void
test_probe_answered_429_keeps_the_breaker_open(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	(void)begin(f, 0, true);
	fake_time_pass(1000);
	f->fu.retry_after_ms = 2000;
	answer(f, 0, 429);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	fake_time_pass(2000);
	(void)begin(f, 1, true);
	fake_time_pass(1000);
	answer(f, 1, 200);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

/* --- 401 --- */

static void
test_401_with_a_new_key_is_tried_again_at_once(void **state)
{
	struct fixture *f = *state;

	f->key_changed = true;
	(void)begin(f, 0, false);
	fake_time_run();
	answer(f, 0, 401);
	assert_int_equal(f->ended, 0);
	answer(f, 0, 200);
	assert_int_equal(f->done[0].error, 0);
	assert_int_equal(f->key_reads, 1);
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(stats_of(f).failed, 0);
}

static void
test_401_with_the_old_key_trips_the_breaker_at_once(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	answer(f, 0, 401);
	assert_int_equal(f->done[0].error, ERR_UNAUTHORIZED);
	assert_int_equal(f->key_reads, 1);
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
	(void)begin(f, 1, false);
	fake_time_run();
	assert_int_equal(f->done[1].error, ERR_UNAUTHORIZED);
	assert_int_equal(f->fu.started, 1);
}

static void
test_key_is_read_once_for_many_401s(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 4; i++)
		(void)begin(f, i, true);
	fake_time_run();
	for (i = 0; i < 4; i++)
		answer(f, i, 401);
	assert_int_equal(f->key_reads, 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(f->done[i].error, ERR_UNAUTHORIZED);
	assert_int_equal(f->state_changes, 1);
}

static void
test_401_of_the_key_before_is_tried_with_the_new_one(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 3; i++)
		(void)begin(f, i, true);
	fake_time_run();
	f->key_changed = true;
	for (i = 0; i < 3; i++)
		answer(f, i, 401);
	assert_int_equal(f->key_reads, 1);
	assert_int_equal(f->ended, 0);
	for (i = 0; i < 3; i++)
		answer(f, i, 200);
	assert_int_equal(f->fu.started, 6);
}

/* Another key is being tried: what is refused waits for what comes of it. */
static void
test_401_waits_while_another_key_is_tried(void **state)
{
	struct fixture *f = *state;

	f->key_pending = true;
	(void)begin(f, 0, true);
	(void)begin(f, 1, false);
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	fake_time_pass(60000);
	assert_int_equal(f->ended, 0);
	assert_int_equal(f->state_changes, 0);
	assert_int_equal(stats_of(f).in_flight, 0);
	assert_int_equal(f->fu.started, 2);
	f->key_pending = false;
	jobs_key_changed(f->js);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->ended, 2);
	assert_int_equal(f->fu.started, 4);
	assert_int_equal(stats_of(f).state, JOBS_OK);
}

static void
test_401_that_waited_in_vain_is_one(void **state)
{
	struct fixture *f = *state;
	struct job *job;

	f->key_pending = true;
	(void)begin(f, 0, true);
	(void)begin(f, 1, true);
	job = begin(f, 2, true);
	fake_time_run();
	while (fake_upstream_first(&f->fu) != NULL)
		fake_upstream_answer_status(&f->fu,
		    fake_upstream_first(&f->fu), 401);
	job_cancel(job);
	f->key_pending = false;
	jobs_key_settled(f->js);
	assert_int_equal(f->ended, 2);
	assert_int_equal(f->done[0].error, ERR_UNAUTHORIZED);
	assert_int_equal(f->done[1].error, ERR_UNAUTHORIZED);
	assert_non_null(strstr(f->done[0].message, "API key"));
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	jobs_key_settled(f->js); /* nothing waits */
	assert_int_equal(f->ended, 2);
}

/* It is no probe any more, so that another may go. */
static void
test_probe_waits_for_a_key_too(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	f->key_pending = true;
	(void)begin(f, 1, true);
	fake_time_pass(2000);
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	assert_int_equal(f->ended, 1);
	(void)begin(f, 2, true);
	fake_time_pass(30000);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	f->key_pending = false;
	jobs_key_changed(f->js);
	assert_int_equal(stats_of(f).state, JOBS_UNKNOWN);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->done[1].count, 1);
	assert_int_equal(f->done[2].count, 1);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

static void
test_free_with_jobs_that_wait_for_a_key(void **state)
{
	struct fixture *f = *state;

	f->key_pending = true;
	(void)begin(f, 0, true);
	fake_time_run();
	fake_upstream_answer_status(&f->fu, fake_upstream_first(&f->fu), 401);
	assert_int_equal(f->ended, 0);
	/* and is freed by tear_down() */
}

static void
test_probe_reads_the_key_again(void **state)
{
	struct fixture *f = *state;

	(void)begin(f, 0, true);
	fake_time_run();
	answer(f, 0, 401);
	(void)begin(f, 1, true);
	fake_time_pass(1000);
	answer(f, 1, 401);
	assert_int_equal(f->key_reads, 2);
	assert_int_equal(f->done[1].error, ERR_UNAUTHORIZED);
	f->key_changed = true;
	(void)begin(f, 2, true);
	fake_time_pass(1000);
	answer(f, 2, 401);
	assert_int_equal(f->key_reads, 3);
	answer(f, 2, 200);
	assert_int_equal(f->done[2].error, 0);
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
}

/* --- one that the service fails at --- */

static void
test_who_waits_for_little_goes_before_who_waits_for_much(void **state)
{
	struct fixture *f = *state;
	struct job *little, *due;
	unsigned int i;

	due = begin(f, 0, false);
	for (i = 1; i < 4; i++)
		(void)begin_as(f, i, JOB_PATIENT);
	little = begin_as(f, 4, JOB_PATIENT);
	job_set_waited(little, JOB_FIRST);
	/* not lowered by one who joins, nor raised by nobody */
	job_set_waited(little, JOB_PATIENT);
	job_set_waited(due, JOB_REFRESH);
	while (f->ended < 5) {
		fake_time_run();
		fake_upstream_answer(&f->fu, fake_upstream_first(&f->fu),
		    &(struct upstream_answer){ .status = 200 });
	}
	for (i = 0; i < 5; i++)
		assert_int_equal(f->done[i].order,
		    ((const unsigned int[]){ 5, 2, 3, 4, 1 })[i]);
}

static void
test_job_is_unsent_until_it_goes(void **state)
{
	struct fixture *f = *state;
	struct job *job = begin(f, 0, true);

	assert_true(job_is_unsent(job));
	fake_time_run();
	assert_false(job_is_unsent(job));
	/* queued again, for another try: it was sent all the same */
	answer(f, 0, 500);
	assert_false(job_is_unsent(job));
	job_cancel(job);
}

/* Nobody keeps the others from being probed with by asking for one thing. */
static void
test_probe_is_another_than_what_failed_last(void **state)
{
	struct fixture *f = *state;

	open_breaker(f);
	fake_time_pass(900);
	(void)begin(f, 62, true);	/* the last that failed */
	(void)begin(f, 1, false);	/* and one that is due */
	fake_time_run();
	assert_int_equal(f->done[1].count, 0);	/* kept for the probe */
	fake_time_pass(100);
	assert_null(fake_upstream_find(&f->fu, "s-62"));
	answer(f, 1, 200);
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	assert_int_equal(f->done[1].error, 0);
}

struct waker {
	struct job *job;
	unsigned int count;
};

static void
raise_other(void *arg, struct job *job, struct upstream_answer *answer)
{
	struct waker *w = arg;

	(void)job;
	(void)answer;
	w->count++;
	if (w->job != NULL)
		job_set_waited(w->job, JOB_EXPIRY);
}

/* What is kept for the probe may be changed while others are refused. */
static void
test_what_is_kept_for_the_probe_may_be_raised_meanwhile(void **state)
{
	const struct upstream_request req = {
		.op = UPSTREAM_READ_SECRET, .id = unit_view("s-2"),
	};
	struct fixture *f = *state;
	struct waker w = { .job = NULL };
	struct job *job;

	open_breaker(f);
	fake_time_pass(900);
	(void)begin(f, 62, true);	/* the last that failed */
	w.job = begin(f, 1, false);	/* kept for the probe */
	assert_int_equal(jobs_start(f->js, &req, JOB_REFRESH, raise_other, &w,
	    &job), 0);
	fake_time_run();
	assert_int_equal(w.count, 1);
	assert_int_equal(f->done[1].count, 0);
	assert_int_equal(stats_of(f).queued, 2);
	w.job = NULL;
	fake_time_pass(100);
	answer(f, 1, 200);
	answer(f, 62, 200);
	assert_int_equal(f->done[1].count, 1);
	assert_int_equal(stats_of(f).queued, 0);
}

static void
test_what_alone_fails_does_not_open_the_breaker(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	(void)begin(f, 7, false);
	fake_time_run();
	answer(f, 7, 500);
	(void)begin(f, 1, false);
	fake_time_run();
	answer(f, 1, 200);
	for (i = 0; i < 10; i++) {
		(void)begin(f, 7, false);
		fake_time_run();
		answer(f, 7, 500);
	}
	assert_int_equal(stats_of(f).breaker, BREAKER_CLOSED);
	assert_int_equal(stats_of(f).state, JOBS_OK);
	/* until others fail as well */
	for (i = 2; i < 5; i++) {
		(void)begin(f, i, false);
		fake_time_run();
		answer(f, i, 500);
	}
	assert_int_equal(stats_of(f).breaker, BREAKER_OPEN);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_nothing_is_sent_from_within_start),
		test(test_no_more_than_max_in_flight_are_under_way),
		test(test_set_max_in_flight),
		test(test_what_is_due_goes_on_while_what_is_handed_on_hangs),
		test(test_who_has_several_handed_on_leaves_room_for_others),
		test(test_what_callers_wait_for_goes_first_in_order_of_coming),
		test(test_one_that_nobody_waits_for_any_more_steps_back),
		test(test_who_waits_for_little_goes_before_who_waits_for_much),
		test(test_job_is_unsent_until_it_goes),
		test(test_probe_is_another_than_what_failed_last),
		test(test_what_alone_fails_does_not_open_the_breaker),
		test(test_cancelled_job_has_no_callback),
		test(test_cancelling_makes_room_for_the_next),
		test(test_free_cancels_in_every_stage),
		test(test_id_that_is_too_long_is_refused),
		test(test_start_that_fails_ends_the_job),
		test(test_sent_is_after_what_came_before),
		test(test_failure_is_retried_while_somebody_waits),
		test(test_third_attempt_is_the_last),
		test(test_failure_is_not_retried_if_nobody_waits),
		test(test_definite_answer_is_not_retried),
		test(test_job_is_cancelled_while_backing_off),
		test(test_no_timer_for_a_retry_ends_the_job),
		test(test_third_failure_opens_and_what_is_only_due_fails_at_once),
		test(test_waiting_jobs_share_the_fate_of_one_probe),
		test(test_successful_probe_lets_the_others_through),
		test(test_due_job_is_the_probe_once_its_time_has_come),
		test(test_failed_probe_is_not_retried),
		test(test_cancelled_probe_leaves_room_for_another),
		test(test_probe_that_cannot_be_started_does_not_block_for_ever),
		test(
		    test_callback_that_starts_anew_is_not_refused_in_the_same_breath),
		test(test_429_holds_everything_until_retry_after),
		test(
		    test_429_that_does_not_say_how_long_holds_what_is_due_for_a_second),
		test(test_budget_that_is_low_is_kept_for_what_is_more_urgent),
		test(test_budget_is_learnt_from_a_429),
		test(test_what_hangs_leaves_room_for_the_next_caller),
		test(
		    test_probe_that_hangs_counts_as_failed_and_its_answer_all_the_same),
		test(test_hanging_service_is_probed_every_15_seconds),
		test(test_service_that_is_back_is_asked_more_and_more),
		test(test_callers_do_not_keep_what_is_due_for_ever),
		test(test_refresh_that_hangs_is_sent_again_though_nobody_comes),
		test(test_caller_who_joins_what_hangs_has_it_sent_again),
		test(test_drill_drops_what_lingers),
		test(test_no_probe_comes_in_a_drill),
		test(test_nothing_is_sent_again_while_given_up),
		test(test_503_of_one_holds_while_the_other_is_under_way),
		test(test_probe_that_hangs_after_another_answer_fails_alone),
		test(
		    test_failure_of_what_was_sent_before_the_newest_answer_is_no_news),
		test(test_what_is_kept_for_the_probe_may_be_raised_meanwhile),
		test(test_failure_of_one_leaves_the_other_to_answer),
		test(test_drill_sends_nothing_and_fails_all),
		test(test_shorter_pause_does_not_cut_a_longer_one),
		test(test_503_with_retry_after_holds_too_and_is_a_failure),
		test(test_429_ends_what_is_backing_off),
		test(test_probe_answered_429_keeps_the_breaker_open),
		test(test_401_with_a_new_key_is_tried_again_at_once),
		test(test_401_with_the_old_key_trips_the_breaker_at_once),
		test(test_key_is_read_once_for_many_401s),
		test(test_401_of_the_key_before_is_tried_with_the_new_one),
		test(test_401_waits_while_another_key_is_tried),
		test(test_401_that_waited_in_vain_is_one),
		test(test_probe_waits_for_a_key_too),
		test(test_free_with_jobs_that_wait_for_a_key),
		test(test_probe_reads_the_key_again),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
