/*
 * One call on its way: the frames that ask, and what has been answered.
 *
 * A call of more than MSG_REFS_MAX references is several requests, sent
 * together.  call_feed() takes frames in whatever order they come and
 * ignores those that answer something else.  No I/O here, and no clock.
 */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "items.h"
#include "msg.h"
#include "reports.h"

struct call {
	uint8_t type;		/* FRAME_PING … FRAME_METRICS, one of a call */
	bool all;		/* REFRESH, PURGE: ALL in place of references */
	uint8_t list_kind;	/* LIST: enum ref_kind, 0 for both */
	bool names;		/* METRICS */
	const char *as;		/* EXPLAIN; NULL: the caller */
	const struct qapi_agent_item *refused; /* REJECT; may be NULL */
	struct msg_terms terms;	/* deadline_ms is set by call_send() */

	struct qapi_agent_items *items; /* owned */
	struct qapi_agent_stats *stats; /* owned */
	struct qapi_agent_explanation *explanation; /* owned */
	struct report_text text; /* of METRICS */
	struct msg_done done;

	size_t *sent;		/* owned; place in the requests -> item */
	size_t nsent;
	size_t nwaiting;	/* of sent, without an answer so far */

	uint64_t first_id;	/* ids of the requests: first_id + 0, 1, … */
	size_t nrequests;
	int conn_error;		/* an ERROR that answers no request */
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

/* Nothing to ask the agent? */
bool call_is_complete(const struct call *call);

/*
 * Queue the requests, forgetting earlier answers.  wait_ms: what is left to
 * the caller, MSG_NO_LIMIT for ever.  *id: id of the last request on this
 * handle, advanced.  Returns 0 or ERR_NOMEM.
 */
int call_send(struct call *call, struct conn *conn, uint64_t wait_ms,
    uint64_t *id);

/*
 * Take one frame.  Returns 0 when the call is complete, ERR_AGAIN if more is
 * to come, ERR_CLOSED if it was an ERROR of the connection
 * (call->conn_error; the agent hangs up then), or the error of the whole call (call->message may say more).
 */
int call_feed(struct call *call, const struct frame *frame);

/* Give what was not answered this error.  message may be NULL. */
void call_fail_rest(struct call *call, int error, const char *message);

#endif /* CLIENT_CALL_H */
