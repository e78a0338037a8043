/*
 * Setting fields of secrets and keys past the rules of the API: for seeds, and
 * for the controls that let a test change anything.
 */
#ifndef SANDBOX_APPLY_H
#define SANDBOX_APPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct item;
struct rule;
struct store;
struct store_kind;

/* What is wrong, and with which member; borrowed or literal texts. */
struct apply_problem {
	char field[128];
	const char *text; /* NULL: nothing is wrong */
};

/*
 * Check the members of obj that rules knows. strict: all of them (seeds);
 * otherwise only those that the sandbox itself needs, so that a test may
 * make an answer hold any nonsense. false: *ret_problem is set.
 */
bool apply_check(const struct rule *rules, const json_t *obj, bool strict,
    struct apply_problem *ret_problem);

/*
 * Set what obj gives, the id aside; members that no field is known for become
 * extra ones, those of the NULL-terminated list skip aside.
 * st NULL: the item is in no store yet.
 */
void apply_fields(struct store *st, const struct store_kind *kind,
    struct item *it, json_t *obj, const char *const *skip);

/* One secret of a seed into st. false: *ret_problem is set. */
bool apply_seed_secret(
    struct store *st, json_t *obj, struct apply_problem *ret_problem);

struct secret;

/*
 * PUT /_sandbox/secrets/ID: a value without a version is a rotation.
 * false: *ret_problem is set, and nothing has changed.
 */
bool apply_secret(struct store *st, struct secret *s, json_t *obj,
    struct apply_problem *ret_problem);

#endif
