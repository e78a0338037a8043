/*
 * One call on its way: the frames that ask, and what has been answered.
 *
 * A call of more than MSG_REFS_MAX references is several requests, sent
 * together.  call_feed() takes frames in whatever order they come.  No I/O
 * here, and no clock.
 */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "items.h"
#include "msg.h"
#include "msg_call.h"
#include "reports.h"

struct call {
	uint8_t type;		/* FRAME_PING … FRAME_VERIFY, one of a call */
	bool all;		/* REFRESH, PURGE: ALL in place of references */
	uint8_t list_kind;	/* LIST: enum ref_kind, 0 for both */
	bool names;		/* METRICS */
	const char *as;		/* EXPLAIN; NULL: the caller */
	uint64_t refused_version; /* REJECT; 0: not said */
	bool has_refused;	/* the same by its position, which says more */
	unsigned char refused[MSG_POSITION_LEN];
	struct msg_terms terms;	/* deadline_ms is set by call_send() */

	struct qapi_agent_items *items; /* owned */
	struct qapi_agent_stats *stats; /* owned */
	struct qapi_agent_explanation *explanation; /* owned */
	struct report_text text; /* of METRICS */
	struct msg_done done;

	struct msg_call ask;	/* CALL (service.c) */
	struct msg_crypt crypt;	/* ENCRYPT, DECRYPT, SIGN, VERIFY */
	uint8_t *store;		/* owned; what those two point into, or NULL */
	size_t store_len;
	struct qapi_agent_reply *reply; /* owned; of CALL */
	struct msg_verified verified;

	size_t *sent;		/* owned; place in the requests -> item */
	size_t nsent;
	size_t nwaiting;	/* of sent, without an answer so far */

	uint64_t first_id;	/* ids of the requests: first_id + 0, 1, … */
	size_t nrequests;
	int error;		/* of the whole call, once it is complete */
	char message[MSG_MESSAGE_MAX + 1]; /* of an error of the whole call */
};

/* Prepare a call of the type without references. */
void call_init(struct call *call, uint8_t type);
void call_done(struct call *call);

/*
 * Take the references; those that are malformed are answered on the spot.
 * Returns 0, ERR_BAD_REQUEST (none, or a NULL among them), or ERR_NOMEM.
 */
int call_set_refs(struct call *call, const char *const *refs, size_t count);

/* REJECT: which value it is about; NULL: what the agent holds. */
void call_set_refused(struct call *call, const struct qapi_agent_item *item);

/* Nothing to ask the agent? */
bool call_is_complete(const struct call *call);

/*
 * Queue the requests, forgetting earlier answers.  wait_ms: what is left to
 * the caller, MSG_NO_LIMIT for ever.  *id: id of the last request on this
 * handle, advanced.  Returns 0 or ERR_NOMEM.
 */
int call_send(struct call *call, struct conn *conn, uint64_t wait_ms,
    uint64_t *id);

/* May it be asked again, if nobody knows what came of it? */
bool call_may_repeat(const struct call *call);

/* Is this the id of one of its requests? */
bool call_owns(const struct call *call, uint64_t id);

/*
 * Take one frame that answers it.  Returns 0 when the call is complete (then
 * call->error and message are those of the whole), ERR_AGAIN if more is to
 * come, ERR_NOMEM or ERR_TOO_LARGE if it cannot be kept here, or another ERR_*
 * if the answer makes no sense.
 */
int call_feed(struct call *call, const struct frame *frame);

/* Give what was not answered this error.  message may be NULL. */
void call_fail_rest(struct call *call, int error, const char *message);

#endif /* CLIENT_CALL_H */
