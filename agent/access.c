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

enum policy_verdict
access_to(struct session *s, const struct access_right *by,
    enum ref_kind kind, struct view name, struct view id,
    const char **ret_title)
{
	const struct policy *pol = s->env->settings->policy;
	enum policy_verdict as_op = POLICY_DENIED, as_call;
	struct policy_call call;

	if (by->op != 0)
		as_op = policy_check(pol, s->peer, by->op, kind, name, id,
		    ret_title);
	if (as_op == POLICY_ALLOWED || by->call == NULL)
		return as_op;
	call = *by->call;
	call.about = true;
	call.kind = kind;
	call.name = name;
	call.id = id;
	as_call = policy_check_call(pol, s->peer, &call, ret_title);
	return as_call == POLICY_DENIED ? as_op : as_call;
}

static bool
access_is_for_all(struct session *s, const struct access_right *by)
{
	return by->op != 0 && access_covers_all(s, by->op);
}

enum policy_verdict
access_may_by(struct session *s, const struct access_right *by,
    const struct ref *ref)
{
	const struct view none = { NULL, 0 };
	enum policy_verdict as_name, as_id;
	struct view id, name;

	if (access_is_for_all(s, by))
		return POLICY_ALLOWED;
	as_name = access_to(s, by, ref->kind, ref->name, none, NULL);
	as_id = access_to(s, by, ref->kind, none, ref->name, NULL);
	if (as_name == POLICY_ALLOWED || as_id == POLICY_ALLOWED)
		return POLICY_ALLOWED;
	if (fetch_known(s->env->fetch, ref->kind, ref->name, &id, &name) == 0)
		return access_to(s, by, ref->kind, name, id, NULL);
	if (as_name == POLICY_MAYBE ||
	    (as_id == POLICY_MAYBE && lookup_can_be_id(ref->name)))
		return POLICY_MAYBE;
	return POLICY_DENIED;
}

enum policy_verdict
access_may(struct session *s, enum policy_op op, const struct ref *ref)
{
	return access_may_by(s, &(const struct access_right){ .op = op }, ref);
}

bool
access_may_tell_by(struct session *s, const struct access_right *by,
    const struct ref *ref)
{
	const struct view none = { NULL, 0 };
	struct view id, name;

	if (access_is_for_all(s, by) ||
	    access_to(s, by, ref->kind, none, ref->name, NULL) ==
	    POLICY_ALLOWED)
		return true;
	if (fetch_known(s->env->fetch, ref->kind, ref->name, &id, &name) == 0)
		return access_to(s, by, ref->kind, name, id, NULL) ==
		    POLICY_ALLOWED;
	return !fetch_may_be_id(s->env->fetch, ref->kind, ref->name) &&
	    access_to(s, by, ref->kind, ref->name, none, NULL) ==
	    POLICY_ALLOWED;
}

bool
access_may_tell(struct session *s, enum policy_op op, const struct ref *ref)
{
	return access_may_tell_by(s, &(const struct access_right){ .op = op },
	    ref);
}

bool
access_may_have_by(struct session *s, const struct access_right *by,
    const struct object *o)
{
	return access_is_for_all(s, by) || access_to(s, by, o->kind,
	    fetch_name_of(s->env->fetch, o), object_id(o), NULL) ==
	    POLICY_ALLOWED;
}

bool
access_may_have(struct session *s, enum policy_op op, const struct object *o)
{
	return access_may_have_by(s, &(const struct access_right){ .op = op },
	    o);
}
