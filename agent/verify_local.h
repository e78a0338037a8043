/*
 * Is a signature of that public key and that data?  By OpenSSL's EVP, for the
 * algorithms that it has; which schemes are tried is in PROTOCOL.md, VERIFY.
 *
 * Pure: no I/O, no state.
 */
#ifndef AGENT_VERIFY_LOCAL_H
#define AGENT_VERIFY_LOCAL_H

#include "buf.h"

enum verify_verdict {
	VERIFY_VALID,		/* it is */
	VERIFY_INVALID,		/* it is not; with this key there is no other
				 * way to sign */
	VERIFY_OTHER,		/* not in any way that was tried */
	VERIFY_UNKNOWN,		/* that key cannot be used here */
};

/* spki: the public key, DER of a SubjectPublicKeyInfo. */
enum verify_verdict verify_local(struct view spki, struct view data,
    struct view signature);

#endif /* AGENT_VERIFY_LOCAL_H */
