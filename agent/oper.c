#include "config.h"

#include "oper.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "caller.h"
#include "crypt_json.h"
#include "endpoints.h"
#include "err.h"
#include "listing.h"
#include "lookup.h"
#include "request.h"
#include "settings.h"

static_assert(MSG_RESULT_HEAD_MAX + OUT_INLINE_MAX <= OPER_ANSWER_MAX,
    "a RESULT does not fit OPER_ANSWER_MAX");

/* --- the end ----------------------------------------------------------- */

static struct oper *
oper_of(const struct request *rq)
{
	return rq->data;
}

static void
oper_stop(struct oper *op)
{
	if (op->item->wait != NULL) {
		fetch_cancel(op->item->wait);
		op->item->wait = NULL;
		session_count_waiting(op->s, -1);
	}
	if (op->relay != NULL) {
		relay_cancel(op->relay);
		op->relay = NULL;
		session_count_waiting(op->s, -1);
	}
}

/* Of what the frame brought along nothing is needed any more. */
static void
oper_drop(struct oper *op)
{
	secmem_free_bytes(&op->text);
	secmem_free_bytes(&op->body);
	caller_give_back(op->s->caller, op->kept_bytes);
	op->kept_bytes = 0;
}

/* A program that does the same thing again and again makes one line of it. */
static bool
oper_is_told(const struct oper *op, struct view what)
{
	char text[16 + MSG_NAME_MAX];
	int len;

	len = snprintf(text, sizeof(text), "%s %.*s", op->ops->name,
	    (int)what.len, (const char *)what.p);
	return request_is_told(op->s, (struct view){ (const uint8_t *)text,
	    (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1 });
}

static void
oper_record(struct oper *op, int error)
{
	static const char whole[] = "(default key)";
	struct view what = op->key;

	if (what.len == 0 && op->id[0] != '\0')
		what = (struct view){ (const uint8_t *)op->id,
		    strlen(op->id) };
	if (what.len == 0)
		what = (struct view){ (const uint8_t *)whole,
		    sizeof(whole) - 1 };
	if (error == ERR_DENIED)
		op->s->env->metrics->denied++;
	if (error != ERR_DENIED && oper_is_told(op, what))
		return;
	audit_record(op->s->env->audit, op->s->peer, op->ops->name, what,
	    error, error == 0 && op->rule[0] != '\0' ? op->rule : NULL);
}

void
oper_settle(struct oper *op, int error, const char *message)
{
	if (op->settled)
		return;
	oper_stop(op);
	oper_record(op, error);
	op->settled = true;
	op->error = error;
	if (error != 0)
		(void)snprintf(op->message, sizeof(op->message), "%s",
		    message != NULL ? message : err_text(error));
	if (op->answer == NULL)
		oper_drop(op);
	request_ready(op->item);
}

/* What waits to be read counts too, or who reads nothing takes it all. */
void
oper_answer(struct oper *op, struct object *answer)
{
	size_t bytes = object_bytes(answer);

	caller_give_back(op->s->caller, op->kept_bytes);
	op->kept_bytes = 0;
	if (!caller_keep(op->s->caller, bytes)) {
		object_unref(answer);
		oper_settle(op, ERR_BUSY, "answers that this user does not "
		    "read take too much memory");
		return;
	}
	op->kept_bytes = bytes;
	op->answer = answer;
	oper_settle(op, 0, NULL);
	secmem_free_bytes(&op->text);
	secmem_free_bytes(&op->body);
}

static void
oper_deny(struct oper *op)
{
	oper_settle(op, ERR_DENIED, ACCESS_DENIED_TEXT);
}

/* --- as a request ------------------------------------------------------ */

static bool
oper_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct oper *op = oper_of(rq);

	if (!out_has_room(out, OPER_ANSWER_MAX))
		return false;
	request_take_off(item);
	if (op->error != 0) {
		session_error(out, rq->id, op->error, op->message);
	} else if (!op->ops->render(op, out)) {
		rq->parked = true;
		return true;
	}
	session_put(op->s, op->kept_bytes);
	op->kept_bytes = 0;
	request_free(rq);
	return true;
}

static void oper_fetched(struct oper *op, struct fetch_result *result);

static void
oper_item_settled(struct session_item *item, const struct fetch_result *result)
{
	struct fetch_result copy = *result;

	oper_fetched(oper_of(item->request), &copy);
}

static void
oper_late(struct request *rq)
{
	oper_settle(oper_of(rq), ERR_TIMEOUT,
	    "the service did not answer in the caller's time");
}

static void
oper_cancelled(struct request *rq, struct out *out)
{
	const struct msg_done done = { .count = 0 };
	struct wr wr = out_begin(out);

	msg_done_encode(&wr, rq->id, &done);
	out_commit(out, &wr);
	request_free(rq);
}

static void
oper_done(struct request *rq)
{
	struct oper *op = oper_of(rq);

	if (op == NULL)
		return;
	oper_stop(op);
	oper_drop(op);
	object_unref(op->answer);
	op->ops->free(op);
}

static const struct request_ops oper_request_ops = {
	.render = oper_render,
	.settle = oper_item_settled,
	.late = oper_late,
	.cancel = oper_cancelled,
	.done = oper_done,
};

/* --- the beginning ----------------------------------------------------- */

static int
oper_copy(struct oper *op, const struct view *keep, size_t nkeep)
{
	size_t len = 0, i;
	uint8_t *to;
	int r;

	for (i = 0; i < nkeep; i++)
		len += keep[i].len;
	r = secmem_alloc(&op->text, len, SECMEM_LIBRARY);
	if (r != 0)
		return r;
	to = secmem_writable(&op->text);
	for (i = 0; i < nkeep; i++) {
		if (keep[i].len > 0)
			memcpy(to, keep[i].p, keep[i].len);
		to += keep[i].len;
	}
	return 0;
}

int
oper_begin(struct oper *op, const struct oper_ops *ops, struct session *s,
    const struct frame *frame, uint64_t deadline_ms, const struct view *keep,
    size_t nkeep, size_t need_bytes, struct out *out)
{
	struct msg_terms terms;
	struct now now;

	clock_read(&now);
	msg_terms_init(&terms);
	terms.deadline_ms = deadline_ms;
	op->ops = ops;
	op->s = s;
	op->until_boot_ms = deadline_ms < UINT64_MAX - now.boot_ms
	    ? now.boot_ms + deadline_ms : UINT64_MAX;
	if (session_waits_too_much(s) || !caller_keep(s->caller, need_bytes)) {
		ops->free(op);
		session_error(out, frame->id, ERR_BUSY, "the requests of this "
		    "user that wait for the service are too many, or hold too "
		    "much memory; wait for their answers");
		return ERR_BUSY;
	}
	op->kept_bytes = need_bytes;
	if (oper_copy(op, keep, nkeep) != 0 ||
	    (op->rq = request_new(s, frame, &terms, 1, 0)) == NULL) {
		secmem_free_bytes(&op->text);
		caller_give_back(s->caller, need_bytes);
		ops->free(op);
		session_error(out, frame->id, ERR_BUSY,
		    "no memory is left for this request; ask again later");
		return ERR_BUSY;
	}
	op->rq->ops = &oper_request_ops;
	op->rq->data = op;
	op->item = &op->rq->items[0];
	op->item->request = op->rq;
	return 0;
}

/* --- the key ----------------------------------------------------------- */

static void
oper_allow(struct oper *op, struct view name, struct view id,
    const struct now *now)
{
	const char *rule = NULL;

	if (policy_check(op->s->env->settings->policy, op->s->peer,
	    op->ops->policy, REF_KEY, name, id, &rule) != POLICY_ALLOWED) {
		oper_deny(op);
		return;
	}
	(void)snprintf(op->rule, sizeof(op->rule), "%s",
	    rule != NULL ? rule : "");
	memcpy(op->id, id.p, id.len);
	op->id[id.len] = '\0';
	op->ops->found(op, now);
}

static bool
oper_covers_keys(struct oper *op)
{
	return policy_covers_all(op->s->env->settings->policy, op->s->peer,
	    op->ops->policy, REF_KEY);
}

static void
oper_ref(const struct oper *op, struct ref *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = REF_KEY;
	ret->name = op->key;
}

/* An error about the key, for those whom it tells nothing that is denied. */
static void
oper_fail_key(struct oper *op, int error, const char *message)
{
	struct ref *ref = &op->s->env->ref;

	oper_ref(op, ref);
	if (access_may_tell(op->s, op->ops->policy, ref))
		oper_settle(op, error, message);
	else
		oper_deny(op);
}

/* Need nobody know the name of that id to allow it? */
static bool
oper_takes_as_id(struct oper *op)
{
	return lookup_looks_like_id(op->key) && oper_covers_keys(op);
}

static void oper_list(struct oper *op, const struct now *now);

/* What a listing of the keys, and what was written since, say of the text. */
static void
oper_look(struct oper *op, const struct now *now)
{
	const struct view none = { NULL, 0 };
	char message[OPER_MESSAGE_MAX];
	struct view id, name;
	int r;

	r = fetch_known(op->s->env->fetch, REF_KEY, op->key, &id, &name);
	if (r == ERR_AMBIGUOUS) {
		/* name is the other's id then */
		(void)snprintf(message, sizeof(message),
		    "two keys have this name, %.*s and %.*s", (int)id.len,
		    (const char *)id.p, (int)name.len, (const char *)name.p);
		oper_fail_key(op, ERR_AMBIGUOUS, message);
	} else if (r == 0) {
		oper_allow(op, name, id, now);
	} else if (!op->relisted) {
		op->relisted = true;
		oper_list(op, now);
	} else if (oper_takes_as_id(op)) {
		/* paging is no snapshot: the service will say */
		oper_allow(op, none, op->key, now);
	} else {
		oper_fail_key(op, ERR_NOT_FOUND, "no key has this id or name");
	}
}

static void
oper_fetched(struct oper *op, struct fetch_result *result)
{
	struct now now;

	clock_read(&now);
	if (op->settled) {
		object_unref(result->object);
		listing_unref(result->listing);
		return;
	}
	if (op->reading) {
		op->reading = false;
		op->ops->read(op, result, &now);
		object_unref(result->object);
		return;
	}
	if (result->error == 0)
		oper_look(op, &now);
	else if (oper_takes_as_id(op))
		/* a key that may encrypt need not be one that may list */
		oper_allow(op, (struct view){ NULL, 0 }, op->key, &now);
	else
		oper_fail_key(op, result->error, result->message);
	listing_unref(result->listing);
}

static void
oper_wait(struct oper *op, struct fetch_wait *wait)
{
	op->item->wait = wait;
	fetch_set_arg(wait, op->item);
	session_count_waiting(op->s, 1);
}

/*
 * The cached listing at first, then one that is newer: but whoever asks for
 * names that are not there has it renewed no more often than reads do.
 */
static void
oper_list(struct oper *op, const struct now *now)
{
	const struct fetch_query q = {
		.max_age_ms = op->relisted
		    ? op->s->env->settings->negative_ttl_ms : MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
		.quiet = true,
		.patient = session_is_patient(op->s),
	};
	struct fetch_result result;
	struct fetch_wait *wait;

	if (fetch_list(op->s->env->fetch, REF_KEY, &q, now, &result,
	    request_fetched_cb, &wait) == 0)
		oper_fetched(op, &result);
	else
		oper_wait(op, wait);
}

void
oper_find(struct oper *op, struct view key, const struct now *now)
{
	struct ref *ref = &op->s->env->ref;

	op->key = key;
	if (key.len == 0) {
		if (oper_covers_keys(op))
			op->ops->found(op, now);
		else
			oper_deny(op);
		return;
	}
	oper_ref(op, ref);
	if (access_may(op->s, op->ops->policy, ref) == POLICY_DENIED)
		oper_deny(op);
	else
		oper_list(op, now);
}

void
oper_read(struct oper *op, enum ref_format format, const struct now *now)
{
	struct ref *ref = &op->s->env->ref;
	struct fetch_result result;
	struct fetch_wait *wait;
	const struct fetch_query q = {
		.ref = ref,
		.max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
		.quiet = true,
		.patient = session_is_patient(op->s),
	};

	memset(ref, 0, sizeof(*ref));
	ref->kind = REF_KEY;
	ref->format = format;
	ref->name = (struct view){ (const uint8_t *)op->id, strlen(op->id) };
	op->reading = true;
	if (fetch_get(op->s->env->fetch, &q, now, &result,
	    request_fetched_cb, &wait) == 0)
		oper_fetched(op, &result);
	else
		oper_wait(op, wait);
}

/* --- the service ------------------------------------------------------- */

static void
oper_replied(struct oper *op, struct relay_result *result)
{
	struct view body = { NULL, 0 };
	const char *message;
	struct now now;
	int error;

	clock_read(&now);
	if (result->reply.body != NULL)
		body = object_value(result->reply.body);
	if (result->error != 0) {
		oper_settle(op, result->error, result->message);
	} else if (result->status < 200 || result->status > 299) {
		error = crypt_json_error(result->status, body, &message);
		oper_settle(op, error, message);
	} else {
		op->ops->replied(op, body, &now);
	}
	object_unref(result->reply.body);
	/* what was parsed has left pieces there */
	secmem_scrub_stack();
}

static void
oper_relay_cb(void *arg, struct relay_result *result)
{
	struct oper *op = arg;
	struct session *s = op->s;

	op->relay = NULL;
	session_count_waiting(s, -1);
	secmem_free_bytes(&op->body);
	oper_replied(op, result);
	/* op may be gone with its request only when it is rendered */
	s->wake(s->arg);
}

void
oper_send(struct oper *op, const char *method, const char *target,
    struct secmem *body, const struct now *now)
{
	const struct view at = { (const uint8_t *)target, strlen(target) };
	struct endpoint_match match;
	struct relay_request rq;

	secmem_free_bytes(&op->body);
	secmem_move(&op->body, body);
	memset(&rq, 0, sizeof(rq));
	if (endpoints_match(method, at, &match) != 0) {
		oper_settle(op, ERR_INTERNAL, NULL);
		return;
	}
	rq.send.method = method;
	rq.send.target = at;
	rq.send.has_body = secmem_len(&op->body) > 0;
	rq.send.body = (struct view){ secmem_bytes(&op->body),
	    secmem_len(&op->body) };
	rq.endpoint = match.endpoint;
	rq.deadline_ms = op->until_boot_ms == UINT64_MAX ? MSG_NO_LIMIT
	    : op->until_boot_ms > now->boot_ms
	    ? op->until_boot_ms - now->boot_ms : 1;
	rq.patient = session_has_several(op->s);
	if (relay_start(op->s->env->fetch, &rq, now, oper_relay_cb, op,
	    &op->relay) != 0) {
		oper_settle(op, ERR_BUSY,
		    "no memory is left for this request; ask again later");
		return;
	}
	session_count_waiting(op->s, 1);
}
