/*
 * What jobs.c and jobs_note.c share: the first queues and sends, the second
 * keeps what answers have shown of the service.  For nobody else.
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
void jobs_count(struct jobs *js, uint64_t took,
    const struct upstream_answer *answer, const struct now *now);
/* What an answer means for the service as a whole. */
void jobs_note(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, const struct now *now);
void jobs_note_failure(struct jobs *js, const struct job *job,
    const struct upstream_answer *answer, uint64_t now_boot_ms);

#endif /* AGENT_JOBS_IMPL_H */
