/*
 * STATUS: the figures of the daemon, without names of secrets.
 */
#ifndef AGENT_STATUS_H
#define AGENT_STATUS_H

#include "session.h"

/* Handler of dispatch. */
int status_answer(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

/* One line for the service manager's STATUS=. */
const char *status_line(struct session_env *env, const struct now *now,
    char *buf, size_t size);

#endif /* AGENT_STATUS_H */
