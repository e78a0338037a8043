/*
 * One [allow] rule: who may do which operations to what.  For policy only.
 */
#ifndef AGENT_POLICY_RULE_H
#define AGENT_POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

#include "policy.h"

struct policy_pattern {
	char *glob;
	const char *method;	/* paths: NULL is any; static */
	bool by_id;		/* secrets and keys: id:GLOB */
};

struct policy_patterns {
	struct policy_pattern *v;
	size_t n;
};

struct policy_rule {
	char *title;
	bool has_user;		/* a user= line was given; likewise below */
	bool has_group;
	bool any_user;		/* user=* */
	bool http;		/* user=http */
	uid_t *uids;
	size_t nuids;
	gid_t *gids;
	size_t ngids;
	struct policy_patterns units;	/* unit= was given if n > 0 */
	struct policy_patterns exes;
	struct policy_patterns secrets;
	struct policy_patterns keys;
	struct policy_patterns paths;
	unsigned int ops;	/* enum policy_op */
};

/* NULL for no memory. */
struct policy_rule *policy_rule_new(const char *title);
void policy_rule_free(struct policy_rule *r);

/* As policy_rule_set() in policy.h. */
int policy_rule_parse(struct policy_rule *r, const char *key,
    const char *value, char *why, size_t why_size);

/* Does it say who at all? */
bool policy_rule_has_who(const struct policy_rule *r);

/* Is the peer whom the rule is about? */
bool policy_rule_is_about(const struct policy_rule *r, struct peer *peer);

/* And op one of its operations? */
bool policy_rule_applies(const struct policy_rule *r, struct peer *peer,
    enum policy_op op);

enum policy_verdict policy_rule_covers(const struct policy_rule *r,
    enum ref_kind kind, struct view name, struct view id);

bool policy_rule_covers_all(const struct policy_rule *r, enum ref_kind kind);

/* Has it the method and path, which is not NULL? */
bool policy_rule_covers_path(const struct policy_rule *r,
    const struct policy_call *call);

/* And the secret or key that the call is about, if it is about one? */
enum policy_verdict policy_rule_covers_about(const struct policy_rule *r,
    const struct policy_call *call);

#endif /* AGENT_POLICY_RULE_H */
