/*
 * The service's answer to qapi_agent_call(), kept for the caller.  The public
 * accessors are in reply.c too.
 */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include <stdint.h>

#include "msg_call.h"
#include "qapi-agent.h"

struct qapi_agent_reply {
	unsigned int status;
	enum qapi_agent_freshness freshness;
	uint64_t age_ms;
	uint64_t retry_after_ms;
	char *store;		/* owned; what the following point into */
	size_t store_len;
	const char *content_type; /* NULL: none */
	const char *body;
	size_t body_len;
};

/* Everything is copied.  Returns 0 or ERR_NOMEM. */
int reply_new(const struct msg_called *m, struct qapi_agent_reply **ret);

#endif /* CLIENT_REPLY_H */
