/*
 * The handle behind the public functions: which socket, connecting, and one
 * blocking call from its request to its last answer.
 */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <stdint.h>

#include "call.h"
#include "conn.h"
#include "msg.h"

#define HANDLE_PATH_LEN 256	/* longer than any socket path may be */
#define HANDLE_MESSAGE_LEN 2048
/* What the agent gets on top of the caller's timeout to say why it failed. */
#define HANDLE_GRACE_MS 250

struct qapi_agent {
	struct conn conn;
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
 * Ask and wait.  Returns 0 when the call is complete (each of its items may
 * have failed), or the error of the whole, with a->message saying more.
 */
int handle_call(struct qapi_agent *a, struct call *call);

/* Set the message and return error. */
int handle_fail(struct qapi_agent *a, int error, const char *message);

#endif /* CLIENT_HANDLE_H */
