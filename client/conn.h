/*
 * One connection to the agent: bytes out, frames in, deadlines.
 *
 * Reading and writing are a state machine that never blocks (conn_want(),
 * conn_step(), conn_next()), so that an event loop can drive it;
 * conn_wait() is what a blocking caller puts between the steps.  What frames
 * mean is call.c's business.
 */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

#define CONN_FOREVER UINT64_MAX		/* a deadline that never comes */

struct conn {
	int fd;			/* -1: closed */
	bool out_dead;		/* it takes no more, but may have said why */
	uint8_t *in;		/* in[in_off, in_off + in_len) is not yet cut */
	size_t in_off;
	size_t in_len;
	size_t in_size;
	size_t in_want;		/* what the next frame needs in all */
	uint8_t *out;		/* out[out_off, out_len) is not yet sent */
	size_t out_off;
	size_t out_len;
	size_t out_size;
	uint64_t queued;	/* bytes of output in all, since it was opened */
	uint64_t taken;		/* of these, what the kernel has taken */
};

/* Now, in milliseconds of the boot clock, which runs on in suspend. */
uint64_t conn_now_ms(void);

/* now + wait, without overflow; wait CONN_FOREVER stays that. */
uint64_t conn_deadline(uint64_t now_boot_ms, uint64_t wait_ms);

void conn_init(struct conn *c);

/* Close, wipe and free everything; c can be opened again.  Keeps errno. */
void conn_close(struct conn *c);

/*
 * Connect to the socket at path.  Blocks until deadline_boot_ms at most,
 * which only an agent that accepts nothing makes it do.
 * Returns 0, ERR_UNREACHABLE with errno set, or ERR_TIMEOUT.
 */
int conn_open(struct conn *c, const char *path, uint64_t deadline_boot_ms);

/*
 * The same without waiting for anything.  ERR_AGAIN: the agent has no room
 * for another connection just now, and only asking again can tell when it has.
 */
int conn_try_open(struct conn *c, const char *path);

/*
 * Make room for max bytes of output; write to ret_wr, then conn_queue().
 * Returns 0 or ERR_NOMEM.
 */
int conn_reserve(struct conn *c, size_t max, struct wr *ret_wr);
void conn_queue(struct conn *c, const struct wr *wr);

/* What poll(2) should wait for: POLLIN, POLLIN | POLLOUT. */
short conn_want(const struct conn *c);

/*
 * Send what can be sent, and receive if ready (of poll(2)) has anything but
 * POLLOUT, without blocking.  Views of earlier frames die.
 * Returns 0, ERR_CLOSED, or ERR_NOMEM.
 */
int conn_step(struct conn *c, short ready);

/*
 * Take the next whole frame; its views live until conn_step() or
 * conn_done().  Returns 0, ERR_AGAIN, or another ERR_* after which the stream
 * cannot go on.
 */
int conn_next(struct conn *c, struct frame *ret_frame);

/* Wipe the frame taken last: it may have held a value. */
void conn_done(struct conn *c, const struct frame *frame);

/* Wait until something of conn_want() is so.  Returns 0 or ERR_TIMEOUT. */
int conn_wait(struct conn *c, uint64_t deadline_boot_ms, short *ret_ready);

#endif /* CLIENT_CONN_H */
