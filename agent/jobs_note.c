/*
 * The part of jobs that keeps what answers have shown of the service as a
 * whole: whether it is there, when it wants to be left alone, what the key is
 * good for.
 */
#include "config.h"

#include "jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "hash.h"

#define JOBS_HOLD_DEFAULT_MS 1000 /* a 429 that does not say how long */
#define JOBS_HOLD_SPREAD 4	/* what is due waits up to 1/4 longer */
/* Rates are of requests a minute. */
#define JOBS_RELAY_HOLD_MS 60000

const unsigned int jobs_latency_ms[JOBS_LATENCIES - 1] = {
	5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000,
};

void
jobs_open_window(struct jobs *js)
{
	js->window = js->max_in_flight;
}

void
jobs_set_state(struct jobs *js, enum jobs_state state)
{
	if (js->stats.state == state)
		return;
	js->stats.state = state;
	js->hooks.state_changed(js->hooks.arg);
}

bool
job_is_suspect(const struct job *job)
{
	const struct jobs *js = job->js;

	return js->has_suspect && job->req.op == js->suspect.op &&
	    job->req.id.len == js->suspect.id.len &&
	    memcmp(job->id_copy, js->suspect_id, job->req.id.len) == 0;
}

/*
 * One thing that the service fails at, alone, must not stand for the whole, or
 * who asks for it keeps all the others from being refreshed.  It is remembered
 * (whatever version or form of it failed), so that another is the next probe;
 * and once another was answered, its failures say nothing about the service.
 */
static void
jobs_suspect(struct jobs *js, const struct job *job)
{
	if (job_is_suspect(job))
		return;
	js->has_suspect = true;
	js->suspect_alone = false;
	js->suspect = job->req;
	memcpy(js->suspect_id, job->id_copy, job->req.id.len);
}

void
jobs_note_failure(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, uint64_t now_boot_ms)
{
	bool unauthorized = answer->error == ERR_UNAUTHORIZED;

	if (answer->status >= 500 && js->suspect_alone &&
	    job_is_suspect(job)) {
		if (job->probe)
			breaker_abandoned(&js->breaker, now_boot_ms);
		return;
	}
	/* what was sent later has been answered: it was away, and is back */
	if (!unauthorized && job->sent < js->answered_sent && !job->probe)
		return;
	jobs_suspect(js, job);
	/* what was sent before the probe, or given up as one, says nothing new */
	if (js->breaker.state != BREAKER_CLOSED && !job->probe && !unauthorized)
		return;
	js->down_error = answer->error;
	(void)snprintf(js->down_message, sizeof(js->down_message), "%s",
	    answer->message);
	if (unauthorized) {
		/* definite, so no further tries but probes, which re-read the key */
		breaker_trip(&js->breaker, now_boot_ms);
		jobs_set_state(js, JOBS_UNAUTHORIZED);
	} else if (breaker_failed(&js->breaker, now_boot_ms)) {
		jobs_set_state(js, JOBS_DOWN);
	}
}

/* retry_after_ms: 0: not told. */
static void
jobs_note_held(struct jobs *js, uint64_t retry_after_ms, uint64_t now_boot_ms)
{
	/* what callers wait for is held only where the service says so */
	uint64_t *until = retry_after_ms != 0
	    ? &js->stats.held_until_boot_ms : &js->due_held_boot_ms;
	uint64_t wait = retry_after_ms != 0 ? retry_after_ms
	    : JOBS_HOLD_DEFAULT_MS;

	if (now_boot_ms + wait > *until)
		*until = now_boot_ms + wait;
	/* all who share the key were told the same: not all at once then */
	wait += hash_random() % (wait / JOBS_HOLD_SPREAD + 1);
	if (now_boot_ms + wait > js->due_held_boot_ms)
		js->due_held_boot_ms = now_boot_ms + wait;
}

static enum jobs_outcome
jobs_outcome(const struct job *job, const struct upstream_answer *answer)
{
	if (answer->error == 0)
		return JOBS_OUTCOME_OK;
	if (answer->status == 429)
		return JOBS_OUTCOME_RATE_LIMITED;
	if (answer->error == ERR_UNAUTHORIZED)
		return JOBS_OUTCOME_UNAUTHORIZED;
	if (answer->error == ERR_UPSTREAM_UNAVAILABLE)
		return JOBS_OUTCOME_UNAVAILABLE;
	if (answer->gone || answer->forbidden || (job_is_relayed(job) &&
	    answer->status >= 400))
		return JOBS_OUTCOME_REFUSED;
	return JOBS_OUTCOME_ERROR;
}

/* Is a limit that it met one of the whole key? */
static bool
job_shares_limit(const struct job *job)
{
	return !job_is_relayed(job) || !job->req.relay->own_limit;
}

void
jobs_count(struct jobs *js, const struct job *job, uint64_t took,
    const struct upstream_answer *answer, const struct now *now)
{
	size_t i = 0;

	js->stats.outcomes[jobs_outcome(job, answer)]++;
	if (answer->status != 0) {
		while (i < JOBS_LATENCIES - 1 && took > jobs_latency_ms[i])
			i++;
		js->stats.latencies[i]++;
		js->stats.latency_sum_ms += took;
	}
	budget_told(&js->budget, &answer->rate, hash_random(),
	    now->boot_ms);
	if (answer->status == 429 && job_shares_limit(job))
		budget_refused(&js->budget, now->boot_ms);
	if (answer->status == 503 && answer->retry_after_ms != 0 &&
	    !job_is_relayed(job))
		jobs_note_held(js, answer->retry_after_ms, now->boot_ms);
	if (answer->date_ms > 0 && js->hooks.heard != NULL)
		js->hooks.heard(js->hooks.arg, answer->date_ms);
}

/* The service is there. */
static void
jobs_note_answered(struct jobs *js, const struct job *job,
    const struct now *now)
{
	if (job_is_suspect(job))
		js->has_suspect = false;
	else
		js->suspect_alone = true;
	if (js->answered_sent < job->sent)
		js->answered_sent = job->sent;
	if (js->breaker.state != BREAKER_CLOSED)
		js->window = 1; /* it is back: two at first */
	if (js->window < js->max_in_flight)
		js->window++;
	js->stats.last_success_boot_ms = now->boot_ms;
	(void)breaker_succeeded(&js->breaker);
	jobs_set_state(js, JOBS_OK);
}

void
jobs_note(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, const struct now *now)
{
	if (answer->error == ERR_UPSTREAM_UNAVAILABLE ||
	    answer->error == ERR_UNAUTHORIZED)
		js->stats.failed++;
	if (answer->status == 429) {
		/* it lives, but wants to be left alone */
		jobs_note_held(js, answer->retry_after_ms, now->boot_ms);
		if (job->probe)
			breaker_abandoned(&js->breaker, now->boot_ms);
		return;
	}
	if (answer->error == ERR_UPSTREAM_UNAVAILABLE ||
	    answer->error == ERR_UNAUTHORIZED) {
		jobs_note_failure(js, job, answer, now->boot_ms);
		return;
	}
	if (answer->error == ERR_NOMEM) {
		if (job->probe)
			breaker_abandoned(&js->breaker, now->boot_ms);
		return;
	}
	jobs_note_answered(js, job, now);
}

/* What a request failed at may be its own affair, if it was sent at all. */
void
jobs_note_relayed(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, const struct now *now)
{
	const struct upstream_relay *relay = job->req.relay;
	bool is_ok = answer->status >= 200 && answer->status < 300;

	if (answer->error == ERR_UPSTREAM_UNAVAILABLE ||
	    answer->error == ERR_UNAUTHORIZED)
		js->stats.failed++;
	if (js->offline)
		return;
	if (answer->status == 429) {
		/* a longer one may be a quota of its own */
		if (job_shares_limit(job))
			jobs_note_held(js, answer->retry_after_ms <
			    JOBS_RELAY_HOLD_MS ? answer->retry_after_ms
			    : JOBS_RELAY_HOLD_MS, now->boot_ms);
	} else if (answer->unsent && answer->error == ERR_UPSTREAM_UNAVAILABLE) {
		jobs_note_failure(js, job, answer, now->boot_ms);
	} else if (answer->status != 0 && answer->status != 401 &&
	    answer->status < 500 && (js->breaker.state == BREAKER_CLOSED ||
	    (is_ok && !relay->without_key && !relay->from_root))) {
		/* while it was given up, only what took the key is news */
		jobs_note_answered(js, job, now);
	}
}
