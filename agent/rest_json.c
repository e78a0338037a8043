#include "config.h"

#include "rest_json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "msg.h"
#include "object.h"
#include "units.h"

#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

void
rest_json_raw(struct rest_json *j, const void *p, size_t len)
{
	if (j->p != NULL && len > 0)
		memcpy(j->p + j->len, p, len);
	j->len += len;
}

void
rest_json_text(struct rest_json *j, const char *text)
{
	rest_json_raw(j, text, strlen(text));
}

/* --- strings --- */

/* Is there a byte in these eight that has to be escaped? */
static bool
has_special(uint64_t x)
{
	uint64_t quote = x ^ ONES * '"', slash = x ^ ONES * '\\';

	return (((x - ONES * 0x20) & ~x) | ((quote - ONES) & ~quote) |
	    ((slash - ONES) & ~slash)) & TOPS;
}

/* How many bytes stand for themselves; those of UTF-8 do. */
static size_t
plain_len(const uint8_t *p, size_t len)
{
	uint64_t eight;
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		memcpy(&eight, p + i, sizeof(eight));
		if (has_special(eight))
			break;
	}
	while (i < len && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

static void
put_escaped(struct rest_json *j, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', (char)c };
	size_t len = 2;

	if (c == '\n') {
		text[1] = 'n';
	} else if (c < 0x20) {
		memcpy(text, "\\u00", 4);
		text[4] = digits[c >> 4];
		text[5] = digits[c & 0xf];
		len = 6;
	}
	rest_json_raw(j, text, len);
}

void
rest_json_string(struct rest_json *j, struct view s)
{
	size_t i = 0, n;

	rest_json_text(j, "\"");
	while (i < s.len) {
		n = plain_len(s.p + i, s.len - i);
		rest_json_raw(j, s.p + i, n);
		i += n;
		if (i < s.len)
			put_escaped(j, s.p[i++]);
	}
	rest_json_text(j, "\"");
}

void
rest_json_base64(struct rest_json *j, struct view bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char four[4];
	size_t i, left;
	uint32_t v;

	rest_json_text(j, "\"");
	for (i = 0; i < bytes.len; i += 3) {
		left = bytes.len - i;
		v = (uint32_t)bytes.p[i] << 16;
		if (left > 1)
			v |= (uint32_t)bytes.p[i + 1] << 8;
		if (left > 2)
			v |= bytes.p[i + 2];
		four[0] = digits[v >> 18];
		four[1] = digits[v >> 12 & 63];
		four[2] = left > 1 ? digits[v >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[v & 63] : '=';
		rest_json_raw(j, four, sizeof(four));
	}
	rest_json_text(j, "\"");
}

void
rest_json_number(struct rest_json *j, uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, n);
	rest_json_text(j, text);
}

void
rest_json_time(struct rest_json *j, int64_t wall_ms)
{
	char text[UNITS_TIME_LEN];

	if (wall_ms == MSG_NO_TIME) {
		rest_json_text(j, "null");
		return;
	}
	rest_json_text(j, "\"");
	rest_json_text(j, units_format_time(wall_ms, text));
	rest_json_text(j, "\"");
}

struct object *
rest_json_make(rest_json_fn *fn, const void *ctx)
{
	const struct view none = { NULL, 0 };
	struct rest_json j = { NULL, 0 };
	struct object *o;
	size_t len;

	fn(&j, ctx);
	len = j.len;
	if (len > UINT32_MAX || (o = object_new(REF_SECRET, none, none)) ==
	    NULL)
		return NULL;
	if (secmem_alloc(&o->data, len, SECMEM_CACHE) != 0) {
		object_unref(o);
		return NULL;
	}
	j = (struct rest_json){ secmem_writable(&o->data), 0 };
	fn(&j, ctx);
	assert(j.len == len);
	o->value_len = (uint32_t)len;
	return o;
}

/* --- members --- */

static size_t
skip_blank(struct view doc, size_t i)
{
	while (i < doc.len && (doc.p[i] == ' ' || doc.p[i] == '\t' ||
	    doc.p[i] == '\n' || doc.p[i] == '\r'))
		i++;
	return i;
}

/* i: at the quote.  Behind the closing one; doc.len if there is none. */
static size_t
skip_string(struct view doc, size_t i)
{
	const uint8_t *end;
	size_t start = ++i, n;

	while (i < doc.len &&
	    (end = memchr(doc.p + i, '"', doc.len - i)) != NULL) {
		i = (size_t)(end - doc.p) + 1;
		for (n = i - 1; n > start && doc.p[n - 1] == '\\'; n--)
			;
		/* an even number of backslashes escape each other */
		if ((i - 1 - n) % 2 == 0)
			return i;
	}
	return doc.len;
}

static size_t
skip_value(struct view doc, size_t i)
{
	size_t depth = 0;
	uint8_t c;

	while (i < doc.len) {
		c = doc.p[i];
		if (c == '"') {
			i = skip_string(doc, i);
			continue;
		}
		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			break;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		i++;
	}
	return i;
}

bool
rest_json_next(struct view doc, size_t *pos, struct rest_member *ret)
{
	size_t i = skip_blank(doc, *pos), start, end;

	if (i >= doc.len || (doc.p[i] != '{' && doc.p[i] != ','))
		return false;
	start = skip_blank(doc, i + 1);
	if (start >= doc.len || doc.p[start] != '"')
		return false;
	end = skip_string(doc, start);
	if (end - start < 2 || doc.p[end - 1] != '"')
		return false;
	ret->name = (struct view){ doc.p + start + 1, end - start - 2 };
	i = skip_blank(doc, end);
	if (i >= doc.len || doc.p[i] != ':')
		return false;
	start = skip_blank(doc, i + 1);
	end = skip_value(doc, start);
	*pos = end;
	while (end > start && (doc.p[end - 1] == ' ' ||
	    doc.p[end - 1] == '\t' || doc.p[end - 1] == '\n' ||
	    doc.p[end - 1] == '\r'))
		end--;
	ret->value = (struct view){ doc.p + start, end - start };
	return true;
}
