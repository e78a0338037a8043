/*
 * An application of QuantumID. Requests are applications.c.
 */
#ifndef SANDBOX_APPLICATION_H
#define SANDBOX_APPLICATION_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct tenant;

enum application_field {
	APPLICATION_ID = STORE_ID,
	APPLICATION_DISPLAY_NAME = STORE_NAME,
	APPLICATION_CLIENT_ID,
	APPLICATION_TYPE,
	APPLICATION_ENVIRONMENT,
	APPLICATION_IS_ACTIVE,
	APPLICATION_IS_CONFIDENTIAL, /* NULL: follows from the type */
	APPLICATION_CREATED_AT,
	APPLICATION_DESCRIPTION,
	APPLICATION_REDIRECT_URIS,
	APPLICATION_POST_LOGOUT_REDIRECT_URIS,
	APPLICATION_ALLOWED_SCOPES,
	APPLICATION_RESOURCES,
	APPLICATION_CUSTOM_DOMAIN,
	APPLICATION_CUSTOM_DOMAIN_VERIFIED,
	APPLICATION_UPDATED_AT,
	APPLICATION_FIELDS
};

extern const struct store_kind application_kind;

/* What requests may set: RULE_CREATE by POST, RULE_PATCH by PUT. */
extern const struct rule application_rules[];

/*
 * Why these are no type and no environment of an application; NULL: they are,
 * or are not given. *ret_field: which.
 */
const char *application_problem(const json_t *body, const char **ret_field);

/* An application that is in no store yet. name: a string. */
struct item *application_new(json_t *name);

/* Does a secret go with it? A SPA or a NativeApp cannot keep one. */
bool application_is_confidential(const struct item *it);

/* The application of the API, a new reference. */
json_t *application_object(const struct item *it);

/* One of a seed. false: *ret_problem is set. */
bool application_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
