#include "config.h"

#include "call.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "msg_report.h"
#include "msg_watch.h"
#include "ref.h"
#include "service.h"

#define CALL_HEAD_MAX 128	/* frame header and terms of one request */
#define CALL_FIELD_MAX 6	/* tag and length */

static const char left_out[] =
    "the agent left this out of its answer: its log may say why";

void
call_init(struct call *call, uint8_t type)
{
	memset(call, 0, sizeof(*call));
	call->type = type;
	msg_terms_init(&call->terms);
}

void
call_done(struct call *call)
{
	qapi_agent_items_free(&call->items);
	qapi_agent_stats_free(&call->stats);
	qapi_agent_explanation_free(&call->explanation);
	report_text_done(&call->text);
	service_done(call);
	free(call->sent);
	call->sent = NULL;
}

/* Does the agent take it?  Else answer it here.  ref: room for parsing. */
static bool
check_ref(struct call *call, size_t i, struct ref *ref)
{
	struct qapi_agent_item *item = &call->items->v[i];
	const char *why = NULL;

	if (ref_parse(item->ref, strlen(item->ref), ref, &why) != 0) {
		items_fail(call->items, i, ERR_BAD_REQUEST, why);
		return false;
	}
	item->kind = (enum qapi_agent_kind)ref->kind;
	return true;
}

int
call_set_refs(struct call *call, const char *const *refs, size_t count)
{
	struct ref *ref = NULL;	/* large for a stack */
	size_t i;
	int r = ERR_NOMEM;

	if (count == 0 || refs == NULL)
		return ERR_BAD_REQUEST;
	call->items = items_new(count);
	call->sent = calloc(count, sizeof(*call->sent));
	ref = malloc(sizeof(*ref));
	if (call->items == NULL || call->sent == NULL || ref == NULL)
		goto out;
	for (i = 0; i < count; i++) {
		r = ERR_BAD_REQUEST;
		if (refs[i] == NULL)
			goto out;
		r = ERR_NOMEM;
		call->items->v[i].ref = strdup(refs[i]);
		if (call->items->v[i].ref == NULL)
			goto out;
		if (check_ref(call, i, ref))
			call->sent[call->nsent++] = i;
	}
	call->nwaiting = call->nsent;
	r = 0;
out:
	free(ref);
	return r;
}

void
call_set_refused(struct call *call, const struct qapi_agent_item *item)
{
	if (item == NULL)
		return;
	call->refused_version = item->version;
	call->has_refused = item->has_position;
	memcpy(call->refused, item->position, sizeof(call->refused));
}

bool
call_is_complete(const struct call *call)
{
	return call->sent != NULL && call->nwaiting == 0;
}

/* One request of the n references from place first on. */
static int
send_refs(const struct call *call, struct conn *conn, uint64_t id,
    size_t first, size_t n)
{
	size_t i, start, max = CALL_HEAD_MAX;
	struct wr wr;
	const char *ref;
	int r;

	for (i = 0; i < n; i++)
		max += CALL_FIELD_MAX +
		    strlen(call->items->v[call->sent[first + i]].ref);
	if ((r = conn_reserve(conn, max, &wr)) != 0)
		return r;
	start = msg_refs_begin(&wr, call->type, id, &call->terms, call->all);
	for (i = 0; i < n; i++) {
		ref = call->items->v[call->sent[first + i]].ref;
		msg_refs_add(&wr, ref, strlen(ref));
	}
	frame_end(&wr, start, 0);
	if (wr.failed)
		return ERR_INTERNAL;
	conn_queue(conn, &wr);
	return 0;
}

/* REJECT or EXPLAIN: what is asked of one reference. */
static int
send_one(const struct call *call, struct conn *conn, uint64_t id)
{
	const char *ref = call->items->v[call->sent[0]].ref;
	struct view v = {(const uint8_t *)ref, strlen(ref)};
	struct msg_reject reject = {call->terms.deadline_ms, v, 0, {NULL, 0}};
	struct msg_explain explain = {.ref = v};
	struct wr wr;
	int r;

	if ((r = conn_reserve(conn, CALL_HEAD_MAX + CALL_FIELD_MAX + v.len +
	    MSG_AS_MAX, &wr)) != 0)
		return r;
	if (call->type == FRAME_EXPLAIN && call->as != NULL) {
		explain.as.p = (const uint8_t *)call->as;
		explain.as.len = strlen(call->as);
	}
	if (call->has_refused)
		reject.position = (struct view){call->refused,
		    sizeof(call->refused)};
	else
		reject.version = call->refused_version;
	if (call->type == FRAME_EXPLAIN)
		msg_explain_encode(&wr, id, &explain);
	else
		msg_reject_encode(&wr, id, &reject);
	if (wr.failed)
		return ERR_INTERNAL;
	conn_queue(conn, &wr);
	return 0;
}

static int
send_plain(const struct call *call, struct conn *conn, uint64_t id)
{
	struct msg_list list = {
		.terms = call->terms,
		.kind = call->list_kind,
	};
	struct msg_metrics metrics = {.names = call->names};
	struct wr wr;
	int r;

	if ((r = conn_reserve(conn, CALL_HEAD_MAX, &wr)) != 0)
		return r;
	if (call->type == FRAME_LIST)
		msg_list_encode(&wr, id, &list);
	else if (call->type == FRAME_METRICS)
		msg_metrics_encode(&wr, id, &metrics);
	else
		msg_empty_encode(&wr, call->type, id);
	if (wr.failed)
		return ERR_INTERNAL;
	conn_queue(conn, &wr);
	return 0;
}

/* Back to where nothing has been answered. */
static int
forget(struct call *call)
{
	size_t i;

	for (i = 0; i < call->nsent; i++) {
		call->items->v[call->sent[i]].answered = false;
		call->items->v[call->sent[i]].error = 0;
	}
	call->nwaiting = call->nsent;
	call->message[0] = '\0';
	call->error = 0;
	report_text_done(&call->text);
	if (call->type == FRAME_LIST) {
		qapi_agent_items_free(&call->items);
		call->items = items_new(0);
		if (call->items == NULL)
			return ERR_NOMEM;
	}
	if (call->type == FRAME_STATUS) {
		qapi_agent_stats_free(&call->stats);
		call->stats = stats_new();
		if (call->stats == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

int
call_send(struct call *call, struct conn *conn, uint64_t wait_ms, uint64_t *id)
{
	size_t first, n;
	int r;

	if ((r = forget(call)) != 0)
		return r;
	/* PURGE knows no terms; all that it is given are absent. */
	if (call->type != FRAME_PURGE)
		call->terms.deadline_ms = wait_ms;
	call->first_id = *id + 1;
	call->nrequests = 0;
	if (service_is(call)) {
		call->nrequests = 1;
		*id += 1;
		return service_send(call, conn, *id);
	}
	if (call->sent == NULL) {
		call->nrequests = 1;
		*id += 1;
		if (call->all)
			return send_refs(call, conn, *id, 0, 0);
		return send_plain(call, conn, *id);
	}
	if (call->type == FRAME_REJECT || call->type == FRAME_EXPLAIN) {
		call->nrequests = 1;
		*id += 1;
		return send_one(call, conn, *id);
	}
	for (first = 0; first < call->nsent; first += n) {
		n = call->nsent - first;
		if (n > MSG_REFS_MAX)
			n = MSG_REFS_MAX;
		call->nrequests++;
		*id += 1;
		if ((r = send_refs(call, conn, *id, first, n)) != 0)
			return r;
	}
	return 0;
}

static void
set_message(struct call *call, struct view v)
{
	/* A decoder let it through, so it fits and holds no NUL. */
	if (v.len > MSG_MESSAGE_MAX)
		v.len = MSG_MESSAGE_MAX;
	if (v.len > 0)
		memcpy(call->message, v.p, v.len);
	call->message[v.len] = '\0';
}

static void
fail_item(struct call *call, size_t place, int error, const char *message)
{
	size_t i = call->sent[place];

	if (call->items->v[i].answered)
		return;
	items_fail(call->items, i, error, message);
	call->nwaiting--;
}

/* Whatever of request k has no answer. */
static void
fail_request(struct call *call, size_t k, int error, const char *message)
{
	size_t place = k * MSG_REFS_MAX;
	size_t end = place + MSG_REFS_MAX;

	if (end > call->nsent)
		end = call->nsent;
	for (; place < end; place++)
		fail_item(call, place, error, message);
}

void
call_fail_rest(struct call *call, int error, const char *message)
{
	size_t place;

	for (place = 0; place < call->nsent; place++)
		fail_item(call, place, error, message);
}

/* What the caller gets to know of an answer that cannot be decoded. */
static int
wrong(int r)
{
	return r == ERR_UNSUPPORTED ? r : ERR_INTERNAL;
}

static int
on_result(struct call *call, const struct frame *frame)
{
	size_t k = (size_t)(frame->id - call->first_id), place;
	struct msg_result m;
	int r;

	if (call->sent == NULL)
		return ERR_INTERNAL;
	if ((r = msg_result_decode(frame->body, &m)) != 0)
		return wrong(r);
	place = k * MSG_REFS_MAX + m.index;
	if (m.index >= MSG_REFS_MAX || place >= call->nsent ||
	    call->items->v[call->sent[place]].answered)
		return ERR_INTERNAL;
	if ((r = items_answer(call->items, call->sent[place], &m)) != 0)
		return r;
	call->nwaiting--;
	if (!(frame->flags & FRAME_MORE))
		fail_request(call, k, ERR_INTERNAL, left_out);
	return call->nwaiting == 0 ? 0 : ERR_AGAIN;
}

static int
on_rows(struct call *call, const struct frame *frame)
{
	struct view pos = frame->body;
	struct msg_meta listing;
	struct msg_row row;
	int r;

	if ((r = msg_rows_decode(frame->body, &listing)) != 0)
		return wrong(r);
	while ((r = msg_row_next(&pos, &row)) == 0) {
		if ((r = items_add_row(call->items, &row)) != 0)
			return r;
	}
	if (r != ERR_AGAIN)
		return wrong(r);
	if (frame->flags & FRAME_MORE)
		return ERR_AGAIN;
	call->items->freshness = (enum qapi_agent_freshness)listing.freshness;
	call->items->age_ms = listing.age_ms;
	return 0;
}

static int
on_stats(struct call *call, const struct frame *frame)
{
	struct view pos = frame->body;
	struct msg_stat m;
	int r;

	while ((r = msg_stat_next(&pos, &m)) == 0) {
		if ((r = stats_add(call->stats, &m)) != 0)
			return r;
	}
	if (r != ERR_AGAIN)
		return wrong(r);
	return frame->flags & FRAME_MORE ? ERR_AGAIN : 0;
}

static int
on_explained(struct call *call, const struct frame *frame)
{
	struct msg_explained m;
	int r;

	if ((r = msg_explained_decode(frame->body, &m)) != 0)
		return wrong(r);
	r = explanation_new(&m, &call->explanation);
	if (r != 0)
		return r;
	call->items->v[call->sent[0]].answered = true;
	call->nwaiting = 0;
	return 0;
}

static int
on_text(struct call *call, const struct frame *frame)
{
	struct msg_text m;
	int r;

	if ((r = msg_text_decode(frame->body, &m)) != 0)
		return wrong(r);
	if ((r = report_text_add(&call->text, m.text)) != 0)
		return r;
	return frame->flags & FRAME_MORE ? ERR_AGAIN : 0;
}

static int
on_done(struct call *call, const struct frame *frame)
{
	int r;

	if (call->sent != NULL)
		return ERR_INTERNAL;
	r = msg_done_decode(frame->body, &call->done);
	return r == 0 ? 0 : wrong(r);
}

static int
on_error(struct call *call, const struct frame *frame)
{
	struct msg_error m;
	int r;

	if ((r = msg_error_decode(frame->body, &m)) != 0)
		return wrong(r);
	set_message(call, m.message);
	if (call->sent == NULL) {
		call->error = m.error;
		return 0;
	}
	fail_request(call, (size_t)(frame->id - call->first_id), m.error,
	    call->message);
	return call->nwaiting == 0 ? 0 : ERR_AGAIN;
}

static const struct {
	uint8_t request;
	uint8_t answer;
	int (*on)(struct call *, const struct frame *);
} answers[] = {
	{FRAME_PING, FRAME_DONE, on_done},
	{FRAME_GET, FRAME_RESULT, on_result},
	{FRAME_LIST, FRAME_ROWS, on_rows},
	{FRAME_STATUS, FRAME_STATS, on_stats},
	{FRAME_REFRESH, FRAME_RESULT, on_result},
	{FRAME_REFRESH, FRAME_DONE, on_done},
	{FRAME_PURGE, FRAME_RESULT, on_result},
	{FRAME_PURGE, FRAME_DONE, on_done},
	{FRAME_REJECT, FRAME_RESULT, on_result},
	{FRAME_EXPLAIN, FRAME_EXPLAINED, on_explained},
	{FRAME_METRICS, FRAME_METRICS_TEXT, on_text},
	{FRAME_CALL, FRAME_CALLED, service_on_called},
	{FRAME_ENCRYPT, FRAME_RESULT, on_result},
	{FRAME_DECRYPT, FRAME_RESULT, on_result},
	{FRAME_SIGN, FRAME_RESULT, on_result},
	{FRAME_VERIFY, FRAME_VERIFIED, service_on_verified},
};

bool
call_may_repeat(const struct call *call)
{
	return !service_is(call) || service_may_repeat(call);
}

bool
call_owns(const struct call *call, uint64_t id)
{
	return id >= call->first_id && id - call->first_id < call->nrequests;
}

int
call_feed(struct call *call, const struct frame *frame)
{
	size_t i;

	if (frame->type == FRAME_ERROR)
		return on_error(call, frame);
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].request == call->type &&
		    answers[i].answer == frame->type)
			return answers[i].on(call, frame);
	}
	return ERR_INTERNAL;
}
