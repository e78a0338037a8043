/*
 * EXPLAIN: what the policy says of reading a reference, and where its value
 * stands.  The service is asked nothing.
 */
#ifndef AGENT_EXPLAIN_H
#define AGENT_EXPLAIN_H

#include "session.h"

/* Handler of dispatch: 0, or an error that ends the connection. */
int explain_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_EXPLAIN_H */
