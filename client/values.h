/*
 * Printing what was read: values, or with --json objects, to standard output or
 * to a file; and a line for each that failed.  For get and pubkey.
 */
#ifndef CLIENT_VALUES_H
#define CLIENT_VALUES_H

#include <stdbool.h>

#include "cli.h"

struct values {
	const char *output;	/* NULL or "-": standard output */
	bool nul;		/* NUL in place of newline */
};

/*
 * Print them in their order, and say what failed.  A file is written only if
 * nothing did.  Returns the exit status: that of the first failure.
 */
int values_deliver(const struct cli *cli, const struct values *values,
    const struct qapi_agent_items *items);

#endif /* CLIENT_VALUES_H */
