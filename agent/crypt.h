/*
 * ENCRYPT, DECRYPT, SIGN and VERIFY (PROTOCOL.md, 4): the rules of the caller,
 * the service, and for VERIFY the public key that is cached.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_CRYPT_H
#define AGENT_CRYPT_H

#include "session.h"

/* Handler of dispatch: 0, or an error that ends the connection. */
int crypt_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_CRYPT_H */
