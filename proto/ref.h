/*
 * The one parser of references (contract, section 2; PROTOCOL.md, 6).
 */
#ifndef PROTO_REF_H
#define PROTO_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define REF_MAX 4096		/* bytes of a reference as text */
#define REF_NAME_MAX 1020	/* bytes of a decoded name: 255 characters */
#define REF_FIELD_MAX 1100	/* "customFields." and a name, and to spare */
#define REF_SCHEME "qapi://"

enum ref_kind {
	REF_SECRET = 1,
	REF_KEY = 2,
};

enum ref_format {
	REF_FORMAT_JSON,
	REF_FORMAT_JWK,
	REF_FORMAT_RAW,
	REF_FORMAT_PEM,
	REF_FORMAT_DER,
};

struct ref {
	enum ref_kind kind;
	struct view name;	/* decoded id or name; into the text or store */
	struct view field;	/* secrets: decoded, "value" if not given */
	bool has_field;		/* a field= was given */
	uint64_t version;	/* secrets: 0 is the newest */
	enum ref_format format;	/* keys */
	char store[REF_NAME_MAX + REF_FIELD_MAX]; /* where decoding was needed */
};

/*
 * Parse the whole of text[0..len).  The views of ret_ref point into text or
 * into ret_ref itself: it must not be copied, and lives no longer than text.
 * Returns 0 or ERR_BAD_REQUEST; ret_why (may be NULL) then is a static
 * sentence saying what is wrong and how to write it.
 */
int ref_parse(const char *text, size_t len, struct ref *ret_ref,
    const char **ret_why);

/* Does text begin with the scheme, or is it a bare id or name? */
bool ref_is_reference(const char *text, size_t len);

/*
 * The reference for what a person typed: a reference as it is, a bare id or
 * name, escaped, with "qapi://secrets/" or "qapi://keys/…/public" around it.
 * extra: a query to add, as "field=username", or NULL (then joined by '?' or
 * '&').
 * ret: NUL-terminated, cut never: ERR_TOO_LARGE if size is too small.
 */
int ref_complete(enum ref_kind kind, const char *text, const char *extra,
    char *ret, size_t size);

/*
 * Percent-encode src for use as a parameter value or a name: all but letters,
 * digits, -._~/:@ and bytes from 0x80.  ret: NUL-terminated.
 * Returns 0 or ERR_TOO_LARGE.
 */
int ref_escape(const char *src, size_t len, char *ret, size_t size);

/* "json", "jwk", …; never NULL.  And back: -1 if there is none. */
const char *ref_format_name(enum ref_format format);
int ref_format_from_name(const char *name, size_t len);

#endif /* PROTO_REF_H */
