/*
 * What the sandbox needs of JSON beyond jansson: members in either spelling,
 * and text as the service writes it.
 */
#ifndef SANDBOX_JSON_UTIL_H
#define SANDBOX_JSON_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct text;

/* contentType -> content_type; cut to what fits into size bytes. */
void json_util_snake(const char *camel, char *ret_buf, size_t size);

/*
 * The member of obj that is called camel, else the one that is spelt so in
 * snake_case. Borrowed; NULL: neither is there, or obj is no object.
 */
json_t *json_util_get(const json_t *obj, const char *camel);

/* Is key the name camel, in either spelling? */
bool json_util_is(const char *key, const char *camel);

/* Parse a whole text; values may hold NUL. NULL: not JSON, *ret_err is set. */
json_t *json_util_parse(const char *p, size_t n, json_error_t *ret_err);

/*
 * Append v as System.Text.Json's default encoder writes it: compact, and with
 * \uXXXX for + < > & ' " ` and for all that is not ASCII. Clients that slice
 * base64 out of raw text must fail against the sandbox too.
 */
void json_util_write(struct text *out, const json_t *v);

/* A new reference to v, or JSON null for NULL. */
json_t *json_util_or_null(json_t *v);

/* Code points in a JSON string. */
size_t json_util_chars(const json_t *v);

/* Standard base64 with padding, as a new JSON string. */
json_t *json_util_base64(const void *p, size_t n);

/* base64url without padding (JWK), as a new JSON string. */
json_t *json_util_base64url(const void *p, size_t n);

/*
 * Bytes of a base64 text, standard or (url) base64url without padding.
 * Returns NULL if it is none; free with free().
 */
unsigned char *json_util_unbase64(const json_t *v, bool url, size_t *ret_len);

#endif
