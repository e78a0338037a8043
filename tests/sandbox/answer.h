/*
 * One answer before it is sent: status, a few headers, body.
 */
#ifndef SANDBOX_ANSWER_H
#define SANDBOX_ANSWER_H

#include <jansson.h>
#include <stddef.h>

#define ANSWER_MAX_HEADERS 12
#define ANSWER_JSON "application/json; charset=utf-8"

struct answer_header {
	char *name;
	char *value;
};

/* All zero is an answer that nobody has given yet. */
struct answer {
	int status;
	const char *content_type; /* NULL: no body */
	char *content_type_own;   /* backs the former where it is no literal */
	char *body;
	size_t len;
	struct answer_header header[ANSWER_MAX_HEADERS];
	size_t n_headers;
};

/* Free what it holds and make it empty. */
void answer_clear(struct answer *a);

/* Set status and a JSON body; takes over v. Replaces an earlier answer. */
void answer_json(struct answer *a, int status, json_t *v);

/* Set a status without a body, such as 204. Replaces an earlier answer. */
void answer_empty(struct answer *a, int status);

/* Set a body of another type; bytes and content_type are copied. */
void answer_bytes(struct answer *a, int status, const char *content_type,
    const void *p, size_t n);

/*
 * Set an error in the documented form. code NULL: the usual one of this
 * status. details: taken over, may be NULL.
 */
void answer_error(struct answer *a, int status, const char *code,
    const char *message, json_t *details);

/* Add a header; both texts are copied. */
void answer_add_header(struct answer *a, const char *name, const char *value);

/* The `error` member that goes with a status. */
const char *answer_error_code(int status);

#endif
