/*
 * How much work a JSON text is, before it is parsed: a caller may send 16 MiB
 * of "[0,0,0,...", which takes seconds and hundreds of megabytes, while
 * everybody else waits.
 *
 * Pure.
 */
#ifndef AGENT_JSON_PARTS_H
#define AGENT_JSON_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Longer texts of callers are not parsed, whatever they hold. */
#define JSON_PARTS_MAX_LEN (4u << 20)
/* Of a caller's body: an import of some 3,000 secrets with all members. */
#define JSON_PARTS_MAX_BODY 32768u

/*
 * Has it at most max of "[", "{", ":" and "," outside of strings?  Of a text
 * that is no JSON the answer means nothing; false for one that is too long.
 */
bool json_parts_within(struct view text, size_t max);

#endif /* AGENT_JSON_PARTS_H */
