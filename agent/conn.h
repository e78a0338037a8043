/*
 * The sockets of the local protocol: bytes in, bytes out, one session each.
 *
 * A connection that is idle owns no buffer.  Input goes through one shared
 * buffer; what is left of a frame that has arrived in part is kept by its
 * connection.  A peer that does not read its answers is not read from.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_CONN_H
#define AGENT_CONN_H

#include "session.h"

struct conns;
struct event_base;

/* All connections of a daemon.  env must outlive them.  NULL for no memory. */
struct conns *conns_new(struct event_base *base, struct session_env *env,
    unsigned int max_connections);
/* Closes all of them. */
void conns_free(struct conns *cs);

/*
 * Another bound: those that are open stay, and no other is accepted until there
 * are fewer.
 */
void conns_set_max(struct conns *cs, unsigned int max_connections);

/* A listener_cb: take over an accepted socket; arg is the struct conns. */
void conns_accept(void *arg, int fd);

#endif /* AGENT_CONN_H */
