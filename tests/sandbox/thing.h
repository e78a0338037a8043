/*
 * Applications, end-users, roles, share links: assets (asset.h) with nothing
 * of their own. What requests on them have in common.
 */
#ifndef SANDBOX_THING_H
#define SANDBOX_THING_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct call;

/*
 * An item that is in no store yet. id NULL: a new UUID. name: a string, or
 * NULL where the id shall serve. createdAt is now.
 */
struct item *thing_new(
    const struct store_kind *kind, json_t *id, json_t *name);

/*
 * Check the call's body by the rules, as rules_check() does. false: answered.
 */
bool thing_check(struct call *c, const struct rule *rules, unsigned int flag,
    bool patch);

/* Set what the body gives of the fields that have the flag. */
void thing_set(struct store *st, struct item *it, const struct rule *rules,
    unsigned int flag, const json_t *body);

/* updatedAt is now, and no other than before. */
void thing_touch(struct store *st, struct item *it, size_t updated_at);

/*
 * An item of a seed, in no store yet. skip: members that are no fields, ended
 * by NULL. NULL: *ret_problem is set.
 */
struct item *thing_seed(const struct store *st, const struct store_kind *kind,
    const struct rule *rules, json_t *obj, const char *const *skip,
    struct apply_problem *ret_problem);

/* Lists of v that are null become empty, and truths false; NULL ends both. */
void thing_never_null(json_t *v, const char *const *lists,
    const char *const *truths);

/* A new JSON string of n random letters and digits after prefix. */
json_t *thing_random(const char *prefix, size_t n);

#endif
