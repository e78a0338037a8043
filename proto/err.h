/*
 * The one set of error codes, on the wire and between functions.
 *
 * A function that can fail returns 0 or one of these, all negative.  The
 * number on the wire is the absolute value (PROTOCOL.md, "Errors"); it is
 * never reused or renumbered.  Codes below ERR_LOCAL_FIRST never leave the
 * process: err_wire() turns them into one that may.
 */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

#include <stdint.h>

enum err {
	ERR_OK = 0,
	ERR_BAD_REQUEST = -1,	/* malformed message or reference */
	ERR_NOT_FOUND = -2,	/* no such thing, or no such field of it */
	ERR_AMBIGUOUS = -3,	/* two things of one name */
	ERR_DENIED = -4,	/* the agent's policy, or the service for this thing */
	ERR_EXPIRED = -5,	/* past its expiresAt, no newer value */
	ERR_UNAUTHORIZED = -6,	/* the service refuses the agent's API key */
	ERR_INSUFFICIENT_SCOPE = -7, /* the agent's API key lacks a scope */
	ERR_RATE_LIMITED = -8,	/* this caller asks too often */
	ERR_UPSTREAM_UNAVAILABLE = -9, /* no answer, 5xx, 429, cut short */
	ERR_UPSTREAM_ERROR = -10, /* a complete answer that is wrong */
	ERR_TOO_LARGE = -11,	/* over a limit of the agent */
	ERR_BUSY = -12,		/* too many connections or requests */
	ERR_TIMEOUT = -13,	/* the caller's deadline passed */
	ERR_UNSUPPORTED = -14,	/* this peer does not know the message */
	ERR_INTERNAL = -15,	/* a fault of the agent */

	ERR_LOCAL_FIRST = -100,
	ERR_NOMEM = -100,	/* out of memory */
	ERR_AGAIN = -101,	/* not yet: incomplete input, or answered later */
	ERR_CLOSED = -102,	/* the peer is gone */
	ERR_UNREACHABLE = -103,	/* client side: no agent at the socket */
};

/* Number of the last code that has a place on the wire. */
#define ERR_WIRE_MAX 15

/* Stable name, as in `not-found`; "unknown" for a number that is none. */
const char *err_name(int err);

/* One short sentence without a subject, as in "no such secret or key". */
const char *err_text(int err);

/* The code from its stable name, 0 if there is none of that name. */
int err_from_name(const char *name);

/* Number for the wire: 0 to ERR_WIRE_MAX; local codes become another. */
uint16_t err_wire(int err);

/*
 * Code from a number read off the wire.  A number this build does not know
 * (a newer peer) becomes ERR_INTERNAL.
 */
int err_from_wire(uint16_t number);

#endif /* PROTO_ERR_H */
