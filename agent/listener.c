#include "config.h"

#include "listener.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "err.h"
#include "listener_bind.h"
#include "log.h"

/* So a crowd at the door does not keep those inside waiting. */
#define ACCEPT_PER_WAKEUP 16
/* Out of descriptors: how long until the next try. */
#define RETRY_MS 200

struct listener {
	struct listener_bind bound;
	struct event *ev;	/* readable: accept */
	struct event *retry;	/* out of descriptors: try again */
	listener_cb *cb;
	void *arg;
	bool paused;		/* by the owner */
	bool waiting;		/* retry is armed */
	bool complained;	/* since the last connection */
	bool *freed;		/* while in cb: set if l is freed there */
};

static void
update(struct listener *l)
{
	int r;

	if (l->paused || l->waiting)
		r = event_del(l->ev);
	else
		r = event_add(l->ev, NULL);
	if (r != 0)
		log_error("cannot change what the listening socket waits for");
}

/* If the timer cannot be had, spinning is better than never accepting. */
static void
wait_for_descriptors(struct listener *l, int error)
{
	const struct timeval wait = {.tv_usec = RETRY_MS * 1000};

	if (!l->complained)
		log_warning("cannot accept a connection: %s: trying every %d "
			    "ms (LimitNOFILE= allows more descriptors)",
		    strerror(error), RETRY_MS);
	l->complained = true;
	if (event_add(l->retry, &wait) != 0)
		return;
	l->waiting = true;
	update(l);
}

static void
retry_cb(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	l->waiting = false;
	update(l);
}

/* Errors of one connection that is gone already; see accept(2). */
static bool
is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPERM ||
	    error == EPROTO;
}

static void
accept_some(struct listener *l)
{
	bool freed = false;
	int n;
	int fd;

	for (n = 0; n < ACCEPT_PER_WAKEUP && !l->paused; n++) {
		fd = accept4(l->bound.fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && is_passing(errno))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				wait_for_descriptors(l, errno);
			return;
		}
		l->complained = false;
		l->freed = &freed;
		l->cb(l->arg, fd);
		if (freed)
			return;
		l->freed = NULL;
	}
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	accept_some(arg);
}

int
listener_new(struct event_base *base, const struct listener_config *cfg,
    listener_cb *cb, void *arg, char *why, size_t why_size,
    struct listener **ret)
{
	struct listener *l;
	int r;

	l = calloc(1, sizeof(*l));
	if (l == NULL)
		goto nomem;
	l->bound.fd = -1;
	l->bound.lock_fd = -1;
	l->cb = cb;
	l->arg = arg;
	if ((r = listener_bind(cfg, why, why_size, &l->bound)) != 0) {
		free(l);
		return r;
	}
	l->ev = event_new(base, l->bound.fd, EV_READ | EV_PERSIST, readable_cb,
	    l);
	l->retry = event_new(base, -1, 0, retry_cb, l);
	if (l->ev == NULL || l->retry == NULL || event_add(l->ev, NULL) != 0)
		goto nomem;
	*ret = l;
	return 0;
nomem:
	listener_free(l);
	(void)snprintf(why, why_size, "%s: out of memory", cfg->path);
	return ERR_NOMEM;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	if (l->freed != NULL)
		*l->freed = true;
	if (l->ev != NULL)
		event_free(l->ev);
	if (l->retry != NULL)
		event_free(l->retry);
	listener_unbind(&l->bound);
	free(l);
}

void
listener_retire(struct listener *l)
{
	int fd;

	listener_bind_remove(&l->bound);
	for (;;) {
		fd = accept4(l->bound.fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			l->cb(l->arg, fd);
		else if (!is_passing(errno))
			break;
	}
	listener_free(l);
}

bool
listener_is_inherited(const struct listener *l)
{
	return l->bound.inherited;
}

int
listener_set_access(struct listener *l, const struct listener_config *cfg,
    char *why, size_t why_size)
{
	return listener_bind_access(&l->bound, cfg, why, why_size);
}

void
listener_pause(struct listener *l)
{
	l->paused = true;
	update(l);
}

void
listener_resume(struct listener *l)
{
	l->paused = false;
	update(l);
}
