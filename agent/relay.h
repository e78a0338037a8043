/*
 * Requests that are handed on to the service for a caller: whatever the cache
 * does not answer.  A part of fetch (fetch_impl.h), since it goes through the
 * same queue, breaker and budget as reads do, and since what is written has to
 * drop what is cached of it.
 *
 * What may be sent again (endpoints.h) is tried again as reads are, within the
 * caller's time.  What may not is sent once, on a connection of its own, and
 * never as the probe of a service that was given up; if no answer comes,
 * nobody knows whether it was done, and the message says so.
 *
 * What a write means for what is cached (endpoints.h, drops), before its answer
 * is handed on:
 *
 *  2xx, 404, 410   done, or gone: what is held of it is dropped, readings under
 *                  way begin again, and what is watched or preloaded is read at
 *                  once.  Names follow from the answer where it tells them; a
 *                  listing stays in use, but not for who lists.
 *  3xx, 4xx        nothing was done.
 *  5xx, no answer  perhaps.  What is held stays, since in an outage it may be
 *                  all there is, but is doubted: it is due at once, and readers
 *                  wait for what comes of that; if nothing does, they get it as
 *                  stale.  Of a name that is not there a newer listing is asked.
 *  unsent          nothing.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_RELAY_H
#define AGENT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "fetch.h"
#include "upstream.h"

struct endpoint;
struct relay;

struct relay_request {
	struct upstream_relay send;	/* copied with its texts, but not what
				 * body points to.  once, without_key and
				 * own_limit follow from endpoint: no need to
				 * set them */
	const struct endpoint *endpoint; /* NULL: none that is known */
	struct view id;		/* of the secret or key that it is about, for
				 * what a write drops; empty: none */
	uint64_t deadline_ms;	/* from now; MSG_NO_LIMIT: as long as the
				 * agent waits itself */
	bool patient;		/* its caller has several: those of others go
				 * first, and have room */
};

struct relay_result {
	/*
	 * 0: the service answered, with status; else there is no answer to
	 * hand on: ERR_UPSTREAM_UNAVAILABLE, ERR_TIMEOUT, ERR_TOO_LARGE,
	 * ERR_NOMEM, ERR_UNAUTHORIZED and ERR_INSUFFICIENT_SCOPE (the agent's
	 * own key: no affair of the caller's), ERR_RATE_LIMITED is 0 and 429.
	 */
	int error;
	int status;
	uint64_t retry_after_ms; /* 429, 503; 0: not told */
	struct upstream_reply reply; /* body moves to the callee */
	char message[FETCH_MESSAGE_MAX]; /* with an error */
};

/* Called once unless cancelled; never from within relay_start(). */
typedef void relay_cb(void *arg, struct relay_result *result);

/*
 * Returns 0 and a handle that is good until cb is called, or ERR_NOMEM.  The
 * body, in secret memory, stays as it is until then, or until relay_cancel()
 * returns; all else is copied.
 */
int relay_start(struct fetch *f, const struct relay_request *rq,
    const struct now *now, relay_cb *cb, void *arg, struct relay **ret_relay);

/*
 * The caller is gone.  What has been sent and changes something is let finish
 * (its owner's memory is copied away first), so that what it drops is dropped.
 */
void relay_cancel(struct relay *r);

#endif /* AGENT_RELAY_H */
