/*
 * REJECT: a caller says that a value was refused by whom it was meant for.
 *
 * The service is asked once for all who say so of one thing at the same time,
 * and then not again for a while: what it said last is the answer.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_REJECT_H
#define AGENT_REJECT_H

#include "session.h"

struct rejects;

/* Between two reads of one thing. */
#define REJECT_PAUSE_MS 5000
/* Things that were refused, or are being asked for; more are `busy`. */
#define REJECT_MAX 4096

/* NULL for no memory. */
struct rejects *rejects_new(struct fetch *f, struct metrics *metrics);
/* No request may wait. */
void rejects_free(struct rejects *rj);

/* Handler of dispatch: 0, or an error that ends the connection. */
int reject_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_REJECT_H */
