/*
 * The daemon as one object: owns every module below it, builds them in order
 * and tears them down in reverse.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "settings.h"

struct agent;

/*
 * Limits on the process, secret memory, and the allocators of the libraries.
 * Before anything else, once.  Returns 0 or an ERR_* after having logged why.
 */
int agent_init_process(const struct settings *settings);

/*
 * Build the daemon; listens when it returns.  settings are taken over, path
 * is where to read them again; may_lack: there was no such file, and there
 * need not be.  Returns 0 or an ERR_* after having logged why; settings are
 * freed then as well.
 */
int agent_new(struct settings *settings, const char *path, bool may_lack,
    struct agent **ret_agent);

/* Serve until SIGTERM or SIGINT.  0, or ERR_INTERNAL if the loop failed. */
int agent_run(struct agent *a);

/*
 * Close, wipe, free.  The arena itself stays until the process ends: curl's
 * thread for a name look-up that never came back may still hold some of it,
 * but no secret is in it any more.
 */
void agent_free(struct agent *a);

#endif /* AGENT_AGENT_H */
