/*
 * Does another API key belong to the same tenant?  Asked of the service: it
 * knows the id of something cached under that key, or it does not.
 *
 * Meanwhile nothing changes: the key in force stays so, and what is cached
 * goes on being served.  What follows from the verdict is keys' business.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_KEYPROOF_H
#define AGENT_KEYPROOF_H

#include <stdint.h>

#include "cache.h"
#include "secmem.h"
#include "upstream.h"

struct keyproof;

/* Things that are asked for, at most; one that is known will do. */
#define KEYPROOF_WITNESSES 3

enum keyproof_verdict {
	KEYPROOF_SAME,		/* the service knows one of them */
	KEYPROOF_OTHER,		/* 404 or 410 for each of them */
	KEYPROOF_FORBIDDEN,	/* 403 for one or more, the others unknown */
	KEYPROOF_REFUSED,	/* 401: the key itself is no good */
	KEYPROOF_NO_ANSWER,	/* nothing can be said: try again later */
};

struct keyproof_result {
	enum keyproof_verdict verdict;
	uint64_t retry_after_ms;	/* KEYPROOF_NO_ANSWER; 0: not told */
	char message[UPSTREAM_MESSAGE_MAX]; /* of the last answer, unless
					 * KEYPROOF_SAME */
};

/*
 * Called once, never from within keyproof_start(); the proof is over, and its
 * memory goes, when it returns.
 */
typedef void keyproof_cb(void *arg, const struct keyproof_result *result);

/*
 * Ask about up to KEYPROOF_WITNESSES things that c holds, one after another.
 * up, c and key are the caller's, and must stay as they are until the end.
 * Returns 0, ERR_NOT_FOUND if c holds nothing, or the error of the first
 * call (ERR_NOMEM, ERR_INTERNAL).
 */
int keyproof_start(struct upstream *up, struct cache *c,
    const struct secmem *key, keyproof_cb *cb, void *arg,
    struct keyproof **ret_proof);

/* The callback will not be called.  NULL is fine.  Not from within it. */
void keyproof_cancel(struct keyproof *p);

#endif /* AGENT_KEYPROOF_H */
