/*
 * Streams (PROTOCOL.md, STREAM_OPEN and STREAM_DATA): what is too large for
 * one message is sealed, or opened, chunk by chunk under a data key that the
 * service has made; docs/envelope.md has the format.
 *
 * An open stream is a parked request of its session: it is owed nothing, and
 * ends with its last chunk, a failure, CANCEL or the connection.  It takes a
 * kilobyte: chunks are worked on where they come in and go out.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include "session.h"

/* Handlers of dispatch: 0, or an error that ends the connection. */
int stream_open(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);
int stream_data(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

#endif /* AGENT_STREAM_H */
