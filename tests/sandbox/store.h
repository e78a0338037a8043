/*
 * Things with an id, a name and a table of JSON fields, found by either and
 * listed in order. Secrets and keys are such things; they embed struct item
 * as their first member.
 *
 * A field that is NULL reads as JSON null: most fields of most things are
 * unset, and 100,000 secrets should stay small.
 */
#ifndef SANDBOX_STORE_H
#define SANDBOX_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ID 0 /* every kind begins with these two fields */
#define STORE_NAME 1
#define STORE_NONE SIZE_MAX
#define STORE_BIT(f) (UINT32_C(1) << (f))

struct store;

struct item {
	json_t **field;     /* kind->n_fields of them, owned references */
	json_t *extra;      /* members that no field is known for; or NULL */
	int64_t created_us; /* what the order holds */
};

struct store_kind {
	const char *const *fields; /* their names in JSON */
	size_t n_fields;           /* at most 32 */
	size_t created_at;
	size_t is_active; /* STORE_NONE: kinds that do not count it */
	void (*free_item)(struct item *it); /* the item, its fields aside */
};

struct store *store_new(const struct store_kind *kind);
void store_free(struct store *st);

/*
 * Add an item; it is the store's from now on. STORE_ID and STORE_NAME must be
 * strings. The caller has seen to it that the id is new.
 */
void store_add(struct store *st, struct item *it);

/* Remove and free an item. */
void store_remove(struct store *st, struct item *it);

/* Set a field to v, a new reference is taken; NULL clears. Not STORE_ID. */
void store_set(struct store *st, struct item *it, size_t field, json_t *v);

/* As store_set(), but takes over the reference. */
void store_set_new(struct store *st, struct item *it, size_t field, json_t *v);

/* Find by id, or some item of that name; NULL: none. */
struct item *store_find(const struct store *st, const char *id);
struct item *store_find_name(const struct store *st, const char *name);

/* The items in the order of lists; i below store_count(). */
size_t store_count(const struct store *st);
struct item *store_at(const struct store *st, size_t i);

/* How many have is_active other than true. */
size_t store_inactive(const struct store *st);

/* Between on and off many items are added and none is listed. */
void store_bulk(struct store *st, bool on);

/* The index of a field, given its name in either spelling, or STORE_NONE. */
size_t store_field(const struct store_kind *kind, const char *name);

/*
 * A new object of the fields whose bit is set, null where unset, and the
 * extra members where extra is true.
 */
json_t *store_object(const struct store_kind *kind, const struct item *it,
    uint32_t fields, bool extra);

/* The text of a field, or NULL if it is no string. */
const char *item_text(const struct item *it, size_t field);

#endif
