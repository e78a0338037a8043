#include "config.h"

#include "subscribe.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "err.h"
#include "lookup.h"
#include "msg_watch.h"
#include "policy.h"
#include "request.h"
#include "settings.h"
#include "watch.h"

/* What is no news if the reference means another thing by now. */
#define SUBSCRIBE_DOUBTFUL (WATCH_BIT(CACHE_EVENT_CHANGED) | \
	WATCH_BIT(CACHE_EVENT_GONE))

/* Room for the answer and all events of one reference. */
#define SUBSCRIBE_ROOM (MSG_RESULT_HEAD_MAX + WATCH_EVENTS * MSG_EVENT_LEN)

/* One reference of a WATCH. */
struct subscription {
	struct watch_sub sub;
	struct position told;	/* what the subscriber knows */
	bool given;		/* told is what it came with */
	bool answered;		/* its RESULT was put */
	bool ended;		/* it has an error that ends it */
	bool listing;		/* item's wait is for a newer listing */
	uint8_t held;		/* WATCH_BIT(): told only if the reference
				 * still means that */
	uint8_t name[];		/* decoded, for sub */
};

/* --- beginning and end --- */

static void
subscribe_free(struct session_item *item)
{
	struct session *s = item->request->session;

	if (item->subscription == NULL)
		return;
	watch_end(&item->subscription->sub);
	free(item->subscription);
	item->subscription = NULL;
	s->watches--;
	if (s->caller != NULL)
		s->caller->watches--;
}

static void
subscribe_done(struct request *rq)
{
	size_t i;

	for (i = 0; i < rq->nitems; i++)
		subscribe_free(&rq->items[i]);
}

static void
subscribe_cancel(struct request *rq, struct out *out)
{
	const struct msg_done done = { .count = 0 };
	uint64_t id = rq->id;
	struct wr wr;

	request_free(rq);
	wr = out_begin(out);
	msg_done_encode(&wr, id, &done);
	out_commit(out, &wr);
}

/* The reference is not watched any longer, for a reason that is to be told. */
static void
subscribe_fail(struct session_item *item, int error, const char *message)
{
	free(item->message);
	item->error = error;
	item->message = message != NULL ? strdup(message) : NULL;
	if (item->subscription != NULL)
		item->subscription->ended = true;
	request_ready(item);
}

static void
subscribe_deny(struct session_item *item)
{
	subscribe_fail(item, ERR_DENIED, ACCESS_DENIED_TEXT);
}

/* --- what a reference means --- */

static struct ref *
subscribe_ref(struct session_item *item)
{
	struct ref *ref = &item->request->session->env->ref;

	/* it was parsed before */
	(void)ref_parse((const char *)item->ref.p, item->ref.len, ref, NULL);
	return ref;
}

/* Nothing that passes: to ask again would not help. */
static bool
subscribe_is_final(int error)
{
	return error == ERR_BAD_REQUEST || error == ERR_AMBIGUOUS ||
	    error == ERR_TOO_LARGE || error == ERR_UNSUPPORTED;
}

/* The service says that it has no such thing, or gives it to nobody here. */
static bool
subscribe_is_absent(int error)
{
	return error == ERR_NOT_FOUND || error == ERR_DENIED ||
	    error == ERR_INSUFFICIENT_SCOPE;
}

/*
 * Hang it on the entry with this object.  Returns 0, or ERR_DENIED if the
 * subscription is over.
 */
static int
subscribe_bind(struct session_item *item, const struct ref *ref,
    const struct object *o, const struct now *now)
{
	struct session *s = item->request->session;
	struct watch_sub *sub = &item->subscription->sub;
	const struct cache_key key = {
		.kind = ref->kind, .format = ref->format,
		.version = ref->version, .id = object_id(o),
	};

	if (!access_may_have(s, POLICY_WATCH, o)) {
		subscribe_deny(item);
		return ERR_DENIED;
	}
	if (!watch_is_bound_to(sub, &key))
		sub->pending = 0;	/* was about another thing */
	if (watch_bind(sub, &key) != 0) {
		/* evicted at once, or no memory: try again */
		watch_lost(sub, false, now);
		item->error = ERR_BUSY;
	} else {
		sub->pending |= WATCH_BIT(CACHE_EVENT_CHANGED);
	}
	return 0;
}

/* No value was given, but is one held: expired, or too old? */
static const struct object *
subscribe_held(struct session_item *item, const struct ref *ref,
    const struct now *now)
{
	struct fetch_standing st;

	fetch_stand(item->request->session->env->fetch, ref, now, &st);
	return st.entry != NULL ? st.entry->object : NULL;
}

static void
subscribe_found_nothing(struct session_item *item, const struct ref *ref,
    const struct now *now)
{
	struct subscription *sc = item->subscription;
	const struct object *o;

	if (subscribe_is_absent(item->error)) {
		watch_lost(&sc->sub, true, now);
		sc->sub.pending |= WATCH_BIT(CACHE_EVENT_GONE);
		return;
	}
	o = subscribe_held(item, ref, now);
	if (o != NULL) {
		(void)subscribe_bind(item, ref, o, now);
		return;
	}
	watch_lost(&sc->sub, false, now);
	sc->sub.pending |= sc->held;
}

static void subscribe_look(struct session_item *item, const struct now *now);

/* A request_ops.settle: what a look at the reference found. */
static void
subscribe_settle(struct session_item *item, const struct fetch_result *result)
{
	struct session *s = item->request->session;
	struct subscription *sc = item->subscription;
	struct ref *ref;
	struct now now;

	clock_read(&now);
	if (sc->listing) {
		/* newer or not, it is the best there is */
		sc->listing = false;
		listing_unref(result->listing);
		subscribe_look(item, &now);
		return;
	}
	ref = subscribe_ref(item);
	item->error = result->error;
	free(item->message);
	item->message = NULL;
	if (result->error == 0) {
		(void)subscribe_bind(item, ref, result->object, &now);
	} else if (!access_may_tell(s, POLICY_WATCH, ref)) {
		subscribe_deny(item);
	} else if (subscribe_is_final(result->error)) {
		subscribe_fail(item, result->error, result->message);
	} else {
		item->message = strdup(result->message);
		subscribe_found_nothing(item, ref, &now);
	}
	sc->held = 0;
	object_unref(result->object);
	if (!sc->answered || sc->sub.pending != 0)
		request_ready(item);
}

static void
subscribe_fetched_cb(void *arg, struct fetch_result *result)
{
	struct session_item *item = arg;
	struct session *s = item->request->session;

	session_count_waiting(s, -1);
	request_settle(item, result);
	s->wake(s->arg);
}

/* Look what the reference means, and have it read if it is not there. */
static void
subscribe_look(struct session_item *item, const struct now *now)
{
	struct session *s = item->request->session;
	const struct fetch_query q = {
		.ref = subscribe_ref(item),
		.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
		.quiet = true, .patient = session_is_patient(s),
	};
	struct fetch_result result;

	if (fetch_get(s->env->fetch, &q, now, &result, subscribe_fetched_cb,
	    &item->wait) == 0) {
		request_settle(item, &result);
		return;
	}
	fetch_set_arg(item->wait, item);
	session_count_waiting(s, 1);
}

/* The same, after a newer listing came. */
static void
subscribe_relist(struct session_item *item, const struct now *now)
{
	struct session *s = item->request->session;
	struct subscription *sc = item->subscription;
	const struct fetch_query q = {
		.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
		.fresh = true, .quiet = true, .patient = true,
	};
	struct fetch_result result;

	sc->listing = true;
	if (fetch_list(s->env->fetch, sc->sub.kind, &q, now, &result,
	    subscribe_fetched_cb, &item->wait) == 0) {
		request_settle(item, &result);
		return;
	}
	fetch_set_arg(item->wait, item);
	session_count_waiting(s, 1);
}

/* --- news --- */

/* Has the value another name than it was asked for by? */
static bool
subscribe_renamed(const struct subscription *sc)
{
	const struct cache_entry *e = watch_entry(&sc->sub);
	struct view name;

	if (e == NULL || e->object == NULL || !watch_is_by_name(&sc->sub))
		return false;
	name = object_name(e->object);
	return name.len > 0 && (name.len != sc->sub.text.len ||
	    memcmp(name.p, sc->sub.text.p, name.len) != 0);
}

enum subscribe_doubt {
	SUBSCRIBE_SURE,
	SUBSCRIBE_LOOK,		/* what the reference means may have changed */
	SUBSCRIBE_RELIST,	/* and the listing is too old to tell */
};

/*
 * Does what happened make it doubtful what the reference means?  A secret that
 * was deleted and made anew under its name has changed, and is not gone.
 */
static enum subscribe_doubt
subscribe_doubts(struct subscription *sc)
{
	struct watch_sub *sub = &sc->sub;
	const bool look = sub->look_again;

	sub->look_again = false;
	if (((sub->pending & WATCH_BIT(CACHE_EVENT_GONE)) &&
	    watch_is_by_name(sub) && sub->state == WATCH_BOUND) ||
	    ((sub->pending & WATCH_BIT(CACHE_EVENT_CHANGED)) &&
	    subscribe_renamed(sc)))
		return SUBSCRIBE_RELIST;
	if (look || ((sub->pending & WATCH_BIT(CACHE_EVENT_CHANGED)) &&
	    sub->state != WATCH_BOUND))
		return SUBSCRIBE_LOOK;
	return SUBSCRIBE_SURE;
}

/* What may be no news waits until that is known. */
static void
subscribe_hold(struct subscription *sc)
{
	sc->held |= sc->sub.pending & SUBSCRIBE_DOUBTFUL;
	sc->sub.pending &= (uint8_t)~SUBSCRIBE_DOUBTFUL;
}

/* A watch_sub.ready: from a timer, or after a reload. */
static void
subscribe_ready_cb(void *arg)
{
	struct session_item *item = arg;
	struct session *s = item->request->session;
	struct subscription *sc = item->subscription;
	enum subscribe_doubt doubt;
	struct now now;

	if (sc->ended)
		return;
	clock_read(&now);
	doubt = item->wait == NULL ? subscribe_doubts(sc) : SUBSCRIBE_SURE;
	if (item->wait != NULL || doubt != SUBSCRIBE_SURE)
		subscribe_hold(sc);
	sc->sub.look_again = false;
	if (doubt == SUBSCRIBE_RELIST)
		subscribe_relist(item, &now);
	else if (doubt == SUBSCRIBE_LOOK)
		subscribe_look(item, &now);
	if (sc->answered && (sc->sub.pending != 0 || sc->sub.recheck))
		request_ready(item);
	if (item->is_ready)
		s->wake(s->arg);
}

/* --- frames --- */

static uint16_t
subscribe_more(const struct request *rq)
{
	return rq->left > 0 ? FRAME_MORE : 0;
}

/* The last word about a reference. */
static void
subscribe_put_end(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct session *s = rq->session;

	if (item->error == ERR_DENIED)
		s->env->metrics->denied++;
	audit_record(s->env->audit, s->peer, "watch", item->ref, item->error,
	    NULL);
	rq->left--;
	request_put_error(out, rq->id, subscribe_more(rq), item->index,
	    item->error, item->message);
	subscribe_free(item);
}

static void
subscribe_put_event(struct session_item *item, struct out *out,
    enum cache_event ev)
{
	static const uint8_t reasons[WATCH_EVENTS] = {
		[CACHE_EVENT_CHANGED] = MSG_REASON_CHANGED,
		[CACHE_EVENT_EXPIRING] = MSG_REASON_EXPIRING,
		[CACHE_EVENT_EXPIRED] = MSG_REASON_EXPIRED,
		[CACHE_EVENT_GONE] = MSG_REASON_GONE,
		[CACHE_EVENT_STALE] = MSG_REASON_STALE,
		[CACHE_EVENT_FRESH_AGAIN] = MSG_REASON_FRESH_AGAIN,
	};
	const struct msg_event m = {
		.index = item->index,
		.reason = reasons[ev],
		.position = position_view(&item->subscription->told),
	};
	struct wr wr = out_begin(out);

	msg_event_encode(&wr, item->request->id, &m);
	out_commit(out, &wr);
	item->request->session->env->metrics->watch_events[ev]++;
}

/* Tell where the value is, if that is not what the subscriber knows. */
static void
subscribe_put_moved(struct session_item *item, struct out *out,
    const struct position *to)
{
	struct subscription *sc = item->subscription;

	if (position_equal(&sc->told, to))
		return;
	sc->told = *to;
	subscribe_put_event(item, out, position_is_none(to)
	    ? CACHE_EVENT_GONE : CACHE_EVENT_CHANGED);
}

/* What is held, in the RESULT; without the value. */
static void
subscribe_fill(struct session *s, struct cache_entry *e,
    struct msg_result *m)
{
	const struct object *o = e->object;
	struct now now;

	clock_read(&now);
	m->meta.freshness = (uint8_t)fetch_freshness(cache_state(
	    fetch_cache(s->env->fetch), e, &now));
	m->meta.age_ms = cache_age(e, &now);
	m->meta.id = object_id(o);
	m->meta.name = fetch_name_of(s->env->fetch, o);
	m->meta.version = o->version;
	m->meta.updated_at = o->updated_at;
	m->meta.expires_at = o->expires_at;
}

/* The first answer: subscribed, and how things are. */
static void
subscribe_put_first(struct session_item *item, struct cache_entry *e,
    struct out *out)
{
	struct subscription *sc = item->subscription;
	struct session *s = item->request->session;
	struct msg_result m = { .index = item->index, .error = item->error };
	const char *why = item->message != NULL ? item->message
	    : err_text(item->error);
	struct position at, seen = sc->told;
	struct wr wr;

	watch_position(&sc->sub, &at);
	if (sc->sub.state == WATCH_UNKNOWN && position_is_none(&at))
		at = seen;
	msg_meta_init(&m.meta);
	if (item->error == 0 && e != NULL && e->object != NULL)
		subscribe_fill(s, e, &m);
	else if (item->error == 0)
		m.error = ERR_NOT_FOUND;
	if (m.error != 0)
		m.message = (struct view){ (const uint8_t *)why, strlen(why) };
	m.position = position_view(&at);
	wr = out_begin(out);
	msg_result_encode(&wr, FRAME_MORE, item->request->id, &m, false);
	out_commit(out, &wr);
	sc->answered = true;
	sc->sub.pending = 0;
	sc->told = at;
	if (!sc->given)
		return;
	sc->told = seen;
	subscribe_put_moved(item, out, &at);
}

static void
subscribe_put_news(struct session_item *item, struct out *out)
{
	struct subscription *sc = item->subscription;
	uint8_t pending = watch_take(&sc->sub);
	struct position at;
	unsigned int ev;

	if (pending & (WATCH_BIT(CACHE_EVENT_CHANGED) |
	    WATCH_BIT(CACHE_EVENT_GONE))) {
		watch_position(&sc->sub, &at);
		subscribe_put_moved(item, out, &at);
	}
	for (ev = 0; ev < WATCH_EVENTS; ev++) {
		if (ev != CACHE_EVENT_CHANGED && ev != CACHE_EVENT_GONE &&
		    (pending & WATCH_BIT(ev)))
			subscribe_put_event(item, out, (enum cache_event)ev);
	}
}

/* May it still be watched, by what is held, or else by what was asked for? */
static bool
subscribe_may(struct session_item *item, const struct cache_entry *e)
{
	struct session *s = item->request->session;
	struct subscription *sc = item->subscription;
	bool recheck = sc->sub.recheck;

	sc->sub.recheck = false;
	if (e != NULL && e->object != NULL)
		return access_may_have(s, POLICY_WATCH, e->object);
	return !recheck || access_may_tell(s, POLICY_WATCH,
	    subscribe_ref(item));
}

static void
subscribe_audit(struct session_item *item, const struct cache_entry *e)
{
	struct session *s = item->request->session;
	const char *rule = NULL;

	if (e != NULL && e->object != NULL)
		(void)policy_check(s->env->settings->policy, s->peer,
		    POLICY_WATCH, e->kind, object_name(e->object),
		    object_id(e->object), &rule);
	audit_record(s->env->audit, s->peer, "watch", item->ref, item->error,
	    rule);
}

/* A request_ops.render. */
static bool
subscribe_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct subscription *sc = item->subscription;
	struct cache_entry *e;

	if (!out_has_room(out, SUBSCRIBE_ROOM))
		return false;
	request_take_off(item);
	e = sc != NULL ? watch_entry(&sc->sub) : NULL;
	if (sc != NULL && !sc->ended && !subscribe_may(item, e)) {
		subscribe_deny(item);
		request_take_off(item);
	}
	if (sc == NULL || sc->ended) {
		subscribe_put_end(item, out);
		if (rq->left == 0)
			request_free(rq);
	} else if (!sc->answered) {
		subscribe_audit(item, e);
		subscribe_put_first(item, e, out);
	} else {
		subscribe_put_news(item, out);
	}
	return true;
}

static const struct request_ops subscribe_ops = {
	.render = subscribe_render,
	.settle = subscribe_settle,
	.cancel = subscribe_cancel,
	.done = subscribe_done,
};

/* --- WATCH --- */

/* A place for one more, if its user has any left. */
static int
subscribe_enter(struct session_item *item, const struct ref *ref,
    struct view position)
{
	struct session *s = item->request->session;
	struct subscription *sc;

	if (s->watches >= SESSION_WATCHES_MAX || (s->caller != NULL &&
	    s->caller->watches >= CALLER_WATCHES_MAX))
		return ERR_BUSY;
	sc = calloc(1, sizeof(*sc) + ref->name.len);
	if (sc == NULL)
		return ERR_BUSY;
	memcpy(sc->name, ref->name.p, ref->name.len);
	item->subscription = sc;
	s->watches++;
	if (s->caller != NULL)
		s->caller->watches++;
	watch_begin(s->env->watch, &sc->sub, ref->kind,
	    (struct view){ sc->name, ref->name.len }, subscribe_ready_cb,
	    item);
	if (position.len > 0) {
		sc->given = true;
		position_from_view(position, &sc->told);
	}
	return 0;
}

static void
subscribe_one(struct session_item *item, struct view position,
    const struct now *now)
{
	struct session *s = item->request->session;
	struct ref *ref = &s->env->ref;
	const char *why;

	if (ref_parse((const char *)item->ref.p, item->ref.len, ref,
	    &why) != 0) {
		subscribe_fail(item, ERR_BAD_REQUEST, why);
	} else if (access_may(s, POLICY_WATCH, ref) == POLICY_DENIED) {
		subscribe_deny(item);
	} else if (session_waits_too_much(s)) {
		subscribe_fail(item, ERR_BUSY, "too many references of this "
		    "user wait for the service; ask again later");
	} else if (subscribe_enter(item, ref, position) != 0) {
		subscribe_fail(item, ERR_BUSY, "this user or connection "
		    "watches as many references as it may");
	} else {
		subscribe_look(item, now);
	}
}

int
subscribe_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_terms terms;
	struct msg_watch msg, walk;
	struct msg_watch_ref one;
	struct request *rq;
	struct session_item *item;
	uint8_t *text;
	size_t len = 0;
	int r;

	r = msg_watch_decode(frame->body, &msg);
	if (r != 0)
		return r;
	for (walk = msg; msg_watch_next(&walk, &one);)
		len += one.ref.len;
	msg_terms_init(&terms);
	terms.deadline_ms = msg.deadline_ms;
	rq = request_new(s, frame, &terms, msg.nrefs, len);
	if (rq == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return 0;
	}
	rq->ops = &subscribe_ops;
	rq->left = msg.nrefs;
	text = (uint8_t *)&rq->items[rq->nitems];
	for (item = rq->items; msg_watch_next(&msg, &one); item++) {
		item->request = rq;
		item->index = (uint16_t)(item - rq->items);
		memcpy(text, one.ref.p, one.ref.len);
		item->ref = (struct view){ text, one.ref.len };
		text += one.ref.len;
		subscribe_one(item, one.position, now);
	}
	return 0;
}
