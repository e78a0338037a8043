#include "config.h"

#include "ref.h"

#include <string.h>

#include "err.h"
#include "text.h"

#define SECRETS "qapi://secrets/"
#define KEYS "qapi://keys/"
#define PUBLIC "/public"
#define CUSTOM "customFields."

#define LIT_LEN(s) (sizeof(s) - 1)

#define VERSION_MAX UINT64_C(9223372036854775807)

/* Longest value of version= and format= that is worth decoding. */
#define WORD_MAX 64

static const char why_percent[] =
    "a % is not followed by two hex digits: write %25 for a percent sign";
static const char why_name_long[] =
    "the name is longer than 1020 bytes";
static const char why_name_empty[] =
    "the name is missing: write qapi://secrets/NAME or "
    "qapi://keys/NAME/public";
static const char why_name_bytes[] =
    "the name holds a control character or is not valid UTF-8";
static const char why_field_long[] =
    "the field's name is longer than 1100 bytes";
static const char why_field_empty[] =
    "the field has no name: write field=NAME or field=customFields.NAME";
static const char why_field_bytes[] =
    "the field's name holds a control character or is not valid UTF-8";
static const char why_version[] =
    "the version is no number from 1 to 9223372036854775807: "
    "write version=N";
static const char why_format[] =
    "no such format: write format=json, jwk, raw, pem or der";

static const char *const format_names[] = {
	[REF_FORMAT_JSON] = "json",
	[REF_FORMAT_JWK] = "jwk",
	[REF_FORMAT_RAW] = "raw",
	[REF_FORMAT_PEM] = "pem",
	[REF_FORMAT_DER] = "der",
};

#define NFORMATS (sizeof(format_names) / sizeof(format_names[0]))

/*
 * Take percent-encoding off text that holds some.  NULL, or what is wrong
 * with it; why_long if it does not fit.
 */
static const char *
decode(const char *src, size_t len, char *store, size_t max,
    const char *why_long, struct view *ret)
{
	size_t out = 0;
	size_t i;
	int high;
	int low;

	for (i = 0; i < len; i++) {
		if (out == max)
			return why_long;
		if (src[i] != '%') {
			store[out++] = src[i];
			continue;
		}
		if (len - i < 3)
			return why_percent;
		high = text_hex_value(src[i + 1]);
		low = text_hex_value(src[i + 2]);
		if (high < 0 || low < 0)
			return why_percent;
		store[out++] = (char)(high << 4 | low);
		i += 2;
	}
	ret->p = (const uint8_t *)store;
	ret->len = out;
	return NULL;
}

/* As decode(), but most text holds none and is used where it is. */
static inline const char *
unescape(const char *src, size_t len, char *store, size_t max,
    const char *why_long, struct view *ret)
{
	if (len == 0 || memchr(src, '%', len) == NULL) {
		ret->p = (const uint8_t *)src;
		ret->len = len;
		return len > max ? why_long : NULL;
	}
	return decode(src, len, store, max, why_long, ret);
}

static const char *
set_name(struct ref *ref, const char *name, size_t len)
{
	const char *why;

	why = unescape(name, len, ref->store, REF_NAME_MAX, why_name_long,
	    &ref->name);
	if (why != NULL)
		return why;
	if (ref->name.len == 0)
		return why_name_empty;
	if (!text_is_plain(ref->name.p, ref->name.len))
		return why_name_bytes;
	return NULL;
}

static const char *
set_field(struct ref *ref, const char *value, size_t len)
{
	const char *why;

	why = unescape(value, len, ref->store + REF_NAME_MAX, REF_FIELD_MAX,
	    why_field_long, &ref->field);
	if (why != NULL)
		return why;
	if (ref->field.len == 0 || (ref->field.len == LIT_LEN(CUSTOM) &&
	    memcmp(ref->field.p, CUSTOM, LIT_LEN(CUSTOM)) == 0))
		return why_field_empty;
	if (!text_is_plain(ref->field.p, ref->field.len))
		return why_field_bytes;
	ref->has_field = true;
	return NULL;
}

static const char *
set_version(struct ref *ref, const char *value, size_t len)
{
	char word[WORD_MAX];
	struct view v;
	uint64_t n = 0;
	uint64_t digit;
	const char *why;
	size_t i;

	why = unescape(value, len, word, sizeof(word), why_version, &v);
	if (why != NULL)
		return why;
	for (i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return why_version;
		digit = (uint64_t)(v.p[i] - '0');
		if (n > (VERSION_MAX - digit) / 10)
			return why_version;
		n = n * 10 + digit;
	}
	if (n == 0)
		return why_version;
	ref->version = n;
	return NULL;
}

static const char *
set_format(struct ref *ref, const char *value, size_t len)
{
	char word[WORD_MAX];
	struct view v;
	const char *why;
	int format;

	why = unescape(value, len, word, sizeof(word), why_format, &v);
	if (why != NULL)
		return why;
	format = ref_format_from_name((const char *)v.p, v.len);
	if (format < 0)
		return why_format;
	ref->format = (enum ref_format)format;
	return NULL;
}

static const struct param {
	const char *name;
	size_t len;
	enum ref_kind kind;
	const char *(*set)(struct ref *ref, const char *value, size_t len);
} params[] = {
	{ "field", 5, REF_SECRET, set_field },
	{ "version", 7, REF_SECRET, set_version },
	{ "format", 6, REF_KEY, set_format },
};

#define NPARAMS (sizeof(params) / sizeof(params[0]))

/* One NAME=VALUE.  seen: a bit for each of params that came before. */
static const char *
parse_param(struct ref *ref, const char *p, size_t len, unsigned int *seen)
{
	const char *eq = len == 0 ? NULL : memchr(p, '=', len);
	size_t name_len;
	size_t i;

	if (eq == NULL)
		return "a parameter has no value: write NAME=VALUE, "
		    "with & between two";
	name_len = (size_t)(eq - p);
	for (i = 0; i < NPARAMS; i++) {
		if (params[i].kind != ref->kind || params[i].len != name_len ||
		    memcmp(params[i].name, p, name_len) != 0)
			continue;
		if ((*seen & 1u << i) != 0)
			return "a parameter is given twice";
		*seen |= 1u << i;
		return params[i].set(ref, eq + 1, len - name_len - 1);
	}
	return ref->kind == REF_SECRET ?
	    "no such parameter: a secret has field= and version=" :
	    "no such parameter: a key has format= alone";
}

/* What follows the '?'. */
static const char *
parse_query(struct ref *ref, const char *p, size_t len)
{
	unsigned int seen = 0;
	const char *amp;
	const char *why;
	size_t n;

	for (;;) {
		amp = len == 0 ? NULL : memchr(p, '&', len);
		n = amp == NULL ? len : (size_t)(amp - p);
		why = parse_param(ref, p, n, &seen);
		if (why != NULL || amp == NULL)
			return why;
		p = amp + 1;
		len -= n + 1;
	}
}

/* The scheme and kind: how many bytes they are, 0 if there are none. */
static inline size_t
parse_scheme(struct ref *ref, const char *text, size_t len)
{
	if (len >= LIT_LEN(SECRETS) &&
	    memcmp(text, SECRETS, LIT_LEN(SECRETS)) == 0) {
		ref->kind = REF_SECRET;
		return LIT_LEN(SECRETS);
	}
	if (len >= LIT_LEN(KEYS) && memcmp(text, KEYS, LIT_LEN(KEYS)) == 0) {
		ref->kind = REF_KEY;
		return LIT_LEN(KEYS);
	}
	return 0;
}

static const char *
parse(struct ref *ref, const char *text, size_t len)
{
	static const char value[] = "value";
	const char *query;
	const char *why;
	size_t skip;
	size_t name_len;

	if (len > REF_MAX)
		return "the reference is longer than 4096 bytes";
	skip = parse_scheme(ref, text, len);
	if (skip == 0)
		return "not a reference: write qapi://secrets/NAME or "
		    "qapi://keys/NAME/public";
	text += skip;
	len -= skip;
	/* store stays as it is: clearing it would be most of the work here */
	ref->field.p = (const uint8_t *)value;
	ref->field.len = LIT_LEN(value);
	ref->has_field = false;
	ref->version = 0;
	ref->format = REF_FORMAT_JSON;

	query = len == 0 ? NULL : memchr(text, '?', len);
	name_len = query == NULL ? len : (size_t)(query - text);
	if (ref->kind == REF_KEY) {
		if (name_len < LIT_LEN(PUBLIC) || memcmp(text + name_len -
		    LIT_LEN(PUBLIC), PUBLIC, LIT_LEN(PUBLIC)) != 0)
			return "the reference of a key ends in /public: "
			    "write qapi://keys/NAME/public";
		why = set_name(ref, text, name_len - LIT_LEN(PUBLIC));
	} else {
		why = set_name(ref, text, name_len);
	}
	if (why != NULL || query == NULL)
		return why;
	return parse_query(ref, query + 1, len - name_len - 1);
}

int
ref_parse(const char *text, size_t len, struct ref *ret_ref,
    const char **ret_why)
{
	const char *why = parse(ret_ref, text, len);

	if (why == NULL)
		return 0;
	if (ret_why != NULL)
		*ret_why = why;
	return ERR_BAD_REQUEST;
}

bool
ref_is_reference(const char *text, size_t len)
{
	return len >= LIT_LEN(REF_SCHEME) &&
	    memcmp(text, REF_SCHEME, LIT_LEN(REF_SCHEME)) == 0;
}

/* Text that is put together in a buffer of the caller. */
struct out {
	char *p;
	size_t len;
	size_t size;
	bool failed;
};

static void
out_put(struct out *out, const char *p, size_t len)
{
	if (out->failed || len >= out->size - out->len) {
		out->failed = true;
		return;
	}
	memcpy(out->p + out->len, p, len);
	out->len += len;
	out->p[out->len] = '\0';
}

/* Has c no meaning in a reference, a shell word or a template? */
static bool
is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (unsigned char)c >= 0x80 ||
	    (c != '\0' && strchr("/-._~:@", c) != NULL);
}

static void
out_escaped(struct out *out, const char *p, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	char code[3] = { '%', 0, 0 };
	size_t i;

	for (i = 0; i < len; i++) {
		if (is_unreserved(p[i])) {
			out_put(out, p + i, 1);
			continue;
		}
		code[1] = hex[(unsigned char)p[i] >> 4];
		code[2] = hex[p[i] & 0xf];
		out_put(out, code, sizeof(code));
	}
}

int
ref_complete(enum ref_kind kind, const char *text, const char *extra,
    char *ret, size_t size)
{
	struct out out = { ret, 0, size, size == 0 };
	size_t len = strlen(text);

	if (ref_is_reference(text, len)) {
		out_put(&out, text, len);
	} else if (kind == REF_KEY) {
		out_put(&out, KEYS, LIT_LEN(KEYS));
		out_escaped(&out, text, len);
		out_put(&out, PUBLIC, LIT_LEN(PUBLIC));
	} else {
		out_put(&out, SECRETS, LIT_LEN(SECRETS));
		out_escaped(&out, text, len);
	}
	if (extra != NULL && !out.failed) {
		out_put(&out, strchr(out.p, '?') == NULL ? "?" : "&", 1);
		out_put(&out, extra, strlen(extra));
	}
	return out.failed ? ERR_TOO_LARGE : 0;
}

int
ref_escape(const char *src, size_t len, char *ret, size_t size)
{
	struct out out = { ret, 0, size, size == 0 };

	if (size > 0)
		ret[0] = '\0';
	out_escaped(&out, src, len);
	return out.failed ? ERR_TOO_LARGE : 0;
}

const char *
ref_format_name(enum ref_format format)
{
	return (size_t)format < NFORMATS ? format_names[format] : "json";
}

int
ref_format_from_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < NFORMATS; i++) {
		if (strlen(format_names[i]) == len &&
		    memcmp(format_names[i], name, len) == 0)
			return (int)i;
	}
	return -1;
}
