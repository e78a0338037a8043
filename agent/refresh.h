/*
 * REFRESH of everything that is cached.
 */
#ifndef AGENT_REFRESH_H
#define AGENT_REFRESH_H

#include "msg.h"
#include "session.h"

/* Begin; answered by DONE when all are through. */
int refresh_all(struct session *s, const struct frame *frame,
    const struct msg_terms *terms, const struct now *now, struct out *out);

/* Count one of them that is ready; the last one puts DONE into out. */
void refresh_all_count(struct session_item *item, struct out *out);

#endif /* AGENT_REFRESH_H */
