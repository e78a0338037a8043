#include "config.h"

#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "err.h"
#include "fetch.h"
#include "lookup.h"
#include "msg_report.h"
#include "peer.h"
#include "policy.h"
#include "request.h"
#include "settings.h"
#include "userinfo.h"

/* A user that nobody is, for a unit whose user is not known. */
#define EXPLAIN_NOBODY ((uid_t)-2)

/* Waits for who AS is. */
struct explain {
	struct userinfo_job *job;
	struct peer *as;	/* NULL until it is known */
	char name[];
};

/* --- what the policy says --- */

struct explain_verdict {
	enum policy_verdict verdict;
	const char *rule;	/* NULL: none */
};

/* As access_may(), for any peer, and with the rule. */
static struct explain_verdict
explain_judge(struct session *s, struct peer *peer, const struct ref *ref)
{
	const struct policy *pol = s->env->settings->policy;
	const struct view none = { NULL, 0 };
	struct explain_verdict v = { POLICY_DENIED, NULL }, as_id;
	struct view id, name;

	if (fetch_known(s->env->fetch, ref->kind, ref->name, &id,
	    &name) == 0) {
		v.verdict = policy_check(pol, peer, POLICY_READ, ref->kind,
		    name, id, &v.rule);
		return v;
	}
	v.verdict = policy_check(pol, peer, POLICY_READ, ref->kind, ref->name,
	    none, &v.rule);
	if (v.verdict == POLICY_ALLOWED)
		return v;
	as_id.verdict = policy_check(pol, peer, POLICY_READ, ref->kind, none,
	    ref->name, &as_id.rule);
	if (as_id.verdict == POLICY_ALLOWED || (v.verdict == POLICY_DENIED &&
	    as_id.verdict == POLICY_MAYBE && lookup_can_be_id(ref->name)))
		return as_id;
	return v;
}

static bool
explain_needs_no_rule(const struct session *s, const struct peer *peer,
    const struct explain_verdict *v)
{
	/* the two users that policy names itself; a rule may have their name */
	return v->verdict == POLICY_ALLOWED && !peer_is_http(peer) &&
	    v->rule != NULL && policy_is_exempt(s->env->settings->policy, peer);
}

static void
explain_put_policy(struct session *s, struct peer *peer, bool is_unit,
    const struct ref *ref, struct msg_explained *m, char *why, size_t size)
{
	struct explain_verdict v = explain_judge(s, peer, ref);
	const char *unit = is_unit ? "; rules that name a user, group or "
	    "program too were left out: only the unit is known" : "";

	m->allowed = v.verdict == POLICY_ALLOWED;
	if (explain_needs_no_rule(s, peer, &v)) {
		(void)snprintf(why, size, "%s needs no rule",
		    strcmp(v.rule, "root") == 0 ? "root"
		    : "the agent's own user");
	} else if (m->allowed) {
		m->rule = (struct view){ (const uint8_t *)v.rule,
		    strlen(v.rule) };
		(void)snprintf(why, size, "the rule \"%s\" allows it%s",
		    v.rule, unit);
	} else if (v.verdict == POLICY_MAYBE) {
		(void)snprintf(why, size, "the rule \"%s\" may allow it: that "
		    "depends on the name or id that the service gives, which "
		    "the agent has not seen yet%s", v.rule, unit);
	} else {
		(void)snprintf(why, size, "no rule allows it%s", unit);
	}
	m->why = (struct view){ (const uint8_t *)why, strlen(why) };
}

/* --- where the value stands --- */

static void
explain_put_standing(struct session *s, const struct fetch_standing *st,
    struct msg_explained *m)
{
	const struct object *o;
	const char *text;

	if (st->entry == NULL)
		return;
	o = st->entry->object;
	if (st->next_refresh_ms != UINT64_MAX)
		m->next_refresh_ms = st->next_refresh_ms;
	m->last_error = st->last_error;
	if (st->state == CACHE_NEGATIVE)
		m->last_error = st->entry->negative_error;
	if (m->last_error != 0) {
		text = err_text(m->last_error);
		m->message = (struct view){ (const uint8_t *)text,
		    strlen(text) };
	}
	if (o == NULL)
		return;
	m->cached = true;
	m->meta.freshness = (uint8_t)fetch_freshness(st->state);
	m->meta.age_ms = st->age_ms;
	m->meta.id = object_id(o);
	m->meta.name = fetch_name_of(s->env->fetch, o);
	m->meta.version = o->version;
	m->meta.updated_at = o->updated_at;
	m->meta.expires_at = o->expires_at;
}

/* --- the answer --- */

static void
explain_refuse(struct session *s, uint64_t id, struct view ref,
    struct out *out, int error, const char *message)
{
	if (error == ERR_DENIED)
		s->env->metrics->denied++;
	audit_record(s->env->audit, s->peer, "explain", ref, error, NULL);
	session_error(out, id, error, message);
}

static void
explain_put(struct session *s, uint64_t id, struct view text,
    struct peer *peer, bool is_unit, struct out *out)
{
	struct ref *ref = &s->env->ref;
	struct msg_explained m;
	struct fetch_standing st;
	struct now now;
	struct wr wr;
	char why[MSG_WHY_MAX];

	/*
	 * It says where the value stands, so it is for those who may have it:
	 * by what the agent knows of it, not by what they call it.
	 */
	(void)ref_parse((const char *)text.p, text.len, ref, NULL);
	if (access_may(s, POLICY_READ, ref) != POLICY_ALLOWED ||
	    !access_may_tell(s, POLICY_READ, ref)) {
		explain_refuse(s, id, text, out, ERR_DENIED,
		    ACCESS_DENIED_TEXT);
		return;
	}
	clock_read(&now);
	msg_explained_init(&m);
	explain_put_policy(s, peer, is_unit, ref, &m, why, sizeof(why));
	fetch_stand(s->env->fetch, ref, &now, &st);
	explain_put_standing(s, &st, &m);
	audit_record(s->env->audit, s->peer, "explain", text, 0, NULL);
	wr = out_begin(out);
	msg_explained_encode(&wr, id, &m);
	out_commit(out, &wr);
}

/* --- for another user --- */

static void
explain_found_cb(void *arg, int error, const struct userinfo_user *user)
{
	struct session_item *item = arg;
	struct explain *ex = item->request->data;
	struct session *s = item->request->session;

	ex->job = NULL;
	item->error = error;
	if (error == 0)
		ex->as = peer_new_fake(user->uid, user->gid, user->groups,
		    user->ngroups, NULL, NULL);
	if (error == 0 && ex->as == NULL)
		item->error = ERR_BUSY;
	request_ready(item);
	s->wake(s->arg);
}

static void
explain_done(struct request *rq)
{
	struct explain *ex = rq->data;

	if (ex == NULL)
		return;
	if (ex->job != NULL)
		userinfo_cancel(ex->job);
	peer_free(ex->as);
	free(ex);
}

static bool
explain_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct explain *ex = rq->data;
	struct session *s = rq->session;
	char why[USERINFO_NAME_MAX + 64];

	if (!out_has_room(out, MSG_EXPLAINED_MAX))
		return false;
	request_take_off(item);
	if (!policy_may(s->env->settings->policy, s->peer, POLICY_ADMIN)) {
		/* another policy is in force by now */
		explain_refuse(s, rq->id, item->ref, out, ERR_DENIED,
		    "this needs a rule with operations=admin");
	} else if (item->error == 0) {
		explain_put(s, rq->id, item->ref, ex->as, false, out);
	} else {
		(void)snprintf(why, sizeof(why), item->error == ERR_NOT_FOUND
		    ? "there is no user %s" : "cannot look up the user %s",
		    ex->name);
		explain_refuse(s, rq->id, item->ref, out,
		    item->error == ERR_NOT_FOUND ? ERR_BAD_REQUEST
		    : ERR_BUSY, why);
	}
	request_free(rq);
	return true;
}

static const struct request_ops explain_ops = {
	.render = explain_render,
	.done = explain_done,
};

/* Look up who that is, and go on from there.  Returns 0 or ERR_*. */
static int
explain_look_up(struct session *s, const struct frame *frame,
    const struct msg_explain *msg)
{
	struct msg_terms terms;
	struct request *rq;
	struct explain *ex;
	int r;

	ex = calloc(1, sizeof(*ex) + msg->as.len + 1);
	if (ex == NULL)
		return ERR_BUSY;
	memcpy(ex->name, msg->as.p, msg->as.len);
	msg_terms_init(&terms);
	rq = request_new(s, frame, &terms, 1, msg->ref.len);
	if (rq == NULL) {
		free(ex);
		return ERR_BUSY;
	}
	rq->ops = &explain_ops;
	rq->data = ex;
	rq->items[0].request = rq;
	memcpy(&rq->items[1], msg->ref.p, msg->ref.len);
	rq->items[0].ref = (struct view){ (uint8_t *)&rq->items[1],
	    msg->ref.len };
	r = userinfo_start(s->env->users, ex->name, msg->as.len,
	    explain_found_cb, &rq->items[0], &ex->job);
	if (r != 0)
		request_free(rq);
	return r == 0 ? 0 : ERR_BUSY;
}

static bool
explain_is_unit(struct view as)
{
	static const char *const ends[] = { ".service", ".scope", ".slice",
	    ".socket", ".mount", ".swap" };
	size_t i, len;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		len = strlen(ends[i]);
		if (as.len > len &&
		    memcmp(as.p + as.len - len, ends[i], len) == 0)
			return true;
	}
	return false;
}

/* For a unit, or for callers over HTTP: nothing is to be looked up. */
static void
explain_as_known(struct session *s, const struct frame *frame,
    const struct msg_explain *msg, struct out *out)
{
	char unit[MSG_AS_MAX + 1];
	struct peer *as;
	bool is_unit = explain_is_unit(msg->as);

	memcpy(unit, msg->as.p, msg->as.len);
	unit[msg->as.len] = '\0';
	as = is_unit ? peer_new_fake(EXPLAIN_NOBODY, (gid_t)-2, NULL, 0, unit,
	    NULL) : peer_new_http();
	if (as == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return;
	}
	explain_put(s, frame->id, msg->ref, as, is_unit, out);
	peer_free(as);
}

static void
explain_as(struct session *s, const struct frame *frame,
    const struct msg_explain *msg, struct out *out)
{
	if (!policy_may(s->env->settings->policy, s->peer, POLICY_ADMIN)) {
		explain_refuse(s, frame->id, msg->ref, out, ERR_DENIED,
		    "this needs a rule with operations=admin");
	} else if (explain_is_unit(msg->as) || (msg->as.len == 4 &&
	    memcmp(msg->as.p, "http", 4) == 0)) {
		explain_as_known(s, frame, msg, out);
	} else if (explain_look_up(s, frame, msg) != 0) {
		explain_refuse(s, frame->id, msg->ref, out, ERR_BUSY,
		    "too many users are being looked up; try again");
	}
}

int
explain_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_explain msg;
	const char *why;
	int r;

	(void)now;
	r = msg_explain_decode(frame->body, &msg);
	if (r != 0)
		return r;
	if (ref_parse((const char *)msg.ref.p, msg.ref.len, &s->env->ref,
	    &why) != 0)
		explain_refuse(s, frame->id, msg.ref, out, ERR_BAD_REQUEST,
		    why);
	else if (msg.as.len > 0)
		explain_as(s, frame, &msg, out);
	else
		explain_put(s, frame->id, msg.ref, s->peer, false, out);
	return 0;
}
