/*
 * The user= and group= lines of a rule.  For policy only.
 */
#ifndef AGENT_POLICY_WHO_H
#define AGENT_POLICY_WHO_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

struct peer;
struct policy_rule;

/*
 * Add one item, a name or a number.  Returns 0, ERR_NOMEM, or ERR_BAD_REQUEST
 * with a sentence in why.
 */
int policy_who_user(struct policy_rule *r, const char *item, char *why,
    size_t why_size);
int policy_who_group(struct policy_rule *r, const char *item, char *why,
    size_t why_size);

bool policy_who_is_user(const struct policy_rule *r, const struct peer *peer);
bool policy_who_in_group(const struct policy_rule *r,
    const struct peer *peer);

/*
 * Number of a user or group of that name or number.  Returns 0, or
 * ERR_NOT_FOUND, ERR_NOMEM, ERR_INTERNAL (the look-up failed).
 */
int policy_who_uid(const char *text, uid_t *ret_uid);
int policy_who_gid(const char *text, gid_t *ret_gid);

#endif /* AGENT_POLICY_WHO_H */
