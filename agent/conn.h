/*
 * The daemon's sockets: bytes in, bytes out, one session each.  What is spoken
 * over a socket is a struct conn_kind's: frames of the local protocol, or HTTP.
 *
 * A connection that is idle owns no buffer.  Input goes through one shared
 * buffer; what is left of a message that has arrived in part is kept by its
 * connection.  A peer that does not read its answers is not read from.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_CONN_H
#define AGENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

struct conns;
struct event_base;

/*
 * What is spoken, without the sockets, the time and the limits.  talk is what
 * it keeps for a connection: talk_bytes of zeros at first, wiped by nobody but
 * done, freed with the connection.
 */
struct conn_kind {
	size_t talk_bytes;
	/* arg: the door's.  s outlives talk. */
	void (*init)(void *talk, struct session *s, void *arg, int fd);
	void (*done)(void *talk);
	/*
	 * Use the first of p[0..len), which is not empty; answers go to out,
	 * which has room for one.  Returns 0 after something whole: there is
	 * more time for what follows.  ERR_AGAIN: the rest is incomplete.
	 * Other errors end the connection when out was sent, with why in the
	 * log unless it is NULL.
	 */
	int (*take)(void *talk, const uint8_t *p, size_t len,
	    const struct now *now, struct out *out, size_t *ret_used,
	    const char **ret_why);
	/* What got ready meanwhile, as far as it fits; true: some is left. */
	bool (*render)(void *talk, struct out *out);
	/* May take() be called? */
	bool (*has_room)(const void *talk);
	/* Is nothing owed to the peer? */
	bool (*is_idle)(const void *talk);
	/* Is the rest of something missing that take() has used already? */
	bool (*is_partial)(const void *talk);
	/* Is nothing more taken, once what is in out was sent? */
	bool (*is_over)(const void *talk);
	/* Secret memory that it holds, for its user's account; may be NULL. */
	size_t (*bytes)(const void *talk);
	/* That there is no room for this connection. */
	void (*turn_away)(struct session *s, struct out *out);
	size_t ahead_bytes;	/* to be read although there is no room: so it
				 * is seen that a peer has left */
	/* How long it may be without a message, by now; NULL: for ever. */
	uint64_t (*quiet_ms)(const void *talk);
	uint64_t stall_ms;	/* without reading; 0: for ever */
	bool lingers;		/* a peer may still send when it is over */
};

/* Where connections come in; has to outlive its listener. */
struct conn_door {
	struct conns *conns;
	const struct conn_kind *kind;
	void *arg;		/* for kind's init */
	struct peer *(*peer)(void); /* NULL: who is at the Unix socket */
};

/* All connections of a daemon.  env must outlive them.  NULL for no memory. */
struct conns *conns_new(struct event_base *base, struct session_env *env,
    unsigned int max_connections);
/* Closes all of them. */
void conns_free(struct conns *cs);

/*
 * Other bounds, as env's settings are others: connections that are open stay,
 * and no other is accepted until there are fewer.
 */
void conns_set_max(struct conns *cs, unsigned int max_connections);

/* A listener_cb: take over an accepted socket; arg is a struct conn_door. */
void conn_door_accept(void *arg, int fd);
/* The same for the local protocol; arg is the struct conns. */
void conns_accept(void *arg, int fd);

#endif /* AGENT_CONN_H */
