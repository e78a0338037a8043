/*
 * Finds a member of a JSON object (RFC 8259), for the few things that the
 * command wants to know of an answer.  No more than that: what is printed is
 * handed through as it came.
 */
#ifndef CLIENT_JSONREAD_H
#define CLIENT_JSONREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "out.h"

/*
 * Append the text of the member, a string, or the digits of a number.  False
 * if p[0..len) is no object, has no such member, or it is something else.
 */
bool jsonread_text(const void *p, size_t len, const char *name,
    struct out *ret);

#endif /* CLIENT_JSONREAD_H */
