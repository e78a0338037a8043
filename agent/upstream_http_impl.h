/*
 * What upstream_http.c and upstream_http_relay.c share: the first makes
 * transfers and says what became of them, the second knows how requests are
 * handed on for others.  For nobody else.
 */
#ifndef AGENT_UPSTREAM_HTTP_IMPL_H
#define AGENT_UPSTREAM_HTTP_IMPL_H

#include <sys/queue.h>

#include <curl/curl.h>

#include "msg.h"
#include "upstream_http.h"

#define UPSTREAM_HOST_MAX 128

struct curl_loop;

struct upstream_http {
	struct upstream up;
	struct event_base *base;
	struct upstream_http *retired;	/* former settings with calls under
					 * way, see upstream_http_configure() */
	struct curl_loop *loop;
	struct secmem key;
	struct upstream_http_config cfg; /* texts are ours */
	char host[UPSTREAM_HOST_MAX];	/* "name:port", for messages */
	bool to_scrub;		/* something secret was handled */
	TAILQ_HEAD(, upstream_call) calls;
};

struct upstream_call {
	TAILQ_ENTRY(upstream_call) next;
	struct upstream_http *http;
	upstream_cb *cb;
	void *arg;
	struct upstream_request req;
	char id[MSG_ID_MAX + 1]; /* what req.id points at */
	CURL *easy;
	CURLcode setup;		/* the first failure to set an option */
	struct headers *headers;
	struct secbuf body;
	size_t skipped;		/* of a refusal's body, not kept */
	size_t head_len;	/* of all heads and trailers so far */
	struct secmem copy;	/* of a small body */
	size_t sent;		/* of a larger one, on this connection */
	uint64_t connect_ms;	/* bounds of this one */
	uint64_t total_ms;
	int body_error;		/* why the body was not taken: ERR_* */
	bool head_done;		/* curl does not mind one that is cut */
	bool head_odd;		/* it has no end, or leaves HTTP */
	bool begun;		/* a relay's: from here on it may arrive */
};

/* Set an option unless one failed before. */
#define UPSTREAM_SET(c, option, value)					\
	do {								\
		if ((c)->setup == CURLE_OK)				\
			(c)->setup = curl_easy_setopt((c)->easy,	\
			    option, value);				\
	} while (0)

/* Of the final answer; NULL if it is not there, or there twice. */
const char *upstream_http_header(const struct upstream_call *c,
    const char *name);

/* --- upstream_http_relay.c --- */

/* Can it be sent?  Returns 0 or ERR_BAD_REQUEST. */
int upstream_relay_check(const struct upstream_relay *relay);

/* The url to ask; size has room for url and target.  0 or ERR_INTERNAL. */
int upstream_relay_url(const struct upstream_call *c, char *ret, size_t size);

/* Method, body, and what keeps curl from sending it twice.  0 or ERR_NOMEM. */
int upstream_relay_set(struct upstream_call *c);

/* Hand a whole answer on; moves the body.  ERR_NOMEM goes into a. */
void upstream_relay_reply(struct upstream_call *c, struct upstream_answer *a);

#endif /* AGENT_UPSTREAM_HTTP_IMPL_H */
