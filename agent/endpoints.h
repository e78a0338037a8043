/*
 * What the service offers (upstream-api.md, 6 and 7), a row each: how the
 * agent treats it, which scope the API key needs, whether it may be sent
 * twice, and what a write makes void.  docs/api.md is made from this table.
 *
 * Pure: no I/O, no state.
 */
#ifndef AGENT_ENDPOINTS_H
#define AGENT_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

enum endpoint_way {
	ENDPOINT_RELAYED,	/* handed on */
	ENDPOINT_CACHED_SECRET,	/* GET /secrets/{id} */
	ENDPOINT_CACHED_KEY,	/* GET /keys/{id}/public */
	ENDPOINT_LIST_SECRETS,	/* GET /secrets */
	ENDPOINT_LIST_KEYS,
	ENDPOINT_CRYPTO,	/* /encrypt /decrypt /sign /verify: by their own
				 * operations too */
	ENDPOINT_REFUSED,	/* settings: 403 for every API key */
};

/* What a write drops: upstream-api.md, section 8. */
enum endpoint_drops {
	ENDPOINT_DROPS_NOTHING = 0,
	ENDPOINT_DROPS_SECRET = 1 << 0,		/* {id}, not pinned versions */
	ENDPOINT_DROPS_VERSIONS = 1 << 1,	/* those too */
	ENDPOINT_DROPS_SECRET_LIST = 1 << 2,
	ENDPOINT_DROPS_NAMED = 1 << 3,		/* import: names in items[] */
	ENDPOINT_DROPS_KEY = 1 << 4,
	ENDPOINT_DROPS_KEY_LIST = 1 << 5,
	ENDPOINT_DROPS_KEYS = 1 << 6,		/* all: which is default changed,
						 * or it is known by name */
};

struct endpoint {
	const char *method;
	const char *pattern;	/* "/secrets/{id}/value", below url */
	const char *scope;	/* "secrets:write"; "": any key; NULL: none */
	enum endpoint_way way;
	bool repeatable;	/* may be sent again after a lost answer */
	bool from_root;		/* not below url */
	unsigned int drops;	/* enum endpoint_drops */
};

extern const struct endpoint endpoints[];
extern const size_t endpoints_count;

#define ENDPOINT_PARAMS_MAX 3

struct endpoint_match {
	const struct endpoint *endpoint; /* NULL: none that is known */
	struct view path;	/* of the target: below url or the root, without
				 * a query; as it was given (percent-encoded) */
	struct view query;	/* without "?"; empty: none */
	struct view params[ENDPOINT_PARAMS_MAX]; /* as given, in order */
	size_t nparams;
	bool from_root;
};

/*
 * Take a request target apart: "/api/v1/secrets/x?include=all" or
 * "/secrets/x", "/health" at the root.  Views point into target.
 * Returns 0, also where no endpoint is known for it; ERR_BAD_REQUEST if it is
 * no path that could be sent: not beginning with "/", bytes outside of
 * RFC 3986's pchar, "/" and "?", a "%" that begins nothing, "%2e" or dots that
 * make "." or "..", an empty segment (so "/api/v1/" too), over 4096 bytes.
 *
 * HEAD is looked up as GET.  Letters of a literal may be encoded or capital:
 * servers differ in whether that is the same path, and what is known of an
 * endpoint (which rules hold for it, what it drops) must hold either way.
 */
int endpoints_match(const char *method, struct view target,
    struct endpoint_match *ret);

/*
 * May it be sent again after a lost answer?  Of what is no endpoint that is
 * known: GET and HEAD.
 */
bool endpoints_repeatable(const char *method, const struct endpoint *e);

/*
 * The path as rules are compared with it, NUL-terminated: literals as in the
 * table, parameters decoded but for what would make another path of it: "/",
 * "%", "\\" and control characters stay encoded, with capital digits.  Returns
 * 0, ERR_NOT_FOUND if no endpoint is known, or ERR_TOO_LARGE.
 */
int endpoints_plain(const struct endpoint_match *m, char *ret, size_t size);

/*
 * Percent-decode a part of a target that endpoints_match() took.  Returns 0,
 * or ERR_TOO_LARGE where it does not fit; len bytes are never too few.
 */
int endpoints_decode(struct view text, uint8_t *ret, size_t size,
    size_t *ret_len);

#endif /* AGENT_ENDPOINTS_H */
