/*
 * What the service accepts in the fields of a request or a seed.
 */
#ifndef SANDBOX_RULES_H
#define SANDBOX_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum rule_type {
	RULE_TEXT,  /* string, at most max code points */
	RULE_NAME,  /* the same, at least one */
	RULE_VALUE, /* string, at most max bytes */
	RULE_TIME,  /* timestamp */
	RULE_BOOL,
	RULE_INT,         /* integer from 1 */
	RULE_STRINGS,     /* array of strings */
	RULE_OBJECTS,     /* array of objects */
	RULE_STRING_MAPS, /* array of objects of strings only */
};

#define RULE_REQUIRED 0x1u /* must be there, and not null */
#define RULE_CREATE 0x2u   /* may be given at creation */
#define RULE_PATCH 0x4u    /* may be changed by PATCH */

struct rule {
	const char *name;
	size_t field;
	enum rule_type type;
	size_t max; /* 0: any length */
	unsigned int flags;
};

/* Why v cannot be taken, or NULL if it can. limits: enforce max. */
const char *rule_problem(const struct rule *rule, const json_t *v, bool limits);

/*
 * Check members of obj by the rules (which end with a NULL name) that have
 * the given flag. patch: what is required need not be there.
 * Returns NULL, or a new object {field: problem}.
 */
json_t *rules_check(
    const struct rule *rules, unsigned int flag, bool patch, const json_t *obj);

#endif
