/*
 * The part of jobs that knows what is different for what is handed on for
 * callers: when it may be sent again, and what its failures say.
 *
 * Whether the key is refused, or the service back, is not for such a request to
 * tell: an endpoint may want more than any API key has, or fail by itself.  So
 * there is a request of our own for that, cheap and open to any key.
 */
#include "config.h"

#include "jobs_impl.h"

#include <stdio.h>

#include "err.h"

static const struct upstream_relay check_relay = {
	.method = "GET",
	.target = { (const uint8_t *)"/rate-limit", 11 },
};

bool
job_is_relayed(const struct job *job)
{
	return job->req.op == UPSTREAM_RELAY && !job->is_check;
}

/* --- the check --- */

/* The first that waits for it, waiting no longer; NULL if there is none. */
static struct job *
jobs_take_unchecked(struct jobs *js)
{
	struct job *job;

	TAILQ_FOREACH(job, &js->rest, link) {
		if (!job->awaits_check)
			continue;
		TAILQ_REMOVE(&js->rest, job, link);
		job->awaits_check = false;
		return job;
	}
	return NULL;
}

/* Another key by now, and it deserves another try; or it stays refused. */
static void
job_checked(struct job *job)
{
	struct upstream_answer answer = {
		.error = ERR_UNAUTHORIZED, .status = 401,
		.date_ms = MSG_NO_TIME,
		.message = "the service refuses the agent's API key "
		    "(HTTP 401)",
	};
	struct now now;

	if (job->key != job->js->key && job_again(job, 0))
		return;
	clock_read(&now);
	jobs_note_relayed(job->js, job, &answer, &now);
	job_finish(job, &answer);
}

static void
jobs_check_cb(void *arg, struct job *check, struct upstream_answer *answer)
{
	struct jobs *js = arg;
	struct job *job;

	(void)check;
	js->check = NULL;
	object_unref(answer->reply.body);
	answer->reply.body = NULL;
	while ((job = jobs_take_unchecked(js)) != NULL)
		job_checked(job);
	/*
	 * One that waited for another key is no probe any more when it ends;
	 * what waits for it would wait for ever, as the next probe is another
	 * of these.
	 */
	if (answer->error == ERR_UNAUTHORIZED)
		jobs_probe_was_in_vain(js);
}

struct job *
jobs_check(struct jobs *js)
{
	const struct upstream_request req = {
		.op = UPSTREAM_RELAY, .relay = &check_relay,
	};

	if (js->check != NULL || jobs_start(js, &req, JOB_FIRST,
	    jobs_check_cb, js, &js->check) != 0)
		return NULL;
	js->check->is_check = true;
	return js->check;
}

/*
 * The key was refused, and nothing done.  Was that about the key, and is there
 * another?  False if there is nothing to wait for.
 */
static bool
job_await_check(struct job *job)
{
	struct jobs *js = job->js;

	if (job->key != js->key)
		return job_again(job, 0);
	if (js->stats.state == JOBS_UNAUTHORIZED || js->offline ||
	    (jobs_check(js) == NULL && js->check == NULL))
		return false;
	job->awaits_check = true;
	job->state = JOB_BACKING_OFF;
	TAILQ_INSERT_TAIL(&js->rest, job, link);
	return true;
}

/* --- answers --- */

/* A wait that the service asks for may be longer than the caller's. */
static bool
job_may_go_again(const struct job *job, const struct upstream_answer *answer)
{
	return answer->retryable && answer->retry_after_ms == 0 &&
	    (answer->unsent || !job->req.relay->once) && !job->js->offline;
}

void
job_relay_answered(struct job *job, struct upstream_answer *answer,
    const struct now *now)
{
	struct object *body = answer->reply.body;

	if (answer->error != ERR_UNAUTHORIZED || !job_await_check(job)) {
		jobs_note_relayed(job->js, job, answer, now);
		if (!job_may_go_again(job, answer) || !job_retry(job, now)) {
			job_finish(job, answer);
			return;
		}
	}
	object_unref(body);
	answer->reply.body = NULL;
}
