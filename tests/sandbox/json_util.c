#include "json_util.h"

#include "mem.h"

#include <ctype.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void
json_util_snake(const char *camel, char *ret_buf, size_t size)
{
	size_t n = 0;

	for (; *camel != '\0' && n + 3 <= size; camel++) {
		if (isupper((unsigned char)*camel))
			ret_buf[n++] = '_';
		ret_buf[n++] = (char)tolower((unsigned char)*camel);
	}
	ret_buf[n] = '\0';
}

json_t *
json_util_get(const json_t *obj, const char *camel)
{
	json_t *v = json_object_get(obj, camel);
	char snake[64];

	if (v != NULL)
		return v;
	json_util_snake(camel, snake, sizeof(snake));
	return json_object_get(obj, snake);
}

bool
json_util_is(const char *key, const char *camel)
{
	char snake[64];

	if (strcmp(key, camel) == 0)
		return true;
	json_util_snake(camel, snake, sizeof(snake));
	return strcmp(key, snake) == 0;
}

json_t *
json_util_parse(const char *p, size_t n, json_error_t *ret_err)
{
	/* A NULL buffer is an error to jansson that sets no message. */
	return json_loadb(
	    n == 0 ? "" : p, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, ret_err);
}

/* One code point, from well-formed UTF-8, as jansson gives it. */
static uint32_t
code_point(const unsigned char **p)
{
	const unsigned char *s = *p;
	uint32_t c = *s;
	int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

	if (more != 0)
		c &= 0x3fU >> more;
	for (int i = 1; i <= more; i++)
		c = c << 6 | (s[i] & 0x3fU);
	*p = s + more + 1;
	return c;
}

/* By hand: printf() would dominate the time of an answer in Cyrillic. */
static void
write_unit(struct text *out, uint32_t unit)
{
	static const char hex[] = "0123456789ABCDEF";
	char s[6] = {'\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15],
	    hex[unit >> 4 & 15], hex[unit & 15]};

	text_add(out, s, sizeof(s));
}

static void
write_escaped(struct text *out, uint32_t c)
{
	static const char short_from[] = "\b\t\n\f\r\\";
	static const char short_to[] = "btnfr\\";
	const char *s = c == 0 || c > 0x7f ? NULL : strchr(short_from, (int)c);

	if (s != NULL) {
		text_char(out, '\\');
		text_char(out, short_to[s - short_from]);
	} else if (c > 0xffff) {
		write_unit(out, 0xd7c0U + (c >> 10));
		write_unit(out, 0xdc00U | (c & 0x3ffU));
	} else {
		write_unit(out, c);
	}
}

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && memchr("\"&'+<>\\`", c, 8) == NULL;
}

static void
write_string(struct text *out, const char *str, size_t n)
{
	const unsigned char *p = (const unsigned char *)str, *end = p + n;

	text_char(out, '"');
	while (p < end) {
		const unsigned char *run = p;

		while (p < end && is_plain(*p))
			p++;
		text_add(out, run, (size_t)(p - run));
		if (p < end)
			write_escaped(out, code_point(&p));
	}
	text_char(out, '"');
}

static void
write_object(struct text *out, const json_t *obj)
{
	/* jansson's iterators want a mutable object; nothing is changed. */
	json_t *o = json_incref((json_t *)(uintptr_t)obj), *v;
	const char *key;
	bool first = true;

	text_char(out, '{');
	json_object_foreach (o, key, v) {
		if (!first)
			text_char(out, ',');
		first = false;
		write_string(out, key, strlen(key));
		text_char(out, ':');
		json_util_write(out, v);
	}
	text_char(out, '}');
	json_decref(o);
}

static void
write_array(struct text *out, const json_t *array)
{
	text_char(out, '[');
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (i != 0)
			text_char(out, ',');
		json_util_write(out, json_array_get(array, i));
	}
	text_char(out, ']');
}

static void
write_real(struct text *out, const json_t *v)
{
	char *s = json_dumps(v, JSON_ENCODE_ANY);

	text_str(out, s == NULL ? "0" : s);
	free(s);
}

void
json_util_write(struct text *out, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		write_object(out, v);
		break;
	case JSON_ARRAY:
		write_array(out, v);
		break;
	case JSON_STRING:
		write_string(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		text_printf(
		    out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		write_real(out, v);
		break;
	case JSON_TRUE:
		text_str(out, "true");
		break;
	case JSON_FALSE:
		text_str(out, "false");
		break;
	case JSON_NULL:
		text_str(out, "null");
		break;
	}
}

json_t *
json_util_or_null(json_t *v)
{
	return v == NULL ? json_null() : json_incref(v);
}

size_t
json_util_chars(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n = 0, len = json_string_length(v);

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static json_t *
encode(const void *p, size_t n, int variant)
{
	size_t size = sodium_base64_encoded_len(n, variant);
	char *s = mem_zero(size);
	json_t *v;

	sodium_bin2base64(s, size, p, n, variant);
	v = json_string(s);
	free(s);
	return v;
}

json_t *
json_util_base64(const void *p, size_t n)
{
	return encode(p, n, sodium_base64_VARIANT_ORIGINAL);
}

json_t *
json_util_base64url(const void *p, size_t n)
{
	return encode(p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

unsigned char *
json_util_unbase64(const json_t *v, bool url, size_t *ret_len)
{
	int variant = url ? sodium_base64_VARIANT_URLSAFE_NO_PADDING
			  : sodium_base64_VARIANT_ORIGINAL;
	size_t n = json_string_length(v);
	unsigned char *p;

	if (!json_is_string(v))
		return NULL;
	p = mem_zero(n + 1);
	if (sodium_base642bin(p, n + 1, json_string_value(v), n, NULL, ret_len,
		NULL, variant) != 0) {
		free(p);
		return NULL;
	}
	return p;
}
