/*
 * What refresh and purge have in common: some references, or --all.
 */
#ifndef CLIENT_EVERY_H
#define CLIENT_EVERY_H

#include "cli.h"

struct every {
	int (*some)(struct qapi_agent *agent, const char *const *refs,
	    size_t count, struct qapi_agent_items **ret);
	int (*all)(struct qapi_agent *agent, uint64_t *ret_count,
	    uint64_t *ret_failed);
	/* Is it good?  Says if not, and returns a status.  May be NULL. */
	int (*check)(const struct cli *cli, const struct qapi_agent_item *item);
	const char *done;	/* as in "refreshed" */
};

/* The whole command.  Returns the exit status. */
int every_run(const struct every *every, struct cli *cli, int argc,
    char **argv);

#endif /* CLIENT_EVERY_H */
