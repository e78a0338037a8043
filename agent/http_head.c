#include "config.h"

#include "http_head.h"

#include <string.h>
#include <strings.h>

#include "err.h"

/* What a byte may be part of. */
#define IN_TOKEN 1u
#define IN_TARGET 2u
#define IN_VALUE 4u
#define IN_HOST 8u

#define T (IN_TOKEN | IN_TARGET | IN_VALUE)
#define H (IN_TOKEN | IN_TARGET | IN_VALUE | IN_HOST)
#define G (IN_TARGET | IN_VALUE)
#define V IN_VALUE

static const uint8_t classes[256] = {
	['\t'] = V, [' '] = V,
	['!'] = T, ['"'] = G, ['#'] = G, ['$'] = T, ['%'] = H, ['&'] = T,
	['\''] = T, ['('] = G, [')'] = G, ['*'] = T, ['+'] = T, [','] = G,
	['-'] = H, ['.'] = H, ['/'] = G,
	['0' ... '9'] = H,
	[':'] = G | IN_HOST, [';'] = G, ['<'] = G, ['='] = G, ['>'] = G,
	['?'] = G, ['@'] = G,
	['A' ... 'Z'] = H,
	['['] = G | IN_HOST, ['\\'] = G, [']'] = G | IN_HOST, ['^'] = T,
	['_'] = H, ['`'] = T,
	['a' ... 'z'] = H,
	['{'] = G, ['|'] = T, ['}'] = G, ['~'] = T,
	[0x80 ... 0xff] = V,
};

#undef T
#undef H
#undef G
#undef V

/* Where the parser is; p..end is what has not been looked at. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
	struct http_head *head;
	unsigned int seen;	/* fields that may be there once: their bits */
	bool close;		/* Connection says so */
	bool keep;
};

static int
fail(struct cursor *c, int status, const char *why)
{
	c->head->status = status;
	c->head->why = why;
	return ERR_BAD_REQUEST;
}

static int
bad(struct cursor *c, const char *why)
{
	return fail(c, 400, why);
}

/* The longest run of bytes of that class. */
static struct view
run(struct cursor *c, unsigned int class)
{
	const uint8_t *start = c->p;

	while (c->p < c->end && (classes[*c->p] & class) != 0)
		c->p++;
	return (struct view){ start, (size_t)(c->p - start) };
}

static bool
is(struct view v, const char *text)
{
	size_t len = strlen(text);

	return v.len == len && memcmp(v.p, text, len) == 0;
}

static bool
is_nocase(struct view v, const char *text)
{
	size_t len = strlen(text);

	return v.len == len && strncasecmp((const char *)v.p, text, len) == 0;
}

/* The end of a line; why: what else could not have been meant there. */
static int
end_of_line(struct cursor *c, const char *why)
{
	if (c->p == c->end)
		return ERR_AGAIN;
	if (*c->p != '\r')
		return bad(c, *c->p == '\n' ? "a line ends with LF alone"
		    : why);
	if (c->end - c->p < 2)
		return ERR_AGAIN;
	if (c->p[1] != '\n')
		return bad(c, "a CR is not followed by LF");
	c->p += 2;
	return 0;
}

/* --- the request line --- */

static const char *
known_method(struct view v)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH",
		"DELETE", "HEAD", "OPTIONS" };
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (is(v, methods[i]))
			return methods[i];
	}
	return NULL;
}

static int
request_method(struct cursor *c)
{
	struct view v = run(c, IN_TOKEN);

	if (v.len > 32)
		return bad(c, "the method is too long");
	if (c->p == c->end)
		return ERR_AGAIN;
	if (v.len == 0 || *c->p != ' ')
		return bad(c, "it does not begin with a method and a blank");
	c->p++;
	c->head->method = known_method(v);
	return 0;
}

static int
request_target(struct cursor *c)
{
	struct view v;

	if (c->p == c->end)
		return ERR_AGAIN;
	if (*c->p != '/')
		return bad(c, "the target does not begin with a slash");
	v = run(c, IN_TARGET);
	if (v.len > HTTP_TARGET_MAX)
		return fail(c, 414, "the target is longer than 4096 bytes");
	if (c->p == c->end)
		return ERR_AGAIN;
	if (*c->p != ' ')
		return bad(c, "no blank and version follow the target");
	c->p++;
	c->head->target = v;
	return 0;
}

/* "HTTP/1.1" and no more. */
static int
request_version(struct cursor *c)
{
	static const char form[] = "HTTP/#.#";
	size_t i, len = (size_t)(c->end - c->p);

	for (i = 0; i < sizeof(form) - 1; i++) {
		if (i == len)
			return ERR_AGAIN;
		if (form[i] == '#' ? c->p[i] < '0' || c->p[i] > '9'
		    : c->p[i] != (uint8_t)form[i])
			return bad(c, "no version of HTTP follows the target");
	}
	if (c->p[5] != '1' || c->p[7] > '1')
		return fail(c, 505, "this speaks HTTP/1.0 and HTTP/1.1");
	c->head->minor = (unsigned int)(c->p[7] - '0');
	c->p += sizeof(form) - 1;
	return end_of_line(c, "something follows the version");
}

static int
request_line(struct cursor *c)
{
	int r;

	if ((r = request_method(c)) != 0 || (r = request_target(c)) != 0)
		return r;
	return request_version(c);
}

/* --- values --- */

static struct view
trimmed(struct view v)
{
	while (v.len > 0 && (v.p[0] == ' ' || v.p[0] == '\t')) {
		v.p++;
		v.len--;
	}
	while (v.len > 0 && (v.p[v.len - 1] == ' ' ||
	    v.p[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* The next of a list with commas; false after the last. */
static bool
next_item(struct view *rest, struct view *ret_item)
{
	const uint8_t *comma;
	size_t len;

	if (rest->len == 0)
		return false;
	comma = memchr(rest->p, ',', rest->len);
	len = comma != NULL ? (size_t)(comma - rest->p) : rest->len;
	*ret_item = trimmed((struct view){ rest->p, len });
	len += comma != NULL;
	rest->p += len;
	rest->len -= len;
	return true;
}

/* "name=seconds" of a list: in ms.  Anything else: false. */
static bool
item_seconds(struct view item, const char *name, uint64_t *ret_ms)
{
	size_t len = strlen(name), i;
	uint64_t n = 0;

	if (item.len <= len + 1 || item.p[len] != '=' ||
	    !is_nocase((struct view){ item.p, len }, name) ||
	    item.len - len - 1 > 10)
		return false;
	for (i = len + 1; i < item.len; i++) {
		if (item.p[i] < '0' || item.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(item.p[i] - '0');
	}
	*ret_ms = n * 1000;
	return true;
}

static int
value_length(struct cursor *c, struct view v)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			break;
		if (i < HTTP_LENGTH_DIGITS)
			n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (v.len == 0 || i < v.len)
		return bad(c, "Content-Length is no number");
	c->head->length = v.len > HTTP_LENGTH_DIGITS ? UINT64_MAX : n;
	c->head->has_length = true;
	return 0;
}

static int
value_coding(struct cursor *c, struct view v)
{
	if (!is_nocase(v, "chunked"))
		return bad(c, "Transfer-Encoding is not chunked alone");
	c->head->chunked = true;
	return 0;
}

static int
value_host(struct cursor *c, struct view v)
{
	size_t i;

	for (i = 0; i < v.len; i++) {
		if ((classes[v.p[i]] & IN_HOST) == 0)
			return bad(c, "Host is malformed");
	}
	c->head->host = v;
	return 0;
}

static int
value_connection(struct cursor *c, struct view v)
{
	struct view item;

	while (next_item(&v, &item)) {
		c->close = c->close || is_nocase(item, "close");
		c->keep = c->keep || is_nocase(item, "keep-alive");
	}
	return 0;
}

static int
value_expect(struct cursor *c, struct view v)
{
	if (is_nocase(v, "100-continue"))
		c->head->continues = true;
	else
		c->head->expects_other = true;
	return 0;
}

static int
value_browser(struct cursor *c, struct view v)
{
	(void)v;
	c->head->from_browser = true;
	return 0;
}

static int
value_csprng(struct cursor *c, struct view v)
{
	c->head->allow_csprng = is_nocase(v, "true");
	return 0;
}

static int
value_api_key(struct cursor *c, struct view v)
{
	c->head->api_key = v;
	return 0;
}

static int
value_authorization(struct cursor *c, struct view v)
{
	static const char scheme[] = "Bearer ";
	const size_t len = sizeof(scheme) - 1;

	if (v.len > len && strncasecmp((const char *)v.p, scheme, len) == 0)
		c->head->bearer = trimmed((struct view){ v.p + len,
		    v.len - len });
	return 0;
}

static int
value_content_type(struct cursor *c, struct view v)
{
	c->head->content_type = v;
	return 0;
}

/* The first line of it: what there are several of is a client's luxury. */
static int
value_accept(struct cursor *c, struct view v)
{
	if (c->head->accept.len == 0)
		c->head->accept = v;
	return 0;
}

static int
value_cache_control(struct cursor *c, struct view v)
{
	struct http_head *h = c->head;
	struct view item;

	while (next_item(&v, &item)) {
		if (is_nocase(item, "no-cache"))
			h->fresh = true;
		else if (is_nocase(item, "only-if-cached"))
			h->only_if_cached = true;
		else if (!item_seconds(item, "max-age", &h->max_age_ms))
			(void)item_seconds(item, "max-stale",
			    &h->max_stale_ms);
	}
	return 0;
}

static int
value_prefer(struct cursor *c, struct view v)
{
	struct view item;

	while (next_item(&v, &item))
		(void)item_seconds(item, "wait", &c->head->wait_ms);
	return 0;
}

/* --- fields --- */

static const struct field_rule {
	const char *name;
	size_t len;
	bool once;		/* two of them could be read in two ways */
	int (*take)(struct cursor *c, struct view v);
} rules[] = {
#define RULE(name, once, take) { name, sizeof(name) - 1, once, take }
	RULE("Host", true, value_host),
	RULE("Content-Length", true, value_length),
	RULE("Transfer-Encoding", true, value_coding),
	RULE("Connection", false, value_connection),
	RULE("Expect", true, value_expect),
	RULE("Origin", false, value_browser),
	RULE("Sec-Fetch-Site", false, value_browser),
	RULE("X-Api-Key", true, value_api_key),
	RULE("Authorization", true, value_authorization),
	RULE("Content-Type", true, value_content_type),
	RULE("Accept", false, value_accept),
	RULE("Cache-Control", false, value_cache_control),
	RULE("Prefer", false, value_prefer),
	RULE("X-Allow-Csprng", true, value_csprng),
#undef RULE
};

#define RULES (sizeof(rules) / sizeof(rules[0]))

_Static_assert(RULES <= 32, "a bit in cursor.seen each");

static int
field_use(struct cursor *c, struct view name, struct view value)
{
	size_t i;

	for (i = 0; i < RULES; i++) {
		if (rules[i].len == name.len && strncasecmp(
		    (const char *)name.p, rules[i].name, name.len) == 0)
			break;
	}
	if (i == RULES)
		return 0;
	if (rules[i].once && (c->seen & 1u << i) != 0)
		return bad(c, "a field is there twice that may be there once");
	c->seen |= 1u << i;
	return rules[i].take(c, value);
}

static int
field_line(struct cursor *c)
{
	struct view name = run(c, IN_TOKEN), value;
	int r;

	if (c->p == c->end)
		return ERR_AGAIN;
	if (name.len == 0 || *c->p != ':')
		return bad(c, *c->p == '\n' ? "a line ends with LF alone"
		    : "a line does not begin with the name of a field and a "
		    "colon");
	c->p++;
	value = run(c, IN_VALUE);
	if ((r = end_of_line(c, "a field holds a byte that it may not")) != 0)
		return r;
	return field_use(c, name, trimmed(value));
}

static int
fields(struct cursor *c)
{
	unsigned int n;
	int r;

	for (n = 0; ; n++) {
		if (c->p == c->end)
			return ERR_AGAIN;
		if (*c->p == '\r')
			return end_of_line(c, "");
		if (n == HTTP_FIELDS_MAX)
			return fail(c, 431, "there are more than 100 fields");
		if ((r = field_line(c)) != 0)
			return r;
	}
}

/* --- the whole --- */

static bool
saw(const struct cursor *c, int (*take)(struct cursor *, struct view))
{
	size_t i;

	for (i = 0; i < RULES; i++) {
		if (rules[i].take == take)
			return (c->seen & 1u << i) != 0;
	}
	return false;
}

static int
check_whole(struct cursor *c)
{
	struct http_head *h = c->head;

	if (h->chunked && h->has_length)
		return bad(c, "there are both Content-Length and "
		    "Transfer-Encoding");
	if (h->chunked && h->minor == 0)
		return bad(c, "HTTP/1.0 knows no Transfer-Encoding");
	if (h->minor > 0 && !saw(c, value_host))
		return bad(c, "there is no Host");
	h->keep_alive = !c->close && (h->minor > 0 || c->keep);
	/* HTTP/1.0 knows no expectations: they mean nothing */
	h->continues = h->continues && h->minor > 0;
	h->expects_other = h->expects_other && h->minor > 0;
	return 0;
}

int
http_head_parse(const uint8_t *p, size_t len, struct http_head *ret)
{
	struct cursor c = { .p = p, .head = ret,
		.end = p + (len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX) };
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->max_age_ms = ret->max_stale_ms = ret->wait_ms = UINT64_MAX;
	if ((r = request_line(&c)) == 0)
		r = fields(&c);
	if (r == ERR_AGAIN && len >= HTTP_HEAD_MAX)
		return fail(&c, 431, "the head is longer than 16 KiB");
	if (r != 0)
		return r;
	ret->total = (size_t)(c.p - p);
	return check_whole(&c);
}

bool
http_head_host_is(struct view host, const char *own, unsigned int port)
{
	const char *const names[] = { "localhost", "127.0.0.1", "[::1]", own };
	size_t i, len, pos;
	unsigned int n = 0;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		len = strlen(names[i]);
		if (host.len >= len && is_nocase((struct view){ host.p, len },
		    names[i]) && (host.len == len || host.p[len] == ':'))
			break;
	}
	if (i == sizeof(names) / sizeof(names[0]))
		return false;
	if (host.len == len)
		return true;
	if (host.len - len < 2 || host.len - len > 6)
		return false;
	for (pos = len + 1; pos < host.len; pos++) {
		if (host.p[pos] < '0' || host.p[pos] > '9')
			return false;
		n = n * 10 + (unsigned int)(host.p[pos] - '0');
	}
	return n == port;
}
