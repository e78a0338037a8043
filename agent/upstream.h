/*
 * Interface to the service: start a call, cancel it, be called back.
 *
 * One attempt each: retries, sharing, limits and what an answer means for the
 * cache are the business of fetch.  upstream_http is the implementation over
 * curl; tests have one of their own.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_UPSTREAM_H
#define AGENT_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "object.h"
#include "ref.h"
#include "secmem.h"

#define UPSTREAM_MESSAGE_MAX 256

enum upstream_op {
	UPSTREAM_READ_SECRET,	/* GET /secrets/{id}?include=all[&version=N] */
	UPSTREAM_READ_KEY,	/* GET /keys/{id}/public?include=all or ?format= */
	UPSTREAM_LIST_SECRETS,	/* GET /secrets?page=… includeInactive=true */
	UPSTREAM_LIST_KEYS,	/* GET /keys?page=… */
	UPSTREAM_RELAY,		/* anything else, as struct upstream_relay says */
};

/*
 * A request that is handed on for somebody.  What it points to stays its
 * owner's, and as it is, until the call has ended: it may be sent again.
 */
struct upstream_relay {
	const char *method;	/* a token of RFC 9110, 9.1, upper case */
	struct view target;	/* path and query as they are sent, checked by
				 * endpoints_match(): below url, or below the
				 * root of its host if from_root */
	bool from_root;		/* /health, /version, /share links */
	bool without_key;	/* POST /share/{token} */
	/*
	 * It must not arrive twice (upstream-api.md, 8): on a connection of its
	 * own, since curl sends again by itself what a kept one lost.
	 */
	bool once;
	bool own_limit;		/* a 429 is about this endpoint alone */
	bool has_body;
	bool allow_csprng;	/* X-Allow-Csprng: true */
	struct view body;	/* secret memory */
	struct view content_type; /* empty: application/json */
	struct view accept;	/* empty: application/json */
};

/* What came back, whatever its status. */
struct upstream_reply {
	struct object *body;	/* its value is the body; NULL: empty */
	char content_type[128];	/* "": none */
	char content_disposition[256];
};

/* Can the service have that for an id: 1 to 128 of [A-Za-z0-9_-]? */
bool upstream_id_valid(struct view id);
/* Are they one id?  The case of a UUID's digits says nothing. */
bool upstream_id_same(struct view a, struct view b);

struct upstream_request {
	enum upstream_op op;
	struct view id;		/* reads; copied by start */
	uint64_t version;	/* UPSTREAM_READ_SECRET: 0 is the newest */
	enum ref_format format;	/* UPSTREAM_READ_KEY */
	unsigned int page;	/* lists: from 1 */
	unsigned int page_size;
	uint64_t timeout_ms;	/* of this call; 0: the configured one, which
				 * bounds it in any case */
	const struct secmem *key; /* ask with this API key, not the one in
				 * force; only until start returns */
	const struct upstream_relay *relay; /* UPSTREAM_RELAY; not copied */
};

/* One row of a list.  Texts are owned by the page. */
struct upstream_row {
	char *id;
	char *name;
	uint64_t version;	/* 0: not told */
	int64_t updated_at;	/* wall ms or MSG_NO_TIME */
	int64_t created_at;
	int64_t expires_at;
	bool is_active;
	uint8_t key_type;	/* keys: a number of key_words.h; 0: another,
				 * or not told */
	uint8_t key_algorithm;
};

struct upstream_page {
	struct upstream_row *rows;
	size_t count;
	bool has_more;		/* as told, else worked out from total, page
				 * and page size; never true on an empty page */
	bool has_versions;	/* every row tells its version, and has the
				 * members updatedAt (keys: lastRotatedAt),
				 * expiresAt, isActive (null is fine): it can
				 * revalidate */
	uint64_t total;		/* 0: not told */
};

void upstream_page_free(struct upstream_page *page);

/*
 * X-RateLimit-*: of an answer; [assumed] in upstream-api.md, section 2, so
 * often absent.
 */
struct upstream_rate {
	bool told;		/* limit and remaining are there */
	uint64_t limit;		/* requests a minute with this key */
	uint64_t remaining;	/* of them, until reset */
	uint64_t reset_ms;	/* from now; 0: not told */
};

struct upstream_answer {
	int error;		/* 0 or ERR_* as in the contract, section 4 */
	int status;		/* HTTP status; 0: there was no whole answer */
	bool retryable;		/* the same request may well succeed soon:
				 * no connection, cut, time limit, 5xx */
	bool gone;		/* 404, 410, or isActive false: drop it */
	bool forbidden;		/* 403 or 409 about this thing: drop it */
	uint64_t retry_after_ms; /* 429 and 503; 0: not told; capped at 1 h */
	int64_t date_ms;	/* Date: of the answer, wall ms; MSG_NO_TIME: none */
	struct upstream_rate rate;
	char message[UPSTREAM_MESSAGE_MAX]; /* a sentence for people, no values,
				 * nothing of the body: "HTTP 500", "connection
				 * refused by 127.0.0.1:9", "no `value` in it" */
	struct object *object;	/* reads without error; ownership moves to cb */
	struct upstream_page *page; /* lists without error; likewise */
	/*
	 * UPSTREAM_RELAY: there whenever status is, whatever error says of
	 * it; body moves to cb.
	 */
	struct upstream_reply reply;
	bool unsent;		/* nothing of the request can have arrived; to
				 * the callback of a job: or it came to nothing,
				 * by a refused key */
};

struct upstream_call;

/* Called once for each call that is not cancelled, never from within start. */
typedef void upstream_cb(void *arg, struct upstream_answer *answer);

struct upstream {
	const struct upstream_ops *ops;
};

struct upstream_ops {
	/*
	 * Returns 0 and a handle that lives until cb returns, or ERR_NOMEM,
	 * ERR_BAD_REQUEST (an id that can be no id).
	 */
	int (*start)(struct upstream *up, const struct upstream_request *req,
	    upstream_cb *cb, void *arg, struct upstream_call **ret_call);
	/* The callback will not be called. */
	void (*cancel)(struct upstream *up, struct upstream_call *call);
	/* Use another API key from now on; takes the memory over. */
	void (*set_key)(struct upstream *up, struct secmem *key);
	void (*free)(struct upstream *up);
};

#endif /* AGENT_UPSTREAM_H */
