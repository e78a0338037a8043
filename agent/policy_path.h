/*
 * Paths of the service as rules see them.
 */
#ifndef AGENT_POLICY_PATH_H
#define AGENT_POLICY_PATH_H

#include <stddef.h>

#include "buf.h"

#define POLICY_PATH_MAX 1024	/* with the NUL */

/*
 * Without /api/v1 and without a query, with a '/' in front, percent-decoded.
 * Returns 0; ERR_BAD_REQUEST if it is not plain: with "." or ".." as a part,
 * an empty part, an encoded '/', a backslash or control characters;
 * ERR_TOO_LARGE.
 */
int policy_path_normalise(struct view path, char *ret, size_t size);

/*
 * The same for a pattern, where only the beginning is looked at.  Returns 0
 * or ERR_TOO_LARGE.
 */
int policy_path_pattern(const char *pattern, char *ret, size_t size);

/*
 * Why no path that is asked for can match the pattern, NULL if some can: half
 * a sentence, static.
 */
const char *policy_path_fault(const char *pattern);

#endif /* AGENT_POLICY_PATH_H */
