/*
 * An agent for tests of the client: a thread behind a socket that does what a
 * test tells it to, byte for byte.
 */
#ifndef SUPPORT_FAKE_AGENT_H
#define SUPPORT_FAKE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "msg.h"

struct fake;

/* One connection, as a script sees it. */
struct fake_conn {
	int fd;
	unsigned int nth;	/* of all that came, from 0 */
	void *arg;		/* of fake_start() */
	uint8_t *in;
	size_t in_len;
	size_t skip;		/* of in, the frame read last */
	unsigned int frames_max; /* fake_read() ends after these; 0: never */
	unsigned int frames;	/* that it has returned */
};

/* Serves one connection; it is closed on return.  One at a time. */
typedef void fake_script(struct fake_conn *c);

/* Aborts on failure, like everything here: it is part of the test. */
struct fake *fake_start(fake_script *script, void *arg);
/* The client has to have closed its connections. */
void fake_stop(struct fake **f);

const char *fake_path(const struct fake *f);
/* Connections so far. */
unsigned int fake_connections(struct fake *f);
/* Wait until so many of them have been closed from here; aborts after 60 s. */
void fake_wait_closed(struct fake *f, unsigned int count);

/* The next frame but HELLO; false at the end.  Views die with the next. */
bool fake_read(struct fake_conn *c, struct frame *ret);
/* Discard until the client closes. */
void fake_drain(struct fake_conn *c);

void fake_send(struct fake_conn *c, const void *p, size_t len);
void fake_send_wr(struct fake_conn *c, const struct wr *wr);
void fake_send_hello(struct fake_conn *c, uint16_t protocol,
    const char *build);
void fake_send_error(struct fake_conn *c, uint64_t id, int error,
    const char *message);
/* A fresh text value, the simplest of RESULTs. */
void fake_send_value(struct fake_conn *c, uint64_t id, uint16_t index,
    bool more, const void *value, size_t len);

/* Any RESULT; it may be larger than the stack. */
void fake_send_result(struct fake_conn *c, uint64_t id, bool more,
    const struct msg_result *m);
/* RESULT of WATCH: subscribed, at a position of 16 bytes of this kind. */
void fake_send_watched(struct fake_conn *c, uint64_t id, uint16_t index,
    uint8_t position);
/* An EVENT, with such a position. */
void fake_send_event(struct fake_conn *c, uint64_t id, uint16_t index,
    uint8_t reason, uint8_t position);

/* What fake_serve_table() knows of one reference. */
struct fake_value {
	const char *ref;	/* NULL: end of the table */
	int error;		/* with message */
	const char *message;
	const char *value;
	size_t len;		/* 0: strlen(value) */
	uint8_t freshness;	/* 0: fresh */
};

/*
 * A script that answers everything; arg is a table of struct fake_value.  To
 * WATCH it sends an event for each (stale if the value is, else changed), and
 * hangs up.  A drill of more than a second lasts until CANCEL.
 */
void fake_serve_table(struct fake_conn *c);

#endif /* SUPPORT_FAKE_AGENT_H */
