#include "config.h"

#include "jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"
#include "timers.h"

#define JOBS_ATTEMPTS 3		/* while a caller waits */
#define JOBS_RETRY_BASE_MS 100
#define JOBS_RETRY_MAX_MS 1000
/* What hangs so long is sent once more; looked at so often. */
#define JOBS_STUCK_MS 12000
#define JOBS_STUCK_LOOK_MS 1000
#define JOBS_HEDGES_MAX 3	/* for all that, what hangs has an end */
/* Of what is due one goes for so many of callers, once it waited so long. */
#define JOBS_CALLERS_IN_A_ROW 3
#define JOBS_DUE_PATIENCE_MS 1000

/* There is nothing to probe with (no memory, say): look again after that. */
#define JOBS_NO_CHECK_MS 1000

static void jobs_pump_cb(void *arg);
static void jobs_patience_cb(void *arg);
static void jobs_stuck_cb(void *arg);
static void job_answer_cb(void *arg, struct upstream_answer *answer);

struct jobs *
jobs_new(struct event_base *base, struct upstream *up,
    unsigned int max_in_flight, const struct jobs_hooks *hooks)
{
	struct jobs *js;
	size_t i;

	js = calloc(1, sizeof(*js));
	if (js == NULL)
		return NULL;
	js->base = base;
	js->up = up;
	js->hooks = *hooks;
	js->max_in_flight = max_in_flight;
	jobs_open_window(js);
	for (i = 0; i < JOB_LEVELS; i++)
		TAILQ_INIT(&js->queued[i]);
	TAILQ_INIT(&js->rest);
	TAILQ_INIT(&js->refused);
	breaker_init(&js->breaker);
	budget_init(&js->budget);
	js->pump = timer_new(base, jobs_pump_cb, js);
	js->patience = timer_new(base, jobs_patience_cb, js);
	js->stuck = timer_new(base, jobs_stuck_cb, js);
	if (js->pump == NULL || js->patience == NULL || js->stuck == NULL) {
		jobs_free(js);
		return NULL;
	}
	return js;
}

/* The first of those below that level, the highest first, or NULL. */
static struct job *
jobs_first_below(const struct jobs *js, size_t level)
{
	struct job *job = NULL;

	while (job == NULL && level > 0)
		job = TAILQ_FIRST(&js->queued[--level]);
	return job;
}

static struct job *
jobs_first(const struct jobs *js)
{
	return jobs_first_below(js, JOB_LEVELS);
}

static void
job_free(struct job *job)
{
	timer_free(job->retry);
	free(job);
}

void
jobs_free(struct jobs *js)
{
	struct job *job;

	if (js == NULL)
		return;
	while ((job = jobs_first(js)) != NULL ||
	    (job = TAILQ_FIRST(&js->refused)) != NULL ||
	    (job = TAILQ_FIRST(&js->rest)) != NULL)
		job_cancel(job);
	timer_free(js->pump);
	timer_free(js->patience);
	timer_free(js->stuck);
	free(js);
}

void
jobs_set_max_in_flight(struct jobs *js, unsigned int max_in_flight)
{
	js->max_in_flight = max_in_flight;
	jobs_open_window(js);
	timer_set(js->pump, 0);
}

uint64_t
jobs_now(struct jobs *js)
{
	return ++js->counter;
}

uint64_t
job_sent(const struct job *job)
{
	return job->sent;
}

/* --- the queue --- */

void
job_enqueue(struct job *job)
{
	struct jobs *js = job->js;
	struct now now;

	clock_read(&now);
	job->queued_boot_ms = now.boot_ms;
	job->state = JOB_QUEUED;
	js->stats.queued++;
	TAILQ_INSERT_TAIL(&js->queued[job->waited], job, link);
	timer_set(js->pump, 0);
}

static void
job_dequeue(struct job *job)
{
	TAILQ_REMOVE(&job->js->queued[job->waited], job, link);
	job->js->stats.queued--;
}

int
jobs_start(struct jobs *js, const struct upstream_request *req,
    enum job_waited waited, job_cb *cb, void *arg, struct job **ret_job)
{
	struct job *job;

	if (req->id.len > MSG_ID_MAX)
		return ERR_BAD_REQUEST;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return ERR_NOMEM;
	job->js = js;
	job->req = *req;
	if (req->id.len > 0)
		memcpy(job->id_copy, req->id.p, req->id.len);
	job->req.id.p = (const uint8_t *)job->id_copy;
	job->calls[0].job = job->calls[1].job = job;
	job->waited = waited;
	job->cb = cb;
	job->arg = arg;
	backoff_init(&job->backoff, JOBS_RETRY_BASE_MS, JOBS_RETRY_MAX_MS);
	job_enqueue(job);
	*ret_job = job;
	return 0;
}

static enum budget_share job_share(const struct job *job);

/* The one of its transfers that was begun last; *ret_other: the other place. */
static struct job_call *
job_newer_call(struct job *job, struct job_call **ret_other)
{
	struct job_call *a = &job->calls[0], *b = &job->calls[1];
	bool second = b->call != NULL &&
	    (a->call == NULL || b->sent_boot_ms > a->sent_boot_ms);

	*ret_other = second ? a : b;
	return second ? b : a;
}

/*
 * What has had no answer for at least age_ms is sent a second time, and the
 * first answer counts.  What was lost on its way, while the service was away
 * for a moment, is not waited for until request-timeout then.  Two at a time:
 * for a caller an older one makes room if it had twice as long; else it stays,
 * to fail in its time.
 */
static void
job_hedge(struct job *job, uint64_t age_ms, bool replace,
    const struct now *now)
{
	struct jobs *js = job->js;
	struct job_call *other, *newer = job_newer_call(job, &other);

	if (job->req.op == UPSTREAM_RELAY || newer->call == NULL ||
	    job->hedges >= JOBS_HEDGES_MAX ||
	    now->boot_ms - newer->sent_boot_ms < age_ms ||
	    js->stats.held_until_boot_ms > now->boot_ms ||
	    js->breaker.state != BREAKER_CLOSED)
		return;
	if (other->call != NULL) {
		if (!replace ||
		    now->boot_ms - other->sent_boot_ms < 2 * age_ms)
			return;
		js->up->ops->cancel(js->up, other->call);
	}
	other->call = NULL;
	if (js->up->ops->start(js->up, &job->req, job_answer_cb, other,
	    &other->call) != 0) {
		other->call = NULL;
		return;
	}
	other->sent_boot_ms = now->boot_ms;
	job->hedges++;
	js->stats.requests++;
	budget_sent(&js->budget, job_share(job), now->boot_ms);
}

/* Nobody need come to wait for what hangs. */
static void
jobs_stuck_cb(void *arg)
{
	struct jobs *js = arg;
	struct job *job;
	struct now now;

	clock_read(&now);
	TAILQ_FOREACH(job, &js->rest, link) {
		if (job->state == JOB_RUNNING && !job->lingering)
			job_hedge(job, JOBS_STUCK_MS, false, &now);
	}
	timer_set(js->stuck, JOBS_STUCK_LOOK_MS);
}

void
job_set_waited(struct job *job, enum job_waited waited)
{
	struct now now;

	if (job->state == JOB_RUNNING && JOB_IS_WAITED(waited)) {
		clock_read(&now);
		job_hedge(job, JOBS_PROBE_MS, true, &now);
	}
	if (waited == job->waited || (waited < job->waited &&
	    (JOB_IS_WAITED(waited) || !JOB_IS_WAITED(job->waited))))
		return;
	if (job->state != JOB_QUEUED) {
		job->waited = waited;
		return;
	}
	job_dequeue(job);
	job->waited = waited;
	job_enqueue(job);
}

bool
job_is_unsent(const struct job *job)
{
	return job->state == JOB_QUEUED && job->sent == 0;
}

bool
job_may_arrive(const struct job *job)
{
	return job->state == JOB_RUNNING || job->arrived;
}

/* It is under way no longer, as far as the figures and the probe go. */
static void
job_landed(struct job *job)
{
	struct jobs *js = job->js;

	if (js->probing == job) {
		js->probing = NULL;
		timer_stop(js->patience);
	}
	if (job->lingering)
		return;
	if (--js->stats.in_flight == 0)
		timer_stop(js->stuck);
	js->flying[job->sent_as]--;
}

static void
job_cancel_calls(struct job *job)
{
	struct jobs *js = job->js;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (job->calls[i].call != NULL)
			js->up->ops->cancel(js->up, job->calls[i].call);
		job->calls[i].call = NULL;
	}
}

/* Take a job back that is under way. */
static void
job_recall(struct job *job)
{
	struct jobs *js = job->js;
	struct now now;

	job_cancel_calls(job);
	job_landed(job);
	if (job->probe) {
		clock_read(&now);
		breaker_abandoned(&js->breaker, now.boot_ms);
	}
	TAILQ_REMOVE(&js->rest, job, link);
	timer_set(js->pump, 0);
}

void
job_restart(struct job *job)
{
	/* in all other states it is yet to be sent, or has ended */
	if (job->state != JOB_RUNNING || job_is_relayed(job))
		return;
	job_recall(job);
	job_enqueue(job);
}

void
job_cancel(struct job *job)
{
	struct jobs *js = job->js;

	switch (job->state) {
	case JOB_QUEUED:
		job_dequeue(job);
		break;
	case JOB_RUNNING:
		job_recall(job);
		break;
	case JOB_BACKING_OFF:
		TAILQ_REMOVE(&js->rest, job, link);
		break;
	case JOB_REFUSED:
		TAILQ_REMOVE(&js->refused, job, link);
		break;
	case JOB_DONE:
		abort(); /* a job is not cancelled from its own callback */
	}
	job_free(job);
}

void
job_finish(struct job *job, struct upstream_answer *answer)
{
	/* an earlier time it may have arrived */
	answer->unsent = !job->arrived;
	job->state = JOB_DONE;
	job->cb(job->arg, job, answer);
	job_free(job);
}

/* --- what comes of it --- */

static void
job_retry_cb(void *arg)
{
	struct job *job = arg;

	TAILQ_REMOVE(&job->js->rest, job, link);
	job_enqueue(job);
}

bool
job_again(struct job *job, uint64_t wait_ms)
{
	if (wait_ms == 0) {
		job_enqueue(job);
		return true;
	}
	if (job->retry == NULL)
		job->retry = timer_new(job->js->base, job_retry_cb, job);
	if (job->retry == NULL)
		return false;
	job->state = JOB_BACKING_OFF;
	TAILQ_INSERT_TAIL(&job->js->rest, job, link);
	timer_set(job->retry, wait_ms);
	return true;
}

bool
job_retry(struct job *job, const struct now *now)
{
	const struct jobs *js = job->js;

	return JOB_IS_WAITED(job->waited) &&
	    job->backoff.failures + 1 < JOBS_ATTEMPTS &&
	    js->breaker.state == BREAKER_CLOSED &&
	    js->stats.held_until_boot_ms <= now->boot_ms &&
	    job_again(job, 1 + backoff_failed(&job->backoff, hash_random()));
}

/*
 * The job to probe with: not the one that failed last, if there is another;
 * what is handed on never.  NULL if there is none.
 */
static struct job *
jobs_probe(const struct jobs *js)
{
	struct job *job, *suspect = NULL;
	size_t i = JOB_LEVELS;

	while (i-- > 0) {
		TAILQ_FOREACH(job, &js->queued[i], link) {
			if (job_is_relayed(job))
				continue;
			if (!job_is_suspect(job))
				return job;
			if (suspect == NULL)
				suspect = job;
		}
	}
	return suspect;
}

/*
 * What is queued, but for spare, is to be refused; waited_too: also what
 * callers wait for.
 */
static void
jobs_set_apart(struct jobs *js, bool waited_too, const struct job *spare)
{
	size_t i, n = waited_too ? JOB_LEVELS : JOB_SEVERAL;
	struct job *job, *next;

	for (i = n; i-- > 0;) {
		for (job = TAILQ_FIRST(&js->queued[i]); job != NULL;
		    job = next) {
			next = TAILQ_NEXT(job, link);
			if (job == spare)
				continue;
			job_dequeue(job);
			job->state = JOB_REFUSED;
			TAILQ_INSERT_TAIL(&js->refused, job, link);
		}
	}
}

/* Callbacks may queue new jobs meanwhile: those are not meant. */
static void
jobs_refuse(struct jobs *js, int error, const char *message,
    uint64_t retry_after_ms)
{
	struct upstream_answer answer = {
		.error = error, .retryable = true, .date_ms = MSG_NO_TIME,
		.retry_after_ms = retry_after_ms,
	};
	struct job *job;

	(void)snprintf(answer.message, sizeof(answer.message), "%s", message);
	while ((job = TAILQ_FIRST(&js->refused)) != NULL) {
		TAILQ_REMOVE(&js->refused, job, link);
		job_finish(job, &answer);
	}
}

void
jobs_probe_was_in_vain(struct jobs *js)
{
	/* it is, if something else was answered meanwhile */
	if (js->breaker.state == BREAKER_CLOSED)
		return;
	jobs_set_apart(js, true, NULL);
	jobs_refuse(js, js->down_error, js->down_message, 0);
}

/* The late answer to a probe: news about the service, and for nobody else. */
static void
job_linger_end(struct job *job, struct upstream_answer *answer,
    const struct now *now)
{
	struct jobs *js = job->js;

	if (answer->error != ERR_UNAUTHORIZED)
		jobs_note(js, job, answer, now);
	object_unref(answer->object);
	object_unref(answer->reply.body);
	if (answer->page != NULL)
		upstream_page_free(answer->page);
	job_free(job);
}

/* One more would be too many: the oldest goes. */
static void
jobs_limit_lingering(struct jobs *js)
{
	struct job *job, *oldest = NULL;
	unsigned int n = 0;

	TAILQ_FOREACH(job, &js->rest, link) {
		if (!job->lingering)
			continue;
		if (n++ == 0)
			oldest = job;
	}
	if (n >= JOBS_LINGERING_MAX)
		job_cancel(oldest);
}

/* The probe hangs: it counts as failed, and is left to run. */
static void
jobs_patience_cb(void *arg)
{
	struct jobs *js = arg;
	struct job *job = js->probing;
	struct upstream_answer answer = {
		.error = ERR_UPSTREAM_UNAVAILABLE, .retryable = true,
		.date_ms = MSG_NO_TIME,
	};
	struct now now;

	if (job == NULL)
		return;
	clock_read(&now);
	(void)snprintf(answer.message, sizeof(answer.message), "the service "
	    "does not answer (tried for %d s)", JOBS_PROBE_MS / 1000);
	jobs_note_failure(js, job, &answer, now.boot_ms);
	jobs_limit_lingering(js);
	job_landed(job);
	job->probe = false;
	job->lingering = true;
	timer_set(js->pump, 0);
	job->cb(job->arg, job, &answer);
	jobs_probe_was_in_vain(js);
}

static void
job_answer_cb(void *arg, struct upstream_answer *answer)
{
	struct job_call *jc = arg;
	struct job *job = jc->job;
	struct jobs *js = job->js;
	struct now now;
	bool probe_failed;

	clock_read(&now);
	jc->call = NULL;
	jobs_count(js, job, now.boot_ms - jc->sent_boot_ms, answer, &now);
	if (!answer->unsent && answer->error != ERR_UNAUTHORIZED)
		job->arrived = true;
	/* its twin may still do better, for who waits */
	if (answer->retryable && JOB_IS_WAITED(job->waited) &&
	    (job->calls[0].call != NULL || job->calls[1].call != NULL))
		return;
	job_cancel_calls(job);
	job_landed(job);
	TAILQ_REMOVE(&js->rest, job, link);
	timer_set(js->pump, 0);
	if (job->lingering) {
		job_linger_end(job, answer, &now);
		return;
	}
	if (job_is_relayed(job)) {
		job_relay_answered(job, answer, &now);
		return;
	}
	if (answer->error == ERR_UNAUTHORIZED && job_try_other_key(job)) {
		object_unref(answer->reply.body);
		return;
	}
	jobs_note(js, job, answer, &now);
	if (answer->retryable && job_retry(job, &now)) {
		object_unref(answer->reply.body);
		return;
	}
	probe_failed = job->probe && js->breaker.state == BREAKER_OPEN;
	job_finish(job, answer);
	if (probe_failed)
		jobs_probe_was_in_vain(js);
}

/* --- sending --- */

static enum budget_share
job_share(const struct job *job)
{
	switch (job->waited) {
	case JOB_PRELOAD:
		return BUDGET_PRELOAD;
	case JOB_REFRESH:
		return BUDGET_REFRESH;
	case JOB_EXPIRY:
		return BUDGET_EXPIRY;
	case JOB_SEVERAL:
	case JOB_PATIENT:
	case JOB_RELAYED:
	case JOB_FIRST:
		break;
	}
	return BUDGET_CALLER;
}

static void
job_send(struct job *job, bool probe, const struct now *now)
{
	struct jobs *js = job->js;
	struct upstream_answer answer = { .date_ms = MSG_NO_TIME };
	int r;

	job->probe = probe;
	job->key = js->key;
	job->sent = jobs_now(js);
	job->calls[0].sent_boot_ms = now->boot_ms;
	job->hedges = 0;
	job->sent_as = job->waited;
	r = js->up->ops->start(js->up, &job->req, job_answer_cb,
	    &job->calls[0], &job->calls[0].call);
	job_dequeue(job);
	if (r == 0) {
		job->state = JOB_RUNNING;
		TAILQ_INSERT_TAIL(&js->rest, job, link);
		if (js->stats.in_flight++ == 0)
			timer_set(js->stuck, JOBS_STUCK_MS);
		js->flying[job->sent_as]++;
		js->stats.requests++;
		budget_sent(&js->budget, job_share(job), now->boot_ms);
		if (probe) {
			js->stats.probes++;
			js->probing = job;
			timer_set(js->patience, JOBS_PROBE_MS);
		}
		return;
	}
	if (probe)
		breaker_abandoned(&js->breaker, js->breaker.since_boot_ms);
	answer.error = r;
	(void)snprintf(answer.message, sizeof(answer.message), "%s",
	    err_text(r));
	job_finish(job, &answer);
}

static void
jobs_pump_open(struct jobs *js, const struct now *now)
{
	struct job *job = jobs_probe(js), *first = jobs_first(js), *spare = NULL;
	bool waited = first != NULL && JOB_IS_WAITED(first->waited);
	uint64_t wait;

	if (job == NULL && waited)
		job = jobs_check(js); /* nothing but what is handed on */
	if (job == NULL)
		;
	else if (breaker_try(&js->breaker, waited, now->boot_ms))
		job_send(job, true, now);
	else if (waited && !JOB_IS_WAITED(job->waited))
		spare = job; /* all that is waited for is the suspect */
	jobs_set_apart(js, false, spare);
	jobs_refuse(js, js->down_error, js->down_message, 0);
	if (jobs_first(js) != NULL) {
		wait = breaker_wait_ms(&js->breaker, true, now->boot_ms);
		if (job == NULL && wait < JOBS_NO_CHECK_MS)
			wait = JOBS_NO_CHECK_MS;
		if (wait != UINT64_MAX)
			timer_set(js->pump, wait);
	}
}

/* waited_too: also what callers wait for. */
static void
jobs_pump_held(struct jobs *js, bool waited_too, uint64_t left)
{
	char message[UPSTREAM_MESSAGE_MAX];

	(void)snprintf(message, sizeof(message),
	    "the service asked for a pause (rate limit), which lasts another "
	    "%llu s", ((unsigned long long)left + 999) / 1000);
	jobs_set_apart(js, waited_too, NULL);
	jobs_refuse(js, ERR_UPSTREAM_UNAVAILABLE, message, left);
}

/*
 * May this level have another under way?  Should what was asked for hang,
 * there is room left for the next caller: what nobody waits for has half of
 * it, and together with what the patient wait for, and what is handed on,
 * three quarters.  Nobody can have more of that than half by having several
 * handed on, and what is due has an eighth whatever callers do.
 */
static bool
jobs_has_room(const struct jobs *js, enum job_waited waited)
{
	unsigned int max = js->window, half = max - max / 2;
	unsigned int due, asked, most = max - max / 4;

	if (js->stats.in_flight >= max)
		return false;
	if (waited == JOB_FIRST)
		return true;
	due = js->flying[JOB_PRELOAD] + js->flying[JOB_REFRESH] +
	    js->flying[JOB_EXPIRY];
	asked = due + js->flying[JOB_SEVERAL] + js->flying[JOB_PATIENT] +
	    js->flying[JOB_RELAYED];
	if (JOB_IS_WAITED(waited))
		return asked < (waited == JOB_SEVERAL ? half : most);
	return due < half && (asked < most || due < max / 8);
}

/* The first of the highest level that may be sent. */
static struct job *
jobs_first_with_room(const struct jobs *js)
{
	size_t i = JOB_LEVELS;

	while (i-- > 0) {
		if (!TAILQ_EMPTY(&js->queued[i]) &&
		    jobs_has_room(js, (enum job_waited)i))
			return TAILQ_FIRST(&js->queued[i]);
	}
	return NULL;
}

/*
 * The one to be sent next: the first of those that may, but callers who never
 * stop asking do not keep what is due waiting for ever.
 */
static struct job *
jobs_next(struct jobs *js, const struct now *now)
{
	struct job *first = jobs_first_with_room(js), *due;

	if (first == NULL || !JOB_IS_WAITED(first->waited))
		return first;
	due = jobs_first_below(js, JOB_SEVERAL);
	if (due != NULL && js->callers_in_a_row >= JOBS_CALLERS_IN_A_ROW &&
	    now->boot_ms - due->queued_boot_ms >= JOBS_DUE_PATIENCE_MS &&
	    jobs_has_room(js, due->waited) && budget_wait_ms(&js->budget,
	    job_share(due), now->boot_ms) == 0)
		return due;
	return first;
}

/* Send what may be sent; what the budget holds back waits in the queue. */
static void
jobs_pump_closed(struct jobs *js, const struct now *now)
{
	struct job *job;
	uint64_t wait;

	while ((job = jobs_next(js, now)) != NULL) {
		wait = budget_wait_ms(&js->budget, job_share(job),
		    now->boot_ms);
		if (wait > 0) {
			timer_set(js->pump, wait);
			return;
		}
		js->callers_in_a_row = JOB_IS_WAITED(job->waited)
		    ? js->callers_in_a_row + 1 : 0;
		job_send(job, false, now);
	}
}

static void
jobs_pump_cb(void *arg)
{
	struct jobs *js = arg;
	struct now now;

	if (js->offline) {
		jobs_set_apart(js, true, NULL);
		jobs_refuse(js, ERR_UPSTREAM_UNAVAILABLE,
		    "a drill is under way: the service counts as unreachable",
		    0);
		return;
	}
	clock_read(&now);
	if (js->stats.held_until_boot_ms > now.boot_ms) {
		jobs_pump_held(js, true,
		    js->stats.held_until_boot_ms - now.boot_ms);
		return;
	}
	js->stats.held_until_boot_ms = 0;
	if (js->due_held_boot_ms > now.boot_ms)
		jobs_pump_held(js, false, js->due_held_boot_ms - now.boot_ms);
	if (js->breaker.state != BREAKER_CLOSED)
		jobs_pump_open(js, &now);
	else
		jobs_pump_closed(js, &now);
}

void
jobs_set_offline(struct jobs *js, bool offline)
{
	struct job *job, *next;

	if (js->offline == offline)
		return;
	js->offline = offline;
	for (job = TAILQ_FIRST(&js->rest); offline && job != NULL; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->lingering)
			job_cancel(job); /* nobody waits for it */
		else
			job_restart(job);
	}
	if (!offline)
		breaker_init(&js->breaker);
	else
		jobs_set_state(js, JOBS_DOWN);
	timer_set(js->pump, 0);
}

uint64_t
jobs_probe_ms(const struct jobs *js, const struct now *now)
{
	if (js->breaker.state != BREAKER_OPEN || js->offline)
		return UINT64_MAX;
	return breaker_wait_ms(&js->breaker, false, now->boot_ms);
}

uint64_t
jobs_held_ms(const struct jobs *js, const struct now *now)
{
	uint64_t until = js->stats.held_until_boot_ms > js->due_held_boot_ms
	    ? js->stats.held_until_boot_ms : js->due_held_boot_ms;

	return until > now->boot_ms ? until - now->boot_ms : 0;
}

void
jobs_get_stats(const struct jobs *js, struct jobs_stats *ret_stats)
{
	*ret_stats = js->stats;
	ret_stats->offline = js->offline;
	ret_stats->budget = js->budget.limit;
	ret_stats->budget_used = js->budget.sent_sum;
	ret_stats->breaker = js->breaker.state;
}
