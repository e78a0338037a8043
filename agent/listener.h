/*
 * A listening local socket: inherited from the service manager or bound here,
 * under a lock, so that two daemons never share one.  Or one on a loopback
 * address, which no two can have anyway.
 */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

struct event_base;
struct listener;

struct listener_config {
	const char *path;
	bool is_address;	/* path is "127.0.0.1:PORT" or "[::1]:PORT", and
				 * the rest means nothing */
	mode_t mode;
	const char *group;	/* NULL: leave it */
	const char *fd_name;	/* FileDescriptorName= to look for; NULL: the
				 * inherited socket bound to path */
};

/*
 * A new connection: non-blocking, close-on-exec; the callee owns fd, and may
 * pause, resume or free the listener.
 */
typedef void listener_cb(void *arg, int fd);

/*
 * Take over an inherited socket bound to path, else bind one.  If the
 * directory is missing it is made (0755 by root, else 0700), but not its
 * parents; PATH.lock is locked for the life of the daemon; a dead socket
 * at path is replaced, one that answers or any other kind of file is left
 * alone and is an error.
 * Returns 0, or ERR_BUSY (another daemon), ERR_DENIED, ERR_NOT_FOUND,
 * ERR_BAD_REQUEST, ERR_NOMEM with a sentence in why.
 */
int listener_new(struct event_base *base, const struct listener_config *cfg,
    listener_cb *cb, void *arg, char *why, size_t why_size,
    struct listener **ret);

/* Removes the socket if it was bound here. */
void listener_free(struct listener *l);

/*
 * Its place is taken by another: nobody can connect any more, who has done so
 * already is accepted, and then it is freed.  Not from within cb.
 */
void listener_retire(struct listener *l);

/*
 * Is it the service manager's, who says where it is and who may connect?  Then
 * path, mode and group of the configuration mean nothing.
 */
bool listener_is_inherited(const struct listener *l);

/*
 * Give a socket that was bound here the mode and group of cfg, where it is;
 * both or neither.  Returns 0, or an ERR_* with a sentence in why.
 */
int listener_set_access(struct listener *l, const struct listener_config *cfg,
    char *why, size_t why_size);

/* Stop and resume accepting: too many connections, no descriptors. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

#endif /* AGENT_LISTENER_H */
