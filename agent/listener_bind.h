/*
 * Getting the descriptor of a listening socket, from the service manager or
 * by binding it.  For listener only.
 */
#ifndef AGENT_LISTENER_BIND_H
#define AGENT_LISTENER_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

struct listener_config;

struct listener_bind {
	int fd;			/* non-blocking, listening; -1: none */
	int lock_fd;		/* -1: no lock */
	bool inherited;
	char *path;		/* of the socket bound here, else NULL */
	char *lock_path;
	dev_t dev;		/* of the socket file, to remove no other */
	ino_t ino;
};

/* As listener_new() in listener.h. */
int listener_bind(const struct listener_config *cfg, char *why,
    size_t why_size, struct listener_bind *ret);

/* As listener_set_access() in listener.h. */
int listener_bind_access(const struct listener_bind *b,
    const struct listener_config *cfg, char *why, size_t why_size);

/* Take the socket's name away, but leave it open. */
void listener_bind_remove(const struct listener_bind *b);

/* Close everything, remove what was made here; {.fd = -1, .lock_fd = -1}
 * and a second call are fine. */
void listener_unbind(struct listener_bind *b);

#endif /* AGENT_LISTENER_BIND_H */
