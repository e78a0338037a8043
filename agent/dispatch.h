/*
 * From a frame's type to its handler.
 */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include "session.h"

/* As session_handle(). */
int dispatch_frame(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_DISPATCH_H */
