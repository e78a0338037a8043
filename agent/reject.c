#include "config.h"

#include "reject.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "err.h"
#include "hash.h"
#include "lookup.h"
#include "msg_watch.h"
#include "policy.h"
#include "position.h"
#include "request.h"
#include "settings.h"

#define REJECT_BUCKETS 256

/* Who waits for a read; one a request. */
struct reject_waiter {
	TAILQ_ENTRY(reject_waiter) link;
	struct reject *reject;	/* NULL: it does not wait any more */
	struct session_item *item;
	uint64_t version;	/* of the value that was refused; 0: not said */
	bool given;		/* at was */
	struct position at;	/* of that value */
};

TAILQ_HEAD(reject_waiters, reject_waiter);

/* One thing that was refused. */
struct reject {
	SLIST_ENTRY(reject) chain;
	TAILQ_ENTRY(reject) link;	/* ended ones, oldest first */
	struct rejects *rj;
	struct reject_waiters waiters;
	struct fetch_wait *wait;	/* NULL: it has ended */
	uint64_t hash;
	bool ended;
	uint64_t ended_boot_ms;
	struct position before;	/* of what was held when it began */
	int error;		/* how it ended */
	char *message;		/* NULL: err_text() */
	struct cache_key key;	/* id (or, if that is not known, the name) is
				 * the copy below */
	uint8_t text[];
};

SLIST_HEAD(reject_bucket, reject);
TAILQ_HEAD(reject_list, reject);

struct rejects {
	struct fetch *f;
	struct metrics *metrics;
	struct hash_key hash_key;
	struct reject_bucket buckets[REJECT_BUCKETS];
	struct reject_list ended;
	size_t count;
};

/* --- the table --- */

struct rejects *
rejects_new(struct fetch *f, struct metrics *metrics)
{
	struct rejects *rj;
	size_t i;

	rj = calloc(1, sizeof(*rj));
	if (rj == NULL)
		return NULL;
	rj->f = f;
	rj->metrics = metrics;
	hash_key_init(&rj->hash_key);
	for (i = 0; i < REJECT_BUCKETS; i++)
		SLIST_INIT(&rj->buckets[i]);
	TAILQ_INIT(&rj->ended);
	return rj;
}

static struct reject_bucket *
reject_bucket(struct rejects *rj, uint64_t hash)
{
	return &rj->buckets[hash % REJECT_BUCKETS];
}

static void
reject_free(struct reject *r)
{
	struct rejects *rj = r->rj;

	assert(TAILQ_EMPTY(&r->waiters));
	SLIST_REMOVE(reject_bucket(rj, r->hash), r, reject, chain);
	if (r->wait != NULL)
		fetch_cancel(r->wait);
	else if (r->ended)
		TAILQ_REMOVE(&rj->ended, r, link);
	rj->count--;
	free(r->message);
	free(r);
}

void
rejects_free(struct rejects *rj)
{
	struct reject *r;
	size_t i;

	if (rj == NULL)
		return;
	for (i = 0; i < REJECT_BUCKETS; i++) {
		while ((r = SLIST_FIRST(&rj->buckets[i])) != NULL)
			reject_free(r);
	}
	free(rj);
}

/* Those that ended long ago are forgotten. */
static void
rejects_forget(struct rejects *rj, const struct now *now)
{
	struct reject *r;

	while ((r = TAILQ_FIRST(&rj->ended)) != NULL &&
	    now->boot_ms - r->ended_boot_ms >= REJECT_PAUSE_MS)
		reject_free(r);
}

/* By id, so that a thing is one whatever it is called by. */
static struct cache_key
reject_key(struct rejects *rj, const struct ref *ref)
{
	struct cache_key key = {
		.kind = ref->kind, .format = ref->format,
		.version = ref->version, .id = ref->name,
	};
	struct view id, name;

	if (fetch_known(rj->f, ref->kind, ref->name, &id, &name) == 0)
		key.id = id;
	return key;
}

static struct reject *
reject_find(struct rejects *rj, const struct cache_key *key, uint64_t hash)
{
	struct reject *r;

	SLIST_FOREACH(r, reject_bucket(rj, hash), chain) {
		if (r->hash == hash && r->key.kind == key->kind &&
		    r->key.format == key->format &&
		    r->key.version == key->version &&
		    r->key.id.len == key->id.len &&
		    memcmp(r->key.id.p, key->id.p, key->id.len) == 0)
			return r;
	}
	return NULL;
}

static struct reject *
reject_new(struct rejects *rj, const struct cache_key *key, uint64_t hash)
{
	struct reject *r;

	if (rj->count >= REJECT_MAX)
		return NULL;
	r = calloc(1, sizeof(*r) + key->id.len);
	if (r == NULL)
		return NULL;
	r->rj = rj;
	r->hash = hash;
	r->key = *key;
	memcpy(r->text, key->id.p, key->id.len);
	r->key.id.p = r->text;
	TAILQ_INIT(&r->waiters);
	SLIST_INSERT_HEAD(reject_bucket(rj, hash), r, chain);
	rj->count++;
	return r;
}

/* --- one read for all --- */

static void
reject_settle(struct reject_waiter *wt, int error, const char *message)
{
	struct session_item *item = wt->item;

	item->error = error;
	if (error != 0 && message != NULL)
		item->message = strdup(message);
	request_ready(item);
}

/* It waits no longer. */
static void
reject_leave(struct reject_waiter *wt)
{
	if (wt->reject == NULL)
		return;
	TAILQ_REMOVE(&wt->reject->waiters, wt, link);
	wt->reject = NULL;
	session_count_waiting(wt->item->request->session, -1);
}

static void
reject_end(struct reject *r, const struct fetch_result *result)
{
	struct reject_waiter *wt;
	struct session *s;
	struct now now;

	clock_read(&now);
	r->wait = NULL;
	r->ended = true;
	r->ended_boot_ms = now.boot_ms;
	TAILQ_INSERT_TAIL(&r->rj->ended, r, link);
	r->error = result->error;
	if (result->error != 0)
		r->message = strdup(result->message);
	object_unref(result->object);
	while ((wt = TAILQ_FIRST(&r->waiters)) != NULL) {
		s = wt->item->request->session;
		reject_leave(wt);
		reject_settle(wt, r->error, r->message);
		s->wake(s->arg);
	}
}

static void
reject_fetched_cb(void *arg, struct fetch_result *result)
{
	reject_end(arg, result);
}

static void
reject_start(struct reject *r, const struct ref *ref, bool patient,
    const struct now *now)
{
	const struct fetch_query q = {
		.ref = ref,
		.max_age_ms = MSG_NO_LIMIT, .max_stale_ms = MSG_NO_LIMIT,
		.fresh = true, .quiet = true, .patient = patient,
	};
	struct fetch_result result;

	r->rj->metrics->reject_reads++;
	if (fetch_get(r->rj->f, &q, now, &result, reject_fetched_cb,
	    &r->wait) == 0)
		reject_end(r, &result);
	else
		fetch_set_arg(r->wait, r);
}

/* --- the answer --- */

static const struct object *
reject_held(struct session *s, const struct ref *ref, const struct now *now,
    struct fetch_standing *st)
{
	fetch_stand(s->env->fetch, ref, now, st);
	return st->entry != NULL ? st->entry->object : NULL;
}

static bool
reject_is_other(struct session *s, const struct reject_waiter *wt,
    const struct object *o, struct position *ret_at)
{
	position_of(s->env->position_key, o, ret_at);
	if (wt->given)
		return !position_equal(&wt->at, ret_at);
	return wt->version != 0 && o->version != wt->version;
}

static void
reject_put_error(struct session_item *item, struct out *out, int error,
    const char *message)
{
	struct session *s = item->request->session;

	if (error == ERR_DENIED)
		s->env->metrics->denied++;
	audit_record(s->env->audit, s->peer, "reject", item->ref, error,
	    NULL);
	request_put_error(out, item->request->id, 0, 0, error, message);
}

static void
reject_put_held(struct session_item *item, struct out *out,
    const struct fetch_standing *st)
{
	const struct reject_waiter *wt = item->request->data;
	struct session *s = item->request->session;
	const struct object *o = st->entry->object;
	struct msg_result m = { .index = 0 };
	struct position at;
	const char *rule;
	struct wr wr;

	msg_meta_init(&m.meta);
	m.changed = reject_is_other(s, wt, o, &at);
	m.position = position_view(&at);
	m.meta.freshness = st->state == CACHE_FRESH ? MSG_FRESH
	    : st->state == CACHE_STALE || st->state == CACHE_TOO_OLD
	    ? MSG_STALE : MSG_EXPIRED;
	m.meta.age_ms = st->age_ms;
	m.meta.id = object_id(o);
	m.meta.name = fetch_name_of(s->env->fetch, o);
	m.meta.version = o->version;
	m.meta.updated_at = o->updated_at;
	m.meta.expires_at = o->expires_at;
	if (m.changed)
		s->env->metrics->rejects_changed++;
	(void)policy_check(s->env->settings->policy, s->peer, POLICY_READ,
	    o->kind, m.meta.name, m.meta.id, &rule);
	audit_record(s->env->audit, s->peer, "reject", item->ref, 0, rule);
	wr = out_begin(out);
	msg_result_encode(&wr, 0, item->request->id, &m, false);
	out_commit(out, &wr);
}

/* A request_ops.render. */
static bool
reject_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct session *s = rq->session;
	struct ref *ref = &s->env->ref;
	struct fetch_standing st;
	const struct object *o;
	struct now now;

	if (!out_has_room(out, MSG_RESULT_HEAD_MAX))
		return false;
	request_take_off(item);
	clock_read(&now);
	if (item->may_tell) {
		reject_put_error(item, out, item->error, item->message);
		request_free(rq);
		return true;
	}
	(void)ref_parse((const char *)item->ref.p, item->ref.len, ref, NULL);
	o = reject_held(s, ref, &now, &st);
	if (item->error == 0 && o == NULL)
		item->error = ERR_NOT_FOUND;	/* gone again meanwhile */
	if (item->error != 0 && access_may_tell(s, POLICY_READ, ref))
		reject_put_error(item, out, item->error, item->message);
	else if (item->error != 0 || !access_may_have(s, POLICY_READ, o))
		reject_put_error(item, out, ERR_DENIED, ACCESS_DENIED_TEXT);
	else
		reject_put_held(item, out, &st);
	request_free(rq);
	return true;
}

/* A request_ops.late: the caller's time is up; the read goes on. */
static void
reject_late(struct request *rq)
{
	struct reject_waiter *wt = rq->data;

	if (wt->reject == NULL)
		return;
	reject_leave(wt);
	reject_settle(wt, ERR_TIMEOUT, "the service did not answer in the "
	    "time allowed");
}

static void
reject_done(struct request *rq)
{
	struct reject_waiter *wt = rq->data;

	if (wt == NULL)
		return;
	reject_leave(wt);
	free(wt);
}

static const struct request_ops reject_ops = {
	.render = reject_render,
	.late = reject_late,
	.done = reject_done,
};

/* --- REJECT --- */

static void
reject_fail(struct session_item *item, int error, const char *message)
{
	item->may_tell = true;	/* says nothing about what exists */
	item->error = error;
	item->message = strdup(message);
	request_ready(item);
}

/* Does the agent hold another value than the refused one already? */
static bool
reject_at_once(struct session_item *item, const struct ref *ref,
    const struct now *now)
{
	struct session *s = item->request->session;
	struct fetch_standing st;
	struct position at;
	const struct object *o = reject_held(s, ref, now, &st);

	return o != NULL && (st.state == CACHE_FRESH ||
	    st.state == CACHE_STALE || st.state == CACHE_GRACE) &&
	    reject_is_other(s, item->request->data, o, &at);
}

/* Without a word which value was refused, it is the one held before. */
static void
reject_refused(struct reject_waiter *wt, const struct reject *r)
{
	if (wt->given || wt->version != 0)
		return;
	wt->given = true;
	wt->at = r->before;
}

static void
reject_join(struct session_item *item, const struct ref *ref,
    const struct now *now)
{
	struct session *s = item->request->session;
	struct reject_waiter *wt = item->request->data;
	struct rejects *rj = s->env->rejects;
	const struct cache_key key = reject_key(rj, ref);
	struct fetch_standing st;
	struct reject *r;
	uint64_t hash = hash_bytes(&rj->hash_key, key.id.p, key.id.len);

	rejects_forget(rj, now);
	r = reject_find(rj, &key, hash);
	if (r == NULL) {
		r = reject_new(rj, &key, hash);
		if (r == NULL) {
			reject_fail(item, ERR_BUSY,
			    "too many values were refused at once");
			return;
		}
		position_of(s->env->position_key,
		    reject_held(s, ref, now, &st), &r->before);
		reject_start(r, ref, session_is_patient(s), now);
	}
	reject_refused(wt, r);
	if (r->wait == NULL) {
		reject_settle(wt, r->error, r->message);
		return;
	}
	wt->reject = r;
	TAILQ_INSERT_TAIL(&r->waiters, wt, link);
	session_count_waiting(s, 1);
}

static void
reject_one(struct session_item *item, const struct now *now)
{
	struct session *s = item->request->session;
	struct ref *ref = &s->env->ref;
	const char *why;

	if (ref_parse((const char *)item->ref.p, item->ref.len, ref,
	    &why) != 0)
		reject_fail(item, ERR_BAD_REQUEST, why);
	else if (access_may(s, POLICY_READ, ref) == POLICY_DENIED)
		reject_fail(item, ERR_DENIED, ACCESS_DENIED_TEXT);
	else if (session_waits_too_much(s))
		reject_fail(item, ERR_BUSY, "too many references of this user "
		    "wait for the service; ask again later");
	else if (reject_at_once(item, ref, now))
		reject_settle(item->request->data, 0, NULL);
	else
		reject_join(item, ref, now);
}

int
reject_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_terms terms;
	struct msg_reject msg;
	struct reject_waiter *wt;
	struct request *rq;
	int r;

	r = msg_reject_decode(frame->body, &msg);
	if (r != 0)
		return r;
	msg_terms_init(&terms);
	terms.deadline_ms = msg.deadline_ms;
	wt = calloc(1, sizeof(*wt));
	rq = wt != NULL ? request_new(s, frame, &terms, 1, msg.ref.len)
	    : NULL;
	if (rq == NULL) {
		free(wt);
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return 0;
	}
	s->env->metrics->rejects++;
	rq->ops = &reject_ops;
	rq->data = wt;
	rq->items[0].request = rq;
	memcpy(&rq->items[1], msg.ref.p, msg.ref.len);
	rq->items[0].ref = (struct view){ (uint8_t *)&rq->items[1],
	    msg.ref.len };
	wt->item = &rq->items[0];
	wt->version = msg.version;
	if (msg.position.len > 0) {
		wt->given = true;
		position_from_view(msg.position, &wt->at);
	}
	reject_one(&rq->items[0], now);
	return 0;
}
