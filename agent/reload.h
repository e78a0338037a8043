/*
 * SIGHUP: the configuration is read again and takes the place of the one in
 * force, as a whole or not at all.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_RELOAD_H
#define AGENT_RELOAD_H

#include <stdbool.h>

#include "session.h"

/*
 * What a reload changes: the parts of struct agent, which owns them.  Those
 * behind a second pointer are replaced.
 */
struct reload {
	const char *path;	/* of the configuration; NULL: the defaults */
	struct settings **settings;
	struct session_env *env;
	bool (*read_key)(void *arg); /* the API key, from settings */
	void *arg;
};

/* True if the new configuration is in force; else it was logged why not. */
bool reload_run(struct reload *rl);

#endif /* AGENT_RELOAD_H */
