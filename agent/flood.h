/*
 * How many lines of the log one user of the system can cause: some at once, a
 * few a second after that, and then a line now and then that says how many
 * more there were.
 *
 * Only the log is bounded: what must have every event (an audit file) does not
 * ask here.  Event-loop thread only.
 */
#ifndef AGENT_FLOOD_H
#define AGENT_FLOOD_H

#include <stdbool.h>

#include <sys/types.h>

#include "clock.h"

struct event_base;
struct flood;

/* Each is bounded apart: none can be hidden behind another. */
enum flood_kind {
	FLOOD_DENIED,
	FLOOD_CLOSED,
};

#define FLOOD_KINDS 2

#define FLOOD_BURST 100
#define FLOOD_PER_SECOND 10
/* Between two lines about what was left out. */
#define FLOOD_TELL_MS 10000

/* NULL for no memory. */
struct flood *flood_new(struct event_base *base);
/* Tells what is left to tell. */
void flood_free(struct flood *f);

/*
 * May this event of uid (-1: a caller that is no user) be logged?  Else it is
 * counted.  f may be NULL: everything may.
 */
bool flood_allows(struct flood *f, enum flood_kind kind, uid_t uid,
    const struct now *now);

#endif /* AGENT_FLOOD_H */
