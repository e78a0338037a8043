/*
 * Percent-decoding, and the parameters of a query string.
 */
#ifndef SANDBOX_QUERY_H
#define SANDBOX_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct query_param {
	char *name;
	char *value;
};

/* All zero is an empty query. */
struct query {
	struct query_param *param;
	size_t n;
};

/*
 * The decoded form of n bytes; plus: '+' is a space. NULL: a bad escape, or
 * one that stands for NUL, which no name here may hold. Free with free().
 */
char *query_decode(const char *s, size_t n, bool plus);

/* Parse what follows the '?'; s may be NULL. false: a bad escape. */
bool query_parse(struct query *q, const char *s);
void query_done(struct query *q);

/* The last value given for name, or NULL. */
const char *query_get(const struct query *q, const char *name);

#endif
