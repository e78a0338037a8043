#include "config.h"

#include "jsonread.h"

#include <string.h>

/* Where the reader is; p == end is the end, and of every fault too. */
struct at {
	const char *p;
	const char *end;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char
peek(struct at *at)
{
	while (at->p < at->end && is_blank(*at->p))
		at->p++;
	return at->p < at->end ? *at->p : '\0';
}

static bool
take(struct at *at, char c)
{
	if (peek(at) != c || at->p == at->end)
		return false;
	at->p++;
	return true;
}

static bool
hex4(struct at *at, unsigned int *ret)
{
	unsigned int v = 0, i, d;

	if (at->end - at->p < 4)
		return false;
	for (i = 0; i < 4; i++, at->p++) {
		d = (unsigned char)*at->p;
		if (d >= '0' && d <= '9')
			d -= '0';
		else if ((d | 32) >= 'a' && (d | 32) <= 'f')
			d = (d | 32) - 'a' + 10;
		else
			return false;
		v = v << 4 | d;
	}
	*ret = v;
	return true;
}

static void
put_utf8(struct out *o, unsigned int c)
{
	if (c < 0x80) {
		out_char(o, (char)c);
	} else if (c < 0x800) {
		out_char(o, (char)(0xc0 | c >> 6));
		out_char(o, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		out_char(o, (char)(0xe0 | c >> 12));
		out_char(o, (char)(0x80 | (c >> 6 & 63)));
		out_char(o, (char)(0x80 | (c & 63)));
	} else {
		out_char(o, (char)(0xf0 | c >> 18));
		out_char(o, (char)(0x80 | (c >> 12 & 63)));
		out_char(o, (char)(0x80 | (c >> 6 & 63)));
		out_char(o, (char)(0x80 | (c & 63)));
	}
}

static bool
unicode(struct at *at, struct out *o)
{
	unsigned int c, low;

	if (!hex4(at, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (at->end - at->p < 2 || at->p[0] != '\\' || at->p[1] != 'u')
			return false;
		at->p += 2;
		if (!hex4(at, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return false;
	}
	put_utf8(o, c);
	return true;
}

/* What follows a backslash. */
static bool
escape(struct at *at, struct out *o)
{
	static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	if (at->p == at->end)
		return false;
	c = *at->p++;
	if (c == 'u')
		return unicode(at, o);
	found = c == '\0' ? NULL : strchr(names, c);
	if (found == NULL)
		return false;
	out_char(o, means[found - names]);
	return true;
}

static bool
string(struct at *at, struct out *o)
{
	if (!take(at, '"'))
		return false;
	while (at->p < at->end) {
		if (*at->p == '"') {
			at->p++;
			return true;
		}
		if (*at->p != '\\')
			out_char(o, *at->p++);
		else if (at->p++, !escape(at, o))
			return false;
	}
	return false;
}

/* Pass over any value; brackets are counted, not matched. */
static bool
skip(struct at *at)
{
	struct out o;
	size_t depth = 0;
	bool ok = true;
	char c;

	out_init(&o);
	do {
		c = peek(at);
		if (c == '"') {
			ok = string(at, &o);
			out_clear(&o);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		else if (depth == 0 && (c == '\0' || strchr("}],:", c) != NULL))
			ok = false;
		if (!ok || at->p == at->end) {
			ok = false;
			break;
		}
		at->p++;
		/* a number or a word ends where something else begins */
		while (depth == 0 && c != '}' && c != ']' && at->p < at->end &&
		    !is_blank(*at->p) && strchr(",}]", *at->p) == NULL)
			at->p++;
	} while (ok && depth > 0);
	out_done(&o);
	return ok;
}

static bool
number(struct at *at, struct out *o)
{
	const char *start;

	(void)peek(at);
	start = at->p;
	while (at->p < at->end && *at->p >= '0' && *at->p <= '9')
		at->p++;
	out_bytes(o, start, (size_t)(at->p - start));
	return at->p > start;
}

bool
jsonread_text(const void *p, size_t len, const char *name, struct out *ret)
{
	struct at at = {p, (const char *)p + len};
	struct out key;
	bool found = false;

	out_init(&key);
	if (!take(&at, '{'))
		return false;
	do {
		out_clear(&key);
		if (!string(&at, &key) || !take(&at, ':'))
			break;
		if (key.len == strlen(name) &&
		    memcmp(key.p, name, key.len) == 0)
			found = peek(&at) == '"' ? string(&at, ret)
						 : number(&at, ret);
		else if (!skip(&at))
			break;
	} while (!found && take(&at, ','));
	out_done(&key);
	return found && !ret->failed;
}
