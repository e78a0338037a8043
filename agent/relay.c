#include "config.h"

#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fetch_impl.h"
#include "jobs.h"
#include "msg.h"
#include "timers.h"

/*
 * Of bodies whose callers are gone: they are in nobody's account any more, so
 * who sends much and leaves must not be able to pile them up.
 */
#define RELAY_LEFT_BYTES_MAX (4u << 20)

struct relay {
	LIST_ENTRY(relay) link;
	struct fetch *f;
	struct job *job;
	struct upstream_relay send;	/* points to text, but for body */
	const struct endpoint *endpoint;
	struct secmem text;	/* method, target, types: a target may be a
				 * share link */
	struct secmem body;	/* once the caller is gone: a copy */
	size_t id_len;
	char id[MSG_ID_MAX];
	struct timer *deadline;	/* NULL: none */
	relay_cb *cb;		/* NULL: the caller is gone */
	void *arg;
};

static void
relay_free(struct relay *r)
{
	LIST_REMOVE(r, link);
	timer_free(r->deadline);
	secmem_free_bytes(&r->text);
	r->f->relays_left_bytes -= secmem_len(&r->body);
	secmem_free_bytes(&r->body);
	free(r);
}

void
fetch_free_relays(struct fetch *f)
{
	struct relay *r;

	while ((r = LIST_FIRST(&f->relays)) != NULL) {
		job_cancel(r->job);
		relay_free(r);
	}
}

/* --- what it may have changed --- */

static bool
relay_is_read(const struct relay *r)
{
	return strcmp(r->send.method, "GET") == 0 ||
	    strcmp(r->send.method, "HEAD") == 0;
}

/* Does this begin a path, as a whole segment? */
static bool
relay_is_below(const struct relay *r, const char *segment)
{
	size_t len = strlen(segment);
	struct view t = r->send.target;

	return !r->send.from_root && t.len >= len &&
	    memcmp(t.p, segment, len) == 0 &&
	    (t.len == len || t.p[len] == '/' || t.p[len] == '?');
}

/* Of an endpoint that nobody here knows: what it is about, and the lists. */
static unsigned int
relay_drops(const struct relay *r)
{
	if (relay_is_read(r))
		return ENDPOINT_DROPS_NOTHING;
	if (r->endpoint != NULL)
		return r->endpoint->drops;
	if (relay_is_below(r, "/secrets"))
		return ENDPOINT_DROPS_SECRET | ENDPOINT_DROPS_VERSIONS |
		    ENDPOINT_DROPS_SECRET_LIST;
	if (relay_is_below(r, "/keys"))
		return ENDPOINT_DROPS_KEY | ENDPOINT_DROPS_KEY_LIST;
	return ENDPOINT_DROPS_NOTHING;
}

/* After it what it is about is gone, or counts as such (upstream-api, 8). */
static bool
relay_removes(const struct relay *r)
{
	static const char end[] = "/deactivate";
	const struct endpoint *e = r->endpoint;
	size_t len = e != NULL ? strlen(e->pattern) : 0;

	/* a key is only scheduled for deletion */
	return e != NULL && (e->drops & ENDPOINT_DROPS_SECRET) &&
	    (strcmp(e->method, "DELETE") == 0 || (len >= sizeof(end) &&
	    strcmp(e->pattern + len - (sizeof(end) - 1), end) == 0));
}

/* answer: of 2xx; NULL where it is not there, or says it is gone. */
static void
relay_written(struct relay *r, enum fetch_outcome outcome, bool is_gone,
    const struct object *answer)
{
	const struct fetch_write w = {
		.outcome = outcome,
		.drops = relay_drops(r),
		.removes = is_gone || relay_removes(r),
		.id = { (const uint8_t *)r->id, r->id_len },
		.request = r->send.body,
		.answer = answer != NULL ? object_value(answer)
		    : (struct view){ NULL, 0 },
	};

	if (w.drops != ENDPOINT_DROPS_NOTHING)
		fetch_written(r->f, &w);
}

/* What an answer, or that there is none, means for what is cached. */
static void
relay_settle(struct relay *r, const struct upstream_answer *answer)
{
	int status = answer->status;

	if (status == 0 ? !answer->unsent : status >= 500)
		relay_written(r, FETCH_PERHAPS, false, NULL);
	else if (status >= 200 && status < 300)
		relay_written(r, FETCH_DONE, false, answer->reply.body);
	else if ((status == 404 || status == 410) && r->id_len > 0)
		relay_written(r, FETCH_DONE, true, NULL);
}

/* --- the end --- */

static void
relay_fail(struct relay_result *result, int error, const char *what,
    const char *then)
{
	result->error = error;
	(void)snprintf(result->message, sizeof(result->message), "%s%s", what,
	    then);
}

/* A request that was sent and not answered: was it done? */
static const char *
relay_doubt(const struct relay *r)
{
	if (relay_is_read(r) || (r->endpoint != NULL &&
	    r->endpoint->repeatable && relay_drops(r) == 0))
		return "";
	return r->send.once ? "; it was sent once, and whether it was done is "
	    "not known: look before it is tried again"
	    : "; whether it was done is not known";
}

static void
relay_make_result(const struct relay *r, struct upstream_answer *answer,
    struct relay_result *result)
{
	int error = answer->error;

	*result = (struct relay_result){
		.status = answer->status,
		.retry_after_ms = answer->retry_after_ms,
	};
	if (error == ERR_UNAUTHORIZED || error == ERR_INSUFFICIENT_SCOPE) {
		/* the agent's own key is no affair of the caller's */
		relay_fail(result, error, answer->message, "");
	} else if (answer->status == 0) {
		relay_fail(result, error, answer->message,
		    answer->unsent ? "" : relay_doubt(r));
	} else {
		result->reply = answer->reply;
		answer->reply.body = NULL;
	}
}

static void
relay_answer_cb(void *arg, struct job *job, struct upstream_answer *answer)
{
	struct relay *r = arg;
	struct relay_result result;
	relay_cb *cb = r->cb;
	void *cb_arg = r->arg;

	(void)job;
	relay_settle(r, answer);
	relay_make_result(r, answer, &result);
	object_unref(answer->reply.body);
	answer->reply.body = NULL;
	relay_free(r);
	if (cb != NULL)
		cb(cb_arg, &result);
	else
		object_unref(result.reply.body);
}

/* --- the caller leaves --- */

/* Is it to go on, so that what is cached follows? */
static bool
relay_outlives(const struct relay *r)
{
	return job_may_arrive(r->job) && !relay_is_read(r) &&
	    (relay_drops(r) != 0 || r->endpoint == NULL ||
	    !r->endpoint->repeatable);
}

/* A copy of the body, as its owner is gone; false: there is no room. */
static bool
relay_take_body(struct relay *r)
{
	struct view *body = &r->send.body;

	if (body->len == 0)
		return true;
	if (body->len > RELAY_LEFT_BYTES_MAX - r->f->relays_left_bytes ||
	    secmem_copy(&r->body, body->p, body->len, SECMEM_LIBRARY) != 0)
		return false;
	r->f->relays_left_bytes += body->len;
	body->p = secmem_bytes(&r->body);
	return true;
}

/*
 * Nobody waits for it any more.  A transfer reads its body piece by piece from
 * where send says, so that can be put elsewhere under way.
 */
static void
relay_leave(struct relay *r)
{
	r->cb = NULL;
	timer_free(r->deadline);
	r->deadline = NULL;
	if (relay_outlives(r) && relay_take_body(r))
		return;
	/* no memory to go on with: the service may have it by now */
	if (relay_outlives(r))
		relay_written(r, FETCH_PERHAPS, false, NULL);
	job_cancel(r->job);
	relay_free(r);
}

void
relay_cancel(struct relay *r)
{
	relay_leave(r);
}

static void
relay_deadline_cb(void *arg)
{
	struct relay *r = arg;
	struct relay_result result = { .error = ERR_TIMEOUT };
	relay_cb *cb = r->cb;
	void *cb_arg = r->arg;

	relay_fail(&result, ERR_TIMEOUT, "the service did not answer in the "
	    "time allowed", job_may_arrive(r->job) ? relay_doubt(r) : "");
	relay_leave(r);
	cb(cb_arg, &result);
}

/* --- the beginning --- */

static struct view
relay_keep(struct relay *r, size_t *pos, const void *p, size_t len)
{
	uint8_t *at = secmem_writable(&r->text) + *pos;

	if (len > 0)
		memcpy(at, p, len);
	*pos += len;
	return (struct view){ at, len };
}

/* The texts that it is sent with, but for its body. */
static int
relay_keep_texts(struct relay *r)
{
	struct upstream_relay *s = &r->send;
	size_t method_len = strlen(s->method) + 1, pos = 0;

	if (secmem_alloc(&r->text, method_len + s->target.len +
	    s->content_type.len + s->accept.len, SECMEM_LIBRARY) != 0)
		return ERR_NOMEM;
	s->method = (const char *)relay_keep(r, &pos, s->method,
	    method_len).p;
	s->target = relay_keep(r, &pos, s->target.p, s->target.len);
	s->content_type = relay_keep(r, &pos, s->content_type.p,
	    s->content_type.len);
	s->accept = relay_keep(r, &pos, s->accept.p, s->accept.len);
	return 0;
}

/* Where nobody said it: the part of the path after /secrets/ or /keys/. */
static void
relay_find_id(struct relay *r, struct view id)
{
	struct view t = r->send.target;
	size_t start = relay_is_below(r, "/secrets") ? sizeof("/secrets")
	    : relay_is_below(r, "/keys") ? sizeof("/keys") : 0, end = start;

	if (id.len == 0 && r->endpoint == NULL && start > 0 &&
	    start < t.len) {
		while (end < t.len && t.p[end] != '/' && t.p[end] != '?')
			end++;
		id = (struct view){ t.p + start, end - start };
	}
	if (id.len > sizeof(r->id))
		return; /* none that can be cached */
	if (id.len > 0)
		memcpy(r->id, id.p, id.len);
	r->id_len = id.len;
}

/* Rates of its own, by upstream-api.md, section 2. */
static bool
relay_has_own_limit(const struct endpoint *e)
{
	return e != NULL && e->scope != NULL &&
	    strcmp(e->scope, "qrng:read") == 0;
}

/* How it is sent follows from what it is. */
static void
relay_set_way(struct relay *r)
{
	const struct endpoint *e = r->endpoint;

	r->send.once = !endpoints_repeatable(r->send.method, e);
	/* who needs no key gets none */
	r->send.without_key = e != NULL && e->scope == NULL;
	r->send.own_limit = relay_has_own_limit(e);
}

static struct relay *
relay_new(struct fetch *f, const struct relay_request *rq)
{
	struct relay *r;

	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	LIST_INSERT_HEAD(&f->relays, r, link);
	r->f = f;
	r->send = rq->send;
	r->endpoint = rq->endpoint;
	relay_set_way(r);
	if (relay_keep_texts(r) != 0) {
		relay_free(r);
		return NULL;
	}
	relay_find_id(r, rq->id);
	if (rq->deadline_ms != MSG_NO_LIMIT) {
		r->deadline = timer_new(f->base, relay_deadline_cb, r);
		if (r->deadline == NULL) {
			relay_free(r);
			return NULL;
		}
		timer_set(r->deadline, rq->deadline_ms);
	}
	return r;
}

int
relay_start(struct fetch *f, const struct relay_request *rq,
    const struct now *now, relay_cb *cb, void *arg, struct relay **ret_relay)
{
	struct relay *r = relay_new(f, rq);
	const struct upstream_request req = {
		.op = UPSTREAM_RELAY, .relay = r != NULL ? &r->send : NULL,
	};

	(void)now;
	if (r == NULL)
		return ERR_NOMEM;
	if (jobs_start(f->jobs, &req, rq->patient ? JOB_SEVERAL : JOB_RELAYED,
	    relay_answer_cb, r, &r->job) != 0) {
		relay_free(r);
		return ERR_NOMEM;
	}
	r->cb = cb;
	r->arg = arg;
	*ret_relay = r;
	return 0;
}
