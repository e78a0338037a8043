/*
 * End-users. As the service does, this keeps each in two halves: the Identity
 * record, which requests see, and the EaaS record, which holds what hangs by
 * it (the block once more, assigned roles). A change of both is one step, or
 * is reverted; a permanent deletion takes Identity first, then the other, and
 * can be taken up again where it failed between. Requests are endusers.c.
 */
#ifndef SANDBOX_ENDUSER_H
#define SANDBOX_ENDUSER_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apply_problem;
struct tenant;

enum enduser_field {
	ENDUSER_ID = STORE_ID,
	ENDUSER_EMAIL = STORE_NAME,
	ENDUSER_EMAIL_VERIFIED,
	ENDUSER_DISPLAY_NAME,
	ENDUSER_IS_BLOCKED,
	ENDUSER_LOGIN_COUNT,
	ENDUSER_CREATED_AT,
	ENDUSER_APPLICATION_ID, /* NULL: of none */
	ENDUSER_FIRST_NAME,
	ENDUSER_LAST_NAME,
	ENDUSER_PHONE_NUMBER,
	ENDUSER_PHONE_NUMBER_VERIFIED,
	ENDUSER_PROFILE_PICTURE_URL,
	ENDUSER_METADATA, /* JSON in a string */
	ENDUSER_IS_LOCKED_OUT,
	ENDUSER_BLOCKED_REASON,
	ENDUSER_BLOCKED_AT,
	ENDUSER_LAST_LOGIN_AT,
	ENDUSER_LAST_IP_ADDRESS,
	ENDUSER_UPDATED_AT,
	ENDUSER_CONNECTIONS,
	ENDUSER_FIELDS
};

struct endusers {
	struct store *identity;
	json_t *eaas; /* {id: {"applicationId", "isBlocked", "roles"}} */
	json_t *gone; /* {id: applicationId} of those deleted */
	int64_t fail_save;    /* so many changes of both halves will fail */
	int64_t fail_cascade; /* so many deletions will, after Identity */
};

enum enduser_deleted {
	ENDUSER_DELETED,
	ENDUSER_HALF_DELETED, /* the cascade failed: ask once more */
	ENDUSER_UNKNOWN,
};

extern const struct store_kind enduser_kind;

/* What requests may set: RULE_CREATE by POST, RULE_PATCH by PUT. */
extern const struct rule enduser_rules[];

struct endusers *endusers_new(void);
void endusers_free(struct endusers *u);

/* Why these are no e-mail and no metadata; NULL: they are, or not given. */
const char *enduser_problem(const json_t *body, const char **ret_field);

/* The user of that e-mail in that application (NULL: of none), or NULL. */
struct item *enduser_find_email(const struct endusers *u, const char *email,
    const char *application_id);

/* Add one in both halves; see thing_new(). The application may be NULL. */
struct item *enduser_add(
    struct endusers *u, json_t *email, json_t *application_id);

/*
 * Block or unblock, in both halves or in none. Where that is so already,
 * nothing changes but the reason, if one is given (NULL: none is).
 * false: the save failed.
 */
bool enduser_set_blocked(
    struct endusers *u, struct item *it, bool blocked, json_t *reason);

/*
 * Delete for good, or go on with that where it failed. A deleted one counts
 * as deleted again. application_id: whose it must be; NULL: anyone's.
 */
enum enduser_deleted enduser_delete(
    struct endusers *u, const char *id, const char *application_id);

/* Delete those of an application, and what was half deleted of it. */
void enduser_drop_application(struct endusers *u, const char *application_id);

/* Assignments of roles: [{"id", "roleId", "assignedAt"}], borrowed. */
json_t *enduser_assignments(const struct endusers *u, const char *id);
/* That of one role, borrowed; NULL: it is not assigned. */
json_t *enduser_assignment(
    const struct endusers *u, const char *id, const char *role_id);
/* Assign a role, if it is not yet. The assignment, borrowed. */
json_t *enduser_assign(
    struct endusers *u, const char *id, const char *role_id);
/* false: it was not assigned. */
bool enduser_unassign(
    struct endusers *u, const char *id, const char *role_id);
/* How many have the role, the half deleted included. */
size_t enduser_count_role(const struct endusers *u, const char *role_id);

/* Objects of the API, new references. */
json_t *enduser_object(const struct tenant *t, const struct item *it);
json_t *enduser_assignment_object(
    const struct tenant *t, const json_t *assignment);

/* One of a seed. false: *ret_problem is set. */
bool enduser_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

/* PUT /_sandbox/endusers/ID. false: *ret_problem is set. */
bool enduser_apply(struct endusers *u, struct item *it, json_t *obj,
    struct apply_problem *ret_problem);

#endif
