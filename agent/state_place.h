/*
 * Where the state file lies: its directory, checked and held open, a lock, and
 * the names beside it.
 *
 *   NAME        the snapshot, 0600
 *   NAME.tmp    the next one while it is written; renamed to NAME when whole
 *   NAME.bad    the last one that was refused
 *   NAME.lock   locked by the daemon that uses it
 *
 * state_place_open() and _close() are the event-loop thread's; the rest may
 * be called by the writer's thread while it runs, then by no other.
 */
#ifndef AGENT_STATE_PLACE_H
#define AGENT_STATE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct state_place {
	char *path;		/* as configured */
	char *dir;
	char *name;		/* within dir; the others are made of it */
	char *tmp;
	char *bad;
	char *lock;
	int dir_fd;		/* -1: not open */
	int lock_fd;
};

/* path: absolute.  Nothing is opened.  Returns 0 or ERR_NOMEM. */
int state_place_init(struct state_place *p, const char *path);
void state_place_done(struct state_place *p);

/*
 * Open and check the directory, and take the lock, unless that is done.
 * Returns 0, or ERR_NOT_FOUND, ERR_DENIED, ERR_BUSY with a sentence in why:
 * which file or directory, what is wrong, what to do.
 */
int state_place_open(struct state_place *p, char *why, size_t why_size);
void state_place_close(struct state_place *p);

/*
 * Open the snapshot for reading.  It must be a regular file, no link, of
 * this user or root, that nobody else can access.
 * Returns 0, ERR_NOT_FOUND if there is none, or ERR_DENIED with why.
 */
int state_place_read(struct state_place *p, int *ret_fd, char *why,
    size_t why_size);

/* Rename the snapshot out of the way.  Returns 0 or a negative errno value. */
int state_place_set_aside(struct state_place *p);

/* Begin the next one.  Returns a descriptor or a negative errno value. */
int state_place_create(struct state_place *p);
/* It is whole: make it durable and put it in place.  0 or negative errno. */
int state_place_commit(struct state_place *p, int fd);
/* It will not be: remove what there is of it. */
void state_place_abandon(struct state_place *p);

#endif /* AGENT_STATE_PLACE_H */
