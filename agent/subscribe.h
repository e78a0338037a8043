/*
 * WATCH: from references to subscriptions, and from what happens to EVENT
 * frames, each after the policy was asked.
 */
#ifndef AGENT_SUBSCRIBE_H
#define AGENT_SUBSCRIBE_H

#include "session.h"

/* Handler of dispatch: 0, or an error that ends the connection. */
int subscribe_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_SUBSCRIBE_H */
