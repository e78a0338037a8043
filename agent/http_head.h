/*
 * The head of an HTTP/1.x request, read in the one way in which it can be
 * read: whatever two programs could understand differently is refused.
 *
 * RFC 9112 without its leniency: lines end with CR LF and nothing else does,
 * no folded lines, no blank before a colon, one length at most and in one way,
 * only `chunked`, only targets that begin with "/".
 *
 * Pure: no I/O, no state, no allocation.
 */
#ifndef AGENT_HTTP_HEAD_H
#define AGENT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define HTTP_HEAD_MAX (16u * 1024)	/* bytes; longer is 431 */
#define HTTP_TARGET_MAX 4096		/* bytes; longer is 414 */
#define HTTP_FIELDS_MAX 100		/* more are 431 */
/* A length with more digits than this is as good as infinite. */
#define HTTP_LENGTH_DIGITS 15

struct http_head {
	size_t total;		/* bytes of it, with the empty line */
	const char *method;	/* static; NULL: one that is not known */
	struct view target;
	unsigned int minor;	/* HTTP/1.minor: 0 or 1 */
	bool keep_alive;	/* the peer wants to send more */
	bool has_length;
	bool chunked;		/* never with has_length */
	uint64_t length;	/* UINT64_MAX: more than anybody can mean */
	bool continues;		/* Expect: 100-continue */
	bool expects_other;	/* or something that is not known */
	bool from_browser;	/* it says which page it is for */
	bool allow_csprng;	/* X-Allow-Csprng: true */
	struct view host;	/* valid, may be empty */
	struct view api_key;	/* X-Api-Key; empty: none */
	struct view bearer;	/* of Authorization: Bearer; empty: none */
	struct view content_type;
	struct view accept;
	/* Cache-Control and Prefer: wait=; UINT64_MAX: not given */
	uint64_t max_age_ms;
	uint64_t max_stale_ms;
	uint64_t wait_ms;
	bool fresh;		/* no-cache */
	bool only_if_cached;
	/* with ERR_BAD_REQUEST: */
	int status;		/* 400, 414, 431 or 505 */
	const char *why;	/* static, a sentence without its dot, and
				 * without what JSON would escape */
};

/*
 * Parse p[0..len).  Views point into p.
 * Returns 0; ERR_AGAIN if what there is can be the beginning of one;
 * ERR_BAD_REQUEST with status and why.
 */
int http_head_parse(const uint8_t *p, size_t len, struct http_head *ret);

/*
 * Does Host name this machine's loopback: localhost, 127.0.0.1, [::1] or own
 * (the address that is listened on, as in a URL), with that port or none?
 */
bool http_head_host_is(struct view host, const char *own, unsigned int port);

/* Is it a body that has to be read first? */
static inline bool
http_head_has_body(const struct http_head *h)
{
	return h->chunked || h->length > 0;
}

#endif /* AGENT_HTTP_HEAD_H */
