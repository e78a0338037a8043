/*
 * A key and its versions. Requests are keys.c; this is the state.
 */
#ifndef SANDBOX_KEY_H
#define SANDBOX_KEY_H

#include "rules.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apply_problem;
struct call;
struct keymat;
struct keymat_alg;

enum key_field {
	KEY_ID = STORE_ID,
	KEY_NAME = STORE_NAME,
	KEY_TYPE,
	KEY_ALGORITHM,
	KEY_VERSION,
	KEY_CREATED_AT,
	KEY_STATUS,
	KEY_DESCRIPTION,
	KEY_PURPOSE,
	KEY_IS_DEFAULT,
	KEY_UPDATED_AT,
	KEY_EXPIRES_AT,
	KEY_LABELS,
	KEY_IS_POST_QUANTUM,
	KEY_IS_ACTIVE,
	KEY_IS_FAVORITE,
	KEY_LAST_ROTATED_AT,
	KEY_STATE,
	KEY_SCHEDULED_DELETION_DATE,
	KEY_MIN_DECRYPTION_VERSION,
	KEY_FIELDS
};

struct key_version {
	json_t *id; /* a UUID of its own */
	int64_t version;
	json_t *created_at;
	json_t *rotated_at; /* when the next version came; NULL: current */
	json_t *revoked_at; /* NULL: not */
	struct keymat *material;
};

struct key {
	struct item item; /* must be first: the store frees by it */
	json_t *field[KEY_FIELDS];
	struct key_version *version; /* oldest first; the last is current */
	size_t n_versions;           /* at least 1 once it is in a store */
};

extern const struct store_kind key_kind;

/* What requests may set; see rules.h. */
extern const struct rule key_rules[];

/*
 * A key that is not in a store yet, with a first version of this material,
 * which it takes over. id NULL: a new one. Texts are borrowed.
 */
struct key *key_new(json_t *id, json_t *name, const char *key_type,
    const char *algorithm, struct keymat *material);

/* Find by id; NULL: none, or its scheduled deletion has come. */
struct key *key_find(const struct store *st, const char *id);

/* Has its scheduled deletion come? */
bool key_is_deleted(const struct key *k);

struct item *key_item(struct key *k);
const struct key_version *key_current(const struct key *k);
bool key_is_active(const struct key *k);

/* The version of that number, or NULL. */
const struct key_version *key_version(const struct key *k, int64_t version);

/* Make material (taken over) the next version. */
void key_rotate(struct store *st, struct key *k, struct keymat *material);

/* Make it the default of its type, and no other. */
void key_set_default(struct store *st, struct key *k);

/*
 * A request to set minDecryptionVersion: checks its body, answers it. k NULL:
 * there is no such key. In keys.c.
 */
void key_configure(struct call *c, struct key *k);

/* The key object of the API; of one version. New references. */
json_t *key_object(const struct key *k);
json_t *key_version_object(const struct key *k, const struct key_version *v);

/*
 * One key of a seed into st. Its material is generated, or comes from
 * keyMaterial and format, or from publicKey (raw). false: *ret_problem is set.
 */
bool key_seed(struct store *st, json_t *obj, struct apply_problem *ret_problem);

/*
 * PUT /_sandbox/keys/ID: sets fields; publicKey replaces the material of the
 * current version, revokedVersions is an array of those that are revoked. false: *ret_problem is set, nothing has changed.
 */
bool key_apply(struct store *st, struct key *k, json_t *obj,
    struct apply_problem *ret_problem);

#endif
