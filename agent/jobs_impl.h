/*
 * What the parts of jobs share: jobs.c queues and sends, jobs_note.c keeps what
 * answers have shown of the service, jobs_key.c has to do with refused keys,
 * jobs_relay.c with what is handed on.  For nobody else.
 */
#ifndef AGENT_JOBS_IMPL_H
#define AGENT_JOBS_IMPL_H

#include <sys/queue.h>

#include "backoff.h"
#include "budget.h"
#include "clock.h"
#include "jobs.h"
#include "msg.h"

struct timer;

enum job_state {
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_BACKING_OFF,
	JOB_REFUSED,		/* about to fail without having been sent */
	JOB_DONE,
};

TAILQ_HEAD(job_list, job);

/* One transfer of a job. */
struct job_call {
	struct job *job;
	struct upstream_call *call; /* NULL: not under way */
	uint64_t sent_boot_ms;
};

struct job {
	TAILQ_ENTRY(job) link;
	struct jobs *js;
	enum job_state state;
	enum job_waited waited;
	bool probe;		/* sent while the breaker was open */
	bool awaits_key;	/* backing off until a key is settled */
	bool awaits_check;	/* or until the check has ended */
	bool is_check;		/* ours, see jobs_check() */
	bool arrived;		/* the service may have acted on it */
	bool lingering;		/* was a probe; its owner has its answer */
	enum job_waited sent_as; /* waited, when it was sent */
	unsigned int key;	/* generation of the API key it went with */
	uint64_t sent;
	uint64_t queued_boot_ms; /* since when it waits to be sent */
	struct upstream_request req; /* id points to id_copy */
	struct job_call calls[2]; /* the second: see job_hedge() */
	unsigned int hedges;	/* sent besides the first */
	struct timer *retry;	/* made when first needed */
	struct backoff backoff;
	job_cb *cb;
	void *arg;
	char id_copy[MSG_ID_MAX];
};

struct jobs {
	struct event_base *base;
	struct upstream *up;
	struct timer *pump;
	struct timer *patience;	/* with the probe */
	struct timer *stuck;	/* while something is under way */
	struct job *probing;	/* the probe under way */
	struct job *check;	/* likewise, or queued */
	struct jobs_hooks hooks;
	struct breaker breaker;
	struct budget budget;
	uint64_t due_held_boot_ms; /* until then only what callers wait for */
	struct job_list queued[JOB_LEVELS]; /* by who waits, in order of coming */
	struct job_list rest;	/* running or backing off */
	struct job_list refused;
	unsigned int max_in_flight;
	/*
	 * How much of that is used: all, but two when the service comes back,
	 * and one more with each answer.  Else a fleet gives a service that is
	 * short of capacity no time to recover.
	 */
	unsigned int window;
	unsigned int callers_in_a_row; /* sent last */
	unsigned int flying[JOB_LEVELS]; /* under way, by what they were sent as */
	unsigned int key;
	uint64_t counter;
	uint64_t answered_sent;	/* sent, of the newest that was answered */
	struct upstream_request suspect; /* what failed last */
	char suspect_id[MSG_ID_MAX];	/* its id */
	bool has_suspect;
	bool offline;		/* a drill: nothing is sent */
	bool suspect_alone;	/* others were answered since it failed */
	int down_error;		/* why the breaker is open */
	char down_message[UPSTREAM_MESSAGE_MAX];
	struct jobs_stats stats;
};

/* Another max_in_flight, or a beginning. */
void jobs_open_window(struct jobs *js);
/* Tells state_changed() if it is another one. */
void jobs_set_state(struct jobs *js, enum jobs_state state);
/* Is it about what failed last? */
bool job_is_suspect(const struct job *job);
/* For the figures, the budget and the clock.  took: milliseconds. */
void jobs_count(struct jobs *js, const struct job *job, uint64_t took,
    const struct upstream_answer *answer, const struct now *now);
/* What an answer means for the service as a whole. */
void jobs_note(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, const struct now *now);
void jobs_note_failure(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, uint64_t now_boot_ms);

/* The same for what was handed on. */
void jobs_note_relayed(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, const struct now *now);

/* --- jobs.c --- */

/* The last statement of whoever calls it: job is gone afterwards. */
void job_finish(struct job *job, struct upstream_answer *answer);
/* It is to be sent, and is on no list. */
void job_enqueue(struct job *job);
/* Send it again: at once if wait_ms is 0.  False if that cannot be. */
bool job_again(struct job *job, uint64_t wait_ms);
/* Try again after a failure, if it is worth it. */
bool job_retry(struct job *job, const struct now *now);

/* --- jobs_key.c --- */

/*
 * A new key, in the file or already in use, deserves another try.  A refusal
 * counts as one only for the key that is in use now.
 */
bool job_try_other_key(struct job *job);

/* --- jobs_relay.c --- */

/* Those who waited for the probe learn that the service is not back. */
void jobs_probe_was_in_vain(struct jobs *js);

/* Is it handed on for somebody? */
bool job_is_relayed(const struct job *job);
/* Its answer came; the last statement of whoever calls it. */
void job_relay_answered(struct job *job, struct upstream_answer *answer,
    const struct now *now);
/*
 * A request of our own, which tells whether the service is there and takes the
 * key.  NULL if one is under way, or for no memory.
 */
struct job *jobs_check(struct jobs *js);

#endif /* AGENT_JOBS_IMPL_H */
