#include "config.h"

#include "upstream_status.h"

#include <stdio.h>

#include "err.h"
#include "upstream_json.h"

/* text and the status in brackets. */
static void
say(struct upstream_answer *a, int error, const char *text)
{
	a->error = error;
	(void)snprintf(a->message, sizeof(a->message), "%s (HTTP %d)", text,
	    a->status);
}

/* One secret or key, so that a refusal may be about it. */
static bool
is_read(const struct upstream_request *req)
{
	return req->op == UPSTREAM_READ_SECRET || req->op == UPSTREAM_READ_KEY;
}

static void
no_scope(struct upstream_answer *a, const char *scope)
{
	char text[UPSTREAM_SCOPE_MAX + 64];

	(void)snprintf(text, sizeof(text), "the agent's API key lacks %s%s",
	    scope[0] == '\0' ? "a scope" : "the scope ", scope);
	say(a, ERR_INSUFFICIENT_SCOPE, text);
}

static void
read_403(const struct upstream_request *req, struct view body,
    struct upstream_answer *a)
{
	char scope[UPSTREAM_SCOPE_MAX + 1];
	enum upstream_reason reason = upstream_json_reason(body, scope);

	a->forbidden = is_read(req);
	if (reason == UPSTREAM_REASON_SCOPE)
		no_scope(a, scope);
	else if (reason == UPSTREAM_REASON_KEY_REVOKED)
		say(a, ERR_DENIED, "the key is revoked");
	else if (reason == UPSTREAM_REASON_KEY_VERSION)
		say(a, ERR_DENIED, "this version of the key is below the "
		    "lowest that may be used");
	else
		say(a, ERR_DENIED, "the service does not allow it");
}

static void
read_409(const struct upstream_request *req, struct upstream_answer *a)
{
	if (!is_read(req)) {
		say(a, ERR_UPSTREAM_ERROR, "unexpected answer");
		return;
	}
	a->forbidden = true;
	say(a, ERR_DENIED, req->op == UPSTREAM_READ_KEY ?
	    "the key is not active or has no public half" :
	    "the secret is in a state in which it cannot be read");
}

static void
read_429(struct view body, struct upstream_answer *a)
{
	char scope[UPSTREAM_SCOPE_MAX + 1];

	if (upstream_json_reason(body, scope) == UPSTREAM_REASON_QUOTA)
		say(a, ERR_UPSTREAM_UNAVAILABLE,
		    "the quota at the service is used up");
	else
		say(a, ERR_UPSTREAM_UNAVAILABLE,
		    "the rate limit of the service is reached");
}

static void
read_404(const struct upstream_request *req, struct upstream_answer *a)
{
	if (!is_read(req)) {
		say(a, ERR_UPSTREAM_ERROR, "the service has no such path; "
		    "check the upstream url");
		return;
	}
	a->gone = true;
	if (req->op == UPSTREAM_READ_KEY)
		say(a, ERR_NOT_FOUND, "the service has no such key");
	else if (req->version != 0)
		say(a, ERR_NOT_FOUND,
		    "the service has no such secret or version of it");
	else
		say(a, ERR_NOT_FOUND, "the service has no such secret");
}

static void
read_other(struct upstream_answer *a)
{
	/* 408: it took too long to read our request. */
	if (a->status >= 500 || a->status == 408) {
		a->retryable = true;
		say(a, ERR_UPSTREAM_UNAVAILABLE, "the service failed");
	} else if (a->status >= 300 && a->status < 400) {
		say(a, ERR_UPSTREAM_ERROR, "a redirect, which is not followed; "
		    "check the upstream url");
	} else {
		say(a, ERR_UPSTREAM_ERROR, "unexpected answer");
	}
}

/*
 * A request that was handed on: what it was about is the caller's business.
 * Only what concerns the agent's key or the service is told apart.
 */
static void
read_relayed(const struct upstream_relay *relay, struct view body,
    struct upstream_answer *a)
{
	char scope[UPSTREAM_SCOPE_MAX + 1];
	int status = a->status;

	if (status >= 200 && status < 300)
		return;
	if (status < 200 || status > 599) {
		/* 101 would tell the caller that HTTP ends here */
		say(a, ERR_UPSTREAM_ERROR, "no status that ends an answer");
		a->status = 0;
		return;
	}
	if (status == 401 && !relay->without_key)
		say(a, ERR_UNAUTHORIZED,
		    "the service refuses the agent's API key");
	else if (status == 403 && !relay->without_key &&
	    upstream_json_reason(body, scope) == UPSTREAM_REASON_SCOPE)
		no_scope(a, scope);
	else if (status == 404 || status == 410)
		say(a, ERR_NOT_FOUND, "the service has no such thing");
	else if (status == 429)
		read_429(body, a);
	else if (status >= 400 && status < 500 && status != 408)
		say(a, ERR_DENIED, "the service refuses it");
	else
		read_other(a);
}

static uint64_t
capped_ms(int64_t seconds)
{
	if (seconds <= 0)
		return 0;
	if (seconds > UPSTREAM_RETRY_AFTER_MAX_S)
		seconds = UPSTREAM_RETRY_AFTER_MAX_S;
	return (uint64_t)seconds * 1000;
}

void
upstream_status_read(const struct upstream_request *req, int status,
    int64_t retry_after_s, struct view body, struct upstream_answer *answer)
{
	answer->status = status;
	if (status == 429 || status >= 500)
		answer->retry_after_ms = capped_ms(retry_after_s);
	if (req->op == UPSTREAM_RELAY)
		read_relayed(req->relay, body, answer);
	else if (status >= 200 && status < 300)
		upstream_json_read(req, body, answer);
	else if (status == 401)
		say(answer, ERR_UNAUTHORIZED,
		    "the service refuses the agent's API key");
	else if (status == 403)
		read_403(req, body, answer);
	else if (status == 404 || status == 410)
		read_404(req, answer);
	else if (status == 409)
		read_409(req, answer);
	else if (status == 429)
		read_429(body, answer);
	else
		read_other(answer);
}
