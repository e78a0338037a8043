/*
 * Assets, things of a plain kind: fields in a store (store.h), and one pointer
 * of the kind's own for what no answer shows, such as a private key. With what
 * their requests have in common: checking a body, listing, and the controls.
 */
#ifndef SANDBOX_ASSET_H
#define SANDBOX_ASSET_H

#include "store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apply_problem;
struct call;
struct rule;

struct asset {
	struct item item; /* must be first: the store frees by it */
	void *own;        /* freed by free_own */
	void (*free_own)(void *own);
	json_t *field[]; /* as many as its kind has */
};

/* Why something was not made; all zero: nothing is wrong. Literals. */
struct asset_problem {
	int status;        /* 400, 404, 409 or 500 */
	const char *field; /* 400: which member; 404: what is missing */
	const char *text;
};

/* A thing that is in no store yet. id NULL or JSON null: a new UUID. */
struct asset *asset_new(const struct store_kind *kind, json_t *id);

/* Free one that is in no store. */
void asset_free(const struct store_kind *kind, struct asset *t);

/* For struct store_kind. */
void asset_free_item(struct item *it);

/* Set a field of one that is in no store yet; takes over v. */
void asset_set(struct asset *t, size_t field, json_t *v);

/* Find by id; NULL: none. */
struct asset *asset_find(const struct store *st, const char *id);

/* *p says what is wrong; returns false. */
bool asset_fail(
    struct asset_problem *p, int status, const char *field, const char *text);

/*
 * Check the members of obj that the rules with RULE_CREATE name.
 * false: *ret_problem is set.
 */
bool asset_check(const struct rule *rules, const json_t *obj,
    struct asset_problem *ret_problem);

/* The text of a member in either spelling; NULL: absent, null or no string. */
const char *asset_text(const json_t *obj, const char *name);

/* Read the body of a request that makes one; no request chooses an id. */
bool asset_body(struct call *c);

/* Answer with a problem. */
void asset_answer_problem(struct call *c, const struct asset_problem *p);

/*
 * Answer 201 with what has been made and name it in the audit trail; type is a
 * literal, show makes the answer. t NULL: the answer is the problem.
 */
void asset_answer_made(struct call *c, const struct asset *t,
    const struct asset_problem *p, const char *type,
    json_t *(*show)(const struct asset *t));

/* A problem, as one of a seed; returns false. */
bool asset_seed_problem(
    const struct asset_problem *p, struct apply_problem *ret_problem);

/*
 * Is the id of a seed's thing new here? absent is. false: *ret_problem is set.
 */
bool asset_seed_id(const struct store *st, const json_t *obj,
    struct apply_problem *ret_problem);

/* Answer {items, totalCount, page, pageSize}; show makes one row. */
void asset_list(struct call *c, const struct store *st,
    json_t *(*show)(const struct asset *t));

/*
 * A control: set the members of the body, of which rules must name each one.
 * Returns the thing that the path names; NULL: the answer has been set.
 */
struct asset *asset_control(struct call *c, struct store *st,
    const struct store_kind *kind, const struct rule *rules);

/*
 * Add to obj the snake_case twin of each of its members. Only for the answers
 * that the official SDK reads in that spelling alone. Returns obj.
 */
json_t *asset_both_spellings(json_t *obj);

#endif
