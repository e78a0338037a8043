/*
 * HTTP as a kind of connection: requests off the bytes, one after the other,
 * each through the gates to rest_start(), and its answer.
 *
 * A request whose end is in doubt ends its connection: nothing that follows it
 * is read.  While one is being answered the next is not looked at, so answers
 * come in the order of their requests.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_HTTP_TALK_H
#define AGENT_HTTP_TALK_H

#include <stdbool.h>

#include "conn.h"
#include "http_answer.h"
#include "secmem.h"

/* What the connections of one socket share; the argument of the door. */
struct http_env {
	struct http_date date;
	bool with_token;	/* on loopback: token, Host */
	struct secmem token;	/* empty: none fits */
	unsigned int port;
	char host[64];		/* that is listened on, as in a URL */
};

/* Half a request: as of a frame.  A body goes on as long as this arrives. */
#define HTTP_PROGRESS_BYTES (64u * 1024)
#define HTTP_QUIET_MS 120000
#define HTTP_STRANGER_MS 10000 /* where a token is asked for: without one */
#define HTTP_STALL_MS 60000

extern const struct conn_kind http_talk;

#endif /* AGENT_HTTP_TALK_H */
