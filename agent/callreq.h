/*
 * CALL (PROTOCOL.md, 4): any path of the service, by way of rest.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_CALLREQ_H
#define AGENT_CALLREQ_H

#include "session.h"

/* Handler of dispatch: 0, or an error that ends the connection. */
int callreq_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_CALLREQ_H */
