/*
 * Which secrets and keys the body of a request is about, for rules that name
 * some.  What cannot be told for sure counts as about any: only rules that
 * cover all allow that.  So does what is too much to be looked at
 * (json_parts.h).
 *
 * Parsed documents lie in secret memory and are wiped; the stack is scrubbed.
 */
#ifndef AGENT_REST_BODY_H
#define AGENT_REST_BODY_H

#include <stdbool.h>

#include "endpoints.h"
#include "ref.h"

enum rest_by {
	REST_BY_ID,
	REST_BY_NAME,
	REST_BY_NOTHING,	/* which one cannot be told */
};

struct rest_subject {
	enum ref_kind kind;
	enum rest_by by;
	struct view text;	/* decoded; dies when the call returns */
};

typedef void rest_subject_fn(void *arg, const struct rest_subject *subject);

/* Call fn for each subject that the body has, besides those of the path. */
void rest_body_subjects(const struct endpoint *e, struct view body,
    rest_subject_fn *fn, void *arg);

#endif /* AGENT_REST_BODY_H */
