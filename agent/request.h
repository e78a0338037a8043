/*
 * Requests about references: GET, REFRESH and PURGE; and what LIST and
 * REFRESH of everything share with them.
 */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include "msg.h"
#include "session.h"

/* What is special about a request that is no GET, REFRESH, PURGE or LIST. */
struct request_ops {
	/* As request_render(). */
	bool (*render)(struct session_item *item, struct out *out);
	/* A reference's result is there.  NULL: request_settle()'s own way. */
	void (*settle)(struct session_item *item,
	    const struct fetch_result *result);
	/* Its deadline has passed, besides what is done with each item's wait.
	 * NULL: nothing. */
	void (*late)(struct request *rq);
	/* CANCEL came; may free it.  NULL: it goes on. */
	void (*cancel)(struct request *rq, struct out *out);
	/* Before it is freed.  NULL: nothing. */
	void (*done)(struct request *rq);
};

/* One that could not be answered at once. */
struct request {
	TAILQ_ENTRY(request) link;
	struct session *session;
	const struct request_ops *ops; /* NULL: none */
	void *data;		/* of ops */
	uint64_t id;
	uint8_t type;		/* of its frame */
	bool all;		/* REFRESH of everything: counted, not told */
	bool parked;		/* nothing is owed: it waits for its client */
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

/* Handler of dispatch: CANCEL. */
int request_cancel(struct session *s, const struct frame *frame,
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
/* Something of it is to be rendered; who is not in a handler wakes too. */
void request_ready(struct session_item *item);
/* The opposite, at the beginning of rendering. */
void request_take_off(struct session_item *item);

/* A RESULT that is an error; message may be NULL. */
void request_put_error(struct out *out, uint64_t id, uint16_t flags,
    uint16_t index, int error, const char *message);

/*
 * Was this read of this connection recorded a moment ago?  ref: what it is
 * recorded as; remembered if not.  True as well where nothing is recorded.
 */
bool request_is_told(struct session *s, struct view ref);

/* Cancel and free; unlinks it from its session. */
void request_free(struct request *rq);

#endif /* AGENT_REQUEST_H */
