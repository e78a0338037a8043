/*
 * Work for the service: a queue with a bound on how much is under way, the
 * breaker, the pause that a 429 asks for, the budget of requests a minute, and
 * retries.
 *
 * It knows nothing of the cache.  What a caller waits for goes before what is
 * only due, and callers who wait for little before those who wait for much;
 * neither the patient nor what nobody waits for can take all that may be under
 * way.  While the service is given up, a job that nobody waits for fails at
 * once; those that somebody waits for share the fate of the next probe.
 *
 * A probe that has no answer after JOBS_PROBE_MS counts as failed, so that the
 * next is not kept waiting by a service that accepts and never answers; but it
 * is left to run, and an answer to it counts.
 *
 * What is handed on for a caller (UPSTREAM_RELAY) is sent as it is, never a
 * second time beside the first, and again only where it may be (upstream.h,
 * once).  What comes of it may be its own affair: neither a 401 nor a 5xx of
 * it, nor that it was never answered, counts against the service as a whole;
 * a 401 is settled by a request of our own (jobs_relay.c).  So it is never
 * the probe either.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_JOBS_H
#define AGENT_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "breaker.h"
#include "clock.h"
#include "upstream.h"

struct event_base;
struct job;
struct jobs;

/*
 * Called once for each job that was not cancelled, never from within
 * jobs_start().  job dies after it; answer's object or page are the callee's.
 */
typedef void job_cb(void *arg, struct job *job, struct upstream_answer *answer);

struct jobs_hooks {
	/*
	 * The service refuses the key: read it again.  True if there is now
	 * another one, and it was given to upstream.
	 */
	bool (*reload_key)(void *arg);
	/*
	 * After reload_key said no: is another key being tried, so that the
	 * refusal need not be the last word?  Then what was refused waits for
	 * jobs_key_changed() or jobs_key_settled().  NULL: never.
	 */
	bool (*key_pending)(void *arg);
	/* The service went away, came back, or refuses the key. */
	void (*state_changed)(void *arg);
	/* the service's clock (wall ms), as an answer told it; may be NULL */
	void (*heard)(void *arg, int64_t date_ms);
	void *arg;
};

/* Who waits for a job: the order in which jobs are sent. */
enum job_waited {
	/* nobody: */
	JOB_PRELOAD,
	JOB_REFRESH,
	JOB_EXPIRY,		/* what is held expires soon, or has */
	/* a caller: */
	JOB_SEVERAL,		/* handed on for one who has several of them */
	JOB_PATIENT,		/* who waits for much else */
	JOB_RELAYED,		/* after reads, which many may wait for */
	JOB_FIRST,
};

#define JOB_LEVELS 7
#define JOB_IS_WAITED(waited) ((waited) >= JOB_SEVERAL)

#define JOBS_PROBE_MS 5000
#define JOBS_LINGERING_MAX 4	/* given up as probes, but left to run */

/*
 * Calls under way at once, at most: what hangs may be sent a second time, and
 * the next probe must not wait for those that hang.
 */
#define JOBS_CALLS_MAX(max_in_flight) (2 * (max_in_flight) + JOBS_LINGERING_MAX)

enum jobs_state {
	JOBS_UNKNOWN,		/* nothing was asked yet */
	JOBS_OK,
	JOBS_DOWN,
	JOBS_UNAUTHORIZED,
};

/* Outcomes of requests, for the figures. */
enum jobs_outcome {
	JOBS_OUTCOME_OK,
	JOBS_OUTCOME_REFUSED,	/* a definite no: 404, 410, 403, 409 */
	JOBS_OUTCOME_UNAUTHORIZED,
	JOBS_OUTCOME_RATE_LIMITED,
	JOBS_OUTCOME_UNAVAILABLE, /* no answer, or 5xx */
	JOBS_OUTCOME_ERROR,	/* a wrong answer, or our own fault */
};

#define JOBS_OUTCOMES 6
#define JOBS_LATENCIES 12	/* buckets of the histogram; the last: more */

/* Upper bounds of the buckets but the last, ms. */
extern const unsigned int jobs_latency_ms[JOBS_LATENCIES - 1];

struct jobs_stats {
	enum jobs_state state;
	enum breaker_state breaker;
	bool offline;			/* a drill */
	uint64_t last_success_boot_ms;	/* 0: never */
	uint64_t held_until_boot_ms;	/* by Retry-After; 0: not held */
	uint64_t budget;		/* requests a minute; 0: not known */
	uint64_t budget_used;		/* in the last 60 s */
	unsigned int in_flight;
	unsigned int queued;
	uint64_t requests;		/* sent, retries included */
	uint64_t failed;		/* of those, without a usable answer */
	uint64_t probes;		/* of those, sent while given up */
	uint64_t outcomes[JOBS_OUTCOMES];
	uint64_t latencies[JOBS_LATENCIES]; /* of whole answers: a histogram */
	uint64_t latency_sum_ms;
};

/* up stays the caller's and must outlive it.  NULL for no memory. */
struct jobs *jobs_new(struct event_base *base, struct upstream *up,
    unsigned int max_in_flight, const struct jobs_hooks *hooks);
/* Cancels everything without callbacks. */
void jobs_free(struct jobs *js);

/*
 * Queue a request; req->id is copied, but not what req->relay points to.
 * waited: who waits for it.
 * Returns 0 and a handle that is good until cb returns, or ERR_NOMEM.
 */
int jobs_start(struct jobs *js, const struct upstream_request *req,
    enum job_waited waited, job_cb *cb, void *arg, struct job **ret_job);

/*
 * Somebody waits now too, or (JOB_REFRESH) nobody does any more.  Never
 * lowered otherwise.
 */
void job_set_waited(struct job *job, enum job_waited waited);
void job_cancel(struct job *job);
/* Has nothing of it been sent yet? */
bool job_is_unsent(const struct job *job);
/*
 * May the service have it, or get it any moment?  Not if it only came to
 * nothing so far: no connection, a refused key.
 */
bool job_may_arrive(const struct job *job);
/*
 * What it was sent for is void: send it once more, as if it had just come.
 * Nothing for what is handed on.
 */
void job_restart(struct job *job);

/*
 * When it was last sent, on a counter that jobs_now() advances: an answer
 * whose number is below a caller's may be older than the caller's request.
 */
uint64_t job_sent(const struct job *job);
uint64_t jobs_now(struct jobs *js);

/*
 * While the service is given up: until a job that nobody waits for may be
 * the next probe.  UINT64_MAX if it is not given up, a probe is under way, or
 * none will come (a drill).
 */
uint64_t jobs_probe_ms(const struct jobs *js, const struct now *now);
/* How long the pause still lasts that the service asked for; 0: none. */
uint64_t jobs_held_ms(const struct jobs *js, const struct now *now);

/* More or fewer may be under way from now on. */
void jobs_set_max_in_flight(struct jobs *js, unsigned int max_in_flight);

/*
 * Send nothing and fail everything as if the service could not be reached; or
 * no longer so.  What is under way is taken back and fails.
 */
void jobs_set_offline(struct jobs *js, bool offline);

/* Another API key is in force: a refusal of the old one means nothing now. */
void jobs_key_changed(struct jobs *js);
/* No other key came of it: what waited for one is refused. */
void jobs_key_settled(struct jobs *js);

void jobs_get_stats(const struct jobs *js, struct jobs_stats *ret_stats);

#endif /* AGENT_JOBS_H */
