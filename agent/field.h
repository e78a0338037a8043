/*
 * What a reference selects of an object: the value, another field, the one-time
 * code of this moment, a form of a public key.
 */
#ifndef AGENT_FIELD_H
#define AGENT_FIELD_H

#include <stddef.h>

#include "msg.h"
#include "object.h"
#include "ref.h"
#include "totp.h"

/* Room for a value that is computed; wipe it after use. */
struct field_scratch {
	char code[TOTP_DIGITS_MAX + 1];
};

/*
 * Set value and content of *m, which point into o or scratch.  Returns 0, or
 * ERR_NOT_FOUND or ERR_UPSTREAM_ERROR with a sentence in why.
 */
int field_select(const struct ref *ref, const struct object *o,
    struct field_scratch *scratch, struct msg_result *m, char *why,
    size_t why_size);

#endif /* AGENT_FIELD_H */
