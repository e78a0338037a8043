/*
 * LIST: names, ids and freshness of what the caller may list, never values.
 */
#ifndef AGENT_LIST_H
#define AGENT_LIST_H

#include "session.h"

/* Handler of dispatch. */
int list_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

/* Render as much of a ready listing as fits; false if some is left. */
bool list_render(struct session_item *item, struct out *out);

#endif /* AGENT_LIST_H */
