/*
 * Requests about references: GET, REFRESH and PURGE; and what LIST and
 * REFRESH of everything share with them.
 */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include "msg.h"
#include "session.h"

/* One that could not be answered at once. */
struct request {
	TAILQ_ENTRY(request) link;
	struct session *session;
	uint64_t id;
	uint8_t type;		/* FRAME_GET, FRAME_REFRESH, FRAME_LIST */
	bool all;		/* REFRESH of everything: counted, not told */
	uint16_t left;		/* RESULT frames still to come */
	uint64_t done;		/* all: how many were confirmed */
	uint64_t failed;
	size_t cursor;		/* LIST: next row */
	struct timer *deadline;	/* NULL: none */
	size_t nitems;
	struct session_item items[];
};

/* Handler of dispatch: 0, or an error that ends the connection. */
int request_refs(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

/* Render one ready item; false if out has no room. */
bool request_render(struct session_item *item, struct out *out);

/*
 * One that waits, with nitems zeroed items and text_len bytes behind them; its
 * deadline runs.  NULL for no memory.
 */
struct request *request_new(struct session *s, const struct frame *frame,
    const struct msg_terms *terms, size_t nitems, size_t text_len);

/* A fetch_cb, with a struct session_item as its argument. */
void request_fetched_cb(void *arg, struct fetch_result *result);
/* Take a result over into an item, which is ready then. */
void request_settle(struct session_item *item,
    const struct fetch_result *result);

/* Cancel and free; unlinks it from its session. */
void request_free(struct request *rq);

#endif /* AGENT_REQUEST_H */
