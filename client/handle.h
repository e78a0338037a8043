/*
 * The handle behind the public functions: which socket, connecting, and one
 * blocking call from its request to its last answer.
 */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <stdint.h>

#include "call.h"
#include "conn.h"
#include "engine.h"
#include "msg.h"

#define HANDLE_PATH_LEN 256	/* longer than any socket path may be */
#define HANDLE_MESSAGE_LEN 2048
#define HANDLE_GRACE_MS ENGINE_GRACE_MS

struct qapi_agent {
	struct conn conn;
	struct engine engine;
	int epoll;		/* what an event loop watches; -1: nobody asked */
	uint32_t polled;	/* for what conn.fd is in it; 0: it is not */
	char *socket;		/* owned; NULL: look in the usual places */
	char *program;		/* owned; NULL: only the library's name */
	uint64_t timeout_ms;	/* 0: for ever */
	uint64_t last_id;	/* of a request */
	unsigned int protocol;	/* of the agent; 0: not known */
	char build[MSG_BUILD_MAX + 1];
	char used[HANDLE_PATH_LEN]; /* the socket tried last; "": none yet */
	char message[HANDLE_MESSAGE_LEN];
};

/* Set a->used to the first socket that would be tried. */
void handle_first_path(struct qapi_agent *a);

/*
 * Ask and wait (engine.c).  Returns 0 when the call is complete (each of its items may
 * have failed), or the error of the whole, with a->message saying more.
 */
int handle_call(struct qapi_agent *a, struct call *call);

/*
 * Connect to the first place that answers, and queue HELLO.  Blocks until
 * deadline_boot_ms at most; 0: not at all, and then ERR_AGAIN says to try
 * later.  Returns 0, ERR_UNREACHABLE with a->message set, or another ERR_*.
 */
int handle_connect(struct qapi_agent *a, uint64_t deadline_boot_ms);

/* Close the connection.  Keeps errno. */
void handle_close(struct qapi_agent *a);

/*
 * The one descriptor for an event loop, whatever the connection is; made when
 * it is asked for first.  -1: none can be made, see errno.
 */
int handle_fd(struct qapi_agent *a);

/* Have that descriptor tell when the connection is worth a step. */
void handle_poll(struct qapi_agent *a);

/* Do nothing until then, for a minute at most. */
void handle_sleep(uint64_t until_boot_ms);

/*
 * Takes a frame.  Returns ERR_AGAIN to be given the next, anything else to
 * stop.  The frame dies on return.
 */
typedef int handle_feed(void *arg, const struct frame *frame);

/* Everything that has arrived; ERR_AGAIN if more is wanted.  HELLO is taken here. */
int handle_feed_all(struct qapi_agent *a, handle_feed *feed, void *arg);

/*
 * Give what has arrived to feed, and wait for more, until it stops: then what
 * it returned, else ERR_TIMEOUT, ERR_CLOSED, or another ERR_* after which the
 * connection cannot go on.  HELLO is taken here.
 */
int handle_pump(struct qapi_agent *a, uint64_t deadline_boot_ms,
    handle_feed *feed, void *arg);

/*
 * Set the message for what went wrong between the agent and us.  said: what
 * the agent said about it, or "".  timeout_ms: that of what went wrong.
 */
void handle_explain(struct qapi_agent *a, int error, const char *said,
    uint64_t timeout_ms);

/*
 * A handle for the same agent with a connection of its own, not yet made.
 * NULL: no memory.
 */
struct qapi_agent *handle_clone(const struct qapi_agent *a);

/* Set the message and return error. */
int handle_fail(struct qapi_agent *a, int error, const char *message);

#endif /* CLIENT_HANDLE_H */
