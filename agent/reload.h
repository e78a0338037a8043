/*
 * SIGHUP: the configuration is read again and takes the place of the one in
 * force, as a whole or not at all.  What can fail is done first, besides what
 * is in force; then everything is exchanged, which cannot fail.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_RELOAD_H
#define AGENT_RELOAD_H

#include <stdbool.h>

#include "session.h"

struct conns;
struct httpsock;
struct keys;
struct listener;
struct preload;
struct upstream;

#define RELOAD_WHY 400

/*
 * What a reload changes: the parts of struct agent, which owns them.  Those
 * behind a second pointer are replaced.
 */
struct reload {
	struct event_base *base;
	const char *path;	/* of the configuration */
	bool *may_lack;		/* path need not exist: the defaults then.  Not
				 * once there was a file */
	size_t max_memory;	/* most that max-memory can be without a
				 * restart */
	struct settings **settings;
	struct session_env *env;
	struct upstream *upstream;
	struct conns *conns;
	struct audit **audit;
	struct listener **listener;
	struct httpsock *http;
	struct preload **preload;
	void (*preloaded)(void *arg, const char *missing);
	void *arg;		/* preloaded's */
	struct keys *keys;
	char why[RELOAD_WHY];	/* out: why it failed, or what of it takes a
				 * restart; "" if nothing */
};

/* True if the new configuration is in force.  Logs what happened. */
bool reload_run(struct reload *rl);

#endif /* AGENT_RELOAD_H */
