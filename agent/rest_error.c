#include "config.h"

#include "rest_impl.h"

#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "drill.h"
#include "err.h"
#include "metrics.h"
#include "request.h"
#include "rest_json.h"
#include "settings.h"
#include "text.h"

#define RETRY_SOON_MS 1000
#define RECORD_MAX 1200		/* bytes of what is recorded */

/*
 * As the service would say it, and for what only an agent can have, codes that
 * are none of the service's: what is wrong with the agent's own key must not
 * look as if it were the caller's.
 */
static const struct {
	int error;
	int status;
	const char *code;
} errors[] = {
	{ ERR_BAD_REQUEST, 400, "invalid_request" },
	{ ERR_NOT_FOUND, 404, "not_found" },
	{ ERR_AMBIGUOUS, 409, "ambiguous" },
	{ ERR_DENIED, 403, "forbidden" },
	{ ERR_EXPIRED, 410, "expired" },
	{ ERR_UNAUTHORIZED, 502, "agent_unauthorized" },
	{ ERR_INSUFFICIENT_SCOPE, 502, "agent_insufficient_scope" },
	{ ERR_RATE_LIMITED, 429, "rate_limit_exceeded" },
	{ ERR_UPSTREAM_UNAVAILABLE, 503, "unavailable" },
	{ ERR_UPSTREAM_ERROR, 502, "bad_gateway" },
	{ ERR_TOO_LARGE, 502, "too_large" },
	{ ERR_BUSY, 503, "unavailable" },
	{ ERR_TIMEOUT, 504, "gateway_timeout" },
	{ ERR_UNSUPPORTED, 501, "unsupported" },
	{ ERR_NOMEM, 503, "unavailable" },
	{ ERR_INTERNAL, 500, "internal_error" },	/* last: any other */
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

/* --- bodies --- */

struct error_body {
	const char *code;
	const char *message;
	const char *field;	/* NULL: none */
	const char *problem;
};

static struct view
text_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static void
put_error(struct rest_json *j, const void *ctx)
{
	const struct error_body *e = ctx;

	rest_json_text(j, "{\"error\":");
	rest_json_string(j, text_view(e->code));
	rest_json_text(j, ",\"message\":");
	rest_json_string(j, text_view(e->message));
	if (e->field != NULL) {
		rest_json_text(j, ",\"details\":{\"fields\":{");
		rest_json_string(j, text_view(e->field));
		rest_json_text(j, ":");
		rest_json_string(j, text_view(e->problem));
		rest_json_text(j, "}}");
	}
	rest_json_text(j, "}");
}

static void
set_type(struct rest_answer *answer)
{
	(void)snprintf(answer->content_type, sizeof(answer->content_type),
	    "application/json");
}

int
rest_json_answer(struct rest_answer *answer,
    void (*fn)(struct rest_json *j, const void *ctx), const void *ctx)
{
	answer->body = rest_json_make(fn, ctx);
	if (answer->body == NULL)
		return rest_fail(answer, ERR_NOMEM, NULL);
	answer->status = 200;
	set_type(answer);
	return REST_DONE;
}

int
rest_whole(struct rest_answer *answer, struct object *body)
{
	answer->body = body;
	answer->status = 200;
	set_type(answer);
	return REST_DONE;
}

/* The sentence in answer->message is set. */
static int
fail_with(struct rest_answer *answer, int error, const char *field,
    const char *problem)
{
	struct error_body e = { .message = answer->message, .field = field,
	    .problem = problem };
	size_t i;

	for (i = 0; i < ERRORS - 1 && errors[i].error != error; i++)
		;
	answer->error = error;
	answer->status = errors[i].status;
	answer->cache = REST_CACHE_NONE;
	e.code = errors[i].code;
	if (error == ERR_BUSY || error == ERR_NOMEM ||
	    error == ERR_RATE_LIMITED)
		answer->retry_after_ms = RETRY_SOON_MS;
	/* without memory for a body there is none */
	answer->body = rest_json_make(put_error, &e);
	if (answer->body != NULL)
		set_type(answer);
	return REST_DONE;
}

int
rest_fail(struct rest_answer *answer, int error, const char *message)
{
	(void)snprintf(answer->message, sizeof(answer->message), "%s%s",
	    message != NULL && message[0] != '\0' ? message : err_text(error),
	    error == ERR_UNAUTHORIZED || error == ERR_INSUFFICIENT_SCOPE
	    ? "; this is about the API key of qapi-agent, not of its caller: "
	    "ask its operator" : "");
	return fail_with(answer, error, NULL, NULL);
}

int
rest_bad_field(struct rest_answer *answer, const char *field,
    const char *problem)
{
	(void)snprintf(answer->message, sizeof(answer->message), "%s: %s.",
	    field, problem);
	return fail_with(answer, ERR_BAD_REQUEST, field, problem);
}

/* --- the record --- */

/* In the order of enum policy_op's bits. */
static const char *
operation(enum policy_op op)
{
	size_t i;

	for (i = 0; policy_operations[i] != NULL; i++) {
		if (op == 1U << i)
			return policy_operations[i];
	}
	return "call";
}

/* How a read would be referred to, so that all records of it look alike. */
static int
put_reference(const struct rest *r, char *ret, size_t size)
{
	struct view name = r->m.params[0];
	bool key = r->m.endpoint->way == ENDPOINT_CACHED_KEY;

	return snprintf(ret, size, "qapi://%s/%.*s%s", key ? "keys" : "secrets",
	    (int)name.len, (const char *)name.p, key ? "/public" : "");
}

/* Method and path; of a path that holds a token, its pattern. */
static int
put_call(const struct rest *r, char *ret, size_t size)
{
	const struct endpoint *e = r->m.endpoint;

	if (e != NULL && strstr(e->pattern, "{token}") != NULL)
		return snprintf(ret, size, "%s %s", r->rq.method, e->pattern);
	if (r->m.path.len == 0) /* not taken apart yet */
		return snprintf(ret, size, "%s", r->rq.method);
	return snprintf(ret, size, "%s %.*s", r->rq.method,
	    (int)r->m.path.len, (const char *)r->m.path.p);
}

static bool
is_read(const struct rest *r)
{
	return r->m.endpoint != NULL &&
	    (r->m.endpoint->way == ENDPOINT_CACHED_SECRET ||
	    r->m.endpoint->way == ENDPOINT_CACHED_KEY);
}

static struct view
put_record(const struct rest *r, char *buf, size_t size)
{
	int n = is_read(r) ? put_reference(r, buf, size)
	    : put_call(r, buf, size);

	if (n < 0)
		n = 0;
	return (struct view){ (const uint8_t *)buf,
	    (size_t)n < size ? (size_t)n : size - 1 };
}

static bool
rest_is_drill(const struct rest *r)
{
	return r->s->env->drill != NULL && drill_runs(r->s->env->drill);
}

void
rest_record(struct rest *r, enum policy_op op, int error, const char *rule)
{
	struct session_env *env = r->s->env;
	char buf[RECORD_MAX];
	struct view what;

	if (audit_is_off(env->audit))
		return;
	what = put_record(r, buf, sizeof(buf));
	if (error != ERR_DENIED && request_is_told(r->s, what))
		return;
	audit_record(env->audit, r->s->peer, operation(op), what, error, rule);
}

void
rest_record_read(struct rest *r, enum policy_op op, const struct object *o,
    enum msg_freshness freshness)
{
	struct session_env *env = r->s->env;
	char buf[RECORD_MAX];
	struct view what;

	if (audit_is_off(env->audit) && !rest_is_drill(r))
		return;
	what = put_record(r, buf, sizeof(buf));
	drill_record(env->drill, what, freshness, 0);
	if (!request_is_told(r->s, what))
		audit_record(env->audit, r->s->peer, operation(op), what, 0,
		    rest_rule(r, op, o));
}

/* --- denials, and what may be told of reads --- */

int
rest_deny(struct rest *r, enum policy_op op, struct rest_answer *answer)
{
	const struct policy *pol = r->s->env->settings->policy;
	struct rest_right right;
	const char *title;
	char shown[200];

	r->s->env->metrics->denied++;
	rest_record(r, op, ERR_DENIED, NULL);
	rest_right(r, op, &right);
	title = policy_closest(pol, r->s->peer,
	    op == POLICY_CALL ? 0 : (unsigned int)op, &right.call);
	if (title == NULL)
		(void)snprintf(answer->message, sizeof(answer->message),
		    "no rule of the agent's configuration is about this "
		    "caller; ask its operator");
	else
		(void)snprintf(answer->message, sizeof(answer->message),
		    "the rule \"%s\" of the agent's configuration does not "
		    "allow this; ask its operator", text_printable(title,
		    strlen(title), shown, sizeof(shown)));
	return fail_with(answer, ERR_DENIED, NULL, NULL);
}

static uint64_t
seconds_up(uint64_t ms)
{
	return ms > UINT64_MAX - 999 ? ms : (ms + 999) / 1000 * 1000;
}

/* How long the service wants to be left alone, in whole seconds. */
static uint64_t
held_ms(const struct rest *r)
{
	struct jobs_stats stats;
	struct now now;

	clock_read(&now);
	fetch_get_stats(r->s->env->fetch, &stats);
	return stats.held_until_boot_ms > now.boot_ms
	    ? seconds_up(stats.held_until_boot_ms - now.boot_ms) : 0;
}

int
rest_fail_read(struct rest *r, const struct ref *ref,
    const struct fetch_result *result, struct rest_answer *answer)
{
	int error = result->error;
	char buf[RECORD_MAX];

	if (!rest_may_tell(r, POLICY_READ, ref))
		return rest_deny(r, POLICY_READ, answer);
	if (error == ERR_EXPIRED)
		r->s->env->metrics->expired++;
	if (error == ERR_DENIED)
		r->s->env->metrics->denied++;
	rest_record(r, POLICY_READ, error, NULL);
	if (rest_is_drill(r))
		drill_record(r->s->env->drill, put_record(r, buf, sizeof(buf)),
		    MSG_FRESHNESS_NONE, error);
	/* HTTP's word for what only-if-cached could not have */
	if (error == ERR_UPSTREAM_UNAVAILABLE && r->rq.only_if_cached)
		error = ERR_TIMEOUT;
	(void)rest_fail(answer, error, result->message);
	if (error == ERR_UPSTREAM_UNAVAILABLE)
		answer->retry_after_ms = held_ms(r);
	return REST_DONE;
}

void
rest_cached(const struct rest *r, enum msg_freshness freshness,
    uint64_t age_ms, struct rest_answer *answer)
{
	struct metrics *m = r->s->env->metrics;

	answer->age_ms = age_ms;
	if (freshness == MSG_STALE)
		m->stale_served++;
	if (freshness == MSG_EXPIRED)
		m->expired_served++;
	answer->cache = freshness != MSG_FRESH || r->away ? REST_CACHE_STALE
	    : r->waited ? REST_CACHE_MISS : REST_CACHE_HIT;
}
