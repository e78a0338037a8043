#include "config.h"

#include "field.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "err.h"

#define FIELD_NAMES_SHOWN 400

static bool
field_is(struct view name, const char *word)
{
	return strlen(word) == name.len && memcmp(name.p, word, name.len) == 0;
}

static enum msg_content
field_key_content(enum ref_format format)
{
	switch (format) {
	case REF_FORMAT_JSON:
	case REF_FORMAT_JWK:
		return MSG_CONTENT_JSON;
	case REF_FORMAT_PEM:
		return MSG_CONTENT_TEXT;
	case REF_FORMAT_RAW:
	case REF_FORMAT_DER:
		return MSG_CONTENT_BYTES;
	}
	return MSG_CONTENT_BYTES;
}

/* The seed stays here, whatever is asked; only codes leave. */
static int
field_totp(const struct object *o, struct field_scratch *scratch,
    struct msg_result *m, char *why, size_t why_size)
{
	const struct view name = { (const uint8_t *)"totpSecret", 10 };
	struct object_field seed;
	struct now now;
	int r;

	if (object_field(o, name, &seed) != 0)
		return ERR_NOT_FOUND;
	clock_read(&now);
	r = totp_code(seed.content, now.wall_ms, scratch->code);
	if (r != 0) {
		(void)snprintf(why, why_size, "its totpSecret is neither "
		    "base32 nor a complete otpauth://totp/ URI");
		return r;
	}
	m->value = (struct view){ (const uint8_t *)scratch->code,
	    strlen(scratch->code) };
	return 0;
}

int
field_select(const struct ref *ref, const struct object *o,
    struct field_scratch *scratch, struct msg_result *m, char *why,
    size_t why_size)
{
	struct object_field field;
	char names[FIELD_NAMES_SHOWN];
	int r = ERR_NOT_FOUND;

	m->content = MSG_CONTENT_TEXT;
	if (ref->kind == REF_KEY) {
		m->value = object_value(o);
		m->content = (uint8_t)field_key_content(ref->format);
		return 0;
	}
	if (field_is(ref->field, "value")) {
		m->value = object_value(o);
		return 0;
	}
	if (field_is(ref->field, "totp")) {
		r = field_totp(o, scratch, m, why, why_size);
	} else if (!field_is(ref->field, "totpSecret") &&
	    object_field(o, ref->field, &field) == 0) {
		m->value = field.content;
		if (!field.is_text)
			m->content = MSG_CONTENT_JSON;
		r = 0;
	}
	if (r == ERR_NOT_FOUND)
		(void)snprintf(why, why_size, "this secret has no field of "
		    "that name, or it is not set; set are: value, %s",
		    object_field_names(o, names, sizeof(names)));
	return r;
}
