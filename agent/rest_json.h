/*
 * JSON of the agent's own making, for rest: written in two passes, counted
 * first, so that an answer is one piece of secret memory of the right size; and
 * the members of a document that was parsed before, without parsing it again.
 *
 * Pure but for the memory.
 */
#ifndef AGENT_REST_JSON_H
#define AGENT_REST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct object;

struct rest_json {
	uint8_t *p;		/* NULL: only count */
	size_t len;
};

void rest_json_raw(struct rest_json *j, const void *p, size_t len);
/* A piece of syntax. */
void rest_json_text(struct rest_json *j, const char *text);
/* A string, quoted and escaped; s is UTF-8, NUL too. */
void rest_json_string(struct rest_json *j, struct view s);
/* Bytes as a string of base64. */
void rest_json_base64(struct rest_json *j, struct view bytes);
void rest_json_number(struct rest_json *j, uint64_t n);
/* Wall ms as a string, null for MSG_NO_TIME. */
void rest_json_time(struct rest_json *j, int64_t wall_ms);

/* Writes the same each time that it is called with the same ctx. */
typedef void rest_json_fn(struct rest_json *j, const void *ctx);

/* What fn writes, as the value of a new object.  NULL for no memory. */
struct object *rest_json_make(rest_json_fn *fn, const void *ctx);

struct rest_member {
	struct view name;	/* between its quotes, not unescaped */
	struct view value;	/* as it stands there */
};

/*
 * The next member of an object, which is known to be valid JSON.  *pos starts
 * at 0.  False after the last, and where it is none after all.
 */
bool rest_json_next(struct view doc, size_t *pos, struct rest_member *ret);

#endif /* AGENT_REST_JSON_H */
