#include "config.h"

#include "object.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "msg.h"

/*
 * A packed field: one byte, the name if it is none of those below (length,
 * bytes), and the content (length, bytes) unless the byte tells it already.
 * A length is 7 bits a byte, lowest first; the top bit says that more follow.
 * The byte: which name in the lower 6 bits, 0 is one spelled out; what the
 * content is in the upper 2.
 */
#define NAME_BITS 6u
#define NAME_MASK 0x3fu

enum field_form {
	FORM_JSON = 0,
	FORM_TEXT = 1,
	FORM_FALSE = 2,		/* the JSON document, no bytes */
	FORM_TRUE = 3,
};

/* Never renumbered: sealed snapshots of the cache hold these numbers. */
static const char *const known_names[] = {
	[1] = "version",
	[2] = "contentType",
	[3] = "username",
	[4] = "totpSecret",
	[5] = "urls",
	[6] = "description",
	[7] = "notes",
	[8] = "labels",
	[9] = "customFields",
	[10] = "folderId",
	[11] = "expiresAt",
	[12] = "isActive",
	[13] = "isFavorite",
	[14] = "hasTotp",
	[15] = "isTravelSafe",
	[16] = "createdAt",
	[17] = "updatedAt",
	[18] = "createdBy",
	[19] = "updatedBy",
};

#define KNOWN_END (sizeof(known_names) / sizeof(known_names[0]))

static_assert(KNOWN_END <= NAME_MASK + 1, "numbers of known fields");

/* --- life --- */

/* text begins within what would be padding at the end of the structure. */
static size_t
object_plain_size(size_t id_len, size_t name_len)
{
	size_t size = offsetof(struct object, text) + id_len + name_len + 2;

	return size > sizeof(struct object) ? size : sizeof(struct object);
}

struct object *
object_new(enum ref_kind kind, struct view id, struct view name)
{
	struct object *o;

	if (id.len > UINT16_MAX || name.len > UINT16_MAX)
		return NULL;
	o = calloc(1, object_plain_size(id.len, name.len));
	if (o == NULL)
		return NULL;
	o->refs = 1;
	o->kind = kind;
	o->is_active = true;
	o->updated_at = MSG_NO_TIME;
	o->expires_at = MSG_NO_TIME;
	o->id_len = (uint16_t)id.len;
	o->name_len = (uint16_t)name.len;
	if (id.len > 0)
		memcpy(o->text, id.p, id.len);
	if (name.len > 0)
		memcpy(o->text + id.len + 1, name.p, name.len);
	return o;
}

int
object_take(struct object *o, struct secbuf *b)
{
	if (b->len > UINT32_MAX)
		return ERR_TOO_LARGE;
	o->value_len = (uint32_t)b->len;
	secbuf_take(b, &o->data);
	return 0;
}

struct object *
object_ref(struct object *o)
{
	assert(o->refs > 0 && o->refs < UINT_MAX);
	o->refs++;
	return o;
}

static void
object_settle(struct object *o)
{
	if (o->refs == o->labels)
		secmem_free_bytes(&o->data);
	if (o->refs == 0)
		free(o);
}

void
object_unref(struct object *o)
{
	if (o == NULL)
		return;
	assert(o->refs > o->labels);
	o->refs--;
	object_settle(o);
}

void
object_to_label(struct object *o)
{
	assert(o->refs > o->labels && o->labels < UINT8_MAX);
	o->labels++;
	object_settle(o);
}

void
object_unref_label(struct object *o)
{
	if (o == NULL)
		return;
	assert(o->labels > 0);
	o->labels--;
	o->refs--;
	object_settle(o);
}

/* --- what it is --- */

struct view
object_id(const struct object *o)
{
	return (struct view){(const uint8_t *)o->text, o->id_len};
}

struct view
object_name(const struct object *o)
{
	return (struct view){(const uint8_t *)o->text + o->id_len + 1,
	    o->name_len};
}

struct view
object_value(const struct object *o)
{
	return (struct view){secmem_bytes(&o->data), o->value_len};
}

size_t
object_label_bytes(const struct object *o)
{
	size_t plain = object_plain_size(o->id_len, o->name_len);

	/* malloc(3) adds a word and rounds up to 16. */
	return (plain + sizeof(size_t) + 15) & ~(size_t)15;
}

size_t
object_bytes(const struct object *o)
{
	size_t secret = secmem_len(&o->data);

	return object_label_bytes(o) +
	    (secret > 0 ? secmem_class_size(secret) : 0);
}

size_t
object_own_bytes(const struct object *o)
{
	size_t secret = secmem_len(&o->data);

	return o->refs - o->labels > 1 || secret == 0 ? 0
	    : secmem_class_size(secret);
}

/* --- names of fields --- */

static bool
view_is(struct view v, const char *text)
{
	size_t len = strlen(text);

	return v.len == len && memcmp(v.p, text, len) == 0;
}

static struct view
view_of(const char *text)
{
	return (struct view){(const uint8_t *)text, strlen(text)};
}

static unsigned int
known_number(struct view name)
{
	unsigned int i;

	for (i = 1; name.len > 0 && i < KNOWN_END; i++) {
		if (view_is(name, known_names[i]))
			return i;
	}
	return 0;
}

const char *
object_known_field(struct view name)
{
	unsigned int n = known_number(name);

	return n == 0 ? NULL : known_names[n];
}

/* --- reading packed fields --- */

static size_t
get_len(struct rd *rd)
{
	unsigned int shift;
	uint64_t len = 0;
	uint8_t c = 0x80;

	for (shift = 0; c & 0x80; shift += 7) {
		if (shift > 28) {
			rd->failed = true;
			return 0;
		}
		c = rd_u8(rd);
		len |= (uint64_t)(c & 0x7f) << shift;
	}
	return (size_t)len;
}

/* rd stands at a field.  False if it is none, which would be our own fault. */
static bool
get_field(struct rd *rd, struct object_field *ret)
{
	uint8_t head = rd_u8(rd);
	unsigned int number = head & NAME_MASK;
	enum field_form form = (enum field_form)(head >> NAME_BITS);

	if (number >= KNOWN_END)
		return false;
	if (number == 0)
		ret->name = rd_bytes(rd, get_len(rd));
	else
		ret->name = view_of(known_names[number]);
	ret->is_text = form == FORM_TEXT;
	switch (form) {
	case FORM_JSON:
	case FORM_TEXT:
		ret->content = rd_bytes(rd, get_len(rd));
		break;
	case FORM_FALSE:
		ret->content = view_of("false");
		break;
	case FORM_TRUE:
		ret->content = view_of("true");
		break;
	}
	return !rd->failed;
}

bool
object_next_field(const struct object *o, size_t *pos, struct object_field *ret)
{
	size_t start = o->value_len + *pos;
	size_t len = secmem_len(&o->data);
	struct object_field field;
	struct rd rd;

	if (start >= len)
		return false;
	rd_init(&rd, secmem_bytes(&o->data) + start, len - start);
	if (!get_field(&rd, &field))
		return false;
	*pos = len - o->value_len - rd.len;
	*ret = field;
	return true;
}

/* The two that are not packed, since every object has them at hand. */
static bool
plain_field(const struct object *o, struct view name, struct object_field *ret)
{
	if (view_is(name, "id")) {
		*ret = (struct object_field){view_of("id"), true, object_id(o)};
		return true;
	}
	if (view_is(name, "name") && o->name_len > 0) {
		*ret = (struct object_field){view_of("name"), true,
		    object_name(o)};
		return true;
	}
	return false;
}

int
object_field(const struct object *o, struct view name, struct object_field *ret)
{
	struct object_field field;
	size_t pos = 0;

	if (plain_field(o, name, ret))
		return 0;
	while (object_next_field(o, &pos, &field)) {
		if (field.name.len == name.len && name.len > 0 &&
		    memcmp(field.name.p, name.p, name.len) == 0) {
			*ret = field;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

/* A list in the making; ends in "..." once something did not fit. */
struct names {
	char *buf;
	size_t size;
	size_t len;
	bool full;
};

static void
names_add(struct names *names, struct view name)
{
	size_t sep = names->len > 0 ? 2 : 0;

	if (names->full || name.len == 0)
		return;
	if (names->size - names->len < sep + name.len + sizeof(", ...")) {
		names->full = true;
		(void)snprintf(names->buf + names->len,
		    names->size - names->len, "%s...", sep > 0 ? ", " : "");
		return;
	}
	memcpy(names->buf + names->len, ", ", sep);
	memcpy(names->buf + names->len + sep, name.p, name.len);
	names->len += sep + name.len;
	names->buf[names->len] = '\0';
}

const char *
object_field_names(const struct object *o, char *buf, size_t size)
{
	struct names names = {.buf = buf, .size = size};
	struct object_field field;
	size_t pos = 0;

	assert(size > 0);
	buf[0] = '\0';
	names_add(&names, view_of("id"));
	if (o->name_len > 0)
		names_add(&names, view_of("name"));
	while (object_next_field(o, &pos, &field)) {
		if (view_is(field.name, "totpSecret"))
			field.name = view_of("totp");
		names_add(&names, field.name);
	}
	return buf;
}

/* --- writing packed fields --- */

static void
put_len(struct wr *wr, size_t len)
{
	for (; len > 0x7f; len >>= 7)
		wr_u8(wr, (uint8_t)(len | 0x80));
	wr_u8(wr, (uint8_t)len);
}

static size_t
len_size(size_t len)
{
	size_t n = 1;

	for (; len > 0x7f; len >>= 7)
		n++;
	return n;
}

static enum field_form
form_of(const struct object_field *f)
{
	if (f->is_text)
		return FORM_TEXT;
	if (view_is(f->content, "false"))
		return FORM_FALSE;
	if (view_is(f->content, "true"))
		return FORM_TRUE;
	return FORM_JSON;
}

static bool
form_has_content(enum field_form form)
{
	return form == FORM_JSON || form == FORM_TEXT;
}

static size_t
field_size(const struct object_field *f)
{
	size_t size = 1;

	if (known_number(f->name) == 0)
		size += len_size(f->name.len) + f->name.len;
	if (form_has_content(form_of(f)))
		size += len_size(f->content.len) + f->content.len;
	return size;
}

static void
put_field(struct wr *wr, const struct object_field *f)
{
	unsigned int number = known_number(f->name);
	enum field_form form = form_of(f);

	wr_u8(wr, (uint8_t)((unsigned int)form << NAME_BITS | number));
	if (number == 0) {
		put_len(wr, f->name.len);
		wr_bytes(wr, f->name.p, f->name.len);
	}
	if (form_has_content(form)) {
		put_len(wr, f->content.len);
		wr_bytes(wr, f->content.p, f->content.len);
	}
}

int
object_set_data(struct object *o, struct view value,
    const struct object_field *fields, size_t count)
{
	size_t i, size, len = value.len;
	struct wr wr;
	int r;

	if (value.len > UINT32_MAX)
		return ERR_NOMEM;
	for (i = 0; i < count; i++) {
		if (fields[i].content.len > UINT32_MAX)
			return ERR_NOMEM;
		size = field_size(&fields[i]);
		if (size > SIZE_MAX / 2 - len)
			return ERR_NOMEM;
		len += size;
	}
	if ((r = secmem_alloc(&o->data, len, SECMEM_CACHE)) != 0)
		return r;
	wr_init(&wr, secmem_writable(&o->data), len);
	wr_bytes(&wr, value.p, value.len);
	for (i = 0; i < count; i++)
		put_field(&wr, &fields[i]);
	assert(!wr.failed && wr.len == len);
	o->value_len = (uint32_t)value.len;
	return 0;
}
