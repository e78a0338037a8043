/*
 * One immutable snapshot of a secret or public key as the service gave it.
 *
 * Cache entries, waiting answers and half-sent replies share it by reference
 * count: a change upstream makes a new object, so a reader sees the old whole
 * value or the new one.  The value and all other fields of a secret lie in
 * one piece of secret memory; the name, id and times are no secrets and do not.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_OBJECT_H
#define AGENT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "ref.h"
#include "secmem.h"

/* Laid out to be small: with an id of 36 bytes and a name of 28, 120 bytes. */
struct object {
	struct secmem data;	/* value, then the packed fields */
	uint64_t version;
	int64_t updated_at;	/* wall ms, MSG_NO_TIME: null or absent */
	int64_t expires_at;
	unsigned int refs;	/* labels included */
	uint32_t value_len;	/* the first bytes of data */
	uint16_t id_len;
	uint16_t name_len;
	uint8_t labels;		/* references that want id and name alone */
	enum ref_kind kind : 2;
	enum ref_format format : 3;	/* keys: the form of value */
	bool is_active : 1;	/* isActive; true where the service is silent */
	char text[];		/* id, NUL, name, NUL */
};

/* One field besides the value, see object_field(). */
struct object_field {
	struct view name;	/* "username", "labels", "customFields.user" */
	bool is_text;		/* else a JSON document */
	struct view content;
};

/*
 * Make an object with one reference.  The fields are set by the caller;
 * data is empty.  NULL for no memory.
 */
struct object *object_new(enum ref_kind kind, struct view id, struct view name);

struct object *object_ref(struct object *o);
/* Drop one reference; the last one wipes and frees.  NULL is fine. */
void object_unref(struct object *o);

/*
 * Turn a reference into one that wants the id and the name alone: the value is
 * wiped with the last reference that is no label.  At most 255 for an object.
 */
void object_to_label(struct object *o);
/* Drop such a reference.  NULL is fine. */
void object_unref_label(struct object *o);

struct view object_id(const struct object *o);
struct view object_name(const struct object *o);
struct view object_value(const struct object *o);

/*
 * Find a field by its whole name; `value` itself is not among them.  Unset
 * (null) fields are not kept.  Returns 0 or ERR_NOT_FOUND.
 */
int object_field(const struct object *o, struct view name,
    struct object_field *ret);

/*
 * Move a buffer into an object that has no data yet, as its value.  Returns 0
 * or ERR_TOO_LARGE: it is over 4 GiB, and stays the caller's.
 */
int object_take(struct object *o, struct secbuf *b);

/*
 * Walk the fields in the order of the service, without id and name.  *pos
 * starts at 0.  False after the last.
 */
bool object_next_field(const struct object *o, size_t *pos,
    struct object_field *ret);

/*
 * The names of the fields that are set, ", " between them, for a message;
 * totpSecret is named as "totp".  Cut with "..." if it does not fit.
 */
const char *object_field_names(const struct object *o, char *buf, size_t size);

/*
 * Memory it takes: its secret memory by size class, and its ordinary memory.
 * What the cache's byte budget counts.
 */
size_t object_bytes(const struct object *o);
/* As above, without the secret memory: what a label keeps. */
size_t object_label_bytes(const struct object *o);
/*
 * The secret memory that the holder of one reference keeps alone; 0 if others
 * hold some too.
 */
size_t object_own_bytes(const struct object *o);

/* The static text of a field that every secret may have, else NULL. */
const char *object_known_field(struct view name);

/* --- building the packed fields; only upstream_json does --- */

/*
 * Put value and fields into data.  Fields: count of them, each no longer than
 * 4 GiB, names up to 65535 bytes; the value likewise.  Returns 0 or ERR_NOMEM.
 */
int object_set_data(struct object *o, struct view value,
    const struct object_field *fields, size_t count);

#endif /* AGENT_OBJECT_H */
