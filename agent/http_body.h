/*
 * The body of an HTTP request as it arrives: of a length, or in chunks.
 *
 * As strict as http_head.h: a chunk's size is one to eight hexadecimal digits
 * and CR LF; no extensions, no trailers.
 */
#ifndef AGENT_HTTP_BODY_H
#define AGENT_HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "secmem.h"

struct http_head;

enum http_body_state {
	HTTP_BODY_DONE,
	HTTP_BODY_LENGTH,	/* left bytes, and it is done */
	HTTP_BODY_SIZE,		/* digits of a chunk's size */
	HTTP_BODY_SIZE_LF,
	HTTP_BODY_CHUNK,	/* left bytes of it */
	HTTP_BODY_CHUNK_CR,
	HTTP_BODY_CHUNK_LF,
	HTTP_BODY_LAST_CR,
	HTTP_BODY_LAST_LF,
};

struct http_body {
	enum http_body_state state;
	unsigned int digits;	/* of the chunk's size so far */
	uint64_t left;
};

void http_body_init(struct http_body *b, const struct http_head *head);

/*
 * Use what of p[0..len) belongs to the body; its bytes are appended to to,
 * whose maximum is the longest body there may be.
 * Returns 0 when it is complete; ERR_AGAIN; ERR_BAD_REQUEST with why;
 * ERR_TOO_LARGE, as soon as a chunk says so; ERR_NOMEM.
 */
int http_body_take(struct http_body *b, const uint8_t *p, size_t len,
    struct secbuf *to, size_t *ret_used, const char **ret_why);

#endif /* AGENT_HTTP_BODY_H */
