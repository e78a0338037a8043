/*
 * A role of end-users, of one application or of the whole tenant. Requests
 * are roles.c.
 */
#ifndef SANDBOX_ROLE_H
#define SANDBOX_ROLE_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct tenant;

enum role_field {
	ROLE_ID = STORE_ID,
	ROLE_NAME = STORE_NAME,
	ROLE_IS_DEFAULT,
	ROLE_CREATED_AT,
	ROLE_DESCRIPTION,
	ROLE_APPLICATION_ID, /* NULL: tenant-wide */
	ROLE_PERMISSIONS,    /* a JSON array in a string */
	ROLE_UPDATED_AT,
	ROLE_FIELDS
};

extern const struct store_kind role_kind;

/* What requests may set; see rules.h. */
extern const struct rule role_rules[];

/* Does it count for users of that application (NULL: of none)? */
bool role_fits(const struct item *role, const char *application_id);

/* The role of the API, a new reference. */
json_t *role_object(const struct tenant *t, const struct item *role);

/* Remove the roles of an application. */
void role_drop_application(struct store *st, const char *application_id);

/* One of a seed. false: *ret_problem is set. */
bool role_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
