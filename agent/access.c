#include "config.h"

#include "access.h"

#include "fetch.h"
#include "lookup.h"
#include "session.h"
#include "settings.h"

static bool
access_asks_all(const struct session *s, enum policy_op op)
{
	const struct policy *pol = s->env->settings->policy;

	return policy_covers_all(pol, s->peer, op, REF_SECRET) &&
	    policy_covers_all(pol, s->peer, op, REF_KEY);
}

/* For reads, the policy is asked once for each generation of it. */
bool
access_covers_all(struct session *s, enum policy_op op)
{
	if (op != POLICY_READ)
		return access_asks_all(s, op);
	if (s->policy_seen != s->env->policy_generation) {
		s->policy_seen = s->env->policy_generation;
		s->may_read_all = access_asks_all(s, POLICY_READ);
	}
	return s->may_read_all;
}

static enum policy_verdict
access_ask(const struct session *s, enum policy_op op, enum ref_kind kind,
    struct view name, struct view id)
{
	return policy_check(s->env->settings->policy, s->peer, op, kind, name,
	    id, NULL);
}

enum policy_verdict
access_may(struct session *s, enum policy_op op, const struct ref *ref)
{
	const struct view none = { NULL, 0 };
	enum policy_verdict as_name, as_id;
	struct view id, name;

	if (access_covers_all(s, op))
		return POLICY_ALLOWED;
	as_name = access_ask(s, op, ref->kind, ref->name, none);
	as_id = access_ask(s, op, ref->kind, none, ref->name);
	if (as_name == POLICY_ALLOWED || as_id == POLICY_ALLOWED)
		return POLICY_ALLOWED;
	if (fetch_known(s->env->fetch, ref->kind, ref->name, &id, &name) == 0)
		return access_ask(s, op, ref->kind, name, id);
	if (as_name == POLICY_MAYBE ||
	    (as_id == POLICY_MAYBE && lookup_can_be_id(ref->name)))
		return POLICY_MAYBE;
	return POLICY_DENIED;
}

bool
access_may_tell(struct session *s, enum policy_op op, const struct ref *ref)
{
	const struct view none = { NULL, 0 };
	struct view id, name;

	if (access_covers_all(s, op) ||
	    access_ask(s, op, ref->kind, none, ref->name) == POLICY_ALLOWED)
		return true;
	if (fetch_known(s->env->fetch, ref->kind, ref->name, &id, &name) == 0)
		return access_ask(s, op, ref->kind, name, id) ==
		    POLICY_ALLOWED;
	return !fetch_may_be_id(s->env->fetch, ref->kind, ref->name) &&
	    access_ask(s, op, ref->kind, ref->name, none) == POLICY_ALLOWED;
}

bool
access_may_have(struct session *s, enum policy_op op, const struct object *o)
{
	return access_covers_all(s, op) || access_ask(s, op, o->kind,
	    fetch_name_of(s->env->fetch, o), object_id(o)) == POLICY_ALLOWED;
}
