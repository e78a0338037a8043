/*
 * Answers of the HTTP front: status line and fields, and a body that is sent
 * from where it lies.
 *
 * Knows no sockets.  Event-loop thread only.
 */
#ifndef AGENT_HTTP_ANSWER_H
#define AGENT_HTTP_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "out.h"
#include "rest.h"

/* The text of Date, made once a second.  {0} at first. */
struct http_date {
	int64_t second;		/* that text is about */
	char text[32];
};

/* "Sun, 06 Nov 1994 08:49:37 GMT"; valid until the next call. */
const char *http_date_text(struct http_date *d, int64_t wall_ms);

/* How the request was asked, as far as the answer depends on it. */
struct http_manner {
	bool head_only;		/* HEAD: a body is told of and not sent */
	bool keep_alive;	/* the connection stays */
	bool old;		/* HTTP/1.0: which has to be told so */
};

/* What out has to have room for in any case. */
#define HTTP_ANSWER_MAX 3072

/* An answer of the service or of the cache; answer stays the caller's. */
void http_answer_send(struct out *out, const struct http_manner *m,
    const char *date, const struct rest_answer *answer);

/*
 * The front's own refusal, in the service's shape: {"error": code, "message":
 * sentence}; neither holds what JSON would have to escape.
 */
void http_answer_refuse(struct out *out, const struct http_manner *m,
    const char *date, int status, const char *code, const char *sentence);

/* 100 Continue. */
void http_answer_continue(struct out *out);

#endif /* AGENT_HTTP_ANSWER_H */
