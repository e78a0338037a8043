/*
 * The local protocol as a kind of connection: frames off the bytes, each to
 * its session.  For conn only.
 */
#ifndef AGENT_CONN_FRAMES_H
#define AGENT_CONN_FRAMES_H

#include "conn.h"

extern const struct conn_kind conn_frames;

#endif /* AGENT_CONN_FRAMES_H */
