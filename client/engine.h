/*
 * Requests on their way over the one connection of a handle.
 *
 * A request waits until there is a connection, is sent, and is done when its
 * call is complete or has failed.  engine_step() moves all of them on without
 * blocking; qapi_agent_step() calls it for an event loop, handle_call() until
 * the one request of a blocking call is done.  What frames mean is call.c's
 * business, and how to connect handle.c's.
 */
#ifndef CLIENT_ENGINE_H
#define CLIENT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "call.h"
#include "qapi-agent.h"

/* What the agent gets on top of the caller's timeout to say why it failed. */
#define ENGINE_GRACE_MS 250

enum request_state {
	REQUEST_WAITING,	/* for a connection, or for its turn */
	REQUEST_SENT,
	REQUEST_DONE,
};

TAILQ_HEAD(request_list, qapi_agent_request);

struct qapi_agent_request {
	TAILQ_ENTRY(qapi_agent_request) entry; /* of the list of its state */
	struct qapi_agent *agent; /* NULL: it was freed */
	struct call *call;	/* not owned */
	enum request_state state;
	bool listed;		/* once done, tell about it; else it blocks */
	bool seen;		/* done before qapi_agent_step() returned */
	bool retried;		/* it met a closed connection before */
	bool reused;		/* it went out on a connection that was there */
	uint64_t end;		/* of its last frame, in conn.queued */
	uint64_t timeout_ms;	/* 0: for ever */
	uint64_t deadline_boot_ms;
	qapi_agent_done done;	/* NULL: it is taken */
	void *arg;
	int error;		/* of the whole, once done */
	char *message;		/* owned; NULL: what err_text() says */
};

struct engine {
	struct request_list waiting;
	struct request_list sent;
	struct request_list done; /* that nobody was told about */
	uint64_t retry_boot_ms;	/* no attempt to connect before; 0: now */
	uint64_t pause_ms;	/* between attempts */
	int conn_error;		/* an ERROR that answers no request */
	char said[MSG_MESSAGE_MAX + 1]; /* with it */
};

void engine_init(struct engine *e);

/* The handle goes: its requests are done, with ERR_CLOSED, and on their own. */
void engine_done(struct qapi_agent *a);

/* A request for call, from now on; nothing is sent yet. */
void engine_add(struct qapi_agent *a, struct qapi_agent_request *req,
    struct call *call);

/*
 * Forget the request, wherever it is, and free what engine.c put into it.  If
 * it was the last under way, the connection is closed: so the agent learns.
 */
void engine_drop(struct qapi_agent_request *req);

/*
 * Do all that can be done.  ready: as of conn_step().  block_boot_ms: to
 * connect may block until then; 0: it may not.
 */
void engine_step(struct qapi_agent *a, short ready, uint64_t block_boot_ms);

/* When engine_step() has something to do without anything to read or write. */
uint64_t engine_wake_boot_ms(const struct qapi_agent *a);

/* The connection goes, say for another socket: those under way begin anew. */
void engine_disconnect(struct qapi_agent *a);

/* Requests that are not done. */
size_t engine_pending(const struct qapi_agent *a);

#endif /* CLIENT_ENGINE_H */
