/*
 * The part of jobs for which there are several API keys: what was refused for
 * one is sent again with another.
 */
#include "config.h"

#include "jobs_impl.h"

#include "err.h"
#include "timers.h"

/*
 * It was refused, and another key is being tried: wait for what comes of it.
 * False if there is none.
 */
static bool
job_await_key(struct job *job)
{
	struct jobs *js = job->js;
	struct now now;

	if (js->hooks.key_pending == NULL ||
	    !js->hooks.key_pending(js->hooks.arg))
		return false;
	if (job->probe) {
		/* the next one comes in its time, whatever the proof says */
		clock_read(&now);
		(void)breaker_failed(&js->breaker, now.boot_ms);
		job->probe = false;
	}
	job->awaits_key = true;
	job->state = JOB_BACKING_OFF;
	TAILQ_INSERT_TAIL(&js->rest, job, link);
	return true;
}

/* The first that waits for a key, waiting no longer; NULL if there is none. */
static struct job *
jobs_take_awaiting(struct jobs *js)
{
	struct job *job;

	TAILQ_FOREACH(job, &js->rest, link) {
		if (!job->awaits_key)
			continue;
		TAILQ_REMOVE(&js->rest, job, link);
		job->awaits_key = false;
		return job;
	}
	return NULL;
}

bool
job_try_other_key(struct job *job)
{
	struct jobs *js = job->js;

	if (job->key == js->key) {
		if (js->stats.state == JOBS_UNAUTHORIZED && !job->probe)
			return false;
		if (!js->hooks.reload_key(js->hooks.arg))
			return job_await_key(job);
		js->key++;
	}
	if (job->probe)
		breaker_init(&js->breaker);
	return job_again(job, 0);
}

void
jobs_key_changed(struct jobs *js)
{
	struct job *job;

	js->key++;
	budget_forget(&js->budget);
	js->stats.held_until_boot_ms = js->due_held_boot_ms = 0;
	if (js->stats.state == JOBS_UNAUTHORIZED) {
		breaker_init(&js->breaker);
		jobs_set_state(js, JOBS_UNKNOWN);
	}
	while ((job = jobs_take_awaiting(js)) != NULL) {
		/* a service that refuses a key is there */
		breaker_init(&js->breaker);
		job_enqueue(job);
	}
	timer_set(js->pump, 0);
}

void
jobs_key_settled(struct jobs *js)
{
	struct upstream_answer answer;
	struct job *job;
	struct now now;

	clock_read(&now);
	while ((job = jobs_take_awaiting(js)) != NULL) {
		answer = (struct upstream_answer){
			.error = ERR_UNAUTHORIZED, .status = 401,
			.date_ms = MSG_NO_TIME,
			.message = "the service refuses the agent's API key "
			    "(HTTP 401)",
		};
		jobs_note(js, job, &answer, &now);
		job_finish(job, &answer);
	}
}
