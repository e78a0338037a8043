/*
 * Snapshots in the service manager's descriptor store: two names by turns, so
 * that the old one is there until the new one is.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STATE_FDS_H
#define AGENT_STATE_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define STATE_FDS_NAMES 2u
#define STATE_FDS_MAX 8u	/* that are looked at */

/* What the store gave back; fd is the holder's to close. */
struct state_fds_kept {
	int fd;
	unsigned int slot;	/* which of the names */
};

struct state_fds {
	bool enabled;
	int fd;			/* to be sent; -1: none */
	unsigned int slot;	/* where that goes, or the next one */
	bool forget;		/* the other slot, once fd is sent */
};

/* Without a store it does nothing. */
void state_fds_init(struct state_fds *f);
void state_fds_done(struct state_fds *f);

/* What there is from before; how many. */
size_t state_fds_take(struct state_fds *f,
    struct state_fds_kept ret[STATE_FDS_MAX]);
/* The one in this slot was taken over: it is replaced last. */
void state_fds_taken_over(struct state_fds *f, unsigned int slot);

/* Store this sealed memory file in place of the last; takes fd over. */
void state_fds_store(struct state_fds *f, int fd);
/* Send what there is to send.  False: the manager does not read just now. */
bool state_fds_send(struct state_fds *f);

#endif /* AGENT_STATE_FDS_H */
