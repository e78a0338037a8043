/*
 * A secret and its versions. Requests are secrets.c; this is the state.
 */
#ifndef SANDBOX_SECRET_H
#define SANDBOX_SECRET_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_MAX_VALUE (64 * 1024)
#define SECRET_MAX_VERSIONS 20 /* the current one included */

enum secret_field {
	SECRET_ID = STORE_ID,
	SECRET_NAME = STORE_NAME,
	SECRET_VALUE,
	SECRET_VERSION,
	SECRET_CONTENT_TYPE,
	SECRET_USERNAME,
	SECRET_TOTP_SECRET,
	SECRET_URLS,
	SECRET_DESCRIPTION,
	SECRET_NOTES,
	SECRET_LABELS,
	SECRET_CUSTOM_FIELDS,
	SECRET_FOLDER_ID,
	SECRET_EXPIRES_AT,
	SECRET_IS_ACTIVE,
	SECRET_IS_FAVORITE,
	SECRET_HAS_TOTP, /* NULL: follows from the TOTP secret */
	SECRET_IS_TRAVEL_SAFE,
	SECRET_CREATED_AT,
	SECRET_UPDATED_AT,
	SECRET_CREATED_BY,
	SECRET_UPDATED_BY,
	SECRET_FIELDS
};

#define SECRET_ALL (STORE_BIT(SECRET_FIELDS) - 1)

/* One value that the secret has, or had. */
struct secret_version {
	int64_t version;
	json_t *value;
	json_t *username; /* NULL: none */
	json_t *created_at;
	json_t *changed_by;
};

struct secret {
	struct item item; /* must be first: the store frees by it */
	json_t *field[SECRET_FIELDS];
	json_t *version_created_at; /* NULL: when the secret was */
	json_t *version_changed_by; /* NULL: who created it */
	struct secret_version *old; /* oldest first, the current one aside */
	size_t n_old;
};

extern const struct store_kind secret_kind;

/* What requests may set; see rules.h. */
extern const struct rule secret_rules[];

/*
 * A secret that is not in a store yet, with an id (given, or a new one when
 * NULL) and the defaults of all fields. id, name: strings. actor may be NULL.
 */
struct secret *secret_new(json_t *id, json_t *name, json_t *actor);

/* Free a secret that is in no store. */
void secret_free(struct secret *s);

/* Find by id; NULL: none. */
struct secret *secret_find(const struct store *st, const char *id);

int64_t secret_version(const struct secret *s);
bool secret_is_active(const struct secret *s);

/* Make v the value, under the next version. References are taken. */
void secret_rotate(
    struct store *st, struct secret *s, json_t *v, json_t *actor);

/* Keep the current value as an old version, before it is replaced. */
void secret_push_version(struct secret *s);

/* Put the history that a seed gives in place of what there is. */
void secret_set_history(struct secret *s, json_t *history);

/* The old version of that number, or NULL. */
const struct secret_version *secret_old(
    const struct secret *s, int64_t version);

/* A new JSON object of the fields given as bits; extra as in store_object(). */
json_t *secret_object(const struct secret *s, uint32_t fields, bool extra);

/* A new JSON array of at most max versions, the newest first. */
json_t *secret_history(const struct secret *s, size_t max);

#endif
