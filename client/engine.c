#include "config.h"

#include "engine.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "handle.h"

#define PAUSE_FIRST_MS 1	/* between attempts to connect to a busy agent */
#define PAUSE_MAX_MS 50

static const char in_doubt[] =
    "the agent closed the connection before it answered, and whether the "
    "service did what was asked is not known: look before asking again";

void
engine_init(struct engine *e)
{
	memset(e, 0, sizeof(*e));
	TAILQ_INIT(&e->waiting);
	TAILQ_INIT(&e->sent);
	TAILQ_INIT(&e->done);
}

/* --- lists ---------------------------------------------------------------- */

static struct request_list *
list_of(struct qapi_agent_request *req)
{
	struct engine *e = &req->agent->engine;

	if (req->state == REQUEST_WAITING)
		return &e->waiting;
	return req->state == REQUEST_SENT ? &e->sent : &e->done;
}

static void
take_off(struct qapi_agent_request *req)
{
	/* one that blocks is not on the list of those to be told about */
	if (req->agent != NULL && (req->state != REQUEST_DONE || req->listed))
		TAILQ_REMOVE(list_of(req), req, entry);
}

static void
move(struct qapi_agent_request *req, enum request_state state)
{
	take_off(req);
	req->state = state;
	if (state != REQUEST_DONE || req->listed)
		TAILQ_INSERT_TAIL(list_of(req), req, entry);
}

/* message: NULL or "" for what err_text() says of the error. */
static void
finish(struct qapi_agent_request *req, int error, const char *message)
{
	req->error = error;
	if (message != NULL && *message != '\0')
		req->message = strdup(message); /* NULL will do */
	move(req, REQUEST_DONE);
}

/*
 * Something failed between the agent and us.  Of a call about references that
 * was sent, those that were not answered fail, and the others are good.
 */
static void
fail(struct qapi_agent_request *req, int error, const char *message)
{
	if (req->state == REQUEST_SENT && req->call->sent != NULL &&
	    error != ERR_NOMEM) {
		call_fail_rest(req->call, error, message);
		error = 0;
	}
	finish(req, error, message);
}

static void
fail_explained(struct qapi_agent_request *req, int error, const char *said)
{
	handle_explain(req->agent, error, said, req->timeout_ms);
	fail(req, error, req->agent->message);
}

void
engine_add(struct qapi_agent *a, struct qapi_agent_request *req,
    struct call *call)
{
	req->agent = a;
	req->call = call;
	req->state = REQUEST_WAITING;
	req->timeout_ms = a->timeout_ms;
	req->deadline_boot_ms = conn_deadline(conn_now_ms(),
	    a->timeout_ms == 0 ? CONN_FOREVER : a->timeout_ms);
	TAILQ_INSERT_TAIL(&a->engine.waiting, req, entry);
	if (call_is_complete(call))
		finish(req, 0, NULL);
}

void
engine_drop(struct qapi_agent_request *req)
{
	struct qapi_agent *a = req->agent;
	bool under_way = req->state == REQUEST_SENT;

	take_off(req);
	req->agent = NULL;
	free(req->message);
	req->message = NULL;
	if (a != NULL && under_way && TAILQ_EMPTY(&a->engine.sent))
		handle_close(a);
}

void
engine_done(struct qapi_agent *a)
{
	struct request_list *lists[] = {&a->engine.waiting, &a->engine.sent,
	    &a->engine.done};
	struct qapi_agent_request *req;
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		while ((req = TAILQ_FIRST(lists[i])) != NULL) {
			if (req->state != REQUEST_DONE)
				fail(req, ERR_CLOSED,
				    "the handle was freed meanwhile");
			take_off(req);
			req->agent = NULL;
		}
	}
}

size_t
engine_pending(const struct qapi_agent *a)
{
	const struct qapi_agent_request *req;
	size_t n = 0;

	TAILQ_FOREACH(req, &a->engine.waiting, entry)
		n++;
	TAILQ_FOREACH(req, &a->engine.sent, entry)
		n++;
	return n;
}

/* --- the connection ------------------------------------------------------- */

/* May it go out again?  Before the connection is closed. */
static bool
may_repeat(const struct qapi_agent *a, const struct qapi_agent_request *req)
{
	/*
	 * A frame that the kernel did not take whole was never acted on; and it
	 * takes nothing once the other side has closed.
	 */
	return call_may_repeat(req->call) || req->end > a->conn.taken;
}

/* The connection is of no use any more. */
static void
lost(struct qapi_agent *a, int why)
{
	struct engine *e = &a->engine;
	struct qapi_agent_request *req, *next;
	struct request_list again;
	int error = why;

	if (why == ERR_CLOSED && e->conn_error != 0)
		error = e->conn_error;
	TAILQ_INIT(&again);
	for (req = TAILQ_FIRST(&e->sent); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		/* A restarted agent: but what it says at once, it means. */
		if (why == ERR_CLOSED && !req->retried &&
		    (e->conn_error == 0 || req->reused) &&
		    may_repeat(a, req)) {
			TAILQ_REMOVE(&e->sent, req, entry);
			TAILQ_INSERT_TAIL(&again, req, entry);
			req->state = REQUEST_WAITING;
			req->retried = true;
		} else if (error == ERR_CLOSED && !may_repeat(a, req)) {
			fail(req, error, in_doubt);
		} else {
			fail_explained(req, error, e->said);
		}
	}
	/* they were asked before those that wait */
	TAILQ_CONCAT(&again, &e->waiting, entry);
	TAILQ_CONCAT(&e->waiting, &again, entry);
	e->conn_error = 0;
	e->said[0] = '\0';
	e->retry_boot_ms = 0;
	handle_close(a);
}

void
engine_disconnect(struct qapi_agent *a)
{
	if (a->conn.fd != -1)
		lost(a, ERR_CLOSED);
}

/*
 * 0 with a connection, ERR_AGAIN if there may be one later, else all that
 * waited have failed.
 */
static int
connect_now(struct qapi_agent *a, uint64_t now_ms, uint64_t block_boot_ms)
{
	struct engine *e = &a->engine;
	struct qapi_agent_request *req;
	int r;

	if (a->conn.fd != -1)
		return 0;
	if (block_boot_ms == 0 && now_ms < e->retry_boot_ms)
		return ERR_AGAIN;
	r = handle_connect(a, block_boot_ms);
	if (r == ERR_AGAIN) {
		e->pause_ms = e->pause_ms == 0 ? PAUSE_FIRST_MS
		    : e->pause_ms * 2;
		if (e->pause_ms > PAUSE_MAX_MS)
			e->pause_ms = PAUSE_MAX_MS;
		e->retry_boot_ms = now_ms + e->pause_ms;
		return r;
	}
	e->pause_ms = 0;
	e->retry_boot_ms = 0;
	if (r == 0 || r == ERR_TIMEOUT) /* each has its own time */
		return r == 0 ? 0 : ERR_AGAIN;
	handle_close(a);
	while ((req = TAILQ_FIRST(&e->waiting)) != NULL)
		fail_explained(req, r, "");
	return r;
}

/* --- out ------------------------------------------------------------------ */

static void
send_request(struct qapi_agent_request *req, uint64_t now_ms, bool reused)
{
	struct qapi_agent *a = req->agent;
	uint64_t wait_ms = MSG_NO_LIMIT;
	int r;

	if (req->deadline_boot_ms != CONN_FOREVER)
		wait_ms = now_ms < req->deadline_boot_ms
		    ? req->deadline_boot_ms - now_ms : 1;
	req->reused = reused;
	r = call_send(req->call, &a->conn, wait_ms, &a->last_id);
	if (r != 0) {
		fail_explained(req, r, "");
		return;
	}
	req->end = a->conn.queued;
	move(req, REQUEST_SENT);
}

static void
send_waiting(struct qapi_agent *a, uint64_t now_ms, bool reused)
{
	struct qapi_agent_request *req;

	while ((req = TAILQ_FIRST(&a->engine.waiting)) != NULL)
		send_request(req, now_ms, reused);
}

/* --- in ------------------------------------------------------------------- */

/* An ERROR of the connection; the agent hangs up after it. */
static int
on_conn_error(struct engine *e, const struct frame *frame)
{
	struct msg_error m;

	if (msg_error_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	e->conn_error = m.error;
	/* A decoder let it through, so it fits and holds no NUL. */
	memcpy(e->said, m.message.p == NULL ? (const uint8_t *)"" : m.message.p,
	    m.message.len);
	e->said[m.message.len] = '\0';
	return ERR_CLOSED;
}

/* ERR_AGAIN: to the next frame.  Else the connection cannot go on. */
static int
on_frame(void *arg, const struct frame *frame)
{
	struct qapi_agent *a = arg;
	struct qapi_agent_request *req;
	int r;

	if (frame->type == FRAME_ERROR && frame->id == 0)
		return on_conn_error(&a->engine, frame);
	TAILQ_FOREACH(req, &a->engine.sent, entry) {
		if (call_owns(req->call, frame->id))
			break;
	}
	if (req == NULL)
		return ERR_AGAIN;	/* of one that was given up */
	r = call_feed(req->call, frame);
	if (r == ERR_AGAIN)
		return r;
	if (r == 0) {
		finish(req, req->call->error, req->call->error != 0
		    ? req->call->message : NULL);
		return ERR_AGAIN;
	}
	/* ours; or an answer that makes no sense, and then what follows? */
	fail_explained(req, r, "");
	if (r == ERR_NOMEM || r == ERR_TOO_LARGE)
		return TAILQ_EMPTY(&a->engine.sent) ? ERR_CLOSED : ERR_AGAIN;
	return ERR_CLOSED;
}

/* --- time ----------------------------------------------------------------- */

static uint64_t
ends_boot_ms(const struct qapi_agent_request *req)
{
	return req->state == REQUEST_WAITING ? req->deadline_boot_ms
	    : conn_deadline(req->deadline_boot_ms, ENGINE_GRACE_MS);
}

static bool
expire(struct request_list *list, uint64_t now_ms)
{
	struct qapi_agent_request *req, *next;
	bool any = false;

	for (req = TAILQ_FIRST(list); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (now_ms < ends_boot_ms(req))
			continue;
		fail_explained(req, ERR_TIMEOUT, "");
		any = true;
	}
	return any;
}

static void
expire_all(struct qapi_agent *a, uint64_t now_ms)
{
	struct engine *e = &a->engine;

	(void)expire(&e->waiting, now_ms);
	/* What nobody waits for is not read; and it may be hung. */
	if (expire(&e->sent, now_ms) && TAILQ_EMPTY(&e->sent))
		handle_close(a);
}

uint64_t
engine_wake_boot_ms(const struct qapi_agent *a)
{
	const struct engine *e = &a->engine;
	const struct qapi_agent_request *req;
	uint64_t wake_ms = CONN_FOREVER;

	if (!TAILQ_EMPTY(&e->waiting))
		wake_ms = a->conn.fd == -1 ? e->retry_boot_ms : 0;
	TAILQ_FOREACH(req, &e->waiting, entry) {
		if (ends_boot_ms(req) < wake_ms)
			wake_ms = ends_boot_ms(req);
	}
	TAILQ_FOREACH(req, &e->sent, entry) {
		if (ends_boot_ms(req) < wake_ms)
			wake_ms = ends_boot_ms(req);
	}
	return wake_ms;
}

void
engine_step(struct qapi_agent *a, short ready, uint64_t block_boot_ms)
{
	uint64_t now_ms = conn_now_ms();
	bool reused;
	int r;

	expire_all(a, now_ms);
	if (!TAILQ_EMPTY(&a->engine.waiting)) {
		reused = a->conn.fd != -1;
		if (connect_now(a, now_ms, block_boot_ms) != 0)
			return;
		send_waiting(a, now_ms, reused);
	}
	if (a->conn.fd == -1)
		return;
	if ((r = conn_step(&a->conn, ready)) == 0)
		r = handle_feed_all(a, on_frame, a);
	if (r != ERR_AGAIN)
		lost(a, r);
}

/* --- blocking ------------------------------------------------------------- */

int
handle_call(struct qapi_agent *a, struct call *call)
{
	struct qapi_agent_request req = {.listed = false};
	short ready = POLLOUT;
	uint64_t wake_ms;
	int r;

	a->message[0] = '\0';
	engine_add(a, &req, call);
	while (req.state != REQUEST_DONE) {
		engine_step(a, ready, req.deadline_boot_ms);
		if (req.state == REQUEST_DONE)
			break;
		wake_ms = engine_wake_boot_ms(a);
		if (a->conn.fd == -1)
			handle_sleep(wake_ms);
		else if (conn_wait(&a->conn, wake_ms, &ready) != 0)
			ready = 0;
	}
	r = req.error;
	if (req.message != NULL)
		(void)handle_fail(a, r, req.message);
	else if (r != 0)
		(void)handle_fail(a, r, err_text(r));
	else
		a->message[0] = '\0';
	engine_drop(&req);
	/* an event loop that drives others may not ask before it waits */
	handle_poll(a);
	return r;
}
