/*
 * May this peer do this to that?  Rules are the [allow] sections; everything
 * they do not allow is denied.
 */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "ref.h"

struct peer;
struct policy;

enum policy_op {
	POLICY_READ = 1 << 0,
	POLICY_LIST = 1 << 1,
	POLICY_WATCH = 1 << 2,
	POLICY_ENCRYPT = 1 << 3,
	POLICY_DECRYPT = 1 << 4,
	POLICY_SIGN = 1 << 5,
	POLICY_VERIFY = 1 << 6,
	POLICY_CALL = 1 << 7,
	POLICY_ADMIN = 1 << 8,
};

enum policy_verdict {
	POLICY_DENIED,
	POLICY_ALLOWED,
	POLICY_MAYBE,	/* depends on the id or name that was not given */
};

struct policy *policy_new(bool root_needs_rule);
void policy_free(struct policy *pol);
void policy_set_root_needs_rule(struct policy *pol, bool root_needs_rule);

/*
 * --- building, by settings ---
 *
 * user=http is about peer_new_http(), user=* about every user of the system
 * (and not about http).
 */

/* Start a rule; what follows goes into it.  Returns 0 or ERR_NOMEM. */
int policy_rule_begin(struct policy *pol, const char *title);
/*
 * key: user group unit exe secrets keys paths operations; value: its
 * comma-separated text.  Users and groups are looked up now, which may block:
 * never on behalf of a client.  Returns 0, ERR_NOT_FOUND for an unknown key,
 * ERR_BAD_REQUEST with a sentence in why, or ERR_NOMEM.
 */
int policy_rule_set(struct policy *pol, const char *key, const char *value,
    char *why, size_t why_size);
/*
 * Is the rule complete?  ERR_BAD_REQUEST with a sentence in why if it does not
 * say who; it then matches nobody.
 */
int policy_rule_end(struct policy *pol, char *why, size_t why_size);

/* The keys of a rule and the names of the operations; NULL-terminated. */
extern const char *const policy_keys[];
extern const char *const policy_operations[];

/* --- asking --- */

/*
 * May peer do op (one bit) to the thing of that kind?  name and id: what is
 * known of it, empty if not.  A rule that covers by name says nothing while
 * the name is unknown: POLICY_MAYBE, likewise for ids.
 * ret_title (may be NULL): title of the deciding rule, "root" or "agent" for
 * the two users that need none, NULL if denied.  Owned by pol.
 */
enum policy_verdict policy_check(const struct policy *pol, struct peer *peer,
    enum policy_op op, enum ref_kind kind, struct view name, struct view id,
    const char **ret_title);

/* May peer do everything without any rule: root, or the agent's own user? */
bool policy_is_exempt(const struct policy *pol, const struct peer *peer);

/* Do peer's rules for op cover every name of that kind (or need none)? */
bool policy_covers_all(const struct policy *pol, struct peer *peer,
    enum policy_op op, enum ref_kind kind);

/* A request of the service as rules see it. */
struct policy_call {
	const char *method;
	/*
	 * As policy_path_normalise() or endpoints_plain() makes it; NULL: it
	 * could mean another to the service, so no rule is about it.
	 */
	const char *path;
	bool about;		/* a secret or key: this one */
	enum ref_kind kind;
	struct view name;	/* what is known of it, empty if not */
	struct view id;
};

/*
 * May peer `call` that?  A rule that has secrets= or keys= too is about those
 * alone: a request about one counts only if the rule covers it, and is
 * POLICY_MAYBE while its name or id is not known.  HEAD is what GET is.
 * ret_title: as for policy_check().
 */
enum policy_verdict policy_check_call(const struct policy *pol,
    struct peer *peer, const struct policy_call *call, const char **ret_title);

/*
 * The title of the rule that came closest to allowing op (0: none) or the call
 * (NULL: none): one that has the operation and the path, one that has the
 * operation, one about this peer; NULL if there is none.  What the request is
 * about is not looked at, so it says nothing of what exists.
 */
const char *policy_closest(const struct policy *pol, struct peer *peer,
    unsigned int op, const struct policy_call *call);

/* op without a thing: purge --all, drill. */
bool policy_may(const struct policy *pol, struct peer *peer, enum policy_op op);

#endif /* AGENT_POLICY_H */
