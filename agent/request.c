#include "config.h"

#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "drill.h"
#include "err.h"
#include "field.h"
#include "hash.h"
#include "limit.h"
#include "list.h"
#include "lookup.h"
#include "msg.h"
#include "peer.h"
#include "policy.h"
#include "position.h"
#include "refresh.h"
#include "settings.h"
#include "timers.h"
#include "wipe.h"

/*
 * The agent answers this much before the deadline, so that the answer arrives
 * before the caller's own clock runs out.
 */
#define REQUEST_MARGIN_MS 20

static const char *
request_operation(uint8_t type)
{
	return type == FRAME_GET ? "read" : type == FRAME_REFRESH ? "refresh"
	    : type == FRAME_LIST ? "list" : "purge";
}

/* --- RESULT --- */

void
request_put_error(struct out *out, uint64_t id, uint16_t flags,
    uint16_t index, int error, const char *message)
{
	struct msg_result m = { .index = index, .error = error };
	struct wr wr = out_begin(out);
	size_t len;

	if (message == NULL)
		message = err_text(error);
	len = strlen(message);
	m.message.p = (const uint8_t *)message;
	m.message.len = len < MSG_MESSAGE_MAX ? len : MSG_MESSAGE_MAX;
	msg_meta_init(&m.meta);
	msg_result_encode(&wr, flags, id, &m, false);
	out_commit(out, &wr);
}

static void
request_put_object(struct session *s, struct out *out, uint64_t id,
    uint16_t flags, struct object *o, struct msg_result *m)
{
	struct wr wr = out_begin(out);
	bool external = m->value.len > OUT_INLINE_MAX;

	m->meta.id = object_id(o);
	m->meta.name = fetch_name_of(s->env->fetch, o);
	m->meta.version = o->version;
	m->meta.updated_at = o->updated_at;
	m->meta.expires_at = o->expires_at;
	msg_result_encode(&wr, flags, id, m, external);
	if (wr.failed) {
		/* bytes of a value without their head would be taken for one */
		request_put_error(out, id, flags, m->index,
		    ERR_INTERNAL, NULL);
		return;
	}
	out_commit(out, &wr);
	if (external)
		out_external(out, o, m->value);
}

/*
 * Was this read of this connection recorded a moment ago?  A program that
 * reads the same thing again and again makes one line in the journal, not a
 * flood; a file of its own gets every one.
 */
bool
request_is_told(struct session *s, struct view ref)
{
	uint64_t mark;
	size_t i;

	if (audit_is_off(s->env->audit))
		return true;
	if (audit_wants_all(s->env->audit))
		return false;
	mark = hash_bytes(&s->env->audit_key, ref.p, ref.len);
	for (i = 0; i < SESSION_TOLD; i++) {
		if (s->told[i] == mark)
			return true;
	}
	s->told[s->told_next++ % SESSION_TOLD] = mark;
	return false;
}

/* Record a read, with the rule that allowed it. */
static void
request_audit_read(struct session *s, uint8_t type,
    const struct session_item *item)
{
	const struct object *o = item->object;
	const char *rule;

	(void)policy_check(s->env->settings->policy, s->peer, POLICY_READ,
	    o->kind, object_name(o), object_id(o), &rule);
	audit_record(s->env->audit, s->peer, request_operation(type),
	    item->ref, 0, rule);
}

/* What was found, or the field of it that was asked for. */
static void
request_put_found(struct session *s, struct out *out, uint8_t type,
    uint64_t id, uint16_t flags, const struct session_item *item,
    const struct ref *ref)
{
	struct msg_result m = { .index = item->index };
	struct field_scratch scratch;
	struct position at;
	char why[512];
	int r = 0;

	msg_meta_init(&m.meta);
	m.meta.freshness = (uint8_t)item->freshness;
	m.meta.age_ms = item->age_ms;
	if (type == FRAME_GET)
		r = field_select(ref, item->object, &scratch, &m, why,
		    sizeof(why));
	if (r != 0) {
		request_put_error(out, id, flags, item->index, r, why);
		return;
	}
	if (item->freshness == MSG_STALE)
		s->env->metrics->stale_served++;
	if (item->freshness == MSG_EXPIRED)
		s->env->metrics->expired_served++;
	if (type == FRAME_GET)
		drill_record(s->env->drill, item->ref, item->freshness, 0);
	if (item->wants_position) {
		position_of(s->env->position_key, item->object, &at);
		m.position = position_view(&at);
	}
	request_put_object(s, out, id, flags, item->object, &m);
	if (m.value.p == (const uint8_t *)scratch.code)
		wipe(&scratch, sizeof(scratch));
	if (!request_is_told(s, item->ref))
		request_audit_read(s, type, item);
}

/* Put the RESULT of one reference into out, which has room for it. */
static void
request_put(struct session *s, struct out *out, uint8_t type, uint64_t id,
    uint16_t flags, const struct session_item *item, const struct ref *ref)
{
	if (item->error != 0 &&
	    (item->may_tell || access_may_tell(s, POLICY_READ, ref))) {
		if (item->error == ERR_DENIED)
			s->env->metrics->denied++;
		if (item->error == ERR_EXPIRED)
			s->env->metrics->expired++;
		if (type == FRAME_GET)
			drill_record(s->env->drill, item->ref,
			    MSG_FRESHNESS_NONE, item->error);
		if (!request_is_told(s, item->ref))
			audit_record(s->env->audit, s->peer,
			    request_operation(type), item->ref, item->error,
			    NULL);
		request_put_error(out, id, flags, item->index, item->error,
		    item->message);
	} else if (item->error != 0 ||
	    !access_may_have(s, POLICY_READ, item->object)) {
		s->env->metrics->denied++;
		audit_record(s->env->audit, s->peer, request_operation(type),
		    item->ref, ERR_DENIED, NULL);
		request_put_error(out, id, flags, item->index, ERR_DENIED,
		    ACCESS_DENIED_TEXT);
	} else {
		request_put_found(s, out, type, id, flags, item, ref);
	}
}

/* --- requests that wait --- */

void
request_free(struct request *rq)
{
	struct session *s = rq->session;
	struct session_item *item;
	size_t i;

	if (rq->ops != NULL && rq->ops->done != NULL)
		rq->ops->done(rq);
	for (i = 0; i < rq->nitems; i++) {
		item = &rq->items[i];
		if (item->wait != NULL) {
			fetch_cancel(item->wait);
			session_count_waiting(s, -1);
		}
		if (item->is_ready)
			TAILQ_REMOVE(&s->ready, item, ready_link);
		object_unref(item->object);
		listing_unref(item->listing);
		free(item->message);
	}
	timer_free(rq->deadline);
	TAILQ_REMOVE(&s->requests, rq, link);
	free(rq);
}

void
request_ready(struct session_item *item)
{
	if (item->is_ready)
		return;
	item->is_ready = true;
	TAILQ_INSERT_TAIL(&item->request->session->ready, item, ready_link);
}

void
request_take_off(struct session_item *item)
{
	TAILQ_REMOVE(&item->request->session->ready, item, ready_link);
	item->is_ready = false;
}

/* Take a result over into an item. */
void
request_settle(struct session_item *item, const struct fetch_result *result)
{
	const struct request_ops *ops = item->request->ops;

	item->wait = NULL;
	if (ops != NULL && ops->settle != NULL) {
		ops->settle(item, result);
		return;
	}
	item->error = result->error;
	item->object = result->object;
	item->listing = result->listing;
	item->freshness = result->freshness;
	item->age_ms = result->age_ms;
	if (result->error != 0)
		item->message = strdup(result->message);
	request_ready(item);
}

void
request_fetched_cb(void *arg, struct fetch_result *result)
{
	struct session_item *item = arg;
	struct session *s = item->request->session;

	session_count_waiting(s, -1);
	request_settle(item, result);
	s->wake(s->arg);
}

static void
request_deadline_cb(void *arg)
{
	struct request *rq = arg;
	struct session *s = rq->session;
	struct fetch_result result;
	struct now now;
	size_t i;

	clock_read(&now);
	for (i = 0; i < rq->nitems; i++) {
		if (rq->items[i].wait == NULL)
			continue;
		fetch_give_up(rq->items[i].wait, &now, &result);
		session_count_waiting(s, -1);
		request_settle(&rq->items[i], &result);
	}
	if (rq->ops != NULL && rq->ops->late != NULL)
		rq->ops->late(rq);
	s->wake(s->arg);
}

struct request *
request_new(struct session *s, const struct frame *frame,
    const struct msg_terms *terms, size_t nitems, size_t text_len)
{
	struct request *rq;
	uint64_t ms = terms->deadline_ms;

	rq = calloc(1, sizeof(*rq) + nitems * sizeof(rq->items[0]) + text_len);
	if (rq == NULL)
		return NULL;
	rq->session = s;
	rq->id = frame->id;
	rq->type = frame->type;
	rq->nitems = nitems;
	if (ms != MSG_NO_LIMIT) {
		rq->deadline = timer_new(s->env->base, request_deadline_cb,
		    rq);
		if (rq->deadline == NULL) {
			free(rq);
			return NULL;
		}
		timer_set(rq->deadline, ms > 5 * REQUEST_MARGIN_MS
		    ? ms - REQUEST_MARGIN_MS : ms);
	}
	TAILQ_INSERT_TAIL(&s->requests, rq, link);
	return rq;
}

int
request_cancel(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct request *rq;
	int r;

	(void)now;
	r = msg_empty_decode(frame->body);
	if (r != 0)
		return r;
	TAILQ_FOREACH(rq, &s->requests, link) {
		if (rq->id != frame->id)
			continue;
		if (rq->ops != NULL && rq->ops->cancel != NULL)
			rq->ops->cancel(rq, out);
		break;
	}
	return 0;
}

static uint16_t
request_more(uint16_t *left)
{
	return --*left > 0 ? FRAME_MORE : 0;
}

static bool
request_has_room(const struct out *out)
{
	return out_has_room(out, MSG_RESULT_HEAD_MAX + OUT_INLINE_MAX);
}

bool
request_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct session *s = rq->session;
	struct ref *ref = &s->env->ref;

	if (rq->ops != NULL)
		return rq->ops->render(item, out);
	if (rq->type == FRAME_LIST)
		return list_render(item, out);
	if (!request_has_room(out))
		return false;
	request_take_off(item);
	if (rq->all) {
		refresh_all_count(item, out);
		return true;
	}
	/* parsed before, unless it is the error that says why not */
	(void)ref_parse((const char *)item->ref.p, item->ref.len, ref, NULL);
	request_put(s, out, rq->type, rq->id, request_more(&rq->left), item,
	    ref);
	if (rq->left == 0)
		request_free(rq);
	return true;
}

/* --- GET, REFRESH, PURGE --- */

/* One request on its way through its references. */
struct request_pass {
	struct session *s;
	const struct frame *frame;
	const struct now *now;
	struct out *out;
	struct msg_refs msg;
	struct view left_fields; /* from the present reference on */
	struct request *rq;	/* made when the first has to wait */
	size_t text_used;	/* of the room behind its items */
	uint16_t left;		/* RESULT frames still to come */
};

/*
 * Bytes of those references that are still to be answered: not the length of
 * the body, of which any part may be something else.
 */
static size_t
request_text_len(const struct request_pass *p)
{
	struct msg_refs rest = { .fields = p->left_fields };
	struct view text;
	size_t len = 0;

	while (msg_refs_next(&rest, &text))
		len += text.len;
	return len;
}

/* A place among those that wait; NULL for no memory. */
static struct session_item *
request_item(struct request_pass *p, const struct session_item *from)
{
	struct session_item *item;
	uint8_t *text;

	if (p->rq == NULL)
		p->rq = request_new(p->s, p->frame, &p->msg.terms,
		    p->msg.nrefs, request_text_len(p));
	if (p->rq == NULL)
		return NULL;
	item = &p->rq->items[from->index];
	item->request = p->rq;
	item->index = from->index;
	item->may_tell = from->may_tell;
	item->wants_position = from->wants_position;
	text = (uint8_t *)&p->rq->items[p->rq->nitems] + p->text_used;
	memcpy(text, from->ref.p, from->ref.len);
	p->text_used += from->ref.len;
	item->ref = (struct view){ .p = text, .len = from->ref.len };
	return item;
}

/* An answer that is there at once; kept if out has no room for it. */
static void
request_answer(struct request_pass *p, struct session_item *now_item,
    const struct ref *ref, struct fetch_result *result)
{
	struct session_item *item;

	if (!request_has_room(p->out)) {
		item = request_item(p, now_item);
		if (item != NULL) {
			request_settle(item, result);
			return;
		}
		/* out keeps enough in hand for a short error */
		object_unref(result->object);
		request_put_error(p->out, p->frame->id,
		    request_more(&p->left), now_item->index, ERR_BUSY, NULL);
		return;
	}
	now_item->error = result->error;
	now_item->message = result->error ? result->message : NULL;
	now_item->object = result->object;
	now_item->freshness = result->freshness;
	now_item->age_ms = result->age_ms;
	request_put(p->s, p->out, p->frame->type, p->frame->id,
	    request_more(&p->left), now_item, ref);
	object_unref(result->object);
}

static void
request_fetch(struct request_pass *p, struct session_item *now_item,
    const struct ref *ref, struct fetch_result *result)
{
	const struct msg_terms *t = &p->msg.terms;
	const struct fetch_query q = {
		.ref = ref,
		.max_age_ms = t->max_age_ms,
		.max_stale_ms = t->max_stale_ms,
		.only_if_cached = t->flags & MSG_TERM_ONLY_IF_CACHED,
		.fresh = (t->flags & MSG_TERM_FRESH) ||
		    p->frame->type == FRAME_REFRESH,
		.quiet = p->frame->type != FRAME_GET,
		.patient = session_is_patient(p->s),
	};
	struct session_item *item;
	struct fetch_wait *wait;

	if (fetch_get(p->s->env->fetch, &q, p->now, result,
	    request_fetched_cb, &wait) == 0) {
		request_answer(p, now_item, ref, result);
		return;
	}
	item = session_waits_too_much(p->s) ? NULL
	    : request_item(p, now_item);
	if (item == NULL) {
		fetch_cancel(wait);
		lookup_fail(result, ERR_BUSY, "too many references of this "
		    "user wait for the service; ask again later");
		request_answer(p, now_item, ref, result);
		return;
	}
	item->wait = wait;
	fetch_set_arg(wait, item);
	session_count_waiting(p->s, 1);
}

static void
request_purge(struct request_pass *p, struct session_item *now_item,
    const struct ref *ref)
{
	struct wr wr;
	struct msg_result m = { .index = now_item->index };
	size_t count = fetch_purge(p->s->env->fetch, ref);

	audit_record(p->s->env->audit, p->s->peer, "purge", now_item->ref, 0,
	    NULL);
	if (count == 0) {
		request_put_error(p->out, p->frame->id,
		    request_more(&p->left), now_item->index, ERR_NOT_FOUND,
		    "it was not cached");
		return;
	}
	msg_meta_init(&m.meta);
	wr = out_begin(p->out);
	msg_result_encode(&wr, request_more(&p->left), p->frame->id, &m,
	    false);
	out_commit(p->out, &wr);
}

static void
request_one(struct request_pass *p, uint16_t index, struct view text)
{
	struct session_item now_item = {
		.index = index, .ref = text,
		.wants_position = p->frame->type == FRAME_GET &&
		    (p->msg.terms.flags & MSG_TERM_WANT_POSITION),
	};
	struct fetch_result result;
	struct ref *ref = &p->s->env->ref;
	const char *why;
	enum policy_verdict verdict;

	if (ref_parse((const char *)text.p, text.len, ref, &why) != 0) {
		now_item.may_tell = true;
		lookup_fail(&result, ERR_BAD_REQUEST, "%s", why);
		request_answer(p, &now_item, ref, &result);
		return;
	}
	verdict = p->frame->type == FRAME_PURGE
	    ? (policy_may(p->s->env->settings->policy, p->s->peer,
	    POLICY_ADMIN) ? POLICY_ALLOWED : POLICY_DENIED)
	    : access_may(p->s, POLICY_READ, ref);
	if (verdict == POLICY_DENIED) {
		lookup_fail(&result, ERR_DENIED, "%s", ACCESS_DENIED_TEXT);
		request_answer(p, &now_item, ref, &result);
	} else if (p->frame->type == FRAME_PURGE && request_has_room(p->out)) {
		request_purge(p, &now_item, ref);
	} else if (p->frame->type == FRAME_PURGE) {
		now_item.may_tell = true;
		lookup_fail(&result, ERR_BUSY, "too many at once");
		request_answer(p, &now_item, ref, &result);
	} else {
		request_fetch(p, &now_item, ref, &result);
	}
}

static int
request_all(struct request_pass *p)
{
	struct msg_done done = { .failed = 0 };
	struct wr wr;

	if (!policy_may(p->s->env->settings->policy, p->s->peer,
	    POLICY_ADMIN)) {
		p->s->env->metrics->denied++;
		audit_record(p->s->env->audit, p->s->peer,
		    request_operation(p->frame->type),
		    (struct view){ (const uint8_t *)"--all", 5 }, ERR_DENIED,
		    NULL);
		session_error(p->out, p->frame->id, ERR_DENIED,
		    "this needs a rule with operations=admin");
		return 0;
	}
	audit_record(p->s->env->audit, p->s->peer,
	    request_operation(p->frame->type),
	    (struct view){ (const uint8_t *)"--all", 5 }, 0, NULL);
	if (p->frame->type == FRAME_REFRESH)
		return refresh_all(p->s, p->frame, &p->msg.terms, p->now,
		    p->out);
	done.count = fetch_purge_all(p->s->env->fetch);
	wr = out_begin(p->out);
	msg_done_encode(&wr, p->frame->id, &done);
	out_commit(p->out, &wr);
	return 0;
}

int
request_refs(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct request_pass p = {
		.s = s, .frame = frame, .now = now, .out = out,
	};
	struct view text;
	uint16_t i;
	int r;

	r = msg_refs_decode(frame->body, &p.msg);
	if (r != 0)
		return r;
	if (p.msg.all && frame->type == FRAME_GET)
		return ERR_BAD_REQUEST;
	if (p.msg.all)
		return request_all(&p);
	p.left = p.msg.nrefs;
	p.left_fields = p.msg.fields;
	for (i = 0; msg_refs_next(&p.msg, &text); i++) {
		request_one(&p, i, text);
		p.left_fields = p.msg.fields;
	}
	if (p.rq != NULL)
		p.rq->left = p.left;
	return 0;
}
