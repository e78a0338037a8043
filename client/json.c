#include "config.h"

#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "b64.h"
#include "qapi-agent.h"
#include "text.h"
#include "units.h"

void
json_init(struct json *j, struct out *out)
{
	j->out = out;
	j->comma = false;
}

/* Bytes in quotes; all of them are UTF-8. */
static void
string(struct out *o, const unsigned char *p, size_t len)
{
	size_t i, start = 0;

	out_char(o, '"');
	for (i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f)
			continue;
		out_bytes(o, p + start, i - start);
		start = i + 1;
		if (p[i] == '"' || p[i] == '\\') {
			out_char(o, '\\');
			out_char(o, (char)p[i]);
		} else if (p[i] == '\n') {
			out_text(o, "\\n");
		} else if (p[i] == '\t') {
			out_text(o, "\\t");
		} else if (p[i] == '\r') {
			out_text(o, "\\r");
		} else {
			out_fmt(o, "\\u%04x", p[i]);
		}
	}
	out_bytes(o, p + start, len - start);
	out_char(o, '"');
}

/* Length of the valid character at p, or 0. */
static size_t
character(const unsigned char *p, size_t len)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

	return n <= len && text_is_utf8(p, n) ? n : 0;
}

static void
any_string(struct out *o, const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *p = (const unsigned char *)text;
	size_t len = strlen(text), n;
	struct out fixed;

	if (text_is_utf8(text, len)) {
		string(o, p, len);
		return;
	}
	out_init(&fixed);
	for (; len > 0; p += n, len -= n) {
		n = character(p, len);
		if (n > 0) {
			out_bytes(&fixed, p, n);
			continue;
		}
		out_text(&fixed, replacement);
		n = 1;
	}
	o->failed = o->failed || fixed.failed;
	string(o, (const unsigned char *)fixed.p, fixed.len);
	out_done(&fixed);
}

static void
key_of(struct json *j, const char *key)
{
	if (j->comma)
		out_char(j->out, ',');
	j->comma = true;
	if (key == NULL)
		return;
	any_string(j->out, key);
	out_char(j->out, ':');
}

void
json_open(struct json *j, const char *key)
{
	key_of(j, key);
	out_char(j->out, '{');
	j->comma = false;
}

void
json_close(struct json *j)
{
	out_char(j->out, '}');
	j->comma = true;
}

void
json_open_list(struct json *j, const char *key)
{
	key_of(j, key);
	out_char(j->out, '[');
	j->comma = false;
}

void
json_close_list(struct json *j)
{
	out_char(j->out, ']');
	j->comma = true;
}

void
json_text(struct json *j, const char *key, const char *text)
{
	if (text == NULL) {
		json_null(j, key);
		return;
	}
	key_of(j, key);
	any_string(j->out, text);
}

void
json_uint(struct json *j, const char *key, uint64_t v)
{
	key_of(j, key);
	out_fmt(j->out, "%" PRIu64, v);
}

void
json_bool(struct json *j, const char *key, bool v)
{
	key_of(j, key);
	out_text(j->out, v ? "true" : "false");
}

void
json_null(struct json *j, const char *key)
{
	key_of(j, key);
	out_text(j->out, "null");
}

void
json_time(struct json *j, const char *key, int64_t ms)
{
	char buf[UNITS_TIME_LEN];

	if (ms == QAPI_AGENT_NO_TIME)
		json_null(j, key);
	else
		json_text(j, key, units_format_time(ms, buf));
}

void
json_value(struct json *j, const char *key, const char *key_base64,
    const void *p, size_t len)
{
	if (text_is_utf8(p, len)) {
		key_of(j, key);
		string(j->out, p, len);
		return;
	}
	key_of(j, key_base64);
	out_char(j->out, '"');
	b64_encode(j->out, p, len);
	out_char(j->out, '"');
}
