/*
 * Bodies of the service's answers to objects and pages: the only place that
 * knows JSON.
 *
 * It takes what the service is known to send and the variants that are easily
 * told apart (both spellings, several envelopes), and refuses the rest with a
 * sentence that holds nothing of the body.
 *
 * Parsed documents lie in secret memory and are wiped; the caller scrubs the
 * stack afterwards.
 */
#ifndef AGENT_UPSTREAM_JSON_H
#define AGENT_UPSTREAM_JSON_H

#include "buf.h"
#include "msg.h"
#include "upstream.h"

/*
 * The parser's memory from the arena.  Once, after secmem_init() and before
 * any other function.  Returns 0 or ERR_INTERNAL.
 */
int upstream_json_global_init(void);

/*
 * The body of a 2xx answer to req.  Sets object or page of answer, or error,
 * gone and message: ERR_UPSTREAM_ERROR, ERR_NOT_FOUND (not active) or
 * ERR_NOMEM.
 */
void upstream_json_read(const struct upstream_request *req, struct view body,
    struct upstream_answer *answer);

enum upstream_reason {
	UPSTREAM_REASON_NONE,	/* not told, or none of those below */
	UPSTREAM_REASON_SCOPE,	/* insufficient_scope */
	UPSTREAM_REASON_KEY_REVOKED,
	UPSTREAM_REASON_KEY_VERSION, /* key_version_below_minimum */
	UPSTREAM_REASON_QUOTA,	/* quota_exceeded */
};

#define UPSTREAM_SCOPE_MAX 64

/*
 * What the body of an error says of its cause.  ret_scope: with
 * UPSTREAM_REASON_SCOPE the scope that is lacking, "" if it is not told.
 */
enum upstream_reason upstream_json_reason(struct view body,
    char ret_scope[UPSTREAM_SCOPE_MAX + 1]);

/* --- upstream_json_write.c --- */

/* Which secret or key an answer is about. */
struct upstream_named {
	char id[MSG_ID_MAX + 1];
	char name[MSG_NAME_MAX + 1];
	bool is_active;		/* true where it is silent */
};

/* False if it does not tell an id (keyId counts for keys) and a name. */
bool upstream_json_named(struct view body, enum ref_kind kind,
    struct upstream_named *ret);

/* Sorted; all empty is fine. */
struct upstream_names {
	char **list;
	size_t count;
};

/*
 * The names in items[] of a request to import.  Returns 0, ERR_BAD_REQUEST
 * (there are no items in it, or it is too much to be looked at:
 * json_parts.h) or ERR_NOMEM; ret is to be cleared after 0.
 */
int upstream_json_item_names(struct view body, struct upstream_names *ret);
bool upstream_names_have(const struct upstream_names *names, struct view name);
void upstream_names_clear(struct upstream_names *names);

#endif /* AGENT_UPSTREAM_JSON_H */
