#include "config.h"

#include "endpoints.h"

#include <string.h>

#include "err.h"
#include "text.h"

#define TARGET_MAX 4096
#define SEGMENT_MAX 64		/* of a pattern's literals, decoded */

static const char base[] = "/api/v1/";

/* How a request is sent: as often as need be, or at most once. */
#define AGAIN true
#define ONCE false

#define NOTHING ENDPOINT_DROPS_NOTHING
#define SECRET (ENDPOINT_DROPS_SECRET | ENDPOINT_DROPS_SECRET_LIST)
#define VERSIONS (SECRET | ENDPOINT_DROPS_VERSIONS)
#define SECRETS ENDPOINT_DROPS_SECRET_LIST
#define IMPORTED (SECRETS | ENDPOINT_DROPS_NAMED)
#define KEY (ENDPOINT_DROPS_KEY | ENDPOINT_DROPS_KEY_LIST)
#define KEYS (ENDPOINT_DROPS_KEYS | ENDPOINT_DROPS_KEY_LIST)

#define RELAYED ENDPOINT_RELAYED
#define CRYPTO ENDPOINT_CRYPTO

#define ROW(method, pattern, scope, way, repeatable, drops)                    \
	{ method, pattern, scope, way, repeatable, false, drops }
/* What changes nothing, and may be asked as often as one likes. */
#define READ(pattern, scope) ROW("GET", pattern, scope, RELAYED, AGAIN, NOTHING)
#define ROOT(pattern) { "GET", pattern, NULL, RELAYED, AGAIN, true, NOTHING }
#define POST(pattern, scope, repeatable, drops)                                \
	ROW("POST", pattern, scope, RELAYED, repeatable, drops)
#define PUT(pattern, scope, repeatable, drops)                                 \
	ROW("PUT", pattern, scope, RELAYED, repeatable, drops)
#define PATCH(pattern, scope, drops)                                           \
	ROW("PATCH", pattern, scope, RELAYED, ONCE, drops)
#define DELETE(pattern, scope, repeatable, drops)                              \
	ROW("DELETE", pattern, scope, RELAYED, repeatable, drops)

#define USER "/applications/{appId}/end-users/{userId}"
#define RISK "/compliance/{framework}/checks/{checkId}/risk-acceptance"

/*
 * The first that fits counts: where a literal and a parameter both fit, the
 * literal stands first.  What is not said to be safe to repeat (upstream-api,
 * 8) is sent once, PATCH and most of PUT too: sent again late, they would undo
 * what somebody else wrote meanwhile.
 */
const struct endpoint endpoints[] = {
	/* secrets; the one that is read most, first */
	ROW("GET", "/secrets/{id}", "secrets:read", ENDPOINT_CACHED_SECRET,
	    AGAIN, NOTHING),
	ROW("GET", "/keys/{id}/public", "keys:read", ENDPOINT_CACHED_KEY,
	    AGAIN, NOTHING),
	ROW("GET", "/secrets", "secrets:read", ENDPOINT_LIST_SECRETS, AGAIN,
	    NOTHING),
	POST("/secrets", "secrets:write", ONCE, SECRETS),
	POST("/secrets/import", "secrets:write", ONCE, IMPORTED),
	PATCH("/secrets/{id}", "secrets:write", SECRET),
	DELETE("/secrets/{id}", "secrets:write", AGAIN, VERSIONS),
	PUT("/secrets/{id}/value", "secrets:write", ONCE, SECRET),
	POST("/secrets/{id}/activate", "secrets:write", AGAIN, SECRET),
	POST("/secrets/{id}/deactivate", "secrets:write", AGAIN, VERSIONS),
	READ("/secrets/{id}/history", "secrets:read"),
	READ("/secrets/{id}/insights", "secrets:read"),
	POST("/vault/share", "secrets:write", ONCE, NOTHING),
	READ("/vault/share/by-secret/{secretId}", "secrets:read"),
	DELETE("/vault/share/{linkId}", "secrets:write", AGAIN, NOTHING),
	POST("/share/{token}", NULL, ONCE, NOTHING),

	/* keys: what may make another one the default drops them all */
	ROW("GET", "/keys", "keys:read", ENDPOINT_LIST_KEYS, AGAIN, NOTHING),
	POST("/keys", "keys:write", ONCE, KEYS),
	POST("/keys/import", "keys:write", ONCE, KEYS),
	READ("/keys/{id}", "keys:read"),
	PATCH("/keys/{id}", "keys:write", KEY),
	DELETE("/keys/{id}", "keys:write", AGAIN, KEY),
	POST("/keys/{id}/rotate", "keys:write", ONCE, KEYS),
	READ("/keys/{id}/versions", "keys:read"),
	PUT("/keys/{id}/min-decryption-version", "keys:write", AGAIN, KEY),
	POST("/keys/{id}/set-default", "keys:write", ONCE, KEYS),
	READ("/keys/{id}/public-key", "keys:read"),
	POST("/keys/{id}/generate-data-key", "keys:write", ONCE, NOTHING),
	POST("/keys/{id}/generate-data-key-without-plaintext", "keys:write",
	    ONCE, NOTHING),
	POST("/keys/{id}/unwrap", "keys:write", ONCE, NOTHING),

	/* cryptography */
	ROW("POST", "/encrypt", "encryption:write", CRYPTO, AGAIN, NOTHING),
	ROW("POST", "/decrypt", "encryption:write", CRYPTO, AGAIN, NOTHING),
	ROW("POST", "/sign", "encryption:write", CRYPTO, AGAIN, NOTHING),
	ROW("POST", "/verify", "encryption:write", CRYPTO, AGAIN, NOTHING),
	POST("/transit/encrypt/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/decrypt/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/rewrap/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/datakey/{keyName}", "encryption:write", ONCE, NOTHING),
	POST("/transit/datakey/{keyName}/without-plaintext",
	    "encryption:write", ONCE, NOTHING),
	POST("/transit/hmac/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/sign/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/verify/{keyName}", "encryption:write", AGAIN, NOTHING),
	POST("/transit/batch/encrypt/{keyName}", "encryption:write", AGAIN,
	    NOTHING),
	POST("/transit/batch/decrypt/{keyName}", "encryption:write", AGAIN,
	    NOTHING),
	POST("/transit/keys/{keyName}/config", "keys:write", AGAIN, KEYS),

	/* applications, their users, roles */
	READ("/applications", "applications:read"),
	POST("/applications", "applications:write", ONCE, NOTHING),
	READ("/applications/{appId}", "applications:read"),
	PUT("/applications/{appId}", "applications:write", ONCE, NOTHING),
	DELETE("/applications/{appId}", "applications:write", AGAIN, NOTHING),
	POST("/applications/{appId}/rotate-secret", "applications:write", ONCE,
	    NOTHING),
	READ("/applications/{appId}/end-users", "endusers:read"),
	POST("/applications/{appId}/end-users", "endusers:write", ONCE,
	    NOTHING),
	READ(USER, "endusers:read"),
	PUT(USER, "endusers:write", ONCE, NOTHING),
	DELETE(USER, "endusers:write", AGAIN, NOTHING),
	POST(USER "/block", "endusers:write", AGAIN, NOTHING),
	POST(USER "/unblock", "endusers:write", AGAIN, NOTHING),
	POST(USER "/unlock", "endusers:write", ONCE, NOTHING),
	POST(USER "/generate-temporary-password", "endusers:write", ONCE,
	    NOTHING),
	READ(USER "/roles", "roles:read"),
	POST(USER "/roles", "roles:write", ONCE, NOTHING),
	DELETE(USER "/roles/{roleId}", "roles:write", AGAIN, NOTHING),
	READ("/endusers", "endusers:read"),
	POST("/endusers", "endusers:write", ONCE, NOTHING),
	POST("/endusers/{id}/block", "endusers:write", AGAIN, NOTHING),
	POST("/endusers/{id}/unblock", "endusers:write", AGAIN, NOTHING),
	DELETE("/endusers/{id}/permanent", "endusers:write", AGAIN, NOTHING),
	READ("/roles", "roles:read"),
	POST("/roles", "roles:write", ONCE, NOTHING),
	READ("/roles/{roleId}", "roles:read"),
	PATCH("/roles/{roleId}", "roles:write", NOTHING),
	DELETE("/roles/{roleId}", "roles:write", AGAIN, NOTHING),

	/* team, settings, SSH, X.509, billing */
	POST("/team/invitations", "team:write", ONCE, NOTHING),
	ROW("PATCH", "/settings/{name}", "", ENDPOINT_REFUSED,
	    ONCE, NOTHING),
	READ("/ssh/ca", "ssh:read"),
	POST("/ssh/ca", "ssh:write", ONCE, NOTHING),
	READ("/ssh/certificates", "ssh:read"),
	POST("/ssh/certificates", "ssh:write", ONCE, NOTHING),
	READ("/cas", "certificates:read"),
	POST("/cas", "certificates:write", ONCE, NOTHING),
	READ("/cas/{id}/crl", "certificates:read"),
	READ("/certificates", "certificates:read"),
	POST("/certificates", "certificates:write", ONCE, NOTHING),
	READ("/billing/subscription", "billing:read"),
	READ("/billing/usage", "billing:read"),

	/* audit, usage, health, randomness */
	READ("/audit-logs", "audit:read"),
	READ("/audit", "audit:read"),
	READ("/usage/storage", ""),
	ROOT("/health"),
	READ("/health", NULL),
	ROOT("/version"),
	READ("/rate-limit", ""),
	POST("/qrng/entropy", "qrng:read", ONCE, NOTHING),

	/* resource groups, compliance, log streams */
	READ("/resource-groups", "resourcegroups:read"),
	POST("/resource-groups", "resourcegroups:write", ONCE, NOTHING),
	READ("/resource-groups/{groupId}", "resourcegroups:read"),
	PUT("/resource-groups/{groupId}", "resourcegroups:write", ONCE,
	    NOTHING),
	DELETE("/resource-groups/{groupId}", "resourcegroups:write", AGAIN,
	    NOTHING),
	POST("/resource-groups/{groupId}/items", "resourcegroups:write", ONCE,
	    NOTHING),
	DELETE("/resource-groups/{groupId}/items/{itemId}",
	    "resourcegroups:write", AGAIN, NOTHING),
	READ("/compliance", "compliance:read"),
	READ("/compliance/risk-acceptances", "compliance:read"),
	READ("/compliance/{framework}", "compliance:read"),
	POST(RISK, "compliance:write", ONCE, NOTHING),
	/* not by an id: sent again it would revoke a newer one */
	DELETE(RISK, "compliance:write", ONCE, NOTHING),
	READ("/log-streams", "logstreams:read"),
	POST("/log-streams", "logstreams:write", ONCE, NOTHING),
	READ("/log-streams/{streamId}", "logstreams:read"),
	PUT("/log-streams/{streamId}", "logstreams:write", ONCE, NOTHING),
	DELETE("/log-streams/{streamId}", "logstreams:write", AGAIN, NOTHING),
	POST("/log-streams/{streamId}/activate", "logstreams:write", AGAIN,
	    NOTHING),
	POST("/log-streams/{streamId}/deactivate", "logstreams:write", AGAIN,
	    NOTHING),
	POST("/log-streams/{streamId}/test", "logstreams:write", ONCE,
	    NOTHING),
	READ("/log-streams/{streamId}/files", "logstreams:read"),
	READ("/log-streams/{streamId}/files/{day}", "logstreams:read"),
};

const size_t endpoints_count = sizeof(endpoints) / sizeof(endpoints[0]);

/* --- bytes of a target --- */

/* RFC 3986, 3.3, without "%"; not NUL, which strchr would find. */
static bool
is_pchar(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("-._~!$&'()*+,;=:@", c) != NULL);
}

/* more: what else may stand there. */
static bool
is_clean(struct view text, const char *more)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (text.p[i] == '%') {
			if (text.len - i < 3 || text_hex_value(text.p[i + 1]) < 0 ||
			    text_hex_value(text.p[i + 2]) < 0)
				return false;
			i += 2;
		} else if (!is_pchar(text.p[i]) &&
		    (text.p[i] == '\0' ||
		    strchr(more, text.p[i]) == NULL)) {
			return false;
		}
	}
	return true;
}

int
endpoints_decode(struct view text, uint8_t *ret, size_t size, size_t *ret_len)
{
	size_t i, len = 0;

	for (i = 0; i < text.len; i++) {
		if (len == size)
			return ERR_TOO_LARGE;
		if (text.p[i] == '%' && text.len - i >= 3) {
			ret[len++] = (uint8_t)(text_hex_value(text.p[i + 1]) << 4 |
			    text_hex_value(text.p[i + 2]));
			i += 2;
		} else {
			ret[len++] = text.p[i];
		}
	}
	*ret_len = len;
	return 0;
}

/* --- segments --- */

/* Cut the first segment off, which begins with a "/"; false at the end. */
static bool
next_segment(struct view *path, struct view *ret)
{
	const uint8_t *end;
	size_t len;

	if (path->len == 0)
		return false;
	end = memchr(path->p + 1, '/', path->len - 1);
	len = end == NULL ? path->len : (size_t)(end - path->p);
	*ret = (struct view){ path->p + 1, len - 1 };
	path->p += len;
	path->len -= len;
	return true;
}

/*
 * Is a part of it "." or ".."?  Parts end at slashes, also at those that are
 * encoded, and at backslashes: some servers take them for slashes.
 */
static bool
has_dots(struct view text)
{
	size_t dots = 0, others = 0, i;
	uint8_t c;

	for (i = 0; i <= text.len; i++) {
		c = i == text.len ? '/' : text.p[i];
		if (c == '%') {
			c = (uint8_t)(text_hex_value(text.p[i + 1]) << 4 |
			    text_hex_value(text.p[i + 2]));
			i += 2;
		}
		if (c == '/' || c == '\\') {
			if (others == 0 && (dots == 1 || dots == 2))
				return true;
			dots = others = 0;
		} else if (c == '.') {
			dots++;
		} else {
			others++;
		}
	}
	return false;
}

static bool
segments_are_plain(struct view path)
{
	struct view segment;

	while (next_segment(&path, &segment)) {
		if (segment.len == 0 || has_dots(segment))
			return false;
	}
	return true;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/*
 * Is a segment the literal of that length?  Neither an encoded letter nor a
 * capital is another path to every server, so neither makes it another here:
 * what is known of an endpoint must hold for each way to write it.
 */
static bool
is_literal(struct view segment, const char *literal, size_t len)
{
	uint8_t plain[SEGMENT_MAX];
	size_t i, n;

	if (segment.len == len && memcmp(segment.p, literal, len) == 0)
		return true;
	if (endpoints_decode(segment, plain, sizeof(plain), &n) != 0 ||
	    n != len)
		return false;
	for (i = 0; i < len; i++) {
		if (lower(plain[i]) != (uint8_t)literal[i])
			return false;
	}
	return true;
}

static bool
fits(const struct endpoint *e, struct view path, struct endpoint_match *m)
{
	const char *at = e->pattern;
	struct view segment;
	size_t len;

	m->nparams = 0;
	while (next_segment(&path, &segment)) {
		if (*at != '/')
			return false;
		at++;
		len = strcspn(at, "/");
		if (*at == '{')
			m->params[m->nparams++] = segment;
		else if (!is_literal(segment, at, len))
			return false;
		at += len;
	}
	return *at == '\0';
}

static bool
is_base(struct view path)
{
	size_t len = sizeof(base) - 1;

	return path.len >= len && memcmp(path.p, base, len) == 0;
}

static bool
is_bare_base(struct view path)
{
	size_t len = sizeof(base) - 2;

	return path.len == len && memcmp(path.p, base, len) == 0;
}

/* The endpoint of a method and path of one of the two places. */
static const struct endpoint *
find(const char *method, struct view path, bool from_root,
    struct endpoint_match *m)
{
	const struct endpoint *e;

	for (e = endpoints; e < endpoints + endpoints_count; e++) {
		if (e->from_root == from_root &&
		    strcmp(e->method, method) == 0 && fits(e, path, m))
			return e;
	}
	m->nparams = 0;
	return NULL;
}

int
endpoints_match(const char *method, struct view target,
    struct endpoint_match *ret)
{
	const uint8_t *mark;
	bool below;

	memset(ret, 0, sizeof(*ret));
	if (target.len < 2 || target.len > TARGET_MAX || target.p[0] != '/')
		return ERR_BAD_REQUEST;
	mark = memchr(target.p, '?', target.len);
	ret->path = target;
	if (mark != NULL) {
		ret->path.len = (size_t)(mark - target.p);
		ret->query.p = mark + 1;
		ret->query.len = target.len - ret->path.len - 1;
	}
	if (!is_clean(ret->path, "/") || !is_clean(ret->query, "/?"))
		return ERR_BAD_REQUEST;
	below = is_base(ret->path);
	if (below) {
		ret->path.p += sizeof(base) - 2;
		ret->path.len -= sizeof(base) - 2;
	}
	if (ret->path.len < 2 || is_bare_base(ret->path) ||
	    !segments_are_plain(ret->path))
		return ERR_BAD_REQUEST;
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	if (!below)
		ret->endpoint = find(method, ret->path, true, ret);
	ret->from_root = ret->endpoint != NULL;
	if (ret->endpoint == NULL)
		ret->endpoint = find(method, ret->path, false, ret);
	return 0;
}

/* A parameter, decoded as far as it stays one segment; false: no room. */
static bool
put_param(struct view text, char *ret, size_t size, size_t *len)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i;
	uint8_t c;

	for (i = 0; i < text.len; i++) {
		c = text.p[i];
		if (c == '%') {
			c = (uint8_t)(text_hex_value(text.p[i + 1]) << 4 |
			    text_hex_value(text.p[i + 2]));
			i += 2;
		}
		if (size - *len < 4)
			return false;
		if (c >= 0x20 && c != 0x7f && c != '/' && c != '%' &&
		    c != '\\') {
			ret[(*len)++] = (char)c;
			continue;
		}
		ret[(*len)++] = '%';
		ret[(*len)++] = digits[c >> 4];
		ret[(*len)++] = digits[c & 0xf];
	}
	return true;
}

int
endpoints_plain(const struct endpoint_match *m, char *ret, size_t size)
{
	const char *at;
	size_t len = 0, n = 0;

	if (m->endpoint == NULL)
		return ERR_NOT_FOUND;
	for (at = m->endpoint->pattern; *at != '\0'; at++) {
		if (size - len < 2)
			return ERR_TOO_LARGE;
		if (*at != '{') {
			ret[len++] = *at;
			continue;
		}
		if (!put_param(m->params[n++], ret, size, &len))
			return ERR_TOO_LARGE;
		at += strcspn(at, "}");
	}
	ret[len] = '\0';
	return 0;
}

bool
endpoints_repeatable(const char *method, const struct endpoint *e)
{
	if (e != NULL)
		return e->repeatable;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}
