/*
 * The part of upstream_http that hands requests on as they are.
 *
 * What must not arrive twice: curl sends a request again by itself when a
 * kept connection ends before the first byte of an answer, for POST too.  So
 * such a request gets a connection of its own; and whatever else curl may have
 * in mind (an authentication, an expectation that failed), it is stopped
 * before the second time.
 */
#include "config.h"

#include "upstream_http_impl.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "object.h"

#define RELAY_METHOD_MAX 16
#define RELAY_TARGET_MAX 4096
#define RELAY_HEADER_MAX 255
/*
 * A body up to that size goes out in one piece with the head, from a copy;
 * curl would copy twice as much there.
 */
#define RELAY_COPY_MAX (16u << 10)

/* --- what can be sent --- */

static bool
relay_method_fits(const char *method)
{
	size_t len = strlen(method);

	return len > 0 && len <= RELAY_METHOD_MAX &&
	    strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len &&
	    strcmp(method, "CONNECT") != 0 && strcmp(method, "TRACE") != 0;
}

/* Nothing that could end a line, or be taken for the end of the target. */
static bool
relay_text_fits(struct view text, size_t max, uint8_t first)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (text.p[i] < first || text.p[i] >= 0x7f)
			return false;
	}
	return text.len <= max;
}

int
upstream_relay_check(const struct upstream_relay *relay)
{
	if (!relay_method_fits(relay->method) || relay->target.len == 0 ||
	    relay->target.p[0] != '/' ||
	    !relay_text_fits(relay->target, RELAY_TARGET_MAX, 0x21) ||
	    memchr(relay->target.p, '#', relay->target.len) != NULL ||
	    !relay_text_fits(relay->accept, RELAY_HEADER_MAX, 0x20) ||
	    !relay_text_fits(relay->content_type, RELAY_HEADER_MAX, 0x20))
		return ERR_BAD_REQUEST;
	return 0;
}

/* How much of the base url is scheme, host and port. */
static size_t
relay_root_len(const char *url)
{
	const char *host = strstr(url, "://");

	host = host == NULL ? url : host + 3;
	return (size_t)(host - url) + strcspn(host, "/?#");
}

int
upstream_relay_url(const struct upstream_call *c, char *ret, size_t size)
{
	const struct upstream_relay *relay = c->req.relay;
	const char *url = c->http->cfg.url;
	size_t len = relay->from_root ? relay_root_len(url) : strlen(url);

	if (len >= size || relay->target.len >= size - len)
		return ERR_INTERNAL;
	memcpy(ret, url, len);
	memcpy(ret + len, relay->target.p, relay->target.len);
	ret[len + relay->target.len] = '\0';
	return 0;
}

/* --- sending --- */

/*
 * The connection is there, and the request goes out next.  A second time is
 * for what may be sent again only.
 */
static int
relay_begin_cb(void *arg, char *ip, char *own_ip, int port, int own_port)
{
	struct upstream_call *c = arg;

	(void)ip;
	(void)own_ip;
	(void)port;
	(void)own_port;
	if (c->begun && c->req.relay->once)
		return CURL_PREREQFUNC_ABORT;
	c->begun = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * Its owner's memory is looked at each time: it may have been put elsewhere
 * meanwhile (relay_cancel).
 */
static size_t
relay_read_cb(char *buf, size_t one, size_t size, void *arg)
{
	struct upstream_call *c = arg;
	struct view body = c->req.relay->body;
	size_t n = one * size;

	c->http->to_scrub = true;
	if (n > body.len - c->sent)
		n = body.len - c->sent;
	if (n > 0)
		memcpy(buf, body.p + c->sent, n);
	c->sent += n;
	return n;
}

/* For what may be sent again: on another connection, from the beginning. */
static int
relay_seek_cb(void *arg, curl_off_t offset, int origin)
{
	struct upstream_call *c = arg;

	if (origin != SEEK_SET || offset < 0 ||
	    (uint64_t)offset > c->req.relay->body.len)
		return CURL_SEEKFUNC_FAIL;
	c->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static bool
relay_has_content(const struct upstream_relay *relay)
{
	return relay->has_body || strcmp(relay->method, "POST") == 0 ||
	    strcmp(relay->method, "PUT") == 0 ||
	    strcmp(relay->method, "PATCH") == 0;
}

/* With a length, 0 too, and without a copy outside of secret memory. */
static int
relay_set_body(struct upstream_call *c)
{
	struct view body = c->req.relay->body;

	UPSTREAM_SET(c, CURLOPT_POST, 1L);
	UPSTREAM_SET(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	if (body.len <= RELAY_COPY_MAX) {
		if (secmem_copy(&c->copy, body.p, body.len,
		    SECMEM_LIBRARY) != 0)
			return ERR_NOMEM;
		UPSTREAM_SET(c, CURLOPT_POSTFIELDS, secmem_bytes(&c->copy));
		return 0;
	}
	UPSTREAM_SET(c, CURLOPT_READFUNCTION, relay_read_cb);
	UPSTREAM_SET(c, CURLOPT_READDATA, c);
	UPSTREAM_SET(c, CURLOPT_SEEKFUNCTION, relay_seek_cb);
	UPSTREAM_SET(c, CURLOPT_SEEKDATA, c);
	return 0;
}

int
upstream_relay_set(struct upstream_call *c)
{
	const struct upstream_relay *relay = c->req.relay;
	int r = 0;

	UPSTREAM_SET(c, CURLOPT_PATH_AS_IS, 1L);
	UPSTREAM_SET(c, CURLOPT_PREREQFUNCTION, relay_begin_cb);
	UPSTREAM_SET(c, CURLOPT_PREREQDATA, c);
	if (relay->once) {
		UPSTREAM_SET(c, CURLOPT_FRESH_CONNECT, 1L);
		/* nor kept: writes alone would fill the pool with them */
		UPSTREAM_SET(c, CURLOPT_FORBID_REUSE, 1L);
	}
	if (strcmp(relay->method, "HEAD") == 0) {
		UPSTREAM_SET(c, CURLOPT_NOBODY, 1L);
		return 0;
	}
	if (relay_has_content(relay))
		r = relay_set_body(c);
	UPSTREAM_SET(c, CURLOPT_CUSTOMREQUEST, relay->method);
	return r;
}

/* --- what comes back --- */

/* Left out where it could not be handed on as it is. */
static void
relay_copy_header(const struct upstream_call *c, const char *name, char *ret,
    size_t size)
{
	const char *text = upstream_http_header(c, name);
	struct view v;

	ret[0] = '\0';
	if (text == NULL)
		return;
	v = (struct view){(const uint8_t *)text, strlen(text)};
	if (relay_text_fits(v, size - 1, 0x20))
		memcpy(ret, text, v.len + 1);
}

void
upstream_relay_reply(struct upstream_call *c, struct upstream_answer *a)
{
	struct upstream_reply *reply = &a->reply;
	const struct view none = {NULL, 0};

	relay_copy_header(c, "Content-Type", reply->content_type,
	    sizeof(reply->content_type));
	relay_copy_header(c, "Content-Disposition", reply->content_disposition,
	    sizeof(reply->content_disposition));
	if (c->body.len == 0)
		return;
	reply->body = object_new(REF_SECRET, none, none);
	if (reply->body == NULL || object_take(reply->body, &c->body) != 0) {
		object_unref(reply->body);
		reply->body = NULL;
		a->status = 0;
		a->error = ERR_NOMEM;
		(void)snprintf(a->message, sizeof(a->message),
		    "no memory left for the answer");
	}
}
