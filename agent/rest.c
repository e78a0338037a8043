#include "config.h"

#include "rest_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "limit.h"
#include "lookup.h"
#include "msg.h"
#include "peer.h"
#include "settings.h"
#include "timers.h"

#define REST_MARGIN_MS 20	/* as REQUEST_MARGIN_MS */
#define REST_LISTING_AGE_MS 10000 /* older, and a name not in it is asked for */

static const char id_mark[] = "{id}";

/* --- life --- */

/* Cancel what it waits for; its caller hears no more of it. */
static void
rest_stop(struct rest *r)
{
	if (r->wait != NULL) {
		fetch_cancel(r->wait);
		session_count_waiting(r->s, -1);
	}
	if (r->relay != NULL) {
		relay_cancel(r->relay);
		session_count_waiting(r->s, -1);
	}
	r->wait = NULL;
	r->relay = NULL;
}

/* What it owns, besides itself. */
static void
rest_clear(struct rest *r)
{
	rest_stop(r);
	timer_free(r->deadline);
	timer_free(r->turn);
	object_unref(r->base);
	rest_rows_free(r->rows);
	free(r->expanded);
	free(r->id);
	free(r->rule);
}

static void
rest_free(struct rest *r)
{
	rest_clear(r);
	free(r);
}

void
rest_cancel(struct rest *r)
{
	rest_free(r);
}

void
rest_set_arg(struct rest *r, void *arg)
{
	r->arg = arg;
}

/* --- steps --- */

/* The answer is there: nothing of r is left when its caller hears of it. */
static void
rest_finish(struct rest *r, struct rest_answer *answer)
{
	rest_cb *cb = r->cb;
	void *arg = r->arg;

	rest_free(r);
	cb(arg, answer);
}

void
rest_go_on(struct rest *r, const struct rest_event *ev)
{
	struct rest_answer answer;
	struct now now;

	memset(&answer, 0, sizeof(answer));
	clock_read(&now);
	if (r->step(r, &now, ev, &answer) != ERR_AGAIN)
		rest_finish(r, &answer);
}

static void
rest_fetched_cb(void *arg, struct fetch_result *result)
{
	const struct rest_event ev = { .fetched = result };
	struct rest *r = arg;

	r->wait = NULL;
	session_count_waiting(r->s, -1);
	rest_go_on(r, &ev);
}

/* Only reads are given up by this; what is handed on has its own time. */
static void
rest_deadline_cb(void *arg)
{
	struct fetch_result result;
	const struct rest_event ev = { .fetched = &result };
	struct rest *r = arg;
	struct now now;

	if (r->wait == NULL)
		return;
	clock_read(&now);
	fetch_give_up(r->wait, &now, &result);
	r->wait = NULL;
	session_count_waiting(r->s, -1);
	/* what else it would wait for, it does not */
	r->rq.only_if_cached = true;
	rest_go_on(r, &ev);
}

static void
rest_turn_cb(void *arg)
{
	const struct rest_event ev = { .fetched = NULL };

	rest_go_on(arg, &ev);
}

int
rest_later(struct rest *r, rest_step *step)
{
	assert(r->kept);
	if (r->turn == NULL)
		r->turn = timer_new(r->s->env->base, rest_turn_cb, r);
	if (r->turn == NULL)
		return ERR_NOMEM;
	r->step = step;
	timer_set(r->turn, 0);
	return ERR_AGAIN;
}

void
rest_terms(const struct rest *r, struct fetch_query *ret)
{
	*ret = (struct fetch_query){
		.max_age_ms = r->rq.max_age_ms,
		.max_stale_ms = r->rq.max_stale_ms,
		.only_if_cached = r->rq.only_if_cached,
		.fresh = r->rq.fresh,
		.patient = session_is_patient(r->s),
	};
}

int
rest_fetch(struct rest *r, const struct fetch_query *q, enum ref_kind list,
    const struct now *now, struct fetch_result *result, rest_step *step)
{
	struct fetch *f = r->s->env->fetch;
	int e;

	e = list != 0
	    ? fetch_list(f, list, q, now, result, rest_fetched_cb, &r->wait)
	    : fetch_get(f, q, now, result, rest_fetched_cb, &r->wait);
	if (e == 0) {
		r->wait = NULL;
		return 0;
	}
	if (session_waits_too_much(r->s)) {
		fetch_cancel(r->wait);
		r->wait = NULL;
		lookup_fail(result, ERR_BUSY, "too many requests of this user "
		    "wait for the service; ask again later");
		return 0;
	}
	r->step = step;
	r->waited = true;
	session_count_waiting(r->s, 1);
	if (r->kept)
		fetch_set_arg(r->wait, r);
	return ERR_AGAIN;
}

/* --- from the stack to the heap --- */

static struct view
copy_text(char **store, struct view text)
{
	struct view copy = { (const uint8_t *)*store, text.len };

	if (text.len > 0)
		memcpy(*store, text.p, text.len);
	*store += text.len;
	return copy;
}

/* A view into one text, moved to the copy of it. */
static void
move_view(struct view *v, struct view from, struct view to)
{
	if (v->len > 0)
		v->p = to.p + (v->p - from.p);
}

static void
copy_request(struct rest *to, const struct rest *from)
{
	const struct rest_request *rq = &from->rq;
	struct view method = { (const uint8_t *)rq->method,
	    strlen(rq->method) + 1 };
	char *store = to->store;
	size_t i;

	to->rq.method = (const char *)copy_text(&store, method).p;
	to->rq.content_type = copy_text(&store, rq->content_type);
	to->rq.accept = copy_text(&store, rq->accept);
	to->rq.ref = copy_text(&store, rq->ref);
	if (from->expanded == NULL)
		to->rq.target = copy_text(&store, rq->target);
	move_view(&to->m.path, rq->target, to->rq.target);
	move_view(&to->m.query, rq->target, to->rq.target);
	for (i = 0; i < to->m.nparams; i++)
		move_view(&to->m.params[i], rq->target, to->rq.target);
}

/* r's own things go along; NULL for no memory, and then they are gone. */
static struct rest *
rest_keep(struct rest *r)
{
	const struct rest_request *rq = &r->rq;
	uint64_t ms = rq->deadline_ms;
	struct rest *kept;

	kept = malloc(sizeof(*kept) + strlen(rq->method) + 1 + rq->target.len +
	    rq->content_type.len + rq->accept.len + rq->ref.len);
	if (kept == NULL) {
		rest_clear(r);
		return NULL;
	}
	*kept = *r;
	kept->kept = true;
	copy_request(kept, r);
	if (kept->wait != NULL)
		fetch_set_arg(kept->wait, kept);
	if (ms == MSG_NO_LIMIT)
		return kept;
	kept->deadline = timer_new(r->s->env->base, rest_deadline_cb, kept);
	if (kept->deadline == NULL) {
		rest_free(kept);
		return NULL;
	}
	timer_set(kept->deadline,
	    ms > 5 * REST_MARGIN_MS ? ms - REST_MARGIN_MS : ms);
	return kept;
}

/* --- the id in a target --- */

/* The mark in the path of the target, or NULL. */
static const uint8_t *
find_mark(struct view target)
{
	const uint8_t *end = memchr(target.p, '?', target.len);
	size_t len = end == NULL ? target.len : (size_t)(end - target.p);

	return memmem(target.p, len, id_mark, sizeof(id_mark) - 1);
}

static int
put_id(struct rest *r, struct view id, const struct now *now,
    struct rest_answer *answer)
{
	struct view left = r->rq.target;
	const uint8_t *mark;
	char *text, *at;
	size_t n;

	/* each mark is longer than half of what it becomes at most */
	text = malloc(left.len / (sizeof(id_mark) - 1) * id.len + left.len);
	if (text == NULL)
		return rest_fail(answer, ERR_NOMEM, NULL);
	for (at = text; (mark = find_mark(left)) != NULL; at += id.len) {
		n = (size_t)(mark - left.p);
		memcpy(at, left.p, n);
		at += n;
		memcpy(at, id.p, id.len);
		n += sizeof(id_mark) - 1;
		left.p += n;
		left.len -= n;
	}
	memcpy(at, left.p, left.len);
	r->expanded = text;
	r->rq.target = (struct view){ (const uint8_t *)text,
	    (size_t)(at - text) + left.len };
	return rest_route(r, now, answer);
}

/* An error about the reference, if the caller may know. */
static int
fail_reference(struct rest *r, const struct ref *ref, int error,
    const char *message, struct rest_answer *answer)
{
	if (!access_may_tell(r->s, POLICY_READ, ref) &&
	    !access_may_tell(r->s, POLICY_CALL, ref))
		return rest_deny(r, POLICY_CALL, answer);
	return rest_fail(answer, error, message);
}

static int
fail_ambiguous(struct rest *r, const struct ref *ref, struct view id,
    struct view other, struct rest_answer *answer)
{
	char message[2 * MSG_ID_MAX + 64];

	(void)snprintf(message, sizeof(message), "two %ss have this name, %.*s "
	    "and %.*s: use an id", ref->kind == REF_KEY ? "key" : "secret",
	    (int)id.len, (const char *)id.p, (int)other.len,
	    (const char *)other.p);
	return fail_reference(r, ref, ERR_AMBIGUOUS, message, answer);
}

static int rest_listed(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer);

/* Find the id of the reference, by a newer listing if that must be. */
static int
rest_expand(struct rest *r, const struct now *now, struct rest_answer *answer)
{
	struct fetch_query q;
	struct fetch_result result;
	struct rest_event ev = { .fetched = &result };
	struct ref *ref = &r->s->env->ref;
	struct view id, name;
	const char *why;
	int e;

	if (find_mark(r->rq.target) == NULL)
		return rest_fail(answer, ERR_BAD_REQUEST, "a reference was "
		    "given, and no {id} in the path that stands for it");
	if (ref_parse((const char *)r->rq.ref.p, r->rq.ref.len, ref, &why) !=
	    0)
		return rest_fail(answer, ERR_BAD_REQUEST, why);
	e = fetch_known(r->s->env->fetch, ref->kind, ref->name, &id, &name);
	if (e == 0)
		return put_id(r, id, now, answer);
	if (e == ERR_AMBIGUOUS)
		return fail_ambiguous(r, ref, id, name, answer);
	if (r->listed && lookup_looks_like_id(ref->name))
		return put_id(r, ref->name, now, answer);
	if (r->listed)
		return fail_reference(r, ref, ERR_NOT_FOUND, NULL, answer);
	rest_terms(r, &q);
	q.max_age_ms = REST_LISTING_AGE_MS;
	if (rest_fetch(r, &q, ref->kind, now, &result, rest_listed) ==
	    ERR_AGAIN)
		return ERR_AGAIN;
	return rest_listed(r, now, &ev, answer);
}

static int
rest_listed(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	listing_unref(ev->fetched->listing);
	if (ev->fetched->error != 0)
		return rest_fail(answer, ev->fetched->error,
		    ev->fetched->message);
	r->listed = true;
	return rest_expand(r, now, answer);
}

/* --- the beginning --- */

void
rest_right(const struct rest *r, enum policy_op op, struct rest_right *ret)
{
	ret->call = (struct policy_call){ .method = r->rq.method };
	if (endpoints_plain(&r->m, ret->plain, sizeof(ret->plain)) == 0 ||
	    (r->m.endpoint == NULL && policy_path_normalise(r->m.path,
	    ret->plain, sizeof(ret->plain)) == 0))
		ret->call.path = ret->plain;
	ret->by = (struct access_right){ .op = op, .call = &ret->call };
}

enum policy_verdict
rest_may(const struct rest *r, enum policy_op op, const struct ref *ref)
{
	struct rest_right right;

	if (access_covers_all(r->s, op))
		return POLICY_ALLOWED;
	rest_right(r, op, &right);
	return access_may_by(r->s, &right.by, ref);
}

bool
rest_may_tell(const struct rest *r, enum policy_op op, const struct ref *ref)
{
	struct rest_right right;

	if (access_covers_all(r->s, op))
		return true;
	rest_right(r, op, &right);
	return access_may_tell_by(r->s, &right.by, ref);
}

bool
rest_may_have(const struct rest *r, enum policy_op op, const struct object *o)
{
	struct rest_right right;

	if (access_covers_all(r->s, op))
		return true;
	rest_right(r, op, &right);
	return access_may_have_by(r->s, &right.by, o);
}

const char *
rest_rule(const struct rest *r, enum policy_op op, const struct object *o)
{
	struct rest_right right;
	const char *title;

	rest_right(r, op, &right);
	(void)access_to(r->s, &right.by, o->kind,
	    fetch_name_of(r->s->env->fetch, o), object_id(o), &title);
	return title;
}

int
rest_route(struct rest *r, const struct now *now, struct rest_answer *answer)
{
	if (endpoints_match(r->rq.method, r->rq.target, &r->m) != 0)
		return rest_fail(answer, ERR_BAD_REQUEST, "this is no path "
		    "that the service could have: it begins with /, has no "
		    "empty part, \".\" or \"..\", and other characters are "
		    "percent-encoded");
	if (r->m.endpoint == NULL)
		return rest_call_start(r, now, answer);
	switch (r->m.endpoint->way) {
	case ENDPOINT_CACHED_SECRET:
		return rest_secret_start(r, now, answer);
	case ENDPOINT_CACHED_KEY:
		return rest_key_start(r, now, answer);
	case ENDPOINT_LIST_SECRETS:
	case ENDPOINT_LIST_KEYS:
		return rest_list_start(r, now, answer);
	case ENDPOINT_RELAYED:
	case ENDPOINT_CRYPTO:
	case ENDPOINT_REFUSED:
		break;
	}
	return rest_call_start(r, now, answer);
}

static int
rest_begin(struct rest *r, const struct now *now, struct rest_answer *answer)
{
	if (r->rq.ref.len > 0 && r->expanded == NULL)
		return rest_expand(r, now, answer);
	return rest_route(r, now, answer);
}

int
rest_start(struct session *s, const struct rest_request *rq,
    const struct now *now, struct rest_answer *answer, rest_cb *cb,
    struct rest **ret_rest)
{
	struct rest first = {
		.s = s, .rq = *rq, .cb = cb, .begun_boot_ms = now->boot_ms,
	};
	struct rest *r = &first;
	int e;

	memset(answer, 0, sizeof(*answer));
	if (!limit_take(s->env->limit, peer_uid(s->peer), now))
		return rest_fail(answer, ERR_RATE_LIMITED, "more requests a "
		    "second than max-requests-per-second-per-caller");
	e = rest_begin(r, now, answer);
	if (e == REST_DONE) {
		rest_clear(r);
		return 0;
	}
	r = rest_keep(r);
	if (r == NULL)
		return rest_fail(answer, ERR_NOMEM, NULL);
	if (e == REST_KEEP && (e = rest_begin(r, now, answer)) == REST_DONE) {
		rest_free(r);
		return 0;
	}
	assert(e == ERR_AGAIN);
	*ret_rest = r;
	return ERR_AGAIN;
}
