/*
 * May the caller of this session do that to what a reference means?  The
 * policy is asked by what was asked for, by what is known of it, and by what
 * was found, so that an answer tells nobody what exists that a rule does not
 * let see.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_ACCESS_H
#define AGENT_ACCESS_H

#include <stdbool.h>

#include "object.h"
#include "policy.h"
#include "ref.h"

struct session;

/* The one sentence of a denial: the same whether or not the thing exists. */
#define ACCESS_DENIED_TEXT \
	"no rule of the agent's configuration allows you this; ask its operator"

/*
 * By which right: an operation, or `call` with the path that was asked for.
 * Either suffices.
 */
struct access_right {
	enum policy_op op;	/* 0: none */
	const struct policy_call *call; /* NULL: none; what it is about is
				 * not looked at */
};

/* Does policy let this peer do op to everything? */
bool access_covers_all(struct session *s, enum policy_op op);

/*
 * By what is known of the text that was asked for: ALLOWED, DENIED, or MAYBE
 * where only the service's name for that id, or its id for that name, can
 * tell.  Nothing is asked for a name that no rule covers, whatever its id.
 */
enum policy_verdict access_may(struct session *s, enum policy_op op,
    const struct ref *ref);
enum policy_verdict access_may_by(struct session *s,
    const struct access_right *by, const struct ref *ref);

/*
 * May an error about it be told?  By what is known of it when it is answered.
 * Not where the text may be the id of something whose name is not known: a
 * rule for the names "*" allows each id as the name that it could be, and what
 * is said of it (that it expired; that it does not exist, where others are
 * denied) would tell which exist.
 */
bool access_may_tell(struct session *s, enum policy_op op,
    const struct ref *ref);
bool access_may_tell_by(struct session *s, const struct access_right *by,
    const struct ref *ref);

/* And by the name and id of what was found. */
bool access_may_have(struct session *s, enum policy_op op,
    const struct object *o);
bool access_may_have_by(struct session *s, const struct access_right *by,
    const struct object *o);

/*
 * The verdict about one thing, by what is known of it and nothing else.
 * ret_title: as for policy_check().
 */
enum policy_verdict access_to(struct session *s,
    const struct access_right *by, enum ref_kind kind, struct view name,
    struct view id, const char **ret_title);

#endif /* AGENT_ACCESS_H */
