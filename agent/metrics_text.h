/*
 * METRICS: the figures as text, after the rules of OpenMetrics for names,
 * units and types, in a form that parsers of the older Prometheus text format
 * take too (no types but counter, gauge and histogram).
 *
 * No secret is in it, and no name of one unless the caller asks for names;
 * then of those that it may read.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_METRICS_TEXT_H
#define AGENT_METRICS_TEXT_H

#include "session.h"

/* Values told apart by name; others are only counted. */
#define METRICS_NAMES_MAX 4096

/* Handler of dispatch: 0, or an error that ends the connection. */
int metrics_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_METRICS_TEXT_H */
