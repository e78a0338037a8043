/*
 * What is handed on: may it be, by what its path and body are about; and what
 * comes of it.
 */
#include "config.h"

#include "rest_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rest_body.h"
#include "settings.h"

#define LISTING_AGE_MS 10000	/* older, and an id not in it is asked for */

/* --- what a path is about --- */

/* Does the pattern begin with that, and end there or at a "/"? */
static bool
begins(const char *pattern, const char *with)
{
	size_t len = strlen(with);

	return strncmp(pattern, with, len) == 0 &&
	    (pattern[len] == '\0' || pattern[len] == '/');
}

static bool
is_below(struct view path, const char *first)
{
	struct view segment = { path.p + 1, path.len - 1 };
	const uint8_t *end = memchr(segment.p, '/', segment.len);
	char plain[96];
	size_t len;

	if (end != NULL)
		segment.len = (size_t)(end - segment.p);
	if (segment.len > sizeof(plain) - 1)
		segment.len = sizeof(plain) - 1; /* what counts comes first */
	if (endpoints_decode(segment, (uint8_t *)plain, sizeof(plain) - 1,
	    &len) != 0)
		return false;
	plain[len] = '\0';
	/* what some servers leave out of a segment, though ours does not */
	plain[strcspn(plain, ";")] = '\0';
	for (len = strlen(plain); len > 0 && strchr(". ", plain[len - 1]) !=
	    NULL; len--)
		plain[len - 1] = '\0';
	return strcasecmp(plain, first) == 0;
}

/*
 * No endpoint that is known: if it lies where secrets or keys are, it is about
 * one of them, and nobody can tell which.
 */
static bool
unknown_subject(struct view path, struct rest_subject *ret)
{
	static const struct {
		const char *first;
		enum ref_kind kind;
	} places[] = {
		{ "secrets", REF_SECRET }, { "vault", REF_SECRET },
		{ "keys", REF_KEY }, { "transit", REF_KEY },
		{ "encrypt", REF_KEY }, { "decrypt", REF_KEY },
		{ "sign", REF_KEY }, { "verify", REF_KEY },
	};
	size_t i;

	ret->by = REST_BY_NOTHING;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		ret->kind = places[i].kind;
		if (is_below(path, places[i].first))
			return true;
	}
	return false;
}

/* False if the path is about no secret or key.  text: as it was sent. */
static bool
path_subject(const struct endpoint_match *m, struct rest_subject *ret)
{
	const char *pattern;

	*ret = (struct rest_subject){ .kind = REF_SECRET, .by = REST_BY_ID };
	if (m->endpoint == NULL)
		return unknown_subject(m->path, ret);
	pattern = m->endpoint->pattern;
	if (m->nparams > 0)
		ret->text = m->params[0];
	if (begins(pattern, "/secrets/{id}") ||
	    begins(pattern, "/vault/share/by-secret/{secretId}"))
		return true;
	if (begins(pattern, "/vault/share/{linkId}")) {
		ret->by = REST_BY_NOTHING;
		return true;
	}
	ret->kind = REF_KEY;
	if (strstr(pattern, "{keyName}") != NULL) {
		ret->by = REST_BY_NAME;
		return true;
	}
	return begins(pattern, "/keys/{id}");
}

/* --- may it be --- */

struct asking {
	struct rest *r;
	const struct access_right *by;
	enum policy_verdict verdict; /* over all subjects so far */
	enum ref_kind kind;	/* MAYBE: of the one that is not known */
	const char *title;	/* of a rule that allows it */
};

static void
lower_to(struct asking *a, enum policy_verdict verdict, enum ref_kind kind)
{
	if (a->verdict == POLICY_DENIED || verdict == POLICY_ALLOWED)
		return;
	a->verdict = verdict;
	a->kind = kind;
}

static bool
same(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 ||
	    memcmp(a.p, b.p, a.len) == 0);
}

/*
 * By the text alone, else by what the cached listing tells of it: it must have
 * it as what it is meant as, an id or a name.
 */
static void
ask_subject(void *arg, const struct rest_subject *subject)
{
	const struct view none = { NULL, 0 };
	struct asking *a = arg;
	struct session *s = a->r->s;
	enum policy_verdict v;
	struct view id, name;
	bool by_id = subject->by == REST_BY_ID;

	v = access_to(s, a->by, subject->kind, by_id ? none : subject->text,
	    by_id ? subject->text : none, &a->title);
	if (v == POLICY_MAYBE && subject->by != REST_BY_NOTHING &&
	    fetch_known(s->env->fetch, subject->kind, subject->text, &id,
	    &name) == 0 && same(by_id ? id : name, subject->text))
		v = access_to(s, a->by, subject->kind, name, id, &a->title);
	if (v == POLICY_MAYBE &&
	    (subject->by == REST_BY_NOTHING || a->r->listed))
		v = POLICY_DENIED;
	lower_to(a, v, subject->kind);
}

/* Its text is decoded into the session's scratch. */
static void
ask_path(struct asking *a, const struct rest_subject *subject)
{
	uint8_t *text = (uint8_t *)a->r->s->env->ref.store;
	struct rest_subject plain = *subject;
	size_t len = 0;

	if (endpoints_decode(subject->text, text, REF_NAME_MAX, &len) != 0)
		plain.by = REST_BY_NOTHING;
	plain.text = (struct view){ text, len };
	ask_subject(a, &plain);
}

static enum policy_op
operation_of(const struct rest *r)
{
	static const struct {
		const char *pattern;
		enum policy_op op;
	} ops[] = {
		{ "/encrypt", POLICY_ENCRYPT }, { "/decrypt", POLICY_DECRYPT },
		{ "/sign", POLICY_SIGN }, { "/verify", POLICY_VERIFY },
	};
	size_t i;

	if (r->m.endpoint == NULL || r->m.endpoint->way != ENDPOINT_CRYPTO)
		return POLICY_CALL;
	for (i = 0; strcmp(ops[i].pattern, r->m.endpoint->pattern) != 0; i++)
		;
	return ops[i].op;
}

/* Is it about one that its path names, or (cryptography) its body alone? */
static bool
ask_whole(struct asking *a, const struct rest_right *right, bool about,
    enum ref_kind kind)
{
	const struct policy *pol = a->r->s->env->settings->policy;
	const struct view none = { NULL, 0 };

	if (about)
		a->verdict = access_to(a->r->s, a->by, kind, none, none,
		    &a->title);
	else
		a->verdict = policy_check_call(pol, a->r->s->peer,
		    &right->call, &a->title);
	/* what covers all is not asked about one, nor what covers none */
	if (policy_is_exempt(pol, a->r->s->peer))
		return true;
	return about ? a->verdict != POLICY_MAYBE
	    : a->verdict == POLICY_DENIED;
}

/* MAYBE: a newer listing of a->kind could tell. */
static void
ask(struct asking *a)
{
	struct rest *r = a->r;
	enum policy_op op = operation_of(r);
	struct rest_subject subject;
	struct rest_right right;
	bool in_path = path_subject(&r->m, &subject);

	rest_right(r, op == POLICY_CALL ? 0 : op, &right);
	a->by = &right.by;
	if (ask_whole(a, &right, in_path || op != POLICY_CALL, subject.kind))
		return;
	a->verdict = POLICY_ALLOWED;
	if (in_path)
		ask_path(a, &subject);
	if (r->m.endpoint != NULL)
		rest_body_subjects(r->m.endpoint, r->rq.body, ask_subject, a);
	a->by = NULL;
}

static int call_listed(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer);

int
rest_call_start(struct rest *r, const struct now *now,
    struct rest_answer *answer)
{
	struct fetch_result result;
	struct rest_event ev = { .fetched = &result };
	struct asking a = { .r = r };
	struct fetch_query q;

	ask(&a);
	if (a.verdict == POLICY_DENIED)
		return rest_deny(r, operation_of(r), answer);
	if (a.verdict == POLICY_ALLOWED) {
		if (a.title != NULL && r->rule == NULL)
			r->rule = strdup(a.title);
		return rest_send(r, now, answer, rest_sent);
	}
	rest_terms(r, &q);
	q.max_age_ms = LISTING_AGE_MS;
	if (rest_fetch(r, &q, a.kind, now, &result, call_listed) == ERR_AGAIN)
		return ERR_AGAIN;
	return call_listed(r, now, &ev, answer);
}

static int
call_listed(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	listing_unref(ev->fetched->listing);
	/* without a listing nobody can tell what it is about */
	r->listed = true;
	return rest_call_start(r, now, answer);
}

/* --- sending --- */

static void
relayed_cb(void *arg, struct relay_result *result)
{
	const struct rest_event ev = { .relayed = result };
	struct rest *r = arg;

	r->relay = NULL;
	session_count_waiting(r->s, -1);
	rest_go_on(r, &ev);
}

/* What the caller's time still is. */
static uint64_t
time_left(const struct rest *r, const struct now *now)
{
	uint64_t spent = now->boot_ms - r->begun_boot_ms;

	if (r->rq.deadline_ms == MSG_NO_LIMIT)
		return MSG_NO_LIMIT;
	return r->rq.deadline_ms > spent ? r->rq.deadline_ms - spent : 1;
}

/* The id for what a write drops: what the path has, where that is one. */
static struct view
id_of(struct rest *r)
{
	const struct view none = { NULL, 0 };
	struct rest_subject subject;
	size_t len;

	if (!path_subject(&r->m, &subject) || subject.by != REST_BY_ID)
		return none;
	if (memchr(subject.text.p, '%', subject.text.len) == NULL)
		return subject.text;
	free(r->id);
	r->id = malloc(subject.text.len);
	if (r->id == NULL || endpoints_decode(subject.text, (uint8_t *)r->id,
	    subject.text.len, &len) != 0)
		return none;
	return (struct view){ (const uint8_t *)r->id, len };
}

static void
fill_relay(struct rest *r, const struct now *now,
    struct relay_request *ret)
{
	const struct endpoint_match *m = &r->m;
	const struct rest_request *rq = &r->rq;

	*ret = (struct relay_request){
		.send = {
			.method = strcmp(rq->method, "HEAD") == 0 ? "GET"
			    : rq->method,
			.target = { m->path.p, (size_t)(rq->target.p +
			    rq->target.len - m->path.p) },
			.from_root = m->from_root,
			.has_body = rq->has_body,
			.allow_csprng = rq->allow_csprng,
			.body = rq->body,
			.content_type = rq->content_type,
			.accept = rq->accept,
		},
		.endpoint = m->endpoint,
		.id = id_of(r),
		.deadline_ms = time_left(r, now),
		.patient = session_has_several(r->s),
	};
}

int
rest_send(struct rest *r, const struct now *now, struct rest_answer *answer,
    rest_step *step)
{
	struct relay_request rq;

	if (r->m.endpoint != NULL && r->m.endpoint->way == ENDPOINT_REFUSED)
		return rest_fail(answer, ERR_DENIED, "the service changes "
		    "settings for people who are signed in, never for an API "
		    "key, whatever its scopes: use its portal");
	if (r->rq.only_if_cached)
		return rest_fail(answer, ERR_TIMEOUT, "this is not cached, "
		    "and the service was not to be asked");
	if (!r->kept)
		return REST_KEEP;
	if (session_waits_too_much(r->s))
		return rest_fail(answer, ERR_BUSY, "too many requests of this "
		    "user wait for the service; ask again later");
	fill_relay(r, now, &rq);
	if (relay_start(r->s->env->fetch, &rq, now, relayed_cb, r,
	    &r->relay) != 0)
		return rest_fail(answer, ERR_NOMEM, NULL);
	session_count_waiting(r->s, 1);
	r->step = step;
	return ERR_AGAIN;
}

/* --- what came of it --- */

static void
record(struct rest *r, int error)
{
	enum policy_op op = r->m.endpoint != NULL &&
	    (r->m.endpoint->way == ENDPOINT_LIST_SECRETS ||
	    r->m.endpoint->way == ENDPOINT_LIST_KEYS) ? POLICY_LIST
	    : operation_of(r);

	rest_record(r, op, error, r->rule);
}

int
rest_sent(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	struct relay_result *result = ev->relayed;

	(void)now;
	record(r, result->error);
	if (result->error != 0) {
		(void)rest_fail(answer, result->error, result->message);
		if (result->retry_after_ms > 0)
			answer->retry_after_ms = result->retry_after_ms;
		return REST_DONE;
	}
	answer->status = result->status;
	answer->retry_after_ms = result->retry_after_ms;
	answer->body = result->reply.body;
	memcpy(answer->content_type, result->reply.content_type,
	    sizeof(answer->content_type));
	memcpy(answer->content_disposition, result->reply.content_disposition,
	    sizeof(answer->content_disposition));
	return REST_DONE;
}
