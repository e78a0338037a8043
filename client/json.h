/*
 * Writes JSON (RFC 8259), compact, into a struct out.  Keys are names of
 * ours or made safe here; commas are put where they belong.
 */
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "out.h"

struct json {
	struct out *out;	/* not owned */
	bool comma;		/* something stands before in this object */
};

void json_init(struct json *j, struct out *out);

/* key: NULL for the outermost object. */
void json_open(struct json *j, const char *key);
void json_close(struct json *j);
/* A list of objects, each without a key. */
void json_open_list(struct json *j, const char *key);
void json_close_list(struct json *j);

/* NULL text becomes null.  What is not UTF-8 in it becomes U+FFFD. */
void json_text(struct json *j, const char *key, const char *text);
void json_uint(struct json *j, const char *key, uint64_t v);
void json_bool(struct json *j, const char *key, bool v);
void json_null(struct json *j, const char *key);
/* RFC 3339 in UTC; QAPI_AGENT_NO_TIME becomes null. */
void json_time(struct json *j, const char *key, int64_t ms);
/* As text under key if it is UTF-8, else as base64 under key_base64. */
void json_value(struct json *j, const char *key, const char *key_base64,
    const void *p, size_t len);

#endif /* CLIENT_JSON_H */
