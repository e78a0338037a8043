/*
 * Resource groups: named sets of secrets, keys and API keys.
 */
#ifndef SANDBOX_GROUPS_H
#define SANDBOX_GROUPS_H

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct store_kind;
struct tenant;

extern const struct store_kind groups_kind;

/* One group of a seed, with its items. false: *ret_problem is set. */
bool groups_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
