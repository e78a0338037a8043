/*
 * The service's own REST paths for callers without a key: answered from the
 * cache where that holds it, handed on where it does not, as the caller's
 * rules allow.  The HTTP front and the message CALL are two ways in.
 *
 *  - GET /secrets/{id} and GET /keys/{id}/public come from the cache, in
 *    every projection of ?include=, ?version= and ?format=.  They take the
 *    operation read for that secret or key, or call with a matching path.
 *  - GET /secrets and GET /keys show what the caller may read and nothing
 *    else; list, or call.
 *  - /encrypt, /decrypt, /sign, /verify: the operation of that name for the key,
 *    or call.
 *  - All else: call, with paths= of the rule.  Where a rule with call also says
 *    secrets= or keys=, a path about one of them counts only for those.
 *
 * HEAD is answered as GET is, body and all: whoever speaks HTTP leaves it out.
 *
 * Knows nothing of HTTP's syntax nor of frames.  Event-loop thread only.
 */
#ifndef AGENT_REST_H
#define AGENT_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "fetch.h"
#include "object.h"

struct rest;
struct session;

struct rest_request {
	const char *method;	/* upper case token */
	struct view target;	/* origin form, see endpoints_match() */
	/*
	 * A secret or key, as in GET: "{id}" in the target's path stands for
	 * its id, which is found first.  Empty: none.
	 */
	struct view ref;
	struct view content_type; /* empty: none */
	struct view accept;
	struct view body;	/* secret memory */
	bool has_body;
	bool allow_csprng;	/* X-Allow-Csprng: true */
	/* as in struct msg_terms; MSG_NO_LIMIT: the agent's own */
	uint64_t deadline_ms;
	uint64_t max_age_ms;
	uint64_t max_stale_ms;
	bool only_if_cached;
	bool fresh;
};

enum rest_cache {
	REST_CACHE_NONE,	/* handed on: not the cache's */
	REST_CACHE_HIT,		/* it was there, and fresh */
	REST_CACHE_STALE,
	REST_CACHE_MISS,	/* cacheable, and asked for just now */
};

struct rest_answer {
	/*
	 * Why there is no answer of the service; then status is what HTTP
	 * says for it and body is a JSON object as in upstream-api.md, 2:
	 * 403 `forbidden` for ERR_DENIED, naming the title of the rule that
	 * came closest; 502 for the agent's own key, 503, 504, ...
	 */
	int error;
	int status;
	enum rest_cache cache;
	uint64_t age_ms;	/* HIT, STALE, MISS */
	uint64_t retry_after_ms; /* 0: not told */
	struct object *body;	/* its value; NULL: empty.  The receiver's
				 * reference */
	char content_type[128];	/* "": none */
	char content_disposition[256];
	char message[FETCH_MESSAGE_MAX]; /* with an error: a sentence */
};

/* Called once for each request that is not cancelled. */
typedef void rest_cb(void *arg, struct rest_answer *answer);

/*
 * Answer now if that can be, else start what it takes.  Returns 0 with
 * *answer filled, or ERR_AGAIN: cb will be called, never from within, and
 * ret_rest can be cancelled until then.  Nothing of rq is kept but body, which
 * stays the caller's, and as it is, until cb or rest_cancel() returns.
 * Counts, limits and records for the session as GET does: it takes the token
 * of the caller's rate, so whoever calls it must not, and leaves
 * metrics.requests to them.  Whatever runs must be cancelled before the
 * session ends.
 */
int rest_start(struct session *s, const struct rest_request *rq,
    const struct now *now, struct rest_answer *answer, rest_cb *cb,
    struct rest **ret_rest);
/* The argument of cb: to be set before the loop goes on. */
void rest_set_arg(struct rest *r, void *arg);
void rest_cancel(struct rest *r);

#endif /* AGENT_REST_H */
