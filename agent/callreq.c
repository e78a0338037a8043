#include "config.h"

#include "callreq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"
#include "err.h"
#include "msg_call.h"
#include "object.h"
#include "request.h"
#include "rest.h"
#include "secmem.h"
#include "text.h"

/*
 * The agent answers this much before the deadline, so that the answer arrives
 * before the caller's own clock runs out.
 */
#define CALLREQ_MARGIN_MS 20

/* One that could not be answered at once. */
struct callreq {
	struct request *rq;
	struct rest *rest;	/* NULL once answered */
	struct secmem body;	/* what is sent */
	size_t kept_bytes;	/* of the caller's account */
	bool by_ref;		/* a REF was given */
	bool is_head;
	struct rest_answer answer;
};

/* --- the answer -------------------------------------------------------- */

static uint8_t
callreq_freshness(enum rest_cache cache)
{
	switch (cache) {
	case REST_CACHE_NONE:
		return MSG_FRESHNESS_NONE;
	case REST_CACHE_HIT:
	case REST_CACHE_MISS:
		return MSG_FRESH;
	case REST_CACHE_STALE:
		return MSG_STALE;
	}
	return MSG_FRESHNESS_NONE;
}

/*
 * That there is no such thing at the path that was asked for is what the
 * service says, even where the agent knew it.  All other errors are its own.
 */
static bool
callreq_is_error(const struct callreq *c)
{
	return c->answer.error != 0 && (c->answer.error != ERR_NOT_FOUND ||
	    c->by_ref || c->answer.body == NULL);
}

static void
callreq_put(struct out *out, uint64_t id, const struct callreq *c)
{
	const struct rest_answer *a = &c->answer;
	struct msg_called m = {
		.status = (uint16_t)a->status,
		.retry_after_ms = a->retry_after_ms,
		.freshness = callreq_freshness(a->cache),
		.age_ms = a->age_ms,
	};
	struct wr wr;
	bool external;

	if (callreq_is_error(c)) {
		session_error(out, id, a->error, a->message[0] != '\0'
		    ? a->message : err_text(a->error));
		return;
	}
	if (text_is_text(a->content_type, strlen(a->content_type)))
		m.content_type = (struct view){
		    (const uint8_t *)a->content_type,
		    strlen(a->content_type) };
	/* HEAD comes with the body of GET */
	if (a->body != NULL && !c->is_head)
		m.value = object_value(a->body);
	external = m.value.len > OUT_INLINE_MAX;
	wr = out_begin(out);
	msg_called_encode(&wr, id, &m, external);
	if (wr.failed) {
		session_error(out, id, ERR_TOO_LARGE,
		    "the answer is more than a message holds");
		return;
	}
	out_commit(out, &wr);
	if (external)
		out_external(out, a->body, m.value);
}

static bool
callreq_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct callreq *c = rq->data;

	if (!out_has_room(out, MSG_CALLED_HEAD_MAX + OUT_INLINE_MAX +
	    MSG_MESSAGE_MAX))
		return false;
	request_take_off(item);
	callreq_put(out, rq->id, c);
	session_put(rq->session, c->kept_bytes);
	c->kept_bytes = 0;
	request_free(rq);
	return true;
}

/* --- while it waits ---------------------------------------------------- */

static void
callreq_forget_body(struct callreq *c)
{
	secmem_free_bytes(&c->body);
	caller_give_back(c->rq->session->caller, c->kept_bytes);
	c->kept_bytes = 0;
}

/* What waits to be read counts too, or who reads nothing takes it all. */
static void
callreq_keep_answer(struct callreq *c)
{
	struct rest_answer *a = &c->answer;
	size_t bytes = a->body != NULL ? object_bytes(a->body) : 0;

	callreq_forget_body(c);
	if (!caller_keep(c->rq->session->caller, bytes)) {
		object_unref(a->body);
		memset(a, 0, sizeof(*a));
		a->error = ERR_BUSY;
		(void)snprintf(a->message, sizeof(a->message), "%s",
		    "answers that this user does not read take too much "
		    "memory");
		return;
	}
	c->kept_bytes = bytes;
}

static void
callreq_cb(void *arg, struct rest_answer *answer)
{
	struct callreq *c = arg;
	struct session *s = c->rq->session;

	c->rest = NULL;
	c->answer = *answer;
	callreq_keep_answer(c);
	request_ready(&c->rq->items[0]);
	s->wake(s->arg);
}

static void
callreq_cancel(struct request *rq, struct out *out)
{
	const struct msg_done done = { .count = 0 };
	struct wr wr = out_begin(out);

	msg_done_encode(&wr, rq->id, &done);
	out_commit(out, &wr);
	request_free(rq);
}

static void
callreq_done(struct request *rq)
{
	struct callreq *c = rq->data;

	if (c == NULL)
		return;
	if (c->rest != NULL)
		rest_cancel(c->rest);
	object_unref(c->answer.body);
	callreq_forget_body(c);
	free(c);
}

static const struct request_ops callreq_ops = {
	.render = callreq_render,
	.cancel = callreq_cancel,
	.done = callreq_done,
};

/* --- the beginning ----------------------------------------------------- */

/*
 * What may have to wait: the request, and a copy of the body, since the frame
 * is gone when its handler returns.  NULL if that was answered.
 */
static struct callreq *
callreq_new(struct session *s, const struct frame *frame, struct view data,
    struct out *out)
{
	/* rest keeps the time */
	struct msg_terms terms;
	struct callreq *c;
	bool kept;

	msg_terms_init(&terms);
	kept = caller_keep(s->caller, data.len);
	c = kept ? calloc(1, sizeof(*c)) : NULL;
	if (c != NULL && secmem_copy(&c->body, data.p, data.len,
	    SECMEM_LIBRARY) == 0)
		c->rq = request_new(s, frame, &terms, 1, 0);
	if (c != NULL && c->rq != NULL) {
		c->kept_bytes = data.len;
		c->rq->items[0].request = c->rq;
		c->rq->ops = &callreq_ops;
		c->rq->data = c;
		return c;
	}
	if (c != NULL)
		secmem_free_bytes(&c->body);
	free(c);
	if (kept)
		caller_give_back(s->caller, data.len);
	session_error(out, frame->id, ERR_BUSY, "the requests of this user "
	    "that wait for the service hold too much memory; wait for their "
	    "answers");
	return NULL;
}

static uint64_t
callreq_deadline_ms(uint64_t ms)
{
	return ms == MSG_NO_LIMIT || ms <= 5 * CALLREQ_MARGIN_MS ? ms
	    : ms - CALLREQ_MARGIN_MS;
}

int
callreq_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	char method[MSG_METHOD_MAX + 1];
	struct rest_answer answer;
	struct rest_request rq;
	struct rest *rest = NULL;
	struct callreq *c;
	struct msg_call m;
	int r;

	r = msg_call_decode(frame->body, &m);
	if (r != 0)
		return r;
	c = callreq_new(s, frame, m.data, out);
	if (c == NULL)
		return 0;
	c->by_ref = m.ref.len > 0;
	memcpy(method, m.method.p, m.method.len);
	method[m.method.len] = '\0';
	c->is_head = strcmp(method, "HEAD") == 0;
	rq = (struct rest_request){
		.method = method,
		.target = m.target,
		.ref = m.ref,
		.content_type = m.content_type,
		.body = { secmem_bytes(&c->body), secmem_len(&c->body) },
		.has_body = m.has_data,
		.deadline_ms = callreq_deadline_ms(m.terms.deadline_ms),
		.max_age_ms = m.terms.max_age_ms,
		.max_stale_ms = m.terms.max_stale_ms,
		.only_if_cached = m.terms.flags & MSG_TERM_ONLY_IF_CACHED,
		.fresh = m.terms.flags & MSG_TERM_FRESH,
	};
	r = rest_start(s, &rq, now, &answer, callreq_cb, &rest);
	if (r == ERR_AGAIN) {
		c->rest = rest;
		rest_set_arg(rest, c);
		return 0;
	}
	c->answer = answer;
	callreq_keep_answer(c);
	request_ready(&c->rq->items[0]);
	return 0;
}
